/* Compressing off the loops: a few threads of the process, a queue bounded by bytes, and every form
 * of a body made once per process, whichever loops ask for it and however many at once.
 *
 * A **form** is a body in one content coding. It is known by a name (what the body is, and the
 * coding), and is kept for as long as a loop has a reference to it.
 *
 *   encoder_ask() -> FORM                     the process has it
 *                 -> WAIT ... ask.done()      it is being made; the same ask of others is joined
 *                 -> BUSY                     the queue is full: serve the plain bytes */
#ifndef SERVICES_EDGE_ENCODER_H
#define SERVICES_EDGE_ENCODER_H

#include <stdint.h>

#include "common/base/list.h"
#include "common/base/slice.h"
#include "services/edge/coding.h"
#include "services/edge/http.h"

enum {
        ENCODER_QUEUE_BYTES = 64 << 20, /* of plain bytes that wait or are in work */
        ENCODER_NICE = 5                /* the loops go first */
};

struct encoder;
struct encoder_form;

/* The asker's; alive and unmoved from WAIT until done() runs, on the loop's thread. */
struct encoder_ask {
        struct http_post post; /* first */
        struct list node;      /* the encoder's, as `post` is */
        struct http_loop *loop;
        struct slice name;
        enum coding coding;
        const struct slice *parts; /* of the plain body; borrowed until done() */
        size_t n_parts, plain_bytes;
        /* With `form`, a reference for the asker; NULL: it would not be smaller, or the process
         * ends. */
        void (*done)(void *state, struct encoder_ask *ask);
        struct encoder_form *form;
};

enum encoder_verdict { ENCODER_FORM, ENCODER_WAIT, ENCODER_BUSY };

/* No threads: everything is BUSY. */
struct encoder *encoder_new(uint32_t threads);
/* Ends the threads; what still waits is told, and is the last that is. No ask may follow. */
void encoder_stop(struct encoder *e);
/* No form may be referenced any more. */
void encoder_free(struct encoder *e);

/* Any thread. FORM: *out is a reference for the caller, and `ask` is not kept. */
enum encoder_verdict encoder_ask(struct encoder *e, struct encoder_ask *ask,
                                 struct encoder_form **out);
struct slice encoder_form_bytes(const struct encoder_form *f);
void encoder_form_unref(struct encoder *e, struct encoder_form *f);

#endif
