/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Records of the store beside its data: epochs, pools, containers, request tables, the collector's queue. */
#include "base/hlc.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "ddb/ddb.h"
#include "vos/vos_look.h"

enum { BATCH_NR = 256 };

/* Call fn for each pool. */
static int
pools_each(struct ddb *d, int (*fn)(struct ddb *d, struct uuid pool))
{
    struct uuid after = {{0}}, batch[BATCH_NR];
    uint32_t nr = BATCH_NR;
    int rc = 0;

    while (rc == 0 && nr == BATCH_NR) {
        rc = vos_pool_list(d->vos, after, batch, BATCH_NR, &nr);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            rc = fn(d, batch[i]);
        }
        if (nr > 0)
            after = batch[nr - 1];
    }
    return rc;
}

static int
cont_tell(struct ddb *d, struct uuid pool, struct uuid id, json_t *list)
{
    struct vos_cont *cont = NULL;
    struct vos_look_cont c;
    char text[CUUID_TEXT_BYTES];
    int rc = vos_cont_open(d->vos, pool, id, &cont);

    if (rc == 0)
        rc = vos_look_cont(cont, &c);
    if (cont != NULL)
        vos_cont_close(cont);
    if (rc != 0)
        return rc;
    (void)cuuid_format(&id, text);
    (void)json_array_append_new(list,
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "uuid", text, "record",
            ddb_hex(c.off), "objects", ddb_u64(c.obj_nr), "epoch_max", ddb_u64(c.epoch_max),
            "meta_used", ddb_u64(c.meta_used), "data_used", ddb_u64(c.data_used), "aggregated_to",
            ddb_u64(c.agg_epoch), "aggregated_snapshots", ddb_hex(c.agg_snaps)));
    ddb_say(
        d, "  container %s: %lu objects, metadata %lu, data %lu bytes, newest change @%lu, aggregated to @%lu\n",
        text, (unsigned long)c.obj_nr, (unsigned long)c.meta_used, (unsigned long)c.data_used,
        (unsigned long)c.epoch_max, (unsigned long)c.agg_epoch);
    return 0;
}

static int
pool_tell(struct ddb *d, struct uuid pool)
{
    struct uuid after = {{0}}, batch[BATCH_NR];
    json_t *conts = json_array();
    char text[CUUID_TEXT_BYTES];
    struct vos_look_pool p;
    uint32_t nr = BATCH_NR;
    int rc = vos_look_pool(d->vos, pool, &p);

    (void)cuuid_format(&pool, text);
    if (rc == 0) {
        ddb_say(d, "pool %s: shard %lu, quota: metadata %lu, data %lu bytes\n", text,
            (unsigned long)p.shard, (unsigned long)p.meta_quota, (unsigned long)p.data_quota);
        ddb_say(d, "  itself and its request table %lu bytes; scrubbing: %s\n",
            (unsigned long)p.meta_used,
            p.scrub_start_ns == 0    ? "never"
                : p.scrub_is_running ? "a pass is not complete"
                                     : "the last pass is complete");
    }
    while (rc == 0 && nr == BATCH_NR) {
        rc = vos_cont_list(d->vos, pool, after, batch, BATCH_NR, &nr);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            rc = cont_tell(d, pool, batch[i], conts);
        }
        if (rc == 0 && nr > 0)
            after = batch[nr - 1];
    }
    if (rc != 0)
        ddb_found(d, "pool %s cannot be read in full: %s", text, err_text(rc));
    if (rc != 0 && p.off == 0) {
        json_decref(conts);
        return 0;
    }
    ddb_row(d, "pools",
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "uuid", text, "record",
            ddb_hex(p.off), "shard", ddb_u64(p.shard), "meta_quota", ddb_u64(p.meta_quota),
            "data_quota", ddb_u64(p.data_quota), "meta_used", ddb_u64(p.meta_used), "horizon",
            ddb_u64(p.horizon), "scrub_start_ns", ddb_u64(p.scrub_start_ns), "scrub_is_running",
            p.scrub_is_running, "containers", conts));
    return 0;
}

int
ddb_cmd_stat(struct ddb *d, uint32_t nr, char **words)
{
    struct vos_look_root root;
    struct bio_space space;
    struct bio_stats stats;
    int rc;

    (void)nr;
    (void)words;
    rc = vos_look_root(d->vos, &root);
    if (rc != 0)
        return rc;
    bio_space_get(d->bio, &space);
    bio_stats_get(d->bio, &stats);
    ddb_set(d, "version", json_integer((json_int_t)root.version));
    ddb_set(d, "incompat", ddb_hex(root.feat_incompat));
    ddb_set(d, "epoch_bound", ddb_u64(root.epoch_bound));
    ddb_set(d, "epoch_bound_ns", ddb_u64(hlc_to_unix_ns(root.epoch_bound)));
    ddb_set(d, "queued_for_collector", ddb_u64(root.gc_nr));
    ddb_set(d, "replayed_records", ddb_u64(stats.replayed_records_nr));
    ddb_set(d, "meta_total", ddb_u64(space.meta_total));
    ddb_set(d, "meta_free", ddb_u64(space.meta_free));
    ddb_set(d, "data_total", ddb_u64(space.data_total));
    ddb_set(d, "data_free", ddb_u64(space.data_free));
    ddb_say(
        d, "store of version %u, no epoch above %lu was used; %lu records of the log were replayed in memory\n",
        root.version, (unsigned long)root.epoch_bound, (unsigned long)stats.replayed_records_nr);
    ddb_say(
        d, "metadata: %lu of %lu bytes free; data: %lu of %lu; %lu destroyed things wait for the collector\n",
        (unsigned long)space.meta_free, (unsigned long)space.meta_total,
        (unsigned long)space.data_free, (unsigned long)space.data_total, (unsigned long)root.gc_nr);
    ddb_set(d, "pools", json_array());
    return pools_each(d, pool_tell);
}

/* ---- request tables, collector -------------------------------------------------------------------------------------- */

static void
req_tell(void *arg, const struct vos_look_req *req)
{
    struct ddb *d = arg;
    char client[CUUID_TEXT_BYTES], result[2 * VOS_RESULT_BYTES_MAX + 1];
    struct strbuf sb;

    (void)cuuid_format(&req->client, client);
    strbuf_init(&sb, result, sizeof(result));
    strbuf_add_hex(&sb, req->result, req->result_len);
    ddb_row(d, "requests",
        json_pack("{s:s, s:o, s:i, s:o, s:o, s:o, s:s}", "client", client, "record",
            ddb_hex(req->client_off), "slot", (int)req->slot, "seq", ddb_u64(req->seq), "hlc",
            ddb_u64(req->hlc), "epoch", ddb_u64(req->epoch), "result", result));
    ddb_say(d, "client %s slot %u: seq %lu, sent at %lu, applied @%lu, answer %s\n", client,
        req->slot, (unsigned long)req->seq, (unsigned long)req->hlc, (unsigned long)req->epoch,
        result);
}

static int
reqs_tell(struct ddb *d, struct uuid pool)
{
    return vos_look_reqs(d->vos, pool, req_tell, d);
}

int
ddb_cmd_reqs(struct ddb *d, uint32_t nr, char **words)
{
    struct ddb_place p;
    int rc;

    ddb_set(d, "requests", json_array());
    if (nr == 1)
        return pools_each(d, reqs_tell);
    rc = ddb_place_find(d, words[1], &p);
    if (rc == 0 && p.level != DDB_POOL)
        rc = ddb_fail(d, -DER_INVAL, "%s is not a pool", words[1]);
    if (rc == 0)
        rc = reqs_tell(d, p.pool);
    ddb_place_end(&p);
    return rc;
}

static void
gc_tell(void *arg, const struct vos_look_gc *gc)
{
    struct ddb *d = arg;
    char id[CUUID_TEXT_BYTES];

    (void)cuuid_format(&gc->uuid, id);
    ddb_row(d, "queue",
        json_pack("{s:s, s:s, s:o, s:o}", "kind", gc->is_pool ? "pool" : "container", "uuid", id,
            "entry", ddb_hex(gc->off), "record", ddb_hex(gc->rec_off)));
    ddb_say(d, "%s %s, record at %#lx\n", gc->is_pool ? "pool" : "container", id,
        (unsigned long)gc->rec_off);
}

int
ddb_cmd_gc(struct ddb *d, uint32_t nr, char **words)
{
    (void)nr;
    (void)words;
    ddb_set(d, "queue", json_array());
    return vos_look_gc(d->vos, gc_tell, d);
}
