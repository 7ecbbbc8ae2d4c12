/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos_ref_run.h"

#include <stdarg.h>

#include "base/codec.h"
#include "base/csum.h"

/* ---- saying what happens -------------------------------------------------------------------------------------------- */

bool
ref_fail(struct ref_run *run, const char *what, const char *file, int line)
{
    const char *name = strrchr(file, '/');

    if (run->fail[0] == 0) {
        snprintf(run->fail, sizeof(run->fail), "operation %llu: %s (%s:%d)",
            (unsigned long long)run->op, what, name == NULL ? file : name + 1, line);
    }
    return false;
}

bool
ref_rc(struct ref_run *run, const char *what, int got, int want)
{
    if (got != want && run->fail[0] == 0) {
        snprintf(run->fail, sizeof(run->fail), "operation %llu: %s answers %s instead of %s",
            (unsigned long long)run->op, what, got == 0 ? "success" : err_name(got),
            want == 0 ? "success" : err_name(want));
    }
    return got == want;
}

void
ref_say(struct ref_run *run, const char *fmt, ...)
{
    va_list ap;

    if (!run->is_verbose)
        return;
    fprintf(stderr, "    %6llu: ", (unsigned long long)run->op);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* ---- the universe --------------------------------------------------------------------------------------------------- */

enum { LONG_KEY_BYTES = 3000 };

static const struct {
    uint64_t type, lo;
    uint32_t shard, layout_ver;
} objs[REF_OBJ_NR] = {
    {0, 7, 0, 0}, {0, 7, 1, 0}, {4, 7, 0, 0}, {7, 9, 0, 1}, {2, 10, 0, 0}, {6, 11, 5, 2}};

static const uint64_t uints[2][REF_DKEY_NR] = {{0, 7, UINT64_C(1) << 40, UINT64_MAX},
    {0, 1, 5, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX}};
/* In ascending order; '*' stands for many bytes. */
static const char *const lexicals[2][REF_DKEY_NR] = {{"aaaaaaaaa1", "aaaaaaaaa2", "aaaaaaaab", "c"},
    {"a", "ab", "abcdefgh", "abcdefghi", "abcdefghj", "b*"}};
static const char *const hashed[2][REF_DKEY_NR] = {
    {"s", "t", "array", "*"}, {"d", "dkey1", "*1", "*2", "z", "samestart2"}};

struct vos_oid
ref_oid(uint32_t obj)
{
    return (struct vos_oid){.oid = {.lo = objs[obj].lo, .hi = objs[obj].type << 56},
        .shard = objs[obj].shard,
        .layout_ver = objs[obj].layout_ver};
}

bool
ref_is_uint(uint32_t obj, bool is_dkey)
{
    return objs[obj].type == 4 || (objs[obj].type == 2 && is_dkey);
}

bool
ref_is_lexical(uint32_t obj, bool is_dkey)
{
    return objs[obj].type == 7 || (objs[obj].type == 6 && !is_dkey);
}

struct iov
ref_key(uint32_t obj, bool is_dkey, uint32_t idx)
{
    static char mem[2][3][REF_DKEY_NR][LONG_KEY_BYTES];
    uint32_t kind = ref_is_uint(obj, is_dkey) ? 0 : ref_is_lexical(obj, is_dkey) ? 1 : 2;
    char *key = mem[is_dkey][kind][idx];
    const char *text = kind == 1 ? lexicals[is_dkey][idx] : hashed[is_dkey][idx];
    const char *star;

    if (kind == 0) {
        le64_put(key, uints[is_dkey][idx]);
        return (struct iov){key, 8};
    }
    star = strchr(text, '*');
    if (star == NULL)
        return IOV(text);
    /* All but what follows the star, which comes last. */
    memset(key, 'x', kind == 1 ? VOS_KEY_LEXICAL_BYTES_MAX : LONG_KEY_BYTES);
    key[0] = text[0];
    /* Long keys differ early (and at their ends): with all hashes the same, a listing knows a key that is gone by its first 80 bytes only. */
    if (star[1] != 0)
        key[40] = key[LONG_KEY_BYTES - 1] = star[1];
    return (struct iov){key, kind == 1 ? VOS_KEY_LEXICAL_BYTES_MAX : LONG_KEY_BYTES};
}

int
ref_key_find(uint32_t obj, bool is_dkey, const struct iov *key)
{
    for (uint32_t i = 0; i < (is_dkey ? REF_DKEY_NR : REF_AKEY_NR); i++) {
        struct iov k = ref_key(obj, is_dkey, i);

        if (k.len == key->len && memcmp(k.buf, key->buf, k.len) == 0)
            return (int)i;
    }
    return -1;
}

uint64_t
ref_array_base(uint32_t akey)
{
    return akey == 3 ? (UINT64_C(1) << 63) - REF_CELL_NR : 0;
}

static struct uuid
pool_id(uint32_t pool)
{
    return (struct uuid){.b = {0x70, (uint8_t)pool}};
}

static struct uuid
cont_id(uint32_t cont)
{
    return (struct uuid){.b = {0x60, (uint8_t)(5 - cont)}};
}

/* ---- epochs --------------------------------------------------------------------------------------------------------- */

bool
ref_is_readable(const struct ref_place *p, uint64_t epoch)
{
    bool is_snap = false;

    for (uint32_t i = 0; i < p->snap_nr; i++) {
        is_snap = is_snap || p->snaps[i] == epoch;
    }
    return (epoch >= p->agg_hi || is_snap) && (!p->ref->is_no_history || epoch == VOS_EPOCH_MAX);
}

uint64_t
ref_near_future(struct ref_run *run)
{
    uint64_t wall = hlc_from_unix_ns(plat_wall_ns(run->f->plat));
    uint64_t e = hlc_add_ns(wall, rng_below(&run->r, 300000000));

    return MAX(e, run->f->tgt->clock.last + 1);
}

uint64_t
ref_event_epoch(struct ref_run *run, const struct ref_place *p, uint32_t obj)
{
    const struct ref_log *log = &p->ref->objs[obj].log;
    uint64_t back = rng_chance(&run->r, 1, 2) ? log->nr : MIN(log->nr, 6u);

    if (log->nr == 0)
        return run->f->tgt->clock.last;
    return log->events[log->nr - 1 - rng_below(&run->r, back)]->epoch + rng_below(&run->r, 3) - 1;
}

uint64_t
ref_bound(struct ref_run *run, const struct ref_place *p, uint32_t obj, uint64_t epoch)
{
    uint64_t bound = ref_event_epoch(run, p, obj);

    return rng_chance(&run->r, 1, 4) ? epoch + rng_below(&run->r, 3) : bound;
}

uint64_t
ref_epoch_pick(struct ref_run *run, const struct ref_place *p, uint32_t obj)
{
    uint64_t e = VOS_EPOCH_MAX;

    if (rng_chance(&run->r, 1, 2)) {
        e = ref_event_epoch(run, p, obj);
        if (p->snap_nr > 0 && rng_chance(&run->r, 1, 3))
            e = p->snaps[rng_below(&run->r, p->snap_nr)];
    } else if (rng_chance(&run->r, 1, 20))
        e = ref_near_future(run);
    return ref_is_readable(p, e) ? e : VOS_EPOCH_MAX;
}

/* ---- pools and containers ------------------------------------------------------------------------------------------- */

static void
place_close(struct ref_run *run, struct ref_place *p)
{
    vos_cont_close(p->h);
    p->h = NULL;
    if (p->exists && ref_txs_closed(p->ref))
        ref_lists_drop(run, p);
}

static void
place_forget(struct ref_run *run, struct ref_place *p)
{
    ref_lists_drop(run, p);
    ref_cont_free(&p->ref);
    memset(p, 0, sizeof(*p));
}

static void
place_made(struct ref_run *run, struct ref_place *p, uint32_t cont)
{
    *p = (struct ref_place){.exists = true};
    p->ref = calloc(1, sizeof(*p->ref));
    p->ref->is_no_history = p->ref->is_loose = cont == REF_CONT_NR - 1;
    p->ref->floor = run->f->tgt->ts.floor;
}

static void
pool_create(struct ref_run *run, uint32_t pool)
{
    int want = run->pools[pool].exists ? -DER_EXIST : 0;

    ref_say(run, "create pool %u", pool);
    /* The space of one that was destroyed comes back in the background. */
    ref_rc(run, "collect", vos_tgt_collect(run->f->tgt), 0);
    if (ref_rc(run, "pool create",
            vos_pool_create(run->f->tgt, pool_id(pool), run->f->meta_quota, run->f->data_quota), want))
        run->pools[pool].exists = true;
}

static void
pool_destroy(struct ref_run *run, uint32_t pool)
{
    int want = run->pools[pool].exists ? 0 : -DER_NONEXIST;

    for (uint32_t c = 0; c < REF_CONT_NR; c++) {
        want = run->pools[pool].conts[c].h != NULL ? -DER_BUSY : want;
    }
    ref_say(run, "destroy pool %u", pool);
    if (!ref_rc(run, "pool destroy", vos_pool_destroy(run->f->tgt, pool_id(pool)), want) || want != 0)
        return;
    for (uint32_t c = 0; c < REF_CONT_NR; c++) {
        place_forget(run, &run->pools[pool].conts[c]);
    }
    memset(&run->pools[pool], 0, sizeof(run->pools[pool]));
}

static void
cont_create(struct ref_run *run, uint32_t pool, uint32_t cont)
{
    struct ref_place *p = &run->pools[pool].conts[cont];
    int want = !run->pools[pool].exists ? -DER_NONEXIST : p->exists ? -DER_EXIST : 0;

    ref_say(run, "create container %u of pool %u", cont, pool);
    if (ref_rc(run, "container create", vos_cont_create(run->f->tgt, pool_id(pool), cont_id(cont)),
            want) &&
        want == 0)
        place_made(run, p, cont);
}

static void
cont_destroy(struct ref_run *run, uint32_t pool, uint32_t cont)
{
    struct ref_place *p = &run->pools[pool].conts[cont];
    int want = !p->exists ? -DER_NONEXIST : p->h != NULL ? -DER_BUSY : 0;

    ref_say(run, "destroy container %u of pool %u", cont, pool);
    if (ref_rc(run, "container destroy",
            vos_cont_destroy(run->f->tgt, pool_id(pool), cont_id(cont)), want) &&
        want == 0)
        place_forget(run, p);
}

static void
cont_open(struct ref_run *run, uint32_t pool, uint32_t cont)
{
    struct ref_place *p = &run->pools[pool].conts[cont];
    struct vos_cont *h = NULL;

    ref_say(run, "open container %u of pool %u", cont, pool);
    if (!ref_rc(run, "container open", vos_cont_open(run->f->tgt, pool_id(pool), cont_id(cont), &h),
            p->exists ? 0 : -DER_NONEXIST) ||
        h == NULL)
        return;
    if (p->h != NULL) {
        REF_CHECK(run, p->h == h); /* opens of one container share it */
        vos_cont_close(h);
    }
    p->h = h;
}

static void
conts_list(struct ref_run *run, uint32_t pool)
{
    struct uuid ids[REF_CONT_NR + 1], after = {.b = {0}};
    uint32_t nr = 0, seen = 0, want = 0, step = 1 + (uint32_t)rng_below(&run->r, 3);
    struct vos_pool_info info;

    ref_say(run, "list the containers of pool %u", pool);
    for (uint32_t c = 0; c < REF_CONT_NR; c++) {
        want += run->pools[pool].conts[c].exists;
    }
    if (!run->pools[pool].exists) {
        ref_rc(run, "container list", vos_cont_list(run->f->tgt, pool_id(pool), after, ids, 1, &nr),
            -DER_NONEXIST);
        ref_rc(run, "pool query", vos_pool_query(run->f->tgt, pool_id(pool), &info), -DER_NONEXIST);
        return;
    }
    do {
        if (!ref_rc(run, "container list",
                vos_cont_list(run->f->tgt, pool_id(pool), after, ids, step, &nr), 0))
            return;
        for (uint32_t i = 0; i < nr; i++) {
            REF_CHECK(run, cuuid_cmp(&after, &ids[i]) < 0 && ids[i].b[0] == 0x60);
            REF_CHECK(run, run->pools[pool].conts[5 - ids[i].b[1]].exists);
            after = ids[i];
            seen++;
        }
    } while (nr > 0 && seen <= REF_CONT_NR);
    REF_CHECK(run, seen == want);
    if (ref_rc(run, "pool query", vos_pool_query(run->f->tgt, pool_id(pool), &info), 0))
        REF_CHECK(run, info.cont_nr == want && info.meta_used > 0);
}

static void
pools_list(struct ref_run *run)
{
    struct uuid ids[REF_POOL_NR + 1], after = {.b = {0}};
    uint32_t nr = 0, want = 0;

    for (uint32_t p = 0; p < REF_POOL_NR; p++) {
        want += run->pools[p].exists;
    }
    ref_say(run, "list the pools");
    if (ref_rc(run, "pool list", vos_pool_list(run->f->tgt, after, ids, REF_POOL_NR + 1, &nr), 0))
        REF_CHECK(run, nr == want);
    for (uint32_t i = 0; i < nr; i++) {
        REF_CHECK(run, run->pools[ids[i].b[1]].exists);
    }
}

static void
op_admin(struct ref_run *run)
{
    uint32_t pool = (uint32_t)rng_below(&run->r, REF_POOL_NR);
    uint32_t cont = (uint32_t)rng_below(&run->r, REF_CONT_NR);
    struct ref_place *p = &run->pools[pool].conts[cont];

    switch (rng_below(&run->r, 10)) {
    case 0:
        pool_create(run, pool);
        break;
    case 1:
        if (rng_chance(&run->r, 1, 4)) {
            for (uint32_t c = 0; c < REF_CONT_NR; c++) {
                place_close(run, &run->pools[pool].conts[c]);
            }
        }
        pool_destroy(run, pool);
        break;
    case 2:
        cont_create(run, pool, cont);
        break;
    case 3:
        if (rng_chance(&run->r, 1, 4))
            place_close(run, p);
        cont_destroy(run, pool, cont);
        break;
    case 4:
    case 5:
        cont_open(run, pool, cont);
        break;
    case 6:
    case 7:
        ref_say(run, "close container %u of pool %u", cont, pool);
        place_close(run, p);
        break;
    case 8:
        conts_list(run, pool);
        break;
    default:
        pools_list(run);
    }
}

/* Some container that is there and open; *ret_pool its pool. */
static struct ref_place *
place_pick(struct ref_run *run, uint32_t *ret_pool)
{
    uint32_t pool = rng_chance(&run->r, 1, 4), cont = (uint32_t)rng_below(&run->r, REF_CONT_NR);
    struct ref_place *p = &run->pools[pool].conts[cont];

    *ret_pool = pool;
    if (p->exists && p->ref->event_nr > REF_EVENTS_NR_MAX) {
        place_close(run, p);
        cont_destroy(run, pool, cont);
    }
    if (!run->pools[pool].exists)
        pool_create(run, pool);
    if (!p->exists)
        cont_create(run, pool, cont);
    if (p->exists && p->h == NULL)
        cont_open(run, pool, cont);
    return p->h == NULL ? NULL : p;
}

/* ---- modifications -------------------------------------------------------------------------------------------------- */

static void
iod_build(const struct ref_iod *t, uint32_t obj, struct recx *recxs, struct vos_iod *iod)
{
    uint64_t len = t->size;

    if (t->type == VOS_IOD_ARRAY) {
        len = 0;
        for (uint32_t r = 0; r < t->recx_nr; r++) {
            recxs[r] = (struct recx){ref_array_base(t->akey) + t->recxs[r].lo, t->recxs[r].nr};
            len += t->recxs[r].nr;
        }
        len *= t->size;
    }
    *iod = (struct vos_iod){.akey = ref_key(obj, false, t->akey),
        .type = t->type,
        .cond = t->cond,
        .size = t->size,
        .recx_nr = t->recx_nr,
        .recxs = recxs,
        .data = {malloc(len + 1), len}};
    ref_fill(t->seed, 0, iod->data.buf, len);
}

void
ref_build(const struct ref_req *req, struct ref_built *b)
{
    for (uint32_t m = 0; m < req->mod_nr; m++) {
        const struct ref_mod *mod = &req->mods[m];

        b->mods[m] = (struct vos_mod){.op = mod->op,
            .oid = ref_oid(mod->obj),
            .cond = mod->cond,
            .dkey = ref_key(mod->obj, true, mod->dkey),
            .iod_nr = mod->iod_nr,
            .iods = b->iods[m]};
        for (uint32_t i = 0; i < mod->iod_nr; i++) {
            iod_build(&mod->iods[i], mod->obj, b->recxs[m][i], &b->iods[m][i]);
        }
    }
}

void
ref_built_free(const struct ref_req *req, struct ref_built *b)
{
    for (uint32_t m = 0; m < req->mod_nr; m++) {
        for (uint32_t i = 0; i < req->mods[m].iod_nr; i++) {
            free(b->iods[m][i].data.buf);
        }
    }
}

void
ref_mod_say(struct ref_run *run, const struct ref_mod *mod)
{
    static const char *const names[] = {"", "update", "punch object", "punch dkey", "punch akeys"};
    char text[400];
    int at = 0;

    if (!run->is_verbose)
        return;
    text[0] = 0;
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        const struct ref_iod *t = &mod->iods[i];

        at += snprintf(text + at, sizeof(text) - (size_t)at, " akey %u type %u size %u cond %#x",
            t->akey, t->type, t->size, t->cond);
        for (uint32_t r = 0; t->type == VOS_IOD_ARRAY && r < t->recx_nr; r++) {
            at += snprintf(
                text + at, sizeof(text) - (size_t)at, " [%u+%u]", t->recxs[r].lo, t->recxs[r].nr);
        }
    }
    ref_say(run, "    %s obj %u dkey %u cond %#x%s", names[mod->op], mod->obj, mod->dkey, mod->cond,
        text);
}

/* What the request table must make of this request: 1 for new. */
static int
slot_judge(const struct ref_slot *s, uint64_t seq)
{
    if (s->seq == seq)
        return 0;
    if (s->failed_seq == seq)
        return s->failed_rc;
    return seq < MAX(s->seq, s->failed_seq) ? -DER_TX_UNCERTAIN : 1;
}

static bool
is_final(int rc)
{
    enum err_class c = err_class(rc);

    return c == ERR_CLASS_CALLER || c == ERR_CLASS_ABSENT || c == ERR_CLASS_NOSPACE;
}

static void
slot_note(struct ref_slot *s, const struct vos_apply_args *args, int rc, uint64_t epoch)
{
    if (rc == 0) {
        s->seq = args->req.seq;
        s->epoch = epoch;
        s->result_len = (uint32_t)args->result.len;
        memcpy(s->result, args->result.buf, args->result.len);
    } else if (is_final(rc)) {
        s->failed_seq = args->req.seq;
        s->failed_rc = rc;
    }
}

static void
check_replay(struct ref_run *run, const struct ref_slot *s, const struct vos_apply_ret *ret)
{
    REF_CHECK(run, ret->is_replay && ret->epoch == s->epoch && ret->result_len == s->result_len);
    REF_CHECK(run, memcmp(ret->result, s->result, s->result_len) == 0);
    run->sums.replay_nr++;
}

static void
check_applied(struct ref_run *run, struct ref_place *p, const struct vos_apply_args *args, int rc,
    const struct ref_req *req, const struct vos_apply_ret *ret)
{
    struct ref_how how = {.epoch = args->epoch != 0 ? args->epoch
            : rc == 0                               ? ret->epoch
                                                    : run->epoch_last + 1,
        .is_given = args->epoch != 0,
        .bound = args->epoch_bound,
        .newest = run->epoch_last,
        .got = rc};
    int want;

    if (rc == 0) {
        REF_CHECK(run, !ret->is_replay && ret->epoch == how.epoch);
        REF_CHECK(run, args->epoch != 0 || ret->epoch > run->epoch_last);
    }
    want = ref_apply(p->ref, req, &how);
    run->sums.given_nr += args->epoch != 0;
    run->sums.given_done_nr += args->epoch != 0 && rc == 0;
    run->sums.spurious_nr += how.is_spurious;
    run->sums.mod_bound_nr += args->epoch_bound != 0;
    run->sums.mod_uncertain_nr += how.is_uncertain;
    ref_rc(run, "apply", rc, want);
}

/* Values are put where they will stay, before the request. */
static void
send_ahead(struct ref_run *run, struct ref_place *p, struct vos_apply_args *args)
{
    const struct iov *places;
    uint32_t nr = 0;
    int rc = vos_ahead_get(p->h, args, &args->ahead);
    uint64_t at = 0;

    if (rc != 0) {
        args->ahead = NULL;
        ref_rc(run, "ahead", rc, -DER_NOSYS);
        return;
    }
    places = vos_ahead_places(args->ahead, &nr);
    for (uint32_t i = 0; i < nr; i++) {
        memcpy(places[i].buf, (const uint8_t *)args->mods[0].iods[0].data.buf + at, places[i].len);
        at += places[i].len;
    }
    REF_CHECK(run, at == args->mods[0].iods[0].data.len);
    CAIRN_IGNORE((int)vos_ahead_sum(args->ahead));
}

void
ref_apply_asked(
    struct ref_run *run, const struct ref_place *p, int rc, const struct vos_dtx_asks *asks)
{
    if (rc != -DER_INPROGRESS)
        return;
    ref_asked(run, p, REF_OBJ_NR, VOS_EPOCH_MAX, asks);
    run->sums.waited_nr++;
}

static void
send(struct ref_run *run, struct ref_place *p, const struct ref_req *req,
    struct vos_apply_args *args, struct ref_slot *slot)
{
    struct ref_built b;
    struct vos_apply_ret ret = {.epoch = 0};
    struct vos_dtx_asks asks = {.nr = 0};
    int rc, want = slot == NULL ? 1 : slot_judge(slot, args->req.seq);

    ref_build(req, &b);
    args->mods = b.mods;
    args->mod_nr = req->mod_nr;
    args->flags = p->ref->is_no_history ? VOS_APPLY_NO_HISTORY : 0;
    ref_say(run, "apply at %#llx, bound %#llx, to container %d of pool %d, slot seq %llu",
        (unsigned long long)args->epoch, (unsigned long long)args->epoch_bound,
        (int)(p - run->pools[p >= run->pools[1].conts].conts), p >= run->pools[1].conts,
        (unsigned long long)args->req.seq);
    for (uint32_t i = 0; i < req->mod_nr; i++) {
        ref_mod_say(run, &req->mods[i]);
    }
    if (req->mod_nr == 1 && req->mods[0].op == VOS_MOD_UPDATE && req->mods[0].iod_nr == 1 &&
        req->mods[0].iods[0].size > VOS_INLINE_BYTES_MAX && rng_chance(&run->r, 1, 2))
        send_ahead(run, p, args);
    args->asks = &asks;
    rc = vos_apply(p->h, args, &ret);
    vos_ahead_free(args->ahead);
    ref_apply_asked(run, p, rc, &asks);
    if (want == 1) {
        check_applied(run, p, args, rc, req, &ret);
        if (slot != NULL)
            slot_note(slot, args, rc, ret.epoch);
    } else if (ref_rc(run, "resend", rc, want) && rc == 0)
        check_replay(run, slot, &ret);
    ref_built_free(req, &b);
    run->epoch_last = MAX(run->epoch_last, run->f->tgt->clock.last);
    ref_lists_note(run, p);
}

static struct ref_slot *
slot_pick(struct ref_run *run, uint32_t pool, struct vos_req_id *ret_id)
{
    uint32_t client = (uint32_t)rng_below(&run->r, REF_CLIENT_NR);
    uint32_t slot = (uint32_t)rng_below(&run->r, REF_SLOT_NR);
    struct ref_slot *s = &run->pools[pool].slots[client][slot];
    uint64_t what = rng_below(&run->r, 10);

    *ret_id = (struct vos_req_id){.client = {.b = {0x50, (uint8_t)client}},
        .slot = slot * (VOS_SLOTS_NR_MAX - 1),
        .hlc = 1000 + run->op,
        .seq = what < 7 || s->last == 0 ? s->last + 1
            : what < 9                  ? s->last
                                        : MAX(s->last, UINT64_C(2)) - 1};
    s->last = MAX(s->last, ret_id->seq);
    return s;
}

/* One single value is written, then another of its dkey, and then all that the dkey had before that is punched at an epoch in between: no longer all of it. */
static void
op_last_akeys(struct ref_run *run, struct ref_place *p)
{
    struct vos_apply_args args = {.pm_ver = (uint32_t)run->op};
    struct ref_req req = {.mod_nr = 1};
    struct ref_mod *mod = &req.mods[0];
    struct ref_dkey_state state;
    uint32_t first = (uint32_t)rng_below(&run->r, 2);

    *mod = (struct ref_mod){.op = VOS_MOD_PUNCH_AKEYS,
        .obj = (uint32_t)rng_below(&run->r, REF_OBJ_NR),
        .dkey = (uint32_t)rng_below(&run->r, REF_DKEY_NR),
        .iod_nr = 1,
        .iods = {{.akey = !first, .type = VOS_IOD_SINGLE}}};
    send(run, p, &req, &args, NULL);
    mod->op = VOS_MOD_UPDATE;
    mod->iods[0] =
        (struct ref_iod){.akey = first, .type = VOS_IOD_SINGLE, .size = 8, .seed = run->op};
    send(run, p, &req, &args, NULL);
    args.epoch = p->ref->epoch_max;
    mod->iods[0].akey = !first;
    send(run, p, &req, &(struct vos_apply_args){.pm_ver = args.pm_ver}, NULL);
    args.epoch += rng_below(&run->r, 2);
    ref_dkey_at(p->ref, mod->obj, mod->dkey, args.epoch, &state);
    *mod = (struct ref_mod){.op = VOS_MOD_PUNCH_AKEYS, .obj = mod->obj, .dkey = mod->dkey};
    for (uint32_t i = 0; i < REF_AKEY_NR; i++) {
        if (state.akeys[i].exists)
            mod->iods[mod->iod_nr++] = (struct ref_iod){.akey = i, .type = VOS_IOD_SINGLE};
    }
    if (mod->iod_nr > 0 && args.epoch > p->agg_hi)
        send(run, p, &req, &args, NULL);
    ref_fetch_whole(run, p, mod->obj, mod->dkey, VOS_EPOCH_MAX);
}

/* An epoch is taken, something changes after that, and then somebody whose clock is behind changes the same dkey at that epoch: nobody read in between. */
static void
op_behind(struct ref_run *run, struct ref_place *p)
{
    struct vos_apply_args fresh = {.pm_ver = (uint32_t)run->op}, args = fresh;
    struct ref_req first, req;

    if (!ref_rc(run, "epoch", vos_epoch_next(run->f->tgt, &args.epoch), 0))
        return;
    run->epoch_last = MAX(run->epoch_last, args.epoch);
    ref_random_req(&run->r, &first);
    first.mods[0].cond = rng_chance(&run->r, 1, 2) ? 0 : first.mods[0].cond;
    send(run, p, &first, &fresh, NULL);
    args.epoch_bound = rng_chance(&run->r, 1, 2) ? run->epoch_last
                                                 : ref_bound(run, p, first.mods[0].obj, args.epoch);
    ref_random_req(&run->r, &req);
    if (rng_chance(&run->r, 1, 2))
        req.mods[0] = first.mods[0];
    req.mods[0].obj = first.mods[0].obj;
    req.mods[0].dkey = rng_chance(&run->r, 3, 4) ? first.mods[0].dkey : req.mods[0].dkey;
    req.mods[0].cond = rng_chance(&run->r, 1, 2) ? 0 : req.mods[0].cond;
    for (uint32_t i = 0; i < req.mods[0].iod_nr; i++) {
        req.mods[0].iods[i].seed = rng_u64(&run->r);
    }
    ref_sizes_set(&req);
    if (args.epoch > p->agg_hi)
        send(run, p, &req, &args, NULL);
}

static void
op_apply(struct ref_run *run, struct ref_place *p, uint32_t pool, bool is_given)
{
    uint8_t result[VOS_RESULT_BYTES_MAX];
    struct vos_apply_args args = {.pm_ver = (uint32_t)run->op};
    struct ref_slot *slot = NULL;
    const struct ref_tx *tx;
    struct ref_req req;
    uint64_t e;

    ref_random_req(&run->r, &req);
    /* Often about what is not decided. */
    tx = &p->ref->txs[rng_below(&run->r, REF_TX_NR)];
    if (tx->is_open && rng_chance(&run->r, 1, 3)) {
        for (uint32_t i = 0; i < req.mod_nr; i++) {
            req.mods[i].obj = tx->parts[0].mods[0].obj;
            req.mods[i].dkey =
                rng_chance(&run->r, 1, 2) ? tx->parts[0].mods[0].dkey : req.mods[i].dkey;
        }
        ref_sizes_set(&req);
    }
    if (rng_chance(&run->r, 1, 4)) {
        slot = slot_pick(run, pool, &args.req);
        rng_bytes(&run->r, result, sizeof(result));
        args.result = (struct iov){result, rng_below(&run->r, sizeof(result) + 1)};
    }
    if (is_given && !p->ref->is_no_history) {
        e = rng_chance(&run->r, 1, 4) ? ref_near_future(run)
                                      : ref_event_epoch(run, p, req.mods[0].obj);
        if (e > p->agg_hi)
            args.epoch = e;
        if (args.epoch != 0 && rng_chance(&run->r, 1, 3))
            args.epoch_bound = ref_bound(run, p, req.mods[0].obj, e);
    }
    send(run, p, &req, &args, slot);
    if (rng_chance(&run->r, 1, 2))
        ref_fetch_whole(run, p, req.mods[0].obj, req.mods[0].dkey, VOS_EPOCH_MAX);
}

/* What is known of a request; a refusal from outside. */
static void
op_request(struct ref_run *run, struct ref_place *p, uint32_t pool)
{
    struct vos_req_id id;
    struct vos_apply_ret ret;
    struct ref_slot *s = slot_pick(run, pool, &id);
    int want = slot_judge(s, id.seq), rc;

    if (rng_chance(&run->r, 1, 3)) {
        ref_say(run, "refuse seq %llu", (unsigned long long)id.seq);
        rc = vos_req_refuse(p->h, &id, -DER_NO_PERM);
        if (want == 1) {
            s->failed_seq = id.seq;
            s->failed_rc = -DER_NO_PERM;
        }
        ref_rc(run, "refuse", rc, want == 1 ? 0 : want);
        return;
    }
    ref_say(run, "look up seq %llu", (unsigned long long)id.seq);
    rc = vos_req_lookup(p->h, &id, &ret);
    if (ref_rc(run, "look-up", rc, want == 1 ? -DER_NONEXIST : want) && rc == 0)
        check_replay(run, s, &ret);
}

/* ---- mistakes ------------------------------------------------------------------------------------------------------- */

/* Requests that are wrong in one way change nothing. */
static void
op_wrong(struct ref_run *run, struct ref_place *p)
{
    static const uint8_t zeros[8];
    struct recx recxs[2] = {{0, 10}, {5, 10}};
    struct vos_iod iod = {.akey = IOV("s"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("x")};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = ref_oid(0), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    uint32_t what = (uint32_t)rng_below(&run->r, 10);
    int want = -DER_INVAL;

    switch (what) {
    case 0:
        args.mod_nr = 0;
        break;
    case 1:
        mod.dkey = (struct iov){(void *)(uintptr_t)zeros, 0};
        break;
    case 2:
        iod.akey.len = VOS_KEY_BYTES_MAX + 1; /* not looked at */
        want = -DER_KEY2BIG;
        break;
    case 3:
        iod.size = VOS_VALUE_BYTES_MAX + 1;
        want = -DER_REC2BIG;
        break;
    case 4:
        mod.oid.oid.hi = UINT64_C(200) << 56;
        break;
    case 5:
        iod.type = VOS_IOD_ARRAY;
        iod.recx_nr = 2;
        iod.recxs = recxs;
        iod.size = 0;
        break;
    case 6:
        mod.oid = ref_oid(2); /* integers of three bytes */
        mod.dkey.len = 3;
        break;
    case 7:
        args.req = (struct vos_req_id){.client = {.b = {1}}, .slot = VOS_SLOTS_NR_MAX, .seq = 1};
        break;
    case 8:
        iod.data.len = 2;
        break;
    default:
        args.epoch = hlc_add_ns(hlc_from_unix_ns(plat_wall_ns(run->f->plat)), UINT64_C(5000000000));
        want = args.epoch > run->f->tgt->clock.last ? -DER_HLC_SYNC : -DER_TX_RESTART;
    }
    ref_say(run, "a wrong request, %u", what);
    ref_rc(run, "wrong request", vos_apply(p->h, &args, NULL), want);
}

/* ---- old versions --------------------------------------------------------------------------------------------------- */

static void
snap_add(struct ref_place *p, uint64_t e)
{
    uint32_t at = p->snap_nr;

    if (p->snap_nr == REF_SNAP_NR || e <= p->agg_hi)
        return;
    while (at > 0 && p->snaps[at - 1] >= e) {
        if (p->snaps[at - 1] == e)
            return;
        at--;
    }
    memmove(p->snaps + at + 1, p->snaps + at, (p->snap_nr - at) * sizeof(p->snaps[0]));
    p->snaps[at] = e;
    p->snap_nr++;
}

static void
snaps_pick(struct ref_run *run, struct ref_place *p)
{
    if (p->snap_nr > 0 && rng_chance(&run->r, 1, 3)) {
        p->snap_nr--;
        memmove(p->snaps, p->snaps + 1, p->snap_nr * sizeof(p->snaps[0]));
    }
    snap_add(p, ref_event_epoch(run, p, (uint32_t)rng_below(&run->r, REF_OBJ_NR)));
}

/* An array of large records is written, and written over in parts, with snapshots in between: what aggregation cuts. */
static void
pile_up(struct ref_run *run, struct ref_place *p)
{
    uint32_t obj = (uint32_t)rng_below(&run->r, REF_OBJ_NR);
    uint32_t nr = 2 + (uint32_t)rng_below(&run->r, 5);
    struct ref_req req;

    for (uint32_t i = 0; i < nr && run->fail[0] == 0; i++) {
        struct vos_apply_args args = {.pm_ver = (uint32_t)run->op};

        if (run->op % 4 != 0) { /* of chunks of some blocks: those that are cut are summed anew */
            args.csum_type = CSUM_TYPE_CRC64;
            args.csum_chunk_bytes = 16384 << (run->op % 2);
        }
        ref_random_big_req(&run->r, obj, i == 0 || rng_chance(&run->r, 1, 6), &req);
        send(run, p, &req, &args, NULL);
        if (rng_chance(&run->r, 1, 5))
            snap_add(p, run->epoch_last);
    }
}

struct pace {
    struct ref_run *run;
    struct ref_place *p;
    uint32_t pool;
    bool stopped;
};

/* Between the steps everything else goes on, and sometimes it is stopped. */
static int
pace_fn(void *arg, const struct vos_agg_stat *stat)
{
    struct pace *pc = arg;
    struct rng *r = &pc->run->r;

    (void)stat;
    ult_yield();
    if (pc->run->fail[0] != 0 || rng_chance(r, 1, 40)) {
        pc->stopped = true;
        return 1;
    }
    if (rng_chance(r, 1, 3)) {
        ref_op_fetch(pc->run, pc->p);
    } else if (rng_chance(r, 1, 3)) {
        op_apply(pc->run, pc->p, pc->pool, false);
    } else if (rng_chance(r, 1, 3)) {
        ref_op_list(pc->run, pc->p);
    } else if (rng_chance(r, 1, 3)) {
        ref_op_iter(pc->run, pc->p);
    } else if (rng_chance(r, 1, 3)) {
        ref_op_tx(pc->run, pc->p);
    } else if (rng_chance(r, 1, 3))
        umem_evict(pc->run->f->tgt->um, 1 + (uint32_t)rng_below(r, 30), rng_u64(r));
    return 0;
}

static void
op_aggregate(struct ref_run *run, struct ref_place *p, uint32_t pool)
{
    struct pace pc = {.run = run, .p = p, .pool = pool};
    struct vos_agg_args args = {.lo = rng_chance(&run->r, 1, 3), .snaps = p->snaps};
    struct vos_agg_stat stat;
    uint64_t hi;
    int rc;

    if (p->ref->is_no_history)
        return;
    if (rng_chance(&run->r, 1, 3)) {
        pile_up(run, p);
        hi = run->f->tgt->clock.last;
    } else {
        hi = MIN(ref_event_epoch(run, p, (uint32_t)rng_below(&run->r, REF_OBJ_NR)),
            run->f->tgt->clock.last);
    }
    if (rng_chance(&run->r, 1, 2))
        snaps_pick(run, p);
    if (hi < p->agg_hi)
        return;
    args.hi = hi;
    args.snap_nr = p->snap_nr;
    args.flags = rng_chance(&run->r, 1, 4) ? VOS_AGG_NO_MERGE : 0;
    args.flags |= run->op % 2 == 0 ? VOS_AGG_COOL : 0;
    ref_say(run, "aggregate to %#llx, %u snapshots, lo %llu, flags %u", (unsigned long long)hi,
        args.snap_nr, (unsigned long long)args.lo, args.flags);
    args.pace = rng_chance(&run->r, 2, 3) ? pace_fn : NULL;
    args.arg = &pc;
    p->agg_hi = hi;
    p->was_aggregated = true;
    p->ref->is_loose = true;
    rc = vos_cont_aggregate(p->h, &args, &stat);
    run->sums.agg_nr++;
    run->sums.agg_beside_nr += vos_dtx_oldest(p->h) != VOS_EPOCH_MAX && stat.ver_del_nr > 0;
    run->sums.agg_del_nr += stat.ver_del_nr;
    run->sums.agg_merge_nr += stat.merge_in_nr;
    run->sums.agg_cut_nr += stat.cut_nr;
    if (ref_rc(run, "aggregate", rc, 0))
        REF_CHECK(run, stat.is_finished == !pc.stopped && stat.csum_bad_nr == 0);
    if (rng_chance(&run->r, 1, 3))
        ref_compare_place(run, p, VOS_EPOCH_MAX);
    if (p->snap_nr > 0 && rng_chance(&run->r, 1, 3))
        ref_compare_place(run, p, p->snaps[rng_below(&run->r, p->snap_nr)]);
    /* What was written anew is looked at as of every snapshot. */
    for (uint32_t i = 0; i < p->snap_nr && stat.merge_in_nr > 0; i++) {
        ref_compare_place(run, p, p->snaps[i]);
    }
}

/* The newest versions go. */
static void
op_discard(struct ref_run *run, struct ref_place *p)
{
    uint64_t lo, hi = run->f->tgt->clock.last;
    struct vos_agg_stat stat;
    bool is_busy = false, is_beside = false;
    int rc;

    if (p->ref->is_no_history)
        return;
    lo = ref_event_epoch(run, p, (uint32_t)rng_below(&run->r, REF_OBJ_NR));
    if (lo <= p->agg_hi || lo > hi)
        return;
    ref_say(run, "discard %#llx to %#llx", (unsigned long long)lo, (unsigned long long)hi);
    rc = vos_cont_discard(p->h, lo, hi, NULL, &stat);
    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        const struct ref_tx *tx = &p->ref->txs[t];

        is_busy = is_busy || (tx->is_open && tx->epoch >= lo && tx->epoch <= hi);
        is_beside = is_beside || tx->is_open;
    }
    if (is_busy) {
        ref_rc(run, "discard", rc, -DER_BUSY);
        return;
    }
    run->sums.discard_beside_nr += is_beside;
    p->was_aggregated = true;
    ref_discard(p->ref, lo);
    ref_rc(run, "discard", rc, 0);
    ref_lists_note(run, p);
    for (uint32_t i = 0; i < REF_LIST_NR; i++) {
        run->lists[i].is_open = run->lists[i].is_open && run->lists[i].place != p;
    }
}

/* ---- operations ----------------------------------------------------------------------------------------------------- */

static void
op_store(struct ref_run *run, struct ref_place *p)
{
    uint64_t what = rng_below(&run->r, 1000), e = 0;

    if (what < 700) {
        ref_say(run, "evict pages");
        umem_evict(run->f->tgt->um, 1 + (uint32_t)rng_below(&run->r, 30), rng_u64(&run->r));
    } else if (what < 780) {
        ref_say(run, "checkpoint");
        ref_rc(run, "checkpoint", bio_checkpoint(run->f->bio), 0);
    } else if (what < 830) {
        ref_say(run, "collect");
        ref_rc(run, "collect", vos_tgt_collect(run->f->tgt), 0);
    } else if (what < 850) {
        ref_say(run, "check");
        ref_rc(run, "check", vos_tgt_check(run->f->tgt), 0);
    } else if (what < 870) {
        e = ref_epoch_pick(run, p, 0);
        ref_say(run, "compare container %d at %#llx", (int)(p - run->pools[0].conts),
            (unsigned long long)e);
        ref_compare_place(run, p, e);
    } else if (what < 940) {
        ref_say(run, "take an epoch");
        if (ref_rc(run, "epoch", vos_epoch_next(run->f->tgt, &e), 0))
            REF_CHECK(run, e > run->epoch_last);
    } else {
        ref_say(run, "receive an epoch");
        ref_rc(run, "epoch", vos_epoch_recv(run->f->tgt, ref_near_future(run)), 0);
    }
}

static enum ref_next
op_restart(struct ref_run *run)
{
    static const char *const names[] = {"", "close", "kill", "cut the power"};
    enum ref_next next = REF_CLOSE + (enum ref_next)rng_below(&run->r, 3);

    ref_say(run, "%s", names[next]);
    run->sums.restart_nr++;
    return next;
}

enum ref_next
ref_run_op(struct ref_run *run, uint64_t seed, uint64_t op)
{
    struct ref_place *p;
    uint64_t what;
    uint32_t pool;

    run->op = op;
    rng_init(&run->r, seed * UINT64_C(0x9e3779b97f4a7c15) + op);
    what = rng_below(&run->r, 1000);
    if (what == 0)
        return op_restart(run);
    p = place_pick(run, &pool);
    if (p == NULL || run->fail[0] != 0)
        return REF_GO_ON;
    if (what < 100) {
        ref_op_tx(run, p);
    } else if (what < 400) {
        op_apply(run, p, pool, false);
    } else if (what < 410 && !p->ref->is_no_history) {
        op_last_akeys(run, p);
    } else if (what < 420 && !p->ref->is_no_history) {
        op_behind(run, p);
    } else if (what < 500) {
        op_apply(run, p, pool, true);
    } else if (what < 660) {
        ref_op_fetch(run, p);
    } else if (what < 800) {
        ref_op_list(run, p);
    } else if (what < 850) {
        ref_op_query(run, p);
    } else if (what < 870) {
        ref_op_look(run, p);
    } else if (what < 890) {
        op_request(run, p, pool);
    } else if (what < 905) {
        op_wrong(run, p);
    } else if (what < 930) {
        op_admin(run);
    } else if (what < 936) {
        op_aggregate(run, p, pool);
    } else if (what < 938) {
        op_discard(run, p);
    } else if (what < 965) {
        ref_op_iter(run, p);
    } else {
        op_store(run, p);
    }
    run->epoch_last = MAX(run->epoch_last, run->f->tgt->clock.last);
    return REF_GO_ON;
}

/* ---- lives of the process ------------------------------------------------------------------------------------------- */

void
ref_run_opened(struct ref_run *run)
{
    struct vos_tgt *tgt = run->f->tgt;
    uint64_t e = 0;

    vos_test_hash_mask(tgt, run->hash_mask);
    tgt->dirty_depth = 0; /* objects here have few dkeys */
    if (run->f->sim != NULL)
        ult_sleep(UINT64_C(3000000000)); /* after a kill the bound is ahead of the clock */
    REF_CHECK(run, tgt->ts.floor >= run->epoch_last || run->epoch_last == 0);
    if (ref_rc(run, "epoch", vos_epoch_next(tgt, &e), 0))
        REF_CHECK(run, e > run->epoch_last);
    run->epoch_last = e;
    for (uint32_t i = 0; i < REF_POOL_NR; i++) {
        for (uint32_t c = 0; c < REF_CONT_NR; c++) {
            if (run->pools[i].conts[c].exists)
                run->pools[i].conts[c].ref->floor = tgt->ts.floor;
        }
    }
}

void
ref_run_compare(struct ref_run *run)
{
    for (uint32_t i = 0; i < REF_POOL_NR; i++) {
        for (uint32_t c = 0; c < REF_CONT_NR && run->fail[0] == 0; c++) {
            struct ref_place *p = &run->pools[i].conts[c];

            if (p->exists && p->h == NULL)
                cont_open(run, i, c);
            if (p->h != NULL)
                ref_compare_place(run, p, VOS_EPOCH_MAX);
            if (p->h != NULL && run->fail[0] == 0)
                ref_compare_place(run, p, ref_epoch_pick(run, p, 0));
        }
    }
    ref_rc(run, "check", vos_tgt_check(run->f->tgt), 0);
    ref_rc(run, "check of the arena", umem_check(run->f->tgt->um), 0);
}

void
ref_run_close(struct ref_run *run)
{
    for (uint32_t i = 0; i < REF_POOL_NR; i++) {
        for (uint32_t c = 0; c < REF_CONT_NR; c++) {
            place_close(run, &run->pools[i].conts[c]);
        }
    }
    fix_close(run->f);
}

void
ref_run_died(struct ref_run *run)
{
    for (uint32_t i = 0; i < REF_POOL_NR; i++) {
        for (uint32_t c = 0; c < REF_CONT_NR; c++) {
            struct ref_place *p = &run->pools[i].conts[c];

            p->h = NULL;
            if (p->exists && ref_txs_closed(p->ref))
                ref_lists_drop(run, p);
        }
        for (uint32_t c = 0; c < REF_CLIENT_NR; c++) {
            for (uint32_t s = 0; s < REF_SLOT_NR; s++) {
                run->pools[i].slots[c][s].failed_seq = 0; /* failures live in memory */
                run->pools[i].slots[c][s].failed_rc = 0;
            }
        }
    }
}

void
ref_run_fini(struct ref_run *run)
{
    for (uint32_t i = 0; i < REF_POOL_NR; i++) {
        for (uint32_t c = 0; c < REF_CONT_NR; c++) {
            place_forget(run, &run->pools[i].conts[c]);
        }
    }
}
