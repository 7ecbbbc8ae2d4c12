/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The Linux implementation of plat.h. */
#ifndef CAIRN_PLAT_LINUX_H
#define CAIRN_PLAT_LINUX_H

#include "plat/plat.h"

enum { PLAT_LINUX_SPIN_NS = 50000 };
#define PLAT_LINUX_OFI_DEAD_NS UINT64_C(20000000000)

/** `*ret_plat` returns owned: free with plat_linux_destroy(). May be created more than once in a process. */
CAIRN_MUST_CHECK int plat_linux_create(struct plat **ret_plat);
/* Every loop, disk, lock and endpoint of it is closed (asserted where known). NULL is fine. */
void plat_linux_destroy(struct plat *plat);

/** How long loop_wait() polls before it sleeps (default PLAT_LINUX_SPIN_NS; 0: sleep at once). */
void plat_linux_spin_set(struct plat *plat, uint64_t spin_ns);

/**
 * For tests: how long a fabric may let nothing through, while the process at its other end is well, before the connection counts as
 * lost (default PLAT_LINUX_OFI_DEAD_NS).
 */
void plat_linux_ofi_dead_set(struct plat *plat, uint64_t dead_ns);

/* What a loop has done so far; read it on the loop's thread. */
struct plat_linux_loop_stats {
    uint64_t turns_nr; /* polls that found something to do */
    uint64_t sleeps_nr;
    uint64_t calls_nr; /* of the kernel or the fabric library, to move messages; not those that only ask whether there is something */
    uint64_t hot_nr; /* reads made while polling, of the connection that brought the last messages */
};
void plat_linux_loop_stats(const struct plat_loop *loop, struct plat_linux_loop_stats *ret_stats);

/**
 * Use the helper threads for disks opened from now on, as where io_uring is forbidden. For tests, before any disk is open.
 * CAIRN_DISK=threads in the environment does the same to every plat of the process, CAIRN_DISK=buffered as where O_DIRECT is
 * refused; both: "threads,buffered".
 */
void plat_linux_uring_disable(struct plat *plat);

/**
 * In a forked child: drop the directory locks that it inherited, so that they end with the parent (TH-4). Async-signal-safe; the
 * plat is good for nothing else afterwards. For a pthread_atfork() handler of whoever owns the plat.
 */
void plat_linux_forked(struct plat *plat);

#endif
