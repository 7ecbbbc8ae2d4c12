/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bio on one core, files on tmpfs: transactions that nobody waits for (what the CPU can do), and transactions that their ULTs wait
 * for, 1 or 16 at a time. A transaction allocates three blocks of 64 bytes, frees the three of 1000 transactions before, and links them.
 *
 * On a file system on a disk, durable: the same; values of 4 KiB, 16 in flight, through the log (as vos keeps values of up to 4 KiB) and
 * as extents of the data role; what fio reaches with 4 KiB random writes, 16 in flight, O_DIRECT, on the same file system, without and
 * with O_DSYNC; and how fast a log is filled with zeros, alone.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bio/bio.h"
#include "plat/plat_linux.h"

enum { WINDOW = 1000, BLOCKS = 3, VALUE_BYTES = 4096, WAL_BYTES = 64 << 20 };
#define DISK_DIR "/var/tmp"

enum what { SMALL_BLOCKS, LOG_VALUE, EXTENT };

struct world {
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *tgt;
    struct bio_cfg cfg;
    uint64_t times, ults_nr, left;
    uint64_t offs[WINDOW][BLOCKS];
    struct bio_ext exts[WINDOW];
    uint64_t at;
    enum what what;
    bool done, waits;
    double value, format_s;
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

static uint64_t
one_value(struct world *w)
{
    struct umem *um = bio_umem(w->tgt);
    uint64_t *off = &w->offs[w->at++ % WINDOW][0], lsn = 0;
    struct umem_tx tx;
    int rc;

    do {
        must(umem_tx_admit(um));
        rc = umem_tx_begin(um, 0, 1, &tx);
    } while (rc == -DER_AGAIN);
    must(rc);
    if (*off != 0)
        must(umem_free(&tx, *off));
    must(umem_alloc(&tx, VALUE_BYTES, off));
    memset(umem_ptr(um, *off), (int)w->at, VALUE_BYTES);
    umem_tx_commit(&tx, &lsn);
    return lsn;
}

static uint64_t
one_extent(struct world *w, uint8_t *buf)
{
    struct umem *um = bio_umem(w->tgt);
    struct bio_resv *resv = NULL;
    struct bio_ext *ext;
    uint64_t lsn = 0;
    struct umem_tx tx;
    int rc;

    memset(buf, (int)w->at, VALUE_BYTES);
    must(bio_ext_reserve(w->tgt, VALUE_BYTES, 0, &resv));
    must(bio_data_write(w->tgt, bio_resv_ext(resv).addr, buf, VALUE_BYTES));
    ext = &w->exts[w->at++ % WINDOW];
    do {
        must(umem_tx_admit(um));
        rc = umem_tx_begin(um, 0, 1, &tx);
    } while (rc == -DER_AGAIN);
    must(rc);
    if (ext->len != 0)
        must(bio_ext_free(&tx, w->tgt, *ext));
    must(bio_ext_publish(&tx, w->tgt, resv));
    *ext = bio_resv_ext(resv);
    umem_tx_commit(&tx, &lsn);
    bio_ext_published(w->tgt, resv);
    return lsn;
}

static void
worker(void *arg)
{
    struct world *w = arg;
    void *buf = NULL;

    must(bio_buf_get(w->tgt, VALUE_BYTES, &buf));
    while (w->left > 0) {
        uint64_t lsn;

        w->left--;
        lsn = w->what == EXTENT    ? one_extent(w, buf)
            : w->what == LOG_VALUE ? one_value(w)
                                   : one_tx(w);
        if (w->waits)
            must(bio_wal_wait(w->tgt, lsn));
    }
    bio_buf_put(w->tgt, buf, VALUE_BYTES);
}

static void
body(void *arg)
{
    struct world *w = arg;
    struct ult **ults = calloc(w->ults_nr, sizeof(*ults));
    uint64_t start;

    start = bench_now_ns();
    must(bio_format(w->xs, &w->cfg));
    w->format_s = (double)(bench_now_ns() - start) / 1e9;
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
world_run_what(const char *dir, uint64_t times, uint64_t ults_nr, bool waits, enum what what,
    double *ret_format_s)
{
    static const char *const names[] = {"wal", "meta", "data", "target"};
    struct world *w = calloc(1, sizeof(*w));
    char path[300];
    double value;

    w->times = w->left = bench_times(times);
    w->ults_nr = ults_nr;
    w->waits = waits;
    w->what = what;
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
    if (ret_format_s != NULL)
        *ret_format_s = w->format_s;
    free(w);
    return value;
}

static double
world_run(const char *dir, uint64_t times, uint64_t ults_nr, bool waits)
{
    return world_run_what(dir, times, ults_nr, waits, SMALL_BLOCKS, NULL);
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

/* Real files, durable. */
BENCH(commit_file)
{
    double format_s;

    bench_put(&(struct bench_figure){
        "bio.commit.file_1", "tx/s", world_run(DISK_DIR, 5000, 1, true), 0, NULL});
    bench_put(&(struct bench_figure){"bio.commit.file_16", "tx/s",
        world_run_what(DISK_DIR, 50000, 16, true, SMALL_BLOCKS, &format_s), 0, NULL});
    bench_put(&(struct bench_figure){"bio.format.file", "MB/s", WAL_BYTES / 1e6 / format_s, 0,
        NULL}); /* nearly all of it is the log */
}

/* IOPS of fio; 0: it is not there (make deps-bench). */
static double
fio_iops(const char *sync)
{
    enum { WRITE_IOPS = 49 }; /* field of its terse output, version 3 */
    char cmd[600], path[200], line[8192];
    double iops = 0;
    FILE *out;

    snprintf(path, sizeof(path), "%s/bio_bench_fio.%d", DISK_DIR, (int)getpid());
    snprintf(cmd, sizeof(cmd),
        "fio --name=w --filename=%s --size=256M --overwrite=1 --rw=randwrite --bs=4k --iodepth=16 "
        "--ioengine=io_uring --direct=1 --sync=%s --runtime=%d --time_based "
        "--output-format=terse --terse-version=3 2>/dev/null",
        path, sync, bench_times(4) > 1 ? 4 : 1);
    out = popen(cmd, "r");
    while (out != NULL && fgets(line, sizeof(line), out) != NULL) {
        char *save = NULL, *field = strtok_r(line, ";", &save);

        for (uint32_t i = 1; field != NULL && i < WRITE_IOPS; i++) {
            field = strtok_r(NULL, ";", &save);
        }
        if (field != NULL)
            iops = strtod(field, NULL);
    }
    if (out != NULL)
        pclose(out);
    unlink(path);
    return iops;
}

BENCH(value_file)
{
    double fio = fio_iops("none"), fio_durable = fio_iops("dsync");
    bool has_fio = fio > 0;

    if (has_fio) {
        bench_put(&(struct bench_figure){"bio.fio.randwrite_16.4KiB", "IO/s", fio, 0, NULL});
        bench_put(&(struct bench_figure){"bio.fio.dsync_16.4KiB", "IO/s", fio_durable, 0, NULL});
    }
    bench_put(&(struct bench_figure){"bio.value.file_16.4KiB", "values/s",
        world_run_what(DISK_DIR, 80000, 16, true, LOG_VALUE, NULL), fio * 0.6,
        has_fio ? "bio.fio.randwrite_16.4KiB" : NULL});
    bench_put(&(struct bench_figure){"bio.extent.file_16.4KiB", "values/s",
        world_run_what(DISK_DIR, 20000, 16, true, EXTENT, NULL), 0,
        has_fio ? "bio.fio.randwrite_16.4KiB" : NULL});
}
