/* Messages between the services as C structs, made from messages.def. STR and BIN fields borrow:
 * from the caller when encoding, from the received bytes when decoding. */
#ifndef COMMON_WIRE_MSG_H
#define COMMON_WIRE_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum { WIRE_VERSION = 2 };

enum msg_type {
#define MSG(name, number, what) MSG_##name = number,
#include "common/wire/messages.def"
};

#define MSG(name, number, what)                                                                    \
        struct msg_##name {                                                                        \
                enum msg_type type;
#define END()                                                                                      \
        }                                                                                          \
        ;
#define U64(name, what)  uint64_t name;
#define BOOL(name, what) bool name;
#define STR(name, what)  struct slice name;
#define BIN(name, what)  struct slice name;
#include "common/wire/messages.def"

/* Room for any message; `type` says which member. */
union msg {
        enum msg_type type;
#define MSG(name, number, what) struct msg_##name name;
#include "common/wire/messages.def"
};

/* Appends the encoding of m->type's message; the buffer's sticky error says whether it fitted. */
void msg_encode(struct buf *out, const union msg *m);
/* The same for a fetch_ok whose bytes follow elsewhere: appends all that stands before them. */
void msg_encode_fetch_front(struct buf *out, const struct msg_fetch_ok *m);
/* And for a subset_ok whose body follows elsewhere. */
void msg_encode_subset_front(struct buf *out, const struct msg_subset_ok *m);
/* Whole input must be one message: ERR_FORMAT, ERR_VERSION. *m is written only on success and
 * borrows from `bytes`. */
int msg_decode(struct slice bytes, union msg *m);
/* "hello", …; "unknown". */
const char *msg_name(enum msg_type type);

#endif
