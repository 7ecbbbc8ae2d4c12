/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Memory ahead of a writer of a file on tmpfs.
 *
 * A write into a hole of such a file waits for the kernel to find and clear its pages, which takes longer than the copy. Who writes new ground, upwards, has it
 * taken by a thread before the writer arrives, as far ahead as it has come already, at most AHEAD_MAX_BYTES: so little is taken in vain, and nothing by who writes little.
 *
 *   AHD-1  It only ever asks for memory: what is in the file is not changed, and a write that comes before it is as right as one behind it.
 *   AHD-2  It leaves the last eighth of the file system to those that need it, and stops for good when it is refused.
 *
 * Measured: docs/performance.md ("Large values: writes"). Tested by plat_ahead_test.c.
 */
#ifndef CAIRN_PLAT_LINUX_AHEAD_H
#define CAIRN_PLAT_LINUX_AHEAD_H

#include <stdint.h>

#include "base/err.h"

enum { AHEAD_MIN_BYTES = 1 << 20, AHEAD_MAX_BYTES = 256 << 20, AHEAD_STEP_BYTES = 256 << 10 };

struct disk_ahead;

/* For file `fd` of `size_bytes`, which stays the caller's and open. Errors: NOMEM, also when there can be no thread. */
CAIRN_MUST_CHECK int disk_ahead_create(int fd, uint64_t size_bytes, struct disk_ahead **ret_ahead);
void disk_ahead_destroy(struct disk_ahead *ahead); /* NULL-safe; waits for a step, at most */

/* `len` bytes at `off` were written. Owner: the thread that writes. */
void disk_ahead_wrote(struct disk_ahead *ahead, uint64_t off, uint64_t len);

/* Returns when nothing is left to do, or it stopped (AHD-2): for tests. */
void disk_ahead_drain(struct disk_ahead *ahead);

#endif
