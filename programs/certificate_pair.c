#include "programs/certificate_pair.h"

#include <string.h>

#include "runtime/secret.h"

#define SERIAL_BYTES 16
#define NAME_BYTES_MAX 64 /* of a common name: X.520 */

int certificate_pair_begin(struct certificate_pair *out, const char *name, int64_t from_s, int64_t until_s)
{
    unsigned char serial[SERIAL_BYTES], id[64];
    size_t size = sizeof id;

    *out = (struct certificate_pair){NULL, NULL};
    secret_random(serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7F) | 0x40); /* positive, and of full length */
    int code = gnutls_x509_crt_init(&out->certificate);
    if (code >= 0)
        code = gnutls_x509_privkey_init(&out->key);
    if (code >= 0)
        code = gnutls_x509_privkey_generate(out->key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (code >= 0)
        code = gnutls_x509_crt_set_version(out->certificate, 3);
    if (code >= 0)
        code = gnutls_x509_crt_set_serial(out->certificate, serial, sizeof serial);
    if (code >= 0)
        code = gnutls_x509_crt_set_activation_time(out->certificate, from_s);
    if (code >= 0)
        code = gnutls_x509_crt_set_expiration_time(out->certificate, until_s);
    if (code >= 0)
        code = gnutls_x509_crt_set_dn_by_oid(out->certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                             (unsigned)strnlen(name, NAME_BYTES_MAX));
    if (code >= 0)
        code = gnutls_x509_crt_set_key(out->certificate, out->key);
    if (code >= 0)
        code = gnutls_x509_crt_get_key_id(out->certificate, GNUTLS_KEYID_USE_SHA1, id, &size);
    if (code >= 0)
        code = gnutls_x509_crt_set_subject_key_id(out->certificate, id, size);
    return code;
}

int certificate_pair_print(const struct certificate_pair *pair, struct certificate_pem *out)
{
    *out = (struct certificate_pem){{NULL, 0}, {NULL, 0}};
    int code = gnutls_x509_crt_export2(pair->certificate, GNUTLS_X509_FMT_PEM, &out->certificate);
    return code < 0 ? code : gnutls_x509_privkey_export2(pair->key, GNUTLS_X509_FMT_PEM, &out->key);
}

void certificate_pem_done(struct certificate_pem *pem)
{
    if (pem->key.data)
        secret_wipe(pem->key.data, pem->key.size);
    gnutls_free(pem->key.data);
    gnutls_free(pem->certificate.data);
}

void certificate_pair_done(struct certificate_pair *pair)
{
    if (pair->certificate)
        gnutls_x509_crt_deinit(pair->certificate);
    if (pair->key)
        gnutls_x509_privkey_deinit(pair->key);
}
