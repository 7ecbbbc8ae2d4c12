/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos_twin.h"

#include <string.h>

#include "base/util.h"

static int
cond_check(bool exists, uint32_t cond, uint32_t insert, uint32_t update)
{
    if ((cond & insert) != 0 && exists)
        return -DER_EXIST;
    return (cond & update) != 0 && !exists ? -DER_NONEXIST : 0;
}

static int
update_iod(struct twin_state *s, const struct twin_mod *mod, const struct twin_iod *iod)
{
    struct twin_akey *akey = &s->objs[mod->obj].dkeys[mod->dkey].akeys[iod->akey];
    uint32_t cond = (mod->cond & VOS_COND_PER_AKEY) != 0 ? iod->cond : mod->cond;
    int rc = cond_check(akey->exists, cond, VOS_COND_AKEY_INSERT, VOS_COND_AKEY_UPDATE);
    uint64_t at = 0;

    if (rc != 0)
        return rc;
    if (iod->size == 0 && !akey->exists)
        return 0;
    akey->exists = true;
    if (iod->akey < 2) {
        akey->size = iod->size;
        akey->seed = iod->seed;
        return 0;
    }
    for (uint32_t r = 0; r < iod->recx_nr; r++) {
        for (uint64_t i = 0; i < iod->recxs[r].nr; i++) {
            akey->present[iod->recxs[r].idx + i] = iod->size != 0;
            akey->bytes[iod->recxs[r].idx + i] = twin_byte(iod->seed, at++);
        }
    }
    return 0;
}

static int
apply_update(struct twin_state *s, const struct twin_mod *mod)
{
    bool writes = false;
    int rc = cond_check(s->objs[mod->obj].dkeys[mod->dkey].exists, mod->cond, VOS_COND_DKEY_INSERT,
        VOS_COND_DKEY_UPDATE);

    for (uint32_t i = 0; rc == 0 && i < mod->iod_nr; i++) {
        rc = update_iod(s, mod, &mod->iods[i]);
    }
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        writes = writes || mod->iods[i].size != 0;
    }
    if (rc == 0 && writes) {
        s->objs[mod->obj].exists = true;
        s->objs[mod->obj].dkeys[mod->dkey].exists = true;
    }
    return rc;
}

static int
apply_punch_akeys(struct twin_state *s, const struct twin_mod *mod)
{
    bool any = false, left = false;

    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        struct twin_akey *akey = &s->objs[mod->obj].dkeys[mod->dkey].akeys[mod->iods[i].akey];

        if (!akey->exists && (mod->cond & VOS_COND_PUNCH) != 0)
            return -DER_NONEXIST;
        any = any || akey->exists;
        memset(akey, 0, sizeof(*akey));
    }
    for (uint32_t i = 0; i < TWIN_AKEY_NR; i++) {
        left = left || s->objs[mod->obj].dkeys[mod->dkey].akeys[i].exists;
    }
    if (any && !left)
        memset(&s->objs[mod->obj].dkeys[mod->dkey], 0, sizeof(s->objs[0].dkeys[0]));
    return 0;
}

static int
apply_mod(struct twin_state *s, const struct twin_mod *mod)
{
    bool must = (mod->cond & VOS_COND_PUNCH) != 0;

    switch (mod->op) {
    case VOS_MOD_UPDATE:
        return apply_update(s, mod);
    case VOS_MOD_PUNCH_OBJ:
        if (must && !s->objs[mod->obj].exists)
            return -DER_NONEXIST;
        memset(&s->objs[mod->obj], 0, sizeof(s->objs[0]));
        return 0;
    case VOS_MOD_PUNCH_DKEY:
        if (must && !s->objs[mod->obj].dkeys[mod->dkey].exists)
            return -DER_NONEXIST;
        memset(&s->objs[mod->obj].dkeys[mod->dkey], 0, sizeof(s->objs[0].dkeys[0]));
        return 0;
    default:
        return apply_punch_akeys(s, mod);
    }
}

int
twin_apply(struct twin_state *state, const struct twin_req *req)
{
    static struct twin_state scratch; /* large, and asked for again and again */
    struct twin_state *copy = &scratch;
    int rc = 0;

    *copy = *state;
    for (uint32_t i = 0; rc == 0 && i < req->mod_nr; i++) {
        rc = apply_mod(copy, &req->mods[i]);
    }
    if (rc == 0)
        *state = *copy;
    return rc;
}

void
twin_add(struct twin *twin, const struct twin_req *req)
{
    CAIRN_IGNORE(twin_apply(&twin->now, req)); /* it succeeded before */
    twin->reqs[twin->req_nr++] = *req;
}

void
twin_at(const struct twin *twin, uint64_t epoch, struct twin_state *ret_state)
{
    if (twin->req_nr == 0 || epoch >= twin->reqs[twin->req_nr - 1].epoch) {
        *ret_state = twin->now;
        return;
    }
    memset(ret_state, 0, sizeof(*ret_state));
    for (uint32_t i = 0; i < twin->req_nr && twin->reqs[i].epoch <= epoch; i++) {
        CAIRN_IGNORE(twin_apply(ret_state, &twin->reqs[i]));
    }
}

static void
random_iod(struct rng *r, struct twin_mod *mod)
{
    struct twin_iod *iod = &mod->iods[mod->iod_nr];
    uint64_t next = rng_below(r, 200);

    if (mod->iod_nr == TWIN_AKEY_NR)
        return;
    *iod = (struct twin_iod){.akey = (uint32_t)rng_below(r, TWIN_AKEY_NR), .seed = rng_u64(r)};
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        if (mod->iods[i].akey == iod->akey)
            return;
    }
    mod->iod_nr++;
    if (rng_chance(r, 1, 4))
        iod->cond = rng_chance(r, 1, 2) ? VOS_COND_AKEY_INSERT : VOS_COND_AKEY_UPDATE;
    if (iod->akey < 2) {
        iod->size =
            (uint32_t)(rng_chance(r, 1, 10) ? rng_range(r, 3000, 70000) : rng_range(r, 1, 100));
        iod->size = rng_chance(r, 1, 8) ? 0 : iod->size;
        return;
    }
    iod->size = !rng_chance(r, 1, 6);
    do {
        struct recx *x = &iod->recxs[iod->recx_nr++];

        x->idx = next;
        x->nr = 1 + rng_below(r, 120);
        next = x->idx + x->nr + rng_below(r, 60);
    } while (iod->recx_nr < TWIN_RECX_NR_MAX && next + 120 < TWIN_ARRAY_BYTES && rng_chance(r, 1, 2));
}

static void
random_mod(struct rng *r, struct twin_mod *mod)
{
    uint64_t what = rng_below(r, 100);

    *mod = (struct twin_mod){.op = VOS_MOD_UPDATE,
        .obj = (uint32_t)rng_below(r, TWIN_OBJ_NR),
        .dkey = (uint32_t)rng_below(r, TWIN_DKEY_NR)};
    do {
        random_iod(r, mod);
    } while (rng_chance(r, 1, 2));
    if (what < 70) {
        if (rng_chance(r, 1, 4))
            mod->cond |= rng_chance(r, 1, 2) ? VOS_COND_DKEY_INSERT : VOS_COND_DKEY_UPDATE;
        if (rng_chance(r, 1, 4))
            mod->cond |= rng_chance(r, 1, 2) ? VOS_COND_AKEY_INSERT : VOS_COND_AKEY_UPDATE;
        if (rng_chance(r, 1, 4))
            mod->cond |= VOS_COND_PER_AKEY;
        return;
    }
    mod->op = what < 74 ? VOS_MOD_PUNCH_OBJ : what < 84 ? VOS_MOD_PUNCH_DKEY : VOS_MOD_PUNCH_AKEYS;
    if (rng_chance(r, 1, 3))
        mod->cond = VOS_COND_PUNCH;
}

void
twin_random(struct rng *rng, struct twin_req *ret_req)
{
    memset(ret_req, 0, sizeof(*ret_req));
    do {
        random_mod(rng, &ret_req->mods[ret_req->mod_nr++]);
    } while (ret_req->mod_nr < TWIN_MODS_NR_MAX && rng_chance(rng, 1, 4));
}
