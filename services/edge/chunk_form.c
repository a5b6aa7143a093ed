#include "services/edge/chunk_form.h"

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "services/edge/encoder.h"

struct chunk_form {
        struct encoder_ask ask; /* first */
        struct chunk *chunk;
        struct encoder_form *form; /* NULL: being made, or not worth having */
        bool making;
        struct slice *parts;            /* of the plain body, while it is being made */
        char name[CHUNK_KEY_BYTES + 1]; /* the chunk's key and the coding */
};

static struct encoder *encoder_of(const struct chunk *c)
{
        return c->worker->edge->encoder;
}

/* `[` piece `,` piece … `]` */
static void list_parts(struct chunk_form *f)
{
        const struct chunk *c = f->chunk;
        size_t n = 0;
        f->parts = mem_array(2 * (size_t)c->n_pieces + 1, sizeof(*f->parts));
        f->parts[n++] = SLICE_LIT("[");
        for (uint32_t i = 0; i < c->n_pieces; i++) {
                if (i > 0)
                        f->parts[n++] = SLICE_LIT(",");
                f->parts[n++] = c->pieces[i].bytes;
        }
        f->parts[n++] = SLICE_LIT("]");
        f->ask.parts = f->parts;
        f->ask.n_parts = n;
        f->ask.plain_bytes = c->bytes + n - c->n_pieces;
}

static void keep(struct chunk_form *f, struct encoder_form *form)
{
        f->form = form;
        if (form)
                chunk_grow(f->chunk, encoder_form_bytes(form).len);
}

static void on_made(void *state, struct encoder_ask *ask)
{
        struct chunk_form *f = (struct chunk_form *)(void *)ask;
        (void)state;
        CHECK_OBJ(f->chunk, CHUNK_MAGIC);
        f->making = false;
        mem_free(f->parts);
        f->parts = NULL;
        keep(f, ask->form);
        chunk_release(f->chunk);
}

/* NULL: the encoder is busy. */
static struct chunk_form *begin(struct chunk *c, enum coding coding)
{
        struct chunk_form *f = mem_new(struct chunk_form);
        struct encoder_form *form = NULL;
        f->chunk = c;
        memcpy(f->name, c->key.bytes, c->key.len);
        f->name[c->key.len] = (char)coding;
        f->ask.name = slice_of(f->name, c->key.len + 1);
        f->ask.loop = c->worker->loop;
        f->ask.coding = coding;
        f->ask.done = on_made;
        list_parts(f);
        enum encoder_verdict verdict = encoder_ask(encoder_of(c), &f->ask, &form);
        if (verdict == ENCODER_WAIT) {
                f->making = true;
                chunk_hold(c);
                return f;
        }
        mem_free(f->parts);
        f->parts = NULL;
        if (verdict == ENCODER_BUSY) {
                edge_count(EDGE_FORMS_REFUSED, 1);
                mem_free(f);
                return NULL;
        }
        keep(f, form);
        return f;
}

enum chunk_form_state chunk_form(struct chunk_reader *r, enum coding coding, struct slice *body)
{
        struct chunk *c = r->chunk;
        CHECK_OBJ(c, CHUNK_MAGIC);
        SLUICE_ASSERT(r->next == 0 && coding < CODING_IDENTITY);
        if (!chunk_is_kept(c))
                return CHUNK_FORM_NONE;
        if (c->state == CHUNK_OPEN) {
                chunk_fetch_rest(c);
                return CHUNK_FORM_WAIT;
        }
        if (c->bytes < CHUNK_FORM_MIN_BYTES)
                return CHUNK_FORM_NONE;
        if (!c->forms[coding])
                c->forms[coding] = begin(c, coding);
        const struct chunk_form *f = c->forms[coding];
        r->waits_for_form = f && f->making;
        if (r->waits_for_form)
                return CHUNK_FORM_WAIT;
        if (!f || !f->form)
                return CHUNK_FORM_NONE;
        *body = encoder_form_bytes(f->form);
        return CHUNK_FORM_HERE;
}

void chunk_forms_free(struct chunk *c)
{
        for (int i = 0; i < CODING_IDENTITY; i++) {
                struct chunk_form *f = c->forms[i];
                if (!f)
                        continue;
                SLUICE_ASSERT(!f->making);
                if (f->form)
                        encoder_form_unref(encoder_of(c), f->form);
                mem_free(f);
        }
}
