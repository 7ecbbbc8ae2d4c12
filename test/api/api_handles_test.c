/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: handles go from one process to another as bytes, and bytes that are not such a handle are refused. Method: a second process, started before the first has a client,
 * gets the bytes through a pipe, reads and writes through what it makes of them; every byte of every kind is damaged in turn, and every length cut.
 */
#include <daos_fs.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api_sys.h"

enum { BLOB_BYTES_MAX = 65536 };
enum blob { BLOB_POOL, BLOB_CONT, BLOB_ARRAY, BLOB_DFS, BLOB_FILE, BLOB_ALL, BLOBS_NR };

struct blobs {
    d_iov_t iov[BLOBS_NR];
};

/* What the handles of one process are; the others make theirs from the bytes. */
struct handles {
    daos_handle_t poh, coh, oh;
    dfs_t *dfs, *all;
    dfs_obj_t *file;
};

static int
array_io(daos_handle_t oh, uint64_t idx, char *buf, size_t len, bool is_write)
{
    daos_range_t range = {.rg_idx = idx, .rg_len = len};
    daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, buf, len);
    return is_write ? daos_array_write(oh, DAOS_TX_NONE, &iod, &sgl, NULL)
                    : daos_array_read(oh, DAOS_TX_NONE, &iod, &sgl, NULL);
}

static int
file_io(dfs_t *dfs, dfs_obj_t *file, uint64_t off, char *buf, size_t len, bool is_write)
{
    daos_size_t got = len;
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    int rc;

    d_iov_set(&iov, buf, len);
    rc = is_write ? dfs_write(dfs, file, &sgl, off, NULL)
                  : dfs_read(dfs, file, &sgl, off, &got, NULL);
    return rc == 0 && got != len ? EIO : rc;
}

/* ---- the giver --------------------------------------------------------------------------------------------------------------- */

static bool
handles_open(struct handles *h)
{
    daos_obj_id_t oid = {.lo = 9};
    char text[] = "from the giver";

    return EXPECT_OK(daos_pool_connect("tank", NULL, DAOS_PC_RW, &h->poh, NULL, NULL)) &&
        EXPECT_EQ(dfs_cont_create_with_label(h->poh, "tree", NULL, NULL, &h->coh, &h->dfs), 0) &&
        EXPECT_OK(daos_obj_generate_oid(h->coh, &oid, DAOS_OT_ARRAY, OC_SX, 0, 0)) &&
        EXPECT_OK(daos_array_create(h->coh, oid, DAOS_TX_NONE, 1, 4096, &h->oh, NULL)) &&
        EXPECT_OK(array_io(h->oh, 0, text, sizeof(text), true)) &&
        EXPECT_EQ(
            dfs_open(h->dfs, NULL, "file", S_IFREG | 0644, O_RDWR | O_CREAT, 0, 0, NULL, &h->file),
            0) &&
        EXPECT_EQ(file_io(h->dfs, h->file, 0, text, sizeof(text), true), 0) &&
        EXPECT_EQ(dfs_connect("tank", NULL, "tree", O_RDWR, NULL, &h->all), 0);
}

static void
handles_close(struct handles *h)
{
    EXPECT_EQ(dfs_disconnect(h->all), 0);
    EXPECT_EQ(dfs_release(h->file), 0);
    EXPECT_EQ(dfs_umount(h->dfs), 0);
    EXPECT_OK(daos_array_close(h->oh, NULL));
    EXPECT_OK(daos_cont_close(h->coh, NULL));
    EXPECT_OK(daos_pool_disconnect(h->poh, NULL));
}

static int
blob_make(struct handles *h, enum blob blob, d_iov_t *iov)
{
    switch (blob) {
    case BLOB_POOL:
        return daos_pool_local2global(h->poh, iov);
    case BLOB_CONT:
        return daos_cont_local2global(h->coh, iov);
    case BLOB_ARRAY:
        return daos_array_local2global(h->oh, iov);
    case BLOB_DFS:
        return -dfs_local2global(h->dfs, iov);
    case BLOB_FILE:
        return -dfs_obj_local2global(h->dfs, h->file, iov);
    default:
        return -dfs_local2global_all(h->all, iov);
    }
}

/* Sizes first, then one byte too few, then the bytes. */
static bool
blobs_make(struct handles *h, struct blobs *blobs)
{
    for (enum blob b = 0; b < BLOBS_NR; b++) {
        d_iov_t *iov = &blobs->iov[b];
        size_t bytes;

        memset(iov, 0, sizeof(*iov));
        if (!EXPECT_OK(blob_make(h, b, iov)) || !EXPECT_GT(iov->iov_buf_len, 0) ||
            !EXPECT_LT(iov->iov_buf_len, BLOB_BYTES_MAX))
            return false;
        bytes = iov->iov_buf_len;
        iov->iov_buf = malloc(bytes);
        iov->iov_buf_len = bytes - 1;
        EXPECT_EQ(blob_make(h, b, iov), b <= BLOB_ARRAY ? -DER_TRUNC : -EINVAL);
        iov->iov_buf_len = bytes;
        if (!EXPECT_OK(blob_make(h, b, iov)) || !EXPECT_LE(iov->iov_len, bytes))
            return false;
    }
    return true;
}

/* ---- the taker --------------------------------------------------------------------------------------------------------------- */

/* With what was made from the bytes before it. */
static int
blob_open(struct handles *h, enum blob blob, d_iov_t iov, struct handles *ret)
{
    switch (blob) {
    case BLOB_POOL:
        return daos_pool_global2local(iov, &ret->poh);
    case BLOB_CONT:
        return daos_cont_global2local(h->poh, iov, &ret->coh);
    case BLOB_ARRAY:
        return daos_array_global2local(h->coh, iov, 0, &ret->oh);
    case BLOB_DFS:
        return -dfs_global2local(h->poh, h->coh, 0, iov, &ret->dfs);
    case BLOB_FILE:
        return -dfs_obj_global2local(h->dfs, 0, iov, &ret->file);
    default:
        return -dfs_global2local_all(0, iov, &ret->all);
    }
}

/* 0: each damaged copy and each cut one is refused with the code for bad arguments. */
static int
blob_damage(struct handles *h, enum blob blob, const d_iov_t *good)
{
    int want = blob <= BLOB_ARRAY ? -DER_INVAL : -EINVAL;
    char *copy = malloc(good->iov_len);
    struct handles none;
    int bad_nr = 0;
    d_iov_t iov;

    for (size_t i = 0; i < good->iov_len; i++) {
        memcpy(copy, good->iov_buf, good->iov_len);
        copy[i] ^= 0x10;
        d_iov_set(&iov, copy, good->iov_len);
        bad_nr += blob_open(h, blob, iov, &none) != want;
    }
    memcpy(copy, good->iov_buf, good->iov_len);
    for (size_t len = 0; len < good->iov_len; len++) {
        d_iov_set(&iov, copy, len);
        bad_nr += blob_open(h, blob, iov, &none) != want;
    }
    d_iov_set(&iov, NULL, 0);
    bad_nr += blob_open(h, blob, iov, &none) != want;
    free(copy);
    return bad_nr;
}

static bool
text_is(struct handles *h, dfs_t *dfs, const char *text)
{
    char got[32];
    mode_t mode;
    dfs_obj_t *file;
    bool is_good;

    if (array_io(h->oh, 0, got, strlen(text) + 1, false) != 0 || strcmp(got, text) != 0)
        return false;
    if (dfs_lookup(dfs, "/file", O_RDONLY, &file, &mode, NULL) != 0)
        return false;
    is_good = file_io(dfs, file, 0, got, strlen(text) + 1, false) == 0 && strcmp(got, text) == 0;
    return dfs_release(file) == 0 && is_good;
}

static int
taker(void *arg)
{
    char answer[] = "from the taker";
    int fd = *(int *)arg;
    struct handles h;

    if (daos_init() != 0)
        return 1;
    for (enum blob b = 0; b < BLOBS_NR; b++) {
        d_iov_t iov;
        uint64_t len;
        char *buf;

        if (!api_get(fd, &len, sizeof(len)) || len > BLOB_BYTES_MAX)
            return 2;
        buf = malloc(len);
        if (!api_get(fd, buf, len))
            return 2;
        d_iov_set(&iov, buf, len);
        if (blob_damage(&h, b, &iov) != 0)
            return 10 + (int)b;
        if (blob_open(&h, b, iov, &h) != 0)
            return 20 + (int)b;
        free(buf);
    }
    if (!text_is(&h, h.dfs, "from the giver") || !text_is(&h, h.all, "from the giver"))
        return 3;
    if (array_io(h.oh, 0, answer, sizeof(answer), true) != 0 ||
        file_io(h.dfs, h.file, 0, answer, sizeof(answer), true) != 0)
        return 4;
    if (dfs_release(h.file) != 0 || dfs_umount(h.dfs) != 0 || dfs_disconnect(h.all) != 0 ||
        daos_array_close(h.oh, NULL) != 0 || daos_cont_close(h.coh, NULL) != 0 ||
        daos_pool_disconnect(h.poh, NULL) != 0)
        return 5;
    return daos_fini() == 0 ? 0 : 6;
}

TEST_LINUX(api_handles, go_to_another_process, "processes")
{
    struct api_sys sys;
    struct blobs blobs;
    struct handles h;
    int fds[2], pid;

    if (!api_sys_start(&sys, "unix") || !EXPECT_EQ(pipe(fds), 0))
        return;
    pid = api_child(taker, &fds[0]);
    if (EXPECT_OK(daos_init()) && handles_open(&h) && blobs_make(&h, &blobs)) {
        for (enum blob b = 0; b < BLOBS_NR; b++) {
            uint64_t len = blobs.iov[b].iov_len;

            EXPECT(api_put(fds[1], &len, sizeof(len)) && api_put(fds[1], blobs.iov[b].iov_buf, len));
            free(blobs.iov[b].iov_buf);
        }
        EXPECT(api_child_wait(pid));
        /* the taker closed its own: ours are as they were, and see what it wrote */
        EXPECT(text_is(&h, h.dfs, "from the taker"));
        handles_close(&h);
        EXPECT_OK(daos_fini());
    }
    api_sys_stop(&sys);
}

/* ---- who opened them dies ------------------------------------------------------------------------------------------------------ */

/* Of one child: what it says, what it is told. */
struct ends {
    int up[2], down[2];
    int pid;
};

static bool
ends_make(struct ends *ends)
{
    return EXPECT_EQ(pipe(ends->up), 0) && EXPECT_EQ(pipe(ends->down), 0);
}

static void
ends_kill(struct ends *ends)
{
    EXPECT_EQ(kill(ends->pid, SIGKILL), 0);
    EXPECT_EQ(waitpid(ends->pid, NULL, 0), ends->pid);
    for (int i = 0; i < 2; i++) {
        close(ends->up[i]);
        close(ends->down[i]);
    }
}

static bool
blob_put(int fd, int (*make)(daos_handle_t hdl, d_iov_t *iov), daos_handle_t hdl)
{
    char buf[BLOB_BYTES_MAX];
    uint64_t len;
    d_iov_t iov;

    d_iov_set(&iov, buf, sizeof(buf));
    if (make(hdl, &iov) != 0)
        return false;
    len = iov.iov_len;
    return api_put(fd, &len, sizeof(len)) && api_put(fd, buf, len);
}

static bool
blob_get(int fd, char *buf, d_iov_t *iov)
{
    uint64_t len;

    if (!api_get(fd, &len, sizeof(len)) || len > BLOB_BYTES_MAX || !api_get(fd, buf, len))
        return false;
    d_iov_set(iov, buf, len);
    return true;
}

/* Opens, passes on, and stays until it is killed. */
static int
opener(void *arg)
{
    struct ends *ends = arg;
    daos_handle_t poh, coh;
    char c;

    if ((daos_init() != 0 && daos_reinit() != 0) ||
        daos_pool_connect("tank", NULL, DAOS_PC_RW, &poh, NULL, NULL) != 0)
        return 1;
    if (daos_cont_create_with_label(poh, "box", NULL, NULL, NULL) != 0 ||
        daos_cont_open(poh, "box", DAOS_COO_RW, &coh, NULL, NULL) != 0)
        return 2;
    if (!blob_put(ends->up[1], daos_pool_local2global, poh) ||
        !blob_put(ends->up[1], daos_cont_local2global, coh))
        return 3;
    return api_get(ends->down[0], &c, 1) ? 4 : 5;
}

/* Takes the handles, and works with them whenever it is told to. */
static int
keeper(void *arg)
{
    struct ends *ends = arg;
    char buf[BLOB_BYTES_MAX], text[] = "kept", c = 'r';
    daos_obj_id_t oid = {.lo = 10};
    daos_handle_t poh, coh, oh;
    d_iov_t iov;

    if (daos_init() != 0)
        return 1;
    if (!blob_get(ends->down[0], buf, &iov) || daos_pool_global2local(iov, &poh) != 0 ||
        !blob_get(ends->down[0], buf, &iov) || daos_cont_global2local(poh, iov, &coh) != 0)
        return 2;
    while (api_put(ends->up[1], &c, 1) && api_get(ends->down[0], &c, 1)) {
        if (daos_obj_generate_oid(coh, &oid, DAOS_OT_ARRAY, OC_SX, 0, 0) != 0 ||
            daos_array_create(coh, oid, DAOS_TX_NONE, 1, 4096, &oh, NULL) != 0 ||
            array_io(oh, 0, text, sizeof(text), true) != 0)
            return 3;
    }
    return 4;
}

static bool
blob_pass(int from, int to)
{
    char buf[BLOB_BYTES_MAX];
    uint64_t len;
    d_iov_t iov;

    if (!EXPECT(blob_get(from, buf, &iov)))
        return false;
    len = iov.iov_len;
    return EXPECT(api_put(to, &len, sizeof(len)) && api_put(to, buf, len));
}

/* Every refusal to destroy the container is a look at who lives; nothing here waits for time. */
static void
outlive(const char *net)
{
    struct ends first, second, alone;
    struct api_sys sys;
    daos_handle_t poh;
    d_iov_t iov;
    char buf[BLOB_BYTES_MAX], c = 'g';

    if (!ends_make(&first) || !ends_make(&second) || !ends_make(&alone) || !api_sys_start(&sys, net))
        return;
    first.pid = api_child(opener, &first);
    second.pid = api_child(keeper, &second);
    if (!blob_pass(first.up[0], second.down[1]) || !blob_pass(first.up[0], second.down[1]) ||
        !EXPECT(api_get(second.up[0], &c, 1)))
        return;
    EXPECT_OK(daos_init());
    EXPECT_OK(daos_pool_connect("tank", NULL, DAOS_PC_RW, &poh, NULL, NULL));
    EXPECT_ERR(daos_cont_destroy(poh, "box", 0, NULL), BUSY);
    ends_kill(&first);
    EXPECT_ERR(daos_cont_destroy(poh, "box", 0, NULL), BUSY); /* the second has it */
    EXPECT(api_put(second.down[1], &c, 1) && api_get(second.up[0], &c, 1)); /* and writes */
    EXPECT_ERR(daos_cont_destroy(poh, "box", 0, NULL), BUSY);
    ends_kill(&second);
    EXPECT_OK(daos_cont_destroy(poh, "box", 0, NULL));

    alone.pid = api_child(opener, &alone);
    EXPECT(blob_get(alone.up[0], buf, &iov) && blob_get(alone.up[0], buf, &iov));
    EXPECT_ERR(daos_cont_destroy(poh, "box", 0, NULL), BUSY);
    ends_kill(&alone);
    EXPECT_OK(daos_cont_destroy(poh, "box", 0, NULL));
    EXPECT_OK(daos_pool_disconnect(poh, NULL));
    EXPECT_OK(daos_fini());
    api_sys_stop(&sys);
}

TEST_LINUX(api_handles, outlive_who_opened_them_unix, "processes that are killed")
{
    outlive("unix");
}

TEST_LINUX(api_handles, outlive_who_opened_them_tcp, "processes that are killed")
{
    outlive("tcp");
}
