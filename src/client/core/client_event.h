/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Events and event queues (api.md 2.2), and the one way in which a public call runs: client_run().
 *
 *   event states:  INIT --launch--> RUNNING --completed--> DONE --poll/test--> INIT
 *   EV-1  An event of a queue is on exactly one of the queue's lists while RUNNING (running) or DONE (completed); a child is on none.
 *   EV-2  A parent is launched after all its children, by a barrier or with a call of its own; it completes with the first error of its children (barrier) or with its
 *         call's result, and is handed out only when no child runs.
 *   EV-3  All state is changed on ULTs of the client's xstream, or by the thread that drives it.
 *   EV-4  A callback serves one completion: it is forgotten when it has been called. Those of an event run in the order of their registration, on the ULT that
 *         completes the event, on whichever thread drives (client_helper.c).
 *   EV-5  An aborted call sends nothing any more and ends with CANCELED; what it had sent may have had its effect. A request in flight is waited for, because its
 *         buffers are lent to the peer (MS-3).
 */
#ifndef CAIRN_CLIENT_EVENT_H
#define CAIRN_CLIENT_EVENT_H

#include "client/core/client.h"

struct daos_event;

/**
 * Run fn(args) for a public call. Without an event: blocking, its result is returned. With one: args are copied, the call is launched and 0 returned; the
 * result becomes ev_error. Errors before launch: UNINIT no daos_init(); NO_PERM the event is in use, or has children that were not launched; NONEXIST its queue is gone;
 * INVAL not initialised; NOMEM.
 */
int client_run(struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes);

/** The same, with positive errno values outside (libdfs): fn returns a code of ours, callbacks see it, ev_error and the result are err_to_errno() of it. */
int client_run_errno(struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes);

/** The call on this ULT was aborted (EV-5). */
bool client_is_aborted(void);

/** The same for calls that may be the first to need the system called `sys` (NULL: the default): client_attach() comes before. */
int client_run_attached(
    const char *sys, struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes);

/** A blocking internal step of a public call that is not tied to an event. */
int client_run_sync(int (*fn)(void *args), void *args);

/** The code for arguments that are refused before a call runs: UNINIT comes before INVAL. */
int client_refuse(void);

#endif
