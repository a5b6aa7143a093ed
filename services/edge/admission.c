#include "services/edge/admission.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/edge/json.h"

static const char *const names[ADMISSION_KINDS] = {"initial", "existing"};
static const int64_t defaults[ADMISSION_KINDS] = {300, 10000};

const char *admission_name(enum admission_kind kind)
{
        SLUICE_ASSERT(kind < ADMISSION_KINDS);
        return names[kind];
}

static int read_limits(struct admission *a, const struct value *map, struct buf *why)
{
        for (uint32_t i = 0; i < map->n_members; i++) {
                const struct member *m = &map->members[i];
                uint64_t limit;
                int kind = 0;
                while (kind < ADMISSION_KINDS && !slice_eq(m->key, slice_cstr(names[kind])))
                        kind++;
                if (kind == ADMISSION_KINDS) {
                        buf_printf(why, "unknown kind of request \"%.*s\"", SLICE_FMT(m->key));
                        return ERR_CONF;
                }
                if (m->value->type != VALUE_NUMBER ||
                    slice_parse_u64(m->value->text, &limit) != 0 || limit > INT32_MAX) {
                        buf_printf(why, "the limit of \"%s\" must be a whole number", names[kind]);
                        return ERR_CONF;
                }
                a->limit[kind] = (int64_t)limit;
        }
        return 0;
}

int admission_init(struct admission *a, struct slice limits, struct buf *why)
{
        struct arena arena;
        struct value *map;
        for (int i = 0; i < ADMISSION_KINDS; i++) {
                atomic_init(&a->current[i], 0);
                a->limit[i] = defaults[i];
        }
        arena_init(&arena);
        int err = json_parse(&arena, limits, &map, why);
        if (err == 0 && map->type != VALUE_MAP) {
                buf_puts(why, "not a JSON object");
                err = ERR_CONF;
        }
        if (err == 0)
                err = read_limits(a, map, why);
        arena_fini(&arena);
        return err == 0 ? 0 : ERR_CONF;
}

bool admission_acquire(struct admission *a, enum admission_kind kind)
{
        int64_t before = atomic_fetch_add_explicit(&a->current[kind], 1, memory_order_relaxed);
        if (before < a->limit[kind])
                return true;
        admission_release(a, kind);
        return false;
}

void admission_release(struct admission *a, enum admission_kind kind)
{
        int64_t before = atomic_fetch_sub_explicit(&a->current[kind], 1, memory_order_relaxed);
        SLUICE_ASSERT(before > 0);
}

void admission_move(struct admission *a, enum admission_kind from, enum admission_kind to)
{
        atomic_fetch_add_explicit(&a->current[to], 1, memory_order_relaxed);
        admission_release(a, from);
}
