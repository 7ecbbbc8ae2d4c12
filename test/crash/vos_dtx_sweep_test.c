/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Crash sweep of transactions that are decided later (DTX-1..5). Power is cut at each write and each sync of a script: transactions with few marks, and with more than one step of
 * settling (VOS_DTX_STEP_NR) in several parts, are prepared, committed, aborted, decided together; a checkpoint and plain updates come in between; a container with open
 * ones is destroyed and collected. Half of the worlds have memory for few pages of metadata only, and half of each of them aggregate all the time. In some runs the power goes again while the store is opened, when half settled ones are settled. Afterwards:
 *
 *   - what was acknowledged as prepared, committed, aborted is that; the operation in flight was done or not, each transaction of it as a whole;
 *   - readers see all of a committed one, nothing of an aborted one, and are told to ask about a prepared one, which sees itself;
 *   - vos_tgt_check() finds as many marks as references; what is left can be decided, and goes with its container.
 */
#include "ult/ult.h"
#include "vos/test/vos_test_fix.h"
#include "vos/vos_dtx.h"
#include "vos_sweep_world.h"

enum { TX_NR = 14, PARTS_NR = 3, KEYS_OF_PART = 60, MEM_PAGES_NR = 16 };

enum state { NONE, PREPARED, COMMITTED, ABORTED };

struct tx {
    enum state state, next; /* acknowledged; that of the operation in flight */
    uint32_t part_nr, next_part_nr;
};

struct sweep {
    struct world *w;
    struct tx txs[TX_NR];
    uint32_t plain_nr, next_plain_nr;
    struct vos_cont *agg_cont; /* NULL: nobody aggregates */
    bool agg_stop, agg_ended;
    uint64_t *agg_nr; /* passes that changed something */
    bool other_gone; /* the container of TX_NR - 1 and the one before it: its destruction was acknowledged */
};

static char big_bytes[9000];

static struct uuid
cont_of(const struct sweep *s, bool is_other)
{
    return (struct uuid){
        .b = {8, (uint8_t)s->w->run_nr, (uint8_t)(s->w->run_nr >> 8), (uint8_t)is_other}};
}

static struct vos_dtx_id
id_of(uint32_t tx)
{
    return (struct vos_dtx_id){.uuid = {.b = {0xd7, (uint8_t)(tx + 1)}}, .hlc = 1000 + tx};
}

static void
name_of(char *name, const char *what, uint32_t nr)
{
    snprintf(name, 16, "%s%u", what, nr);
}

/* ---- operations ----------------------------------------------------------------------------------------------------- */

/* A value that is replaced, one in the data role in a new object, a range, and a dkey that goes. */
static int
prepare_first(struct fix *f, uint32_t tx)
{
    struct vos_dtx_args dtx = {.id = id_of(tx), .blob = {"members", 7}};
    struct vos_apply_ret ret;
    char v[16], p[16];
    struct recx recx = {tx * 10, 10};
    struct vos_iod iods[2] = {{.akey = {v, 0}, .type = VOS_IOD_SINGLE, .size = 3, .data = {"new", 3}},
        {.akey = IOV("arr"),
            .type = VOS_IOD_ARRAY,
            .size = 1,
            .recx_nr = 1,
            .recxs = &recx,
            .data = {"xxxxxxxxxx", 10}}};
    struct vos_iod large = {.akey = IOV("v"),
        .type = VOS_IOD_SINGLE,
        .size = sizeof(big_bytes),
        .data = {big_bytes, sizeof(big_bytes)}};
    struct vos_mod mods[3] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("base"), .iod_nr = 2, .iods = iods},
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(100 + tx), .dkey = IOV("d"), .iod_nr = 1, .iods = &large},
        {.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(1), .dkey = {p, 0}}};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 3, .dtx = &dtx};

    name_of(v, "v", tx);
    name_of(p, "p", tx);
    iods[0].akey.len = strlen(v);
    mods[2].dkey.len = strlen(p);
    return vos_apply(f->cont, &args, &ret);
}

/* Many keys of an object of its own. */
static int
prepare_more(struct fix *f, uint32_t tx, uint32_t part)
{
    struct vos_dtx_args dtx = {.id = id_of(tx), .part = part};
    struct vos_iod iods[KEYS_OF_PART];
    char names[KEYS_OF_PART][16];
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = fix_oid(200 + tx),
        .dkey = IOV("d"),
        .iod_nr = KEYS_OF_PART,
        .iods = iods};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .dtx = &dtx};
    struct vos_apply_ret ret;

    for (uint32_t i = 0; i < KEYS_OF_PART; i++) {
        name_of(names[i], "k", part * KEYS_OF_PART + i);
        iods[i] = (struct vos_iod){
            .akey = IOV(names[i]), .type = VOS_IOD_SINGLE, .size = 3, .data = {"big", 3}};
    }
    return vos_apply(f->cont, &args, &ret);
}

static void
prepare(struct sweep *s, uint32_t tx, uint32_t part_nr)
{
    struct fix *f = &s->w->f;
    struct tx *t = &s->txs[tx];

    for (uint32_t i = 0; i < part_nr; i++) {
        t->next = PREPARED;
        t->next_part_nr = i + 1;
        EXPECT_OK(i == 0 ? prepare_first(f, tx) : prepare_more(f, tx, i));
        t->state = PREPARED;
        t->part_nr = i + 1;
    }
}

static void
decide(struct sweep *s, uint32_t from, uint32_t nr, bool is_commit)
{
    struct vos_dtx_id ids[TX_NR];

    for (uint32_t i = 0; i < nr; i++) {
        ids[i] = id_of(from + i);
        s->txs[from + i].next = is_commit ? COMMITTED : ABORTED;
    }
    EXPECT_OK(
        is_commit ? vos_dtx_commit(s->w->f.cont, ids, nr) : vos_dtx_abort(s->w->f.cont, ids, nr));
    for (uint32_t i = 0; i < nr; i++) {
        s->txs[from + i].state = s->txs[from + i].next;
    }
}

static void
plain(struct sweep *s)
{
    char name[16];

    name_of(name, "plain", s->plain_nr);
    s->next_plain_nr = s->plain_nr + 1;
    EXPECT_OK(fix_put(&s->w->f, 1, "base", name, "p", 1, 0));
    s->plain_nr++;
}

static void
base(struct fix *f)
{
    char name[16];

    EXPECT_OK(fix_write(f, 1, "base", "arr", 1000, 10, 1, "bbbbbbbbbb")); /* the akey is there */
    for (uint32_t i = 0; i < TX_NR; i++) {
        name_of(name, "v", i);
        EXPECT_OK(fix_put(f, 1, "base", name, "old", 3, 0));
        name_of(name, "p", i);
        EXPECT_OK(fix_put(f, 1, name, "w", "old", 3, 0));
    }
}

static void
setup(struct fix *f)
{
    struct sweep *s = f->arg;

    if (!s->w->is_formatted) {
        if (!fix_format(f))
            return;
        vos_cont_close(f->cont);
        f->cont = NULL;
        s->w->is_formatted = true;
    } else {
        ult_sleep(UINT64_C(2000000000)); /* after a kill the bound is ahead of the clock */
    }
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, cont_of(s, true)));
    if (!EXPECT_OK(vos_cont_open(f->tgt, f->pool, cont_of(s, true), &f->cont)))
        return;
    base(f);
    vos_cont_close(f->cont);
    f->cont = NULL;
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, cont_of(s, false)));
    if (EXPECT_OK(vos_cont_open(f->tgt, f->pool, cont_of(s, false), &f->cont)))
        base(f);
}

/* A container with one that is open, one that is decided: destroyed, and its space given back. */
static void
other(struct sweep *s)
{
    struct fix *f = &s->w->f;
    struct vos_cont *cont = f->cont;
    struct vos_dtx_id id = id_of(TX_NR - 1);

    EXPECT_OK(vos_cont_open(f->tgt, f->pool, cont_of(s, true), &f->cont));
    for (uint32_t i = 0; i < PARTS_NR; i++) {
        EXPECT_OK(i == 0 ? prepare_first(f, TX_NR - 2) : prepare_more(f, TX_NR - 2, i));
    }
    EXPECT_OK(prepare_first(f, TX_NR - 1));
    EXPECT_OK(vos_dtx_commit(f->cont, &id, 1));
    vos_cont_close(f->cont);
    f->cont = cont;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, cont_of(s, true)));
    s->other_gone = true;
    EXPECT_OK(vos_tgt_collect(f->tgt));
}

/* Passes, one after the other: they stay below the oldest that is open. */
static void
agg_main(void *arg)
{
    struct sweep *s = arg;

    while (!s->agg_stop && !test_failed()) {
        struct vos_agg_args args = {.lo = 1, .hi = VOS_EPOCH_MAX};
        struct vos_agg_stat stat;

        EXPECT_OK(vos_cont_aggregate(s->agg_cont, &args, &stat));
        *s->agg_nr += stat.ver_del_nr + stat.log_del_nr + stat.merge_in_nr > 0;
        ult_sleep(20000);
    }
    s->agg_ended = true;
}

static void
work(struct fix *f)
{
    struct sweep *s = f->arg;

    if (s->agg_nr != NULL) {
        s->agg_cont = f->cont;
        EXPECT_OK(ult_create(f->xs, ULT_IO, agg_main, s, NULL));
    }
    prepare(s, 0, 1);
    prepare(s, 1, 1);
    plain(s);
    decide(s, 0, 1, true);
    prepare(s, 2, PARTS_NR);
    prepare(s, 3, 1);
    decide(s, 1, 1, false);
    decide(s, 2, 1, true);
    EXPECT_OK(bio_checkpoint(f->bio));
    prepare(s, 4, PARTS_NR);
    plain(s);
    decide(s, 4, 1, false);
    prepare(s, 5, 1);
    prepare(s, 6, 1);
    prepare(s, 7, PARTS_NR);
    decide(s, 5, 3, true);
    prepare(s, 8, 1);
    prepare(s, 9, 1);
    decide(s, 8, 2, false);
    prepare(s, 10, PARTS_NR);
    prepare(s, 11, 1);
    other(s);
    decide(s, 10, 1, true);
    EXPECT_OK(bio_checkpoint(f->bio));
    s->agg_stop = true;
    while (s->agg_cont != NULL && !s->agg_ended) {
        ult_sleep(20000);
    }
}

/* ---- afterwards ----------------------------------------------------------------------------------------------------- */

/* A single value: "" nothing, "?" not decided; of a large one the first three bytes. */
static void
get(struct fix *f, uint64_t obj, const char *dkey, const char *akey, struct vos_dtx_view *view,
    char *text)
{
    struct vos_iod iod = {.akey = IOV(akey), .type = VOS_IOD_SINGLE};
    struct vos_fetch_args args = {.oid = fix_oid(obj),
        .epoch = VOS_EPOCH_MAX,
        .dkey = IOV(dkey),
        .iods = &iod,
        .iod_nr = 1,
        .dtx = view};
    struct vos_fetch *fetch;
    int rc = vos_fetch_begin(f->cont, &args, &fetch);

    strcpy(text, rc == -DER_INPROGRESS ? "?" : "");
    if (rc == -DER_INPROGRESS || !EXPECT_OK(rc))
        return;
    if (fetch->iods[0].size == sizeof(big_bytes)) {
        strcpy(text, "big");
    } else if (EXPECT(fetch->iods[0].size < 16)) {
        memcpy(text,
            fetch->iods[0].segs == NULL || fetch->iods[0].size == 0 ? "" : fetch->iods[0].segs[0].buf,
            fetch->iods[0].size);
        text[fetch->iods[0].size] = 0;
    }
    vos_fetch_free(f->cont, fetch);
}

static bool
count_fn(void *arg, const struct vos_entry *e)
{
    uint32_t *nr = arg;

    (void)e;
    ++*nr;
    return true;
}

/* What one way of looking shows of a transaction. */
static void
look(struct fix *f, uint32_t tx, uint32_t part_nr, struct vos_dtx_view *view, bool asks, bool is_new)
{
    uint32_t nr = 0;
    struct vos_list_args list = {.level = VOS_LEVEL_AKEY,
        .oid = fix_oid(200 + tx),
        .dkey = IOV("d"),
        .epoch = VOS_EPOCH_MAX,
        .fn = count_fn,
        .arg = &nr,
        .dtx = view};
    struct recx recx = {tx * 10, 10};
    struct vos_iod iod = {.akey = IOV("arr"), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    struct vos_fetch_args args = {.oid = fix_oid(1),
        .epoch = VOS_EPOCH_MAX,
        .flags = VOS_FETCH_SIZE_ONLY,
        .dkey = IOV("base"),
        .iods = &iod,
        .iod_nr = 1,
        .dtx = view};
    struct vos_anchor anchor = {.eof = false};
    struct vos_fetch *fetch;
    char name[16], text[16];
    int rc;

    name_of(name, "v", tx);
    get(f, 1, "base", name, view, text);
    EXPECT_STR_EQ(text, asks ? "?" : is_new ? "new" : "old");
    name_of(name, "p", tx);
    get(f, 1, name, "w", view, text);
    EXPECT_STR_EQ(text, asks ? "?" : is_new ? "" : "old");
    get(f, 100 + tx, "d", "v", view, text);
    EXPECT_STR_EQ(text, asks ? "?" : is_new ? "big" : "");
    rc = vos_fetch_begin(f->cont, &args, &fetch);
    EXPECT_EQ(rc, asks ? -DER_INPROGRESS : 0);
    if (rc == 0) {
        EXPECT_EQ(fetch->iods[0].size, is_new);
        vos_fetch_free(f->cont, fetch);
    }
    if (part_nr < 2)
        return;
    rc = vos_list(f->cont, &list, &anchor);
    EXPECT_EQ(rc, asks ? -DER_INPROGRESS : 0);
    if (rc == 0)
        EXPECT_EQ(nr, is_new ? (part_nr - 1) * KEYS_OF_PART : 0);
}

static void
tx_verify(struct fix *f, struct sweep *s, uint32_t tx)
{
    struct tx *t = &s->txs[tx];
    struct vos_dtx_view passing = {.is_passing = true}, own = {.own = id_of(tx)};
    struct vos_dtx_info info = {.state = VOS_DTX_PREPARED};
    struct vos_dtx_id id = id_of(tx);
    int rc = vos_dtx_lookup(f->cont, &id, &info);
    enum state found = rc != 0            ? NONE
        : info.state == VOS_DTX_COMMITTED ? COMMITTED
        : info.state == VOS_DTX_ABORTED   ? ABORTED
                                          : PREPARED;

    EXPECT(rc == 0 || rc == -DER_NONEXIST);
    EXPECT(found == t->state || found == t->next);
    t->state = found;
    if (found == PREPARED) {
        EXPECT(info.part_nr == t->part_nr || info.part_nr == t->next_part_nr);
        EXPECT(info.is_active && info.blob_len == 7);
        t->part_nr = info.part_nr;
    } else if (found != NONE)
        EXPECT(!info.is_active); /* settled when the container was opened */
    look(f, tx, t->part_nr, &passing, false, found == COMMITTED);
    look(f, tx, t->part_nr, NULL, found == PREPARED, found == COMMITTED);
    look(f, tx, t->part_nr, &own, false, found == COMMITTED || found == PREPARED);
}

static void
other_verify(struct fix *f, struct sweep *s)
{
    int rc = vos_cont_open(f->tgt, f->pool, cont_of(s, true), &f->cont);

    EXPECT(rc == 0 || rc == -DER_NONEXIST);
    EXPECT(rc != 0 || !s->other_gone);
    if (rc != 0)
        return;
    vos_cont_close(f->cont);
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, cont_of(s, true)));
}

static void
verify(struct fix *f)
{
    struct sweep *s = f->arg;
    char name[16], text[16];

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) || !EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)) ||
        !EXPECT_OK(vos_cont_open(f->tgt, f->pool, cont_of(s, false), &f->cont)))
        return;
    EXPECT_OK(vos_tgt_check(f->tgt));
    for (uint32_t i = 0; i < TX_NR; i++) {
        tx_verify(f, s, i);
    }
    for (uint32_t i = 0; i < s->next_plain_nr; i++) {
        name_of(name, "plain", i);
        get(f, 1, "base", name, NULL, text);
        EXPECT(strcmp(text, "p") == 0 || (i >= s->plain_nr && text[0] == 0));
    }
    /* What is left can be decided; some go with the container. */
    for (uint32_t i = 0; i < TX_NR; i++) {
        s->txs[i].next = s->txs[i].state;
        s->txs[i].next_part_nr = s->txs[i].part_nr;
        if (s->txs[i].state == PREPARED && i % 3 != 2)
            decide(s, i, 1, i % 3 == 0);
    }
    for (uint32_t i = 0; i < TX_NR; i++) {
        tx_verify(f, s, i);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    vos_cont_close(f->cont);
    f->cont = NULL;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, cont_of(s, false)));
    other_verify(f, s);
    f->cont = NULL;
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
}

/* Opening it, during which the power goes again. */
static void
open_only(struct fix *f)
{
    const struct sweep *s = f->arg;

    if (bio_open(f->xs, &f->cfg, &f->bio) == 0 && vos_tgt_open(f->bio, &f->tgt) == 0)
        CAIRN_IGNORE(vos_cont_open(f->tgt, f->pool, cont_of(s, false), &f->cont));
}

/* ---- runs ----------------------------------------------------------------------------------------------------------- */

/* False when the power was never cut because the script ended before. */
static bool
run_one(struct world *w, uint64_t cut, uint64_t cut2, uint64_t *agg_nr)
{
    struct sweep s = {.w = w, .agg_nr = agg_nr};
    struct fix *f = &w->f;
    bool lost;

    w->run_nr++; /* a container of its own */
    if (!w->is_up && !world_up(w, w->seed, 8 << 20))
        return false;
    f->arg = &s;
    if (!EXPECT(fix_run(f, setup)) || test_failed())
        return false;
    sim_host_power_loss_at(f->sim, FIX_HOST, cut);
    CAIRN_IGNORE(fix_run(f, work)); /* what happened is in s */
    lost = world_power_off(w);
    if (cut2 != 0 && EXPECT(fix_start(f))) {
        sim_host_power_loss_at(f->sim, FIX_HOST, cut2);
        CAIRN_IGNORE(fix_run(f, open_only)); /* likewise */
        world_power_off(w);
    }
    if (!EXPECT(fix_start(f)) || !EXPECT(fix_run(f, verify)) || test_failed()) {
        fprintf(stderr, "    cut at write %llu, again at %llu\n", (unsigned long long)cut,
            (unsigned long long)cut2);
    }
    return lost;
}

/* All cuts, in so many worlds. */
static void
sweep(uint32_t world_nr)
{
    memset(big_bytes, 'b', sizeof(big_bytes));
    for (uint32_t i = 0; i < world_nr && !test_failed(); i++) {
        struct world w = {
            .seed = test_seed() + i, .mem_bytes = i % 2 == 1 ? MEM_PAGES_NR * UMEM_PAGE_BYTES : 0};
        uint64_t cut = 1, agg_nr = 0;
        bool aggregates = i % 4 < 2;

        while (!test_failed() &&
            run_one(&w, cut, (cut + i) % 3 == 0 ? 1 + (cut + i) / 3 % 8 : 0,
                aggregates ? &agg_nr : NULL)) {
            cut++;
        }
        world_down(&w);
        EXPECT_GT(cut, 60);
        if (aggregates)
            EXPECT_GT(agg_nr, cut / 2);
    }
}

TEST_ON(vos_dtx_sweep, short_two_worlds, BACKEND_SIM)
{
    sweep(2);
}

TEST_ON(vos_dtx_sweep, every_twenty_worlds, BACKEND_SIM)
{
    sweep(20);
}
