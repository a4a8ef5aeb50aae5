#include "ingest/presence.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/clock.h"

#define SHARDS 64
#define BUCKETS 1024 /* per shard: 65,536 chains in all */

/* Subscriptions of an identity that is away. */
struct parked {
    struct parked *next;
    uint64_t hash;
    int64_t until_ms;
    uint32_t wants, workspace;
    uint8_t device_count, module_count;
    char ids[];
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct presence_member *members[BUCKETS];
    struct parked *parked[BUCKETS];
};

struct presence {
    _Atomic size_t count, parked_count;
    struct shard shards[SHARDS];
};

static struct shard *shard_of(struct presence *presence, uint64_t hash);
static size_t bucket_of(uint64_t hash);
static struct presence_member **member_find(struct shard *shard, uint64_t hash, const struct identity *identity);
static uint32_t parked_take(struct presence *presence, struct shard *shard, const struct presence_member *member);
static void parked_put(struct presence *presence, struct shard *shard, const struct presence_member *member,
                       int64_t keep_ms);

struct presence *presence_new(void)
{
    struct presence *presence = aligned_alloc(64, (sizeof *presence + 63) / 64 * 64);

    if (!presence)
        abort();
    memset(presence, 0, sizeof *presence);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&presence->shards[i].lock, NULL);
    return presence;
}

void presence_free(struct presence *take_presence)
{
    if (!take_presence)
        return;
    assert(!presence_count(take_presence));
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t bucket = 0; bucket < BUCKETS; bucket++)
            for (struct parked *parked = take_presence->shards[i].parked[bucket], *next; parked; parked = next) {
                next = parked->next;
                free(parked);
            }
        pthread_mutex_destroy(&take_presence->shards[i].lock);
    }
    free(take_presence);
}

bool presence_enter(struct presence *presence, struct presence_member *member, bool resume, void *turned_out,
                    bool *turned)
{
    member->hash = identity_hash(&member->identity);
    member->wants = 0;
    struct shard *shard = shard_of(presence, member->hash);

    pthread_mutex_lock(&shard->lock);
    struct presence_member **place = member_find(shard, member->hash, &member->identity), *before = *place;
    uint32_t wants = parked_take(presence, shard, member);
    if (before) {
        wants = before->wants;
        *place = before->next;
        before->next = NULL;
        before->hear(before, turned_out);
    }
    *turned = before != NULL;
    if (resume)
        member->wants = wants;
    struct presence_member **bucket = &shard->members[bucket_of(member->hash)];
    member->next = *bucket;
    *bucket = member;
    pthread_mutex_unlock(&shard->lock);
    if (!before)
        atomic_fetch_add_explicit(&presence->count, 1, memory_order_relaxed);
    return member->wants != 0;
}

bool presence_leave(struct presence *presence, struct presence_member *member, int64_t keep_ms)
{
    struct shard *shard = shard_of(presence, member->hash);

    pthread_mutex_lock(&shard->lock);
    struct presence_member **place = &shard->members[bucket_of(member->hash)];
    while (*place && *place != member)
        place = &(*place)->next;
    bool here = *place != NULL;
    if (here) {
        *place = member->next;
        if (keep_ms > 0 && member->wants)
            parked_put(presence, shard, member, keep_ms);
    }
    pthread_mutex_unlock(&shard->lock);
    if (here)
        atomic_fetch_sub_explicit(&presence->count, 1, memory_order_relaxed);
    return here;
}

void presence_want(struct presence *presence, struct presence_member *member, uint32_t wants)
{
    struct shard *shard = shard_of(presence, member->hash);

    pthread_mutex_lock(&shard->lock);
    member->wants = wants;
    pthread_mutex_unlock(&shard->lock);
}

bool presence_here(struct presence *presence, const struct identity *identity, uint32_t bits)
{
    uint64_t hash = identity_hash(identity);
    struct shard *shard = shard_of(presence, hash);

    pthread_mutex_lock(&shard->lock);
    const struct presence_member *member = *member_find(shard, hash, identity);
    bool here = member && (!bits || member->wants & bits);
    pthread_mutex_unlock(&shard->lock);
    return here;
}

bool presence_tell(struct presence *presence, const struct identity *identity, uint32_t bits,
                   int64_t connected_before_us, void *note)
{
    uint64_t hash = identity_hash(identity);
    struct shard *shard = shard_of(presence, hash);

    pthread_mutex_lock(&shard->lock);
    struct presence_member *member = *member_find(shard, hash, identity);
    bool told = member && (!bits || member->wants & bits) && member->connected_at_us < connected_before_us;
    if (told)
        member->hear(member, note);
    pthread_mutex_unlock(&shard->lock);
    return told;
}

size_t presence_count(const struct presence *presence)
{
    return atomic_load_explicit(&presence->count, memory_order_relaxed);
}

static struct shard *shard_of(struct presence *presence, uint64_t hash)
{
    return &presence->shards[hash >> 58];
}

static size_t bucket_of(uint64_t hash)
{
    return hash % BUCKETS;
}

/* Where the pointer to it stands, or the end of its chain. */
static struct presence_member **member_find(struct shard *shard, uint64_t hash, const struct identity *identity)
{
    struct presence_member **place = &shard->members[bucket_of(hash)];

    while (*place && ((*place)->hash != hash || !identity_equal(&(*place)->identity, identity)))
        place = &(*place)->next;
    return place;
}

static bool parked_is(const struct parked *parked, const struct presence_member *member)
{
    struct identity identity = {parked->workspace,
                                {parked->ids, parked->device_count},
                                {parked->ids + parked->device_count, parked->module_count}};

    return parked->hash == member->hash && identity_equal(&identity, &member->identity);
}

/* What the identity left behind, 0 when nothing or too long ago. Those of the chain whose time is over go as well. */
static uint32_t parked_take(struct presence *presence, struct shard *shard, const struct presence_member *member)
{
    int64_t now_ms = clock_monotonic_ms();
    uint32_t wants = 0;

    for (struct parked **place = &shard->parked[bucket_of(member->hash)]; *place;) {
        struct parked *parked = *place;
        bool mine = parked_is(parked, member), over = parked->until_ms <= now_ms;
        if (mine && !over)
            wants = parked->wants;
        if (!mine && !over) {
            place = &parked->next;
            continue;
        }
        *place = parked->next;
        free(parked);
        atomic_fetch_sub_explicit(&presence->parked_count, 1, memory_order_relaxed);
    }
    return wants;
}

static void parked_put(struct presence *presence, struct shard *shard, const struct presence_member *member,
                       int64_t keep_ms)
{
    const struct identity *identity = &member->identity;

    (void)parked_take(presence, shard, member);
    if (atomic_load_explicit(&presence->parked_count, memory_order_relaxed) >= PRESENCE_PARKED_MAX)
        return; /* it will be told that there is no session, and subscribe again */
    struct parked *parked = malloc(sizeof *parked + identity->device.count + identity->module.count);
    if (!parked)
        abort();
    int64_t now_ms = clock_monotonic_ms();
    *parked = (struct parked){.next = shard->parked[bucket_of(member->hash)],
                              .hash = member->hash,
                              .until_ms = keep_ms < INT64_MAX - now_ms ? now_ms + keep_ms : INT64_MAX,
                              .wants = member->wants,
                              .workspace = identity->workspace,
                              .device_count = (uint8_t)identity->device.count,
                              .module_count = (uint8_t)identity->module.count};
    memcpy(parked->ids, identity->device.bytes, identity->device.count);
    if (identity->module.count)
        memcpy(parked->ids + identity->device.count, identity->module.bytes, identity->module.count);
    shard->parked[bucket_of(member->hash)] = parked;
    atomic_fetch_add_explicit(&presence->parked_count, 1, memory_order_relaxed);
}
