#include "common/wire/wr.h"

#include <msgpack.h>

#include "common/base/assert.h"

static int write_to_buf(void *data, const char *bytes, size_t len)
{
        buf_put(data, bytes, len);
        return 0;
}

static msgpack_packer packer(struct buf *b)
{
        return (msgpack_packer){.data = b, .callback = write_to_buf};
}

void wr_u64(struct buf *b, uint64_t v)
{
        msgpack_packer pk = packer(b);
        msgpack_pack_uint64(&pk, v);
}

void wr_i64(struct buf *b, int64_t v)
{
        msgpack_packer pk = packer(b);
        msgpack_pack_int64(&pk, v);
}

void wr_bool(struct buf *b, bool v)
{
        msgpack_packer pk = packer(b);
        (v ? msgpack_pack_true : msgpack_pack_false)(&pk);
}

void wr_nil(struct buf *b)
{
        msgpack_packer pk = packer(b);
        msgpack_pack_nil(&pk);
}

void wr_str(struct buf *b, struct slice s)
{
        msgpack_packer pk = packer(b);
        msgpack_pack_str(&pk, s.len);
        buf_put_slice(b, s);
}

void wr_bin_front(struct buf *b, size_t len)
{
        msgpack_packer pk = packer(b);
        msgpack_pack_bin(&pk, len);
}

void wr_bin(struct buf *b, struct slice s)
{
        wr_bin_front(b, s.len);
        buf_put_slice(b, s);
}

void wr_array(struct buf *b, uint32_t count)
{
        msgpack_packer pk = packer(b);
        msgpack_pack_array(&pk, count);
}

/* array 32: always five bytes, so that the count can be written later. */
static void put_array32(char *at, uint32_t count)
{
        at[0] = (char)0xdd;
        for (int i = 0; i < 4; i++)
                at[1 + i] = (char)(count >> (24 - 8 * i));
}

size_t wr_array_begin(struct buf *b)
{
        char *at = buf_reserve(b, 5);
        if (!at)
                return SIZE_MAX;
        put_array32(at, 0);
        buf_advance(b, 5);
        return b->len - 5;
}

void wr_array_end(struct buf *b, size_t at, uint32_t count)
{
        if (at == SIZE_MAX)
                return; /* the begin did not fit: the buffer's error says so */
        SLUICE_ASSERT(at + 5 <= b->len);
        put_array32(b->p + at, count);
}
