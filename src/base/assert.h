/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Assertions, for programmer errors only: bytes from disk, wire or users get a check and an error code.
 *
 * CAIRN_ASSERT is always compiled in and must be cheap; CAIRN_DASSERT exists in builds with CAIRN_DEBUG_ASSERTS and may walk whole
 * structures. Both print expression, file and line to stderr and abort, unless a test has set a hook.
 */
#ifndef CAIRN_BASE_ASSERT_H
#define CAIRN_BASE_ASSERT_H

/** Called instead of print-and-abort; a test's hook may longjmp away. If it returns, the process aborts. */
typedef void (*assert_hook_fn)(const char *expr, const char *file, int line, void *arg);

/** Set the process-wide hook; NULL restores print-and-abort. For tests. */
void assert_hook_set(assert_hook_fn hook, void *arg);

/** Report a failed assertion; does not return to its caller. */
void assert_failed(const char *expr, const char *file, int line) __attribute__((noreturn, cold));

#define CAIRN_ASSERT(expr) \
    (__builtin_expect(!!(expr), 1) ? (void)0 : assert_failed(#expr, __FILE__, __LINE__))

#ifdef CAIRN_DEBUG_ASSERTS
#define CAIRN_DASSERT(expr) CAIRN_ASSERT(expr)
#else
#define CAIRN_DASSERT(expr) ((void)sizeof(!!(expr)))
#endif

/** "a implies b" inside an assertion. */
#define ERGO(a, b) (!(a) || (b))

#define CAIRN_STATIC_ASSERT(expr, text) _Static_assert(expr, text)

#define CAIRN_UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)

#endif /* CAIRN_BASE_ASSERT_H */
