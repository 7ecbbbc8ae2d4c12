/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

/* Allowed global: set by tests only. */
static assert_hook_fn assert_hook;
static void *assert_hook_arg;

void
assert_hook_set(assert_hook_fn hook, void *arg)
{
    assert_hook = hook;
    assert_hook_arg = arg;
}

void
assert_failed(const char *expr, const char *file, int line)
{
    if (assert_hook != NULL) {
        assert_hook(expr, file, line, assert_hook_arg);
    } else {
        fprintf(stderr, "assertion failed: %s at %s:%d\n", expr, file, line);
    }
    abort();
}
