#ifndef PICKET_TESTS_SUPPORT_DEVICE_TOKEN_H
#define PICKET_TESTS_SUPPORT_DEVICE_TOKEN_H

#include "runtime/text.h"

#define DEVICE_TOKEN_SIZE 1024

/* What a device's SDK does: signs `resource` as it is given (escape it before, or not) and writes
 * "SharedAccessSignature sr=…&sig=…&se=…", terminated. Returns its length. Aborts when it does not fit. */
size_t device_token_make(const char *resource, const uint8_t *key, size_t key_count, int64_t expires_at_s,
                         char out[DEVICE_TOKEN_SIZE]);

#endif
