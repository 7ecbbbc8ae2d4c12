/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Devices: a block device, or a file that stands for one, which holds roles of several targets of one engine. It carries a label (whose it
 * is) and a table of regions; a region is to a target what a file is otherwise (bio_cfg.places).
 *
 *   DEV-1  Nothing is written to a device that is not blank (its first and last MiB zero) or ours already: of this system and rank. Only
 *          `force` formats over what is somebody else's; what is ours is never formatted again.
 *   DEV-2  The label is one sector of 512 bytes, so that it is there whole or not at all: first FORMATTING, then, when the table is
 *          durable, READY. A format that was cut short is done anew.
 *   DEV-3  The table never changes. Opening demands exactly the regions that the configuration asks for.
 *   DEV-4  One process has a device: it is locked before anything is written (a file is made first), and a mounted one is refused.
 *   DEV-5  A flush or durable write that failed stops every target that has a role on the device, since what the device kept of their writes is as
 *          unknown (ST-1): each at its next commit or checkpoint, before it promises anything; bio_status() says so at once. Those on other
 *          xstreams learn of it through a flag; a flush of theirs that is answered well in the instant before the flag is set still counts.
 *
 * Bytes: docs/format/bio.md. Owner: the xstream that took it, at start and stop only. Tested by bio_dev_test.c.
 */
#ifndef CAIRN_BIO_DEV_H
#define CAIRN_BIO_DEV_H

#include "bio/bio.h"

enum {
    BIO_DEV_ERR_BYTES = 512,
    BIO_DEV_STORE_NR_MAX = 96, /* stores on one device */
};

/* What one target keeps on the device. */
struct bio_dev_store {
    uint32_t tgt_idx;
    uint32_t roles; /* bits 1 << BIO_ROLE_WAL, _META, _DATA */
    uint32_t weight; /* its share of what is left when all have the least; 0: none */
    uint32_t meta_pct; /* of that share, for the metadata; 0: 12 */
    uint64_t meta_least; /* arena bytes; 0: 16 MiB */
    uint64_t wal_bytes, meta_bytes, data_bytes; /* as in bio_cfg; 0: by its share */
};

struct bio_dev_cfg {
    char path[BIO_PATH_BYTES];
    uint64_t file_bytes; /* not 0: a file, made with this size when absent */
    struct uuid system;
    uint32_t rank;
    bool force; /* format also over somebody else's */
    bool must_exist; /* it was formatted before: a blank one is another device */
    const struct bio_dev_store *stores; /* borrowed for the call */
    uint32_t store_nr;
    struct bio_dev **pending; /* as in bio_cfg, for bio_dev_abandon() */
};

struct bio_dev;

/**
 * Lock the device, check whose it is, format it when it is blank. `*ret_dev` returns owned: bio_dev_release(). `err` (BIO_DEV_ERR_BYTES, may
 * be NULL) gets one line with cause and remedy. Errors: NONEXIST; BUSY mounted, or another process has it; MISMATCH another system's, another
 * rank's, or laid out for other targets or roles; EXIST it holds something else; NOSPACE too small; DF_INVAL damaged, or blank that must exist;
 * CSUM damaged; DF_INCOMPT
 * another version; NO_PERM; NVME_IO.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_dev_take(struct xstream *xs, const struct bio_dev_cfg *cfg, char *err, struct bio_dev **ret_dev);
/** Give up the lock, free. No target has a place on it any more. NULL is fine. */
void bio_dev_release(struct bio_dev *dev);
/** Free memory alone (simulated kill). NULL is fine. */
void bio_dev_abandon(struct bio_dev *dev);

/**
 * Read label and table again while the device is in use, and write anew, from memory, what is damaged; a label that is whole and says something else stays (MISMATCH). What is
 * bad is told once each (`bad` doesn't yield). No flush: the next one of a target there serves as well. Errors: NONEXIST, NO_PERM, NVME_IO it can't be opened; NOMEM.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_dev_scrub(struct bio_dev *dev, struct xstream *xs,
    void (*bad)(void *arg, const struct bio_img_bad *bad), void *arg);

/** Set places, and the sizes for a format where cfg has 0, of what cfg->tgt_idx has on this device. The device outlives targets with this cfg. */
void bio_dev_place(struct bio_dev *dev, struct bio_cfg *cfg);
struct uuid bio_dev_uuid(const struct bio_dev *dev);

#endif
