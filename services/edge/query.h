/* The query string as a tree of values, as `a=1&params[1]=x` means it, and the same tree made from
 * a JSON body (json.h), so that both can be merged (protocol §1.6). */
#ifndef SERVICES_EDGE_QUERY_H
#define SERVICES_EDGE_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "services/edge/arena.h"

enum value_type {
        VALUE_STRING,
        VALUE_NUMBER, /* text as written; JSON only */
        VALUE_TRUE,   /* JSON only */
        VALUE_FALSE,
        VALUE_JSON_NULL,
        VALUE_LIST,
        VALUE_MAP
};

struct member;

struct value {
        enum value_type type;
        struct slice text;      /* VALUE_STRING, VALUE_NUMBER */
        struct member *members; /* VALUE_MAP, VALUE_LIST (keys empty); in the order first seen */
        uint32_t n_members, cap_members;
        uint32_t *index; /* of a big map: hash table of positions in `members` + 1 */
        uint32_t index_mask;
};

struct member {
        struct slice key;
        struct value *value;
};

struct value *value_new(struct arena *a, enum value_type type);
struct value *value_string(struct arena *a, struct slice text);
/* Sets or replaces a member of a map. */
void value_set(struct arena *a, struct value *map, struct slice key, struct value *v);
/* Appends to a list. */
void value_push(struct arena *a, struct value *list, struct value *v);
/* Borrowed, or NULL. */
struct value *value_find(const struct value *map, struct slice key);

/* Decodes `a=1&b[c]=2&d[]=3` into a map; the last of equal keys wins. ERR_FORMAT: a broken percent
 * escape or text that is not UTF-8. Slices borrow from `text` or the arena. */
int query_parse(struct arena *a, struct slice text, struct value **out);

#endif
