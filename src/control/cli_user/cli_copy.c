/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * See cli_copy.h. Threads: the caller lists directories from a list (`todo`) and puts names into a ring; workers take names, and put the directories among them back on the list.
 * One mutex guards both; counters are atomic; the first error stops all. The list holds names, not open directories; the walk is over when list and ring are empty and
 * nobody works.
 */
#include "control/cli_user/cli_copy.h"

#include "control/cli_user/cli_copy_side.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A directory and its copy. Referred to by the list, by each task in it and by each directory in it; whoever drops the last reference finishes it (CPY-3). */
struct pair {
    struct pair *up; /* holds a reference; NULL: the top */
    struct pair *next; /* on the list */
    struct side_dir *src, *dst; /* open from the time it is listed (CPY-5) */
    _Atomic uint32_t ref_nr;
    struct stat st; /* of the source */
    bool was_there; /* the top, when the destination existed: it may be somebody else's */
    bool wants_attrs;
    bool is_open; /* counted in open_nr */
    char *name;
    char *path; /* for messages */
};

struct task {
    struct pair *pair;
    char *name;
    const char *dst_name; /* the same but for a file copied by itself */
};

struct copy {
    const struct copy_opts *opts;
    pthread_mutex_t mutex;
    pthread_cond_t more,
        room; /* for workers: a task or the end; for the lister: room, a directory, or nobody works */
    struct task ring[COPY_QUEUE_NR_MAX];
    uint32_t head, nr;
    struct pair *todo; /* last found first */
    uint32_t busy_nr; /* tasks being worked on */
    uint32_t open_nr; /* pairs that hold directories open */
    bool is_walked;
    bool with_owner; /* we may give things away */
    void *inodes; /* tsearch() tree of the files with several names that were seen; by inodes_mutex */
    uint32_t inode_nr;
    pthread_mutex_t inodes_mutex;
    _Atomic uint64_t files_nr, dirs_nr, links_nr, skipped_nr, bytes;
    _Atomic uint64_t hard_links_nr, left_nr;
    _Atomic uint64_t files_nr_total,
        bytes_total; /* of a source on the host before the start, else found so far */
    bool is_counted; /* they are known from the start */
    _Atomic int rc;
    _Atomic bool is_done;
    double start_s;
    char *err;
    size_t err_bytes;
};

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The first failure is the one that is told. */
static void
fail(struct copy *copy, int rc, const char *what, const char *path, const char *name)
{
    int none = 0;

    if (atomic_compare_exchange_strong(&copy->rc, &none, rc)) {
        (void)snprintf(copy->err, copy->err_bytes, "cannot %s %s%s%s: %s", what, path,
            name[0] != '\0' && strcmp(path, "/") != 0 ? "/" : "", name, strerror(rc));
    }
}

static bool
has_failed(struct copy *copy)
{
    return atomic_load(&copy->rc) != 0;
}

/* ---- pairs of directories ------------------------------------------------------------------------------------------------ */

static void
pair_free(struct pair *pair)
{
    side_dir_close(pair->src);
    side_dir_close(pair->dst);
    free(pair->name);
    free(pair->path);
    free(pair);
}

/* CPY-3. */
static void
pair_finish(struct copy *copy, struct pair *pair)
{
    bool is_left = false;
    int rc = side_dir_xattrs_copy(pair->src, pair->dst, &is_left);

    if (rc == 0)
        rc = side_dir_attr_set(pair->dst, &pair->st, copy->with_owner, &is_left);
    if (pair->was_there && (rc == EPERM || rc == EROFS)) {
        rc = 0;
        is_left = true;
    }
    atomic_fetch_add(&copy->left_nr, is_left);
    if (rc != 0)
        fail(copy, rc, "set mode and time of the copy of", pair->path, "");
}

/* One reference less; of several levels when the last of one goes. */
static void
pair_put(struct copy *copy, struct pair *pair)
{
    while (pair != NULL && atomic_fetch_sub(&pair->ref_nr, 1) == 1) {
        struct pair *up = pair->up;

        if (pair->wants_attrs && pair->dst != NULL && !has_failed(copy))
            pair_finish(copy, pair);
        if (pair->is_open) {
            (void)pthread_mutex_lock(&copy->mutex);
            copy->open_nr--;
            (void)pthread_cond_signal(&copy->room);
            (void)pthread_mutex_unlock(&copy->mutex);
        }
        pair_free(pair);
        pair = up;
    }
}

/* With one reference. NULL: no memory. */
static struct pair *
pair_new(struct pair *up, const char *path, const char *name, const struct stat *st)
{
    struct pair *pair = calloc(1, sizeof(*pair));

    if (pair == NULL)
        return NULL;
    pair->name = strdup(name);
    if (up == NULL) {
        pair->path = strdup(path);
    } else if (asprintf(&pair->path, "%s/%s", strcmp(up->path, "/") != 0 ? up->path : "", name) < 0) {
        pair->path = NULL;
    }
    if (pair->name == NULL || pair->path == NULL) {
        pair_free(pair);
        return NULL;
    }
    pair->st = *st;
    pair->wants_attrs = true;
    atomic_init(&pair->ref_nr, 1);
    if (up != NULL) {
        atomic_fetch_add(&up->ref_nr, 1);
        pair->up = up;
    }
    return pair;
}

/* ---- workers ------------------------------------------------------------------------------------------------------------- */

static bool
is_zero(const char *buf, size_t len)
{
    return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

/* All bytes; `*ret_what` names the step that failed. */
static int
bytes_copy(struct copy *copy, struct side_node *src, struct side_file *dst, char *buf,
    const char **ret_what)
{
    bool ends_in_hole = false;
    uint64_t off = 0;
    int rc = 0;

    while (!has_failed(copy)) {
        size_t len;

        *ret_what = "read";
        rc = side_node_read(src, off, buf, COPY_BUF_BYTES, &len);
        if (rc != 0 || len == 0)
            break;
        *ret_what = "write the copy of";
        ends_in_hole = len == COPY_BUF_BYTES && is_zero(buf, len);
        if (!ends_in_hole)
            rc = side_file_write(dst, off, buf, len);
        if (rc != 0)
            break;
        off += len;
        atomic_fetch_add(&copy->bytes, len);
        if (len < COPY_BUF_BYTES)
            break;
    }
    if (rc == 0 && ends_in_hole) {
        *ret_what = "write the copy of";
        rc = side_file_size_set(dst, off);
    }
    return rc;
}

static int
file_copy(struct copy *copy, const struct task *task, struct side_node *src, char *buf,
    const char **ret_what)
{
    struct side_file *dst = NULL;
    bool is_left = false;
    int rc, rc2;

    *ret_what = "open";
    rc = side_node_file_open(task->pair->src, task->name, src);
    if (rc != 0)
        return rc;
    *ret_what = "make the copy of";
    rc = side_file_make(task->pair->dst, task->dst_name, &dst);
    if (rc != 0)
        return rc;
    rc = bytes_copy(copy, src, dst, buf, ret_what);
    if (rc == 0 && !has_failed(copy)) {
        *ret_what = "set extended attributes of the copy of";
        rc = side_file_xattrs_copy(src, dst, &is_left);
    }
    if (rc == 0 && !has_failed(copy)) {
        *ret_what = "set mode and time of the copy of";
        rc = side_file_attr_set(dst, &src->st, copy->with_owner, &is_left);
    }
    atomic_fetch_add(&copy->left_nr, is_left);
    rc2 = side_file_close(dst);
    return rc != 0 ? rc : rc2;
}

static int
link_copy(struct copy *copy, const struct task *task, struct side_node *src, const char **ret_what)
{
    char value[PATH_MAX];
    bool is_left = false;
    int rc;

    *ret_what = "read the link";
    rc = side_node_link_read(task->pair->src, task->name, src, value, sizeof(value));
    if (rc != 0)
        return rc;
    *ret_what = "make the copy of the link";
    rc = side_link_make(task->pair->dst, task->dst_name, value, &src->st, copy->with_owner, &is_left);
    atomic_fetch_add(&copy->left_nr, is_left);
    return rc;
}

static int
dir_copy(struct copy *copy, const struct task *task, const struct stat *st, const char **ret_what)
{
    struct pair *pair;
    int rc;

    *ret_what = "make the copy of";
    rc = side_dir_make(task->pair->dst, task->name);
    if (rc != 0 && rc != EEXIST)
        return rc;
    pair = pair_new(task->pair, NULL, task->name, st);
    if (pair == NULL)
        return ENOMEM;
    (void)pthread_mutex_lock(&copy->mutex);
    pair->next = copy->todo;
    copy->todo = pair;
    (void)pthread_cond_signal(&copy->room);
    (void)pthread_mutex_unlock(&copy->mutex);
    return 0;
}

struct inode {
    dev_t dev;
    ino_t ino;
};

static int
inode_cmp(const void *a, const void *b)
{
    const struct inode *x = a, *y = b;

    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Is this another name of a file that was copied under one already? Beyond COPY_INODES_NR_MAX such files, more are not recognized. */
static bool
is_seen_again(struct copy *copy, const struct stat *st)
{
    struct inode *inode, **found;
    bool is_again = false;

    if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
        return false;
    inode = malloc(sizeof(*inode));
    if (inode == NULL)
        return false;
    *inode = (struct inode){st->st_dev, st->st_ino};
    (void)pthread_mutex_lock(&copy->inodes_mutex);
    if (copy->inode_nr >= COPY_INODES_NR_MAX) {
        is_again = tfind(inode, &copy->inodes, inode_cmp) != NULL;
    } else {
        found = tsearch(inode, &copy->inodes, inode_cmp);
        is_again = found != NULL && *found != inode;
        if (found != NULL && !is_again) {
            copy->inode_nr++;
            inode = NULL;
        }
    }
    (void)pthread_mutex_unlock(&copy->inodes_mutex);
    free(inode);
    return is_again;
}

static void
task_run(struct copy *copy, const struct task *task, char *buf)
{
    const char *what = "look at";
    struct side_node src;
    int rc = side_node_open(task->pair->src, task->name, &src);

    if (rc == ENOENT) {
        rc = 0; /* removed while we copy */
    } else if (rc != 0) {
        fail(copy, rc, what, task->pair->path, task->name);
    } else if (S_ISDIR(src.st.st_mode)) {
        rc = dir_copy(copy, task, &src.st, &what);
        atomic_fetch_add(&copy->dirs_nr, rc == 0);
    } else if (S_ISREG(src.st.st_mode) || S_ISLNK(src.st.st_mode)) {
        if (!copy->is_counted) {
            atomic_fetch_add(&copy->files_nr_total, 1);
            atomic_fetch_add(
                &copy->bytes_total, S_ISREG(src.st.st_mode) ? (uint64_t)src.st.st_size : 0);
        }
        rc = S_ISREG(src.st.st_mode) ? file_copy(copy, task, &src, buf, &what)
                                     : link_copy(copy, task, &src, &what);
        if (rc == 0) {
            atomic_fetch_add(S_ISREG(src.st.st_mode) ? &copy->files_nr : &copy->links_nr, 1);
            atomic_fetch_add(&copy->hard_links_nr, is_seen_again(copy, &src.st));
        }
    } else {
        atomic_fetch_add(&copy->skipped_nr, 1);
        (void)fprintf(stderr, "left out: %s/%s is neither file, directory nor link\n",
            task->pair->path, task->name);
    }
    if (rc != 0)
        fail(copy, rc, what, task->pair->path, task->name);
    side_node_close(&src);
}

/* Wait for a task. False: there will be none. */
static bool
task_take(struct copy *copy, struct task *ret_task)
{
    bool has_task;

    (void)pthread_mutex_lock(&copy->mutex);
    while (copy->nr == 0 && !copy->is_walked) {
        (void)pthread_cond_wait(&copy->more, &copy->mutex);
    }
    has_task = copy->nr > 0;
    if (has_task) {
        *ret_task = copy->ring[copy->head];
        copy->head = (copy->head + 1) % COPY_QUEUE_NR_MAX;
        copy->nr--;
        copy->busy_nr++;
        (void)pthread_cond_signal(&copy->room);
    }
    (void)pthread_mutex_unlock(&copy->mutex);
    return has_task;
}

static void
task_end(struct copy *copy, struct task *task)
{
    pair_put(copy, task->pair);
    free(task->name);
    (void)pthread_mutex_lock(&copy->mutex);
    copy->busy_nr--;
    (void)pthread_cond_signal(&copy->room);
    (void)pthread_mutex_unlock(&copy->mutex);
}

static void *
worker(void *arg)
{
    struct copy *copy = arg;
    char *buf = malloc(COPY_BUF_BYTES);
    struct task task;

    while (task_take(copy, &task)) {
        if (buf == NULL)
            fail(copy, ENOMEM, "copy", task.pair->path, task.name);
        if (!has_failed(copy)) /* after a failure the ring is only emptied */
            task_run(copy, &task, buf);
        task_end(copy, &task);
    }
    free(buf);
    return NULL;
}

/* ---- the lister ---------------------------------------------------------------------------------------------------------- */

struct listing {
    struct copy *copy;
    struct pair *pair;
};

/* One name into the ring. */
static int
name_give(void *arg, const char *name)
{
    struct listing *listing = arg;
    struct copy *copy = listing->copy;
    struct task task = {.pair = listing->pair, .name = strdup(name)};

    if (task.name == NULL)
        return ENOMEM;
    task.dst_name = task.name;
    atomic_fetch_add(&task.pair->ref_nr, 1);
    (void)pthread_mutex_lock(&copy->mutex);
    while (copy->nr == COPY_QUEUE_NR_MAX) {
        (void)pthread_cond_wait(&copy->room, &copy->mutex);
    }
    copy->ring[(copy->head + copy->nr) % COPY_QUEUE_NR_MAX] = task;
    copy->nr++;
    (void)pthread_cond_signal(&copy->more);
    (void)pthread_mutex_unlock(&copy->mutex);
    return atomic_load(&copy->rc);
}

/*
 * The next directory to list; waits while one may come, and while too many are open. When nobody works, those that are open wait for directories in them: then one more is opened,
 * the deepest (CPY-5). NULL: the end.
 */
static struct pair *
todo_take(struct copy *copy)
{
    struct pair *pair;

    (void)pthread_mutex_lock(&copy->mutex);
    while ((copy->todo == NULL || copy->open_nr >= COPY_DIRS_OPEN_MAX) &&
        (copy->nr > 0 || copy->busy_nr > 0)) {
        (void)pthread_cond_wait(&copy->room, &copy->mutex);
    }
    pair = copy->todo;
    if (pair != NULL) {
        copy->todo = pair->next;
        pair->is_open = true;
        copy->open_nr++;
    }
    (void)pthread_mutex_unlock(&copy->mutex);
    return pair;
}

static void
pair_list(struct copy *copy, struct pair *pair)
{
    struct listing listing = {.copy = copy, .pair = pair};
    int rc = 0;

    if (pair->src == NULL)
        rc = side_dir_open_at(pair->up->src, pair->name, &pair->src);
    if (rc != 0) {
        fail(copy, rc, "open", pair->path, "");
        return;
    }
    if (pair->dst == NULL)
        rc = side_dir_open_at(pair->up->dst, pair->name, &pair->dst);
    if (rc != 0) {
        fail(copy, rc, "open the copy of", pair->path, "");
        return;
    }
    rc = side_dir_list(pair->src, name_give, &listing);
    if (rc != 0)
        fail(copy, rc, "list", pair->path, "");
}

static void
walk(struct copy *copy)
{
    struct pair *pair;

    while ((pair = todo_take(copy)) != NULL) {
        if (!has_failed(copy))
            pair_list(copy, pair);
        pair_put(copy, pair);
    }
    (void)pthread_mutex_lock(&copy->mutex);
    copy->is_walked = true;
    (void)pthread_cond_broadcast(&copy->more);
    (void)pthread_mutex_unlock(&copy->mutex);
}

/* ---- what there is to do ------------------------------------------------------------------------------------------------- */

/* Count the source, where that is cheap. What cannot be read is found later. */
static void
host_count(struct copy *copy)
{
    char *paths[] = {(char *)(uintptr_t)copy->opts->src.path, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    uint64_t files = 0, bytes = 0;
    FTSENT *entry;

    while (fts != NULL && (entry = fts_read(fts)) != NULL) {
        if (entry->fts_info == FTS_F)
            bytes += (uint64_t)entry->fts_statp->st_size;
        files +=
            entry->fts_info == FTS_F || entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE;
    }
    if (fts != NULL)
        (void)fts_close(fts);
    atomic_store(&copy->files_nr_total, files);
    atomic_store(&copy->bytes_total, bytes);
    copy->is_counted = true;
}

/* A path as directory and last component. */
struct split {
    char dir[PATH_MAX], base[NAME_MAX + 1];
};

static int
path_split(const char *path, struct split *ret_split)
{
    size_t len = strlen(path), base;

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    for (base = len; base > 0 && path[base - 1] != '/';) {
        base--;
    }
    if (len - base == 0)
        return EINVAL; /* the root has none */
    if (len - base > NAME_MAX || base >= PATH_MAX)
        return ENAMETOOLONG;
    memcpy(ret_split->base, path + base, len - base);
    ret_split->base[len - base] = '\0';
    while (base > 1 && path[base - 1] == '/') {
        base--;
    }
    memcpy(ret_split->dir, path, base);
    ret_split->dir[base] = '\0';
    return 0;
}

/* Open the destination directory, made when it is not there. */
static int
dst_open(struct copy *copy, const struct copy_side *dst, struct pair *pair)
{
    struct split *split = malloc(sizeof(*split));
    struct side_dir *up = NULL;
    int rc = side_dir_open(dst, dst->path, &pair->dst);

    pair->was_there = rc == 0;
    if (split == NULL)
        rc = ENOMEM;
    if (rc == ENOENT) {
        rc = path_split(dst->path, split);
        if (rc == 0)
            rc = side_dir_open(dst, split->dir, &up);
        if (rc == 0)
            rc = side_dir_make(up, split->base);
        if (rc == 0)
            rc = side_dir_open_at(up, split->base, &pair->dst);
        if (rc == 0)
            atomic_fetch_add(&copy->dirs_nr, 1);
        side_dir_close(up);
    }
    if (rc != 0)
        fail(copy, rc, "make", dst->path, "");
    free(split);
    return rc;
}

/* A tree: its top goes on the list. */
static int
tree_begin(struct copy *copy, const struct stat *st)
{
    const struct copy_side *src = &copy->opts->src;
    struct pair *pair = pair_new(NULL, src->path, "", st);
    int rc = pair == NULL ? ENOMEM : side_dir_open(src, src->path, &pair->src);

    if (rc != 0) {
        fail(copy, rc, "open", src->path, "");
    } else {
        rc = dst_open(copy, &copy->opts->dst, pair);
    }
    if (rc == 0) {
        copy->todo = pair;
    } else if (pair != NULL) {
        pair_free(pair);
    }
    return rc;
}

/* One file or link, as a task of the calling thread. */
struct single {
    struct split src, dst;
    char buf[COPY_BUF_BYTES];
};

static int
single_copy(struct copy *copy, const struct stat *st)
{
    const struct copy_side *src = &copy->opts->src, *dst = &copy->opts->dst;
    struct single *single = malloc(sizeof(*single));
    struct task task;
    int rc = single == NULL ? ENOMEM : path_split(src->path, &single->src);

    if (rc != 0) {
        fail(copy, rc, "copy", src->path, "");
        free(single);
        return rc;
    }
    task = (struct task){.name = single->src.base, .dst_name = single->src.base};
    task.pair = pair_new(NULL, single->src.dir, "", st);
    rc = task.pair == NULL ? ENOMEM : side_dir_open(src, single->src.dir, &task.pair->src);
    if (rc != 0) {
        fail(copy, rc, "open", single->src.dir, "");
        goto out;
    }
    task.pair->wants_attrs = false;
    rc = side_dir_open(dst, dst->path, &task.pair->dst); /* into a directory, under its own name */
    if (rc == ENOENT || rc == ENOTDIR) {
        rc = path_split(dst->path, &single->dst);
        if (rc == 0)
            rc = side_dir_open(dst, single->dst.dir, &task.pair->dst);
        task.dst_name = single->dst.base;
    }
    if (rc != 0) {
        fail(copy, rc, "open the place of", dst->path, "");
    } else {
        task_run(copy, &task, single->buf);
        rc = atomic_load(&copy->rc);
    }
out:
    if (task.pair != NULL)
        pair_free(task.pair);
    free(single);
    return rc;
}

/* What is the source? A link to a directory stands for the directory; one to a file, in a container, for itself. */
static int
source_look(struct copy *copy, struct stat *ret_stat)
{
    const struct copy_side *src = &copy->opts->src;
    int rc;

    if (src->dfs != NULL) {
        rc = dfs_lookup(src->dfs, src->path, O_RDONLY, NULL, NULL, ret_stat);
    } else {
        rc = stat(src->path, ret_stat) == 0 ? 0 : errno;
    }
    if (rc != 0)
        fail(copy, rc, "look at", src->path, "");
    return rc;
}

/* ---- progress ------------------------------------------------------------------------------------------------------------- */

static void
progress_print(struct copy *copy, bool is_last)
{
    uint64_t bytes = atomic_load(&copy->bytes), bytes_total = atomic_load(&copy->bytes_total);
    uint64_t files = atomic_load(&copy->files_nr) + atomic_load(&copy->links_nr);
    uint64_t files_total = atomic_load(&copy->files_nr_total);
    uint64_t retried = copy->opts->retried_nr != NULL ? copy->opts->retried_nr() : 0;
    double seconds = now_s() - copy->start_s, rate = seconds > 0 ? (double)files / seconds : 0;
    uint32_t pct =
        bytes_total > 0 && bytes < bytes_total ? (uint32_t)(bytes * 100 / bytes_total) : 100;
    char bar[31];

    if (copy->opts->progress == COPY_PROGRESS_LINES) {
        (void)fprintf(copy->opts->progress_to,
            "progress files=%llu files_total=%llu bytes=%llu bytes_total=%llu retried=%llu\n",
            (unsigned long long)files, (unsigned long long)files_total, (unsigned long long)bytes,
            (unsigned long long)bytes_total, (unsigned long long)retried);
        (void)fflush(copy->opts->progress_to);
        return;
    }
    memset(bar, '.', sizeof(bar) - 1);
    memset(bar, '#', pct * (sizeof(bar) - 1) / 100);
    bar[sizeof(bar) - 1] = '\0';
    (void)fprintf(copy->opts->progress_to,
        "\r[%s] %3u%%  %llu of %llu files%s  %.1f MB/s  %.0f files/s   %s", bar, pct,
        (unsigned long long)files, (unsigned long long)files_total,
        copy->is_counted || is_last ? "" : " found so far",
        seconds > 0 ? (double)bytes / seconds / 1e6 : 0, rate, is_last ? "\n" : "");
    (void)fflush(copy->opts->progress_to);
}

static void *
progress_thread(void *arg)
{
    struct copy *copy = arg;
    struct timespec pause = {
        .tv_nsec = copy->opts->progress == COPY_PROGRESS_LINES ? 20000000 : 100000000};

    while (!atomic_load(&copy->is_done)) {
        progress_print(copy, false);
        (void)nanosleep(&pause, NULL);
    }
    progress_print(copy, true);
    return NULL;
}

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

static void
tree_copy(struct copy *copy, const struct stat *st)
{
    pthread_t workers[COPY_WORKERS_NR_MAX];
    uint32_t nr = 0, wanted = copy->opts->workers_nr;

    if (wanted == 0)
        wanted = COPY_WORKERS_NR_DEFAULT;
    if (wanted > COPY_WORKERS_NR_MAX)
        wanted = COPY_WORKERS_NR_MAX;
    if (tree_begin(copy, st) != 0)
        return;
    while (nr < wanted && pthread_create(&workers[nr], NULL, worker, copy) == 0) {
        nr++;
    }
    if (nr == 0)
        fail(copy, EAGAIN, "start a thread for", copy->opts->src.path, "");
    walk(copy); /* without workers it only ends what was begun */
    for (uint32_t i = 0; i < nr; i++) {
        (void)pthread_join(workers[i], NULL);
    }
}

int
copy_run(const struct copy_opts *opts, struct copy_stats *ret_stats, char *err, size_t err_bytes)
{
    struct copy *copy = calloc(1, sizeof(*copy));
    bool has_progress = false;
    pthread_t progress;
    struct stat st;
    int rc;

    if (copy == NULL)
        return ENOMEM;
    copy->opts = opts;
    copy->err = err;
    copy->err_bytes = err_bytes;
    copy->with_owner = geteuid() == 0;
    err[0] = '\0';
    (void)pthread_mutex_init(&copy->mutex, NULL);
    (void)pthread_mutex_init(&copy->inodes_mutex, NULL);
    (void)pthread_cond_init(&copy->more, NULL);
    (void)pthread_cond_init(&copy->room, NULL);
    rc = source_look(copy, &st);
    if (rc == 0 && opts->src.dfs == NULL)
        host_count(copy);
    copy->start_s = now_s();
    if (rc == 0 && opts->progress != COPY_PROGRESS_NONE)
        has_progress = pthread_create(&progress, NULL, progress_thread, copy) == 0;
    if (rc == 0 && S_ISDIR(st.st_mode)) {
        tree_copy(copy, &st);
    } else if (rc == 0) {
        rc = single_copy(copy, &st);
    }
    atomic_store(&copy->is_done, true);
    if (has_progress)
        (void)pthread_join(progress, NULL);
    if (atomic_load(&copy->rc) != 0)
        rc = atomic_load(&copy->rc);
    *ret_stats = (struct copy_stats){
        .files_nr = atomic_load(&copy->files_nr),
        .dirs_nr = atomic_load(&copy->dirs_nr),
        .links_nr = atomic_load(&copy->links_nr),
        .skipped_nr = atomic_load(&copy->skipped_nr),
        .hard_links_nr = atomic_load(&copy->hard_links_nr),
        .left_nr = atomic_load(&copy->left_nr),
        .bytes = atomic_load(&copy->bytes),
        .seconds = now_s() - copy->start_s,
    };
    tdestroy(copy->inodes, free);
    (void)pthread_mutex_destroy(&copy->inodes_mutex);
    (void)pthread_cond_destroy(&copy->room);
    (void)pthread_cond_destroy(&copy->more);
    (void)pthread_mutex_destroy(&copy->mutex);
    free(copy);
    return rc;
}
