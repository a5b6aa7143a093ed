/* The index of shapes against its oracle: whatever the clauses and the rows, a change must be
 * reported to exactly those shapes, once, that evaluating every clause on both rows names. SEED
 * starts the randomness. */
#include "common/test/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/match.h"
#include "services/router/sample_table.h"

enum { OID = 16400, N_COLUMNS = 5, MAX_SHAPES = 200, TEXT_MAX = 1024 };

static const struct {
        const char *name, *type;
        uint32_t oid;
        const char *values[8]; /* as rows have them; some that Postgres would not print */
} columns[N_COLUMNS] = {
        {"id", "int4", 23, {"1", "2", "3", "4", "5", "6", "7", "-1"}},
        {"a", "int4", 23, {"1", "2", "3", "4", "5", "01", "zz", ""}},
        {"b", "text", 25, {"x", "y", "z", "", "X", "xx", "1", "it's"}},
        {"f", "bool", 16, {"t", "f", "t", "f", "t", "f", "", "?"}},
        {"n", "numeric", 1700, {"1", "1.0", "2.50", "NaN", "0", "-1", "3", "x"}},
};

static const char *const atoms[] = {
        "id = 3",
        "3 = id",
        "a = 1",
        "a = 2",
        "a IN (1, 2, 5)",
        "a IN (2, NULL)",
        "a IN (NULL)",
        "a NOT IN (1, 2)",
        "b = 'x'",
        "b = ''",
        "b = 'it''s'",
        "b IN ('x', 'y', 'z')",
        "f",
        "NOT f",
        "f = true",
        "f IS NOT TRUE",
        "a > 2",
        "b < 'y'",
        "a IS NULL",
        "b IS NOT NULL",
        "n = 1",
        "n = 2.5",
        "n IN (1, 3)",
        "a = id",
        "a BETWEEN 2 AND 4",
        "a IS NOT DISTINCT FROM 1",
        "true",
        "NULL",
};

static uint64_t seed;

static uint32_t below(uint32_t n)
{
        return (uint32_t)(test_random(&seed) % n);
}

static void put_atom(struct buf *out)
{
        buf_puts(out, atoms[below(sizeof(atoms) / sizeof(*atoms))]);
}

static void put_clause(struct buf *out)
{
        static const char *const words[] = {" AND ", " AND ", " AND ", " OR "};
        put_atom(out);
        for (uint32_t n = below(3); n > 0; n--) {
                buf_puts(out, words[below(4)]);
                if (below(6) == 0)
                        buf_puts(out, "NOT ");
                buf_putc(out, '(');
                put_atom(out);
                buf_putc(out, ')');
        }
}

static struct table *make_table(void)
{
        struct sample_column sample[N_COLUMNS];
        for (int i = 0; i < N_COLUMNS; i++)
                sample[i] = (struct sample_column){.name = columns[i].name,
                                                   .type = columns[i].type,
                                                   .type_mod = -1,
                                                   .pk = i == 0};
        struct table *t = sample_table("public", "t", sample, N_COLUMNS);
        for (int i = 0; i < N_COLUMNS; i++)
                t->columns[i].type_oid = columns[i].oid;
        return t;
}

/* ---- the shapes, and what the oracle evaluates for each */

struct world {
        struct match match;
        struct table *table;
        struct shape *shapes[MAX_SHAPES];
        struct where *oracle[MAX_SHAPES]; /* NULL: every row */
        uint32_t n, removing;             /* one in so many calls removes its shape; 0: none */
        uint32_t calls[MAX_SHAPES], n_calls;
        bool old_in[MAX_SHAPES], new_in[MAX_SHAPES];
};

static struct where *compile(const struct world *w, const char *text)
{
        struct where *where;
        struct buf why;
        buf_init(&why, TEXT_MAX);
        if (where_compile(slice_cstr(text), w->table, NULL, NULL, 0, &where, &why) != 0)
                fail_msg("%s: %s", text, buf_cstr(&why));
        buf_fini(&why);
        return where;
}

static void add_shape(struct world *w, const char *text)
{
        static const uint32_t some[] = {0, 1}, all[] = {0, 1, 2, 3, 4};
        bool wide = below(3) > 0;
        struct where *where = text ? compile(w, text) : NULL;
        struct view_spec spec = {.columns = wide ? all : some,
                                 .n_columns = wide ? 5 : 2,
                                 .replica = REPLICA_DEFAULT,
                                 .all_columns = wide,
                                 .where = where};
        struct view *view = match_view(&w->match, make_table(), &spec);
        struct clause *clause = where ? clause_new(where, w->table) : NULL;
        struct shape *s =
                shape_new(w->n, 1, slice_cstr(text ? text : ""), SLICE_EMPTY, clause, view);
        match_add(&w->match, s);
        w->oracle[w->n] = text ? compile(w, text) : NULL;
        w->shapes[w->n++] = s;
}

static void drop_shape(struct world *w, uint32_t i)
{
        match_remove(&w->match, w->shapes[i]);
        shape_free(w->shapes[i]);
        where_free(w->oracle[i]);
        w->shapes[i] = NULL;
        w->oracle[i] = NULL;
}

static void describe(struct world *w)
{
        struct buf encoded;
        struct change_column described[N_COLUMNS];
        for (int i = 0; i < N_COLUMNS; i++)
                described[i] = (struct change_column){slice_cstr(columns[i].name), columns[i].oid,
                                                      -1, true};
        struct change_relation r = {.oid = OID,
                                    .schema = SLICE_LIT("public"),
                                    .table = SLICE_LIT("t"),
                                    .replica_identity = 'f',
                                    .columns = described,
                                    .n_columns = N_COLUMNS};
        buf_init(&encoded, 4096);
        change_relation_encode(&encoded, &r);
        r.encoded = buf_slice(&encoded);
        match_relation(&w->match, &r);
        buf_fini(&encoded);
}

static void open_world(struct world *w, uint32_t n)
{
        *w = (struct world){.table = make_table()};
        match_init(&w->match);
        for (uint32_t i = 0; i < n; i++) {
                struct buf text;
                buf_init(&text, TEXT_MAX);
                put_clause(&text);
                add_shape(w, below(20) ? buf_cstr(&text) : NULL);
                buf_fini(&text);
        }
        describe(w);
}

static void close_world(struct world *w)
{
        for (uint32_t i = 0; i < w->n; i++)
                if (w->shapes[i])
                        drop_shape(w, i);
        match_fini(&w->match);
        table_free(w->table);
}

/* ---- changes */

static void random_row(struct change_value *values)
{
        for (int i = 0; i < N_COLUMNS; i++) {
                values[i] = (struct change_value){.kind = VALUE_NULL};
                if (below(7) > 0 || i == 0)
                        values[i] = (struct change_value){VALUE_TEXT,
                                                          slice_cstr(columns[i].values[below(8)])};
        }
}

/* As the stream has it: what an update did not touch may be missing. */
static void leave_out(const struct change_value *old_row, struct change_value *new_row)
{
        for (int i = 1; i < N_COLUMNS; i++)
                if (old_row[i].kind == VALUE_TEXT && below(4) == 0)
                        new_row[i] = (struct change_value){.kind = VALUE_SAME};
}

static bool oracle_has(const struct world *w, uint32_t i, const struct change_value *values)
{
        return values && (!w->oracle[i] ||
                          where_eval(w->oracle[i], (struct row){values, N_COLUMNS}) == WHERE_TRUE);
}

static void on_match(void *arg, const struct match_rows *rows, struct shape *s, bool old_in,
                     bool new_in)
{
        struct world *w = arg;
        (void)rows;
        w->calls[s->id]++;
        w->n_calls++;
        w->old_in[s->id] = old_in;
        w->new_in[s->id] = new_in;
}

/* Removes what was called for, as a change that cannot be logged does. */
static void on_match_remove(void *arg, const struct match_rows *rows, struct shape *s, bool old_in,
                            bool new_in)
{
        struct world *w = arg;
        on_match(arg, rows, s, old_in, new_in);
        if (below(w->removing) == 0)
                match_remove(&w->match, s);
}

static void check(struct world *w, const struct change_value *old_row,
                  const struct change_value *new_row)
{
        struct change_value resolved[N_COLUMNS];
        for (int i = 0; new_row && i < N_COLUMNS; i++)
                resolved[i] = new_row[i].kind == VALUE_SAME ? old_row[i] : new_row[i];
        for (uint32_t i = 0; i < w->n; i++) {
                if (!w->shapes[i])
                        continue;
                bool was = oracle_has(w, i, old_row),
                     is = oracle_has(w, i, new_row ? resolved : NULL);
                if (w->calls[i] != (was || is) ||
                    (w->calls[i] && (w->old_in[i] != was || w->new_in[i] != is)))
                        fail_msg("%.*s: called %u times with %d %d, in is %d %d",
                                 SLICE_FMT(w->shapes[i]->definition), w->calls[i], w->old_in[i],
                                 w->new_in[i], was, is);
        }
}

static void random_change(struct world *w)
{
        struct change_value old_row[N_COLUMNS], new_row[N_COLUMNS];
        enum change_kind kind = (enum change_kind[]){CHANGE_INSERT, CHANGE_UPDATE, CHANGE_UPDATE,
                                                     CHANGE_DELETE}[below(4)];
        random_row(old_row);
        random_row(new_row);
        if (kind == CHANGE_UPDATE)
                leave_out(old_row, new_row);
        struct change c = {.kind = kind, .relation_oid = OID};
        if (kind != CHANGE_INSERT)
                c.old_row = (struct change_tuple){old_row, N_COLUMNS};
        if (kind != CHANGE_DELETE)
                c.new_row = (struct change_tuple){new_row, N_COLUMNS};
        memset(w->calls, 0, sizeof(w->calls));
        assert_int_equal(
                match_change(&w->match, &c, NULL, w->removing ? on_match_remove : on_match, w), 0);
        check(w, kind == CHANGE_INSERT ? NULL : old_row, kind == CHANGE_DELETE ? NULL : new_row);
}

static void test_oracle(void **state)
{
        enum { WORLDS = 30, CHANGES = 300 };
        (void)state;
        for (int i = 0; i < WORLDS; i++) {
                struct world w;
                open_world(&w, 1 + below(MAX_SHAPES - 1));
                for (int k = 0; k < CHANGES; k++)
                        random_change(&w);
                close_world(&w);
        }
}

/* Shapes come, go between changes, and go while a change is being matched. */
static void test_oracle_with_removal(void **state)
{
        enum { WORLDS = 30, CHANGES = 60, ONE_IN = 10 };
        (void)state;
        for (int i = 0; i < WORLDS; i++) {
                struct world w;
                open_world(&w, MAX_SHAPES);
                w.removing = ONE_IN;
                for (int k = 0; k < CHANGES; k++) {
                        random_change(&w);
                        for (uint32_t s = 0; s < w.n; s++) {
                                struct shape *shape = w.shapes[s];
                                if (shape && list_empty(&shape->in_view)) {
                                        shape_free(shape);
                                        where_free(w.oracle[s]);
                                        w.shapes[s] = NULL;
                                        w.oracle[s] = NULL;
                                } else if (shape && below(100) == 0) {
                                        drop_shape(&w, s);
                                }
                        }
                        describe(&w);
                        if (!match_topic(&w.match, OID))
                                break;
                }
                close_world(&w);
        }
}

/* A change finds its shape among many without looking at the others. */
static void test_only_candidates(void **state)
{
        struct world w = {.table = make_table()};
        (void)state;
        match_init(&w.match);
        for (uint32_t i = 0; i < MAX_SHAPES; i++) {
                char text[64];
                snprintf(text, sizeof(text), i % 2 ? "b = 'v%u'" : "b = 'v%u' AND a > 0", i);
                add_shape(&w, text);
        }
        describe(&w);
        struct change_value row[N_COLUMNS] = {[2] = {VALUE_TEXT, SLICE_LIT("v7")}};
        struct change c = {.kind = CHANGE_INSERT, .relation_oid = OID, .new_row = {row, N_COLUMNS}};
        for (int i = 0; i < N_COLUMNS; i++)
                if (i != 2)
                        row[i] = (struct change_value){VALUE_TEXT, SLICE_LIT("1")};
        assert_int_equal(match_change(&w.match, &c, NULL, on_match, &w), 0);
        assert_int_equal(w.n_calls, 1);
        assert_true(w.calls[7] == 1 && w.new_in[7] && !w.old_in[7]);
        for (uint32_t i = 0; i < MAX_SHAPES; i++) {
                const struct clause *clause = w.shapes[i]->clause;
                assert_true(clause->indexed && clause->column == 2);
                assert_int_equal(clause->where != NULL, i % 2 == 0);
                assert_int_equal(clause->turn != 0, i == 7);
        }
        close_world(&w);
}

/* A truncate, and a change without its old row, concern every shape whatever its clause. */
static void test_unjudged(void **state)
{
        struct world w;
        (void)state;
        open_world(&w, 50);
        struct change c = {.kind = CHANGE_TRUNCATE, .relation_oid = OID};
        assert_int_equal(match_change(&w.match, &c, NULL, on_match, &w), 0);
        assert_int_equal(w.n_calls, 50);
        struct change_value row[N_COLUMNS];
        random_row(row);
        c = (struct change){
                .kind = CHANGE_UPDATE, .relation_oid = OID, .new_row = {row, N_COLUMNS}};
        assert_int_equal(match_change(&w.match, &c, NULL, on_match, &w), 0);
        assert_int_equal(w.n_calls, 100);
        close_world(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_oracle),
                cmocka_unit_test(test_oracle_with_removal),
                cmocka_unit_test(test_only_candidates),
                cmocka_unit_test(test_unjudged),
        };
        const char *text = getenv("SEED");
        seed = text ? strtoull(text, NULL, 10) : 7;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
