/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * See ctl_chan.h. The framing machine is the one of plat; here it is fed from blocking reads. Nothing waits without end on a peer that is stopped: its socket
 * takes no more connections and bytes after a while, hence SO_SNDTIMEO, which bounds both. Tested by test/ctl_chan_test.c.
 */
#include "control/ctl/ctl_chan.h"

#include "base/util.h"
#include "plat/plat_frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CTL_ERROR_BYTES_MAX = 768 /* a piece and it fit one message */ };
enum { CTL_VERSION = 1, CTL_BACKLOG = 32, CTL_READ_BYTES = 65536, CTL_SEND_TIMEOUT_S = 5 };

struct ctl_chan {
    int fd;
    uint64_t next_id;
    struct frame_rx rx;
    size_t off, len; /* bytes read and not yet fed */
    uint8_t buf[CTL_READ_BYTES];
};

static int
address_make(const char *path, struct sockaddr_un *ret_addr)
{
    if (strlen(path) >= sizeof(ret_addr->sun_path))
        return CAIRN_ERR(INVAL);
    *ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret_addr->sun_path, path, strlen(path) + 1);
    return 0;
}

int
ctl_chan_wrap(int fd, struct ctl_chan **ret_chan)
{
    const struct timeval send_timeout = {.tv_sec = CTL_SEND_TIMEOUT_S};
    struct ctl_chan *chan = calloc(1, sizeof(*chan));

    if (chan == NULL ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_timeout, sizeof(send_timeout)) != 0) {
        free(chan);
        (void)close(fd);
        return CAIRN_ERR(NOMEM);
    }
    chan->fd = fd;
    *ret_chan = chan;
    return 0;
}

void
ctl_chan_close(struct ctl_chan *chan)
{
    if (chan == NULL)
        return;
    frame_rx_fini(&chan->rx);
    (void)close(chan->fd);
    free(chan);
}

int
ctl_chan_connect(const char *path, struct ctl_chan **ret_chan)
{
    struct ctl_chan *chan = NULL;
    struct sockaddr_un addr;
    int rc = address_make(path, &addr), fd;

    if (rc != 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return CAIRN_ERR(NOMEM);
    rc = ctl_chan_wrap(fd, &chan);
    if (rc != 0)
        return rc;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
        rc = errno == EACCES || errno == EPERM ? CAIRN_ERR(NO_PERM)
            : errno == EAGAIN                  ? CAIRN_ERR(TIMEDOUT)
                                               : CAIRN_ERR(UNREACH);
        ctl_chan_close(chan);
        return rc;
    }
    *ret_chan = chan;
    return 0;
}

static int
send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t nr = send(fd, bytes, len, MSG_NOSIGNAL);

        if (nr < 0 && errno == EINTR)
            continue;
        if (nr < 0 && errno == EAGAIN)
            return CAIRN_ERR(TIMEDOUT);
        if (nr <= 0)
            return CAIRN_ERR(UNREACH);
        bytes += nr;
        len -= (size_t)nr;
    }
    return 0;
}

int
ctl_chan_send(struct ctl_chan *chan, const Cairn__Ctl__Envelope *env)
{
    size_t len = cairn__ctl__envelope__get_packed_size(env);
    uint8_t *bytes;
    int rc;

    if (len == 0 || len > CTL_MESSAGE_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    bytes = malloc(FRAME_HDR_BYTES + len);
    if (bytes == NULL)
        return CAIRN_ERR(NOMEM);
    frame_hdr_put(bytes, len, 0);
    (void)cairn__ctl__envelope__pack(env, bytes + FRAME_HDR_BYTES);
    rc = send_all(chan->fd, bytes, FRAME_HDR_BYTES + len);
    free(bytes);
    return rc;
}

int
ctl_chan_reply(struct ctl_chan *chan, const Cairn__Ctl__Envelope *env)
{
    Cairn__Ctl__Envelope piece = *env;
    size_t off = 0;
    int rc;

    if (env->body.len > CTL_ANSWER_BYTES_MAX || strlen(env->error) > CTL_ERROR_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    do {
        piece.body.data = env->body.len > 0 ? env->body.data + off : NULL;
        piece.body.len = MIN(env->body.len - off, (size_t)CTL_PIECE_BYTES);
        off += piece.body.len;
        piece.more = off < env->body.len;
        rc = ctl_chan_send(chan, &piece);
    } while (rc == 0 && piece.more);
    return rc;
}

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
read_more(struct ctl_chan *chan, int64_t end_ms)
{
    for (;;) {
        struct pollfd pfd = {.fd = chan->fd, .events = POLLIN};
        int64_t left = end_ms < 0 ? -1 : end_ms - now_ms();
        ssize_t nr;

        if (end_ms >= 0 && left <= 0)
            return CAIRN_ERR(TIMEDOUT);
        if (poll(&pfd, 1, (int)left) <= 0)
            continue; /* the time is over, or a signal came */
        nr = recv(chan->fd, chan->buf, sizeof(chan->buf), 0);
        if (nr < 0 && errno == EINTR)
            continue;
        if (nr <= 0)
            return CAIRN_ERR(UNREACH);
        chan->off = 0;
        chan->len = (size_t)nr;
        return 0;
    }
}

int
ctl_chan_recv(struct ctl_chan *chan, int timeout_ms, Cairn__Ctl__Envelope **ret_env)
{
    int64_t end_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    Cairn__Ctl__Envelope *env;
    enum frame_event event;
    size_t used;
    int rc;

    for (;;) {
        rc = frame_rx_feed(&chan->rx, chan->buf + chan->off, chan->len, &used, &event);
        if (rc != 0)
            return rc;
        chan->off += used;
        chan->len -= used;
        if (event == FRAME_MSG)
            break;
        if (event == FRAME_PLACE)
            return CAIRN_ERR(PROTO); /* envelopes have no payload */
        if (event == FRAME_NEED) {
            rc = read_more(chan, end_ms);
            if (rc != 0)
                return rc;
        }
    }
    env = cairn__ctl__envelope__unpack(NULL, chan->rx.head_len, chan->rx.head);
    if (env == NULL)
        return CAIRN_ERR(PROTO);
    if (env->version != CTL_VERSION) {
        cairn__ctl__envelope__free_unpacked(env, NULL);
        return CAIRN_ERR(PROTO);
    }
    *ret_env = env;
    return 0;
}

/* An answer, as far as it has come. */
struct answer {
    uint8_t *body; /* never NULL after the first piece */
    size_t len;
    bool has_more;
};

/* Errors: PROTO too long; NOMEM. */
static int
answer_add(struct answer *answer, const Cairn__Ctl__Envelope *rep)
{
    uint8_t *body;

    if (rep->body.len > CTL_ANSWER_BYTES_MAX - answer->len || (rep->more && rep->body.len == 0))
        return CAIRN_ERR(PROTO);
    body = realloc(answer->body, answer->len + rep->body.len + 1);
    if (body == NULL)
        return CAIRN_ERR(NOMEM);
    if (rep->body.len > 0)
        memcpy(body + answer->len, rep->body.data, rep->body.len);
    answer->body = body;
    answer->len += rep->body.len;
    answer->has_more = rep->more;
    return 0;
}

/* Wait for the next piece of the answer to `env`. */
static int
answer_piece(struct ctl_chan *chan, const Cairn__Ctl__Envelope *env, int timeout_ms,
    struct answer *answer, char *err, size_t err_bytes)
{
    Cairn__Ctl__Envelope *rep = NULL;
    int rc;

    do { /* answers to earlier requests whose wait ran out are passed over */
        cairn__ctl__envelope__free_unpacked(rep, NULL);
        rep = NULL;
        rc = ctl_chan_recv(chan, timeout_ms, &rep);
    } while (rc == 0 && rep->is_reply && rep->id < env->id);
    if (rc != 0)
        return rc;
    if (!rep->is_reply || rep->id != env->id || rep->method != env->method || rep->rc > 0) {
        rc = CAIRN_ERR(PROTO);
    } else if (rep->rc != 0) {
        rc = rep->rc;
        (void)snprintf(err, err_bytes, "%s", rep->error != NULL ? rep->error : "");
    } else {
        rc = answer_add(answer, rep);
    }
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    return rc;
}

int
ctl_relay(struct ctl_chan *chan, const Cairn__Ctl__Envelope *req, int timeout_ms, char *err,
    size_t err_bytes, uint8_t **ret_body, size_t *ret_len)
{
    Cairn__Ctl__Envelope env = CAIRN__CTL__ENVELOPE__INIT;
    struct answer answer = {0};
    int rc;

    err[0] = '\0';
    env.version = CTL_VERSION;
    env.id = ++chan->next_id;
    env.method = req->method;
    env.body = req->body;
    rc = ctl_chan_send(chan, &env);
    if (rc != 0)
        return rc;
    do {
        rc = answer_piece(chan, &env, timeout_ms, &answer, err, err_bytes);
    } while (rc == 0 && answer.has_more);
    if (rc == 0 && ret_body != NULL) {
        *ret_body = answer.body;
        *ret_len = answer.len;
        answer.body = NULL;
    }
    free(answer.body);
    return rc;
}

int
ctl_call(struct ctl_chan *chan, Cairn__Ctl__Method method, const ProtobufCMessage *req,
    int timeout_ms, char *err, size_t err_bytes, uint8_t **ret_body, size_t *ret_len)
{
    Cairn__Ctl__Envelope env = CAIRN__CTL__ENVELOPE__INIT;
    int rc;

    env.method = method;
    if (req != NULL) {
        env.body.len = protobuf_c_message_get_packed_size(req);
        env.body.data = malloc(env.body.len + 1);
        if (env.body.data == NULL)
            return CAIRN_ERR(NOMEM);
        (void)protobuf_c_message_pack(req, env.body.data);
    }
    rc = ctl_relay(chan, &env, timeout_ms, err, err_bytes, ret_body, ret_len);
    free(env.body.data);
    return rc;
}

int
ctl_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un addr;
    struct ctl_chan *other;
    struct stat st;
    mode_t mask;
    int rc = address_make(path, &addr), fd;

    if (rc != 0)
        return rc;
    rc = ctl_chan_connect(path, &other);
    if (rc == -DER_TIMEDOUT)
        return CAIRN_ERR(BUSY); /* it listens, and is stopped */
    if (rc == 0) {
        ctl_chan_close(other);
        return CAIRN_ERR(BUSY);
    }
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return CAIRN_ERR(EXIST); /* somebody's file: not ours to remove */
    if (unlink(path) != 0 && errno != ENOENT)
        return CAIRN_ERR(NO_PERM);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return CAIRN_ERR(NOMEM);
    mask = umask(0177);
    rc = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, CTL_BACKLOG) == 0
        ? 0
        : CAIRN_ERR(NO_PERM);
    (void)umask(mask);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}
