/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Bump allocator for the memory of one request: many small allocations, freed all at once, never more than a limit.
 * One owner, no locks. Blocks grow by doubling; arena_reset() keeps the first one.
 */
#ifndef CAIRN_BASE_ARENA_H
#define CAIRN_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t first_bytes; /* size of the first block */
    size_t limit_bytes; /* of all blocks together */
    size_t total_bytes;
};

/** Nothing is allocated yet. *first_bytes* at least 64; *limit_bytes* bounds the memory taken in all. */
void arena_init(struct arena *arena, size_t first_bytes, size_t limit_bytes);

/** Free everything. A zeroed arena is fine. */
void arena_fini(struct arena *arena);

/** Forget all allocations and keep the first block. */
void arena_reset(struct arena *arena);

/** *size* bytes aligned to 16, not cleared; NULL when out of memory or above the limit. Size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);

/** *nr* times *size* bytes, cleared; NULL also on overflow. */
void *arena_calloc(struct arena *arena, size_t nr, size_t size);

/** Copy of *len* bytes, of a string; NULL as above. */
void *arena_dup(struct arena *arena, const void *src, size_t len);
char *arena_strdup(struct arena *arena, const char *str);

#endif /* CAIRN_BASE_ARENA_H */
