/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"

#define ARENA_ALIGN 16
#define ARENA_FIRST_BYTES_MIN 64
#define ARENA_BLOCK_BYTES_MAX ((size_t)1 << 20) /* doubling ends here */

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t used;
    uint64_t pad; /* keeps data aligned */
    uint8_t data[];
};

CAIRN_STATIC_ASSERT(sizeof(struct arena_block) % ARENA_ALIGN == 0, "data of a block is aligned");

void
arena_init(struct arena *arena, size_t first_bytes, size_t limit_bytes)
{
    memset(arena, 0, sizeof(*arena));
    arena->first_bytes = MAX(first_bytes, (size_t)ARENA_FIRST_BYTES_MIN);
    arena->limit_bytes = limit_bytes;
}

void
arena_fini(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
    arena->total_bytes = 0;
}

void
arena_reset(struct arena *arena)
{
    while (arena->blocks != NULL && arena->blocks->next != NULL) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->next;
        arena->total_bytes -= sizeof(*block) + block->cap;
        free(block);
    }
    if (arena->blocks != NULL)
        arena->blocks->used = 0;
}

/* A new block with room for *size* at least; NULL when that is above the limit. */
static struct arena_block *
block_add(struct arena *arena, size_t size)
{
    struct arena_block *block;
    size_t cap = arena->first_bytes;
    size_t left = arena->limit_bytes - arena->total_bytes;

    if (arena->blocks != NULL)
        cap = MIN(arena->blocks->cap * 2, MAX(ARENA_BLOCK_BYTES_MAX, arena->first_bytes));
    if (left < sizeof(*block) || left - sizeof(*block) < size)
        return NULL;
    cap = MAX(MIN(cap, left - sizeof(*block)), size);
    block = malloc(sizeof(*block) + cap);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    block->cap = cap;
    block->used = 0;
    block->pad = 0;
    arena->blocks = block;
    arena->total_bytes += sizeof(*block) + cap;
    return block;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;
    void *ret;

    if (size > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    size = ALIGN_UP(MAX(size, (size_t)1), ARENA_ALIGN);
    if (block == NULL || block->cap - block->used < size) {
        block = block_add(arena, size);
        if (block == NULL)
            return NULL;
    }
    ret = block->data + block->used;
    block->used += size;
    return ret;
}

void *
arena_calloc(struct arena *arena, size_t nr, size_t size)
{
    size_t bytes;
    void *ret;

    if (!mul_size(nr, size, &bytes))
        return NULL;
    ret = arena_alloc(arena, bytes);
    if (ret != NULL)
        memset(ret, 0, bytes);
    return ret;
}

void *
arena_dup(struct arena *arena, const void *src, size_t len)
{
    void *ret = arena_alloc(arena, len);

    if (ret != NULL && len > 0)
        memcpy(ret, src, len);
    return ret;
}

char *
arena_strdup(struct arena *arena, const char *str)
{
    return arena_dup(arena, str, strlen(str) + 1);
}
