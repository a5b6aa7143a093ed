/* The ready-made verdicts of the catalog; for catalog.c and its judge only. */
#ifndef SERVICES_ROUTER_CATALOG_VERDICT_H
#define SERVICES_ROUTER_CATALOG_VERDICT_H

#include "services/router/catalog.h"
#include "services/router/zone.h"

/* Names in a message come from a definition, so this is more than any needs. */
enum { CATALOG_BODY_MAX_BYTES = 8 * DEFINITION_MAX_BYTES };

/* 400: the table does not exist. */
void catalog_refuse_table(struct catalog_answer *a, const struct definition *d);
/* 400: the clause names a time zone of which the database has other rules; or it has numeric
 * powers, and the database other digits. */
void catalog_refuse_zone(struct catalog_answer *a, const struct zone *zone);
/* 400: bytes that are no definition. */
void catalog_refuse_definition(struct catalog_answer *a);
/* 503: the database does not answer. */
void catalog_unreachable(struct catalog_answer *a);

#endif
