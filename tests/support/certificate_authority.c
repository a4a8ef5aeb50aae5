#include "tests/support/certificate_authority.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <time.h>

struct issued {
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
    gnutls_datum_t der, pem, key_pem;
    uint8_t sha1[20], sha256[32];
};

static void must(int failed)
{
    if (failed < 0)
        abort();
}

static void name_put(gnutls_x509_crt_t certificate, const char *common_name)
{
    if (common_name)
        must(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, common_name,
                                           (unsigned)strlen(common_name)));
}

static void extensions_put(gnutls_x509_crt_t certificate, const struct certificate_wish *wish)
{
    if (wish->authority)
        must(gnutls_x509_crt_set_basic_constraints(certificate, 1, wish->path_limited ? wish->path_length : -1));
    if (wish->key_usage)
        must(gnutls_x509_crt_set_key_usage(certificate, wish->key_usage));
    if (wish->purpose)
        must(gnutls_x509_crt_set_key_purpose_oid(certificate, wish->purpose, 0));
    if (wish->critical_oid)
        must(gnutls_x509_crt_set_extension_by_oid(certificate, wish->critical_oid, "\x05\x00", 2, 1));
    if (wish->dns_name)
        must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, wish->dns_name,
                                                  (unsigned)strlen(wish->dns_name), GNUTLS_FSAN_SET));
    if (wish->ipv4) {
        struct in_addr address;
        if (inet_pton(AF_INET, wish->ipv4, &address) != 1)
            abort();
        must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address, sizeof address, GNUTLS_FSAN_APPEND));
    }
    if (wish->permitted_dns) {
        gnutls_x509_name_constraints_t constraints;
        char name[64];
        memset(name, 0, sizeof name);
        memcpy(name, wish->permitted_dns, strnlen(wish->permitted_dns, sizeof name - 1));
        const gnutls_datum_t permitted = {(unsigned char *)name, (unsigned)strlen(name)};
        must(gnutls_x509_name_constraints_init(&constraints));
        must(gnutls_x509_name_constraints_add_permitted(constraints, GNUTLS_SAN_DNSNAME, &permitted));
        must(gnutls_x509_crt_set_name_constraints(certificate, constraints, 1));
        gnutls_x509_name_constraints_deinit(constraints);
    }
}

struct issued *certificate_authority_issue(const struct certificate_wish *wish, const struct issued *by)
{
    struct issued *issued = calloc(1, sizeof *issued);
    uint8_t serial[16];
    size_t sha1 = sizeof issued->sha1, sha256 = sizeof issued->sha256;

    must(issued ? 0 : -1);
    must(gnutls_x509_privkey_init(&issued->key));
    must(gnutls_x509_crt_init(&issued->certificate));
    must(gnutls_x509_privkey_generate(issued->key, wish->rsa_bits ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA,
                                      wish->rsa_bits ? wish->rsa_bits
                                                     : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    must(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial));
    serial[0] = 0x80; /* so that its encoding has a zero in front */
    must(gnutls_x509_crt_set_version(issued->certificate, 3));
    must(gnutls_x509_crt_set_serial(issued->certificate, wish->serial ? (const void *)wish->serial : serial,
                                    wish->serial ? strlen(wish->serial) : sizeof serial));
    must(gnutls_x509_crt_set_activation_time(issued->certificate, wish->not_before_s ? wish->not_before_s : time(NULL) - 3600));
    must(gnutls_x509_crt_set_expiration_time(issued->certificate, wish->not_after_s ? wish->not_after_s : time(NULL) + 3600));
    name_put(issued->certificate, wish->common_name);
    name_put(issued->certificate, wish->second_common_name);
    must(gnutls_x509_crt_set_key(issued->certificate, issued->key));
    extensions_put(issued->certificate, wish);
    must(gnutls_x509_crt_sign2(issued->certificate, by ? by->certificate : issued->certificate, by ? by->key : issued->key,
                               wish->sha1 ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256, 0));
    must(gnutls_x509_crt_export2(issued->certificate, GNUTLS_X509_FMT_DER, &issued->der));
    must(gnutls_x509_crt_export2(issued->certificate, GNUTLS_X509_FMT_PEM, &issued->pem));
    must(gnutls_x509_privkey_export2(issued->key, GNUTLS_X509_FMT_PEM, &issued->key_pem));
    must(gnutls_x509_crt_get_fingerprint(issued->certificate, GNUTLS_DIG_SHA1, issued->sha1, &sha1));
    must(gnutls_x509_crt_get_fingerprint(issued->certificate, GNUTLS_DIG_SHA256, issued->sha256, &sha256));
    return issued;
}

void certificate_authority_free(struct issued *take_issued)
{
    if (!take_issued)
        return;
    gnutls_x509_crt_deinit(take_issued->certificate);
    gnutls_x509_privkey_deinit(take_issued->key);
    gnutls_free(take_issued->der.data);
    gnutls_free(take_issued->pem.data);
    gnutls_free(take_issued->key_pem.data);
    free(take_issued);
}

struct text certificate_authority_der(const struct issued *issued)
{
    return (struct text){(const char *)issued->der.data, issued->der.size};
}

const char *certificate_authority_pem(const struct issued *issued)
{
    return (const char *)issued->pem.data;
}

const char *certificate_authority_key_pem(const struct issued *issued)
{
    return (const char *)issued->key_pem.data;
}

const uint8_t *certificate_authority_sha1(const struct issued *issued)
{
    return issued->sha1;
}

const uint8_t *certificate_authority_sha256(const struct issued *issued)
{
    return issued->sha256;
}

struct text certificate_authority_revoke(const struct issued *by, const struct issued *const *revoked, size_t count,
                                         int64_t this_update_s, int64_t next_update_s)
{
    gnutls_x509_crl_t list;
    gnutls_datum_t der = {NULL, 0};

    must(gnutls_x509_crl_init(&list));
    must(gnutls_x509_crl_set_version(list, 2));
    must(gnutls_x509_crl_set_this_update(list, this_update_s));
    must(gnutls_x509_crl_set_next_update(list, next_update_s));
    must(gnutls_x509_crl_set_number(list, "\1", 1));
    for (size_t i = 0; i < count; i++)
        must(gnutls_x509_crl_set_crt(list, revoked[i]->certificate, this_update_s));
    must(gnutls_x509_crl_sign2(list, by->certificate, by->key, GNUTLS_DIG_SHA256, 0));
    must(gnutls_x509_crl_export2(list, GNUTLS_X509_FMT_DER, &der));
    gnutls_x509_crl_deinit(list);
    char *copy = malloc(der.size);
    must(copy ? 0 : -1);
    memcpy(copy, der.data, der.size);
    struct text out = {copy, der.size};
    gnutls_free(der.data);
    return out;
}

char *certificate_authority_list_pem(struct text der)
{
    gnutls_x509_crl_t list;
    gnutls_datum_t data = {.size = (unsigned)der.count}, pem = {NULL, 0};

    memcpy(&data.data, &der.bytes, sizeof data.data);
    must(gnutls_x509_crl_init(&list));
    must(gnutls_x509_crl_import(list, &data, GNUTLS_X509_FMT_DER));
    must(gnutls_x509_crl_export2(list, GNUTLS_X509_FMT_PEM, &pem));
    gnutls_x509_crl_deinit(list);
    char *copy = strndup((const char *)pem.data, pem.size);
    must(copy ? 0 : -1);
    gnutls_free(pem.data);
    return copy;
}
