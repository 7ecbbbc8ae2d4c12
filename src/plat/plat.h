/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * plat: the outside world as method tables (rule 5 of ARCHITECTURE.md). Clock, randomness, environment, threads, disks and
 * networks are reached only through a `struct plat`. Two implementations: plat/linux (the only code that makes system calls)
 * and plat/sim (one seeded event queue that owns time, disks, networks and the life of nodes).
 *
 *   PLT-1  A loop belongs to one xstream. All callbacks of a loop (disk completions, messages, posts) run inside
 *          plat_loop_poll() (or loop_flush()) on that xstream, never inside the call that submitted the work, never on another thread.
 *   PLT-2  Only plat_loop_post() and plat_loop_wake() may be called from a foreign thread.
 *   PLT-3  A completion is called exactly once for every submitted operation, also after an error or a close.
 *   PLT-4  Under plat/sim nothing depends on addresses, real time or thread races (SM-1).
 *
 * None of the functions here yields a ULT: plat knows nothing of ULTs. `ult` and `bio` turn completions into waits.
 */
#ifndef CAIRN_PLAT_H
#define CAIRN_PLAT_H

#include "base/err.h"
#include "base/iov.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plat;
struct plat_loop;
struct plat_disk;
struct plat_thread;
struct plat_dirlock;
struct net;
struct net_peer;
struct net_mem;

enum {
    PLAT_MEM_LARGE_BYTES = 2 << 20, /* of mem_touch() */
    PLAT_SECTOR_BYTES = 4096
};
#define PLAT_NEVER_NS UINT64_MAX

/* ---- loops ---------------------------------------------------------------------------------------------------------- */

/* A call posted to a loop by any thread. The caller owns the memory until fn runs. */
struct plat_post {
    void (*fn)(struct plat_post *post);
    struct plat_post *next; /* private to the loop */
};

/**
 * What drives one xstream: run what is ready, then return the absolute monotonic time in ns at which the next timer is
 * due (PLAT_NEVER_NS: none; 0: more is ready now, call again without sleeping). The driver calls plat_loop_poll() before
 * each step, so the step itself only runs ULTs.
 */
typedef uint64_t (*plat_step_fn)(void *arg);

/* ---- disks ---------------------------------------------------------------------------------------------------------- */

enum plat_disk_flags {
    PLAT_DISK_CREATE = 1 << 0, /* create the file when absent; with EXCL fail with EXIST when present */
    PLAT_DISK_EXCL = 1 << 1,
    PLAT_DISK_RDONLY = 1 << 2,
    PLAT_DISK_NODIRECT = 1 << 3, /* buffered even where O_DIRECT works (tests) */
    /*
     * Persistent memory: a file, mapped; what is not allocated yet is, at open. More errors: NOSYS no libpmem, or a file system that cannot allocate;
     * NOSPACE. A power loss tears what was not synced by words of 8 bytes. Without effect on tmpfs.
     */
    PLAT_DISK_PMEM = 1 << 4,
};

enum plat_io_op { PLAT_IO_READ, PLAT_IO_WRITE, PLAT_IO_SYNC };
enum plat_io_flags { PLAT_IO_DSYNC = 1 << 0 /* a write that is durable when it completes */ };

/*
 * One disk operation. off and every length are multiples of PLAT_SECTOR_BYTES, buffers aligned to it (checked: INVAL).
 * Short transfers are retried inside; done() gets 0 or an error, once (PLT-3). Buffers are borrowed until done().
 * A SYNC makes every write that completed before its submission durable (ST-1: a failed sync poisons the disk: every
 * later operation fails with -DER_NVME_IO).
 * Errors: NVME_IO the device failed; NOSPACE; INVAL beyond the end or misaligned.
 */
struct plat_io {
    enum plat_io_op op;
    uint32_t flags;
    uint64_t off;
    const struct iov *iovs; /* at most PLAT_IO_IOV_MAX */
    uint32_t iov_nr;
    void (*done)(struct plat_io *io, int rc);
    void *arg; /* the caller's */
    uint64_t priv[10]; /* the backend's */
};
enum { PLAT_IO_IOV_MAX = 256 };

/* ---- networks ------------------------------------------------------------------------------------------------------- */

enum {
    NET_URI_MAX = 128, /* including the terminating zero */
    NET_HDR_BYTES_MAX =
        32768, /* head part of a message: RPC header and encoded body with inline values */
    NET_PAYLOAD_BYTES_MAX = 1 << 20,
    NET_SENDQ_MSGS_MAX = 1024, /* per peer; beyond it net_send() answers -DER_BUSY */
};

/*
 * A message is a head (1..NET_HDR_BYTES_MAX bytes) and an optional payload. The transport delivers heads and payloads whole or
 * not at all, in order between two endpoints while a connection lasts (plat/sim may duplicate, delay and reorder when told to).
 *
 * One send. Head and payload are borrowed until done(), called once: 0 when the transport no longer needs the buffers (this
 * does not mean delivered), else the error that ended the connection. PLT-1: never called inside net_send().
 */
struct net_tx {
    struct iov head;
    struct iov payload; /* len 0: none */
    void (*done)(struct net_tx *tx, int rc);
    void *arg;
    uint64_t priv[8];
};

/*
 * One read of a peer's memory by the transport, without the peer's help. dst is the transport's until done(), which is called once and
 * from the loop, before down() of that peer. A read that failed has left anything in dst.
 */
struct net_read {
    struct iov dst;
    uint64_t off; /* bytes beyond `where` */
    void (*done)(struct net_read *rd, int rc);
    uint64_t priv[10];
};
enum { NET_WHERE_BYTES = 32 }; /* says where memory is to those who may read it */

struct net_cbs {
    /*
     * The head of a message with a payload has arrived: say where the payload shall go. Return true and fill *ret_dst (len at
     * least payload_len; must stay valid until recv() or down()), or false to let the transport use a buffer of its own.
     * May be NULL. The head is not yet verified by anybody: treat as hostile.
     */
    bool (*place)(void *arg, struct net_peer *peer, const void *head, size_t head_len,
        size_t payload_len, struct iov *ret_dst);
    /* A whole message. Both parts are borrowed until return. */
    void (*recv)(void *arg, struct net_peer *peer, const void *head, size_t head_len,
        const void *payload, size_t payload_len);
    /* A peer connected to this listening endpoint. */
    void (*accepted)(void *arg, struct net_peer *peer);
    /* The connection is gone; every pending tx has been completed. The peer handle is still valid: end it with net_peer_put(). */
    void (*down)(void *arg, struct net_peer *peer, int rc);
};

/*
 * A network backend. Endpoints: open() makes one, bound to `listen_uri` or anonymous (NULL) for clients. URIs by backend:
 *   "tcp://a.b.c.d:port"  "unix:///path"  (plat/linux, backend sock)     "inproc://name" (same process)
 *   "ofi+PROVIDER://a.b.c.d:port" (libfabric: "ofi+tcp;ofi_rxm", "ofi+verbs;ofi_rxm")
 *   "sim://node/name" (plat/sim)
 * connect() only starts: failure comes as down(). Sends may be queued at once.
 * A peer returned by connect() or given to accepted() holds one reference of the user's.
 */
struct net_ops {
    const char *name;
    int (*open)(struct plat *plat, struct plat_loop *loop, const char *listen_uri,
        const struct net_cbs *cbs, void *arg, struct net **ret_net);
    void (*close)(
        struct net *net); /* closes every peer, completes every tx (their callbacks run inside) */
    int (*connect)(struct net *net, const char *uri, struct net_peer **ret_peer);
    int (*send)(struct net_peer *peer, struct net_tx *tx);
    /* Take a tx back: done() has been called when this returns (a message that was half sent is finished from a copy). */
    void (*tx_cancel)(struct net_peer *peer, struct net_tx *tx);
    void (*disconnect)(struct net_peer *peer); /* down() follows from the loop */
    void (*peer_put)(struct net_peer *peer);
    void *(*peer_arg)(struct net_peer *peer); /* the user's pointer, NULL at first */
    void (*peer_arg_set)(struct net_peer *peer, void *arg);
    const char *(*uri)(struct net *net); /* where it listens, with the real port; "" for clients */

    /*
     * Optional, all or none: memory that peers read by themselves (RDMA, process_vm_readv). The owner offers it, tells a peer by its own
     * means where it is, and revokes it. A read that the peer began before is not waited for: it may see what the memory holds
     * later, so the reader compares checksums (MS-3). Nothing is ever written. A read that fails may end the connection.
     */
    int (*mem_offer)(struct net *net, const struct iov *buf, struct net_mem **ret_mem);
    void (*mem_revoke)(struct net_mem *mem);
    /* False: not for this peer. */
    bool (*mem_where)(
        struct net_mem *mem, struct net_peer *peer, size_t off, uint8_t ret_where[NET_WHERE_BYTES]);
    /* `where` is hostile. Errors: NOSYS not from this peer; UNREACH it is down. With an error done() is not called. */
    int (*read)(struct net_peer *peer, struct net_read *rd, const uint8_t where[NET_WHERE_BYTES]);
    uint32_t read_bytes_min; /* less comes faster in a message */
    bool may_read_late; /* a read of what was revoked fails or sees other bytes, and costs nothing else */
};

/* ---- processes ------------------------------------------------------------------------------------------------------ */

/*
 * A process as others on its machine can look for it, also after they have been started anew. `realm` says where pids mean the same: one boot
 * of one kernel, one namespace of pids; all zero: nothing is known. No other process has ever the same three values.
 */
struct plat_proc {
    uint8_t realm[16];
    uint32_t pid;
    uint64_t start; /* when it began, in a unit of the realm's */
};

/* ---- the table ------------------------------------------------------------------------------------------------------ */

struct plat_ops {
    /* clock: monotonic (CLOCK_BOOTTIME) and wall time since the Unix epoch, both ns */
    uint64_t (*mono_ns)(struct plat *plat);
    uint64_t (*wall_ns)(struct plat *plat);
    uint64_t (*cpu_ns)(struct plat *plat); /* processor's time of the calling thread; sim: mono_ns */
    void (*random)(struct plat *plat, void *buf, size_t len);
    const char *(*env)(struct plat *plat, const char *name); /* NULL when unset */
    uint32_t (*cpu_nr)(struct plat *plat);
    uint32_t (*pid)(struct plat *plat); /* the process, or the simulated one */
    void (*proc_self)(struct plat *plat, struct plat_proc *ret_proc);
    /*
     * True: that process has certainly ended. False: it lives, or one cannot know (another realm, no permission to look). Some system calls, which do not
     * block; about 10 us.
     */
    bool (*proc_is_gone)(struct plat *plat, const struct plat_proc *proc);

    int (*loop_create)(struct plat *plat, struct plat_loop **ret_loop);
    void (*loop_destroy)(struct plat_loop *loop);
    uint32_t (*loop_poll)(struct plat_loop *loop); /* dispatch what is there; how many callbacks ran */
    /* Begin what was queued, without looking for events: sends go out. Their callbacks run inside, as in a poll. linux only; sim asserts. */
    void (*loop_flush)(struct plat_loop *loop);
    /* Poll for at most spin_ns, then sleep until something is there, a wake-up or deadline. linux only; sim asserts. */
    void (*loop_wait)(struct plat_loop *loop, uint64_t deadline_ns);
    void (*loop_wake)(struct plat_loop *loop);
    void (*loop_post)(struct plat_loop *loop, struct plat_post *post);

    /*
     * Drive `step` on this loop until thread_stop(): linux starts an OS thread with all signals blocked (TH-3) pinned to
     * `cpu` (UINT32_MAX: anywhere) that repeats poll, step, wait; sim calls poll and step from its event queue.
     */
    int (*thread_start)(struct plat *plat, struct plat_loop *loop, const char *name, uint32_t cpu,
        plat_step_fn step, void *arg, struct plat_thread **ret_thread);
    void (*thread_stop)(
        struct plat_thread *thread); /* returns when the step will not be called again; frees it */

    int (*disk_open)(struct plat *plat, struct plat_loop *loop, const char *path, uint32_t flags,
        uint64_t size_bytes, struct plat_disk **ret_disk); /* size: of a file being created, else 0 */
    void (*disk_close)(struct plat_disk *disk); /* nothing in flight any more */
    uint64_t (*disk_size)(struct plat_disk *disk);
    void (*disk_submit)(struct plat_disk *disk, struct plat_io *io);
    bool (*disk_volatile)(struct plat_disk *disk); /* tmpfs and kin: the ram class */
    /* Optional. An operation is a copy, made when it is submitted (tmpfs, persistent memory): several at a time gain nothing. */
    bool (*disk_is_memory)(struct plat_disk *disk);
    /*
     * Optional, both or none: the disk as memory, where it is memory already (tmpfs; not a cache in front of a device, which would be written
     * in any order). disk_map() gives the whole of it, from offset 0, until disk_close(): the bytes that reads and writes see, too.
     * Nothing there may be touched before disk_map_fill() has put memory behind it (whole sectors): there may be none left, and then a touch ends the
     * process. Both may block for some time: about 3 us per new page. Errors: NOSYS this disk, or this kernel, cannot; NOSPACE; NOMEM; INVAL.
     */
    int (*disk_map)(struct plat_disk *disk, void **ret_mem);
    int (*disk_map_fill)(struct plat_disk *disk, uint64_t off, uint64_t len);

    /* Directories and small files, used at start and stop only; these may block. Paths absolute. */
    int (*dir_create)(
        struct plat *plat, const char *path); /* like mkdir -p, synced; present is no error */
    int (*dir_lock)(struct plat *plat, const char *path,
        struct plat_dirlock **ret_lock); /* of a directory or a device; BUSY: another process */
    void (*dir_unlock)(struct plat_dirlock *lock);
    int (*dir_list)(struct plat *plat, const char *path, void (*fn)(void *arg, const char *name),
        void *arg); /* names sorted; without . and .., and *.tmp, which are the backend's */
    int (*file_read)(struct plat *plat, const char *path, void *buf, size_t buf_len, size_t *ret_len);
    int (*file_write)(struct plat *plat, const char *path, const void *buf,
        size_t len); /* whole, atomic, durable; replacing as many bytes needs no space */
    int (*file_remove)(struct plat *plat, const char *path); /* NONEXIST when absent */

    /*
     * A hint, NULL: none. All of this memory is about to be written, and read at random for long: get its pages at once, not one by one as they are
     * touched, and large ones where it is PLAT_MEM_LARGE_BYTES aligned and the system has some at hand.
     */
    void (*mem_touch)(struct plat *plat, void *mem, size_t len);
    uint64_t (*mem_bytes)(struct plat *plat); /* of the machine; optional */

    /* The backend that serves this URI (or, with NULL, anonymous use of the default one); NULL: none. */
    const struct net_ops *(*net)(struct plat *plat, const char *uri);
};

/* The first member of every implementation's own struct. */
struct plat {
    const struct plat_ops *ops;
};

/* Short forms. */
static inline uint64_t
plat_mono_ns(struct plat *plat)
{
    return plat->ops->mono_ns(plat);
}

static inline uint64_t
plat_cpu_ns(struct plat *plat)
{
    return plat->ops->cpu_ns(plat);
}

static inline uint64_t
plat_wall_ns(struct plat *plat)
{
    return plat->ops->wall_ns(plat);
}

#endif
