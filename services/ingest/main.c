#include "common/svc/svc.h"
#include "services/ingest/ingest.h"

int main(int argc, char **argv)
{
        static struct ingest_conf conf;
        struct svc svc = {.name = "ingest",
                          .knobs = ingest_knobs,
                          .n_knobs = ingest_n_knobs,
                          .conf = &conf,
                          .metrics = ingest_metrics,
                          .n_metrics = INGEST_N_METRICS,
                          .start = ingest_start,
                          .drain = ingest_drain,
                          .stop = ingest_stop};
        return svc_main(&svc, argc, argv);
}
