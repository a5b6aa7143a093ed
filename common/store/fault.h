/* Damaged pages can make LMDB follow a pointer to nowhere. A process that dies of that would die
 * again at every start, so a memory fault in LMDB's code or in the map marks the store as damaged
 * before the process ends as it would have. Private to common/store. */
#ifndef COMMON_STORE_FAULT_H
#define COMMON_STORE_FAULT_H

struct store;

/* One store at a time: the last one that was opened. */
void fault_watch(struct store *s);
void fault_unwatch(const struct store *s);

#endif
