/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Events and event queues: calls that take an event return at once and complete later.
 */
#ifndef CAIRN_DAOS_EVENT_H
#define CAIRN_DAOS_EVENT_H

#include <daos_errno.h>
#include <daos_types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Create an event queue. Returns 0 or -DER_. */
int daos_eq_create(daos_handle_t *eqh);

#define DAOS_EQ_DESTROY_FORCE 1

/** Destroy a queue. With events in it: -DER_BUSY, unless *flags* says FORCE. */
int daos_eq_destroy(daos_handle_t eqh, int flags);

/**
 * Collect completed events. *wait_running* non-zero waits only while operations are running; *timeout* is in microseconds or
 * DAOS_EQ_WAIT or DAOS_EQ_NOWAIT. Returns how many of at most *nevents* pointers were stored in *events*, or -DER_.
 */
int daos_eq_poll(daos_handle_t eqh, int wait_running, int64_t timeout, unsigned int nevents,
    daos_event_t **events);

/** Number of events in the states asked for; their pointers too when *events* is not NULL. Nothing is taken out. */
int
daos_eq_query(daos_handle_t eqh, daos_eq_query_t query, unsigned int nevents, daos_event_t **events);

/** Prepare an event: for a queue, or DAOS_HDL_INVAL for one that is tested alone; *parent* or NULL. */
int daos_event_init(daos_event_t *ev, daos_handle_t eqh, daos_event_t *parent);

/** End the use of an event; -DER_BUSY while its operation runs. */
int daos_event_fini(daos_event_t *ev);

/** The child after *child* (NULL: the first), NULL at the end. */
daos_event_t *daos_event_next(daos_event_t *parent, daos_event_t *child);

/**
 * Wait up to *timeout* for an event; *flag* becomes true when it has completed, and the event is then taken out of its queue. -DER_NO_PERM: a child, for which its
 * parent stands.
 */
int daos_event_test(struct daos_event *ev, int64_t timeout, bool *flag);

/** Called at completion with its argument, the event and the result; what it returns becomes the result. */
typedef int (*daos_event_comp_cb_t)(void *, daos_event_t *, int);

/**
 * Register a callback for the next completion; several are called in order, each once. They run on the thread that makes progress, which may be the library's own, on a stack
 * of 64 KiB, and must not block. The first error they return becomes the result of an operation that had none.
 */
int daos_event_register_comp_cb(struct daos_event *ev, daos_event_comp_cb_t cb, void *arg);

/** Let a parent complete once all its children have; -DER_NO_PERM: one of them was not started. */
int daos_event_parent_barrier(struct daos_event *ev);

/**
 * Ask a running operation to end early: it sends nothing any more, and completes with -DER_CANCELED, or with its result when that came first. What had been sent may take
 * effect. -DER_NO_PERM: it does not run.
 */
int daos_event_abort(daos_event_t *ev);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_EVENT_H */
