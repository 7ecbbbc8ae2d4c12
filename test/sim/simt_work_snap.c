/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Workload D: keys of a few objects under puts, removals and punches, while snapshots are taken, read, listed and destroyed.
 *
 * A snapshot is a read of all keys at one moment between the question for it and the answer (CON-6): that is what the record says of it, with the values that are
 * read at its epoch, much later perhaps, by whomever. Every reader of one snapshot must see the same. The table of its objects has an object exactly when one of
 * its keys was put and the object was not punched since; for objects with one key that is judged at the same moment as the value.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sim/simt_sys.h"

enum { OBJS_NR = 5, THINGS_NR = 8, VAGUE = 2, PAGE_MAX = 6 };
CAIRN_STATIC_ASSERT((int)THINGS_NR <= (int)SIMT_OPS_MAX, "one operation a key");

static const struct obj_def {
    daos_oclass_id_t cls;
    uint32_t thing, key_nr; /* its keys */
} defs[OBJS_NR] = {{OC_S1, 0, 1}, {OC_SX, 1, 1}, {OC_S2, 2, 1}, {OC_SX, 3, 3}, {OC_S1, 6, 2}};

enum kind { K_PUT, K_REMOVE, K_PUNCH, K_GET, K_SNAP };

struct oper {
    struct simt_op base; /* first */
    uint8_t kind;
    uint8_t seen; /* K_SNAP: the object is in the table; VAGUE: nobody knows */
    bool is_filled; /* K_SNAP: it was read */
    uint32_t val; /* put, got */
    int rc;
    char who[40];
};

struct state {
    uint32_t val; /* 0: none */
    uint32_t is_touched; /* put since the object was punched */
};

struct snap {
    struct list_head link;
    daos_epoch_t epoch;
    bool is_doomed; /* somebody asked to destroy it */
    uint32_t destroys_nr; /* how many did; the second may be served before the first */
    bool is_gone; /* and was answered */
    bool has_vals, has_seen;
    uint32_t val[THINGS_NR];
    uint8_t seen[OBJS_NR];
    struct oper *opers[THINGS_NR];
};

struct work {
    struct simt *t;
    uint32_t next_val, snap_nr;
    uint32_t asked_nr; /* snapshots */
    struct list_head things[THINGS_NR]; /* of struct simt_op */
    struct list_head snaps;
};

struct ctx {
    struct simt_worker *w;
    struct simt *t;
    struct work *work;
    daos_handle_t coh, ohs[OBJS_NR];
    daos_obj_id_t oids[OBJS_NR];
};

/* ---- the model ---------------------------------------------------------------------------------------------------------------- */

static bool
model_step(void *arg, const struct simt_lin_op *lop, void *state)
{
    const struct oper *o = lop->op;
    struct state *s = state;

    (void)arg;
    switch (o->kind) {
    case K_PUT:
        *s = (struct state){o->val, 1};
        return true;
    case K_REMOVE:
        s->val = 0;
        return true;
    case K_PUNCH:
        *s = (struct state){0, 0};
        return true;
    case K_GET:
        return s->val == o->val;
    default:
        return !o->is_filled || (s->val == o->val && (o->seen == VAGUE || o->seen == s->is_touched));
    }
}

static void
oper_print(const struct simt_lin_op *lop, char *buf, size_t len)
{
    static const char *const kinds[] = {"put", "remove", "punch", "get", "snapshot"};
    const struct oper *o = lop->op;

    snprintf(buf, len, "[%.6f, %.6f%s %s %s %u rc %d seen %u", (double)lop->begin.ns / 1e9,
        lop->end.ns == SIMT_LIN_NEVER ? 0.0 : (double)lop->end.ns / 1e9,
        lop->is_answered ? "]" : "?)", o->who, kinds[o->kind], o->val, o->rc, o->seen);
}

static void
state_print(const void *state, char *buf, size_t len)
{
    const struct state *s = state;

    snprintf(buf, len, "value %u touched %u", s->val, s->is_touched);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------- */

static struct oper *
oper_new(struct ctx *c, enum kind kind)
{
    struct oper *o = simt_alloc(sizeof(*o));

    o->kind = (uint8_t)kind;
    o->base.is_read = kind >= K_GET;
    o->seen = VAGUE;
    snprintf(o->who, sizeof(o->who), "%s.%u", c->w->proc->name, c->w->idx);
    return o;
}

static uint32_t
obj_of(uint32_t thing)
{
    uint32_t obj = 0;

    while (thing >= defs[obj].thing + defs[obj].key_nr) {
        obj++;
    }
    return obj;
}

static const char *
key_of(uint32_t thing)
{
    static const char *const keys[] = {"one", "two", "three"};

    return keys[thing - defs[obj_of(thing)].thing];
}

/* False, and a report: no such answer may come. `also`: a code that may. */
static bool
is_answer(struct ctx *c, const char *what, int rc, int also)
{
    enum simt_outcome outcome = simt_outcome(rc);

    if (rc == 0 || rc == also || (outcome != SIMT_WRONG && outcome != SIMT_REFUSED) ||
        (rc == -DER_TIMEDOUT && simt_may_starve(c->t)))
        return true;
    simt_fail(c->t, "%s.%u: %s: %s", c->w->proc->name, c->w->idx, what, err_name(rc));
    return false;
}

static void
settle(struct ctx *c, const char *what, int rc)
{
    enum simt_outcome outcome = simt_outcome(rc);

    if (!is_answer(c, what, rc, 0) || rc == -DER_TIMEDOUT)
        outcome = SIMT_UNKNOWN;
    simt_answered(c->w, outcome);
}

static void
do_put(struct ctx *c, uint32_t thing)
{
    struct oper *o = oper_new(c, K_PUT);

    o->val = ++c->work->next_val;
    simt_doing(c->w, "put");
    simt_ask(c->w, &o->base, &c->work->things[thing]);
    o->rc = daos_kv_put(
        c->ohs[obj_of(thing)], DAOS_TX_NONE, 0, key_of(thing), sizeof(o->val), &o->val, NULL);
    settle(c, "put", o->rc);
}

static void
do_remove(struct ctx *c, uint32_t thing)
{
    struct oper *o = oper_new(c, K_REMOVE);

    simt_doing(c->w, "remove");
    simt_ask(c->w, &o->base, &c->work->things[thing]);
    o->rc = daos_kv_remove(c->ohs[obj_of(thing)], DAOS_TX_NONE, 0, key_of(thing), NULL);
    settle(c, "remove", o->rc);
}

static void
do_punch(struct ctx *c, uint32_t obj)
{
    int rc;

    for (uint32_t i = 0; i < defs[obj].key_nr; i++) {
        struct oper *o = oper_new(c, K_PUNCH);

        simt_ask(c->w, &o->base, &c->work->things[defs[obj].thing + i]);
    }
    simt_doing(c->w, "punch");
    rc = daos_kv_destroy(c->ohs[obj], DAOS_TX_NONE, NULL);
    settle(c, "punch", rc);
}

/* What a key holds, as `th` reads it. */
static int
get(struct ctx *c, uint32_t thing, daos_handle_t th, uint32_t *ret_val)
{
    daos_size_t size = sizeof(*ret_val);
    int rc;

    *ret_val = 0;
    rc = daos_kv_get(c->ohs[obj_of(thing)], th, 0, key_of(thing), &size, ret_val, NULL);
    if (rc == 0 && size != 0 && size != sizeof(*ret_val))
        simt_fail(c->t, "a value of %u bytes", (uint32_t)size);
    return rc;
}

static void
do_get(struct ctx *c, uint32_t thing)
{
    struct oper *o = oper_new(c, K_GET);

    simt_doing(c->w, "get");
    simt_ask(c->w, &o->base, &c->work->things[thing]);
    o->rc = get(c, thing, DAOS_TX_NONE, &o->val);
    settle(c, "get", o->rc);
}

/* ---- snapshots -------------------------------------------------------------------------------------------------------------------- */

static void
do_snap(struct ctx *c)
{
    struct snap *s = simt_alloc(sizeof(*s));
    int rc;

    list_init(&s->link);
    for (uint32_t i = 0; i < THINGS_NR; i++) {
        s->opers[i] = oper_new(c, K_SNAP);
        simt_ask(c->w, &s->opers[i]->base, &c->work->things[i]);
    }
    c->work->asked_nr++;
    simt_doing(c->w, "snapshot");
    rc = daos_cont_create_snap_opt(
        c->coh, &s->epoch, NULL, DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT, NULL);
    settle(c, "snapshot", rc);
    if (rc != 0) {
        free(s);
        return;
    }
    list_add_tail(&s->link, &c->work->snaps);
    c->work->snap_nr++;
}

/* One of those there are, or NULL. */
static struct snap *
snap_pick(struct ctx *c)
{
    uint64_t at = c->work->snap_nr == 0 ? 0 : simt_pick(c->w, c->work->snap_nr);
    struct snap *s;

    LIST_FOREACH(s, &c->work->snaps, struct snap, link) {
        if (at-- == 0)
            return s;
    }
    return NULL;
}

static void
vals_take(struct ctx *c, struct snap *s, const uint32_t *val)
{
    for (uint32_t i = 0; s->has_vals && i < THINGS_NR; i++) {
        if (val[i] != s->val[i]) {
            simt_fail(c->t, "snapshot %#llx changes: key %u is %u, was %u",
                (unsigned long long)s->epoch, i, val[i], s->val[i]);
        }
    }
    memcpy(s->val, val, sizeof(s->val));
    s->has_vals = true;
    for (uint32_t i = 0; i < THINGS_NR; i++) {
        s->opers[i]->val = val[i];
        s->opers[i]->is_filled = true;
    }
}

static void
snap_read(struct ctx *c, struct snap *s)
{
    uint32_t val[THINGS_NR];
    daos_handle_t th;
    int rc;

    simt_doing(c->w, "read of a snapshot");
    rc = daos_tx_open_snap(c->coh, s->epoch, &th, NULL);
    if (!is_answer(c, "open of a snapshot", rc, s->is_doomed ? -DER_NONEXIST : 0) || rc != 0)
        return;
    for (uint32_t i = 0; rc == 0 && i < THINGS_NR; i++) {
        rc = get(c, i, th, &val[i]);
        CAIRN_IGNORE(
            is_answer(c, "get of a snapshot", rc, s->is_doomed ? -DER_EP_OLD : 0)); /* it tells */
    }
    if (rc == 0 && !s->is_doomed)
        vals_take(c, s, val);
    rc = daos_tx_close(th, NULL);
    CAIRN_IGNORE(is_answer(c, "close of a snapshot", rc, 0)); /* it tells */
}

static void
seen_take(struct ctx *c, struct snap *s, const uint8_t *seen)
{
    for (uint32_t i = 0; s->has_seen && i < OBJS_NR; i++) {
        if (seen[i] != s->seen[i]) {
            simt_fail(c->t, "the table of snapshot %#llx changes: object %u",
                (unsigned long long)s->epoch, i);
        }
    }
    memcpy(s->seen, seen, sizeof(s->seen));
    s->has_seen = true;
    for (uint32_t i = 0; i < THINGS_NR; i++) {
        uint32_t obj = obj_of(i);

        if (seen[obj] == 0 || defs[obj].key_nr == 1)
            s->opers[i]->seen = seen[obj];
    }
}

static int
table_list(struct ctx *c, struct snap *s, daos_handle_t oh, uint8_t *seen)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_obj_id_t oids[PAGE_MAX];
    int rc = 0;

    for (int pages = 0; rc == 0 && !daos_anchor_is_eof(&anchor); pages++) {
        uint32_t nr = (uint32_t)(1 + simt_pick(c->w, PAGE_MAX));

        rc = daos_oit_list(oh, oids, &nr, &anchor, NULL);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            uint32_t obj = 0;

            while (obj < OBJS_NR && (c->oids[obj].lo != oids[i].lo || c->oids[obj].hi != oids[i].hi)) {
                obj++;
            }
            if (obj == OBJS_NR || seen[obj]++ != 0) {
                simt_fail(c->t, "the table of snapshot %#llx gives %s", (unsigned long long)s->epoch,
                    obj == OBJS_NR ? "an object that nobody wrote" : "an object twice");
                return -DER_MISC;
            }
        }
        if (pages > 100) {
            simt_fail(c->t, "a table does not end");
            return -DER_MISC;
        }
    }
    return rc;
}

static void
table_read(struct ctx *c, struct snap *s)
{
    uint8_t seen[OBJS_NR] = {0};
    daos_handle_t oh;
    int rc;

    simt_doing(c->w, "table of a snapshot");
    rc = daos_oit_open(c->coh, s->epoch, &oh, NULL);
    if (!is_answer(c, "open of a table", rc, s->is_doomed ? -DER_NONEXIST : 0) || rc != 0)
        return;
    rc = table_list(c, s, oh, seen);
    if (rc != -DER_MISC) {
        CAIRN_IGNORE(
            is_answer(c, "listing of a table", rc, s->is_doomed ? -DER_EP_OLD : 0)); /* it tells */
    }
    if (rc == 0 && !s->is_doomed)
        seen_take(c, s, seen);
    rc = daos_oit_close(oh, NULL);
    CAIRN_IGNORE(is_answer(c, "close of a table", rc, 0)); /* it tells */
}

static void
do_read(struct ctx *c)
{
    struct snap *s = snap_pick(c);

    if (s == NULL)
        return;
    if (simt_pick(c->w, 2) == 0) {
        snap_read(c, s);
    } else {
        table_read(c, s);
    }
}

static void
do_destroy(struct ctx *c)
{
    struct snap *s = snap_pick(c);
    int rc;

    if (s == NULL)
        return;
    s->is_doomed = true;
    s->destroys_nr++;
    simt_doing(c->w, "destroy of a snapshot");
    rc = daos_cont_destroy_snap(c->coh, (daos_epoch_range_t){s->epoch, s->epoch}, NULL);
    CAIRN_IGNORE(is_answer(c, "destroy of a snapshot", rc, s->destroys_nr > 1 ? -DER_NONEXIST : 0));
    s->is_gone = s->is_gone || rc == 0 || rc == -DER_NONEXIST;
}

/* Snapshots that the service has: those that were answered and nobody destroys, perhaps others that were asked for without an answer. */
static void
do_list(struct ctx *c)
{
    enum { ROOM = 1024 };
    daos_epoch_t *epochs = (daos_epoch_t *)(void *)c->w->buf;
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    struct snap *s, *had[ROOM];
    uint32_t had_nr = 0, found_nr = 0;
    bool was_gone[ROOM];
    int nr = ROOM, rc;

    LIST_FOREACH(s, &c->work->snaps, struct snap, link) {
        if (had_nr == ROOM)
            return;
        was_gone[had_nr] = s->is_gone;
        had[had_nr++] = s;
    }
    simt_doing(c->w, "list of snapshots");
    rc = daos_cont_list_snap(c->coh, &nr, epochs, NULL, &anchor, NULL);
    if (!is_answer(c, "list of snapshots", rc, 0) || rc != 0)
        return;
    for (uint32_t i = 0; i < had_nr; i++) {
        bool is_found = false;

        for (int k = 0; k < MIN(nr, (int)ROOM); k++) {
            is_found = is_found || epochs[k] == had[i]->epoch;
        }
        found_nr += is_found;
        if (is_found ? was_gone[i] : !had[i]->is_doomed) {
            simt_fail(c->t, "snapshot %#llx is %s", (unsigned long long)had[i]->epoch,
                is_found ? "destroyed and there" : "not there");
        }
    }
    for (int k = 1; k < MIN(nr, (int)ROOM); k++) {
        if (epochs[k] <= epochs[k - 1])
            simt_fail(c->t, "snapshots are listed out of order");
    }
    if ((uint32_t)nr > found_nr + (c->work->asked_nr - had_nr))
        simt_fail(c->t, "%d snapshots, of which nobody asked for some", nr);
}

/* ---- a worker ---------------------------------------------------------------------------------------------------------------------- */

static void
one_request(struct ctx *c)
{
    uint32_t thing = (uint32_t)simt_pick(c->w, c->t->cfg.is_hot ? 2 : THINGS_NR);
    uint64_t roll = simt_pick(c->w, 100);

    if (roll < 45) {
        do_put(c, thing);
    } else if (roll < 53) {
        do_remove(c, thing);
    } else if (roll < 58) {
        do_punch(c, obj_of(thing));
    } else if (roll < 65) {
        do_get(c, thing);
    } else if (roll < 82) {
        do_snap(c);
    } else if (roll < 94) {
        do_read(c);
    } else if (roll < 97) {
        do_destroy(c);
    } else {
        do_list(c);
    }
}

static bool
ctx_open(struct ctx *c, daos_handle_t poh)
{
    int rc = 0;

    if (!simt_cont_open(c->t, poh, "past", &c->coh))
        return false;
    for (uint32_t i = 0; rc == 0 && i < OBJS_NR; i++) {
        c->oids[i] = (daos_obj_id_t){.lo = 200 + i};
        rc = daos_obj_generate_oid(c->coh, &c->oids[i], DAOS_OT_KV_HASHED, defs[i].cls, 0, 0);
        if (rc == 0)
            rc = daos_kv_open(c->coh, c->oids[i], DAOS_OO_RW, &c->ohs[i], NULL);
    }
    if (rc != 0)
        simt_fail(c->t, "open of objects: %s", err_name(rc));
    return rc == 0;
}

static void
ctx_close(struct ctx *c)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < OBJS_NR; i++) {
        rc = daos_kv_close(c->ohs[i], NULL);
    }
    if (rc == 0)
        rc = daos_cont_close(c->coh, NULL);
    if (rc != 0)
        simt_fail(c->t, "%s: close: %s", c->w->proc->name, err_name(rc));
}

static void
worker(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct ctx c = {.w = w, .t = w->proc->t, .work = state};

    simt_doing(w, "open");
    if (!ctx_open(&c, poh))
        return;
    while (w->ops_left > 0) {
        simt_think(w);
        w->ops_left--;
        one_request(&c);
    }
    simt_doing(w, "close");
    ctx_close(&c);
}

static void
final(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct ctx c = {.w = w, .t = w->proc->t, .work = state};
    struct snap *s;

    if (!ctx_open(&c, poh))
        return;
    for (uint32_t i = 0; i < THINGS_NR; i++) {
        do_get(&c, i);
    }
    LIST_FOREACH(s, &c.work->snaps, struct snap, link) {
        if (s->is_doomed)
            continue;
        snap_read(&c, s);
        table_read(&c, s);
    }
    do_list(&c);
    ctx_close(&c);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static void *
create(struct simt *t)
{
    struct work *work = simt_alloc(sizeof(*work));

    work->t = t;
    for (uint32_t i = 0; i < THINGS_NR; i++) {
        list_init(&work->things[i]);
    }
    list_init(&work->snaps);
    return work;
}

static void
setup(struct simt *t, void *state, daos_handle_t poh)
{
    int rc = daos_cont_create_with_label(poh, "past", NULL, NULL, NULL);

    (void)state;
    if (rc != 0)
        simt_fail(t, "create of the container: %s", err_name(rc));
}

static void
check(struct simt *t, void *state)
{
    static const struct simt_lin_model model = {
        .state_bytes = sizeof(struct state), .step = model_step};
    struct work *work = state;
    char what[64];

    for (uint32_t i = 0; i < THINGS_NR; i++) {
        snprintf(what, sizeof(what), "object %u key %s and its snapshots", obj_of(i), key_of(i));
        simt_history_check(t, what, &model, &work->things[i], oper_print, state_print);
    }
}

static void
destroy(void *state)
{
    struct work *work = state;
    struct simt_op *op, *next;
    struct snap *s, *after;

    for (uint32_t i = 0; i < THINGS_NR; i++) {
        LIST_FOREACH_SAFE(op, next, &work->things[i], struct simt_op, link) {
            simt_op_drop(op);
        }
    }
    LIST_FOREACH_SAFE(s, after, &work->snaps, struct snap, link) {
        list_del(&s->link);
        free(s);
    }
    free(work);
}

const struct simt_work simt_work_snap = {.name = "snap",
    .create = create,
    .setup = setup,
    .worker = worker,
    .final = final,
    .check = check,
    .destroy = destroy};
