/* Levels, measured on 10 MB chunks of the benchmark's rows and of rows of words, uuids and numbers
 * (compressed size to plain, speed; one core):
 *
 *   zstd 1     0.07  0.19   930  360 MB/s     zstd 3    0.08  0.21   610  230 MB/s
 *   brotli 4   0.07  0.20   100   53 MB/s     brotli 1  0.08  0.21   520  300 MB/s
 *   gzip 4     0.10  0.22   140   66 MB/s     gzip 6    0.10  0.21    86   37 MB/s
 *
 * Above these, twice the time brings 1 to 2 % of the plain size. */
#include "services/edge/compress.h"

#include <brotli/encode.h>
#include <limits.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

enum { ZSTD_LEVEL = 1, BROTLI_LEVEL = 4, BROTLI_WINDOW = 22, GZIP_LEVEL = 4, GZIP_MEMORY = 8 };

struct output {
        char *bytes;
        size_t len, max;
};

static size_t sum(const struct slice *parts, size_t n)
{
        size_t total = 0;
        for (size_t i = 0; i < n; i++)
                total += parts[i].len;
        return total;
}

/* ---- gzip */

/* zlib counts in unsigned int. */
static uInt in_uint(size_t n)
{
        SLUICE_ASSERT(n <= UINT_MAX);
        return (uInt)n;
}

static int gzip(const struct slice *parts, size_t n, struct output *out)
{
        z_stream z = {0};
        int status = deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, MAX_WBITS + 16, GZIP_MEMORY,
                                  Z_DEFAULT_STRATEGY);
        if (status != Z_OK)
                return ERR_INVAL;
        z.next_out = (Bytef *)out->bytes;
        z.avail_out = in_uint(out->max);
        for (size_t i = 0; i < n && status == Z_OK; i++) {
                z.next_in = (z_const Bytef *)(uintptr_t)parts[i].p;
                z.avail_in = in_uint(parts[i].len);
                if (i + 1 == n)
                        status = deflate(&z, Z_FINISH);
                else if (z.avail_in > 0)
                        status = deflate(&z, Z_NO_FLUSH);
                if (status == Z_OK && z.avail_out == 0)
                        status = Z_BUF_ERROR;
        }
        out->len = out->max - z.avail_out;
        deflateEnd(&z);
        return status == Z_STREAM_END ? 0 : status == Z_BUF_ERROR ? ERR_LIMIT : ERR_INVAL;
}

/* ---- brotli */

struct brotli {
        BrotliEncoderState *state;
        uint8_t *next;
        size_t room;
};

/* Until the part is taken, or, with FINISH, all has come out. */
static int brotli_part(struct brotli *b, struct slice part, BrotliEncoderOperation op)
{
        const uint8_t *in = (const uint8_t *)part.p;
        size_t left = part.len;
        for (;;) {
                if (!BrotliEncoderCompressStream(b->state, op, &left, &in, &b->room, &b->next,
                                                 NULL))
                        return ERR_INVAL;
                bool done = op == BROTLI_OPERATION_FINISH
                                    ? BrotliEncoderIsFinished(b->state)
                                    : left == 0 && !BrotliEncoderHasMoreOutput(b->state);
                if (done)
                        return 0;
                if (b->room == 0)
                        return ERR_LIMIT;
        }
}

static int brotli(const struct slice *parts, size_t n, struct output *out)
{
        struct brotli b = {BrotliEncoderCreateInstance(NULL, NULL, NULL), (uint8_t *)out->bytes,
                           out->max};
        size_t total = sum(parts, n);
        int err = 0;
        if (!b.state)
                return ERR_INVAL;
        BrotliEncoderSetParameter(b.state, BROTLI_PARAM_QUALITY, BROTLI_LEVEL);
        BrotliEncoderSetParameter(b.state, BROTLI_PARAM_LGWIN, BROTLI_WINDOW);
        BrotliEncoderSetParameter(b.state, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
        BrotliEncoderSetParameter(b.state, BROTLI_PARAM_SIZE_HINT,
                                  total > UINT32_MAX ? UINT32_MAX : (uint32_t)total);
        for (size_t i = 0; i < n && err == 0; i++)
                err = brotli_part(&b, parts[i],
                                  i + 1 == n ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS);
        BrotliEncoderDestroyInstance(b.state);
        out->len = out->max - b.room;
        return err;
}

/* ---- zstd */

static int zstd_part(ZSTD_CCtx *z, ZSTD_outBuffer *to, struct slice part, ZSTD_EndDirective end)
{
        ZSTD_inBuffer in = {part.p, part.len, 0};
        for (;;) {
                size_t left = ZSTD_compressStream2(z, to, &in, end);
                if (ZSTD_isError(left))
                        return ERR_INVAL;
                if (end == ZSTD_e_end ? left == 0 : in.pos == in.size)
                        return 0;
                if (to->pos == to->size)
                        return ERR_LIMIT;
        }
}

static int zstd(const struct slice *parts, size_t n, struct output *out)
{
        ZSTD_CCtx *z = ZSTD_createCCtx();
        ZSTD_outBuffer to = {out->bytes, out->max, 0};
        int err = 0;
        if (!z)
                return ERR_INVAL;
        ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        ZSTD_CCtx_setPledgedSrcSize(z, sum(parts, n));
        for (size_t i = 0; i < n && err == 0; i++)
                err = zstd_part(z, &to, parts[i], i + 1 == n ? ZSTD_e_end : ZSTD_e_continue);
        ZSTD_freeCCtx(z);
        out->len = to.pos;
        return err;
}

int compress_body(enum coding coding, const struct slice *parts, size_t n_parts, size_t max_bytes,
                  struct slice *out)
{
        static int (*const by[])(const struct slice *parts, size_t n, struct output *out) = {
                [CODING_ZSTD] = zstd, [CODING_BROTLI] = brotli, [CODING_GZIP] = gzip};
        SLUICE_ASSERT(coding < CODING_IDENTITY && n_parts > 0);
        struct output o = {.bytes = mem_array(max_bytes + 1, 1), .max = max_bytes};
        int err = by[coding](parts, n_parts, &o);
        if (err != 0) {
                mem_free(o.bytes);
                return err;
        }
        SLUICE_ASSERT(o.len <= max_bytes);
        *out = slice_of(mem_resize(o.bytes, o.len + 1, 1), o.len);
        return 0;
}
