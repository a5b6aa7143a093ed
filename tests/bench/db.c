#include "tests/bench/db.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"

enum { SQL_BYTES = 8192 };

struct db *db_open(const char *url)
{
        struct db *db = mem_new(struct db);
        db->url = url;
        db->conn = PQconnectdb(url);
        if (PQstatus(db->conn) != CONNECTION_OK)
                fail("database: %s", PQerrorMessage(db->conn));
        db_exec(db, "set client_min_messages = error");
        db_exec(db, "set synchronous_commit = on");
        return db;
}

void db_close(struct db *db)
{
        PQfinish(db->conn);
        mem_free(db);
}

static PGresult *run(struct db *db, const char *fmt, va_list ap)
{
        char sql[SQL_BYTES];
        int n = vsnprintf(sql, sizeof sql, fmt, ap);
        SLUICE_ASSERT(n >= 0 && n < (int)sizeof sql);
        PGresult *res = PQexec(db->conn, sql);
        ExecStatusType status = PQresultStatus(res);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
                fail("database: %.200s: %s", sql, PQresultErrorMessage(res));
        return res;
}

void db_exec(struct db *db, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        PQclear(run(db, fmt, ap));
        va_end(ap);
}

static char *first_value(PGresult *res)
{
        const char *text = PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "";
        size_t n = strlen(text) + 1;
        char *copy = mem_array(n, 1);
        memcpy(copy, text, n);
        PQclear(res);
        return copy;
}

char *db_text(struct db *db, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        char *text = first_value(run(db, fmt, ap));
        va_end(ap);
        return text;
}

uint64_t db_number(struct db *db, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        char *text = first_value(run(db, fmt, ap));
        va_end(ap);
        uint64_t v = strtoull(text, NULL, 10);
        mem_free(text);
        return v;
}

void db_create_schema(struct bench *b)
{
        db_exec(b->db, "create schema if not exists %s", b->name);
        if (db_number(b->db, "select count(*) from pg_publication where pubname = '%s'", b->name) ==
            0)
                db_exec(b->db, "create publication %s", b->name);
}

void db_create_items(struct bench *b, const char *table, uint64_t rows)
{
        db_create_schema(b);
        db_exec(b->db, "create table %s.%s (id int primary key, grp int, name text, payload text)",
                b->name, table);
        db_exec(b->db, "alter table %s.%s replica identity full", b->name, table);
        db_exec(b->db, "alter publication %s add table %s.%s", b->name, b->name, table);
        if (rows)
                db_exec(b->db,
                        "insert into %s.%s select i, i %% 1000, 'name ' || i, " DB_PAYLOAD(
                                "0") " from generate_series(1, %llu) i",
                        b->name, table, (unsigned long long)rows);
        db_exec(b->db, "vacuum (analyze, freeze) %s.%s", b->name, table);
}

static void drop(PGconn *conn, const char *sql)
{
        PGresult *res = PQexec(conn, sql);
        ExecStatusType status = PQresultStatus(res);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
                fprintf(stderr, "sluice-bench: clean-up: %s", PQresultErrorMessage(res));
        PQclear(res);
}

void db_drop_run(const char *url, const char *name)
{
        char sql[1024];
        PGconn *conn = PQconnectdb(url);
        if (PQstatus(conn) != CONNECTION_OK) {
                fprintf(stderr, "sluice-bench: clean-up: %s", PQerrorMessage(conn));
                PQfinish(conn);
                return;
        }
        drop(conn, "set client_min_messages = error");
        snprintf(sql, sizeof sql,
                 "do $$ declare s record; begin "
                 "for s in select slot_name, active_pid from pg_replication_slots where slot_name "
                 "^@ '%s_' loop "
                 "if s.active_pid is not null then perform pg_terminate_backend(s.active_pid, "
                 "5000); end if; "
                 "perform pg_drop_replication_slot(slot_name) from pg_replication_slots where "
                 "slot_name = s.slot_name; "
                 "end loop; end $$",
                 name);
        drop(conn, sql);
        snprintf(sql, sizeof sql, "drop publication if exists %s", name);
        drop(conn, sql);
        snprintf(sql, sizeof sql, "drop schema if exists %s cascade", name);
        drop(conn, sql);
        PQfinish(conn);
}

static void writer_ready(void *arg, uint32_t events)
{
        (void)events;
        struct writer *w = arg;
        if (!PQconsumeInput(w->conn))
                fail("writer: %s", PQerrorMessage(w->conn));
        while (w->busy && !PQisBusy(w->conn)) {
                PGresult *res = PQgetResult(w->conn);
                if (!res) {
                        w->busy = false;
                        w->on_done(w->arg, now_ns() - w->sent_ns);
                        continue;
                }
                if (PQresultStatus(res) != PGRES_COMMAND_OK &&
                    PQresultStatus(res) != PGRES_TUPLES_OK)
                        fail("writer: %s", PQresultErrorMessage(res));
                PQclear(res);
        }
}

void writer_open(struct writer *w, struct net *n, const char *url,
                 void (*on_done)(void *arg, uint64_t took_ns), void *arg)
{
        *w = (struct writer){.net = n, .on_done = on_done, .arg = arg};
        w->conn = PQconnectdb(url);
        if (PQstatus(w->conn) != CONNECTION_OK)
                fail("database: %s", PQerrorMessage(w->conn));
        PQclear(PQexec(w->conn, "set synchronous_commit = on"));
        w->source =
                (struct net_source){.fd = PQsocket(w->conn), .on_ready = writer_ready, .arg = w};
        net_add(n, &w->source, EPOLLIN);
}

void writer_close(struct writer *w)
{
        net_remove(w->net, &w->source);
        PQfinish(w->conn);
        w->conn = NULL;
}

void writer_send(struct writer *w, const char *fmt, ...)
{
        char sql[SQL_BYTES];
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(sql, sizeof sql, fmt, ap);
        va_end(ap);
        SLUICE_ASSERT(n >= 0 && n < (int)sizeof sql);
        SLUICE_ASSERT(!w->busy);
        w->busy = true;
        w->sent_ns = now_ns();
        if (!PQsendQuery(w->conn, sql))
                fail("writer: %s", PQerrorMessage(w->conn));
}

void writer_prepare_insert(struct writer *w, const char *table)
{
        char sql[SQL_BYTES];
        snprintf(sql, sizeof sql,
                 "insert into %s values ($1::int, $2::int, $3, " DB_PAYLOAD("$4::bigint") ")",
                 table);
        PGresult *res = PQprepare(w->conn, "", sql, 0, NULL);
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
                fail("writer: %s", PQresultErrorMessage(res));
        PQclear(res);
}

uint64_t writer_insert(struct writer *w, uint64_t id, uint64_t grp, const char *name)
{
        char texts[3][24];
        uint64_t stamp = now_ns();
        snprintf(texts[0], sizeof texts[0], "%llu", (unsigned long long)id);
        snprintf(texts[1], sizeof texts[1], "%llu", (unsigned long long)grp);
        snprintf(texts[2], sizeof texts[2], "%llu", (unsigned long long)stamp);
        const char *values[] = {texts[0], texts[1], name, texts[2]};
        SLUICE_ASSERT(!w->busy);
        w->busy = true;
        w->sent_ns = stamp;
        if (!PQsendQueryPrepared(w->conn, "", 4, values, NULL, NULL, 0))
                fail("writer: %s", PQerrorMessage(w->conn));
        return stamp;
}
