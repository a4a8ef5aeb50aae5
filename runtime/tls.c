#include "runtime/tls.h"

#include <gnutls/gnutls.h>
#include <stdlib.h>

struct tls_server {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
    gnutls_datum_t ticket_key;
};

struct tls {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials; /* a client's own, else NULL */
    int failed; /* GnuTLS's code */
};

static enum tls_step step_of(struct tls *tls, ssize_t code);

enum status tls_server_open(const char *certificate_file, const char *key_file, struct tls_server **out,
                            struct problem *why)
{
    struct tls_server *server = calloc(1, sizeof *server);

    if (!server || gnutls_certificate_allocate_credentials(&server->credentials) ||
        gnutls_priority_init(&server->priorities, TLS_PRIORITIES, NULL) ||
        gnutls_session_ticket_key_generate(&server->ticket_key))
        abort();
    int failed = gnutls_certificate_set_x509_key_file(server->credentials, certificate_file, key_file, GNUTLS_X509_FMT_PEM);
    if (failed < 0) {
        tls_server_close(server);
        return problem_set(why, STATUS_REJECT, "%s and %s cannot be used as certificate and key: %s", certificate_file,
                           key_file, gnutls_strerror(failed));
    }
    *out = server;
    return STATUS_OK;
}

void tls_server_close(struct tls_server *take_server)
{
    if (!take_server)
        return;
    gnutls_certificate_free_credentials(take_server->credentials);
    gnutls_priority_deinit(take_server->priorities);
    gnutls_memset(take_server->ticket_key.data, 0, take_server->ticket_key.size);
    gnutls_free(take_server->ticket_key.data);
    free(take_server);
}

static struct tls *tls_new(int fd, unsigned flags)
{
    struct tls *tls = calloc(1, sizeof *tls);

    if (!tls || gnutls_init(&tls->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL))
        abort();
    gnutls_transport_set_int(tls->session, fd);
    gnutls_handshake_set_timeout(tls->session, GNUTLS_INDEFINITE_TIMEOUT); /* the caller has deadlines */
    return tls;
}

struct tls *tls_accept(const struct tls_server *server, int fd)
{
    struct tls *tls = tls_new(fd, GNUTLS_SERVER);

    if (gnutls_priority_set(tls->session, server->priorities) ||
        gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, server->credentials) ||
        gnutls_session_ticket_enable_server(tls->session, &server->ticket_key))
        abort();
    gnutls_certificate_server_set_request(tls->session, GNUTLS_CERT_REQUEST);
    gnutls_certificate_send_x509_rdn_sequence(tls->session, 1); /* whoever signed it, it may be ours to judge */
    return tls;
}

enum status tls_connect(int fd, const char *certificate_file, const char *key_file, struct tls **out,
                        struct problem *why)
{
    struct tls *tls = tls_new(fd, GNUTLS_CLIENT);
    int failed = 0;

    if (gnutls_certificate_allocate_credentials(&tls->credentials) ||
        gnutls_priority_set_direct(tls->session, TLS_PRIORITIES, NULL) ||
        gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials))
        abort();
    if (certificate_file)
        failed = gnutls_certificate_set_x509_key_file(tls->credentials, certificate_file, key_file, GNUTLS_X509_FMT_PEM);
    if (failed < 0) {
        tls_free(tls);
        return problem_set(why, STATUS_REJECT, "%s and %s cannot be used as certificate and key: %s", certificate_file,
                           key_file, gnutls_strerror(failed));
    }
    *out = tls;
    return STATUS_OK;
}

void tls_free(struct tls *take_tls)
{
    if (!take_tls)
        return;
    gnutls_deinit(take_tls->session);
    if (take_tls->credentials)
        gnutls_certificate_free_credentials(take_tls->credentials);
    free(take_tls);
}

enum tls_step tls_handshake(struct tls *tls)
{
    int code;

    do
        code = gnutls_handshake(tls->session);
    while (code == GNUTLS_E_WARNING_ALERT_RECEIVED || code == GNUTLS_E_GOT_APPLICATION_DATA || code == GNUTLS_E_INTERRUPTED);
    return step_of(tls, code);
}

enum tls_step tls_read(struct tls *tls, void *out, size_t size, size_t *got)
{
    ssize_t code;

    do
        code = gnutls_record_recv(tls->session, out, size);
    while (code == GNUTLS_E_INTERRUPTED);
    *got = code > 0 ? (size_t)code : 0;
    return code == 0 ? TLS_CLOSED : step_of(tls, code);
}

enum tls_step tls_write(struct tls *tls, const void *bytes, size_t count, size_t *sent)
{
    ssize_t code;

    do
        code = gnutls_record_send(tls->session, bytes, count);
    while (code == GNUTLS_E_INTERRUPTED);
    *sent = code > 0 ? (size_t)code : 0;
    return step_of(tls, code);
}

size_t tls_pending(const struct tls *tls)
{
    return gnutls_record_check_pending(tls->session);
}

void tls_bye(struct tls *tls)
{
    (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}

size_t tls_chain(const struct tls *tls, struct text out[TLS_CHAIN_MAX])
{
    return tls_chain_of(tls->session, out);
}

size_t tls_chain_of(void *gnutls_session, struct text out[TLS_CHAIN_MAX])
{
    unsigned count = 0;
    const gnutls_datum_t *certificates = gnutls_certificate_get_peers(gnutls_session, &count);

    if (!certificates)
        return 0;
    if (count > TLS_CHAIN_MAX)
        count = TLS_CHAIN_MAX;
    for (unsigned i = 0; i < count; i++)
        out[i] = (struct text){(const char *)certificates[i].data, certificates[i].size};
    return count;
}

const char *tls_reason(const struct tls *tls)
{
    return gnutls_strerror(tls->failed);
}

static enum tls_step step_of(struct tls *tls, ssize_t code)
{
    if (code >= 0)
        return TLS_DONE;
    if (code == GNUTLS_E_AGAIN)
        return gnutls_record_get_direction(tls->session) ? TLS_WANTS_WRITE : TLS_WANTS_READ;
    tls->failed = (int)code;
    return code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_PULL_ERROR || code == GNUTLS_E_PUSH_ERROR ? TLS_CLOSED
                                                                                                                : TLS_BROKEN;
}
