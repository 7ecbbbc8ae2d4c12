/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The table of handles: filled lazily by asking the pool service, one question at a time for each
 * pair of handles.
 * Tested by test/tgt_test.c.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/probe.h"
#include "tgt_priv.h"

/* How soon a service that did not answer is asked again about an old entry (TGT-5). */
#define REFRESH_RETRY_NS UINT64_C(2000000000)

static uint64_t
ids_hash(const struct tgt_ids *ids)
{
    return hash_bytes64(ids, sizeof(*ids), 0);
}

static struct tgt_hdl *
hdl_find(struct tgt *tgt, const struct tgt_ids *ids)
{
    struct tgt_hdl *hdl;

    HMAP_FOREACH_HASH(hdl, &tgt->hdls, ids_hash(ids), struct tgt_hdl, link) {
        if (memcmp(&hdl->ids, ids, sizeof(*ids)) == 0)
            break;
    }
    return hdl;
}

void
tgt_hdl_kill(struct tgt *tgt, struct tgt_hdl *hdl, int rc)
{
    CAIRN_ASSERT(!hdl->is_dead);
    hmap_remove(&tgt->hdls, &hdl->link);
    list_del(&hdl->lru);
    hdl->is_dead = true;
    hdl->rc = rc;
    ult_cond_broadcast(&hdl->changed);
    if (hdl->refs == 0) {
        ult_cond_fini(&hdl->changed);
        free(hdl);
        return;
    }
    list_add(&hdl->lru, &tgt->dead_hdls);
}

void
tgt_hdl_put(struct tgt *tgt, struct tgt_hdl *hdl)
{
    if (hdl == NULL)
        return;
    CAIRN_ASSERT(ult_runs_on(tgt->xs));
    CAIRN_ASSERT(hdl->refs > 0);
    hdl->refs--;
    if (hdl->refs > 0 || !hdl->is_dead)
        return;
    list_del(&hdl->lru);
    ult_cond_fini(&hdl->changed);
    free(hdl);
}

/* Make room for one more (TGT-4). */
static int
hdl_make_room(struct tgt *tgt)
{
    struct tgt_hdl *hdl;

    if (tgt->hdls.nr < tgt->opts.hdls_nr_max)
        return 0;
    LIST_FOREACH(hdl, &tgt->hdl_lru, struct tgt_hdl, lru) {
        if (hdl->refs == 0) {
            tgt->stats.evictions_nr++;
            CAIRN_PROBE("tgt.hdl.evict");
            tgt_hdl_kill(tgt, hdl, 0);
            return 0;
        }
    }
    return CAIRN_ERR(AGAIN);
}

static int
hdl_add(struct tgt *tgt, const struct tgt_ids *ids, struct tgt_hdl **ret_hdl)
{
    struct tgt_hdl *hdl;
    int rc;

    rc = hdl_make_room(tgt);
    if (rc != 0)
        return rc;
    hdl = calloc(1, sizeof(*hdl));
    if (hdl == NULL)
        return CAIRN_ERR(NOMEM);
    hdl->tgt = tgt;
    hdl->ids = *ids;
    ult_cond_init(&hdl->changed);
    hmap_insert(&tgt->hdls, &hdl->link, ids_hash(ids));
    list_add_tail(&hdl->lru, &tgt->hdl_lru);
    *ret_hdl = hdl;
    return 0;
}

/*
 * Ask the service about a referenced entry; what other look-ups or revocations did meanwhile wins.
 */
static int
hdl_ask(struct tgt *tgt, struct tgt_hdl *hdl)
{
    struct tgt_hdl_info info;
    uint64_t seq;
    int rc, tries = 0;

    hdl->is_asking = true;
    do {
        seq = tgt->revoke_seq;
        memset(&info, 0, sizeof(info));
        tgt->stats.lookups_nr++;
        rc = tgt->opts.hdl_lookup(tgt->opts.arg, &hdl->ids, &info);
        tries++;
    } while (rc == 0 && !hdl->is_dead && seq != tgt->revoke_seq && tries < TGT_LOOKUP_TRIES_MAX);
    if (rc == 0 && seq != tgt->revoke_seq)
        rc = CAIRN_ERR(AGAIN); /* never take an answer that may be older than a revocation (TGT-2) */
    hdl->is_asking = false;
    if (hdl->is_dead)
        return CAIRN_ERR(NO_HDL);
    if (rc == 0) {
        tgt_scrub_told(tgt, &hdl->ids.pool, &info.scrub);
        hdl->info = info;
        hdl->is_known = true;
        hdl->is_doubted = false;
        hdl->checked_ns = ult_now_ns();
    }
    ult_cond_broadcast(&hdl->changed);
    return rc;
}

/* The entry has old news: ask again; a service that cannot answer leaves it as it is (TGT-5). */
static void
refresh_ult(void *arg)
{
    struct tgt_hdl *hdl = arg;
    struct tgt *tgt = hdl->tgt;
    int rc;

    rc = hdl_ask(tgt, hdl);
    if ((rc == -DER_NO_HDL || rc == -DER_NONEXIST) && !hdl->is_dead)
        tgt_hdl_kill(tgt, hdl, CAIRN_ERR(NO_HDL));
    tgt_hdl_put(tgt, hdl);
    tgt_busy_end(tgt);
}

static void
hdl_refresh(struct tgt *tgt, struct tgt_hdl *hdl)
{
    if (hdl->is_asking || ult_now_ns() - hdl->checked_ns < TGT_HDL_TTL_NS)
        return;
    hdl->checked_ns = ult_now_ns() - TGT_HDL_TTL_NS + REFRESH_RETRY_NS;
    hdl->refs++;
    tgt_busy_begin(tgt);
    if (ult_create(tgt->xs, ULT_SERVICE, refresh_ult, hdl, NULL) != 0) {
        tgt_hdl_put(tgt, hdl); /* later */
        tgt_busy_end(tgt);
    }
}

static bool
hdl_is_settled(const struct tgt_hdl *hdl)
{
    return hdl->is_known && !hdl->is_doubted;
}

/* Wait for, or make, the first look-up of a referenced entry, or that of a doubted one. */
static int
hdl_settle(struct tgt *tgt, struct tgt_hdl *hdl)
{
    int rc;

    if (hdl->is_asking) {
        while (!hdl->is_dead && !hdl_is_settled(hdl) && hdl->is_asking) {
            ult_cond_wait(&hdl->changed, NULL);
        }
        if (hdl->is_dead)
            return hdl->rc != 0 ? hdl->rc : CAIRN_ERR(NO_HDL);
        return hdl_is_settled(hdl) ? 0 : CAIRN_ERR(AGAIN);
    }
    rc = hdl_ask(tgt, hdl);
    if (rc != 0 && !hdl->is_dead && (!hdl->is_known || rc == -DER_NO_HDL))
        tgt_hdl_kill(tgt, hdl, rc);
    return rc;
}

int
tgt_hdl_get(struct tgt *tgt, const struct tgt_ids *ids, uint32_t map_ver, struct tgt_hdl **ret_hdl)
{
    struct tgt_hdl *hdl = hdl_find(tgt, ids);
    int rc = 0;

    if (hdl == NULL) {
        rc = hdl_add(tgt, ids, &hdl);
        if (rc != 0)
            return rc;
    }
    list_move_tail(&hdl->lru, &tgt->hdl_lru);
    hdl->refs++;
    if (!hdl_is_settled(hdl)) {
        rc = hdl_settle(tgt, hdl);
    } else if (map_ver > hdl->info.map_ver && !hdl->is_asking) {
        rc = hdl_ask(tgt, hdl); /* the sender has a newer map: learn it */
    } else {
        hdl_refresh(tgt, hdl);
    }
    if (rc == 0 && hdl->is_dead)
        rc = CAIRN_ERR(NO_HDL);
    if (rc != 0) {
        tgt_hdl_put(tgt, hdl);
        return rc;
    }
    *ret_hdl = hdl;
    return 0;
}

void
tgt_hdl_kill_all(struct tgt *tgt, struct uuid pool, const struct uuid *cont)
{
    struct tgt_hdl *hdl, *tmp;

    tgt->revoke_seq++;
    LIST_FOREACH_SAFE(hdl, tmp, &tgt->hdl_lru, struct tgt_hdl, lru) {
        if (cuuid_cmp(&hdl->ids.pool, &pool) != 0)
            continue;
        if (cont != NULL && (!hdl->is_known || cuuid_cmp(&hdl->info.cont, cont) != 0))
            continue; /* those being asked about ask again, by revoke_seq */
        tgt_hdl_kill(tgt, hdl, CAIRN_ERR(NO_HDL));
    }
}

/*
 * Any of the pool's handles may have gone: what nobody uses is forgotten, what is in use is asked about before it is used again. Those that
 * are being asked about ask again, by revoke_seq.
 */
static void
hdl_doubt_all(struct tgt *tgt, const struct uuid *pool)
{
    struct tgt_hdl *hdl, *tmp;

    LIST_FOREACH_SAFE(hdl, tmp, &tgt->hdl_lru, struct tgt_hdl, lru) {
        if (cuuid_cmp(&hdl->ids.pool, pool) != 0)
            continue;
        hdl->is_doubted = true;
        if (hdl->refs == 0)
            tgt_hdl_kill(tgt, hdl, 0);
    }
}

void
tgt_hdl_revoke(struct tgt *tgt, struct uuid pool, struct uuid id)
{
    struct tgt_hdl *hdl, *tmp;

    tgt->revoke_seq++;
    tgt->stats.revokes_nr++;
    if (cuuid_is_nil(&id)) {
        hdl_doubt_all(tgt, &pool);
        return;
    }
    LIST_FOREACH_SAFE(hdl, tmp, &tgt->hdl_lru, struct tgt_hdl, lru) {
        bool is_it =
            cuuid_cmp(&hdl->ids.pool_hdl, &id) == 0 || cuuid_cmp(&hdl->ids.cont_hdl, &id) == 0;

        if (is_it && cuuid_cmp(&hdl->ids.pool, &pool) == 0)
            tgt_hdl_kill(tgt, hdl, CAIRN_ERR(NO_HDL));
    }
}
