/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Object classes: how the data of an object is spread and protected. A class id is redundancy method << 24 | groups.
 */
#ifndef CAIRN_DAOS_OBJ_CLASS_H
#define CAIRN_DAOS_OBJ_CLASS_H

#include <daos_event.h>
#include <daos_types.h>
#include <inttypes.h>
#include <sys/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Room for a class name with terminator. */
#define MAX_OBJ_CLASS_NAME_LEN 24

/** Groups of an "X" class: as many as the pool has room for. */
#define MAX_NUM_GROUPS ((1 << 16) - 1)
#define OC_REDUN_SHIFT 24
#define OBJ_CLASS_DEF(redun, grp_nr) ((redun << OC_REDUN_SHIFT) | grp_nr)

/** The nine group counts of one redundancy method. */
#define OC_FAMILY_(name, redun) \
    OC_##name##1 = OBJ_CLASS_DEF(redun, 1), OC_##name##2 = OBJ_CLASS_DEF(redun, 2), \
    OC_##name##4 = OBJ_CLASS_DEF(redun, 4), OC_##name##6 = OBJ_CLASS_DEF(redun, 6), \
    OC_##name##8 = OBJ_CLASS_DEF(redun, 8), OC_##name##12 = OBJ_CLASS_DEF(redun, 12), \
    OC_##name##16 = OBJ_CLASS_DEF(redun, 16), OC_##name##32 = OBJ_CLASS_DEF(redun, 32), \
    OC_##name##X = OBJ_CLASS_DEF(redun, MAX_NUM_GROUPS)

enum daos_obj_redun {
    /** Let the library choose. */
    OC_UNKNOWN = 0,

    /** Methods: one copy; n copies; k data and p parity shards (kPp). */
    OR_RP_1 = 1,
    OR_RP_2 = 8,
    OR_RP_3 = 9,
    OR_RP_4 = 10,
    OR_RP_5 = 11,
    OR_RP_6 = 12,
    OR_RP_8 = 13,
    OR_RP_12 = 14,
    OR_RP_16 = 15,
    OR_RP_24 = 16,
    OR_RP_32 = 17,
    OR_RP_48 = 18,
    OR_RP_64 = 19,
    OR_RP_128 = 20,
    OR_RS_2P1 = 32,
    OR_RS_2P2 = 33,
    OR_RS_4P1 = 34,
    OR_RS_4P2 = 35,
    OR_RS_8P1 = 36,
    OR_RS_8P2 = 37,
    OR_RS_16P1 = 38,
    OR_RS_16P2 = 39,
    OR_RS_4P3 = 40,
    OR_RS_8P3 = 41,
    OR_RS_16P3 = 42,

    /** Abstract classes of old programs; they have no table entry. */
    OC_BACK_COMPAT = 50,
    OC_TINY = 51,
    OC_SMALL = 52,
    OC_LARGE = 53,
    OC_MAX = 54,
    OC_RP_TINY = 60,
    OC_RP_SMALL = 61,
    OC_RP_LARGE = 62,
    OC_RP_MAX = 63,
    OC_RP_SF_TINY = 70,
    OC_RP_SF_SMALL = 71,
    OC_RP_SF_LARGE = 72,
    OC_RP_SF_MAX = 73,
    /** As many copies as possible. */
    OC_RP_XSF = 80,
    OC_EC_TINY = 100,
    OC_EC_SMALL = 101,
    OC_EC_LARGE = 102,
    OC_EC_MAX = 103,

    /** One copy over n targets (X: all). */
    OC_FAMILY_(S, OR_RP_1),

    /** Copies and groups: RP_3G2 is three copies over two groups. Erasure code: EC_4P2G8 is 4+2 over eight groups. */
    OC_FAMILY_(RP_2G, OR_RP_2),
    OC_FAMILY_(RP_3G, OR_RP_3),
    OC_FAMILY_(RP_4G, OR_RP_4),
    OC_FAMILY_(RP_5G, OR_RP_5),
    OC_FAMILY_(RP_6G, OR_RP_6),
    OC_FAMILY_(EC_2P1G, OR_RS_2P1),
    OC_FAMILY_(EC_2P2G, OR_RS_2P2),
    OC_FAMILY_(EC_4P1G, OR_RS_4P1),
    OC_FAMILY_(EC_4P2G, OR_RS_4P2),
    OC_FAMILY_(EC_4P3G, OR_RS_4P3),
    OC_FAMILY_(EC_8P1G, OR_RS_8P1),
    OC_FAMILY_(EC_8P2G, OR_RS_8P2),
    OC_FAMILY_(EC_8P3G, OR_RS_8P3),
    OC_FAMILY_(EC_16P1G, OR_RS_16P1),
    OC_FAMILY_(EC_16P2G, OR_RS_16P2),
    OC_FAMILY_(EC_16P3G, OR_RS_16P3),

    OC_RP_12G1 = OBJ_CLASS_DEF(OR_RP_12, 1),
    OC_RP_16G1 = OBJ_CLASS_DEF(OR_RP_16, 1),
    OC_RP_24G1 = OBJ_CLASS_DEF(OR_RP_24, 1),
    OC_RP_32G1 = OBJ_CLASS_DEF(OR_RP_32, 1),
    OC_RP_48G1 = OBJ_CLASS_DEF(OR_RP_48, 1),
    OC_RP_64G1 = OBJ_CLASS_DEF(OR_RP_64, 1),
    OC_RP_128G1 = OBJ_CLASS_DEF(OR_RP_128, 1),

    /** Ids from here on are the system's. */
    OC_RESERVED = 1 << 30
};

enum daos_obj_schema { DAOS_OS_SINGLE, DAOS_OS_STRIPED, DAOS_OS_DYN_STRIPED, DAOS_OS_DYN_CHUNKED };

enum daos_obj_resil { DAOS_RES_EC, DAOS_RES_REPL };

/** A class taken apart. */
struct daos_oclass_attr {
    enum daos_obj_schema ca_schema;
    enum daos_obj_resil ca_resil;
    /** Failures that an object survives. */
    unsigned int ca_resil_degree;
    unsigned int ca_grp_nr;
    union {
        struct daos_rp_attr {
            unsigned int r_proto;
            unsigned int r_num;
        } rp;
        struct daos_ec_attr {
            unsigned short e_k;
            unsigned short e_p;
            unsigned int e_len;
        } ec;
    } u;
};

typedef uint32_t daos_oclass_id_t;
/** DAOS_OCH_ bits. */
typedef uint16_t daos_oclass_hints_t;

struct daos_oclass_list {
    uint32_t cl_nr;
    uint32_t cl_nr_out;
    daos_oclass_id_t *cl_cids;
    struct daos_oclass_attr *cl_cattrs;
};

/** Id of a class name, 0 (OC_UNKNOWN) when there is none. */
int daos_oclass_name2id(const char *name);

/** Names of all classes, separated by ", ", into *str*; returns their length, -1 when *size* is too small. */
ssize_t daos_oclass_names_list(size_t size, char *str);

/** Number of classes with a name. *opts* is not used. */
int daos_oclass_nr(int opts);

/** Name of a class into *name* of MAX_OBJ_CLASS_NAME_LEN bytes; 0, or -1 and "UNKNOWN". */
int daos_oclass_id2name(daos_oclass_id_t oc_id, char *name);

/** Not implemented: -DER_NOSYS. */
int daos_obj_register_class(
    daos_handle_t coh, daos_oclass_id_t cid, struct daos_oclass_attr *attr, daos_event_t *ev);
int daos_obj_query_class(
    daos_handle_t coh, daos_oclass_id_t cid, struct daos_oclass_attr *attr, daos_event_t *ev);
int daos_obj_list_class(
    daos_handle_t coh, struct daos_oclass_list *list, daos_anchor_t *anchor, daos_event_t *ev);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_OBJ_CLASS_H */
