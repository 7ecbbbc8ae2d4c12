/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of dmg share. A command parses its arguments, asks (dmg_call), prints text, and gives back the JSON of -j. */
#ifndef CAIRN_CLI_DMG_H
#define CAIRN_CLI_DMG_H

#include "base/err.h"
#include "control/cli/cli.h"
#include "control/ctl/ctl_chan.h"
#include "daos_security.h"

enum { DMG_ACL_BYTES_MAX = 16384 }; /* PROTO_PROP_BYTES_MAX */

struct dmg {
    struct cli cli;
    const char *embedded; /* directory, or NULL */
};

/** One request; `*ret_body` returns owned (free()). An error has its line in dmg->cli.err. */
CAIRN_MUST_CHECK int dmg_call(struct dmg *dmg, Cairn__Ctl__Method method,
    const ProtobufCMessage *req, uint8_t **ret_body, size_t *ret_len);
/** What the pool that the command line names is like; `*ret_rep` is freed with its free_unpacked(). An error has its line, as above. */
CAIRN_MUST_CHECK int
dmg_pool_ask(struct dmg *dmg, int argc, char **argv, Cairn__Ctl__PoolQueryRep **ret_rep);
/** Into buf of CUUID_TEXT_BYTES; returns buf. */
const char *dmg_uuid_text(const ProtobufCBinaryData *data, char *buf);
json_t *dmg_ranks_json(size_t nr, const uint32_t *ranks);

/**
 * An access control list as text: an entry in each line; empty lines and comments (#) are passed over. `*ret_acl` (NULL before) is the caller's to free, also with
 * an error. Errors, with a line: INVAL, OVERFLOW, those of reading.
 */
CAIRN_MUST_CHECK int dmg_acl_read(struct dmg *dmg, const char *path, struct daos_acl **ret_acl);

/**
 * "name:value,name:value", which is cut up and holds the texts of `props` from then on; behind the *nr that are there. is_create: those of a new pool, else of one that is
 * there. Errors, with a line: INVAL.
 */
CAIRN_MUST_CHECK int dmg_props_parse(struct dmg *dmg, char *text, bool is_create,
    Cairn__Ctl__Property *props, size_t props_max, size_t *nr);

int dmg_pool_set_prop(struct dmg *dmg, int argc, char **argv, json_t **ret_response);
int dmg_pool_get_prop(struct dmg *dmg, int argc, char **argv, json_t **ret_response);
int dmg_pool_query_targets(struct dmg *dmg, int argc, char **argv, json_t **ret_response);
int dmg_storage_query(struct dmg *dmg, int argc, char **argv, json_t **ret_response);
int dmg_pool_create(struct dmg *dmg, int argc, char **argv, json_t **ret_response);
int dmg_pool_get_acl(struct dmg *dmg, int argc, char **argv, json_t **ret_response);

#endif
