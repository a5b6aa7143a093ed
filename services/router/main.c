#include "common/svc/svc.h"
#include "services/router/metrics.h"
#include "services/router/router.h"
#include "services/router/where_doc.h"

int main(int argc, char **argv)
{
        static struct router_conf conf;
        struct svc svc = {.name = "router",
                          .knobs = router_knobs,
                          .n_knobs = router_n_knobs,
                          .conf = &conf,
                          .metrics = router_metrics,
                          .n_metrics = ROUTER_METRICS,
                          .doc = where_doc,
                          .start = router_start,
                          .drain = router_drain,
                          .stop = router_stop};
        return svc_main(&svc, argc, argv);
}
