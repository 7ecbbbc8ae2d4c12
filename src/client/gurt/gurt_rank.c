/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Lists of ranks and of ranges of ranks (gurt/common.h). */
#include <gurt/common.h>

#include <daos_api.h>

#include "base/strbuf.h"
#include "base/util.h"

/* Characters of one range in text: two numbers of ten digits, a dash and a comma. */
#define RANGE_TEXT_BYTES 22

d_rank_list_t *
d_rank_list_alloc(uint32_t size)
{
    d_rank_list_t *list = calloc(1, sizeof(*list));

    if (list == NULL || size == 0)
        return list;
    list->rl_ranks = calloc(size, sizeof(list->rl_ranks[0]));
    if (list->rl_ranks == NULL) {
        free(list);
        return NULL;
    }
    list->rl_nr = size;
    return list;
}

void
d_rank_list_free(d_rank_list_t *rank_list)
{
    if (rank_list == NULL)
        return;
    free(rank_list->rl_ranks);
    free(rank_list);
}

int
d_rank_list_resize(d_rank_list_t *ptr, uint32_t size)
{
    d_rank_t *ranks;

    if (ptr == NULL)
        return -DER_INVAL;
    if (size == 0) {
        free(ptr->rl_ranks);
        ptr->rl_ranks = NULL;
        ptr->rl_nr = 0;
        return 0;
    }
    ranks = realloc(ptr->rl_ranks, size * sizeof(ranks[0]));
    if (ranks == NULL)
        return -DER_NOMEM;
    for (uint32_t i = ptr->rl_nr; i < size; i++) {
        ranks[i] = 0;
    }
    ptr->rl_ranks = ranks;
    ptr->rl_nr = size;
    return 0;
}

int
d_rank_list_copy(d_rank_list_t *dst, d_rank_list_t *src)
{
    int rc;

    if (dst == NULL)
        return -DER_INVAL;
    rc = d_rank_list_resize(dst, src == NULL ? 0 : src->rl_nr);
    if (rc == 0 && dst->rl_nr > 0)
        memcpy(dst->rl_ranks, src->rl_ranks, dst->rl_nr * sizeof(dst->rl_ranks[0]));
    return rc;
}

int
d_rank_list_dup(d_rank_list_t **dst, const d_rank_list_t *src)
{
    d_rank_list_t *list;

    if (dst == NULL)
        return -DER_INVAL;
    if (src == NULL) {
        *dst = NULL;
        return 0;
    }
    list = d_rank_list_alloc(src->rl_nr);
    if (list == NULL)
        return -DER_NOMEM;
    if (src->rl_nr > 0)
        memcpy(list->rl_ranks, src->rl_ranks, src->rl_nr * sizeof(src->rl_ranks[0]));
    *dst = list;
    return 0;
}

static int
rank_cmp(const void *a, const void *b)
{
    d_rank_t x = *(const d_rank_t *)a;
    d_rank_t y = *(const d_rank_t *)b;

    return x < y ? -1 : x > y;
}

void
d_rank_list_sort(d_rank_list_t *rank_list)
{
    if (rank_list != NULL && rank_list->rl_nr > 1)
        qsort(rank_list->rl_ranks, rank_list->rl_nr, sizeof(rank_list->rl_ranks[0]), rank_cmp);
}

int
d_rank_list_dup_sort_uniq(d_rank_list_t **dst, const d_rank_list_t *src)
{
    d_rank_list_t *list;
    uint32_t kept = 0;
    int rc;

    rc = d_rank_list_dup(dst, src);
    if (rc != 0 || *dst == NULL)
        return rc;
    list = *dst;
    d_rank_list_sort(list);
    for (uint32_t i = 0; i < list->rl_nr; i++) {
        if (kept == 0 || list->rl_ranks[kept - 1] != list->rl_ranks[i])
            list->rl_ranks[kept++] = list->rl_ranks[i];
    }
    list->rl_nr = kept;
    return 0;
}

bool
d_rank_list_find(d_rank_list_t *rank_list, d_rank_t rank, int *idx)
{
    for (uint32_t i = 0; rank_list != NULL && i < rank_list->rl_nr; i++) {
        if (rank_list->rl_ranks[i] != rank)
            continue;
        if (idx != NULL)
            *idx = (int)i;
        return true;
    }
    return false;
}

bool
d_rank_list_bsearch(d_rank_list_t *rank_list, d_rank_t rank, int *idx)
{
    d_rank_t *found;

    if (rank_list == NULL || rank_list->rl_nr == 0)
        return false;
    found = bsearch(
        &rank, rank_list->rl_ranks, rank_list->rl_nr, sizeof(rank_list->rl_ranks[0]), rank_cmp);
    if (found != NULL && idx != NULL)
        *idx = (int)(found - rank_list->rl_ranks);
    return found != NULL;
}

bool
d_rank_in_rank_list(d_rank_list_t *rank_list, d_rank_t rank)
{
    return d_rank_list_find(rank_list, rank, NULL);
}

int
d_idx_in_rank_list(d_rank_list_t *rank_list, d_rank_t rank, uint32_t *idx)
{
    int pos;

    if (rank_list == NULL || idx == NULL)
        return -DER_INVAL;
    if (!d_rank_list_find(rank_list, rank, &pos))
        return -DER_NONEXIST;
    *idx = (uint32_t)pos;
    return 0;
}

void
d_rank_list_filter(d_rank_list_t *src_set, d_rank_list_t *dst_set, bool exclude)
{
    uint32_t kept = 0;

    if (src_set == NULL || dst_set == NULL)
        return;
    for (uint32_t i = 0; i < dst_set->rl_nr; i++) {
        if (d_rank_list_find(src_set, dst_set->rl_ranks[i], NULL) != exclude)
            dst_set->rl_ranks[kept++] = dst_set->rl_ranks[i];
    }
    dst_set->rl_nr = kept;
}

int
d_rank_list_append(d_rank_list_t *rank_list, d_rank_t rank)
{
    int rc;

    if (rank_list == NULL)
        return -DER_INVAL;
    rc = d_rank_list_resize(rank_list, rank_list->rl_nr + 1);
    if (rc == 0)
        rank_list->rl_ranks[rank_list->rl_nr - 1] = rank;
    return rc;
}

int
d_rank_list_merge(d_rank_list_t *src_set, d_rank_list_t *merge_set)
{
    int rc = 0;

    for (uint32_t i = 0; merge_set != NULL && i < merge_set->rl_nr && rc == 0; i++) {
        if (!d_rank_list_find(src_set, merge_set->rl_ranks[i], NULL))
            rc = d_rank_list_append(src_set, merge_set->rl_ranks[i]);
    }
    return rc;
}

void
d_rank_list_del_at(d_rank_list_t *list, int idx)
{
    if (list == NULL || idx < 0 || (uint32_t)idx >= list->rl_nr)
        return;
    memmove(&list->rl_ranks[idx], &list->rl_ranks[idx + 1],
        (list->rl_nr - (uint32_t)idx - 1) * sizeof(list->rl_ranks[0]));
    list->rl_nr--;
}

int
d_rank_list_del(d_rank_list_t *rank_list, d_rank_t rank)
{
    int idx;

    if (rank_list == NULL)
        return -DER_INVAL;
    if (d_rank_list_find(rank_list, rank, &idx))
        d_rank_list_del_at(rank_list, idx);
    return 0;
}

bool
d_rank_list_identical(d_rank_list_t *rank_list1, d_rank_list_t *rank_list2)
{
    if (rank_list1 == rank_list2)
        return true;
    if (rank_list1 == NULL || rank_list2 == NULL || rank_list1->rl_nr != rank_list2->rl_nr)
        return false;
    return rank_list1->rl_nr == 0 ||
        memcmp(rank_list1->rl_ranks, rank_list2->rl_ranks,
            rank_list1->rl_nr * sizeof(rank_list1->rl_ranks[0])) == 0;
}

d_rank_list_t *
uint32_array_to_rank_list(uint32_t *ints, size_t len)
{
    d_rank_list_t *list;

    if (len > UINT32_MAX)
        return NULL;
    list = d_rank_list_alloc((uint32_t)len);
    if (list != NULL && len > 0)
        memcpy(list->rl_ranks, ints, len * sizeof(ints[0]));
    return list;
}

int
rank_list_to_uint32_array(d_rank_list_t *rl, uint32_t **ints, size_t *len)
{
    uint32_t *copy;

    if (rl == NULL || ints == NULL || len == NULL)
        return -DER_INVAL;
    copy = calloc(MAX(rl->rl_nr, 1u), sizeof(copy[0]));
    if (copy == NULL)
        return -DER_NOMEM;
    if (rl->rl_nr > 0)
        memcpy(copy, rl->rl_ranks, rl->rl_nr * sizeof(copy[0]));
    *ints = copy;
    *len = rl->rl_nr;
    return 0;
}

d_rank_range_list_t *
d_rank_range_list_alloc(uint32_t size)
{
    d_rank_range_list_t *list = calloc(1, sizeof(*list));

    if (list == NULL || size == 0)
        return list;
    list->rrl_ranges = calloc(size, sizeof(list->rrl_ranges[0]));
    if (list->rrl_ranges == NULL) {
        free(list);
        return NULL;
    }
    list->rrl_nr = size;
    return list;
}

d_rank_range_list_t *
d_rank_range_list_realloc(d_rank_range_list_t *range_list, uint32_t size)
{
    d_rank_range_t *ranges;

    if (range_list == NULL)
        return d_rank_range_list_alloc(size);
    ranges = realloc(range_list->rrl_ranges, MAX(size, 1u) * sizeof(ranges[0]));
    if (ranges == NULL)
        return NULL;
    for (uint32_t i = range_list->rrl_nr; i < size; i++) {
        ranges[i] = (d_rank_range_t){0, 0};
    }
    range_list->rrl_ranges = ranges;
    range_list->rrl_nr = size;
    return range_list;
}

void
d_rank_range_list_free(d_rank_range_list_t *range_list)
{
    if (range_list == NULL)
        return;
    free(range_list->rrl_ranges);
    free(range_list);
}

d_rank_range_list_t *
d_rank_range_list_create_from_ranks(d_rank_list_t *rank_list)
{
    d_rank_range_list_t *ranges = NULL;
    d_rank_list_t *sorted = NULL;
    uint32_t nr = 0;

    if (rank_list == NULL || rank_list->rl_nr == 0)
        return d_rank_range_list_alloc(0);
    if (d_rank_list_dup_sort_uniq(&sorted, rank_list) != 0)
        return NULL;
    ranges = d_rank_range_list_alloc(sorted->rl_nr);
    for (uint32_t i = 0; ranges != NULL && i < sorted->rl_nr; i++) {
        d_rank_t rank = sorted->rl_ranks[i];

        if (nr > 0 && ranges->rrl_ranges[nr - 1].hi + 1 == rank) {
            ranges->rrl_ranges[nr - 1].hi = rank;
        } else {
            ranges->rrl_ranges[nr++] = (d_rank_range_t){.lo = rank, .hi = rank};
        }
    }
    if (ranges != NULL)
        ranges->rrl_nr = nr;
    d_rank_list_free(sorted);
    return ranges;
}

int
d_rank_range_list_str(d_rank_range_list_t *list, char **ranks_str)
{
    struct strbuf sb;
    size_t bytes;
    char *buf;

    if (list == NULL || ranks_str == NULL)
        return -DER_INVAL;
    if (!mul_size(list->rrl_nr, RANGE_TEXT_BYTES, &bytes))
        return -DER_OVERFLOW;
    buf = malloc(bytes + sizeof("[]"));
    if (buf == NULL)
        return -DER_NOMEM;
    strbuf_init(&sb, buf, bytes + sizeof("[]"));
    strbuf_add_char(&sb, '[');
    for (uint32_t i = 0; i < list->rrl_nr; i++) {
        const d_rank_range_t *range = &list->rrl_ranges[i];

        strbuf_add(&sb, "%s%u", i == 0 ? "" : ",", range->lo);
        if (range->hi != range->lo)
            strbuf_add(&sb, "-%u", range->hi);
    }
    strbuf_add_char(&sb, ']');
    *ranks_str = buf;
    return 0;
}

int
d_rank_list_to_str(d_rank_list_t *rank_list, char **rank_str)
{
    d_rank_range_list_t *ranges;
    int rc;

    if (rank_list == NULL || rank_str == NULL)
        return -DER_INVAL;
    ranges = d_rank_range_list_create_from_ranks(rank_list);
    if (ranges == NULL)
        return -DER_NOMEM;
    rc = d_rank_range_list_str(ranges, rank_str);
    d_rank_range_list_free(ranges);
    return rc;
}

d_rank_list_t *
daos_rank_list_parse(const char *str, const char *sep)
{
    d_rank_list_t *list;
    char *copy = NULL;
    char *save = NULL;
    int rc = 0;

    if (str == NULL || sep == NULL)
        return NULL;
    list = d_rank_list_alloc(0);
    copy = strdup(str);
    if (list == NULL || copy == NULL)
        goto out;
    for (char *word = strtok_r(copy, sep, &save); word != NULL && rc == 0;
         word = strtok_r(NULL, sep, &save)) {
        char *end;
        unsigned long long rank = strtoull(word, &end, 10);

        if (*word < '0' || *word > '9' || *end != '\0' || rank >= UINT32_MAX) {
            rc = -DER_INVAL;
        } else {
            rc = d_rank_list_append(list, (d_rank_t)rank);
        }
    }
    if (rc == 0 && list->rl_nr > 0) {
        free(copy);
        return list;
    }
out:
    free(copy);
    d_rank_list_free(list);
    return NULL;
}
