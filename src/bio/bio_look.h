/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What lies on the disks of a target that was opened for a look (bio_cfg.is_rdonly): for tools. Structures are those of bio_format.h. Nothing here writes. All but
 * bio_look_sb(), bio_look_bytes() and bio_look_read() need bio_status() 0, but for bio_look_ckpt(), which says itself whether a header was found.
 *
 * Owner: the target's xstream. Tested by test/bio_look_test.c and src/ddb.
 */
#ifndef CAIRN_BIO_LOOK_H
#define CAIRN_BIO_LOOK_H

#include "bio/bio.h"
#include "bio/bio_format.h"

/** The superblock that everything is judged by; role and checksum are those of the mark. */
const struct bio_sb_df *bio_look_sb(const struct bio_tgt *tgt);
/** Bytes of the file or region of a role, WAL to DATA; 0: it is missing. */
uint64_t bio_look_bytes(const struct bio_tgt *tgt, enum bio_role role);
/** Bytes [off, off + len) of a role into buf, whatever they are; no alignment needed. Errors: NONEXIST the file is missing; INVAL beyond its end; NVME_IO; NOMEM. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_look_read(struct bio_tgt *tgt, enum bio_role role, uint64_t off, void *buf, size_t len);

/** The checkpoint header that counts; NULL: none does. */
const struct bio_ckpt_df *bio_look_ckpt(const struct bio_tgt *tgt);

/* Where the meta role has what. */
struct bio_look_meta {
    uint64_t map_off[2], slots_off; /* file offsets */
    uint32_t leaf_bytes, leaf_entry_nr, leaf_nr; /* leaves in use */
    uint32_t slot_nr, slot_used_nr;
};
void bio_look_meta(const struct bio_tgt *tgt, struct bio_look_meta *ret_meta);
/** File offset of a leaf of the slot map in use. */
uint64_t bio_look_leaf_off(const struct bio_tgt *tgt, uint32_t leaf);

struct bio_look_page {
    uint32_t slot; /* 0: none */
    uint64_t file_off; /* of the slot */
    uint32_t crc; /* of its image */
    uint64_t lsn; /* newest change in it */
    bool is_replayed; /* the log changed it since */
    bool is_free, is_system; /* neither: blocks */
    uint32_t blk_bytes, free_nr;
};
/** What is known of a page of the arena, below bio_look_page_nr(). */
void bio_look_page(const struct bio_tgt *tgt, uint64_t page, struct bio_look_page *ret_page);
uint64_t bio_look_page_nr(const struct bio_tgt *tgt); /* those from here on were never used */

/* A part of the log: a group (rec NULL), or a record of it. Borrowed for the call. */
struct bio_look_log {
    const struct bio_group_df *group;
    const struct bio_rec_df *rec;
    const uint8_t *ranges; /* of rec: range_nr words of 8 bytes: offset << 16 | length */
};
struct bio_look_end {
    uint64_t pos, file_off, seq, last_lsn, generation; /* the place of the next group */
    uint64_t groups_nr, records_nr;
    bool is_torn; /* something of a group lies there: torn when the target died, or damaged */
    bool is_damaged; /* it was written whole, and changed since: see bio_look_log() */
};
/**
 * Walk the log from the checkpoint on to its end, or to the first damage, which is logged. A result of fn that is not 0 ends it, and is returned.
 *
 * What lies at the end was written whole, so that a checksum which does not match is damage (is_damaged), if a device writes sectors whole or not at all (not so on mapped persistent memory), and
 *   - its header is of this place and generation, and makes no sense, or all of the group lies in the sector of the header; or
 *   - no sector of it holds zeros alone, and nothing but this group can ever have been written there: in the first round of the ring, by the first start after the format.
 * All else may have been torn when the target died.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int bio_look_log(struct bio_tgt *tgt,
    int (*fn)(void *arg, const struct bio_look_log *part), void *arg, struct bio_look_end *ret_end);

/* ---- devices -------------------------------------------------------------------------------------------------------- */

struct bio_look_dev {
    uint64_t bytes; /* of the device */
    struct bio_dev_label_df label;
    struct bio_dev_tab_df tab; /* good when both of the next are 0 */
    int label_rc, tab_rc; /* 0, or what is wrong with them: CSUM, DF_INVAL, DF_INCOMPT */
};
/** Read label and table of a device. Errors: NONEXIST, NO_PERM, NVME_IO, NOMEM. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_look_dev(struct xstream *xs, const char *path, struct bio_look_dev *ret_dev);

#endif
