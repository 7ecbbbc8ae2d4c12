/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Workload B: containers that come and go under a few labels, their handles, attributes of one container, ranges of object ids.
 *
 * Things are labels (which container has it, how many handles are open on that one) and attributes (registers). A container is known by
 * its uuid; that of a creation whose answer nobody saw is learned from the first who meets it. Ranges of object ids must be disjoint,
 * whoever got them, whenever.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"
#include "sim/simt_sys.h"

enum { LABELS_NR = 3, ATTRS_NR = 3, CONTS_MAX = 64 };
#define UNSEEN (UINT64_C(1) << 63) /* an instance whose uuid nobody has seen yet */

enum kind { K_CREATE, K_DESTROY, K_OPEN, K_CLOSE, K_LIST, K_SET, K_DEL, K_GET };

struct oper {
    struct simt_op base; /* first */
    uint8_t kind;
    bool force;
    int rc;
    uint64_t inst; /* of a label: hash of the uuid created, opened, closed, listed (0: absent). Attributes: value */
    char who[40];
};

struct state {
    uint64_t inst; /* 0: absent */
    uint32_t open_nr, pad;
};

struct range {
    struct list_head link;
    uint64_t lo, nr;
};

struct work {
    struct simt *t;
    uint64_t next_value;
    struct list_head labels[LABELS_NR], attrs[ATTRS_NR];
    struct list_head ranges;
    uint64_t *seen; /* instances whose creation was answered */
    uint32_t seen_nr;
};

/* ---- the model ------------------------------------------------------------------------------------------------------------------ */

static bool
is_known(const struct work *work, uint64_t inst)
{
    for (uint32_t i = 0; i < work->seen_nr; i++) {
        if (work->seen[i] == inst)
            return true;
    }
    return false;
}

/* Is `inst` what is there? An instance that nobody saw the creation of gets its identity here. */
static bool
is_same(const struct work *work, struct state *s, uint64_t inst)
{
    if ((s->inst & UNSEEN) != 0 && inst != 0 && !is_known(work, inst))
        s->inst = inst;
    return s->inst == inst;
}

static int
model_destroy(struct state *s, const struct oper *o)
{
    if (s->inst == 0)
        return -DER_NONEXIST;
    if (s->open_nr > 0 && !o->force)
        return -DER_BUSY;
    memset(s, 0, sizeof(*s));
    return 0;
}

static bool
model_label(void *arg, const struct simt_lin_op *lop, void *state)
{
    const struct oper *o = lop->op;
    struct state *s = state;
    int rc = 0;

    switch (o->kind) {
    case K_CREATE:
        if (s->inst != 0) {
            rc = -DER_EXIST;
        } else {
            s->inst = lop->is_answered ? o->inst : UNSEEN | lop->begin.seq;
            s->open_nr = 0;
        }
        break;
    case K_DESTROY:
        rc = model_destroy(s, o);
        break;
    case K_OPEN:
        if (s->inst == 0) {
            rc = -DER_NONEXIST;
        } else {
            if (lop->is_answered && o->rc == 0 && !is_same(arg, s, o->inst))
                return false;
            s->open_nr++;
        }
        break;
    case K_CLOSE:
        if (!is_same(arg, s, o->inst))
            return true; /* destroyed under the handle */
        if (s->open_nr == 0)
            return false;
        s->open_nr--;
        break;
    default:
        return is_same(arg, s, o->inst);
    }
    return lop->is_answered ? rc == o->rc : rc == 0;
}

static bool
model_attr(void *arg, const struct simt_lin_op *lop, void *state)
{
    const struct oper *o = lop->op;
    uint64_t *value = state;

    (void)arg;
    switch (o->kind) {
    case K_SET:
        *value = o->inst;
        return true;
    case K_DEL:
        *value = 0;
        return true;
    default:
        return *value == o->inst;
    }
}

static void
oper_print(const struct simt_lin_op *lop, char *buf, size_t len)
{
    static const char *const kinds[] = {
        "create", "destroy", "open", "close", "list", "set", "del", "get"};
    const struct oper *o = lop->op;

    snprintf(buf, len, "[%.6f, %.6f%s %s %s%s rc %d %llx", (double)lop->begin.ns / 1e9,
        lop->end.ns == SIMT_LIN_NEVER ? 0.0 : (double)lop->end.ns / 1e9,
        lop->is_answered ? "]" : "?)", o->who, kinds[o->kind], o->force ? " by force" : "", o->rc,
        (unsigned long long)o->inst);
}

static void
state_print(const void *state, char *buf, size_t len)
{
    const struct state *s = state;

    snprintf(buf, len, "%llx, %u open", (unsigned long long)s->inst, s->open_nr);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------- */

struct ctx {
    struct simt_worker *w;
    struct simt *t;
    struct work *work;
    daos_handle_t poh, coh; /* coh: of the container with the attributes */
    struct daos_pool_cont_info *conts;
};

static struct oper *
oper_new(struct ctx *c, enum kind kind, bool is_read)
{
    struct oper *o = simt_alloc(sizeof(*o));

    o->kind = (uint8_t)kind;
    o->base.is_read = is_read;
    snprintf(o->who, sizeof(o->who), "%s.%u", c->w->proc->name, c->w->idx);
    return o;
}

static uint64_t
inst_of(const uuid_t uuid)
{
    return hash_bytes64(uuid, sizeof(uuid_t), 0) & ~UNSEEN;
}

static const char *
label_name(uint32_t label)
{
    static const char *const names[LABELS_NR] = {"alpha", "beta", "gamma"};

    return names[label];
}

/* `also`: a code besides success that is an answer of this request. */
static void
settle(struct ctx *c, const char *what, int rc, int also)
{
    enum simt_outcome outcome = rc == also ? SIMT_REFUSED : simt_outcome(rc);

    if (outcome == SIMT_REFUSED && rc != also && rc != 0)
        outcome = SIMT_WRONG;
    if (outcome == SIMT_WRONG)
        simt_fail(c->t, "%s.%u: %s: %s", c->w->proc->name, c->w->idx, what, err_name(rc));
    simt_answered(c->w, outcome);
}

static void
do_create(struct ctx *c, uint32_t label)
{
    struct oper *o = oper_new(c, K_CREATE, false);
    struct work *work = c->work;
    uuid_t uuid;

    simt_doing(c->w, "create");
    simt_ask(c->w, &o->base, &work->labels[label]);
    o->rc = daos_cont_create_with_label(c->poh, label_name(label), NULL, &uuid, NULL);
    if (o->rc == 0) {
        o->inst = inst_of(uuid);
        work->seen = realloc(work->seen, (work->seen_nr + 1) * sizeof(*work->seen));
        work->seen[work->seen_nr++] = o->inst;
    }
    settle(c, "create", o->rc, -DER_EXIST);
}

static void
do_destroy(struct ctx *c, uint32_t label)
{
    struct oper *o = oper_new(c, K_DESTROY, false);

    o->force = simt_pick(c->w, 3) != 0;
    simt_doing(c->w, "destroy");
    simt_ask(c->w, &o->base, &c->work->labels[label]);
    o->rc = daos_cont_destroy(c->poh, label_name(label), o->force, NULL);
    settle(c, "destroy", o->rc, o->rc == -DER_BUSY ? -DER_BUSY : -DER_NONEXIST);
}

static void
do_open_close(struct ctx *c, uint32_t label)
{
    struct oper *o = oper_new(c, K_OPEN, false);
    daos_cont_info_t info = {0};
    daos_handle_t coh;
    uint64_t inst;
    int rc;

    simt_doing(c->w, "open");
    simt_ask(c->w, &o->base, &c->work->labels[label]);
    o->rc = daos_cont_open(c->poh, label_name(label), DAOS_COO_RW, &coh, &info, NULL);
    rc = o->rc;
    inst = inst_of(info.ci_uuid);
    o->inst = rc == 0 ? inst : 0;
    settle(c, "open", rc, -DER_NONEXIST);
    if (rc != 0)
        return;
    o = oper_new(c, K_CLOSE, false);
    o->inst = inst;
    if (c->t->mortals != NULL) { /* the service closes it when it sees that we died */
        simt_ask(c->w, &o->base, &c->work->labels[label]);
        simt_think(c->w);
        simt_op_begin(c->t, &o->base);
    } else {
        simt_think(c->w);
        simt_ask(c->w, &o->base, &c->work->labels[label]);
    }
    simt_doing(c->w, "close");
    o->rc = daos_cont_close(coh, NULL);
    settle(c, "close", o->rc, 0);
}

static void
do_list(struct ctx *c)
{
    daos_size_t nr = CONTS_MAX;
    int rc;

    for (uint32_t i = 0; i < LABELS_NR; i++) {
        struct oper *o = oper_new(c, K_LIST, true);

        simt_ask(c->w, &o->base, &c->work->labels[i]);
    }
    simt_doing(c->w, "list");
    rc = daos_pool_list_cont(c->poh, &nr, c->conts, NULL);
    for (uint32_t i = 0; rc == 0 && i < LABELS_NR; i++) {
        for (daos_size_t k = 0; k < nr; k++) {
            if (strcmp(c->conts[k].pci_label, label_name(i)) == 0)
                ((struct oper *)c->w->ops[i])->inst = inst_of(c->conts[k].pci_uuid);
        }
    }
    settle(c, "list of containers", rc, 0);
}

static void
do_attr(struct ctx *c, uint32_t attr)
{
    static const char *const attrs[ATTRS_NR] = {"a", "bb", "ccc"};
    uint64_t roll = simt_pick(c->w, 5), value = 0;
    struct oper *o = oper_new(c, roll < 2 ? K_SET : roll < 3 ? K_DEL : K_GET, roll >= 3);
    size_t size = sizeof(value);
    void *buf = &value;
    const void *in = &o->inst;

    simt_doing(c->w, "attribute");
    if (o->kind == K_SET)
        o->inst = ++c->work->next_value;
    simt_ask(c->w, &o->base, &c->work->attrs[attr]);
    if (o->kind == K_SET) {
        o->rc = daos_cont_set_attr(c->coh, 1, &attrs[attr], &in, &size, NULL);
    } else if (o->kind == K_DEL) {
        o->rc = daos_cont_del_attr(c->coh, 1, &attrs[attr], NULL);
    } else {
        o->rc = daos_cont_get_attr(c->coh, 1, &attrs[attr], &buf, &size, NULL);
        o->inst = o->rc == 0 ? value : 0;
    }
    settle(c, "attribute", o->rc, -DER_NONEXIST);
}

static void
do_oids(struct ctx *c)
{
    struct range *range = simt_alloc(sizeof(*range));
    int rc;

    list_init(&range->link);
    range->nr = 1 + simt_pick(c->w, 1000);
    simt_doing(c->w, "object ids");
    rc = daos_cont_alloc_oids(c->coh, range->nr, &range->lo, NULL);
    if (rc == 0) {
        list_add_tail(&range->link, &c->work->ranges);
        return;
    }
    if (simt_outcome(rc) == SIMT_WRONG)
        simt_fail(c->t, "%s: object ids: %s", c->w->proc->name, err_name(rc));
    free(range);
}

static void
do_query(struct ctx *c)
{
    daos_pool_info_t info = {.pi_bits = DPI_SPACE};
    int rc;

    simt_doing(c->w, "pool query");
    rc = daos_pool_query(c->poh, NULL, &info, NULL, NULL);
    if (rc != 0 || info.pi_ntargets != SIMT_ENGINES * SIMT_TGTS)
        simt_fail(c->t, "pool query: %s, %u targets", err_name(rc), info.pi_ntargets);
}

/* ---- a worker ------------------------------------------------------------------------------------------------------------------- */

static void
one_request(struct ctx *c)
{
    uint32_t label = (uint32_t)simt_pick(c->w, c->w->proc->t->cfg.is_hot ? 1 : LABELS_NR);
    uint64_t roll = simt_pick(c->w, 100);

    if (roll < 15) {
        do_create(c, label);
    } else if (roll < 27) {
        do_destroy(c, label);
    } else if (roll < 45) {
        do_open_close(c, label);
    } else if (roll < 53) {
        do_list(c);
    } else if (roll < 83) {
        do_attr(c, (uint32_t)simt_pick(c->w, ATTRS_NR));
    } else if (roll < 97) {
        do_oids(c);
    } else {
        do_query(c);
    }
}

static bool
ctx_open(struct ctx *c)
{
    c->conts = (struct daos_pool_cont_info *)(void *)c->w->buf;
    return simt_cont_open(c->t, c->poh, "meta", &c->coh);
}

static void
ctx_close(struct ctx *c)
{
    int rc = daos_cont_close(c->coh, NULL);

    if (rc != 0)
        simt_fail(c->t, "%s: close: %s", c->w->proc->name, err_name(rc));
}

static void
worker(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct ctx c = {.w = w, .t = w->proc->t, .work = state, .poh = poh};

    simt_doing(w, "open");
    if (!ctx_open(&c))
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
    struct ctx c = {.w = w, .t = w->proc->t, .work = state, .poh = poh};

    if (!ctx_open(&c))
        return;
    do_list(&c);
    for (uint32_t i = 0; i < 4 * ATTRS_NR; i++) {
        do_attr(&c, i % ATTRS_NR);
    }
    do_oids(&c);
    ctx_close(&c);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------- */

static void *
create(struct simt *t)
{
    struct work *work = simt_alloc(sizeof(*work));

    work->t = t;
    for (uint32_t i = 0; i < LABELS_NR; i++) {
        list_init(&work->labels[i]);
    }
    for (uint32_t i = 0; i < ATTRS_NR; i++) {
        list_init(&work->attrs[i]);
    }
    list_init(&work->ranges);
    return work;
}

static void
setup(struct simt *t, void *state, daos_handle_t poh)
{
    int rc = daos_cont_create_with_label(poh, "meta", NULL, NULL, NULL);

    (void)state;
    if (rc != 0)
        simt_fail(t, "create of the container: %s", err_name(rc));
}

static void
ranges_check(struct simt *t, struct work *work)
{
    struct range *a, *b;

    LIST_FOREACH(a, &work->ranges, struct range, link) {
        LIST_FOREACH(b, &work->ranges, struct range, link) {
            if (a != b && a->lo < b->lo + b->nr && b->lo <= a->lo) {
                simt_fail(t, "object ids given out twice: [%llu, +%llu) and [%llu, +%llu)",
                    (unsigned long long)a->lo, (unsigned long long)a->nr, (unsigned long long)b->lo,
                    (unsigned long long)b->nr);
            }
        }
    }
}

static void
check(struct simt *t, void *state)
{
    struct work *work = state;
    const struct simt_lin_model labels = {
        .state_bytes = sizeof(struct state), .step = model_label, .arg = work};
    const struct simt_lin_model attrs = {
        .state_bytes = sizeof(uint64_t), .step = model_attr, .arg = work};
    char what[64];

    for (uint32_t i = 0; i < LABELS_NR; i++) {
        snprintf(what, sizeof(what), "label %s", label_name(i));
        simt_history_check(t, what, &labels, &work->labels[i], oper_print, state_print);
    }
    for (uint32_t i = 0; i < ATTRS_NR; i++) {
        snprintf(what, sizeof(what), "attribute %u", i);
        simt_history_check(t, what, &attrs, &work->attrs[i], oper_print, state_print);
    }
    ranges_check(t, work);
}

static void
ops_free(struct list_head *ops)
{
    struct simt_op *op, *next;

    LIST_FOREACH_SAFE(op, next, ops, struct simt_op, link) {
        simt_op_drop(op);
    }
}

static void
destroy(void *state)
{
    struct work *work = state;
    struct range *range, *next;

    for (uint32_t i = 0; i < LABELS_NR; i++) {
        ops_free(&work->labels[i]);
    }
    for (uint32_t i = 0; i < ATTRS_NR; i++) {
        ops_free(&work->attrs[i]);
    }
    LIST_FOREACH_SAFE(range, next, &work->ranges, struct range, link) {
        list_del(&range->link);
        free(range);
    }
    free(work->seen);
    free(work);
}

const struct simt_work simt_work_md = {.name = "md",
    .create = create,
    .setup = setup,
    .worker = worker,
    .final = final,
    .check = check,
    .destroy = destroy};
