/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * path_client: one kind of request over and over, for looking at the whole path with other tools (bench_path.py). Prints per request: microseconds, their spread,
 * processor time of this process and of the engine, and their context switches.
 *
 * usage: CAIRN_BENCH_SYS=name [CAIRN_BENCH_ENGINE=pid] path_client update|fetch BYTES DEPTH NR
 *        CAIRN_BENCH_SYS=name path_client left BYTES NR
 * The pool is `tank`. Values have ten akeys to a dkey; those that are fetched are written first, which is not counted; neither is a first pass of values of WARM_BYTES
 * and more, whose space is used again. A depth of 1 makes blocking calls. `left` posts
 * NR updates and makes no call until all of them have completed: their callbacks tell when. Not within LEFT_S: exit status 1.
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <daos.h>

enum {
    AKEYS_NR = 10,
    DEPTH_MAX = 64,
    BYTES_MAX = 1 << 20,
    NR_MAX = 10000000,
    LEFT_S = 30,
    WARM_BYTES = 65536
};

struct slot {
    daos_event_t ev; /* first: the queue gives it back */
    char dkey[32], akey[32];
    daos_key_t dk;
    daos_iod_t iod;
    d_iov_t iov;
    d_sg_list_t sgl;
    char *value;
};

struct run {
    daos_handle_t poh, coh, oh, eq;
    struct slot slots[DEPTH_MAX];
    uint32_t depth;
    size_t len;
    char label[32];
    uint64_t *took_ns; /* of each request, in blocking calls */
};

/* What a process has used so far. */
struct used {
    uint64_t wall_ns, cpu_ns, switches, faults;
};

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "path_client: %s: %d\n", what, rc);
    exit(1);
}

static uint64_t
now_ns(clockid_t clock)
{
    struct timespec ts;

    must(clock_gettime(clock, &ts), "clock");
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct used
used_own(void)
{
    struct rusage usage;

    must(getrusage(RUSAGE_SELF, &usage), "getrusage");
    return (struct used){.wall_ns = now_ns(CLOCK_MONOTONIC),
        .cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID),
        .switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw),
        .faults = (uint64_t)(usage.ru_minflt + usage.ru_majflt)};
}

/* Both kinds of context switches of one thread. */
static uint64_t
thread_switches(const char *engine, const char *tid)
{
    char path[600], line[128];
    uint64_t sum = 0, nr;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%s/task/%s/status", engine, tid);
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        const char *field = strstr(line, "ctxt_switches:");

        if (field != NULL && sscanf(field, "ctxt_switches: %lu", &nr) == 1)
            sum += nr;
    }
    if (f != NULL)
        fclose(f);
    return sum;
}

static struct used
used_engine(const char *engine)
{
    struct used used = {.wall_ns = now_ns(CLOCK_MONOTONIC)};
    char path[64];
    clockid_t clock;
    struct dirent *ent;
    DIR *dir;

    if (engine == NULL)
        return used;
    must(clock_getcpuclockid((pid_t)atoi(engine), &clock), "engine");
    used.cpu_ns = now_ns(clock);
    snprintf(path, sizeof(path), "/proc/%.20s/task", engine);
    dir = opendir(path);
    while (dir != NULL && (ent = readdir(dir)) != NULL) {
        if (ent->d_name[0] != '.')
            used.switches += thread_switches(engine, ent->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    return used;
}

/* One request: by event in the depths beyond 1. */
static void
issue(struct run *run, struct slot *s, uint64_t i, int is_update)
{
    daos_event_t *ev = run->depth == 1 ? NULL : &s->ev;

    snprintf(s->dkey, sizeof(s->dkey), "dkey.%010lu", (unsigned long)(i / AKEYS_NR));
    snprintf(s->akey, sizeof(s->akey), "akey.%lu", (unsigned long)(i % AKEYS_NR));
    d_iov_set(&s->dk, s->dkey, strlen(s->dkey));
    s->iod = (daos_iod_t){.iod_type = DAOS_IOD_SINGLE, .iod_size = run->len, .iod_nr = 1};
    d_iov_set(&s->iod.iod_name, s->akey, strlen(s->akey));
    d_iov_set(&s->iov, s->value, run->len);
    s->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &s->iov};
    if (is_update) {
        must(daos_obj_update(run->oh, DAOS_TX_NONE, 0, &s->dk, 1, &s->iod, &s->sgl, ev), "update");
    } else {
        must(daos_obj_fetch(run->oh, DAOS_TX_NONE, 0, &s->dk, 1, &s->iod, &s->sgl, NULL, ev),
            "fetch");
    }
}

void values(struct run *run, uint64_t nr, int is_update);

/* Not static, so that tools can name it: a profile of the client counts what is below it. */
__attribute__((noinline)) void
values(struct run *run, uint64_t nr, int is_update)
{
    uint64_t issued_nr = 0, done_nr = 0;
    daos_event_t *done[DEPTH_MAX];

    for (uint64_t i = 0; run->depth == 1 && i < nr; i++) {
        uint64_t start_ns = now_ns(CLOCK_MONOTONIC);

        issue(run, &run->slots[0], i, is_update);
        run->took_ns[i] = now_ns(CLOCK_MONOTONIC) - start_ns;
    }
    if (run->depth == 1)
        return;
    while (issued_nr < run->depth && issued_nr < nr) {
        issue(run, &run->slots[issued_nr], issued_nr, is_update);
        issued_nr++;
    }
    while (done_nr < nr) {
        int n = daos_eq_poll(run->eq, 1, DAOS_EQ_WAIT, run->depth, done);

        must(n > 0 ? 0 : n - 1, "poll");
        for (int i = 0; i < n; i++) {
            must(done[i]->ev_error, "request");
            done_nr++;
            if (issued_nr < nr)
                issue(run, (struct slot *)done[i], issued_nr++, is_update);
        }
    }
}

struct left {
    _Atomic uint32_t done_nr;
    _Atomic uint64_t last_ns;
    _Atomic int rc;
};

static int
left_done(void *arg, daos_event_t *ev, int rc)
{
    struct left *left = arg;

    (void)ev;
    if (rc != 0)
        left->rc = rc;
    left->last_ns = now_ns(CLOCK_MONOTONIC);
    left->done_nr++;
    return rc;
}

static void
left_behind(struct run *run)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct left left = {.done_nr = 0};
    daos_event_t *done[DEPTH_MAX];
    uint64_t start_ns = now_ns(CLOCK_MONOTONIC), posted_ns;

    for (uint32_t i = 0; i < run->depth; i++) {
        must(daos_event_register_comp_cb(&run->slots[i].ev, left_done, &left), "callback");
        issue(run, &run->slots[i], i, 1);
    }
    posted_ns = now_ns(CLOCK_MONOTONIC);
    while (left.done_nr < run->depth && now_ns(CLOCK_MONOTONIC) - posted_ns < LEFT_S * 1000000000ULL) {
        nanosleep(&pause, NULL); /* no call of the library */
    }
    printf("%u of %u updates of %zu bytes: posted in %.1f ms, done %.1f ms after the last call\n",
        left.done_nr, run->depth, run->len, (double)(posted_ns - start_ns) / 1e6,
        left.last_ns < posted_ns ? 0 : (double)(left.last_ns - posted_ns) / 1e6);
    must(left.rc != 0 || left.done_nr != run->depth, "left behind");
    for (uint32_t nr = 0; nr < run->depth;) {
        int n = daos_eq_poll(run->eq, 1, DAOS_EQ_WAIT, DEPTH_MAX, done);

        must(n > 0 ? 0 : n - 1, "poll");
        nr += (uint32_t)n;
    }
}

static int
u64_cmp(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void
report(const struct run *run, uint64_t nr, struct used own[2], struct used engine[2])
{
    double n = (double)nr;

    printf("wall %.2f us, client cpu %.2f us, engine cpu %.2f us, switches: client %.3f engine "
           "%.3f, faults %.3f\n",
        (double)(own[1].wall_ns - own[0].wall_ns) / 1e3 / n,
        (double)(own[1].cpu_ns - own[0].cpu_ns) / 1e3 / n,
        (double)(engine[1].cpu_ns - engine[0].cpu_ns) / 1e3 / n,
        (double)(own[1].switches - own[0].switches) / n,
        (double)(engine[1].switches - engine[0].switches) / n,
        (double)(own[1].faults - own[0].faults) / n);
    printf("    from %.6f to %.6f s\n", (double)own[0].wall_ns / 1e9, (double)own[1].wall_ns / 1e9);
    if (run->depth > 1)
        return;
    qsort(run->took_ns, nr, sizeof(*run->took_ns), u64_cmp);
    printf("    us: least %.1f, half %.1f, 90%% %.1f, 99%% %.1f, most %.1f\n",
        (double)run->took_ns[0] / 1e3, (double)run->took_ns[nr / 2] / 1e3,
        (double)run->took_ns[nr * 9 / 10] / 1e3, (double)run->took_ns[nr * 99 / 100] / 1e3,
        (double)run->took_ns[nr - 1] / 1e3);
}

/* A container with an object in it. */
static void
object_open(struct run *run)
{
    daos_obj_id_t oid = {.lo = now_ns(CLOCK_REALTIME)};

    snprintf(run->label, sizeof(run->label), "path.%lu", (unsigned long)oid.lo);
    must(daos_cont_create_with_label(run->poh, run->label, NULL, NULL, NULL), "create");
    must(daos_cont_open(run->poh, run->label, DAOS_COO_RW, &run->coh, NULL, NULL), "open");
    must(daos_obj_generate_oid(run->coh, &oid, 0, OC_S1, 0, 0), "oid");
    must(daos_obj_open(run->coh, oid, DAOS_OO_RW, &run->oh, NULL), "object");
}

static void
object_close(struct run *run)
{
    must(daos_obj_close(run->oh, NULL), "close");
    must(daos_cont_close(run->coh, NULL), "close");
}

static uint64_t
space_free(struct run *run)
{
    daos_pool_info_t info = {.pi_bits = DPI_SPACE};

    must(daos_pool_query(run->poh, NULL, &info, NULL, NULL), "query");
    return info.pi_space.ps_space.s_free[DAOS_MEDIA_NVME];
}

/* Write and read everything, and destroy it: what is written next lies on space that was touched before. */
static void
warm(struct run *run, uint64_t nr)
{
    uint64_t free_bytes = space_free(run);

    values(run, nr, 1);
    values(run, nr, 0); /* the kernel moves pages about when they are first read */
    object_close(run);
    must(daos_cont_destroy(run->poh, run->label, 1, NULL), "destroy");
    while (space_free(run) < free_bytes) {
    }
    object_open(run);
}

static void
run_open(struct run *run)
{
    must(daos_init(), "init");
    must(daos_pool_connect("tank", getenv("CAIRN_BENCH_SYS"), DAOS_PC_RW, &run->poh, NULL, NULL),
        "connect");
    must(daos_eq_create(&run->eq), "queue");
    object_open(run);
    for (uint32_t i = 0; i < run->depth; i++) {
        run->slots[i].value = malloc(run->len);
        must(run->slots[i].value == NULL, "memory");
        memset(run->slots[i].value, 'a' + (int)i % 26, run->len);
        if (run->depth > 1)
            must(daos_event_init(&run->slots[i].ev, run->eq, NULL), "event");
    }
}

static void
run_close(struct run *run)
{
    for (uint32_t i = 0; i < run->depth; i++) {
        if (run->depth > 1)
            must(daos_event_fini(&run->slots[i].ev), "event");
        free(run->slots[i].value);
    }
    object_close(run);
    must(daos_eq_destroy(run->eq, 0), "queue");
    must(daos_pool_disconnect(run->poh, NULL), "disconnect");
    must(daos_fini(), "fini");
}

/* The arguments; the number of requests. */
static uint64_t
run_init(struct run *run, int argc, char **argv)
{
    bool is_left = argc > 1 && strcmp(argv[1], "left") == 0;
    uint64_t nr;

    must(argc != (is_left ? 4 : 5),
        "usage: path_client update|fetch BYTES DEPTH NR, or left BYTES NR");
    run->len = strtoul(argv[2], NULL, 10);
    run->depth = (uint32_t)strtoul(argv[3], NULL, 10);
    nr = is_left ? 1 : strtoul(argv[4], NULL, 10);
    must(run->len == 0 || run->len > BYTES_MAX || run->depth == 0 || run->depth > DEPTH_MAX ||
            nr == 0 || nr > NR_MAX,
        "range of an argument");
    run->took_ns = calloc(nr, sizeof(*run->took_ns));
    must(run->took_ns == NULL, "memory");
    return nr;
}

int
main(int argc, char **argv)
{
    const char *engine_pid = getenv("CAIRN_BENCH_ENGINE");
    struct run *run = calloc(1, sizeof(*run));
    struct used own[2], engine[2];
    int is_update;
    uint64_t nr;

    must(run == NULL, "memory");
    nr = run_init(run, argc, argv);
    is_update = strcmp(argv[1], "update") == 0;
    run_open(run);
    if (strcmp(argv[1], "left") == 0) {
        left_behind(run);
        goto out;
    }
    if (run->len >= WARM_BYTES)
        warm(run, nr);
    if (!is_update)
        values(run, nr, 1);
    engine[0] = used_engine(engine_pid);
    own[0] = used_own();
    values(run, nr, is_update);
    own[1] = used_own();
    engine[1] = used_engine(engine_pid);
    report(run, nr, own, engine);
out:
    run_close(run);
    free(run->took_ns);
    free(run);
    return 0;
}
