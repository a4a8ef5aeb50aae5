#ifndef PICKET_INGEST_MQTT_TOPIC_H
#define PICKET_INGEST_MQTT_TOPIC_H

#include "ingest/identity.h"
#include "ingest/presence.h"
#include "wire/json_writer.h"
#include "wire/span.h"

/* IoT Hub's topics: which is this, for the identity that names it? A topic may name ids as they are or
 * percent-encoded. Facts: iot-mqtt-connect-to-iot-hub and -dps in Microsoft's documentation. */
enum topic_kind {
    TOPIC_FOREIGN,       /* not one of the identity's own */
    TOPIC_EVENTS,        /* device to cloud, with a property bag */
    TOPIC_TWIN_GET,
    TOPIC_TWIN_REPORTED,
    TOPIC_METHOD_RESULT,
    TOPIC_REGISTER,      /* the two of $dps: only a connection for enrolment has them */
    TOPIC_OPERATION,
};

struct topic {
    enum topic_kind kind;
    struct text bag;       /* of TOPIC_EVENTS, encoded; may be empty */
    struct text request;   /* $rid, as it stands there; empty when missing */
    struct text operation; /* operationId of TOPIC_OPERATION */
    int64_t status;        /* of TOPIC_METHOD_RESULT */
};

/* What is published to. `enrolment`: the connection speaks to $dps, and to nothing else. */
void topic_read(struct text topic, const struct identity *identity, bool enrolment, struct topic *out);

/* What a filter asks for, as one bit of presence.h; 0: not one of the identity's own. */
uint32_t topic_filter(struct text filter, const struct identity *identity, bool enrolment);

/* What the intake needs to know of a message's properties, decoded; the texts lie in `room`. */
struct topic_bag {
    struct text message_id, content_type, content_encoding, indicator; /* $.mid, $.ct, $.ce, mti */
    bool any;
};

/* Writes the members of an encoded bag into `out`, an open object, with the names that ingest/http_front.c gives them.
 * A broken escape stays as it is written; of members with one name the last counts. Decoded values lie in `room`, which
 * has at least `bag.count` bytes, for as long as it does. Too many members, or too long a name, fail `out`. */
void topic_bag_read(struct text bag, char *room, struct picket_json_writer *out, struct topic_bag *found);

/* Appends "name=value" to a bag, encoded (RFC 3986: all but letters, digits and - . _ ~), with '&' in front unless it is
 * the first. */
struct buf;
void topic_bag_add(struct buf *topic, bool *first, struct text name, struct text value);

#endif
