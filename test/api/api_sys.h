/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* For tests that link the client libraries as applications do: a system of one engine in another process (api_engine.c), and a record of what was called. */
#ifndef CAIRN_TEST_API_SYS_H
#define CAIRN_TEST_API_SYS_H

#include <daos.h>
#include <stdbool.h>

#include "harness/harness.h"

struct api_sys {
    int pid; /* 0: not running */
    int fd; /* its standard input */
};

/** Start a new one on `net` ("unix", "tcp", "ofi") in a directory of the test's. Before daos_init(). False: an expectation failed. */
bool api_sys_start(struct api_sys *sys, const char *net);
/** End it in good order. */
void api_sys_stop(struct api_sys *sys);
/** Kill it, and wait until it is gone. */
void api_sys_kill(struct api_sys *sys);

/** In a child: run fn(arg), _exit() with its result. The child's pid. */
int api_child(int (*fn)(void *arg), void *arg);
/** Expect that a child ended with 0. */
bool api_child_wait(int pid);
/** Write and read all, over a pipe. */
bool api_put(int fd, const void *buf, size_t len);
bool api_get(int fd, void *buf, size_t len);

#endif
