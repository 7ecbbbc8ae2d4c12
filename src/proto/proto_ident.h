/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The identity file of an engine's directory: which installation it belongs to, and as what. The engine writes it (src/engine/engine_dir.c); daos_server reads it
 * before it starts engines, to tell all of them the same system. Bytes: docs/format/identity.md.
 *
 *   IDENT-1  The checksum stands in the last four bytes in every version, so that damage is told from a later format.
 *   IDENT-2  Version 1 held no name: the system's uuid was derived from it. Such a directory keeps that uuid.
 *
 * Tested by test/proto_ident_test.c (golden images, every flipped bit, every length).
 */
#ifndef CAIRN_PROTO_IDENT_H
#define CAIRN_PROTO_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"

enum {
    PROTO_IDENT_BYTES = 96, /* as written */
    PROTO_IDENT_BYTES_MAX = 512, /* of any version: a longer file is damaged */
    PROTO_IDENT_NAME_BYTES = 16, /* with terminator */
    PROTO_IDENT_FORMATTED =
        1, /* flag: every store was formatted once; none is ever formatted again (ENG-7) */
};

struct proto_ident {
    uint32_t rank, tgt_nr;
    uint32_t flags; /* unknown ones are kept */
    uint32_t reserved; /* 0; no padding */
    uint64_t incarnation; /* the last one */
    struct uuid system;
    char name[PROTO_IDENT_NAME_BYTES]; /* of the system; "": version 1 */
};

/** Write PROTO_IDENT_BYTES. The name is terminated. */
void proto_ident_encode(const struct proto_ident *id, uint8_t *buf);
/** Errors: DF_INVAL damaged or no identity; DF_INCOMPT of a later version. */
CAIRN_MUST_CHECK int proto_ident_decode(const uint8_t *buf, size_t len, struct proto_ident *ret_id);
/** Does it belong to a system of this name? (IDENT-2) */
bool proto_ident_has_name(const struct proto_ident *id, const char *name);

#endif
