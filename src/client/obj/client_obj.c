/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Opening objects, updates, fetches and punches (client_obj.h). Listing and queries are in client_obj_list.c. */
#include "client/obj/client_obj.h"

#include "base/assert.h"
#include "base/crc.h"
#include "base/util.h"
#include "client/core/client_event.h"
#include "client/obj/client_obj_priv.h"

#include <stdlib.h>
#include <string.h>

enum { STALE_TRIES_NR_MAX = 16, CSUM_TRIES_NR_MAX = 3, ARENA_BYTES_MAX = 64 << 20 };

/* ---- open and close -------------------------------------------------------------------------------------------------- */

int
client_obj_of(struct daos_client *client, uint64_t cookie, struct client_obj **ret_obj)
{
    struct client_obj *obj = client_hdl_get(client, CLIENT_HDL_OBJ, cookie);

    if (obj == NULL)
        return CAIRN_ERR(NO_HDL);
    *ret_obj = obj;
    return 0;
}

void
client_obj_get(struct client_obj *obj)
{
    CAIRN_ASSERT(obj->ref_nr > 0);
    obj->ref_nr++;
}

void
client_obj_put(struct client_obj *obj)
{
    if (obj == NULL)
        return;
    CAIRN_ASSERT(obj->ref_nr > 0);
    if (--obj->ref_nr > 0)
        return;
    placement_layout_fini(&obj->layout);
    obj->cont->obj_nr--;
    client_cont_put(obj->cont);
    free(obj);
}

int
client_obj_open(struct client_cont *cont, struct oid oid, unsigned int mode, struct client_obj **ret_obj)
{
    struct client_obj *obj;
    int rc = placement_oid_check(oid);

    if (rc != 0)
        return rc;
    obj = calloc(1, sizeof(*obj));
    if (obj == NULL)
        return CAIRN_ERR(NOMEM);
    client_cont_get(cont);
    cont->obj_nr++;
    obj->cont = cont;
    obj->ref_nr = 1;
    obj->oid = oid;
    obj->mode = mode;
    obj->otype = placement_oid_type(oid);
    *ret_obj = obj;
    return 0;
}

int
client_obj_layout(struct client_obj *obj)
{
    const struct poolmap *map = obj->cont->pool->map;
    struct placement_layout layout;
    int rc;

    if (obj->has_layout && obj->layout.map_version == map->version)
        return 0;
    rc = placement_layout(map, obj->oid, obj->cont->layout_ver, &layout);
    if (rc != 0)
        return rc;
    placement_layout_fini(&obj->layout);
    obj->layout = layout;
    obj->has_layout = true;
    return 0;
}

struct open_args {
    daos_handle_t coh;
    struct oid oid;
    unsigned int mode;
    daos_handle_t *ret_oh;
};

static int
open_ult(void *arg)
{
    struct open_args *args = arg;
    struct daos_client *client = client_self();
    struct client_cont *cont;
    struct client_obj *obj;
    uint64_t cookie;
    int rc = client_cont_of(client, args->coh.cookie, &cont);

    if (rc != 0)
        return rc;
    if ((args->mode & DAOS_OO_RW) != 0 && (cont->flags & (DAOS_COO_RW | DAOS_COO_EX)) == 0)
        return CAIRN_ERR(NO_PERM);
    rc = client_obj_open(cont, args->oid, args->mode, &obj);
    if (rc != 0)
        return rc;
    rc = client_hdl_new(client, CLIENT_HDL_OBJ, obj, &cookie);
    if (rc != 0) {
        client_obj_put(obj);
        return rc;
    }
    args->ret_oh->cookie = cookie;
    return 0;
}

int
daos_obj_open(daos_handle_t coh, daos_obj_id_t oid, unsigned int mode, daos_handle_t *oh, daos_event_t *ev)
{
    struct open_args args = {.coh = coh, .oid = {.lo = oid.lo, .hi = oid.hi}, .mode = mode, .ret_oh = oh};

    if (oh == NULL)
        return CAIRN_ERR(INVAL);
    return client_run(ev, open_ult, &args, sizeof(args));
}

static int
close_ult(void *arg)
{
    daos_handle_t *oh = arg;
    struct client_obj *obj = client_hdl_del(client_self(), CLIENT_HDL_OBJ, oh->cookie);

    if (obj == NULL)
        return CAIRN_ERR(NO_HDL);
    client_obj_put(obj);
    return 0;
}

int
daos_obj_close(daos_handle_t oh, daos_event_t *ev)
{
    return client_run(ev, close_ult, &oh, sizeof(oh));
}

/* ---- keys and buffers of the API to messages -------------------------------------------------------------------------- */

int
client_obj_key_check(const d_iov_t *key, enum placement_key kind)
{
    if (key == NULL || key->iov_buf == NULL || key->iov_len == 0)
        return CAIRN_ERR(INVAL);
    if (kind == PLACEMENT_KEY_UINT64 && key->iov_len != sizeof(uint64_t))
        return CAIRN_ERR(INVAL);
    if (key->iov_len > CLIENT_KEY_BYTES_MAX || (kind == PLACEMENT_KEY_LEXICAL && key->iov_len > CLIENT_KEY_LEXICAL_BYTES_MAX))
        return CAIRN_ERR(KEY2BIG);
    return 0;
}

struct iov
client_obj_key(const d_iov_t *key)
{
    return (struct iov){.buf = key->iov_buf, .len = key->iov_len};
}

int
client_obj_th_check(daos_handle_t th)
{
    return th.cookie == 0 ? 0 : CAIRN_ERR(NOSYS); /* transactions and snapshot reads: docs/roadmap.md */
}

/* Room (fetch) or bytes (update) of one API buffer list. */
static uint64_t
sgl_room(const d_sg_list_t *sgl, bool is_update)
{
    uint64_t room = 0;

    for (uint32_t i = 0; sgl != NULL && i < sgl->sg_nr; i++)
        room += is_update ? sgl->sg_iovs[i].iov_len : sgl->sg_iovs[i].iov_buf_len;
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
iod_check(const struct client_obj *obj, const daos_iod_t *iod)
{
    int rc = client_obj_key_check(&iod->iod_name, placement_otype_akey(obj->otype));

    if (rc != 0)
        return rc;
    if (iod->iod_type != DAOS_IOD_SINGLE && iod->iod_type != DAOS_IOD_ARRAY)
        return CAIRN_ERR(INVAL);
    if (iod->iod_type == DAOS_IOD_SINGLE)
        return iod->iod_nr <= 1 ? 0 : CAIRN_ERR(INVAL);
    if (iod->iod_nr == 0 || iod->iod_recxs == NULL || iod->iod_nr > CLIENT_RECXS_NR_MAX)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < iod->iod_nr; i++) {
        const daos_recx_t *recx = &iod->iod_recxs[i];

        if (recx->rx_nr == 0 || recx->rx_idx >> 63 != 0 || recx->rx_idx + recx->rx_nr > UINT64_C(1) << 63)
            return CAIRN_ERR(INVAL);
    }
    return 0;
}

/* Everything of one update or fetch that does not change from try to try. */
struct io {
    struct client_obj *obj;
    uint64_t flags;
    const d_iov_t *dkey;
    uint64_t dkey_hash;
    uint32_t nr;
    daos_iod_t *iods;
    d_sg_list_t *sgls;
    struct arena arena;
    struct proto_iod *piods;
    struct sgl data;      /* all buffers, iod by iod */
    uint64_t data_bytes;
};

static int
io_init(struct io *io, struct client_obj *obj, uint64_t flags, const d_iov_t *dkey, uint32_t nr, daos_iod_t *iods, d_sg_list_t *sgls, bool is_update)
{
    uint32_t iov_nr = 0;
    int rc = client_obj_key_check(dkey, placement_otype_dkey(obj->otype));

    *io = (struct io){.obj = obj, .flags = flags, .dkey = dkey, .nr = nr, .iods = iods, .sgls = sgls};
    arena_init(&io->arena, 4096, ARENA_BYTES_MAX);
    if (rc != 0)
        return rc;
    if (nr == 0 || nr > CLIENT_IODS_NR_MAX || iods == NULL)
        return CAIRN_ERR(INVAL);
    rc = placement_dkey_hash(obj->otype, dkey->iov_buf, dkey->iov_len, &io->dkey_hash);
    if (rc != 0)
        return rc;
    io->piods = arena_calloc(&io->arena, nr, sizeof(*io->piods));
    for (uint32_t i = 0; sgls != NULL && i < nr; i++)
        iov_nr += sgls[i].sg_nr;
    io->data.iovs = arena_calloc(&io->arena, iov_nr + 1, sizeof(*io->data.iovs));
    if (io->piods == NULL || io->data.iovs == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        const d_sg_list_t *sgl = sgls == NULL ? NULL : &sgls[i];
        struct proto_iod *piod = &io->piods[i];
        uint64_t bytes;

        rc = iod_check(obj, &iods[i]);
        if (rc == 0)
            rc = iod_bytes(&iods[i], &bytes);
        if (rc != 0)
            return rc;
        piod->akey = client_obj_key(&iods[i].iod_name);
        piod->type = iods[i].iod_type == DAOS_IOD_SINGLE ? 1 : 2;
        piod->cond = (uint32_t)iods[i].iod_flags & 0xffU;
        piod->size = iods[i].iod_size;
        if (iods[i].iod_type == DAOS_IOD_ARRAY) {
            CAIRN_STATIC_ASSERT(sizeof(daos_recx_t) == sizeof(struct proto_recx));
            piod->recxs = (struct proto_array){.nr = iods[i].iod_nr, .items = iods[i].iod_recxs};
        }
        if (is_update && bytes > sgl_room(sgl, true))
            return CAIRN_ERR(INVAL); /* fewer bytes given than promised */
        if (!is_update && (iods[i].iod_type == DAOS_IOD_SINGLE || iods[i].iod_size == 0))
            bytes = sgl_room(sgl, false);
        else if (!is_update && sgl != NULL && bytes > sgl_room(sgl, false))
            return CAIRN_ERR(REC2BIG);
        if (!is_update && sgl == NULL)
            bytes = 0;
        piod->buf_len = bytes;
        io->data_bytes += bytes;
        sgl_append(sgl, is_update, bytes, io->data.iovs, &io->data.iov_nr);
    }
    return 0;
}

static void
io_fini(struct io *io)
{
    arena_fini(&io->arena);
}

/* The target and shard of the request for the newest map (COB-1). */
static int
io_target(struct io *io, uint32_t *ret_shard, uint32_t *ret_tgt_id)
{
    int rc = client_obj_layout(io->obj);
    uint32_t grp;

    if (rc != 0)
        return rc;
    grp = placement_dkey_grp(&io->obj->layout, io->dkey_hash);
    *ret_shard = grp * io->obj->layout.grp_size;
    *ret_tgt_id = placement_shard_at(&io->obj->layout, grp, 0)->tgt_id;
    return 0;
}

static uint32_t
crc_sgl(uint32_t crc, const struct sgl *sgl, uint64_t off, uint64_t len)
{
    for (uint32_t i = 0; i < sgl->iov_nr && len > 0; i++) {
        size_t part;

        if (off >= sgl->iovs[i].len) {
            off -= sgl->iovs[i].len;
            continue;
        }
        part = MIN(sgl->iovs[i].len - off, len);
        crc = crc32c(crc, (const uint8_t *)sgl->iovs[i].buf + off, part);
        len -= part;
        off = 0;
    }
    return crc;
}

/* ---- modifications ---------------------------------------------------------------------------------------------------- */

/* Send one modification to one shard; `io` holds its data. */
static int
mod_send(struct io *io, struct proto_mod *mod, uint32_t shard, uint32_t tgt_id)
{
    struct proto_obj_apply_req req = {.mods = {.nr = 1, .items = mod}, .data_len = io->data_bytes};
    struct proto_obj_apply_rep rep = {0};
    struct rpc_bulk *bulk = NULL;
    struct arena arena;
    int rc = 0;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    mod->shard = shard;
    req.data_crc = crc_sgl(0, &io->data, 0, io->data_bytes);
    if (io->data_bytes > PROTO_INLINE_BYTES_MAX) {
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
    }
    rc = client_tgt_call(io->obj->cont, tgt_id, PROTO_OBJ_APPLY, &req, &rep, &arena);
out:
    rpc_bulk_free(bulk);
    arena_fini(&arena);
    return rc;
}

static int
mod_run(struct io *io, struct proto_mod *mod)
{
    uint32_t stale_nr = 0, csum_nr = 0;
    int rc;

    if ((io->obj->mode & DAOS_OO_RO) != 0 && (io->obj->mode & (DAOS_OO_RW | DAOS_OO_EXCL)) == 0)
        return CAIRN_ERR(NO_PERM);
    mod->oid = io->obj->oid;
    mod->layout_ver = io->obj->cont->layout_ver;
    mod->cond = (uint32_t)io->flags & 0xffU;
    for (;;) {
        uint32_t shard, tgt_id;

        rc = io_target(io, &shard, &tgt_id);
        if (rc == 0)
            rc = mod_send(io, mod, shard, tgt_id);
        if (rc == -DER_STALE && ++stale_nr < STALE_TRIES_NR_MAX)
            continue;
        if (rc == -DER_CSUM && ++csum_nr < CSUM_TRIES_NR_MAX)
            continue;
        return rc;
    }
}

struct rw_args {
    daos_handle_t oh, th;
    uint64_t flags;
    daos_key_t *dkey;
    unsigned int nr;
    daos_iod_t *iods;
    d_sg_list_t *sgls;
    daos_iom_t *ioms;
    daos_key_t *keys;
};

static int
update_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    struct io io;
    int rc = client_obj_of(client_self(), args->oh.cookie, &obj);

    if (rc == 0)
        rc = client_obj_th_check(args->th);
    if (rc != 0)
        return rc;
    client_obj_get(obj);
    rc = io_init(&io, obj, args->flags, args->dkey, args->nr, args->iods, args->sgls, true);
    if (rc == 0) {
        struct proto_mod mod = {
            .op = 1,
            .dkey = client_obj_key(args->dkey),
            .iods = {.nr = args->nr, .items = io.piods},
        };

        rc = mod_run(&io, &mod);
    }
    io_fini(&io);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_update(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey, unsigned int nr, daos_iod_t *iods, d_sg_list_t *sgls, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh, .th = th, .flags = flags, .dkey = dkey, .nr = nr, .iods = iods, .sgls = sgls};

    return client_run(ev, update_ult, &args, sizeof(args));
}

/* The whole object: one modification for each group. */
static int
punch_obj(struct client_obj *obj, uint64_t flags)
{
    struct io io = {.obj = obj, .flags = flags};
    uint32_t stale_nr = 0;
    int rc = client_obj_layout(obj);

    for (uint32_t grp = 0; rc == 0 && grp < obj->layout.grp_nr; grp++) {
        struct proto_mod mod = {.op = 2, .oid = obj->oid, .layout_ver = obj->cont->layout_ver, .cond = (uint32_t)flags & 0xffU};

        rc = mod_send(&io, &mod, grp * obj->layout.grp_size, placement_shard_at(&obj->layout, grp, 0)->tgt_id);
        if (rc == -DER_STALE && ++stale_nr < STALE_TRIES_NR_MAX) {
            rc = client_obj_layout(obj);
            grp--; /* the same group again, under the new map */
        }
    }
    return rc;
}

static int
punch_obj_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_of(client_self(), args->oh.cookie, &obj);

    if (rc == 0)
        rc = client_obj_th_check(args->th);
    if (rc != 0)
        return rc;
    client_obj_get(obj);
    rc = punch_obj(obj, args->flags);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_punch(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh, .th = th, .flags = flags};

    return client_run(ev, punch_obj_ult, &args, sizeof(args));
}

static int
punch_keys(struct client_obj *obj, const struct rw_args *args)
{
    struct io io = {.obj = obj, .flags = args->flags};
    struct proto_mod mod = {.op = 3};
    bool is_akeys = args->dkey != NULL;
    uint32_t nr = is_akeys ? 1 : args->nr;
    int rc = 0;

    if (args->nr == 0 || args->nr > CLIENT_IODS_NR_MAX || args->keys == NULL)
        return CAIRN_ERR(INVAL);
    arena_init(&io.arena, 1024, ARENA_BYTES_MAX);
    if (is_akeys) {
        struct proto_iod *iods = arena_calloc(&io.arena, args->nr, sizeof(*iods));

        if (iods == NULL)
            rc = CAIRN_ERR(NOMEM);
        for (uint32_t i = 0; rc == 0 && i < args->nr; i++) {
            rc = client_obj_key_check(&args->keys[i], placement_otype_akey(obj->otype));
            iods[i].akey = client_obj_key(&args->keys[i]);
            iods[i].type = 1;
        }
        mod.op = 4;
        mod.iods = (struct proto_array){.nr = args->nr, .items = iods};
    }
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        const daos_key_t *dkey = is_akeys ? args->dkey : &args->keys[i];

        rc = client_obj_key_check(dkey, placement_otype_dkey(obj->otype));
        if (rc == 0)
            rc = placement_dkey_hash(obj->otype, dkey->iov_buf, dkey->iov_len, &io.dkey_hash);
        if (rc != 0)
            break;
        mod.dkey = client_obj_key(dkey);
        rc = mod_run(&io, &mod);
    }
    arena_fini(&io.arena);
    return rc;
}

static int
punch_keys_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_of(client_self(), args->oh.cookie, &obj);

    if (rc == 0)
        rc = client_obj_th_check(args->th);
    if (rc != 0)
        return rc;
    client_obj_get(obj);
    rc = punch_keys(obj, args);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_punch_dkeys(daos_handle_t oh, daos_handle_t th, uint64_t flags, unsigned int nr, daos_key_t *dkeys, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh, .th = th, .flags = flags, .nr = nr, .keys = dkeys};

    return client_run(ev, punch_keys_ult, &args, sizeof(args));
}

int
daos_obj_punch_akeys(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey, unsigned int nr, daos_key_t *akeys, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh, .th = th, .flags = flags, .dkey = dkey, .nr = nr, .keys = akeys};

    if (dkey == NULL)
        return CAIRN_ERR(INVAL);
    return client_run(ev, punch_keys_ult, &args, sizeof(args));
}

/* ---- fetch ------------------------------------------------------------------------------------------------------------ */

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

/* Offset of record `idx` of the asked ranges within the iod's part of the data; UINT64_MAX: not asked for. `cursor` goes from range to range. */
static uint64_t
seg_off(const daos_iod_t *iod, const struct proto_seg *seg, uint32_t *recx_idx, uint64_t *recx_off, uint64_t size)
{
    if (iod->iod_type == DAOS_IOD_SINGLE)
        return 0;
    while (*recx_idx < iod->iod_nr) {
        const daos_recx_t *recx = &iod->iod_recxs[*recx_idx];

        if (seg->idx >= recx->rx_idx && seg->idx - recx->rx_idx < recx->rx_nr && seg->nr <= recx->rx_nr - (seg->idx - recx->rx_idx))
            return *recx_off + (seg->idx - recx->rx_idx) * size;
        *recx_off += recx->rx_nr * size;
        (*recx_idx)++;
    }
    return UINT64_MAX;
}

/* Put the reply in place: inline data is scattered, pushed data is there already; both are verified (COB-2). */
static int
fetch_finish(struct io *io, const struct proto_obj_fetch_rep *rep)
{
    const struct proto_fetch_iod *fiods = rep->iods.items;
    bool is_inline = rep->data.len > 0 || rep->data_len == 0;
    uint64_t base = 0, in = 0;
    uint32_t crc = 0;

    if (rep->iods.nr != io->nr || (is_inline && rep->data.len != rep->data_len))
        return CAIRN_ERR(PROTO);
    for (uint32_t i = 0; i < io->nr; i++) {
        const struct proto_seg *segs = fiods[i].segs.items;
        daos_iod_t *iod = &io->iods[i];
        uint64_t recx_off = 0, out_bytes = 0;
        uint32_t recx_idx = 0;

        for (uint32_t s = 0; s < fiods[i].segs.nr && io->piods[i].buf_len > 0; s++) {
            uint64_t off, bytes;

            if (!segs[s].is_present)
                continue;
            off = seg_off(iod, &segs[s], &recx_idx, &recx_off, fiods[i].size);
            if (off == UINT64_MAX || __builtin_mul_overflow(segs[s].nr, fiods[i].size, &bytes))
                return CAIRN_ERR(PROTO);
            if (off > io->piods[i].buf_len || bytes > io->piods[i].buf_len - off)
                return CAIRN_ERR(PROTO);
            if (is_inline) {
                if (bytes > rep->data.len - in)
                    return CAIRN_ERR(PROTO);
                crc = crc32c(crc, (const uint8_t *)rep->data.buf + in, bytes);
                sgl_copy_in(&io->data, base + off, (const uint8_t *)rep->data.buf + in, bytes);
            } else {
                crc = crc_sgl(crc, &io->data, base + off, bytes);
            }
            in += bytes;
            out_bytes = MAX(out_bytes, off + bytes);
        }
        base += io->piods[i].buf_len;
        if (iod->iod_type == DAOS_IOD_SINGLE || iod->iod_size == 0 || fiods[i].size == 0)
            iod->iod_size = fiods[i].size;
        if (io->sgls != NULL)
            sgl_out_set(&io->sgls[i], out_bytes);
    }
    if (io->data_bytes > 0 && (in != rep->data_len || crc != rep->data_crc))
        return CAIRN_ERR(CSUM);
    return 0;
}

/* What is mapped, for callers that ask where the data is (daos_iom_t). */
static void
ioms_fill(const struct proto_obj_fetch_rep *rep, uint32_t nr, const daos_iod_t *iods, daos_iom_t *ioms)
{
    const struct proto_fetch_iod *fiods = rep->iods.items;

    for (uint32_t i = 0; i < nr; i++) {
        const struct proto_seg *segs = fiods[i].segs.items;
        daos_iom_t *iom = &ioms[i];
        uint32_t room = iom->iom_recxs == NULL ? 0 : iom->iom_nr;
        uint32_t out = 0;

        iom->iom_type = iods[i].iod_type;
        iom->iom_size = fiods[i].size;
        iom->iom_recx_lo = (daos_recx_t){0};
        iom->iom_recx_hi = (daos_recx_t){0};
        for (uint32_t s = 0; s < fiods[i].segs.nr; s++) {
            daos_recx_t recx = {.rx_idx = segs[s].idx, .rx_nr = segs[s].nr};

            if (!segs[s].is_present)
                continue;
            if (out == 0)
                iom->iom_recx_lo = recx;
            iom->iom_recx_hi = recx;
            if (out < room)
                iom->iom_recxs[out] = recx;
            out++;
        }
        iom->iom_nr_out = out;
    }
}

static int
fetch_send(struct io *io, uint32_t shard, uint32_t tgt_id, bool is_size_only, daos_iom_t *ioms)
{
    struct proto_obj_fetch_req req = {
        .oid = io->obj->oid,
        .shard = shard,
        .layout_ver = io->obj->cont->layout_ver,
        .epoch = UINT64_MAX,
        .flags = ((uint32_t)io->flags & 0xffU) | (is_size_only ? CLIENT_FETCH_SIZE_ONLY : 0),
        .dkey = client_obj_key(io->dkey),
        .iods = {.nr = io->nr, .items = io->piods},
    };
    struct proto_obj_fetch_rep rep = {0};
    struct rpc_bulk *bulk = NULL;
    struct arena arena;
    int rc = 0;

    arena_init(&arena, 4096, CLIENT_REPLY_ARENA_BYTES_MAX);
    if (!is_size_only && io->data_bytes > PROTO_INLINE_BYTES_MAX) {
        rc = rpc_bulk_create(io->obj->cont->pool->client->rpc, &io->data, RPC_BULK_WRITE, &bulk);
        if (rc != 0)
            goto out;
        rpc_bulk_desc(bulk, &req.bulk);
    }
    rc = client_tgt_call(io->obj->cont, tgt_id, PROTO_OBJ_FETCH, &req, &rep, &arena);
    rpc_bulk_free(bulk);
    if (rc == -DER_REC2BIG && rep.iods.nr == io->nr) { /* the sizes came along */
        for (uint32_t i = 0; i < io->nr; i++)
            io->iods[i].iod_size = ((struct proto_fetch_iod *)rep.iods.items)[i].size;
    }
    if (rc == 0)
        rc = fetch_finish(io, &rep);
    if (rc == 0 && ioms != NULL)
        ioms_fill(&rep, io->nr, io->iods, ioms);
out:
    arena_fini(&arena);
    return rc;
}

static int
fetch_run(struct io *io, bool is_size_only, daos_iom_t *ioms)
{
    uint32_t stale_nr = 0, csum_nr = 0;
    int rc;

    for (;;) {
        uint32_t shard, tgt_id;

        rc = io_target(io, &shard, &tgt_id);
        if (rc == 0)
            rc = fetch_send(io, shard, tgt_id, is_size_only, ioms);
        if (rc == -DER_STALE && ++stale_nr < STALE_TRIES_NR_MAX)
            continue;
        if (rc == -DER_CSUM && ++csum_nr < CSUM_TRIES_NR_MAX)
            continue;
        return rc;
    }
}

/* Records of unknown size cannot be placed: ask for the size first. */
static bool
needs_sizes(const struct rw_args *args)
{
    for (unsigned int i = 0; args->sgls != NULL && i < args->nr; i++) {
        if (args->iods[i].iod_type == DAOS_IOD_ARRAY && args->iods[i].iod_size == 0)
            return true;
    }
    return false;
}

static int
fetch_once(struct client_obj *obj, const struct rw_args *args, bool is_size_only)
{
    struct io io;
    int rc = io_init(&io, obj, args->flags, args->dkey, args->nr, args->iods, is_size_only ? NULL : args->sgls, false);

    if (rc == 0)
        rc = fetch_run(&io, is_size_only, is_size_only ? NULL : args->ioms);
    io_fini(&io);
    return rc;
}

static int
fetch_ult(void *arg)
{
    struct rw_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_of(client_self(), args->oh.cookie, &obj);

    if (rc == 0)
        rc = client_obj_th_check(args->th);
    if (rc == 0 && (args->iods == NULL || args->nr == 0))
        rc = CAIRN_ERR(INVAL);
    if (rc != 0)
        return rc;
    client_obj_get(obj);
    if (needs_sizes(args))
        rc = fetch_once(obj, args, true);
    if (rc == 0)
        rc = fetch_once(obj, args, args->sgls == NULL);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_fetch(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey, unsigned int nr, daos_iod_t *iods, d_sg_list_t *sgls, daos_iom_t *ioms, daos_event_t *ev)
{
    struct rw_args args = {.oh = oh, .th = th, .flags = flags, .dkey = dkey, .nr = nr, .iods = iods, .sgls = sgls, .ioms = ioms};

    return client_run(ev, fetch_ult, &args, sizeof(args));
}
