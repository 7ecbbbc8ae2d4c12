/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Processes: who am I, and has that one ended (struct plat_proc).
 *
 * A pid alone is worth little: it is given again, and it means another process in another namespace. So it goes with the time of the start, and with
 * a realm made of the kernel's boot id and the namespaces of pids and of time. Two processes of one realm mean the same by a pid and by a start
 * time. A /proc of another namespace than the process's own makes the realm unknown.
 *
 * When in doubt a process lives: no permission to look, no pidfd, a start time that cannot be read. A zombie has ended, and a process whose first
 * thread alone has ended has not: a pidfd tells these apart, /proc does not.
 *
 * Tested by test/plat_proc_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/util.h"
#include "plat/linux/plat_linux_priv.h"

enum { STAT_START_FIELD = 22, STAT_BYTES = 1024, LINK_BYTES = 128 };

/* A small file of /proc as text; false: it cannot be read. */
static bool
file_text(const char *path, char *buf, size_t buf_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, buf, buf_bytes - 1);
    close(fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

static bool
link_text(const char *path, char *buf, size_t buf_bytes)
{
    ssize_t n = readlink(path, buf, buf_bytes - 1);

    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

/* The name stands in parentheses and may hold anything, parentheses too. */
static bool
stat_start(const char *text, uint64_t *ret_start)
{
    const char *p = strrchr(text, ')');
    char *end;

    if (p == NULL)
        return false;
    p++;
    for (int field = 3; field <= STAT_START_FIELD; field++) {
        p += strspn(p, " ");
        if (*p == '\0')
            return false;
        if (field < STAT_START_FIELD)
            p += strcspn(p, " ");
    }
    errno = 0;
    *ret_start = strtoull(p, &end, 10);
    return errno == 0 && end != p;
}

static bool
start_of(const char *who, uint64_t *ret_start)
{
    char path[64], text[STAT_BYTES];

    snprintf(path, sizeof(path), "/proc/%s/stat", who);
    return file_text(path, text, sizeof(text)) && stat_start(text, ret_start);
}

/* All zero when it is not known. Older kernels have no namespaces of time: there the boot's is everybody's. */
static void
realm_make(uint8_t ret_realm[16])
{
    char boot[64], pids[LINK_BYTES], self[32], want[32], times[LINK_BYTES] = "";

    memset(ret_realm, 0, 16);
    snprintf(want, sizeof(want), "%d", (int)getpid());
    if (!link_text("/proc/self", self, sizeof(self)) || strcmp(self, want) != 0)
        return;
    if (!file_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) ||
        !link_text("/proc/self/ns/pid", pids, sizeof(pids)))
        return;
    CAIRN_IGNORE(link_text("/proc/self/ns/time", times, sizeof(times)));
    le64_put(ret_realm, hash_bytes64(boot, strlen(boot), 1));
    le64_put(ret_realm + 8,
        hash_bytes64(boot, strlen(boot), 2) ^ hash_bytes64(pids, strlen(pids), 3) ^
            hash_bytes64(times, strlen(times), 4));
}

void
plat_linux_proc_self(struct plat *plat, struct plat_proc *ret_proc)
{
    (void)plat;
    *ret_proc = (struct plat_proc){.pid = (uint32_t)getpid()};
    if (start_of("self", &ret_proc->start))
        realm_make(ret_proc->realm);
}

void
plat_linux_proc_init(struct plat_linux *pl)
{
    realm_make(pl->realm);
}

/* Is there a process of that pid that has not ended? True when one cannot know. */
static bool
pid_lives(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    bool has_ended;

    if (fd < 0)
        return errno != ESRCH && (kill(pid, 0) == 0 || errno != ESRCH);
    has_ended = poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN) != 0;
    close(fd);
    return !has_ended;
}

bool
plat_linux_proc_is_gone(struct plat *plat, const struct plat_proc *proc)
{
    static const uint8_t unknown[16];
    struct plat_linux *pl = plat_linux_of(plat);
    char who[16];
    uint64_t start;

    if (memcmp(proc->realm, unknown, sizeof(unknown)) == 0 ||
        memcmp(proc->realm, pl->realm, sizeof(pl->realm)) != 0)
        return false;
    if (proc->pid == 0 || proc->pid > INT32_MAX)
        return false;
    if (!pid_lives((pid_t)proc->pid))
        return true;
    snprintf(who, sizeof(who), "%u", proc->pid);
    return start_of(who, &start) && start != proc->start; /* the pid was given again */
}
