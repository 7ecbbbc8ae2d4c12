/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Copying a tree, a file or a link between a POSIX file system and a POSIX container, or between two of either: the inside of `daos filesystem copy`.
 *
 *   CPY-1  The calling thread lists directories; workers look at what is in them, copy files and links and make directories. What waits for a worker is bounded.
 *   CPY-2  A file gets its attributes after its last byte: extended ones ("user.*"), numeric owner and group (when the superuser copies; else it is whose copies),
 *          mode and mtime.
 *   CPY-3  A directory gets them after everything in it is done; the top, too, also when it was there before, so that a copy that was interrupted ends like one that
 *          was not. One that was there and is somebody else's keeps its own.
 *   CPY-4  What cannot be copied (devices, sockets, pipes) is counted and named, and is no error. So are (counted) owners and extended attributes that the
 *          destination does not take, and further names of a file (hard links), each of which becomes a file of its own.
 *   CPY-5  Directories held open: those being listed or with work going on in them, and those above them.
 *   CPY-6  A block of zeros of a whole buffer is not written: the destination has a hole there.
 *
 * Tested by test/dfs/cli_copy_test.py.
 */
#ifndef CAIRN_CLI_COPY_H
#define CAIRN_CLI_COPY_H

#include <daos.h>
#include <daos_fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    COPY_WORKERS_NR_DEFAULT = 16,
    COPY_WORKERS_NR_MAX = 128,
    COPY_QUEUE_NR_MAX = 1024,
    COPY_DIRS_OPEN_MAX = 32, /* and as many as the tree is deep; two descriptors each */
    COPY_INODES_NR_MAX = 1 << 20, /* files with several names that are remembered */
    COPY_BUF_BYTES = 1 << 20
};

/* One side: a path of the host, or one in a mounted container. */
struct copy_side {
    dfs_t *dfs; /* NULL: the host */
    const char *path; /* absolute */
};

enum copy_progress { COPY_PROGRESS_NONE, COPY_PROGRESS_BAR, COPY_PROGRESS_LINES };

struct copy_opts {
    struct copy_side src, dst;
    uint32_t workers_nr; /* 0: the default */
    enum copy_progress progress;
    FILE *progress_to;
    uint64_t (*retried_nr)(void); /* requests sent again so far; may be NULL */
};

struct copy_stats {
    uint64_t files_nr, dirs_nr, links_nr, skipped_nr;
    uint64_t hard_links_nr; /* further names of files, copied as files of their own; among files_nr */
    uint64_t left_nr; /* things with an owner or extended attribute that was not taken */
    uint64_t bytes;
    double seconds;
};

/**
 * Copy. The last component of the destination is made when it is not there; what is in the way is overwritten, unless it is of another type. Errors: a positive errno;
 * `err` gets one line that says what failed where; what was copied stays. Blocks.
 */
int copy_run(const struct copy_opts *opts, struct copy_stats *ret_stats, char *err, size_t err_bytes);

#endif
