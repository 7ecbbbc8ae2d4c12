/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * ult: user-level threads of one xstream. A ULT runs until it waits or yields; nothing on an xstream blocks in the kernel
 * except its one idle wait. Code reads top to bottom.
 *
 *   ULT-1  A ULT of a server xstream never changes its OS thread; a client xstream may be stepped by different threads, one at a time (TH-1).
 *   ULT-2  Every primitive here belongs to one xstream: its users are ULTs of that xstream (asserted). Other threads and xstreams
 *          use xstream_post() only.
 *   ULT-3  Waiters are served first in, first out.
 *   ULT-4  Stacks are pooled, guarded by an unmapped page, and their high-water mark can be read (TH-2).
 *
 * States: READY -> RUNNING -> (READY by yield | WAITING by a primitive or timer | DONE); WAITING -> READY by wake.
 */
#ifndef CAIRN_ULT_H
#define CAIRN_ULT_H

#include "base/err.h"
#include "base/list.h"
#include "plat/plat.h"

struct xstream;
struct ult;

/* A function so marked may suspend the calling ULT: what was checked before the call must be checked again after it (ST-9). */
#define CAIRN_YIELDS

/* Classes of work, served in this order with shares (background gets at least 1 slot in 16, so that nothing starves). */
enum ult_class { ULT_NET, ULT_IO, ULT_SERVICE, ULT_BACKGROUND, ULT_CLASS_NR };

struct xstream_opts {
    const char *name; /* at most 15 characters are kept */
    uint32_t cpu; /* UINT32_MAX: not pinned */
    uint32_t stack_bytes; /* 0: 64 KiB */
    uint32_t ult_nr_max; /* 0: 65536; beyond it ult_create() answers -DER_AGAIN */
};

/**
 * Create an xstream with a loop of its own. It does not run yet: xstream_start() gives it a driver (thread or simulator); a client
 * calls xstream_drive() itself. Does not yield. Errors: NOMEM.
 */
CAIRN_MUST_CHECK int
xstream_create(struct plat *plat, const struct xstream_opts *opts, struct xstream **ret_xs);
/*
 * Stopped, and no ULT left (asserted); nobody posts to it or runs an xstream_call() of it any more. Posts that did not run are dropped.
 * NULL is fine.
 */
void xstream_destroy(struct xstream *xs);
CAIRN_MUST_CHECK int xstream_start(struct xstream *xs);
/* Ends the driver; ULTs that wait stay as they are. Not from the xstream itself. */
void xstream_stop(struct xstream *xs);
/*
 * Stops the driver and frees ULTs that will never run again, without running them (shutdown; a killed simulated process; a forked
 * child, where no driver exists). Drops posts that did not run, takes back every timer. Call it before freeing what the ULTs wait on,
 * and after stopping every xstream that may run an xstream_call() of these ULTs. In a forked child: only if no thread was in this xstream's
 * step or poll at the fork.
 */
void xstream_abandon(struct xstream *xs);

/** Run due timers and ready ULTs, a bounded number; the plat_step_fn of an xstream. */
uint64_t xstream_step(struct xstream *xs);
/** The calling thread drives: poll, step, wait, until *done is set (by a ULT or post of this xstream) or the deadline (-DER_TIMEDOUT). */
CAIRN_MUST_CHECK int xstream_drive(struct xstream *xs, const bool *done, uint64_t deadline_ns);
/**
 * The calling thread makes a ULT that runs fn(arg), and drives until *done: the ULT runs at once, before the loop is looked at. An xstream_drive() without deadline besides.
 * Errors, nothing ran: AGAIN too many ULTs; NOMEM.
 */
CAIRN_MUST_CHECK int xstream_drive_new(
    struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg, const bool *done);
/* The calling thread, which could drive, runs what is ready now and returns; with `flush` what that sends goes out as well. */
void xstream_nudge(struct xstream *xs, bool flush);

struct plat *xstream_plat(struct xstream *xs);
/* How long it had nothing to run, up to the current step. */
uint64_t xstream_idle_ns(const struct xstream *xs);
struct plat_loop *xstream_loop(struct xstream *xs);
const char *xstream_name(const struct xstream *xs);
/*
 * The xstream whose step runs on the calling thread now (ULTs, timers); NULL outside, also in loop callbacks, on every backend.
 * Not inlined (TH-1).
 */
struct xstream *xstream_self(void);

/** Run fn(arg) as a ULT of xs; from any thread. The post's memory is owned by the xstream. Errors: NOMEM. */
CAIRN_MUST_CHECK int
xstream_post(struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg);

/**
 * Run fn(arg) on a ULT of another xstream and wait for it. On an xstream the calling ULT yields; a plain thread sleeps (linux only).
 * Errors: NOMEM, nothing ran.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
xstream_call(struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg);

/* ---- ULTs ----------------------------------------------------------------------------------------------------------- */

/**
 * Create a ULT on the calling xstream (or, before it runs, on `xs` by its creator). With ret_ult NULL it is detached, else it
 * must be joined. Errors: AGAIN too many ULTs; NOMEM.
 */
CAIRN_MUST_CHECK int ult_create(
    struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg, struct ult **ret_ult);
CAIRN_YIELDS void ult_join(struct ult *ult); /* and frees it */
CAIRN_YIELDS void ult_yield(void);
/* The step ends when the calling ULT waits or yields: the loop is polled then, so that what it has begun reaches the kernel before others run. Nothing outside of a ULT. */
void ult_step_end(void);
struct ult *ult_self(void); /* NULL when not on a ULT */
/* Another ULT of the caller's class is ready: a yield would let it run. Only a ULT asks. */
bool ult_has_peer(void);
/* The calling thread may touch what belongs to xs: in its step, in a callback of its loop, or before anything drives it. For asserts. */
bool ult_runs_on(const struct xstream *xs);
/* How long the calling ULT, of the background class, has run, without its waits and the turns of others. */
uint64_t ult_run_ns(void);
CAIRN_YIELDS void ult_sleep_until(uint64_t mono_ns);
CAIRN_YIELDS void ult_sleep(uint64_t ns);
uint64_t ult_now_ns(
    void); /* monotonic time of the current step: cheap, same within a step; in a step only (asserted) */

/* Per-ULT storage: a few named slots; inherited by ULTs that the ULT creates. */
enum ult_slot { ULT_SLOT_CLIENT, ULT_SLOT_TRACE, ULT_SLOT_CALL, ULT_SLOT_NR };
void *ult_slot_get(enum ult_slot slot);
void ult_slot_set(enum ult_slot slot, void *value);

/* A region in which a yield is a bug; verified with debug asserts. May nest. */
void ult_noyield_begin(void);
void ult_noyield_end(void);

struct ult_stats {
    uint64_t switches_nr, created_nr, live_nr, ready_nr;
    uint64_t stacks_nr; /* mapped now, in use or pooled */
    uint64_t stack_used_bytes_max;
};
/* Of the calling xstream or a stopped one. Looks through every stack: not for hot paths. */
void xstream_stats(const struct xstream *xs, struct ult_stats *ret_stats);

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

struct ult_waitq {
    struct list_head waiters;
};

/* Mutex: held across yields. Not recursive. */
struct ult_mutex {
    struct ult *owner;
    struct ult_waitq wq;
};
void ult_mutex_init(struct ult_mutex *m);
void ult_mutex_fini(struct ult_mutex *m);
CAIRN_YIELDS void ult_mutex_lock(struct ult_mutex *m);
bool ult_mutex_trylock(struct ult_mutex *m);
void ult_mutex_unlock(struct ult_mutex *m);

/* Condition: with or without a mutex (NULL: state is guarded by not yielding). */
struct ult_cond {
    struct ult_waitq wq;
};
void ult_cond_init(struct ult_cond *c);
void ult_cond_fini(struct ult_cond *c);
CAIRN_YIELDS void ult_cond_wait(struct ult_cond *c, struct ult_mutex *m);
/** -DER_TIMEDOUT at the deadline (monotonic ns; PLAT_NEVER_NS waits for ever). */
CAIRN_YIELDS int ult_cond_wait_until(struct ult_cond *c, struct ult_mutex *m, uint64_t deadline_ns);
void ult_cond_signal(struct ult_cond *c);
void ult_cond_signal_next(struct ult_cond *c); /* who is woken runs before others of its class */
void ult_cond_broadcast(struct ult_cond *c);

/* Eventual: set once with a code; any number of waiters. Settable from a loop callback of the same xstream. */
struct ult_eventual {
    bool is_set;
    int rc;
    struct ult_waitq wq;
};
void ult_eventual_init(struct ult_eventual *e);
void ult_eventual_set(struct ult_eventual *e, int rc);
CAIRN_YIELDS int ult_eventual_wait(struct ult_eventual *e); /* the code */
/** -DER_TIMEDOUT at the deadline; the eventual may still be set later. */
CAIRN_YIELDS int ult_eventual_wait_until(struct ult_eventual *e, uint64_t deadline_ns);

struct ult_sem {
    uint64_t avail;
    struct ult_waitq wq;
};
void ult_sem_init(struct ult_sem *s, uint64_t nr);
CAIRN_YIELDS void ult_sem_take(struct ult_sem *s, uint64_t nr);
bool ult_sem_trytake(struct ult_sem *s, uint64_t nr);
void ult_sem_give(struct ult_sem *s, uint64_t nr);

/* Timers: a callback in the step, not on a ULT; must not wait. */
struct ult_timer {
    uint64_t at_ns;
    void (*fn)(struct ult_timer *t);
    void *arg;
    struct xstream *xs;
    /* private */
    struct ult_timer *child, *next, *prev;
    uint64_t seq;
    bool is_set;
};
void
ult_timer_init(struct ult_timer *t, struct xstream *xs, void (*fn)(struct ult_timer *t), void *arg);
void ult_timer_set(struct ult_timer *t, uint64_t at_ns); /* sets or moves */
void ult_timer_cancel(struct ult_timer *t);

#endif
