/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What is remembered of changed dkeys, against a list of all changes: no dkey in which something may be old is left out, and none is given without need while there is room. */
#include "base/hash.h"
#include "base/rng.h"
#include "base/util.h"
#include "harness/harness.h"
#include "vos/vos_dirty.h"

#include <stdlib.h>
#include <string.h>

enum { OBJS_NR = 6, HKEYS_NR = 200, CHANGES_NR = 3000 };

struct change {
    uint64_t obj, hkey, epoch;
    bool is_whole;
};

struct list {
    struct change at[CHANGES_NR];
    uint32_t nr;
    uint64_t done, newest[OBJS_NR];
    bool is_known[OBJS_NR]; /* every change was told since the last pass */
};

static bool
has_hkey(const uint64_t *hkeys, uint32_t nr, uint64_t hkey)
{
    for (uint32_t i = 0; i < nr; i++) {
        if (hkeys[i] == hkey)
            return true;
    }
    return false;
}

/* What the object needs, after a pass up to l->done. */
static void
compare(const struct list *l, const struct vos_dirty *d, uint64_t obj, uint64_t *hkeys)
{
    bool is_whole = false, is_old[HKEYS_NR] = {false};
    uint32_t nr = 0, want_nr = 0;

    for (uint32_t i = 0; i < l->nr; i++) {
        const struct change *c = &l->at[i];

        if (c->obj != obj || c->epoch <= l->done)
            continue;
        is_whole = is_whole || c->is_whole;
        if (!c->is_whole && !is_old[c->hkey]) {
            is_old[c->hkey] = true;
            want_nr++;
        }
    }
    if (!vos_dirty_get(d, obj, hkeys, &nr)) {
        EXPECT(is_whole || l->newest[obj] <= l->done || !l->is_known[obj]);
        return;
    }
    EXPECT(!is_whole);
    EXPECT_EQ(nr, want_nr);
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT(i == 0 || hkeys[i] > hkeys[i - 1]);
        EXPECT(is_old[hkeys[i]]);
    }
    EXPECT_EQ(vos_dirty_has(d, obj), nr > 0);
}

TEST(vos_dirty, as_a_list)
{
    uint64_t *hkeys = calloc(VOS_DIRTY_DKEYS_NR_MAX, sizeof(*hkeys)), epoch = 100;
    struct list *l = calloc(1, sizeof(*l));
    struct vos_dirty d;
    struct rng r;

    rng_init(&r, test_seed());
    vos_dirty_init(&d, 0);
    while (l->nr < CHANGES_NR && !test_failed()) {
        uint64_t obj = rng_below(&r, OBJS_NR);
        struct change *c = &l->at[l->nr];

        epoch += 1 + rng_below(&r, 3);
        if (rng_chance(&r, 1, 100)) {
            l->done = MAX(l->done, epoch - 1 - rng_below(&r, 40));
            vos_dirty_done(&d, l->done);
        }
        /* Now and then changes that are not told, as long as nothing is known of the object. */
        if (!vos_dirty_knows(&d, obj) && rng_chance(&r, 1, 4)) {
            *c = (struct change){obj, 0, epoch, true};
            l->newest[obj] = epoch;
            l->is_known[obj] = false;
            l->nr++;
            continue;
        }
        l->is_known[obj] = vos_dirty_knows(&d, obj) ? l->is_known[obj] : l->newest[obj] <= l->done;
        *c = (struct change){obj, rng_below(&r, HKEYS_NR), epoch, rng_chance(&r, 1, 60)};
        vos_dirty_obj_changed(&d, obj, l->newest[obj], epoch);
        l->newest[obj] = epoch;
        if (c->is_whole) {
            EXPECT(vos_dirty_whole(&d, obj, epoch));
            l->nr++;
        } else if (rng_chance(&r, 9, 10)) {
            vos_dirty_dkey(&d, obj, c->hkey, epoch);
            l->nr++;
        }
        for (uint64_t o = 0; o < OBJS_NR; o++) {
            compare(l, &d, o, hkeys);
        }
    }
    vos_dirty_fini(&d);
    free(l);
    free(hkeys);
}

TEST(vos_dirty, bounds)
{
    uint64_t *hkeys = calloc(VOS_DIRTY_DKEYS_NR_MAX, sizeof(*hkeys));
    struct vos_dirty d;
    uint32_t nr = 0;

    vos_dirty_init(&d, 10);
    vos_dirty_obj_changed(&d, 1, 5, 11);
    for (uint32_t i = 0; i < VOS_DIRTY_DKEYS_NR_MAX; i++) {
        vos_dirty_dkey(&d, 1, hash_mix64(i), 11);
    }
    EXPECT(vos_dirty_get(&d, 1, hkeys, &nr));
    EXPECT_EQ(nr, VOS_DIRTY_DKEYS_NR_MAX);
    /* One more: all of the object, until that was looked at. */
    vos_dirty_dkey(&d, 1, hash_mix64(nr), 12);
    EXPECT(!vos_dirty_get(&d, 1, hkeys, &nr));
    EXPECT(vos_dirty_has(&d, 1));
    vos_dirty_dkey(&d, 1, hash_mix64(7), 20);
    vos_dirty_done(&d, 12);
    EXPECT(vos_dirty_get(&d, 1, hkeys, &nr));
    EXPECT_EQ(nr, 1);
    EXPECT(has_hkey(hkeys, nr, hash_mix64(7)));
    /* More objects than can be remembered. */
    for (uint64_t o = 2; o < 2 + VOS_DIRTY_OBJS_NR_MAX; o++) {
        vos_dirty_obj_changed(&d, o, 0, 30);
        vos_dirty_dkey(&d, o, 1, 30);
    }
    EXPECT(vos_dirty_get(&d, 2, hkeys, &nr));
    EXPECT(!vos_dirty_get(&d, 1 + VOS_DIRTY_OBJS_NR_MAX, hkeys, &nr));
    EXPECT(!vos_dirty_whole(&d, 1 + VOS_DIRTY_OBJS_NR_MAX, 31));
    vos_dirty_done(&d, 30);
    EXPECT(!vos_dirty_knows(&d, 1));
    /* There is room again, but something was not told. */
    vos_dirty_obj_changed(&d, 1, 31, 32);
    EXPECT(!vos_dirty_get(&d, 1, hkeys, &nr));
    vos_dirty_fini(&d);
    free(hkeys);
}
