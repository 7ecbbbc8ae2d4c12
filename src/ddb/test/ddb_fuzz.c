/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: every command of ddb on a store that is damaged behind its checksums. The input changes the image of vos_fuzz_img.h; of its flags, 4: text instead of JSON. Each command
 * ends (DDB-3), nothing is written (DDB-1: the disks abort), an answer is JSON, and where `check` says "sound" nothing else meets damage (DDB-4).
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "ddb/ddb.h"
#include "plat/plat_sim.h"
#include "vos/test/vos_fuzz_img.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STACK_BYTES = 1 << 20, WORD_BYTES = 32 };

static struct {
    struct sim *sim;
    struct ddb d;
    bool is_plain; /* the image as it is */
    bool is_sound;
    bool is_done;
} st;

static const struct {
    ddb_cmd_fn run;
    bool needs_store;
    const char *words[3];
} commands[] = {
    {ddb_cmd_check, false, {"check"}}, /* first: of what was just opened */
    {ddb_cmd_ls, true, {"ls", "-r", "-d"}},
    {ddb_cmd_ls, true, {"ls", "/[0]/[0]/[1]"}},
    {ddb_cmd_value, true, {"value_dump", "/[0]/[0]/[0]/[0]/[0]"}},
    {ddb_cmd_value, true, {"value_dump", "/[0]/[0]/[0]/[0]/[1]/[0]"}},
    {ddb_cmd_ilog, true, {"ilog_dump", "/[0]/[0]/[0]"}},
    {ddb_cmd_dtx, true, {"dtx_dump", "/[0]/[0]"}},
    {ddb_cmd_stat, true, {"stat"}},
    {ddb_cmd_reqs, true, {"req_dump"}},
    {ddb_cmd_gc, true, {"gc_dump"}},
    {ddb_cmd_superblock, false, {"superblock_dump"}},
    {ddb_cmd_devs, false, {"dev_list"}},
    {ddb_cmd_ckpt, false, {"ckpt_dump"}},
    {ddb_cmd_map, false, {"map_dump"}},
    {ddb_cmd_log, false, {"log_dump", "--ranges"}},
    {ddb_cmd_arena, false, {"arena_dump"}},
    {ddb_cmd_vea, false, {"vea_dump"}},
};

static void
command_run(struct ddb *d, size_t i)
{
    char mem[3][WORD_BYTES], *words[3], *text;
    uint32_t nr = 0;
    int rc;

    for (; nr < ARRAY_SIZE(words) && commands[i].words[nr] != NULL; nr++) {
        (void)snprintf(mem[nr], WORD_BYTES, "%s", commands[i].words[nr]);
        words[nr] = mem[nr];
    }
    d->response = json_object();
    rc = commands[i].run(d, nr, words);
    if (i == 0 && rc == 0 && !d->has_verdict)
        abort(); /* no verdict */
    if (i == 0)
        st.is_sound = rc == 0 && d->verdict == DDB_OK;
    if (i == 0 && st.is_plain && !st.is_sound)
        abort();
    if (i == 1 && st.is_sound && (rc != 0 || d->finding_nr > 0)) {
        fprintf(stderr, "sound, and then: %d %s\n", rc, d->findings != NULL ? d->findings->text : "");
        abort();
    }
    text = json_dumps(d->response, JSON_COMPACT);
    if (text == NULL)
        abort();
    free(text);
    json_decref(d->response);
    d->response = NULL;
    ddb_findings_clear(d);
}

static void
ddb_use(void *arg)
{
    struct ddb *d = &st.d;

    (void)arg;
    if (ddb_open_at(d) == 0) {
        if (st.is_plain && d->vos == NULL)
            abort();
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
            if (d->vos != NULL || !commands[i].needs_store)
                command_run(d, i);
        }
        ddb_close(d);
    }
    ddb_findings_clear(d);
    st.is_done = true;
}

static void
reap(void *arg)
{
    (void)arg;
    xstream_stop(st.d.xs);
    xstream_abandon(st.d.xs);
    xstream_destroy(st.d.xs);
}

static bool
is_done(void *arg)
{
    (void)arg;
    return st.is_done;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct xstream_opts xopts = {.name = "f", .cpu = UINT32_MAX, .stack_bytes = STACK_BYTES};
    struct sim_opts opts = {.seed = 1};
    FILE *out = fopen("/dev/null", "w");
    struct ddb *d = &st.d;

    vos_fuzz_change(data, len);
    st.is_plain = vos_fuzz_is_plain(data, len);
    memset(d, 0, sizeof(*d));
    d->is_json = len == 0 || (data[0] & 4) == 0;
    d->out = out;
    d->path = "/m";
    d->findings_end = &d->findings;
    (void)snprintf(d->cfg.dir, sizeof(d->cfg.dir), "/m");
    if (out == NULL || sim_create(&opts, &st.sim) != 0 ||
        sim_node_start(st.sim, "h", "n", &d->plat) != 0)
        abort();
    vos_fuzz_disks(d->plat, true);
    if (xstream_create(d->plat, &xopts, &d->xs) != 0)
        abort();
    sim_node_on_kill(d->plat, reap, NULL);
    st.is_done = st.is_sound = false;
    log_sink_set(ddb_log_line, d, LOG_LEVEL_WARN);
    if (xstream_start(d->xs) != 0 || xstream_post(d->xs, ULT_SERVICE, ddb_use, NULL) != 0 ||
        sim_run_until(st.sim, is_done, NULL, UINT64_C(3600) * 1000000000) != 0)
        abort(); /* it never ends */
    log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
    sim_node_kill(st.sim, d->plat);
    sim_destroy(st.sim);
    vos_fuzz_restore();
    (void)fclose(out);
    return 0;
}
