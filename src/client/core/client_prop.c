/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Properties of the API to messages and back (client_prop.h). Tested by test/client. */
#include "client/core/client_prop.h"

#include "base/codec.h"
#include "base/util.h"
#include "daos_security.h"

#include <stdlib.h>
#include <string.h>

enum { ROOTS_BYTES = 64 };

static bool
is_label(uint32_t type)
{
    return type == DAOS_PROP_PO_LABEL || type == DAOS_PROP_CO_LABEL;
}

static bool
is_acl(uint32_t type)
{
    return type == DAOS_PROP_PO_ACL || type == DAOS_PROP_CO_ACL;
}

static int
str_encode(const struct daos_prop_entry *entry, struct proto_prop *prop)
{
    size_t len;

    if (entry->dpe_str == NULL)
        return CAIRN_ERR(INVAL);
    if (is_label(entry->dpe_type) && !daos_label_is_valid(entry->dpe_str))
        return CAIRN_ERR(INVAL);
    len = strnlen(entry->dpe_str, PROTO_PROP_BYTES_MAX + 1);
    if (len > PROTO_PROP_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    prop->bytes = (struct iov){.buf = entry->dpe_str, .len = len};
    return 0;
}

static int
roots_encode(const struct daos_prop_entry *entry, struct arena *arena, struct proto_prop *prop)
{
    const struct daos_prop_co_roots *roots = entry->dpe_val_ptr;
    uint8_t *bytes = arena_alloc(arena, ROOTS_BYTES);

    if (roots == NULL)
        return CAIRN_ERR(INVAL);
    if (bytes == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < ARRAY_SIZE(roots->cr_oids); i++) {
        le64_put(bytes + i * 16, roots->cr_oids[i].lo);
        le64_put(bytes + i * 16 + 8, roots->cr_oids[i].hi);
    }
    prop->bytes = (struct iov){.buf = bytes, .len = ROOTS_BYTES};
    return 0;
}

static int
acl_encode(const struct daos_prop_entry *entry, struct proto_prop *prop)
{
    struct daos_acl *acl = entry->dpe_val_ptr;

    if (acl == NULL || acl->dal_len > PROTO_PROP_BYTES_MAX - sizeof(*acl))
        return CAIRN_ERR(INVAL);
    prop->bytes = (struct iov){.buf = acl, .len = sizeof(*acl) + acl->dal_len};
    return 0;
}

static int
entry_encode(struct daos_prop_entry *entry, bool is_cont, struct arena *arena, struct proto_prop *prop)
{
    uint32_t lo = is_cont ? DAOS_PROP_CO_MIN : DAOS_PROP_PO_MIN;
    uint32_t hi = is_cont ? DAOS_PROP_CO_MAX : DAOS_PROP_PO_MAX;

    if (entry->dpe_type <= lo || entry->dpe_type >= hi)
        return CAIRN_ERR(INVAL);
    prop->type = entry->dpe_type;
    if (daos_prop_has_str(entry))
        return str_encode(entry, prop);
    if (entry->dpe_type == DAOS_PROP_CO_ROOTS)
        return roots_encode(entry, arena, prop);
    if (is_acl(entry->dpe_type))
        return acl_encode(entry, prop);
    if (daos_prop_has_ptr(entry))
        return CAIRN_ERR(INVAL); /* read only */
    prop->num = entry->dpe_val;
    return 0;
}

int
client_prop_encode(
    const daos_prop_t *prop, bool is_cont, struct arena *arena, struct proto_array *ret_props)
{
    struct proto_prop *items;
    uint32_t nr = 0;

    if (prop == NULL || prop->dpp_nr == 0) {
        *ret_props = (struct proto_array){0};
        return 0;
    }
    if (prop->dpp_nr > DAOS_PROP_ENTRIES_MAX_NR || prop->dpp_entries == NULL)
        return CAIRN_ERR(INVAL);
    items = arena_calloc(arena, prop->dpp_nr + 1, sizeof(*items)); /* room for a label */
    if (items == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < prop->dpp_nr; i++) {
        int rc;

        if (!daos_prop_is_set(&prop->dpp_entries[i]))
            continue;
        rc = entry_encode(&prop->dpp_entries[i], is_cont, arena, &items[nr]);
        if (rc != 0)
            return rc;
        for (uint32_t k = 0; k < nr; k++) {
            if (items[k].type == items[nr].type)
                return CAIRN_ERR(INVAL);
        }
        nr++;
    }
    *ret_props = (struct proto_array){.nr = nr, .items = items};
    return 0;
}

static int
roots_decode(const struct proto_prop *prop, struct daos_prop_entry *entry)
{
    struct daos_prop_co_roots *roots;
    const uint8_t *bytes = prop->bytes.buf;

    if (prop->bytes.len != ROOTS_BYTES)
        return CAIRN_ERR(PROTO);
    roots = calloc(1, sizeof(*roots));
    if (roots == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < ARRAY_SIZE(roots->cr_oids); i++) {
        roots->cr_oids[i].lo = le64_get(bytes + i * 16);
        roots->cr_oids[i].hi = le64_get(bytes + i * 16 + 8);
    }
    entry->dpe_val_ptr = roots;
    return 0;
}

static int
acl_decode(const struct proto_prop *prop, struct daos_prop_entry *entry)
{
    struct daos_acl *acl;

    if (prop->bytes.len < sizeof(*acl))
        return CAIRN_ERR(PROTO);
    acl = malloc(prop->bytes.len);
    if (acl == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(acl, prop->bytes.buf, prop->bytes.len);
    if (acl->dal_len != prop->bytes.len - sizeof(*acl)) {
        free(acl);
        return CAIRN_ERR(PROTO);
    }
    entry->dpe_val_ptr = acl;
    return 0;
}

/* One u32 for each rank. */
static int
ranks_decode(const struct proto_prop *prop, struct daos_prop_entry *entry)
{
    size_t nr = prop->bytes.len / 4;
    d_rank_list_t *ranks = calloc(1, sizeof(*ranks));

    if (ranks == NULL)
        return CAIRN_ERR(NOMEM);
    ranks->rl_ranks = calloc(nr + 1, sizeof(*ranks->rl_ranks));
    if (ranks->rl_ranks == NULL) {
        free(ranks);
        return CAIRN_ERR(NOMEM);
    }
    ranks->rl_nr = (uint32_t)nr;
    for (size_t i = 0; i < nr; i++) {
        ranks->rl_ranks[i] = le32_get((const uint8_t *)prop->bytes.buf + i * 4);
    }
    entry->dpe_val_ptr = ranks;
    return 0;
}

static int
entry_decode(const struct proto_prop *prop, struct daos_prop_entry *entry)
{
    entry->dpe_type = prop->type;
    entry->dpe_flags = 0;
    if (daos_prop_has_str(entry)) {
        entry->dpe_str = strndup(prop->bytes.len == 0 ? "" : prop->bytes.buf, prop->bytes.len);
        return entry->dpe_str == NULL ? CAIRN_ERR(NOMEM) : 0;
    }
    if (daos_prop_has_ptr(entry) && prop->bytes.len == 0) {
        entry->dpe_flags = DAOS_PROP_ENTRY_NOT_SET;
        entry->dpe_val_ptr = NULL;
        return 0;
    }
    if (entry->dpe_type == DAOS_PROP_CO_ROOTS)
        return roots_decode(prop, entry);
    if (is_acl(entry->dpe_type))
        return acl_decode(prop, entry);
    if (entry->dpe_type == DAOS_PROP_PO_SVC_LIST)
        return ranks_decode(prop, entry);
    if (daos_prop_has_ptr(entry)) {
        entry->dpe_flags = DAOS_PROP_ENTRY_NOT_SET;
        entry->dpe_val_ptr = NULL;
        return 0;
    }
    entry->dpe_val = prop->num;
    return 0;
}

static const struct proto_prop *
prop_find(const struct proto_array *props, uint32_t type)
{
    const struct proto_prop *items = props->items;

    for (uint32_t i = 0; i < props->nr; i++) {
        if (items[i].type == type)
            return &items[i];
    }
    return NULL;
}

int
client_prop_decode(const struct proto_array *props, daos_prop_t *prop)
{
    const struct proto_prop *items = props->items;
    int rc = 0;

    if (prop->dpp_nr == 0) {
        if (props->nr == 0)
            return 0;
        prop->dpp_entries = calloc(props->nr, sizeof(*prop->dpp_entries));
        if (prop->dpp_entries == NULL)
            return CAIRN_ERR(NOMEM);
        prop->dpp_nr = props->nr;
        for (uint32_t i = 0; i < props->nr; i++) {
            prop->dpp_entries[i].dpe_type = items[i].type;
        }
    }
    for (uint32_t i = 0; rc == 0 && i < prop->dpp_nr; i++) {
        struct daos_prop_entry *entry = &prop->dpp_entries[i];
        const struct proto_prop *item = prop_find(props, entry->dpe_type);

        entry->dpe_val = 0;
        entry->dpe_flags = DAOS_PROP_ENTRY_NOT_SET;
        if (item != NULL)
            rc = entry_decode(item, entry);
    }
    return rc;
}

uint64_t
client_prop_num(const struct proto_array *props, uint32_t type, uint64_t def)
{
    const struct proto_prop *prop = prop_find(props, type);

    return prop == NULL ? def : prop->num;
}
