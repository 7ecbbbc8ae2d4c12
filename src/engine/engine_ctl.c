/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Control requests: one packed Envelope in, one out (src/proto/ctl/ctl.proto). Every failure
 * becomes a code and one line with cause and remedy.
 * Memory of a request, protobuf's too, is one arena. Tested by test/engine_ctl_test.c and
 * test/server.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine_ctl.h"

enum { CTL_VERSION = 1, CTLS_NR_MAX = 256 };
/* A leader that is there again after less is not missed. */
#define LEADER_WAIT_NS UINT64_C(20000000000)

static void *
ctl_pb_alloc(void *arg, size_t size)
{
    return arena_alloc(arg, size);
}

static void
ctl_pb_free(void *arg, void *ptr)
{
    (void)arg;
    (void)ptr; /* with the arena */
}

int
engine_ctl_fail(struct engine_ctl *ctl, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(ctl->error, sizeof(ctl->error), fmt, ap);
    va_end(ap);
    return rc;
}

/* Pack the body of the reply. */
int
engine_ctl_reply(struct engine_ctl *ctl, const ProtobufCMessage *msg)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    void *buf = arena_alloc(ctl->arena, len);

    if (buf == NULL)
        return CAIRN_ERR(NOMEM);
    ctl->body = (struct iov){buf, protobuf_c_message_pack(msg, buf)};
    return 0;
}

ProtobufCMessage *
engine_ctl_body(struct engine_ctl *ctl, const ProtobufCMessageDescriptor *desc)
{
    return protobuf_c_message_unpack(desc, &ctl->alloc, ctl->req->body.len, ctl->req->body.data);
}

ProtobufCBinaryData
engine_ctl_bytes(struct engine_ctl *ctl, const struct uuid *id)
{
    ProtobufCBinaryData data = {sizeof(id->b), arena_dup(ctl->arena, id->b, sizeof(id->b))};

    if (data.data == NULL)
        data.len = 0;
    return data;
}

char *
engine_ctl_str(struct engine_ctl *ctl, struct iov text)
{
    char *str = arena_alloc(ctl->arena, text.len + 1);

    if (str == NULL)
        return (char *)(uintptr_t)protobuf_c_empty_string;
    if (text.len > 0)
        memcpy(str, text.buf, text.len);
    str[text.len] = '\0';
    return str;
}

/* ---- group and status ----------------------------------------------------------------------- */

static int
group_check(const Cairn__Ctl__GroupUpdateReq *in, const struct engine *engine, uint32_t *ret_uri_nr)
{
    uint32_t uri_nr = 0;

    if (in->system_uuid.len != sizeof(engine->system.b) ||
        memcmp(in->system_uuid.data, engine->system.b, sizeof(engine->system.b)) != 0)
        return CAIRN_ERR(MISMATCH);
    if (in->n_ranks > ENGINE_RANKS_NR_MAX)
        return CAIRN_ERR(OVERFLOW);
    for (size_t i = 0; i < in->n_ranks; i++) {
        if (in->ranks[i]->n_uris > ENGINE_TAGS_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        for (size_t u = 0; u < in->ranks[i]->n_uris; u++) {
            if (strlen(in->ranks[i]->uris[u]) >= NET_URI_MAX)
                return CAIRN_ERR(OVERFLOW);
        }
        uri_nr += (uint32_t)in->ranks[i]->n_uris;
    }
    *ret_uri_nr = uri_nr;
    return 0;
}

static uint32_t
rank_state_of(Cairn__Ctl__RankState state)
{
    switch (state) {
    case CAIRN__CTL__RANK_STATE__RANK_JOINED:
        return MGMT_RANK_JOINED;
    case CAIRN__CTL__RANK_STATE__RANK_STOPPED:
        return MGMT_RANK_STOPPED;
    default:
        return MGMT_RANK_UNRESPONSIVE;
    }
}

static Cairn__Ctl__RankState
rank_state_to(uint32_t state)
{
    switch (state) {
    case MGMT_RANK_JOINED:
        return CAIRN__CTL__RANK_STATE__RANK_JOINED;
    case MGMT_RANK_STOPPED:
        return CAIRN__CTL__RANK_STATE__RANK_STOPPED;
    default:
        return CAIRN__CTL__RANK_STATE__RANK_UNRESPONSIVE;
    }
}

static struct engine_group *
group_build(const Cairn__Ctl__GroupUpdateReq *in, uint32_t uri_nr)
{
    struct engine_group *g = engine_group_alloc((uint32_t)in->n_ranks, uri_nr);
    uint32_t next = 0;

    if (g == NULL)
        return NULL;
    g->version = in->version;
    for (uint32_t i = 0; i < g->nr; i++) {
        const Cairn__Ctl__Rank *src = in->ranks[i];

        g->ranks[i] = (struct engine_group_rank){.rank = src->rank,
            .state = rank_state_of(src->state),
            .tgt_nr = src->targets,
            .node = src->node,
            .incarnation = src->incarnation,
            .uri_first = next,
            .uri_nr = (uint32_t)src->n_uris};
        for (size_t u = 0; u < src->n_uris; u++) {
            (void)snprintf(g->uris[next++], NET_URI_MAX, "%s", src->uris[u]);
        }
    }
    return g;
}

static int
ctl_group_update(struct engine_ctl *ctl)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__GroupUpdateReq *in =
        (void *)engine_ctl_body(ctl, &cairn__ctl__group_update_req__descriptor);
    struct engine_group *group;
    uint32_t uri_nr;
    int rc;

    if (in == NULL)
        return CAIRN_ERR(PROTO);
    if (engine_state_load(engine) != ENGINE_READY) {
        return engine_ctl_fail(
            ctl, CAIRN_ERR(AGAIN), "the engine is not ready: send the group again");
    }
    rc = group_check(in, engine, &uri_nr);
    if (rc != 0) {
        return engine_ctl_fail(ctl, rc, "this group is not one of system '%s' that %s belongs to",
            engine->cfg.system, engine->cfg.dir);
    }
    group = group_build(in, uri_nr);
    rc = group == NULL ? CAIRN_ERR(NOMEM) : engine_group_set(engine, group);
    if (rc == 0 && engine->mgmt != NULL)
        mgmt_group_changed(engine->mgmt);
    return rc;
}

static int
status_targets(struct engine_ctl *ctl, Cairn__Ctl__EngineStatusRep *rep)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__TargetStatus *st;
    int rc;

    rep->targets = arena_calloc(ctl->arena, engine->cfg.tgt_nr, sizeof(*rep->targets));
    st = arena_calloc(ctl->arena, engine->cfg.tgt_nr, sizeof(*st));
    if (rep->targets == NULL || st == NULL)
        return CAIRN_ERR(NOMEM);
    rc = engine_each_tgt(engine, engine_xs_status);
    rep->n_targets = engine->cfg.tgt_nr;
    for (uint32_t i = 0; i < engine->cfg.tgt_nr; i++) {
        const struct engine_xs *xs = &engine->xs[1 + i];

        cairn__ctl__target_status__init(&st[i]);
        st[i].target = i;
        st[i].meta_total = xs->space.meta_total;
        st[i].meta_free = xs->space.meta_free;
        st[i].data_total = xs->space.data_total;
        st[i].data_free = xs->space.data_free;
        st[i].pools = xs->pool_nr;
        st[i].rc = xs->task_rc;
        if (xs->task_rc != 0)
            st[i].error = engine_ctl_str(ctl, pool_key_str(xs->err));
        rep->targets[i] = &st[i];
    }
    (void)rc; /* told for each target */
    return 0;
}

static int
status_self(struct engine_ctl *ctl, Cairn__Ctl__Rank *self)
{
    struct engine *engine = ctl->engine;

    cairn__ctl__rank__init(self);
    self->rank = engine->cfg.rank;
    self->incarnation = engine->incarnation;
    self->targets = engine->cfg.tgt_nr;
    self->pid = engine->plat->ops->pid(engine->plat);
    self->state = CAIRN__CTL__RANK_STATE__RANK_STARTING;
    if (engine_state_load(engine) != ENGINE_READY)
        return 0;
    self->state = CAIRN__CTL__RANK_STATE__RANK_JOINED;
    self->uris = arena_calloc(ctl->arena, engine->xs_nr, sizeof(*self->uris));
    if (self->uris == NULL)
        return CAIRN_ERR(NOMEM);
    self->n_uris = engine->xs_nr;
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        self->uris[i] = engine->xs[i].uri;
    }
    return 0;
}

static const char *
svc_fault_text(struct engine *engine)
{
    struct engine_xs *sys = engine_sys(engine);

    if (sys->err[0] == '\0')
        engine_xs_status(sys); /* it stopped later: the text is made now */
    return sys->err[0] != '\0' ? sys->err : err_text(engine_svc_fault(engine));
}

static int
ctl_status(struct engine_ctl *ctl)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__EngineStatusRep rep = CAIRN__CTL__ENGINE_STATUS_REP__INIT;
    Cairn__Ctl__Rank self;
    char err[ENGINE_TEXT_BYTES];
    enum engine_state state = engine_state_get(engine, err, &rep.rc);
    int rc;

    rc = status_self(ctl, &self);
    if (rc == 0 && state == ENGINE_READY)
        rc = status_targets(ctl, &rep);
    if (rc != 0)
        return rc;
    rep.system = engine->cfg.system;
    rep.system_uuid = engine_ctl_bytes(ctl, &engine->system);
    rep.self = &self;
    rep.ready = state == ENGINE_READY;
    rep.storage = (Cairn__Ctl__StorageState)__atomic_load_n(&engine->storage, __ATOMIC_RELAXED);
    rep.error = err;
    rep.version = (char *)(uintptr_t)CAIRN_SOFTWARE_VERSION;
    if (state == ENGINE_READY && engine_svc_fault(engine) != 0) {
        rep.rc = engine_svc_fault(engine);
        (void)snprintf(err, sizeof(err), "services out of service: %.480s", svc_fault_text(engine));
    }
    if (state == ENGINE_READY)
        rep.group_version = engine_sys(engine)->group->version;
    return engine_ctl_reply(ctl, &rep.base);
}

static int
ctl_counters(struct engine_ctl *ctl)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__EngineCountersRep rep = CAIRN__CTL__ENGINE_COUNTERS_REP__INIT;
    uint32_t nr = engine->xs_nr * ENGINE_COUNTS_NR;
    Cairn__Ctl__Counter *counters = arena_calloc(ctl->arena, nr, sizeof(*counters));

    rep.counters = arena_calloc(ctl->arena, nr, sizeof(*rep.counters));
    if (counters == NULL || rep.counters == NULL)
        return CAIRN_ERR(NOMEM);
    engine_xs_count(engine_sys(engine));
    CAIRN_IGNORE(engine_each_tgt(engine, engine_xs_count)); /* it has no failures */
    for (uint32_t i = 0; i < nr; i++) {
        uint32_t tag = i / ENGINE_COUNTS_NR, which = i % ENGINE_COUNTS_NR;
        char name[64];

        cairn__ctl__counter__init(&counters[i]);
        (void)snprintf(name, sizeof(name), "%u.%s", tag, engine_count_name(which));
        counters[i].name = engine_ctl_str(ctl, pool_key_str(name));
        counters[i].value = engine->xs[tag].counts[which];
        if (counters[i].name == NULL)
            return CAIRN_ERR(NOMEM);
        rep.counters[i] = &counters[i];
    }
    rep.n_counters = nr;
    return engine_ctl_reply(ctl, &rep.base);
}

/* Of this rank: what is out of service. */
static int
bad_targets(struct engine_ctl *ctl, Cairn__Ctl__Rank *self)
{
    Cairn__Ctl__EngineStatusRep st = CAIRN__CTL__ENGINE_STATUS_REP__INIT;
    int rc;

    rc = status_targets(ctl, &st);
    if (rc != 0)
        return rc;
    self->bad_targets = st.targets;
    for (size_t i = 0; i < st.n_targets; i++) {
        if (st.targets[i]->rc != 0)
            self->bad_targets[self->n_bad_targets++] = st.targets[i];
    }
    return 0;
}

static int
ctl_system_query(struct engine_ctl *ctl)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__SystemQueryRep rep = CAIRN__CTL__SYSTEM_QUERY_REP__INIT;
    Cairn__Ctl__Rank *m;
    struct mgmt_rank *ranks;
    uint32_t nr;
    int rc;

    rc = mgmt_ranks(engine->mgmt, ctl->arena, &ranks, &nr);
    if (rc != 0)
        return rc;
    rep.members = arena_calloc(ctl->arena, MAX(nr, 1), sizeof(*rep.members));
    m = arena_calloc(ctl->arena, MAX(nr, 1), sizeof(*m));
    if (rep.members == NULL || m == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        cairn__ctl__rank__init(&m[i]);
        m[i].rank = ranks[i].rank;
        m[i].incarnation = ranks[i].incarnation;
        m[i].targets = ranks[i].tgt_nr;
        m[i].node = ranks[i].node;
        m[i].state = rank_state_to(ranks[i].state);
        m[i].uris = arena_calloc(ctl->arena, 1, sizeof(*m[i].uris));
        if (m[i].uris == NULL)
            return CAIRN_ERR(NOMEM);
        m[i].uris[0] = (char *)(uintptr_t)ranks[i].uri;
        m[i].n_uris = 1;
        rep.members[i] = &m[i];
        if (m[i].rank == engine->cfg.rank) {
            rc = bad_targets(ctl, &m[i]);
            if (rc != 0)
                return rc;
        }
    }
    rep.n_members = nr;
    rep.leader = engine->cfg.svc_rank;
    rep.group_version = engine_sys(engine)->group->version;
    rep.system_uuid = engine_ctl_bytes(ctl, &engine->system);
    rep.system = engine->cfg.system;
    return engine_ctl_reply(ctl, &rep.base);
}

/* ---- dispatch ------------------------------------------------------------------------------- */

static int
ctl_stop(struct engine_ctl *ctl)
{
    engine_stop_begin(ctl->engine); /* the answer leaves first: the stop waits for control requests */
    return 0;
}

static int
ctl_needs_ready(struct engine_ctl *ctl, int (*fn)(struct engine_ctl *ctl))
{
    switch (engine_state_load(ctl->engine)) {
    case ENGINE_READY:
        return fn(ctl);
    case ENGINE_STARTING:
        return engine_ctl_fail(ctl, CAIRN_ERR(AGAIN), "rank %u is starting: try again in a moment",
            ctl->engine->cfg.rank);
    case ENGINE_FAILED:
        return engine_ctl_fail(ctl, ctl->engine->fail_rc, "%s", ctl->engine->err);
    default:
        return engine_ctl_fail(
            ctl, CAIRN_ERR(SHUTDOWN), "rank %u is stopping", ctl->engine->cfg.rank);
    }
}

/*
 * While the service here loses and wins its leadership, the asker waits: a request may be repeated, what
 * was begun is found by the pool's identity (MGT-3).
 */
static int
ctl_needs_services(struct engine_ctl *ctl, int (*fn)(struct engine_ctl *ctl))
{
    struct engine *engine = ctl->engine;
    uint64_t end_ns = ult_now_ns() + LEADER_WAIT_NS;
    int rc;

    for (;;) {
        rc = engine_state_load(engine) == ENGINE_READY ? engine_svc_fault(engine) : 0;
        if (rc != 0) {
            return engine_ctl_fail(ctl, rc, "rank %u: services out of service: %.400s",
                engine->cfg.rank, svc_fault_text(engine));
        }
        rc = ctl_needs_ready(ctl, fn);
        if (rc != -DER_NOTLEADER || engine->cfg.svc_rank != engine->cfg.rank || ult_now_ns() >= end_ns)
            return rc;
        ctl->error[0] = '\0';
        ult_sleep(POOL_RETRY_NS);
    }
}

static int
ctl_dispatch(struct engine_ctl *ctl)
{
    if (ctl->req->version != CTL_VERSION) {
        return engine_ctl_fail(ctl, CAIRN_ERR(CONTROL_INCOMPAT),
            "control messages of version %u: this engine speaks version %d", ctl->req->version,
            CTL_VERSION);
    }
    switch (ctl->req->method) {
    case CAIRN__CTL__METHOD__PING:
        return 0;
    case CAIRN__CTL__METHOD__ENGINE_STATUS:
        return ctl_status(ctl);
    case CAIRN__CTL__METHOD__ENGINE_STOP:
        return ctl_stop(ctl);
    case CAIRN__CTL__METHOD__GROUP_UPDATE:
        return ctl_needs_ready(ctl, ctl_group_update);
    case CAIRN__CTL__METHOD__POOL_CREATE:
        return ctl_needs_services(ctl, engine_ctl_pool_create);
    case CAIRN__CTL__METHOD__POOL_DESTROY:
        return ctl_needs_services(ctl, engine_ctl_pool_destroy);
    case CAIRN__CTL__METHOD__POOL_EVICT:
        return ctl_needs_services(ctl, engine_ctl_pool_evict);
    case CAIRN__CTL__METHOD__POOL_LIST:
        return ctl_needs_services(ctl, engine_ctl_pool_list);
    case CAIRN__CTL__METHOD__POOL_QUERY:
        return ctl_needs_services(ctl, engine_ctl_pool_query);
    case CAIRN__CTL__METHOD__POOL_SET_PROP:
        return ctl_needs_services(ctl, engine_ctl_pool_set_prop);
    case CAIRN__CTL__METHOD__POOL_QUERY_TARGETS:
        return ctl_needs_services(ctl, engine_ctl_pool_query_targets);
    case CAIRN__CTL__METHOD__STORAGE_QUERY:
        return ctl_needs_ready(ctl, engine_ctl_storage);
    case CAIRN__CTL__METHOD__SYSTEM_QUERY:
        return ctl_needs_services(ctl, ctl_system_query);
    case CAIRN__CTL__METHOD__ENGINE_COUNTERS:
        return ctl_needs_ready(ctl, ctl_counters);
    default:
        return engine_ctl_fail(ctl, CAIRN_ERR(NOSYS),
            "control method %d is not known to this engine", (int)ctl->req->method);
    }
}

int
engine_ctl_answer(
    struct engine *engine, struct arena *arena, struct iov req, size_t len_max, struct iov *ret_rep)
{
    struct engine_ctl *ctl = arena_calloc(arena, 1, sizeof(*ctl));
    Cairn__Ctl__Envelope rep = CAIRN__CTL__ENVELOPE__INIT;
    uint8_t *buf;
    size_t len;

    if (ctl == NULL)
        return CAIRN_ERR(NOMEM);
    ctl->engine = engine;
    ctl->arena = arena;
    ctl->alloc = (ProtobufCAllocator){ctl_pb_alloc, ctl_pb_free, arena};
    ctl->req = cairn__ctl__envelope__unpack(&ctl->alloc, req.len, req.buf);
    if (ctl->req == NULL || ctl->req->is_reply)
        return CAIRN_ERR(PROTO);
    rep.version = CTL_VERSION;
    rep.id = ctl->req->id;
    rep.method = ctl->req->method;
    rep.is_reply = 1;
    rep.rc = ctl_dispatch(ctl);
    if (rep.rc == 0) {
        rep.body = (ProtobufCBinaryData){ctl->body.len, ctl->body.buf};
    } else {
        if (ctl->error[0] == '\0')
            (void)snprintf(ctl->error, sizeof(ctl->error), "%s", err_text(rep.rc));
        rep.error = ctl->error;
    }
    len = cairn__ctl__envelope__get_packed_size(&rep);
    if (len > len_max) {
        rep.rc = CAIRN_ERR(OVERFLOW);
        rep.error = (char *)(uintptr_t) "the answer is longer than 1 MiB";
        rep.body = (ProtobufCBinaryData){0, NULL};
        len = cairn__ctl__envelope__get_packed_size(&rep);
    }
    buf = arena_alloc(arena, len);
    if (buf == NULL)
        return CAIRN_ERR(NOMEM);
    *ret_rep = (struct iov){buf, cairn__ctl__envelope__pack(&rep, buf)};
    return 0;
}

/* ---- from outside --------------------------------------------------------------------------- */

/* A request on its way; known to the engine while its ULT lives. */
struct ctl_task {
    struct list_head link; /* of engine.ctls */
    struct engine *engine;
    struct arena arena;
    struct iov req, rep;
    size_t len_max; /* of the answer */
    int rc;
    void (*fn)(void *arg, int rc, const void *rep, size_t len); /* submitted */
    void *arg;
};

static struct ctl_task *
task_create(struct engine *engine, const void *req, size_t len)
{
    struct ctl_task *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->engine = engine;
    t->len_max = ENGINE_CTL_BYTES_MAX;
    list_init(&t->link);
    arena_init(&t->arena, 4096, ENGINE_CTL_ARENA_BYTES_MAX);
    t->req = (struct iov){arena_dup(&t->arena, req, len), len};
    if (t->req.buf == NULL) {
        arena_fini(&t->arena);
        free(t);
        return NULL;
    }
    return t;
}

static void
task_free(struct ctl_task *t)
{
    arena_fini(&t->arena);
    free(t);
}

static void
task_run(struct ctl_task *t)
{
    struct engine *engine = t->engine;

    if (engine->ctl_nr >= CTLS_NR_MAX) {
        t->rc = CAIRN_ERR(OVERLOAD_RETRY);
        return;
    }
    list_add(&t->link, &engine->ctls);
    engine->ctl_nr++;
    t->rc = engine_ctl_answer(engine, &t->arena, t->req, t->len_max, &t->rep);
    list_del(&t->link);
    engine->ctl_nr--;
    ult_cond_broadcast(&engine->idle);
}

static void
call_task(void *arg)
{
    task_run(arg);
}

int
engine_ctl(struct engine *engine, const void *req, size_t req_len, void **ret_rep, size_t *ret_len)
{
    struct ctl_task *t;
    void *rep;
    int rc;

    if (req_len == 0 || req_len > ENGINE_CTL_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    t = task_create(engine, req, req_len);
    if (t == NULL)
        return CAIRN_ERR(NOMEM);
    rc = xstream_call(engine_sys(engine)->xs, ULT_SERVICE, call_task, t);
    if (rc == 0)
        rc = t->rc;
    rep = rc == 0 ? malloc(t->rep.len) : NULL;
    if (rc == 0 && rep == NULL)
        rc = CAIRN_ERR(NOMEM);
    if (rc == 0) {
        memcpy(rep, t->rep.buf, t->rep.len);
        *ret_rep = rep;
        *ret_len = t->rep.len;
    }
    task_free(t);
    return rc;
}

void
engine_buf_free(void *buf)
{
    free(buf);
}

static void
submit_task(void *arg)
{
    struct ctl_task *t = arg;

    task_run(t);
    t->fn(t->arg, t->rc, t->rep.buf, t->rep.len);
    task_free(t);
}

int
engine_ctl_submit(struct engine *engine, const void *req, size_t req_len,
    void (*fn)(void *arg, int rc, const void *rep, size_t len), void *arg)
{
    struct ctl_task *t;
    int rc;

    if (req_len == 0 || req_len > ENGINE_CTL_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    t = task_create(engine, req, req_len);
    if (t == NULL)
        return CAIRN_ERR(NOMEM);
    t->fn = fn;
    t->arg = arg;
    rc = xstream_post(engine_sys(engine)->xs, ULT_SERVICE, submit_task, t);
    if (rc != 0)
        task_free(t);
    return rc;
}

void
engine_ctl_abandon(struct engine *engine)
{
    struct ctl_task *t, *tmp;

    LIST_FOREACH_SAFE(t, tmp, &engine->ctls, struct ctl_task, link) {
        if (t->fn != NULL) /* the others belong to their callers */
            task_free(t);
    }
}
