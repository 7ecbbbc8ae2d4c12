/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * ddb: options, the commands, one after the other, and their output. Each command fills a JSON value with --json, the envelope of the other tools, and prints text
 * otherwise; each damaged place that it met is a line on standard error, or a member of "damage".
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "daos_version.h"
#include "ddb/ddb.h"
#include "plat/plat_linux.h"

struct command {
    const char *name, *words, *help;
    uint32_t words_min, words_max; /* behind the name */
    bool needs_store; /* the trees, not only the disks */
    ddb_cmd_fn run;
};

static const struct command commands[] = {
    {"ls", "[-r] [-d] [PATH]",
        "what lies below PATH; -r: all levels; -d: each version with address and checksums", 0, 3,
        true, ddb_cmd_ls},
    {"value_dump", "PATH [FILE] [--hex]", "bytes of a version, or of what is visible of an akey", 1,
        3, true, ddb_cmd_value},
    {"ilog_dump", "PATH", "creations and punches of an object, dkey or akey", 1, 1, true,
        ddb_cmd_ilog},
    {"dtx_dump", "CONTAINER",
        "transactions that are not decided, or not settled; outcomes of those that are", 1, 1, true,
        ddb_cmd_dtx},
    {"stat", "", "epochs, pools, containers: space, aggregation, scrubbing", 0, 0, true, ddb_cmd_stat},
    {"req_dump", "[POOL]", "request table: the newest request of each slot of each client", 0, 1,
        true, ddb_cmd_reqs},
    {"gc_dump", "", "destroyed things that wait for the collector", 0, 0, true, ddb_cmd_gc},
    {"superblock_dump", "", "superblocks of all roles", 0, 0, false, ddb_cmd_superblock},
    {"dev_list", "", "where the roles lie; label and table of devices", 0, 0, false, ddb_cmd_devs},
    {"ckpt_dump", "", "checkpoint headers", 0, 0, false, ddb_cmd_ckpt},
    {"map_dump", "[--used]", "slot map: leaves, and the pages of the arena", 0, 1, false, ddb_cmd_map},
    {"log_dump", "[--ranges]", "groups and records of the log that the next start replays", 0, 1,
        false, ddb_cmd_log},
    {"arena_dump", "", "metadata allocator: blocks and pages by size", 0, 0, false, ddb_cmd_arena},
    {"vea_dump", "", "extent space: free runs by size", 0, 0, false, ddb_cmd_vea},
    {"check", "[--no-data]", "everything; --no-data: values in the data role are not read", 0, 1,
        false, ddb_cmd_check},
};

static const char usage_text[] =
    "usage: ddb [OPTIONS] PATH [COMMAND [ARGUMENTS]]\n"
    "Looks into the storage of a stopped target; changes nothing. PATH: an engine's directory, a "
    "target's\n"
    "directory in it, or a device. Without a command: a shell (or lines on standard input).\n"
    "  -t, --target=N|sys    the target, where PATH holds several; sys: the engine's own store\n"
    "  -d, --device=DEVICE   a device with roles of the target (several times)\n"
    "  -s, --vos_path=PATH   PATH\n"
    "  -R, --run_cmd=LINE    run one command\n"
    "  -f, --cmd_file=FILE   run the commands in a file, one a line\n"
    "  -j, --json            machine-readable output\n"
    "  -v, --version   -h, --help\n"
    "exit status: 0 sound, or done; 1 something is damaged; 2 it cannot be opened, or wrong usage\n"
    "A tree path is POOL/CONTAINER/OBJECT/DKEY/AKEY/VERSION, as far as wanted. Each part is an "
    "index from 0\n"
    "in brackets, as in /[0]/[0]/[2], or a name: a UUID; HI.LO[.SHARD[.LAYOUT]]; a key as text, "
    "text{bytes},\n"
    "{uint64: N} or {bin: 0x...}; {first-last} of an extent, @EPOCH[.MINOR] of a version, or "
    "both.\n"
    "commands:\n";

/* ---- output --------------------------------------------------------------------------------------------------------- */

int
ddb_fail(struct ddb *d, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(d->err, sizeof(d->err), fmt, ap);
    va_end(ap);
    return rc;
}

void
ddb_found(struct ddb *d, const char *fmt, ...)
{
    char text[LOG_TEXT_BYTES_MAX];
    struct ddb_finding *f;
    size_t len;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (f = d->findings; f != NULL; f = f->next) {
        if (strcmp(f->text, text) == 0)
            return;
    }
    len = strlen(text) + 1;
    f = d->finding_nr < DDB_FINDINGS_NR_MAX ? malloc(sizeof(*f) + len) : NULL;
    d->finding_nr++;
    if (f == NULL) {
        d->unsaid_nr++;
        return;
    }
    f->next = NULL;
    memcpy(f->text, text, len);
    *d->findings_end = f;
    d->findings_end = &f->next;
}

void
ddb_findings_clear(struct ddb *d)
{
    while (d->findings != NULL) {
        struct ddb_finding *f = d->findings;

        d->findings = f->next;
        free(f);
    }
    d->findings_end = &d->findings;
    d->finding_nr = d->unsaid_nr = 0;
}

void
ddb_say(const struct ddb *d, const char *fmt, ...)
{
    va_list ap;

    if (d->is_json)
        return;
    va_start(ap, fmt);
    (void)vfprintf(d->out, fmt, ap);
    va_end(ap);
}

json_t *
ddb_u64(uint64_t v)
{
    char text[24];

    if (v <= INT64_MAX)
        return json_integer((json_int_t)v);
    (void)snprintf(text, sizeof(text), "%lu", (unsigned long)v);
    return json_string(text);
}

json_t *
ddb_hex(uint64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%#lx", (unsigned long)v);
    return json_string(text);
}

void
ddb_set(struct ddb *d, const char *name, json_t *value)
{
    if (d->is_json) {
        (void)json_object_set_new(d->response, name, value);
    } else {
        json_decref(value);
    }
}

void
ddb_row(struct ddb *d, const char *list, json_t *row)
{
    json_t *rows = d->is_json ? json_object_get(d->response, list) : NULL;

    if (d->is_json && rows == NULL) {
        rows = json_array();
        (void)json_object_set_new(d->response, list, rows);
    }
    if (rows != NULL) {
        (void)json_array_append_new(rows, row);
    } else {
        json_decref(row);
    }
}

/* What the components below say of damage. A device that answers late (bio_watch.c) is none. */
void
ddb_log_line(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    struct ddb *d = arg;

    (void)line;
    if (level <= LOG_LEVEL_WARN && strcmp(file, "bio_watch.c") != 0 &&
        (strncmp(file, "bio_", 4) == 0 || strncmp(file, "vos_", 4) == 0))
        ddb_found(d, "%s", text);
}

/* Print how a command ended. */
static enum ddb_exit
finish(struct ddb *d, int rc)
{
    enum ddb_exit code = d->has_verdict ? d->verdict : d->finding_nr > 0 ? DDB_DAMAGED : DDB_OK;

    if (rc != 0) {
        code = d->finding_nr > 0 && d->bio != NULL ? DDB_DAMAGED : DDB_FAILED;
        if (d->err[0] == '\0')
            (void)ddb_fail(d, rc, "%s", err_text(rc));
    }
    if (d->is_json) {
        json_t *damage = json_array();
        json_t *root;

        for (const struct ddb_finding *f = d->findings; f != NULL; f = f->next) {
            (void)json_array_append_new(damage, json_string(f->text));
        }
        root = json_pack("{s:o, s:o, s:o, s:i, s:i}", "response",
            rc == 0 ? json_incref(d->response) : json_null(), "damage", damage, "error",
            rc == 0 ? json_null() : json_string(d->err), "status", rc, "exit_status", (int)code);
        if (root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0)
            code = DDB_FAILED;
        (void)putchar('\n');
        json_decref(root);
    } else {
        (void)fflush(stdout);
        for (const struct ddb_finding *f = d->findings; f != NULL; f = f->next) {
            (void)fprintf(stderr, "ddb: damaged: %s\n", f->text);
        }
        if (d->unsaid_nr > 0)
            (void)fprintf(stderr, "ddb: damaged: and %u more places\n", d->unsaid_nr);
        if (rc != 0)
            (void)fprintf(stderr, "ddb: ERROR: %s (%s %d)\n", d->err, err_name(rc), rc);
    }
    (void)fflush(stdout);
    return code;
}

/* ---- commands ------------------------------------------------------------------------------------------------------- */

struct run {
    struct ddb *d;
    const struct command *cmd;
    uint32_t nr;
    char **words;
    int rc;
};

static void
run_ult(void *arg)
{
    struct run *r = arg;
    struct ddb *d = r->d;

    if (r->cmd == NULL) {
        ddb_close(d);
        r->rc = d->path == NULL ? 0 : ddb_open(d);
    } else if (d->bio == NULL) {
        r->rc = ddb_fail(d, -DER_UNINIT, "nothing is open: name a path, or use open PATH");
    } else if (r->cmd->needs_store && d->vos == NULL) {
        r->rc = ddb_fail(d, d->vos_rc, "the store cannot be read: %s", err_text(d->vos_rc));
    } else {
        r->rc = r->cmd->run(d, r->nr, r->words);
    }
    d->is_done = true;
}

static int
run_on_ult(struct ddb *d, const struct command *cmd, uint32_t nr, char **words)
{
    struct run r = {.d = d, .cmd = cmd, .nr = nr, .words = words};
    int rc;

    d->is_done = false;
    rc = xstream_drive_new(d->xs, ULT_SERVICE, run_ult, &r, &d->is_done);
    return rc != 0 ? rc : r.rc;
}

static void
help(FILE *to)
{
    (void)fputs(usage_text, to);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        char left[64];

        (void)snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].words);
        (void)fprintf(to, "  %-34s %s\n", left, commands[i].help);
    }
    (void)fputs("  open PATH, close, help, version, quit\n", to);
}

/* Words of a line: blanks part them, but not within braces or quotes, which go. In place. */
static int
split(struct ddb *d, char *line, char **words, uint32_t *ret_nr)
{
    char *to = line, quote = 0;
    uint32_t nr = 0, braces = 0;
    bool in_word = false;

    for (char *from = line; *from != '\0'; from++) {
        bool is_blank = *from == ' ' || *from == '\t' || *from == '\n' || *from == '\r';

        if (quote == 0 && braces == 0 && is_blank) {
            if (in_word)
                *to++ = '\0';
            in_word = false;
            continue;
        }
        if (!in_word) {
            if (nr == DDB_WORDS_NR_MAX)
                return ddb_fail(d, -DER_INVAL, "too many words in a line");
            words[nr++] = to;
            in_word = true;
        }
        if (quote != 0 ? *from == quote : *from == '"' || *from == '\'') {
            quote = quote != 0 ? 0 : *from;
            continue;
        }
        braces += quote == 0 && *from == '{';
        braces -= quote == 0 && *from == '}' && braces > 0;
        *to++ = *from;
    }
    *to = '\0';
    *ret_nr = nr;
    return quote == 0 && braces == 0 ? 0
                                     : ddb_fail(d, -DER_INVAL, "a quote or a brace is not closed");
}

static const struct command *
command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* *ret_quit: the shell ends. */
static int
dispatch(struct ddb *d, uint32_t nr, char **words, bool *ret_quit)
{
    const struct command *cmd = command_find(words[0]);

    if (strcmp(words[0], "quit") == 0 || strcmp(words[0], "exit") == 0 || strcmp(words[0], "q") == 0) {
        *ret_quit = true;
        return 0;
    }
    if (strcmp(words[0], "help") == 0) {
        if (!d->is_json)
            help(stdout);
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
            ddb_row(d, "commands",
                json_pack("{s:s, s:s, s:s}", "name", commands[i].name, "arguments",
                    commands[i].words, "help", commands[i].help));
        }
        return 0;
    }
    if (strcmp(words[0], "version") == 0) {
        ddb_say(d, "ddb version %s\n", CAIRN_VERSION);
        ddb_set(d, "version", json_string(CAIRN_VERSION));
        return 0;
    }
    if (strcmp(words[0], "open") == 0 || strcmp(words[0], "close") == 0) {
        if (nr != (words[0][0] == 'o' ? 2u : 1u)) {
            return ddb_fail(
                d, -DER_INVAL, "%s", words[0][0] == 'o' ? "open PATH" : "close takes nothing");
        }
        if (nr == 2 && strlen(words[1]) >= sizeof(d->path_mem))
            return ddb_fail(d, -DER_INVAL, "the path is too long");
        if (nr == 2)
            (void)snprintf(d->path_mem, sizeof(d->path_mem), "%s", words[1]);
        d->path = nr == 2 ? d->path_mem : NULL;
        ddb_unlock(d);
        return run_on_ult(d, NULL, 0, NULL);
    }
    if (cmd == NULL)
        return ddb_fail(d, -DER_INVAL, "%s: no such command: see help", words[0]);
    if (nr - 1 < cmd->words_min || nr - 1 > cmd->words_max)
        return ddb_fail(d, -DER_INVAL, "usage: %s %s", cmd->name, cmd->words);
    return run_on_ult(d, cmd, nr, words);
}

static enum ddb_exit
run_words(struct ddb *d, uint32_t nr, char **words, bool *ret_quit)
{
    enum ddb_exit code;
    int rc;

    d->err[0] = '\0';
    d->has_verdict = false;
    d->response = json_object();
    rc = dispatch(d, nr, words, ret_quit);
    code = *ret_quit ? DDB_OK : finish(d, rc);
    json_decref(d->response);
    d->response = NULL;
    d->is_fresh = false;
    ddb_findings_clear(d);
    return code;
}

static enum ddb_exit
run_line(struct ddb *d, char *line, bool *ret_quit)
{
    char *words[DDB_WORDS_NR_MAX];
    uint32_t nr = 0;
    int rc;

    d->err[0] = '\0';
    rc = split(d, line, words, &nr);
    if (rc != 0)
        return finish(d, rc);
    return nr == 0 || words[0][0] == '#' ? DDB_OK : run_words(d, nr, words, ret_quit);
}

/* Lines of a file; what the first bad one says is the exit code. */
static enum ddb_exit
run_stream(struct ddb *d, FILE *from, bool is_shell)
{
    static char line[DDB_LINE_BYTES_MAX];
    enum ddb_exit worst = DDB_OK;
    bool quit = false;

    while (!quit) {
        enum ddb_exit code;

        if (is_shell) {
            (void)fputs("$ ", stdout);
            (void)fflush(stdout);
        }
        if (fgets(line, sizeof(line), from) == NULL)
            break;
        if (strchr(line, '\n') == NULL && !feof(from)) {
            d->err[0] = '\0';
            return finish(
                d, ddb_fail(d, -DER_INVAL, "a line is longer than %d bytes", DDB_LINE_BYTES_MAX));
        }
        code = run_line(d, line, &quit);
        worst = MAX(worst, code);
    }
    return is_shell ? DDB_OK : worst;
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

struct options {
    const char *line, *file;
    bool is_help, is_version;
    char **words;
    uint32_t word_nr;
};

/* One option; *i moves over its value. */
static int
option(struct ddb *d, struct options *o, int argc, char **argv, int *i)
{
    static const struct {
        const char *name;
        char letter;
        bool has_value;
    } known[] = {{"target", 't', true}, {"device", 'd', true}, {"vos_path", 's', true},
        {"run_cmd", 'R', true}, {"cmd_file", 'f', true}, {"json", 'j', false},
        {"version", 'v', false}, {"help", 'h', false}};
    const char *arg = argv[*i], *value = NULL;
    char letter = 0;

    for (size_t k = 0; k < ARRAY_SIZE(known); k++) {
        size_t len = strlen(known[k].name);
        bool is_long = strncmp(arg, "--", 2) == 0 && strncmp(arg + 2, known[k].name, len) == 0 &&
            (arg[2 + len] == '\0' || arg[2 + len] == '=');

        if (!is_long && (arg[1] != known[k].letter || (arg[2] != '\0' && !known[k].has_value)))
            continue;
        letter = known[k].letter;
        value = is_long ? (arg[2 + len] == '=' ? arg + 3 + len : NULL)
                        : (arg[2] != '\0' ? arg + 2 + (arg[2] == '=') : NULL);
        if (!known[k].has_value && value != NULL)
            return ddb_fail(d, -DER_INVAL, "--%s takes no value", known[k].name);
        if (known[k].has_value && value == NULL) {
            if (*i + 1 == argc)
                return ddb_fail(d, -DER_INVAL, "--%s needs a value", known[k].name);
            value = argv[++*i];
        }
        break;
    }
    switch (letter) {
    case 't':
        d->tgt_text = value;
        return 0;
    case 'd':
        if (d->dev_nr == DDB_DEVS_NR_MAX)
            return ddb_fail(d, -DER_INVAL, "more than %d devices", DDB_DEVS_NR_MAX);
        d->devs[d->dev_nr++] = value;
        return 0;
    case 's':
        d->path = value;
        return 0;
    case 'R':
        o->line = value;
        return 0;
    case 'f':
        o->file = value;
        return 0;
    case 'j':
        d->is_json = true;
        return 0;
    case 'v':
        o->is_version = true;
        return 0;
    case 'h':
        o->is_help = true;
        return 0;
    default:
        return ddb_fail(d, -DER_INVAL, "%s: no such option: see ddb --help", arg);
    }
}

/* Options end at the command: what follows is its own. */
static int
options(struct ddb *d, struct options *o, int argc, char **argv)
{
    int i = 1;

    for (; i < argc; i++) {
        int rc;

        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            if (d->path != NULL)
                break;
            d->path = argv[i];
            continue;
        }
        rc = option(d, o, argc, argv, &i);
        if (rc != 0)
            return rc;
    }
    o->words = argv + i;
    o->word_nr = (uint32_t)(argc - i);
    if (o->word_nr > DDB_WORDS_NR_MAX)
        return ddb_fail(d, -DER_INVAL, "too many words");
    if ((o->line != NULL) + (o->file != NULL) + (o->word_nr > 0) > 1)
        return ddb_fail(d, -DER_INVAL, "give one of: a command, --run_cmd, --cmd_file");
    return 0;
}

static enum ddb_exit
run_all(struct ddb *d, struct options *o)
{
    enum ddb_exit code;
    bool quit = false;
    FILE *from;

    if (o->word_nr > 0)
        return run_words(d, o->word_nr, o->words, &quit);
    if (o->line != NULL) {
        char *line = strdup(o->line);

        code = line == NULL ? finish(d, -DER_NOMEM) : run_line(d, line, &quit);
        free(line);
        return code;
    }
    if (o->file == NULL)
        return run_stream(d, stdin, isatty(0) && isatty(1) && !d->is_json);
    from = fopen(o->file, "r");
    if (from == NULL)
        return finish(d, ddb_fail(d, err_from_errno(errno), "%s: %s", o->file, strerror(errno)));
    code = run_stream(d, from, false);
    (void)fclose(from);
    return code;
}

static enum ddb_exit
run_program(struct ddb *d, struct options *o)
{
    struct xstream_opts opts = {.name = "ddb", .cpu = UINT32_MAX, .stack_bytes = 1 << 20};
    enum ddb_exit code;
    int rc;

    rc = plat_linux_create(&d->plat);
    if (rc == 0)
        rc = xstream_create(d->plat, &opts, &d->xs);
    if (rc != 0)
        return finish(d, rc);
    log_sink_set(ddb_log_line, d, LOG_LEVEL_WARN);
    rc = d->path == NULL ? 0 : run_on_ult(d, NULL, 0, NULL);
    if (rc == 0) {
        code = run_all(d, o);
    } else {
        code = finish(d, rc);
    }
    ddb_findings_clear(d);
    d->path = NULL;
    (void)run_on_ult(d, NULL, 0, NULL);
    ddb_unlock(d);
    log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
    xstream_destroy(d->xs);
    plat_linux_destroy(d->plat);
    ddb_findings_clear(d);
    return code;
}

int
main(int argc, char **argv)
{
    struct ddb d = {.out = stdout, .findings_end = &d.findings};
    struct options o = {0};
    int rc = options(&d, &o, argc, argv);

    if (rc != 0)
        return (int)finish(&d, rc);
    if (o.is_help || argc == 1) {
        help(o.is_help ? stdout : stderr);
        return o.is_help ? DDB_OK : DDB_FAILED;
    }
    if (o.is_version) {
        (void)printf("ddb version %s\n", CAIRN_VERSION);
        return DDB_OK;
    }
    return (int)run_program(&d, &o);
}
