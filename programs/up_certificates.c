#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "programs/certificate_pair.h"
#include "programs/up.h"
#include "runtime/buf.h"
#include "runtime/process.h"
#include "runtime/secret.h"

/* Devices trust ca.pem, which lasts; what the ports show is short-lived beside it and renewed at a start. */

#define DAY (24 * 60 * 60)
#define CA_DAYS 3650
#define SERVER_DAYS 730
#define RENEW_DAYS 30
#define CLOCK_SLACK DAY /* a device whose clock is a little behind must not find it "not yet valid" */
#define PEM_BYTES_MAX (64 * 1024)

static enum status authority_make(struct up *up, struct certificate_pair *out, struct problem *why);
static enum status server_make(struct up *up, const struct certificate_pair *authority, struct problem *why);
static enum status server_sign(const struct up *up, const struct certificate_pair *authority, struct certificate_pair *out, struct problem *why);
static bool server_good(const struct up *up, const struct certificate_pair *authority);
static enum status pair_load(const struct up *up, const char *certificate, const char *key, struct certificate_pair *out,
                             struct problem *why);
static enum status pair_save(const struct up *up, const char *certificate, const char *key, const struct certificate_pair *pair,
                             struct problem *why);
static enum status pem_save(const struct up *up, const char *name, const gnutls_datum_t *pem, unsigned mode,
                            struct problem *why);
static int pair_begin(struct certificate_pair *out, const char *name, int days);
static int names_add(const struct up *up, gnutls_x509_crt_t certificate);
static void device_host_bare(const struct up *up, char *out, size_t size);

enum status up_certificates_make(struct up *up, struct problem *why)
{
    struct certificate_pair authority = {NULL, NULL};

    if (mkdir(up_path(up, "certificates"), 0755) != 0 && errno != EEXIST)
        return problem_set(why, STATUS_REJECT, "%s cannot be made: %s", up_path(up, "certificates"), strerror(errno));
    bool there = access(up_path(up, "certificates/ca.key"), F_OK) == 0;
    enum status status = there ? pair_load(up, "certificates/ca.pem", "certificates/ca.key", &authority, why)
                               : authority_make(up, &authority, why);
    if (!status && !server_good(up, &authority))
        status = server_make(up, &authority, why);
    certificate_pair_done(&authority);
    return status;
}

static enum status authority_make(struct up *up, struct certificate_pair *out, struct problem *why)
{
    char name[160];
    int code;

    snprintf(name, sizeof name, "Picket CA on %.60s", up->host_name);
    code = pair_begin(out, name, CA_DAYS);
    if (code >= 0)
        code = gnutls_x509_crt_set_basic_constraints(out->certificate, 1, 0);
    if (code >= 0)
        code = gnutls_x509_crt_set_key_usage(out->certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    if (code >= 0)
        code = gnutls_x509_crt_sign2(out->certificate, out->certificate, out->key, GNUTLS_DIG_SHA256, 0);
    if (code < 0)
        return problem_set(why, STATUS_FAULT, "the CA cannot be made: %s", gnutls_strerror(code));
    enum status status = pair_save(up, "certificates/ca.pem", "certificates/ca.key", out, why);
    if (!status)
        up_say(up, "made a CA for the device ports: %s", up_path(up, "certificates/ca.pem"));
    return status;
}

static enum status server_make(struct up *up, const struct certificate_pair *authority, struct problem *why)
{
    struct certificate_pair server = {NULL, NULL};

    enum status status = server_sign(up, authority, &server, why);
    if (!status)
        status = pair_save(up, "certificates/server.pem", "certificates/server.key", &server, why);
    if (!status)
        up_say(up, "made a server certificate for localhost and %s", up->host_name);
    certificate_pair_done(&server);
    return status;
}

static enum status server_sign(const struct up *up, const struct certificate_pair *authority, struct certificate_pair *out, struct problem *why)
{
    int code = pair_begin(out, up->host_name, SERVER_DAYS);

    if (code >= 0)
        code = gnutls_x509_crt_set_basic_constraints(out->certificate, 0, -1);
    if (code >= 0)
        code = gnutls_x509_crt_set_key_usage(out->certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (code >= 0)
        code = gnutls_x509_crt_set_key_purpose_oid(out->certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (code >= 0)
        code = names_add(up, out->certificate);
    if (code >= 0) {
        unsigned char id[64];
        size_t size = sizeof id;
        if (gnutls_x509_crt_get_subject_key_id(authority->certificate, id, &size, NULL) == 0)
            code = gnutls_x509_crt_set_authority_key_id(out->certificate, id, size);
    }
    if (code >= 0)
        code = gnutls_x509_crt_sign2(out->certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0);
    if (code < 0)
        return problem_set(why, STATUS_FAULT, "the server certificate cannot be made: %s", gnutls_strerror(code));
    return STATUS_OK;
}

/* Signed by this CA, for our names, and with time left. */
static bool server_good(const struct up *up, const struct certificate_pair *authority)
{
    struct certificate_pair server = {NULL, NULL};
    char bare[160];
    struct problem why;
    unsigned verdict = 0;

    device_host_bare(up, bare, sizeof bare);
    bool good = access(up_path(up, "certificates/server.key"), R_OK) == 0 &&
                pair_load(up, "certificates/server.pem", "certificates/server.key", &server, &why) == STATUS_OK &&
                gnutls_x509_crt_get_expiration_time(server.certificate) > time(NULL) + RENEW_DAYS * DAY &&
                gnutls_x509_crt_verify(server.certificate, &authority->certificate, 1, 0, &verdict) == 0 && verdict == 0 &&
                gnutls_x509_crt_check_hostname(server.certificate, up->host_name) &&
                gnutls_x509_crt_check_hostname(server.certificate, bare);
    certificate_pair_done(&server);
    return good;
}

static enum status pair_load(const struct up *up, const char *certificate, const char *key, struct certificate_pair *out,
                             struct problem *why)
{
    struct buf pem, key_pem;
    int code = 0;

    buf_init(&pem, PEM_BYTES_MAX);
    buf_init(&key_pem, PEM_BYTES_MAX);
    enum status status = process_read_file(up_path(up, certificate), PEM_BYTES_MAX, &pem, why);
    if (!status)
        status = process_read_file(up_path(up, key), PEM_BYTES_MAX, &key_pem, why);
    if (!status) {
        const gnutls_datum_t bytes = {(unsigned char *)pem.bytes, (unsigned)pem.count};
        const gnutls_datum_t key_bytes = {(unsigned char *)key_pem.bytes, (unsigned)key_pem.count};
        gnutls_x509_crt_init(&out->certificate);
        gnutls_x509_privkey_init(&out->key);
        code = gnutls_x509_crt_import(out->certificate, &bytes, GNUTLS_X509_FMT_PEM);
        if (code >= 0)
            code = gnutls_x509_privkey_import(out->key, &key_bytes, GNUTLS_X509_FMT_PEM);
    }
    if (!status && code < 0)
        status = problem_set(why, STATUS_REJECT, "%s or %s is damaged (%s): put it back, or remove both to have new ones",
                             up_path(up, certificate), up_path(up, key), gnutls_strerror(code));
    secret_wipe(key_pem.bytes, key_pem.count);
    buf_done(&key_pem);
    buf_done(&pem);
    return status;
}

/* The key comes last and is what tells that the pair is whole. */
static enum status pair_save(const struct up *up, const char *certificate, const char *key, const struct certificate_pair *pair,
                             struct problem *why)
{
    struct certificate_pem pem;
    enum status status = STATUS_OK;

    if (certificate_pair_print(pair, &pem) < 0)
        status = problem_set(why, STATUS_FAULT, "a certificate cannot be written as PEM");
    if (!status)
        status = pem_save(up, certificate, &pem.certificate, 0644, why);
    if (!status)
        status = pem_save(up, key, &pem.key, 0600, why);
    certificate_pem_done(&pem);
    return status;
}

static enum status pem_save(const struct up *up, const char *name, const gnutls_datum_t *pem, unsigned mode,
                            struct problem *why)
{
    const char *path = up_path(up, name);

    return process_write_file(path, (struct text){(const char *)pem->data, pem->size}, mode, why);
}

static int pair_begin(struct certificate_pair *out, const char *name, int days)
{
    int64_t now_s = time(NULL);

    return certificate_pair_begin(out, name, now_s - CLOCK_SLACK, now_s + (int64_t)days * DAY);
}

static int names_add(const struct up *up, gnutls_x509_crt_t certificate)
{
    static const unsigned char ipv4[4] = {127, 0, 0, 1};
    static const unsigned char ipv6[16] = {[15] = 1};
    char bare[160];
    struct in_addr address;

    device_host_bare(up, bare, sizeof bare);
    const char *const names[] = {"localhost", up->host_name, bare};
    int code = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, ipv4, sizeof ipv4, GNUTLS_FSAN_SET);
    if (code >= 0)
        code = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, ipv6, sizeof ipv6, GNUTLS_FSAN_APPEND);
    for (size_t i = 0; code >= 0 && i < sizeof names / sizeof names[0]; i++) {
        if (inet_pton(AF_INET, names[i], &address) == 1)
            code = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address, sizeof address,
                                                        GNUTLS_FSAN_APPEND);
        else if (i == 0 || strcmp(names[i], "localhost") != 0)
            code = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, names[i],
                                                        (unsigned)strlen(names[i]), GNUTLS_FSAN_APPEND);
    }
    return code;
}

/* What connection strings name, without the port. */
static void device_host_bare(const struct up *up, char *out, size_t size)
{
    struct text host;
    text_cut(text_of(up->device_host), ':', &host);
    snprintf(out, size, "%.*s", TEXT_ARGS(host));
}
