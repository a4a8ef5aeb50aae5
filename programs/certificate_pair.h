#ifndef PICKET_PROGRAMS_CERTIFICATE_PAIR_H
#define PICKET_PROGRAMS_CERTIFICATE_PAIR_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdint.h>

/* A certificate and its key, as GnuTLS has them. What is answered is GnuTLS' code, negative on failure. */
struct certificate_pair {
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
};

/* A fresh P-256 key, and a certificate that says who (at most 64 bytes of `name`) and from when until when, in seconds since
 * 1970; nobody signed it yet. It takes certificate_pair_done(), whatever is answered. */
int certificate_pair_begin(struct certificate_pair *out, const char *name, int64_t from_s, int64_t until_s);
/* Both as PEM, which certificate_pem_done() frees, also after a failure. */
struct certificate_pem {
    gnutls_datum_t certificate, key;
};
int certificate_pair_print(const struct certificate_pair *pair, struct certificate_pem *out);
void certificate_pem_done(struct certificate_pem *pem);
void certificate_pair_done(struct certificate_pair *pair); /* also of one that was never begun, all zero */

#endif
