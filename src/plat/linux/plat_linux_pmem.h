/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Persistent memory for plat_linux_disk.c: a whole file, mapped, written and made durable through libpmem. Why so: docs/decisions/0017.
 *
 *   PMEM-1  What pmem_put() wrote is durable after the pmem_sync() that follows it in the same thread, or at once with `durable`.
 *   PMEM-2  All blocks of the file are allocated before it is touched: a store to a hole of a full file system would be SIGBUS.
 *   PMEM-3  A touch that ends in SIGBUS (bad memory, a device that is gone, a file that was cut) is an error of that call: the handler puts
 *           other memory in the place, so that the copy ends, and the mapping is made anew. If that cannot be done the map is dead: every later call is an error.
 *
 * Where the mapping is no persistent memory (a file on a disk), msync and fdatasync keep PMEM-1, and block. Tested by plat_pmem_test.c.
 */
#ifndef CAIRN_PLAT_LINUX_PMEM_H
#define CAIRN_PLAT_LINUX_PMEM_H

#include "base/iov.h"
#include "plat/linux/plat_linux_priv.h"

struct pmem_lib;
struct pmem_map;

/** Map [0, len) of an open file. Errors: NOSYS no libpmem here, or a file system that cannot allocate; NOSPACE; NOMEM; NVME_IO. */
CAIRN_MUST_CHECK int pmem_map_open(struct plat_linux *pl, int fd, const char *path, uint64_t len,
    bool rdonly, struct pmem_map **ret_map);
void pmem_map_close(struct pmem_map *map); /* NULL-safe */
bool pmem_map_is_pmem(const struct pmem_map *map);
/* The range is inside (checked by the caller). Errors: NVME_IO. */
CAIRN_MUST_CHECK int
pmem_get(struct pmem_map *map, uint64_t off, const struct iov *iovs, uint32_t nr);
CAIRN_MUST_CHECK int
pmem_put(struct pmem_map *map, uint64_t off, const struct iov *iovs, uint32_t nr, bool durable);
CAIRN_MUST_CHECK int pmem_sync(struct pmem_map *map);
void pmem_lib_destroy(struct pmem_lib *lib); /* NULL-safe */

#endif
