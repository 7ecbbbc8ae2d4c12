/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: entries and lists are checked, ordered, printed and parsed as the API says, and permissions follow from the most specific entry.
 * Method: tables of texts, good and bad; lists built up and taken apart; random bytes never make the walk leave the list.
 */
#include <daos_cont.h>
#include <daos_pool.h>
#include <daos_security.h>
#include <gurt/common.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rng.h"
#include "harness/harness.h"

TEST(gurt_ace, text_round_trip)
{
    static const char *const good[] = {"A::OWNER@:rwcdtTaAo", "A::user@:rw", "A:G:GROUP@:r",
        "A:G:staff@site:rw", "A::EVERYONE@:", "U:S:me@:r", "AL:GF:team@:w", "A:P:me@:rcd",
        "UL:SF:EVERYONE@:rw"};
    static const char *const bad[] = {"", "A", "A::", "A::user@", "A::user@:rw:", "X::user@:r",
        "A:Z:user@:r", "A::user@:z", "A::user:r", "A::@:r", "A::a@b@c:r", "A:G:OWNER@:r",
        "::user@:r", "A::GROUP@:r", "A:S:user@:r", "U::user@:r", "A::EVERYONE@:r:r"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct daos_ace *ace = NULL;
        char text[DAOS_ACL_MAX_ACE_STR_LEN];

        if (!EXPECT_EQ(daos_ace_from_str(good[i], &ace), 0))
            continue;
        EXPECT(daos_ace_is_valid(ace));
        EXPECT_EQ(daos_ace_to_str(ace, text, sizeof(text)), 0);
        EXPECT_STR_EQ(text, good[i]);
        EXPECT_ERR(daos_ace_to_str(ace, text, strlen(good[i])), TRUNC);
        EXPECT_EQ(daos_ace_get_size(ace) % 8, 0);
        daos_ace_free(ace);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct daos_ace *ace = NULL;

        EXPECT_ERR(daos_ace_from_str(bad[i], &ace), INVAL);
        EXPECT(ace == NULL);
    }
}

TEST(gurt_ace, fields_and_validity)
{
    struct daos_ace *ace = daos_ace_create(DAOS_ACL_USER, "user@");
    char text[400];

    EXPECT_EQ(daos_ace_get_size(ace), 40);
    EXPECT_EQ(ace->dae_principal_len, 8);
    EXPECT_STR_EQ(daos_ace_get_principal_str(ace), "user@");
    EXPECT(!daos_ace_is_valid(ace)); /* no access type yet */
    ace->dae_access_types = DAOS_ACL_ACCESS_ALLOW;
    EXPECT(daos_ace_is_valid(ace));
    ace->dae_allow_perms = 1u << 9;
    EXPECT(!daos_ace_is_valid(ace));
    ace->dae_allow_perms = DAOS_ACL_PERM_READ;
    ace->dae_audit_perms = DAOS_ACL_PERM_READ;
    EXPECT(!daos_ace_is_valid(ace));
    ace->dae_access_types |= DAOS_ACL_ACCESS_AUDIT;
    ace->dae_access_flags = DAOS_ACL_FLAG_ACCESS_FAIL;
    EXPECT(daos_ace_is_valid(ace));
    ace->dae_audit_perms = DAOS_ACL_PERM_WRITE;
    EXPECT(daos_ace_is_valid(ace));
    EXPECT_ERR(daos_ace_to_str(ace, text, sizeof(text)), INVAL); /* two sets of permissions */
    memset(ace->dae_principal, 'x', 8);
    EXPECT(!daos_ace_is_valid(ace));
    daos_ace_free(ace);
    EXPECT(daos_ace_create(DAOS_ACL_USER, NULL) == NULL);
    EXPECT(daos_ace_create(DAOS_ACL_GROUP, "noat") == NULL);
    EXPECT(daos_ace_create(NUM_DAOS_ACL_TYPES, NULL) == NULL);
    EXPECT_ERR(daos_ace_get_size(NULL), INVAL);
    EXPECT_EQ(daos_ace_str_get_verbose("A:G:team@:rd", text, sizeof(text)), 0);
    EXPECT_STR_EQ(text, "Allow:Group:team@:Read/Delete-Container");
    EXPECT_EQ(daos_ace_str_get_verbose("A::EVERYONE@:", text, sizeof(text)), 0);
    EXPECT_STR_EQ(text, "Allow::EVERYONE@:No-Access");
    EXPECT_ERR(daos_ace_str_get_verbose("A::EVERYONE@:", text, 5), TRUNC);
    EXPECT_ERR(daos_ace_str_get_verbose("nonsense", text, sizeof(text)), INVAL);
}

static char *
acl_text(struct daos_acl *acl)
{
    static char text[2000];
    char **strs = NULL;
    size_t nr = 0;

    text[0] = '\0';
    EXPECT_EQ(daos_acl_to_strs(acl, &strs, &nr), 0);
    for (size_t i = 0; i < nr; i++) {
        size_t len = strlen(text);

        snprintf(text + len, sizeof(text) - len, "%s%s", i == 0 ? "" : " ", strs[i]);
        free(strs[i]);
    }
    free(strs);
    return text;
}

TEST(gurt_acl, build_change_take_apart)
{
    const char *strs[] = {"A::EVERYONE@:r", "A::b@:r", "A:G:GROUP@:rw", "A::OWNER@:rw", "A::a@:w"};
    struct daos_acl *acl = NULL;
    struct daos_acl *copy;
    struct daos_ace *ace = NULL;

    EXPECT_EQ(daos_acl_from_strs(strs, 5, &acl), 0);
    EXPECT_STR_EQ(acl_text(acl), "A::OWNER@:rw A::b@:r A::a@:w A:G:GROUP@:rw A::EVERYONE@:r");
    copy = daos_acl_dup(acl);
    EXPECT_EQ(daos_acl_get_size(acl), daos_acl_get_size(copy));
    EXPECT_EQ(daos_ace_from_str("A::b@:rw", &ace), 0);
    EXPECT_EQ(daos_acl_add_ace(&acl, ace), 0);
    daos_ace_free(ace);
    EXPECT_EQ(daos_ace_from_str("A:G:g@:r", &ace), 0);
    EXPECT_EQ(daos_acl_add_ace(&acl, ace), 0);
    ace->dae_access_types = 0;
    EXPECT_ERR(daos_acl_add_ace(&acl, ace), INVAL);
    daos_ace_free(ace);
    EXPECT_STR_EQ(
        acl_text(acl), "A::OWNER@:rw A::b@:rw A::a@:w A:G:GROUP@:rw A:G:g@:r A::EVERYONE@:r");
    EXPECT_EQ(daos_acl_get_ace_for_principal(acl, DAOS_ACL_GROUP, "g@", &ace), 0);
    EXPECT_ERR(daos_acl_get_ace_for_principal(acl, DAOS_ACL_GROUP, "h@", &ace), NONEXIST);
    EXPECT_ERR(daos_acl_get_ace_for_principal(acl, DAOS_ACL_GROUP, NULL, &ace), INVAL);
    EXPECT_EQ(daos_acl_remove_ace(&acl, DAOS_ACL_USER, "b@"), 0);
    EXPECT_ERR(daos_acl_remove_ace(&acl, DAOS_ACL_USER, "b@"), NONEXIST);
    EXPECT_EQ(daos_acl_remove_ace(&acl, DAOS_ACL_EVERYONE, NULL), 0);
    EXPECT_STR_EQ(acl_text(acl), "A::OWNER@:rw A::a@:w A:G:GROUP@:rw A:G:g@:r");
    EXPECT_EQ(daos_acl_validate(acl), 0);
    EXPECT_STR_EQ(acl_text(copy), "A::OWNER@:rw A::b@:r A::a@:w A:G:GROUP@:rw A::EVERYONE@:r");
    daos_acl_free(acl);
    daos_acl_free(copy);
    strs[4] = "A::b@:w";
    acl = NULL;
    EXPECT_ERR(daos_acl_from_strs(strs, 5, &acl), INVAL); /* b@ twice */
    EXPECT(acl == NULL);
    acl = daos_acl_create(NULL, 0);
    EXPECT_EQ(daos_acl_get_size(acl), 8);
    EXPECT_EQ(daos_acl_validate(acl), 0);
    daos_acl_free(acl);
}

TEST(gurt_acl, stream)
{
    const char *strs[] = {"A::OWNER@:rw", "A:G:GROUP@:r"};
    struct daos_acl *acl = NULL;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    EXPECT_EQ(daos_acl_from_strs(strs, 2, &acl), 0);
    EXPECT_EQ(daos_acl_to_stream(out, acl, true), 0);
    EXPECT_EQ(daos_acl_to_stream(out, NULL, false), 0);
    fclose(out);
    EXPECT_STR_EQ(text,
        "# Entries:\n# Allow::OWNER@:Read/Write\nA::OWNER@:rw\n"
        "# Allow:Group:GROUP@:Read\nA:G:GROUP@:r\n# Entries:\n#   None\n");
    free(text);
    daos_acl_free(acl);
}

TEST(gurt_acl, bytes_from_outside)
{
    const char *strs[] = {"A::OWNER@:rw", "A::someone@:r", "A:G:team@:r"};
    struct daos_acl *good = NULL;
    struct rng rng;
    ssize_t size;

    EXPECT_EQ(daos_acl_from_strs(strs, 3, &good), 0);
    size = daos_acl_get_size(good);
    rng_init(&rng, test_seed());
    for (int step = 0; step < 20000; step++) {
        struct daos_acl *bad = malloc((size_t)size);
        struct daos_ace *pos = NULL;
        size_t at = sizeof(*bad) + (size_t)rng_below(&rng, (uint64_t)size - sizeof(*bad));
        int nr = 0;

        memcpy(bad, good, (size_t)size);
        ((uint8_t *)bad)[at] = (uint8_t)rng_u64(&rng);
        CAIRN_IGNORE(daos_acl_validate(bad)); /* must only end, and inside the memory */
        while ((pos = daos_acl_get_next_ace(bad, pos)) != NULL && nr <= 100) {
            nr++;
        }
        EXPECT_LE(nr, 3);
        free(bad);
    }
    good->dal_len += 8;
    EXPECT_ERR(daos_acl_validate(NULL), INVAL);
    good->dal_len -= 16;
    EXPECT_ERR(daos_acl_validate(good), INVAL);
    good->dal_len += 8;
    good->dal_ver = 2;
    EXPECT_ERR(daos_acl_validate(good), INVAL);
    daos_acl_free(good);
}

TEST(gurt_acl, principals)
{
    enum daos_acl_principal_type type = DAOS_ACL_USER;
    char *name = (char *)"";
    char *me = NULL;
    uid_t uid = 12345;
    gid_t gid = 12345;

    EXPECT_EQ(daos_acl_principal_from_str("OWNER@", &type, &name), 0);
    EXPECT(type == DAOS_ACL_OWNER && name == NULL);
    EXPECT_EQ(daos_acl_principal_from_str("g:team@", &type, &name), 0);
    EXPECT_EQ(type, DAOS_ACL_GROUP);
    EXPECT_STR_EQ(name, "team@");
    free(name);
    EXPECT_ERR(daos_acl_principal_from_str("team@", &type, &name), INVAL);
    EXPECT_ERR(daos_acl_principal_from_str("u:team", &type, &name), INVAL);
    EXPECT(!daos_acl_principal_is_valid(""));
    EXPECT(!daos_acl_principal_is_valid("a:b@"));
    EXPECT(daos_acl_principal_is_valid("a@domain"));

    EXPECT_EQ(daos_acl_uid_to_principal(0, &me), 0);
    EXPECT_STR_EQ(me, "root@");
    free(me);
    EXPECT_EQ(daos_acl_gid_to_principal(0, &me), 0);
    EXPECT_STR_EQ(me, "root@");
    free(me);
    EXPECT_EQ(daos_acl_principal_to_uid("root@somewhere", &uid), 0);
    EXPECT_EQ(uid, 0);
    EXPECT_EQ(daos_acl_principal_to_gid("root@", &gid), 0);
    EXPECT_EQ(gid, 0);
    EXPECT_ERR(daos_acl_principal_to_uid("no-such-user-here@", &uid), NONEXIST);
    EXPECT_ERR(daos_acl_uid_to_principal((uid_t)0x7ffffff1, &me), NONEXIST);
    EXPECT_ERR(daos_acl_principal_to_uid("root", &uid), INVAL);
}

/* What user 1 in group 0 may do with a container of root, given the entries. */
static uint64_t
perms_of(uid_t uid, gid_t gid, const char *owner, const char *ace1, const char *ace2)
{
    const char *strs[] = {ace1, ace2};
    daos_prop_t *prop = daos_prop_alloc(3);
    struct daos_acl *acl = NULL;
    uint64_t perms = 0;

    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_OWNER;
    prop->dpp_entries[1].dpe_type = DAOS_PROP_CO_OWNER_GROUP;
    prop->dpp_entries[2].dpe_type = DAOS_PROP_CO_ACL;
    EXPECT_EQ(daos_prop_entry_set_str(&prop->dpp_entries[0], owner, 100), 0);
    EXPECT_EQ(daos_prop_entry_set_str(&prop->dpp_entries[1], "root@", 100), 0);
    EXPECT_EQ(daos_acl_from_strs(strs, ace2 == NULL ? 1 : 2, &acl), 0);
    prop->dpp_entries[2].dpe_val_ptr = acl;
    EXPECT_EQ(daos_cont_get_perms(prop, uid, &gid, 1, &perms), 0);
    prop->dpp_nr = 2;
    EXPECT_ERR(daos_cont_get_perms(prop, uid, &gid, 1, &perms), INVAL);
    prop->dpp_nr = 3;
    daos_prop_free(prop);
    return perms;
}

TEST(gurt_acl, most_specific_entry_decides)
{
    const uint64_t own = DAOS_ACL_PERM_GET_ACL | DAOS_ACL_PERM_SET_ACL;

    EXPECT_EQ(perms_of(0, 77, "root@", "A::OWNER@:r", "A::EVERYONE@:rw"), own | DAOS_ACL_PERM_READ);
    EXPECT_EQ(perms_of(0, 77, "root@", "A::EVERYONE@:", NULL), own);
    EXPECT_EQ(perms_of(0, 77, "daemon@", "A::root@:w", "A::EVERYONE@:rw"), DAOS_ACL_PERM_WRITE);
    EXPECT_EQ(perms_of(0, 0, "daemon@", "A:G:GROUP@:r", "A:G:root@:w"),
        DAOS_ACL_PERM_READ | DAOS_ACL_PERM_WRITE);
    EXPECT_EQ(perms_of(0, 77, "daemon@", "A:G:GROUP@:r", "A::EVERYONE@:w"), DAOS_ACL_PERM_WRITE);
    EXPECT_EQ(perms_of(0, 77, "daemon@", "A:G:GROUP@:r", NULL), 0);
}

TEST(gurt_filter, parts_are_copied_and_limited)
{
    daos_pool_cont_filter_t filt;
    daos_pool_cont_filter_part_t part = {
        .pcfp_func = PCF_FUNC_GT, .pcfp_key = PCF_KEY_NUM_HANDLES, .pcfp_val64 = 0};

    EXPECT_ERR(daos_pool_cont_filter_init(&filt, 9), INVAL);
    EXPECT_EQ(daos_pool_cont_filter_init(&filt, PCF_COMBINE_LOGICAL_OR), 0);
    for (uint32_t i = 0; i < DAOS_POOL_CONT_FILTER_MAX_NPARTS; i++) {
        part.pcfp_val64 = i;
        EXPECT_EQ(daos_pool_cont_filter_add(&filt, &part), 0);
    }
    EXPECT_ERR(daos_pool_cont_filter_add(&filt, &part), NOSPACE);
    EXPECT_EQ(filt.pcf_parts[3]->pcfp_val64, 3);
    part.pcfp_key = PCF_KEY_MAX;
    EXPECT_ERR(daos_pool_cont_filter_add(&filt, &part), INVAL);
    daos_pool_cont_filter_fini(&filt);
    EXPECT(filt.pcf_parts == NULL);
    daos_pool_cont_filter_fini(NULL);
}
