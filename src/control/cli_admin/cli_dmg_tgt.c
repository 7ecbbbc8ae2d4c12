/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Targets and what they store on: dmg pool query-targets, storage query list-devices. A device is what roles of targets lie on: a block device, a file that stands
 * for one, or the directory of a target; its state is that of the target on it that does worst. Tested by test/control_system_test.py.
 */
#include "base/hash.h"
#include "base/ids.h"
#include "base/util.h"
#include "control/cli_admin/cli_dmg.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TARGETS_MAX = 256, ROLES_NR = 3 };

/* ---- targets of a pool -------------------------------------------------------------------------------------------------------------- */

static const char *
state_name(uint32_t state)
{
    static const char *const names[] = {"unknown", "down_out", "down", "up", "up_in", "new", "drain"};

    return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

static int
number_parse(struct dmg *dmg, const char *option, const char **pos, uint32_t *ret_nr)
{
    unsigned long nr;
    char *end;

    errno = 0;
    nr = strtoul(*pos, &end, 10);
    if (!isdigit((unsigned char)**pos) || errno != 0 || nr > UINT32_MAX ||
        (*end != '\0' && *end != ',')) {
        return cli_fail(&dmg->cli, -DER_INVAL, "--%s %s: expected a number", option, *pos);
    }
    *ret_nr = (uint32_t)nr;
    *pos = *end == ',' ? end + 1 : end;
    return 0;
}

static json_t *
tiers_json(const Cairn__Ctl__PoolTargetInfo *info)
{
    json_t *tiers = json_array();

    for (size_t i = 0; i < info->n_tiers; i++) {
        const Cairn__Ctl__TierStats *st = info->tiers[i];

        json_array_append_new(tiers,
            json_pack("{s:I, s:I, s:s}", "total", (json_int_t)st->total, "free",
                (json_int_t)st->free, "media_type", st->media));
    }
    return tiers;
}

static void
target_print(const Cairn__Ctl__PoolTargetInfo *info, uint64_t thresh)
{
    char total[24], left[24];

    (void)printf("Target: type unknown, state %s\n", state_name(info->state));
    for (size_t i = 0; i < info->n_tiers; i++) {
        (void)printf("- Storage tier %zu (%s):\n  Total size: %s\n  Free: %s\n", i,
            i == 0 ? "SCM" : "NVMe", cli_size_text(info->tiers[i]->total, total, sizeof(total)),
            cli_size_text(info->tiers[i]->free, left, sizeof(left)));
    }
    (void)printf("- Scrubber: %llu bad chunks, threshold %llu\n",
        (unsigned long long)info->scrub_bad, (unsigned long long)thresh);
    if (info->rc != 0)
        (void)printf("- Out of service: %s (%s)\n", info->error, err_name(info->rc));
}

int
dmg_pool_query_targets(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolQueryTargetsReq req = CAIRN__CTL__POOL_QUERY_TARGETS_REQ__INIT;
    const char *words[1], *rank = NULL, *targets = NULL;
    const struct cli_opt opts[] = {
        {.name = "rank", .value = &rank}, {.name = "target-idx", .value = &targets}, {0}};
    uint32_t list[TARGETS_MAX], nr;
    Cairn__Ctl__PoolQueryTargetsRep *rep;
    json_t *infos = json_array();
    uint8_t *body = NULL;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 1, &nr);

    if (rc == 0 && nr != 1)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected a pool; `dmg pool list` shows them");
    if (rc == 0 && rank == NULL)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "the required flag `--rank' was not specified");
    if (rc == 0)
        rc = number_parse(dmg, "rank", &rank, &req.rank);
    if (rc == 0 && *rank != '\0')
        rc = cli_fail(&dmg->cli, -DER_INVAL, "--rank: expected one number");
    req.targets = list;
    if (rc == 0 && targets != NULL && *targets == '\0')
        rc = cli_fail(&dmg->cli, -DER_INVAL, "--target-idx needs numbers like 0,1");
    while (rc == 0 && targets != NULL && *targets != '\0') {
        if (req.n_targets == TARGETS_MAX) {
            rc = cli_fail(&dmg->cli, -DER_INVAL, "--target-idx: more than %d", TARGETS_MAX);
        } else {
            rc = number_parse(dmg, "target-idx", &targets, &list[req.n_targets++]);
        }
    }
    if (rc == 0) {
        req.id = (char *)(uintptr_t)words[0];
        rc = dmg_call(dmg, CAIRN__CTL__METHOD__POOL_QUERY_TARGETS, &req.base, &body, &len);
    }
    rep = rc == 0 ? cairn__ctl__pool_query_targets_rep__unpack(NULL, len, body) : NULL;
    if (rc == 0 && rep == NULL)
        rc = CAIRN_ERR(PROTO);
    for (size_t i = 0; rep != NULL && i < rep->n_infos; i++) {
        const Cairn__Ctl__PoolTargetInfo *info = rep->infos[i];

        json_array_append_new(infos,
            json_pack("{s:i, s:s, s:s, s:o, s:I, s:I, s:i, s:s}", "target", (int)info->target,
                "target_type", "unknown", "target_state", state_name(info->state), "space",
                tiers_json(info), "scrub_bad", (json_int_t)info->scrub_bad, "scrub_thresh",
                (json_int_t)rep->scrub_thresh, "rc", (int)info->rc, "error", info->error));
        if (!dmg->cli.is_json)
            target_print(info, rep->scrub_thresh);
    }
    if (rep != NULL)
        cairn__ctl__pool_query_targets_rep__free_unpacked(rep, NULL);
    *ret_response = json_pack("{s:i, s:o}", "status", 0, "infos", infos);
    free(body);
    return rc;
}

/* ---- devices ---------------------------------------------------------------------------------------------------------------------------- */

/* The worst comes last. */
static const char *const dev_states[] = {"NORMAL", "SLOW", "STALLED", "EVICTED"};
static const char *const role_names[ROLES_NR] = {"wal", "meta", "data"};

struct device {
    const Cairn__Ctl__EngineStorage *engine;
    const char *path;
    uint32_t roles; /* bits, in the order of role_names */
    uint32_t state; /* of dev_states */
    uint32_t tgts[TARGETS_MAX], tgt_nr;
};

struct devices {
    struct device *list;
    size_t nr;
};

static struct device *
device_get(struct devices *devs, const Cairn__Ctl__EngineStorage *engine, const char *path)
{
    struct device *list;

    for (size_t i = 0; i < devs->nr; i++) {
        if (devs->list[i].engine == engine && strcmp(devs->list[i].path, path) == 0)
            return &devs->list[i];
    }
    list = realloc(devs->list, (devs->nr + 1) * sizeof(*list));
    if (list == NULL)
        return NULL;
    devs->list = list;
    list[devs->nr] = (struct device){.engine = engine, .path = path};
    return &list[devs->nr++];
}

static int
devices_find(const Cairn__Ctl__StorageQueryRep *rep, struct devices *devs)
{
    for (size_t e = 0; e < rep->n_engines; e++) {
        const Cairn__Ctl__EngineStorage *engine = rep->engines[e];

        for (size_t t = 0; t < engine->n_targets; t++) {
            const Cairn__Ctl__TargetHealth *h = engine->targets[t];

            for (size_t r = 0; r < h->n_paths && r < ROLES_NR; r++) {
                struct device *dev = device_get(devs, engine, h->paths[r]);

                if (dev == NULL)
                    return CAIRN_ERR(NOMEM);
                dev->roles |= 1u << r;
                dev->state = MAX(dev->state, MIN(h->state, (uint32_t)ARRAY_SIZE(dev_states) - 1));
                if (dev->tgt_nr < TARGETS_MAX &&
                    (dev->tgt_nr == 0 || dev->tgts[dev->tgt_nr - 1] != h->target))
                    dev->tgts[dev->tgt_nr++] = h->target;
            }
        }
    }
    return 0;
}

/* A name for what has none of its own: the same as long as it is where it is. */
static const char *
device_uuid(const struct device *dev, char *buf)
{
    size_t len = strlen(dev->path);
    struct uuid id = cuuid_from_random(hash_bytes64(dev->path, len, dev->engine->rank),
        hash_bytes64(dev->path, len, ~(uint64_t)dev->engine->rank));

    return cuuid_format(&id, buf);
}

static const char *
roles_text(uint32_t roles, char *buf, size_t bytes)
{
    size_t len = 0;

    buf[0] = '\0';
    for (uint32_t r = ROLES_NR; r-- > 0;) { /* data,meta,wal */
        if ((roles & 1u << r) != 0) {
            len +=
                (size_t)snprintf(buf + len, bytes - len, "%s%s", len > 0 ? "," : "", role_names[r]);
        }
    }
    return buf;
}

static const Cairn__Ctl__TargetHealth *
health_of(const struct device *dev, uint32_t target)
{
    for (size_t t = 0; t < dev->engine->n_targets; t++) {
        if (dev->engine->targets[t]->target == target)
            return dev->engine->targets[t];
    }
    return NULL;
}

static json_t *
store_json(const Cairn__Ctl__StoreStats *st)
{
    if (st == NULL)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "meta_total",
        (json_int_t)st->meta_total, "meta_free", (json_int_t)st->meta_free, "data_total",
        (json_int_t)st->data_total, "data_free", (json_int_t)st->data_free, "log_total",
        (json_int_t)st->log_total, "log_used", (json_int_t)st->log_used, "checkpoints",
        (json_int_t)st->checkpoints, "memory_limit", (json_int_t)st->memory_limit, "memory_used",
        (json_int_t)st->memory_used, "page_loads", (json_int_t)st->page_loads, "page_drops",
        (json_int_t)st->page_drops);
}

static json_t *
health_json(const Cairn__Ctl__TargetHealth *h)
{
    json_t *scrub = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "passes",
        (json_int_t)h->scrub_passes, "bytes", (json_int_t)h->scrub_bytes, "bad",
        (json_int_t)h->scrub_bad, "mended", (json_int_t)h->scrub_mended, "meta_passes",
        (json_int_t)h->scrub_meta_passes, "meta_bytes", (json_int_t)h->scrub_meta_bytes,
        "containers_skipped", (json_int_t)h->scrub_skipped, "shards_out", (json_int_t)h->shards_out);
    json_t *agg = json_pack("{s:I, s:I, s:I, s:I}", "passes", (json_int_t)h->agg_passes,
        "freed_bytes", (json_int_t)h->agg_freed_bytes, "work_ns", (json_int_t)h->agg_work_ns,
        "space_waits", (json_int_t)h->space_waits);

    return json_pack("{s:i, s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "target",
        (int)h->target, "state", dev_states[MIN(h->state, (uint32_t)ARRAY_SIZE(dev_states) - 1)],
        "rc", (int)h->rc, "error", h->error, "oldest_ns", (json_int_t)h->oldest_ns, "took_max_ns",
        (json_int_t)h->took_max_ns, "slow_ops", (json_int_t)h->slow_ops, "stalls",
        (json_int_t)h->stalls, "scrub", scrub, "aggregation", agg, "store", store_json(h->store));
}

static void
store_print(const Cairn__Ctl__StoreStats *st)
{
    char a[24], b[24], c[24], d[24];

    (void)printf("      Space: metadata %s free of %s, data %s free of %s",
        cli_size_text(st->meta_free, a, sizeof(a)), cli_size_text(st->meta_total, b, sizeof(b)),
        cli_size_text(st->data_free, c, sizeof(c)), cli_size_text(st->data_total, d, sizeof(d)));
    (void)printf("; log %s used of %s, %llu checkpoints\n", cli_size_text(st->log_used, a, sizeof(a)),
        cli_size_text(st->log_total, b, sizeof(b)), (unsigned long long)st->checkpoints);
    (void)printf("      Memory: %s of metadata, limit %s; pages read %llu, dropped %llu\n",
        cli_size_text(st->memory_used, a, sizeof(a)),
        st->memory_limit == 0 ? "none" : cli_size_text(st->memory_limit, b, sizeof(b)),
        (unsigned long long)st->page_loads, (unsigned long long)st->page_drops);
}

static void
health_print(const char *name, const Cairn__Ctl__TargetHealth *h)
{
    char bytes[24], meta[24];

    (void)printf("    %s: %s, longest operation %.3f s, slow %llu, stalled %llu\n", name,
        dev_states[MIN(h->state, (uint32_t)ARRAY_SIZE(dev_states) - 1)],
        (double)h->took_max_ns / 1e9, (unsigned long long)h->slow_ops, (unsigned long long)h->stalls);
    if (h->rc != 0)
        (void)printf("      Out of service: %s (%s)\n", h->error, err_name(h->rc));
    if (h->oldest_ns > 0)
        (void)printf("      Not answered for %.3f s\n", (double)h->oldest_ns / 1e9);
    if (h->store != NULL)
        store_print(h->store);
    (void)printf(
        "      Scrubber: %llu passes, %s; metadata: %llu passes, %s; bad %llu, mended %llu; "
        "containers left out %llu; pools out of service %u\n",
        (unsigned long long)h->scrub_passes, cli_size_text(h->scrub_bytes, bytes, sizeof(bytes)),
        (unsigned long long)h->scrub_meta_passes,
        cli_size_text(h->scrub_meta_bytes, meta, sizeof(meta)), (unsigned long long)h->scrub_bad,
        (unsigned long long)h->scrub_mended, (unsigned long long)h->scrub_skipped, h->shards_out);
}

static void
target_health_print(const Cairn__Ctl__TargetHealth *h)
{
    char name[24], freed[24];

    (void)snprintf(name, sizeof(name), "Target %u", h->target);
    health_print(name, h);
    (void)printf(
        "      Aggregation: %llu passes, %s given back, %.3f s of work; updates that waited for "
        "space %llu\n",
        (unsigned long long)h->agg_passes, cli_size_text(h->agg_freed_bytes, freed, sizeof(freed)),
        (double)h->agg_work_ns / 1e9, (unsigned long long)h->space_waits);
}

struct list_opts {
    bool health, show_evicted;
    const char *rank, *uuid;
    uint32_t rank_nr;
};

static json_t *
device_show(const struct dmg *dmg, const struct device *dev, const struct list_opts *o)
{
    json_t *tgts = json_array(), *stats = json_array(), *obj;
    char uuid[CUUID_TEXT_BYTES], roles[32];

    device_uuid(dev, uuid);
    roles_text(dev->roles, roles, sizeof(roles));
    if (!dmg->cli.is_json) {
        (void)printf("  UUID:%s [TrAddr:%s]\n    Targets:[", uuid, dev->path);
        for (uint32_t i = 0; i < dev->tgt_nr; i++) {
            (void)printf("%s%u", i > 0 ? " " : "", dev->tgts[i]);
        }
        (void)printf(
            "] Rank:%u State:%s\n    Roles:%s\n", dev->engine->rank, dev_states[dev->state], roles);
    }
    for (uint32_t i = 0; i < dev->tgt_nr; i++) {
        const Cairn__Ctl__TargetHealth *h = health_of(dev, dev->tgts[i]);

        json_array_append_new(tgts, json_integer(dev->tgts[i]));
        if (o->health && h != NULL) {
            json_array_append_new(stats, health_json(h));
            if (!dmg->cli.is_json)
                target_health_print(h);
        }
    }
    obj = json_pack("{s:s, s:o, s:i, s:i, s:s, s:{s:s, s:s}}", "uuid", uuid, "tgt_ids", tgts,
        "rank", (int)dev->engine->rank, "role_bits", (int)dev->roles, "roles", roles, "ctrlr",
        "pci_addr", dev->path, "dev_state", dev_states[dev->state]);
    if (o->health) {
        json_object_set_new(json_object_get(obj, "ctrlr"), "health_stats", stats);
    } else {
        json_decref(stats);
    }
    return obj;
}

static bool
is_shown(const struct device *dev, const struct list_opts *o)
{
    char uuid[CUUID_TEXT_BYTES];

    return (o->rank == NULL || dev->engine->rank == o->rank_nr) &&
        (o->uuid == NULL || strcmp(device_uuid(dev, uuid), o->uuid) == 0) &&
        (!o->show_evicted || dev->state == ARRAY_SIZE(dev_states) - 1);
}

/* The store of the services, of each engine that told: [{rank, state, .., scrub}]. */
static json_t *
services_show(
    const struct dmg *dmg, const Cairn__Ctl__StorageQueryRep *rep, const struct list_opts *o)
{
    json_t *list = json_array();
    char name[40];

    for (size_t e = 0; e < rep->n_engines; e++) {
        const Cairn__Ctl__EngineStorage *engine = rep->engines[e];
        json_t *obj;

        if (engine->services == NULL || (o->rank != NULL && engine->rank != o->rank_nr))
            continue;
        obj = health_json(engine->services);
        json_object_del(obj, "target");
        json_object_del(obj, "aggregation"); /* it has none */
        json_object_set_new(obj, "rank", json_integer(engine->rank));
        json_array_append_new(list, obj);
        (void)snprintf(name, sizeof(name), "Services of rank %u", engine->rank);
        if (!dmg->cli.is_json)
            health_print(name, engine->services);
    }
    return list;
}

static int
devices_show(struct dmg *dmg, const Cairn__Ctl__StorageQueryRep *rep, const struct list_opts *o,
    json_t **ret_response)
{
    struct devices devs = {.list = NULL};
    json_t *list = json_array(), *errors = json_object();
    char host[256] = "localhost", key[32];
    size_t shown_nr = 0;
    int rc = devices_find(rep, &devs);

    (void)gethostname(host, sizeof(host) - 1);
    if (!dmg->cli.is_json)
        (void)printf("-----\n%s\n-----\n  Devices\n", host);
    for (size_t i = 0; i < devs.nr; i++) {
        if (!is_shown(&devs.list[i], o))
            continue;
        json_array_append_new(list, device_show(dmg, &devs.list[i], o));
        shown_nr++;
    }
    for (size_t e = 0; e < rep->n_engines; e++) {
        const Cairn__Ctl__EngineStorage *engine = rep->engines[e];

        if (engine->rc == 0 || (o->rank != NULL && engine->rank != o->rank_nr))
            continue;
        (void)snprintf(key, sizeof(key), "rank %u", engine->rank);
        json_object_set_new(errors, key,
            json_pack("{s:s, s:i}", "error", engine->error, "status", (int)engine->rc));
        if (!dmg->cli.is_json)
            (void)printf("  Rank %u: %s (%s)\n", engine->rank, engine->error, err_name(engine->rc));
    }
    if (rc == 0 && shown_nr == 0 && o->uuid != NULL)
        rc = cli_fail(&dmg->cli, -DER_NONEXIST, "no device %s", o->uuid);
    if (!dmg->cli.is_json && shown_nr == 0)
        (void)printf("    No devices found\n");
    *ret_response = json_pack("{s:o, s:{s:{s:s, s:{s:{s:o}}}}}", "host_errors", errors,
        "HostStorage", "1", "hosts", host, "storage", "smd_info", "devices", list);
    if (o->health && o->uuid == NULL)
        json_object_set_new(*ret_response, "services", services_show(dmg, rep, o));
    free(devs.list);
    return rc;
}

int
dmg_storage_query(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    struct list_opts o = {.rank = NULL};
    const char *words[1], *pos;
    const struct cli_opt opts[] = {
        {.name = "rank", .letter = 'r', .value = &o.rank},
        {.name = "uuid", .letter = 'u', .value = &o.uuid},
        {.name = "health", .letter = 'b', .is_flag = true, .flag = &o.health},
        {.name = "show-evicted", .letter = 'e', .is_flag = true, .flag = &o.show_evicted},
        {0},
    };
    Cairn__Ctl__Empty req = CAIRN__CTL__EMPTY__INIT;
    Cairn__Ctl__StorageQueryRep *rep;
    uint8_t *body = NULL;
    uint32_t nr;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 1, &nr);

    if (rc == 0 && (nr != 1 || strcmp(words[0], "list-devices") != 0))
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected: dmg storage query list-devices");
    pos = o.rank;
    if (rc == 0 && pos != NULL)
        rc = number_parse(dmg, "rank", &pos, &o.rank_nr);
    if (rc == 0)
        rc = dmg_call(dmg, CAIRN__CTL__METHOD__STORAGE_QUERY, &req.base, &body, &len);
    if (rc != 0)
        return rc;
    rep = cairn__ctl__storage_query_rep__unpack(NULL, len, body);
    free(body);
    if (rep == NULL)
        return CAIRN_ERR(PROTO);
    rc = devices_show(dmg, rep, &o, ret_response);
    cairn__ctl__storage_query_rep__free_unpacked(rep, NULL);
    return rc;
}
