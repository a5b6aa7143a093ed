/* libFuzzer: a replication stream, from the walsender's bytes to the batches that routers read.
 * Each message has two bytes of length before it; length 0 stands for a keepalive. Whatever
 * arrives, an emitted batch must be one that routers can read, and positions must not go back. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "services/ingest/batch.h"

enum { BATCH_BYTES = 512, LENGTH_BYTES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct emitted {
        lsn_t end, reach;
};

static void on_batch(void *arg, const struct batch_out *out)
{
        struct emitted *last = arg;
        struct change_reader r;
        struct change_relation rel;
        struct change_txn txn;
        struct change c;
        SLUICE_ASSERT(out->end.v >= last->end.v && out->reach.v >= last->reach.v);
        last->end = out->end;
        last->reach = out->reach;
        change_reader_init(&r);
        SLUICE_ASSERT(change_reader_start(&r, out->body) == 0);
        while (change_reader_relation(&r, &rel))
                ;
        while (change_reader_txn(&r, &txn)) {
                while (change_reader_change(&r, &c))
                        ;
        }
        SLUICE_ASSERT(!r.rd.err);
        change_reader_fini(&r);
}

static int take(struct pgoutput *d, struct batch *b, struct slice message, struct buf *why)
{
        struct pgoutput_msg m;
        if (message.len == 0) {
                batch_keepalive(b, batch_position(b));
                batch_cut(b);
                return 0;
        }
        int err = pgoutput_decode(d, message, &m);
        return err ? err : batch_message(b, &m, why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct emitted last = {.end = {0}};
        struct buf why;
        buf_init(&why, 4096);
        struct pgoutput *d = pgoutput_new();
        struct batch *b = batch_new(BATCH_BYTES, on_batch, &last);
        batch_begin(b, (lsn_t){0});
        while (size >= LENGTH_BYTES) {
                size_t len = (size_t)data[0] << 8 | data[1];
                data += LENGTH_BYTES;
                size -= LENGTH_BYTES;
                if (len > size)
                        len = size;
                if (take(d, b, slice_of((const char *)data, len), &why) != 0)
                        break;
                data += len;
                size -= len;
        }
        if (!batch_in_txn(b))
                batch_cut(b);
        batch_free(b);
        pgoutput_free(d);
        buf_fini(&why);
        return 0;
}
