/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Who holds a handle (POL-6). A process says with its requests who it is; what an engine can look at is a process of its own realm. Stored with
 * the handle, so that a service that starts again knows the dead of its earlier life.
 *
 * Block of a row: u8 has_unknown, u16 number, then for each 16 bytes realm, u32 pid, u64 start. Tested by test/server/server_evict_test.c.
 */
#include "pool_priv.h"

static bool
is_ours(const struct pool_svcs *svcs, const struct plat_proc *proc)
{
    static const uint8_t unknown[sizeof(proc->realm)];

    return memcmp(proc->realm, unknown, sizeof(unknown)) != 0 &&
        memcmp(proc->realm, svcs->self.realm, sizeof(proc->realm)) == 0;
}

static bool
is_same(const struct plat_proc *a, const struct plat_proc *b)
{
    return memcmp(a->realm, b->realm, sizeof(a->realm)) == 0 && a->pid == b->pid &&
        a->start == b->start;
}

static bool
is_gone(struct pool_svcs *svcs, const struct plat_proc *proc)
{
    return svcs->env.plat->ops->proc_is_gone(svcs->env.plat, proc);
}

static void
drop_gone(struct pool_svcs *svcs, struct pool_holders *holders)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < holders->nr; i++) {
        if (!is_gone(svcs, &holders->procs[i]))
            holders->procs[nr++] = holders->procs[i];
    }
    holders->nr = nr;
}

bool
pool_holders_add(struct pool_svcs *svcs, struct pool_holders *holders, const struct proto_proc *from)
{
    struct plat_proc proc = {.pid = from->pid, .start = from->start};

    memcpy(proc.realm, from->realm.b, sizeof(proc.realm));
    if (is_ours(svcs, &proc)) {
        for (uint32_t i = 0; i < holders->nr; i++) {
            if (is_same(&holders->procs[i], &proc))
                return false;
        }
        if (holders->nr == POOL_HOLDERS_NR_MAX)
            drop_gone(svcs, holders);
        if (holders->nr < POOL_HOLDERS_NR_MAX) {
            holders->procs[holders->nr++] = proc;
            return true;
        }
    }
    if (holders->has_unknown)
        return false;
    holders->has_unknown = true;
    return true;
}

void
pool_holders_encode(const struct pool_holders *holders, struct enc *enc)
{
    enc_u8(enc, holders->has_unknown);
    enc_u16(enc, (uint16_t)holders->nr);
    for (uint32_t i = 0; i < holders->nr; i++) {
        enc_bytes(enc, holders->procs[i].realm, sizeof(holders->procs[i].realm));
        enc_u32(enc, holders->procs[i].pid);
        enc_u64(enc, holders->procs[i].start);
    }
}

void
pool_holders_decode(struct dec *dec, struct pool_holders *ret_holders)
{
    uint32_t nr;

    ret_holders->has_unknown = dec_u8(dec) != 0;
    nr = dec_u16(dec);
    ret_holders->nr = 0;
    if (nr > POOL_HOLDERS_NR_MAX) {
        ret_holders->has_unknown = true;
        return; /* the caller sees that bytes are left */
    }
    for (uint32_t i = 0; i < nr; i++) {
        struct plat_proc *proc = &ret_holders->procs[i];

        dec_bytes(dec, proc->realm, sizeof(proc->realm));
        proc->pid = dec_u32(dec);
        proc->start = dec_u64(dec);
    }
    ret_holders->nr = nr;
}

enum pool_holders_state
pool_holders_look(struct pool_svcs *svcs, const struct pool_holders *holders)
{
    bool is_unknown = holders->has_unknown;

    for (uint32_t i = 0; i < holders->nr; i++) {
        if (!is_ours(svcs, &holders->procs[i])) {
            is_unknown = true; /* of an earlier boot, or the service has moved */
        } else if (!is_gone(svcs, &holders->procs[i])) {
            return POOL_HOLDERS_LIVE;
        }
    }
    return is_unknown ? POOL_HOLDERS_UNKNOWN : POOL_HOLDERS_GONE;
}
