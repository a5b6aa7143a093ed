/* jsonb values: what they print as, and when two are equal. Their order is not known here: Postgres
 * orders their strings by the database's collation. */
#ifndef SERVICES_ROUTER_WHERE_JSON_H
#define SERVICES_ROUTER_WHERE_JSON_H

#include "services/router/where_type.h"

struct where_json {
        struct slice text; /* as Postgres prints it */
        struct slice key;  /* equal just when the values are: numbers without trailing zeros */
};

/* ERR_FORMAT, ERR_RANGE. */
int where_json_read(struct slice text, struct where_scratch *s, struct where_json *out);

#endif
