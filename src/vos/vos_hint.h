/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Hints of fetches and changes: lines of memory that several of them will look at come to the processor beside each other.
 *
 * A fetch at random over more than the caches hold looks at five to seven lines, each of which tells where the next one is, and waits for each of them as long as for a hundred
 * and more instructions. When other requests are ready to run, a fetch says what it is about to look up, and lets them run. Those that are fetches say so, too, until the first one
 * has its turn again. It goes down for all of them, one level for each in turns: it looks at a node that was asked for a turn ago, and asks for the next
 * one. Then each does its work with lines that are at hand; before it begins, it asks for all lines of the value of the next one, when that is long.
 *
 * A change (the first modification of a request) does the same before its transaction: those that waited for one write of the log begin anew together. Of what it
 * writes over it asks for no more than the first line, which the tree of versions looks at.
 *
 *   HNT-1  What is met is checked as in a look-up; what does not fit, or is not in memory, ends the hint without a word, and the fetch looks for itself. No page is loaded, missed
 *          or used by it.
 *   HNT-2  What was found, the offset of the record of a dkey, is taken only when no record of a key or object went since (vos_tgt.cut_nr): then it still is a record of the
 *          same object. Whether it has the key is looked at; if not, the tree is searched. That nothing was found is never taken. All else of a hint only moves lines.
 *   HNT-3  A hint keeps offsets only, and is of a bounded size. The walk does not yield; its steps are bounded by the depth of trees.
 *   HNT-4  Who is alone does not yield, and nobody yields more than once for a hint.
 *
 * Owner: the target's xstream. Tested by test/vos_hint_test.c; speed: bench/micro/mem_bench.c, bench/micro/peer_bench.c.
 */
#ifndef CAIRN_VOS_HINT_H
#define CAIRN_VOS_HINT_H

#include <stdbool.h>
#include <stdint.h>

#include "ult/ult.h"

struct vos_btr_kind;
struct vos_cont;
struct vos_walk;

enum {
    VOS_HINT_NR = 32, /* requests that go down together */
    VOS_HINT_ROUNDS_NR =
        4, /* that are remembered: requests of the last ones have not all had their turn */
    VOS_HINT_DEPTH_MIN = 3, /* smaller trees are in the caches */
    VOS_HINT_NEAR_NR = 8,
    VOS_HINT_ROW_NR = 8,
    VOS_HINT_LONG_BYTES = 1024, /* values from here on are asked for one at a time */
};

/* What a request is about to look up, and how far the walk for it is. */
struct vos_hint {
    const struct vos_btr_kind *akey_kind, *kind; /* kind: of the tree at hand */
    uint64_t hkey; /* to look for in it */
    uint64_t akey_hkey;
    uint64_t epoch;
    uint64_t off; /* node or record that was asked for */
    uint64_t dkey_off; /* 0: not found */
    uint8_t what; /* that is at `off`; enum hint_what */
    uint8_t level;
    bool is_below; /* the dkey was found */
    bool is_change;
};

struct vos_hint_round {
    uint64_t id; /* 0: none yet */
    uint64_t cut_nr; /* vos_tgt.cut_nr at the walk */
    uint32_t nr;
    bool is_walked;
    struct vos_hint hints[VOS_HINT_NR];
};

struct vos_hints {
    struct vos_hint_round rounds[VOS_HINT_ROUNDS_NR];
    uint64_t id; /* of the newest round */
    uint64_t last_hkey; /* dkey of the request that came last */
    uint32_t near_nr; /* not 0: requests of late were of the same dkey as the one before */
    uint64_t walked_nr; /* hints; for tests */
};

/*
 * Long values that are fetched in the order in which they were written lie in a row, a page after the other. Who fetched some in a row asks for the next one
 * (HNT-1: an offset, and no more than lines).
 */
struct vos_hint_row {
    uint64_t last, next; /* the one before, and where the next is thought to be */
    int32_t stride;
    uint32_t place; /* of the first one in a page */
    uint32_t hit_nr;
};
/** A single value of `bytes` at `off` was fetched. Does not yield. */
void vos_hint_value(struct vos_cont *cont, uint64_t off, uint32_t bytes);

/* What a request may take of its hint. */
struct vos_hint_found {
    uint64_t dkey_off; /* 0: nothing */
    uint64_t cut_nr; /* good as long as this is vos_tgt.cut_nr (HNT-2) */
};

/**
 * A fetch of this dkey and akey comes next, of an object that vos_walk_init() was called for; `epoch`: at which it reads, UINT64_MAX for the newest.
 */
CAIRN_YIELDS void vos_hint_fetch(struct vos_cont *cont, const struct vos_walk *w,
    uint64_t dkey_hkey, uint64_t akey_hkey, uint64_t epoch, struct vos_hint_found *ret_found);
/** The same for a change of this dkey and akey. */
CAIRN_YIELDS void vos_hint_change(struct vos_cont *cont, const struct vos_walk *w,
    uint64_t dkey_hkey, uint64_t akey_hkey, struct vos_hint_found *ret_found);

#endif
