/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* LMDB: integer keys; a transaction of 64 puts, synced; no read-ahead, since reads are random. --set lmdb_writemap=1: it writes through its mapping. */
#include "bench_peer.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAP_BYTES_SHIFT = 36, FILE_MODE = 0600 };

struct peer {
    const struct peer_bench *pb;
    char dir[BIO_PATH_BYTES];
    MDB_env *env;
    MDB_dbi dbi;
    uint8_t value[PEER_VALUE_BYTES_MAX];
};

static void
check(int rc)
{
    peer_must(rc == 0, "lmdb", rc == 0 ? "" : mdb_strerror(rc));
}

static struct peer *
pl_create(const struct peer_bench *pb, const char *dir)
{
    struct peer *p = calloc(1, sizeof(*p));

    if (p == NULL)
        abort();
    p->pb = pb;
    strncpy(p->dir, dir, sizeof(p->dir) - 1);
    peer_must(mkdir(p->dir, FILE_MODE | S_IXUSR) == 0, "lmdb", "no folder");
    return p;
}

static void
pl_destroy(struct peer *p)
{
    free(p);
}

static void
pl_open(struct peer *p)
{
    unsigned int flags = MDB_NORDAHEAD | MDB_NOMEMINIT;
    MDB_txn *txn;

    if (bench_opt("lmdb_writemap", 0) != 0)
        flags |= MDB_WRITEMAP;
    check(mdb_env_create(&p->env));
    check(mdb_env_set_mapsize(p->env, (size_t)1 << MAP_BYTES_SHIFT));
    check(mdb_env_open(p->env, p->dir, flags, FILE_MODE));
    check(mdb_txn_begin(p->env, NULL, 0, &txn));
    check(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY | MDB_CREATE, &p->dbi));
    check(mdb_txn_commit(txn));
}

static void
pl_close(struct peer *p)
{
    mdb_env_close(p->env);
}

static void
pl_update(struct peer *p, const struct peer_run *run)
{
    for (uint64_t i = 0; i < run->nr;) {
        MDB_txn *txn;

        check(mdb_txn_begin(p->env, NULL, 0, &txn));
        for (uint32_t j = 0; j < PEER_GROUP_NR && i < run->nr; j++, i++) {
            uint64_t key = peer_key(run, i);
            MDB_val k = {sizeof(key), &key}, v = {p->pb->value_bytes, NULL};

            check(mdb_put(txn, p->dbi, &k, &v, MDB_RESERVE));
            peer_value(p->pb, key, v.mv_data);
        }
        check(mdb_txn_commit(txn));
    }
}

/* A read transaction for each, as a store that others change needs it. */
static void
pl_fetch(struct peer *p, const struct peer_run *run, uint32_t flight_nr)
{
    MDB_txn *txn;

    (void)flight_nr;
    check(mdb_txn_begin(p->env, NULL, MDB_RDONLY, &txn));
    for (uint64_t i = 0; i < run->nr; i++) {
        uint64_t key = peer_key(run, i);
        MDB_val k = {sizeof(key), &key}, v;

        mdb_txn_reset(txn);
        check(mdb_txn_renew(txn));
        check(mdb_get(txn, p->dbi, &k, &v));
        memcpy(p->value, v.mv_data, v.mv_size < sizeof(p->value) ? v.mv_size : sizeof(p->value));
        peer_value_check(p->pb, key, p->value, v.mv_size);
    }
    mdb_txn_abort(txn);
}

static uint64_t
pl_list(struct peer *p, uint64_t from, uint64_t nr)
{
    MDB_val k = {sizeof(from), &from}, v;
    uint64_t seen = 0, last = 0;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    check(mdb_txn_begin(p->env, NULL, MDB_RDONLY, &txn));
    check(mdb_cursor_open(txn, p->dbi, &cursor));
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    for (; rc == 0 && seen < nr; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        uint64_t key;

        memcpy(&key, k.mv_data, sizeof(key));
        peer_must(seen == 0 || key > last, "lmdb", "a listing out of order");
        last = key;
        seen++;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return seen;
}

static void
pl_settle(struct peer *p)
{
    (void)p; /* nothing is left for later */
}

static uint64_t
pl_memory(struct peer *p)
{
    (void)p; /* all is the kernel's */
    return 0;
}

const struct peer_ops peer_lmdb = {.name = "lmdb",
    .create = pl_create,
    .destroy = pl_destroy,
    .open = pl_open,
    .close = pl_close,
    .update = pl_update,
    .update_singles = pl_update,
    .fetch = pl_fetch,
    .list = pl_list,
    .settle = pl_settle,
    .memory = pl_memory};
