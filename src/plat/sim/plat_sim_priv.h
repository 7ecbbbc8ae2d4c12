/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of plat/sim share. Everything belongs to the one thread that runs the simulation. */
#ifndef CAIRN_PLAT_SIM_PRIV_H
#define CAIRN_PLAT_SIM_PRIV_H

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/util.h"
#include "plat/plat_sim.h"

enum {
    SIM_NAME_BYTES = 64, /* of hosts and nodes, with the zero */
    SIM_WAKE_NS_MAX = 1000, /* a loop runs at most so long after it became ready */
    SIM_STEP_NS = 200, /* simulated cost of a step that has more to do at once */
    SIM_CPU_NR = 4,
};

struct sim_ev {
    struct heap_node hn; /* first; the key is the time */
    void (*fn)(struct sim *sim, struct sim_ev *ev);
};

/* What the events of a history hash into the trace (SM-1). */
enum sim_trace_kind {
    SIM_TRACE_STEP = 1,
    SIM_TRACE_DISK,
    SIM_TRACE_FILE,
    SIM_TRACE_MSG,
    SIM_TRACE_CONN,
    SIM_TRACE_KILL,
    SIM_TRACE_RANDOM,
};

struct sim {
    struct sim_opts opts;
    uint64_t now_ns;
    struct heap events;
    struct rng rng; /* scheduling, nodes */
    struct rng net_rng;
    struct rng disk_rng;
    uint64_t trace;
    struct list_head hosts;
    struct list_head nodes; /* live and dead, in the order of their start */
    struct list_head links_down;
    struct list_head conns;
    struct sim_node *running; /* whose code is on the stack */
    uint32_t node_seq;
};

struct sim_host {
    struct list_head link;
    struct sim *sim;
    char name[SIM_NAME_BYTES];
    struct list_head files; /* struct sim_file */
    struct list_head dirs; /* struct sim_dir */
    struct list_head locks; /* struct plat_dirlock */
    uint64_t mono_off_ns; /* its CLOCK_BOOTTIME minus simulated time */
    uint64_t limit_sectors; /* UINT64_MAX: none */
    uint64_t used_sectors;
    uint64_t writes_nr;
    uint32_t error_ppm; /* of operations on files that begin with error_prefix */
    char error_prefix[SIM_NAME_BYTES];
    uint64_t loss_at_nr; /* power fails at that value of writes_nr; 0: never */
    struct sim_ev loss_ev;
    bool doomed; /* power fails at this instant: what its processes still do has no effect */
    bool lost_power;
    uint32_t boots_nr; /* how often it lost power */
    bool up; /* answers connection attempts */
};

struct sim_reap {
    struct list_head link;
    void (*fn)(void *arg);
    void *arg;
};

struct sim_env {
    struct list_head link;
    char *name;
    char *value;
};

/* One simulated process. */
struct sim_node {
    struct plat plat; /* first */
    struct sim *sim;
    struct sim_host *host;
    struct list_head link;
    char name[SIM_NAME_BYTES];
    uint32_t pid;
    uint64_t start_ns;
    uint64_t realm; /* 0: that of its host */
    bool dead;
    bool doomed; /* to be killed at this instant */
    bool paused;
    int64_t wall_skew_ns;
    struct rng rng;
    struct sim_ev kill_ev;
    struct list_head loops;
    struct list_head disks;
    struct list_head nets;
    struct list_head peers; /* struct net_peer of all nets, until freed */
    struct list_head reaps;
    struct list_head envs;
    struct list_head locks_dropped; /* struct plat_dirlock: the process is dead, the memory is still there */
};

/* Something that a loop has to tell its user in the next poll. */
struct sim_ready {
    struct list_head link; /* empty when not queued */
    void (*fn)(struct sim_ready *ready);
};

struct plat_loop {
    struct list_head link;
    struct sim_node *node;
    struct list_head ready;
    struct plat_post *posts_first;
    struct plat_post *posts_last;
    struct sim_ev run_ev;
    struct plat_thread *thread;
    uint32_t cbs_nr;
};

struct plat_thread {
    struct plat_loop *loop;
    plat_step_fn step;
    void *arg;
};

static inline struct sim_node *
sim_node_of(struct plat *plat)
{
    return CAIRN_CONTAINER_OF(plat, struct sim_node, plat);
}

/* Its effects on the world no longer count. */
static inline bool
sim_node_gone(const struct sim_node *node)
{
    return node->dead || node->doomed || node->host->doomed;
}

/** Memory of the simulator itself; it ends the process when there is none. */
void *sim_alloc(size_t bytes);

void sim_trace(struct sim *sim, enum sim_trace_kind kind, uint64_t a, uint64_t b);
void sim_ev_set(struct sim *sim, struct sim_ev *ev, uint64_t at_ns); /* sets or moves */
void sim_ev_cancel(struct sim *sim, struct sim_ev *ev);
bool sim_ppm(struct rng *rng, uint32_t ppm);

void sim_loop_kick(struct plat_loop *loop);
void sim_loop_ready(struct plat_loop *loop, struct sim_ready *ready);

struct sim_host *sim_host_get(struct sim *sim, const char *name); /* made when new */
void sim_node_die(struct sim_node *node);

/* plat_sim_disk.c */
void sim_host_count_write(struct sim_host *host, bool *ret_lost);
void sim_host_disks_settle(struct sim_host *host); /* power is lost */
void sim_node_disks_drop(
    struct sim_node *node); /* the process is dead: its operations in flight land or not */
void sim_node_disks_free(struct sim_node *node);
void sim_host_files_free(struct sim_host *host);
int sim_disk_open(struct plat *plat, struct plat_loop *loop, const char *path, uint32_t flags,
    uint64_t size_bytes, struct plat_disk **ret_disk);
void sim_disk_close(struct plat_disk *disk);
uint64_t sim_disk_size(struct plat_disk *disk);
void sim_disk_submit(struct plat_disk *disk, struct plat_io *io);
bool sim_disk_volatile(struct plat_disk *disk);
bool sim_disk_is_memory(struct plat_disk *disk);
int sim_disk_map(struct plat_disk *disk, void **ret_mem);
int sim_disk_map_fill(struct plat_disk *disk, uint64_t off, uint64_t len);
int sim_dir_create(struct plat *plat, const char *path);
int sim_dir_lock(struct plat *plat, const char *path, struct plat_dirlock **ret_lock);
void sim_dir_unlock(struct plat_dirlock *lock);
int sim_dir_list(
    struct plat *plat, const char *path, void (*fn)(void *arg, const char *name), void *arg);
int sim_file_read(struct plat *plat, const char *path, void *buf, size_t buf_len, size_t *ret_len);
int sim_file_write(struct plat *plat, const char *path, const void *buf, size_t len);
int sim_file_remove(struct plat *plat, const char *path);

/* plat_sim_net.c */
extern const struct net_ops sim_net_ops;
void sim_node_nets_drop(struct sim_node *node); /* the process is dead: its peers will notice */
void sim_node_nets_free(struct sim_node *node);
void sim_links_free(struct sim *sim);
void sim_conns_retry(struct sim *sim); /* a host is up again */

#endif
