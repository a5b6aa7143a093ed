/* What the where language has, as tables for docs/where.md: from the tables that the checker itself
 * goes by. */
#ifndef SERVICES_ROUTER_WHERE_DOC_H
#define SERVICES_ROUTER_WHERE_DOC_H

#include "common/base/buf.h"

/* Markdown, each table below a heading "### Where …". */
void where_doc(struct buf *out);

#endif
