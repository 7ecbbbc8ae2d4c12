/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Changes: all modifications of a message in one vos_apply().
 *
 *      begin -> lay the values out over the data -> pull -> compare CRC32C -> vos_apply (durable,
 *      with the request id) -> reply
 *
 * A resend whose first execution took effect finds its answer in vos_apply(), whatever its data
 * are now. Tested by test/objsrv_test.c.
 */
#include "base/crc.h"
#include "base/probe.h"
#include "objsrv_priv.h"

/*
 * Give each value of an update its part of the data. `data` has data_len bytes and *off moves on.
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
        iods[i].data = (struct iov){data + *off, bytes};
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
mods_build(struct rpc_req *req, uint8_t *data, struct vos_mod **ret_mods)
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
    *ret_mods = mods;
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

static int
apply(struct tgt_op *op, struct rpc_req *req, uint8_t *data, struct proto_obj_apply_rep *out)
{
    const struct proto_obj_apply_req *in = req->body;
    const struct rpc_hdr *hdr = req->hdr;
    struct vos_apply_args args = {
        .mod_nr = in->mods.nr,
        .pm_ver = op->info.map_ver,
        .req = {hdr->client, hdr->slot, hdr->seq, hdr->first_hlc},
    };
    struct vos_mod *mods;
    struct vos_apply_ret ret;
    int rc;

    rc = mods_build(req, data, &mods);
    if (rc != 0)
        return rc;
    args.mods = mods;
    if (crc32c(0, data, in->data_len) != in->data_crc) {
        rc = answer_or_csum(op, &args.req, &ret);
    } else {
        rc = vos_apply(op->vos, &args, &ret);
    }
    if (rc != 0)
        return rc;
    out->epoch = ret.epoch;
    out->is_replay = ret.is_replay;
    return 0;
}

int
objsrv_apply(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_apply_req *in = req->body;
    bool is_bulk = in->data.len == 0 && in->data_len > 0;
    struct tgt_op op;
    void *buf = NULL;
    int rc;

    rc = objsrv_begin(tgt, req, true, &op);
    if (rc != 0)
        return rc;
    if (in->mods.nr == 0 || (!is_bulk && in->data.len != in->data_len)) {
        rc = CAIRN_ERR(INVAL);
        goto out;
    }
    if (in->data_len > OBJSRV_DATA_BYTES_MAX) {
        rc = CAIRN_ERR(REC2BIG);
        goto out;
    }
    if (is_bulk) {
        rc = bio_buf_get(tgt_bio(tgt), in->data_len, &buf);
        if (rc == 0)
            rc = rpc_bulk_pull(req, &in->bulk, 0, buf, in->data_len);
        if (rc != 0)
            goto out;
    }
    rc = apply(&op, req, is_bulk ? buf : in->data.buf, rep);
out:
    if (buf != NULL)
        bio_buf_put(tgt_bio(tgt), buf, in->data_len);
    tgt_op_end(&op);
    return rc;
}
