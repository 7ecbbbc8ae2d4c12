/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * objsrv: object I/O of one target: apply, fetch, list, query. Messages: proto/proto_obj.h.
 *
 *   OBJ-1  All modifications of one request take effect or none, once, also when it is sent
 *          again after a restart (MS-2, VOS-2).
 *   OBJ-2  Every payload is compared with its CRC32C before anything points to it; a mismatch
 *          answers CSUM and changes nothing (MS-4).
 *   OBJ-3  What a handle may do comes from tgt (FM-3): reads need any open container
 *          handle, changes need one opened for writing.
 *   OBJ-4  A sender with an older pool map is told STALE and the version it lacks.
 *   OBJ-5  No size, count or offset of a message is used before it was checked against the
 *          data that came with it.
 *
 * Handlers run on ULTs of the target's xstream; memory comes from the request's arena and from
 * bio's buffers, whose budget pushes back.
 * Tested by test/objsrv_test.c and test/server.
 */
#ifndef CAIRN_OBJSRV_H
#define CAIRN_OBJSRV_H

#include "proto/proto_obj.h"
#include "rpc/rpc.h"
#include "tgt/tgt.h"

enum {
    OBJSRV_DATA_BYTES_MAX =
        16 << 20, /* of one apply, and one buffer: larger ones are the client's to split (REC2BIG) */
    OBJSRV_GATHER_BYTES = RPC_BULK_CHUNK_BYTES, /* of one part of a push */
    OBJSRV_GATHER_PIECE_BYTES = 16 * 1024, /* smaller ones are copied together */
};

/*
 * A transfer ends by then, whatever deadline the client gave: a client that stands still must not
 * hold up the end of a container or target (MS-6).
 */
#define OBJSRV_BULK_NS UINT64_C(60000000000)
/* Who asks for aggregation is told after so long that it goes on. */
#define OBJSRV_AGG_WAIT_NS UINT64_C(2000000000)

/**
 * PROTO_OBJ_APPLY. Errors: those of tgt_op_begin() and vos_apply(); NO_PERM; CSUM; INVAL, REC2BIG
 * sizes; those of a pull.
 */
CAIRN_YIELDS int objsrv_apply(struct tgt *tgt, struct rpc_req *req, void *rep);
/**
 * PROTO_OBJ_FETCH. Errors: those of tgt_op_begin() and vos_fetch(); REC2BIG what was found does
 * not fit buf_len (sizes are in the reply).
 */
CAIRN_YIELDS int objsrv_fetch(struct tgt *tgt, struct rpc_req *req, void *rep);
/**
 * PROTO_OBJ_LIST. Errors: those of tgt_op_begin() and vos_list(); KEY2BIG the next key is longer
 * than bytes_max (key_len is in the reply).
 */
CAIRN_YIELDS int objsrv_list(struct tgt *tgt, struct rpc_req *req, void *rep);
/** PROTO_OBJ_QUERY_KEY. Errors: those of tgt_op_begin() and vos_query_key(). */
CAIRN_YIELDS int objsrv_query(struct tgt *tgt, struct rpc_req *req, void *rep);
/** PROTO_OBJ_LOOK. Errors: those of tgt_op_begin() and vos_obj_look(). */
CAIRN_YIELDS int objsrv_look(struct tgt *tgt, struct rpc_req *req, void *rep);
/** PROTO_OBJ_ANCHOR. Errors: those of tgt_op_begin() and vos_anchor_from_key(). */
CAIRN_YIELDS int objsrv_anchor(struct tgt *tgt, struct rpc_req *req, void *rep);
/** PROTO_OBJ_AGGREGATE. Errors: those of tgt_op_begin() and tgt_aggregate(); NO_PERM. */
CAIRN_YIELDS int objsrv_aggregate(struct tgt *tgt, struct rpc_req *req, void *rep);

#endif
