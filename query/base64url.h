#ifndef PICKET_QUERY_BASE64URL_H
#define PICKET_QUERY_BASE64URL_H

#include "runtime/text.h"

/* base64url without padding (RFC 4648 §5): tokens and cursors travel in URLs and headers as they are. */
#define BASE64URL_SIZE(n) (((n) + 2) / 3 * 4 + 1)

/* Writes a terminated string; `out` needs BASE64URL_SIZE(count). */
void base64url_encode(const uint8_t *bytes, size_t count, char *out);
/* False when malformed or longer than `out_size`. */
bool base64url_decode(struct text encoded, uint8_t *out, size_t out_size, size_t *out_count);

#endif
