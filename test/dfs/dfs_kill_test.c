/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: files and names while engines are killed and come back (simulator): nothing that was answered is lost or done twice, no call fails. Method: writers with directories of
 * their own create exclusively, write, set attributes, rename and remove; a resend that took effect twice, or was forgotten, would give EEXIST or ENOENT. Afterwards
 * everything is compared with what they did.
 */
#include "client/core/client_tools.h"
#include "client/dfs/dfs_internal.h"
#include "dfs/dfs_fix.h"

enum { WRITERS_NR = 12, STEPS_NR = 24, BYTES_MAX = 30000 };

struct writer {
    struct fix *fix;
    struct ult *ult;
    uint32_t idx, done_nr;
    int bad_rc;
};

static size_t
content_fill(uint32_t idx, uint32_t step, char *buf)
{
    size_t len = step % 5 == 0 ? BYTES_MAX : step * 37 + idx;

    memset(buf, 'a' + (int)((idx + step) % 26), len);
    return len;
}

static bool
is_moved(uint32_t step)
{
    return step % 3 == 1;
}

static bool
is_removed(uint32_t step)
{
    return step % 4 == 3;
}

/* One file through its life. */
static int
step_run(dfs_t *dfs, dfs_obj_t *dir, uint32_t idx, uint32_t step, char *buf)
{
    struct stat st = {.st_mode = 0640, .st_mtim = {.tv_sec = 1000 + step}};
    char name[32], moved[32];
    dfs_obj_t *obj;
    size_t len = content_fill(idx, step, buf);
    int rc;

    snprintf(name, sizeof(name), "f%u", step);
    snprintf(moved, sizeof(moved), "moved %u", step);
    rc = dfs_open(dfs, dir, name, S_IFREG | 0600, O_RDWR | O_CREAT | O_EXCL, 0, 4096, NULL, &obj);
    if (rc != 0)
        return rc;
    rc = fix_write(dfs, obj, 0, buf, len);
    if (rc == 0)
        rc = dfs_setxattr(dfs, obj, "user.step", name, strlen(name), 1 /* XATTR_CREATE */);
    if (rc == 0)
        rc = dfs_tools_attr_set(dfs, obj, &st, DFS_SET_ATTR_MODE | DFS_SET_ATTR_MTIME);
    if (rc == 0)
        rc = dfs_release(obj);
    if (rc == 0 && is_moved(step))
        rc = dfs_move(dfs, dir, name, dir, moved, NULL);
    if (rc == 0 && is_removed(step))
        rc = dfs_remove(dfs, dir, is_moved(step) ? moved : name, false, NULL);
    return rc;
}

static void
writer_ult(void *arg)
{
    struct writer *w = arg;
    dfs_t *dfs = w->fix->dfs;
    char *buf = malloc(BYTES_MAX), path[32];
    dfs_obj_t *dir = NULL;
    int rc;

    client_self_set(w->fix->app.client);
    snprintf(path, sizeof(path), "/d%u", w->idx);
    rc = dfs_mkdir(dfs, NULL, path + 1, 0755, 0);
    if (rc == 0)
        rc = dfs_lookup(dfs, path, O_RDWR, &dir, NULL, NULL);
    for (uint32_t i = 0; rc == 0 && i < STEPS_NR; i++) {
        rc = step_run(dfs, dir, w->idx, i, buf);
        w->done_nr = i + 1;
    }
    if (dir != NULL && rc == 0)
        rc = dfs_release(dir);
    w->bad_rc = rc;
    free(buf);
}

static void
dir_check(struct fix *fix, uint32_t idx, char *buf)
{
    static char list[4096];
    char path[32], name[32], value[64];
    uint32_t want_nr = 0, got_nr = 0;
    dfs_obj_t *dir, *obj;
    struct stat st;

    snprintf(path, sizeof(path), "/d%u", idx);
    dir = fix_dir(fix->dfs, path);
    for (uint32_t i = 0; dir != NULL && i < STEPS_NR; i++) {
        size_t len = content_fill(idx, i, buf);
        daos_size_t size = sizeof(value) - 1;

        snprintf(name, sizeof(name), is_moved(i) ? "moved %u" : "f%u", i);
        if (is_removed(i)) {
            EXPECT_EQ(dfs_stat(fix->dfs, dir, name, &st), ENOENT);
            continue;
        }
        want_nr++;
        EXPECT(fix_file_is(fix->dfs, dir, name, buf, len));
        EXPECT_EQ(dfs_stat(fix->dfs, dir, name, &st), 0);
        EXPECT_EQ(st.st_mode, S_IFREG | 0640);
        EXPECT_EQ(st.st_mtim.tv_sec, 1000 + i);
        EXPECT_EQ(st.st_size, len);
        if (EXPECT_EQ(dfs_open(fix->dfs, dir, name, S_IFREG, O_RDONLY, 0, 0, NULL, &obj), 0)) {
            EXPECT_EQ(dfs_getxattr(fix->dfs, obj, "user.step", value, &size), 0);
            value[size < sizeof(value) ? size : 0] = '\0';
            snprintf(name, sizeof(name), "f%u", i);
            EXPECT_STR_EQ(value, name);
            EXPECT_EQ(dfs_release(obj), 0);
        }
    }
    if (dir == NULL)
        return;
    EXPECT_EQ(fix_names(fix->dfs, dir, 7, list, sizeof(list)), 0);
    for (const char *pos = list; *pos != '\0'; got_nr++) {
        pos += strcspn(pos, ",");
        pos += *pos == ',';
    }
    EXPECT_EQ(got_nr, want_nr); /* and nothing else */
    EXPECT_EQ(dfs_release(dir), 0);
}

static void
kill_body(struct fix *fix)
{
    static struct writer writers[WRITERS_NR];
    char *buf = malloc(BYTES_MAX);
    uint64_t rand = test_seed();

    for (uint32_t i = 0; i < WRITERS_NR; i++) {
        writers[i] = (struct writer){.fix = fix, .idx = i};
        EXPECT_OK(ult_create(fix->rig->xs, ULT_IO, writer_ult, &writers[i], &writers[i].ult));
    }
    for (uint32_t kill = 0; kill < 4; kill++) {
        ult_sleep(1000000 + test_rand(&rand) % 30000000);
        rig_engine_kill(fix->rig, kill % 2);
        ult_sleep(test_rand(&rand) % 200000000);
        EXPECT_OK(rig_engine_start(fix->rig, kill % 2));
        EXPECT_OK(rig_group_push(fix->rig));
        app_attach_write(fix->rig);
    }
    for (uint32_t i = 0; i < WRITERS_NR; i++) {
        ult_join(writers[i].ult);
        EXPECT_EQ(writers[i].bad_rc, 0);
        EXPECT_EQ(writers[i].done_nr, STEPS_NR);
    }
    EXPECT_GT(client_retried_nr(), 0);
    for (uint32_t i = 0; i < WRITERS_NR; i++) {
        dir_check(fix, i, buf);
    }
    free(buf);
}

TEST_ON(dfs_kill, every_step_survives_kills_once, BACKEND_SIM)
{
    fix_run(kill_body);
}
