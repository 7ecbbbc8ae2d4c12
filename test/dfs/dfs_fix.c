/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "dfs/dfs_fix.h"

enum { NAMES_NR_MAX = 256, READ_BYTES = 1 << 20 };

static bool
fix_init(struct fix *fix, struct rig *rig)
{
    *fix = (struct fix){.rig = rig};
    if (!app_init(&fix->app, rig))
        return false;
    fix->poh = fix->app.poh;
    return EXPECT_EQ(
        dfs_cont_create_with_label(fix->poh, "tree", NULL, NULL, &fix->coh, &fix->dfs), 0);
}

static void
fix_fini(struct fix *fix)
{
    if (fix->dfs != NULL)
        EXPECT_EQ(dfs_umount(fix->dfs), 0);
    if (fix->coh.cookie != 0)
        EXPECT_OK(daos_cont_close(fix->coh, NULL));
    app_fini(&fix->app);
}

/* The body of the running test travels beside the rig, which has no room for it. */
static void (*running_body)(struct fix *fix);

static void
rig_body(struct rig *rig)
{
    struct fix fix;

    if (fix_init(&fix, rig))
        running_body(&fix);
    fix_fini(&fix);
}

void
fix_run(void (*body)(struct fix *fix))
{
    running_body = body;
    rig_run(2, rig_body);
}

/* ---- short forms ------------------------------------------------------------------------------------------------------- */

int
fix_write(dfs_t *dfs, dfs_obj_t *obj, uint64_t off, const void *data, size_t len)
{
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, (void *)(uintptr_t)data, len);
    return dfs_write(dfs, obj, &sgl, off, NULL);
}

int
fix_read(dfs_t *dfs, dfs_obj_t *obj, uint64_t off, void *buf, size_t len, daos_size_t *ret_len)
{
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, buf, len);
    return dfs_read(dfs, obj, &sgl, off, ret_len, NULL);
}

bool
fix_file(dfs_t *dfs, dfs_obj_t *parent, const char *name, const void *data, size_t len)
{
    dfs_obj_t *obj;
    bool is_good;

    if (!EXPECT_EQ(dfs_open(dfs, parent, name, S_IFREG | 0644, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0))
        return false;
    is_good = EXPECT_EQ(fix_write(dfs, obj, 0, data, len), 0);
    return EXPECT_EQ(dfs_release(obj), 0) && is_good;
}

bool
fix_file_is(dfs_t *dfs, dfs_obj_t *parent, const char *name, const void *data, size_t len)
{
    dfs_obj_t *obj;
    char *back = malloc(len + 1);
    daos_size_t got = 0;
    bool is_good;

    if (!EXPECT_EQ(dfs_open(dfs, parent, name, S_IFREG, O_RDONLY, 0, 0, NULL, &obj), 0)) {
        free(back);
        return false;
    }
    memset(back, 0xee, len + 1);
    is_good = EXPECT_EQ(fix_read(dfs, obj, 0, back, len + 1, &got), 0) && EXPECT_EQ(got, len) &&
        EXPECT_MEM_EQ(back, data, len);
    free(back);
    return EXPECT_EQ(dfs_release(obj), 0) && is_good;
}

bool
fix_link(dfs_t *dfs, dfs_obj_t *parent, const char *name, const char *value)
{
    dfs_obj_t *obj;

    return EXPECT_EQ(dfs_open(dfs, parent, name, S_IFLNK | 0777, O_RDWR | O_CREAT | O_EXCL, 0, 0,
                         value, &obj),
               0) &&
        EXPECT_EQ(dfs_release(obj), 0);
}

dfs_obj_t *
fix_dir(dfs_t *dfs, const char *path)
{
    dfs_obj_t *obj = NULL;
    mode_t mode = 0;

    if (!EXPECT_EQ(dfs_lookup(dfs, path, O_RDWR, &obj, &mode, NULL), 0))
        return NULL;
    EXPECT(S_ISDIR(mode));
    return obj;
}

int
fix_mode(dfs_t *dfs, const char *path, int flags, mode_t *ret_mode)
{
    dfs_obj_t *obj;
    int rc = dfs_lookup(dfs, path, O_RDONLY | flags, &obj, ret_mode, NULL);

    return rc != 0 ? rc : dfs_release(obj);
}

static int
name_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

int
fix_names(dfs_t *dfs, dfs_obj_t *dir, uint32_t nr, char *buf, size_t buf_bytes)
{
    struct dirent *entries = calloc(nr, sizeof(*entries));
    char(*names)[NAME_MAX + 1] = calloc(NAMES_NR_MAX, NAME_MAX + 1);
    daos_anchor_t anchor = {0};
    uint32_t names_nr = 0;
    size_t len = 0;
    int rc = 0;

    while (rc == 0 && !daos_anchor_is_eof(&anchor)) {
        uint32_t got = nr;

        rc = dfs_readdir(dfs, dir, &anchor, &got, entries);
        for (uint32_t i = 0; rc == 0 && i < got && names_nr < NAMES_NR_MAX; i++) {
            memcpy(names[names_nr++], entries[i].d_name, NAME_MAX + 1);
        }
    }
    qsort(names, names_nr, NAME_MAX + 1, name_cmp);
    buf[0] = '\0';
    for (uint32_t i = 0; i < names_nr && len < buf_bytes; i++) {
        len += (size_t)snprintf(buf + len, buf_bytes - len, "%s%s", i > 0 ? "," : "", names[i]);
    }
    free(entries);
    free(names);
    return rc;
}
