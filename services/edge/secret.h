/* What clients must know (protocol §1.2). Only a digest is compared, whole and by a primitive made
 * for it, so the time of an answer tells neither how much of a guess is right nor how long the
 * secret is. (A target that was answered before is known again by its whole hash, memo.h: that a
 * guess shares bytes with it is not looked at.) */
#ifndef SERVICES_EDGE_SECRET_H
#define SERVICES_EDGE_SECRET_H

#include <stdbool.h>

#include "common/base/slice.h"

enum { SECRET_DIGEST_BYTES = 32 };

struct secret {
        bool wanted; /* false: anybody may ask */
        unsigned char digest[SECRET_DIGEST_BYTES];
};

/* An empty text: none is wanted. */
void secret_init(struct secret *s, struct slice text);
/* Not to be asked when none is wanted. */
bool secret_is(const struct secret *s, struct slice given);

#endif
