/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of objsrv share. */
#ifndef CAIRN_OBJSRV_PRIV_H
#define CAIRN_OBJSRV_PRIV_H

#include "objsrv/objsrv.h"

/*
 * Begin the request, check the capability (the sender's clock was merged by rpc). On success end
 * it with tgt_op_end(); on failure it is ended and req->rep_map_ver
 * is set where it helps.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
objsrv_begin(struct tgt *tgt, struct rpc_req *req, bool is_write, struct tgt_op *op);

struct vos_oid objsrv_oid(struct oid oid, uint32_t shard, uint32_t layout_ver);

/*
 * The iods of a message for vos, without data, from the request's arena. Errors: INVAL type;
 * NOMEM.
 */
CAIRN_MUST_CHECK int
objsrv_iods(struct arena *arena, const struct proto_array *iods, struct vos_iod **ret_iods);

/*
 * Bytes that an iod's values take: size of a single value, size times records of an array. Errors:
 * REC2BIG beyond OBJSRV_DATA_BYTES_MAX.
 */
CAIRN_MUST_CHECK int objsrv_iod_bytes(const struct vos_iod *iod, uint64_t size, uint64_t *ret_bytes);

#endif
