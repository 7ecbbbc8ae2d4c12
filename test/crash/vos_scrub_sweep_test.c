/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: one bad chunk, wherever it is, is reported by the next pass of the scrubber, and by nothing else but it. Method: every chunk of every value in turn gets
 * a flipped bit; a pass in small steps, cut by a power loss for every third of them; then the bit is put back.
 */
#include "vos/test/vos_test_fix.h"

enum { VALUES_NR = 6, LEN_MAX = 150000, CHUNK_BITS = 12, PLACES_NR = 2 + 8 + 9 + 16 + 25 + 37 };

static uint8_t data[LEN_MAX];
static uint64_t places[PLACES_NR + 1], bads[PLACES_NR + 1];
static uint32_t place_nr, bad_nr;

static size_t
len_of(uint32_t i)
{
    static const size_t lens[VALUES_NR] = {5000, 32768, 32769, 65536, 98305, LEN_MAX};

    return lens[i];
}

static void
bad_note(void *arg, const struct vos_scrub_bad *bad)
{
    (void)arg;
    if (EXPECT_LT(bad_nr, ARRAY_SIZE(bads)))
        bads[bad_nr++] = bad->addr;
}

/* The places of the chunks follow from their records. */
static int
rec_find(struct vos_op *op, void *arg)
{
    const struct umem_pub *pub = (const void *)op->um;
    struct fix *f = arg;

    place_nr = 0;
    for (uint64_t page = 0; page < pub->page_nr; page++) {
        for (uint32_t off = 0; pub->pages[page].mem != NULL && off + 64 < UMEM_PAGE_BYTES; off += 8) {
            struct vos_ver ver;

            if (!vos_ver_decode(pub->pages[page].mem + off, UMEM_PAGE_BYTES - off, &ver) ||
                ver.is_ext || ver.minor != 1 || ver.addr == 0 ||
                ver.csum.chunk_bits != CHUNK_BITS || ver.epoch < f->seq || ver.stored_len > LEN_MAX)
                continue;
            for (uint32_t c = 0; c < ver.csum_nr && place_nr < ARRAY_SIZE(places); c++) {
                places[place_nr++] = ver.addr + ((uint64_t)c << CHUNK_BITS);
            }
        }
    }
    return 0;
}

static void
body_fill(struct fix *f)
{
    struct vos_op op;
    char key[8];

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &f->seq));
    rng_bytes(&f->rng, data, sizeof(data));
    for (uint32_t i = 0; i < VALUES_NR; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(fix_put(f, 1 + i % 2, key, "a", data, len_of(i), 0));
    }
    vos_op_init(&op, f->tgt);
    EXPECT_OK(vos_read_run(f->tgt, &op, rec_find, f));
    fix_close(f);
}

static void
body_pass(struct fix *f)
{
    struct vos_scrub *s;

    bad_nr = 0;
    if (!fix_open(f) || !EXPECT_OK(vos_scrub_create(f->tgt, f->pool, bad_note, NULL, &s)))
        return;
    for (uint32_t i = 0; vos_scrub_stats(s)->passes_nr == 0 && EXPECT_LT(i, 1000); i++) {
        EXPECT_OK(vos_scrub_step(s, 40000));
    }
    EXPECT_EQ(vos_scrub_stats(s)->last.records_nr, VALUES_NR);
    vos_scrub_free(s);
    fix_close(f);
}

/* Until the power goes. */
static void
body_cut(struct fix *f)
{
    struct vos_scrub *s;

    if (!fix_open(f) || !EXPECT_OK(vos_scrub_create(f->tgt, f->pool, NULL, NULL, &s)))
        return;
    while (vos_scrub_step(s, 40000) == 0) {
    }
}

TEST_ON(vos_scrub_sweep, every_chunk_in_turn, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f) && EXPECT(fix_run(&f, body_fill))) {
        EXPECT_EQ(place_nr, PLACES_NR);
        for (uint32_t i = 0; i < place_nr && !test_failed(); i++) {
            uint64_t bit = places[i] * 8 + i % 8;

            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/data", bit));
            if (i % 3 == 0) {
                f.fn = body_cut;
                f.done = false;
                EXPECT_OK(xstream_post(f.xs, ULT_SERVICE, fix_ult, &f));
                sim_run_for(f.sim, 1 + rng_below(&f.rng, 20000000));
                EXPECT(fix_crash(&f, true));
            }
            EXPECT(fix_run(&f, body_pass));
            EXPECT_EQ(bad_nr, 1);
            EXPECT_EQ(bads[0], places[i]);
            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/data", bit));
        }
        EXPECT(fix_run(&f, body_pass));
        EXPECT_EQ(bad_nr, 0);
    }
    fix_down(&f);
}
