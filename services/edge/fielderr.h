/* The errors of one validation stage, by field, and the JSON that tells them (protocol §4.1). */
#ifndef SERVICES_EDGE_FIELDERR_H
#define SERVICES_EDGE_FIELDERR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "services/edge/arena.h"

enum { FIELDERR_MAX = 32 };

struct fielderr {
        struct arena *arena;
        struct {
                const char *field; /* static; `subset.limit` nests */
                struct slice message;
        } rows[FIELDERR_MAX];
        uint32_t n;
};

void fielderr_init(struct fielderr *e, struct arena *a);
/* Copies the message. Equal fields keep their order. More than FIELDERR_MAX are dropped. */
void fielderr_add(struct fielderr *e, const char *field, struct slice message);
static inline bool fielderr_any(const struct fielderr *e)
{
        return e->n > 0;
}
/* `{"message":"Invalid request","errors":{…}}`, fields sorted. */
void fielderr_json(struct fielderr *e, struct buf *out);

#endif
