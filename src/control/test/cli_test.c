/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: what the command lines share: options in every form and order, sizes, one-line errors, the JSON envelope. Method: tables, and a child whose output is read. */
#include "control/cli/cli_prop.h"

#include "base/err.h"
#include "base/util.h"
#include "harness/harness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------------------------------------------------------- */

struct parsed {
    const char *size, *label;
    bool force;
    const char *words[2];
    uint32_t nr;
    struct cli cli;
};

static int
parse(struct parsed *p, const char *line)
{
    const struct cli_opt opts[] = {
        {.name = "size", .letter = 'z', .value = &p->size},
        {.name = "label", .value = &p->label},
        {.name = "force", .letter = 'f', .is_flag = true, .flag = &p->force},
        {0},
    };
    static char copy[256];
    char *argv[16];
    int argc = 0;

    *p = (struct parsed){.cli = {.prog = "prog"}};
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *save = NULL, *word = strtok_r(copy, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        argv[argc++] = word;
    }
    return cli_parse(&p->cli, argc, argv, opts, p->words, 2, &p->nr);
}

TEST(cli, options)
{
    struct parsed p;

    EXPECT_OK(parse(&p, ""));
    EXPECT_EQ(p.nr, 0);
    EXPECT_OK(parse(&p, "one --size=5 -f two"));
    EXPECT_EQ(p.nr, 2);
    EXPECT_STR_EQ(p.words[0], "one");
    EXPECT_STR_EQ(p.words[1], "two");
    EXPECT_STR_EQ(p.size, "5");
    EXPECT(p.force);
    EXPECT_OK(parse(&p, "--size 5 --force"));
    EXPECT_STR_EQ(p.size, "5");
    EXPECT_OK(parse(&p, "-z 5"));
    EXPECT_STR_EQ(p.size, "5");
    EXPECT_OK(parse(&p, "-z5"));
    EXPECT_STR_EQ(p.size, "5");
    EXPECT_OK(parse(&p, "-z=5 --label="));
    EXPECT_STR_EQ(p.size, "5");
    EXPECT_STR_EQ(p.label, "");
    EXPECT_OK(parse(&p, "-")); /* a word */
    EXPECT_EQ(p.nr, 1);
    EXPECT_ERR(parse(&p, "a b c"), INVAL);
    EXPECT_STR_EQ(p.cli.err, "c: one argument too many; see prog --help");
    EXPECT_ERR(parse(&p, "--siz 5"), INVAL);
    EXPECT_STR_EQ(p.cli.err, "--siz: no such option here; see prog --help");
    EXPECT_ERR(parse(&p, "--sizes=5"), INVAL);
    EXPECT_ERR(parse(&p, "-q"), INVAL);
    EXPECT_ERR(parse(&p, "--size"), INVAL);
    EXPECT_STR_EQ(p.cli.err, "--size needs a value");
    EXPECT_ERR(parse(&p, "--force=yes"), INVAL);
    EXPECT_STR_EQ(p.cli.err, "--force takes no value");
}

/* ---- sizes ---------------------------------------------------------------------------------------------------------------- */

TEST(cli, sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"1K", 1000},
        {"1KB", 1000},
        {"1kb", 1000},
        {"1KiB", 1024},
        {"1.5MiB", 1572864},
        {"10GiB", UINT64_C(10) << 30},
        {"2 TB", UINT64_C(2000000000000)},
        {"1PiB", UINT64_C(1) << 50},
        {"7EiB", UINT64_C(7) << 60},
    };
    static const char *const bad[] = {
        "", "x", "-1", "1X", "1KBB", "1 2", "1Ki B", "nan", "1e30", "9EiB", "10 000", "KiB"};
    static const struct {
        uint64_t bytes;
        const char *text;
    } texts[] = {
        {0, "0 B"},
        {999, "999 B"},
        {1000, "1.0 KB"},
        {1536000, "1.5 MB"},
        {UINT64_C(268435456), "268.4 MB"},
        {UINT64_MAX, "18.4 EB"},
    };
    uint64_t bytes;
    char buf[24];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        bytes = 77;
        if (!EXPECT_OK(cli_size_parse(good[i].text, &bytes)) || !EXPECT_EQ(bytes, good[i].bytes))
            fprintf(stderr, "    %s\n", good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (!EXPECT_ERR(cli_size_parse(bad[i], &bytes), INVAL))
            fprintf(stderr, "    '%s'\n", bad[i]);
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        EXPECT_STR_EQ(cli_size_text(texts[i].bytes, buf, sizeof(buf)), texts[i].text);
    }
}

/* ---- what a command leaves ----------------------------------------------------------------------------------------------------- */

/* Run cli_finish() in a child; its exit code, and what it printed to both. */
static int
finish(bool is_json, int rc, const char *err, json_t *response, char *out, char *errors, size_t room)
{
    int fds[2][2], status;
    char *bufs[2] = {out, errors};

    if (pipe(fds[0]) != 0 || pipe(fds[1]) != 0)
        return -1;
    if (fork() == 0) {
        struct cli cli = {.prog = "prog", .is_json = is_json};

        dup2(fds[0][1], STDOUT_FILENO);
        dup2(fds[1][1], STDERR_FILENO);
        if (err != NULL)
            (void)cli_fail(&cli, rc, "%s", err);
        rc = cli_finish(&cli, rc, response);
        fflush(stdout);
        _exit(rc);
    }
    json_decref(response);
    for (int i = 0; i < 2; i++) {
        size_t len = 0;
        ssize_t nr;

        close(fds[i][1]);
        while (len + 1 < room && (nr = read(fds[i][0], bufs[i] + len, room - len - 1)) > 0) {
            len += (size_t)nr;
        }
        bufs[i][len] = '\0';
        close(fds[i][0]);
    }
    return wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(cli, outcomes)
{
    enum { ROOM = 1024 };
    char out[ROOM], err[ROOM];
    json_t *json;

    EXPECT_EQ(finish(false, 0, NULL, json_string("x"), out, err, ROOM), 0);
    EXPECT_STR_EQ(out, "");
    EXPECT_STR_EQ(err, "");
    EXPECT_EQ(finish(false, -DER_NONEXIST, "pool tank: no such label", NULL, out, err, ROOM), 1);
    EXPECT_STR_EQ(out, "");
    EXPECT_STR_EQ(err, "prog: ERROR: pool tank: no such label (DER_NONEXIST -1005)\n");
    EXPECT_EQ(finish(false, -DER_NOMEM, NULL, NULL, out, err, ROOM), 1); /* the code speaks for itself */
    EXPECT(strstr(err, "prog: ERROR: ") == err && strstr(err, "(DER_NOMEM -1009)\n") != NULL);

    EXPECT_EQ(finish(true, 0, NULL, json_pack("{s:i}", "n", 5), out, err, ROOM), 0);
    json = json_loads(out, 0, NULL);
    EXPECT_EQ(json_integer_value(json_object_get(json_object_get(json, "response"), "n")), 5);
    EXPECT(json_is_null(json_object_get(json, "error")));
    EXPECT_EQ(json_integer_value(json_object_get(json, "status")), 0);
    EXPECT_EQ(json_object_size(json), 3);
    json_decref(json);
    EXPECT_EQ(
        finish(true, -DER_BUSY, "it \"is\" open", json_pack("{s:i}", "n", 5), out, err, ROOM), 1);
    EXPECT_STR_EQ(err, "");
    json = json_loads(out, 0, NULL);
    EXPECT(json_is_null(json_object_get(json, "response")));
    EXPECT_STR_EQ(json_string_value(json_object_get(json, "error")), "it \"is\" open");
    EXPECT_EQ(json_integer_value(json_object_get(json, "status")), -DER_BUSY);
    json_decref(json);
    EXPECT_EQ(finish(true, 0, NULL, NULL, out, err, ROOM), 0);
    EXPECT(strstr(out, "\"response\": null") != NULL);
}

/* ---- options of all commands ---------------------------------------------------------------------------------------------- */

TEST(cli, options_anywhere)
{
    static const struct {
        const char *line, *left, *system;
        bool is_json;
    } cases[] = {
        {"pool list", "pool list", NULL, false},
        {"-j pool list", "pool list", NULL, true},
        {"pool --json list", "pool list", NULL, true},
        {"pool list -G one", "pool list", "one", false},
        {"--sys-name=one pool -G two list --sys-name three", "pool list", "three", false},
        {"--sys-name= pool", "pool", "", false},
        {"pool -o file list --config-path=file -i", "pool list", NULL, false},
        {"pool list -G", "pool list -G", NULL, false}, /* none follows: for the command to refuse */
        {"pool --jsonx --json=1 --sys-namex=3 -Gx x", "pool --jsonx --json=1 --sys-namex=3 -Gx x",
            NULL, false},
        {"", "", NULL, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool is_json = false;
        const char *system = NULL;
        const struct cli_opt opts[] = {
            {.name = "json", .letter = 'j', .is_flag = true, .flag = &is_json},
            {.name = "sys-name", .letter = 'G', .value = &system},
            {.name = "config-path", .letter = 'o'},
            {.name = "insecure", .letter = 'i', .is_flag = true},
            {0},
        };
        char copy[128], left[128] = "", *argv[16], *save = NULL;
        int argc = 0, nr;

        snprintf(copy, sizeof(copy), "%s", cases[i].line);
        for (char *word = strtok_r(copy, " ", &save); word != NULL;
             word = strtok_r(NULL, " ", &save)) {
            argv[argc++] = word;
        }
        nr = cli_take(opts, argc, argv);
        for (int k = 0; k < nr; k++) {
            strcat(strcat(left, k > 0 ? " " : ""), argv[k]);
        }
        EXPECT_STR_EQ(left, cases[i].left);
        EXPECT_EQ(is_json, cases[i].is_json);
        EXPECT_STR_EQ(system == NULL ? "(none)" : system,
            cases[i].system == NULL ? "(none)" : cases[i].system);
    }
}

/* ---- properties ------------------------------------------------------------------------------------------------------------- */

static bool
known_get(void *arg, const struct cli_prop *prop, struct cli_prop_value *ret_value)
{
    const uint64_t *nums = arg;

    ret_value->num = nums[prop->number];
    ret_value->str = "some text";
    ret_value->json = prop->kind == CLI_PROP_JSON ? json_pack("[i]", 7) : NULL;
    return nums[prop->number] != UINT64_MAX;
}

TEST(cli, properties)
{
    static const struct cli_prop props[] = {
        {"bits", 0, "Bits", CLI_PROP_NAMES, .named = {{"four", 4}, {"one", 1}}},
        {"json", 1, "Json", CLI_PROP_JSON, .named = {{0}}},
        {"number", 2, "Number", CLI_PROP_NUMBER, .named = {{0}}},
        {"part", 3, "Part", CLI_PROP_PERCENT, .named = {{0}}},
        {"size", 4, "Size", CLI_PROP_SIZE, .named = {{0}}},
        {"text", 5, "Text", CLI_PROP_TEXT, .named = {{0}}},
        {"word", 6, "Word", CLI_PROP_NAME, .named = {{"off", 0}, {"on", 1}}},
    };
    static const char *const old[][2] = {{"former", "word"}};
    static const struct cli_prop_table table = {props, ARRAY_SIZE(props), old, ARRAY_SIZE(old)};
    struct cli cli = {.prog = "prog", .is_json = true};
    uint64_t nums[] = {5, 0, 12, 34, 1500, 0, 1};
    struct cli_wanted wanted;
    json_t *list;
    char *text;

    EXPECT_OK(cli_wanted_parse(&cli, &table, NULL, &wanted));
    list = cli_props_show(&cli, "All", &wanted, known_get, nums);
    EXPECT_EQ(json_array_size(list), ARRAY_SIZE(props));
    text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    EXPECT_STR_EQ(text,
        "[{\"description\":\"Bits\",\"name\":\"bits\",\"value\":\"four;one\"},"
        "{\"description\":\"Json\",\"name\":\"json\",\"value\":[7]},"
        "{\"description\":\"Number\",\"name\":\"number\",\"value\":12},"
        "{\"description\":\"Part\",\"name\":\"part\",\"value\":34},"
        "{\"description\":\"Size\",\"name\":\"size\",\"value\":1500},"
        "{\"description\":\"Text\",\"name\":\"text\",\"value\":\"some text\"},"
        "{\"description\":\"Word\",\"name\":\"word\",\"value\":\"on\"}]");
    free(text);
    json_decref(list);

    /* What is asked for, in that order; a number without a name; nothing known. */
    nums[6] = 9;
    nums[2] = UINT64_MAX;
    EXPECT_OK(cli_wanted_parse(&cli, &table, "former,number,bits", &wanted));
    EXPECT_EQ(wanted.nr, 3);
    list = cli_props_show(&cli, "Some", &wanted, known_get, nums);
    text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    EXPECT_STR_EQ(text,
        "[{\"description\":\"Word\",\"name\":\"word\",\"value\":\"9\"},"
        "{\"description\":\"Bits\",\"name\":\"bits\",\"value\":\"four;one\"}]");
    free(text);
    json_decref(list);
    EXPECT_ERR(cli_wanted_parse(&cli, &table, "word,none", &wanted), INVAL);
    EXPECT_STR_EQ(cli.err, "unknown property \"none\"");
    EXPECT_ERR(cli_wanted_parse(&cli, &table, ",", &wanted), INVAL);
    EXPECT_STR_EQ(cli.err, "expected names of properties: NAME,NAME");
}
