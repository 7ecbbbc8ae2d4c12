/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Memory ahead of a writer: see plat_linux_ahead.h.
 *
 * fallocate() takes it, in steps: it holds the lock of the inode, which a write to the file takes, too. Faults of a mapping go without it, and take twice as long.
 */
#include "plat/linux/plat_linux_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/util.h"
#include "plat/plat_gate.h"

struct disk_ahead {
    int fd;
    uint64_t size_bytes;
    /* owner: the writer */
    uint64_t top; /* end of its highest write */
    uint64_t new_bytes; /* written on new ground so far */
    uint64_t asked; /* the goal, as it was told to the thread */
    struct plat_gate_thread *thread;
    struct plat_gate *gate;
    /* under the gate */
    uint64_t done; /* taken up to here */
    uint64_t goal;
    bool is_refused; /* AHD-2 */
    bool stop;
};

/* AHD-2 */
static bool
has_room(int fd)
{
    struct statvfs vfs;

    return fstatvfs(fd, &vfs) == 0 && (vfs.f_blocks == 0 || vfs.f_bavail > vfs.f_blocks / 8);
}

static bool
step_take(int fd, uint64_t off, uint64_t len)
{
    int rc;

    if (!has_room(fd))
        return false;
    do {
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
    } while (rc != 0 && errno == EINTR);
    return rc == 0;
}

static void
ahead_main(void *arg)
{
    struct disk_ahead *ahead = arg;

    plat_gate_lock(ahead->gate);
    while (!ahead->stop) {
        uint64_t off = ahead->done, len;
        bool is_taken;

        if (ahead->is_refused || off >= ahead->goal) {
            plat_gate_broadcast(ahead->gate); /* disk_ahead_drain() */
            plat_gate_wait(ahead->gate);
            continue;
        }
        len = MIN(ahead->goal - off, (uint64_t)AHEAD_STEP_BYTES);
        plat_gate_unlock(ahead->gate);
        is_taken = step_take(ahead->fd, off, len);
        plat_gate_lock(ahead->gate);
        ahead->is_refused = !is_taken;
        if (is_taken && ahead->done == off)
            ahead->done = off + len;
    }
    plat_gate_unlock(ahead->gate);
}

/* The writer is at `top`: what it has passed needs nobody. */
static void
goal_set(struct disk_ahead *ahead, uint64_t top, uint64_t goal)
{
    plat_gate_lock(ahead->gate);
    ahead->done = MAX(ahead->done, top);
    ahead->goal = MAX(ahead->goal, goal);
    plat_gate_broadcast(ahead->gate);
    plat_gate_unlock(ahead->gate);
}

void
disk_ahead_wrote(struct disk_ahead *ahead, uint64_t off, uint64_t len)
{
    uint64_t end = off + len, goal;

    if (end <= ahead->top)
        return;
    ahead->new_bytes += end - MAX(off, ahead->top);
    ahead->top = end;
    goal = end + MIN(ahead->new_bytes, (uint64_t)AHEAD_MAX_BYTES);
    goal = MIN(goal, ahead->size_bytes);
    if (ahead->new_bytes < AHEAD_MIN_BYTES ||
        goal < MIN(ahead->asked + AHEAD_STEP_BYTES, ahead->size_bytes) || goal == ahead->asked)
        return;
    ahead->asked = goal;
    goal_set(ahead, end, goal);
}

void
disk_ahead_drain(struct disk_ahead *ahead)
{
    plat_gate_lock(ahead->gate);
    while (!ahead->is_refused && ahead->done < ahead->goal) {
        plat_gate_wait(ahead->gate);
    }
    plat_gate_unlock(ahead->gate);
}

int
disk_ahead_create(int fd, uint64_t size_bytes, struct disk_ahead **ret_ahead)
{
    struct disk_ahead *ahead = calloc(1, sizeof(*ahead));
    int rc = CAIRN_ERR(NOMEM);

    if (ahead == NULL)
        return rc;
    ahead->fd = fd;
    ahead->size_bytes = size_bytes;
    ahead->gate = plat_gate_create();
    if (ahead->gate != NULL)
        rc = plat_gate_thread_start("cairn-ahead", ahead_main, ahead, &ahead->thread);
    if (rc != 0) {
        plat_gate_destroy(ahead->gate);
        free(ahead);
        return rc;
    }
    *ret_ahead = ahead;
    return 0;
}

void
disk_ahead_destroy(struct disk_ahead *ahead)
{
    if (ahead == NULL)
        return;
    plat_gate_lock(ahead->gate);
    ahead->stop = true;
    plat_gate_broadcast(ahead->gate);
    plat_gate_unlock(ahead->gate);
    plat_gate_thread_join(ahead->thread);
    plat_gate_destroy(ahead->gate);
    free(ahead);
}
