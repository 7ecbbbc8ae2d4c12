/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Hash tables of the public interface (gurt/hash.h).
 *
 * One mutex guards a whole table whatever kind of lock was asked for; D_HASH_FT_NOLOCK has none. The functions of the user's table are called
 * with it held, except hop_rec_free, which may call back into the table.
 */
#include <gurt/hash.h>

#include <daos_errno.h>
#include <gurt/common.h>
#include <stdlib.h>
#include <string.h>

#define HASH_BITS_MAX 30

static void
table_lock(struct d_hash_table *htable)
{
    if ((htable->ht_feats & D_HASH_FT_NOLOCK) == 0)
        pthread_mutex_lock(&htable->ht_lock.mutex);
}

static void
table_unlock(struct d_hash_table *htable)
{
    if ((htable->ht_feats & D_HASH_FT_NOLOCK) == 0)
        pthread_mutex_unlock(&htable->ht_lock.mutex);
}

static uint32_t
buckets_nr(const struct d_hash_table *htable)
{
    return (uint32_t)1 << htable->ht_bits;
}

static d_list_t *
bucket_of(struct d_hash_table *htable, uint32_t hash)
{
    return &htable->ht_buckets[hash & (buckets_nr(htable) - 1)].hb_head;
}

static d_list_t *
bucket_of_key(struct d_hash_table *htable, const void *key, unsigned int ksize)
{
    uint32_t hash = htable->ht_ops->hop_key_hash != NULL
        ? htable->ht_ops->hop_key_hash(htable, key, ksize)
        : d_hash_string_u32(key, ksize);

    return bucket_of(htable, hash);
}

static void
rec_addref(struct d_hash_table *htable, d_list_t *link)
{
    if (htable->ht_ops->hop_rec_addref != NULL)
        htable->ht_ops->hop_rec_addref(htable, link);
}

static bool
rec_decref(struct d_hash_table *htable, d_list_t *link)
{
    return htable->ht_ops->hop_rec_decref != NULL && htable->ht_ops->hop_rec_decref(htable, link);
}

static void
rec_free(struct d_hash_table *htable, d_list_t *link)
{
    if (htable->ht_ops->hop_rec_free != NULL)
        htable->ht_ops->hop_rec_free(htable, link);
}

static bool
is_ephemeral(const struct d_hash_table *htable)
{
    return (htable->ht_feats & D_HASH_FT_EPHEMERAL) != 0;
}

static void
rec_link(struct d_hash_table *htable, d_list_t *bucket, d_list_t *link)
{
    if (!is_ephemeral(htable))
        rec_addref(htable, link);
    d_list_add(link, bucket);
}

/* Take a record out; true when the table's reference was the last one. */
static bool
rec_unlink(struct d_hash_table *htable, d_list_t *link)
{
    d_list_del_init(link);
    return !is_ephemeral(htable) && rec_decref(htable, link);
}

static d_list_t *
bucket_find(struct d_hash_table *htable, d_list_t *bucket, const void *key, unsigned int ksize)
{
    d_list_t *link;

    d_list_for_each(link, bucket)
    {
        if (!htable->ht_ops->hop_key_cmp(htable, link, key, ksize))
            continue;
        if ((htable->ht_feats & D_HASH_FT_LRU) != 0)
            d_list_move(link, bucket);
        return link;
    }
    return NULL;
}

int
d_hash_table_create_inplace(uint32_t feats, uint32_t bits, void *priv, d_hash_table_ops_t *hops,
    struct d_hash_table *htable)
{
    if (hops == NULL || hops->hop_key_cmp == NULL || bits > HASH_BITS_MAX)
        return -DER_INVAL;
    memset(htable, 0, sizeof(*htable));
    htable->ht_feats = feats;
    htable->ht_bits = bits;
    htable->ht_priv = priv;
    htable->ht_ops = hops;
    htable->ht_buckets = calloc(buckets_nr(htable), sizeof(htable->ht_buckets[0]));
    if (htable->ht_buckets == NULL)
        return -DER_NOMEM;
    for (uint32_t i = 0; i < buckets_nr(htable); i++) {
        D_INIT_LIST_HEAD(&htable->ht_buckets[i].hb_head);
    }
    if ((feats & D_HASH_FT_NOLOCK) == 0)
        pthread_mutex_init(&htable->ht_lock.mutex, NULL);
    return 0;
}

int
d_hash_table_create(uint32_t feats, uint32_t bits, void *priv, d_hash_table_ops_t *hops,
    struct d_hash_table **htable_pp)
{
    struct d_hash_table *htable = malloc(sizeof(*htable));
    int rc;

    if (htable == NULL)
        return -DER_NOMEM;
    rc = d_hash_table_create_inplace(feats, bits, priv, hops, htable);
    if (rc != 0) {
        free(htable);
        return rc;
    }
    *htable_pp = htable;
    return 0;
}

int
d_hash_table_traverse(struct d_hash_table *htable, d_hash_traverse_cb_t cb, void *arg)
{
    int rc = 0;

    if (htable->ht_buckets == NULL || cb == NULL)
        return -DER_INVAL;
    table_lock(htable);
    for (uint32_t i = 0; i < buckets_nr(htable) && rc == 0; i++) {
        d_list_t *link;
        d_list_t *next;

        d_list_for_each_safe(link, next, &htable->ht_buckets[i].hb_head)
        {
            rc = cb(link, arg);
            if (rc != 0)
                break;
        }
    }
    table_unlock(htable);
    return rc;
}

d_list_t *
d_hash_rec_first(struct d_hash_table *htable)
{
    d_list_t *link = NULL;

    if (htable->ht_buckets == NULL)
        return NULL;
    table_lock(htable);
    for (uint32_t i = 0; i < buckets_nr(htable) && link == NULL; i++) {
        if (!d_list_empty(&htable->ht_buckets[i].hb_head))
            link = htable->ht_buckets[i].hb_head.next;
    }
    table_unlock(htable);
    return link;
}

int
d_hash_table_destroy_inplace(struct d_hash_table *htable, bool force)
{
    d_list_t *link;

    while ((link = d_hash_rec_first(htable)) != NULL) {
        if (!force)
            return -DER_BUSY;
        d_hash_rec_delete_at(htable, link);
    }
    if ((htable->ht_feats & D_HASH_FT_NOLOCK) == 0)
        pthread_mutex_destroy(&htable->ht_lock.mutex);
    free(htable->ht_buckets);
    memset(htable, 0, sizeof(*htable));
    return 0;
}

int
d_hash_table_destroy(struct d_hash_table *htable, bool force)
{
    int rc;

    if (htable == NULL)
        return 0;
    rc = d_hash_table_destroy_inplace(htable, force);
    if (rc == 0)
        free(htable);
    return rc;
}

d_list_t *
d_hash_rec_find(struct d_hash_table *htable, const void *key, unsigned int ksize)
{
    d_list_t *link;

    table_lock(htable);
    link = bucket_find(htable, bucket_of_key(htable, key, ksize), key, ksize);
    if (link != NULL)
        rec_addref(htable, link);
    table_unlock(htable);
    return link;
}

d_list_t *
d_hash_rec_find_insert(
    struct d_hash_table *htable, const void *key, unsigned int ksize, d_list_t *link)
{
    d_list_t *bucket;
    d_list_t *found;

    table_lock(htable);
    bucket = bucket_of_key(htable, key, ksize);
    found = bucket_find(htable, bucket, key, ksize);
    if (found != NULL) {
        rec_addref(htable, found);
    } else {
        rec_link(htable, bucket, link);
    }
    table_unlock(htable);
    return found != NULL ? found : link;
}

int
d_hash_rec_insert(struct d_hash_table *htable, const void *key, unsigned int ksize, d_list_t *link,
    bool exclusive)
{
    d_list_t *bucket;
    int rc = 0;

    if (key == NULL || ksize == 0)
        return -DER_INVAL;
    table_lock(htable);
    bucket = bucket_of_key(htable, key, ksize);
    if (exclusive && bucket_find(htable, bucket, key, ksize) != NULL) {
        rc = -DER_EXIST;
    } else {
        rec_link(htable, bucket, link);
    }
    table_unlock(htable);
    return rc;
}

int
d_hash_rec_insert_anonym(struct d_hash_table *htable, d_list_t *link, void *arg)
{
    if (htable->ht_ops->hop_key_init == NULL || htable->ht_ops->hop_rec_hash == NULL)
        return -DER_INVAL;
    table_lock(htable);
    htable->ht_ops->hop_key_init(htable, link, arg);
    rec_link(htable, bucket_of(htable, htable->ht_ops->hop_rec_hash(htable, link)), link);
    table_unlock(htable);
    return 0;
}

bool
d_hash_rec_delete(struct d_hash_table *htable, const void *key, unsigned int ksize)
{
    d_list_t *link;
    bool last = false;

    table_lock(htable);
    link = bucket_find(htable, bucket_of_key(htable, key, ksize), key, ksize);
    if (link != NULL)
        last = rec_unlink(htable, link);
    table_unlock(htable);
    if (last)
        rec_free(htable, link);
    return link != NULL;
}

bool
d_hash_rec_delete_at(struct d_hash_table *htable, d_list_t *link)
{
    bool linked;
    bool last = false;

    table_lock(htable);
    linked = !d_list_empty(link);
    if (linked)
        last = rec_unlink(htable, link);
    table_unlock(htable);
    if (last)
        rec_free(htable, link);
    return linked;
}

bool
d_hash_rec_evict(struct d_hash_table *htable, const void *key, unsigned int ksize)
{
    d_list_t *bucket;
    d_list_t *link;

    if ((htable->ht_feats & D_HASH_FT_LRU) == 0)
        return false;
    table_lock(htable);
    bucket = bucket_of_key(htable, key, ksize);
    link = bucket_find(htable, bucket, key, ksize);
    if (link != NULL)
        d_list_move_tail(link, bucket);
    table_unlock(htable);
    return link != NULL;
}

bool
d_hash_rec_evict_at(struct d_hash_table *htable, d_list_t *link)
{
    bool done = false;

    if ((htable->ht_feats & D_HASH_FT_LRU) == 0 || htable->ht_ops->hop_rec_hash == NULL)
        return false;
    table_lock(htable);
    if (!d_list_empty(link)) {
        d_list_move_tail(link, bucket_of(htable, htable->ht_ops->hop_rec_hash(htable, link)));
        done = true;
    }
    table_unlock(htable);
    return done;
}

void
d_hash_rec_addref(struct d_hash_table *htable, d_list_t *link)
{
    table_lock(htable);
    rec_addref(htable, link);
    table_unlock(htable);
}

/* After a reference was dropped: an ephemeral record without one leaves the table, and any is freed. */
static void
rec_put(struct d_hash_table *htable, d_list_t *link, bool last)
{
    if (last && is_ephemeral(htable) && !d_list_empty(link))
        d_list_del_init(link);
    table_unlock(htable);
    if (last)
        rec_free(htable, link);
}

void
d_hash_rec_decref(struct d_hash_table *htable, d_list_t *link)
{
    table_lock(htable);
    rec_put(htable, link, rec_decref(htable, link));
}

int
d_hash_rec_ndecref(struct d_hash_table *htable, int count, d_list_t *link)
{
    int rc = 0;

    table_lock(htable);
    if (htable->ht_ops->hop_rec_ndecref != NULL) {
        rc = htable->ht_ops->hop_rec_ndecref(htable, link, count);
    } else {
        for (; count > 0 && rc == 0; count--) {
            rc = rec_decref(htable, link);
        }
        if (count > 0)
            rc = -DER_INVAL; /* More were to be dropped than there are. */
    }
    rec_put(htable, link, rc == 1);
    return rc < 0 ? rc : 0;
}

bool
d_hash_rec_unlinked(d_list_t *link)
{
    return d_list_empty(link);
}
