/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what only the simulator does: determinism, kills, power loss, damage.
 * Method: small processes that write numbered sectors; the surviving content is compared with what was acknowledged. Rates
 * (lost, torn, kept) are asserted to occur at all over many seeds: a simulator that is too kind finds nothing (SM-2, SM-3).
 */
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "plat/plat_sim.h"

enum { SECTOR = PLAT_SECTOR_BYTES, WRITES_NR = 40, PIECE = 512 };

/* A process that writes sector after sector, with a sync after every fourth (or with DSYNC), and notes what was acknowledged. */
struct writer {
    struct plat *plat;
    struct plat_loop *loop;
    struct plat_thread *thread;
    struct plat_disk *disk;
    struct plat_io io;
    struct iov iov;
    uint8_t *page;
    uint32_t flags;
    uint32_t next;
    uint32_t acked; /* writes reported complete */
    uint32_t durable; /* writes reported durable */
    uint32_t errors;
    bool syncing;
    bool idle;
    bool reaped;
};

static void writer_next(struct writer *w);

static void
writer_done(struct plat_io *io, int rc)
{
    struct writer *w = io->arg;

    if (rc != 0) {
        w->errors++;
        w->idle = true;
        return;
    }
    if (w->syncing || (w->flags & PLAT_IO_DSYNC) != 0)
        w->durable = w->next;
    w->acked = w->next;
    writer_next(w);
}

static void
writer_next(struct writer *w)
{
    bool sync = (w->flags & PLAT_IO_DSYNC) == 0 && w->next % 4 == 0 && w->durable < w->next;

    if (!sync && w->next == WRITES_NR) {
        w->idle = true;
        return;
    }
    w->syncing = sync;
    memset(&w->io, 0, sizeof(w->io));
    w->io.op = sync ? PLAT_IO_SYNC : PLAT_IO_WRITE;
    w->io.flags = sync ? 0 : w->flags;
    w->io.done = writer_done;
    w->io.arg = w;
    if (!sync) {
        memset(w->page, (int)(w->next + 1), SECTOR);
        w->iov = (struct iov){w->page, SECTOR};
        w->io.iovs = &w->iov;
        w->io.iov_nr = 1;
        w->io.off = (uint64_t)w->next * SECTOR;
        w->next++;
    }
    w->plat->ops->disk_submit(w->disk, &w->io);
}

static uint64_t
writer_step(void *arg)
{
    struct writer *w = arg;

    if (w->disk == NULL) {
        EXPECT_OK(w->plat->ops->disk_open(
            w->plat, w->loop, "/disk", PLAT_DISK_CREATE, WRITES_NR * SECTOR, &w->disk));
        writer_next(w);
    }
    return PLAT_NEVER_NS;
}

static void
writer_reap(void *arg)
{
    struct writer *w = arg;

    w->reaped = true;
    w->plat->ops->disk_close(w->disk);
    w->plat->ops->thread_stop(w->thread);
    w->plat->ops->loop_destroy(w->loop);
    free(w->page);
}

static void
writer_start(struct sim *sim, struct writer *w, uint32_t flags)
{
    memset(w, 0, sizeof(*w));
    w->flags = flags;
    EXPECT_OK(sim_node_start(sim, "host", "writer", &w->plat));
    w->page = aligned_alloc(SECTOR, SECTOR);
    EXPECT_OK(w->plat->ops->loop_create(w->plat, &w->loop));
    EXPECT_OK(w->plat->ops->thread_start(w->plat, w->loop, "w", 0, writer_step, w, &w->thread));
    sim_node_on_kill(w->plat, writer_reap, w);
}

static bool
writer_over(void *arg)
{
    struct writer *w = arg;

    return w->idle || w->reaped;
}

/* Reads the whole file in a new process. */
static void
disk_dump(struct sim *sim, uint8_t *buf)
{
    struct plat *plat = NULL;
    struct plat_loop *loop = NULL;
    struct plat_disk *disk = NULL;
    struct iov iov = {buf, (size_t)WRITES_NR * SECTOR};
    struct writer done = {.flags = 0, .next = WRITES_NR, .durable = WRITES_NR};
    struct plat_io io = {.iovs = &iov, .iov_nr = 1, .done = writer_done, .arg = &done};

    EXPECT_OK(sim_node_start(sim, "host", "reader", &plat));
    EXPECT_OK(plat->ops->loop_create(plat, &loop));
    EXPECT_OK(plat->ops->disk_open(plat, loop, "/disk", 0, 0, &disk));
    if (disk != NULL) {
        plat->ops->disk_submit(disk, &io);
        for (int i = 0; i < 100 && !done.idle; i++) {
            sim_run_for(sim, 100000);
            plat->ops->loop_poll(loop);
        }
        EXPECT(done.idle);
        plat->ops->disk_close(disk);
    }
    plat->ops->loop_destroy(loop);
    sim_node_kill(sim, plat);
}

static struct sim *
sim_new(uint64_t seed)
{
    struct sim_opts opts = {.seed = seed, .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 90000};
    struct sim *sim = NULL;

    EXPECT_OK(sim_create(&opts, &sim));
    return sim;
}

TEST_ON(plat_sim, same_seed_same_history, BACKEND_SIM)
{
    uint64_t hash[3];

    for (int run = 0; run < 3; run++) {
        struct sim *sim = sim_new(run < 2 ? 7 : 8);
        struct writer w;
        uint8_t *waste = malloc(100 + 1000 * (size_t)run); /* other addresses in each run */

        writer_start(sim, &w, 0);
        EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
        EXPECT_EQ(w.durable, WRITES_NR);
        hash[run] = sim_trace_hash(sim);
        sim_destroy(sim);
        EXPECT(w.reaped);
        free(waste);
    }
    EXPECT_EQ(hash[0], hash[1]);
    EXPECT_NE(hash[0], hash[2]);
}

struct fates {
    uint32_t kept, lost, torn, wrong;
};

/* What happened to sector `idx`, whose content was to be idx + 1 everywhere. */
static void
fate_count(const uint8_t *page, uint32_t idx, struct fates *fates)
{
    uint32_t is_new = 0, is_old = 0;

    for (size_t off = 0; off < SECTOR; off += PIECE) {
        uint8_t want = (uint8_t)(idx + 1);

        for (size_t i = 0; i < PIECE; i++) {
            if (page[off + i] != page[off])
                fates->wrong++; /* torn below 512 bytes */
        }
        is_new += page[off] == want;
        is_old += page[off] == 0;
    }
    if (is_new + is_old != SECTOR / PIECE) {
        fates->wrong++;
    } else if (is_old == 0) {
        fates->kept++;
    } else if (is_new == 0) {
        fates->lost++;
    } else {
        fates->torn++;
    }
}

static void
power_loss_sweep(uint32_t flags, struct fates *durable, struct fates *unsynced)
{
    uint8_t *buf = aligned_alloc(SECTOR, (size_t)WRITES_NR * SECTOR);

    for (uint64_t n = 1; n <= WRITES_NR; n++) {
        struct sim *sim = sim_new(n);
        struct writer w;

        sim_host_power_loss_at(sim, "host", n);
        writer_start(sim, &w, flags);
        EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
        EXPECT(w.reaped);
        EXPECT(sim_host_lost_power(sim, "host"));
        EXPECT(!sim_host_lost_power(sim, "host"));
        EXPECT_EQ(sim_host_writes(sim, "host"), n);
        if (n > 1) { /* at the first, the file may not have come to be */
            disk_dump(sim, buf);
            for (uint32_t i = 0; i < w.next; i++) {
                fate_count(buf + (size_t)i * SECTOR, i, i < w.durable ? durable : unsynced);
            }
        }
        sim_destroy(sim);
    }
    free(buf);
}

TEST_ON(plat_sim, power_loss_spares_synced, BACKEND_SIM)
{
    struct fates durable = {0}, unsynced = {0};

    power_loss_sweep(0, &durable, &unsynced);
    EXPECT_EQ(durable.lost + durable.torn + durable.wrong, 0);
    EXPECT_GT(durable.kept, 100);
    EXPECT_GT(unsynced.kept, 0);
    EXPECT_GT(unsynced.lost, 0);
    EXPECT_GT(unsynced.torn, 0);
    EXPECT_EQ(unsynced.wrong, 0);
}

TEST_ON(plat_sim, power_loss_spares_dsync, BACKEND_SIM)
{
    struct fates durable = {0}, unsynced = {0};

    power_loss_sweep(PLAT_IO_DSYNC, &durable, &unsynced);
    EXPECT_EQ(durable.lost + durable.torn + durable.wrong, 0);
    EXPECT_GT(durable.kept, 100);
    EXPECT_GT(unsynced.lost + unsynced.torn, 0); /* the one in flight */
    EXPECT_EQ(unsynced.wrong, 0);
}

/* kill -9 loses nothing that had completed; the write in flight lands or not. */
TEST_ON(plat_sim, kill_keeps_completed, BACKEND_SIM)
{
    uint8_t *buf = aligned_alloc(SECTOR, (size_t)WRITES_NR * SECTOR);
    struct fates flight = {0}, done = {0};

    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct sim *sim = sim_new(seed);
        struct writer w;

        writer_start(sim, &w, 0);
        sim_run_for(sim, 200000 + seed * 40000);
        sim_node_kill(sim, w.plat);
        EXPECT(w.reaped);
        EXPECT_LT(w.acked, WRITES_NR);
        disk_dump(sim, buf);
        for (uint32_t i = 0; i < w.next; i++) {
            fate_count(buf + (size_t)i * SECTOR, i, i < w.acked ? &done : &flight);
        }
        sim_destroy(sim);
    }
    EXPECT_EQ(done.lost + done.torn + done.wrong, 0);
    EXPECT_GT(done.kept, 30);
    EXPECT_GT(flight.kept, 0);
    EXPECT_GT(flight.lost, 0);
    free(buf);
}

TEST_ON(plat_sim, errors_poison, BACKEND_SIM)
{
    struct sim_opts opts = {.seed = 3, .disk_error_ppm = 1000000};
    struct sim *sim = NULL;
    struct writer w;

    EXPECT_OK(sim_create(&opts, &sim));
    writer_start(sim, &w, PLAT_IO_DSYNC);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT_EQ(w.errors, 1);
    w.idle = false;
    w.plat->ops->disk_submit(w.disk, &w.io);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT_EQ(w.errors, 2);
    sim_destroy(sim);
}

TEST_ON(plat_sim, disk_limit_and_flip, BACKEND_SIM)
{
    struct sim *sim = sim_new(11);
    struct writer w;
    uint8_t *buf = aligned_alloc(SECTOR, (size_t)WRITES_NR * SECTOR);

    sim_host_disk_limit(sim, "host", 10 * SECTOR);
    writer_start(sim, &w, PLAT_IO_DSYNC);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT_EQ(w.acked, 10);
    EXPECT_EQ(w.errors, 1);
    EXPECT_OK(sim_file_flip_bit(sim, "host", "/disk", (2 * SECTOR + 5) * 8 + 3));
    EXPECT_ERR(sim_file_flip_bit(sim, "host", "/none", 0), NONEXIST);
    EXPECT_ERR(sim_file_flip_bit(sim, "host", "/disk", WRITES_NR * SECTOR * 8), INVAL);
    disk_dump(sim, buf);
    EXPECT_EQ(buf[2 * SECTOR + 5], 3 ^ 8);
    EXPECT_EQ(buf[2 * SECTOR + 4], 3);
    sim_destroy(sim);
    free(buf);
}

/* Rot strikes what was written, one bit; a failing part of a disk fails there alone, and is well again. */
TEST_ON(plat_sim, rot_and_failing_parts, BACKEND_SIM)
{
    struct sim *sim = sim_new(13);
    struct writer w;
    uint8_t *was = aligned_alloc(SECTOR, (size_t)WRITES_NR * SECTOR);
    uint8_t *is = aligned_alloc(SECTOR, (size_t)WRITES_NR * SECTOR);
    uint32_t bits = 0;

    EXPECT_ERR(sim_file_rot(sim, "host", "/disk", 1), NONEXIST);
    sim_disk_errors_set(sim, "host", "/other", 1000000);
    writer_start(sim, &w, PLAT_IO_DSYNC);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT_EQ(w.errors, 0);
    disk_dump(sim, was);
    EXPECT_OK(sim_file_rot(sim, "host", "/disk", UINT64_C(0x123456789abcdef)));
    disk_dump(sim, is);
    for (size_t i = 0; i < (size_t)WRITES_NR * SECTOR; i++) {
        bits += (uint32_t)__builtin_popcount(was[i] ^ is[i]);
    }
    EXPECT_EQ(bits, 1);
    sim_disk_errors_set(sim, "host", "/di", 1000000);
    sim_node_kill(sim, w.plat);
    writer_start(sim, &w, PLAT_IO_DSYNC);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT_GT(w.errors, 0);
    sim_disk_errors_set(sim, "host", "", 0);
    sim_node_kill(sim, w.plat);
    writer_start(sim, &w, PLAT_IO_DSYNC);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT_EQ(w.errors, 0);
    sim_destroy(sim);
    free(was);
    free(is);
}

TEST_ON(plat_sim, pause_skew_env, BACKEND_SIM)
{
    struct sim *sim = sim_new(12);
    struct writer w;
    uint64_t wall_ns;

    writer_start(sim, &w, 0);
    sim_node_pause(w.plat, true);
    EXPECT_ERR(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)), NONEXIST);
    EXPECT_EQ(w.next, 0);
    sim_node_pause(w.plat, false);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT_EQ(w.durable, WRITES_NR);
    wall_ns = plat_wall_ns(w.plat);
    sim_node_clock_skew(w.plat, -5000);
    EXPECT_EQ(plat_wall_ns(w.plat), wall_ns - 5000);
    EXPECT(w.plat->ops->env(w.plat, "A") == NULL);
    sim_node_env_set(w.plat, "A", "1");
    sim_node_env_set(w.plat, "A", "2");
    EXPECT_STR_EQ(w.plat->ops->env(w.plat, "A"), "2");
    sim_destroy(sim);
}

/* A process that kills itself from its own step: what it does afterwards in that step has no effect. */
static uint64_t
suicide_step(void *arg)
{
    struct writer *w = arg;

    sim_node_kill(w->page == NULL ? NULL : (struct sim *)(void *)w->page, w->plat);
    EXPECT(!w->reaped);
    EXPECT_OK(w->plat->ops->file_write(w->plat, "/after", "x", 1));
    return 0;
}

static void
suicide_reap(void *arg)
{
    ((struct writer *)arg)->reaped = true; /* loop and thread are left for the simulator to free */
}

TEST_ON(plat_sim, kill_from_inside, BACKEND_SIM)
{
    struct sim *sim = sim_new(13);
    struct writer w = {.page = (uint8_t *)sim};
    struct plat *other = NULL;
    char buf[4];
    size_t len;

    EXPECT_OK(sim_node_start(sim, "host", "suicide", &w.plat));
    EXPECT_OK(w.plat->ops->loop_create(w.plat, &w.loop));
    EXPECT_OK(w.plat->ops->thread_start(w.plat, w.loop, "w", 0, suicide_step, &w, &w.thread));
    sim_node_on_kill(w.plat, suicide_reap, &w);
    EXPECT_OK(sim_run_until(sim, writer_over, &w, UINT64_C(1000000000)));
    EXPECT(w.reaped);
    EXPECT_OK(sim_node_start(sim, "host", "suicide", &other)); /* the name is free again */
    EXPECT_ERR(other->ops->file_read(other, "/after", buf, sizeof(buf), &len), NONEXIST);
    sim_destroy(sim);
}
