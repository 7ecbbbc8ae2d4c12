/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Workload E: space. Each worker has an object of its own with single values, small and large, and arrays, which it overwrites, punches and removes, while it takes,
 * reads and destroys snapshots and the targets drop what nobody can read any more, at once or whenever they want to.
 *
 * Nobody else writes there, so the record is exact: what a worker reads, at the newest or at a snapshot of its own, is what it wrote. Where it does not know whether something
 * happened (its process died, or "uncertain") it turns to a new object. In the end, with no snapshots left, what the container takes is bounded by what is there;
 * and when all objects are punched, it takes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sim/simt_sys.h"
#include "tgt/tgt.h"

enum { SMALL_NR = 2, LARGE_NR = 2, ARRAY_NR = 2, KEYS_NR = SMALL_NR + LARGE_NR + ARRAY_NR };
enum { SMALL_MAX = 600, LARGE_MIN = 5000, LARGE_MAX = 20000, ARRAY_BYTES = 16384, SNAPS_NR = 3 };
enum { BLOCK = 4096, META_OBJ_BYTES = 512, META_KEY_BYTES = 1024, META_BASE_BYTES = 256 };
/* Longer than services try to tell targets something; than targets go on after the last change. */
#define UNHEARD_NS (60 * SIMT_S)
#define QUIET_NS (600 * SIMT_S)

/* What a key holds: of an array, all of its bytes, 0 where there is none. */
struct value {
    uint32_t len; /* of a single value; 0: none. Of an array: 1 when anything was written */
    uint8_t bytes[LARGE_MAX];
};

struct image {
    struct value keys[KEYS_NR];
};

struct snap {
    daos_epoch_t epoch; /* 0: free */
    uint32_t gen;
    struct image image;
};

/* Of one worker. */
struct own {
    uint32_t gen; /* object in use */
    bool is_open_end; /* a request without an answer: the object is given up */
    uint32_t writes_nr;
    struct image image;
    struct snap snaps[SNAPS_NR];
    struct snap doomed; /* of snap_destroy_read(): large for a stack */
};

struct work {
    struct simt *t;
    struct own owns[SIMT_PROCS][SIMT_WORKERS_MAX];
    uint32_t final_nr;
};

struct ctx {
    struct simt_worker *w;
    struct simt *t;
    struct work *work;
    struct own *own;
    daos_handle_t coh, oh;
};

/* ---- requests -------------------------------------------------------------------------------------------------------------------- */

static daos_obj_id_t
oid_of(struct ctx *c, uint32_t proc, uint32_t worker, uint32_t gen)
{
    daos_obj_id_t oid = {.lo = 1000 + (uint64_t)(proc * SIMT_WORKERS_MAX + worker) * 10000 + gen};
    daos_oclass_id_t cls = worker % 2 == 0 ? OC_SX : OC_S1;
    int rc = daos_obj_generate_oid(c->coh, &oid, DAOS_OT_MULTI_HASHED, cls, 0, 0);

    if (rc != 0)
        simt_fail(c->t, "an object id: %s", err_name(rc));
    return oid;
}

/* What an answer means; false: it did not happen. Without one the object is given up. */
static bool
has_happened(struct ctx *c, const char *what, int rc)
{
    c->own->is_open_end = false;
    switch (simt_outcome(rc)) {
    case SIMT_DONE:
        return true;
    case SIMT_NOT:
        return false;
    case SIMT_UNKNOWN:
        break;
    default:
        if (rc != -DER_TIMEDOUT || !simt_may_starve(c->t))
            simt_fail(c->t, "%s.%u: %s: %s", c->w->proc->name, c->w->idx, what, err_name(rc));
        break;
    }
    c->own->is_open_end = true;
    return false;
}

static bool
is_array(uint32_t key)
{
    return key >= SMALL_NR + LARGE_NR;
}

struct request {
    char dkey_buf[8], akey_buf[2];
    daos_key_t dkey;
    daos_recx_t recx;
    daos_iod_t iod;
    d_iov_t iov;
    d_sg_list_t sgl;
};

/* A part of key, or all of it; single values have lo 0. */
static void
request_init(struct request *r, uint32_t key, uint32_t lo, uint32_t nr, void *buf)
{
    memset(r, 0, sizeof(*r));
    snprintf(r->dkey_buf, sizeof(r->dkey_buf), "key%u", key);
    d_iov_set(&r->dkey, r->dkey_buf, strlen(r->dkey_buf));
    r->akey_buf[0] = 'a';
    d_iov_set(&r->iod.iod_name, r->akey_buf, 1);
    r->recx = (daos_recx_t){lo, nr};
    r->iod.iod_type = is_array(key) ? DAOS_IOD_ARRAY : DAOS_IOD_SINGLE;
    r->iod.iod_size = is_array(key) ? 1 : nr;
    r->iod.iod_nr = 1;
    r->iod.iod_recxs = is_array(key) ? &r->recx : NULL;
    d_iov_set(&r->iov, buf, nr);
    r->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &r->iov};
}

static void
do_write(struct ctx *c, uint32_t key)
{
    struct value *v = &c->own->image.keys[key];
    uint32_t lo = 0, nr, seed = ++c->own->writes_nr;
    struct request r;
    int rc;

    if (key < SMALL_NR) {
        nr = 1 + (uint32_t)simt_pick(c->w, SMALL_MAX);
    } else if (!is_array(key)) {
        nr = LARGE_MIN + (uint32_t)simt_pick(c->w, LARGE_MAX - LARGE_MIN);
    } else {
        lo = (uint32_t)simt_pick(c->w, ARRAY_BYTES);
        nr = 1 + (uint32_t)simt_pick(c->w, ARRAY_BYTES - lo);
    }
    for (uint32_t i = 0; i < nr; i++) {
        c->w->buf[i] = (uint8_t)(1 + (seed * 37 + i * 11 + i / 251) % 255);
    }
    request_init(&r, key, lo, nr, c->w->buf);
    simt_doing(c->w, "write");
    c->own->is_open_end = true;
    rc = daos_obj_update(c->oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, NULL);
    if (!has_happened(c, "write", rc))
        return;
    memcpy(v->bytes + lo, c->w->buf, nr);
    v->len = is_array(key) ? 1 : nr;
}

static void
do_remove(struct ctx *c, uint32_t key)
{
    struct request r;
    int rc;

    request_init(&r, key, 0, 0, NULL);
    simt_doing(c->w, "remove");
    c->own->is_open_end = true;
    rc = daos_obj_punch_dkeys(c->oh, DAOS_TX_NONE, 0, 1, &r.dkey, NULL);
    if (has_happened(c, "remove", rc))
        memset(&c->own->image.keys[key], 0, sizeof(struct value));
}

static void
do_punch(struct ctx *c)
{
    int rc;

    simt_doing(c->w, "punch");
    c->own->is_open_end = true;
    rc = daos_obj_punch(c->oh, DAOS_TX_NONE, 0, NULL);
    if (has_happened(c, "punch", rc))
        memset(&c->own->image, 0, sizeof(c->own->image));
}

/* Read a key as `th` sees it and compare. False: it was not read. */
static bool
value_check(struct ctx *c, daos_handle_t oh, daos_handle_t th, const char *what,
    const struct image *image, uint32_t key, bool is_doomed)
{
    const struct value *want = &image->keys[key];
    uint32_t room = is_array(key) ? ARRAY_BYTES : LARGE_MAX, len;
    struct request r;
    int rc;

    memset(c->w->buf, 0, room);
    request_init(&r, key, 0, room, c->w->buf);
    r.iod.iod_size = is_array(key) ? 1 : DAOS_REC_ANY;
    simt_doing(c->w, what);
    rc = daos_obj_fetch(oh, th, 0, &r.dkey, 1, &r.iod, &r.sgl, NULL, NULL);
    if (rc != 0) {
        if (!(is_doomed && rc == -DER_EP_OLD) && !(rc == -DER_TIMEDOUT && simt_may_starve(c->t)))
            simt_fail(c->t, "%s.%u: %s: %s", c->w->proc->name, c->w->idx, what, err_name(rc));
        return false;
    }
    len = is_array(key) ? ARRAY_BYTES : (uint32_t)r.iod.iod_size;
    if (!is_array(key) && len != want->len) {
        simt_fail(c->t, "%s.%u: %s: key %u has %u bytes, not %u", c->w->proc->name, c->w->idx, what,
            key, len, want->len);
    } else if (memcmp(c->w->buf, want->bytes, len) != 0) {
        uint32_t at = 0;

        while (c->w->buf[at] == want->bytes[at]) {
            at++;
        }
        simt_fail(c->t, "%s.%u: %s: key %u is wrong at %u: %u, not %u", c->w->proc->name, c->w->idx,
            what, key, at, c->w->buf[at], want->bytes[at]);
    }
    return true;
}

static void
do_read(struct ctx *c, uint32_t key)
{
    CAIRN_IGNORE(value_check(c, c->oh, DAOS_TX_NONE, "read", &c->own->image, key, false));
}

/* ---- snapshots -------------------------------------------------------------------------------------------------------------------- */

static void
do_snap(struct ctx *c)
{
    struct snap *s = &c->own->snaps[simt_pick(c->w, SNAPS_NR)];
    daos_epoch_t epoch = 0;
    int rc;

    if (s->epoch != 0)
        return;
    simt_doing(c->w, "snapshot");
    rc = daos_cont_create_snap(c->coh, &epoch, NULL, NULL);
    if (rc == 0) {
        s->epoch = epoch;
        s->gen = c->own->gen;
        s->image = c->own->image;
    } else if (simt_outcome(rc) == SIMT_WRONG && !(rc == -DER_TIMEDOUT && simt_may_starve(c->t)))
        simt_fail(c->t, "snapshot: %s", err_name(rc));
}

static void
snap_check(struct ctx *c, const struct snap *s, uint32_t proc, uint32_t worker)
{
    daos_obj_id_t oid = oid_of(c, proc, worker, s->gen);
    daos_handle_t th, oh;
    int rc = daos_tx_open_snap(c->coh, s->epoch, &th, NULL);

    if (rc == 0) {
        rc = daos_obj_open(c->coh, oid, DAOS_OO_RO, &oh, NULL);
        for (uint32_t i = 0; rc == 0 && i < KEYS_NR; i++) {
            if (!value_check(c, oh, th, "read of a snapshot", &s->image, i, false))
                break;
        }
        if (rc == 0)
            rc = daos_obj_close(oh, NULL);
        if (rc == 0)
            rc = daos_tx_close(th, NULL);
    }
    if (rc != 0 && !(rc == -DER_TIMEDOUT && simt_may_starve(c->t)))
        simt_fail(c->t, "a snapshot: %s", err_name(rc));
}

static void
snap_destroy(struct ctx *c, struct snap *s)
{
    daos_epoch_range_t epr = {s->epoch, s->epoch};
    int rc;

    s->epoch = 0; /* whatever the answer */
    simt_doing(c->w, "destroy of a snapshot");
    rc = daos_cont_destroy_snap(c->coh, epr, NULL);
    if (rc != 0 && simt_outcome(rc) == SIMT_WRONG && !(rc == -DER_TIMEDOUT && simt_may_starve(c->t)))
        simt_fail(c->t, "destroy of a snapshot: %s", err_name(rc));
}

/* A read through a handle on a snapshot that is destroyed under it: the right bytes, or EP_OLD; never others. */
static void
snap_destroy_read(struct ctx *c, struct snap *s)
{
    struct snap *copy = &c->own->doomed;
    daos_handle_t th;
    int rc = daos_tx_open_snap(c->coh, s->epoch, &th, NULL);

    *copy = *s;
    snap_destroy(c, s);
    if (rc != 0)
        return;
    for (uint32_t i = 0; copy->gen == c->own->gen && i < KEYS_NR; i++) {
        if (!value_check(c, c->oh, th, "read of a destroyed snapshot", &copy->image, i, true))
            break;
        simt_think(c->w);
    }
    rc = daos_tx_close(th, NULL);
    if (rc != 0)
        simt_fail(c->t, "close of a transaction: %s", err_name(rc));
}

static void
do_aggregate(struct ctx *c)
{
    int rc;

    simt_doing(c->w, "aggregate");
    rc = daos_cont_aggregate(c->coh, 0, NULL);
    if (rc != 0 && !(rc == -DER_TIMEDOUT && simt_may_starve(c->t)))
        simt_fail(c->t, "%s.%u: aggregate: %s", c->w->proc->name, c->w->idx, err_name(rc));
}

/* ---- a worker ---------------------------------------------------------------------------------------------------------------------- */

static bool
obj_open(struct ctx *c)
{
    daos_obj_id_t oid;
    int rc;

    if (c->own->is_open_end) {
        c->own->is_open_end = false;
        c->own->gen++;
        memset(&c->own->image, 0, sizeof(c->own->image));
    }
    oid = oid_of(c, c->w->proc->idx, c->w->idx, c->own->gen);
    rc = daos_obj_open(c->coh, oid, DAOS_OO_RW, &c->oh, NULL);
    if (rc != 0)
        simt_fail(c->t, "open of an object: %s", err_name(rc));
    return rc == 0;
}

static void
obj_close(struct ctx *c)
{
    int rc = daos_obj_close(c->oh, NULL);

    if (rc != 0)
        simt_fail(c->t, "close of an object: %s", err_name(rc));
}

static void
do_snap_end(struct ctx *c)
{
    struct snap *s = &c->own->snaps[simt_pick(c->w, SNAPS_NR)];

    if (s->epoch == 0)
        return;
    if (simt_pick(c->w, 2) == 0) {
        snap_destroy(c, s);
    } else {
        snap_destroy_read(c, s);
    }
}

static void
one_request(struct ctx *c)
{
    uint32_t key = (uint32_t)simt_pick(c->w, c->t->cfg.is_hot ? 3 : KEYS_NR);
    uint64_t roll = simt_pick(c->w, 100);
    struct snap *s = &c->own->snaps[simt_pick(c->w, SNAPS_NR)];

    if (roll < 55) {
        do_write(c, key);
    } else if (roll < 60) {
        do_remove(c, key);
    } else if (roll < 62) {
        do_punch(c);
    } else if (roll < 80) {
        do_read(c, key);
    } else if (roll < 86) {
        do_snap(c);
    } else if (roll < 92) {
        if (s->epoch != 0)
            snap_check(c, s, c->w->proc->idx, c->w->idx);
    } else if (roll < 96) {
        do_snap_end(c);
    } else {
        do_aggregate(c);
    }
}

static void
worker(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct work *work = state;
    struct ctx c = {.w = w, .t = w->proc->t, .work = work, .own = &work->owns[w->proc->idx][w->idx]};
    int rc;

    simt_doing(w, "open");
    if (!simt_cont_open(c.t, poh, "room", &c.coh))
        return;
    if (!obj_open(&c))
        return;
    while (w->ops_left > 0) {
        simt_think(w);
        w->ops_left--;
        one_request(&c);
        if (c.own->is_open_end) {
            obj_close(&c);
            if (!obj_open(&c))
                return;
        }
    }
    simt_doing(w, "close");
    obj_close(&c);
    rc = daos_cont_close(c.coh, NULL);
    if (rc != 0)
        simt_fail(c.t, "close: %s", err_name(rc));
}

/* ---- the end ----------------------------------------------------------------------------------------------------------------------- */

struct usage {
    struct uuid cont;
    uint64_t meta, data, obj_nr;
};

static int
usage_of(struct engine_xs *xs, struct uuid pool, struct usage *u)
{
    struct vos_cont_info info;
    struct vos_cont *cont;
    int rc = vos_cont_open(xs->vos, pool, u->cont, &cont);

    if (rc != 0)
        return rc == -DER_NONEXIST ? 0 : rc;
    rc = vos_cont_query(cont, &info);
    vos_cont_close(cont);
    if (rc == 0) {
        u->meta += info.meta_used;
        u->data += info.data_used;
        u->obj_nr += info.obj_nr;
    }
    return rc;
}

static int
usage_fn(struct engine_xs *xs, void *arg)
{
    struct uuid pools[8], after = {{0}};
    uint32_t nr = 0;
    int rc = vos_tgt_collect(xs->vos);

    if (rc == 0)
        rc = vos_pool_list(xs->vos, after, pools, ARRAY_SIZE(pools), &nr);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        rc = usage_of(xs, pools[i], arg);
    }
    return rc;
}

/* What the container takes on all targets. */
static bool
usage_get(struct ctx *c, struct usage *u)
{
    daos_cont_info_t info;
    int rc = daos_cont_query(c->coh, &info, NULL, NULL), fn_rc = 0;

    *u = (struct usage){.meta = 0};
    if (rc == 0)
        memcpy(&u->cont, info.ci_uuid, sizeof(u->cont));
    for (uint32_t e = 0; rc == 0 && e < SIMT_ENGINES; e++) {
        for (uint32_t tag = 1; rc == 0 && fn_rc == 0 && tag <= SIMT_TGTS; tag++) {
            rc = simt_engine_run(&c->t->engines[e], tag, usage_fn, u, 60 * SIMT_S, &fn_rc);
        }
    }
    if (rc != 0 || fn_rc != 0)
        simt_fail(c->t, "look at the space: %s, %s", err_name(rc), err_name(fn_rc));
    return rc == 0 && fn_rc == 0;
}

/*
 * What it may take at most: values, and for arrays, whose extents may be covered in parts, what was written last of each byte in blocks of its own would be too much to
 * claim; aggregation merges them into few, each rounded up.
 */
static void
bound_of(const struct work *work, uint64_t *ret_meta, uint64_t *ret_data)
{
    uint64_t meta = (uint64_t)META_BASE_BYTES * SIMT_ENGINES * SIMT_TGTS, data = 0;

    for (uint32_t p = 0; p < SIMT_CLIENTS; p++) {
        for (uint32_t w = 0; w < SIMT_WORKERS_MAX; w++) {
            const struct own *own = &work->owns[p][w];

            /* What was given up may be there, whole. */
            data += own->gen * (uint64_t)KEYS_NR * ALIGN_UP(LARGE_MAX, BLOCK) * 2;
            meta += (own->gen + 1) * (uint64_t)META_OBJ_BYTES * SIMT_ENGINES * SIMT_TGTS;
            for (uint32_t k = 0; k < KEYS_NR; k++) {
                uint32_t len = own->image.keys[k].len;

                meta += (own->gen + 1) * (uint64_t)META_KEY_BYTES + (k < SMALL_NR ? len : 0);
                if (is_array(k)) {
                    data += len == 0 ? 0 : 3 * ARRAY_BYTES; /* rests of extents, in blocks */
                    meta += len == 0 ? 0 : ARRAY_BYTES;
                } else if (k >= SMALL_NR)
                    data += ALIGN_UP(len, BLOCK);
            }
        }
    }
    *ret_meta = meta;
    *ret_data = data;
}

static void
snaps_end(struct ctx *c)
{
    daos_epoch_range_t all = {0, DAOS_EPOCH_MAX};
    int rc = daos_cont_destroy_snap(c->coh, all, NULL);

    if (rc != 0)
        simt_fail(c->t, "destroy of all snapshots: %s", err_name(rc));
    for (uint32_t i = 0; i < SIMT_CLIENTS * SIMT_WORKERS_MAX * SNAPS_NR; i++) {
        c->work->owns[i / SNAPS_NR / SIMT_WORKERS_MAX][i / SNAPS_NR % SIMT_WORKERS_MAX]
            .snaps[i % SNAPS_NR]
            .epoch = 0;
    }
}

/*
 * All snapshots are destroyed while one engine cannot be told so: what only they kept is given back by its targets all the same, within the time after which they ask. An
 * aggregation that is asked for afterwards finds nothing that is left.
 */
static void
snaps_end_unheard(struct ctx *c)
{
    const char *a = c->t->engines[0].host, *b = c->t->engines[1].host;
    struct usage before, later, asked;

    do_aggregate(c);
    ult_sleep(QUIET_NS); /* nothing changes any more: no target has a reason to ask soon */
    simt_say(c->t, "nobody tells that the snapshots go");
    sim_link_set(c->t->sim, a, b, false);
    sim_link_set(c->t->sim, b, a, false);
    snaps_end(c);
    ult_sleep(UNHEARD_NS);
    sim_link_set(c->t->sim, a, b, true);
    sim_link_set(c->t->sim, b, a, true);
    if (!usage_get(c, &before))
        return;
    ult_sleep(TGT_AGG_SNAPS_NS + QUIET_NS);
    if (!usage_get(c, &later))
        return;
    do_aggregate(c);
    if (!usage_get(c, &asked))
        return;
    simt_say(c->t, "space %llu + %llu bytes, later %llu + %llu, asked %llu + %llu",
        (unsigned long long)before.meta, (unsigned long long)before.data,
        (unsigned long long)later.meta, (unsigned long long)later.data,
        (unsigned long long)asked.meta, (unsigned long long)asked.data);
    if (later.data > asked.data || later.meta > asked.meta) {
        simt_fail(c->t,
            "%llu + %llu bytes are taken long after the last snapshot went, not %llu + %llu",
            (unsigned long long)later.meta, (unsigned long long)later.data,
            (unsigned long long)asked.meta, (unsigned long long)asked.data);
    }
}

static void
own_final(struct ctx *c, uint32_t p, uint32_t w, bool punch)
{
    struct own *own = &c->work->owns[p][w];
    daos_handle_t oh;
    int rc;

    for (uint32_t i = 0; i < SNAPS_NR; i++) {
        if (own->snaps[i].epoch != 0)
            snap_check(c, &own->snaps[i], p, w);
    }
    for (uint32_t gen = 0; gen <= own->gen; gen++) {
        rc = daos_obj_open(c->coh, oid_of(c, p, w, gen), DAOS_OO_RW, &oh, NULL);
        for (uint32_t k = 0; rc == 0 && gen == own->gen && !own->is_open_end && k < KEYS_NR; k++) {
            CAIRN_IGNORE(value_check(c, oh, DAOS_TX_NONE, "last read", &own->image, k, false));
        }
        if (rc == 0 && punch)
            rc = daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL);
        if (rc == 0)
            rc = daos_obj_close(oh, NULL);
        if (rc != 0)
            simt_fail(c->t, "end of an object: %s", err_name(rc));
    }
}

static void
owns_final(struct ctx *c, bool punch)
{
    for (uint32_t p = 0; p < SIMT_CLIENTS; p++) {
        for (uint32_t w = 0; w < SIMT_WORKERS_MAX; w++) {
            own_final(c, p, w, punch);
        }
    }
}

static void
final(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct work *work = state;
    struct ctx c = {.w = w, .t = w->proc->t, .work = work};
    bool is_last = work->final_nr++ > 0;
    uint64_t meta = 0, data = 0;
    struct usage u;
    int rc;

    if (!simt_cont_open(c.t, poh, "room", &c.coh))
        return;
    for (uint32_t i = 0; i < SIMT_CLIENTS * SIMT_WORKERS_MAX; i++) {
        struct own *own = &work->owns[i / SIMT_WORKERS_MAX][i % SIMT_WORKERS_MAX];

        if (own->is_open_end) { /* of its last request nobody knows the end */
            own->is_open_end = false;
            own->gen++;
            memset(&own->image, 0, sizeof(own->image));
        }
    }
    owns_final(&c, false);
    if (!is_last && c.t->cfg.unheard) {
        snaps_end_unheard(&c);
    } else {
        snaps_end(&c);
    }
    if (is_last)
        owns_final(&c, true);
    do_aggregate(&c);
    if (is_last) {
        meta = (uint64_t)META_BASE_BYTES * SIMT_ENGINES * SIMT_TGTS;
    } else {
        bound_of(work, &meta, &data);
    }
    if (usage_get(&c, &u)) {
        simt_say(c.t, "space %llu + %llu bytes, %llu objects; at most %llu + %llu",
            (unsigned long long)u.meta, (unsigned long long)u.data, (unsigned long long)u.obj_nr,
            (unsigned long long)meta, (unsigned long long)data);
        if (u.data > data || u.meta > meta || (is_last && u.obj_nr > 0)) {
            simt_fail(c.t, "%llu + %llu bytes are taken by %llu objects, not at most %llu + %llu",
                (unsigned long long)u.meta, (unsigned long long)u.data,
                (unsigned long long)u.obj_nr, (unsigned long long)meta, (unsigned long long)data);
        }
    }
    if (!is_last)
        owns_final(&c, false);
    if (is_last)
        memset(work->owns, 0, sizeof(work->owns));
    rc = daos_cont_close(c.coh, NULL);
    if (rc != 0)
        simt_fail(c.t, "close: %s", err_name(rc));
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static void *
create(struct simt *t)
{
    struct work *work = simt_alloc(sizeof(*work));

    work->t = t;
    return work;
}

static void
setup(struct simt *t, void *state, daos_handle_t poh)
{
    int rc = daos_cont_create_with_label(poh, "room", NULL, NULL, NULL);

    (void)state;
    if (rc != 0)
        simt_fail(t, "create of the container: %s", err_name(rc));
}

static void
check(struct simt *t, void *state)
{
    (void)t;
    (void)state;
}

static void
destroy(void *state)
{
    free(state);
}

const struct simt_work simt_work_space = {.name = "space",
    .create = create,
    .setup = setup,
    .worker = worker,
    .final = final,
    .check = check,
    .destroy = destroy};
