/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Handles: cookie = generation << 32 | index << 4 | type (CLI-1). A stale cookie has another generation than its slot; a foreign one has another
 * type. 0 is never valid. Index bits: 28, limited by CLIENT_HANDLES_NR_MAX.
 */
#include "client/core/client_priv.h"

#include "base/assert.h"
#include "base/util.h"

#include <stdlib.h>
#include <string.h>

static int
table_grow(struct daos_client *client)
{
    uint32_t nr = client->hdl_nr == 0 ? 64 : client->hdl_nr * 2;
    struct client_hdl_slot *hdls;

    if (nr > CLIENT_HANDLES_NR_MAX)
        return CAIRN_ERR(OVERFLOW);
    hdls = realloc(client->hdls, nr * sizeof(*hdls));
    if (hdls == NULL)
        return CAIRN_ERR(NOMEM);
    memset(&hdls[client->hdl_nr], 0, (nr - client->hdl_nr) * sizeof(*hdls));
    for (uint32_t i = nr; i > client->hdl_nr; i--) {
        hdls[i - 1].next_free = client->hdl_free;
        client->hdl_free = i;
    }
    client->hdls = hdls;
    client->hdl_nr = nr;
    return 0;
}

int
client_hdl_new(struct daos_client *client, enum client_hdl_type type, void *ptr,
    void (*fini)(void *ptr), uint64_t *ret_cookie)
{
    struct client_hdl_slot *slot;
    uint32_t idx;
    int rc;

    CAIRN_ASSERT(ptr != NULL);
    if (client->hdl_free == 0) {
        rc = table_grow(client);
        if (rc != 0)
            return rc;
    }
    idx = client->hdl_free - 1;
    slot = &client->hdls[idx];
    CAIRN_ASSERT(slot->type == 0);
    client->hdl_free = slot->next_free;
    slot->gen = slot->gen == UINT32_MAX ? 1 : slot->gen + 1;
    slot->type = (uint8_t)type;
    slot->ptr = ptr;
    slot->fini = fini;
    *ret_cookie = (uint64_t)slot->gen << 32 | (uint64_t)idx << 4 | (uint64_t)type;
    return 0;
}

static struct client_hdl_slot *
slot_of(struct daos_client *client, enum client_hdl_type type, uint64_t cookie)
{
    uint32_t idx = (uint32_t)cookie >> 4;

    if ((cookie & 15) != (uint64_t)type || idx >= client->hdl_nr)
        return NULL;
    if (client->hdls[idx].gen != cookie >> 32 || client->hdls[idx].type != type)
        return NULL;
    return &client->hdls[idx];
}

void *
client_hdl_get(struct daos_client *client, enum client_hdl_type type, uint64_t cookie)
{
    struct client_hdl_slot *slot = slot_of(client, type, cookie);

    return slot == NULL ? NULL : slot->ptr;
}

void *
client_hdl_del(struct daos_client *client, enum client_hdl_type type, uint64_t cookie)
{
    struct client_hdl_slot *slot = slot_of(client, type, cookie);
    void *ptr;

    if (slot == NULL)
        return NULL;
    ptr = slot->ptr;
    slot->ptr = NULL;
    slot->type = 0;
    slot->next_free = client->hdl_free;
    client->hdl_free = ((uint32_t)cookie >> 4) + 1;
    return ptr;
}

void
client_hdl_fini_all(struct daos_client *client)
{
    for (uint32_t i = 0; i < client->hdl_nr; i++) {
        struct client_hdl_slot *slot = &client->hdls[i];

        if (slot->type == 0)
            continue;
        slot->type = 0;
        slot->fini(slot->ptr);
    }
}
