/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The system as a whole.
 */
#ifndef CAIRN_DAOS_MGMT_H
#define CAIRN_DAOS_MGMT_H

#include <daos_cont.h>
#include <uuid/uuid.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** What is known about a system (NULL: the default); freed with daos_mgmt_put_sys_info(). */
int daos_mgmt_get_sys_info(const char *sys, struct daos_sys_info **info);
void daos_mgmt_put_sys_info(struct daos_sys_info *info);

typedef struct {
    uuid_t mgpi_uuid;
    d_string_t mgpi_label;
    /** Ranks of the pool's service. */
    d_rank_list_t *mgpi_svc;
    d_rank_t mgpi_ldr;
} daos_mgmt_pool_info_t;

/** Pools of a system. *npools*: room in *pools* (NULL asks for the number), then how many there are; -DER_TRUNC. */
int daos_mgmt_list_pools(
    const char *group, daos_size_t *npools, daos_mgmt_pool_info_t *pools, daos_event_t *ev);

/** For tests. */
int daos_pool_stop_svc(daos_handle_t poh, daos_event_t *ev);

enum { DMG_KEY_FAIL_LOC = 0, DMG_KEY_FAIL_VALUE = 1, DMG_KEY_FAIL_NUM = 2, DMG_KEY_NUM };

int daos_debug_set_params(const char *grp, d_rank_t rank, unsigned int key_id, uint64_t value,
    uint64_t value_extra, daos_event_t *ev);
int daos_debug_add_mark(const char *mark);
int daos_mgmt_get_bs_state(
    const char *group, uuid_t blobstore_uuid, int *blobstore_state, daos_event_t *ev);

/** Version of the connected system; *tag* is freed by the caller. */
int dc_mgmt_srv_version(uint32_t *major, uint32_t *minor, uint32_t *patch, char **tag);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_MGMT_H */
