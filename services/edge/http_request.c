/* Requests and their answers; see http.h. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/base/assert.h"
#include "services/edge/http_priv.h"
#include "services/edge/reqhead.h"

/* ---- static tables */

static h2o_iovec_t field_names[HTTP_FIELDS] = {
#define FIELD(name, wire) [HTTP_##name] = {H2O_STRLIT(wire)},
#include "services/edge/httpfields.def"
#undef FIELD
};

static const struct {
        int status;
        const char *reason;
} reasons[] = {
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {413, "Request Entity Too Large"},
        {414, "Request-URI Too Long"},
        {415, "Unsupported Media Type"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
};

static const char *reason_of(int status)
{
        for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
                if (reasons[i].status == status)
                        return reasons[i].reason;
        return "Unknown";
}

void http_head_add(struct http_head *h, enum http_field field, struct slice value)
{
        SLUICE_ASSERT(h->n < HTTP_MAX_FIELDS);
        h->fields[h->n].field = field;
        h->fields[h->n].value = value;
        h->n++;
}

/* ---- arrival */

static struct slice from_iovec(h2o_iovec_t v)
{
        return slice_of(v.base ? v.base : "", v.len);
}

/* Ends the request for the application: h2o clears its pool. */
static void on_dispose(void *p)
{
        struct http_request *r = p;
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        list_remove(&r->noisy);
        http_uncount_body(r);
        http_sent(r);
        if (r->conn && r->conn->current == r)
                r->conn->current = NULL;
        if (r->on_end)
                r->on_end(r->end_arg);
        r->magic = 0;
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
        (void)req;
        struct http_request *r = H2O_STRUCT_FROM_MEMBER(struct http_request, generator, generator);
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        r->in_flight = false;
        http_sent(r);
        if (r->phase == HTTP_STARTED)
                r->proceed(r->proceed_arg);
}

static void inspect_head(struct http_request *r)
{
        h2o_socket_t *sock = r->conn->sock;
        struct reqhead head = reqhead_check(slice_of(sock->input->bytes, sock->input->size));
        r->refusal = head.status;
        if (head.has_body || head.status)
                r->req->http1_is_persistent = 0;
}

int http_on_req(h2o_handler_t *self, h2o_req_t *req)
{
        (void)self;
        struct http_request *r = h2o_mem_alloc_shared(&req->pool, sizeof(*r), on_dispose);
        *r = (struct http_request){.magic = HTTP_REQUEST_MAGIC,
                                   .generator = {on_proceed, NULL},
                                   .req = req,
                                   .loop = http_loop_of(req->conn->ctx)};
        list_init(&r->noisy);
        list_init(&r->unsent);
        if (req->version < 0x200) {
                r->conn = req->conn->callbacks->get_socket(req->conn)->on_close.data;
                CHECK_OBJ(r->conn, HTTP_CONN_MAGIC);
                r->conn->current = r;
                inspect_head(r);
        }
        if (!http_count_body(r) && !r->refusal)
                r->refusal = 503;
        r->loop->server->callbacks.on_request(r->loop->state, r);
        return 0;
}

struct slice http_method(const struct http_request *r)
{
        return from_iovec(r->req->input.method);
}

/* The socket's buffer does not move while the request lives: nothing reads into it before the
 * answer is sent. */
struct slice http_target(const struct http_request *r)
{
        return from_iovec(r->req->input.path);
}

struct slice http_body(const struct http_request *r)
{
        return from_iovec(r->req->entity);
}

int http_refusal(const struct http_request *r)
{
        return r->refusal;
}

bool http_header(const struct http_request *r, struct slice name, size_t *cursor,
                 struct slice *value)
{
        const h2o_headers_t *headers = &r->req->headers;
        for (; *cursor < headers->size; (*cursor)++) {
                const h2o_header_t *h = &headers->entries[*cursor];
                if (!slice_eq(from_iovec(*h->name), name))
                        continue;
                *value = from_iovec(h->value);
                (*cursor)++;
                return true;
        }
        return false;
}

void *http_alloc(struct http_request *r, size_t bytes)
{
        void *p = h2o_mem_alloc_pool(&r->req->pool, bytes);
        memset(p, 0, bytes);
        return p;
}

struct slice http_dup(struct http_request *r, struct slice s)
{
        char *p = http_alloc(r, s.len + 1);
        if (s.len)
                memcpy(p, s.p, s.len);
        return slice_of(p, s.len);
}

void http_on_end(struct http_request *r, void (*cb)(void *arg), void *arg)
{
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        r->on_end = cb;
        r->end_arg = arg;
}

/* ---- waiting: h2o does not read while a request is in work, so it does not see a client leave */

static void unpark(struct http_request *r)
{
        if (!r->parked)
                return;
        r->parked = false;
        list_remove(&r->noisy);
        h2o_socket_read_stop(r->conn->sock);
        h2o_socket_dont_read(r->conn->sock, 0);
}

static void client_left(struct http_request *r)
{
        struct http_head head;
        unpark(r);
        r->req->http1_is_persistent = 0;
        if (r->phase == HTTP_STARTED) {
                http_abort(r);
                return;
        }
        http_head_init(&head, 499);
        http_answer(r, &head, NULL, 0);
}

static void watch(struct http_request *r);

/* Bytes that wait may be a pipelined request or the beginning of the end: with POLLRDHUP the peer
 * has closed its side. Else the socket would stay readable, so it is looked at again later. */
static void look(struct http_request *r)
{
        h2o_socket_t *sock = r->conn->sock;
        int fd = h2o_socket_get_fd(sock);
        char byte;
        ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                client_left(r);
                return;
        }
        struct pollfd p = {.fd = fd, .events = POLLRDHUP};
        if (n > 0 && poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR))) {
                client_left(r);
                return;
        }
        if (n <= 0) {
                watch(r);
                return;
        }
        h2o_socket_read_stop(sock);
        list_remove(&r->noisy);
        list_push_back(&r->loop->noisy, &r->noisy);
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
        struct http_conn *conn = sock->on_close.data;
        CHECK_OBJ(conn, HTTP_CONN_MAGIC);
        struct http_request *r = conn->current;
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        if (err)
                client_left(r);
        else
                look(r);
}

static void watch(struct http_request *r)
{
        if (!h2o_socket_is_reading(r->conn->sock))
                h2o_socket_read_start(r->conn->sock, on_readable);
}

void http_check_noisy(struct http_loop *loop)
{
        struct list waiting, *node;
        list_init(&waiting);
        while ((node = list_pop_front(&loop->noisy)))
                list_push_back(&waiting, node);
        while ((node = list_pop_front(&waiting)))
                look(H2O_STRUCT_FROM_MEMBER(struct http_request, noisy, node));
}

void http_park(struct http_request *r)
{
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        SLUICE_ASSERT(r->phase != HTTP_ANSWERED && !r->in_flight);
        if (!r->conn || r->parked)
                return;
        r->parked = true;
        h2o_socket_dont_read(r->conn->sock, 1);
        watch(r);
}

void http_close_after(struct http_request *r)
{
        r->req->http1_is_persistent = 0;
}

/* ---- answers */

static bool is_head(const struct http_request *r)
{
        return slice_eq(http_method(r), SLICE_LIT("HEAD"));
}

/* `keep`: copy the values, because the head is printed later. */
static void put_head(h2o_req_t *req, const struct http_head *head, bool keep)
{
        req->res.status = head->status;
        req->res.reason = reason_of(head->status);
        h2o_vector_reserve(&req->pool, &req->res.headers, head->n + 1);
        for (uint32_t i = 0; i < head->n; i++) {
                h2o_header_t *to = &req->res.headers.entries[i];
                to->name = &field_names[head->fields[i].field];
                to->orig_name = NULL;
                struct slice value = head->fields[i].value;
                to->value = keep ? h2o_strdup(&req->pool, value.p, value.len)
                                 : h2o_iovec_init(value.p, value.len);
        }
        req->res.headers.size = head->n;
}

static void begin(struct http_request *r, const struct http_head *head, enum http_phase phase)
{
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        SLUICE_ASSERT(r->phase == HTTP_NEW);
        unpark(r);
        if (r->loop->draining)
                r->req->http1_is_persistent = 0;
        r->phase = phase;
        put_head(r->req, head, phase == HTTP_STARTED);
}

static void send_parts(struct http_request *r, const struct slice *parts, size_t n,
                       h2o_send_state_t state)
{
        h2o_iovec_t vec[HTTP_MAX_PARTS];
        size_t used = 0, bytes = 0;
        SLUICE_ASSERT(n <= HTTP_MAX_PARTS);
        for (size_t i = 0; i < n; i++) {
                if (parts[i].len)
                        vec[used++] = h2o_iovec_init(parts[i].p, parts[i].len);
                bytes += parts[i].len;
        }
        r->in_flight = true;
        http_sending(r, bytes);
        h2o_send(r->req, vec, used, state);
}

void http_answer(struct http_request *r, const struct http_head *head, const struct slice *parts,
                 size_t n_parts)
{
        begin(r, head, HTTP_ANSWERED);
        bool bodiless = head->status == 204 || head->status == 304;
        size_t length = 0;
        for (size_t i = 0; i < n_parts; i++)
                length += parts[i].len;
        if (!bodiless)
                r->req->res.content_length = length;
        h2o_start_response(r->req, &r->generator);
        send_parts(r, parts, bodiless || is_head(r) ? 0 : n_parts, H2O_SEND_STATE_FINAL);
}

void http_start(struct http_request *r, const struct http_head *head, void (*proceed)(void *arg),
                void *arg)
{
        begin(r, head, HTTP_STARTED);
        r->proceed = proceed;
        r->proceed_arg = arg;
        /* HTTP/1.0 has no chunks: the end of the connection is the end of the body. */
        if (r->req->version < 0x101)
                r->req->http1_is_persistent = 0;
        h2o_start_response(r->req, &r->generator);
}

bool http_is_writing(const struct http_request *r)
{
        return r->in_flight;
}

void http_write(struct http_request *r, const struct slice *parts, size_t n_parts, bool last)
{
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        SLUICE_ASSERT(r->phase == HTTP_STARTED && !r->in_flight);
        unpark(r);
        if (is_head(r)) {
                n_parts = 0;
                last = true;
        }
        if (last)
                r->phase = HTTP_ANSWERED;
        if (r->loop->draining)
                r->req->http1_is_persistent = 0;
        send_parts(r, parts, n_parts, last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

void http_abort(struct http_request *r)
{
        CHECK_OBJ(r, HTTP_REQUEST_MAGIC);
        SLUICE_ASSERT(r->phase == HTTP_STARTED && !r->in_flight);
        unpark(r);
        r->phase = HTTP_ANSWERED;
        r->req->http1_is_persistent = 0;
        send_parts(r, NULL, 0, H2O_SEND_STATE_ERROR);
}

/* ---- what h2o itself refuses gets our head and body */

struct refused {
        h2o_ostream_t super;
        h2o_iovec_t body;
};

static void refused_send(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t n,
                         h2o_send_state_t state)
{
        struct refused *refused = (struct refused *)(void *)self;
        (void)bufs;
        h2o_ostream_send_next(self, req, &refused->body, n ? 1 : 0, state);
}

static bool is_ours(const h2o_req_t *req)
{
        return req->res.headers.size > 0 && req->res.headers.entries[0].name >= &field_names[0] &&
               req->res.headers.entries[0].name < &field_names[HTTP_FIELDS];
}

void http_on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
        (void)self;
        struct http_loop *loop = http_loop_of(req->conn->ctx);
        struct http_head head;
        if (is_ours(req) || req->res.status < 400 || req->res.status == 499) {
                h2o_setup_next_ostream(req, slot);
                return;
        }
        http_head_init(&head, req->res.status);
        struct slice body = loop->server->callbacks.on_refused(loop->state, req->res.status, &head);
        put_head(req, &head, true);
        req->res.content_length = body.len;
        struct refused *refused =
                (struct refused *)(void *)h2o_add_ostream(req, sizeof(*refused), slot);
        refused->super.do_send = refused_send;
        refused->body = h2o_iovec_init(body.p, body.len);
        h2o_setup_next_ostream(req, &refused->super.next);
}
