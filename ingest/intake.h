#ifndef PICKET_INGEST_INTAKE_H
#define PICKET_INGEST_INTAKE_H

#include "ingest/door.h"
#include "ingest/ingest.h"
#include "ingest/roster.h"

/* The one way in, for every front: quota → decompress → decode → bus → answer. The sender was
 * authenticated before. */
struct intake;

struct intake_answer {
    unsigned code;         /* as HTTP says it: 204, 400, 413, 415, 429, 500, 503 */
    const char *name;      /* "InvalidJson"; NULL with 204 */
    const char *message;   /* for the sender; valid during the call */
    unsigned line, column; /* of broken JSON, else 0 */
    unsigned retry_after_s; /* 429 and 503 */
    const struct bus_receipt *receipt; /* 204 only; valid during the call */
};

/* One message. The texts are borrowed until intake_take() returns, identity and the struct itself until the answer. */
struct intake_message {
    struct identity identity;
    struct roster_entry entry;         /* the limits of who sends, */
    struct roster_workspace workspace; /* and of the workspace */
    struct text transport;             /* "https", "mqtt" */
    struct text content_coding;        /* Content-Encoding: undone here */
    struct text content_type;          /* HTTP's Content-Type */
    struct text property_type, property_encoding, indicator; /* $.ct, $.ce and mti */
    struct text message_id;            /* $.mid */
    struct text properties;            /* JSON object text of all properties, or empty */
    struct text body;
    int64_t received_at_us;
    /* The sender has no way to hear of a refusal (MQTT 3.1.1, QoS 0): what is wrong with the message itself makes it a
     * dead letter, and the answer is 204 once that is durable. */
    bool cannot_refuse;
    /* Called exactly once, in intake_take() or later from a thread of the bus: short, and never blocking. */
    void (*answered)(void *context, const struct intake_answer *answer);
    void *context;
    struct intake *intake; /* intake.c's own, as the next */
    size_t charged_bytes;
    struct text refused;
};

/* `bus` and `door` are borrowed until intake_close(). */
struct intake *intake_open(const struct ingest_settings *settings, struct bus *bus, struct door *door);
/* Waits until every message under way was answered; false when that did not come within `timeout_ms`: the bus still
 * holds what is borrowed from here, so nothing may be freed. */
bool intake_idle(struct intake *intake, uint32_t timeout_ms);
void intake_close(struct intake *take_intake);

/* Counts a refusal that a front came to by itself, before intake_take(), and tells the door of it. */
void intake_refused(struct intake *intake, const struct intake_message *message, const struct intake_answer *answer);

/* Any thread. */
void intake_take(struct intake *intake, struct intake_message *message);

#endif
