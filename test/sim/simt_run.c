/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One run: start the system, let clients work while faults happen, heal everything, read all, look into every store, restart everything,
 * read all again, stop in good order; then judge the record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sim/simt_sys.h"

#define RUN_NS (4 * 3600 * SIMT_S)

static const struct simt_work *const works[SIMT_WORKS_NR] = {
    &simt_work_obj, &simt_work_md, &simt_work_dfs, &simt_work_snap, &simt_work_space};

/* ---- the keeper ------------------------------------------------------------------------------------------------------------------ */

static struct simt_proc *
own_proc(struct simt *t)
{
    return &t->procs[SIMT_PROCS - 1];
}

static void
ult_start(struct simt *t, void (*fn)(void *arg), void *arg)
{
    if (ult_create(own_proc(t)->xs, ULT_SERVICE, fn, arg, NULL) != 0)
        simt_fail(t, "no ULT");
}

static bool
keeper_connect(struct simt *t)
{
    struct simt_proc *own = own_proc(t);
    struct client_opts opts = {.plat = own->plat, .xs = own->xs};
    int rc = client_create(&opts, &own->client);

    if (rc == 0) {
        client_self_set(own->client);
        rc = daos_pool_connect(SIMT_POOL, SIMT_SYSTEM, DAOS_PC_RW, &own->poh, NULL, NULL);
    }
    if (rc != 0)
        simt_fail(t, "keeper: connect: %s", err_name(rc));
    return rc == 0;
}

static void
clients_wait(struct simt *t)
{
    bool is_done;

    do {
        ult_sleep(50 * SIMT_MS);
        is_done = true;
        for (uint32_t i = 0; i < SIMT_CLIENTS; i++) {
            is_done = is_done && t->procs[i].is_done;
        }
    } while (!is_done);
}

static void
final_reads(struct simt *t, bool is_last)
{
    struct simt_worker *w = &own_proc(t)->workers[0];

    for (uint32_t i = 0; i < SIMT_WORKS_NR; i++) {
        if (t->works_on[i])
            t->works[i]->final(w, t->states[i], own_proc(t)->poh);
    }
    if (t->pools != NULL)
        simt_pools_check(t);
    if (t->mortals != NULL)
        simt_mortals_check(t, is_last, own_proc(t)->poh);
}

/* All hosts lose power, or all engines are killed, or stopped. */
static void
restart_all(struct simt *t)
{
    uint64_t how = rng_below(&t->rng, 3);

    t->keep_on = false;
    if (how == 0) {
        simt_engines_stop(t);
    } else {
        for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
            if (how == 1) {
                simt_engine_kill(&t->engines[i], 0);
            } else {
                sim_host_power_loss(t->sim, t->engines[i].host);
            }
        }
    }
    t->keep_on = true;
    simt_engines_wait(t);
}

static void
keeper_disconnect(struct simt *t)
{
    struct simt_proc *own = own_proc(t);
    struct daos_client *client = own->client;
    int rc = daos_pool_disconnect(own->poh, NULL);

    if (rc != 0)
        simt_fail(t, "keeper: disconnect: %s", err_name(rc));
    client_self_set(NULL);
    client_destroy(client);
    own->client = NULL;
}

static void
test_body(struct simt *t)
{
    for (uint32_t i = 0; i < SIMT_WORKS_NR; i++) {
        if (t->works_on[i])
            t->works[i]->setup(t, t->states[i], own_proc(t)->poh);
    }
    if (t->mortals != NULL)
        simt_mortals_setup(t, own_proc(t)->poh);
    t->rough_on = true;
    for (uint32_t i = 0; i < SIMT_CLIENTS; i++) {
        ult_start(t, simt_client_keeper, &t->procs[i]);
    }
    ult_start(t, simt_fault_injector, t);
    t->pools_over = t->pools == NULL;
    if (t->pools != NULL)
        ult_start(t, simt_pools_main, t);
    if (t->mortals != NULL)
        ult_start(t, simt_mortals_main, t);
    clients_wait(t);
    simt_calm(t);
    simt_say(t, "calm");
    ult_sleep(SIMT_S);
    simt_engines_wait(t);
    while (!t->pools_over) {
        ult_sleep(SIMT_S);
    }
    if (t->report->unknown_nr > 0)
        ult_sleep(SIMT_EXPIRY_NS);
    final_reads(t, false);
    simt_stores_check(t);
    restart_all(t);
    final_reads(t, true);
    simt_stores_check(t);
}

static void
keeper_main(void *arg)
{
    struct simt *t = ((struct simt_proc *)arg)->t;
    int rc;

    ult_mutex_init(&t->group_lock);
    t->keep_on = true;
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        ult_start(t, simt_engine_keeper, &t->engines[i]);
    }
    simt_engines_wait(t);
    rc = simt_pool_create(t);
    if (rc != 0)
        simt_fail(t, "create of the pool: %s", err_name(rc));
    if (rc == 0 && !t->report->is_failed && keeper_connect(t)) {
        test_body(t);
        keeper_disconnect(t);
    }
    t->is_over = true;
    while (t->keepers_nr > 0) {
        ult_sleep(SIMT_MS);
    }
    simt_engines_stop(t);
    t->report->is_done = true;
}

/* ---- a run ------------------------------------------------------------------------------------------------------------------------- */

static bool
is_done(void *arg)
{
    return ((struct simt *)arg)->report->is_done;
}

static void
works_draw(struct simt *t)
{
    uint32_t nr = 0, on[SIMT_WORKS_NR];

    for (uint32_t i = 0; i < SIMT_WORKS_NR; i++) {
        if (works[i] == NULL || (t->opts.works != 0 && (t->opts.works >> i & 1) == 0))
            continue;
        t->works[i] = works[i];
        t->states[i] = works[i]->create(t);
        t->works_on[i] = true;
        on[nr++] = i;
    }
    for (uint32_t i = 0; i < SIMT_PROCS; i++) {
        for (uint32_t w = 0; w < SIMT_WORKERS_MAX; w++) {
            t->procs[i].workers[w].work = on[rng_below(&t->rng, nr)];
        }
    }
}

/* What everybody is doing, of a run that does not end. */
static void
hang_report(struct simt *t, int rc)
{
    simt_fail(t, "%s", rc == -DER_TIMEDOUT ? "no end" : "nothing is left to do");
    for (uint32_t i = 0; i < SIMT_PROCS; i++) {
        for (uint32_t w = 0; w < t->procs[i].worker_nr; w++) {
            struct simt_worker *worker = &t->procs[i].workers[w];

            if (worker->is_running) {
                simt_fail(t, "  %s.%u: %s since %.3f s, %u to do", t->procs[i].name, w,
                    worker->doing, (double)worker->doing_ns / 1e9, worker->ops_left);
            }
        }
    }
}

static void
run_free(struct simt *t)
{
    for (uint32_t i = 0; i < SIMT_PROCS; i++) {
        for (uint32_t w = 0; w < SIMT_WORKERS_MAX; w++) {
            free(t->procs[i].workers[w].buf);
        }
    }
    for (uint32_t i = 0; i < SIMT_WORKS_NR; i++) {
        if (t->states[i] != NULL)
            t->works[i]->destroy(t->states[i]);
    }
    simt_asks_free(t);
    free(t->pools);
    free(t->mortals);
    free(t);
}

void
simt_run(const struct simt_opts *opts, struct simt_report *report)
{
    struct simt *t = simt_alloc(sizeof(*t));
    int rc;

    memset(report, 0, sizeof(*report));
    report->seed = opts->seed;
    t->opts = *opts;
    t->report = report;
    list_init(&t->asks);
    simt_cfg_draw(t);
    rc = sim_create(&t->cfg.calm, &t->sim);
    CAIRN_ASSERT(rc == 0);
    simt_engines_init(t);
    simt_procs_init(t);
    works_draw(t);
    if (t->cfg.pools)
        t->pools = simt_pools_create();
    if (t->cfg.mortals)
        t->mortals = simt_mortals_create(t);
    rc = simt_proc_start(own_proc(t), keeper_main);
    CAIRN_ASSERT(rc == 0);
    rc = sim_run_until(t->sim, is_done, t, RUN_NS);
    if (rc != 0)
        hang_report(t, rc);
    report->sim_ns = simt_now(t);
    report->trace_hash = sim_trace_hash(t->sim);
    for (uint32_t i = 0; i < SIMT_WORKS_NR; i++) {
        if (t->works_on[i])
            t->works[i]->check(t, t->states[i]);
    }
    sim_destroy(t->sim);
    run_free(t);
}
