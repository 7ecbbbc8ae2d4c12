/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "bench_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/plat_linux.h"

void
bench_must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "bench: %s\n", err_name(rc));
        abort();
    }
}

/* ---- folders ----------------------------------------------------------------------------------------------------------- */

/* Stores here keep their files in one folder, without further ones. */
static uint64_t
files_each(const char *dir, uint64_t (*fn)(int fd))
{
    struct dirent *ent;
    uint64_t sum = 0;
    DIR *d = opendir(dir);

    if (d == NULL)
        return 0;
    while ((ent = readdir(d)) != NULL) {
        int fd = openat(dirfd(d), ent->d_name, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            continue;
        sum += fn(fd);
        close(fd);
    }
    closedir(d);
    return sum;
}

static uint64_t
file_drop(int fd)
{
    return fdatasync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
}

static uint64_t
file_bytes(int fd)
{
    enum { STAT_BLK_BYTES = 512 };
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * STAT_BLK_BYTES : 0;
}

void
bench_files_drop(const char *dir)
{
    (void)files_each(dir, file_drop);
}

uint64_t
bench_files_bytes(const char *dir)
{
    return files_each(dir, file_bytes);
}

/* ---- a store ----------------------------------------------------------------------------------------------------------- */

void
bench_store_open(struct bench_store *st)
{
    bench_must(bio_open(st->xs, &st->cfg, &st->bio));
    bench_must(vos_tgt_open(st->bio, &st->tgt));
    bench_must(vos_cont_open(st->tgt, st->pool_id, st->cont_id, &st->cont));
}

void
bench_store_close(struct bench_store *st)
{
    if (st->cont == NULL)
        return;
    vos_cont_close(st->cont);
    vos_tgt_close(st->tgt);
    bio_close(st->bio);
    st->cont = NULL;
}

static void
store_main(void *arg)
{
    struct bench_store *st = arg;

    if (st->is_reused) {
        bench_store_open(st);
    } else {
        bench_must(bio_format(st->xs, &st->cfg));
        bench_must(bio_open(st->xs, &st->cfg, &st->bio));
        bench_must(vos_tgt_open(st->bio, &st->tgt));
        bench_must(vos_pool_create(
            st->tgt, st->pool_id, st->cfg.meta_bytes / 4 * 3, st->cfg.data_bytes / 8 * 7));
        bench_must(vos_cont_create(st->tgt, st->pool_id, st->cont_id));
        bench_must(vos_cont_open(st->tgt, st->pool_id, st->cont_id, &st->cont));
    }
    st->body(st);
    bench_store_close(st);
    st->done = true;
}

static void
cfg_complete(struct bench_store *st)
{
    const uint64_t gib = UINT64_C(1) << 30;
    struct bio_cfg *cfg = &st->cfg;

    snprintf(cfg->dir, sizeof(cfg->dir), "%s/t", st->dir);
    if (cfg->wal_bytes == 0)
        cfg->wal_bytes = bench_is_quick() ? gib / 16 : gib;
    cfg->meta_bytes = cfg->meta_bytes == 0 ? 4 * gib : cfg->meta_bytes;
    cfg->data_bytes = cfg->data_bytes == 0 ? 4 * gib : cfg->data_bytes;
    cfg->system.b[0] = 1;
    st->pool_id.b[0] = 1;
    st->cont_id.b[0] = 2;
    st->flight_nr = st->flight_nr == 0 ? 16 : st->flight_nr;
}

void
bench_store_run(struct bench_store *st, void (*body)(struct bench_store *st))
{
    struct xstream_opts opts = {.cpu = UINT32_MAX, .stack_bytes = st->stack_bytes};
    char cmd[sizeof(st->dir) + 16], path[PATH_MAX];
    const char *base = "/dev/shm";

    if (st->on_disk)
        base = realpath(bench_dir(), path); /* stores take absolute paths alone */
    snprintf(st->dir, sizeof(st->dir), "%.100s/cairn-bench-%s", base != NULL ? base : "",
        st->is_kept || st->is_reused ? "keep" : "XXXXXX");
    if (st->is_reused     ? access(st->dir, F_OK) != 0
            : st->is_kept ? mkdir(st->dir, 0700) != 0
                          : mkdtemp(st->dir) == NULL) {
        bench_fail("no folder can be made in /dev/shm, or in that of --dir");
        return;
    }
    cfg_complete(st);
    st->body = body;
    bench_must(plat_linux_create(&st->plat));
    bench_must(xstream_create(st->plat, &opts, &st->xs));
    ult_cond_init(&st->idle);
    bench_must(ult_create(st->xs, ULT_SERVICE, store_main, st, NULL));
    bench_must(xstream_drive(st->xs, &st->done, PLAT_NEVER_NS));
    xstream_destroy(st->xs);
    plat_linux_destroy(st->plat);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", st->dir);
    if (!st->is_kept && system(cmd) != 0)
        bench_fail("cannot clean up");
}

static void
flight_main(void *arg)
{
    struct bench_store *st = arg;
    uint32_t slot = st->slot_nr++;

    while (st->next < st->times) {
        st->op(st, st->next++, slot);
    }
    if (--st->live_nr == 0)
        ult_cond_signal(&st->idle);
}

double
bench_store_rate(struct bench_store *st, uint64_t times,
    void (*op)(struct bench_store *st, uint64_t i, uint32_t slot))
{
    uint64_t start = bench_now_ns();

    st->op = op;
    st->next = 0;
    st->times = times;
    st->slot_nr = 0;
    st->live_nr = st->flight_nr;
    for (uint32_t i = 0; i < st->flight_nr; i++) {
        bench_must(ult_create(st->xs, ULT_IO, flight_main, st, NULL));
    }
    do {
        ult_cond_wait(&st->idle, NULL);
    } while (st->live_nr > 0);
    return bench_rate(times, start);
}

struct umem_stats
bench_store_umem(struct bench_store *st)
{
    struct umem_stats stats;

    umem_stats_get(bio_umem(st->bio), &stats);
    return stats;
}

uint64_t
bench_store_memory(struct bench_store *st)
{
    struct umem_stats stats = bench_store_umem(st);

    return (stats.resident_pages_nr << UMEM_PAGE_BITS) + stats.table_bytes;
}
