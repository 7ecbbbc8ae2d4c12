/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A stand-in for daos_engine with daos_engine's options, for the tests of daos_server: how it behaves stands in the file `mode` of its directory, read at each
 * start and then removed unless it begins with "always ".
 *
 *      ready (default)   says ready at once, ends at SIGTERM
 *      never             listens, never ready
 *      deaf              never listens
 *      silent            accepts, never answers
 *      garbage           answers with bytes that are no message
 *      die TEXT          prints TEXT on standard error, exit status 1
 *      fail CODE TEXT    says so to --status-fd, exit status 1
 *      abort             kills itself
 *      short             ready, then ends after 20 ms
 *      stubborn          ready, ignores SIGTERM
 *
 * The file `pools` of its directory, when it is there, holds a number: so many pools it has, with long labels.
 * It writes its identity file like daos_engine, and appends one line to the file `groups` for each group it is told, and one to `starts` for each start.
 */
#include "control/ctl/ctl_chan.h"
#include "proto/proto_ident.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SHORT_LIFE_MS = 20, PATH_BYTES = 512, TEXT_BYTES = 256 };

struct fake {
    const char *dir, *ctl, *uri, *system;
    struct uuid system_uuid;
    uint32_t rank, targets;
    int status_fd;
    uint64_t incarnation;
    bool is_ready, is_short, is_silent, is_garbage;
};

static void
append(const struct fake *fake, const char *name, const char *line)
{
    char path[PATH_BYTES];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", fake->dir, name);
    file = fopen(path, "ae");
    if (file == NULL)
        return;
    (void)fprintf(file, "%s\n", line);
    (void)fclose(file);
}

static void
mode_read(const struct fake *fake, char *ret_mode)
{
    char path[PATH_BYTES];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/mode", fake->dir);
    (void)snprintf(ret_mode, TEXT_BYTES, "ready");
    file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(ret_mode, TEXT_BYTES, file) == NULL)
        ret_mode[0] = '\0';
    (void)fclose(file);
    ret_mode[strcspn(ret_mode, "\n")] = '\0';
    if (strncmp(ret_mode, "always ", 7) == 0) {
        memmove(ret_mode, ret_mode + 7, strlen(ret_mode + 7) + 1);
    } else {
        (void)unlink(path);
    }
}

static void
group_note(const struct fake *fake, const Cairn__Ctl__Envelope *req)
{
    Cairn__Ctl__GroupUpdateReq *in =
        cairn__ctl__group_update_req__unpack(NULL, req->body.len, req->body.data);
    char line[1024];
    size_t len;

    if (in == NULL) {
        append(fake, "groups", "malformed");
        return;
    }
    len = (size_t)snprintf(line, sizeof(line), "version=%llu svc=%u uuid=%zu",
        (unsigned long long)in->version, in->system_svc_rank, in->system_uuid.len);
    for (size_t i = 0; i < in->n_ranks && len < sizeof(line); i++) {
        const Cairn__Ctl__Rank *rank = in->ranks[i];

        len += (size_t)snprintf(line + len, sizeof(line) - len, " %u:%d:%llu:%zu", rank->rank,
            (int)rank->state, (unsigned long long)rank->incarnation, rank->n_uris);
    }
    append(fake, "groups", line);
    cairn__ctl__group_update_req__free_unpacked(in, NULL);
}

static void
status_send(const struct fake *fake, struct ctl_chan *chan, Cairn__Ctl__Envelope *rep)
{
    Cairn__Ctl__EngineStatusRep status = CAIRN__CTL__ENGINE_STATUS_REP__INIT;
    Cairn__Ctl__Rank self = CAIRN__CTL__RANK__INIT;
    char uris[8][TEXT_BYTES], *list[8];
    uint8_t uuid[16], body[4096];

    for (uint32_t i = 0; i <= fake->targets && i < 8; i++) {
        (void)snprintf(uris[i], sizeof(uris[i]), "%s/%u.%u", fake->uri, fake->rank, i);
        list[i] = uris[i];
    }
    memcpy(uuid, fake->system_uuid.b, sizeof(uuid));
    self.rank = fake->rank;
    self.incarnation = fake->incarnation;
    self.pid = (uint32_t)getpid();
    self.uris = list;
    self.n_uris = fake->is_ready ? fake->targets + 1 : 0;
    status.self = &self;
    status.ready = fake->is_ready;
    status.system_uuid = (ProtobufCBinaryData){.len = sizeof(uuid), .data = uuid};
    rep->body = (ProtobufCBinaryData){
        .len = cairn__ctl__engine_status_rep__pack(&status, body), .data = body};
    (void)(ctl_chan_send(chan, rep) == 0);
}

/* As many rows as the file says. False: there is no such file. */
static bool
pools_send(const struct fake *fake, struct ctl_chan *chan, Cairn__Ctl__Envelope *rep)
{
    Cairn__Ctl__PoolListRep list = CAIRN__CTL__POOL_LIST_REP__INIT;
    Cairn__Ctl__PoolEntry *rows;
    char path[PATH_BYTES], (*labels)[128];
    uint8_t *body = NULL, (*ids)[16];
    uint32_t rank = 0;
    size_t nr = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/pools", fake->dir);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    if (fscanf(file, "%zu", &nr) != 1)
        nr = 0;
    (void)fclose(file);
    rows = calloc(nr, sizeof(*rows));
    list.pools = calloc(nr, sizeof(*list.pools));
    labels = calloc(nr, sizeof(*labels));
    ids = calloc(nr, sizeof(*ids));
    for (size_t i = 0;
         i < nr && rows != NULL && list.pools != NULL && labels != NULL && ids != NULL; i++) {
        cairn__ctl__pool_entry__init(&rows[i]);
        (void)snprintf(labels[i], sizeof(labels[i]), "pool-%0120zu", i);
        memcpy(ids[i], &i, sizeof(i));
        rows[i].label = labels[i];
        rows[i].uuid = (ProtobufCBinaryData){.len = 16, .data = ids[i]};
        rows[i].state = CAIRN__CTL__POOL_STATE__POOL_READY;
        rows[i].svc_reps = &rank;
        rows[i].n_svc_reps = 1;
        list.pools[i] = &rows[i];
    }
    list.n_pools = nr;
    rep->body.len = cairn__ctl__pool_list_rep__get_packed_size(&list);
    body = malloc(rep->body.len + 1);
    if (body != NULL)
        (void)cairn__ctl__pool_list_rep__pack(&list, body);
    rep->body.data = body;
    if (ctl_chan_reply(chan, rep) == -DER_OVERFLOW) {
        rep->rc = -DER_OVERFLOW;
        rep->error = (char *)(uintptr_t) "the list of pools is longer than 1 MiB";
        rep->body.len = 0;
        (void)(ctl_chan_reply(chan, rep) == 0);
    }
    free(body);
    free(ids);
    free(labels);
    free(list.pools);
    free(rows);
    return true;
}

/* One connection at a time is enough: daos_server asks, is answered, and closes. */
static void
answer(const struct fake *fake, int fd)
{
    Cairn__Ctl__Envelope *req;
    struct ctl_chan *chan;

    if (fake->is_garbage)
        (void)!write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    if (ctl_chan_wrap(fd, &chan) != 0)
        return;
    while (ctl_chan_recv(chan, fake->is_silent ? -1 : 1000, &req) == 0) {
        Cairn__Ctl__Envelope rep = CAIRN__CTL__ENVELOPE__INIT;

        rep.version = 1;
        rep.id = req->id;
        rep.method = req->method;
        rep.is_reply = true;
        if (!fake->is_silent && req->method == CAIRN__CTL__METHOD__ENGINE_STATUS) {
            status_send(fake, chan, &rep);
        } else if (!fake->is_silent && req->method == CAIRN__CTL__METHOD__GROUP_UPDATE) {
            group_note(fake, req);
            (void)(ctl_chan_send(chan, &rep) == 0);
        } else if (!fake->is_silent && req->method == CAIRN__CTL__METHOD__POOL_LIST &&
            pools_send(fake, chan, &rep)) {
            ; /* answered */
        } else if (!fake->is_silent) {
            rep.rc = -DER_NOSYS;
            rep.error = (char *)(uintptr_t) "the fake engine has no pools";
            (void)(ctl_chan_send(chan, &rep) == 0);
        }
        cairn__ctl__envelope__free_unpacked(req, NULL);
    }
    ctl_chan_close(chan);
}

static void
serve(const struct fake *fake)
{
    struct timespec end, now;
    int listen_fd;

    if (ctl_listen(fake->ctl, &listen_fd) != 0) {
        (void)fprintf(stderr, "daos_engine: cannot listen on %s\n", fake->ctl);
        exit(1);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += SHORT_LIFE_MS * 1000000;
    for (;;) {
        struct pollfd pfd = {.fd = listen_fd, .events = POLLIN};
        int fd;

        if (poll(&pfd, 1, 5) > 0) {
            fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                answer(fake, fd);
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        if (fake->is_short &&
            (now.tv_sec - end.tv_sec) * 1000000000L + (now.tv_nsec - end.tv_nsec) > 0)
            exit(0);
    }
}

static void
on_term(int sig)
{
    (void)sig;
    _exit(0);
}

static void
lock_take(const struct fake *fake)
{
    char path[PATH_BYTES];
    int fd;

    (void)mkdir(fake->dir, 0700);
    (void)snprintf(path, sizeof(path), "%s/LOCK", fake->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)fprintf(stderr, "daos_engine: %s is in use by process 4711: stop it\n", fake->dir);
        exit(1);
    }
}

/* As daos_engine does: joined, for ever. */
static void
identity_write(const struct fake *fake)
{
    struct proto_ident id = {.rank = fake->rank,
        .tgt_nr = fake->targets,
        .incarnation = fake->incarnation,
        .system = fake->system_uuid};
    uint8_t buf[PROTO_IDENT_BYTES];
    char path[PATH_BYTES];
    FILE *file;

    (void)snprintf(id.name, sizeof(id.name), "%s", fake->system);
    proto_ident_encode(&id, buf);
    (void)snprintf(path, sizeof(path), "%s/identity", fake->dir);
    file = fopen(path, "we");
    if (file == NULL)
        return;
    (void)fwrite(buf, 1, sizeof(buf), file);
    (void)fclose(file);
}

int
main(int argc, char **argv)
{
    struct fake fake = {.is_ready = true};
    char mode[TEXT_BYTES], line[TEXT_BYTES];
    struct timespec now;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dir") == 0)
            fake.dir = argv[i + 1];
        if (strcmp(argv[i], "--system") == 0)
            fake.system = argv[i + 1];
        if (strcmp(argv[i], "--system-uuid") == 0 && cuuid_parse(argv[i + 1], &fake.system_uuid) != 0)
            return 2;
        if (strcmp(argv[i], "--ctl") == 0)
            fake.ctl = argv[i + 1];
        if (strcmp(argv[i], "--uri") == 0)
            fake.uri = argv[i + 1];
        if (strcmp(argv[i], "--status-fd") == 0)
            fake.status_fd = (int)strtol(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--rank") == 0)
            fake.rank = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--targets") == 0)
            fake.targets = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    }
    if (fake.dir == NULL || fake.ctl == NULL || fake.uri == NULL || fake.system == NULL ||
        cuuid_is_nil(&fake.system_uuid))
        return 2;
    lock_take(&fake);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    fake.incarnation = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    (void)snprintf(line, sizeof(line), "%d", (int)getpid());
    append(&fake, "starts", line);
    mode_read(&fake, mode);
    identity_write(&fake);
    (void)fprintf(stderr, "daos_engine: fake starts\n");
    (void)signal(SIGTERM, strcmp(mode, "stubborn") == 0 ? SIG_IGN : on_term);
    if (strncmp(mode, "die ", 4) == 0) {
        (void)fprintf(stderr, "daos_engine: %s\n", mode + 4);
        return 1;
    }
    if (strncmp(mode, "fail ", 5) == 0) {
        (void)fprintf(stderr, "daos_engine: not this line\n");
        return write(fake.status_fd, mode + 5, strlen(mode + 5)) > 0 ? 1 : 3;
    }
    if (strcmp(mode, "abort") == 0)
        abort();
    while (strcmp(mode, "deaf") == 0) {
        (void)pause();
    }
    fake.is_ready = strcmp(mode, "never") != 0;
    fake.is_short = strcmp(mode, "short") == 0;
    fake.is_silent = strcmp(mode, "silent") == 0;
    fake.is_garbage = strcmp(mode, "garbage") == 0;
    serve(&fake);
    return 0;
}
