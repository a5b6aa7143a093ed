#include "supervisor/stack.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "supervisor/child.h"
#include "supervisor/datadir.h"
#include "supervisor/health.h"
#include "supervisor/plan.h"
#include "supervisor/postgres.h"

#define STACK_MAGIC 0x73746163u

enum {
        MEMBERS_MAX = 2 * STACK_EACH_MAX + 3, /* routers, edges; ingest, Postgres, demo */
        POSTGRES_POLL_MS = 20,
        REMIND_MS = 15000,       /* of what the stack waits for */
        DRAIN_MARGIN_MS = 40000, /* beyond three phases: Postgres' last checkpoint */
        EXIT_FAILED = 1,
        EXIT_CONFIGURATION = 2
};

/* In the order they end. */
enum phase { PHASE_EDGES, PHASE_ROUTERS, PHASE_INGEST, PHASE_POSTGRES, N_PHASES };

struct member {
        struct stack *stack;
        struct child *child;
        struct plan_strings strings;
        enum phase phase;
        bool optional; /* the stack goes on without it */
};

struct stack {
        uint32_t magic;
        struct loop *loop;
        struct stack_conf *conf;
        struct datadir dir;
        struct postgres pg;
        bool has_pg;
        struct plan plan;
        struct member members[MEMBERS_MAX];
        size_t n_members;
        struct health *health;
        struct loop_timer *postgres_timer;
        struct loop_timer *remind_timer;
        bool draining, ended;
        enum phase phase; /* while draining: which one must end now */
        int exit_status;  /* not 0: the end is a failure's */
};

/* --- the end --- */

static bool phase_is_idle(const struct stack *s, enum phase phase)
{
        for (size_t i = 0; i < s->n_members; i++)
                if (s->members[i].phase == phase && !child_is_idle(s->members[i].child))
                        return false;
        return true;
}

static void stop_phase(struct stack *s, enum phase phase)
{
        for (size_t i = 0; i < s->n_members; i++)
                if (s->members[i].phase == phase)
                        child_stop(s->members[i].child);
}

static void finish(struct stack *s)
{
        s->ended = true;
        if (s->exit_status != 0)
                svc_fail(s->exit_status, "stack_failed", "the stack could not be kept running");
        else
                svc_drained();
}

static void drain_on(void *arg)
{
        struct stack *s = arg;
        CHECK_OBJ(s, STACK_MAGIC);
        while (!s->ended && phase_is_idle(s, s->phase)) {
                if (s->phase + 1 == N_PHASES) {
                        finish(s);
                } else {
                        s->phase++;
                        stop_phase(s, s->phase);
                }
        }
}

void stack_drain(struct stack *s)
{
        CHECK_OBJ(s, STACK_MAGIC);
        SLUICE_ASSERT(!s->draining);
        s->draining = true;
        s->phase = PHASE_EDGES;
        loop_timer_cancel(s->postgres_timer);
        loop_timer_cancel(s->remind_timer);
        health_free(s->health);
        s->health = NULL;
        stop_phase(s, s->phase);
        drain_on(s);
}

/* A member is gone for good. */
static void on_ended(struct child *c, int status, void *arg)
{
        struct member *m = arg;
        struct stack *s = m->stack;
        CHECK_OBJ(s, STACK_MAGIC);
        if (s->draining) {
                loop_post(s->loop, drain_on, s);
                return;
        }
        if (m->optional) {
                log_warning("going_on", "the stack goes on without %s", child_name(c));
                return;
        }
        /* Ends in order, as if somebody had asked for it. */
        if (s->exit_status == 0) {
                s->exit_status = status == EXIT_CONFIGURATION ? EXIT_CONFIGURATION : EXIT_FAILED;
                kill(getpid(), SIGTERM);
        }
}

/* --- the members --- */

static struct member *next_member(struct stack *s, enum phase phase)
{
        SLUICE_ASSERT(s->n_members < MEMBERS_MAX);
        struct member *m = &s->members[s->n_members++];
        *m = (struct member){.stack = s, .phase = phase};
        return m;
}

static void start_member(struct member *m, const struct child_spec *spec)
{
        struct child_events events = {.on_ended = on_ended, .arg = m};
        m->child = child_new(m->stack->loop, spec, events);
        child_start(m->child);
}

static void start_services(struct stack *s)
{
        struct child_spec spec;
        struct member *m = next_member(s, PHASE_INGEST);
        plan_ingest(&s->plan, &m->strings, &spec);
        start_member(m, &spec);
        for (uint64_t i = 0; i < s->conf->routers; i++) {
                m = next_member(s, PHASE_ROUTERS);
                plan_router(&s->plan, i, &m->strings, &spec);
                start_member(m, &spec);
        }
        for (uint64_t i = 0; i < s->conf->edges; i++) {
                m = next_member(s, PHASE_EDGES);
                plan_edge(&s->plan, i, &m->strings, &spec);
                start_member(m, &spec);
        }
        if (plan_has_demo(&s->plan)) {
                m = next_member(s, PHASE_EDGES);
                m->optional = true;
                plan_demo(&s->plan, &m->strings, &spec);
                start_member(m, &spec);
        }
}

/* --- the beginning --- */

static void announce_demo(const struct stack *s)
{
        printf("  demo page  http://%s:%" PRIu64 "/demo/", health_host(s->health),
               s->conf->http_port);
        if (!plan_demo_port_is_usual(&s->plan))
                printf("?api=http://127.0.0.1:%u", plan_demo_port(&s->plan));
        printf("   (open it in two windows)\n");
}

static void announce(const struct stack *s)
{
        const char *secret = s->conf->secret[0] != '\0' ? "&secret=$SLUICE_SECRET" : "";
        printf("\nSluice is ready.\n\n  curl -i \"http://%s:%" PRIu64
               "/v1/shape?table=%s&offset=-1%s\"\n",
               health_host(s->health), s->conf->http_port, s->has_pg ? "todos" : "YOUR_TABLE",
               secret);
        if (plan_has_demo(&s->plan))
                announce_demo(s);
        if (s->has_pg)
                printf("  database   psql \"$(cat %s/database_url)\"\n", s->dir.root);
        printf("  stop       Ctrl-C\n\n");
        fflush(stdout);
}

static void on_healthy(void *arg)
{
        struct stack *s = arg;
        CHECK_OBJ(s, STACK_MAGIC);
        loop_timer_cancel(s->remind_timer);
        svc_set_state(SVC_ACTIVE, "");
        announce(s);
}

static void on_remind(void *arg)
{
        struct stack *s = arg;
        CHECK_OBJ(s, STACK_MAGIC);
        log_warning("not_ready", "still waiting for the edge: %s", health_reason(s->health));
        loop_timer_set(s->remind_timer, REMIND_MS);
}

static void on_database(struct stack *s)
{
        start_services(s);
        s->health = health_new(s->loop, plan_http_host(&s->plan), (uint16_t)s->conf->http_port,
                               on_healthy, s);
        loop_timer_set(s->remind_timer, REMIND_MS);
}

/* Postgres tells by its pid file that it accepts connections; that file can only be looked at again
 * and again. */
static void on_postgres_timer(void *arg)
{
        struct stack *s = arg;
        CHECK_OBJ(s, STACK_MAGIC);
        if (postgres_is_ready(&s->pg, child_pid(s->members[0].child)))
                on_database(s);
        else
                loop_timer_set(s->postgres_timer, POSTGRES_POLL_MS);
}

static void start_postgres(struct stack *s)
{
        struct child_spec spec;
        postgres_child_spec(&s->pg, &spec);
        start_member(next_member(s, PHASE_POSTGRES), &spec);
        loop_timer_set(s->postgres_timer, POSTGRES_POLL_MS);
}

static int check(const struct stack_conf *conf, struct buf *why)
{
        if (conf->http_port + conf->edges - 1 > UINT16_MAX ||
            conf->admin_port + conf->routers + conf->edges > UINT16_MAX) {
                buf_puts(why, "SLUICE_HTTP_PORT or SLUICE_ADMIN_PORT leaves no room below 65536 "
                              "for all services");
                return ERR_CONF;
        }
        return 0;
}

static int prepare(struct stack *s, struct buf *why)
{
        int rc = check(s->conf, why);
        if (rc == 0)
                rc = datadir_open(s->conf->data_dir, &s->dir, why);
        if (rc == 0)
                rc = plan_init(&s->plan, s->conf, &s->dir, why);
        s->has_pg = s->conf->database_url[0] == '\0';
        if (rc == 0 && s->has_pg)
                rc = postgres_prepare(&s->pg, &s->dir, why);
        s->plan.database_url = s->has_pg ? s->pg.url : s->conf->database_url;
        return rc;
}

int stack_open(struct loop *l, struct stack_conf *conf, struct stack **out, struct buf *why)
{
        SLUICE_ASSERT(l != NULL && conf != NULL && out != NULL);
        SLUICE_ASSERT(conf->routers <= STACK_EACH_MAX && conf->edges <= STACK_EACH_MAX);
        struct stack *s = mem_new(struct stack);
        s->magic = STACK_MAGIC;
        s->loop = l;
        s->conf = conf;
        s->dir.lock_fd = -1;
        s->pg.log_fd = -1;
        s->postgres_timer = loop_timer_new(l, on_postgres_timer, s);
        s->remind_timer = loop_timer_new(l, on_remind, s);
        int rc = prepare(s, why);
        if (rc != 0) {
                stack_close(s);
                return rc;
        }
        if (s->plan.open_to_all)
                log_warning("insecure",
                            "no SLUICE_SECRET: whoever reaches %s can read every table "
                            "(SLUICE_INSECURE=true, for development)",
                            plan_http_host(&s->plan));
        /* The services drain one kind after the other, each within the time given to one. */
        conf->svc.drain_ms = 3 * conf->svc.drain_ms + DRAIN_MARGIN_MS;
        if (s->has_pg)
                start_postgres(s);
        else
                on_database(s);
        *out = s;
        return 0;
}

static void free_stack(void *arg)
{
        struct stack *s = arg;
        s->magic = 0;
        mem_free(s);
}

void stack_close(struct stack *s)
{
        if (s == NULL)
                return;
        CHECK_OBJ(s, STACK_MAGIC);
        s->ended = true; /* what is posted finds nothing to do */
        health_free(s->health);
        loop_timer_free(s->postgres_timer);
        loop_timer_free(s->remind_timer);
        for (int phase = 0; phase < N_PHASES; phase++)
                for (size_t i = 0; i < s->n_members; i++)
                        if (s->members[i].phase == (enum phase)phase)
                                child_kill(s->members[i].child);
        for (size_t i = 0; i < s->n_members; i++)
                child_free(s->members[i].child);
        if (s->has_pg)
                postgres_fini(&s->pg);
        datadir_close(&s->dir);
        loop_post(s->loop, free_stack, s); /* behind what is posted and still names it */
}
