/* What is remembered of targets, and for how long. */
#include "common/test/test.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "services/edge/def.h"
#include "services/edge/worker.h"

static struct worker *new_worker(void)
{
        struct worker *w = mem_new(struct worker);
        w->magic = WORKER_MAGIC;
        w->n_shards = 1;
        hmap_init(&w->defs);
        lru_init(&w->def_lru, 2000);
        memo_init(&w->memo);
        return w;
}

static void free_worker(struct worker *w)
{
        memo_fini(&w->memo);
        defs_free(w);
        mem_free(w);
}

static void test_second_time(void **state)
{
        (void)state;
        struct worker *w = new_worker();
        struct slice target = SLICE_LIT("/v1/shape?table=t&offset=3_4&handle=h&live=true&cursor=9");
        struct memo_meaning m = {.def = def_get(w, SLICE_LIT("canonical")),
                                 .offset = {.kind = OFFSET_AT, .at = {3, 4}},
                                 .handle = SLICE_LIT("h"),
                                 .cursor = SLICE_LIT("9"),
                                 .live = true};
        assert_null(memo_find(&w->memo, target));
        memo_put(&w->memo, target, &m);
        assert_null(memo_find(&w->memo, target));
        memo_put(&w->memo, target, &m);
        const struct memo_meaning *found = memo_find(&w->memo, target);
        assert_non_null(found);
        assert_ptr_equal(found->def, m.def);
        assert_true(found->live && !found->sse);
        assert_int_equal(found->offset.at.tx, 3);
        assert_slice_equal(found->handle, "h");
        assert_slice_equal(found->cursor, "9");
        assert_ptr_not_equal(found->handle.p, m.handle.p);
        assert_null(memo_find(&w->memo, slice_of(target.p, target.len - 1)));
        def_unref(m.def);
        free_worker(w);
}

/* A definition that was evicted would be another one than everybody else's. */
static void test_evicted_definition(void **state)
{
        (void)state;
        struct worker *w = new_worker();
        struct slice target = SLICE_LIT("/v1/shape?table=t&offset=-1");
        struct memo_meaning m = {.def = def_get(w, SLICE_LIT("canonical")),
                                 .handle = SLICE_EMPTY,
                                 .cursor = SLICE_EMPTY};
        memo_put(&w->memo, target, &m);
        memo_put(&w->memo, target, &m);
        def_unref(m.def);
        assert_non_null(memo_find(&w->memo, target));
        for (char c = 'a'; c <= 'z'; c++)
                def_unref(def_get(w, slice_of(&c, 1)));
        assert_null(memo_find(&w->memo, target));
        free_worker(w);
}

/* Many targets: what is found is always the target's own meaning. */
static void test_many(void **state)
{
        (void)state;
        struct worker *w = new_worker();
        struct def *d = def_get(w, SLICE_LIT("canonical"));
        char target[64];
        for (uint64_t i = 0; i < 4 * MEMO_PLACES; i++) {
                int n = snprintf(target, sizeof(target), "/v1/shape?offset=%d_0", (int)i);
                struct memo_meaning m = {.def = d,
                                         .offset = {.kind = OFFSET_AT, .at = {i, 0}},
                                         .handle = SLICE_EMPTY,
                                         .cursor = SLICE_EMPTY};
                memo_put(&w->memo, slice_of(target, (size_t)n), &m);
                memo_put(&w->memo, slice_of(target, (size_t)n), &m);
        }
        int found = 0;
        for (uint64_t i = 0; i < 4 * MEMO_PLACES; i++) {
                int n = snprintf(target, sizeof(target), "/v1/shape?offset=%d_0", (int)i);
                const struct memo_meaning *m = memo_find(&w->memo, slice_of(target, (size_t)n));
                if (!m)
                        continue;
                assert_int_equal(m->offset.at.tx, i);
                found++;
        }
        assert_in_range(found, 1, MEMO_PLACES);
        def_unref(d);
        free_worker(w);
}

static void test_long_target(void **state)
{
        (void)state;
        struct worker *w = new_worker();
        char *text = mem_zalloc(MEMO_MAX_TARGET + 1);
        struct slice target = slice_of(text, MEMO_MAX_TARGET + 1);
        struct memo_meaning m = {.def = def_get(w, SLICE_LIT("canonical")),
                                 .handle = SLICE_EMPTY,
                                 .cursor = SLICE_EMPTY};
        memo_put(&w->memo, target, &m);
        memo_put(&w->memo, target, &m);
        assert_null(memo_find(&w->memo, target));
        def_unref(m.def);
        mem_free(text);
        free_worker(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_second_time), cmocka_unit_test(test_evicted_definition),
                cmocka_unit_test(test_many), cmocka_unit_test(test_long_target)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
