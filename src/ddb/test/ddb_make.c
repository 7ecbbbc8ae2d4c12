/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Makes a target with known contents for ddb_test.py, which knows them, too; prints the epochs of what it wrote, one "name epoch" a line.
 *
 * usage: ddb_make DIR closed|killed|prepared [ROLES=DEVICE_FILE ...]     ROLES: letters of w m d
 *
 * closed: with a checkpoint, nothing to replay. killed: half of it lies in the log alone. prepared: killed, with a transaction that is not decided, and two that are settled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "bio/bio_dev.h"
#include "plat/plat_linux.h"
#include "vos/vos.h"

enum { BIG_BYTES = 100000, DEV_NR_MAX = 3 };

struct make {
    struct plat *plat;
    struct xstream *xs;
    struct bio_cfg cfg;
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    struct vos_cont *cont;
    struct uuid pool, pool2, cont_id, cont2_id;
    bool is_killed, is_prepared;
    char **devs;
    int dev_nr;
    uint64_t seq;
    bool is_done;
};

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "ddb_make: %s: %s\n", what, err_name(rc));
    exit(1);
}

static struct iov
text(const char *s)
{
    return (struct iov){.buf = (void *)(uintptr_t)s, .len = strlen(s)};
}

static void
apply(struct make *m, const char *name, const struct vos_mod *mod)
{
    struct vos_apply_args args = {.mods = mod, .mod_nr = 1};
    struct vos_apply_ret ret;

    args.req.client.b[0] = 0xc1;
    args.req.slot = 3;
    args.req.seq = ++m->seq;
    args.req.hlc = vos_epoch_last(m->vos) + m->seq;
    args.result = text("done");
    must(vos_apply(m->cont, &args, &ret), name);
    printf("%s %lu\n", name, (unsigned long)ret.epoch);
}

static void
put(struct make *m, const char *name, uint64_t obj, struct iov dkey, const char *akey,
    struct iov value)
{
    struct vos_iod iod = {
        .akey = text(akey), .type = VOS_IOD_SINGLE, .size = value.len, .data = value};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE, .dkey = dkey, .iod_nr = 1, .iods = &iod};

    mod.oid.oid.lo = obj;
    apply(m, name, &mod);
}

/* An array of bytes in an object with integer dkeys; data NULL: a hole. */
static void
array_put(struct make *m, const char *name, uint64_t dkey, uint64_t idx, uint64_t nr, const void *data)
{
    struct recx recx = {idx, nr};
    struct vos_iod iod = {.akey = text("arr"),
        .type = VOS_IOD_ARRAY,
        .size = data == NULL ? 0 : 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {(void *)(uintptr_t)data, data == NULL ? 0 : nr}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .dkey = {&dkey, sizeof(dkey)}, .iod_nr = 1, .iods = &iod};

    mod.oid.oid.lo = 2;
    mod.oid.oid.hi = UINT64_C(2) << 56; /* dkeys are integers */
    apply(m, name, &mod);
}

static void
half_one(struct make *m)
{
    static uint8_t big[BIG_BYTES];
    static const uint8_t bin[] = {'b', 0, '/', 0xff};

    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)(i * 7 + i / 256);
    }
    put(m, "one.old", 1, text("alpha"), "one", text("hello"));
    put(m, "one.new", 1, text("alpha"), "one", text("hello world"));
    put(m, "big", 1, text("alpha"), "big", (struct iov){big, sizeof(big)});
    put(m, "bin", 1, (struct iov){(void *)(uintptr_t)bin, sizeof(bin)}, "x", text("binary key"));
    array_put(m, "arr.a", 7, 0,
        100, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    array_put(m, "arr.b", 7, 50, 20, "bbbbbbbbbbbbbbbbbbbb");
}

static void
half_two(struct make *m)
{
    static uint8_t big[BIG_BYTES];
    struct vos_mod mod = {.op = VOS_MOD_PUNCH_DKEY, .dkey = text("gone")};

    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)(i * 13 + i / 256);
    }
    array_put(m, "arr.hole", 7, 20, 10, NULL);
    array_put(m, "arr.big", 8, 4096, sizeof(big), big);
    put(m, "gone.put", 1, text("gone"), "one", text("lost"));
    mod.oid.oid.lo = 1;
    apply(m, "gone.punch", &mod);
    for (uint64_t i = 0; i < 200; i++) { /* a tree with nodes */
        char key[16];

        snprintf(key, sizeof(key), "k%03lu", (unsigned long)i);
        put(m, key, 3, text(key), "v", text(key));
    }
}

static struct vos_dtx_id
dtx_prepare(struct make *m, const char *name, uint8_t uuid, uint64_t hlc, const char *akey)
{
    struct vos_dtx_args dtx = {.id = {.uuid = {.b = {uuid}}, .hlc = hlc}};
    struct vos_iod iod = {
        .akey = text(akey), .type = VOS_IOD_SINGLE, .size = 4, .data = text("open")};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE, .dkey = text("alpha"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .dtx = &dtx};
    struct vos_apply_ret ret;

    mod.oid.oid.lo = 1;
    must(vos_apply(m->cont, &args, &ret), name);
    printf("%s %lu\n", name, (unsigned long)ret.epoch);
    return dtx.id;
}

/* A transaction that is committed, one that is aborted, and one that nobody decides. */
static void
prepare(struct make *m)
{
    struct vos_dtx_id id = dtx_prepare(m, "committed", 0xd8, 1002, "two");

    must(vos_dtx_commit(m->cont, &id, 1), "commit");
    id = dtx_prepare(m, "aborted", 0xd9, 1003, "three");
    must(vos_dtx_abort(m->cont, &id, 1), "abort");
    (void)dtx_prepare(m, "prepare", 0xd7, 1001, "one");
}

/* Devices: "wmd=FILE". */
static void
devs_take(struct make *m)
{
    for (int i = 0; i < m->dev_nr; i++) {
        struct bio_dev_store stores[2] = {{.tgt_idx = 0, .weight = 16}, {.tgt_idx = 1, .weight = 16}};
        struct bio_dev_cfg dev = {
            .file_bytes = 4 << 20, .system = m->cfg.system, .stores = stores, .store_nr = 2};
        const char *path = strchr(m->devs[i], '=') + 1;
        char err[BIO_DEV_ERR_BYTES];
        struct bio_dev *taken = NULL;

        for (const char *c = m->devs[i]; *c != '='; c++) {
            dev.file_bytes += *c == 'm' ? 72 << 20 : 36 << 20;
            stores[0].roles |= 1u << (*c == 'w'    ? BIO_ROLE_WAL
                                       : *c == 'm' ? BIO_ROLE_META
                                                   : BIO_ROLE_DATA);
        }
        stores[1].roles = stores[0].roles;
        snprintf(dev.path, sizeof(dev.path), "%s", path);
        must(bio_dev_take(m->xs, &dev, err, &taken), err);
        bio_dev_place(taken, &m->cfg);
        bio_dev_release(taken);
    }
    for (uint32_t role = 0; role < BIO_ROLE_NR; role++) {
        m->cfg.places[role].has_failed = NULL;
    }
}

static void
make_ult(void *arg)
{
    struct make *m = arg;

    devs_take(m);
    must(bio_format(m->xs, &m->cfg), "format");
    must(bio_open(m->xs, &m->cfg, &m->bio), "open");
    must(vos_tgt_open(m->bio, &m->vos), "store");
    must(vos_pool_create(m->vos, m->pool, 8 << 20, 8 << 20), "pool");
    must(vos_pool_create(m->vos, m->pool2, 1 << 20, 1 << 20), "pool 2");
    must(vos_cont_create(m->vos, m->pool, m->cont_id), "container");
    must(vos_cont_create(m->vos, m->pool, m->cont2_id), "container 2");
    must(vos_cont_open(m->vos, m->pool, m->cont_id, &m->cont), "container");
    half_one(m);
    if (m->is_killed)
        must(bio_checkpoint(m->bio), "checkpoint");
    half_two(m);
    if (m->is_prepared)
        prepare(m);
    fflush(stdout);
    if (m->is_killed)
        _exit(0);
    vos_cont_close(m->cont);
    vos_tgt_close(m->vos);
    bio_close(m->bio);
    m->is_done = true;
}

int
main(int argc, char **argv)
{
    struct xstream_opts opts = {.name = "make", .cpu = UINT32_MAX, .stack_bytes = 256 << 10};
    struct make m = {.devs = argv + 3, .dev_nr = argc - 3};

    if (argc < 3 || m.dev_nr > DEV_NR_MAX)
        return 2;
    m.is_prepared = strcmp(argv[2], "prepared") == 0;
    m.is_killed = strcmp(argv[2], "closed") != 0;
    snprintf(m.cfg.dir, sizeof(m.cfg.dir), "%s", argv[1]);
    m.cfg.wal_bytes = 16 << 20;
    m.cfg.meta_bytes = 16 << 20;
    m.cfg.data_bytes = 16 << 20;
    m.cfg.system.b[0] = 0x51;
    m.cfg.device.b[0] = 0xd1;
    m.pool.b[0] = 0xa1;
    m.pool2.b[0] = 0xa2;
    m.cont_id.b[0] = 0xb1;
    m.cont2_id.b[0] = 0xb2;
    must(plat_linux_create(&m.plat), "plat");
    must(xstream_create(m.plat, &opts, &m.xs), "xstream");
    must(xstream_drive_new(m.xs, ULT_SERVICE, make_ult, &m, &m.is_done), "run");
    xstream_destroy(m.xs);
    plat_linux_destroy(m.plat);
    return 0;
}
