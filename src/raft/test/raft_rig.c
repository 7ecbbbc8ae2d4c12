/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "raft/test/raft_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/util.h"
#include "raft/raft_msg.h"

#define MS UINT64_C(1000000)

static const struct uuid rig_group = {{7, 7, 7}};
enum { CLIENTS_NR = 2, CMD_BYTES = 16 };

/* ---- breaches --------------------------------------------------------------------------------------------------------- */

static void
breach(struct rig *rig, const char *what, uint64_t a, uint64_t b)
{
    if (rig->bad_nr++ < 5) {
        fprintf(stderr, "    seed %llu: %s (%llu, %llu)\n", (unsigned long long)rig->opts.seed,
            what, (unsigned long long)a, (unsigned long long)b);
    }
}

/* ---- state machine ---------------------------------------------------------------------------------------------------- */

static struct vos_oid
state_oid(void)
{
    struct vos_oid oid = {.oid = {.lo = 1}};

    return oid;
}

static struct iov
text(const char *s)
{
    return (struct iov){(void *)(uintptr_t)s, strlen(s)};
}

static int
state_store(struct rig_member *m, const struct rig_state *s)
{
    struct vos_iod iod = {.akey = text("state"),
        .type = VOS_IOD_SINGLE,
        .size = sizeof(*s),
        .data = {(void *)(uintptr_t)s, sizeof(*s)}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = state_oid(), .dkey = text("sm"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .flags = VOS_APPLY_NO_HISTORY};

    return vos_apply(m->cont, &args, NULL);
}

static int
state_load(struct rig_member *m)
{
    struct vos_iod iod = {.akey = text("state"), .type = VOS_IOD_SINGLE};
    struct vos_oid oid = state_oid();
    struct iov dkey = text("sm");
    struct vos_fetch *fetch;
    int rc;

    memset(&m->state, 0, sizeof(m->state));
    rc = vos_fetch(m->cont, &oid, VOS_EPOCH_MAX, 0, &dkey, &iod, 1, &fetch);
    if (rc != 0)
        return rc;
    if (fetch->iods[0].size == sizeof(m->state))
        memcpy(&m->state, fetch->iods[0].segs[0].buf, sizeof(m->state));
    vos_fetch_free(m->cont, fetch);
    return 0;
}

/* RIG-2. */
static void
cmd_apply(struct rig *rig, struct rig_state *s, const struct raft_cmd *cmd)
{
    uint64_t value = le64_get(cmd->data.buf);
    uint32_t reg = le32_get((const uint8_t *)cmd->data.buf + 8);

    if (cmd->index <= s->applied || cmd->index >= RIG_INDEX_NR || reg >= RIG_REGS) {
        breach(rig, "applied out of order, or twice", cmd->index, s->applied);
        return;
    }
    if (rig->value_at[cmd->index] == 0) {
        rig->value_at[cmd->index] = value;
    } else if (rig->value_at[cmd->index] != value)
        breach(rig, "two commands at an index", cmd->index, value);
    for (uint64_t i = s->applied + 1; i < cmd->index; i++) {
        if (rig->value_at[i] != 0)
            breach(rig, "a command was passed over", i, cmd->index);
    }
    s->applied = cmd->index;
    s->value[reg] = value;
    s->index[reg] = cmd->index;
    s->hash = hash_mix64(s->hash ^ value);
    rig->index_max = MAX(rig->index_max, cmd->index);
}

static int
sm_apply(void *arg, const struct raft_cmd *cmds, uint32_t nr)
{
    struct rig_member *m = arg;
    struct rig_state s = m->state;
    int rc;

    if (m->rig->opts.is_slow && !m->rig->is_calm)
        ult_sleep(rng_range(&m->rng, MS, rng_chance(&m->rng, 1, 8) ? 300 * MS : 3 * MS));
    if (m->rig->opts.apply_ms > 0)
        ult_sleep(m->rig->opts.apply_ms * MS);
    for (uint32_t i = 0; i < nr; i++) {
        cmd_apply(m->rig, &s, &cmds[i]);
    }
    rc = state_store(m, &s);
    if (rc == 0)
        m->state = s;
    return rc;
}

static int
sm_dump(void *arg, void **ret_buf, size_t *ret_len)
{
    struct rig_member *m = arg;
    size_t len = sizeof(m->state) + (m->rig->opts.is_filled ? RIG_FILL_BYTES : 0);
    uint8_t *buf = malloc(len);

    if (buf == NULL)
        return -DER_NOMEM;
    memset(buf, (int)m->state.applied, len);
    memcpy(buf, &m->state, sizeof(m->state));
    *ret_buf = buf;
    *ret_len = len;
    return 0;
}

static int
sm_install(void *arg, const void *buf, size_t len, uint64_t index)
{
    struct rig_member *m = arg;
    struct rig_state s;
    int rc;

    if (len < sizeof(s))
        return -DER_INVAL;
    memcpy(&s, buf, sizeof(s));
    for (size_t i = sizeof(s); i < len; i++) {
        if (((const uint8_t *)buf)[i] != (uint8_t)s.applied) {
            breach(m->rig, "a snapshot came damaged", i, index);
            break;
        }
    }
    if (s.applied > index || s.applied < m->state.applied)
        breach(m->rig, "a snapshot that does not fit", s.applied, index);
    s.applied = index;
    rc = state_store(m, &s);
    if (rc == 0) {
        m->state = s;
        m->installs_nr++;
    }
    return rc;
}

/* RIG-1. */
static void
sm_changed(void *arg)
{
    struct rig_member *m = arg;
    struct raft_group_status st;

    if (m->group == NULL)
        return;
    raft_group_status(m->group, &st);
    if (!st.is_leader || st.term >= RIG_TERM_NR)
        return;
    if (m->rig->leader_of[st.term] == 0) {
        m->rig->elections_nr++;
    } else if (m->rig->leader_of[st.term] != m->id)
        breach(m->rig, "two leaders of a term", st.term, m->id);
    m->rig->leader_of[st.term] = (uint8_t)m->id;
}

static const struct raft_sm_ops rig_ops = {sm_apply, sm_dump, sm_install, sm_changed};

/* ---- clients ---------------------------------------------------------------------------------------------------------- */

int
rig_write(struct rig_member *m, uint32_t reg)
{
    struct rig *rig = m->rig;
    uint8_t cmd[CMD_BYTES] = {0};
    uint64_t value = ++rig->next_value, index;
    int rc;

    le64_put(cmd, value);
    le32_put(cmd + 8, reg);
    rc = raft_group_propose(m->group, (struct iov){cmd, sizeof(cmd)}, &index);
    if (rc != 0)
        return rc;
    if (index >= RIG_INDEX_NR || rig->acked_at[index] != 0) {
        breach(rig, "acknowledged twice", index, value);
    } else {
        rig->acked_at[index] = value;
    }
    rig->acked_nr++;
    rig->acked_max = MAX(rig->acked_max, index);
    rig->floor[reg] = MAX(rig->floor[reg], index);
    return 0;
}

/* RIG-4. */
int
rig_read(struct rig_member *m, uint32_t reg)
{
    struct rig *rig = m->rig;
    uint64_t floor = rig->floor[reg], term, index;
    int rc;

    rc = raft_group_read(m->group, &term);
    if (rc != 0)
        return rc;
    index = m->state.index[reg];
    rc = raft_group_read_end(m->group, term);
    if (rc != 0)
        return rc;
    if (index < floor)
        breach(rig, "a read of the past", index, floor);
    rig->floor[reg] = MAX(rig->floor[reg], index);
    rig->reads_nr++;
    return 0;
}

static void
client_ult(void *arg)
{
    struct rig_member *m = arg;

    while (!m->is_stopping && m->rig->opts.has_clients) {
        ult_sleep(rng_range(&m->rng, MS, 40 * MS));
        if (m->is_stopping || !m->rig->opts.has_clients)
            break;
        if (rng_chance(&m->rng, 1, 2)) {
            CAIRN_IGNORE(
                rig_write(m, (uint32_t)rng_below(&m->rng, RIG_REGS))); /* no leader: no matter */
        } else {
            CAIRN_IGNORE(rig_read(m, (uint32_t)rng_below(&m->rng, RIG_REGS)));
        }
    }
    m->clients_nr--;
}

/* ---- network ---------------------------------------------------------------------------------------------------------- */

struct post {
    struct list_head link;
    struct rig_member *m;
    size_t len;
    uint8_t buf[];
};

static void
packet_add(struct rig *rig, uint64_t to, const void *buf, size_t len)
{
    struct rig_packet *p = calloc(1, sizeof(*p));
    uint64_t delay = rng_range(&rig->rng, MS / 10, MS);

    if (!rig->is_calm && rng_below(&rig->rng, 1000000) < rig->opts.slow_ppm) {
        delay = rng_below(&rig->rng, 20) == 0 ? rng_range(&rig->rng, MS, 8000 * MS)
                                              : rng_range(&rig->rng, MS, 300 * MS);
    }
    p->at_ns = sim_now_ns(rig->sim) + delay;
    p->to = to;
    p->len = len;
    p->buf = malloc(len);
    memcpy(p->buf, buf, len);
    list_add_tail(&p->link, &rig->packets);
}

static void
tap_run(struct rig *rig, const uint8_t *buf, size_t len)
{
    struct raft_msg msg;
    size_t off = 0, bytes;

    while ((bytes = raft_msg_peek(buf + off, len - off)) > 0) {
        if (EXPECT_OK(raft_msg_decode(buf + off, bytes, &msg))) {
            rig->tap(rig, &msg);
            raft_msg_fini(&msg);
        }
        off += bytes;
    }
    EXPECT_EQ(off, len);
}

void
rig_inject(struct rig *rig, struct raft_msg *msg)
{
    struct rig_packet *p = calloc(1, sizeof(*p));

    msg->group = rig_group;
    p->at_ns = sim_now_ns(rig->sim);
    p->to = msg->to;
    p->len = raft_msg_bytes(msg);
    p->buf = malloc(p->len);
    raft_msg_encode(msg, p->buf);
    list_add_tail(&p->link, &rig->packets);
}

static void
member_send(void *arg, uint64_t to, void *buf, size_t len)
{
    struct rig_member *m = arg;
    struct rig *rig = m->rig;
    bool is_lost = to > RIG_MEMBERS_NR || rig->cut[m->id][to] ||
        (!rig->is_calm && rng_below(&rig->rng, 1000000) < rig->opts.loss_ppm);

    if (rig->tap != NULL)
        tap_run(rig, buf, len);
    if (!is_lost) {
        packet_add(rig, to, buf, len);
        if (!rig->is_calm && rng_below(&rig->rng, 1000000) < rig->opts.dup_ppm)
            packet_add(rig, to, buf, len);
    }
    free(buf);
}

static void
recv_ult(void *arg)
{
    struct post *post = arg;
    struct rig_member *m = post->m;

    if (m->group != NULL && m->host != NULL && !m->is_stopping)
        raft_host_recv(m->host, post->buf, post->len);
    list_del(&post->link);
    free(post);
}

static void
packet_deliver(struct rig *rig, const struct rig_packet *p)
{
    struct rig_member *m = &rig->members[p->to - 1];
    struct post *post;

    if (!m->is_alive || m->is_stopping)
        return;
    post = malloc(sizeof(*post) + p->len);
    post->m = m;
    post->len = p->len;
    memcpy(post->buf, p->buf, p->len);
    list_add_tail(&post->link, &m->posts);
    EXPECT_OK(xstream_post(m->xs, ULT_NET, recv_ult, post));
}

static void
packets_run(struct rig *rig)
{
    struct rig_packet *p, *tmp;
    uint64_t now = sim_now_ns(rig->sim);

    LIST_FOREACH_SAFE(p, tmp, &rig->packets, struct rig_packet, link) {
        if (p->at_ns > now)
            continue;
        packet_deliver(rig, p);
        list_del(&p->link);
        free(p->buf);
        free(p);
    }
}

/* ---- life of a member ------------------------------------------------------------------------------------------------- */

static void
member_reap(void *arg)
{
    struct rig_member *m = arg;
    struct post *post, *tmp;

    xstream_abandon(m->xs);
    raft_host_abandon(m->host);
    if (m->vos != NULL)
        vos_tgt_abandon(m->vos);
    if (m->bio != NULL)
        bio_abandon(m->bio);
    xstream_destroy(m->xs);
    LIST_FOREACH_SAFE(post, tmp, &m->posts, struct post, link) {
        free(post);
    }
    list_init(&m->posts);
    m->xs = NULL;
    m->host = NULL;
    m->group = NULL;
    m->cont = NULL;
    m->vos = NULL;
    m->bio = NULL;
    m->is_alive = false;
    m->is_starting = false;
    m->clients_nr = 0;
}

static int
store_open(struct rig_member *m)
{
    struct bio_cfg cfg = {.dir = "/sys",
        .wal_bytes = 16 << 20,
        .meta_bytes = 32 << 20,
        .data_bytes = 32 << 20,
        .system = {{1}},
        .device = {{2}}};
    uint64_t quota = m->rig->opts.meta_quota;
    int rc = 0;

    if (!bio_is_formatted(m->plat, cfg.dir)) {
        rc = m->plat->ops->dir_create(m->plat, cfg.dir);
        if (rc == 0)
            rc = bio_format(m->xs, &cfg);
    }
    if (rc == 0)
        rc = bio_open(m->xs, &cfg, &m->bio);
    if (rc == 0)
        rc = vos_tgt_open(m->bio, &m->vos);
    if (rc != 0)
        return rc;
    rc = vos_pool_create(m->vos, rig_group, quota != 0 ? quota : 8 << 20, 8 << 20);
    if (rc == 0 || rc == -DER_EXIST)
        rc = vos_cont_create(m->vos, rig_group, rig_group);
    if (rc == 0 || rc == -DER_EXIST)
        rc = vos_cont_open(m->vos, rig_group, rig_group, &m->cont);
    return rc == 0 ? state_load(m) : rc;
}

static int
bootstrap(struct rig_member *m)
{
    struct raft_conf conf = {.nr = m->rig->opts.nr};
    int rc;

    if (m->id > m->rig->opts.nr)
        return 0; /* joins later */
    for (uint32_t i = 0; i < conf.nr; i++) {
        conf.members[i] = (struct raft_member){i + 1, RAFT_ROLE_VOTER};
    }
    rc = raft_group_bootstrap(m->cont, &conf);
    return rc == -DER_EXIST ? 0 : rc;
}

static int
group_open(struct rig_member *m)
{
    struct raft_host_opts hopts = {.self = m->id,
        .send = member_send,
        .arg = m,
        .election_ms = m->rig->opts.election_ms,
        .heartbeat_ms = m->rig->opts.election_ms / 5};
    struct raft_group_opts gopts = {.id = rig_group,
        .cont = m->cont,
        .applied = m->state.applied,
        .ops = &rig_ops,
        .arg = m,
        .snap_threshold = m->rig->opts.snap_threshold,
        .snap_trailing = m->rig->opts.snap_trailing};
    int rc;

    rc = bootstrap(m);
    if (rc == 0)
        rc = raft_host_create(m->xs, &hopts, &m->host);
    return rc == 0 ? raft_group_start(m->host, &gopts, &m->group) : rc;
}

static void
member_ult(void *arg)
{
    struct rig_member *m = arg;
    int rc;

    rc = store_open(m);
    if (rc == 0)
        rc = group_open(m);
    EXPECT_OK(rc);
    m->is_starting = false;
    for (uint32_t i = 0; rc == 0 && m->rig->opts.has_clients && i < CLIENTS_NR; i++) {
        m->clients_nr++;
        EXPECT_OK(ult_create(m->xs, ULT_SERVICE, client_ult, m, NULL));
    }
}

void
rig_start(struct rig *rig, uint32_t i)
{
    struct rig_member *m = &rig->members[i];
    struct xstream_opts opts = {.name = "sys", .cpu = UINT32_MAX};

    m->restart_ns = 0;
    m->resume_ns = 0;
    m->is_stopping = false;
    m->is_stopped = false;
    rng_init(&m->rng, rng_u64(&rig->rng));
    if (!EXPECT_OK(sim_node_start(rig->sim, m->host_name, m->host_name, &m->plat)))
        return;
    sim_node_on_kill(m->plat, member_reap, m);
    if (!EXPECT_OK(xstream_create(m->plat, &opts, &m->xs)) || !EXPECT_OK(xstream_start(m->xs)))
        return;
    m->is_alive = true;
    m->is_starting = true;
    EXPECT_OK(xstream_post(m->xs, ULT_SERVICE, member_ult, m));
}

void
rig_kill(struct rig *rig, uint32_t i)
{
    if (!rig->members[i].is_alive)
        return;
    rig->deaths_nr++;
    sim_host_power_loss(rig->sim, rig->members[i].host_name);
}

static void
stop_ult(void *arg)
{
    struct rig_member *m = arg;

    raft_group_stop(m->group);
    m->group = NULL;
    while (m->clients_nr > 0 || !list_empty(&m->posts)) {
        ult_sleep(MS);
    }
    raft_host_destroy(m->host);
    m->host = NULL;
    EXPECT_OK(vos_tgt_check(m->vos));
    vos_cont_close(m->cont);
    m->cont = NULL;
    vos_tgt_close(m->vos);
    m->vos = NULL;
    bio_close(m->bio);
    m->bio = NULL;
    m->is_stopped = true;
}

void
rig_init(struct rig *rig, const struct rig_opts *opts)
{
    struct sim_opts sopts = {.seed = opts->seed, .disk_lat_lo_ns = 20000, .disk_lat_hi_ns = 400000};

    memset(rig, 0, sizeof(*rig));
    rig->opts = *opts;
    rng_init(&rig->rng, opts->seed);
    list_init(&rig->packets);
    EXPECT_OK(sim_create(&sopts, &rig->sim));
    for (uint32_t i = 0; i < RIG_MEMBERS_NR; i++) {
        struct rig_member *m = &rig->members[i];

        m->rig = rig;
        m->id = i + 1;
        list_init(&m->posts);
        snprintf(m->host_name, sizeof(m->host_name), "h%u", i);
    }
}

void
rig_fini(struct rig *rig)
{
    struct rig_packet *p, *tmp;
    struct ult_stats stats;

    rig->is_calm = true;
    for (uint32_t i = 0; i < RIG_MEMBERS_NR; i++) {
        struct rig_member *m = &rig->members[i];

        if (!m->is_alive)
            continue;
        for (uint32_t n = 0; m->is_starting && n < 1000; n++) {
            rig_run(rig, 1);
        }
        m->is_stopping = true;
        EXPECT_OK(xstream_post(m->xs, ULT_SERVICE, stop_ult, m));
        for (uint32_t n = 0; !m->is_stopped && n < 10000; n++) {
            sim_run_for(rig->sim, MS);
        }
        EXPECT(m->is_stopped);
        xstream_stats(m->xs, &stats);
        rig->stack_bytes_max = MAX(rig->stack_bytes_max, stats.stack_used_bytes_max);
        sim_node_kill(rig->sim, m->plat);
    }
    LIST_FOREACH_SAFE(p, tmp, &rig->packets, struct rig_packet, link) {
        free(p->buf);
        free(p);
    }
    if (getenv("RAFT_VERBOSE") != NULL)
        fprintf(stderr, "    stacks: %llu bytes\n", (unsigned long long)rig->stack_bytes_max);
#ifndef __SANITIZE_ADDRESS__ /* makes frames larger */
    EXPECT_LT(rig->stack_bytes_max, 16 * 1024); /* TH-2: the library, and vos under it */
#endif
    EXPECT_EQ(rig->bad_nr, 0);
    sim_destroy(rig->sim);
}

/* ---- faults ----------------------------------------------------------------------------------------------------------- */

static bool
dice(struct rig *rig, uint32_t ppm)
{
    return ppm > 0 && rng_below(&rig->rng, 1000000) < ppm;
}

/* Two sides, or one way only. */
static void
partition(struct rig *rig)
{
    uint64_t side = rng_below(&rig->rng, 1 << RIG_MEMBERS_NR);
    uint64_t ways = rng_below(&rig->rng, 3);
    bool is_links = rng_chance(&rig->rng, 1, 3); /* or any links, each way by itself */

    for (uint32_t a = 0; a < RIG_MEMBERS_NR; a++) {
        for (uint32_t b = 0; b < RIG_MEMBERS_NR; b++) {
            bool a_in = (side >> a & 1) != 0, b_in = (side >> b & 1) != 0;

            if (is_links) {
                rig->cut[a + 1][b + 1] = rng_chance(&rig->rng, 1, 3);
                continue;
            }
            rig->cut[a + 1][b + 1] = (a_in && !b_in && ways != 1) || (!a_in && b_in && ways != 2);
        }
    }
    rig->heal_ns = sim_now_ns(rig->sim) + rng_range(&rig->rng, 100, 6000) * MS;
    rig->parts_nr++;
}

static void
heal(struct rig *rig)
{
    memset(rig->cut, 0, sizeof(rig->cut));
    rig->heal_ns = 0;
}

/* A leader hands over, or changes who is a member. */
static void
order_ult(void *arg)
{
    struct rig_member *m = arg;
    uint64_t what = rng_below(&m->rng, 4), id = 1 + rng_below(&m->rng, RIG_MEMBERS_NR);
    int rc;

    if (m->group == NULL || m->is_stopping) {
        m->clients_nr--;
        return;
    }
    if (what == 0 || m->rig->opts.member_ppm == 0) {
        rc = raft_group_transfer(m->group, rng_chance(&m->rng, 1, 2) ? 0 : id);
    } else if (what == 1) {
        rc = raft_group_add(m->group, id);
    } else if (what == 2) {
        rc = raft_group_assign(m->group, id, (enum raft_role)rng_below(&m->rng, 3));
    } else {
        rc = raft_group_remove(m->group, id);
    }
    if (rc == 0)
        m->rig->changes_nr++;
    m->clients_nr--;
}

static bool
is_up(const struct rig_member *m)
{
    return m->is_alive && !m->is_starting && m->group != NULL && !m->is_stopping;
}

static void
member_faults(struct rig *rig, uint32_t i)
{
    struct rig_member *m = &rig->members[i];
    uint64_t now = sim_now_ns(rig->sim);

    if (m->restart_ns != 0 && now >= m->restart_ns) {
        rig_start(rig, i);
        return;
    }
    if (m->resume_ns != 0 && now >= m->resume_ns) {
        m->resume_ns = 0;
        sim_node_pause(m->plat, false);
    }
    if (rig->is_calm || !m->is_alive)
        return;
    if (dice(rig, rig->opts.kill_ppm)) {
        if (m->resume_ns != 0)
            sim_node_pause(m->plat, false);
        m->resume_ns = 0;
        rig_kill(rig, i);
        m->restart_ns = now + rng_range(&rig->rng, 1, rng_chance(&rig->rng, 1, 3) ? 9000 : 300) * MS;
    } else if (m->resume_ns == 0 && dice(rig, rig->opts.pause_ppm)) {
        m->resume_ns = now + rng_range(&rig->rng, 10, 4000) * MS;
        sim_node_pause(m->plat, true);
    } else if (is_up(m) && m->resume_ns == 0 &&
        dice(rig, rig->opts.transfer_ppm + rig->opts.member_ppm)) {
        m->clients_nr++;
        EXPECT_OK(xstream_post(m->xs, ULT_SERVICE, order_ult, m));
    }
}

void
rig_run(struct rig *rig, uint64_t ms)
{
    for (uint64_t n = 0; n < ms; n++) {
        for (uint32_t i = 0; i < RIG_MEMBERS_NR; i++) {
            member_faults(rig, i);
        }
        if (rig->heal_ns != 0 && sim_now_ns(rig->sim) >= rig->heal_ns)
            heal(rig);
        if (!rig->is_calm && rig->heal_ns == 0 && dice(rig, rig->opts.part_ppm))
            partition(rig);
        packets_run(rig);
        sim_run_for(rig->sim, MS / 2);
        packets_run(rig);
        sim_run_for(rig->sim, MS / 2);
    }
}

uint32_t
rig_leader(struct rig *rig, uint64_t ms)
{
    struct raft_group_status st;

    for (uint64_t n = 0; n <= ms; n++) {
        for (uint32_t i = 0; i < RIG_MEMBERS_NR; i++) {
            if (!is_up(&rig->members[i]))
                continue;
            raft_group_status(rig->members[i].group, &st);
            if (st.is_ready)
                return i;
        }
        rig_run(rig, 1);
    }
    return UINT32_MAX;
}

/* Every member of the leader's configuration that gets the log has what the leader has. */
static bool
is_settled(struct rig *rig)
{
    uint32_t leader = rig_leader(rig, 0);
    struct raft_group_status top, st;

    if (leader == UINT32_MAX)
        return false;
    raft_group_status(rig->members[leader].group, &top);
    if (top.commit != top.last || rig->members[leader].state.applied < rig->acked_max)
        return false;
    for (uint32_t i = 0; i < top.conf.nr; i++) {
        const struct rig_member *m = &rig->members[top.conf.members[i].id - 1];

        if (top.conf.members[i].role == RAFT_ROLE_SPARE)
            continue;
        if (!is_up(m))
            return false;
        raft_group_status(m->group, &st);
        if (st.commit != top.commit || m->state.hash != rig->members[leader].state.hash)
            return false;
    }
    return true;
}

static void
show(struct rig *rig)
{
    for (uint32_t i = 0; i < RIG_MEMBERS_NR; i++) {
        const struct rig_member *m = &rig->members[i];
        struct raft_group_status st;

        if (!is_up(m))
            continue;
        raft_group_status(m->group, &st);
        fprintf(
            stderr, "    %u: %s%s%s term %llu leader %llu log %llu..%llu commit %llu applied %llu snap %llu members %u, hash %llx\n",
            i + 1, st.is_up ? "up" : "not up", st.is_leader ? " leader" : "",
            st.is_ready ? " ready" : "", (unsigned long long)st.term, (unsigned long long)st.leader,
            (unsigned long long)st.first, (unsigned long long)st.last,
            (unsigned long long)st.commit, (unsigned long long)st.applied,
            (unsigned long long)st.snap, st.conf.nr, (unsigned long long)m->state.hash);
    }
}

void
rig_settle(struct rig *rig, uint64_t ms)
{
    uint64_t n = 0;

    rig->is_calm = true;
    heal(rig);
    for (uint32_t i = 0; i < RIG_MEMBERS_NR; i++) {
        struct rig_member *m = &rig->members[i];

        if (m->resume_ns != 0)
            sim_node_pause(m->plat, false);
        m->resume_ns = 0;
        if (m->restart_ns != 0)
            m->restart_ns = 1;
    }
    rig->opts.has_clients = false;
    while (!is_settled(rig) && n++ < ms) {
        rig_run(rig, 1);
    }
    if (!EXPECT(is_settled(rig))) /* RIG-5 */
        show(rig);
    for (uint64_t i = 0; i < RIG_INDEX_NR; i++) { /* RIG-3 */
        if (rig->acked_at[i] != 0 && rig->value_at[i] != rig->acked_at[i])
            breach(rig, "what was acknowledged is lost", i, rig->value_at[i]);
    }
}

/* ---- calls ------------------------------------------------------------------------------------------------------------ */

struct call {
    struct rig_member *m;
    int (*fn)(struct rig_member *m, void *arg);
    void *arg;
    int rc;
    bool is_done;
};

static void
call_ult(void *arg)
{
    struct call *call = arg;

    call->rc = call->fn(call->m, call->arg);
    call->is_done = true;
}

int
rig_call(
    struct rig *rig, uint32_t i, int (*fn)(struct rig_member *m, void *arg), void *arg, uint64_t ms)
{
    struct call call = {&rig->members[i], fn, arg, 0, false};

    if (!EXPECT(is_up(call.m)))
        return -DER_UNREACH;
    EXPECT_OK(xstream_post(call.m->xs, ULT_SERVICE, call_ult, &call));
    for (uint64_t n = 0; n < ms && !call.is_done && call.m->is_alive; n++) {
        rig_run(rig, 1);
    }
    if (!call.is_done && call.m->is_alive)
        rig_kill(rig, i); /* it points to this stack */
    return call.is_done ? call.rc : -DER_TIMEDOUT;
}
