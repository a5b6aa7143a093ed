/* What a cast says behind the name of its type: numeric(10,2), varchar(3), timestamp(0). */
#ifndef SERVICES_ROUTER_WHERE_MODIFIER_H
#define SERVICES_ROUTER_WHERE_MODIFIER_H

#include "services/router/where_type.h"

enum { WHERE_MAX_MODIFIERS = 2 };

struct where_modifier {
        int32_t first; /* length, or precision */
        int32_t scale; /* numeric */
};

/* The numbers as the grammar gives them. False: the type has none such, or only some servers know
 * it. */
bool where_modifier_read(enum where_type t, const int32_t *numbers, int n,
                         struct where_modifier *out);
void where_modifier_print(enum where_type t, struct where_modifier m, struct buf *out);
/* An explicit cast of a value of type `t`, or of the elements of an array of it: strings are cut
 * and padded, numbers and times are rounded. */
bool where_modifier_apply(struct where_ctx *c, enum where_type t, struct where_modifier m,
                          const struct where_value *in, struct where_value *out);

#endif
