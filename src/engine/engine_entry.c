/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The one symbol of the engine's module, for applications that hold their engine themselves.
 * Tested by test/engine_module_test.c.
 */
#include "engine/engine.h"

#ifndef CAIRN_SOFTWARE_VERSION
#define CAIRN_SOFTWARE_VERSION "unknown"
#endif

extern const struct cairn_engine_entry_v1 cairn_engine_entry_v1;

__attribute__((visibility("default"))) const struct cairn_engine_entry_v1 cairn_engine_entry_v1 = {
    .version = 1,
    .struct_bytes = sizeof(struct cairn_engine_entry_v1),
    .plat_ops_bytes = sizeof(struct plat_ops),
    .cfg_bytes = sizeof(struct engine_cfg),
    .software = CAIRN_SOFTWARE_VERSION,
    .start = engine_start,
    .wait_ready = engine_wait_ready,
    .state_get = engine_state_get,
    .stop = engine_stop,
    .abandon = engine_abandon,
    .ctl = engine_ctl,
    .buf_free = engine_buf_free,
    .uri = engine_uri,
    .incarnation = engine_incarnation,
    .system_uuid = engine_system_uuid,
};
