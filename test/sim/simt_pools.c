/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pools that come and go, as an administrator makes them: one request after another through the control messages of rank 0, each repeated
 * until its answer is there. Some are too large for the targets. What must hold: one that fits is made, one that does not is refused and
 * leaves nothing, one that was destroyed is gone and its space is back, and after each restart the list says the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "proto/ctl/ctl.pb-c.h"
#include "sim/simt_sys.h"

enum { SLOTS_NR = 2 };
#define ASK_NS (200 * SIMT_S) /* an answer comes in that time */
#define SPACE_NS (60 * SIMT_S) /* space of a pool that was destroyed comes back in that time */
#define FIT_BYTES \
    (UINT64_C(24) << 20) /* of metadata of each target: with the pool of the workloads, two fit, three do not */
#define LARGE_BYTES (UINT64_C(512) << 20)

struct slot {
    struct uuid uuid;
    char label[16];
    bool is_there;
};

struct simt_pools {
    struct slot slots[SLOTS_NR];
    struct slot large; /* the last that was too large */
    uint32_t large_nr;
};

/* No answer yet: the engine is not there, or the request asks for another try. */
static bool
is_open(int rc)
{
    enum err_class cls = err_class(rc);

    return rc == -DER_UNREACH || rc == -DER_TIMEDOUT || rc == -DER_SHUTDOWN ||
        rc == -DER_NOTLEADER || cls == ERR_CLASS_RETRY || cls == ERR_CLASS_BUSY;
}

/* Ask rank 0 until it says something. *ret_tries: how often. */
static int
ask(struct simt *t, Cairn__Ctl__Method method, const ProtobufCMessage *body, uint32_t *ret_tries)
{
    struct simt_engine *e = &t->engines[0];
    uint64_t end_ns = simt_now(t) + ASK_NS;
    int rc = -DER_UNREACH;

    *ret_tries = 0;
    while (is_open(rc)) {
        if (simt_now(t) > end_ns)
            return -DER_TIMEDOUT;
        if (e->engine != NULL && e->is_ready) {
            rc = simt_ctl(e, method, body, NULL);
            (*ret_tries)++;
        }
        ult_sleep(20 * SIMT_MS);
    }
    return rc;
}

static int
create(struct simt *t, struct slot *slot, uint64_t meta_bytes)
{
    Cairn__Ctl__PoolCreateReq req = CAIRN__CTL__POOL_CREATE_REQ__INIT;
    Cairn__Ctl__Property label = CAIRN__CTL__PROPERTY__INIT, *props[1] = {&label};
    uint64_t tiers[2] = {meta_bytes * SIMT_TGTS, (UINT64_C(4) << 20) * SIMT_TGTS};
    char user[] = "root@";
    uint32_t tries;

    label.number = DAOS_PROP_PO_LABEL;
    label.str = slot->label;
    req.uuid = (ProtobufCBinaryData){sizeof(slot->uuid.b), slot->uuid.b};
    req.tier_bytes = tiers;
    req.n_tier_bytes = 2;
    req.properties = props;
    req.n_properties = 1;
    req.user = req.group = user;
    return ask(t, CAIRN__CTL__METHOD__POOL_CREATE, &req.base, &tries);
}

static void
make(struct simt *t, struct slot *slot)
{
    uint64_t end_ns = simt_now(t) + SPACE_NS;
    bool was_refused = false, is_again;
    int rc;

    do {
        slot->uuid = cuuid_from_random(rng_u64(&t->rng), rng_u64(&t->rng));
        rc = create(t, slot, FIT_BYTES);
        was_refused = was_refused || rc == -DER_NOSPACE;
        is_again = was_refused && (rc == -DER_NOSPACE || rc == -DER_EXIST) && simt_now(t) < end_ns;
        if (is_again)
            ult_sleep(SIMT_S);
    } while (is_again);
    slot->is_there = rc == 0;
    if (rc != 0)
        simt_fail(t, "create of pool %s: %s", slot->label, err_name(rc));
}

static void
make_large(struct simt *t)
{
    struct slot *large = &t->pools->large;
    int rc;

    /* The label of one that was refused is free only when all that was made of it is gone. */
    snprintf(large->label, sizeof(large->label), "large%u", t->pools->large_nr++);
    large->uuid = cuuid_from_random(rng_u64(&t->rng), rng_u64(&t->rng));
    rc = create(t, large, LARGE_BYTES);
    /* TGT_CREATE: the service died over it, and who took it up met the refusal. */
    if (rc != -DER_NOSPACE && rc != -DER_TGT_CREATE)
        simt_fail(t, "create of a pool that is too large: %s", err_name(rc));
}

static void
unmake(struct simt *t, struct slot *slot)
{
    Cairn__Ctl__PoolDestroyReq req = CAIRN__CTL__POOL_DESTROY_REQ__INIT;
    uint32_t tries;
    int rc;

    req.id = slot->label;
    req.force = req.recursive = rng_chance(&t->rng, 1, 2);
    rc = ask(t, CAIRN__CTL__METHOD__POOL_DESTROY, &req.base, &tries);
    if (rc == -DER_NONEXIST && tries > 1)
        rc = 0; /* an earlier one did it, and its answer was lost */
    slot->is_there = rc != 0;
    if (rc != 0)
        simt_fail(t, "destroy of pool %s: %s", slot->label, err_name(rc));
}

void
simt_pools_main(void *arg)
{
    struct simt *t = arg;

    t->keepers_nr++;
    while (t->rough_on) {
        struct slot *slot = &t->pools->slots[rng_below(&t->rng, SLOTS_NR)];

        ult_sleep(simt_exp(&t->rng, 10 * t->cfg.fault_gap_ns));
        if (rng_chance(&t->rng, 1, 3)) {
            make_large(t);
        } else if (slot->is_there) {
            unmake(t, slot);
        } else {
            make(t, slot);
        }
        t->report->pools_nr++;
    }
    t->pools_over = true;
    t->keepers_nr--;
}

struct simt_pools *
simt_pools_create(void)
{
    struct simt_pools *p = simt_alloc(sizeof(*p));

    for (uint32_t i = 0; i < SLOTS_NR; i++) {
        snprintf(p->slots[i].label, sizeof(p->slots[i].label), "extra%u", i);
    }
    return p;
}

/* What the list says of a pool: its state + 1; 0: it is not in it. */
static uint32_t
state_in(const Cairn__Ctl__PoolListRep *rep, const char *label, const struct uuid *uuid)
{
    for (size_t i = 0; i < rep->n_pools; i++) {
        const Cairn__Ctl__PoolEntry *e = rep->pools[i];

        if (strcmp(e->label, label) == 0 && e->uuid.len == sizeof(uuid->b) &&
            memcmp(e->uuid.data, uuid->b, sizeof(uuid->b)) == 0)
            return 1 + (uint32_t)e->state;
    }
    return 0;
}

/* Text of what is wrong with the list, or NULL. */
static const char *
list_wrong(struct simt_pools *p, const Cairn__Ctl__PoolListRep *rep, size_t *ret_expected)
{
    *ret_expected = 1;
    for (uint32_t i = 0; i < SLOTS_NR; i++) {
        const struct slot *slot = &p->slots[i];
        uint32_t state = state_in(rep, slot->label, &slot->uuid);

        *ret_expected += slot->is_there;
        if (slot->is_there && state != 1 + CAIRN__CTL__POOL_STATE__POOL_READY)
            return "a pool that was made is not ready";
        if (!slot->is_there && state != 0)
            return "a pool that was destroyed is there";
    }
    if (state_in(rep, p->large.label, &p->large.uuid) != 0)
        return "a pool that was refused is there";
    return rep->n_pools != *ret_expected ? "pools that nobody made" : NULL;
}

/* In peace: what is left to undo is undone within some seconds. */
void
simt_pools_check(struct simt *t)
{
    uint64_t end_ns = simt_now(t) + SPACE_NS;
    Cairn__Ctl__Empty none = CAIRN__CTL__EMPTY__INIT;
    const char *wrong;

    do {
        ProtobufCBinaryData body = {0, NULL};
        Cairn__Ctl__PoolListRep *rep;
        size_t expected;
        int rc = simt_ctl(&t->engines[0], CAIRN__CTL__METHOD__POOL_LIST, &none.base, &body);

        wrong = "the list does not come";
        if (rc == 0) {
            rep = cairn__ctl__pool_list_rep__unpack(NULL, body.len, body.data);
            wrong = rep == NULL ? "the list is damaged" : list_wrong(t->pools, rep, &expected);
            cairn__ctl__pool_list_rep__free_unpacked(rep, NULL);
        }
        free(body.data);
        if (wrong != NULL)
            ult_sleep(SIMT_S);
    } while (wrong != NULL && simt_now(t) < end_ns);
    if (wrong != NULL)
        simt_fail(t, "pools: %s", wrong);
    for (uint32_t i = 0; i < SLOTS_NR; i++) {
        const struct slot *slot = &t->pools->slots[i];
        daos_handle_t poh;
        int rc = daos_pool_connect(slot->label, SIMT_SYSTEM, DAOS_PC_RW, &poh, NULL, NULL);

        if (rc != (slot->is_there ? 0 : -DER_NONEXIST))
            simt_fail(t, "connect to pool %s: %s", slot->label, err_name(rc));
        if (rc == 0)
            rc = daos_pool_disconnect(poh, NULL);
        if (slot->is_there && rc != 0)
            simt_fail(t, "disconnect from pool %s: %s", slot->label, err_name(rc));
    }
}
