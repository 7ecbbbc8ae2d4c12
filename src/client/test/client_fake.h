/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A naive system for tests of the client alone: two ranks of two targets whose handlers keep values in lists, know one pool and its containers, and do
 * what rules say: fail before or after the work, not answer at all, damage data, bump the map. Under plat/sim (each rank a node, calls from a ULT) or on
 * linux (inproc, calls from threads).
 */
#ifndef CAIRN_CLIENT_FAKE_H
#define CAIRN_CLIENT_FAKE_H

#include "client/core/client.h"
#include "daos_types.h"
#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"
#include "poolmap/poolmap.h"
#include "proto/proto_svc.h"

enum {
    FAKE_RANKS_NR = 2,
    FAKE_TGTS_NR = 2, /* of a rank */
    FAKE_TAGS_NR = 1 + FAKE_TGTS_NR,
    FAKE_RULES_NR_MAX = 8,
    FAKE_LEADER = 1, /* of system and pool; the attach information says 0 */
};
#define FAKE_POOL_LABEL "pool"
#define FAKE_ANY UINT32_MAX

enum fake_act {
    FAKE_FAIL_BEFORE = 1, /* answer rc, nothing done */
    FAKE_FAIL_AFTER, /* done, then the connection breaks */
    FAKE_GONE_AFTER, /* fetches: the data is pushed, then the connection breaks and all values of the target are gone */
    FAKE_BAD_DATA, /* a fetch whose data does not match its checksum */
};

struct fake_rule {
    uint32_t rank, tag; /* FAKE_ANY */
    uint16_t opcode;
    enum fake_act act;
    int rc;
    uint32_t nr; /* how often; counts down */
};

struct fake_val {
    struct fake_val *next;
    struct oid oid;
    uint32_t shard;
    char dkey[4096], akey[64];
    size_t dkey_len, akey_len;
    uint32_t type;
    uint64_t size; /* of the value or a record; 0: nothing */
    uint8_t *data;
    uint8_t *present; /* of records */
    uint64_t nr; /* records with room */
};

struct fake_tag {
    struct fake *fake;
    uint32_t rank, tag;
    struct rpc_ctx *ctx;
    struct fake_val *vals;
    uint32_t requests_nr, applied_nr, replays_nr;
    /* the last modifying request: a resend finds it */
    struct uuid last_client;
    uint64_t last_seq[CLIENT_SLOTS_NR];
    int last_rc[CLIENT_SLOTS_NR];
    uint64_t last_first_hlc;
};

struct fake_cont {
    struct uuid uuid;
    char label[128];
    bool is_used;
    uint32_t hdl_nr;
    uint64_t oid_next;
};

struct fake {
    struct sim *sim; /* NULL on linux */
    struct plat *plats[FAKE_RANKS_NR], *cplat;
    struct xstream *xss[FAKE_RANKS_NR], *cxs;
    struct fake_tag tags[FAKE_RANKS_NR][FAKE_TAGS_NR];
    char uris[FAKE_RANKS_NR][FAKE_TAGS_NR][NET_URI_MAX];
    struct client_sys sys;
    struct client_rank sys_ranks[FAKE_RANKS_NR];
    struct daos_client *client;
    struct uuid pool;
    struct poolmap *map;
    struct fake_cont conts[8];
    struct fake_rule rules[FAKE_RULES_NR_MAX];
    struct proto_attr attrs[16]; /* malloc'ed parts */
    uint32_t attr_nr;
    uint32_t list_nr_max; /* entries of one listing reply, 0: no limit */
};

/** False: an expectation failed, do not go on. */
bool fake_init(struct fake *fake);
void fake_fini(struct fake *fake);
/** Run the test: on a ULT of the client under plat/sim, on the calling thread on linux. */
void fake_run(struct fake *fake, void (*fn)(struct fake *fake));
void fake_rule_add(struct fake *fake, struct fake_rule rule);
/** Requests seen by all targets. */
uint32_t fake_requests_nr(const struct fake *fake);

/** Connect, create and open a container called "cont". */
bool fake_open(struct fake *fake, daos_handle_t *poh, daos_handle_t *coh);
void fake_close(daos_handle_t poh, daos_handle_t coh);

#endif
