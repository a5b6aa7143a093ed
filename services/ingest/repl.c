#include "services/ingest/repl.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "services/ingest/feedback.h"
#include "services/ingest/pace.h"
#include "services/ingest/setup.h"

enum {
        /* clients that wait for us wait for five seconds */
        BACKOFF_FIRST_MS = 250,
        BACKOFF_LAST_MS = 1000,
        LASTED_MS = 10000,   /* a stream that lasted so long is tried again at once */
        ACK_STATUS_MS = 100, /* acknowledgements come by the batch: one status update for many */
        MESSAGES_PER_TURN = 512, /* then the loop's other work has its turn */
        INSISTS_AT_ONCE = 5, /* so many repeated questions are answered at once, the next in time */
        INSISTS_MS = 1000,   /* and after so long of it we let go */
        PROBE_MS = 5000,
        BUSY_MS = 100
};

enum repl_state { REPL_IDLE, REPL_SETUP, REPL_STREAMING, REPL_PAUSED, REPL_BACKOFF, REPL_STOPPED };

/* Postgres asks again and again for what it cannot have yet. */
struct insistence {
        uint64_t since_ms;
        uint32_t n;
        lsn_t decoded, confirmed; /* neither has moved since */
};

struct repl {
        struct loop *loop;
        struct stream *stream;
        void (*on_active)(void);
        bool drops_slot; /* at the end */
        enum repl_state state;
        struct setup setup;
        /* worker */
        pthread_t worker;
        bool working;
        int cancel_fd;
        uint64_t backoff_ms; /* before the next try that follows a failure */
        struct loop_timer *backoff;
        /* connection, while streaming or paused */
        PGconn *conn;
        struct loop_fd *watch;
        bool flushing;   /* something of ours has not been sent yet */
        bool continuing; /* a continuation is posted */
        bool resting;    /* the socket is looked at when `rest` ends */
        struct loop_timer *rest;
        uint64_t began_ms, interval_ms;
        struct loop_timer *status, *ack_status;
        struct insistence insistence;
        struct loop_timer *probe; /* while paused */
        PGPing ping;              /* the worker's answer */
        /* stopping */
        loop_callback *done;
        void *done_arg;
};

static void set_state(struct repl *r, enum repl_state to)
{
        static const bool edges[REPL_STOPPED + 1][REPL_STOPPED + 1] = {
                [REPL_IDLE] = {[REPL_SETUP] = true, [REPL_STOPPED] = true},
                [REPL_SETUP] =
                        {[REPL_STREAMING] = true, [REPL_BACKOFF] = true, [REPL_STOPPED] = true},
                [REPL_STREAMING] =
                        {[REPL_PAUSED] = true, [REPL_BACKOFF] = true, [REPL_STOPPED] = true},
                [REPL_PAUSED] =
                        {[REPL_STREAMING] = true, [REPL_BACKOFF] = true, [REPL_STOPPED] = true},
                [REPL_BACKOFF] = {[REPL_SETUP] = true, [REPL_STOPPED] = true},
        };
        SLUICE_ASSERT(edges[r->state][to]);
        r->state = to;
        metric_set(METRIC_OF(paused), to == REPL_PAUSED);
}

static bool is_connected(const struct repl *r)
{
        return r->state == REPL_STREAMING || r->state == REPL_PAUSED;
}

/* ---- the end of a connection */

static void disconnect(struct repl *r)
{
        loop_timer_cancel(r->status);
        loop_timer_cancel(r->ack_status);
        loop_timer_cancel(r->probe);
        loop_timer_cancel(r->rest);
        loop_unwatch(r->watch);
        r->watch = NULL;
        PQfinish(r->conn);
        r->conn = NULL;
        r->flushing = r->resting = false;
        stream_end(r->stream);
}

static void show_outage(bool had_lock, const char *why)
{
        struct buf reason;
        buf_init(&reason, 2048);
        buf_printf(&reason, "%s: %s", setup_waiting_text(had_lock), why);
        svc_set_state(SVC_STARTING, buf_cstr(&reason));
        buf_fini(&reason);
}

static void try_again(struct repl *r, uint64_t after_ms)
{
        set_state(r, REPL_BACKOFF);
        loop_timer_set(r->backoff, after_ms);
}

static void back_off(struct repl *r)
{
        try_again(r, r->backoff_ms);
        r->backoff_ms = r->backoff_ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : r->backoff_ms * 2;
}

static void lose(struct repl *r, const char *why)
{
        struct buf line;
        buf_init(&line, 2048);
        pg_error_line(why, &line);
        log_warning("stream_lost", "replication stream ended: %s", buf_cstr(&line));
        disconnect(r);
        show_outage(true, buf_cstr(&line));
        buf_fini(&line);
        if (clock_mono_ms() - r->began_ms < LASTED_MS) {
                back_off(r);
                return;
        }
        r->backoff_ms = BACKOFF_FIRST_MS;
        try_again(r, 0);
}

/* ---- speaking to Postgres */

static void watch(struct repl *r)
{
        uint32_t events = r->state == REPL_STREAMING && !r->resting ? LOOP_READ : 0;
        loop_watch_set(r->watch, events | (r->flushing ? LOOP_WRITE : 0));
}

static bool flush(struct repl *r)
{
        int rc = PQflush(r->conn);
        if (rc < 0) {
                lose(r, PQerrorMessage(r->conn));
                return false;
        }
        r->flushing = rc > 0;
        watch(r);
        return true;
}

/* False when the connection was lost over it. */
static bool send_status(struct repl *r)
{
        char status[FEEDBACK_STATUS_BYTES];
        loop_timer_set(r->status, r->interval_ms);
        loop_timer_cancel(r->ack_status);
        if (r->flushing) /* the last one is still on its way: Postgres does not read */
                return flush(r);
        feedback_status(stream_received(r->stream), stream_confirmed(r->stream), clock_wall_us(),
                        status);
        fault_point(FAULT_INGEST_FEEDBACK_BEFORE);
        if (PQputCopyData(r->conn, status, sizeof(status)) < 0) {
                lose(r, PQerrorMessage(r->conn));
                return false;
        }
        bool alive = flush(r);
        fault_point(FAULT_INGEST_FEEDBACK_AFTER);
        return alive;
}

static void on_status(void *arg)
{
        (void)send_status(arg);
}

/* ---- reading */

static uint64_t read_u64(const char *at)
{
        uint64_t v = 0;
        for (int i = 0; i < 8; i++)
                v = v << 8 | (unsigned char)at[i];
        return v;
}

/* How often has it asked at this position? */
static uint32_t count_insistence(struct repl *r, lsn_t decoded)
{
        struct insistence *i = &r->insistence;
        lsn_t confirmed = stream_confirmed(r->stream);
        if (lsn_cmp(i->decoded, decoded) != 0 || lsn_cmp(i->confirmed, confirmed) != 0)
                *i = (struct insistence){
                        .since_ms = clock_mono_ms(), .decoded = decoded, .confirmed = confirmed};
        return ++i->n;
}

/* False when the connection is gone. */
static bool on_keepalive(struct repl *r, lsn_t decoded, bool asked)
{
        stream_keepalive(r->stream, decoded, asked);
        if (!asked)
                return true;
        if (count_insistence(r, decoded) <= INSISTS_AT_ONCE)
                return send_status(r);
        if (clock_mono_ms() - r->insistence.since_ms >= INSISTS_MS) {
                lose(r, "Postgres is shutting down and would wait for the routers: letting go");
                return false;
        }
        if (!loop_timer_armed(r->ack_status))
                loop_timer_set(r->ack_status, ACK_STATUS_MS);
        return true;
}

enum { XLOG_HEADER_BYTES = 1 + 8 + 8 + 8, KEEPALIVE_BYTES = 1 + 8 + 8 + 1 };

/* One CopyData message. False when the connection is gone. */
static bool on_copy_data(struct repl *r, struct slice data)
{
        if (data.len >= XLOG_HEADER_BYTES && data.p[0] == 'w') {
                struct buf why;
                buf_init(&why, 512);
                int err = stream_message(
                        r->stream,
                        slice_of(data.p + XLOG_HEADER_BYTES, data.len - XLOG_HEADER_BYTES), &why);
                if (err)
                        lose(r, buf_cstr(&why));
                buf_fini(&why);
                return err == 0;
        }
        if (data.len == KEEPALIVE_BYTES && data.p[0] == 'k')
                return on_keepalive(r, (lsn_t){read_u64(data.p + 1)}, data.p[17] != 0);
        lose(r, "unknown replication message");
        return false;
}

static void pause_reading(struct repl *r)
{
        set_state(r, REPL_PAUSED);
        r->resting = false;
        watch(r);
        loop_timer_set(r->probe, PROBE_MS);
        log_debug("paused",
                  "no room: not reading until routers acknowledge, or a relation is known");
}

static void read_stream(struct repl *r);

static void on_continue(void *arg)
{
        struct repl *r = arg;
        r->continuing = false;
        if (r->state == REPL_STREAMING)
                read_stream(r);
}

/* What libpq holds already wakes nobody: come back by ourselves. */
static void read_on_later(struct repl *r)
{
        if (!r->continuing)
                loop_post(r->loop, on_continue, r);
        r->continuing = true;
}

static void copy_ended(struct repl *r)
{
        PGresult *res = PQgetResult(r->conn);
        const char *message = res ? PQresultErrorMessage(res) : "";
        struct buf why;
        buf_init(&why, 2048);
        buf_puts(&why, message[0] ? message : PQerrorMessage(r->conn));
        PQclear(res);
        lose(r, why.len ? buf_cstr(&why) : "Postgres ended it");
        buf_fini(&why);
}

static void run_dry(struct repl *r)
{
        bool rests = stream_dry(r->stream);
        if (rests)
                loop_timer_set(r->rest, PACE_REST_MS);
        if (rests == r->resting)
                return;
        r->resting = rests;
        watch(r);
}

static void on_rest(void *arg)
{
        struct repl *r = arg;
        if (r->state == REPL_STREAMING)
                read_stream(r);
}

/* Takes messages until there is no room, none is left, or it is somebody else's turn. Dry means
 * that the kernel has nothing more either: only then is it worth cutting a batch. */
static void read_stream(struct repl *r)
{
        bool asked_kernel = false;
        for (int i = 0; i < MESSAGES_PER_TURN; i++) {
                if (!stream_has_room(r->stream)) {
                        pause_reading(r);
                        return;
                }
                char *data = NULL;
                int len = PQgetCopyData(r->conn, &data, 1);
                if (len > 0) {
                        bool alive = on_copy_data(r, slice_of(data, (size_t)len));
                        PQfreemem(data);
                        if (!alive)
                                return;
                        asked_kernel = false;
                } else if (len < 0) {
                        copy_ended(r);
                        return;
                } else if (asked_kernel) {
                        run_dry(r);
                        return;
                } else if (!PQconsumeInput(r->conn)) {
                        lose(r, PQerrorMessage(r->conn));
                        return;
                } else {
                        asked_kernel = true;
                }
        }
        read_on_later(r);
}

static void on_socket(void *arg, uint32_t events)
{
        struct repl *r = arg;
        if ((events & LOOP_WRITE) && !flush(r))
                return;
        if ((events & LOOP_READ) && r->state == REPL_STREAMING)
                read_stream(r);
}

/* ---- setup */

static void begin_stream(struct repl *r)
{
        const struct term *t = &r->setup.term;
        if (t->epoch <= stream_epoch(r->stream)) {
                PQfinish(r->setup.conn);
                r->setup.conn = NULL;
                set_state(r, REPL_STOPPED);
                svc_fail(1, "database_went_back",
                         "the database's transaction ids have gone back: it was restored or "
                         "replaced");
                return;
        }
        set_state(r, REPL_STREAMING);
        r->conn = r->setup.conn;
        r->setup.conn = NULL;
        r->began_ms = clock_mono_ms();
        r->insistence = (struct insistence){0};
        r->interval_ms = feedback_interval_ms(r->setup.wal_sender_timeout_ms);
        r->watch = loop_watch(r->loop, PQsocket(r->conn), LOOP_READ, on_socket, r);
        stream_begin(r->stream, t);
        log_info("streaming", "replicating from slot %s at %X/%X, epoch %llu", r->setup.names.slot,
                 (unsigned)(t->start.v >> 32), (unsigned)(t->start.v & UINT32_MAX),
                 (unsigned long long)t->epoch);
        svc_set_state(SVC_ACTIVE, "");
        r->on_active();
        if (send_status(r))
                read_on_later(
                        r); /* libpq may have read more than the answer to START_REPLICATION */
}

static void setup_failed(struct repl *r)
{
        if (r->setup.failure == PG_FAIL_FATAL) {
                set_state(r, REPL_STOPPED);
                svc_fail(1, "database_unusable", "%s", r->setup.why);
                return;
        }
        log_warning("setup_failed", "no replication stream: %s; trying again in %llu ms",
                    r->setup.why, (unsigned long long)r->backoff_ms);
        show_outage(r->setup.had_lock, r->setup.why);
        back_off(r);
}

/* ---- the worker: setup, or a probe of the server while paused */

static void start_worker(struct repl *r, void *(*work)(void *))
{
        SLUICE_ASSERT(!r->working && pthread_create(&r->worker, NULL, work, r) == 0);
        r->working = true;
}

static void join_worker(struct repl *r)
{
        SLUICE_ASSERT(pthread_join(r->worker, NULL) == 0);
        r->working = false;
}

static void on_probe_done(void *arg)
{
        struct repl *r = arg;
        if (!r->working)
                return; /* repl_free() was faster */
        join_worker(r);
        if (r->state == REPL_STOPPED) {
                if (r->done)
                        r->done(r->done_arg);
        } else if (r->state == REPL_PAUSED) {
                if (r->ping == PQPING_REJECT)
                        lose(r, "Postgres is shutting down and would wait for us: letting go");
                else
                        loop_timer_set(r->probe, PROBE_MS);
        }
}

static void *work_probe(void *arg)
{
        struct repl *r = arg;
        const char *const keywords[] = {"dbname", "connect_timeout", NULL};
        const char *const values[] = {r->setup.url, "5", NULL};
        r->ping = PQpingParams(keywords, values, 1);
        loop_post(r->loop, on_probe_done, r);
        return NULL;
}

static void on_probe(void *arg)
{
        struct repl *r = arg;
        if (!r->working)
                start_worker(r, work_probe);
}

static void on_setup_done(void *arg)
{
        struct repl *r = arg;
        if (!r->working)
                return; /* repl_free() was faster */
        join_worker(r);
        if (r->state == REPL_STOPPED) {
                PQfinish(r->setup.conn);
                r->setup.conn = NULL;
                if (r->done)
                        r->done(r->done_arg);
        } else if (r->setup.err) {
                setup_failed(r);
        } else {
                begin_stream(r);
        }
}

static void *work_setup(void *arg)
{
        struct repl *r = arg;
        setup_run(&r->setup);
        loop_post(r->loop, on_setup_done, r);
        return NULL;
}

static void begin_setup(void *arg)
{
        struct repl *r = arg;
        if (r->working) { /* a probe that has not ended */
                loop_timer_set(r->backoff, BUSY_MS);
                return;
        }
        set_state(r, REPL_SETUP);
        start_worker(r, work_setup);
}

/* ---- life */

struct repl *repl_new(struct loop *loop, const struct ingest_conf *conf,
                      const struct object_names *names, struct stream *stream,
                      void (*on_active)(void))
{
        struct repl *r = mem_new(struct repl);
        r->loop = loop;
        r->stream = stream;
        r->on_active = on_active;
        r->drops_slot = conf->drop_slot;
        r->backoff_ms = BACKOFF_FIRST_MS;
        r->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        SLUICE_ASSERT(r->cancel_fd >= 0);
        r->setup = (struct setup){.url = conf->database_url,
                                  .ca_file = conf->ca_file,
                                  .names = *names,
                                  .cancel_fd = r->cancel_fd};
        r->backoff = loop_timer_new(loop, begin_setup, r);
        r->status = loop_timer_new(loop, on_status, r);
        r->ack_status = loop_timer_new(loop, on_status, r);
        r->probe = loop_timer_new(loop, on_probe, r);
        r->rest = loop_timer_new(loop, on_rest, r);
        return r;
}

static void cancel_worker(struct repl *r)
{
        uint64_t one = 1;
        SLUICE_ASSERT(write(r->cancel_fd, &one, sizeof(one)) == sizeof(one));
}

static void free_repl(void *arg)
{
        mem_free(arg);
}

/* The memory goes with the last function posted: the loop may still hold others that name it. */
void repl_free(struct repl *r)
{
        if (!r)
                return;
        if (is_connected(r))
                disconnect(r);
        if (r->working) {
                cancel_worker(r);
                join_worker(r);
                PQfinish(r->setup.conn);
                r->setup.conn = NULL;
        }
        loop_timer_free(r->backoff);
        loop_timer_free(r->status);
        loop_timer_free(r->ack_status);
        loop_timer_free(r->probe);
        loop_timer_free(r->rest);
        close(r->cancel_fd);
        r->state = REPL_STOPPED;
        loop_post(r->loop, free_repl, r);
}

/* ---- dropping the slot at the end */

static void on_dropped(void *arg)
{
        struct repl *r = arg;
        if (!r->working)
                return; /* repl_free() was faster */
        join_worker(r);
        r->done(r->done_arg);
}

static void *work_drop_slot(void *arg)
{
        struct repl *r = arg;
        setup_drop_slot(&r->setup);
        loop_post(r->loop, on_dropped, r);
        return NULL;
}

void repl_start(struct repl *r)
{
        svc_set_state(SVC_STARTING, setup_waiting_text(false));
        begin_setup(r);
}

void repl_stop(struct repl *r, loop_callback *done, void *arg)
{
        bool leads = is_connected(r);
        if (leads && send_status(r))
                disconnect(r);
        loop_timer_cancel(r->backoff);
        if (r->state != REPL_STOPPED)
                set_state(r, REPL_STOPPED);
        r->done = done;
        r->done_arg = arg;
        if (r->working)
                cancel_worker(r);
        else if (leads && r->drops_slot)
                start_worker(r, work_drop_slot);
        else
                done(arg);
}

void repl_on_room(struct repl *r)
{
        if (r->state != REPL_PAUSED)
                return;
        loop_timer_cancel(r->probe);
        set_state(r, REPL_STREAMING);
        watch(r);
        read_on_later(r);
}

void repl_on_confirmed(struct repl *r)
{
        if (is_connected(r) && !loop_timer_armed(r->ack_status))
                loop_timer_set(r->ack_status, ACK_STATUS_MS);
}

void repl_on_restart(struct repl *r)
{
        if (!is_connected(r))
                return;
        disconnect(r);
        svc_set_state(SVC_STARTING, setup_waiting_text(true));
        try_again(r, 0);
}

void repl_on_broken(struct repl *r, const char *why)
{
        if (is_connected(r))
                lose(r, why);
}
