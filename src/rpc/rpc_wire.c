/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "rpc/rpc_wire.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc.h"

/* The head as bytes: no padding, no alignment. */
struct head_wf {
    uint8_t magic[4];
    uint8_t ver_lo[2];
    uint8_t ver_hi[2];
    uint8_t features[8];
    uint8_t ver[2];
    uint8_t kind[2];
    uint8_t opcode[2];
    uint8_t flags[2];
    uint8_t rc[4];
    uint8_t src_rank[4];
    uint8_t system[16];
    uint8_t src_incarnation[8];
    uint8_t dst_incarnation[8];
    uint8_t client[16];
    uint8_t seq[8];
    uint8_t slot[4];
    uint8_t map_ver[4];
    uint8_t first_hlc[8];
    uint8_t timeout_ns[8];
    uint8_t hlc[8];
    uint8_t hint_rank[4];
    uint8_t reserved[4];
    uint8_t pool[16];
    uint8_t pool_hdl[16];
    uint8_t cont_hdl[16];
    uint8_t call[8];
    uint8_t body_len[4];
    uint8_t body_crc[4];
    uint8_t payload_len[4];
    uint8_t payload_crc[4];
    uint8_t reserved2[4];
    uint8_t head_crc[4]; /* CRC32C of everything before it */
};

#define HEAD_AT(field, off) \
    CAIRN_STATIC_ASSERT(offsetof(struct head_wf, field) == (off), "docs/format/rpc.md: " #field)
HEAD_AT(magic, 0);
HEAD_AT(ver_lo, 4);
HEAD_AT(ver_hi, 6);
HEAD_AT(features, 8);
HEAD_AT(ver, 16);
HEAD_AT(kind, 18);
HEAD_AT(opcode, 20);
HEAD_AT(flags, 22);
HEAD_AT(rc, 24);
HEAD_AT(src_rank, 28);
HEAD_AT(system, 32);
HEAD_AT(src_incarnation, 48);
HEAD_AT(dst_incarnation, 56);
HEAD_AT(client, 64);
HEAD_AT(seq, 80);
HEAD_AT(slot, 88);
HEAD_AT(map_ver, 92);
HEAD_AT(first_hlc, 96);
HEAD_AT(timeout_ns, 104);
HEAD_AT(hlc, 112);
HEAD_AT(hint_rank, 120);
HEAD_AT(reserved, 124);
HEAD_AT(pool, 128);
HEAD_AT(pool_hdl, 144);
HEAD_AT(cont_hdl, 160);
HEAD_AT(call, 176);
HEAD_AT(body_len, 184);
HEAD_AT(body_crc, 188);
HEAD_AT(payload_len, 192);
HEAD_AT(payload_crc, 196);
HEAD_AT(reserved2, 200);
HEAD_AT(head_crc, 204);
CAIRN_STATIC_ASSERT(
    sizeof(struct head_wf) == RPC_HEAD_BYTES, "docs/format/rpc.md: length of the head");
CAIRN_STATIC_ASSERT(sizeof(struct uuid) == 16, "a uuid is 16 bytes");
CAIRN_STATIC_ASSERT(RPC_KIND_REQUEST == 1, "docs/format/rpc.md: kinds");
CAIRN_STATIC_ASSERT(RPC_KIND_BULK_DONE == 6, "docs/format/rpc.md: kinds");
CAIRN_STATIC_ASSERT(RPC_KIND_BULK_HERE == 7, "docs/format/rpc.md: kinds");
CAIRN_STATIC_ASSERT(RPC_KIND_BULK_TAKE == 8, "docs/format/rpc.md: kinds");
CAIRN_STATIC_ASSERT(RPC_BULK_HERE_BYTES == 80, "docs/format/rpc.md: here");

void
rpc_head_encode(const struct rpc_head *head, void *buf)
{
    const struct rpc_hdr *hdr = &head->hdr;
    struct head_wf *w = buf;

    memset(w, 0, sizeof(*w));
    le32_put(w->magic, RPC_MAGIC);
    le16_put(w->ver_lo, head->ver_lo);
    le16_put(w->ver_hi, head->ver_hi);
    le64_put(w->features, head->features);
    le16_put(w->ver, head->ver);
    le16_put(w->kind, head->kind);
    le16_put(w->opcode, hdr->opcode);
    le16_put(w->flags, hdr->flags);
    le32_put(w->rc, (uint32_t)hdr->rc);
    le32_put(w->src_rank, hdr->src_rank);
    memcpy(w->system, &hdr->system, 16);
    le64_put(w->src_incarnation, hdr->src_incarnation);
    le64_put(w->dst_incarnation, hdr->dst_incarnation);
    memcpy(w->client, &hdr->client, 16);
    le64_put(w->seq, hdr->seq);
    le32_put(w->slot, hdr->slot);
    le32_put(w->map_ver, hdr->map_ver);
    le64_put(w->first_hlc, hdr->first_hlc);
    le64_put(w->timeout_ns, hdr->timeout_ns);
    le64_put(w->hlc, hdr->hlc);
    le32_put(w->hint_rank, hdr->hint_rank);
    memcpy(w->pool, &hdr->pool, 16);
    memcpy(w->pool_hdl, &hdr->pool_hdl, 16);
    memcpy(w->cont_hdl, &hdr->cont_hdl, 16);
    le64_put(w->call, head->call);
    le32_put(w->body_len, head->body_len);
    le32_put(w->body_crc, head->body_crc);
    le32_put(w->payload_len, head->payload_len);
    le32_put(w->payload_crc, head->payload_crc);
    le32_put(w->head_crc, crc32c(0, w, offsetof(struct head_wf, head_crc)));
}

int
rpc_head_decode(const void *buf, size_t len, struct rpc_head *ret_head)
{
    const struct head_wf *w = buf;
    struct rpc_hdr *hdr = &ret_head->hdr;

    if (len < RPC_HEAD_BYTES || le32_get(w->magic) != RPC_MAGIC)
        return CAIRN_ERR(PROTO);
    if (le32_get(w->head_crc) != crc32c(0, w, offsetof(struct head_wf, head_crc)))
        return CAIRN_ERR(PROTO);
    memset(ret_head, 0, sizeof(*ret_head));
    ret_head->ver_lo = le16_get(w->ver_lo);
    ret_head->ver_hi = le16_get(w->ver_hi);
    ret_head->features = le64_get(w->features);
    ret_head->ver = le16_get(w->ver);
    ret_head->kind = le16_get(w->kind);
    hdr->opcode = le16_get(w->opcode);
    hdr->flags = le16_get(w->flags);
    hdr->rc = (int32_t)le32_get(w->rc);
    hdr->src_rank = le32_get(w->src_rank);
    memcpy(&hdr->system, w->system, 16);
    hdr->src_incarnation = le64_get(w->src_incarnation);
    hdr->dst_incarnation = le64_get(w->dst_incarnation);
    memcpy(&hdr->client, w->client, 16);
    hdr->seq = le64_get(w->seq);
    hdr->slot = le32_get(w->slot);
    hdr->map_ver = le32_get(w->map_ver);
    hdr->first_hlc = le64_get(w->first_hlc);
    hdr->timeout_ns = le64_get(w->timeout_ns);
    hdr->hlc = le64_get(w->hlc);
    hdr->hint_rank = le32_get(w->hint_rank);
    memcpy(&hdr->pool, w->pool, 16);
    memcpy(&hdr->pool_hdl, w->pool_hdl, 16);
    memcpy(&hdr->cont_hdl, w->cont_hdl, 16);
    ret_head->call = le64_get(w->call);
    ret_head->body_len = le32_get(w->body_len);
    ret_head->body_crc = le32_get(w->body_crc);
    ret_head->payload_len = le32_get(w->payload_len);
    ret_head->payload_crc = le32_get(w->payload_crc);
    return 0;
}

void
rpc_bulk_body_encode(const struct rpc_bulk_body *body, void *buf)
{
    uint8_t *p = buf;

    le64_put(p, body->xfer);
    le64_put(p + 8, body->id);
    le64_put(p + 16, body->key);
    le64_put(p + 24, body->off);
    le32_put(p + 32, body->len);
    le32_put(p + 36, (uint32_t)body->rc);
}

int
rpc_bulk_body_decode(const void *buf, size_t len, struct rpc_bulk_body *ret_body)
{
    const uint8_t *p = buf;

    if (len < RPC_BULK_BODY_BYTES)
        return CAIRN_ERR(PROTO);
    ret_body->xfer = le64_get(p);
    ret_body->id = le64_get(p + 8);
    ret_body->key = le64_get(p + 16);
    ret_body->off = le64_get(p + 24);
    ret_body->len = le32_get(p + 32);
    ret_body->rc = (int32_t)le32_get(p + 36);
    return 0;
}

void
rpc_bulk_here_encode(const struct rpc_bulk_here *here, void *body)
{
    uint8_t *p = (uint8_t *)body + RPC_BULK_BODY_BYTES;

    memcpy(p, here->where, NET_WHERE_BYTES);
    le32_put(p + NET_WHERE_BYTES, here->crc);
    le32_put(p + NET_WHERE_BYTES + 4, 0);
}

int
rpc_bulk_here_decode(const void *body, size_t len, struct rpc_bulk_here *ret_here)
{
    const uint8_t *p = (const uint8_t *)body + RPC_BULK_BODY_BYTES;

    if (len < RPC_BULK_HERE_BYTES)
        return CAIRN_ERR(PROTO);
    memcpy(ret_here->where, p, NET_WHERE_BYTES);
    ret_here->crc = le32_get(p + NET_WHERE_BYTES);
    return 0;
}
