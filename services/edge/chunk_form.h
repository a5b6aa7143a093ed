/* The compressed forms of a closed chunk: its whole answer, `[…]`, in one content coding. Made when
 * a client first asks for the coding, off the loop (encoder.h), kept with the chunk, and counted in
 * the same bound of bytes.
 *
 * Whoever asks while a form is being made waits for it rather than take the plain bytes: those
 * would be what a cache in front keeps for this coding, for as long as the chunk lives. */
#ifndef SERVICES_EDGE_CHUNK_FORM_H
#define SERVICES_EDGE_CHUNK_FORM_H

#include "services/edge/chunk.h"
#include "services/edge/coding.h"

/* Smaller bodies fit into one packet anyway. */
enum { CHUNK_FORM_MIN_BYTES = 512 };

enum chunk_form_state {
        CHUNK_FORM_HERE,
        CHUNK_FORM_WAIT /* the callback will run */,
        CHUNK_FORM_NONE
};
/* The form of the reader's chunk, borrowed until the reader detaches. The reader has taken no piece
 * yet. NONE: send the plain bytes: the chunk is not closed, not kept, too small, would hardly
 * become smaller, or the encoder has too much to do. */
enum chunk_form_state chunk_form(struct chunk_reader *r, enum coding coding, struct slice *body);
/* With its chunk, for which none is being made. */
void chunk_forms_free(struct chunk *c);

#endif
