/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See server_cfg.h. Tested by test/server_cfg_test.c with every kind of mistake. */
#include "control/server/server_cfg.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#define GIB (UINT64_C(1) << 30)
#define GB UINT64_C(1000000000)

/* What is being read, for messages. */
struct reader {
    const char *path;
    yaml_document_t doc;
    char *err;
    size_t err_bytes;
};

static int __attribute__((format(printf, 3, 4)))
mistake(struct reader *reader, const yaml_node_t *node, const char *fmt, ...)
{
    int len = snprintf(reader->err, reader->err_bytes, "%s:%zu: ", reader->path,
        node != NULL ? node->start_mark.line + 1 : 1);
    va_list args;

    va_start(args, fmt);
    if (len >= 0 && (size_t)len < reader->err_bytes)
        (void)vsnprintf(reader->err + len, reader->err_bytes - (size_t)len, fmt, args);
    va_end(args);
    return CAIRN_ERR(INVAL);
}

static const char *
text_of(const yaml_node_t *node)
{
    return node != NULL && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value
                                                          : NULL;
}

static int
read_text(struct reader *reader, const yaml_node_t *node, const char *key, char *buf, size_t buf_bytes)
{
    const char *text = text_of(node);

    if (text == NULL)
        return mistake(reader, node, "%s: expected a text", key);
    if (strlen(text) >= buf_bytes)
        return mistake(reader, node, "%s: longer than %zu characters", key, buf_bytes - 1);
    memcpy(buf, text, strlen(text) + 1);
    return 0;
}

static int
read_number(struct reader *reader, const yaml_node_t *node, const char *key, uint64_t lo,
    uint64_t hi, uint64_t *ret_number)
{
    const char *text = text_of(node);
    char *end = NULL;
    unsigned long long number = 0;

    errno = 0;
    if (text != NULL && isdigit((unsigned char)text[0]))
        number = strtoull(text, &end, 10);
    if (end == NULL || *end != '\0' || errno != 0 || number < lo || number > hi) {
        return mistake(reader, node, "%s: expected a number from %llu to %llu, found %s", key,
            (unsigned long long)lo, (unsigned long long)hi, text != NULL ? text : "a list or map");
    }
    *ret_number = number;
    return 0;
}

/* Keys of the original that have no meaning here. */
static bool
is_known_elsewhere(const char *key)
{
    static const char *const keys[] = {"port", "mgmt_svc_replicas", "access_points",
        "control_metadata", "control_iface", "transport_config", "crt_timeout", "fault_path",
        "fault_cb", "nr_hugepages", "disable_hugepages", "disable_vfio", "disable_vmd",
        "telemetry_port", "control_log_mask", "control_log_file", "helper_log_file",
        "firmware_helper_log_file", "client_env_vars", "hyperthreads", "nr_xs_helpers",
        "pinned_numa_node", "first_core", "log_mask", "env_vars", "env_pass_through",
        "bdev_auto_faulty", "bdev_busid_range", "scm_list", "allow_numa_imbalance",
        "system_ram_reserved", "core_dump_filter", "bypass_health_chk", "enable_hotplug"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(key, keys[i]) == 0)
            return true;
    }
    return false;
}

/* Call fn for each key of a map. */
static int
each_key(struct reader *reader, const yaml_node_t *map, const char *what,
    int (*fn)(struct reader *reader, void *arg, const char *key, const yaml_node_t *node,
        const yaml_node_t *value),
    void *arg)
{
    if (map == NULL || map->type != YAML_MAPPING_NODE)
        return mistake(reader, map, "%s: expected `key: value` lines", what);
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start;
         pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&reader->doc, pair->key);
        const char *text = text_of(key);
        int rc;

        if (text == NULL)
            return mistake(reader, key, "%s: a key must be a word", what);
        rc = fn(reader, arg, text, key, yaml_document_get_node(&reader->doc, pair->value));
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- storage ------------------------------------------------------------------------------------------------------------- */

/* A tier as it stands, before it is known what its keys mean together. */
struct tier {
    struct server_engine_cfg *engine;
    char class[16];
    const yaml_node_t *list;
    uint64_t bdev_bytes;
    char roles[16];
};

static int
tier_roles(struct reader *reader, struct tier *tier, const yaml_node_t *value)
{
    static const char *const names[] = {"wal", "meta", "data"};
    bool has[3] = {false};
    size_t len = 0;

    if (value == NULL || value->type != YAML_SEQUENCE_NODE)
        return mistake(reader, value, "bdev_roles: expected a list of wal, meta, data");
    for (const yaml_node_item_t *item = value->data.sequence.items.start;
         item < value->data.sequence.items.top; item++) {
        const yaml_node_t *node = yaml_document_get_node(&reader->doc, *item);
        const char *text = text_of(node);
        uint32_t i = 0;

        while (i < 3 && (text == NULL || strcmp(text, names[i]) != 0)) {
            i++;
        }
        if (i == 3 || has[i]) {
            return mistake(reader, node,
                "bdev_roles: %s: expected each of wal, meta, data at most once",
                text != NULL ? text : "a list or map");
        }
        has[i] = true;
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (has[i]) {
            len += (size_t)snprintf(
                tier->roles + len, sizeof(tier->roles) - len, "%s%s", len > 0 ? "," : "", names[i]);
        }
    }
    return len > 0 ? 0
                   : mistake(reader, value, "bdev_roles: expected at least one of wal, meta, data");
}

static int
storage_key(struct reader *reader, void *arg, const char *key, const yaml_node_t *node,
    const yaml_node_t *value)
{
    struct tier *tier = arg;
    struct server_engine_cfg *engine = tier->engine;
    uint64_t number = 0;
    int rc;

    if (strcmp(key, "class") == 0) {
        rc = read_text(reader, value, key, tier->class, sizeof(tier->class));
        if (rc == 0 && strcmp(tier->class, "file") != 0 && strcmp(tier->class, "ram") != 0 &&
            strcmp(tier->class, "kdev") != 0 && strcmp(tier->class, "dcpm") != 0) {
            rc = mistake(reader, value,
                "class: %s is still to come: use file (ordinary files), kdev (block devices), dcpm "
                "(persistent memory) or ram (files on a tmpfs)",
                tier->class);
        }
        return rc;
    }
    if (strcmp(key, "scm_mount") == 0) {
        rc = read_text(reader, value, key, engine->dir, sizeof(engine->dir));
        if (rc == 0 && engine->dir[0] != '/')
            rc = mistake(reader, value, "scm_mount: %s: expected an absolute path", engine->dir);
        return rc;
    }
    if (strcmp(key, "bdev_list") == 0) {
        tier->list = value;
        if (value == NULL || value->type != YAML_SEQUENCE_NODE ||
            value->data.sequence.items.top == value->data.sequence.items.start)
            return mistake(reader, value, "bdev_list: expected a list of devices or files");
        return 0;
    }
    if (strcmp(key, "bdev_roles") == 0)
        return tier_roles(reader, tier, value);
    if (strcmp(key, "scm_size") == 0) {
        rc = read_number(reader, value, key, 1, 65536, &number);
        engine->meta_bytes = number * GIB;
        return rc;
    }
    if (strcmp(key, "scm_memory") == 0) {
        rc = read_number(reader, value, key, 1, 67108864, &number);
        engine->mem_bytes = number << 20;
        return rc;
    }
    if (strcmp(key, "bdev_size") == 0) {
        rc = read_number(reader, value, key, 1, 1048576, &number);
        tier->bdev_bytes = number * GB;
        return rc;
    }
    if (is_known_elsewhere(key))
        return 0;
    return mistake(reader, node,
        "%s: no such key in a storage tier; expected class, scm_mount, scm_size, scm_memory, "
        "bdev_list, bdev_size, bdev_roles",
        key);
}

static int
tier_dev_add(struct reader *reader, const struct tier *tier, const yaml_node_t *node)
{
    struct server_engine_cfg *engine = tier->engine;
    struct server_dev_cfg *dev = &engine->devs[engine->dev_nr];
    int rc;

    if (engine->dev_nr == SERVER_DEVS_NR_MAX) {
        return mistake(
            reader, node, "bdev_list: at most %d devices for an engine", SERVER_DEVS_NR_MAX);
    }
    rc = read_text(reader, node, "bdev_list", dev->path, sizeof(dev->path));
    if (rc == 0 && dev->path[0] != '/')
        rc = mistake(reader, node, "bdev_list: %s: expected an absolute path", dev->path);
    for (uint32_t i = 0; rc == 0 && i < engine->dev_nr; i++) {
        if (strcmp(engine->devs[i].path, dev->path) == 0)
            rc = mistake(reader, node, "bdev_list: %s is there twice", dev->path);
    }
    memcpy(dev->roles, tier->roles, sizeof(dev->roles));
    if (dev->roles[0] == '\0')
        memcpy(dev->roles, "wal,meta,data", sizeof("wal,meta,data"));
    dev->bytes = strcmp(tier->class, "file") == 0 ? tier->bdev_bytes : 0;
    engine->dev_nr += rc == 0;
    return rc;
}

static int
tier_read(struct reader *reader, struct server_engine_cfg *engine, const yaml_node_t *node)
{
    struct tier tier = {.engine = engine, .class = "file"};
    bool is_kdev;
    int rc = each_key(reader, node, "storage", storage_key, &tier);

    if (rc != 0)
        return rc;
    is_kdev = strcmp(tier.class, "kdev") == 0;
    engine->is_ram |= strcmp(tier.class, "ram") == 0;
    engine->is_pmem |= strcmp(tier.class, "dcpm") == 0;
    if (engine->is_ram && engine->is_pmem)
        return mistake(reader, node, "storage: one engine has class ram or dcpm, not both");
    if (tier.list == NULL) {
        if (is_kdev)
            return mistake(reader, node, "storage: class kdev needs bdev_list, the block devices");
        if (tier.roles[0] != '\0')
            return mistake(reader, node, "storage: bdev_roles without bdev_list says nothing");
        if (tier.bdev_bytes != 0)
            engine->data_bytes = tier.bdev_bytes;
        return 0;
    }
    if (strcmp(tier.class, "ram") == 0) {
        return mistake(reader, node,
            "storage: class ram has no bdev_list: give it a tier of class file or kdev");
    }
    if (strcmp(tier.class, "dcpm") == 0) {
        return mistake(reader, node,
            "storage: class dcpm has no bdev_list: mount the file system of the persistent memory "
            "with -o dax and name its directory in scm_mount");
    }
    if (is_kdev && tier.bdev_bytes != 0) {
        return mistake(
            reader, node, "storage: bdev_size is for class file: a block device has its size");
    }
    if (!is_kdev && tier.bdev_bytes == 0) {
        return mistake(reader, node,
            "storage: class file with bdev_list needs bdev_size, the size of each file in GB");
    }
    for (const yaml_node_item_t *item = tier.list->data.sequence.items.start;
         rc == 0 && item < tier.list->data.sequence.items.top; item++) {
        rc = tier_dev_add(reader, &tier, yaml_document_get_node(&reader->doc, *item));
    }
    return rc;
}

/* ---- engines ------------------------------------------------------------------------------------------------------------- */

static int
engine_key(struct reader *reader, void *arg, const char *key, const yaml_node_t *node,
    const yaml_node_t *value)
{
    struct server_engine_cfg *engine = arg;
    uint64_t number = 0;
    int rc = 0;

    if (strcmp(key, "targets") == 0) {
        rc = read_number(reader, value, key, 1, 64, &number);
        engine->targets = (uint32_t)number;
        return rc;
    }
    if (strcmp(key, "fabric_iface") == 0)
        return read_text(reader, value, key, engine->iface, sizeof(engine->iface));
    if (strcmp(key, "fabric_iface_port") == 0) {
        rc = read_number(reader, value, key, 1, 65535, &number);
        engine->port = (uint32_t)number;
        return rc;
    }
    if (strcmp(key, "log_file") == 0)
        return read_text(reader, value, key, engine->log_file, sizeof(engine->log_file));
    if (strcmp(key, "storage") == 0) {
        if (value == NULL || value->type != YAML_SEQUENCE_NODE ||
            value->data.sequence.items.start == value->data.sequence.items.top)
            return mistake(reader, value, "storage: expected a list of tiers");
        for (const yaml_node_item_t *item = value->data.sequence.items.start;
             rc == 0 && item < value->data.sequence.items.top; item++) {
            rc = tier_read(reader, engine, yaml_document_get_node(&reader->doc, *item));
        }
        return rc;
    }
    if (is_known_elsewhere(key))
        return 0;
    return mistake(reader,
        node, "%s: no such key in an engine; expected targets, storage, fabric_iface, fabric_iface_port, log_file",
        key);
}

static int
engines_read(struct reader *reader, const yaml_node_t *list, struct server_cfg *cfg)
{
    uint32_t tag_nr = 0;
    int rc = 0;

    if (list == NULL || list->type != YAML_SEQUENCE_NODE ||
        list->data.sequence.items.start == list->data.sequence.items.top)
        return mistake(reader, list, "engines: expected a list of engines");
    for (const yaml_node_item_t *item = list->data.sequence.items.start;
         rc == 0 && item < list->data.sequence.items.top; item++) {
        const yaml_node_t *node = yaml_document_get_node(&reader->doc, *item);
        struct server_engine_cfg *engine = &cfg->engines[cfg->engine_nr];

        if (cfg->engine_nr == SERVER_ENGINES_NR_MAX) {
            return mistake(
                reader, node, "engines: at most %d of them on one host", SERVER_ENGINES_NR_MAX);
        }
        rc = each_key(reader, node, "engines", engine_key, engine);
        if (rc == 0 && engine->targets == 0)
            rc = mistake(reader, node, "engines: `targets` is missing");
        if (rc == 0 && engine->dir[0] == '\0') {
            rc = mistake(reader, node,
                "engines: `storage` with `scm_mount`, the directory of this engine, is missing");
        }
        for (uint32_t i = 0; rc == 0 && i < cfg->engine_nr; i++) {
            if (strcmp(cfg->engines[i].dir, engine->dir) == 0)
                rc = mistake(reader, node, "engines: two engines have the directory %s", engine->dir);
            for (uint32_t k = 0; rc == 0 && k < cfg->engines[i].dev_nr * engine->dev_nr; k++) {
                const char *path = cfg->engines[i].devs[k / engine->dev_nr].path;

                if (strcmp(path, engine->devs[k % engine->dev_nr].path) == 0)
                    rc = mistake(reader, node, "engines: two engines have the device %s", path);
            }
        }
        tag_nr += engine->targets + 1;
        if (rc == 0 && tag_nr > SERVER_TAGS_NR_MAX) {
            rc = mistake(reader, node,
                "engines: more than %d engines and targets together: use fewer targets",
                SERVER_TAGS_NR_MAX);
        }
        if (rc == 0) { /* sizes are given for all targets together */
            engine->meta_bytes /= engine->targets;
            engine->data_bytes /= engine->targets;
            engine->mem_bytes /= engine->targets;
            cfg->engine_nr++;
        }
    }
    return rc;
}

static int
provider_read(
    struct reader *reader, const yaml_node_t *value, const char *text, struct server_cfg *ret_cfg)
{
    bool is_fabric = strncmp(text, "ofi+", 4) == 0 && text[4] != '\0';

    if (strcmp(text, "unix") == 0) {
        ret_cfg->provider[0] = '\0';
        return 0;
    }
    if ((!is_fabric && strcmp(text, "tcp") != 0) || strlen(text) >= sizeof(ret_cfg->provider)) {
        return mistake(reader, value,
            "provider: %s: expected unix (this host only), tcp or a fabric as in ofi+tcp;ofi_rxm",
            text);
    }
    memcpy(ret_cfg->provider, text, strlen(text) + 1);
    return 0;
}

static int
top_key(struct reader *reader, void *arg, const char *key, const yaml_node_t *node,
    const yaml_node_t *value)
{
    struct server_cfg *cfg = arg;
    char text[64];
    int rc;

    if (strcmp(key, "name") == 0) {
        rc = read_text(reader, value, key, cfg->name, sizeof(cfg->name));
        if (rc == 0 && (cfg->name[0] == '\0' || strchr(cfg->name, '/') != NULL))
            rc = mistake(reader, value, "name: expected 1 to 15 characters without /");
        return rc;
    }
    if (strcmp(key, "socket_dir") == 0)
        return read_text(reader, value, key, cfg->runtime_dir, sizeof(cfg->runtime_dir));
    if (strcmp(key, "provider") == 0) {
        rc = read_text(reader, value, key, text, sizeof(text));
        if (rc != 0)
            return rc;
        return provider_read(reader, value, text, cfg);
    }
    if (strcmp(key, "engines") == 0)
        return engines_read(reader, value, cfg);
    if (is_known_elsewhere(key))
        return 0;
    return mistake(
        reader, node, "%s: no such key; expected name, provider, socket_dir, engines", key);
}

int
server_runtime_dir(char *buf, size_t buf_bytes)
{
    const char *dir = getenv("CAIRN_RUNTIME_DIR"), *sub = "";
    int len;

    if (dir == NULL || dir[0] == '\0') {
        dir = getenv("XDG_RUNTIME_DIR");
        sub = "/cairn";
    }
    if (dir == NULL || dir[0] == '\0') {
        dir = "/run/cairn";
        sub = "";
    }
    len = snprintf(buf, buf_bytes, "%s%s", dir, sub);
    return len < 0 || (size_t)len >= buf_bytes ? CAIRN_ERR(INVAL) : 0;
}

/* Except with unix an engine takes one port for its services and one for each target. */
static int
ports_check(struct reader *reader, const struct server_cfg *cfg)
{
    for (uint32_t i = 0; i < cfg->engine_nr; i++) {
        const struct server_engine_cfg *a = &cfg->engines[i];

        if (a->port == 0) {
            return mistake(reader, NULL,
                "engines: with provider %s each engine needs a fabric_iface_port", cfg->provider);
        }
        if (a->port + a->targets > UINT16_MAX) {
            return mistake(reader, NULL,
                "engines: engine %u takes the ports %u to %u: they end at %d", i, a->port,
                a->port + a->targets, UINT16_MAX);
        }
        for (uint32_t k = 0; k < i; k++) {
            const struct server_engine_cfg *b = &cfg->engines[k];

            if (strcmp(a->iface, b->iface) == 0 && a->port <= b->port + b->targets &&
                b->port <= a->port + a->targets) {
                return mistake(reader, NULL,
                    "engines: engine %u takes the ports %u to %u, engine %u %u to %u: give them "
                    "ports of their own",
                    k, b->port, b->port + b->targets, i, a->port, a->port + a->targets);
            }
        }
    }
    return 0;
}

int
server_cfg_load(const char *path, struct server_cfg *ret_cfg, char *err, size_t err_bytes)
{
    struct reader reader = {.path = path, .err = err, .err_bytes = err_bytes};
    struct server_cfg *cfg = calloc(1, sizeof(*cfg));
    FILE *file = fopen(path, "re");
    bool has_doc = false;
    yaml_parser_t parser;
    int rc = 0;

    err[0] = '\0';
    if (cfg == NULL || yaml_parser_initialize(&parser) == 0) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    if (file == NULL) {
        rc = err_from_errno(errno);
        (void)snprintf(err, err_bytes, "%s: %s", path, strerror(errno));
        goto out_parser;
    }
    yaml_parser_set_input_file(&parser, file);
    has_doc = yaml_parser_load(&parser, &reader.doc) != 0;
    if (!has_doc) {
        rc = CAIRN_ERR(INVAL);
        (void)snprintf(err, err_bytes, "%s:%zu: %s", path, parser.problem_mark.line + 1,
            parser.problem != NULL ? parser.problem : "not YAML");
        goto out_parser;
    }
    memcpy(cfg->name, "daos_server", sizeof("daos_server"));
    rc = each_key(&reader, yaml_document_get_root_node(&reader.doc), "the file", top_key, cfg);
    if (rc == 0 && cfg->engine_nr == 0)
        rc = mistake(&reader, NULL, "engines: expected a list of engines");
    if (rc == 0 && cfg->runtime_dir[0] == '\0')
        rc = server_runtime_dir(cfg->runtime_dir, sizeof(cfg->runtime_dir));
    if (rc == 0 && cfg->provider[0] != '\0')
        rc = ports_check(&reader, cfg);
    if (rc == 0)
        *ret_cfg = *cfg;
out_parser:
    if (has_doc)
        yaml_document_delete(&reader.doc);
    yaml_parser_delete(&parser);
out:
    if (file != NULL)
        (void)fclose(file);
    free(cfg);
    return rc;
}
