#include "ingest/door.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/device_auth.h"
#include "ingest/ingest_metrics.h"
#include "ingest/sightings.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "wire/bus_record.h"
#include "wire/json_writer.h"

#define SLOTS 32768 /* a power of two above what is held, so that probing ends soon */
#define SENTENCE_MAX 200
#define VALUE_SIZE 2048
#define CLOSE_WAIT_MS 5000
#define WORKSPACES_MAX 1000 /* room kept for the sums of workspaces when all other rows are taken */

/* One identity in one window; also the context of its record until the bus has said what became of it. */
struct row {
    struct row *next; /* of the window, newest first */
    struct door *door;
    uint64_t hash;
    int64_t from_us, to_us;
    uint32_t refused[INGEST_METRICS_CODES], flaws[DEVICE_AUTH_FLAWS];
    char last[SENTENCE_MAX];
    struct sighting_clone clone; /* returns 0: none */
    uint32_t workspace;
    uint8_t device_count, module_count;
    char ids[]; /* device, then module */
};

struct door {
    struct bus *bus;
    struct sightings *sightings;
    uint32_t window_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* stopping, or a record came back */
    bool stopping;
    struct row *rows;
    size_t row_count, under_way;
    struct row *slots[SLOTS];
};

static void refused_count(struct door *door, const struct identity *identity, unsigned code, enum device_auth_flaw flaw, const char *sentence);
static void *door_run(void *context);
static void window_send(struct door *door);
static enum status row_send(struct row *row, struct problem *why);
/* By names that detections go by: see detect/door_facts.h. */
static void reasons_print(const struct row *row, struct picket_json_writer *writer)
{
    static const char *const names[DEVICE_AUTH_FLAWS] = {
        [DEVICE_AUTH_TOKEN_EXPIRED] = "token-expired",
        [DEVICE_AUTH_TOKEN_SIGNATURE] = "token-signature",
        [DEVICE_AUTH_CERTIFICATE_MISMATCH] = "certificate-mismatch",
        [DEVICE_AUTH_CERTIFICATE_EXPIRED] = "certificate-expired",
    };

    picket_json_write_name(writer, "Reasons");
    picket_json_open_object(writer);
    for (size_t i = 0; i < DEVICE_AUTH_FLAWS; i++) {
        if (!names[i] || !row->flaws[i])
            continue;
        picket_json_write_name(writer, names[i]);
        picket_json_write_int(writer, row->flaws[i]);
    }
    picket_json_close_object(writer);
}

static size_t row_print(const struct row *row, char out[VALUE_SIZE]);
static void row_sent(void *context, enum status status, const struct bus_receipt *receipt, const struct problem *why);
static struct row *row_find(struct door *door, const struct identity *identity, int64_t now_us);
static struct identity row_identity(const struct row *row);
static void row_merge(struct door *door, const struct row *row);
static bool wait_until(struct door *door, int64_t until_ms);

enum status door_open(struct bus *bus, uint32_t window_ms, struct door **out, struct problem *why)
{
    struct door *door = calloc(1, sizeof *door);
    pthread_condattr_t attributes;

    if (!door)
        abort();
    door->bus = bus;
    door->sightings = sightings_new();
    door->window_ms = window_ms;
    pthread_mutex_init(&door->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&door->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&door->thread, NULL, door_run, door)) {
        sightings_free(door->sightings);
        free(door);
        return problem_set(why, STATUS_FAULT, "no thread for what the front door saw");
    }
    pthread_setname_np(door->thread, "ingest-door");
    *out = door;
    return STATUS_OK;
}

void door_close(struct door *take_door)
{
    struct door *door = take_door;

    if (!door)
        return;
    pthread_mutex_lock(&door->lock);
    door->stopping = true;
    pthread_cond_broadcast(&door->changed);
    pthread_mutex_unlock(&door->lock);
    pthread_join(door->thread, NULL);
    int64_t until_ms = clock_monotonic_ms() + CLOSE_WAIT_MS;
    pthread_mutex_lock(&door->lock);
    while (door->under_way && wait_until(door, until_ms))
        ;
    size_t under_way = door->under_way;
    pthread_mutex_unlock(&door->lock);
    if (under_way) {
        /* The bus will still call back, so this memory has to stay. */
        log_warn("door.unsent", "records=%zu", under_way);
        return;
    }
    for (struct row *row = door->rows, *next; row; row = next) {
        next = row->next;
        free(row);
    }
    pthread_cond_destroy(&door->changed);
    pthread_mutex_destroy(&door->lock);
    sightings_free(door->sightings);
    free(door);
}

void door_refused(struct door *door, const struct identity *identity, unsigned code, const char *sentence)
{
    refused_count(door, identity, code, DEVICE_AUTH_OTHER_FLAW, sentence);
}

static void refused_count(struct door *door, const struct identity *identity, unsigned code, enum device_auth_flaw flaw, const char *sentence)
{
    int64_t now_us = clock_utc_us();
    size_t kind = 0;

    while (kind < INGEST_METRICS_CODES - 1 && ingest_metrics_codes[kind] != code)
        kind++;
    pthread_mutex_lock(&door->lock);
    struct row *row = row_find(door, identity, now_us);
    if (row) {
        row->refused[kind]++;
        row->flaws[flaw]++;
        row->to_us = now_us;
        size_t count = strnlen(sentence, sizeof row->last - 1);
        memcpy(row->last, sentence, count);
        row->last[count] = 0;
    }
    pthread_mutex_unlock(&door->lock);
}

void door_refused_credential(struct door *door, const struct device_auth_claim *claim,
                             const struct device_auth_result *result, unsigned code, const char *peer)
{
    static struct log_rate rate;

    log_rated(&rate, LOG_WARN, "device.refused", "workspace=%u device=%.*s module=%.*s peer=%s code=%u reason=\"%s\"",
              result->in_workspace ? (unsigned)result->workspace.workspace : 0, TEXT_ARGS(claim->device),
              TEXT_ARGS(claim->module), peer, code, result->reason.text);
    if (!result->in_workspace)
        return;
    struct identity identity = {result->workspace.workspace, TEXT(""), TEXT("")};
    if (result->enrolled) {
        identity.device = claim->device;
        identity.module = claim->module;
    }
    refused_count(door, &identity, code, result->verdict == DEVICE_AUTH_UNFIT ? result->flaw : DEVICE_AUTH_OTHER_FLAW, result->reason.text);
}

void door_passed(struct door *door, const struct identity *identity, const char *peer)
{
    struct sighting_clone clone;

    if (!sightings_note(door->sightings, identity, peer, clock_monotonic_ms() / 1000, &clone))
        return;
    int64_t now_us = clock_utc_us();
    log_warn("device.cloned", "workspace=%u device=%.*s module=%.*s addresses=%s,%s returns=%u", (unsigned)identity->workspace,
             TEXT_ARGS(identity->device), TEXT_ARGS(identity->module), clone.addresses[0], clone.addresses[1],
             (unsigned)clone.returns);
    pthread_mutex_lock(&door->lock);
    struct row *row = row_find(door, identity, now_us);
    if (row && row->device_count) {
        clone.returns += row->clone.returns;
        row->clone = clone;
        row->to_us = now_us;
    }
    pthread_mutex_unlock(&door->lock);
}

static void *door_run(void *context)
{
    struct door *door = context;
    int64_t window_ends_ms = clock_monotonic_ms() + door->window_ms;

    pthread_mutex_lock(&door->lock);
    while (!door->stopping) {
        if (wait_until(door, window_ends_ms))
            continue;
        window_send(door);
        window_ends_ms = clock_monotonic_ms() + door->window_ms;
    }
    window_send(door);
    pthread_mutex_unlock(&door->lock);
    return NULL;
}

/* With the lock; gives it up while it sends. */
static void window_send(struct door *door)
{
    struct row *row = door->rows, *next;
    size_t returned = 0;
    struct problem why;

    door->under_way += door->row_count;
    door->rows = NULL;
    door->row_count = 0;
    memset(door->slots, 0, sizeof door->slots);
    pthread_mutex_unlock(&door->lock);
    for (; row; row = next) {
        next = row->next; /* after row_send() it is the bus's, and may be gone */
        enum status status = row_send(row, &why);
        if (!status)
            continue;
        returned++;
        row_sent(row, status, NULL, &why);
    }
    if (returned)
        log_warn("door.delayed", "records=%zu reason=\"%s\"", returned, why.text);
    pthread_mutex_lock(&door->lock);
}

static enum status row_send(struct row *row, struct problem *why)
{
    struct identity identity = row_identity(row);
    char value[VALUE_SIZE], key[PICKET_RECORD_KEY_SIZE], scratch[PICKET_RECORD_SCRATCH];
    struct picket_record_header wire_headers[PICKET_RECORD_HEADERS_MAX];
    struct bus_header headers[PICKET_RECORD_HEADERS_MAX];
    struct picket_record record = {
        .kind = PICKET_RECORD_DOOR,
        .workspace = identity.workspace,
        .device = {identity.device.bytes, identity.device.count},
        .module = {identity.module.bytes, identity.module.count},
        .received_at_us = row->to_us,
        .transport = {"https", 5},
    };

    size_t header_count = picket_record_headers(&record, scratch, wire_headers);
    for (size_t i = 0; i < header_count; i++)
        headers[i] = (struct bus_header){{wire_headers[i].name.bytes, wire_headers[i].name.count},
                                         {wire_headers[i].value.bytes, wire_headers[i].value.count}};
    struct bus_record sent = {
        .key = {key, picket_record_key(record.workspace, record.device, key)},
        .value = {value, row_print(row, value)},
        .headers = headers,
        .header_count = header_count,
    };
    return bus_send(row->door->bus, &sent, row_sent, row, why);
}

static void clone_print(const struct sighting_clone *clone, struct picket_json_writer *writer)
{
    picket_json_write_name(writer, "Clones");
    picket_json_open_object(writer);
    picket_json_write_name(writer, "RemoteAddress");
    picket_json_write_terminated(writer, clone->addresses[0]);
    picket_json_write_name(writer, "OtherAddress");
    picket_json_write_terminated(writer, clone->addresses[1]);
    picket_json_write_name(writer, "Returns");
    picket_json_write_int(writer, clone->returns);
    picket_json_close_object(writer);
}

static size_t row_print(const struct row *row, char out[VALUE_SIZE])
{
    struct picket_json_writer writer;
    char code[16];
    struct buf digits = {.count_max = sizeof code};

    picket_json_write_init(&writer, out, VALUE_SIZE);
    picket_json_open_object(&writer);
    picket_json_write_name(&writer, "From");
    picket_json_write_int(&writer, row->from_us);
    picket_json_write_name(&writer, "To");
    picket_json_write_int(&writer, row->to_us);
    picket_json_write_name(&writer, "Refused");
    picket_json_open_object(&writer);
    for (size_t i = 0; i < INGEST_METRICS_CODES; i++) {
        if (!row->refused[i])
            continue;
        buf_clear(&digits);
        buf_i64(&digits, ingest_metrics_codes[i]);
        picket_json_write_name(&writer, digits.bytes);
        picket_json_write_int(&writer, row->refused[i]);
    }
    buf_done(&digits);
    picket_json_close_object(&writer);
    reasons_print(row, &writer);
    if (row->last[0]) {
        picket_json_write_name(&writer, "Last");
        picket_json_write_string(&writer, row->last, strlen(row->last));
    }
    if (row->clone.returns)
        clone_print(&row->clone, &writer);
    picket_json_close_object(&writer);
    size_t count = picket_json_written(&writer);
    assert(count && "VALUE_SIZE holds the longest sentence, escaped");
    return count;
}

/* Takes the row. What could not be sent is counted again, so that it goes out with a later window. */
static void row_sent(void *context, enum status status, const struct bus_receipt *receipt, const struct problem *why)
{
    struct row *row = context;
    struct door *door = row->door;

    (void)receipt;
    (void)why;
    pthread_mutex_lock(&door->lock);
    if (status == STATUS_RETRY && !door->stopping)
        row_merge(door, row);
    door->under_way--;
    pthread_cond_broadcast(&door->changed);
    pthread_mutex_unlock(&door->lock);
    free(row);
}

static void row_merge(struct door *door, const struct row *row)
{
    struct identity identity = row_identity(row);
    struct row *into = row_find(door, &identity, row->from_us);

    if (!into)
        return;
    for (size_t i = 0; i < INGEST_METRICS_CODES; i++)
        into->refused[i] += row->refused[i];
    for (size_t i = 0; i < DEVICE_AUTH_FLAWS; i++)
        into->flaws[i] += row->flaws[i];
    if (!into->last[0])
        memcpy(into->last, row->last, sizeof into->last);
    if (row->clone.returns) {
        uint32_t returns = into->clone.returns + row->clone.returns;
        into->clone = row->clone;
        into->clone.returns = returns;
    }
    if (row->from_us < into->from_us)
        into->from_us = row->from_us;
    if (row->to_us > into->to_us)
        into->to_us = row->to_us;
}

/* The row of this window; the workspace's when there is no room for another identity. With the lock. */
static struct row *row_find(struct door *door, const struct identity *identity, int64_t now_us)
{
    uint64_t hash = identity_hash(identity);
    size_t slot = hash % SLOTS;

    for (; door->slots[slot]; slot = (slot + 1) % SLOTS) {
        struct identity there = row_identity(door->slots[slot]);
        if (door->slots[slot]->hash == hash && identity_equal(&there, identity))
            return door->slots[slot];
    }
    if (door->row_count >= DOOR_IDENTITIES_MAX && identity->device.count) {
        struct identity workspace = {identity->workspace, TEXT(""), TEXT("")};
        metric_add(&ingest_metrics.door_overflow, 1);
        return row_find(door, &workspace, now_us);
    }
    if (door->row_count >= DOOR_IDENTITIES_MAX + WORKSPACES_MAX)
        return NULL;
    struct row *row = calloc(1, sizeof *row + identity->device.count + identity->module.count);
    if (!row)
        abort();
    row->next = door->rows;
    row->door = door;
    row->hash = hash;
    row->from_us = row->to_us = now_us;
    row->workspace = identity->workspace;
    row->device_count = (uint8_t)identity->device.count;
    row->module_count = (uint8_t)identity->module.count;
    if (identity->device.count)
        memcpy(row->ids, identity->device.bytes, identity->device.count);
    if (identity->module.count)
        memcpy(row->ids + row->device_count, identity->module.bytes, identity->module.count);
    door->rows = door->slots[slot] = row;
    door->row_count++;
    return row;
}

static struct identity row_identity(const struct row *row)
{
    return (struct identity){
        row->workspace, {row->ids, row->device_count}, {row->ids + row->device_count, row->module_count}};
}

/* False when the time is up. With the lock. */
static bool wait_until(struct door *door, int64_t until_ms)
{
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};

    return pthread_cond_timedwait(&door->changed, &door->lock, &until) == 0;
}
