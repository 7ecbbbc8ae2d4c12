/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The simulated network: what a node's death means to it. */
#include "plat/sim/plat_sim_priv.h"

void
sim_node_nets_drop(struct sim_node *node)
{
    CAIRN_ASSERT(list_empty(&node->nets));
}

void
sim_node_nets_free(struct sim_node *node)
{
    CAIRN_ASSERT(list_empty(&node->nets));
}

void
sim_links_free(struct sim *sim)
{
    CAIRN_ASSERT(list_empty(&sim->links_down));
}
