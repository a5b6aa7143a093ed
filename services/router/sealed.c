#include "services/router/sealed.h"

#include "common/base/err.h"
#include "common/base/hash.h"

static uint64_t checksum(struct slice key, struct slice payload)
{
        return hash64_seeded(payload, hash64(key));
}

int sealed_open(struct slice key, struct slice value, struct slice *payload)
{
        uint64_t sum;
        if (value.len < SEALED_HEAD_BYTES)
                return ERR_CORRUPT;
        memcpy(&sum, value.p, SEALED_HEAD_BYTES);
        struct slice p = slice_of(value.p + SEALED_HEAD_BYTES, value.len - SEALED_HEAD_BYTES);
        if (checksum(key, p) != sum)
                return ERR_CORRUPT;
        *payload = p;
        return 0;
}

bool sealed_get(struct store_txn *t, struct slice key, struct slice *payload)
{
        struct slice value;
        if (!store_get(t, key, &value))
                return false;
        t->err = sealed_open(key, value, payload);
        return t->err == 0;
}

void sealed_put(struct store_txn *t, struct slice key, struct slice payload)
{
        uint64_t sum = checksum(key, payload);
        char *room = store_put_room(t, key, SEALED_HEAD_BYTES + payload.len);
        if (!room)
                return;
        memcpy(room, &sum, SEALED_HEAD_BYTES);
        if (payload.len)
                memcpy(room + SEALED_HEAD_BYTES, payload.p, payload.len);
}
