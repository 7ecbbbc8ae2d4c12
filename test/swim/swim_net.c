/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "swim_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"

enum { WHEEL_NR = 1 << 14, HELD_NONE = 0, CHUNK_NR = 64 };
#define STEP_NONE UINT64_MAX

enum ev_kind { EV_MSG, EV_TICK, EV_PAUSE, EV_RESUME };

struct net_ev {
    uint32_t next;
    uint32_t node;
    uint32_t msg;
    uint32_t kind;
    uint64_t step; /* beyond the wheel's end it stays there and is put back */
};
struct net_msg {
    uint32_t next; /* free */
    uint32_t len;
    uint8_t bytes[SWIM_MSG_BYTES_MAX];
};
struct net_slot {
    uint32_t head, tail;
};

static void *
need(void *p)
{
    CAIRN_ASSERT(p != NULL);
    return p;
}

/* ---- the wheel ---- */

static uint32_t
ev_get(struct net_sim *net)
{
    uint32_t at = net->evs_free;

    if (at != 0) {
        net->evs_free = net->evs[at].next;
        return at;
    }
    if (net->evs_nr == net->evs_cap) {
        net->evs_cap = MAX(net->evs_cap * 2, 1024u);
        net->evs = need(realloc(net->evs, net->evs_cap * sizeof(*net->evs)));
    }
    return net->evs_nr++;
}

static void
ev_put(struct net_sim *net, uint32_t at)
{
    net->evs[at].next = net->evs_free;
    net->evs_free = at;
}

static void
wheel_add(struct net_sim *net, uint32_t at)
{
    uint64_t step = MIN(MAX(net->evs[at].step, net->step + 1), net->step + WHEEL_NR - 1);
    uint32_t idx = (uint32_t)(step % WHEEL_NR);
    struct net_slot *slot = &net->wheel[idx];

    net->evs[at].next = 0;
    if (slot->head == 0) {
        slot->head = at;
    } else {
        net->evs[slot->tail].next = at;
    }
    slot->tail = at;
    net->busy[idx / 64] |= UINT64_C(1) << idx % 64;
}

static void
post(struct net_sim *net, enum ev_kind kind, uint32_t node, uint32_t msg, uint64_t step)
{
    uint32_t at = ev_get(net);

    net->evs[at] = (struct net_ev){.node = node, .msg = msg, .kind = kind, .step = step};
    wheel_add(net, at);
}

/* The first step after now with an event, at most end. */
static uint64_t
wheel_next(const struct net_sim *net, uint64_t end)
{
    uint64_t step = net->step + 1;

    while (step <= end) {
        uint32_t idx = (uint32_t)(step % WHEEL_NR);
        uint64_t bits = net->busy[idx / 64] >> idx % 64;

        if (bits != 0)
            return MIN(step + (uint32_t)__builtin_ctzll(bits), end + 1);
        step += 64 - idx % 64;
    }
    return end + 1;
}

/* ---- messages ---- */

static uint32_t
msg_get(struct net_sim *net)
{
    uint32_t at = net->msgs_free;

    if (at != 0) {
        net->msgs_free = net->msgs[at]->next;
        return at;
    }
    if (net->msgs_nr == net->msgs_cap) {
        net->msgs_cap = MAX(net->msgs_cap * 2, 1024u);
        net->msgs = need(realloc(net->msgs, net->msgs_cap * sizeof(*net->msgs)));
    }
    net->msgs[net->msgs_nr] = need(malloc(sizeof(struct net_msg)));
    return net->msgs_nr++;
}

static void
msg_put(struct net_sim *net, uint32_t at)
{
    net->msgs[at]->next = net->msgs_free;
    net->msgs_free = at;
}

static bool
is_cut(const struct net_sim *net, uint32_t from, uint32_t to)
{
    uint8_t a = net->nodes[from].side, b = net->nodes[to].side;

    switch (net->cut) {
    case NET_CUT_NONE:
        break;
    case NET_CUT_TWO_WAY:
        return a != b;
    case NET_CUT_ONE_WAY:
        return a == 0 && b == 1;
    }
    return false;
}

static void
on_send(void *arg, struct rank to, const void *msg, size_t len)
{
    struct net_sim *net = arg;
    uint64_t r = rng_u64(&net->rng);
    uint32_t low = (uint32_t)r, at;
    uint64_t delay;

    net->sent_nr++;
    net->bytes += len;
    CAIRN_ASSERT(to.v < net->cfg.nodes_nr);
    if ((uint64_t)low * 1000000 >> 32 < net->cfg.loss_ppm || !net->nodes[to.v].up ||
        is_cut(net, net->caller, to.v)) {
        net->lost_nr++;
        return;
    }
    r >>= 32;
    delay = 1 + (r & 7); /* 100 to 800 us */
    if ((r >> 8 & 127) == 0)
        delay += r >> 16 & 127; /* a rare one up to 13.5 ms later */
    at = msg_get(net);
    net->msgs[at]->len = (uint32_t)len;
    memcpy(net->msgs[at]->bytes, msg, len);
    post(net, EV_MSG, to.v, at, net->step + delay);
}

/* ---- what members say ---- */

static void
trace(struct net_sim *net, uint64_t v)
{
    net->trace = (net->trace ^ v) * UINT64_C(0x9E3779B97F4A7C15);
    net->trace ^= net->trace >> 29;
}

static uint64_t
lost_ns(const struct net_sim *net, const struct net_node *n)
{
    return n->lost_ns + (n->paused ? net_now_ns(net) - n->paused_ns : 0);
}

/* One more knows of the watched death. */
static void
learnt(struct net_sim *net, struct net_node *n)
{
    struct net_watch *w = &net->watch;
    uint64_t now = net_now_ns(net);

    if (n->learnt_ns != 0 || !n->up)
        return;
    n->learnt_ns = now;
    w->awake_ns = MAX(w->awake_ns, now - w->at_ns - (lost_ns(net, n) - n->lost_before_ns));
    w->missing_nr--;
    if (w->missing_nr == 0)
        w->all_ns = now - w->at_ns;
}

static void
ended(struct net_sim *net, struct net_node *n, const struct swim_event *ev)
{
    const struct net_node *about = &net->nodes[ev->rank.v];

    if (ev->kind == SWIM_EV_DEAD)
        net->verdicts_nr++;
    if (about->up && about->life == ev->life && !about->is_quiet && !n->is_quiet)
        net->false_nr++;
    if (net->watch.at_ns != 0 && ev->rank.v == net->watch.node && ev->life == net->watch.life)
        learnt(net, n);
}

static void
on_event(void *arg, const struct swim_event *ev)
{
    struct net_sim *net = arg;
    struct net_node *n = &net->nodes[net->caller];

    trace(net, net->step << 20 ^ (uint64_t)net->caller << 8 ^ ev->kind);
    trace(net, ev->rank.v);
    switch (ev->kind) {
    case SWIM_EV_JOINED:
        net->joined_nr++;
        return;
    case SWIM_EV_SUSPECTED:
        net->suspected_nr++;
        return;
    case SWIM_EV_REFUTED:
        net->refuted_nr++;
        return;
    case SWIM_EV_DEAD:
    case SWIM_EV_CONFIRMED:
        ended(net, n, ev);
        return;
    case SWIM_EV_LEFT:
        return;
    case SWIM_EV_EXCLUDED:
        net->excluded_nr++;
        n->excluded = true;
        return;
    case SWIM_EV_GONE:
        n->gone = true;
        return;
    case SWIM_EV_DISTRUST_ON:
        net->distrust_nr++;
        return;
    case SWIM_EV_DISTRUST_OFF:
        return;
    }
}

static uint64_t
on_random(void *arg)
{
    return rng_u64(&((struct net_sim *)arg)->rng);
}

/* ---- members ---- */

uint64_t
net_now_ns(const struct net_sim *net)
{
    return net->step * NET_STEP_NS;
}

static uint64_t
clock_of(const struct net_sim *net, const struct net_node *n)
{
    uint64_t now = net_now_ns(net);

    if (n->ppm != 0)
        now = now + (uint64_t)((int64_t)(now / 1000000) * n->ppm);
    return now + n->clock_off_ns;
}

/* The step at which its clock shows due_ns, or the next one. */
static uint64_t
step_of(const struct net_node *n, uint64_t due_ns)
{
    uint64_t ns = due_ns > n->clock_off_ns ? due_ns - n->clock_off_ns : 0;

    if (n->ppm != 0)
        ns = ns / (uint64_t)(1000000 + n->ppm) * 1000000 + NET_STEP_NS;
    return (ns + NET_STEP_NS - 1) / NET_STEP_NS;
}

static void
arm(struct net_sim *net, uint32_t node)
{
    struct net_node *n = &net->nodes[node];
    uint64_t due = swim_due_ns(n->sw), step;

    if (due == SWIM_NEVER_NS)
        return;
    step = MAX(step_of(n, due), net->step + 1);
    if (step >= n->tick_step)
        return;
    n->tick_step = step;
    post(net, EV_TICK, node, 0, step);
}

static void
tick(struct net_sim *net, uint32_t node)
{
    struct net_node *n = &net->nodes[node];
    uint64_t now = clock_of(net, n);

    net->caller = node;
    if (swim_due_ns(n->sw) <= now)
        swim_tick(n->sw, now);
    arm(net, node);
}

static void
deliver(struct net_sim *net, uint32_t node, uint32_t msg)
{
    struct net_node *n = &net->nodes[node];

    net->caller = node;
    CAIRN_ASSERT(swim_recv(n->sw, clock_of(net, n), net->msgs[msg]->bytes, net->msgs[msg]->len) == 0);
    msg_put(net, msg);
    arm(net, node);
}

static void
hold(struct net_sim *net, struct net_node *n, uint32_t at)
{
    net->evs[at].next = 0;
    if (n->held_head == HELD_NONE) {
        n->held_head = at;
    } else {
        net->evs[n->held_tail].next = at;
    }
    n->held_tail = at;
}

static void
held_deliver(struct net_sim *net, uint32_t node, bool is_dropped)
{
    struct net_node *n = &net->nodes[node];
    uint32_t at = n->held_head;

    n->held_head = HELD_NONE;
    while (at != HELD_NONE) {
        uint32_t next = net->evs[at].next, msg = net->evs[at].msg;

        ev_put(net, at);
        if (is_dropped) {
            msg_put(net, msg);
        } else {
            deliver(net, node, msg);
        }
        at = next;
    }
}

static void
pause_next(struct net_sim *net, uint32_t node)
{
    struct net_node *n = &net->nodes[node];
    uint64_t at = rng_below(&net->rng, 60 * NET_S - net->cfg.pause_max_ns);

    post(net, EV_PAUSE, node, 0, (n->minute_ns + at) / NET_STEP_NS);
    n->minute_ns += 60 * NET_S;
}

void
net_pause(struct net_sim *net, uint32_t node, uint64_t ns)
{
    struct net_node *n = &net->nodes[node];

    if (n->paused || !n->up)
        return;
    net->pauses_nr++;
    n->paused = true;
    n->paused_ns = net_now_ns(net);
    post(net, EV_RESUME, node, ++n->pauses_nr, net->step + MAX(ns / NET_STEP_NS, 1u));
}

/* It goes on: its late tick first, or what waits in its socket. */
static void
resume(struct net_sim *net, uint32_t node)
{
    struct net_node *n = &net->nodes[node];
    uint64_t ns = net_now_ns(net) - n->paused_ns;

    n->paused = false;
    n->lost_ns += ns;
    if (net->cfg.clocks_stop)
        n->clock_off_ns -= ns;
    if (rng_u64(&net->rng) % 2 == 0)
        tick(net, node);
    held_deliver(net, node, false);
    tick(net, node);
}

/* ---- events ---- */

static void
dispatch(struct net_sim *net, uint32_t at)
{
    struct net_ev *ev = &net->evs[at];
    uint32_t node = ev->node, msg = ev->msg;
    struct net_node *n = &net->nodes[node];

    if (ev->step > net->step) {
        wheel_add(net, at);
        return;
    }
    switch ((enum ev_kind)ev->kind) {
    case EV_MSG:
        if (n->paused && n->up) {
            hold(net, n, at);
            return;
        }
        ev_put(net, at);
        if (n->up) {
            deliver(net, node, msg);
        } else {
            msg_put(net, msg);
        }
        return;
    case EV_TICK: {
        bool is_due = n->tick_step == net->step;

        ev_put(net, at);
        if (!is_due)
            return;
        n->tick_step = STEP_NONE;
        if (n->up && !n->paused)
            tick(net, node);
        return;
    }
    case EV_PAUSE:
        ev_put(net, at);
        net_pause(net, node, rng_below(&net->rng, net->cfg.pause_max_ns));
        pause_next(net, node);
        return;
    case EV_RESUME:
        ev_put(net, at);
        if (n->paused && n->pauses_nr == msg)
            resume(net, node);
        return;
    }
}

static void
step_run(struct net_sim *net)
{
    uint32_t idx = (uint32_t)(net->step % WHEEL_NR);
    uint32_t at = net->wheel[idx].head;

    net->wheel[idx].head = 0;
    net->busy[idx / 64] &= ~(UINT64_C(1) << idx % 64);
    while (at != 0) {
        uint32_t next = net->evs[at].next;

        dispatch(net, at);
        at = next;
    }
}

static void
run_to(struct net_sim *net, uint64_t end, bool until_known)
{
    while (net->step < end) {
        uint64_t step = wheel_next(net, MIN(end, net->step + WHEEL_NR - 1));

        if (step > end) {
            net->step = end;
            return;
        }
        if (step > net->step + WHEEL_NR - 1) { /* nothing in the whole wheel */
            net->step += WHEEL_NR - 1;
            continue;
        }
        net->step = step;
        step_run(net);
        if (until_known && net->watch.all_ns != 0)
            return;
    }
}

void
net_run(struct net_sim *net, uint64_t ns)
{
    run_to(net, net->step + ns / NET_STEP_NS, false);
}

void
net_run_known(struct net_sim *net, uint64_t max_ns)
{
    run_to(net, net->step + max_ns / NET_STEP_NS, true);
}

/* ---- the group ---- */

static void
node_start(struct net_sim *net, uint32_t node, uint64_t life)
{
    static const struct swim_ops ops = {.send = on_send, .event = on_event, .random = on_random};
    struct net_node *n = &net->nodes[node];
    struct swim_cfg cfg;

    swim_cfg_init(&cfg, (struct rank){node}, life);
    if (net->cfg.tune != NULL)
        net->cfg.tune(&cfg);
    n->life = life;
    n->up = true;
    n->excluded = n->gone = n->is_quiet = false;
    n->tick_step = STEP_NONE;
    net->caller = node;
    CAIRN_ASSERT(swim_create(&cfg, &ops, net, clock_of(net, n), &n->sw) == 0);
}

static void
node_meet(struct net_sim *net, uint32_t node, uint32_t other)
{
    struct net_node *n = &net->nodes[node];

    net->caller = node;
    CAIRN_ASSERT(
        swim_add(n->sw, clock_of(net, n), (struct rank){other}, net->nodes[other].life) == 0);
}

void
net_init(struct net_sim *net, const struct net_cfg *cfg, uint64_t seed)
{
    *net = (struct net_sim){.cfg = *cfg, .evs_nr = 1, .msgs_nr = 1};
    rng_init(&net->rng, seed);
    net->nodes = need(calloc(cfg->nodes_nr, sizeof(*net->nodes)));
    net->evs_cap = net->msgs_cap = 1024;
    net->evs = need(calloc(net->evs_cap, sizeof(*net->evs)));
    net->msgs = need(calloc(net->msgs_cap, sizeof(struct net_msg *)));
    net->wheel = need(calloc(WHEEL_NR, sizeof(*net->wheel)));
    net->busy = need(calloc(WHEEL_NR / 64, sizeof(*net->busy)));
    for (uint32_t i = 0; i < cfg->nodes_nr; i++) {
        struct net_node *n = &net->nodes[i];

        n->clock_off_ns = (1 + rng_below(&net->rng, 1000000)) * NET_S;
        if (cfg->drift_ppm != 0)
            n->ppm = (int32_t)rng_below(&net->rng, 2 * cfg->drift_ppm + 1) - (int32_t)cfg->drift_ppm;
        node_start(net, i, 1);
        if (cfg->pause_max_ns != 0) {
            n->minute_ns = rng_below(&net->rng, 60 * NET_S); /* minutes of its own */
            pause_next(net, i);
        }
    }
    for (uint32_t i = 0; i < cfg->nodes_nr; i++) {
        for (uint32_t j = 0; j < cfg->nodes_nr; j++) {
            if (i != j)
                node_meet(net, i, j);
        }
        arm(net, i);
    }
    net->joined_nr = 0;
}

void
net_fini(struct net_sim *net)
{
    for (uint32_t i = 0; i < net->cfg.nodes_nr; i++) {
        swim_destroy(net->nodes[i].sw);
    }
    for (uint32_t i = 1; i < net->msgs_nr; i++) {
        free(net->msgs[i]);
    }
    free(net->nodes);
    free(net->evs);
    free(net->msgs);
    free(net->wheel);
    free(net->busy);
}

void
net_kill(struct net_sim *net, uint32_t node)
{
    struct net_node *dead = &net->nodes[node];

    CAIRN_ASSERT(dead->up);
    dead->up = false;
    dead->paused = false;
    held_deliver(net, node, true);
    swim_destroy(dead->sw);
    dead->sw = NULL;
    net->watch = (struct net_watch){.node = node, .life = dead->life, .at_ns = net_now_ns(net)};
    for (uint32_t i = 0; i < net->cfg.nodes_nr; i++) {
        struct net_node *n = &net->nodes[i];

        n->learnt_ns = 0;
        n->lost_before_ns = lost_ns(net, n);
        net->watch.missing_nr += n->up;
    }
}

void
net_restart(struct net_sim *net, uint32_t node, uint32_t seeds_nr)
{
    struct net_node *n = &net->nodes[node];
    uint32_t nr = net->cfg.nodes_nr;

    CAIRN_ASSERT(!n->up);
    node_start(net, node, n->life + 1);
    for (uint32_t i = 0; i < seeds_nr; i++) {
        uint32_t other = seeds_nr >= nr ? i : (uint32_t)rng_below(&net->rng, nr);

        if (other < nr && other != node && net->nodes[other].up)
            node_meet(net, node, other);
    }
    arm(net, node);
}

void
net_confirm(struct net_sim *net, uint32_t teller, uint32_t node)
{
    struct net_node *n = &net->nodes[teller];

    net->caller = teller;
    CAIRN_ASSERT(
        swim_confirm_dead(n->sw, clock_of(net, n), (struct rank){node}, net->nodes[node].life) == 0);
    arm(net, teller);
}

void
net_leave(struct net_sim *net, uint32_t node)
{
    struct net_node *n = &net->nodes[node];

    net->caller = node;
    swim_leave(n->sw, clock_of(net, n));
    arm(net, node);
}

uint32_t
net_seen_nr(const struct net_sim *net, uint32_t node, enum swim_state state)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < net->cfg.nodes_nr; i++) {
        struct swim_member_info info;

        if (i == node || !net->nodes[i].up)
            continue;
        nr += swim_member(net->nodes[i].sw, (struct rank){node}, &info) == 0 &&
            info.life == net->nodes[node].life && info.state == state;
    }
    return nr;
}

uint32_t
net_up_nr(const struct net_sim *net)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < net->cfg.nodes_nr; i++) {
        nr += net->nodes[i].up;
    }
    return nr;
}

bool
net_all_alive(const struct net_sim *net)
{
    for (uint32_t i = 0; i < net->cfg.nodes_nr; i++) {
        if (net->nodes[i].up && net_seen_nr(net, i, SWIM_ALIVE) != net_up_nr(net) - 1)
            return false;
    }
    return true;
}
