/* Postgres' parser bounds the nesting of its grammar, not that of the trees it makes (`1+1+1+…`),
 * and neither its writer nor protobuf's reader bounds its recursion. So both run on a thread with a
 * stack that is deep enough for any text that is allowed. */
#include "services/router/sql_parse.h"

#include <pthread.h>
#include <string.h>

#include "common/base/assert.h"

enum { STACK_BYTES = 128 << 20, TEXT_MAX_BYTES = 128 << 10 };

/* The message that a field holds, if it holds one that is set. */
static const ProtobufCMessage *child(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
        const char *at = (const char *)m;
        bool in_oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        if (in_oneof && *(const uint32_t *)(const void *)(at + f->quantifier_offset) != f->id)
                return NULL;
        return *(ProtobufCMessage *const *)(const void *)(at + f->offset);
}

static bool has_sublink(const ProtobufCMessage *m)
{
        if (!m)
                return false;
        if (m->descriptor == &pg_query__sub_link__descriptor)
                return true;
        for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
                const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
                if (f->type != PROTOBUF_C_TYPE_MESSAGE)
                        continue;
                if (f->label != PROTOBUF_C_LABEL_REPEATED) {
                        if (has_sublink(child(m, f)))
                                return true;
                        continue;
                }
                const char *at = (const char *)m;
                size_t n = *(const size_t *)(const void *)(at + f->quantifier_offset);
                ProtobufCMessage *const *list =
                        *(ProtobufCMessage *const *const *)(const void *)(at + f->offset);
                for (size_t j = 0; j < n; j++)
                        if (has_sublink(list[j]))
                                return true;
        }
        return false;
}

static void *parse_thread(void *arg)
{
        struct sql_parse *p = arg;
        p->result = pg_query_parse_protobuf(p->sql);
        if (!p->result.error)
                p->tree = pg_query__parse_result__unpack(
                        NULL, p->result.parse_tree.len, (const uint8_t *)p->result.parse_tree.data);
        p->has_sublink = p->tree && has_sublink(&p->tree->base);
        return NULL;
}

static void *free_thread(void *arg)
{
        struct sql_parse *p = arg;
        if (p->tree)
                pg_query__parse_result__free_unpacked(p->tree, NULL);
        pg_query_free_protobuf_parse_result(p->result);
        return NULL;
}

static void run_deep(void *(*fn)(void *), struct sql_parse *p)
{
        pthread_t thread;
        pthread_attr_t attr;
        int rc = pthread_attr_init(&attr);
        SLUICE_ASSERT(rc == 0);
        rc = pthread_attr_setstacksize(&attr, STACK_BYTES);
        SLUICE_ASSERT(rc == 0);
        rc = pthread_create(&thread, &attr, fn, p);
        SLUICE_ASSERT(rc == 0);
        pthread_attr_destroy(&attr);
        rc = pthread_join(thread, NULL);
        SLUICE_ASSERT(rc == 0);
}

void sql_parse_run(struct sql_parse *p, const char *sql)
{
        SLUICE_ASSERT(strlen(sql) <= TEXT_MAX_BYTES);
        *p = (struct sql_parse){.sql = sql};
        run_deep(parse_thread, p);
}

void sql_parse_free(struct sql_parse *p)
{
        run_deep(free_thread, p);
        p->tree = NULL;
}
