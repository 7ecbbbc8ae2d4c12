/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: replay of a small log in memory (bio_replay.c, pure). A ring of 24 blocks holds ten good groups, of three generations; the input changes
 * them; their checksums and their chain are made right again unless it says otherwise. Replay must end, read inside the ring only, and
 * hand out ranges in order, of bytes that it read (ST-7). Input: one byte of flags (1: checksums stay wrong; 2: the chain does), then,
 * repeated: group, offset (2 bytes), n, n bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/util.h"
#include "bio/bio_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { RING_BLKS = 24, GROUP_NR = 10 };
#define SALT UINT64_C(0x1122334455667788)

struct ring {
    uint8_t blks[RING_BLKS][BIO_BLK_BYTES];
    uint64_t last_lsn;
    uint8_t *win;
    uint32_t group_blk[GROUP_NR];
};

static uint32_t
record_put(uint8_t *buf, uint64_t lsn, uint32_t len)
{
    struct bio_rec_df hdr = {
        .lsn = lsn, .shard = 1, .range_nr = 2, .bytes = ALIGN_UP(24 + 16 + 2 * len, 8U)};
    uint64_t words[2] = {lsn * 4096 << 16 | len, (lsn * 4096 + 512) << 16 | len};

    memset(buf, 0, hdr.bytes);
    memcpy(buf, &hdr, sizeof(hdr));
    memcpy(buf + 24, words, sizeof(words));
    return hdr.bytes;
}

/* Good groups of one or two blocks, from position 18 on, over the end of the ring. */
static void
ring_fill(struct ring *r, struct bio_seg_df *segs)
{
    uint8_t *buf = calloc(2, BIO_BLK_BYTES);
    uint64_t pos = 18, lsn = 0;
    uint32_t prev_crc = 0;

    for (uint32_t g = 0; g < GROUP_NR; g++) {
        struct bio_group_df hdr = {.generation = 1 + g / 4,
            .pos = pos,
            .seq = g,
            .first_lsn = lsn + 1,
            .rec_nr = 1 + g % 3,
            .prev_crc = prev_crc,
            .bytes = sizeof(hdr)};

        if (g % 4 == 0) {
            segs[g / 4] = (struct bio_seg_df){.generation = 1 + g / 4,
                .start_pos = pos,
                .first_lsn = lsn + 1,
                .seq = g,
                .prev_crc = prev_crc};
        }
        for (uint32_t i = 0; i < hdr.rec_nr; i++) {
            hdr.bytes += record_put(buf + hdr.bytes, ++lsn, 100 + 200 * (g % 5));
        }
        bio_group_seal(buf, &hdr, SALT);
        prev_crc = hdr.crc;
        r->group_blk[g] = (uint32_t)(pos % RING_BLKS);
        for (uint32_t i = 0; i < DIV_UP(hdr.bytes, (uint32_t)BIO_BLK_BYTES); i++, pos++) {
            memcpy(r->blks[pos % RING_BLKS], buf + (size_t)i * BIO_BLK_BYTES, BIO_BLK_BYTES);
        }
    }
    free(buf);
}

static void
ring_seal(struct ring *r, bool chains)
{
    const uint64_t salt = SALT;
    uint32_t prev_crc = 0;

    for (uint32_t g = 0; g < GROUP_NR; g++) {
        uint8_t *mem = r->blks[r->group_blk[g]];
        struct bio_group_df hdr;

        memcpy(&hdr, mem, sizeof(hdr));
        if (chains)
            hdr.prev_crc = prev_crc;
        hdr.crc = 0;
        memcpy(mem, &hdr, sizeof(hdr));
        if (hdr.bytes <= (RING_BLKS - r->group_blk[g]) * (uint32_t)BIO_BLK_BYTES)
            hdr.crc = crc32c(crc32c(0, &salt, sizeof(salt)), mem, hdr.bytes);
        memcpy(mem, &hdr, sizeof(hdr));
        prev_crc = hdr.crc;
    }
}

static int
ring_read(void *arg, uint64_t blk, uint32_t blks, uint8_t *buf)
{
    struct ring *r = arg;

    if (blk >= RING_BLKS || blks > RING_BLKS - blk)
        abort();
    memcpy(buf, r->blks[blk], (size_t)blks * BIO_BLK_BYTES);
    return 0;
}

static int
ring_range(void *arg, uint64_t lsn, uint64_t off, uint32_t len, const uint8_t *bytes)
{
    struct ring *r = arg;
    volatile uint8_t sum = 0;

    if (lsn < r->last_lsn || bytes < r->win || bytes + len > r->win + sizeof(r->blks))
        abort();
    r->last_lsn = lsn;
    for (uint32_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return len == 0 || off / UMEM_PAGE_BYTES != (off + len - 1) / UMEM_PAGE_BYTES
        ? CAIRN_ERR(DF_INVAL)
        : 0; /* as umem_replay() */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ring *r = calloc(1, sizeof(*r));
    uint8_t *win = malloc((size_t)RING_BLKS * BIO_BLK_BYTES);
    struct bio_replay_io io = {.ring_blks = RING_BLKS,
        .salt = SALT,
        .win = win,
        .win_blks = RING_BLKS,
        .arg = r,
        .read = ring_read,
        .range = ring_range};
    const uint8_t *end = data + len;
    uint8_t flags = len > 0 ? *data++ : 0;
    struct bio_seg_df segs[3] = {{0}};
    struct bio_replay_end ret_end;

    r->win = win;
    ring_fill(r, segs);
    while (end - data >= 4) {
        uint32_t off = le16_get(data + 1);
        uint8_t *mem = r->blks[r->group_blk[data[0] % GROUP_NR]];
        size_t n = MIN(data[3], (size_t)(end - data - 4));

        off %= BIO_BLK_BYTES;
        memcpy(mem + off, data + 4, MIN(n, (size_t)(BIO_BLK_BYTES - off)));
        data += 4 + n;
    }
    if ((flags & 1) == 0)
        ring_seal(r, (flags & 2) == 0);
    CAIRN_IGNORE(bio_replay(&io, segs, 1 + flags / 4 % 3, &ret_end)); /* any answer will do */
    free(win);
    free(r);
    return 0;
}
