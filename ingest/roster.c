#include "ingest/roster.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/secret.h"

#define SHARDS 64         /* more than threads, so that two of them seldom meet */
#define SLOTS_FIRST 16    /* a power of two, as every size of a table */
#define LOAD_NUMERATOR 3  /* a table grows when it is 3/4 full */
#define LOAD_DENOMINATOR 4

/* One allocation per identity: this, then device id, module id, primary and secondary key. Two million of them have to
 * fit into memory, so nothing here is wider than it must be. */
struct entry {
    uint64_t hash;
    uint64_t generation;
    int64_t bytes_per_second;
    int32_t messages_per_second;
    uint32_t workspace;
    uint32_t round; /* the reading of everything that saw it last */
    uint8_t device_count, module_count;
    uint8_t primary_count, secondary_count;
    uint8_t credential;
    bool enabled;
    char bytes[];
};

/* Open addressing with linear probing; removing shifts back, so there are no tombstones and a lookup that finds nothing
 * ends at the first empty slot. */
struct shard {
    _Alignas(64) pthread_rwlock_t lock;
    struct entry **slots;
    size_t mask, count; /* slots are mask + 1, or none */
};

struct roster {
    size_t entries_max;
    _Atomic size_t count;
    _Atomic uint64_t changes;
    _Atomic bool loaded;
    uint64_t generations; /* given out so far; loader only */
    uint32_t round;
    struct shard shards[SHARDS];
    struct authorities *authorities;
    pthread_rwlock_t hosts_lock;
    struct roster_host *hosts; /* sorted by name, then workspace; the names lie behind the array */
    size_t host_count;
};

static struct shard *shard_of(struct roster *roster, uint64_t hash);
static size_t slot_find(const struct shard *shard, uint64_t hash, const struct identity *identity);
static void shard_grow(struct shard *shard);
static void slot_empty(struct shard *shard, size_t slot);
static struct entry *entry_new(uint64_t hash, const struct identity *identity, const struct roster_entry *entry,
                               const struct roster_keys *keys);
static void entry_free(struct entry *take_entry);
static size_t entry_size(const struct entry *entry);
static struct identity entry_identity(const struct entry *entry);
static bool same_credential(const struct entry *a, const struct entry *b);
static int host_compare(const void *a, const void *b);

struct roster *roster_new(size_t entries_max)
{
    struct roster *roster = aligned_alloc(64, (sizeof *roster + 63) / 64 * 64);

    if (!roster)
        abort();
    memset(roster, 0, sizeof *roster);
    roster->entries_max = entries_max;
    roster->authorities = authorities_new();
    for (size_t i = 0; i < SHARDS; i++)
        pthread_rwlock_init(&roster->shards[i].lock, NULL);
    pthread_rwlock_init(&roster->hosts_lock, NULL);
    return roster;
}

void roster_free(struct roster *take_roster)
{
    if (!take_roster)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &take_roster->shards[i];
        for (size_t slot = 0; shard->slots && slot <= shard->mask; slot++)
            entry_free(shard->slots[slot]);
        free(shard->slots);
        pthread_rwlock_destroy(&shard->lock);
    }
    pthread_rwlock_destroy(&take_roster->hosts_lock);
    authorities_free(take_roster->authorities);
    free(take_roster->hosts);
    free(take_roster);
}

bool roster_loaded(const struct roster *roster)
{
    return atomic_load_explicit(&roster->loaded, memory_order_acquire);
}

size_t roster_count(const struct roster *roster)
{
    return atomic_load_explicit(&roster->count, memory_order_relaxed);
}

uint64_t roster_changes(const struct roster *roster)
{
    return atomic_load(&roster->changes) + authorities_changes(roster->authorities);
}

struct authorities *roster_authorities(const struct roster *roster)
{
    return roster->authorities;
}

bool roster_find(struct roster *roster, const struct identity *identity, struct roster_entry *out)
{
    uint64_t hash = identity_hash(identity);
    struct shard *shard = shard_of(roster, hash);
    bool found = false;

    pthread_rwlock_rdlock(&shard->lock);
    size_t slot = slot_find(shard, hash, identity);
    if (shard->slots && shard->slots[slot]) {
        const struct entry *entry = shard->slots[slot];
        *out = (struct roster_entry){entry->enabled, (enum roster_credential)entry->credential, entry->generation,
                                     entry->messages_per_second, entry->bytes_per_second};
        found = true;
    }
    pthread_rwlock_unlock(&shard->lock);
    return found;
}

bool roster_keys(struct roster *roster, const struct identity *identity, uint64_t generation, struct roster_keys *out)
{
    uint64_t hash = identity_hash(identity);
    struct shard *shard = shard_of(roster, hash);
    bool found = false;

    pthread_rwlock_rdlock(&shard->lock);
    size_t slot = slot_find(shard, hash, identity);
    const struct entry *entry = shard->slots ? shard->slots[slot] : NULL;
    if (entry && entry->generation == generation) {
        const char *keys = entry->bytes + entry->device_count + entry->module_count;
        out->primary_count = entry->primary_count;
        out->secondary_count = entry->secondary_count;
        memcpy(out->primary, keys, entry->primary_count);
        memcpy(out->secondary, keys + entry->primary_count, entry->secondary_count);
        found = true;
    }
    pthread_rwlock_unlock(&shard->lock);
    return found;
}

bool roster_workspace_of_host(struct roster *roster, struct text host, struct roster_workspace *out)
{
    char lower[PICKET_HOST_MAX];
    bool found = false;

    if (host.count > sizeof lower)
        host.count = 0; /* no workspace can name it */
    for (size_t i = 0; i < host.count; i++)
        lower[i] = (char)(host.bytes[i] >= 'A' && host.bytes[i] <= 'Z' ? host.bytes[i] | 0x20 : host.bytes[i]);
    struct text name = {lower, host.count};
    pthread_rwlock_rdlock(&roster->hosts_lock);
    size_t low = 0, high = roster->host_count;
    while (low < high) { /* the first that is not smaller than the name */
        size_t middle = low + (high - low) / 2;
        struct roster_host wanted = {name, {0, 0, 0}};
        if (host_compare(&roster->hosts[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == roster->host_count || !text_equal(roster->hosts[low].name, name))
        low = 0; /* those that name none sort first */
    if (roster->host_count && (low || !roster->hosts[0].name.count || text_equal(roster->hosts[0].name, name))) {
        *out = roster->hosts[low].workspace;
        found = true;
    }
    pthread_rwlock_unlock(&roster->hosts_lock);
    return found;
}

bool roster_workspace_find(struct roster *roster, uint32_t workspace, struct roster_workspace *out)
{
    bool found = false;

    pthread_rwlock_rdlock(&roster->hosts_lock);
    for (size_t i = 0; i < roster->host_count && !found; i++) {
        found = roster->hosts[i].workspace.workspace == workspace;
        if (found)
            *out = roster->hosts[i].workspace;
    }
    pthread_rwlock_unlock(&roster->hosts_lock);
    return found;
}

enum status roster_put(struct roster *roster, const struct identity *identity, const struct roster_entry *given,
                       const struct roster_keys *keys, struct problem *why)
{
    uint64_t hash = identity_hash(identity);
    struct shard *shard = shard_of(roster, hash);
    struct entry *entry = entry_new(hash, identity, given, keys), *before = NULL;

    /* Only this thread writes, so looking without the lock is safe. */
    if (shard->slots)
        before = shard->slots[slot_find(shard, hash, identity)];
    if (!before && roster_count(roster) >= roster->entries_max) {
        entry_free(entry);
        return problem_set(why, STATUS_REJECT,
                           "more than %zu identities are enrolled; roster_max has to be raised, and memory with it",
                           roster->entries_max);
    }
    entry->round = roster->round;
    entry->generation = before && same_credential(before, entry) ? before->generation : ++roster->generations;
    pthread_rwlock_wrlock(&shard->lock);
    if (!before && (!shard->slots || (shard->count + 1) * LOAD_DENOMINATOR > (shard->mask + 1) * LOAD_NUMERATOR))
        shard_grow(shard);
    shard->slots[slot_find(shard, hash, identity)] = entry;
    shard->count += !before;
    pthread_rwlock_unlock(&shard->lock);
    if (!before)
        atomic_fetch_add_explicit(&roster->count, 1, memory_order_relaxed);
    atomic_fetch_add(&roster->changes, 1);
    entry_free(before);
    return STATUS_OK;
}

void roster_remove(struct roster *roster, const struct identity *identity)
{
    uint64_t hash = identity_hash(identity);
    struct shard *shard = shard_of(roster, hash);

    if (!shard->slots)
        return;
    pthread_rwlock_wrlock(&shard->lock);
    size_t slot = slot_find(shard, hash, identity);
    struct entry *entry = shard->slots[slot];
    if (entry)
        slot_empty(shard, slot);
    pthread_rwlock_unlock(&shard->lock);
    if (entry)
        atomic_fetch_sub_explicit(&roster->count, 1, memory_order_relaxed);
    atomic_fetch_add(&roster->changes, 1);
    entry_free(entry);
}

void roster_round_begin(struct roster *roster)
{
    roster->round++;
}

void roster_round_end(struct roster *roster)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &roster->shards[i];
        for (size_t slot = 0; shard->slots && slot <= shard->mask;) {
            struct entry *entry = shard->slots[slot];
            if (!entry || entry->round == roster->round) {
                slot++;
                continue;
            }
            pthread_rwlock_wrlock(&shard->lock);
            slot_empty(shard, slot); /* may bring another entry here, so look again */
            pthread_rwlock_unlock(&shard->lock);
            atomic_fetch_sub_explicit(&roster->count, 1, memory_order_relaxed);
            atomic_fetch_add(&roster->changes, 1);
            entry_free(entry);
        }
    }
}

static bool host_same(const struct roster_host *a, const struct roster_host *b)
{
    return text_equal(a->name, b->name) && a->workspace.workspace == b->workspace.workspace &&
           a->workspace.messages_per_second == b->workspace.messages_per_second &&
           a->workspace.bytes_per_second == b->workspace.bytes_per_second;
}

void roster_workspaces_set(struct roster *roster, const struct roster_host *hosts, size_t count)
{
    size_t size = count * sizeof *hosts;
    for (size_t i = 0; i < count; i++)
        size += hosts[i].name.count;
    struct roster_host *copy = malloc(size + 1);
    if (!copy)
        abort();
    char *names = (char *)&copy[count];
    for (size_t i = 0; i < count; i++) {
        copy[i] = hosts[i];
        if (hosts[i].name.count)
            memcpy(names, hosts[i].name.bytes, hosts[i].name.count);
        copy[i].name.bytes = names;
        names += hosts[i].name.count;
    }
    qsort(copy, count, sizeof *copy, host_compare);
    pthread_rwlock_wrlock(&roster->hosts_lock);
    bool same = roster->host_count == count;
    for (size_t i = 0; same && i < count; i++)
        same = host_same(&roster->hosts[i], &copy[i]);
    struct roster_host *before = roster->hosts;
    roster->hosts = copy;
    roster->host_count = count;
    pthread_rwlock_unlock(&roster->hosts_lock);
    free(before);
    if (!same)
        atomic_fetch_add(&roster->changes, 1);
}

void roster_set_loaded(struct roster *roster)
{
    atomic_store_explicit(&roster->loaded, true, memory_order_release);
}

static struct shard *shard_of(struct roster *roster, uint64_t hash)
{
    return &roster->shards[hash >> 58]; /* slots go by the low bits */
}

/* Where the identity is, or the empty slot where it would go. 0 when the table has no slots. */
static size_t slot_find(const struct shard *shard, uint64_t hash, const struct identity *identity)
{
    size_t slot = hash & shard->mask;

    for (; shard->slots && shard->slots[slot]; slot = (slot + 1) & shard->mask) {
        const struct entry *entry = shard->slots[slot];
        if (entry->hash != hash)
            continue;
        struct identity there = entry_identity(entry);
        if (identity_equal(&there, identity))
            break;
    }
    return slot;
}

static void shard_grow(struct shard *shard)
{
    size_t room = shard->slots ? 2 * (shard->mask + 1) : SLOTS_FIRST;
    struct entry **slots = calloc(room, sizeof *slots);

    if (!slots)
        abort();
    for (size_t i = 0; shard->slots && i <= shard->mask; i++) {
        struct entry *entry = shard->slots[i];
        if (!entry)
            continue;
        size_t slot = entry->hash & (room - 1);
        while (slots[slot])
            slot = (slot + 1) & (room - 1);
        slots[slot] = entry;
    }
    free(shard->slots);
    shard->slots = slots;
    shard->mask = room - 1;
}

/* Moves later entries of the same run back, where their own place allows it. */
static void slot_empty(struct shard *shard, size_t slot)
{
    size_t hole = slot;

    assert(shard->slots[slot]);
    for (size_t at = (slot + 1) & shard->mask; shard->slots[at]; at = (at + 1) & shard->mask) {
        size_t home = shard->slots[at]->hash & shard->mask;
        if (((at - home) & shard->mask) < ((at - hole) & shard->mask))
            continue; /* it would stand before its home */
        shard->slots[hole] = shard->slots[at];
        hole = at;
    }
    shard->slots[hole] = NULL;
    shard->count--;
}

static struct entry *entry_new(uint64_t hash, const struct identity *identity, const struct roster_entry *given,
                               const struct roster_keys *keys)
{
    size_t size = sizeof(struct entry) + identity->device.count + identity->module.count + keys->primary_count +
                  keys->secondary_count;
    struct entry *entry = malloc(size);

    assert(identity->device.count <= PICKET_ID_MAX && identity->module.count <= PICKET_ID_MAX);
    assert(keys->primary_count <= PICKET_KEY_MAX && keys->secondary_count <= PICKET_KEY_MAX);
    if (!entry)
        abort();
    *entry = (struct entry){.hash = hash,
                            .bytes_per_second = given->bytes_per_second,
                            .messages_per_second = (int32_t)given->messages_per_second,
                            .workspace = identity->workspace,
                            .device_count = (uint8_t)identity->device.count,
                            .module_count = (uint8_t)identity->module.count,
                            .primary_count = (uint8_t)keys->primary_count,
                            .secondary_count = (uint8_t)keys->secondary_count,
                            .credential = (uint8_t)given->credential,
                            .enabled = given->enabled};
    char *at = entry->bytes;
    memcpy(at, identity->device.bytes, identity->device.count);
    at += identity->device.count;
    if (identity->module.count)
        memcpy(at, identity->module.bytes, identity->module.count);
    at += identity->module.count;
    memcpy(at, keys->primary, keys->primary_count);
    memcpy(at + keys->primary_count, keys->secondary, keys->secondary_count);
    return entry;
}

static void entry_free(struct entry *take_entry)
{
    if (!take_entry)
        return;
    secret_wipe(take_entry, entry_size(take_entry));
    free(take_entry);
}

static size_t entry_size(const struct entry *entry)
{
    return sizeof *entry + entry->device_count + entry->module_count + entry->primary_count + entry->secondary_count;
}

static struct identity entry_identity(const struct entry *entry)
{
    return (struct identity){entry->workspace,
                             {entry->bytes, entry->device_count},
                             {entry->bytes + entry->device_count, entry->module_count}};
}

static bool same_credential(const struct entry *a, const struct entry *b)
{
    return a->credential == b->credential && a->primary_count == b->primary_count &&
           a->secondary_count == b->secondary_count &&
           memcmp(a->bytes + a->device_count + a->module_count, b->bytes + b->device_count + b->module_count,
                  (size_t)a->primary_count + a->secondary_count) == 0;
}

static int host_compare(const void *a, const void *b)
{
    const struct roster_host *left = a, *right = b;
    size_t shorter = left->name.count < right->name.count ? left->name.count : right->name.count;
    int order = shorter ? memcmp(left->name.bytes, right->name.bytes, shorter) : 0;

    if (order)
        return order;
    if (left->name.count != right->name.count)
        return left->name.count < right->name.count ? -1 : 1;
    return (left->workspace.workspace > right->workspace.workspace) -
           (left->workspace.workspace < right->workspace.workspace);
}
