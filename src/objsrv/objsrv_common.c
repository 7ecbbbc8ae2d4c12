/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Steps that the object requests share. Tested by test/objsrv_test.c. */
#include "base/assert.h"
#include "objsrv_priv.h"

#define WRITE_CAPS ((uint64_t)(TGT_COO_RW | TGT_COO_EX))
#define ANY_CAPS ((uint64_t)(TGT_COO_RO | TGT_COO_RW | TGT_COO_EX))

/* Ranges are taken as they were decoded. */
CAIRN_STATIC_ASSERT(sizeof(struct proto_recx) == sizeof(struct recx), "same layout");
CAIRN_STATIC_ASSERT(offsetof(struct proto_recx, idx) == offsetof(struct recx, idx), "same layout");
CAIRN_STATIC_ASSERT(offsetof(struct proto_recx, nr) == offsetof(struct recx, nr), "same layout");

int
objsrv_begin(struct tgt *tgt, struct rpc_req *req, bool is_write, struct tgt_op *op)
{
    const struct rpc_hdr *hdr = req->hdr;
    struct tgt_ids ids = {hdr->pool, hdr->pool_hdl, hdr->cont_hdl};
    int rc;

    req->deadline_ns = MIN(req->deadline_ns, ult_now_ns() + OBJSRV_BULK_NS);
    rc = tgt_op_begin(tgt, &ids, hdr->map_ver, op);
    req->rep_map_ver = op->info.map_ver; /* 0 when the handles are unknown */
    if (rc != 0)
        return rc;
    if ((op->info.cont_flags & (is_write ? WRITE_CAPS : ANY_CAPS)) == 0) {
        tgt_op_end(op);
        return CAIRN_ERR(NO_PERM);
    }
    return 0;
}

struct vos_oid
objsrv_oid(struct oid oid, uint32_t shard, uint32_t layout_ver)
{
    struct vos_oid ret = {.oid = oid, .shard = shard, .layout_ver = layout_ver};

    return ret;
}

int
objsrv_iods(struct arena *arena, const struct proto_array *iods, struct vos_iod **ret_iods)
{
    const struct proto_iod *src = iods->items;
    struct vos_iod *dst;

    dst = arena_calloc(arena, MAX(iods->nr, 1), sizeof(*dst));
    if (dst == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < iods->nr; i++) {
        if (src[i].type != VOS_IOD_SINGLE && src[i].type != VOS_IOD_ARRAY)
            return CAIRN_ERR(INVAL);
        dst[i].akey = src[i].akey;
        dst[i].type = src[i].type;
        dst[i].cond = src[i].cond;
        dst[i].size = src[i].size;
        dst[i].recx_nr = src[i].recxs.nr;
        dst[i].recxs = src[i].recxs.items;
    }
    *ret_iods = dst;
    return 0;
}

int
objsrv_iod_bytes(const struct vos_iod *iod, uint64_t size, uint64_t *ret_bytes)
{
    uint64_t nr = 0, bytes;

    if (iod->type == VOS_IOD_SINGLE) {
        bytes = size;
    } else {
        for (uint32_t i = 0; i < iod->recx_nr; i++) {
            if (!add_u64(nr, iod->recxs[i].nr, &nr))
                return CAIRN_ERR(REC2BIG);
        }
        if (!mul_u64(nr, size, &bytes))
            return CAIRN_ERR(REC2BIG);
    }
    if (bytes > OBJSRV_DATA_BYTES_MAX)
        return CAIRN_ERR(REC2BIG);
    *ret_bytes = bytes;
    return 0;
}
