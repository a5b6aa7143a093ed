/* Which of the ids first … first+count-1 were seen: each must come exactly once. A benchmark that
 * loses rows fails. */
#ifndef TESTS_BENCH_IDS_H
#define TESTS_BENCH_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct ids {
        uint64_t first, count, seen;
        uint64_t *bits;
};

void ids_init(struct ids *s, uint64_t first, uint64_t count);
void ids_fini(struct ids *s);
void ids_reset(struct ids *s);
/* False when the id is out of range or was seen before. */
bool ids_see(struct ids *s, uint64_t id);

#endif
