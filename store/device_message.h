#ifndef PICKET_STORE_DEVICE_MESSAGE_H
#define PICKET_STORE_DEVICE_MESSAGE_H

#include "runtime/secret.h"
#include "store/departures.h"
#include "store/details.h"
#include "store/ledger.h"
#include "wire/bus_record.h"

/* A message as store writes it, whatever form it came in: one row of picket.message and its rows of picket.raw_event. */
#define EVENT_PORT_NONE (-1)

/* One row of picket.raw_event: what differs between the rows of a message. */
struct event_row {
    int64_t time_stamp_us;
    struct text time_local, sender_event_id; /* TEXT_NONE: NULL */
    int32_t element;
    struct text type, category, name;
    bool is_empty;
    int64_t hit_count;
    struct text remote_address, executable, process_id, user_name; /* TEXT_NONE: NULL */
    int32_t remote_port, local_port;                               /* EVENT_PORT_NONE: NULL */
    struct details details;
    struct text extra; /* JSON object, TEXT_NONE: NULL */
    struct departures departures;
};

/* A record of kind `message` and what it holds. Text is borrowed from the record's body and headers, or from the arena. */
struct device_message {
    struct picket_record record;
    struct text body;
    int32_t partition;
    int64_t offset;
    uint8_t key[SECRET_DIGEST_BYTES];
    struct event_row *rows;
    size_t row_count, row_room;
    struct departures departures; /* of the envelope */
    struct text agent_version, agent_id, extra;
    struct text properties; /* JSON object that PostgreSQL takes; TEXT_NONE: none */
    const struct ledger_report *report; /* NULL: the message bears no Sequence */
    bool fresh;                         /* not seen before: set by messages_insert() */
};

/* A field of a record; empty when it is absent. */
static inline struct text device_message_text(struct picket_span span)
{
    return span.bytes ? (struct text){span.bytes, span.count} : TEXT("");
}

/* No rows yet, and nothing known but the record. */
void device_message_clear(struct device_message *message, struct arena *arena);
/* Room for so many rows, which device_message_row() then gives one after the other; the caller fills them. */
void device_message_room(struct device_message *message, size_t rows, struct arena *arena);
struct event_row *device_message_row(struct device_message *message);
/* A row of type Custom whose details the caller fills. */
struct event_row *device_message_custom_row(struct device_message *message, struct arena *arena);
/* A row of type Custom with the body as base64 beside its content type. */
void device_message_bytes_row(struct device_message *message, struct arena *arena);
/* Fills the columns that a payload element has members for, and its details. */
void event_row_fill(struct event_row *row, const struct json_node *element, struct details_writer *writer,
                    struct arena *arena);
/* Whether a device's clock can have said this of a message received at `received_at_us`; both microseconds since 1970. */
bool device_message_time_plausible(int64_t time_us, int64_t received_at_us);

#endif
