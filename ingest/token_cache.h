#ifndef PICKET_INGEST_TOKEN_CACHE_H
#define PICKET_INGEST_TOKEN_CACHE_H

#include "runtime/secret.h"

/* Tokens that were verified, by a keyed digest of the token and everything it was verified for (the key's generation
 * included, so that a changed key needs no clean-up here). Bounded; the entry that expires first makes room. Any
 * thread. */
struct token_cache;

struct token_cache *token_cache_new(size_t entries_max); /* rounded up to a power of two */
void token_cache_free(struct token_cache *take_cache);
bool token_cache_has(struct token_cache *cache, const uint8_t digest[SECRET_DIGEST_BYTES], int64_t now_s);
void token_cache_add(struct token_cache *cache, const uint8_t digest[SECRET_DIGEST_BYTES], int64_t valid_until_s);

#endif
