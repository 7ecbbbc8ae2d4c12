/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An application for tests with real processes: puts and gets values whose bytes follow from their key, and says what was acknowledged, so that the record
 * lies outside of the system (SM-3).
 *
 *   cluster_client SYSTEM POOL CONT create                 make the container
 *   cluster_client SYSTEM POOL CONT put FROM NR BYTES      "ack KEY" after each; ends at the first error with "err KEY NAME", exit status 1
 *   cluster_client SYSTEM POOL CONT get FROM NR BYTES      "bad KEY NAME" for each that is missing, wrong or fails; exit status 1 if any
 *   cluster_client SYSTEM POOL CONT remove FROM NR
 *
 * SYSTEM "-" is the default one (embedded, with CAIRN_EMBEDDED). Values lie in one KV object, spread over all targets.
 */
#include "daos.h"
#include "daos_kv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES_MAX = 64 << 20 };

struct app {
    const char *sys, *pool, *cont;
    daos_handle_t poh, coh, oh;
    uint8_t *value, *got;
    size_t bytes;
};

/* The bytes of a value: different for each key, in every word. */
static void
value_fill(uint8_t *buf, size_t bytes, uint64_t key)
{
    uint64_t x = key * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (size_t i = 0; i < bytes; i++) {
        if (i % 8 == 0) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        buf[i] = (uint8_t)(x >> (i % 8 * 8));
    }
}

static int
fail(const char *what, int rc)
{
    (void)fprintf(stderr, "cluster_client: %s: %s\n", what, d_errstr(rc));
    return rc;
}

static int
app_open(struct app *app, bool creates)
{
    daos_obj_id_t oid = {.hi = 0, .lo = 7};
    int rc = daos_init();

    if (rc != 0)
        return fail("daos_init", rc);
    rc = daos_pool_connect(app->pool, app->sys, DAOS_PC_RW, &app->poh, NULL, NULL);
    if (rc != 0)
        return fail("daos_pool_connect", rc);
    if (creates) {
        rc = daos_cont_create_with_label(app->poh, app->cont, NULL, NULL, NULL);
        return rc == 0 ? 0 : fail("daos_cont_create_with_label", rc);
    }
    rc = daos_cont_open(app->poh, app->cont, DAOS_COO_RW, &app->coh, NULL, NULL);
    if (rc != 0)
        return fail("daos_cont_open", rc);
    rc = daos_obj_generate_oid(app->coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0);
    if (rc != 0)
        return fail("daos_obj_generate_oid", rc);
    rc = daos_kv_open(app->coh, oid, DAOS_OO_RW, &app->oh, NULL);
    return rc == 0 ? 0 : fail("daos_kv_open", rc);
}

static int
app_put(struct app *app, uint64_t key)
{
    char name[32];
    int rc;

    (void)snprintf(name, sizeof(name), "%" PRIu64, key);
    value_fill(app->value, app->bytes, key);
    rc = daos_kv_put(app->oh, DAOS_TX_NONE, 0, name, app->bytes, app->value, NULL);
    if (rc == 0) {
        (void)printf("ack %s\n", name);
    } else {
        (void)printf("err %s %s\n", name, d_errstr(rc));
    }
    (void)fflush(stdout);
    return rc;
}

static int
app_get(struct app *app, uint64_t key)
{
    daos_size_t size = app->bytes;
    char name[32];
    int rc;

    (void)snprintf(name, sizeof(name), "%" PRIu64, key);
    value_fill(app->value, app->bytes, key);
    memset(app->got, 0, app->bytes);
    rc = daos_kv_get(app->oh, DAOS_TX_NONE, 0, name, &size, app->got, NULL);
    if (rc == 0 && size == app->bytes && memcmp(app->got, app->value, app->bytes) == 0)
        return 0;
    (void)printf("bad %s %s\n", name, rc != 0 ? d_errstr(rc) : size == 0 ? "missing" : "wrong");
    return rc != 0 ? rc : -DER_IO;
}

static int
app_remove(struct app *app, uint64_t key)
{
    char name[32];
    int rc;

    (void)snprintf(name, sizeof(name), "%" PRIu64, key);
    rc = daos_kv_remove(app->oh, DAOS_TX_NONE, 0, name, NULL);
    if (rc != 0)
        (void)printf("err %s %s\n", name, d_errstr(rc));
    return rc;
}

static int
app_run(struct app *app, const char *verb, uint64_t from, uint64_t nr)
{
    int rc = 0;

    for (uint64_t key = from; key < from + nr; key++) {
        int one;

        if (strcmp(verb, "put") == 0) {
            rc = app_put(app, key);
            if (rc != 0)
                break;
            continue;
        }
        one = strcmp(verb, "get") == 0 ? app_get(app, key) : app_remove(app, key);
        rc = rc != 0 ? rc : one;
    }
    return rc;
}

int
main(int argc, char **argv)
{
    struct app app = {.oh = DAOS_HDL_INVAL, .coh = DAOS_HDL_INVAL, .poh = DAOS_HDL_INVAL};
    uint64_t from = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
    uint64_t nr = argc > 6 ? strtoull(argv[6], NULL, 10) : 0;
    int rc;

    if (argc < 5)
        return 2;
    app.sys = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
    app.pool = argv[2];
    app.cont = argv[3];
    app.bytes = argc > 7 ? strtoull(argv[7], NULL, 10) : 1;
    if (app.bytes == 0 || app.bytes > VALUE_BYTES_MAX)
        return 2;
    app.value = malloc(app.bytes);
    app.got = malloc(app.bytes);
    if (app.value == NULL || app.got == NULL)
        return 2;
    rc = app_open(&app, strcmp(argv[4], "create") == 0);
    if (rc == 0)
        rc = app_run(&app, argv[4], from, nr);
    if (daos_handle_is_valid(app.oh))
        (void)daos_kv_close(app.oh, NULL);
    if (daos_handle_is_valid(app.coh))
        (void)daos_cont_close(app.coh, NULL);
    if (daos_handle_is_valid(app.poh))
        (void)daos_pool_disconnect(app.poh, NULL);
    (void)daos_fini();
    free(app.got);
    free(app.value);
    return rc == 0 ? 0 : 1;
}
