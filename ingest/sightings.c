#include "ingest/sightings.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 64
#define ENTRIES_MIN 64
#define ENTRIES_MAX (SIGHTINGS_MAX / SHARDS)
#define ADDRESS_BYTES 16 /* IPv4 is mapped into IPv6 */

struct entry {
    uint64_t hash; /* of the identity; 0: free. Of two identities with one hash the later is taken for the earlier */
    uint8_t last[ADDRESS_BYTES], previous[ADDRESS_BYTES];
    uint32_t seen_s, switched_s, first_return_s, told_s; /* from 1; 0: never */
    uint32_t returns;
};

struct shard {
    pthread_mutex_t lock;
    struct entry *entries; /* open addressing, a power of two, three quarters full at most */
    size_t room, count;
};

struct sightings {
    struct shard shards[SHARDS];
};

static struct entry *entry_find(struct shard *shard, uint64_t hash, uint32_t now_s);
static void shard_make_room(struct shard *shard, uint32_t now_s);
static bool goes_back_and_forth(struct entry *entry, const uint8_t address[ADDRESS_BYTES], uint32_t now_s);
static bool address_read(const char *text, uint8_t out[ADDRESS_BYTES]);
static void address_print(const uint8_t address[ADDRESS_BYTES], char out[INET6_ADDRSTRLEN]);

struct sightings *sightings_new(void)
{
    struct sightings *sightings = calloc(1, sizeof *sightings);

    if (!sightings)
        abort();
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&sightings->shards[i].lock, NULL);
    return sightings;
}

void sightings_free(struct sightings *take_sightings)
{
    for (size_t i = 0; take_sightings && i < SHARDS; i++) {
        pthread_mutex_destroy(&take_sightings->shards[i].lock);
        free(take_sightings->shards[i].entries);
    }
    free(take_sightings);
}

bool sightings_note(struct sightings *sightings, const struct identity *identity, const char *peer, int64_t now_s,
                    struct sighting_clone *out)
{
    uint64_t hash = identity_hash(identity);
    struct shard *shard = &sightings->shards[hash % SHARDS];
    uint8_t address[ADDRESS_BYTES];

    if (!address_read(peer, address))
        return false;
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash ? hash : 1, (uint32_t)now_s + 1);
    bool clone = goes_back_and_forth(entry, address, (uint32_t)now_s + 1);
    if (clone) {
        address_print(entry->last, out->addresses[0]);
        address_print(entry->previous, out->addresses[1]);
        out->returns = entry->returns;
        entry->returns = 0;
        entry->told_s = (uint32_t)now_s + 1;
    }
    pthread_mutex_unlock(&shard->lock);
    return clone;
}

/* Notes the address; true when it is time to say that it alternates. */
static bool goes_back_and_forth(struct entry *entry, const uint8_t address[ADDRESS_BYTES], uint32_t now_s)
{
    bool is_new = !entry->seen_s, returns;

    entry->seen_s = now_s;
    if (is_new) {
        memcpy(entry->last, address, ADDRESS_BYTES);
        return false;
    }
    if (memcmp(entry->last, address, ADDRESS_BYTES) == 0)
        return false;
    returns = entry->switched_s && now_s - entry->switched_s <= SIGHTINGS_WINDOW_S &&
              memcmp(entry->previous, address, ADDRESS_BYTES) == 0;
    memcpy(entry->previous, entry->last, ADDRESS_BYTES);
    memcpy(entry->last, address, ADDRESS_BYTES);
    entry->switched_s = now_s;
    if (!returns)
        return false;
    if (entry->returns < SIGHTINGS_RETURNS_MIN && now_s - entry->first_return_s > SIGHTINGS_WINDOW_S)
        entry->returns = 0;
    if (!entry->returns)
        entry->first_return_s = now_s;
    entry->returns++;
    return entry->returns >= SIGHTINGS_RETURNS_MIN && (!entry->told_s || now_s - entry->told_s >= SIGHTINGS_WINDOW_S);
}

/* The slot of that hash, made where there is none. */
static struct entry *entry_find(struct shard *shard, uint64_t hash, uint32_t now_s)
{
    if (4 * (shard->count + 1) > 3 * shard->room)
        shard_make_room(shard, now_s);
    /* The low bits chose the shard. */
    for (size_t slot = (size_t)(hash / SHARDS) & (shard->room - 1);; slot = (slot + 1) & (shard->room - 1)) {
        struct entry *entry = &shard->entries[slot];
        if (entry->hash == hash)
            return entry;
        if (entry->hash)
            continue;
        entry->hash = hash;
        shard->count++;
        return entry;
    }
}

/* Twice as many; where there may be no more, those of this window stay, and nobody where that is no help. */
static void shard_make_room(struct shard *shard, uint32_t now_s)
{
    size_t room = shard->room ? 2 * shard->room : ENTRIES_MIN;
    struct entry *before = shard->entries;
    size_t before_room = shard->room, kept = 0;
    bool forget = room > ENTRIES_MAX;

    if (forget)
        room = ENTRIES_MAX;
    for (size_t i = 0; forget && i < before_room; i++)
        kept += before[i].hash && now_s - before[i].seen_s <= SIGHTINGS_WINDOW_S;
    shard->entries = calloc(room, sizeof *shard->entries);
    if (!shard->entries)
        abort();
    shard->room = room;
    shard->count = 0;
    for (size_t i = 0; i < before_room; i++) {
        if (!before[i].hash || (forget && (2 * kept > room || now_s - before[i].seen_s > SIGHTINGS_WINDOW_S)))
            continue;
        *entry_find(shard, before[i].hash, now_s) = before[i];
    }
    free(before);
}

static bool address_read(const char *text, uint8_t out[ADDRESS_BYTES])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(out, mapped, sizeof mapped);
    return inet_pton(AF_INET, text, out + sizeof mapped) == 1 || inet_pton(AF_INET6, text, out) == 1;
}

static void address_print(const uint8_t address[ADDRESS_BYTES], char out[INET6_ADDRSTRLEN])
{
    struct in6_addr whole;

    memcpy(&whole, address, sizeof whole);
    if (IN6_IS_ADDR_V4MAPPED(&whole))
        inet_ntop(AF_INET, address + 12, out, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, address, out, INET6_ADDRSTRLEN);
}
