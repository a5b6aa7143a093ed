/* The door to NNG: no other file includes its headers. Two things pass through it, request/reply
 * (rpc_*) and numbered publish/subscribe (pub_*, sub_*).
 *
 * Threads: callbacks run on NNG's threads and must not block; they post to the loop that owns their
 * data. Every function may be called from any thread unless told otherwise. URLs are NNG's: tcp://
 * tls+tcp:// ipc:// inproc://. An incoming message is at most max_bytes long (checked by NNG before
 * it is allocated, then here). */
#ifndef COMMON_BUS_BUS_H
#define COMMON_BUS_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

/* A received message; reference counted, so it may be kept without copying. */
struct bus_msg;
struct slice bus_msg_body(const struct bus_msg *m); /* borrowed */
void bus_msg_unref(struct bus_msg *m);
struct bus_msg *bus_msg_ref(struct bus_msg *m);

/* ---- TLS */

/* For tls+tcp:// URLs, before any socket is opened, on the main thread: PEM files. Every peer shows
 * its certificate and demands one that the CA signed of the other, whichever side dials; who dials
 * also demands that the certificate is for the host that the URL names (a name, not an address:
 * mbedTLS compares DNS names only). From then on tcp:// is refused. Three times "": no TLS.
 * ERR_CONF with a line in *why. */
int bus_tls_use(const char *ca_file, const char *cert_file, const char *key_file, struct buf *why);

/* ---- request/reply: server */

struct rpc_server;
struct rpc_call; /* one request waiting for its answer */

/* Takes the call: it must be answered once with rpc_reply(), at any time, from any thread. */
typedef void rpc_handler(void *arg, struct rpc_call *call);

/* `concurrency`: how many calls may be unanswered; more wait in the peers' sockets. *why gets a
 * line on failure (ERR_CONF for a bad URL, ERR_EXISTS when the address is in use, ERR_IO). */
int rpc_server_open(struct rpc_server **out, const char *url, uint32_t concurrency,
                    size_t max_bytes, rpc_handler *handler, void *arg, struct buf *why);
/* Unanswered calls are dropped; no handler runs after it returns. */
void rpc_server_close(struct rpc_server *s);
struct slice rpc_call_body(const struct rpc_call *call); /* borrowed until the reply */
/* Copies `body`, which may be part of the request; the call is gone afterwards. */
void rpc_reply(struct rpc_call *call, struct slice body);
/* The same for a body in two parts, so that a large second part is copied once only. */
void rpc_reply_parts(struct rpc_call *call, struct slice front, struct slice rest);

/* ---- request/reply: client, one per peer URL */

struct rpc_client;

/* err is 0, ERR_TIMEOUT, ERR_CLOSED or ERR_CANCELLED. `reply` is NULL unless err is 0; it is
 * borrowed for the duration of the call, and bus_msg_ref() keeps it. */
typedef void rpc_callback(void *arg, int err, struct bus_msg *reply);

/* Dials in the background for ever (10 ms to 100 ms between tries). `concurrency` bounds what is in
 * flight. */
int rpc_client_open(struct rpc_client **out, const char *url, uint32_t concurrency,
                    size_t max_bytes, struct buf *why);
/* Outstanding calls get ERR_CANCELLED before it returns. */
void rpc_client_close(struct rpc_client *c);
/* Copies `body`. 0: the callback will run exactly once; ERR_AGAIN: `concurrency` calls are in
 * flight and the callback will not run. NNG resends after a reconnect: requests must be idempotent.
 */
int rpc_send(struct rpc_client *c, struct slice body, uint32_t timeout_ms, rpc_callback *cb,
             void *arg);
/* Blocking form for start-up and workers (never on a loop): the reply's body is appended to
 * `reply`. */
int rpc_call_wait(struct rpc_client *c, struct slice body, uint32_t timeout_ms, struct buf *reply);

/* ---- numbered publish/subscribe
 * A frame is the msgpack array [version, epoch, seq, bin body]; seq starts at 1 in each epoch. */

struct pub;

/* `queue`: messages NNG holds for each subscriber (1..8192); the publisher must not have more than
 * that unacknowledged if nothing may be lost. */
int pub_open(struct pub **out, const char *url, uint32_t queue, struct buf *why);
void pub_close(struct pub *p);
/* Never blocks; silently dropped for a subscriber whose queue is full. Copies. */
void pub_send(struct pub *p, struct slice frame);
void pub_frame(struct buf *out, uint64_t epoch, uint64_t seq, struct slice body);

struct bus_frame {
        uint64_t epoch, seq;
        struct slice body;
};
/* ERR_FORMAT, ERR_VERSION; body borrows. */
int bus_frame_parse(struct slice bytes, struct bus_frame *out);

struct sub;

/* The callback owns a reference to the message. Called in order, never concurrently. */
typedef void sub_callback(void *arg, struct bus_msg *msg);

/* Dials in the background for ever. */
int sub_open(struct sub **out, const char *url, uint32_t queue, size_t max_bytes, sub_callback *cb,
             void *arg, struct buf *why);
/* Who knows that frames are missing has the connection made anew, soon. Any thread. */
void sub_dial_again(struct sub *s);
/* No callback runs after it returns. */
void sub_close(struct sub *s);

#endif
