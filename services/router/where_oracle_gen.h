/* Random rows and clauses for where_oracle_test.c: well-typed most of the time, extremes often. */
#ifndef SERVICES_ROUTER_WHERE_ORACLE_GEN_H
#define SERVICES_ROUTER_WHERE_ORACLE_GEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/buf.h"

enum { GEN_MAX_COLUMNS = 64 };

struct gen {
        unsigned long seed; /* of the clause being made */
        uint64_t state;
        int depth;
};

/* What the columns are of, and which samples there are of it: SQL literals without a type. Column 0
 * is the id. */
struct gen_column {
        const char *name, *type;
        const char *kind;           /* columns of a kind are compared with each other */
        const char *const *samples; /* ends with NULL */
};

static const char *const gen_ints[] = {"'0'",   "'1'",     "'-1'",     "'2'", "'7'",
                                       "'100'", "'32767'", "'-32768'", NULL};
static const char *const gen_ints4[] = {"'0'",        "'1'",     "'-1'",         "'2'",
                                        "'3'",        "'32768'", "'2147483647'", "'-2147483648'",
                                        "'16777217'", NULL};
static const char *const gen_ints8[] = {"'0'",
                                        "'1'",
                                        "'-1'",
                                        "'2'",
                                        "'3'",
                                        "'2147483648'",
                                        "'9223372036854775807'",
                                        "'-9223372036854775808'",
                                        "'9007199254740993'",
                                        NULL};
static const char *const gen_floats4[] = {
        "'0'",   "'-0'",       "'1'",         "'1.1'",    "'-1.5'",  "'2'",        "'0.1'",
        "'NaN'", "'Infinity'", "'-Infinity'", "'3.4e38'", "'1e-40'", "'16777216'", NULL};
static const char *const gen_floats8[] = {"'0'",
                                          "'-0'",
                                          "'1'",
                                          "'1.1'",
                                          "'-1.5'",
                                          "'2'",
                                          "'0.1'",
                                          "'NaN'",
                                          "'Infinity'",
                                          "'-Infinity'",
                                          "'1.7e308'",
                                          "'5e-324'",
                                          "'9007199254740992'",
                                          "'2.5'",
                                          "'1e15'",
                                          "'1e-5'",
                                          NULL};
static const char *const gen_nums[] = {
        "'0'",        "'0.00'",      "'1'",
        "'1.0'",      "'1.10'",      "'-1.5'",
        "'2'",        "'2.500'",     "'NaN'",
        "'Infinity'", "'-Infinity'", "'12345678901234567890.123456789'",
        "'1e-20'",    "'0.1'",       "'99999999999999999999'",
        "'-0.0001'",  NULL};
static const char *const gen_texts[] = {
        "''",  "'a'", "'b'",  "'ab'",     "'A'",    "'abc'", "'ABC'",     "'a '",   "' a'",
        "'ä'", "'Ä'", "'ß'",  "'it''s'",  "'a%b'",  "'a_b'", "E'a\\\\b'", "'日本'", "'😀'",
        "'1'", "'t'", "'10'", "E'a\\nb'", "'null'", "'2.5'", NULL};
static const char *const gen_bools[] = {"'t'", "'f'", NULL};
static const char *const gen_uuids[] = {
        "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        "'{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}'", "'a0eebc999c0b4ef8bb6d6bb9bd380a11'", NULL};

static const char *const gen_dates[] = {"'2024-01-01'",
                                        "'2024-02-29'",
                                        "'1999-12-31'",
                                        "'0001-01-01'",
                                        "'0044-03-15 BC'",
                                        "'infinity'",
                                        "'-infinity'",
                                        "'5874897-12-31'",
                                        "'4714-11-24 BC'",
                                        "'2000-01-01'",
                                        NULL};
static const char *const gen_stamps[] = {"'2024-01-01 00:00:00'",
                                         "'2024-02-29 12:34:56.789'",
                                         "'1999-12-31T23:59:59.999999'",
                                         "'0044-03-15 12:00:00 BC'",
                                         "'infinity'",
                                         "'-infinity'",
                                         "'280000-12-31 23:59:59'",
                                         "'4714-11-24 00:00:00 BC'",
                                         "'2000-01-31 00:00:00'",
                                         "'2024-01-01 05:30:00+05:30'",
                                         "'2024-06-01 00:00:00Z'",
                                         "'294276-12-31 23:00:00'",
                                         "'294276-12-31 23:59:59.999999'",
                                         "'2024-10-27 02:30:00'",
                                         "'2024-03-31 02:30:00'",
                                         NULL};
static const char *const gen_times[] = {"'00:00:00'",        "'24:00:00'", "'12:34:56.789'",
                                        "'23:59:59.999999'", "'01:00:00'", NULL};
static const char *const gen_intervals[] = {"'P0D'",
                                            "'1 day'",
                                            "'P1M'",
                                            "'30 days'",
                                            "'24:00:00'",
                                            "'-1 day'",
                                            "'P1Y2M3DT4H5M6.789S'",
                                            "'P-1Y2M-3DT-4H'",
                                            "'1 year 2 mons -3 days 04:05:06.5'",
                                            "'-00:00:01'",
                                            "'P2W'",
                                            "'1 week 3 hours'",
                                            "'P178000000Y'",
                                            "'1.5 seconds'",
                                            "'PT36H'",
                                            "'-45 days -30:00:00'",
                                            NULL};

static const char *const gen_int_arrays[] = {"'{}'",
                                             "'{1}'",
                                             "'{1,2}'",
                                             "'{2,1,NULL}'",
                                             "'{NULL}'",
                                             "'{{1,2},{3,0}}'",
                                             "'[0:1]={0,-1}'",
                                             "'{7,7,100}'",
                                             "'[2:3][-1:0]={{1,2},{3,4}}'",
                                             "'{{{1},{2}},{{3},{NULL}}}'",
                                             "'[-2147483648:-2147483647]={1,2}'",
                                             "'[2147483646:2147483646]={5}'",
                                             "'{{1,2}}'",
                                             NULL};
static const char *const gen_long_arrays[] = {
        "'{}'", "'{1,9223372036854775807}'", "'{NULL,2}'", "'{{1},{-2}}'", "'[5:6]={100,7}'", NULL};
static const char *const gen_num_arrays[] = {
        "'{}'", "'{1.50,NaN}'", "'{NULL,2.005}'", "'{{1.0},{-2.25}}'", "'{Infinity}'", NULL};
static const char *const gen_text_arrays[] = {"'{}'",
                                              "'{a}'",
                                              "'{a,b,NULL}'",
                                              "'{\"a b\",\"\",\"null\"}'",
                                              "E'{\"\\\\\\\"\",ä}'",
                                              "'{ab,A,abc}'",
                                              "'{NULL}'",
                                              NULL};

static const char *const gen_moods[] = {"'a'", "'ok'", "'Ä'", NULL};
static const char *const gen_mood_arrays[] = {
        "'{}'", "'{a}'", "'{ok,NULL,Ä}'", "'{{a,ok},{Ä,a}}'", "'[2:3]={ok,a}'", "'{NULL}'", NULL};

static const char *const gen_bytes[] = {
        "''", "'abc'", "E'\\\\x00ff'", "E'\\\\x'", "E'a\\\\\\\\b'", "E'\\\\001z'", "E'\\\\x61 62'",
        NULL};
static const char *const gen_jsons[] = {"'null'",
                                        "'1'",
                                        "'1.0'",
                                        "'1e2'",
                                        "'100.00'",
                                        "'-0'",
                                        "'\"a\"'",
                                        "E'\"\\\\u0061\"'",
                                        "E'\"\\\\u00e4\\\\ud83d\\\\ude00\\\\n\"'",
                                        "'true'",
                                        "'[]'",
                                        "'{}'",
                                        "'[1, 2.50, {\"b\":1,\"a\":2}]'",
                                        "'{\"b\": 1, \"a\": 2}'",
                                        "'{\"a\":2.0,\"b\":1}'",
                                        "'{\"a\":1,\"a\":2,\"b\":1}'",
                                        "'{\"aa\":null,\"b\":[[]]}'",
                                        "'[1]'",
                                        NULL};

/* where_oracle_moment.h makes them. */
static const char *const gen_moments[] = {"'2024-01-01'", NULL};

static const struct gen_column gen_columns[] = {
        {"id", "int4", "none", gen_ints},
        {"a2", "int2", "number", gen_ints},
        {"a4", "int4", "number", gen_ints4},
        {"b4", "int4", "number", gen_ints4},
        {"a8", "int8", "number", gen_ints8},
        {"f4", "float4", "number", gen_floats4},
        {"f8", "float8", "number", gen_floats8},
        {"n", "numeric", "number", gen_nums},
        {"n2", "numeric(30,3)", "number", gen_ints8},
        {"t", "text", "string", gen_texts},
        {"u", "text", "string", gen_texts},
        {"v", "varchar(10)", "string", gen_texts},
        {"c", "char(4)", "string", gen_texts},
        {"nm", "name", "string", gen_texts},
        {"p", "bool", "bool", gen_bools},
        {"q", "bool", "bool", gen_bools},
        {"id1", "uuid", "uuid", gen_uuids},
        {"id2", "uuid", "uuid", gen_uuids},
        {"d", "date", "time", gen_dates},
        {"d2", "date", "time", gen_dates},
        {"ts", "timestamp", "time", gen_stamps},
        {"tz", "timestamptz", "time", gen_stamps},
        {"ts2", "timestamp", "time", gen_stamps},
        {"tm", "time", "clock", gen_times},
        {"tm2", "time", "clock", gen_times},
        {"iv", "interval", "interval", gen_intervals},
        {"iv2", "interval", "interval", gen_intervals},
        {"ia", "int4[]", "ints", gen_int_arrays},
        {"ia2", "int4[]", "ints", gen_int_arrays},
        {"ta", "text[]", "texts", gen_text_arrays},
        {"ta2", "text[]", "texts", gen_text_arrays},
        {"en", "mood", "mood", gen_moods},
        {"en2", "mood", "mood", gen_moods},
        {"eo", "\"Mood 2\"", "mood", gen_moods},
        {"ea", "mood[]", "moods", gen_mood_arrays},
        {"ea2", "mood[]", "moods", gen_mood_arrays},
        {"nma", "name[]", "names", gen_text_arrays},
        {"la", "int8[]", "longs", gen_long_arrays},
        {"na", "numeric[]", "nums", gen_num_arrays},
        {"by", "bytea", "bytes", gen_bytes},
        {"by2", "bytea", "bytes", gen_bytes},
        {"js", "jsonb", "json", gen_jsons},
        {"js2", "jsonb", "json", gen_jsons},
        {"mt", "text", "moment", gen_moments},
        {"mv", "varchar", "moment", gen_moments},
        {"mc", "char(40)", "moment", gen_moments},
        {"mn", "name", "moment", gen_moments},
};

static inline uint32_t gen_n_columns(void)
{
        return sizeof(gen_columns) / sizeof(gen_columns[0]);
}
static inline const char *gen_column_name(uint32_t c)
{
        return gen_columns[c].name;
}
static inline const char *gen_column_type(uint32_t c)
{
        return gen_columns[c].type;
}

static inline uint32_t gen_below(struct gen *g, uint32_t n)
{
        g->state ^= g->state << 13;
        g->state ^= g->state >> 7;
        g->state ^= g->state << 17;
        return (uint32_t)((g->state >> 11) % n);
}

static inline bool gen_chance(struct gen *g, uint32_t percent)
{
        return gen_below(g, 100) < percent;
}

static inline void gen_init(struct gen *g, unsigned long seed)
{
        *g = (struct gen){.seed = seed ? seed - 1 : 0};
}

/* The next clause has a seed of its own, so that one seed repeats it. */
static inline void gen_start(struct gen *g)
{
        g->seed++;
        g->state = (g->seed + 1) * 0x9e3779b97f4a7c15u;
        g->depth = 0;
        for (int i = 0; i < 8; i++)
                (void)gen_below(g, 2);
}

static inline const char *gen_sample(struct gen *g, uint32_t column)
{
        uint32_t n = 0;
        while (gen_columns[column].samples[n])
                n++;
        return gen_columns[column].samples[gen_below(g, n)];
}

/* A time of the day, as a rule one at which time zones change. */
static inline void gen_clock(struct gen *g, const char *day, struct buf *out)
{
        uint32_t hour = gen_below(g, 24), minute = gen_below(g, 4) * 15;
        if (gen_chance(g, 70))
                hour %= 4;
        buf_printf(out, "'%s %02u:%02u:%02u%s'", day, hour, minute,
                   gen_chance(g, 70) ? 0 : gen_below(g, 60), gen_chance(g, 80) ? "" : ".999999");
}

/* On a day on which some time zone changes, or far from all of them. */
static inline void gen_moment(struct gen *g, struct buf *out)
{
        static const char *const days[] = {
                "2024-03-31", "2024-10-27", "2024-03-30", "2024-03-10", "2024-11-03", "2024-04-07",
                "2024-10-06", "2024-04-06", "2024-04-14", "2024-03-17", "2011-12-29", "2011-12-30",
                "2011-12-31", "2018-11-04", "2019-02-16", "2019-02-17", "1893-03-31", "1883-11-18",
                "1916-04-30", "1920-05-01", "1986-01-01", "2037-10-25", "2038-03-28", "2100-10-31",
                "2437-03-29", "9999-10-31", "6000-03-26", "1600-01-01"};
        gen_clock(g, days[gen_below(g, sizeof(days) / sizeof(days[0]))], out);
}

#endif
