/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Intrusive lists: d_list_t is doubly linked and circular, d_hlist_t has a head of one pointer.
 * The link is a member of the entry; d_list_entry() leads from the link back to the entry.
 */
#ifndef CAIRN_GURT_LIST_H
#define CAIRN_GURT_LIST_H

#include <stddef.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

#ifndef prefetch
#define prefetch(addr) __builtin_prefetch((addr), 0, 1)
#endif

struct d_list_head {
    struct d_list_head *next;
    struct d_list_head *prev;
};

typedef struct d_list_head d_list_t;

#define D_LIST_HEAD_INIT(name) \
    { \
        &(name), &(name) \
    }
#define D_LIST_HEAD(name) d_list_t name = D_LIST_HEAD_INIT(name)

/** Make an empty list, or a link that is in no list. */
#define D_INIT_LIST_HEAD(ptr) \
    do { \
        (ptr)->next = (ptr); \
        (ptr)->prev = (ptr); \
    } while (0)

/** Put *link* right after *head*: first in the list. */
static inline void
d_list_add(d_list_t *link, d_list_t *head)
{
    link->next = head->next;
    link->prev = head;
    head->next->prev = link;
    head->next = link;
}

/** Put *link* right before *head*: last in the list. */
static inline void
d_list_add_tail(d_list_t *link, d_list_t *head)
{
    d_list_add(link, head->prev);
}

/** Take *entry* out; its own pointers stay as they are. */
static inline void
d_list_del(d_list_t *entry)
{
    entry->next->prev = entry->prev;
    entry->prev->next = entry->next;
}

/** Take *entry* out and make it a link that is in no list. */
static inline void
d_list_del_init(d_list_t *entry)
{
    d_list_del(entry);
    D_INIT_LIST_HEAD(entry);
}

/** Take *link* from its list and put it first, or last, in another. */
static inline void
d_list_move(d_list_t *link, d_list_t *head)
{
    d_list_del(link);
    d_list_add(link, head);
}

static inline void
d_list_move_tail(d_list_t *link, d_list_t *head)
{
    d_list_del(link);
    d_list_add_tail(link, head);
}

/** Non-zero when the list has no entry. */
static inline int
d_list_empty(d_list_t *head)
{
    return head->next == head;
}

/** The same, looking at both directions. */
static inline int
d_list_empty_careful(const d_list_t *head)
{
    return head->next == head && head->prev == head;
}

/** Put all entries of *list* in front of those of *head*; the head of *list* is left as it was. */
static inline void
d_list_splice(d_list_t *list, d_list_t *head)
{
    if (d_list_empty(list))
        return;
    list->prev->next = head->next;
    head->next->prev = list->prev;
    head->next = list->next;
    list->next->prev = head;
}

/** The same; *list* is empty afterwards. */
static inline void
d_list_splice_init(d_list_t *list, d_list_t *head)
{
    d_list_splice(list, head);
    D_INIT_LIST_HEAD(list);
}

/** The entry of type *type* whose member *member* is at *ptr*. */
#define d_list_entry(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/** Take out and return the first entry; NULL when the list is empty. */
#define d_list_pop_entry(list, type, member) \
    __extension__({ \
        type *d_list_popped_ = NULL; \
        if (!d_list_empty(list)) { \
            d_list_popped_ = d_list_entry((list)->next, type, member); \
            d_list_del_init((list)->next); \
        } \
        d_list_popped_; \
    })

/*
 * Loops. In the names, "safe" allows the body to take out the current entry and needs a second variable *n*; "reverse" starts at the
 * end; "continue" and "from" start after and at the current value of *pos*; "typed" names the type instead of using __typeof__.
 */
#define d_list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = (pos)->next)
#define d_list_for_each_prev(pos, head) for (pos = (head)->prev; pos != (head); pos = (pos)->prev)
#define d_list_for_each_safe(pos, n, head) \
    for (pos = (head)->next, n = (pos)->next; pos != (head); pos = n, n = (pos)->next)

#define d_list_for_each_entry_typed(pos, head, type, member) \
    for (pos = d_list_entry((head)->next, type, member); &(pos)->member != (head); \
         pos = d_list_entry((pos)->member.next, type, member))
#define d_list_for_each_entry_reverse_typed(pos, head, type, member) \
    for (pos = d_list_entry((head)->prev, type, member); &(pos)->member != (head); \
         pos = d_list_entry((pos)->member.prev, type, member))
#define d_list_for_each_entry_safe_typed(pos, n, head, type, member) \
    for (pos = d_list_entry((head)->next, type, member), \
        n = d_list_entry((pos)->member.next, type, member); \
         &(pos)->member != (head); pos = n, n = d_list_entry((n)->member.next, type, member))
#define d_list_for_each_entry_safe_from_typed(pos, n, head, type, member) \
    for (n = d_list_entry((pos)->member.next, type, member); &(pos)->member != (head); \
         pos = n, n = d_list_entry((n)->member.next, type, member))
#define d_list_for_each_entry_continue_typed(pos, head, type, member) \
    for (pos = d_list_entry((pos)->member.next, type, member); &(pos)->member != (head); \
         pos = d_list_entry((pos)->member.next, type, member))
#define d_list_for_each_entry_reverse_safe_typed(pos, n, head, type, member) \
    for (pos = d_list_entry((head)->prev, type, member), \
        n = d_list_entry((pos)->member.prev, type, member); \
         &(pos)->member != (head); pos = n, n = d_list_entry((n)->member.prev, type, member))

#define d_list_for_each_entry(pos, head, member) \
    d_list_for_each_entry_typed(pos, head, __typeof__(*pos), member)
#define d_list_for_each_entry_reverse(pos, head, member) \
    d_list_for_each_entry_reverse_typed(pos, head, __typeof__(*pos), member)
#define d_list_for_each_entry_safe(pos, n, head, member) \
    d_list_for_each_entry_safe_typed(pos, n, head, __typeof__(*pos), member)
#define d_list_for_each_entry_safe_from(pos, n, head, member) \
    d_list_for_each_entry_safe_from_typed(pos, n, head, __typeof__(*pos), member)
#define d_list_for_each_entry_continue(pos, head, member) \
    d_list_for_each_entry_continue_typed(pos, head, __typeof__(*pos), member)
#define d_list_for_each_entry_reverse_safe(pos, n, head, member) \
    d_list_for_each_entry_reverse_safe_typed(pos, n, head, __typeof__(*pos), member)

typedef struct d_hlist_node {
    struct d_hlist_node *next;
    /** The pointer that points here: the head's or the previous node's. NULL when in no list. */
    struct d_hlist_node **pprev;
} d_hlist_node_t;

typedef struct d_hlist_head {
    d_hlist_node_t *first;
} d_hlist_head_t;

#define D_HLIST_HEAD_INIT \
    { \
        NULL \
    }
#define D_HLIST_HEAD(name) d_hlist_head_t name = D_HLIST_HEAD_INIT
#define D_INIT_HLIST_HEAD(ptr) ((ptr)->first = NULL)
#define D_INIT_HLIST_NODE(ptr) ((ptr)->next = NULL, (ptr)->pprev = NULL)

/** Non-zero when the node is in no list. */
static inline int
d_hlist_unhashed(const d_hlist_node_t *h)
{
    return h->pprev == NULL;
}

static inline int
d_hlist_empty(const d_hlist_head_t *h)
{
    return h->first == NULL;
}

static inline void
d_hlist_del(d_hlist_node_t *n)
{
    *n->pprev = n->next;
    if (n->next != NULL)
        n->next->pprev = n->pprev;
}

static inline void
d_hlist_del_init(d_hlist_node_t *n)
{
    if (d_hlist_unhashed(n))
        return;
    d_hlist_del(n);
    D_INIT_HLIST_NODE(n);
}

static inline void
d_hlist_add_head(d_hlist_node_t *n, d_hlist_head_t *h)
{
    n->next = h->first;
    n->pprev = &h->first;
    if (n->next != NULL)
        n->next->pprev = &n->next;
    h->first = n;
}

/** Put *n* right before *next*, which is in a list. */
static inline void
d_hlist_add_before(d_hlist_node_t *n, d_hlist_node_t *next)
{
    n->next = next;
    n->pprev = next->pprev;
    *n->pprev = n;
    next->pprev = &n->next;
}

/** Put *n* right after *prev*, which is in a list. */
static inline void
d_hlist_add_after(d_hlist_node_t *n, d_hlist_node_t *prev)
{
    n->next = prev->next;
    n->pprev = &prev->next;
    if (n->next != NULL)
        n->next->pprev = &n->next;
    prev->next = n;
}

#define d_hlist_entry(ptr, type, member) d_list_entry(ptr, type, member)

#define dhlist_for_each(pos, head) for (pos = (head)->first; (pos) != NULL; pos = (pos)->next)
#define dhlist_for_each_safe(pos, n, head) \
    for (pos = (head)->first; (pos) != NULL && (n = (pos)->next, 1); pos = n)
#define dhlist_for_each_entry_typed(tpos, pos, head, type, member) \
    for (pos = (head)->first; (pos) != NULL && (tpos = d_hlist_entry(pos, type, member), 1); \
         pos = (pos)->next)
#define dhlist_for_each_entry_safe_typed(tpos, pos, n, head, type, member) \
    for (pos = (head)->first; \
         (pos) != NULL && (n = (pos)->next, tpos = d_hlist_entry(pos, type, member), 1); pos = n)
#define dhlist_for_each_entry(tpos, pos, head, member) \
    dhlist_for_each_entry_typed(tpos, pos, head, __typeof__(*tpos), member)
#define dhlist_for_each_entry_safe(tpos, pos, n, head, member) \
    dhlist_for_each_entry_safe_typed(tpos, pos, n, head, __typeof__(*tpos), member)

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_GURT_LIST_H */
