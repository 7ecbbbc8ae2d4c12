/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Hints of fetches and changes: see vos_hint.h. */
#include "vos/vos_hint.h"

#include "vos/vos_priv.h"

/* What a hint waits for: it was asked for, and is looked at in the next turn. */
enum hint_what { HINT_NODE, HINT_DKEY, HINT_AKEY, HINT_VERSION, HINT_VALUE, HINT_END };

enum { KEY_LINES_BYTES = 128 };

/* `len` bytes of a record, if they are in memory and in one page. */
static inline const void *
hint_ptr(const struct umem *um, uint64_t off, uint32_t len)
{
    return (off & 7) != 0 || (off & (UMEM_PAGE_BYTES - 1)) + len > UMEM_PAGE_BYTES
        ? NULL
        : umem_peek(um, off);
}

static void
node_next(const struct umem *um, struct vos_hint *h, const struct vos_btr_kind *kind, uint64_t hkey,
    const struct vos_tree_df *tree)
{
    h->what = HINT_NODE;
    h->kind = kind;
    h->hkey = hkey;
    h->off = tree->root;
    h->level = (uint8_t)(tree->depth - 1);
    vos_btr_hint(um, h->off);
}

static void
rec_next(const struct umem *um, struct vos_hint *h, enum hint_what what, uint64_t off, uint32_t len)
{
    const void *p = umem_peek(um, off);

    h->what = what;
    h->off = off;
    if (p != NULL)
        vos_prefetch(p, len);
}

/* The record of the value. Long values are asked for later. */
static void
value_next(const struct umem *um, struct vos_hint *h, uint64_t off, const struct vos_cont *cont)
{
    uint32_t head = sizeof(struct vos_ver_df) + 2 * sizeof(uint64_t);
    bool is_long = cont->long_bytes != 0;

    if (h->is_change) {
        rec_next(um, h, HINT_END, off, sizeof(uint64_t)); /* its epoch alone */
        return;
    }
    rec_next(um, h, is_long ? HINT_VERSION : HINT_VALUE, off,
        is_long ? head : MAX(cont->single_bytes, head));
}

/* A long value may lie apart. */
static void
version_step(const struct umem *um, struct vos_hint *h)
{
    const void *p = hint_ptr(um, h->off, sizeof(struct vos_ver_df));
    struct vos_ver ver;

    h->what = HINT_END;
    if (p == NULL ||
        !vos_ver_decode(p, UMEM_PAGE_BYTES - (uint32_t)(h->off & (UMEM_PAGE_BYTES - 1)), &ver))
        return;
    h->what = HINT_VALUE;
    if (ver.apart != 0)
        h->off = ver.apart;
}

static const struct vos_key_df *
key_of(const struct umem *um, const struct vos_hint *h, uint8_t magic)
{
    const struct vos_key_df *key = hint_ptr(um, h->off, sizeof(*key));

    return key == NULL || key->magic != magic ? NULL : key;
}

static void
akey_step(const struct umem *um, struct vos_hint *h, const struct vos_cont *cont)
{
    const struct vos_key_df *key = key_of(um, h, VOS_AKEY_MAGIC);

    h->what = HINT_END;
    if (key == NULL || key->tree.root == 0)
        return;
    if (key->tree.depth == 0) {
        value_next(um, h, key->tree.root, cont);
    } else if (key->tree.id == VOS_TREE_SINGLE && !h->is_change) {
        node_next(um, h, &vos_kind_single, h->epoch, &key->tree);
    } else {
        vos_btr_hint(um,
            key->tree.root); /* where the search of extents begins, or the newest version comes to */
    }
}

static void
dkey_step(const struct umem *um, struct vos_hint *h, const struct vos_cont *cont)
{
    const struct vos_key_df *key = key_of(um, h, VOS_DKEY_MAGIC);

    h->is_below = true;
    h->dkey_off = h->off;
    if (key == NULL || key->tree.root == 0) {
        h->what = HINT_END;
    } else if (key->tree.depth > 0) {
        node_next(um, h, h->akey_kind, h->akey_hkey, &key->tree);
    } else if (key->tree.root - h->off < KEY_LINES_BYTES - sizeof(*key)) {
        h->off = key->tree.root; /* it came with its dkey */
        akey_step(um, h, cont);
    } else {
        rec_next(um, h, HINT_AKEY, key->tree.root, sizeof(*key));
    }
}

static void
node_step(const struct umem *um, struct vos_hint *h, const struct vos_cont *cont)
{
    uint64_t off;

    if (!vos_btr_hint_step(um, h->kind, h->off, h->level, h->hkey, &off)) {
        h->what = HINT_END;
    } else if (h->level > 0) {
        h->level--;
        h->off = off;
        vos_btr_hint(um, off);
    } else if (h->kind == &vos_kind_single) {
        value_next(um, h, off, cont);
    } else if (h->is_below) {
        rec_next(um, h, HINT_AKEY, off, sizeof(struct vos_key_df));
    } else {
        rec_next(um, h, HINT_DKEY, off, KEY_LINES_BYTES);
    }
}

static void
value_ahead(const struct vos_cont *cont, const struct vos_hint *h)
{
    const uint8_t *p = h->what == HINT_VALUE ? umem_peek(cont->tgt->um, h->off) : NULL;

    if (p != NULL)
        vos_value_ahead(p, cont->long_bytes);
}

static void
round_walk(const struct vos_cont *cont, struct vos_hint_round *round)
{
    struct vos_tgt *tgt = cont->tgt;
    const struct umem *um = tgt->um;
    uint32_t live = 1;

    while (live > 0) {
        live = 0;
        for (uint32_t i = 0; i < round->nr; i++) {
            struct vos_hint *h = &round->hints[i];

            switch (h->what) {
            case HINT_NODE:
                node_step(um, h, cont);
                live++;
                break;
            case HINT_DKEY:
                dkey_step(um, h, cont);
                live++;
                break;
            case HINT_AKEY:
                akey_step(um, h, cont);
                live++;
                break;
            case HINT_VERSION:
                version_step(um, h);
                live++;
                break;
            default:;
            }
        }
    }
    round->is_walked = true;
    round->cut_nr = tgt->cut_nr;
    tgt->hints.walked_nr += round->nr;
    if (cont->long_bytes != 0)
        value_ahead(cont, &round->hints[0]);
}

/* The one that is gathered, with room for one more. */
static struct vos_hint_round *
round_get(const struct vos_cont *cont)
{
    struct vos_hints *hints = &cont->tgt->hints;
    struct vos_hint_round *round = &hints->rounds[hints->id % VOS_HINT_ROUNDS_NR];

    if (!round->is_walked && round->nr == VOS_HINT_NR)
        round_walk(cont, round);
    if (round->is_walked || hints->id == 0) {
        hints->id++;
        round = &hints->rounds[hints->id % VOS_HINT_ROUNDS_NR];
        round->id = hints->id;
        round->nr = 0;
        round->is_walked = false;
    }
    return round;
}

/* Where the walk begins; false: it does not pay. */
static bool
tree_of(const struct vos_cont *cont, const struct vos_walk *w, struct vos_tree_df *ret_tree)
{
    const struct vos_held *held = w->held;
    const struct vos_obj_df *obj;

    if (held->off == 0 || held->gen != cont->tgt->held_gen || held->cont_off != cont->off)
        return false;
    obj = hint_ptr(cont->tgt->um, held->off, sizeof(*obj));
    if (obj == NULL || obj->magic != VOS_OBJ_MAGIC)
        return false;
    *ret_tree = obj->dkeys;
    return obj->dkeys.depth <= VOS_BTR_DEPTH_MAX &&
        obj->dkeys.depth >= (cont->long_bytes != 0 ? 1 : VOS_HINT_DEPTH_MIN);
}

/* Whether requests look at one dkey after the other: then its lines are at hand. */
static bool
is_near(struct vos_hints *hints, uint64_t dkey_hkey)
{
    if (dkey_hkey == hints->last_hkey) {
        hints->near_nr = VOS_HINT_NEAR_NR;
    } else if (hints->near_nr > 0) {
        hints->near_nr--;
    }
    hints->last_hkey = dkey_hkey;
    return hints->near_nr > 0;
}

static struct vos_hint *
hint_run(struct vos_cont *cont, const struct vos_walk *w, uint64_t dkey_hkey,
    const struct vos_hint *as, struct vos_hint_found *ret_found)
{
    struct vos_tgt *tgt = cont->tgt;
    struct vos_hint_round *round;
    struct vos_tree_df tree;
    struct vos_hint *h;
    uint64_t id;

    ret_found->dkey_off = 0;
    if (is_near(&tgt->hints, dkey_hkey) || !ult_has_peer() || !tree_of(cont, w, &tree))
        return NULL;
    round = round_get(cont);
    id = round->id;
    h = &round->hints[round->nr++];
    h->akey_kind = w->akey_kind;
    h->akey_hkey = as->akey_hkey;
    h->epoch = as->epoch;
    h->is_change = as->is_change;
    h->dkey_off = 0;
    h->is_below = false;
    node_next(tgt->um, h, w->dkey_kind, dkey_hkey, &tree);
    ult_yield();
    if (CAIRN_UNLIKELY(round->id != id))
        return NULL; /* long over */
    if (!round->is_walked)
        round_walk(cont, round);
    ret_found->dkey_off = h->dkey_off;
    ret_found->cut_nr = round->cut_nr;
    return h + 1 < &round->hints[round->nr] ? h + 1 : NULL;
}

void
vos_hint_fetch(struct vos_cont *cont, const struct vos_walk *w, uint64_t dkey_hkey,
    uint64_t akey_hkey, uint64_t epoch, struct vos_hint_found *ret_found)
{
    const struct vos_hint as = {.akey_hkey = akey_hkey, .epoch = epoch};
    const struct vos_hint *next = hint_run(cont, w, dkey_hkey, &as, ret_found);

    if (cont->long_bytes != 0 && next != NULL)
        value_ahead(cont, next);
}

void
vos_hint_change(struct vos_cont *cont, const struct vos_walk *w, uint64_t dkey_hkey,
    uint64_t akey_hkey, struct vos_hint_found *ret_found)
{
    const struct vos_hint as = {.akey_hkey = akey_hkey, .epoch = UINT64_MAX, .is_change = true};

    (void)hint_run(cont, w, dkey_hkey, &as, ret_found);
}

void
vos_hint_value(struct vos_cont *cont, uint64_t off, uint32_t bytes)
{
    const uint64_t mask = UMEM_PAGE_BYTES - 1;
    struct vos_hint_row *row = &cont->row;
    const uint8_t *next;

    cont->long_bytes = bytes < VOS_HINT_LONG_BYTES ? 0 : bytes;
    if (cont->long_bytes == 0 || off == row->last)
        return;
    if (off == row->next) {
        row->hit_nr = MIN(row->hit_nr + 1, (uint32_t)VOS_HINT_ROW_NR);
    } else {
        row->hit_nr /= 2;
    }
    if ((off ^ row->last) > mask) {
        row->place = (uint32_t)(off & mask);
    } else {
        row->stride = (int32_t)(off - row->last);
    }
    row->last = off;
    row->next = off + (uint64_t)row->stride;
    if ((row->next ^ off) > mask || (row->next & mask) + bytes > UMEM_PAGE_BYTES)
        row->next = (off | mask) + 1 + row->place;
    next = row->hit_nr < VOS_HINT_ROW_NR / 2 ? NULL : hint_ptr(cont->tgt->um, row->next, 0);
    if (next != NULL)
        vos_value_ahead(next, bytes);
}
