/* Rows of COPY … TO STDOUT in Postgres' text format. Pure. */
#ifndef SERVICES_ROUTER_COPYTEXT_H
#define SERVICES_ROUTER_COPYTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire/change.h"

/* Takes the line of one row, its newline included, apart: field i becomes values[to[i]], NULL or
 * text that borrows from the line. Escapes are resolved in place. ERR_FORMAT: it is not a row of
 * `n` fields. */
int copytext_parse(char *line, size_t len, const uint32_t *to, uint32_t n,
                   struct change_value *values);

#endif
