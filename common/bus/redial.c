#include "common/bus/redial.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/bus/nng.h"
#include "common/bus/tls.h"
#include "common/obs/log.h"

enum {
        REDIAL_MAGIC = 0x4ed1a101,
        LOOK_EVERY_MS = 500,
        PATIENCE = 3,  /* looks without a connection, then a new dialer; then twice as many … */
        COMPLAIN = 20, /* looks without a connection, then a line in the log */
        PATIENCE_MAX = 20, /* … up to NNG's own patience with a handshake */
};

struct redial {
        uint32_t magic;
        nng_socket socket;
        nng_dialer dialer;
        /* Closing a dialer waits for NNG's threads, so it must not be done on one of them: with as
         * many dialers closed at once as there are threads, all of them would wait for ever. */
        pthread_t thread;
        bool running;
        int wake_fd; /* written: close */
        char *url;
        atomic_int pipes;
        atomic_bool doubted; /* redial_now() */
        int lonely;          /* looks in a row without a connection; the thread's */
        int waited;          /* of these, since the last dialer; the thread's */
        int patience;        /* how many that one is given; the thread's */
        bool complained;
};

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
        struct redial *r = arg;
        (void)pipe;
        atomic_fetch_add(&r->pipes, event == NNG_PIPE_EV_ADD_PRE ? 1 : -1);
}

static int dial(struct redial *r)
{
        int rv = nng_dialer_create(&r->dialer, r->socket, r->url);
        if (rv == 0)
                rv = tls_dialer(r->dialer, r->url);
        if (rv == 0)
                rv = nng_dialer_start(r->dialer, NNG_FLAG_NONBLOCK);
        return rv;
}

/* NNG does not say why a connection fails, a refused certificate among the reasons: say at least
 * that there is none, once, and when there is one again. */
static void tell(struct redial *r)
{
        if (!r->complained && r->lonely >= COMPLAIN) {
                r->complained = true;
                log_warning("bus_unconnected",
                            "no connection to %s for %d s: it is not running, not reachable, or "
                            "one side refuses the other's certificate",
                            r->url, COMPLAIN * LOOK_EVERY_MS / 1000);
        } else if (r->complained && r->lonely == 0) {
                r->complained = false;
                log_info("bus_connected", "connected to %s again", r->url);
        }
}

/* A dialer whose handshake is on its way is not to be disturbed for ever: where the net is slow
 * each is given longer than the one before. */
static void lose_patience(struct redial *r)
{
        r->waited = 0;
        r->patience = r->patience * 2 < PATIENCE_MAX ? r->patience * 2 : PATIENCE_MAX;
        nng_dialer_close(r->dialer);
        (void)dial(r); /* on failure: again after a while */
}

static void look(struct redial *r)
{
        if (atomic_load(&r->pipes) > 0) {
                r->lonely = r->waited = 0;
                r->patience = PATIENCE;
        } else {
                r->lonely++;
                r->waited++;
        }
        tell(r);
        bool doubted = atomic_exchange(&r->doubted, false) && r->lonely == 0;
        if (doubted)
                log_warning("bus_silent", "nothing comes from %s: connecting again", r->url);
        if (doubted || r->waited >= r->patience)
                lose_patience(r);
}

static void *watch(void *arg)
{
        struct redial *r = arg;
        struct pollfd wake = {.fd = r->wake_fd, .events = POLLIN};
        while (poll(&wake, 1, LOOK_EVERY_MS) <= 0)
                look(r);
        return NULL;
}

int redial_open(struct redial **out, nng_socket socket, const char *url, struct buf *why)
{
        int err = tls_check_url(url, why);
        if (err)
                return err;
        struct redial *r = mem_new(struct redial);
        *out = r; /* NNG knows it from here on, also when something fails */
        *r = (struct redial){.magic = REDIAL_MAGIC,
                             .socket = socket,
                             .url = slice_dup_cstr(slice_cstr(url)),
                             .patience = PATIENCE};
        r->wake_fd = eventfd(0, EFD_CLOEXEC);
        SLUICE_ASSERT(r->wake_fd >= 0);
        /* (a pipe that ends before it has started is removed, too, but was never ADD_POST) */
        int rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, on_pipe, r);
        if (rv == 0)
                rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, r);
        if (rv == 0)
                rv = dial(r);
        if (rv != 0) {
                buf_printf(why, "cannot dial %s: %s", url, nng_strerror(rv));
                return bus_err(rv);
        }
        SLUICE_ASSERT(pthread_create(&r->thread, NULL, watch, r) == 0);
        r->running = true;
        return 0;
}

void redial_now(struct redial *r)
{
        CHECK_OBJ(r, REDIAL_MAGIC);
        atomic_store(&r->doubted, true);
}

void redial_stop(struct redial *r)
{
        if (!r)
                return;
        CHECK_OBJ(r, REDIAL_MAGIC);
        SLUICE_ASSERT(eventfd_write(r->wake_fd, 1) == 0);
        if (r->running)
                SLUICE_ASSERT(pthread_join(r->thread, NULL) == 0);
        r->running = false;
}

void redial_free(struct redial *r)
{
        if (!r)
                return;
        CHECK_OBJ(r, REDIAL_MAGIC);
        SLUICE_ASSERT(!r->running);
        r->magic = 0;
        close(r->wake_fd);
        mem_free(r->url);
        mem_free(r);
}
