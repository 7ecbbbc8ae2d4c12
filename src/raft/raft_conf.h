/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Who is a member of a group of Raft, and as what. Ours: a small value; the library's: a list of ids with addresses. The address of a member is its id in decimal: the library wants
 * one, and nothing here looks at it.
 *
 *   RFT-1  Bytes of a configuration, from a message or a log, are checked before the library sees them: it decodes them without looking at their length.
 *
 * Tested by test/raft_msg_test.c, fuzzed with the messages (test/raft_msg_fuzz.c).
 */
#ifndef CAIRN_RAFT_CONF_H
#define CAIRN_RAFT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct raft_configuration; /* the library's */

enum {
    RAFT_MEMBERS_NR_MAX = 16,
    RAFT_CONF_BYTES_MAX = 1024, /* of a configuration as the library writes it */
    RAFT_ADDRESS_BYTES_MAX = 24,
};

/* The library's numbers. */
enum raft_role {
    RAFT_ROLE_STANDBY = 0, /* gets the log, does not vote */
    RAFT_ROLE_VOTER = 1,
    RAFT_ROLE_SPARE = 2, /* is known, gets nothing */
};

struct raft_member {
    uint64_t id; /* not 0 */
    uint8_t role;
};

struct raft_conf {
    uint32_t nr;
    struct raft_member members[RAFT_MEMBERS_NR_MAX];
};

/** Ids differ and are not 0, roles are known, there is a voter. Errors: PROTO. */
CAIRN_MUST_CHECK int raft_conf_check(const struct raft_conf *conf);
/** The place of a member; nr: it is none. */
uint32_t raft_conf_find(const struct raft_conf *conf, uint64_t id);
/** What the library wrote for an entry of the log. Errors: PROTO it is not exactly that. */
CAIRN_MUST_CHECK int raft_conf_parse(const void *buf, size_t len, struct raft_conf *ret_conf);
/**
 * The library leaves up to 7 bytes at the end of what it encodes as they were in memory: make them zero, before the entry is stored or sent. Nothing happens to what it did not write.
 */
void raft_conf_wipe(void *buf, size_t len);
/** Make the library's form, which is freed with raft_configuration_close(). Errors: NOMEM. */
CAIRN_MUST_CHECK int
raft_conf_to_lib(const struct raft_conf *conf, struct raft_configuration *ret_lib);
/** Errors: PROTO more members than we have room for, or an address that is not ours. */
CAIRN_MUST_CHECK int
raft_conf_from_lib(const struct raft_configuration *lib, struct raft_conf *ret_conf);
void raft_address(uint64_t id, char ret_text[RAFT_ADDRESS_BYTES_MAX]);

#endif
