/* h2o's normalisation of paths, replaced: the linker takes this definition for the library's own.
 * That one prints a path that it cannot normalise to stderr, with the query string, in which the
 * secret may stand (secured.test.mjs holds it to that); and what it makes of the others is for
 * nobody, because the one handler has every path and routes by what was sent (path.h). */
#include <h2o.h>

h2o_iovec_t h2o_url_normalize_path(h2o_mem_pool_t *pool, const char *path, size_t len,
                                   size_t *query_at, size_t **norm_indexes)
{
        const char *mark = len ? memchr(path, '?', len) : NULL;
        (void)pool;
        *norm_indexes = NULL;
        *query_at = mark ? (size_t)(mark - path) : SIZE_MAX;
        if (len == 0 || path[0] != '/')
                return h2o_iovec_init(H2O_STRLIT("/"));
        return h2o_iovec_init(path, mark ? *query_at : len);
}
