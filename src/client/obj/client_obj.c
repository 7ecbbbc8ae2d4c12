/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Opening objects, their ids, classes and layouts (client_obj.h). */
#include "client/obj/client_obj.h"

#include "base/assert.h"
#include "base/util.h"
#include "client/core/client_snap.h"
#include "client/obj/client_obj_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

CAIRN_STATIC_ASSERT(sizeof(daos_iod_t) == 64, "size in the API");
CAIRN_STATIC_ASSERT(sizeof(daos_iom_t) == 64, "size in the API");
CAIRN_STATIC_ASSERT(sizeof(daos_key_desc_t) == 16, "size in the API");
CAIRN_STATIC_ASSERT((int)DAOS_OT_MAX + 1 == (int)PLACEMENT_OT_NR, "types of the API");

/* ---- references ------------------------------------------------------------------------------------------------------- */

int
client_obj_of(struct daos_client *client, uint64_t cookie, struct client_obj **ret_obj)
{
    struct client_obj *obj = client_hdl_get(client, CLIENT_HDL_OBJ, cookie);

    if (obj == NULL)
        return CAIRN_ERR(NO_HDL);
    *ret_obj = obj;
    return 0;
}

void
client_obj_get(struct client_obj *obj)
{
    CAIRN_ASSERT(obj->ref_nr > 0);
    obj->ref_nr++;
}

void
client_obj_put(struct client_obj *obj)
{
    if (obj == NULL)
        return;
    CAIRN_ASSERT(obj->ref_nr > 0);
    if (--obj->ref_nr > 0)
        return;
    placement_layout_fini(&obj->layout);
    obj->cont->obj_nr--;
    if (obj->cont->origin != NULL)
        obj->cont->origin->obj_nr--;
    client_cont_put(obj->cont);
    free(obj);
}

static void
obj_fini(void *ptr)
{
    client_obj_put(ptr);
}

int
client_obj_enter(daos_handle_t oh, daos_handle_t th, struct client_obj **ret_obj)
{
    struct client_obj *obj;
    int rc = client_obj_of(client_self(), oh.cookie, &obj);

    return rc != 0 ? rc : client_obj_at(obj, th, ret_obj);
}

int
client_obj_at(struct client_obj *obj, daos_handle_t th, struct client_obj **ret_obj)
{
    struct client_cont *view;
    int rc;

    if (CAIRN_LIKELY(th.cookie == 0)) {
        client_obj_get(obj);
        *ret_obj = obj;
        return 0;
    }
    rc = client_tx_view(th, obj->cont, &view);
    return rc != 0 ? rc : client_obj_open(view, obj->oid, DAOS_OO_RO, ret_obj);
}

/* ---- open and close ----------------------------------------------------------------------------------------------------- */

int
client_obj_open(
    struct client_cont *cont, struct oid oid, unsigned int mode, struct client_obj **ret_obj)
{
    struct client_obj *obj;
    int rc = placement_oid_check(oid);

    if (rc != 0)
        return rc;
    if ((mode & (DAOS_OO_RW | DAOS_OO_EXCL)) != 0 && (cont->flags & (DAOS_COO_RW | DAOS_COO_EX)) == 0)
        return CAIRN_ERR(NO_PERM);
    obj = calloc(1, sizeof(*obj));
    if (obj == NULL)
        return CAIRN_ERR(NOMEM);
    client_cont_get(cont);
    cont->obj_nr++;
    if (cont->origin != NULL)
        cont->origin->obj_nr++; /* SNP-2 */
    obj->cont = cont;
    obj->epoch = cont->epoch;
    obj->ref_nr = 1;
    obj->oid = oid;
    obj->mode = mode;
    obj->otype = placement_oid_type(oid);
    *ret_obj = obj;
    return 0;
}

int
client_obj_layout(struct client_obj *obj)
{
    const struct poolmap *map = obj->cont->pool->map;
    struct placement_layout layout;
    int rc;

    if (obj->has_layout && obj->layout.map_version == map->version)
        return 0;
    rc = placement_layout(map, obj->oid, obj->cont->layout_ver, &layout);
    if (rc != 0)
        return rc;
    placement_layout_fini(&obj->layout);
    obj->layout = layout;
    obj->has_layout = true;
    return 0;
}

int
client_obj_grp_of(struct client_obj *obj, const d_iov_t *dkey, uint32_t *ret_grp)
{
    uint64_t hash;
    int rc = client_obj_layout(obj);

    if (rc == 0)
        rc = placement_dkey_hash(obj->otype, dkey->iov_buf, dkey->iov_len, &hash);
    if (rc == 0)
        *ret_grp = placement_dkey_grp(&obj->layout, hash);
    return rc;
}

int
client_obj_target(struct client_obj *obj, uint32_t grp, uint32_t *ret_shard, uint32_t *ret_tgt_id)
{
    int rc = client_obj_layout(obj);

    if (rc != 0)
        return rc;
    CAIRN_ASSERT(grp < obj->layout.grp_nr); /* PL-2: the same in every layout of an id */
    *ret_shard = grp * obj->layout.grp_size;
    *ret_tgt_id = placement_shard_at(&obj->layout, grp, 0)->tgt_id;
    return 0;
}

struct open_args {
    daos_handle_t coh;
    struct oid oid;
    unsigned int mode;
    daos_handle_t *ret_oh;
};

static int
open_ult(void *arg)
{
    struct open_args *args = arg;
    struct daos_client *client = client_self();
    struct client_cont *cont;
    struct client_obj *obj;
    uint64_t cookie;
    int rc = client_cont_of(client, args->coh.cookie, &cont);

    if (rc == 0)
        rc = client_obj_open(cont, args->oid, args->mode, &obj);
    if (rc != 0)
        return rc;
    rc = client_hdl_new(client, CLIENT_HDL_OBJ, obj, obj_fini, &cookie);
    if (rc != 0) {
        client_obj_put(obj);
        return rc;
    }
    args->ret_oh->cookie = cookie;
    return 0;
}

int
daos_obj_open(
    daos_handle_t coh, daos_obj_id_t oid, unsigned int mode, daos_handle_t *oh, daos_event_t *ev)
{
    struct open_args args = {
        .coh = coh, .oid = {.lo = oid.lo, .hi = oid.hi}, .mode = mode, .ret_oh = oh};

    if (oh == NULL)
        return client_refuse();
    return client_run(ev, open_ult, &args, sizeof(args));
}

static int
close_ult(void *arg)
{
    daos_handle_t *oh = arg;
    struct client_obj *obj = client_hdl_del(client_self(), CLIENT_HDL_OBJ, oh->cookie);

    if (obj == NULL)
        return CAIRN_ERR(NO_HDL);
    client_obj_put(obj);
    return 0;
}

int
daos_obj_close(daos_handle_t oh, daos_event_t *ev)
{
    return client_run(ev, close_ult, &oh, sizeof(oh));
}

/* ---- arguments ------------------------------------------------------------------------------------------------------------- */

int
client_obj_key_check(const d_iov_t *key, enum placement_key kind)
{
    if (key == NULL || key->iov_buf == NULL || key->iov_len == 0)
        return CAIRN_ERR(INVAL);
    if (kind == PLACEMENT_KEY_UINT64 && key->iov_len != sizeof(uint64_t))
        return CAIRN_ERR(INVAL);
    if (key->iov_len > PROTO_KEY_BYTES_MAX ||
        (kind == PLACEMENT_KEY_LEXICAL && key->iov_len > CLIENT_KEY_LEXICAL_BYTES_MAX))
        return CAIRN_ERR(KEY2BIG);
    return 0;
}

struct iov
client_obj_key(const d_iov_t *key)
{
    return (struct iov){.buf = key->iov_buf, .len = key->iov_len};
}

/* ---- ids and classes -------------------------------------------------------------------------------------------------------- */

struct generate_args {
    daos_handle_t coh;
    daos_obj_id_t *oid;
    uint32_t otype, cid, hints;
};

static int
generate_ult(void *arg)
{
    struct generate_args *args = arg;
    struct oid oid = {.lo = args->oid->lo, .hi = args->oid->hi};
    struct client_cont *cont;
    struct placement_choice choice;
    int rc = client_cont_of(client_self(), args->coh.cookie, &cont);

    if (rc != 0)
        return rc;
    choice = (struct placement_choice){
        .otype = args->otype,
        .oclass_id = args->cid,
        .hints = args->hints,
        .rd_fac = cont->rd_fac,
        .fdom_nr = poolmap_domains_count(cont->pool->map, POOLMAP_LEVEL_NODE, POOLMAP_SERVING),
        .tgts_nr = poolmap_tgts_count(cont->pool->map, POOLMAP_SERVING),
    };
    rc = placement_oid_generate(&choice, &oid);
    if (rc == 0)
        *args->oid = (daos_obj_id_t){.lo = oid.lo, .hi = oid.hi};
    return rc;
}

#undef daos_obj_generate_oid

int
daos_obj_generate_oid2(daos_handle_t coh, daos_obj_id_t *oid, enum daos_otype_t type,
    daos_oclass_id_t cid, daos_oclass_hints_t hints, uint32_t args)
{
    struct generate_args gen = {.coh = coh, .oid = oid, .otype = type, .cid = cid, .hints = hints};

    (void)args;
    if (oid == NULL || !daos_otype_t_is_valid(type) || oid->hi >> OID_FMT_INTR_BITS != 0)
        return client_refuse();
    return client_run_sync(generate_ult, &gen);
}

int daos_obj_generate_oid(daos_handle_t coh, daos_obj_id_t *oid, enum daos_otype_t type,
    daos_oclass_id_t cid, daos_oclass_hints_t hints, uint32_t args)
    __attribute__((alias("daos_obj_generate_oid2"), visibility("default")));

int
daos_oclass_name2id(const char *name)
{
    return name == NULL ? 0 : (int)placement_oclass_name2id(name);
}

int
daos_oclass_id2name(daos_oclass_id_t oc_id, char *name)
{
    const char *found = placement_oclass_id2name(oc_id);

    CAIRN_IGNORE(
        snprintf(name, MAX_OBJ_CLASS_NAME_LEN, "%s", found == NULL ? "UNKNOWN" : found)); /* fits */
    return found == NULL ? -1 : 0;
}

int
daos_oclass_nr(int opts)
{
    (void)opts;
    return (int)placement_oclass_nr();
}

ssize_t
daos_oclass_names_list(size_t size, char *str)
{
    size_t len = 0;

    if (str == NULL)
        return -1;
    for (uint32_t i = 0; i < placement_oclass_nr(); i++) {
        int part = snprintf(len < size ? str + len : NULL, len < size ? size - len : 0, "%s%s",
            i == 0 ? "" : ", ", placement_oclass_name_at(i));

        if (part < 0)
            return -1;
        len += (size_t)part;
    }
    return len < size ? (ssize_t)len : -1;
}
