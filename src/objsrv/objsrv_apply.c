/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Changes: all modifications of a message in one vos_apply().
 *
 *      begin -> lay the values out over the data -> [pull] -> compare CRC32C -> vos_apply (durable,
 *      with the request id) -> reply
 *
 * Data that are pulled go straight to where they will stay when all of their values are large
 * (vos_ahead_get), else through a buffer. Nothing is indexed before the comparison (OBJ-2).
 *
 * A resend whose first execution took effect finds its answer in vos_apply(), whatever its data
 * are now. Tested by test/objsrv_test.c.
 */
#include "base/crc.h"
#include "base/probe.h"
#include "objsrv_priv.h"

/*
 * Give each value of an update its part of the data. `data` (NULL: not here yet) has data_len bytes and *off moves on.
 */
static int
mod_lay_out(struct vos_mod *mod, const struct proto_mod *src, struct vos_iod *iods, uint8_t *data,
    uint64_t data_len, uint64_t *off)
{
    const struct proto_iod *piods = src->iods.items;

    for (uint32_t i = 0; i < src->iods.nr; i++) {
        uint64_t bytes;
        int rc;

        rc = objsrv_iod_bytes(&iods[i], iods[i].size, &bytes);
        if (rc != 0)
            return rc;
        if (bytes != piods[i].buf_len || bytes > data_len - *off)
            return CAIRN_ERR(IO_INVAL);
        iods[i].data = (struct iov){data == NULL ? NULL : data + *off, bytes};
        *off += bytes;
    }
    mod->iods = iods;
    mod->iod_nr = src->iods.nr;
    return 0;
}

/*
 * The modifications for vos, their values within data[0..data_len). Errors: INVAL, IO_INVAL,
 * REC2BIG; NOMEM.
 */
static int
mods_build(struct rpc_req *req, uint8_t *data, struct vos_apply_args *args)
{
    const struct proto_obj_apply_req *in = req->body;
    const struct proto_mod *src = in->mods.items;
    struct vos_mod *mods;
    struct vos_iod *iods;
    uint64_t off = 0;
    int rc;

    mods = arena_calloc(req->arena, MAX(in->mods.nr, 1), sizeof(*mods));
    if (mods == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < in->mods.nr; i++) {
        if (src[i].op < VOS_MOD_UPDATE || src[i].op > VOS_MOD_PUNCH_AKEYS)
            return CAIRN_ERR(INVAL);
        mods[i].op = src[i].op;
        mods[i].oid = objsrv_oid(src[i].oid, src[i].shard, src[i].layout_ver);
        mods[i].cond = src[i].cond;
        mods[i].dkey = src[i].dkey;
        rc = objsrv_iods(req->arena, &src[i].iods, &iods);
        if (rc != 0)
            return rc;
        mods[i].iods = iods;
        mods[i].iod_nr = src[i].iods.nr;
        if (mods[i].op == VOS_MOD_UPDATE)
            rc = mod_lay_out(&mods[i], &src[i], iods, data, in->data_len, &off);
        if (rc != 0)
            return rc;
    }
    if (off != in->data_len)
        return CAIRN_ERR(IO_INVAL);
    args->mods = mods;
    args->mod_nr = in->mods.nr;
    return 0;
}

/*
 * The data is not what was sent. When an earlier copy of the request was applied, its answer is the truth all the same: the application changed
 * its buffer since, and CSUM would make the client send it anew with another id.
 */
static int
answer_or_csum(struct tgt_op *op, const struct vos_req_id *id, struct vos_apply_ret *ret)
{
    int rc = CAIRN_ERR(NONEXIST);

    CAIRN_PROBE("objsrv.apply.csum");
    ret->is_replay = false;
    if (!cuuid_is_nil(&id->client) && id->seq != 0)
        rc = vos_req_lookup(op->vos, id, ret);
    return rc == -DER_NONEXIST && !ret->is_replay ? CAIRN_ERR(CSUM) : rc; /* OBJ-2 */
}

/* Index what has this checksum, if that is right (OBJ-2). */
static int
apply(struct tgt_op *op, struct rpc_req *req, const struct vos_apply_args *args, uint32_t crc,
    struct proto_obj_apply_rep *out)
{
    const struct proto_obj_apply_req *in = req->body;
    struct vos_apply_ret ret;
    int rc;

    if (crc != in->data_crc) {
        rc = answer_or_csum(op, &args->req, &ret);
    } else {
        rc = vos_apply(op->vos, args, &ret);
    }
    if (rc != 0)
        return rc;
    tgt_op_changed(op);
    out->epoch = ret.epoch;
    out->is_replay = ret.is_replay;
    return 0;
}

/* Where a part has landed. */
struct landing {
    struct vos_ahead *ahead;
    uint32_t place;
};

static void
landed(void *arg, size_t off, size_t len)
{
    struct landing *l = arg;

    vos_ahead_landed(l->ahead, l->place, off, len);
}

/* Nobody below compares what comes: apply() does, with data_crc (RPC-14). `ahead` may be NULL. */
static int
pull(struct rpc_req *req, const struct iov *places, uint32_t nr, struct vos_ahead *ahead)
{
    const struct proto_obj_apply_req *in = req->body;
    struct landing l = {.ahead = ahead};
    uint64_t off = 0;
    int rc = 0;

    for (l.place = 0; rc == 0 && l.place < nr; l.place++) {
        const struct iov *place = &places[l.place];

        rc = rpc_bulk_pull_whole(
            req, &in->bulk, off, place->buf, place->len, ahead == NULL ? NULL : landed, &l);
        off += place->len;
    }
    return rc;
}

/* Data come with the request. */
static int
apply_inline(struct tgt_op *op, struct rpc_req *req, struct vos_apply_args *args, void *rep)
{
    const struct proto_obj_apply_req *in = req->body;
    int rc = mods_build(req, in->data.buf, args);

    return rc != 0 ? rc : apply(op, req, args, crc32c(0, in->data.buf, in->data_len), rep);
}

/* Data are pulled, to a buffer. */
static int
apply_buffered(
    struct tgt *tgt, struct tgt_op *op, struct rpc_req *req, struct vos_apply_args *args, void *rep)
{
    const struct proto_obj_apply_req *in = req->body;
    struct iov place = {.len = in->data_len};
    int rc = bio_buf_get(tgt_bio(tgt), place.len, &place.buf);

    if (rc == 0)
        rc = pull(req, &place, 1, NULL);
    if (rc == 0)
        rc = mods_build(req, place.buf, args);
    if (rc == 0)
        rc = apply(op, req, args, crc32c(0, place.buf, place.len), rep);
    bio_buf_put(tgt_bio(tgt), place.buf, place.len);
    return rc;
}

/* Data are pulled, to where vos wants them. */
static int
apply_ahead(struct tgt_op *op, struct rpc_req *req, const struct vos_apply_args *args, void *rep)
{
    const struct iov *places;
    uint32_t nr;
    int rc;

    CAIRN_PROBE("objsrv.apply.ahead");
    places = vos_ahead_places(args->ahead, &nr);
    rc = pull(req, places, nr, args->ahead);
    return rc != 0 ? rc : apply(op, req, args, vos_ahead_sum(args->ahead), rep);
}

static int
apply_bulk(
    struct tgt *tgt, struct tgt_op *op, struct rpc_req *req, struct vos_apply_args *args, void *rep)
{
    int rc = mods_build(req, NULL, args);

    if (rc == 0)
        rc = vos_ahead_get(op->vos, args, &args->ahead);
    if (rc == -DER_NOSYS || rc == -DER_NOSPACE || rc == -DER_BUSY)
        return apply_buffered(tgt, op, req, args, rep); /* waits for space that is being freed */
    if (rc == 0)
        rc = apply_ahead(op, req, args, rep);
    vos_ahead_free(args->ahead);
    return rc;
}

int
objsrv_apply(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_apply_req *in = req->body;
    const struct rpc_hdr *hdr = req->hdr;
    struct vos_apply_args args = {.req = {hdr->client, hdr->slot, hdr->seq, hdr->first_hlc}};
    bool is_bulk = in->data.len == 0 && in->data_len > 0;
    struct tgt_op op;
    int rc;

    rc = objsrv_begin(tgt, req, true, &op);
    if (rc != 0)
        return rc;
    args.pm_ver = op.info.map_ver;
    args.csum_type = op.info.csum_type;
    args.csum_chunk_bytes = op.info.csum_chunk_bytes;
    op.deadline_ns = req->deadline_ns;
    args.space_wait = tgt_op_space_wait;
    args.space_arg = &op;
    if (in->mods.nr == 0 || (!is_bulk && in->data.len != in->data_len)) {
        rc = CAIRN_ERR(INVAL);
    } else if (in->data_len > OBJSRV_DATA_BYTES_MAX) {
        rc = CAIRN_ERR(REC2BIG);
    } else if (!is_bulk) {
        rc = apply_inline(&op, req, &args, rep);
    } else {
        rc = apply_bulk(tgt, &op, req, &args, rep);
    }
    tgt_op_end(&op);
    return rc;
}
