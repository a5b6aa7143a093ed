#include "common/wire/msg.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/wire/rd.h"
#include "common/wire/wr.h"

/* Number of fields of each message, counted by the table itself. */
enum msg_fields {
#define MSG(name, number, what) FIELDS_##name = 0
#define U64(name, what)         +1
#define BOOL(name, what)        +1
#define STR(name, what)         +1
#define BIN(name, what)         +1
#define END()                   ,
#include "common/wire/messages.def"
};

const char *msg_name(enum msg_type type)
{
        switch (type) {
#define MSG(name, number, what)                                                                    \
        case MSG_##name:                                                                           \
                return #name;
#include "common/wire/messages.def"
        }
        return "unknown";
}

#define MSG(name, number, what)                                                                    \
        static void encode_##name(struct buf *out, const struct msg_##name *m)                     \
        {                                                                                          \
                wr_array(out, 2 + (uint32_t)FIELDS_##name);                                        \
                wr_u64(out, WIRE_VERSION);                                                         \
                wr_u64(out, (uint64_t)m->type);
#define U64(name, what)  wr_u64(out, m->name);
#define BOOL(name, what) wr_bool(out, m->name);
#define STR(name, what)  wr_str(out, m->name);
#define BIN(name, what)  wr_bin(out, m->name);
#define END()            }
#include "common/wire/messages.def"

#define MSG(name, number, what)                                                                    \
        static void decode_##name(struct rd *r, struct msg_##name *m)                              \
        {                                                                                          \
                m->type = MSG_##name;                                                              \
                (void)r;
#define U64(name, what)  m->name = rd_u64(r);
#define BOOL(name, what) m->name = rd_bool(r);
#define STR(name, what)  m->name = rd_bytes(r);
#define BIN(name, what)  m->name = rd_bytes(r);
#define END()            }
#include "common/wire/messages.def"

void msg_encode(struct buf *out, const union msg *m)
{
        switch (m->type) {
#define MSG(name, number, what)                                                                    \
        case MSG_##name:                                                                           \
                encode_##name(out, &m->name);                                                      \
                return;
#include "common/wire/messages.def"
        }
        SLUICE_ASSERT(!"a message of the table");
}

/* The empty last field is replaced by the front of one with `len` bytes. */
static void open_last_bin(struct buf *out, size_t len)
{
        enum { EMPTY_BIN_BYTES = 2 };
        if (buf_status(out) != 0)
                return;
        out->len -= EMPTY_BIN_BYTES;
        wr_bin_front(out, len);
}

void msg_encode_fetch_front(struct buf *out, const struct msg_fetch_ok *m)
{
        struct msg_fetch_ok front = *m;
        front.bytes = SLICE_EMPTY;
        encode_fetch_ok(out, &front);
        open_last_bin(out, m->bytes.len);
}

void msg_encode_subset_front(struct buf *out, const struct msg_subset_ok *m)
{
        struct msg_subset_ok front = *m;
        front.body = SLICE_EMPTY;
        encode_subset_ok(out, &front);
        open_last_bin(out, m->body.len);
}

static void decode_body(struct rd *r, uint64_t number, uint32_t fields, union msg *m)
{
        switch (number) {
#define MSG(name, number, what)                                                                    \
        case MSG_##name:                                                                           \
                if (fields != (uint32_t)FIELDS_##name)                                             \
                        break;                                                                     \
                decode_##name(r, &m->name);                                                        \
                return;
#include "common/wire/messages.def"
        default:
                break;
        }
        rd_fail(r);
}

int msg_decode(struct slice bytes, union msg *m)
{
        struct rd r;
        union msg decoded = {0};
        rd_init(&r, bytes);
        uint32_t count = rd_array(&r);
        if (r.err || count < 2)
                return ERR_FORMAT;
        uint64_t version = rd_u64(&r);
        if (!r.err && version != WIRE_VERSION)
                return ERR_VERSION;
        uint64_t number = rd_u64(&r);
        decode_body(&r, number, count - 2, &decoded);
        if (r.err || !rd_at_end(&r))
                return ERR_FORMAT;
        *m = decoded;
        return 0;
}
