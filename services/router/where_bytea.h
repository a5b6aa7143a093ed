/* The text forms of bytea: `\x6869`, and, only read, `hi\000\\`. */
#ifndef SERVICES_ROUTER_WHERE_BYTEA_H
#define SERVICES_ROUTER_WHERE_BYTEA_H

#include "services/router/where_type.h"

/* ERR_FORMAT. The bytes may borrow `text`. */
int where_bytea_read(struct slice text, struct where_scratch *s, struct slice *out);
void where_bytea_print(struct slice bytes, struct buf *out);
/* -1: it is none. */
int where_hex_digit(char c);

#endif
