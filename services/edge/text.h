/* What the request line's text is made of: percent encoding and UTF-8. Pure functions. */
#ifndef SERVICES_EDGE_TEXT_H
#define SERVICES_EDGE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "services/edge/arena.h"

/* Decodes %XX, and '+' as a space when `form`. The result is the arena's, or `in` itself when there
 * is nothing to decode. ERR_FORMAT for a broken escape. */
int text_percent_decode(struct arena *a, struct slice in, bool form, struct slice *out);
/* Well-formed UTF-8 without surrogates and overlong forms (RFC 3629). */
bool text_is_utf8(struct slice s);
/* Next code point of text that text_is_utf8(); *at moves behind it. False at the end. */
bool text_next(struct slice s, size_t *at, uint32_t *code_point);
/* A letter or mark of any script, as far as an identifier may have one. Errs on the generous side:
 * what passes is still looked up in the catalog. */
bool text_is_letter(uint32_t code_point);
bool text_has_nul(struct slice s);
/* Without leading and trailing ASCII white space. */
struct slice text_trim(struct slice s);

#endif
