/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A program as a user writes it: C99, nothing but the installed headers and libraries. Puts and
 * gets one value in embedded mode (CAIRN_EMBEDDED); also compiled as C++. Built and run by
 * install_test.py.
 */
#include <daos.h>
#include <daos_fs.h>
#include <daos_uns.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int
put_and_get(daos_handle_t oh)
{
    static const char value[] = "what was put";
    char back[sizeof(value)] = "";
    daos_size_t size = sizeof(back);
    int rc = daos_kv_put(oh, DAOS_TX_NONE, 0, "key", sizeof(value), value, NULL);

    if (rc == 0)
        rc = daos_kv_get(oh, DAOS_TX_NONE, 0, "key", &size, back, NULL);
    if (rc == 0 && (size != sizeof(value) || memcmp(back, value, size) != 0))
        rc = -DER_MISC;
    return rc;
}

int
main(void)
{
    daos_handle_t poh, coh, oh;
    daos_obj_id_t oid;
    dfs_t *dfs = NULL;
    struct duns_attr_t attr;
    int rc;

    memset(&attr, 0, sizeof(attr));
    memset(&oid, 0, sizeof(oid));
    oid.lo = 1;
    rc = daos_init();
    if (rc == 0)
        rc = daos_pool_connect("tank", NULL, DAOS_PC_RW, &poh, NULL, NULL);
    if (rc == 0)
        rc = daos_cont_create_with_label(poh, "box", NULL, NULL, NULL);
    if (rc == 0)
        rc = daos_cont_open(poh, "box", DAOS_COO_RW, &coh, NULL, NULL);
    if (rc == 0)
        rc = daos_obj_generate_oid(coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0);
    if (rc == 0)
        rc = daos_kv_open(coh, oid, DAOS_OO_RW, &oh, NULL);
    if (rc == 0)
        rc = put_and_get(oh);
    if (rc == 0)
        rc = daos_kv_close(oh, NULL);
    if (rc == 0)
        rc = daos_cont_close(coh, NULL);
    if (rc == 0)
        rc = dfs_connect("tank", NULL, "files", O_CREAT | O_RDWR, NULL, &dfs) == 0 ? 0 : -DER_MISC;
    if (rc == 0)
        rc = dfs_disconnect(dfs) == 0 ? 0 : -DER_MISC;
    if (rc == 0)
        rc = duns_resolve_path("/nowhere", &attr) != 0 ? 0 : -DER_MISC;
    if (rc == 0)
        rc = daos_pool_disconnect(poh, NULL);
    if (rc == 0)
        rc = daos_fini();
    printf("%s\n", rc == 0 ? "passed" : d_errstr(rc));
    return rc == 0 ? 0 : 1;
}
