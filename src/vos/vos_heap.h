/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Memory that operations hold across yields. It hangs on a list of the target, so that a simulated kill, which never runs them again, can free it.
 */
#ifndef CAIRN_VOS_HEAP_H
#define CAIRN_VOS_HEAP_H

#include "base/list.h"

#include <stddef.h>

struct vos_heap {
    struct list_head blocks;
};

/** `len` zeroed bytes that do not outlive the next yield, or belong to an object that the target frees; end with free(). */
void *vos_mem_get(size_t len);

void vos_heap_init(struct vos_heap *heap);
/** Free everything that is left. */
void vos_heap_fini(struct vos_heap *heap);
/** `len` bytes, not cleared; NULL when there is no memory. */
void *vos_heap_alloc(struct vos_heap *heap, size_t len);
/** As realloc(); mem may be NULL. On failure mem stays. */
void *vos_heap_realloc(struct vos_heap *heap, void *mem, size_t len);
void vos_heap_free(void *mem); /* NULL-safe */

#endif
