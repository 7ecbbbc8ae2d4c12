/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Aggregation and discard (vos.h). */
#include "vos/vos_priv.h"

int
vos_cont_aggregate(
    struct vos_cont *cont, const struct vos_agg_args *args, struct vos_agg_stat *ret_stat)
{
    (void)cont;
    (void)args;
    if (ret_stat != NULL)
        *ret_stat = (struct vos_agg_stat){0};
    return CAIRN_ERR(NOSYS);
}

bool
vos_cont_agg_is_needed(const struct vos_cont *cont, uint64_t hi)
{
    (void)cont;
    (void)hi;
    return false;
}

int
vos_cont_discard(struct vos_cont *cont, uint64_t lo, uint64_t hi, const struct vos_agg_args *args,
    struct vos_agg_stat *ret_stat)
{
    (void)cont;
    (void)lo;
    (void)hi;
    (void)args;
    if (ret_stat != NULL)
        *ret_stat = (struct vos_agg_stat){0};
    return CAIRN_ERR(NOSYS);
}
