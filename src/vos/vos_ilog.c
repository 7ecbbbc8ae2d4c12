/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos/vos_ilog.h"

#include "vos/vos_dtx.h"
#include "vos/vos_rec.h"

enum { OPENS_NR_MAX = 16 };

static inline uint16_t
ent_create(uint64_t ent)
{
    return (uint16_t)ent;
}

static inline uint16_t
ent_punch(uint64_t ent)
{
    return (uint16_t)(ent >> 16);
}

static inline bool
ilog_is_tree(const struct vos_ilog_df *ilog)
{
    return ilog->ent == VOS_ILOG_TREE;
}

static inline uint32_t
ent_lid(uint64_t ent)
{
    return (uint32_t)(ent >> 32);
}

bool
vos_ilog_is_empty(const struct vos_ilog_df *ilog)
{
    return ilog->ent == 0;
}

static void
info_take(struct vos_ilog_info *info, uint64_t epoch, uint64_t ent)
{
    struct vos_epoch create = {epoch, ent_create(ent)}, punch = {epoch, ent_punch(ent)};

    if (create.minor != 0 && vos_epoch_gt(create, info->create))
        info->create = create;
    if (punch.minor != 0 && vos_epoch_gt(punch, info->punch))
        info->punch = punch;
}

/* Events of others that are not decided. */
struct opens {
    uint32_t nr;
    bool is_full; /* more than there is room for */
    struct {
        uint64_t epoch, ent;
    } e[OPENS_NR_MAX];
};

/* One event of a log with marks; *ret_end when older ones do not matter. */
static int
marked_take(struct vos_op *op, uint64_t epoch, uint64_t ent, struct vos_ilog_info *info,
    struct opens *o, bool *ret_end)
{
    int mark = ent_lid(ent) == 0 ? VOS_MARK_SEEN : vos_dtx_judge(op, ent_lid(ent));

    if (mark < 0)
        return mark;
    if (mark == VOS_MARK_SEEN) {
        info_take(info, epoch, ent);
        *ret_end = ent_punch(ent) != 0;
    } else if (mark == VOS_MARK_OPEN && o->nr < OPENS_NR_MAX) {
        o->e[o->nr].epoch = epoch;
        o->e[o->nr++].ent = ent;
    } else if (mark == VOS_MARK_OPEN) {
        o->is_full = true;
    }
    return 0;
}

/* What the open ones may change: a punch what is older, a creation what is not there. */
static void
opens_judge(struct vos_op *op, const struct opens *o, struct vos_ilog_info *info)
{
    bool is_visible = info->create.minor != 0 && vos_epoch_gt(info->create, info->punch);

    info->punch_any = info->punch;
    for (uint32_t i = 0; i < o->nr; i++) {
        struct vos_epoch create = {o->e[i].epoch, ent_create(o->e[i].ent)};
        struct vos_epoch punch = {o->e[i].epoch, ent_punch(o->e[i].ent)};
        bool punches = punch.minor != 0 && vos_epoch_gt(punch, info->punch);

        if (punches && vos_epoch_gt(punch, info->punch_any))
            info->punch_any = punch;
        if (!punches && (is_visible || create.minor == 0 || !vos_epoch_gt(create, info->punch)))
            continue;
        info->has_open = true;
        vos_dtx_ask(op, ent_lid(o->e[i].ent));
    }
    /* Too many to tell: whatever they are, nothing is sure. */
    for (uint32_t i = 0; i < o->nr && o->is_full; i++) {
        vos_dtx_ask(op, ent_lid(o->e[i].ent));
    }
    info->has_open = info->has_open || o->is_full;
    info->is_sure = is_visible && !o->is_full && vos_epoch_gt(info->create, info->punch_any);
}

/* The same as below, with marks. */
static int
read_marked(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    struct vos_ilog_info *info)
{
    struct vos_btr_key key = {.hkey = epoch};
    uint64_t parent_epoch = info->punch.epoch;
    struct opens o = {.nr = 0};
    bool end = false;
    struct vos_btr t;
    int rc;

    if (!ilog_is_tree(ilog)) {
        rc = marked_take(op, ilog->epoch, ilog->ent, info, &o, &end);
    } else {
        rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
        if (rc == 0)
            rc = vos_btr_search_le(&t, &key);
        while (rc == 0) {
            rc = marked_take(op, vos_btr_hkey(&t), vos_btr_rec(&t), info, &o, &end);
            if (rc != 0 || end || vos_btr_hkey(&t) < parent_epoch)
                break;
            rc = vos_btr_prev(&t);
        }
        rc = rc == -DER_NONEXIST ? 0 : rc;
    }
    if (rc == 0)
        opens_judge(op, &o, info);
    return rc;
}

/* Newest first, until a punch: what is older does not matter, neither what is older than the ancestors' punch. *ret_marked: it has marks, and is to be read otherwise. */
static int
read_tree(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    struct vos_ilog_info *info, bool *ret_marked)
{
    struct vos_btr_key key = {.hkey = epoch};
    uint64_t parent_epoch = info->punch.epoch;
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);

    if (rc == 0)
        rc = vos_btr_search_le(&t, &key);
    while (rc == 0) {
        if (CAIRN_UNLIKELY(ent_lid(vos_btr_rec(&t)) != 0)) {
            *ret_marked = true;
            return 0;
        }
        info_take(info, vos_btr_hkey(&t), vos_btr_rec(&t));
        if (ent_punch(vos_btr_rec(&t)) != 0 || vos_btr_hkey(&t) < parent_epoch)
            break;
        rc = vos_btr_prev(&t);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

int
vos_ilog_read_long(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    struct vos_epoch parent, struct vos_ilog_info *ret_info)
{
    struct vos_ilog_info info = {.punch = parent};
    bool marked = true;
    int rc = 0;

    if (ilog_is_tree(ilog)) {
        marked = false;
        rc = read_tree(op, ilog, ilog_off, epoch, &info, &marked);
    } else if (ilog->epoch > epoch) {
        marked = false;
    }
    if (marked) {
        info = (struct vos_ilog_info){.punch = parent};
        rc = read_marked(op, ilog, ilog_off, epoch, &info);
    }
    info.is_visible = info.create.minor != 0 && vos_epoch_gt(info.create, info.punch);
    info.is_sure = info.has_open ? info.is_sure : info.is_visible;
    if (rc == 0)
        *ret_info = info;
    return rc;
}

/* The entry at op->epoch is there: it must be of the same transaction (TX-3). */
static inline bool
ent_is_foreign(const struct vos_op *op, uint64_t ent)
{
    return ent != 0 && ent_lid(ent) != op->lid;
}

static uint64_t
ent_with(uint64_t ent, uint16_t minor, bool is_punch)
{
    if (is_punch)
        return (ent & ~(UINT64_C(0xffff) << 16)) | (uint64_t)minor << 16;
    return (ent & ~UINT64_C(0xffff)) | minor;
}

static int
add_embedded(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, bool is_punch)
{
    int rc = vos_range(op, ilog_off, sizeof(*ilog));

    if (rc != 0)
        return rc;
    ilog->epoch = op->epoch;
    ilog->ent = ent_with(ilog->ent, op->minor, is_punch) | (uint64_t)op->lid << 32;
    return 0;
}

/* The embedded entry and a second one: a tree. */
static int
spill(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off)
{
    struct vos_ent_df first = {.hkey = ilog->epoch, .off = ilog->ent};
    struct vos_btr t;
    int rc = vos_range(op, ilog_off, sizeof(*ilog));

    if (rc != 0)
        return rc;
    ilog->tree = (struct vos_tree_df){.id = VOS_TREE_ILOG};
    ilog->ent = VOS_ILOG_TREE;
    rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
    if (rc == 0)
        rc = vos_btr_insert(&t, &first);
    return rc;
}

int
vos_ilog_add(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, bool is_punch)
{
    struct vos_btr_key key = {.hkey = op->epoch};
    struct vos_ent_df ent = {
        .hkey = op->epoch, .off = ent_with(0, op->minor, is_punch) | (uint64_t)op->lid << 32};
    struct vos_btr t;
    bool exact;
    int rc;

    if (!ilog_is_tree(ilog)) {
        if (vos_ilog_is_empty(ilog) || ilog->epoch == op->epoch) {
            return ent_is_foreign(op, ilog->ent) ? CAIRN_ERR(TX_RESTART)
                                                 : add_embedded(op, ilog, ilog_off, is_punch);
        }
        rc = spill(op, ilog, ilog_off);
        if (rc != 0)
            return rc;
    }
    rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc != 0)
        return rc;
    if (exact && ent_is_foreign(op, vos_btr_rec(&t)))
        return CAIRN_ERR(TX_RESTART);
    if (exact)
        return vos_btr_set(&t, ent_with(vos_btr_rec(&t), op->minor, is_punch));
    return vos_btr_insert(&t, &ent);
}

static int
ent_find(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    uint64_t *ret_ent)
{
    struct vos_btr_key key = {.hkey = epoch};
    struct vos_btr t;
    bool exact;
    int rc;

    if (!ilog_is_tree(ilog)) {
        *ret_ent = ilog->epoch == epoch ? ilog->ent : 0;
        return 0;
    }
    rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0)
        *ret_ent = exact ? vos_btr_rec(&t) : 0;
    return rc;
}

int
vos_ilog_mark(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    bool *ret_exists, uint32_t *ret_lid)
{
    uint64_t ent = 0;
    int rc = ent_find(op, ilog, ilog_off, epoch, &ent);

    *ret_exists = ent != 0;
    *ret_lid = ent_lid(ent);
    return rc;
}

int
vos_ilog_at(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    uint16_t *ret_create, uint16_t *ret_punch)
{
    uint64_t ent = 0;
    int rc = ent_find(op, ilog, ilog_off, epoch, &ent);

    if (rc != 0)
        return rc;
    *ret_create = ent_create(ent);
    *ret_punch = ent_punch(ent);
    return 0;
}

int
vos_ilog_next(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t after,
    struct vos_ilog_ent *ret_ent)
{
    struct vos_btr_key key = {.hkey = after + 1};
    uint64_t epoch = ilog->epoch, ent = ilog->ent;
    struct vos_btr t;
    bool exact;
    int rc;

    if (after == UINT64_MAX)
        return -DER_NONEXIST;
    if (ilog_is_tree(ilog)) {
        rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
        if (rc == 0)
            rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = vos_btr_settle(&t);
        if (rc != 0)
            return rc;
        epoch = vos_btr_hkey(&t);
        ent = vos_btr_rec(&t);
    } else if (ent == 0 || epoch <= after) {
        return -DER_NONEXIST;
    }
    *ret_ent = (struct vos_ilog_ent){.epoch = epoch,
        .create = ent_create(ent),
        .punch = ent_punch(ent),
        .is_open = ent_lid(ent) != 0,
        .lid = ent_lid(ent)};
    return 0;
}

/* Nothing is left in it. */
static int
clear(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off)
{
    int rc = vos_range(op, ilog_off, sizeof(*ilog));

    if (rc == 0)
        ilog->epoch = ilog->ent = 0;
    return rc;
}

/* One entry, or none, is left in the tree. */
static int
unspill(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off)
{
    struct vos_node_df *node;
    struct vos_ent_df ent;
    struct vos_btr t;
    int rc;

    if (vos_ilog_depth(ilog) == 0)
        return clear(op, ilog, ilog_off);
    rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
    if (rc == 0)
        rc = vos_btr_first(&t);
    if (rc != 0)
        return rc;
    node = t.path[0].node;
    if (t.depth > 1 || node->nr > 1)
        return 0;
    ent = (struct vos_ent_df){.hkey = vos_btr_hkey(&t), .off = vos_btr_rec(&t)};
    rc = vos_btr_delete(&t);
    if (rc == 0)
        rc = vos_range(op, ilog_off, sizeof(*ilog));
    if (rc != 0)
        return rc;
    ilog->epoch = ent.hkey;
    ilog->ent = ent.off;
    return 0;
}

int
vos_ilog_put(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    uint16_t create, uint16_t punch)
{
    struct vos_btr_key key = {.hkey = epoch};
    struct vos_btr t;
    bool exact;
    int rc;

    if (!ilog_is_tree(ilog)) {
        if (ilog->ent == 0 || ilog->epoch != epoch)
            return -DER_NONEXIST;
        rc = vos_range(op, ilog_off, sizeof(*ilog));
        if (rc != 0)
            return rc;
        ilog->ent = (ilog->ent & ~UINT64_C(0xffffffff)) | (uint64_t)punch << 16 | create;
        if (create == 0 && punch == 0)
            ilog->ent = ilog->epoch = 0;
        return 0;
    }
    rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0 && !exact)
        rc = -DER_NONEXIST;
    if (rc != 0)
        return rc;
    if (create != 0 || punch != 0) {
        return vos_btr_set(
            &t, (vos_btr_rec(&t) & ~UINT64_C(0xffffffff)) | (uint64_t)punch << 16 | create);
    }
    rc = vos_btr_delete(&t);
    return rc != 0 ? rc : unspill(op, ilog, ilog_off);
}

int
vos_ilog_decide(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t epoch,
    uint32_t lid, bool is_commit)
{
    struct vos_btr_key key = {.hkey = epoch};
    struct vos_btr t;
    uint64_t ent = 0;
    bool exact;
    int rc = ent_find(op, ilog, ilog_off, epoch, &ent);

    if (rc == 0 && ent_lid(ent) != lid)
        rc = vos_bad(ilog_off, "mark of a log");
    if (rc != 0)
        return rc;
    if (!is_commit)
        return vos_ilog_put(op, ilog, ilog_off, epoch, 0, 0);
    if (!ilog_is_tree(ilog)) {
        rc = vos_range(op, ilog_off, sizeof(*ilog));
        if (rc == 0)
            ilog->ent = ent & UINT32_MAX;
        return rc;
    }
    rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    return rc != 0 ? rc : vos_btr_set(&t, ent & UINT32_MAX);
}

int
vos_ilog_drain(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint32_t *budget,
    bool *ret_done)
{
    struct vos_btr t;
    int rc = 0;

    *ret_done = true;
    while (vos_ilog_depth(ilog) > 0) {
        if (*budget == 0) {
            *ret_done = false;
            return 0;
        }
        --*budget;
        rc = vos_btr_init(&t, op, &vos_kind_ilog, &ilog->tree, ilog_off);
        if (rc == 0)
            rc = vos_btr_first(&t); /* oldest first: what is left meanwhile hides all that it hid */
        if (rc == 0)
            rc = vos_btr_delete(&t);
        if (rc != 0)
            return rc;
    }
    return ilog_is_tree(ilog) ? clear(op, ilog, ilog_off) : 0;
}
