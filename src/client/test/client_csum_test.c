/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Each kind of checksum, from the property at the creation of a container to the answer: values are written through libdaos, one bit of each is flipped in the file where they lie
 * while nobody has it open, and whoever reads it gets CSUM; the rest of an array is read as before, and what is written over the damage is good. Embedded mode, the engine
 * in this process.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client_embedded.h"
#include "daos.h"
#include "harness/harness.h"

enum {
    KINDS_NR = 8,
    CHUNK_BYTES = 4096,
    ARRAY_BYTES = 12 * CHUNK_BYTES,
    SINGLE_BYTES = 20000,
    BAD_AT = 5 * CHUNK_BYTES + 77,
    MARK_BYTES = 32
};
enum { IN_ARRAY, IN_SINGLE, VALUES_NR };
static const char *const kinds[KINDS_NR] = {
    "off", "crc16", "crc32", "crc64", "sha1", "sha256", "sha512", "adler32"};

struct cont {
    daos_handle_t poh, coh, oh;
};

/* Bytes that nothing else in the store has. */
static void
fill(uint32_t kind, uint32_t value, uint8_t *buf, size_t len)
{
    uint64_t rand = 1 + kind * VALUES_NR + value;

    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t r = test_rand(&rand);

        memcpy(buf + i, &r, 8);
    }
}

static bool
cont_open(uint32_t kind, bool is_new, struct cont *c)
{
    daos_obj_id_t oid = {.lo = 7};
    daos_prop_t *props = daos_prop_alloc(2);
    bool is_good = EXPECT(props != NULL) &&
        EXPECT_OK(daos_pool_connect("tank", system_name, DAOS_PC_RW, &c->poh, NULL, NULL));

    if (!is_good)
        return false;
    props->dpp_entries[0] = (struct daos_prop_entry){.dpe_type = DAOS_PROP_CO_CSUM, .dpe_val = kind};
    props->dpp_entries[1] =
        (struct daos_prop_entry){.dpe_type = DAOS_PROP_CO_CSUM_CHUNK_SIZE, .dpe_val = CHUNK_BYTES};
    if (is_new)
        EXPECT_OK(daos_cont_create_with_label(c->poh, kinds[kind], props, NULL, NULL));
    is_good = EXPECT_OK(daos_cont_open(c->poh, kinds[kind], DAOS_COO_RW, &c->coh, NULL, NULL));
    if (is_good) {
        props->dpp_entries[0].dpe_val = props->dpp_entries[1].dpe_val = 99;
        EXPECT_OK(daos_cont_query(c->coh, NULL, props, NULL));
        EXPECT_EQ(props->dpp_entries[0].dpe_val, kind);
        EXPECT_EQ(props->dpp_entries[1].dpe_val, CHUNK_BYTES);
        EXPECT_OK(daos_obj_generate_oid(c->coh, &oid, DAOS_OT_MULTI_HASHED, OC_S1, 0, 0));
        is_good = EXPECT_OK(daos_obj_open(c->coh, oid, DAOS_OO_RW, &c->oh, NULL));
    }
    daos_prop_free(props);
    return is_good;
}

static void
cont_close(struct cont *c)
{
    EXPECT_OK(daos_obj_close(c->oh, NULL));
    EXPECT_OK(daos_cont_close(c->coh, NULL));
    EXPECT_OK(daos_pool_disconnect(c->poh, NULL));
}

/* Bytes [at, at + len) of the array, or the single value. */
static int
transfer(struct cont *c, bool is_write, uint32_t value, uint64_t at, uint8_t *buf, size_t len)
{
    daos_recx_t recx = {.rx_idx = at, .rx_nr = len};
    daos_iod_t iod = {.iod_type = value == IN_ARRAY ? DAOS_IOD_ARRAY : DAOS_IOD_SINGLE,
        .iod_size = value == IN_ARRAY ? 1 : len,
        .iod_nr = 1,
        .iod_recxs = value == IN_ARRAY ? &recx : NULL};
    d_iov_t iov, dkey;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, buf, len);
    d_iov_set(&dkey, (void *)(uintptr_t) "dkey", 4);
    d_iov_set(&iod.iod_name, (void *)(uintptr_t)(value == IN_ARRAY ? "ar" : "si"), 2);
    return is_write ? daos_obj_update(c->oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL)
                    : daos_obj_fetch(c->oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL, NULL);
}

static size_t
bytes_of(uint32_t value)
{
    return value == IN_ARRAY ? ARRAY_BYTES : SINGLE_BYTES;
}

static void
value_write(struct cont *c, uint32_t kind, uint32_t value)
{
    static uint8_t buf[ARRAY_BYTES];

    fill(kind, value, buf, bytes_of(value));
    EXPECT_OK(transfer(c, true, value, 0, buf, bytes_of(value)));
}

/* As it was written, or the code. */
static int
value_read(struct cont *c, uint32_t kind, uint32_t value, uint64_t at, size_t len)
{
    static uint8_t buf[ARRAY_BYTES], want[ARRAY_BYTES];
    int rc;

    fill(kind, value, want, bytes_of(value));
    rc = transfer(c, false, value, at, buf, len);
    if (rc == 0)
        EXPECT(memcmp(buf, want + at, len) == 0);
    return rc;
}

/* Find the bytes in the file, which is sparse, and change one bit of them. Their number of places. */
static uint32_t
flip(const char *path, const uint8_t *mark)
{
    static uint8_t buf[(1 << 20) + MARK_BYTES];
    uint32_t nr = 0;
    off_t at = 0;
    int fd = open(path, O_RDWR);

    if (!EXPECT(fd >= 0))
        return 0;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        ssize_t len = pread(fd, buf, sizeof(buf), at);
        uint8_t *hit = len <= 0 ? NULL : memmem(buf, (size_t)len, mark, MARK_BYTES);

        if (hit != NULL) {
            uint8_t byte = *hit ^ 0x10;

            nr++;
            EXPECT_EQ(pwrite(fd, &byte, 1, at + (hit - buf)), 1);
        }
        if (len < (ssize_t)sizeof(buf))
            break;
        at += 1 << 20;
    }
    close(fd);
    return nr;
}

static void
kinds_write(void)
{
    struct cont c;

    for (uint32_t kind = 0; kind < KINDS_NR && !test_failed(); kind++) {
        if (!cont_open(kind, true, &c))
            return;
        for (uint32_t value = 0; value < VALUES_NR; value++) {
            value_write(&c, kind, value);
            EXPECT_OK(value_read(&c, kind, value, 0, bytes_of(value)));
        }
        cont_close(&c);
    }
}

static void
kinds_damage(void)
{
    static uint8_t buf[ARRAY_BYTES];
    char path[400];

    snprintf(path, sizeof(path), "%s/tgt0/data", system_name + strlen("embedded:"));
    for (uint32_t kind = 0; kind < KINDS_NR; kind++) {
        for (uint32_t value = 0; value < VALUES_NR; value++) {
            fill(kind, value, buf, bytes_of(value));
            EXPECT_EQ(flip(path, buf + BAD_AT % bytes_of(value)), 1);
        }
    }
}

static void
kinds_read(void)
{
    uint64_t bad = BAD_AT / CHUNK_BYTES * CHUNK_BYTES, behind = bad + CHUNK_BYTES;
    struct cont c;

    for (uint32_t kind = 0; kind < KINDS_NR && !test_failed(); kind++) {
        if (!cont_open(kind, false, &c))
            return;
        for (uint32_t value = 0; value < VALUES_NR; value++) {
            EXPECT_ERR(value_read(&c, kind, value, 0, bytes_of(value)), CSUM);
        }
        EXPECT_ERR(value_read(&c, kind, IN_ARRAY, BAD_AT + 1, 1), CSUM); /* another byte of the chunk */
        EXPECT_OK(value_read(&c, kind, IN_ARRAY, 0, bad));
        EXPECT_OK(value_read(&c, kind, IN_ARRAY, behind, ARRAY_BYTES - behind));
        for (uint32_t value = 0; value < VALUES_NR; value++) {
            value_write(&c, kind, value);
            EXPECT_OK(value_read(&c, kind, value, 0, bytes_of(value)));
        }
        cont_close(&c);
    }
}

TEST_LINUX(client_csum, every_kind_end_to_end, "a real file, and an engine loaded by dlopen")
{
    if (!dir_make(CLIENT_TEST_MODULE_DIR, UINT64_C(256) << 20) || !EXPECT_OK(daos_init()))
        return;
    kinds_write();
    EXPECT_OK(daos_fini());
    kinds_damage();
    if (!EXPECT_OK(daos_init()))
        return;
    kinds_read();
    EXPECT_OK(daos_fini());
}
