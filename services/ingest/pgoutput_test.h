/* For tests: makes pgoutput messages byte by byte, as the walsender does. */
#ifndef SERVICES_INGEST_PGOUTPUT_TEST_H
#define SERVICES_INGEST_PGOUTPUT_TEST_H

#include <string.h>

#include "common/base/buf.h"

static inline void pgo_int(struct buf *b, uint64_t v, int bytes)
{
        for (int i = bytes - 1; i >= 0; i--)
                buf_putc(b, (char)(v >> (8 * i)));
}

static inline void pgo_text(struct buf *b, const char *text)
{
        buf_put(b, text, strlen(text) + 1);
}

static inline void pgo_begin(struct buf *b, uint64_t commit_lsn, uint32_t xid)
{
        buf_putc(b, 'B');
        pgo_int(b, commit_lsn, 8);
        pgo_int(b, 1000000, 8); /* a second after 2000 */
        pgo_int(b, xid, 4);
}

static inline void pgo_commit(struct buf *b, uint64_t commit_lsn, uint64_t end_lsn)
{
        buf_putc(b, 'C');
        pgo_int(b, 0, 1);
        pgo_int(b, commit_lsn, 8);
        pgo_int(b, end_lsn, 8);
        pgo_int(b, 1000000, 8);
}

/* Columns c0, c1… of type text; the first is the key. */
static inline void pgo_relation(struct buf *b, uint32_t oid, const char *table, char identity,
                                int columns)
{
        buf_putc(b, 'R');
        pgo_int(b, oid, 4);
        pgo_text(b, "public");
        pgo_text(b, table);
        buf_putc(b, identity);
        pgo_int(b, (uint64_t)columns, 2);
        for (int i = 0; i < columns; i++) {
                char name[] = {'c', (char)('0' + i % 10), 0};
                pgo_int(b, i == 0, 1);
                pgo_text(b, name);
                pgo_int(b, 25, 4);
                pgo_int(b, UINT32_MAX, 4);
        }
}

/* "n": NULL, "u": unchanged TOAST, "t…": text. */
static inline void pgo_tuple(struct buf *b, char tag, int n, const char *const *values)
{
        buf_putc(b, tag);
        pgo_int(b, (uint64_t)n, 2);
        for (int i = 0; i < n; i++) {
                buf_putc(b, values[i][0]);
                if (values[i][0] != 't')
                        continue;
                pgo_int(b, strlen(values[i] + 1), 4);
                buf_puts(b, values[i] + 1);
        }
}

#endif
