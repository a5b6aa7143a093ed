#include "services/edge/etag.h"

#include "services/edge/text.h"

static void print(struct buf *out, struct slice handle, const struct offset_request *requested,
                  struct log_offset end)
{
        buf_putc(out, '"');
        buf_put_slice(out, handle);
        buf_putc(out, ':');
        offset_request_print(out, requested);
        buf_putc(out, ':');
        offset_print(out, end);
}

void etag_print(struct buf *out, struct slice handle, const struct offset_request *requested,
                struct log_offset end)
{
        print(out, handle, requested, end);
        buf_putc(out, '"');
}

void etag_print_unique(struct buf *out, struct slice handle, const struct offset_request *requested,
                       struct log_offset end, uint64_t unique)
{
        print(out, handle, requested, end);
        buf_putc(out, ':');
        buf_put_u64(out, unique);
        buf_putc(out, '"');
}

void etag_print_refetch(struct buf *out, struct slice handle)
{
        buf_putc(out, '"');
        buf_put_slice(out, handle);
        buf_puts(out, "::\"");
}

static struct slice unquote(struct slice s)
{
        while (s.len && s.p[0] == '"')
                s = slice_of(s.p + 1, s.len - 1);
        while (s.len && s.p[s.len - 1] == '"')
                s.len--;
        return s;
}

bool etag_line_matches(struct slice line, struct slice etag)
{
        struct slice wanted = unquote(etag);
        size_t start = 0;
        for (size_t i = 0; i <= line.len; i++) {
                if (i < line.len && line.p[i] != ',')
                        continue;
                struct slice tag = text_trim(slice_of(line.p + start, i - start));
                if (slice_eq(unquote(tag), wanted))
                        return true;
                start = i + 1;
        }
        return false;
}
