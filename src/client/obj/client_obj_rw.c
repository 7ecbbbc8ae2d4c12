/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Updates, fetches and punches (client_obj.h). The data of all iods of a request is one list of buffers, cut to what the iods ask for; offsets within it are
 * those of the messages (proto_obj.h), so that the server can pull and push straight from and to the caller's memory.
 */
#include "base/assert.h"
#include "base/crc.h"
#include "base/util.h"
#include "client/obj/client_obj_priv.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES_MAX = 64 << 20 };
enum mod_op { MOD_UPDATE = 1, MOD_PUNCH_OBJ = 2, MOD_PUNCH_DKEY = 3, MOD_PUNCH_AKEYS = 4 };

CAIRN_STATIC_ASSERT(sizeof(daos_recx_t) == sizeof(struct proto_recx), "passed as they are");
CAIRN_STATIC_ASSERT((int)DAOS_COND_MASK == 0xff, "bits of a condition");

/* ---- buffers ------------------------------------------------------------------------------------------------------------ */

static int
sgl_check(const d_sg_list_t *sgl)
{
    if (sgl->sg_nr > CLIENT_IOVS_NR_MAX || (sgl->sg_nr > 0 && sgl->sg_iovs == NULL))
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < sgl->sg_nr; i++) {
        const d_iov_t *iov = &sgl->sg_iovs[i];

        if (iov->iov_buf == NULL && (iov->iov_len > 0 || iov->iov_buf_len > 0))
            return CAIRN_ERR(INVAL);
    }
    return 0;
}

/* Room (fetch) or bytes (update) of one API buffer list. */
static uint64_t
sgl_room(const d_sg_list_t *sgl, bool is_update)
{
    uint64_t room = 0;

    for (uint32_t i = 0; sgl != NULL && i < sgl->sg_nr; i++) {
        room += is_update ? sgl->sg_iovs[i].iov_len : sgl->sg_iovs[i].iov_buf_len;
    }
    return room;
}

/* The buffers of iod i cut to `need` bytes; fills iovs from *nr on. */
static void
sgl_append(const d_sg_list_t *sgl, bool is_update, uint64_t need, struct iov *iovs, uint32_t *nr)
{
    for (uint32_t i = 0; sgl != NULL && i < sgl->sg_nr && need > 0; i++) {
        size_t len = is_update ? sgl->sg_iovs[i].iov_len : sgl->sg_iovs[i].iov_buf_len;

        len = MIN(len, need);
        if (len == 0)
            continue;
        iovs[(*nr)++] = (struct iov){.buf = sgl->sg_iovs[i].iov_buf, .len = len};
        need -= len;
    }
}

static int
iod_bytes(const daos_iod_t *iod, uint64_t *ret_bytes)
{
    uint64_t records = 0;

    if (iod->iod_type == DAOS_IOD_SINGLE) {
        *ret_bytes = iod->iod_size;
        return 0;
    }
    for (uint32_t i = 0; i < iod->iod_nr; i++) {
        if (__builtin_add_overflow(records, iod->iod_recxs[i].rx_nr, &records))
            return CAIRN_ERR(INVAL);
    }
    if (__builtin_mul_overflow(records, iod->iod_size, ret_bytes))
        return CAIRN_ERR(INVAL);
    return 0;
}

static int
recx_cmp(const void *a, const void *b)
{
    const daos_recx_t *x = a, *y = b;

    return x->rx_idx < y->rx_idx ? -1 : x->rx_idx > y->rx_idx;
}

/* Ranges of an update do not overlap: which of two values would win? */
static int
recxs_check_disjoint(const daos_recx_t *recxs, uint32_t nr, struct arena *arena)
{
    const daos_recx_t *sorted = recxs;
    bool is_sorted = true;

    for (uint32_t i = 1; i < nr && is_sorted; i++) {
        is_sorted = recxs[i].rx_idx >= recxs[i - 1].rx_idx;
    }
    if (!is_sorted) {
        daos_recx_t *copy = arena_dup(arena, recxs, nr * sizeof(*recxs));

        if (copy == NULL)
            return CAIRN_ERR(NOMEM);
        qsort(copy, nr, sizeof(*copy), recx_cmp);
        sorted = copy;
    }
    for (uint32_t i = 1; i < nr; i++) {
        if (sorted[i].rx_idx - sorted[i - 1].rx_idx < sorted[i - 1].rx_nr)
            return CAIRN_ERR(INVAL);
    }
    return 0;
}

static int
iod_check(const struct client_obj *obj, const daos_iod_t *iod)
{
    int rc = client_obj_key_check(&iod->iod_name, placement_otype_akey(obj->otype));

    if (rc != 0)
        return rc;
    if (iod->iod_type == DAOS_IOD_SINGLE)
        return iod->iod_nr <= 1 ? 0 : CAIRN_ERR(INVAL);
    if (iod->iod_type != DAOS_IOD_ARRAY)
        return CAIRN_ERR(INVAL);
    if (iod->iod_nr == 0 || iod->iod_recxs == NULL || iod->iod_nr > PROTO_RECXS_NR_MAX)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < iod->iod_nr; i++) {
        const daos_recx_t *recx = &iod->iod_recxs[i];

        if (recx->rx_nr == 0 || recx->rx_idx >> 63 != 0 ||
            recx->rx_nr > (UINT64_C(1) << 63) - recx->rx_idx)
            return CAIRN_ERR(INVAL);
    }
    return 0;
}

/* ---- requests ------------------------------------------------------------------------------------------------------------- */

/* Everything of one update or fetch that does not change from try to try. */
struct io {
    struct client_obj *obj;
    struct client_io *args;
    uint32_t grp;
    struct arena arena;
    struct proto_iod *piods;
    struct sgl data; /* all buffers, iod by iod */
    uint64_t data_bytes;
    bool is_soiled; /* a fetch: an attempt that was not the last has written into the buffers (COB-3) */
};

/* Bytes of the request's data that belong to this iod. */
static int
iod_room(const daos_iod_t *iod, const d_sg_list_t *sgl, bool is_update, uint64_t *ret_bytes)
{
    uint64_t room = sgl_room(sgl, is_update), bytes;
    int rc = iod_bytes(iod, &bytes);

    if (rc != 0)
        return rc;
    if (is_update) {
        if (bytes > room)
            return CAIRN_ERR(REC2BIG); /* fewer bytes given than promised */
        *ret_bytes = bytes;
    } else if (sgl == NULL) {
        *ret_bytes = 0;
    } else if (iod->iod_type == DAOS_IOD_SINGLE || iod->iod_size == 0) {
        *ret_bytes = room;
    } else {
        if (bytes > room)
            return CAIRN_ERR(REC2BIG);
        *ret_bytes = bytes;
    }
    return 0;
}

static int
io_iod_init(struct io *io, uint32_t i, bool is_update)
{
    const daos_iod_t *iod = &io->args->iods[i];
    const d_sg_list_t *sgl = io->args->sgls == NULL ? NULL : &io->args->sgls[i];
    struct proto_iod *piod = &io->piods[i];
    int rc = iod_check(io->obj, iod);

    if (rc == 0 && is_update && iod->iod_type == DAOS_IOD_ARRAY)
        rc = recxs_check_disjoint(iod->iod_recxs, iod->iod_nr, &io->arena);
    if (rc == 0)
        rc = iod_room(iod, sgl, is_update, &piod->buf_len);
    if (rc != 0)
        return rc;
    piod->akey = client_obj_key(&iod->iod_name);
    piod->type = (uint8_t)iod->iod_type; /* the same numbers */
    piod->cond = (uint32_t)iod->iod_flags & DAOS_COND_MASK;
    piod->size = iod->iod_size;
    if (iod->iod_type == DAOS_IOD_ARRAY)
        piod->recxs = (struct proto_array){.nr = iod->iod_nr, .items = iod->iod_recxs};
    if (__builtin_add_overflow(io->data_bytes, piod->buf_len, &io->data_bytes))
        return CAIRN_ERR(INVAL);
    sgl_append(sgl, is_update, piod->buf_len, io->data.iovs, &io->data.iov_nr);
    return 0;
}

static int
io_init(struct io *io, struct client_obj *obj, struct client_io *args, bool is_update)
{
    uint64_t iov_nr = 0;
    int rc = client_obj_key_check(args->dkey, placement_otype_dkey(obj->otype));

    *io = (struct io){.obj = obj, .args = args};
    arena_init(&io->arena, 1024, ARENA_BYTES_MAX);
    if (rc != 0)
        return rc;
    if (args->nr == 0 || args->nr > PROTO_IODS_NR_MAX || args->iods == NULL)
        return CAIRN_ERR(INVAL);
    if ((args->flags & ~(uint64_t)DAOS_COND_MASK) != 0)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; args->sgls != NULL && i < args->nr; i++) {
        rc = sgl_check(&args->sgls[i]);
        if (rc != 0)
            return rc;
        iov_nr += args->sgls[i].sg_nr;
    }
    io->piods = arena_calloc(&io->arena, args->nr, sizeof(*io->piods));
    io->data.iovs = arena_calloc(&io->arena, iov_nr + 1, sizeof(*io->data.iovs));
    if (io->piods == NULL || io->data.iovs == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; rc == 0 && i < args->nr; i++) {
        rc = io_iod_init(io, i, is_update);
    }
    return rc != 0 ? rc : client_obj_grp_of(obj, args->dkey, &io->grp);
}

static void
io_fini(struct io *io)
{
    arena_fini(&io->arena);
}

/* ---- modifications ----------------------------------------------------------------------------------------------------------- */

static int
mod_send(struct io *io, struct proto_mod *mod, uint32_t tgt_id)
{
    struct proto_obj_apply_req req = {.mods = {.nr = 1, .items = mod}, .data_len = io->data_bytes};
    struct proto_obj_apply_rep rep = {0};
    struct rpc_bulk *bulk = NULL;
    struct arena arena;
    int rc = 0;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    if (io->data_bytes > PROTO_INLINE_BYTES_MAX) {
        req.data_crc = crc32c_sgl(0, &io->data, 0, io->data_bytes);
        rc = rpc_bulk_create(io->obj->cont->pool->client->rpc, &io->data, RPC_BULK_READ, &bulk);
        if (rc != 0)
            goto out;
        rpc_bulk_desc(bulk, &req.bulk);
    } else if (io->data_bytes > 0) {
        req.data.buf = arena_alloc(&arena, io->data_bytes);
        if (req.data.buf == NULL) {
            rc = CAIRN_ERR(NOMEM);
            goto out;
        }
        req.data.len = sgl_copy_out(&io->data, 0, req.data.buf, io->data_bytes);
        req.data_crc = crc32c(0, req.data.buf, req.data.len); /* of the copy, which nobody changes */
    }
    rc = client_tgt_call_bulk(io->obj->cont, tgt_id, PROTO_OBJ_APPLY, &req, bulk, &rep, &arena);
out:
    rpc_bulk_free(bulk);
    arena_fini(&arena);
    return rc;
}

/* To the group io->grp, again while maps and checksums ask for it. */
static int
mod_run(struct io *io, struct proto_mod *mod)
{
    uint32_t stale_nr = 0, csum_nr = 0;
    int rc;

    mod->oid = io->obj->oid;
    mod->layout_ver = io->obj->cont->layout_ver;
    for (;;) {
        uint32_t tgt_id;

        rc = client_obj_target(io->obj, io->grp, &mod->shard, &tgt_id);
        if (rc == 0)
            rc = mod_send(io, mod, tgt_id);
        if (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX)
            continue;
        if (rc == -DER_CSUM && ++csum_nr < CLIENT_CSUM_TRIES_NR_MAX)
            continue;
        return rc;
    }
}

static int
mode_check(const struct client_obj *obj, uint64_t flags)
{
    if ((obj->mode & DAOS_OO_RO) != 0 && (obj->mode & (DAOS_OO_RW | DAOS_OO_EXCL)) == 0)
        return CAIRN_ERR(NO_PERM);
    if ((obj->cont->flags & (DAOS_COO_RW | DAOS_COO_EX)) == 0)
        return CAIRN_ERR(NO_PERM);
    return (flags & ~(uint64_t)DAOS_COND_MASK) != 0 ? CAIRN_ERR(INVAL) : 0;
}

int
client_obj_update(struct client_obj *obj, struct client_io *args)
{
    struct io io;
    int rc = mode_check(obj, args->flags);

    if (rc != 0)
        return rc;
    rc = io_init(&io, obj, args, true);
    if (rc == 0) {
        struct proto_mod mod = {
            .op = MOD_UPDATE,
            .cond = (uint32_t)args->flags,
            .dkey = client_obj_key(args->dkey),
            .iods = {.nr = args->nr, .items = io.piods},
        };

        rc = mod_run(&io, &mod);
    }
    io_fini(&io);
    return rc;
}

struct punch {
    struct client_obj *obj;
    uint64_t flags;
    uint32_t absent_nr; /* groups that had nothing, with DAOS_COND_PUNCH */
};

static int
punch_grp(void *arg, uint32_t grp)
{
    struct punch *punch = arg;
    struct io io = {.obj = punch->obj, .grp = grp};
    struct proto_mod mod = {.op = MOD_PUNCH_OBJ, .cond = (uint32_t)punch->flags};
    int rc = mod_run(&io, &mod);

    if (rc == -DER_NONEXIST) {
        punch->absent_nr++;
        rc = 0;
    }
    return rc;
}

/* The whole object: a modification of each group, each by itself. */
int
client_obj_punch(struct client_obj *obj, uint64_t flags)
{
    struct punch punch = {.obj = obj, .flags = flags};
    int rc = mode_check(obj, flags);

    if (rc == 0)
        rc = client_obj_layout(obj);
    if (rc != 0)
        return rc;
    rc = client_par(
        obj->cont->pool->client, obj->layout.grp_nr, CLIENT_PAR_NR_MAX, punch_grp, &punch);
    if (rc == 0 && punch.absent_nr == placement_oid_grp_nr(obj->oid))
        rc = CAIRN_ERR(NONEXIST);
    return rc;
}

int
client_obj_punch_dkey(struct client_obj *obj, uint64_t flags, const d_iov_t *dkey)
{
    struct proto_mod mod = {.op = MOD_PUNCH_DKEY, .cond = (uint32_t)flags};
    struct io io = {.obj = obj};
    int rc = mode_check(obj, flags);

    if (rc == 0)
        rc = client_obj_key_check(dkey, placement_otype_dkey(obj->otype));
    if (rc == 0)
        rc = client_obj_grp_of(obj, dkey, &io.grp);
    if (rc != 0)
        return rc;
    mod.dkey = client_obj_key(dkey);
    return mod_run(&io, &mod);
}

int
client_obj_punch_akeys(
    struct client_obj *obj, uint64_t flags, const d_iov_t *dkey, uint32_t nr, const d_iov_t *akeys)
{
    struct proto_mod mod = {.op = MOD_PUNCH_AKEYS, .cond = (uint32_t)flags};
    struct io io = {.obj = obj};
    struct proto_iod *iods;
    int rc = mode_check(obj, flags);

    if (rc == 0)
        rc = client_obj_key_check(dkey, placement_otype_dkey(obj->otype));
    if (rc == 0 && (nr == 0 || nr > PROTO_IODS_NR_MAX || akeys == NULL))
        rc = CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = client_obj_grp_of(obj, dkey, &io.grp);
    if (rc != 0)
        return rc;
    arena_init(&io.arena, 1024, ARENA_BYTES_MAX);
    iods = arena_calloc(&io.arena, nr, sizeof(*iods));
    if (iods == NULL)
        rc = CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        rc = client_obj_key_check(&akeys[i], placement_otype_akey(obj->otype));
        iods[i].akey = client_obj_key(&akeys[i]);
        iods[i].type = DAOS_IOD_SINGLE; /* only the name counts */
    }
    mod.dkey = client_obj_key(dkey);
    mod.iods = (struct proto_array){.nr = nr, .items = iods};
    if (rc == 0)
        rc = mod_run(&io, &mod);
    arena_fini(&io.arena);
    return rc;
}

/* ---- fetch ---------------------------------------------------------------------------------------------------------------------- */

static void
sgl_out_set(d_sg_list_t *sgl, uint64_t bytes)
{
    sgl->sg_nr_out = 0;
    for (uint32_t i = 0; i < sgl->sg_nr; i++) {
        sgl->sg_iovs[i].iov_len = MIN(sgl->sg_iovs[i].iov_buf_len, bytes);
        bytes -= sgl->sg_iovs[i].iov_len;
        if (sgl->sg_iovs[i].iov_len > 0)
            sgl->sg_nr_out = i + 1;
    }
}

/* Segments cover the asked ranges, in the order asked: where the next one must begin. */
struct seg_cursor {
    uint32_t recx;
    uint64_t done; /* records of it */
    uint64_t off; /* bytes of the iod's part of the data */
};

/* Bytes and place of the next segment; -DER_PROTO when it is not what comes next, or does not fit the room. */
static int
seg_next(const daos_iod_t *iod, const struct proto_seg *seg, uint64_t size, uint64_t room,
    struct seg_cursor *cursor, uint64_t *ret_off, uint64_t *ret_bytes)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(seg->nr, size, &bytes))
        return CAIRN_ERR(PROTO);
    if (iod->iod_type == DAOS_IOD_ARRAY) {
        const daos_recx_t *recx = &iod->iod_recxs[MIN(cursor->recx, iod->iod_nr - 1)];

        if (cursor->recx >= iod->iod_nr || seg->nr == 0 ||
            seg->idx != recx->rx_idx + cursor->done || seg->nr > recx->rx_nr - cursor->done)
            return CAIRN_ERR(PROTO);
        cursor->done += seg->nr;
        if (cursor->done == recx->rx_nr) {
            cursor->recx++;
            cursor->done = 0;
        }
    }
    if (seg->is_present && (cursor->off > room || bytes > room - cursor->off))
        return CAIRN_ERR(PROTO);
    *ret_off = cursor->off;
    *ret_bytes = bytes;
    if (__builtin_add_overflow(cursor->off, bytes, &cursor->off))
        return CAIRN_ERR(PROTO);
    return 0;
}

/* Clear what lies between the present segments of an iod: the part from `from` to `to`. */
static void
hole_zero(const struct io *io, uint64_t base, uint64_t from, uint64_t to)
{
    if ((io->args->zero_holes || io->is_soiled) && to > from)
        CAIRN_IGNORE(sgl_zero(&io->data, base + from, to - from)); /* within the list */
}

/* Where the reply's data is read from. */
struct cursor {
    const uint8_t *buf; /* inline data; NULL: it was pushed into place */
    const struct rpc_bulk *bulk; /* the region it was pushed to, closed */
    uint64_t off; /* in the present segments, one after the other */
    uint32_t crc; /* without the run */
    uint64_t run_off, run_len; /* neighbours in the data */
};

/* The checksum of pushed data: that of the parts as they arrived, where they are the run; else the bytes tell. */
static void
run_end(const struct io *io, struct cursor *cursor)
{
    uint32_t crc;

    if (cursor->run_len > 0 && cursor->bulk != NULL &&
        rpc_bulk_arrived(cursor->bulk, cursor->run_off, cursor->run_len, &crc)) {
        cursor->crc = crc32c_combine(cursor->crc, crc, cursor->run_len);
    } else {
        cursor->crc = crc32c_sgl(cursor->crc, &io->data, cursor->run_off, cursor->run_len);
    }
    cursor->run_len = 0;
}

/* One iod of a reply: inline data is scattered, pushed data is there already; the checksum goes over both (COB-2). */
static int
iod_finish(struct io *io, uint32_t i, uint64_t base, const struct proto_fetch_iod *fiod,
    uint64_t data_len, struct cursor *cursor)
{
    const struct proto_seg *segs = fiod->segs.items;
    const daos_iod_t *iod = &io->args->iods[i];
    uint64_t room = io->piods[i].buf_len, out_bytes = 0;
    struct seg_cursor place = {0};

    for (uint32_t s = 0; s < fiod->segs.nr && room > 0; s++) {
        uint64_t off, bytes;
        int rc = seg_next(iod, &segs[s], fiod->size, room, &place, &off, &bytes);

        if (rc != 0)
            return rc;
        if (!segs[s].is_present)
            continue;
        if (bytes > data_len - cursor->off)
            return CAIRN_ERR(PROTO);
        if (off > out_bytes)
            hole_zero(io, base, out_bytes, off);
        if (cursor->buf != NULL) {
            cursor->crc = crc32c(cursor->crc, cursor->buf + cursor->off, bytes);
            CAIRN_IGNORE(sgl_copy_in(
                &io->data, base + off, cursor->buf + cursor->off, bytes)); /* within the list */
        } else {
            if (cursor->run_off + cursor->run_len != base + off) {
                run_end(io, cursor);
                cursor->run_off = base + off;
            }
            cursor->run_len += bytes;
        }
        cursor->off += bytes;
        out_bytes = MAX(out_bytes, off + bytes);
    }
    hole_zero(io, base, out_bytes, room);
    if (io->args->sgls != NULL)
        sgl_out_set(&io->args->sgls[i], io->args->zero_holes ? room : out_bytes);
    return 0;
}

static int
fetch_finish(struct io *io, const struct proto_obj_fetch_rep *rep, const struct rpc_bulk *bulk)
{
    const struct proto_fetch_iod *fiods = rep->iods.items;
    bool is_inline = rep->data.len > 0;
    struct cursor cursor = {.buf = is_inline ? rep->data.buf : NULL, .bulk = bulk};
    uint64_t base = 0;

    if (rep->iods.nr != io->args->nr || (is_inline && rep->data.len != rep->data_len))
        return CAIRN_ERR(PROTO);
    for (uint32_t i = 0; i < io->args->nr; i++) {
        daos_iod_t *iod = &io->args->iods[i];
        int rc;

        if (iod->iod_type == DAOS_IOD_ARRAY && iod->iod_size != 0 && fiods[i].size != 0 &&
            fiods[i].size != iod->iod_size)
            return CAIRN_ERR(REC_SIZE);
        rc = iod_finish(io, i, base, &fiods[i], rep->data_len, &cursor);
        if (rc != 0)
            return rc;
        base += io->piods[i].buf_len;
    }
    run_end(io, &cursor);
    if (io->data_bytes > 0 && (cursor.off != rep->data_len || cursor.crc != rep->data_crc))
        return CAIRN_ERR(CSUM);
    for (uint32_t i = 0; i < io->args->nr; i++) {
        io->args->iods[i].iod_size = fiods[i].size;
    }
    return 0;
}

/* What is there, for callers that ask (daos_iom_t). */
static void
iom_fill(const struct proto_fetch_iod *fiod, daos_iod_type_t type, daos_iom_t *iom)
{
    const struct proto_seg *segs = fiod->segs.items;
    uint32_t room = iom->iom_recxs == NULL ? 0 : iom->iom_nr;
    uint32_t out = 0;

    iom->iom_type = type;
    iom->iom_size = fiod->size;
    iom->iom_recx_lo = (daos_recx_t){0};
    iom->iom_recx_hi = (daos_recx_t){0};
    for (uint32_t s = 0; s < fiod->segs.nr; s++) {
        daos_recx_t recx = {.rx_idx = segs[s].idx, .rx_nr = segs[s].nr};

        if (!segs[s].is_present)
            continue;
        if (out == 0 || recx.rx_idx < iom->iom_recx_lo.rx_idx)
            iom->iom_recx_lo = recx;
        if (out == 0 || recx.rx_idx > iom->iom_recx_hi.rx_idx)
            iom->iom_recx_hi = recx;
        if (out < room && (iom->iom_flags & DAOS_IOMF_DETAIL) != 0)
            iom->iom_recxs[out] = recx;
        out++;
    }
    iom->iom_nr_out = out;
}

static int
fetch_send(struct io *io, uint32_t shard, uint32_t tgt_id)
{
    bool is_size_only = io->args->sgls == NULL;
    struct proto_obj_fetch_req req = {
        .oid = io->obj->oid,
        .shard = shard,
        .layout_ver = io->obj->cont->layout_ver,
        .epoch = io->obj->epoch,
        .flags = (uint32_t)io->args->flags | (is_size_only ? CLIENT_FETCH_SIZE_ONLY : 0),
        .dkey = client_obj_key(io->args->dkey),
        .iods = {.nr = io->args->nr, .items = io->piods},
    };
    struct proto_obj_fetch_rep rep = {0};
    const struct proto_fetch_iod *fiods;
    struct rpc_bulk *bulk = NULL;
    uint64_t written = 0;
    struct arena arena;
    int rc = 0;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    if (!is_size_only && io->data_bytes > PROTO_INLINE_BYTES_MAX) {
        rc = rpc_bulk_create(io->obj->cont->pool->client->rpc, &io->data, RPC_BULK_WRITE, &bulk);
        if (rc != 0)
            goto out;
        rpc_bulk_desc(bulk, &req.bulk);
    }
    rc = client_tgt_call(io->obj->cont, tgt_id, PROTO_OBJ_FETCH, &req, &rep, &arena);
    fiods = rep.iods.items;
    if (bulk != NULL) {
        written = rpc_bulk_written(bulk);
        rpc_bulk_close(bulk);
    }
    io->is_soiled = io->is_soiled || written > (rc == 0 && rep.data.len == 0 ? rep.data_len : 0);
    if (rc == 0)
        rc = fetch_finish(io, &rep, bulk);
    io->is_soiled = io->is_soiled || (rc != 0 && written > 0);
    for (uint32_t i = 0; rc == -DER_REC2BIG && rep.iods.nr == io->args->nr && i < io->args->nr; i++) {
        io->args->iods[i].iod_size = fiods[i].size; /* tells how much room is needed */
    }
    for (uint32_t i = 0; rc == 0 && io->args->ioms != NULL && i < io->args->nr; i++) {
        iom_fill(&fiods[i], io->args->iods[i].iod_type, &io->args->ioms[i]);
    }
out:
    rpc_bulk_free(bulk);
    arena_fini(&arena);
    return rc;
}

static int
fetch_run(struct io *io)
{
    uint32_t stale_nr = 0, csum_nr = 0;
    int rc;

    for (;;) {
        uint32_t shard, tgt_id;

        rc = client_obj_target(io->obj, io->grp, &shard, &tgt_id);
        if (rc == 0)
            rc = fetch_send(io, shard, tgt_id);
        if (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX)
            continue;
        if (rc == -DER_CSUM && ++csum_nr < CLIENT_CSUM_TRIES_NR_MAX)
            continue;
        return rc;
    }
}

static int
fetch_once(struct client_obj *obj, struct client_io *args)
{
    struct io io;
    int rc = io_init(&io, obj, args, false);

    if (rc == 0)
        rc = fetch_run(&io);
    io_fini(&io);
    return rc;
}

/* Records of unknown size cannot be placed: ask for the size first. */
static bool
needs_sizes(const struct client_io *args)
{
    for (uint32_t i = 0; args->sgls != NULL && args->iods != NULL && i < args->nr; i++) {
        if (args->iods[i].iod_type == DAOS_IOD_ARRAY && args->iods[i].iod_size == DAOS_REC_ANY)
            return true;
    }
    return false;
}

int
client_obj_fetch(struct client_obj *obj, struct client_io *args)
{
    if (needs_sizes(args)) {
        struct client_io sizes = *args;
        int rc;

        sizes.sgls = NULL;
        sizes.ioms = NULL;
        rc = fetch_once(obj, &sizes);
        if (rc != 0)
            return rc;
    }
    return fetch_once(obj, args);
}

/* ---- the public calls -------------------------------------------------------------------------------------------------------------- */

struct rw_args {
    daos_handle_t oh, th;
    struct client_io io;
    daos_key_t *keys;
};

static int
update_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = client_obj_update(obj, &args->io);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_update(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    unsigned int nr, daos_iod_t *iods, d_sg_list_t *sgls, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh,
        .th = th,
        .io = {.flags = flags, .dkey = dkey, .nr = nr, .iods = iods, .sgls = sgls}};

    return client_run(ev, update_ult, &args, sizeof(args));
}

static int
fetch_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = client_obj_fetch(obj, &args->io);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_fetch(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    unsigned int nr, daos_iod_t *iods, d_sg_list_t *sgls, daos_iom_t *ioms, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh,
        .th = th,
        .io = {.flags = flags, .dkey = dkey, .nr = nr, .iods = iods, .sgls = sgls, .ioms = ioms}};

    return client_run(ev, fetch_ult, &args, sizeof(args));
}

static int
punch_obj_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = client_obj_punch(obj, args->io.flags);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_punch(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh, .th = th, .io = {.flags = flags}};

    return client_run(ev, punch_obj_ult, &args, sizeof(args));
}

/* Keys of one object may lie in several groups: key by key, each by itself. */
static int
punch_dkeys_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    if (args->io.nr == 0 || args->keys == NULL)
        rc = CAIRN_ERR(INVAL);
    for (uint32_t i = 0; rc == 0 && i < args->io.nr; i++) {
        rc = client_obj_key_check(&args->keys[i], placement_otype_dkey(obj->otype));
    }
    for (uint32_t i = 0; rc == 0 && i < args->io.nr; i++) {
        rc = client_obj_punch_dkey(obj, args->io.flags, &args->keys[i]);
    }
    client_obj_put(obj);
    return rc;
}

int
daos_obj_punch_dkeys(daos_handle_t oh, daos_handle_t th, uint64_t flags, unsigned int nr,
    daos_key_t *dkeys, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh, .th = th, .io = {.flags = flags, .nr = nr}, .keys = dkeys};

    return client_run(ev, punch_dkeys_ult, &args, sizeof(args));
}

static int
punch_akeys_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = client_obj_punch_akeys(obj, args->io.flags, args->io.dkey, args->io.nr, args->keys);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_punch_akeys(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    unsigned int nr, daos_key_t *akeys, daos_event_t *ev)
{
    struct rw_args args = {
        .oh = oh, .th = th, .io = {.flags = flags, .dkey = dkey, .nr = nr}, .keys = akeys};

    return client_run(ev, punch_akeys_ult, &args, sizeof(args));
}
