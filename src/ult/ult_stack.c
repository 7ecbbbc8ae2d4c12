/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Stacks: mapped memory above a guard that faults, pooled per xstream, last used first (warm in the cache).
 *
 * A stack keeps its context when a ULT ends: ult_ctx_main() is a loop that runs one ULT after another, so that a pooled stack needs
 * no new frame, no new sanitizer fiber and has no stale sanitizer state. Pages are touched at the first use only.
 *
 *       map                base                                            base + bytes
 *        | guard, PROT_NONE | ................ <- sp ... frames ............ |
 *
 * The high-water mark needs no fill pattern: fresh pages are zero, so the lowest word that is not zero is the lowest ever used.
 *
 * Each sanitizer is told about each switch; all of it compiles to nothing in other builds. Valgrind learns of stacks when they are
 * mapped, which costs some no-ops. Tested by ult_stack_test.c.
 */
#include "ult_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"

#if ULT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#if ULT_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(lo, hi) 0u
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#define VALGRIND_DISABLE_ERROR_REPORTING
#define VALGRIND_ENABLE_ERROR_REPORTING
#define VALGRIND_MAKE_MEM_DEFINED(at, bytes) ((void)(at))
#endif

#define ULT_NO_SANITIZE __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

enum { STACK_GUARD_BYTES = 64 * 1024 }; /* a multiple of every page size; address space only */

/* ---- switching ------------------------------------------------------------------------------------------------------ */

void
ult_ctx_to_ult(struct xstream *xs, struct ult_stack *s)
{
#if ULT_ASAN
    __sanitizer_start_switch_fiber(&xs->sched_asan_fake, s->base, s->bytes);
#endif
#if ULT_TSAN
    xs->sched_tsan_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(s->tsan_fiber, 0);
#endif
    ult_ctx_switch(&xs->sched_sp, s->sp);
#if ULT_ASAN
    __sanitizer_finish_switch_fiber(xs->sched_asan_fake, NULL, NULL);
#endif
}

void
ult_ctx_to_driver(struct ult_stack *s)
{
    struct xstream *xs = s->xs;

#if ULT_ASAN
    __sanitizer_start_switch_fiber(&s->asan_fake, xs->sched_asan_base, xs->sched_asan_bytes);
#endif
#if ULT_TSAN
    __tsan_switch_to_fiber(xs->sched_tsan_fiber, 0);
#endif
    ult_ctx_switch(&s->sp, xs->sched_sp);
#if ULT_ASAN
    /* A client's xstream may have moved to another thread: learn the driver's stack anew. */
    __sanitizer_finish_switch_fiber(s->asan_fake, &xs->sched_asan_base, &xs->sched_asan_bytes);
#endif
}

void
ult_ctx_main(void)
{
    struct xstream *xs = xstream_self();
    struct ult_stack *s = xs->current->stack;

#if ULT_ASAN
    __sanitizer_finish_switch_fiber(NULL, &xs->sched_asan_base, &xs->sched_asan_bytes);
#endif
    for (;;) {
        struct ult *u = s->ult;

        u->fn(u->arg);
        CAIRN_ASSERT(u->mutexes_nr == 0);
        CAIRN_ASSERT(u->noyield_nr == 0);
        u->state = ULT_DONE;
        ult_ctx_to_driver(s);
    }
}

/* The frame that ult_ctx_switch() will take from a stack that was never used. */
static void
stack_frame_init(struct ult_stack *s)
{
    char *top = s->base + s->bytes - 16; /* 16-aligned; a zero return address above the first frame */

#if defined(__x86_64__)
    uint64_t frame[8] = {0};
    uint32_t mxcsr;
    uint16_t x87cw;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87cw));
    frame[0] = mxcsr | (uint64_t)x87cw << 32;
    frame[7] = (uint64_t)(uintptr_t)ult_ctx_entry;
#elif defined(__aarch64__)
    uint64_t frame[22] = {0};
    uint64_t fpcr;

    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    frame[11] = (uint64_t)(uintptr_t)ult_ctx_entry;
    frame[20] = fpcr;
#else
#error "no context switch for this processor"
#endif
    memset(top, 0, 16);
    s->sp = top - sizeof(frame);
    memcpy(s->sp, frame, sizeof(frame));
}

/* ---- the pool ------------------------------------------------------------------------------------------------------- */

int
ult_stack_grow(struct xstream *xs)
{
    struct ult_stack *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return CAIRN_ERR(NOMEM);
    s->xs = xs;
    s->bytes = xs->stack_bytes;
    s->map_bytes = STACK_GUARD_BYTES + s->bytes;
    s->map = mmap(NULL, s->map_bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (s->map == MAP_FAILED)
        goto undo_alloc;
    if (mprotect(s->map, STACK_GUARD_BYTES, PROT_NONE) != 0)
        goto undo_map;
    s->base = s->map + STACK_GUARD_BYTES;
    s->valgrind_id = VALGRIND_STACK_REGISTER(s->base, s->base + s->bytes - 1);
#if ULT_ASAN
    __lsan_register_root_region(s->base, s->bytes);
#endif
#if ULT_TSAN
    s->tsan_fiber = __tsan_create_fiber(0);
#endif
    s->all_next = xs->stacks_all;
    if (s->all_next != NULL)
        s->all_next->all_prev = s;
    xs->stacks_all = s;
    xs->stacks_nr++;
    list_add_tail(&s->link, &xs->stacks_free); /* cold: used last */
    xs->stacks_free_nr++;
    return 0;

undo_map:
    munmap(s->map, s->map_bytes);
undo_alloc:
    free(s);
    return CAIRN_ERR(NOMEM);
}

void
ult_stack_take(struct ult *u)
{
    struct xstream *xs = u->xs;
    struct ult_stack *s = LIST_FIRST(&xs->stacks_free, struct ult_stack, link);

    CAIRN_ASSERT(s != NULL); /* ULT-6 */
    list_del(&s->link);
    xs->stacks_free_nr--;
    xs->promised_nr--;
    xs->unstarted_nr[u->cls]--;
    if (s->sp == NULL)
        stack_frame_init(s);
    s->ult = u;
    u->stack = s;
}

void
ult_stack_release(struct ult *u)
{
    struct xstream *xs = u->xs;
    struct ult_stack *s = u->stack;

    u->stack = NULL;
    s->ult = NULL;
    list_add(&s->link, &xs->stacks_free);
    xs->stacks_free_nr++;
    if (xs->stacks_free_nr > ULT_STACKS_FREE_MAX && xs->stacks_free_nr > xs->promised_nr)
        ult_stack_discard(LIST_LAST(&xs->stacks_free, struct ult_stack, link));
}

/* The lowest page in memory; reading the ones below would map a page each. */
static char *
stack_lowest_page(const struct ult_stack *s)
{
    size_t page_bytes = (size_t)getpagesize();
    unsigned char in_memory[64];
    char *end = s->base + s->bytes;

    for (char *at = s->base; at < end; at += sizeof(in_memory) * page_bytes) {
        size_t bytes = MIN((size_t)(end - at), sizeof(in_memory) * page_bytes);

        if (mincore(at, bytes, in_memory) != 0)
            return s->base;
        for (size_t i = 0; i < DIV_UP(bytes, page_bytes); i++) {
            if ((in_memory[i] & 1) != 0)
                return at + i * page_bytes;
        }
    }
    return end;
}

ULT_NO_SANITIZE static uint64_t
stack_used(const struct ult_stack *s)
{
    const uint64_t *end = (const uint64_t *)(const void *)(s->base + s->bytes);
    const uint64_t *word;
    uint64_t used;

    if (s->sp == NULL)
        return 0;
    word = (const uint64_t *)(const void *)stack_lowest_page(s);
    VALGRIND_DISABLE_ERROR_REPORTING;
    while (word < end && *word == 0) {
        word++;
    }
    VALGRIND_ENABLE_ERROR_REPORTING;
    used = (uint64_t)((const char *)end - (const char *)word);
    VALGRIND_MAKE_MEM_DEFINED(
        &used, sizeof(used)); /* what lies below a stack pointer counts as undefined */
    return used;
}

void
ult_stack_discard(struct ult_stack *s)
{
    struct xstream *xs = s->xs;
    uint64_t used = stack_used(s);

    if (!list_empty(&s->link)) {
        list_del(&s->link);
        xs->stacks_free_nr--;
    }
    xs->stack_used_bytes_max = MAX(xs->stack_used_bytes_max, used);
    xs->stacks_nr--;
    if (s->all_prev != NULL) {
        s->all_prev->all_next = s->all_next;
    } else {
        xs->stacks_all = s->all_next;
    }
    if (s->all_next != NULL)
        s->all_next->all_prev = s->all_prev;
    VALGRIND_STACK_DEREGISTER(s->valgrind_id);
#if ULT_ASAN
    __lsan_unregister_root_region(s->base, s->bytes);
    __asan_unpoison_memory_region(s->base, s->bytes);
#endif
#if ULT_TSAN
    __tsan_destroy_fiber(s->tsan_fiber);
#endif
    munmap(s->map, s->map_bytes);
    free(s);
}

void
ult_stack_discard_all(struct xstream *xs)
{
    while (xs->stacks_all != NULL) {
        ult_stack_discard(xs->stacks_all);
    }
}

uint64_t
ult_stack_used_max(const struct xstream *xs)
{
    uint64_t used = xs->stack_used_bytes_max;

    for (const struct ult_stack *s = xs->stacks_all; s != NULL; s = s->all_next) {
        used = MAX(used, stack_used(s));
    }
    return used;
}
