/* One thread asks, because a look-up is one short statement and rare: definitions are cached by the
 * edges and shapes live long, and one look answers all who wait for the same table. What a waiting
 * client must not suffer from is a database that does not answer. So every statement has a deadline
 * on this side, and when no connection can be made everybody who waits is told at once instead of
 * one by one. */
#include "services/router/catalog.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/hmap.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/pg/pg.h"
#include "services/router/catalog_glance.h"
#include "services/router/catalog_query.h"
#include "services/router/catalog_verdict.h"
#include "services/router/power_check.h"
#include "services/router/zone_check.h"

enum { CATALOG_MAGIC = 0xca7a1061, WHY_MAX_BYTES = 1024 };
enum {
        IDLE_CLOSE_MS = 30000,
        WATCH_SLICE = 500, /* oids asked for in one statement */
        SEEN_SPARE = 1000,
        ALIKE_MAX = 256, /* requests that are looked through for others of the same table */
        FRESH_MS = 10000,
        GLANCE_REST = 4,        /* so many times as long as a glance takes, none follows */
        GLANCE_FAILED_MS = 5000 /* after one that failed */
};

struct request {
        struct list node;
        struct slice definition; /* owned */
        catalog_callback *cb;
        void *arg;
};

/* What a table looked like at the last glance. A shape that is about to be made of what a look-up
 * found cannot be told of what happened since; so the table is looked at again for a while. */
struct seen {
        struct glance glance;
        uint64_t fresh_until_ms;
};

struct catalog {
        uint32_t magic;
        struct catalog_options options; /* strings owned */
        pthread_t thread;
        int close_fd; /* readable once catalog_close() was called */

        /* Under the lock. */
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct list queue;
        uint32_t n_queue;
        bool closing;
        struct hmap watched; /* oid -> how often it was added */
        struct hmap looks;   /* oids to look at soon */
        bool zones_wanted;   /* catalog_check_zones() */
        struct catalog_periods watch;
        catalog_drift_callback *drift;
        void *drift_arg;
        catalog_zone_callback *zone_differs;
        void *zone_arg;

        /* The worker's. */
        PGconn *conn;
        bool zones_unknown; /* none was checked since the connection was made */
        bool unreachable; /* the database did not answer when it was last asked; the log says so */
        uint64_t idle_at_ms, watch_at_ms, look_at_ms;
        struct hmap seen; /* oid -> struct seen, owned */
};

/* ---- the connection */

static void disconnect(struct catalog *c)
{
        PQfinish(c->conn);
        c->conn = NULL;
}

static void note_reachable(struct catalog *c, int err, const struct buf *why)
{
        bool unreachable = err != 0;
        if (unreachable && !c->unreachable)
                log_warning("catalog_unreachable", "%.*s", SLICE_FMT(buf_slice(why)));
        c->unreachable = unreachable;
}

/* Rounded up: a second is the unit of a connection's deadline. */
static uint32_t seconds_until(uint64_t deadline_ms)
{
        uint64_t now = clock_mono_ms();
        return deadline_ms > now ? (uint32_t)((deadline_ms - now + 999) / 1000) : 1;
}

static int connect_database(struct catalog *c, uint64_t deadline_ms, struct buf *why)
{
        struct pg_options o = {.url = c->options.database_url,
                               .ca_file = c->options.ca_file,
                               .application_name = "sluice-catalog",
                               .kind = PG_NORMAL,
                               .connect_timeout_s = seconds_until(deadline_ms),
                               .statement_timeout_ms = c->options.timeout_ms,
                               .lock_timeout_ms = c->options.timeout_ms};
        int err = pg_connect(&o, &c->conn, NULL, why);
        if (!err)
                err = pgwait_adopt(c->conn);
        if (err)
                disconnect(c);
        c->zones_unknown = true;
        note_reachable(c, err, why);
        return err;
}

static struct pgwait wait_until(const struct catalog *c, uint64_t deadline_ms)
{
        return (struct pgwait){.deadline_ms = deadline_ms, .wake_fd = c->close_fd};
}

/* Class 22: a name is no text in the database's encoding. The client's mistake, not worth a line.
 */
static bool is_bad_name(int err, const char *state)
{
        return err == ERR_DB && state[0] == '2' && state[1] == '2';
}

/* The statement's own failure leaves the connection usable, anything else does not. */
static void after_statement(struct catalog *c, int err, const char *state, const struct buf *why)
{
        if (err == 0 || err == ERR_NOTFOUND || is_bad_name(err, state))
                return;
        log_warning("catalog_query_failed", "%s %.*s", state, SLICE_FMT(buf_slice(why)));
        if (err == ERR_DB)
                return;
        if (err == ERR_TIMEOUT)
                c->unreachable = true; /* until a new connection shows the contrary */
        disconnect(c);
}

/* The rules of time zones that the server has read once would stay. */
static int connect_anew(struct catalog *c)
{
        bool unknown = c->zones_unknown || !c->conn;
        struct buf why;
        buf_init(&why, WHY_MAX_BYTES);
        disconnect(c);
        int err = connect_database(c, clock_mono_ms() + c->options.timeout_ms, &why);
        buf_fini(&why);
        c->zones_unknown = unknown; /* the old one was no worse */
        return err;
}

/* ---- look-ups */

static struct seen *seen_of(struct catalog *c, uint32_t oid)
{
        struct seen *s = hmap_find(&c->seen, HMAP_KEY(oid));
        if (!s) {
                s = mem_new(struct seen);
                (void)hmap_put(&c->seen, HMAP_KEY(oid), s);
        }
        return s;
}

static int query_table(struct catalog *c, const struct definition *d, uint64_t deadline_ms,
                       struct table **out, char state[6])
{
        struct pgwait w = wait_until(c, deadline_ms);
        struct buf why;
        buf_init(&why, WHY_MAX_BYTES);
        int err = catalog_query_name(c->conn, &w, d->schema, d->table, out, state, &why);
        after_statement(c, err, state, &why);
        buf_fini(&why);
        return err;
}

/* A connection that was open before may have died unnoticed; then a new one is tried, once. */
static int find_table(struct catalog *c, const struct definition *d, struct table **out,
                      char state[6])
{
        uint64_t deadline_ms = clock_mono_ms() + c->options.timeout_ms;
        bool reused = c->conn != NULL;
        struct buf why;
        buf_init(&why, WHY_MAX_BYTES);
        int err = reused ? 0 : connect_database(c, deadline_ms, &why);
        if (!err)
                err = query_table(c, d, deadline_ms, out, state);
        if (err == ERR_CLOSED && reused) {
                err = connect_database(c, deadline_ms, &why);
                if (!err)
                        err = query_table(c, d, deadline_ms, out, state);
        }
        buf_fini(&why);
        return err;
}

/* Of each zone of the set: *other is one of which the database has other rules, NULL: none. */
static int check_zones(struct catalog *c, const struct zone_set *zones, const struct zone **other)
{
        struct pgwait w = wait_until(c, clock_mono_ms() + c->options.timeout_ms);
        struct buf why;
        char state[6] = "";
        int err = 0;
        buf_init(&why, WHY_MAX_BYTES);
        *other = NULL;
        for (uint32_t i = 0; !err && i < zones->n && !*other; i++) {
                bool agrees = true;
                err = zone_check(c->conn, &w, zones->zones[i], &agrees, state, &why);
                if (!err && !agrees)
                        *other = zones->zones[i];
        }
        after_statement(c, err, state, &why);
        buf_fini(&why);
        return err;
}

/* The clause is good if the database has the same rules. */
static void judge_zones(struct catalog *c, struct catalog_answer *answer)
{
        const struct zone_set *zones = answer->where ? where_zones(answer->where) : NULL;
        const struct zone *other = NULL;
        if (answer->status != 0 || !zones)
                return;
        int err = connect_anew(c);
        if (!err) {
                where_assume_power(answer->where, power_rules_of(c->conn));
                err = check_zones(c, zones, &other);
        }
        if (err)
                catalog_unreachable(answer);
        else if (other)
                catalog_refuse_zone(answer, other);
}

/* `err`, `state`, `table`: what the look at its table has brought. */
static void judge(struct catalog *c, const struct definition *d, int err, const char *state,
                  const struct table *table, struct catalog_answer *answer)
{
        if (err == ERR_NOTFOUND || is_bad_name(err, state)) {
                catalog_refuse_table(answer, d);
                return;
        }
        if (err) {
                catalog_unreachable(answer);
                return;
        }
        catalog_judge(d, table, answer);
        judge_zones(c, answer);
        if (answer->status != 0)
                return;
        seen_of(c, table->oid)->fresh_until_ms = clock_mono_ms() + FRESH_MS;
        answer->table = table_dup(table);
        table_forget_labels(answer->table);
}

static void answer_request(struct request *r, struct catalog_answer *answer)
{
        r->cb(r->arg, answer);
        mem_free((void *)(uintptr_t)r->definition.p);
        mem_free(r);
}

static void refuse_request(struct request *r)
{
        struct catalog_answer answer;
        catalog_answer_init(&answer);
        catalog_unreachable(&answer);
        answer_request(r, &answer);
}

static struct request *take_request(struct catalog *c)
{
        struct list *node = list_pop_front(&c->queue);
        if (!node)
                return NULL;
        c->n_queue--;
        return LIST_OBJ(node, struct request, node);
}

static void refuse_waiting(struct catalog *c)
{
        struct request *r;
        for (;;) {
                pthread_mutex_lock(&c->lock);
                r = take_request(c);
                pthread_mutex_unlock(&c->lock);
                if (!r)
                        return;
                refuse_request(r);
        }
}

/* Those that wait for the same table, in the order in which they came: one look answers them all,
 * because it is taken after they came. Not those that come meanwhile. */
static void take_alike(struct catalog *c, const struct definition *d, struct list *alike)
{
        uint32_t looked = 0;
        pthread_mutex_lock(&c->lock);
        for (struct list *n = c->queue.next, *next; n != &c->queue && looked < ALIKE_MAX;
             n = next) {
                struct definition other;
                next = n->next;
                looked++;
                if (definition_decode(LIST_OBJ(n, struct request, node)->definition, &other) != 0)
                        continue;
                if (slice_eq(other.schema, d->schema) && slice_eq(other.table, d->table)) {
                        list_remove(n);
                        list_push_back(alike, n);
                        c->n_queue--;
                }
                definition_fini(&other);
        }
        pthread_mutex_unlock(&c->lock);
}

static void serve_alike(struct catalog *c, const struct definition *first, struct list *requests)
{
        char state[6] = "";
        struct table *table = NULL;
        int err = find_table(c, first, &table, state);
        for (struct list *n; (n = list_pop_front(requests));) {
                struct request *r = LIST_OBJ(n, struct request, node);
                struct catalog_answer answer;
                struct definition d;
                catalog_answer_init(&answer);
                int decoded = definition_decode(r->definition, &d);
                SLUICE_ASSERT(decoded == 0);
                judge(c, &d, err, state, table, &answer);
                definition_fini(&d);
                answer_request(r, &answer);
        }
        table_free(table);
}

static void serve(struct catalog *c, struct request *r)
{
        struct catalog_answer answer;
        struct definition d;
        struct list requests;
        /* who is answered frees the request, and d borrows from it */
        struct slice definition = slice_dup(r->definition);
        if (definition_decode(definition, &d) != 0) {
                catalog_answer_init(&answer);
                catalog_refuse_definition(&answer);
                answer_request(r, &answer);
        } else {
                list_init(&requests);
                list_push_back(&requests, &r->node);
                take_alike(c, &d, &requests);
                serve_alike(c, &d, &requests);
                definition_fini(&d);
        }
        mem_free((void *)(uintptr_t)definition.p);
}

/* ---- the reconciler */

static int by_value(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
        return (x > y) - (x < y);
}

/* The keys of a set, ascending; the caller's to free. */
static uint32_t *oids_of(struct catalog *c, struct hmap *set, uint32_t *n)
{
        struct slice key;
        size_t cursor = 0;
        pthread_mutex_lock(&c->lock);
        uint32_t *oids = mem_array(hmap_count(set), sizeof(*oids));
        *n = 0;
        while (hmap_next(set, &cursor, &key))
                memcpy(&oids[(*n)++], key.p, sizeof(*oids));
        pthread_mutex_unlock(&c->lock);
        qsort(oids, *n, sizeof(*oids), by_value);
        return oids;
}

static bool is_news(const struct catalog *c, const struct glance *g, uint64_t now_ms)
{
        const struct seen *s = hmap_find(&c->seen, HMAP_KEY(g->oid));
        return !s || now_ms < s->fresh_until_ms || s->glance.print != g->print ||
               s->glance.member != g->member || s->glance.hidden != g->hidden;
}

static void forget(struct catalog *c, uint32_t oid)
{
        mem_free(hmap_take(&c->seen, HMAP_KEY(oid)));
}

static void forget_all(struct catalog *c)
{
        size_t cursor = 0;
        struct slice key;
        for (void *s; (s = hmap_next(&c->seen, &cursor, &key));)
                mem_free(s);
        hmap_fini(&c->seen);
        hmap_init(&c->seen);
}

/* One table that looks other than before; `table` NULL: it went between glance and look. */
static void report(struct catalog *c, const struct glance *g, struct table *table,
                   uint64_t asked_ms)
{
        if (table) {
                table->asked_ms = asked_ms;
                table->member = g->member;
                table->hidden = g->hidden;
                seen_of(c, g->oid)->glance = *g;
        } else {
                forget(c, g->oid);
        }
        c->drift(c->drift_arg, g->oid, !table, table);
}

static int look_at(struct catalog *c, const struct pgwait *w, const struct glance *news, uint32_t n,
                   uint64_t asked_ms, char state[6], struct buf *why)
{
        struct catalog_tables found;
        uint32_t *oids = mem_array(n, sizeof(*oids)), at = 0;
        for (uint32_t i = 0; i < n; i++)
                oids[i] = news[i].oid;
        int err = catalog_query_oids(c->conn, w, oids, n, &found, state, why);
        mem_free(oids);
        if (err)
                return err;
        for (uint32_t i = 0; i < n; i++) {
                bool there = at < found.n && found.tables[at]->oid == news[i].oid;
                report(c, &news[i], there ? found.tables[at++] : NULL, asked_ms);
        }
        SLUICE_ASSERT(at == found.n);
        catalog_tables_fini(&found);
        return 0;
}

/* Leaves in `g` those that are to be looked at, and reports those that are gone. */
static uint32_t pick(struct catalog *c, const uint32_t *oids, uint32_t n, struct glance *g,
                     uint32_t n_found, bool all)
{
        uint64_t now = clock_mono_ms();
        uint32_t at = 0, picked = 0;
        for (uint32_t i = 0; i < n; i++) {
                if (at == n_found || g[at].oid != oids[i]) {
                        forget(c, oids[i]);
                        c->drift(c->drift_arg, oids[i], true, NULL);
                        continue;
                }
                if (all || is_news(c, &g[at], now))
                        g[picked++] = g[at];
                at++;
        }
        SLUICE_ASSERT(at == n_found);
        return picked;
}

static int reconcile_slice(struct catalog *c, const uint32_t *oids, uint32_t n, bool all)
{
        uint64_t asked_ms = clock_mono_ms(), deadline_ms = asked_ms + c->options.timeout_ms;
        struct pgwait w = wait_until(c, deadline_ms);
        struct glance *g = mem_array(n, sizeof(*g));
        struct buf why;
        uint32_t n_found = 0, n_news = 0;
        char state[6] = "";
        buf_init(&why, WHY_MAX_BYTES);
        int err = c->conn ? 0 : connect_database(c, deadline_ms, &why);
        bool connected = err == 0;
        if (!err)
                err = catalog_glance(c->conn, &w, c->options.publication, oids, n, g, &n_found,
                                     state, &why);
        if (!err)
                n_news = pick(c, oids, n, g, n_found, all);
        if (!err && n_news > 0)
                err = look_at(c, &w, g, n_news, asked_ms, state, &why);
        if (connected)
                after_statement(c, err, state, &why);
        buf_fini(&why);
        mem_free(g);
        return err;
}

static int reconcile_set(struct catalog *c, const uint32_t *oids, uint32_t n, bool all)
{
        int err = 0;
        for (uint32_t i = 0; i < n && !err; i += WATCH_SLICE)
                err = reconcile_slice(c, oids + i, n - i < WATCH_SLICE ? n - i : WATCH_SLICE, all);
        return err;
}

static bool take_wish(struct catalog *c)
{
        pthread_mutex_lock(&c->lock);
        bool wanted = c->zones_wanted;
        c->zones_wanted = false;
        pthread_mutex_unlock(&c->lock);
        return wanted;
}

/* One by one: a zone is a statement of its own, and a set is bounded. */
static int reconcile_zones(struct catalog *c, bool all)
{
        const struct zone **used = mem_array(ZONE_MAX, sizeof(*used));
        uint32_t n = zone_list_used(used);
        int err = 0;
        c->zones_unknown |= take_wish(c) || all || !c->conn;
        if (c->zone_differs && n > 0 && c->zones_unknown)
                err = connect_anew(c);
        else
                n = 0;
        for (uint32_t i = 0; i < n && !err; i++) {
                const struct zone *other;
                err = check_zones(c, &(struct zone_set){.n = 1, .zones = {used[i]}}, &other);
                if (!err && other)
                        c->zone_differs(c->zone_arg, other);
        }
        if (!err)
                c->zones_unknown = false;
        mem_free(used);
        return err;
}

static void reconcile(struct catalog *c)
{
        uint64_t began_ms = clock_mono_ms();
        uint32_t n;
        uint32_t *oids = oids_of(c, &c->watched, &n);
        bool all = began_ms >= c->look_at_ms;
        int err = reconcile_zones(c, all);
        if (!err)
                err = reconcile_set(c, oids, n, all);
        mem_free(oids);
        uint64_t now = clock_mono_ms(), rest = (now - began_ms) * GLANCE_REST;
        if (all && !err) {
                if (hmap_count(&c->seen) >
                    n + SEEN_SPARE) /* of tables that nobody watches any more */
                        forget_all(c);
                c->look_at_ms = now + c->watch.period_ms;
        }
        if (err && rest < GLANCE_FAILED_MS)
                rest = GLANCE_FAILED_MS;
        c->watch_at_ms = now + (rest > c->watch.glance_ms ? rest : c->watch.glance_ms);
}

/* Looks that come meanwhile are made next. */
static void look(struct catalog *c)
{
        uint32_t n;
        pthread_mutex_lock(&c->lock);
        struct hmap looks = c->looks;
        hmap_init(&c->looks);
        pthread_mutex_unlock(&c->lock);
        uint32_t *oids = oids_of(c, &looks, &n);
        (void)reconcile_set(c, oids, n, true);
        mem_free(oids);
        hmap_fini(&looks);
}

/* ---- the worker */

static void wait_changed(struct catalog *c, uint64_t until_ms)
{
        struct timespec at = {.tv_sec = (time_t)(until_ms / 1000),
                              .tv_nsec = (long)(until_ms % 1000) * 1000000};
        if (until_ms == UINT64_MAX)
                pthread_cond_wait(&c->changed, &c->lock);
        else
                pthread_cond_timedwait(&c->changed, &c->lock, &at);
}

enum duty { DUTY_REQUEST, DUTY_LOOK, DUTY_WATCH, DUTY_DISCONNECT, DUTY_CLOSE };

/* What is due, or when something will be; called under the lock. */
static bool find_duty(struct catalog *c, enum duty *duty, uint64_t *next_ms)
{
        uint64_t now = clock_mono_ms();
        bool watching = c->drift && hmap_count(&c->watched) > 0;
        *next_ms = UINT64_MAX;
        if (c->closing)
                *duty = DUTY_CLOSE;
        else if (c->n_queue > 0)
                *duty = DUTY_REQUEST;
        else if (c->drift && hmap_count(&c->looks) > 0)
                *duty = DUTY_LOOK;
        else if (watching && (now >= c->watch_at_ms || c->zones_wanted))
                *duty = DUTY_WATCH;
        else if (c->conn && now >= c->idle_at_ms)
                *duty = DUTY_DISCONNECT;
        else {
                if (watching)
                        *next_ms = c->watch_at_ms;
                if (c->conn && c->idle_at_ms < *next_ms)
                        *next_ms = c->idle_at_ms;
                return false;
        }
        return true;
}

static enum duty next_duty(struct catalog *c, struct request **r)
{
        enum duty duty;
        uint64_t next_ms;
        pthread_mutex_lock(&c->lock);
        while (!find_duty(c, &duty, &next_ms))
                wait_changed(c, next_ms);
        *r = duty == DUTY_REQUEST ? take_request(c) : NULL;
        pthread_mutex_unlock(&c->lock);
        return duty;
}

static void *run(void *arg)
{
        struct catalog *c = arg;
        struct request *r;
        for (;;) {
                switch (next_duty(c, &r)) {
                case DUTY_REQUEST:
                        serve(c, r);
                        if (c->unreachable)
                                refuse_waiting(c);
                        break;
                case DUTY_LOOK:
                        look(c);
                        break;
                case DUTY_WATCH:
                        reconcile(c);
                        break;
                case DUTY_DISCONNECT:
                        disconnect(c);
                        continue;
                case DUTY_CLOSE:
                        refuse_waiting(c);
                        disconnect(c);
                        return NULL;
                }
                c->idle_at_ms = clock_mono_ms() + IDLE_CLOSE_MS;
        }
}

/* ---- any thread */

static void init_lock(struct catalog *c)
{
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&c->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        pthread_mutex_init(&c->lock, NULL);
}

static void free_catalog(struct catalog *c)
{
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->lock);
        forget_all(c);
        hmap_fini(&c->seen);
        hmap_fini(&c->watched);
        hmap_fini(&c->looks);
        close(c->close_fd);
        mem_free((void *)(uintptr_t)c->options.database_url);
        mem_free((void *)(uintptr_t)c->options.ca_file);
        mem_free((void *)(uintptr_t)c->options.publication);
        c->magic = 0;
        mem_free(c);
}

int catalog_open(struct catalog **out, const struct catalog_options *o, struct buf *why)
{
        SLUICE_ASSERT(o->database_url && o->timeout_ms > 0 && o->max_queue > 0);
        int err = pg_check_url(o->database_url, o->ca_file, why);
        if (err)
                return err;
        struct catalog *c = mem_new(struct catalog);
        c->magic = CATALOG_MAGIC;
        c->options = *o;
        c->options.database_url = slice_dup_cstr(slice_cstr(o->database_url));
        c->options.ca_file = slice_dup_cstr(slice_cstr(o->ca_file ? o->ca_file : ""));
        if (o->publication)
                c->options.publication = slice_dup_cstr(slice_cstr(o->publication));
        c->close_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        SLUICE_ASSERT(c->close_fd >= 0);
        list_init(&c->queue);
        hmap_init(&c->watched);
        hmap_init(&c->looks);
        hmap_init(&c->seen);
        init_lock(c);
        SLUICE_ASSERT(pthread_create(&c->thread, NULL, run, c) == 0);
        *out = c;
        return 0;
}

void catalog_close(struct catalog *c)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        pthread_mutex_lock(&c->lock);
        c->closing = true;
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->lock);
        SLUICE_ASSERT(eventfd_write(c->close_fd, 1) == 0);
        pthread_join(c->thread, NULL);
        free_catalog(c);
}

void catalog_request(struct catalog *c, struct slice definition, catalog_callback *cb, void *arg)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        SLUICE_ASSERT(cb != NULL);
        struct request *r = mem_new(struct request);
        *r = (struct request){.definition = slice_dup(definition), .cb = cb, .arg = arg};
        pthread_mutex_lock(&c->lock);
        bool accepted = c->n_queue < c->options.max_queue && !c->closing;
        if (accepted) {
                list_push_back(&c->queue, &r->node);
                c->n_queue++;
                pthread_cond_signal(&c->changed);
        }
        pthread_mutex_unlock(&c->lock);
        if (!accepted)
                refuse_request(r);
}

void catalog_watch(struct catalog *c, struct catalog_periods periods, catalog_drift_callback *cb,
                   void *arg)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        SLUICE_ASSERT(cb != NULL && periods.glance_ms > 0 && periods.period_ms > 0);
        pthread_mutex_lock(&c->lock);
        SLUICE_ASSERT(c->drift == NULL);
        c->watch = periods;
        c->drift = cb;
        c->drift_arg = arg;
        c->watch_at_ms = c->look_at_ms = clock_mono_ms();
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->lock);
}

void catalog_watch_zones(struct catalog *c, catalog_zone_callback *cb, void *arg)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        SLUICE_ASSERT(cb != NULL && c->zone_differs == NULL);
        pthread_mutex_lock(&c->lock);
        c->zone_differs = cb;
        c->zone_arg = arg;
        pthread_mutex_unlock(&c->lock);
}

void catalog_check_zones(struct catalog *c)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        pthread_mutex_lock(&c->lock);
        c->zones_wanted = true;
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->lock);
}

void catalog_watch_add(struct catalog *c, uint32_t oid)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        pthread_mutex_lock(&c->lock);
        uintptr_t count = (uintptr_t)hmap_find(&c->watched, HMAP_KEY(oid));
        hmap_put(&c->watched, HMAP_KEY(oid), (void *)(count + 1));
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->lock);
}

void catalog_watch_remove(struct catalog *c, uint32_t oid)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        pthread_mutex_lock(&c->lock);
        uintptr_t count = (uintptr_t)hmap_find(&c->watched, HMAP_KEY(oid));
        SLUICE_ASSERT(count > 0);
        if (count > 1)
                hmap_put(&c->watched, HMAP_KEY(oid), (void *)(count - 1));
        else
                hmap_take(&c->watched, HMAP_KEY(oid));
        pthread_mutex_unlock(&c->lock);
}

void catalog_look(struct catalog *c, uint32_t oid)
{
        CHECK_OBJ(c, CATALOG_MAGIC);
        pthread_mutex_lock(&c->lock);
        hmap_put(&c->looks, HMAP_KEY(oid), c);
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->lock);
}
