/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The reference model of vos: small, slow, meant to be obviously right. For each object and each dkey it keeps the list of all modifications that were applied, in
 * the order of their epochs, of one epoch in that of their arrival. What is there at an epoch is what doing them one after the other, from nothing, leaves: nothing is remembered
 * between two questions. Where the store may answer in more than one way, the model says so:
 *
 *   - A modification at an epoch of the past must be refused (TX_RESTART) when somebody has seen what it would change (TS-1 to TS-4 of vos_ts.h, by entity and
 *     without collisions). It may be refused when the store only cannot tell.
 *   - Once old versions were aggregated or discarded, a key that had nothing left may have forgotten the kind of its values (is_loose).
 *
 * A small universe: six objects with all kinds of keys, six dkeys, four akeys, arrays of 160 records. Contents follow from seeds. One dkey of each object has arrays of large records,
 * of a quarter of a block and of a whole one, so that their extents lie in the data role and aggregation cuts them where they are.
 */
#ifndef CAIRN_VOS_REF_H
#define CAIRN_VOS_REF_H

#include "base/hash.h"
#include "base/rng.h"
#include "vos/vos.h"

enum {
    REF_OBJ_NR = 6,
    REF_DKEY_NR = 6,
    REF_AKEY_NR = 4, /* 0 and 1 hold single values, 2 and 3 arrays (but for a mistake now and then) */
    REF_CELL_NR = 160,
    REF_MODS_NR_MAX = 4,
    REF_RECX_NR_MAX = 4,
    REF_PARTS_NR = 3, /* of a transaction */
    REF_TX_NR = 4, /* transactions of a container that may be open at a time */
    REF_BLOB_NR_MAX = 64,
    REF_WRONG_SIZE = 3, /* of records: a mistake everywhere */
    REF_BIG_DKEY = 4, /* its arrays have large records */
    REF_HOT_OBJ = 5, /* is changed more often, and never punched as a whole, nor are its dkeys */
};

struct ref_iod {
    uint32_t akey;
    enum vos_iod_type type;
    uint32_t size, cond;
    uint32_t recx_nr;
    struct {
        uint32_t lo, nr; /* cells */
    } recxs[REF_RECX_NR_MAX];
    uint64_t seed; /* of the value */
};

struct ref_mod {
    enum vos_mod_op op;
    uint32_t obj, dkey, cond;
    uint32_t iod_nr;
    struct ref_iod iods[REF_AKEY_NR];
};

/* A modification that was applied. */
struct ref_event {
    uint64_t epoch;
    uint64_t req; /* number of the request that brought it */
    uint32_t tx; /* bit of the transaction that is open; 0: done */
    struct ref_mod mod;
    struct ref_event *next; /* of the container */
};

/* In ascending order; of one time, in that of arrival. */
struct ref_log {
    uint32_t nr, cap;
    struct ref_event **events;
};

struct ref_stamp {
    uint64_t lo, hi;
};

struct ref_obj {
    struct ref_log log; /* all of this object */
    struct ref_log dkeys[REF_DKEY_NR]; /* all that concern one dkey: punches of the object, too */
    bool has_record;
    uint32_t tx_writers; /* undecided ones that need the record, too */
    bool is_max_loose; /* epoch_max: an undecided punch may have found nothing */
    uint64_t epoch_max;
    struct ref_stamp stamp, dkey_stamps[REF_DKEY_NR], akey_stamps[REF_DKEY_NR][REF_AKEY_NR];
    struct {
        uint32_t type, rec_size; /* for the life of the akey; 0: not yet */
    } fixed[REF_DKEY_NR][REF_AKEY_NR];
};

struct ref_req {
    uint32_t mod_nr;
    struct ref_mod mods[REF_MODS_NR_MAX];
};

/* A transaction that is open: neither committed nor aborted. */
struct ref_tx {
    bool is_open;
    bool is_decided; /* it was committable: never aborted any more */
    uint64_t ready; /* committable, by this number in time; 0: it is not, or not any more (the container was closed) */
    uint64_t epoch, req;
    uint32_t lid;
    uint32_t blob_len;
    uint8_t blob[REF_BLOB_NR_MAX];
    struct vos_dtx_id id;
    uint32_t part_nr;
    struct ref_req parts[REF_PARTS_NR];
};

/* What became of one. */
struct ref_out {
    struct vos_dtx_id id;
    uint64_t epoch;
    bool is_aborted;
};

struct ref_cont {
    struct ref_obj objs[REF_OBJ_NR];
    struct ref_tx txs[REF_TX_NR];
    struct ref_out *outs; /* in the order of the decisions */
    uint32_t out_nr, out_cap;
    uint64_t horizon, ready_nr;
    uint32_t world; /* bits of the undecided that count as done; the others as if they had never been */
    bool is_max_loose;
    struct ref_event *events; /* all there ever were, to be freed */
    uint32_t event_nr;
    uint64_t req_nr;
    uint64_t epoch_max;
    uint64_t read_epoch; /* objects were listed */
    uint64_t floor; /* everything counts as read at it */
    bool is_no_history, is_loose;
};

/* ---- what is there at an epoch -------------------------------------------------------------------------------------- */

struct ref_cell {
    bool is_there;
    uint32_t pos; /* of the record within the data of its range list */
    uint64_t epoch, seed;
};

struct ref_akey_state {
    bool exists;
    uint64_t since, last; /* epochs: began to exist, written last */
    bool has_value;
    uint32_t size;
    uint64_t epoch, seed;
    struct ref_cell cells[REF_CELL_NR];
};

struct ref_dkey_state {
    bool exists;
    uint64_t since, last;
    struct ref_akey_state akeys[REF_AKEY_NR];
};

struct ref_obj_state {
    bool exists;
    uint64_t since, last;
};

void ref_dkey_at(const struct ref_cont *c, uint32_t obj, uint32_t dkey, uint64_t epoch,
    struct ref_dkey_state *ret_state);
void
ref_obj_at(const struct ref_cont *c, uint32_t obj, uint64_t epoch, struct ref_obj_state *ret_state);

/* What one more modification makes of a state. */
void ref_dkey_step(struct ref_dkey_state *d, const struct ref_event *e);
void ref_obj_step(struct ref_obj_state *o, const struct ref_event *e);

/** Mix another number into what stands for an answer. */
static inline uint64_t
ref_mix(uint64_t sum, uint64_t more)
{
    return hash_mix64(sum ^ hash_mix64(more + UINT64_C(0x9e3779b97f4a7c15)));
}

/** Bytes from `at` on of the data of a seed. */
void ref_fill(uint64_t seed, uint64_t at, void *buf, uint64_t len);
bool ref_fills(uint64_t seed, uint64_t at, const void *buf, uint64_t len);

/* ---- modifications -------------------------------------------------------------------------------------------------- */

/** How a request came. */
struct ref_how {
    uint64_t epoch;
    bool is_given; /* it was chosen by the caller, and is not fresh */
    uint64_t bound; /* of the caller's clock; 0: it is certain */
    uint64_t newest; /* that the store has used */
    int got; /* what the store answered, which decides where more than one answer is right */
    bool is_spurious; /* returned: refused though nobody has seen anything */
    bool is_uncertain; /* returned: refused for the bound, rightly */
};

/** What a request must answer; when 0, it is done. */
int ref_apply(struct ref_cont *c, const struct ref_req *req, struct ref_how *how);

/* ---- transactions that are decided later ---------------------------------------------------------------------------- */

/*
 * With n of them undecided there are 2^n worlds, one for each way in which they may end. An answer must be right in all of them, else it is INPROGRESS; it may be that, too,
 * where one that the store does not know the outcome of has to do with the object asked about. What was committable is committed in all of them, also after a restart, when
 * the store does not know any more.
 */
uint32_t ref_txs_open(const struct ref_cont *c);
/** Those that the store has to ask about, of which something is part of what is asked about at `epoch`; obj REF_OBJ_NR: any object. */
uint32_t ref_txs_touch(const struct ref_cont *c, uint32_t obj, uint64_t epoch);
/** Whether it is part of the world at hand. */
bool ref_event_counts(const struct ref_cont *c, const struct ref_event *e);
/** The next world after `world` of those that differ in the bits of `mask`; false: that was the last. */
bool ref_world_next(struct ref_cont *c, uint32_t mask);
/** Whether a new one may have this id, at an epoch (0: a fresh one). */
int ref_tx_begin(const struct ref_cont *c, const struct vos_dtx_id *id, uint64_t epoch);
/** As ref_apply(), for a transaction that is prepared in slot `at`, or a further part of it at its own epoch. */
int ref_tx_prepare(struct ref_cont *c, uint32_t at, const struct vos_dtx_id *id,
    const struct ref_req *req, struct ref_how *how);
void ref_tx_decide(struct ref_cont *c, uint32_t at, bool is_commit);
/** The container was closed: the store forgets what was committable. False: there was nothing. */
bool ref_txs_closed(struct ref_cont *c);
void ref_out_add(struct ref_cont *c, const struct vos_dtx_id *id, uint64_t epoch, bool is_aborted);
/** The newest outcome of this id; NULL: none is known. */
const struct ref_out *ref_out_find(const struct ref_cont *c, const struct vos_dtx_id *id);
/** Forget the oldest ones; how many. */
uint32_t ref_outs_trim(struct ref_cont *c, uint64_t hlc, uint32_t nr_max);

/* Stamps of reads. */
void ref_saw_objs(struct ref_cont *c, uint64_t epoch);
void ref_saw_obj(struct ref_cont *c, uint32_t obj, uint64_t epoch);
void ref_saw_dkey(struct ref_cont *c, uint32_t obj, uint32_t dkey, uint64_t epoch);
void ref_saw_akey(
    struct ref_cont *c, uint32_t obj, uint32_t dkey, uint32_t akey, uint64_t epoch, bool dkey_too);

/** Forget all modifications from `lo` on. */
void ref_discard(struct ref_cont *c, uint64_t lo);
/** `*c` is NULL afterwards. */
void ref_cont_free(struct ref_cont **c);

/* ---- chance --------------------------------------------------------------------------------------------------------- */

void ref_random_req(struct rng *r, struct ref_req *ret_req);
/** An update of an array with large records: much of it, or a piece, or a hole. */
void ref_random_big_req(struct rng *r, uint32_t obj, bool is_much, struct ref_req *ret_req);
/** After objects or dkeys were changed: what records of its arrays have the right size has that of where they are now. */
void ref_sizes_set(struct ref_req *req);
/** Ranges of cells that do not overlap, in any order. */
void ref_random_recxs(struct rng *r, struct ref_iod *iod);

#endif
