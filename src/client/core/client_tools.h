/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What libdaos exports to our own tools alone, under the symbol version CAIRN_PRIVATE. It may change with every release: tools and library come
 * from one build.
 */
#ifndef CAIRN_CLIENT_TOOLS_H
#define CAIRN_CLIENT_TOOLS_H

#include "base/log.h"

#include <stdint.h>

#define CLIENT_TOOLS_API __attribute__((visibility("default")))

/** Requests that this process's client has sent more than once since daos_init(). Any thread. */
CLIENT_TOOLS_API uint64_t client_retried_nr(void);

/** Where the library's log lines go; it prints nothing by itself. Before daos_init(). */
CLIENT_TOOLS_API void client_log_set(log_sink_fn fn, void *arg, enum log_level level);

#endif
