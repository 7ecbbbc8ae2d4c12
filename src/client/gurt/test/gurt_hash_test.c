/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: tables count references and hold records as gurt/hash.h says, also as IOR and ROMIO use them. Method: records that count
 * their references and frees; every kind of lock; a table used by two threads.
 */
#include <gurt/common.h>
#include <gurt/hash.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"

struct rec {
    d_list_t link;
    char key[16];
    int refs;
};

static int freed_nr;

static struct rec *
rec_of(d_list_t *link)
{
    return d_list_entry(link, struct rec, link);
}

static bool
rec_cmp(struct d_hash_table *t, d_list_t *link, const void *key, unsigned int ksize)
{
    (void)t;
    return strlen(rec_of(link)->key) == ksize && memcmp(rec_of(link)->key, key, ksize) == 0;
}

static uint32_t
rec_hash(struct d_hash_table *t, d_list_t *link)
{
    (void)t;
    return d_hash_string_u32(rec_of(link)->key, (unsigned int)strlen(rec_of(link)->key));
}

static void
rec_ref(struct d_hash_table *t, d_list_t *link)
{
    (void)t;
    rec_of(link)->refs++;
}

static bool
rec_unref(struct d_hash_table *t, d_list_t *link)
{
    (void)t;
    return --rec_of(link)->refs == 0;
}

static void
rec_drop(struct d_hash_table *t, d_list_t *link)
{
    (void)t;
    freed_nr++;
    free(rec_of(link));
}

static void
rec_key_init(struct d_hash_table *t, d_list_t *link, void *arg)
{
    (void)t;
    snprintf(rec_of(link)->key, sizeof(rec_of(link)->key), "anon%d", ++*(int *)arg);
}

static d_hash_table_ops_t ops = {
    .hop_key_cmp = rec_cmp,
    .hop_key_init = rec_key_init,
    .hop_rec_hash = rec_hash,
    .hop_rec_addref = rec_ref,
    .hop_rec_decref = rec_unref,
    .hop_rec_free = rec_drop,
};

static struct rec *
rec_new(int i)
{
    struct rec *rec = calloc(1, sizeof(*rec));

    D_INIT_LIST_HEAD(&rec->link);
    snprintf(rec->key, sizeof(rec->key), "key%d", i);
    rec->refs = 1;
    return rec;
}

static int
count_cb(d_list_t *link, void *arg)
{
    (void)link;
    return ++*(int *)arg == 5 ? 77 : 0;
}

TEST(gurt_hash, table_holds_references)
{
    static const uint32_t feats[] = {
        0, D_HASH_FT_MUTEX, D_HASH_FT_RWLOCK, D_HASH_FT_NOLOCK, D_HASH_FT_LRU | D_HASH_FT_GLOCK};

    for (size_t f = 0; f < ARRAY_SIZE(feats); f++) {
        struct d_hash_table *t = NULL;
        struct rec *recs[20];
        int nr = 0;

        freed_nr = 0;
        EXPECT_EQ(d_hash_table_create(feats[f], 2, &nr, &ops, &t), 0);
        EXPECT(t->ht_priv == &nr);
        for (int i = 0; i < 20; i++) {
            recs[i] = rec_new(i);
            EXPECT_EQ(d_hash_rec_insert(t, recs[i]->key, (unsigned int)strlen(recs[i]->key),
                          &recs[i]->link, true),
                0);
            EXPECT_EQ(recs[i]->refs, 2);
        }
        EXPECT_ERR(d_hash_rec_insert(t, "key7", 4, &recs[7]->link, true), EXIST);
        EXPECT_ERR(d_hash_rec_insert(t, NULL, 4, &recs[7]->link, true), INVAL);
        EXPECT(d_hash_rec_find(t, "key7", 4) == &recs[7]->link);
        EXPECT_EQ(recs[7]->refs, 3);
        EXPECT(d_hash_rec_find(t, "key77", 5) == NULL);
        d_hash_rec_decref(t, &recs[7]->link);
        EXPECT(d_hash_rec_delete(t, "key7", 4));
        EXPECT(!d_hash_rec_delete(t, "key7", 4));
        EXPECT(d_hash_rec_unlinked(&recs[7]->link));
        EXPECT_EQ(freed_nr, 0);
        d_hash_rec_decref(t, &recs[7]->link);
        EXPECT_EQ(freed_nr, 1);
        EXPECT(d_hash_rec_delete_at(t, &recs[3]->link));
        EXPECT(!d_hash_rec_delete_at(t, &recs[3]->link));
        EXPECT_EQ(d_hash_rec_ndecref(t, 1, &recs[3]->link), 0);
        EXPECT_EQ(freed_nr, 2);
        EXPECT_EQ(d_hash_rec_evict(t, "key5", 4), (feats[f] & D_HASH_FT_LRU) != 0);
        EXPECT_EQ(d_hash_table_traverse(t, count_cb, &nr), 77);
        EXPECT_EQ(nr, 5);
        EXPECT_ERR(d_hash_table_destroy(t, false), BUSY);
        for (int i = 0; i < 20; i++) {
            if (i != 3 && i != 7)
                d_hash_rec_decref(t, &recs[i]->link);
        }
        EXPECT_EQ(freed_nr, 2);
        EXPECT_EQ(d_hash_table_destroy(t, true), 0);
        EXPECT_EQ(freed_nr, 20);
    }
}

TEST(gurt_hash, find_insert_and_anonymous)
{
    struct d_hash_table t;
    struct rec *a = rec_new(1);
    struct rec *b = rec_new(1);
    struct rec *c = rec_new(9);
    int counter = 40;

    freed_nr = 0;
    EXPECT_EQ(d_hash_table_create_inplace(D_HASH_FT_NOLOCK, 3, NULL, &ops, &t), 0);
    EXPECT(d_hash_rec_first(&t) == NULL);
    EXPECT(d_hash_rec_find_insert(&t, "key1", 4, &a->link) == &a->link);
    EXPECT(d_hash_rec_find_insert(&t, "key1", 4, &b->link) == &a->link);
    EXPECT_EQ(a->refs, 3);
    EXPECT_EQ(d_hash_rec_insert_anonym(&t, &c->link, &counter), 0);
    EXPECT(d_hash_rec_find(&t, "anon41", 6) == &c->link);
    d_hash_rec_addref(&t, &c->link);
    EXPECT_EQ(c->refs, 4);
    EXPECT_EQ(d_hash_rec_ndecref(&t, 3, &c->link), 0);
    EXPECT_EQ(d_hash_rec_ndecref(&t, 2, &a->link), 0);
    EXPECT_EQ(d_hash_table_destroy_inplace(&t, true), 0);
    EXPECT_EQ(freed_nr, 2);
    free(b);
    EXPECT_ERR(d_hash_table_create_inplace(0, 99, NULL, &ops, &t), INVAL);
    EXPECT_ERR(d_hash_table_create_inplace(0, 1, NULL, NULL, &t), INVAL);
}

/* As IOR caches directories: ephemeral, no reference counting beyond one, emptied by first and decref. */
TEST(gurt_hash, ephemeral_table_is_emptied_by_decref)
{
    d_hash_table_ops_t ior_ops = {.hop_key_cmp = rec_cmp,
        .hop_rec_hash = rec_hash,
        .hop_rec_decref = rec_unref,
        .hop_rec_free = rec_drop};
    struct d_hash_table *t = NULL;
    d_list_t *link;
    int nr = 0;

    freed_nr = 0;
    EXPECT_EQ(d_hash_table_create(
                  D_HASH_FT_EPHEMERAL | D_HASH_FT_NOLOCK | D_HASH_FT_LRU, 4, NULL, &ior_ops, &t),
        0);
    for (int i = 0; i < 50; i++) {
        struct rec *rec = rec_new(i);

        EXPECT_EQ(
            d_hash_rec_insert(t, rec->key, (unsigned int)strlen(rec->key), &rec->link, true), 0);
        EXPECT_EQ(rec->refs, 1);
    }
    EXPECT(d_hash_rec_find(t, "key33", 5) != NULL);
    while ((link = d_hash_rec_first(t)) != NULL) {
        d_hash_rec_decref(t, link);
        nr++;
    }
    EXPECT_EQ(nr, 50);
    EXPECT_EQ(freed_nr, 50);
    EXPECT_EQ(d_hash_table_destroy(t, false), 0);
    EXPECT_EQ(d_hash_table_destroy(NULL, false), 0);
}

static void *
hammer(void *arg)
{
    struct d_hash_table *t = arg;

    for (int i = 0; i < 5000; i++) {
        char key[16];
        d_list_t *link;

        snprintf(key, sizeof(key), "key%d", i % 64);
        link = d_hash_rec_find(t, key, (unsigned int)strlen(key));
        if (link != NULL)
            d_hash_rec_decref(t, link);
    }
    return NULL;
}

TEST_LINUX(gurt_hash, two_threads, "the tables are for threads of the application")
{
    struct d_hash_table *t = NULL;
    struct rec *recs[64];
    pthread_t thread;

    freed_nr = 0;
    EXPECT_EQ(d_hash_table_create(D_HASH_FT_LRU, 2, NULL, &ops, &t), 0);
    for (int i = 0; i < 64; i++) {
        recs[i] = rec_new(i);
        EXPECT_EQ(d_hash_rec_insert(
                      t, recs[i]->key, (unsigned int)strlen(recs[i]->key), &recs[i]->link, false),
            0);
    }
    EXPECT_EQ(pthread_create(&thread, NULL, hammer, t), 0);
    hammer(t);
    pthread_join(thread, NULL);
    for (int i = 0; i < 64; i++) {
        EXPECT_EQ(recs[i]->refs, 2);
        d_hash_rec_decref(t, &recs[i]->link);
    }
    EXPECT_EQ(d_hash_table_destroy(t, true), 0);
    EXPECT_EQ(freed_nr, 64);
}
