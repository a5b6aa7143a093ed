/* The skeleton of a service: configuration, logs, signals, admin port, start, drain, stop. A
 * service's main() fills a struct svc and returns svc_main(). */
#ifndef COMMON_SVC_SVC_H
#define COMMON_SVC_SVC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/obs/metric.h"
#include "common/svc/loop.h"

enum svc_state { SVC_STARTING, SVC_WAITING, SVC_ACTIVE };

/* Knobs that every service has; the first member of its configuration struct. */
struct svc_conf {
        const char *log_level;
        uint64_t admin_port; /* 0: no admin port */
        const char *admin_host;
        const char *pid_file; /* "": none */
        uint64_t drain_ms;
        const char *bus_ca_file, *bus_cert_file, *bus_key_file; /* "": no TLS on the bus */
        const char *fault_dir; /* "": no faults; see common/fault/fault.h */
};

/* Rows for the service's own table. T: its configuration struct, whose member `svc` is a struct
 * svc_conf. */
#define SVC_KNOBS(T, prefix, admin_port_text)                                                      \
        {"SLUICE_LOG_LEVEL",         "ELECTRIC_LOG_LEVEL",           KNOB_STR, "info", 0, 0,       \
         offsetof(T, svc.log_level), "error, warning, info or debug"},                             \
                {prefix "_ADMIN_PORT",                                                             \
                 NULL,                                                                             \
                 KNOB_U64,                                                                         \
                 admin_port_text,                                                                  \
                 0,                                                                                \
                 65535,                                                                            \
                 offsetof(T, svc.admin_port),                                                      \
                 "port of /metrics, /healthz and /readyz; 0: none"},                               \
                {prefix "_ADMIN_HOST",                                                             \
                 NULL,                                                                             \
                 KNOB_STR,                                                                         \
                 "127.0.0.1",                                                                      \
                 0,                                                                                \
                 0,                                                                                \
                 offsetof(T, svc.admin_host),                                                      \
                 "address the admin port listens on"},                                             \
                {prefix "_PID_FILE",                                                               \
                 NULL,                                                                             \
                 KNOB_STR,                                                                         \
                 "",                                                                               \
                 0,                                                                                \
                 0,                                                                                \
                 offsetof(T, svc.pid_file),                                                        \
                 "file to write the process id to"},                                               \
                {"SLUICE_BUS_CA_FILE",                                                             \
                 NULL,                                                                             \
                 KNOB_STR,                                                                         \
                 "",                                                                               \
                 0,                                                                                \
                 0,                                                                                \
                 offsetof(T, svc.bus_ca_file),                                                     \
                 "PEM file of the CA whose certificates the peers of a tls+tcp:// bus must show"}, \
                {"SLUICE_BUS_CERT_FILE",                                                           \
                 NULL,                                                                             \
                 KNOB_STR,                                                                         \
                 "",                                                                               \
                 0,                                                                                \
                 0,                                                                                \
                 offsetof(T, svc.bus_cert_file),                                                   \
                 "PEM file of the certificate shown to them"},                                     \
                {"SLUICE_BUS_KEY_FILE", NULL, KNOB_STR, "", 0, 0, offsetof(T, svc.bus_key_file),   \
                 "PEM file of its key"},                                                           \
                {"SLUICE_FAULT_DIR",                                                               \
                 NULL,                                                                             \
                 KNOB_STR,                                                                         \
                 "",                                                                               \
                 0,                                                                                \
                 0,                                                                                \
                 offsetof(T, svc.fault_dir),                                                       \
                 "for tests: directory where orders to die at a fault point are put; empty: "      \
                 "none"},                                                                          \
        {                                                                                          \
                "SLUICE_DRAIN_TIMEOUT", NULL, KNOB_DURATION, "10s", 0, 600000,                     \
                        offsetof(T, svc.drain_ms), "how long SIGTERM waits for work in progress"   \
        }

struct svc {
        const char *name;         /* "ingest" */
        const struct knob *knobs; /* the first SVC_KNOBS rows and its own */
        size_t n_knobs;
        void *conf; /* the configuration struct, zeroed; begins with struct svc_conf */
        struct metric *metrics;
        size_t n_metrics;
        void (*doc)(
                struct buf *out); /* NULL, or what --doc prints besides: tables below headings */

        /* All on the main thread, which runs the loop. start: 0, or an error after one log line or
         * with a reason in *why (logged by the skeleton; exit status 1). drain: stop taking new
         * work; call svc_drained() when done. stop: free all. */
        int (*start)(struct loop *loop, void *conf, struct buf *why);
        void (*drain)(void);
        void (*stop)(void);
};

/* Returns the exit status of the process: 0, 1 (could not start, failed), 2 (configuration). Also
 * handles
 * --help and --doc (prints the markdown tables of knobs, metrics and of `doc`). SIGTERM and SIGINT
 * drain; another one half a second later or more stops at once. */
int svc_main(const struct svc *svc, int argc, char **argv);

/* Any thread. The reason (one line; copied) is shown by /readyz, which is 200 only when SVC_ACTIVE.
 */
void svc_set_state(enum svc_state state, const char *reason);
enum svc_state svc_get_state(struct buf *reason);
/* Any thread: what drain() waited for has ended. */
void svc_drained(void);
/* Any thread: log the reason and end the process in order, with this exit status. */
void svc_fail(int exit_status, const char *event, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#endif
