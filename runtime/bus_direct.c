#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/bus_driver.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#define SHARDS_MAX 64
#define SWEEP_TICK_MS_MAX 1000
#define SWEEP_TICK_MS_MIN 5

/* A record is one allocation: this, its headers, then the bytes of all its texts. */
struct direct_entry {
    struct direct_entry *next;
    int64_t expires_ms;
    size_t size; /* of the allocation: what counts against bus_queue_bytes */
    bus_sent sent;
    void *context;
    struct bus_record record;
    struct bus_header headers[];
};

struct direct_queue {
    struct direct_entry *head, **tail;
    size_t count, value_bytes;
};

struct direct_shard {
    struct direct_queue waiting; /* in the order of bus_send() */
    struct direct_queue taken;   /* of the batch that is out */
    bool assigned;               /* next_offset is known; asked again after each failure, since a commit may have
                                    happened although its answer was lost */
    int64_t next_offset;
    int64_t ask_after_ms;
};

/* Records go from bus_send() into the queue of their shard, from there with bus_take() to the one reader of the shard,
 * and their senders hear of it in bus_done() or bus_failed(). A sweeper thread fails those that nobody took in time, so
 * that senders hear of it also when no reader works. One lock for all: it is held for a few instructions per record, and
 * never while a hook or a `sent` runs. */
struct direct_bus {
    struct bus bus;
    int64_t send_timeout_ms;
    size_t bytes_max;
    pthread_mutex_t lock;
    pthread_cond_t reported; /* unreported fell to 0 */
    pthread_cond_t sweeper_wakes;
    pthread_t sweeper;
    bool closing;
    bool taking; /* a reader began: their number is final */
    size_t bytes, unreported;
    int32_t reader_count;
    struct direct_shard shards[SHARDS_MAX];
    struct direct_reader *readers[SHARDS_MAX];
};

struct direct_reader {
    struct bus_reader reader;
    int32_t index;
    int32_t first_shard; /* where the next take begins, so that no shard starves */
    bool woken, waiting;
    size_t enough_count, enough_bytes; /* in one shard: what a waiting reader is woken for */
    pthread_cond_t arrived;
    struct bus_record *records; /* what the batch points to */
    size_t records_room;
};

static const struct bus_calls direct_calls;

static struct direct_bus *direct_of(struct bus *bus) { return (struct direct_bus *)bus; }
static struct direct_reader *reader_of(struct bus_reader *reader) { return (struct direct_reader *)reader; }
static void condition_init(pthread_cond_t *condition);
static void condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms);
static void queue_push(struct direct_queue *queue, struct direct_entry *entry);
static struct direct_entry *queue_pop(struct direct_queue *queue);
static struct direct_entry *entry_new(const struct bus_record *record);
static uint32_t key_shard(struct text key, int32_t shards);
static void *sweeper_run(void *context);
static void sweep(struct direct_bus *direct, int64_t now_ms, struct direct_queue *expired);
static void queue_report(struct direct_bus *direct, struct direct_queue *queue, enum status status,
                         const struct bus_receipt *first, const struct problem *why);
static enum status shards_ask(struct direct_reader *reader, int64_t *next_ask_ms, struct problem *why);
static bool reader_has_enough(const struct direct_reader *reader, const struct bus_take_limits *limits,
                              bool *anything);
static void reader_collect(struct direct_reader *reader, const struct bus_take_limits *limits, struct bus_batch *out);
static int32_t shard_after(const struct direct_reader *reader, int32_t shard);

enum status bus_direct_open(const struct bus_settings *settings, struct bus **out, struct problem *why)
{
    assert(settings->bus_shards >= 1 && settings->bus_shards <= SHARDS_MAX);

    struct direct_bus *direct = calloc(1, sizeof *direct);
    if (!direct)
        abort();
    direct->bus = (struct bus){&direct_calls, "direct", "direct", NULL, (int32_t)settings->bus_shards};
    direct->send_timeout_ms = settings->bus_send_timeout_ms;
    direct->bytes_max = (size_t)settings->bus_queue_bytes;
    pthread_mutex_init(&direct->lock, NULL);
    condition_init(&direct->reported);
    condition_init(&direct->sweeper_wakes);
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        direct->shards[i].waiting.tail = &direct->shards[i].waiting.head;
        direct->shards[i].taken.tail = &direct->shards[i].taken.head;
    }
    if (pthread_create(&direct->sweeper, NULL, sweeper_run, direct)) {
        free(direct);
        return problem_set(why, STATUS_FAULT, "direct bus: no thread");
    }
    pthread_setname_np(direct->sweeper, "bus-sweeper");
    *out = &direct->bus;
    return STATUS_OK;
}

static void direct_close(struct bus *take_bus)
{
    struct direct_bus *direct = direct_of(take_bus);
    struct direct_queue left = {NULL, &left.head, 0, 0};
    struct problem why;

    assert(direct->reader_count == 0);

    pthread_mutex_lock(&direct->lock);
    direct->closing = true;
    pthread_cond_signal(&direct->sweeper_wakes);
    sweep(direct, INT64_MAX, &left);
    pthread_mutex_unlock(&direct->lock);
    pthread_join(direct->sweeper, NULL);
    problem_set(&why, STATUS_RETRY, "the server stops");
    queue_report(direct, &left, STATUS_RETRY, NULL, &why);
    pthread_cond_destroy(&direct->reported);
    pthread_cond_destroy(&direct->sweeper_wakes);
    pthread_mutex_destroy(&direct->lock);
    free(direct);
}

/* Every shard has a reader that knows where it stands, so the database answered it. */
static bool direct_ready(struct bus *bus)
{
    struct direct_bus *direct = direct_of(bus);
    bool ready = true;

    pthread_mutex_lock(&direct->lock);
    for (int32_t i = 0; i < bus->partitions; i++)
        ready = ready && direct->shards[i].assigned;
    pthread_mutex_unlock(&direct->lock);
    return ready;
}

static enum status direct_send(struct bus *bus, const struct bus_record *record, bus_sent sent, void *context,
                               struct problem *why)
{
    struct direct_bus *direct = direct_of(bus);
    uint32_t shard = key_shard(record->key, bus->partitions);
    struct direct_entry *entry = entry_new(record);

    entry->sent = sent;
    entry->context = context;
    entry->record.partition = (int32_t)shard;
    entry->expires_ms = clock_monotonic_ms() + direct->send_timeout_ms;
    pthread_mutex_lock(&direct->lock);
    if (direct->closing || direct->bytes + entry->size > direct->bytes_max) {
        pthread_mutex_unlock(&direct->lock);
        free(entry);
        return problem_set(why, STATUS_RETRY, "more is waiting to be stored than bus_queue_bytes allows");
    }
    direct->bytes += entry->size;
    direct->unreported++;
    struct direct_queue *waiting = &direct->shards[shard].waiting;
    queue_push(waiting, entry);
    struct direct_reader *reader =
        direct->reader_count ? direct->readers[(int32_t)shard % direct->reader_count] : NULL;
    if (reader && reader->waiting &&
        (waiting->count >= reader->enough_count || waiting->value_bytes >= reader->enough_bytes))
        pthread_cond_signal(&reader->arrived);
    pthread_mutex_unlock(&direct->lock);
    return STATUS_OK;
}

static bool direct_flush(struct bus *bus, uint32_t timeout_ms)
{
    struct direct_bus *direct = direct_of(bus);
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;

    pthread_mutex_lock(&direct->lock);
    while (direct->unreported && clock_monotonic_ms() < until_ms)
        condition_wait(&direct->reported, &direct->lock, until_ms);
    bool all = direct->unreported == 0;
    pthread_mutex_unlock(&direct->lock);
    return all;
}

static enum status direct_reader_open(struct bus *bus, const struct bus_reader_hooks *hooks, struct bus_reader **out,
                                      struct problem *why)
{
    struct direct_bus *direct = direct_of(bus);
    struct direct_reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        abort();
    pthread_mutex_lock(&direct->lock);
    assert(!direct->taking && "all readers are opened before the first bus_take()");
    if (direct->reader_count == SHARDS_MAX) {
        pthread_mutex_unlock(&direct->lock);
        free(reader);
        return problem_set(why, STATUS_REJECT, "direct bus: at most %d readers", SHARDS_MAX);
    }
    reader->reader = (struct bus_reader){bus, *hooks, false};
    condition_init(&reader->arrived);
    reader->index = reader->first_shard = direct->reader_count;
    direct->readers[direct->reader_count++] = reader;
    pthread_mutex_unlock(&direct->lock);
    *out = &reader->reader;
    return STATUS_OK;
}

static void direct_reader_close(struct bus_reader *take_reader)
{
    struct direct_reader *reader = reader_of(take_reader);
    struct direct_bus *direct = direct_of(take_reader->bus);
    int32_t partitions = take_reader->bus->partitions;
    struct problem why;
    bool revoked[SHARDS_MAX] = {false};

    problem_set(&why, STATUS_RETRY, "the server stops");
    for (int32_t i = 0; i < partitions; i++) {
        pthread_mutex_lock(&direct->lock);
        bool ours = direct->reader_count && i % direct->reader_count == reader->index;
        revoked[i] = ours && direct->shards[i].assigned;
        pthread_mutex_unlock(&direct->lock);
        if (ours && take_reader->batch_out)
            queue_report(direct, &direct->shards[i].taken, STATUS_RETRY, NULL, &why);
        if (revoked[i])
            take_reader->hooks.revoked(take_reader->hooks.context, i);
    }
    pthread_mutex_lock(&direct->lock);
    for (int32_t i = 0; i < partitions; i++)
        if (revoked[i])
            direct->shards[i].assigned = false;
    /* Readers are closed together, at the end: the others keep their shards, and this one's get none. */
    direct->readers[reader->index] = NULL;
    bool last = true;
    for (int32_t i = 0; i < direct->reader_count; i++)
        last = last && !direct->readers[i];
    if (last) {
        direct->reader_count = 0;
        direct->taking = false;
    }
    pthread_mutex_unlock(&direct->lock);
    pthread_cond_destroy(&reader->arrived);
    free(reader->records);
    free(reader);
}

static enum status direct_take(struct bus_reader *base, const struct bus_take_limits *limits, struct bus_batch *out,
                               struct problem *why)
{
    struct direct_reader *reader = reader_of(base);
    struct direct_bus *direct = direct_of(base->bus);
    int64_t until_ms = clock_monotonic_ms() + limits->wait_ms;
    bool anything = false, lingering = false;
    enum status status = STATUS_OK;

    *out = (struct bus_batch){0};
    pthread_mutex_lock(&direct->lock);
    direct->taking = true;
    for (;;) {
        int64_t next_ask_ms = INT64_MAX;
        status = shards_ask(reader, &next_ask_ms, why);
        if (status || reader->woken || reader_has_enough(reader, limits, &anything))
            break;
        int64_t now_ms = clock_monotonic_ms();
        if (anything && !lingering) {
            lingering = true;
            until_ms = now_ms + limits->linger_ms;
        }
        if (now_ms >= until_ms)
            break;
        /* The first record wakes; while lingering only a full batch does, and not every record. */
        reader->enough_count = lingering ? limits->records_max : 1;
        reader->enough_bytes = limits->bytes_max;
        reader->waiting = true;
        condition_wait(&reader->arrived, &direct->lock, until_ms < next_ask_ms ? until_ms : next_ask_ms);
        reader->waiting = false;
    }
    if (!status && !reader->woken)
        reader_collect(reader, limits, out);
    reader->woken = false;
    pthread_mutex_unlock(&direct->lock);
    return status;
}

static void direct_done(struct bus_reader *base, struct bus_batch *batch)
{
    struct direct_bus *direct = direct_of(base->bus);

    for (size_t i = 0; i < batch->count;) {
        struct direct_shard *shard = &direct->shards[batch->records[i].partition];
        struct bus_receipt first = {base->bus->topic, batch->records[i].partition, batch->records[i].offset};
        size_t count = shard->taken.count;
        assert(count && i + count <= batch->count);
        pthread_mutex_lock(&direct->lock);
        if (shard->assigned)
            shard->next_offset = first.offset + (int64_t)count;
        pthread_mutex_unlock(&direct->lock);
        queue_report(direct, &shard->taken, STATUS_OK, &first, NULL);
        i += count;
    }
}

static void direct_failed(struct bus_reader *base, struct bus_batch *batch, enum status status,
                          const struct problem *why)
{
    struct direct_bus *direct = direct_of(base->bus);

    for (size_t i = 0; i < batch->count;) {
        struct direct_shard *shard = &direct->shards[batch->records[i].partition];
        i += shard->taken.count;
        base->bus->calls->drop_partition(base, (int32_t)(shard - direct->shards));
        queue_report(direct, &shard->taken, status, NULL, why);
    }
}

/* In one process nobody else reads, but another process on the same database may count on: so the number is asked for
 * again, and reading goes on from there. */
static void direct_drop_partition(struct bus_reader *base, int32_t partition)
{
    struct direct_bus *direct = direct_of(base->bus);

    assert(partition < base->bus->partitions);

    pthread_mutex_lock(&direct->lock);
    direct->shards[partition].assigned = false;
    pthread_mutex_unlock(&direct->lock);
}

static void direct_wake(struct bus_reader *base)
{
    struct direct_bus *direct = direct_of(base->bus);

    pthread_mutex_lock(&direct->lock);
    reader_of(base)->woken = true;
    pthread_cond_signal(&reader_of(base)->arrived);
    pthread_mutex_unlock(&direct->lock);
}

static int64_t direct_lag(struct bus_reader *base)
{
    struct direct_bus *direct = direct_of(base->bus);
    size_t count = 0;

    pthread_mutex_lock(&direct->lock);
    for (int32_t i = reader_of(base)->index; i < base->bus->partitions; i += direct->reader_count)
        count += direct->shards[i].waiting.count + direct->shards[i].taken.count;
    pthread_mutex_unlock(&direct->lock);
    return (int64_t)count;
}

static const struct bus_calls direct_calls = {
    .close = direct_close,
    .ready = direct_ready,
    .send = direct_send,
    .flush = direct_flush,
    .reader_open = direct_reader_open,
    .reader_close = direct_reader_close,
    .take = direct_take,
    .done = direct_done,
    .failed = direct_failed,
    .drop_partition = direct_drop_partition,
    .wake = direct_wake,
    .lag = direct_lag,
};

static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};

    (void)pthread_cond_timedwait(condition, lock, &until); /* callers look again whatever woke them */
}

static void queue_push(struct direct_queue *queue, struct direct_entry *entry)
{
    entry->next = NULL;
    *queue->tail = entry;
    queue->tail = &entry->next;
    queue->count++;
    queue->value_bytes += entry->record.value.count;
}

static struct direct_entry *queue_pop(struct direct_queue *queue)
{
    struct direct_entry *entry = queue->head;

    assert(entry && queue->count);
    queue->head = entry->next;
    if (!queue->head)
        queue->tail = &queue->head;
    queue->count--;
    queue->value_bytes -= entry->record.value.count;
    return entry;
}

static struct text text_place(struct text text, char **at)
{
    if (!text.bytes)
        return TEXT_NONE;
    struct text placed = {*at, text.count};
    if (text.count)
        memcpy(*at, text.bytes, text.count);
    *at += text.count;
    return placed;
}

static struct direct_entry *entry_new(const struct bus_record *record)
{
    size_t size = sizeof(struct direct_entry) + record->header_count * sizeof *record->headers + record->key.count +
                  record->value.count;
    for (size_t i = 0; i < record->header_count; i++)
        size += record->headers[i].name.count + record->headers[i].value.count;
    struct direct_entry *entry = malloc(size);
    if (!entry)
        abort();
    entry->size = size;
    entry->record = *record;
    char *at = (char *)&entry->headers[record->header_count];
    entry->record.key = text_place(record->key, &at);
    entry->record.value = text_place(record->value, &at);
    for (size_t i = 0; i < record->header_count; i++) {
        entry->headers[i].name = text_place(record->headers[i].name, &at);
        entry->headers[i].value = text_place(record->headers[i].value, &at);
    }
    entry->record.headers = entry->headers;
    return entry;
}

/* FNV-1a. The same key gives the same shard after a restart too, as long as bus_shards stays. */
static uint32_t key_shard(struct text key, int32_t shards)
{
    uint64_t hash = 14695981039346656037U;

    for (size_t i = 0; i < key.count; i++)
        hash = (hash ^ (unsigned char)key.bytes[i]) * 1099511628211U;
    return (uint32_t)((hash ^ hash >> 32) % (uint32_t)shards);
}

static void *sweeper_run(void *context)
{
    struct direct_bus *direct = context;
    int64_t tick_ms = direct->send_timeout_ms / 8;
    struct problem why;

    tick_ms = tick_ms < SWEEP_TICK_MS_MIN ? SWEEP_TICK_MS_MIN : tick_ms;
    tick_ms = tick_ms > SWEEP_TICK_MS_MAX ? SWEEP_TICK_MS_MAX : tick_ms;
    problem_set(&why, STATUS_RETRY, "not stored within bus_send_timeout_ms");
    pthread_mutex_lock(&direct->lock);
    while (!direct->closing) {
        struct direct_queue expired = {NULL, &expired.head, 0, 0};
        condition_wait(&direct->sweeper_wakes, &direct->lock, clock_monotonic_ms() + tick_ms);
        if (direct->closing)
            break;
        sweep(direct, clock_monotonic_ms(), &expired);
        pthread_mutex_unlock(&direct->lock);
        queue_report(direct, &expired, STATUS_RETRY, NULL, &why);
        pthread_mutex_lock(&direct->lock);
    }
    pthread_mutex_unlock(&direct->lock);
    return NULL;
}

/* Only what waits: the outcome of a batch that is out is for its reader to say. */
static void sweep(struct direct_bus *direct, int64_t now_ms, struct direct_queue *expired)
{
    for (int32_t i = 0; i < direct->bus.partitions; i++) {
        struct direct_queue *waiting = &direct->shards[i].waiting;
        while (waiting->head && waiting->head->expires_ms <= now_ms)
            queue_push(expired, queue_pop(waiting));
    }
}

/* Tells every sender and empties the queue, which nobody else looks at by now. `first` is the receipt of the first
 * record when status is STATUS_OK; the others follow it. */
static void queue_report(struct direct_bus *direct, struct direct_queue *queue, enum status status,
                         const struct bus_receipt *first, const struct problem *why)
{
    struct bus_receipt receipt = first ? *first : (struct bus_receipt){0};
    struct direct_queue told = *queue;
    size_t bytes = 0, count = queue->count;

    if (!count)
        return;
    pthread_mutex_lock(&direct->lock); /* bus_lag() counts what is taken */
    *queue = (struct direct_queue){NULL, &queue->head, 0, 0};
    pthread_mutex_unlock(&direct->lock);
    for (struct direct_entry *entry = told.head, *next; entry; entry = next) {
        next = entry->next;
        bytes += entry->size;
        entry->sent(entry->context, status, first ? &receipt : NULL, why);
        receipt.offset++;
        free(entry);
    }
    pthread_mutex_lock(&direct->lock);
    direct->bytes -= bytes;
    direct->unreported -= count;
    if (!direct->unreported)
        pthread_cond_broadcast(&direct->reported);
    pthread_mutex_unlock(&direct->lock);
}

/* Asks the hook for each shard that is not assigned. Called with the lock held, which is given up meanwhile: only this
 * thread changes the shards of its reader. */
static enum status shards_ask(struct direct_reader *reader, int64_t *next_ask_ms, struct problem *why)
{
    static struct log_rate rate;
    struct direct_bus *direct = direct_of(reader->reader.bus);
    const struct bus_reader_hooks *hooks = &reader->reader.hooks;
    enum status status = STATUS_OK;

    for (int32_t i = reader->index; i < direct->bus.partitions; i += direct->reader_count) {
        struct direct_shard *shard = &direct->shards[i];
        int64_t next_offset = 0;
        if (shard->assigned)
            continue;
        if (shard->ask_after_ms <= clock_monotonic_ms() && !reader->woken) {
            pthread_mutex_unlock(&direct->lock);
            status = hooks->assigned(hooks->context, i, &next_offset, why);
            if (status == STATUS_RETRY)
                log_rated(&rate, LOG_WARN, "bus.assign_later", "partition=%d reason=\"%s\"", i, why->text);
            pthread_mutex_lock(&direct->lock);
            shard->assigned = status == STATUS_OK;
            shard->next_offset = next_offset > 0 ? next_offset : 0; /* -1: from the beginning */
            shard->ask_after_ms = status ? clock_monotonic_ms() + BUS_ASSIGN_RETRY_MS : 0;
            if (status && status != STATUS_RETRY)
                return status;
        }
        if (!shard->assigned && shard->ask_after_ms < *next_ask_ms)
            *next_ask_ms = shard->ask_after_ms;
    }
    return STATUS_OK;
}

static bool reader_has_enough(const struct direct_reader *reader, const struct bus_take_limits *limits, bool *anything)
{
    const struct direct_bus *direct = (const struct direct_bus *)reader->reader.bus;
    size_t count = 0, bytes = 0;

    for (int32_t i = reader->index; i < direct->bus.partitions; i += direct->reader_count) {
        if (!direct->shards[i].assigned)
            continue;
        count += direct->shards[i].waiting.count;
        bytes += direct->shards[i].waiting.value_bytes;
    }
    *anything = count > 0;
    return count >= limits->records_max || bytes >= limits->bytes_max;
}

static void reader_collect(struct direct_reader *reader, const struct bus_take_limits *limits, struct bus_batch *out)
{
    struct direct_bus *direct = direct_of(reader->reader.bus);
    int32_t i = reader->first_shard, visited = 0;
    bool full = false;

    for (; i < direct->bus.partitions && !full && (visited == 0 || i != reader->first_shard); visited++) {
        struct direct_shard *shard = &direct->shards[i];
        while (shard->assigned && shard->waiting.head && !full) {
            const struct direct_entry *head = shard->waiting.head;
            full = out->count && out->bytes + head->record.value.count > limits->bytes_max;
            if (full)
                break;
            struct direct_entry *entry = queue_pop(&shard->waiting);
            entry->record.offset = shard->next_offset + (int64_t)shard->taken.count;
            queue_push(&shard->taken, entry);
            if (out->count == reader->records_room) {
                reader->records_room = reader->records_room ? 2 * reader->records_room : 256;
                reader->records = realloc(reader->records, reader->records_room * sizeof *reader->records);
                if (!reader->records)
                    abort();
            }
            reader->records[out->count++] = entry->record;
            out->bytes += entry->record.value.count;
            full = out->count == limits->records_max;
        }
        i = shard_after(reader, i);
    }
    out->records = reader->records;
    if (out->count)
        reader->first_shard = shard_after(reader, reader->first_shard);
}

static int32_t shard_after(const struct direct_reader *reader, int32_t shard)
{
    const struct direct_bus *direct = (const struct direct_bus *)reader->reader.bus;
    int32_t next = shard + direct->reader_count;

    return next < direct->bus.partitions ? next : reader->index;
}
