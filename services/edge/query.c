#include "common/base/hash.h"
#include "services/edge/query.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/edge/text.h"

/* A map with more members than QUERY_LINEAR is searched by hash, so that a body of a million
 * members costs no more than it weighs. */
enum { QUERY_MAX_NESTING = 8, QUERY_LINEAR = 16 };

struct value *value_new(struct arena *a, enum value_type type)
{
        struct value *v = arena_alloc(a, sizeof(*v));
        v->type = type;
        v->text = SLICE_EMPTY;
        return v;
}

struct value *value_string(struct arena *a, struct slice text)
{
        struct value *v = value_new(a, VALUE_STRING);
        v->text = text;
        return v;
}

static void add_member(struct arena *a, struct value *v, struct slice key, struct value *child)
{
        if (v->n_members == v->cap_members) {
                uint32_t cap = v->cap_members ? v->cap_members * 2 : 8;
                struct member *bigger = arena_array(a, cap, sizeof(*bigger));
                if (v->n_members)
                        memcpy(bigger, v->members, v->n_members * sizeof(*bigger));
                v->members = bigger;
                v->cap_members = cap;
        }
        v->members[v->n_members++] = (struct member){key, child};
}

static uint32_t *index_slot(const struct value *map, struct slice key)
{
        uint32_t at = (uint32_t)hash64(key) & map->index_mask;
        while (map->index[at] && !slice_eq(map->members[map->index[at] - 1].key, key))
                at = (at + 1) & map->index_mask;
        return &map->index[at];
}

static void build_index(struct arena *a, struct value *map)
{
        uint32_t slots = map->cap_members * 2;
        map->index = arena_array(a, slots, sizeof(*map->index));
        map->index_mask = slots - 1;
        for (uint32_t i = 0; i < map->n_members; i++)
                *index_slot(map, map->members[i].key) = i + 1;
}

/* Capacities are powers of two and the index has twice as many slots, so there is always a free
 * one. */
static void index_last(struct arena *a, struct value *map)
{
        if (map->n_members <= QUERY_LINEAR)
                return;
        if (!map->index || map->index_mask + 1 < map->cap_members * 2)
                build_index(a, map);
        else
                *index_slot(map, map->members[map->n_members - 1].key) = map->n_members;
}

static struct member *find_member(const struct value *map, struct slice key)
{
        if (map->index) {
                uint32_t position = *index_slot(map, key);
                return position ? &map->members[position - 1] : NULL;
        }
        for (uint32_t i = 0; i < map->n_members; i++)
                if (slice_eq(map->members[i].key, key))
                        return &map->members[i];
        return NULL;
}

void value_set(struct arena *a, struct value *map, struct slice key, struct value *v)
{
        SLUICE_ASSERT(map->type == VALUE_MAP);
        struct member *m = find_member(map, key);
        if (m) {
                m->value = v;
                return;
        }
        add_member(a, map, key, v);
        index_last(a, map);
}

void value_push(struct arena *a, struct value *list, struct value *v)
{
        SLUICE_ASSERT(list->type == VALUE_LIST);
        add_member(a, list, SLICE_EMPTY, v);
}

struct value *value_find(const struct value *map, struct slice key)
{
        if (map->type != VALUE_MAP)
                return NULL;
        struct member *m = find_member(map, key);
        return m ? m->value : NULL;
}

/* A key `a[b][c]` taken apart: `a`, then each bracket. Returns how many parts; 1 for a key that is
 * not of this form. */
static uint32_t split_key(struct slice key, struct slice parts[QUERY_MAX_NESTING])
{
        const char *open = key.len ? memchr(key.p, '[', key.len) : NULL;
        parts[0] = key;
        if (!open || open == key.p || key.p[key.len - 1] != ']')
                return 1;
        size_t at = (size_t)(open - key.p);
        uint32_t n = 1;
        while (at < key.len) {
                const char *close = memchr(key.p + at, ']', key.len - at);
                if (key.p[at] != '[' || !close || n == QUERY_MAX_NESTING)
                        return 1;
                size_t end = (size_t)(close - key.p);
                parts[n++] = slice_of(key.p + at + 1, end - at - 1);
                at = end + 1;
        }
        parts[0] = slice_of(key.p, (size_t)(open - key.p));
        return n;
}

/* The map or list below `key`, made when it is not there or is something else. */
static struct value *descend(struct arena *a, struct value *in, struct slice key,
                             enum value_type type)
{
        struct value *v = in->type == VALUE_MAP ? value_find(in, key) : NULL;
        if (!v || v->type != type) {
                v = value_new(a, type);
                if (in->type == VALUE_MAP)
                        value_set(a, in, key, v);
                else
                        value_push(a, in, v);
        }
        return v;
}

static void insert(struct arena *a, struct value *root, struct slice key, struct slice text)
{
        struct slice parts[QUERY_MAX_NESTING];
        uint32_t n = split_key(key, parts);
        struct value *in = root;
        for (uint32_t i = 0; i + 1 < n; i++)
                in = descend(a, in, parts[i], parts[i + 1].len ? VALUE_MAP : VALUE_LIST);
        if (in->type == VALUE_LIST)
                value_push(a, in, value_string(a, text));
        else
                value_set(a, in, parts[n - 1], value_string(a, text));
}

static int insert_pair(struct arena *a, struct value *root, struct slice pair)
{
        const char *equals = memchr(pair.p, '=', pair.len);
        size_t key_len = equals ? (size_t)(equals - pair.p) : pair.len;
        struct slice key, text = SLICE_EMPTY;
        int err = text_percent_decode(a, slice_of(pair.p, key_len), true, &key);
        if (err == 0 && equals)
                err = text_percent_decode(a, slice_of(equals + 1, pair.len - key_len - 1), true,
                                          &text);
        if (err != 0)
                return err;
        if (!text_is_utf8(key) || !text_is_utf8(text))
                return ERR_FORMAT;
        insert(a, root, key, text);
        return 0;
}

int query_parse(struct arena *a, struct slice text, struct value **out)
{
        struct value *root = value_new(a, VALUE_MAP);
        size_t start = 0;
        for (size_t i = 0; i <= text.len; i++) {
                if (i < text.len && text.p[i] != '&')
                        continue;
                if (i > start) {
                        int err = insert_pair(a, root, slice_of(text.p + start, i - start));
                        if (err != 0)
                                return err;
                }
                start = i + 1;
        }
        *out = root;
        return 0;
}
