/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Persistent memory, see plat_linux_pmem.h. libpmem is loaded by the first disk that wants it: clients and engines without it need none, and its
 * set-up (it looks through /proc and /sys) costs nobody else. It stays loaded.
 *
 * SIGBUS is the one signal that says that memory went bad. Its handler is installed with the library and knows the range that this thread copies from or
 * to; anything else goes to the handler that was there before. The threads of an engine block all signals (TH-3), and a synchronous signal that is
 * blocked ends the process: it is unblocked in each thread that opens such a disk, and, where that is not the one that uses it, before its first copy.
 */
#include "plat/linux/plat_linux_pmem.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"

enum { NODRAIN = 1 << 0 }; /* PMEM_F_MEM_NODRAIN of its stable interface */

struct pmem_lib {
    int (*is_pmem)(const void *addr, size_t len);
    void *(*copy)(void *dst, const void *src, size_t len, unsigned flags);
    void (*drain)(void);
    int (*msync)(const void *addr, size_t len);
    void *(*map_file)(
        const char *path, size_t len, int flags, mode_t mode, size_t *ret_len, int *ret_is_pmem);
    int (*unmap)(void *addr, size_t len);
};

struct pmem_map {
    const struct pmem_lib *lib;
    uint8_t *mem;
    uint64_t len;
    int fd; /* the disk's */
    bool is_pmem, rdonly, is_dead;
};

/* The copy that runs in this thread. */
struct pmem_guard {
    uint8_t *lo, *hi; /* NULL: none */
    bool is_ready; /* SIGBUS is not blocked in this thread */
    bool is_hit;
};

static _Thread_local volatile struct pmem_guard pmem_guard;
static struct sigaction pmem_sigbus_before; /* written once, before the handler is there */
static pthread_once_t pmem_once = PTHREAD_ONCE_INIT;

static void
sigbus_others(int sig, siginfo_t *info, void *ctx)
{
    if ((pmem_sigbus_before.sa_flags & SA_SIGINFO) != 0) {
        pmem_sigbus_before.sa_sigaction(sig, info, ctx);
    } else if (pmem_sigbus_before.sa_handler != SIG_DFL && pmem_sigbus_before.sa_handler != SIG_IGN) {
        pmem_sigbus_before.sa_handler(sig);
    } else {
        (void)signal(SIGBUS, SIG_DFL); /* the instruction runs again, and ends the process */
    }
}

/* PMEM-3. Only calls that are safe here; mmap() is a bare system call. */
static void
sigbus_main(int sig, siginfo_t *info, void *ctx)
{
    int err = errno;
    uint8_t *at = info->si_addr, *lo = pmem_guard.lo, *hi = pmem_guard.hi;

    if (lo != NULL && at >= lo && at < hi) {
        uint8_t *page = (uint8_t *)ALIGN_DOWN((uintptr_t)at, (uintptr_t)PLAT_SECTOR_BYTES);

        if (mmap(page, (size_t)(hi - page), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED) {
            pmem_guard.is_hit = true;
            errno = err;
            return;
        }
    }
    sigbus_others(sig, info, ctx);
    errno = err;
}

static void
sigbus_install(void)
{
    struct sigaction sa = {
        .sa_sigaction = sigbus_main, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

    (void)sigemptyset(&sa.sa_mask);
    (void)sigaction(SIGBUS, NULL, &pmem_sigbus_before);
    (void)sigaction(SIGBUS, &sa, NULL);
}

/* ---- the library ---------------------------------------------------------------------------------------------------- */

static int
lib_load(struct pmem_lib *lib)
{
    const struct {
        const char *name;
        void *where;
    } syms[] = {
        {"pmem_is_pmem", &lib->is_pmem},
        {"pmem_memcpy", &lib->copy},
        {"pmem_drain", &lib->drain},
        {"pmem_msync", &lib->msync},
        {"pmem_map_file", &lib->map_file},
        {"pmem_unmap", &lib->unmap},
    };
    void *so = dlopen("libpmem.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (so == NULL) {
        LOG_ERROR("libpmem cannot be loaded (%s): install the package libpmem1 for storage class "
                  "dcpm",
            dlerror());
        return CAIRN_ERR(NOSYS);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(syms); i++) {
        void *sym = dlsym(so, syms[i].name);

        if (sym == NULL) {
            LOG_ERROR("libpmem lacks %s: version 1.5 or later is needed", syms[i].name);
            return CAIRN_ERR(NOSYS);
        }
        memcpy(syms[i].where, &sym, sizeof(sym));
    }
    return 0;
}

static int
lib_get(struct plat_linux *pl, const struct pmem_lib **ret_lib)
{
    struct pmem_lib *lib;
    int rc = 0;

    pthread_mutex_lock(&pl->lists_lock);
    lib = pl->pmem;
    if (lib == NULL) {
        lib = calloc(1, sizeof(*lib));
        rc = lib == NULL ? CAIRN_ERR(NOMEM) : lib_load(lib);
        if (rc == 0) {
            (void)pthread_once(&pmem_once, sigbus_install);
            pl->pmem = lib;
        } else {
            free(lib);
        }
    }
    pthread_mutex_unlock(&pl->lists_lock);
    if (rc == 0)
        *ret_lib = lib;
    return rc;
}

void
pmem_lib_destroy(struct pmem_lib *lib)
{
    free(lib);
}

/* ---- maps ----------------------------------------------------------------------------------------------------------- */

/* Asked before blocks are taken: a file system gives all it has before it refuses, and takes them from everybody else meanwhile. */
static bool
has_room(int fd, uint64_t len)
{
    struct statvfs vfs;
    struct stat st;
    uint64_t held;

    if (fstatvfs(fd, &vfs) != 0 || fstat(fd, &st) != 0)
        return true;
    held = (uint64_t)st.st_blocks * 512;
    return len <= held || len - held <= (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* PMEM-2. What is allocated already is left as it is. */
static int
blocks_get(int fd, const char *path, uint64_t len)
{
    if (!has_room(fd, len))
        return CAIRN_ERR(NOSPACE);
    while (fallocate(fd, 0, 0, (off_t)len) != 0) {
        switch (errno) {
        case EINTR:
            break;
        case ENOSPC:
        case EDQUOT:
            return CAIRN_ERR(NOSPACE);
        case EOPNOTSUPP:
        case ENODEV:
            LOG_ERROR("%s: its file system cannot allocate blocks ahead, as persistent memory "
                      "needs: use ext4 "
                      "or xfs, mounted with -o dax",
                path);
            return CAIRN_ERR(NOSYS);
        default:
            return PLAT_LINUX_ERR(errno);
        }
    }
    return 0;
}

int
pmem_map_open(struct plat_linux *pl, int fd, const char *path, uint64_t len, bool rdonly,
    struct pmem_map **ret_map)
{
    struct pmem_map *map = calloc(1, sizeof(*map));
    size_t mapped = 0;
    int is_pmem = 0, rc;

    if (map == NULL)
        return CAIRN_ERR(NOMEM);
    map->fd = fd;
    map->len = len;
    map->rdonly = rdonly;
    rc = lib_get(pl, &map->lib);
    if (rc == 0 && !rdonly)
        rc = blocks_get(fd, path, len);
    if (rc != 0)
        goto out;
    if (rdonly) { /* the library maps for writing only */
        map->mem = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
        if (map->mem == MAP_FAILED)
            map->mem = NULL;
    } else {
        map->mem = map->lib->map_file(path, 0, 0, 0, &mapped, &is_pmem);
    }
    if (map->mem == NULL || (!rdonly && mapped < len)) {
        rc = errno == ENOMEM ? CAIRN_ERR(NOMEM) : PLAT_LINUX_ERR(errno);
        goto out;
    }
    if (!rdonly)
        map->len = mapped; /* pages: what goes beyond the last sector is nobody's */
    map->is_pmem = is_pmem != 0;
    CAIRN_IGNORE(madvise(map->mem, map->len, MADV_DONTFORK));
    *ret_map = map;
    map = NULL;
out:
    pmem_map_close(map);
    return rc;
}

void
pmem_map_close(struct pmem_map *map)
{
    if (map == NULL)
        return;
    if (map->mem != NULL && !map->rdonly)
        (void)map->lib->unmap(map->mem, map->len);
    if (map->mem != NULL && map->rdonly)
        (void)munmap(map->mem, map->len);
    free(map);
}

bool
pmem_map_is_pmem(const struct pmem_map *map)
{
    return map->is_pmem;
}

/* ---- copies --------------------------------------------------------------------------------------------------------- */

static void
guard_begin(uint8_t *lo, uint64_t len)
{
    if (!pmem_guard.is_ready) {
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGBUS);
        (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        pmem_guard.is_ready = true;
    }
    pmem_guard.is_hit = false;
    pmem_guard.hi = lo + len;
    pmem_guard.lo = lo;
    __asm__ volatile("" ::: "memory");
}

/* Other memory lies in the range: put the file's back. */
static void
range_renew(struct pmem_map *map, uint8_t *lo, uint8_t *hi)
{
    off_t off;
    int prot = map->rdonly ? PROT_READ : PROT_READ | PROT_WRITE;
    void *mem;

    lo = (uint8_t *)ALIGN_DOWN((uintptr_t)lo, (uintptr_t)PLAT_SECTOR_BYTES);
    off = (off_t)(lo - map->mem);
    mem = MAP_FAILED;
    if (map->is_pmem) {
        mem = mmap(
            lo, (size_t)(hi - lo), prot, MAP_SHARED_VALIDATE | MAP_SYNC | MAP_FIXED, map->fd, off);
    } else {
        mem = mmap(lo, (size_t)(hi - lo), prot, MAP_SHARED | MAP_FIXED, map->fd, off);
    }
    if (mem == MAP_FAILED) {
        LOG_ERROR("persistent memory cannot be mapped again (%s): nothing of it is read or written "
                  "any more",
            strerror(errno));
        map->is_dead = true;
    }
}

static int
guard_end(struct pmem_map *map)
{
    uint8_t *lo = pmem_guard.lo, *hi = pmem_guard.hi;

    __asm__ volatile("" ::: "memory");
    pmem_guard.lo = NULL;
    if (!pmem_guard.is_hit)
        return 0;
    LOG_ERROR("persistent memory failed (SIGBUS) in the %zu bytes at offset %zu: bad memory, a "
              "device that "
              "is gone, or a file that was cut",
        (size_t)(hi - lo), (size_t)(lo - map->mem));
    range_renew(map, lo, hi);
    return CAIRN_ERR(NVME_IO);
}

static uint64_t
iovs_len(const struct iov *iovs, uint32_t nr)
{
    uint64_t len = 0;

    for (uint32_t i = 0; i < nr; i++) {
        len += iovs[i].len;
    }
    return len;
}

int
pmem_get(struct pmem_map *map, uint64_t off, const struct iov *iovs, uint32_t nr)
{
    const uint8_t *at = map->mem + off;

    if (map->is_dead)
        return CAIRN_ERR(NVME_IO);
    guard_begin(map->mem + off, iovs_len(iovs, nr));
    for (uint32_t i = 0; i < nr; i++) {
        memcpy(iovs[i].buf, at, iovs[i].len);
        at += iovs[i].len;
    }
    return guard_end(map);
}

int
pmem_put(struct pmem_map *map, uint64_t off, const struct iov *iovs, uint32_t nr, bool durable)
{
    uint64_t len = iovs_len(iovs, nr);
    uint8_t *at = map->mem + off;
    int rc;

    if (map->is_dead)
        return CAIRN_ERR(NVME_IO);
    guard_begin(at, len);
    for (uint32_t i = 0; i < nr; i++) {
        if (map->is_pmem) {
            (void)map->lib->copy(at, iovs[i].buf, iovs[i].len, NODRAIN);
        } else {
            memcpy(at, iovs[i].buf, iovs[i].len);
        }
        at += iovs[i].len;
    }
    if (durable && map->is_pmem)
        map->lib->drain();
    rc = guard_end(map);
    if (rc == 0 && durable && !map->is_pmem && map->lib->msync(map->mem + off, len) != 0)
        rc = CAIRN_ERR(NVME_IO);
    return rc;
}

int
pmem_sync(struct pmem_map *map)
{
    if (map->is_dead)
        return CAIRN_ERR(NVME_IO);
    if (map->is_pmem) {
        map->lib->drain();
        return 0;
    }
    return fdatasync(map->fd) == 0 ? 0 : CAIRN_ERR(NVME_IO);
}
