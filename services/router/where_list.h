/* The constants of an IN list. */
#ifndef SERVICES_ROUTER_WHERE_LIST_H
#define SERVICES_ROUTER_WHERE_LIST_H

#include "services/router/where_node.h"

/* `consts` are ND_CONST of the type. */
struct where_list *where_list_new(enum where_type type, struct where_node *const *consts,
                                  uint32_t n, struct where_scratch *arena);
bool where_list_has(const struct where_list *l, where_cmp *cmp, const struct where_value *v);
/* By its text in a row; only for types whose text is the identity. */
bool where_list_has_text(const struct where_list *l, struct slice text);

#endif
