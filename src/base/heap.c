/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"

static bool
node_before(const struct heap_node *a, const struct heap_node *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->seq < b->seq;
}

static void
node_place(struct heap *heap, struct heap_node *node, size_t pos)
{
    heap->nodes[pos] = node;
    node->pos = pos;
}

static void
sift_up(struct heap *heap, struct heap_node *node, size_t pos)
{
    while (pos > 1 && node_before(node, heap->nodes[pos / 2])) {
        node_place(heap, heap->nodes[pos / 2], pos);
        pos /= 2;
    }
    node_place(heap, node, pos);
}

static void
sift_down(struct heap *heap, struct heap_node *node, size_t pos)
{
    for (;;) {
        size_t child = pos * 2;

        if (child > heap->nr)
            break;
        if (child < heap->nr && node_before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!node_before(heap->nodes[child], node))
            break;
        node_place(heap, heap->nodes[child], pos);
        pos = child;
    }
    node_place(heap, node, pos);
}

int
heap_init(struct heap *heap, size_t cap)
{
    memset(heap, 0, sizeof(*heap));
    return heap_reserve(heap, MAX(cap, (size_t)1));
}

void
heap_fini(struct heap *heap)
{
    free(heap->nodes);
    memset(heap, 0, sizeof(*heap));
}

int
heap_reserve(struct heap *heap, size_t nr)
{
    struct heap_node **nodes;
    size_t bytes;

    if (nr <= heap->cap)
        return 0;
    if (!add_size(nr, 1, &bytes) || !mul_size(bytes, sizeof(heap->nodes[0]), &bytes))
        return CAIRN_ERR(NOMEM);
    nodes = realloc(heap->nodes, bytes);
    if (nodes == NULL)
        return CAIRN_ERR(NOMEM);
    heap->nodes = nodes;
    heap->cap = nr;
    return 0;
}

int
heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    CAIRN_ASSERT(node->pos == 0);
    if (heap->nr == heap->cap) {
        int rc = heap_reserve(heap, MAX(heap->cap * 2, (size_t)8));

        if (rc != 0)
            return rc;
    }
    node->key = key;
    node->seq = heap->seq++;
    heap->nr++;
    sift_up(heap, node, heap->nr);
    return 0;
}

void
heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t pos = node->pos;
    struct heap_node *last;

    if (pos == 0)
        return;
    CAIRN_ASSERT(pos <= heap->nr);
    CAIRN_ASSERT(heap->nodes[pos] == node);
    last = heap->nodes[heap->nr];
    heap->nr--;
    node->pos = 0;
    if (last == node)
        return;
    if (pos > 1 && node_before(last, heap->nodes[pos / 2])) {
        sift_up(heap, last, pos);
    } else {
        sift_down(heap, last, pos);
    }
}

struct heap_node *
heap_pop(struct heap *heap)
{
    struct heap_node *node = heap_top(heap);

    if (node != NULL)
        heap_remove(heap, node);
    return node;
}
