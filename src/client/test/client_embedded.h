/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A fresh directory for embedded mode, with a pool "tank" in it. */
#ifndef CAIRN_CLIENT_EMBEDDED_H
#define CAIRN_CLIENT_EMBEDDED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/core/client_tools.h"
#include "harness/harness.h"
#include "harness/harness_pool.h"

static char system_name[300]; /* "embedded:<directory>" */

/* A pool "tank" of that size in a fresh directory. */
static inline bool
pool_make(const char *dir, uint64_t bytes)
{
    uint8_t packed[POOL_REQUEST_BYTES];
    char err[512] = "";
    void *rep = NULL;
    size_t rep_len;
    bool is_good = EXPECT_OK(client_embedded_once(
        dir, packed, pool_request(bytes, packed), &rep, &rep_len, err, sizeof(err)));

    if (!is_good)
        fprintf(stderr, "    %s\n", err);
    is_good = is_good && EXPECT_OK(pool_answer(rep, rep_len));
    free(rep);
    return is_good;
}

static inline bool
dir_make(const char *module_dir, uint64_t bytes)
{
    setenv("CAIRN_MODULE_DIR", module_dir, 1);
    snprintf(system_name, sizeof(system_name), "embedded:%s/store", test_tmpdir());
    return pool_make(system_name + strlen("embedded:"), bytes);
}

#endif
