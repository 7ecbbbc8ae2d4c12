/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/probe.h"

#include <string.h>

/* Ends of the section that CAIRN_PROBE_SITE_ fills; absent when the program has no place. */
extern struct probe *const __start_cairn_probes[] __attribute__((weak, visibility("hidden")));
extern struct probe *const __stop_cairn_probes[] __attribute__((weak, visibility("hidden")));

/* Allowed globals: the fault registry. Passes left until the sweep's injection, and injections so far. */
static uint64_t sweep_left;
static uint64_t fired_nr;

size_t
probe_nr(void)
{
    return (size_t)(__stop_cairn_probes - __start_cairn_probes);
}

static struct probe *
probe_get(size_t idx)
{
    return __start_cairn_probes[idx];
}

const struct probe *
probe_at(size_t idx)
{
    return probe_get(idx);
}

const struct probe *
probe_find(const char *name)
{
    for (size_t i = 0; i < probe_nr(); i++) {
        if (strcmp(probe_get(i)->name, name) == 0)
            return probe_get(i);
    }
    return NULL;
}

uint64_t
probe_hits(const char *name)
{
    const struct probe *probe = probe_find(name);

    return probe == NULL ? 0 : __atomic_load_n(&probe->hits, __ATOMIC_RELAXED);
}

void
probe_reset(void)
{
    for (size_t i = 0; i < probe_nr(); i++) {
        __atomic_store_n(&probe_get(i)->hits, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&probe_get(i)->fired, 0, __ATOMIC_RELAXED);
    }
    fault_disarm_all();
    __atomic_store_n(&fired_nr, 0, __ATOMIC_RELAXED);
}

void
fault_disarm_all(void)
{
    for (size_t i = 0; i < probe_nr(); i++) {
        __atomic_store_n(&probe_get(i)->skip, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&probe_get(i)->count, 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&sweep_left, 0, __ATOMIC_RELAXED);
}

/* True when *name* ends in ".*" and *probe_name* begins with what stands before the star, or both are equal. */
static bool
name_matches(const char *name, const char *probe_name)
{
    size_t len = strlen(name);

    if (len >= 2 && strcmp(name + len - 2, ".*") == 0)
        return strncmp(name, probe_name, len - 1) == 0;
    return strcmp(name, probe_name) == 0;
}

bool
fault_arm(const char *name, uint64_t skip, uint64_t count)
{
    bool found = false;

    for (size_t i = 0; i < probe_nr(); i++) {
        struct probe *probe = probe_get(i);

        if (!probe->is_fault || !name_matches(name, probe->name))
            continue;
        __atomic_store_n(&probe->skip, skip, __ATOMIC_RELAXED);
        __atomic_store_n(&probe->count, count, __ATOMIC_RELAXED);
        found = true;
    }
    return found;
}

void
fault_arm_nth(uint64_t nth)
{
    __atomic_store_n(&fired_nr, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&sweep_left, nth, __ATOMIC_RELAXED);
}

uint64_t
fault_fired_nr(void)
{
    return __atomic_load_n(&fired_nr, __ATOMIC_RELAXED);
}

/* Take one from a counter; false when it is 0 already. */
static bool
take_one(uint64_t *counter)
{
    uint64_t v = __atomic_load_n(counter, __ATOMIC_RELAXED);

    while (v > 0) {
        if (__atomic_compare_exchange_n(counter, &v, v - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

static bool
sweep_fires(void)
{
    return take_one(&sweep_left) && __atomic_load_n(&sweep_left, __ATOMIC_RELAXED) == 0;
}

static bool
armed_fires(struct probe *probe)
{
    if (__atomic_load_n(&probe->count, __ATOMIC_RELAXED) == 0)
        return false;
    return !take_one(&probe->skip) && take_one(&probe->count);
}

bool
fault_hit(struct probe *probe)
{
    bool fires;

    probe_hit(probe);
    fires = sweep_fires();
    fires = armed_fires(probe) || fires;
    if (fires) {
        __atomic_fetch_add(&probe->fired, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&fired_nr, 1, __ATOMIC_RELAXED);
    }
    return fires;
}
