#ifndef PICKET_RUNTIME_TLS_H
#define PICKET_RUNTIME_TLS_H

#include "runtime/status.h"
#include "runtime/text.h"

/* TLS 1.2 and 1.3 by GnuTLS on sockets that do not block, for whoever waits for them by himself. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define TLS_CHAIN_MAX 10 /* certificates of a client that are looked at */

/* Certificate and key of the listening side. Any thread. */
struct tls_server;

/* STATUS_REJECT: a file cannot be read, or certificate and key do not belong together; says which and what to do. */
MUST_CHECK enum status tls_server_open(const char *certificate_file, const char *key_file, struct tls_server **out,
                                       struct problem *why);
void tls_server_close(struct tls_server *take_server); /* after its sessions */

/* One connection; one thread at a time. */
struct tls;

enum tls_step {
    TLS_DONE,
    TLS_WANTS_READ,
    TLS_WANTS_WRITE,
    TLS_CLOSED, /* the peer said good-bye, or left */
    TLS_BROKEN, /* tls_reason() says why */
};

/* Asks the client for a certificate without insisting, and judges none: that is the caller's. `fd` stays the caller's. */
struct tls *tls_accept(const struct tls_server *server, int fd);
/* The other side, for tests and load generators: it trusts everybody. The files may be NULL. */
MUST_CHECK enum status tls_connect(int fd, const char *certificate_file, const char *key_file, struct tls **out,
                                   struct problem *why);
void tls_free(struct tls *take_tls);

enum tls_step tls_handshake(struct tls *tls);
/* `*got` bytes, at least one when done. */
enum tls_step tls_read(struct tls *tls, void *out, size_t size, size_t *got);
/* As many as go, `*sent` of them. After WANTS_… the same bytes are to be given again. */
enum tls_step tls_write(struct tls *tls, const void *bytes, size_t count, size_t *sent);
size_t tls_pending(const struct tls *tls); /* decrypted already: no event will tell of them */
void tls_bye(struct tls *tls);             /* once, as far as it goes without waiting */

/* The client's certificates after the handshake, leaf first, DER; borrowed until tls_free(). Returns how many, 0 to
 * TLS_CHAIN_MAX. */
size_t tls_chain(const struct tls *tls, struct text out[TLS_CHAIN_MAX]);
/* The same of a GnuTLS session that somebody else runs. */
size_t tls_chain_of(void *gnutls_session, struct text out[TLS_CHAIN_MAX]);
const char *tls_reason(const struct tls *tls);

#endif
