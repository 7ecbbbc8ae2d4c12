/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Objects: two levels of keys, the distribution key (dkey) and the attribute key (akey), and under each akey a single value or an array of
 * records. Everything under one dkey lies together. Calls with an event return at once and complete later; NULL waits.
 * A transaction handle of DAOS_TX_NONE makes the call an operation of its own.
 */
#ifndef CAIRN_DAOS_OBJ_H
#define CAIRN_DAOS_OBJ_H

#include <daos_event.h>
#include <daos_obj_class.h>
#include <daos_prop.h>
#include <daos_types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Programs compiled with this header call the current form. */
#define daos_obj_generate_oid daos_obj_generate_oid2

#define DAOS_OBJ_NIL ((daos_obj_id_t){0, 0})

/** Fields of an object id's upper half, from the top: type 8 bits, redundancy method 8, groups 16; 32 are the user's. */
#define OID_FMT_INTR_BITS 32
#define OID_FMT_TYPE_BITS 8
#define OID_FMT_CLASS_BITS 8
#define OID_FMT_META_BITS 16
#define OID_FMT_TYPE_SHIFT (64 - OID_FMT_TYPE_BITS)
#define OID_FMT_CLASS_SHIFT (OID_FMT_TYPE_SHIFT - OID_FMT_CLASS_BITS)
#define OID_FMT_META_SHIFT (OID_FMT_CLASS_SHIFT - OID_FMT_META_BITS)
#define OID_FMT_TYPE_MAX ((1ULL << OID_FMT_TYPE_BITS) - 1)
#define OID_FMT_CLASS_MAX ((1ULL << OID_FMT_CLASS_BITS) - 1)
#define OID_FMT_META_MAX ((1ULL << OID_FMT_META_BITS) - 1)
#define OID_FMT_TYPE_MASK (OID_FMT_TYPE_MAX << OID_FMT_TYPE_SHIFT)
#define OID_FMT_CLASS_MASK (OID_FMT_CLASS_MAX << OID_FMT_CLASS_SHIFT)
#define OID_FMT_META_MASK (OID_FMT_META_MAX << OID_FMT_META_SHIFT)

/** Type of an object: how its keys are ordered, and who interprets it. */
enum daos_otype_t {
    /** Keys by hash. */
    DAOS_OT_MULTI_HASHED = 0,
    /** Object id table of a snapshot. */
    DAOS_OT_OIT = 1,
    /** 64-bit integer dkeys, akeys, both. */
    DAOS_OT_DKEY_UINT64 = 2,
    DAOS_OT_AKEY_UINT64 = 3,
    DAOS_OT_MULTI_UINT64 = 4,
    /** Dkeys, akeys, both in the order of their bytes. */
    DAOS_OT_DKEY_LEXICAL = 5,
    DAOS_OT_AKEY_LEXICAL = 6,
    DAOS_OT_MULTI_LEXICAL = 7,
    /** Key-value stores. */
    DAOS_OT_KV_HASHED = 8,
    DAOS_OT_KV_UINT64 = 9,
    DAOS_OT_KV_LEXICAL = 10,
    /** Arrays: attributes stored in it; kept by the caller; of bytes, kept by the caller. */
    DAOS_OT_ARRAY = 11,
    DAOS_OT_ARRAY_ATTR = 12,
    DAOS_OT_ARRAY_BYTE = 13,
    /** Object id table, second form. */
    DAOS_OT_OIT_V2 = 14,
    DAOS_OT_MAX = 14
};

static inline bool
daos_otype_t_is_valid(enum daos_otype_t type)
{
    return (unsigned int)type <= (unsigned int)DAOS_OT_MAX;
}

static inline bool
daos_pa_domain_is_valid(uint32_t pa_domain)
{
    return pa_domain == DAOS_PROP_CO_REDUN_RANK || pa_domain == DAOS_PROP_CO_REDUN_NODE;
}

static inline enum daos_otype_t
daos_obj_id2type(daos_obj_id_t oid)
{
    return (enum daos_otype_t)(oid.hi >> OID_FMT_TYPE_SHIFT);
}

static inline bool
daos_is_dkey_lexical_type(enum daos_otype_t type)
{
    return type == DAOS_OT_DKEY_LEXICAL || type == DAOS_OT_MULTI_LEXICAL ||
        type == DAOS_OT_KV_LEXICAL;
}

static inline bool
daos_is_dkey_lexical(daos_obj_id_t oid)
{
    return daos_is_dkey_lexical_type(daos_obj_id2type(oid));
}

static inline bool
daos_is_akey_lexical_type(enum daos_otype_t type)
{
    return type == DAOS_OT_AKEY_LEXICAL || type == DAOS_OT_MULTI_LEXICAL;
}

static inline bool
daos_is_akey_lexical(daos_obj_id_t oid)
{
    return daos_is_akey_lexical_type(daos_obj_id2type(oid));
}

static inline bool
daos_is_array_type(enum daos_otype_t type)
{
    return type == DAOS_OT_ARRAY || type == DAOS_OT_ARRAY_ATTR || type == DAOS_OT_ARRAY_BYTE;
}

static inline bool
daos_is_array(daos_obj_id_t oid)
{
    return daos_is_array_type(daos_obj_id2type(oid));
}

static inline bool
daos_is_dkey_uint64_type(enum daos_otype_t type)
{
    return type == DAOS_OT_DKEY_UINT64 || type == DAOS_OT_MULTI_UINT64 ||
        type == DAOS_OT_KV_UINT64 || daos_is_array_type(type);
}

static inline bool
daos_is_dkey_uint64(daos_obj_id_t oid)
{
    return daos_is_dkey_uint64_type(daos_obj_id2type(oid));
}

static inline bool
daos_is_akey_uint64_type(enum daos_otype_t type)
{
    return type == DAOS_OT_AKEY_UINT64 || type == DAOS_OT_MULTI_UINT64;
}

static inline bool
daos_is_akey_uint64(daos_obj_id_t oid)
{
    return daos_is_akey_uint64_type(daos_obj_id2type(oid));
}

static inline bool
daos_is_kv_type(enum daos_otype_t type)
{
    return type == DAOS_OT_KV_HASHED || type == DAOS_OT_KV_UINT64 || type == DAOS_OT_KV_LEXICAL;
}

static inline bool
daos_is_kv(daos_obj_id_t oid)
{
    return daos_is_kv_type(daos_obj_id2type(oid));
}

#define IO_FLAGS_COND_BITS 8

/** Conditions of an operation; one that does not hold gives -DER_EXIST or -DER_NONEXIST and changes nothing. */
enum {
    /** What is punched exists. */
    DAOS_COND_PUNCH = (1 << 0),
    /** The dkey does not exist; exists. */
    DAOS_COND_DKEY_INSERT = (1 << 1),
    DAOS_COND_DKEY_UPDATE = (1 << 2),
    DAOS_COND_DKEY_FETCH = (1 << 3),
    /** The akeys do not exist; exist. */
    DAOS_COND_AKEY_INSERT = (1 << 4),
    DAOS_COND_AKEY_UPDATE = (1 << 5),
    DAOS_COND_AKEY_FETCH = (1 << 6),
    /** Akey conditions are in each iod_flags. */
    DAOS_COND_PER_AKEY = (1 << 7),
    DAOS_COND_MASK = ((1 << IO_FLAGS_COND_BITS) - 1)
};

struct daos_obj_attr {
    d_rank_t oa_rank;
    struct daos_oclass_attr *oa_oa;
};

/** Modes of opening. */
enum {
    DAOS_OO_RO = (1 << 1),
    DAOS_OO_RW = (1 << 2),
    DAOS_OO_EXCL = (1 << 3),
    DAOS_OO_IO_RAND = (1 << 4),
    DAOS_OO_IO_SEQ = (1 << 5)
};

/** Records rx_idx to rx_idx + rx_nr - 1 of an array. */
typedef struct {
    uint64_t rx_idx;
    uint64_t rx_nr;
} daos_recx_t;

typedef enum { DAOS_IOD_NONE = 0, DAOS_IOD_SINGLE = 1, DAOS_IOD_ARRAY = 2 } daos_iod_type_t;

/** One akey of an operation and what is meant of its value. */
typedef struct {
    daos_key_t iod_name;
    daos_iod_type_t iod_type;
    /** Bytes of the single value or of one record. DAOS_REC_ANY on fetch asks for it. */
    daos_size_t iod_size;
    /** Conditions for this akey, with DAOS_COND_PER_AKEY. */
    uint64_t iod_flags;
    /** Ranges in iod_recxs; 1 for a single value. */
    uint32_t iod_nr;
    daos_recx_t *iod_recxs;
} daos_iod_t;

/** Flag of a map: fill in iom_recxs too. */
#define DAOS_IOMF_DETAIL (0x1U)

/** Which records a fetch found. */
typedef struct {
    daos_iod_type_t iom_type;
    /** Room in iom_recxs, and how many there were. */
    uint32_t iom_nr;
    uint32_t iom_nr_out;
    uint32_t iom_flags;
    daos_size_t iom_size;
    /** First and last range found. */
    daos_recx_t iom_recx_lo;
    daos_recx_t iom_recx_hi;
    daos_recx_t *iom_recxs;
} daos_iom_t;

/** Record size that is not known yet. */
enum { DAOS_REC_ANY = 0 };

/** What daos_obj_query_key() looks for: the largest or smallest of the integer keys named. */
enum {
    DAOS_GET_MAX = (1 << 0),
    DAOS_GET_MIN = (1 << 1),
    DAOS_GET_DKEY = (1 << 2),
    DAOS_GET_AKEY = (1 << 3),
    DAOS_GET_RECX = (1 << 4)
};

/** One key of a listing. */
typedef struct {
    daos_size_t kd_key_len;
    uint32_t kd_val_type;
} daos_key_desc_t;

static inline enum daos_obj_redun
daos_obj_id2ord(daos_obj_id_t oid)
{
    return (enum daos_obj_redun)((oid.hi & OID_FMT_CLASS_MASK) >> OID_FMT_CLASS_SHIFT);
}

static inline uint32_t
daos_obj_id2grp_nr(daos_obj_id_t oid)
{
    return (uint32_t)((oid.hi & OID_FMT_META_MASK) >> OID_FMT_META_SHIFT);
}

static inline daos_oclass_id_t
daos_obj_id2class(daos_obj_id_t oid)
{
    return ((daos_oclass_id_t)daos_obj_id2ord(oid) << OC_REDUN_SHIFT) | daos_obj_id2grp_nr(oid);
}

static inline bool
daos_obj_id_is_nil(daos_obj_id_t oid)
{
    return oid.lo == 0 && oid.hi == 0;
}

/** Hints for the choice of a class: four bits on redundancy, six on sharding. */
#define DAOS_OCH_RDD_BITS 4
#define DAOS_OCH_SHD_BITS 6
#define DAOS_OCH_RDD_SHIFT 0
#define DAOS_OCH_SHD_SHIFT DAOS_OCH_RDD_BITS
#define DAOS_OCH_RDD_MAX_VAL ((1ULL << DAOS_OCH_RDD_BITS) - 1)
#define DAOS_OCH_SHD_MAX_VAL ((1ULL << DAOS_OCH_SHD_BITS) - 1)
#define DAOS_OCH_RDD_MASK (DAOS_OCH_RDD_MAX_VAL << DAOS_OCH_RDD_SHIFT)
#define DAOS_OCH_SHD_MASK (DAOS_OCH_SHD_MAX_VAL << DAOS_OCH_SHD_SHIFT)

enum {
    /** As the container says; none; copies; erasure code. */
    DAOS_OCH_RDD_DEF = (1 << 0),
    DAOS_OCH_RDD_NO = (1 << 1),
    DAOS_OCH_RDD_RP = (1 << 2),
    DAOS_OCH_RDD_EC = (1 << 3),
    /** Groups: as the type suggests; one; a quarter of the targets; half; most; all. */
    DAOS_OCH_SHD_DEF = (1 << 4),
    DAOS_OCH_SHD_TINY = (1 << 5),
    DAOS_OCH_SHD_REG = (1 << 6),
    DAOS_OCH_SHD_HI = (1 << 7),
    DAOS_OCH_SHD_EXT = (1 << 8),
    DAOS_OCH_SHD_MAX = (1 << 9)
};

/**
 * Put type and class into *oid*, whose 96 user bits are set. *cid* 0 lets the library choose from *hints* and the container's
 * redundancy factor. *args* is not used. Returns 0 or -DER_.
 */
int daos_obj_generate_oid(daos_handle_t coh, daos_obj_id_t *oid, enum daos_otype_t type,
    daos_oclass_id_t cid, daos_oclass_hints_t hints, uint32_t args);

/** Next user part of an id, in a cycle through all 32-bit numbers. Type and class are cleared. */
static inline void
daos_obj_oid_cycle(daos_obj_id_t *oid)
{
    oid->hi = (oid->hi + 999999937) & UINT32_MAX;
}

/** Open and close; local. *mode*: DAOS_OO_ bits. */
int daos_obj_open(
    daos_handle_t coh, daos_obj_id_t oid, unsigned int mode, daos_handle_t *oh, daos_event_t *ev);
int daos_obj_close(daos_handle_t oh, daos_event_t *ev);

/** Hide the object, dkeys of it, or akeys of a dkey. */
int daos_obj_punch(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_event_t *ev);
int daos_obj_punch_dkeys(daos_handle_t oh, daos_handle_t th, uint64_t flags, unsigned int nr,
    daos_key_t *dkeys, daos_event_t *ev);
int daos_obj_punch_akeys(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    unsigned int nr, daos_key_t *akeys, daos_event_t *ev);

/** Not implemented: -DER_NOSYS. */
int
daos_obj_query(daos_handle_t oh, struct daos_obj_attr *oa, d_rank_list_t *ranks, daos_event_t *ev);

/**
 * Read values of *nr* akeys of one dkey into *sgls* (NULL with DAOS_REC_ANY: sizes only). Absent data leaves the memory untouched and
 * the size 0. *ioms* may be NULL. -DER_REC2BIG when the memory is too small for a single value.
 */
int daos_obj_fetch(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    unsigned int nr, daos_iod_t *iods, d_sg_list_t *sgls, daos_iom_t *ioms, daos_event_t *ev);

/** Write values of *nr* akeys of one dkey, all or none. */
int daos_obj_update(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    unsigned int nr, daos_iod_t *iods, d_sg_list_t *sgls, daos_event_t *ev);

/**
 * List keys, packed one after another into *sgl* with their lengths in *kds*. *nr*: room in kds, then keys found. Repeat with the same
 * anchor until daos_anchor_is_eof(). -DER_KEY2BIG: the first key does not fit, kds[0] has its length.
 */
int daos_obj_list_dkey(daos_handle_t oh, daos_handle_t th, uint32_t *nr, daos_key_desc_t *kds,
    d_sg_list_t *sgl, daos_anchor_t *anchor, daos_event_t *ev);
int daos_obj_list_akey(daos_handle_t oh, daos_handle_t th, daos_key_t *dkey, uint32_t *nr,
    daos_key_desc_t *kds, d_sg_list_t *sgl, daos_anchor_t *anchor, daos_event_t *ev);

/** List the ranges of an array value with their epochs, rising or falling. */
int daos_obj_list_recx(daos_handle_t oh, daos_handle_t th, daos_key_t *dkey, daos_key_t *akey,
    daos_size_t *size, uint32_t *nr, daos_recx_t *recxs, daos_epoch_range_t *eprs,
    daos_anchor_t *anchor, bool incr_order, daos_event_t *ev);

/** Largest or smallest integer dkey, akey, range (DAOS_GET_ bits); keys that are not asked for must be given. */
int daos_obj_query_key(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    daos_key_t *akey, daos_recx_t *recx, daos_event_t *ev);

/** Epoch of the newest change of the object. */
int
daos_obj_query_max_epoch(daos_handle_t oh, daos_handle_t th, daos_epoch_t *epoch, daos_event_t *ev);

/** Compare all copies of an object; -DER_MISMATCH when they differ. */
int daos_obj_verify(daos_handle_t coh, daos_obj_id_t oid, daos_epoch_t epoch);

/** Cut a dkey listing into *nr* parts that can run side by side (*nr* 0 asks how many); set an anchor to part *index*. */
int daos_obj_anchor_split(daos_handle_t oh, uint32_t *nr, daos_anchor_t *anchors);
int daos_obj_anchor_set(daos_handle_t oh, uint32_t index, daos_anchor_t *anchor);

/** An anchor from which a listing starts at that key. */
int daos_obj_key2anchor(daos_handle_t oh, daos_handle_t th, daos_key_t *dkey, daos_key_t *akey,
    daos_anchor_t *anchor, daos_event_t *ev);

/** Object id table of the snapshot at *epoch*: open, close, list ids. */
int daos_oit_open(daos_handle_t coh, daos_epoch_t epoch, daos_handle_t *oh, daos_event_t *ev);
int daos_oit_close(daos_handle_t oh, daos_event_t *ev);
int daos_oit_list(daos_handle_t oh, daos_obj_id_t *oids, uint32_t *oids_nr, daos_anchor_t *anchor,
    daos_event_t *ev);

#define DAOS_OIT_MARKER_MAX_LEN (32)

/** Mark an id in the table; list those without a mark, or those that *filter* accepts (returns non-zero). */
int daos_oit_mark(daos_handle_t oh, daos_obj_id_t oid, d_iov_t *marker, daos_event_t *ev);
int daos_oit_list_unmarked(daos_handle_t oh, daos_obj_id_t *oids, uint32_t *oids_nr,
    daos_anchor_t *anchor, daos_event_t *ev);
typedef int(daos_oit_filter_cb)(daos_obj_id_t oid, d_iov_t *marker);
int daos_oit_list_filter(daos_handle_t oh, daos_obj_id_t *oids, uint32_t *oids_nr,
    daos_anchor_t *anchor, daos_oit_filter_cb filter, daos_event_t *ev);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_OBJ_H */
