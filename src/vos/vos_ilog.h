/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Incarnation logs: when an object, dkey or akey came into being and when it was punched.
 *
 *   ILG-1  One entry per epoch, holding the last creation and the last punch of that epoch by their minor epochs.
 *   ILG-2  A thing is visible at e when its newest creation at or below e is newer than its own and its ancestors' newest punch at or
 *          below e. What lies below it is visible when newer than that punch.
 *   ILG-3  An update of something visible logs nothing; that is right because nobody may punch it later at an epoch below that of the
 *          update (vos_ts.h).
 *
 * Tested by test/vos_ilog_test.c: all short histories against a list.
 */
#ifndef CAIRN_VOS_ILOG_H
#define CAIRN_VOS_ILOG_H

#include "base/err.h"
#include "vos/vos_format.h"
#include "vos/vos_op.h"

/** Levels of its tree; 0: at most one entry, embedded. */
static inline uint32_t
vos_ilog_depth(const struct vos_ilog_df *ilog)
{
    return ilog->ent == VOS_ILOG_TREE ? ilog->tree.depth : 0;
}

struct vos_ilog_info {
    struct vos_epoch create; /* newest creation, 0: none */
    struct vos_epoch punch; /* newest punch, the ancestors' included */
    struct vos_epoch punch_any; /* only with has_open: what the undecided would punch counts, too */
    bool is_visible;
    bool has_open, is_sure; /* of the undecided; is_sure: visible whatever becomes of them */
};

/** The state at `epoch`, all minors included, below ancestors whose newest punch is `parent`, as op->look sees it; asks when it depends on others (DTX-2). Errors: AGAIN, DF_INVAL. */
CAIRN_MUST_CHECK static inline int vos_ilog_read(struct vos_op *op, struct vos_ilog_df *ilog,
    uint64_t ilog_off, uint64_t epoch, struct vos_epoch parent, struct vos_ilog_info *ret_info);

/** Add a creation or punch at op->epoch, op->minor, marked with op->lid. Errors: AGAIN, DF_INVAL, NOSPACE; TX_RESTART one of another transaction is there at this epoch. */
CAIRN_MUST_CHECK int
vos_ilog_add(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, bool is_punch);

/** Whether there is an entry of `epoch`, and its mark. */
CAIRN_MUST_CHECK int vos_ilog_mark(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off,
    uint64_t epoch, bool *ret_exists, uint32_t *ret_lid);
/** The entry of `epoch`, which has this mark: it loses it, or goes. Errors: AGAIN, DF_INVAL. */
CAIRN_MUST_CHECK int vos_ilog_decide(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off,
    uint64_t epoch, uint32_t lid, bool is_commit);
bool vos_ilog_is_empty(const struct vos_ilog_df *ilog);

/** One creation that is decided, and nothing else. */
static inline bool
vos_ilog_is_plain(const struct vos_ilog_df *ilog)
{
    return ilog->ent != 0 && ilog->ent <= UINT16_MAX;
}

/** Creation and punch minors logged at exactly `epoch` (0: none). */
CAIRN_MUST_CHECK int vos_ilog_at(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off,
    uint64_t epoch, uint16_t *ret_create, uint16_t *ret_punch);

/* An entry as it stands in a log. */
struct vos_ilog_ent {
    uint64_t epoch;
    uint16_t create, punch; /* minor epochs, 0: none */
    bool is_open; /* of a transaction that is not decided */
    uint32_t lid;
};

/** The first entry above `after` (0: the first of all). Errors: NONEXIST there is none; AGAIN, DF_INVAL. */
CAIRN_MUST_CHECK int vos_ilog_next(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off,
    uint64_t after, struct vos_ilog_ent *ret_ent);

/** Set both minors of the entry of `epoch`, which exists; both 0: it goes. What is left alone is embedded again. Errors: AGAIN, DF_INVAL; NONEXIST. */
CAIRN_MUST_CHECK int vos_ilog_put(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off,
    uint64_t epoch, uint16_t create, uint16_t punch);

/** Free at most *budget entries' worth of nodes; *budget is lowered; *ret_done when nothing is left. */
CAIRN_MUST_CHECK int vos_ilog_drain(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off,
    uint32_t *budget, bool *ret_done);

/** Of vos_ilog_read(): a log with more than one event, or with a mark. */
CAIRN_MUST_CHECK int vos_ilog_read_long(struct vos_op *op, struct vos_ilog_df *ilog,
    uint64_t ilog_off, uint64_t epoch, struct vos_epoch parent, struct vos_ilog_info *ret_info);

static inline int
vos_ilog_read(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    struct vos_epoch parent, struct vos_ilog_info *ret_info)
{
    uint64_t ent = ilog->ent;
    struct vos_epoch punch = {ilog->epoch, (uint16_t)(ent >> 16)};

    if (CAIRN_UNLIKELY(ent >> 32 != 0))
        return vos_ilog_read_long(op, ilog, ilog_off, epoch, parent, ret_info);
    ret_info->create = (struct vos_epoch){0, 0};
    ret_info->punch = parent;
    ret_info->is_visible = ret_info->is_sure = ret_info->has_open = false;
    if (ilog->epoch > epoch)
        return 0;
    if (CAIRN_UNLIKELY(punch.minor != 0) && vos_epoch_gt(punch, parent))
        ret_info->punch = punch;
    if ((uint16_t)ent != 0) {
        ret_info->create = (struct vos_epoch){ilog->epoch, (uint16_t)ent};
        ret_info->is_visible = ret_info->is_sure = vos_epoch_gt(ret_info->create, ret_info->punch);
    }
    return 0;
}

#endif
