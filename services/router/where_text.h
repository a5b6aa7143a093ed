/* UTF-8 text, as a Postgres database of that encoding takes it. */
#ifndef SERVICES_ROUTER_WHERE_TEXT_H
#define SERVICES_ROUTER_WHERE_TEXT_H

#include "common/base/slice.h"

/* UTF-8 without NUL, surrogates and overlong forms. */
bool where_text_is_valid(struct slice s);
/* What Postgres' input functions take for white space, and a text without it at either end. */
static inline bool where_is_space(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}
struct slice where_trim(struct slice s);
/* Bytes of the character that starts at p, of valid text. */
static inline size_t where_char_bytes(const char *p)
{
        unsigned char c = (unsigned char)*p;
        return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The character at the start of `s`, its bytes; 0: none that is valid. */
size_t where_char_decode(struct slice s, uint32_t *code);
/* Up to four bytes; returns how many. */
size_t where_char_encode(uint32_t code, char *out);

#endif
