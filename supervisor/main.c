/* The supervisor behind `make run`: starts a whole Sluice on one machine, keeps it running, ends it
 * in order. In a cluster its work is done by Kubernetes (deploy/k8s); the services are the same. */
#include <stdlib.h>

#include "common/svc/svc.h"
#include "supervisor/stack.h"

static struct stack_conf conf;
static struct stack *stack;

#define AT(member) offsetof(struct stack_conf, member)

static const struct knob knobs[] = {
        SVC_KNOBS(struct stack_conf, "SLUICE_SUPERVISOR", "0"),
        {"DATABASE_URL", NULL, KNOB_URL, "", 0, 0, AT(database_url),
         "the Postgres to sync from; unset: a private one below the data directory, with a demo "
         "table"},
        {"SLUICE_HTTP_PORT", "ELECTRIC_PORT", KNOB_U64, "3000", 1, 65535, AT(http_port),
         "port of edge 0; edge i listens on this port + i"},
        {"SLUICE_HTTP_HOST", NULL, KNOB_STR, "", 0, 0, AT(http_host),
         "address the edges listen on; unset: 0.0.0.0, or 127.0.0.1 when neither a secret nor "
         "SLUICE_INSECURE is given"},
        {"SLUICE_DATA_DIR", "ELECTRIC_STORAGE_DIR", KNOB_STR, "./.sluice", 0, 0, AT(data_dir),
         "everything on disk is below this directory"},
        {"SLUICE_ROUTERS", NULL, KNOB_U64, "1", 1, STACK_EACH_MAX, AT(routers),
         "number of router shards"},
        {"SLUICE_EDGES", NULL, KNOB_U64, "1", 1, STACK_EACH_MAX, AT(edges), "number of edges"},
        {"SLUICE_ADMIN_PORT", NULL, KNOB_U64, "0", 0, 65535, AT(admin_port),
         "admin port of ingest; router i has this + 1 + i, the edges follow; 0: no admin ports"},
        {"SLUICE_DEMO", NULL, KNOB_BOOL, "true", 0, 0, AT(demo),
         "start the demo's write server when the private Postgres, Node.js and examples/demo are "
         "there"},
        {"SLUICE_DEMO_PORT", NULL, KNOB_U64, "0", 0, 65535, AT(demo_port),
         "port of the demo's write server; 0: SLUICE_HTTP_PORT + 100"},
        {"SLUICE_SECRET", "ELECTRIC_SECRET", KNOB_STR, "", 0, 0, AT(secret),
         "passed on to the edges: the secret clients must send"},
        {"SLUICE_INSECURE", "ELECTRIC_INSECURE", KNOB_STR, "", 0, 0, AT(insecure),
         "passed on to the edges; unset and without a secret: true, with a warning"},
};

static int start(struct loop *loop, void *unused, struct buf *why)
{
        (void)unused;
        return stack_open(loop, &conf, &stack, why);
}

static void drain(void)
{
        stack_drain(stack);
}

static void stop(void)
{
        stack_close(stack);
        stack = NULL;
}

int main(int argc, char **argv)
{
        const struct svc svc = {.name = "supervisor",
                                .knobs = knobs,
                                .n_knobs = sizeof(knobs) / sizeof(knobs[0]),
                                .conf = &conf,
                                .start = start,
                                .drain = drain,
                                .stop = stop};
        return svc_main(&svc, argc, argv);
}
