/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A store that many runs of a crash sweep use, each with a container of its own: formatting takes longer than a run. */
#ifndef CAIRN_VOS_SWEEP_WORLD_H
#define CAIRN_VOS_SWEEP_WORLD_H

#include "vos/test/vos_test_fix.h"

struct world {
    struct fix f;
    uint64_t seed;
    uint64_t mem_bytes; /* for metadata; 0: all of them */
    bool is_up, is_formatted;
    uint32_t run_nr;
};

/** Begin a simulation of `seed` with nothing on its disks. */
static inline bool
world_up(struct world *w, uint64_t seed, uint64_t meta_bytes)
{
    struct sim_opts opts = {.seed = seed, .disk_lat_lo_ns = 1000, .disk_lat_hi_ns = 30000};

    w->is_formatted = false;
    fix_prepare(&w->f);
    w->f.cfg.wal_bytes = 16 << 20;
    w->f.cfg.meta_bytes = meta_bytes;
    w->f.cfg.mem_bytes = w->mem_bytes != 0 ? w->mem_bytes : w->f.cfg.mem_bytes;
    w->f.cfg.data_bytes = 8 << 20;
    w->f.meta_quota = meta_bytes / 2;
    w->f.data_quota = 6 << 20;
    w->is_up = fix_up(&w->f, &opts);
    return w->is_up;
}

static inline void
world_down(struct world *w)
{
    if (w->is_up)
        fix_down(&w->f);
    w->is_up = false;
}

/** The power is gone now, if it is not yet; nothing cuts it later. True if it went before this call. */
static inline bool
world_power_off(struct world *w)
{
    bool lost = sim_host_lost_power(w->f.sim, FIX_HOST);

    sim_host_power_loss_at(w->f.sim, FIX_HOST, 0);
    if (w->f.xs != NULL)
        sim_host_power_loss(w->f.sim, FIX_HOST);
    CAIRN_IGNORE(sim_host_lost_power(w->f.sim, FIX_HOST)); /* known */
    return lost;
}

#endif
