#ifndef PICKET_TESTS_CERTIFICATE_AUTHORITY_H
#define PICKET_TESTS_CERTIFICATE_AUTHORITY_H

#include <stdbool.h>

#include "runtime/text.h"

/* Certificates for tests, good ones and bad ones, made by GnuTLS with keys of ECDSA P-256 unless the wish says otherwise.
 * Whatever cannot be had aborts. */
struct certificate_wish {
    const char *common_name; /* NULL: the subject has none */
    const char *second_common_name;
    bool authority;
    bool path_limited; /* then `path_length` holds */
    int path_length;
    int64_t not_before_s, not_after_s; /* 0: an hour before now, an hour from now */
    unsigned key_usage;                /* GNUTLS_KEY_…; 0: the extension is left out */
    const char *purpose;               /* OID of the extended key usage */
    const char *critical_oid;          /* of an extension that nobody knows */
    const char *permitted_dns;         /* a name constraint */
    const char *dns_name;              /* a subject alternative name */
    const char *ipv4;                  /* another one, "127.0.0.1" */
    unsigned rsa_bits;                 /* 0: ECDSA */
    bool sha1;                         /* signed with it */
    const char *serial;                /* NULL: a fresh one */
};

struct issued;

/* Signed by `by`, by itself where that is NULL. */
struct issued *certificate_authority_issue(const struct certificate_wish *wish, const struct issued *by);
void certificate_authority_free(struct issued *take_issued);
/* Borrowed from it. */
struct text certificate_authority_der(const struct issued *issued);
const char *certificate_authority_pem(const struct issued *issued);
const char *certificate_authority_key_pem(const struct issued *issued);
const uint8_t *certificate_authority_sha1(const struct issued *issued);
const uint8_t *certificate_authority_sha256(const struct issued *issued);

/* A list of those that `by` revoked, in DER. The result is malloc'ed. */
struct text certificate_authority_revoke(const struct issued *by, const struct issued *const *revoked, size_t count,
                                         int64_t this_update_s, int64_t next_update_s);
/* The same as PEM, terminated. */
char *certificate_authority_list_pem(struct text der);

#endif
