#include "services/router/subset_cover.h"

#include "common/base/hmap.h"

#define KEY_OPEN "{\"key\":\""

/* The end of a JSON string whose first byte after the quote is at `i`: its closing quote. */
static size_t string_end(struct slice s, size_t i)
{
        while (i < s.len && s.p[i] != '"')
                i += s.p[i] == '\\' ? 2 : 1;
        return i < s.len ? i : s.len;
}

/* The next object of the list; *at moves behind it and its comma. */
static bool next_object(struct slice list, size_t *at, struct slice *out)
{
        size_t depth = 0;
        for (size_t i = *at; i < list.len; i++) {
                if (list.p[i] == '"') {
                        i = string_end(list, i + 1);
                } else if (list.p[i] == '{') {
                        depth++;
                } else if (list.p[i] == '}' && depth > 0 && --depth == 0) {
                        *out = slice_of(list.p + *at, i + 1 - *at);
                        *at = i + 2;
                        return true;
                }
        }
        return false;
}

/* Its escaped key; what has none is not a change of a row. */
static bool key_of(struct slice object, struct slice *key)
{
        struct slice open = SLICE_LIT(KEY_OPEN);
        if (!slice_starts(object, open))
                return false;
        *key = slice_of(object.p + open.len, string_end(object, open.len) - open.len);
        return true;
}

static bool all_known(struct hmap *known, struct slice entries)
{
        struct slice object, key;
        size_t at = 0;
        while (next_object(entries, &at, &object))
                if (!key_of(object, &key) || !hmap_find(known, key))
                        return false;
        return at >= entries.len;
}

bool subset_covers(struct slice rows, struct slice entries)
{
        static char there;
        struct hmap known;
        struct slice object, key;
        size_t at = 0;
        hmap_init(&known);
        while (next_object(rows, &at, &object))
                if (key_of(object, &key))
                        hmap_put(&known, key, &there);
        bool covers = all_known(&known, entries);
        hmap_fini(&known);
        return covers;
}
