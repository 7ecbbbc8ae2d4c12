/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A mutex with one condition, for the OS threads of an application that share one client (TH-3). Engine code has no use for it: an xstream is
 * entered by messages. Under simulation client calls run on ULTs and never come here.
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
/** The same for at most `ns` nanoseconds. */
void plat_gate_wait_for(struct plat_gate *gate, uint64_t ns);
void plat_gate_broadcast(struct plat_gate *gate); /* locked or not */

/** Call fn in every child that this process forks, before fork() returns there (TH-4). Once per process and fn. Errors: NOMEM. */
int plat_gate_on_fork(void (*fn)(void));

#endif
