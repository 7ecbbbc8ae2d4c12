/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Objects, KV, arrays, pools and containers of the client over the naive system of client_fake.h: routing, resends, errors, packing, arguments. */
#include "client/test/client_fake.h"
#include "daos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/core/client_tools.h"
#include "client/obj/client_obj.h"

static void
fake_test(void (*body)(struct fake *fake))
{
    struct fake fake;

    if (fake_init(&fake))
        fake_run(&fake, body);
    fake_fini(&fake);
}

static bool
obj_make(
    daos_handle_t coh, enum daos_otype_t type, daos_oclass_id_t cid, uint64_t lo, daos_handle_t *oh)
{
    daos_obj_id_t oid = {.lo = lo};

    return EXPECT_OK(daos_obj_generate_oid(coh, &oid, type, cid, 0, 0)) &&
        EXPECT_OK(daos_obj_open(coh, oid, DAOS_OO_RW, oh, NULL));
}

/* A single value under akey "a". */
static int
put(daos_handle_t oh, uint64_t flags, const char *key, const void *buf, size_t len)
{
    daos_iod_t iod = {.iod_type = DAOS_IOD_SINGLE, .iod_size = len, .iod_nr = 1};
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&dkey, (void *)(uintptr_t)key, strlen(key));
    d_iov_set(&iod.iod_name, "a", 1);
    d_iov_set(&iov, (void *)(uintptr_t)buf, len);
    return daos_obj_update(oh, DAOS_TX_NONE, flags, &dkey, 1, &iod, &sgl, NULL);
}

static int
get(daos_handle_t oh, uint64_t flags, const char *key, void *buf, size_t *len)
{
    daos_iod_t iod = {.iod_type = DAOS_IOD_SINGLE, .iod_size = DAOS_REC_ANY, .iod_nr = 1};
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    int rc;

    d_iov_set(&dkey, (void *)(uintptr_t)key, strlen(key));
    d_iov_set(&iod.iod_name, "a", 1);
    d_iov_set(&iov, buf, *len);
    rc = daos_obj_fetch(
        oh, DAOS_TX_NONE, flags, &dkey, 1, &iod, buf == NULL ? NULL : &sgl, NULL, NULL);
    *len = iod.iod_size;
    return rc;
}

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

static void
values_body(struct fake *fake)
{
    static const size_t sizes[] = {1, 100, 16384, 16385, 300000};
    daos_handle_t poh, coh, oh;
    uint8_t *data = malloc(300000), *back = malloc(300000);
    uint64_t rand = test_seed();
    uint32_t used_nr = 0;
    char key[24];
    size_t len;

    for (size_t i = 0; i < 300000; i++) {
        data[i] = (uint8_t)test_rand(&rand);
    }
    if (!fake_open(fake, &poh, &coh) || !obj_make(coh, DAOS_OT_MULTI_HASHED, OC_SX, 7, &oh))
        goto out;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        snprintf(key, sizeof(key), "key%zu", i);
        EXPECT_OK(put(oh, 0, key, data, sizes[i]));
        len = 0;
        EXPECT_OK(get(oh, 0, key, NULL, &len));
        EXPECT_EQ(len, sizes[i]);
        memset(back, 0xee, 300000);
        len = 300000;
        EXPECT_OK(get(oh, 0, key, back, &len));
        EXPECT_EQ(len, sizes[i]);
        EXPECT_MEM_EQ(back, data, len);
        if (sizes[i] < 300000)
            EXPECT_EQ(back[sizes[i]], 0xee); /* COB-3 */
        len = sizes[i] - 1;
        if (len > 0)
            EXPECT_ERR(get(oh, 0, key, back, &len), REC2BIG);
        EXPECT_EQ(len, len > 0 ? sizes[i] : 0); /* how much room is needed */
    }
    len = 10;
    back[0] = 0x55;
    EXPECT_OK(get(oh, 0, "absent", back, &len));
    EXPECT_EQ(len, 0);
    EXPECT_EQ(back[0], 0x55);
    EXPECT_ERR(put(oh, DAOS_COND_DKEY_INSERT, "key0", data, 4), EXIST);
    EXPECT_ERR(put(oh, DAOS_COND_DKEY_UPDATE, "absent", data, 4), NONEXIST);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "spread%d", i);
        EXPECT_OK(put(oh, 0, key, data, 4));
    }
    for (uint32_t r = 0; r < FAKE_RANKS_NR; r++) {
        for (uint32_t t = 1; t < FAKE_TAGS_NR; t++) {
            used_nr += fake->tags[r][t].vals != NULL;
        }
    }
    EXPECT_EQ(used_nr, FAKE_RANKS_NR * FAKE_TGTS_NR); /* an object of class SX is on all targets */
    EXPECT_OK(daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL));
    len = 10;
    EXPECT_OK(get(oh, 0, "key0", back, &len));
    EXPECT_EQ(len, 0);
    EXPECT_ERR(daos_obj_punch(oh, DAOS_TX_NONE, DAOS_COND_PUNCH, NULL), NONEXIST);
    EXPECT_OK(put(oh, 0, "spread3", data, 4));
    EXPECT_OK(daos_obj_punch(oh, DAOS_TX_NONE, DAOS_COND_PUNCH, NULL)); /* one group had something */
    EXPECT_OK(daos_obj_close(oh, NULL));
    fake_close(poh, coh);
out:
    free(data);
    free(back);
}

TEST_ON(client_obj, values_of_all_sizes_on_all_targets, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(values_body);
}

/* Several akeys in one request, several buffers each, ranges in any order. */
static void
akeys_body(struct fake *fake)
{
    daos_recx_t recxs[3] = {{10, 2}, {0, 3}, {20, 1}};
    daos_iod_t iods[2] = {
        {.iod_type = DAOS_IOD_ARRAY, .iod_size = 2, .iod_nr = 3, .iod_recxs = recxs},
        {.iod_type = DAOS_IOD_SINGLE, .iod_size = 5, .iod_nr = 1}};
    char array[] = "aabbccddeeff", single[] = "hello", got[12], got_single[8];
    d_iov_t dkey, iovs[3] = {{array, 5, 5}, {array + 5, 7, 7}, {single, 5, 5}};
    d_sg_list_t sgls[2] = {{2, 0, iovs}, {1, 0, &iovs[2]}};
    d_iov_t got_iovs[3] = {{got, 1, 0}, {got + 1, 11, 0}, {got_single, 8, 0}};
    d_sg_list_t got_sgls[2] = {{2, 0, got_iovs}, {1, 0, &got_iovs[2]}};
    daos_recx_t overlap[2] = {{5, 3}, {4, 2}}, out[4];
    daos_iom_t ioms[2] = {{.iom_nr = 4, .iom_flags = DAOS_IOMF_DETAIL, .iom_recxs = out}};
    daos_handle_t poh, coh, oh;

    if (!fake_open(fake, &poh, &coh) || !obj_make(coh, DAOS_OT_MULTI_HASHED, OC_S1, 8, &oh))
        return;
    d_iov_set(&dkey, "d", 1);
    d_iov_set(&iods[0].iod_name, "x", 1);
    d_iov_set(&iods[1].iod_name, "y", 1);
    EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 2, iods, sgls, NULL));
    iods[1].iod_size = DAOS_REC_ANY;
    memset(got, '-', sizeof(got));
    EXPECT_OK(daos_obj_fetch(oh, DAOS_TX_NONE, 0, &dkey, 2, iods, got_sgls, ioms, NULL));
    EXPECT_MEM_EQ(got, array, 12);
    EXPECT_MEM_EQ(got_single, single, 5);
    EXPECT_EQ(iods[1].iod_size, 5);
    EXPECT_EQ(got_iovs[0].iov_len, 1);
    EXPECT_EQ(got_iovs[1].iov_len, 11);
    EXPECT_EQ(got_iovs[2].iov_len, 5);
    EXPECT_EQ(ioms[0].iom_nr_out, 3);
    EXPECT_EQ(ioms[0].iom_recx_lo.rx_idx, 0);
    EXPECT_EQ(ioms[0].iom_recx_hi.rx_idx, 20);
    EXPECT_EQ(out[0].rx_idx, 10);
    /* holes stay as they were; the record size is asked for first */
    recxs[0] = (daos_recx_t){9, 4};
    iods[0].iod_nr = 1;
    iods[0].iod_size = DAOS_REC_ANY;
    memset(got, '-', sizeof(got));
    EXPECT_OK(daos_obj_fetch(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, got_sgls, NULL, NULL));
    EXPECT_MEM_EQ(got, "--aabb------", 12);
    EXPECT_EQ(iods[0].iod_size, 2);
    /* arguments */
    iods[0].iod_size = 2;
    iods[0].iod_nr = 2;
    iods[0].iod_recxs = overlap;
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, sgls, NULL), INVAL);
    iods[0].iod_nr = 1;
    overlap[0] = (daos_recx_t){UINT64_C(1) << 63, 1};
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, sgls, NULL), INVAL);
    overlap[0] = (daos_recx_t){0, 0};
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, sgls, NULL), INVAL);
    overlap[0] = (daos_recx_t){0, 7};
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, sgls, NULL),
        REC2BIG); /* more than the buffers hold */
    EXPECT_ERR(daos_obj_fetch(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, got_sgls, NULL, NULL), REC2BIG);
    overlap[0] = (daos_recx_t){0, UINT64_C(1) << 62};
    EXPECT_ERR(
        daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, sgls, NULL), REC2BIG); /* 2^62 bytes */
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 0, iods, sgls, NULL), INVAL);
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, NULL, sgls, NULL), INVAL);
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, NULL, 1, iods, sgls, NULL), INVAL);
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 1 << 20, &dkey, 1, iods, sgls, NULL), INVAL);
    EXPECT_ERR(daos_obj_update(oh, (daos_handle_t){77}, 0, &dkey, 1, iods, sgls, NULL), NO_HDL);
    iods[0].iod_type = 7;
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, iods, sgls, NULL), INVAL);
    EXPECT_OK(daos_obj_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_obj, akeys_ranges_and_their_arguments, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(akeys_body);
}

/* ---- resends and maps ------------------------------------------------------------------------------------------------------------- */

static void
resend_body(struct fake *fake)
{
    daos_handle_t poh, coh, oh;
    uint32_t applied_nr = 0, replays_nr = 0;
    char value[] = "value";
    uint8_t big[40000];
    size_t len = sizeof(big);

    memset(big, 3, sizeof(big));
    if (!fake_open(fake, &poh, &coh) || !obj_make(coh, DAOS_OT_MULTI_HASHED, OC_S1, 9, &oh))
        return;
    EXPECT_EQ(fake->client->sys.leader_rank, FAKE_LEADER); /* learned by a hint */
    /* done, but never answered: the resend carries the same id and gets the same answer (MS-2) */
    fake_rule_add(
        fake, (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_AFTER, 0, 1});
    EXPECT_OK(put(oh, DAOS_COND_DKEY_INSERT, "k", value, sizeof(value)));
    EXPECT_EQ(client_retried_nr(), 1 + 2); /* two hints before */
    fake_rule_add(
        fake, (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_AFTER, 0, 1});
    EXPECT_ERR(put(oh, DAOS_COND_DKEY_INSERT, "k", value, sizeof(value)),
        EXIST); /* the right answer, late */
    fake_rule_add(
        fake, (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_AFTER, 0, 1});
    EXPECT_OK(put(oh, 0, "big", big, sizeof(big))); /* pulled anew each time */
    for (uint32_t r = 0; r < FAKE_RANKS_NR; r++) {
        for (uint32_t t = 1; t < FAKE_TAGS_NR; t++) {
            applied_nr += fake->tags[r][t].applied_nr;
            replays_nr += fake->tags[r][t].replays_nr;
        }
    }
    EXPECT_EQ(applied_nr, 3);
    EXPECT_EQ(replays_nr, 3);
    /* answers that ask for another try */
    fake_rule_add(fake,
        (struct fake_rule){
            FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 5});
    fake_rule_add(fake,
        (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_FETCH, FAKE_FAIL_BEFORE, -DER_AGAIN, 3});
    EXPECT_OK(put(oh, 0, "k", value, sizeof(value)));
    EXPECT_OK(get(oh, 0, "k", big, &len));
    EXPECT_EQ(len, sizeof(value));
    /* and one that does not */
    fake_rule_add(fake,
        (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_NOSPACE, 1});
    EXPECT_ERR(put(oh, 0, "k", value, sizeof(value)), NOSPACE);
    /* checksums: twice again, then CSUM (MS-4) */
    fake_rule_add(fake,
        (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_CSUM, 2});
    EXPECT_OK(put(oh, 0, "k", value, sizeof(value)));
    fake_rule_add(fake,
        (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_CSUM, 3});
    EXPECT_ERR(put(oh, 0, "k", value, sizeof(value)), CSUM);
    fake_rule_add(fake, (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_FETCH, FAKE_BAD_DATA, 0, 2});
    len = sizeof(big);
    EXPECT_OK(get(oh, 0, "k", big, &len));
    fake_rule_add(fake, (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_FETCH, FAKE_BAD_DATA, 0, 3});
    len = sizeof(big);
    EXPECT_ERR(get(oh, 0, "k", big, &len), CSUM);
    EXPECT_OK(daos_obj_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_call, resends_keep_their_id, BACKEND_SIM)
{
    fake_test(resend_body);
}

/* What an attempt without an answer had pushed is not there any more for the one that is answered: nothing of it may be seen. */
static void
ghost_body(struct fake *fake)
{
    enum { BYTES = 40000 };
    char *value = malloc(BYTES), *back = calloc(1, BYTES), *zeros = calloc(1, BYTES);
    daos_handle_t poh, coh, oh;
    size_t len = BYTES;

    memset(value, 'x', BYTES);
    if (fake_open(fake, &poh, &coh) && obj_make(coh, DAOS_OT_MULTI_HASHED, OC_S1, 9, &oh)) {
        EXPECT_OK(put(oh, 0, "big", value, BYTES));
        fake_rule_add(
            fake, (struct fake_rule){FAKE_ANY, FAKE_ANY, PROTO_OBJ_FETCH, FAKE_GONE_AFTER, 0, 1});
        EXPECT_OK(get(oh, 0, "big", back, &len));
        EXPECT_EQ(len, 0);
        EXPECT_MEM_EQ(back, zeros, BYTES);
        EXPECT_OK(daos_obj_close(oh, NULL));
        fake_close(poh, coh);
    }
    free(value);
    free(back);
    free(zeros);
}

TEST_ON(client_obj, an_earlier_attempt_leaves_nothing, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(ghost_body);
}

static void
stale_body(struct fake *fake)
{
    daos_handle_t poh, coh, oh;
    daos_pool_info_t info = {.pi_bits = DPI_SPACE};
    char value[] = "value", back[8];
    size_t len = sizeof(back);
    uint32_t nr;

    if (!fake_open(fake, &poh, &coh) || !obj_make(coh, DAOS_OT_MULTI_HASHED, OC_SX, 9, &oh))
        return;
    EXPECT_OK(put(oh, 0, "k", value, sizeof(value)));
    fake->map->version = 5; /* equal to the old one but for this */
    nr = fake_requests_nr(fake);
    EXPECT_OK(get(oh, 0, "k", back, &len));
    EXPECT_EQ(fake_requests_nr(fake), nr + 2); /* refused, repeated */
    EXPECT_OK(get(oh, 0, "k", back, &len));
    EXPECT_EQ(fake_requests_nr(fake), nr + 3); /* the new map is known now */
    fake->map->version = 6;
    EXPECT_OK(put(oh, 0, "k", value, sizeof(value)));
    EXPECT_OK(daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL));
    fake->map->version = 7;
    EXPECT_OK(daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL)); /* several groups at once */
    EXPECT_OK(daos_pool_query(poh, NULL, &info, NULL, NULL));
    EXPECT_EQ(info.pi_map_ver, 7);
    fake->map->version = 8;
    EXPECT_OK(daos_obj_query_max_epoch(oh, DAOS_TX_NONE, &(daos_epoch_t){0}, NULL));
    EXPECT_OK(daos_obj_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_call, stale_maps_are_fetched_anew, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(stale_body);
}

static void
late_body(struct fake *fake)
{
    daos_handle_t poh, coh, oh, other;
    uint64_t start_ns;

    if (!fake_open(fake, &poh, &coh) || !obj_make(coh, DAOS_OT_MULTI_HASHED, OC_S1, 9, &oh))
        return;
    fake_rule_add(fake,
        (struct fake_rule){
            FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 1000000});
    start_ns = ult_now_ns();
    EXPECT_ERR(put(oh, 0, "k", "v", 1), TIMEDOUT);
    EXPECT_GE(ult_now_ns() - start_ns, CLIENT_CALL_NS);
    EXPECT_LT(ult_now_ns() - start_ns, CLIENT_CALL_NS + 1000000000);
    fake->client->call_ns = 5000000000; /* as by CRT_TIMEOUT */
    start_ns = ult_now_ns();
    EXPECT_ERR(put(oh, 0, "k", "v", 1), TIMEDOUT);
    EXPECT_LT(ult_now_ns() - start_ns, 6000000000);
    fake->client->call_ns = CLIENT_CALL_NS;
    fake_rule_add(fake,
        (struct fake_rule){
            FAKE_ANY, 0, PROTO_SYS_POOL_RESOLVE, FAKE_FAIL_BEFORE, -DER_AGAIN, 1000000});
    start_ns = ult_now_ns();
    EXPECT_ERR(daos_pool_connect(FAKE_POOL_LABEL, NULL, DAOS_PC_RW, &other, NULL, NULL), TIMEDOUT);
    EXPECT_LT(ult_now_ns() - start_ns, CLIENT_SYS_CALL_NS + 1000000000);
    EXPECT_OK(daos_obj_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_call, ends_in_time, BACKEND_SIM)
{
    fake_test(late_body);
}

/* ---- listing -------------------------------------------------------------------------------------------------------------------------- */

/* List all dkeys with little room; the keys are "k<n>" with n below nr, each once. Returns the number of calls. */
static int
list_all(daos_handle_t oh, daos_anchor_t *anchor, uint32_t room_nr, size_t room_bytes, bool *seen,
    int nr, int *found_nr)
{
    daos_key_desc_t kds[64];
    char *buf = malloc(room_bytes);
    int calls_nr = 0;

    while (!daos_anchor_is_eof(anchor) && calls_nr < 1000) {
        uint32_t n = room_nr;
        d_iov_t iovs[2] = {
            {buf, room_bytes / 2, 0}, {buf + room_bytes / 2, room_bytes - room_bytes / 2, 0}};
        d_sg_list_t sgl = {2, 0, iovs};
        size_t off = 0;

        calls_nr++;
        if (!EXPECT_OK(daos_obj_list_dkey(oh, DAOS_TX_NONE, &n, kds, &sgl, anchor, NULL)))
            break;
        EXPECT_LE(n, room_nr);
        for (uint32_t i = 0; i < n; i++) {
            char key[32] = "";
            int idx;

            memcpy(key, buf + off, MIN(kds[i].kd_key_len, sizeof(key) - 1));
            off += kds[i].kd_key_len;
            idx = (int)strtol(key + 1, NULL, 10);
            if (!EXPECT(key[0] == 'k' && idx >= 0 && idx < nr))
                break;
            EXPECT(!seen[idx]);
            seen[idx] = true;
            (*found_nr)++;
        }
        EXPECT_EQ(off, iovs[0].iov_len + iovs[1].iov_len);
    }
    free(buf);
    return calls_nr;
}

static void
list_body(struct fake *fake)
{
    enum { NR = 50 };
    daos_handle_t poh, coh, oh;
    daos_anchor_t anchor = DAOS_ANCHOR_INIT, parts[8] = {DAOS_ANCHOR_INIT};
    daos_key_desc_t kd;
    bool seen[NR] = {false};
    int found_nr = 0, calls_nr;
    uint32_t part_nr = 0, nr;
    char key[300], buf[400];
    d_iov_t iov = {buf, 3, 0};
    d_sg_list_t sgl = {1, 0, &iov};

    if (!fake_open(fake, &poh, &coh) || !obj_make(coh, DAOS_OT_MULTI_HASHED, OC_SX, 11, &oh))
        return;
    for (int i = 0; i < NR; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        EXPECT_OK(put(oh, 0, key, "v", 1));
    }
    list_all(oh, &anchor, 64, 4096, seen, NR, &found_nr);
    EXPECT_EQ(found_nr, NR);
    memset(seen, 0, sizeof(seen));
    memset(&anchor, 0, sizeof(anchor));
    found_nr = 0;
    calls_nr = list_all(oh, &anchor, 7, 16, seen, NR, &found_nr); /* five keys fit */
    EXPECT_EQ(found_nr, NR);
    EXPECT_GE(calls_nr, NR / 5);
    EXPECT_LE(calls_nr, NR);
    /* the parts of a split hold everything once */
    EXPECT_OK(daos_obj_anchor_split(oh, &part_nr, NULL));
    EXPECT_EQ(part_nr, FAKE_RANKS_NR * FAKE_TGTS_NR);
    EXPECT_OK(daos_obj_anchor_split(oh, &part_nr, parts));
    memset(seen, 0, sizeof(seen));
    found_nr = 0;
    for (uint32_t i = 0; i < part_nr; i++) {
        if (i == 1)
            EXPECT_OK(daos_obj_anchor_set(oh, 1, &parts[1]));
        list_all(oh, &parts[i], 64, 4096, seen, NR, &found_nr);
    }
    EXPECT_EQ(found_nr, NR);
    EXPECT_ERR(daos_obj_anchor_set(oh, part_nr, &anchor), INVAL);
    /* a key that does not fit */
    EXPECT_OK(daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL));
    memset(key, 'x', 299);
    key[299] = '\0';
    EXPECT_OK(put(oh, 0, key, "v", 1));
    memset(&anchor, 0, sizeof(anchor));
    nr = 1;
    EXPECT_ERR(daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, &kd, &sgl, &anchor, NULL), KEY2BIG);
    EXPECT_EQ(kd.kd_key_len, 299);
    iov.iov_buf_len = sizeof(buf);
    nr = 1;
    EXPECT_OK(daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, &kd, &sgl, &anchor, NULL));
    EXPECT_EQ(nr, 1);
    EXPECT_EQ(kd.kd_key_len, 299);
    EXPECT_EQ(sgl.sg_nr_out, 1);
    /* arguments */
    nr = 0;
    EXPECT_ERR(daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, &kd, &sgl, &anchor, NULL), INVAL);
    nr = 1;
    memset(&anchor, 0xff, sizeof(anchor));
    EXPECT_ERR(daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, &kd, &sgl, &anchor, NULL), INVAL);
    memset(&anchor, 0, sizeof(anchor));
    anchor.da_shard = 60000;
    EXPECT_ERR(daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, &kd, &sgl, &anchor, NULL), INVAL);
    EXPECT_ERR(daos_obj_list_akey(oh, DAOS_TX_NONE, NULL, &nr, &kd, &sgl, &anchor, NULL), INVAL);
    EXPECT_OK(daos_obj_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_obj, listings_are_packed_across_groups, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(list_body);
}

/* ---- KV -------------------------------------------------------------------------------------------------------------------------------- */

static void
kv_body(struct fake *fake)
{
    daos_obj_id_t oid = {.lo = 5}, other = {.lo = 6};
    daos_handle_t poh, coh, oh, bad;
    daos_size_t size;
    char buf[100], longkey[5000];

    if (!fake_open(fake, &poh, &coh))
        return;
    EXPECT_OK(daos_obj_generate_oid(coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    EXPECT_OK(daos_obj_generate_oid(coh, &other, DAOS_OT_MULTI_HASHED, OC_SX, 0, 0));
    EXPECT_ERR(daos_kv_open(coh, other, DAOS_OO_RW, &bad, NULL), INVAL); /* not of a KV type */
    EXPECT_OK(daos_kv_open(coh, oid, DAOS_OO_RW, &oh, NULL));
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "key", 6, "value", NULL));
    size = sizeof(buf);
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, "key", &size, buf, NULL));
    EXPECT_EQ(size, 6);
    EXPECT_STR_EQ(buf, "value");
    size = 0;
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, "key", &size, NULL, NULL));
    EXPECT_EQ(size, 6);
    size = 2;
    EXPECT_ERR(daos_kv_get(oh, DAOS_TX_NONE, 0, "key", &size, buf, NULL), REC2BIG);
    EXPECT_EQ(size, 6);
    size = sizeof(buf);
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, "none", &size, buf, NULL));
    EXPECT_EQ(size, 0);
    EXPECT_ERR(daos_kv_get(oh, DAOS_TX_NONE, DAOS_COND_KEY_GET, "none", &size, buf, NULL), NONEXIST);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, DAOS_COND_KEY_INSERT, "key", 1, "v", NULL), EXIST);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, DAOS_COND_KEY_UPDATE, "none", 1, "v", NULL), NONEXIST);
    EXPECT_ERR(daos_kv_remove(oh, DAOS_TX_NONE, DAOS_COND_KEY_REMOVE, "none", NULL), NONEXIST);
    EXPECT_OK(daos_kv_remove(oh, DAOS_TX_NONE, DAOS_COND_KEY_REMOVE, "key", NULL));
    size = sizeof(buf);
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, "key", &size, buf, NULL));
    EXPECT_EQ(size, 0);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, NULL, 1, "v", NULL), INVAL);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, "", 1, "v", NULL), INVAL);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", 0, "v", NULL), INVAL);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", 1, NULL, NULL), INVAL);
    EXPECT_ERR(daos_kv_get(oh, DAOS_TX_NONE, 0, "k", NULL, buf, NULL), INVAL);
    memset(longkey, 'k', sizeof(longkey));
    longkey[4999] = '\0';
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, longkey, 1, "v", NULL), KEY2BIG);
    longkey[4096] = '\0';
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, longkey, 1, "v", NULL));
    EXPECT_ERR(daos_cont_close(coh, NULL), BUSY); /* the KV is open */
    EXPECT_OK(daos_kv_close(oh, NULL));
    EXPECT_ERR(daos_kv_close(oh, NULL), NO_HDL);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", 1, "v", NULL), NO_HDL);
    fake_close(poh, coh);
}

TEST_ON(client_kv, calls_conditions_and_arguments, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(kv_body);
}

/* ---- arrays ------------------------------------------------------------------------------------------------------------------------------ */

static int
array_rw(daos_handle_t oh, bool is_write, uint64_t idx, uint64_t nr, void *buf, size_t bytes,
    daos_array_iod_t *iod)
{
    daos_range_t rg = {idx, nr};
    d_iov_t iov;
    d_sg_list_t sgl = {1, 0, &iov};
    int rc;

    *iod = (daos_array_iod_t){.arr_nr = 1, .arr_rgs = &rg};
    d_iov_set(&iov, buf, bytes);
    rc = is_write ? daos_array_write(oh, DAOS_TX_NONE, iod, &sgl, NULL)
                  : daos_array_read(oh, DAOS_TX_NONE, iod, &sgl, NULL);
    iod->arr_rgs = NULL;
    return rc;
}

static void
array_body(struct fake *fake)
{
    enum { CHUNK = 100, NR = 5000 };
    daos_obj_id_t oid = {.lo = 21}, kv = {.lo = 1};
    daos_handle_t poh, coh, oh, oh2;
    daos_size_t cell, chunk, size;
    daos_array_iod_t iod;
    daos_array_stbuf_t stbuf;
    daos_range_t rgs[3] = {{250, 30}, {10, 5}, {390, 20}};
    uint32_t *data = malloc(NR * 4), *back = malloc(NR * 4);
    uint64_t rand = test_seed();
    uint32_t list[55];
    d_iov_t iov;
    d_sg_list_t sgl = {1, 0, &iov};

    for (int i = 0; i < NR; i++) {
        data[i] = (uint32_t)test_rand(&rand);
    }
    if (!fake_open(fake, &poh, &coh))
        goto out;
    EXPECT_OK(daos_array_generate_oid(coh, &oid, true, OC_SX, 0, 0));
    EXPECT_ERR(
        daos_array_open(coh, oid, DAOS_TX_NONE, DAOS_OO_RW, &cell, &chunk, &oh, NULL), NONEXIST);
    EXPECT_OK(daos_array_create(coh, oid, DAOS_TX_NONE, 4, CHUNK, &oh, NULL));
    EXPECT_ERR(daos_array_create(coh, oid, DAOS_TX_NONE, 4, CHUNK, &oh2, NULL), EXIST);
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 0); /* the attributes are no data */
    /* over 50 chunks, not at their borders */
    EXPECT_OK(array_rw(oh, true, 33, NR - 50, data, (NR - 50) * 4, &iod));
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, NR - 17);
    memset(back, 0xee, NR * 4);
    EXPECT_OK(array_rw(oh, false, 0, NR, back, NR * 4, &iod));
    EXPECT_EQ(iod.arr_nr_read, NR - 17);
    EXPECT_EQ(iod.arr_nr_short_read, 17);
    for (int i = 0; i < 33; i++) {
        EXPECT_EQ(back[i], 0); /* ARR-2 */
    }
    EXPECT_MEM_EQ(back + 33, data, (NR - 50) * 4);
    /* ranges in any order */
    d_iov_set(&iov, list, sizeof(list));
    iod = (daos_array_iod_t){.arr_nr = 3, .arr_rgs = rgs};
    EXPECT_OK(daos_array_read(oh, DAOS_TX_NONE, &iod, &sgl, NULL));
    EXPECT_MEM_EQ(list, data + 217, 120);
    EXPECT_EQ(list[30], 0);
    EXPECT_MEM_EQ(list + 35, data + 357, 80);
    EXPECT_EQ(iod.arr_nr_read, 55);
    EXPECT_EQ(iod.arr_nr_short_read, 0);
    for (int i = 0; i < 55; i++) {
        list[i] = 7000 + i;
    }
    EXPECT_OK(daos_array_write(oh, DAOS_TX_NONE, &iod, &sgl, NULL));
    EXPECT_OK(array_rw(oh, false, 380, 30, back, 120, &iod));
    EXPECT_MEM_EQ(back, data + 347, 40);
    EXPECT_EQ(back[10], 7035);
    EXPECT_EQ(back[29], 7054);
    /* sizes */
    EXPECT_OK(daos_array_set_size(oh, DAOS_TX_NONE, 1050, NULL));
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 1050);
    EXPECT_OK(daos_array_set_size(oh, DAOS_TX_NONE, 3000, NULL));
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 3000);
    memset(back, 0xee, NR * 4);
    EXPECT_OK(array_rw(oh, false, 1000, 2500, back, 2500 * 4, &iod));
    EXPECT_EQ(iod.arr_nr_read, 2000);
    EXPECT_MEM_EQ(back, data + 967, 50 * 4);
    for (int i = 50; i < 2000; i++) {
        EXPECT_EQ(back[i], 0); /* what was cut is gone */
    }
    EXPECT_OK(daos_array_set_size(oh, DAOS_TX_NONE, 2500, NULL)); /* into the hole */
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 2500);
    rgs[0] = (daos_range_t){120, 700};
    iod = (daos_array_iod_t){.arr_nr = 1, .arr_rgs = rgs};
    EXPECT_OK(daos_array_punch(oh, DAOS_TX_NONE, &iod, NULL));
    EXPECT_OK(array_rw(oh, false, 100, 800, back, 3200, &iod));
    EXPECT_MEM_EQ(back, data + 67, 20 * 4);
    for (int i = 20; i < 720; i++) {
        EXPECT_EQ(back[i], 0);
    }
    EXPECT_MEM_EQ(back + 720, data + 787, 80 * 4);
    rgs[0] = (daos_range_t){150, UINT64_C(1) << 60}; /* too many chunks to name them */
    iod = (daos_array_iod_t){.arr_nr = 1, .arr_rgs = rgs};
    EXPECT_OK(daos_array_punch(oh, DAOS_TX_NONE, &iod, NULL));
    EXPECT_OK(daos_array_stat(oh, DAOS_TX_NONE, &stbuf, NULL));
    EXPECT_EQ(stbuf.st_size, 120);
    EXPECT_EQ(stbuf.st_max_epoch, 112);
    EXPECT_OK(daos_array_set_size(oh, DAOS_TX_NONE, 0, NULL));
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 0);
    EXPECT_OK(daos_array_close(oh, NULL));
    EXPECT_OK(daos_array_open(
        coh, oid, DAOS_TX_NONE, DAOS_OO_RO, &cell, &chunk, &oh, NULL)); /* the attributes stayed */
    EXPECT_EQ(cell, 4);
    EXPECT_EQ(chunk, CHUNK);
    EXPECT_ERR(array_rw(oh, true, 0, 1, data, 4, &iod), NO_PERM);
    EXPECT_OK(daos_array_close(oh, NULL));
    /* arguments */
    EXPECT_OK(daos_obj_generate_oid(coh, &kv, DAOS_OT_KV_HASHED, OC_S1, 0, 0));
    EXPECT_ERR(daos_array_create(coh, kv, DAOS_TX_NONE, 4, CHUNK, &oh, NULL), INVAL);
    EXPECT_ERR(
        daos_array_open_with_attr(coh, oid, DAOS_TX_NONE, DAOS_OO_RW, 4, CHUNK, &oh, NULL), INVAL);
    oid = (daos_obj_id_t){.lo = 22};
    EXPECT_OK(daos_obj_generate_oid(coh, &oid, DAOS_OT_ARRAY_BYTE, OC_SX, 0, 0));
    EXPECT_ERR(
        daos_array_open_with_attr(coh, oid, DAOS_TX_NONE, DAOS_OO_RW, 2, CHUNK, &oh, NULL), INVAL);
    EXPECT_OK(daos_array_open_with_attr(coh, oid, DAOS_TX_NONE, DAOS_OO_RW, 1, CHUNK, &oh, NULL));
    EXPECT_ERR(array_rw(oh, true, 0, 10, data, 9, &iod), INVAL); /* buffer and ranges differ */
    EXPECT_ERR(array_rw(oh, true, UINT64_MAX, 10, data, 10, &iod), INVAL);
    EXPECT_ERR(daos_array_read(oh, DAOS_TX_NONE, NULL, &sgl, NULL), INVAL);
    EXPECT_OK(array_rw(oh, true, 5, 0, data, 0, &iod)); /* nothing */
    EXPECT_OK(daos_array_close(oh, NULL));
    fake_close(poh, coh);
out:
    free(data);
    free(back);
}

TEST_ON(client_array, parts_holes_and_sizes, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(array_body);
}

/* ---- pools and containers ------------------------------------------------------------------------------------------------------------------ */

static void
pool_body(struct fake *fake)
{
    const char *names[] = {"one", "two"}, *none[] = {"none"}, *empty[] = {""};
    const void *values[] = {"first", "second value"};
    size_t sizes[] = {5, 12}, got_sizes[2] = {3, 20}, size;
    char one[20] = "------", two[20] = "", list[100], longname[600];
    const char *longnames[] = {longname};
    void *buffers[] = {one, two};
    daos_handle_t poh, coh, coh2, other, ro;
    daos_pool_info_t info = {.pi_bits = DPI_ALL};
    daos_prop_t *prop = daos_prop_alloc(2), *all = daos_prop_alloc(0);
    d_rank_list_t *ranks = NULL;
    daos_cont_info_t cinfo;
    uint64_t lo, lo2;
    uuid_t uuid;
    char text[37];
    d_iov_t glob = {0};

    (void)fake;
    EXPECT_ERR(daos_pool_connect("unknown", NULL, DAOS_PC_RW, &poh, NULL, NULL), NONEXIST);
    EXPECT_ERR(daos_pool_connect(FAKE_POOL_LABEL, "other", DAOS_PC_RW, &poh, NULL, NULL), MISMATCH);
    if (!EXPECT_OK(daos_pool_connect(FAKE_POOL_LABEL, "fake", DAOS_PC_RW, &poh, &info, NULL)))
        return;
    EXPECT_EQ(info.pi_ntargets, 4);
    EXPECT_EQ(info.pi_nnodes, 2);
    EXPECT_EQ(info.pi_space.ps_space.s_free[DAOS_MEDIA_NVME], 600);
    EXPECT_EQ(info.pi_leader, FAKE_LEADER);
    prop->dpp_entries[0].dpe_type = DAOS_PROP_PO_LABEL;
    prop->dpp_entries[1].dpe_type = DAOS_PROP_PO_SPACE_RB;
    EXPECT_OK(daos_pool_query(poh, &ranks, NULL, prop, NULL));
    EXPECT_STR_EQ(prop->dpp_entries[0].dpe_str, FAKE_POOL_LABEL);
    EXPECT(!daos_prop_is_set(&prop->dpp_entries[1]));
    EXPECT_EQ(ranks->rl_nr, 2);
    free(ranks->rl_ranks);
    free(ranks);
    EXPECT_OK(daos_pool_query(poh, NULL, NULL, all, NULL));
    EXPECT_EQ(all->dpp_nr, 2);
    daos_prop_free(prop);
    daos_prop_free(all);

    EXPECT_OK(daos_pool_set_attr(poh, 2, names, values, sizes, NULL));
    EXPECT_OK(daos_pool_get_attr(poh, 2, names, buffers, got_sizes, NULL));
    EXPECT_EQ(got_sizes[0], 5); /* the full size although cut */
    EXPECT_MEM_EQ(one, "fir---", 6);
    EXPECT_EQ(got_sizes[1], 12);
    EXPECT_MEM_EQ(two, "second value", 12);
    size = 0;
    EXPECT_OK(daos_pool_list_attr(poh, NULL, &size, NULL));
    EXPECT_EQ(size, 8);
    EXPECT_OK(daos_pool_list_attr(poh, list, &size, NULL));
    EXPECT_MEM_EQ(list, "one\0two\0", 8);
    EXPECT_ERR(daos_pool_get_attr(poh, 1, none, buffers, got_sizes, NULL), NONEXIST);
    EXPECT_ERR(daos_pool_get_attr(poh, 1, empty, buffers, got_sizes, NULL), INVAL);
    EXPECT_ERR(daos_pool_get_attr(poh, 0, names, buffers, got_sizes, NULL), INVAL);
    memset(longname, 'n', sizeof(longname));
    longname[512] = '\0';
    EXPECT_ERR(daos_pool_get_attr(poh, 1, longnames, buffers, got_sizes, NULL), INVAL);
    longname[511] = '\0';
    EXPECT_ERR(daos_pool_get_attr(poh, 1, longnames, buffers, got_sizes, NULL), NONEXIST);
    sizes[0] = 0;
    EXPECT_ERR(daos_pool_set_attr(poh, 1, names, values, sizes, NULL), INVAL);

    EXPECT_ERR(daos_cont_create_with_label(poh, "bad label", NULL, NULL, NULL), INVAL);
    EXPECT_ERR(daos_cont_open(poh, "none", DAOS_COO_RW, &coh, NULL, NULL), NONEXIST);
    EXPECT_OK(daos_cont_create(poh, &uuid, NULL, NULL));
    uuid_unparse(uuid, text);
    EXPECT_ERR(daos_cont_open(poh, text, 0, &coh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_cont_open(poh, text, DAOS_COO_RO | DAOS_COO_RW, &coh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_cont_open(poh, text, DAOS_COO_RW | 1 << 20, &coh, NULL, NULL), INVAL);
    EXPECT_OK(daos_cont_open(poh, text, DAOS_COO_RW, &coh, &cinfo, NULL));
    EXPECT_MEM_EQ(cinfo.ci_uuid, uuid, 16);
    EXPECT_EQ(cinfo.ci_nhandles, 1);
    EXPECT_OK(daos_cont_alloc_oids(coh, 10, &lo, NULL));
    EXPECT_OK(daos_cont_alloc_oids(coh, 1, &lo2, NULL));
    EXPECT_EQ(lo2, lo + 10);
    EXPECT_ERR(daos_cont_alloc_oids(coh, 0, &lo2, NULL), INVAL);
    EXPECT_ERR(daos_pool_disconnect(poh, NULL), BUSY);
    EXPECT_ERR(daos_pool_disconnect(coh, NULL), NO_HDL); /* another type of handle */
    EXPECT_ERR(daos_cont_close(poh, NULL), NO_HDL);

    /* handles of another process: the same connection */
    EXPECT_OK(daos_pool_local2global(poh, &glob));
    glob.iov_buf = malloc(glob.iov_buf_len);
    EXPECT_OK(daos_pool_local2global(poh, &glob));
    EXPECT_OK(daos_pool_global2local(glob, &other));
    free(glob.iov_buf);
    glob = (d_iov_t){0};
    EXPECT_OK(daos_cont_local2global(coh, &glob));
    glob.iov_buf = malloc(glob.iov_buf_len);
    EXPECT_OK(daos_cont_local2global(coh, &glob));
    EXPECT_OK(daos_cont_global2local(other, glob, &coh2));
    EXPECT_ERR(daos_pool_global2local(glob, &other), INVAL);
    free(glob.iov_buf);
    EXPECT_OK(daos_cont_close(coh2, NULL));
    EXPECT_OK(daos_pool_disconnect(other, NULL));

    EXPECT_OK(daos_pool_connect(FAKE_POOL_LABEL, NULL, DAOS_PC_RO, &ro, NULL, NULL));
    EXPECT_ERR(daos_cont_create(ro, NULL, NULL, NULL), NO_PERM);
    EXPECT_ERR(daos_cont_open(ro, text, DAOS_COO_RW, &coh2, NULL, NULL), NO_PERM);
    EXPECT_OK(daos_cont_open(ro, text, DAOS_COO_RO, &coh2, NULL, NULL));
    EXPECT_ERR(daos_obj_open(coh2, (daos_obj_id_t){1, UINT64_C(0x0001000100000000)}, DAOS_OO_RW,
                   &other, NULL),
        NO_PERM);
    EXPECT_ERR(daos_obj_open(coh2, (daos_obj_id_t){1, 1}, DAOS_OO_RO, &other, NULL), NOSCHEMA);
    EXPECT_ERR(daos_cont_alloc_oids(coh2, 1, &lo, NULL), NO_PERM);
    EXPECT_OK(daos_cont_close(coh2, NULL));
    EXPECT_OK(daos_pool_disconnect(ro, NULL));
    fake_close(poh, coh);
    EXPECT_ERR(daos_cont_close(coh, NULL), NO_HDL);
    EXPECT_ERR(daos_pool_disconnect(poh, NULL), NO_HDL);
}

TEST_ON(client_pool, queries_attributes_handles_and_arguments, BACKEND_LINUX | BACKEND_SIM)
{
    fake_test(pool_body);
}

TEST(client_oclass, names)
{
    char name[MAX_OBJ_CLASS_NAME_LEN], *list = malloc(4096);

    EXPECT_EQ(daos_oclass_name2id("SX"), OC_SX);
    EXPECT_EQ(daos_oclass_name2id("RP_2G1"), OC_RP_2G1);
    EXPECT_EQ(daos_oclass_name2id("nothing"), 0);
    EXPECT_EQ(daos_oclass_name2id(NULL), 0);
    EXPECT_EQ(daos_oclass_id2name(OC_EC_8P2GX, name), 0);
    EXPECT_STR_EQ(name, "EC_8P2GX");
    EXPECT_EQ(daos_oclass_id2name(7, name), -1);
    EXPECT_EQ(daos_oclass_nr(0), 143);
    EXPECT_GT(daos_oclass_names_list(4096, list), 1000);
    EXPECT_EQ(strncmp(list, "S1, S2, ", 8), 0);
    EXPECT_EQ(daos_oclass_names_list(10, list), -1);
    free(list);
}
