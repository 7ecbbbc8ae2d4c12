/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The Linux implementation of plat.h. */
#ifndef CAIRN_PLAT_LINUX_H
#define CAIRN_PLAT_LINUX_H

#include "plat/plat.h"

/** `*ret_plat` returns owned: free with plat_linux_destroy(). May be created more than once in a process. */
CAIRN_MUST_CHECK int plat_linux_create(struct plat **ret_plat);
void plat_linux_destroy(struct plat *plat);

/** How long loop_wait() polls before it sleeps (default 20 us; 0: sleep at once). */
void plat_linux_spin_set(struct plat *plat, uint64_t spin_ns);

#endif
