/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fuzz_replay: the main() of fuzz targets outside `make fuzz`. Runs the target on the empty input, on every file of its
 * corpus, and on a fixed number of seeded mutations of each, so that `make check` finds the cheap cases again with any
 * compiler. The target is libFuzzer's: LLVMFuzzerTestOneInput(). A crash is reported with what reproduces it.
 *
 * usage: fuzz_<name> [--seed N] [--mutations N] [corpus directory or file ...]
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REPLAY_INPUT_MAX (1u << 20)
#define REPLAY_PATH_MAX 4096
#define REPLAY_MUTATIONS_DEFAULT 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
    const char *name;
    const char *path;
    unsigned long mutation;
    unsigned long mutations_nr;
    uint64_t seed;
    unsigned long inputs_nr;
    uint8_t buf[REPLAY_INPUT_MAX];
} replay = {.seed = 20240229, .mutations_nr = REPLAY_MUTATIONS_DEFAULT};

static uint64_t
next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void
on_abort(int signo)
{
    char line[REPLAY_PATH_MAX + 256];
    int len = snprintf(line, sizeof(line), "FAIL fuzz.%s 0 died: input %s, mutation %lu, seed %llu\n",
        replay.name, replay.path != NULL ? replay.path : "(empty)", replay.mutation,
        (unsigned long long)replay.seed);

    if (len > 0 && write(STDOUT_FILENO, line, (size_t)len) < 0) {
        _exit(1);
    }
    signal(signo, SIG_DFL);
    raise(signo);
}

/* A copy of exactly `len` bytes, so that a read past its end is seen. */
static void
run_input(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    replay.inputs_nr++;
}

/* Change `len` bytes of `data` in place by one to four small edits; the new length. */
static size_t
mutate(uint8_t *data, size_t len, uint64_t *rnd)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    unsigned int edits = 1 + next_random(rnd) % 4;

    while (edits-- > 0) {
        uint64_t r = next_random(rnd);
        size_t pos = len > 0 ? (size_t)(r >> 16) % len : 0;

        switch (r % 5) {
        case 0:
            if (len > 0) {
                data[pos] ^= (uint8_t)(1u << ((r >> 8) & 7));
            }
            break;
        case 1:
            if (len > 0) {
                data[pos] = edges[(r >> 8) % sizeof(edges)];
            }
            break;
        case 2:
            len = pos;
            break;
        case 3:
            if (len < REPLAY_INPUT_MAX) {
                memmove(&data[pos + 1], &data[pos], len - pos);
                data[pos] = (uint8_t)(r >> 8);
                len++;
            }
            break;
        default:
            for (size_t i = pos; i < len && i < pos + 8; i++) {
                data[i] = (uint8_t)next_random(rnd);
            }
            break;
        }
    }
    return len;
}

static bool
replay_file(const char *path)
{
    static uint8_t original[REPLAY_INPUT_MAX];
    FILE *f = fopen(path, "rb");
    uint64_t rnd = replay.seed;
    size_t len;

    if (f == NULL) {
        perror(path);
        return false;
    }
    len = fread(original, 1, sizeof(original), f);
    fclose(f);
    replay.path = path;
    replay.mutation = 0;
    run_input(original, len);
    for (unsigned long i = 1; i <= replay.mutations_nr; i++) {
        replay.mutation = i;
        memcpy(replay.buf, original, len);
        run_input(replay.buf, mutate(replay.buf, len, &rnd));
    }
    return true;
}

static int
compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool
replay_path(const char *path)
{
    struct dirent **names = NULL;
    bool ok = true;
    struct stat st;
    int nr;

    if (stat(path, &st) != 0) {
        perror(path);
        return false;
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    nr = scandir(path, &names, NULL, compare_names);
    for (int i = 0; i < nr; i++) {
        char file[REPLAY_PATH_MAX];

        snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            ok &= replay_file(file);
        }
        free(names[i]);
    }
    free(names);
    return ok && nr >= 0;
}

int
main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    struct timespec start, end;
    bool ok = true;

    replay.name = slash != NULL ? slash + 1 : argv[0];
    if (strncmp(replay.name, "fuzz_", 5) == 0) {
        replay.name += 5;
    }
    signal(SIGABRT, on_abort);
    clock_gettime(CLOCK_MONOTONIC, &start);
    run_input(replay.buf, 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            replay.seed = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--mutations") == 0 && i + 1 < argc) {
            replay.mutations_nr = strtoul(argv[++i], NULL, 0);
        } else {
            ok &= replay_path(argv[i]);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%s fuzz.%s %lld %lu inputs\n", ok ? "ok" : "FAIL", replay.name,
        (long long)(end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000,
        replay.inputs_nr);
    return ok ? 0 : 1;
}
