/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos_ref.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "vos/vos_dtx.h"

/* ---- logs ----------------------------------------------------------------------------------------------------------- */

static void
log_add(struct ref_log *log, struct ref_event *e)
{
    uint32_t at = log->nr;

    if (log->nr == log->cap) {
        log->cap = log->cap == 0 ? 16 : log->cap * 2;
        log->events = realloc(log->events, log->cap * sizeof(struct ref_event *));
    }
    while (at > 0 && log->events[at - 1]->epoch > e->epoch) {
        log->events[at] = log->events[at - 1];
        at--;
    }
    log->events[at] = e;
    log->nr++;
}

/* Take out those of a request, and those from an epoch on. */
static void
log_remove(struct ref_log *log, uint64_t req, uint64_t from)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < log->nr; i++) {
        if (log->events[i]->req != req && log->events[i]->epoch < from)
            log->events[kept++] = log->events[i];
    }
    log->nr = kept;
}

static void
cont_remove(struct ref_cont *c, uint64_t req, uint64_t from)
{
    for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
        log_remove(&c->objs[o].log, req, from);
        for (uint32_t d = 0; d < REF_DKEY_NR; d++) {
            log_remove(&c->objs[o].dkeys[d], req, from);
        }
    }
}

void
ref_discard(struct ref_cont *c, uint64_t lo)
{
    cont_remove(c, UINT64_MAX, lo);
    c->is_loose = true;
}

void
ref_cont_free(struct ref_cont **c)
{
    if (*c == NULL)
        return;
    while ((*c)->events != NULL) {
        struct ref_event *e = (*c)->events;

        (*c)->events = e->next;
        free(e);
    }
    for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
        free((*c)->objs[o].log.events);
        for (uint32_t d = 0; d < REF_DKEY_NR; d++) {
            free((*c)->objs[o].dkeys[d].events);
        }
    }
    free((*c)->outs);
    free(*c);
    *c = NULL;
}

/* ---- doing modifications one after the other ------------------------------------------------------------------------ */

static bool
mod_writes(const struct ref_mod *mod)
{
    bool writes = false;

    for (uint32_t i = 0; mod->op == VOS_MOD_UPDATE && i < mod->iod_nr; i++) {
        writes = writes || mod->iods[i].size != 0;
    }
    return writes;
}

static void
do_iod(struct ref_akey_state *a, const struct ref_iod *iod, uint64_t epoch)
{
    uint32_t pos = 0;

    if (iod->size == 0 && !a->exists)
        return; /* a hole in nothing */
    a->since = a->exists ? a->since : epoch;
    a->last = epoch;
    a->exists = true;
    if (iod->type == VOS_IOD_SINGLE) {
        a->has_value = iod->size != 0;
        a->size = iod->size;
        a->seed = iod->seed;
        a->epoch = epoch;
    }
    for (uint32_t r = 0; iod->type == VOS_IOD_ARRAY && r < iod->recx_nr; r++) {
        for (uint32_t i = 0; i < iod->recxs[r].nr; i++) {
            a->cells[iod->recxs[r].lo + i] = (struct ref_cell){
                .is_there = iod->size != 0, .pos = pos++, .epoch = epoch, .seed = iod->seed};
        }
    }
}

static void
do_update(struct ref_dkey_state *d, const struct ref_event *e)
{
    if (mod_writes(&e->mod)) {
        d->since = d->exists ? d->since : e->epoch;
        d->last = e->epoch;
        d->exists = true;
    }
    for (uint32_t i = 0; i < e->mod.iod_nr; i++) {
        do_iod(&d->akeys[e->mod.iods[i].akey], &e->mod.iods[i], e->epoch);
    }
}

/* A dkey that loses its last akey goes, too. */
static void
do_punch_akeys(struct ref_dkey_state *d, const struct ref_mod *mod)
{
    bool any = false, left = false;

    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        any = any || d->akeys[mod->iods[i].akey].exists;
        memset(&d->akeys[mod->iods[i].akey], 0, sizeof(d->akeys[0]));
    }
    for (uint32_t a = 0; a < REF_AKEY_NR; a++) {
        left = left || d->akeys[a].exists;
    }
    if (any && !left)
        memset(d, 0, sizeof(*d));
}

void
ref_dkey_step(struct ref_dkey_state *d, const struct ref_event *e)
{
    switch (e->mod.op) {
    case VOS_MOD_UPDATE:
        do_update(d, e);
        break;
    case VOS_MOD_PUNCH_AKEYS:
        do_punch_akeys(d, &e->mod);
        break;
    default:
        memset(d, 0, sizeof(*d));
    }
}

void
ref_obj_step(struct ref_obj_state *o, const struct ref_event *e)
{
    if (e->mod.op == VOS_MOD_PUNCH_OBJ)
        *o = (struct ref_obj_state){0};
    if (mod_writes(&e->mod)) {
        o->since = o->exists ? o->since : e->epoch;
        o->last = e->epoch;
        o->exists = true;
    }
}

/* Bits of the open ones: undecided, or what the store has to ask about. */
static uint32_t
txs_mask(const struct ref_cont *c, bool is_undecided)
{
    uint32_t mask = 0;

    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        const struct ref_tx *tx = &c->txs[t];

        if (tx->is_open && !(is_undecided ? tx->is_decided : tx->ready != 0))
            mask |= UINT32_C(1) << t;
    }
    return mask;
}

/* Those that are part of the world at hand. */
static uint32_t
txs_in(const struct ref_cont *c)
{
    return c->world | ~txs_mask(c, true);
}

bool
ref_event_counts(const struct ref_cont *c, const struct ref_event *e)
{
    return (e->tx & ~txs_in(c)) == 0;
}

void
ref_dkey_at(const struct ref_cont *c, uint32_t obj, uint32_t dkey, uint64_t epoch,
    struct ref_dkey_state *ret_state)
{
    const struct ref_log *log = &c->objs[obj].dkeys[dkey];
    uint32_t in = txs_in(c);

    memset(ret_state, 0, sizeof(*ret_state));
    for (uint32_t i = 0; i < log->nr && log->events[i]->epoch <= epoch; i++) {
        if ((log->events[i]->tx & ~in) == 0)
            ref_dkey_step(ret_state, log->events[i]);
    }
}

void
ref_obj_at(const struct ref_cont *c, uint32_t obj, uint64_t epoch, struct ref_obj_state *ret_state)
{
    const struct ref_log *log = &c->objs[obj].log;
    struct ref_obj_state s = {0};
    uint32_t in = txs_in(c);

    for (uint32_t i = 0; i < log->nr && log->events[i]->epoch <= epoch; i++) {
        if ((log->events[i]->tx & ~in) == 0)
            ref_obj_step(&s, log->events[i]);
    }
    *ret_state = s;
}

/* ---- epochs given by the caller ------------------------------------------------------------------------------------- */

static void
stamp_lo(struct ref_stamp *s, uint64_t epoch)
{
    s->lo = MAX(s->lo, epoch);
    s->hi = MAX(s->hi, epoch);
}

static void
stamp_hi(struct ref_stamp *s, uint64_t epoch)
{
    s->hi = MAX(s->hi, epoch);
}

static bool
stamp_refuses(const struct ref_stamp *s, uint64_t epoch, bool is_punch)
{
    return s->lo >= epoch || (is_punch && s->hi >= epoch);
}

void
ref_saw_objs(struct ref_cont *c, uint64_t epoch)
{
    c->read_epoch = MAX(c->read_epoch, epoch);
}

void
ref_saw_obj(struct ref_cont *c, uint32_t obj, uint64_t epoch)
{
    stamp_lo(&c->objs[obj].stamp, epoch);
}

void
ref_saw_dkey(struct ref_cont *c, uint32_t obj, uint32_t dkey, uint64_t epoch)
{
    stamp_hi(&c->objs[obj].stamp, epoch);
    stamp_lo(&c->objs[obj].dkey_stamps[dkey], epoch);
}

void
ref_saw_akey(
    struct ref_cont *c, uint32_t obj, uint32_t dkey, uint32_t akey, uint64_t epoch, bool dkey_too)
{
    stamp_hi(&c->objs[obj].stamp, epoch);
    if (dkey_too)
        stamp_lo(&c->objs[obj].dkey_stamps[dkey], epoch);
    stamp_hi(&c->objs[obj].dkey_stamps[dkey], epoch);
    stamp_lo(&c->objs[obj].akey_stamps[dkey][akey], epoch);
}

/* What a modification saw and changed. */
static void
mod_stamp(struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch)
{
    struct ref_obj *o = &c->objs[mod->obj];
    bool is_update = mod->op == VOS_MOD_UPDATE;

    stamp_hi(&o->stamp, epoch);
    if (mod->op == VOS_MOD_PUNCH_OBJ) {
        stamp_lo(&o->stamp, epoch);
        return;
    }
    stamp_hi(&o->dkey_stamps[mod->dkey], epoch);
    if (!is_update || (mod->cond & (VOS_COND_DKEY_INSERT | VOS_COND_DKEY_UPDATE)) != 0)
        stamp_lo(&o->dkey_stamps[mod->dkey], epoch);
    for (uint32_t i = 0; mod->op != VOS_MOD_PUNCH_DKEY && i < mod->iod_nr; i++) {
        struct ref_stamp *s = &o->akey_stamps[mod->dkey][mod->iods[i].akey];

        stamp_hi(s, epoch);
        if (!is_update || mod->cond != 0 || mod->iods[i].size == 0)
            stamp_lo(s, epoch);
    }
}

static bool
is_seen(const struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch)
{
    const struct ref_obj *o = &c->objs[mod->obj];
    bool seen = epoch <= c->read_epoch || epoch <= c->floor ||
        stamp_refuses(&o->stamp, epoch, mod->op == VOS_MOD_PUNCH_OBJ);

    if (mod->op == VOS_MOD_PUNCH_OBJ)
        return seen;
    seen = seen || stamp_refuses(&o->dkey_stamps[mod->dkey], epoch, mod->op == VOS_MOD_PUNCH_DKEY);
    for (uint32_t i = 0; mod->op != VOS_MOD_PUNCH_DKEY && i < mod->iod_nr; i++) {
        seen = seen ||
            stamp_refuses(&o->akey_stamps[mod->dkey][mod->iods[i].akey], epoch,
                mod->op == VOS_MOD_PUNCH_AKEYS);
    }
    return seen;
}

static bool
overlaps(const struct ref_iod *a, const struct ref_iod *b)
{
    for (uint32_t i = 0; i < a->recx_nr; i++) {
        for (uint32_t k = 0; k < b->recx_nr; k++) {
            if (a->recxs[i].lo < b->recxs[k].lo + b->recxs[k].nr &&
                b->recxs[k].lo < a->recxs[i].lo + a->recxs[i].nr)
                return true;
        }
    }
    return false;
}

/* Another request, not one of this transaction, wrote a value of this one at exactly this epoch. */
static bool
is_written_at(const struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch, uint32_t tx)
{
    const struct ref_log *log = &c->objs[mod->obj].dkeys[mod->dkey];

    for (uint32_t e = 0; mod->op == VOS_MOD_UPDATE && e < log->nr; e++) {
        const struct ref_mod *other = &log->events[e]->mod;

        for (uint32_t i = 0; log->events[e]->epoch == epoch &&
             (tx == 0 || log->events[e]->tx != tx) && i < mod->iod_nr;
             i++) {
            for (uint32_t k = 0; other->op == VOS_MOD_UPDATE && k < other->iod_nr; k++) {
                if (other->iods[k].akey == mod->iods[i].akey && other->iods[k].size != 0 &&
                    (other->iods[k].type == VOS_IOD_SINGLE ||
                        (mod->iods[i].type == VOS_IOD_ARRAY &&
                            overlaps(&other->iods[k], &mod->iods[i]))))
                    return true;
            }
        }
    }
    return false;
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

static int
cond_check(bool exists, uint32_t cond, uint32_t insert, uint32_t update)
{
    if ((cond & insert) != 0 && exists)
        return -DER_EXIST;
    return (cond & update) != 0 && !exists ? -DER_NONEXIST : 0;
}

/* The kind of values of an akey is for life. */
static int
kind_check(struct ref_cont *c, const struct ref_mod *mod, const struct ref_iod *iod, int got)
{
    uint32_t type = c->objs[mod->obj].fixed[mod->dkey][iod->akey].type;
    uint32_t rec_size = c->objs[mod->obj].fixed[mod->dkey][iod->akey].rec_size;
    int want = 0;

    if (type != 0 && type != iod->type) {
        want = -DER_INVAL;
    } else if (iod->type == VOS_IOD_ARRAY && iod->size != 0 && rec_size != 0 && rec_size != iod->size)
        want = -DER_REC_SIZE;
    return c->is_loose && got != want ? 0 : want;
}

static int
update_check(struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch, int got)
{
    struct ref_dkey_state d;
    int rc;

    ref_dkey_at(c, mod->obj, mod->dkey, epoch, &d);
    rc = cond_check(d.exists, mod->cond, VOS_COND_DKEY_INSERT, VOS_COND_DKEY_UPDATE);
    for (uint32_t i = 0; rc == 0 && i < mod->iod_nr; i++) {
        const struct ref_iod *iod = &mod->iods[i];
        bool exists = d.akeys[iod->akey].exists;
        uint32_t cond = (mod->cond & VOS_COND_PER_AKEY) != 0 ? iod->cond : mod->cond;

        rc = cond_check(exists, cond, VOS_COND_AKEY_INSERT, VOS_COND_AKEY_UPDATE);
        if (rc == 0 && (iod->size != 0 || exists))
            rc = kind_check(c, mod, iod, got);
    }
    return rc;
}

/* Whether a punch that must find something does. */
static int
punch_check(const struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch)
{
    struct ref_obj_state o;
    struct ref_dkey_state d;
    bool exists = true;

    if ((mod->cond & VOS_COND_PUNCH) == 0)
        return 0;
    ref_obj_at(c, mod->obj, epoch, &o);
    ref_dkey_at(c, mod->obj, mod->dkey, epoch, &d);
    if (mod->op == VOS_MOD_PUNCH_OBJ)
        return o.exists ? 0 : -DER_NONEXIST;
    if (mod->op == VOS_MOD_PUNCH_DKEY)
        return d.exists ? 0 : -DER_NONEXIST;
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        exists = exists && d.akeys[mod->iods[i].akey].exists;
    }
    return exists ? 0 : -DER_NONEXIST;
}

/* At a given epoch, akeys that are the last ones of a dkey take it along: what was seen of all the dkey counts. */
static bool
takes_seen_dkey(const struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch)
{
    struct ref_dkey_state d;

    ref_dkey_at(c, mod->obj, mod->dkey, epoch, &d);
    if (mod->op != VOS_MOD_PUNCH_AKEYS || !d.exists)
        return false;
    do_punch_akeys(&d, mod);
    return !d.exists && stamp_refuses(&c->objs[mod->obj].dkey_stamps[mod->dkey], epoch, true);
}

static void
event_add(struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch)
{
    struct ref_event *e = calloc(1, sizeof(*e));
    struct ref_obj *o = &c->objs[mod->obj];

    *e = (struct ref_event){.epoch = epoch, .req = c->req_nr, .mod = *mod, .next = c->events};
    c->events = e;
    c->event_nr++;
    log_add(&o->log, e);
    for (uint32_t d = 0; d < REF_DKEY_NR; d++) {
        if (mod->op == VOS_MOD_PUNCH_OBJ || d == mod->dkey)
            log_add(&o->dkeys[d], e);
    }
}

static void
max_raise(struct ref_obj *o, const struct ref_mod *mod, uint64_t epoch)
{
    if (!o->has_record && o->tx_writers == 0)
        return;
    if (mod_writes(mod) && epoch > o->epoch_max)
        o->is_max_loose = false;
    o->epoch_max = MAX(o->epoch_max, epoch);
}

/* It was done: what stays beside its events. */
static void
mod_done(struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch, uint32_t tx)
{
    struct ref_obj *o = &c->objs[mod->obj];

    if (tx != 0) {
        o->tx_writers |= mod_writes(mod) ? tx : 0;
    } else {
        o->has_record = o->has_record || mod_writes(mod);
        max_raise(o, mod, epoch);
    }
    for (uint32_t i = 0; mod->op == VOS_MOD_UPDATE && i < mod->iod_nr; i++) {
        const struct ref_iod *iod = &mod->iods[i];

        if (iod->size == 0)
            continue;
        o->fixed[mod->dkey][iod->akey].type = iod->type;
        o->fixed[mod->dkey][iod->akey].rec_size = iod->type == VOS_IOD_ARRAY ? iod->size : 0;
    }
}

/* What stays beside the events, as it was before a request that failed. */
static void
undo(struct ref_cont *c, const struct ref_obj *kept)
{
    cont_remove(c, c->req_nr, UINT64_MAX);
    while (c->events != NULL && c->events->req == c->req_nr) {
        struct ref_event *e = c->events;

        c->events = e->next;
        c->event_nr--;
        free(e);
    }
    for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
        c->objs[o].has_record = kept[o].has_record;
        c->objs[o].tx_writers = kept[o].tx_writers;
        c->objs[o].is_max_loose = kept[o].is_max_loose;
        c->objs[o].epoch_max = kept[o].epoch_max;
        memcpy(c->objs[o].fixed, kept[o].fixed, sizeof(kept[o].fixed));
    }
}

/* All of it in the world at hand, or nothing; is_try: nothing in any case. */
static int
req_do(struct ref_cont *c, const struct ref_req *req, uint64_t epoch, bool is_given, uint32_t tx,
    bool is_try, int got)
{
    struct ref_obj kept[REF_OBJ_NR];
    int rc = 0;

    memcpy(kept, c->objs, sizeof(kept));
    for (uint32_t i = 0; rc == 0 && i < req->mod_nr; i++) {
        const struct ref_mod *mod = &req->mods[i];

        rc = mod->op == VOS_MOD_UPDATE ? update_check(c, mod, epoch, got)
                                       : punch_check(c, mod, epoch);
        if (rc == 0 && is_given && takes_seen_dkey(c, mod, epoch))
            rc = -DER_TX_RESTART;
        if (rc == 0) {
            event_add(c, mod, epoch);
            mod_done(c, mod, epoch, is_try ? 0 : tx);
        }
    }
    if (rc != 0 || is_try)
        undo(c, kept);
    for (struct ref_event *e = c->events; e != NULL && e->req == c->req_nr; e = e->next) {
        e->tx = tx; /* its own counted so far */
    }
    return rc;
}

/* One gave an akey another kind of values: for life, if it is committed, whatever its epoch. */
static bool
is_other_kind(const struct ref_mod *a, const struct ref_mod *b)
{
    bool is_same_dkey = a->op == VOS_MOD_UPDATE && b->op == VOS_MOD_UPDATE && a->obj == b->obj &&
        a->dkey == b->dkey;

    for (uint32_t i = 0; is_same_dkey && i < a->iod_nr; i++) {
        for (uint32_t k = 0; k < b->iod_nr; k++) {
            if (a->iods[i].akey == b->iods[k].akey &&
                (a->iods[i].type != b->iods[k].type ||
                    (a->iods[i].type == VOS_IOD_ARRAY && a->iods[i].size != b->iods[k].size)))
                return true;
        }
    }
    return false;
}

/* The undecided that a request may have to wait for. */
static bool
is_touched(const struct ref_cont *c, const struct ref_req *req, uint64_t epoch, uint32_t tx)
{
    uint32_t asked = txs_mask(c, false) & ~tx;
    bool touched = false;

    for (uint32_t i = 0; i < req->mod_nr; i++) {
        touched = touched || (ref_txs_touch(c, req->mods[i].obj, epoch) & ~tx) != 0;
        for (uint32_t t = 0; t < REF_TX_NR; t++) {
            for (uint32_t p = 0; (asked >> t & 1) != 0 && p < c->txs[t].part_nr; p++) {
                for (uint32_t k = 0; k < c->txs[t].parts[p].mod_nr; k++) {
                    touched = touched || is_other_kind(&req->mods[i], &c->txs[t].parts[p].mods[k]);
                }
            }
        }
    }
    return touched;
}

/* What it answers in all worlds; where they differ, INPROGRESS. */
static int
req_in_worlds(struct ref_cont *c, const struct ref_req *req, uint64_t epoch, bool is_given,
    uint32_t tx, int got)
{
    uint32_t mask = ref_txs_open(c) & ~tx;
    int rc = 0, first = 1;

    c->world = tx; /* a further part knows what came before it */
    while (mask != 0) {
        rc = req_do(c, req, epoch, is_given, tx, true, got);
        if (first == 1)
            first = rc;
        if (rc != first)
            break;
        if (!ref_world_next(c, mask))
            break;
    }
    c->world = tx;
    if (mask == 0 || rc == first) {
        rc = req_do(c, req, epoch, is_given, tx, false, got);
    } else {
        rc = -DER_INPROGRESS;
    }
    c->world = 0;
    return rc;
}

static int
req_apply(struct ref_cont *c, const struct ref_req *req, uint64_t epoch, bool is_given, uint32_t tx,
    int got)
{
    int rc;

    c->req_nr++;
    rc = req_in_worlds(c, req, epoch, is_given, tx, got);
    for (uint32_t i = 0; i < req->mod_nr && rc != -DER_TX_RESTART && rc != -DER_INPROGRESS &&
         (rc == 0 || req->mods[i].cond != 0);
         i++) {
        mod_stamp(c, &req->mods[i], epoch);
    }
    return rc;
}

/* ---- clocks that may be behind -------------------------------------------------------------------------------------- */

/* What an update tests and writes over, as a number. */
static uint64_t
update_meets(const struct ref_cont *c, const struct ref_mod *mod, uint64_t epoch)
{
    bool is_per_akey = (mod->cond & VOS_COND_PER_AKEY) != 0;
    struct ref_dkey_state d;
    uint64_t sum;

    ref_dkey_at(c, mod->obj, mod->dkey, epoch, &d);
    sum = (mod->cond & (VOS_COND_DKEY_INSERT | VOS_COND_DKEY_UPDATE)) != 0 && d.exists;
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        const struct ref_iod *iod = &mod->iods[i];
        const struct ref_akey_state *a = &d.akeys[iod->akey];
        uint32_t cond = is_per_akey ? iod->cond : mod->cond;

        if ((cond & (VOS_COND_AKEY_INSERT | VOS_COND_AKEY_UPDATE)) != 0)
            sum = ref_mix(sum, a->exists);
        if (c->objs[mod->obj].fixed[mod->dkey][iod->akey].type != iod->type)
            continue;
        if (iod->type == VOS_IOD_SINGLE)
            sum = ref_mix(sum, a->has_value ? a->epoch : 0);
        for (uint32_t r = 0; iod->type == VOS_IOD_ARRAY && r < iod->recx_nr; r++) {
            for (uint32_t k = 0; k < iod->recxs[r].nr; k++) {
                const struct ref_cell *cell = &a->cells[iod->recxs[r].lo + k];

                sum = ref_mix(sum, cell->is_there ? cell->epoch : 0);
            }
        }
    }
    return sum;
}

/*
 * A change is uncertain when what it meets changes within (epoch, bound], if everything that is prepared counts; it may be when anything happened there to its object. Punches are
 * refused for that anyway.
 */
static bool
is_behind(struct ref_cont *c, const struct ref_req *req, const struct ref_how *how, bool *ret_may)
{
    bool must = false;

    *ret_may = false;
    if (!how->is_given || how->bound <= how->epoch)
        return false;
    c->world = UINT32_MAX;
    for (uint32_t m = 0; m < req->mod_nr; m++) {
        const struct ref_log *log = &c->objs[req->mods[m].obj].log;
        uint64_t first;

        if (req->mods[m].op != VOS_MOD_UPDATE)
            continue;
        first = update_meets(c, &req->mods[m], how->epoch);
        for (uint32_t i = 0; i < log->nr && !must; i++) {
            uint64_t at = log->events[i]->epoch;

            if (at <= how->epoch || at > how->bound)
                continue;
            *ret_may = true;
            must = update_meets(c, &req->mods[m], at) != first;
        }
    }
    c->world = 0;
    return must;
}

/* Refused for its epoch, or for that of its caller's clock. `tx`: its own bit. */
static bool
is_refused(struct ref_cont *c, const struct ref_req *req, struct ref_how *how, uint32_t tx)
{
    bool seen = false, may;

    for (uint32_t i = 0; how->is_given && i < req->mod_nr; i++) {
        seen = seen || is_seen(c, &req->mods[i], how->epoch) ||
            is_written_at(c, &req->mods[i], how->epoch, tx);
    }
    if (seen)
        return true;
    if (is_behind(c, req, how, &may)) {
        how->is_uncertain = true;
        return true;
    }
    how->is_uncertain = may && how->got == -DER_TX_RESTART;
    return how->is_uncertain;
}

int
ref_apply(struct ref_cont *c, const struct ref_req *req, struct ref_how *how)
{
    int rc;

    how->is_spurious = how->is_uncertain = false;
    if (how->got == -DER_INPROGRESS && is_touched(c, req, how->epoch, 0))
        return how->got;
    if (is_refused(c, req, how, 0))
        return -DER_TX_RESTART;
    if (how->is_given && how->epoch <= how->newest && how->got == -DER_TX_RESTART) {
        how->is_spurious = true;
        return how->got;
    }
    rc = req_apply(c, req, how->epoch, how->is_given, 0, how->got);
    if (rc == 0) {
        c->is_max_loose = c->is_max_loose && c->epoch_max >= how->epoch;
        c->epoch_max = MAX(c->epoch_max, how->epoch);
    }
    return rc;
}

/* ---- transactions that are decided later ---------------------------------------------------------------------------- */

uint32_t
ref_txs_open(const struct ref_cont *c)
{
    return txs_mask(c, true);
}

uint32_t
ref_txs_touch(const struct ref_cont *c, uint32_t obj, uint64_t epoch)
{
    uint32_t mask = 0, asked = txs_mask(c, false);

    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        const struct ref_tx *tx = &c->txs[t];

        for (uint32_t k = 0;
             (asked & UINT32_C(1) << t) != 0 && tx->epoch <= epoch && k < tx->part_nr; k++) {
            for (uint32_t i = 0; i < tx->parts[k].mod_nr; i++) {
                if (obj == REF_OBJ_NR || tx->parts[k].mods[i].obj == obj)
                    mask |= UINT32_C(1) << t;
            }
        }
    }
    return mask;
}

bool
ref_world_next(struct ref_cont *c, uint32_t mask)
{
    uint32_t in = ((c->world & mask) - mask) & mask; /* one more, counted in the bits of the mask */

    c->world = (c->world & ~mask) | in;
    return in != 0;
}

int
ref_tx_begin(const struct ref_cont *c, const struct vos_dtx_id *id, uint64_t epoch)
{
    const struct ref_out *out = ref_out_find(c, id);

    if (out == NULL)
        return id->hlc <= c->horizon ? -DER_TX_UNCERTAIN : 0;
    return out->is_aborted && epoch != 0 && epoch <= out->epoch ? -DER_TX_RESTART : 0;
}

int
ref_tx_prepare(struct ref_cont *c, uint32_t at, const struct vos_dtx_id *id,
    const struct ref_req *req, struct ref_how *how)
{
    struct ref_tx *tx = &c->txs[at];
    uint32_t bit = UINT32_C(1) << at;
    int rc = tx->is_open ? tx->ready != 0 ? -DER_INVAL : 0
                         : ref_tx_begin(c, id, how->is_given ? how->epoch : 0);

    how->is_spurious = how->is_uncertain = false;
    if (rc != 0)
        return rc;
    if (how->got == -DER_INPROGRESS && is_touched(c, req, how->epoch, bit))
        return how->got;
    how->is_given = how->is_given || tx->is_open;
    if (is_refused(c, req, how, bit))
        return -DER_TX_RESTART;
    if (how->is_given && (tx->is_open || how->epoch <= how->newest) && how->got == -DER_TX_RESTART) {
        how->is_spurious = !tx->is_open;
        return how->got;
    }
    c->is_loose = true; /* an akey that is taken back forgets its kind */
    rc = req_apply(c, req, how->epoch, how->is_given, bit, how->got);
    if (rc != 0)
        return rc;
    if (!tx->is_open)
        *tx = (struct ref_tx){.is_open = true, .epoch = how->epoch, .req = c->req_nr, .id = *id};
    for (struct ref_event *e = c->events; e != NULL && e->req == c->req_nr; e = e->next) {
        e->req = tx->req;
    }
    tx->parts[tx->part_nr++] = *req;
    return 0;
}

/* Of a part that was committed. */
static void
part_done(struct ref_cont *c, const struct ref_tx *tx, const struct ref_req *part, uint32_t bit)
{
    for (uint32_t i = 0; i < part->mod_nr; i++) {
        struct ref_obj *o = &c->objs[part->mods[i].obj];

        o->has_record = o->has_record || (o->tx_writers & bit) != 0;
        o->is_max_loose = o->is_max_loose || !mod_writes(&part->mods[i]);
        c->is_max_loose = c->is_max_loose || !mod_writes(&part->mods[i]);
        max_raise(o, &part->mods[i], tx->epoch);
    }
}

void
ref_tx_decide(struct ref_cont *c, uint32_t at, bool is_commit)
{
    struct ref_tx *tx = &c->txs[at];
    uint32_t bit = UINT32_C(1) << at;

    tx->is_open = false;
    ref_out_add(c, &tx->id, tx->epoch, !is_commit);
    if (!is_commit)
        cont_remove(c, tx->req, UINT64_MAX);
    for (struct ref_event *e = c->events; e != NULL; e = e->next) {
        if (e->tx == bit && e->req == tx->req)
            e->tx = 0;
    }
    for (uint32_t k = 0; is_commit && k < tx->part_nr; k++) {
        part_done(c, tx, &tx->parts[k], bit);
    }
    if (is_commit)
        c->epoch_max = MAX(c->epoch_max, tx->epoch);
    for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
        c->objs[o].tx_writers &= ~bit;
        if (!c->objs[o].has_record && c->objs[o].tx_writers == 0)
            c->objs[o].epoch_max = 0;
    }
}

bool
ref_txs_closed(struct ref_cont *c)
{
    bool any = false;

    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        any = any || (c->txs[t].is_open && c->txs[t].ready != 0);
        c->txs[t].ready = 0;
    }
    return any;
}

/* ---- outcomes ------------------------------------------------------------------------------------------------------- */

void
ref_out_add(struct ref_cont *c, const struct vos_dtx_id *id, uint64_t epoch, bool is_aborted)
{
    if (c->out_nr == c->out_cap) {
        c->out_cap = c->out_cap == 0 ? 16 : c->out_cap * 2;
        c->outs = realloc(c->outs, c->out_cap * sizeof(*c->outs));
    }
    c->outs[c->out_nr++] = (struct ref_out){*id, epoch, is_aborted};
}

const struct ref_out *
ref_out_find(const struct ref_cont *c, const struct vos_dtx_id *id)
{
    for (uint32_t i = c->out_nr; i > 0; i--) {
        if (vos_dtx_id_eq(&c->outs[i - 1].id, id))
            return &c->outs[i - 1];
    }
    return NULL;
}

uint32_t
ref_outs_trim(struct ref_cont *c, uint64_t hlc, uint32_t nr_max)
{
    uint32_t gone = 0;

    while (gone < c->out_nr && (c->out_nr - gone > nr_max || c->outs[gone].id.hlc < hlc)) {
        c->horizon = MAX(c->horizon, c->outs[gone].id.hlc);
        gone++;
    }
    if (gone == 0)
        return 0;
    c->out_nr -= gone;
    memmove(c->outs, c->outs + gone, c->out_nr * sizeof(*c->outs));
    return gone;
}

/* ---- data ----------------------------------------------------------------------------------------------------------- */

static uint64_t
word_of(uint64_t seed, uint64_t at)
{
    uint64_t x = (seed + at) * UINT64_C(0x9e3779b97f4a7c15);

    return x ^ x >> 32;
}

void
ref_fill(uint64_t seed, uint64_t at, void *buf, uint64_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        uint64_t word = word_of(seed, at / 8), skip = at % 8, nr = MIN(8 - skip, len);

        memcpy(to, (const uint8_t *)&word + skip, nr);
        to += nr;
        at += nr;
        len -= nr;
    }
}

bool
ref_fills(uint64_t seed, uint64_t at, const void *buf, uint64_t len)
{
    const uint8_t *from = buf;

    while (len > 0) {
        uint64_t word = word_of(seed, at / 8), skip = at % 8, nr = MIN(8 - skip, len);

        if (memcmp(from, (const uint8_t *)&word + skip, nr) != 0)
            return false;
        from += nr;
        at += nr;
        len -= nr;
    }
    return true;
}

/* ---- chance --------------------------------------------------------------------------------------------------------- */

static uint32_t
rec_size(uint32_t dkey, uint32_t akey)
{
    if (dkey == REF_BIG_DKEY)
        return akey == 3 ? 4096 : 1024;
    return akey == 3 ? 5 : 1;
}

void
ref_sizes_set(struct ref_req *req)
{
    for (uint32_t m = 0; m < req->mod_nr; m++) {
        for (uint32_t i = 0; i < req->mods[m].iod_nr; i++) {
            struct ref_iod *iod = &req->mods[m].iods[i];

            if (iod->type == VOS_IOD_ARRAY && iod->size != 0 && iod->size != REF_WRONG_SIZE)
                iod->size = rec_size(req->mods[m].dkey, iod->akey);
        }
    }
}

void
ref_random_recxs(struct rng *r, struct ref_iod *iod)
{
    uint32_t next = (uint32_t)rng_below(r, REF_CELL_NR - 20);
    bool tiny = rng_chance(r, 1, 3);

    iod->recx_nr = 0;
    do {
        uint32_t nr = tiny ? 1 : 1 + (uint32_t)rng_below(r, rng_chance(r, 1, 4) ? 60 : 6);

        nr = MIN(nr, REF_CELL_NR - next);
        iod->recxs[iod->recx_nr].lo = next;
        iod->recxs[iod->recx_nr++].nr = nr;
        next += nr + (uint32_t)rng_below(r, 20);
    } while (iod->recx_nr < REF_RECX_NR_MAX && next + 1 < REF_CELL_NR && rng_chance(r, 1, 2));
    if (iod->recx_nr > 1 && rng_chance(r, 1, 4)) {
        uint32_t lo = iod->recxs[0].lo, nr = iod->recxs[0].nr; /* the order is free */

        iod->recxs[0] = iod->recxs[1];
        iod->recxs[1].lo = lo;
        iod->recxs[1].nr = nr;
    }
}

static uint32_t
random_size(struct rng *r)
{
    uint32_t size;

    if (rng_chance(r, 1, 8))
        return 0;
    if (rng_chance(r, 1, 60)) {
        size = (uint32_t)rng_range(r, 4000, 70000);
        /* Some of the largest that lie with the metadata, whose record is no longer in one block with them. */
        return size % 4 == 0 ? VOS_INLINE_BYTES_MAX - size % 56 : size;
    }
    return (uint32_t)rng_range(r, 1, 100);
}

static void
random_iod(struct rng *r, struct ref_mod *mod)
{
    struct ref_iod *iod = &mod->iods[mod->iod_nr];
    uint32_t akey = (uint32_t)rng_below(r, REF_AKEY_NR);
    bool wrong = rng_chance(r, 1, 80);

    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        if (mod->iods[i].akey == akey)
            return;
    }
    *iod = (struct ref_iod){.akey = akey, .seed = rng_u64(r)};
    mod->iod_nr++;
    if (rng_chance(r, 1, 4))
        iod->cond = rng_chance(r, 1, 2) ? VOS_COND_AKEY_INSERT : VOS_COND_AKEY_UPDATE;
    iod->type = (akey < 2) != wrong ? VOS_IOD_SINGLE : VOS_IOD_ARRAY;
    if (iod->type == VOS_IOD_SINGLE) {
        iod->size = random_size(r);
        return;
    }
    iod->size = rng_chance(r, 1, 6) ? 0 : rec_size(mod->dkey, akey);
    if (rng_chance(r, 1, 150))
        iod->size = REF_WRONG_SIZE;
    ref_random_recxs(r, iod);
    if (mod->dkey == REF_BIG_DKEY && akey == 2 && rng_chance(r, 1, 2)) {
        iod->recx_nr = 1;
        iod->recxs[0].nr = 1 + (uint32_t)rng_below(r, REF_CELL_NR - iod->recxs[0].lo);
    }
}

static void
random_mod(struct rng *r, struct ref_mod *mod)
{
    uint64_t what = rng_below(r, 100);

    *mod = (struct ref_mod){.op = VOS_MOD_UPDATE,
        .obj = (uint32_t)rng_below(r, REF_OBJ_NR),
        .dkey = (uint32_t)rng_below(r, REF_DKEY_NR)};
    /* One dkey, of an object that is never punched, gets many versions, and one with large records. */
    if (rng_chance(r, 1, 5)) {
        mod->obj = REF_HOT_OBJ;
        mod->dkey = rng_chance(r, 1, 3) ? REF_BIG_DKEY : 1;
        what = what >= 72 ? 71 : what;
    }
    do {
        random_iod(r, mod);
    } while (rng_chance(r, 1, 2));
    if (what < 72) {
        if (rng_chance(r, 1, 6))
            mod->cond |= rng_chance(r, 1, 2) ? VOS_COND_DKEY_INSERT : VOS_COND_DKEY_UPDATE;
        if (rng_chance(r, 1, 6))
            mod->cond |= rng_chance(r, 1, 2) ? VOS_COND_AKEY_INSERT : VOS_COND_AKEY_UPDATE;
        if (rng_chance(r, 1, 6))
            mod->cond |= VOS_COND_PER_AKEY;
        return;
    }
    if (mod->obj == REF_HOT_OBJ)
        what = 99;
    mod->op = what < 75 ? VOS_MOD_PUNCH_OBJ : what < 83 ? VOS_MOD_PUNCH_DKEY : VOS_MOD_PUNCH_AKEYS;
    if (rng_chance(r, 1, 3))
        mod->cond = VOS_COND_PUNCH;
}

void
ref_random_req(struct rng *r, struct ref_req *ret_req)
{
    memset(ret_req, 0, sizeof(*ret_req));
    do {
        random_mod(r, &ret_req->mods[ret_req->mod_nr++]);
    } while (ret_req->mod_nr < REF_MODS_NR_MAX && rng_chance(r, 1, 5));
    /* Often about the same object, so that they meet. */
    for (uint32_t i = 1; i < ret_req->mod_nr && rng_chance(r, 2, 3); i++) {
        ret_req->mods[i].obj = ret_req->mods[0].obj;
        if (rng_chance(r, 1, 2))
            ret_req->mods[i].dkey = ret_req->mods[0].dkey;
    }
    ref_sizes_set(ret_req);
}

void
ref_random_big_req(struct rng *r, uint32_t obj, bool is_much, struct ref_req *ret_req)
{
    struct ref_mod *mod = &ret_req->mods[0];
    struct ref_iod *iod = &mod->iods[0];

    memset(ret_req, 0, sizeof(*ret_req));
    ret_req->mod_nr = 1;
    *mod = (struct ref_mod){.op = VOS_MOD_UPDATE, .obj = obj, .dkey = REF_BIG_DKEY, .iod_nr = 1};
    iod->akey = 2 + rng_chance(r, 2, 3);
    iod->type = VOS_IOD_ARRAY;
    iod->seed = rng_u64(r);
    iod->size = is_much || rng_chance(r, 3, 4) ? rec_size(REF_BIG_DKEY, iod->akey) : 0;
    ref_random_recxs(r, iod);
    if (!is_much)
        return;
    iod->recx_nr = 1;
    iod->recxs[0].nr = 20 + (uint32_t)rng_below(r, 60);
    iod->recxs[0].lo = (uint32_t)rng_below(r, REF_CELL_NR - iod->recxs[0].nr);
}
