#include "tests/bench/slots.h"

#include "tests/bench/bench.h"
#include "tests/bench/db.h"

#define ACTIVE_SLOTS                                                                               \
        "select count(*) from pg_replication_slots where active and database = current_database()"

enum { LOOK_MS = 10 };

void slots_require(struct bench *b)
{
        if (db_number(b->db, ACTIVE_SLOTS) == 0)
                fail("the server has no active slot");
}

void slots_wait_confirmed(struct bench *b, const char *end_lsn, uint64_t seconds)
{
        uint64_t until = now_ns() + seconds * 1000000000ULL;
        while (db_number(b->db, ACTIVE_SLOTS " and confirmed_flush_lsn < '%s'", end_lsn) > 0) {
                if (now_ns() > until)
                        fail("not acknowledged up to %s within %llu s", end_lsn,
                             (unsigned long long)seconds);
                net_poll(b->net, now_ns() + (uint64_t)LOOK_MS * 1000000);
        }
}
