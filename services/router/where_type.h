/* The types of the where language: names, categories, what casts to what, and the text forms of
 * their values as Postgres reads and prints them. Pure; any thread. */
#ifndef SERVICES_ROUTER_WHERE_TYPE_H
#define SERVICES_ROUTER_WHERE_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "services/router/where_power.h"

/* Each type: name of pg_type, oid, oid of its array, category (pg_type.typcategory), preferred. The
 * categories and the preferred types are what Postgres resolves overloads by. */
#define WHERE_TYPES(X)                                                                             \
        X(UNKNOWN, "unknown", 705, 0, 'X', false)                                                  \
        X(BOOL, "bool", 16, 1000, 'B', true)                                                       \
        X(INT2, "int2", 21, 1005, 'N', false)                                                      \
        X(INT4, "int4", 23, 1007, 'N', false)                                                      \
        X(INT8, "int8", 20, 1016, 'N', false)                                                      \
        X(FLOAT4, "float4", 700, 1021, 'N', false)                                                 \
        X(FLOAT8, "float8", 701, 1022, 'N', true)                                                  \
        X(NUMERIC, "numeric", 1700, 1231, 'N', false)                                              \
        X(TEXT, "text", 25, 1009, 'S', true)                                                       \
        X(VARCHAR, "varchar", 1043, 1015, 'S', false)                                              \
        X(BPCHAR, "bpchar", 1042, 1014, 'S', false)                                                \
        X(NAME, "name", 19, 1003, 'S', false)                                                      \
        X(UUID, "uuid", 2950, 2951, 'U', false)                                                    \
        X(DATE, "date", 1082, 1182, 'D', false)                                                    \
        X(TIME, "time", 1083, 1183, 'D', false)                                                    \
        X(TIMESTAMP, "timestamp", 1114, 1115, 'D', false)                                          \
        X(TIMESTAMPTZ, "timestamptz", 1184, 1185, 'D', true)                                       \
        X(INTERVAL, "interval", 1186, 1187, 'T', true)                                             \
        X(BYTEA, "bytea", 17, 1001, 'U', false)                                                    \
        X(JSONB, "jsonb", 3802, 3807, 'U', false)                                                  \
        X(TIMETZ, "timetz", 1266, 1270, 'D', false) /* only for the choice of operators */         \
        X(ENUM, "enum", 0, 0, 'E', false)           /* of a column; see where_node.enum_column */  \
        X(OTHER, "other", 0, 0, 'U', false)         /* only NULL tests */

enum where_type {
#define X(id, name, oid, array_oid, category, preferred) WT_##id,
        WHERE_TYPES(X)
#undef X
                WT_COUNT
};

/* int4[] is WT_INT4 | WT_ARRAY. */
enum { WT_ARRAY = 64 };
static inline bool where_type_is_array(enum where_type t)
{
        return ((unsigned)t & WT_ARRAY) != 0;
}
static inline enum where_type where_type_element(enum where_type t)
{
        return (enum where_type)((unsigned)t & ~(unsigned)WT_ARRAY);
}
static inline enum where_type where_type_array_of(enum where_type t)
{
        return (enum where_type)((unsigned)t | WT_ARRAY);
}

enum where_num_kind { NUM_FINITE, NUM_PINF, NUM_NINF, NUM_NAN };

/* Exact decimal: (-1)^negative × 0.d₁d₂… × 10^point. No leading or trailing zero digits. */
struct where_num {
        enum where_num_kind kind;
        bool negative;
        int32_t point;  /* digits before the decimal point; may be negative */
        int32_t dscale; /* digits after the point when printed */
        uint32_t n;
        const uint8_t *digits; /* 0…9 each; n == 0: zero */
};

struct where_interval {
        int64_t time; /* microseconds */
        int32_t day, month;
};

struct where_value {
        bool null;
        union {
                bool b;
                int64_t i; /* integers; dates in days, times and timestamps in microseconds */
                struct where_interval interval;
                double d;                  /* float4 float8 */
                struct slice s;            /* strings, bytea; uuid: 16 bytes */
                const struct where_num *n; /* numeric */
                const struct where_array *array;
                const struct where_json *json;
        };
};

/* Memory of one evaluation: what fits stays in the caller's frame, the rest is on the heap until
 * fini. */
struct where_scratch {
        struct where_block *blocks;
        size_t used;
        _Alignas(16) char first[1024];
};
static inline void where_scratch_init(struct where_scratch *s)
{
        s->blocks = NULL;
        s->used = 0;
}
void where_scratch_fini(struct where_scratch *s);
/* Never NULL; aligned to 16 bytes. */
void *where_alloc(struct where_scratch *s, size_t bytes);

struct slice where_type_name(enum where_type t);
char where_type_category(enum where_type t);
bool where_type_preferred(enum where_type t);
/* WT_OTHER when it is none of ours. */
enum where_type where_type_of_oid(uint32_t oid);
/* By a name as in a cast; WT_COUNT: not supported. */
enum where_type where_type_of_name(struct slice name);
static inline bool where_type_is_string(enum where_type t)
{
        return where_type_category(t) == 'S';
}

/* The type's input function: ERR_FORMAT or ERR_RANGE (Postgres would refuse the text as well, or it
 * is a rarity that we refuse). The value may borrow `text`. */
int where_value_read(enum where_type t, struct slice text, struct where_scratch *s,
                     struct where_value *out);
/* The type's output function: canonical, so equal bytes mean equal values (not the reverse for
 * numeric, float4, float8 and bpchar). Not for NULL. */
void where_value_print(enum where_type t, const struct where_value *v, struct buf *out);
/* Will Postgres read the printed value? Not a timestamp that was rounded out of the range. */
bool where_value_is_readable(enum where_type t, const struct where_value *v);
/* Do equal values of the type have equal texts, in the rows as well? */
bool where_type_text_is_identity(enum where_type t);
/* Is the order of its values known here? Not jsonb's, nor that of an enum's labels. */
bool where_type_has_order(enum where_type t);
/* Three-way, in the order of Postgres' btree operators; strings bytewise. */
typedef int where_cmp(const struct where_value *a, const struct where_value *b);
where_cmp *where_type_cmp(enum where_type t);
/* Between two types that a comparison operator takes. */
where_cmp *where_cmp_of(enum where_type left, enum where_type right);

/* ---- casts */
struct where_ctx;
struct zone;
/* False: an error, whose text is in ctx. The arguments are never NULL values. */
typedef bool where_fn(struct where_ctx *c, const struct where_value *args, struct where_value *out);

enum where_cast_kind { CAST_NONE, CAST_EXPLICIT, CAST_ASSIGNMENT, CAST_IMPLICIT };
struct where_cast {
        enum where_type from, to;
        enum where_cast_kind kind;
        where_fn *fn; /* NULL: the value stays as it is */
};
/* Row of the table; NULL: there is none, but there may be a way through text. */
const struct where_cast *where_cast_find(enum where_type from, enum where_type to);
/* Does the cast go through text that only some of Postgres' readings are known of here? Then it is
 * for constants alone. */
bool where_cast_is_partial(enum where_type from, enum where_type to);
/* How freely Postgres casts, by whatever way. */
enum where_cast_kind where_cast_kind(enum where_type from, enum where_type to);
/* NULL gives NULL. Only for pairs that where_cast_kind() allows; `in` and `out` differ. */
bool where_cast_apply(struct where_ctx *c, enum where_type from, enum where_type to,
                      const struct where_value *in, struct where_value *out);

/* What functions need while they compute. */
struct where_ctx {
        struct where_scratch *scratch;
        const char *error;       /* static text, set by whoever returns false */
        enum where_type result;  /* of the function that is being called */
        const struct zone *zone; /* that it is called with; NULL: none with a name */
        enum where_power_rules power;
        uint64_t work; /* steps of what costs more than its input is long */
};

/* One evaluation may cost this many steps: an error beyond, rather than a way to keep the router
 * busy (patterns of many % on long texts, products of numbers with thousands of digits). */
#define WHERE_MAX_WORK ((uint64_t)100000000)

static inline bool where_fail(struct where_ctx *c, const char *error)
{
        c->error = error;
        return false;
}

/* The largest text that an expression may make. */
#define WHERE_TEXT_MAX ((size_t)1 << 28)
/* What is in the buffer, kept in scratch; an error when it did not fit. */
bool where_keep_text(struct where_ctx *c, const struct buf *b, struct slice *out);

static inline bool where_work(struct where_ctx *c, uint64_t steps)
{
        c->work += steps;
        return c->work <= WHERE_MAX_WORK || where_fail(c, "the evaluation takes too long");
}

/* ---- numeric (where_num.c) */
int where_num_read(struct slice text, struct where_scratch *s, struct where_num *out);
void where_num_print(const struct where_num *n, struct buf *out);
int where_num_cmp(const struct where_num *a, const struct where_num *b);
void where_num_of_int(int64_t i, struct where_scratch *s, struct where_num *out);
/* Rounds half away from zero. ERR_RANGE: outside int8, ERR_INVAL: NaN or infinite. */
int where_num_to_int(const struct where_num *n, int64_t *out);
/* To so many digits after the point, half away from zero. */
void where_num_round(const struct where_num *n, int32_t scale, struct where_scratch *s,
                     struct where_num *out);
/* ERR_RANGE. */
int where_num_to_double(const struct where_num *n, bool single, struct where_scratch *s,
                        double *out);

/* ---- floats (where_float.c): Postgres' shortest form that reads back as the same value */
int where_float_read(struct slice text, bool single, double *out);
void where_float_print(double d, bool single, struct buf *out);
int where_float_cmp(double a, double b);

#endif
