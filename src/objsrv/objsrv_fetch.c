/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reads of values. Small results travel in the reply; larger ones are pushed into the client's
 * region at the places of their ranges,
 * neighbours gathered into one push. The reply carries the CRC32C over what is present, in order
 * (MS-4).
 * Tested by test/objsrv_test.c.
 */
#include "base/assert.h"
#include "base/crc.h"
#include "objsrv_priv.h"

/* Room of a reply for its description, beside inline data. */
enum { SEG_BYTES = 17, IOD_BYTES = 12, REPLY_FIXED_BYTES = 512 };

/*
 * Sizes and segments for the reply. Errors: REC2BIG some iod's find does not fit its room, which
 * the sizes then tell; OVERFLOW too many pieces.
 */
static int
describe(struct rpc_req *req, const struct vos_fetch *fetch, const struct vos_iod *iods,
    struct proto_obj_fetch_rep *out, size_t *ret_bytes)
{
    const struct proto_obj_fetch_req *in = req->body;
    const struct proto_iod *piods = in->iods.items;
    struct proto_fetch_iod *dst;
    size_t bytes = REPLY_FIXED_BYTES;
    int result = 0;

    dst = arena_calloc(req->arena, MAX(fetch->iod_nr, 1), sizeof(*dst));
    if (dst == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < fetch->iod_nr; i++) {
        const struct vos_fetch_iod *src = &fetch->iods[i];
        struct proto_seg *segs;
        uint64_t need = 0;
        int rc;

        if (src->seg_nr > PROTO_SEGS_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        segs = arena_calloc(req->arena, MAX(src->seg_nr, 1), sizeof(*segs));
        if (segs == NULL)
            return CAIRN_ERR(NOMEM);
        for (uint32_t s = 0; s < src->seg_nr; s++) {
            segs[s] = (struct proto_seg){src->segs[s].idx, src->segs[s].nr, src->segs[s].buf != NULL};
        }
        dst[i].size = src->size;
        dst[i].segs = (struct proto_array){src->seg_nr, segs};
        bytes += IOD_BYTES + (size_t)src->seg_nr * SEG_BYTES;
        rc = objsrv_iod_bytes(&iods[i], src->size, &need);
        if ((in->flags & VOS_FETCH_SIZE_ONLY) == 0 && (rc != 0 || need > piods[i].buf_len))
            result = CAIRN_ERR(REC2BIG);
    }
    out->epoch = fetch->epoch;
    out->iods = (struct proto_array){fetch->iod_nr, dst};
    *ret_bytes = bytes;
    return result;
}

/* ---- inline --------------------------------------------------------------------------------- */

static int
give_inline(struct rpc_req *req, const struct vos_fetch *fetch, struct proto_obj_fetch_rep *out)
{
    uint8_t *data = arena_alloc(req->arena, fetch->data_bytes);
    uint64_t off = 0;

    if (data == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < fetch->iod_nr; i++) {
        const struct vos_fetch_iod *iod = &fetch->iods[i];

        for (uint32_t s = 0; s < iod->seg_nr; s++) {
            uint64_t len = iod->segs[s].nr * iod->size;

            if (iod->segs[s].buf == NULL)
                continue;
            CAIRN_ASSERT(len <= fetch->data_bytes - off);
            memcpy(data + off, iod->segs[s].buf, len);
            off += len;
        }
    }
    out->data = (struct iov){data, off};
    out->data_len = off;
    out->data_crc = crc32c(0, data, off);
    return 0;
}

/* ---- pushed --------------------------------------------------------------------------------- */

/* Neighbouring segments on their way to the region. */
struct gather {
    struct rpc_req *req;
    const struct proto_bulk *bulk;
    uint8_t *buf; /* OBJSRV_GATHER_BYTES */
    uint64_t region_off; /* where buf[0] goes */
    uint64_t len;
};

static int
gather_flush(struct gather *g)
{
    int rc = 0;

    if (g->len > 0)
        rc = rpc_bulk_push(g->req, g->bulk, g->region_off, g->buf, g->len);
    g->len = 0;
    return rc;
}

static int
gather_add(struct gather *g, uint64_t region_off, const void *src, uint64_t len)
{
    bool is_large = len >= OBJSRV_GATHER_BYTES / 2;
    bool fits = region_off == g->region_off + g->len && g->len + len <= OBJSRV_GATHER_BYTES;
    int rc;

    if (is_large || !fits) {
        rc = gather_flush(g);
        if (rc != 0)
            return rc;
    }
    if (is_large)
        return rpc_bulk_push(g->req, g->bulk, region_off, src, len);
    if (g->len == 0)
        g->region_off = region_off;
    memcpy(g->buf + g->len, src, len);
    g->len += len;
    return 0;
}

static int
push_iod(struct gather *g, const struct vos_fetch_iod *iod, uint64_t region_off,
    struct proto_obj_fetch_rep *out)
{
    int rc;

    for (uint32_t s = 0; s < iod->seg_nr; s++) {
        uint64_t len = iod->segs[s].nr * iod->size;

        if (iod->segs[s].buf != NULL) {
            out->data_crc = crc32c(out->data_crc, iod->segs[s].buf, len);
            out->data_len += len;
            rc = gather_add(g, region_off, iod->segs[s].buf, len);
            if (rc != 0)
                return rc;
        }
        region_off += len;
    }
    return 0;
}

static int
give_pushed(struct tgt *tgt, struct rpc_req *req, const struct vos_fetch *fetch,
    struct proto_obj_fetch_rep *out)
{
    const struct proto_obj_fetch_req *in = req->body;
    const struct proto_iod *piods = in->iods.items;
    struct gather g = {.req = req, .bulk = &in->bulk};
    uint64_t region_off = 0;
    void *buf = NULL;
    int rc;

    if (in->bulk.id == 0)
        return CAIRN_ERR(INVAL); /* more than fits a reply, and nowhere to put it */
    rc = bio_buf_get_more(tgt_bio(tgt), OBJSRV_GATHER_BYTES, &buf);
    if (rc != 0)
        return rc;
    g.buf = buf;
    for (uint32_t i = 0; rc == 0 && i < fetch->iod_nr; i++) {
        rc = push_iod(&g, &fetch->iods[i], region_off, out);
        region_off += piods[i].buf_len;
    }
    if (rc == 0)
        rc = gather_flush(&g);
    bio_buf_put(tgt_bio(tgt), buf, OBJSRV_GATHER_BYTES);
    return rc;
}

/* ---- the request ---------------------------------------------------------------------------- */

/* Sum of the rooms must stay a number: offsets into the region are computed from it. */
static int
rooms_check(const struct proto_obj_fetch_req *in)
{
    const struct proto_iod *piods = in->iods.items;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < in->iods.nr; i++) {
        if (!add_u64(sum, piods[i].buf_len, &sum))
            return CAIRN_ERR(INVAL);
    }
    return 0;
}

static int
fetch_give(struct tgt *tgt, struct rpc_req *req, const struct vos_fetch *fetch,
    const struct vos_iod *iods, struct proto_obj_fetch_rep *out)
{
    const struct proto_obj_fetch_req *in = req->body;
    size_t bytes = 0;
    int rc;

    rc = describe(req, fetch, iods, out, &bytes);
    if (rc != 0 || (in->flags & VOS_FETCH_SIZE_ONLY) != 0 || fetch->data_bytes == 0)
        return rc;
    /* Who expects little names no region; its reply may be long all the same, by the number of its ranges, and then travels as payload. */
    if (fetch->data_bytes <= PROTO_INLINE_BYTES_MAX &&
        (in->bulk.id == 0 || bytes + fetch->data_bytes <= NET_HDR_BYTES_MAX - REPLY_FIXED_BYTES))
        return give_inline(req, fetch, out);
    return give_pushed(tgt, req, fetch, out);
}

int
objsrv_fetch(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_fetch_req *in = req->body;
    struct vos_oid oid = objsrv_oid(in->oid, in->shard, in->layout_ver);
    struct vos_fetch *fetch = NULL;
    struct vos_iod *iods = NULL;
    struct tgt_op op;
    int rc;

    rc = objsrv_begin(tgt, req, false, &op);
    if (rc != 0)
        return rc;
    rc = rooms_check(in);
    if (rc == 0)
        rc = objsrv_iods(req->arena, &in->iods, &iods);
    if (rc == 0)
        rc = vos_fetch(op.vos, &oid, in->epoch, in->flags, &in->dkey, iods, in->iods.nr, &fetch);
    if (rc == 0)
        rc = fetch_give(tgt, req, fetch, iods, rep);
    vos_fetch_free(op.vos, fetch);
    tgt_op_end(&op);
    return rc;
}
