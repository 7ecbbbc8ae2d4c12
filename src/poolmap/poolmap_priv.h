/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shared by the files of poolmap. */
#ifndef CAIRN_POOLMAP_PRIV_H
#define CAIRN_POOLMAP_PRIV_H

#include "poolmap/poolmap.h"

/** Grow an array to *nr* elements; at least one, so that NULL always means failure. Errors: NOMEM. */
CAIRN_MUST_CHECK int poolmap_array_grow(void *array, size_t nr, size_t size);

/** Room for that many of each; the counts in the map stay, so that a failure half way is harmless. Errors: NOMEM. */
CAIRN_MUST_CHECK int
poolmap_reserve(struct poolmap *map, uint32_t doms_nr, uint32_t ranks_nr, uint32_t tgts_nr);

/** Make the order of the ranks and the views anew; the old ones stay when it fails. Errors: NOMEM; OVERFLOW the sum of the weights. */
CAIRN_MUST_CHECK int poolmap_index(struct poolmap *map);

/** For qsort(). */
int poolmap_uint64_cmp(const void *a, const void *b);

/** Make the views anew. Errors: as above. */
CAIRN_MUST_CHECK int poolmap_views_make(struct poolmap *map);

/** Free them. */
void poolmap_views_drop(struct poolmap *map);

#endif
