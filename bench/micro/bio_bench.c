/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bio on one core, files on tmpfs: transactions that nobody waits for (what the CPU can do), and transactions that their ULTs wait
 * for, 1 or 16 at a time. A transaction allocates three blocks of 64 bytes, frees the three of 1000 transactions before, and links them.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bio/bio.h"
#include "plat/plat_linux.h"

enum { WINDOW = 1000, BLOCKS = 3 };

struct world {
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *tgt;
    struct bio_cfg cfg;
    uint64_t times, ults_nr, left;
    uint64_t offs[WINDOW][BLOCKS];
    uint64_t at;
    bool done, waits;
    double value;
};

static void
must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "bio_bench: %s\n", err_name(rc));
        abort();
    }
}

static uint64_t
one_tx(struct world *w)
{
    struct umem *um = bio_umem(w->tgt);
    uint64_t *offs = w->offs[w->at++ % WINDOW], lsn = 0;
    struct umem_tx tx;
    int rc;

    do {
        must(umem_tx_admit(um));
        rc = umem_tx_begin(um, 0, 1, &tx);
    } while (rc == -DER_AGAIN);
    must(rc);
    must(umem_tx_range(&tx, umem_root(um), 8));
    for (uint32_t i = 0; i < BLOCKS; i++) {
        if (offs[i] != 0)
            must(umem_free(&tx, offs[i]));
        must(umem_alloc(&tx, 64, &offs[i]));
        memcpy(umem_ptr(um, offs[i]), &w->at, 8);
    }
    memcpy(umem_ptr(um, umem_root(um)), &offs[0], 8);
    umem_tx_commit(&tx, &lsn);
    return lsn;
}

static void
worker(void *arg)
{
    struct world *w = arg;

    while (w->left > 0) {
        uint64_t lsn;

        w->left--;
        lsn = one_tx(w);
        if (w->waits)
            must(bio_wal_wait(w->tgt, lsn));
    }
}

static void
body(void *arg)
{
    struct world *w = arg;
    struct ult **ults = calloc(w->ults_nr, sizeof(*ults));
    uint64_t start;

    must(bio_format(w->xs, &w->cfg));
    must(bio_open(w->xs, &w->cfg, &w->tgt));
    start = bench_now_ns();
    for (uint64_t i = 0; i < w->ults_nr; i++) {
        must(ult_create(w->xs, ULT_SERVICE, worker, w, &ults[i]));
    }
    for (uint64_t i = 0; i < w->ults_nr; i++) {
        ult_join(ults[i]);
    }
    must(bio_wal_wait(w->tgt, bio_wal_last(w->tgt)));
    w->value = bench_rate(w->times, start);
    bio_close(w->tgt);
    free(ults);
    w->done = true;
}

static double
world_run(const char *dir, uint64_t times, uint64_t ults_nr, bool waits)
{
    static const char *const names[] = {"wal", "meta", "data", "target"};
    struct world *w = calloc(1, sizeof(*w));
    char path[300];
    double value;

    w->times = w->left = bench_times(times);
    w->ults_nr = ults_nr;
    w->waits = waits;
    snprintf(w->cfg.dir, sizeof(w->cfg.dir), "%s/bio_bench.%d", dir, (int)getpid());
    must(plat_linux_create(&w->plat));
    must(xstream_create(w->plat, NULL, &w->xs));
    must(ult_create(w->xs, ULT_SERVICE, body, w, NULL));
    must(xstream_drive(w->xs, &w->done, PLAT_NEVER_NS));
    for (uint32_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", w->cfg.dir, names[i]);
        must(w->plat->ops->file_remove(w->plat, path));
    }
    rmdir(w->cfg.dir);
    xstream_destroy(w->xs);
    plat_linux_destroy(w->plat);
    value = w->value;
    free(w);
    return value;
}

BENCH(tx)
{
    bench_put(&(struct bench_figure){
        "bio.tx.3x64", "tx/s", world_run("/dev/shm", 2000000, 1, false), 1e6, NULL});
}

BENCH(commit)
{
    bench_put(&(struct bench_figure){
        "bio.commit.ram_1", "tx/s", world_run("/dev/shm", 200000, 1, true), 0, NULL});
    bench_put(&(struct bench_figure){
        "bio.commit.ram_16", "tx/s", world_run("/dev/shm", 500000, 16, true), 0, "bio.tx.3x64"});
}

/* Real files, durable; where the checkout lies. */
BENCH(commit_file)
{
    bench_put(&(struct bench_figure){
        "bio.commit.file_1", "tx/s", world_run("/var/tmp", 5000, 1, true), 0, NULL});
    bench_put(&(struct bench_figure){
        "bio.commit.file_16", "tx/s", world_run("/var/tmp", 50000, 16, true), 0, NULL});
}
