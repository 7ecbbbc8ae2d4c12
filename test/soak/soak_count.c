/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * soak_count SOCKET [POOL]: what the engine behind a control socket holds now, a line "NAME VALUE" for each counter; with a pool what its service holds.
 * Exit status 1: no answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/ctl/ctl_chan.h"

enum { TIMEOUT_MS = 5000 };

static int
ask(const char *path, Cairn__Ctl__Method method, const ProtobufCMessage *req, uint8_t **ret_body,
    size_t *ret_len)
{
    struct ctl_chan *chan = NULL;
    char err[512] = "";
    int rc = ctl_chan_connect(path, &chan);

    if (rc == 0)
        rc = ctl_call(chan, method, req, TIMEOUT_MS, err, sizeof(err), ret_body, ret_len);
    ctl_chan_close(chan);
    if (rc != 0)
        (void)fprintf(stderr, "soak_count: %s: %s %s\n", path, err_text(rc), err);
    return rc;
}

static int
engine_show(const char *path)
{
    Cairn__Ctl__EngineCountersRep *rep;
    uint8_t *body = NULL;
    size_t len = 0;

    if (ask(path, CAIRN__CTL__METHOD__ENGINE_COUNTERS, NULL, &body, &len) != 0)
        return 1;
    rep = cairn__ctl__engine_counters_rep__unpack(NULL, len, body);
    free(body);
    if (rep == NULL)
        return 1;
    for (size_t i = 0; i < rep->n_counters; i++) {
        (void)printf("%s %" PRIu64 "\n", rep->counters[i]->name, rep->counters[i]->value);
    }
    cairn__ctl__engine_counters_rep__free_unpacked(rep, NULL);
    return 0;
}

static int
pool_show(const char *path, char *pool)
{
    Cairn__Ctl__PoolQueryReq req = CAIRN__CTL__POOL_QUERY_REQ__INIT;
    Cairn__Ctl__PoolQueryRep *rep;
    uint8_t *body = NULL;
    size_t len = 0;

    req.id = pool;
    if (ask(path, CAIRN__CTL__METHOD__POOL_QUERY, &req.base, &body, &len) != 0)
        return 1;
    rep = cairn__ctl__pool_query_rep__unpack(NULL, len, body);
    free(body);
    if (rep == NULL)
        return 1;
    (void)printf("handles %u\ncontainers %u\n", rep->handles, rep->containers);
    cairn__ctl__pool_query_rep__free_unpacked(rep, NULL);
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc != 2 && argc != 3)
        return 2;
    return argc == 2 ? engine_show(argv[1]) : pool_show(argv[1], argv[2]);
}
