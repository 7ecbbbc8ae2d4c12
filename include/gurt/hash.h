/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Chained hash tables of reference-counted records. The link is a member of the caller's record; the caller's table of functions
 * compares keys, hashes and counts references.
 *
 * Locking: by default a spin lock for the whole table; D_HASH_FT_MUTEX and D_HASH_FT_RWLOCK choose others, D_HASH_FT_NOLOCK none.
 * Without D_HASH_FT_GLOCK each bucket may have a lock of its own.
 */
#ifndef CAIRN_GURT_HASH_H
#define CAIRN_GURT_HASH_H

#include <gurt/atomic.h>
#include <gurt/list.h>
#include <gurt/types.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

struct d_hash_table;

/** What the table asks of its user. hop_key_cmp is required; hop_key_init only for anonymous inserts; the rest is optional. */
typedef struct {
    /** True when the record at *link* has this key. */
    bool (*hop_key_cmp)(
        struct d_hash_table *htable, d_list_t *link, const void *key, unsigned int ksize);
    /** Give a key to a record inserted without one. */
    void (*hop_key_init)(struct d_hash_table *htable, d_list_t *link, void *arg);
    /** Hash of a key; a default is used when absent. */
    uint32_t (*hop_key_hash)(struct d_hash_table *htable, const void *key, unsigned int ksize);
    /** Hash of a record's key: needed where the call has only the link (delete_at, anonymous inserts, bucket locks). */
    uint32_t (*hop_rec_hash)(struct d_hash_table *htable, d_list_t *link);
    /** Take a reference; called by find and, unless the table is ephemeral, insert. */
    void (*hop_rec_addref)(struct d_hash_table *htable, d_list_t *link);
    /** Drop a reference; true when it was the last. */
    bool (*hop_rec_decref)(struct d_hash_table *htable, d_list_t *link);
    /** Drop several; 1 when the last is gone, 0 when not, negative on error. */
    int (*hop_rec_ndecref)(struct d_hash_table *htable, d_list_t *link, int count);
    /** Free a record without references. */
    void (*hop_rec_free)(struct d_hash_table *htable, d_list_t *link);
} d_hash_table_ops_t;

/** Features of a table. */
enum d_hash_feats {
    /** The caller serialises all calls. */
    D_HASH_FT_NOLOCK = (1 << 0),
    D_HASH_FT_MUTEX = (1 << 1),
    D_HASH_FT_RWLOCK = (1 << 2),
    /** The table holds no reference of its own: dropping the last one takes the record out. */
    D_HASH_FT_EPHEMERAL = (1 << 3),
    /** A record that was found moves to the front of its bucket. */
    D_HASH_FT_LRU = (1 << 4),
    /** hop_key_init is safe without the lock. */
    D_HASH_FT_NO_KEYINIT_LOCK = (1 << 5),
    /** One lock for the whole table. */
    D_HASH_FT_GLOCK = (1 << 15)
};

/** Room for a lock of any kind. */
union d_hash_lock {
    pthread_mutex_t mutex;
    unsigned char space[56];
};

struct d_hash_bucket {
    d_list_t hb_head;
};

/** Members are the library's, except ht_priv. */
struct d_hash_table {
    union d_hash_lock ht_lock;
    uint32_t ht_bits;
    uint32_t ht_feats;
    /** The pointer given at creation. */
    void *ht_priv;
    d_hash_table_ops_t *ht_ops;
    struct d_hash_bucket *ht_buckets;
    union d_hash_lock *ht_locks;
};

/** Create a table of 2^*bits* buckets. Returns 0, -DER_INVAL or -DER_NOMEM. */
int d_hash_table_create(uint32_t feats, uint32_t bits, void *priv, d_hash_table_ops_t *hops,
    struct d_hash_table **htable_pp);

/** The same in memory of the caller. */
int d_hash_table_create_inplace(uint32_t feats, uint32_t bits, void *priv, d_hash_table_ops_t *hops,
    struct d_hash_table *htable);

/** Non-zero ends the walk. */
typedef int (*d_hash_traverse_cb_t)(d_list_t *link, void *arg);

/** Call *cb* for every record; returns what the last call returned. */
int d_hash_table_traverse(struct d_hash_table *htable, d_hash_traverse_cb_t cb, void *arg);

/** Destroy a table. With records in it: -DER_BUSY, or with *force* they are taken out and dropped first. */
int d_hash_table_destroy(struct d_hash_table *htable, bool force);
int d_hash_table_destroy_inplace(struct d_hash_table *htable, bool force);

/** The record with this key, with a reference for the caller; NULL when there is none. */
d_list_t *d_hash_rec_find(struct d_hash_table *htable, const void *key, unsigned int ksize);

/** The record with this key; when there is none, *link* is inserted and returned. */
d_list_t *d_hash_rec_find_insert(
    struct d_hash_table *htable, const void *key, unsigned int ksize, d_list_t *link);

/** Insert a record. With *exclusive*, -DER_EXIST when the key is there already. */
int d_hash_rec_insert(struct d_hash_table *htable, const void *key, unsigned int ksize,
    d_list_t *link, bool exclusive);

/** Insert a record whose key hop_key_init makes. */
int d_hash_rec_insert_anonym(struct d_hash_table *htable, d_list_t *link, void *arg);

/** Take out the record with this key; false when there is none. */
bool d_hash_rec_delete(struct d_hash_table *htable, const void *key, unsigned int ksize);

/** Take out this record; false when it is in no table. */
bool d_hash_rec_delete_at(struct d_hash_table *htable, d_list_t *link);

/** Move a record to the end of its bucket (tables with LRU only); false when nothing was done. */
bool d_hash_rec_evict(struct d_hash_table *htable, const void *key, unsigned int ksize);
bool d_hash_rec_evict_at(struct d_hash_table *htable, d_list_t *link);

/** Take or drop references of a record. Dropping the last one frees it. */
void d_hash_rec_addref(struct d_hash_table *htable, d_list_t *link);
void d_hash_rec_decref(struct d_hash_table *htable, d_list_t *link);
int d_hash_rec_ndecref(struct d_hash_table *htable, int count, d_list_t *link);

/** True when the record is in no table. */
bool d_hash_rec_unlinked(d_list_t *link);

/** Some record of the table, NULL when it is empty. */
d_list_t *d_hash_rec_first(struct d_hash_table *htable);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_GURT_HASH_H */
