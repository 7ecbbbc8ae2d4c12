/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: class names, numbers and the choice of a class are those of the API. Method: values from the public header, a walk over all
 * names, tables of the thresholds.
 */
#include "placement/placement.h"

#include <string.h>

#include <daos_obj.h>

#include "base/hash.h"
#include "base/util.h"
#include "harness/harness.h"

TEST(placement_oclass, names_and_numbers)
{
    char text[PLACEMENT_OCLASS_NAME_BYTES];

    EXPECT_EQ(placement_oclass_nr(), 143);
    for (uint32_t i = 0; i < placement_oclass_nr(); i++) {
        const char *name = placement_oclass_name_at(i);
        uint32_t id = placement_oclass_name2id(name);

        EXPECT_STR_EQ(placement_oclass_id2name(id), name);
        EXPECT_STR_EQ(placement_oclass_to_text(id, text), name);
        EXPECT_LT(strlen(name), PLACEMENT_OCLASS_NAME_BYTES);
    }
    EXPECT(placement_oclass_name_at(143) == NULL);
    EXPECT_EQ(placement_oclass_name2id("S1"), OC_S1);
    EXPECT_EQ(placement_oclass_name2id("SX"), OC_SX);
    EXPECT_EQ(placement_oclass_name2id("RP_2G1"), OC_RP_2G1);
    EXPECT_EQ(placement_oclass_name2id("rp_3gx"), OC_RP_3GX);
    EXPECT_EQ(placement_oclass_name2id("RP_6G32"), OC_RP_6G32);
    EXPECT_EQ(placement_oclass_name2id("RP_XSF"), OC_RP_XSF);
    EXPECT_EQ(placement_oclass_name2id("EC_2P1G1"), OC_EC_2P1G1);
    EXPECT_EQ(placement_oclass_name2id("EC_16P3GX"), OC_EC_16P3GX);
    EXPECT_EQ(placement_oclass_name2id("EC_4P3G12"), OC_EC_4P3G12);
    /* In the header, but without a name. */
    EXPECT_EQ(placement_oclass_name2id("EC_2P1G6"), 0);
    EXPECT_EQ(placement_oclass_name2id("RP_12G1"), 0);
    EXPECT_EQ(placement_oclass_name2id("TINY"), 0);
    EXPECT_EQ(placement_oclass_name2id(""), 0);
    EXPECT_EQ(placement_oclass_name2id(NULL), 0);
    EXPECT(placement_oclass_id2name(OC_EC_2P1G6) == NULL);
    EXPECT_STR_EQ(placement_oclass_to_text(OC_EC_2P1G6, text), "EC_2P1G6");
    EXPECT_STR_EQ(placement_oclass_to_text(0x0100004d, text), "S77");
    EXPECT_STR_EQ(placement_oclass_to_text(0x1400ffff, text), "RP_128GX");
    EXPECT_STR_EQ(placement_oclass_to_text(12345, text), "UNKNOWN");
}

TEST(placement_oclass, ids_taken_apart)
{
    struct placement_oclass oclass;

    EXPECT_OK(placement_oclass_from_id(OC_EC_8P2GX, &oclass));
    EXPECT(oclass.is_ec);
    EXPECT_EQ(oclass.data, 8);
    EXPECT_EQ(oclass.parity, 2);
    EXPECT_EQ(oclass.grp_nr, PLACEMENT_GRP_ALL);
    EXPECT_EQ(placement_oclass_grp_size(&oclass), 10);
    EXPECT_OK(placement_oclass_from_id(OC_RP_128G1, &oclass));
    EXPECT_EQ(placement_oclass_grp_size(&oclass), 128);
    EXPECT_ERR(placement_oclass_from_id(0, &oclass), NOSCHEMA);
    EXPECT_ERR(placement_oclass_from_id(0x01000000, &oclass), NOSCHEMA);
    EXPECT_ERR(placement_oclass_from_id(0x01010000, &oclass), NOSCHEMA);
    EXPECT_ERR(placement_oclass_from_id(0x02000001, &oclass), NOSCHEMA);
    EXPECT_ERR(placement_oclass_from_id(UINT32_MAX, &oclass), NOSCHEMA);
}

TEST(placement_oid, fields_agree_with_the_public_header)
{
    struct oid oid = placement_oid_encode(
        (struct oid){.lo = 11, .hi = UINT64_MAX}, PLACEMENT_OT_ARRAY_BYTE, OR_RS_4P2, 300);
    daos_obj_id_t pub = {.lo = oid.lo, .hi = oid.hi};

    EXPECT_EQ(oid.lo, 11);
    EXPECT_EQ(oid.hi, UINT64_C(0x0d23012cffffffff));
    EXPECT_EQ(daos_obj_id2type(pub), DAOS_OT_ARRAY_BYTE);
    EXPECT_EQ(placement_oid_type(oid), DAOS_OT_ARRAY_BYTE);
    EXPECT_EQ(daos_obj_id2class(pub), placement_oid_oclass(oid));
    EXPECT_EQ(placement_oid_grp_nr(oid), 300);
    EXPECT_OK(placement_oid_check(oid));
    EXPECT_ERR(placement_oid_check((struct oid){.lo = 1, .hi = 2}), NOSCHEMA);
    oid.hi |= UINT64_C(0xf) << 56;
    EXPECT_ERR(placement_oid_check(oid), INVAL);
    for (uint32_t t = 0; t < PLACEMENT_OT_NR; t++) {
        enum daos_otype_t type = (enum daos_otype_t)t;

        EXPECT_EQ(placement_otype_dkey(t) == PLACEMENT_KEY_UINT64, daos_is_dkey_uint64_type(type));
        EXPECT_EQ(placement_otype_dkey(t) == PLACEMENT_KEY_LEXICAL, daos_is_dkey_lexical_type(type));
        EXPECT_EQ(placement_otype_akey(t) == PLACEMENT_KEY_UINT64, daos_is_akey_uint64_type(type));
        EXPECT_EQ(placement_otype_akey(t) == PLACEMENT_KEY_LEXICAL, daos_is_akey_lexical_type(type));
        EXPECT_EQ(placement_otype_is_array(t), daos_is_array_type(type));
        EXPECT_EQ(placement_otype_is_kv(t), daos_is_kv_type(type));
    }
}

TEST(placement_oid, dkey_hash)
{
    uint64_t dkey = 77;
    uint64_t h = 0;

    EXPECT_OK(placement_dkey_hash(PLACEMENT_OT_ARRAY_BYTE, &dkey, 8, &h));
    EXPECT_EQ(h, 77);
    EXPECT_ERR(placement_dkey_hash(PLACEMENT_OT_ARRAY_BYTE, &dkey, 7, &h), INVAL);
    EXPECT_OK(placement_dkey_hash(PLACEMENT_OT_MULTI_HASHED, "abc", 3, &h));
    EXPECT_EQ(h, hash_str64("abc"));
    EXPECT_OK(placement_dkey_hash(PLACEMENT_OT_KV_LEXICAL, "abc", 3, &h));
    EXPECT_EQ(h, hash_str64("abc"));
}

struct choice_case {
    uint32_t otype;
    uint32_t oclass_id;
    uint32_t hints;
    uint32_t rd_fac;
    uint32_t fdom_nr;
    uint32_t tgts_nr;
    uint32_t want_id; /* 0: refused */
};

#define ARR PLACEMENT_OT_ARRAY_BYTE
#define KV PLACEMENT_OT_KV_HASHED
#define DIR PLACEMENT_OT_MULTI_HASHED

TEST(placement_oclass, choice)
{
    static const struct choice_case cases[] = {
        /* No redundancy. */
        {ARR, 0, 0, 0, 1, 4, 0x01000004},
        {KV, 0, 0, 0, 2, 4, 0x01000004},
        {DIR, 0, 0, 0, 2, 4, OC_S1},
        {DIR, 0, PLACEMENT_SHD_MAX, 0, 2, 4, OC_S4},
        {ARR, 0, PLACEMENT_SHD_TINY, 0, 2, 4, OC_S1},
        {ARR, 0, PLACEMENT_SHD_REG, 0, 1, 1000, 0x010000fa},
        {ARR, 0, PLACEMENT_SHD_REG, 0, 1, 400, 0x01000080},
        {ARR, 0, PLACEMENT_SHD_REG, 0, 1, 100, 0x01000064},
        {ARR, 0, PLACEMENT_SHD_HI, 0, 1, 1000, 0x010001f4},
        {ARR, 0, PLACEMENT_SHD_EXT, 0, 1, 2000, 0x01000578},
        {ARR, 0, 1u << 10, 0, 1, 4, 0},
        {ARR, 0, PLACEMENT_RDD_RP | PLACEMENT_SHD_TINY, 0, 2, 4, OC_RP_2G1},
        {ARR, 0, PLACEMENT_RDD_RP | PLACEMENT_SHD_TINY, 0, 1, 4, OC_S1},
        {ARR, 0, PLACEMENT_RDD_EC | PLACEMENT_SHD_TINY, 0, 3, 6, OC_EC_2P1G1},
        /* The thresholds of redundancy factor 1, 2, 3, 4. */
        {ARR, 0, PLACEMENT_SHD_TINY, 1, 1, 8, 0},
        {ARR, 0, PLACEMENT_SHD_TINY, 1, 2, 8, OC_RP_2G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 1, 3, 8, OC_EC_2P1G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 1, 5, 8, OC_EC_2P1G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 1, 6, 8, OC_EC_4P1G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 1, 10, 20, OC_EC_8P1G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 1, 18, 40, OC_EC_16P1G1},
        {DIR, 0, 0, 1, 18, 40, OC_RP_2G1},
        {DIR, 0, PLACEMENT_RDD_EC, 1, 6, 40, OC_EC_4P1G1},
        {ARR, 0, PLACEMENT_RDD_RP | PLACEMENT_SHD_TINY, 1, 6, 40, OC_RP_2G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 2, 3, 40, OC_RP_3G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 2, 4, 40, OC_EC_2P2G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 2, 8, 40, OC_EC_4P2G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 2, 12, 40, OC_EC_8P2G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 2, 20, 40, OC_EC_16P2G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 3, 9, 40, OC_RP_4G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 3, 10, 40, OC_EC_4P3G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 3, 14, 40, OC_EC_8P3G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 3, 22, 40, OC_EC_16P3G1},
        {ARR, 0, PLACEMENT_SHD_TINY, 4, 30, 40, OC_RP_5G1},
        {DIR, 0, 0, 5, 30, 40, 0},
        /* Room for rebuild: 8 groups of 2 in 4 domains of 4, less the 2 groups that one domain holds. */
        {KV, 0, 0, 1, 4, 16, 0x08000006},
        /* Classes named by the caller. */
        {ARR, OC_SX, 0, 0, 1, 7, 0x01000007},
        {ARR, OC_S2, 0, 0, 1, 4, OC_S2},
        {ARR, OC_S8, 0, 0, 1, 4, 0},
        {ARR, OC_S2, 0, 1, 2, 4, 0},
        {ARR, OC_RP_2G2, 0, 1, 2, 4, OC_RP_2G2},
        {ARR, OC_RP_3G1, 0, 1, 2, 4, 0},
        {ARR, OC_RP_XSF, 0, 0, 7, 40, 0x0c000001},
        {ARR, OC_RP_XSF, 0, 0, 1, 4, OC_S1},
        {ARR, 999, 0, 0, 1, 4, 0},
        {PLACEMENT_OT_NR, OC_S1, 0, 0, 1, 4, 0},
        {ARR, OC_S1, 0, 0, 0, 4, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct choice_case *c = &cases[i];
        struct placement_choice choice = {.otype = c->otype,
            .oclass_id = c->oclass_id,
            .hints = c->hints,
            .rd_fac = c->rd_fac,
            .fdom_nr = c->fdom_nr,
            .tgts_nr = c->tgts_nr};
        struct placement_oclass oclass = {0};
        struct oid oid = {.lo = 1, .hi = 5};
        int rc = placement_oclass_choose(&choice, &oclass);

        EXPECT_EQ(rc == 0, c->want_id != 0);
        EXPECT_EQ(oclass.id, c->want_id);
        EXPECT_EQ(placement_oid_generate(&choice, &oid), rc);
        EXPECT_EQ(oid.hi & UINT32_MAX, 5);
        EXPECT_EQ(placement_oid_oclass(oid), c->want_id);
        if (test_failed()) {
            EXPECT_EQ(i, SIZE_MAX); /* shows which case */
            break;
        }
    }
}
