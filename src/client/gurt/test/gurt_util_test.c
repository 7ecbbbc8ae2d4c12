/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: rank lists, hashes, text, memory, clock values, environment and log do what gurt/common.h says.
 * Method: fixed cases; known values for MurmurHash64A; the log goes to a file.
 */
#include <daos_api.h>
#include <gurt/common.h>

#include <stdlib.h>
#include <string.h>

#include "base/hlc.h"
#include "harness/harness.h"

static d_rank_list_t *
list_of(const uint32_t *ranks, uint32_t nr)
{
    d_rank_list_t *list = d_rank_list_alloc(nr);

    for (uint32_t i = 0; i < nr; i++) {
        list->rl_ranks[i] = ranks[i];
    }
    return list;
}

static void
expect_text(d_rank_list_t *list, const char *want)
{
    char *text = NULL;

    EXPECT_EQ(d_rank_list_to_str(list, &text), 0);
    EXPECT_STR_EQ(text, want);
    free(text);
}

TEST(gurt_rank, lists)
{
    const uint32_t some[] = {5, 1, 3, 2, 5};
    d_rank_list_t *a = list_of(some, 5);
    d_rank_list_t *b = NULL;
    d_rank_list_t *c = NULL;
    uint32_t *ints = NULL;
    uint32_t at = 0;
    size_t len = 0;
    int idx = 0;

    expect_text(a, "[1-3,5]");
    EXPECT_EQ(d_rank_list_dup(&b, a), 0);
    EXPECT(d_rank_list_identical(a, b));
    EXPECT_EQ(d_rank_list_dup_sort_uniq(&c, a), 0);
    EXPECT_EQ(c->rl_nr, 4);
    EXPECT(!d_rank_list_identical(a, c));
    EXPECT(d_rank_list_bsearch(c, 3, &idx));
    EXPECT_EQ(idx, 2);
    EXPECT(!d_rank_list_bsearch(c, 4, &idx));
    EXPECT(d_rank_list_find(a, 2, &idx));
    EXPECT_EQ(idx, 3);
    EXPECT_EQ(d_idx_in_rank_list(a, 3, &at), 0);
    EXPECT_EQ(at, 2);
    EXPECT_ERR(d_idx_in_rank_list(a, 99, &at), NONEXIST);
    EXPECT(d_rank_in_rank_list(a, 1));
    EXPECT_EQ(d_rank_list_del(c, 2), 0);
    expect_text(c, "[1,3,5]");
    EXPECT_EQ(d_rank_list_append(c, 9), 0);
    EXPECT_EQ(d_rank_list_merge(c, a), 0);
    expect_text(c, "[1-3,5,9]");
    d_rank_list_filter(a, c, true);
    expect_text(c, "[9]");
    d_rank_list_filter(c, b, false);
    EXPECT_EQ(b->rl_nr, 0);
    expect_text(b, "[]");
    EXPECT_EQ(d_rank_list_copy(b, a), 0);
    EXPECT(d_rank_list_identical(a, b));
    EXPECT_EQ(d_rank_list_resize(b, 7), 0);
    EXPECT_EQ(b->rl_ranks[6], 0);
    EXPECT_EQ(rank_list_to_uint32_array(a, &ints, &len), 0);
    EXPECT_EQ(len, 5);
    EXPECT_MEM_EQ(ints, some, sizeof(some));
    free(ints);
    d_rank_list_free(a);
    d_rank_list_free(b);
    d_rank_list_free(c);
    d_rank_list_free(NULL);
    EXPECT_EQ(d_rank_list_dup(&a, NULL), 0);
    EXPECT(a == NULL);
    a = uint32_array_to_rank_list(NULL, 0);
    EXPECT_EQ(a->rl_nr, 0);
    d_rank_list_free(a);
}

TEST(gurt_rank, parse)
{
    d_rank_list_t *list = daos_rank_list_parse("0:7:300", ":");

    if (EXPECT(list != NULL)) {
        EXPECT_EQ(list->rl_nr, 3);
        EXPECT_EQ(list->rl_ranks[2], 300);
    }
    d_rank_list_free(list);
    EXPECT(daos_rank_list_parse("0:x", ":") == NULL);
    EXPECT(daos_rank_list_parse("", ":") == NULL);
    EXPECT(daos_rank_list_parse("-1", ":") == NULL);
    EXPECT(daos_rank_list_parse("4294967295", ":") == NULL);
    EXPECT(daos_rank_list_parse(NULL, ":") == NULL);
}

TEST(gurt_num, hashes)
{
    uint64_t sorted[] = {10, 20, 30};
    unsigned char bytes[32];

    for (int i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)i;
    }
    /* MurmurHash64A of bytes 0, 1, 2, ... as other implementations give it. */
    EXPECT_EQ(d_hash_murmur64(bytes, 1, 2022), UINT64_C(0x4cd6745177cc4cfd));
    EXPECT_EQ(d_hash_murmur64(bytes, 7, 2022), UINT64_C(0xb02da3905cf07a28));
    EXPECT_EQ(d_hash_murmur64(bytes, 8, 2022), UINT64_C(0xd177f354fd7d9b31));
    EXPECT_EQ(d_hash_murmur64(bytes, 15, 2022), UINT64_C(0x24ad50add9cac96));
    EXPECT_EQ(d_hash_murmur64(bytes, 32, 2022), UINT64_C(0x4b30fa8b0c059054));
    EXPECT_EQ(d_hash_murmur64(bytes, 0, 0), 0);
    EXPECT_NE(d_hash_murmur64(bytes, 8, 1), d_hash_murmur64(bytes, 8, 2));
    for (unsigned int len = 1; len <= 32; len++) {
        EXPECT_NE(d_hash_murmur64(bytes, len, 7), d_hash_murmur64(bytes, len - 1, 7));
    }
    EXPECT_EQ(d_hash_string_u32("abc", 3), d_hash_string_u32("abcd", 3));
    EXPECT_NE(d_hash_string_u32("abc", 3), d_hash_string_u32("abd", 3));
    EXPECT_EQ(d_hash_srch_u64(sorted, 3, 5), 0);
    EXPECT_EQ(d_hash_srch_u64(sorted, 3, 20), 1);
    EXPECT_EQ(d_hash_srch_u64(sorted, 3, 21), 2);
    EXPECT_EQ(d_hash_srch_u64(sorted, 3, 31), 0);
    EXPECT_LT(d_hash_jump(12345, 7), 7);
    EXPECT_NE(d_hash_mix64(1), 1);
    EXPECT_NE(d_hash_mix96(1, 2, 3), d_hash_mix96(3, 2, 1));
}

TEST(gurt_num, errors_clock_memory)
{
    struct d_string_buffer_t sb = {0};
    struct timespec ts = {.tv_sec = 1700000000, .tv_nsec = 250000000};
    struct timespec back;
    uint64_t hlc = 0;
    time_t secs = 0;
    char *text = NULL;
    int *ints = NULL;
    int *more = NULL;

    EXPECT_STR_EQ(d_errstr(-DER_NONEXIST), "DER_NONEXIST");
    EXPECT_STR_EQ(d_errstr(0), "DER_SUCCESS");
    EXPECT_STR_EQ(d_errstr(-77), "DER_UNKNOWN");
    EXPECT_GT(strlen(d_errdesc(DER_CSUM)), 5);

    EXPECT_EQ(d_timespec2hlc(ts, &hlc), 0);
    EXPECT_EQ(daos_hlc2timespec(hlc, &back), 0);
    EXPECT_EQ(d_timediff_ns(&ts, &back), 0);
    EXPECT_EQ(daos_hlc2timestamp(hlc, &secs), 0);
    EXPECT_EQ(secs, 1700000000);
    EXPECT_ERR(daos_hlc2timestamp(hlc, NULL), INVAL);
    EXPECT_EQ(d_hlc2sec(hlc), 1700000000 - HLC_ORIGIN_UNIX_NS / 1000000000);
    EXPECT_EQ(d_hlc2unixnsec(d_unixnsec2hlc(HLC_ORIGIN_UNIX_NS + 16)), HLC_ORIGIN_UNIX_NS + 16);
    EXPECT_EQ(d_unixnsec2hlc(5), 0);

    D_ALLOC_ARRAY(ints, 4);
    EXPECT(ints != NULL && ints[3] == 0);
    ints[0] = 42;
    D_REALLOC_ARRAY(more, ints, 4, 100);
    EXPECT(ints == NULL && more[0] == 42 && more[99] == 0);
    D_FREE(more);
    EXPECT(more == NULL);
    D_ASPRINTF(text, "%d-%s", 7, "x");
    EXPECT_STR_EQ(text, "7-x");
    D_FREE(text);
    D_STRNDUP(text, "hello", 3);
    EXPECT_STR_EQ(text, "hel");
    D_FREE(text);
    D_ALIGNED_ALLOC(text, 4096, 10);
    EXPECT(((uintptr_t)text & 4095) == 0 && text[9] == 0);
    D_FREE(text);
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(d_write_string_buffer(&sb, "%d,", i), 0);
    }
    EXPECT_EQ(strlen(sb.str), sb.str_size);
    EXPECT(strncmp(sb.str, "0,1,2,", 6) == 0);
    d_free_string(&sb);
}

TEST(gurt_env, variables)
{
    bool flag = false;
    unsigned int number = 0;
    uint64_t big = 0;
    uint32_t small = 0;
    char buf[4];
    char c = 0;
    char *copy = NULL;

    EXPECT_ERR(d_getenv_bool("CAIRN_TEST_NONE", &flag), NONEXIST);
    EXPECT_EQ(d_setenv("CAIRN_TEST_VAR", "Yes", 1), 0);
    EXPECT_EQ(d_getenv_bool("CAIRN_TEST_VAR", &flag), 0);
    EXPECT(flag);
    EXPECT_EQ(d_getenv_str(buf, sizeof(buf), "CAIRN_TEST_VAR"), 0);
    EXPECT_STR_EQ(buf, "Yes");
    EXPECT_ERR(d_getenv_str(buf, 3, "CAIRN_TEST_VAR"), TRUNC);
    EXPECT_STR_EQ(buf, "Ye");
    EXPECT_EQ(d_agetenv_str(&copy, "CAIRN_TEST_VAR"), 0);
    EXPECT_STR_EQ(copy, "Yes");
    d_freeenv_str(&copy);
    EXPECT_ERR(d_getenv_uint("CAIRN_TEST_VAR", &number), INVAL);
    EXPECT_EQ(d_setenv("CAIRN_TEST_VAR", "0", 1), 0);
    EXPECT_EQ(d_getenv_bool("CAIRN_TEST_VAR", &flag), 0);
    EXPECT(!flag);
    EXPECT_EQ(d_getenv_char("CAIRN_TEST_VAR", &c), 0);
    EXPECT_EQ(c, '0');
    EXPECT_EQ(d_setenv("CAIRN_TEST_VAR", "0x100000000", 1), 0);
    EXPECT_EQ(d_getenv_uint64_t("CAIRN_TEST_VAR", &big), 0);
    EXPECT_EQ(big, UINT64_C(1) << 32);
    EXPECT_ERR(d_getenv_uint32_t("CAIRN_TEST_VAR", &small), INVAL);
    EXPECT_ERR(d_getenv_bool("CAIRN_TEST_VAR", &flag), INVAL);
    EXPECT_EQ(d_setenv("CAIRN_TEST_VAR", "-1", 1), 0);
    EXPECT_ERR(d_getenv_uint64_t("CAIRN_TEST_VAR", &big), INVAL);
    EXPECT(d_isenv_def((char[]){"CAIRN_TEST_VAR"}));
    EXPECT_EQ(d_unsetenv("CAIRN_TEST_VAR"), 0);
    EXPECT(!d_isenv_def((char[]){"CAIRN_TEST_VAR"}));
}

TEST_LINUX(gurt_log, writes_to_the_file_named, "the log is a file of the application's host")
{
    char path[512];
    char line[256];
    const char *dir = test_tmpdir();
    FILE *file;
    int nr = 0;

    EXPECT_EQ(d_log_check(DLOG_EMERG), 0);
    D_ERROR("not open\n");
    snprintf(path, sizeof(path), "%s/log", dir);
    EXPECT_EQ(d_setenv("D_LOG_FILE", path, 1), 0);
    EXPECT_EQ(d_setenv("D_LOG_MASK", "WARN,object=DEBUG", 1), 0);
    EXPECT_EQ(d_log_init(), 0);
    EXPECT_EQ(d_log_init(), 0);
    D_INFO("below the level\n");
    D_WARN("disk %d is full\n", 3);
    d_log_fini();
    D_ERROR("still open\n");
    EXPECT_ERR(d_log_setmasks("LOUD", -1), INVAL);
    EXPECT_EQ(d_log_setmasks("debug", -1), 0);
    D_DEBUG(DB_TRACE, "no newline");
    d_log_sync();
    d_log_fini();
    D_ERROR("closed\n");
    file = fopen(path, "r");
    if (!EXPECT(file != NULL))
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        nr++;
        if (nr == 1) {
            EXPECT(strstr(line, "WARN  gurt_util_test.c:") != NULL &&
                strstr(line, "disk 3 is full\n") != NULL);
        }
    }
    fclose(file);
    EXPECT_EQ(nr, 3);
    EXPECT_EQ(d_setenv("D_LOG_FILE", "/nonexistent/dir/log", 1), 0);
    EXPECT_ERR(d_log_init(), NONEXIST);
    EXPECT_EQ(d_unsetenv("D_LOG_FILE"), 0);
    EXPECT_EQ(d_unsetenv("D_LOG_MASK"), 0);
}
