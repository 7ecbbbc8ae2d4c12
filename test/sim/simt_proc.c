/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Clients as simulated processes: their workers, what is recorded of their requests, and what the workloads share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sim/simt_sys.h"

#define KEEP_NS (20 * SIMT_MS)

/* ---- records --------------------------------------------------------------------------------------------------------------- */

void *
simt_alloc(size_t bytes)
{
    void *p = calloc(1, bytes);

    CAIRN_ASSERT(p != NULL);
    return p;
}

static struct simt_lin_moment
moment(struct simt *t)
{
    return (struct simt_lin_moment){simt_now(t), ++t->seq};
}

void
simt_op_begin(struct simt *t, struct simt_op *op)
{
    op->lin.begin = moment(t);
    op->lin.end = (struct simt_lin_moment){SIMT_LIN_NEVER, 0};
    op->lin.is_answered = false;
    t->report->ops_nr++;
}

void
simt_op_end(struct simt *t, struct simt_op *op)
{
    op->lin.end = moment(t);
    op->lin.is_answered = true;
    t->report->answered_nr++;
}

void
simt_op_unknown(struct simt *t, struct simt_op *op)
{
    op->lin.end = (struct simt_lin_moment){simt_now(t) + SIMT_EXPIRY_NS, UINT64_MAX};
    op->lin.is_answered = false;
    t->report->unknown_nr++;
}

void
simt_op_drop(struct simt_op *op)
{
    list_del(&op->link);
    free(op);
}

void
simt_ask(struct simt_worker *w, struct simt_op *op, struct list_head *thing)
{
    CAIRN_ASSERT(w->op_nr < SIMT_OPS_MAX);
    list_add_tail(&op->link, thing);
    w->ops[w->op_nr++] = op;
    simt_op_begin(w->proc->t, op);
}

void
simt_answered(struct simt_worker *w, enum simt_outcome outcome)
{
    for (uint32_t i = 0; i < w->op_nr; i++) {
        if (outcome == SIMT_DONE || outcome == SIMT_REFUSED) {
            simt_op_end(w->proc->t, w->ops[i]);
        } else if (w->ops[i]->is_read || outcome == SIMT_NOT) {
            simt_op_drop(w->ops[i]);
        } else {
            simt_op_unknown(w->proc->t, w->ops[i]);
        }
    }
    w->op_nr = 0;
}

void
simt_history_check(struct simt *t, const char *what, const struct simt_lin_model *model,
    struct list_head *ops, void (*print)(const struct simt_lin_op *op, char *buf, size_t len),
    void (*print_state)(const void *state, char *buf, size_t len))
{
    struct simt_lin_result *result = calloc(1, sizeof(*result));
    struct simt_lin_op *all;
    enum simt_lin_verdict verdict;
    struct simt_op *op;
    char text[400], state[200];
    uint32_t nr = 0;

    LIST_FOREACH(op, ops, struct simt_op, link) {
        nr++;
    }
    all = calloc(nr + 1, sizeof(*all));
    nr = 0;
    LIST_FOREACH(op, ops, struct simt_op, link) {
        all[nr] = op->lin;
        all[nr++].op = op;
    }
    verdict = simt_lin_check(model, all, nr, result);
    t->report->gave_up_nr += verdict == SIMT_LIN_GAVE_UP;
    if (verdict == SIMT_LIN_BAD) {
        print(result->bad, text, sizeof(text));
        simt_fail(t, "%s: nothing explains: %s", what, text);
        for (uint32_t i = 0; i < result->state_nr; i++) {
            print_state(result->states[i], state, sizeof(state));
            simt_fail(t, "  possible before: %s", state);
        }
    }
    for (uint32_t i = 0; verdict == SIMT_LIN_BAD && t->opts.is_verbose && i < nr; i++) {
        print(&all[i], text, sizeof(text));
        fprintf(stderr, "  %s%s\n", all[i].begin.seq == result->bad->begin.seq ? "-> " : "   ", text);
    }
    free(all);
    free(result);
}

/* ---- what workloads share ------------------------------------------------------------------------------------------------- */

uint64_t
simt_exp(struct rng *rng, uint64_t mean_ns)
{
    /* The sum of a geometric number of steps: near enough, and without floating point. */
    uint64_t ns = rng_below(rng, mean_ns / 2 + 1);

    for (int i = 0; i < 40 && rng_chance(rng, 2, 3); i++) {
        ns += mean_ns / 2;
    }
    return ns + 1;
}

void
simt_hurry(struct simt_worker *w, bool on)
{
    struct simt_proc *proc = w->proc;

    if (proc->t->cfg.call_ns == 0)
        return;
    proc->hasty_nr += on ? 1 : (uint32_t)-1;
    proc->client->call_ns = proc->hasty_nr == proc->worker_nr ? proc->t->cfg.call_ns : CLIENT_CALL_NS;
}

void
simt_think(struct simt_worker *w)
{
    struct simt *t = w->proc->t;

    simt_doing(w, "think");
    if (rng_chance(&w->rng, 1, 3))
        return;
    ult_sleep(simt_exp(&w->rng, t->cfg.think_ns));
}

void
simt_doing(struct simt_worker *w, const char *what)
{
    w->doing = what;
    w->doing_ns = simt_now(w->proc->t);
}

enum simt_outcome
simt_outcome(int rc)
{
    switch (rc) {
    case 0:
        return SIMT_DONE;
    case -DER_EXIST:
    case -DER_NONEXIST:
        return SIMT_REFUSED;
    case -DER_TX_UNCERTAIN:
        return SIMT_UNKNOWN;
    case -DER_NOSPACE:
        return SIMT_NOT;
    default:
        return SIMT_WRONG;
    }
}

bool
simt_cont_open(struct simt *t, daos_handle_t poh, const char *label, daos_handle_t *ret_coh)
{
    int rc = daos_cont_open(poh, label, DAOS_COO_RW, ret_coh, NULL, NULL);

    if (rc != 0)
        simt_fail(t, "open of container %s: %s", label, err_name(rc));
    return rc == 0;
}

/* ---- processes -------------------------------------------------------------------------------------------------------------- */

void
simt_procs_init(struct simt *t)
{
    for (uint32_t i = 0; i < SIMT_PROCS; i++) {
        struct simt_proc *proc = &t->procs[i];

        proc->t = t;
        proc->idx = i;
        proc->worker_nr = i < SIMT_CLIENTS ? t->cfg.workers[i] : 1;
        snprintf(proc->host, sizeof(proc->host), "c%u", i);
        for (uint32_t w = 0; w < SIMT_WORKERS_MAX; w++) {
            struct simt_worker *worker = &proc->workers[w];

            worker->proc = proc;
            worker->idx = w;
            worker->ops_left = t->cfg.ops;
            worker->buf = simt_alloc(SIMT_BUF_BYTES);
            rng_fork(&t->rng, &worker->rng);
        }
    }
}

/* The memory of a process that is no more. */
static void
proc_reap(void *arg)
{
    struct simt_proc *proc = arg;

    for (uint32_t i = 0; i < proc->worker_nr; i++) {
        struct simt_worker *w = &proc->workers[i];

        simt_answered(w, SIMT_UNKNOWN);
        w->is_running = false;
    }
    if (proc->client != NULL)
        proc->t->report->retried_nr += atomic_load(&proc->client->retried_nr);
    if (proc->xs != NULL)
        xstream_abandon(proc->xs);
    client_abandon(proc->client);
    xstream_destroy(proc->xs);
    proc->client = NULL;
    proc->xs = NULL;
    proc->plat = NULL;
    proc->running_nr = 0;
    proc->hasty_nr = 0;
}

int
simt_proc_start(struct simt_proc *proc, void (*main_fn)(void *arg))
{
    struct xstream_opts opts = {.name = "client", .cpu = UINT32_MAX};
    int rc;

    snprintf(proc->name, sizeof(proc->name), "c%u-%u", proc->idx, proc->life++);
    rc = sim_node_start(proc->t->sim, proc->host, proc->name, &proc->plat);
    if (rc != 0)
        return rc;
    if (proc->t->mortals != NULL)
        sim_node_realm_set(proc->plat, SIMT_REALM);
    sim_node_on_kill(proc->plat, proc_reap, proc);
    sim_node_env_set(proc->plat, "CAIRN_RUNTIME_DIR", "/run/cairn");
    rc = xstream_create(proc->plat, &opts, &proc->xs);
    if (rc == 0)
        rc = xstream_start(proc->xs);
    if (rc == 0)
        rc = xstream_post(proc->xs, ULT_IO, main_fn, proc);
    if (rc == 0)
        proc->t->group_dirty = true; /* its host has no attach file yet */
    return rc;
}

void
simt_proc_kill(struct simt_proc *proc, uint64_t down_ns)
{
    proc->down_ns = down_ns;
    if (proc->plat != NULL)
        sim_node_kill(proc->t->sim, proc->plat);
}

static void
worker_main(void *arg)
{
    struct simt_worker *w = arg;
    struct simt_proc *proc = w->proc;
    struct simt *t = proc->t;

    if (w->ops_left > 0)
        t->works[w->work]->worker(w, t->states[w->work], proc->poh);
    simt_doing(w, "done");
    CAIRN_ASSERT(w->op_nr == 0);
    w->is_running = false;
    proc->running_nr--;
}

/* Connect, however long the system takes to be there. */
static bool
proc_connect(struct simt_proc *proc)
{
    struct simt *t = proc->t;
    uint64_t end_ns = simt_now(t) + 300 * SIMT_S;
    int rc;

    for (;;) {
        rc = daos_pool_connect(SIMT_POOL, SIMT_SYSTEM, DAOS_PC_RW, &proc->poh, NULL, NULL);
        if ((rc != -DER_AGENT_COMM && rc != -DER_TIMEDOUT) || simt_now(t) > end_ns)
            break;
        ult_sleep(
            KEEP_NS); /* no attach file yet; or a link that is down for longer than a connect tries */
    }
    if (rc != 0)
        simt_fail(t, "%s: connect: %s", proc->name, err_name(rc));
    return rc == 0;
}

static void
workers_run(struct simt_proc *proc)
{
    struct ult *ults[SIMT_WORKERS_MAX];
    uint32_t nr = 0;

    for (uint32_t i = 0; i < proc->worker_nr; i++) {
        struct simt_worker *w = &proc->workers[i];

        w->is_running = true;
        proc->running_nr++;
        if (ult_create(proc->xs, ULT_IO, worker_main, w, &ults[nr]) == 0) {
            nr++;
        } else {
            simt_fail(proc->t, "no ULT");
        }
    }
    for (uint32_t i = 0; i < nr; i++) {
        ult_join(ults[i]);
    }
}

/* What a process that ends well leaves behind: nothing. */
static void
leaks_check(struct simt_proc *proc)
{
    struct simt *t = proc->t;
    uint32_t open_nr = 0;

    for (uint32_t i = 0; i < proc->client->hdl_nr; i++) {
        open_nr += proc->client->hdls[i].type != 0;
    }
    if (open_nr != 0)
        simt_fail(t, "%s: %u handles are left", proc->name, open_nr);
    if (proc->client->slot_free_nr != CLIENT_SLOTS_NR)
        simt_fail(t, "%s: request slots are left", proc->name);
}

void
simt_client_main(void *arg)
{
    struct simt_proc *proc = arg;
    struct simt *t = proc->t;
    struct client_opts opts = {.plat = proc->plat, .xs = proc->xs};
    struct ult_stats stats;
    struct daos_client *client;
    int rc;

    rc = client_create(&opts, &proc->client);
    if (rc != 0) {
        simt_fail(t, "client_create: %s", err_name(rc));
        return;
    }
    client_self_set(proc->client);
    if (proc_connect(proc)) {
        workers_run(proc);
        rc = daos_pool_disconnect(proc->poh, NULL);
        if (rc != 0)
            simt_fail(t, "%s: disconnect: %s", proc->name, err_name(rc));
    }
    leaks_check(proc);
    t->report->retried_nr += atomic_load(&proc->client->retried_nr);
    client = proc->client;
    client_self_set(NULL);
    client_destroy(client);
    proc->client = NULL;
    xstream_stats(proc->xs, &stats);
    if (stats.live_nr != 1)
        simt_fail(t, "%s: %u ULTs are left", proc->name, (uint32_t)stats.live_nr - 1);
    proc->is_done = true;
}

static bool
workers_are_done(const struct simt_proc *proc)
{
    for (uint32_t i = 0; i < proc->worker_nr; i++) {
        if (proc->workers[i].ops_left > 0)
            return false;
    }
    return true;
}

void
simt_client_keeper(void *arg)
{
    struct simt_proc *proc = arg;
    struct simt *t = proc->t;

    t->keepers_nr++;
    while (!t->is_over && !proc->is_done) {
        if (proc->plat == NULL) {
            ult_sleep(proc->down_ns + 1);
            proc->down_ns = 0;
            if (proc->life > 0 && workers_are_done(proc)) {
                proc->is_done = true;
            } else if (simt_proc_start(proc, simt_client_main) != 0) {
                simt_fail(t, "client %u does not start", proc->idx);
            }
        }
        ult_sleep(KEEP_NS);
    }
    t->keepers_nr--;
}
