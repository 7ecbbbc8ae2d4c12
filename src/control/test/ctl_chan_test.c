/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a control channel gives what was sent, or an error that names the cause, whatever bytes come; nothing waits without end; one listener at a time.
 * Method: a socket pair whose other end writes what the test wants; ids are predictable, so that an answer can lie ready before the question.
 */
#include "base/util.h"
#include "control/ctl/ctl_chan.h"
#include "harness/harness.h"
#include "plat/plat_frame.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { FRAME_BYTES_MAX = 512 };

/* One end is a channel, the other a descriptor. */
static bool
pair_open(struct ctl_chan **ret_chan, int *ret_fd)
{
    int fds[2];

    if (!EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0))
        return false;
    *ret_fd = fds[1];
    if (EXPECT_OK(ctl_chan_wrap(fds[0], ret_chan)))
        return true;
    (void)close(fds[1]);
    return false;
}

static void
env_fill(Cairn__Ctl__Envelope *env, uint64_t id)
{
    cairn__ctl__envelope__init(env);
    env->version = 1;
    env->id = id;
    env->method = CAIRN__CTL__METHOD__PING;
    env->is_reply = true;
    env->error = (char *)(uintptr_t) "why";
    env->body.data = (uint8_t *)(uintptr_t) "body";
    env->body.len = 4;
}

static size_t
frame_make(const Cairn__Ctl__Envelope *env, uint8_t *buf)
{
    size_t len = cairn__ctl__envelope__pack(env, buf + FRAME_HDR_BYTES);

    frame_hdr_put(buf, len, 0);
    return FRAME_HDR_BYTES + len;
}

static void
env_send(int fd, const Cairn__Ctl__Envelope *env)
{
    uint8_t buf[FRAME_BYTES_MAX];
    size_t len = frame_make(env, buf);

    EXPECT_EQ(write(fd, buf, len), (ssize_t)len);
}

/* What a channel says about bytes, followed by the end of the stream. */
static int
feed(const uint8_t *bytes, size_t len, Cairn__Ctl__Envelope **ret_env)
{
    struct ctl_chan *chan;
    int fd, rc;

    if (!pair_open(&chan, &fd))
        return 0;
    EXPECT_EQ(write(fd, bytes, len), (ssize_t)len);
    (void)close(fd);
    rc = ctl_chan_recv(chan, 1000, ret_env);
    ctl_chan_close(chan);
    return rc;
}

TEST_LINUX(ctl_chan, every_cut, "sockets of the kernel")
{
    Cairn__Ctl__Envelope env, *got;
    uint8_t buf[FRAME_BYTES_MAX];
    struct ctl_chan *chan;
    size_t len;
    int fd;

    env_fill(&env, 77);
    len = frame_make(&env, buf);
    for (size_t cut = 0; cut <= len; cut++) {
        if (!pair_open(&chan, &fd))
            return;
        EXPECT_EQ(write(fd, buf, cut), (ssize_t)cut);
        if (cut < len)
            EXPECT_ERR(ctl_chan_recv(chan, 1, &got), TIMEDOUT);
        EXPECT_EQ(write(fd, buf + cut, len - cut), (ssize_t)(len - cut));
        if (EXPECT_OK(ctl_chan_recv(chan, 1000, &got))) {
            EXPECT_EQ(got->id, 77);
            EXPECT_STR_EQ(got->error, "why");
            EXPECT_EQ(got->body.len, 4);
            cairn__ctl__envelope__free_unpacked(got, NULL);
        }
        (void)close(fd);
        EXPECT_ERR(ctl_chan_recv(chan, 1000, &got), UNREACH);
        ctl_chan_close(chan);
    }
}

TEST_LINUX(ctl_chan, hostile_bytes, "sockets of the kernel")
{
    Cairn__Ctl__Envelope env, *got;
    uint8_t buf[FRAME_BYTES_MAX], bad[FRAME_BYTES_MAX];
    size_t len;

    /* Any byte changed: an error, or a message of the right shape whose fields differ. */
    env_fill(&env, 77);
    len = frame_make(&env, buf);
    for (size_t i = 0; i < len * 8; i++) {
        int rc;

        memcpy(bad, buf, len);
        bad[i / 8] ^= (uint8_t)(1 << (i % 8));
        rc = feed(bad, len, &got);
        EXPECT(rc == 0 || rc == -DER_PROTO || rc == -DER_UNREACH);
        EXPECT_EQ(rc == 0 && i / 8 < FRAME_HDR_BYTES, false);
        if (rc == 0)
            cairn__ctl__envelope__free_unpacked(got, NULL);
    }
    /* Half a message. */
    for (size_t i = 0; i < len; i++) {
        EXPECT_ERR(feed(buf, i, &got), UNREACH);
    }
    EXPECT_ERR(feed((const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18, &got), PROTO);
    memset(bad, 0, sizeof(bad));
    EXPECT_ERR(feed(bad, sizeof(bad), &got), PROTO);
    memset(bad, 0xff, sizeof(bad));
    EXPECT_ERR(feed(bad, sizeof(bad), &got), PROTO);
    /* A frame whose head is no Envelope; one of another version; one with a payload. */
    frame_hdr_put(bad, 100, 0);
    EXPECT_ERR(feed(bad, FRAME_HDR_BYTES + 100, &got), PROTO);
    env.version = 2;
    len = frame_make(&env, bad);
    EXPECT_ERR(feed(bad, len, &got), PROTO);
    env.version = 1;
    len = frame_make(&env, bad);
    frame_hdr_put(bad, len - FRAME_HDR_BYTES, 100);
    EXPECT_ERR(feed(bad, len + 100, &got), PROTO);
}

/* Ask once, with `rep` lying ready. */
static int
ask(const Cairn__Ctl__Envelope *reps, size_t nr, char *err, size_t err_bytes, uint8_t **ret_body,
    size_t *ret_len)
{
    struct ctl_chan *chan;
    int fd, rc;

    if (!pair_open(&chan, &fd))
        return 0;
    for (size_t i = 0; i < nr; i++) {
        env_send(fd, &reps[i]);
    }
    rc = ctl_call(chan, CAIRN__CTL__METHOD__PING, NULL, nr == 0 ? 1 : 1000, err, err_bytes,
        ret_body, ret_len);
    ctl_chan_close(chan);
    (void)close(fd);
    return rc;
}

TEST_LINUX(ctl_chan, answers, "sockets of the kernel")
{
    Cairn__Ctl__Envelope reps[2];
    uint8_t *body = NULL;
    char err[16] = "x";
    size_t len = 0;

    env_fill(&reps[0], 1);
    EXPECT_OK(ask(reps, 1, err, sizeof(err), &body, &len));
    EXPECT_STR_EQ(err, "");
    EXPECT_EQ(len, 4);
    EXPECT_EQ(body != NULL && memcmp(body, "body", 4) == 0, true);
    free(body);

    /* An error with its line; the line is cut to the buffer. */
    reps[0].rc = -DER_NOSPACE;
    EXPECT_ERR(ask(reps, 1, err, sizeof(err), &body, &len), NOSPACE);
    EXPECT_STR_EQ(err, "why");
    EXPECT_ERR(ask(reps, 1, err, 3, NULL, NULL), NOSPACE);
    EXPECT_STR_EQ(err, "wh");

    /* The answer to an earlier question is passed over; one to a later, or no answer, is none. */
    env_fill(&reps[0], 0);
    env_fill(&reps[1], 1);
    EXPECT_OK(ask(reps, 2, err, sizeof(err), NULL, NULL));
    env_fill(&reps[0], 2);
    EXPECT_ERR(ask(reps, 2, err, sizeof(err), NULL, NULL), PROTO);
    env_fill(&reps[0], 1);
    reps[0].is_reply = false;
    EXPECT_ERR(ask(reps, 1, err, sizeof(err), NULL, NULL), PROTO);
    env_fill(&reps[0], 1);
    reps[0].method = CAIRN__CTL__METHOD__POOL_LIST;
    EXPECT_ERR(ask(reps, 1, err, sizeof(err), NULL, NULL), PROTO);
    env_fill(&reps[0], 1);
    reps[0].rc = 5; /* an error is negative */
    EXPECT_ERR(ask(reps, 1, err, sizeof(err), NULL, NULL), PROTO);
    EXPECT_ERR(ask(reps, 0, err, sizeof(err), NULL, NULL), TIMEDOUT);
}

TEST_LINUX(ctl_chan, limits, "sockets of the kernel")
{
    Cairn__Ctl__Envelope env, *got;
    struct timeval timeout = {0};
    socklen_t len = sizeof(timeout);
    struct ctl_chan *chan;
    uint8_t *big = calloc(1, CTL_MESSAGE_BYTES_MAX + 1);
    int fd, fds[2];

    if (!EXPECT(big != NULL) || !pair_open(&chan, &fd))
        goto out;
    env_fill(&env, 1);
    env.body = (ProtobufCBinaryData){.len = CTL_MESSAGE_BYTES_MAX, .data = big};
    EXPECT_ERR(ctl_chan_send(chan, &env), OVERFLOW);
    env.body.len = CTL_MESSAGE_BYTES_MAX - 64;
    EXPECT_OK(ctl_chan_send(chan, &env)); /* the channel is as good as before */
    (void)close(fd);
    EXPECT_ERR(ctl_chan_send(chan, &env), UNREACH); /* and no signal */
    EXPECT_ERR(ctl_chan_recv(chan, 0, &got), TIMEDOUT);
    ctl_chan_close(chan);
    /* A peer that takes no bytes holds a sender for so long at most. */
    if (!EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0))
        goto out;
    EXPECT_OK(ctl_chan_wrap(fds[0], &chan));
    EXPECT_EQ(getsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, &len), 0);
    EXPECT_EQ(timeout.tv_sec, 5);
    ctl_chan_close(chan);
    (void)close(fds[1]);
    ctl_chan_close(NULL);
out:
    free(big);
}

struct sender {
    int fd, rc;
    size_t body_bytes;
};

/* A list of pools whose packed form has about `body_bytes`, as the answer to question 1. */
static void *
list_send(void *arg)
{
    struct sender *sender = arg;
    Cairn__Ctl__Envelope env, *asked = NULL;
    struct ctl_chan *chan;
    uint8_t *body = malloc(sender->body_bytes + 1);

    env_fill(&env, 1);
    for (size_t i = 0; body != NULL && i < sender->body_bytes; i++) {
        body[i] = (uint8_t)(i * 31 + i / 4096);
    }
    env.body = (ProtobufCBinaryData){.len = sender->body_bytes, .data = body};
    if (EXPECT_OK(ctl_chan_wrap(sender->fd, &chan))) {
        /* Who answers before he was asked, and closes, makes the question fail. */
        if (EXPECT_OK(ctl_chan_recv(chan, 10000, &asked)))
            cairn__ctl__envelope__free_unpacked(asked, NULL);
        sender->rc = ctl_chan_reply(chan, &env);
        ctl_chan_close(chan);
    }
    free(body);
    return NULL;
}

/* Answers of any length up to the limit arrive whole; longer ones are refused before anything is sent. */
TEST_LINUX(ctl_chan, answer_in_pieces, "sockets of the kernel")
{
    static const size_t sizes[] = {0, 1, CTL_PIECE_BYTES - 1, CTL_PIECE_BYTES, CTL_PIECE_BYTES + 1,
        2 * CTL_PIECE_BYTES, 7 * CTL_PIECE_BYTES + 5, 500000, CTL_ANSWER_BYTES_MAX,
        CTL_ANSWER_BYTES_MAX + 1};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct sender sender = {.body_bytes = sizes[i]};
        struct ctl_chan *chan;
        uint8_t *body = NULL;
        pthread_t thread;
        size_t len = 0;
        char err[8];
        int rc;

        if (!pair_open(&chan, &sender.fd))
            return;
        if (!EXPECT_EQ(pthread_create(&thread, NULL, list_send, &sender), 0))
            return;
        rc = ctl_call(chan, CAIRN__CTL__METHOD__PING, NULL, 10000, err, sizeof(err), &body, &len);
        (void)pthread_join(thread, NULL);
        if (sizes[i] > CTL_ANSWER_BYTES_MAX) {
            EXPECT_ERR(sender.rc, OVERFLOW);
            EXPECT_ERR(rc, UNREACH); /* not a byte of it came */
        } else if (EXPECT_OK(rc) && EXPECT_OK(sender.rc)) {
            EXPECT_EQ(len, sizes[i]);
            for (size_t k = 0; k < len; k++) {
                if (!EXPECT_EQ(body[k], (uint8_t)(k * 31 + k / 4096)))
                    break;
            }
        }
        free(body);
        ctl_chan_close(chan);
    }
}

/* Pieces that are none. */
TEST_LINUX(ctl_chan, bad_pieces, "sockets of the kernel")
{
    Cairn__Ctl__Envelope reps[3];
    uint8_t *body = NULL;
    size_t len = 0;
    char err[16];

    for (int i = 0; i < 3; i++) {
        env_fill(&reps[i], 1);
        reps[i].more = i < 2;
    }
    EXPECT_OK(ask(reps, 3, err, sizeof(err), &body, &len));
    EXPECT_EQ(len, 12);
    EXPECT_MEM_EQ(body, "bodybodybody", 12);
    free(body);
    reps[1].rc = -DER_NOSPACE; /* it failed on the way */
    EXPECT_ERR(ask(reps, 3, err, sizeof(err), &body, &len), NOSPACE);
    EXPECT_STR_EQ(err, "why");
    reps[1].rc = 0;
    reps[1].id = 2;
    EXPECT_ERR(ask(reps, 3, err, sizeof(err), &body, &len), PROTO);
    reps[1].id = 1;
    reps[1].method = CAIRN__CTL__METHOD__POOL_LIST;
    EXPECT_ERR(ask(reps, 3, err, sizeof(err), &body, &len), PROTO);
    env_fill(&reps[1], 1);
    reps[1].more = true;
    reps[1].body.len = 0; /* it could go on so for ever */
    EXPECT_ERR(ask(reps, 3, err, sizeof(err), &body, &len), PROTO);
    env_fill(&reps[0], 0); /* pieces of an answer that nobody waits for any more */
    reps[0].more = true;
    env_fill(&reps[1], 0);
    EXPECT_OK(ask(reps, 3, err, sizeof(err), &body, &len));
    EXPECT_EQ(len, 4);
    free(body);
}

/* More than an answer may have. */
static void *
flood_send(void *arg)
{
    struct sender *sender = arg;
    Cairn__Ctl__Envelope env;
    struct ctl_chan *chan;
    uint8_t *body = calloc(1, CTL_PIECE_BYTES);

    env_fill(&env, 1);
    env.more = true;
    env.body = (ProtobufCBinaryData){.len = CTL_PIECE_BYTES, .data = body};
    if (EXPECT_OK(ctl_chan_wrap(sender->fd, &chan))) {
        do {
            sender->rc = ctl_chan_send(chan, &env);
        } while (sender->rc == 0);
        ctl_chan_close(chan);
    }
    free(body);
    return NULL;
}

TEST_LINUX(ctl_chan, flood, "sockets of the kernel")
{
    struct sender sender = {0};
    struct ctl_chan *chan;
    uint8_t *body = NULL;
    pthread_t thread;
    size_t len;
    char err[8];

    if (!pair_open(&chan, &sender.fd) ||
        !EXPECT_EQ(pthread_create(&thread, NULL, flood_send, &sender), 0))
        return;
    EXPECT_ERR(ctl_call(chan, CAIRN__CTL__METHOD__PING, NULL, 10000, err, sizeof(err), &body, &len),
        PROTO);
    ctl_chan_close(chan);
    (void)pthread_join(thread, NULL);
    EXPECT_ERR(sender.rc, UNREACH);
}

static bool
path_make(char *path, size_t path_bytes, const char *name)
{
    return EXPECT((size_t)snprintf(path, path_bytes, "%s/%s", test_tmpdir(), name) < 100);
}

TEST_LINUX(ctl_chan, one_listener, "sockets of the kernel")
{
    char path[256], file[256], too_long[200];
    struct ctl_chan *chan, *side;
    Cairn__Ctl__Envelope env, *got;
    struct stat st;
    int fd, again, conn;

    if (!path_make(path, sizeof(path), "s") || !path_make(file, sizeof(file), "f"))
        return;
    EXPECT_ERR(ctl_chan_connect(path, &chan), UNREACH); /* nothing there */
    if (!EXPECT_OK(ctl_listen(path, &fd)))
        return;
    EXPECT_EQ(stat(path, &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600);
    EXPECT_ERR(ctl_listen(path, &again), BUSY);
    EXPECT_EQ(close(accept(fd, NULL, NULL)), 0); /* the question whether somebody is there */
    EXPECT_OK(ctl_chan_connect(path, &chan));
    conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    EXPECT_OK(ctl_chan_wrap(conn, &side));
    env_fill(&env, 9);
    EXPECT_OK(ctl_chan_send(chan, &env));
    if (EXPECT_OK(ctl_chan_recv(side, 1000, &got))) {
        EXPECT_EQ(got->id, 9);
        cairn__ctl__envelope__free_unpacked(got, NULL);
    }
    ctl_chan_close(side);
    ctl_chan_close(chan);
    (void)close(fd);
    /* The listener died: its file stays, and is replaced. */
    EXPECT_ERR(ctl_chan_connect(path, &chan), UNREACH);
    EXPECT_OK(ctl_listen(path, &fd));
    (void)close(fd);
    /* A file that is no socket is not touched. */
    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(write(fd, "x", 1), 1);
    (void)close(fd);
    EXPECT_ERR(ctl_listen(file, &fd), EXIST);
    EXPECT_EQ(stat(file, &st), 0);
    EXPECT_EQ(st.st_size, 1);
    memset(too_long, 'a', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    EXPECT_ERR(ctl_listen(too_long, &fd), INVAL);
    EXPECT_ERR(ctl_chan_connect(too_long, &chan), INVAL);
    EXPECT_ERR(ctl_listen("/nonexistent/s", &fd), NO_PERM);
}
