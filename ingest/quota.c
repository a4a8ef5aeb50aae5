#include "ingest/quota.h"

#include <pthread.h>
#include <stdlib.h>

#define LOCKS 64
#define SETS 16384 /* with WAYS: senders with a used budget that are known at once; 2 MB */
#define WAYS 4
#define US_PER_S 1000000
#define BURST_US ((int64_t)QUOTA_BURST_S * US_PER_S)

struct bucket {
    uint64_t hash; /* of the identity; 64 bits, so that two senders never share a budget in practice */
    int64_t messages_full_us, bytes_full_us; /* when full again; past: full */
};

struct quota {
    pthread_mutex_t locks[LOCKS]; /* of devices, by set */
    pthread_mutex_t workspaces_locks[LOCKS];
    struct bucket devices[SETS][WAYS];
    struct bucket workspaces[SETS / 16][WAYS];
};

struct claim {
    pthread_mutex_t *lock;
    struct bucket *bucket;
    const struct quota_limits *limits;
};

static struct claim claim_device(struct quota *quota, const struct identity *identity,
                                 const struct quota_limits *limits);
static struct claim claim_workspace(struct quota *quota, uint32_t workspace, const struct quota_limits *limits);
static int64_t wait_us(const struct claim *claim, int64_t now_us);
static void take(const struct claim *claim, int64_t messages, size_t bytes, int64_t now_us);

struct quota *quota_new(void)
{
    struct quota *quota = calloc(1, sizeof *quota);

    if (!quota)
        abort();
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&quota->locks[i], NULL);
        pthread_mutex_init(&quota->workspaces_locks[i], NULL);
    }
    return quota;
}

void quota_free(struct quota *take_quota)
{
    if (!take_quota)
        return;
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_destroy(&take_quota->locks[i]);
        pthread_mutex_destroy(&take_quota->workspaces_locks[i]);
    }
    free(take_quota);
}

unsigned quota_take(struct quota *quota, const struct identity *identity, const struct quota_limits *device,
                    const struct quota_limits *workspace, size_t bytes, int64_t now_us, bool *is_workspace)
{
    /* Locks are taken in this order everywhere. */
    struct claim of_device = claim_device(quota, identity, device);
    struct claim of_workspace = claim_workspace(quota, identity->workspace, workspace);
    int64_t device_us = wait_us(&of_device, now_us), workspace_us = wait_us(&of_workspace, now_us);
    int64_t longer_us = device_us > workspace_us ? device_us : workspace_us;

    *is_workspace = workspace_us > device_us;
    if (longer_us == 0) {
        take(&of_device, 1, bytes, now_us);
        take(&of_workspace, 1, bytes, now_us);
    }
    if (of_workspace.lock)
        pthread_mutex_unlock(of_workspace.lock);
    if (of_device.lock)
        pthread_mutex_unlock(of_device.lock);
    return (unsigned)((longer_us + US_PER_S - 1) / US_PER_S);
}

void quota_charge(struct quota *quota, const struct identity *identity, const struct quota_limits *device,
                  const struct quota_limits *workspace, size_t bytes, int64_t now_us)
{
    struct claim of_device = claim_device(quota, identity, device);
    struct claim of_workspace = claim_workspace(quota, identity->workspace, workspace);

    take(&of_device, 0, bytes, now_us);
    take(&of_workspace, 0, bytes, now_us);
    if (of_workspace.lock)
        pthread_mutex_unlock(of_workspace.lock);
    if (of_device.lock)
        pthread_mutex_unlock(of_device.lock);
}

/* The bucket of `hash`, or the one of its set that is nearest to full, made its own. */
static struct bucket *bucket_find(struct bucket set[WAYS], uint64_t hash)
{
    struct bucket *fullest = NULL;
    int64_t fullest_us = INT64_MAX;

    for (size_t i = 0; i < WAYS; i++) {
        struct bucket *bucket = &set[i];
        int64_t full_us = bucket->messages_full_us > bucket->bytes_full_us ? bucket->messages_full_us
                                                                           : bucket->bytes_full_us;
        if (bucket->hash == hash)
            return bucket;
        if (full_us < fullest_us || !fullest) {
            fullest = bucket;
            fullest_us = full_us;
        }
    }
    *fullest = (struct bucket){hash, 0, 0};
    return fullest;
}

static bool unlimited(const struct quota_limits *limits)
{
    return limits->messages_per_second <= 0 && limits->bytes_per_second <= 0;
}

static struct claim claim_device(struct quota *quota, const struct identity *identity,
                                 const struct quota_limits *limits)
{
    if (unlimited(limits))
        return (struct claim){NULL, NULL, limits};
    uint64_t hash = identity_hash(identity);
    pthread_mutex_t *lock = &quota->locks[hash % LOCKS];
    pthread_mutex_lock(lock);
    return (struct claim){lock, bucket_find(quota->devices[hash % SETS], hash), limits};
}

static struct claim claim_workspace(struct quota *quota, uint32_t workspace, const struct quota_limits *limits)
{
    if (unlimited(limits))
        return (struct claim){NULL, NULL, limits};
    pthread_mutex_t *lock = &quota->workspaces_locks[workspace % LOCKS];
    pthread_mutex_lock(lock);
    return (struct claim){lock, bucket_find(quota->workspaces[workspace % (SETS / 16)], workspace), limits};
}

static int64_t wait_us(const struct claim *claim, int64_t now_us)
{
    int64_t messages_us = 0, bytes_us = 0;

    if (!claim->bucket)
        return 0;
    /* One message more than full, and it would have to wait: so a burst is exactly QUOTA_BURST_S times the rate. */
    if (claim->limits->messages_per_second > 0)
        messages_us =
            claim->bucket->messages_full_us - now_us + US_PER_S / claim->limits->messages_per_second - BURST_US;
    if (claim->limits->bytes_per_second > 0)
        bytes_us = claim->bucket->bytes_full_us - now_us - BURST_US + 1;
    int64_t longer_us = messages_us > bytes_us ? messages_us : bytes_us;
    return longer_us > 0 ? longer_us : 0;
}

static int64_t moved(int64_t full_us, int64_t now_us, int64_t units, int64_t per_second)
{
    if (per_second <= 0 || units == 0)
        return full_us;
    return (full_us > now_us ? full_us : now_us) + units * US_PER_S / per_second;
}

static void take(const struct claim *claim, int64_t messages, size_t bytes, int64_t now_us)
{
    struct bucket *bucket = claim->bucket;

    if (!bucket)
        return;
    bucket->messages_full_us = moved(bucket->messages_full_us, now_us, messages, claim->limits->messages_per_second);
    bucket->bytes_full_us = moved(bucket->bytes_full_us, now_us, (int64_t)bytes, claim->limits->bytes_per_second);
}
