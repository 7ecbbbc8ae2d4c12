/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The linux table of plat.h: clock, randomness, environment, and where the other parts hang. Tested by test/plat_linux_test.c. */
#include "plat/linux/plat_linux_pmem.h"
#include "plat/linux/plat_linux_priv.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

int
plat_linux_err(int err, const char *file, int line)
{
    int rc;

    switch (err) {
    case ENOENT:
        rc = -(int)DER_NONEXIST;
        break;
    case EEXIST:
        rc = -(int)DER_EXIST;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        rc = -(int)DER_NO_PERM;
        break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        rc = -(int)DER_NOSPACE;
        break;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
        rc = -(int)DER_NOMEM;
        break;
    case ENOTDIR:
        rc = -(int)DER_NOTDIR;
        break;
    case ENAMETOOLONG:
        rc = -(int)DER_EXCEEDS_PATH_LEN;
        break;
    case EINVAL:
        rc = -(int)DER_INVAL;
        break;
    case EBUSY:
    case EADDRINUSE:
        rc = -(int)DER_BUSY;
        break;
    case EIO:
        rc = -(int)DER_NVME_IO;
        break;
    case ETIMEDOUT:
        rc = -(int)DER_TIMEDOUT;
        break;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        rc = -(int)DER_UNREACH;
        break;
    default:
        rc = -(int)DER_MISC;
        break;
    }
    err_record(file, line, rc);
    return rc;
}

static uint64_t
linux_clock_ns(clockid_t clock)
{
    struct timespec ts;
    int rc = clock_gettime(clock, &ts);

    CAIRN_ASSERT(rc == 0);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

uint64_t
plat_linux_mono_ns(struct plat *plat)
{
    (void)plat;
    return linux_clock_ns(CLOCK_BOOTTIME);
}

static uint64_t
linux_cpu_ns(struct plat *plat)
{
    (void)plat;
    return linux_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t
linux_wall_ns(struct plat *plat)
{
    (void)plat;
    return linux_clock_ns(CLOCK_REALTIME);
}

static void
linux_random(struct plat *plat, void *buf, size_t len)
{
    uint8_t *p = buf;

    (void)plat;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);

        if (n < 0) {
            CAIRN_ASSERT(errno == EINTR);
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

static const char *
linux_env(struct plat *plat, const char *name)
{
    (void)plat;
    return getenv(name);
}

static uint32_t
linux_cpu_nr(struct plat *plat)
{
    return plat_linux_of(plat)->cpu_nr;
}

static uint32_t
linux_pid(struct plat *plat)
{
    (void)plat;
    return (uint32_t)getpid();
}

int
plat_linux_cpu(struct plat_linux *pl, uint32_t idx)
{
    cpu_set_t set;
    uint32_t left = idx % pl->cpu_nr;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        if (left == 0)
            return cpu;
        left--;
    }
    return -1;
}

static uint32_t
linux_cpus_allowed(void)
{
    cpu_set_t set;
    int nr = 0;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        nr = CPU_COUNT(&set);
    return nr > 0 ? (uint32_t)nr : 1;
}

static const struct net_ops *
linux_net(struct plat *plat, const char *uri)
{
    (void)plat;
    if (uri == NULL || strncmp(uri, "tcp://", 6) == 0 || strncmp(uri, "unix://", 7) == 0)
        return &plat_linux_sock_ops;
    if (strncmp(uri, "inproc://", 9) == 0)
        return &plat_linux_inproc_ops;
    if (strncmp(uri, "ofi+", 4) == 0)
        return &plat_linux_ofi_ops;
    return NULL;
}

static uint64_t
thread_cpu_ns(void)
{
    struct timespec ts;

    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0
        ? (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec
        : 0;
}

/*
 * Large pages make random reads of much memory a third faster, but where the system's memory is in pieces, the kernel first moves others' pages, for
 * milliseconds. Then the next ones are small; the kernel's own thread may make large ones of them later.
 */
static void
linux_mem_touch(struct plat *plat, void *mem, size_t len)
{
    enum { PAUSE_NR = 64 };
    const uint64_t slow_ns = 1000000;
    struct plat_linux *pl = plat_linux_of(plat);
    bool is_fit = ((uintptr_t)mem | len) % PLAT_MEM_LARGE_BYTES == 0;
    bool is_now = is_fit && atomic_load(&pl->large_pause_nr) == 0;
    uint64_t start_ns = 0;

    if (is_now) {
        start_ns = thread_cpu_ns();
        CAIRN_IGNORE(madvise(mem, len, MADV_HUGEPAGE));
    }
    /* Older kernels than 5.14 do not know it, and where memory is short the touch itself tells. */
    CAIRN_IGNORE(madvise(mem, len, MADV_POPULATE_WRITE));
    if (is_now && thread_cpu_ns() - start_ns > slow_ns) {
        atomic_store(&pl->large_pause_nr, PAUSE_NR);
    } else if (is_fit && !is_now) {
        atomic_fetch_sub(&pl->large_pause_nr, 1);
        CAIRN_IGNORE(madvise(mem, len, MADV_HUGEPAGE));
    }
}

static uint64_t
linux_mem_bytes(struct plat *plat)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);

    (void)plat;
    return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes : 0;
}

static const struct plat_ops linux_ops = {
    .mono_ns = plat_linux_mono_ns,
    .wall_ns = linux_wall_ns,
    .cpu_ns = linux_cpu_ns,
    .random = linux_random,
    .env = linux_env,
    .cpu_nr = linux_cpu_nr,
    .pid = linux_pid,
    .proc_self = plat_linux_proc_self,
    .proc_is_gone = plat_linux_proc_is_gone,
    .loop_create = plat_linux_loop_create,
    .loop_destroy = plat_linux_loop_destroy,
    .loop_poll = plat_linux_loop_poll,
    .loop_flush = plat_linux_loop_flush,
    .loop_wait = plat_linux_loop_wait,
    .loop_wake = plat_linux_loop_wake,
    .loop_post = plat_linux_loop_post,
    .thread_start = plat_linux_thread_start,
    .thread_stop = plat_linux_thread_stop,
    .disk_open = plat_linux_disk_open,
    .disk_close = plat_linux_disk_close,
    .disk_size = plat_linux_disk_size,
    .disk_submit = plat_linux_disk_submit,
    .disk_volatile = plat_linux_disk_volatile,
    .disk_is_memory = plat_linux_disk_is_memory,
    .disk_map = plat_linux_disk_map,
    .disk_map_fill = plat_linux_disk_map_fill,
    .dir_create = plat_linux_dir_create,
    .dir_lock = plat_linux_dir_lock,
    .dir_unlock = plat_linux_dir_unlock,
    .dir_list = plat_linux_dir_list,
    .file_read = plat_linux_file_read,
    .file_write = plat_linux_file_write,
    .file_remove = plat_linux_file_remove,
    .net = linux_net,
    .mem_touch = linux_mem_touch,
    .mem_bytes = linux_mem_bytes,
};

/* CAIRN_DISK: a list of what disks go without, to run everything as it is where that is forbidden. */
static void
linux_disk_env(struct plat_linux *pl)
{
    const char *text = getenv("CAIRN_DISK");

    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, ",");

        if (len == 7 && strncmp(text, "threads", len) == 0) {
            pl->uring_off = true;
        } else if (len == 8 && strncmp(text, "buffered", len) == 0) {
            pl->direct_off = true;
        } else if (len == 4 && strncmp(text, "pmem", len) == 0) {
            pl->pmem_all = true;
        } else if (len > 0) {
            LOG_WARN("CAIRN_DISK: %.*s is ignored: expected threads (no io_uring), buffered (no "
                     "direct I/O), pmem (mapped), or several with commas",
                (int)len, text);
        }
        text += len;
        text += *text == ',';
    }
}

int
plat_linux_create(struct plat **ret_plat)
{
    struct plat_linux *pl = calloc(1, sizeof(*pl));
    int rc;

    if (pl == NULL)
        return CAIRN_ERR(NOMEM);
    rc = plat_linux_inproc_hub_create(&pl->inproc);
    if (rc != 0) {
        free(pl);
        return rc;
    }
    pl->plat.ops = &linux_ops;
    pl->spin_ns = PLAT_LINUX_SPIN_NS;
    pl->ofi_dead_ns = PLAT_LINUX_OFI_DEAD_NS;
    pl->cpu_nr = linux_cpus_allowed();
    linux_disk_env(pl);
    plat_linux_proc_init(pl);
    pthread_mutex_init(&pl->lists_lock, NULL);
    list_init(&pl->dirlocks);
    list_init(&pl->loops);
    *ret_plat = &pl->plat;
    return 0;
}

void
plat_linux_destroy(struct plat *plat)
{
    struct plat_linux *pl;

    if (plat == NULL)
        return;
    pl = plat_linux_of(plat);
    CAIRN_ASSERT(list_empty(&pl->dirlocks));
    plat_linux_inproc_hub_destroy(pl->inproc);
    plat_linux_ofi_lib_destroy(pl->ofi);
    pmem_lib_destroy(pl->pmem);
    pthread_mutex_destroy(&pl->lists_lock);
    free(pl);
}

void
plat_linux_spin_set(struct plat *plat, uint64_t spin_ns)
{
    plat_linux_of(plat)->spin_ns = spin_ns;
}

void
plat_linux_ofi_dead_set(struct plat *plat, uint64_t dead_ns)
{
    plat_linux_of(plat)->ofi_dead_ns = dead_ns;
}

void
plat_linux_uring_disable(struct plat *plat)
{
    plat_linux_of(plat)->uring_off = true;
}

void
plat_linux_forked(struct plat *plat)
{
    struct plat_linux *pl = plat_linux_of(plat);
    struct plat_loop *loop;

    /* No mutex: the child has one thread, and the parent may have forked with the lock held. */
    plat_linux_dir_forked(pl);
    LIST_FOREACH(loop, &pl->loops, struct plat_loop, link) {
        plat_linux_loop_forked(loop);
    }
}
