/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Key-value stores: keys are texts, values are replaced whole. The object's type is one of the KV types.
 */
#ifndef CAIRN_DAOS_KV_H
#define CAIRN_DAOS_KV_H

#include <daos_obj.h>
#include <daos_types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Conditions. */
#define DAOS_COND_KEY_INSERT DAOS_COND_DKEY_INSERT
#define DAOS_COND_KEY_UPDATE DAOS_COND_DKEY_UPDATE
#define DAOS_COND_KEY_GET DAOS_COND_DKEY_FETCH
#define DAOS_COND_KEY_REMOVE DAOS_COND_PUNCH

/** Open and close; local. *mode*: DAOS_OO_ bits. */
int daos_kv_open(
    daos_handle_t coh, daos_obj_id_t oid, unsigned int mode, daos_handle_t *oh, daos_event_t *ev);
int daos_kv_close(daos_handle_t oh, daos_event_t *ev);

/** Remove all keys; the handle stays open. */
int daos_kv_destroy(daos_handle_t oh, daos_handle_t th, daos_event_t *ev);

int daos_kv_put(daos_handle_t oh, daos_handle_t th, uint64_t flags, const char *key,
    daos_size_t size, const void *buf, daos_event_t *ev);

/** *size*: room in *buf*, then the length of the value (0: no such key). *buf* NULL or size 0 asks for the length. */
int daos_kv_get(daos_handle_t oh, daos_handle_t th, uint64_t flags, const char *key,
    daos_size_t *size, void *buf, daos_event_t *ev);

int daos_kv_remove(
    daos_handle_t oh, daos_handle_t th, uint64_t flags, const char *key, daos_event_t *ev);

/** As daos_obj_list_dkey(). */
int daos_kv_list(daos_handle_t oh, daos_handle_t th, uint32_t *nr, daos_key_desc_t *kds,
    d_sg_list_t *sgl, daos_anchor_t *anchor, daos_event_t *ev);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_KV_H */
