/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What changed in a container since it was aggregated last: dkeys of objects with many, so that a pass looks at these alone. In memory and bounded; whoever is not found here, or is marked as a
 * whole, is looked at as a whole, so that after a start, or when there is no room, only time is lost.
 *
 *   DTY-1  An object has an entry from its first change on, if nothing else in it changed since the last pass that finished; if anything did, the entry says that all of it may be old.
 *          So the dkeys of an object with an entry that does not say that are all those in which something may be old.
 *   DTY-2  A dkey is known by its sort key in the tree of dkeys (a hash, an integer, a prefix). A superset is always right.
 *
 * Tested by test/vos_dirty_test.c against a list, by test/vos_agg_model_test.c, and by the reference model.
 */
#ifndef CAIRN_VOS_DIRTY_H
#define CAIRN_VOS_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    VOS_DIRTY_OBJS_NR_MAX = 1024, /* of a container */
    VOS_DIRTY_DKEYS_NR_MAX = 8192,
    VOS_DIRTY_DEPTH_MIN = 2, /* of the tree of dkeys: objects with less need no entry */
};

struct vos_dirty_obj;
struct vos_dirty_dkey;

struct vos_dirty {
    struct vos_dirty_obj *objs;
    struct vos_dirty_dkey *dkeys;
    uint32_t *obj_slots, *dkey_slots; /* twice as many, a power of two: 1 + index, or 0 */
    uint32_t obj_nr, obj_cap, dkey_nr, dkey_cap;
    uint64_t done; /* everything at or below it was aggregated */
};

void vos_dirty_init(struct vos_dirty *d, uint64_t done);
void vos_dirty_fini(struct vos_dirty *d);

/** A change of the object (a hash of its id) at `epoch`, the newest one before it was at `before` (0: none). */
void vos_dirty_obj_changed(struct vos_dirty *d, uint64_t obj, uint64_t before, uint64_t epoch);
/** The dkey will be told of soon: its place in memory comes meanwhile. */
void vos_dirty_ahead(const struct vos_dirty *d, uint64_t obj, uint64_t hkey);
/** After that: something in the dkey became old. */
void vos_dirty_dkey(struct vos_dirty *d, uint64_t obj, uint64_t hkey, uint64_t epoch);
/** Anything in the object up to `epoch` may be old. False: no room to remember that. */
bool vos_dirty_whole(struct vos_dirty *d, uint64_t obj, uint64_t epoch);

/** Whether it has an entry: then every change is to be told. */
bool vos_dirty_knows(const struct vos_dirty *d, uint64_t obj);
/** Whether something is known to be old in it. */
bool vos_dirty_has(const struct vos_dirty *d, uint64_t obj);
/** The dkeys of the object, ascending, at most VOS_DIRTY_DKEYS_NR_MAX. False: all of it is to be looked at. */
bool vos_dirty_get(const struct vos_dirty *d, uint64_t obj, uint64_t *hkeys, uint32_t *ret_nr);
/** A pass up to `hi` finished: what changed at or below it is forgotten. */
void vos_dirty_done(struct vos_dirty *d, uint64_t hi);

#endif
