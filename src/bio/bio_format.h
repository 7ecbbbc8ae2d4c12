/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Disk structures of a target's storage; the prose with offsets is docs/format/bio.md. All numbers are little-endian, which the
 * supported machines (x86-64, arm64) are: fields are used in place. Every structure carries a CRC-32C (FM-2, ST-7).
 *
 *   wal   superblock | ring of 4 KiB blocks holding groups
 *   meta  superblock | header place 0 | header place 1 | slot map 0 | slot map 1 | page slots
 *   data  superblock | blocks of extents
 *   target            a copy of the superblock alone: written last, so that its presence means that the format is complete
 *   device            label | table | regions, each of which holds what one of the files above holds
 */
#ifndef CAIRN_BIO_FORMAT_H
#define CAIRN_BIO_FORMAT_H

#include "base/assert.h"
#include "base/ids.h"

#include <stddef.h>
#include <stdint.h>

CAIRN_STATIC_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "disk structures are used in place");

#define BIO_DF_ASSERT(type, field, off) \
    CAIRN_STATIC_ASSERT(offsetof(struct type, field) == (off), #type "." #field)

enum { BIO_DF_BLK_BYTES = 4096 };

/* ---- superblock ----------------------------------------------------------------------------------------------------- */

#define BIO_SB_MAGIC UINT64_C(0x4f49424e52494143) /* "CAIRNBIO" */

enum {
    BIO_FORMAT_VERSION = 1,
};

/* Feature masks that this program knows (FM-2). */
#define BIO_FEAT_COMPAT UINT64_C(0)
#define BIO_FEAT_RO_COMPAT UINT64_C(0)
#define BIO_FEAT_WAL_WINDOW \
    UINT64_C(1) /* groups of the log may be written at the same time: bio_group_df.open_nr */
#define BIO_FEAT_MAP_LEAVES \
    UINT64_C(2) /* each leaf of the slot map lies in one of the areas; entries count free blocks */
#define BIO_FEAT_BARE_PAGES UINT64_C(4) /* there may be pages without a header: UMEM_DIR_BARE */
#define BIO_FEAT_INCOMPAT (BIO_FEAT_WAL_WINDOW | BIO_FEAT_MAP_LEAVES | BIO_FEAT_BARE_PAGES)

/* Roles: enum bio_role of bio.h. */

struct bio_sb_df {
    uint64_t magic;
    uint32_t version;
    uint32_t role;
    uint64_t compat;
    uint64_t ro_compat;
    uint64_t incompat;
    struct uuid system;
    struct uuid pool; /* nil: a target is shared by pools */
    struct uuid device;
    uint32_t rank;
    uint32_t tgt_idx;
    uint64_t generation; /* of the format */
    uint64_t wal_bytes; /* the whole file */
    uint64_t arena_bytes;
    uint64_t meta_bytes; /* the whole file */
    uint64_t data_bytes; /* the whole file */
    uint64_t salt; /* random, goes into the checksum of groups: log payload can't pass for a group */
    uint8_t reserved[3948];
    uint32_t crc; /* of all bytes before */
};

BIO_DF_ASSERT(bio_sb_df, version, 8);
BIO_DF_ASSERT(bio_sb_df, role, 12);
BIO_DF_ASSERT(bio_sb_df, compat, 16);
BIO_DF_ASSERT(bio_sb_df, system, 40);
BIO_DF_ASSERT(bio_sb_df, pool, 56);
BIO_DF_ASSERT(bio_sb_df, device, 72);
BIO_DF_ASSERT(bio_sb_df, rank, 88);
BIO_DF_ASSERT(bio_sb_df, generation, 96);
BIO_DF_ASSERT(bio_sb_df, wal_bytes, 104);
BIO_DF_ASSERT(bio_sb_df, salt, 136);
BIO_DF_ASSERT(bio_sb_df, reserved, 144);
BIO_DF_ASSERT(bio_sb_df, crc, 4092);
CAIRN_STATIC_ASSERT(sizeof(struct bio_sb_df) == BIO_DF_BLK_BYTES, "one block");

/* ---- devices -------------------------------------------------------------------------------------------------------- */

#define BIO_DEV_MAGIC UINT64_C(0x5645444e52494143) /* "CAIRNDEV" */
#define BIO_DEV_TAB_MAGIC UINT64_C(0x4241544e52494143) /* "CAIRNTAB" */
#define BIO_DEV_FEAT_RO_COMPAT UINT64_C(0)
#define BIO_DEV_FEAT_INCOMPAT UINT64_C(0)
#define BIO_SEAL_MAGIC UINT64_C(0x544d464e52494143) /* "CAIRNFMT" */

enum {
    BIO_DEV_VERSION = 1,
    BIO_DEV_TAB_OFF = 4096,
    BIO_DEV_TAB_BYTES = 12288,
    BIO_DEV_EDGE_BYTES = 1 << 20, /* nothing of a target lies in the first and in the last MiB */
    BIO_DEV_REGION_NR_MAX = 510,
    BIO_SECTOR_BYTES = 512, /* what a device writes whole or not at all */
};

enum bio_dev_state { BIO_DEV_FORMATTING = 1, BIO_DEV_READY = 2 };

/* Sector 0; the rest of its block is zero. */
struct bio_dev_label_df {
    uint64_t magic;
    uint32_t version;
    uint32_t state;
    uint64_t compat;
    uint64_t ro_compat;
    uint64_t incompat;
    struct uuid system;
    struct uuid device;
    uint32_t rank;
    uint32_t region_nr;
    uint64_t dev_bytes;
    uint32_t tab_crc; /* of all bytes of the table; 0 while formatting */
    uint8_t reserved[416];
    uint32_t crc; /* of all bytes before */
};

BIO_DF_ASSERT(bio_dev_label_df, state, 12);
BIO_DF_ASSERT(bio_dev_label_df, system, 40);
BIO_DF_ASSERT(bio_dev_label_df, device, 56);
BIO_DF_ASSERT(bio_dev_label_df, rank, 72);
BIO_DF_ASSERT(bio_dev_label_df, region_nr, 76);
BIO_DF_ASSERT(bio_dev_label_df, dev_bytes, 80);
BIO_DF_ASSERT(bio_dev_label_df, tab_crc, 88);
BIO_DF_ASSERT(bio_dev_label_df, crc, 508);
CAIRN_STATIC_ASSERT(sizeof(struct bio_dev_label_df) == BIO_SECTOR_BYTES, "one sector");

struct bio_dev_region_df {
    uint32_t role;
    uint32_t tgt_idx;
    uint64_t off;
    uint64_t bytes;
};
CAIRN_STATIC_ASSERT(sizeof(struct bio_dev_region_df) == 24, "region");

/* Regions in ascending order of off. */
struct bio_dev_tab_df {
    uint64_t magic;
    uint64_t reserved;
    struct uuid device;
    struct bio_dev_region_df regions[BIO_DEV_REGION_NR_MAX];
    uint8_t reserved2[16];
};
BIO_DF_ASSERT(bio_dev_tab_df, device, 16);
BIO_DF_ASSERT(bio_dev_tab_df, regions, 32);
CAIRN_STATIC_ASSERT(sizeof(struct bio_dev_tab_df) == BIO_DEV_TAB_BYTES, "three blocks");

/* First sector of block 1 of a target region, written when all else is durable. Zeros: the format is not complete. */
struct bio_seal_df {
    uint64_t magic;
    struct uuid device; /* of the target */
    uint32_t sb_crc; /* of the superblock in block 0 */
    uint8_t reserved[480];
    uint32_t crc; /* of all bytes before */
};
BIO_DF_ASSERT(bio_seal_df, device, 8);
BIO_DF_ASSERT(bio_seal_df, sb_crc, 24);
BIO_DF_ASSERT(bio_seal_df, crc, 508);
CAIRN_STATIC_ASSERT(sizeof(struct bio_seal_df) == BIO_SECTOR_BYTES, "one sector");

/* ---- log ------------------------------------------------------------------------------------------------------------ */

#define BIO_GROUP_MAGIC UINT32_C(0x474c5743) /* "CWLG" */

enum { BIO_GROUP_OPEN_NR_MAX = 15 };

/*
 * One write of the committer. It begins at a block boundary; `pos` counts blocks since format and never wraps, block pos of the
 * log is block 1 + pos % ring of the file.
 */
struct bio_group_df {
    uint32_t magic;
    uint32_t bytes; /* of header and records; the rest of the last block is zero */
    uint64_t generation;
    uint64_t pos;
    uint64_t seq; /* number of the group since format */
    uint64_t first_lsn;
    uint64_t data_lsn; /* the data of every transaction up to here is flushed (ST-3) */
    uint32_t rec_nr;
    uint32_t prev_crc; /* crc of the group before: binds the chain */
    uint32_t open_nr; /* so many groups before it were perhaps not durable when it was written: at most BIO_GROUP_OPEN_NR_MAX */
    uint32_t crc; /* of the salt, this header with crc 0, and the records */
};

BIO_DF_ASSERT(bio_group_df, bytes, 4);
BIO_DF_ASSERT(bio_group_df, generation, 8);
BIO_DF_ASSERT(bio_group_df, pos, 16);
BIO_DF_ASSERT(bio_group_df, seq, 24);
BIO_DF_ASSERT(bio_group_df, first_lsn, 32);
BIO_DF_ASSERT(bio_group_df, data_lsn, 40);
BIO_DF_ASSERT(bio_group_df, rec_nr, 48);
BIO_DF_ASSERT(bio_group_df, prev_crc, 52);
BIO_DF_ASSERT(bio_group_df, open_nr, 56);
BIO_DF_ASSERT(bio_group_df, crc, 60);
CAIRN_STATIC_ASSERT(sizeof(struct bio_group_df) == 64, "group header");

/* A transaction: header, range_nr range words (offset << 16 | length), then their bytes back to back, zeros up to 8. */
struct bio_rec_df {
    uint64_t lsn;
    uint64_t shard;
    uint32_t range_nr;
    uint32_t bytes; /* of the whole record */
};

BIO_DF_ASSERT(bio_rec_df, shard, 8);
BIO_DF_ASSERT(bio_rec_df, range_nr, 16);
BIO_DF_ASSERT(bio_rec_df, bytes, 20);
CAIRN_STATIC_ASSERT(sizeof(struct bio_rec_df) == 24, "record header");

/* ---- checkpoint ----------------------------------------------------------------------------------------------------- */

#define BIO_CKPT_MAGIC UINT64_C(0x3130504b434f4942) /* "BIOCKP01" */

enum {
    BIO_CKPT_SEG_NR_MAX = 32,
    BIO_CKPT_PLACE_BYTES = 2744,
    BIO_SLOT_NONE = 0, /* slot numbers on disk are 1-based */
    BIO_SLOT_LSN_BITS = 53,
    BIO_LEAF_ENTRY_NR_MIN =
        256, /* of the slot map; twice that, and so on, for arenas with more leaves than places have bits */
};

/* From log position start_pos on, groups carry this generation (until the start of the next segment). */
struct bio_seg_df {
    uint64_t generation;
    uint64_t start_pos;
    uint64_t first_lsn;
    uint64_t seq; /* of the first group */
    uint32_t prev_crc; /* of the group before */
    uint32_t reserved;
};
CAIRN_STATIC_ASSERT(sizeof(struct bio_seg_df) == 40, "segment");

struct bio_ckpt_df {
    uint64_t magic;
    uint64_t seq; /* the higher of two valid headers counts; it lies in place seq & 1 */
    struct uuid device;
    uint64_t ckpt_lsn; /* the pages hold every transaction up to here, and maybe later ones */
    uint64_t map_off; /* of the slot map in the file; with BIO_FEAT_MAP_LEAVES: of its first area */
    uint64_t map_nr; /* entries: pages 0 .. map_nr - 1; later pages are zero */
    uint32_t map_crc; /* of the entries; with BIO_FEAT_MAP_LEAVES: of the checksums of the leaves */
    uint32_t seg_nr; /* 1 .. BIO_CKPT_SEG_NR_MAX; replay starts at segs[0] */
    struct bio_seg_df segs[BIO_CKPT_SEG_NR_MAX];
    uint8_t places[BIO_CKPT_PLACE_BYTES]; /* bit i % 8 of byte i / 8: the area that holds leaf i; zero without BIO_FEAT_MAP_LEAVES */
    uint8_t reserved[4];
    uint32_t crc; /* of all bytes before */
};

BIO_DF_ASSERT(bio_ckpt_df, seq, 8);
BIO_DF_ASSERT(bio_ckpt_df, device, 16);
BIO_DF_ASSERT(bio_ckpt_df, ckpt_lsn, 32);
BIO_DF_ASSERT(bio_ckpt_df, map_off, 40);
BIO_DF_ASSERT(bio_ckpt_df, map_nr, 48);
BIO_DF_ASSERT(bio_ckpt_df, map_crc, 56);
BIO_DF_ASSERT(bio_ckpt_df, seg_nr, 60);
BIO_DF_ASSERT(bio_ckpt_df, segs, 64);
BIO_DF_ASSERT(bio_ckpt_df, places, 1344);
BIO_DF_ASSERT(bio_ckpt_df, crc, 4092);
CAIRN_STATIC_ASSERT(sizeof(struct bio_ckpt_df) == BIO_DF_BLK_BYTES, "one block");

struct bio_slot_df {
    uint32_t slot; /* BIO_SLOT_NONE: the page is zero */
    uint32_t crc; /* of the page image */
    uint64_t lsn; /* of the newest change in the image; with BIO_FEAT_MAP_LEAVES in the low 53 bits, above them its free blocks */
};
CAIRN_STATIC_ASSERT(sizeof(struct bio_slot_df) == 16, "slot map entry");

/* ---- arena ---------------------------------------------------------------------------------------------------------- */

#define UMEM_ROOT_MAGIC UINT64_C(0x544f4f524d454d55) /* "UMEMROOT" */
#define UMEM_SLAB_MAGIC UINT16_C(0x4c53) /* "SL" */

enum {
    UMEM_DF_PAGE_BYTES = 16384,
    UMEM_DF_SLAB_HDR_BYTES = 16,
    UMEM_DF_USER_OFF = 8192, /* of the user's root in page 0 */
    BIO_EXT_CHUNK_BLKS = 32640, /* blocks of one bitmap chunk: 4080 bytes */
    BIO_EXT_L1_NR = 510, /* chunk offsets in one directory block: 4080 bytes */
    BIO_EXT_L0_NR = 512,
};

/* Page 0. */
struct umem_root_df {
    uint64_t magic;
    uint32_t version;
    uint32_t dir_page_nr; /* pages 1 .. dir_page_nr hold one byte for each page (enum umem_dir_code) */
    uint64_t page_nr;
    uint64_t ext_blk_nr; /* blocks of the data role that the bitmap covers */
    uint8_t reserved[4064];
    uint64_t ext_l0[BIO_EXT_L0_NR]; /* offsets of directory blocks, 0: none of its blocks was ever used */
    uint8_t user[2048];
};

BIO_DF_ASSERT(umem_root_df, version, 8);
BIO_DF_ASSERT(umem_root_df, dir_page_nr, 12);
BIO_DF_ASSERT(umem_root_df, page_nr, 16);
BIO_DF_ASSERT(umem_root_df, ext_blk_nr, 24);
BIO_DF_ASSERT(umem_root_df, ext_l0, 4096);
BIO_DF_ASSERT(umem_root_df, user, UMEM_DF_USER_OFF);

/* Directory byte of a page. */
enum umem_dir_code {
    UMEM_DIR_FREE = 0,
    /* 1 .. UMEM_SLAB_CLS_NR: class + 1 */
    UMEM_DIR_BARE =
        0x40, /* a page of UMEM_DF_BARE_NR blocks and nothing else; bit i of the low ones set: block i is in use */
    UMEM_DIR_SYSTEM = 0x7f, /* root and directory */
    UMEM_DIR_FULL = 0x80, /* flag, not of bare pages: no free block in it */
};
enum {
    UMEM_SLAB_CLS_NR = 32,
    UMEM_DF_BARE_NR = 4,
    UMEM_DF_BARE_BYTES = UMEM_DF_PAGE_BYTES / UMEM_DF_BARE_NR,
    UMEM_DF_BARE_BITS = (1 << UMEM_DF_BARE_NR) - 1,
};

/* A page of blocks of one class: this header, the bitmap (bit set: in use, or beyond the last block), the blocks. */
struct umem_slab_df {
    uint16_t magic;
    uint16_t cls;
    uint32_t reserved;
    uint64_t reserved2;
};
CAIRN_STATIC_ASSERT(sizeof(struct umem_slab_df) == UMEM_DF_SLAB_HDR_BYTES, "slab header");

#endif /* CAIRN_BIO_FORMAT_H */
