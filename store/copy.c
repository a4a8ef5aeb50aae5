#include "store/copy.h"

#include <assert.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "wire/limits.h"

#define DAY_US INT64_C(86400000000)
#define DAY_NONE INT64_MAX
#define PIECE_BYTES ((size_t)256 * 1024)
#define LINE_BYTES_MAX (64 * (size_t)PICKET_BODY_HARD_MAX) /* a body, escaped for JSON and then for COPY, with room */

/* COPY text under way. */
struct pieces {
    struct db *db;
    struct buf out, scratch;
};

static int64_t day_of(const struct device_message *message);
static int64_t day_after(int64_t day, const struct device_message *messages, size_t count);
static enum status copy_begin(struct db *db, int64_t day, uint32_t timeout_ms, struct problem *why);
static enum status message_put(struct pieces *pieces, const struct device_message *message, int bus_topic_id,
                               struct problem *why);
static enum status pieces_flush(struct pieces *pieces, struct problem *why);
static void field_end(struct buf *out);
static void field_text(struct buf *out, struct text value);
static void field_i64(struct buf *out, int64_t value);
static void field_time(struct buf *out, int64_t utc_us);
static void field_port(struct buf *out, int32_t port);
static void field_key_order(struct buf *out, struct text key_order, struct buf *scratch);
static void field_departures(struct buf *out, const struct departures *own, const struct departures *of_envelope,
                             struct buf *scratch);
static bool departures_have(const struct departures *list, struct text code);

/* A table under row-level security takes no COPY, whatever its policies say. The partitions have none of their own, since
 * nobody who reads may name them, and store may insert into them: so each day of the batch, nearly always one, is copied
 * into its partition, which also saves finding it for every row. */
enum status copy_events(struct db *db, const struct device_message *messages, size_t count, int bus_topic_id,
                        uint32_t timeout_ms, int64_t *events, struct problem *why)
{
    struct pieces pieces = {.db = db};
    enum status status = STATUS_OK;
    int64_t lines = 0;

    buf_init(&pieces.out, PIECE_BYTES + LINE_BYTES_MAX);
    buf_init(&pieces.scratch, LINE_BYTES_MAX);
    for (int64_t day = day_after(INT64_MIN, messages, count); !status && day != DAY_NONE;
         day = day_after(day, messages, count)) {
        status = copy_begin(db, day, timeout_ms, why);
        for (size_t i = 0; !status && i < count; i++) {
            if (!messages[i].fresh || day_of(&messages[i]) != day)
                continue;
            status = message_put(&pieces, &messages[i], bus_topic_id, why);
            lines += (int64_t)messages[i].row_count;
        }
        if (!status)
            status = pieces_flush(&pieces, why);
        if (!status)
            status = db_copy_end(db, timeout_ms, why);
    }
    buf_done(&pieces.scratch);
    buf_done(&pieces.out);
    if (!status)
        *events = lines;
    return status;
}

void copy_event_id(const uint8_t message_key[SECRET_DIGEST_BYTES], uint32_t row, uint8_t out[SECRET_DIGEST_BYTES])
{
    const char number[4] = {(char)(row & 0xFF), (char)(row >> 8 & 0xFF), (char)(row >> 16 & 0xFF), (char)(row >> 24)};
    const struct text parts[] = {{(const char *)message_key, SECRET_DIGEST_BYTES}, {number, sizeof number}};

    secret_digest(parts, 2, NULL, out);
}

void copy_event_line(const struct device_message *message, uint32_t row, int bus_topic_id, struct buf *scratch,
                     struct buf *out)
{
    const struct event_row *event = &message->rows[row];
    uint8_t id[SECRET_DIGEST_BYTES];
    char id_text[2 * SECRET_DIGEST_BYTES + 1];

    copy_event_id(message->key, row, id);
    text_hex_encode(id, sizeof id, id_text);
    field_i64(out, message->record.workspace);
    field_text(out, device_message_text(message->record.device));
    field_text(out, device_message_text(message->record.module));
    field_time(out, message->record.received_at_us);
    field_time(out, event->time_stamp_us);
    field_text(out, event->time_local);
    field_text(out, text_of(id_text));
    field_text(out, event->sender_event_id);
    field_i64(out, event->element);
    field_text(out, event->type.bytes ? event->type : TEXT(""));
    field_text(out, event->category.bytes ? event->category : TEXT(""));
    field_text(out, event->name.bytes ? event->name : TEXT(""));
    field_text(out, event->is_empty ? TEXT("t") : TEXT("f"));
    field_i64(out, event->hit_count);
    field_text(out, message->agent_version);
    field_text(out, message->agent_id);
    field_text(out, event->remote_address);
    field_port(out, event->remote_port);
    field_port(out, event->local_port);
    field_text(out, event->executable);
    field_text(out, event->process_id);
    field_text(out, event->user_name);
    field_text(out, event->details.text);
    field_key_order(out, event->details.key_order, scratch);
    field_text(out, event->extra);
    field_departures(out, &event->departures, &message->departures, scratch);
    field_i64(out, bus_topic_id);
    field_i64(out, message->partition);
    buf_i64(out, message->offset);
    buf_byte(out, '\n');
}

static int64_t day_of(const struct device_message *message)
{
    return message->record.received_at_us / DAY_US;
}

/* The earliest day of fresh messages that is later than `day`; DAY_NONE when there is none. */
static int64_t day_after(int64_t day, const struct device_message *messages, size_t count)
{
    int64_t earliest = DAY_NONE;

    for (size_t i = 0; i < count; i++) {
        int64_t at = day_of(&messages[i]);
        if (messages[i].fresh && at > day && at < earliest)
            earliest = at;
    }
    return earliest;
}

/* A table's name cannot be a parameter: this one is made of the eight digits of a date. */
static enum status copy_begin(struct db *db, int64_t day, uint32_t timeout_ms, struct problem *why)
{
    static const char columns[] =
        " (workspace_id, device_id, module_id, time_generated, time_stamp, time_local, event_id,"
        " sender_event_id, element, type, category, name, is_empty, hit_count, agent_version, agent_id, remote_address,"
        " remote_port, local_port, executable, process_id, user_name, details, key_order, extra, departures,"
        " bus_topic_id, bus_partition, bus_offset) FROM STDIN";
    char date[CLOCK_TEXT_SIZE];
    struct buf sql;

    clock_format(day * DAY_US, date);
    buf_init(&sql, 1024);
    buf_format(&sql, "COPY picket.raw_event_%.4s%.2s%.2s", date, date + 5, date + 8);
    buf_string(&sql, columns);
    assert(!buf_failed(&sql));
    enum status status = db_copy_begin(db, sql.bytes, timeout_ms, why);
    buf_done(&sql);
    if (status == STATUS_FAULT && strcmp(db_sqlstate(db), "42P01") == 0)
        return problem_set(why, STATUS_RETRY, "there is no partition for events of %.10s", date);
    return status;
}

static enum status message_put(struct pieces *pieces, const struct device_message *message, int bus_topic_id,
                               struct problem *why)
{
    enum status status = STATUS_OK;

    for (uint32_t row = 0; !status && row < message->row_count; row++) {
        copy_event_line(message, row, bus_topic_id, &pieces->scratch, &pieces->out);
        if (pieces->out.count >= PIECE_BYTES)
            status = pieces_flush(pieces, why);
    }
    return status;
}

static enum status pieces_flush(struct pieces *pieces, struct problem *why)
{
    assert(!buf_failed(&pieces->out) && !buf_failed(&pieces->scratch));
    enum status status = pieces->out.count ? db_copy_put(pieces->db, buf_as_text(&pieces->out), why) : STATUS_OK;
    buf_clear(&pieces->out);
    return status;
}

static void field_end(struct buf *out)
{
    buf_byte(out, '\t');
}

static void field_text(struct buf *out, struct text value)
{
    db_copy_text(out, value);
    field_end(out);
}

static void field_i64(struct buf *out, int64_t value)
{
    buf_i64(out, value);
    field_end(out);
}

static void field_time(struct buf *out, int64_t utc_us)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(utc_us, text);
    buf_string(out, text);
    field_end(out);
}

static void field_port(struct buf *out, int32_t port)
{
    if (port == EVENT_PORT_NONE)
        field_text(out, TEXT_NONE);
    else
        field_i64(out, port);
}

static void field_key_order(struct buf *out, struct text key_order, struct buf *scratch)
{
    if (!key_order.bytes) {
        field_text(out, TEXT_NONE);
        return;
    }
    buf_clear(scratch);
    char *hex = buf_room(scratch, 2 * key_order.count + 1);
    if (!hex)
        return;
    text_hex_encode((const uint8_t *)key_order.bytes, key_order.count, hex);
    buf_text(out, TEXT("\\\\x"));
    buf_append(out, hex, 2 * key_order.count);
    field_end(out);
}

/* Those of the envelope as well, since the event is where they are looked for. A row that is the envelope has them already. */
static void field_departures(struct buf *out, const struct departures *own, const struct departures *of_envelope,
                             struct buf *scratch)
{
    if (!own->count && !of_envelope->count) {
        field_text(out, TEXT_NONE);
        return;
    }
    buf_clear(scratch);
    db_array_open(scratch);
    for (const struct departure *at = own->first; at; at = at->next)
        db_array_text(scratch, at->code);
    for (const struct departure *at = of_envelope->first; at; at = at->next)
        if (!departures_have(own, at->code))
            db_array_text(scratch, at->code);
    db_array_close(scratch);
    field_text(out, buf_as_text(scratch));
}

static bool departures_have(const struct departures *list, struct text code)
{
    for (const struct departure *at = list->first; at; at = at->next)
        if (text_equal(at->code, code))
            return true;
    return false;
}
