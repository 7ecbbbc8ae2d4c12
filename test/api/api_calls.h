/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A record of which call was made with which outcome, by the name that the program's code really uses (daos_cont_open is daos_cont_open2). */
#ifndef CAIRN_TEST_API_CALLS_H
#define CAIRN_TEST_API_CALLS_H

#include <daos_fs.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "api/api_sys.h"

/** `code` "": it succeeded. Not recorded when the expectation failed. Answers `is_good`. */
bool api_called(const char *name, const char *code, bool is_good);

/** For a call's last argument: NULL in the first pass of the test; in the second an event, which api_rc() waits for. */
daos_event_t *api_ev(void);
#define EV api_ev()
/** What a call ends with: `rc`, or when it was launched with EV, the error of the event. */
int api_rc(int rc);

#define API_STR_(x) #x
#define API_STR(x) API_STR_(x)
/* clang-format off */
/** Expect success. */
#define CALL_OK(fn, ...) api_called(API_STR(fn), "", EXPECT_EQ(api_rc((fn)(__VA_ARGS__)), 0))
/** Expect an error of libdaos, by the name after DER_. */
#define CALL_ERR(code, fn, ...) api_called(API_STR(fn), #code, EXPECT_ERR(api_rc((fn)(__VA_ARGS__)), code))
/** Expect an error of libdfs or libduns: an errno value. */
#define CALL_ERRNO(code, fn, ...) api_called(API_STR(fn), #code, EXPECT_EQ(api_rc((fn)(__VA_ARGS__)), code))
/** What answers otherwise: `is_good` says whether it was a success. */
#define CALL_IS(fn, is_good) api_called(API_STR(fn), "", EXPECT(is_good))
/* clang-format on */

struct api_store {
    daos_handle_t poh, coh; /* for writing */
    daos_handle_t ro_poh, ro_coh;
};

void api_calls_files(struct api_store *store); /* libdfs, libduns */
void api_calls_gurt(void);
void api_calls_more(struct api_store *store); /* what takes an event and is in no list of symbols/ */

#endif
