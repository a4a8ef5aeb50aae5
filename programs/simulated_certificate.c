#include "programs/simulated_certificate.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "programs/certificate_pair.h"
#include "runtime/text.h"

#define SHA256_BYTES 32

static int thumbprint_print(gnutls_x509_crt_t certificate, char *out)
{
    uint8_t digest[SHA256_BYTES];
    size_t size = sizeof digest;
    int code = gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, digest, &size);

    if (code >= 0)
        text_hex_encode(digest, size, out);
    return code;
}

static bool file_keep(struct simulated_certificate *out, const struct certificate_pem *pem)
{
    int file = memfd_create("certificate", MFD_CLOEXEC);

    if (file < 0)
        return false;
    out->file = file;
    snprintf(out->path, sizeof out->path, "/proc/self/fd/%d", file);
    return write(file, pem->key.data, pem->key.size) == (ssize_t)pem->key.size &&
           write(file, pem->certificate.data, pem->certificate.size) == (ssize_t)pem->certificate.size;
}

enum status simulated_certificate_make(const char *common_name, int64_t from_s, int64_t until_s, struct simulated_certificate *out,
                                       struct problem *why)
{
    struct certificate_pem pem = {{NULL, 0}, {NULL, 0}};
    struct certificate_pair pair;
    enum status status = STATUS_OK;

    *out = (struct simulated_certificate){0};
    int code = certificate_pair_begin(&pair, common_name, from_s, until_s);
    if (code >= 0)
        code = gnutls_x509_crt_sign2(pair.certificate, pair.certificate, pair.key, GNUTLS_DIG_SHA256, 0);
    if (code >= 0)
        code = thumbprint_print(pair.certificate, out->thumbprint);
    if (code >= 0)
        code = certificate_pair_print(&pair, &pem);
    if (code < 0)
        status = problem_set(why, STATUS_FAULT, "no certificate for %s can be made: %s", common_name, gnutls_strerror(code));
    else if (!file_keep(out, &pem))
        status = problem_set(why, STATUS_FAULT, "the certificate for %s cannot be kept in memory", common_name);
    certificate_pem_done(&pem);
    certificate_pair_done(&pair);
    return status;
}

void simulated_certificate_done(struct simulated_certificate *certificate)
{
    if (certificate->file)
        close(certificate->file);
    certificate->file = 0;
}
