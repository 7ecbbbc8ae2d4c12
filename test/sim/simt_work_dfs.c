/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Workload C: a few names of one directory through libdfs.
 *
 *   shared names   files created exclusively, looked up, listed and removed by everybody: linearizable, a name being absent or a file (object
 *                  id). A file is written once, by its creator: who reads it finds nothing of it, or all; all, once that write was answered.
 *   own names      each worker has a file of its own and moves it between two names: a move cut short by the death of the client may
 *                  leave both, never none, and never another content.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/util.h"
#include "daos_fs.h"
#include "sim/simt_sys.h"

enum { NAMES_NR = 4, FILE_BYTES_MAX = 60000, NAME_BYTES = 24 };
#define UNSEEN (UINT64_C(1) << 63) /* a file whose id nobody has seen yet */

enum kind { K_CREATE, K_REMOVE, K_LOOK, K_LIST };

struct oper {
    struct simt_op base; /* first */
    uint8_t kind;
    bool seen; /* K_LIST */
    int rc; /* errno */
    uint64_t file; /* created or found; 0: none */
    char who[40];
};

struct state {
    uint64_t file; /* 0: absent */
};

struct file {
    uint64_t id;
    uint32_t bytes;
    bool is_written; /* the write was answered */
};

struct own {
    bool is_made; /* creation and write were answered */
    uint64_t seed;
};

struct work {
    struct simt *t;
    struct list_head names[NAMES_NR];
    struct file *files; /* whose creation was answered */
    uint32_t file_nr;
    struct own owns[SIMT_PROCS][SIMT_WORKERS_MAX];
};

struct ctx {
    struct simt_worker *w;
    struct simt *t;
    struct work *work;
    daos_handle_t coh;
    dfs_t *dfs;
};

/* ---- the model ------------------------------------------------------------------------------------------------------------------ */

static struct file *
file_find(const struct work *work, uint64_t id)
{
    for (uint32_t i = 0; i < work->file_nr; i++) {
        if (work->files[i].id == id)
            return &work->files[i];
    }
    return NULL;
}

static bool
is_same(const struct work *work, struct state *s, uint64_t id)
{
    if ((s->file & UNSEEN) != 0 && id != 0 && file_find(work, id) == NULL)
        s->file = id;
    return s->file == id;
}

static bool
model_step(void *arg, const struct simt_lin_op *lop, void *state)
{
    const struct oper *o = lop->op;
    struct state *s = state;
    int rc = 0;

    switch (o->kind) {
    case K_CREATE:
        if (s->file != 0) {
            rc = EEXIST;
        } else {
            s->file = lop->is_answered ? o->file : UNSEEN | lop->begin.seq;
        }
        break;
    case K_REMOVE:
        rc = s->file == 0 ? ENOENT : 0;
        s->file = 0;
        break;
    case K_LOOK:
        return is_same(arg, s, o->file);
    default:
        return o->seen == (s->file != 0);
    }
    return lop->is_answered ? rc == o->rc : rc == 0;
}

static void
oper_print(const struct simt_lin_op *lop, char *buf, size_t len)
{
    static const char *const kinds[] = {"create", "remove", "look up", "list"};
    const struct oper *o = lop->op;

    snprintf(buf, len, "[%.6f, %.6f%s %s %s rc %d %llx seen %u", (double)lop->begin.ns / 1e9,
        lop->end.ns == SIMT_LIN_NEVER ? 0.0 : (double)lop->end.ns / 1e9,
        lop->is_answered ? "]" : "?)", o->who, kinds[o->kind], o->rc, (unsigned long long)o->file,
        o->seen);
}

static void
state_print(const void *state, char *buf, size_t len)
{
    snprintf(buf, len, "%llx", (unsigned long long)((const struct state *)state)->file);
}

/* ---- contents ------------------------------------------------------------------------------------------------------------------- */

static void
content_fill(uint8_t *buf, uint32_t bytes, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (uint32_t off = 0; off < bytes; off += 8) {
        uint64_t word = rng_u64(&rng) | 1;

        memcpy(buf + off, &word, MIN(8, bytes - off));
    }
}

static int
file_write(struct ctx *c, dfs_obj_t *obj, uint32_t bytes, uint64_t seed)
{
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    content_fill(c->w->buf, bytes, seed);
    d_iov_set(&iov, c->w->buf, bytes);
    return dfs_write(c->dfs, obj, &sgl, 0, NULL);
}

/* Read all; whether it is that content. */
static int
file_read(struct ctx *c, dfs_obj_t *obj, uint32_t bytes, uint64_t seed, bool *ret_same, bool *ret_none)
{
    uint8_t *want = c->w->buf + FILE_BYTES_MAX + 8;
    daos_size_t got = 0;
    d_iov_t iov = {c->w->buf, FILE_BYTES_MAX, 0};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    int rc;

    memset(c->w->buf, 0, FILE_BYTES_MAX);
    d_iov_set(&iov, c->w->buf, FILE_BYTES_MAX);
    rc = dfs_read(c->dfs, obj, &sgl, 0, &got, NULL);
    if (rc != 0)
        return rc;
    content_fill(want, bytes, seed);
    *ret_same = got == bytes && memcmp(c->w->buf, want, bytes) == 0;
    *ret_none = true;
    for (daos_size_t i = 0; i < got; i++) {
        *ret_none = *ret_none && c->w->buf[i] == 0;
    }
    return 0;
}

/* Every file's content follows from its id. */
static uint64_t
file_id(dfs_obj_t *obj)
{
    daos_obj_id_t oid = {0};

    (void)dfs_obj2id(obj, &oid);
    return (hash_bytes64(&oid, sizeof(oid), 0) & ~UNSEEN) | 1;
}

static uint32_t
file_bytes(uint64_t id)
{
    return 1 + (uint32_t)((id >> 8) % (id % 3 == 0 ? 40 : FILE_BYTES_MAX));
}

/* ---- shared names -------------------------------------------------------------------------------------------------------------------- */

static struct oper *
oper_new(struct ctx *c, enum kind kind, bool is_read)
{
    struct oper *o = simt_alloc(sizeof(*o));

    o->kind = (uint8_t)kind;
    o->base.is_read = is_read;
    snprintf(o->who, sizeof(o->who), "%s.%u", c->w->proc->name, c->w->idx);
    return o;
}

static const char *
name_of(uint32_t i)
{
    static const char *const names[NAMES_NR] = {"one", "two", "three", "four"};

    return names[i];
}

static bool
is_answer(struct ctx *c, const char *what, int rc, int also)
{
    bool is_good = rc == 0 || rc == also;

    if (!is_good)
        simt_fail(c->t, "%s.%u: %s: errno %d", c->w->proc->name, c->w->idx, what, rc);
    simt_answered(c->w, is_good ? SIMT_DONE : SIMT_WRONG);
    return rc == 0;
}

static void
do_create(struct ctx *c, uint32_t name)
{
    struct oper *o = oper_new(c, K_CREATE, false);
    struct work *work = c->work;
    dfs_obj_t *obj = NULL;
    uint64_t id;
    int rc;

    simt_doing(c->w, "create");
    simt_ask(c->w, &o->base, &work->names[name]);
    rc = dfs_open(
        c->dfs, NULL, name_of(name), S_IFREG | 0644, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &obj);
    o->rc = rc;
    if (rc == 0) {
        o->file = file_id(obj);
        work->files = realloc(work->files, (work->file_nr + 1) * sizeof(*work->files));
        work->files[work->file_nr++] = (struct file){.id = o->file};
    }
    id = o->file;
    if (!is_answer(c, "create", rc, EEXIST))
        return;
    simt_doing(c->w, "write");
    rc = file_write(c, obj, file_bytes(id), id);
    if (rc != 0 && rc != ENOSPC)
        simt_fail(c->t, "%s.%u: write: errno %d", c->w->proc->name, c->w->idx, rc);
    file_find(work, id)->is_written = rc == 0;
    (void)dfs_release(obj);
}

static void
do_remove(struct ctx *c, uint32_t name)
{
    struct oper *o = oper_new(c, K_REMOVE, false);

    simt_doing(c->w, "remove");
    simt_ask(c->w, &o->base, &c->work->names[name]);
    o->rc = dfs_remove(c->dfs, NULL, name_of(name), false, NULL);
    is_answer(c, "remove", o->rc, ENOENT);
}

/* `settled`: nobody removes it meanwhile, so what was written must be there. */
static void
do_look(struct ctx *c, uint32_t name, bool settled)
{
    struct oper *o = oper_new(c, K_LOOK, true);
    bool is_written, is_same_content, is_none;
    const struct file *file;
    dfs_obj_t *obj = NULL;
    uint64_t id;
    int rc;

    simt_doing(c->w, "look up");
    simt_ask(c->w, &o->base, &c->work->names[name]);
    o->rc = rc = dfs_lookup_rel(c->dfs, NULL, name_of(name), O_RDONLY, &obj, NULL, NULL);
    o->file = id = rc == 0 ? file_id(obj) : 0;
    if (!is_answer(c, "look up", rc, ENOENT))
        return;
    file = file_find(c->work, id);
    is_written = file != NULL && file->is_written;
    simt_doing(c->w, "read");
    rc = file_read(c, obj, file_bytes(id), id, &is_same_content, &is_none);
    if (rc != 0) {
        simt_fail(c->t, "%s.%u: read: errno %d", c->w->proc->name, c->w->idx, rc);
    } else if (!is_same_content && (!is_none || (settled && is_written))) {
        simt_fail(c->t, "%s.%u: file %s (%llx) has %s", c->w->proc->name, c->w->idx, name_of(name),
            (unsigned long long)id, is_none ? "lost its content" : "another content");
    }
    (void)dfs_release(obj);
}

static void
do_list(struct ctx *c)
{
    struct dirent *dirs = simt_alloc(8 * sizeof(*dirs));
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    dfs_obj_t *root = NULL;
    int rc;

    for (uint32_t i = 0; i < NAMES_NR; i++) {
        struct oper *o = oper_new(c, K_LIST, true);

        simt_ask(c->w, &o->base, &c->work->names[i]);
    }
    simt_doing(c->w, "list");
    rc = dfs_lookup(c->dfs, "/", O_RDONLY, &root, NULL, NULL);
    while (rc == 0 && !daos_anchor_is_eof(&anchor)) {
        uint32_t nr = (uint32_t)(1 + simt_pick(c->w, 8));

        rc = dfs_readdir(c->dfs, root, &anchor, &nr, dirs);
        for (uint32_t i = 0; rc == 0 && i < nr * NAMES_NR; i++) {
            struct oper *o = (struct oper *)c->w->ops[i % NAMES_NR];

            if (strcmp(dirs[i / NAMES_NR].d_name, name_of(i % NAMES_NR)) != 0)
                continue;
            if (o->seen)
                simt_fail(c->t, "%s is listed twice", name_of(i % NAMES_NR));
            o->seen = true;
        }
    }
    is_answer(c, "list", rc, 0);
    if (root != NULL)
        (void)dfs_release(root);
    free(dirs);
}

/* ---- own names ----------------------------------------------------------------------------------------------------------------------- */

static void
own_name(uint32_t proc, uint32_t w, uint32_t which, char *buf)
{
    snprintf(buf, NAME_BYTES, "own%u.%u.%c", proc, w, which == 0 ? 'a' : 'b');
}

/* Which of its two names the file has: a mask. */
static uint32_t
own_look(struct ctx *c, uint32_t proc, uint32_t w)
{
    struct own *own = &c->work->owns[proc][w];
    uint32_t mask = 0;

    for (uint32_t i = 0; i < 2; i++) {
        char name[NAME_BYTES];
        dfs_obj_t *obj;
        bool is_mine = false, is_none;
        int rc;

        own_name(proc, w, i, name);
        rc = dfs_lookup_rel(c->dfs, NULL, name, O_RDONLY, &obj, NULL, NULL);
        if (rc == ENOENT)
            continue;
        if (rc == 0) {
            rc = file_read(c, obj, file_bytes(own->seed), own->seed, &is_mine, &is_none);
            (void)dfs_release(obj);
        }
        if (rc != 0 || (!is_mine && own->is_made))
            simt_fail(c->t, "own file %s: errno %d%s", name, rc, is_mine ? "" : ", another content");
        mask |= 1u << i;
    }
    return mask;
}

static void
own_make(struct ctx *c, struct own *own, const char *name)
{
    dfs_obj_t *obj;
    int rc;

    /* The same in each life until it is made: writes of a client that died meanwhile may still come. */
    if (own->seed == 0)
        own->seed = rng_u64(&c->w->rng) | 1;
    rc = dfs_open(c->dfs, NULL, name, S_IFREG | 0644, O_RDWR | O_CREAT, 0, 0, NULL, &obj);
    if (rc == 0) {
        rc = file_write(c, obj, file_bytes(own->seed), own->seed);
        (void)dfs_release(obj);
    }
    own->is_made = rc == 0;
    if (rc != 0 && rc != ENOSPC)
        simt_fail(c->t, "own file %s: errno %d", name, rc);
}

/* Move it to the other name. After a death in the middle it may have both: then one is removed first. */
static void
do_own(struct ctx *c)
{
    uint32_t proc = c->w->proc->idx, w = c->w->idx, mask = 0;
    struct own *own = &c->work->owns[proc][w];
    char a[NAME_BYTES], b[NAME_BYTES];
    int rc = 0;

    own_name(proc, w, 0, a);
    own_name(proc, w, 1, b);
    simt_doing(c->w, "own file");
    if (own->is_made) {
        mask = own_look(c, proc, w);
        if (mask == 0)
            simt_fail(c->t, "own file of %u.%u is lost", proc, w);
        if (mask == 3)
            return; /* two names of one file: removing one removes the file */
    }
    if (mask == 0) {
        own_make(c, own, a);
    } else {
        simt_doing(c->w, "move");
        rc = mask == 1 ? dfs_move(c->dfs, NULL, a, NULL, b, NULL)
                       : dfs_move(c->dfs, NULL, b, NULL, a, NULL);
    }
    if (rc != 0)
        simt_fail(c->t, "%s.%u: move: errno %d", c->w->proc->name, w, rc);
}

/* ---- a worker ---------------------------------------------------------------------------------------------------------------------- */

static bool
ctx_open(struct ctx *c, daos_handle_t poh)
{
    int rc;

    if (!simt_cont_open(c->t, poh, "files", &c->coh))
        return false;
    rc = dfs_mount(poh, c->coh, O_RDWR, &c->dfs);
    if (rc != 0)
        simt_fail(c->t, "%s: mount: errno %d", c->w->proc->name, rc);
    return rc == 0;
}

static void
ctx_close(struct ctx *c)
{
    int rc = dfs_umount(c->dfs);

    if (rc == 0)
        rc = daos_cont_close(c->coh, NULL);
    if (rc != 0)
        simt_fail(c->t, "%s: unmount: %d", c->w->proc->name, rc);
}

static void
one_request(struct ctx *c)
{
    uint32_t name = (uint32_t)simt_pick(c->w, NAMES_NR);
    uint64_t roll = simt_pick(c->w, 100);

    if (roll < 30) {
        do_create(c, name);
    } else if (roll < 50) {
        do_remove(c, name);
    } else if (roll < 75) {
        do_look(c, name, false);
    } else if (roll < 82) {
        do_list(c);
    } else {
        do_own(c);
    }
}

static void
worker(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct ctx c = {.w = w, .t = w->proc->t, .work = state};

    simt_doing(w, "mount");
    if (!ctx_open(&c, poh))
        return;
    while (w->ops_left > 0) {
        simt_think(w);
        w->ops_left--;
        one_request(&c);
    }
    simt_doing(w, "unmount");
    ctx_close(&c);
}

static void
final(struct simt_worker *w, void *state, daos_handle_t poh)
{
    struct ctx c = {.w = w, .t = w->proc->t, .work = state};

    if (!ctx_open(&c, poh))
        return;
    for (uint32_t i = 0; i < NAMES_NR; i++) {
        do_look(&c, i, true);
    }
    do_list(&c);
    for (uint32_t p = 0; p < SIMT_CLIENTS; p++) {
        for (uint32_t k = 0; k < SIMT_WORKERS_MAX; k++) {
            if (c.work->owns[p][k].is_made && own_look(&c, p, k) == 0)
                simt_fail(c.t, "own file of %u.%u is lost", p, k);
        }
    }
    ctx_close(&c);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static void *
create(struct simt *t)
{
    struct work *work = simt_alloc(sizeof(*work));

    work->t = t;
    for (uint32_t i = 0; i < NAMES_NR; i++) {
        list_init(&work->names[i]);
    }
    return work;
}

static void
setup(struct simt *t, void *state, daos_handle_t poh)
{
    daos_handle_t coh;
    dfs_t *dfs;
    int rc = dfs_cont_create_with_label(poh, "files", NULL, NULL, &coh, &dfs);

    (void)state;
    if (rc == 0)
        rc = dfs_umount(dfs);
    if (rc == 0)
        rc = daos_cont_close(coh, NULL);
    if (rc != 0)
        simt_fail(t, "create of the file system: %d", rc);
}

static void
check(struct simt *t, void *state)
{
    struct work *work = state;
    const struct simt_lin_model model = {
        .state_bytes = sizeof(struct state), .step = model_step, .arg = work};
    char what[64];

    for (uint32_t i = 0; i < NAMES_NR; i++) {
        snprintf(what, sizeof(what), "name %s", name_of(i));
        simt_history_check(t, what, &model, &work->names[i], oper_print, state_print);
    }
}

static void
destroy(void *state)
{
    struct work *work = state;
    struct simt_op *op, *next;

    for (uint32_t i = 0; i < NAMES_NR; i++) {
        LIST_FOREACH_SAFE(op, next, &work->names[i], struct simt_op, link) {
            simt_op_drop(op);
        }
    }
    free(work->files);
    free(work);
}

const struct simt_work simt_work_dfs = {.name = "dfs",
    .create = create,
    .setup = setup,
    .worker = worker,
    .final = final,
    .check = check,
    .destroy = destroy};
