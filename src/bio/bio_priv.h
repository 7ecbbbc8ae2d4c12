/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Inside of a target's storage: the target itself, its log, checkpointer and extent space. One xstream owns all of it.
 *
 *   bio_tgt.c     format, open, close, status         bio_dev.c     devices shared by targets
 *   bio_io.c      disk operations that a ULT waits for, buffers
 *   bio_wal.c     group commit              bio_replay.c  reading the log back (pure)
 *   bio_ckpt.c    checkpoints, page loads   bio_ext.c     extents of the data role
 *   bio_watch.c   devices that answer late
 *   bio_umem.c    arena and allocator       bio_umem_tx.c its transactions
 */
#ifndef CAIRN_BIO_PRIV_H
#define CAIRN_BIO_PRIV_H

#include "bio/bio.h"
#include "bio/bio_format.h"
#include "bio/bio_umem_priv.h"

enum {
    BIO_WAL_BYTES_DEFAULT = 64 << 20,
    BIO_WAL_BYTES_MIN = 16 << 20,
    BIO_GENERATION_FIRST = 2, /* of the first start; 1: of the format, which writes no group */
    BIO_GROUP_BYTES_MAX = UMEM_TX_BYTES_MAX + (1 << 20), /* one write of the committer */
    BIO_REC_BYTES_MAX = UMEM_TX_BYTES_MAX + 24 + 8,
    BIO_WAL_RING_BLK = 1, /* first block of the ring in the file */
    BIO_WAL_FLIGHT_NR = 4, /* groups being written at a time (WAL-1) */
    BIO_WAL_SHARE_NR = 3, /* an additional one takes at least that part of what is not durable */
    BIO_WAL_GROUP_NR = BIO_WAL_FLIGHT_NR + 1, /* and the one that is filled */
    BIO_FILE_PATH_BYTES = 320,
    BIO_WAL_HALF_NR =
        16, /* so many records, or bytes, are worth a write of their own while others run */
    BIO_WAL_HALF_BYTES = 64 << 10,
    BIO_WAL_LARGE_BYTES = 24 << 10, /* from here on groups lie in large pages */
    BIO_REPLAY_WIN_BLKS = 2048,
    BIO_REPLAY_CAP_BLKS = 128, /* of it, while groups are not larger */
    BIO_REPLAY_IO_BLKS = 32,
    BIO_REPLAY_AHEAD_NR = 4, /* operations under way */
    BIO_CKPT_PCT_DEFAULT = 50,
    BIO_CKPT_BATCH_NR = 64, /* page images in flight */
    BIO_LOAD_BATCH_NR = 64,
    BIO_EXT_STREAM_NR = 16,
    BIO_EXT_SIZE_NR = 13, /* 2^12 blocks are the largest extent */
    BIO_EXT_LARGE_BLKS = 64, /* from here on extents come from the other end */
    BIO_EXT_TX_NR_MAX = 65536, /* extents freed or published by one transaction */
    BIO_BUF_BUDGET_BYTES = 64 << 20,
    BIO_BUF_MORE_BYTES = 32 << 20, /* besides, for who holds one already */
    BIO_BUF_CACHE_BYTES = 16 << 20, /* kept when nobody uses them */
    BIO_BUF_CLS_NR = 13, /* 4 KiB << 0..12 */
    BIO_MAP_UNIT_BYTES =
        64 << 10, /* of the mapped data role: filled at a time for a touch; a write of more fills as it goes */
};
#define BIO_META_BYTES_DEFAULT (UINT64_C(1) << 30)
#define BIO_META_BYTES_MIN ((uint64_t)UMEM_PAGE_NR_MIN * UMEM_PAGE_BYTES)
#define BIO_DATA_BYTES_DEFAULT (UINT64_C(16) << 30)
#define BIO_DATA_BYTES_MIN (UINT64_C(1) << 20)
#define BIO_CKPT_INTERVAL_NS (UINT64_C(5) * 1000000000)
#define BIO_CKPT_RETRY_NS (UINT64_C(1) * 1000000000) /* after a checkpoint that found no space */
#define BIO_SLOW_NS (UINT64_C(500) * 1000000)
#define BIO_SLOW_HOLD_NS (UINT64_C(10) * 1000000000)
#define BIO_STALL_NS (UINT64_C(4) * 1000000000)
#define BIO_WAL_CLOSE_NS (UINT64_C(200) * 1000000)

/* ---- bio_io.c --------------------------------------------------------------------------------------------------------- */

struct bio_disk {
    struct plat *plat;
    struct plat_disk *disk; /* NULL: closed */
    uint64_t base, bytes; /* what of it is ours: operations are relative to base, and end at bytes */
    struct bio_watch *watch; /* NULL: none */
    enum bio_role role;
};

/* Start one operation on one buffer; end it with bio_req_wait(). */
void bio_req_start(struct bio_disk *disk, struct bio_req *req, enum plat_io_op op, uint32_t flags,
    uint64_t off, void *buf, size_t len);
/* The same on a list of buffers, borrowed until bio_req_wait(). */
void bio_req_startv(struct bio_disk *disk, struct bio_req *req, enum plat_io_op op, uint32_t flags,
    uint64_t off, const struct iov *iovs, uint32_t iov_nr);
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_req_wait(struct bio_req *req);
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_disk_rw(
    struct bio_disk *disk, enum plat_io_op op, uint32_t flags, uint64_t off, void *buf, size_t len);

struct bio_buf_pool {
    struct list_head cached[BIO_BUF_CLS_NR]; /* nobody's */
    struct list_head live; /* somebody's */
    uint64_t used_bytes[2]; /* of bio_buf_get(), of bio_buf_get_more() */
    uint64_t cached_bytes;
    struct ult_cond room;
};
void bio_buf_pool_init(struct bio_buf_pool *pool);
void bio_buf_pool_fini(struct bio_buf_pool *pool);
/* I/O memory of any size for the target's own use, outside of the budget; NULL: none. Freed with the target at the latest. */
void *bio_tmp_get(struct bio_tgt *tgt, size_t len);
void bio_tmp_put(struct bio_tgt *tgt, void *buf, size_t len);

/* Map the data role where it is memory; else bio_data_map() gives NULL. */
void bio_data_map_init(struct bio_tgt *tgt);
void bio_data_map_fini(struct bio_tgt *tgt);

/* ---- bio_watch.c ------------------------------------------------------------------------------------------------------ */

struct bio_watch {
    struct plat *plat;
    const struct bio_cfg *cfg;
    struct list_head ops; /* struct bio_req, oldest first */
    struct ult *ult;
    struct ult_cond work;
    bool is_idle, is_stalled, is_stopping;
    uint64_t stall_ns; /* when the operation began that made it so */
    uint64_t slow_until_ns;
    uint64_t took_max_ns, slow_nr, stalls_nr;
};

void bio_watch_init(struct bio_watch *watch);
void bio_watch_begin(struct bio_watch *watch, struct bio_req *req, enum bio_role role);
void bio_watch_end(struct bio_req *req);
CAIRN_MUST_CHECK int bio_watch_start(struct bio_tgt *tgt);
CAIRN_YIELDS void bio_watch_stop(struct bio_tgt *tgt);

/* ---- bio_wal.c -------------------------------------------------------------------------------------------------------- */

/* A group being filled or written. */
struct bio_group {
    uint8_t *buf; /* BIO_GROUP_BYTES_MAX */
    bool is_large; /* `buf` lies in large pages, where there are some */
    bool is_written; /* durable itself; it counts when all before it are */
    uint32_t bytes, rec_nr;
    uint64_t first_lsn;
    uint64_t data_seq; /* data writes up to this one must be flushed first; 0: none */
    struct ult_cond durable;
};

struct bio_wal {
    struct bio_disk disk;
    uint64_t ring_blks;
    uint64_t salt;
    uint64_t generation;
    /* the next group to be sealed: */
    uint64_t head_pos, seq;
    uint32_t prev_crc;
    uint64_t tail_pos; /* the log before is not needed any more */
    uint64_t last_lsn, durable_lsn;
    /* Counted since open; group n is in groups[n % BIO_WAL_GROUP_NR]: done_nr .. sealed_nr - 1 are being written, sealed_nr is `fill`. */
    struct bio_group groups[BIO_WAL_GROUP_NR];
    uint64_t sealed_nr, done_nr;
    struct bio_group *fill;
    bool open_end; /* the last group written holds records and nothing follows it */
    uint64_t close_ns; /* when, with open_end, an empty group is due */
    bool stopping;
    bool overlaps; /* several committers: a write takes time */
    bool is_called; /* a committer was, and has not come yet */
    bool is_halved; /* one was for half of the load, which `fill` holds */
    uint64_t load_nr; /* so many records were under way lately */
    uint64_t fill_ns; /* of the first record in `fill` */
    uint64_t took_ns; /* by a write lately */
    struct ult *committers[BIO_WAL_FLIGHT_NR];
    struct ult_cond work, room;
    uint64_t groups_nr, records_nr, bytes_nr, data_syncs_nr, open_nr_max;
};

/* Position after replay; the committer does not run yet. Errors: NOMEM. */
CAIRN_MUST_CHECK int bio_wal_init(struct bio_tgt *tgt);
void bio_wal_fini(struct bio_tgt *tgt);
CAIRN_MUST_CHECK int bio_wal_start(struct bio_tgt *tgt);
CAIRN_YIELDS void bio_wal_stop(struct bio_tgt *tgt); /* drains */
/* The hooks of the arena. */
bool bio_wal_room(const struct bio_tgt *tgt);
bool bio_wal_is_full(const struct bio_tgt *tgt); /* only a checkpoint gives room in the ring */
CAIRN_YIELDS int bio_wal_admit(struct bio_tgt *tgt);
uint8_t *bio_wal_rec_begin(struct bio_tgt *tgt, uint32_t bytes, uint64_t *ret_lsn);
void bio_wal_rec_end(struct bio_tgt *tgt, uint64_t lsn);
/* Fill in and checksum the header of a group of hdr->bytes bytes at buf. */
void bio_group_seal(uint8_t *buf, struct bio_group_df *hdr, uint64_t salt);

/* ---- bio_replay.c ----------------------------------------------------------------------------------------------------- */

/* Where the log is read from and where its ranges go. Blocks are numbered in the ring. */
struct bio_replay_io {
    uint64_t ring_blks;
    uint64_t salt;
    uint8_t *win; /* memory to read into: at least BIO_REPLAY_WIN_BLKS, or the whole ring */
    uint32_t win_blks;
    const struct bio_cfg *cfg; /* for bio_damage(); may be NULL */
    bool is_tolerant; /* a damaged log ends where the damage is, instead of an error */
    void *arg;
    /* Begin to read; wait for it, in the order of beginning. `op` is below BIO_REPLAY_AHEAD_NR. NULL: read() does both. */
    void (*start)(void *arg, uint32_t op, uint64_t blk, uint32_t blks, uint8_t *buf);
    int (*wait)(void *arg, uint32_t op);
    int (*read)(void *arg, uint64_t blk, uint32_t blks, uint8_t *buf);
    /* Told of the ranges of a group before it is applied, then with len 0 that these were all; NULL: not wanted. */
    int (*announce)(void *arg, uint64_t off, uint32_t len);
    int (*range)(void *arg, uint64_t lsn, uint64_t off, uint32_t len, const uint8_t *bytes);
    /* Each group, and each record of it with its range words, before the ranges; NULL: not wanted. */
    int (*group)(void *arg, const struct bio_group_df *hdr);
    int (*rec)(void *arg, const struct bio_group_df *group, const struct bio_rec_df *rec,
        const uint8_t *words);
};

/* The end of the log: where the next group goes. */
struct bio_replay_end {
    uint64_t generation; /* highest one seen */
    uint64_t pos, seq, last_lsn;
    uint32_t prev_crc;
    uint64_t records_nr, groups_nr;
    bool is_torn; /* what follows is part of the group that would be next: never durable, or damaged */
};

/**
 * Walk the log from segs[0]. Errors: CSUM the log ends before a recorded position, or a valid group lies beyond its end (damage, not
 * a torn tail); DF_INVAL a record with a good checksum makes no sense; what read() and range() return.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_replay(const struct bio_replay_io *io,
    const struct bio_seg_df *segs, uint32_t seg_nr, struct bio_replay_end *ret_end);
/** The same of a target's log, from its checkpoint on; ring, salt, window and cfg of `io` are filled in. Errors: NOMEM, those of bio_replay(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_log_read(struct bio_tgt *tgt, struct bio_replay_io *io, struct bio_replay_end *ret_end);

/* ---- bio_ckpt.c ------------------------------------------------------------------------------------------------------- */

struct bio_ckpt_entry {
    uint32_t page, slot, crc;
    uint32_t free_nr; /* blocks, in the image */
    uint64_t lsn;
};

struct bio_ckpt {
    struct bio_disk disk;
    uint64_t map_off[2], map_bytes_max, slots_off;
    uint32_t slot_nr;
    uint64_t *used_map; /* slots that the page table refers to */
    uint64_t *durable_map; /* slots that the durable slot map refers to */
    uint32_t slot_hint;
    struct bio_ckpt_df *hdr; /* the durable header */
    uint64_t *work_map; /* pages of the running checkpoint */
    /* Slot map, in leaves: what is in memory and what is durable differ in those that are dirty. */
    uint32_t leaf_entry_nr, leaf_bytes, leaf_nr_max;
    uint64_t *leaf_dirty;
    uint64_t leaf_dirty_nr;
    uint32_t *leaf_crcs,
        *leaf_crcs_new; /* of the durable leaves; of those of the checkpoint being written */
    uint8_t *images; /* BIO_CKPT_BATCH_NR pages */
    struct bio_ckpt_entry entries[BIO_CKPT_BATCH_NR];
    struct bio_req reqs[BIO_CKPT_BATCH_NR];
    struct ult *ult;
    struct ult_cond work, done;
    uint64_t asked_seq, done_seq; /* requests */
    uint64_t finished_nr; /* checkpoints that ended, well or not */
    uint64_t wait_until_ns; /* the ULT sleeps until then; 0: it does not sleep */
    int last_rc; /* of the last finished checkpoint */
    bool stopping, running;
    uint64_t since_ns; /* when the last one began; later, if there was nothing to write: when that ended */
    uint64_t ckpt_nr, pages_nr, leaves_nr;
};

/* Layout of the meta file for an arena. */
uint64_t bio_ckpt_file_bytes(uint64_t arena_bytes);
/* File offset of a leaf of the durable slot map. */
uint64_t bio_ckpt_leaf_off(const struct bio_tgt *tgt, uint32_t leaf);
bool bio_ckpt_has_leaves(const struct bio_tgt *tgt); /* of the slot map; older stores have none */
/* The part of the slot map is written anew with the next checkpoint. */
void bio_ckpt_leaf_mark(struct bio_tgt *tgt, uint32_t leaf);
/* File offsets: of a page's image, of a header. */
uint64_t bio_ckpt_slot_off(const struct bio_ckpt *ck, uint32_t slot);
uint64_t bio_ckpt_hdr_off(const struct bio_ckpt_df *hdr);
CAIRN_MUST_CHECK int bio_ckpt_init(struct bio_tgt *tgt);
void bio_ckpt_fini(struct bio_tgt *tgt);
/*
 * Read the newest header, the slot map, root and directory of the arena; of a store without BIO_FEAT_MAP_LEAVES every page once, since nothing else says
 * how many free blocks it has. Errors: CSUM, DF_INVAL, NVME_IO, NOMEM.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_ckpt_load(struct bio_tgt *tgt);
/* After replay: record that a new generation starts at the end of the log. */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_ckpt_new_generation(struct bio_tgt *tgt, uint64_t seq_max);
/* One checkpoint, by the caller; not while another runs. Errors: NOSPACE (nothing changed), NVME_IO (stopped), NOMEM. */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_ckpt_run(struct bio_tgt *tgt);
/* During replay: write the dirty pages, so that they can be evicted. The durable map stays. Errors: as bio_ckpt_run(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_ckpt_clean(struct bio_tgt *tgt);
/* Load pages that are not resident, at most BIO_LOAD_BATCH_NR, at the same time. Errors: CSUM, NVME_IO, NOMEM. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_ckpt_batch_load(struct bio_tgt *tgt, const uint32_t *pages, uint32_t nr);
CAIRN_MUST_CHECK int bio_ckpt_start(struct bio_tgt *tgt);
CAIRN_YIELDS void bio_ckpt_stop(struct bio_tgt *tgt);
/* Is it time? Called when the log grew or a page became dirty. */
void bio_ckpt_kick(struct bio_tgt *tgt);
/* Hook of the arena: read the image of a page from its slot and verify it (ST-7). */
CAIRN_YIELDS void bio_ckpt_pages_load(struct bio_tgt *tgt, const uint32_t *pages,
    uint8_t *const *mems, int *rcs, uint32_t nr); /* at most 1 + UMEM_AHEAD_NR */

/* ---- bio_ext.c -------------------------------------------------------------------------------------------------------- */

struct bio_resv {
    struct bio_ext ext;
    struct bio_resv *next; /* of the free list */
    struct bio_resv *next_all; /* of the list of all */
    struct list_head tx_link; /* in the transaction that publishes it */
    bool live, published;
};

struct bio_ext_chunk {
    uint64_t *busy; /* allocated, reserved or waiting; NULL: all free */
    uint32_t free_nr;
    uint32_t run_max; /* no free run is longer */
    uint32_t low; /* all below are busy */
};

struct bio_ext_wait {
    struct bio_ext ext;
    uint64_t lsn, reader_seq;
};

struct bio_space_map {
    uint64_t blk_nr; /* of the data role, with the superblock */
    uint32_t chunk_nr;
    struct bio_ext_chunk *chunks;
    uint64_t free_blks, resv_blks, wait_blks, alloc_blks;
    uint64_t reserve_blks; /* for UMEM_TX_RECLAIM users (ST-8) */
    uint32_t resv_nr;
    struct bio_resv *resv_free, *resv_all;
    struct {
        uint32_t chunk[2]; /* where it found space last, for small and for large ones */
        bool is_used[2];
    } streams[BIO_EXT_STREAM_NR];
    /* By floor(log2()) of a request: no chunk below hint_lo, or above hint_hi, has a run of 2^i blocks. */
    uint32_t hint_lo[BIO_EXT_SIZE_NR], hint_hi[BIO_EXT_SIZE_NR];
    /* freed by committed transactions, in commit order: a ring */
    struct bio_ext_wait *waits;
    uint64_t wait_head, wait_tail, wait_cap;
    /* of the running transaction */
    struct bio_ext *tx_frees;
    uint32_t tx_free_nr, tx_free_cap;
    struct list_head tx_pubs;
    struct list_head readers; /* struct bio_reader, oldest first */
    uint64_t reader_seq;
};

CAIRN_YIELDS CAIRN_MUST_CHECK int bio_ext_init(struct bio_tgt *tgt); /* from the durable map */
void bio_ext_fini(struct bio_tgt *tgt);
void bio_ext_tx_end(struct bio_tgt *tgt, bool committed, uint64_t lsn);
/* Give back what waits no longer (BIO-4). */
void bio_ext_reap(struct bio_tgt *tgt);
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_ext_check(struct bio_tgt *tgt);

/* ---- bio_tgt.c -------------------------------------------------------------------------------------------------------- */

struct bio_tgt {
    struct xstream *xs;
    struct plat *plat;
    struct bio_cfg cfg;
    struct bio_sb_df sb;
    struct umem *um;
    struct bio_wal wal;
    struct bio_ckpt ckpt;
    struct bio_space_map space;
    struct bio_watch watch;
    struct bio_disk data;
    bool data_volatile; /* a flush would mean nothing */
    uint8_t *data_map; /* of the role; NULL: it is not memory */
    uint64_t *data_filled; /* its blocks that have memory behind them, so that they may be touched */
    uint64_t data_written,
        data_flushing; /* completed data writes, and how many of them a flush was begun for */
    struct bio_buf_pool bufs;
    int stop_rc;
    uint64_t replayed_nr;
    bool log_is_torn; /* is_torn of the replay */
    uint32_t soon[BIO_LOAD_BATCH_NR]; /* replay: pages to be loaded together */
    uint32_t soon_nr;
    uint64_t soon_group_nr; /* of this group, so far */
};

/* Role and checksum of a superblock that is complete otherwise. */
void bio_sb_seal(struct bio_sb_df *sb, enum bio_role role);
/* The block that makes the mark of a target count, on a device; `sb` is the mark's. */
void bio_seal_make(const struct bio_sb_df *sb, void *blk);
void bio_disk_close(struct bio_disk *disk);
/* Is the mark a file, and not on a device? ret_path: BIO_FILE_PATH_BYTES. */
bool bio_mark_is_file(const struct bio_tgt *tgt, char *ret_path);

/* What is damaged and where, for bio_cfg.why, or for the log. `cfg` may be NULL. */
/* The file or region of the mark, for bio_look.c; closed by who asked. */
CAIRN_MUST_CHECK int bio_look_mark_open(struct bio_tgt *tgt, struct bio_disk *disk);
/* Damage that a look passes over (bio_cfg.is_tolerant). */
bool bio_may_pass(const struct bio_tgt *tgt, int rc);
void
bio_damage(const struct bio_cfg *cfg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- bio_dev.c (pure parts) ------------------------------------------------------------------------------------------- */

struct bio_dev_store;
/* Regions for these stores on a device. `*ret_least`: bytes that it must have. Errors: NOSPACE; INVAL absurd sizes. */
CAIRN_MUST_CHECK int bio_dev_plan(const struct bio_dev_store *stores, uint32_t store_nr,
    uint64_t dev_bytes, struct bio_dev_region_df *regions, uint32_t *ret_nr, uint64_t *ret_least);
/* Errors: DF_INVAL no label, or one that makes no sense; CSUM; DF_INCOMPT. */
CAIRN_MUST_CHECK int bio_dev_label_check(const struct bio_dev_label_df *label);
/* Of a label that was checked. Errors: CSUM, DF_INVAL. */
CAIRN_MUST_CHECK int
bio_dev_tab_check(const struct bio_dev_label_df *label, const struct bio_dev_tab_df *tab);

/* ---- bio_sb.c --------------------------------------------------------------------------------------------------------- */

/*
 * Compare the superblock of a role, and the seal of the mark, with what the target was opened with, and write anew what is damaged. *ret_rc: 0 it is good; CSUM it
 * was damaged; NVME_IO it can't be read; NONEXIST the mark is gone; MISMATCH there is a superblock of something else, which stays. mem: two blocks. *ret_is_mended: it was written.
 * It is durable with the next flush; if that never comes, the next scrubber finds it again.
 */
CAIRN_YIELDS void
bio_sb_scrub(struct bio_tgt *tgt, enum bio_role role, void *mem, int *ret_rc, bool *ret_is_mended);

/* All bytes are zero. */
bool bio_is_blank(const void *mem, size_t len);
/*
 * The target can't go on (BIO-5): everybody who waits hears it. The first cause stays. If the role lies on a device, all targets there
 * stop too.
 */
void bio_tgt_fail(struct bio_tgt *tgt, int rc, enum bio_role role, const char *what);
/* Stop if a device that holds a role of this target failed another one. */
void bio_tgt_neighbours(struct bio_tgt *tgt);

#endif /* CAIRN_BIO_PRIV_H */
