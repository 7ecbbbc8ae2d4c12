/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One application of the soak (soak.py): mixed load through libdaos and libdfs, checked against a record outside of the system (SM-3).
 *
 *   soak_client work SYSTEM POOL ID SEED RECORD RATE WRITES    until SIGTERM; then all is verified and removed, exit status 0
 *   soak_client connects SYSTEM POOL NR                        NR times: init, connect, open, put, close, disconnect, fini
 *   soak_client hold SYSTEM POOL                               connects, opens a container, and stays until it is killed (a planted leak)
 *   soak_client grow SYSTEM POOL NR                            NR values that nobody removes (another one)
 *
 * The record is a file mapped into memory, which outlives a killed process: for each slot (a key, a piece of an array, a file) the version that was
 * acknowledged and the one that is on its way. A version determines length and bytes. The next process with the same record checks every slot. What was
 * on its way at a kill may or may not be there, now or later: that slot allows both and is left alone until its container is destroyed.
 *
 * A generation: two containers are created, WRITES slots are written, all is verified, both are destroyed, the client disconnects; after every other
 * one the library ends, too, and the process must hold no more descriptors than before the first. At most RATE operations a second.
 */
#include <daos.h>
#include <daos_array.h>
#include <daos_fs.h>
#include <daos_kv.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    KV_NR = 96,
    OBJ_NR = 48,
    ARR_NR = 24,
    FILE_NR = 32,
    SLOTS_NR = KV_NR + OBJ_NR + ARR_NR + FILE_NR,
    BATCH_NR = 8,
    DIRS_NR = 4,
    PIECE_BYTES = 128 << 10,
    CHUNK_BYTES = 1 << 20,
    VALUE_BYTES_MAX = 1 << 20,
    SINGLE_BYTES_MAX = 6000,
    RECORD_VERSION = 1,
    GENERATIONS_OF_A_LIFE = 2, /* of the library */
    VISIT_NR = 8,
    VISIT_BYTES = 16,
    GROW_BYTES = 3000, /* these lie in the index */
};

enum kind { KIND_KV, KIND_OBJ, KIND_ARR, KIND_FILE };
enum state { STATE_NONE, STATE_MAKING, STATE_LIVE, STATE_ENDING };

struct slot {
    uint32_t acked, pending; /* 0: nothing */
    bool is_open; /* a process was killed between the two */
};

struct record {
    uint32_t version, generation, state, last_version;
    uint64_t writes_nr, reads_nr, checks_nr; /* for the statistics */
    struct slot slots[SLOTS_NR];
};

struct app {
    const char *sys, *pool;
    uint32_t id, rate, writes;
    uint64_t rand;
    struct record *rec;
    daos_handle_t poh, coh, fcoh, eqh, kv, obj, arr;
    dfs_t *dfs;
    dfs_obj_t *dirs[DIRS_NR];
    char names[2][32];
    uint8_t *bufs[BATCH_NR], *got;
    char keys[BATCH_NR][16]; /* as the buffers: not to be touched before the event */
    uint64_t next_ns; /* when the next operation may begin */
};

static volatile sig_atomic_t is_asked_to_end;

static void
on_term(int sig)
{
    (void)sig;
    is_asked_to_end = 1;
}

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)printf("FAIL ");
    (void)vprintf(fmt, args);
    (void)printf("\n");
    (void)fflush(stdout);
    va_end(args);
    _exit(1);
}

static void
must(int rc, const char *what)
{
    if (rc != 0)
        die("%s: %s", what, d_errstr(rc));
}

static void
must_dfs(int rc, const char *what)
{
    if (rc != 0)
        die("%s: %s", what, strerror(rc));
}

/* ---- what a version means --------------------------------------------------------------------------------------------------- */

static uint64_t
mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t
rand_next(struct app *app)
{
    return mix(app->rand++);
}

static enum kind
kind_of(uint32_t slot)
{
    return slot < KV_NR             ? KIND_KV
        : slot < KV_NR + OBJ_NR     ? KIND_OBJ
        : slot < SLOTS_NR - FILE_NR ? KIND_ARR
                                    : KIND_FILE;
}

static uint64_t
seed_of(const struct app *app, uint32_t slot, uint32_t version)
{
    return mix(
        mix((uint64_t)app->id << 32 | app->rec->generation) ^ ((uint64_t)slot << 32 | version));
}

/* Bytes of a slot at a version; 0: it is not there. */
static size_t
length_of(const struct app *app, uint32_t slot, uint32_t version)
{
    uint64_t x = seed_of(app, slot, version);
    uint32_t of = (uint32_t)(x >> 32);

    if (version == 0)
        return 0;
    if (kind_of(slot) == KIND_ARR)
        return PIECE_BYTES; /* pieces are overwritten, never removed */
    if (version % 9 == 0)
        return 0;
    if (kind_of(slot) == KIND_OBJ)
        return 1 + of % SINGLE_BYTES_MAX;
    switch (x % 32) {
    case 0:
        return 1 + of % VALUE_BYTES_MAX;
    case 1:
    case 2:
    case 3:
        return 1 + of % (128 << 10);
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
        return 1 + of % (8 << 10);
    default:
        return 1 + of % 256;
    }
}

static void
fill(const struct app *app, uint32_t slot, uint32_t version, uint8_t *buf, size_t len)
{
    uint64_t x = seed_of(app, slot, version);

    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = x ^ (i * UINT64_C(0x9e3779b97f4a7c15));

        memcpy(buf + i, &word, len - i < 8 ? len - i : 8);
    }
}

static void
bytes_check(const struct app *app, uint32_t slot, uint32_t version, uint8_t *expected, const char *how)
{
    size_t len = length_of(app, slot, version);

    fill(app, slot, version, expected, len);
    for (size_t i = 0; i < len; i++) {
        if (app->got[i] != expected[i]) {
            die("%s: client %u generation %u slot %u version %u of %zu bytes differs at %zu", how,
                app->id, app->rec->generation, slot, version, len, i);
        }
    }
}

/* ---- slots ------------------------------------------------------------------------------------------------------------------ */

struct obj_io {
    char dkey[16], akey[16];
    daos_key_t dkey_iov;
    daos_iod_t iod;
    d_iov_t iov;
    d_sg_list_t sgl;
};

static void
obj_io_init(struct obj_io *io, uint32_t slot, void *buf, size_t len)
{
    uint32_t i = slot - KV_NR;

    memset(io, 0, sizeof(*io));
    (void)snprintf(io->dkey, sizeof(io->dkey), "d%u", i / 4);
    (void)snprintf(io->akey, sizeof(io->akey), "a%u", i % 4);
    d_iov_set(&io->dkey_iov, io->dkey, strlen(io->dkey));
    d_iov_set(&io->iod.iod_name, io->akey, strlen(io->akey));
    io->iod.iod_nr = 1;
    io->iod.iod_size = len;
    io->iod.iod_type = DAOS_IOD_SINGLE;
    d_iov_set(&io->iov, buf, len);
    io->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &io->iov};
}

static int
kv_write(struct app *app, uint32_t slot, uint32_t version, uint32_t at, daos_event_t *ev)
{
    size_t len = length_of(app, slot, version);
    uint8_t *buf = app->bufs[at];
    char *key = app->keys[at];

    (void)snprintf(key, sizeof(app->keys[at]), "k%u", slot);
    fill(app, slot, version, buf, len);
    return len == 0 ? daos_kv_remove(app->kv, DAOS_TX_NONE, 0, key, ev)
                    : daos_kv_put(app->kv, DAOS_TX_NONE, 0, key, len, buf, ev);
}

static int
obj_write(struct app *app, uint32_t slot, uint32_t version)
{
    size_t len = length_of(app, slot, version);
    struct obj_io io;

    obj_io_init(&io, slot, app->bufs[0], len);
    fill(app, slot, version, app->bufs[0], len);
    return len == 0
        ? daos_obj_punch_akeys(app->obj, DAOS_TX_NONE, 0, &io.dkey_iov, 1, &io.iod.iod_name, NULL)
        : daos_obj_update(app->obj, DAOS_TX_NONE, 0, &io.dkey_iov, 1, &io.iod, &io.sgl, NULL);
}

static int
arr_io(struct app *app, uint32_t slot, uint8_t *buf, bool writes)
{
    daos_range_t range = {
        .rg_idx = (uint64_t)(slot - KV_NR - OBJ_NR) * PIECE_BYTES, .rg_len = PIECE_BYTES};
    daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, buf, PIECE_BYTES);
    return writes ? daos_array_write(app->arr, DAOS_TX_NONE, &iod, &sgl, NULL)
                  : daos_array_read(app->arr, DAOS_TX_NONE, &iod, &sgl, NULL);
}

static void
file_name(char *buf, size_t bytes, uint32_t slot, uint32_t version)
{
    (void)snprintf(buf, bytes, "f%u.%u", slot, version);
}

/* A new file beside that of the acknowledged version; sometimes made under another name and renamed. */
static void
file_write(struct app *app, uint32_t slot, uint32_t version)
{
    size_t len = length_of(app, slot, version);
    dfs_obj_t *dir = app->dirs[slot % DIRS_NR], *file = NULL;
    char name[32], made[40];
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    if (len == 0)
        return;
    file_name(name, sizeof(name), slot, version);
    (void)snprintf(made, sizeof(made), "%s%s", name, version % 4 == 0 ? ".new" : "");
    fill(app, slot, version, app->bufs[0], len);
    must_dfs(
        dfs_open(app->dfs, dir, made, S_IFREG | 0644, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &file),
        "dfs_open of a new file");
    d_iov_set(&iov, app->bufs[0], len);
    must_dfs(dfs_write(app->dfs, file, &sgl, 0, NULL), "dfs_write");
    must_dfs(dfs_release(file), "dfs_release");
    if (strcmp(made, name) != 0)
        must_dfs(dfs_move(app->dfs, dir, made, dir, name, NULL), "dfs_move");
}

static void
file_remove(struct app *app, uint32_t slot, uint32_t version)
{
    char name[32];

    if (length_of(app, slot, version) == 0)
        return;
    file_name(name, sizeof(name), slot, version);
    must_dfs(dfs_remove(app->dfs, app->dirs[slot % DIRS_NR], name, false, NULL), "dfs_remove");
}

/* One version after the other is written; what was acknowledged stands in the record at once. */
static void
slot_write(struct app *app, uint32_t slot)
{
    struct slot *s = &app->rec->slots[slot];
    uint32_t version = ++app->rec->last_version, before = s->acked;

    s->pending = version;
    switch (kind_of(slot)) {
    case KIND_KV:
        must(kv_write(app, slot, version, 0, NULL), "daos_kv_put");
        break;
    case KIND_OBJ:
        must(obj_write(app, slot, version), "daos_obj_update");
        break;
    case KIND_ARR:
        fill(app, slot, version, app->bufs[0], PIECE_BYTES);
        must(arr_io(app, slot, app->bufs[0], true), "daos_array_write");
        break;
    default:
        file_write(app, slot, version);
        file_remove(app, slot, before);
        break;
    }
    s->acked = version;
    app->rec->writes_nr++;
}

/* Length of what is there; its bytes in app->got. */
static size_t
slot_read(struct app *app, uint32_t slot, uint32_t version)
{
    daos_size_t size = VALUE_BYTES_MAX;
    dfs_obj_t *file = NULL;
    struct obj_io io;
    char name[32];
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    int rc;

    app->rec->reads_nr++;
    switch (kind_of(slot)) {
    case KIND_KV:
        (void)snprintf(name, sizeof(name), "k%u", slot);
        rc = daos_kv_get(app->kv, DAOS_TX_NONE, 0, name, &size, app->got, NULL);
        if (rc == -DER_NONEXIST)
            return 0;
        must(rc, "daos_kv_get");
        return size;
    case KIND_OBJ:
        obj_io_init(&io, slot, app->got, VALUE_BYTES_MAX);
        io.iod.iod_size = DAOS_REC_ANY;
        must(daos_obj_fetch(app->obj, DAOS_TX_NONE, 0, &io.dkey_iov, 1, &io.iod, &io.sgl, NULL, NULL),
            "daos_obj_fetch");
        return io.iod.iod_size;
    case KIND_ARR:
        must(arr_io(app, slot, app->got, false), "daos_array_read");
        return PIECE_BYTES;
    default:
        file_name(name, sizeof(name), slot, version);
        rc = dfs_lookup_rel(app->dfs, app->dirs[slot % DIRS_NR], name, O_RDONLY, &file, NULL, NULL);
        if (rc == ENOENT)
            return 0;
        must_dfs(rc, "dfs_lookup_rel");
        d_iov_set(&iov, app->got, VALUE_BYTES_MAX);
        must_dfs(dfs_read(app->dfs, file, &sgl, 0, &size, NULL), "dfs_read");
        must_dfs(dfs_release(file), "dfs_release");
        return size;
    }
}

static void
slot_check(struct app *app, uint32_t slot, const char *how)
{
    const struct slot *s = &app->rec->slots[slot];
    uint32_t version = s->acked;
    size_t len;

    if (kind_of(slot) == KIND_ARR && version == 0 && !s->is_open)
        return;
    if (kind_of(slot) == KIND_FILE && length_of(app, slot, version) == 0)
        return; /* by which name? */
    len = slot_read(app, slot, version);
    app->rec->checks_nr++;
    if (s->is_open) {
        size_t lens[2] = {length_of(app, slot, s->acked), length_of(app, slot, s->pending)};

        if (kind_of(slot) == KIND_FILE) {
            if (len == 0)
                return; /* it went with the new one's coming */
        } else if (kind_of(slot) == KIND_ARR) {
            fill(app, slot, s->pending, app->bufs[0], PIECE_BYTES);
            if (memcmp(app->bufs[0], app->got, PIECE_BYTES) == 0)
                return;
            if (s->acked == 0) {
                memset(app->bufs[0], 0, PIECE_BYTES);
                if (memcmp(app->bufs[0], app->got, PIECE_BYTES) != 0)
                    die("%s: slot %u was never written and is not zero", how, slot);
                return;
            }
        } else if (len == lens[1]) {
            fill(app, slot, s->pending, app->bufs[0], len);
            if (memcmp(app->bufs[0], app->got, len) == 0)
                return;
        }
    }
    if (len != length_of(app, slot, version)) {
        die("%s: client %u generation %u slot %u has %zu bytes, version %u has %zu", how, app->id,
            app->rec->generation, slot, len, version, length_of(app, slot, version));
    }
    bytes_check(app, slot, version, app->bufs[0], how);
}

static void
all_check(struct app *app, const char *how)
{
    for (uint32_t i = 0; i < SLOTS_NR; i++) {
        slot_check(app, i, how);
    }
}

/* ---- load ------------------------------------------------------------------------------------------------------------------- */

static uint64_t
now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void
pace(struct app *app, uint32_t ops)
{
    uint64_t now = now_ns();

    if (app->next_ns > now && is_asked_to_end == 0) {
        struct timespec pause = {.tv_sec = (time_t)((app->next_ns - now) / UINT64_C(1000000000)),
            .tv_nsec = (long)((app->next_ns - now) % UINT64_C(1000000000))};

        (void)nanosleep(&pause, NULL);
    }
    if (app->next_ns < now)
        app->next_ns = now;
    app->next_ns += ops * UINT64_C(1000000000) / app->rate;
}

/* Several puts and removals by events, all in flight at once. */
static uint32_t
batch_write(struct app *app)
{
    daos_event_t evs[BATCH_NR], *done[BATCH_NR];
    uint32_t slots[BATCH_NR], nr = 0, left;
    uint32_t first = (uint32_t)(rand_next(app) % KV_NR);

    for (uint32_t i = 0; i < BATCH_NR; i++) {
        uint32_t slot = (first + i) % KV_NR;
        struct slot *s = &app->rec->slots[slot];

        if (s->is_open)
            continue;
        slots[nr] = slot;
        s->pending = ++app->rec->last_version;
        must(daos_event_init(&evs[nr], app->eqh, NULL), "daos_event_init");
        must(kv_write(app, slot, s->pending, nr, &evs[nr]), "daos_kv_put by event");
        nr++;
    }
    for (left = nr; left > 0;) {
        int got = daos_eq_poll(app->eqh, 1, DAOS_EQ_WAIT, BATCH_NR, done);

        if (got < 0)
            must(got, "daos_eq_poll");
        for (int i = 0; i < got; i++) {
            uint32_t at = (uint32_t)(done[i] - evs);
            struct slot *s = &app->rec->slots[slots[at]];

            must(done[i]->ev_error, "a put by event");
            s->acked = s->pending;
            must(daos_event_fini(done[i]), "daos_event_fini");
            app->rec->writes_nr++;
            left--;
        }
    }
    return nr;
}

static bool
dir_entry_count(struct app *app, uint32_t dir, uint32_t *ret_nr)
{
    struct dirent entries[16];
    daos_anchor_t anchor = {0};

    *ret_nr = 0;
    while (!daos_anchor_is_eof(&anchor)) {
        uint32_t nr = 16;

        must_dfs(dfs_readdir(app->dfs, app->dirs[dir], &anchor, &nr, entries), "dfs_readdir");
        *ret_nr += nr;
    }
    return true;
}

/* As many names as files, when nobody was killed over one of them. */
static void
dirs_check(struct app *app)
{
    for (uint32_t dir = 0; dir < DIRS_NR; dir++) {
        uint32_t nr, expected = 0;
        bool is_known = true;

        for (uint32_t slot = SLOTS_NR - FILE_NR; slot < SLOTS_NR; slot++) {
            const struct slot *s = &app->rec->slots[slot];

            if (slot % DIRS_NR != dir)
                continue;
            is_known = is_known && !s->is_open;
            expected += length_of(app, slot, s->acked) > 0;
        }
        if (is_known && dir_entry_count(app, dir, &nr) && nr != expected)
            die("directory %u has %u names, not %u", dir, nr, expected);
    }
}

static void
load_step(struct app *app)
{
    uint32_t slot = (uint32_t)(rand_next(app) % SLOTS_NR);

    switch (rand_next(app) % 8) {
    case 0:
        pace(app, batch_write(app));
        return;
    case 1:
    case 2:
    case 3:
        slot_check(app, slot, "reading");
        break;
    default:
        if (!app->rec->slots[slot].is_open)
            slot_write(app, slot);
        break;
    }
    pace(app, 1);
}

/* ---- a life ----------------------------------------------------------------------------------------------------------------- */

static void
names_make(struct app *app)
{
    (void)snprintf(app->names[0], sizeof(app->names[0]), "o%u.%u", app->id, app->rec->generation);
    (void)snprintf(app->names[1], sizeof(app->names[1]), "f%u.%u", app->id, app->rec->generation);
}

static void
conts_destroy(struct app *app)
{
    names_make(app);
    for (uint32_t i = 0; i < 2; i++) {
        int rc = daos_cont_destroy(app->poh, app->names[i], 1, NULL);

        if (rc != -DER_NONEXIST)
            must(rc, "daos_cont_destroy");
    }
}

static void
generation_begin(struct app *app)
{
    if (app->rec->state == STATE_MAKING || app->rec->state == STATE_ENDING) { /* a process was killed */
        conts_destroy(app);
        app->rec->generation++;
        app->rec->state = STATE_NONE;
    }
    names_make(app);
    if (app->rec->state == STATE_NONE) {
        memset(app->rec->slots, 0, sizeof(app->rec->slots));
        app->rec->last_version = 0;
        app->rec->state = STATE_MAKING;
        must(daos_cont_create_with_label(app->poh, app->names[0], NULL, NULL, NULL),
            "daos_cont_create");
        must_dfs(dfs_cont_create_with_label(app->poh, app->names[1], NULL, NULL, NULL, NULL),
            "dfs_cont_create");
    }
}

static void
generation_open(struct app *app)
{
    daos_obj_id_t oids[3] = {{.lo = 1}, {.lo = 2}, {.lo = 3}};
    uint64_t dir = 0;

    must(daos_cont_open(app->poh, app->names[0], DAOS_COO_RW, &app->coh, NULL, NULL),
        "daos_cont_open");
    must(daos_obj_generate_oid(app->coh, &oids[0], DAOS_OT_KV_HASHED, OC_SX, 0, 0), "oid");
    must(daos_obj_generate_oid(app->coh, &oids[1], DAOS_OT_MULTI_HASHED, OC_SX, 0, 0), "oid");
    must(daos_array_generate_oid(app->coh, &oids[2], true, OC_SX, 0, 0), "oid");
    must(daos_kv_open(app->coh, oids[0], DAOS_OO_RW, &app->kv, NULL), "daos_kv_open");
    must(daos_obj_open(app->coh, oids[1], DAOS_OO_RW, &app->obj, NULL), "daos_obj_open");
    if (app->rec->state == STATE_MAKING) {
        must(daos_array_create(app->coh, oids[2], DAOS_TX_NONE, 1, CHUNK_BYTES, &app->arr, NULL),
            "daos_array_create");
    } else {
        daos_size_t cell, chunk;

        must(daos_array_open(
                 app->coh, oids[2], DAOS_TX_NONE, DAOS_OO_RW, &cell, &chunk, &app->arr, NULL),
            "daos_array_open");
    }
    must(daos_cont_open(app->poh, app->names[1], DAOS_COO_RW, &app->fcoh, NULL, NULL),
        "daos_cont_open");
    must_dfs(dfs_mount(app->poh, app->fcoh, O_RDWR, &app->dfs), "dfs_mount");
    for (dir = 0; dir < DIRS_NR; dir++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "/dir%u", (uint32_t)dir);
        if (app->rec->state == STATE_MAKING)
            must_dfs(dfs_mkdir(app->dfs, NULL, name + 1, 0755, 0), "dfs_mkdir");
        must_dfs(dfs_lookup(app->dfs, name, O_RDWR, &app->dirs[dir], NULL, NULL), "dfs_lookup");
    }
    must(daos_eq_create(&app->eqh), "daos_eq_create");
    app->rec->state = STATE_LIVE;
}

static void
generation_close(struct app *app)
{
    must(daos_eq_destroy(app->eqh, 0), "daos_eq_destroy");
    for (uint32_t i = 0; i < DIRS_NR; i++) {
        must_dfs(dfs_release(app->dirs[i]), "dfs_release");
    }
    must_dfs(dfs_umount(app->dfs), "dfs_umount");
    must(daos_cont_close(app->fcoh, NULL), "daos_cont_close");
    must(daos_array_close(app->arr, NULL), "daos_array_close");
    must(daos_obj_close(app->obj, NULL), "daos_obj_close");
    must(daos_kv_close(app->kv, NULL), "daos_kv_close");
    must(daos_cont_close(app->coh, NULL), "daos_cont_close");
}

static void
generation_run(struct app *app)
{
    must(daos_pool_connect(app->pool, app->sys, DAOS_PC_RW, &app->poh, NULL, NULL),
        "daos_pool_connect");
    generation_begin(app);
    generation_open(app);
    for (uint32_t i = 0; i < SLOTS_NR; i++) {
        struct slot *s = &app->rec->slots[i];

        s->is_open = s->is_open || s->acked != s->pending;
    }
    all_check(app, "after the start");
    while (is_asked_to_end == 0 && app->rec->last_version < app->writes) {
        load_step(app);
    }
    all_check(app, "at the end");
    dirs_check(app);
    generation_close(app);
    app->rec->state = STATE_ENDING;
    conts_destroy(app);
    app->rec->generation++;
    app->rec->state = STATE_NONE;
    must(daos_pool_disconnect(app->poh, NULL), "daos_pool_disconnect");
    (void)printf("generation %u\n", app->rec->generation);
    (void)fflush(stdout);
}

static uint32_t
fds_nr(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint32_t nr = 0;

    while (dir != NULL && readdir(dir) != NULL) {
        nr++;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return nr;
}

static struct record *
record_map(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct record *rec;

    if (fd < 0 || ftruncate(fd, sizeof(*rec)) != 0)
        die("%s: %s", path, strerror(errno));
    rec = mmap(NULL, sizeof(*rec), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (rec == MAP_FAILED)
        die("%s: %s", path, strerror(errno));
    (void)close(fd);
    if (rec->version == 0)
        rec->version = RECORD_VERSION;
    if (rec->version != RECORD_VERSION)
        die("%s: of another version", path);
    return rec;
}

static int
work(char **args)
{
    struct app app = {.sys = args[0],
        .pool = args[1],
        .id = (uint32_t)strtoul(args[2], NULL, 10),
        .rand = mix(strtoull(args[3], NULL, 10)),
        .rate = (uint32_t)strtoul(args[5], NULL, 10),
        .writes = (uint32_t)strtoul(args[6], NULL, 10)};
    uint32_t fds = 0;
    sigset_t term;

    if (app.rate == 0 || app.writes == 0)
        return 2;
    app.rec = record_map(args[4]);
    app.got = malloc(VALUE_BYTES_MAX);
    for (uint32_t i = 0; i < BATCH_NR; i++) {
        app.bufs[i] = malloc(VALUE_BYTES_MAX);
        if (app.bufs[i] == NULL || app.got == NULL)
            die("no memory");
    }
    (void)signal(SIGTERM, on_term);
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_UNBLOCK, &term, NULL); /* whoever starts it has blocked it */
    do {
        must(daos_init(), "daos_init");
        for (uint32_t i = 0; i < GENERATIONS_OF_A_LIFE && (i == 0 || is_asked_to_end == 0); i++) {
            generation_run(&app);
        }
        must(daos_fini(), "daos_fini");
        if (fds == 0)
            fds = fds_nr();
        if (fds_nr() != fds)
            die("%u descriptors after daos_fini(), %u before", fds_nr(), fds);
    } while (is_asked_to_end == 0);
    for (uint32_t i = 0; i < BATCH_NR; i++) {
        free(app.bufs[i]);
    }
    free(app.got);
    (void)printf("end %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", app.rec->writes_nr, app.rec->reads_nr,
        app.rec->checks_nr);
    return 0;
}

/* ---- others ----------------------------------------------------------------------------------------------------------------- */

struct visit {
    daos_handle_t poh, coh, kv;
};

static void
visit_begin(struct visit *v, const char *sys, const char *pool)
{
    daos_obj_id_t oid = {.lo = 1};
    int rc;

    must(daos_init(), "daos_init");
    must(daos_pool_connect(pool, sys, DAOS_PC_RW, &v->poh, NULL, NULL), "daos_pool_connect");
    rc = daos_cont_create_with_label(v->poh, "visits", NULL, NULL, NULL);
    if (rc != -DER_EXIST)
        must(rc, "daos_cont_create");
    must(daos_cont_open(v->poh, "visits", DAOS_COO_RW, &v->coh, NULL, NULL), "daos_cont_open");
    must(daos_obj_generate_oid(v->coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0), "oid");
    must(daos_kv_open(v->coh, oid, DAOS_OO_RW, &v->kv, NULL), "daos_kv_open");
}

/* Values spread over all targets. */
static void
visit_put(struct visit *v, uint64_t nr, size_t bytes)
{
    static const uint8_t value[GROW_BYTES];

    for (uint64_t i = 0; i < nr; i++) {
        char key[24];

        (void)snprintf(key, sizeof(key), "%" PRIu64, i);
        must(daos_kv_put(v->kv, DAOS_TX_NONE, 0, key, bytes, value, NULL), "daos_kv_put");
    }
}

static void
visit_end(struct visit *v)
{
    must(daos_kv_close(v->kv, NULL), "daos_kv_close");
    must(daos_cont_close(v->coh, NULL), "daos_cont_close");
    must(daos_pool_disconnect(v->poh, NULL), "daos_pool_disconnect");
    must(daos_fini(), "daos_fini");
}

int
main(int argc, char **argv)
{
    uint64_t nr = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
    struct visit v;

    if (argc == 9 && strcmp(argv[1], "work") == 0)
        return work(&argv[2]);
    if (argc == 5 && strcmp(argv[1], "connects") == 0) {
        for (; nr > 0; nr--) {
            visit_begin(&v, argv[2], argv[3]);
            visit_put(&v, VISIT_NR, VISIT_BYTES);
            visit_end(&v);
        }
        return 0;
    }
    if (argc == 5 && strcmp(argv[1], "grow") == 0) {
        visit_begin(&v, argv[2], argv[3]);
        visit_put(&v, nr, GROW_BYTES);
        visit_end(&v);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "hold") == 0) {
        visit_begin(&v, argv[2], argv[3]);
        visit_put(&v, VISIT_NR, VISIT_BYTES);
        for (;;) {
            (void)pause();
        }
    }
    return 2;
}
