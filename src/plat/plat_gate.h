/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A mutex with one condition, and seats to wait on one by one, for the OS threads of an application that share one client (TH-3). Engine code has no use
 * for it outside of plat: an xstream is entered by messages. Under simulation client calls run on ULTs and never come here.
 */
#ifndef CAIRN_PLAT_GATE_H
#define CAIRN_PLAT_GATE_H

#include <stdint.h>

struct plat_gate;

/** NULL: no memory. */
struct plat_gate *plat_gate_create(void);
void plat_gate_destroy(struct plat_gate *gate); /* NULL-safe; nobody inside */
/** Give up the memory of a gate whose state a fork left undefined. */
void plat_gate_abandon(struct plat_gate *gate);
void plat_gate_lock(struct plat_gate *gate);
void plat_gate_unlock(struct plat_gate *gate);
/** Unlock, sleep until a broadcast (or spuriously), lock. */
void plat_gate_wait(struct plat_gate *gate);
void plat_gate_broadcast(struct plat_gate *gate); /* locked or not */

/* Where one thread waits. Zero-initialised; guarded by the gate. */
struct plat_seat {
    uint32_t is_called;
};

/** Unlock, sleep until the seat is called, at most `ns` (UINT64_MAX: for ever; may end early), lock. A call from before counts. */
void plat_gate_sit(struct plat_gate *gate, struct plat_seat *seat, uint64_t ns);
/** With the gate locked: call the seat (NULL: nobody) and unlock. The sleeper may be gone before this returns. */
void plat_gate_call_unlock(struct plat_gate *gate, struct plat_seat *seat);

/**
 * Around every fork() of this process from now on: `prepare` before it, then `parent` and `child` on the same thread before fork() returns there (TH-4).
 * Errors: NOMEM.
 */
int plat_gate_on_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/*
 * A thread beside those of the application or of xstreams, with all signals blocked (TH-3), on any CPU that the process may use. `fn` meets the others at the gate and
 * returns when it is told to.
 * Errors: NOMEM, also for any other reason why there can be no thread.
 */
struct plat_gate_thread;
int plat_gate_thread_start(
    const char *name, void (*fn)(void *arg), void *arg, struct plat_gate_thread **ret_thread);
/** Wait until fn has returned, and free. NULL-safe. Not in a forked child, which has no such thread. */
void plat_gate_thread_join(struct plat_gate_thread *thread);

#endif
