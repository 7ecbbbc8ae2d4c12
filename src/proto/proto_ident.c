/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See proto_ident.h. */
#include "proto/proto_ident.h"

#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/hash.h"

enum { IDENT_VERSION = 2, IDENT_V1_BYTES = 64, IDENT_HEAD_BYTES = 12, IDENT_CRC_BYTES = 4 };
static const char ident_magic[8] = {'C', 'R', 'N', 'E', 'N', 'G', 'I', 'D'};

void
proto_ident_encode(const struct proto_ident *id, uint8_t *buf)
{
    memset(buf, 0, PROTO_IDENT_BYTES);
    memcpy(buf, ident_magic, sizeof(ident_magic));
    le32_put(buf + 8, IDENT_VERSION);
    le32_put(buf + 12, id->rank);
    le32_put(buf + 16, id->tgt_nr);
    le32_put(buf + 20, id->flags);
    le64_put(buf + 24, id->incarnation);
    memcpy(buf + 32, id->system.b, sizeof(id->system.b));
    memcpy(buf + 48, id->name, strlen(id->name));
    le32_put(buf + 92, crc32c(0, buf, 92));
}

int
proto_ident_decode(const uint8_t *buf, size_t len, struct proto_ident *ret_id)
{
    struct proto_ident id = {0};
    uint32_t version;

    if (len < IDENT_HEAD_BYTES + IDENT_CRC_BYTES || len > PROTO_IDENT_BYTES_MAX ||
        memcmp(buf, ident_magic, sizeof(ident_magic)) != 0)
        return CAIRN_ERR(DF_INVAL);
    if (le32_get(buf + len - IDENT_CRC_BYTES) != crc32c(0, buf, len - IDENT_CRC_BYTES))
        return CAIRN_ERR(DF_INVAL);
    version = le32_get(buf + 8);
    if (version > IDENT_VERSION)
        return CAIRN_ERR(DF_INCOMPT);
    if (len != (version == 1 ? IDENT_V1_BYTES : PROTO_IDENT_BYTES) || version == 0)
        return CAIRN_ERR(DF_INVAL);
    id.rank = le32_get(buf + 12);
    id.tgt_nr = le32_get(buf + 16);
    id.flags = le32_get(buf + 20);
    id.incarnation = le64_get(buf + 24);
    memcpy(id.system.b, buf + 32, sizeof(id.system.b));
    if (version > 1) {
        memcpy(id.name, buf + 48, sizeof(id.name));
        if (id.name[0] == '\0' || id.name[sizeof(id.name) - 1] != '\0')
            return CAIRN_ERR(DF_INVAL);
    }
    *ret_id = id;
    return 0;
}

bool
proto_ident_has_name(const struct proto_ident *id, const char *name)
{
    struct uuid nil = {{0}}, derived = cuuid_derive(&nil, hash_str64(name));

    if (id->name[0] == '\0')
        return cuuid_cmp(&id->system, &derived) == 0;
    return strcmp(id->name, name) == 0;
}
