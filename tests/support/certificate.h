#ifndef PICKET_TESTS_CERTIFICATE_H
#define PICKET_TESTS_CERTIFICATE_H

/* A self-signed ECDSA certificate for "localhost" and its key, as PEM files in a temporary folder. Aborts when that
 * cannot be had. */
struct certificate {
    char folder[32], certificate_file[64], key_file[64];
};

void certificate_make(struct certificate *out);
void certificate_remove(const struct certificate *certificate);

#endif
