/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: at most once (MS-2): resends, late duplicates, concurrent resends, failures, restarts, and more clients than are remembered. */
#include "vos_test_fix.h"

static struct uuid
client_id(uint32_t i)
{
    return (struct uuid){.b = {0xc, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
}

static int
send(struct fix *f, struct vos_req_id id, const char *dkey, const char *val, uint32_t cond,
    struct vos_apply_ret *ret)
{
    struct vos_iod iod = {
        .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = strlen(val), .data = IOV(val)};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = fix_oid(1),
        .cond = cond,
        .dkey = IOV(dkey),
        .iod_nr = 1,
        .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .req = id, .result = IOV(val)};

    return vos_apply(f->cont, &args, ret);
}

static bool
value_is(struct fix *f, const char *dkey, const char *want)
{
    char buf[64];
    size_t len = 0;

    return EXPECT_OK(fix_get(f, 1, dkey, "a", buf, sizeof(buf), &len)) && len == strlen(want) &&
        memcmp(buf, want, len) == 0;
}

static void
resends(struct fix *f)
{
    struct vos_req_id id = {.client = client_id(1), .slot = 3, .seq = 5, .hlc = 100};
    struct vos_apply_ret first, ret;

    if (!fix_format(f))
        return;
    EXPECT_ERR(vos_req_lookup(f->cont, &id, &ret), NONEXIST);
    EXPECT_OK(send(f, id, "d", "one", 0, &first));
    EXPECT(!first.is_replay);
    EXPECT_OK(fix_put(f, 1, "d", "a", "other", 5, 0));
    EXPECT_OK(send(f, id, "d", "one", 0, &ret));
    EXPECT(ret.is_replay);
    EXPECT_EQ(ret.epoch, first.epoch);
    EXPECT_EQ(ret.result_len, 3);
    EXPECT_MEM_EQ(ret.result, "one", 3);
    EXPECT(value_is(f, "d", "other"));
    EXPECT_OK(vos_req_lookup(f->cont, &id, &ret));
    EXPECT(ret.is_replay);
    /* Another slot and another client know nothing of it. */
    id.slot = 4;
    EXPECT_OK(send(f, id, "d2", "four", 0, &ret));
    EXPECT(!ret.is_replay);
    id.slot = 3;
    id.seq = 4;
    EXPECT_ERR(send(f, id, "d", "late", 0, &ret), TX_UNCERTAIN);
    id.seq = 6;
    EXPECT_OK(send(f, id, "d", "six", 0, &ret));
    EXPECT(!ret.is_replay);
    EXPECT(value_is(f, "d", "six"));
    /* A conditional insert that is resent does not fail with EXIST. */
    id.seq = 7;
    EXPECT_OK(send(f, id, "new", "seven", VOS_COND_DKEY_INSERT, &ret));
    EXPECT_OK(send(f, id, "new", "seven", VOS_COND_DKEY_INSERT, &ret));
    EXPECT(ret.is_replay);
    fix_close(f);
    if (!fix_open(f))
        return;
    EXPECT_OK(send(f, id, "new", "seven", VOS_COND_DKEY_INSERT, &ret));
    EXPECT(ret.is_replay);
    EXPECT_MEM_EQ(ret.result, "seven", 5);
    id.seq = 6;
    EXPECT_ERR(send(f, id, "d", "six", 0, &ret), TX_UNCERTAIN);
    /* Wrong ids. */
    id.slot = VOS_SLOTS_NR_MAX;
    EXPECT_ERR(send(f, id, "d", "x", 0, &ret), INVAL);
    id.slot = 0;
    id.seq = 0;
    EXPECT_ERR(send(f, id, "d", "x", 0, &ret), INVAL);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_req, resends, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(resends);
}

static void
failures(struct fix *f)
{
    struct vos_req_id id = {.client = client_id(1), .slot = 0, .seq = 1, .hlc = 100};
    struct vos_apply_ret ret;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "x", 1, 0));
    EXPECT_ERR(send(f, id, "d", "y", VOS_COND_DKEY_INSERT, &ret), EXIST);
    EXPECT_OK(fix_punch(f, 1, "d", NULL, 0));
    /* The client was told that it failed: a late duplicate does not do it after all. */
    EXPECT_ERR(send(f, id, "d", "y", VOS_COND_DKEY_INSERT, &ret), EXIST);
    EXPECT(value_is(f, "d", ""));
    id.seq = 2;
    EXPECT_OK(send(f, id, "d", "y", VOS_COND_DKEY_INSERT, &ret));
    id.seq = 1;
    EXPECT_ERR(send(f, id, "d", "y", VOS_COND_DKEY_INSERT, &ret), EXIST); /* as it was told */
    fix_close(f);
}

TEST_ON(vos_req, failures_stay_failures, BACKEND_SIM)
{
    fix_body(failures);
}

struct twin_send {
    struct fix *f;
    struct vos_req_id id;
    int rc;
    struct vos_apply_ret ret;
    uint32_t *left;
    struct ult_cond *done;
};

static void
send_main(void *arg)
{
    struct twin_send *t = arg;

    t->rc = send(t->f, t->id, "d", "value", VOS_COND_DKEY_INSERT, &t->ret);
    if (--*t->left == 0)
        ult_cond_signal(t->done);
}

static void
concurrent(struct fix *f)
{
    struct twin_send t[8];
    struct ult_cond done;
    uint32_t left = ARRAY_SIZE(t), replays = 0;

    if (!fix_format(f))
        return;
    ult_cond_init(&done);
    for (uint32_t i = 0; i < ARRAY_SIZE(t); i++) {
        t[i] = (struct twin_send){.f = f,
            .id = {.client = client_id(9), .slot = 1, .seq = 3, .hlc = 50},
            .left = &left,
            .done = &done};
        EXPECT_OK(ult_create(f->xs, ULT_IO, send_main, &t[i], NULL));
    }
    while (left > 0) {
        ult_cond_wait(&done, NULL);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(t); i++) {
        EXPECT_OK(t[i].rc);
        EXPECT_EQ(t[i].ret.epoch, t[0].ret.epoch);
        replays += t[i].ret.is_replay;
    }
    EXPECT_EQ(replays, ARRAY_SIZE(t) - 1);
    fix_close(f);
}

TEST_ON(vos_req, concurrent_resends_are_one_request, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(concurrent);
}

static void
many_clients(struct fix *f)
{
    struct vos_req_id id = {.slot = 17, .seq = 1};
    struct vos_apply_ret ret;
    struct vos_pool_info before, after;
    const uint32_t nr = VOS_CLIENTS_NR_MAX + 20;

    f->meta_quota = 50 << 20;
    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < nr; i++) {
        id.client = client_id(i);
        id.hlc = 1000 + i;
        if (!EXPECT_OK(send(f, id, "d", "v", 0, &ret)))
            return;
        if (i == VOS_CLIENTS_NR_MAX)
            EXPECT_OK(vos_pool_query(f->tgt, f->pool, &before));
    }
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &after));
    /* What is forgotten is freed; only versions of the value came on top. */
    EXPECT_LT(after.meta_used, before.meta_used + 20 * 200);
    for (uint32_t again = 0; again < 2; again++) {
        id.seq = 1;
        id.client = client_id(0); /* forgotten */
        id.hlc = 1000;
        EXPECT_ERR(send(f, id, "d", "v", 0, &ret), TX_UNCERTAIN);
        id.client = client_id(77777); /* never seen, not newer than what was forgotten */
        id.hlc = 1000 + 19;
        EXPECT_ERR(send(f, id, "d", "v", 0, &ret), TX_UNCERTAIN);
        id.client = client_id(nr - 1); /* remembered */
        id.hlc = 1000 + nr - 1;
        EXPECT_OK(send(f, id, "d", "v", 0, &ret));
        EXPECT(ret.is_replay);
        EXPECT_OK(vos_tgt_check(f->tgt));
        fix_close(f);
        if (!fix_open(f))
            return;
    }
    /* A forgotten client goes on with new requests; its old ones stay uncertain. */
    id.client = client_id(0);
    id.seq = 2;
    id.hlc = 900000;
    EXPECT_OK(send(f, id, "d", "v", 0, &ret));
    EXPECT(!ret.is_replay);
    id.slot = 18;
    id.seq = 1;
    id.hlc = 1000;
    EXPECT_ERR(send(f, id, "d", "v", 0, &ret), TX_UNCERTAIN);
    fix_close(f);
}

TEST_ON(vos_req, more_clients_than_are_remembered, BACKEND_SIM)
{
    fix_body(many_clients);
}

/* Goal: a refused request stays refused, in memory only, and takes nothing else with it. */
static void
refusals(struct fix *f)
{
    struct vos_req_id id = {.client = client_id(1), .slot = 2, .seq = 5, .hlc = 100};
    struct vos_req_id bad;
    struct vos_apply_ret ret, first;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_req_refuse(f->cont, &id, -DER_NO_PERM));
    EXPECT_ERR(send(f, id, "d", "late copy", 0, &ret), NO_PERM);
    EXPECT(value_is(f, "d", ""));
    EXPECT_ERR(vos_req_lookup(f->cont, &id, &ret), NO_PERM);
    EXPECT(ret.is_replay);
    /* The first refusal is what the client was told. */
    EXPECT_ERR(vos_req_refuse(f->cont, &id, -DER_STALE), NO_PERM);
    EXPECT_ERR(send(f, id, "d", "late copy", 0, &ret), NO_PERM);
    /* What came before it in the slot is uncertain, another slot and what follows are free. */
    id.seq = 4;
    EXPECT_ERR(send(f, id, "d", "x", 0, &ret), TX_UNCERTAIN);
    EXPECT_ERR(vos_req_refuse(f->cont, &id, -DER_STALE), TX_UNCERTAIN);
    id.slot = 3;
    EXPECT_OK(send(f, id, "d", "other slot", 0, &ret));
    id.slot = 2;
    id.seq = 6;
    EXPECT_OK(send(f, id, "d", "six", 0, &first));
    EXPECT(!first.is_replay);
    /* What was applied cannot be refused any more. */
    EXPECT_OK(vos_req_refuse(f->cont, &id, -DER_NO_PERM));
    EXPECT_OK(send(f, id, "d", "six", 0, &ret));
    EXPECT(ret.is_replay);
    EXPECT_EQ(ret.epoch, first.epoch);
    id.seq = 5;
    EXPECT_ERR(send(f, id, "d", "late copy", 0, &ret), NO_PERM);
    EXPECT(value_is(f, "d", "six"));
    /* Ids that are none. */
    bad = id;
    bad.client = (struct uuid){.b = {0}};
    EXPECT_ERR(vos_req_refuse(f->cont, &bad, -DER_NO_PERM), INVAL);
    bad = id;
    bad.slot = VOS_SLOTS_NR_MAX;
    EXPECT_ERR(vos_req_refuse(f->cont, &bad, -DER_NO_PERM), INVAL);
    bad = id;
    bad.seq = 0;
    EXPECT_ERR(vos_req_refuse(f->cont, &bad, -DER_NO_PERM), INVAL);
    bad.seq = UINT64_MAX;
    EXPECT_ERR(vos_req_refuse(f->cont, &bad, -DER_NO_PERM), INVAL);
    EXPECT_ERR(vos_req_lookup(f->cont, &bad, &ret), INVAL);
    /* A restart forgets it (REQ-3). */
    id.seq = 7;
    EXPECT_OK(vos_req_refuse(f->cont, &id, -DER_NO_PERM));
    fix_close(f);
    if (!fix_open(f))
        return;
    EXPECT_OK(send(f, id, "d", "seven", 0, &ret));
    EXPECT(!ret.is_replay);
    EXPECT(value_is(f, "d", "seven"));
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_req, refused_requests_stay_refused, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(refusals);
}

/* Goal: refusals take bounded memory, and what is forgotten of them is uncertain, not allowed. */
static void
many_refusals(struct fix *f)
{
    struct vos_req_id id = {.slot = 0, .seq = 1};
    struct vos_pool_info before, after;
    struct vos_apply_ret ret;
    const uint32_t nr = VOS_CLIENTS_NR_MAX + 100;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &before));
    for (uint32_t i = 0; i < nr; i++) {
        id.client = client_id(i);
        id.hlc = 5000 + i;
        if (!EXPECT_OK(vos_req_refuse(f->cont, &id, -DER_NO_PERM)))
            return;
        EXPECT_LE(f->cont->pool->clients.nr, VOS_CLIENTS_NR_MAX + 1);
    }
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &after));
    EXPECT_EQ(after.meta_used, before.meta_used); /* nothing is stored */
    id.client = client_id(nr - 1);
    id.hlc = 5000 + nr - 1;
    EXPECT_ERR(send(f, id, "d", "v", 0, &ret), NO_PERM);
    id.client = client_id(0);
    id.hlc = 5000;
    EXPECT_ERR(send(f, id, "d", "v", 0, &ret), TX_UNCERTAIN);
    id.hlc = 5000 + nr;
    EXPECT_OK(send(f, id, "d", "v", 0, &ret));
    fix_close(f);
}

TEST_ON(vos_req, many_refusals, BACKEND_SIM)
{
    fix_body(many_refusals);
}

/* Goal: the first and last slot of every group, answers from none to the longest, all found again after a restart. */
static void
all_groups(struct fix *f)
{
    static uint8_t text[VOS_RESULT_BYTES_MAX + 1];
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("x")};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct vos_apply_ret ret;
    struct vos_pool_info info;

    if (!fix_format(f))
        return;
    memset(text, 'r', sizeof(text));
    args.req = (struct vos_req_id){.client = client_id(1), .seq = 1, .hlc = 10};
    for (uint32_t s = 0; s < VOS_SLOTS_NR_MAX; s++) {
        if (s % VOS_SLOT_GROUP_NR != 0 && s % VOS_SLOT_GROUP_NR != VOS_SLOT_GROUP_NR - 1)
            continue;
        args.req.slot = s;
        args.result = (struct iov){text, s % (VOS_RESULT_BYTES_MAX + 1)};
        EXPECT_OK(vos_apply(f->cont, &args, NULL));
    }
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_GE(info.meta_used, VOS_SLOT_GROUPS_NR_MAX * sizeof(struct vos_slots_df));
    /* A longest answer, then a shorter one in its place. */
    args.req.slot = 0;
    args.req.seq = 2;
    args.result.len = VOS_RESULT_BYTES_MAX;
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    args.req.seq = 3;
    args.result.len = 2;
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    args.req.seq = 4;
    args.result.len = VOS_RESULT_BYTES_MAX + 1;
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    args.result = (struct iov){NULL, 1};
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    fix_close(f);
    if (!fix_open(f))
        return;
    for (uint32_t s = 0; s < VOS_SLOTS_NR_MAX; s++) {
        args.req.slot = s;
        args.req.seq = s == 0 ? 3 : 1;
        if (s % VOS_SLOT_GROUP_NR != 0 && s % VOS_SLOT_GROUP_NR != VOS_SLOT_GROUP_NR - 1) {
            EXPECT_ERR(vos_req_lookup(f->cont, &args.req, &ret), NONEXIST);
            EXPECT(!ret.is_replay);
            continue;
        }
        EXPECT_OK(vos_req_lookup(f->cont, &args.req, &ret));
        EXPECT(ret.is_replay);
        EXPECT_EQ(ret.result_len, s == 0 ? 2 : s % (VOS_RESULT_BYTES_MAX + 1));
        EXPECT_MEM_EQ(ret.result, text, ret.result_len);
        for (uint32_t i = ret.result_len; i < VOS_RESULT_BYTES_MAX; i++) {
            EXPECT_EQ(ret.result[i], 0);
        }
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_req, every_group_of_slots, BACKEND_SIM)
{
    fix_body(all_groups);
}

/* Goal: a client with a request in flight is not forgotten, however old it is. */
static void
busy_client(struct fix *f)
{
    struct vos_req_id id = {.client = client_id(0), .slot = 1, .seq = 1, .hlc = 1};
    struct vos_req_id other = {.slot = 1, .seq = 1};
    struct vos_apply_ret ret, answer;
    struct vos_req held;

    if (!fix_format(f))
        return;
    EXPECT_OK(send(f, id, "d", "stored", 0, &ret));
    id.seq = 2;
    EXPECT_OK(vos_req_begin(f->tgt, f->cont->pool, &id, &held, &answer));
    EXPECT(!answer.is_replay);
    for (uint32_t i = 1; i < VOS_CLIENTS_NR_MAX + 5; i++) {
        other.client = client_id(i);
        other.hlc = 100 + i;
        if (!EXPECT_OK(send(f, other, "d", "v", 0, &ret)))
            return;
    }
    vos_req_end(f->cont->pool, &held, -DER_AGAIN);
    EXPECT_OK(send(f, id, "d", "second", 0, &ret));
    EXPECT(!ret.is_replay);
    /* The next oldest went in its place. */
    other.client = client_id(1);
    other.hlc = 101;
    EXPECT_ERR(send(f, other, "d", "v", 0, &ret), TX_UNCERTAIN);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_req, a_client_in_use_is_kept, BACKEND_SIM)
{
    fix_body(busy_client);
}
