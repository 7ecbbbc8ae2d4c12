/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Contents for messages, made by walking their field tables: a second reader of the tables, independent of the engine. */
#ifndef CAIRN_PROTO_FILL_H
#define CAIRN_PROTO_FILL_H

#include "base/rng.h"
#include "proto/proto.h"

enum proto_fill_mode {
    PROTO_FILL_RANDOM, /* any values, lengths and counts small or zero */
    PROTO_FILL_PATTERN, /* depends on nothing but the tables: two items everywhere, values that count up */
};

struct proto_fill {
    enum proto_fill_mode mode;
    struct rng rng;
    uint64_t next; /* PATTERN */
    struct arena *arena;
};

void proto_fill_init(
    struct proto_fill *fill, enum proto_fill_mode mode, uint64_t seed, struct arena *arena);
/** Fill the struct; byte strings and arrays live in the arena. */
void proto_fill_struct(struct proto_fill *fill, const struct proto_msg *msg, void *st);
/** Equal in every field, by content. */
bool proto_fill_equal(const struct proto_msg *msg, const void *a, const void *b);

#endif
