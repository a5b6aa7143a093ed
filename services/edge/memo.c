#include "services/edge/memo.h"

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "services/edge/def.h"

static struct memo_place *place_of(const struct memo *m, uint64_t hash)
{
        return &m->places[hash % MEMO_PLACES];
}

static void empty(struct memo_place *p)
{
        if (!p->target)
                return;
        def_unref(p->meaning.def);
        mem_free(p->target);
        p->target = NULL;
}

void memo_init(struct memo *m)
{
        m->places = NULL;
}

void memo_fini(struct memo *m)
{
        for (int i = 0; m->places && i < MEMO_PLACES; i++)
                empty(&m->places[i]);
        mem_free(m->places);
        m->places = NULL;
}

const struct memo_meaning *memo_find(const struct memo *m, struct slice target)
{
        if (!m->places || target.len > MEMO_MAX_TARGET)
                return NULL;
        uint64_t hash = hash64(target);
        const struct memo_place *p = place_of(m, hash);
        if (p->hash != hash || !p->target ||
            !slice_eq(slice_of(p->target, p->target_len), target) || !def_is_known(p->meaning.def))
                return NULL;
        return &p->meaning;
}

static struct slice append(char *to, size_t *at, struct slice s)
{
        if (s.len)
                memcpy(to + *at, s.p, s.len);
        *at += s.len;
        return slice_of(to + *at - s.len, s.len);
}

void memo_put(struct memo *m, struct slice target, const struct memo_meaning *meaning)
{
        if (target.len > MEMO_MAX_TARGET)
                return;
        if (!m->places)
                m->places = mem_zalloc(MEMO_PLACES * sizeof(*m->places));
        uint64_t hash = hash64(target);
        struct memo_place *p = place_of(m, hash);
        bool again = p->hash == hash;
        empty(p);
        p->hash = hash;
        if (!again)
                return;
        size_t at = 0;
        p->target = mem_array(target.len + meaning->handle.len + meaning->cursor.len + 1, 1);
        append(p->target, &at, target);
        p->target_len = (uint32_t)target.len;
        p->meaning = *meaning;
        p->meaning.handle = append(p->target, &at, meaning->handle);
        p->meaning.cursor = append(p->target, &at, meaning->cursor);
        def_ref(meaning->def);
}
