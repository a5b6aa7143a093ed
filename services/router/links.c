#include "services/router/links.h"

#include <string.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/slice.h"

/* Entries of a comma separated list without the spaces around them; too many: LINKS_MAX + 1. */
static uint32_t split(const char *list, char **out)
{
        uint32_t n = 0;
        for (const char *p = list;; p++) {
                size_t len = strcspn(p, ",");
                struct slice s = slice_of(p, len);
                while (s.len && *s.p == ' ')
                        s = slice_of(s.p + 1, s.len - 1);
                while (s.len && s.p[s.len - 1] == ' ')
                        s.len--;
                if (s.len && n == LINKS_MAX)
                        return n + 1;
                if (s.len)
                        out[n++] = slice_dup_cstr(s);
                p += len;
                if (!*p)
                        return n;
        }
}

int links_parse(const char *changes_urls, const char *control_urls, struct links *out,
                struct buf *why)
{
        struct links l = {0};
        uint32_t changes = split(changes_urls, l.changes), control = split(control_urls, l.control);
        if (changes == 0 || changes > LINKS_MAX || changes != control) {
                buf_printf(why,
                           "SLUICE_INGEST_CHANGES_URLS and SLUICE_INGEST_CONTROL_URLS must have "
                           "the same number of URLs, 1 to %d",
                           LINKS_MAX);
                links_fini(&l);
                return ERR_CONF;
        }
        l.n = changes;
        *out = l;
        return 0;
}

void links_fini(struct links *l)
{
        for (uint32_t i = 0; i < LINKS_MAX; i++) {
                mem_free(l->changes[i]);
                mem_free(l->control[i]);
        }
        *l = (struct links){0};
}
