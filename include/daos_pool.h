/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pools: space reserved on a set of targets.
 */
#ifndef CAIRN_DAOS_POOL_H
#define CAIRN_DAOS_POOL_H

#include <daos_event.h>
#include <daos_prop.h>
#include <inttypes.h>
#include <sys/types.h>
#include <uuid/uuid.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Programs compiled with this header call the current form. */
#define daos_pool_connect daos_pool_connect2

typedef enum {
    DAOS_TS_UNKNOWN = 0,
    /** Failed, data rebuilt elsewhere. */
    DAOS_TS_DOWN_OUT = 1,
    /** Failed. */
    DAOS_TS_DOWN = 2,
    /** Coming back. */
    DAOS_TS_UP = 3,
    /** Serving. */
    DAOS_TS_UP_IN = 4,
    /** Added, not filled yet. */
    DAOS_TS_NEW = 5,
    /** Being emptied. */
    DAOS_TS_DRAIN = 6
} daos_target_state_t;

/** Holds nothing. */
typedef struct {
    int foo;
} daos_target_perf_t;

/** Kinds of storage: metadata (memory with log), data. */
enum daos_media_type_t { DAOS_MEDIA_SCM = 0, DAOS_MEDIA_NVME = 1, DAOS_MEDIA_MAX };

/** Bytes by kind of storage. */
struct daos_space {
    uint64_t s_total[DAOS_MEDIA_MAX];
    uint64_t s_free[DAOS_MEDIA_MAX];
};

typedef struct {
    uint32_t ta_padding;
    daos_target_state_t ta_state;
    daos_target_perf_t ta_perf;
    struct daos_space ta_space;
} daos_target_info_t;

/** Space of a pool; minimum, maximum and mean of the targets' free bytes. */
struct daos_pool_space {
    struct daos_space ps_space;
    uint64_t ps_free_min[DAOS_MEDIA_MAX];
    uint64_t ps_free_max[DAOS_MEDIA_MAX];
    uint64_t ps_free_mean[DAOS_MEDIA_MAX];
    uint32_t ps_ntargets;
    uint32_t ps_padding;
};

enum daos_rebuild_state_t { DRS_IN_PROGRESS = 0, DRS_NOT_STARTED = 1, DRS_COMPLETED = 2 };

enum daos_rebuild_status_flag { DAOS_RSF_DEGRADED = (1 << 0) };

struct daos_rebuild_status {
    /** Pool map version of this rebuild. */
    uint32_t rs_version;
    uint32_t rs_seconds;
    int32_t rs_errno;
    /** enum daos_rebuild_state_t. */
    __extension__ union {
        int32_t rs_state;
        int32_t rs_done;
    };
    uint16_t rs_max_supported_layout_ver;
    uint8_t rs_flags;
    uint8_t rs_reserved_;
    int32_t rs_fail_rank;
    /** Objects to do; objects, records and bytes done. */
    uint64_t rs_toberb_obj_nr;
    uint64_t rs_obj_nr;
    uint64_t rs_rec_nr;
    uint64_t rs_size;
};

/** What daos_pool_query() fills in; the ranks list is of the engines named by at most one of the three bits. */
enum daos_pool_info_bit {
    DPI_SPACE = 1 << 0,
    DPI_REBUILD_STATUS = 1 << 1,
    DPI_ENGINES_ENABLED = 1 << 2,
    DPI_ENGINES_DISABLED = 1 << 3,
    DPI_ENGINES_DEAD = 1 << 4,
    DPI_REBUILD_MAX_LAYOUT_VER = 1 << 5,
    DPI_SELF_HEAL_POLICY = 1 << 6,
    DPI_ALL = -1
};

typedef struct {
    uuid_t pi_uuid;
    uint32_t pi_ntargets;
    uint32_t pi_nnodes;
    /** Targets that are excluded. */
    uint32_t pi_ndisabled;
    uint32_t pi_map_ver;
    uint32_t pi_leader;
    /** DPI_ bits: asked for, then answered. */
    uint64_t pi_bits;
    struct daos_pool_space pi_space;
    struct daos_rebuild_status pi_rebuild_st;
} daos_pool_info_t;

/** A container of a pool. */
struct daos_pool_cont_info {
    uuid_t pci_uuid;
    char pci_label[DAOS_PROP_LABEL_MAX_LEN + 1];
};

struct daos_pool_cont_info2 {
    struct daos_pool_cont_info pci_id;
    daos_cont_info_t pci_cinfo;
    void *pci_reserved[2];
};

/**
 * Connect to a pool by label or UUID text. *sys*: name of the system, NULL for the default. *flags*: DAOS_PC_ bits. *info* may be NULL;
 * its pi_bits choose what is filled in. Returns 0 or -DER_ (NONEXIST, NO_PERM, BUSY with exclusive use).
 */
int daos_pool_connect(const char *pool, const char *sys, unsigned int flags, daos_handle_t *poh,
    daos_pool_info_t *info, daos_event_t *ev);

/** Disconnect; -DER_BUSY while containers are open through the handle. */
int daos_pool_disconnect(daos_handle_t poh, daos_event_t *ev);

/**
 * Make a handle into bytes that another process turns into a handle of the same connection. With iov_buf NULL the needed size is
 * returned in iov_buf_len; -DER_TRUNC when it is too small. No message is sent.
 */
int daos_pool_local2global(daos_handle_t poh, d_iov_t *glob);
int daos_pool_global2local(d_iov_t glob, daos_handle_t *poh);

/** Query a pool: *ranks* (freed with d_rank_list_free()), *info* and *pool_prop* may be NULL. A property list without entries asks for all. */
int daos_pool_query(daos_handle_t poh, d_rank_list_t **ranks, daos_pool_info_t *info,
    daos_prop_t *pool_prop, daos_event_t *ev);

/** State and space of target *tgt* of a rank. */
int daos_pool_query_target(
    daos_handle_t poh, uint32_t tgt, d_rank_t rank, daos_target_info_t *info, daos_event_t *ev);

/** Names of all attributes, each with terminator. *size*: room, then the size of all. */
int daos_pool_list_attr(daos_handle_t poh, char *buffer, size_t *size, daos_event_t *ev);

/** Values of *n* attributes. A buffer that is NULL or too small still gets the full size in *sizes*. */
int daos_pool_get_attr(daos_handle_t poh, int n, char const *const names[], void *const buffers[],
    size_t sizes[], daos_event_t *ev);
int daos_pool_set_attr(daos_handle_t poh, int n, char const *const names[],
    void const *const values[], size_t const sizes[], daos_event_t *ev);
int daos_pool_del_attr(daos_handle_t poh, int n, char const *const names[], daos_event_t *ev);

/** Containers of the pool. *ncont*: room in *cbuf* (NULL asks for the number), then how many there are; -DER_TRUNC. */
int daos_pool_list_cont(
    daos_handle_t poh, daos_size_t *ncont, struct daos_pool_cont_info *cbuf, daos_event_t *ev);

/** Comparisons and values by which containers can be chosen. */
enum daos_pool_cont_filter_func {
    PCF_FUNC_EQ = 0,
    PCF_FUNC_NE = 1,
    PCF_FUNC_LT = 2,
    PCF_FUNC_LE = 3,
    PCF_FUNC_GT = 4,
    PCF_FUNC_GE = 5,
    PCF_FUNC_MAX
};

enum daos_pool_cont_filter_key {
    PCF_KEY_MD_OTIME = 0,
    PCF_KEY_MD_MTIME = 1,
    PCF_KEY_NUM_SNAPSHOTS = 2,
    PCF_KEY_NUM_HANDLES = 3,
    PCF_KEY_MAX
};

static inline const char *
daos_pool_cont_filter_func_str(enum daos_pool_cont_filter_func f)
{
    static const char *const names[] = {"==", "!=", "<", "<=", ">", ">="};

    return (unsigned int)f < (unsigned int)PCF_FUNC_MAX ? names[f] : "UNKNOWN";
}

static inline const char *
daos_pool_cont_filter_key_str(enum daos_pool_cont_filter_key k)
{
    static const char *const names[] = {
        "md_open_time", "md_modify_time", "num_snapshots", "num_handles"};

    return (unsigned int)k < (unsigned int)PCF_KEY_MAX ? names[k] : "UNKNOWN";
}

/** One comparison. */
typedef struct daos_pool_cont_filter_part {
    uint32_t pcfp_func;
    uint32_t pcfp_key;
    __extension__ union {
        uint64_t pcfp_val64;
        d_string_t pcfp_valstr;
    };
} daos_pool_cont_filter_part_t;

enum daos_pool_cont_filter_combine { PCF_COMBINE_LOGICAL_AND = 0, PCF_COMBINE_LOGICAL_OR = 1 };

typedef struct daos_pool_cont_filter {
    uint32_t pcf_combine_func;
    uint32_t pcf_nparts;
    struct daos_pool_cont_filter_part **pcf_parts;
} daos_pool_cont_filter_t;

#define DAOS_POOL_CONT_FILTER_MAX_NPARTS (8)

/** Build a filter from copies of parts, and free it. */
int daos_pool_cont_filter_init(daos_pool_cont_filter_t *filt, uint32_t combine_func);
int daos_pool_cont_filter_add(daos_pool_cont_filter_t *filt, daos_pool_cont_filter_part_t *part);
void daos_pool_cont_filter_fini(daos_pool_cont_filter_t *filt);

/** Containers that pass the filter. */
int daos_pool_filter_cont(daos_handle_t poh, daos_pool_cont_filter_t *filter, daos_size_t *ncont,
    struct daos_pool_cont_info2 *cbuf, daos_event_t *ev);

/** DAOS_ACL_PERM_ bits that the pool's owner and ACL properties give to a user. */
int
daos_pool_get_perms(daos_prop_t *pool_prop, uid_t uid, gid_t *gids, size_t nr_gids, uint64_t *perms);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_POOL_H */
