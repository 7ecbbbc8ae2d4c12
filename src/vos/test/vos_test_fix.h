/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One way to run vos on either backend: a plat with one xstream, a bio target and a store on it. The body of a test is a function that runs as
 * a ULT, so that it reads top to bottom. Under sim a fixture can be killed or lose power and be started again.
 */
#ifndef CAIRN_VOS_TEST_FIX_H
#define CAIRN_VOS_TEST_FIX_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "base/util.h"
#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"
#include "vos/vos_priv.h"

#define FIX_LIMIT_NS (UINT64_C(36000) * 1000000000)
#define FIX_HOST "h0"

struct fix {
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_cfg cfg;
    struct bio_tgt *bio;
    struct vos_tgt *tgt;
    struct vos_cont *cont;
    struct uuid pool, cont_id;
    uint64_t meta_quota, data_quota;
    bool done;
    void (*fn)(struct fix *f);
    void *arg;
    struct rng rng;
    uint64_t seq;
};

/* With CAIRN_TEST_LOG in the environment, log lines go to standard error. */
static inline void
fix_log(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    (void)arg;
    fprintf(stderr, "    %s %s:%d %s\n", log_level_name(level), file, line, text);
}

static inline void
fix_reap(void *arg)
{
    struct fix *f = arg;

    xstream_stop(f->xs);
    xstream_abandon(f->xs);
    vos_tgt_abandon(f->tgt);
    bio_abandon(f->bio);
    f->tgt = NULL;
    f->bio = NULL;
    f->cont = NULL;
    xstream_destroy(f->xs);
    f->xs = NULL;
    f->plat = NULL;
}

static inline bool
fix_start(struct fix *f)
{
    struct xstream_opts opts = {.name = "test", .cpu = UINT32_MAX};

    if (f->sim != NULL && !EXPECT_OK(sim_node_start(f->sim, FIX_HOST, "n0", &f->plat)))
        return false;
    if (!EXPECT_OK(xstream_create(f->plat, &opts, &f->xs)))
        return false;
    if (f->sim != NULL)
        sim_node_on_kill(f->plat, fix_reap, f);
    return EXPECT_OK(xstream_start(f->xs));
}

/* Sizes and quotas may be changed between fix_prepare() and fix_up(). */
static inline void
fix_prepare(struct fix *f)
{
    memset(f, 0, sizeof(*f));
    if (getenv("CAIRN_TEST_LOG") != NULL)
        log_sink_set(fix_log, NULL, LOG_LEVEL_INFO);
    f->cfg.wal_bytes = 16 << 20;
    f->cfg.meta_bytes = 64 << 20;
    f->cfg.data_bytes = 256 << 20;
    f->cfg.system.b[0] = 1;
    f->cfg.pending = &f->bio;
    if (getenv("BIO_TEST_MEM") != NULL) /* as in bio_test_fix.h */
        f->cfg.mem_bytes = strtoull(getenv("BIO_TEST_MEM"), NULL, 0);
    f->meta_quota = 48 << 20;
    f->data_quota = 200 << 20;
    f->pool.b[0] = 7;
    f->cont_id.b[0] = 9;
    rng_init(&f->rng, test_seed());
}

static inline bool
fix_up(struct fix *f, const struct sim_opts *opts)
{
    if (opts != NULL) {
        if (!EXPECT_OK(sim_create(opts, &f->sim)))
            return false;
        strcpy(f->cfg.dir, "/t/d0");
    } else {
        if (!EXPECT_OK(plat_linux_create(&f->plat)))
            return false;
        snprintf(f->cfg.dir, sizeof(f->cfg.dir), "%s/d0", test_tmpdir());
    }
    return fix_start(f);
}

static inline bool
fix_up_default(struct fix *f)
{
    struct sim_opts opts = {.seed = test_seed(), .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 200000};

    return fix_up(f, test_backend() == BACKEND_LINUX ? NULL : &opts);
}

static inline void
fix_ult(void *arg)
{
    struct fix *f = arg;

    f->fn(f);
    f->done = true;
}

static inline bool
fix_is_done(void *arg)
{
    struct fix *f = arg;

    return f->done || f->xs == NULL;
}

/* Run fn as a ULT; false when the node died meanwhile (or nothing happens any more). */
static inline bool
fix_run(struct fix *f, void (*fn)(struct fix *f))
{
    f->fn = fn;
    f->done = false;
    if (f->sim == NULL) {
        EXPECT_OK(xstream_call(f->xs, ULT_SERVICE, fix_ult, f));
        return f->done;
    }
    if (!EXPECT_OK(xstream_post(f->xs, ULT_SERVICE, fix_ult, f)))
        return false;
    EXPECT_OK(sim_run_until(f->sim, fix_is_done, f, FIX_LIMIT_NS));
    return f->done;
}

/* Die (by power loss or by a kill) and start a new process. Sim only. */
static inline bool
fix_crash(struct fix *f, bool power)
{
    if (f->xs != NULL) {
        if (power) {
            sim_host_power_loss(f->sim, FIX_HOST);
        } else {
            sim_node_kill(f->sim, f->plat);
        }
    }
    EXPECT(f->xs == NULL);
    return fix_start(f);
}

static inline void
fix_down(struct fix *f)
{
    if (f->sim != NULL) {
        if (f->xs != NULL)
            sim_node_kill(f->sim, f->plat);
        sim_destroy(f->sim);
        return;
    }
    EXPECT(f->tgt == NULL);
    xstream_stop(f->xs);
    xstream_destroy(f->xs);
    plat_linux_destroy(f->plat);
}

/* A test that is one body. */
static inline void
fix_body(void (*fn)(struct fix *f))
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, fn));
    fix_down(&f);
}

/* For bodies: open what is there. */
static inline bool
fix_open(struct fix *f)
{
    return EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) && EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)) &&
        EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont));
}

/* For bodies: format, with one pool and one container. */
static inline bool
fix_format(struct fix *f)
{
    if (!EXPECT_OK(bio_format(f->xs, &f->cfg)) || !EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) ||
        !EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)))
        return false;
    return EXPECT_OK(vos_pool_create(f->tgt, f->pool, f->meta_quota, f->data_quota)) &&
        EXPECT_OK(vos_cont_create(f->tgt, f->pool, f->cont_id)) &&
        EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont));
}

static inline void
fix_close(struct fix *f)
{
    vos_cont_close(f->cont);
    f->cont = NULL;
    vos_tgt_close(f->tgt);
    f->tgt = NULL; /* at once: a kill may come in the next wait */
    bio_close(f->bio);
    f->bio = NULL;
}

/* ---- short forms ---------------------------------------------------------------------------------------------------- */

#define IOV(s) ((struct iov){.buf = (void *)(uintptr_t)(s), .len = strlen(s)})

static inline struct vos_oid
fix_oid(uint64_t lo)
{
    return (struct vos_oid){.oid = {.lo = lo}};
}

static inline struct vos_oid
fix_oid_type(uint64_t type, uint64_t lo)
{
    return (struct vos_oid){.oid = {.lo = lo, .hi = type << 56}};
}

static inline int
fix_mod(struct fix *f, const struct vos_mod *mod, uint64_t *ret_epoch)
{
    struct vos_apply_args args = {.mods = mod, .mod_nr = 1};
    struct vos_apply_ret ret;
    int rc = vos_apply(f->cont, &args, &ret);

    if (rc == 0 && ret_epoch != NULL)
        *ret_epoch = ret.epoch;
    return rc;
}

static inline int
fix_put(struct fix *f, uint64_t obj, const char *dkey, const char *akey, const void *val,
    size_t len, uint32_t cond)
{
    struct vos_iod iod = {
        .akey = IOV(akey), .type = VOS_IOD_SINGLE, .size = len, .data = {(void *)(uintptr_t)val, len}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = fix_oid(obj),
        .cond = cond,
        .dkey = IOV(dkey),
        .iod_nr = 1,
        .iods = &iod};

    return fix_mod(f, &mod, NULL);
}

static inline int
fix_write(struct fix *f, uint64_t obj, const char *dkey, const char *akey, uint64_t idx,
    uint64_t nr, uint64_t size, const void *data)
{
    struct recx recx = {idx, nr};
    struct vos_iod iod = {.akey = IOV(akey),
        .type = VOS_IOD_ARRAY,
        .size = size,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {(void *)(uintptr_t)data, nr * size}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(obj), .dkey = IOV(dkey), .iod_nr = 1, .iods = &iod};

    return fix_mod(f, &mod, NULL);
}

/* A single value into buf; *ret_len 0: nothing visible. */
static inline int
fix_get_at(struct fix *f, uint64_t obj, const char *dkey, const char *akey, uint64_t epoch,
    uint32_t flags, void *buf, size_t cap, size_t *ret_len)
{
    struct vos_iod iod = {.akey = IOV(akey), .type = VOS_IOD_SINGLE};
    struct vos_oid oid = fix_oid(obj);
    struct iov dk = IOV(dkey);
    struct vos_fetch *fetch;
    int rc = vos_fetch(f->cont, &oid, epoch, flags, &dk, &iod, 1, &fetch);

    if (rc != 0)
        return rc;
    *ret_len = fetch->iods[0].size;
    if (*ret_len > 0 && *ret_len <= cap)
        memcpy(buf, fetch->iods[0].segs[0].buf, *ret_len);
    vos_fetch_free(f->cont, fetch);
    return 0;
}

static inline int
fix_get(struct fix *f, uint64_t obj, const char *dkey, const char *akey, void *buf, size_t cap,
    size_t *ret_len)
{
    return fix_get_at(f, obj, dkey, akey, VOS_EPOCH_MAX, 0, buf, cap, ret_len);
}

/* Bytes [idx, idx + nr) of an array of bytes, holes as `hole`. */
static inline int
fix_read(struct fix *f, uint64_t obj, const char *dkey, const char *akey, uint64_t epoch,
    uint64_t idx, uint64_t nr, uint8_t hole, uint8_t *buf)
{
    struct recx recx = {idx, nr};
    struct vos_iod iod = {.akey = IOV(akey), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    struct vos_oid oid = fix_oid(obj);
    struct iov dk = IOV(dkey);
    struct vos_fetch *fetch;
    uint64_t pos = idx;
    int rc = vos_fetch(f->cont, &oid, epoch, 0, &dk, &iod, 1, &fetch);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < fetch->iods[0].seg_nr; i++) {
        const struct vos_seg *s = &fetch->iods[0].segs[i];

        EXPECT_EQ(s->idx, pos);
        if (s->buf == NULL) {
            memset(buf + (s->idx - idx), hole, s->nr);
        } else {
            memcpy(buf + (s->idx - idx), s->buf, s->nr);
        }
        pos += s->nr;
    }
    EXPECT_EQ(pos, idx + nr);
    vos_fetch_free(f->cont, fetch);
    return 0;
}

static inline int
fix_punch(struct fix *f, uint64_t obj, const char *dkey, const char *akey, uint32_t cond)
{
    struct vos_iod iod = {.akey = akey != NULL ? IOV(akey) : (struct iov){0}};
    struct vos_mod mod = {.op = VOS_MOD_PUNCH_OBJ, .oid = fix_oid(obj), .cond = cond};

    if (dkey != NULL) {
        mod.op = VOS_MOD_PUNCH_DKEY;
        mod.dkey = IOV(dkey);
    }
    if (akey != NULL) {
        mod.op = VOS_MOD_PUNCH_AKEYS;
        mod.iod_nr = 1;
        mod.iods = &iod;
    }
    return fix_mod(f, &mod, NULL);
}

struct fix_keys {
    uint32_t nr;
    uint32_t stop_at; /* refuse this one (1-based); 0: none */
    char keys[512][40];
};

/* Keys that are not needed: NULL. */
static inline int
fix_query(struct fix *f, const struct vos_oid *oid, uint64_t epoch, uint32_t flags,
    const struct iov *dkey, const struct iov *akey, struct vos_query_ret *ret_query)
{
    struct vos_query_args args = {.oid = *oid, .epoch = epoch, .flags = flags};

    if (dkey != NULL)
        args.dkey = *dkey;
    if (akey != NULL)
        args.akey = *akey;
    return vos_query_key(f->cont, &args, ret_query);
}

static inline bool
fix_keys_fn(void *arg, const struct vos_entry *entry)
{
    struct fix_keys *k = arg;

    if (k->stop_at != 0 && k->nr + 1 == k->stop_at)
        return false;
    if (k->nr < ARRAY_SIZE(k->keys)) {
        snprintf(k->keys[k->nr], sizeof(k->keys[0]), "%.*s", (int)entry->key.len,
            (const char *)entry->key.buf);
    }
    k->nr++;
    return true;
}

/* All keys of a level, in as many calls as nr_max asks for. */
static inline int
fix_list_keys(struct fix *f, enum vos_level level, uint64_t obj, const char *dkey, uint64_t epoch,
    uint32_t nr_max, struct fix_keys *keys)
{
    struct vos_list_args args = {.level = level,
        .oid = fix_oid(obj),
        .dkey = dkey != NULL ? IOV(dkey) : (struct iov){0},
        .epoch = epoch,
        .fn = fix_keys_fn,
        .arg = keys,
        .nr_max = nr_max};
    struct vos_anchor anchor = {.eof = false};
    int rc = 0;

    keys->nr = 0;
    keys->stop_at = 0;
    while (rc == 0 && !anchor.eof) {
        rc = vos_list(f->cont, &args, &anchor);
    }
    return rc;
}

#endif
