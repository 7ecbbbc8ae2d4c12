/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: bytes come back as they were written, sizes and holes are those of POSIX files, events complete. Method: fixed cases around chunk boundaries, and a long random run
 * against a buffer in memory.
 */
#include "client/dfs/dfs_internal.h"
#include "dfs/dfs_fix.h"

enum { CHUNK = 8192 };

static dfs_obj_t *
file_make(struct fix *fix, const char *name, daos_size_t chunk)
{
    dfs_obj_t *obj = NULL;

    EXPECT_EQ(dfs_open(fix->dfs, NULL, name, S_IFREG | 0644, O_RDWR | O_CREAT | O_EXCL, 0, chunk,
                  NULL, &obj),
        0);
    return obj;
}

static uint64_t
size_of(struct fix *fix, dfs_obj_t *obj)
{
    daos_size_t size = ~0ULL;
    struct stat st;

    EXPECT_EQ(dfs_get_size(fix->dfs, obj, &size), 0);
    EXPECT_EQ(dfs_ostat(fix->dfs, obj, &st), 0);
    EXPECT_EQ(st.st_size, size);
    EXPECT_EQ(st.st_blocks, (size + 511) / 512);
    return size;
}

static bool
is_filled(const uint8_t *buf, size_t len, uint8_t with)
{
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != with)
            return false;
    }
    return true;
}

/* ---- sizes and holes ----------------------------------------------------------------------------------------------------------- */

static void
sizes_body(struct fix *fix)
{
    static uint8_t buf[4 * CHUNK], data[4 * CHUNK];
    dfs_obj_t *obj = file_make(fix, "f", CHUNK);
    daos_size_t got = 99;

    memset(data, 'd', sizeof(data));
    EXPECT_EQ(size_of(fix, obj), 0);
    EXPECT_EQ(fix_read(fix->dfs, obj, 0, buf, 10, &got), 0);
    EXPECT_EQ(got, 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, data, 0), 0);
    EXPECT_EQ(size_of(fix, obj), 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 3 * CHUNK + 5, data, 10), 0); /* all before is a hole */
    EXPECT_EQ(size_of(fix, obj), 3 * CHUNK + 15);
    memset(buf, 0xee, sizeof(buf));
    EXPECT_EQ(fix_read(fix->dfs, obj, 0, buf, sizeof(buf), &got), 0);
    EXPECT_EQ(got, 3 * CHUNK + 15);
    EXPECT(is_filled(buf, 3 * CHUNK + 5, 0));
    EXPECT(is_filled(buf + 3 * CHUNK + 5, 10, 'd'));
    EXPECT_EQ(fix_read(fix->dfs, obj, 3 * CHUNK + 10, buf, 100, &got), 0);
    EXPECT_EQ(got, 5);
    EXPECT_EQ(fix_read(fix->dfs, obj, 3 * CHUNK + 15, buf, 100, &got), 0);
    EXPECT_EQ(got, 0);
    EXPECT_EQ(fix_read(fix->dfs, obj, UINT64_C(1) << 40, buf, 100, &got), 0);
    EXPECT_EQ(got, 0);
    EXPECT_EQ(fix_read(fix->dfs, obj, CHUNK / 2, buf, 100, &got), 0); /* within the hole */
    EXPECT_EQ(got, 100);
    /* truncate: down into a chunk, to a boundary, into a hole, up */
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, data, 4 * CHUNK), 0);
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 2 * CHUNK + 7, DFS_MAX_FSIZE), 0);
    EXPECT_EQ(size_of(fix, obj), 2 * CHUNK + 7);
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 2 * CHUNK, DFS_MAX_FSIZE), 0);
    EXPECT_EQ(size_of(fix, obj), 2 * CHUNK);
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 10 * CHUNK + 1, DFS_MAX_FSIZE), 0);
    EXPECT_EQ(size_of(fix, obj), 10 * CHUNK + 1);
    EXPECT_EQ(
        dfs_punch(fix->dfs, obj, 5 * CHUNK + 3, DFS_MAX_FSIZE), 0); /* its new end lies in a hole */
    EXPECT_EQ(size_of(fix, obj), 5 * CHUNK + 3);
    EXPECT_EQ(fix_read(fix->dfs, obj, 2 * CHUNK - 1, buf, 10, &got), 0);
    EXPECT_EQ(got, 10);
    EXPECT_EQ(buf[0], 'd');
    EXPECT(is_filled(buf + 1, 9, 0)); /* what was cut off does not come back */
    /* holes in the middle leave the size; one at the end shortens */
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 10, CHUNK), 0);
    EXPECT_EQ(size_of(fix, obj), 5 * CHUNK + 3);
    EXPECT_EQ(fix_read(fix->dfs, obj, 0, buf, 2 * CHUNK, &got), 0);
    EXPECT(is_filled(buf, 10, 'd'));
    EXPECT(is_filled(buf + 10, CHUNK, 0));
    EXPECT(is_filled(buf + 10 + CHUNK, CHUNK - 10, 'd'));
    EXPECT_EQ(dfs_punch(fix->dfs, obj, CHUNK + 100, 100 * CHUNK), 0);
    EXPECT_EQ(size_of(fix, obj), CHUNK + 100);
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 20 * CHUNK, 5), 0); /* beyond the end: nothing */
    EXPECT_EQ(size_of(fix, obj), CHUNK + 100);
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 0, DFS_MAX_FSIZE), 0);
    EXPECT_EQ(size_of(fix, obj), 0);
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_file, sizes_and_holes, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(sizes_body);
}

/* ---- against a buffer in memory ---------------------------------------------------------------------------------------------------- */

static void
model_body(struct fix *fix)
{
    enum { BYTES = 6 * CHUNK, STEPS = 250 };
    static uint8_t model[BYTES], buf[BYTES], data[BYTES];
    dfs_obj_t *obj = file_make(fix, "f", CHUNK);
    uint64_t rand = test_seed(), size = 0;
    daos_size_t got;

    memset(model, 0, sizeof(model));
    for (int step = 0; step < STEPS && !test_failed(); step++) {
        uint64_t off = test_rand(&rand) % BYTES, len = test_rand(&rand) % (BYTES - off) + 1;

        if (test_rand(&rand) % 2 == 0)
            len = len % 300 + 1; /* small ones too */
        len = off + len > BYTES ? BYTES - off : len;
        switch (test_rand(&rand) % 8) {
        case 0:
        case 1:
        case 2:
            for (uint64_t i = 0; i < len; i++) {
                data[i] = (uint8_t)test_rand(&rand);
            }
            EXPECT_EQ(fix_write(fix->dfs, obj, off, data, len), 0);
            memcpy(model + off, data, len);
            size = off + len > size ? off + len : size;
            break;
        case 3:
            EXPECT_EQ(dfs_punch(fix->dfs, obj, off, len), 0);
            if (off < size)
                memset(model + off, 0, len);
            if (off < size && off + len >= size)
                size = off;
            break;
        case 4:
            EXPECT_EQ(dfs_punch(fix->dfs, obj, off, DFS_MAX_FSIZE), 0);
            memset(model + off, 0, BYTES - off);
            size = off;
            break;
        default:
            memset(buf, 0xee, len);
            EXPECT_EQ(fix_read(fix->dfs, obj, off, buf, len, &got), 0);
            EXPECT_EQ(got, off >= size ? 0 : (off + len > size ? size - off : len));
            EXPECT_MEM_EQ(buf, model + off, got);
            break;
        }
        EXPECT_EQ(size_of(fix, obj), size);
    }
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_file, random_steps_against_memory, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(model_body);
}

/* ---- lists ------------------------------------------------------------------------------------------------------------------------- */

static void
lists_body(struct fix *fix)
{
    char a[] = "aaaaa", b[] = "bbbbbbb", back[64];
    daos_range_t ranges[3] = {{100, 3}, {0, 5}, {CHUNK - 2, 4}};
    dfs_iod_t iod = {.iod_nr = 3, .iod_rgs = ranges};
    d_iov_t iovs[2];
    d_sg_list_t sgl = {.sg_nr = 2, .sg_iovs = iovs};
    dfs_obj_t *obj = file_make(fix, "f", CHUNK);
    daos_size_t got = 0;

    d_iov_set(&iovs[0], a, 5);
    d_iov_set(&iovs[1], b, 7);
    EXPECT_EQ(dfs_writex(fix->dfs, obj, &iod, &sgl, NULL), 0);
    EXPECT_EQ(size_of(fix, obj), CHUNK + 2);
    EXPECT_EQ(fix_read(fix->dfs, obj, 0, back, 5, &got), 0);
    EXPECT_MEM_EQ(back, "aabbb", 5); /* ranges take the bytes in their order */
    memset(back, 0, sizeof(back));
    d_iov_set(&iovs[0], back, 4);
    d_iov_set(&iovs[1], back + 4, 8);
    iovs[0].iov_buf_len = 40; /* valid bytes count, not the room */
    EXPECT_EQ(dfs_readx(fix->dfs, obj, &iod, &sgl, &got, NULL), 0);
    EXPECT_EQ(got, 12);
    EXPECT_MEM_EQ(back, "aaaaabbbbbbb", 12);
    EXPECT_EQ(iovs[0].iov_buf_len, 40);
    ranges[2].rg_idx = 100 * CHUNK; /* beyond the end */
    EXPECT_EQ(dfs_readx(fix->dfs, obj, &iod, &sgl, &got, NULL), 0);
    EXPECT_EQ(got, 8);
    /* bad input */
    ranges[0].rg_len = 4;
    EXPECT_EQ(dfs_readx(fix->dfs, obj, &iod, &sgl, &got, NULL), EINVAL); /* 13 bytes into 12 */
    EXPECT_EQ(dfs_readx(fix->dfs, obj, NULL, &sgl, &got, NULL), EINVAL);
    EXPECT_EQ(dfs_readx(fix->dfs, obj, &iod, NULL, &got, NULL), EINVAL);
    EXPECT_EQ(dfs_readx(fix->dfs, obj, &iod, &sgl, NULL, NULL), EINVAL);
    EXPECT_EQ(dfs_read(fix->dfs, obj, &sgl, UINT64_MAX - 3, &got, NULL), EINVAL);
    EXPECT_EQ(dfs_write(fix->dfs, obj, &sgl, UINT64_MAX - 3, NULL), EINVAL);
    iovs[0].iov_buf = NULL;
    EXPECT_EQ(dfs_read(fix->dfs, obj, &sgl, 0, &got, NULL), EINVAL);
    iod.iod_nr = 0;
    sgl.sg_nr = 0;
    EXPECT_EQ(dfs_readx(fix->dfs, obj, &iod, &sgl, &got, NULL), 0);
    EXPECT_EQ(got, 0);
    EXPECT_EQ(dfs_writex(fix->dfs, obj, &iod, &sgl, NULL), 0);
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_file, lists_of_ranges, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(lists_body);
}

/* ---- events ------------------------------------------------------------------------------------------------------------------------- */

static int
count_call(void *arg, daos_event_t *ev, int rc)
{
    (void)ev;
    ++*(int *)arg;
    return rc;
}

static void
events_body(struct fix *fix)
{
    enum { NR = 32 };
    static daos_event_t evs[NR];
    static daos_size_t sizes[NR];
    static d_iov_t iovs[NR];
    static d_sg_list_t sgls[NR];
    static char data[NR][500], back[NR][600];
    daos_event_t *done[NR], ev, single;
    dfs_obj_t *obj = file_make(fix, "f", CHUNK);
    d_sg_list_t empty = {0};
    daos_handle_t eq;
    daos_size_t got = 5;
    struct stat st;
    bool flag = false;
    int nr = 0, calls = 0;

    EXPECT_OK(daos_eq_create(&eq));
    for (int i = 0; i < NR; i++) {
        memset(data[i], 'a' + i % 26, sizeof(data[i]));
        d_iov_set(&iovs[i], data[i], sizeof(data[i]));
        sgls[i] = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &iovs[i]};
        EXPECT_OK(daos_event_init(&evs[i], eq, NULL));
        EXPECT_EQ(dfs_write(fix->dfs, obj, &sgls[i], (daos_off_t)i * 500, &evs[i]), 0);
    }
    while (nr < NR) {
        int got_nr = daos_eq_poll(eq, 1, DAOS_EQ_WAIT, NR, done);

        if (!EXPECT_GT(got_nr, 0))
            break;
        for (int i = 0; i < got_nr; i++) {
            EXPECT_EQ(done[i]->ev_error, 0);
        }
        nr += got_nr;
    }
    EXPECT_EQ(size_of(fix, obj), NR * 500);
    for (int i = 0; i < NR;
         i++) { /* the same events again, reads that reach beyond the end among them */
        d_iov_set(&iovs[i], back[i], sizeof(back[i]));
        EXPECT_EQ(dfs_read(fix->dfs, obj, &sgls[i], (daos_off_t)i * 500, &sizes[i], &evs[i]), 0);
    }
    for (nr = 0; nr < NR;) {
        int got_nr = daos_eq_poll(eq, 1, DAOS_EQ_WAIT, NR, done);

        if (!EXPECT_GT(got_nr, 0))
            break;
        nr += got_nr;
    }
    for (int i = 0; i < NR; i++) {
        EXPECT_EQ(evs[i].ev_error, 0);
        EXPECT_EQ(sizes[i], i == NR - 1 ? 500 : 600);
        EXPECT_MEM_EQ(back[i], data[i], 500);
    }
    /* nothing to transfer completes all the same */
    EXPECT_EQ(dfs_read(fix->dfs, obj, &empty, 0, &got, &evs[0]), 0);
    EXPECT_EQ(daos_eq_poll(eq, 1, DAOS_EQ_WAIT, NR, done), 1);
    EXPECT_EQ(done[0] == &evs[0], 1);
    EXPECT_EQ(got, 0);
    EXPECT_EQ(dfs_write(fix->dfs, obj, &empty, 0, &evs[0]), 0);
    EXPECT_EQ(daos_eq_poll(eq, 1, DAOS_EQ_WAIT, NR, done), 1);
    /* a callback of the application's */
    EXPECT_OK(daos_event_register_comp_cb(&evs[1], count_call, &calls));
    EXPECT_EQ(dfs_read(fix->dfs, obj, &sgls[1], 0, &sizes[1], &evs[1]), 0);
    EXPECT_EQ(daos_eq_poll(eq, 1, DAOS_EQ_WAIT, NR, done), 1);
    EXPECT_EQ(calls, 1);
    /* an event without a queue, and a stat; a refused argument leaves the event as it was */
    EXPECT_OK(daos_event_init(&single, DAOS_HDL_INVAL, NULL));
    EXPECT_EQ(dfs_read(fix->dfs, obj, NULL, 0, &got, &single), EINVAL);
    EXPECT_EQ(dfs_read(fix->dfs, obj, &sgls[0], 0, &sizes[0], &single), 0);
    EXPECT_OK(daos_event_test(&single, DAOS_EQ_WAIT, &flag));
    EXPECT(flag);
    EXPECT_EQ(sizes[0], 600);
    EXPECT_OK(daos_event_fini(&single));
    /* errors come as errno */
    EXPECT_OK(daos_event_init(&ev, eq, NULL));
    EXPECT_EQ(dfs_ostatx(fix->dfs, obj, &st, &ev), 0);
    EXPECT_EQ(daos_eq_poll(eq, 1, DAOS_EQ_WAIT, NR, done), 1);
    EXPECT_EQ(ev.ev_error, 0);
    EXPECT_EQ(st.st_size, NR * 500);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "f", false, NULL), 0);
    EXPECT_EQ(dfs_ostatx(fix->dfs, obj, &st, &ev), 0);
    EXPECT_EQ(daos_eq_poll(eq, 1, DAOS_EQ_WAIT, NR, done), 1);
    EXPECT_EQ(ev.ev_error, ENOENT);
    EXPECT_OK(daos_event_fini(&ev));
    for (int i = 0; i < NR; i++) {
        EXPECT_OK(daos_event_fini(&evs[i]));
    }
    EXPECT_OK(daos_eq_destroy(eq, 0));
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_file, events, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(events_body);
}

/* ---- handles ------------------------------------------------------------------------------------------------------------------------- */

static bool
glob_get(int rc, d_iov_t *glob)
{
    if (!EXPECT_EQ(rc, 0) || !EXPECT_GT(glob->iov_buf_len, 0))
        return false;
    d_iov_set(glob, calloc(1, glob->iov_buf_len), glob->iov_buf_len);
    return true;
}

static void
handles_body(struct fix *fix)
{
    d_iov_t mount = {0}, file = {0}, all = {0};
    dfs_obj_t *obj = file_make(fix, "f", CHUNK), *other, *dup;
    daos_obj_id_t oid, oid2;
    daos_handle_t oh;
    daos_size_t size, chunk;
    dfs_obj_info_t info;
    dfs_t *dfs, *dfs2;

    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "shared", 6), 0);
    EXPECT_EQ(dfs_dup(fix->dfs, obj, O_RDONLY, &dup), 0);
    EXPECT_EQ(fix_write(fix->dfs, dup, 0, "x", 1), EPERM);
    EXPECT_EQ(dfs_get_size(fix->dfs, dup, &size), 0);
    EXPECT_EQ(size, 6);
    EXPECT_EQ(dfs_release(dup), 0);
    EXPECT_EQ(dfs_get_chunk_size(obj, &chunk), 0);
    EXPECT_EQ(chunk, CHUNK);
    EXPECT_EQ(dfs_get_file_oh(obj, &oh), 0);
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 6);
    EXPECT_EQ(dfs_obj2id(obj, &oid), 0);
    EXPECT_EQ(dfs_get_size_by_oid(fix->dfs, oid, CHUNK, &size), 0);
    EXPECT_EQ(size, 6);
    EXPECT_EQ(dfs_get_size_by_oid(fix->dfs, (daos_obj_id_t){.hi = 1}, CHUNK, &size), EINVAL);
    EXPECT_EQ(dfs_obj_get_info(fix->dfs, obj, &info), 0);
    EXPECT_MEM_EQ(&info.doi_oid, &oid, sizeof(oid));
    EXPECT_EQ(info.doi_chunk_size, CHUNK);
    EXPECT_EQ(info.doi_oclass_id, daos_obj_id2class(oid));
    /* through bytes, as to another process */
    if (!glob_get(dfs_local2global(fix->dfs, &mount), &mount) ||
        !glob_get(dfs_obj_local2global(fix->dfs, obj, &file), &file) ||
        !glob_get(dfs_local2global_all(fix->dfs, &all), &all))
        return;
    EXPECT_EQ(dfs_local2global(fix->dfs, &mount), 0);
    EXPECT_EQ(dfs_obj_local2global(fix->dfs, obj, &file), 0);
    EXPECT_EQ(dfs_local2global_all(fix->dfs, &all), 0);
    EXPECT_EQ(dfs_global2local(fix->poh, fix->coh, O_RDWR, mount, &dfs), 0);
    EXPECT_EQ(dfs_obj_global2local(dfs, O_RDWR, file, &other), 0);
    EXPECT_EQ(dfs_obj2id(other, &oid2), 0);
    EXPECT_MEM_EQ(&oid, &oid2, sizeof(oid));
    EXPECT_EQ(fix_write(dfs, other, 6, "!", 1), 0);
    EXPECT(fix_file_is(fix->dfs, NULL, "f", "shared!", 7));
    EXPECT(fix_file(dfs, NULL, "made through it", "1", 1));
    EXPECT(fix_file_is(fix->dfs, NULL, "made through it", "1", 1));
    EXPECT_EQ(dfs_release(other), 0);
    EXPECT_EQ(dfs_umount(dfs), 0);
    EXPECT_EQ(dfs_global2local_all(O_RDONLY, all, &dfs2), 0);
    EXPECT(fix_file_is(dfs2, NULL, "f", "shared!", 7));
    EXPECT_EQ(dfs_mkdir(dfs2, NULL, "d", 0755, 0), 0); /* O_RDONLY is 0: as it was mounted */
    EXPECT_EQ(dfs_disconnect(dfs2), 0);
    EXPECT_EQ(dfs_disconnect(fix->dfs), EINVAL); /* mounted, not connected */
    /* damaged bytes */
    EXPECT_EQ(dfs_global2local(fix->poh, fix->coh, O_RDWR, file, &dfs), EINVAL);
    EXPECT_EQ(dfs_obj_global2local(fix->dfs, O_RDWR, mount, &other), EINVAL);
    mount.iov_len--;
    EXPECT_EQ(dfs_global2local(fix->poh, fix->coh, O_RDWR, mount, &dfs), EINVAL);
    for (size_t i = 0; i < all.iov_len; i += 1 + i / 16) {
        uint8_t *byte = (uint8_t *)all.iov_buf + i, was = *byte;

        *byte ^= 0x40;
        if (dfs_global2local_all(O_RDONLY, all, &dfs2) == 0)
            EXPECT_EQ(dfs_disconnect(dfs2), 0);
        *byte = was;
    }
    mount.iov_buf_len = 10;
    EXPECT_EQ(dfs_local2global(fix->dfs, &mount), EINVAL);
    free(mount.iov_buf);
    free(file.iov_buf);
    free(all.iov_buf);
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_file, handles_and_their_bytes, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(handles_body);
}

/* ---- what is created in a directory ------------------------------------------------------------------------------------------------------ */

static void
defaults_body(struct fix *fix)
{
    dfs_obj_t *dir, *sub, *obj;
    dfs_obj_info_t info;
    daos_oclass_id_t cid;

    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "d", 0755, 0), 0);
    dir = fix_dir(fix->dfs, "/d");
    EXPECT_EQ(dfs_obj_get_info(fix->dfs, dir, &info), 0);
    EXPECT_EQ(info.doi_oclass_id, OC_S1);
    EXPECT_EQ(info.doi_chunk_size, 1 << 20);
    EXPECT_EQ(info.doi_dir_oclass_id, OC_S1);
    EXPECT_EQ(info.doi_file_oclass_id, OC_S4); /* four targets */
    EXPECT_EQ(dfs_obj_set_oclass(fix->dfs, dir, 0, OC_S2), 0);
    EXPECT_EQ(dfs_obj_set_chunk_size(fix->dfs, dir, 0, 65536), 0);
    EXPECT_EQ(dfs_obj_set_oclass(fix->dfs, dir, 1, OC_S2), EINVAL);
    EXPECT_EQ(dfs_mkdir(fix->dfs, dir, "sub", 0755, 0), 0);
    EXPECT_EQ(dfs_release(dir), 0);
    sub = fix_dir(fix->dfs, "/d/sub"); /* inherited, also by what is in it */
    EXPECT_EQ(dfs_open(fix->dfs, sub, "f", S_IFREG | 0600, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_obj_get_info(fix->dfs, obj, &info), 0);
    EXPECT_EQ(info.doi_oclass_id, OC_S2);
    EXPECT_EQ(info.doi_chunk_size, 65536);
    EXPECT_EQ(dfs_obj_set_oclass(fix->dfs, obj, 0, OC_S1), ENOTSUP);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(
        dfs_open(fix->dfs, sub, "g", S_IFREG | 0600, O_RDWR | O_CREAT, OC_S1, 4096, NULL, &obj), 0);
    EXPECT_EQ(dfs_obj_get_info(fix->dfs, obj, &info), 0);
    EXPECT_EQ(info.doi_oclass_id, OC_S1);
    EXPECT_EQ(info.doi_chunk_size, 4096);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_release(sub), 0);
    EXPECT_EQ(dfs_suggest_oclass(fix->dfs, "file:single", &cid), 0);
    EXPECT_EQ(cid, OC_S1);
    EXPECT_EQ(dfs_suggest_oclass(fix->dfs, "file:max", &cid), 0);
    EXPECT_EQ(cid, OC_S4);
    EXPECT_EQ(dfs_suggest_oclass(fix->dfs, "dir:max", &cid), 0);
    EXPECT_EQ(cid, OC_S4);
    EXPECT_EQ(dfs_suggest_oclass(fix->dfs, "dir:enormous", &cid), EINVAL);
    EXPECT_EQ(dfs_suggest_oclass(fix->dfs, "nonsense", &cid), EINVAL);
    EXPECT_EQ(dfs_suggest_oclass(fix->dfs, NULL, &cid), EINVAL);
}

TEST_ON(dfs_file, defaults_of_a_directory, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(defaults_body);
}
