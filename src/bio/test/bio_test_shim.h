/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A disk between: the n-th disk operation from now on answers NVME_IO, without being done. One at a time; sim only. */
#ifndef CAIRN_BIO_TEST_SHIM_H
#define CAIRN_BIO_TEST_SHIM_H

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "plat/plat.h"

struct disk_shim {
    struct plat_ops ops;
    const struct plat_ops *orig;
    struct plat_loop *loop;
    uint64_t left; /* the operation that fails is so many away; 0: none does */
    uint64_t fired_nr;
};

struct disk_shim_post {
    struct plat_post post;
    struct plat_io *io;
};

static struct disk_shim disk_shim;

static inline void
disk_shim_done(struct plat_post *post)
{
    struct disk_shim_post *sp = (struct disk_shim_post *)post;

    sp->io->done(sp->io, -DER_NVME_IO);
    free(sp);
}

static inline void
disk_shim_submit(struct plat_disk *disk, struct plat_io *io)
{
    struct disk_shim_post *sp;

    if (disk_shim.left == 0 || --disk_shim.left > 0) {
        disk_shim.orig->disk_submit(disk, io);
        return;
    }
    disk_shim.fired_nr++;
    sp = calloc(1, sizeof(*sp));
    sp->post.fn = disk_shim_done;
    sp->io = io;
    disk_shim.orig->loop_post(disk_shim.loop, &sp->post);
}

/** For the plat of a process that was just started. */
static inline void
disk_shim_install(struct plat *plat, struct plat_loop *loop)
{
    if (plat->ops == &disk_shim.ops)
        return;
    disk_shim = (struct disk_shim){.ops = *plat->ops, .orig = plat->ops, .loop = loop};
    disk_shim.ops.disk_submit = disk_shim_submit;
    plat->ops = &disk_shim.ops;
}

static inline void
disk_shim_remove(struct plat *plat)
{
    if (plat != NULL && plat->ops == &disk_shim.ops)
        plat->ops = disk_shim.orig;
}

/** 0: disarm. */
static inline void
disk_shim_arm(uint64_t nth)
{
    disk_shim.left = nth;
    disk_shim.fired_nr = 0;
}

#endif
