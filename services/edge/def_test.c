/* What a loop remembers of definitions is bounded by what it takes. */
#include "common/test/test.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "services/edge/def.h"
#include "services/edge/worker.h"

enum { BOUND_BYTES = 200000, MANY = 5000 };

/* The maps' copies of keys and their places come on top. */
static size_t least_bytes(size_t n, size_t canonical_bytes)
{
        return n * (sizeof(struct def) + sizeof(struct shape) + 2 * canonical_bytes);
}

static void test_bounded(void **state)
{
        struct worker *w = mem_new(struct worker);
        char canonical[200] = "";
        (void)state;
        w->magic = WORKER_MAGIC;
        w->n_shards = 1;
        hmap_init(&w->defs);
        lru_init(&w->def_lru, BOUND_BYTES);
        for (int i = 0; i < MANY; i++) {
                snprintf(canonical, sizeof(canonical), "definition %d", i);
                def_unref(def_get(w, slice_of(canonical, sizeof(canonical))));
                assert_true(least_bytes(hmap_count(&w->defs), sizeof(canonical)) <= BOUND_BYTES);
        }
        assert_in_range(hmap_count(&w->defs), 50, MANY - 1);
        defs_free(w);
        mem_free(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
