#include "services/router/where_list.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b, void *cmp)
{
        return ((where_cmp *)cmp)(a, b);
}

static int by_text(const void *a, const void *b)
{
        return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static struct slice text_of(enum where_type type, const struct where_value *v,
                            struct where_scratch *arena)
{
        struct buf b;
        buf_init(&b, SIZE_MAX / 2);
        where_value_print(type, v, &b);
        char *copy = where_alloc(arena, b.len + 1);
        memcpy(copy, buf_slice(&b).p, b.len);
        struct slice text = slice_of(copy, b.len);
        buf_fini(&b);
        return text;
}

struct where_list *where_list_new(enum where_type type, struct where_node *const *consts,
                                  uint32_t n, struct where_scratch *arena)
{
        struct where_list *l = where_alloc(arena, sizeof(*l));
        *l = (struct where_list){.type = type};
        where_cmp *cmp = where_type_cmp(type);
        l->values = where_alloc(arena, (n + 1) * sizeof(*l->values));
        for (uint32_t i = 0; i < n; i++) {
                if (consts[i]->value.null)
                        l->has_null = true;
                else
                        l->values[l->n++] = consts[i]->value;
        }
        qsort_r(l->values, l->n, sizeof(*l->values), by_value, (void *)cmp);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < l->n; i++)
                if (kept == 0 || cmp(&l->values[kept - 1], &l->values[i]) != 0)
                        l->values[kept++] = l->values[i];
        l->n = kept;
        if (where_type_text_is_identity(type)) {
                l->texts = where_alloc(arena, (l->n + 1) * sizeof(*l->texts));
                for (uint32_t i = 0; i < l->n; i++)
                        l->texts[i] = text_of(type, &l->values[i], arena);
                qsort(l->texts, l->n, sizeof(*l->texts), by_text);
        }
        return l;
}

bool where_list_has(const struct where_list *l, where_cmp *cmp, const struct where_value *v)
{
        uint32_t from = 0, to = l->n;
        while (from < to) {
                uint32_t middle = from + (to - from) / 2;
                int c = cmp(&l->values[middle], v);
                if (c == 0)
                        return true;
                if (c < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        return false;
}

bool where_list_has_text(const struct where_list *l, struct slice text)
{
        uint32_t from = 0, to = l->n;
        while (from < to) {
                uint32_t middle = from + (to - from) / 2;
                int c = slice_cmp(l->texts[middle], text);
                if (c == 0)
                        return true;
                if (c < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        return false;
}
