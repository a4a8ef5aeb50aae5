#include "ingest/token_cache.h"

#include <pthread.h>
#include <stdlib.h>

#define LOCKS 64
#define WAYS 4 /* places that one digest may have */

struct way {
    uint8_t digest[SECRET_DIGEST_BYTES];
    int64_t valid_until_s; /* 0: empty */
};

struct token_cache {
    size_t mask; /* sets - 1 */
    pthread_mutex_t locks[LOCKS];
    struct way (*sets)[WAYS];
};

static size_t set_of(const struct token_cache *cache, const uint8_t *digest);

struct token_cache *token_cache_new(size_t entries_max)
{
    struct token_cache *cache = calloc(1, sizeof *cache);
    size_t sets = 1;

    while (sets * WAYS < entries_max)
        sets *= 2;
    if (!cache || !(cache->sets = calloc(sets, sizeof *cache->sets)))
        abort();
    cache->mask = sets - 1;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&cache->locks[i], NULL);
    return cache;
}

void token_cache_free(struct token_cache *take_cache)
{
    if (!take_cache)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&take_cache->locks[i]);
    free(take_cache->sets);
    free(take_cache);
}

bool token_cache_has(struct token_cache *cache, const uint8_t digest[SECRET_DIGEST_BYTES], int64_t now_s)
{
    size_t set = set_of(cache, digest);
    bool found = false;

    pthread_mutex_lock(&cache->locks[set % LOCKS]);
    for (size_t i = 0; i < WAYS && !found; i++) {
        const struct way *way = &cache->sets[set][i];
        found = way->valid_until_s >= now_s && memcmp(way->digest, digest, sizeof way->digest) == 0;
    }
    pthread_mutex_unlock(&cache->locks[set % LOCKS]);
    return found;
}

void token_cache_add(struct token_cache *cache, const uint8_t digest[SECRET_DIGEST_BYTES], int64_t valid_until_s)
{
    size_t set = set_of(cache, digest);

    pthread_mutex_lock(&cache->locks[set % LOCKS]);
    struct way *victim = &cache->sets[set][0];
    for (size_t i = 0; i < WAYS; i++) {
        struct way *way = &cache->sets[set][i];
        if (memcmp(way->digest, digest, sizeof way->digest) == 0) {
            victim = way;
            break;
        }
        if (way->valid_until_s < victim->valid_until_s)
            victim = way;
    }
    memcpy(victim->digest, digest, sizeof victim->digest);
    victim->valid_until_s = valid_until_s;
    pthread_mutex_unlock(&cache->locks[set % LOCKS]);
}

static size_t set_of(const struct token_cache *cache, const uint8_t *digest)
{
    size_t word;

    memcpy(&word, digest, sizeof word);
    return word & cache->mask;
}
