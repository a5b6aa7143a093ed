/* Between the files of the checker. Every function that returns a node: NULL when it is refused,
 * and `why` says so; arguments are never NULL but where said. */
#ifndef SERVICES_ROUTER_WHERE_CHECK_H
#define SERVICES_ROUTER_WHERE_CHECK_H

#include "services/router/where_fn.h"
#include "services/router/where_node.h"

typedef struct where_node node;

/* where_coerce.c */
node *ck_refuse(struct where_check *c, int location, const char *what);
node *ck_make(struct where_check *c, enum where_kind kind, enum where_type type, int location,
              uint32_t n, node *const *args);
/* Has a node the collation C, if its arguments have it as `is_c` says? */
bool ck_has_c_collation(const node *n, bool (*is_c)(const node *));
node *ck_make_const(struct where_check *c, enum where_type type, int location);
node *ck_make_text(struct where_check *c, struct slice text, int location);
/* Its value when that is settled before any row is seen, else the node. */
node *ck_fold(struct where_check *c, node *n);
/* To an enum: the one that was met or found last. */
node *ck_coerce_unknown(struct where_check *c, node *n, enum where_type to, bool explicit);
/* A parameter whose type another place has told. */
node *ck_settle(struct where_check *c, node *n);
/* Implicitly, and as a cast is written. */
node *ck_coerce(struct where_check *c, node *n, enum where_type to);
node *ck_cast_to(struct where_check *c, node *n, enum where_type to, int location);
node *ck_coerce_bool(struct where_check *c, node *n);
/* A type as a cast names it. */
struct ck_cast {
        enum where_type type;
        uint32_t enum_column;
        bool is_modified;
        struct where_modifier modifier;
};
node *ck_modify(struct where_check *c, node *n, const struct ck_cast *cast);

/* where_check_enum.c */
/* The nodes are brought to one type: is there no more than one enum among them, and arrays of them?
 * Then texts that are coerced to an enum until the next call are its labels. */
bool ck_meet_enums(struct where_check *c, node *const *nodes, uint32_t n);
/* False: the node is of another enum, or has elements of one. */
bool ck_is_met_enum(const struct where_check *c, const node *n);
/* Of a constant: what the enum has no such label for, as far as its labels are known. */
bool ck_find_unlabelled(const struct where_check *c, const node *n, struct slice *label);
/* A column with the enum of that name, or an array of it; no schema: any. False: there is none, or
 * more than one such enum. */
bool ck_find_enum(const struct where_check *c, struct slice schema, struct slice name,
                  uint32_t *column);

/* where_check_op.c */
node *ck_refuse_operator(struct where_check *c, struct slice name, bool prefix,
                         enum where_select_result r, int location);
/* The operator for the operands, and the operands brought to what it takes. *l is NULL for a
 * prefix. */
const struct where_operator *ck_choose(struct where_check *c, struct slice name, node **l, node **r,
                                       int location);
/* The operator's or function's implementation for a node of these arguments, whose collation counts
 * when it maps upper and lower case. False: its rebuilt SQL would have another collation. */
bool ck_take_fn(node *n, const struct where_operator *op);
node *ck_make_operator(struct where_check *c, struct slice name, node *l, node *r, int location);
node *ck_make_junction(struct where_check *c, enum where_kind kind, node *const *args, uint32_t n,
                       int location);

/* where_check_list.c */
node *ck_check_in(struct where_check *c, const struct where_parsed *p);
node *ck_check_any(struct where_check *c, const struct where_parsed *p);

/* where_check_array.c */
/* `to`: the type of the elements, NULL when no cast says it. */
node *ck_check_array(struct where_check *c, const struct where_parsed *p, const struct ck_cast *to);
node *ck_check_subscript(struct where_check *c, const struct where_parsed *p);
node *ck_check_slice(struct where_check *c, const struct where_parsed *p);
/* One of the operands, or both, are arrays. */
node *ck_make_array_operator(struct where_check *c, struct slice name, node *l, node *r,
                             int location);
/* Both to the type of one of them, which is an array's. False: they don't go together; `why` may
 * say so. */
bool ck_match_arrays(struct where_check *c, node **l, node **r);
/* For the documentation: the names of operators or functions on arrays; NULL: there are no more. */
const char *ck_array_name(bool is_function, uint32_t i);
bool ck_is_array_function(struct slice name, uint32_t n_args);
node *ck_check_array_function(struct where_check *c, const struct where_parsed *p, node **args);

/* where_check_call.c */
node **ck_check_args(struct where_check *c, const struct where_parsed *p);
node *ck_refuse_overload(struct where_check *c, const struct where_parsed *p, const char *name,
                         node *const *args);
node *ck_check_function(struct where_check *c, const struct where_parsed *p);
node *ck_check_common(struct where_check *c, const struct where_parsed *p, enum where_kind kind,
                      const char *name);

/* where_check.c */
node *ck_check(struct where_check *c, const struct where_parsed *p);

#endif
