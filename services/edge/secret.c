#include "services/edge/secret.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "common/base/assert.h"

_Static_assert(SECRET_DIGEST_BYTES == SHA256_DIGEST_LENGTH, "the digest is SHA-256");

static void digest(struct slice text, unsigned char *out)
{
        static const unsigned char nothing[1];
        const unsigned char *p = text.len ? (const unsigned char *)text.p : nothing;
        SLUICE_ASSERT(SHA256(p, text.len, out) != NULL);
}

void secret_init(struct secret *s, struct slice text)
{
        s->wanted = text.len > 0;
        digest(text, s->digest);
}

bool secret_is(const struct secret *s, struct slice given)
{
        unsigned char theirs[SECRET_DIGEST_BYTES];
        SLUICE_ASSERT(s->wanted);
        digest(given, theirs);
        return CRYPTO_memcmp(s->digest, theirs, sizeof(theirs)) == 0;
}
