/* The checked tree: every node has a type, every operator its operands' types, every constant its
 * value. Immutable once compiled. */
#ifndef SERVICES_ROUTER_WHERE_NODE_H
#define SERVICES_ROUTER_WHERE_NODE_H

#include "services/router/where.h"
#include "services/router/where_parse.h"
#include "services/router/where_type.h"
#include "services/router/zone.h"

enum where_kind {
        ND_CONST,
        ND_COLUMN,
        ND_AND,
        ND_OR,
        ND_NOT,
        ND_NULLTEST, /* negated: IS NOT NULL */
        ND_BOOLTEST, /* test, negated */
        ND_DISTINCT, /* negated: IS NOT DISTINCT FROM; cmp */
        ND_COMPARE,  /* compare, cmp */
        ND_SAME,     /* ND_COMPARE for = with a column and a constant, by text */
        ND_CAST,     /* from args[0]'s type to this one's */
        ND_MODIFY,   /* args[0], of this type, as its modifier says */
        ND_CALL,     /* fn, name, is_function, takes_null */
        ND_CONCAT,   /* of texts, NULL counting as nothing */
        ND_COALESCE,
        ND_GREATEST,  /* cmp */
        ND_LEAST,     /* cmp */
        ND_ANY,       /* negated: ALL; args[0] against the elements of args[1]; cmp or fn, name */
        ND_ARRAY,     /* the array of its arguments; nested: they are arrays */
        ND_SUBSCRIPT, /* args[0][args[1]][args[2]]… */
        ND_SLICE,     /* args[0][args[1]:args[2]][args[3]:args[4]]…; left_out */
        ND_IN,        /* args[0] in the constants of list; negated; cmp */
};

enum where_compare { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };

/* The constants of an IN list: sorted, without duplicates and NULL. */
struct where_list {
        enum where_type type;
        struct where_value *values;
        uint32_t n;
        bool has_null;
        struct slice *texts; /* sorted bytewise; only where the text is the identity */
};

struct where_node {
        enum where_kind kind;
        enum where_type type;
        uint32_t column; /* ND_COLUMN; of another with an enum's type: which has that enum */
        enum where_compare compare;
        enum where_truth test;
        bool negated;
        bool has_columns; /* as the clause was written, even if the value is settled without */
        bool c_collation; /* a string, or strings, with the collation C, from a name */
        bool is_function; /* in the SQL: name(args) */
        bool takes_null;  /* fn is called with NULL, too */
        bool nested;
        uint32_t left_out; /* bit i: args[i] stands for a bound that is not there */
        struct where_modifier modifier;
        uint32_t weight; /* nodes below and this one, counted as often as they are evaluated */
        uint32_t n;
        struct where_node **args;
        where_cmp *cmp;
        where_fn *fn;
        const char *name;         /* operator or function, for the SQL */
        const struct zone *zone;  /* of AT TIME ZONE with a name */
        struct where_value value; /* ND_CONST; of WT_UNKNOWN and WT_ENUM: text in `s` */
        bool cases;               /* fn maps upper and lower case */
        struct slice text;        /* ND_SAME: what the column's text must be */
        struct where_list *list;
        int location;
        int param; /* ND_CONST of WT_UNKNOWN: which $n, 0: none */
};

enum { WHERE_MAX_WEIGHT = 200000 };

/* False: an error, in c->error. `row` may be empty for trees without columns. */
bool where_node_eval(struct where_ctx *c, const struct where_node *n, struct row row,
                     struct where_value *out);
void where_put_identifier(struct slice name, struct buf *out);
void where_node_sql(const struct where_node *n, const struct table *t, struct buf *out);
/* Faster forms of the same, from the leaves up; the SQL of the tree stays as it is. */
void where_node_optimize(struct where_node *n, struct where_scratch *arena);

/* ---- where_select.c: which operator Postgres would choose */
struct where_operator {
        const char *name;
        enum where_type left, right, result; /* left WT_COUNT: a prefix operator */
        bool is_compare;
        enum where_compare compare;
        where_fn *fn; /* NULL: Postgres has it, we don't */
        bool cases;   /* maps upper and lower case: depends on LC_CTYPE */
};
enum where_select_result {
        SELECT_FOUND,
        SELECT_UNKNOWN_NAME,
        SELECT_NO_OVERLOAD,
        SELECT_NOT_HERE /* *out is what Postgres would choose */
};
enum where_select_result where_select_operator(struct slice name, enum where_type left,
                                               enum where_type right,
                                               const struct where_operator **out);
/* Of one argument (left: WT_COUNT) or two. */
enum where_select_result where_select_function(struct slice name, enum where_type left,
                                               enum where_type right,
                                               const struct where_operator **out);
bool where_function_exists(struct slice name, uint32_t n_args);
/* The type that several expressions are brought to (IN, COALESCE …); WT_COUNT: there is none. */
enum where_type where_select_common(const enum where_type *types, uint32_t n);

/* ---- where_check.c */
struct where_check {
        struct where_scratch *arena;
        const struct table *table;
        const bool *usable;
        const struct slice *params;
        enum where_type *param_types; /* WT_UNKNOWN until the first use tells */
        uint32_t n_params;
        uint32_t enum_column; /* ck_meet_enums() */
        struct buf *why;
        /* Of all that was checked, also what was settled meanwhile and is no more in the tree. */
        bool orders_strings, maps_cases;
        struct zone_set zones;
        bool settles_zones; /* some value of them was settled */
};
/* NULL: refused, `why` says so. */
struct where_node *where_check_clause(struct where_check *c, const struct where_parsed *p);

/* ---- where_index.c */
uint32_t where_node_equalities(const struct where_node *root, struct where_scratch *arena,
                               struct where_equality **out);

#endif
