#include "services/router/power_check.h"

#include <string.h>

#include "common/base/assert.h"
#include "services/router/where_fn.h"

enum { VERSION_16 = 160000, ARRAY_MAX_BYTES = 1 << 20 };

static const char *const bases[] = {
        "2",
        "10",
        "1.5",
        "0.5",
        "7.00",
        "-3",
        "0.001",
        "1.1",
        "0.9",
        "1.000001",
        "0.999999",
        "12345.6",
        "99999",
        "123456789.123456789",
        "0.0000000123",
        "3.14159265358979323846264338327950288",
        "-0.75",
        "1e20",
};
static const char *const exponents[] = {
        "2",        "3",
        "-1",       "-5",
        "0.5",      "-0.5",
        "1.5",      "17",
        "25.0",     "0.3333333333",
        "-2.75",    "60",
        "-41",      "100",
        "0.000001", "1",
        "0",        "8.000000000000000000000",
};

static const char sql[] =
        "SELECT pg_catalog.count(*) FROM unnest($1::pg_catalog.numeric[], $2::pg_catalog.numeric[],"
        " $3::pg_catalog.text[]) AS q(a, b, v)"
        " WHERE (q.a OPERATOR(pg_catalog.^) q.b)::pg_catalog.text OPERATOR(pg_catalog.<>) q.v";

enum where_power_rules power_rules_of(const PGconn *conn)
{
        return PQserverVersion(conn) >= VERSION_16 ? POWER_BY_WEIGHT : POWER_BY_SCALE;
}

static void read_num(const char *text, struct where_scratch *s, struct where_value *out)
{
        int err = where_value_read(WT_NUMERIC, slice_cstr(text), s, out);
        SLUICE_ASSERT(err == 0);
}

/* What has no power is not asked for. */
static void ask(const char *base, const char *exponent, enum where_power_rules rules,
                struct buf lists[3])
{
        struct where_scratch scratch;
        struct where_ctx c = {.scratch = &scratch, .power = rules};
        struct where_value args[2], result = {0};
        where_scratch_init(&scratch);
        read_num(base, &scratch, &args[0]);
        read_num(exponent, &scratch, &args[1]);
        if (where_num_power(&c, args, &result)) {
                for (int i = 0; i < 3; i++)
                        buf_puts(&lists[i], lists[i].len ? "," : "{");
                buf_puts(&lists[0], base);
                buf_puts(&lists[1], exponent);
                where_value_print(WT_NUMERIC, &result, &lists[2]);
        }
        where_scratch_fini(&scratch);
}

int power_check(PGconn *conn, const struct pgwait *w, enum where_power_rules rules, bool *agrees,
                char state[6], struct buf *why)
{
        struct buf lists[3];
        PGresult *res = NULL;
        for (int i = 0; i < 3; i++)
                buf_init(&lists[i], ARRAY_MAX_BYTES);
        for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
                for (size_t k = 0; k < sizeof(exponents) / sizeof(exponents[0]); k++)
                        ask(bases[i], exponents[k], rules, lists);
        for (int i = 0; i < 3; i++) {
                buf_putc(&lists[i], '}');
                SLUICE_ASSERT(buf_status(&lists[i]) == 0);
        }
        const char *params[] = {buf_cstr(&lists[0]), buf_cstr(&lists[1]), buf_cstr(&lists[2])};
        int err = pgwait_exec(conn, w, sql, 3, params, &res, state, why);
        if (!err) {
                SLUICE_ASSERT(PQntuples(res) == 1 && PQnfields(res) == 1);
                *agrees = strcmp(PQgetvalue(res, 0, 0), "0") == 0;
                PQclear(res);
        }
        for (int i = 0; i < 3; i++)
                buf_fini(&lists[i]);
        return err;
}
