/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: peers that are of another version, broken, dead in the middle, or hostile get a named refusal or lose their connection, and harm nobody
 * else (RPC-1, RPC-3 to RPC-5, RPC-11).
 * Method: rpc_raw.c plays such a peer, over every transport; after each act an honest ping must work.
 */
#define RPC_SUITE rpc_hostile
#include "rpc/test/rpc_raw.h"
#include "rpc/test/rpc_suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"

static bool
refused_with(struct raw *raw, uint64_t call, int rc)
{
    const struct raw_msg *msg = raw_recv(raw);

    if (!EXPECT(msg != NULL))
        return false;
    EXPECT_EQ(msg->head.kind, RPC_KIND_REPLY);
    EXPECT_EQ(msg->head.hdr.flags, RPC_FLAG_REFUSED);
    EXPECT_EQ(msg->head.call, call);
    EXPECT_EQ(msg->head.hdr.src_incarnation, 100u);
    EXPECT_EQ(msg->head.hdr.dst_incarnation, 555u);
    return EXPECT_EQ(msg->head.hdr.rc, rc);
}

/* ---- hostile clients ------------------------------------------------------------------------------------------------ */

SUITE(refusals)
{
    static const uint8_t body[1];
    struct raw raw;
    struct rpc_head head;

    if (!raw_connect(&raw, rig))
        return;
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 11);
    head.ver_lo = head.ver_hi = head.ver = 9; /* another version */
    raw_send(&raw, &head, body, 1, NULL, 0);
    refused_with(&raw, 11, -DER_PROTO);
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 12);
    head.features = 1; /* a feature that is required and unknown */
    raw_send(&raw, &head, body, 1, NULL, 0);
    refused_with(&raw, 12, -DER_PROTO);
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 13);
    head.hdr.system.b[15] ^= 1;
    raw_send(&raw, &head, body, 1, NULL, 0);
    refused_with(&raw, 13, -DER_MISMATCH);
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 14);
    head.hdr.dst_incarnation = 99;
    raw_send(&raw, &head, body, 1, NULL, 0);
    refused_with(&raw, 14, -DER_STALE);
    head = raw_head(&raw, RPC_KIND_REQUEST, 0xffff, 15);
    raw_send(&raw, &head, body, 1, NULL, 0);
    refused_with(&raw, 15, -DER_UNREG);
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_OBJ_APPLY, 16); /* a body that does not decode */
    raw_send(&raw, &head, "\377\377\377\377", 4, NULL, 0);
    refused_with(&raw, 16, -DER_PROTO);
    EXPECT_EQ(rig->server.ran_nr, 0u);
    head = raw_head(
        &raw, RPC_KIND_REQUEST, PROTO_PING, 17); /* right incarnation, optional feature: fine */
    head.hdr.dst_incarnation = 100;
    head.features = UINT64_C(1) << 40;
    raw_send(&raw, &head, body, 1, NULL, 0);
    EXPECT_EQ(raw_recv(&raw)->head.hdr.flags, 0u);
    EXPECT_EQ(rig->server.ran_nr, 1u);
    raw_close(&raw);
}

/* A request whose time is over on arrival is dropped and counted. */
SUITE(expired_on_arrival)
{
    static const uint8_t body[1];
    struct raw raw;
    struct rpc_head head;
    struct rpc_stats stats;

    if (!raw_connect(&raw, rig))
        return;
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 11);
    head.hdr.timeout_ns = 0;
    raw_send(&raw, &head, body, 1, NULL, 0);
    if (rig->sim == NULL) { /* no time passes within a step of the simulator */
        head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 12);
        head.hdr.timeout_ns = 1; /* over when its ULT runs */
        raw_send(&raw, &head, body, 1, NULL, 0);
    }
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 13);
    head.hdr.timeout_ns = UINT64_MAX; /* absurd, but no overflow */
    raw_send(&raw, &head, body, 1, NULL, 0);
    EXPECT_EQ(raw_recv(&raw)->head.call, 13u);
    rig_stats(rig, &stats);
    EXPECT_EQ(stats.timeouts_nr, rig->sim == NULL ? 2u : 1u);
    EXPECT_EQ(rig->server.ran_nr, 1u);
    raw_close(&raw);
}

static void
garbage(struct rig *rig, const void *head, size_t head_len, const void *payload, size_t payload_len)
{
    struct raw raw;
    struct rpc_stats before, after;

    rig_stats(rig, &before);
    if (!raw_connect(&raw, rig))
        return;
    raw_send_bytes(&raw, head, head_len, payload, payload_len);
    EXPECT(raw_down_wait(&raw)); /* RPC-3 */
    raw_close(&raw);
    rig_stats(rig, &after);
    EXPECT_EQ(after.bad_crc_nr, before.bad_crc_nr + 1);
    EXPECT_EQ(after.requests_nr, before.requests_nr);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    rig_stats(rig, &after);
}

/* Messages that are not ours, or were damaged. */
SUITE(garbage_messages)
{
    uint8_t buf[RPC_HEAD_BYTES + 64];
    struct raw raw;
    struct rpc_head head;

    if (!raw_connect(&raw, rig)) /* for raw_head() */
        return;
    rig_pattern(buf, sizeof(buf), 1);
    garbage(rig, buf, 1, NULL, 0);
    garbage(rig, buf, sizeof(buf), NULL, 0);
    garbage(rig, buf, sizeof(buf), buf, sizeof(buf));
    garbage(rig, "GET / HTTP/1.1\r\n\r\n", 18, NULL, 0);

    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_PING, 1);
    head.body_len = 1;
    head.body_crc = 12345; /* wrong */
    rpc_head_encode(&head, buf);
    garbage(rig, buf, RPC_HEAD_BYTES + 1, NULL, 0);
    head.body_crc = rig_crc(buf + RPC_HEAD_BYTES, 1);
    rpc_head_encode(&head, buf);
    buf[100] ^= 4; /* a flipped bit */
    garbage(rig, buf, RPC_HEAD_BYTES + 1, NULL, 0);
    buf[100] ^= 4;
    garbage(rig, buf, RPC_HEAD_BYTES + 2, NULL, 0); /* lengths that do not add up */
    garbage(rig, buf, RPC_HEAD_BYTES + 1, buf, 7);
    head.hdr.flags = RPC_FLAG_BODY_OUTSIDE; /* and no payload */
    rpc_head_encode(&head, buf);
    garbage(rig, buf, RPC_HEAD_BYTES, NULL, 0);
    head = raw_head(&raw, 77, 0, 1); /* no such kind */
    rpc_head_encode(&head, buf);
    garbage(rig, buf, RPC_HEAD_BYTES, NULL, 0);
    head = raw_head(&raw, RPC_KIND_BULK_DONE, 0, 1); /* a bulk message without its body */
    rpc_head_encode(&head, buf);
    garbage(rig, buf, RPC_HEAD_BYTES, NULL, 0);
    raw_close(&raw);
}

TEST_LINUX(rpc_hostile, bytes_on_the_port, "needs a socket that is not ours")
{
    struct rig rig;
    struct sockaddr_in addr = {.sin_family = AF_INET};
    char answer[64];
    int fd;

    if (!rig_init(&rig, "tcp", NULL))
        return;
    addr.sin_port = htons((uint16_t)strtoul(strrchr(rig.suri, ':') + 1, NULL, 10));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    EXPECT_EQ(write(fd, "GET / HTTP/1.1\r\nHost: here\r\n\r\n", 30), 30);
    EXPECT_LE(read(fd, answer, sizeof(answer)), 0); /* closed without a word */
    close(fd);
    rig_fini(&rig);
}

static void
flood(struct raw *raw, uint16_t opcode, uint32_t nr)
{
    struct proto_obj_apply_req req = {.data_len = 1};
    const struct proto_op *op = proto_op_find(opcode);
    uint8_t body[1024] = {0};
    size_t len = 1;

    if (opcode == PROTO_OBJ_APPLY)
        EXPECT_OK(proto_encode(op->req, &req, body, sizeof(body), &len));
    for (uint32_t i = 0; i < nr; i++) {
        struct rpc_head head = raw_head(raw, RPC_KIND_REQUEST, opcode, 1 + i);

        raw_send(raw, &head, body, len, NULL, 0);
    }
}

/* That many refusals, and nothing else, for calls beyond `first`. */
static void
refused_wait(struct raw *raw, uint32_t nr, uint64_t first)
{
    uint32_t refused_nr = 0;

    while (refused_nr < nr && raw_recv(raw) != NULL) {
        const struct rpc_head *head = &raw->inbox[raw->taken_nr - 1].head;

        EXPECT_EQ(head->hdr.flags, RPC_FLAG_REFUSED);
        EXPECT_ERR(head->hdr.rc, OVERLOAD_RETRY);
        EXPECT_GT(head->call, first);
        refused_nr++;
    }
    EXPECT_EQ(refused_nr, nr);
}

static void
served_wait(struct raw *raw, uint32_t nr)
{
    uint32_t served_nr = 0;

    while (served_nr < nr && raw_recv(raw) != NULL) {
        served_nr += raw->inbox[raw->taken_nr - 1].head.hdr.flags == 0;
    }
    EXPECT_EQ(served_nr, nr);
}

static void
ping_main(void *arg)
{
    EXPECT_OK(rig_ping(arg, RIG_LONG_NS));
}

/* RPC-5: a peer that does not count its credits is pushed back at its own limit, and nobody else is. */
SUITE(overload)
{
    enum { OVER = 100 };
    struct ult *other;
    struct raw raw;

    if (!raw_connect(&raw, rig))
        return;
    rig_mode_set(rig, RIG_MODE_GATE);
    flood(&raw, PROTO_PING, RPC_CONN_RUNNING_NR_MAX + OVER);
    refused_wait(&raw, OVER, RPC_CONN_RUNNING_NR_MAX);
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, ping_main, rig, &other));
    EXPECT(rig_running_wait(rig, RPC_CONN_RUNNING_NR_MAX + 1));
    rig_gate_open(rig);
    ult_join(other);
    served_wait(&raw, RPC_CONN_RUNNING_NR_MAX);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    raw_close(&raw);
}

/* RPC-5: many peers flood with data. One that comes late with few requests has room, services have more. */
SUITE(overload_of_many)
{
    enum {
        FLOODERS_NR = RPC_RUNNING_SCARCE_NR / RPC_CONN_RUNNING_NR_MAX,
        OVER = 10,
    };
    struct raw *raws = calloc(FLOODERS_NR + 1, sizeof(*raws));
    struct raw *late = &raws[FLOODERS_NR];
    struct ult *other;

    rig_mode_set(rig, RIG_MODE_GATE);
    for (int i = 0; i < FLOODERS_NR; i++) {
        if (!raw_connect(&raws[i], rig))
            return;
        flood(&raws[i], PROTO_OBJ_APPLY, RPC_CONN_RUNNING_NR_MAX + OVER);
        refused_wait(&raws[i], OVER, RPC_CONN_RUNNING_NR_MAX);
    }
    if (!raw_connect(late, rig))
        return;
    flood(late, PROTO_OBJ_APPLY, RPC_CONN_FEW_NR + OVER);
    refused_wait(late, OVER, RPC_CONN_FEW_NR);
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, ping_main, rig, &other)); /* a service */
    EXPECT(rig_running_wait(rig, RPC_RUNNING_SCARCE_NR + RPC_CONN_FEW_NR + 1));
    rig_gate_open(rig);
    ult_join(other);
    served_wait(late, RPC_CONN_FEW_NR);
    for (int i = 0; i < FLOODERS_NR; i++) {
        served_wait(&raws[i], RPC_CONN_RUNNING_NR_MAX);
        raw_close(&raws[i]);
    }
    raw_close(late);
    free(raws);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

/* ---- clients that fail in the middle of a transfer ------------------------------------------------------------------ */

static void
handlers_wait(struct rig *rig)
{
    struct rpc_stats stats;
    uint64_t limit_ns = plat_mono_ns(rig->cplat) + RIG_LONG_NS;

    do {
        rig_stats(rig, &stats);
        if (stats.running_nr > 0) {
            ult_sleep(RIG_MS);
        }
    } while (stats.running_nr > 0 && plat_mono_ns(rig->cplat) < limit_ns);
    EXPECT_EQ(stats.running_nr, 0u);
}

/* RPC-12: answers to a GET that say where the data is. */
enum here_lie {
    HERE_TRUE,
    HERE_NONCE,
    HERE_CRC,
    HERE_WHOLE,
    HERE_NOWHERE,
    HERE_SHORT,
    HERE_UNASKED,
};
enum { HERE_BYTES = 100000 };

static void
here_answer(struct rig *rig, enum here_lie lie)
{
    static uint8_t data[HERE_BYTES], nonce[16] = {1, 2, 3};
    struct raw raw;
    struct rpc_head head;
    uint8_t buf[RPC_BULK_HERE_BYTES];
    const struct raw_msg *msg;
    struct rpc_bulk_here here = {
        .crc = rig_crc(data, sizeof(data)) ^ (lie == HERE_CRC || lie == HERE_WHOLE)};
    uint64_t at = lie == HERE_NOWHERE ? 4096 : (uint64_t)(uintptr_t)data;
    struct rpc_stats stats;

    if (!raw_connect(&raw, rig))
        return;
    le64_put(here.where, (uint64_t)(uintptr_t)nonce);
    memcpy(here.where + 8, nonce, sizeof(nonce));
    here.where[8] ^= lie == HERE_NONCE;
    le64_put(here.where + 24, at);
    rig->server.bulk_rc = 1;
    raw_apply_send(&raw, 1, lie == HERE_UNASKED ? 5000 : HERE_BYTES, RIG_LONG_NS);
    msg = raw_recv(&raw);
    if (!EXPECT(msg != NULL && msg->head.kind == RPC_KIND_BULK_GET))
        return;
    EXPECT_EQ(msg->head.hdr.flags, lie == HERE_UNASKED ? 0 : RPC_FLAG_DIRECT);
    head = raw_head(&raw, RPC_KIND_BULK_HERE, 0, 1);
    head.hdr.flags = lie == HERE_WHOLE ? RPC_FLAG_WHOLE
                                       : 0; /* who asks did not say that it compares the whole */
    rpc_bulk_body_encode(&msg->bulk, buf);
    rpc_bulk_here_encode(&here, buf);
    raw_send(&raw, &head, buf, lie == HERE_SHORT ? RPC_BULK_BODY_BYTES : sizeof(buf), NULL, 0);
    if (lie == HERE_SHORT) {
        EXPECT(raw_down_wait(&raw));
        raw_close(&raw);
        return;
    }
    if (lie != HERE_TRUE && lie != HERE_UNASKED) { /* then it wants the bytes themselves */
        msg = raw_recv(&raw);
        EXPECT(msg != NULL && msg->head.kind == RPC_KIND_BULK_GET && msg->head.hdr.flags == 0);
    }
    do {
        rig_stats(rig, &stats);
        ult_sleep(lie == HERE_TRUE && stats.running_nr > 0 ? RIG_MS : 0);
    } while (lie == HERE_TRUE && stats.running_nr > 0 && stats.direct_failed_nr == 0);
    if (lie != HERE_TRUE || stats.direct_failed_nr > 0) { /* a container may forbid it */
        head = raw_head(&raw, RPC_KIND_BULK_DATA, 0, 1);
        head.payload_crc = rig_crc(data, msg->bulk.len);
        raw_send(&raw, &head, buf, RPC_BULK_BODY_BYTES, data, msg->bulk.len);
    }
    handlers_wait(rig);
    EXPECT_OK(rig->server.bulk_rc);
    raw_close(&raw);
}

static void
here_lies(struct rig *rig)
{
    for (int lie = HERE_TRUE; lie <= HERE_UNASKED; lie++) {
        here_answer(rig, (enum here_lie)lie);
    }
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

TEST_LINUX(rpc_hostile, lies_about_memory, "process_vm_readv is Linux's")
{
    struct rig rig;

    if (!rig_init(&rig, "unix", NULL))
        return;
    rig_run(&rig, here_lies);
    rig_fini(&rig);
}

/* RPC-14: where its region lies, told with the request. */
enum hint_lie {
    HINT_TRUE,
    HINT_ID,
    HINT_KEY,
    HINT_SHORT,
    HINT_OFF,
    HINT_CALL,
    HINT_NOWHERE,
    HINT_NONCE
};

static void
hint_answer(struct rig *rig, enum hint_lie lie)
{
    static uint8_t data[HERE_BYTES], nonce[16] = {1, 2, 3};
    struct raw raw;
    struct rpc_head head;
    uint8_t buf[RPC_BULK_HERE_BYTES];
    const struct raw_msg *msg;
    struct rpc_bulk_body body = {.id = 1 + (lie == HINT_ID),
        .key = 2 + (lie == HINT_KEY),
        .off = lie == HINT_OFF,
        .len = HERE_BYTES - (lie == HINT_SHORT)};
    struct rpc_bulk_here here = {.crc = 0};
    struct rpc_stats stats;
    uint64_t hinted, failed;

    if (!raw_connect(&raw, rig))
        return;
    le64_put(here.where, (uint64_t)(uintptr_t)nonce);
    memcpy(here.where + 8, nonce, sizeof(nonce));
    here.where[8] ^= lie == HINT_NONCE;
    le64_put(here.where + 24, lie == HINT_NOWHERE ? 4096 : (uint64_t)(uintptr_t)data);
    rig_stats(rig, &stats);
    hinted = stats.hinted_bytes;
    failed = stats.direct_failed_nr;
    rig_mode_set(rig, RIG_MODE_WHOLE_GATE);
    rig->server.bulk_rc = 1;
    raw_apply_send(&raw, 1, HERE_BYTES, RIG_LONG_NS);
    rpc_bulk_body_encode(&body, buf);
    rpc_bulk_here_encode(&here, buf);
    head = raw_head(&raw, RPC_KIND_BULK_HERE, 0, 1 + (lie == HINT_CALL));
    raw_send(&raw, &head, buf, sizeof(buf), NULL, 0);
    head = raw_head(&raw, RPC_KIND_REQUEST, 9999, 2); /* refused: then the hint has been seen */
    raw_send(&raw, &head, NULL, 0, NULL, 0);
    msg = raw_recv(&raw);
    EXPECT(msg != NULL && msg->head.kind == RPC_KIND_REPLY);
    rig_gate_open(rig);
    if (lie == HINT_TRUE) {
        handlers_wait(rig);
        rig_stats(rig, &stats);
        EXPECT(stats.hinted_bytes == hinted + HERE_BYTES || stats.direct_failed_nr > failed);
    } else {
        msg = raw_recv(&raw);
        if (!EXPECT(msg != NULL && msg->head.kind == RPC_KIND_BULK_GET))
            return;
        EXPECT_EQ(msg->head.hdr.flags, RPC_FLAG_WHOLE | (lie < HINT_NOWHERE ? RPC_FLAG_DIRECT : 0));
        head = raw_head(&raw, RPC_KIND_BULK_DATA, 0, 1);
        head.hdr.flags = RPC_FLAG_WHOLE;
        rpc_bulk_body_encode(&msg->bulk, buf);
        raw_send(&raw, &head, buf, RPC_BULK_BODY_BYTES, data, msg->bulk.len);
        handlers_wait(rig);
        EXPECT_EQ(rig->server.landed_bytes, HERE_BYTES);
    }
    EXPECT_ERR(rig->server.bulk_rc,
        CSUM); /* the request names no checksum: all that came is not what was offered */
    raw_close(&raw);
}

static void
hint_lies(struct rig *rig)
{
    for (int lie = HINT_TRUE; lie <= HINT_NONCE; lie++) {
        hint_answer(rig, (enum hint_lie)lie);
    }
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

TEST_LINUX(rpc_hostile, lies_told_unasked, "process_vm_readv is Linux's")
{
    struct rig rig;

    if (!rig_init(&rig, "unix", NULL))
        return;
    rig_run(&rig, hint_lies);
    rig_fini(&rig);
}

SUITE(client_dies_in_a_pull)
{
    struct raw raw;

    if (!raw_connect(&raw, rig))
        return;
    raw_apply_send(&raw, 1, 4 << 20, RIG_LONG_NS);
    for (int i = 0; i < RPC_BULK_WINDOW_NR; i++) {
        const struct raw_msg *msg = raw_recv(&raw);

        EXPECT(msg != NULL && msg->head.kind == RPC_KIND_BULK_GET);
        EXPECT(msg != NULL && msg->bulk.off == (uint64_t)i * RPC_BULK_CHUNK_BYTES);
    }
    raw_close(&raw);
    handlers_wait(rig);
    EXPECT_ERR(rig->server.bulk_rc, UNREACH);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

/* MS-6: one that sleeps costs its own deadline only. */
SUITE(client_sleeps_in_a_pull)
{
    struct raw raw;
    const struct raw_msg *reply;

    if (!raw_connect(&raw, rig))
        return;
    raw_apply_send(&raw, 1, 4 << 20, RIG_SHORT_NS);
    do {
        reply = raw_recv(&raw);
    } while (reply != NULL && reply->head.kind == RPC_KIND_BULK_GET);
    EXPECT_ERR(rig->server.bulk_rc, TIMEDOUT);
    EXPECT(reply != NULL && reply->head.hdr.rc == -DER_TIMEDOUT); /* the connection lives */
    raw_close(&raw);
}

static void
get_answer(
    struct rig *rig, uint64_t xfer_add, uint32_t crc_xor, uint16_t flags, uint32_t len, int want)
{
    struct raw raw;
    struct rpc_head head;
    struct rpc_bulk_body body = {.xfer = 0};
    uint8_t body_buf[RPC_BULK_BODY_BYTES];
    static uint8_t data[1 << 20];
    const struct raw_msg *msg;

    if (!raw_connect(&raw, rig))
        return;
    rig->server.bulk_rc = 1;
    raw_apply_send(&raw, 1, 5000, 10 * RIG_SHORT_NS);
    msg = raw_recv(&raw);
    if (!EXPECT(msg != NULL && msg->head.kind == RPC_KIND_BULK_GET && msg->bulk.len == 5000))
        return;
    head = raw_head(&raw, RPC_KIND_BULK_DATA, 0, 1);
    body.xfer = msg->bulk.xfer + xfer_add;
    rpc_bulk_body_encode(&body, body_buf);
    head.payload_crc = rig_crc(data, len) ^ crc_xor;
    head.hdr.flags = flags;
    raw_send(&raw, &head, body_buf, sizeof(body_buf), data, len);
    if (xfer_add != 0) { /* unknown: ignored; the right one comes after it */
        body.xfer -= xfer_add;
        rpc_bulk_body_encode(&body, body_buf);
        raw_send(&raw, &head, body_buf, sizeof(body_buf), data, len);
        raw_send(&raw, &head, body_buf, sizeof(body_buf), data, len); /* twice, even */
    }
    handlers_wait(rig);
    EXPECT_EQ(rig->server.bulk_rc, want);
    raw_close(&raw);
}

SUITE(data_answers)
{
    get_answer(rig, 0, 0, 0, 5000, 0);
    get_answer(rig, 99, 0, 0, 5000, 0);
    get_answer(rig, 0, 1, 0, 5000, -DER_CSUM);
    get_answer(rig, 0, 1, RPC_FLAG_WHOLE, 5000, -DER_CSUM); /* who asked compares nothing himself */
    get_answer(rig, 0, 0, 0, 4999, -DER_PROTO);
    get_answer(rig, 0, 0, 0, 5001, -DER_PROTO);
    get_answer(rig, 0, 0, 0, 1 << 20, -DER_PROTO);
    get_answer(rig, 0, 0, 0, 0, -DER_PROTO);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

/* ---- hostile servers ------------------------------------------------------------------------------------------------ */

static struct rpc_head *
hostile_reply(struct raw *raw, const struct raw_msg *msg)
{
    static __thread struct rpc_head head;

    head = raw_head(raw, RPC_KIND_REPLY, msg->head.hdr.opcode, msg->head.call);
    head.hdr.dst_incarnation = msg->head.hdr.src_incarnation;
    return &head;
}

static void
on_msg_garbage(struct raw *raw, const struct raw_msg *msg)
{
    (void)msg;
    raw_send_bytes(raw, "certainly not", 13, NULL, 0);
}

static void
on_msg_other_version(struct raw *raw, const struct raw_msg *msg)
{
    struct rpc_head *head = hostile_reply(raw, msg);

    head->ver = head->ver_lo = head->ver_hi = 2;
    head->hdr.flags = RPC_FLAG_REFUSED;
    head->hdr.rc = -DER_PROTO;
    raw_send(raw, head, NULL, 0, NULL, 0);
}

static void
on_msg_positive(struct raw *raw, const struct raw_msg *msg)
{
    struct rpc_head *head = hostile_reply(raw, msg);

    head->hdr.rc = 5;
    raw_send(raw, head, NULL, 0, NULL, 0);
}

static void
on_msg_refused_ok(struct raw *raw, const struct raw_msg *msg)
{
    struct rpc_head *head = hostile_reply(raw, msg);

    head->hdr.flags = RPC_FLAG_REFUSED;
    raw_send(raw, head, NULL, 0, NULL, 0);
}

static void
on_msg_other_opcode(struct raw *raw, const struct raw_msg *msg)
{
    struct rpc_head *head = hostile_reply(raw, msg);

    head->hdr.opcode++;
    raw_send(raw, head, NULL, 0, NULL, 0);
}

/* First what must be ignored, then the answer. */
static void
on_msg_noise(struct raw *raw, const struct raw_msg *msg)
{
    struct rpc_head *head = hostile_reply(raw, msg);

    head->call += 1000;
    raw_send(raw, head, NULL, 0, NULL, 0);
    head = hostile_reply(raw, msg);
    head->hdr.dst_incarnation = 1; /* for a predecessor at this address */
    raw_send(raw, head, NULL, 0, NULL, 0);
    head = hostile_reply(raw, msg);
    head->hdr.system.b[3] ^= 1;
    raw_send(raw, head, NULL, 0, NULL, 0);
    head = hostile_reply(raw, msg);
    head->hdr.rc = -DER_NONEXIST;
    raw_send(raw, head, NULL, 0, NULL, 0);
    raw_send(raw, head, NULL, 0, NULL, 0);
}

static void
hostile_ping(struct rig *rig, void (*on_msg)(struct raw *raw, const struct raw_msg *msg), int want)
{
    struct raw raw;
    char uri[NET_URI_MAX];
    uint32_t tag = 1 + rig->resolved_nr; /* an endpoint of its own */
    struct rpc_call_opts opts = rig_opts(rig, RIG_LONG_NS, NULL);

    if (!raw_listen(&raw, rig, uri))
        return;
    raw.on_msg = on_msg;
    rig->resolve_uri = uri;
    EXPECT_EQ(rpc_call(rig->ctx, (struct rpc_ep){RIG_RANK, tag}, PROTO_PING,
                  &(struct proto_empty){0}, NULL, &opts, NULL),
        want);
    raw_close(&raw);
    rig->resolve_uri = NULL;
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

SUITE(bad_replies)
{
    hostile_ping(rig, on_msg_garbage, -DER_UNREACH);
    hostile_ping(rig, on_msg_other_version, -DER_PROTO);
    hostile_ping(rig, on_msg_positive, -DER_PROTO);
    hostile_ping(rig, on_msg_refused_ok, -DER_PROTO);
    hostile_ping(rig, on_msg_other_opcode, -DER_PROTO);
    hostile_ping(rig, on_msg_noise, -DER_NONEXIST);
}

/* RPC-4: what a server may not do with the regions of its callers. */
static void
bulk_send(struct raw *raw, uint16_t kind, uint64_t call, const struct rpc_bulk_body *body,
    const void *data, uint32_t crc_xor)
{
    struct rpc_head head = raw_head(raw, kind, 0, call);
    struct rpc_bulk_here nowhere = {.crc = 0};
    uint8_t buf[RPC_BULK_HERE_BYTES];
    size_t len = kind == RPC_KIND_BULK_PUT ? body->len : 0;

    rpc_bulk_body_encode(body, buf);
    rpc_bulk_here_encode(&nowhere, buf);
    head.payload_crc = rig_crc(data, len) ^ crc_xor;
    raw_send(
        raw, &head, buf, kind == RPC_KIND_BULK_TAKE ? sizeof(buf) : RPC_BULK_BODY_BYTES, data, len);
}

static struct rpc_bulk *hostile_region(struct raw *raw);

static void
on_msg_bulk(struct raw *raw, const struct raw_msg *msg)
{
    static uint8_t data[100];
    struct rpc_bulk *bulk = hostile_region(raw);
    struct rpc_bulk_body good = {.xfer = 1, .id = bulk->id, .key = bulk->key, .off = 0, .len = 100};
    static const uint16_t kinds[] = {RPC_KIND_BULK_GET, RPC_KIND_BULK_PUT, RPC_KIND_BULK_TAKE};
    struct rpc_bulk_body body;
    uint64_t call = msg->head.call;

    if (msg->head.kind != RPC_KIND_REQUEST)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        uint16_t kind = kinds[i];

        bulk_send(raw, kind, call + 1, &good, data, 0); /* no such call: UNREACH */
        body = good;
        body.xfer = 2;
        body.key++;
        bulk_send(raw, kind, call, &body, data, 0); /* all others: INVAL */
        body = good;
        body.xfer = 3;
        body.off = bulk->len - 99;
        bulk_send(raw, kind, call, &body, data, 0);
        body.xfer = 4;
        body.off = UINT64_MAX - 50;
        bulk_send(raw, kind, call, &body, data, 0);
        body = good;
        body.xfer = 5;
        body.len = 0;
        bulk_send(raw, kind, call, &body, data, 0);
        body.xfer = 6;
        body.len = RPC_PUSH_PART_BYTES_MAX + 1;
        if (kind != RPC_KIND_BULK_PUT) /* no transport takes as much */
            bulk_send(raw, kind, call, &body, data, 0);
        body = good;
        body.xfer = 7;
        body.id++;
        bulk_send(raw, kind, call, &body, data, 0); /* UNREACH */
    }
    body = good;
    body.xfer = 8;
    bulk_send(raw, RPC_KIND_BULK_PUT, call, &body, data, 1); /* CSUM */
}

static struct rpc_bulk *
hostile_region(struct raw *raw)
{
    return LIST_FIRST(&raw->rig->ctx->bulks, struct rpc_bulk, link);
}

SUITE(bad_bulk_requests)
{
    static const int want[] = {0, -DER_UNREACH, -DER_INVAL, -DER_INVAL, -DER_INVAL, -DER_INVAL,
        -DER_INVAL, -DER_UNREACH, -DER_CSUM};
    struct raw raw;
    char uri[NET_URI_MAX];
    static uint8_t mem[2 * RPC_PUSH_PART_BYTES_MAX];
    struct iov iov = {mem, sizeof(mem)};
    struct rpc_bulk *bulk = NULL;
    bool is_slow = strcmp(rig->transport, "ofi") == 0; /* to connect */
    struct rpc_call_opts opts = rig_opts(rig, (is_slow ? 10 : 1) * RIG_SHORT_NS, NULL);
    uint32_t changed_nr = 0;

    memset(mem, 0xcc, sizeof(mem));
    if (!raw_listen(&raw, rig, uri))
        return;
    EXPECT_OK(
        rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ | RPC_BULK_WRITE, &bulk));
    raw.on_msg = on_msg_bulk;
    rig->resolve_uri = uri;
    EXPECT_ERR(rpc_call(rig->ctx, (struct rpc_ep){RIG_RANK, 9}, PROTO_PING,
                   &(struct proto_empty){0}, NULL, &opts, NULL),
        TIMEDOUT);
    EXPECT_EQ(raw.inbox_nr, 1u + 7 + 6 + 7 + 1);
    for (uint32_t i = 1; i < raw.inbox_nr; i++) {
        const struct raw_msg *msg = &raw.inbox[i];

        EXPECT_EQ(msg->head.kind, RPC_KIND_BULK_DONE);
        if (EXPECT(msg->bulk.xfer >= 1 && msg->bulk.xfer <= 8)) {
            EXPECT_EQ(msg->bulk.rc, want[msg->bulk.xfer]);
        }
    }
    for (size_t i = 100; i < sizeof(mem); i++) { /* the damaged one may have landed: [0, 100) */
        changed_nr += mem[i] != 0xcc;
    }
    EXPECT_EQ(changed_nr, 0u);
    raw_close(&raw);
    rpc_bulk_free(bulk);
    rig->resolve_uri = NULL;
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

/* RPC-12: pushes that say where the data is. */
static struct {
    uint8_t data[HERE_BYTES], nonce[16];
    enum here_lie lie;
} take;

static void
on_msg_take(struct raw *raw, const struct raw_msg *msg)
{
    struct rpc_bulk *bulk = hostile_region(raw);
    struct rpc_bulk_body body = {.xfer = 1, .id = bulk->id, .key = bulk->key, .len = HERE_BYTES};
    struct rpc_bulk_here here = {.crc = rig_crc(take.data, HERE_BYTES) ^ (take.lie == HERE_CRC)};
    struct rpc_head head;
    uint8_t buf[RPC_BULK_HERE_BYTES];

    if (msg->head.kind == RPC_KIND_BULK_DONE)
        return;
    EXPECT_EQ(msg->head.hdr.flags, RPC_FLAG_DIRECT | RPC_FLAG_EARLY);
    le64_put(here.where, (uint64_t)(uintptr_t)take.nonce);
    memcpy(here.where + 8, take.nonce, sizeof(take.nonce));
    here.where[8] ^= take.lie == HERE_NONCE;
    le64_put(here.where + 24, take.lie == HERE_NOWHERE ? 4096 : (uint64_t)(uintptr_t)take.data);
    rpc_bulk_body_encode(&body, buf);
    rpc_bulk_here_encode(&here, buf);
    head = raw_head(raw, RPC_KIND_BULK_TAKE, 0, msg->head.call);
    raw_send(raw, &head, buf, take.lie == HERE_SHORT ? RPC_BULK_BODY_BYTES : sizeof(buf), NULL, 0);
    if (take.lie == HERE_UNASKED) { /* and the region goes while it is read */
        head = *hostile_reply(raw, msg);
        raw_send(raw, &head, NULL, 0, NULL, 0);
    }
}

static void
take_answer(struct rig *rig, enum here_lie lie)
{
    static uint8_t mem[HERE_BYTES];
    struct raw raw;
    char uri[NET_URI_MAX];
    struct iov iov = {mem, sizeof(mem)};
    struct rpc_bulk *bulk = NULL;
    struct rpc_call_opts opts = rig_opts(rig, RIG_SHORT_NS, NULL);
    uint32_t crc = 0;
    int rc;

    memset(mem, 0xcc, sizeof(mem));
    rig_pattern(take.data, sizeof(take.data), lie);
    rig_pattern(take.nonce, sizeof(take.nonce), 99);
    take.lie = lie;
    if (!raw_listen(&raw, rig, uri))
        return;
    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
    raw.on_msg = on_msg_take;
    rig->resolve_uri = uri;
    rc = rpc_call(rig->ctx, (struct rpc_ep){RIG_RANK, 20 + (uint32_t)lie}, PROTO_PING,
        &(struct proto_empty){0}, NULL, &opts, NULL);
    if (lie == HERE_SHORT) {
        EXPECT_ERR(rc, UNREACH);
    } else if (lie == HERE_UNASKED) {
        EXPECT_OK(rc);
    } else {
        EXPECT_ERR(rc, TIMEDOUT);
        if (EXPECT_EQ(raw.inbox_nr, 2u)) {
            EXPECT_EQ(raw.inbox[1].head.kind, RPC_KIND_BULK_DONE);
            rc = raw.inbox[1].bulk.rc;
            if (lie == HERE_CRC) {
                EXPECT(rc == -DER_CSUM || rc == -DER_NO_PERM); /* a container may forbid it */
            } else if (lie == HERE_NOWHERE) {
                EXPECT(rc == -DER_NONEXIST || rc == -DER_NO_PERM);
            } else if (lie != HERE_TRUE) {
                EXPECT_ERR(rc, NO_PERM);
            }
        }
    }
    rpc_bulk_close(bulk);
    if (lie == HERE_TRUE && raw.inbox_nr == 2 && raw.inbox[1].bulk.rc == 0) {
        EXPECT_MEM_EQ(mem, take.data, sizeof(mem));
        EXPECT(rpc_bulk_arrived(bulk, 0, sizeof(mem), &crc));
        EXPECT_EQ(crc, rig_crc(mem, sizeof(mem)));
    } else if (lie != HERE_UNASKED) {
        EXPECT(!rpc_bulk_arrived(bulk, 0, sizeof(mem), &crc));
    }
    raw_close(&raw);
    rpc_bulk_free(bulk);
    rig->resolve_uri = NULL;
}

static void
take_lies(struct rig *rig)
{
    for (int lie = HERE_TRUE; lie <= HERE_UNASKED; lie++) {
        if (lie != HERE_WHOLE)
            take_answer(rig, (enum here_lie)lie);
    }
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

TEST_LINUX(rpc_hostile, server_lies_about_memory, "process_vm_readv is Linux's")
{
    struct rig rig;

    if (!rig_init(&rig, "unix", NULL))
        return;
    rig_run(&rig, take_lies);
    rig_fini(&rig);
}

/* RPC-15: the reply comes before the data could be read, and then this. */
enum early_then { EARLY_PUT, EARLY_PUT_CRC, EARLY_NOTHING, EARLY_CUT, EARLY_THEN_NR };
static enum early_then early_then;

static void
on_msg_early(struct raw *raw, const struct raw_msg *msg)
{
    struct rpc_bulk *bulk = hostile_region(raw);
    struct rpc_bulk_body body = {.xfer = 1, .id = bulk->id, .key = bulk->key, .len = HERE_BYTES};
    struct rpc_bulk_here here = {.crc = rig_crc(take.data, HERE_BYTES) ^ (take.lie == HERE_CRC)};
    struct rpc_head head;
    uint8_t buf[RPC_BULK_HERE_BYTES];

    if (msg->head.kind == RPC_KIND_BULK_DONE) {
        if (msg->bulk.rc != 0 && (early_then == EARLY_PUT || early_then == EARLY_PUT_CRC)) {
            bulk_send(raw, RPC_KIND_BULK_PUT, msg->head.call, &body, take.data,
                early_then == EARLY_PUT_CRC);
        } else if (msg->bulk.rc != 0 && early_then == EARLY_CUT) {
            raw->ops->disconnect(raw->peer);
        }
        return;
    }
    le64_put(here.where, (uint64_t)(uintptr_t)take.nonce);
    memcpy(here.where + 8, take.nonce, sizeof(take.nonce));
    le64_put(here.where + 24, take.lie == HERE_NOWHERE ? 4096 : (uint64_t)(uintptr_t)take.data);
    rpc_bulk_body_encode(&body, buf);
    rpc_bulk_here_encode(&here, buf);
    head = raw_head(raw, RPC_KIND_BULK_TAKE, 0, msg->head.call);
    raw_send(raw, &head, buf, sizeof(buf), NULL, 0);
    head = *hostile_reply(raw, msg);
    raw_send(raw, &head, NULL, 0, NULL, 0);
    raw_send(raw, &head, NULL, 0, NULL, 0); /* a copy changes nothing */
}

static void
early_answer(struct rig *rig, enum here_lie lie, enum early_then then)
{
    static uint8_t mem[HERE_BYTES];
    struct raw raw;
    char uri[NET_URI_MAX];
    struct iov iov = {mem, sizeof(mem)};
    struct rpc_bulk *bulk = NULL;
    struct rpc_call_opts opts = rig_opts(rig, RIG_SHORT_NS, NULL);
    int rc;

    memset(mem, 0xcc, sizeof(mem));
    rig_pattern(take.data, sizeof(take.data), then);
    rig_pattern(take.nonce, sizeof(take.nonce), 98);
    take.lie = lie;
    early_then = then;
    if (!raw_listen(&raw, rig, uri))
        return;
    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
    raw.on_msg = on_msg_early;
    rig->resolve_uri = uri;
    rc = rpc_call(rig->ctx, (struct rpc_ep){RIG_RANK, 40 + (uint32_t)(lie * EARLY_THEN_NR + then)},
        PROTO_PING, &(struct proto_empty){0}, NULL, &opts, NULL);
    if (then == EARLY_PUT) {
        EXPECT_OK(rc);
        EXPECT_MEM_EQ(mem, take.data, sizeof(mem));
    } else if (then == EARLY_PUT_CRC) {
        EXPECT_ERR(rc, CSUM);
    } else if (then == EARLY_NOTHING) {
        EXPECT_ERR(rc, TIMEDOUT);
    } else {
        EXPECT_ERR(rc, UNREACH);
    }
    rpc_bulk_close(bulk);
    raw_close(&raw);
    rpc_bulk_free(bulk);
    rig->resolve_uri = NULL;
}

static void
early_answers(struct rig *rig)
{
    early_answer(rig, HERE_TRUE, EARLY_PUT);
    for (int then = 0; then < EARLY_THEN_NR; then++) {
        early_answer(rig, HERE_CRC, (enum early_then)then);
        early_answer(rig, HERE_NOWHERE, (enum early_then)then);
    }
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

TEST_LINUX(rpc_hostile, server_replies_early, "process_vm_readv is Linux's")
{
    struct rig rig;

    if (!rig_init(&rig, "unix", NULL))
        return;
    rig_run(&rig, early_answers);
    rig_fini(&rig);
}

/* RPC-15: a client that has its reply and gives back what it was shown never, late, or with a complaint; the server keeps it no longer than the request was for. */
enum early_client { EARLY_SILENT, EARLY_GONE, EARLY_COMPLAINS, EARLY_CLIENTS_NR };

static void
early_keep(struct rig *rig, enum early_client how)
{
    enum { LEN = 2 * RPC_PUSH_PART_BYTES_MAX };
    struct proto_obj_fetch_req req = {.epoch = UINT64_MAX, .bulk = {.id = 1, .key = 2, .len = LEN}};
    struct raw raw;
    struct rpc_head head;
    struct rpc_stats stats;
    const struct raw_msg *msg;
    struct rpc_bulk_body takes[2];
    uint8_t body[256];
    size_t body_len = 0;
    uint32_t takes_nr = 0;

    if (!raw_connect(&raw, rig))
        return;
    rig->server.bulk_rc = 1;
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_OBJ_FETCH, 1);
    head.hdr.flags = RPC_FLAG_DIRECT | RPC_FLAG_EARLY;
    head.hdr.seq = 1;
    head.hdr.timeout_ns = how == EARLY_SILENT ? RIG_SHORT_NS : RIG_LONG_NS;
    EXPECT_OK(proto_encode(proto_op_find(PROTO_OBJ_FETCH)->req, &req, body, sizeof(body), &body_len));
    raw_send(&raw, &head, body, body_len, NULL, 0);
    while ((msg = raw_recv(&raw)) != NULL && msg->head.kind == RPC_KIND_BULK_TAKE && takes_nr < 2) {
        takes[takes_nr++] = msg->bulk;
    }
    EXPECT_EQ(takes_nr, 2u);
    if (EXPECT(msg != NULL)) {
        EXPECT_EQ(msg->head.kind, RPC_KIND_REPLY);
        EXPECT_EQ(msg->head.hdr.rc, 0);
    }
    rig_stats(rig, &stats);
    EXPECT_EQ(stats.running_nr, 1u); /* it waits for us */
    if (how == EARLY_GONE) {
        raw_close(&raw);
    }
    for (uint32_t i = 0; how == EARLY_COMPLAINS && i < takes_nr; i++) {
        takes[i].rc = -DER_CSUM;
        bulk_send(&raw, RPC_KIND_BULK_DONE, 1, &takes[i], NULL, 0);
        msg = raw_recv(&raw);
        if (EXPECT(msg != NULL))
            EXPECT_EQ(msg->head.kind, RPC_KIND_BULK_PUT);
        takes[i].rc = 0;
        bulk_send(&raw, RPC_KIND_BULK_DONE, 1, &takes[i], NULL, 0);
    }
    handlers_wait(rig);
    if (how == EARLY_SILENT) {
        EXPECT_ERR(rig->server.bulk_rc, TIMEDOUT);
        EXPECT(!raw.is_down);
    } else if (how == EARLY_GONE) {
        EXPECT_ERR(rig->server.bulk_rc, UNREACH);
        return;
    } else {
        EXPECT_OK(rig->server.bulk_rc);
    }
    raw_close(&raw);
}

static void
early_keeps(struct rig *rig)
{
    rig_mode_set(rig, RIG_MODE_EARLY);
    for (int how = 0; how < EARLY_CLIENTS_NR; how++) {
        early_keep(rig, (enum early_client)how);
    }
    rig_mode_set(rig, RIG_MODE_PLAIN);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

TEST_LINUX(rpc_hostile, client_keeps_what_it_reads, "process_vm_readv is Linux's")
{
    struct rig rig;

    if (!rig_init(&rig, "unix", NULL))
        return;
    rig_run(&rig, early_keeps);
    rig_fini(&rig);
}

/* A client that was told where the data is, and does something else. */
enum take_answer { TAKE_CSUM, TAKE_NO_PERM, TAKE_INVAL, TAKE_GONE, TAKE_ANSWERS_NR };

static void
take_refuse(struct rig *rig, enum take_answer answer)
{
    static const int rcs[] = {-DER_CSUM, -DER_NO_PERM, -DER_INVAL};
    enum { LEN = 5 * RPC_BULK_CHUNK_BYTES };
    struct proto_obj_fetch_req req = {.epoch = UINT64_MAX, .bulk = {.id = 1, .key = 2, .len = LEN}};
    struct raw raw;
    struct rpc_head head;
    const struct raw_msg *msg;
    uint8_t body[256];
    size_t body_len = 0;
    uint32_t takes_nr = 0, puts_nr = 0;

    if (!raw_connect(&raw, rig))
        return;
    rig->server.bulk_rc = 1;
    head = raw_head(&raw, RPC_KIND_REQUEST, PROTO_OBJ_FETCH, 1);
    head.hdr.flags = RPC_FLAG_DIRECT;
    head.hdr.seq = 1;
    EXPECT_OK(proto_encode(proto_op_find(PROTO_OBJ_FETCH)->req, &req, body, sizeof(body), &body_len));
    raw_send(&raw, &head, body, body_len, NULL, 0);
    while ((msg = raw_recv(&raw)) != NULL && msg->head.kind != RPC_KIND_REPLY) {
        struct rpc_bulk_body done = msg->bulk;

        takes_nr += msg->head.kind == RPC_KIND_BULK_TAKE;
        puts_nr += msg->head.kind == RPC_KIND_BULK_PUT;
        if (msg->head.kind == RPC_KIND_BULK_TAKE && answer == TAKE_GONE)
            break;
        done.rc = msg->head.kind == RPC_KIND_BULK_TAKE ? rcs[answer] : 0;
        bulk_send(&raw, RPC_KIND_BULK_DONE, 1, &done, NULL, 0);
    }
    raw_close(&raw);
    handlers_wait(rig);
    switch (answer) {
    case TAKE_CSUM: /* each is tried, each comes as a stream then */
        EXPECT_EQ(takes_nr, 5u);
        EXPECT_EQ(puts_nr, 5u);
        EXPECT_OK(rig->server.bulk_rc);
        break;
    case TAKE_NO_PERM: /* those on their way, and no more */
        EXPECT(takes_nr >= 1 && takes_nr <= RPC_BULK_WINDOW_NR);
        EXPECT_EQ(puts_nr, 5u);
        EXPECT_OK(rig->server.bulk_rc);
        break;
    case TAKE_INVAL:
        EXPECT_EQ(puts_nr, 0u);
        EXPECT_ERR(rig->server.bulk_rc, INVAL);
        break;
    default:
        EXPECT_ERR(rig->server.bulk_rc, UNREACH);
        break;
    }
}

static void
take_refusals(struct rig *rig)
{
    for (int answer = 0; answer < TAKE_ANSWERS_NR; answer++) {
        take_refuse(rig, (enum take_answer)answer);
    }
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

TEST_LINUX(rpc_hostile, client_refuses_to_read, "process_vm_readv is Linux's")
{
    struct rig rig;

    if (!rig_init(&rig, "unix", NULL))
        return;
    rig_run(&rig, take_refusals);
    rig_fini(&rig);
}

/* RPC-11: a server that asks for much is served a few chunks at a time; one that asks for more than any honest one may is cut off. */
struct greedy {
    struct rig *rig;
    uint32_t tag;
    int rc;
};

static void
greedy_call_main(void *arg)
{
    struct greedy *greedy = arg;
    struct rpc_call_opts opts = rig_opts(greedy->rig, RIG_LONG_NS, NULL);

    greedy->rc = rpc_call(greedy->rig->ctx, (struct rpc_ep){RIG_RANK, greedy->tag}, PROTO_PING,
        &(struct proto_empty){0}, NULL, &opts, NULL);
}

static void
greedy_run(struct rig *rig, uint32_t gets_nr, int want)
{
    struct greedy greedy = {rig, gets_nr, 1};
    struct raw raw;
    struct ult *ult;
    char uri[NET_URI_MAX];
    static uint8_t mem[RPC_BULK_CHUNK_BYTES];
    struct iov iov = {mem, sizeof(mem)};
    struct rpc_bulk *bulk = NULL;
    const struct raw_msg *msg;

    if (!raw_listen(&raw, rig, uri))
        return;
    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ, &bulk));
    rig->resolve_uri = uri;
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, greedy_call_main, &greedy, &ult));
    msg = raw_recv(&raw);
    if (EXPECT(msg != NULL)) {
        struct rpc_bulk_body body = {.id = bulk->id, .key = bulk->key, .len = iov.len};
        uint64_t call = msg->head.call;
        struct rpc_head *head = hostile_reply(&raw, msg);
        uint32_t data_nr = 0;

        for (uint32_t i = 0; i < gets_nr; i++) {
            body.xfer++;
            bulk_send(&raw, RPC_KIND_BULK_GET, call, &body, NULL, 0);
        }
        while (data_nr < gets_nr && (msg = raw_recv(&raw)) != NULL) {
            data_nr += msg->head.kind == RPC_KIND_BULK_DATA && msg->payload_len == iov.len;
        }
        raw_send(&raw, head, NULL, 0, NULL, 0);
    }
    ult_join(ult);
    EXPECT_EQ(greedy.rc, want);
    rpc_bulk_free(bulk);
    rig->resolve_uri = NULL;
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    raw_close(&raw);
}

SUITE(greedy_server)
{
    greedy_run(rig, 200, 0);
    greedy_run(rig, 4000, -DER_UNREACH);
}
