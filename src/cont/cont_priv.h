/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of cont share. Row formats: README.md. */
#ifndef CAIRN_CONT_PRIV_H
#define CAIRN_CONT_PRIV_H

#include "base/codec.h"
#include "cont/cont.h"

#define CONT_TABLE_LABELS "clabels" /* label -> uuid */
#define CONT_TABLE_OIDS "coid" /* uuid -> next object id to hand out */

/* Row of POOL_TABLE_CONTS. */
struct cont_row {
    uint64_t create_hlc, otime_hlc, mtime_hlc;
    struct iov label; /* empty: none */
};

/* Row of POOL_TABLE_CONT_HDLS. */
struct cont_hdl {
    struct uuid cont, pool_hdl;
    uint64_t flags, hlc;
    struct pool_holders holders;
};

/* Names of a container's own tables, in the call's arena; NULL when there is no memory. */
enum cont_table { CONT_TABLE_PROPS, CONT_TABLE_ATTRS, CONT_TABLE_HDLS, CONT_TABLE_SNAPS };
const char *cont_table(struct pool_call *call, enum cont_table table, const struct uuid *cont);

/* Errors: NONEXIST. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
cont_row_get(struct pool_call *call, const struct uuid *cont, struct cont_row *ret_row);
void cont_row_put(struct pool_call *call, const struct uuid *cont, const struct cont_row *row);
/* The container of a label or a uuid's text, and its row. Errors: NONEXIST; INVAL. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
cont_resolve(struct pool_call *call, struct iov id, struct uuid *ret_cont, struct cont_row *ret_row);

/* Errors: NO_HDL. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
cont_hdl_get(struct pool_call *call, const struct uuid *hdl, struct cont_hdl *ret_hdl);
/*
 * The container handle in the request's head must be open on `cont`; for writing: NO_PERM. Engines
 * need none.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
cont_hdl_check(struct pool_call *call, const struct uuid *cont, bool is_write);
/*
 * Remove every handle of the container, in parts; *ret_last (may be NULL) is one of them. *ret_nr:
 * how many.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
cont_hdl_evict(struct pool_call *call, const struct uuid *cont, struct proto_array *ret_hdls);
/* How many handles, and whether one is exclusive. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
cont_hdl_count(struct pool_call *call, const struct uuid *cont, uint32_t *ret_nr, bool *ret_has_ex);

/* How many snapshots, and the epoch of the newest (0: none). */
CAIRN_YIELDS CAIRN_MUST_CHECK int cont_snap_stat(
    struct pool_call *call, const struct uuid *cont, uint32_t *ret_nr, uint64_t *ret_last);

/* Properties in force, computed ones included. wanted NULL or empty: all. */
CAIRN_YIELDS CAIRN_MUST_CHECK int cont_props_get(struct pool_call *call, const struct uuid *cont,
    const struct cont_row *row, const struct proto_array *wanted, struct proto_array *ret_props);
/*
 * Check and collect properties for a container; a label is left to the caller in *ret_label
 * (empty: none given).
 */
CAIRN_MUST_CHECK int cont_props_put(struct pool_call *call, const struct uuid *cont,
    const struct proto_array *props, bool is_create, struct iov *ret_label);

#endif
