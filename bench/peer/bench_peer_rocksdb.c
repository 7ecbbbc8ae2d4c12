/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * RocksDB: its defaults, with a block cache as large as the memory given, Bloom filters of 10 bits, log files that are used again (a sync need not change the file's size then), and
 * without compression, which values of noise would not gain from (--set rocksdb_snappy=1: its default). Its threads compact on other cores.
 */
#include "bench_peer.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WRITE_BUFFER_BYTES = 64 << 20, /* its default; two of them */
    BLOOM_BITS = 10,
    LOGS_KEPT_NR = 4,
    POLL_US = 20000,
    QUIET_NR = 5
};

struct peer {
    const struct peer_bench *pb;
    char dir[BIO_PATH_BYTES];
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write, *write_sync;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch;
    uint8_t value[PEER_VALUE_BYTES_MAX];
};

static void
check(const char *err)
{
    peer_must(err == NULL, "rocksdb", err);
}

/* Its keys are bytes: the order of numbers needs the highest first. */
static uint64_t
key_bytes(uint64_t key)
{
    return __builtin_bswap64(key);
}

static struct peer *
pr_create(const struct peer_bench *pb, const char *dir)
{
    struct peer *p = calloc(1, sizeof(*p));

    if (p == NULL)
        abort();
    p->pb = pb;
    strncpy(p->dir, dir, sizeof(p->dir) - 1);
    p->options = rocksdb_options_create();
    p->table = rocksdb_block_based_options_create();
    p->cache = rocksdb_cache_create_lru(pb->mem_bytes > 4 * WRITE_BUFFER_BYTES
            ? pb->mem_bytes - 2 * WRITE_BUFFER_BYTES
            : pb->mem_bytes / 2);
    rocksdb_block_based_options_set_block_cache(p->table, p->cache);
    rocksdb_block_based_options_set_filter_policy(
        p->table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_options_set_block_based_table_factory(p->options, p->table);
    rocksdb_options_set_create_if_missing(p->options, 1);
    rocksdb_options_set_recycle_log_file_num(p->options, LOGS_KEPT_NR);
    rocksdb_options_set_compression(p->options,
        bench_opt("rocksdb_snappy", 0) != 0 ? rocksdb_snappy_compression : rocksdb_no_compression);
    p->write = rocksdb_writeoptions_create();
    p->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(p->write_sync, 1);
    p->read = rocksdb_readoptions_create();
    p->batch = rocksdb_writebatch_create();
    return p;
}

static void
pr_destroy(struct peer *p)
{
    rocksdb_writebatch_destroy(p->batch);
    rocksdb_readoptions_destroy(p->read);
    rocksdb_writeoptions_destroy(p->write_sync);
    rocksdb_writeoptions_destroy(p->write);
    rocksdb_options_destroy(p->options);
    rocksdb_block_based_options_destroy(p->table);
    rocksdb_cache_destroy(p->cache);
    free(p);
}

static void
pr_open(struct peer *p)
{
    char *err = NULL;

    p->db = rocksdb_open(p->options, p->dir, &err);
    check(err);
}

static void
pr_close(struct peer *p)
{
    rocksdb_close(p->db);
}

static void
pr_update(struct peer *p, const struct peer_run *run)
{
    for (uint64_t i = 0; i < run->nr;) {
        char *err = NULL;

        rocksdb_writebatch_clear(p->batch);
        for (uint32_t j = 0; j < PEER_GROUP_NR && i < run->nr; j++, i++) {
            uint64_t key = peer_key(run, i), bytes = key_bytes(key);

            peer_value(p->pb, key, p->value);
            rocksdb_writebatch_put(p->batch, (const char *)&bytes, sizeof(bytes),
                (const char *)p->value, p->pb->value_bytes);
        }
        rocksdb_write(p->db, p->write_sync, p->batch, &err);
        check(err);
    }
}

static void
pr_update_singles(struct peer *p, const struct peer_run *run)
{
    for (uint64_t i = 0; i < run->nr; i++) {
        uint64_t key = peer_key(run, i), bytes = key_bytes(key);
        bool is_last = i % PEER_GROUP_NR == PEER_GROUP_NR - 1 || i == run->nr - 1;
        char *err = NULL;

        peer_value(p->pb, key, p->value);
        rocksdb_put(p->db, is_last ? p->write_sync : p->write, (const char *)&bytes, sizeof(bytes),
            (const char *)p->value, p->pb->value_bytes, &err);
        check(err);
    }
}

static void
pr_fetch(struct peer *p, const struct peer_run *run, uint32_t flight_nr)
{
    (void)flight_nr;
    for (uint64_t i = 0; i < run->nr; i++) {
        uint64_t key = peer_key(run, i), bytes = key_bytes(key);
        rocksdb_pinnableslice_t *slice;
        const char *buf;
        char *err = NULL;
        size_t len;

        slice = rocksdb_get_pinned(p->db, p->read, (const char *)&bytes, sizeof(bytes), &err);
        check(err);
        peer_must(slice != NULL, "rocksdb", "a key is missing");
        buf = rocksdb_pinnableslice_value(slice, &len);
        memcpy(p->value, buf, len < sizeof(p->value) ? len : sizeof(p->value));
        peer_value_check(p->pb, key, p->value, len);
        rocksdb_pinnableslice_destroy(slice);
    }
}

static uint64_t
pr_list(struct peer *p, uint64_t from, uint64_t nr)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(p->db, p->read);
    uint64_t bytes = key_bytes(from), seen = 0, last = 0;

    rocksdb_iter_seek(it, (const char *)&bytes, sizeof(bytes));
    for (; seen < nr && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t len;
        uint64_t key;

        memcpy(&key, rocksdb_iter_key(it, &len), sizeof(key));
        key = key_bytes(key);
        peer_must(seen == 0 || key > last, "rocksdb", "a listing out of order");
        last = key;
        seen++;
    }
    rocksdb_iter_destroy(it);
    return seen;
}

static void
pr_settle(struct peer *p)
{
    static const char *const names[] = {"rocksdb.num-running-compactions",
        "rocksdb.num-running-flushes", "rocksdb.compaction-pending",
        "rocksdb.mem-table-flush-pending"};

    /* Between two jobs nothing runs for a moment. */
    for (int quiet = 0; quiet < QUIET_NR; usleep(POLL_US)) {
        uint64_t sum = 0;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            uint64_t value = 0;

            (void)rocksdb_property_int(p->db, names[i], &value);
            sum += value;
        }
        quiet = sum == 0 ? quiet + 1 : 0;
    }
}

static uint64_t
pr_memory(struct peer *p)
{
    uint64_t tables = 0, readers = 0;

    (void)rocksdb_property_int(p->db, "rocksdb.size-all-mem-tables", &tables);
    (void)rocksdb_property_int(p->db, "rocksdb.estimate-table-readers-mem", &readers);
    return tables + readers + rocksdb_cache_get_usage(p->cache);
}

const struct peer_ops peer_rocksdb = {.name = "rocksdb",
    .has_singles = true,
    .create = pr_create,
    .destroy = pr_destroy,
    .open = pr_open,
    .close = pr_close,
    .update = pr_update,
    .update_singles = pr_update_singles,
    .fetch = pr_fetch,
    .list = pr_list,
    .settle = pr_settle,
    .memory = pr_memory};
