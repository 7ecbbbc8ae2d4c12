/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: every form of path leads where daos_uns.h says, everything else is refused. Method: tables of paths, and real extended attributes where the file system has them.
 */
#include "daos_uns.h"
#include "harness/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define U1 "11111111-2222-3333-4444-555555555555"
#define U2 "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

struct row {
    const char *path;
    uint32_t flags;
    int rc;
    const char *pool, *cont, *rel;
};

TEST(duns, direct_paths)
{
    static char too_long[200];
    static const struct row rows[] = {
        {"daos://tank/box", 0, 0, "tank", "box", NULL},
        {"DAOS://tank/box/", 0, 0, "tank", "box", NULL},
        {"daos://tank/box/a/b c", 0, 0, "tank", "box", "/a/b c"},
        {"daos:///tank//box//a", 0, 0, "tank", "box", "/a"},
        {"daos://tank", 0, 0, "tank", "", NULL},
        {"daos://tank/", 0, 0, "tank", "", NULL},
        {"daos://" U1 "/" U2 "/x", 0, 0, U1, U2, "/x"},
        {"daos://", 0, EINVAL, NULL, NULL, NULL},
        {"daos:///", 0, EINVAL, NULL, NULL, NULL},
        {"daos://ta nk/box", 0, EINVAL, NULL, NULL, NULL},
        {"daos://tank/b*x", 0, EINVAL, NULL, NULL, NULL},
        {"/" U1 "/" U2 "/x", DUNS_NO_PREFIX, 0, U1, U2, "/x"},
        {"/tank/box/x", DUNS_NO_PREFIX | DUNS_NO_CHECK_PATH, 0, "tank", "box", "/x"},
        {"/no/such/path", DUNS_NO_PREFIX, ENOENT, NULL, NULL, NULL},
        {"/no/such/path", 0, ENOENT, NULL, NULL, NULL},
        {"/tank/box", DUNS_NO_CHECK_PATH, ENODATA, NULL, NULL, NULL},
        {too_long, 0, EINVAL, NULL, NULL, NULL},
    };

    memset(too_long, 'p', sizeof(too_long) - 1);
    memcpy(too_long, "daos://", 7);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct duns_attr_t attr = {.da_flags = rows[i].flags};
        int rc = duns_resolve_path(rows[i].path, &attr);

        if (!EXPECT_EQ(rc, rows[i].rc))
            fprintf(stderr, "    %s\n", rows[i].path);
        if (rc == 0 && rows[i].rc == 0) {
            uuid_t uuid;

            EXPECT_STR_EQ(attr.da_pool, rows[i].pool);
            EXPECT_STR_EQ(attr.da_cont, rows[i].cont);
            EXPECT_STR_EQ(attr.da_rel_path, rows[i].rel);
            EXPECT_EQ(uuid_is_null(attr.da_puuid), uuid_parse(rows[i].pool, uuid) != 0);
            EXPECT_EQ(attr.da_no_prefix, (rows[i].flags & DUNS_NO_PREFIX) != 0);
        }
        duns_destroy_attr(&attr);
        EXPECT(attr.da_rel_path == NULL);
    }
    EXPECT_EQ(duns_resolve_path(NULL, &(struct duns_attr_t){0}), EINVAL);
    EXPECT_EQ(duns_resolve_path("daos://a/b", NULL), EINVAL);
}

TEST(duns, value_of_the_attribute)
{
    static const struct {
        const char *value;
        int rc;
        daos_cont_layout_t type;
    } rows[] = {
        {"DAOS.POSIX://" U1 "/" U2, 0, DAOS_PROP_CO_LAYOUT_POSIX},
        {"DAOS.HDF5://tank/box", 0, DAOS_PROP_CO_LAYOUT_HDF5},
        {"DAOS.FOO://" U1 "/" U2, EINVAL, 0},
        {"DAOS.POSIX:/" U1 "/" U2, EINVAL, 0},
        {"DAOS.POSIX://" U1, EINVAL, 0},
        {"DAOS.POSIX:///" U2, EINVAL, 0},
        {"DAOS.POSIX://" U1 "/", EINVAL, 0},
        {"daos.POSIX://" U1 "/" U2, EINVAL, 0},
        {"x", EINVAL, 0},
    };
    char bad[DUNS_MAX_XATTR_LEN + 1];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct duns_attr_t attr = {0};
        char value[200];

        snprintf(value, sizeof(value), "%s", rows[i].value);
        if (!EXPECT_EQ(duns_parse_attr(value, strlen(value), &attr), rows[i].rc))
            fprintf(stderr, "    %s\n", rows[i].value);
        EXPECT_EQ(attr.da_type, rows[i].type);
    }
    memset(bad, 'x', sizeof(bad));
    EXPECT_EQ(duns_parse_attr(bad, sizeof(bad), &(struct duns_attr_t){0}), EINVAL);
    EXPECT_EQ(duns_parse_attr(bad, 0, &(struct duns_attr_t){0}), EINVAL);
}

TEST(duns, system_name_and_arguments)
{
    struct duns_attr_t attr = {0};

    EXPECT_EQ(duns_set_sys_name(&attr, "daos_server"), 0);
    EXPECT_STR_EQ(attr.da_sys, "daos_server");
    EXPECT_EQ(duns_set_sys_name(&attr, "a_name_that_is_too_long"), EINVAL);
    EXPECT_EQ(duns_set_sys_name(&attr, NULL), 0);
    EXPECT(attr.da_sys == NULL);
    duns_destroy_attr(NULL);
    EXPECT_EQ(duns_create_path(DAOS_HDL_INVAL, "/x", &attr), EINVAL);
    EXPECT_EQ(duns_destroy_path(DAOS_HDL_INVAL, "/no/such/path"), ENOENT);
    EXPECT_EQ(duns_link_cont(DAOS_HDL_INVAL, NULL, "/x"), EINVAL);
}

TEST_LINUX(duns, paths_of_the_host, "extended attributes of a real file system")
{
    const char *dir = test_tmpdir(), *value = "DAOS.POSIX://" U1 "/" U2;
    struct duns_attr_t attr = {0};
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/sub", dir);
    if (!EXPECT_EQ(mkdir(path, 0700), 0))
        return;
    EXPECT_EQ(duns_resolve_path(path, &attr), ENODATA);
    if (lsetxattr(dir, DUNS_XATTR_NAME, value, strlen(value), 0) != 0)
        return; /* no such attributes here: the rest cannot be seen */
    EXPECT_EQ(duns_resolve_path(dir, &attr), 0);
    EXPECT_STR_EQ(attr.da_pool, U1);
    EXPECT_STR_EQ(attr.da_cont, U2);
    EXPECT(attr.da_rel_path == NULL);
    duns_destroy_attr(&attr);
    EXPECT_EQ(duns_resolve_path(path, &attr), 0);
    EXPECT_STR_EQ(attr.da_rel_path, "/sub");
    duns_destroy_attr(&attr);
    attr.da_flags = DUNS_NO_REVERSE_LOOKUP;
    EXPECT_EQ(duns_resolve_path(path, &attr), ENODATA);
}
