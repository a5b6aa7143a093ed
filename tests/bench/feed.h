/* A paced writer: one row at a time with the time of sending in it, at a rate with ±20 % of jitter
 * so that it does not beat with anybody's timer. A row is sent when it is due and the row before it
 * is committed. */
#ifndef TESTS_BENCH_FEED_H
#define TESTS_BENCH_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/db.h"
#include "tests/bench/hist.h"
#include "tests/bench/net.h"

struct bench;

struct feed {
        struct writer writer;
        struct net_timer timer;
        const char *name; /* value of the rows' name column; may be changed between rows */
        uint64_t groups;  /* the rows' grp column is their id modulo this; 0: always 0 */
        uint64_t interval_ns;
        uint64_t next_id, sent, count;
        uint64_t due_ns;
        uint32_t random;
        bool done;           /* all rows are committed */
        struct hist *commit; /* from sending to the commit's acknowledgement */
        uint64_t unmeasured; /* so many rows at the start do not count in `commit` */
};

/* `table` with its schema. Rows first_id … first_id+count-1; nothing is sent before feed_start().
 */
void feed_init(struct feed *f, struct bench *b, const char *table, uint64_t first_id,
               uint64_t count, uint64_t per_second);
void feed_start(struct feed *f);
/* The row that is on its way is the last, or one more. */
void feed_stop(struct feed *f);
void feed_fini(struct feed *f);

#endif
