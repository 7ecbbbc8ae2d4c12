/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bench_store: a store of its own for a benchmark of vos, in a fresh folder on tmpfs or on a disk, driven by the calling thread, with a number of
 * operations in flight.
 */
#ifndef CAIRN_BENCH_STORE_H
#define CAIRN_BENCH_STORE_H

#include "bench.h"
#include "vos/vos.h"

struct bench_store {
    /* Set before bench_store_run(): sizes of cfg (0: 1 GiB of log, 4 GiB of metadata and of data), the rest may be zero. */
    struct bio_cfg cfg;
    bool on_disk; /* below bench_dir() instead of /dev/shm */
    bool is_kept, is_reused; /* the store stays in cairn-bench-keep of that folder; it is there */
    uint32_t flight_nr; /* 0: 16 */
    uint32_t stack_bytes; /* 0: the usual */
    void *arg;

    char dir[BIO_PATH_BYTES / 2]; /* all of it: cfg.dir lies in here */
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *tgt;
    struct vos_cont *cont;
    struct uuid pool_id, cont_id;
    /* of bench_store_rate() */
    void (*op)(struct bench_store *st, uint64_t i, uint32_t slot);
    uint64_t next, times;
    uint32_t slot_nr, live_nr;
    struct ult_cond idle;
    bool done;
    void (*body)(struct bench_store *st);
};

/** Format and open a store, run the body on a ULT, close what it left open, remove the folder. Failures: bench_fail(). */
void bench_store_run(struct bench_store *st, void (*body)(struct bench_store *st));
/** Ends the process with the error's name unless rc is 0. */
void bench_must(int rc);
CAIRN_YIELDS void bench_store_open(struct bench_store *st);
CAIRN_YIELDS void bench_store_close(struct bench_store *st); /* nothing when it is closed */
/** Operations per second: op(st, i, slot) for each i below `times` once, on `flight_nr` ULTs, whose numbers are the slots. */
CAIRN_YIELDS double bench_store_rate(struct bench_store *st, uint64_t times,
    void (*op)(struct bench_store *st, uint64_t i, uint32_t slot));
/** Drop the kernel's copies of all files of a folder; nobody has them open. */
void bench_files_drop(const char *dir);
/** Space that the files of a folder take. */
uint64_t bench_files_bytes(const char *dir);
struct umem_stats bench_store_umem(struct bench_store *st);
/** Memory of pages and tables of the arena. */
uint64_t bench_store_memory(struct bench_store *st);

#endif
