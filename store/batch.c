#include "store/batch.h"

#include <assert.h>

#include "runtime/clock.h"
#include "store/copy.h"
#include "store/dead_letter.h"
#include "store/messages.h"
#include "wire/limits.h"

#define RECEIVED_EARLIEST_US INT64_C(1577836800000000) /* 2020-01-01: older than this program */
#define RECEIVED_AHEAD_US INT64_C(172800000000)        /* two days: ingest's clock against ours */
#define WORKSPACE_DEFAULT 1                            /* for records that do not say whose they are */

static void record_read(const struct batch_source *source, const struct bus_record *record, struct batch *out);
static const char *headers_read(const struct bus_record *record, struct picket_record *out);
static bool id_fits(struct picket_span id);
static bool received_plausible(int64_t received_at_us);
static void door_read(const struct batch_source *source, const struct bus_record *record,
                      struct device_message *message, struct batch *out);
static void dead_add(const struct bus_record *record, const char *reason, struct batch *out);
static struct activity_note note_of(const struct device_message *message);
static void message_note(const struct batch *batch, size_t index, struct activity_note *out);
static enum status activity_put(struct db *db, const struct batch_source *source, const struct batch *batch,
                                uint32_t timeout_ms, struct problem *why);
static enum status ledger_put(struct db *db, const struct batch_source *source, const struct batch *batch,
                              uint32_t timeout_ms, struct problem *why);
static enum status dead_put(struct db *db, const struct batch_source *source, const struct batch *batch,
                            uint32_t timeout_ms, struct problem *why);

size_t batch_read(const struct batch_source *source, const struct bus_record *records, size_t count, struct batch *out)
{
    size_t read = 0;


    *out = (struct batch){
        .messages = ARENA_ARRAY(source->arena, struct device_message, count),
        .refused = ARENA_ARRAY(source->arena, const struct json_node *, count),
        .notes = ARENA_ARRAY(source->arena, struct activity_note, count),
        .dead = ARENA_ARRAY(source->arena, struct batch_dead, count),
    };
    while (read < count && (read == 0 || source->memory_max == 0 || source->arena->used_bytes < source->memory_max))
        record_read(source, &records[read++], out);
    return read;
}

void batch_read_dead(const struct batch_source *source, const struct bus_record *record, const char *reason,
                     struct batch *out)
{
    *out = (struct batch){
        .notes = ARENA_NEW(source->arena, struct activity_note),
        .dead = ARENA_NEW(source->arena, struct batch_dead),
    };
    dead_add(record, reason, out);
}

enum status batch_write(struct db *db, const struct batch_source *source, struct batch *batch, uint32_t timeout_ms,
                        struct problem *why)
{
    enum status status = STATUS_OK;

    batch->events = batch->duplicates = 0;
    if (batch->message_count) {
        status = messages_insert(db, batch->messages, batch->message_count, source->bus_topic_id, source->arena,
                                 timeout_ms, why);
        if (!status)
            status = copy_events(db, batch->messages, batch->message_count, source->bus_topic_id, timeout_ms,
                                 &batch->events, why);
        if (!status && source->judge)
            status = judge_messages(source->judge, db, batch->messages, batch->message_count, source->arena, timeout_ms, why);
        for (size_t i = 0; i < batch->message_count; i++)
            batch->duplicates += !batch->messages[i].fresh;
    }
    if (!status)
        status = ledger_put(db, source, batch, timeout_ms, why);
    if (!status)
        status = dead_put(db, source, batch, timeout_ms, why);
    if (!status)
        status = activity_put(db, source, batch, timeout_ms, why);
    return status;
}

static void record_read(const struct batch_source *source, const struct bus_record *record, struct batch *out)
{
    struct device_message *message = &out->messages[out->message_count];
    struct problem why;

    *message = (struct device_message){
        .body = record->value.bytes ? record->value : TEXT(""),
        .partition = record->partition,
        .offset = record->offset,
    };
    const char *wrong = headers_read(record, &message->record);
    if (!wrong && !received_plausible(message->record.received_at_us))
        wrong = "the record's receipt time is implausible";
    if (!wrong && message->body.count > PICKET_BODY_HARD_MAX)
        wrong = "the body is longer than any front door accepts";
    if (wrong) {
        dead_add(record, wrong, out);
        return;
    }
    messages_key(message, source->cluster, source->topic);
    if (message->record.refused.count)
        dead_add(record, arena_string(source->arena, device_message_text(message->record.refused)), out);
    else if (message->record.kind == PICKET_RECORD_DOOR)
        door_read(source, record, message, out);
    else if (classic_decode(source->decoder, message, source->arena, &why))
        dead_add(record, arena_string(source->arena, text_of(why.text)), out);
    else
        out->message_count++;
}

/* NULL when all is well, else a sentence. */
static const char *headers_read(const struct bus_record *record, struct picket_record *out)
{
    struct picket_record_header headers[BUS_HEADERS_MAX];

    if (record->header_count > BUS_HEADERS_MAX)
        return "the record has more headers than any writer sets";
    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *from = &record->headers[i];
        headers[i] = (struct picket_record_header){{from->name.bytes, from->name.count},
                                                   {from->value.bytes, from->value.count}};
    }
    const char *wrong = picket_record_read(headers, record->header_count, out);
    if (wrong)
        return wrong;
    if (!id_fits(out->device) || !id_fits(out->module))
        return "the record names its sender with bytes that are no text";
    if (out->workspace == 0 || out->workspace > INT32_MAX)
        return "the record names a workspace that cannot exist";
    return NULL;
}

/* Ingest lets only IoT Hub's characters in. Others write to topics too, and a dead letter has to be storable. */
static bool id_fits(struct picket_span id)
{
    struct text text = device_message_text(id);

    return text_utf8_valid(text) && !memchr(text.bytes, '\0', text.count);
}

/* A partition is made for the day of each receipt: a wrong one must not make it for the year 9999. */
static bool received_plausible(int64_t received_at_us)
{
    return received_at_us >= RECEIVED_EARLIEST_US && received_at_us <= clock_utc_us() + RECEIVED_AHEAD_US;
}

/* Refusals that name no identity have no device to show an event on: they are only counted. */
static void door_read(const struct batch_source *source, const struct bus_record *record,
                      struct device_message *message, struct batch *out)
{
    const struct json_node *refused = NULL;
    struct problem why;

    if (classic_decode_door(source->decoder, message, source->arena, &refused, &why)) {
        dead_add(record, arena_string(source->arena, text_of(why.text)), out);
        return;
    }
    if (message->record.device.count) {
        out->refused[out->message_count++] = refused;
        return;
    }
    struct activity_note *note = &out->notes[out->note_count++];
    *note = note_of(message);
    note->refused = refused;
}

static void dead_add(const struct bus_record *record, const char *reason, struct batch *out)
{
    struct picket_record read = {.workspace = 0};
    struct batch_dead *dead = &out->dead[out->dead_count++];
    bool readable = !headers_read(record, &read);

    *dead = (struct batch_dead){
        .record = record,
        .workspace = readable ? (int)read.workspace : WORKSPACE_DEFAULT,
        .device = readable ? device_message_text(read.device) : TEXT(""),
        .module = readable ? device_message_text(read.module) : TEXT(""),
        .received_at_us = readable && received_plausible(read.received_at_us) ? read.received_at_us : clock_utc_us(),
        .reason = reason,
    };
    struct activity_note *note = &out->notes[out->note_count++];
    *note = (struct activity_note){
        .workspace = dead->workspace,
        .device = dead->device,
        .module = dead->module,
        .received_at_us = dead->received_at_us,
        .dead = 1,
    };
}

static struct activity_note note_of(const struct device_message *message)
{
    return (struct activity_note){
        .workspace = (int)message->record.workspace,
        .device = device_message_text(message->record.device),
        .module = device_message_text(message->record.module),
        .received_at_us = message->record.received_at_us,
        .agent_version = message->agent_version,
    };
}

static void message_note(const struct batch *batch, size_t index, struct activity_note *out)
{
    const struct device_message *message = &batch->messages[index];

    *out = note_of(message);
    if (message->record.kind == PICKET_RECORD_DOOR) {
        out->refused = message->fresh ? batch->refused[index] : NULL;
        return;
    }
    out->messages = message->fresh;
    out->resends = !message->fresh;
    for (size_t i = 0; message->fresh && i < message->row_count; i++)
        out->departures += message->rows[i].departures.count > 0 || message->departures.count > 0;
    out->events = message->fresh ? (int64_t)message->row_count : 0;
}

static enum status activity_put(struct db *db, const struct batch_source *source, const struct batch *batch,
                                uint32_t timeout_ms, struct problem *why)
{
    size_t count = batch->message_count + batch->note_count;
    struct activity_note *notes = ARENA_ARRAY(source->arena, struct activity_note, count);

    for (size_t i = 0; i < batch->message_count; i++)
        message_note(batch, i, &notes[i]);
    if (batch->note_count)
        memcpy(notes + batch->message_count, batch->notes, batch->note_count * sizeof *notes);
    return activity_write(db, notes, count, timeout_ms, why);
}

static enum status ledger_put(struct db *db, const struct batch_source *source, const struct batch *batch,
                              uint32_t timeout_ms, struct problem *why)
{
    struct ledger_entry *entries = ARENA_ARRAY(source->arena, struct ledger_entry, batch->message_count);
    size_t count = 0;

    for (size_t i = 0; i < batch->message_count; i++) {
        const struct device_message *message = &batch->messages[i];
        if (!message->fresh || !message->report)
            continue;
        entries[count++] = (struct ledger_entry){
            .workspace = (int)message->record.workspace,
            .device = device_message_text(message->record.device),
            .module = device_message_text(message->record.module),
            .received_at_us = message->record.received_at_us,
            .report = message->report,
        };
    }
    return ledger_write(db, entries, count, source->arena, timeout_ms, why);
}

static enum status dead_put(struct db *db, const struct batch_source *source, const struct batch *batch,
                            uint32_t timeout_ms, struct problem *why)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; !status && i < batch->dead_count; i++) {
        const struct batch_dead *dead = &batch->dead[i];
        const struct dead_letter letter = {
            .record = dead->record,
            .workspace = dead->workspace,
            .device = dead->device,
            .module = dead->module,
            .received_at_us = dead->received_at_us,
            .reason = dead->reason,
        };
        status = dead_letter_write(db, &letter, source->bus_topic_id, timeout_ms, why);
    }
    return status;
}
