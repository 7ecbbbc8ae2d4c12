/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * sim: one seeded event queue that owns time and the life of nodes; disks and network are in files of their own.
 *
 *   SIM-1  Events run in the order of (time, order of scheduling). All chance comes from generators seeded by sim_opts.seed, so one
 *          seed is one history (SM-1); every event is hashed into the trace.
 *   SIM-2  The code of a node runs only inside an event of one of its loops, in no other node's stack. A loop that became ready runs
 *          a random moment later (at most SIM_WAKE_NS_MAX), which varies the interleaving of nodes with the seed.
 *   SIM-3  Death takes effect between events. A node that is to die while its code is on the stack is `doomed`: what it still does has
 *          no effect, and it dies at the same instant, right after that event. Nothing is called back in a dead node but its reaps;
 *          these may call every close and destroy function of plat, which only free memory then.
 *   SIM-4  Each host has its own monotonic clock, off from the others by a random amount, so that a monotonic time sent
 *          to another host is noticed.
 *
 * Tested by plat_sim_test.c (determinism, kills, power loss) and by the suites that run on every backend.
 */
#include "plat/sim/plat_sim_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_WALL_START_NS (UINT64_C(1750000000) * 1000000000)
#define SIM_MONO_OFF_NS_MAX (UINT64_C(1000) * 1000000000)

/* ---- events and chance ---------------------------------------------------------------------------------------------- */

void *
sim_alloc(size_t bytes)
{
    void *p = calloc(1, bytes);

    CAIRN_ASSERT(p != NULL);
    return p;
}

void
sim_trace(struct sim *sim, enum sim_trace_kind kind, uint64_t a, uint64_t b)
{
    const uint64_t words[] = {sim->now_ns, kind, a, b};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        sim->trace ^= words[i];
        sim->trace *= UINT64_C(0x9e3779b97f4a7c15);
        sim->trace ^= sim->trace >> 29;
    }
}

void
sim_ev_set(struct sim *sim, struct sim_ev *ev, uint64_t at_ns)
{
    int rc;

    heap_remove(&sim->events, &ev->hn);
    rc = heap_insert(&sim->events, &ev->hn, MAX(at_ns, sim->now_ns));
    CAIRN_ASSERT(rc == 0);
}

void
sim_ev_cancel(struct sim *sim, struct sim_ev *ev)
{
    heap_remove(&sim->events, &ev->hn);
}

bool
sim_ppm(struct rng *rng, uint32_t ppm)
{
    return ppm != 0 && rng_below(rng, 1000000) < ppm;
}

static void
sim_event_run(struct sim *sim)
{
    struct heap_node *hn = heap_pop(&sim->events);
    struct sim_ev *ev = CAIRN_CONTAINER_OF(hn, struct sim_ev, hn);

    CAIRN_ASSERT(hn->key >= sim->now_ns);
    sim->now_ns = hn->key;
    ev->fn(sim, ev);
}

int
sim_run_until(struct sim *sim, bool (*done)(void *arg), void *arg, uint64_t limit_ns)
{
    uint64_t end_ns = limit_ns > UINT64_MAX - sim->now_ns ? UINT64_MAX : sim->now_ns + limit_ns;

    CAIRN_ASSERT(sim->running == NULL);
    while (!done(arg)) {
        struct heap_node *hn = heap_top(&sim->events);

        if (hn == NULL)
            return CAIRN_ERR(NONEXIST);
        if (hn->key > end_ns) {
            sim->now_ns = end_ns;
            return CAIRN_ERR(TIMEDOUT);
        }
        sim_event_run(sim);
    }
    return 0;
}

void
sim_run_for(struct sim *sim, uint64_t ns)
{
    uint64_t end_ns = sim->now_ns + ns;
    struct heap_node *hn;

    CAIRN_ASSERT(sim->running == NULL);
    while ((hn = heap_top(&sim->events)) != NULL && hn->key <= end_ns) {
        sim_event_run(sim);
    }
    sim->now_ns = end_ns;
}

uint64_t
sim_now_ns(struct sim *sim)
{
    return sim->now_ns;
}

uint64_t
sim_trace_hash(struct sim *sim)
{
    return sim->trace;
}

/* ---- loops ---------------------------------------------------------------------------------------------------------- */

static void
sim_loop_run_at(struct plat_loop *loop, uint64_t at_ns)
{
    if (loop->thread == NULL || sim_node_gone(loop->node))
        return;
    if (heap_node_is_in(&loop->run_ev.hn) && loop->run_ev.hn.key <= at_ns)
        return;
    sim_ev_set(loop->node->sim, &loop->run_ev, at_ns);
}

void
sim_loop_kick(struct plat_loop *loop)
{
    struct sim *sim = loop->node->sim;

    if (loop->thread != NULL && !sim_node_gone(loop->node))
        sim_loop_run_at(loop, sim->now_ns + 1 + rng_below(&sim->rng, SIM_WAKE_NS_MAX));
}

void
sim_loop_ready(struct plat_loop *loop, struct sim_ready *ready)
{
    if (!list_empty(&ready->link) || sim_node_gone(loop->node))
        return;
    list_add_tail(&ready->link, &loop->ready);
    sim_loop_kick(loop);
}

static void
sim_loop_post(struct plat_loop *loop, struct plat_post *post)
{
    post->next = NULL;
    if (loop->posts_first == NULL) {
        loop->posts_first = post;
    } else {
        loop->posts_last->next = post;
    }
    loop->posts_last = post;
    sim_loop_kick(loop);
}

static void
sim_loop_posts_run(struct plat_loop *loop)
{
    struct plat_post *post = loop->posts_first;

    loop->posts_first = NULL;
    loop->posts_last = NULL;
    while (post != NULL) {
        struct plat_post *next = post->next; /* fn may free the post */

        loop->cbs_nr++;
        post->fn(post);
        post = next;
    }
}

static uint32_t
sim_loop_poll(struct plat_loop *loop)
{
    struct sim_node *node = loop->node;
    struct sim_node *outer = node->sim->running;
    struct list_head round;
    uint32_t before = loop->cbs_nr;

    if (sim_node_gone(node))
        return 0;
    node->sim->running = node;
    list_init(&round);
    list_splice_tail(&loop->ready, &round);
    while (!list_empty(&round)) {
        struct sim_ready *ready = LIST_FIRST(&round, struct sim_ready, link);

        list_del(&ready->link);
        if (sim_node_gone(node))
            continue;
        ready->fn(ready);
    }
    if (!sim_node_gone(node))
        sim_loop_posts_run(loop);
    node->sim->running = outer;
    return loop->cbs_nr - before;
}

static void
sim_loop_run(struct sim *sim, struct sim_ev *ev)
{
    struct plat_loop *loop = CAIRN_CONTAINER_OF(ev, struct plat_loop, run_ev);
    struct sim_node *node = loop->node;
    uint64_t next_ns;

    if (node->paused)
        return; /* sim_node_pause() kicks every loop at the end */
    sim_trace(sim, SIM_TRACE_STEP, node->pid, 0);
    sim_loop_poll(loop);
    if (loop->thread == NULL || sim_node_gone(node))
        return;
    sim->running = node;
    next_ns = loop->thread->step(loop->thread->arg);
    sim->running = NULL;
    if (next_ns == 0) {
        sim_loop_run_at(loop, sim->now_ns + SIM_STEP_NS);
    } else if (next_ns != PLAT_NEVER_NS)
        sim_loop_run_at(loop, MAX(next_ns, node->host->mono_off_ns) - node->host->mono_off_ns);
}

static void sim_thread_stop(struct plat_thread *thread);

static int
sim_loop_create(struct plat *plat, struct plat_loop **ret_loop)
{
    struct sim_node *node = sim_node_of(plat);
    struct plat_loop *loop = sim_alloc(sizeof(*loop));

    loop->node = node;
    list_init(&loop->ready);
    loop->run_ev.fn = sim_loop_run;
    list_add_tail(&loop->link, &node->loops);
    *ret_loop = loop;
    return 0;
}

static void
sim_loop_destroy(struct plat_loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->node->dead)
        sim_thread_stop(loop->thread); /* a reap need not know the thread */
    CAIRN_ASSERT(loop->thread == NULL);
    while (loop->posts_first != NULL && !loop->node->dead) {
        sim_loop_posts_run(loop);
    }
    CAIRN_ASSERT(ERGO(!sim_node_gone(loop->node), list_empty(&loop->ready)));
    while (!list_empty(&loop->ready)) {
        list_del(loop->ready.next);
    }
    sim_ev_cancel(loop->node->sim, &loop->run_ev);
    list_del(&loop->link);
    free(loop);
}

static void
sim_loop_flush(struct plat_loop *loop)
{
    (void)loop;
    assert_failed("loop_flush: under sim the event queue drives the loops", __FILE__, __LINE__);
}

static void
sim_loop_wait(struct plat_loop *loop, uint64_t deadline_ns)
{
    (void)loop;
    (void)deadline_ns;
    assert_failed("loop_wait: under sim the event queue drives the loops", __FILE__, __LINE__);
}

static int
sim_thread_start(struct plat *plat, struct plat_loop *loop, const char *name, uint32_t cpu,
    plat_step_fn step, void *arg, struct plat_thread **ret_thread)
{
    struct plat_thread *thread = sim_alloc(sizeof(*thread));

    (void)plat;
    (void)name;
    (void)cpu;
    CAIRN_ASSERT(loop->thread == NULL);
    thread->loop = loop;
    thread->step = step;
    thread->arg = arg;
    loop->thread = thread;
    sim_loop_kick(loop);
    *ret_thread = thread;
    return 0;
}

static void
sim_thread_stop(struct plat_thread *thread)
{
    if (thread == NULL)
        return;
    sim_ev_cancel(thread->loop->node->sim, &thread->loop->run_ev);
    thread->loop->thread = NULL;
    free(thread);
}

/* ---- nodes ---------------------------------------------------------------------------------------------------------- */

static uint64_t
sim_mono_ns(struct plat *plat)
{
    struct sim_node *node = sim_node_of(plat);

    return node->sim->now_ns + node->host->mono_off_ns;
}

static uint64_t
sim_wall_ns(struct plat *plat)
{
    struct sim_node *node = sim_node_of(plat);

    return SIM_WALL_START_NS + node->sim->now_ns + (uint64_t)node->wall_skew_ns;
}

static void
sim_random(struct plat *plat, void *buf, size_t len)
{
    struct sim_node *node = sim_node_of(plat);

    rng_bytes(&node->rng, buf, len);
    sim_trace(node->sim, SIM_TRACE_RANDOM, node->pid, len);
}

static const char *
sim_env(struct plat *plat, const char *name)
{
    struct sim_node *node = sim_node_of(plat);
    struct sim_env *env;

    LIST_FOREACH(env, &node->envs, struct sim_env, link) {
        if (strcmp(env->name, name) == 0)
            return env->value;
    }
    return NULL;
}

void
sim_node_env_set(struct plat *plat, const char *name, const char *value)
{
    struct sim_node *node = sim_node_of(plat);
    struct sim_env *env = sim_alloc(sizeof(*env));

    env->name = strdup(name);
    env->value = strdup(value);
    CAIRN_ASSERT(env->name != NULL);
    CAIRN_ASSERT(env->value != NULL);
    list_add(&env->link, &node->envs); /* the newest wins; older values stay valid for who holds them */
}

static uint32_t
sim_cpu_nr(struct plat *plat)
{
    (void)plat;
    return SIM_CPU_NR;
}

static uint32_t
sim_pid(struct plat *plat)
{
    return sim_node_of(plat)->pid;
}

/* A realm is a host between two losses of power, unless another one was given. */
static void
sim_realm(const struct sim_node *node, uint8_t ret_realm[16])
{
    const struct sim_host *host = node->host;

    le64_put(ret_realm,
        node->realm != 0 ? node->realm : hash_bytes64(host->name, strlen(host->name), 0));
    le64_put(ret_realm + 8, node->realm != 0 ? 0 : 1 + host->boots_nr);
}

void
sim_node_realm_set(struct plat *plat, const char *realm)
{
    sim_node_of(plat)->realm = hash_bytes64(realm, strlen(realm), 1) | 1;
}

static void
sim_proc_self(struct plat *plat, struct plat_proc *ret_proc)
{
    struct sim_node *node = sim_node_of(plat);

    *ret_proc = (struct plat_proc){.pid = node->pid, .start = node->start_ns};
    sim_realm(node, ret_proc->realm);
}

static bool
sim_proc_is_gone(struct plat *plat, const struct plat_proc *proc)
{
    struct sim_node *self = sim_node_of(plat), *node;
    uint8_t realm[16];

    sim_realm(self, realm);
    if (memcmp(realm, proc->realm, sizeof(realm)) != 0)
        return false;
    LIST_FOREACH(node, &self->sim->nodes, struct sim_node, link) {
        if (node->pid == proc->pid && node->start_ns == proc->start)
            return node->dead;
    }
    return true;
}

static const struct net_ops *
sim_net(struct plat *plat, const char *uri)
{
    (void)plat;
    return uri == NULL || strncmp(uri, "sim://", 6) == 0 ? &sim_net_ops : NULL;
}

static const struct plat_ops sim_ops = {
    .mono_ns = sim_mono_ns,
    .wall_ns = sim_wall_ns,
    .cpu_ns = sim_mono_ns,
    .random = sim_random,
    .env = sim_env,
    .cpu_nr = sim_cpu_nr,
    .pid = sim_pid,
    .proc_self = sim_proc_self,
    .proc_is_gone = sim_proc_is_gone,
    .loop_create = sim_loop_create,
    .loop_destroy = sim_loop_destroy,
    .loop_poll = sim_loop_poll,
    .loop_flush = sim_loop_flush,
    .loop_wait = sim_loop_wait,
    .loop_wake = sim_loop_kick,
    .loop_post = sim_loop_post,
    .thread_start = sim_thread_start,
    .thread_stop = sim_thread_stop,
    .disk_open = sim_disk_open,
    .disk_close = sim_disk_close,
    .disk_size = sim_disk_size,
    .disk_submit = sim_disk_submit,
    .disk_volatile = sim_disk_volatile,
    .disk_is_memory = sim_disk_is_memory,
    .disk_map = sim_disk_map,
    .disk_map_fill = sim_disk_map_fill,
    .dir_create = sim_dir_create,
    .dir_lock = sim_dir_lock,
    .dir_unlock = sim_dir_unlock,
    .dir_list = sim_dir_list,
    .file_read = sim_file_read,
    .file_write = sim_file_write,
    .file_remove = sim_file_remove,
    .net = sim_net,
};

static void
sim_node_kill_now(struct sim *sim, struct sim_ev *ev)
{
    (void)sim;
    sim_node_die(CAIRN_CONTAINER_OF(ev, struct sim_node, kill_ev));
}

int
sim_node_start(struct sim *sim, const char *host, const char *name, struct plat **ret_plat)
{
    struct sim_node *node;

    if (strlen(host) >= SIM_NAME_BYTES || strlen(name) >= SIM_NAME_BYTES)
        return CAIRN_ERR(INVAL);
    LIST_FOREACH(node, &sim->nodes, struct sim_node, link) {
        if (!node->dead && strcmp(node->name, name) == 0)
            return CAIRN_ERR(EXIST);
    }
    node = sim_alloc(sizeof(*node));
    node->plat.ops = &sim_ops;
    node->sim = sim;
    node->host = sim_host_get(sim, host);
    if (!node->host->up) {
        node->host->up = true;
        sim_conns_retry(sim);
    }
    snprintf(node->name, sizeof(node->name), "%s", name);
    node->pid = 1000 + ++sim->node_seq;
    node->start_ns = sim->now_ns;
    rng_fork(&sim->rng, &node->rng);
    node->kill_ev.fn = sim_node_kill_now;
    list_init(&node->loops);
    list_init(&node->disks);
    list_init(&node->nets);
    list_init(&node->peers);
    list_init(&node->reaps);
    list_init(&node->envs);
    list_init(&node->locks_dropped);
    list_add_tail(&node->link, &sim->nodes);
    *ret_plat = &node->plat;
    return 0;
}

void
sim_node_on_kill(struct plat *plat, void (*reap)(void *arg), void *arg)
{
    struct sim_reap *r = sim_alloc(sizeof(*r));

    r->fn = reap;
    r->arg = arg;
    list_add(&r->link, &sim_node_of(plat)->reaps); /* last in, first out */
}

void
sim_node_die(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct plat_loop *loop, *loop_next;

    if (node->dead)
        return;
    CAIRN_ASSERT(sim->running != node);
    sim_trace(sim, SIM_TRACE_KILL, node->pid, 0);
    node->dead = true;
    sim_ev_cancel(sim, &node->kill_ev);
    LIST_FOREACH(loop, &node->loops, struct plat_loop, link) {
        sim_ev_cancel(sim, &loop->run_ev);
        while (!list_empty(&loop->ready)) {
            list_del(loop->ready.next);
        }
    }
    sim_node_nets_drop(node);
    sim_node_disks_drop(node);
    while (!list_empty(&node->reaps)) {
        struct sim_reap *reap = LIST_FIRST(&node->reaps, struct sim_reap, link);

        list_del(&reap->link);
        reap->fn(reap->arg);
        free(reap);
    }
    sim_node_nets_free(node);
    sim_node_disks_free(node);
    LIST_FOREACH_SAFE(loop, loop_next, &node->loops, struct plat_loop, link) {
        sim_thread_stop(loop->thread);
        sim_loop_destroy(loop);
    }
}

void
sim_node_kill(struct sim *sim, struct plat *plat)
{
    struct sim_node *node = sim_node_of(plat);

    if (sim->running == node) {
        node->doomed = true; /* SIM-3 */
        sim_ev_set(sim, &node->kill_ev, sim->now_ns);
        return;
    }
    sim_node_die(node);
}

void
sim_node_pause(struct plat *plat, bool paused)
{
    struct sim_node *node = sim_node_of(plat);
    struct plat_loop *loop;

    node->paused = paused;
    if (paused)
        return;
    LIST_FOREACH(loop, &node->loops, struct plat_loop, link) {
        sim_loop_kick(loop);
    }
}

void
sim_node_clock_skew(struct plat *plat, int64_t wall_skew_ns)
{
    sim_node_of(plat)->wall_skew_ns = wall_skew_ns;
}

/* ---- hosts ---------------------------------------------------------------------------------------------------------- */

static void
sim_host_boot(struct sim_host *host)
{
    host->mono_off_ns = 1000000000 + rng_below(&host->sim->rng, SIM_MONO_OFF_NS_MAX);
}

static void
sim_host_dies(struct sim_host *host)
{
    struct sim_node *node;

    host->doomed = true;
    host->boots_nr++;
    host->up = false; /* no resets are sent by a host without power */
    host->lost_power = true;
    host->loss_at_nr = 0;
    sim_host_disks_settle(host);
    LIST_FOREACH(node, &host->sim->nodes, struct sim_node, link) {
        if (node->host == host)
            sim_node_die(node);
    }
    sim_ev_cancel(host->sim, &host->loss_ev);
    host->doomed = false;
    sim_host_boot(host);
}

static void
sim_host_loss_now(struct sim *sim, struct sim_ev *ev)
{
    (void)sim;
    sim_host_dies(CAIRN_CONTAINER_OF(ev, struct sim_host, loss_ev));
}

struct sim_host *
sim_host_get(struct sim *sim, const char *name)
{
    struct sim_host *host;

    LIST_FOREACH(host, &sim->hosts, struct sim_host, link) {
        if (strcmp(host->name, name) == 0)
            return host;
    }
    CAIRN_ASSERT(strlen(name) < SIM_NAME_BYTES);
    host = sim_alloc(sizeof(*host));
    host->sim = sim;
    snprintf(host->name, sizeof(host->name), "%s", name);
    list_init(&host->files);
    list_init(&host->dirs);
    list_init(&host->locks);
    host->limit_sectors = UINT64_MAX;
    host->loss_ev.fn = sim_host_loss_now;
    list_add_tail(&host->link, &sim->hosts);
    sim_host_boot(host);
    return host;
}

void
sim_host_power_loss(struct sim *sim, const char *name)
{
    struct sim_host *host = sim_host_get(sim, name);

    if (sim->running != NULL && sim->running->host == host) {
        host->doomed = true; /* SIM-3 */
        sim_ev_set(sim, &host->loss_ev, sim->now_ns);
        return;
    }
    sim_host_dies(host);
}

void
sim_host_count_write(struct sim_host *host, bool *ret_lost)
{
    host->writes_nr++;
    *ret_lost = false;
    if (host->loss_at_nr == 0 || host->writes_nr < host->loss_at_nr || host->doomed)
        return;
    host->doomed = true;
    host->loss_at_nr = 0;
    sim_ev_set(host->sim, &host->loss_ev, host->sim->now_ns);
    *ret_lost = true;
}

void
sim_host_power_loss_at(struct sim *sim, const char *name, uint64_t n)
{
    struct sim_host *host = sim_host_get(sim, name);

    host->loss_at_nr = n == 0 ? 0 : host->writes_nr + n;
}

bool
sim_host_lost_power(struct sim *sim, const char *name)
{
    struct sim_host *host = sim_host_get(sim, name);
    bool lost = host->lost_power;

    host->lost_power = false;
    return lost;
}

uint64_t
sim_host_writes(struct sim *sim, const char *name)
{
    return sim_host_get(sim, name)->writes_nr;
}

void
sim_host_disk_limit(struct sim *sim, const char *name, uint64_t bytes)
{
    sim_host_get(sim, name)->limit_sectors =
        bytes == UINT64_MAX ? UINT64_MAX : bytes / PLAT_SECTOR_BYTES;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static bool
sim_opts_valid(const struct sim_opts *opts)
{
    return opts->net_lat_lo_ns <= opts->net_lat_hi_ns && opts->disk_lat_lo_ns <= opts->disk_lat_hi_ns;
}

int
sim_opts_set(struct sim *sim, const struct sim_opts *opts)
{
    uint64_t seed = sim->opts.seed;

    if (!sim_opts_valid(opts))
        return CAIRN_ERR(INVAL);
    sim->opts = *opts;
    sim->opts.seed = seed;
    return 0;
}

int
sim_create(const struct sim_opts *opts, struct sim **ret_sim)
{
    struct sim *sim;

    if (!sim_opts_valid(opts))
        return CAIRN_ERR(INVAL);
    sim = sim_alloc(sizeof(*sim));
    sim->opts = *opts;
    if (heap_init(&sim->events, 1024) != 0) {
        free(sim);
        return CAIRN_ERR(NOMEM);
    }
    rng_init(&sim->rng, opts->seed);
    rng_fork(&sim->rng, &sim->net_rng);
    rng_fork(&sim->rng, &sim->disk_rng);
    list_init(&sim->hosts);
    list_init(&sim->nodes);
    list_init(&sim->links_down);
    list_init(&sim->conns);
    sim->trace = opts->seed ^ UINT64_C(0x6a09e667f3bcc908);
    *ret_sim = sim;
    return 0;
}

static void
sim_node_free(struct sim_node *node)
{
    while (!list_empty(&node->envs)) {
        struct sim_env *env = LIST_FIRST(&node->envs, struct sim_env, link);

        list_del(&env->link);
        free(env->name);
        free(env->value);
        free(env);
    }
    list_del(&node->link);
    free(node);
}

void
sim_destroy(struct sim *sim)
{
    struct sim_node *node, *node_next;
    struct sim_host *host, *host_next;

    if (sim == NULL)
        return;
    CAIRN_ASSERT(sim->running == NULL);
    LIST_FOREACH(node, &sim->nodes, struct sim_node, link) {
        sim_node_die(node);
    }
    LIST_FOREACH_SAFE(node, node_next, &sim->nodes, struct sim_node, link) {
        sim_node_free(node);
    }
    sim_links_free(sim);
    LIST_FOREACH_SAFE(host, host_next, &sim->hosts, struct sim_host, link) {
        sim_ev_cancel(sim, &host->loss_ev);
        sim_host_files_free(host);
        list_del(&host->link);
        free(host);
    }
    heap_fini(&sim->events);
    free(sim);
}
