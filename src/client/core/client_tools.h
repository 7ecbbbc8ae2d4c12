/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What libdaos exports to libdfs and our own tools alone, under the symbol version CAIRN_PRIVATE. It may change with every release: tools and libraries
 * come from one build.
 */
#ifndef CAIRN_CLIENT_TOOLS_H
#define CAIRN_CLIENT_TOOLS_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

#define CLIENT_TOOLS_API __attribute__((visibility("default")))

/** Requests that this process's client has sent more than once since daos_init(). Any thread. */
CLIENT_TOOLS_API uint64_t client_retried_nr(void);

/** Where the library's log lines go; it prints nothing by itself. Before daos_init(). */
CLIENT_TOOLS_API void client_log_set(log_sink_fn fn, void *arg, enum log_level level);

/**
 * Run fn(args) as the public calls run: blocking when `ev` is NULL; else args are copied, 0 is returned and what fn returns ends the event. fn runs on a ULT of the
 * client and may call the public API; it returns 0 or -DER. The result here and ev_error are positive errno values. Errors before launch: those of client_run().
 */
struct daos_event;
CLIENT_TOOLS_API int
client_tools_run(struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes);

/**
 * A container handle (cookie) that reads the snapshot of this name (NULL: of this epoch) and writes nothing; `ret_coh` is closed as any other. Blocks. Errors: NO_HDL;
 * NONEXIST; INVAL the name is too long.
 */
CLIENT_TOOLS_API int
client_tools_open_snap(uint64_t coh, uint64_t epoch, const char *name, uint64_t *ret_coh);

/**
 * True when a call has failed with MISMATCH because another installation of the system's name answers (or has written the attach file) than the one this process
 * is attached to; `buf` gets the path of the attach file.
 */
CLIENT_TOOLS_API bool client_tools_foreign(char *buf, size_t buf_bytes);

/** Wall time (ns since 1970) and a fresh value of the hybrid clock, above every epoch this client has seen. Either may be NULL. Errors: UNINIT. */
CLIENT_TOOLS_API int client_tools_now(uint64_t *ret_wall_ns, uint64_t *ret_hlc);

/**
 * Start an engine on `dir` inside this process, give it one packed control Envelope, stop it. `*ret_rep` returns owned: free(). Blocks. On failure `err` gets one
 * line. Errors: those of embedded mode; those of engine_ctl().
 */
CLIENT_TOOLS_API int client_embedded_once(const char *dir, const void *req, size_t req_len,
    void **ret_rep, size_t *ret_len, char *err, size_t err_bytes);

#endif
