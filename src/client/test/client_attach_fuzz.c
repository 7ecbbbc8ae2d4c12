/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: the attach file, the one JSON text that a program reads (docs/format/attach.md). What is taken must be within the limits that the rest
 * of the client relies on, and survive a copy.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "client/core/client.h"
#include "client/core/client_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
sys_check(const struct client_sys *sys)
{
    CAIRN_ASSERT(memchr(sys->name, '\0', sizeof(sys->name)) != NULL);
    CAIRN_ASSERT(sys->rank_nr >= 1 && sys->rank_nr <= CLIENT_RANKS_NR_MAX);
    for (uint32_t i = 0; i < sys->rank_nr; i++) {
        const struct client_rank *rank = &sys->ranks[i];

        CAIRN_ASSERT(rank->rank < UINT32_MAX);
        CAIRN_ASSERT(rank->uri_nr >= 1 && rank->uri_nr <= CLIENT_TAGS_NR_MAX);
        for (uint32_t k = 0; k < rank->uri_nr; k++) {
            CAIRN_ASSERT(memchr(rank->uris[k], '\0', NET_URI_MAX) != NULL);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct client_sys sys = {0}, copy = {0};

    log_level_set(LOG_LEVEL_NONE);
    if (client_sys_parse((const char *)data, len, &sys) != 0)
        return 0;
    sys_check(&sys);
    CAIRN_ASSERT(client_sys_copy(&sys, &copy) == 0);
    sys_check(&copy);
    CAIRN_ASSERT(copy.rank_nr == sys.rank_nr && cuuid_cmp(&copy.uuid, &sys.uuid) == 0);
    for (uint32_t i = 0; i < sys.rank_nr; i++) {
        CAIRN_ASSERT(copy.ranks[i].uri_nr == sys.ranks[i].uri_nr);
        CAIRN_ASSERT(memcmp(copy.ranks[i].uris, sys.ranks[i].uris,
                         sys.ranks[i].uri_nr * sizeof(*sys.ranks[i].uris)) == 0);
    }
    client_sys_fini(&copy);
    client_sys_fini(&sys);
    return 0;
}
