/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Requests of the client: slots, resends, leaders. One attempt is rpc_call(); this loop decides what its end means.
 *
 *   answered            -> done, unless the answer asks for another try (NOTLEADER, OVERLOAD_RETRY, AGAIN)
 *   refused as another system's, or another installation has its name now -> MISMATCH, at once
 *   connection lost, no answer in time, another incarnation -> look where the peer is now, wait a little, send again with the same id
 *
 * A resend of a modifying request is safe because the server stores id and answer with the effect (MS-2); a read is safe anyway.
 */
#include "client/core/client.h"

#include "base/assert.h"
#include "base/util.h"
#include "client/core/client_event.h"
#include "client/core/client_priv.h"

/*
 * HLC_SYNC: we have seen the clock of an engine that leads that of the one asked now by too much: one that restarted goes on at its bound, up to some
 * seconds ahead (ST-6). Time cures it.
 */
static bool
is_worth_a_resend(int rc, const struct rpc_call_info *info)
{
    if (rc == -DER_UNREACH || rc == -DER_TIMEDOUT || rc == -DER_OVERLOAD_RETRY || rc == -DER_HLC_SYNC)
        return true; /* replied or not: a handler may have waited for our data, or for somebody behind it, in vain */
    if (!info->is_replied)
        return rc == -DER_STALE || rc == -DER_OOG;
    /* SHUTDOWN: an engine that stops in good order; it comes back. Not replied, it is this client that ends. */
    return rc == -DER_NOTLEADER || rc == -DER_AGAIN || rc == -DER_INPROGRESS || rc == -DER_SHUTDOWN;
}

/* Between LO and HI, doubling with each attempt, with jitter so that clients spread. */
static uint64_t
backoff_ns(struct daos_client *client, uint32_t attempts_nr)
{
    uint64_t ns = CLIENT_BACKOFF_LO_NS << MIN(attempts_nr, 7U);

    ns = MIN(ns, CLIENT_BACKOFF_HI_NS);
    return ns / 2 + rng_u64(&client->rng) % (ns / 2 + 1);
}

static uint32_t
slot_take(struct daos_client *client)
{
    ult_sem_take(&client->slot_sem, 1);
    CAIRN_ASSERT(client->slot_free_nr > 0);
    return client->slot_stack[--client->slot_free_nr];
}

static void
slot_give(struct daos_client *client, uint32_t slot)
{
    client->slot_stack[client->slot_free_nr++] = slot;
    ult_sem_give(&client->slot_sem, 1);
}

int
client_call(struct daos_client *client, struct client_call *call)
{
    const struct proto_op *op = proto_op_find(call->opcode);
    uint64_t start_ns = plat_mono_ns(client->plat);
    uint64_t end_ns = start_ns +
        (call->timeout_ns != 0 ? MIN(call->timeout_ns, client->call_ns) : client->call_ns);
    struct rpc_call_opts opts = {
        .map_ver = call->map_ver,
        .pool = call->pool,
        .pool_hdl = call->pool_hdl,
        .cont_hdl = call->cont_hdl,
        .arena = call->arena,
        .bulk = call->bulk,
    };
    uint32_t slot = UINT32_MAX;
    int rc;

    CAIRN_ASSERT(op != NULL);
    if (!client->is_attached)
        return CAIRN_ERR(UNINIT);
    opts.first_hlc = client_hlc_now(client);
    if (op->is_modifying) {
        slot = slot_take(client);
        opts.slot = slot;
        opts.seq = ++client->slot_seqs[slot];
    }
    for (call->attempts_nr = 1;; call->attempts_nr++) {
        struct rpc_call_info info = {0};
        uint64_t now_ns = plat_mono_ns(client->plat);

        if (client->is_closing || client_is_aborted()) {
            rc = client->is_closing ? CAIRN_ERR(SHUTDOWN) : CAIRN_ERR(CANCELED);
            break;
        }
        opts.deadline_ns = MIN(end_ns, now_ns + CLIENT_ATTEMPT_NS);
        rc = rpc_call(client->rpc, call->ep, call->opcode, call->req, call->rep, &opts, &info);
        if (info.is_replied)
            call->rep_map_ver = info.map_ver;
        if (rc == -DER_MISMATCH && !info.is_replied)
            client_sys_foreign(client);
        if (!is_worth_a_resend(rc, &info))
            break;
        if (info.is_replied && rc == -DER_NOTLEADER && call->follow_leader &&
            info.hint_rank != RPC_RANK_NONE)
            call->ep.rank = info.hint_rank;
        now_ns = plat_mono_ns(client->plat);
        if (now_ns >= end_ns) {
            rc = rc == -DER_HLC_SYNC ? rc : CAIRN_ERR(TIMEDOUT);
            break;
        }
        client->retried_nr++;
        if (!info.is_replied)
            client_sys_refresh(client);
        if (client->is_foreign) { /* it will never be back: at once, not when the time is over */
            rc = CAIRN_ERR(MISMATCH);
            break;
        }
        ult_sleep_until(MIN(end_ns, now_ns + backoff_ns(client, call->attempts_nr)));
    }
    if (slot != UINT32_MAX)
        slot_give(client, slot);
    return rc;
}
