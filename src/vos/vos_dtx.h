/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions that are decided later: the table of a container in memory, and how the rest of vos meets their marks.
 *
 *   DTX-1  What an undecided transaction changed carries its lid: versions in `dtx`, events of incarnation logs in bits 32..63. Its record has a reference to each of these marks, and
 *          every mark has a record (vos_tgt_check). A mark never moves: aggregation stays below the oldest epoch of anything that is not settled.
 *   DTX-2  A mark is judged by one look into an array, acts[lid - 1]. What is committed and settled has the mark 0 and costs nothing.
 *   DTX-3  The decision is one transaction of the store: it changes the state of the record, and everything is seen, or gone, at once. Settling (clearing marks; taking versions and events
 *          out) goes with it when it is short, else follows in steps; a lid is used again only after its last mark is gone.
 *   DTX-4  Abort takes back what was prepared, and records that were made for it and hold nothing else, newest first.
 *   DTX-5  A plain update never depends on the undecided: it logs a creation unless the record is visible whatever becomes of them (`is_sure`).
 *
 * Tested by test/vos_dtx_test.c, the reference model (test/model) and power cuts (test/crash/vos_dtx_sweep_test.c).
 */
#ifndef CAIRN_VOS_DTX_H
#define CAIRN_VOS_DTX_H

#include "base/hash.h"
#include "base/list.h"
#include "vos/vos.h"
#include "vos/vos_format.h"
#include "vos/vos_op.h"

enum { VOS_DTX_STEP_NR = 128 /* marks settled in one transaction of the store */ };

struct vos_dtx_act {
    struct hmap_link link; /* of ids */
    struct list_head order; /* by epoch */
    struct list_head ready; /* committable ones, by time */
    struct vos_dtx_id id;
    enum vos_dtx_state state;
    uint64_t epoch;
    uint64_t off; /* its record */
    uint64_t ref_nr;
    uint64_t since_ns;
    uint32_t lid, flags, pm_ver, part_nr, blob_len;
    uint16_t minor;
};

struct vos_dtx_done {
    struct hmap_link link; /* of dones */
    struct list_head fifo;
    struct vos_dtx_id id;
    uint64_t epoch;
    uint64_t seq; /* of the same id the largest counts */
    bool is_aborted;
};

struct vos_dtxs {
    uint64_t off; /* struct vos_dtx_tab_df; 0: not stored yet */
    struct vos_dtx_act **acts; /* lid - 1 */
    uint64_t *blks; /* struct vos_dtx_slots_df */
    uint32_t blk_nr, blk_cap; /* of both */
    uint32_t lid_hint; /* no free lid below it */
    uint32_t act_nr, done_nr;
    struct hmap ids, dones;
    struct list_head order, ready, fifo;
    uint64_t done_seq;
    uint64_t horizon;
    uint64_t lsn; /* of the newest decision */
};

/* What an operation sees of others' transactions, and on which it depends. */
struct vos_dtx_look {
    struct vos_dtx_id own;
    bool is_passing;
    uint32_t nr; /* met, those told of or not */
    struct vos_dtx_asks *asks; /* may be NULL */
};

/* A transaction that is being prepared. */
struct vos_dtx_prep {
    const struct vos_dtx_args *args;
    struct vos_cont *cont;
    bool is_replay; /* it was done before; at: */
    uint64_t epoch;
    struct vos_dtx_act *act; /* a further part of this one */
    struct vos_dtx_act *mem; /* to become a new one */
    bool is_new;
    uint16_t minor; /* last one used */
    uint32_t ref_nr, ref_cap;
    struct vos_dtx_ref_df *refs;
    /* After the commit: */
    bool has_tab; /* the table's record was made, too: */
    uint64_t tab_off, blk_off; /* blk_off: so was a block of slots; 0: no */
    struct vos_dtx_done *done; /* solo */
    uint32_t trim_nr;
    uint64_t off, horizon;
};

/* ---- marks ---------------------------------------------------------------------------------------------------------- */

enum vos_dtx_mark { VOS_MARK_SEEN, VOS_MARK_GONE, VOS_MARK_OPEN };

/** What becomes of something that is marked, for this operation. Negative: DF_INVAL no such transaction. */
CAIRN_MUST_CHECK int vos_dtx_judge(struct vos_op *op, uint32_t lid);
/** The answer depends on an open one. */
void vos_dtx_ask(struct vos_op *op, uint32_t lid);
/** Of a version: judge, and ask when it is open. Errors: DF_INVAL. */
CAIRN_MUST_CHECK int vos_dtx_sees(struct vos_op *op, uint32_t lid, bool *ret_sees);

void vos_dtx_look_init(struct vos_dtx_look *look, struct vos_dtx_view *view);
/** After the bodies of a read: INPROGRESS when it depended on something. */
CAIRN_MUST_CHECK int vos_dtx_look_rc(const struct vos_dtx_look *look, int rc);

/* ---- preparing ------------------------------------------------------------------------------------------------------ */

CAIRN_MUST_CHECK int vos_dtx_args_check(const struct vos_apply_args *args);
/** In a transaction, first: op->lid, op->epoch, op->prep. Errors: EXIST with is_replay; those of vos_apply(). */
CAIRN_MUST_CHECK int vos_dtx_begin(struct vos_op *op, struct vos_dtx_prep *prep);
/** Note a mark. Errors: NOMEM. */
CAIRN_MUST_CHECK int vos_dtx_ref(
    struct vos_op *op, enum vos_dtx_ref_kind kind, uint64_t rec, uint64_t owner, uint64_t obj);
/** Last: store all of it. Errors: AGAIN, NOSPACE, NOMEM. */
CAIRN_MUST_CHECK int vos_dtx_store(struct vos_op *op, struct vos_dtx_prep *prep);
/** After the commit, before any yield. */
void vos_dtx_stored(struct vos_dtx_prep *prep, const struct vos_op *op, uint64_t lsn);
void vos_dtx_prep_fini(struct vos_dtx_prep *prep);

/* ---- the table ------------------------------------------------------------------------------------------------------ */

struct vos_dtxs *vos_dtxs_create(void); /* NULL: no memory */
void vos_dtxs_free(struct vos_dtxs *d); /* NULL-safe */
struct vos_dtx_act *vos_dtx_act_find(const struct vos_dtxs *d, const struct vos_dtx_id *id);
/** The newest outcome of an id. */
struct vos_dtx_done *vos_dtx_done_find(const struct vos_dtxs *d, const struct vos_dtx_id *id);
/** The slot of a lid in the arena. */
uint64_t vos_dtx_slot_off(const struct vos_dtxs *d, uint32_t lid);
CAIRN_MUST_CHECK int vos_dtxs_grow(struct vos_dtxs *d); /* room for one block more. NOMEM */
void vos_dtx_act_add(struct vos_dtxs *d, struct vos_dtx_act *act);
void vos_dtx_act_drop(struct vos_dtxs *d, struct vos_dtx_act *act);
void vos_dtx_done_add(struct vos_dtxs *d, struct vos_dtx_done *done);
void vos_dtx_done_trim(struct vos_dtxs *d, uint32_t nr); /* the oldest */

/** Load the table of a container that is being opened, and settle what was decided. Errors: those of vos_tx_run() and vos_read_run(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_dtx_load(struct vos_cont *cont);
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_dtx_settle_all(struct vos_cont *cont);

/** Whether something that is not settled has an epoch in [lo, hi]. */
bool vos_dtx_is_between(const struct vos_cont *cont, uint64_t lo, uint64_t hi);
/** Whether something that is not settled has an epoch above `epoch`. The newest epochs of containers and objects know of it only when it is decided. */
bool vos_dtx_is_after(const struct vos_cont *cont, uint64_t epoch);

/* Checked records. Errors: AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int vos_dtx_tab_get(struct vos_op *op, uint64_t off, struct vos_dtx_tab_df **ret);
CAIRN_MUST_CHECK int
vos_dtx_slots_get(struct vos_op *op, uint64_t off, struct vos_dtx_slots_df **ret);
CAIRN_MUST_CHECK int vos_dtx_get(struct vos_op *op, uint64_t off, struct vos_dtx_df **ret);
CAIRN_MUST_CHECK int vos_dtx_refs_get(struct vos_op *op, uint64_t off, struct vos_dtx_refs_df **ret);
CAIRN_MUST_CHECK int vos_dtx_done_get(struct vos_op *op, uint64_t off, struct vos_dtx_done_df **ret);

static inline uint32_t
vos_dtx_bytes(const struct vos_dtx_df *rec)
{
    return (uint32_t)sizeof(*rec) + ALIGN_UP((uint32_t)rec->blob_len, 8u) +
        rec->inline_cap * (uint32_t)sizeof(struct vos_dtx_ref_df);
}

static inline struct vos_dtx_ref_df *
vos_dtx_inline_refs(struct vos_dtx_df *rec)
{
    return (struct vos_dtx_ref_df *)(void *)((uint8_t *)(rec + 1) +
        ALIGN_UP((uint32_t)rec->blob_len, 8u));
}

static inline bool
vos_dtx_id_eq(const struct vos_dtx_id *a, const struct vos_dtx_id *b)
{
    return a->hlc == b->hlc && cuuid_cmp(&a->uuid, &b->uuid) == 0;
}

/** In a transaction that destroys a container: free one thing of its table. *ret_done: it had none any more. */
CAIRN_MUST_CHECK int vos_dtx_drop_one(struct vos_op *op, uint64_t cont_off, bool *ret_done);

/* ---- checking (vos_dtx_check.c) ------------------------------------------------------------------------------------- */

/* Of one container: references to marks, and marks met. */
struct vos_dtx_check {
    struct vos_heap *heap;
    uint32_t *nrs; /* by lid - 1: references without the mark met yet */
    uint32_t nr, cap;
    uint64_t left; /* sum */
    /* progress */
    uint64_t blk, next_done, done_nr, rec, chain, ref_left;
    uint32_t idx, ref_idx, blk_nr;
    uint8_t at;
    bool with_marks;
};

/** One thing of the table at `tab_off`; *ret_bytes are those of the block met, 0: none. Errors: NONEXIST the end; AGAIN; DF_INVAL; NOMEM. */
CAIRN_MUST_CHECK int vos_dtx_check_step(struct vos_op *op, struct vos_dtx_check *c,
    uint64_t tab_off, uint64_t *ret_off, uint32_t *ret_bytes);
/** A mark. Errors: DF_INVAL. */
CAIRN_MUST_CHECK int vos_dtx_check_mark(struct vos_dtx_check *c, uint32_t lid, uint64_t off);
void vos_dtx_check_fini(struct vos_dtx_check *c);

#endif
