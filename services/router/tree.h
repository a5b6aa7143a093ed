/* A table's place among partitions, as a shape's record keeps it: enough to tell later whether its
 * partitions have changed in a way that the stream does not show.
 *
 * A partition that is created as one is empty, and everything that is written to it comes through
 * the stream. One that is attached brings rows, one that is detached or dropped takes rows away: no
 * change says so, and shapes of the table must begin again. A partition that loses a table above it
 * may have been published through that table: its own shapes must begin again, too.
 *
 * Trees may have thousands of partitions, and every shape has a record: so it is a sum of hashes
 * and the newest link's transaction. Of a later tree the links up to that transaction must give the
 * same sum, and those after it must be of partitions born there. Transaction ids wrap: when that
 * misleads (two thousand million transactions without a new partition) the answer is no. */
#ifndef SERVICES_ROUTER_TREE_H
#define SERVICES_ROUTER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `child` is attached to `parent`. */
struct tree_link {
        uint32_t child, parent;
        uint32_t since; /* xid */
        bool born;      /* created attached */
};

struct tree {
        uint64_t below;  /* sum of the hashes of the links below */
        uint64_t above;  /* of those above; 0: not a partition */
        uint32_t newest; /* of the links below, when there are any */
        bool parted;     /* there are links below */
};

void tree_add_below(struct tree *t, const struct tree_link *link);
void tree_add_above(struct tree *t, const struct tree_link *link);
/* The link is not among those that the tree was made of. */
bool tree_is_later(const struct tree *t, uint32_t since);
/* Can what was true of `old` be continued? links: all below `now`. */
bool tree_continues(const struct tree *old, const struct tree *now, const struct tree_link *links,
                    size_t n);

#endif
