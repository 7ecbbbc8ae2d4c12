/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A fresh directory for embedded mode, with a pool "tank" in it. */
#ifndef CAIRN_CLIENT_EMBEDDED_H
#define CAIRN_CLIENT_EMBEDDED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/core/client_tools.h"
#include "harness/harness.h"
#include "proto/ctl/ctl.pb-c.h"

static char system_name[300]; /* "embedded:<directory>" */

/* A pool "tank" of that size in a fresh directory. */
static inline bool
pool_make(const char *dir, uint64_t bytes)
{
    Cairn__Ctl__PoolCreateReq create = CAIRN__CTL__POOL_CREATE_REQ__INIT;
    Cairn__Ctl__Property label = CAIRN__CTL__PROPERTY__INIT, *props[] = {&label};
    Cairn__Ctl__Envelope envelope = CAIRN__CTL__ENVELOPE__INIT, *answer;
    uint8_t uuid[16] = {1, 2, 3}, body[256], packed[512];
    char err[512] = "";
    void *rep = NULL;
    size_t len, rep_len;
    bool is_good;

    label.number = 1;
    label.str = (char *)(uintptr_t) "tank";
    create.uuid = (ProtobufCBinaryData){sizeof(uuid), uuid};
    create.properties = props;
    create.n_properties = 1;
    create.total_bytes = bytes;
    len = cairn__ctl__pool_create_req__pack(&create, body);
    envelope.version = 1;
    envelope.id = 1;
    envelope.method = CAIRN__CTL__METHOD__POOL_CREATE;
    envelope.body = (ProtobufCBinaryData){len, body};
    len = cairn__ctl__envelope__pack(&envelope, packed);
    if (!EXPECT_OK(client_embedded_once(dir, packed, len, &rep, &rep_len, err, sizeof(err)))) {
        fprintf(stderr, "    %s\n", err);
        return false;
    }
    answer = cairn__ctl__envelope__unpack(NULL, rep_len, rep);
    is_good = EXPECT(answer != NULL) && EXPECT_OK(answer->rc);
    if (answer != NULL && answer->rc != 0)
        fprintf(stderr, "    %s\n", answer->error);
    cairn__ctl__envelope__free_unpacked(answer, NULL);
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
