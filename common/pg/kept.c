#include "common/pg/kept.h"

#include <inttypes.h>
#include <libpq-events.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

/* A service has fewer kinds of statements; one whose text varies must not fill the server. */
enum { KEPT_MAX = 16 };

struct kept {
        uint32_t n;
        uint64_t hashes[KEPT_MAX];
};

static int on_event(PGEventId id, void *info, void *unused)
{
        (void)unused;
        if (id == PGEVT_CONNDESTROY)
                mem_free(PQinstanceData(((PGEventConnDestroy *)info)->conn, on_event));
        return 1;
}

void pg_kept_begin(PGconn *conn)
{
        SLUICE_ASSERT(PQregisterEventProc(conn, on_event, "sluice", NULL));
        SLUICE_ASSERT(PQsetInstanceData(conn, on_event, mem_new(struct kept)));
}

static uint64_t hash_of(const char *sql)
{
        return hash64(slice_cstr(sql));
}

static bool has(const struct kept *k, uint64_t hash)
{
        for (uint32_t i = 0; i < k->n; i++)
                if (k->hashes[i] == hash)
                        return true;
        return false;
}

bool pg_kept_find(const PGconn *conn, const char *sql, char name[PG_KEPT_NAME_BYTES], bool *is_new)
{
        const struct kept *k = PQinstanceData(conn, on_event);
        uint64_t hash = hash_of(sql);
        bool known = k && has(k, hash);
        if (!k || (!known && k->n == KEPT_MAX))
                return false;
        snprintf(name, PG_KEPT_NAME_BYTES, "s%016" PRIx64, hash);
        *is_new = !known;
        return true;
}

void pg_kept_add(PGconn *conn, const char *sql)
{
        struct kept *k = PQinstanceData(conn, on_event);
        SLUICE_ASSERT(k && k->n < KEPT_MAX);
        k->hashes[k->n++] = hash_of(sql);
}
