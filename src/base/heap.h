/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Binary min-heap of intrusive nodes, for timers. Equal keys leave in the order in which they came (SM-1). One owner, no locks.
 */
#ifndef CAIRN_BASE_HEAP_H
#define CAIRN_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct heap_node {
    uint64_t key;
    uint64_t seq;
    size_t pos; /* 1-based place in the heap; 0 = not in one. Zero-initialise. */
};

struct heap {
    struct heap_node **nodes; /* [0] unused */
    size_t nr;
    size_t cap;
    uint64_t seq;
};

/** An empty heap with room for *cap* nodes, grown on demand. Errors: NOMEM. */
CAIRN_MUST_CHECK int heap_init(struct heap *heap, size_t cap);

/** Free the array; nodes are the caller's. A zeroed heap is fine. */
void heap_fini(struct heap *heap);

/** Make room for *nr* nodes in all, so that that many inserts cannot fail. Errors: NOMEM. */
CAIRN_MUST_CHECK int heap_reserve(struct heap *heap, size_t nr);

/** Add *node*, which is in no heap. Errors: NOMEM, heap unchanged. */
CAIRN_MUST_CHECK int heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);

/** Take *node* out; one that is not in is ignored. */
void heap_remove(struct heap *heap, struct heap_node *node);

/** Node with the smallest key, or NULL. */
static inline struct heap_node *
heap_top(const struct heap *heap)
{
    return heap->nr == 0 ? NULL : heap->nodes[1];
}

/** Remove and return it, or NULL. */
struct heap_node *heap_pop(struct heap *heap);

static inline bool
heap_node_is_in(const struct heap_node *node)
{
    return node->pos != 0;
}

#endif /* CAIRN_BASE_HEAP_H */
