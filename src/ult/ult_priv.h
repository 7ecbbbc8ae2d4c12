/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Private to ult: the xstream, the ULT, the stack, and what the files of this component call of each other.
 *
 *   ULT-5  A ready or waiting ULT is on exactly one list through `link`: a ready queue or the waiters of one ult_waitq.
 *   ULT-6  stacks_all = free + running or suspended ones; a ULT that has not run yet holds a promise, not a stack:
 *          stacks_free_nr >= promised_nr always, so that taking a stack at the first run cannot fail.
 *   ULT-7  What is written here is touched by the driver of the xstream only; the inbox is the one exception.
 */
#ifndef CAIRN_ULT_PRIV_H
#define CAIRN_ULT_PRIV_H

#include "ult/ult.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ULT_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define ULT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ULT_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define ULT_TSAN 1
#endif
#ifndef ULT_ASAN
#define ULT_ASAN 0
#endif
#ifndef ULT_TSAN
#define ULT_TSAN 0
#endif

/* Never inlined and never analysed across calls: an address of thread-local storage must not survive a switch (TH-1). */
#if defined(__clang__)
#define ULT_OUT_OF_LINE __attribute__((noinline))
#else
#define ULT_OUT_OF_LINE __attribute__((noipa))
#endif

enum {
    ULT_STACK_BYTES_DEFAULT = 64 * 1024,
    ULT_STACK_BYTES_MIN = 16 * 1024,
    ULT_STACK_SANITIZER_FACTOR = 4, /* instrumented frames are larger */
    ULT_STACKS_FREE_MAX = 512, /* per xstream; more go back to the OS */
    ULT_FREE_MAX = 4096, /* pooled struct ult */
    ULT_NR_MAX_DEFAULT = 65536,
    XSTREAM_NAME_BYTES = 16,
    XSTREAM_STEP_RUNS_MAX = 128, /* ULTs run in one step */
    XSTREAM_STEP_NS_MAX = 100 * 1000, /* then the loop is polled, even if more is ready */
    XSTREAM_CLOCK_EVERY = 16, /* runs between looks at the clock */
    XSTREAM_POSTS_UNSTARTED_MAX = 128, /* ULTs of a class that have not run yet; more posts wait */
    XSTREAM_POST_RETRY_NS = 1000 * 1000, /* posts wait while there are too many ULTs */
};

struct ult_stack {
    struct list_head link; /* free list of the xstream */
    struct ult_stack *all_next, *all_prev;
    struct xstream *xs;
    struct ult *ult; /* who runs on it */
    char *map; /* guard page first */
    size_t map_bytes;
    char *base; /* lowest usable address */
    size_t bytes;
    void *sp; /* NULL: never used; no page of it is touched */
    void *asan_fake;
    void *tsan_fiber;
    unsigned int valgrind_id;
};

enum ult_state { ULT_READY, ULT_RUNNING, ULT_WAITING, ULT_DONE };

struct ult {
    struct list_head link;
    struct list_head all_link;
    struct xstream *xs;
    struct ult_stack *stack; /* from the first run to the end */
    enum ult_state state;
    enum ult_class cls;
    bool is_detached;
    int wait_rc;
    uint32_t noyield_nr;
    uint32_t mutexes_nr; /* held */
    void (*fn)(void *arg);
    void *arg;
    struct ult_waitq *wq; /* waits here */
    uint64_t sem_nr; /* of ult_sem_take() */
    uint64_t run_ns, run_since_ns; /* background class: ran so long before; runs since */
    struct ult_timer timer;
    struct ult_waitq joiners; /* at most one */
    void *slots[ULT_SLOT_NR];
    struct err_ring ring;
};

struct xstream_msg {
    struct xstream_msg *next;
    enum ult_class cls;
    void (*fn)(void *arg);
    void *arg;
};

struct xstream_msgs {
    struct xstream_msg *head, *tail;
};

struct xstream {
    struct plat *plat;
    struct plat_loop *loop;
    struct plat_thread *thread;
    uint32_t pid; /* of the process that started it */
    char name[XSTREAM_NAME_BYTES];
    uint32_t cpu;
    uint32_t ult_nr_max;

    struct ult *current;
    uint64_t now_ns;
    uint64_t idle_ns, idle_since_ns; /* had nothing to run so long before; since (0: has) */
    struct list_head ready[ULT_CLASS_NR];
    uint32_t slot_idx; /* place in the pattern of shares */
    uint64_t ready_nr;
    bool is_step_over; /* ult_step_end() */

    struct ult_timer *timers; /* root of the pairing heap */
    uint64_t timer_seq;

    struct list_head ults; /* all, in order of creation */
    struct list_head ults_free;
    uint32_t ults_free_nr;
    uint64_t live_nr, created_nr, switches_nr;

    size_t stack_bytes;
    struct list_head stacks_free; /* last used first */
    struct ult_stack *stacks_all;
    uint32_t stacks_nr, stacks_free_nr, promised_nr;
    uint32_t unstarted_nr[ULT_CLASS_NR]; /* sum: promised_nr */
    uint64_t stack_used_bytes_max; /* of stacks given back to the OS */

    /* The driver's own context while a ULT runs. */
    void *sched_sp;
    void *sched_asan_fake;
    const void *sched_asan_base;
    size_t sched_asan_bytes;
    void *sched_tsan_fiber;

    _Atomic(const void *) driver; /* token of the thread that drives; NULL: none yet */
    _Atomic(struct xstream_msg *) inbox; /* pushed by any thread, newest first */
    struct plat_post doorbell; /* posted by whoever finds the inbox empty */
    struct xstream_msgs pending[ULT_CLASS_NR]; /* oldest first */
    uint64_t pending_nr;
    struct list_head calls; /* of ULTs of this xstream, not yet answered */
    bool is_closing;
};

/* What one OS thread remembers; its address serves as the thread's token. */
struct ult_thread_state {
    struct xstream *xs;
};

ULT_OUT_OF_LINE struct ult_thread_state *ult_thread_state(void);

/* ult_switch_*.S */
void ult_ctx_switch(void **save_sp, void *to_sp);
void ult_ctx_entry(void);
/* Called by ult_ctx_entry on a fresh stack; never returns. */
void ult_ctx_main(void) __attribute__((used, visibility("hidden")));

/* ult_stack.c. grow: one more free stack; errors: NOMEM. */
int ult_stack_grow(struct xstream *xs);
void ult_stack_take(struct ult *u);
void ult_stack_release(struct ult *u);
void ult_stack_discard(struct ult_stack *s);
void ult_stack_discard_all(struct xstream *xs);
uint64_t ult_stack_used_max(const struct xstream *xs);
void ult_ctx_to_ult(struct xstream *xs, struct ult_stack *s);
void ult_ctx_to_driver(struct ult_stack *s);

/* ult_thread.c */
struct ult *ult_self_checked(void);
void ult_make_ready(struct ult *u);
void ult_suspend(struct ult *u); /* the state is set already */
void ult_finish(struct ult *u);
void ult_free(struct ult *u);

/* ult_wait.c */
void ult_waitq_init(struct ult_waitq *wq);
CAIRN_YIELDS int ult_waitq_wait(struct ult_waitq *wq, uint64_t deadline_ns);
bool ult_waitq_wake(struct ult_waitq *wq, int rc);
void ult_wait_timer_fn(struct ult_timer *t);

/* ult_timer.c */
void ult_timers_run(struct xstream *xs);
void ult_timers_drop(struct xstream *xs); /* none is set afterwards; none fires */
uint64_t ult_timers_next_ns(const struct xstream *xs);

#endif
