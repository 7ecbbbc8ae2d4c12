/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Devices of an engine: which store has which role on which device. Role by role, store i (target i; the system store is like target 0)
 * takes the devices that serve the role in turn. All of it follows from the configuration, and a device that was laid out for another
 * one is refused (DEV-3). A damaged or absent one costs the stores that have
 * a role there, and nothing else. Tested by test/server/server_dev_test.c and `badinput.devices`.
 */
#include <stdio.h>

#include "engine_priv.h"

/* The system store holds databases of services, one for each pool, of 16 MiB metadata and data at most: a small share, mostly metadata. */
enum { TGT_WEIGHT = 16, SYS_WEIGHT = 2, SYS_META_PCT = 60, SYS_META_LEAST = 64 << 20 };

/* Index of the device for a role of store `tag`; UINT32_MAX: in the directory. */
static uint32_t
dev_of(const struct engine_cfg *cfg, uint32_t tag, enum bio_role role)
{
    uint32_t nr = 0, want = tag == RPC_TAG_SYSTEM ? 0 : tag - 1;

    for (uint32_t i = 0; i < cfg->dev_nr; i++) {
        nr += (cfg->devs[i].roles & 1u << role) != 0;
    }
    if (nr == 0)
        return UINT32_MAX;
    want %= nr;
    for (uint32_t i = 0; i < cfg->dev_nr; i++) {
        if ((cfg->devs[i].roles & 1u << role) != 0 && want-- == 0)
            return i;
    }
    return UINT32_MAX;
}

int
engine_devs_check(const struct engine_cfg *cfg, char *err)
{
    const uint32_t all = 1u << BIO_ROLE_WAL | 1u << BIO_ROLE_META | 1u << BIO_ROLE_DATA;

    if (cfg->dev_nr > ENGINE_DEVS_NR_MAX) {
        engine_text(err, "%u devices: an engine has at most %d", cfg->dev_nr, ENGINE_DEVS_NR_MAX);
        return CAIRN_ERR(INVAL);
    }
    for (uint32_t i = 0; i < cfg->dev_nr; i++) {
        const struct engine_dev_cfg *dev = &cfg->devs[i];
        bool is_used = false;

        if (memchr(dev->path, '\0', sizeof(dev->path)) == NULL || dev->path[0] != '/' ||
            dev->roles == 0 || (dev->roles & ~all) != 0) {
            engine_text(err, "device %u: expected an absolute path and roles", i);
            return CAIRN_ERR(INVAL);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(dev->path, cfg->devs[k].path) == 0) {
                engine_text(
                    err, "%s is given twice: name a device once, with all its roles", dev->path);
                return CAIRN_ERR(INVAL);
            }
        }
        for (uint32_t tag = 0; tag <= cfg->tgt_nr; tag++) {
            for (enum bio_role role = BIO_ROLE_WAL; role < BIO_ROLE_NR; role++) {
                is_used |= dev_of(cfg, tag, role) == i;
            }
        }
        if (!is_used) {
            engine_text(err,
                "%s: there are more devices than targets: a role of a target lies on one device, "
                "so give each at least one target",
                dev->path);
            return CAIRN_ERR(INVAL);
        }
    }
    return 0;
}

static uint32_t
stores_of(const struct engine *engine, uint32_t dev, struct bio_dev_store *stores)
{
    const struct engine_cfg *cfg = &engine->cfg;
    uint32_t nr = 0;

    for (uint32_t tag = 0; tag <= cfg->tgt_nr; tag++) {
        bool is_sys = tag == RPC_TAG_SYSTEM;
        struct bio_dev_store store = {
            .tgt_idx = is_sys ? ENGINE_SYS_IDX : tag - 1,
            .weight = is_sys ? SYS_WEIGHT : TGT_WEIGHT,
            .meta_pct = is_sys ? SYS_META_PCT : 0,
            .meta_least = is_sys ? SYS_META_LEAST : 0,
            .wal_bytes = is_sys ? cfg->sys_wal_bytes : cfg->wal_bytes,
            .meta_bytes = is_sys ? cfg->sys_meta_bytes : cfg->meta_bytes,
            .data_bytes = is_sys ? cfg->sys_data_bytes : cfg->data_bytes,
        };

        for (enum bio_role role = BIO_ROLE_WAL; role < BIO_ROLE_NR; role++) {
            if (dev_of(cfg, tag, role) == dev)
                store.roles |= 1u << role;
        }
        if (store.roles != 0)
            stores[nr++] = store;
    }
    return nr;
}

/* What a broken device shows, or a lost one; the rest is for the administrator to put right before anything starts. */
static bool
is_of_device(int rc)
{
    return rc == -DER_CSUM || rc == -DER_DF_INVAL || rc == -DER_DF_INCOMPT || rc == -DER_NVME_IO ||
        rc == -DER_NONEXIST;
}

int
engine_devs_take(struct engine *engine)
{
    const struct engine_cfg *cfg = &engine->cfg;
    struct bio_dev_store stores[ENGINE_TAGS_NR_MAX];
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < cfg->dev_nr; i++) {
        struct bio_dev_cfg dev = {
            .file_bytes = cfg->devs[i].bytes,
            .system = engine->system,
            .rank = cfg->rank,
            .force = cfg->force_format != 0,
            .must_exist = engine_dir_is_formatted(engine),
            .stores = stores,
            .store_nr = stores_of(engine, i, stores),
            .pending = &engine->dev_pending,
        };

        (void)snprintf(dev.path, sizeof(dev.path), "%s", cfg->devs[i].path);
        rc = bio_dev_take(engine_sys(engine)->xs, &dev, engine->dev_errs[i], &engine->devs[i]);
        if (rc != 0 && dev.must_exist && is_of_device(rc)) {
            engine->dev_rcs[i] = rc;
            rc = 0;
        } else if (rc != 0) {
            engine_text(engine->err, "%s", engine->dev_errs[i]);
        }
    }
    return rc;
}

int
engine_devs_fault(const struct engine *engine, uint32_t tag, char *why)
{
    for (enum bio_role role = BIO_ROLE_WAL; role < BIO_ROLE_NR; role++) {
        uint32_t dev = dev_of(&engine->cfg, tag, role);

        if (dev == UINT32_MAX || engine->dev_rcs[dev] == 0)
            continue;
        (void)snprintf(why, BIO_WHY_BYTES, "%.*s", BIO_WHY_BYTES - 1, engine->dev_errs[dev]);
        return engine->dev_rcs[dev];
    }
    return 0;
}

void
engine_devs_place(const struct engine *engine, struct bio_cfg *cfg)
{
    for (uint32_t i = 0; i < engine->cfg.dev_nr; i++) {
        if (engine->devs[i] != NULL)
            bio_dev_place(engine->devs[i], cfg);
    }
}

void
engine_devs_release(struct engine *engine)
{
    for (uint32_t i = 0; i < ENGINE_DEVS_NR_MAX; i++) {
        bio_dev_release(engine->devs[i]);
        engine->devs[i] = NULL;
    }
}

void
engine_devs_abandon(struct engine *engine)
{
    bio_dev_abandon(engine->dev_pending);
    for (uint32_t i = 0; i < ENGINE_DEVS_NR_MAX; i++) {
        bio_dev_abandon(engine->devs[i]);
    }
}
