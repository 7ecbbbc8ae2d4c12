/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Timers of one xstream: a pairing heap through the timers themselves. It needs no memory, so that setting a timer cannot fail;
 * setting and cancelling a deadline that does not expire, the usual life of a timer, is O(1), expiry O(log n) amortised.
 * (M. Fredman et al., The pairing heap, 1986.) Rejected: base/heap.h, whose array can run out of memory in a void function.
 *
 *   ULT-8  Timers fire in order of (time, order of setting); one set by a callback of this step fires in a later step.
 *
 * `prev` is the parent for a first child, else the sibling to the left. Tested by ult_timer_test.c against a sorted array.
 */
#include "ult_priv.h"

static bool
timer_before(const struct ult_timer *a, const struct ult_timer *b)
{
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns;
    return a->seq < b->seq;
}

static struct ult_timer *
heap_meld(struct ult_timer *a, struct ult_timer *b)
{
    if (timer_before(b, a)) {
        struct ult_timer *tmp = a;

        a = b;
        b = tmp;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* One heap of a list of siblings: pairs from left to right, then all of them from right to left. */
static struct ult_timer *
heap_meld_siblings(struct ult_timer *first)
{
    struct ult_timer *pairs = NULL, *root = NULL;

    while (first != NULL) {
        struct ult_timer *a = first, *b = a->next;

        first = b == NULL ? NULL : b->next;
        a->prev = NULL;
        a->next = NULL;
        if (b != NULL) {
            b->prev = NULL;
            b->next = NULL;
            a = heap_meld(a, b);
        }
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct ult_timer *a = pairs;

        pairs = a->next;
        a->next = NULL;
        root = root == NULL ? a : heap_meld(root, a);
    }
    return root;
}

static void
heap_remove_timer(struct xstream *xs, struct ult_timer *t)
{
    struct ult_timer *sub = heap_meld_siblings(t->child);

    if (xs->timers == t) {
        xs->timers = sub;
    } else {
        if (t->prev->child == t) {
            t->prev->child = t->next;
        } else {
            t->prev->next = t->next;
        }
        if (t->next != NULL)
            t->next->prev = t->prev;
        if (sub != NULL)
            xs->timers = heap_meld(xs->timers, sub);
    }
    t->child = NULL;
    t->next = NULL;
    t->prev = NULL;
    t->is_set = false;
}

void
ult_timers_run(struct xstream *xs)
{
    uint64_t seq_end = xs->timer_seq;

    while (xs->timers != NULL && xs->timers->at_ns <= xs->now_ns && xs->timers->seq < seq_end) {
        struct ult_timer *t = xs->timers;

        heap_remove_timer(xs, t);
        t->fn(t);
    }
}

void
ult_timers_drop(struct xstream *xs)
{
    while (xs->timers != NULL) {
        heap_remove_timer(xs, xs->timers);
    }
}

uint64_t
ult_timers_next_ns(const struct xstream *xs)
{
    if (xs->timers == NULL)
        return PLAT_NEVER_NS;
    return xs->timers->at_ns <= xs->now_ns ? 0 : xs->timers->at_ns;
}

void
ult_timer_init(struct ult_timer *t, struct xstream *xs, void (*fn)(struct ult_timer *t), void *arg)
{
    *t = (struct ult_timer){.fn = fn, .arg = arg, .xs = xs};
}

void
ult_timer_set(struct ult_timer *t, uint64_t at_ns)
{
    struct xstream *xs = t->xs;

    CAIRN_ASSERT(ult_runs_on(xs));
    if (t->is_set)
        heap_remove_timer(xs, t);
    t->at_ns = at_ns;
    t->seq = xs->timer_seq++;
    t->is_set = true;
    xs->timers = xs->timers == NULL ? t : heap_meld(xs->timers, t);
}

void
ult_timer_cancel(struct ult_timer *t)
{
    if (!t->is_set)
        return;
    CAIRN_ASSERT(ult_runs_on(t->xs));
    heap_remove_timer(t->xs, t);
}
