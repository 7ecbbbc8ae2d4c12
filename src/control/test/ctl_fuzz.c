/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: protobuf of the control socket, outside of the engine: daos_server that reads requests, and dmg that reads answers, in pieces too, and shows them. For dmg
 * a thread stands for daos_server: it takes a connection, sends the bytes of the input, and closes.
 *
 * Input: who (0 daos_server's end, else a command of dmg, bit 7: -j), then, repeated: flags, length (2 bytes), bytes. Flags: 1 the bytes are sent as they are; else in a frame whose header is
 * right; 2 they are a whole Envelope; else the body of one that is right, with 4 more, 8 the code -1005, 16 another id.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"
#include "control/ctl/ctl_chan.h"
#include "plat/plat_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int dmg_main(int argc, char **argv);

enum { BYTES_MAX = 128 << 10, COMMANDS_NR = 11, WORDS_NR = 6 };

static const struct {
    const char *words[WORDS_NR];
    Cairn__Ctl__Method method;
} commands[COMMANDS_NR] = {
    {{"pool", "list"}, CAIRN__CTL__METHOD__POOL_LIST},
    {{"pool", "query", "tank"}, CAIRN__CTL__METHOD__POOL_QUERY},
    {{"pool", "get-acl", "tank"}, CAIRN__CTL__METHOD__POOL_QUERY},
    {{"pool", "create", "tank", "--size=1GiB"}, CAIRN__CTL__METHOD__POOL_CREATE},
    {{"pool", "destroy", "tank", "--force"}, CAIRN__CTL__METHOD__POOL_DESTROY},
    {{"pool", "evict", "tank"}, CAIRN__CTL__METHOD__POOL_EVICT},
    {{"system", "query"}, CAIRN__CTL__METHOD__SYSTEM_QUERY},
    {{"pool", "get-prop", "tank"}, CAIRN__CTL__METHOD__POOL_QUERY},
    {{"pool", "set-prop", "tank", "scrub:lazy"}, CAIRN__CTL__METHOD__POOL_SET_PROP},
    {{"pool", "query-targets", "tank", "--rank=0"}, CAIRN__CTL__METHOD__POOL_QUERY_TARGETS},
    {{"storage", "query", "list-devices", "--health"}, CAIRN__CTL__METHOD__STORAGE_QUERY},
};

static struct {
    char dir[64];
    int listen_fd, null_fd;
    pthread_mutex_t mutex;
    uint8_t bytes[BYTES_MAX]; /* what the other end says */
    size_t len;
} st = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The other end, for one connection after the other. */
static void *
speak(void *arg)
{
    static uint8_t bytes[BYTES_MAX];

    (void)arg;
    for (;;) {
        int fd = accept(st.listen_fd, NULL, NULL);
        size_t len;

        (void)pthread_mutex_lock(&st.mutex);
        len = st.len;
        memcpy(bytes, st.bytes, len);
        (void)pthread_mutex_unlock(&st.mutex);
        for (size_t off = 0; off < len;) {
            ssize_t nr = send(fd, bytes + off, len - off, MSG_NOSIGNAL);

            if (nr <= 0)
                break;
            off += (size_t)nr;
        }
        (void)shutdown(fd, SHUT_WR);
        while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
        }
        (void)close(fd);
    }
    return NULL;
}

static void
stage_clear(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/s/daos_server.sock", st.dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/s", st.dir);
    (void)rmdir(path);
    (void)rmdir(st.dir);
}

static void
stage_set(void)
{
    const char *tmp = getenv("TMPDIR");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char sys_dir[80];
    pthread_t thread;

    (void)snprintf(st.dir, sizeof(st.dir), "%.40s/fuzzctlXXXXXX", tmp != NULL ? tmp : P_tmpdir);
    CAIRN_ASSERT(mkdtemp(st.dir) != NULL);
    CAIRN_ASSERT(setenv("CAIRN_RUNTIME_DIR", st.dir, 1) == 0);
    (void)snprintf(sys_dir, sizeof(sys_dir), "%s/s", st.dir);
    CAIRN_ASSERT(mkdir(sys_dir, 0700) == 0 && atexit(stage_clear) == 0);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/daos_server.sock", sys_dir);
    st.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CAIRN_ASSERT(bind(st.listen_fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    CAIRN_ASSERT(listen(st.listen_fd, 8) == 0);
    CAIRN_ASSERT(pthread_create(&thread, NULL, speak, NULL) == 0);
    (void)pthread_detach(thread);
    st.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CAIRN_ASSERT(st.null_fd >= 0);
}

static void
add(const void *bytes, size_t len)
{
    len = MIN(len, sizeof(st.bytes) - st.len);
    memcpy(st.bytes + st.len, bytes, len);
    st.len += len;
}

static void
add_frame(const uint8_t *bytes, size_t len)
{
    uint8_t hdr[FRAME_HDR_BYTES];

    if (len == 0 || len > CTL_MESSAGE_BYTES_MAX)
        return;
    frame_hdr_put(hdr, len, 0);
    add(hdr, sizeof(hdr));
    add(bytes, len);
}

static void
add_envelope(uint8_t flags, bool is_reply, Cairn__Ctl__Method method, const uint8_t *body, size_t len)
{
    static uint8_t packed[CTL_MESSAGE_BYTES_MAX];
    Cairn__Ctl__Envelope env = CAIRN__CTL__ENVELOPE__INIT;

    if (len > CTL_PIECE_BYTES)
        return;
    env.version = 1;
    env.id = (flags & 16) != 0 ? 7 : 1;
    env.method = method;
    env.is_reply = is_reply;
    env.more = (flags & 4) != 0;
    env.rc = (flags & 8) != 0 ? -DER_NONEXIST : 0;
    env.error = (char *)(uintptr_t)((flags & 8) != 0 ? "no such thing" : "");
    env.body = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)body};
    add_frame(packed, cairn__ctl__envelope__pack(&env, packed));
}

/* daos_server's end: what it unpacks, it can pack, and it can answer. */
static void
serve(void)
{
    Cairn__Ctl__Envelope *req;
    struct ctl_chan *chan;
    int fds[2];

    CAIRN_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CAIRN_ASSERT(send(fds[0], st.bytes, st.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)st.len ||
        st.len == 0);
    (void)shutdown(fds[0], SHUT_WR);
    CAIRN_ASSERT(ctl_chan_wrap(fds[1], &chan) == 0);
    while (ctl_chan_recv(chan, -1, &req) == 0) {
        size_t len = cairn__ctl__envelope__get_packed_size(req);
        uint8_t *packed = malloc(len + 1);

        CAIRN_ASSERT(cairn__ctl__envelope__pack(req, packed) == len);
        free(packed);
        cairn__ctl__envelope__free_unpacked(req, NULL);
    }
    ctl_chan_close(chan);
    (void)close(fds[0]);
}

static void
command_run(uint32_t which, bool is_json)
{
    char *argv[WORDS_NR + 4] = {
        (char *)(uintptr_t) "dmg", (char *)(uintptr_t) "-G", (char *)(uintptr_t) "s"};
    int argc = 3, out_fd = dup(STDOUT_FILENO), err_fd = dup(STDERR_FILENO), rc;

    for (uint32_t i = 0; i < WORDS_NR && commands[which].words[i] != NULL; i++) {
        argv[argc++] = (char *)(uintptr_t)commands[which].words[i];
    }
    if (is_json)
        argv[argc++] = (char *)(uintptr_t) "-j";
    (void)fflush(stdout);
    CAIRN_ASSERT(dup2(st.null_fd, STDOUT_FILENO) >= 0 && dup2(st.null_fd, STDERR_FILENO) >= 0);
    rc = dmg_main(argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    CAIRN_ASSERT(dup2(out_fd, STDOUT_FILENO) >= 0 && dup2(err_fd, STDERR_FILENO) >= 0);
    (void)close(out_fd);
    (void)close(err_fd);
    CAIRN_ASSERT(rc == 0 || rc == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *end = data + len;
    uint8_t who = len > 0 ? *data++ : 0;
    uint32_t which = (who & 0x7f) % (COMMANDS_NR + 1);

    if (st.dir[0] == '\0')
        stage_set();
    (void)pthread_mutex_lock(&st.mutex);
    st.len = 0;
    while (end - data >= 3) {
        uint8_t flags = data[0];
        size_t n = MIN((size_t)le16_get(data + 1), (size_t)(end - data - 3));
        uint8_t *exact = malloc(n + 1);

        memcpy(exact, data + 3, n);
        if ((flags & 1) != 0) {
            add(exact, n);
        } else if ((flags & 2) != 0) {
            add_frame(exact, n);
        } else {
            add_envelope(flags, which != 0,
                which == 0 ? (Cairn__Ctl__Method)(flags >> 5) : commands[which - 1].method, exact, n);
        }
        free(exact);
        data += 3 + n;
    }
    (void)pthread_mutex_unlock(&st.mutex);
    if (which == 0) {
        serve();
    } else {
        command_run(which - 1, (who & 0x80) != 0);
    }
    return 0;
}
