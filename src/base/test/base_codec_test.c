/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: numbers are little-endian at any address; cursors never leave their buffer, whatever the bytes say.
 * Method: a record written and read back, cut at every length, and with random bytes.
 */
#include "base/codec.h"

#include "base/rng.h"
#include "harness/harness.h"

struct record {
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    struct uuid id;
    struct oid oid;
    char name[16];
    const void *blob;
    size_t blob_len;
};

static void
record_encode(struct enc *e)
{
    const struct uuid id = {{1, 2, 3}};

    enc_u8(e, 0x11);
    enc_u16(e, 0x2233);
    enc_u32(e, 0x44556677);
    enc_u64(e, UINT64_C(0x8899aabbccddeeff));
    enc_uuid(e, &id);
    enc_oid(e, (struct oid){7, 8});
    enc_str(e, "name");
    enc_pad(e, 8);
    enc_blob(e, "blob!", 5);
    enc_str(e, NULL);
}

static int
record_decode(const void *buf, size_t len, struct record *rec)
{
    struct dec d;
    char empty[4];

    dec_init(&d, buf, len);
    rec->a = dec_u8(&d);
    rec->b = dec_u16(&d);
    rec->c = dec_u32(&d);
    rec->d = dec_u64(&d);
    rec->id = dec_uuid(&d);
    rec->oid = dec_oid(&d);
    dec_str(&d, rec->name, sizeof(rec->name));
    dec_pad(&d, 8);
    rec->blob = dec_blob(&d, 10, &rec->blob_len);
    dec_str(&d, empty, sizeof(empty));
    if (dec_check(&d) == 0 && empty[0] != '\0')
        dec_fail(&d, -DER_INVAL);
    return dec_end(&d);
}

TEST(base_codec, byte_order)
{
    uint8_t b[9] = {0};

    le16_put(b + 1, 0x0102);
    EXPECT_MEM_EQ(b + 1, "\x02\x01", 2);
    le32_put(b + 1, 0x01020304);
    EXPECT_MEM_EQ(b + 1, "\x04\x03\x02\x01", 4);
    le64_put(b + 1, UINT64_C(0x0102030405060708));
    EXPECT_MEM_EQ(b + 1, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    EXPECT_EQ(le16_get(b + 1), 0x0708);
    EXPECT_EQ(le32_get(b + 1), 0x05060708);
    EXPECT_EQ(le64_get(b + 1), UINT64_C(0x0102030405060708));
    be64_put(b + 1, UINT64_C(0x0102030405060708));
    EXPECT_MEM_EQ(b + 1, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    EXPECT_EQ(be64_get(b + 1), UINT64_C(0x0102030405060708));
}

TEST(base_codec, record_round_trip_and_every_cut)
{
    uint8_t buf[256];
    struct enc e;
    struct record rec;
    size_t len;

    enc_init(&e, NULL, SIZE_MAX);
    record_encode(&e);
    EXPECT_OK(enc_check(&e));
    len = e.len;
    enc_init(&e, buf, sizeof(buf));
    record_encode(&e);
    EXPECT_OK(enc_check(&e));
    EXPECT_EQ(e.len, len);
    EXPECT_OK(record_decode(buf, len, &rec));
    EXPECT_EQ(rec.a, 0x11);
    EXPECT_EQ(rec.b, 0x2233);
    EXPECT_EQ(rec.c, 0x44556677);
    EXPECT_EQ(rec.d, UINT64_C(0x8899aabbccddeeff));
    EXPECT_EQ(rec.id.b[2], 3);
    EXPECT_EQ(rec.oid.hi, 8);
    EXPECT_STR_EQ(rec.name, "name");
    EXPECT_EQ(rec.blob_len, 5);
    EXPECT_MEM_EQ(rec.blob, "blob!", 5);
    EXPECT_ERR(record_decode(buf, len + 1, &rec), PROTO);
    for (size_t cut = 0; cut < len; cut++) {
        EXPECT_ERR(record_decode(buf, cut, &rec), PROTO);
        memset(buf + cut, 0x5a, sizeof(buf) - cut);
        enc_init(&e, buf, cut);
        record_encode(&e);
        EXPECT_ERR(enc_check(&e), OVERFLOW);
        EXPECT_LE(e.len, cut);
        EXPECT_EQ(buf[cut], 0x5a);
        enc_init(&e, buf, sizeof(buf));
        record_encode(&e);
    }
}

TEST(base_codec, hostile_lengths)
{
    uint8_t buf[64] = {0};
    struct dec d;
    size_t len = 77;
    char text[8] = "junk";

    le32_put(buf, UINT32_MAX);
    dec_init(&d, buf, sizeof(buf));
    EXPECT(dec_blob(&d, SIZE_MAX, &len) == NULL);
    EXPECT_EQ(len, 0);
    EXPECT_ERR(dec_check(&d), PROTO);
    EXPECT_EQ(dec_u64(&d), 0);

    le32_put(buf, 8);
    dec_init(&d, buf, sizeof(buf));
    dec_str(&d, text, sizeof(text));
    EXPECT_ERR(dec_check(&d), PROTO);
    EXPECT_STR_EQ(text, "");

    le32_put(buf, 3);
    memcpy(buf + 4, "a\0b", 3);
    dec_init(&d, buf, sizeof(buf));
    dec_str(&d, text, sizeof(text));
    EXPECT_ERR(dec_check(&d), PROTO);
    EXPECT_STR_EQ(text, "");

    buf[1] = 9;
    dec_init(&d, buf, sizeof(buf));
    EXPECT_EQ(dec_u8(&d), 3);
    dec_pad(&d, 4);
    EXPECT_ERR(dec_check(&d), PROTO);

    /* The first failure stays. */
    dec_fail(&d, -DER_INVAL);
    EXPECT_ERR(dec_end(&d), PROTO);
    dec_init(&d, NULL, 0);
    EXPECT(dec_skip(&d, 0) != NULL);
    EXPECT_EQ(dec_left(&d), 0);
    EXPECT_OK(dec_end(&d));
}

TEST(base_codec, random_bytes_never_read_outside)
{
    struct rng rng;
    struct record rec;

    rng_init(&rng, test_seed());
    for (int step = 0; step < 20000; step++) {
        uint8_t buf[128];
        size_t len = (size_t)rng_below(&rng, sizeof(buf) + 1);

        rng_bytes(&rng, buf, len);
        if (len > 48)
            le32_put(buf + 47, (uint32_t)rng_below(&rng, 20));
        if (record_decode(buf, len, &rec) == 0)
            EXPECT_LE(rec.blob_len, 10);
    }
    EXPECT(!test_failed());
}
