/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions, anchors, and times of epochs.
 */
#ifndef CAIRN_DAOS_API_H
#define CAIRN_DAOS_API_H

#include <daos_event.h>
#include <daos_types.h>
#include <time.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Flags of a transaction: reads only; buffers may be used until commit instead of being copied. */
enum { DAOS_TF_RDONLY = (1 << 0), DAOS_TF_ZERO_COPY = (1 << 1) };

d_rank_list_t *daos_rank_list_parse(const char *str, const char *sep);

/** Open a transaction; operations that carry *th* belong to it. */
int daos_tx_open(daos_handle_t coh, daos_handle_t *th, uint64_t flags, daos_event_t *ev);

/** Make all its changes visible at once; -DER_TX_RESTART: conflict, call daos_tx_restart() and repeat the operations. */
int daos_tx_commit(daos_handle_t th, daos_event_t *ev);

/** A transaction that reads a snapshot. */
int daos_tx_open_snap(daos_handle_t coh, daos_epoch_t epoch, daos_handle_t *th, daos_event_t *ev);

/** Forget its changes; end it; start it again. */
int daos_tx_abort(daos_handle_t th, daos_event_t *ev);
int daos_tx_close(daos_handle_t th, daos_event_t *ev);
int daos_tx_restart(daos_handle_t th, daos_event_t *ev);

/** Epoch at which it reads or was committed. */
int daos_tx_hdl2epoch(daos_handle_t th, daos_epoch_t *epoch);

/** Start of a listing. *opts* is not used. */
static inline int
daos_anchor_init(daos_anchor_t *anchor, unsigned int opts)
{
    (void)opts;
    memset(anchor, 0, sizeof(*anchor));
    return 0;
}

static inline void
daos_anchor_fini(daos_anchor_t *anchor)
{
    (void)anchor;
}

/** True when a listing has ended. */
static inline bool
daos_anchor_is_eof(daos_anchor_t *anchor)
{
    return anchor->da_type == DAOS_ANCHOR_TYPE_EOF;
}

/** Time of an epoch. Returns 0 or -DER_INVAL. */
int daos_hlc2timespec(uint64_t hlc, struct timespec *ts);
int daos_hlc2timestamp(uint64_t hlc, time_t *ts);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_API_H */
