/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the rules of time (README.md, "Reads and changes at given epochs") hold for every ordered pair of operations, every order of their epochs, in one transaction and in two, with clocks
 * that are certain and with those that are not, after a restart, and when the tables of stamps are crowded. Method: a table says of each operation what it covers by reading, what it
 * changes, and which facts it sees and changes. The expected answers follow from the table by the rules below, which know nothing of stamps, hashes or trees.
 *
 *   R1  A change at e below, at or above something that was read as a whole at e or later is refused; at e itself not by who read it in the same transaction.
 *   R2  Two requests do not write the same value at one epoch.
 *   R3  A punch at e is refused when something below it was changed at e or later.
 *   R4  An operation at e that would see, test or write over something that was changed in (e, bound] begins anew.
 *   R5  Nothing else is refused; what is at a later epoch than all that was done never is.
 *   R6  After a restart no change is made at an epoch that may have been read at; R4 holds as before.
 *
 *   R7  All of this holds as well when what was done first is prepared and not decided.
 *
 * Changes are refused in more cases where entities share a stamp, and R4 where keys above something are concerned (may_restart()).
 */
#include "base/codec.h"
#include "vos_test_fix.h"

enum { D = 1, E = 2, N = 3 }; /* dkeys; N is not there */
enum { A = 1, B = 2, ARR = 3 }; /* akeys; B is not there */

/* Facts. */
enum {
    VA = 1 << 0, /* values */
    VB = 1 << 1,
    VE = 1 << 2,
    VN = 1 << 3,
    LO = 1 << 4, /* records 0 to 9, 10 to 19 of the array */
    HI = 1 << 5,
    XA = 1 << 6, /* existence */
    XB = 1 << 7,
    XARR = 1 << 8,
    XD = 1 << 9,
    XE = 1 << 10,
    XN = 1 << 11,
    XO = 1 << 12,
    XOTHER = 1 << 13,
    VOTHER = 1 << 14,
};

/* A place: 0 where it ends. Level 0: the container. */
struct path {
    bool is_set, in_obj;
    uint32_t obj; /* 0: the object, 1: another one */
    uint32_t dkey, akey;
};
#define NOWHERE \
    { \
        .is_set = false \
    }
#define CONT \
    { \
        .is_set = true \
    }
#define OBJ \
    { \
        true, true, 0, 0, 0 \
    }
#define DKEY(d_) \
    { \
        true, true, 0, (d_), 0 \
    }
#define AKEY(d_, a_) \
    { \
        true, true, 0, (d_), (a_) \
    }
#define OTHER_OBJ \
    { \
        true, true, 1, D, A \
    }

enum kind { FETCH, LIST, LOOK, QUERY, UPDATE, PUNCH };

static const struct op {
    const char *name;
    enum kind kind;
    struct path covers; /* read as a whole */
    struct path target; /* changed as a whole; also tried to */
    uint32_t sees, changes;
    uint32_t writes; /* values written, of the changes */
    uint32_t cond;
    bool fails; /* its condition */
    uint32_t size, lo, nr; /* of an update, a fetch of a range */
    enum vos_level level;
    uint32_t query;
} ops[] = {
    {"fetch_a", FETCH, AKEY(D, A), NOWHERE, .sees = VA},
    {"fetch_missing", FETCH, AKEY(D, B), NOWHERE, .sees = VB},
    {"fetch_lo", FETCH, AKEY(D, ARR), NOWHERE, .sees = LO, .lo = 0, .nr = 10},
    {"fetch_hi", FETCH, AKEY(D, ARR), NOWHERE, .sees = HI, .lo = 10, .nr = 10},
    {"fetch_if_dkey", FETCH, DKEY(D), AKEY(D, A), .sees = VA | XD, .cond = VOS_COND_DKEY_FETCH},
    {"fetch_if_akey", FETCH, AKEY(D, A), NOWHERE, .sees = VA | XA, .cond = VOS_COND_AKEY_FETCH},
    {"list_objs", LIST, CONT, NOWHERE, .sees = XO | XOTHER, .level = VOS_LEVEL_OBJ},
    {"look_at_objs", LOOK, CONT, NOWHERE, .sees = XO | XOTHER},
    {"list_dkeys", LIST, OBJ, NOWHERE, .sees = XD | XE | XN, .level = VOS_LEVEL_DKEY},
    {"list_akeys", LIST, DKEY(D), NOWHERE, .sees = XA | XB | XARR, .level = VOS_LEVEL_AKEY},
    {"list_extents", LIST, DKEY(D), NOWHERE, .sees = LO | HI, .level = VOS_LEVEL_RECX},
    {"list_value", LIST, DKEY(D), NOWHERE, .sees = VA, .level = VOS_LEVEL_SINGLE},
    {"query_dkey", QUERY, OBJ, NOWHERE, .sees = XD | XE | XN, .query = VOS_GET_MAX | VOS_GET_DKEY},
    {"query_akey", QUERY, OBJ, NOWHERE, .sees = XA | XB | XARR, .query = VOS_GET_MIN | VOS_GET_AKEY},
    {"query_recx", QUERY, OBJ, NOWHERE, .sees = LO | HI, .query = VOS_GET_MAX | VOS_GET_RECX},
    {"query_dkey_recx", QUERY, OBJ, NOWHERE, .sees = XD | XE | XN | XARR | LO | HI,
        .query = VOS_GET_MIN | VOS_GET_DKEY | VOS_GET_RECX},
    {"query_dkey_akey", QUERY, OBJ, NOWHERE, .sees = XD | XE | XN | XA | XB | XARR,
        .query = VOS_GET_MAX | VOS_GET_DKEY | VOS_GET_AKEY},
    {"query_all", QUERY, OBJ, NOWHERE, .sees = XD | XE | XN | XA | XB | XARR | LO | HI,
        .query = VOS_GET_MAX | VOS_GET_DKEY | VOS_GET_AKEY | VOS_GET_RECX},
    {"query_epoch", QUERY, OBJ, NOWHERE, .sees = ~(uint32_t)(XOTHER | VOTHER), .query = 0},
    {"update_a", UPDATE, NOWHERE, AKEY(D, A), VA, VA, VA, .size = 1},
    {"update_new_akey", UPDATE, NOWHERE, AKEY(D, B), VB, VB | XB, VB, .size = 1},
    {"update_e", UPDATE, NOWHERE, AKEY(E, A), VE, VE, VE, .size = 1},
    {"update_new_dkey", UPDATE, NOWHERE, AKEY(N, A), VN, VN | XN, VN, .size = 1},
    {"update_other_object", UPDATE, NOWHERE, OTHER_OBJ, VOTHER, VOTHER | XOTHER, VOTHER, .size = 1},
    {"write_lo", UPDATE, NOWHERE, AKEY(D, ARR), LO, LO, LO, .size = 1, .lo = 0, .nr = 10},
    {"write_hi", UPDATE, NOWHERE, AKEY(D, ARR), HI, HI, HI, .size = 1, .lo = 10, .nr = 10},
    {"write_all", UPDATE, NOWHERE, AKEY(D, ARR), LO | HI, LO | HI, LO | HI, .size = 1, .nr = 20},
    {"punch_lo", UPDATE, AKEY(D, ARR), AKEY(D, ARR), LO, LO, LO, .lo = 0, .nr = 10},
    {"punch_value", UPDATE, AKEY(D, A), AKEY(D, A), VA, VA, VA, .size = 0},
    {"insert_akey", UPDATE, AKEY(D, B), AKEY(D, B), VB | XB, VB | XB, VB, VOS_COND_AKEY_INSERT,
        .size = 1},
    {"insert_dkey", UPDATE, DKEY(N), AKEY(N, A), VN | XN, VN | XN, VN, VOS_COND_DKEY_INSERT,
        .size = 1},
    {"update_if_akey", UPDATE, AKEY(D, A), AKEY(D, A), VA | XA, VA, VA, VOS_COND_AKEY_UPDATE,
        .size = 1},
    {"update_if_dkey", UPDATE, DKEY(D), AKEY(D, A), VA | XD, VA, VA, VOS_COND_DKEY_UPDATE, .size = 1},
    {"insert_fails", UPDATE, DKEY(D), AKEY(D, A), VA | XD, 0, 0, VOS_COND_DKEY_INSERT, true,
        .size = 1},
    {"update_fails", UPDATE, DKEY(N), AKEY(N, A), VN | XN, 0, 0, VOS_COND_DKEY_UPDATE, true,
        .size = 1},
    /* It looks whether the dkey goes with it. */
    {"punch_akey", PUNCH, DKEY(D), AKEY(D, A), VA | XA, VA | XA, .size = 0},
    {"punch_dkey", PUNCH, DKEY(D), DKEY(D), VA | LO | HI | XA | XARR | XD,
        VA | LO | HI | XA | XARR | XD, .size = 0},
    {"punch_obj", PUNCH, OBJ, OBJ, VA | VE | LO | HI | XA | XARR | XD | XE | XO,
        VA | VE | LO | HI | XA | XARR | XD | XE | XO, .size = 0},
    {"punch_if_akey", PUNCH, DKEY(D), AKEY(D, A), VA | XA, VA | XA, .cond = VOS_COND_PUNCH},
};
enum { OPS_NR = ARRAY_SIZE(ops), UPDATE_A = 19 };

/* ---- the rules ------------------------------------------------------------------------------------------------------ */

enum order { BEFORE, SAME, AFTER }; /* the second one, to the first */
enum sure {
    CERTAIN,
    BOUND_BELOW,
    BOUND_ABOVE
}; /* the second one's bound, to the epoch of the first */

struct setting {
    enum order order;
    enum sure sure;
    bool one_tx; /* both in one transaction */
};

static bool
is_change(const struct op *x)
{
    return x->kind == UPDATE || x->kind == PUNCH;
}

/* One is the other, or above it. */
static bool
on_one_path(const struct path *a, const struct path *b)
{
    if (!a->is_set || !b->is_set)
        return false;
    if (!a->in_obj || !b->in_obj)
        return true;
    if (a->obj != b->obj)
        return false;
    if (a->dkey == 0 || b->dkey == 0)
        return true;
    if (a->dkey != b->dkey)
        return false;
    return a->akey == 0 || b->akey == 0 || a->akey == b->akey;
}

static bool
must_restart(const struct op *x, const struct op *y, struct setting s)
{
    bool r1, r2, r3, r4;

    if (s.order == AFTER)
        return false; /* R5 */
    r4 = s.sure == BOUND_ABOVE && s.order == BEFORE && (x->changes & y->sees) != 0;
    if (!is_change(y))
        return r4;
    r1 = on_one_path(&x->covers, &y->target) && !(s.one_tx && s.order == SAME && !is_change(x));
    r2 = s.order == SAME && (x->writes & y->writes) != 0;
    /* What fails at last was tried to be written. */
    r2 = r2 || (s.order == SAME && y->fails && (x->writes & y->sees) != 0);
    r3 = y->kind == PUNCH && is_change(x) && x->changes != 0 && on_one_path(&x->target, &y->target);
    return r1 || r2 || r3 || r4;
}

/* R4 where what is above was changed, though not what is asked for. */
static bool
may_restart(const struct op *x, const struct op *y, struct setting s)
{
    return s.sure == BOUND_ABOVE && s.order == BEFORE && x->changes != 0 &&
        (on_one_path(&x->target, &y->covers) || on_one_path(&x->target, &y->target));
}

/* ---- doing them ----------------------------------------------------------------------------------------------------- */

struct matrix {
    uint64_t obj_nr;
    uint64_t restart_nr, pass_nr, extra_nr, shared_nr;
    bool is_crowded;
};

struct run {
    struct fix *f;
    uint64_t obj; /* and the next one */
};

static struct vos_oid
oid_of(const struct run *r, uint32_t other)
{
    return fix_oid_type(4, r->obj + other);
}

static struct iov
key_of(uint64_t *mem, uint32_t key)
{
    le64_put(mem, key);
    return (struct iov){mem, 8};
}

struct built {
    uint64_t dkey_mem, akey_mem;
    struct recx recx;
    struct vos_iod iod;
    struct vos_mod mod;
};

static void
build(const struct run *r, const struct op *x, struct built *b)
{
    static const char data[20] = "01234567890123456789";
    const struct path *p = x->target.is_set ? &x->target : &x->covers;

    b->recx = (struct recx){x->lo, x->nr};
    b->iod = (struct vos_iod){.akey = key_of(&b->akey_mem, p->akey),
        .type = x->nr > 0 ? VOS_IOD_ARRAY : VOS_IOD_SINGLE,
        .size = x->size,
        .recx_nr = x->nr > 0,
        .recxs = &b->recx,
        .data = {(void *)(uintptr_t)data, x->size * MAX(x->nr, 1u)}};
    b->mod = (struct vos_mod){.op = VOS_MOD_UPDATE,
        .oid = oid_of(r, p->obj),
        .cond = x->cond,
        .dkey = key_of(&b->dkey_mem, p->dkey),
        .iod_nr = 1,
        .iods = &b->iod};
    if (x->kind == PUNCH) {
        b->mod.op = p->akey != 0 ? VOS_MOD_PUNCH_AKEYS
            : p->dkey != 0       ? VOS_MOD_PUNCH_DKEY
                                 : VOS_MOD_PUNCH_OBJ;
    }
}

static bool
any_entry(void *arg, const struct vos_entry *entry)
{
    (void)arg;
    (void)entry;
    return true;
}

static int
list_do(const struct run *r, const struct op *x, uint64_t epoch, uint64_t bound, uint64_t tx)
{
    uint64_t dkey, akey;
    struct vos_list_args args = {.level = x->level,
        .oid = oid_of(r, 0),
        .dkey = key_of(&dkey, D),
        .akey = key_of(&akey, x->level == VOS_LEVEL_RECX ? ARR : A),
        .epoch = epoch,
        .epoch_bound = bound,
        .tx = tx,
        .fn = any_entry};
    struct vos_anchor anchor = {.eof = false};

    return vos_list(r->f->cont, &args, &anchor);
}

static int
look_do(const struct run *r, uint64_t epoch, uint64_t bound, uint64_t tx)
{
    struct vos_oid oids[2] = {oid_of(r, 0), oid_of(r, 1)};
    const struct vos_obj_look_args args = {
        .oids = oids, .nr = 2, .epoch = epoch, .epoch_bound = bound, .tx = tx};
    uint8_t there[2];

    return vos_obj_look(r->f->cont, &args, there);
}

static int
query_do(const struct run *r, const struct op *x, uint64_t epoch, uint64_t bound, uint64_t tx)
{
    uint64_t dmem, amem;
    const struct vos_query_args args = {.oid = oid_of(r, 0),
        .epoch = epoch,
        .epoch_bound = bound,
        .tx = tx,
        .flags = x->query,
        .dkey = key_of(&dmem, D),
        .akey = key_of(&amem, ARR)};
    struct vos_query_ret ret;

    return vos_query_key(r->f->cont, &args, &ret);
}

static int
fetch_do(const struct run *r, const struct op *x, uint64_t epoch, uint64_t bound, uint64_t tx)
{
    struct vos_fetch *fetch;
    struct built b;
    int rc;

    build(r, x, &b);
    b.iod.size = 0;
    rc = vos_fetch_begin(r->f->cont,
        &(struct vos_fetch_args){.oid = b.mod.oid,
            .epoch = epoch,
            .epoch_bound = bound,
            .tx = tx,
            .flags = x->cond | VOS_FETCH_SIZE_ONLY,
            .dkey = b.mod.dkey,
            .iods = &b.iod,
            .iod_nr = 1},
        &fetch);
    if (rc == 0)
        vos_fetch_free(r->f->cont, fetch);
    return rc;
}

/* A change; dtx NULL: at once. */
static int
change_do(const struct run *r, const struct op *x, uint64_t epoch, uint64_t bound, uint64_t tx,
    const struct vos_dtx_args *dtx)
{
    struct vos_apply_args args = {
        .mod_nr = 1, .epoch = epoch, .epoch_bound = bound, .tx = tx, .dtx = dtx};
    struct built b;

    build(r, x, &b);
    args.mods = &b.mod;
    return vos_apply(r->f->cont, &args, NULL);
}

static int
op_do(const struct run *r, const struct op *x, uint64_t epoch, uint64_t bound, uint64_t tx)
{
    switch (x->kind) {
    case FETCH:
        return fetch_do(r, x, epoch, bound, tx);
    case LIST:
        return list_do(r, x, epoch, bound, tx);
    case LOOK:
        return look_do(r, epoch, bound, tx);
    case QUERY:
        return query_do(r, x, epoch, bound, tx);
    default:
        return change_do(r, x, epoch, bound, tx, NULL);
    }
}

/* The object as it is before: d has a and arr, e has a. */
static void
obj_make(const struct run *r, uint64_t epoch)
{
    static const char data[20];
    uint64_t keys[4];
    struct recx recx = {0, 20};
    struct vos_iod iods[2] = {{.akey = key_of(&keys[0], A),
                                  .type = VOS_IOD_SINGLE,
                                  .size = 1,
                                  .data = {(void *)(uintptr_t)data, 1}},
        {.akey = key_of(&keys[1], ARR),
            .type = VOS_IOD_ARRAY,
            .size = 1,
            .recx_nr = 1,
            .recxs = &recx,
            .data = {(void *)(uintptr_t)data, 20}}};
    struct vos_mod mods[2] = {{.op = VOS_MOD_UPDATE,
                                  .oid = oid_of(r, 0),
                                  .dkey = key_of(&keys[2], D),
                                  .iod_nr = 2,
                                  .iods = iods},
        {.op = VOS_MOD_UPDATE,
            .oid = oid_of(r, 0),
            .dkey = key_of(&keys[3], E),
            .iod_nr = 1,
            .iods = iods}};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 2, .epoch = epoch};

    EXPECT_OK(vos_apply(r->f->cont, &args, NULL));
}

/* Success, or the failure of a condition, which another operation may have changed. */
static bool
is_done(const struct op *x, int rc)
{
    bool is_cond = x->cond != 0 || x->kind == QUERY;

    return rc == 0 || (is_cond && (rc == -DER_EXIST || rc == -DER_NONEXIST));
}

/* ---- pairs ---------------------------------------------------------------------------------------------------------- */

struct pair {
    struct run r;
    const struct op *x, *y;
    struct setting s;
    uint64_t ex, ey, bound;
    const struct vos_dtx_args *dtx; /* not NULL: the first one is prepared */
};

static void
pair_first(struct fix *f, struct matrix *m, struct pair *p)
{
    int rc;

    uint64_t e[6] = {0};

    p->r = (struct run){f, m->obj_nr};
    m->obj_nr += 2;
    for (uint32_t i = 0; i < ARRAY_SIZE(e); i++) {
        EXPECT_OK(vos_epoch_next(f->tgt, &e[i]));
    }
    p->ex = e[3];
    p->ey = p->s.order == BEFORE ? e[1] : p->s.order == SAME ? e[3] : e[4];
    p->bound = p->s.sure == CERTAIN ? 0 : p->s.sure == BOUND_BELOW ? e[2] : e[5];
    obj_make(&p->r, e[0]);
    rc = p->dtx == NULL ? op_do(&p->r, p->x, p->ex, 0, 77)
                        : change_do(&p->r, p->x, p->ex, 0, 77, p->dtx);
    EXPECT(is_done(p->x, rc));
}

/* Refused where it need not: two keys of this object share a stamp, if the same pair passes with others. */
static bool
is_shared(struct matrix *m, const struct pair *p, int rc)
{
    struct pair other = *p;

    if (rc != -DER_TX_RESTART || !is_change(p->y))
        return false;
    m->shared_nr++;
    for (int i = 0; i < 3; i++) {
        pair_first(p->r.f, m, &other);
        if (is_done(p->y, op_do(&other.r, p->y, other.ey, other.bound, other.s.one_tx ? 77 : 78)) &&
            i > 0)
            return true;
    }
    return false;
}

static void
pair_second(struct matrix *m, const struct pair *p)
{
    int rc = op_do(&p->r, p->y, p->ey, p->bound, p->s.one_tx ? 77 : 78);
    bool restarts = rc == -DER_TX_RESTART, must = must_restart(p->x, p->y, p->s);
    bool may = m->is_crowded ? is_change(p->y) || may_restart(p->x, p->y, p->s)
                             : may_restart(p->x, p->y, p->s);
    bool ok = restarts ? must || may : !must && is_done(p->y, rc);

    m->restart_nr += restarts;
    m->pass_nr += !restarts;
    m->extra_nr += restarts && !must;
    if (!ok && !EXPECT(is_shared(m, p, rc))) {
        fprintf(stderr, "    %s, then %s, order %d, bound %d, one transaction %d: %s\n", p->x->name,
            p->y->name, p->s.order, p->s.sure, p->s.one_tx, rc == 0 ? "done" : err_name(rc));
    }
}

static void
matrix_run(struct fix *f, void (*fn)(struct fix *f, struct matrix *m, struct pair *p),
    struct matrix *m, bool orders, bool sures)
{
    for (uint32_t i = 0; i < OPS_NR * OPS_NR; i++) {
        struct pair p = {.x = &ops[i / OPS_NR], .y = &ops[i % OPS_NR]};

        for (p.s.order = BEFORE; p.s.order <= (orders ? AFTER : BEFORE); p.s.order++) {
            for (p.s.sure = sures ? CERTAIN : BOUND_ABOVE; p.s.sure <= BOUND_ABOVE; p.s.sure++) {
                for (int t = 0; t < 2; t++) {
                    p.s.one_tx = t;
                    fn(f, m, &p);
                }
            }
        }
    }
}

static void
pair_both(struct fix *f, struct matrix *m, struct pair *p)
{
    pair_first(f, m, p);
    pair_second(m, p);
}

static void
every_pair_body(struct fix *f)
{
    struct matrix m = {.obj_nr = 1};

    if (!fix_format(f))
        return;
    matrix_run(f, pair_both, &m, true, true);
    /* 39 by 39 operations, 3 orders, 3 bounds, 2 kinds of transactions. */
    EXPECT_EQ(m.restart_nr + m.pass_nr, OPS_NR * OPS_NR * 18);
    EXPECT_GT(m.restart_nr, 1000);
    EXPECT_GT(m.pass_nr, 10000);
    EXPECT_LT(m.shared_nr, 25); /* 8192 stamps of each level */
    fprintf(stderr, "    %llu pairs: %llu begin anew, %llu of them need not\n",
        (unsigned long long)(m.restart_nr + m.pass_nr), (unsigned long long)m.restart_nr,
        (unsigned long long)m.extra_nr);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* What is prepared stands in the way as if it were done, and no less: its outcome may be known elsewhere. */
static void
pair_prepared(struct fix *f, struct matrix *m, struct pair *p)
{
    struct vos_dtx_args dtx = {.id = {.uuid = {.b = {0xd7}}, .hlc = 1 + m->obj_nr}};

    /* Newest epochs of objects tell of what was decided. */
    if (p->x->changes == 0 || (p->y->kind == QUERY && p->y->query == 0))
        return;
    le64_put(&dtx.id.uuid.b[1], m->obj_nr);
    p->dtx = &dtx;
    pair_both(f, m, p);
    p->dtx = NULL;
    if (m->obj_nr % 4 == 1) {
        EXPECT_OK(vos_dtx_commit(f->cont, &dtx.id, 1));
    } else {
        EXPECT_OK(vos_dtx_abort(f->cont, &dtx.id, 1));
    }
}

static void
prepared_body(struct fix *f)
{
    struct matrix m = {.obj_nr = 1};

    if (!fix_format(f))
        return;
    matrix_run(f, pair_prepared, &m, false, true);
    EXPECT_GT(m.restart_nr, 1000);
    EXPECT_GT(m.pass_nr, 1000);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* Two changes in one request never refuse each other. */
static void
one_request_body(struct fix *f)
{
    struct matrix m = {.obj_nr = 1};

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < OPS_NR * OPS_NR; i++) {
        const struct op *x = &ops[i / OPS_NR], *y = &ops[i % OPS_NR];
        struct run r = {f, m.obj_nr};
        struct vos_mod mods[2];
        struct vos_apply_args args = {.mods = mods, .mod_nr = 2};
        struct built bx, by;
        uint64_t base = 0;
        int rc;

        if (!is_change(x) || !is_change(y))
            continue;
        m.obj_nr += 2;
        EXPECT_OK(vos_epoch_next(f->tgt, &base));
        EXPECT_OK(vos_epoch_next(f->tgt, &args.epoch));
        obj_make(&r, base);
        build(&r, x, &bx);
        build(&r, y, &by);
        mods[0] = bx.mod;
        mods[1] = by.mod;
        rc = vos_apply(f->cont, &args, NULL);
        if (!EXPECT(is_done(x, rc) || is_done(y, rc)))
            fprintf(stderr, "    %s and %s: %s\n", x->name, y->name, err_name(rc));
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* ---- many at once: crowded stamps, a restart ------------------------------------------------------------------------ */

struct batch {
    struct matrix m;
    struct pair *pairs;
    uint32_t nr;
};

static void
batch_add(struct fix *f, struct matrix *m, struct pair *p)
{
    struct batch *b = (struct batch *)m;

    pair_first(f, m, p);
    b->pairs[b->nr++] = *p;
}

static void
batch_first(struct fix *f, struct batch *b)
{
    b->m.obj_nr = 1;
    b->pairs = calloc(OPS_NR * OPS_NR * 6, sizeof(*b->pairs));
    matrix_run(f, batch_add, &b->m, true, false);
}

static void
crowded_body(struct fix *f)
{
    struct batch b = {.m.is_crowded = true};
    uint64_t low = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &low));
    batch_first(f, &b);
    /* More entities than there are stamps, read before everything: nothing is forgotten for them. */
    for (uint32_t i = 0; i < 3 * VOS_TS_NR; i++) {
        struct run r = {f, UINT64_C(1000000) + i};

        EXPECT_OK(op_do(&r, &ops[i % 2 == 0 ? 0 : 7], low, 0, 0));
    }
    for (uint32_t i = 0; i < b.nr; i++) {
        pair_second(&b.m, &b.pairs[i]);
    }
    EXPECT_GT(b.m.pass_nr, b.m.restart_nr / 10);
    free(b.pairs);
    fix_close(f);
}

static void
restart_body(struct fix *f)
{
    struct batch b = {.nr = 0};
    uint64_t fresh = 0;

    if (!fix_format(f))
        return;
    batch_first(f, &b);
    fix_close(f);
    if (!fix_open(f))
        return;
    for (uint32_t i = 0; i < b.nr && !test_failed(); i++) {
        const struct pair *p = &b.pairs[i];
        struct setting s = p->s;
        int rc = op_do(&p->r, p->y, p->ey, p->bound, s.one_tx ? 77 : 78);

        if (is_change(p->y)) {
            EXPECT_EQ(rc, -DER_TX_RESTART); /* R6 */
        } else if (must_restart(p->x, p->y, s)) {
            EXPECT_EQ(rc, -DER_TX_RESTART);
        } else {
            EXPECT(is_done(p->y, rc) || (rc == -DER_TX_RESTART && may_restart(p->x, p->y, s)));
        }
        if (i % 10 != 0)
            continue;
        EXPECT_OK(vos_epoch_next(f->tgt, &fresh)); /* and anew, later */
        rc = op_do(&p->r, p->y, fresh, fresh + 1, 78);
        EXPECT(is_done(p->y, rc));
    }
    free(b.pairs);
    fix_close(f);
}

/* What two read at one epoch neither of them changes at it. */
static void
two_readers_body(struct fix *f)
{
    const struct op *fetch_a = &ops[0], *update_a = &ops[UPDATE_A], *list_akeys = &ops[8];
    uint64_t e[4] = {0};

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_OK(vos_epoch_next(f->tgt, &e[i]));
    }
    for (uint64_t i = 0; i < 4; i++) {
        struct run r = {f, 1 + 2 * i};

        obj_make(&r, e[0]);
        EXPECT_OK(op_do(&r, i == 3 ? list_akeys : fetch_a, e[1], 0, 77));
        if (i > 0)
            EXPECT_OK(op_do(&r, fetch_a, e[1], 0, i == 2 ? 0 : 78));
        EXPECT_EQ(op_do(&r, update_a, e[1], 0, 78), -DER_TX_RESTART);
        EXPECT_EQ(op_do(&r, update_a, e[1], 0, 77), i == 0 ? 0 : -DER_TX_RESTART);
        EXPECT_EQ(op_do(&r, update_a, e[1], 0, 0), -DER_TX_RESTART);
        EXPECT_OK(op_do(&r, update_a, e[2], 0, 0));
    }
    fix_close(f);
}

/* An operation that is uncertain begins anew at higher epochs with the same bound, and comes to an end. */
static void
comes_to_an_end_body(struct fix *f)
{
    struct run r = {f, 1};
    uint64_t e = 0, bound, at;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &e));
    obj_make(&r, e);
    bound = e + 1000;
    for (uint32_t i = 1; i <= 5; i++) {
        EXPECT_OK(op_do(&r, &ops[UPDATE_A], e + i * 100, 0, 0));
    }
    EXPECT_STR_EQ(ops[UPDATE_A].name, "update_a");
    for (at = e + 50; op_do(&r, &ops[0], at, bound, 9) == -DER_TX_RESTART; at += 100) {
        EXPECT_LE(at, e + 450);
    }
    EXPECT_EQ(at, e + 550);
    EXPECT_OK(op_do(&r, &ops[0], bound, bound, 9));
    EXPECT_OK(op_do(&r, &ops[0], e + 50, e + 99, 9));
    EXPECT_ERR(op_do(&r, &ops[0], e + 50, e + 100, 9), TX_RESTART);
    EXPECT_OK(op_do(&r, &ops[0], VOS_EPOCH_MAX, bound, 9)); /* now is certain */
    fix_close(f);
}

/* A query looks for changes of everything that may have been its answer, in steps. */
static void
many_keys_body(struct fix *f)
{
    const uint32_t flags = VOS_GET_MAX | VOS_GET_DKEY | VOS_GET_AKEY | VOS_GET_RECX;
    enum { KEYS_NR = 3 * VOS_STEPS_NR / 2 };
    struct op put = {.kind = UPDATE, .target = AKEY(1, 1), .size = 1, .nr = 1};
    struct op query = {.kind = QUERY, .covers = OBJ, .query = flags};
    struct run r = {f, 1};
    uint64_t e[6] = {0};

    if (!fix_format(f))
        return;
    for (uint32_t i = 1; i <= KEYS_NR; i++) {
        put.target.dkey = i;
        EXPECT_OK(op_do(&r, &put, 0, 0, 0));
        put.target.dkey = KEYS_NR;
        put.target.akey = i + 1;
        EXPECT_OK(op_do(&r, &put, 0, 0, 0));
        put.target.akey = 1;
    }
    for (uint32_t i = 0; i < 6; i++) {
        EXPECT_OK(vos_epoch_next(f->tgt, &e[i]));
    }
    EXPECT_OK(op_do(&r, &query, e[0], e[5], 5));
    for (uint32_t i = 0; i < 4; i++) { /* the smallest and the largest */
        put.target = (struct path)AKEY(i < 2 ? 1 : KEYS_NR, i < 3 ? 1 : KEYS_NR);
        put.lo = i % 2;
        EXPECT_OK(op_do(&r, &put, e[5 - i], 0, 0));
        EXPECT_ERR(op_do(&r, &query, e[0], e[5 - i], 5), TX_RESTART);
        EXPECT_OK(op_do(&r, &query, e[0], e[5 - i] - 1, 5));
    }
    fix_close(f);
}

static void
run_body(void (*fn)(struct fix *f))
{
    struct fix f;

    fix_prepare(&f);
    f.cfg.meta_bytes = 256 << 20;
    f.cfg.wal_bytes = 64 << 20;
    f.meta_quota = 200 << 20;
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, fn));
    fix_down(&f);
}

#define MATRIX_TEST(name_) \
    TEST_ON(vos_matrix, name_, BACKEND_SIM) \
    { \
        run_body(name_##_body); \
    }

MATRIX_TEST(every_pair)
MATRIX_TEST(prepared)
MATRIX_TEST(one_request)
MATRIX_TEST(crowded)
MATRIX_TEST(restart)
MATRIX_TEST(two_readers)
MATRIX_TEST(comes_to_an_end)
MATRIX_TEST(many_keys)
