#include "services/router/tree.h"

#include "common/base/hash.h"

static uint64_t hash_link(const struct tree_link *link)
{
        uint32_t id[3] = {link->child, link->parent, link->since};
        return hash64(slice_of((const char *)id, sizeof(id)));
}

static bool is_after(uint32_t xid, uint32_t other)
{
        return (int32_t)(xid - other) > 0;
}

void tree_add_below(struct tree *t, const struct tree_link *link)
{
        if (!t->parted || is_after(link->since, t->newest))
                t->newest = link->since;
        t->parted = true;
        t->below += hash_link(link);
}

void tree_add_above(struct tree *t, const struct tree_link *link)
{
        t->above += hash_link(link);
}

bool tree_is_later(const struct tree *t, uint32_t since)
{
        return !t->parted || is_after(since, t->newest);
}

bool tree_continues(const struct tree *old, const struct tree *now, const struct tree_link *links,
                    size_t n)
{
        uint64_t known = 0;
        if (old->above != 0 && old->above != now->above)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (!tree_is_later(old, links[i].since))
                        known += hash_link(&links[i]);
                else if (!links[i].born)
                        return false;
        }
        return known == old->below;
}
