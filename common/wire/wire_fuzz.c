/* libFuzzer: the first byte chooses a decoder, the rest is what a peer sent. Every decoder must end
 * inside the bytes. */
#include <stddef.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/wire/change.h"
#include "common/wire/definition.h"
#include "common/wire/msg.h"
#include "common/wire/notice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_change(struct slice bytes)
{
        struct change_reader r;
        struct change_relation rel;
        struct change_txn txn;
        struct change c;
        change_reader_init(&r);
        if (change_reader_start(&r, bytes) == 0) {
                while (change_reader_relation(&r, &rel))
                        ;
                while (change_reader_txn(&r, &txn)) {
                        while (change_reader_change(&r, &c))
                                ;
                }
        }
        change_reader_fini(&r);
}

static void fuzz_notice(struct slice bytes)
{
        struct notice_reader r;
        struct notice n;
        if (notice_reader_start(&r, bytes) == 0) {
                while (notice_reader_next(&r, &n))
                        ;
        }
}

static void fuzz_definition(struct slice bytes)
{
        struct definition d;
        if (definition_decode(bytes, &d) == 0)
                definition_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        union msg m;
        struct bus_frame f;
        if (size == 0)
                return 0;
        struct slice bytes = slice_of((const char *)data + 1, size - 1);
        switch (data[0] % 5) {
        case 0:
                (void)msg_decode(bytes, &m);
                break;
        case 1:
                fuzz_change(bytes);
                break;
        case 2:
                fuzz_notice(bytes);
                break;
        case 3:
                fuzz_definition(bytes);
                break;
        default:
                (void)bus_frame_parse(bytes, &f);
        }
        return 0;
}
