/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "raft/raft_conf.h"

#include <raft.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/util.h"

enum { LIB_FORMAT = 1 };
_Static_assert((int)RAFT_ROLE_STANDBY == RAFT_STANDBY && (int)RAFT_ROLE_VOTER == RAFT_VOTER &&
        (int)RAFT_ROLE_SPARE == RAFT_SPARE,
    "the library's roles");

void
raft_address(uint64_t id, char ret_text[RAFT_ADDRESS_BYTES_MAX])
{
    snprintf(ret_text, RAFT_ADDRESS_BYTES_MAX, "%llu", (unsigned long long)id);
}

uint32_t
raft_conf_find(const struct raft_conf *conf, uint64_t id)
{
    uint32_t i = 0;

    while (i < conf->nr && conf->members[i].id != id) {
        i++;
    }
    return i;
}

int
raft_conf_check(const struct raft_conf *conf)
{
    uint32_t voters = 0;

    if (conf->nr == 0 || conf->nr > RAFT_MEMBERS_NR_MAX)
        return CAIRN_ERR(PROTO);
    for (uint32_t i = 0; i < conf->nr; i++) {
        const struct raft_member *m = &conf->members[i];

        if (m->id == 0 || m->role > RAFT_ROLE_SPARE || raft_conf_find(conf, m->id) != i)
            return CAIRN_ERR(PROTO);
        voters += m->role == RAFT_ROLE_VOTER;
    }
    return voters > 0 ? 0 : CAIRN_ERR(PROTO);
}

/* The address that stands next must be that of `id`, with its terminator. */
static void
address_check(struct dec *d, uint64_t id)
{
    char want[RAFT_ADDRESS_BYTES_MAX];
    const void *have;

    raft_address(id, want);
    have = dec_skip(d, strlen(want) + 1);
    if (have != NULL && memcmp(have, want, strlen(want) + 1) != 0)
        dec_fail(d, CAIRN_ERR(PROTO));
}

int
raft_conf_parse(const void *buf, size_t len, struct raft_conf *ret_conf)
{
    struct raft_conf conf = {.nr = 0};
    struct dec d;
    uint64_t nr;
    int rc;

    dec_init(&d, buf, len);
    if (dec_u8(&d) != LIB_FORMAT)
        return CAIRN_ERR(PROTO);
    nr = dec_u64(&d);
    if (nr == 0 || nr > RAFT_MEMBERS_NR_MAX)
        return CAIRN_ERR(PROTO);
    for (uint32_t i = 0; i < nr && dec_check(&d) == 0; i++) {
        conf.members[i].id = dec_u64(&d);
        address_check(&d, conf.members[i].id);
        conf.members[i].role = dec_u8(&d);
        conf.nr++;
    }
    dec_pad(&d, 8);
    rc = dec_end(&d);
    if (rc != 0)
        return rc;
    rc = raft_conf_check(&conf);
    if (rc == 0)
        *ret_conf = conf;
    return rc;
}

void
raft_conf_wipe(void *buf, size_t len)
{
    struct dec d;
    uint64_t nr;

    dec_init(&d, buf, len);
    dec_u8(&d);
    nr = dec_u64(&d);
    for (uint64_t i = 0; i < nr && dec_check(&d) == 0; i++) {
        address_check(&d, dec_u64(&d));
        dec_u8(&d);
    }
    if (dec_check(&d) == 0 && dec_left(&d) < 8)
        memset((uint8_t *)buf + d.off, 0, dec_left(&d));
}

int
raft_conf_to_lib(const struct raft_conf *conf, struct raft_configuration *ret_lib)
{
    char address[RAFT_ADDRESS_BYTES_MAX];

    raft_configuration_init(ret_lib);
    for (uint32_t i = 0; i < conf->nr; i++) {
        const struct raft_member *m = &conf->members[i];

        raft_address(m->id, address);
        if (raft_configuration_add(ret_lib, m->id, address, m->role) != 0) {
            raft_configuration_close(ret_lib);
            raft_configuration_init(ret_lib);
            return CAIRN_ERR(NOMEM);
        }
    }
    return 0;
}

int
raft_conf_from_lib(const struct raft_configuration *lib, struct raft_conf *ret_conf)
{
    char address[RAFT_ADDRESS_BYTES_MAX];

    if (lib->n > RAFT_MEMBERS_NR_MAX)
        return CAIRN_ERR(PROTO);
    memset(ret_conf, 0, sizeof(*ret_conf));
    for (uint32_t i = 0; i < lib->n; i++) {
        raft_address(lib->servers[i].id, address);
        if (strcmp(address, lib->servers[i].address) != 0)
            return CAIRN_ERR(PROTO);
        ret_conf->members[i].id = lib->servers[i].id;
        ret_conf->members[i].role = (uint8_t)lib->servers[i].role;
    }
    ret_conf->nr = lib->n;
    return 0;
}
