/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Public calls that are not there yet. Each exists, so that programs link, and answers -DER_NOSYS; those without a code to return do nothing. The list is also
 * in docs/roadmap.md: a call leaves both when it is built.
 */
#include "base/err.h"
#include "daos.h"
#include "daos/tse.h"
#include "daos_pipeline.h"
#include "daos_task.h"

#include <string.h>

/* Parameters are named by what they are, to keep to the headers' prototypes; none is looked at. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* ---- daos_api.h: transactions ---------------------------------------------------------- */

int
daos_tx_open(daos_handle_t p0, daos_handle_t *p1, uint64_t p2, daos_event_t *p3)
{
    return CAIRN_ERR(NOSYS);
}

/* ---- daos_cont.h: rollback ------------------------------------------------------------- */

int
daos_cont_rollback(daos_handle_t p0, daos_epoch_t p1, daos_event_t *p2)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_cont_subscribe(daos_handle_t p0, daos_epoch_t *p1, daos_event_t *p2)
{
    return CAIRN_ERR(NOSYS);
}

/* ---- daos_pool.h: filters over containers ---------------------------------------------- */

int
daos_pool_filter_cont(daos_handle_t p0, daos_pool_cont_filter_t *p1, daos_size_t *p2,
    struct daos_pool_cont_info2 *p3, daos_event_t *p4)
{
    return CAIRN_ERR(NOSYS);
}

/* ---- daos_obj.h: comparison of replicas ------------------------------------------------ */

int
daos_obj_query(daos_handle_t p0, struct daos_obj_attr *p1, d_rank_list_t *p2, daos_event_t *p3)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_obj_verify(daos_handle_t p0, daos_obj_id_t p1, daos_epoch_t p2)
{
    return CAIRN_ERR(NOSYS);
}

/* ---- daos_obj_class.h: classes of applications ----------------------------------------- */

int
daos_obj_list_class(daos_handle_t p0, struct daos_oclass_list *p1, daos_anchor_t *p2, daos_event_t *p3)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_obj_query_class(
    daos_handle_t p0, daos_oclass_id_t p1, struct daos_oclass_attr *p2, daos_event_t *p3)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_obj_register_class(
    daos_handle_t p0, daos_oclass_id_t p1, struct daos_oclass_attr *p2, daos_event_t *p3)
{
    return CAIRN_ERR(NOSYS);
}

/* ---- daos_mgmt.h: tests and versions --------------------------------------------------- */

int
daos_debug_add_mark(const char *p0)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_debug_set_params(
    const char *p0, d_rank_t p1, unsigned int p2, uint64_t p3, uint64_t p4, daos_event_t *p5)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_mgmt_get_bs_state(const char *p0, uuid_t p1, int *p2, daos_event_t *p3)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_pool_stop_svc(daos_handle_t p0, daos_event_t *p1)
{
    return CAIRN_ERR(NOSYS);
}

int
dc_mgmt_srv_version(uint32_t *p0, uint32_t *p1, uint32_t *p2, char **p3)
{
    return CAIRN_ERR(NOSYS);
}

/* ---- daos_pipeline.h: pipelines -------------------------------------------------------- */

int
daos_filter_add(daos_filter_t *p0, daos_filter_part_t *p1)
{
    return CAIRN_ERR(NOSYS);
}

void
daos_filter_init(daos_filter_t *p0)
{
    memset(p0, 0, sizeof(*p0));
}

int
daos_pipeline_add(daos_pipeline_t *p0, daos_filter_t *p1)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_pipeline_check(daos_pipeline_t *p0)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_pipeline_free(daos_pipeline_t *p0)
{
    return CAIRN_ERR(NOSYS);
}

void
daos_pipeline_init(daos_pipeline_t *p0)
{
    memset(p0, 0, sizeof(*p0));
}

int
daos_pipeline_run(daos_handle_t p0, daos_handle_t p1, daos_pipeline_t *p2, daos_handle_t p3,
    uint64_t p4, daos_key_t *p5, uint32_t *p6, daos_iod_t *p7, daos_anchor_t *p8, uint32_t *p9,
    daos_key_desc_t *p10, d_sg_list_t *p11, d_sg_list_t *p12, daos_size_t *p13, d_sg_list_t *p14,
    daos_pipeline_stats_t *p15, daos_event_t *p16)
{
    return CAIRN_ERR(NOSYS);
}

/* ---- daos_task.h: tasks ---------------------------------------------------------------- */

int
daos_progress(tse_sched_t *p0, int64_t p1, bool *p2)
{
    return CAIRN_ERR(NOSYS);
}

int
daos_task_create(daos_opc_t p0, tse_sched_t *p1, unsigned int p2, tse_task_t **p3, tse_task_t **p4)
{
    return CAIRN_ERR(NOSYS);
}

void *
daos_task_get_args(tse_task_t *p0)
{
    return NULL;
}

void *
daos_task_get_priv(tse_task_t *p0)
{
    return NULL;
}

int
daos_task_reset(tse_task_t *p0, daos_opc_t p1)
{
    return CAIRN_ERR(NOSYS);
}

void *
daos_task_set_priv(tse_task_t *p0, void *p1)
{
    return NULL;
}

/* ---- daos/tse.h: task scheduler -------------------------------------------------------- */

void
tse_disable_propagate(tse_task_t *p0)
{
    /* nothing to do */
}

void
tse_sched_addref(tse_sched_t *p0)
{
    /* nothing to do */
}

bool
tse_sched_check_complete(tse_sched_t *p0)
{
    return true;
}

void
tse_sched_complete(tse_sched_t *p0, int p1, bool p2)
{
    /* nothing to do */
}

void
tse_sched_decref(tse_sched_t *p0)
{
    /* nothing to do */
}

void
tse_sched_fini(tse_sched_t *p0)
{
    /* nothing to do */
}

int
tse_sched_init(tse_sched_t *p0, tse_sched_comp_cb_t p1, void *p2)
{
    return CAIRN_ERR(NOSYS);
}

void
tse_sched_progress(tse_sched_t *p0)
{
    /* nothing to do */
}

int
tse_sched_register_comp_cb(tse_sched_t *p0, tse_sched_comp_cb_t p1, void *p2)
{
    return CAIRN_ERR(NOSYS);
}

void *
tse_task2arg(tse_task_t *p0)
{
    return NULL;
}

tse_sched_t *
tse_task2sched(tse_task_t *p0)
{
    return NULL;
}

void
tse_task_addref(tse_task_t *p0)
{
    /* nothing to do */
}

void *
tse_task_buf_embedded(tse_task_t *p0, int p1)
{
    return NULL;
}

void
tse_task_complete(tse_task_t *p0, int p1)
{
    /* nothing to do */
}

int
tse_task_create(tse_task_func_t p0, tse_sched_t *p1, void *p2, tse_task_t **p3)
{
    return CAIRN_ERR(NOSYS);
}

void
tse_task_decref(tse_task_t *p0)
{
    /* nothing to do */
}

int
tse_task_depend_list(tse_task_t *p0, d_list_t *p1)
{
    return CAIRN_ERR(NOSYS);
}

void *
tse_task_get_priv(tse_task_t *p0)
{
    return NULL;
}

void
tse_task_list_abort(d_list_t *p0, int p1)
{
    /* nothing to do */
}

int
tse_task_list_add(tse_task_t *p0, d_list_t *p1)
{
    return CAIRN_ERR(NOSYS);
}

void
tse_task_list_del(tse_task_t *p0)
{
    /* nothing to do */
}

int
tse_task_list_depend(d_list_t *p0, tse_task_t *p1)
{
    return CAIRN_ERR(NOSYS);
}

tse_task_t *
tse_task_list_first(d_list_t *p0)
{
    return NULL;
}

void
tse_task_list_sched(d_list_t *p0, bool p1)
{
    /* nothing to do */
}

int
tse_task_list_traverse(d_list_t *p0, tse_task_cb_t p1, void *p2)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_list_traverse_adv(d_list_t *p0, tse_task_cb_t p1, void *p2)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_register_cbs(
    tse_task_t *p0, tse_task_cb_t p1, void *p2, size_t p3, tse_task_cb_t p4, void *p5, size_t p6)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_register_comp_cb(tse_task_t *p0, tse_task_cb_t p1, void *p2, size_t p3)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_register_comp_cb_and_reinit(
    tse_task_t *p0, tse_task_cb_t p1, void *p2, size_t p3, uint64_t p4)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_register_deps(tse_task_t *p0, int p1, tse_task_t **p2)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_reinit(tse_task_t *p0)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_reinit_with_delay(tse_task_t *p0, uint64_t p1)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_reset(tse_task_t *p0, tse_task_func_t p1, void *p2)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_schedule(tse_task_t *p0, bool p1)
{
    return CAIRN_ERR(NOSYS);
}

int
tse_task_schedule_with_delay(tse_task_t *p0, bool p1, uint64_t p2)
{
    return CAIRN_ERR(NOSYS);
}

void *
tse_task_set_priv(tse_task_t *p0, void *p1)
{
    return NULL;
}
