/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The store of the services is scrubbed (engine_scrub.c): pass after pass at its pace, silence while all is well; a damaged superblock and a damaged page image are
 * written anew, so that the next start finds nothing; a damaged row is counted, and answers CSUM. What is counted is asked for as `dmg` asks.
 */
#include <stdio.h>

#include "proto/ctl/ctl.pb-c.h"
#include "server/server_rig.h"

#define S UINT64_C(1000000000)
#define PERIOD_NS (5 * S)
enum { VALUE_BYTES = 16000, CHUNKS_NR = 4, SERVICES_NR = 2 };

static Cairn__Ctl__TargetHealth
health_of(struct rig *rig)
{
    Cairn__Ctl__TargetHealth h = CAIRN__CTL__TARGET_HEALTH__INIT;
    Cairn__Ctl__StorageQueryRep *rep;
    struct iov body;

    if (!EXPECT_OK(rig_ctl(rig, 0, CAIRN__CTL__METHOD__STORAGE_QUERY, NULL, &body)))
        return h;
    rep = cairn__ctl__storage_query_rep__unpack(NULL, body.len, body.buf);
    if (EXPECT(rep != NULL && rep->n_engines == 1 && rep->engines[0]->services != NULL))
        h = *rep->engines[0]->services; /* numbers alone are used */
    cairn__ctl__storage_query_rep__free_unpacked(rep, NULL);
    return h;
}

static void
flip(struct rig *rig, const char *file, uint64_t at)
{
    char path[64];

    snprintf(path, sizeof(path), "/store/sys/%s", file);
    EXPECT_OK(sim_file_flip_bit(rig->sim, rig->engines[0].host, path, at * 8 + 3));
}

static int
attr(struct rig *rig, uint16_t opcode, struct iov value)
{
    struct proto_attr one = {.name = rig_str("large"), .value = value};
    struct proto_attr_req req = {.pool = rig->pool, .cont = rig->cont, .attrs = {1, &one}};
    struct proto_attr_rep rep;

    return rig_svc(rig, opcode, &req, &rep);
}

static void
body_scrub(struct rig *rig)
{
    static uint8_t value[VALUE_BYTES];
    Cairn__Ctl__TargetHealth h, h2;

    memset(value, 'v', sizeof(value));
    if (!rig_setup(rig) ||
        !EXPECT_OK(attr(rig, PROTO_CONT_ATTR_SET, (struct iov){value, sizeof(value)})))
        return;
    h = health_of(rig);
    EXPECT_EQ(h.rc, 0);
    EXPECT_EQ(h.scrub_bytes + h.scrub_meta_bytes, 0); /* not at once */
    ult_sleep(5 * PERIOD_NS);
    h = health_of(rig);
    EXPECT(h.scrub_meta_passes >= 3 && h.scrub_meta_passes <= 5);
    EXPECT(h.scrub_passes >= h.scrub_meta_passes * SERVICES_NR &&
        h.scrub_passes <= (h.scrub_meta_passes + 1) * SERVICES_NR);
    EXPECT_GE(h.scrub_bytes, h.scrub_meta_passes * VALUE_BYTES);
    EXPECT_GE(h.scrub_meta_bytes, h.scrub_meta_passes * 5 * 4096);
    EXPECT_EQ(h.scrub_bad + h.scrub_mended, 0);

    flip(rig, "target", 20);
    flip(rig, "wal", 50);
    flip(rig, "meta", 60);
    flip(rig, "data", 4095);
    ult_sleep(3 * PERIOD_NS);
    h = health_of(rig);
    EXPECT_EQ(h.scrub_mended, 4);
    EXPECT_EQ(h.scrub_bad, 0);
    /* Somewhere in headers, slot map or pages. What is not in use may be met, and is passed over. */
    for (uint64_t i = 0; i < 12; i++) {
        EXPECT_OK(sim_file_rot(rig->sim, rig->engines[0].host, "/store/sys/meta", i * 7919));
        ult_sleep(3 * PERIOD_NS);
    }
    h2 = health_of(rig);
    EXPECT_GT(h2.scrub_mended, h.scrub_mended + 2);
    EXPECT_EQ(h2.scrub_bad, 0);
    rig_engine_restart(rig, 0);
    EXPECT_EQ(health_of(rig).rc, 0);
    EXPECT_OK(attr(rig, PROTO_CONT_ATTR_GET, (struct iov){NULL, 0}));

    for (uint64_t i = 0; i < 8; i++) {
        EXPECT_OK(sim_file_rot(rig->sim, rig->engines[0].host, "/store/sys/data", i * 104729));
    }
    ult_sleep(4 * PERIOD_NS);
    h = health_of(rig);
    EXPECT(h.scrub_bad >= 2 && h.scrub_bad <= 5 * CHUNKS_NR); /* chunks of the one row, in each pass */
    EXPECT_ERR(attr(rig, PROTO_CONT_ATTR_GET, (struct iov){NULL, 0}), CSUM);
}

/* The labels and tables of devices as well. */
static void
body_devs(struct rig *rig)
{
    Cairn__Ctl__TargetHealth h;

    if (!rig_setup(rig))
        return;
    EXPECT_OK(sim_file_flip_bit(rig->sim, rig->engines[0].host, "/dev0", 60 * 8));
    EXPECT_OK(sim_file_flip_bit(rig->sim, rig->engines[0].host, "/dev1", (4096 + 40) * 8));
    ult_sleep(4 * PERIOD_NS);
    h = health_of(rig);
    EXPECT_EQ(h.scrub_mended, 2);
    EXPECT_EQ(h.scrub_bad, 0);
    rig_engine_restart(rig, 0);
    EXPECT_EQ(health_of(rig).rc, 0);
}

TEST_ON(server_scrub, labels_of_devices, BACKEND_SIM)
{
    rig_run_scrub(1, 2, PERIOD_NS, body_devs);
}

TEST_ON(server_scrub, the_store_of_the_services_is_scrubbed, BACKEND_SIM)
{
    rig_run_scrub(1, 0, PERIOD_NS, body_scrub);
}
