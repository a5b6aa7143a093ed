/* Time, read in one place so that tests can own it elsewhere by parameter. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic, for intervals and deadlines. */
uint64_t clock_mono_us(void);
static inline uint64_t clock_mono_ms(void)
{
        return clock_mono_us() / 1000;
}
/* Microseconds since 1970, for people and handles; may jump. */
uint64_t clock_wall_us(void);

#endif
