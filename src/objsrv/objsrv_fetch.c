/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reads of values. Small results travel in the reply; larger ones are pushed into the client's
 * region at the places of their ranges, straight from where vos has them; small neighbours are
 * gathered. The reply carries the CRC32C over what is present, in order (MS-4), put together from
 * those of the pieces. The client compares each part with its CRC: what lies wrong in memory, or
 * changes on the way, is found there (FTD-6).
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
            const struct vos_seg *seg = &src->segs[s];

            segs[s] = (struct proto_seg){seg->idx, seg->nr, seg->buf != NULL || seg->is_later};
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

struct gift {
    struct proto_obj_fetch_rep *out;
    uint8_t *data; /* fetch->data_bytes of room */
    uint64_t room;
};

static int
inline_take(void *arg, const struct vos_piece *piece)
{
    struct gift *g = arg;

    CAIRN_ASSERT(piece->len <= g->room - g->out->data_len);
    memcpy(g->data + g->out->data_len, piece->buf, piece->len);
    g->out->data_crc = crc32c_combine(g->out->data_crc, piece->crc, piece->len);
    g->out->data_len += piece->len;
    return 0;
}

static int
inline_drain(void *arg)
{
    (void)arg;
    return 0;
}

/* The only segment, if its bytes are there. */
static const struct vos_seg *
seg_alone(const struct vos_fetch *fetch)
{
    const struct vos_seg *seg = fetch->iods[0].segs;

    return fetch->iod_nr == 1 && fetch->iods[0].seg_nr == 1 && seg->buf != NULL ? seg : NULL;
}

static int
give_inline(struct vos_cont *cont, struct rpc_req *req, struct vos_fetch *fetch,
    struct proto_obj_fetch_rep *out)
{
    const struct vos_seg *seg = seg_alone(fetch);
    struct gift g = {.out = out, .room = fetch->data_bytes};
    struct vos_sink sink = {.arg = &g, .take = inline_take, .drain = inline_drain};
    int rc;

    if (seg != NULL) { /* from the request's arena: it goes as it is */
        out->data = (struct iov){seg->buf, fetch->data_bytes};
        out->data_len = fetch->data_bytes;
        out->data_crc = seg->crc;
        return 0;
    }
    g.data = arena_alloc(req->arena, fetch->data_bytes);
    if (g.data == NULL)
        return CAIRN_ERR(NOMEM);
    rc = vos_fetch_give(cont, fetch, &sink);
    if (rc == 0)
        out->data = (struct iov){g.data, out->data_len};
    return rc;
}

/* ---- pushed --------------------------------------------------------------------------------- */

/*
 * What was taken and not yet sent is one run: neighbours in the region, and either neighbours in memory,
 * too, or copies in the half of `gather` that is being filled.
 */
struct pusher {
    struct bio_tgt *bio;
    const struct vos_fetch *fetch;
    const struct proto_iod *piods;
    struct rpc_push *push;
    struct proto_obj_fetch_rep *out;
    /* where pieces go */
    uint32_t iod, seg;
    uint64_t iod_off, seg_off; /* in the region */
    /* the run */
    const uint8_t *run;
    uint64_t run_off;
    size_t run_len, run_max;
    uint32_t run_crc;
    uint8_t *gather; /* two halves of OBJSRV_GATHER_BYTES, or NULL: none was needed yet */
    uint32_t half;
};

static int
run_send(struct pusher *p)
{
    bool is_copy = p->gather != NULL && p->run == p->gather + p->half * OBJSRV_GATHER_BYTES;
    int rc;

    if (p->run_len == 0)
        return 0;
    rc = rpc_push_part(p->push, p->run_off, p->run, p->run_len, p->run_crc);
    p->run_len = 0;
    /* The other half was sent before: nothing of it may be on its way when it is filled again. */
    if (rc == 0 && is_copy && p->half == 1)
        rc = rpc_push_flush(p->push);
    if (is_copy)
        p->half ^= 1;
    if (p->out->data_len < p->fetch->data_bytes)
        ult_yield(); /* so that it leaves; the last one does with the reply */
    return rc;
}

/* Move on to the place of a segment. */
static void
seg_seek(struct pusher *p, uint32_t iod, uint32_t seg)
{
    while (p->iod < iod) {
        p->iod_off += p->piods[p->iod++].buf_len;
        p->seg_off = p->iod_off;
        p->seg = 0;
    }
    for (; p->seg < seg; p->seg++) {
        p->seg_off += p->fetch->iods[iod].segs[p->seg].nr * p->fetch->iods[iod].size;
    }
}

static int
run_begin(struct pusher *p, const struct vos_piece *piece, uint64_t off, bool is_small)
{
    void *buf;
    int rc;

    if (is_small && p->gather == NULL) {
        rc = bio_buf_get_more(p->bio, (size_t)2 * OBJSRV_GATHER_BYTES, &buf);
        if (rc != 0)
            return rc;
        p->gather = buf;
    }
    p->run = is_small ? p->gather + p->half * OBJSRV_GATHER_BYTES : piece->buf;
    p->run_max = is_small ? OBJSRV_GATHER_BYTES : rpc_push_part_best(p->push);
    p->run_off = off;
    p->run_crc = 0;
    return 0;
}

/* A piece joins the run, or begins the next one. */
static int
run_add(struct pusher *p, const struct vos_piece *piece, uint64_t off)
{
    bool is_small = piece->len < OBJSRV_GATHER_PIECE_BYTES;
    bool is_copy = p->gather != NULL && p->run == p->gather + p->half * OBJSRV_GATHER_BYTES;
    bool is_next = p->run_len > 0 && off == p->run_off + p->run_len &&
        p->run_len + piece->len <= p->run_max &&
        (is_copy ? is_small : p->run + p->run_len == (const uint8_t *)piece->buf);
    int rc;

    if (!is_next) {
        rc = run_send(p);
        if (rc == 0)
            rc = run_begin(p, piece, off, is_small);
        if (rc != 0)
            return rc;
        is_copy = is_small;
    }
    if (is_copy)
        memcpy(p->gather + p->half * OBJSRV_GATHER_BYTES + p->run_len, piece->buf, piece->len);
    p->run_crc = crc32c_combine(p->run_crc, piece->crc, piece->len);
    p->run_len += piece->len;
    return p->run_len == p->run_max ? run_send(p) : 0;
}

static int
push_take(void *arg, const struct vos_piece *piece)
{
    struct pusher *p = arg;
    struct vos_piece part = *piece;
    size_t left = piece->len;
    uint64_t off;
    int rc = 0;

    seg_seek(p, piece->iod, piece->seg);
    off = p->seg_off + piece->off;
    p->out->data_crc = crc32c_combine(p->out->data_crc, piece->crc, piece->len);
    p->out->data_len += piece->len;
    while (rc == 0 &&
        left > OBJSRV_GATHER_BYTES) { /* chunks are shorter, unless the store says otherwise */
        part.len = OBJSRV_GATHER_BYTES;
        part.crc = crc32c(0, part.buf, part.len);
        rc = run_add(p, &part, off);
        off += part.len;
        left -= part.len;
        part.buf = (const uint8_t *)part.buf + part.len;
    }
    if (rc != 0)
        return rc;
    part.crc = left == piece->len ? piece->crc : crc32c(0, part.buf, left);
    part.len = left;
    return run_add(p, &part, off);
}

/* The reply is complete. */
static void
push_taken(void *arg)
{
    struct pusher *p = arg;

    if (run_send(p) == 0)
        rpc_push_reply(p->push, p->out);
}

static int
push_drain(void *arg)
{
    struct pusher *p = arg;
    int rc = run_send(p), flush_rc = rpc_push_flush(p->push);

    return rc != 0 ? rc : flush_rc;
}

static int
give_pushed(struct tgt *tgt, struct vos_cont *cont, struct rpc_req *req, struct vos_fetch *fetch,
    struct proto_obj_fetch_rep *out)
{
    const struct proto_obj_fetch_req *in = req->body;
    struct pusher p = {.bio = tgt_bio(tgt), .fetch = fetch, .piods = in->iods.items, .out = out};
    struct vos_sink sink = {
        .arg = &p, .is_comparing = true, .take = push_take, .drain = push_drain, .taken = push_taken};
    int rc;

    if (in->bulk.id == 0)
        return CAIRN_ERR(INVAL); /* more than fits a reply, and nowhere to put it */
    rc = rpc_push_begin(req, &in->bulk, &p.push);
    if (rc != 0)
        return rc;
    rc = vos_fetch_give(cont, fetch, &sink);
    rpc_push_end(p.push); /* was drained */
    bio_buf_put(tgt_bio(tgt), p.gather, (size_t)2 * OBJSRV_GATHER_BYTES);
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
fetch_give(struct tgt *tgt, struct vos_cont *cont, struct rpc_req *req, struct vos_fetch *fetch,
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
        return give_inline(cont, req, fetch, out);
    return give_pushed(tgt, cont, req, fetch, out);
}

int
objsrv_fetch(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_fetch_req *in = req->body;
    struct vos_fetch_args args = {.oid = objsrv_oid(in->oid, in->shard, in->layout_ver),
        .epoch = in->epoch,
        .flags = in->flags,
        .dkey = in->dkey,
        .iod_nr = in->iods.nr};
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
    args.iods = iods;
    args.deadline_ns = req->deadline_ns;
    args.arena = req->arena;
    if (rc == 0)
        rc = tgt_op_read(&op, in->epoch);
    if (rc == 0)
        rc = vos_fetch_begin(op.vos, &args, &fetch);
    if (rc == 0)
        rc = fetch_give(tgt, op.vos, req, fetch, iods, rep);
    vos_fetch_free(op.vos, fetch);
    tgt_op_end(&op);
    return rc;
}
