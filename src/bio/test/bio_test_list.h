/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A durable list in the arena, grown one node a transaction: the workload of tests that look at errors and damage. */
#ifndef CAIRN_BIO_TEST_LIST_H
#define CAIRN_BIO_TEST_LIST_H

#include <string.h>

#include "bio/bio.h"
#include "harness/harness.h"

/* The user's root holds the head of a list of these, and their number. */
struct node {
    uint64_t next;
    uint64_t value;
    uint64_t bytes; /* of the pattern behind */
};

struct root {
    uint64_t head;
    uint64_t nr;
};

/* Push a node with `bytes` of pattern; ret_lsn of its transaction. */
static inline int
push(struct bio_tgt *tgt, uint64_t value, uint32_t bytes, uint64_t *ret_lsn)
{
    struct umem *um = bio_umem(tgt);
    struct umem_tx tx;
    uint64_t off = 0;
    int rc;

    for (;;) {
        rc = umem_tx_admit(um);
        if (rc != 0)
            return rc;
        rc = umem_tx_begin(um, 0, 1, &tx);
        if (rc == -DER_AGAIN)
            continue;
        if (rc != 0)
            return rc;
        rc = umem_tx_range(&tx, umem_root(um), sizeof(struct root));
        if (rc == 0)
            rc = umem_alloc(&tx, (uint32_t)sizeof(struct node) + bytes, &off);
        if (rc == 0)
            break;
        umem_tx_abort(&tx);
        if (rc != -DER_AGAIN)
            return rc;
        rc = umem_fault(um);
        if (rc != 0)
            return rc;
    }
    umem_fault_done(um);
    struct root *root = umem_ptr(um, umem_root(um));
    struct node *node = umem_ptr(um, off);
    node->next = root->head;
    node->value = value;
    node->bytes = bytes;
    memset(node + 1, (int)(value & 0xff), bytes);
    root->head = off;
    root->nr++;
    umem_tx_commit(&tx, ret_lsn);
    return 0;
}

/* Wherever umem_ptr() may miss: load and try again. For readers that hold nothing else. */
static inline void *
at(struct umem *um, uint64_t off)
{
    void *mem;

    while ((mem = umem_ptr(um, off)) == NULL) {
        if (!EXPECT_OK(umem_fault(um)))
            return NULL;
    }
    umem_fault_done(um);
    return mem;
}

/* Number of nodes; each must hold its place in the order and its pattern. */
static inline uint64_t
list_check(struct bio_tgt *tgt)
{
    struct umem *um = bio_umem(tgt);
    struct root root = *(struct root *)at(um, umem_root(um));
    uint64_t nr = 0;

    for (uint64_t off = root.head; off != 0 && !test_failed(); nr++) {
        const struct node *node = at(um, off);
        const uint8_t *pat = (const uint8_t *)(node + 1);

        EXPECT_EQ(node->value, root.nr - 1 - nr);
        for (uint64_t i = 0; i < node->bytes; i++) {
            if (pat[i] != (uint8_t)(node->value & 0xff)) {
                EXPECT(!"the pattern is intact");
                break;
            }
        }
        off = node->next;
    }
    EXPECT_EQ(nr, root.nr);
    return nr;
}

static inline uint64_t
list_nr(struct bio_tgt *tgt)
{
    return ((struct root *)at(bio_umem(tgt), umem_root(bio_umem(tgt))))->nr;
}

/* Push up to nr nodes in all, in batches that wait. */
static inline void
push_to(struct bio_tgt *tgt, uint64_t nr, uint32_t bytes)
{
    uint64_t lsn = 0;

    for (uint64_t i = list_nr(tgt); i < nr; i++) {
        if (!EXPECT_OK(push(tgt, i, bytes, &lsn)))
            return;
        if (i % 16 == 15)
            EXPECT_OK(bio_wal_wait(tgt, lsn));
    }
    EXPECT_OK(bio_wal_wait(tgt, lsn));
}

#endif
