#include "ingest/mqtt/reply.h"

#include <stdlib.h>

#define OUT_MAX_BYTES ((size_t)1024 * 1024)
#define PACKET_ROOM 2048 /* for any packet but PUBLISH */
#define SENTENCE_MAX 512 /* of a reason string */

static struct picket_span span_of(const char *sentence)
{
    size_t count = sentence ? strlen(sentence) : 0;

    return (struct picket_span){sentence, count > SENTENCE_MAX ? SENTENCE_MAX : count};
}

/* Room for `count` bytes behind what waits. False: too much waits already, and the session was dropped. */
static bool out_room(struct session *session, size_t count)
{
    size_t waiting = session->out_count - session->out_sent;

    if (session->state == SESSION_CLOSED)
        return false;
    if (waiting + count > OUT_MAX_BYTES) {
        session_drop(session, "the client does not read");
        return false;
    }
    if (session->out_sent) {
        memmove(session->out, session->out + session->out_sent, waiting);
        session->out_count = waiting;
        session->out_sent = 0;
    }
    if (waiting + count <= session->out_room)
        return true;
    size_t room = 2 * session->out_room > waiting + count ? 2 * session->out_room : waiting + count;
    char *out = realloc(session->out, room);
    if (!out)
        abort();
    session->out = out;
    session->out_room = room;
    return true;
}

static bool writer_open(struct session *session, size_t room, struct picket_mqtt_writer *writer)
{
    if (!out_room(session, room))
        return false;
    picket_mqtt_write_init(writer, session->out + session->out_count, session->out_room - session->out_count,
                           session_version(session));
    return true;
}

static void writer_close(struct session *session, const struct picket_mqtt_writer *writer)
{
    if (session->out_count == session->out_sent)
        session->wrote_ms = 0; /* nothing waited: the clock for a client that does not read starts with the next attempt */
    session->out_count += picket_mqtt_written(writer);
}

static uint8_t connack_code(enum picket_mqtt_version version, enum picket_mqtt_reason reason)
{
    if (version == PICKET_MQTT_5)
        return (uint8_t)reason;
    switch (reason) {
    case PICKET_MQTT_SUCCESS:
        return 0;
    case PICKET_MQTT_UNSUPPORTED_VERSION:
        return 1;
    case PICKET_MQTT_ID_INVALID:
        return 2;
    case PICKET_MQTT_UNAVAILABLE:
    case PICKET_MQTT_BUSY:
    case PICKET_MQTT_SHUTTING_DOWN:
        return 3;
    case PICKET_MQTT_BAD_CREDENTIALS:
        return 4;
    default:
        return 5;
    }
}

void reply_connack(struct session *session, enum picket_mqtt_reason reason, bool resumed, const char *sentence)
{
    const struct ingest_settings *settings = session_parts(session)->settings;
    struct picket_mqtt_connack_options options = {
        .receive_maximum = (uint16_t)settings->mqtt_inflight_max,
        .packet_maximum = (uint32_t)settings->body_bytes_max + SESSION_SCRATCH_BYTES,
        .has_session_expiry = session->keep,
        .session_expiry = session->keep_ms / 1000 < UINT32_MAX ? (uint32_t)(session->keep_ms / 1000) : UINT32_MAX,
        .has_server_keep_alive = session->keep_alive_ms == SESSION_KEEP_ALIVE_MAX_MS,
        .server_keep_alive = SESSION_KEEP_ALIVE_MAX_S,
        .reason_string = span_of(session->explain ? sentence : NULL),
    };
    struct picket_mqtt_writer writer;

    if (reason)
        options = (struct picket_mqtt_connack_options){.reason_string = options.reason_string};
    if (!writer_open(session, PACKET_ROOM, &writer))
        return;
    picket_mqtt_write_connack(&writer, resumed, connack_code(session_version(session), reason), &options);
    writer_close(session, &writer);
}

void reply_puback(struct session *session, uint16_t id, enum picket_mqtt_reason reason, const char *sentence,
                  const struct bus_receipt *receipt)
{
    struct picket_mqtt_pair pair = {{"receipt", 7}, {NULL, 0}};
    struct picket_mqtt_writer writer;
    char printed[BUS_RECEIPT_SIZE];

    if (receipt && session->version == PICKET_MQTT_5) {
        bus_receipt_print(receipt, printed);
        pair.value = span_of(printed);
    }
    if (!writer_open(session, PACKET_ROOM, &writer))
        return;
    picket_mqtt_write_puback(&writer, id, reason, span_of(session->explain ? sentence : NULL), &pair, pair.value.count > 0);
    writer_close(session, &writer);
}

void reply_suback(struct session *session, uint16_t id, const uint8_t *codes, size_t count)
{
    struct picket_mqtt_writer writer;

    if (!writer_open(session, PACKET_ROOM + count, &writer))
        return;
    picket_mqtt_write_suback(&writer, id, codes, count);
    writer_close(session, &writer);
}

void reply_unsuback(struct session *session, uint16_t id, const uint8_t *codes, size_t count)
{
    struct picket_mqtt_writer writer;

    if (!writer_open(session, PACKET_ROOM + count, &writer))
        return;
    picket_mqtt_write_unsuback(&writer, id, codes, count);
    writer_close(session, &writer);
}

void reply_pong(struct session *session)
{
    struct picket_mqtt_writer writer;

    if (!writer_open(session, PACKET_ROOM, &writer))
        return;
    picket_mqtt_write_ping(&writer, PICKET_MQTT_PINGRESP);
    writer_close(session, &writer);
}

void reply_disconnect(struct session *session, enum picket_mqtt_reason reason, const char *sentence)
{
    struct picket_mqtt_writer writer;

    if (session->version != PICKET_MQTT_5 || !writer_open(session, PACKET_ROOM, &writer))
        return;
    picket_mqtt_write_disconnect(&writer, reason, span_of(session->explain ? sentence : NULL));
    writer_close(session, &writer);
}

void reply_publish(struct session *session, struct text topic, uint16_t id, struct text payload)
{
    struct picket_mqtt_publish publish = {.qos = id ? 1 : 0,
                                          .id = id,
                                          .topic = {topic.bytes, topic.count},
                                          .payload = {payload.bytes ? payload.bytes : "", payload.count}};
    struct picket_mqtt_writer writer;

    if (!writer_open(session, PACKET_ROOM + topic.count + payload.count, &writer))
        return;
    picket_mqtt_write_publish(&writer, &publish, NULL, 0);
    if (session->packet_maximum && picket_mqtt_written(&writer) > session->packet_maximum)
        return; /* as the standard has it: as if it had been sent */
    writer_close(session, &writer);
}
