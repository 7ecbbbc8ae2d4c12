/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Iteration over everything, old versions included (vos.h, vos_iter). */
#include "vos/vos_priv.h"

int
vos_iter(struct vos_tgt *tgt, const struct vos_iter_args *args, struct vos_iter_anchor *anchor)
{
    (void)tgt;
    (void)args;
    (void)anchor;
    return CAIRN_ERR(NOSYS);
}

int
vos_iter_fill(struct vos_tgt *tgt, const struct vos_iter_args *args, struct vos_iter_anchor *anchor,
    struct vos_iter_ent *ents, uint32_t nr, void *buf, size_t buf_len, uint32_t *ret_nr)
{
    (void)ents;
    (void)nr;
    (void)buf;
    (void)buf_len;
    (void)ret_nr;
    return vos_iter(tgt, args, anchor);
}
