/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the space of what was removed or overwritten comes back before anybody is told that there is none. Method: a small pool that is filled with files until ENOSPC, emptied,
 * and filled again, five times: each time as many files fit, nearly. And keys that are overwritten until ten times and more of what the pool holds was written: no
 * update is refused. While the pool is full, removals work.
 */
#include "dfs/dfs_fix.h"
#include "server/server_rig.h"

#ifndef OVERWRITES_SMALL_NR
#define OVERWRITES_SMALL_NR 30000
#endif

enum { ROUNDS_NR = 5, FILES_NR_MAX = 4000, FILE_BYTES = 24000, WRITERS_NR = 8 };
enum { OVERWRITES_LARGE_NR = 6000, LARGE_BYTES = 8192, SMALL_BYTES = 64 };
/* Of each of four targets. */
#define META_BYTES (UINT64_C(1) << 20)
#define DATA_BYTES (UINT64_C(4) << 20)

/* A pool of its own. */
static bool
small_pool(struct fix *fix, daos_handle_t *ret_poh)
{
    struct proto_prop prop = {.type = 1, .bytes = rig_str("cup")};
    struct proto_sys_pool_create_req req = {.pool = rig_uuid(fix->rig),
        .meta_bytes = META_BYTES,
        .data_bytes = DATA_BYTES,
        .props = {1, &prop}};
    struct proto_sys_pool_create_rep rep;

    return EXPECT_OK(rig_call(fix->rig, 0, 0, PROTO_SYS_POOL_CREATE, &req, &rep, NULL)) &&
        EXPECT_OK(daos_pool_connect("cup", RIG_SYSTEM, DAOS_PC_RW, ret_poh, NULL, NULL));
}

static void
name_of(uint32_t i, char *name, size_t len)
{
    snprintf(name, len, "file%u", i);
}

static int
file_write(dfs_t *dfs, uint32_t i, const char *data)
{
    char name[16];
    dfs_obj_t *obj;
    int rc, close_rc;

    name_of(i, name, sizeof(name));
    rc = dfs_open(dfs, NULL, name, S_IFREG | 0600, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &obj);
    if (rc != 0)
        return rc;
    rc = fix_write(dfs, obj, 0, data, FILE_BYTES);
    close_rc = dfs_release(obj);
    return rc != 0 ? rc : close_rc;
}

/* Until there is no space. */
static uint32_t
fill(dfs_t *dfs, const char *data)
{
    uint32_t nr = 0;
    int rc = 0;

    while (rc == 0 && nr < FILES_NR_MAX) {
        rc = file_write(dfs, nr, data);
        nr += rc == 0;
    }
    EXPECT_EQ(rc, ENOSPC);
    return nr;
}

static void
empty(dfs_t *dfs, uint32_t nr)
{
    char name[16];

    for (uint32_t i = 0; i < nr; i++) {
        name_of(i, name, sizeof(name));
        if (!EXPECT_EQ(dfs_remove(dfs, NULL, name, true, NULL), 0))
            return;
    }
    name_of(nr, name, sizeof(name)); /* the one that did not fit: its entry may be there */
    CAIRN_IGNORE(dfs_remove(dfs, NULL, name, true, NULL));
}

static void
files_body(struct fix *fix)
{
    char *data = malloc(FILE_BYTES);
    uint32_t first = 0, nr;
    daos_handle_t poh, coh;
    dfs_t *dfs;

    memset(data, 'd', FILE_BYTES);
    if (small_pool(fix, &poh) &&
        EXPECT_EQ(dfs_cont_create_with_label(poh, "files", NULL, NULL, &coh, &dfs), 0)) {
        for (int round = 0; round < ROUNDS_NR; round++) {
            nr = fill(dfs, data);
            first = round == 0 ? nr : first;
            EXPECT_GT(nr, 300);
            EXPECT_GE(nr, first * 9 / 10);
            EXPECT(fix_file_is(dfs, NULL, "file0", data, FILE_BYTES));
            empty(dfs, nr);
        }
        EXPECT_EQ(dfs_umount(dfs), 0);
        EXPECT_OK(daos_cont_close(coh, NULL));
        EXPECT_OK(daos_pool_disconnect(poh, NULL));
    }
    free(data);
}

TEST_ON(dfs_space, files_fit_again_and_again, BACKEND_SIM)
{
    fix_run(files_body);
}

/* ---- overwriting ---------------------------------------------------------------------------------------------------------- */

struct writer {
    struct fix *fix;
    daos_handle_t coh;
    struct ult *ult;
    uint32_t idx, nr, done_nr, bytes;
    int bad_rc;
};

static void
writer_ult(void *arg)
{
    struct writer *w = arg;
    char *data = malloc(w->bytes), key[16];
    daos_obj_id_t oid = {.lo = 77};
    daos_handle_t oh;

    client_self_set(w->fix->app.client);
    snprintf(key, sizeof(key), "key%u", w->idx);
    w->bad_rc = daos_obj_generate_oid(w->coh, &oid, DAOS_OT_KV_HASHED, OC_S1, 0, 0);
    if (w->bad_rc == 0)
        w->bad_rc = daos_kv_open(w->coh, oid, DAOS_OO_RW, &oh, NULL);
    while (w->bad_rc == 0 && w->done_nr < w->nr) {
        memset(data, (int)(w->done_nr + w->idx), w->bytes);
        w->bad_rc = daos_kv_put(oh, DAOS_TX_NONE, 0, key, w->bytes, data, NULL);
        w->done_nr += w->bad_rc == 0;
    }
    if (w->bad_rc == 0) {
        daos_size_t size = w->bytes;

        EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, key, &size, data, NULL));
        EXPECT_EQ(size, w->bytes);
        EXPECT_EQ((uint8_t)data[w->bytes - 1], (uint8_t)(w->nr - 1 + w->idx));
        EXPECT_OK(daos_kv_close(oh, NULL));
    }
    free(data);
}

/* All keys are on one target. */
static void
overwrite(struct fix *fix, daos_handle_t coh, uint32_t nr, uint32_t bytes)
{
    struct writer ws[WRITERS_NR];

    for (uint32_t i = 0; i < WRITERS_NR; i++) {
        ws[i] =
            (struct writer){.fix = fix, .coh = coh, .idx = i, .nr = nr / WRITERS_NR, .bytes = bytes};
        EXPECT_OK(ult_create(fix->rig->xs, ULT_IO, writer_ult, &ws[i], &ws[i].ult));
    }
    for (uint32_t i = 0; i < WRITERS_NR; i++) {
        ult_join(ws[i].ult);
        EXPECT_OK(ws[i].bad_rc);
        EXPECT_EQ(ws[i].done_nr, ws[i].nr);
    }
}

static void
overwrite_body(struct fix *fix)
{
    daos_handle_t poh, coh;

    if (small_pool(fix, &poh) &&
        EXPECT_OK(daos_cont_create_with_label(poh, "keys", NULL, NULL, NULL)) &&
        EXPECT_OK(daos_cont_open(poh, "keys", DAOS_COO_RW, &coh, NULL, NULL))) {
        overwrite(fix, coh, OVERWRITES_LARGE_NR, LARGE_BYTES);
        overwrite(fix, coh, OVERWRITES_SMALL_NR, SMALL_BYTES);
        EXPECT_OK(daos_cont_close(coh, NULL));
        EXPECT_OK(daos_pool_disconnect(poh, NULL));
    }
}

TEST_ON(dfs_space, keys_are_overwritten_for_ever, BACKEND_SIM)
{
    fix_run(overwrite_body);
}
