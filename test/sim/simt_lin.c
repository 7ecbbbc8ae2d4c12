/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "sim/simt_lin.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/util.h"

struct config {
    uint64_t done; /* bits of open operations that took effect */
    uint8_t state[SIMT_LIN_STATE_BYTES_MAX];
};

/* A set of configurations, in the order of their discovery. */
struct set {
    struct config *items;
    uint32_t nr, room;
    uint32_t *table; /* index + 1; open addressing */
    uint32_t table_nr; /* power of two */
};

struct event {
    struct simt_lin_moment at;
    const struct simt_lin_op *op;
    bool is_end;
};

struct check {
    const struct simt_lin_model *model;
    const struct simt_lin_op *open[SIMT_LIN_OPEN_MAX]; /* NULL: free place */
    struct set now, work;
    bool is_full;
};

static void *
xrealloc(void *p, size_t bytes)
{
    p = realloc(p, bytes);
    CAIRN_ASSERT(p != NULL);
    return p;
}

static uint64_t
config_hash(const struct config *c)
{
    return hash_bytes64(c, sizeof(*c), 0);
}

static void
set_clear(struct set *set)
{
    set->nr = 0;
    if (set->table_nr > 0)
        memset(set->table, 0, set->table_nr * sizeof(*set->table));
}

static void
set_index(struct set *set, uint32_t i)
{
    uint32_t at = (uint32_t)config_hash(&set->items[i]) & (set->table_nr - 1);

    while (set->table[at] != 0) {
        at = (at + 1) & (set->table_nr - 1);
    }
    set->table[at] = i + 1;
}

static void
set_grow(struct set *set)
{
    set->room = set->room == 0 ? 64 : set->room * 2;
    set->items = xrealloc(set->items, set->room * sizeof(*set->items));
    set->table_nr = set->room * 4;
    set->table = xrealloc(set->table, set->table_nr * sizeof(*set->table));
    memset(set->table, 0, set->table_nr * sizeof(*set->table));
    for (uint32_t i = 0; i < set->nr; i++) {
        set_index(set, i);
    }
}

static void
set_add(struct set *set, const struct config *c)
{
    uint32_t at;

    if (set->nr == set->room)
        set_grow(set);
    at = (uint32_t)config_hash(c) & (set->table_nr - 1);
    for (; set->table[at] != 0; at = (at + 1) & (set->table_nr - 1)) {
        if (memcmp(&set->items[set->table[at] - 1], c, sizeof(*c)) == 0)
            return;
    }
    set->items[set->nr] = *c;
    set->table[at] = ++set->nr;
}

static int
event_cmp(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    if (x->at.ns != y->at.ns)
        return x->at.ns < y->at.ns ? -1 : 1;
    return x->at.seq < y->at.seq ? -1 : x->at.seq > y->at.seq;
}

/* All configurations that doing open operations leads to; those in which `until` is done go no further. */
static void
explore(struct check *k, int until)
{
    set_clear(&k->work);
    for (uint32_t i = 0; i < k->now.nr; i++) {
        set_add(&k->work, &k->now.items[i]);
    }
    for (uint32_t i = 0; i < k->work.nr && !k->is_full; i++) {
        for (int s = 0; s < SIMT_LIN_OPEN_MAX; s++) {
            struct config c = k->work.items[i];

            if (until >= 0 && (c.done >> until & 1) != 0)
                break;
            if (k->open[s] == NULL || (c.done >> s & 1) != 0)
                continue;
            if (!k->model->step(k->model->arg, k->open[s], c.state))
                continue;
            c.done |= UINT64_C(1) << s;
            set_add(&k->work, &c);
        }
        k->is_full = k->work.nr > SIMT_LIN_CONFIGS_MAX;
    }
}

/* The operation at place s is over: it must have happened, or (without an answer) may have. */
static void
close_op(struct check *k, int s, bool must)
{
    explore(k, must ? s : -1);
    set_clear(&k->now);
    for (uint32_t i = 0; i < k->work.nr; i++) {
        struct config c = k->work.items[i];

        if (must && (c.done >> s & 1) == 0)
            continue;
        c.done &= ~(UINT64_C(1) << s);
        set_add(&k->now, &c);
    }
    k->open[s] = NULL;
}

static int
place_of(const struct check *k, const struct simt_lin_op *op)
{
    for (int s = 0; s < SIMT_LIN_OPEN_MAX; s++) {
        if (k->open[s] == op)
            return s;
    }
    return -1;
}

static void
states_note(struct check *k, struct simt_lin_result *ret)
{
    struct set *set = &k->now;

    ret->state_nr = 0;
    for (uint32_t i = 0; i < set->nr && ret->state_nr < ARRAY_SIZE(ret->states); i++) {
        uint32_t j = 0;

        while (j < ret->state_nr &&
            memcmp(ret->states[j], set->items[i].state, SIMT_LIN_STATE_BYTES_MAX) != 0) {
            j++;
        }
        if (j == ret->state_nr)
            memcpy(ret->states[ret->state_nr++], set->items[i].state, SIMT_LIN_STATE_BYTES_MAX);
    }
}

static enum simt_lin_verdict
event_do(struct check *k, const struct event *ev, struct simt_lin_result *ret)
{
    int s = place_of(k, ev->is_end ? ev->op : NULL);

    if (s < 0)
        return SIMT_LIN_GAVE_UP; /* more are open than there are places */
    if (!ev->is_end) {
        k->open[s] = ev->op;
        return SIMT_LIN_OK;
    }
    states_note(k, ret);
    close_op(k, s, ev->op->is_answered);
    ret->configs_max = MAX(ret->configs_max, k->work.nr);
    if (k->is_full)
        return SIMT_LIN_GAVE_UP;
    if (k->now.nr > 0)
        return SIMT_LIN_OK;
    ret->bad = ev->op;
    return SIMT_LIN_BAD;
}

enum simt_lin_verdict
simt_lin_check(const struct simt_lin_model *model, const struct simt_lin_op *ops, uint32_t nr,
    struct simt_lin_result *ret_result)
{
    struct check k = {.model = model};
    struct event *evs = xrealloc(NULL, (2 * (size_t)nr + 1) * sizeof(*evs));
    enum simt_lin_verdict verdict = SIMT_LIN_OK;
    struct config first;
    uint32_t ev_nr = 0;

    CAIRN_ASSERT(model->state_bytes <= SIMT_LIN_STATE_BYTES_MAX);
    memset(ret_result, 0, sizeof(*ret_result));
    memset(&first, 0, sizeof(first));
    set_add(&k.now, &first);
    for (uint32_t i = 0; i < nr; i++) {
        evs[ev_nr++] = (struct event){ops[i].begin, &ops[i], false};
        if (ops[i].is_answered || ops[i].end.ns != SIMT_LIN_NEVER)
            evs[ev_nr++] = (struct event){ops[i].end, &ops[i], true};
    }
    qsort(evs, ev_nr, sizeof(*evs), event_cmp);
    for (uint32_t i = 0; i < ev_nr && verdict == SIMT_LIN_OK; i++) {
        verdict = event_do(&k, &evs[i], ret_result);
    }
    free(evs);
    free(k.now.items);
    free(k.now.table);
    free(k.work.items);
    free(k.work.table);
    return verdict;
}
