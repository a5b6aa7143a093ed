/* One change rendered for one view, at most once however many shapes share it. The writer thread's.
 */
#ifndef SERVICES_ROUTER_RENDERING_H
#define SERVICES_ROUTER_RENDERING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "services/router/match.h"
#include "services/router/render.h"

struct rendering;

struct rendering *rendering_new(void);
void rendering_free(struct rendering *r);

/* The next change: forgets what was rendered. `change` is borrowed until the next call. */
void rendering_start(struct rendering *r, const struct change_txn *txn,
                     const struct change *change);

struct rendering_entry {
        struct log_offset at;
        struct slice
                json; /* without its closing bytes; borrowed until another view's is asked for */
};
/* What the change is for a shape that has the old row, the new row or both (protocol §3.5-3.7): 0
 * to 2 entries. ERR_LIMIT: an entry is too large. */
int rendering_get(struct rendering *r, const struct match_rows *rows, bool old_in, bool new_in,
                  struct rendering_entry out[2], uint32_t *n);

#endif
