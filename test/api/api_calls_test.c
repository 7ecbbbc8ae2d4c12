/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: each call that known programs make (symbols/) works, and gives each error that it documents (errors.list). Method: the libraries as an application has them, against a
 * system in another process; every call is recorded with its outcome (api_calls.h), and at the end the record is compared with the lists, so that a call in no test fails here.
 * Left out: what the HDF5 connector uses, which needs tasks.
 */
#include "api/api_calls.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CALLS_NR_MAX = 512, NAME_BYTES = 48, EVENTS_NR = 24 };

/* ---- the record ------------------------------------------------------------------------------------------------------------ */

static struct {
    char name[NAME_BYTES], code[16];
    bool by_event; /* at least once */
} calls[CALLS_NR_MAX];
static int calls_nr;

/* The event of the call that is being made (api_ev()). */
static struct {
    bool is_asked; /* second pass */
    bool is_used; /* by the call being made */
    bool was_used; /* by the last one */
    daos_event_t event;
} api_event;

daos_event_t *
api_ev(void)
{
    if (!api_event.is_asked)
        return NULL;
    api_event.is_used = EXPECT_OK(daos_event_init(&api_event.event, DAOS_HDL_INVAL, NULL));
    return api_event.is_used ? &api_event.event : NULL;
}

int
api_rc(int rc)
{
    bool flag = false;

    api_event.was_used = api_event.is_used;
    if (!api_event.is_used)
        return rc;
    api_event.is_used = false;
    if (rc == 0) {
        EXPECT_OK(daos_event_test(&api_event.event, DAOS_EQ_WAIT, &flag));
        EXPECT(flag);
        rc = api_event.event.ev_error;
    }
    EXPECT_OK(daos_event_fini(&api_event.event));
    return rc;
}

static int
call_find(const char *name, const char *code)
{
    for (int i = 0; i < calls_nr; i++) {
        if (strcmp(calls[i].name, name) == 0 && strcmp(calls[i].code, code) == 0)
            return i;
    }
    return -1;
}

static bool
is_called(const char *name, const char *code)
{
    return call_find(name, code) >= 0;
}

bool
api_called(const char *name, const char *code, bool is_good)
{
    int i = call_find(name, code);

    if (!is_good || (i < 0 && calls_nr == CALLS_NR_MAX))
        return is_good;
    if (i < 0) {
        i = calls_nr++;
        snprintf(calls[i].name, sizeof(calls[i].name), "%s", name);
        snprintf(calls[i].code, sizeof(calls[i].code), "%s", code);
    }
    calls[i].by_event |= api_event.was_used;
    return true;
}

/* The line of errors.list for a name; false: none. */
static bool
errors_of(const char *name, char *ret_codes, size_t bytes)
{
    FILE *file = fopen(API_LISTS "/errors.list", "r");
    char line[256];
    bool is_found = false;

    while (file != NULL && !is_found && fgets(line, sizeof(line), file) != NULL) {
        size_t len = strcspn(line, " \n");

        is_found = line[0] != '#' && len == strlen(name) && strncmp(line, name, len) == 0;
        if (is_found)
            snprintf(ret_codes, bytes, "%s", line + len);
    }
    if (file != NULL)
        fclose(file);
    return is_found;
}

static void
name_check(const char *program, const char *name)
{
    char codes[256] = "", *code, *save = NULL;
    bool is_there = true;

    if (!errors_of(name, codes, sizeof(codes))) {
        fprintf(stderr, "    %s: %s has no line in errors.list\n", program, name);
        EXPECT(false);
        return;
    }
    for (code = strtok_r(codes, " \n", &save); code != NULL; code = strtok_r(NULL, " \n", &save)) {
        is_there = is_there && strcmp(code, "NOSYS") != 0;
        if (!EXPECT(is_called(name, code)))
            fprintf(stderr, "    %s: no test gets %s from %s\n", program, code, name);
    }
    if (!EXPECT_EQ(is_called(name, ""), is_there)) {
        fprintf(stderr, "    %s: %s %s\n", program, name,
            is_there ? "in no test succeeds" : "is there");
    }
}

static void
lists_check(void)
{
    DIR *dir = opendir(API_LISTS "/symbols");
    const struct dirent *entry;
    int lists_nr = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[600], line[128];
        FILE *file;

        if (strstr(entry->d_name, ".list") == NULL || strcmp(entry->d_name, "vol_daos.list") == 0)
            continue;
        snprintf(path, sizeof(path), API_LISTS "/symbols/%s", entry->d_name);
        file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
            line[strcspn(line, "\n")] = '\0';
            if (line[0] != '#' && line[0] != '\0')
                name_check(entry->d_name, line);
        }
        if (file != NULL)
            fclose(file);
        lists_nr++;
    }
    if (dir != NULL)
        closedir(dir);
    EXPECT_GE(lists_nr, 6);
}

/* Every call that takes an event was made with one, and succeeded. */
static void
events_check(void)
{
    FILE *file = fopen(API_LISTS "/events.list", "r");
    char line[128];
    int nr = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        int i;

        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        i = call_find(line, "");
        nr++;
        if (!EXPECT(i >= 0 && calls[i].by_event))
            fprintf(stderr, "    no test calls %s with an event\n", line);
    }
    if (file != NULL)
        fclose(file);
    EXPECT_GT(nr, 50);
}

/* ---- pools and containers -------------------------------------------------------------------------------------------------- */

static const daos_handle_t bad = {.cookie = 0x12345};

static bool
store_open(struct api_store *store)
{
    daos_handle_t poh;

    CALL_ERR(INVAL, daos_pool_connect, "bad label", NULL, DAOS_PC_RW, &poh, NULL, EV);
    CALL_ERR(NONEXIST, daos_pool_connect, "nopool", NULL, DAOS_PC_RW, &poh, NULL, EV);
    return CALL_OK(daos_pool_connect, "tank", NULL, DAOS_PC_RW, &store->poh, NULL, EV) &&
        EXPECT_OK(daos_pool_connect("tank", NULL, DAOS_PC_RO, &store->ro_poh, NULL, NULL)) &&
        CALL_OK(daos_cont_create_with_label, store->poh, "box", NULL, NULL, EV) &&
        EXPECT_OK(daos_cont_create_with_label(store->poh, "second", NULL, NULL, NULL)) &&
        CALL_OK(daos_cont_open, store->poh, "box", DAOS_COO_RW, &store->coh, NULL, EV) &&
        EXPECT_OK(daos_cont_open(store->ro_poh, "box", DAOS_COO_RO, &store->ro_coh, NULL, NULL));
}

static void
calls_pool(struct api_store *store)
{
    daos_pool_info_t info = {.pi_bits = DPI_ALL};
    struct daos_pool_cont_info conts[2];
    daos_handle_t copy;
    daos_size_t nr = 0;
    d_iov_t glob = {0};
    char *buf;

    CALL_OK(daos_pool_query, store->poh, NULL, &info, NULL, EV);
    EXPECT_EQ(info.pi_ntargets, 2);
    CALL_ERR(NO_HDL, daos_pool_query, bad, NULL, &info, NULL, EV);
    CALL_OK(daos_pool_list_cont, store->poh, &nr, NULL, EV);
    EXPECT_EQ(nr, 2);
    nr = 1;
    CALL_ERR(TRUNC, daos_pool_list_cont, store->poh, &nr, conts, EV);
    CALL_ERR(NO_HDL, daos_pool_list_cont, bad, &nr, conts, EV);
    CALL_ERR(NO_HDL, daos_pool_disconnect, bad, EV);
    CALL_ERR(BUSY, daos_pool_disconnect, store->poh, EV);

    CALL_ERR(INVAL, daos_pool_local2global, store->poh, NULL);
    CALL_ERR(NO_HDL, daos_pool_local2global, bad, &glob);
    CALL_OK(daos_pool_local2global, store->poh, &glob); /* the size */
    buf = malloc(glob.iov_buf_len);
    glob.iov_buf = buf;
    glob.iov_buf_len--;
    CALL_ERR(TRUNC, daos_pool_local2global, store->poh, &glob);
    glob.iov_buf_len++;
    CALL_OK(daos_pool_local2global, store->poh, &glob);
    CALL_OK(daos_pool_global2local, glob, &copy);
    CALL_OK(daos_pool_disconnect, copy, EV);
    buf[0] ^= 1;
    CALL_ERR(INVAL, daos_pool_global2local, glob, &copy);
    free(buf);
}

static void
calls_cont(struct api_store *store)
{
    daos_handle_t coh, copy;
    d_iov_t glob = {0};
    uint64_t lo;
    uuid_t uuid;
    char text[37], *buf;

    CALL_ERR(NO_HDL, daos_cont_create, bad, &uuid, NULL, EV);
    CALL_ERR(NO_PERM, daos_cont_create, store->ro_poh, &uuid, NULL, EV);
    CALL_OK(daos_cont_create, store->poh, &uuid, NULL, EV);
    uuid_unparse(uuid, text);
    CALL_ERR(EXIST, daos_cont_create_with_label, store->poh, "box", NULL, NULL, EV);
    CALL_ERR(INVAL, daos_cont_create_with_label, store->poh, "not a label", NULL, NULL, EV);
    CALL_ERR(NO_HDL, daos_cont_create_with_label, bad, "box2", NULL, NULL, EV);
    CALL_ERR(NO_PERM, daos_cont_create_with_label, store->ro_poh, "box2", NULL, NULL, EV);
    CALL_ERR(NONEXIST, daos_cont_open, store->poh, "none", DAOS_COO_RW, &coh, NULL, EV);
    CALL_ERR(INVAL, daos_cont_open, store->poh, "box", 0, &coh, NULL, EV);
    CALL_ERR(NO_HDL, daos_cont_open, bad, "box", DAOS_COO_RW, &coh, NULL, EV);
    CALL_ERR(NO_PERM, daos_cont_open, store->ro_poh, "box", DAOS_COO_RW, &coh, NULL, EV);
    CALL_OK(daos_cont_open, store->poh, text, DAOS_COO_RW, &coh, NULL, EV);
    CALL_ERR(BUSY, daos_cont_destroy, store->poh, text, 0, EV);
    CALL_ERR(NO_HDL, daos_cont_close, bad, EV);

    CALL_ERR(INVAL, daos_cont_local2global, coh, NULL);
    CALL_ERR(NO_HDL, daos_cont_local2global, bad, &glob);
    CALL_OK(daos_cont_local2global, coh, &glob);
    buf = malloc(glob.iov_buf_len);
    glob.iov_buf = buf;
    glob.iov_buf_len--;
    CALL_ERR(TRUNC, daos_cont_local2global, coh, &glob);
    glob.iov_buf_len++;
    CALL_OK(daos_cont_local2global, coh, &glob);
    CALL_ERR(NO_HDL, daos_cont_global2local, bad, glob, &copy);
    CALL_OK(daos_cont_global2local, store->poh, glob, &copy);
    CALL_OK(daos_cont_close, copy, EV);
    buf[9] ^= 1;
    CALL_ERR(INVAL, daos_cont_global2local, store->poh, glob, &copy);
    free(buf);

    CALL_OK(daos_cont_aggregate, coh, 0, EV);
    CALL_ERR(NO_HDL, daos_cont_aggregate, bad, 0, EV);
    CALL_OK(daos_cont_alloc_oids, coh, 10, &lo, EV);
    CALL_ERR(INVAL, daos_cont_alloc_oids, coh, 10, NULL, EV);
    CALL_ERR(NO_HDL, daos_cont_alloc_oids, bad, 10, &lo, EV);
    CALL_OK(daos_cont_close, coh, EV);
    CALL_ERR(NO_PERM, daos_cont_destroy, store->ro_poh, text, 0, EV);
    CALL_ERR(NO_HDL, daos_cont_destroy, bad, text, 0, EV);
    CALL_ERR(INVAL, daos_cont_destroy, store->poh, NULL, 0, EV);
    CALL_OK(daos_cont_destroy, store->poh, text, 0, EV);
    CALL_ERR(NONEXIST, daos_cont_destroy, store->poh, text, 0, EV);
}

/* Snapshots and their tables of objects. */
static void
calls_snap(struct api_store *store)
{
    daos_epoch_range_t range = {2, 1};
    daos_anchor_t anchor = {0};
    daos_epoch_t epoch = 0, named = 0;
    daos_obj_id_t oid, oids[8];
    daos_handle_t oh, kv;
    uint32_t nr = 8, found = 0;
    char name[] = "before";

    CALL_ERR(NO_HDL, daos_cont_create_snap_opt, bad, &epoch, NULL, DAOS_SNAP_OPT_CR, EV);
    CALL_ERR(INVAL, daos_cont_create_snap_opt, store->coh, NULL, NULL, DAOS_SNAP_OPT_CR, EV);
    CALL_ERR(NO_PERM, daos_cont_create_snap_opt, store->ro_coh, &epoch, NULL, DAOS_SNAP_OPT_CR, EV);
    CALL_ERR(NO_PERM, daos_cont_aggregate, store->ro_coh, 0, EV);
    CALL_OK(daos_cont_create_snap_opt, store->coh, &named, name, DAOS_SNAP_OPT_CR, EV);
    CALL_ERR(EXIST, daos_cont_create_snap_opt, store->coh, &epoch, name, DAOS_SNAP_OPT_CR, EV);

    oid = (daos_obj_id_t){.lo = 4711};
    EXPECT_OK(daos_obj_generate_oid(store->coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    EXPECT_OK(daos_kv_open(store->coh, oid, DAOS_OO_RW, &kv, NULL));
    EXPECT_OK(daos_kv_put(kv, DAOS_TX_NONE, 0, "k", 2, "1", NULL));
    CALL_OK(daos_cont_create_snap_opt, store->coh, &epoch, NULL,
        DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT, EV);
    EXPECT_GT(epoch, named);

    CALL_ERR(NO_HDL, daos_oit_open, bad, epoch, &oh, EV);
    CALL_ERR(INVAL, daos_oit_open, store->coh, epoch, NULL, EV);
    CALL_ERR(NONEXIST, daos_oit_open, store->coh, epoch + 1, &oh, EV);
    CALL_ERR(NONEXIST, daos_oit_open, store->coh, named, &oh, EV);
    CALL_OK(daos_oit_open, store->coh, epoch, &oh, EV);
    CALL_ERR(NO_HDL, daos_oit_list, bad, oids, &nr, &anchor, EV);
    CALL_ERR(INVAL, daos_oit_list, oh, NULL, &nr, &anchor, EV);
    while (!daos_anchor_is_eof(&anchor)) {
        nr = 8;
        if (!CALL_OK(daos_oit_list, oh, oids, &nr, &anchor, EV))
            break;
        for (uint32_t i = 0; i < nr; i++) {
            found += oids[i].lo == oid.lo && oids[i].hi == oid.hi;
        }
    }
    EXPECT_EQ(found, 1);
    CALL_ERR(NO_HDL, daos_oit_close, bad, EV);
    CALL_OK(daos_oit_close, oh, EV);
    EXPECT_OK(daos_kv_destroy(kv, DAOS_TX_NONE, NULL));
    EXPECT_OK(daos_kv_close(kv, NULL));

    CALL_ERR(INVAL, daos_cont_destroy_snap, store->coh, range, EV);
    range = (daos_epoch_range_t){epoch, epoch};
    CALL_ERR(NO_HDL, daos_cont_destroy_snap, bad, range, EV);
    CALL_ERR(NO_PERM, daos_cont_destroy_snap, store->ro_coh, range, EV);
    CALL_OK(daos_cont_destroy_snap, store->coh, range, EV);
    CALL_ERR(NONEXIST, daos_cont_destroy_snap, store->coh, range, EV);
    CALL_OK(daos_cont_destroy_snap, store->coh, ((daos_epoch_range_t){0, DAOS_EPOCH_MAX}), EV);
}

/* ---- objects ----------------------------------------------------------------------------------------------------------------- */

/* One akey "a" of one dkey "d", and buffers. */
struct rec {
    d_iov_t dkey, iov;
    daos_iod_t iod;
    d_sg_list_t sgl;
    char buf[64];
};

static struct rec *
rec_set(struct rec *rec, size_t len)
{
    static char a[] = "a", d[] = "d";

    memset(rec, 0, sizeof(*rec));
    d_iov_set(&rec->dkey, d, 1);
    d_iov_set(&rec->iod.iod_name, a, 1);
    rec->iod.iod_type = DAOS_IOD_SINGLE;
    rec->iod.iod_nr = 1;
    rec->iod.iod_size = len;
    d_iov_set(&rec->iov, rec->buf, len);
    rec->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &rec->iov};
    return rec;
}

static void
calls_obj_io(daos_handle_t oh, daos_handle_t ro_oh)
{
    struct rec r;

    rec_set(&r, 10);
    CALL_OK(daos_obj_update, oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, EV);
    CALL_ERR(INVAL, daos_obj_update, oh, DAOS_TX_NONE, 0, NULL, 1, &r.iod, &r.sgl, EV);
    CALL_ERR(NO_HDL, daos_obj_update, bad, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, EV);
    CALL_ERR(NO_PERM, daos_obj_update, ro_oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, EV);
    r.iov.iov_len = 5; /* less than the record */
    r.iov.iov_buf_len = 5;
    CALL_ERR(REC2BIG, daos_obj_update, oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, EV);
    rec_set(&r, 10);
    CALL_OK(daos_obj_fetch, oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, NULL, EV);
    EXPECT_EQ(r.iod.iod_size, 10);
    rec_set(&r, 5);
    CALL_ERR(REC2BIG, daos_obj_fetch, oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, NULL, EV);
    EXPECT_EQ(r.iod.iod_size, 10); /* what it takes */
    CALL_ERR(INVAL, daos_obj_fetch, oh, DAOS_TX_NONE, 0, NULL, 1, &r.iod, &r.sgl, NULL, EV);
    CALL_ERR(NO_HDL, daos_obj_fetch, bad, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, NULL, EV);
}

static void
calls_obj_list(daos_handle_t oh, daos_handle_t ro_oh)
{
    daos_anchor_t anchor = {0};
    daos_key_desc_t kds[4];
    char longer[40];
    struct rec r;
    uint32_t nr = 4;

    rec_set(&r, 10);
    memset(longer, 'l', sizeof(longer));
    d_iov_set(&r.iod.iod_name, longer, sizeof(longer));
    EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, NULL));
    d_iov_set(&r.dkey, longer, sizeof(longer));
    EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &r.dkey, 1, &r.iod, &r.sgl, NULL));
    rec_set(&r, sizeof(r.buf));
    CALL_OK(daos_obj_list_dkey, oh, DAOS_TX_NONE, &nr, kds, &r.sgl, &anchor, EV);
    CALL_ERR(INVAL, daos_obj_list_dkey, oh, DAOS_TX_NONE, NULL, kds, &r.sgl, &anchor, EV);
    CALL_ERR(NO_HDL, daos_obj_list_dkey, bad, DAOS_TX_NONE, &nr, kds, &r.sgl, &anchor, EV);
    memset(&anchor, 0, sizeof(anchor));
    nr = 4;
    CALL_OK(daos_obj_list_akey, oh, DAOS_TX_NONE, &r.dkey, &nr, kds, &r.sgl, &anchor, EV);
    CALL_ERR(INVAL, daos_obj_list_akey, oh, DAOS_TX_NONE, NULL, &nr, kds, &r.sgl, &anchor, EV);
    CALL_ERR(NO_HDL, daos_obj_list_akey, bad, DAOS_TX_NONE, &r.dkey, &nr, kds, &r.sgl, &anchor, EV);
    CALL_OK(daos_obj_punch_dkeys, oh, DAOS_TX_NONE, 0, 1, &r.dkey, EV);
    CALL_ERR(NO_HDL, daos_obj_punch_dkeys, bad, DAOS_TX_NONE, 0, 1, &r.dkey, EV);
    CALL_ERR(INVAL, daos_obj_punch_dkeys, oh, DAOS_TX_NONE, 0, 1, NULL, EV);
    CALL_ERR(NO_PERM, daos_obj_punch_dkeys, ro_oh, DAOS_TX_NONE, 0, 1, &r.dkey, EV);
    /* only the long dkey is left, with a long akey */
    rec_set(&r, 8);
    memset(&anchor, 0, sizeof(anchor));
    nr = 4;
    CALL_ERR(KEY2BIG, daos_obj_list_dkey, oh, DAOS_TX_NONE, &nr, kds, &r.sgl, &anchor, EV);
    EXPECT_EQ(kds[0].kd_key_len, sizeof(longer));
    d_iov_set(&r.dkey, longer, sizeof(longer));
    memset(&anchor, 0, sizeof(anchor));
    nr = 4;
    CALL_ERR(KEY2BIG, daos_obj_list_akey, oh, DAOS_TX_NONE, &r.dkey, &nr, kds, &r.sgl, &anchor, EV);
    EXPECT_EQ(kds[0].kd_key_len, sizeof(longer));
}

static void
calls_obj(struct api_store *store)
{
    daos_obj_id_t oid = {.lo = 1}, other = {.lo = 2};
    daos_handle_t oh, ro_oh;

    CALL_IS(daos_oclass_name2id, daos_oclass_name2id("SX") == OC_SX);
    CALL_OK(daos_obj_generate_oid, store->coh, &oid, DAOS_OT_MULTI_HASHED, OC_S1, 0, 0);
    CALL_ERR(NO_HDL, daos_obj_generate_oid, bad, &other, DAOS_OT_MULTI_HASHED, OC_S1, 0, 0);
    CALL_ERR(INVAL, daos_obj_generate_oid, store->coh, NULL, DAOS_OT_MULTI_HASHED, OC_S1, 0, 0);
    CALL_OK(daos_obj_open, store->coh, oid, DAOS_OO_RW, &oh, EV);
    EXPECT_OK(daos_obj_open(store->coh, oid, DAOS_OO_RO, &ro_oh, NULL));
    CALL_ERR(NO_HDL, daos_obj_open, bad, oid, DAOS_OO_RW, &oh, EV);
    CALL_ERR(INVAL, daos_obj_open, store->coh, oid, DAOS_OO_RW, NULL, EV);
    CALL_ERR(NO_PERM, daos_obj_open, store->ro_coh, oid, DAOS_OO_RW, &oh, EV);
    CALL_ERR(BUSY, daos_cont_close, store->coh, EV);
    calls_obj_io(oh, ro_oh);
    calls_obj_list(oh, ro_oh);
    CALL_OK(daos_obj_close, oh, EV);
    CALL_ERR(NO_HDL, daos_obj_close, oh, EV);
    EXPECT_OK(daos_obj_close(ro_oh, NULL));
}

/* ---- arrays and key-value stores ---------------------------------------------------------------------------------------------- */

static void
calls_array_io(daos_handle_t oh)
{
    daos_range_t range = {.rg_idx = 3, .rg_len = 10};
    daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
    daos_size_t size = 0;
    struct rec r;

    rec_set(&r, 10);
    CALL_OK(daos_array_write, oh, DAOS_TX_NONE, &iod, &r.sgl, EV);
    CALL_ERR(INVAL, daos_array_write, oh, DAOS_TX_NONE, &iod, NULL, EV);
    CALL_ERR(NO_HDL, daos_array_write, bad, DAOS_TX_NONE, &iod, &r.sgl, EV);
    CALL_OK(daos_array_read, oh, DAOS_TX_NONE, &iod, &r.sgl, EV);
    CALL_ERR(INVAL, daos_array_read, oh, DAOS_TX_NONE, NULL, &r.sgl, EV);
    CALL_ERR(NO_HDL, daos_array_read, bad, DAOS_TX_NONE, &iod, &r.sgl, EV);
    range.rg_len = 11; /* more than the buffer */
    CALL_ERR(INVAL, daos_array_read, oh, DAOS_TX_NONE, &iod, &r.sgl, EV);
    CALL_OK(daos_array_get_size, oh, DAOS_TX_NONE, &size, EV);
    EXPECT_EQ(size, 13);
    CALL_ERR(INVAL, daos_array_get_size, oh, DAOS_TX_NONE, NULL, EV);
    CALL_ERR(NO_HDL, daos_array_get_size, bad, DAOS_TX_NONE, &size, EV);
}

static void
calls_array(struct api_store *store)
{
    daos_obj_id_t oid = {.lo = 3}, none = {.lo = 4}, attr = {.lo = 5};
    daos_size_t cell, chunk;
    daos_handle_t oh, other;

    EXPECT_OK(daos_obj_generate_oid(store->coh, &oid, DAOS_OT_ARRAY, OC_SX, 0, 0));
    EXPECT_OK(daos_obj_generate_oid(store->coh, &none, DAOS_OT_ARRAY, OC_SX, 0, 0));
    EXPECT_OK(daos_obj_generate_oid(store->coh, &attr, DAOS_OT_ARRAY_ATTR, OC_SX, 0, 0));
    CALL_OK(daos_array_create, store->coh, oid, DAOS_TX_NONE, 1, 1024, &oh, EV);
    CALL_ERR(EXIST, daos_array_create, store->coh, oid, DAOS_TX_NONE, 1, 1024, &other, EV);
    CALL_ERR(INVAL, daos_array_create, store->coh, oid, DAOS_TX_NONE, 0, 1024, &other, EV);
    CALL_ERR(NO_HDL, daos_array_create, bad, oid, DAOS_TX_NONE, 1, 1024, &other, EV);
    CALL_ERR(NO_PERM, daos_array_create, store->ro_coh, none, DAOS_TX_NONE, 1, 1024, &other, EV);
    calls_array_io(oh);
    CALL_OK(daos_array_close, oh, EV);
    CALL_ERR(NO_HDL, daos_array_close, oh, EV);
    CALL_OK(daos_array_open, store->coh, oid, DAOS_TX_NONE, DAOS_OO_RW, &cell, &chunk, &oh, EV);
    EXPECT_EQ(chunk, 1024);
    CALL_ERR(NONEXIST, daos_array_open, store->coh, none, DAOS_TX_NONE, DAOS_OO_RW, &cell, &chunk,
        &other, EV);
    CALL_ERR(INVAL, daos_array_open, store->coh, oid, DAOS_TX_NONE, DAOS_OO_RW, NULL, &chunk,
        &other, EV);
    CALL_ERR(NO_HDL, daos_array_open, bad, oid, DAOS_TX_NONE, DAOS_OO_RW, &cell, &chunk, &other, EV);
    CALL_ERR(NO_PERM, daos_array_open, store->ro_coh, oid, DAOS_TX_NONE, DAOS_OO_RW, &cell, &chunk,
        &other, EV);
    CALL_ERR(NO_HDL, daos_array_destroy, bad, DAOS_TX_NONE, EV);
    EXPECT_OK(
        daos_array_open(store->coh, oid, DAOS_TX_NONE, DAOS_OO_RO, &cell, &chunk, &other, NULL));
    CALL_ERR(NO_PERM, daos_array_destroy, other, DAOS_TX_NONE, EV);
    CALL_OK(daos_array_close, other, EV);
    CALL_OK(daos_array_destroy, oh, DAOS_TX_NONE, EV);
    CALL_OK(daos_array_close, oh, EV);
    CALL_OK(daos_array_open_with_attr, store->coh, attr, DAOS_TX_NONE, DAOS_OO_RW, 4, 64, &oh, EV);
    CALL_OK(daos_array_close, oh, EV);
    CALL_ERR(INVAL, daos_array_open_with_attr, store->coh, attr, DAOS_TX_NONE, DAOS_OO_RW, 0, 64,
        &oh, EV);
    CALL_ERR(NO_HDL, daos_array_open_with_attr, bad, attr, DAOS_TX_NONE, DAOS_OO_RW, 4, 64, &oh, EV);
    CALL_ERR(NO_PERM, daos_array_open_with_attr, store->ro_coh, attr, DAOS_TX_NONE, DAOS_OO_RW, 4,
        64, &oh, EV);
}

static void
calls_kv_io(daos_handle_t oh, daos_handle_t ro_oh)
{
    char buf[32] = "value";
    daos_size_t size = sizeof(buf);

    CALL_OK(daos_kv_put, oh, DAOS_TX_NONE, 0, "k", 6, buf, EV);
    CALL_ERR(INVAL, daos_kv_put, oh, DAOS_TX_NONE, 0, NULL, 6, buf, EV);
    CALL_ERR(NO_HDL, daos_kv_put, bad, DAOS_TX_NONE, 0, "k", 6, buf, EV);
    CALL_ERR(NO_PERM, daos_kv_put, ro_oh, DAOS_TX_NONE, 0, "k", 6, buf, EV);
    CALL_ERR(EXIST, daos_kv_put, oh, DAOS_TX_NONE, DAOS_COND_KEY_INSERT, "k", 6, buf, EV);
    CALL_ERR(NONEXIST, daos_kv_put, oh, DAOS_TX_NONE, DAOS_COND_KEY_UPDATE, "none", 6, buf, EV);
    CALL_OK(daos_kv_get, oh, DAOS_TX_NONE, 0, "k", &size, buf, EV);
    EXPECT_EQ(size, 6);
    CALL_ERR(INVAL, daos_kv_get, oh, DAOS_TX_NONE, 0, "k", NULL, buf, EV);
    CALL_ERR(NO_HDL, daos_kv_get, bad, DAOS_TX_NONE, 0, "k", &size, buf, EV);
    CALL_ERR(NONEXIST, daos_kv_get, oh, DAOS_TX_NONE, DAOS_COND_KEY_GET, "none", &size, buf, EV);
    size = 3;
    CALL_ERR(REC2BIG, daos_kv_get, oh, DAOS_TX_NONE, 0, "k", &size, buf, EV);
    EXPECT_EQ(size, 6);
    CALL_ERR(INVAL, daos_kv_remove, oh, DAOS_TX_NONE, 0, NULL, EV);
    CALL_ERR(NO_HDL, daos_kv_remove, bad, DAOS_TX_NONE, 0, "k", EV);
    CALL_ERR(NO_PERM, daos_kv_remove, ro_oh, DAOS_TX_NONE, 0, "k", EV);
    CALL_ERR(NONEXIST, daos_kv_remove, oh, DAOS_TX_NONE, DAOS_COND_KEY_REMOVE, "none", EV);
}

static void
calls_kv(struct api_store *store)
{
    daos_obj_id_t oid = {.lo = 6};
    daos_anchor_t anchor = {0};
    daos_key_desc_t kds[4];
    daos_handle_t oh, ro_oh;
    uint32_t nr = 4;
    struct rec r;

    EXPECT_OK(daos_obj_generate_oid(store->coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    CALL_OK(daos_kv_open, store->coh, oid, DAOS_OO_RW, &oh, EV);
    EXPECT_OK(daos_kv_open(store->ro_coh, oid, DAOS_OO_RO, &ro_oh, NULL));
    CALL_ERR(INVAL, daos_kv_open, store->coh, oid, DAOS_OO_RW, NULL, EV);
    CALL_ERR(NO_HDL, daos_kv_open, bad, oid, DAOS_OO_RW, &oh, EV);
    CALL_ERR(NO_PERM, daos_kv_open, store->ro_coh, oid, DAOS_OO_RW, &oh, EV);
    calls_kv_io(oh, ro_oh);
    rec_set(&r, sizeof(r.buf));
    CALL_OK(daos_kv_list, oh, DAOS_TX_NONE, &nr, kds, &r.sgl, &anchor, EV);
    CALL_ERR(INVAL, daos_kv_list, oh, DAOS_TX_NONE, NULL, kds, &r.sgl, &anchor, EV);
    CALL_ERR(NO_HDL, daos_kv_list, bad, DAOS_TX_NONE, &nr, kds, &r.sgl, &anchor, EV);
    CALL_OK(daos_kv_remove, oh, DAOS_TX_NONE, DAOS_COND_KEY_REMOVE, "k", EV);
    CALL_ERR(NO_PERM, daos_kv_destroy, ro_oh, DAOS_TX_NONE, EV);
    CALL_ERR(NO_HDL, daos_kv_destroy, bad, DAOS_TX_NONE, EV);
    CALL_OK(daos_kv_destroy, oh, DAOS_TX_NONE, EV);
    CALL_OK(daos_kv_close, oh, EV);
    CALL_ERR(NO_HDL, daos_kv_close, oh, EV);
    CALL_OK(daos_kv_close, ro_oh, EV);
}

/* ---- events, properties -------------------------------------------------------------------------------------------------------- */

static void
calls_events(struct api_store *store)
{
    daos_event_t ev, child, *done[1];
    daos_handle_t eqh, gone;
    uint64_t lo;
    bool flag;

    CALL_ERR(INVAL, daos_eq_create, NULL);
    CALL_OK(daos_eq_create, &eqh);
    CALL_OK(daos_eq_create, &gone);
    CALL_OK(daos_event_init, &ev, eqh, NULL);
    CALL_ERR(INVAL, daos_event_init, NULL, eqh, NULL);
    CALL_OK(daos_event_init, &child, DAOS_HDL_INVAL, &ev);
    CALL_ERR(NO_PERM, daos_event_init, &child, DAOS_HDL_INVAL, &child);
    CALL_ERR(NO_PERM, daos_event_test, &child, 0, &flag);
    CALL_OK(daos_event_fini, &child);
    EXPECT_OK(daos_cont_alloc_oids(store->coh, 1, &lo, &ev));
    CALL_ERR(BUSY, daos_eq_destroy, eqh, 0); /* also when it has completed */
    CALL_IS(daos_eq_poll, daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 1, done) == 1);
    EXPECT_EQ(ev.ev_error, 0);
    CALL_ERR(INVAL, daos_eq_poll, eqh, 1, DAOS_EQ_WAIT, 1, NULL);
    CALL_OK(daos_event_fini, &ev);
    CALL_ERR(INVAL, daos_event_fini, &ev);
    CALL_OK(daos_event_init, &ev, gone, NULL);
    CALL_OK(daos_eq_destroy, gone, 0);
    CALL_ERR(NONEXIST, daos_event_test, &ev, 0, &flag);
    CALL_ERR(NONEXIST, daos_event_init, &child, gone, NULL);
    CALL_ERR(NONEXIST, daos_eq_destroy, gone, 0);
    CALL_ERR(NONEXIST, daos_eq_poll, gone, 1, DAOS_EQ_WAIT, 1, done);
    CALL_OK(daos_eq_destroy, eqh, 0);
    CALL_OK(daos_event_init, &ev, DAOS_HDL_INVAL, NULL);
    CALL_ERR(INVAL, daos_event_test, NULL, 0, &flag);
    CALL_OK(daos_event_test, &ev, 0, &flag);
    CALL_OK(daos_event_fini, &ev);
}

static void
calls_props(void)
{
    daos_prop_t *prop = daos_prop_alloc(2), in_place = {0};

    if (!CALL_IS(daos_prop_alloc, prop != NULL && prop->dpp_nr == 2))
        return;
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LABEL;
    prop->dpp_entries[0].dpe_str = strdup("label");
    daos_prop_free(prop);
    daos_prop_free(NULL);
    CALL_IS(daos_prop_free, true); /* the sanitizer tells what it leaves */
    daos_prop_fini(&in_place);
    CALL_IS(daos_prop_fini, in_place.dpp_entries == NULL);
}

/* What documents UNREACH ends with TIMEDOUT here, after the whole time of a call ($CRT_TIMEOUT). An event that runs for sure comes for free. */
static void
calls_engine_gone(void)
{
    daos_handle_t poh;
    daos_event_t ev;
    bool flag = true;

    EXPECT_OK(daos_event_init(&ev, DAOS_HDL_INVAL, NULL));
    EXPECT_OK(daos_pool_connect("tank", NULL, DAOS_PC_RW, &poh, NULL, &ev));
    CALL_OK(daos_event_test, &ev, 0, &flag);
    EXPECT(!flag);
    CALL_ERR(BUSY, daos_event_fini, &ev);
    EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
    EXPECT_ERR(ev.ev_error, TIMEDOUT);
    CALL_OK(daos_event_fini, &ev);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------------ */

static void
pass(struct api_store *store)
{
    struct api_sys sys;

    if (!api_sys_start(&sys, "unix") || !CALL_OK(daos_init) || !store_open(store))
        return;
    calls_pool(store);
    calls_cont(store);
    calls_snap(store);
    calls_obj(store);
    calls_array(store);
    calls_kv(store);
    calls_events(store);
    calls_props();
    api_calls_files(store);
    api_calls_gurt();
    api_calls_more(store);
    CALL_OK(daos_cont_close, store->ro_coh, EV);
    CALL_OK(daos_cont_close, store->coh, EV);
    CALL_OK(daos_pool_disconnect, store->ro_poh, EV);
    CALL_OK(daos_pool_disconnect, store->poh, EV);
    api_sys_kill(&sys);
    calls_engine_gone();
    CALL_OK(daos_fini);
}

TEST_LINUX(api_calls, every_call_of_known_programs, "the libraries as an application has them")
{
    struct api_store store;
    daos_handle_t eqh;
    dfs_t *dfs;

    setenv("CRT_TIMEOUT", "2", 1);
    CALL_ERR(UNINIT, daos_fini);
    CALL_ERR(UNINIT, daos_eq_create, &eqh);
    CALL_ERRNO(EACCES, dfs_connect, "tank", NULL, "tree", O_RDWR, NULL, &dfs);
    pass(&store);
    api_event.is_asked = true;
    pass(&store);
    lists_check();
    events_check();
}
