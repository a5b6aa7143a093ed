/* What comes out of the three libraries is what went in, and is never longer than was allowed. */
#include "common/test/test.h"

#include <brotli/decode.h>
#include <stdio.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/edge/compress.h"

enum { MOST = 4 << 20 };

static size_t gunzip(struct slice in, char *out)
{
        z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)in.p,
                      .avail_in = (uInt)in.len,
                      .next_out = (Bytef *)out,
                      .avail_out = MOST};
        assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        assert_int_equal(z.avail_in, 0);
        size_t len = z.total_out;
        inflateEnd(&z);
        return len;
}

static size_t decompress(enum coding coding, struct slice in, char *out)
{
        size_t len = MOST;
        switch (coding) {
        case CODING_GZIP:
                return gunzip(in, out);
        case CODING_BROTLI:
                assert_int_equal(BrotliDecoderDecompress(in.len, (const uint8_t *)in.p, &len,
                                                         (uint8_t *)out),
                                 BROTLI_DECODER_RESULT_SUCCESS);
                return len;
        case CODING_ZSTD:
                len = ZSTD_decompress(out, MOST, in.p, in.len);
                assert_false(ZSTD_isError(len));
                return len;
        case CODING_IDENTITY:
        case N_CODINGS:
                break;
        }
        fail();
        return 0;
}

/* Rows of JSON, more or less. */
static struct slice text(size_t bytes)
{
        char *p = mem_array(bytes, 1);
        uint64_t seed = 1;
        size_t at = 0;
        while (at < bytes) {
                char row[64];
                int n = snprintf(row, sizeof(row), "{\"key\":\"%llx\"},",
                                 (unsigned long long)(test_random(&seed) & 0xffff));
                for (int i = 0; i < n && at < bytes; i++)
                        p[at++] = row[i];
        }
        return slice_of(p, bytes);
}

static struct slice noise(size_t bytes)
{
        char *p = mem_array(bytes, 1);
        uint64_t seed = 7;
        for (size_t i = 0; i < bytes; i++)
                p[i] = (char)(test_random(&seed) >> 40);
        return slice_of(p, bytes);
}

static void drop(struct slice s)
{
        mem_free((void *)(uintptr_t)s.p);
}

/* In three parts, one of them empty. */
static void there_and_back(enum coding coding, size_t bytes)
{
        struct slice plain = text(bytes), packed;
        struct slice parts[] = {slice_of(plain.p, bytes / 3), SLICE_EMPTY,
                                slice_of(plain.p + bytes / 3, bytes - bytes / 3)};
        char *out = mem_array(MOST, 1);
        assert_int_equal(compress_body(coding, parts, 3, bytes, &packed), 0);
        assert_true(packed.len < bytes);
        assert_int_equal(decompress(coding, packed, out), bytes);
        assert_memory_equal(out, plain.p, bytes);
        mem_free(out);
        drop(packed);
        drop(plain);
}

static void test_round_trip(void **state)
{
        (void)state;
        for (int c = 0; c < CODING_IDENTITY; c++)
                for (size_t bytes = 600; bytes < MOST; bytes *= 7)
                        there_and_back((enum coding)c, bytes);
}

/* Whatever the room, the result fits into it or is refused. */
static void test_room(void **state)
{
        (void)state;
        struct slice plain = text(20000), packed;
        for (int c = 0; c < CODING_IDENTITY; c++) {
                assert_int_equal(compress_body((enum coding)c, &plain, 1, plain.len, &packed), 0);
                size_t needed = packed.len;
                drop(packed);
                assert_int_equal(compress_body((enum coding)c, &plain, 1, needed + 1, &packed), 0);
                assert_int_equal(packed.len, needed);
                drop(packed);
                for (size_t room = 0; room < needed; room += 1 + needed / 50)
                        assert_int_equal(compress_body((enum coding)c, &plain, 1, room, &packed),
                                         ERR_LIMIT);
        }
        drop(plain);
}

static void test_noise(void **state)
{
        (void)state;
        struct slice plain = noise(300000), packed;
        for (int c = 0; c < CODING_IDENTITY; c++)
                assert_int_equal(
                        compress_body((enum coding)c, &plain, 1, plain.len / 8 * 7, &packed),
                        ERR_LIMIT);
        drop(plain);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                           cmocka_unit_test(test_room),
                                           cmocka_unit_test(test_noise)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
