/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * At most once (MS-2): the answer of every modifying request is stored in the transaction of its effect, in a table per pool shard:
 * client > slot > {seq, answer}. A client has one request at a time in a slot, with growing seq.
 *
 *   REQ-1  Same seq as stored: the stored answer again. Smaller: TX_UNCERTAIN (a late duplicate; its client is beyond it).
 *   REQ-2  A resend waits for the attempt that is still running here, then is judged by REQ-1.
 *   REQ-3  A failed request stores nothing on disk, for it changed nothing. Its final failure is remembered in memory, so that a duplicate that
 *          arrives later does not succeed after its client was told otherwise; duplicates do not outlive a restart, because messages for an earlier
 *          incarnation are refused (MS-1), and a client resends only what was not answered.
 *   REQ-4  Of more than VOS_CLIENTS_NR_MAX clients the one silent longest is forgotten, and the horizon rises to its newest request, in the same
 *          transaction. Whoever has no stored answer and is not newer than the horizon that its client's record began with (without a record:
 *          the shard's) gets TX_UNCERTAIN.
 */
#include "base/codec.h"
#include "vos/vos_priv.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
clients_off(const struct vos_pool *pool)
{
    return pool->off + offsetof(struct vos_pool_df, clients);
}

static struct vos_client *
client_find(struct vos_pool *pool, const struct uuid *id)
{
    struct vos_client *client;

    HMAP_FOREACH_HASH(
        client, &pool->clients, hash_bytes64(id->b, sizeof(id->b), 0), struct vos_client, link) {
        if (cuuid_cmp(&client->uuid, id) == 0)
            return client;
    }
    return NULL;
}

static struct vos_client *
client_new(struct vos_pool *pool, const struct uuid *id)
{
    struct vos_client *client = vos_mem_get(sizeof(*client));

    if (client == NULL)
        return NULL;
    client->uuid = *id;
    client->horizon = pool->horizon;
    ult_cond_init(&client->freed);
    hmap_insert(&pool->clients, &client->link, hash_bytes64(id->b, sizeof(id->b), 0));
    return client;
}

/* `client` is in no map any more. */
static void
client_free(struct vos_client *client)
{
    for (uint32_t i = 0; i < VOS_SLOT_GROUPS_NR_MAX; i++) {
        free(client->groups[i]);
    }
    free(client);
}

static void
client_drop(struct vos_pool *pool, struct vos_client *client)
{
    hmap_remove(&pool->clients, &client->link);
    client_free(client);
}

void
vos_req_unload(struct vos_pool *pool)
{
    struct hmap_link *link;

    while ((link = hmap_pop(&pool->clients)) != NULL) {
        client_free(CAIRN_CONTAINER_OF(link, struct vos_client, link));
    }
    hmap_fini(&pool->clients);
}

int
vos_req_check(const struct vos_req_id *id)
{
    if (cuuid_is_nil(&id->client))
        return 0;
    return id->slot >= VOS_SLOTS_NR_MAX || id->seq == 0 || id->seq == UINT64_MAX ? CAIRN_ERR(INVAL)
                                                                                 : 0;
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

struct req_load {
    struct vos_pool *pool;
    struct uuid after;
    struct vos_client *client;
    uint32_t group;
};

static int
load_client(struct vos_op *op, uint64_t rec, void *arg)
{
    struct req_load *l = arg;
    struct vos_client_df *df;
    struct uuid id;
    int rc = vos_client_get(op, rec, &df);

    if (rc != 0)
        return rc;
    memcpy(id.b, df->uuid, sizeof(id.b));
    l->client = client_new(l->pool, &id);
    if (l->client == NULL)
        return CAIRN_ERR(NOMEM);
    l->client->off = rec;
    l->client->horizon = df->horizon;
    l->group = 0;
    return 0;
}

/* The newest hlc of the client at hand, over its groups. */
static int
load_groups(struct vos_op *op, struct req_load *l)
{
    struct vos_client_df *df;
    struct vos_slots_df *slots;
    int rc = vos_client_get(op, l->client->off, &df);

    for (; rc == 0 && l->group < VOS_SLOT_GROUPS_NR_MAX; l->group++) {
        if (df->groups[l->group] == 0)
            continue;
        rc = vos_slots_get(op, df->groups[l->group], &slots);
        if (rc != 0)
            return rc;
        for (uint32_t i = 0; i < VOS_SLOT_GROUP_NR; i++) {
            l->client->hlc = MAX(l->client->hlc, slots->slots[i].hlc);
        }
    }
    return rc;
}

static int
load_body(struct vos_op *op, void *arg)
{
    struct req_load *l = arg;
    struct vos_pool_df *rec;
    uint32_t nr = 1;
    int rc;

    if (l->client != NULL) {
        rc = load_groups(op, l);
        if (rc != 0)
            return rc;
        l->client = NULL;
        return -DER_INPROGRESS;
    }
    rc = vos_pool_get(op, l->pool->off, &rec);
    if (rc == 0) {
        rc = vos_uuid_tree_walk(op, &vos_kind_client, &rec->clients, clients_off(l->pool),
            &l->after, &nr, load_client, l);
    }
    return rc == 0 && l->client != NULL ? -DER_INPROGRESS : rc;
}

int
vos_req_load(struct vos_tgt *tgt, struct vos_pool *pool)
{
    struct req_load l = {.pool = pool};
    struct vos_op op;

    vos_op_init(&op, tgt);
    return vos_read_run(tgt, &op, load_body, &l);
}

/* ---- a request ------------------------------------------------------------------------------------------------------ */

/* Oldest client that nobody uses, when the table is full. */
static struct vos_client *
pick_victim(struct vos_pool *pool, const struct vos_client *keep)
{
    struct vos_client *client, *oldest = NULL;

    if (pool->clients.nr <= VOS_CLIENTS_NR_MAX)
        return NULL;
    HMAP_FOREACH(client, &pool->clients, struct vos_client, link) {
        if (client != keep && client->busy_nr == 0 && (oldest == NULL || client->hlc < oldest->hlc))
            oldest = client;
    }
    return oldest;
}

/* Clients that are known for a failure only are bounded, too; what is forgotten of them raises the horizon in memory, where they live. */
static void
failures_trim(struct vos_pool *pool)
{
    struct vos_client *victim = pick_victim(pool, NULL);

    if (victim == NULL || victim->off != 0)
        return;
    pool->horizon = MAX(pool->horizon, victim->hlc);
    client_drop(pool, victim);
}

static void
slot_put(struct vos_pool *pool, struct vos_client *client)
{
    client->busy_nr--;
    if (client->busy_nr == 0 && client->off == 0 && !client->has_failure) {
        client_drop(pool, client); /* nothing of it needs to be known */
    } else {
        ult_cond_broadcast(&client->freed);
    }
}

static int
slot_take(struct vos_client *client, uint32_t slot, struct vos_cslot **ret_slot)
{
    struct vos_cslot **group = &client->groups[slot / VOS_SLOT_GROUP_NR];

    if (*group == NULL) {
        *group = vos_mem_get(VOS_SLOT_GROUP_NR * sizeof(**group));
        if (*group == NULL)
            return CAIRN_ERR(NOMEM);
    }
    *ret_slot = &(*group)[slot % VOS_SLOT_GROUP_NR];
    while ((*ret_slot)->is_busy) {
        ult_cond_wait(&client->freed, NULL);
    }
    (*ret_slot)->is_busy = true;
    return 0;
}

struct stored {
    struct vos_client *client;
    const struct vos_req_id *id;
    struct vos_slot_df slot; /* seq 0: none */
};

static int
stored_body(struct vos_op *op, void *arg)
{
    struct stored *s = arg;
    struct vos_client_df *df;
    struct vos_slots_df *slots;
    uint64_t group;
    int rc = vos_client_get(op, s->client->off, &df);

    if (rc != 0)
        return rc;
    group = df->groups[s->id->slot / VOS_SLOT_GROUP_NR];
    if (group == 0)
        return 0;
    rc = vos_slots_get(op, group, &slots);
    if (rc != 0)
        return rc;
    s->slot = slots->slots[s->id->slot % VOS_SLOT_GROUP_NR];
    return s->slot.result_len > VOS_RESULT_BYTES_MAX ? vos_bad(group, "stored answer") : 0;
}

/* REQ-1, REQ-3, REQ-4. 0 with *ret_is_replay false: a new request. */
static int
judge(const struct vos_cslot *slot, const struct stored *s, struct vos_apply_ret *ret)
{
    ret->is_replay = false;
    if (s->slot.seq == s->id->seq) {
        ret->is_replay = true;
        ret->epoch = s->slot.epoch;
        ret->result_len = s->slot.result_len;
        memcpy(ret->result, s->slot.result, sizeof(ret->result));
        return 0;
    }
    if (slot->failed_seq == s->id->seq)
        return slot->failed_rc;
    if (s->id->seq < MAX(s->slot.seq, slot->failed_seq))
        return CAIRN_ERR(TX_UNCERTAIN);
    if (s->slot.seq == 0 && s->id->hlc <= s->client->horizon)
        return CAIRN_ERR(TX_UNCERTAIN);
    return 0;
}

int
vos_req_begin(struct vos_tgt *tgt, struct vos_pool *pool, const struct vos_req_id *id,
    struct vos_req *ret_req, struct vos_apply_ret *ret)
{
    struct stored s = {.id = id};
    struct vos_cslot *slot = NULL;
    struct vos_op op;
    int rc;

    ret->is_replay = false;
    *ret_req = (struct vos_req){.id = id};
    if (cuuid_is_nil(&id->client))
        return 0;
    s.client = client_find(pool, &id->client);
    if (s.client == NULL) {
        failures_trim(pool);
        s.client = client_new(pool, &id->client);
    }
    if (s.client == NULL)
        return CAIRN_ERR(NOMEM);
    s.client->busy_nr++;
    rc = slot_take(s.client, id->slot, &slot);
    if (rc == 0 && s.client->off != 0) {
        vos_op_init(&op, tgt);
        rc = vos_read_run(tgt, &op, stored_body, &s);
    }
    if (rc == 0)
        rc = judge(slot, &s, ret);
    if (rc != 0 || ret->is_replay) {
        if (slot != NULL)
            slot->is_busy = false;
        slot_put(pool, s.client);
        return rc;
    }
    ret_req->client = s.client;
    ret_req->slot = slot;
    s.client->hlc = MAX(s.client->hlc, id->hlc);
    return 0;
}

static int
client_delete(struct vos_op *op, struct vos_pool *pool, struct vos_pool_df *rec,
    const struct vos_client *client)
{
    struct vos_btr_key key = vos_key_uuid(&client->uuid);
    struct vos_client_df *df;
    struct vos_btr t;
    bool exact;
    int rc = vos_btr_init(&t, op, &vos_kind_client, &rec->clients, clients_off(pool));

    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0 && (!exact || vos_btr_rec(&t) != client->off))
        rc = vos_bad(pool->off, "client table");
    if (rc == 0)
        rc = vos_btr_delete(&t);
    if (rc == 0)
        rc = vos_client_get(op, client->off, &df);
    for (uint32_t i = 0; rc == 0 && i < VOS_SLOT_GROUPS_NR_MAX; i++) {
        if (df->groups[i] != 0)
            rc = vos_free(op, df->groups[i], sizeof(struct vos_slots_df));
    }
    return rc != 0 ? rc : vos_free(op, client->off, sizeof(*df));
}

static int
client_create(struct vos_op *op, struct vos_pool *pool, struct vos_pool_df *rec, struct vos_req *req)
{
    struct vos_btr_key key = vos_key_uuid(&req->client->uuid);
    struct vos_ent_df ent = {.hkey = key.hkey};
    struct vos_client_df *df;
    struct vos_btr t;
    bool exact;
    int rc;

    req->evict = pick_victim(pool, req->client);
    req->horizon = pool->horizon;
    if (req->evict != NULL) {
        req->horizon = MAX(pool->horizon, req->evict->hlc);
        rc = req->evict->off != 0 ? client_delete(op, pool, rec, req->evict) : 0;
        if (rc == 0)
            rc = vos_range(op, pool->off + offsetof(struct vos_pool_df, horizon), sizeof(uint64_t));
        if (rc != 0)
            return rc;
        rec->horizon = req->horizon;
    }
    rc = vos_btr_init(&t, op, &vos_kind_client, &rec->clients, clients_off(pool));
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0 && exact)
        rc = vos_bad(pool->off, "client table");
    if (rc == 0)
        rc = vos_alloc(op, sizeof(*df), &ent.off, &df);
    if (rc != 0)
        return rc;
    df->magic = VOS_CLIENT_MAGIC;
    memcpy(df->uuid, req->client->uuid.b, sizeof(df->uuid));
    df->horizon = req->client->horizon;
    req->client_off = ent.off;
    return vos_btr_insert(&t, &ent);
}

/* The slots of the request, made when absent. */
static int
group_get(struct vos_op *op, uint64_t client_off, uint32_t group, uint64_t *ret_off,
    struct vos_slots_df **ret_slots)
{
    struct vos_client_df *df;
    int rc = vos_client_get(op, client_off, &df);

    if (rc != 0)
        return rc;
    *ret_off = df->groups[group];
    if (*ret_off != 0)
        return vos_slots_get(op, *ret_off, ret_slots);
    rc = vos_range(op, client_off + offsetof(struct vos_client_df, groups) + group * sizeof(uint64_t),
        sizeof(uint64_t));
    if (rc == 0)
        rc = vos_alloc(op, sizeof(**ret_slots), ret_off, ret_slots);
    if (rc != 0)
        return rc;
    (*ret_slots)->magic = VOS_SLOTS_MAGIC;
    df->groups[group] = *ret_off;
    return 0;
}

int
vos_req_store(struct vos_op *op, struct vos_pool *pool, struct vos_req *req, uint64_t epoch,
    const struct iov *result)
{
    int64_t before = op->meta_delta;
    struct vos_slots_df *slots;
    struct vos_slot_df *slot;
    struct vos_pool_df *rec;
    uint32_t idx;
    uint64_t off;
    int rc = 0;

    if (req->client == NULL)
        return 0;
    req->client_off = req->client->off;
    req->evict = NULL;
    if (req->client_off == 0) {
        rc = vos_pool_get(op, pool->off, &rec);
        if (rc == 0)
            rc = client_create(op, pool, rec, req);
    }
    if (rc == 0)
        rc = group_get(op, req->client_off, req->id->slot / VOS_SLOT_GROUP_NR, &off, &slots);
    if (rc != 0)
        return rc;
    idx = req->id->slot % VOS_SLOT_GROUP_NR;
    slot = &slots->slots[idx];
    rc = vos_range(op, off + offsetof(struct vos_slots_df, slots) + idx * sizeof(*slot),
        (uint32_t)(offsetof(struct vos_slot_df, result) +
            MAX(slot->result_len, (uint32_t)result->len)));
    if (rc != 0)
        return rc;
    slot->seq = req->id->seq;
    slot->hlc = req->id->hlc;
    slot->epoch = epoch;
    memset(slot->result, 0, slot->result_len);
    slot->result_len = (uint32_t)result->len;
    if (result->len > 0)
        memcpy(slot->result, result->buf, result->len);
    if (op->meta_delta != before) {
        rc = vos_pool_get(op, pool->off, &rec);
        if (rc == 0)
            rc = vos_range(op, pool->off + offsetof(struct vos_pool_df, meta_used), sizeof(uint64_t));
        if (rc == 0)
            rec->meta_used += (uint64_t)(op->meta_delta - before);
    }
    return rc;
}

void
vos_req_stored(struct vos_pool *pool, struct vos_req *req)
{
    if (req->client == NULL)
        return;
    req->client->off = req->client_off;
    if (req->evict != NULL) {
        pool->horizon = req->horizon;
        client_drop(pool, req->evict);
        req->evict = NULL;
    }
}

/* Failures that are the client's final answer; after others it may ask again with the same id. */
static bool
is_final(int rc)
{
    switch (err_class(rc)) {
    case ERR_CLASS_CALLER:
    case ERR_CLASS_ABSENT:
    case ERR_CLASS_NOSPACE:
        return true;
    default:
        return false;
    }
}

static void
failure_note(struct vos_req *req, int rc)
{
    req->client->has_failure = true;
    req->slot->failed_seq = req->id->seq;
    req->slot->failed_rc = rc;
}

void
vos_req_end(struct vos_pool *pool, struct vos_req *req, int rc)
{
    if (req->client == NULL)
        return;
    if (rc != 0 && is_final(rc))
        failure_note(req, rc);
    req->slot->is_busy = false;
    slot_put(pool, req->client);
    req->client = NULL;
}

/* ---- asking --------------------------------------------------------------------------------------------------------- */

int
vos_req_lookup(struct vos_cont *cont, const struct vos_req_id *id, struct vos_apply_ret *ret)
{
    struct vos_apply_ret answer;
    struct vos_req req;
    int rc = vos_req_check(id);

    if (rc == 0 && cuuid_is_nil(&id->client))
        rc = CAIRN_ERR(INVAL);
    if (rc != 0)
        return rc;
    rc = vos_req_begin(cont->tgt, cont->pool, id, &req, &answer);
    if (rc != 0) {
        *ret = (struct vos_apply_ret){
            .is_replay = true}; /* tells a failure that is NONEXIST from none */
        return rc;
    }
    *ret = answer;
    if (answer.is_replay)
        return 0;
    vos_req_end(cont->pool, &req, -DER_AGAIN);
    return CAIRN_ERR(NONEXIST);
}

int
vos_req_refuse(struct vos_cont *cont, const struct vos_req_id *id, int failure)
{
    struct vos_apply_ret answer = {0};
    struct vos_req req;
    int rc = vos_req_check(id);

    if (rc == 0 && cuuid_is_nil(&id->client))
        rc = CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = vos_req_begin(cont->tgt, cont->pool, id, &req, &answer);
    if (rc != 0 || answer.is_replay)
        return rc;
    failure_note(&req, failure);
    vos_req_end(cont->pool, &req, -DER_AGAIN);
    return 0;
}
