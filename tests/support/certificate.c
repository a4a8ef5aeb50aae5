#include "tests/support/certificate.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void must(bool worked)
{
    if (!worked)
        abort();
}

static void write_pem(const char *path, const gnutls_datum_t *pem)
{
    FILE *file = fopen(path, "w");
    must(file != NULL);
    must(fwrite(pem->data, 1, pem->size, file) == pem->size);
    fclose(file);
    gnutls_free(pem->data);
}

void certificate_make(struct certificate *out)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t pem;

    snprintf(out->folder, sizeof out->folder, "/tmp/picket-http-XXXXXX");
    must(mkdtemp(out->folder) != NULL);
    snprintf(out->certificate_file, sizeof out->certificate_file, "%s/cert.pem", out->folder);
    snprintf(out->key_file, sizeof out->key_file, "%s/key.pem", out->folder);
    gnutls_x509_privkey_init(&key);
    gnutls_x509_crt_init(&certificate);
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
    gnutls_x509_crt_set_version(certificate, 3);
    gnutls_x509_crt_set_serial(certificate, "\1", 1);
    gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 60);
    gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 2 * 86400);
    gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "localhost", 9);
    gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_key(certificate, key);
    must(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0) == 0);
    gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem);
    write_pem(out->certificate_file, &pem);
    gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
    write_pem(out->key_file, &pem);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
}

void certificate_remove(const struct certificate *certificate)
{
    unlink(certificate->certificate_file);
    unlink(certificate->key_file);
    rmdir(certificate->folder);
}
