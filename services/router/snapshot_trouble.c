#include "services/router/snapshot_trouble.h"

#include <string.h>

#include "common/base/assert.h"

enum { BODY_MAX_BYTES = 128 * 1024, RETRY_AFTER_S = 10 };

void trouble_init(struct trouble *t)
{
        *t = (struct trouble){0};
        buf_init(&t->body, BODY_MAX_BYTES);
}

void trouble_fini(struct trouble *t)
{
        buf_fini(&t->body);
}

struct snapshot_failure trouble_failure(const struct trouble *t)
{
        SLUICE_ASSERT(t->status != 0);
        return (struct snapshot_failure){.status = t->status,
                                         .body = buf_slice(&t->body),
                                         .retry_after_s = t->retry_after_s};
}

static void put_message(struct trouble *t, uint32_t status, struct slice before, struct slice text)
{
        t->status = status;
        t->retry_after_s = status == 503 ? RETRY_AFTER_S : 0;
        buf_reset(&t->body);
        buf_puts(&t->body, "{\"message\":\"");
        buf_put_json_escaped(&t->body, before);
        buf_put_json_escaped(&t->body, text);
        buf_puts(&t->body, "\"}");
}

void trouble_refetch(struct trouble *t)
{
        t->status = 409;
        t->retry_after_s = 0;
        buf_reset(&t->body);
        buf_puts(&t->body, "[{\"headers\":{\"control\":\"must-refetch\"}}]");
}

void trouble_no_connection(struct trouble *t)
{
        put_message(t, 503, SLICE_LIT("Database connection not available"), SLICE_EMPTY);
}

void trouble_slow_start(struct trouble *t)
{
        put_message(t, 503,
                    SLICE_LIT("Snapshot query took too long to start reading from the database"),
                    SLICE_EMPTY);
}

void trouble_slow_query(struct trouble *t, uint64_t after_ms)
{
        struct buf text;
        buf_init(&text, 512);
        buf_puts(&text, "Snapshot query took too long to return data (cancelled after ");
        buf_put_u64(&text, after_ms);
        buf_puts(&text, "ms). Please ensure snapshot queries are using an index to avoid taking up "
                        "all database connections.");
        put_message(t, 503, buf_slice(&text), SLICE_EMPTY);
        buf_fini(&text);
}

void trouble_unexpected(struct trouble *t, struct slice what)
{
        put_message(t, 500, SLICE_LIT("Unexpected error while creating snapshot: "), what);
}

/* ---- by SQLSTATE, or the beginning of one; the first row that fits */

enum kind { LOCKED, SLOW, DENIED, CHANGED, DISCONNECTED, UNEXPECTED };

static const struct {
        const char *state;
        enum kind kind;
} kinds[] = {
        {"55P03", LOCKED},       /* lock_not_available: lock_timeout */
        {"57014", SLOW},         /* query_canceled: not by us */
        {"42501", DENIED},       /* insufficient_privilege */
        {"42P01", CHANGED},      /* undefined_table */
        {"42703", CHANGED},      /* undefined_column */
        {"3F000", CHANGED},      /* invalid_schema_name */
        {"42809", CHANGED},      /* wrong_object_type: it has become a view */
        {"08", DISCONNECTED},    /* connection exceptions */
        {"57P", DISCONNECTED},   /* shutdown */
        {"53300", DISCONNECTED}, /* too_many_connections */
        {"55000",
         DISCONNECTED}, /* object_not_in_prerequisite_state: in recovery, about to be promoted */
        {"25P03", DISCONNECTED}, /* idle_in_transaction_session_timeout */
        {"", UNEXPECTED},
};

static enum kind kind_of(const char *state)
{
        size_t i = 0;
        while (strncmp(kinds[i].state, state, strlen(kinds[i].state)) != 0)
                i++;
        return kinds[i].kind;
}

void trouble_sql(struct trouble *t, const char *state, struct slice why, uint64_t after_ms)
{
        switch (kind_of(state)) {
        case LOCKED:
                put_message(t, 503, SLICE_LIT("Snapshot timed out while waiting for a table lock"),
                            SLICE_EMPTY);
                return;
        case SLOW:
                trouble_slow_query(t, after_ms);
                return;
        case DENIED:
                put_message(t, 503, SLICE_LIT("Unable to create initial snapshot: "), why);
                return;
        case CHANGED:
                trouble_refetch(t);
                return;
        case DISCONNECTED:
                trouble_no_connection(t);
                return;
        case UNEXPECTED:
                trouble_unexpected(t, why);
                return;
        }
}
