/* What projection_new() prepares for render.c; nobody else includes this. */
#ifndef SERVICES_ROUTER_PROJECTION_H
#define SERVICES_ROUTER_PROJECTION_H

#include "services/router/render.h"

enum { PROJECTION_MAGIC = 0x9207ec71 };

enum render_operation { OP_INSERT, OP_UPDATE, OP_DELETE, N_OPERATIONS };

/* How an entry begins, before the key. */
#define ENTRY_OPEN "{\"key\":\""

/* A selected column; they are sorted by name. */
struct out_column {
        uint32_t index;    /* into the row */
        struct slice open; /* ,"name":" */
        enum render_as render;
        bool is_key;
};

struct key_column {
        uint32_t index;
        enum render_as render;
};

struct projection {
        uint32_t magic;
        const struct table *table; /* borrowed */
        bool full;                 /* replica=full */
        struct out_column *columns;
        uint32_t n_columns;
        struct key_column *key; /* the primary key, or every column */
        uint32_t n_key;
        bool *needs;
        struct buf bytes;                /* what the slices borrow from */
        struct slice key_name;           /* "public"."items" */
        struct slice key_head;           /* {"key":"\"public\".\"items\" */
        struct slice snapshot_tail;      /* ,"headers":{"operation":"insert","relation":[…]}} */
        struct slice head[N_OPERATIONS]; /* ,"headers":{"operation":"…","relation":[…],"txids":[ */
};

#endif
