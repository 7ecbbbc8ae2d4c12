/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Intrusive doubly linked list, circular through its head. A link that is on no list points to itself after list_init() and
 * list_del(), so list_empty(&link) tells whether an entry is linked and list_del() twice is harmless.
 */
#ifndef CAIRN_BASE_LIST_H
#define CAIRN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

struct list_head {
    struct list_head *next;
    struct list_head *prev;
};

#define LIST_HEAD_INIT(name) \
    { \
        &(name), &(name) \
    }

static inline void
list_init(struct list_head *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool
list_empty(const struct list_head *head)
{
    return head->next == head;
}

static inline void
list_insert_between(struct list_head *link, struct list_head *prev, struct list_head *next)
{
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

/** Put *link* (on no list) first. */
static inline void
list_add(struct list_head *link, struct list_head *head)
{
    list_insert_between(link, head, head->next);
}

/** Put *link* (on no list) last; with an entry instead of the head, just before that entry. */
static inline void
list_add_tail(struct list_head *link, struct list_head *head)
{
    list_insert_between(link, head->prev, head);
}

/** Unlink; the link is initialised again. */
static inline void
list_del(struct list_head *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

static inline void
list_move(struct list_head *link, struct list_head *head)
{
    list_del(link);
    list_add(link, head);
}

static inline void
list_move_tail(struct list_head *link, struct list_head *head)
{
    list_del(link);
    list_add_tail(link, head);
}

/** Append all of *from* to *to*; *from* is empty afterwards. */
static inline void
list_splice_tail(struct list_head *from, struct list_head *to)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/** First and last entry, NULL when empty. */
#define LIST_FIRST(head, type, member) \
    (list_empty(head) ? NULL : CAIRN_CONTAINER_OF((head)->next, type, member))
#define LIST_LAST(head, type, member) \
    (list_empty(head) ? NULL : CAIRN_CONTAINER_OF((head)->prev, type, member))

/* A header of the C library has a macro of this name, for another kind of list. */
#undef LIST_FOREACH
#undef LIST_FOREACH_SAFE

/** `LIST_FOREACH(pos, head, struct thing, link) { ... }`; *pos* is declared by the caller; nothing may be unlinked meanwhile. */
#define LIST_FOREACH(pos, head, type, member) \
    for (pos = CAIRN_CONTAINER_OF((head)->next, type, member); &(pos)->member != (head); \
         pos = CAIRN_CONTAINER_OF((pos)->member.next, type, member))

/** As above; *pos* may be unlinked or freed in the body. *tmp* is a second pointer of the type. */
#define LIST_FOREACH_SAFE(pos, tmp, head, type, member) \
    for (pos = CAIRN_CONTAINER_OF((head)->next, type, member), \
        tmp = CAIRN_CONTAINER_OF((pos)->member.next, type, member); \
         &(pos)->member != (head); \
         pos = tmp, tmp = CAIRN_CONTAINER_OF((pos)->member.next, type, member))

#endif /* CAIRN_BASE_LIST_H */
