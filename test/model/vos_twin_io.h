/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The universe of the twin in terms of vos: names of keys, requests, and comparing what both hold. */
#ifndef CAIRN_VOS_TWIN_IO_H
#define CAIRN_VOS_TWIN_IO_H

#include "base/codec.h"
#include "vos/test/vos_test_fix.h"
#include "vos_twin.h"

/* Object types: hashed; integer dkeys; lexical; integer everywhere. */
static const uint8_t twin_types[TWIN_OBJ_NR] = {0, 2, 7, 4};
static const char *const twin_dkeys[TWIN_DKEY_NR] = {
    "d", "dkey1", "dkey11", "samestart2", "samestart3", "samestart33", "z"};
static const char *const twin_akeys[TWIN_AKEY_NR] = {"value-a", "value-b", "array-c", "array-d"};

static inline struct vos_oid
twin_oid(uint32_t obj)
{
    return (struct vos_oid){.oid = {.lo = 100 + obj, .hi = (uint64_t)twin_types[obj] << 56}};
}

/* The key in mem (8 bytes) or as text. */
static inline struct iov
twin_key(uint32_t obj, bool is_dkey, uint32_t idx, uint64_t *mem)
{
    bool is_uint = twin_types[obj] == 4 || (twin_types[obj] == 2 && is_dkey);

    if (!is_uint)
        return IOV(is_dkey ? twin_dkeys[idx] : twin_akeys[idx]);
    le64_put(mem, (uint64_t)idx * 1000 + 5);
    return (struct iov){mem, 8};
}

/* Memory of a request in terms of vos. */
struct twin_built {
    struct vos_mod mods[TWIN_MODS_NR_MAX];
    struct vos_iod iods[TWIN_MODS_NR_MAX][TWIN_AKEY_NR];
    uint64_t dkey_mem[TWIN_MODS_NR_MAX], akey_mem[TWIN_MODS_NR_MAX][TWIN_AKEY_NR];
    uint8_t *data[TWIN_MODS_NR_MAX][TWIN_AKEY_NR];
};

static inline void
twin_build(const struct twin_req *req, struct twin_built *b)
{
    memset(b, 0, sizeof(*b));
    for (uint32_t m = 0; m < req->mod_nr; m++) {
        const struct twin_mod *mod = &req->mods[m];

        b->mods[m] = (struct vos_mod){.op = mod->op,
            .oid = twin_oid(mod->obj),
            .cond = mod->cond,
            .dkey = twin_key(mod->obj, true, mod->dkey, &b->dkey_mem[m]),
            .iod_nr = mod->iod_nr,
            .iods = b->iods[m]};
        for (uint32_t i = 0; i < mod->iod_nr; i++) {
            const struct twin_iod *t = &mod->iods[i];
            size_t len = 0;

            for (uint32_t r = 0; r < t->recx_nr; r++) {
                len += t->recxs[r].nr;
            }
            len = t->akey < 2 ? t->size : len * t->size;
            b->data[m][i] = malloc(len + 1);
            for (size_t k = 0; k < len; k++) {
                b->data[m][i][k] = twin_byte(t->seed, k);
            }
            b->iods[m][i] =
                (struct vos_iod){.akey = twin_key(mod->obj, false, t->akey, &b->akey_mem[m][i]),
                    .type = t->akey < 2 ? VOS_IOD_SINGLE : VOS_IOD_ARRAY,
                    .cond = t->cond,
                    .size = t->size,
                    .recx_nr = t->recx_nr,
                    .recxs = t->recxs,
                    .data = {b->data[m][i], len}};
        }
    }
}

static inline void
twin_built_free(struct twin_built *b)
{
    for (uint32_t m = 0; m < TWIN_MODS_NR_MAX; m++) {
        for (uint32_t i = 0; i < TWIN_AKEY_NR; i++) {
            free(b->data[m][i]);
        }
    }
}

/* Read one dkey with all its akeys. */
static inline int
twin_fetch_dkey(
    struct fix *f, uint32_t obj, uint32_t dkey, uint64_t epoch, struct vos_fetch **ret_fetch)
{
    struct recx all = {0, TWIN_ARRAY_BYTES};
    struct vos_iod iods[TWIN_AKEY_NR];
    uint64_t mem, mems[TWIN_AKEY_NR];
    struct iov dk = twin_key(obj, true, dkey, &mem);
    struct vos_oid oid = twin_oid(obj);

    for (uint32_t i = 0; i < TWIN_AKEY_NR; i++) {
        iods[i] = (struct vos_iod){.akey = twin_key(obj, false, i, &mems[i]),
            .type = i < 2 ? VOS_IOD_SINGLE : VOS_IOD_ARRAY,
            .recx_nr = 1,
            .recxs = &all};
    }
    return vos_fetch(f->cont, &oid, epoch, 0, &dk, iods, TWIN_AKEY_NR, ret_fetch);
}

static inline bool
twin_single_matches(const struct twin_akey *a, const struct vos_fetch_iod *got)
{
    if (got->size != a->size)
        return false;
    for (uint64_t k = 0; k < a->size; k++) {
        if (((const uint8_t *)got->segs[0].buf)[k] != twin_byte(a->seed, k))
            return false;
    }
    return true;
}

static inline bool
twin_array_matches(const struct twin_akey *a, const struct vos_fetch_iod *got)
{
    uint64_t pos = 0;

    for (uint32_t g = 0; g < got->seg_nr; g++) {
        const struct vos_seg *seg = &got->segs[g];

        if (seg->idx != pos)
            return false;
        pos += seg->nr;
        for (uint64_t k = 0; k < seg->nr; k++) {
            if (a->present[seg->idx + k] != (seg->buf != NULL))
                return false;
            if (seg->buf != NULL && ((const uint8_t *)seg->buf)[k] != a->bytes[seg->idx + k])
                return false;
        }
    }
    return pos == TWIN_ARRAY_BYTES;
}

/* Whether what was read is what the state holds. */
static inline bool
twin_dkey_matches(
    const struct twin_state *s, uint32_t obj, uint32_t dkey, const struct vos_fetch *fetch)
{
    for (uint32_t i = 0; i < TWIN_AKEY_NR; i++) {
        const struct twin_akey *a = &s->objs[obj].dkeys[dkey].akeys[i];

        if (i < 2 ? !twin_single_matches(a, &fetch->iods[i])
                  : !twin_array_matches(a, &fetch->iods[i]))
            return false;
    }
    return true;
}

static inline void
twin_compare_dkey(
    struct fix *f, const struct twin_state *s, uint32_t obj, uint32_t dkey, uint64_t epoch)
{
    struct vos_fetch *fetch;

    if (!EXPECT_OK(twin_fetch_dkey(f, obj, dkey, epoch, &fetch)))
        return;
    EXPECT(twin_dkey_matches(s, obj, dkey, fetch));
    vos_fetch_free(f->cont, fetch);
}

struct twin_seen {
    uint32_t obj;
    bool is_dkey;
    uint32_t objs, keys; /* bit sets */
    uint32_t doubles;
    bool present[TWIN_ARRAY_BYTES];
};

static inline bool
twin_seen_fn(void *arg, const struct vos_entry *e)
{
    struct twin_seen *s = arg;
    uint64_t mem;
    uint32_t nr = s->is_dkey ? TWIN_DKEY_NR : TWIN_AKEY_NR;

    if (e->key.buf == NULL && e->recx.nr == 0) {
        s->doubles += (s->objs >> (e->oid.oid.lo - 100)) & 1;
        s->objs |= 1u << (e->oid.oid.lo - 100);
        return true;
    }
    if (e->recx.nr != 0) {
        for (uint64_t i = e->recx.idx; i < e->recx.idx + e->recx.nr && i < TWIN_ARRAY_BYTES; i++) {
            s->doubles += s->present[i];
            s->present[i] = true;
        }
        return true;
    }
    for (uint32_t i = 0; i < nr; i++) {
        struct iov k = twin_key(s->obj, s->is_dkey, i, &mem);

        if (k.len == e->key.len && memcmp(k.buf, e->key.buf, k.len) == 0) {
            s->doubles += (s->keys >> i) & 1;
            s->keys |= 1u << i;
        }
    }
    return true;
}

static inline void
twin_list(struct fix *f, struct vos_list_args *args, struct twin_seen *seen)
{
    struct vos_anchor anchor = {.eof = false};

    args->fn = twin_seen_fn;
    args->arg = seen;
    while (!anchor.eof && EXPECT_OK(vos_list(f->cont, args, &anchor))) {
    }
    EXPECT_EQ(seen->doubles, 0);
}

/* Every listing at an epoch, with small steps. */
static inline void
twin_compare_lists(struct fix *f, const struct twin_state *s, uint64_t epoch)
{
    struct vos_list_args args = {
        .level = VOS_LEVEL_OBJ, .epoch = epoch, .nr_max = 1 + (uint32_t)rng_below(&f->rng, 5)};
    struct twin_seen objs = {0};
    uint64_t mem, mem2;

    twin_list(f, &args, &objs);
    for (uint32_t o = 0; o < TWIN_OBJ_NR && !test_failed(); o++) {
        struct twin_seen dkeys = {.obj = o, .is_dkey = true};

        EXPECT_EQ(objs.objs >> o & 1, s->objs[o].exists);
        args.level = VOS_LEVEL_DKEY;
        args.oid = twin_oid(o);
        twin_list(f, &args, &dkeys);
        for (uint32_t d = 0; d < TWIN_DKEY_NR; d++) {
            struct twin_seen akeys = {.obj = o};

            EXPECT_EQ(dkeys.keys >> d & 1, s->objs[o].dkeys[d].exists);
            args.level = VOS_LEVEL_AKEY;
            args.dkey = twin_key(o, true, d, &mem);
            twin_list(f, &args, &akeys);
            for (uint32_t a = 0; a < TWIN_AKEY_NR; a++) {
                const struct twin_akey *want = &s->objs[o].dkeys[d].akeys[a];
                struct twin_seen recxs = {.obj = o};

                EXPECT_EQ(akeys.keys >> a & 1, want->exists);
                if (a < 2)
                    continue;
                args.level = VOS_LEVEL_RECX;
                args.akey = twin_key(o, false, a, &mem2);
                args.descending = rng_chance(&f->rng, 1, 2);
                twin_list(f, &args, &recxs);
                args.descending = false;
                EXPECT_MEM_EQ(recxs.present, want->present, sizeof(recxs.present));
            }
        }
    }
}

/* Largest and smallest dkey with data in akey 2, of the object with integer dkeys. */
static inline void
twin_compare_query(struct fix *f, const struct twin_state *s, uint64_t epoch, bool is_max)
{
    struct vos_oid oid = twin_oid(1);
    struct iov akey = IOV(twin_akeys[2]);
    struct vos_query_ret q;
    int64_t want_d = -1, want_i = -1;
    int rc = fix_query(f, &oid, epoch,
        VOS_GET_DKEY | VOS_GET_RECX | (is_max ? VOS_GET_MAX : VOS_GET_MIN), NULL, &akey, &q);

    for (int32_t d = 0; d < TWIN_DKEY_NR; d++) {
        for (int32_t i = 0; i < TWIN_ARRAY_BYTES; i++) {
            if (s->objs[1].dkeys[d].akeys[2].present[i] && (is_max || want_d < 0)) {
                want_d = d;
                want_i = i;
            }
        }
    }
    if (want_d < 0) {
        EXPECT_ERR(rc, NONEXIST);
        return;
    }
    if (!EXPECT_OK(rc))
        return;
    EXPECT_EQ(q.dkey, (uint64_t)want_d * 1000 + 5);
    EXPECT_EQ(is_max ? q.recx.idx + q.recx.nr - 1 : q.recx.idx, (uint64_t)want_i);
}

static inline void
twin_compare_all(struct fix *f, const struct twin_state *s, uint64_t epoch)
{
    for (uint32_t o = 0; o < TWIN_OBJ_NR && !test_failed(); o++) {
        for (uint32_t d = 0; d < TWIN_DKEY_NR && !test_failed(); d++) {
            twin_compare_dkey(f, s, o, d, epoch);
        }
    }
    twin_compare_lists(f, s, epoch);
    twin_compare_query(f, s, epoch, true);
    twin_compare_query(f, s, epoch, false);
}

#endif
