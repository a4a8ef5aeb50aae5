#include "runtime/x509.h"

#include <assert.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>

#include "runtime/clock.h"

#define US_PER_S 1000000
#define PEM_START "-----BEGIN"
#define OID_SIZE 64
#define PURPOSES_MAX 64   /* of one certificate; nobody needs more than a few */
#define NAME_PARTS_MAX 64 /* of one name, at either level */

/* RSA from 2048 bits, elliptic curves from 224, nothing signed with MD5 or SHA-1. */
#define VERIFY_FLAGS                                                                                                 \
    ((unsigned)GNUTLS_VERIFY_DISABLE_TIME_CHECKS | (unsigned)GNUTLS_VERIFY_DISABLE_CRL_CHECKS |                      \
     (unsigned)GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM))

struct x509_chain {
    gnutls_x509_crt_t certificates[X509_CHAIN_MAX];
    gnutls_datum_t issuers[X509_CHAIN_MAX];
    unsigned count;
};

struct x509_authority {
    gnutls_x509_crt_t certificate;
    gnutls_datum_t subject;
    struct x509_serial *revoked; /* sorted */
    size_t revoked_count;
};

/* A path from the leaf upwards; the last one was signed by the authority. */
struct path {
    gnutls_x509_crt_t certificates[X509_CHAIN_MAX];
    unsigned count;
};

static enum status chain_finish(struct x509_chain *take_chain, struct x509_chain **out, struct problem *why);
static enum status certificate_in_time(gnutls_x509_crt_t certificate, int64_t now_s, struct problem *why);
static enum status path_build(const struct x509_chain *chain, const struct x509_authority *authority,
                              struct path *out, struct problem *why);
static enum status path_judge(const struct path *path, const struct x509_authority *authority, struct problem *why);
static enum status leaf_judge(gnutls_x509_crt_t leaf, struct problem *why);
static bool leaf_is_for_clients(gnutls_x509_crt_t leaf);
static enum status weakness_tell(const struct path *path, struct problem *why);
static enum status authority_judge(gnutls_x509_crt_t certificate, struct problem *why);
static enum status list_read(struct text text, const struct x509_authority *authority, gnutls_x509_crl_t *out,
                             struct problem *why);
static enum status list_judge(gnutls_x509_crl_t list, const struct x509_authority *authority, struct problem *why);
static enum status list_take(gnutls_x509_crl_t list, struct x509_authority *authority, struct problem *why);
static enum status serial_read(gnutls_x509_crt_t certificate, struct x509_serial *out, struct problem *why);
static bool serial_set(const uint8_t *bytes, size_t count, struct x509_serial *out);
static int serial_compare(const void *a, const void *b);
static const char *subject_of(gnutls_x509_crt_t certificate, char out[X509_NAME_SIZE]);
static void common_name_read(gnutls_x509_crt_t certificate, char out[X509_COMMON_NAME_SIZE]);

static gnutls_datum_t datum(struct text text)
{
    gnutls_datum_t out = {.size = (unsigned)text.count};

    memcpy(&out.data, &text.bytes, sizeof out.data); /* GnuTLS reads it only, and has no type that says so */
    return out;
}

enum status x509_chain_read(const struct text *certificates, size_t count, struct x509_chain **out, struct problem *why)
{
    struct x509_chain *chain;
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += certificates[i].count;
    if (count < 1 || count > X509_CHAIN_MAX || bytes > X509_CHAIN_BYTES_MAX)
        return problem_set(why, STATUS_REJECT, "a chain has 1 to %d certificates of at most %d bytes together",
                           X509_CHAIN_MAX, X509_CHAIN_BYTES_MAX);
    chain = calloc(1, sizeof *chain);
    if (!chain)
        abort();
    while (chain->count < count) {
        const gnutls_datum_t der = datum(certificates[chain->count]);
        gnutls_x509_crt_t *certificate = &chain->certificates[chain->count++];
        int failed = gnutls_x509_crt_init(certificate);
        if (!failed)
            failed = gnutls_x509_crt_import(*certificate, &der, GNUTLS_X509_FMT_DER);
        if (failed) {
            x509_chain_free(chain);
            return problem_set(why, STATUS_REJECT, "this is no certificate: %s", gnutls_strerror(failed));
        }
    }
    return chain_finish(chain, out, why);
}

enum status x509_chain_read_pem(struct text pem, struct x509_chain **out, struct problem *why)
{
    struct x509_chain *chain;
    const gnutls_datum_t data = datum(pem);
    unsigned count = X509_CHAIN_MAX;

    if (pem.count > 2 * X509_CHAIN_BYTES_MAX)
        return problem_set(why, STATUS_REJECT, "this is too long for a certificate");
    chain = calloc(1, sizeof *chain);
    if (!chain)
        abort();
    int failed = gnutls_x509_crt_list_import(chain->certificates, &count, &data, GNUTLS_X509_FMT_PEM,
                                             GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (failed <= 0) {
        free(chain); /* on failure GnuTLS keeps none */
        return problem_set(why, STATUS_REJECT, "this is no certificate in PEM (-----BEGIN CERTIFICATE-----): %s",
                           failed < 0 ? gnutls_strerror(failed) : "it is empty");
    }
    chain->count = (unsigned)failed;
    return chain_finish(chain, out, why);
}

void x509_chain_free(struct x509_chain *take_chain)
{
    if (!take_chain)
        return;
    for (unsigned i = 0; i < take_chain->count; i++) {
        gnutls_free(take_chain->issuers[i].data);
        gnutls_x509_crt_deinit(take_chain->certificates[i]);
    }
    free(take_chain);
}

size_t x509_chain_count(const struct x509_chain *chain)
{
    return chain->count;
}

struct text x509_chain_issuer(const struct x509_chain *chain, size_t at)
{
    assert(at < chain->count);
    return (struct text){(const char *)chain->issuers[at].data, chain->issuers[at].size};
}

void x509_chain_facts(const struct x509_chain *chain, struct x509_facts *out)
{
    gnutls_x509_crt_t leaf = chain->certificates[0];
    size_t sha1 = sizeof out->sha1, sha256 = sizeof out->sha256;

    subject_of(leaf, out->subject);
    common_name_read(leaf, out->common_name);
    out->not_before_s = gnutls_x509_crt_get_activation_time(leaf);
    out->not_after_s = gnutls_x509_crt_get_expiration_time(leaf);
    if (gnutls_x509_crt_get_fingerprint(leaf, GNUTLS_DIG_SHA1, out->sha1, &sha1) ||
        gnutls_x509_crt_get_fingerprint(leaf, GNUTLS_DIG_SHA256, out->sha256, &sha256))
        abort(); /* it needs no more than memory */
}

struct text x509_chain_leaf(const struct x509_chain *chain, struct arena *arena)
{
    gnutls_datum_t der = {NULL, 0};

    if (gnutls_x509_crt_export2(chain->certificates[0], GNUTLS_X509_FMT_DER, &der))
        abort();
    struct text copy = arena_text(arena, (struct text){(const char *)der.data, der.size});
    gnutls_free(der.data);
    return copy;
}

enum status x509_chain_in_time(const struct x509_chain *chain, int64_t now_s, struct problem *why)
{
    return certificate_in_time(chain->certificates[0], now_s, why);
}

enum status x509_authority_new(struct text certificate, struct text revocations, struct x509_authority **out,
                               struct problem *why)
{
    struct x509_authority *authority = calloc(1, sizeof *authority);
    const gnutls_datum_t der = datum(certificate);
    gnutls_x509_crl_t list = NULL;
    enum status status = STATUS_OK;

    if (!authority)
        abort();
    int failed = gnutls_x509_crt_init(&authority->certificate);
    if (!failed)
        failed = gnutls_x509_crt_import(authority->certificate, &der, GNUTLS_X509_FMT_DER);
    if (!failed)
        failed = gnutls_x509_crt_get_raw_dn(authority->certificate, &authority->subject);
    if (failed)
        status = problem_set(why, STATUS_REJECT, "this is no certificate: %s", gnutls_strerror(failed));
    if (!status)
        status = authority_judge(authority->certificate, why);
    if (!status && revocations.bytes)
        status = list_read(revocations, authority, &list, why);
    if (!status && list)
        status = list_take(list, authority, why);
    if (list)
        gnutls_x509_crl_deinit(list);
    if (status) {
        x509_authority_free(authority);
        return status;
    }
    *out = authority;
    return STATUS_OK;
}

void x509_authority_free(struct x509_authority *take_authority)
{
    if (!take_authority)
        return;
    if (take_authority->certificate)
        gnutls_x509_crt_deinit(take_authority->certificate);
    gnutls_free(take_authority->subject.data);
    free(take_authority->revoked);
    free(take_authority);
}

struct text x509_authority_subject(const struct x509_authority *authority)
{
    return (struct text){(const char *)authority->subject.data, authority->subject.size};
}

bool x509_authority_revoked(const struct x509_authority *authority, const struct x509_serial *serial)
{
    return authority->revoked_count && bsearch(serial, authority->revoked, authority->revoked_count,
                                               sizeof *authority->revoked, serial_compare);
}

enum status x509_verify(const struct x509_chain *chain, const struct x509_authority *authority, int64_t now_s,
                        struct x509_path *out, struct problem *why)
{
    struct path path = {.count = 0};
    struct x509_path found = {.valid_until_s = gnutls_x509_crt_get_expiration_time(authority->certificate)};
    char name[X509_NAME_SIZE];

    enum status status = path_build(chain, authority, &path, why);
    for (unsigned i = 0; !status && i < path.count; i++) {
        int64_t end_s = gnutls_x509_crt_get_expiration_time(path.certificates[i]);
        status = certificate_in_time(path.certificates[i], now_s, why);
        if (end_s < found.valid_until_s)
            found.valid_until_s = end_s;
    }
    if (!status)
        status = certificate_in_time(authority->certificate, now_s, why);
    if (!status)
        status = leaf_judge(path.certificates[0], why);
    if (!status)
        status = path_judge(&path, authority, why);
    if (!status)
        status = serial_read(path.certificates[path.count - 1], &found.revocable, why);
    if (!status && x509_authority_revoked(authority, &found.revocable))
        status = problem_set(why, STATUS_REJECT, "the certificate %s was revoked by its authority",
                             subject_of(path.certificates[path.count - 1], name));
    if (!status)
        *out = found;
    return status;
}

enum status x509_revocations_read(struct text text, const struct x509_authority *authority, struct arena *arena,
                                  struct x509_revocations *out, struct problem *why)
{
    gnutls_x509_crl_t list = NULL;
    gnutls_datum_t der = {NULL, 0};

    enum status status = list_read(text, authority, &list, why);
    if (status)
        return status;
    if (gnutls_x509_crl_export2(list, GNUTLS_X509_FMT_DER, &der))
        abort();
    int64_t next_s = gnutls_x509_crl_get_next_update(list);
    int count = gnutls_x509_crl_get_crt_count(list);
    *out = (struct x509_revocations){arena_text(arena, (struct text){(const char *)der.data, der.size}),
                                     gnutls_x509_crl_get_this_update(list), next_s < 0 ? 0 : next_s,
                                     count < 0 ? 0 : (size_t)count};
    gnutls_free(der.data);
    gnutls_x509_crl_deinit(list);
    return STATUS_OK;
}

bool x509_thumbprint_read(struct text text, uint8_t out[X509_SHA256_BYTES], size_t *count)
{
    char digits[2 * X509_SHA256_BYTES];
    size_t digit_count = 0;

    for (size_t i = 0; i < text.count; i++) {
        if (text.bytes[i] == ':' || text.bytes[i] == ' ')
            continue;
        if (digit_count == sizeof digits)
            return false;
        digits[digit_count++] = text.bytes[i];
    }
    if (digit_count != sizeof digits && digit_count != 2 * X509_SHA1_BYTES)
        return false;
    *count = digit_count / 2;
    return text_hex_decode((struct text){digits, digit_count}, out, *count);
}

static enum status chain_finish(struct x509_chain *take_chain, struct x509_chain **out, struct problem *why)
{
    for (unsigned i = 0; i < take_chain->count; i++) {
        int failed = gnutls_x509_crt_get_raw_issuer_dn(take_chain->certificates[i], &take_chain->issuers[i]);
        if (!failed)
            continue;
        x509_chain_free(take_chain);
        return problem_set(why, STATUS_REJECT, "a certificate names no issuer: %s", gnutls_strerror(failed));
    }
    *out = take_chain;
    return STATUS_OK;
}

static enum status certificate_in_time(gnutls_x509_crt_t certificate, int64_t now_s, struct problem *why)
{
    int64_t from_s = gnutls_x509_crt_get_activation_time(certificate);
    int64_t to_s = gnutls_x509_crt_get_expiration_time(certificate);
    char name[X509_NAME_SIZE], date[CLOCK_TEXT_SIZE];

    if (from_s < 0 || to_s < 0)
        return problem_set(why, STATUS_REJECT, "the certificate %s has no valid dates", subject_of(certificate, name));
    if (now_s < from_s) {
        clock_format(from_s * US_PER_S, date);
        return problem_set(why, STATUS_REJECT, "the certificate %s is not valid before %.10s",
                           subject_of(certificate, name), date);
    }
    if (now_s > to_s) {
        clock_format(to_s * US_PER_S, date);
        return problem_set(why, STATUS_REJECT, "the certificate %s expired on %.10s", subject_of(certificate, name), date);
    }
    return STATUS_OK;
}

/* By the names alone; whether the signatures bear it out is judged afterwards. */
static enum status path_build(const struct x509_chain *chain, const struct x509_authority *authority,
                              struct path *out, struct problem *why)
{
    bool used[X509_CHAIN_MAX] = {true};
    char name[X509_NAME_SIZE];

    if (gnutls_x509_crt_equals(chain->certificates[0], authority->certificate))
        return problem_set(why, STATUS_REJECT, "this is the certificate of the authority itself");
    out->certificates[out->count++] = chain->certificates[0];
    for (;;) {
        gnutls_x509_crt_t last = out->certificates[out->count - 1];
        unsigned next = 0;
        if (gnutls_x509_crt_check_issuer(last, authority->certificate))
            return STATUS_OK;
        while (next < chain->count && (used[next] || !gnutls_x509_crt_check_issuer(last, chain->certificates[next])))
            next++;
        if (next == chain->count)
            return problem_set(why, STATUS_REJECT, "the issuer of %s is neither in the chain nor the authority",
                               subject_of(last, name));
        used[next] = true;
        out->certificates[out->count++] = chain->certificates[next];
    }
}

static enum status path_judge(const struct path *path, const struct x509_authority *authority, struct problem *why)
{
    unsigned verdict = 0;

    int failed = gnutls_x509_crt_list_verify(path->certificates, path->count, &authority->certificate, 1, NULL, 0,
                                             VERIFY_FLAGS, &verdict);
    if (failed)
        return problem_set(why, STATUS_REJECT, "the chain cannot be judged: %s", gnutls_strerror(failed));
    if (!verdict)
        return STATUS_OK;
    if (verdict & GNUTLS_CERT_SIGNATURE_FAILURE)
        return problem_set(why, STATUS_REJECT, "a signature of the chain is wrong");
    if (verdict & GNUTLS_CERT_SIGNER_NOT_CA)
        return problem_set(why, STATUS_REJECT, "a certificate of the chain was issued by one that is no authority");
    if (verdict & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE)
        return problem_set(why, STATUS_REJECT,
                           "an authority of the chain may not issue this: its path length, key usage or names forbid it");
    if (verdict & GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS)
        return problem_set(why, STATUS_REJECT, "the chain has a critical extension that is not known here");
    if (verdict & GNUTLS_CERT_INSECURE_ALGORITHM)
        return weakness_tell(path, why);
    if (verdict & GNUTLS_CERT_SIGNER_NOT_FOUND)
        return problem_set(why, STATUS_REJECT, "the chain was not issued by the authority");
    return problem_set(why, STATUS_REJECT, "the chain is not valid (%#x)", verdict);
}

static enum status leaf_judge(gnutls_x509_crt_t leaf, struct problem *why)
{
    unsigned usage = 0, critical = 0;
    char name[X509_NAME_SIZE];

    int failed = gnutls_x509_crt_get_key_usage(leaf, &usage, &critical);
    if (!failed && !(usage & GNUTLS_KEY_DIGITAL_SIGNATURE))
        return problem_set(why, STATUS_REJECT, "the key usage of %s is not for signing in", subject_of(leaf, name));
    if (failed && failed != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
        return problem_set(why, STATUS_REJECT, "the key usage of %s cannot be read", subject_of(leaf, name));
    if (!leaf_is_for_clients(leaf))
        return problem_set(why, STATUS_REJECT, "the extended key usage of %s does not have clientAuth",
                           subject_of(leaf, name));
    return STATUS_OK;
}

/* A certificate that names no purpose is for any. */
static bool leaf_is_for_clients(gnutls_x509_crt_t leaf)
{
    for (unsigned i = 0; i < PURPOSES_MAX; i++) {
        char oid[OID_SIZE];
        size_t size = sizeof oid;
        unsigned critical;
        int failed = gnutls_x509_crt_get_key_purpose_oid(leaf, i, oid, &size, &critical);
        if (failed == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return i == 0;
        if (failed == GNUTLS_E_SHORT_MEMORY_BUFFER)
            continue;
        if (failed)
            return false;
        if (strcmp(oid, GNUTLS_KP_TLS_WWW_CLIENT) == 0 || strcmp(oid, GNUTLS_KP_ANY) == 0)
            return true;
    }
    return false;
}

static enum status weakness_tell(const struct path *path, struct problem *why)
{
    char name[X509_NAME_SIZE];

    for (unsigned i = 0; i < path->count; i++) {
        gnutls_x509_crt_t certificate = path->certificates[i];
        unsigned bits = 0;
        int signature = gnutls_x509_crt_get_signature_algorithm(certificate);
        int key = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);
        if (signature < 0 ||
            !gnutls_sign_is_secure2((gnutls_sign_algorithm_t)signature, GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS))
            return problem_set(why, STATUS_REJECT, "the certificate %s is signed with %s, which is too weak",
                               subject_of(certificate, name),
                               signature < 0 ? "something unknown" : gnutls_sign_get_name((gnutls_sign_algorithm_t)signature));
        if (key < 0 || gnutls_pk_bits_to_sec_param((gnutls_pk_algorithm_t)key, bits) < GNUTLS_SEC_PARAM_MEDIUM)
            return problem_set(why, STATUS_REJECT, "the key of %s is too weak: %s of %u bits",
                               subject_of(certificate, name),
                               key < 0 ? "something unknown" : gnutls_pk_get_name((gnutls_pk_algorithm_t)key), bits);
    }
    return problem_set(why, STATUS_REJECT, "a key or a signature of the chain is too weak");
}

static enum status authority_judge(gnutls_x509_crt_t certificate, struct problem *why)
{
    unsigned critical = 0, authority = 0, usage = 0, bits = 0;
    int path_length = 0;
    char name[X509_NAME_SIZE];

    if (gnutls_x509_crt_get_basic_constraints(certificate, &critical, &authority, &path_length) < 0 || !authority)
        return problem_set(why, STATUS_REJECT,
                           "%s is no authority: its basic constraints do not say CA:TRUE", subject_of(certificate, name));
    int failed = gnutls_x509_crt_get_key_usage(certificate, &usage, &critical);
    if (failed ? failed != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE : !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
        return problem_set(why, STATUS_REJECT, "the key usage of %s does not have keyCertSign", subject_of(certificate, name));
    int key = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);
    if (key < 0 || gnutls_pk_bits_to_sec_param((gnutls_pk_algorithm_t)key, bits) < GNUTLS_SEC_PARAM_MEDIUM)
        return problem_set(why, STATUS_REJECT, "the key of %s is too weak: %s of %u bits", subject_of(certificate, name),
                           key < 0 ? "something unknown" : gnutls_pk_get_name((gnutls_pk_algorithm_t)key), bits);
    return STATUS_OK;
}

static enum status list_read(struct text text, const struct x509_authority *authority, gnutls_x509_crl_t *out,
                             struct problem *why)
{
    bool pem = text_starts(text_trim(text), TEXT(PEM_START));
    const gnutls_datum_t data = datum(text);
    gnutls_x509_crl_t list = NULL;

    if (text.count > X509_REVOCATIONS_BYTES_MAX)
        return problem_set(why, STATUS_REJECT, "the list of what was revoked has more than %d bytes",
                           X509_REVOCATIONS_BYTES_MAX);
    int failed = gnutls_x509_crl_init(&list);
    if (!failed)
        failed = gnutls_x509_crl_import(list, &data, pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER);
    enum status status = STATUS_OK;
    if (failed)
        status = problem_set(why, STATUS_REJECT, "this is no list of revoked certificates (CRL): %s",
                             gnutls_strerror(failed));
    if (!status)
        status = list_judge(list, authority, why);
    if (!status) {
        *out = list;
        return STATUS_OK;
    }
    if (list)
        gnutls_x509_crl_deinit(list);
    return status;
}

/* Its dates are not judged: a list that is out of date still revokes what is on it. */
static enum status list_judge(gnutls_x509_crl_t list, const struct x509_authority *authority, struct problem *why)
{
    const unsigned wrong = GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA |
                           GNUTLS_CERT_INSECURE_ALGORITHM | GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE;
    unsigned verdict = 0;

    if (!gnutls_x509_crl_check_issuer(list, authority->certificate))
        return problem_set(why, STATUS_REJECT, "the list was not issued by this authority");
    if (gnutls_x509_crl_verify(list, &authority->certificate, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &verdict) ||
        verdict & wrong)
        return problem_set(why, STATUS_REJECT, "the list is not validly signed by this authority%s",
                           verdict & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE ? ": its key usage does not have cRLSign" : "");
    for (unsigned i = 0;; i++) {
        char oid[OID_SIZE];
        size_t size = sizeof oid;
        unsigned critical = 1;
        int failed = gnutls_x509_crl_get_extension_info(list, i, oid, &size, &critical);
        if (failed == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return STATUS_OK;
        /* Such as those of delta lists, indirect ones, and those for a part of the certificates. */
        if (failed || critical)
            return problem_set(why, STATUS_REJECT,
                               "the list has a critical extension (%.*s): only whole lists of one authority are taken",
                               failed ? 0 : (int)sizeof oid, oid);
    }
}

static enum status list_take(gnutls_x509_crl_t list, struct x509_authority *authority, struct problem *why)
{
    gnutls_x509_crl_iter_t iterator = NULL;
    uint8_t bytes[64];
    int count = gnutls_x509_crl_get_crt_count(list), failed = 0;

    if (count <= 0)
        return STATUS_OK;
    authority->revoked = calloc((size_t)count, sizeof *authority->revoked);
    if (!authority->revoked)
        abort();
    for (int i = 0; i < count && !failed; i++) {
        size_t size = sizeof bytes;
        failed = gnutls_x509_crl_iter_crt_serial(list, &iterator, bytes, &size, NULL);
        /* A number longer than the standard's names no certificate that could ever pass. */
        if (!failed && serial_set(bytes, size, &authority->revoked[authority->revoked_count]))
            authority->revoked_count++;
    }
    gnutls_x509_crl_iter_deinit(iterator);
    if (failed)
        return problem_set(why, STATUS_REJECT, "the list of revoked certificates is malformed: %s", gnutls_strerror(failed));
    qsort(authority->revoked, authority->revoked_count, sizeof *authority->revoked, serial_compare);
    return STATUS_OK;
}

static enum status serial_read(gnutls_x509_crt_t certificate, struct x509_serial *out, struct problem *why)
{
    uint8_t bytes[X509_SERIAL_MAX + 1];
    size_t size = sizeof bytes;

    if (gnutls_x509_crt_get_serial(certificate, bytes, &size) || !serial_set(bytes, size, out))
        return problem_set(why, STATUS_REJECT, "a serial number of the chain has more than %d bytes", X509_SERIAL_MAX);
    return STATUS_OK;
}

static bool serial_set(const uint8_t *bytes, size_t count, struct x509_serial *out)
{
    while (count > 1 && !*bytes) { /* of a number whose first bit is set */
        bytes++;
        count--;
    }
    if (count > X509_SERIAL_MAX)
        return false;
    *out = (struct x509_serial){.count = (uint8_t)count};
    memcpy(out->bytes, bytes, count);
    return true;
}

static int serial_compare(const void *a, const void *b)
{
    const struct x509_serial *left = a, *right = b;

    if (left->count != right->count)
        return left->count < right->count ? -1 : 1;
    return memcmp(left->bytes, right->bytes, left->count);
}

/* For sentences and logs: whatever is no text, or would end a line, becomes a question mark. */
static const char *subject_of(gnutls_x509_crt_t certificate, char out[X509_NAME_SIZE])
{
    gnutls_datum_t name = {NULL, 0};
    size_t count = 0;

    if (gnutls_x509_crt_get_dn3(certificate, &name, 0) || !name.data)
        name.size = 0;
    for (size_t at = 0; at < name.size;) {
        struct text rest = {(const char *)name.data + at, name.size - at};
        size_t sequence = text_utf8_sequence(rest);
        bool printable = sequence && (unsigned char)*rest.bytes >= ' ' && *rest.bytes != 0x7f && *rest.bytes != '"';
        if (count + (printable ? sequence : 1) >= X509_NAME_SIZE)
            break;
        if (printable)
            memcpy(out + count, rest.bytes, sequence);
        else
            out[count] = '?';
        count += printable ? sequence : 1;
        at += sequence ? sequence : 1;
    }
    out[count] = 0;
    gnutls_free(name.data);
    return count ? out : "without a name";
}

/* Read from the parsed name, since the calls that give it as text escape it. */
static void common_name_read(gnutls_x509_crt_t certificate, char out[X509_COMMON_NAME_SIZE])
{
    gnutls_x509_dn_t subject;
    gnutls_x509_ava_st part;
    size_t found = 0;

    out[0] = 0;
    if (gnutls_x509_crt_get_subject(certificate, &subject))
        return;
    for (int at = 0; at < NAME_PARTS_MAX && gnutls_x509_dn_get_rdn_ava(subject, at, 0, &part) == 0; at++) {
        for (int with = 0; with < NAME_PARTS_MAX && gnutls_x509_dn_get_rdn_ava(subject, at, with, &part) == 0; with++) {
            struct text oid = {(const char *)part.oid.data, part.oid.size};
            struct text value = {(const char *)part.value.data, part.value.size};
            if (!text_starts(oid, TEXT(GNUTLS_OID_X520_COMMON_NAME)) || oid.count > sizeof GNUTLS_OID_X520_COMMON_NAME)
                continue;
            bool plain = value.count < X509_COMMON_NAME_SIZE && text_utf8_valid(value) &&
                         text_find(value, 0) == value.count && part.value_tag != 30 /* BMPString: two bytes each */;
            if (++found == 1 && plain) {
                memcpy(out, value.bytes, value.count);
                out[value.count] = 0;
            }
        }
    }
    if (found != 1)
        out[0] = 0;
}
