/* Intrusive doubly linked list: the node lives in the object, the head is a node of its own. */
#ifndef COMMON_BASE_LIST_H
#define COMMON_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
        struct list *prev, *next;
};

#define LIST_OBJ(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
        l->prev = l->next = l;
}
static inline bool list_empty(const struct list *l)
{
        return l->next == l;
}
static inline void list_push_back(struct list *head, struct list *node)
{
        node->prev = head->prev;
        node->next = head;
        head->prev->next = node;
        head->prev = node;
}
static inline void list_push_front(struct list *head, struct list *node)
{
        list_push_back(head->next, node);
}
/* The node becomes a list of one, so removing it twice is harmless. */
static inline void list_remove(struct list *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
        list_init(node);
}
/* All nodes, to the end of another list. */
static inline void list_take(struct list *to, struct list *from)
{
        if (list_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}
/* First node, removed; NULL when empty. */
static inline struct list *list_pop_front(struct list *head)
{
        struct list *node = head->next;
        if (node == head)
                return NULL;
        list_remove(node);
        return node;
}

#endif
