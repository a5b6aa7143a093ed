/* LIKE on UTF-8 text, as Postgres' like_match.c matches. */
#ifndef SERVICES_ROUTER_WHERE_LIKE_H
#define SERVICES_ROUTER_WHERE_LIKE_H

#include "services/router/where_type.h"

/* The pattern with backslashes for what an ESCAPE clause names; none: nothing escapes. False: an
 * error, in c->error. */
bool where_like_escape(struct where_ctx *c, struct slice pattern, struct slice escape,
                       struct slice *out);
/* False: an error, in c->error (a pattern that ends with the escape character, and that the match
 * gets to). */
bool where_like(struct where_ctx *c, struct slice text, struct slice pattern, bool *matches);

#endif
