/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Transactions that are decided later: the table in memory, what readers see, questions about it. */
#include "vos/vos_dtx.h"

#include <stdlib.h>
#include <string.h>

#include "vos/vos_priv.h"

/* ---- memory --------------------------------------------------------------------------------------------------------- */

static uint64_t
id_hash(const struct vos_dtx_id *id)
{
    return hash_bytes64(id, sizeof(*id), 0xd7);
}

struct vos_dtxs *
vos_dtxs_create(void)
{
    struct vos_dtxs *d = vos_mem_get(sizeof(*d));

    if (d == NULL)
        return NULL;
    list_init(&d->order);
    list_init(&d->ready);
    list_init(&d->fifo);
    d->lid_hint = 1;
    if (hmap_init(&d->ids, 4) == 0 && hmap_init(&d->dones, 4) == 0)
        return d;
    vos_dtxs_free(d);
    return NULL;
}

void
vos_dtxs_free(struct vos_dtxs *d)
{
    struct hmap_link *link;

    if (d == NULL)
        return;
    while ((link = hmap_pop(&d->ids)) != NULL) {
        vos_heap_free(CAIRN_CONTAINER_OF(link, struct vos_dtx_act, link));
    }
    while ((link = hmap_pop(&d->dones)) != NULL) {
        vos_heap_free(CAIRN_CONTAINER_OF(link, struct vos_dtx_done, link));
    }
    hmap_fini(&d->ids);
    hmap_fini(&d->dones);
    free(d->acts);
    free(d->blks);
    free(d);
}

struct vos_dtx_act *
vos_dtx_act_find(const struct vos_dtxs *d, const struct vos_dtx_id *id)
{
    struct vos_dtx_act *act;

    if (d == NULL)
        return NULL;
    HMAP_FOREACH_HASH(act, &d->ids, id_hash(id), struct vos_dtx_act, link) {
        if (vos_dtx_id_eq(&act->id, id))
            return act;
    }
    return NULL;
}

struct vos_dtx_done *
vos_dtx_done_find(const struct vos_dtxs *d, const struct vos_dtx_id *id)
{
    struct vos_dtx_done *done, *newest = NULL;

    if (d == NULL)
        return NULL;
    HMAP_FOREACH_HASH(done, &d->dones, id_hash(id), struct vos_dtx_done, link) {
        if (vos_dtx_id_eq(&done->id, id) && (newest == NULL || done->seq > newest->seq))
            newest = done;
    }
    return newest;
}

uint64_t
vos_dtx_slot_off(const struct vos_dtxs *d, uint32_t lid)
{
    return d->blks[(lid - 1) / VOS_DTX_SLOTS_NR] + offsetof(struct vos_dtx_slots_df, slots) +
        (lid - 1) % VOS_DTX_SLOTS_NR * sizeof(uint64_t);
}

int
vos_dtxs_grow(struct vos_dtxs *d)
{
    uint32_t cap = d->blk_cap == 0 ? 1 : d->blk_cap * 2;
    uint64_t *blks;
    struct vos_dtx_act **acts;

    if (d->blk_nr < d->blk_cap)
        return 0;
    blks = vos_mem_get(cap * sizeof(*blks));
    acts = vos_mem_get((size_t)cap * VOS_DTX_SLOTS_NR * sizeof(struct vos_dtx_act *));
    if (blks == NULL || acts == NULL) {
        free(blks);
        free(acts);
        return CAIRN_ERR(NOMEM);
    }
    if (d->blk_nr > 0) {
        memcpy(blks, d->blks, d->blk_nr * sizeof(*blks));
        memcpy(acts, d->acts, (size_t)d->blk_nr * VOS_DTX_SLOTS_NR * sizeof(struct vos_dtx_act *));
    }
    free(d->blks);
    free(d->acts);
    d->blks = blks;
    d->acts = acts;
    d->blk_cap = cap;
    return 0;
}

void
vos_dtx_act_add(struct vos_dtxs *d, struct vos_dtx_act *act)
{
    struct list_head *at = &d->order;

    /* Nearly always the newest. */
    while (at->prev != &d->order &&
        CAIRN_CONTAINER_OF(at->prev, struct vos_dtx_act, order)->epoch > act->epoch) {
        at = at->prev;
    }
    list_init(&act->order);
    list_init(&act->ready);
    list_add_tail(&act->order, at);
    hmap_insert(&d->ids, &act->link, id_hash(&act->id));
    d->acts[act->lid - 1] = act;
    d->act_nr++;
}

void
vos_dtx_act_drop(struct vos_dtxs *d, struct vos_dtx_act *act)
{
    list_del(&act->order);
    list_del(&act->ready);
    hmap_remove(&d->ids, &act->link);
    d->acts[act->lid - 1] = NULL;
    d->lid_hint = MIN(d->lid_hint, act->lid);
    d->act_nr--;
    vos_heap_free(act);
}

void
vos_dtx_done_add(struct vos_dtxs *d, struct vos_dtx_done *done)
{
    done->seq = ++d->done_seq;
    list_init(&done->fifo);
    list_add_tail(&done->fifo, &d->fifo);
    hmap_insert(&d->dones, &done->link, id_hash(&done->id));
    d->done_nr++;
}

void
vos_dtx_done_trim(struct vos_dtxs *d, uint32_t nr)
{
    for (; nr > 0; nr--) {
        struct vos_dtx_done *done = LIST_FIRST(&d->fifo, struct vos_dtx_done, fifo);

        list_del(&done->fifo);
        hmap_remove(&d->dones, &done->link);
        d->done_nr--;
        vos_heap_free(done);
    }
}

/* ---- marks ---------------------------------------------------------------------------------------------------------- */

static const struct vos_dtx_act *
act_at(const struct vos_dtxs *d, uint32_t lid)
{
    return d == NULL || lid == 0 || lid > d->blk_nr * VOS_DTX_SLOTS_NR ? NULL : d->acts[lid - 1];
}

int
vos_dtx_judge(struct vos_op *op, uint32_t lid)
{
    const struct vos_dtx_act *act;

    if (op->lid != 0 && lid == op->lid)
        return VOS_MARK_SEEN;
    act = act_at(op->dtxs, lid);
    if (act == NULL)
        return vos_bad(lid, "mark of a transaction");
    if (act->state == VOS_DTX_COMMITTED || act->state == VOS_DTX_COMMITTABLE)
        return VOS_MARK_SEEN;
    if (act->state == VOS_DTX_ABORTED)
        return VOS_MARK_GONE;
    return op->look != NULL && vos_dtx_id_eq(&act->id, &op->look->own) ? VOS_MARK_SEEN
                                                                       : VOS_MARK_OPEN;
}

void
vos_dtx_ask(struct vos_op *op, uint32_t lid)
{
    const struct vos_dtx_act *act = act_at(op->dtxs, lid);
    struct vos_dtx_look *look = op->look;

    if (look == NULL || look->is_passing || act == NULL)
        return;
    look->nr++;
    if (look->asks == NULL)
        return;
    for (uint32_t i = 0; i < look->asks->nr; i++) {
        if (vos_dtx_id_eq(&look->asks->ids[i], &act->id))
            return;
    }
    if (look->asks->nr < VOS_DTX_ASKS_NR_MAX)
        look->asks->ids[look->asks->nr++] = act->id;
}

int
vos_dtx_sees(struct vos_op *op, uint32_t lid, bool *ret_sees)
{
    int mark = vos_dtx_judge(op, lid);

    if (mark < 0)
        return mark;
    if (mark == VOS_MARK_OPEN)
        vos_dtx_ask(op, lid);
    *ret_sees = mark == VOS_MARK_SEEN;
    return 0;
}

void
vos_dtx_look_init(struct vos_dtx_look *look, struct vos_dtx_view *view)
{
    look->nr = 0;
    if (view == NULL) {
        look->own = (struct vos_dtx_id){0};
        look->is_passing = false;
        look->asks = NULL;
        return;
    }
    look->own = view->own;
    look->is_passing = view->is_passing;
    look->asks = &view->asks;
    view->asks.nr = 0;
}

int
vos_dtx_look_rc(const struct vos_dtx_look *look, int rc)
{
    return look->nr > 0 && (rc == 0 || rc == -DER_NONEXIST) ? CAIRN_ERR(INPROGRESS) : rc;
}

/* ---- checked records ------------------------------------------------------------------------------------------------ */

#define DTX_GET(name_, type_, magic_, is_good_) \
    int name_(struct vos_op *op, uint64_t off, struct type_ **ret) \
    { \
        struct type_ *rec; \
        int rc = vos_ptr(op, off, sizeof(*rec), &rec); \
        if (rc != 0) \
            return rc; \
        if (rec->magic != (magic_) || !(is_good_)) \
            return vos_bad(off, "table of transactions"); \
        *ret = rec; \
        return 0; \
    }

static bool
rec_is_plausible(const struct vos_dtx_df *rec, uint64_t off)
{
    return rec->state >= VOS_DTX_DF_PREPARED && rec->state <= VOS_DTX_DF_ABORTED && rec->lid != 0 &&
        rec->epoch != 0 && rec->blob_len <= VOS_DTX_BLOB_BYTES_MAX &&
        rec->inline_cap <= VOS_DTX_INLINE_REFS_NR_MAX && rec->inline_nr <= rec->inline_cap &&
        rec->inline_nr <= rec->ref_nr && (rec->refs == 0) == (rec->inline_nr == rec->ref_nr) &&
        (off & (UMEM_PAGE_BYTES - 1)) + vos_dtx_bytes(rec) <= UMEM_PAGE_BYTES;
}

DTX_GET(vos_dtx_tab_get, vos_dtx_tab_df, VOS_DTX_TAB_MAGIC, true)
DTX_GET(vos_dtx_slots_get, vos_dtx_slots_df, VOS_DTX_SLOTS_MAGIC, true)
DTX_GET(vos_dtx_get, vos_dtx_df, VOS_DTX_MAGIC, rec_is_plausible(rec, off))
DTX_GET(vos_dtx_refs_get, vos_dtx_refs_df, VOS_DTX_REFS_MAGIC,
    rec->nr > 0 && rec->nr <= VOS_DTX_REFS_NR)
DTX_GET(vos_dtx_done_get, vos_dtx_done_df, VOS_DTX_DONE_MAGIC,
    rec->first <= rec->end && rec->end <= VOS_DTX_DONES_NR)

/* ---- loading -------------------------------------------------------------------------------------------------------- */

struct load {
    struct vos_cont *cont;
    struct vos_dtxs *d;
    uint64_t blk; /* slots at hand */
    uint32_t idx;
    uint64_t done, done_left, done_end_nr;
    bool is_begun, in_dones;
};

static int
load_act(struct vos_op *op, struct load *l, uint64_t off, uint32_t lid)
{
    struct vos_dtx_act *act;
    struct vos_dtx_df *rec;
    int rc = vos_dtx_get(op, off, &rec);

    if (rc == 0 && rec->lid != lid)
        rc = vos_bad(off, "lid of a transaction");
    if (rc != 0)
        return rc;
    act = vos_heap_alloc(&l->cont->tgt->heap, sizeof(*act));
    if (act == NULL)
        return CAIRN_ERR(NOMEM);
    *act = (struct vos_dtx_act){0};
    memcpy(act->id.uuid.b, rec->uuid, sizeof(rec->uuid));
    act->id.hlc = rec->hlc;
    act->state = rec->state == VOS_DTX_DF_PREPARED ? VOS_DTX_PREPARED
        : rec->state == VOS_DTX_DF_COMMITTED       ? VOS_DTX_COMMITTED
                                                   : VOS_DTX_ABORTED;
    act->epoch = rec->epoch;
    act->off = off;
    act->ref_nr = rec->ref_nr;
    act->since_ns = ult_now_ns();
    act->lid = lid;
    act->flags = rec->flags;
    act->pm_ver = rec->pm_ver;
    act->part_nr = rec->part_nr;
    act->blob_len = rec->blob_len;
    act->minor = rec->minor;
    vos_dtx_act_add(l->d, act);
    return 0;
}

static int
load_slots(struct vos_op *op, struct load *l)
{
    struct vos_dtx_slots_df *blk;
    int rc = vos_dtx_slots_get(op, l->blk, &blk);

    if (rc == 0 && l->idx == 0) {
        if (l->d->blk_nr >= VOS_DTX_ACTIVE_NR_MAX / VOS_DTX_SLOTS_NR)
            return vos_bad(l->blk, "table of transactions");
        rc = vos_dtxs_grow(l->d);
        if (rc == 0)
            l->d->blks[l->d->blk_nr++] = l->blk;
    }
    for (; rc == 0 && l->idx < VOS_DTX_SLOTS_NR; l->idx++) {
        if (blk->slots[l->idx] != 0) {
            rc = load_act(
                op, l, blk->slots[l->idx], (l->d->blk_nr - 1) * VOS_DTX_SLOTS_NR + l->idx + 1);
        }
        /* Not the block once more when the record was missing. */
        if (rc == -DER_AGAIN && l->idx == 0)
            l->d->blk_nr--;
        if (rc != 0)
            return rc;
    }
    if (rc == 0) {
        l->idx = 0;
        l->blk = blk->next;
    }
    return rc;
}

static int
load_dones(struct vos_op *op, struct load *l)
{
    struct vos_dtx_done_df *blk;
    struct vos_dtx_done *done;
    int rc = vos_dtx_done_get(op, l->done, &blk);

    if (rc != 0)
        return rc;
    if ((uint32_t)(blk->end - blk->first) > l->done_left || blk->end == blk->first)
        return vos_bad(l->done, "outcomes of transactions");
    for (uint32_t i = blk->first; i < blk->end; i++) {
        done = vos_heap_alloc(&l->cont->tgt->heap, sizeof(*done));
        if (done == NULL)
            return CAIRN_ERR(NOMEM);
        *done = (struct vos_dtx_done){0};
        memcpy(done->id.uuid.b, blk->outs[i].uuid, sizeof(blk->outs[i].uuid));
        done->id.hlc = blk->outs[i].hlc;
        done->epoch = blk->outs[i].epoch;
        done->is_aborted = (blk->aborted >> i & 1) != 0;
        vos_dtx_done_add(l->d, done);
    }
    l->done_left -= blk->end - blk->first;
    l->done = blk->next;
    return l->done == 0 && l->done_left != 0 ? vos_bad(l->d->off, "outcomes of transactions") : 0;
}

static int
load_body(struct vos_op *op, void *arg)
{
    struct load *l = arg;
    struct vos_dtx_tab_df *tab;
    struct vos_cont_df *rec;
    int rc = 0;

    if (!l->is_begun) {
        rc = vos_cont_get(op, l->cont->off, &rec);
        if (rc != 0 || rec->dtx == 0)
            return rc;
        rc = vos_dtx_tab_get(op, rec->dtx, &tab);
        if (rc != 0)
            return rc;
        if (l->d == NULL)
            l->d = l->cont->dtxs = vos_dtxs_create();
        if (l->d == NULL)
            return CAIRN_ERR(NOMEM);
        l->d->off = rec->dtx;
        l->d->horizon = tab->horizon;
        l->blk = tab->slots;
        l->done = tab->done_head;
        l->done_left = tab->done_nr;
        if (tab->done_nr > VOS_DTX_DONE_NR_MAX || (tab->done_head == 0) != (tab->done_tail == 0) ||
            (tab->done_head == 0 && tab->done_nr != 0))
            return vos_bad(rec->dtx, "table of transactions");
        l->is_begun = true;
    }
    while (rc == 0 && (l->blk != 0 || l->done != 0)) {
        if (op->steps_left < VOS_DTX_SLOTS_NR)
            return -DER_INPROGRESS;
        op->steps_left -= VOS_DTX_SLOTS_NR;
        rc = l->blk != 0 ? load_slots(op, l) : load_dones(op, l);
    }
    return rc;
}

int
vos_dtx_load(struct vos_cont *cont)
{
    struct load l = {.cont = cont};
    struct vos_op op;
    int rc;

    vos_op_init(&op, cont->tgt);
    rc = vos_read_run(cont->tgt, &op, load_body, &l);
    if (rc != 0) {
        vos_dtxs_free(l.d);
        cont->dtxs = NULL;
    }
    return rc;
}

/* ---- questions ------------------------------------------------------------------------------------------------------ */

static void
info_of(const struct vos_dtx_act *act, struct vos_dtx_info *ret_info)
{
    *ret_info = (struct vos_dtx_info){.id = act->id,
        .state = act->state,
        .epoch = act->epoch,
        .is_active = true,
        .lid = act->lid,
        .flags = act->flags,
        .pm_ver = act->pm_ver,
        .part_nr = act->part_nr,
        .blob_len = act->blob_len,
        .ref_nr = act->ref_nr,
        .since_ns = act->since_ns};
}

int
vos_dtx_lookup(const struct vos_cont *cont, const struct vos_dtx_id *id, struct vos_dtx_info *ret_info)
{
    const struct vos_dtx_act *act = vos_dtx_act_find(cont->dtxs, id);
    const struct vos_dtx_done *done;

    if (act != NULL) {
        info_of(act, ret_info);
        return 0;
    }
    done = vos_dtx_done_find(cont->dtxs, id);
    if (done != NULL) {
        *ret_info = (struct vos_dtx_info){.id = *id,
            .state = done->is_aborted ? VOS_DTX_ABORTED : VOS_DTX_COMMITTED,
            .epoch = done->epoch};
        return 0;
    }
    if (cont->dtxs != NULL && id->hlc <= cont->dtxs->horizon)
        return CAIRN_ERR(TX_UNCERTAIN);
    return CAIRN_ERR(NONEXIST);
}

struct blob {
    const struct vos_cont *cont;
    const struct vos_dtx_id *id;
    void *buf;
    size_t buf_len, len;
};

static int
blob_body(struct vos_op *op, void *arg)
{
    struct blob *b = arg;
    const struct vos_dtx_act *act = vos_dtx_act_find(b->cont->dtxs, b->id);
    struct vos_dtx_df *rec;
    int rc = act == NULL ? CAIRN_ERR(NONEXIST) : vos_dtx_get(op, act->off, &rec);

    if (rc != 0)
        return rc;
    if (rec->blob_len > b->buf_len)
        return CAIRN_ERR(OVERFLOW);
    b->len = rec->blob_len;
    if (b->len > 0)
        memcpy(b->buf, rec + 1, b->len);
    return 0;
}

int
vos_dtx_blob(
    struct vos_cont *cont, const struct vos_dtx_id *id, void *buf, size_t buf_len, size_t *ret_len)
{
    struct blob b = {.cont = cont, .id = id, .buf = buf, .buf_len = buf_len};
    struct vos_op op;
    int rc;

    vos_op_init(&op, cont->tgt);
    rc = vos_read_run(cont->tgt, &op, blob_body, &b);
    if (rc == 0)
        rc = vos_wait(cont->tgt, cont->lsn_last); /* perhaps it was just prepared */
    if (rc == 0)
        *ret_len = b.len;
    return rc;
}

int
vos_dtx_committable(struct vos_cont *cont, const struct vos_dtx_id *id)
{
    struct vos_dtx_act *act = vos_dtx_act_find(cont->dtxs, id);
    const struct vos_dtx_done *done = vos_dtx_done_find(cont->dtxs, id);

    if (act == NULL)
        return done != NULL && !done->is_aborted ? 0 : CAIRN_ERR(NONEXIST);
    if (act->state == VOS_DTX_ABORTED)
        return CAIRN_ERR(NONEXIST);
    if (act->state != VOS_DTX_PREPARED)
        return 0;
    act->state = VOS_DTX_COMMITTABLE;
    act->since_ns = ult_now_ns();
    list_add_tail(&act->ready, &cont->dtxs->ready);
    return 0;
}

void
vos_dtx_list(
    struct vos_cont *cont, uint32_t *pos, struct vos_dtx_info *infos, uint32_t nr, uint32_t *ret_nr)
{
    const struct vos_dtxs *d = cont->dtxs;
    uint32_t cap = d == NULL ? 0 : d->blk_nr * VOS_DTX_SLOTS_NR, lid = MAX(*pos, UINT32_C(1));

    *ret_nr = 0;
    for (; lid <= cap && *ret_nr < nr; lid++) {
        if (d->acts[lid - 1] != NULL)
            info_of(d->acts[lid - 1], &infos[(*ret_nr)++]);
    }
    *pos = lid > cap ? UINT32_MAX : lid;
}

void
vos_dtx_committables(struct vos_cont *cont, struct vos_dtx_info *infos, uint32_t nr, uint32_t *ret_nr)
{
    struct vos_dtx_act *act;

    *ret_nr = 0;
    if (cont->dtxs == NULL)
        return;
    LIST_FOREACH(act, &cont->dtxs->ready, struct vos_dtx_act, ready) {
        if (*ret_nr == nr)
            return;
        info_of(act, &infos[(*ret_nr)++]);
    }
}

uint64_t
vos_dtx_oldest(const struct vos_cont *cont)
{
    const struct vos_dtxs *d = cont->dtxs;

    if (d == NULL || list_empty(&d->order))
        return VOS_EPOCH_MAX;
    return LIST_FIRST(&d->order, struct vos_dtx_act, order)->epoch;
}

bool
vos_dtx_is_between(const struct vos_cont *cont, uint64_t lo, uint64_t hi)
{
    const struct vos_dtx_act *act;

    if (cont->dtxs == NULL)
        return false;
    LIST_FOREACH(act, &cont->dtxs->order, struct vos_dtx_act, order) {
        if (act->epoch >= lo)
            return act->epoch <= hi;
    }
    return false;
}

bool
vos_dtx_is_after(const struct vos_cont *cont, uint64_t epoch)
{
    const struct vos_dtxs *d = cont->dtxs;

    return d != NULL && !list_empty(&d->order) &&
        CAIRN_CONTAINER_OF(d->order.prev, struct vos_dtx_act, order)->epoch > epoch;
}

void
vos_dtx_count(const struct vos_cont *cont, struct vos_dtx_counts *ret_counts)
{
    const struct vos_dtx_act *act;

    *ret_counts = (struct vos_dtx_counts){0};
    if (cont->dtxs == NULL)
        return;
    ret_counts->active_nr = cont->dtxs->act_nr;
    ret_counts->done_nr = cont->dtxs->done_nr;
    ret_counts->horizon = cont->dtxs->horizon;
    LIST_FOREACH(act, &cont->dtxs->ready, struct vos_dtx_act, ready) {
        ret_counts->committable_nr++;
    }
}
