/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Two dense arrays, each with a table of slots that is probed linearly; the dkeys of an object are chained. Without memory nothing is remembered, which is always right. */
#include "vos/vos_dirty.h"

#include "base/hash.h"
#include "base/util.h"
#include "vos/vos_heap.h"

#include <stdlib.h>
#include <string.h>

enum { CAP_MIN = 64, NONE = UINT32_MAX };

struct vos_dirty_obj {
    uint64_t obj;
    uint64_t epoch; /* newest change */
    uint64_t whole; /* up to here anything may be old; 0: nothing but the dkeys */
    uint32_t first; /* dkey, or NONE */
    uint32_t dkey_nr;
};

struct vos_dirty_dkey {
    uint64_t obj, hkey;
    uint64_t epoch; /* newest change */
    uint32_t next; /* of the same object, or NONE */
};

void
vos_dirty_init(struct vos_dirty *d, uint64_t done)
{
    *d = (struct vos_dirty){.done = done};
}

void
vos_dirty_fini(struct vos_dirty *d)
{
    free(d->objs);
    free(d->dkeys);
    free(d->obj_slots);
    free(d->dkey_slots);
    *d = (struct vos_dirty){0};
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static uint32_t
obj_hash(uint64_t obj)
{
    return (uint32_t)hash_mix64(obj);
}

static uint32_t
dkey_hash(uint64_t obj, uint64_t hkey)
{
    return (uint32_t)hash_mix64(obj + hash_mix64(hkey));
}

/* The slot of the object, or the free one where it belongs. */
static uint32_t *
obj_slot(const struct vos_dirty *d, uint64_t obj)
{
    uint32_t mask = 2 * d->obj_cap - 1, i = obj_hash(obj) & mask;

    while (d->obj_slots[i] != 0 && d->objs[d->obj_slots[i] - 1].obj != obj) {
        i = (i + 1) & mask;
    }
    return &d->obj_slots[i];
}

static uint32_t *
dkey_slot(const struct vos_dirty *d, uint64_t obj, uint64_t hkey)
{
    uint32_t mask = 2 * d->dkey_cap - 1, i = dkey_hash(obj, hkey) & mask;

    for (;;) {
        const struct vos_dirty_dkey *k;

        if (d->dkey_slots[i] == 0)
            return &d->dkey_slots[i];
        k = &d->dkeys[d->dkey_slots[i] - 1];
        if (k->obj == obj && k->hkey == hkey)
            return &d->dkey_slots[i];
        i = (i + 1) & mask;
    }
}

static struct vos_dirty_obj *
obj_find(const struct vos_dirty *d, uint64_t obj)
{
    uint32_t *slot;

    if (d->obj_nr == 0)
        return NULL;
    slot = obj_slot(d, obj);
    return *slot == 0 ? NULL : &d->objs[*slot - 1];
}

static void
slots_fill(struct vos_dirty *d)
{
    if (d->obj_cap > 0)
        memset(d->obj_slots, 0, 2 * d->obj_cap * sizeof(uint32_t));
    if (d->dkey_cap > 0)
        memset(d->dkey_slots, 0, 2 * d->dkey_cap * sizeof(uint32_t));
    for (uint32_t i = 0; i < d->obj_nr; i++) {
        *obj_slot(d, d->objs[i].obj) = i + 1;
        d->objs[i].first = NONE;
        d->objs[i].dkey_nr = 0;
    }
    for (uint32_t i = 0; i < d->dkey_nr; i++) {
        struct vos_dirty_obj *o = obj_find(d, d->dkeys[i].obj);

        *dkey_slot(d, d->dkeys[i].obj, d->dkeys[i].hkey) = i + 1;
        d->dkeys[i].next = o->first;
        o->first = i;
        o->dkey_nr++;
    }
}

/* An array and its slots with room for twice as many. */
static bool
grow(void **array, uint32_t **slots, size_t bytes, uint32_t nr, uint32_t *cap, uint32_t max)
{
    uint32_t want = MAX((uint32_t)CAP_MIN, *cap * 2);
    uint32_t *new_slots;
    void *mem;

    if (want > max)
        return false;
    mem = vos_mem_get(want * bytes);
    new_slots = vos_mem_get(2 * want * sizeof(uint32_t));
    if (mem == NULL || new_slots == NULL) {
        free(mem);
        free(new_slots);
        return false;
    }
    if (nr > 0)
        memcpy(mem, *array, nr * bytes);
    free(*array);
    free(*slots);
    *array = mem;
    *slots = new_slots;
    *cap = want;
    return true;
}

static struct vos_dirty_obj *
obj_get(struct vos_dirty *d, uint64_t obj, bool *ret_new)
{
    struct vos_dirty_obj *o = obj_find(d, obj);

    *ret_new = o == NULL;
    if (o != NULL)
        return o;
    if (d->obj_nr == d->obj_cap) {
        if (!grow((void **)&d->objs, &d->obj_slots, sizeof(*d->objs), d->obj_nr, &d->obj_cap,
                VOS_DIRTY_OBJS_NR_MAX))
            return NULL;
        slots_fill(d);
    }
    o = &d->objs[d->obj_nr];
    *o = (struct vos_dirty_obj){.obj = obj, .first = NONE};
    *obj_slot(d, obj) = ++d->obj_nr;
    return o;
}

/* ---- changes -------------------------------------------------------------------------------------------------------- */

void
vos_dirty_obj_changed(struct vos_dirty *d, uint64_t obj, uint64_t before, uint64_t epoch)
{
    bool is_new;
    struct vos_dirty_obj *o = obj_get(d, obj, &is_new);

    if (o == NULL)
        return;
    if (is_new && before > d->done)
        o->whole = before; /* DTY-1 */
    o->epoch = MAX(o->epoch, MAX(before, epoch));
}

void
vos_dirty_ahead(const struct vos_dirty *d, uint64_t obj, uint64_t hkey)
{
    if (d->dkey_cap > 0)
        __builtin_prefetch(&d->dkey_slots[dkey_hash(obj, hkey) & (2 * d->dkey_cap - 1)], 1);
}

void
vos_dirty_dkey(struct vos_dirty *d, uint64_t obj, uint64_t hkey, uint64_t epoch)
{
    struct vos_dirty_obj *o = obj_find(d, obj);
    struct vos_dirty_dkey *k;
    uint32_t *slot;

    if (o == NULL)
        return; /* it is looked at as a whole */
    o->epoch = MAX(o->epoch, epoch);
    slot = d->dkey_nr == 0 ? NULL : dkey_slot(d, obj, hkey);
    if (slot != NULL && *slot != 0) {
        k = &d->dkeys[*slot - 1];
        k->epoch = MAX(k->epoch, epoch);
        return;
    }
    if (d->dkey_nr == d->dkey_cap) {
        if (!grow((void **)&d->dkeys, &d->dkey_slots, sizeof(*d->dkeys), d->dkey_nr, &d->dkey_cap,
                VOS_DIRTY_DKEYS_NR_MAX)) {
            o->whole = MAX(o->whole, epoch);
            return;
        }
        slots_fill(d);
    }
    k = &d->dkeys[d->dkey_nr];
    *k = (struct vos_dirty_dkey){.obj = obj, .hkey = hkey, .epoch = epoch, .next = o->first};
    o->first = d->dkey_nr;
    o->dkey_nr++;
    *dkey_slot(d, obj, hkey) = ++d->dkey_nr;
}

bool
vos_dirty_whole(struct vos_dirty *d, uint64_t obj, uint64_t epoch)
{
    bool is_new;
    struct vos_dirty_obj *o = obj_get(d, obj, &is_new);

    if (o == NULL)
        return false;
    o->epoch = MAX(o->epoch, epoch);
    o->whole = MAX(o->whole, epoch);
    return true;
}

void
vos_dirty_done(struct vos_dirty *d, uint64_t hi)
{
    uint32_t nr = 0;

    if (hi <= d->done)
        return;
    d->done = hi;
    for (uint32_t i = 0; i < d->dkey_nr; i++) {
        if (d->dkeys[i].epoch > hi)
            d->dkeys[nr++] = d->dkeys[i];
    }
    d->dkey_nr = nr;
    nr = 0;
    for (uint32_t i = 0; i < d->obj_nr; i++) {
        struct vos_dirty_obj *o = &d->objs[i];

        if (o->whole <= hi)
            o->whole = 0;
        if (o->epoch > hi)
            d->objs[nr++] = *o;
    }
    d->obj_nr = nr;
    slots_fill(d);
}

/* ---- for a pass ----------------------------------------------------------------------------------------------------- */

bool
vos_dirty_knows(const struct vos_dirty *d, uint64_t obj)
{
    return obj_find(d, obj) != NULL;
}

bool
vos_dirty_has(const struct vos_dirty *d, uint64_t obj)
{
    const struct vos_dirty_obj *o = obj_find(d, obj);

    return o != NULL && (o->whole != 0 || o->dkey_nr > 0);
}

static int
u64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

bool
vos_dirty_get(const struct vos_dirty *d, uint64_t obj, uint64_t *hkeys, uint32_t *ret_nr)
{
    const struct vos_dirty_obj *o = obj_find(d, obj);
    uint32_t nr = 0;

    if (o == NULL || o->whole != 0)
        return false;
    for (uint32_t i = o->first; i != NONE; i = d->dkeys[i].next) {
        hkeys[nr++] = d->dkeys[i].hkey;
    }
    if (nr > 1)
        qsort(hkeys, nr, sizeof(*hkeys), u64_cmp);
    *ret_nr = nr;
    return true;
}
