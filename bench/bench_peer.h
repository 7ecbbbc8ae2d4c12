/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bench_peer: one store as the comparison with others (micro/peer_bench.c) sees it: keys of 64 bits, values of one size, at most 64 updates that are not durable yet.
 */
#ifndef CAIRN_BENCH_PEER_H
#define CAIRN_BENCH_PEER_H

#include "base/hash.h"
#include "bench_store.h"

enum { PEER_GROUP_NR = 64, PEER_VALUE_BYTES_MAX = 4096, PEER_POOL_BYTES = 1 << 20 };

/* Which keys a number of operations goes to. */
struct peer_run {
    uint64_t nr;
    uint64_t first; /* range 0: those inserted as number first, first + 1, ... */
    uint64_t range,
        salt; /* else any of the first `range` inserted ones, another order for each salt */
};

static inline uint64_t
peer_key(const struct peer_run *run, uint64_t i)
{
    uint64_t at = run->range != 0 ? hash_mix64(i ^ run->salt) % run->range : run->first + i;

    return hash_mix64(at + 1); /* a permutation */
}

struct peer_bench {
    struct bench_store *st;
    uint32_t value_bytes;
    uint64_t mem_bytes; /* of caches */
    const uint8_t *pool; /* PEER_POOL_BYTES of noise, which does not compress */
};

/** A value that its key is the beginning of. */
void peer_value(const struct peer_bench *pb, uint64_t key, uint8_t *buf);
/** Ends the process unless it is one. */
void peer_value_check(const struct peer_bench *pb, uint64_t key, const void *buf, size_t len);
/** Ends the process with the words unless ok. */
void peer_must(bool ok, const char *store, const char *what);

struct peer;

struct peer_ops {
    const char *name;
    bool has_singles; /* update_singles differs from update */
    struct peer *(*create)(const struct peer_bench *pb, const char *dir);
    void (*destroy)(struct peer *p); /* closed */
    void (*open)(struct peer *p);
    void (*close)(struct peer *p);
    /* In groups of 64 that become durable together; singles: a call for each, the 64th one waits until all are durable. */
    void (*update)(struct peer *p, const struct peer_run *run);
    void (*update_singles)(struct peer *p, const struct peer_run *run);
    void (*fetch)(struct peer *p, const struct peer_run *run, uint32_t flight_nr);
    uint64_t (*list)(struct peer *p, uint64_t from, uint64_t nr); /* keys from this one upwards */
    void (*settle)(struct peer *p); /* end the work in the background */
    uint64_t (*memory)(struct peer *p); /* bytes of its own; not the kernel's cache of its files */
    void (*stats)(struct peer *p); /* NULL: none */
};

/* The keys of vos: integers, bytes by their hash, bytes in their order; the last two of 16 bytes. Each kind is an object of its own. */
enum peer_kind {
    PEER_INTEGER,
    PEER_HASHED,
    PEER_LEXICAL,
    PEER_HASHED_LONG,
    PEER_LEXICAL_LONG,
    PEER_KIND_NR
};
void peer_vos_kind_set(struct peer *p, enum peer_kind kind);

extern const struct peer_ops peer_vos, peer_rocksdb, peer_lmdb;

#endif
