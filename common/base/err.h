/* The error codes of Sluice, one table. Functions return 0 or one of these negative codes; where
 * a person must be told more, a `struct buf *why` receives one line of text. */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#define ERR_MAP(X)                                                                                 \
        X(INVAL, "invalid argument")                                                               \
        X(FORMAT, "malformed data")                                                                \
        X(VERSION, "unsupported version")                                                          \
        X(RANGE, "value out of range")                                                             \
        X(LIMIT, "limit exceeded")                                                                 \
        X(NOTFOUND, "not found")                                                                   \
        X(EXISTS, "already exists")                                                                \
        X(AGAIN, "try again")                                                                      \
        X(TIMEOUT, "timed out")                                                                    \
        X(CLOSED, "connection closed")                                                             \
        X(REFUSED, "connection refused")                                                           \
        X(IO, "input/output error")                                                                \
        X(FULL, "no space left")                                                                   \
        X(CORRUPT, "data is corrupt")                                                              \
        X(DENIED, "permission denied")                                                             \
        X(DB, "database error")                                                                    \
        X(CONF, "configuration error")                                                             \
        X(HISTORY, "another history of the database")                                              \
        X(CANCELLED, "cancelled")

enum err_code {
        ERR_OK = 0,
        ERR_BASE_ = -1000,
#define X(name, text) ERR_##name,
        ERR_MAP(X)
#undef X
};

/* Static text for a code of the table; "unknown error" for any other value. */
const char *err_text(int code);

#endif
