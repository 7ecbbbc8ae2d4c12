/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Properties and attributes between the API's structures and messages: shared by pools and containers.
 *
 * On the wire a text is its characters, an ACL its bytes as the API lays them out, roots four object ids of 16 little-endian bytes (lo, hi).
 */
#ifndef CAIRN_CLIENT_PROP_H
#define CAIRN_CLIENT_PROP_H

#include "base/arena.h"
#include "client/core/client_pool.h"
#include "daos_prop.h"

/** Values of `prop` (NULL: none) for a message, in the arena or borrowed from it. Errors: INVAL an id of the other kind or a bad value; NOMEM. */
CAIRN_MUST_CHECK int client_prop_encode(
    const daos_prop_t *prop, bool is_cont, struct arena *arena, struct proto_array *ret_props);
/** Fill the caller's list: the entries it names, or, when it has none, all of `props`. What is not in `props` is marked NOT_SET. */
CAIRN_MUST_CHECK int client_prop_decode(const struct proto_array *props, daos_prop_t *prop);
/** A number among `props`, or `def`. */
uint64_t client_prop_num(const struct proto_array *props, uint32_t type, uint64_t def);

/* Attributes of a pool (cont nil) or container. Arguments and results as in the API. */
struct client_attr_args {
    daos_handle_t hdl;
    bool is_cont;
    int n;
    const char *const *names;
    void *const *buffers;
    const void *const *values;
    size_t *sizes;
    char *names_buf;
};
CAIRN_YIELDS int client_attr_list_ult(void *arg);
CAIRN_YIELDS int client_attr_get_ult(void *arg);
CAIRN_YIELDS int client_attr_set_ult(void *arg);
CAIRN_YIELDS int client_attr_del_ult(void *arg);

#endif
