/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: a context on the network of rpc_fake.c with a call and a region of its own gets a sequence of messages. Input, repeated: one
 * byte of flags, one byte of length n of the head part, one of the payload (times 8), then n bytes that overwrite a good message from its
 * start (flag 1: from its body), then the payload. Flags: 2 put checksums right afterwards (so that the fuzzer gets past them), 4..7 which
 * good message: request, reply, the four bulk messages. Whatever comes, the context must end in order and free everything.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "proto/proto_svc.h"
#include "rpc/test/rpc_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MS UINT64_C(1000000)

struct target {
    struct fake *fake;
    uint8_t mem[8192];
};

static int
apply_handler(struct rpc_req *req, void *rep)
{
    const struct proto_obj_apply_req *body = req->body;
    size_t len = MIN(body->bulk.len, (uint64_t)4096);
    void *buf = arena_calloc(req->arena, 1, len + 1);

    (void)rep;
    return rpc_bulk_pull(req, &body->bulk, 0, buf, len);
}

static int
fetch_handler(struct rpc_req *req, void *rep)
{
    const struct proto_obj_fetch_req *body = req->body;
    size_t len = MIN(body->bulk.len, (uint64_t)4096);
    void *buf = arena_calloc(req->arena, 1, len + 1);

    (void)rep;
    return rpc_bulk_push(req, &body->bulk, 0, buf, len);
}

static int
echo_handler(struct rpc_req *req, void *rep)
{
    ((struct proto_attr_rep *)rep)->attrs = ((const struct proto_attr_req *)req->body)->attrs;
    return 0;
}

static const struct rpc_handler handlers[] = {
    {PROTO_OBJ_APPLY, ULT_IO, apply_handler},
    {PROTO_OBJ_FETCH, ULT_IO, fetch_handler},
    {PROTO_POOL_ATTR_SET, ULT_IO, echo_handler},
};

static void
call_main(void *arg)
{
    struct target *t = arg;
    struct arena arena;
    struct iov iovs[2] = {{t->mem, 5000}, {t->mem + 5100, 3000}};
    struct rpc_bulk *bulk = NULL;
    struct proto_attr_req req = {.pool = {{1}}};
    struct proto_attr_rep rep;
    struct rpc_call_opts opts = {
        .deadline_ns = plat_mono_ns(t->fake->plat) + 30 * MS, .arena = &arena};

    arena_init(&arena, 512, 1u << 20);
    /* Still under way when the context ends: it waits for this. */
    if (rpc_bulk_create(
            t->fake->ctx, &(struct sgl){2, iovs}, RPC_BULK_READ | RPC_BULK_WRITE, &bulk) == 0) {
        bulk->key = 2; /* one that the fuzzer knows */
        CAIRN_IGNORE(rpc_call(
            t->fake->ctx, (struct rpc_ep){1, 0}, PROTO_POOL_ATTR_GET, &req, &rep, &opts, NULL));
        rpc_bulk_free(bulk);
    }
    arena_fini(&arena);
}

static size_t
good_message(uint32_t which, uint8_t *buf)
{
    struct rpc_bulk_body body = {.xfer = 1, .id = 1, .key = 2, .off = 0, .len = 8};
    struct proto_obj_apply_req apply = {.bulk = {1, 2, 5000}};
    uint16_t kind = (uint16_t)(1 + which % 8);
    struct rpc_head head = {.ver_lo = 1,
        .ver_hi = 1,
        .ver = 1,
        .kind = kind,
        .call = 1,
        .hdr = {.opcode = kind == RPC_KIND_REPLY ? PROTO_POOL_ATTR_GET : PROTO_OBJ_APPLY,
            .src_incarnation = 9,
            .client = {{7}},
            .seq = 1,
            .timeout_ns = 20 * MS}};
    size_t len = 0;

    if (kind == RPC_KIND_REQUEST) {
        if (proto_encode(
                proto_op_find(PROTO_OBJ_APPLY)->req, &apply, buf + RPC_HEAD_BYTES, 256, &len) != 0)
            abort();
    } else if (kind != RPC_KIND_REPLY) {
        rpc_bulk_body_encode(&body, buf + RPC_HEAD_BYTES);
        len = kind >= RPC_KIND_BULK_HERE ? RPC_BULK_HERE_BYTES : RPC_BULK_BODY_BYTES;
    }
    head.body_len = (uint32_t)len;
    rpc_head_encode(&head, buf);
    return RPC_HEAD_BYTES + len;
}

/* One message from the input; the bytes used. */
static size_t
feed(struct net_peer *peer, const uint8_t *data, size_t len)
{
    uint8_t buf[1024] = {0};
    size_t n, payload_len, at, msg_len;

    if (len < 3)
        return len;
    n = MIN((size_t)data[1], len - 3);
    payload_len = MIN((size_t)data[2] * 8, len - 3 - n);
    msg_len = good_message(data[0] >> 4, buf);
    at = (data[0] & 1) != 0 ? RPC_HEAD_BYTES : 0;
    memcpy(buf + at, data + 3, n);
    msg_len = MAX(msg_len, at + n);
    if ((data[0] & 2) != 0) {
        le32_put(buf + 184, (uint32_t)(msg_len - RPC_HEAD_BYTES));
        le32_put(buf + 188, crc32c(0, buf + RPC_HEAD_BYTES, msg_len - RPC_HEAD_BYTES));
        le32_put(buf + 192, (uint32_t)payload_len);
        le32_put(buf + 196, crc32c(0, data + 3 + n, payload_len));
        le32_put(buf + 204, crc32c(0, buf, 204));
    }
    if (!peer->is_disconnected) {
        uint8_t *exact = malloc(msg_len);

        memcpy(exact, buf, msg_len);
        fake_recv(peer, exact, msg_len, data + 3 + n, payload_len);
        free(exact);
    }
    return 3 + n + payload_len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct target *t = calloc(1, sizeof(*t));
    struct net_peer *peers[2];
    uint32_t i = 0;

    t->fake = fake_create(handlers, ARRAY_SIZE(handlers), t);
    fake_ult(t->fake, call_main, t);
    fake_run(t->fake, MS);
    peers[0] = t->fake->connected;
    peers[1] = fake_accept(t->fake);
    while (len > 0 && i < 64) {
        size_t used = feed(peers[data[0] >> 3 & 1], data, len);

        data += used;
        len -= used;
        i++;
        fake_run(t->fake, MS / 4);
        fake_flush(peers[0]);
        fake_flush(peers[1]);
    }
    fake_destroy(t->fake);
    free(t);
    return 0;
}
