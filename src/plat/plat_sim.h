/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The simulated implementation of plat.h: one `struct sim` owns time, an event queue, disks and the network; each simulated
 * process is a `struct plat` of its own (a node). Everything follows from one seed (SM-1); the disk is meaner than a real one (SM-2).
 */
#ifndef CAIRN_PLAT_SIM_H
#define CAIRN_PLAT_SIM_H

#include "plat/plat.h"

struct sim;

/* Rates are in parts per million of the events that they apply to; latencies in ns (uniform between lo and hi). */
struct sim_opts {
    uint64_t seed;
    uint64_t net_lat_lo_ns, net_lat_hi_ns;
    uint32_t net_loss_ppm, net_dup_ppm, net_reorder_ppm, net_cut_ppm; /* cut: the connection drops */
    uint64_t net_part_hi_ns; /* how late the second part of a payload may come; 0: as any packet */
    uint32_t net_window_bytes; /* of one direction, unread; 0: 256 KiB */
    uint32_t net_sendq_nr; /* messages that a peer may have queued before send() says BUSY; 0: NET_SENDQ_MSGS_MAX */
    uint64_t disk_lat_lo_ns, disk_lat_hi_ns;
    uint32_t disk_error_ppm, disk_stall_ppm;
    uint64_t disk_stall_ns;
};

CAIRN_MUST_CHECK int sim_create(const struct sim_opts *opts, struct sim **ret_sim);
void sim_destroy(struct sim *sim);
/** Other rates and latencies from now on (the seed stays); of operations and packets to come. Errors: INVAL. */
CAIRN_MUST_CHECK int sim_opts_set(struct sim *sim, const struct sim_opts *opts);

/** A new process on host `host` (its disks and files live with the host and outlive it). Returns owned by the sim. */
CAIRN_MUST_CHECK int
sim_node_start(struct sim *sim, const char *host, const char *name, struct plat **ret_plat);

/**
 * Kill a process at once (as by SIGKILL): its loops, threads and endpoints are gone, its peers see the connection drop, data that it
 * wrote without sync stays with the host's cache. The memory of the victim's own objects is not freed by this: what the
 * product allocated is released by the `reap` functions registered with sim_node_on_kill().
 */
void sim_node_kill(struct sim *sim, struct plat *plat);
void sim_node_on_kill(struct plat *plat, void (*reap)(void *arg), void *arg);

/** Power loss of a host: kills its processes; each write not yet synced is kept, lost or torn by sector, as the seed says. */
void sim_host_power_loss(struct sim *sim, const char *host);

/** Cut power of `host` at the n-th write or sync to come (1 = the next one), that one included as unsynced; 0: never. */
void sim_host_power_loss_at(struct sim *sim, const char *host, uint64_t n);
bool sim_host_lost_power(struct sim *sim, const char *host); /* since it was last asked */
uint64_t sim_host_writes(struct sim *sim, const char *host); /* writes and syncs so far */

/** Damage: flip one bit of a file; fill the disk (no space for new blocks); cut or heal the link between two hosts. */
CAIRN_MUST_CHECK int
sim_file_flip_bit(struct sim *sim, const char *host, const char *path, uint64_t bit_off);
/** Flip one bit, chosen by rnd, in one of the sectors that hold something but zeros. Errors: NONEXIST no such file, or nothing in it. */
CAIRN_MUST_CHECK int sim_file_rot(struct sim *sim, const char *host, const char *path, uint64_t rnd);
/** A part of a host's disks that fails: that many of a million operations on files whose path begins so. 0: it is well again. */
void sim_disk_errors_set(struct sim *sim, const char *host, const char *prefix, uint32_t ppm);
void sim_host_disk_limit(struct sim *sim, const char *host, uint64_t bytes);
void sim_link_set(struct sim *sim, const char *from_host, const char *to_host, bool up);
void sim_node_pause(struct plat *plat, bool paused);
void sim_node_clock_skew(struct plat *plat, int64_t wall_skew_ns);
/** Processes of one realm can look at each other (struct plat_proc), whatever hosts they are on and however often these lose power. */
void sim_node_realm_set(struct plat *plat, const char *realm);
void sim_node_env_set(struct plat *plat, const char *name, const char *value);

/** Run events until `done(arg)` is true (0), nothing is left to do (-DER_NONEXIST) or the simulated time limit (-DER_TIMEDOUT). */
CAIRN_MUST_CHECK int
sim_run_until(struct sim *sim, bool (*done)(void *arg), void *arg, uint64_t limit_ns);
void sim_run_for(struct sim *sim, uint64_t ns);
uint64_t sim_now_ns(struct sim *sim);
uint64_t sim_trace_hash(struct sim *sim); /* over every event so far */

#endif
