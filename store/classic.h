#ifndef PICKET_STORE_CLASSIC_H
#define PICKET_STORE_CLASSIC_H

#include "runtime/secret.h"
#include "store/departures.h"
#include "store/details.h"
#include "store/ledger.h"
#include "wire/bus_record.h"

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
static inline struct text classic_text(struct picket_span span)
{
    return span.bytes ? (struct text){span.bytes, span.count} : TEXT("");
}

struct classic_decoder {
    struct details_writer writer;
    unsigned depth_max;
};
void classic_decoder_init(struct classic_decoder *decoder, unsigned depth_max);
void classic_decoder_done(struct classic_decoder *decoder);

/* Fills everything after `key` from `record` and `body`; at least one row results, so that every message is found again:
 *  - an object with an array "Events" is the classic envelope: a row per payload element;
 *  - any other JSON is one row of type Custom whose details are the document;
 *  - bytes that do not claim to be JSON are a Custom row with the body as base64.
 * STATUS_REJECT: the body claims to be JSON and is not; `why` says where. */
MUST_CHECK enum status classic_decode(struct classic_decoder *decoder, struct device_message *message,
                                      struct arena *arena, struct problem *why);

/* A record of kind `door`: what the front door saw of one identity. Fills the same fields with one row of type Picket
 * whose details are the value; `*refused` becomes the object of counted refusals, NULL when there is none.
 * STATUS_REJECT: the value is not the JSON that docs/bus.md describes. */
MUST_CHECK enum status classic_decode_door(struct classic_decoder *decoder, struct device_message *message,
                                           struct arena *arena, const struct json_node **refused, struct problem *why);

#endif
