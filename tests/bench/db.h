/* The benchmark's door to libpq: statements that must work, an asynchronous writer, and what a run
 * creates and drops. */
#ifndef TESTS_BENCH_DB_H
#define TESTS_BENCH_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/net.h"

struct bench;

struct db {
        PGconn *conn;
        const char *url;
};

/* Connects with synchronous_commit=on. Fails the run when that does not work. */
struct db *db_open(const char *url);
void db_close(struct db *db);
/* Any statement; fails the run on an error. */
void db_exec(struct db *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* First column of the first row as text, "" when there is none. Heap, the caller frees. */
char *db_text(struct db *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t db_number(struct db *db, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The run's schema and publication. Safe to call when they are there. */
void db_create_schema(struct bench *b);
/* Creates `<schema>.<table>` = items(id, grp, name, payload), adds it to the publication and loads
 * `rows` rows with ids 1 … rows; analysed and with hint bits set, so that the first reader pays for
 * nothing but reading. */
void db_create_items(struct bench *b, const char *table, uint64_t rows);
/* Drops everything that carries the name, waiting for slots to be released. Reports what it could
 * not do on stderr. */
void db_drop_run(const char *url, const char *name);

/* The expression of a row's payload in SQL: `stamp` digits, then filler to about 180 bytes. */
#define DB_PAYLOAD(stamp) "(" stamp ")::text || ' ' || repeat('0123456789abcdef', 9)"

/* Statements sent without waiting, one at a time. */
struct writer {
        PGconn *conn;
        struct net *net;
        struct net_source source;
        bool busy;
        uint64_t sent_ns;
        void (*on_done)(void *arg, uint64_t took_ns); /* may send the next */
        void *arg;
};

void writer_open(struct writer *w, struct net *n, const char *url,
                 void (*on_done)(void *arg, uint64_t took_ns), void *arg);
void writer_close(struct writer *w);
/* Not while busy. */
void writer_send(struct writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prepared `insert into <table>`; one row with the present time as its stamp. Returns the stamp. */
void writer_prepare_insert(struct writer *w, const char *table);
uint64_t writer_insert(struct writer *w, uint64_t id, uint64_t grp, const char *name);

#endif
