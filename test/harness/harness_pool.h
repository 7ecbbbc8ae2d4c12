/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The control message that makes the pool "tank", for tests that hand it to an engine in one way or another. */
#ifndef CAIRN_HARNESS_POOL_H
#define CAIRN_HARNESS_POOL_H

#include <stdio.h>

#include "base/err.h"
#include "proto/ctl/ctl.pb-c.h"

enum { POOL_REQUEST_BYTES = 512 };

/** Into `packed`; its length. `bytes`: of both tiers on all ranks. */
static inline size_t
pool_request(uint64_t bytes, uint8_t packed[POOL_REQUEST_BYTES])
{
    Cairn__Ctl__PoolCreateReq create = CAIRN__CTL__POOL_CREATE_REQ__INIT;
    Cairn__Ctl__Property label = CAIRN__CTL__PROPERTY__INIT, *props[] = {&label};
    Cairn__Ctl__Envelope envelope = CAIRN__CTL__ENVELOPE__INIT;
    uint8_t uuid[16] = {1, 2, 3}, body[256];

    label.number = 1;
    label.str = (char *)(uintptr_t) "tank";
    create.uuid = (ProtobufCBinaryData){sizeof(uuid), uuid};
    create.properties = props;
    create.n_properties = 1;
    create.total_bytes = bytes;
    envelope.version = 1;
    envelope.id = 1;
    envelope.method = CAIRN__CTL__METHOD__POOL_CREATE;
    envelope.body = (ProtobufCBinaryData){cairn__ctl__pool_create_req__pack(&create, body), body};
    return cairn__ctl__envelope__pack(&envelope, packed);
}

/** What the engine's answer says; what it told of an error goes to standard error. */
static inline int
pool_answer(const void *rep, size_t len)
{
    Cairn__Ctl__Envelope *answer = cairn__ctl__envelope__unpack(NULL, len, rep);
    int rc = answer == NULL ? -DER_PROTO : answer->rc;

    if (answer != NULL && rc != 0)
        (void)fprintf(stderr, "    %s\n", answer->error);
    cairn__ctl__envelope__free_unpacked(answer, NULL);
    return rc;
}

#endif
