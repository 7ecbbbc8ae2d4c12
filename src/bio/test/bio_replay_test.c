/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Replay of a small log in memory: round the ring, cut at every byte, with every bit flipped, with stale groups behind it, with records
 * that make no sense. What replay delivers is compared with what was put in, transaction by transaction.
 */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "harness/harness.h"

enum { RING_BLKS = 24, SEEN_MAX = 256 };

#define SALT UINT64_C(0x1122334455667788)

struct ring {
    uint8_t blks[RING_BLKS][BIO_BLK_BYTES];
    uint64_t generation, pos, seq, lsn;
    uint32_t prev_crc;
    uint32_t open_nr; /* of the next group */
    uint64_t group_pos[64]; /* of every group written */
    uint32_t group_bytes[64];
    uint64_t group_lsn[64]; /* last one in it */
    uint32_t group_nr;
    /* replay */
    uint64_t seen_nr, last_seen;
    int read_rc;
    struct {
        uint64_t blk;
        uint32_t blks;
        uint8_t *buf; /* NULL: nothing is being read */
    } ops[BIO_REPLAY_AHEAD_NR];
    uint32_t op_nr, op_nr_max, op_next;
    uint64_t read_blks;
};

static void
ring_init(struct ring *r)
{
    memset(r, 0, sizeof(*r));
    r->generation = 1;
}

/* One record whose single range tells its lsn. */
static uint32_t
record_put(uint8_t *buf, uint64_t lsn, uint32_t len)
{
    struct bio_rec_df hdr = {
        .lsn = lsn, .shard = 1, .range_nr = 1, .bytes = ALIGN_UP(24 + 8 + len, 8u)};
    uint64_t word = lsn * 4096 << 16 | len;

    memset(buf, 0, hdr.bytes);
    memcpy(buf, &hdr, sizeof(hdr));
    memcpy(buf + 24, &word, 8);
    memset(buf + 32, (int)(lsn & 0xff), len);
    return hdr.bytes;
}

static void
group_store(struct ring *r, const uint8_t *buf, const struct bio_group_df *hdr)
{
    uint32_t blks = DIV_UP(hdr->bytes, (uint32_t)BIO_BLK_BYTES);

    for (uint32_t i = 0; i < blks; i++) {
        memcpy(r->blks[(hdr->pos + i) % RING_BLKS], buf + (size_t)i * BIO_BLK_BYTES, BIO_BLK_BYTES);
    }
    r->group_pos[r->group_nr] = hdr->pos;
    r->group_bytes[r->group_nr] = hdr->bytes;
    r->group_lsn[r->group_nr++] = hdr->first_lsn + hdr->rec_nr - 1;
    r->pos += blks;
    r->seq++;
    r->prev_crc = hdr->crc;
    r->lsn += hdr->rec_nr;
}

static void
group_put(struct ring *r, uint32_t recs, uint32_t len)
{
    static uint8_t buf[RING_BLKS * BIO_BLK_BYTES];
    struct bio_group_df hdr = {
        .generation = r->generation,
        .pos = r->pos,
        .seq = r->seq,
        .first_lsn = r->lsn + 1,
        .data_lsn = r->lsn + recs,
        .rec_nr = recs,
        .prev_crc = r->prev_crc,
        .open_nr = r->open_nr,
        .bytes = sizeof(hdr),
    };

    for (uint32_t i = 0; i < recs; i++) {
        hdr.bytes += record_put(buf + hdr.bytes, hdr.first_lsn + i, len);
    }
    bio_group_seal(buf, &hdr, SALT);
    group_store(r, buf, &hdr);
}

/* What is being read holds anything until it has been waited for, in the order of beginning. */
static void
ring_start(void *arg, uint32_t op, uint64_t blk, uint32_t blks, uint8_t *buf)
{
    struct ring *r = arg;

    EXPECT_LE(blk + blks, RING_BLKS);
    EXPECT_LT(op, BIO_REPLAY_AHEAD_NR);
    EXPECT(r->ops[op].buf == NULL);
    memset(buf, 0xa5, 256);
    r->ops[op].blk = blk;
    r->ops[op].blks = blks;
    r->ops[op].buf = buf;
    r->op_nr++;
    r->op_nr_max = MAX(r->op_nr_max, r->op_nr);
    r->read_blks += blks;
}

static int
ring_wait(void *arg, uint32_t op)
{
    struct ring *r = arg;

    EXPECT_EQ(op, r->op_next);
    EXPECT(r->ops[op].buf != NULL);
    memcpy(r->ops[op].buf, r->blks[r->ops[op].blk], (size_t)r->ops[op].blks * BIO_BLK_BYTES);
    r->ops[op].buf = NULL;
    r->op_nr--;
    r->op_next = (op + 1) % BIO_REPLAY_AHEAD_NR;
    return r->read_rc;
}

static int
ring_range(void *arg, uint64_t lsn, uint64_t off, uint32_t len, const uint8_t *bytes)
{
    struct ring *r = arg;

    EXPECT_EQ(lsn, r->last_seen + 1);
    EXPECT_EQ(off, lsn * 4096);
    for (uint32_t i = 0; i < len; i++) {
        if (bytes[i] != (uint8_t)(lsn & 0xff)) {
            EXPECT(!"the payload is that of its transaction");
            break;
        }
    }
    r->last_seen = lsn;
    r->seen_nr++;
    return 0;
}

static int
ring_replay(struct ring *r, const struct bio_seg_df *segs, uint32_t seg_nr, struct bio_replay_end *end)
{
    static uint8_t win[RING_BLKS * BIO_BLK_BYTES];
    struct bio_replay_io io = {.ring_blks = RING_BLKS,
        .salt = SALT,
        .win = win,
        .win_blks = RING_BLKS,
        .arg = r,
        .start = ring_start,
        .wait = ring_wait,
        .range = ring_range};
    int rc;

    r->seen_nr = 0;
    r->last_seen = segs[0].first_lsn - 1;
    r->op_next = 0;
    r->op_nr_max = 0;
    r->read_blks = 0;
    rc = bio_replay(&io, segs, seg_nr, end);
    EXPECT_EQ(r->op_nr, 0); /* the memory goes away now */
    return rc;
}

static const struct bio_seg_df seg_first = {.generation = 1, .first_lsn = 1};

static struct bio_seg_df
seg_here(const struct ring *r)
{
    return (struct bio_seg_df){.generation = r->generation,
        .start_pos = r->pos,
        .first_lsn = r->lsn + 1,
        .seq = r->seq,
        .prev_crc = r->prev_crc};
}

/*
 * Goal: replay reads each block of the ring once, several reads at a time, however large the groups are.
 * Method: logs of groups of random sizes, from anywhere in the ring; those that are larger than the small window cost what was read ahead of them.
 */
TEST(bio_replay, each_block_is_read_once)
{
    static struct ring r;
    struct bio_replay_end end = {0};
    struct rng rng;
    uint32_t ahead_max = 0;

    rng_init(&rng, 7);
    ring_init(&r);
    for (uint32_t round = 0; round < 200 && !test_failed(); round++) {
        bool has_large = round % 4 == 3;
        struct bio_seg_df start = seg_here(&r);

        r.group_nr = 0;
        for (uint32_t left = (uint32_t)rng_below(&rng, RING_BLKS), blks; left > 0; left -= blks) {
            blks = 1 + (uint32_t)rng_below(&rng, has_large ? MIN(left, 15u) : MIN(left, 4u));
            group_put(&r, 1, blks * BIO_BLK_BYTES - 200);
        }
        EXPECT_OK(ring_replay(&r, &start, 1, &end));
        EXPECT_EQ(end.pos, r.pos);
        EXPECT_EQ(end.last_lsn, r.lsn);
        EXPECT_LE(r.read_blks, has_large ? 3 * RING_BLKS : RING_BLKS + RING_BLKS / 2);
        ahead_max = MAX(ahead_max, r.op_nr_max);
    }
    EXPECT_GE(ahead_max, 2);
}

/* Goal: whatever was written comes back in order, also round the end of the ring and from the middle of the log. */
TEST(bio_replay, round_the_ring)
{
    static struct ring r;
    struct bio_seg_df seg = seg_first;
    struct bio_replay_end end = {0};

    ring_init(&r);
    EXPECT_OK(ring_replay(&r, &seg, 1, &end));
    EXPECT_EQ(end.pos, 0);
    EXPECT_EQ(end.last_lsn, 0);
    for (uint32_t lap = 0; lap < 20; lap++) {
        struct bio_seg_df start = seg_here(&r);

        group_put(&r, 3, 100);
        group_put(&r, 2, 5000 + lap * 100);
        group_put(&r, 0, 0);
        group_put(&r, 1, 30000);
        EXPECT_OK(ring_replay(&r, &start, 1, &end));
        EXPECT_EQ(r.seen_nr, 6);
        EXPECT_EQ(end.records_nr, 6);
        EXPECT_EQ(end.groups_nr, 4);
        EXPECT_EQ(end.last_lsn, r.lsn);
        EXPECT_EQ(end.pos, r.pos);
        EXPECT_EQ(end.seq, r.seq);
        EXPECT_EQ(end.prev_crc, r.prev_crc);
        r.group_nr = 0;
    }
    r.read_rc = -DER_NVME_IO;
    EXPECT_ERR(ring_replay(&r, &seg, 1, &end), NVME_IO);
}

static void
sample_log(struct ring *r)
{
    ring_init(r);
    group_put(r, 2, 40);
    group_put(r, 1, 5000);
    group_put(r, 3, 100);
    group_put(r, 2, 4000);
}

/*
 * Goal: a torn last group is dropped as a whole, everything before it counts.
 * Method: cut the last group after every byte, the rest is zeros or what lay there before; lose each subset of its blocks.
 */
TEST(bio_replay, every_truncation)
{
    static struct ring r, cut;
    struct bio_seg_df seg = seg_first;
    struct bio_replay_end end = {0};
    uint64_t pos;
    uint32_t bytes;

    sample_log(&r);
    pos = r.group_pos[3];
    bytes = r.group_bytes[3];
    for (uint32_t at = 0; at <= bytes && !test_failed(); at++) {
        for (uint8_t fill = 0; fill < 2; fill++) {
            bool whole;

            cut = r;
            memset((uint8_t *)cut.blks[pos] + at, fill * 0xa5, bytes - at);
            whole = memcmp(cut.blks[pos], r.blks[pos], bytes) == 0;
            EXPECT_OK(ring_replay(&cut, &seg, 1, &end));
            EXPECT_EQ(end.last_lsn, whole ? r.lsn : r.group_lsn[2]);
            EXPECT_EQ(cut.last_seen, end.last_lsn);
        }
    }
    EXPECT_EQ(bytes, 2 * 4032 + 64);
    for (uint32_t lost = 1; lost < 4; lost++) {
        cut = r;
        for (uint32_t b = 0; b < 2; b++) {
            if ((lost >> b & 1) != 0)
                memset(cut.blks[pos + b], 0, BIO_BLK_BYTES);
        }
        EXPECT_OK(ring_replay(&cut, &seg, 1, &end));
        EXPECT_EQ(end.last_lsn, r.group_lsn[2]);
    }
}

/*
 * Goal: no flipped bit passes. In a group with a successor it is damage (CSUM), in the last one it looks torn, in padding it is harmless.
 */
TEST(bio_replay, every_flipped_bit)
{
    static struct ring r;
    struct bio_seg_df seg = seg_first;
    struct bio_replay_end end = {0};

    sample_log(&r);
    for (uint32_t g = 0; g < 4; g++) {
        uint8_t *start = r.blks[r.group_pos[g]];
        uint32_t padded = ALIGN_UP(r.group_bytes[g], (uint32_t)BIO_BLK_BYTES);

        for (uint32_t bit = 0; bit < padded * 8 && !test_failed(); bit++) {
            bool in_group = bit / 8 < r.group_bytes[g];
            int rc;

            start[bit / 8] ^= (uint8_t)(1u << bit % 8);
            rc = ring_replay(&r, &seg, 1, &end);
            if (in_group && g < 3) {
                EXPECT_ERR(rc, CSUM);
                EXPECT_EQ(r.last_seen, g == 0 ? 0 : r.group_lsn[g - 1]);
            } else {
                EXPECT_OK(rc);
                EXPECT_EQ(end.last_lsn, in_group ? r.group_lsn[2] : r.lsn);
            }
            start[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    /* WAL-3: with an empty group behind it, damage to the last records is seen. */
    group_put(&r, 0, 0);
    r.blks[r.group_pos[3]][100] ^= 1;
    EXPECT_ERR(ring_replay(&r, &seg, 1, &end), CSUM);
}

/*
 * Goal: after a torn tail, what a new generation writes never chains to leftovers.
 * Method: tear a long group in every way that loses one block, write a shorter one there, look at what follows.
 */
TEST(bio_replay, leftovers_of_a_torn_tail)
{
    static struct ring r;

    for (uint32_t lost = 0; lost < 5; lost++) {
        struct bio_seg_df segs[2] = {seg_first};
        struct bio_replay_end end = {0};
        struct ring before;

        ring_init(&r);
        group_put(&r, 2, 40);
        before = r;
        group_put(&r, 5, 4000); /* 5 blocks */
        memset(r.blks[(before.pos + lost) % RING_BLKS], 0, BIO_BLK_BYTES);
        memcpy(before.blks, r.blks, sizeof(r.blks));
        r = before;
        EXPECT_OK(ring_replay(&r, segs, 1, &end));
        EXPECT_EQ(end.pos, r.pos);
        r.generation = 2;
        segs[1] = seg_here(&r);
        group_put(&r, 1, 50);
        EXPECT_OK(ring_replay(&r, segs, 2, &end));
        EXPECT_EQ(end.last_lsn, 3);
        EXPECT_EQ(end.generation, 2);
        group_put(&r, 1, 5000);
        EXPECT_OK(ring_replay(&r, segs, 2, &end));
        EXPECT_EQ(end.last_lsn, 4);
    }
}

static void
group_lose(struct ring *r, uint32_t group, uint32_t blk)
{
    memset(r->blks[(r->group_pos[group] + blk) % RING_BLKS], 0, BIO_BLK_BYTES);
}

/*
 * Goal: of groups that were written at the same time any may be lost: the log ends at the first that is, and what of the others is whole is
 * neither believed nor taken for damage, now or when a new generation has written over some of it.
 * Method: lose each subset of three such groups behind two durable ones; then write short groups in a new generation, looking after each.
 */
TEST(bio_replay, groups_of_one_window)
{
    static struct ring whole, r;

    ring_init(&whole);
    group_put(&whole, 2, 40);
    group_put(&whole, 1, 5000);
    for (uint32_t i = 0; i < 3; i++) {
        whole.open_nr = i;
        group_put(&whole, 2, 2500);
    }
    for (uint32_t lost = 1; lost < 8; lost++) {
        struct bio_seg_df segs[2] = {seg_first};
        uint32_t first = 2 + (uint32_t)__builtin_ctz(lost);
        struct bio_replay_end end = {0};

        r = whole;
        for (uint32_t i = 0; i < 3; i++) {
            if ((lost >> i & 1) != 0)
                group_lose(&r, 2 + i, i % 2);
        }
        EXPECT_OK(ring_replay(&r, segs, 1, &end));
        EXPECT_EQ(end.last_lsn, whole.group_lsn[first - 1]);
        EXPECT_EQ(end.pos, whole.group_pos[first]);

        r.pos = end.pos;
        r.seq = end.seq;
        r.lsn = end.last_lsn;
        r.prev_crc = end.prev_crc;
        r.generation = 2;
        segs[1] = seg_here(&r);
        EXPECT_OK(ring_replay(&r, segs, 2, &end));
        EXPECT_EQ(end.last_lsn, r.lsn);
        for (uint32_t i = 0; i < 8; i++) {
            r.open_nr = i % 2;
            group_put(&r, 1, 50);
            EXPECT_OK(ring_replay(&r, segs, 2, &end));
            EXPECT_EQ(end.last_lsn, r.lsn);
            EXPECT_EQ(end.generation, 2);
        }
    }
}

/* Goal: a group that was durable before a later one was written is missed, however many groups were written at a time. */
TEST(bio_replay, durable_group_before_a_window)
{
    static struct ring r;
    struct bio_seg_df seg = seg_first;
    struct bio_replay_end end = {0};

    for (uint32_t open = 0; open < 6; open++) {
        ring_init(&r);
        for (uint32_t i = 0; i < 4; i++) {
            group_put(&r, 1, 40);
        }
        r.open_nr = open;
        group_put(&r, 1, 40); /* says that all but `open` of the four before are durable */
        for (uint32_t lost = 0; lost < 4; lost++) {
            struct ring cut = r;
            int rc;

            group_lose(&cut, lost, 0);
            for (uint32_t i = lost + 1; i < 4; i++) {
                group_lose(&cut, i, 0); /* the fifth alone bears witness */
            }
            rc = ring_replay(&cut, &seg, 1, &end);
            if (lost + open < 4) {
                EXPECT_ERR(rc, CSUM);
            } else {
                EXPECT_OK(rc);
                EXPECT_EQ(end.last_lsn, lost);
            }
        }
    }
    /* More than any writer would have open: so many count. */
    ring_init(&r);
    for (uint32_t i = 0; i <= BIO_GROUP_OPEN_NR_MAX; i++) {
        group_put(&r, 1, 40);
    }
    r.open_nr = UINT32_MAX;
    group_put(&r, 1, 40);
    for (uint32_t i = 0; i <= BIO_GROUP_OPEN_NR_MAX; i++) {
        group_lose(&r, i, 0);
    }
    EXPECT_ERR(ring_replay(&r, &seg, 1, &end), CSUM);
}

/*
 * Goal: a torn group that its torn successor with the same payload completes again is not taken for damage, nor believed.
 */
TEST(bio_replay, torn_group_made_whole_again)
{
    static struct ring r, old;
    struct bio_seg_df segs[2] = {seg_first};
    struct bio_replay_end end = {0};

    ring_init(&r);
    group_put(&r, 1, 40);
    segs[1] = seg_here(&r);
    segs[1].generation = 2;
    old = r;
    group_put(&old, 1, 9000); /* generation 1, whole again */
    EXPECT_OK(ring_replay(&old, segs, 2, &end));
    EXPECT_EQ(end.last_lsn, 1);
    EXPECT_EQ(end.generation, 2);
    /* The same group anywhere else is damage. */
    r = old;
    group_put(&r, 1, 10);
    memset(r.blks[old.group_pos[1]], 0, BIO_BLK_BYTES);
    EXPECT_ERR(ring_replay(&r, segs, 2, &end), CSUM);
}

/* Goal: the recorded generations prove how far the log went; a lost record of the newest one does no harm. */
TEST(bio_replay, segments)
{
    static struct ring r;
    struct bio_seg_df segs[3] = {seg_first};
    struct bio_replay_end end = {0};

    ring_init(&r);
    group_put(&r, 1, 10);
    r.generation = 2;
    segs[1] = seg_here(&r);
    group_put(&r, 1, 10);
    r.generation = 3;
    segs[2] = seg_here(&r);
    EXPECT_OK(ring_replay(&r, segs, 3, &end));
    EXPECT_EQ(end.last_lsn, 2);
    EXPECT_EQ(end.generation, 3);
    group_put(&r, 1, 10);
    EXPECT_OK(ring_replay(&r, segs, 3, &end));
    EXPECT_EQ(end.last_lsn, 3);
    /* The newest header is lost: the chain still holds. */
    EXPECT_OK(ring_replay(&r, segs, 2, &end));
    EXPECT_EQ(end.last_lsn, 3);
    EXPECT_EQ(end.generation, 3);

    /* The last group before a recorded start is damaged, and nothing follows in the ring: still seen. */
    memset(r.blks[2], 0, BIO_BLK_BYTES);
    r.blks[1][70] ^= 4;
    EXPECT_ERR(ring_replay(&r, segs, 3, &end), CSUM);
    r.blks[1][70] ^= 4;
    EXPECT_OK(ring_replay(&r, segs, 3, &end));
    /* A start that is inside a group. */
    segs[2].prev_crc ^= 1;
    EXPECT_ERR(ring_replay(&r, segs, 3, &end), CSUM);
}

/* Goal: another target's log, or payload that looks like a group, is not believed. */
TEST(bio_replay, salt_and_lookalikes)
{
    static struct ring r;
    static uint8_t fake[BIO_BLK_BYTES];
    struct bio_seg_df seg = seg_first;
    struct bio_replay_end end = {0};
    struct bio_group_df hdr;

    ring_init(&r);
    group_put(&r, 1, 10);
    hdr = (struct bio_group_df){.generation = 1, .pos = 5, .seq = 5, .first_lsn = 9, .bytes = 64};
    bio_group_seal(fake, &hdr, SALT + 1);
    memcpy(r.blks[5], fake, sizeof(fake));
    EXPECT_OK(ring_replay(&r, &seg, 1, &end));
    EXPECT_EQ(end.last_lsn, 1);
    bio_group_seal(fake, &hdr, SALT);
    memcpy(r.blks[5], fake, sizeof(fake));
    EXPECT_ERR(ring_replay(&r, &seg, 1, &end), CSUM);
}

/* Goal: a record with a good checksum that makes no sense is an error, never a crash. */
TEST(bio_replay, records_that_make_no_sense)
{
    static struct ring r;
    static uint8_t buf[BIO_BLK_BYTES * 2];
    struct bio_seg_df seg = seg_first;
    struct bio_replay_end end = {0};

    for (uint32_t what = 0; what < 8; what++) {
        struct bio_group_df hdr = {.generation = 1, .first_lsn = 1, .rec_nr = 1, .bytes = 64};
        struct bio_rec_df rec;

        ring_init(&r);
        hdr.bytes += record_put(buf + 64, 1, 100);
        memcpy(&rec, buf + 64, sizeof(rec));
        switch (what) {
        case 0:
            rec.lsn = 2;
            break;
        case 1:
            rec.range_nr = 2;
            break;
        case 2:
            rec.range_nr = UINT32_MAX;
            break;
        case 3:
            rec.bytes = 16;
            break;
        case 4:
            rec.bytes = UINT32_MAX;
            break;
        case 5:
            rec.range_nr = 0;
            break;
        case 6:
            hdr.rec_nr = 2;
            break;
        default:
            hdr.bytes += 8;
            break;
        }
        memcpy(buf + 64, &rec, sizeof(rec));
        bio_group_seal(buf, &hdr, SALT);
        memcpy(r.blks[0], buf, BIO_BLK_BYTES);
        EXPECT_ERR(ring_replay(&r, &seg, 1, &end), DF_INVAL);
    }
}
