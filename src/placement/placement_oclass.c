/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Object classes by name and id, object ids, and the choice of a class. */
#include "placement/placement.h"

#include <string.h>
#include <strings.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/strbuf.h"
#include "base/util.h"

#define OCLASS_ID(method, groups) ((uint32_t)(method) << 24 | (uint32_t)(groups))
#define OCLASS_ID_XSF 80u
#define OCLASS_METHOD_RP_1 1u
#define OCLASS_METHOD_RP_5 11u
#define PLACEMENT_RD_FAC_MAX 4u

/* Redundancy methods; parity of a replicated method is its copies less one. */
struct oclass_method {
    const char *prefix; /* of the class names, up to the number of groups */
    uint8_t method;
    bool is_ec;
    uint8_t data;
    uint8_t parity;
};

static const struct oclass_method oclass_methods[] = {
    {"S", OCLASS_METHOD_RP_1, false, 1, 0},
    {"RP_2G", 8, false, 1, 1},
    {"RP_3G", 9, false, 1, 2},
    {"RP_4G", 10, false, 1, 3},
    {"RP_5G", OCLASS_METHOD_RP_5, false, 1, 4},
    {"RP_6G", 12, false, 1, 5},
    {"RP_8G", 13, false, 1, 7},
    {"RP_12G", 14, false, 1, 11},
    {"RP_16G", 15, false, 1, 15},
    {"RP_24G", 16, false, 1, 23},
    {"RP_32G", 17, false, 1, 31},
    {"RP_48G", 18, false, 1, 47},
    {"RP_64G", 19, false, 1, 63},
    {"RP_128G", 20, false, 1, 127},
    {"EC_2P1G", 32, true, 2, 1},
    {"EC_2P2G", 33, true, 2, 2},
    {"EC_4P1G", 34, true, 4, 1},
    {"EC_4P2G", 35, true, 4, 2},
    {"EC_8P1G", 36, true, 8, 1},
    {"EC_8P2G", 37, true, 8, 2},
    {"EC_16P1G", 38, true, 16, 1},
    {"EC_16P2G", 39, true, 16, 2},
    {"EC_4P3G", 40, true, 4, 3},
    {"EC_8P3G", 41, true, 8, 3},
    {"EC_16P3G", 42, true, 16, 3},
};

struct oclass_name {
    const char *name;
    uint32_t id;
};

/* Group counts with a name: nine, and eight for erasure code, which has no G6. */
#define OCLASS_NAMES_8(prefix, method) \
    {prefix "1", OCLASS_ID(method, 1)}, {prefix "2", OCLASS_ID(method, 2)}, \
        {prefix "4", OCLASS_ID(method, 4)}, {prefix "8", OCLASS_ID(method, 8)}, \
        {prefix "12", OCLASS_ID(method, 12)}, {prefix "16", OCLASS_ID(method, 16)}, \
        {prefix "32", OCLASS_ID(method, 32)}, \
    { \
        prefix "X", OCLASS_ID(method, PLACEMENT_GRP_ALL) \
    }
#define OCLASS_NAMES_9(prefix, method) \
    OCLASS_NAMES_8(prefix, method), \
    { \
        prefix "6", OCLASS_ID(method, 6) \
    }

static const struct oclass_name oclass_names[] = {
    OCLASS_NAMES_9("S", 1),
    OCLASS_NAMES_9("RP_2G", 8),
    OCLASS_NAMES_9("RP_3G", 9),
    OCLASS_NAMES_9("RP_4G", 10),
    OCLASS_NAMES_9("RP_5G", 11),
    OCLASS_NAMES_9("RP_6G", 12),
    {"RP_XSF", OCLASS_ID_XSF},
    OCLASS_NAMES_8("EC_2P1G", 32),
    OCLASS_NAMES_8("EC_2P2G", 33),
    OCLASS_NAMES_8("EC_4P1G", 34),
    OCLASS_NAMES_8("EC_4P2G", 35),
    OCLASS_NAMES_8("EC_4P3G", 40),
    OCLASS_NAMES_8("EC_8P1G", 36),
    OCLASS_NAMES_8("EC_8P2G", 37),
    OCLASS_NAMES_8("EC_8P3G", 41),
    OCLASS_NAMES_8("EC_16P1G", 38),
    OCLASS_NAMES_8("EC_16P2G", 39),
    OCLASS_NAMES_8("EC_16P3G", 42),
};

static const struct oclass_method *
method_find(uint32_t method)
{
    for (size_t i = 0; i < ARRAY_SIZE(oclass_methods); i++) {
        if (oclass_methods[i].method == method)
            return &oclass_methods[i];
    }
    return NULL;
}

static struct placement_oclass
oclass_make(const struct oclass_method *m, uint32_t grp_nr)
{
    return (struct placement_oclass){
        .id = OCLASS_ID(m->method, grp_nr),
        .method = m->method,
        .is_ec = m->is_ec,
        .data = m->data,
        .parity = m->parity,
        .grp_nr = grp_nr,
    };
}

int
placement_oclass_from_id(uint32_t id, struct placement_oclass *ret_oclass)
{
    const struct oclass_method *m = method_find(id >> 24);
    uint32_t grp_nr = id & 0xffffff;

    if (m == NULL || grp_nr == 0 || grp_nr > PLACEMENT_GRP_ALL)
        return CAIRN_ERR(NOSCHEMA);
    *ret_oclass = oclass_make(m, grp_nr);
    return 0;
}

uint32_t
placement_oclass_name2id(const char *name)
{
    if (name == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(oclass_names); i++) {
        if (strcasecmp(oclass_names[i].name, name) == 0)
            return oclass_names[i].id;
    }
    return 0;
}

const char *
placement_oclass_id2name(uint32_t id)
{
    for (size_t i = 0; i < ARRAY_SIZE(oclass_names); i++) {
        if (oclass_names[i].id == id)
            return oclass_names[i].name;
    }
    return NULL;
}

uint32_t
placement_oclass_nr(void)
{
    return ARRAY_SIZE(oclass_names);
}

const char *
placement_oclass_name_at(uint32_t idx)
{
    return idx < ARRAY_SIZE(oclass_names) ? oclass_names[idx].name : NULL;
}

char *
placement_oclass_to_text(uint32_t id, char *buf)
{
    const char *name = placement_oclass_id2name(id);
    struct placement_oclass oclass;
    struct strbuf sb;

    strbuf_init(&sb, buf, PLACEMENT_OCLASS_NAME_BYTES);
    if (name != NULL) {
        strbuf_add_str(&sb, name);
    } else if (placement_oclass_from_id(id, &oclass) != 0) {
        strbuf_add_str(&sb, "UNKNOWN");
    } else if (oclass.grp_nr == PLACEMENT_GRP_ALL) {
        strbuf_add(&sb, "%sX", method_find(oclass.method)->prefix);
    } else {
        strbuf_add(&sb, "%s%u", method_find(oclass.method)->prefix, oclass.grp_nr);
    }
    return buf;
}

uint32_t
placement_oid_type(struct oid oid)
{
    return (uint32_t)(oid.hi >> 56);
}

uint32_t
placement_oid_grp_nr(struct oid oid)
{
    return (uint32_t)(oid.hi >> 32) & 0xffff;
}

uint32_t
placement_oid_oclass(struct oid oid)
{
    return OCLASS_ID(oid.hi >> 48 & 0xff, placement_oid_grp_nr(oid));
}

struct oid
placement_oid_encode(struct oid user, uint32_t otype, uint8_t method, uint32_t grp_nr)
{
    user.hi = (user.hi & UINT32_MAX) | (uint64_t)otype << 56 | (uint64_t)method << 48 |
        (uint64_t)(grp_nr & 0xffff) << 32;
    return user;
}

int
placement_oid_check(struct oid oid)
{
    struct placement_oclass oclass;

    if (placement_oid_type(oid) >= PLACEMENT_OT_NR)
        return CAIRN_ERR(INVAL);
    return placement_oclass_from_id(placement_oid_oclass(oid), &oclass);
}

enum placement_key
placement_otype_dkey(uint32_t otype)
{
    switch (otype) {
    case PLACEMENT_OT_DKEY_UINT64:
    case PLACEMENT_OT_MULTI_UINT64:
    case PLACEMENT_OT_KV_UINT64:
    case PLACEMENT_OT_ARRAY:
    case PLACEMENT_OT_ARRAY_ATTR:
    case PLACEMENT_OT_ARRAY_BYTE:
        return PLACEMENT_KEY_UINT64;
    case PLACEMENT_OT_DKEY_LEXICAL:
    case PLACEMENT_OT_MULTI_LEXICAL:
    case PLACEMENT_OT_KV_LEXICAL:
        return PLACEMENT_KEY_LEXICAL;
    default:
        return PLACEMENT_KEY_HASHED;
    }
}

enum placement_key
placement_otype_akey(uint32_t otype)
{
    switch (otype) {
    case PLACEMENT_OT_AKEY_UINT64:
    case PLACEMENT_OT_MULTI_UINT64:
        return PLACEMENT_KEY_UINT64;
    case PLACEMENT_OT_AKEY_LEXICAL:
    case PLACEMENT_OT_MULTI_LEXICAL:
        return PLACEMENT_KEY_LEXICAL;
    default:
        return PLACEMENT_KEY_HASHED;
    }
}

bool
placement_otype_is_array(uint32_t otype)
{
    return otype == PLACEMENT_OT_ARRAY || otype == PLACEMENT_OT_ARRAY_ATTR ||
        otype == PLACEMENT_OT_ARRAY_BYTE;
}

bool
placement_otype_is_kv(uint32_t otype)
{
    return otype == PLACEMENT_OT_KV_HASHED || otype == PLACEMENT_OT_KV_UINT64 ||
        otype == PLACEMENT_OT_KV_LEXICAL;
}

int
placement_dkey_hash(uint32_t otype, const void *dkey, size_t len, uint64_t *ret_hash)
{
    if (placement_otype_dkey(otype) == PLACEMENT_KEY_UINT64) {
        if (len != sizeof(uint64_t))
            return CAIRN_ERR(INVAL);
        *ret_hash = le64_get(dkey);
        return 0;
    }
    *ret_hash = hash_bytes64(dkey, len, 0);
    return 0;
}

/*
 * Widest erasure code with *parity* for that many fault domains: k data shards need k + 2p domains from k = 4 on (spare room for
 * rebuild), k = 2 what the group has. Parity 3 has no k = 2. NULL when none fits.
 */
static const struct oclass_method *
ec_method_choose(uint32_t parity, uint32_t fdom_nr)
{
    static const uint8_t data[] = {16, 8, 4, 2};

    for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
        uint32_t need = data[i] == 2 ? 2 + parity : data[i] + 2 * parity;

        if (fdom_nr < need)
            continue;
        for (size_t j = 0; j < ARRAY_SIZE(oclass_methods); j++) {
            const struct oclass_method *m = &oclass_methods[j];

            if (m->is_ec && m->data == data[i] && m->parity == parity)
                return m;
        }
    }
    return NULL;
}

static const struct oclass_method *
rp_method(uint32_t copies)
{
    for (size_t i = 0; i < ARRAY_SIZE(oclass_methods); i++) {
        if (!oclass_methods[i].is_ec && oclass_methods[i].parity + 1u == copies)
            return &oclass_methods[i];
    }
    return NULL;
}

/* Method for an object without a class of its own. */
static const struct oclass_method *
method_choose(const struct placement_choice *choice)
{
    const struct oclass_method *m = NULL;
    uint32_t rdd = choice->hints &
        (PLACEMENT_RDD_DEF | PLACEMENT_RDD_NO | PLACEMENT_RDD_RP | PLACEMENT_RDD_EC);
    bool wants_ec = rdd == PLACEMENT_RDD_EC ||
        ((rdd == 0 || rdd == PLACEMENT_RDD_DEF) && placement_otype_is_array(choice->otype));

    if (choice->rd_fac == 0) {
        if (rdd == PLACEMENT_RDD_RP && choice->fdom_nr >= 2)
            return rp_method(2);
        if (rdd == PLACEMENT_RDD_EC)
            m = ec_method_choose(1, choice->fdom_nr);
        return m != NULL ? m : rp_method(1);
    }
    if (wants_ec)
        m = ec_method_choose(choice->rd_fac, choice->fdom_nr);
    return m != NULL ? m : rp_method(choice->rd_fac + 1);
}

/* Groups that fill the pool, less what is kept free so that rd_fac failed domains can be rebuilt. */
static uint32_t
grp_nr_max(const struct placement_choice *choice, uint32_t grp_size)
{
    uint32_t grp_nr = MAX(choice->tgts_nr / grp_size, 1u);
    uint32_t reserve_tgts = choice->rd_fac * (choice->tgts_nr / choice->fdom_nr);
    uint32_t reserve = DIV_UP(reserve_tgts, grp_size);

    if (grp_nr > reserve)
        grp_nr -= reserve;
    return MIN(grp_nr, PLACEMENT_GRP_ALL - 1);
}

/* Groups asked for by the hints; PLACEMENT_GRP_ALL for as many as there is room for. */
static int
grp_nr_hinted(const struct placement_choice *choice, uint32_t *ret_grp_nr)
{
    uint32_t tgts_nr = choice->tgts_nr;

    switch (choice->hints >> 4 << 4) {
    case 0:
    case PLACEMENT_SHD_DEF:
        *ret_grp_nr = placement_otype_is_array(choice->otype) || placement_otype_is_kv(choice->otype)
            ? PLACEMENT_GRP_ALL
            : 1;
        break;
    case PLACEMENT_SHD_TINY:
        *ret_grp_nr = 1;
        break;
    case PLACEMENT_SHD_REG:
        *ret_grp_nr = MAX(128u, (uint32_t)((uint64_t)tgts_nr * 25 / 100));
        break;
    case PLACEMENT_SHD_HI:
        *ret_grp_nr = MAX(256u, (uint32_t)((uint64_t)tgts_nr * 50 / 100));
        break;
    case PLACEMENT_SHD_EXT:
        *ret_grp_nr = MAX(1024u, (uint32_t)((uint64_t)tgts_nr * 70 / 100));
        break;
    case PLACEMENT_SHD_MAX:
        *ret_grp_nr = PLACEMENT_GRP_ALL;
        break;
    default:
        return CAIRN_ERR(INVAL);
    }
    return 0;
}

/* The most copies that the domains allow, one group. */
static const struct oclass_method *
xsf_method(uint32_t fdom_nr)
{
    const struct oclass_method *best = rp_method(1);

    for (size_t i = 0; i < ARRAY_SIZE(oclass_methods); i++) {
        const struct oclass_method *m = &oclass_methods[i];

        if (!m->is_ec && m->parity + 1u <= fdom_nr && m->parity > best->parity)
            best = m;
    }
    return best;
}

static int
oclass_choose_auto(const struct placement_choice *choice, struct placement_oclass *ret_oclass)
{
    const struct oclass_method *m = method_choose(choice);
    uint32_t grp_size = m->data + m->parity;
    uint32_t grp_nr;
    int rc;

    if (grp_size > choice->fdom_nr)
        return CAIRN_ERR(INVAL);
    rc = grp_nr_hinted(choice, &grp_nr);
    if (rc != 0)
        return rc;
    *ret_oclass = oclass_make(m, MIN(grp_nr, grp_nr_max(choice, grp_size)));
    return 0;
}

static int
oclass_choose_given(const struct placement_choice *choice, struct placement_oclass *ret_oclass)
{
    struct placement_oclass oclass;
    uint32_t grp_size;
    int rc;

    if (choice->oclass_id == OCLASS_ID_XSF) {
        oclass = oclass_make(xsf_method(choice->fdom_nr), 1);
    } else {
        rc = placement_oclass_from_id(choice->oclass_id, &oclass);
        if (rc != 0)
            return rc;
    }
    grp_size = placement_oclass_grp_size(&oclass);
    if (grp_size > choice->fdom_nr || oclass.parity < choice->rd_fac)
        return CAIRN_ERR(INVAL);
    if (oclass.grp_nr == PLACEMENT_GRP_ALL) {
        oclass.grp_nr = grp_nr_max(choice, grp_size);
        oclass.id = OCLASS_ID(oclass.method, oclass.grp_nr);
    }
    if ((uint64_t)oclass.grp_nr * grp_size > choice->tgts_nr)
        return CAIRN_ERR(INVAL);
    *ret_oclass = oclass;
    return 0;
}

int
placement_oclass_choose(const struct placement_choice *choice, struct placement_oclass *ret_oclass)
{
    if (choice->otype >= PLACEMENT_OT_NR || choice->rd_fac > PLACEMENT_RD_FAC_MAX ||
        choice->fdom_nr == 0 || choice->tgts_nr < choice->fdom_nr)
        return CAIRN_ERR(INVAL);
    if (choice->oclass_id == 0)
        return oclass_choose_auto(choice, ret_oclass);
    return oclass_choose_given(choice, ret_oclass);
}

void
placement_choice_map(struct placement_choice *choice, const struct poolmap *map, uint32_t rd_lvl)
{
    choice->fdom_nr = poolmap_domains_count(map, rd_lvl, POOLMAP_SERVING);
    choice->tgts_nr = poolmap_tgts_count(map, POOLMAP_SERVING);
}

int
placement_oid_generate(const struct placement_choice *choice, struct oid *oid)
{
    struct placement_oclass oclass;
    int rc;

    rc = placement_oclass_choose(choice, &oclass);
    if (rc != 0)
        return rc;
    *oid = placement_oid_encode(*oid, choice->otype, oclass.method, oclass.grp_nr);
    return 0;
}
