/* The lists of URLs that say where the ingests are: entry i of both is ingest i. Pure. */
#ifndef SERVICES_ROUTER_LINKS_H
#define SERVICES_ROUTER_LINKS_H

#include <stdint.h>

#include "common/base/buf.h"

enum { LINKS_MAX = 16 };

struct links {
        uint32_t n;
        char *changes[LINKS_MAX], *control[LINKS_MAX]; /* owned */
};

/* ERR_CONF with a line in *why. */
int links_parse(const char *changes_urls, const char *control_urls, struct links *out,
                struct buf *why);
void links_fini(struct links *l);

#endif
