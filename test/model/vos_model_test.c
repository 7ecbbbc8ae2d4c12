/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: vos answers like its naive reference model (vos_ref.h), after every single operation. Method: random operations of every kind (vos_ref_run.c), in rounds on a new store each,
 * with pages evicted, checkpoints, clean closes, kills and power cuts in between, with and without colliding hashes.
 *
 * A round that fails is made shorter: parts of it are left out as long as it still fails, and what is left is printed. `--seed N` runs the same rounds again; CAIRN_MODEL_SAY=1
 * in the environment prints all operations of each round; CAIRN_MODEL_NO_SHRINK=1 leaves a failed one as it is. Planted bugs that must be found: test/model/bugs, run_bugs.sh.
 */
#include <time.h>

#include "base/probe.h"
#include "vos_ref_run.h"

enum { TRIES_NR_MAX = 300 };

struct round {
    struct fix f;
    struct ref_run run;
    uint64_t seed;
    const uint32_t *ops; /* in order */
    uint32_t op_nr, at;
    enum ref_next next;
    bool is_new;
};

/* One life of the process. */
static void
life(struct fix *f)
{
    struct round *rd = f->arg;
    struct ref_run *run = &rd->run;
    int rc = rd->is_new ? bio_format(f->xs, &f->cfg) : 0;

    rd->is_new = false;
    rd->next = REF_CLOSE;
    if (rc == 0)
        rc = bio_open(f->xs, &f->cfg, &f->bio);
    if (rc == 0)
        rc = vos_tgt_open(f->bio, &f->tgt);
    if (!ref_rc(run, "open", rc, 0))
        return;
    ref_run_opened(run);
    while (rd->at < rd->op_nr && run->fail[0] == 0) {
        rd->next = ref_run_op(run, rd->seed, rd->ops[rd->at++]);
        if (rd->next != REF_GO_ON)
            break;
    }
    if (run->fail[0] == 0 && rd->at == rd->op_nr) {
        ref_run_compare(run);
        rd->next = REF_CLOSE;
    }
    if (rd->next == REF_CLOSE || f->sim == NULL || run->fail[0] != 0)
        ref_run_close(run);
}

/* Run these operations on a new store; rd->run.fail tells. */
static void
round_run(struct round *rd, const uint32_t *ops, uint32_t op_nr, bool is_verbose)
{
    struct sim_opts opts = {.seed = rd->seed, .disk_lat_lo_ns = 1000, .disk_lat_hi_ns = 20000};
    uint64_t hash_mask = rd->run.hash_mask;

    memset(&rd->run, 0, sizeof(rd->run));
    fix_prepare(&rd->f);
    rd->f.arg = rd;
    rd->f.meta_quota = 28 << 20;
    rd->f.data_quota = 120 << 20;
    rd->run.f = &rd->f;
    rd->run.hash_mask = hash_mask;
    rd->run.is_verbose = is_verbose || getenv("CAIRN_MODEL_SAY") != NULL;
    rd->ops = ops;
    rd->op_nr = op_nr;
    rd->at = 0;
    rd->is_new = true;
    if (fix_up(&rd->f, test_backend() == BACKEND_LINUX ? NULL : &opts)) {
        static uint32_t dir_nr;

        if (rd->f.sim == NULL)
            snprintf(rd->f.cfg.dir, sizeof(rd->f.cfg.dir), "%s/m%u", test_tmpdir(), dir_nr++);
        do {
            REF_CHECK(&rd->run, fix_run(&rd->f, life));
            if (rd->f.sim != NULL && rd->f.xs != NULL)
                fix_crash(&rd->f, rd->next == REF_POWER);
            ref_run_died(&rd->run);
        } while (rd->at < rd->op_nr && rd->run.fail[0] == 0 && !test_failed());
    }
    fix_down(&rd->f);
    ref_run_fini(&rd->run);
}

/* Leave out as much as possible of a round that fails. */
static void
shrink(struct round *rd, uint32_t *ops, uint32_t nr)
{
    uint32_t *less = malloc(nr * sizeof(*less));
    uint32_t tries = 0;

    nr = rd->at; /* what comes after the failure is of no matter */
    for (uint32_t part = nr / 2; part > 0 && tries<TRIES_NR_MAX; part = part> 1 ? part / 2 : 0) {
        for (uint32_t from = 0; from < nr && tries < TRIES_NR_MAX; tries++) {
            uint32_t cut = MIN(part, nr - from), left = nr - cut;

            memcpy(less, ops, from * sizeof(*ops));
            memcpy(less + from, ops + from + cut, (left - from) * sizeof(*ops));
            round_run(rd, less, left, false);
            if (rd->run.fail[0] == 0) {
                from += cut;
                continue;
            }
            nr = rd->at;
            memcpy(ops, less, nr * sizeof(*ops));
        }
    }
    fprintf(stderr, "    as few operations as still fail, seed %llu, hash mask %#llx:\n",
        (unsigned long long)rd->seed, (unsigned long long)rd->run.hash_mask);
    round_run(rd, ops, nr, true);
    fprintf(stderr, "    %s\n", rd->run.fail);
    free(less);
}

static bool
one_round(uint64_t seed, uint32_t op_nr, uint64_t hash_mask, struct ref_sums *sums)
{
    struct round *rd = calloc(1, sizeof(*rd));
    uint32_t *ops = malloc(op_nr * sizeof(*ops));
    bool ok;

    for (uint32_t i = 0; i < op_nr; i++) {
        ops[i] = i;
    }
    rd->seed = seed;
    rd->run.hash_mask = hash_mask;
    round_run(rd, ops, op_nr, false);
    for (uint32_t i = 0; i < sizeof(*sums) / sizeof(uint64_t); i++) {
        ((uint64_t *)sums)[i] += ((const uint64_t *)&rd->run.sums)[i];
    }
    ok = rd->run.fail[0] == 0;
    if (!ok)
        fprintf(stderr, "    %s\n", rd->run.fail);
    if (!ok && getenv("CAIRN_MODEL_NO_SHRINK") == NULL)
        shrink(rd, ops, op_nr);
    EXPECT_STR_EQ(rd->run.fail, "");
    free(ops);
    free(rd);
    return ok;
}

/* `total` operations in rounds of `each`; every third round with hashes that collide. */
static void
rounds(uint64_t total, uint32_t each)
{
    static const uint64_t masks[] = {UINT64_MAX, UINT64_MAX, 3, UINT64_MAX, UINT64_MAX, 0};
    struct ref_sums sums = {0};

    for (uint64_t done = 0, i = 0; done < total && !test_failed(); done += each, i++) {
        if (!one_round(test_seed() + i, each, masks[i % ARRAY_SIZE(masks)], &sums))
            return;
    }
    fprintf(
        stderr, "    %llu at given epochs, %llu of them done, %llu refused without need; %llu restarts, %llu replays, %llu listings\n",
        (unsigned long long)sums.given_nr, (unsigned long long)sums.given_done_nr,
        (unsigned long long)sums.spurious_nr, (unsigned long long)sums.restart_nr,
        (unsigned long long)sums.replay_nr, (unsigned long long)sums.list_nr);
    fprintf(stderr,
        "    %llu aggregations: %llu versions dropped, %llu extents merged, %llu cut, of them %llu "
        "for a snapshot, %llu beside holes, %llu summed anew; %llu merges for a snapshot\n",
        (unsigned long long)sums.agg_nr, (unsigned long long)sums.agg_del_nr,
        (unsigned long long)sums.agg_merge_nr, (unsigned long long)sums.agg_cut_nr,
        (unsigned long long)probe_hits("vos.agg.cut_for_snapshot"),
        (unsigned long long)probe_hits("vos.agg.cut_beside_hole"),
        (unsigned long long)probe_hits("vos.agg.cut_sums_anew"),
        (unsigned long long)probe_hits("vos.agg.merge_for_snapshot"));
    fprintf(stderr, "    %llu iterations: %llu things that are hidden or gone\n",
        (unsigned long long)sums.iter_nr, (unsigned long long)sums.iter_hidden_nr);
    fprintf(stderr,
        "    %llu transactions prepared, %llu of them at given epochs, %llu further parts, %llu "
        "made committable, %llu committed, %llu aborted, "
        "%llu alone, %llu sent again, %llu outcomes forgotten; more than two open %llu times\n",
        (unsigned long long)sums.tx_nr, (unsigned long long)sums.tx_given_nr,
        (unsigned long long)sums.part_nr, (unsigned long long)sums.ready_nr,
        (unsigned long long)sums.commit_nr, (unsigned long long)sums.abort_nr,
        (unsigned long long)sums.solo_nr, (unsigned long long)sums.tx_replay_nr,
        (unsigned long long)sums.forget_nr, (unsigned long long)sums.tx_many_nr);
    fprintf(stderr,
        "    %llu changes and %llu reads told to ask, %llu reads that pass; beside open ones %llu "
        "aggregations and %llu discards; %llu of %llu reads and %llu of %llu changes with a bound "
        "uncertain\n",
        (unsigned long long)sums.waited_nr, (unsigned long long)(sums.asked_nr - sums.waited_nr),
        (unsigned long long)sums.passed_nr, (unsigned long long)sums.agg_beside_nr,
        (unsigned long long)sums.discard_beside_nr, (unsigned long long)sums.uncertain_nr,
        (unsigned long long)sums.bound_nr, (unsigned long long)sums.mod_uncertain_nr,
        (unsigned long long)sums.mod_bound_nr);
    /* The mix must be one in which something happens. */
    EXPECT_GT(sums.given_done_nr, total / 100);
    EXPECT_LT(sums.spurious_nr, sums.given_nr / 3);
    EXPECT_GT(sums.replay_nr, total / 500);
    EXPECT_GT(sums.list_nr, total / 100);
    if (total < 10000)
        return; /* too few to tell */
    EXPECT_GT(sums.agg_del_nr, total / 500);
    EXPECT_GT(sums.iter_nr, total / 200);
    EXPECT_GT(sums.iter_hidden_nr, total / 1000);
    EXPECT_GT(sums.commit_nr, total / 500);
    EXPECT_GT(sums.abort_nr, total / 500);
    EXPECT_GT(sums.part_nr, total / 1000);
    EXPECT_GT(sums.waited_nr, total / 500);
    EXPECT_GT(sums.asked_nr - sums.waited_nr, total / 500);
    EXPECT_GT(sums.passed_nr, total / 200);
    EXPECT_GT(sums.tx_given_nr, total / 1000);
    EXPECT_GT(sums.tx_many_nr, total / 1000);
    EXPECT_GT(sums.ready_nr, total / 1000);
    EXPECT_GT(sums.solo_nr, total / 2000);
    EXPECT_GT(sums.forget_nr, total / 2000);
    EXPECT_GT(sums.bound_nr, total / 200);
    EXPECT_GT(sums.uncertain_nr, total / 1000);
    EXPECT_GT(sums.mod_uncertain_nr, total / 2000);
    EXPECT_GT(sums.mod_bound_nr, total / 500);
    if (total < 100000)
        return;
    EXPECT_GT(sums.agg_beside_nr, total / 5000);
    EXPECT_GT(sums.discard_beside_nr, total / 20000);
    EXPECT_GT(sums.agg_cut_nr, total / 10000);
    EXPECT_GT(probe_hits("vos.agg.cut_for_snapshot"), total / 50000);
    EXPECT_GT(probe_hits("vos.agg.cut_beside_hole"), total / 50000);
    EXPECT_GT(probe_hits("vos.agg.cut_sums_anew"), total / 50000);
    EXPECT_GT(probe_hits("vos.agg.merge_for_snapshot"), total / 50000);
}

TEST_ON(vos_model, short_1000_operations, BACKEND_LINUX | BACKEND_SIM)
{
    rounds(1000, 500);
}

TEST_ON(vos_model, short_10000_operations, BACKEND_SIM)
{
    rounds(10000, 2000);
}

TEST_ON(vos_model, release_200000_operations, BACKEND_SIM)
{
    rounds(200000, 5000);
}

TEST_ON(vos_model, long_10000000_operations, BACKEND_SIM)
{
    rounds(10000000, 20000);
}
