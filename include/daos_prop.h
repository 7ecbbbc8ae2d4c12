/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Properties of pools and containers: numbers, texts and structures under numeric ids.
 */
#ifndef CAIRN_DAOS_PROP_H
#define CAIRN_DAOS_PROP_H

#include <ctype.h>
#include <daos_types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Ids of pool properties. */
enum daos_pool_props {
    DAOS_PROP_PO_MIN = 0,
    /** Text. */
    DAOS_PROP_PO_LABEL = 1,
    /** struct daos_acl. */
    DAOS_PROP_PO_ACL = 2,
    /** Percent of space kept free for rebuild. */
    DAOS_PROP_PO_SPACE_RB = 3,
    /** DAOS_SELF_HEAL_ bits. */
    DAOS_PROP_PO_SELF_HEAL = 4,
    /** DAOS_RECLAIM_ value. */
    DAOS_PROP_PO_RECLAIM = 5,
    /** Text: user and group. */
    DAOS_PROP_PO_OWNER = 6,
    DAOS_PROP_PO_OWNER_GROUP = 7,
    /** d_rank_list_t, read only. */
    DAOS_PROP_PO_SVC_LIST = 8,
    /** Bytes of an erasure-coding cell. */
    DAOS_PROP_PO_EC_CELL_SZ = 9,
    /** Values of at most so many bytes live with the metadata. */
    DAOS_PROP_PO_DATA_THRESH = 10,
    /** Redundancy factor that containers inherit, 0 to 4. */
    DAOS_PROP_PO_REDUN_FAC = 11,
    /** Performance domain affinity of erasure-coded and replicated objects. */
    DAOS_PROP_PO_EC_PDA = 12,
    DAOS_PROP_PO_RP_PDA = 13,
    /** Format version of the pool, read only. */
    DAOS_PROP_PO_GLOBAL_VERSION = 14,
    /** DAOS_UPGRADE_STATUS_ value, read only. */
    DAOS_PROP_PO_UPGRADE_STATUS = 15,
    /** DAOS_SCRUB_MODE_ value, period in seconds, errors until a target is excluded. */
    DAOS_PROP_PO_SCRUB_MODE = 16,
    DAOS_PROP_PO_SCRUB_FREQ = 17,
    DAOS_PROP_PO_SCRUB_THRESH = 18,
    /** Redundancy factor of the pool service, 0 to 4. */
    DAOS_PROP_PO_SVC_REDUN_FAC = 19,
    /** Layout version of new containers, read only. */
    DAOS_PROP_PO_OBJ_VERSION = 20,
    /** DAOS_PROP_PERF_DOMAIN_ value. */
    DAOS_PROP_PO_PERF_DOMAIN = 21,
    /** DAOS_CHECKPOINT_ value, seconds, percent of the log. */
    DAOS_PROP_PO_CHECKPOINT_MODE = 22,
    DAOS_PROP_PO_CHECKPOINT_FREQ = 23,
    DAOS_PROP_PO_CHECKPOINT_THRESH = 24,
    /** DAOS_REINT_MODE_ value. */
    DAOS_PROP_PO_REINT_MODE = 25,
    /** Whether the service remembers finished requests, and for how many seconds. */
    DAOS_PROP_PO_SVC_OPS_ENABLED = 26,
    DAOS_PROP_PO_SVC_OPS_ENTRY_AGE = 27,
    DAOS_PROP_PO_MAX
};

#define DAOS_PROP_PO_NUM (DAOS_PROP_PO_MAX - DAOS_PROP_PO_MIN - 1)

/** A property value of any bytes. */
struct daos_prop_byteval {
    void *dpb_data;
    size_t dpb_len;
};

#define DAOS_PROP_PO_EC_CELL_SZ_MIN (1UL << 10)
#define DAOS_PROP_PO_EC_CELL_SZ_MAX (1UL << 30)
#define DAOS_PROP_PO_REDUN_FAC_MAX 4
#define DAOS_PROP_PO_REDUN_FAC_DEFAULT 3
#define DAOS_PROP_PDA_MAX ((uint32_t)-1)
#define DAOS_PROP_PO_RP_PDA_DEFAULT DAOS_PROP_PDA_MAX
#define DAOS_PROP_PO_EC_PDA_DEFAULT ((uint32_t)1)
#define DAOS_PROP_PO_SVC_REDUN_FAC_MAX 4
#define DAOS_PROP_PO_SVC_REDUN_FAC_DEFAULT 2
#define DAOS_PROP_PO_DATA_THRESH_DEFAULT (1UL << 12)

static inline bool
daos_rf_is_valid(unsigned long long rf)
{
    return rf <= DAOS_PROP_PO_REDUN_FAC_MAX;
}

static inline bool
daos_svc_rf_is_valid(uint64_t svc_rf)
{
    return svc_rf <= DAOS_PROP_PO_SVC_REDUN_FAC_MAX;
}

enum {
    DAOS_UPGRADE_STATUS_NOT_STARTED = 0,
    DAOS_UPGRADE_STATUS_IN_PROGRESS = 1,
    DAOS_UPGRADE_STATUS_COMPLETED = 2,
    DAOS_UPGRADE_STATUS_FAILED = 3
};

enum { DAOS_PROP_PERF_DOMAIN_ROOT = 255, DAOS_PROP_PERF_DOMAIN_GROUP = 200 };

#define DAOS_PROP_PO_PERF_DOMAIN_DEFAULT DAOS_PROP_PERF_DOMAIN_ROOT
#define DAOS_PROP_CO_PERF_DOMAIN_DEFAULT DAOS_PROP_PERF_DOMAIN_ROOT

/** When space of old versions is given back. */
enum {
    DAOS_RECLAIM_DISABLED = 0,
    DAOS_RECLAIM_LAZY = 1,
    DAOS_RECLAIM_SNAPSHOT = 2,
    DAOS_RECLAIM_BATCH = 3,
    DAOS_RECLAIM_TIME = 4
};

enum {
    DAOS_REINT_MODE_DATA_SYNC = 0,
    DAOS_REINT_MODE_NO_DATA_SYNC = 1,
    DAOS_REINT_MODE_INCREMENTAL = 2
};

#define DAOS_PROP_PO_REINT_MODE_DEFAULT DAOS_REINT_MODE_DATA_SYNC

enum {
    DAOS_SCRUB_MODE_OFF = 0,
    DAOS_SCRUB_MODE_LAZY = 1,
    DAOS_SCRUB_MODE_TIMED = 2,
    DAOS_SCRUB_MODE_INVALID = 3
};

#define DAOS_PROP_PO_SCRUB_MODE_DEFAULT DAOS_SCRUB_MODE_OFF
#define DAOS_PROP_PO_SCRUB_FREQ_DEFAULT 604800
#define DAOS_PROP_PO_SCRUB_THRESH_DEFAULT 0

enum { DAOS_CHECKPOINT_DISABLED = 0, DAOS_CHECKPOINT_TIMED = 1, DAOS_CHECKPOINT_LAZY = 2 };

#define DAOS_PROP_PO_CHECKPOINT_MODE_DEFAULT DAOS_CHECKPOINT_TIMED
#define DAOS_PROP_PO_CHECKPOINT_FREQ_DEFAULT 5
#define DAOS_PROP_PO_CHECKPOINT_FREQ_MIN 1
#define DAOS_PROP_PO_CHECKPOINT_FREQ_MAX (1 << 20)
#define DAOS_PROP_PO_CHECKPOINT_THRESH_DEFAULT 50
#define DAOS_PROP_PO_CHECKPOINT_THRESH_MAX 75
#define DAOS_PROP_PO_CHECKPOINT_THRESH_MIN 10
#define DAOS_PROP_PO_SVC_OPS_ENABLED_DEFAULT 1
#define DAOS_PROP_PO_SVC_OPS_ENTRY_AGE_DEFAULT 300
#define DAOS_PROP_PO_SVC_OPS_ENTRY_AGE_MIN 60
#define DAOS_PROP_PO_SVC_OPS_ENTRY_AGE_MAX 600

#define DAOS_SELF_HEAL_AUTO_EXCLUDE (1U << 0)
#define DAOS_SELF_HEAL_AUTO_REBUILD (1U << 1)
#define DAOS_SELF_HEAL_DELAY_REBUILD (1U << 2)

/** Ids of container properties. */
enum daos_cont_props {
    DAOS_PROP_CO_MIN = 0x1000,
    /** Text. */
    DAOS_PROP_CO_LABEL = 0x1001,
    /** DAOS_PROP_CO_LAYOUT_ value and version of that layout. */
    DAOS_PROP_CO_LAYOUT_TYPE = 0x1002,
    DAOS_PROP_CO_LAYOUT_VER = 0x1003,
    /** DAOS_PROP_CO_CSUM_ value, bytes that share a checksum, whether engines verify on update. */
    DAOS_PROP_CO_CSUM = 0x1004,
    DAOS_PROP_CO_CSUM_CHUNK_SIZE = 0x1005,
    DAOS_PROP_CO_CSUM_SERVER_VERIFY = 0x1006,
    /** Redundancy factor, and level of the fault domains it counts. */
    DAOS_PROP_CO_REDUN_FAC = 0x1007,
    DAOS_PROP_CO_REDUN_LVL = 0x1008,
    /** Most snapshots, 0 for no limit. */
    DAOS_PROP_CO_SNAPSHOT_MAX = 0x1009,
    /** struct daos_acl. */
    DAOS_PROP_CO_ACL = 0x100a,
    /** DAOS_PROP_CO_COMPRESS_ and DAOS_PROP_CO_ENCRYPT_ values. */
    DAOS_PROP_CO_COMPRESS = 0x100b,
    DAOS_PROP_CO_ENCRYPT = 0x100c,
    /** Text: user and group. */
    DAOS_PROP_CO_OWNER = 0x100d,
    DAOS_PROP_CO_OWNER_GROUP = 0x100e,
    /** DAOS_PROP_CO_DEDUP_ value and smallest extent in bytes. */
    DAOS_PROP_CO_DEDUP = 0x100f,
    DAOS_PROP_CO_DEDUP_THRESHOLD = 0x1010,
    /** struct daos_prop_co_roots. */
    DAOS_PROP_CO_ROOTS = 0x1011,
    /** DAOS_PROP_CO_STATUS_VAL(). */
    DAOS_PROP_CO_STATUS = 0x1012,
    /** Highest object id given out, read only. */
    DAOS_PROP_CO_ALLOCED_OID = 0x1013,
    /** As the pool's. */
    DAOS_PROP_CO_EC_CELL_SZ = 0x1014,
    DAOS_PROP_CO_EC_PDA = 0x1015,
    DAOS_PROP_CO_RP_PDA = 0x1016,
    DAOS_PROP_CO_GLOBAL_VERSION = 0x1017,
    DAOS_PROP_CO_SCRUBBER_DISABLED = 0x1018,
    DAOS_PROP_CO_OBJ_VERSION = 0x1019,
    DAOS_PROP_CO_PERF_DOMAIN = 0x101a,
    DAOS_PROP_CO_MAX
};

/** First objects of a container; what they are depends on the layout type. */
struct daos_prop_co_roots {
    daos_obj_id_t cr_oids[4];
};

#define DAOS_PROP_CO_NUM (DAOS_PROP_CO_MAX - DAOS_PROP_CO_MIN - 1)

/** What middleware owns the content of a container. */
typedef uint16_t daos_cont_layout_t;

enum {
    DAOS_PROP_CO_LAYOUT_UNKNOWN = 0,
    /* Spelling of older programs. */
    DAOS_PROP_CO_LAYOUT_UNKOWN = DAOS_PROP_CO_LAYOUT_UNKNOWN,
    DAOS_PROP_CO_LAYOUT_POSIX = 1,
    DAOS_PROP_CO_LAYOUT_HDF5 = 2,
    DAOS_PROP_CO_LAYOUT_PYTHON = 3,
    DAOS_PROP_CO_LAYOUT_SPARK = 4,
    DAOS_PROP_CO_LAYOUT_DATABASE = 5,
    DAOS_PROP_CO_LAYOUT_ROOT = 6,
    DAOS_PROP_CO_LAYOUT_SEISMIC = 7,
    DAOS_PROP_CO_LAYOUT_METEO = 8,
    DAOS_PROP_CO_LAYOUT_MAX
};

enum {
    DAOS_PROP_CO_CSUM_OFF = 0,
    DAOS_PROP_CO_CSUM_CRC16 = 1,
    DAOS_PROP_CO_CSUM_CRC32 = 2,
    DAOS_PROP_CO_CSUM_CRC64 = 3,
    DAOS_PROP_CO_CSUM_SHA1 = 4,
    DAOS_PROP_CO_CSUM_SHA256 = 5,
    DAOS_PROP_CO_CSUM_SHA512 = 6,
    DAOS_PROP_CO_CSUM_ADLER32 = 7
};

enum { DAOS_PROP_CO_CSUM_SV_OFF = 0, DAOS_PROP_CO_CSUM_SV_ON = 1 };

enum { DAOS_PROP_CO_DEDUP_OFF = 0, DAOS_PROP_CO_DEDUP_MEMCMP = 1, DAOS_PROP_CO_DEDUP_HASH = 2 };

enum {
    DAOS_PROP_CO_COMPRESS_OFF = 0,
    DAOS_PROP_CO_COMPRESS_LZ4 = 1,
    DAOS_PROP_CO_COMPRESS_DEFLATE = 2,
    DAOS_PROP_CO_COMPRESS_DEFLATE1 = 3,
    DAOS_PROP_CO_COMPRESS_DEFLATE2 = 4,
    DAOS_PROP_CO_COMPRESS_DEFLATE3 = 5,
    DAOS_PROP_CO_COMPRESS_DEFLATE4 = 6
};

enum {
    DAOS_PROP_CO_ENCRYPT_OFF = 0,
    DAOS_PROP_CO_ENCRYPT_AES_XTS128 = 1,
    DAOS_PROP_CO_ENCRYPT_AES_XTS256 = 2,
    DAOS_PROP_CO_ENCRYPT_AES_CBC128 = 3,
    DAOS_PROP_CO_ENCRYPT_AES_CBC192 = 4,
    DAOS_PROP_CO_ENCRYPT_AES_CBC256 = 5,
    DAOS_PROP_CO_ENCRYPT_AES_GCM128 = 6,
    DAOS_PROP_CO_ENCRYPT_AES_GCM256 = 7
};

/** Failures that the data survives. */
enum {
    DAOS_PROP_CO_REDUN_RF0 = 0,
    DAOS_PROP_CO_REDUN_RF1 = 1,
    DAOS_PROP_CO_REDUN_RF2 = 2,
    DAOS_PROP_CO_REDUN_RF3 = 3,
    DAOS_PROP_CO_REDUN_RF4 = 4,
    DAOS_RF_MAX = 4
};

/** Level of the fault domains. */
enum {
    DAOS_PROP_CO_REDUN_MIN = 1,
    DAOS_PROP_CO_REDUN_RANK = 1,
    DAOS_PROP_CO_REDUN_NODE = 2,
    DAOS_PROP_CO_REDUN_FAULT = 3,
    DAOS_PROP_CO_REDUN_MAX = 254
};

#define DAOS_PROP_CO_REDUN_DEFAULT DAOS_PROP_CO_REDUN_NODE

/** Status: no data was lost; more failures than the redundancy factor happened. */
enum { DAOS_PROP_CO_HEALTHY = 0, DAOS_PROP_CO_UNCLEAN = 1 };

/** Flag of a status that is to be cleared. */
#define DAOS_PROP_CO_CLEAR (0x1)

struct daos_co_status {
    uint16_t dcs_status;
    uint16_t dcs_flags;
    /** Pool map version of the last change. */
    uint32_t dcs_pm_ver;
};

/** The status property as one number: flags in the top 16 bits, status in the next 16, map version below. */
#define DAOS_PROP_CO_STATUS_VAL(status, flag, pm_ver) \
    (((uint64_t)(flag) << 48) | (((uint64_t)(status)&0xFFFF) << 32) | (uint64_t)(pm_ver))

static inline uint64_t
daos_prop_co_status_2_val(struct daos_co_status *co_status)
{
    return DAOS_PROP_CO_STATUS_VAL(
        co_status->dcs_status, co_status->dcs_flags, co_status->dcs_pm_ver);
}

static inline void
daos_prop_val_2_co_status(uint64_t val, struct daos_co_status *co_status)
{
    co_status->dcs_pm_ver = (uint32_t)val;
    co_status->dcs_status = (uint16_t)(val >> 32);
    co_status->dcs_flags = (uint16_t)(val >> 48);
}

/** Flag of an entry whose property has no value (or was not answered). */
enum { DAOS_PROP_ENTRY_NOT_SET = (1 << 0) };

struct daos_prop_entry {
    /** DAOS_PROP_PO_ or DAOS_PROP_CO_ id. */
    uint32_t dpe_type;
    uint16_t dpe_flags;
    uint16_t dpe_reserv;
    __extension__ union {
        uint64_t dpe_val;
        d_string_t dpe_str;
        void *dpe_val_ptr;
    };
};

#define DAOS_PROP_ENTRIES_MAX_NR (128)
/** Longest label, without terminator. */
#define DAOS_PROP_LABEL_MAX_LEN (127)
#define DAOS_PROP_MAX_LABEL_BUF_LEN (DAOS_PROP_LABEL_MAX_LEN + 1)

/** Labels of what has none. */
#define DAOS_PROP_CO_LABEL_DEFAULT "container_label_not_set"
#define DAOS_PROP_PO_LABEL_DEFAULT "pool_label_not_set"
#define DAOS_PROP_NO_PO_LABEL DAOS_PROP_PO_LABEL_DEFAULT
#define DEFAULT_CONT_LABEL DAOS_PROP_CO_LABEL_DEFAULT
#define DAOS_PROP_NO_CO_LABEL DAOS_PROP_CO_LABEL_DEFAULT

/** True for 1 to 127 letters, digits and ".", "_", ":", "-" that do not look like a UUID. */
static inline bool
daos_label_is_valid(const char *label)
{
    int len;

    if (label == NULL)
        return false;
    for (len = 0; label[len] != '\0'; len++) {
        unsigned char c = (unsigned char)label[len];

        if (len == DAOS_PROP_LABEL_MAX_LEN)
            return false;
        if (!isalnum(c) && c != '.' && c != '_' && c != ':' && c != '-')
            return false;
    }
    return len > 0 && !daos_is_valid_uuid_string(label, UUID_SST_NONE);
}

static inline bool
daos_perf_domain_is_valid(const char *perf_domain)
{
    return daos_label_is_valid(perf_domain);
}

/** A list of properties. */
typedef struct {
    uint32_t dpp_nr;
    uint32_t dpp_reserv;
    struct daos_prop_entry *dpp_entries;
} daos_prop_t;

/** A list of *entries_nr* cleared entries (0: none yet); NULL when memory is out or there are too many. */
daos_prop_t *daos_prop_alloc(uint32_t entries_nr);

/** Free entries and values, not the list itself. */
void daos_prop_fini(daos_prop_t *prop);

/** Free a list with entries and values; NULL is fine. Values that the caller stored must come from malloc(). */
void daos_prop_free(daos_prop_t *prop);

/** Container properties from text "name:value;name:value". Returns 0, -DER_INVAL or -DER_NOMEM. */
int daos_prop_from_str(const char *str, daos_size_t len, daos_prop_t **prop);

/** A new list with the entries of both; *new_prop* wins. Either may be NULL. */
int daos_prop_merge2(daos_prop_t *old_prop, daos_prop_t *new_prop, daos_prop_t **out_prop);
daos_prop_t *daos_prop_merge(daos_prop_t *old_prop, daos_prop_t *new_prop);

/** The entry of that id, NULL when it is not in the list. */
struct daos_prop_entry *daos_prop_entry_get(daos_prop_t *prop, uint32_t type);

/** Store a copy of *len* characters as text in the entry of that id; -DER_NONEXIST when it is not in the list. */
int daos_prop_set_str(daos_prop_t *prop, uint32_t type, const char *str, daos_size_t len);
int daos_prop_entry_set_str(struct daos_prop_entry *entry, const char *str, daos_size_t len);

/** Store a copy of *size* bytes as structure. */
int daos_prop_set_ptr(daos_prop_t *prop, uint32_t type, const void *ptr, daos_size_t size);
int daos_prop_entry_set_ptr(struct daos_prop_entry *entry, const void *ptr, daos_size_t size);

/** Copy a structure of *len* bytes from entry to entry. */
int daos_prop_entry_dup_ptr(
    struct daos_prop_entry *entry_dst, struct daos_prop_entry *entry_src, size_t len);

/** Store a copy of *len* bytes as struct daos_prop_byteval. */
int daos_prop_set_byteval(daos_prop_t *prop, uint32_t type, const void *data, size_t len);
int daos_prop_entry_set_byteval(struct daos_prop_entry *entry, const void *data, size_t len);
int daos_prop_entry_dup_byteval(struct daos_prop_entry *entry_dst, struct daos_prop_entry *entry_src);

/** 0 when both entries hold the same ACL, else -DER_MISMATCH. */
int daos_prop_entry_cmp_acl(struct daos_prop_entry *entry1, struct daos_prop_entry *entry2);

int daos_prop_entry_dup_co_roots(struct daos_prop_entry *dst, struct daos_prop_entry *src);

/** Whether the property of that id is a text, a structure, or bytes. */
bool daos_prop_has_str(struct daos_prop_entry *entry);
bool daos_prop_has_ptr(struct daos_prop_entry *entry);
bool daos_prop_has_byteval(struct daos_prop_entry *entry);

static inline bool
daos_prop_is_set(struct daos_prop_entry *entry)
{
    return (entry->dpe_flags & DAOS_PROP_ENTRY_NOT_SET) == 0;
}

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_PROP_H */
