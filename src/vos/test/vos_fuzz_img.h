/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A store for fuzz targets: a golden image of test/compat/vos on disks in memory, changed as the input says: bytes of its
 * superblocks, checkpoint headers, slot map, pages (roots, slabs, trees, records) or log groups; then all checksums are made right again,
 * unless it says otherwise, so that what is behind them sees the bytes.
 *
 * Input: one byte of flags (1: leave the checksums wrong, 2: the data role is mapped memory, 8: the image with transactions), then, repeated: kind (0 superblocks, 1 checkpoint header, 2 page, 3 group of the log,
 * 4 slot map, 5 block of data), which (2 bytes), offset (2 bytes), n (1 byte), n bytes that are written there.
 */
#ifndef CAIRN_VOS_FUZZ_IMG_H
#define CAIRN_VOS_FUZZ_IMG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plat;

void vos_fuzz_change(const uint8_t *data, size_t len);
/** Such an input changes nothing: the store opens, and is sound; a target that sees less is blind to all the rest. */
static inline bool
vos_fuzz_is_plain(const uint8_t *data, size_t len)
{
    return len == 0 || (len < 7 && (data[0] & 1) == 0);
}
/** The files wal, meta, data and target of any directory are those of the image. With is_rdonly a write ends the process. */
void vos_fuzz_disks(struct plat *plat, bool is_rdonly);
/** The superblock that rules. */
const struct bio_sb_df *vos_fuzz_sb(void);
/** As before the change. */
void vos_fuzz_restore(void);

#endif
