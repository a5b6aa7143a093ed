/* Tables for the tests of this directory. */
#ifndef SERVICES_ROUTER_SAMPLE_TABLE_H
#define SERVICES_ROUTER_SAMPLE_TABLE_H

#include "services/router/table.h"

/* A column of a sample table; `pk` is its 1-based place in the key, 0: not part of it. */
struct sample_column {
        const char *name, *type;
        int32_t type_mod, dims, pk;
        bool not_null, generated;
};

static inline enum render_as sample_render(const char *type)
{
        if (strcmp(type, "bool") == 0)
                return RENDER_BOOL;
        return strcmp(type, "inet") == 0 ? RENDER_INET : RENDER_TEXT;
}

static inline struct table *sample_table(const char *schema, const char *name,
                                         const struct sample_column *columns, uint32_t n)
{
        uint32_t n_pk = 0;
        for (uint32_t i = 0; i < n; i++)
                n_pk += columns[i].pk > 0;
        struct table *t = table_new(n, n_pk);
        t->oid = 16400;
        t->kind = 'r';
        t->schema = slice_dup(slice_cstr(schema));
        t->name = slice_dup(slice_cstr(name));
        for (uint32_t i = 0; i < n; i++) {
                struct table_column *c = &t->columns[i];
                c->name = slice_dup(slice_cstr(columns[i].name));
                c->type_name = slice_dup(slice_cstr(columns[i].type));
                c->type_oid = 1000 + i;
                c->type_mod = columns[i].type_mod;
                c->dims = columns[i].dims;
                c->pk_index = columns[i].pk - 1;
                c->not_null = columns[i].not_null;
                c->generated = columns[i].generated;
                c->render = sample_render(columns[i].type);
                c->collation = COLLATION_ALL;
                if (columns[i].pk > 0)
                        t->pk[columns[i].pk - 1] = i;
        }
        return t;
}

#endif
