/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Object lo 2, hashed dkeys, integer akeys. dkey "log": an entry at its index. dkey "meta": the records of enum meta_key (README.md has their bytes).
 */
#include "raft/raft_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/util.h"
#include "raft/raft_msg.h"

enum meta_key { META_VOTE = 0, META_RANGE = 1, META_SNAP = 2, META_PENDING = 3 };

enum {
    RECORD_VERSION = 1,
    ENTRY_HEAD_BYTES = 12,
    META_BYTES_MAX = 512,
    FETCH_NR = 64, /* entries read at once */
};
/* What truncation, votes and the state machine need in a store that is nearly full. */
#define ROOM_BYTES (UINT64_C(64) << 10)

struct work {
    struct list_head link;
    uint64_t bytes[];
};

static void *
work_get(struct raft_store *store, size_t bytes)
{
    struct work *w = malloc(sizeof(*w) + bytes);

    if (w == NULL)
        return NULL;
    list_add(&w->link, &store->works);
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
log_oid(void)
{
    struct vos_oid oid = {.oid = {.lo = 2, .hi = UINT64_C(3) << 56}}; /* integer akeys */

    return oid;
}

static const struct iov dkey_log = {(void *)(uintptr_t) "log", 3};
static const struct iov dkey_meta = {(void *)(uintptr_t) "meta", 4};

/* ---- transactions --------------------------------------------------------------------------------------------------- */

/* One transaction: entries that come or go, and records. */
struct change {
    struct vos_mod mods[4];
    uint32_t mod_nr;
    struct vos_iod meta[3], gone;
    uint32_t meta_nr;
    uint8_t keys[4][8];
    uint8_t bytes[3][META_BYTES_MAX];
    /* entries */
    uint32_t nr;
    struct vos_iod iods[RAFT_STORE_STEP_NR];
    uint8_t indexes[RAFT_STORE_STEP_NR][8];
    uint8_t values[];
};

static struct change *
change_begin(struct raft_store *store, size_t value_bytes)
{
    struct change *c = work_get(store, sizeof(*c) + value_bytes);

    if (c != NULL) {
        c->mod_nr = 0;
        c->meta_nr = 0;
        c->nr = 0;
    }
    return c;
}

/* Room for a record's bytes behind its version. */
static void
meta_begin(struct change *c, enum meta_key key, struct enc *e)
{
    le64_put(c->keys[c->meta_nr], key);
    enc_init(e, c->bytes[c->meta_nr], META_BYTES_MAX);
    enc_u32(e, RECORD_VERSION);
    enc_u32(e, 0);
}

static void
meta_end(struct change *c, const struct enc *e)
{
    CAIRN_ASSERT(enc_check(e) == 0);
    c->meta[c->meta_nr] = (struct vos_iod){.akey = {c->keys[c->meta_nr], 8},
        .type = VOS_IOD_SINGLE,
        .size = e->len,
        .data = {e->buf, e->len}};
    c->meta_nr++;
}

static void
meta_vote(struct change *c, uint64_t term, uint64_t vote)
{
    struct enc e;

    meta_begin(c, META_VOTE, &e);
    enc_u64(&e, term);
    enc_u64(&e, vote);
    meta_end(c, &e);
}

static void
meta_range(struct change *c, uint64_t first, uint64_t last)
{
    struct enc e;

    meta_begin(c, META_RANGE, &e);
    enc_u64(&e, first);
    enc_u64(&e, last);
    meta_end(c, &e);
}

static void
meta_snap(struct change *c, enum meta_key key, const struct raft_store_snap *snap)
{
    struct enc e;

    meta_begin(c, key, &e);
    enc_u64(&e, snap->index);
    enc_u64(&e, snap->term);
    enc_u64(&e, snap->conf_index);
    enc_u64(&e, snap->conf.nr);
    for (uint32_t i = 0; i < snap->conf.nr; i++) {
        enc_u64(&e, snap->conf.members[i].id);
        enc_u64(&e, snap->conf.members[i].role);
    }
    meta_end(c, &e);
}

/* The record goes. */
static void
meta_punch(struct change *c, enum meta_key key)
{
    le64_put(c->keys[3], key);
    c->gone = (struct vos_iod){.akey = {c->keys[3], 8}, .type = VOS_IOD_SINGLE};
    c->mods[c->mod_nr++] = (struct vos_mod){
        .op = VOS_MOD_PUNCH_AKEYS, .oid = log_oid(), .dkey = dkey_meta, .iod_nr = 1, .iods = &c->gone};
}

static void
entry_key(struct change *c, uint64_t index)
{
    le64_put(c->indexes[c->nr], index);
    c->iods[c->nr] = (struct vos_iod){.akey = {c->indexes[c->nr], 8}, .type = VOS_IOD_SINGLE};
    c->nr++;
}

static void
entries_mod(struct change *c, enum vos_mod_op op)
{
    if (c->nr > 0) {
        c->mods[c->mod_nr++] = (struct vos_mod){
            .op = op, .oid = log_oid(), .dkey = dkey_log, .iod_nr = c->nr, .iods = c->iods};
    }
}

/* Make it durable, and free it. */
static int
change_end(struct raft_store *store, struct change *c)
{
    struct vos_apply_args args = {.mods = c->mods, .flags = VOS_APPLY_NO_HISTORY};
    int rc;

    if (c->meta_nr > 0) {
        c->mods[c->mod_nr++] = (struct vos_mod){.op = VOS_MOD_UPDATE,
            .oid = log_oid(),
            .dkey = dkey_meta,
            .iod_nr = c->meta_nr,
            .iods = c->meta};
    }
    args.mod_nr = c->mod_nr;
    rc = vos_apply(store->cont, &args, NULL);
    work_put(c);
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

/* What a record holds behind its version; 0 and len 0: there is none. `buf` has META_BYTES_MAX. */
static int
meta_get(struct raft_store *store, enum meta_key key, uint8_t *buf, size_t *ret_len)
{
    struct vos_oid oid = log_oid();
    struct vos_fetch *fetch = NULL;
    uint8_t akey[8];
    struct vos_iod iod = {.akey = {akey, 8}, .type = VOS_IOD_SINGLE};
    int rc;

    le64_put(akey, key);
    rc = vos_fetch(store->cont, &oid, VOS_EPOCH_MAX, 0, &dkey_meta, &iod, 1, &fetch);
    if (rc != 0)
        return rc;
    *ret_len = fetch->iods[0].size;
    if (*ret_len > META_BYTES_MAX || (*ret_len > 0 && *ret_len < 8)) {
        rc = CAIRN_ERR(DF_INVAL);
    } else if (*ret_len > 0) {
        memcpy(buf, fetch->iods[0].segs[0].buf, *ret_len);
        if (le32_get(buf) != RECORD_VERSION)
            rc = CAIRN_ERR(DF_INCOMPT);
    }
    vos_fetch_free(store->cont, fetch);
    return rc;
}

/* Two numbers; *ret_is_there false: none. */
static int
pair_get(struct raft_store *store, enum meta_key key, uint64_t *ret_a, uint64_t *ret_b)
{
    uint8_t buf[META_BYTES_MAX];
    struct dec d;
    size_t len;
    int rc;

    rc = meta_get(store, key, buf, &len);
    if (rc != 0 || len == 0)
        return rc;
    dec_init(&d, buf + 8, len - 8);
    *ret_a = dec_u64(&d);
    *ret_b = dec_u64(&d);
    return dec_end(&d) == 0 ? 0 : CAIRN_ERR(DF_INVAL);
}

static int
snap_get(struct raft_store *store, enum meta_key key, struct raft_store_snap *ret_snap)
{
    struct raft_store_snap snap = {.index = 0};
    uint8_t buf[META_BYTES_MAX];
    struct dec d;
    uint64_t nr;
    size_t len;
    int rc;

    memset(ret_snap, 0, sizeof(*ret_snap));
    rc = meta_get(store, key, buf, &len);
    if (rc != 0 || len == 0)
        return rc;
    dec_init(&d, buf + 8, len - 8);
    snap.index = dec_u64(&d);
    snap.term = dec_u64(&d);
    snap.conf_index = dec_u64(&d);
    nr = dec_u64(&d);
    if (nr > RAFT_MEMBERS_NR_MAX)
        return CAIRN_ERR(DF_INVAL);
    for (uint32_t i = 0; i < nr; i++) {
        snap.conf.members[i].id = dec_u64(&d);
        snap.conf.members[i].role = (uint8_t)dec_u64(&d);
        snap.conf.nr++;
    }
    if (dec_end(&d) != 0 || raft_conf_check(&snap.conf) != 0 || snap.index == 0 || snap.term == 0 ||
        snap.conf_index > snap.index)
        return CAIRN_ERR(DF_INVAL);
    *ret_snap = snap;
    return 0;
}

static void
entries_free(struct raft_entry *entries, size_t nr)
{
    for (size_t i = 0; entries != NULL && i < nr; i++) {
        raft_free(entries[i].buf.base);
    }
    raft_free(entries);
}

/* Take one entry out of its stored form. */
static int
entry_load(struct raft_store *store, const struct vos_fetch_iod *iod, struct raft_entry *entry)
{
    const uint8_t *buf;
    size_t len;

    if (iod->size < ENTRY_HEAD_BYTES || iod->seg_nr != 1 || iod->segs[0].buf == NULL)
        return CAIRN_ERR(DF_INVAL);
    buf = iod->segs[0].buf;
    len = iod->size - ENTRY_HEAD_BYTES;
    entry->term = le64_get(buf);
    entry->type = le16_get(buf + 8);
    entry->batch = NULL;
    if (entry->term == 0 || entry->term > store->term || le16_get(buf + 10) != 0 ||
        !raft_payload_is_good(entry->type, buf + ENTRY_HEAD_BYTES, len))
        return CAIRN_ERR(DF_INVAL);
    entry->buf.base = raft_malloc(len + (len == 0));
    if (entry->buf.base == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(entry->buf.base, buf + ENTRY_HEAD_BYTES, len);
    entry->buf.len = len;
    return 0;
}

/* The next entries, up to FETCH_NR. */
static int
entries_load_some(struct raft_store *store, size_t done, size_t nr)
{
    struct vos_oid oid = log_oid();
    struct vos_iod iods[FETCH_NR] = {{.size = 0}};
    uint8_t keys[FETCH_NR][8];
    struct vos_fetch *fetch = NULL;
    int rc;

    for (size_t i = 0; i < nr; i++) {
        le64_put(keys[i], store->first + done + i);
        iods[i] = (struct vos_iod){.akey = {keys[i], 8}, .type = VOS_IOD_SINGLE};
    }
    rc = vos_fetch(store->cont, &oid, VOS_EPOCH_MAX, 0, &dkey_log, iods, (uint32_t)nr, &fetch);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < nr && rc == 0; i++) {
        struct raft_entry *entry = &store->loading[done + i];

        rc = entry_load(store, &fetch->iods[i], entry);
        if (rc == 0 && done + i > 0 && entry->term < entry[-1].term)
            rc = CAIRN_ERR(DF_INVAL);
    }
    vos_fetch_free(store->cont, fetch);
    return rc;
}

int
raft_store_entries(struct raft_store *store, struct raft_entry **ret_entries, size_t *ret_nr)
{
    size_t nr = store->last + 1 - store->first;
    int rc = 0;

    *ret_entries = NULL;
    *ret_nr = 0;
    if (nr == 0)
        return 0;
    store->loading = raft_calloc(nr, sizeof(*store->loading));
    if (store->loading == NULL)
        return CAIRN_ERR(NOMEM);
    store->loading_nr = nr;
    for (size_t done = 0; done < nr && rc == 0; done += FETCH_NR) {
        rc = entries_load_some(store, done, MIN(nr - done, (size_t)FETCH_NR));
    }
    if (rc == 0) {
        *ret_entries = store->loading;
        *ret_nr = nr;
    } else {
        entries_free(store->loading, nr);
    }
    store->loading = NULL;
    store->loading_nr = 0;
    return rc;
}

/* Numbers that fit together (RFS-1). */
static int
range_check(const struct raft_store *store)
{
    uint64_t first_max = store->snap.index + 1;

    if (store->first == 0 || store->last >= RAFT_NUMBER_MAX || store->last + 1 < store->first ||
        store->first > first_max || store->last < store->snap.index ||
        store->snap.term > store->term || store->vote >= UINT64_MAX) {
        LOG_ERROR("raft: log %llu..%llu with a snapshot at %llu of term %llu in term %llu",
            (unsigned long long)store->first, (unsigned long long)store->last,
            (unsigned long long)store->snap.index, (unsigned long long)store->snap.term,
            (unsigned long long)store->term);
        return CAIRN_ERR(DF_INVAL);
    }
    return 0;
}

/* An installation was interrupted (RFS-3). */
static int
pending_settle(struct raft_store *store, uint64_t applied)
{
    struct change *c;
    int rc;

    if (store->pending.index == 0)
        return 0;
    if (applied >= store->pending.index)
        return raft_store_install_end(store);
    c = change_begin(store, 0);
    if (c == NULL)
        return CAIRN_ERR(NOMEM);
    meta_punch(c, META_PENDING);
    rc = change_end(store, c);
    if (rc == 0)
        store->pending.index = 0;
    return rc;
}

int
raft_store_open(struct raft_store *store, struct vos_cont *cont, uint64_t applied)
{
    int rc;

    memset(store, 0, sizeof(*store));
    store->cont = cont;
    store->first = 1;
    ult_mutex_init(&store->lock);
    list_init(&store->works);
    rc = pair_get(store, META_VOTE, &store->term, &store->vote);
    if (rc == 0)
        rc = pair_get(store, META_RANGE, &store->first, &store->last);
    if (rc == 0)
        rc = snap_get(store, META_SNAP, &store->snap);
    if (rc == 0)
        rc = snap_get(store, META_PENDING, &store->pending);
    if (rc == 0)
        rc = pending_settle(store, applied);
    if (rc == 0)
        rc = range_check(store);
    if (rc != 0)
        raft_store_close(store);
    return rc;
}

void
raft_store_close(struct raft_store *store)
{
    ult_mutex_fini(&store->lock);
}

void
raft_store_abandon(struct raft_store *store)
{
    struct work *w, *tmp;

    LIST_FOREACH_SAFE(w, tmp, &store->works, struct work, link) {
        free(w);
    }
    list_init(&store->works);
    entries_free(store->loading, store->loading_nr);
    store->loading = NULL;
}

/* ---- changes -------------------------------------------------------------------------------------------------------- */

int
raft_store_bootstrap(struct raft_store *store, const struct raft_conf *conf)
{
    struct raft_configuration lib;
    struct raft_buffer buf;
    struct raft_entry entry = {.term = 1, .type = RAFT_CHANGE};
    struct raft_span span = {1, &entry, 1};
    int rc;

    if (store->term != 0 || store->last != 0)
        return CAIRN_ERR(EXIST);
    rc = raft_conf_check(conf);
    if (rc == 0)
        rc = raft_conf_to_lib(conf, &lib);
    if (rc != 0)
        return rc;
    rc = raft_configuration_encode(&lib, &buf) == 0 ? 0 : CAIRN_ERR(NOMEM);
    raft_configuration_close(&lib);
    if (rc != 0)
        return rc;
    /* Known to the store, so that a kill amid this leaves nothing. */
    entry.buf.base = work_get(store, buf.len);
    entry.buf.len = buf.len;
    if (entry.buf.base != NULL)
        memcpy(entry.buf.base, buf.base, buf.len);
    raft_free(buf.base);
    if (entry.buf.base != NULL)
        raft_conf_wipe(entry.buf.base, entry.buf.len);
    if (entry.buf.base == NULL)
        return CAIRN_ERR(NOMEM);
    rc = raft_store_term_set(store, 1);
    if (rc == 0)
        rc = raft_store_append(store, &span, 1);
    work_put(entry.buf.base);
    return rc;
}

static int
vote_store(struct raft_store *store, uint64_t term, uint64_t vote)
{
    struct change *c = change_begin(store, 0);
    int rc;

    if (c == NULL)
        return CAIRN_ERR(NOMEM);
    meta_vote(c, term, vote);
    rc = change_end(store, c);
    if (rc == 0) {
        store->term = term;
        store->vote = vote;
    }
    return rc;
}

int
raft_store_term_set(struct raft_store *store, uint64_t term)
{
    if (term <= store->term)
        return CAIRN_ERR(INVAL);
    return vote_store(store, term, 0);
}

int
raft_store_vote_set(struct raft_store *store, uint64_t id)
{
    if (id == 0 || store->term == 0 || (store->vote != 0 && store->vote != id))
        return CAIRN_ERR(INVAL); /* RFS-2 */
    return store->vote == id ? 0 : vote_store(store, store->term, id);
}

/* How many of the entries of a list of spans, from (span, pos) on, go into one transaction, and their bytes. */
static uint32_t
step_measure(
    const struct raft_span *spans, uint32_t nr, uint32_t span, uint32_t pos, size_t *ret_bytes)
{
    uint32_t count = 0;
    size_t bytes = 0;

    while (span < nr && count < RAFT_STORE_STEP_NR && bytes < RAFT_STORE_STEP_BYTES) {
        bytes += ENTRY_HEAD_BYTES + spans[span].entries[pos].buf.len;
        count++;
        pos++;
        if (pos == spans[span].nr) {
            pos = 0;
            span++;
        }
    }
    *ret_bytes = bytes;
    return count;
}

/* Put one entry into a transaction; returns where the next value goes. */
static uint8_t *
entry_store(struct change *c, uint64_t index, const struct raft_entry *entry, uint8_t *value)
{
    struct vos_iod *iod = &c->iods[c->nr];

    entry_key(c, index);
    iod->size = ENTRY_HEAD_BYTES + entry->buf.len;
    iod->data = (struct iov){value, iod->size};
    le64_put(value, entry->term);
    le16_put(value + 8, entry->type);
    le16_put(value + 10, 0);
    if (entry->buf.len > 0)
        memcpy(value + ENTRY_HEAD_BYTES, entry->buf.base, entry->buf.len);
    return value + iod->size;
}

/* One transaction of an append; moves (span, pos) on. */
static int
append_step(struct raft_store *store, const struct raft_span *spans, uint32_t nr, uint32_t *span,
    uint32_t *pos)
{
    size_t bytes;
    uint32_t count = step_measure(spans, nr, *span, *pos, &bytes);
    struct change *c = change_begin(store, bytes);
    uint8_t *value;
    int rc;

    if (c == NULL)
        return CAIRN_ERR(NOMEM);
    value = c->values;
    for (uint32_t i = 0; i < count; i++) {
        value = entry_store(c, store->last + 1 + i, &spans[*span].entries[*pos], value);
        if (++*pos == spans[*span].nr) {
            *pos = 0;
            ++*span;
        }
    }
    entries_mod(c, VOS_MOD_UPDATE);
    meta_range(c, store->first, store->last + count);
    rc = change_end(store, c);
    if (rc == 0)
        store->last += count;
    return rc;
}

int
raft_store_append(struct raft_store *store, const struct raft_span *spans, uint32_t nr)
{
    uint32_t span = 0, pos = 0;
    uint64_t next;
    int rc = 0;

    ult_mutex_lock(&store->lock);
    next = store->last + 1;
    for (uint32_t i = 0; i < nr; i++) {
        if (spans[i].index != next || spans[i].nr == 0)
            rc = CAIRN_ERR(INVAL);
        next += spans[i].nr;
    }
    while (rc == 0 && span < nr) {
        rc = append_step(store, spans, nr, &span, &pos);
    }
    ult_mutex_unlock(&store->lock);
    return rc;
}

int
raft_store_truncate(struct raft_store *store, uint64_t index)
{
    int rc = 0;

    ult_mutex_lock(&store->lock);
    if (index <= store->snap.index || index < store->first)
        rc = CAIRN_ERR(INVAL);
    while (rc == 0 && store->last >= index) {
        uint64_t nr = MIN(store->last + 1 - index, (uint64_t)RAFT_STORE_STEP_NR);
        struct change *c = change_begin(store, 0);

        if (c == NULL) {
            rc = CAIRN_ERR(NOMEM);
            break;
        }
        for (uint64_t i = 0; i < nr; i++) {
            entry_key(c, store->last - i);
        }
        entries_mod(c, VOS_MOD_PUNCH_AKEYS);
        meta_range(c, store->first, store->last - nr);
        rc = change_end(store, c);
        if (rc == 0)
            store->last -= nr;
    }
    ult_mutex_unlock(&store->lock);
    return rc;
}

/* Drop up to RAFT_STORE_STEP_NR entries below `first` in this transaction; the new first one. */
static uint64_t
cut_front(const struct raft_store *store, struct change *c, uint64_t first)
{
    uint64_t at = store->first;

    while (at < first && at <= store->last && c->nr < RAFT_STORE_STEP_NR) {
        entry_key(c, at++);
    }
    entries_mod(c, VOS_MOD_PUNCH_AKEYS);
    return at;
}

int
raft_store_compact(struct raft_store *store, const struct raft_store_snap *snap, uint64_t first)
{
    int rc = 0;

    ult_mutex_lock(&store->lock);
    if (snap->index < store->snap.index || snap->index > store->last || first > snap->index + 1)
        rc = CAIRN_ERR(INVAL);
    for (bool is_first = true; rc == 0 && (is_first || store->first < first); is_first = false) {
        struct change *c = change_begin(store, 0);
        uint64_t at;

        if (c == NULL) {
            rc = CAIRN_ERR(NOMEM);
            break;
        }
        at = cut_front(store, c, first);
        meta_range(c, at, store->last);
        if (is_first)
            meta_snap(c, META_SNAP, snap);
        rc = change_end(store, c);
        if (rc == 0) {
            store->first = at;
            store->snap = *snap;
        }
    }
    ult_mutex_unlock(&store->lock);
    return rc;
}

int
raft_store_install_begin(struct raft_store *store, const struct raft_store_snap *snap)
{
    struct change *c;
    int rc;

    if (snap->index <= store->snap.index)
        return CAIRN_ERR(INVAL);
    ult_mutex_lock(&store->lock);
    c = change_begin(store, 0);
    if (c == NULL) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    meta_snap(c, META_PENDING, snap);
    rc = change_end(store, c);
    if (rc == 0)
        store->pending = *snap;
out:
    ult_mutex_unlock(&store->lock);
    return rc;
}

int
raft_store_install_end(struct raft_store *store)
{
    int rc = 0;

    ult_mutex_lock(&store->lock);
    while (rc == 0 && store->pending.index != 0) {
        struct change *c = change_begin(store, 0);
        bool is_last = store->last + 1 - store->first <= RAFT_STORE_STEP_NR;
        uint64_t at, last = store->last;

        if (c == NULL) {
            rc = CAIRN_ERR(NOMEM);
            break;
        }
        at = cut_front(store, c, UINT64_MAX);
        if (is_last) { /* nothing is left: the log goes on behind the snapshot */
            meta_snap(c, META_SNAP, &store->pending);
            meta_punch(c, META_PENDING);
            last = store->pending.index;
            at = last + 1;
        }
        meta_range(c, at, last);
        rc = change_end(store, c);
        if (rc != 0)
            break;
        store->first = at;
        store->last = last;
        if (is_last) {
            store->snap = store->pending;
            store->pending.index = 0;
        }
    }
    ult_mutex_unlock(&store->lock);
    return rc;
}

int
raft_store_room(const struct raft_store *store, uint64_t bytes)
{
    struct vos_pool_info info;
    uint64_t meta = ROOM_BYTES, data = 0;

    if (bytes + ENTRY_HEAD_BYTES > VOS_INLINE_SMALL_BYTES_MAX)
        data = ALIGN_UP(bytes + ENTRY_HEAD_BYTES, (uint64_t)BIO_BLK_BYTES);
    if (bytes + ENTRY_HEAD_BYTES <= VOS_INLINE_BYTES_MAX)
        meta += bytes;
    vos_cont_space(store->cont, &info);
    if (info.meta_quota - MIN(info.meta_used, info.meta_quota) < meta ||
        info.data_quota - MIN(info.data_used, info.data_quota) < data)
        return CAIRN_ERR(NOSPACE);
    return 0;
}
