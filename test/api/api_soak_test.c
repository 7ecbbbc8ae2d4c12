/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Clients that come and go: many connects and disconnects, many clients killed at random moments. Goal: nothing stays behind, in the client nor in the engine. Method: count
 * open descriptors and resident memory of both. With larger numbers in `make check-long`.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api_sys.h"

#ifndef API_SOAK_CONNECTS
#define API_SOAK_CONNECTS 200
#define API_SOAK_KILLS 40
#endif

#if defined(__SANITIZE_ADDRESS__) /* which keeps what was freed */
enum { MEM_GROWTH_KIB_MAX = 1024 * 1024 };
#else
enum { MEM_GROWTH_KIB_MAX = 64 * 1024 };
#endif

enum { WARM_NR = 20, VALUE_BYTES = 40000, AGAIN_BYTES = 100, EVENTS_NR = 8 };

static int
fds_nr(int pid)
{
    char path[64];
    DIR *dir;
    int nr = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    dir = opendir(path);
    while (dir != NULL && readdir(dir) != NULL) {
        nr++;
    }
    if (dir != NULL)
        closedir(dir);
    return nr;
}

static long
resident_kib(int pid)
{
    char path[64];
    long total = 0, resident = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    file = fopen(path, "r");
    if (file != NULL && fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static int
store_open(daos_handle_t *poh, daos_handle_t *coh, daos_handle_t *oh)
{
    daos_obj_id_t oid = {.lo = 5};
    int rc = daos_pool_connect("tank", NULL, DAOS_PC_RW, poh, NULL, NULL);

    if (rc == 0)
        rc = daos_cont_create_with_label(*poh, "box", NULL, NULL, NULL);
    if (rc == 0 || rc == -DER_EXIST)
        rc = daos_cont_open(*poh, "box", DAOS_COO_RW, coh, NULL, NULL);
    if (rc == 0)
        rc = daos_obj_generate_oid(*coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0);
    if (rc == 0)
        rc = daos_kv_open(*coh, oid, DAOS_OO_RW, oh, NULL);
    return rc;
}

static int
store_close(daos_handle_t poh, daos_handle_t coh, daos_handle_t oh)
{
    int rc = daos_kv_close(oh, NULL);

    if (rc == 0)
        rc = daos_cont_close(coh, NULL);
    return rc == 0 ? daos_pool_disconnect(poh, NULL) : rc;
}

/* Every other round ends the client, too, so that connections and the helper thread come and go. */
static bool
connects_run(int nr)
{
    uint64_t value = 1;
    daos_event_t ev;
    bool flag;

    for (int i = 0; i < nr; i++) {
        daos_handle_t poh, coh, oh;

        if (i % 2 == 0 && !EXPECT_OK(daos_init()))
            return false;
        if (!EXPECT_OK(store_open(&poh, &coh, &oh)) ||
            !EXPECT_OK(daos_event_init(&ev, DAOS_HDL_INVAL, NULL)) ||
            !EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, &ev)) ||
            !EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag)) || !EXPECT_EQ(ev.ev_error, 0) ||
            !EXPECT_OK(daos_event_fini(&ev)) || !EXPECT_OK(store_close(poh, coh, oh)))
            return false;
        if (i % 2 == 1 && !EXPECT_OK(daos_fini()))
            return false;
    }
    return true;
}

TEST_LINUX(api_soak, connects_leave_nothing, "processes, and what they hold open")
{
    int own_fds, engine_fds;
    long own_kib, engine_kib;
    struct api_sys sys;

    if (!api_sys_start(&sys, "unix") || !connects_run(WARM_NR))
        return;
    own_fds = fds_nr(getpid());
    engine_fds = fds_nr(sys.pid);
    own_kib = resident_kib(getpid());
    engine_kib = resident_kib(sys.pid);
    if (connects_run(API_SOAK_CONNECTS)) {
        EXPECT_EQ(fds_nr(getpid()), own_fds);
        EXPECT_LE(fds_nr(sys.pid), engine_fds + 4); /* one client's worth may be on its way out */
        EXPECT_LT(resident_kib(getpid()) - own_kib, MEM_GROWTH_KIB_MAX);
        EXPECT_LT(resident_kib(sys.pid) - engine_kib, MEM_GROWTH_KIB_MAX);
        fprintf(stderr,
            "    %d connects: client %ld to %ld KiB, engine %ld to %ld KiB, %d descriptors\n",
            API_SOAK_CONNECTS, own_kib, resident_kib(getpid()), engine_kib, resident_kib(sys.pid),
            fds_nr(sys.pid));
    }
    api_sys_stop(&sys);
}

/* ---- kills ------------------------------------------------------------------------------------------------------------------- */

/* Tells of each step, and writes by events until it is killed: first so much that the engine fetches it, then little, since nothing frees what was overwritten. */
static int
victim_fails(const char *step, int rc)
{
    fprintf(stderr, "    a client fails by itself: %s: %d %s\n", step, rc, d_errstr(rc));
    return 1;
}

static int
victim(void *arg)
{
    static char value[VALUE_BYTES];
    static daos_event_t evs[EVENTS_NR];
    int fd = *(int *)arg;
    daos_handle_t poh, coh, oh, eqh;
    daos_event_t *done[EVENTS_NR];

    int rc = api_put(fd, "i", 1) ? daos_init() : -DER_MISC;

    if (rc == 0)
        rc = api_put(fd, "c", 1) ? store_open(&poh, &coh, &oh) : -DER_MISC;
    if (rc == 0)
        rc = api_put(fd, "o", 1) ? daos_eq_create(&eqh) : -DER_MISC;
    if (rc != 0)
        return victim_fails("open", rc);
    for (int i = 0; i < EVENTS_NR; i++) {
        rc = daos_event_init(&evs[i], eqh, NULL);
        if (rc == 0)
            rc = daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), value, &evs[i]);
        if (rc != 0)
            return victim_fails("post", rc);
    }
    for (;;) {
        int nr = daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, EVENTS_NR, done);

        if (nr <= 0 || !api_put(fd, "w", 1))
            return victim_fails("poll", nr);
        for (int i = 0; i < nr; i++) {
            rc = done[i]->ev_error;
            if (rc == 0)
                rc = daos_kv_put(oh, DAOS_TX_NONE, 0, "k", AGAIN_BYTES, value, done[i]);
            if (rc != 0)
                return victim_fails("put", rc);
        }
    }
}

static bool
kill_one(uint32_t steps_nr)
{
    int fds[2], pid, status = 0;
    char step;

    if (!EXPECT_EQ(pipe(fds), 0))
        return false;
    pid = api_child(victim, &fds[1]);
    close(fds[1]);
    for (uint32_t i = 0; i < steps_nr; i++) {
        if (!EXPECT(api_get(fds[0], &step, 1)))
            break;
    }
    kill(pid, SIGKILL);
    close(fds[0]);
    return EXPECT_EQ(waitpid(pid, &status, 0), pid) && EXPECT(WIFSIGNALED(status));
}

TEST_LINUX(api_soak, killed_clients_leave_nothing, "processes, and what they hold open")
{
    uint64_t rand = test_seed();
    daos_handle_t poh, coh, oh;
    uint64_t value = 3;
    struct api_sys sys;
    int engine_fds;
    long engine_kib;

    if (!api_sys_start(&sys, "unix"))
        return;
    for (uint32_t i = 0; i < WARM_NR; i++) {
        if (!kill_one(i))
            return;
    }
    engine_fds = fds_nr(sys.pid);
    engine_kib = resident_kib(sys.pid);
    for (uint32_t i = 0; i < API_SOAK_KILLS; i++) {
        if (!kill_one((uint32_t)(test_rand(&rand) % 24)))
            return;
    }
    /* it still serves; by the time it has answered, it has seen that they are gone */
    if (EXPECT_OK(daos_init()) && EXPECT_OK(store_open(&poh, &coh, &oh))) {
        for (int i = 0; i < 50; i++) {
            EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "after", sizeof(value), &value, NULL));
        }
        EXPECT_OK(store_close(poh, coh, oh));
        EXPECT_OK(daos_fini());
    }
    EXPECT_LE(fds_nr(sys.pid), engine_fds + 8);
    EXPECT_LT(resident_kib(sys.pid) - engine_kib, MEM_GROWTH_KIB_MAX);
    fprintf(stderr, "    %d kills: engine %ld to %ld KiB, %d to %d descriptors\n", API_SOAK_KILLS,
        engine_kib, resident_kib(sys.pid), engine_fds, fds_nr(sys.pid));
    api_sys_stop(&sys);
}
