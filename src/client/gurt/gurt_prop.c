/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Property lists (daos_prop.h): memory, copies, and container properties from text. */
#include "client/gurt/gurt.h"

#include <daos_prop.h>
#include <daos_security.h>
#include <errno.h>
#include <gurt/common.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* Longest text of a property value. */
#define PROP_STR_LEN_MAX 4096

bool
daos_prop_has_str(struct daos_prop_entry *entry)
{
    switch (entry->dpe_type) {
    case DAOS_PROP_PO_LABEL:
    case DAOS_PROP_PO_OWNER:
    case DAOS_PROP_PO_OWNER_GROUP:
    case DAOS_PROP_CO_LABEL:
    case DAOS_PROP_CO_OWNER:
    case DAOS_PROP_CO_OWNER_GROUP:
        return true;
    default:
        return false;
    }
}

bool
daos_prop_has_ptr(struct daos_prop_entry *entry)
{
    switch (entry->dpe_type) {
    case DAOS_PROP_PO_ACL:
    case DAOS_PROP_PO_SVC_LIST:
    case DAOS_PROP_CO_ACL:
    case DAOS_PROP_CO_ROOTS:
        return true;
    default:
        return false;
    }
}

bool
daos_prop_has_byteval(struct daos_prop_entry *entry)
{
    (void)entry; /* No property has bytes yet. */
    return false;
}

daos_prop_t *
daos_prop_alloc(uint32_t entries_nr)
{
    daos_prop_t *prop;

    if (entries_nr > DAOS_PROP_ENTRIES_MAX_NR)
        return NULL;
    prop = calloc(1, sizeof(*prop));
    if (prop == NULL || entries_nr == 0)
        return prop;
    prop->dpp_entries = calloc(entries_nr, sizeof(prop->dpp_entries[0]));
    if (prop->dpp_entries == NULL) {
        free(prop);
        return NULL;
    }
    prop->dpp_nr = entries_nr;
    return prop;
}

void
gurt_prop_entry_clear(struct daos_prop_entry *entry)
{
    if (daos_prop_has_str(entry)) {
        free(entry->dpe_str);
    } else if (entry->dpe_type == DAOS_PROP_PO_SVC_LIST) {
        d_rank_list_free(entry->dpe_val_ptr);
    } else if (daos_prop_has_ptr(entry))
        free(entry->dpe_val_ptr);
    entry->dpe_val = 0;
}

void
daos_prop_fini(daos_prop_t *prop)
{
    if (prop == NULL)
        return;
    for (uint32_t i = 0; prop->dpp_entries != NULL && i < prop->dpp_nr; i++) {
        gurt_prop_entry_clear(&prop->dpp_entries[i]);
    }
    free(prop->dpp_entries);
    prop->dpp_entries = NULL;
    prop->dpp_nr = 0;
}

void
daos_prop_free(daos_prop_t *prop)
{
    daos_prop_fini(prop);
    free(prop);
}

struct daos_prop_entry *
daos_prop_entry_get(daos_prop_t *prop, uint32_t type)
{
    for (uint32_t i = 0; prop != NULL && prop->dpp_entries != NULL && i < prop->dpp_nr; i++) {
        if (prop->dpp_entries[i].dpe_type == type)
            return &prop->dpp_entries[i];
    }
    return NULL;
}

int
daos_prop_entry_set_str(struct daos_prop_entry *entry, const char *str, daos_size_t len)
{
    char *copy;

    if (entry == NULL || str == NULL || len == 0 || !daos_prop_has_str(entry))
        return -DER_INVAL;
    copy = strndup(str, len);
    if (copy == NULL)
        return -DER_NOMEM;
    free(entry->dpe_str);
    entry->dpe_str = copy;
    return 0;
}

int
daos_prop_set_str(daos_prop_t *prop, uint32_t type, const char *str, daos_size_t len)
{
    struct daos_prop_entry *entry = daos_prop_entry_get(prop, type);

    return entry == NULL ? -DER_NONEXIST : daos_prop_entry_set_str(entry, str, len);
}

int
daos_prop_entry_set_ptr(struct daos_prop_entry *entry, const void *ptr, daos_size_t size)
{
    void *copy;

    if (entry == NULL || ptr == NULL || size == 0 || !daos_prop_has_ptr(entry) ||
        entry->dpe_type == DAOS_PROP_PO_SVC_LIST)
        return -DER_INVAL;
    copy = malloc(size);
    if (copy == NULL)
        return -DER_NOMEM;
    memcpy(copy, ptr, size);
    free(entry->dpe_val_ptr);
    entry->dpe_val_ptr = copy;
    return 0;
}

int
daos_prop_set_ptr(daos_prop_t *prop, uint32_t type, const void *ptr, daos_size_t size)
{
    struct daos_prop_entry *entry = daos_prop_entry_get(prop, type);

    return entry == NULL ? -DER_NONEXIST : daos_prop_entry_set_ptr(entry, ptr, size);
}

int
daos_prop_entry_dup_ptr(
    struct daos_prop_entry *entry_dst, struct daos_prop_entry *entry_src, size_t len)
{
    void *copy;

    if (entry_dst == NULL || entry_src == NULL || entry_src->dpe_val_ptr == NULL || len == 0)
        return -DER_INVAL;
    copy = malloc(len);
    if (copy == NULL)
        return -DER_NOMEM;
    memcpy(copy, entry_src->dpe_val_ptr, len);
    entry_dst->dpe_val_ptr = copy;
    return 0;
}

int
daos_prop_entry_set_byteval(struct daos_prop_entry *entry, const void *data, size_t len)
{
    (void)data;
    (void)len;
    return entry == NULL || !daos_prop_has_byteval(entry) ? -DER_INVAL : -DER_NOSYS;
}

int
daos_prop_set_byteval(daos_prop_t *prop, uint32_t type, const void *data, size_t len)
{
    struct daos_prop_entry *entry = daos_prop_entry_get(prop, type);

    return entry == NULL ? -DER_NONEXIST : daos_prop_entry_set_byteval(entry, data, len);
}

int
daos_prop_entry_dup_byteval(struct daos_prop_entry *entry_dst, struct daos_prop_entry *entry_src)
{
    if (entry_dst == NULL || entry_src == NULL || !daos_prop_has_byteval(entry_src))
        return -DER_INVAL;
    return -DER_NOSYS;
}

int
daos_prop_entry_dup_co_roots(struct daos_prop_entry *dst, struct daos_prop_entry *src)
{
    return daos_prop_entry_dup_ptr(dst, src, sizeof(struct daos_prop_co_roots));
}

int
daos_prop_entry_cmp_acl(struct daos_prop_entry *entry1, struct daos_prop_entry *entry2)
{
    ssize_t size1 = daos_acl_get_size(entry1->dpe_val_ptr);
    ssize_t size2 = daos_acl_get_size(entry2->dpe_val_ptr);

    if (size1 < 0 && size2 < 0)
        return 0;
    if (size1 != size2 || memcmp(entry1->dpe_val_ptr, entry2->dpe_val_ptr, (size_t)size1) != 0)
        return -DER_MISMATCH;
    return 0;
}

/* Copy a structure; the source is not NULL. */
static int
ptr_copy(struct daos_prop_entry *dst, const struct daos_prop_entry *src)
{
    struct daos_prop_entry *from = (struct daos_prop_entry *)(uintptr_t)src; /* only read */
    d_rank_list_t *ranks = NULL;
    ssize_t bytes;
    int rc;

    switch (src->dpe_type) {
    case DAOS_PROP_PO_SVC_LIST:
        rc = d_rank_list_dup(&ranks, src->dpe_val_ptr);
        if (rc == 0)
            dst->dpe_val_ptr = ranks;
        return rc;
    case DAOS_PROP_CO_ROOTS:
        return daos_prop_entry_dup_co_roots(dst, from);
    default:
        bytes = daos_acl_get_size(src->dpe_val_ptr);
        return bytes < 0 ? (int)bytes : daos_prop_entry_dup_ptr(dst, from, (size_t)bytes);
    }
}

int
gurt_prop_entry_copy(struct daos_prop_entry *dst, const struct daos_prop_entry *src)
{
    struct daos_prop_entry *from = (struct daos_prop_entry *)(uintptr_t)src; /* only read */
    struct daos_prop_entry copy = {.dpe_type = src->dpe_type, .dpe_flags = src->dpe_flags};
    int rc = 0;

    if (daos_prop_has_str(from)) {
        if (src->dpe_str != NULL)
            rc = daos_prop_entry_set_str(&copy, src->dpe_str, PROP_STR_LEN_MAX);
    } else if (daos_prop_has_ptr(from)) {
        if (src->dpe_val_ptr != NULL)
            rc = ptr_copy(&copy, src);
    } else {
        copy.dpe_val = src->dpe_val;
    }
    if (rc == 0)
        *dst = copy;
    return rc;
}

int
gurt_prop_dup(const daos_prop_t *prop, daos_prop_t **ret_prop)
{
    daos_prop_t *copy;
    int rc = 0;

    if (prop == NULL) {
        *ret_prop = NULL;
        return 0;
    }
    if (prop->dpp_nr > DAOS_PROP_ENTRIES_MAX_NR || (prop->dpp_nr > 0 && prop->dpp_entries == NULL))
        return CAIRN_ERR(INVAL);
    copy = daos_prop_alloc(prop->dpp_nr);
    if (copy == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < prop->dpp_nr && rc == 0; i++) {
        rc = gurt_prop_entry_copy(&copy->dpp_entries[i], &prop->dpp_entries[i]);
    }
    if (rc != 0) {
        daos_prop_free(copy);
        return rc;
    }
    *ret_prop = copy;
    return 0;
}

int
daos_prop_merge2(daos_prop_t *old_prop, daos_prop_t *new_prop, daos_prop_t **out_prop)
{
    daos_prop_t *merged = NULL;
    uint32_t nr = 0;
    int rc = 0;

    if (out_prop == NULL || (old_prop == NULL && new_prop == NULL))
        return -DER_INVAL;
    if (old_prop == NULL || new_prop == NULL)
        return gurt_prop_dup(old_prop == NULL ? new_prop : old_prop, out_prop);
    if ((uint64_t)old_prop->dpp_nr + new_prop->dpp_nr > 2 * DAOS_PROP_ENTRIES_MAX_NR)
        return -DER_INVAL;
    for (uint32_t i = 0; i < old_prop->dpp_nr; i++) {
        nr += daos_prop_entry_get(new_prop, old_prop->dpp_entries[i].dpe_type) == NULL;
    }
    if (nr + new_prop->dpp_nr > DAOS_PROP_ENTRIES_MAX_NR)
        return -DER_INVAL;
    merged = daos_prop_alloc(nr + new_prop->dpp_nr);
    if (merged == NULL)
        return -DER_NOMEM;
    nr = 0;
    for (uint32_t i = 0; i < old_prop->dpp_nr && rc == 0; i++) {
        if (daos_prop_entry_get(new_prop, old_prop->dpp_entries[i].dpe_type) == NULL)
            rc = gurt_prop_entry_copy(&merged->dpp_entries[nr++], &old_prop->dpp_entries[i]);
    }
    for (uint32_t i = 0; i < new_prop->dpp_nr && rc == 0; i++) {
        rc = gurt_prop_entry_copy(&merged->dpp_entries[nr++], &new_prop->dpp_entries[i]);
    }
    if (rc != 0) {
        daos_prop_free(merged);
        return rc;
    }
    *out_prop = merged;
    return 0;
}

daos_prop_t *
daos_prop_merge(daos_prop_t *old_prop, daos_prop_t *new_prop)
{
    daos_prop_t *merged = NULL;

    return daos_prop_merge2(old_prop, new_prop, &merged) == 0 ? merged : NULL;
}

/* Words of a property's values; the position is the value. */
struct prop_words {
    const char *const *words;
    uint32_t nr;
};

static const char *const csum_words[] = {
    "off", "crc16", "crc32", "crc64", "sha1", "sha256", "sha512", "adler32"};
static const char *const on_off_words[] = {"off", "on"};
static const char *const dedup_words[] = {"off", "memcmp", "hash"};
static const char *const compress_words[] = {
    "off", "lz4", "deflate", "deflate1", "deflate2", "deflate3", "deflate4"};
static const char *const encrypt_words[] = {"off", "aes-xts128", "aes-xts256", "aes-cbc128",
    "aes-cbc192", "aes-cbc256", "aes-gcm128", "aes-gcm256"};

#define PROP_WORDS(array) \
    { \
        array, ARRAY_SIZE(array) \
    }
#define PROP_NUMBER \
    { \
        NULL, 0 \
    }

/* Container properties with a name. Those marked read only are shown, not set from text. The first name of a type is the current one. */
static const struct {
    const char *name;
    uint32_t type;
    bool is_read_only;
    struct prop_words words;
    uint64_t max;
} prop_names[] = {
    {"label", DAOS_PROP_CO_LABEL, false, PROP_NUMBER, 0},
    {"cksum", DAOS_PROP_CO_CSUM, false, PROP_WORDS(csum_words), 0},
    {"cksum_size", DAOS_PROP_CO_CSUM_CHUNK_SIZE, false, PROP_NUMBER, UINT64_MAX},
    {"srv_cksum", DAOS_PROP_CO_CSUM_SERVER_VERIFY, false, PROP_WORDS(on_off_words), 0},
    {"dedup", DAOS_PROP_CO_DEDUP, false, PROP_WORDS(dedup_words), 0},
    {"dedup_threshold", DAOS_PROP_CO_DEDUP_THRESHOLD, false, PROP_NUMBER, UINT64_MAX},
    {"compression", DAOS_PROP_CO_COMPRESS, false, PROP_WORDS(compress_words), 0},
    {"encryption", DAOS_PROP_CO_ENCRYPT, false, PROP_WORDS(encrypt_words), 0},
    {"rd_fac", DAOS_PROP_CO_REDUN_FAC, false, PROP_NUMBER, DAOS_RF_MAX},
    {"rf", DAOS_PROP_CO_REDUN_FAC, false, PROP_NUMBER, DAOS_RF_MAX},
    {"ec_cell_sz", DAOS_PROP_CO_EC_CELL_SZ, false, PROP_NUMBER, DAOS_PROP_PO_EC_CELL_SZ_MAX},
    {"ec_pda", DAOS_PROP_CO_EC_PDA, false, PROP_NUMBER, UINT32_MAX},
    {"rp_pda", DAOS_PROP_CO_RP_PDA, false, PROP_NUMBER, UINT32_MAX},
    {"perf_domain", DAOS_PROP_CO_PERF_DOMAIN, false, PROP_NUMBER, DAOS_PROP_PERF_DOMAIN_ROOT},
    {"scrubber_disabled", DAOS_PROP_CO_SCRUBBER_DISABLED, false, PROP_WORDS(on_off_words), 0},
    {"rd_lvl", DAOS_PROP_CO_REDUN_LVL, true, PROP_NUMBER, 0},
    {"rf_lvl", DAOS_PROP_CO_REDUN_LVL, true, PROP_NUMBER, 0},
    {"status", DAOS_PROP_CO_STATUS, true, PROP_NUMBER, 0},
    {"health", DAOS_PROP_CO_STATUS, true, PROP_NUMBER, 0},
    {"layout_type", DAOS_PROP_CO_LAYOUT_TYPE, true, PROP_NUMBER, 0},
    {"layout_version", DAOS_PROP_CO_LAYOUT_VER, true, PROP_NUMBER, 0},
    {"max_snapshot", DAOS_PROP_CO_SNAPSHOT_MAX, true, PROP_NUMBER, 0},
    {"alloc_oid", DAOS_PROP_CO_ALLOCED_OID, true, PROP_NUMBER, 0},
    {"owner", DAOS_PROP_CO_OWNER, true, PROP_NUMBER, 0},
    {"group", DAOS_PROP_CO_OWNER_GROUP, true, PROP_NUMBER, 0},
    {"global_version", DAOS_PROP_CO_GLOBAL_VERSION, true, PROP_NUMBER, 0},
    {"obj_version", DAOS_PROP_CO_OBJ_VERSION, true, PROP_NUMBER, 0},
    {"acl", DAOS_PROP_CO_ACL, true, PROP_NUMBER, 0},
    {"root_oids", DAOS_PROP_CO_ROOTS, true, PROP_NUMBER, 0},
};

const char *
gurt_prop_name(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_SIZE(prop_names); i++) {
        if (prop_names[i].type == type)
            return prop_names[i].name;
    }
    return NULL;
}

static size_t
name_idx(const char *name)
{
    size_t i = 0;

    while (i < ARRAY_SIZE(prop_names) && strcmp(prop_names[i].name, name) != 0) {
        i++;
    }
    return i;
}

uint32_t
gurt_prop_from_name(const char *name)
{
    size_t i = name_idx(name);

    return i < ARRAY_SIZE(prop_names) ? prop_names[i].type : 0;
}

static int
number_parse(const char *value, uint64_t max, uint64_t *ret)
{
    unsigned long long number;
    char *end;

    if (value[0] < '0' || value[0] > '9')
        return CAIRN_ERR(INVAL);
    errno = 0;
    number = strtoull(value, &end, 0);
    if (errno != 0 || *end != '\0' || number > max)
        return CAIRN_ERR(INVAL);
    *ret = number;
    return 0;
}

static int
word_parse(const char *value, const struct prop_words *words, uint64_t *ret)
{
    for (uint32_t i = 0; i < words->nr; i++) {
        if (strcmp(words->words[i], value) == 0) {
            *ret = i;
            return 0;
        }
    }
    return CAIRN_ERR(INVAL);
}

int
gurt_prop_entry_parse(struct daos_prop_entry *entry, const char *name, const char *value)
{
    struct daos_prop_entry parsed = {0};
    size_t i = name_idx(name);
    int rc;

    if (i == ARRAY_SIZE(prop_names) || prop_names[i].is_read_only)
        return CAIRN_ERR(INVAL);
    parsed.dpe_type = prop_names[i].type;
    if (parsed.dpe_type == DAOS_PROP_CO_LABEL) {
        if (!daos_label_is_valid(value))
            return CAIRN_ERR(INVAL);
        rc = daos_prop_entry_set_str(&parsed, value, DAOS_PROP_LABEL_MAX_LEN);
    } else if (prop_names[i].words.words != NULL) {
        rc = word_parse(value, &prop_names[i].words, &parsed.dpe_val);
    } else {
        rc = number_parse(value, prop_names[i].max, &parsed.dpe_val);
    }
    if (rc == 0)
        *entry = parsed;
    return rc;
}

/* "name:value;name:value" cut in place; the number of pairs, or with *prop* the entries. */
static int
pairs_parse(char *text, daos_prop_t *prop, uint32_t *ret_nr)
{
    char *save = NULL;
    uint32_t nr = 0;

    for (char *pair = strtok_r(text, ";", &save); pair != NULL; pair = strtok_r(NULL, ";", &save)) {
        char *colon = strchr(pair, ':');
        int rc;

        if (colon == NULL || nr == DAOS_PROP_ENTRIES_MAX_NR)
            return CAIRN_ERR(INVAL);
        *colon = '\0';
        rc = gurt_prop_entry_parse(&prop->dpp_entries[nr], pair, colon + 1);
        if (rc != 0)
            return rc;
        nr++;
    }
    *ret_nr = nr;
    return nr == 0 ? CAIRN_ERR(INVAL) : 0;
}

int
daos_prop_from_str(const char *str, daos_size_t len, daos_prop_t **prop)
{
    daos_prop_t *parsed = NULL;
    char *text = NULL;
    uint32_t nr = 0;
    int rc;

    if (str == NULL || len == 0 || prop == NULL)
        return -DER_INVAL;
    text = strndup(str, len);
    parsed = daos_prop_alloc(DAOS_PROP_ENTRIES_MAX_NR);
    if (text == NULL || parsed == NULL) {
        rc = -DER_NOMEM;
        goto out;
    }
    rc = pairs_parse(text, parsed, &nr);
    if (rc != 0)
        goto out;
    parsed->dpp_nr = nr;
    *prop = parsed;
    parsed = NULL;
out:
    free(text);
    daos_prop_free(parsed);
    return rc;
}
