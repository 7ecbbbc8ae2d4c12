/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the allocators say: blocks of the metadata arena, extents of the data role. */
#include "base/util.h"
#include "ddb/ddb.h"

static int
arena_is_there(struct ddb *d)
{
    int rc = bio_status(d->bio);

    return rc == 0 ? 0 : ddb_fail(d, rc, "the arena cannot be had: %s", err_text(rc));
}

int
ddb_cmd_arena(struct ddb *d, uint32_t nr, char **words)
{
    struct umem_cls_stats cls[UMEM_CLS_NR_MAX];
    uint64_t free_bytes = 0;
    struct umem_stats st;
    uint32_t cls_nr;
    int rc = arena_is_there(d);

    (void)nr;
    (void)words;
    if (rc != 0)
        return rc;
    umem_stats_get(bio_umem(d->bio), &st);
    cls_nr = umem_cls_stats_get(bio_umem(d->bio), cls);
    for (uint32_t i = 0; i < cls_nr; i++) {
        if (cls[i].pages_nr == 0)
            continue;
        free_bytes += cls[i].free_nr * cls[i].bytes;
        ddb_row(d, "classes",
            json_pack("{s:i, s:o, s:o, s:o}", "bytes", (int)cls[i].bytes, "pages",
                ddb_u64(cls[i].pages_nr), "live", ddb_u64(cls[i].live_nr), "free",
                ddb_u64(cls[i].free_nr)));
        ddb_say(d, "blocks of %5u bytes: %lu pages, %lu live, %lu free\n", cls[i].bytes,
            (unsigned long)cls[i].pages_nr, (unsigned long)cls[i].live_nr,
            (unsigned long)cls[i].free_nr);
    }
    ddb_set(d, "arena_bytes", ddb_u64(st.arena_bytes));
    ddb_set(d, "used_bytes", ddb_u64(st.used_bytes));
    ddb_set(d, "reserve_bytes", ddb_u64(st.reserve_bytes));
    ddb_set(d, "fragmented_bytes", ddb_u64(free_bytes));
    ddb_say(
        d, "arena of %lu bytes: %lu in live blocks, %lu free in pages that hold others, %lu kept for reclaiming\n",
        (unsigned long)st.arena_bytes, (unsigned long)st.used_bytes, (unsigned long)free_bytes,
        (unsigned long)st.reserve_bytes);
    return 0;
}

int
ddb_cmd_vea(struct ddb *d, uint32_t nr, char **words)
{
    struct bio_ext_stats st;
    int rc = arena_is_there(d);

    (void)nr;
    (void)words;
    if (rc != 0)
        return rc;
    bio_ext_stats_get(d->bio, &st);
    ddb_set(d, "allocated_bytes", ddb_u64(st.alloc_bytes));
    ddb_set(d, "free_bytes", ddb_u64(st.free_bytes));
    ddb_set(d, "free_runs", ddb_u64(st.free_runs_nr));
    ddb_set(d, "free_run_max_bytes", ddb_u64(st.free_run_max_bytes));
    ddb_say(d, "%lu bytes allocated, %lu free in %lu runs, the longest of %lu bytes\n",
        (unsigned long)st.alloc_bytes, (unsigned long)st.free_bytes, (unsigned long)st.free_runs_nr,
        (unsigned long)st.free_run_max_bytes);
    for (uint32_t i = 0; i < BIO_EXT_RUN_CLS_NR; i++) {
        uint64_t least = (uint64_t)BIO_BLK_BYTES << i;

        if (st.free_runs[i] == 0)
            continue;
        ddb_row(d, "runs",
            json_pack("{s:o, s:o}", "bytes_min", ddb_u64(least), "runs", ddb_u64(st.free_runs[i])));
        ddb_say(d, "free runs of %lu bytes and more: %lu\n", (unsigned long)least,
            (unsigned long)st.free_runs[i]);
    }
    return 0;
}
