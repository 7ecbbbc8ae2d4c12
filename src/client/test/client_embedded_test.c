/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Embedded mode through libdaos as an application links it: the engine in this process, on a directory. A child puts and is killed with SIGKILL; what it
 * was told is done is read back by another process and compared with a record kept outside (SM-3).
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_embedded.h"
#include "daos.h"
#include "harness/harness.h"

enum { ROUNDS_NR = 3, PUTS_NR = 3000, VALUE_BYTES_MAX = 60000 };

/* Connect, open the container (made when it is not there) and the one KV in it. 0 or the first error. */
static int
store_open(daos_handle_t *poh, daos_handle_t *coh, daos_handle_t *oh)
{
    daos_obj_id_t oid = {.lo = 1};
    int rc = daos_pool_connect("tank", system_name, DAOS_PC_RW, poh, NULL, NULL);

    if (rc != 0)
        return rc;
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

/* What put i of a round stores. */
static size_t
value_fill(int round, int i, char *value)
{
    size_t len = i % 10 == 0 ? VALUE_BYTES_MAX : (size_t)(10 + i % 500);

    memset(value, 'a' + i % 26, len);
    return (size_t)snprintf(value, 32, "%d.%d", round, i) > len ? 0 : len;
}

/* The child: put until killed; the number of each acknowledged put goes into the pipe. */
static void
victim(int round, int fd)
{
    static char value[VALUE_BYTES_MAX];
    daos_handle_t poh, coh, oh;
    int rc = daos_init();

    if (rc == 0)
        rc = store_open(&poh, &coh, &oh);
    for (int i = 0; rc == 0 && i < PUTS_NR; i++) {
        char key[32];
        size_t len = value_fill(round, i, value);

        snprintf(key, sizeof(key), "%d.%d", round, i);
        rc = daos_kv_put(oh, DAOS_TX_NONE, DAOS_COND_KEY_INSERT, key, len, value, NULL);
        if (rc == 0 && write(fd, &i, sizeof(i)) != sizeof(i))
            rc = -1;
    }
    _exit(rc == 0 ? 0 : 1);
}

/* Kill the child once it was told of `acks_nr` puts; returns how many it was told of, -1: it ended by itself too early. */
static int
kill_after(int round, int acks_nr)
{
    int fds[2], pid, status, got, last = -1;

    if (!EXPECT_EQ(pipe(fds), 0))
        return -1;
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        victim(round, fds[1]);
    }
    close(fds[1]);
    while (last + 1 < acks_nr && read(fds[0], &got, sizeof(got)) == sizeof(got)) {
        last = got;
    }
    kill(pid, SIGKILL);
    while (read(fds[0], &got, sizeof(got)) == sizeof(got)) /* told, and not read yet */
    {
        last = got;
    }
    close(fds[0]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status));
    return last + 1;
}

static void
round_check(daos_handle_t oh, int round, int told_nr)
{
    static char value[VALUE_BYTES_MAX], back[VALUE_BYTES_MAX];

    for (int i = 0; i <= told_nr; i++) {
        daos_size_t size = sizeof(back);
        size_t len = value_fill(round, i, value);
        char key[32];

        snprintf(key, sizeof(key), "%d.%d", round, i);
        if (!EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, key, &size, back, NULL)))
            return;
        if (i == told_nr && size == 0)
            return; /* the one in flight: whole or not at all */
        if (!EXPECT_EQ(size, len) || !EXPECT_MEM_EQ(back, value, len))
            return;
    }
}

TEST_LINUX(client_embedded, put_kill_get, "SIGKILL of a real process, and an engine loaded by dlopen")
{
    daos_handle_t poh, coh, oh;
    uint64_t rand = test_seed();
    int told_nr[ROUNDS_NR];

    if (!dir_make(CLIENT_TEST_MODULE_DIR, UINT64_C(256) << 20))
        return;
    for (int round = 0; round < ROUNDS_NR; round++) {
        told_nr[round] = kill_after(round, 20 + (int)(test_rand(&rand) % 100));
        if (!EXPECT_GT(told_nr[round], 0) || !EXPECT_OK(daos_init()))
            return;
        if (EXPECT_OK(store_open(&poh, &coh, &oh))) {
            for (int r = 0; r <= round; r++) {
                round_check(oh, r, told_nr[r]);
            }
            EXPECT_OK(store_close(poh, coh, oh));
        }
        EXPECT_OK(daos_fini());
    }
}

/* ---- one owner ------------------------------------------------------------------------------------------------------------ */

static int
child_result(int pid)
{
    int status;

    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST_LINUX(client_embedded, a_directory_has_one_owner, "processes, and an engine loaded by dlopen")
{
    daos_handle_t poh, coh, oh, other;
    int pid, fds[2];
    char byte;

    if (!dir_make(CLIENT_TEST_MODULE_DIR, UINT64_C(256) << 20) || !EXPECT_EQ(pipe(fds), 0))
        return;
    /* started before there is an owner: a process of its own */
    pid = fork();
    if (pid == 0) {
        int rc;

        close(fds[1]);
        rc = read(fds[0], &byte, 1) == 1 ? daos_init() : -1;
        if (rc == 0)
            rc = daos_pool_connect("tank", system_name, DAOS_PC_RW, &other, NULL, NULL);
        _exit(rc == -DER_BUSY ? 0 : 1);
    }
    close(fds[0]);
    if (!EXPECT_OK(daos_init()) || !EXPECT_OK(store_open(&poh, &coh, &oh)))
        return;
    EXPECT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_EQ(child_result(pid), 0);
    close(fds[1]);
    EXPECT_ERR(
        daos_pool_connect("tank", "embedded:/elsewhere", DAOS_PC_RW, &other, NULL, NULL), MISMATCH);
    EXPECT_ERR(daos_pool_connect("tank", "daos_server", DAOS_PC_RW, &other, NULL, NULL), MISMATCH);
    /* TH-4: a child of the owner */
    if (!EXPECT_EQ(pipe(fds), 0))
        return;
    pid = fork();
    if (pid == 0) {
        int bad = 0;

        close(fds[1]);
        bad |= daos_kv_put(oh, DAOS_TX_NONE, 0, "k", 1, "v", NULL) != -DER_UNINIT ? 1 : 0;
        bad |= daos_reinit() != -DER_BUSY ? 2 : 0;
        bad |= read(fds[0], &byte, 1) != 0 ? 4 : 0; /* lives on until the end of the test */
        _exit(bad);
    }
    close(fds[0]);
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", 1, "v", NULL));
    EXPECT_OK(store_close(poh, coh, oh));
    EXPECT_OK(daos_fini());
    EXPECT_OK(daos_init()); /* the lock ended with the owner's use, although the child lives */
    if (EXPECT_OK(store_open(&poh, &coh, &oh)))
        EXPECT_OK(store_close(poh, coh, oh));
    EXPECT_OK(daos_fini());
    close(fds[1]);
    EXPECT_EQ(child_result(pid), 0);
}

TEST_LINUX(
    client_embedded, without_the_engine_the_connect_says_so, "dlopen() of a file that is not there")
{
    daos_handle_t poh;

    setenv("CAIRN_MODULE_DIR", test_tmpdir(), 1);
    snprintf(system_name, sizeof(system_name), "embedded:%s/store", test_tmpdir());
    EXPECT_OK(daos_init());
    EXPECT_ERR(daos_pool_connect("tank", system_name, DAOS_PC_RW, &poh, NULL, NULL), NOSYS);
    EXPECT_OK(daos_fini());
    unsetenv("CAIRN_MODULE_DIR");
}
