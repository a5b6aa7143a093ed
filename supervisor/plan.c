#include "supervisor/plan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "supervisor/path.h"

enum {
        DEMO_PORT_ABOVE = 100,
        STOP_GRACE_MS = 2000, /* beyond the time a service gives itself to drain */
        URLS_MAX = STACK_EACH_MAX * (DATADIR_URL_MAX + 1)
};

/* --- finding programs --- */

static int find_bin_dir(struct plan *p, struct buf *why)
{
        ssize_t n = readlink("/proc/self/exe", p->bin_dir, sizeof(p->bin_dir) - 1);
        if (n <= 0) {
                buf_printf(why, "cannot find the supervisor's own program: %s", strerror(errno));
                return ERR_NOTFOUND;
        }
        p->bin_dir[n] = '\0';
        *strrchr(p->bin_dir, '/') = '\0';
        static const char *const services[] = {"ingest", "router", "edge"};
        for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
                char path[PATH_MAX];
                path_printf(path, "%s/sluice-%s", p->bin_dir, services[i]);
                if (access(path, X_OK) != 0) {
                        buf_printf(why, "there is no program %s: build it with make", path);
                        return ERR_NOTFOUND;
                }
        }
        return 0;
}

static bool is_file(const char *path)
{
        struct stat st;
        return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* build/<variant>/ in a work tree has the demo two directories up. */
static void find_demo(struct plan *p)
{
        char path[PATH_MAX], resolved[PATH_MAX];
        path_printf(path, "%s/../../examples/demo/server.mjs", p->bin_dir);
        if (realpath(path, resolved) == NULL || !is_file(resolved))
                return;
        *strrchr(resolved, '/') = '\0';
        memcpy(p->demo_dir, resolved, sizeof(resolved));
}

static void find_node(struct plan *p)
{
        const char *path = getenv("PATH");
        while (path != NULL && *path != '\0') {
                size_t len = strcspn(path, ":");
                int n = snprintf(p->node, sizeof(p->node), "%.*s/node", (int)len, path);
                if (n > 0 && (size_t)n < sizeof(p->node) && access(p->node, X_OK) == 0)
                        return;
                path += len + (path[len] == ':');
        }
        p->node[0] = '\0';
}

int plan_init(struct plan *p, const struct stack_conf *conf, const struct datadir *dir,
              struct buf *why)
{
        SLUICE_ASSERT(p != NULL && conf != NULL && dir != NULL);
        *p = (struct plan){.conf = conf, .dir = dir};
        p->open_to_all = conf->secret[0] == '\0' && conf->insecure[0] == '\0';
        int err = find_bin_dir(p, why);
        if (!err && conf->demo) {
                find_demo(p); /* from where the programs are */
                find_node(p);
        }
        return err;
}

/* --- what all services share --- */

/* `prefix`: as in the names of the service's variables. `nth`: its place among the admin ports. */
static void plan_service(const struct plan *p, const char *service, const char *prefix,
                         uint64_t nth, struct plan_strings *strings, struct child_spec *out)
{
        path_printf(strings->program, "%s/sluice-%s", p->bin_dir, service);
        *out = (struct child_spec){.name = strings->name,
                                   .argv = {strings->program},
                                   .output_fd = -1,
                                   .death_signal = SIGKILL,
                                   .stop_signal = SIGTERM,
                                   .kill_signal = SIGKILL,
                                   .stop_ms = p->conf->svc.drain_ms + STOP_GRACE_MS,
                                   .run_dir = p->dir->run};
        char name[64];
        envlist_init(&out->env, environ);
        envlist_set(&out->env, "DATABASE_URL", "%s", p->database_url);
        snprintf(name, sizeof(name), "%s_ADMIN_PORT", prefix);
        uint64_t port = p->conf->admin_port == 0 ? 0 : p->conf->admin_port + nth;
        envlist_set(&out->env, name, "%llu", (unsigned long long)port);
        snprintf(name, sizeof(name), "%s_PID_FILE", prefix);
        envlist_set(&out->env, name, "%s", ""); /* the supervisor writes them */
}

static void set_url(const struct plan *p, struct envlist *env, const char *variable,
                    const char *socket)
{
        char url[DATADIR_URL_MAX];
        datadir_url(p->dir, socket, url);
        envlist_set(env, variable, "%s", url);
}

static void router_socket(char out[32], uint64_t i, const char *what)
{
        snprintf(out, 32, "router-%llu-%s", (unsigned long long)i, what);
}

/* The same socket of every router, in the order of the shards. */
static void set_router_urls(const struct plan *p, struct envlist *env, const char *variable,
                            const char *what)
{
        struct buf urls;
        buf_init(&urls, URLS_MAX);
        for (uint64_t i = 0; i < p->conf->routers; i++) {
                char socket[32], url[DATADIR_URL_MAX];
                router_socket(socket, i, what);
                datadir_url(p->dir, socket, url);
                if (i > 0)
                        buf_putc(&urls, ',');
                buf_puts(&urls, url);
        }
        SLUICE_ASSERT(buf_status(&urls) == 0);
        envlist_set(env, variable, "%s", buf_cstr(&urls));
        buf_fini(&urls);
}

/* --- one by one --- */

void plan_ingest(const struct plan *p, struct plan_strings *strings, struct child_spec *out)
{
        snprintf(strings->name, sizeof(strings->name), "ingest");
        plan_service(p, "ingest", "SLUICE_INGEST", 0, strings, out);
        set_url(p, &out->env, "SLUICE_INGEST_CHANGES_URL", "changes");
        set_url(p, &out->env, "SLUICE_INGEST_CONTROL_URL", "control");
        envlist_set(&out->env, "SLUICE_ROUTERS", "%llu", (unsigned long long)p->conf->routers);
}

void plan_router(const struct plan *p, uint64_t i, struct plan_strings *strings,
                 struct child_spec *out)
{
        char socket[32], dir[PATH_MAX];
        snprintf(strings->name, sizeof(strings->name), "router-%llu", (unsigned long long)i);
        plan_service(p, "router", "SLUICE_ROUTER", 1 + i, strings, out);
        datadir_path(p->dir, strings->name, dir);
        envlist_set(&out->env, "SLUICE_ROUTER_INDEX", "%llu", (unsigned long long)i);
        envlist_set(&out->env, "SLUICE_ROUTER_DIR", "%s", dir);
        set_url(p, &out->env, "SLUICE_INGEST_CHANGES_URLS", "changes");
        set_url(p, &out->env, "SLUICE_INGEST_CONTROL_URLS", "control");
        router_socket(socket, i, "notices");
        set_url(p, &out->env, "SLUICE_ROUTER_NOTICES_URL", socket);
        router_socket(socket, i, "fetch");
        set_url(p, &out->env, "SLUICE_ROUTER_FETCH_URL", socket);
}

void plan_edge(const struct plan *p, uint64_t i, struct plan_strings *strings,
               struct child_spec *out)
{
        snprintf(strings->name, sizeof(strings->name), "edge-%llu", (unsigned long long)i);
        plan_service(p, "edge", "SLUICE_EDGE", 1 + p->conf->routers + i, strings, out);
        envlist_set(&out->env, "SLUICE_HTTP_PORT", "%llu",
                    (unsigned long long)(p->conf->http_port + i));
        envlist_set(&out->env, "SLUICE_HTTP_HOST", "%s", plan_http_host(p));
        set_router_urls(p, &out->env, "SLUICE_ROUTER_NOTICES_URLS", "notices");
        set_router_urls(p, &out->env, "SLUICE_ROUTER_FETCH_URLS", "fetch");
        if (p->open_to_all)
                envlist_set(&out->env, "SLUICE_INSECURE", "true");
        else if (p->conf->insecure[0] != '\0')
                envlist_set(&out->env, "SLUICE_INSECURE", "%s", p->conf->insecure);
        if (p->conf->secret[0] != '\0')
                envlist_set(&out->env, "SLUICE_SECRET", "%s", p->conf->secret);
        if (p->demo_dir[0] != '\0' && envlist_get(&out->env, "SLUICE_EDGE_STATIC_DIR") == NULL)
                envlist_set(&out->env, "SLUICE_EDGE_STATIC_DIR", "%s/dist", p->demo_dir);
}

/* The demo writes to the database it is shown from, so it runs only with a database made for it. */
bool plan_has_demo(const struct plan *p)
{
        return p->demo_dir[0] != '\0' && p->node[0] != '\0' && p->conf->database_url[0] == '\0';
}

void plan_demo(const struct plan *p, struct plan_strings *strings, struct child_spec *out)
{
        SLUICE_ASSERT(plan_has_demo(p));
        snprintf(strings->name, sizeof(strings->name), "demo");
        path_printf(strings->program, "%s", p->node);
        path_printf(strings->script, "%s/server.mjs", p->demo_dir);
        *out = (struct child_spec){.name = strings->name,
                                   .argv = {strings->program, strings->script},
                                   .output_fd = -1,
                                   .death_signal = SIGKILL,
                                   .stop_signal = SIGTERM,
                                   .kill_signal = SIGKILL,
                                   .stop_ms = STOP_GRACE_MS,
                                   .run_dir = p->dir->run};
        envlist_init(&out->env, environ);
        envlist_set(&out->env, "DATABASE_URL", "%s", p->database_url);
        envlist_set(&out->env, "DEMO_PORT", "%u", plan_demo_port(p));
        envlist_set(&out->env, "SLUICE_URL", "http://127.0.0.1:%llu",
                    (unsigned long long)p->conf->http_port);
}

/* --- addresses --- */

const char *plan_http_host(const struct plan *p)
{
        if (p->conf->http_host[0] != '\0')
                return p->conf->http_host;
        return p->open_to_all ? "127.0.0.1" : "0.0.0.0";
}

bool plan_demo_port_is_usual(const struct plan *p)
{
        return plan_demo_port(p) == p->conf->http_port + DEMO_PORT_ABOVE;
}

uint16_t plan_demo_port(const struct plan *p)
{
        uint64_t port =
                p->conf->demo_port != 0 ? p->conf->demo_port : p->conf->http_port + DEMO_PORT_ABOVE;
        return (uint16_t)(port <= UINT16_MAX ? port : port - 2 * DEMO_PORT_ABOVE);
}
