/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The data of a fetch: what lies in the data role is read, verified and handed over piece by piece, in the order of the segments (vos.h,
 * vos_fetch_give). It goes in windows:
 *
 *      fill     the checksum chunks of the next segments, each once, until the window's bytes or places are used up
 *      plan     chunks in the order of their places on the medium; neighbours become one read
 *      give     reads are started in the order in which they are needed, READS_NR of them ahead; a chunk is verified when the first piece of it is
 *               handed over
 *
 * Where the role is memory (class `ram`), there are no reads and no windows: pieces are verified and handed over where they lie.
 *
 *   FTD-1  A chunk is read and verified once for each window in which it is needed, however many segments show parts of it.
 *   FTD-2  Memory: one buffer of at most WINDOW_BYTES (or one chunk, when that is longer), and WINDOW_CHUNKS_NR places.
 *   FTD-3  Nothing is handed over before its chunk was verified (VOS-4; FTD-6), and the buffer is used again only after the sink was drained.
 *   FTD-4  The extents stay readable, and what they hold unchanged, from the look-up until the last drain of the sink (ST-4).
 *   FTD-5  A piece that is handed over where it lies is verified for itself, with the whole chunk: others of the chunk may have been verified long
 *          ago, since a sink may wait for a client. A bit that changes later still is found by who compares the piece with its CRC.
 *   FTD-6  A sink whose bytes are compared with that CRC where they arrive (is_comparing) gets whole chunks that lie in memory without a look at them: the
 *          comparison finds damage of the store as it finds that of the way. When it does, all chunks of the fetch are looked at here, for the log.
 *
 * Tested by vos_read_test.c, vos_damage_test.c.
 */
#include "vos/vos_fetch_priv.h"

#include "base/assert.h"
#include "base/crc.h"
#include "base/probe.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_BYTES = 4 << 20,
    WINDOW_CHUNKS_NR = 1024,
    WINDOW_VISITS_NR = 4096, /* pieces looked at for one window (ST-9) */
    READ_BYTES_MAX = 256 * 1024, /* neighbours of one read */
    READS_NR = 16, /* in flight */
    GIVE_BYTES = 1 << 20, /* between yields */
    NO_SLOT = READS_NR,
};

struct chunk {
    uint64_t addr;
    const uint8_t *buf;
    const uint8_t *csum;
    uint32_t len;
    uint16_t read; /* number */
    uint8_t csum_type;
    bool is_good;
};

enum read_state { READ_WAITS, READ_RUNS, READ_DONE };

struct read {
    uint64_t addr;
    uint8_t *buf;
    uint32_t len;
    uint8_t state, slot;
};

struct place {
    uint64_t addr;
    uint32_t chunk;
};

struct give {
    struct vos_tgt *tgt;
    struct vos_fetch_mem *mem;
    const struct vos_sink *sink;
    uint8_t *buf;
    size_t buf_len;
    size_t given; /* bytes since the last yield */
    bool is_mapped; /* all of it */
    /* the window */
    uint32_t end_want, end_chunk; /* it ends before this chunk of this want */
    uint32_t chunk_nr, chunk_cap, hash_mask, read_nr;
    struct chunk *chunks; /* in the order of their need */
    uint16_t *hash; /* number of a chunk, plus 1, by address */
    struct place *places;
    struct read *reads;
    uint32_t start_next; /* reads of the chunks before were started */
    uint32_t running_nr;
    struct bio_req reqs[READS_NR];
    bool is_used[READS_NR];
};

static inline uint32_t
want_chunk_nr(const struct vos_want *w)
{
    return (uint32_t)((w->len - 1) >> w->chunk_bits) + 1;
}

static inline uint32_t
want_chunk_len(const struct vos_want *w, uint32_t c)
{
    uint64_t off = (uint64_t)c << w->chunk_bits;

    return (uint32_t)MIN(w->len - off, UINT64_C(1) << w->chunk_bits);
}

static inline const uint8_t *
want_csum(const struct vos_want *w, uint32_t c)
{
    return w->csums + (size_t)c * w->csum_len;
}

static size_t
room_of(uint32_t len)
{
    return ALIGN_UP((size_t)len, (size_t)BIO_BLK_BYTES);
}

/* ---- the window ----------------------------------------------------------------------------------------------------- */

/* Its place in the table of addresses: that of the chunk, or a free one. */
static uint16_t *
chunk_slot(const struct give *g, uint64_t addr, uint32_t len)
{
    uint32_t h = (uint32_t)hash_mix64(addr) & g->hash_mask;

    while (g->hash[h] != 0 &&
        (g->chunks[g->hash[h] - 1].addr != addr || g->chunks[g->hash[h] - 1].len != len)) {
        h = (h + 1) & g->hash_mask;
    }
    return &g->hash[h];
}

static int
place_cmp(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Chunks get their places in the buffer and their reads. */
static void
window_plan(struct give *g)
{
    bool is_sorted = true;
    size_t off = 0;

    g->read_nr = 0;
    for (uint32_t i = 0; i < g->chunk_nr; i++) {
        g->places[i] = (struct place){g->chunks[i].addr, i};
        is_sorted = is_sorted && (i == 0 || g->chunks[i - 1].addr < g->chunks[i].addr);
    }
    if (!is_sorted)
        qsort(g->places, g->chunk_nr, sizeof(g->places[0]), place_cmp);
    for (uint32_t i = 0; i < g->chunk_nr; i++) {
        struct chunk *c = &g->chunks[g->places[i].chunk];
        struct read *r = g->read_nr == 0 ? NULL : &g->reads[g->read_nr - 1];
        uint32_t room = (uint32_t)room_of(c->len);

        if (r == NULL || r->addr + r->len != c->addr || r->len + room > READ_BYTES_MAX) {
            r = &g->reads[g->read_nr++];
            *r = (struct read){.addr = c->addr, .buf = g->buf + off, .slot = NO_SLOT};
        }
        c->buf = g->buf + off;
        c->read = (uint16_t)(r - g->reads);
        r->len += room;
        off += room;
    }
    g->start_next = 0;
}

/* The next window: from chunk `c` of want `w` on. */
static int
window_fill(struct give *g, uint32_t w, uint32_t c)
{
    const struct vos_fetch_mem *mem = g->mem;
    size_t bytes = 0;

    g->chunk_nr = 0;
    memset(g->hash, 0, (g->hash_mask + 1) * sizeof(g->hash[0]));
    for (uint32_t visits = 0; w < mem->want_nr; visits++) {
        const struct vos_want *want = &mem->wants[w];
        uint64_t addr = want->addr + ((uint64_t)c << want->chunk_bits);
        uint32_t len = want_chunk_len(want, c);
        const uint8_t *csum = want_csum(want, c);
        uint16_t *slot = chunk_slot(g, addr, len);

        if (*slot == 0) {
            bytes += room_of(len);
            if (g->chunk_nr == g->chunk_cap || bytes > g->buf_len)
                break;
            g->chunks[g->chunk_nr++] =
                (struct chunk){.addr = addr, .len = len, .csum = csum, .csum_type = want->csum_type};
            *slot = (uint16_t)g->chunk_nr;
        } else if (g->chunks[*slot - 1].csum_type != want->csum_type ||
            memcmp(g->chunks[*slot - 1].csum, csum, want->csum_len) != 0) {
            return vos_fetch_csum_bad(mem->oid, "two values", addr);
        }
        if (++c == want_chunk_nr(want)) {
            c = 0;
            w++;
        }
        if (visits == WINDOW_VISITS_NR)
            break;
    }
    CAIRN_ASSERT(g->chunk_nr > 0);
    g->end_want = w;
    g->end_chunk = c;
    window_plan(g);
    return 0;
}

static int
window_next(struct give *g, uint32_t w, uint32_t c)
{
    int rc = w == 0 && c == 0 ? 0 : g->sink->drain(g->sink->arg);

    if (rc == 0 && vos_fetch_is_late(g->mem))
        rc = CAIRN_ERR(TIMEDOUT);
    return rc != 0 ? rc : window_fill(g, w, c);
}

/* ---- reads ---------------------------------------------------------------------------------------------------------- */

static void
reads_start(struct give *g)
{
    for (; g->start_next < g->chunk_nr && g->running_nr < READS_NR; g->start_next++) {
        struct read *r = &g->reads[g->chunks[g->start_next].read];

        if (r->state != READ_WAITS)
            continue;
        for (r->slot = 0; g->is_used[r->slot]; r->slot++) {
        }
        g->is_used[r->slot] = true;
        g->running_nr++;
        r->state = READ_RUNS;
        bio_data_read_start(g->tgt->bio, &g->reqs[r->slot], r->addr, r->buf, r->len);
    }
}

static int
read_wait(struct give *g, struct read *r)
{
    int rc = bio_data_read_wait(&g->reqs[r->slot]);

    g->is_used[r->slot] = false;
    g->running_nr--;
    r->state = READ_DONE;
    return rc;
}

/* The bytes of a chunk are there. */
static int
chunk_ready(struct give *g, const struct chunk *c)
{
    struct read *r = &g->reads[c->read];
    int rc;

    if (r->state == READ_DONE)
        return 0;
    if (vos_fetch_is_late(g->mem))
        return CAIRN_ERR(TIMEDOUT);
    reads_start(g);
    CAIRN_ASSERT(r->state == READ_RUNS); /* what is needed first was started first */
    rc = read_wait(g, r);
    if (rc == 0)
        reads_start(g);
    return rc;
}

static void
reads_end(struct give *g)
{
    for (uint32_t i = 0; g->running_nr > 0 && i < g->read_nr; i++) {
        if (g->reads[i].state == READ_RUNS)
            CAIRN_IGNORE(read_wait(g, &g->reads[i])); /* an earlier failure is told */
    }
}

/* ---- pieces --------------------------------------------------------------------------------------------------------- */

static int
piece_give(struct give *g, const struct vos_piece *piece)
{
    int rc = g->sink->take(g->sink->arg, piece);

    g->given += piece->len;
    if (rc == 0 && g->given >= GIVE_BYTES) {
        g->given = 0;
        ult_yield();
        if (vos_fetch_is_late(g->mem))
            rc = CAIRN_ERR(TIMEDOUT);
    }
    return rc;
}

/* Bytes [from, from + piece->len) of a chunk that is read. */
static int
chunk_give(struct give *g, struct chunk *c, size_t from, struct vos_piece *piece)
{
    int rc = chunk_ready(g, c);

    if (rc != 0)
        return rc;
    piece->buf = c->buf + from;
    if (c->is_good) {
        piece->crc = crc32c(0, piece->buf, piece->len);
    } else if (vos_csum_part(c->csum_type, c->csum, c->buf, c->len, from, piece->len, &piece->crc)) {
        c->is_good = true;
    } else {
        return vos_fetch_csum_bad(g->mem->oid, "data", c->addr);
    }
    return piece_give(g, piece);
}

/* FTD-5 */
static int
mapped_give(
    struct give *g, const struct vos_want *want, uint32_t c, size_t from, struct vos_piece *piece)
{
    uint64_t off = (uint64_t)c << want->chunk_bits;
    const uint8_t *buf = want->map + off;

    piece->buf = buf + from;
    /* Who compares a whole chunk with its checksum himself, as it is kept, needs no other look at it. */
    if (g->sink->is_comparing && want->csum_type == CSUM_TYPE_CRC32 &&
        piece->len == want_chunk_len(want, c)) {
        CAIRN_PROBE("vos.fetch.compared_later");
        piece->crc = le32_get(want_csum(want, c));
        return piece_give(g, piece);
    }
    if (!vos_csum_part(want->csum_type, want_csum(want, c), buf, want_chunk_len(want, c), from,
            piece->len, &piece->crc))
        return vos_fetch_csum_bad(g->mem->oid, "data", want->addr + off);
    return piece_give(g, piece);
}

static int
want_give(struct give *g, uint32_t w, struct vos_piece *piece)
{
    const struct vos_want *want = &g->mem->wants[w];
    uint64_t from = want->skip, end = want->skip + want->nr;
    int rc = 0;

    for (uint32_t c = 0; rc == 0 && c < want_chunk_nr(want); c++) {
        uint64_t off = (uint64_t)c << want->chunk_bits;

        piece->len = (size_t)(MIN(off + want_chunk_len(want, c), end) - from);
        if (g->is_mapped) {
            rc = mapped_give(g, want, c, from - off, piece);
        } else {
            if (w == g->end_want && c == g->end_chunk)
                rc = window_next(g, w, c);
            if (rc == 0) {
                uint16_t at = *chunk_slot(g, want->addr + off, want_chunk_len(want, c));

                rc = chunk_give(g, &g->chunks[at - 1], from - off, piece);
            }
        }
        piece->off += piece->len;
        from += piece->len;
    }
    return rc;
}

static int
segs_give(struct give *g)
{
    const struct vos_fetch *fetch = &g->mem->pub;
    uint32_t w = 0;
    int rc = 0;

    for (uint32_t i = 0; i < fetch->iod_nr; i++) {
        const struct vos_fetch_iod *iod = &fetch->iods[i];

        for (uint32_t s = 0; rc == 0 && s < iod->seg_nr; s++) {
            const struct vos_seg *seg = &iod->segs[s];
            struct vos_piece piece = {.iod = i, .seg = s};

            if (seg->is_later) {
                rc = want_give(g, w++, &piece);
            } else if (seg->buf != NULL) {
                piece.buf = seg->buf;
                piece.len = (size_t)(seg->nr * iod->size);
                piece.crc = seg->crc;
                rc = piece_give(g, &piece);
            }
        }
    }
    return rc;
}

/* FTD-6: what is wrong was found elsewhere; say here whether and where the store is. */
static void
wants_verify(struct give *g)
{
    for (uint32_t i = 0; i < g->mem->want_nr; i++) {
        const struct vos_want *want = &g->mem->wants[i];

        for (uint32_t c = 0; c < want_chunk_nr(want); c++) {
            uint64_t off = (uint64_t)c << want->chunk_bits;

            if (!csum_is_good(
                    want->csum_type, want->map + off, want_chunk_len(want, c), want_csum(want, c)))
                CAIRN_IGNORE(vos_fetch_csum_bad(g->mem->oid, "data", want->addr + off));
            ult_yield();
        }
    }
}

/* Whether all of it is memory. */
static bool
wants_map(struct give *g)
{
    for (uint32_t i = 0; i < g->mem->want_nr; i++) {
        struct vos_want *want = &g->mem->wants[i];

        want->map = bio_data_map(g->tgt->bio, want->addr, (size_t)want->len);
        if (want->map == NULL)
            return false;
    }
    return true;
}

/* Room for what is to be read. */
static int
give_begin(struct give *g)
{
    const struct vos_fetch_mem *mem = g->mem;
    uint64_t nr = 0, bytes = 0, longest = 0;
    size_t hash_nr = 4;
    uint8_t *p;
    void *buf;
    int rc;

    for (uint32_t i = 0; i < mem->want_nr; i++) {
        nr += want_chunk_nr(&mem->wants[i]);
        bytes += ALIGN_UP(mem->wants[i].len, (uint64_t)BIO_BLK_BYTES);
        longest = MAX(longest, (uint64_t)want_chunk_len(&mem->wants[i], 0));
    }
    g->chunk_cap = (uint32_t)MIN(nr, (uint64_t)WINDOW_CHUNKS_NR);
    while (hash_nr < 2 * (size_t)g->chunk_cap) {
        hash_nr *= 2;
    }
    g->hash_mask = (uint32_t)hash_nr - 1;
    p = vos_fetch_mem_alloc(g->tgt, g->mem,
        g->chunk_cap * (sizeof(*g->chunks) + sizeof(*g->places) + sizeof(*g->reads)) +
            hash_nr * sizeof(*g->hash));
    if (p == NULL)
        return CAIRN_ERR(NOMEM);
    g->chunks = (void *)p;
    p += g->chunk_cap * sizeof(*g->chunks);
    g->places = (void *)p;
    p += g->chunk_cap * sizeof(*g->places);
    g->reads = (void *)p;
    p += g->chunk_cap * sizeof(*g->reads);
    g->hash = (void *)p;
    g->buf_len = (size_t)MAX(MIN(bytes, (uint64_t)WINDOW_BYTES), room_of((uint32_t)longest));
    rc = bio_buf_get(g->tgt->bio, g->buf_len, &buf);
    if (rc == 0)
        g->buf = buf;
    return rc;
}

int
vos_fetch_give(struct vos_cont *cont, struct vos_fetch *fetch, const struct vos_sink *sink)
{
    struct vos_fetch_mem *mem = vos_fetch_mem_of(fetch);
    struct give g;
    int rc, drain_rc;

    memset(&g, 0, offsetof(struct give, reqs));
    memset(g.is_used, 0, sizeof(g.is_used));
    g.tgt = cont->tgt;
    g.mem = mem;
    g.sink = sink;
    g.is_mapped = wants_map(&g);
    rc = g.is_mapped ? 0 : give_begin(&g);
    if (rc == 0)
        rc = segs_give(&g);
    if (rc == 0 && sink->taken != NULL)
        sink->taken(sink->arg);
    drain_rc = sink->drain(sink->arg);
    if (g.is_mapped && sink->is_comparing && (rc == -DER_CSUM || drain_rc == -DER_CSUM))
        wants_verify(&g);
    reads_end(&g);
    bio_buf_put(cont->tgt->bio, g.buf, g.buf_len);
    vos_fetch_leave(cont->tgt, mem);
    return rc != 0 ? rc : drain_rc;
}

/* ---- all at once ---------------------------------------------------------------------------------------------------- */

struct copy {
    struct vos_fetch *fetch;
    uint8_t *at;
};

static int
copy_take(void *arg, const struct vos_piece *piece)
{
    struct copy *copy = arg;
    struct vos_seg *seg = &copy->fetch->iods[piece->iod].segs[piece->seg];

    if (!seg->is_later)
        return 0;
    if (piece->off == 0)
        seg->buf = copy->at;
    memcpy(copy->at, piece->buf, piece->len);
    copy->at += piece->len;
    return 0;
}

static int
copy_drain(void *arg)
{
    (void)arg;
    return 0;
}

/* Everything into memory of the fetch. */
static int
copy_all(struct vos_cont *cont, struct vos_fetch *fetch)
{
    struct vos_fetch_mem *mem = vos_fetch_mem_of(fetch);
    struct copy copy = {.fetch = fetch};
    struct vos_sink sink = {.arg = &copy, .take = copy_take, .drain = copy_drain};
    int rc;

    if (mem->want_nr == 0)
        return 0;
    if (mem->want_bytes > VOS_FETCH_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    copy.at = vos_fetch_mem_alloc(cont->tgt, mem, (size_t)mem->want_bytes);
    if (copy.at == NULL)
        return CAIRN_ERR(NOMEM);
    rc = vos_fetch_give(cont, fetch, &sink);
    for (uint32_t i = 0; rc == 0 && i < fetch->iod_nr; i++) {
        for (uint32_t s = 0; s < fetch->iods[i].seg_nr; s++) {
            fetch->iods[i].segs[s].is_later = false;
        }
    }
    return rc;
}

int
vos_fetch_all(struct vos_cont *cont, const struct vos_fetch_args *args, struct vos_fetch **ret_fetch)
{
    struct vos_fetch *fetch;
    int rc = vos_fetch_begin(cont, args, &fetch);

    if (rc != 0)
        return rc;
    rc = copy_all(cont, fetch);
    if (rc != 0) {
        vos_fetch_free(cont, fetch);
        return rc;
    }
    *ret_fetch = fetch;
    return 0;
}

int
vos_fetch(struct vos_cont *cont, const struct vos_oid *oid, uint64_t epoch, uint32_t flags,
    const struct iov *dkey, const struct vos_iod *iods, uint32_t iod_nr, struct vos_fetch **ret_fetch)
{
    struct vos_fetch_args args = {
        .oid = *oid, .epoch = epoch, .flags = flags, .dkey = *dkey, .iods = iods, .iod_nr = iod_nr};

    return vos_fetch_all(cont, &args, ret_fetch);
}
