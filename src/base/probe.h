/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Named places in the code, collected by the linker. A probe marks a rare path and counts how often it was taken, so that tests and
 * simulation can show that they reached it. A fault point can be armed by a test to make the code behave as if something failed.
 *
 *     CAIRN_PROBE("evt.split.root");
 *     if (CAIRN_FAULT("vos.commit.before_wal"))
 *         return CAIRN_ERR(IO);
 *
 * Names are component.object.place and unique. Without CAIRN_FAULTS a fault point is the constant false. The registry (the counters
 * in these places) is an allowed mutable global; counters are atomic, arming is for one test at a time.
 */
#ifndef CAIRN_BASE_PROBE_H
#define CAIRN_BASE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe {
    const char *name;
    const char *file;
    int line;
    bool is_fault;
    uint64_t hits; /* times passed */
    uint64_t fired; /* times a fault was injected */
    uint64_t skip; /* let this many pass first */
    uint64_t count; /* then inject this many times */
};

#define CAIRN_PROBE_SITE_(name_, is_fault_) \
    static struct probe cairn_probe_ = {(name_), __FILE__, __LINE__, (is_fault_), 0, 0, 0, 0}; \
    static struct probe *const cairn_probe_ref_ __attribute__((used, section("cairn_probes"))) = \
        &cairn_probe_

#define CAIRN_PROBE(name_) \
    do { \
        CAIRN_PROBE_SITE_(name_, false); \
        probe_hit(&cairn_probe_); \
    } while (0)

#ifdef CAIRN_FAULTS
#define CAIRN_FAULT(name_) \
    __extension__({ \
        CAIRN_PROBE_SITE_(name_, true); \
        fault_hit(&cairn_probe_); \
    })
#else
#define CAIRN_FAULT(name_) (false)
#endif

/** Used by the macros. */
static inline void
probe_hit(struct probe *probe)
{
    __atomic_fetch_add(&probe->hits, 1, __ATOMIC_RELAXED);
}

bool fault_hit(struct probe *probe);

/** Number of places in this program or library, and the one at *idx* (0-based). */
size_t probe_nr(void);
const struct probe *probe_at(size_t idx);

/** The place of that name, or NULL. */
const struct probe *probe_find(const char *name);

/** Times the place was passed; 0 when there is none of that name. */
uint64_t probe_hits(const char *name);

/** Zero every counter and disarm every fault. */
void probe_reset(void);

/**
 * Arm a fault: let *skip* passes go, then inject *count* times. False when no such fault exists in this build.
 * A name that ends in ".*" arms every fault with that prefix.
 */
bool fault_arm(const char *name, uint64_t skip, uint64_t count);

/** Inject once, at the *nth* pass (1-based) of any fault point from now on, whatever its name; 0 disarms. For sweeps. */
void fault_arm_nth(uint64_t nth);

/** Injections since the last probe_reset() or fault_arm_nth(). */
uint64_t fault_fired_nr(void);

/** Disarm all faults; counters stay. */
void fault_disarm_all(void);

#endif /* CAIRN_BASE_PROBE_H */
