/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Workload A: a few keys of a few objects of several types and classes, under updates, punches, fetches, listings and queries with and
 * without conditions, through the public API.
 *
 * A thing is a dkey: what one request does to it happens at one moment. Its state in the model: whether it is there, and for each of
 * its akeys (two single values, one array cut into cells) whether it is there and who wrote it. Requests about several dkeys (listings,
 * queries, punches of an object) are one operation for each dkey, with the same interval. Values tell who wrote them and where they
 * belong, in every byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/util.h"
#include "proto/proto_obj.h"
#include "sim/simt_sys.h"

enum {
    OBJS_NR = 5,
    KEYS_NR = 6,
    SINGLES_NR = 2,
    AKEYS_NR = SINGLES_NR + 1,
    ARRAY = SINGLES_NR, /* index of the array's akey */
    CELLS_NR = 6,
    REC_BYTES = 8,
    RECS_NR = 2673,
    SINGLE_ROOM = 300000,
    ARRAY_OFF = 2 * SINGLE_ROOM, /* in the buffer of a worker */
    VALUE_BYTES_MIN = 24,
};
CAIRN_STATIC_ASSERT(ARRAY_OFF + RECS_NR * REC_BYTES <= SIMT_BUF_BYTES, "buffer");
CAIRN_STATIC_ASSERT((int)KEYS_NR <= (int)SIMT_OPS_MAX, "one operation a key");

/* Cells of the array: where each begins. Small ones live with the metadata, large ones in the data role. */
static const uint32_t cell_at[CELLS_NR + 1] = {0, 1, 6, 606, 670, 673, RECS_NR};

enum kind { K_UPDATE, K_PUNCH_DKEY, K_PUNCH_AKEYS, K_FETCH, K_SEE_DKEY, K_SEE_AKEY, K_SEE_CELLS };

struct oper {
    struct simt_op base; /* first */
    uint8_t kind;
    uint8_t akeys; /* mask */
    uint8_t holes; /* mask: updates with size 0 */
    uint8_t cell_lo, cell_hi; /* both included */
    uint8_t cond; /* VOS_COND_* of the request, and by akey */
    uint8_t acond[AKEYS_NR];
    bool seen; /* K_SEE_DKEY */
    bool is_vague; /* K_SEE_DKEY: nothing is known of this one */
    uint8_t seen_mask; /* K_SEE_AKEY, K_SEE_CELLS: of those in `akeys`, of cells */
    uint32_t id; /* what an update writes */
    uint32_t len[SINGLES_NR];
    uint32_t piece; /* the array in ranges of so many records; 0: in one */
    int rc;
    uint32_t got[SINGLES_NR + CELLS_NR];
    char who[40];
};

struct state {
    uint8_t dkey;
    uint8_t akeys; /* mask */
    uint8_t pad[2];
    uint32_t val[SINGLES_NR + CELLS_NR]; /* 0: none */
};
CAIRN_STATIC_ASSERT(sizeof(struct state) <= SIMT_LIN_STATE_BYTES_MAX, "state");

struct obj_def {
    enum daos_otype_t type;
    daos_oclass_id_t cls;
    bool is_kv;
};
static const struct obj_def defs[OBJS_NR] = {
    {DAOS_OT_MULTI_HASHED, OC_S1, false},
    {DAOS_OT_MULTI_HASHED, OC_SX, false},
    {DAOS_OT_DKEY_UINT64, OC_SX, false},
    {DAOS_OT_MULTI_LEXICAL, OC_S2, false},
    {DAOS_OT_KV_HASHED, OC_SX, true},
};
enum { OBJ_UINT = 2 };

struct work {
    struct simt *t;
    uint32_t next_id;
    struct list_head things[OBJS_NR][KEYS_NR]; /* of struct simt_op */
};

/* What a worker has open. */
struct ctx {
    struct simt_worker *w;
    struct simt *t;
    struct work *work;
    daos_handle_t coh, ohs[OBJS_NR];
};

/* ---- the model ------------------------------------------------------------------------------------------------------------------ */

static int
cond_rc(bool is_there, uint32_t cond, uint32_t insert, uint32_t update)
{
    if ((cond & insert) != 0 && is_there)
        return -DER_EXIST;
    return (cond & update) != 0 && !is_there ? -DER_NONEXIST : 0;
}

static void
akey_set(struct state *s, const struct oper *o, uint32_t a)
{
    uint32_t id = (o->holes >> a & 1) != 0 ? 0 : o->id;

    s->akeys |= (uint8_t)(1u << a);
    if (a != ARRAY) {
        s->val[a] = id;
        return;
    }
    for (uint32_t c = o->cell_lo; c <= o->cell_hi; c++) {
        s->val[SINGLES_NR + c] = id;
    }
}

static void
akey_clear(struct state *s, uint32_t a)
{
    s->akeys &= (uint8_t) ~(1u << a);
    if (a != ARRAY) {
        s->val[a] = 0;
    } else {
        memset(&s->val[SINGLES_NR], 0, CELLS_NR * sizeof(s->val[0]));
    }
}

static int
model_update(struct state *s, const struct oper *o)
{
    int rc = cond_rc(s->dkey, o->cond, DAOS_COND_DKEY_INSERT, DAOS_COND_DKEY_UPDATE);

    for (uint32_t a = 0; rc == 0 && a < AKEYS_NR; a++) {
        uint32_t cond = (o->cond & DAOS_COND_PER_AKEY) != 0 ? o->acond[a] : o->cond;

        if ((o->akeys >> a & 1) != 0)
            rc = cond_rc(s->akeys >> a & 1, cond, DAOS_COND_AKEY_INSERT, DAOS_COND_AKEY_UPDATE);
    }
    if (rc != 0)
        return rc;
    for (uint32_t a = 0; a < AKEYS_NR; a++) {
        bool is_hole = (o->holes >> a & 1) != 0;

        if ((o->akeys >> a & 1) == 0 || (is_hole && (s->akeys >> a & 1) == 0))
            continue; /* nothing there to punch */
        akey_set(s, o, a);
        s->dkey = 1;
    }
    return 0;
}

static int
model_punch_akeys(struct state *s, const struct oper *o)
{
    bool any = (s->akeys & o->akeys) != 0;

    if ((o->cond & DAOS_COND_PUNCH) != 0 && (s->akeys & o->akeys) != o->akeys)
        return -DER_NONEXIST;
    for (uint32_t a = 0; a < AKEYS_NR; a++) {
        if ((o->akeys >> a & 1) != 0)
            akey_clear(s, a);
    }
    if (any && s->akeys == 0)
        s->dkey = 0; /* a dkey that lost its last akey goes, too */
    return 0;
}

static int
model_fetch(const struct state *s, const struct oper *o, bool *ret_same)
{
    if ((o->cond & DAOS_COND_DKEY_FETCH) != 0 && !s->dkey)
        return -DER_NONEXIST;
    if ((o->cond & DAOS_COND_AKEY_FETCH) != 0 && (s->akeys & o->akeys) != o->akeys)
        return -DER_NONEXIST;
    for (uint32_t a = 0; a < SINGLES_NR; a++) {
        if ((o->akeys >> a & 1) != 0 && o->got[a] != s->val[a])
            *ret_same = false;
    }
    for (uint32_t c = o->cell_lo; (o->akeys >> ARRAY & 1) != 0 && c <= o->cell_hi; c++) {
        if (o->got[SINGLES_NR + c] != s->val[SINGLES_NR + c])
            *ret_same = false;
    }
    return 0;
}

static bool
model_cells_seen(const struct state *s, const struct oper *o)
{
    for (uint32_t c = 0; c < CELLS_NR; c++) {
        if ((s->val[SINGLES_NR + c] != 0) != (o->seen_mask >> c & 1))
            return false;
    }
    return true;
}

static bool
model_step(void *arg, const struct simt_lin_op *lop, void *state)
{
    const struct oper *o = lop->op;
    struct state *s = state;
    bool same = true;
    int rc = 0;

    (void)arg;
    switch (o->kind) {
    case K_UPDATE:
        rc = model_update(s, o);
        break;
    case K_PUNCH_DKEY:
        if ((o->cond & DAOS_COND_PUNCH) != 0 && !s->dkey)
            rc = -DER_NONEXIST;
        if (rc == 0)
            memset(s, 0, sizeof(*s));
        break;
    case K_PUNCH_AKEYS:
        rc = model_punch_akeys(s, o);
        break;
    case K_FETCH:
        rc = model_fetch(s, o, &same);
        return rc == o->rc && (rc != 0 || same);
    case K_SEE_DKEY:
        return o->is_vague || o->seen == s->dkey;
    case K_SEE_AKEY:
        return (s->akeys & o->akeys) == o->seen_mask;
    default:
        return model_cells_seen(s, o);
    }
    return lop->is_answered ? rc == o->rc : rc == 0;
}

static void
oper_print(const struct simt_lin_op *lop, char *buf, size_t len)
{
    static const char *const kinds[] = {
        "update", "punch dkey", "punch akeys", "fetch", "list dkey", "list akey", "list cells"};
    const struct oper *o = lop->op;

    snprintf(buf, len,
        "[%.6f, %.6f%s %s %s akeys %x holes %x cells %u-%u cond %x/%x,%x,%x rc %d id %u seen %u/%x "
        "got %u %u | %u %u "
        "%u %u %u %u",
        (double)lop->begin.ns / 1e9, lop->end.ns == SIMT_LIN_NEVER ? 0.0 : (double)lop->end.ns / 1e9,
        lop->is_answered ? "]" : "?)", o->who, kinds[o->kind], o->akeys, o->holes, o->cell_lo,
        o->cell_hi, o->cond, o->acond[0], o->acond[1], o->acond[2], o->rc, o->id, o->seen,
        o->seen_mask, o->got[0], o->got[1], o->got[2], o->got[3], o->got[4], o->got[5], o->got[6],
        o->got[7]);
}

static void
state_print(const void *state, char *buf, size_t len)
{
    const struct state *s = state;

    snprintf(buf, len, "dkey %u akeys %x values %u %u | %u %u %u %u %u %u", s->dkey, s->akeys,
        s->val[0], s->val[1], s->val[2], s->val[3], s->val[4], s->val[5], s->val[6], s->val[7]);
}

/* ---- values ---------------------------------------------------------------------------------------------------------------------- */

struct value_head {
    uint32_t magic, id, len, place, crc;
    uint32_t restless; /* changes while it is being written (MS-4); anything is right */
};
#define VALUE_MAGIC 0x5133a11eu

static uint64_t
mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x7fb5d329728ea185);
    x ^= x >> 27;
    x *= UINT64_C(0x81dadef4bc2dd44d);
    return x ^ x >> 33;
}

static uint32_t
place_of(uint32_t obj, uint32_t key, uint32_t akey)
{
    return (obj * KEYS_NR + key) * AKEYS_NR + akey;
}

static void
value_fill(uint8_t *buf, uint32_t len, uint32_t id, uint32_t place)
{
    struct value_head head = {VALUE_MAGIC, id, len, place, 0, 0};

    for (uint32_t off = sizeof(head); off < len; off += 8) {
        uint64_t word = mix((uint64_t)id << 32 | off);

        memcpy(buf + off, &word, MIN(8, len - off));
    }
    memcpy(buf, &head, sizeof(head));
    head.crc = crc32c(0, buf, len);
    memcpy(buf, &head, sizeof(head));
}

/* Who wrote it; 0 and a report: nobody can have. */
static uint32_t
value_id(struct simt *t, uint8_t *buf, uint64_t len, uint32_t place)
{
    struct value_head head;
    uint32_t crc;

    if (len >= sizeof(head)) {
        memcpy(&head, buf, sizeof(head));
        crc = head.crc;
        head.crc = 0;
        head.restless = 0;
        memcpy(buf, &head, sizeof(head));
        if (head.magic == VALUE_MAGIC && head.len == len && head.place == place &&
            crc == crc32c(0, buf, len))
            return head.id;
    }
    simt_fail(t, "foreign or damaged value at place %u, %u bytes", place, (uint32_t)len);
    return 0;
}

static uint64_t
record(uint32_t id, uint32_t idx, uint32_t place)
{
    return (uint64_t)id << 32 | (uint32_t)mix((uint64_t)id << 40 ^ (uint64_t)idx << 16 ^ place);
}

static void
records_fill(uint8_t *buf, uint32_t lo, uint32_t hi, uint32_t id, uint32_t place)
{
    for (uint32_t i = lo; i < hi; i++) {
        uint64_t rec = record(id, i, place);

        memcpy(buf + (size_t)(i - lo) * REC_BYTES, &rec, REC_BYTES);
    }
}

/* The writer of one cell; records from `first` on are in buf. */
static uint32_t
cell_id(struct simt *t, const uint8_t *buf, uint32_t first, uint32_t cell, uint32_t place)
{
    uint64_t rec, head;

    memcpy(&head, buf + (size_t)(cell_at[cell] - first) * REC_BYTES, REC_BYTES);
    for (uint32_t i = cell_at[cell]; i < cell_at[cell + 1]; i++) {
        memcpy(&rec, buf + (size_t)(i - first) * REC_BYTES, REC_BYTES);
        if (head == 0 ? rec == 0 : rec == record((uint32_t)(head >> 32), i, place))
            continue;
        simt_fail(t, "torn or foreign cell %u at place %u: record %u is %#llx, first %#llx", cell,
            place, i, (unsigned long long)rec, (unsigned long long)head);
        return 0;
    }
    return (uint32_t)(head >> 32);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

struct key {
    char name[16];
    uint64_t num;
    d_iov_t iov;
};

static void
key_make(uint32_t obj, uint32_t k, struct key *key)
{
    snprintf(key->name, sizeof(key->name), "key%u", k);
    key->num = (uint64_t)(k + 1) * 1000;
    if (obj == OBJ_UINT) {
        d_iov_set(&key->iov, &key->num, sizeof(key->num));
    } else {
        d_iov_set(&key->iov, key->name, strlen(key->name));
    }
}

static void
akey_make(uint32_t a, struct key *key)
{
    static const char *const akeys[AKEYS_NR] = {"s0", "s1", "arr"};

    snprintf(key->name, sizeof(key->name), "%s", akeys[a]);
    d_iov_set(&key->iov, key->name, strlen(key->name));
}

static struct oper *
oper_new(struct ctx *c, enum kind kind)
{
    struct oper *o = simt_alloc(sizeof(*o));

    o->kind = (uint8_t)kind;
    o->base.is_read = kind >= K_FETCH;
    snprintf(o->who, sizeof(o->who), "%s.%u", c->w->proc->name, c->w->idx);
    return o;
}

/* Everything of one update or fetch; too large for a ULT's stack. */
struct io {
    struct key dkey, akeys[AKEYS_NR];
    daos_iod_t iods[AKEYS_NR];
    daos_recx_t recxs[RECS_NR]; /* of the array */
    uint64_t recs; /* in all of them */
    d_iov_t iovs[AKEYS_NR];
    d_sg_list_t sgls[AKEYS_NR];
    uint32_t akey_of[AKEYS_NR];
    uint32_t nr;
};

static uint8_t *
akey_buf(struct ctx *c, uint32_t a)
{
    return c->w->buf + (a == ARRAY ? ARRAY_OFF : a * SINGLE_ROOM);
}

/* The ranges of the array: one, or many small ones that lie side by side. */
static void
recxs_build(struct io *io, daos_iod_t *iod, const struct oper *o)
{
    uint64_t at = cell_at[o->cell_lo], end = cell_at[o->cell_hi + 1];
    uint64_t piece = o->piece != 0 ? MAX(o->piece, DIV_UP(end - at, PROTO_RECXS_NR_MAX)) : end - at;

    io->recs = end - at;
    iod->iod_recxs = io->recxs;
    for (iod->iod_nr = 0; at < end; iod->iod_nr++) {
        uint64_t nr = MIN(piece, end - at);

        io->recxs[iod->iod_nr] = (daos_recx_t){at, nr};
        at += nr;
    }
}

static void
io_build(struct ctx *c, struct io *io, uint32_t obj, uint32_t k, const struct oper *o)
{
    key_make(obj, k, &io->dkey);
    io->nr = 0;
    for (uint32_t a = 0; a < AKEYS_NR; a++) {
        daos_iod_t *iod = &io->iods[io->nr];

        if ((o->akeys >> a & 1) == 0)
            continue;
        akey_make(a, &io->akeys[a]);
        memset(iod, 0, sizeof(*iod));
        iod->iod_name = io->akeys[a].iov;
        iod->iod_type = a == ARRAY ? DAOS_IOD_ARRAY : DAOS_IOD_SINGLE;
        iod->iod_nr = 1;
        iod->iod_flags = o->acond[a];
        if (a == ARRAY)
            recxs_build(io, iod, o);
        io->sgls[io->nr] = (d_sg_list_t){1, 0, &io->iovs[io->nr]};
        d_iov_set(&io->iovs[io->nr], akey_buf(c, a), 0);
        io->akey_of[io->nr++] = a;
    }
}

static uint32_t
len_draw(struct simt_worker *w)
{
    switch (simt_pick(w, w->proc->t->cfg.is_big ? 3 : 10)) {
    case 0:
        return (uint32_t)(VALUE_BYTES_MIN + simt_pick(w, SINGLE_ROOM - VALUE_BYTES_MIN));
    case 1:
    case 2:
        return (uint32_t)(4097 + simt_pick(w, 16000));
    case 3:
    case 4:
        return (uint32_t)(VALUE_BYTES_MIN + simt_pick(w, 4096 - VALUE_BYTES_MIN + 1));
    default:
        return (uint32_t)(VALUE_BYTES_MIN + simt_pick(w, 40));
    }
}

static void
cells_draw(struct simt_worker *w, struct oper *o)
{
    o->cell_lo = (uint8_t)simt_pick(w, CELLS_NR);
    o->cell_hi = (uint8_t)(o->cell_lo + simt_pick(w, CELLS_NR - o->cell_lo));
}

static void
piece_draw(struct simt_worker *w, struct oper *o)
{
    if (w->proc->t->cfg.wide && simt_pick(w, 2) == 0)
        o->piece = (uint32_t)(1 + simt_pick(w, 3));
}

static void
conds_draw(struct simt_worker *w, struct oper *o)
{
    static const uint8_t dkey_conds[] = {0, 0, DAOS_COND_DKEY_INSERT, DAOS_COND_DKEY_UPDATE};
    static const uint8_t akey_conds[] = {0, 0, DAOS_COND_AKEY_INSERT, DAOS_COND_AKEY_UPDATE};

    o->cond = dkey_conds[simt_pick(w, 4)];
    if (simt_pick(w, 3) != 0)
        return;
    if (simt_pick(w, 2) == 0) {
        o->cond |= akey_conds[simt_pick(w, 4)];
        return;
    }
    o->cond |= DAOS_COND_PER_AKEY;
    for (uint32_t a = 0; a < AKEYS_NR; a++) {
        if ((o->akeys >> a & 1) != 0)
            o->acond[a] = akey_conds[simt_pick(w, 4)];
    }
}

/* What came of a request: everything that it asked for ends, a code that cannot be is reported. */
static enum simt_outcome
settle(struct ctx *c, const char *what, int rc)
{
    enum simt_outcome outcome = simt_outcome(rc);

    if (simt_is_damage(c->t, rc) || (rc == -DER_TIMEDOUT && simt_may_starve(c->t)))
        outcome = SIMT_UNKNOWN;

    if (outcome == SIMT_WRONG)
        simt_fail(c->t, "%s.%u: %s: %s", c->w->proc->name, c->w->idx, what, err_name(rc));
    simt_answered(c->w, outcome);
    return outcome;
}

/* ---- an application that changes its buffer too early (MS-4) ---- */

struct restless {
    struct simt_worker *w;
    uint8_t *at;
    bool is_over;
};

static void
restless_main(void *arg)
{
    struct restless *r = arg;

    while (!r->is_over) {
        ult_sleep(simt_exp(&r->w->rng, SIMT_MS / 2));
        if (!r->is_over)
            (*r->at)++;
    }
}

/* Change a byte of the first large value, that no check looks at, from now on. NULL: not this time. */
static struct ult *
restless_start(struct ctx *c, struct restless *r, const struct oper *o)
{
    struct ult *ult;
    uint32_t a = 0;

    while (a < SINGLES_NR && ((o->akeys & ~o->holes) >> a & 1) == 0) {
        a++;
    }
    if (!c->t->cfg.restless || a == SINGLES_NR || simt_pick(c->w, 3) != 0)
        return NULL;
    *r = (struct restless){.w = c->w, .at = akey_buf(c, a) + offsetof(struct value_head, restless)};
    if (ult_create(xstream_self(), ULT_IO, restless_main, r, &ult) != 0)
        return NULL;
    return ult;
}

static void
do_update(struct ctx *c, uint32_t obj, uint32_t k)
{
    struct restless restless;
    struct ult *ult;
    struct oper *o = oper_new(c, K_UPDATE);
    struct io *io = simt_alloc(sizeof(*io));

    o->akeys = defs[obj].is_kv ? 1 : (uint8_t)(1 + simt_pick(c->w, (1 << AKEYS_NR) - 1));
    for (uint32_t a = 0; a < AKEYS_NR && !defs[obj].is_kv; a++) {
        if ((o->akeys >> a & 1) != 0 && simt_pick(c->w, 12) == 0)
            o->holes |= (uint8_t)(1u << a);
    }
    cells_draw(c->w, o);
    piece_draw(c->w, o);
    conds_draw(c->w, o);
    if (defs[obj].is_kv)
        o->cond &= DAOS_COND_DKEY_INSERT | DAOS_COND_DKEY_UPDATE;
    o->id = ++c->work->next_id;
    io_build(c, io, obj, k, o);
    for (uint32_t i = 0; i < io->nr; i++) {
        uint32_t a = io->akey_of[i], place = place_of(obj, k, a);

        if ((o->holes >> a & 1) != 0)
            continue;
        if (a == ARRAY) {
            io->iods[i].iod_size = REC_BYTES;
            records_fill(akey_buf(c, a), cell_at[o->cell_lo], cell_at[o->cell_hi + 1], o->id, place);
            d_iov_set(&io->iovs[i], akey_buf(c, a), io->recs * REC_BYTES);
        } else {
            o->len[a] = len_draw(c->w);
            io->iods[i].iod_size = o->len[a];
            value_fill(akey_buf(c, a), o->len[a], o->id, place);
            d_iov_set(&io->iovs[i], akey_buf(c, a), o->len[a]);
        }
    }
    simt_doing(c->w, "update");
    ult = restless_start(c, &restless, o);
    simt_ask(c->w, &o->base, &c->work->things[obj][k]);
    if (defs[obj].is_kv) {
        o->rc = daos_kv_put(
            c->ohs[obj], DAOS_TX_NONE, o->cond, io->dkey.name, o->len[0], akey_buf(c, 0), NULL);
    } else {
        o->rc = daos_obj_update(
            c->ohs[obj], DAOS_TX_NONE, o->cond, &io->dkey.iov, io->nr, io->iods, io->sgls, NULL);
    }
    if (ult != NULL) {
        restless.is_over = true;
        if (o->rc == -DER_CSUM) /* it never held still: no attempt had an effect */
            o->rc = -DER_TX_UNCERTAIN;
    }
    settle(c, "update", o->rc);
    if (ult != NULL)
        ult_join(ult);
    free(io);
}

static void
fetch_take(struct ctx *c, struct io *io, struct oper *o, uint32_t obj, uint32_t k)
{
    for (uint32_t i = 0; i < io->nr; i++) {
        uint32_t a = io->akey_of[i], place = place_of(obj, k, a);
        uint64_t len = io->iods[i].iod_size;

        if (a != ARRAY) {
            o->got[a] = len == 0 ? 0 : value_id(c->t, akey_buf(c, a), len, place);
            continue;
        }
        for (uint32_t cell = o->cell_lo; cell <= o->cell_hi; cell++) {
            o->got[SINGLES_NR + cell] =
                cell_id(c->t, akey_buf(c, a), cell_at[o->cell_lo], cell, place);
        }
    }
}

static void
fetch(struct ctx *c, uint32_t obj, uint32_t k, struct oper *o)
{
    struct io *io = simt_alloc(sizeof(*io));
    daos_size_t size = SINGLE_ROOM;

    io_build(c, io, obj, k, o);
    for (uint32_t i = 0; i < io->nr; i++) {
        uint32_t a = io->akey_of[i];
        uint64_t room = a == ARRAY ? io->recs * REC_BYTES : SINGLE_ROOM;

        memset(akey_buf(c, a), 0, room);
        io->iods[i].iod_size = a == ARRAY ? REC_BYTES : DAOS_REC_ANY;
        io->iovs[i] = (d_iov_t){akey_buf(c, a), room, 0};
    }
    simt_doing(c->w, "fetch");
    simt_ask(c->w, &o->base, &c->work->things[obj][k]);
    if (defs[obj].is_kv) {
        o->rc = daos_kv_get(
            c->ohs[obj], DAOS_TX_NONE, o->cond, io->dkey.name, &size, akey_buf(c, 0), NULL);
        io->iods[0].iod_size = size;
    } else {
        o->rc = daos_obj_fetch(c->ohs[obj], DAOS_TX_NONE, o->cond, &io->dkey.iov, io->nr, io->iods,
            io->sgls, NULL, NULL);
    }
    if (o->rc == 0)
        fetch_take(c, io, o, obj, k);
    settle(c, "fetch", o->rc);
    free(io);
}

static void
do_fetch(struct ctx *c, uint32_t obj, uint32_t k)
{
    static const uint8_t conds[] = {0, 0, 0, DAOS_COND_DKEY_FETCH, DAOS_COND_AKEY_FETCH};
    struct oper *o = oper_new(c, K_FETCH);

    o->akeys = defs[obj].is_kv ? 1 : (uint8_t)(1 + simt_pick(c->w, (1 << AKEYS_NR) - 1));
    o->cond = conds[simt_pick(c->w, defs[obj].is_kv ? 4 : 5)];
    cells_draw(c->w, o);
    piece_draw(c->w, o);
    fetch(c, obj, k, o);
}

static void
do_punch(struct ctx *c, uint32_t obj, uint32_t k)
{
    struct oper *o = oper_new(c, simt_pick(c->w, 2) == 0 ? K_PUNCH_DKEY : K_PUNCH_AKEYS);
    struct key dkey, akeys[AKEYS_NR];
    daos_key_t names[AKEYS_NR];
    uint32_t nr = 0;

    if (defs[obj].is_kv)
        o->kind = K_PUNCH_DKEY;
    if (simt_pick(c->w, 2) == 0)
        o->cond = DAOS_COND_PUNCH;
    key_make(obj, k, &dkey);
    simt_doing(c->w, "punch");
    simt_ask(c->w, &o->base, &c->work->things[obj][k]);
    if (defs[obj].is_kv) {
        o->rc = daos_kv_remove(c->ohs[obj], DAOS_TX_NONE, o->cond, dkey.name, NULL);
    } else if (o->kind == K_PUNCH_DKEY) {
        o->rc = daos_obj_punch_dkeys(c->ohs[obj], DAOS_TX_NONE, o->cond, 1, &dkey.iov, NULL);
    } else {
        o->akeys = (uint8_t)(1 + simt_pick(c->w, (1 << AKEYS_NR) - 1));
        for (uint32_t a = 0; a < AKEYS_NR; a++) {
            if ((o->akeys >> a & 1) == 0)
                continue;
            akey_make(a, &akeys[a]);
            names[nr++] = akeys[a].iov;
        }
        o->rc = daos_obj_punch_akeys(c->ohs[obj], DAOS_TX_NONE, o->cond, &dkey.iov, nr, names, NULL);
    }
    settle(c, "punch", o->rc);
}

static void
do_punch_obj(struct ctx *c, uint32_t obj)
{
    int rc;

    for (uint32_t k = 0; k < KEYS_NR; k++) {
        struct oper *o = oper_new(c, K_PUNCH_DKEY);

        simt_ask(c->w, &o->base, &c->work->things[obj][k]);
    }
    simt_doing(c->w, "punch object");
    rc = defs[obj].is_kv ? daos_kv_destroy(c->ohs[obj], DAOS_TX_NONE, NULL)
                         : daos_obj_punch(c->ohs[obj], DAOS_TX_NONE, 0, NULL);
    settle(c, "punch of an object", rc);
}

/* ---- listings and queries -------------------------------------------------------------------------------------------------------- */

/* Index of a listed key, or -1. */
static int
key_index(uint32_t obj, const char *text, uint64_t len)
{
    uint64_t num;

    if (obj == OBJ_UINT) {
        memcpy(&num, text, sizeof(num));
        return len == 8 && num % 1000 == 0 && num >= 1000 && num <= 1000 * KEYS_NR
            ? (int)(num / 1000) - 1
            : -1;
    }
    if (len != 4 || memcmp(text, "key", 3) != 0 || text[3] < '0' || text[3] >= '0' + KEYS_NR)
        return -1;
    return text[3] - '0';
}

static int
akey_index(const char *text, uint64_t len)
{
    if (len == 3 && memcmp(text, "arr", 3) == 0)
        return ARRAY;
    return len == 2 && text[0] == 's' && (text[1] == '0' || text[1] == '1') ? text[1] - '0' : -1;
}

struct listing {
    uint32_t obj;
    struct key *dkey; /* NULL: dkeys are listed */
    uint32_t seen; /* mask */
    daos_key_desc_t kds[8];
    char text[128];
};

static int
page_take(struct ctx *c, struct listing *l, uint32_t nr)
{
    uint64_t off = 0;

    for (uint32_t i = 0; i < nr; i++) {
        uint64_t len = l->kds[i].kd_key_len;
        int at = l->dkey == NULL ? key_index(l->obj, l->text + off, len)
                                 : akey_index(l->text + off, len);

        if (at < 0 || (l->seen >> at & 1) != 0) {
            simt_fail(c->t, "%s: listing of object %u gives %s", c->w->proc->name, l->obj,
                at < 0 ? "a key that nobody wrote" : "a key twice");
            return -DER_MISC;
        }
        l->seen |= 1u << at;
        off += len;
    }
    c->t->report->list_nr += nr;
    return 0;
}

static int
list(struct ctx *c, struct listing *l)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    int rc = 0;

    for (int pages = 0; rc == 0 && !daos_anchor_is_eof(&anchor); pages++) {
        uint32_t nr = (uint32_t)(1 + simt_pick(c->w, 8));
        d_iov_t iov = {l->text, 16 + simt_pick(c->w, sizeof(l->text) - 16), 0};
        d_sg_list_t sgl = {1, 0, &iov};
        daos_handle_t oh = c->ohs[l->obj];

        if (l->dkey != NULL) {
            rc = daos_obj_list_akey(
                oh, DAOS_TX_NONE, &l->dkey->iov, &nr, l->kds, &sgl, &anchor, NULL);
        } else if (defs[l->obj].is_kv) {
            rc = daos_kv_list(oh, DAOS_TX_NONE, &nr, l->kds, &sgl, &anchor, NULL);
        } else {
            rc = daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, l->kds, &sgl, &anchor, NULL);
        }
        if (rc == 0)
            rc = page_take(c, l, nr);
        if (rc == 0 && pages > 200) {
            simt_fail(c->t, "a listing does not end");
            rc = -DER_MISC;
        }
    }
    return rc;
}

static void
do_list_dkeys(struct ctx *c, uint32_t obj)
{
    struct listing *l = simt_alloc(sizeof(*l));
    int rc;

    l->obj = obj;
    for (uint32_t k = 0; k < KEYS_NR; k++) {
        struct oper *o = oper_new(c, K_SEE_DKEY);

        simt_ask(c->w, &o->base, &c->work->things[obj][k]);
    }
    simt_doing(c->w, "list dkeys");
    rc = list(c, l);
    for (uint32_t k = 0; k < KEYS_NR; k++) {
        ((struct oper *)c->w->ops[k])->seen = (l->seen >> k & 1) != 0;
    }
    settle(c, "list dkeys", rc);
    free(l);
}

static void
do_list_akeys(struct ctx *c, uint32_t obj, uint32_t k)
{
    struct listing *l = simt_alloc(sizeof(*l));
    struct key *dkey = simt_alloc(sizeof(*dkey));
    int rc;

    key_make(obj, k, dkey);
    l->obj = obj;
    l->dkey = dkey;
    for (uint32_t a = 0; a < AKEYS_NR; a++) {
        struct oper *o = oper_new(c, K_SEE_AKEY);

        o->akeys = (uint8_t)(1u << a);
        simt_ask(c->w, &o->base, &c->work->things[obj][k]);
    }
    simt_doing(c->w, "list akeys");
    rc = list(c, l);
    for (uint32_t a = 0; a < AKEYS_NR; a++) {
        ((struct oper *)c->w->ops[a])->seen_mask = (uint8_t)(l->seen & 1u << a);
    }
    settle(c, "list akeys", rc);
    free(dkey);
    free(l);
}

/* Which cells a list of ranges covers; a cell is listed whole or not at all. */
static uint8_t
cells_of(struct ctx *c, const uint8_t *covered)
{
    uint8_t mask = 0;

    for (uint32_t cell = 0; cell < CELLS_NR; cell++) {
        uint32_t nr = 0;

        for (uint32_t i = cell_at[cell]; i < cell_at[cell + 1]; i++) {
            nr += covered[i];
        }
        if (nr == cell_at[cell + 1] - cell_at[cell]) {
            mask |= (uint8_t)(1u << cell);
        } else if (nr != 0) {
            simt_fail(c->t, "listing of ranges: %u records of cell %u", nr, cell);
        }
    }
    return mask;
}

static void
do_list_cells(struct ctx *c, uint32_t obj, uint32_t k)
{
    struct oper *o = oper_new(c, K_SEE_CELLS);
    uint8_t *covered = simt_alloc(RECS_NR);
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_recx_t recxs[2 * CELLS_NR];
    bool rising = simt_pick(c->w, 2) == 0;
    struct key dkey, akey;
    int rc = 0;

    key_make(obj, k, &dkey);
    akey_make(ARRAY, &akey);
    simt_doing(c->w, "list ranges");
    simt_ask(c->w, &o->base, &c->work->things[obj][k]);
    for (int pages = 0; rc == 0 && !daos_anchor_is_eof(&anchor) && pages < 2; pages++) {
        uint32_t nr = ARRAY_SIZE(recxs);
        daos_size_t size = 0;

        /* More than one page is more than one moment: there are never that many ranges. */
        rc = daos_obj_list_recx(c->ohs[obj], DAOS_TX_NONE, &dkey.iov, &akey.iov, &size, &nr, recxs,
            NULL, &anchor, rising, NULL);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            for (uint64_t r = recxs[i].rx_idx; r < recxs[i].rx_idx + recxs[i].rx_nr; r++) {
                if (r >= RECS_NR || covered[r]++ != 0)
                    rc = -DER_MISC;
            }
        }
    }
    if (rc == 0)
        o->seen_mask = cells_of(c, covered);
    settle(c, "list ranges", rc);
    free(covered);
}

/* The largest or smallest dkey: it was there, and none beyond it was. */
static void
do_query(struct ctx *c)
{
    bool is_max = simt_pick(c->w, 2) == 0;
    uint64_t num = 0;
    d_iov_t key = {&num, sizeof(num), sizeof(num)};
    int rc, found;

    for (uint32_t k = 0; k < KEYS_NR; k++) {
        struct oper *o = oper_new(c, K_SEE_DKEY);

        simt_ask(c->w, &o->base, &c->work->things[OBJ_UINT][k]);
    }
    simt_doing(c->w, "query key");
    rc = daos_obj_query_key(c->ohs[OBJ_UINT], DAOS_TX_NONE,
        DAOS_GET_DKEY | (is_max ? DAOS_GET_MAX : DAOS_GET_MIN), &key, NULL, NULL, NULL);
    found = rc == 0 ? key_index(OBJ_UINT, (char *)&num, 8) : is_max ? -1 : KEYS_NR;
    if (rc == 0 && found < 0) {
        simt_fail(c->t, "query gives key %llu", (unsigned long long)num);
        rc = -DER_MISC;
    }
    for (int k = 0; k < KEYS_NR; k++) {
        struct oper *o = (struct oper *)c->w->ops[k];

        o->seen = k == found;
        o->is_vague = is_max ? k < found : k > found;
    }
    settle(c, "query key", rc);
}

/* ---- a worker ---------------------------------------------------------------------------------------------------------------------- */

static bool
ctx_open(struct ctx *c, daos_handle_t poh)
{
    int rc = 0;

    if (!simt_cont_open(c->t, poh, "box", &c->coh))
        return false;
    for (uint32_t i = 0; rc == 0 && i < OBJS_NR; i++) {
        daos_obj_id_t oid = {.lo = 100 + i};

        rc = daos_obj_generate_oid(c->coh, &oid, defs[i].type, defs[i].cls, 0, 0);
        if (rc == 0) {
            rc = defs[i].is_kv ? daos_kv_open(c->coh, oid, DAOS_OO_RW, &c->ohs[i], NULL)
                               : daos_obj_open(c->coh, oid, DAOS_OO_RW, &c->ohs[i], NULL);
        }
    }
    if (rc != 0)
        simt_fail(c->t, "open of objects: %s", err_name(rc));
    return rc == 0;
}

static void
ctx_close(struct ctx *c)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < OBJS_NR; i++) {
        rc = defs[i].is_kv ? daos_kv_close(c->ohs[i], NULL) : daos_obj_close(c->ohs[i], NULL);
    }
    if (rc == 0)
        rc = daos_cont_close(c->coh, NULL);
    if (rc != 0)
        simt_fail(c->t, "%s: close: %s", c->w->proc->name, err_name(rc));
}

static void
one_request(struct ctx *c)
{
    uint32_t obj = (uint32_t)simt_pick(c->w, c->t->cfg.is_hot ? 1 : OBJS_NR);
    uint32_t k = (uint32_t)simt_pick(c->w, c->t->cfg.is_hot ? 1 : KEYS_NR);
    uint64_t roll = simt_pick(c->w, 100);

    if (roll < 40) {
        do_update(c, obj, k);
    } else if (roll < 68) {
        do_fetch(c, obj, k);
    } else if (roll < 82) {
        do_punch(c, obj, k);
    } else if (roll < 84) {
        do_punch_obj(c, obj);
    } else if (roll < 89) {
        do_list_dkeys(c, obj);
    } else if (roll < 93) {
        do_list_akeys(c, defs[obj].is_kv ? 0 : obj, k);
    } else if (roll < 97) {
        do_list_cells(c, defs[obj].is_kv ? 0 : obj, k);
    } else {
        do_query(c);
    }
}

static void
worker(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct ctx c = {.w = w, .t = w->proc->t, .work = state};

    simt_doing(w, "open");
    if (!ctx_open(&c, poh))
        return;
    simt_hurry(w, true);
    while (w->ops_left > 0) {
        simt_think(w);
        w->ops_left--;
        one_request(&c);
    }
    simt_hurry(w, false);
    simt_doing(w, "close");
    ctx_close(&c);
}

static void
final(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct ctx c = {.w = w, .t = w->proc->t, .work = state};

    if (!ctx_open(&c, poh))
        return;
    for (uint32_t obj = 0; obj < OBJS_NR; obj++) {
        for (uint32_t k = 0; k < KEYS_NR; k++) {
            struct oper *o = oper_new(&c, K_FETCH);

            o->akeys = defs[obj].is_kv ? 1 : (1 << AKEYS_NR) - 1;
            o->cell_hi = CELLS_NR - 1;
            fetch(&c, obj, k, o);
        }
        do_list_dkeys(&c, obj);
    }
    ctx_close(&c);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static void *
create(struct simt *t)
{
    struct work *work = simt_alloc(sizeof(*work));

    work->t = t;
    for (uint32_t obj = 0; obj < OBJS_NR; obj++) {
        for (uint32_t k = 0; k < KEYS_NR; k++) {
            list_init(&work->things[obj][k]);
        }
    }
    return work;
}

static void
setup(struct simt *t, void *state, daos_handle_t poh)
{
    int rc = daos_cont_create_with_label(poh, "box", NULL, NULL, NULL);

    (void)state;
    if (rc != 0)
        simt_fail(t, "create of the container: %s", err_name(rc));
}

static void
check(struct simt *t, void *state)
{
    static const struct simt_lin_model model = {
        .state_bytes = sizeof(struct state), .step = model_step};
    struct work *work = state;
    char what[64];

    for (uint32_t obj = 0; obj < OBJS_NR; obj++) {
        for (uint32_t k = 0; k < KEYS_NR; k++) {
            snprintf(what, sizeof(what), "object %u key %u", obj, k);
            simt_history_check(t, what, &model, &work->things[obj][k], oper_print, state_print);
        }
    }
}

static void
destroy(void *state)
{
    struct work *work = state;
    struct simt_op *op, *next;

    for (uint32_t obj = 0; obj < OBJS_NR; obj++) {
        for (uint32_t k = 0; k < KEYS_NR; k++) {
            LIST_FOREACH_SAFE(op, next, &work->things[obj][k], struct simt_op, link) {
                simt_op_drop(op);
            }
        }
    }
    free(work);
}

const struct simt_work simt_work_obj = {.name = "obj",
    .create = create,
    .setup = setup,
    .worker = worker,
    .final = final,
    .check = check,
    .destroy = destroy};
