/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: codes keep the API's numbers, each has a class, name and text, and the ring tells where errors were raised.
 * Method: spot checks of numbers from the API's list, a walk over the whole range, round trips by name and errno.
 */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "harness/harness.h"

TEST(base_err, numbers_are_those_of_the_api)
{
    EXPECT_EQ(DER_NO_PERM, 1001);
    EXPECT_EQ(DER_NONEXIST, 1005);
    EXPECT_EQ(DER_NOMEM, 1009);
    EXPECT_EQ(DER_NOSYS, 1010);
    EXPECT_EQ(DER_TRUNC, 1016);
    EXPECT_EQ(DER_HG, 1020);
    EXPECT_EQ(DER_MISC, 1025);
    EXPECT_EQ(DER_NOTATTACH, 1030);
    EXPECT_EQ(DER_BAD_TARGET, 1035);
    EXPECT_EQ(DER_DURATION_MISMATCH, 1040);
    EXPECT_EQ(DER_HG_FATAL, 1045);
    EXPECT_EQ(DER_QUOTA_LIMIT, 1046);
    EXPECT_EQ(DER_IO, 2001);
    EXPECT_EQ(DER_NOSCHEMA, 2005);
    EXPECT_EQ(DER_KEY2BIG, 2012);
    EXPECT_EQ(DER_CSUM, 2021);
    EXPECT_EQ(DER_TX_RESTART, 2025);
    EXPECT_EQ(DER_NEED_TX, 2030);
    EXPECT_EQ(DER_ID_MISMATCH, 2035);
    EXPECT_EQ(DER_TX_ID_REUSED, 2040);
    EXPECT_EQ(DER_VOS_PARTIAL_UPDATE, 2045);
    EXPECT_EQ(DER_CONT_NONEXIST, 2050);
    EXPECT_EQ(DER_IGNORE, 2052);
    EXPECT_EQ(DER_EVICTED, DER_EXCLUDED);
}

TEST(base_err, every_code_has_a_name_that_leads_back)
{
    int known_nr = 0;

    for (int code = 1; code < 3000; code++) {
        bool known = strcmp(err_name(-code), "DER_UNKNOWN") != 0;

        known_nr += known;
        EXPECT_EQ(known, (code >= 1001 && code <= 1046) || (code >= 2001 && code <= 2052));
        EXPECT_STR_EQ(err_name(code), err_name(-code));
        if (!known)
            continue;
        EXPECT_EQ(err_from_name(err_name(code)), -code);
        EXPECT_EQ(err_from_name(err_name(code) + 4), -code);
        EXPECT_GT(strlen(err_text(code)), 3);
        EXPECT_NE(err_class(code), ERR_CLASS_NONE);
        EXPECT_EQ(err_class(code), err_class(-code));
    }
    EXPECT_EQ(known_nr, 98);
    EXPECT_EQ(err_from_name("DER_NOBODY"), 0);
    EXPECT_EQ(err_from_name("nonexist"), -DER_NONEXIST);
}

TEST(base_err, classes_say_what_to_do)
{
    EXPECT_EQ(err_class(0), ERR_CLASS_NONE);
    EXPECT_EQ(err_class(-DER_INVAL), ERR_CLASS_CALLER);
    EXPECT_EQ(err_class(-DER_NONEXIST), ERR_CLASS_ABSENT);
    EXPECT_EQ(err_class(-DER_CSUM), ERR_CLASS_CORRUPT);
    EXPECT_EQ(err_class(-DER_NOSPACE), ERR_CLASS_NOSPACE);
    EXPECT_EQ(err_class(-DER_NOTLEADER), ERR_CLASS_RETRY);
    EXPECT_EQ(err_class(-DER_TIMEDOUT), ERR_CLASS_PEER);
    EXPECT_EQ(err_class(-DER_BUSY), ERR_CLASS_BUSY);
    EXPECT_EQ(err_class(-99999), ERR_CLASS_FATAL);
    EXPECT_EQ(err_class(INT32_MIN), ERR_CLASS_FATAL);
    EXPECT_STR_EQ(err_class_name(ERR_CLASS_NOSPACE), "no-space");
    EXPECT_STR_EQ(err_name(0), "DER_SUCCESS");
}

TEST(base_err, errno_translation_follows_the_api)
{
    EXPECT_EQ(err_to_errno(0), 0);
    EXPECT_EQ(err_to_errno(-DER_NONEXIST), ENOENT);
    EXPECT_EQ(err_to_errno(DER_NONEXIST), ENOENT);
    EXPECT_EQ(err_to_errno(-DER_ENOENT), ENOENT);
    EXPECT_EQ(err_to_errno(-DER_NO_HDL), EINVAL);
    EXPECT_EQ(err_to_errno(-DER_DOS), ENOMEM);
    EXPECT_EQ(err_to_errno(-DER_TX_RESTART), ERESTART);
    EXPECT_EQ(err_to_errno(-DER_BADPATH), ENOTDIR);
    EXPECT_EQ(err_to_errno(-DER_KEY2BIG), E2BIG);
    EXPECT_EQ(err_to_errno(-DER_CONT_DESTROYING), EPERM);
    /* Codes outside the API's table are EIO, also those that errno has a word for. */
    EXPECT_EQ(err_to_errno(-DER_NOSYS), EIO);
    EXPECT_EQ(err_to_errno(-DER_INPROGRESS), EIO);
    EXPECT_EQ(err_to_errno(-DER_CSUM), EIO);
    EXPECT_EQ(err_to_errno(-1), EIO);

    EXPECT_EQ(err_from_errno(0), 0);
    EXPECT_ERR(err_from_errno(ENOENT), NONEXIST);
    EXPECT_ERR(err_from_errno(EINVAL), INVAL);
    EXPECT_ERR(err_from_errno(EACCES), NO_PERM);
    EXPECT_ERR(err_from_errno(ENOSPC), NOSPACE);
    EXPECT_ERR(err_from_errno(EDQUOT), NOSPACE);
    EXPECT_ERR(err_from_errno(EIO), IO);
    EXPECT_ERR(err_from_errno(ECONNREFUSED), UNREACH);
    EXPECT_ERR(err_from_errno(ENOSYS), NOSYS);
    EXPECT_ERR(err_from_errno(99999), MISC);
}

static int
raise_csum(void)
{
    return CAIRN_ERR(CSUM);
}

TEST(base_err, ring_keeps_the_newest)
{
    struct err_ring ring = {0};
    struct err_ring *before = err_ring_get();
    char text[2048];

    err_ring_set(&ring);
    EXPECT(err_ring_get() == &ring);
    EXPECT_ERR(raise_csum(), CSUM);
    EXPECT_EQ(ring.raised_nr, 1);
    for (int i = 0; i < 20; i++) {
        CAIRN_IGNORE(CAIRN_ERR(NOMEM));
    }
    EXPECT_EQ(ring.raised_nr, 21);
    CAIRN_IGNORE(CAIRN_ERR(INVAL));
    EXPECT_GT(err_ring_to_text(&ring, text, sizeof(text)), 0);
    EXPECT(strncmp(text, "base_err_test.c:", 16) == 0);
    EXPECT(strstr(text, "DER_INVAL") < strstr(text, "DER_NOMEM"));
    EXPECT(strstr(text, "DER_CSUM") == NULL);
    EXPECT_EQ(err_ring_to_text(&ring, text, 10), 9);

    err_ring_clear(&ring);
    EXPECT_EQ(err_ring_to_text(&ring, text, sizeof(text)), 0);
    EXPECT_EQ(err_ring_to_text(NULL, text, sizeof(text)), 0);

    /* Without a ring an error is still its value. */
    err_ring_set(NULL);
    EXPECT_ERR(raise_csum(), CSUM);
    EXPECT_EQ(ring.raised_nr, 0);
    err_ring_set(before);
}

struct sink {
    int lines_nr;
    enum log_level level;
    char text[LOG_TEXT_BYTES_MAX];
    char file[64];
};

static void
sink_line(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    struct sink *sink = arg;

    sink->lines_nr += line > 0;
    sink->level = level;
    strncpy(sink->text, text, sizeof(sink->text) - 1);
    strncpy(sink->file, file, sizeof(sink->file) - 1);
}

static int
count_call(int *calls)
{
    return ++*calls;
}

TEST(base_log, sink_gets_lines_up_to_its_level)
{
    struct sink sink = {0};
    int calls = 0;

    LOG_ERROR("nobody listens %d", count_call(&calls));
    EXPECT_EQ(calls, 0);
    log_sink_set(sink_line, &sink, LOG_LEVEL_INFO);
    LOG_WARN("disk %s at %d%%", "d0", 95);
    EXPECT_EQ(sink.lines_nr, 1);
    EXPECT_EQ(sink.level, LOG_LEVEL_WARN);
    EXPECT_STR_EQ(sink.text, "disk d0 at 95%");
    EXPECT_STR_EQ(sink.file, "base_err_test.c");
    LOG_DEBUG("not shown %d", count_call(&calls));
    EXPECT_EQ(calls, 0);
    log_level_set(LOG_LEVEL_TRACE);
    LOG_TRACE("%s", "shown");
    EXPECT_EQ(sink.lines_nr, 2);
    LOG_INFO("%2000d", 7);
    EXPECT_EQ(strlen(sink.text), LOG_TEXT_BYTES_MAX - 1);
    log_sink_set(NULL, NULL, LOG_LEVEL_TRACE);
    LOG_ERROR("gone");
    EXPECT_EQ(sink.lines_nr, 3);
    EXPECT_EQ(log_level_get(), LOG_LEVEL_NONE);
    EXPECT_EQ(log_level_from_name("WARN"), LOG_LEVEL_WARN);
    EXPECT_EQ(log_level_from_name("loud"), LOG_LEVEL_NONE);
    EXPECT_STR_EQ(log_level_name(LOG_LEVEL_TRACE), "trace");
}
