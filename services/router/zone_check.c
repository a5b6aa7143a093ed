#include "services/router/zone_check.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/power_check.h"

/* In seconds from 1970; beyond LAST some to_timestamp() would round. */
#define FIRST        INT64_C(-210000000000)
#define LAST         INT64_C(500000000000)
#define WEEK         INT64_C(604800)
#define YEAR_1900    INT64_C(-2208988800)
#define YEAR_2038    INT64_C(2145916800)
#define YEAR_2100    INT64_C(4102444800)
#define YEAR_2440    INT64_C(14831769600)
#define SOME_CENTURY INT64_C(3061065601)

/* From 2100 on a rule alone makes the changes, two a year. */
enum { ARRAY_MAX_BYTES = 1 << 20, SOME_CHANGES = 7 };

/* What is asked, and what it should be: two arrays of numbers. */
struct question {
        struct buf at, is;
};

static const char sql[] =
        "SELECT (SELECT pg_catalog.count(*)"
        " FROM unnest($2::pg_catalog.float8[], $3::pg_catalog.float8[]) AS q(at, v)"
        " WHERE pg_catalog.timezone($1::pg_catalog.text, pg_catalog.to_timestamp(q.at))"
        " OPERATOR(pg_catalog.<>)"
        " pg_catalog.timezone('PT0S'::pg_catalog.interval, pg_catalog.to_timestamp(q.v))),"
        " (SELECT pg_catalog.count(*)"
        " FROM unnest($4::pg_catalog.float8[], $5::pg_catalog.float8[]) AS q(at, v)"
        " WHERE pg_catalog.timezone($1::pg_catalog.text,"
        " pg_catalog.timezone('PT0S'::pg_catalog.interval, pg_catalog.to_timestamp(q.at)))"
        " OPERATOR(pg_catalog.<>) pg_catalog.to_timestamp(q.v))";

static void question_init(struct question *q)
{
        buf_init(&q->at, ARRAY_MAX_BYTES);
        buf_init(&q->is, ARRAY_MAX_BYTES);
        buf_putc(&q->at, '{');
        buf_putc(&q->is, '{');
}

static void question_fini(struct question *q)
{
        buf_fini(&q->at);
        buf_fini(&q->is);
}

static void ask(struct question *q, int64_t at, int64_t is)
{
        const char *separator = q->at.len > 1 ? "," : "";
        buf_printf(&q->at, "%s%lld", separator, (long long)at);
        buf_printf(&q->is, "%s%lld", separator, (long long)is);
}

static void ask_utc(struct question *q, const struct tzif *z, int64_t at)
{
        if (at >= FIRST && at <= LAST)
                ask(q, at, at + tzif_east_at(z, at));
}

static void ask_local(struct question *q, const struct tzif *z, int64_t at)
{
        if (at >= FIRST && at <= LAST)
                ask(q, at, at - tzif_east_of_local(z, at));
}

/* The seconds on both sides of a change, and of the gap or the overlap that it makes. */
static void ask_change(struct question *utc, struct question *local, const struct tzif *z,
                       uint32_t i)
{
        int64_t at = z->at[i], before = i ? z->east[i - 1] : z->first, after = z->east[i];
        int64_t next = i + 1 < z->n ? z->at[i + 1] : at + WEEK;
        ask_utc(utc, z, at - 1);
        ask_utc(utc, z, at);
        ask_utc(utc, z, at / 2 + next / 2);
        ask_local(local, z, at + before - 1);
        ask_local(local, z, at + before);
        ask_local(local, z, at + (before + after) / 2);
        ask_local(local, z, at + after - 1);
        ask_local(local, z, at + after);
}

static void ask_all(struct question *utc, struct question *local, const struct tzif *z)
{
        for (uint32_t i = 0; i < z->n; i += z->at[i] < YEAR_2100 ? 1 : SOME_CHANGES)
                ask_change(utc, local, z, i);
        for (int64_t t = YEAR_1900; t < YEAR_2038; t += 2 * WEEK)
                ask_utc(utc, z, t);
        for (int64_t t = YEAR_2038; t < YEAR_2440; t += 17 * WEEK)
                ask_utc(utc, z, t);
        for (int64_t t = FIRST; t <= LAST; t += SOME_CENTURY) {
                ask_utc(utc, z, t);
                ask_local(local, z, t);
        }
        buf_putc(&utc->at, '}');
        buf_putc(&utc->is, '}');
        buf_putc(&local->at, '}');
        buf_putc(&local->is, '}');
}

/* "time zone … not recognized" */
static bool is_unknown(int err, const char *state)
{
        return err == ERR_DB && strcmp(state, "22023") == 0;
}

static int ask_database(PGconn *conn, const struct pgwait *w, const char *const *params,
                        bool *agrees, char state[6], struct buf *why)
{
        PGresult *res = NULL;
        int err = pgwait_exec(conn, w, sql, 5, params, &res, state, why);
        if (is_unknown(err, state)) {
                *agrees = false;
                return 0;
        }
        if (err)
                return err;
        SLUICE_ASSERT(PQntuples(res) == 1 && PQnfields(res) == 2);
        *agrees =
                strcmp(PQgetvalue(res, 0, 0), "0") == 0 && strcmp(PQgetvalue(res, 0, 1), "0") == 0;
        PQclear(res);
        return 0;
}

static int check_rules(PGconn *conn, const struct pgwait *w, const struct zone *z, bool *agrees,
                       char state[6], struct buf *why)
{
        struct question utc, local;
        struct buf name;
        buf_init(&name, ZONE_MAX_NAME + 1);
        question_init(&utc);
        question_init(&local);
        ask_all(&utc, &local, &z->rules);
        buf_put_slice(&name, z->name);
        SLUICE_ASSERT(buf_status(&utc.at) == 0 && buf_status(&local.at) == 0);
        const char *params[] = {buf_cstr(&name), buf_cstr(&utc.at), buf_cstr(&utc.is),
                                buf_cstr(&local.at), buf_cstr(&local.is)};
        int err = ask_database(conn, w, params, agrees, state, why);
        question_fini(&utc);
        question_fini(&local);
        buf_fini(&name);
        return err;
}

int zone_check(PGconn *conn, const struct pgwait *w, const struct zone *z, bool *agrees,
               char state[6], struct buf *why)
{
        return z->power ? power_check(conn, w, z->power, agrees, state, why)
                        : check_rules(conn, w, z, agrees, state, why);
}
