/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos filesystem. */
#include "base/err.h"
#include "client/core/client_tools.h"
#include "control/cli_user/cli_copy.h"
#include "control/cli_user/cli_daos.h"

#include <daos_fs.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A side of a copy as the user names it: a path, or daos://pool/container[/path]. */
struct place {
    char pool[DAOS_PROP_LABEL_MAX_LEN + 1], cont[DAOS_PROP_LABEL_MAX_LEN + 1], path[PATH_MAX];
    bool is_daos;
    daos_handle_t poh, coh;
    dfs_t *dfs;
};

static int
place_parse(struct cli *cli, const char *text, struct place *ret_place)
{
    static const char scheme[] = "daos://";
    const char *pool, *cont, *path;

    if (strncasecmp(text, scheme, strlen(scheme)) != 0) {
        if (realpath(text, ret_place->path) == NULL) {
            char cwd[PATH_MAX];

            if (errno != ENOENT)
                return cli_fail(cli, -DER_INVAL, "%s: %s", text, strerror(errno));
            if (text[0] == '/') {
                cwd[0] = '\0';
            } else if (getcwd(cwd, sizeof(cwd)) == NULL)
                return cli_fail(cli, -DER_INVAL, "%s: %s", text, strerror(errno));
            if (snprintf(ret_place->path, sizeof(ret_place->path), "%s%s%s", cwd,
                    cwd[0] != '\0' ? "/" : "", text) >= (int)sizeof(ret_place->path))
                return cli_fail(cli, -DER_INVAL, "%s: the path is too long", text);
        }
        return 0;
    }
    pool = text + strlen(scheme);
    cont = strchr(pool, '/');
    if (cont == NULL || cont == pool || cont[1] == '\0' || cont[1] == '/')
        return cli_fail(cli, -DER_INVAL, "%s: expected daos://POOL/CONTAINER[/PATH]", text);
    path = strchr(cont + 1, '/');
    if (path == NULL)
        path = cont + strlen(cont);
    if ((size_t)(cont - pool) >= sizeof(ret_place->pool) ||
        (size_t)(path - cont) > sizeof(ret_place->cont) || strlen(path) >= sizeof(ret_place->path))
        return cli_fail(cli, -DER_INVAL, "%s: a name is too long", text);
    ret_place->is_daos = true;
    memcpy(ret_place->pool, pool, (size_t)(cont - pool));
    memcpy(ret_place->cont, cont + 1, (size_t)(path - cont - 1));
    (void)snprintf(ret_place->path, sizeof(ret_place->path), "%s", path[0] != '\0' ? path : "/");
    return 0;
}

/* Open the container of a place; a destination that is not there is created, once the source was found. */
static int
place_open(struct cli *cli, struct place *place, bool is_dst)
{
    int rc;

    if (!place->is_daos) {
        struct stat st;

        if (!is_dst && stat(place->path, &st) != 0) {
            return cli_fail(
                cli, err_from_errno(errno), "cannot look at %s: %s", place->path, strerror(errno));
        }
        return 0;
    }
    rc = cli_daos_pool_open(cli, place->pool, is_dst ? DAOS_PC_RW : DAOS_PC_RO, &place->poh);
    if (rc != 0)
        return rc;
    rc = daos_cont_open(
        place->poh, place->cont, is_dst ? DAOS_COO_RW : DAOS_COO_RO, &place->coh, NULL, NULL);
    if (rc == -DER_NONEXIST && is_dst) {
        rc = dfs_cont_create_with_label(place->poh, place->cont, NULL, NULL, NULL, NULL);
        if (rc == 0 || rc == EEXIST) {
            rc = daos_cont_open(place->poh, place->cont, DAOS_COO_RW, &place->coh, NULL, NULL);
        } else {
            rc = err_from_errno(rc);
        }
    }
    if (rc != 0)
        return cli_fail(cli, rc, "container %s: %s", place->cont, cli_daos_remedy(rc));
    rc = dfs_mount(place->poh, place->coh, is_dst ? O_RDWR : O_RDONLY, &place->dfs);
    if (rc == EINVAL) {
        return cli_fail(cli, -DER_INVAL,
            "container %s holds no file system: create one with --type POSIX", place->cont);
    }
    rc = err_from_errno(rc);
    return rc == 0 ? 0 : cli_fail(cli, rc, "container %s: %s", place->cont, cli_daos_remedy(rc));
}

static void
place_close(struct place *place)
{
    if (place->dfs != NULL)
        CAIRN_IGNORE(dfs_umount(place->dfs)); /* everything acknowledged is durable already */
    if (daos_handle_is_valid(place->coh))
        CAIRN_IGNORE(daos_cont_close(place->coh, NULL)); /* likewise */
    if (daos_handle_is_valid(place->poh))
        CAIRN_IGNORE(daos_pool_disconnect(place->poh, NULL)); /* likewise */
}

static int
workers_parse(struct cli *cli, const char *text, uint32_t *ret_nr)
{
    unsigned long nr;
    char *end;

    nr = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || nr == 0 || nr > COPY_WORKERS_NR_MAX) {
        return cli_fail(
            cli, -DER_INVAL, "--workers %s: expected 1 to %d", text, (int)COPY_WORKERS_NR_MAX);
    }
    *ret_nr = (uint32_t)nr;
    return 0;
}

/* A tree copied into itself would never end. */
static int
places_check(struct cli *cli, const struct place *src, const struct place *dst)
{
    size_t len = strlen(src->path);

    if (src->is_daos != dst->is_daos || strcmp(src->pool, dst->pool) != 0 ||
        strcmp(src->cont, dst->cont) != 0)
        return 0;
    while (len > 0 && src->path[len - 1] == '/') {
        len--;
    }
    if (strncmp(src->path, dst->path, len) == 0 && (dst->path[len] == '/' || dst->path[len] == '\0'))
        return cli_fail(cli, -DER_INVAL, "the destination lies inside the source: choose another");
    return 0;
}

static int
progress_parse(struct cli *cli, const char *text, enum copy_progress *ret_progress)
{
    if (text == NULL) {
        *ret_progress =
            !cli->is_json && isatty(STDERR_FILENO) ? COPY_PROGRESS_BAR : COPY_PROGRESS_NONE;
    } else if (strcmp(text, "lines") == 0) {
        *ret_progress = COPY_PROGRESS_LINES;
    } else if (strcmp(text, "bar") == 0) {
        *ret_progress = COPY_PROGRESS_BAR;
    } else {
        return cli_fail(cli, -DER_INVAL, "--progress %s: expected bar or lines", text);
    }
    return 0;
}

static int
args_parse(struct cli *cli, int argc, char **argv, struct place *src, struct place *dst,
    struct copy_opts *copy_opts)
{
    const char *src_text = NULL, *dst_text = NULL, *progress = NULL, *workers = NULL, *words[1];
    bool preserve = false;
    const struct cli_opt opts[] = {
        {.name = "src", .letter = 's', .value = &src_text},
        {.name = "dst", .letter = 'd', .value = &dst_text},
        {.name = "progress", .value = &progress},
        {.name = "workers", .value = &workers},
        {.name = "preserve-props", .letter = 'm', .is_flag = true, .flag = &preserve},
        {0},
    };
    uint32_t nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 0, &nr);

    if (rc == 0 && (src_text == NULL || dst_text == NULL)) {
        rc = cli_fail(cli, -DER_INVAL,
            "expected --src=PLACE --dst=PLACE; a place is a path or daos://POOL/CONTAINER[/PATH]");
    }
    if (rc == 0 && preserve)
        rc = cli_fail(cli, -DER_NOSYS, "--preserve-props is still to come");
    if (rc == 0 && workers != NULL)
        rc = workers_parse(cli, workers, &copy_opts->workers_nr);
    if (rc == 0)
        rc = progress_parse(cli, progress, &copy_opts->progress);
    if (rc == 0)
        rc = place_parse(cli, src_text, src);
    if (rc == 0)
        rc = place_parse(cli, dst_text, dst);
    return rc != 0 ? rc : places_check(cli, src, dst);
}

static json_t *
report(const struct cli *cli, const struct place *src, const struct place *dst,
    const struct copy_stats *stats)
{
    double seconds = stats->seconds > 0 ? stats->seconds : 1e-9;
    char size[24];

    if (!cli->is_json) {
        (void)printf("Successfully copied %llu directories, %llu files, %llu links, %s in %.2f s: "
                     "%.0f files/s, %.1f MB/s, %llu requests sent again\n",
            (unsigned long long)stats->dirs_nr, (unsigned long long)stats->files_nr,
            (unsigned long long)stats->links_nr, cli_size_text(stats->bytes, size, sizeof(size)),
            seconds, (double)(stats->files_nr + stats->links_nr) / seconds,
            (double)stats->bytes / seconds / 1e6, (unsigned long long)client_retried_nr());
        if (stats->hard_links_nr > 0) {
            (void)printf("%llu hard links were copied as files of their own\n",
                (unsigned long long)stats->hard_links_nr);
        }
        if (stats->left_nr > 0) {
            (void)printf("%llu owners or extended attributes were left out: the destination does "
                         "not take them\n",
                (unsigned long long)stats->left_nr);
        }
    }
    return json_pack("{s:s, s:s, s:{s:I, s:I, s:I, s:I}, s:I, s:I, s:I, s:I, s:f}", "source_type",
        src->is_daos ? "DAOS" : "POSIX", "destination_type", dst->is_daos ? "DAOS" : "POSIX",
        "copy_stats", "num_dirs", (json_int_t)stats->dirs_nr, "num_files",
        (json_int_t)stats->files_nr, "num_links", (json_int_t)stats->links_nr, "fs_skipped",
        (json_int_t)stats->skipped_nr, "bytes", (json_int_t)stats->bytes, "retried_requests",
        (json_int_t)client_retried_nr(), "hard_links_as_files", (json_int_t)stats->hard_links_nr,
        "attributes_left", (json_int_t)stats->left_nr, "seconds", stats->seconds);
}

int
cli_daos_fs_copy(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    struct place *src = calloc(1, sizeof(*src)), *dst = calloc(1, sizeof(*dst));
    struct copy_opts opts = {.progress_to = stderr, .retried_nr = client_retried_nr};
    struct copy_stats stats = {0};
    char err[CLI_ERR_BYTES - 64] = "";
    int rc = src == NULL || dst == NULL ? -DER_NOMEM : args_parse(cli, argc, argv, src, dst, &opts);

    if (rc == 0)
        rc = place_open(cli, src, false);
    if (rc == 0)
        rc = place_open(cli, dst, true);
    if (rc != 0)
        goto out;
    opts.src = (struct copy_side){.dfs = src->dfs, .path = src->path};
    opts.dst = (struct copy_side){.dfs = dst->dfs, .path = dst->path};
    rc = copy_run(&opts, &stats, err, sizeof(err));
    if (rc != 0) {
        rc = cli_fail(cli, err_from_errno(rc), "%s%s", err,
            rc == ENOSPC && dst->is_daos ? "; `daos pool query` shows what is left" : "");
        goto out;
    }
    *ret_response = report(cli, src, dst, &stats);
out:
    if (src != NULL)
        place_close(src);
    if (dst != NULL)
        place_close(dst);
    free(src);
    free(dst);
    return rc;
}
