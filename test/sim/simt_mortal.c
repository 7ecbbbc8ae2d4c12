/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Clients that die, one after the other, beside the workloads, in a pool that takes few handles (POL-6). Near ones are processes that the engines can look
 * at; of far ones these know nothing. Some near ones take over the handle of another one, which dies.
 *
 * What must hold: a connect comes to an end however many died before, a living near one's handle never vanishes, a far one's only when it could not
 * show for a while that it lives; and when all near ones are dead, nothing of them is in the way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sim/simt_sys.h"

enum { MORTALS_NR = 4, BLOB_BYTES = 4096 };
#define DEN "den"
#define CONNECT_NS (300 * SIMT_S)
#define NEAR_PAUSE_NS (40 * SIMT_S)
#define FAR_PAUSE_NS (5 * SIMT_S)

struct mortal {
    struct simt *t;
    uint32_t idx, life;
    char name[24];
    struct plat *plat; /* NULL: dead */
    struct xstream *xs;
    struct daos_client *client;
    struct rng rng;
    bool is_near, may_take;
    bool is_up; /* has a handle */
    bool is_strict; /* its handle never vanishes */
    bool is_idle; /* does nothing */
    uint32_t uses_nr;
    const char *doing;
    daos_handle_t poh, coh;
};

struct simt_mortals {
    struct mortal mortals[MORTALS_NR];
    uint8_t pool_blob[BLOB_BYTES],
        cont_blob[BLOB_BYTES]; /* of the near one that opened last; it may be dead */
    size_t pool_bytes, cont_bytes;
    uint64_t calm_ns; /* since when nothing goes wrong; 0: it does */
};

struct simt_mortals *
simt_mortals_create(struct simt *t)
{
    struct simt_mortals *m = simt_alloc(sizeof(*m));
    struct rng rng;

    rng_init(&rng, t->opts.seed ^ UINT64_C(0xdead));
    for (uint32_t i = 0; i < MORTALS_NR; i++) {
        m->mortals[i].t = t;
        m->mortals[i].idx = i;
        rng_fork(&rng, &m->mortals[i].rng);
    }
    return m;
}

void
simt_mortals_setup(struct simt *t, daos_handle_t poh)
{
    int rc = daos_cont_create_with_label(poh, DEN, NULL, NULL, NULL);

    if (rc != 0)
        simt_fail(t, "create of the container of the mortals: %s", err_name(rc));
}

/* ---- one of them -------------------------------------------------------------------------------------------------------------- */

static void
wrong(struct mortal *m, const char *what, int rc)
{
    simt_fail(m->t, "%s (%s): %s: %s", m->name, m->is_near ? "near" : "far", what, err_name(rc));
}

static bool
take(struct mortal *m)
{
    struct simt_mortals *all = m->t->mortals;
    uint8_t pool[BLOB_BYTES], cont[BLOB_BYTES];
    d_iov_t iov;
    int rc;

    if (all->cont_bytes == 0)
        return false;
    memcpy(pool, all->pool_blob, all->pool_bytes);
    memcpy(cont, all->cont_blob, all->cont_bytes);
    d_iov_set(&iov, pool, all->pool_bytes);
    rc = daos_pool_global2local(iov, &m->poh);
    d_iov_set(&iov, cont, all->cont_bytes);
    if (rc != 0) {
        if (rc != -DER_NO_HDL && rc != -DER_TIMEDOUT && rc != -DER_AGENT_COMM)
            wrong(m, "take over a pool", rc);
        return false; /* all who had it were dead already */
    }
    if (rng_chance(&m->rng, 1, 2)) {
        rc = daos_cont_open(m->poh, DEN, DAOS_COO_RW, &m->coh, NULL, NULL); /* goes with us alone */
    } else {
        rc = daos_cont_global2local(m->poh, iov, &m->coh);
    }
    if (rc != 0 && rc != -DER_NO_HDL && rc != -DER_TIMEDOUT)
        wrong(m, "take over a container", rc);
    return true;
}

static void
blob_keep(daos_handle_t hdl, int (*make)(daos_handle_t hdl, d_iov_t *iov), uint8_t *blob,
    size_t *ret_bytes)
{
    d_iov_t iov;

    d_iov_set(&iov, blob, BLOB_BYTES);
    *ret_bytes = make(hdl, &iov) == 0 ? iov.iov_len : 0;
}

static bool
settle(struct mortal *m)
{
    struct simt_mortals *all = m->t->mortals;
    uint64_t end_ns = simt_now(m->t) + CONNECT_NS;
    int rc;

    m->doing = "connect";
    do {
        rc = daos_pool_connect(SIMT_POOL, SIMT_SYSTEM, DAOS_PC_RW, &m->poh, NULL, NULL);
        if (rc == -DER_AGENT_COMM)
            ult_sleep(20 * SIMT_MS);
    } while ((rc == -DER_AGENT_COMM || rc == -DER_TIMEDOUT) && simt_now(m->t) < end_ns &&
        all->calm_ns == 0);
    if (rc != 0) {
        wrong(m, "connect", rc);
        return false;
    }
    if (!m->is_near)
        return true;
    rc = daos_cont_open(m->poh, DEN, DAOS_COO_RW, &m->coh, NULL, NULL);
    if (rc != 0 && rc != -DER_TIMEDOUT)
        wrong(m, "open", rc);
    if (rc != 0)
        return true;
    blob_keep(m->poh, daos_pool_local2global, all->pool_blob, &all->pool_bytes);
    blob_keep(m->coh, daos_cont_local2global, all->cont_blob, &all->cont_bytes);
    return true;
}

/* Through a target. */
static int
put(struct mortal *m)
{
    daos_obj_id_t oid = {.lo = 1 + m->idx};
    daos_handle_t oh;
    int rc = daos_obj_generate_oid(m->coh, &oid, DAOS_OT_KV_HASHED, OC_S1, 0, 0), rc2;

    if (rc == 0)
        rc = daos_kv_open(m->coh, oid, DAOS_OO_RW, &oh, NULL);
    if (rc != 0)
        return rc;
    rc = daos_kv_put(oh, DAOS_TX_NONE, 0, "life", sizeof(m->life), &m->life, NULL);
    rc2 = daos_kv_close(oh, NULL);
    return rc != 0 ? rc : rc2;
}

static void
use(struct mortal *m)
{
    bool is_put = m->coh.cookie != 0 && rng_chance(&m->rng, 2, 3);
    int rc = is_put ? put(m) : daos_pool_query(m->poh, NULL, NULL, NULL, NULL);

    if (rc == 0 || rc == -DER_TIMEDOUT || rc == -DER_NOSPACE)
        return;
    if (rc == -DER_NO_HDL && !m->is_strict) {
        m->is_up = settle(m);
        return;
    }
    wrong(m, is_put ? "put" : "query", rc);
}

static void
mortal_main(void *arg)
{
    struct mortal *m = arg;
    struct client_opts opts = {.plat = m->plat, .xs = m->xs};
    int rc = client_create(&opts, &m->client);

    if (rc != 0) {
        wrong(m, "client_create", rc);
        return;
    }
    client_self_set(m->client);
    m->doing = "take over";
    m->is_up = (m->is_near && m->may_take && take(m)) || settle(m);
    while (m->is_up) {
        m->doing = "think";
        ult_sleep(rng_range(&m->rng, 1, m->is_near ? NEAR_PAUSE_NS : FAR_PAUSE_NS));
        while (m->is_idle) {
            ult_sleep(SIMT_S);
        }
        m->doing = "use";
        use(m);
        m->uses_nr++;
    }
}

static void
mortal_reap(void *arg)
{
    struct mortal *m = arg;

    if (m->xs != NULL)
        xstream_abandon(m->xs);
    client_abandon(m->client);
    xstream_destroy(m->xs);
    m->client = NULL;
    m->xs = NULL;
    m->plat = NULL;
    m->is_up = false;
}

static void
mortal_start(struct mortal *m, bool is_near, bool may_take)
{
    struct xstream_opts opts = {.name = "mortal", .cpu = UINT32_MAX};
    struct simt *t = m->t;
    int rc;

    snprintf(m->name, sizeof(m->name), "m%u-%u", m->idx, m->life++);
    m->is_near = is_near;
    m->may_take = may_take;
    m->is_strict = is_near || m->t->mortals->calm_ns != 0;
    m->is_idle = false;
    m->poh.cookie = m->coh.cookie = 0;
    rc = sim_node_start(t->sim, t->procs[SIMT_PROCS - 1].host, m->name, &m->plat);
    CAIRN_ASSERT(rc == 0);
    if (is_near)
        sim_node_realm_set(m->plat, SIMT_REALM);
    sim_node_on_kill(m->plat, mortal_reap, m);
    sim_node_env_set(m->plat, "CAIRN_RUNTIME_DIR", "/run/cairn");
    rc = xstream_create(m->plat, &opts, &m->xs);
    if (rc == 0)
        rc = xstream_start(m->xs);
    if (rc == 0)
        rc = xstream_post(m->xs, ULT_IO, mortal_main, m);
    if (rc != 0)
        wrong(m, "start", rc);
    t->report->mortals_nr++;
}

static void
mortal_kill(struct mortal *m)
{
    if (m->plat != NULL)
        sim_node_kill(m->t->sim, m->plat);
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------- */

void
simt_mortals_main(void *arg)
{
    struct simt *t = arg;
    struct rng rng;

    rng_init(&rng, t->opts.seed ^ UINT64_C(0x1dead));
    t->keepers_nr++;
    while (t->rough_on) {
        struct mortal *m = &t->mortals->mortals[rng_below(&rng, MORTALS_NR)];

        ult_sleep(simt_exp(&rng, SIMT_S));
        if (!t->rough_on)
            break;
        if (m->plat == NULL) {
            mortal_start(m, rng_chance(&rng, 3, 4), rng_chance(&rng, 1, 3));
        } else if (m->is_up) {
            mortal_kill(m);
        }
    }
    t->keepers_nr--;
}

static void
wait_up(struct mortal *m)
{
    uint64_t end_ns = simt_now(m->t) + CONNECT_NS;

    while (m->plat != NULL && !m->is_up && simt_now(m->t) < end_ns && !m->t->report->is_failed) {
        ult_sleep(20 * SIMT_MS);
    }
    if (!m->is_up)
        simt_fail(m->t, "%s (%s) is not up: %s", m->name, m->is_near ? "near" : "far", m->doing);
}

/* It has done nothing for long: its handle is there all the same. */
static void
use_again(struct mortal *m)
{
    uint64_t end_ns = simt_now(m->t) + CONNECT_NS;
    uint32_t nr = m->uses_nr;

    m->is_idle = false;
    while (m->uses_nr < nr + 2 && simt_now(m->t) < end_ns && !m->t->report->is_failed) {
        ult_sleep(SIMT_S);
    }
    if (m->uses_nr < nr + 2)
        simt_fail(m->t, "%s does nothing: %s", m->name, m->doing);
    m->is_idle = true;
}

static void
kill_all(struct simt_mortals *all)
{
    for (uint32_t i = 0; i < MORTALS_NR; i++) {
        mortal_kill(&all->mortals[i]);
    }
}

/* In peace. The table fills up with the dead, more than twice; one near and one far live through all of it, and through the restart behind the first time. */
void
simt_mortals_check(struct simt *t, bool is_last, daos_handle_t poh)
{
    struct simt_mortals *all = t->mortals;
    struct mortal *near = &all->mortals[0], *far = &all->mortals[1], *m;
    int rc;

    if (all->calm_ns == 0) {
        kill_all(all);
        all->calm_ns = simt_now(t);
        mortal_start(near, true, false);
        wait_up(near);
        near->is_idle = true;
        mortal_start(far, false, false);
        wait_up(far);
    }
    for (uint32_t i = 0; i < 2 * SIMT_HDLS_NR && !t->report->is_failed; i++) {
        m = &all->mortals[2 + i % 2];
        mortal_kill(m);
        mortal_start(m, i % 3 != 1, i % 4 == 2);
        wait_up(m);
    }
    ult_sleep(2 * POOL_LOOK_NS);
    use_again(near);
    if (!is_last)
        return;
    rc = daos_cont_destroy(poh, DEN, 0, NULL);
    if (rc != -DER_BUSY)
        simt_fail(t, "destroy of a container that the living have open: %s", err_name(rc));
    kill_all(all);
    rc = daos_cont_destroy(poh, DEN, 0, NULL);
    if (rc != 0)
        simt_fail(t, "destroy of a container that the dead had open: %s", err_name(rc));
}
