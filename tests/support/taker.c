#include "tests/support/taker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/arena.h"
#include "runtime/clock.h"

#define RECORDS_MAX 100000
#define WAIT_MS 20000

struct taker {
    struct bus_reader *reader;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum taker_mode mode;
    bool stopping;
    struct arena arena;
    struct bus_record *records[RECORDS_MAX]; /* each stays where it is */
    size_t count;
};

static void *taker_run(void *context);
static void batch_keep(struct taker *taker, const struct bus_batch *batch);
static bool batch_finish(struct taker *taker, struct bus_batch *batch);

static enum status from_start(void *context, int32_t partition, int64_t *next_offset, struct problem *why)
{
    (void)context;
    (void)partition;
    (void)why;
    *next_offset = 0;
    return STATUS_OK;
}

static void revoked(void *context, int32_t partition)
{
    (void)context;
    (void)partition;
}

static enum status no_gap(void *context, int32_t partition, int64_t expected, int64_t available, struct problem *why)
{
    (void)context;
    return problem_set(why, STATUS_FAULT, "partition %d has a gap from %lld to %lld", (int)partition,
                       (long long)expected, (long long)available);
}

struct taker *taker_open(struct bus *bus)
{
    static const struct bus_reader_hooks hooks = {NULL, from_start, revoked, no_gap};
    struct taker *taker = calloc(1, sizeof *taker);
    struct problem why;
    pthread_condattr_t attributes;

    if (!taker)
        abort();
    pthread_mutex_init(&taker->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&taker->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    arena_init(&taker->arena);
    if (bus_reader_open(bus, &hooks, &taker->reader, &why)) {
        fprintf(stderr, "taker: %s\n", why.text);
        abort();
    }
    if (pthread_create(&taker->thread, NULL, taker_run, taker))
        abort();
    return taker;
}

void taker_close(struct taker *take_taker)
{
    pthread_mutex_lock(&take_taker->lock);
    take_taker->stopping = true;
    pthread_cond_broadcast(&take_taker->changed);
    pthread_mutex_unlock(&take_taker->lock);
    bus_wake(take_taker->reader);
    pthread_join(take_taker->thread, NULL);
    bus_reader_close(take_taker->reader);
    arena_done(&take_taker->arena);
    pthread_cond_destroy(&take_taker->changed);
    pthread_mutex_destroy(&take_taker->lock);
    free(take_taker);
}

void taker_set(struct taker *taker, enum taker_mode mode)
{
    pthread_mutex_lock(&taker->lock);
    taker->mode = mode;
    pthread_cond_broadcast(&taker->changed);
    pthread_mutex_unlock(&taker->lock);
}

void taker_wait(struct taker *taker, size_t count)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};

    pthread_mutex_lock(&taker->lock);
    while (taker->count < count) {
        if (pthread_cond_timedwait(&taker->changed, &taker->lock, &until)) {
            fprintf(stderr, "taker: only %zu of %zu records came\n", taker->count, count);
            abort();
        }
    }
    pthread_mutex_unlock(&taker->lock);
}

size_t taker_count(struct taker *taker)
{
    pthread_mutex_lock(&taker->lock);
    size_t count = taker->count;
    pthread_mutex_unlock(&taker->lock);
    return count;
}

static const struct bus_record *record_at(struct taker *taker, size_t record)
{
    taker_wait(taker, record + 1);
    pthread_mutex_lock(&taker->lock);
    const struct bus_record *found = taker->records[record];
    pthread_mutex_unlock(&taker->lock);
    return found;
}

struct text taker_value(struct taker *taker, size_t record)
{
    return record_at(taker, record)->value;
}

struct text taker_key(struct taker *taker, size_t record)
{
    return record_at(taker, record)->key;
}

struct text taker_header(struct taker *taker, size_t record, const char *name)
{
    const struct bus_record *found = record_at(taker, record);

    for (size_t i = 0; i < found->header_count; i++)
        if (text_equal(found->headers[i].name, text_of(name)))
            return found->headers[i].value;
    return TEXT_NONE;
}

static void *taker_run(void *context)
{
    static const struct bus_take_limits limits = {1000, 16 << 20, 200, 0};
    struct taker *taker = context;
    struct problem why;

    for (;;) {
        struct bus_batch batch;
        pthread_mutex_lock(&taker->lock);
        bool stopping = taker->stopping;
        pthread_mutex_unlock(&taker->lock);
        if (stopping)
            return NULL;
        if (bus_take(taker->reader, &limits, &batch, &why)) {
            fprintf(stderr, "taker: %s\n", why.text);
            abort();
        }
        if (!batch.count)
            continue;
        batch_keep(taker, &batch);
        if (!batch_finish(taker, &batch))
            return NULL;
    }
}

static void batch_keep(struct taker *taker, const struct bus_batch *batch)
{
    pthread_mutex_lock(&taker->lock);
    for (size_t i = 0; i < batch->count && taker->count < RECORDS_MAX; i++) {
        const struct bus_record *from = &batch->records[i];
        struct bus_record *to = ARENA_NEW(&taker->arena, struct bus_record);
        struct bus_header *headers = ARENA_ARRAY(&taker->arena, struct bus_header, from->header_count);
        *to = *from;
        to->key = arena_text(&taker->arena, from->key);
        to->value = arena_text(&taker->arena, from->value);
        for (size_t h = 0; h < from->header_count; h++)
            headers[h] = (struct bus_header){arena_text(&taker->arena, from->headers[h].name),
                                             arena_text(&taker->arena, from->headers[h].value)};
        to->headers = headers;
        taker->records[taker->count++] = to;
    }
    pthread_cond_broadcast(&taker->changed);
    pthread_mutex_unlock(&taker->lock);
}

/* False: the test ends, and the batch is left to bus_reader_close(). */
static bool batch_finish(struct taker *taker, struct bus_batch *batch)
{
    struct problem why;

    pthread_mutex_lock(&taker->lock);
    while (taker->mode == TAKER_HOLD && !taker->stopping)
        pthread_cond_wait(&taker->changed, &taker->lock);
    enum taker_mode mode = taker->mode;
    if (mode == TAKER_FAILED_ONCE)
        taker->mode = TAKER_DONE;
    pthread_mutex_unlock(&taker->lock);
    if (mode == TAKER_DONE) {
        bus_done(taker->reader, batch);
    } else if (mode == TAKER_FAILED || mode == TAKER_FAILED_ONCE) {
        problem_set(&why, STATUS_RETRY, "the database is away");
        bus_failed(taker->reader, batch, STATUS_RETRY, &why);
    }
    return mode != TAKER_HOLD;
}
