/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the public headers compile as C99 and promise the sizes, offsets and values that programs rely on.
 * Method: each fact is an array type whose size is negative when it is false. Inline functions are called once with known answers.
 */
#include "api_all.h"

#include <stdio.h>

#define FACT_NAME2(line) fact_##line
#define FACT_NAME(line) FACT_NAME2(line)
#define FACT(cond) typedef char FACT_NAME(__LINE__)[(cond) ? 1 : -1] __attribute__((unused));
#include "api_facts.def"

static int failed_nr;

static void
check(int cond, const char *text)
{
    if (!cond) {
        fprintf(stderr, "false: %s\n", text);
        failed_nr++;
    }
}

#define CHECK(cond) check((cond), #cond)

static void
check_ids(void)
{
    daos_obj_id_t oid = {5, 0x0d2500100000abcdULL};
    daos_obj_id_t user = {1, 2};

    CHECK(daos_obj_id2type(oid) == DAOS_OT_ARRAY_BYTE);
    CHECK(daos_obj_id2class(oid) == (OC_EC_8P2G16));
    CHECK(daos_obj_id2grp_nr(oid) == 16);
    CHECK(daos_obj_id2ord(oid) == OR_RS_8P2);
    CHECK(daos_is_array(oid) && daos_is_dkey_uint64(oid) && !daos_is_kv(oid));
    CHECK(!daos_is_akey_uint64(oid) && !daos_is_dkey_lexical(oid) && !daos_is_akey_lexical(oid));
    CHECK(daos_obj_id_is_nil(DAOS_OBJ_NIL) && !daos_obj_id_is_nil(oid));
    daos_obj_oid_cycle(&user);
    CHECK(user.hi == 999999939 && user.lo == 1);
    user.hi = UINT32_MAX;
    daos_obj_oid_cycle(&user);
    CHECK(user.hi == 999999936);
    CHECK(daos_otype_t_is_valid(DAOS_OT_OIT_V2));
    CHECK(!daos_otype_t_is_valid((enum daos_otype_t)(DAOS_OT_MAX + 1)));
}

static void
check_labels(void)
{
    char label[DAOS_PROP_LABEL_MAX_LEN + 2];

    memset(label, 'a', sizeof(label) - 1);
    label[sizeof(label) - 1] = '\0';
    CHECK(!daos_label_is_valid(label));
    label[DAOS_PROP_LABEL_MAX_LEN] = '\0';
    CHECK(daos_label_is_valid(label));
    CHECK(daos_label_is_valid("a:B.c_d-9"));
    CHECK(!daos_label_is_valid("") && !daos_label_is_valid(NULL) && !daos_label_is_valid("a b"));
    CHECK(!daos_label_is_valid("01234567-89ab-cdef-0123-456789abcdef"));
    CHECK(daos_label_is_valid("01234567-89ab-cdef-0123-456789abcdef0"));
    CHECK(daos_is_valid_uuid_string("01234567-89ab-cdef-0123-456789abcdef", UUID_SST_LOWER));
    CHECK(!daos_is_valid_uuid_string("01234567-89ab-cdef-0123-456789abcdef", UUID_SST_UPPER));
    CHECK(!daos_is_valid_uuid_string("01234567-89ab-cdef-0123", UUID_SST_NONE));
}

static void
check_small(void)
{
    struct daos_co_status status = {DAOS_PROP_CO_UNCLEAN, DAOS_PROP_CO_CLEAR, 77};
    struct daos_co_status back;
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_handle_t none = DAOS_HDL_INVAL;
    d_iov_t iov;
    d_sg_list_t sgl = {0, 0, NULL};
    char buf[4];

    daos_prop_val_2_co_status(daos_prop_co_status_2_val(&status), &back);
    CHECK(back.dcs_status == 1 && back.dcs_flags == 1 && back.dcs_pm_ver == 77);
    CHECK(daos_anchor_init(&anchor, 0) == 0 && !daos_anchor_is_eof(&anchor));
    anchor.da_type = DAOS_ANCHOR_TYPE_EOF;
    CHECK(daos_anchor_is_eof(&anchor));
    CHECK(daos_handle_is_inval(none) && !daos_handle_is_valid(none));
    d_iov_set(&iov, buf, sizeof(buf));
    CHECK(iov.iov_buf == buf && iov.iov_len == 4 && iov.iov_buf_len == 4);
    CHECK(!daos_key_is_null(iov));
    CHECK(d_sgl_buf_size(&sgl) == 0);
    CHECK(d_power2_nbits(8) == 3 && d_power2_nbits(9) == 4);
    CHECK(strcmp(daos_pool_cont_filter_func_str(PCF_FUNC_GE), ">=") == 0);
    CHECK(strcmp(daos_pool_cont_filter_key_str(PCF_KEY_MAX), "UNKNOWN") == 0);
}

static void
check_lists(void)
{
    struct node {
        int v;
        d_list_t link;
    } a = {1, {NULL, NULL}}, b = {2, {NULL, NULL}}, *pos, *tmp;
    D_LIST_HEAD(head);
    d_list_t other;
    int digits = 0;

    D_INIT_LIST_HEAD(&other);
    d_list_add(&a.link, &head);
    d_list_add_tail(&b.link, &head);
    d_list_for_each_entry(pos, &head, link) digits = digits * 10 + pos->v;
    CHECK(digits == 12);
    d_list_splice_init(&head, &other);
    CHECK(d_list_empty(&head) && !d_list_empty(&other));
    d_list_for_each_entry_safe(pos, tmp, &other, link) d_list_del_init(&pos->link);
    CHECK(d_list_empty_careful(&other));
}

int
main(void)
{
    check_ids();
    check_labels();
    check_small();
    check_lists();
    printf("%s api.headers_c99 0\n", failed_nr == 0 ? "ok" : "FAIL");
    return failed_nr != 0;
}
