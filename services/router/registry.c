#include "services/router/registry.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/wire/definition.h"
#include "services/router/clause.h"
#include "services/router/zone.h"

enum {
        ALIASES_MAX = 4,
        ALIAS_MAX_BYTES = 4096,
        IDENTITY_MAX_BYTES = 1 << 24,
        WHY_MAX_BYTES = 4096
};

/* A spelling of a definition that is not the shape's own. */
struct alias {
        struct alias *next;
        struct slice definition; /* owned */
};

void registry_init(struct registry *r)
{
        hmap_init(&r->by_id);
        hmap_init(&r->by_hash);
        hmap_init(&r->by_identity);
        hmap_init(&r->aliases);
        match_init(&r->match);
}

void registry_fini(struct registry *r)
{
        size_t cursor = 0;
        for (struct shape *s; (s = registry_next(r, &cursor));) {
                registry_remove(r, s);
                list_remove(&s->dirty);
                shape_free(s);
        }
        match_fini(&r->match);
        hmap_fini(&r->by_id);
        hmap_fini(&r->by_hash);
        hmap_fini(&r->by_identity);
        hmap_fini(&r->aliases);
}

void registry_add(struct registry *r, struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(!hmap_put(&r->by_id, HMAP_KEY(s->id), s));
        s->next_same = hmap_put(&r->by_hash, HMAP_KEY(s->hash), s);
        uint64_t identity = definition_hash(s->identity);
        s->next_alike = hmap_put(&r->by_identity, HMAP_KEY(identity), s);
        match_add(&r->match, s);
}

static void remove_same(struct registry *r, struct shape *s)
{
        struct shape *first = hmap_find(&r->by_hash, HMAP_KEY(s->hash));
        if (first == s) {
                if (s->next_same)
                        hmap_put(&r->by_hash, HMAP_KEY(s->hash), s->next_same);
                else
                        hmap_take(&r->by_hash, HMAP_KEY(s->hash));
                return;
        }
        while (first->next_same != s)
                first = first->next_same;
        first->next_same = s->next_same;
}

static void remove_alike(struct registry *r, struct shape *s)
{
        uint64_t hash = definition_hash(s->identity);
        struct shape *first = hmap_find(&r->by_identity, HMAP_KEY(hash));
        if (first != s) {
                while (first->next_alike != s)
                        first = first->next_alike;
                first->next_alike = s->next_alike;
        } else if (s->next_alike) {
                hmap_put(&r->by_identity, HMAP_KEY(hash), s->next_alike);
        } else {
                hmap_take(&r->by_identity, HMAP_KEY(hash));
        }
}

static void drop_alias(struct registry *r, struct alias *a)
{
        hmap_take(&r->aliases, a->definition);
        mem_free((void *)a->definition.p);
        mem_free(a);
}

static void drop_aliases(struct registry *r, struct shape *s)
{
        while (s->aliases) {
                struct alias *a = s->aliases;
                s->aliases = a->next;
                drop_alias(r, a);
        }
}

void registry_remove(struct registry *r, struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(hmap_take(&r->by_id, HMAP_KEY(s->id)) == s);
        remove_same(r, s);
        remove_alike(r, s);
        drop_aliases(r, s);
        s->next_same = s->next_alike = NULL;
        match_remove(&r->match, s);
}

struct shape *registry_find(const struct registry *r, uint64_t id)
{
        return hmap_find(&r->by_id, HMAP_KEY(id));
}

struct shape *registry_find_definition(const struct registry *r, struct slice definition)
{
        uint64_t hash = definition_hash(definition);
        struct shape *s = hmap_find(&r->by_hash, HMAP_KEY(hash));
        while (s && !slice_eq(s->definition, definition))
                s = s->next_same;
        return s ? s : hmap_find(&r->aliases, definition);
}

struct shape *registry_find_identity(const struct registry *r, struct slice identity)
{
        uint64_t hash = definition_hash(identity);
        struct shape *s = hmap_find(&r->by_identity, HMAP_KEY(hash));
        while (s && !slice_eq(s->identity, identity))
                s = s->next_alike;
        return s;
}

/* The newest are kept: who asks for a shape in ever new words finds those of others again. */
static void drop_old_aliases(struct registry *r, struct shape *s)
{
        struct alias **at = &s->aliases;
        for (int i = 0; *at && i < ALIASES_MAX; i++)
                at = &(*at)->next;
        while (*at) {
                struct alias *old = *at;
                *at = old->next;
                drop_alias(r, old);
        }
}

void registry_add_alias(struct registry *r, struct shape *s, struct slice definition)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        if (definition.len > ALIAS_MAX_BYTES || registry_find_definition(r, definition))
                return;
        struct alias *a = mem_new(struct alias);
        a->definition = slice_dup(definition);
        a->next = s->aliases;
        s->aliases = a;
        SLUICE_ASSERT(!hmap_put(&r->aliases, a->definition, s));
        drop_old_aliases(r, s);
}

size_t registry_count(const struct registry *r)
{
        return hmap_count(&r->by_id);
}

struct shape *registry_next(const struct registry *r, size_t *cursor)
{
        return hmap_next(&r->by_id, cursor, NULL);
}

/* ---- loading */

static int load_view(struct registry *r, const struct shape_record *rec, const struct definition *d,
                     const struct where *where, struct view **out)
{
        struct view_spec spec = {.columns = rec->columns,
                                 .n_columns = rec->n_columns,
                                 .replica = d->replica,
                                 .all_columns = !d->has_columns && !d->has_queryable,
                                 .where = where};
        return match_view_decode(&r->match, rec->head.oid, rec->table, &spec, out);
}

/* The log was written by the rules that its time zones had then. */
static int judge_zones(const struct shape_record *rec, struct where *where)
{
        static const enum where_power_rules rules[] = {POWER_BY_SCALE, POWER_BY_WEIGHT};
        for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
                where_assume_power(where, rules[i]);
                if (zone_set_print(where_zones(where)) == rec->zones)
                        return 0;
        }
        log_warning("clause_refused",
                    "a shape is dropped, the rules of its time zones are others now");
        return ERR_INVAL;
}

/* The clause was accepted once, for the table as the record describes it. ERR_INVAL: this program
 * would refuse it. */
static int load_where(const struct shape_record *rec, const struct definition *d,
                      struct where **out)
{
        struct table *table;
        struct buf why;
        *out = NULL;
        if (d->where.len == 0)
                return 0;
        if (table_decode(rec->table, &table) != 0)
                return ERR_CORRUPT;
        buf_init(&why, WHY_MAX_BYTES);
        int err = clause_compile(d, table, out, &why);
        if (err)
                log_warning("clause_refused", "a shape is dropped, its clause is refused now: %.*s",
                            SLICE_FMT(buf_slice(&why)));
        else if (*out && (err = judge_zones(rec, *out)) != 0)
                where_free(*out);
        buf_fini(&why);
        table_free(table);
        return err;
}

static struct shape *make_shape(uint64_t id, const struct shape_record *rec,
                                const struct definition *d, struct where *where, struct view *view)
{
        struct buf identity;
        buf_init(&identity, IDENTITY_MAX_BYTES);
        clause_identity(d, where, &identity);
        struct clause *clause = where ? clause_new(where, view->version->table) : NULL;
        struct shape *s = shape_new(id, rec->head.created_us, rec->definition, buf_slice(&identity),
                                    clause, view);
        buf_fini(&identity);
        return s;
}

static void resume(struct shape *s, const struct shape_record *rec, const struct shape_tail *tail,
                   lsn_t applied)
{
        s->stored = true;
        s->tail = *tail;
        s->member = rec->member;
        shape_set_state(s, SHAPE_HELD);
        shape_set_state(s, SHAPE_STARTED);
        shape_set_state(s, SHAPE_COMPLETE);
        if (rec->has_filter && lsn_cmp(rec->filter.insert_lsn, applied) > 0)
                s->filter = filter_new(&rec->filter);
}

static int load_shape(struct registry *r, uint64_t id, const struct shape_record *rec,
                      const struct shape_tail *tail, lsn_t applied)
{
        struct definition d;
        struct where *where;
        struct view *view;
        if (definition_decode(rec->definition, &d) != 0)
                return ERR_CORRUPT;
        int err = load_where(rec, &d, &where);
        if (!err) {
                err = load_view(r, rec, &d, where, &view);
                if (err)
                        where_free(where);
        }
        if (!err) {
                struct shape *s = make_shape(id, rec, &d, where, view);
                resume(s, rec, tail, applied);
                match_note_member(view->version->topic, s->member);
                registry_add(r, s);
        }
        definition_fini(&d);
        return err;
}

static int load_record(struct registry *r, uint64_t id, struct slice bytes,
                       const struct shape_tail *tail, lsn_t applied)
{
        struct shape_record rec;
        int err = shape_record_decode(bytes, &rec);
        if (err)
                return err;
        err = load_shape(r, id, &rec, tail, applied);
        shape_record_fini(&rec);
        return err;
}

void registry_load(struct registry *r, struct store_txn *t, lsn_t applied, struct buf *incomplete)
{
        struct slice bytes;
        for (uint64_t id = 0; shapelog_next_record(t, &id, &bytes); id++) {
                struct shape_tail tail;
                if (!shapelog_get_tail(t, id, &tail) || !tail.snapshot_done) {
                        buf_put(incomplete, &id, sizeof(id));
                        continue;
                }
                int err = load_record(r, id, bytes, &tail, applied);
                if (err == ERR_INVAL)
                        buf_put(incomplete, &id, sizeof(id));
                else if (err && t->err == 0)
                        t->err = err;
        }
}
