#include "tests/support/https_client.h"

#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/http_client.h"

static void identify(gnutls_certificate_credentials_t credentials, const char *certificate_pem, const char *key_pem)
{
    char *certificate = strdup(certificate_pem), *key = strdup(key_pem);

    if (!certificate || !key)
        abort();
    const gnutls_datum_t first = {(unsigned char *)certificate, (unsigned)strlen(certificate)};
    const gnutls_datum_t second = {(unsigned char *)key, (unsigned)strlen(key)};
    if (gnutls_certificate_set_x509_key_mem(credentials, &first, &second, GNUTLS_X509_FMT_PEM))
        abort();
    free(certificate);
    free(key);
}

void https_client_ask(uint16_t port, const char *priorities, const char *certificate_pem, const char *key_pem,
                      const char *request, char *out, size_t out_size)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    size_t count = 0;
    ssize_t got = 1;
    int fd = http_client_connect(port), failed;

    gnutls_certificate_allocate_credentials(&credentials);
    if (certificate_pem)
        identify(credentials, certificate_pem, key_pem);
    gnutls_init(&session, GNUTLS_CLIENT);
    gnutls_priority_set_direct(session, priorities, NULL);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    do
        failed = gnutls_handshake(session);
    while (failed < 0 && !gnutls_error_is_fatal(failed));
    if (!failed) {
        gnutls_record_send(session, request, strlen(request));
        while (got > 0 && count < out_size - 1)
            if ((got = gnutls_record_recv(session, out + count, out_size - 1 - count)) > 0)
                count += (size_t)got;
    }
    out[count] = 0;
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    close(fd);
}
