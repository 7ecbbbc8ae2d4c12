/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A place in time. Epochs order changes; the modifications of one transaction share one and are told apart by minor epochs. */
#ifndef CAIRN_VOS_EPOCH_H
#define CAIRN_VOS_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

struct vos_epoch {
    uint64_t epoch;
    uint16_t minor;
};

static inline bool
vos_epoch_gt(struct vos_epoch a, struct vos_epoch b)
{
    return a.epoch > b.epoch || (a.epoch == b.epoch && a.minor > b.minor);
}

#endif
