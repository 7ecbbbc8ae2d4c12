/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Parts of the client that need nobody: the attach file, handles, global handles' bytes, and the rule about daos_init(). */
#include "client/core/client_glob.h"
#include "client/core/client_priv.h"
#include "daos.h"
#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTACH \
    "{\"version\": 1, \"system\": \"daos_server\", \"uuid\": " \
    "\"11111111-2222-3333-4444-555555555555\", \"leader\": 3, \"ranks\": [" \
    "{\"rank\": 3, \"incarnation\": 77, \"uris\": [\"unix:///a/3.0\", \"unix:///a/3.1\"]}, " \
    "{\"rank\": 5, \"uris\": [\"tcp://127.0.0.1:1\"]}]}"

TEST(client_sys, attach_file_is_read)
{
    struct client_sys sys;

    if (!EXPECT_OK(client_sys_parse(ATTACH, strlen(ATTACH), &sys)))
        return;
    EXPECT_STR_EQ(sys.name, "daos_server");
    EXPECT_EQ(sys.uuid.b[0], 0x11);
    EXPECT_EQ(sys.leader_rank, 3);
    EXPECT_EQ(sys.rank_nr, 2);
    EXPECT_EQ(sys.ranks[0].rank, 3);
    EXPECT_EQ(sys.ranks[0].incarnation, 77);
    EXPECT_EQ(sys.ranks[0].uri_nr, 2);
    EXPECT_STR_EQ(sys.ranks[0].uris[1], "unix:///a/3.1");
    EXPECT_EQ(sys.ranks[1].incarnation, 0);
    client_sys_fini(&sys);
}

/* Goal: no text makes the reader do anything but answer INVAL. Method: every prefix, every byte replaced, and texts that are wrong on purpose. */
TEST(client_sys, bad_attach_files_are_refused)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[1,2]",
        "{\"version\": 2, \"system\": \"s\", \"uuid\": \"11111111-2222-3333-4444-555555555555\", "
        "\"leader\": 0, \"ranks\": [{\"rank\":0,\"uris\":[\"a\"]}]}",
        "{\"version\": 1, \"system\": \"a_name_of_16_char\", \"uuid\": "
        "\"11111111-2222-3333-4444-555555555555\", \"ranks\": [{\"rank\":0,\"uris\":[\"a\"]}]}",
        "{\"version\": 1, \"system\": \"s\", \"uuid\": \"no\", \"leader\": 0, \"ranks\": "
        "[{\"rank\":0,\"uris\":[\"a\"]}]}",
        "{\"version\": 1, \"system\": \"s\", \"uuid\": \"11111111-2222-3333-4444-555555555555\", "
        "\"ranks\": []}",
        "{\"version\": 1, \"system\": \"s\", \"uuid\": \"11111111-2222-3333-4444-555555555555\", "
        "\"ranks\": [{\"rank\":-1,\"uris\":[\"a\"]}]}",
        "{\"version\": 1, \"system\": \"s\", \"uuid\": \"11111111-2222-3333-4444-555555555555\", "
        "\"ranks\": [{\"rank\":0,\"uris\":[]}]}",
        "{\"version\": 1, \"system\": \"s\", \"uuid\": \"11111111-2222-3333-4444-555555555555\", "
        "\"ranks\": [{\"rank\":0,\"uris\":[7]}]}",
    };
    char text[sizeof(ATTACH)];
    struct client_sys sys;
    char *deep = malloc(100001);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EXPECT_ERR(client_sys_parse(bad[i], strlen(bad[i]), &sys), INVAL);
    }
    for (size_t i = 0; i < strlen(ATTACH); i++) {
        EXPECT_ERR(client_sys_parse(ATTACH, i, &sys), INVAL);
    }
    for (size_t i = 0; i < strlen(ATTACH); i++) {
        memcpy(text, ATTACH, sizeof(text));
        text[i] ^= 1;
        if (client_sys_parse(text, strlen(ATTACH), &sys) == 0)
            client_sys_fini(&sys); /* another name or number */
    }
    memset(deep, '[', 100000);
    EXPECT_ERR(client_sys_parse(deep, 100000, &sys), INVAL);
    free(deep);
}

static struct daos_client *
client_make(struct plat *plat)
{
    struct client_opts opts = {.plat = plat};
    struct daos_client *client = NULL;

    EXPECT_OK(client_create(&opts, &client));
    return client;
}

static uint32_t fini_nr;

static void
count_fini(void *ptr)
{
    (void)ptr;
    fini_nr++;
}

TEST_LINUX(
    client_hdl, know_type_generation_and_index, "client_create() makes a Linux xstream of its own")
{
    enum { NR = 1000 };
    static uint64_t cookies[NR];
    struct plat *plat;
    struct daos_client *client;
    uint64_t cookie;
    int thing;

    if (!EXPECT_OK(plat_linux_create(&plat)))
        return;
    client = client_make(plat);
    fini_nr = 0;
    for (int i = 0; i < NR; i++) {
        EXPECT_OK(client_hdl_new(client, CLIENT_HDL_OBJ, &cookies[i], count_fini, &cookies[i]));
    }
    for (int i = 0; i < NR; i++) {
        EXPECT(client_hdl_get(client, CLIENT_HDL_OBJ, cookies[i]) == &cookies[i]);
        EXPECT_EQ(cookies[i] & 15, CLIENT_HDL_OBJ);
    }
    EXPECT(client_hdl_get(client, CLIENT_HDL_CONT, cookies[0]) == NULL); /* another type */
    EXPECT(client_hdl_get(client, CLIENT_HDL_OBJ, 0) == NULL);
    EXPECT(client_hdl_get(client, CLIENT_HDL_OBJ, cookies[0] ^ UINT64_C(1) << 33) == NULL);
    EXPECT(client_hdl_get(client, CLIENT_HDL_OBJ, cookies[0] | UINT64_C(0xfffffff0)) == NULL);
    EXPECT(client_hdl_get(client, CLIENT_HDL_OBJ, UINT64_MAX) == NULL);
    EXPECT(client_hdl_del(client, CLIENT_HDL_OBJ, cookies[3]) == &cookies[3]);
    EXPECT(client_hdl_get(client, CLIENT_HDL_OBJ, cookies[3]) == NULL); /* closed */
    EXPECT(client_hdl_del(client, CLIENT_HDL_OBJ, cookies[3]) == NULL);
    EXPECT_OK(client_hdl_new(
        client, CLIENT_HDL_POOL, &thing, count_fini, &cookie)); /* takes the same place */
    EXPECT_NE(cookie, cookies[3]);
    EXPECT(client_hdl_get(client, CLIENT_HDL_OBJ, cookies[3]) == NULL);
    EXPECT(client_hdl_get(client, CLIENT_HDL_POOL, cookie) == &thing);
    client_destroy(client);
    EXPECT_EQ(fini_nr, NR); /* what is open ends with the client */
    plat_linux_destroy(plat);
}

TEST_LINUX(client_glob, damaged_bytes_are_refused, "client_create() makes a Linux xstream of its own")
{
    struct poolmap_rank_desc desc = {.tgts_nr = 3};
    struct client_pool *pool, *copy;
    struct client_cont *cont, *cont_copy;
    char name[CLIENT_SYS_NAME_BYTES_MAX];
    struct poolmap *map;
    struct plat *plat;
    struct daos_client *client;
    d_iov_t glob = {0};

    if (!EXPECT_OK(plat_linux_create(&plat)))
        return;
    client = client_make(plat);
    memcpy(client->sys.name, "abc", 4);
    EXPECT_OK(poolmap_create(&desc, 1, &map));
    EXPECT_OK(
        client_pool_new(client, (struct uuid){{1}}, (struct uuid){{2}}, DAOS_PC_RW, 0, map, &pool));
    EXPECT_OK(client_glob_pool(pool, &glob));
    EXPECT_GT(glob.iov_buf_len, 100);
    glob.iov_buf = malloc(glob.iov_buf_len);
    glob.iov_buf_len--;
    EXPECT_ERR(client_glob_pool(pool, &glob), TRUNC);
    glob.iov_buf_len++;
    EXPECT_OK(client_glob_pool(pool, &glob));
    EXPECT_EQ(glob.iov_len, glob.iov_buf_len);
    EXPECT_OK(client_glob_sys(&glob, name));
    EXPECT_STR_EQ(name, "abc");
    if (EXPECT_OK(client_glob_pool_open(client, &glob, &copy))) {
        EXPECT_EQ(cuuid_cmp(&copy->hdl, &pool->hdl), 0);
        EXPECT_EQ(copy->flags, DAOS_PC_RW);
        EXPECT_EQ(copy->map->tgts_nr, 3);
        EXPECT(copy->is_slave);
        client_pool_put(copy);
    }
    for (size_t i = 0; i < glob.iov_len; i++) {
        ((uint8_t *)glob.iov_buf)[i] ^= 0x10;
        EXPECT_ERR(client_glob_pool_open(client, &glob, &copy), INVAL);
        ((uint8_t *)glob.iov_buf)[i] ^= 0x10;
    }
    for (size_t i = 0; i < glob.iov_buf_len; i++) {
        glob.iov_len = i;
        EXPECT_ERR(client_glob_pool_open(client, &glob, &copy), INVAL);
    }
    glob.iov_len = glob.iov_buf_len;
    client->sys.uuid.b[0] ^= 1;
    EXPECT_ERR(client_glob_pool_open(client, &glob, &copy), MISMATCH);
    client->sys.uuid.b[0] ^= 1;
    EXPECT_OK(client_cont_new(pool, (struct uuid){{3}}, (struct uuid){{4}}, DAOS_COO_RO, &cont));
    EXPECT_ERR(client_glob_cont_open(pool, &glob, &cont_copy), INVAL); /* of a pool */
    EXPECT_OK(client_glob_cont(cont, &glob));
    if (EXPECT_OK(client_glob_cont_open(pool, &glob, &cont_copy))) {
        EXPECT_EQ(cont_copy->flags, DAOS_COO_RO);
        EXPECT_EQ(cont_copy->layout_ver, cont->layout_ver);
        client_cont_put(cont_copy);
    }
    EXPECT_ERR(client_glob_pool_open(client, &glob, &copy), INVAL);
    client_cont_put(cont);
    client_pool_put(pool);
    free(glob.iov_buf);
    client_destroy(client);
    plat_linux_destroy(plat);
}

/* ---- daos_init() ------------------------------------------------------------------------------------------------------- */

static void
expect_uninit(void)
{
    daos_handle_t hdl = {0};
    daos_event_t ev;
    uint64_t n = 0;
    bool flag;

    EXPECT_ERR(daos_pool_connect("p", NULL, DAOS_PC_RW, &hdl, NULL, NULL), UNINIT);
    EXPECT_ERR(daos_pool_connect(NULL, NULL, 99, NULL, NULL, NULL), UNINIT);
    EXPECT_ERR(daos_pool_disconnect(hdl, NULL), UNINIT);
    EXPECT_ERR(daos_cont_open(hdl, "c", DAOS_COO_RW, &hdl, NULL, NULL), UNINIT);
    EXPECT_ERR(daos_cont_alloc_oids(hdl, 1, &n, NULL), UNINIT);
    EXPECT_ERR(daos_obj_open(hdl, DAOS_OBJ_NIL, 0, &hdl, NULL), UNINIT);
    EXPECT_ERR(daos_obj_fetch(hdl, DAOS_TX_NONE, 0, NULL, 1, NULL, NULL, NULL, NULL), UNINIT);
    EXPECT_ERR(daos_kv_get(hdl, DAOS_TX_NONE, 0, "k", &n, NULL, NULL), UNINIT);
    EXPECT_ERR(daos_array_get_size(hdl, DAOS_TX_NONE, &n, NULL), UNINIT);
    EXPECT_ERR(daos_eq_create(&hdl), UNINIT);
    EXPECT_ERR(daos_event_init(&ev, hdl, NULL), UNINIT);
    EXPECT_ERR(daos_event_test(&ev, 0, &flag), UNINIT);
    EXPECT_ERR(daos_fini(), UNINIT);
    EXPECT_ERR(daos_mgmt_list_pools(NULL, &n, NULL, NULL), UNINIT);
}

TEST_LINUX(client_init, calls_before_init_and_after_fini_say_so, "daos_init() is of the process")
{
    daos_handle_t hdl = {0};

    expect_uninit();
    EXPECT_OK(daos_init());
    EXPECT_OK(daos_init());
    EXPECT_OK(daos_fini());
    EXPECT_ERR(daos_pool_disconnect(hdl, NULL), NO_HDL); /* still there */
    EXPECT_OK(daos_fini());
    expect_uninit();
    EXPECT_ERR(daos_reinit(), UNINIT);
}

TEST_LINUX(client_init, without_a_system_the_connect_says_so, "daos_init() is of the process")
{
    daos_handle_t poh;

    setenv("CAIRN_RUNTIME_DIR", test_tmpdir(), 1);
    EXPECT_OK(daos_init());
    EXPECT_ERR(daos_pool_connect("p", NULL, DAOS_PC_RW, &poh, NULL, NULL), AGENT_COMM);
    EXPECT_ERR(daos_pool_connect("p", "../x", DAOS_PC_RW, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(
        daos_pool_connect("p", "a_name_that_is_too_long", DAOS_PC_RW, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_pool_connect("p", "embedded:relative", DAOS_PC_RW, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_pool_connect("", NULL, DAOS_PC_RW, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_pool_connect("bad label", NULL, DAOS_PC_RW, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_pool_connect("p", NULL, 0, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_pool_connect("p", NULL, DAOS_PC_RW | DAOS_PC_RO, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_pool_connect("p", NULL, 8, &poh, NULL, NULL), INVAL);
    EXPECT_ERR(daos_pool_connect("p", NULL, DAOS_PC_RW, NULL, NULL, NULL), INVAL);
    EXPECT_OK(daos_fini());
    unsetenv("CAIRN_RUNTIME_DIR");
}

TEST_LINUX(client_init, what_is_missing_says_so, "daos_init() is of the process")
{
    daos_handle_t hdl = {1};
    daos_epoch_t epoch;

    EXPECT_OK(daos_init());
    EXPECT_ERR(daos_tx_open(hdl, &hdl, 0, NULL), NOSYS);
    EXPECT_ERR(daos_cont_subscribe(hdl, &epoch, NULL), NOSYS);
    EXPECT_ERR(daos_cont_rollback(hdl, 1, NULL), NOSYS);
    EXPECT_ERR(daos_obj_verify(hdl, DAOS_OBJ_NIL, 1), NOSYS);
    EXPECT_OK(daos_fini());
}

/* TH-4. The child's expectations come back as its exit code. */
TEST_LINUX(client_init, a_forked_child_finds_it_dead_until_reinit, "fork() is the system's")
{
    daos_handle_t eqh;
    int pid, status;

    EXPECT_OK(daos_init());
    EXPECT_OK(daos_eq_create(&eqh));
    pid = fork();
    if (pid == 0) {
        daos_handle_t own;
        int bad = 0;

        bad |= daos_eq_destroy(eqh, 0) != -DER_UNINIT ? 1 : 0;
        bad |= daos_init() != -DER_UNINIT ? 2 : 0;
        bad |= daos_reinit() != 0 ? 4 : 0;
        bad |= daos_eq_destroy(eqh, 0) != -DER_NONEXIST ? 8 : 0; /* the parent's */
        bad |= daos_eq_create(&own) != 0 ? 16 : 0;
        bad |= daos_eq_destroy(own, 0) != 0 ? 32 : 0;
        bad |= daos_fini() != 0 ? 64 : 0;
        _exit(bad);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_OK(daos_eq_destroy(eqh, 0)); /* ours lives on */
    EXPECT_OK(daos_reinit()); /* nothing to do */
    EXPECT_OK(daos_fini());
}
