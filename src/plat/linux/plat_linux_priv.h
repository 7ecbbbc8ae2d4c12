/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of plat/linux share: the process-wide struct, the loop with its sources and tasks, the disk engine's hooks. */
#ifndef CAIRN_PLAT_LINUX_PRIV_H
#define CAIRN_PLAT_LINUX_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/log.h"
#include "base/util.h"
#include "plat/linux/plat_linux_spin.h"
#include "plat/plat_linux.h"

struct inproc_hub;
struct disk_engine;
struct ofi_lib;
struct pmem_lib;

struct plat_linux {
    struct plat plat; /* first */
    uint64_t spin_ns;
    uint32_t cpu_nr; /* CPUs that this process may use */
    bool uring_off, direct_off; /* go without, as where it is forbidden: CAIRN_DISK, tests */
    atomic_bool direct_warned; /* the one warning about O_DIRECT was printed */
    bool pmem_all; /* every file counts as opened with PLAT_DISK_PMEM: CAIRN_DISK, tests */
    atomic_bool pmem_warned; /* the one warning that a mapping is no persistent memory was printed */
    struct pmem_lib *pmem; /* made by the first use; under lists_lock */
    atomic_int large_pause_nr; /* memory that mem_touch() gets in small pages before it tries large ones again */
    atomic_uint spinners_nr; /* loops that poll in loop_wait() now; at most cpu_nr */
    uint8_t realm[16]; /* of struct plat_proc: where this process is */
    struct inproc_hub *inproc;
    struct ofi_lib *ofi; /* made by the first use of a fabric; under lists_lock */
    uint64_t ofi_dead_ns; /* a fabric that lets nothing through for so long is dead */
    pthread_mutex_t lists_lock;
    struct list_head dirlocks; /* live ones, for plat_linux_forked() */
    struct list_head loops; /* live ones, likewise */
};

/* A descriptor in a loop's epoll set. fn runs in loop_poll() with the epoll events. */
struct loop_src {
    struct list_head link; /* loop->srcs */
    int fd;
    uint32_t events;
    void (*fn)(struct loop_src *src, uint32_t events);
    /* May be NULL: try to read without waiting. True: something came, for which fn is called with LOOP_LOOKED next (LOOP-6). Tells nobody. */
    bool (*look)(struct loop_src *src);
};

/* Work for the next loop_poll(). A task added while tasks run waits for the next round of the same or the next poll. */
struct loop_task {
    struct list_head link; /* empty when not scheduled */
    void (*fn)(struct loop_task *task);
};

/* What must be asked as well as the epoll set: a library's queue. */
struct loop_poller {
    struct list_head link; /* loop->pollers */
    void (*poll)(struct loop_poller *poller); /* in every loop_poll() */
    bool (*look)(
        struct loop_poller *poller); /* before a sleep, again and again: is there something to poll */
    bool (*may_sleep)(struct loop_poller *poller); /* last thing before a sleep; false: poll again */
};

enum {
    LOOP_EVENTS_MAX = 64, /* descriptors dispatched by one poll */
    LOOP_LATER_NS = 1000000,
    LOOP_LOOKED = 1 << 24, /* no event of epoll */
    LOOP_RXBUF_BYTES = 128 << 10, /* receive buffer shared by the sockets of a loop */
};

/* Owner: the thread that drives it; posts, woken and sleeping are touched by any. */
struct plat_loop {
    struct plat_linux *pl;
    struct list_head link; /* pl->loops */
    struct list_head pollers;
    struct loop_poller *poller_next; /* the one after the one that runs now */
    uint32_t asks_nr; /* LOOP-4 */
    struct list_head srcs; /* for plat_linux_forked() */
    pid_t pid; /* the process that made it: a forked child must not touch what the kernel shares with its parent */
    int epfd;
    int wakefd;
    struct loop_src wake_src;
    struct list_head tasks;
    struct list_head later; /* tasks for the poll at retry_at_ns or after it */
    struct epoll_event events[LOOP_EVENTS_MAX]; /* found by loop_wait(), dispatched by loop_poll() */
    int events_nr;
    struct loop_src *last_src; /* whose event was dispatched last, if it has look() */
    struct loop_src *hot_src; /* brought the last two (LOOP-6) */
    bool is_hot_found; /* its look() found something */
    bool is_poller_found; /* a poller's did, just before this poll (LOOP-5) */
    uint32_t cbs_nr; /* user callbacks run so far */
    struct plat_linux_loop_stats stats;
    uint64_t retry_at_ns; /* PLAT_NEVER_NS: none is for later */
    struct spin spin;
    uint32_t looks_left_out_nr; /* LOOP-5 */
    struct disk_engine *disk; /* made by the first disk */
    uint8_t *rxbuf; /* made by the first socket */
    _Atomic(struct plat_post *) posts; /* newest first */
    atomic_bool woken;
    atomic_bool sleeping;
};

static inline struct plat_linux *
plat_linux_of(struct plat *plat)
{
    return CAIRN_CONTAINER_OF(plat, struct plat_linux, plat);
}

/** -DER_ code for a positive errno, recorded at the caller's line. */
#define PLAT_LINUX_ERR(err) plat_linux_err((err), __FILE__, __LINE__)
int plat_linux_err(int err, const char *file, int line);

uint64_t plat_linux_mono_ns(struct plat *plat);

/* processes */
void plat_linux_proc_self(struct plat *plat, struct plat_proc *ret_proc);
void plat_linux_proc_init(struct plat_linux *pl);
bool plat_linux_proc_is_gone(struct plat *plat, const struct plat_proc *proc);
int
plat_linux_cpu(struct plat_linux *pl, uint32_t idx); /* number of the idx-th CPU that may be used */

/* loop */
int plat_linux_loop_create(struct plat *plat, struct plat_loop **ret_loop);
void plat_linux_loop_destroy(struct plat_loop *loop);
void plat_linux_loop_forked(struct plat_loop *loop); /* close the child's descriptors */
uint32_t plat_linux_loop_poll(struct plat_loop *loop);
void plat_linux_loop_flush(struct plat_loop *loop);
void plat_linux_loop_wait(struct plat_loop *loop, uint64_t deadline_ns);
void plat_linux_loop_wake(struct plat_loop *loop);
void plat_linux_loop_post(struct plat_loop *loop, struct plat_post *post);
int plat_linux_thread_start(struct plat *plat, struct plat_loop *loop, const char *name,
    uint32_t cpu, plat_step_fn step, void *arg, struct plat_thread **ret_thread);
void plat_linux_thread_stop(struct plat_thread *thread);

CAIRN_MUST_CHECK int loop_src_add(struct plat_loop *loop, struct loop_src *src);
void loop_src_mod(struct plat_loop *loop, struct loop_src *src, uint32_t events);
void loop_src_del(
    struct plat_loop *loop, struct loop_src *src); /* also events found but not yet dispatched */

void loop_poller_add(struct plat_loop *loop, struct loop_poller *poller);
void loop_poller_del(struct plat_loop *loop, struct loop_poller *poller);

static inline void
loop_task_add(struct plat_loop *loop, struct loop_task *task)
{
    if (list_empty(&task->link))
        list_add_tail(&task->link, &loop->tasks);
}

/* For a poll in LOOP_LATER_NS. */
void loop_task_add_later(struct plat_loop *loop, struct loop_task *task);

/* Addresses "a.b.c.d:port", and the options of a TCP socket that shall notice a dead host. */
struct sockaddr_in;
CAIRN_MUST_CHECK int plat_linux_tcp_addr(const char *text, struct sockaddr_in *ret_addr);
void plat_linux_tcp_options(int fd);
bool plat_linux_tcp_is_self(int fd); /* joined to its own port */

extern const struct net_ops plat_linux_sock_ops;
extern const struct net_ops plat_linux_ofi_ops;
void plat_linux_ofi_lib_destroy(struct ofi_lib *lib); /* NULL-safe */
extern const struct net_ops plat_linux_inproc_ops;
CAIRN_MUST_CHECK int plat_linux_inproc_hub_create(struct inproc_hub **ret_hub);
void plat_linux_inproc_hub_destroy(struct inproc_hub *hub); /* no endpoint listens any more */

/* disks */
int plat_linux_disk_open(struct plat *plat, struct plat_loop *loop, const char *path,
    uint32_t flags, uint64_t size_bytes, struct plat_disk **ret_disk);
void plat_linux_disk_close(struct plat_disk *disk);
uint64_t plat_linux_disk_size(struct plat_disk *disk);
void plat_linux_disk_submit(struct plat_disk *disk, struct plat_io *io);
bool plat_linux_disk_volatile(struct plat_disk *disk);
bool plat_linux_disk_is_memory(struct plat_disk *disk);
int plat_linux_disk_map(struct plat_disk *disk, void **ret_mem);
int plat_linux_disk_map_fill(struct plat_disk *disk, uint64_t off, uint64_t len);

void disk_engine_destroy(struct disk_engine *engine);
void disk_engine_submit(struct disk_engine *engine); /* hand queued operations to the kernel */
void disk_engine_reap(struct disk_engine *engine); /* run what has completed */
bool disk_engine_ready(struct disk_engine *engine); /* is there something to reap */

/* directories and small files */
int plat_linux_dir_create(struct plat *plat, const char *path);
int plat_linux_dir_sync_parent(const char *path);
int plat_linux_dir_lock(struct plat *plat, const char *path, struct plat_dirlock **ret_lock);
void plat_linux_dir_unlock(struct plat_dirlock *lock);
void plat_linux_dir_forked(struct plat_linux *pl);
int plat_linux_dir_list(
    struct plat *plat, const char *path, void (*fn)(void *arg, const char *name), void *arg);
int plat_linux_file_read(
    struct plat *plat, const char *path, void *buf, size_t buf_len, size_t *ret_len);
int plat_linux_file_write(struct plat *plat, const char *path, const void *buf, size_t len);
int plat_linux_file_remove(struct plat *plat, const char *path);

#endif
