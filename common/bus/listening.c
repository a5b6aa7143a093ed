#include "common/bus/listening.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/nng.h"
#include "common/bus/tls.h"
#include "common/obs/log.h"

enum {
        LISTENING_MAGIC = 0x11573e01,
        LOOK_EVERY_MS = 500,
        TRIAL_MS = 2000, /* for a connection to be taken once it is there */
        URL_MAX_BYTES = 256
};

struct listening {
        uint32_t magic;
        nng_socket socket;
        nng_listener listener;
        listening_peer *peer;
        char *url;
        pthread_t thread;
        bool running;
        int wake_fd;  /* written: close */
        int taken_fd; /* counts connections that were taken */
        /* the thread's */
        uint64_t failed; /* connections, as NNG has counted when all was well last */
        bool deaf;       /* the listener is closed, a new one could not be started yet */
};

static void on_taken(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
        struct listening *l = arg;
        (void)pipe;
        (void)event;
        SLUICE_ASSERT(eventfd_write(l->taken_fd, 1) == 0);
}

static void on_connected(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
        atomic_bool *connected = arg;
        (void)pipe;
        (void)event;
        atomic_store(connected, true);
}

static int start(struct listening *l)
{
        int rv = nng_listener_create(&l->listener, l->socket, l->url);
        if (rv != 0)
                return rv;
        rv = tls_listener(l->listener, l->url);
        if (rv == 0)
                rv = nng_listener_start(l->listener, 0);
        if (rv != 0)
                nng_listener_close(l->listener);
        return rv;
}

/* ---- the trial */

/* Connections that have failed, those after which NNG listens no more among them. */
static uint64_t count_failed(const struct listening *l)
{
        nng_stat *all = NULL;
        if (nng_stats_get(&all) != 0)
                return l->failed;
        nng_stat *own = nng_stat_find_listener(all, l->listener);
        nng_stat *failed = own ? nng_stat_find(own, "other") : NULL;
        uint64_t n = failed ? nng_stat_value(failed) : l->failed;
        nng_stats_free(all);
        return n;
}

/* The address, or this host where it is every one; false: it is of another kind. */
static bool put_host(const nng_sockaddr *at, char host[INET6_ADDRSTRLEN])
{
        struct in_addr v4 = {.s_addr = at->s_in.sa_addr};
        struct in6_addr v6;
        memcpy(&v6, at->s_in6.sa_addr, sizeof(v6));
        if (at->s_family == NNG_AF_INET && v4.s_addr == htonl(INADDR_ANY))
                v4.s_addr = htonl(INADDR_LOOPBACK);
        if (at->s_family == NNG_AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6))
                v6 = in6addr_loopback;
        if (at->s_family == NNG_AF_INET)
                return inet_ntop(AF_INET, &v4, host, INET6_ADDRSTRLEN) != NULL;
        return at->s_family == NNG_AF_INET6 &&
               inet_ntop(AF_INET6, &v6, host, INET6_ADDRSTRLEN) != NULL;
}

/* Where it can be reached from here. False: NNG does not say. */
static bool own_url(const struct listening *l, char url[URL_MAX_BYTES])
{
        nng_sockaddr at;
        char host[INET6_ADDRSTRLEN];
        if (strncmp(l->url, "ipc://", 6) == 0)
                return snprintf(url, URL_MAX_BYTES, "%s", l->url) < URL_MAX_BYTES;
        if (nng_listener_get_addr(l->listener, NNG_OPT_LOCADDR, &at) != 0 || !put_host(&at, host))
                return false;
        bool is_tls = strncmp(l->url, "tls+", 4) == 0, is_v6 = at.s_family == NNG_AF_INET6;
        snprintf(url, URL_MAX_BYTES, "%stcp://%s%s%s:%u", is_tls ? "tls+" : "", is_v6 ? "[" : "",
                 host, is_v6 ? "]" : "", ntohs(is_v6 ? at.s_in6.sa_port : at.s_in.sa_port));
        return true;
}

static int dial(nng_socket socket, const char *url)
{
        nng_dialer dialer;
        int rv = nng_dialer_create(&dialer, socket, url);
        if (rv == 0)
                rv = tls_dialer_to_self(dialer, url);
        if (rv == 0)
                rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
        return rv;
}

/* Until a connection is taken, whosever it is; false: none was, or it is time to close. */
static bool await_taken(struct listening *l, bool *closing)
{
        struct pollfd fds[] = {{.fd = l->taken_fd, .events = POLLIN},
                               {.fd = l->wake_fd, .events = POLLIN}};
        uint64_t end = clock_mono_ms() + TRIAL_MS;
        for (uint64_t now = clock_mono_ms(); now < end; now = clock_mono_ms()) {
                (void)poll(fds, 2, (int)(end - now));
                *closing = (fds[1].revents & POLLIN) != 0;
                if (fds[0].revents & POLLIN || *closing)
                        return !*closing;
        }
        return false;
}

enum verdict { TAKEN, NOT_TAKEN, UNKNOWN };

static enum verdict try_own(struct listening *l)
{
        atomic_bool connected = false;
        char url[URL_MAX_BYTES];
        nng_socket trial;
        eventfd_t before;
        bool closing = false;
        if (!own_url(l, url) || l->peer(&trial) != 0)
                return UNKNOWN;
        (void)eventfd_read(l->taken_fd, &before);
        enum verdict verdict = UNKNOWN;
        if (nng_pipe_notify(trial, NNG_PIPE_EV_ADD_PRE, on_connected, &connected) == 0 &&
            dial(trial, url) == 0) {
                if (await_taken(l, &closing))
                        verdict = TAKEN;
                else if (!closing && atomic_load(&connected))
                        verdict = NOT_TAKEN;
        }
        nng_close(trial);
        return verdict;
}

/* ---- the thread */

static void listen_again(struct listening *l)
{
        if (!l->deaf) {
                log_warning("bus_deaf",
                            "no connection to %s is taken since one has failed: listening anew",
                            l->url);
                nng_listener_close(l->listener);
        }
        l->deaf = start(l) != 0; /* on failure: again after a while */
        l->failed = 0;           /* the new one counts from there */
}

static void look(struct listening *l)
{
        if (l->deaf) {
                listen_again(l);
                return;
        }
        uint64_t failed = count_failed(l);
        if (failed == l->failed)
                return;
        switch (try_own(l)) {
        case TAKEN:
                l->failed = failed;
                break;
        case NOT_TAKEN:
                listen_again(l);
                break;
        case UNKNOWN: /* again after a while */
        default:
                break;
        }
}

static void *watch(void *arg)
{
        struct listening *l = arg;
        struct pollfd wake = {.fd = l->wake_fd, .events = POLLIN};
        while (poll(&wake, 1, LOOK_EVERY_MS) <= 0)
                look(l);
        return NULL;
}

int listening_open(struct listening **out, nng_socket socket, const char *url, listening_peer *peer,
                   struct buf *why)
{
        int err = tls_check_url(url, why);
        if (err)
                return err;
        struct listening *l = mem_new(struct listening);
        *out = l; /* NNG knows it from here on, also when something fails */
        *l = (struct listening){.magic = LISTENING_MAGIC,
                                .socket = socket,
                                .peer = peer,
                                .url = slice_dup_cstr(slice_cstr(url)),
                                .wake_fd = eventfd(0, EFD_CLOEXEC),
                                .taken_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        SLUICE_ASSERT(l->wake_fd >= 0 && l->taken_fd >= 0);
        int rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, on_taken, l);
        if (rv == 0)
                rv = start(l);
        if (rv != 0) {
                buf_printf(why, "cannot listen at %s: %s", url, nng_strerror(rv));
                return bus_err(rv);
        }
        if (strncmp(url, "inproc://", 9) == 0)
                return 0; /* there is nothing that could fail */
        SLUICE_ASSERT(pthread_create(&l->thread, NULL, watch, l) == 0);
        l->running = true;
        return 0;
}

void listening_stop(struct listening *l)
{
        if (!l)
                return;
        CHECK_OBJ(l, LISTENING_MAGIC);
        SLUICE_ASSERT(eventfd_write(l->wake_fd, 1) == 0);
        if (l->running)
                SLUICE_ASSERT(pthread_join(l->thread, NULL) == 0);
        l->running = false;
}

void listening_free(struct listening *l)
{
        if (!l)
                return;
        CHECK_OBJ(l, LISTENING_MAGIC);
        SLUICE_ASSERT(!l->running);
        l->magic = 0;
        close(l->wake_fd);
        close(l->taken_fd);
        mem_free(l->url);
        mem_free(l);
}
