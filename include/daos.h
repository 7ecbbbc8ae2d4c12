/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The client library: include this one.
 */
#ifndef CAIRN_DAOS_H
#define CAIRN_DAOS_H

#include <daos_api.h>
#include <daos_array.h>
#include <daos_cont.h>
#include <daos_event.h>
#include <daos_kv.h>
#include <daos_mgmt.h>
#include <daos_obj.h>
#include <daos_pool.h>
#include <daos_prop.h>
#include <daos_security.h>
#include <daos_types.h>
#include <daos_version.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Start and end the use of the library; counted. Returns 0 or -DER_. */
int daos_init(void);
int daos_fini(void);

/** In a child after fork(): drop what belongs to the parent and start anew. */
int daos_reinit(void);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_H */
