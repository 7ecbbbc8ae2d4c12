/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Opcodes: service number in the high byte. Numbers are never reused. */
#ifndef CAIRN_PROTO_OPS_H
#define CAIRN_PROTO_OPS_H

enum proto_opcode {
    /* object I/O, to the target's xstream (tag = 1 + target index) */
    PROTO_OBJ_APPLY = 0x0101, /* modifying */
    PROTO_OBJ_FETCH = 0x0102,
    PROTO_OBJ_LIST = 0x0103,
    PROTO_OBJ_QUERY_KEY = 0x0104,
    PROTO_OBJ_LOOK = 0x0105, /* which of these objects are there */
    PROTO_OBJ_ANCHOR = 0x0106, /* where a listing that begins with a key begins */
    PROTO_OBJ_AGGREGATE = 0x0107, /* drop what nobody can read any more, now */

    /* pool service, to its leader, tag 0 */
    PROTO_POOL_CONNECT = 0x0201, /* modifying */
    PROTO_POOL_DISCONNECT = 0x0202, /* modifying */
    PROTO_POOL_QUERY = 0x0203,
    PROTO_POOL_MAP = 0x0204,
    PROTO_POOL_HDL = 0x0205, /* a target asks what a pool or container handle may do */
    PROTO_POOL_ATTR_LIST = 0x0206,
    PROTO_POOL_ATTR_GET = 0x0207,
    PROTO_POOL_ATTR_SET = 0x0208, /* modifying */
    PROTO_POOL_ATTR_DEL = 0x0209, /* modifying */
    PROTO_POOL_LIST_CONT = 0x020a,
    PROTO_POOL_PROP_GET = 0x020b,
    PROTO_POOL_PROP_SET = 0x020c, /* modifying */
    PROTO_POOL_TGT_QUERY = 0x020d,
    PROTO_POOL_ATTACH = 0x020e, /* modifying; a process got the handles in the head from another one */
    PROTO_POOL_EVICT = 0x020f, /* between engines; repeating it does no harm */

    /* container service: same leader as the pool's */
    PROTO_CONT_CREATE = 0x0301, /* modifying */
    PROTO_CONT_DESTROY = 0x0302, /* modifying */
    PROTO_CONT_OPEN = 0x0303, /* modifying */
    PROTO_CONT_CLOSE = 0x0304, /* modifying */
    PROTO_CONT_QUERY = 0x0305,
    PROTO_CONT_OID_ALLOC = 0x0306, /* modifying */
    PROTO_CONT_PROP_GET = 0x0307,
    PROTO_CONT_PROP_SET = 0x0308, /* modifying */
    PROTO_CONT_ATTR_LIST = 0x0309,
    PROTO_CONT_ATTR_GET = 0x030a,
    PROTO_CONT_ATTR_SET = 0x030b, /* modifying */
    PROTO_CONT_ATTR_DEL = 0x030c, /* modifying */
    PROTO_CONT_SNAP_CREATE = 0x030d, /* modifying */
    PROTO_CONT_SNAP_LIST = 0x030e,
    PROTO_CONT_SNAP_SET = 0x030f, /* modifying */
    PROTO_CONT_SNAP_DESTROY = 0x0310, /* modifying */
    PROTO_CONT_STABLE = 0x0311, /* a target asks up to where it may aggregate */

    /* system service, tag 0 of the system leader */
    PROTO_SYS_POOL_RESOLVE = 0x0401, /* label or uuid -> uuid, service ranks */
    PROTO_SYS_POOL_LIST = 0x0402,
    PROTO_SYS_POOL_CREATE = 0x0403, /* modifying; from the control plane */
    PROTO_SYS_POOL_DESTROY = 0x0404, /* modifying; from the control plane */
    PROTO_SYS_QUERY = 0x0405,

    /* between engines */
    PROTO_TGT_POOL_CREATE = 0x0501, /* to a target; idempotent by its result */
    PROTO_TGT_POOL_DESTROY = 0x0502,
    PROTO_TGT_POOL_QUERY = 0x0503,
    PROTO_TGT_CONT_DESTROY = 0x0504,
    PROTO_TGT_HDL_REVOKE = 0x0505,
    PROTO_SVC_POOL_START =
        0x0506, /* system service -> rank that will hold the pool service: create and start it */
    PROTO_SVC_POOL_STOP = 0x0507, /* destroy it */
    PROTO_PING = 0x0508,
    PROTO_TGT_EPOCH = 0x0509, /* to a target: be beyond this epoch, durably */
    PROTO_TGT_AGGREGATE = 0x050a, /* to a target: a snapshot is gone, look what it kept */
};

#endif
