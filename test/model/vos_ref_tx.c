/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Transactions that are decided later, on the store and on its reference model: prepared in parts, committable, decided, forgotten. */
#include "base/codec.h"
#include "vos/vos_dtx.h"
#include "vos_ref_run.h"

static void
place_say(struct ref_run *run, const struct ref_place *p, const char *what, uint32_t at, uint32_t nr)
{
    bool is_second = p >= run->pools[1].conts;

    ref_say(run, "%s (%u) transaction %u of container %d of pool %d", what, nr, at,
        (int)(p - run->pools[is_second].conts), is_second);
}

/* ---- preparing ------------------------------------------------------------------------------------------------------ */

static int
tx_send(struct ref_place *p, const struct ref_req *req, const struct vos_dtx_args *dtx,
    struct vos_apply_args *args, struct vos_apply_ret *ret)
{
    struct ref_built b;
    int rc;

    ref_build(req, &b);
    args->mods = b.mods;
    args->mod_nr = req->mod_nr;
    args->dtx = dtx;
    rc = vos_apply(p->h, args, ret);
    ref_built_free(req, &b);
    return rc;
}

/* A new id; sometimes one that was aborted and begins anew, or one so old that it may have been forgotten. */
static struct vos_dtx_id
id_pick(struct ref_run *run, const struct ref_cont *c)
{
    struct vos_dtx_id id = {.uuid = {.b = {0xd7}}, .hlc = 1000 + run->op + rng_below(&run->r, 50)};
    const struct ref_out *out;
    bool is_used = false;

    le64_put(&id.uuid.b[1], ++run->tx_seq);
    if (c->horizon > 0 && rng_chance(&run->r, 1, 20))
        id.hlc = c->horizon - rng_below(&run->r, 2);
    if (c->out_nr == 0 || rng_chance(&run->r, 7, 8))
        return id;
    out = &c->outs[rng_below(&run->r, c->out_nr)];
    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        is_used = is_used || (c->txs[t].is_open && vos_dtx_id_eq(&c->txs[t].id, &out->id));
    }
    return is_used || !ref_out_find(c, &out->id)->is_aborted ? id : out->id;
}

/* It takes no part with others: done at once, and remembered. */
static void
tx_solo(struct ref_run *run, struct ref_place *p, const struct ref_req *req, uint64_t given)
{
    struct vos_dtx_args dtx = {.id = id_pick(run, p->ref), .flags = VOS_DTX_SOLO};
    struct vos_dtx_asks asks = {.nr = 0};
    struct vos_apply_args args = {.epoch = given, .asks = &asks};
    struct vos_apply_ret ret = {.epoch = 0};
    int want = ref_tx_begin(p->ref, &dtx.id, given), rc;
    struct ref_how how = {.is_given = given != 0, .newest = run->epoch_last};

    place_say(run, p, "do, as a", 0, req->mod_nr);
    rc = tx_send(p, req, &dtx, &args, &ret);
    ref_apply_asked(run, p, rc, &asks);
    how.epoch = given != 0 ? given : rc == 0 ? ret.epoch : run->epoch_last + 1;
    how.got = rc;
    if (want == 0)
        want = ref_apply(p->ref, req, &how);
    if (ref_rc(run, "solo", rc, want) && rc == 0) {
        REF_CHECK(run, !ret.is_replay && ret.epoch == how.epoch);
        ref_out_add(p->ref, &dtx.id, how.epoch, false);
        run->sums.solo_nr++;
    }
    ref_lists_note(run, p);
}

/* Of a slot that is open the next part. */
static void
tx_prepare(struct ref_run *run, struct ref_place *p, uint32_t at)
{
    struct ref_tx *tx = &p->ref->txs[at];
    bool is_more = tx->is_open;
    struct ref_how how = {.epoch = 0};
    uint8_t blob[REF_BLOB_NR_MAX];
    struct vos_dtx_args dtx = {.id = is_more ? tx->id : id_pick(run, p->ref)};
    struct vos_dtx_asks asks = {.nr = 0};
    struct vos_apply_args args = {.pm_ver = (uint32_t)run->op, .asks = &asks};
    struct vos_apply_ret ret = {.epoch = 0};
    struct vos_dtx_info info = {.lid = 0};
    struct ref_req req;
    uint64_t epoch;
    int rc;

    run->epoch_last = MAX(run->epoch_last, run->f->tgt->clock.last); /* reads amid an operation */
    ref_random_req(&run->r, &req);
    if (is_more) {
        dtx.part = tx->part_nr;
        req.mods[0].obj = tx->parts[0].mods[0].obj;
        req.mods[0].dkey = rng_chance(&run->r, 1, 2) ? tx->parts[0].mods[0].dkey : req.mods[0].dkey;
        ref_sizes_set(&req);
        args.epoch = rng_chance(&run->r, 1, 4) ? tx->epoch : 0;
    } else {
        if (ref_out_find(p->ref, &dtx.id) != NULL && rng_chance(&run->r, 1, 2)) {
            epoch = ref_out_find(p->ref, &dtx.id)->epoch + rng_below(&run->r, 3) - 1;
            args.epoch = epoch > p->agg_hi ? epoch : 0;
        } else if (rng_chance(&run->r, 1, 3)) {
            epoch = rng_chance(&run->r, 1, 4) ? ref_near_future(run)
                                              : ref_event_epoch(run, p, req.mods[0].obj);
            args.epoch = epoch > p->agg_hi ? epoch : 0;
            if (args.epoch != 0 && rng_chance(&run->r, 1, 3))
                args.epoch_bound = ref_bound(run, p, req.mods[0].obj, epoch);
        }
        if (rng_chance(&run->r, 1, 8)) {
            tx_solo(run, p, &req, args.epoch);
            return;
        }
        rng_bytes(&run->r, blob, sizeof(blob));
        dtx.blob = (struct iov){blob, rng_below(&run->r, sizeof(blob) + 1)};
    }
    place_say(run, p, "prepare a part of", at, dtx.part);
    ref_say(run, "    at %#llx, bound %#llx", (unsigned long long)args.epoch,
        (unsigned long long)args.epoch_bound);
    for (uint32_t i = 0; i < req.mod_nr; i++) {
        ref_mod_say(run, &req.mods[i]);
    }
    ref_lists_drop(run, p);
    rc = tx_send(p, &req, &dtx, &args, &ret);
    ref_apply_asked(run, p, rc, &asks);
    epoch = is_more       ? tx->epoch
        : args.epoch != 0 ? args.epoch
        : rc == 0         ? ret.epoch
                          : run->epoch_last + 1;
    if (rc == 0)
        REF_CHECK(run, !ret.is_replay && ret.epoch == epoch);
    if (rc == 0 && !is_more && args.epoch == 0)
        REF_CHECK(run, ret.epoch > run->epoch_last);
    how = (struct ref_how){.epoch = epoch,
        .is_given = args.epoch != 0,
        .bound = args.epoch_bound,
        .newest = run->epoch_last,
        .got = rc};
    run->sums.mod_bound_nr += args.epoch_bound != 0;
    if (!ref_rc(run, "prepare", rc, ref_tx_prepare(p->ref, at, &dtx.id, &req, &how)) || rc != 0) {
        run->sums.spurious_nr += how.is_spurious;
        run->sums.mod_uncertain_nr += how.is_uncertain;
        run->sums.given_nr += args.epoch != 0 && !is_more;
        return;
    }
    run->epoch_last = MAX(run->epoch_last, run->f->tgt->clock.last);
    if (is_more) {
        run->sums.part_nr++;
    } else {
        run->sums.tx_nr++;
        run->sums.tx_given_nr += args.epoch != 0;
        ref_rc(run, "look-up", vos_dtx_lookup(p->h, &dtx.id, &info), 0);
        tx->lid = info.lid;
        tx->blob_len = (uint32_t)dtx.blob.len;
        memcpy(tx->blob, blob, dtx.blob.len);
    }
    /* Often at once: what is read in between stands in the way. */
    if (run->fail[0] == 0 && tx->part_nr < REF_PARTS_NR && rng_chance(&run->r, 1, 2)) {
        tx_prepare(run, p, at);
        return;
    }
    if (rng_chance(&run->r, 1, 2))
        ref_fetch_whole(run, p, req.mods[0].obj, req.mods[0].dkey, VOS_EPOCH_MAX);
}

static void
tx_resend(struct ref_run *run, struct ref_place *p, uint32_t at)
{
    const struct ref_tx *tx = &p->ref->txs[at];
    struct vos_dtx_args dtx = {.id = tx->id, .part = (uint32_t)rng_below(&run->r, tx->part_nr)};
    struct vos_apply_args args = {.pm_ver = 0};
    struct vos_apply_ret ret = {.epoch = 0};

    place_say(run, p, "prepare again a part of", at, dtx.part);
    if (ref_rc(run, "prepare", tx_send(p, &tx->parts[dtx.part], &dtx, &args, &ret), 0))
        REF_CHECK(run, ret.is_replay && ret.epoch == tx->epoch);
    run->sums.tx_replay_nr++;
}

/* ---- deciding ------------------------------------------------------------------------------------------------------- */

static void
tx_ready(struct ref_run *run, struct ref_place *p, uint32_t at)
{
    struct ref_tx *tx = &p->ref->txs[at];

    place_say(run, p, "make committable", at, tx->part_nr);
    ref_lists_drop(run, p);
    if (!ref_rc(run, "committable", vos_dtx_committable(p->h, &tx->id), 0))
        return;
    tx->is_decided = true;
    if (tx->ready == 0)
        tx->ready = ++p->ref->ready_nr;
    run->sums.ready_nr++;
    for (uint32_t d = 0; d < REF_DKEY_NR && rng_chance(&run->r, 1, 2); d++) {
        ref_fetch_whole(run, p, tx->parts[0].mods[0].obj, d, VOS_EPOCH_MAX);
    }
}

/* One, or all that there are and may be decided so; one that was decided before says what it says, and does not keep the others. */
static void
tx_decide(struct ref_run *run, struct ref_place *p, uint32_t at, bool is_commit)
{
    struct ref_mod mod = p->ref->txs[at].parts[0].mods[0];
    bool is_all = rng_chance(&run->r, 1, 3), taken[REF_TX_NR] = {false};
    struct vos_dtx_id ids[REF_TX_NR + 1];
    uint32_t nr = 0;
    int want = 0, rc;

    if (p->ref->out_nr > 0 && rng_chance(&run->r, 1, 6)) {
        const struct ref_out *out = &p->ref->outs[rng_below(&run->r, p->ref->out_nr)];
        bool is_open = false;

        for (uint32_t t = 0; t < REF_TX_NR; t++) {
            is_open =
                is_open || (p->ref->txs[t].is_open && vos_dtx_id_eq(&p->ref->txs[t].id, &out->id));
        }
        out = ref_out_find(p->ref, &out->id);
        if (!is_open) {
            ids[nr++] = out->id;
            want = is_commit == !out->is_aborted ? 0 : is_commit ? -DER_NONEXIST : -DER_EXIST;
        }
    }
    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        const struct ref_tx *tx = &p->ref->txs[t];

        taken[t] = tx->is_open && (t == at || is_all) && (is_commit || !tx->is_decided);
        if (taken[t])
            ids[nr++] = tx->id;
    }
    place_say(run, p, is_commit ? "commit" : "abort", at, nr);
    ref_lists_drop(run, p);
    rc = is_commit ? vos_dtx_commit(p->h, ids, nr) : vos_dtx_abort(p->h, ids, nr);
    ref_rc(run, is_commit ? "commit" : "abort", rc, want);
    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        if (taken[t]) {
            ref_tx_decide(p->ref, t, is_commit);
            run->sums.commit_nr += is_commit;
            run->sums.abort_nr += !is_commit;
        }
    }
    for (uint32_t d = 0; d < REF_DKEY_NR && rng_chance(&run->r, 5, 6); d++) {
        ref_fetch_whole(run, p, mod.obj, d, VOS_EPOCH_MAX);
    }
}

/* ---- outcomes ------------------------------------------------------------------------------------------------------- */

/* A decision is for ever, and comes again. */
static void
tx_again(struct ref_run *run, struct ref_place *p)
{
    struct vos_apply_args args = {.pm_ver = 0};
    struct vos_apply_ret ret = {.epoch = 0};
    struct vos_dtx_args dtx = {.part = 0};
    const struct ref_out *out;
    struct ref_req req;

    if (p->ref->out_nr == 0)
        return;
    out = &p->ref->outs[rng_below(&run->r, p->ref->out_nr)];
    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        if (p->ref->txs[t].is_open && vos_dtx_id_eq(&p->ref->txs[t].id, &out->id))
            return;
    }
    out = ref_out_find(p->ref, &out->id);
    ref_say(run, "come again with a transaction that was %s",
        out->is_aborted ? "aborted" : "committed");
    ref_rc(run, "commit", vos_dtx_commit(p->h, &out->id, 1), out->is_aborted ? -DER_NONEXIST : 0);
    ref_rc(run, "abort", vos_dtx_abort(p->h, &out->id, 1), out->is_aborted ? 0 : -DER_EXIST);
    ref_rc(run, "committable", vos_dtx_committable(p->h, &out->id),
        out->is_aborted ? -DER_NONEXIST : 0);
    if (out->is_aborted)
        return;
    ref_random_req(&run->r, &req);
    dtx.id = out->id;
    dtx.part = (uint32_t)rng_below(&run->r, 3);
    if (ref_rc(run, "prepare", tx_send(p, &req, &dtx, &args, &ret), 0))
        REF_CHECK(run, ret.is_replay && ret.epoch == out->epoch);
    run->sums.tx_replay_nr++;
}

static void
outs_forget(struct ref_run *run, struct ref_place *p)
{
    struct ref_cont *c = p->ref;
    uint64_t hlc = rng_chance(&run->r, 1, 2) || c->out_nr == 0
        ? 0
        : c->outs[rng_below(&run->r, c->out_nr)].id.hlc;
    uint32_t nr_max = rng_chance(&run->r, 1, 2) ? UINT32_MAX : (uint32_t)rng_below(&run->r, 12);
    uint32_t gone = 0, want;

    ref_say(run, "forget outcomes up to %llu, all but %u", (unsigned long long)hlc, nr_max);
    want = ref_outs_trim(c, hlc, nr_max);
    if (ref_rc(run, "forget", vos_dtx_aggregate(p->h, hlc, nr_max, &gone), 0))
        REF_CHECK(run, gone == want);
    run->sums.forget_nr += gone;
}

/* One id, of which nothing is open. */
static void
out_compare(struct ref_run *run, struct ref_place *p, const struct vos_dtx_id *id)
{
    const struct ref_out *out = ref_out_find(p->ref, id);
    struct vos_dtx_info info = {.epoch = 0};
    int rc = vos_dtx_lookup(p->h, id, &info);

    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        if (p->ref->txs[t].is_open && vos_dtx_id_eq(&p->ref->txs[t].id, id))
            return;
    }
    if (out == NULL) {
        ref_rc(run, "look-up", rc, id->hlc <= p->ref->horizon ? -DER_TX_UNCERTAIN : -DER_NONEXIST);
        return;
    }
    if (ref_rc(run, "look-up", rc, 0)) {
        REF_CHECK(run, info.state == (out->is_aborted ? VOS_DTX_ABORTED : VOS_DTX_COMMITTED));
        REF_CHECK(run, info.epoch == out->epoch && !info.is_active);
    }
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static void
tx_compare(struct ref_run *run, struct ref_place *p, const struct ref_tx *tx)
{
    struct vos_dtx_info info = {.epoch = 0};
    uint8_t blob[REF_BLOB_NR_MAX];
    size_t len = 0;

    if (!ref_rc(run, "look-up", vos_dtx_lookup(p->h, &tx->id, &info), 0))
        return;
    REF_CHECK(run, info.state == (tx->ready != 0 ? VOS_DTX_COMMITTABLE : VOS_DTX_PREPARED));
    REF_CHECK(run, info.epoch == tx->epoch && info.is_active && info.lid == tx->lid);
    REF_CHECK(run, info.part_nr == tx->part_nr && info.blob_len == tx->blob_len);
    if (rng_chance(&run->r, 1, 4) &&
        ref_rc(run, "blob", vos_dtx_blob(p->h, &tx->id, blob, sizeof(blob), &len), 0))
        REF_CHECK(run, len == tx->blob_len && memcmp(blob, tx->blob, len) == 0);
}

void
ref_txs_compare(struct ref_run *run, struct ref_place *p)
{
    struct vos_dtx_info infos[REF_TX_NR + 1];
    struct vos_dtx_counts counts;
    uint64_t oldest = VOS_EPOCH_MAX, last = 0;
    uint32_t nr = 0, ready_nr = 0, got = 0, pos = 0;

    for (uint32_t t = 0; t < REF_TX_NR; t++) {
        const struct ref_tx *tx = &p->ref->txs[t];

        if (!tx->is_open)
            continue;
        nr++;
        ready_nr += tx->ready != 0;
        oldest = MIN(oldest, tx->epoch);
        tx_compare(run, p, tx);
    }
    vos_dtx_count(p->h, &counts);
    REF_CHECK(run, counts.active_nr == nr && counts.committable_nr == ready_nr);
    REF_CHECK(run, counts.done_nr == p->ref->out_nr && counts.horizon == p->ref->horizon);
    REF_CHECK(run, vos_dtx_oldest(p->h) == oldest);
    vos_dtx_list(p->h, &pos, infos, REF_TX_NR + 1, &got);
    REF_CHECK(run, got == nr && pos == UINT32_MAX);
    vos_dtx_committables(p->h, infos, REF_TX_NR + 1, &got);
    if (!REF_CHECK(run, got == ready_nr))
        return;
    for (uint32_t i = 0; i < got; i++) {
        for (uint32_t t = 0; t < REF_TX_NR; t++) {
            if (p->ref->txs[t].is_open && vos_dtx_id_eq(&p->ref->txs[t].id, &infos[i].id)) {
                REF_CHECK(run, p->ref->txs[t].ready > last);
                last = p->ref->txs[t].ready;
            }
        }
    }
    for (uint32_t i = 0; i < p->ref->out_nr && run->fail[0] == 0; i++) {
        if (i + 4 > p->ref->out_nr || rng_chance(&run->r, 1, 8))
            out_compare(run, p, &p->ref->outs[i].id);
    }
    run->sums.tx_many_nr += nr > 2;
}

void
ref_op_tx(struct ref_run *run, struct ref_place *p)
{
    uint32_t at = (uint32_t)rng_below(&run->r, REF_TX_NR);
    const struct ref_tx *tx = &p->ref->txs[at];
    uint64_t what = rng_below(&run->r, 20);

    if (p->ref->is_no_history)
        return;
    if (!tx->is_open) {
        if (what < 13) {
            tx_prepare(run, p, at);
        } else if (what < 16) {
            tx_again(run, p);
        } else if (what < 18) {
            outs_forget(run, p);
        } else {
            struct vos_dtx_id id = {
                .uuid = {.b = {1}}, .hlc = 1 + rng_below(&run->r, 1000 + run->op)};

            out_compare(run, p, &id);
        }
    } else if (tx->is_decided) {
        if (tx->ready == 0 && what < 5) {
            tx_ready(run, p, at);
        } else if (tx->ready != 0 && what < 4) {
            ref_rc(run, "abort", vos_dtx_abort(p->h, &tx->id, 1), -DER_EXIST);
        } else if (tx->ready != 0 && what < 6 && tx->part_nr < REF_PARTS_NR) {
            tx_prepare(run, p, at);
        } else if (what < 8) {
            tx_resend(run, p, at);
        } else if (tx->ready == 0 || what < 16)
            tx_decide(run, p, at, true);
    } else if (what < 5) {
        tx_decide(run, p, at, true);
    } else if (what < 11) {
        tx_decide(run, p, at, false);
    } else if (what < 14) {
        tx_ready(run, p, at);
    } else if (what < 18 && tx->part_nr < REF_PARTS_NR) {
        tx_prepare(run, p, at);
    } else {
        tx_resend(run, p, at);
    }
    if (run->fail[0] == 0)
        ref_txs_compare(run, p);
}
