/* Every request comes in here: which route, who may, what answers (protocol §1.1–1.3). */
#ifndef SERVICES_EDGE_SITE_H
#define SERVICES_EDGE_SITE_H

#include "services/edge/worker.h"

void site_on_request(struct worker *w, struct http_request *r);
/* Head and body (static) for what h2o refuses by itself. */
struct slice site_on_refused(struct worker *w, int status, struct http_head *head);

#endif
