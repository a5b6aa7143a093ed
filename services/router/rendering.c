#include "services/router/rendering.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

#define ENTRY_MAX_BYTES ((size_t)1 << 30)
#define KEEP_BYTES      ((size_t)1 << 20)

struct rendering {
        const struct change *change;
        struct render_at at;
        const struct view *view; /* whose renderings these are */
        bool has_insert, has_delete, has_update;
        enum render_update update;
        struct buf insert, delete, first, second;
};

struct rendering *rendering_new(void)
{
        struct rendering *r = mem_new(struct rendering);
        buf_init(&r->insert, ENTRY_MAX_BYTES);
        buf_init(&r->delete, ENTRY_MAX_BYTES);
        buf_init(&r->first, ENTRY_MAX_BYTES);
        buf_init(&r->second, ENTRY_MAX_BYTES);
        return r;
}

void rendering_free(struct rendering *r)
{
        buf_fini(&r->insert);
        buf_fini(&r->delete);
        buf_fini(&r->first);
        buf_fini(&r->second);
        mem_free(r);
}

static void empty(struct buf *b)
{
        if (b->cap > KEEP_BYTES) {
                buf_fini(b);
                buf_init(b, ENTRY_MAX_BYTES);
        }
        buf_reset(b);
}

static void forget(struct rendering *r, const struct view *view)
{
        r->view = view;
        r->has_insert = r->has_delete = r->has_update = false;
        empty(&r->insert);
        empty(&r->delete);
        empty(&r->first);
        empty(&r->second);
}

void rendering_start(struct rendering *r, const struct change_txn *txn, const struct change *change)
{
        forget(r, NULL);
        r->change = change;
        r->at = (struct render_at){.xid = txn->xid, .lsn = txn->commit_lsn, .op = change->op};
}

static int one(const struct rendering *r, const struct buf *b, struct rendering_entry *out,
               uint32_t *n)
{
        out[*n].at = (struct log_offset){r->at.lsn.v, r->at.op + *n};
        out[*n].json = buf_slice(b);
        ++*n;
        return buf_status(b);
}

static int get_update(struct rendering *r, const struct match_rows *rows,
                      struct rendering_entry *out, uint32_t *n)
{
        if (!r->has_update)
                r->update = render_update(rows->view->projection, &r->at, rows->old_row,
                                          rows->new_row, &r->first, &r->second);
        r->has_update = true;
        if (r->update == RENDER_NOTHING)
                return 0;
        int err = one(r, &r->first, out, n);
        return err || r->update == RENDER_ONE ? err : one(r, &r->second, out, n);
}

int rendering_get(struct rendering *r, const struct match_rows *rows, bool old_in, bool new_in,
                  struct rendering_entry out[2], uint32_t *n)
{
        SLUICE_ASSERT(old_in || new_in);
        *n = 0;
        if (r->view != rows->view)
                forget(r, rows->view);
        if (old_in && new_in)
                return get_update(r, rows, out, n);
        if (new_in) {
                if (!r->has_insert)
                        render_insert(rows->view->projection, &r->at, rows->new_row, &r->insert);
                r->has_insert = true;
                return one(r, &r->insert, out, n);
        }
        if (!r->has_delete)
                render_delete(rows->view->projection, &r->at, rows->old_row, &r->delete);
        r->has_delete = true;
        return one(r, &r->delete, out, n);
}
