#ifndef PICKET_RUNTIME_X509_H
#define PICKET_RUNTIME_X509_H

#include "runtime/arena.h"
#include "runtime/status.h"

/* Judging X.509 certificates as RFC 5280 has it, by GnuTLS: a path from a leaf to one authority that the caller trusts,
 * and what that authority has revoked.
 *
 * Bytes come from strangers, so each part of them is bounded; every refusal is STATUS_REJECT with one sentence. Time is
 * always an argument. Nothing changes once it is made: any thread may use it, and several at once. */
#define X509_CHAIN_MAX 10               /* certificates, the leaf among them */
#define X509_CHAIN_BYTES_MAX 65536
#define X509_REVOCATIONS_BYTES_MAX 262144 /* some 6,000 entries in DER, 4,500 in PEM */
#define X509_SERIAL_MAX 20
#define X509_SHA1_BYTES 20
#define X509_SHA256_BYTES 32
#define X509_NAME_SIZE 256
#define X509_COMMON_NAME_SIZE 260

struct x509_serial {
    uint8_t bytes[X509_SERIAL_MAX], count; /* without leading zeros */
};

/* What a certificate says of itself. */
struct x509_facts {
    char subject[X509_NAME_SIZE];            /* RFC 4514; cut where it is longer */
    char common_name[X509_COMMON_NAME_SIZE]; /* "" unless there is just one, and it is text without NULs */
    int64_t not_before_s, not_after_s;
    uint8_t sha1[X509_SHA1_BYTES], sha256[X509_SHA256_BYTES]; /* of the DER */
};

/* Certificates as somebody presented them, the leaf first; the others in any order. */
struct x509_chain;

/* From DER. STATUS_REJECT: it is none, or too much. `*out` is the caller's to x509_chain_free(). */
MUST_CHECK enum status x509_chain_read(const struct text *certificates, size_t count, struct x509_chain **out,
                                       struct problem *why);
MUST_CHECK enum status x509_chain_read_pem(struct text pem, struct x509_chain **out, struct problem *why);
void x509_chain_free(struct x509_chain *take_chain);
size_t x509_chain_count(const struct x509_chain *chain);
/* DER of the issuer's name of one of them, by which to find the authority. Borrowed. */
struct text x509_chain_issuer(const struct x509_chain *chain, size_t at);
/* Of the leaf. */
void x509_chain_facts(const struct x509_chain *chain, struct x509_facts *out);
struct text x509_chain_leaf(const struct x509_chain *chain, struct arena *arena); /* DER */
/* STATUS_REJECT: the leaf is not valid yet, or no more. */
MUST_CHECK enum status x509_chain_in_time(const struct x509_chain *chain, int64_t now_s, struct problem *why);

/* An authority that the caller trusts, root or not, with the list of what it has revoked. */
struct x509_authority;

/* `revocations` is a CRL in DER; TEXT_NONE: there is none. STATUS_REJECT: no certificate of an authority, one that is too
 * weak, or a list that is not its own. */
MUST_CHECK enum status x509_authority_new(struct text certificate, struct text revocations, struct x509_authority **out,
                                          struct problem *why);
void x509_authority_free(struct x509_authority *take_authority);
struct text x509_authority_subject(const struct x509_authority *authority); /* DER of its name; borrowed */
bool x509_authority_revoked(const struct x509_authority *authority, const struct x509_serial *serial);

/* A path that was found good. */
struct x509_path {
    int64_t valid_until_s;      /* when the first certificate on it ends */
    struct x509_serial revocable; /* of its certificate that the authority signed: what x509_authority_revoked() may name */
};

/* Whether the leaf may act as a TLS client on the word of the authority: signatures, dates of all on the path and of the
 * authority, basic constraints and path length, key usage, name constraints, strength, critical extensions, and that the
 * authority revoked none. A list that is out of date still revokes what is on it. */
MUST_CHECK enum status x509_verify(const struct x509_chain *chain, const struct x509_authority *authority, int64_t now_s,
                                   struct x509_path *out, struct problem *why);

/* A CRL as an operator hands it in. */
struct x509_revocations {
    struct text der; /* in the caller's arena */
    int64_t this_update_s, next_update_s; /* the second 0: it does not say */
    size_t count;
};

/* From PEM or DER. STATUS_REJECT: it is none, is not `authority`'s, or is one of the partial kinds (delta, indirect). */
MUST_CHECK enum status x509_revocations_read(struct text text, const struct x509_authority *authority,
                                             struct arena *arena, struct x509_revocations *out, struct problem *why);

/* A thumbprint as people write it: hex of 20 or 32 bytes in any case, with colons or blanks or without. */
bool x509_thumbprint_read(struct text text, uint8_t out[X509_SHA256_BYTES], size_t *count);

#endif
