/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bio: the storage of one target: three roles (WAL, metadata, data) on files or devices, group commit, checkpoint and replay,
 * and the extent space of the data role.
 *
 * A write, in order:
 *      bio_ext_reserve -> bio_data_write (yields) -> umem_tx_begin, index change, bio_ext_publish, umem_tx_commit -> bio_wal_wait -> reply
 * The committer makes the data role durable before the log record that points to it (ST-3), so that replay never meets an index without its data.
 *
 *   BIO-1  free extents + reservations + allocated extents + extents waiting to be freed partition the data role.
 *   BIO-2  reservations are volatile; recovery starts from the durable map alone.
 *   BIO-3  publish and free (both in a transaction) are the only steps that change the durable map.
 *   BIO-4  a freed extent is given out again only when the freeing transaction is durable and every reader that was active when it
 *          was freed has left (ST-4).
 *   BIO-5  after a failed WAL write or sync the target is stopped: every call answers NVME_IO until it is opened anew (ST-1).
 *
 *   BIO-6  where the data role is memory (class `ram`), a value may be put straight into its reserved extent (bio_data_map); nothing points to
 *          the extent before that is done and checked, just as after bio_data_write() (ST-3).
 *
 * Owner: the target's xstream; nothing here is called from another.
 */
#ifndef CAIRN_BIO_H
#define CAIRN_BIO_H

#include "base/ids.h"
#include "base/iov.h"
#include "bio/umem.h"
#include "ult/ult.h"

enum {
    BIO_BLK_BYTES = 4096,
    BIO_EXT_BLKS_MAX = 4096, /* one extent: 16 MiB */
    BIO_RESV_NR_MAX = 4096, /* live reservations of a target */
    BIO_BUF_BYTES_MAX = 16 << 20,
    BIO_WHY_BYTES = 320,
    BIO_STREAM_RECLAIM = 1 << 30, /* flag of a stream number: may use the reserve (ST-8) */
};

/* What a target keeps apart; the numbers are on disk. TARGET is the mark that its format is complete; it lies where the log lies. */
enum bio_role { BIO_ROLE_TARGET, BIO_ROLE_WAL, BIO_ROLE_META, BIO_ROLE_DATA, BIO_ROLE_NR };

enum { BIO_PATH_BYTES = 256 };

/* A region of a device; bio_dev.h tells where. With path "" the role is a file of its own in bio_cfg.dir. */
struct bio_place {
    char path[BIO_PATH_BYTES];
    uint64_t off, bytes;
    bool *has_failed; /* of the device (DEV-5); atomic; outlives the target. NULL: nobody shares it */
};

struct bio_tgt;

/* Whether half of the requests under way are written as soon as they are there (bio_wal.c). */
enum bio_halves { BIO_HALVES_PAY, BIO_HALVES_ALWAYS, BIO_HALVES_NEVER };

struct bio_cfg {
    char dir[BIO_PATH_BYTES]; /* holds the files wal, meta, data of this target */
    struct bio_place places[BIO_ROLE_NR]; /* what is on devices instead */
    uint64_t wal_bytes; /* 0: 64 MiB; at least 16 MiB */
    uint64_t meta_bytes; /* largest size of the arena; 0: 1 GiB */
    uint64_t data_bytes; /* 0: 16 GiB, sparse */
    struct uuid system; /* FM-2: checked at open */
    struct uuid device; /* of the target, made at format */
    uint32_t rank, tgt_idx;
    uint32_t ckpt_pct; /* checkpoint when the log is that full; 0: 50 */
    /* Not NULL: gets the target while bio_format() or bio_open() works on it, for who may have to bio_abandon() it (simulated kill). */
    struct bio_tgt **pending;
    uint64_t ckpt_interval_ns; /* and at least so long after the first change; 0: 5 s */
    /*
     * Memory for pages of the arena and tables about them (UP-1 to UP-4 in bio_umem_page.c). 0: no limit. Very small ones are raised to root, directory and 12 pages.
     */
    uint64_t mem_bytes;
    uint8_t wal_halves; /* enum bio_halves; the others than the first are for tests and benchmarks */
    bool is_pmem; /* what lies in `dir` is mapped as persistent memory; the bytes are the same as without */
    bool mem_is_default; /* nobody asked for it: no limit where the metadata role is memory itself (ST-10) */
    /*
     * For a look at what nobody serves: files and devices are opened for reading, the log is replayed in memory alone, whose pages stay beyond
     * mem_bytes; identity is not compared. Transactions and checkpoints answer NO_PERM.
     */
    bool is_rdonly;
    /*
     * With is_rdonly: damage is logged, each place once or more, and passed over as far as that goes. When not even the arena can be had, bio_open() succeeds, and
     * bio_status() says why: then bio_look.h is all that works.
     */
    bool is_tolerant;
    /*
     * Not NULL: BIO_WHY_BYTES that live as long as the target; get what is damaged, with file and offset, when bio_open() finds it or the target stops
     * later. Whoever gives it logs it. NULL: logged here.
     */
    char *why;
};

/** Create the files (WAL filled with zeros) and their headers; nothing half-formatted is ever accepted by bio_open(). Errors: EXIST, NOSPACE, NVME_IO. */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_format(struct xstream *xs, const struct bio_cfg *cfg);
/** True when a complete format is there: in a directory. */
bool bio_is_formatted(struct plat *plat, const char *dir);
/** The same wherever cfg says; cfg->pending is used meanwhile. Errors: those of opening and reading a device. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_formatted(struct xstream *xs, const struct bio_cfg *cfg, bool *ret_is_formatted);
/**
 * Load the checkpoint, replay the log, start committer and checkpointer ULTs. cfg sizes are ignored (the headers rule).
 * Errors: NONEXIST not formatted (with is_tolerant: no superblock is there); CSUM, DF_INVAL damaged (log line names file and offset); DF_INCOMPT another version or an unknown incompatible
 * feature; MISMATCH another system, rank, or target.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_open(struct xstream *xs, const struct bio_cfg *cfg, struct bio_tgt **ret_tgt);
/** Waits for commits in flight, checkpoints, stops its ULTs, frees. */
CAIRN_YIELDS void bio_close(struct bio_tgt *tgt);
/** Free memory without any I/O or wait (simulated kill). */
void bio_abandon(struct bio_tgt *tgt);

struct umem *bio_umem(struct bio_tgt *tgt);
struct xstream *bio_xstream(struct bio_tgt *tgt);
const struct bio_cfg *bio_cfg(struct bio_tgt *tgt); /* as found in the headers */
/* 0 while serving, else why it stopped, or has to (BIO-5, DEV-5). */
int bio_status(const struct bio_tgt *tgt);
/**
 * Check arena and extent space, everything that can be recomputed: -DER_DF_INVAL with the first inconsistency logged; CSUM, NVME_IO a page that can't be
 * loaded. Reads every page that is in use, one at a time, so that the target may be at work meanwhile.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_check(struct bio_tgt *tgt);

/* ---- durability ----------------------------------------------------------------------------------------------------- */

uint64_t
bio_wal_durable(const struct bio_tgt *tgt); /* every transaction with lsn <= this is durable */
uint64_t bio_wal_last(const struct bio_tgt *tgt); /* lsn of the newest committed transaction */
/** Wait until lsn is durable; cheap when it already is. Errors: NVME_IO the target stopped: nothing may be promised. */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_wal_wait(struct bio_tgt *tgt, uint64_t lsn);
/** Write a checkpoint now. */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_checkpoint(struct bio_tgt *tgt);

/* ---- buffers -------------------------------------------------------------------------------------------------------- */

/* I/O memory: BIO_BLK_BYTES aligned, pooled per target; len rounded up inside. Waits (yields) when the budget is used up. */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_buf_get(struct bio_tgt *tgt, size_t len, void **ret_buf);
/**
 * The same for a request that holds a buffer already, from a budget of its own: those of the first could all wait for each other. Who has one of
 * these asks for no other buffer until it is given back.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_buf_get_more(struct bio_tgt *tgt, size_t len, void **ret_buf);
void bio_buf_put(struct bio_tgt *tgt, void *buf, size_t len);

/* ---- extents of the data role --------------------------------------------------------------------------------------- */

/* addr and len in bytes of the data role, multiples of BIO_BLK_BYTES. addr 0 is never given out. */
struct bio_ext {
    uint64_t addr;
    uint64_t len;
};

struct bio_resv;

/** Reserve one extent of at least `bytes` (1..16 MiB). `*ret_resv` returns owned: ends by bio_ext_publish() or bio_ext_cancel(). `stream`: each
 * of them gets neighbouring space; they count modulo 16. Errors: NOSPACE; BUSY BIO_RESV_NR_MAX are live. */
CAIRN_MUST_CHECK int
bio_ext_reserve(struct bio_tgt *tgt, uint64_t bytes, uint32_t stream, struct bio_resv **ret_resv);
struct bio_ext bio_resv_ext(const struct bio_resv *resv);
/** In a transaction: the extent is allocated when it commits, free again if it aborts. The reservation ends with bio_ext_published() after
 * commit, or bio_ext_cancel() after abort. Errors: as umem_tx_range(). */
CAIRN_MUST_CHECK int bio_ext_publish(struct umem_tx *tx, struct bio_tgt *tgt, struct bio_resv *resv);
void bio_ext_published(struct bio_tgt *tgt, struct bio_resv *resv);
void bio_ext_cancel(struct bio_tgt *tgt, struct bio_resv *resv); /* NULL-safe */
/** In a transaction: free an allocated extent (BIO-4). Undone if the transaction aborts. Errors: as umem_tx_range(); DF_INVAL not allocated. */
CAIRN_MUST_CHECK int bio_ext_free(struct umem_tx *tx, struct bio_tgt *tgt, struct bio_ext ext);

/* A reader brackets index look-up and data reads with these, so that extents it saw are not reused under it. */
struct bio_reader {
    uint64_t seq;
    struct list_head link;
};
void bio_reader_enter(struct bio_tgt *tgt, struct bio_reader *rd);
void bio_reader_leave(struct bio_tgt *tgt, struct bio_reader *rd);

/** Write len bytes from buf (from bio_buf_get(), the tail of the last block is zeroed by this call) at addr of a reserved extent. Not yet durable: the committer sees to that (ST-3). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_data_write(struct bio_tgt *tgt, uint64_t addr, void *buf, size_t len);
/** Read [addr, addr+len) into buf (from bio_buf_get(), len rounded up to blocks). addr a multiple of BIO_BLK_BYTES. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_data_read(struct bio_tgt *tgt, uint64_t addr, void *buf, size_t len);

struct bio_watch;

/* A disk operation under way: its memory stays until bio_data_read_wait(). */
struct bio_req {
    struct plat_io io;
    struct iov iov;
    struct ult_eventual ev;
    struct bio_watch *watch; /* NULL: nobody watches how long it takes */
    struct list_head link; /* watch->ops */
    uint64_t start_ns;
    uint8_t role;
};
/** The same in two steps, for many at a time: whoever began it must wait for it. Does not yield. */
void
bio_data_read_start(struct bio_tgt *tgt, struct bio_req *req, uint64_t addr, void *buf, size_t len);
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_data_read_wait(struct bio_req *req);

/**
 * The data role as memory: bytes [addr, addr+len) of it (any addr but block 0, 1..16 MiB), or NULL: the role is on a device, or memory has run out;
 * then bio_data_write() and bio_data_read() are the way, and say what is wrong. They see the same bytes. Does not yield; new pages cost about 3 us
 * each. The address is good until bio_close(). What is there may be read while the extent is allocated and a bio_reader is entered, and written only while
 * it lies in a reservation that is not published (BIO-6); who wrote calls bio_data_written() then.
 */
void *bio_data_map(struct bio_tgt *tgt, uint64_t addr, size_t len);
bool bio_data_is_mapped(const struct bio_tgt *tgt); /* the role is memory, as far as there is some */
/**
 * Whether there is no memory yet behind 64 KiB or more of [addr, addr+len), blocks: bio_data_write() gets there in half the time then, since it
 * needs no page faults (docs/performance.md). After a restart all memory counts as new until it is used. Does not yield.
 */
bool bio_data_is_cold(const struct bio_tgt *tgt, uint64_t addr, size_t len);
/** What was put at addr (a multiple of BIO_BLK_BYTES) through bio_data_map() is complete: counts as bio_data_write(), the rest of the last block is zeroed. */
void bio_data_written(struct bio_tgt *tgt, uint64_t addr, size_t len);

struct bio_space {
    uint64_t meta_total, meta_free; /* bytes */
    uint64_t data_total,
        data_free; /* bytes; free without reservations and extents waiting to be freed */
};
void bio_space_get(struct bio_tgt *tgt, struct bio_space *ret_space);

enum { BIO_EXT_RUN_CLS_NR = 16 };
struct bio_ext_stats {
    uint64_t free_bytes, resv_bytes, wait_bytes, alloc_bytes; /* and one block for the superblock */
    uint64_t free_runs_nr, free_run_max_bytes; /* runs end where a bitmap ends, every 127.5 MiB */
    uint64_t free_runs[BIO_EXT_RUN_CLS_NR]; /* those of 2^i blocks and more, and fewer than 2^(i+1) */
};
/** Fragmentation of the extent space. Looks at all its bitmaps, 32 bytes for each MiB in use; does not yield. */
void bio_ext_stats_get(const struct bio_tgt *tgt, struct bio_ext_stats *ret_stats);

struct bio_stats {
    uint64_t wal_groups_nr, wal_records_nr, wal_bytes, wal_blocks_used, wal_blocks_total;
    uint64_t ckpt_nr, ckpt_pages_nr, data_syncs_nr, replayed_records_nr;
    uint64_t ckpt_leaves_nr; /* parts of the slot map that checkpoints wrote */
    uint64_t wal_open_nr_max; /* groups that were being written at the same time */
    uint64_t buf_bytes, resv_nr; /* held now: by bio_buf_get(), bio_buf_get_more(); reservations */
};
void bio_stats_get(const struct bio_tgt *tgt, struct bio_stats *ret_stats);

/* How the devices of a target answer (bio_watch.c). The worst that is true now. */
enum bio_health_state {
    BIO_WELL,
    BIO_SLOW, /* an operation took half a second or more, less than 10 s ago */
    BIO_STALLED, /* one has not been answered for 4 s; whoever waits goes on waiting */
    BIO_STOPPED, /* bio_status() says why */
};
struct bio_health {
    enum bio_health_state state;
    uint64_t oldest_ns; /* age of the oldest operation that was not answered; 0: none */
    uint64_t took_max_ns; /* since open, as are: */
    uint64_t slow_nr, stalls_nr; /* operations that were slow; times that the state became STALLED */
};
/** Not of roles that are memory: these have no operations that last. Does not yield. */
void bio_health_get(const struct bio_tgt *tgt, struct bio_health *ret_health);

/* ---- scrubbing of superblocks and the metadata role (bio_scrub.c) ------------------------------------------------------ */

enum bio_img_kind {
    BIO_IMG_SB,
    BIO_IMG_HEADER,
    BIO_IMG_MAP,
    BIO_IMG_PAGE,
    BIO_IMG_LABEL,
    BIO_IMG_TABLE /* both of a device: bio_dev_scrub() */
};

/* What is not on the disks as it was written. Borrowed for the call. */
struct bio_img_bad {
    enum bio_img_kind kind;
    uint64_t nr; /* of the page, or of the part of the slot map; of a superblock: enum bio_role */
    uint64_t off,
        len; /* where: bytes of the metadata role; of a superblock: of its role, and the seal of the mark counts as part of it */
    int rc; /* CSUM; NVME_IO it cannot be read; of superblocks: NONEXIST the mark is gone, MISMATCH it is another's */
    bool is_mended; /* it is in memory too, and is being written anew elsewhere; else what needs it gets rc */
};

enum { BIO_IMG_TEXT_BYTES = 200 };
/** What it is, where it is, and what becomes of it, for a line of the log. Returns text. */
const char *bio_img_text(const struct bio_img_bad *bad, char text[BIO_IMG_TEXT_BYTES]);

enum { BIO_SCRUB_LOOKS_NR = 4096 }; /* places without an image that are passed without a yield */

/** Places for bio_scrub_step(): 0 .. this - 1. Grows with the arena. */
uint64_t bio_scrub_places(const struct bio_tgt *tgt);
/**
 * Read the superblocks and what lies on the metadata role from *place on and verify it, until about bytes_max bytes were read, or the place `end`, or the last one was; *place is the next one then.
 * Each bad image is told once (`bad` doesn't yield). Loads nothing. *ret_bytes: read. Errors: NOMEM; NVME_IO the target has stopped.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_scrub_step(struct bio_tgt *tgt, uint64_t *place, uint64_t end, uint64_t bytes_max,
    void (*bad)(void *arg, const struct bio_img_bad *bad), void *arg, uint64_t *ret_bytes);

#endif
