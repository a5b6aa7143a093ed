/* The files below /demo/: a small static file server for the demonstration pages, off unless it is
 * given a directory. */
#ifndef SERVICES_EDGE_DEMO_H
#define SERVICES_EDGE_DEMO_H

#include "common/base/buf.h"
#include "services/edge/exchange.h"
#include "services/edge/path.h"

/* -1 when `dir` is empty; ERR_CONF with a line in *why when it cannot be opened. */
int demo_open(const char *dir, int *fd, struct buf *why);
/* GET or HEAD of a path below /demo. */
void demo_answer(struct exchange *x, const struct path *path);

#endif
