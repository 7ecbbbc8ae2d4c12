/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: property lists own, copy and free their values, and container properties parse from text. Method: fixed cases under the address
 * checker, which sees leaks and double frees.
 */
#include "client/gurt/gurt.h"

#include <daos_prop.h>
#include <daos_security.h>
#include <gurt/common.h>

#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"

/* Label, number, ACL, roots, service ranks. */
static daos_prop_t *
five_props(void)
{
    const struct daos_prop_co_roots roots = {{{1, 2}, {3, 4}, {5, 6}, {7, 8}}};
    daos_prop_t *prop = daos_prop_alloc(5);
    struct daos_acl *acl = NULL;
    const char *aces[] = {"A::OWNER@:rw"};

    EXPECT_EQ(daos_acl_from_strs(aces, 1, &acl), 0);
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LABEL;
    EXPECT_EQ(daos_prop_set_str(prop, DAOS_PROP_CO_LABEL, "label-and-more", 5), 0);
    prop->dpp_entries[1].dpe_type = DAOS_PROP_CO_REDUN_FAC;
    prop->dpp_entries[1].dpe_val = 2;
    prop->dpp_entries[2].dpe_type = DAOS_PROP_CO_ACL;
    prop->dpp_entries[2].dpe_val_ptr = acl;
    prop->dpp_entries[3].dpe_type = DAOS_PROP_CO_ROOTS;
    EXPECT_EQ(daos_prop_set_ptr(prop, DAOS_PROP_CO_ROOTS, &roots, sizeof(roots)), 0);
    prop->dpp_entries[4].dpe_type = DAOS_PROP_PO_SVC_LIST;
    prop->dpp_entries[4].dpe_val_ptr = d_rank_list_alloc(3);
    return prop;
}

static void
expect_five(daos_prop_t *prop)
{
    struct daos_prop_co_roots *roots;

    EXPECT_STR_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_LABEL)->dpe_str, "label");
    EXPECT_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_REDUN_FAC)->dpe_val, 2);
    EXPECT_EQ(daos_acl_validate(daos_prop_entry_get(prop, DAOS_PROP_CO_ACL)->dpe_val_ptr), 0);
    roots = daos_prop_entry_get(prop, DAOS_PROP_CO_ROOTS)->dpe_val_ptr;
    EXPECT_EQ(roots->cr_oids[3].hi, 8);
    EXPECT_EQ(
        ((d_rank_list_t *)daos_prop_entry_get(prop, DAOS_PROP_PO_SVC_LIST)->dpe_val_ptr)->rl_nr, 3);
}

TEST(gurt_prop, copies_own_their_values)
{
    daos_prop_t *prop = five_props();
    daos_prop_t *copy = NULL;
    daos_prop_t *none = NULL;

    expect_five(prop);
    EXPECT_OK(gurt_prop_dup(prop, &copy));
    EXPECT_EQ(daos_prop_entry_cmp_acl(daos_prop_entry_get(prop, DAOS_PROP_CO_ACL),
                  daos_prop_entry_get(copy, DAOS_PROP_CO_ACL)),
        0);
    daos_prop_free(prop);
    expect_five(copy);
    gurt_prop_entry_clear(&copy->dpp_entries[0]);
    EXPECT(copy->dpp_entries[0].dpe_str == NULL);
    daos_prop_fini(copy);
    EXPECT_EQ(copy->dpp_nr, 0);
    daos_prop_free(copy);
    daos_prop_free(NULL);
    EXPECT_OK(gurt_prop_dup(NULL, &none));
    EXPECT(none == NULL);
    EXPECT(daos_prop_alloc(DAOS_PROP_ENTRIES_MAX_NR + 1) == NULL);
    prop = daos_prop_alloc(0);
    EXPECT(prop != NULL && prop->dpp_nr == 0);
    daos_prop_free(prop);
}

TEST(gurt_prop, merge_prefers_the_new)
{
    daos_prop_t *old_prop = five_props();
    daos_prop_t *new_prop = daos_prop_alloc(2);
    daos_prop_t *merged;
    daos_prop_t *same = NULL;

    new_prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_REDUN_FAC;
    new_prop->dpp_entries[0].dpe_val = 4;
    new_prop->dpp_entries[1].dpe_type = DAOS_PROP_CO_OWNER;
    EXPECT_EQ(daos_prop_entry_set_str(&new_prop->dpp_entries[1], "me@", 10), 0);
    merged = daos_prop_merge(old_prop, new_prop);
    EXPECT_EQ(merged->dpp_nr, 6);
    EXPECT_EQ(daos_prop_entry_get(merged, DAOS_PROP_CO_REDUN_FAC)->dpe_val, 4);
    EXPECT_STR_EQ(daos_prop_entry_get(merged, DAOS_PROP_CO_OWNER)->dpe_str, "me@");
    EXPECT_STR_EQ(daos_prop_entry_get(merged, DAOS_PROP_CO_LABEL)->dpe_str, "label");
    EXPECT_EQ(daos_prop_merge2(NULL, old_prop, &same), 0);
    expect_five(same);
    EXPECT_ERR(daos_prop_merge2(NULL, NULL, &same), INVAL);
    daos_prop_free(same);
    daos_prop_free(merged);
    daos_prop_free(old_prop);
    daos_prop_free(new_prop);
}

TEST(gurt_prop, setters_refuse_nonsense)
{
    daos_prop_t *prop = five_props();
    struct daos_prop_entry *entry;

    EXPECT_ERR(daos_prop_set_str(prop, DAOS_PROP_CO_OWNER, "x", 1), NONEXIST);
    EXPECT_ERR(daos_prop_set_str(prop, DAOS_PROP_CO_REDUN_FAC, "x", 1), INVAL);
    EXPECT_ERR(daos_prop_set_str(prop, DAOS_PROP_CO_LABEL, NULL, 1), INVAL);
    EXPECT_ERR(daos_prop_set_ptr(prop, DAOS_PROP_CO_LABEL, "x", 1), INVAL);
    EXPECT_ERR(daos_prop_set_ptr(prop, DAOS_PROP_CO_ROOTS, NULL, 1), INVAL);
    EXPECT_ERR(daos_prop_set_byteval(prop, DAOS_PROP_CO_LABEL, "x", 1), INVAL);
    EXPECT(daos_prop_entry_get(NULL, 1) == NULL);
    entry = daos_prop_entry_get(prop, DAOS_PROP_CO_LABEL);
    EXPECT(daos_prop_has_str(entry) && !daos_prop_has_ptr(entry) && !daos_prop_has_byteval(entry));
    EXPECT(daos_prop_is_set(entry));
    entry->dpe_flags |= DAOS_PROP_ENTRY_NOT_SET;
    EXPECT(!daos_prop_is_set(entry));
    EXPECT_EQ(daos_prop_set_str(prop, DAOS_PROP_CO_LABEL, "other", 5), 0);
    EXPECT_STR_EQ(entry->dpe_str, "other");
    daos_prop_free(prop);
}

TEST(gurt_prop, from_text)
{
    static const char *const bad[] = {"", ";", "label", "label:", "label:a b", "cksum:crc99", "rf:5",
        "rf:x", "nothing:1", "owner:me@", "rd_lvl:1", "cksum_size:-1", "rf:1;rf_lvl:2", "rf:1;;bad"};
    const char *text = "label:data;cksum:crc64;cksum_size:0x8000;srv_cksum:on;rf:1;dedup:hash;"
                       "compression:lz4;encryption:aes-gcm256;ec_cell_sz:65536";
    daos_prop_t *prop = NULL;

    EXPECT_EQ(daos_prop_from_str(text, strlen(text), &prop), 0);
    EXPECT_EQ(prop->dpp_nr, 9);
    EXPECT_STR_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_LABEL)->dpe_str, "data");
    EXPECT_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_CSUM)->dpe_val, DAOS_PROP_CO_CSUM_CRC64);
    EXPECT_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_CSUM_CHUNK_SIZE)->dpe_val, 0x8000);
    EXPECT_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_CSUM_SERVER_VERIFY)->dpe_val, 1);
    EXPECT_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_REDUN_FAC)->dpe_val, 1);
    EXPECT_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_DEDUP)->dpe_val, DAOS_PROP_CO_DEDUP_HASH);
    EXPECT_EQ(
        daos_prop_entry_get(prop, DAOS_PROP_CO_ENCRYPT)->dpe_val, DAOS_PROP_CO_ENCRYPT_AES_GCM256);
    daos_prop_free(prop);
    prop = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        EXPECT_ERR(daos_prop_from_str(bad[i], strlen(bad[i]), &prop), INVAL);
    }
    EXPECT_ERR(daos_prop_from_str(NULL, 3, &prop), INVAL);
    EXPECT(prop == NULL);
    EXPECT_EQ(daos_prop_from_str("rf:2;junk", 4, &prop), 0);
    EXPECT_EQ(prop->dpp_nr, 1);
    daos_prop_free(prop);
    EXPECT_STR_EQ(gurt_prop_name(DAOS_PROP_CO_REDUN_FAC), "rd_fac");
    EXPECT_EQ(gurt_prop_from_name("rf_lvl"), DAOS_PROP_CO_REDUN_LVL);
    EXPECT(gurt_prop_name(DAOS_PROP_PO_LABEL) == NULL);
    EXPECT_EQ(gurt_prop_from_name("x"), 0);
}
