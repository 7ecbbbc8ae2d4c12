/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: list, heap and bitmap behave as their naive twins. Method: fixed cases, then random operations against arrays.
 */
#include <string.h>

#include "base/bitmap.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/rng.h"
#include "harness/harness.h"

struct item {
    int v;
    struct list_head link;
};

static uint64_t
list_digits(struct list_head *head)
{
    struct item *pos;
    uint64_t digits = 0;

    LIST_FOREACH(pos, head, struct item, link) {
        digits = digits * 10 + (uint64_t)pos->v;
    }
    return digits;
}

TEST(base_list, order_and_moves)
{
    struct list_head a = LIST_HEAD_INIT(a);
    struct list_head b;
    struct item items[6];
    struct item *pos;
    struct item *tmp;

    list_init(&b);
    for (int i = 0; i < 6; i++) {
        items[i].v = i + 1;
        list_init(&items[i].link);
    }
    EXPECT(list_empty(&a));
    EXPECT(LIST_FIRST(&a, struct item, link) == NULL);
    list_add_tail(&items[0].link, &a);
    list_add_tail(&items[1].link, &a);
    list_add(&items[2].link, &a);
    EXPECT_EQ(list_digits(&a), 312);
    list_add_tail(&items[3].link, &items[0].link);
    EXPECT_EQ(list_digits(&a), 3412);
    list_del(&items[0].link);
    list_del(&items[0].link);
    EXPECT(list_empty(&items[0].link));
    EXPECT_EQ(list_digits(&a), 342);
    list_add(&items[4].link, &b);
    list_add(&items[5].link, &b);
    list_splice_tail(&b, &a);
    EXPECT(list_empty(&b));
    list_splice_tail(&b, &a);
    EXPECT_EQ(list_digits(&a), 34265);
    list_move(&items[4].link, &a);
    list_move_tail(&items[2].link, &b);
    EXPECT_EQ(list_digits(&a), 5426);
    EXPECT_EQ(LIST_LAST(&a, struct item, link)->v, 6);
    LIST_FOREACH_SAFE(pos, tmp, &a, struct item, link) {
        if (pos->v % 2 == 0)
            list_del(&pos->link);
    }
    EXPECT_EQ(list_digits(&a), 5);
}

struct timer {
    struct heap_node node;
    uint64_t at;
};

TEST(base_heap, pops_in_order_and_fifo_among_equals)
{
    enum { NR = 500 };
    static struct timer timers[NR];
    struct heap heap;
    struct rng rng;
    uint64_t last_key = 0;
    uint64_t last_seq = 0;
    int popped_nr = 0;

    rng_init(&rng, test_seed());
    EXPECT_OK(heap_init(&heap, 0));
    EXPECT(heap_pop(&heap) == NULL);
    memset(timers, 0, sizeof(timers));
    for (int i = 0; i < NR; i++) {
        EXPECT_OK(heap_insert(&heap, &timers[i].node, rng_below(&rng, 50)));
    }
    for (int i = 0; i < NR; i += 3) {
        heap_remove(&heap, &timers[i].node);
        EXPECT(!heap_node_is_in(&timers[i].node));
        heap_remove(&heap, &timers[i].node);
    }
    while (heap_top(&heap) != NULL) {
        struct heap_node *node = heap_top(&heap);

        EXPECT(node->key > last_key || (node->key == last_key && node->seq >= last_seq));
        last_key = node->key;
        last_seq = node->seq;
        EXPECT(heap_pop(&heap) == node);
        EXPECT(((struct timer *)node - timers) % 3 != 0);
        popped_nr++;
    }
    EXPECT_EQ(popped_nr, NR - (NR + 2) / 3);
    heap_fini(&heap);
    heap_fini(&heap);
}

TEST(base_heap, random_against_array)
{
    enum { NR = 64 };
    struct heap_node nodes[NR];
    struct heap heap;
    struct rng rng;

    memset(nodes, 0, sizeof(nodes));
    rng_init(&rng, test_seed() + 1);
    EXPECT_OK(heap_init(&heap, NR));
    for (int step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[rng_below(&rng, NR)];
        struct heap_node *min = NULL;

        if (heap_node_is_in(node)) {
            heap_remove(&heap, node);
        } else {
            EXPECT_OK(heap_insert(&heap, node, rng_below(&rng, 1000)));
        }
        for (int i = 0; i < NR; i++) {
            if (!heap_node_is_in(&nodes[i]))
                continue;
            if (min == NULL || nodes[i].key < min->key ||
                (nodes[i].key == min->key && nodes[i].seq < min->seq))
                min = &nodes[i];
        }
        if (heap_top(&heap) != min) {
            EXPECT(heap_top(&heap) == min);
            break;
        }
    }
    EXPECT_EQ(heap.cap, NR);
    heap_fini(&heap);
}

TEST(base_bitmap, random_against_bytes)
{
    enum { NR = 301 };
    uint64_t map[BITMAP_WORDS(NR)] = {0};
    uint8_t model[NR] = {0};
    struct rng rng;

    rng_init(&rng, test_seed());
    for (int step = 0; step < 5000; step++) {
        size_t start = (size_t)rng_below(&rng, NR);
        size_t nr = (size_t)rng_below(&rng, MIN(NR - start, (size_t)90) + 1);
        size_t run_nr = 1 + (size_t)rng_below(&rng, 70);
        size_t count = 0;
        size_t set = BITMAP_NONE;
        size_t clear = BITMAP_NONE;
        size_t run = BITMAP_NONE;
        size_t run_len = 0;
        bool on = rng_chance(&rng, 1, 3);

        memset(model + start, on, nr);
        if (on) {
            bitmap_set_range(map, start, nr);
        } else {
            bitmap_clear_range(map, start, nr);
        }
        for (size_t i = 0; i < NR; i++) {
            count += model[i];
            if (i < start)
                continue;
            if (model[i] && set == BITMAP_NONE)
                set = i;
            if (!model[i] && clear == BITMAP_NONE)
                clear = i;
            run_len = model[i] ? 0 : run_len + 1;
            if (run_len == run_nr && run == BITMAP_NONE)
                run = i + 1 - run_nr;
        }
        if (bitmap_count(map, NR) != count || bitmap_find_set(map, NR, start) != set ||
            bitmap_find_clear(map, NR, start) != clear ||
            bitmap_find_clear_run(map, NR, start, run_nr) != run) {
            EXPECT_EQ(bitmap_count(map, NR), count);
            EXPECT_EQ(bitmap_find_set(map, NR, start), set);
            EXPECT_EQ(bitmap_find_clear(map, NR, start), clear);
            EXPECT_EQ(bitmap_find_clear_run(map, NR, start, run_nr), run);
            break;
        }
    }
    bitmap_clear_range(map, 0, NR);
    bitmap_set(map, 64);
    EXPECT(bitmap_test(map, 64));
    EXPECT(!bitmap_test(map, 63));
    bitmap_clear(map, 64);
    EXPECT_EQ(bitmap_count(map, NR), 0);
    EXPECT_EQ(bitmap_find_set(map, NR, 0), BITMAP_NONE);
    EXPECT_EQ(bitmap_find_clear(map, NR, NR), BITMAP_NONE);
}
