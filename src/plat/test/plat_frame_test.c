/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the frame machine yields the same messages however the stream is cut (FRM-3), never more than its limits (FRM-1), and stops at
 * the first lie (FRM-2).
 * Method: a stream of messages of all kinds of lengths is fed whole, byte by byte, in every pair of pieces, and in random pieces
 * with direct reads mixed in; the messages are compared with those that went in.
 */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "harness/harness.h"
#include "plat/plat_frame.h"

enum { MSGS_MAX = 32 };

struct stream {
    uint8_t *bytes;
    size_t len;
    uint32_t msgs_nr;
    size_t head_len[MSGS_MAX], payload_len[MSGS_MAX];
    size_t head_off[MSGS_MAX], payload_off[MSGS_MAX];
};

static void
stream_add(struct stream *s, size_t head_len, size_t payload_len, uint64_t *seed)
{
    uint32_t i = s->msgs_nr++;

    s->bytes = realloc(s->bytes, s->len + FRAME_HDR_BYTES + head_len + payload_len);
    frame_hdr_put(s->bytes + s->len, head_len, payload_len);
    s->len += FRAME_HDR_BYTES;
    s->head_len[i] = head_len;
    s->payload_len[i] = payload_len;
    s->head_off[i] = s->len;
    s->payload_off[i] = s->len + head_len;
    for (size_t k = 0; k < head_len + payload_len; k++) {
        s->bytes[s->len++] = (uint8_t)test_rand(seed);
    }
}

enum { PLACE_NEVER, PLACE_ALWAYS, PLACE_SOME };

struct reader {
    struct frame_rx rx;
    const struct stream *s;
    uint32_t msgs_nr;
    int place;
    uint8_t *buf;
    bool placed;
};

/* Bytes in a buffer of their own, which is gone after NEED: a machine that keeps pointing there is caught by ASan. */
static bool
reader_feed(struct reader *r, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    enum frame_event ev = FRAME_NEED;
    size_t off = 0, used = 0;
    bool good = true;

    memcpy(copy, bytes, len);
    do {
        uint32_t i = r->msgs_nr;

        if (frame_rx_feed(&r->rx, copy + off, len - off, &used, &ev) != 0) {
            good = false;
            break;
        }
        off += used;
        if (ev == FRAME_NEED)
            break;
        good = good && i < r->s->msgs_nr && r->rx.head_len == r->s->head_len[i] &&
            r->rx.payload_len == r->s->payload_len[i] &&
            memcmp(r->rx.head, r->s->bytes + r->s->head_off[i], r->rx.head_len) == 0;
        if (ev == FRAME_PLACE) {
            r->placed = r->place == PLACE_ALWAYS || (r->place == PLACE_SOME && i % 2 == 0);
            r->buf = r->placed ? malloc(r->rx.payload_len) : NULL;
            frame_rx_place(&r->rx, r->buf);
        } else {
            if (r->rx.payload_len > 0) {
                good = good && (!r->placed || r->rx.payload == r->buf) &&
                    memcmp(r->rx.payload, r->s->bytes + r->s->payload_off[i], r->rx.payload_len) == 0;
            }
            free(r->buf);
            r->buf = NULL;
            r->msgs_nr++;
        }
    } while (good);
    good = good && off == len;
    free(copy);
    return good;
}

static void
reader_fini(struct reader *r)
{
    frame_rx_fini(&r->rx);
    free(r->buf);
}

TEST(plat_frame, header_bytes)
{
    uint8_t hdr[FRAME_HDR_BYTES];
    const uint8_t want[12] = {0x43, 0x4e, 0x4d, 0x31, 3, 1, 0, 0, 0, 0, 16, 0};

    frame_hdr_put(hdr, 0x103, 1 << 20);
    EXPECT_MEM_EQ(hdr, want, 12);
    EXPECT_EQ(le32_get(hdr + 12), crc32c(0, want, 12));
}

TEST(plat_frame, every_split)
{
    uint64_t seed = test_seed();
    struct stream s = {0};
    bool good = true;

    stream_add(&s, 1, 0, &seed);
    stream_add(&s, 40, 70, &seed);
    stream_add(&s, 17, 1, &seed);
    stream_add(&s, 600, 0, &seed);
    stream_add(&s, 3, 300, &seed);
    for (int place = PLACE_NEVER; place <= PLACE_SOME; place++) {
        for (size_t cut = 0; cut <= s.len && good; cut++) {
            struct reader r = {.s = &s, .place = place};

            good = reader_feed(&r, s.bytes, cut) && reader_feed(&r, s.bytes + cut, s.len - cut);
            good = EXPECT(good) && EXPECT_EQ(r.msgs_nr, s.msgs_nr);
            reader_fini(&r);
        }
        struct reader r = {.s = &s, .place = place};
        for (size_t i = 0; i < s.len; i++) {
            good = good && reader_feed(&r, s.bytes + i, 1);
        }
        EXPECT(good);
        EXPECT_EQ(r.msgs_nr, s.msgs_nr);
        reader_fini(&r);
    }
    free(s.bytes);
}

/* Random pieces, and inside payloads sometimes a direct read, as the sock backend does. */
TEST(plat_frame, random_pieces_and_direct)
{
    uint64_t seed = test_seed();
    struct stream s = {0};

    for (int i = 0; i < 20; i++) {
        stream_add(&s, 1 + test_rand(&seed) % 2000, i % 3 == 0 ? 0 : test_rand(&seed) % 5000, &seed);
    }
    stream_add(&s, NET_HDR_BYTES_MAX, NET_PAYLOAD_BYTES_MAX, &seed);
    for (int run = 0; run < 60; run++) {
        struct reader r = {.s = &s, .place = run % 3};
        bool good = true;
        size_t off = 0;

        while (good && off < s.len) {
            size_t nr = 1 + test_rand(&seed) % (run % 2 == 0 ? 3000 : 200000);
            struct iov dst;

            if (nr > s.len - off)
                nr = s.len - off;
            if (test_rand(&seed) % 2 == 0 && frame_rx_direct(&r.rx, &dst)) {
                size_t direct = nr < dst.len ? nr : dst.len;

                memcpy(dst.buf, s.bytes + off, direct);
                frame_rx_direct_done(&r.rx, direct);
                off += direct;
                nr -= direct;
            }
            good = reader_feed(&r, s.bytes + off, nr);
            off += nr;
        }
        EXPECT(good);
        EXPECT_EQ(r.msgs_nr, s.msgs_nr);
        reader_fini(&r);
    }
    free(s.bytes);
}

static int
feed_hdr(uint32_t magic, uint32_t head_len, uint32_t payload_len, uint32_t crc_xor)
{
    struct frame_rx rx = {0};
    uint8_t hdr[FRAME_HDR_BYTES + 1] = {0};
    enum frame_event ev;
    size_t used;
    int rc;

    le32_put(hdr, magic);
    le32_put(hdr + 4, head_len);
    le32_put(hdr + 8, payload_len);
    le32_put(hdr + 12, crc32c(0, hdr, 12) ^ crc_xor);
    rc = frame_rx_feed(&rx, hdr, sizeof(hdr), &used, &ev);
    if (rc != 0)
        EXPECT_EQ(frame_rx_feed(&rx, hdr, 1, &used, &ev), rc); /* FRM-2: for good */
    frame_rx_fini(&rx);
    return rc;
}

TEST(plat_frame, refuses_lies)
{
    EXPECT_OK(feed_hdr(FRAME_MAGIC, 2, 0, 0));
    EXPECT_ERR(feed_hdr(FRAME_MAGIC + 1, 2, 0, 0), PROTO);
    EXPECT_ERR(feed_hdr(FRAME_MAGIC, 2, 0, 1), PROTO);
    EXPECT_ERR(feed_hdr(FRAME_MAGIC, 0, 0, 0), PROTO);
    EXPECT_ERR(feed_hdr(FRAME_MAGIC, NET_HDR_BYTES_MAX + 1, 0, 0), PROTO);
    EXPECT_ERR(feed_hdr(FRAME_MAGIC, 2, NET_PAYLOAD_BYTES_MAX + 1, 0), PROTO);
    EXPECT_ERR(feed_hdr(FRAME_MAGIC, UINT32_MAX, UINT32_MAX, 0), PROTO);
}
