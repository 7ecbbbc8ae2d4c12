/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: the input is a script for one member: a byte that says how long to wait, a 16-bit length, and a message of that length; 0xffff: no message, something the
 * caller does. Every message sent is well formed and within its size, counters agree, and time always has an end.
 */
#include <stdint.h>
#include <stdlib.h>

#include "swim/swim_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
on_send(void *arg, struct rank to, const void *msg, size_t len)
{
    struct swim_head head;

    (void)arg;
    CAIRN_ASSERT(to.v < SWIM_RANKS_MAX);
    CAIRN_ASSERT(swim_wire_check(msg, len, &head) == 0);
}

static void
on_event(void *arg, const struct swim_event *ev)
{
    (void)arg;
    CAIRN_ASSERT(ev->rank.v < SWIM_RANKS_MAX && ev->life != 0);
}

static uint64_t
on_random(void *arg)
{
    uint64_t *state = arg;

    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 17;
}

static void
counters_agree(const struct swim *sw)
{
    uint32_t nr[6] = {0}, queued = 0;

    for (uint32_t i = 1; i < sw->members_nr; i++) {
        nr[sw->members[i].state]++;
    }
    CAIRN_ASSERT(nr[SWIM_ALIVE] == sw->alive_nr && nr[SWIM_SUSPECT] == sw->suspects_nr &&
        nr[SWIM_DEAD] == sw->dead_nr);
    for (uint32_t i = 0; i < sw->suspects_nr; i++) {
        CAIRN_ASSERT(sw->members[sw->suspects[i].slot].suspect == i);
    }
    for (uint32_t i = 0; i < sw->members_nr; i++) {
        queued += sw->members[i].sends != UINT8_MAX;
    }
    CAIRN_ASSERT(queued == sw->queued_nr);
    /* Held: of more than the limit the newly dead stay uncounted only when the group shrank afterwards. */
    CAIRN_ASSERT(sw->dead_nr < sw->members_nr);
}

static void
act(struct swim *sw, uint64_t now_ns, uint8_t what)
{
    struct rank rank = {what % 8};

    switch (what / 8 % 4) {
    case 0:
        CAIRN_IGNORE(swim_add(sw, now_ns, rank, what)); /* errors are fine */
        return;
    case 1:
        CAIRN_IGNORE(swim_confirm_dead(sw, now_ns, rank, what / 32)); /* errors are fine */
        return;
    case 2:
        swim_leave(sw, now_ns);
        return;
    default:
        return;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct swim_ops ops = {.send = on_send, .event = on_event, .random = on_random};
    uint64_t random = 1, now_ns = UINT64_C(1000000000);
    struct swim *sw = NULL;
    struct swim_cfg cfg;
    size_t off = 0;

    swim_cfg_init(&cfg, (struct rank){1}, 5);
    CAIRN_ASSERT(swim_create(&cfg, &ops, &random, now_ns, &sw) == 0);
    for (uint32_t i = 2; i < 7; i++) {
        CAIRN_ASSERT(swim_add(sw, now_ns, (struct rank){i}, i) == 0);
    }
    while (off + 3 <= len) {
        uint32_t bytes = le16_get(data + off + 1);

        now_ns += data[off] * UINT64_C(20000000);
        for (uint32_t i = 0; i < 200 && swim_due_ns(sw) <= now_ns; i++) {
            swim_tick(sw, MAX(swim_due_ns(sw), now_ns - UINT64_C(5000000000) * (i == 0)));
        }
        off += 3;
        if (bytes == UINT16_MAX) {
            act(sw, now_ns, data[off - 3]);
            continue;
        }
        bytes = MIN(bytes, (uint32_t)(len - off));
        CAIRN_IGNORE(swim_recv(sw, now_ns, data + off, bytes)); /* refusals are fine */
        off += bytes;
        counters_agree(sw);
    }
    swim_tick(sw, now_ns);
    counters_agree(sw);
    swim_destroy(sw);
    return 0;
}
