#ifndef PICKET_TESTS_HTTPS_CLIENT_H
#define PICKET_TESTS_HTTPS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

/* Speaks TLS as `priorities` say (of GnuTLS) to a local port that is trusted blindly, sends `request` as it is, and reads
 * until the server closes. Certificate and key are PEM, and NULL where the client has none. "" when the handshake failed. */
void https_client_ask(uint16_t port, const char *priorities, const char *certificate_pem, const char *key_pem,
                      const char *request, char *out, size_t out_size);

#endif
