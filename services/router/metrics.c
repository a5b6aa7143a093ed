#include "services/router/metrics.h"

struct metric router_metrics[ROUTER_METRICS] = {
#define M(id, kind, text, about)                                                                   \
        [METRIC_##id] = {.name = text, .type = METRIC_##kind, .what = about},
#include "services/router/metrics.def"
#undef M
};
