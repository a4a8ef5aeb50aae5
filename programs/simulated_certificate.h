#ifndef PICKET_PROGRAMS_SIMULATED_CERTIFICATE_H
#define PICKET_PROGRAMS_SIMULATED_CERTIFICATE_H

#include <stdint.h>

#include "runtime/status.h"

/* A certificate that signs itself, with its key, as a device shows it whose thumbprint is enrolled. Both are in memory
 * only, under a path of /proc for libraries that read files. */
struct simulated_certificate {
    int file; /* 0: none was made */
    char path[40];
    char thumbprint[65]; /* SHA-256, in hexadecimal digits */
};

/* Valid from and until these seconds since 1970. The caller ends it with simulated_certificate_done(), whatever this says. */
MUST_CHECK enum status simulated_certificate_make(const char *common_name, int64_t from_s, int64_t until_s,
                                                  struct simulated_certificate *out, struct problem *why);
void simulated_certificate_done(struct simulated_certificate *certificate);

#endif
