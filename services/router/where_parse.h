/* The door to libpg_query: the text of a clause to a tree of what the where language may consist
 * of, untyped. Everything else is refused here. */
#ifndef SERVICES_ROUTER_WHERE_PARSE_H
#define SERVICES_ROUTER_WHERE_PARSE_H

#include "common/base/buf.h"
#include "services/router/where_modifier.h"
#include "services/router/where_type.h"

enum where_parse_kind {
        PN_COLUMN,  /* text */
        PN_INT,     /* text */
        PN_DECIMAL, /* text */
        PN_STRING,  /* text */
        PN_BOOL,    /* number */
        PN_NULL,    /* */
        PN_PARAM,   /* number */
        PN_CAST,    /* schema, text: the type; number: its location; is_array; modifiers; args[0] */
        PN_AND,     /* args */
        PN_OR,      /* args */
        PN_NOT,     /* args[0] */
        PN_NULLTEST,  /* negated; args[0] */
        PN_BOOLTEST,  /* test; negated; args[0] */
        PN_OP,        /* text; args[0], args[1]; one argument: prefix */
        PN_DISTINCT,  /* negated; args[0], args[1] */
        PN_IN,        /* negated; args[0] is looked for in args[1…] */
        PN_BETWEEN,   /* negated, symmetric; args[0], low, high */
        PN_FUNCTION,  /* text; args */
        PN_COALESCE,  /* args */
        PN_GREATEST,  /* args */
        PN_LEAST,     /* args */
        PN_ANY,       /* text: the operator; negated: ALL; args[0], args[1] the array */
        PN_ARRAY,     /* args */
        PN_SUBSCRIPT, /* args[0], then the indexes */
        PN_SLICE,     /* args[0], then a low and a high index each; NULL: left out */
        PN_ROW,       /* args; only below PN_NULLTEST */
};

enum where_truth { TRUTH_TRUE, TRUTH_FALSE, TRUTH_UNKNOWN };

struct where_parsed {
        enum where_parse_kind kind;
        int location; /* byte in the clause */
        int number;
        enum where_truth test;
        bool negated, symmetric, is_array;
        uint32_t n;
        struct where_parsed **args;
        struct slice schema, text;
        int32_t modifiers[WHERE_MAX_MODIFIERS];
        int n_modifiers;
};

/* The depth of a clause: nothing that walks its tree recurses further. */
enum { WHERE_MAX_DEPTH = 500 };

/* ERR_INVAL: *why says what and where (protocol §5.7). The tree lives in `arena`. */
int where_parse(struct slice clause, struct where_scratch *arena, struct where_parsed **out,
                struct buf *why);
/* The same without where_quick.h: what that must agree with. */
int where_parse_whole(struct slice clause, struct where_scratch *arena, struct where_parsed **out,
                      struct buf *why);
bool where_parsed_eq(const struct where_parsed *a, const struct where_parsed *b);
/* "At location N: …" */
void where_why(struct buf *why, int location, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#endif
