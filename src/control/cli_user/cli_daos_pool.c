/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos pool. */
#include "control/cli_user/cli_daos.h"

#include "base/err.h"

#include <daos_mgmt.h>
#include <gurt/common.h>
#include <stdlib.h>

static json_t *
uuid_json(const uuid_t uuid)
{
    char text[37];

    uuid_unparse_lower(uuid, text);
    return json_string(text);
}

int
cli_daos_pool_list(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    static const struct cli_opt opts[] = {{0}};
    const char *words[1];
    daos_mgmt_pool_info_t *pools = NULL;
    daos_size_t nr = 0;
    uint32_t words_nr;
    json_t *list = json_array();
    int rc = cli_parse(cli, argc, argv, opts, words, 0, &words_nr);

    if (rc == 0) {
        rc = daos_mgmt_list_pools(cli->sys_name, &nr, NULL, NULL);
        if (rc == 0 && nr > 0) {
            nr += 16; /* some may come meanwhile */
            pools = calloc(nr, sizeof(*pools));
            rc = pools == NULL ? -DER_NOMEM : daos_mgmt_list_pools(cli->sys_name, &nr, pools, NULL);
        }
        if (rc != 0)
            (void)cli_fail(cli, rc, "pool list: %s", cli_daos_remedy(rc));
    }
    for (daos_size_t i = 0; rc == 0 && i < nr; i++) {
        const char *label = pools[i].mgpi_label != NULL ? pools[i].mgpi_label : "";

        json_array_append_new(
            list, json_pack("{s:o, s:s}", "uuid", uuid_json(pools[i].mgpi_uuid), "label", label));
        if (!cli->is_json)
            (void)printf("%s\n", label);
    }
    for (daos_size_t i = 0; pools != NULL && i < nr; i++) {
        free(pools[i].mgpi_label);
        d_rank_list_free(pools[i].mgpi_svc);
    }
    if (rc == 0 && nr == 0 && !cli->is_json)
        (void)printf("no pools\n");
    free(pools);
    *ret_response = json_pack("{s:o}", "pools", list);
    return rc;
}

int
cli_daos_pool_query(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    static const struct cli_opt opts[] = {{0}};
    static const char *const media[] = {"scm", "nvme"};
    daos_pool_info_t info = {.pi_bits = DPI_ALL};
    json_t *tiers = json_array();
    const char *words[1];
    daos_handle_t poh;
    char uuid[37];
    uint32_t nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 1, &nr);

    if (rc == 0)
        rc = cli_daos_words_need(cli, nr, 1, "a pool");
    if (rc == 0)
        rc = cli_daos_pool_open(cli, words[0], DAOS_PC_RO, &poh);
    if (rc != 0) {
        json_decref(tiers);
        return rc;
    }
    rc = daos_pool_query(poh, NULL, &info, NULL, NULL);
    if (rc != 0)
        (void)cli_fail(cli, rc, "pool %s: %s", words[0], cli_daos_remedy(rc));
    CAIRN_IGNORE(daos_pool_disconnect(poh, NULL)); /* the answer is there */
    if (rc != 0) {
        json_decref(tiers);
        return rc;
    }
    for (int i = 0; i < 2; i++) {
        json_array_append_new(tiers,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:s}", "total",
                (json_int_t)info.pi_space.ps_space.s_total[i], "free",
                (json_int_t)info.pi_space.ps_space.s_free[i], "min",
                (json_int_t)info.pi_space.ps_free_min[i], "max",
                (json_int_t)info.pi_space.ps_free_max[i], "mean",
                (json_int_t)info.pi_space.ps_free_mean[i], "media_type", media[i]));
    }
    *ret_response =
        json_pack("{s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:{s:i, s:s, s:i, s:i, s:i}, s:o}",
            "state", info.pi_ndisabled == 0 ? "Ready" : "Degraded", "uuid", uuid_json(info.pi_uuid),
            "total_targets", (int)info.pi_ntargets, "active_targets",
            (int)(info.pi_ntargets - info.pi_ndisabled), "total_engines", (int)info.pi_nnodes,
            "disabled_targets", (int)info.pi_ndisabled, "version", (int)info.pi_map_ver, "svc_ldr",
            (int)info.pi_leader, "rebuild", "status", 0, "state", "idle", "objects", 0, "records",
            0, "total_objects", 0, "tier_stats", tiers);
    if (!cli->is_json) {
        uuid_unparse_lower(info.pi_uuid, uuid);
        (void)printf("Pool %s, ntarget=%u, disabled=%u, leader=%u, version=%u\n", uuid,
            info.pi_ntargets, info.pi_ndisabled, info.pi_leader, info.pi_map_ver);
        for (int i = 0; i < 2; i++) {
            char total[24], left[24];

            (void)printf("- %s: total %s, free %s\n", i == 0 ? "Metadata" : "Data",
                cli_size_text(info.pi_space.ps_space.s_total[i], total, sizeof(total)),
                cli_size_text(info.pi_space.ps_space.s_free[i], left, sizeof(left)));
        }
    }
    return 0;
}
