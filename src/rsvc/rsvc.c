/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A replicated service with a single member: the log is the WAL below vos, the state machine is a
 * vos container.
 *
 *      STARTING -> ELECTING -> LEADER -> RESIGNING -> ELECTING ...        any -> STOPPING
 *
 * Each election takes the term stored in the database plus one and stores it before anybody sees
 * it (RSV-4). Every call notes the term at entry
 * and compares at its end: an operation that spans a change of leadership answers NOTLEADER
 * although its effect may be there (RSV-3); the asker
 * sends it again with the same id (RSV-2).
 *
 * Keys longer than KEY_PLAIN_MAX do not fit a lexical key of vos: they are stored under their
 * first KEY_PREFIX bytes and two hashes, and the full
 * key stands with the value. Tested by test/rsvc_test.c.
 */
#include "rsvc/rsvc.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/sm.h"
#include "rpc/rpc.h"
#include "ult/ult.h"

enum {
    KEY_PREFIX = 64,
    KEY_PLAIN_MAX = 79, /* shorter than a folded key, so that the two never meet */
    KEY_FOLDED = 80,
    PAGE_KEYS_NR = 64, /* keys read at once by a listing */
    ELECTION_RETRY_NS = 1000000000,
};
CAIRN_STATIC_ASSERT(
    (int)KEY_FOLDED == (int)VOS_KEY_LEXICAL_BYTES_MAX, "folded keys fill a lexical key");
CAIRN_STATIC_ASSERT(KEY_PREFIX + 16 == KEY_FOLDED, "prefix and two hashes");

#define OID_TYPE_AKEY_LEXICAL UINT64_C(6) /* api.md 4.1: hashed dkeys, lexical akeys */
/* Beside the values of a propose: nodes of trees, the request's record, room for a split at each level. */
#define ROOM_BYTES (UINT64_C(64) << 10)
#define ROOM_UPDATE_BYTES UINT64_C(1024)
#define TABLE_OWN ".rsvc" /* table of this component; services do not name tables with a dot */
#define KEY_TERM "term"

enum value_kind { VALUE_PLAIN = 0, VALUE_FOLDED = 1 }; /* first byte of a stored value */

enum { RSVC_STARTING, RSVC_ELECTING, RSVC_LEADER, RSVC_RESIGNING, RSVC_STOPPING };

static const struct sm_state_def rsvc_states[] = {
    [RSVC_STARTING] = {"starting", SM_TO(RSVC_ELECTING) | SM_TO(RSVC_STOPPING)},
    [RSVC_ELECTING] = {"electing", SM_TO(RSVC_LEADER) | SM_TO(RSVC_STOPPING)},
    [RSVC_LEADER] = {"leader", SM_TO(RSVC_RESIGNING) | SM_TO(RSVC_STOPPING)},
    [RSVC_RESIGNING] = {"resigning", SM_TO(RSVC_ELECTING) | SM_TO(RSVC_STOPPING)},
    [RSVC_STOPPING] = {"stopping", 0},
};
static const struct sm_def rsvc_sm = {"rsvc", rsvc_states, ARRAY_SIZE(rsvc_states)};

struct rsvc {
    struct vos_tgt *sys;
    struct vos_cont *cont;
    struct xstream *xs;
    struct rsvc_opts opts;
    struct sm sm;
    uint64_t term;
    bool is_stopping;
    bool is_electing; /* the ULT of an election lives */
    uint32_t calls_nr; /* inside a function here */
    struct ult_cond idle; /* calls_nr or is_electing changed */
    struct list_head works; /* memory of calls in flight, freed by abandon */
    struct list_head listers; /* the same for listings */
    /* At least so much of the quotas is left: what is used since they were asked for is estimated too high. */
    uint64_t meta_room, data_room;
    struct arena own; /* of elections */
};

/* Memory of one call, known to the service so that a killed process leaves nothing behind. */
struct work {
    struct list_head link;
    uint64_t bytes[];
};

static void *
work_get(struct rsvc *rsvc, size_t bytes)
{
    struct work *w = malloc(sizeof(*w) + bytes);

    if (w == NULL)
        return NULL;
    list_add(&w->link, &rsvc->works);
    return w->bytes;
}

static void
work_put(void *mem)
{
    struct work *w;

    if (mem == NULL)
        return;
    w = CAIRN_CONTAINER_OF(mem, struct work, bytes);
    list_del(&w->link);
    free(w);
}

static struct vos_oid
db_oid(void)
{
    struct vos_oid oid = {.oid = {.lo = 1, .hi = OID_TYPE_AKEY_LEXICAL << 56}};

    return oid;
}

/* ---- keys and values ------------------------------------------------------------------------ */

static bool
key_is_folded(struct iov key)
{
    return key.len > KEY_PLAIN_MAX;
}

/* The lexical key under which `key` is stored; buf has KEY_FOLDED bytes. */
static struct iov
key_store(struct iov key, uint8_t *buf)
{
    if (!key_is_folded(key))
        return key;
    memcpy(buf, key.buf, KEY_PREFIX);
    be64_put(buf + KEY_PREFIX, hash_bytes64(key.buf, key.len, 0));
    be64_put(buf + KEY_PREFIX + 8, hash_bytes64(key.buf, key.len, 1));
    return (struct iov){buf, KEY_FOLDED};
}

static size_t
value_bytes(const struct rsvc_update *u)
{
    return 1 + (key_is_folded(u->key) ? 2 + u->key.len : 0) + u->value.len;
}

static void
value_store(const struct rsvc_update *u, uint8_t *buf)
{
    struct enc e;

    enc_init(&e, buf, value_bytes(u));
    if (key_is_folded(u->key)) {
        enc_u8(&e, VALUE_FOLDED);
        enc_u16(&e, (uint16_t)u->key.len);
        enc_bytes(&e, u->key.buf, u->key.len);
    } else {
        enc_u8(&e, VALUE_PLAIN);
    }
    if (u->value.len > 0)
        enc_bytes(&e, u->value.buf, u->value.len);
    CAIRN_ASSERT(enc_check(&e) == 0);
}

/*
 * Take a stored value apart. `stored_key` is the lexical key; *ret_key becomes the full one.
 * Errors: DF_INVAL.
 */
static int
value_load(struct iov stored, struct iov stored_key, struct iov *ret_key, struct iov *ret_value)
{
    struct iov key = stored_key;
    struct dec d;
    uint8_t kind;

    dec_init(&d, stored.buf, stored.len);
    kind = dec_u8(&d);
    if (kind == VALUE_FOLDED) {
        key.len = dec_u16(&d);
        key.buf = (void *)(uintptr_t)dec_skip(&d, key.len);
    } else if (kind != VALUE_PLAIN) {
        return CAIRN_ERR(DF_INVAL);
    }
    if (dec_check(&d) != 0 || (kind == VALUE_FOLDED) != (stored_key.len == KEY_FOLDED))
        return CAIRN_ERR(DF_INVAL);
    *ret_key = key;
    *ret_value = (struct iov){(uint8_t *)stored.buf + d.off, dec_left(&d)};
    return 0;
}

/* ---- databases of the store ----------------------------------------------------------------- */

int
rsvc_create(struct vos_tgt *sys, struct uuid svc)
{
    int rc;

    rc = vos_pool_create(sys, svc, RSVC_META_BYTES_MIN, RSVC_DATA_BYTES_MIN);
    if (rc != 0 && rc != -DER_EXIST)
        return rc;
    /* A crash between the two leaves a shard without container: the next create completes it. */
    return vos_cont_create(sys, svc, svc);
}

int
rsvc_destroy(struct vos_tgt *sys, struct uuid svc)
{
    return vos_pool_destroy(sys, svc);
}

int
rsvc_list(struct vos_tgt *sys, struct uuid after, struct uuid *svcs, uint32_t nr, uint32_t *ret_nr)
{
    return vos_pool_list(sys, after, svcs, nr, ret_nr);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static bool
serves(const struct rsvc *rsvc)
{
    return sm_is(&rsvc->sm, RSVC_LEADER) || sm_is(&rsvc->sm, RSVC_ELECTING);
}

/* Errors: NOTLEADER. While the caches are loaded (ELECTING) step_up() itself may call. */
static int
call_begin(struct rsvc *rsvc, uint64_t *ret_term)
{
    CAIRN_ASSERT(ult_runs_on(rsvc->xs));
    if (!serves(rsvc) || rsvc->is_stopping)
        return CAIRN_ERR(NOTLEADER);
    rsvc->calls_nr++;
    *ret_term = rsvc->term;
    return 0;
}

static int
call_end(struct rsvc *rsvc, uint64_t term, int rc)
{
    bool is_same = rsvc->term == term && serves(rsvc);

    CAIRN_ASSERT(rsvc->calls_nr > 0);
    rsvc->calls_nr--;
    if (rsvc->calls_nr == 0)
        ult_cond_broadcast(&rsvc->idle);
    return is_same ? rc : CAIRN_ERR(NOTLEADER); /* RSV-3 */
}

int
rsvc_check_leader(const struct rsvc *rsvc, uint32_t *ret_hint)
{
    if (sm_is(&rsvc->sm, RSVC_LEADER) && !rsvc->is_stopping)
        return 0;
    if (ret_hint != NULL)
        *ret_hint = rsvc->is_stopping ? RPC_RANK_NONE : rsvc->opts.self_rank;
    return CAIRN_ERR(NOTLEADER);
}

uint64_t
rsvc_term(const struct rsvc *rsvc)
{
    return rsvc->term;
}

static int
update_check(const struct rsvc_update *u)
{
    size_t table_len = u->table == NULL ? 0 : strlen(u->table);

    if (table_len == 0 || table_len > RSVC_TABLE_NAME_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    if (u->op != RSVC_PUT && u->op != RSVC_DEL && u->op != RSVC_DEL_TABLE)
        return CAIRN_ERR(INVAL);
    if (u->op == RSVC_PUT && u->value.len > RSVC_VALUE_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    if (u->op != RSVC_DEL_TABLE && (u->key.len == 0 || u->key.len > RSVC_KEY_BYTES_MAX))
        return CAIRN_ERR(INVAL);
    return 0;
}

/* What a propose hands to vos: one modification for each update, in one piece of memory. */
struct batch {
    struct vos_mod mods[RSVC_UPDATES_NR_MAX];
    struct vos_iod iods[RSVC_UPDATES_NR_MAX];
    uint8_t keys[RSVC_UPDATES_NR_MAX][KEY_FOLDED];
};

static void
batch_fill(struct batch *b, const struct rsvc_update *updates, uint32_t nr, uint8_t *values)
{
    for (uint32_t i = 0; i < nr; i++) {
        const struct rsvc_update *u = &updates[i];
        struct vos_mod *mod = &b->mods[i];
        struct vos_iod *iod = &b->iods[i];

        memset(mod, 0, sizeof(*mod));
        memset(iod, 0, sizeof(*iod));
        mod->oid = db_oid();
        mod->dkey = (struct iov){(void *)(uintptr_t)u->table, strlen(u->table)};
        if (u->op == RSVC_DEL_TABLE) {
            mod->op = VOS_MOD_PUNCH_DKEY;
            continue;
        }
        iod->akey = key_store(u->key, b->keys[i]);
        iod->type = VOS_IOD_SINGLE;
        mod->iods = iod;
        mod->iod_nr = 1;
        mod->op = VOS_MOD_PUNCH_AKEYS;
        if (u->op == RSVC_PUT) {
            mod->op = VOS_MOD_UPDATE;
            iod->size = value_bytes(u);
            iod->data = (struct iov){values, iod->size};
            value_store(u, values);
            values += iod->size;
        }
    }
}

/* Double a quota until it leaves `need`. */
static uint64_t
quota_for(uint64_t quota, uint64_t used, uint64_t need, uint64_t max)
{
    while (quota < max && quota - MIN(quota, used) < need) {
        quota = MIN(quota * 2, max);
    }
    return quota;
}

static uint64_t
room_of(uint64_t quota, uint64_t used)
{
    return quota - MIN(quota, used);
}

/*
 * Before a propose: let the shard grow when it may not hold it. What does not help here, a full store or
 * a service at its limit, is told by the commit, which knows exactly (NOSPACE).
 */
static int
room_make(struct rsvc *rsvc, uint64_t meta, uint64_t data)
{
    struct vos_pool_info info;
    uint64_t meta_quota, data_quota;
    int rc;

    if (meta <= rsvc->meta_room && data <= rsvc->data_room)
        goto out;
    rc = vos_pool_query(rsvc->sys, rsvc->opts.svc, &info);
    if (rc != 0)
        return rc;
    meta_quota = quota_for(info.meta_quota, info.meta_used, meta, RSVC_META_BYTES_MAX);
    data_quota = quota_for(info.data_quota, info.data_used, data, RSVC_DATA_BYTES_MAX);
    if (meta_quota > info.meta_quota || data_quota > info.data_quota) {
        CAIRN_PROBE("rsvc.grow");
        rc = vos_pool_grow(rsvc->sys, rsvc->opts.svc, meta_quota, data_quota);
        if (rc != 0 && rc != -DER_NOSPACE)
            return rc;
        if (rc == 0) {
            info.meta_quota = meta_quota;
            info.data_quota = data_quota;
        }
    }
    rsvc->meta_room = room_of(info.meta_quota, info.meta_used);
    rsvc->data_room = room_of(info.data_quota, info.data_used);
out:
    rsvc->meta_room -= MIN(meta, rsvc->meta_room);
    rsvc->data_room -= MIN(data, rsvc->data_room);
    return 0;
}

static int
propose(struct rsvc *rsvc, const struct rsvc_update *updates, uint32_t nr,
    const struct vos_req_id *req, struct iov result, struct vos_apply_ret *ret)
{
    struct vos_apply_args args = {.mod_nr = nr, .flags = VOS_APPLY_NO_HISTORY, .result = result};
    struct batch *b;
    size_t bytes = 0;
    uint64_t data = 0;
    int rc;

    if (nr == 0 || nr > RSVC_UPDATES_NR_MAX || result.len > VOS_RESULT_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < nr; i++) {
        rc = update_check(&updates[i]);
        if (rc != 0)
            return rc;
        if (updates[i].op != RSVC_PUT)
            continue;
        bytes += value_bytes(&updates[i]);
        if (value_bytes(&updates[i]) > VOS_INLINE_SMALL_BYTES_MAX)
            data += ALIGN_UP(value_bytes(&updates[i]), (uint64_t)BIO_BLK_BYTES);
    }
    if (bytes > 0) { /* deletions need none (ST-8) */
        rc = room_make(rsvc, ROOM_BYTES + nr * ROOM_UPDATE_BYTES + bytes, data);
        if (rc != 0)
            return rc;
    }
    b = work_get(rsvc, sizeof(*b) + bytes);
    if (b == NULL)
        return CAIRN_ERR(NOMEM);
    batch_fill(b, updates, nr, (uint8_t *)(b + 1));
    args.mods = b->mods;
    if (req != NULL)
        args.req = *req;
    rc = vos_apply(rsvc->cont, &args, ret);
    work_put(b);
    return rc;
}

int
rsvc_propose(struct rsvc *rsvc, const struct rsvc_update *updates, uint32_t nr,
    const struct vos_req_id *req, struct iov result, struct vos_apply_ret *ret)
{
    struct vos_apply_ret local;
    uint64_t term;
    int rc;

    rc = call_begin(rsvc, &term);
    if (rc != 0)
        return rc;
    rc = propose(rsvc, updates, nr, req, result, ret == NULL ? &local : ret);
    return call_end(rsvc, term, rc);
}

int
rsvc_replay(struct rsvc *rsvc, const struct vos_req_id *req, struct vos_apply_ret *ret)
{
    uint64_t term;
    int rc;

    if (cuuid_is_nil(&req->client))
        return CAIRN_ERR(NONEXIST);
    rc = call_begin(rsvc, &term);
    if (rc != 0)
        return rc;
    rc = vos_req_lookup(rsvc->cont, req, ret);
    return call_end(rsvc, term, rc);
}

void
rsvc_refuse(struct rsvc *rsvc, const struct vos_req_id *req, int failure)
{
    uint64_t term;

    if (cuuid_is_nil(&req->client) || call_begin(rsvc, &term) != 0)
        return;
    CAIRN_IGNORE(vos_req_refuse(rsvc->cont, req, failure)); /* without memory it stays as it is */
    CAIRN_IGNORE(call_end(rsvc, term, 0));
}

static int
get(struct rsvc *rsvc, const char *table, struct iov stored_key, struct arena *arena,
    struct iov *ret_stored)
{
    struct iov dkey = {(void *)(uintptr_t)table, strlen(table)};
    struct vos_iod iod = {.akey = stored_key, .type = VOS_IOD_SINGLE};
    struct vos_oid oid = db_oid();
    struct vos_fetch *fetch = NULL;
    void *copy;
    int rc;

    rc = vos_fetch(rsvc->cont, &oid, VOS_EPOCH_MAX, 0, &dkey, &iod, 1, &fetch);
    if (rc != 0)
        return rc;
    if (fetch->iods[0].size == 0) {
        rc = CAIRN_ERR(NONEXIST);
        goto out;
    }
    CAIRN_ASSERT(fetch->iods[0].seg_nr == 1);
    copy = arena_dup(arena, fetch->iods[0].segs[0].buf, fetch->iods[0].size);
    if (copy == NULL) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    *ret_stored = (struct iov){copy, fetch->iods[0].size};
out:
    vos_fetch_free(rsvc->cont, fetch);
    return rc;
}

int
rsvc_get(struct rsvc *rsvc, const char *table, struct iov key, struct arena *arena,
    struct iov *ret_value)
{
    struct iov stored, stored_key, full, value;
    uint8_t buf[KEY_FOLDED];
    uint64_t term;
    int rc;

    if (key.len == 0 || key.len > RSVC_KEY_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    rc = call_begin(rsvc, &term);
    if (rc != 0)
        return rc;
    stored_key = key_store(key, buf);
    rc = get(rsvc, table, stored_key, arena, &stored);
    rc = call_end(rsvc, term, rc);
    if (rc != 0)
        return rc;
    rc = value_load(stored, stored_key, &full, &value);
    if (rc != 0)
        return rc;
    if (full.len != key.len || memcmp(full.buf, key.buf, key.len) != 0)
        return CAIRN_ERR(NONEXIST); /* another key with the same prefix and hashes */
    *ret_value = value;
    return 0;
}

/* One page of a listing: keys as stored. */
struct page {
    uint32_t nr;
    uint32_t lens[PAGE_KEYS_NR];
    uint8_t keys[PAGE_KEYS_NR][KEY_FOLDED];
};

static bool
page_add(void *arg, const struct vos_entry *entry)
{
    struct page *page = arg;

    if (page->nr == PAGE_KEYS_NR)
        return false;
    if (entry->key.len == 0 || entry->key.len > KEY_FOLDED)
        return true; /* not ours; vos_tgt_check() tells about it */
    memcpy(page->keys[page->nr], entry->key.buf, entry->key.len);
    page->lens[page->nr++] = (uint32_t)entry->key.len;
    return true;
}

/* Give the keys of a page to fn; *ret_is_end when it said stop. */
static int
page_emit(struct rsvc *rsvc, const char *table, struct page *page, struct arena *arena,
    bool (*fn)(void *arg, struct iov key, struct iov value), void *arg, bool *ret_is_end)
{
    struct iov stored, key, value;
    int rc;

    for (uint32_t i = 0; i < page->nr; i++) {
        struct iov stored_key = {page->keys[i], page->lens[i]};

        arena_reset(arena);
        rc = get(rsvc, table, stored_key, arena, &stored);
        if (rc == -DER_NONEXIST)
            continue; /* deleted since the page was read */
        if (rc != 0)
            return rc;
        rc = value_load(stored, stored_key, &key, &value);
        if (rc != 0)
            return rc;
        if (!fn(arg, key, value)) {
            *ret_is_end = true;
            return 0;
        }
    }
    return 0;
}

/* What a listing holds over yields. */
struct lister {
    struct list_head link; /* of rsvc.listers */
    struct page page;
    struct vos_anchor anchor;
    struct arena arena;
};

static void
lister_free(struct lister *l)
{
    list_del(&l->link);
    arena_fini(&l->arena);
    free(l);
}

/* Start behind a key. */
static int
anchor_set(struct rsvc *rsvc, struct iov after, struct vos_anchor *anchor)
{
    struct vos_oid oid = db_oid();
    uint8_t buf[KEY_FOLDED];
    struct iov stored = key_store(after, buf);

    return vos_anchor_from_key(rsvc->cont, &oid, VOS_LEVEL_AKEY, &stored, false, anchor);
}

static int
list_keys(struct rsvc *rsvc, const char *table, struct lister *l,
    bool (*fn)(void *arg, struct iov key, struct iov value), void *arg)
{
    struct vos_list_args args = {
        .level = VOS_LEVEL_AKEY,
        .oid = db_oid(),
        .dkey = {(void *)(uintptr_t)table, strlen(table)},
        .epoch = VOS_EPOCH_MAX,
        .fn = page_add,
        .arg = &l->page,
        .nr_max = PAGE_KEYS_NR,
    };
    bool is_end = false;
    int rc;

    do {
        l->page.nr = 0;
        rc = vos_list(rsvc->cont, &args, &l->anchor);
        if (rc == 0)
            rc = page_emit(rsvc, table, &l->page, &l->arena, fn, arg, &is_end);
    } while (rc == 0 && !is_end && !l->anchor.eof);
    return rc;
}

int
rsvc_list_keys(struct rsvc *rsvc, const char *table, struct iov after,
    bool (*fn)(void *arg, struct iov key, struct iov value), void *arg)
{
    struct lister *l;
    uint64_t term;
    int rc;

    if (after.len > RSVC_KEY_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    rc = call_begin(rsvc, &term);
    if (rc != 0)
        return rc;
    l = malloc(sizeof(*l));
    if (l == NULL)
        return call_end(rsvc, term, CAIRN_ERR(NOMEM));
    list_add(&l->link, &rsvc->listers);
    memset(&l->anchor, 0, sizeof(l->anchor));
    arena_init(&l->arena, 512, RSVC_VALUE_BYTES_MAX + 4096);
    rc = after.len == 0 ? 0 : anchor_set(rsvc, after, &l->anchor);
    if (rc == 0)
        rc = list_keys(rsvc, table, l, fn, arg);
    lister_free(l);
    return call_end(rsvc, term, rc);
}

/* ---- leadership ----------------------------------------------------------------------------- */

/* The stored term, 0 when there is none. */
static int
term_load(struct rsvc *rsvc, uint64_t *ret_term)
{
    struct iov term_key = {(void *)(uintptr_t)KEY_TERM, strlen(KEY_TERM)};
    struct iov stored, key, value;
    int rc;

    arena_reset(&rsvc->own);
    rc = get(rsvc, TABLE_OWN, term_key, &rsvc->own, &stored);
    if (rc == -DER_NONEXIST) {
        *ret_term = 0;
        return 0;
    }
    if (rc != 0)
        return rc;
    rc = value_load(stored, term_key, &key, &value);
    if (rc != 0)
        return rc;
    if (value.len != 8)
        return CAIRN_ERR(DF_INVAL);
    *ret_term = le64_get(value.buf);
    return 0;
}

static int
term_store(struct rsvc *rsvc, uint64_t term)
{
    uint8_t buf[8];
    struct rsvc_update u = {
        .op = RSVC_PUT,
        .table = TABLE_OWN,
        .key = {(void *)(uintptr_t)KEY_TERM, strlen(KEY_TERM)},
        .value = {buf, sizeof(buf)},
    };
    struct vos_apply_ret ret;

    le64_put(buf, term);
    return propose(rsvc, &u, 1, NULL, (struct iov){NULL, 0}, &ret);
}

/* Become the leader of a new term. */
static int
elect(struct rsvc *rsvc)
{
    uint64_t term;
    int rc;

    rc = term_load(rsvc, &term);
    if (rc != 0)
        return rc;
    rc = term_store(rsvc, term + 1);
    if (rc != 0)
        return rc;
    rsvc->term = term + 1;
    rc = rsvc->opts.step_up == NULL ? 0 : rsvc->opts.step_up(rsvc->opts.arg);
    if (rc != 0 || rsvc->is_stopping)
        return rc != 0 ? rc : CAIRN_ERR(SHUTDOWN);
    sm_move(&rsvc->sm, RSVC_LEADER);
    return 0;
}

static void
election_ult(void *arg)
{
    struct rsvc *rsvc = arg;

    while (!rsvc->is_stopping) {
        int rc = elect(rsvc);
        char text[CUUID_TEXT_BYTES];

        if (rc == 0 || rsvc->is_stopping)
            break;
        LOG_WARN("service %s: step-up failed: %s; next try in 1 s",
            cuuid_format(&rsvc->opts.svc, text), err_text(rc));
        ult_cond_wait_until(&rsvc->idle, NULL, ult_now_ns() + ELECTION_RETRY_NS);
    }
    rsvc->is_electing = false;
    ult_cond_broadcast(&rsvc->idle);
}

int
rsvc_start(struct vos_tgt *sys, const struct rsvc_opts *opts, struct rsvc **ret_rsvc)
{
    struct rsvc *rsvc;
    int rc;

    rsvc = calloc(1, sizeof(*rsvc));
    if (rsvc == NULL)
        return CAIRN_ERR(NOMEM);
    rsvc->sys = sys;
    rsvc->xs = xstream_self();
    rsvc->opts = *opts;
    sm_init(&rsvc->sm, &rsvc_sm, RSVC_STARTING);
    ult_cond_init(&rsvc->idle);
    list_init(&rsvc->works);
    list_init(&rsvc->listers);
    arena_init(&rsvc->own, 128, 4096);
    *ret_rsvc = rsvc; /* visible to step_up(), and to abandon() while this call waits */
    rc = vos_cont_open(sys, opts->svc, opts->svc, &rsvc->cont);
    if (rc != 0)
        goto out;
    sm_move(&rsvc->sm, RSVC_ELECTING);
    rc = elect(rsvc);
out:
    if (rc != 0) {
        *ret_rsvc = NULL;
        if (rsvc->cont != NULL)
            vos_cont_close(rsvc->cont);
        arena_fini(&rsvc->own);
        free(rsvc);
    }
    return rc;
}

void
rsvc_resign(struct rsvc *rsvc)
{
    if (!sm_is(&rsvc->sm, RSVC_LEADER) || rsvc->is_stopping)
        return;
    sm_move(&rsvc->sm, RSVC_RESIGNING);
    if (rsvc->opts.step_down != NULL)
        rsvc->opts.step_down(rsvc->opts.arg);
    if (rsvc->is_stopping)
        return;
    sm_move(&rsvc->sm, RSVC_ELECTING);
    rsvc->term++; /* calls in flight see that they lost it; the election stores a term not below */
    rsvc->is_electing = true;
    if (ult_create(rsvc->xs, ULT_SERVICE, election_ult, rsvc, NULL) != 0)
        rsvc->is_electing = false; /* stays without a leader, and says so; next start repairs */
}

void
rsvc_stop(struct rsvc *rsvc)
{
    bool was_leader;

    if (rsvc == NULL)
        return;
    was_leader = sm_is(&rsvc->sm, RSVC_LEADER);
    rsvc->is_stopping = true;
    sm_move(&rsvc->sm, RSVC_STOPPING);
    ult_cond_broadcast(&rsvc->idle);
    if (was_leader && rsvc->opts.step_down != NULL)
        rsvc->opts.step_down(rsvc->opts.arg);
    while (rsvc->calls_nr > 0 || rsvc->is_electing) {
        ult_cond_wait(&rsvc->idle, NULL);
    }
    vos_cont_close(rsvc->cont);
    ult_cond_fini(&rsvc->idle);
    arena_fini(&rsvc->own);
    free(rsvc);
}

void
rsvc_abandon(struct rsvc *rsvc)
{
    struct work *w, *tmp;
    struct lister *l, *ltmp;

    if (rsvc == NULL)
        return;
    LIST_FOREACH_SAFE(l, ltmp, &rsvc->listers, struct lister, link) {
        lister_free(l);
    }
    arena_fini(&rsvc->own);
    LIST_FOREACH_SAFE(w, tmp, &rsvc->works, struct work, link) {
        free(w);
    }
    free(rsvc);
}
