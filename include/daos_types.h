/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Types that all parts of the API share. Sizes and values are part of the binary interface.
 */
#ifndef CAIRN_DAOS_TYPES_H
#define CAIRN_DAOS_TYPES_H

#include <cart/types.h>
#include <ctype.h>
#include <daos_errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Longest system name, without terminator; longest text in struct daos_sys_info. */
#define DAOS_SYS_NAME_MAX 15
#define DAOS_SYS_INFO_STRING_MAX 63

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif
#ifndef NAME_MAX
#define NAME_MAX 255
#endif

typedef uint64_t daos_size_t;
typedef uint64_t daos_off_t;

/** Room for the hash of a key inside an anchor. */
#define DAOS_HKEY_MAX 32

/** What an anchor holds. */
typedef enum {
    /** Nothing: the listing starts. */
    DAOS_ANCHOR_TYPE_ZERO = 0,
    /** The hash of a key. */
    DAOS_ANCHOR_TYPE_HKEY = 1,
    /** A key. */
    DAOS_ANCHOR_TYPE_KEY = 2,
    /** The listing has ended. */
    DAOS_ANCHOR_TYPE_EOF = 3
} daos_anchor_type_t;

#define DAOS_ANCHOR_BUF_MAX 104

/** Place in a listing. Start with all zeros; the content is the library's. */
typedef struct {
    uint16_t da_type;
    uint16_t da_shard;
    uint32_t da_flags;
    uint64_t da_sub_anchors;
    uint8_t da_buf[DAOS_ANCHOR_BUF_MAX];
} daos_anchor_t;

#define DAOS_ANCHOR_INIT \
    { \
        DAOS_ANCHOR_TYPE_ZERO, 0, 0, 0, \
        { \
            0 \
        } \
    }

/** Handle of a pool, container, object, transaction or event queue; passed by value. */
typedef struct {
    uint64_t cookie;
} daos_handle_t;

#define DAOS_HDL_INVAL ((daos_handle_t){0})
/** No transaction: the operation stands alone. */
#define DAOS_TX_NONE DAOS_HDL_INVAL

static inline bool
daos_handle_is_inval(daos_handle_t hdl)
{
    return hdl.cookie == 0;
}

static inline bool
daos_handle_is_valid(daos_handle_t hdl)
{
    return hdl.cookie != 0;
}

/** Pool connection: read, write, exclusive. */
#define DAOS_PC_RO (1U << 0)
#define DAOS_PC_RW (1U << 1)
#define DAOS_PC_EX (1U << 2)
#define DAOS_PC_NBITS 3
#define DAOS_PC_MASK ((1U << DAOS_PC_NBITS) - 1)

/** Version of data: a hybrid logical clock value. */
typedef uint64_t daos_epoch_t;

/** Epochs epr_lo to epr_hi, both included. */
typedef struct {
    daos_epoch_t epr_lo;
    daos_epoch_t epr_hi;
} daos_epoch_range_t;

#define DAOS_EPOCH_MAX (~0ULL)

/** What a container query tells. */
typedef struct {
    uuid_t ci_uuid;
    /** Newest snapshot, 0 for none. */
    daos_epoch_t ci_lsnapshot;
    uint32_t ci_nhandles;
    uint32_t ci_nsnapshots;
    /** Newest open, and newest change of metadata. */
    uint64_t ci_md_otime;
    uint64_t ci_md_mtime;
} daos_cont_info_t;

/** A key: any bytes. */
typedef d_iov_t daos_key_t;

static inline bool
daos_key_is_null(daos_key_t key)
{
    return key.iov_buf == NULL || key.iov_buf_len == 0;
}

/** An asynchronous operation. ev_error is its result once it has completed; the rest is the library's. */
typedef struct daos_event {
    int ev_error;
    struct {
        uint64_t space[20];
    } ev_private;
    uint64_t ev_debug;
} daos_event_t;

/** Timeouts of daos_eq_poll() and daos_event_test(): for ever, not at all. Others are microseconds. */
#define DAOS_EQ_WAIT -1
#define DAOS_EQ_NOWAIT 0

/** Which events daos_eq_query() counts. */
typedef enum {
    DAOS_EQR_COMPLETED = (1),
    DAOS_EQR_WAITING = (1 << 1),
    DAOS_EQR_ALL = (DAOS_EQR_COMPLETED | DAOS_EQR_WAITING)
} daos_eq_query_t;

typedef enum {
    DAOS_EVS_READY,
    DAOS_EVS_RUNNING,
    DAOS_EVS_COMPLETED,
    DAOS_EVS_ABORTED
} daos_ev_status_t;

/** Targets by rank and number in the rank. */
struct d_tgt_list {
    d_rank_t *tl_ranks;
    int32_t *tl_tgts;
    uint32_t tl_nr;
};

/** What kind of thing a handle names (its low four bits). */
enum {
    DAOS_HTYPE_EQ = 1,
    DAOS_HTYPE_POOL = 3,
    DAOS_HTYPE_CO = 5,
    DAOS_HTYPE_OBJ = 7,
    DAOS_HTYPE_ARRAY = 9,
    DAOS_HTYPE_TX = 11,
    DAOS_HTYPE_KV = 13
};

/** Object id. The low 32 bits of hi and all of lo are the user's; the rest says type and class. */
typedef struct {
    uint64_t lo;
    uint64_t hi;
} daos_obj_id_t;

/** Characters of a UUID's text with terminator. */
#define DAOS_UUID_STR_SIZE 37

/** Case that daos_is_valid_uuid_string() demands. */
#define UUID_SST_UPPER 1
#define UUID_SST_LOWER -1
#define UUID_SST_NONE 0

/** True when *uuid* is 36 characters long and has the form of a UUID, in the case asked for. */
static inline bool
daos_is_valid_uuid_string(const char *uuid, int sensitive)
{
    int i;

    for (i = 0; i < DAOS_UUID_STR_SIZE - 1; i++) {
        unsigned char c = (unsigned char)uuid[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-')
                return false;
            continue;
        }
        if (!isxdigit(c))
            return false;
        if (sensitive >= UUID_SST_UPPER && islower(c))
            return false;
        if (sensitive <= UUID_SST_LOWER && isupper(c))
            return false;
    }
    return uuid[i] == '\0';
}

/** Address of one engine. */
struct daos_rank_uri {
    uint32_t dru_rank;
    char *dru_uri;
};

/** What daos_mgmt_get_sys_info() tells about a system. */
struct daos_sys_info {
    char dsi_system_name[DAOS_SYS_INFO_STRING_MAX + 1];
    char dsi_fabric_provider[DAOS_SYS_INFO_STRING_MAX + 1];
    char dsi_agent_path[PATH_MAX];
    uint32_t dsi_nr_ranks;
    struct daos_rank_uri *dsi_ranks;
    uint32_t dsi_nr_ms_ranks;
    uint32_t *dsi_ms_ranks;
};

/** Longest attribute name, without terminator. */
#define DAOS_ATTR_NAME_MAX 511

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_TYPES_H */
