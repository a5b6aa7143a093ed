/* NNG does the handshakes (mbedTLS); this file only says who must prove what. NNG's default for a
 * listener asks nothing of whoever dials, so every socket gets a configuration of its own. */
#include "common/bus/tls.h"

#include <errno.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"

enum { PEM_MAX_BYTES = 1 << 20 };

static struct {
        struct buf ca, cert, key; /* PEM texts */
        bool in_use;
} tls;

static const char SCHEME[] = "tls+tcp://";

static bool starts_with(const char *text, const char *start)
{
        return strncmp(text, start, strlen(start)) == 0;
}

static int read_pem(struct buf *out, const char *path, struct buf *why)
{
        FILE *f = fopen(path, "re");
        int err = f ? 0 : ERR_CONF;
        char block[4096];
        for (size_t n; f && (n = fread(block, 1, sizeof(block), f)) > 0;)
                buf_put(out, block, n);
        if (!f || ferror(f))
                buf_printf(why, "cannot read %s: %s", path, strerror(errno));
        else if (buf_status(out) != 0 || out->len == 0 || memchr(out->p, 0, out->len))
                buf_printf(why, "%s is not a PEM file", path);
        if (why->len)
                err = ERR_CONF;
        if (f)
                fclose(f);
        return err;
}

/* A configuration for one end; the caller frees it, NNG holds its own reference. */
static int config_new(nng_tls_config **out, nng_tls_mode mode)
{
        nng_tls_config *c;
        int rv = nng_tls_config_alloc(&c, mode);
        if (rv != 0)
                return rv;
        rv = nng_tls_config_ca_chain(c, buf_cstr(&tls.ca), NULL);
        if (rv == 0)
                rv = nng_tls_config_own_cert(c, buf_cstr(&tls.cert), buf_cstr(&tls.key), NULL);
        if (rv == 0)
                rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED);
        if (rv != 0) {
                nng_tls_config_free(c);
                return rv;
        }
        *out = c;
        return 0;
}

static void forget(void)
{
        buf_fini(&tls.ca);
        buf_fini(&tls.cert);
        buf_fini(&tls.key);
        tls.in_use = false;
}

int bus_tls_use(const char *ca_file, const char *cert_file, const char *key_file, struct buf *why)
{
        if (tls.in_use)
                forget();
        int named = (*ca_file != '\0') + (*cert_file != '\0') + (*key_file != '\0');
        if (named == 0)
                return 0;
        if (named != 3) {
                buf_puts(why, "SLUICE_BUS_CA_FILE, SLUICE_BUS_CERT_FILE and SLUICE_BUS_KEY_FILE go "
                              "together: give all three or none");
                return ERR_CONF;
        }
        buf_init(&tls.ca, PEM_MAX_BYTES);
        buf_init(&tls.cert, PEM_MAX_BYTES);
        buf_init(&tls.key, PEM_MAX_BYTES);
        int err = read_pem(&tls.ca, ca_file, why);
        if (!err)
                err = read_pem(&tls.cert, cert_file, why);
        if (!err)
                err = read_pem(&tls.key, key_file, why);
        nng_tls_config *trial = NULL;
        if (!err && config_new(&trial, NNG_TLS_MODE_SERVER) != 0) {
                buf_printf(why, "%s, %s and %s are not a CA, a certificate and its key", ca_file,
                           cert_file, key_file);
                err = ERR_CONF;
        }
        if (trial)
                nng_tls_config_free(trial);
        tls.in_use = err == 0;
        if (err)
                forget();
        return err;
}

int tls_check_url(const char *url, struct buf *why)
{
        if (starts_with(url, SCHEME) && !tls.in_use)
                buf_printf(why,
                           "%s needs SLUICE_BUS_CA_FILE, SLUICE_BUS_CERT_FILE and "
                           "SLUICE_BUS_KEY_FILE",
                           url);
        else if (starts_with(url, "tcp://") && tls.in_use)
                buf_printf(why,
                           "%s would be open to anyone while SLUICE_BUS_CA_FILE is set: use %s",
                           url, SCHEME);
        else
                return 0;
        return ERR_CONF;
}

int tls_dialer(nng_dialer dialer, const char *url)
{
        if (!starts_with(url, SCHEME))
                return 0;
        nng_tls_config *c = NULL;
        nng_url *parsed = NULL;
        int rv = config_new(&c, NNG_TLS_MODE_CLIENT);
        if (rv == 0)
                rv = nng_url_parse(&parsed, url);
        if (rv == 0)
                rv = nng_tls_config_server_name(c, parsed->u_hostname);
        if (rv == 0)
                rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, c);
        if (parsed)
                nng_url_free(parsed);
        if (c)
                nng_tls_config_free(c);
        return rv;
}

int tls_dialer_to_self(nng_dialer dialer, const char *url)
{
        if (!starts_with(url, SCHEME))
                return 0;
        nng_tls_config *c = NULL;
        int rv = config_new(&c, NNG_TLS_MODE_CLIENT);
        if (rv == 0)
                rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_NONE);
        if (rv == 0)
                rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, c);
        if (c)
                nng_tls_config_free(c);
        return rv;
}

int tls_listener(nng_listener listener, const char *url)
{
        if (!starts_with(url, SCHEME))
                return 0;
        nng_tls_config *c = NULL;
        int rv = config_new(&c, NNG_TLS_MODE_SERVER);
        if (rv == 0)
                rv = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, c);
        if (c)
                nng_tls_config_free(c);
        return rv;
}
