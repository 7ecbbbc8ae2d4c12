/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Events and event queues (api.md 2.2), and the one way in which a public call runs: client_run().
 *
 *   event states:  INIT --launch--> RUNNING --completed--> DONE --poll/test--> INIT
 *   EV-1  An event of a queue is on exactly one of the queue's lists while RUNNING (running) or DONE (completed).
 *   EV-2  A parent is RUNNING while a child is, once its barrier is posted; it completes with the first error of its children.
 *   EV-3  All state is changed on ULTs of the client's xstream.
 */
#ifndef CAIRN_CLIENT_EVENT_H
#define CAIRN_CLIENT_EVENT_H

#include "client/core/client.h"

struct daos_event;

/**
 * Run fn(args) for a public call. Without an event: blocking, its result is returned. With one: args are copied, the call is launched and 0 returned; the
 * result becomes ev_error. Errors before launch: UNINIT no daos_init(); BUSY the event is in use; NOMEM.
 */
int client_run(struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes);

/** The same for calls that may be the first to need the system called `sys` (NULL: the default): client_attach() comes before. */
int client_run_attached(
    const char *sys, struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes);

/** A blocking internal step of a public call that is not tied to an event. */
int client_run_sync(int (*fn)(void *args), void *args);

/** The code for arguments that are refused before a call runs: UNINIT comes before INVAL. */
int client_refuse(void);

#endif
