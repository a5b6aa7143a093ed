/* The state file beside the data: it keeps a second process out (flock) and remembers whether the
 * store was closed, outside the data because it decides whether the data may be looked at. Private
 * to common/store.
 *
 *     absent                    nobody has opened the store yet; data beside it is not ours
 *     "open <boot id>\n"        in use, or its process died; trustworthy while the machine is still
 * up "clean <size of data>\n"  closed and synced; a shorter file has been damaged since anything
 * else             found corrupt, or torn by a power failure: not to be trusted
 */
#ifndef COMMON_STORE_STATE_H
#define COMMON_STORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

enum state_kind { STATE_ABSENT, STATE_TRUSTED, STATE_CLEAN, STATE_UNTRUSTED };

struct state {
        enum state_kind kind;
        uint64_t clean_bytes; /* STATE_CLEAN */
        int fd;
};

bool state_exists(const char *directory);
/* Opens, locks and reads `directory`'s state file. ERR_EXISTS when another process holds it,
 * ERR_DENIED, ERR_IO. */
int state_open(struct state *s, const char *directory, struct buf *why);
/* Unlocks. The file stays as it was last marked. */
void state_close(struct state *s);
/* Durable on return. */
int state_mark_open(struct state *s);
int state_mark_clean(struct state *s, uint64_t data_bytes);
/* What is beside it is not to be looked at again. */
int state_mark_untrusted(struct state *s);

#endif
