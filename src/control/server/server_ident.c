/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Which installation this is (SRV-5): the uuid that stands in the identity files of the engines' directories (docs/format/identity.md), or, when all of them are
 * new, one drawn now. The engines are told it and write it down before they format anything; those whose directory is new join.
 * Tested by test/control_process_test.py and test/badinput.
 */
#include "base/ids.h"
#include "control/cli/cli.h"
#include "control/server/server.h"
#include "proto/proto_ident.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* NONEXIST: a new directory. */
static int
ident_read(const char *path, struct proto_ident *ret_id)
{
    uint8_t buf[PROTO_IDENT_BYTES_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t nr;
    int rc;

    if (fd < 0)
        return err_from_errno(errno);
    nr = read(fd, buf, sizeof(buf));
    rc = nr < 0 ? err_from_errno(errno) : proto_ident_decode(buf, (size_t)nr, ret_id);
    (void)close(fd);
    return rc;
}

/* One directory against what the ones before it said. */
static int
ident_check(struct cli *cli, struct server *server, uint32_t rank, const struct proto_ident *id,
    uint32_t first_rank, const struct uuid *first)
{
    const char *dir = server->cfg.engines[rank].dir;
    char theirs[CUUID_TEXT_BYTES], ours[CUUID_TEXT_BYTES];

    cuuid_format(&id->system, theirs);
    if (!proto_ident_has_name(id, server->cfg.name)) {
        return cli_fail(cli, -DER_MISMATCH,
            "engine rank %u did not start: %s belongs to another system %s%s%s(uuid %s), not to "
            "'%s': use its system name, or another directory",
            rank, dir, id->name[0] != '\0' ? "'" : "", id->name, id->name[0] != '\0' ? "' " : "",
            theirs, server->cfg.name);
    }
    if (first_rank != UINT32_MAX && cuuid_cmp(&id->system, first) != 0) {
        return cli_fail(cli, -DER_MISMATCH,
            "engine rank %u did not start: %s belongs to another system of the name '%s' (uuid %s) "
            "than %s of rank %u (uuid %s): use directories of one system",
            rank, dir, server->cfg.name, theirs, server->cfg.engines[first_rank].dir, first_rank,
            cuuid_format(first, ours));
    }
    return 0;
}

int
server_ident_find(struct cli *cli, struct server *server)
{
    uint32_t first_rank = UINT32_MAX;
    struct uuid system;
    uint64_t random[2];

    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        char path[SERVER_PATH_BYTES + 16];
        struct proto_ident id;
        int rc;

        (void)snprintf(path, sizeof(path), "%s/identity", server->cfg.engines[i].dir);
        rc = ident_read(path, &id);
        if (rc == -DER_NONEXIST)
            continue;
        if (rc != 0) {
            return cli_fail(cli, rc, "engine rank %u did not start: %s: %s: %s", i, path,
                err_text(rc),
                rc == -DER_DF_INCOMPT     ? "use the software that wrote it"
                    : rc == -DER_DF_INVAL ? "restore it from a copy, or use another directory"
                                          : "check its owner and permissions");
        }
        rc = ident_check(cli, server, i, &id, first_rank, &system);
        if (rc != 0)
            return rc;
        if (first_rank == UINT32_MAX) {
            first_rank = i;
            system = id.system;
        }
    }
    if (first_rank == UINT32_MAX) {
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return cli_fail(cli, -DER_MISC, "the kernel gives no random numbers: see getrandom(2)");
        system = cuuid_from_random(random[0], random[1]);
    }
    memcpy(server->system_uuid, system.b, sizeof(server->system_uuid));
    return 0;
}
