/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * client: what a program sees through libdaos, on a system that runs already: single values with one and with 16 in flight (us, /s),
 * arrays of 1 MiB (MB/s). bench_client.py starts the system, one engine of one target on a `ram` tier, and runs this program once for
 * each way to reach it.
 *
 * usage: CAIRN_BENCH_NET=unix CAIRN_BENCH_SYS=name bench_client [--reps N] [--quick] [--json FILE] [filter]
 * With CAIRN_BENCH_DURABLE=1 the system keeps its data on a disk (bench_durable.py), and the figures are named durable.* instead of client.*.
 * The pool is `tank`. Ten akeys to a dkey, as in the original's benchmark; values are fetched in the order in which they were written.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <daos.h>

enum { AKEYS_NR = 10, DEPTH = 16, ARRAY_BYTES = 1 << 20, ARRAY_DEPTH = 4, VALUE_BYTES_MAX = 4096 };

struct world {
    daos_handle_t poh, coh, eq;
    uint64_t next_oid;
    const char *net;
    bool is_durable; /* on a disk */
};

/* One request in flight. It lives until its event came back. */
struct slot {
    daos_event_t ev; /* first: the queue gives it back */
    char dkey[32], akey[32];
    daos_key_t dk;
    daos_iod_t iod;
    d_iov_t iov;
    d_sg_list_t sgl;
    daos_array_iod_t aiod;
    daos_range_t range;
    char *value;
};

static void
must(bool ok)
{
    if (!ok)
        abort();
}

static void
world_open(struct world *w)
{
    const char *sys = getenv("CAIRN_BENCH_SYS");

    *w = (struct world){.next_oid = bench_now_ns()};
    w->net = getenv("CAIRN_BENCH_NET");
    w->is_durable = getenv("CAIRN_BENCH_DURABLE") != NULL;
    must(w->net != NULL && daos_init() == 0);
    must(daos_pool_connect("tank", sys, DAOS_PC_RW, &w->poh, NULL, NULL) == 0);
    must(daos_cont_create_with_label(w->poh, "bench", NULL, NULL, NULL) == 0);
    must(daos_cont_open(w->poh, "bench", DAOS_COO_RW, &w->coh, NULL, NULL) == 0);
    must(daos_eq_create(&w->eq) == 0);
}

static void
world_close(struct world *w)
{
    must(daos_eq_destroy(w->eq, 0) == 0);
    must(daos_cont_close(w->coh, NULL) == 0);
    must(daos_cont_destroy(w->poh, "bench", 1, NULL) == 0);
    must(daos_pool_disconnect(w->poh, NULL) == 0);
    must(daos_fini() == 0);
}

/* component.operation_net.size, kept for the whole process: bench_put() borrows it. */
static const char *
name_of(const struct world *w, const char *component, const char *what, const char *size)
{
    static char names[64][64];
    static int names_nr;
    char name[64];

    snprintf(name, sizeof(name), "%s.%s_%s.%s", component, what, w->net, size);
    for (int i = 0; i < names_nr; i++) {
        if (strcmp(names[i], name) == 0)
            return names[i];
    }
    must(names_nr < 64);
    return strcpy(names[names_nr++], name);
}

static void
put_value(struct world *w, const char *what, const char *size, const char *unit, double value,
    double target)
{
    bench_put(
        &(struct bench_figure){.name = name_of(w, w->is_durable ? "durable" : "client", what, size),
            .unit = unit,
            .value = value,
            .target = w->is_durable ? 0 : target,
            .against = w->is_durable ? "durable.fio_16.4096" : NULL});
}

/* Held against the bulk of rpc over the same backend. */
static void
put_array(struct world *w, const char *what, bool is_write, double value)
{
    bench_put(&(struct bench_figure){.name = name_of(w, "client", what, "1MiB"),
        .unit = "MB/s",
        .value = value,
        .against = name_of(w, "rpc", is_write ? "pull" : "push", "1MiB")});
}

/* ---- single values -------------------------------------------------------------------------------------------------- */

static void
slot_set(struct slot *s, uint64_t i, uint32_t len)
{
    snprintf(s->dkey, sizeof(s->dkey), "dkey.%010lu", (unsigned long)(i / AKEYS_NR));
    snprintf(s->akey, sizeof(s->akey), "akey.%lu", (unsigned long)(i % AKEYS_NR));
    d_iov_set(&s->dk, s->dkey, strlen(s->dkey));
    s->iod = (daos_iod_t){.iod_type = DAOS_IOD_SINGLE, .iod_size = len, .iod_nr = 1};
    d_iov_set(&s->iod.iod_name, s->akey, strlen(s->akey));
    d_iov_set(&s->iov, s->value, len);
    s->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &s->iov};
}

static void
value_issue(
    daos_handle_t oh, struct slot *s, uint64_t i, uint32_t len, bool is_update, daos_event_t *ev)
{
    slot_set(s, i, len);
    if (is_update) {
        must(daos_obj_update(oh, DAOS_TX_NONE, 0, &s->dk, 1, &s->iod, &s->sgl, ev) == 0);
    } else {
        must(daos_obj_fetch(oh, DAOS_TX_NONE, 0, &s->dk, 1, &s->iod, &s->sgl, NULL, ev) == 0);
    }
}

/* `nr` values, `depth` at a time; ns. With one at a time the calls have no event. */
static uint64_t
values_run(struct world *w, daos_handle_t oh, struct slot *slots, int depth, uint64_t nr,
    uint32_t len, bool is_update)
{
    uint64_t start_ns = bench_now_ns(), issued_nr = 0, done_nr = 0;
    daos_event_t *done[DEPTH];

    if (depth == 1) {
        for (uint64_t i = 0; i < nr; i++) {
            value_issue(oh, &slots[0], i, len, is_update, NULL);
        }
        return bench_now_ns() - start_ns;
    }
    for (int i = 0; i < depth && issued_nr < nr; i++) {
        must(daos_event_init(&slots[i].ev, w->eq, NULL) == 0);
        value_issue(oh, &slots[i], issued_nr++, len, is_update, &slots[i].ev);
    }
    while (done_nr < nr) {
        int n = daos_eq_poll(w->eq, 1, DAOS_EQ_WAIT, DEPTH, done);

        must(n > 0);
        for (int i = 0; i < n; i++) {
            must(done[i]->ev_error == 0);
            done_nr++;
            if (issued_nr < nr)
                value_issue(oh, (struct slot *)done[i], issued_nr++, len, is_update, done[i]);
        }
    }
    start_ns = bench_now_ns() - start_ns;
    for (int i = 0; i < depth; i++) {
        must(daos_event_fini(&slots[i].ev) == 0);
    }
    return start_ns;
}

static void
values(uint32_t len, const char *size)
{
    struct world w;
    struct slot *slots = calloc(DEPTH, sizeof(*slots));
    uint64_t one_nr, many_nr = bench_times(len <= 64 ? 100000 : 50000);

    must(slots != NULL);
    world_open(&w);
    one_nr = bench_times(w.is_durable ? 1000 : 20000);
    for (int i = 0; i < DEPTH; i++) {
        slots[i].value = malloc(VALUE_BYTES_MAX);
        must(slots[i].value != NULL);
        memset(slots[i].value, 'a' + i, VALUE_BYTES_MAX);
    }
    for (int depth = 1; depth <= DEPTH; depth += DEPTH - 1) {
        uint64_t nr = depth == 1 ? one_nr : many_nr;
        daos_obj_id_t oid = {.lo = w.next_oid++};
        daos_handle_t oh;

        must(daos_obj_generate_oid(w.coh, &oid, 0, OC_S1, 0, 0) == 0);
        must(daos_obj_open(w.coh, oid, DAOS_OO_RW, &oh, NULL) == 0);
        for (int is_update = 1; is_update >= 0; is_update--) {
            uint64_t ns = values_run(&w, oh, slots, depth, nr, len, is_update);
            const char *what = is_update ? "update" : "fetch";
            char name[32];

            if (depth == 1) {
                put_value(&w, what, size, "us", (double)ns / 1e3 / (double)nr, is_update ? 30 : 20);
                continue;
            }
            snprintf(name, sizeof(name), "%s%d", what, depth);
            put_value(
                &w, name, size, "/s", (double)nr * 1e9 / (double)ns, is_update ? 60000 : 100000);
        }
        must(daos_obj_close(oh, NULL) == 0);
    }
    for (int i = 0; i < DEPTH; i++) {
        free(slots[i].value);
    }
    free(slots);
    world_close(&w);
}

BENCH(client_small)
{
    values(64, "64");
}

BENCH(client_page)
{
    values(4096, "4096");
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

static void
array_issue(daos_handle_t oh, struct slot *s, uint64_t i, bool is_write, daos_event_t *ev)
{
    s->range = (daos_range_t){.rg_idx = i * ARRAY_BYTES, .rg_len = ARRAY_BYTES};
    s->aiod = (daos_array_iod_t){.arr_nr = 1, .arr_rgs = &s->range};
    d_iov_set(&s->iov, s->value, ARRAY_BYTES);
    s->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &s->iov};
    if (is_write) {
        must(daos_array_write(oh, DAOS_TX_NONE, &s->aiod, &s->sgl, ev) == 0);
    } else {
        must(daos_array_read(oh, DAOS_TX_NONE, &s->aiod, &s->sgl, ev) == 0);
    }
}

/* MB/s. */
static double
array_run(struct world *w, daos_handle_t oh, struct slot *slots, int depth, uint64_t nr, bool is_write)
{
    uint64_t start_ns = bench_now_ns(), issued_nr = 0, done_nr = 0;
    daos_event_t *done[ARRAY_DEPTH];
    double rate;

    if (depth == 1) {
        for (uint64_t i = 0; i < nr; i++) {
            array_issue(oh, &slots[0], i, is_write, NULL);
        }
        return bench_rate(nr * ARRAY_BYTES, start_ns) / 1e6;
    }
    for (int i = 0; i < depth && issued_nr < nr; i++) {
        must(daos_event_init(&slots[i].ev, w->eq, NULL) == 0);
        array_issue(oh, &slots[i], issued_nr++, is_write, &slots[i].ev);
    }
    while (done_nr < nr) {
        int n = daos_eq_poll(w->eq, 1, DAOS_EQ_WAIT, ARRAY_DEPTH, done);

        must(n > 0);
        for (int i = 0; i < n; i++) {
            must(done[i]->ev_error == 0);
            done_nr++;
            if (issued_nr < nr)
                array_issue(oh, (struct slot *)done[i], issued_nr++, is_write, done[i]);
        }
    }
    rate = bench_rate(nr * ARRAY_BYTES, start_ns) / 1e6;
    for (int i = 0; i < depth; i++) {
        must(daos_event_fini(&slots[i].ev) == 0);
    }
    return rate;
}

static uint64_t
space_free(struct world *w)
{
    daos_pool_info_t info = {.pi_bits = DPI_SPACE};

    must(daos_pool_query(w->poh, NULL, &info, NULL, NULL) == 0);
    return info.pi_space.ps_space.s_free[DAOS_MEDIA_NVME];
}

/* Destroy the container, and wait until its space can be had again: what is written next lies on space that was touched before. */
static void
world_empty(struct world *w, uint64_t free_bytes)
{
    must(daos_cont_close(w->coh, NULL) == 0);
    must(daos_cont_destroy(w->poh, "bench", 1, NULL) == 0);
    while (space_free(w) < free_bytes) {
        must(daos_pool_query(w->poh, NULL, NULL, NULL, NULL) == 0);
    }
    must(daos_cont_create_with_label(w->poh, "bench", NULL, NULL, NULL) == 0);
    must(daos_cont_open(w->poh, "bench", DAOS_COO_RW, &w->coh, NULL, NULL) == 0);
}

static void
array_pass(
    struct world *w, struct slot *slots, int depth, const char *write_what, const char *read_what)
{
    uint64_t nr = bench_times(400), free_bytes = space_free(w);
    daos_obj_id_t oid = {.lo = w->next_oid++};
    daos_handle_t oh;

    must(daos_array_generate_oid(w->coh, &oid, true, OC_S1, 0, 0) == 0);
    must(daos_array_create(w->coh, oid, DAOS_TX_NONE, 1, ARRAY_BYTES, &oh, NULL) == 0);
    put_array(w, write_what, true, array_run(w, oh, slots, depth, nr, true));
    if (read_what != NULL)
        put_array(w, read_what, false, array_run(w, oh, slots, depth, nr, false));
    must(daos_array_close(oh, NULL) == 0);
    world_empty(w, free_bytes);
}

BENCH(client_array)
{
    static bool was_touched;
    struct world w;
    struct slot *slots = calloc(ARRAY_DEPTH, sizeof(*slots));

    must(slots != NULL);
    world_open(&w);
    for (int i = 0; i < ARRAY_DEPTH; i++) {
        slots[i].value = malloc(ARRAY_BYTES);
        must(slots[i].value != NULL);
        memset(slots[i].value, 'a' + i, ARRAY_BYTES);
    }
    if (!was_touched)
        array_pass(&w, slots, 1, "array_write_first", NULL);
    was_touched = true;
    array_pass(&w, slots, 1, "array_write", "array_read");
    array_pass(&w, slots, ARRAY_DEPTH, "array_write4", "array_read4");
    for (int i = 0; i < ARRAY_DEPTH; i++) {
        free(slots[i].value);
    }
    free(slots);
    world_close(&w);
}
