/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos/vos_heap.h"

#include <stdlib.h>

#include "base/probe.h"

struct block {
    struct list_head link;
    max_align_t mem[];
};

void *
vos_mem_get(size_t len)
{
    return CAIRN_FAULT("vos.mem.none") ? NULL : calloc(1, len);
}

void
vos_heap_init(struct vos_heap *heap)
{
    list_init(&heap->blocks);
}

void
vos_heap_fini(struct vos_heap *heap)
{
    while (!list_empty(&heap->blocks)) {
        struct block *b = LIST_FIRST(&heap->blocks, struct block, link);

        list_del(&b->link);
        free(b);
    }
}

void *
vos_heap_alloc(struct vos_heap *heap, size_t len)
{
    return vos_heap_realloc(heap, NULL, len);
}

void *
vos_heap_realloc(struct vos_heap *heap, void *mem, size_t len)
{
    struct block *old = mem == NULL ? NULL : CAIRN_CONTAINER_OF(mem, struct block, mem);
    struct block *b;

    if (CAIRN_FAULT("vos.mem.none_heap"))
        return NULL;
    if (old != NULL)
        list_del(&old->link);
    b = realloc(old, sizeof(*b) + len);
    if (b != NULL) {
        list_add(&b->link, &heap->blocks);
    } else if (old != NULL)
        list_add(&old->link, &heap->blocks);
    return b == NULL ? NULL : b->mem;
}

void
vos_heap_free(void *mem)
{
    struct block *b;

    if (mem == NULL)
        return;
    b = CAIRN_CONTAINER_OF(mem, struct block, mem);
    list_del(&b->link);
    free(b);
}
