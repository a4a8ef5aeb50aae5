#include "tests/support/device_token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/secret.h"

size_t device_token_make(const char *resource, const uint8_t *key, size_t key_count, int64_t expires_at_s,
                         char out[DEVICE_TOKEN_SIZE])
{
    uint8_t signature[SECRET_HMAC_BYTES];
    char message[DEVICE_TOKEN_SIZE], base64[TEXT_BASE64_SIZE(SECRET_HMAC_BYTES)], escaped[3 * sizeof base64];
    size_t count = 0;

    int length = snprintf(message, sizeof message, "%s\n%" PRId64, resource, expires_at_s);
    if (length < 0 || (size_t)length >= sizeof message)
        abort();
    secret_hmac_sha256(key, key_count, (struct text){message, (size_t)length}, signature);
    text_base64_encode(signature, sizeof signature, base64);
    for (const char *c = base64; *c; c++)
        count += (size_t)snprintf(escaped + count, sizeof escaped - count,
                                  *c == '+' || *c == '/' || *c == '=' ? "%%%02x" : "%c", (unsigned char)*c);
    length = snprintf(out, DEVICE_TOKEN_SIZE, "SharedAccessSignature sr=%s&sig=%s&se=%" PRId64, resource, escaped,
                      expires_at_s);
    if (length < 0 || length >= DEVICE_TOKEN_SIZE)
        abort();
    return (size_t)length;
}
