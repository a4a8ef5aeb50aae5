#ifndef PICKET_RUNTIME_SECRET_H
#define PICKET_RUNTIME_SECRET_H

#include "runtime/status.h"
#include "runtime/text.h"

#define SECRET_MASTER_KEY_BYTES 32
#define SECRET_SEALED_BYTES(n) ((n) + 24 + 16) /* nonce and tag of crypto_secretbox */
#define SECRET_HMAC_BYTES 32
#define SECRET_DIGEST_BYTES 16 /* BLAKE2b-128, as message keys and event ids */

struct secret_master {
    uint8_t key[SECRET_MASTER_KEY_BYTES];
};

/* Call once per program before anything else here: initialises libsodium. */
MUST_CHECK enum status secret_init(struct problem *why);

/* The master key file is 64 hex digits and a newline, readable by its owner only.
 * load: STATUS_REJECT when missing, malformed, or open to others. create: writes a fresh one (0600,
 * O_EXCL) and loads it. */
MUST_CHECK enum status secret_master_load(const char *path, struct secret_master *out, struct problem *why);
MUST_CHECK enum status secret_master_create(const char *path, struct secret_master *out, struct problem *why);

/* libsodium secretbox: nonce, then box. `sealed` needs SECRET_SEALED_BYTES(count). */
void secret_seal(const struct secret_master *master, const uint8_t *plain, size_t count, uint8_t *sealed);
/* False when the bytes were not sealed with this key. `plain` needs sealed_count - 40 bytes. */
bool secret_open(const struct secret_master *master, const uint8_t *sealed, size_t sealed_count, uint8_t *plain);

void secret_random(void *out, size_t count);
bool secret_equal(const void *a, const void *b, size_t count); /* constant time */
void secret_wipe(void *bytes, size_t count);
void secret_hmac_sha256(const uint8_t *key, size_t key_count, struct text message, uint8_t out[SECRET_HMAC_BYTES]);

/* BLAKE2b-128 over parts, each preceded by its length (64-bit little endian) so that boundaries count. `key` may be NULL. */
void secret_digest(const struct text *parts, size_t count, const struct secret_master *key,
                   uint8_t out[SECRET_DIGEST_BYTES]);

#endif
