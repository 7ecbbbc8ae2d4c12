/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Containers: private object spaces in a pool; the unit of snapshots and transactions.
 */
#ifndef CAIRN_DAOS_CONT_H
#define CAIRN_DAOS_CONT_H

#include <daos_event.h>
#include <daos_prop.h>
#include <daos_security.h>
#include <daos_types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Programs compiled with this header call the current forms. */
#define daos_cont_open daos_cont_open2
#define daos_cont_destroy daos_cont_destroy2
#define daos_cont_create daos_cont_create2

/** Modes of opening. */
#define DAOS_COO_RO (1U << 0)
#define DAOS_COO_RW (1U << 1)
#define DAOS_COO_EX (1U << 2)
/** Open although redundancy was exceeded. */
#define DAOS_COO_FORCE (1U << 3)
/** Do not change the open time. */
#define DAOS_COO_RO_MDSTATS (1U << 4)
/** Close the handles of this user, or of all. */
#define DAOS_COO_EVICT (1U << 5)
#define DAOS_COO_EVICT_ALL (1U << 6)
/** Accept the newest layout. */
#define DAOS_COO_NEW_LAYOUT (1U << 7)
#define DAOS_COO_NBITS (8)
#define DAOS_COO_MASK ((1U << DAOS_COO_NBITS) - 1)
#define DAOS_COO_IO_BASE_MASK (DAOS_COO_RO | DAOS_COO_RW | DAOS_COO_EX)

/** Room for a hint with terminator. */
#define DAOS_CONT_HINT_MAX_LEN 128

/** A list of ranks from text; *sep* separates them. Freed with d_rank_list_free(); NULL when it is not valid. */
d_rank_list_t *daos_rank_list_parse(const char *str, const char *sep);

/** Make a handle known to other processes: see daos_pool_local2global(). */
int daos_cont_local2global(daos_handle_t coh, d_iov_t *glob);
int daos_cont_global2local(daos_handle_t poh, d_iov_t glob, daos_handle_t *coh);

/** Create a container with a new UUID, returned in *uuid* if not NULL. *cont_prop* may be NULL. */
int daos_cont_create(daos_handle_t poh, uuid_t *uuid, daos_prop_t *cont_prop, daos_event_t *ev);

/** The same with a label; -DER_EXIST when a container has it. */
int daos_cont_create_with_label(
    daos_handle_t poh, const char *label, daos_prop_t *cont_prop, uuid_t *uuid, daos_event_t *ev);

/** Open by label or UUID text. *flags*: DAOS_COO_ bits. *info* may be NULL. -DER_NONEXIST, -DER_NO_PERM, -DER_BUSY, -DER_RF. */
int daos_cont_open(daos_handle_t poh, const char *cont, unsigned int flags, daos_handle_t *coh,
    daos_cont_info_t *info, daos_event_t *ev);
int daos_cont_close(daos_handle_t coh, daos_event_t *ev);

/** Destroy; -DER_BUSY while it is open, unless *force*. */
int daos_cont_destroy(daos_handle_t poh, const char *cont, int force, daos_event_t *ev);

/** *info* and *cont_prop* may be NULL. A property list without entries asks for all but the ACL. */
int
daos_cont_query(daos_handle_t coh, daos_cont_info_t *info, daos_prop_t *cont_prop, daos_event_t *ev);

/** Properties ACL, OWNER and OWNER_GROUP; freed with daos_prop_free(). */
int daos_cont_get_acl(daos_handle_t coh, daos_prop_t **acl_prop, daos_event_t *ev);

int daos_cont_set_prop(daos_handle_t coh, daos_prop_t *prop, daos_event_t *ev);

/** Declare the container healthy again. */
int daos_cont_status_clear(daos_handle_t coh, daos_event_t *ev);

/** Replace the list; add or replace its entries; remove the entry of a principal. */
int daos_cont_overwrite_acl(daos_handle_t coh, struct daos_acl *acl, daos_event_t *ev);
int daos_cont_update_acl(daos_handle_t coh, struct daos_acl *acl, daos_event_t *ev);
int daos_cont_delete_acl(
    daos_handle_t coh, enum daos_acl_principal_type type, d_string_t name, daos_event_t *ev);

/** Change user and group (NULL: keep); the second form accepts principals that this machine does not know. */
int daos_cont_set_owner(daos_handle_t coh, d_string_t user, d_string_t group, daos_event_t *ev);
int
daos_cont_set_owner_no_check(daos_handle_t coh, d_string_t user, d_string_t group, daos_event_t *ev);

/** Attributes: as those of pools. */
int daos_cont_list_attr(daos_handle_t coh, char *buffer, size_t *size, daos_event_t *ev);
int daos_cont_get_attr(daos_handle_t coh, int n, char const *const names[], void *const buffers[],
    size_t sizes[], daos_event_t *ev);
int daos_cont_set_attr(daos_handle_t coh, int n, char const *const names[],
    void const *const values[], size_t const sizes[], daos_event_t *ev);
int daos_cont_del_attr(daos_handle_t coh, int n, char const *const names[], daos_event_t *ev);

/** Reserve *num_oids* consecutive numbers, unique in the container for ever; *oid* gets the first. For the lo part of object ids. */
int daos_cont_alloc_oids(daos_handle_t coh, daos_size_t num_oids, uint64_t *oid, daos_event_t *ev);

/**
 * Drop versions up to *epoch* (0: as far as possible) that no snapshot needs, now; waits until that is done. Happens by itself, later, in the background. -DER_NO_PERM,
 * -DER_TIMEDOUT: it goes on.
 */
int daos_cont_aggregate(daos_handle_t coh, daos_epoch_t epoch, daos_event_t *ev);

/** Not implemented: -DER_NOSYS. */
int daos_cont_rollback(daos_handle_t coh, daos_epoch_t epoch, daos_event_t *ev);
int daos_cont_subscribe(daos_handle_t coh, daos_epoch_t *epoch, daos_event_t *ev);

#define DAOS_SNAPSHOT_MAX_LEN 128

/** Take a snapshot; *epoch* names it, and *name*, too, unless it is NULL. */
int daos_cont_create_snap(daos_handle_t coh, daos_epoch_t *epoch, char *name, daos_event_t *ev);

enum daos_snapshot_opts {
    /** Create the snapshot. */
    DAOS_SNAP_OPT_CR = (1 << 0),
    /** And the table of its object ids. */
    DAOS_SNAP_OPT_OIT = (1 << 1)
};

int daos_cont_create_snap_opt(daos_handle_t coh, daos_epoch_t *epoch, char *name,
    enum daos_snapshot_opts opts, daos_event_t *ev);

/** Snapshots, oldest first. *nr*: room in *epochs* and *names* (each may be NULL), then how many there are. */
int daos_cont_list_snap(daos_handle_t coh, int *nr, daos_epoch_t *epochs, char **names,
    daos_anchor_t *anchor, daos_event_t *ev);

/** Destroy the snapshots in a range of epochs. */
int daos_cont_destroy_snap(daos_handle_t coh, daos_epoch_range_t epr, daos_event_t *ev);

/** DAOS_ACL_PERM_ bits that the container's owner and ACL properties give to a user. */
int
daos_cont_get_perms(daos_prop_t *cont_prop, uid_t uid, gid_t *gids, size_t nr_gids, uint64_t *perms);

/** Make, and destroy, the object id table of an existing snapshot. */
int daos_cont_snap_oit_create(daos_handle_t coh, daos_epoch_t epoch, char *name, daos_event_t *ev);
int daos_cont_snap_oit_destroy(daos_handle_t coh, daos_handle_t oh, daos_event_t *ev);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_CONT_H */
