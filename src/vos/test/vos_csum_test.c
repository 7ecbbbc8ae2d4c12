/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: values have checksums of the kind asked for, over chunks of the size asked for (CSM-1 to CSM-3), and every kind finds damage (VOS-4). Method: every kind with
 * every size of chunk and lengths around the borders; what the records say; any bit flipped on the medium.
 */
#include "vos_test_fix.h"

enum { LEN_MAX = 3 << 20, FLIP_ROUNDS = 12 };

static uint8_t data[LEN_MAX], back[LEN_MAX];

static const size_t lens[] = {1, 700, 4096, 4097, 50000, LEN_MAX};
static const struct {
    uint64_t bytes;
    uint8_t bits;
} chunks[] = {{0, 15}, {1024, 12}, {5000, 13}, {32768, 15}, {100000, 17}, {1 << 30, 20}};

static void
key_of(char *key, size_t size, uint32_t type, size_t chunk, size_t len)
{
    snprintf(key, size, "%u.%zu.%zu", type, chunk, len);
}

static int
put(struct fix *f, uint32_t type, uint64_t chunk, const char *key, size_t len, bool is_array)
{
    struct recx recx = {100, len};
    struct vos_iod iod = {.akey = IOV("a"),
        .type = is_array ? VOS_IOD_ARRAY : VOS_IOD_SINGLE,
        .size = is_array ? 1 : len,
        .recx_nr = is_array,
        .recxs = &recx,
        .data = {data, len}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = fix_oid(is_array ? 2 : 1),
        .dkey = IOV(key),
        .iod_nr = 1,
        .iods = &iod};
    struct vos_apply_args args = {
        .mods = &mod, .mod_nr = 1, .csum_type = type, .csum_chunk_bytes = chunk};
    struct vos_apply_ret ret;

    return vos_apply(f->cont, &args, &ret);
}

/* What the record of a single value says. */
struct look {
    struct fix *f;
    const char *key;
    struct vos_ver ver;
};

static int
look_body(struct vos_op *op, void *arg)
{
    struct look *look = arg;
    struct vos_oid oid = fix_oid(1);
    struct iov dkey = IOV(look->key), akey = IOV("a");
    struct vos_walk w;
    uint64_t off = 0;
    int rc = vos_walk_init(&w, look->f->cont, &oid);

    op->epoch = vos_epoch_now(look->f->tgt);
    if (rc == 0)
        rc = vos_walk_obj(op, look->f->cont, &oid, false, &w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &dkey, false, &w);
    if (rc == 0)
        rc = vos_walk_akey(op, &akey, false, &w);
    if (rc == 0)
        rc = vos_single_find(op, w.akey, w.a.off, w.a.info.punch, &off, &look->ver);
    return rc;
}

static void
look_check(struct fix *f, const char *key, uint32_t type, uint8_t bits, size_t len)
{
    struct look look = {.f = f, .key = key};
    uint32_t want = type == CSUM_TYPE_OFF ? CSUM_TYPE_CRC32 : type;
    size_t fixed;
    struct vos_op op;

    /* Of the usual kind the chunks are blocks. */
    if (want == CSUM_TYPE_CRC32 && bits == VOS_CSUM_CHUNK_BITS && len > VOS_INLINE_BYTES_MAX)
        bits = VOS_CSUM_CHUNK_BITS_MIN;

    vos_op_init(&op, f->tgt);
    EXPECT_OK(vos_read_run(f->tgt, &op, look_body, &look));
    EXPECT_EQ(look.ver.csum.type, want);
    EXPECT_EQ(look.ver.csum.len, csum_bytes(want));
    EXPECT_EQ(look.ver.csum_nr, DIV_UP(len, UINT64_C(1) << look.ver.csum.chunk_bits));
    EXPECT_LE(look.ver.csum_nr * look.ver.csum.len, VOS_CSUMS_BYTES_MAX);
    /* Larger chunks than asked for only where they must be. */
    EXPECT_GE(look.ver.csum.chunk_bits, bits);
    if (look.ver.csum.chunk_bits > bits)
        EXPECT_GT(2 * look.ver.csum_nr * look.ver.csum.len, VOS_CSUMS_BYTES_MAX);
    fixed = sizeof(struct vos_ver_df) + (vos_csum_is_default(look.ver.csum) ? 0 : 4) +
        look.ver.csum_nr * look.ver.csum.len;
    EXPECT_EQ(look.ver.apart != 0, len <= VOS_INLINE_BYTES_MAX && fixed + len > VOS_REC_BYTES_MAX);
    EXPECT_EQ(look.ver.bytes, fixed + (fixed + len <= VOS_REC_BYTES_MAX ? len : 8));
}

static void
read_check(struct fix *f, const char *key, size_t len)
{
    size_t got = 0, from = rng_below(&f->rng, len), nr = 1 + rng_below(&f->rng, len - from);

    EXPECT_OK(fix_get(f, 1, key, "a", back, sizeof(back), &got));
    EXPECT_EQ(got, len);
    EXPECT_MEM_EQ(back, data, len);
    EXPECT_OK(fix_read(f, 2, key, "a", VOS_EPOCH_MAX, 100 + from, nr, 0xee, back));
    EXPECT_MEM_EQ(back, data + from, nr);
}

static void
each(struct fix *f, void (*fn)(struct fix *f, uint32_t type, size_t chunk, size_t len))
{
    for (uint32_t type = 0; type < CSUM_TYPES_NR; type++) {
        for (size_t c = 0; c < ARRAY_SIZE(chunks); c++) {
            for (size_t l = 0; l < ARRAY_SIZE(lens) && !test_failed(); l++) {
                /* The longest with one size of chunk for each kind. */
                if (lens[l] < LEN_MAX || c == type % ARRAY_SIZE(chunks))
                    fn(f, type, c, lens[l]);
            }
        }
    }
}

static void
one_put(struct fix *f, uint32_t type, size_t c, size_t len)
{
    char key[32];

    key_of(key, sizeof(key), type, c, len);
    EXPECT_OK(put(f, type, chunks[c].bytes, key, len, false));
    EXPECT_OK(put(f, type, chunks[c].bytes, key, len, true));
    read_check(f, key, len);
    look_check(f, key, type, chunks[c].bits, len);
}

static void
one_read(struct fix *f, uint32_t type, size_t c, size_t len)
{
    char key[32];

    key_of(key, sizeof(key), type, c, len);
    read_check(f, key, len);
}

static void
body_kinds(struct fix *f)
{
    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, data, sizeof(data));
    each(f, one_put);
    EXPECT_ERR(put(f, CSUM_TYPES_NR, 0, "x", 10, false), INVAL);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
    if (!fix_open(f))
        return;
    each(f, one_read);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

static void
kinds(const char *dir)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f)) {
        if (dir != NULL)
            strcpy(f.cfg.dir, dir);
        EXPECT(fix_run(&f, body_kinds));
    }
    fix_down(&f);
}

TEST_ON(vos_csum, kinds_and_chunks, BACKEND_LINUX | BACKEND_SIM)
{
    kinds(NULL);
}

TEST_ON(vos_csum, kinds_where_data_are_memory, BACKEND_SIM)
{
    kinds("/shm/d0");
}

/* ---- ahead ---------------------------------------------------------------------------------------------------------- */

static void
ahead_one(struct fix *f, uint32_t type)
{
    struct vos_iod iod = {
        .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 300000, .data = {NULL, 300000}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("ahead"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {
        .mods = &mod, .mod_nr = 1, .csum_type = type, .csum_chunk_bytes = 16384};
    struct vos_ahead *ahead = NULL;
    const struct iov *places;
    struct vos_apply_ret ret;
    size_t len = 0;
    uint32_t nr = 0;

    rng_bytes(&f->rng, data, 300000);
    if (!EXPECT_OK(vos_ahead_get(f->cont, &args, &ahead)))
        return;
    places = vos_ahead_places(ahead, &nr);
    EXPECT_EQ(nr, 1);
    memcpy(places[0].buf, data, 300000);
    vos_ahead_landed(ahead, 0, 0, 65536);
    vos_ahead_landed(ahead, 0, 65536, 10000); /* no chunk: left for the end */
    vos_ahead_landed(ahead, 0, 65536, 32768);
    EXPECT_EQ(
        vos_ahead_sum(ahead), crc32c(0, data, 300000)); /* that of the message, whatever the kind */
    args.ahead = ahead;
    args.csum_type = type == CSUM_TYPE_SHA1 ? CSUM_TYPE_CRC64 : CSUM_TYPE_SHA1;
    EXPECT_ERR(vos_apply(f->cont, &args, &ret), INVAL);
    args.csum_type = type;
    args.csum_chunk_bytes = 0;
    EXPECT_ERR(vos_apply(f->cont, &args, &ret), INVAL);
    args.csum_chunk_bytes = 16384;
    EXPECT_OK(vos_apply(f->cont, &args, &ret));
    vos_ahead_free(ahead);
    EXPECT_OK(fix_get(f, 1, "ahead", "a", back, sizeof(back), &len));
    EXPECT_EQ(len, 300000);
    EXPECT_MEM_EQ(back, data, 300000);
    look_check(f, "ahead", type, 14, 300000);
}

static void
body_ahead(struct fix *f)
{
    if (!fix_format(f))
        return;
    for (uint32_t type = 0; type < CSUM_TYPES_NR && !test_failed(); type++) {
        ahead_one(f, type);
    }
    fix_close(f);
}

static void
ahead_in(const char *dir)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f)) {
        strcpy(f.cfg.dir, dir);
        EXPECT(fix_run(&f, body_ahead));
    }
    fix_down(&f);
}

TEST_ON(vos_csum, values_put_in_place_before, BACKEND_SIM)
{
    ahead_in("/shm/d0");
    ahead_in("/t/d0");
}

/* ---- damage --------------------------------------------------------------------------------------------------------- */

enum { FLIP_BYTES = 40000 };

static void
body_flip_put(struct fix *f)
{
    char key[16];

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, data, FLIP_BYTES);
    for (uint32_t type = 0; type < CSUM_TYPES_NR; type++) {
        snprintf(key, sizeof(key), "%u", type);
        EXPECT_OK(put(f, type, 8192, key, FLIP_BYTES, false));
    }
    fix_close(f);
}

/* Reads all of it; those that do not come back as written are counted. */
static void
body_flip_read(struct fix *f)
{
    char key[16];

    if (!fix_open(f))
        return;
    f->seq = 0;
    for (uint32_t type = 0; type < CSUM_TYPES_NR; type++) {
        size_t len = 0;
        int rc;

        snprintf(key, sizeof(key), "%u", type);
        rc = fix_get(f, 1, key, "a", back, sizeof(back), &len);
        EXPECT(rc == 0 || rc == -DER_CSUM);
        if (rc == 0)
            EXPECT_MEM_EQ(back, data, FLIP_BYTES);
        f->seq += rc != 0;
    }
    fix_close(f);
}

TEST_ON(vos_csum, any_kind_finds_a_flipped_bit, BACKEND_SIM)
{
    enum { SPAN = 4096 * 10 }; /* blocks of one value, the first lies behind the superblock */
    struct fix f;
    uint32_t found = 0;

    fix_prepare(&f);
    f.cfg.data_bytes = 4 << 20;
    f.data_quota = 3 << 20;
    if (fix_up_default(&f) && EXPECT(fix_run(&f, body_flip_put))) {
        for (uint32_t i = 0; i < FLIP_ROUNDS * CSUM_TYPES_NR && !test_failed(); i++) {
            /* Anywhere in the first megabyte: the bytes of the last block behind a value are no one's. */
            uint64_t byte = 4096 + rng_below(&f.rng, (uint64_t)SPAN * CSUM_TYPES_NR);

            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/data", byte * 8 + i % 8));
            EXPECT(fix_run(&f, body_flip_read));
            EXPECT_LE(f.seq, 1);
            found += f.seq > 0;
            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/data", byte * 8 + i % 8));
        }
        EXPECT_GT(found, FLIP_ROUNDS * CSUM_TYPES_NR / 2);
    }
    fix_down(&f);
}
