#include "services/edge/path.h"

#include "services/edge/text.h"

/* `http://host/path` -> `/path`; anything else is returned as it is. */
static struct slice origin_form(struct slice target)
{
        if (target.len == 0 || target.p[0] == '/')
                return target;
        const char *colon = memchr(target.p, ':', target.len);
        size_t left = colon ? target.len - (size_t)(colon - target.p) : 0;
        if (left < 3 || colon[1] != '/' || colon[2] != '/')
                return target;
        const char *slash = memchr(colon + 3, '/', left - 3);
        return slash ? slice_of(slash, target.len - (size_t)(slash - target.p)) : SLICE_LIT("/");
}

static struct slice split_query(struct slice target, struct slice *query)
{
        const char *mark = target.len ? memchr(target.p, '?', target.len) : NULL;
        *query = SLICE_EMPTY;
        if (!mark)
                return target;
        size_t at = (size_t)(mark - target.p);
        *query = slice_of(mark + 1, target.len - at - 1);
        return slice_of(target.p, at);
}

static bool add_segment(struct arena *a, struct path *out, struct slice raw)
{
        if (raw.len == 0)
                return true;
        if (out->n_segments == PATH_MAX_SEGMENTS)
                return false;
        struct slice *to = &out->segments[out->n_segments];
        if (text_percent_decode(a, raw, false, to) != 0)
                return false;
        out->n_segments++;
        return true;
}

static bool split_segments(struct arena *a, struct slice path, struct path *out)
{
        size_t start = 0;
        for (size_t i = 0; i <= path.len; i++) {
                if (i < path.len && path.p[i] != '/')
                        continue;
                if (!add_segment(a, out, slice_of(path.p + start, i - start)))
                        return false;
                start = i + 1;
        }
        return true;
}

static bool segments_are(const struct path *p, struct slice first, struct slice second)
{
        return p->n_segments == 2 && slice_eq(p->segments[0], first) &&
               slice_eq(p->segments[1], second);
}

static enum route route_of(const struct path *p)
{
        if (p->n_segments == 0)
                return ROUTE_ROOT;
        if (segments_are(p, SLICE_LIT("v1"), SLICE_LIT("shape")))
                return ROUTE_SHAPE;
        if (segments_are(p, SLICE_LIT("v1"), SLICE_LIT("health")))
                return ROUTE_HEALTH;
        if (slice_eq(p->segments[0], SLICE_LIT("demo")))
                return ROUTE_DEMO;
        return ROUTE_NONE;
}

void path_resolve(struct arena *a, struct slice target, struct path *out)
{
        *out = (struct path){.route = ROUTE_NONE, .query = SLICE_EMPTY};
        struct slice path = split_query(origin_form(target), &out->query);
        if (path.len == 0 || path.p[0] != '/' || !split_segments(a, path, out))
                return;
        out->trailing_slash = path.p[path.len - 1] == '/';
        out->route = route_of(out);
}
