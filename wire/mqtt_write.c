#include "wire/mqtt_packet.h"

#include <assert.h>
#include <string.h>

#define LENGTH_BYTES 4 /* kept for a length; what is not needed is closed up */

enum {
    PROPERTY_CONTENT_TYPE = 0x03,
    PROPERTY_SESSION_EXPIRY = 0x11,
    PROPERTY_SERVER_KEEP_ALIVE = 0x13,
    PROPERTY_REASON_STRING = 0x1f,
    PROPERTY_RECEIVE_MAXIMUM = 0x21,
    PROPERTY_MAXIMUM_QOS = 0x24,
    PROPERTY_USER = 0x26,
    PROPERTY_PACKET_MAXIMUM = 0x27,
    PROPERTY_SUBSCRIPTION_IDS = 0x29,
    PROPERTY_SHARED_SUBSCRIPTIONS = 0x2a,
};

static void write_bytes(struct picket_mqtt_writer *writer, const void *bytes, size_t count)
{
    if (writer->size - writer->count < count)
        writer->failed = true;
    if (writer->failed || !count)
        return;
    memcpy(writer->out + writer->count, bytes, count);
    writer->count += count;
}

static void write_number(struct picket_mqtt_writer *writer, uint32_t number, size_t count)
{
    uint8_t bytes[4];

    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(number >> 8 * (count - 1 - i));
    write_bytes(writer, bytes, count);
}

static void write_string(struct picket_mqtt_writer *writer, struct picket_span text)
{
    if (text.count > UINT16_MAX)
        writer->failed = true;
    write_number(writer, (uint32_t)text.count & UINT16_MAX, 2);
    write_bytes(writer, text.bytes, text.count);
}

/* Leaves room for a length, and returns where what it counts begins. */
static size_t open_length(struct picket_mqtt_writer *writer)
{
    write_number(writer, 0, LENGTH_BYTES);
    return writer->count;
}

/* `more` bytes that are not written here count as well. */
static void close_length(struct picket_mqtt_writer *writer, size_t from, size_t more)
{
    uint8_t bytes[LENGTH_BYTES];
    size_t used = 0;

    if (writer->failed)
        return;
    size_t length = writer->count - from + more;
    if (length > PICKET_MQTT_LENGTH_MAX) {
        writer->failed = true;
        return;
    }
    do {
        bytes[used] = (uint8_t)(length & 0x7f);
        length >>= 7;
        if (length)
            bytes[used] |= 0x80;
        used++;
    } while (length);
    char *at = writer->out + from - LENGTH_BYTES;
    memmove(at + used, at + LENGTH_BYTES, writer->count - from);
    memcpy(at, bytes, used);
    writer->count -= LENGTH_BYTES - used;
}

static size_t open_packet(struct picket_mqtt_writer *writer, enum picket_mqtt_type type, unsigned flags)
{
    write_number(writer, (uint32_t)type << 4 | flags, 1);
    return open_length(writer);
}

static void write_text_property(struct picket_mqtt_writer *writer, uint8_t id, struct picket_span text)
{
    if (!text.count)
        return;
    write_number(writer, id, 1);
    write_string(writer, text);
}

static void write_number_property(struct picket_mqtt_writer *writer, uint8_t id, uint32_t number, size_t count)
{
    write_number(writer, id, 1);
    write_number(writer, number, count);
}

static void write_pairs(struct picket_mqtt_writer *writer, const struct picket_mqtt_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        write_number(writer, PROPERTY_USER, 1);
        write_string(writer, pairs[i].name);
        write_string(writer, pairs[i].value);
    }
}

void picket_mqtt_write_init(struct picket_mqtt_writer *writer, char *out, size_t size, enum picket_mqtt_version version)
{
    writer->out = out;
    writer->size = size;
    writer->count = 0;
    writer->failed = false;
    writer->version = version;
}

size_t picket_mqtt_written(const struct picket_mqtt_writer *writer)
{
    return writer->failed ? 0 : writer->count;
}

void picket_mqtt_write_connack(struct picket_mqtt_writer *writer, bool session_present, uint8_t code,
                               const struct picket_mqtt_connack_options *options)
{
    size_t packet = open_packet(writer, PICKET_MQTT_CONNACK, 0);

    write_number(writer, session_present, 1);
    write_number(writer, code, 1);
    if (writer->version == PICKET_MQTT_5) {
        size_t properties = open_length(writer);
        if (options->has_session_expiry)
            write_number_property(writer, PROPERTY_SESSION_EXPIRY, options->session_expiry, 4);
        if (options->receive_maximum)
            write_number_property(writer, PROPERTY_RECEIVE_MAXIMUM, options->receive_maximum, 2);
        if (!code) {
            write_number_property(writer, PROPERTY_MAXIMUM_QOS, 1, 1);
            write_number_property(writer, PROPERTY_SUBSCRIPTION_IDS, 0, 1);
            write_number_property(writer, PROPERTY_SHARED_SUBSCRIPTIONS, 0, 1);
        }
        if (options->packet_maximum)
            write_number_property(writer, PROPERTY_PACKET_MAXIMUM, options->packet_maximum, 4);
        if (options->has_server_keep_alive)
            write_number_property(writer, PROPERTY_SERVER_KEEP_ALIVE, options->server_keep_alive, 2);
        write_text_property(writer, PROPERTY_REASON_STRING, options->reason_string);
        close_length(writer, properties, 0);
    }
    close_length(writer, packet, 0);
}

static void write_connect_properties(struct picket_mqtt_writer *writer, const struct picket_mqtt_properties *given)
{
    size_t properties = open_length(writer);

    if (given->has_session_expiry)
        write_number_property(writer, PROPERTY_SESSION_EXPIRY, given->session_expiry, 4);
    if (given->has_receive_maximum)
        write_number_property(writer, PROPERTY_RECEIVE_MAXIMUM, given->receive_maximum, 2);
    if (given->has_packet_maximum)
        write_number_property(writer, PROPERTY_PACKET_MAXIMUM, given->packet_maximum, 4);
    close_length(writer, properties, 0);
}

void picket_mqtt_write_connect(struct picket_mqtt_writer *writer, const struct picket_mqtt_connect *connect)
{
    static const struct picket_span protocol = {"MQTT", 4};
    unsigned flags = (connect->clean ? 0x02u : 0) | (connect->has_will ? 0x04u : 0) | connect->will_qos << 3 |
                     (connect->will_retain ? 0x20u : 0) | (connect->has_password ? 0x40u : 0) |
                     (connect->has_user_name ? 0x80u : 0);
    size_t packet = open_packet(writer, PICKET_MQTT_CONNECT, 0);

    write_string(writer, protocol);
    write_number(writer, writer->version, 1);
    write_number(writer, flags, 1);
    write_number(writer, connect->keep_alive_s, 2);
    if (writer->version == PICKET_MQTT_5)
        write_connect_properties(writer, &connect->properties);
    write_string(writer, connect->client_id);
    if (connect->has_will) {
        if (writer->version == PICKET_MQTT_5)
            write_number(writer, 0, 1);
        write_string(writer, connect->will_topic);
        write_string(writer, connect->will_payload);
    }
    if (connect->has_user_name)
        write_string(writer, connect->user_name);
    if (connect->has_password)
        write_string(writer, connect->password);
    close_length(writer, packet, 0);
}

void picket_mqtt_write_publish(struct picket_mqtt_writer *writer, const struct picket_mqtt_publish *publish,
                               const struct picket_mqtt_pair *pairs, size_t pair_count)
{
    unsigned flags = (publish->dup ? 8u : 0) | publish->qos << 1 | (publish->retain ? 1u : 0);
    size_t packet = open_packet(writer, PICKET_MQTT_PUBLISH, flags);

    write_string(writer, publish->topic);
    if (publish->qos)
        write_number(writer, publish->id, 2);
    if (writer->version == PICKET_MQTT_5) {
        size_t properties = open_length(writer);
        write_text_property(writer, PROPERTY_CONTENT_TYPE, publish->properties.content_type);
        write_pairs(writer, pairs, pair_count);
        close_length(writer, properties, 0);
    }
    if (publish->payload.bytes)
        write_bytes(writer, publish->payload.bytes, publish->payload.count);
    close_length(writer, packet, publish->payload.bytes ? 0 : publish->payload.count);
}

void picket_mqtt_write_puback(struct picket_mqtt_writer *writer, uint16_t id, enum picket_mqtt_reason reason,
                              struct picket_span reason_string, const struct picket_mqtt_pair *pairs, size_t pair_count)
{
    size_t packet = open_packet(writer, PICKET_MQTT_PUBACK, 0);

    write_number(writer, id, 2);
    if (writer->version == PICKET_MQTT_5 && (reason || pair_count || reason_string.count)) {
        write_number(writer, reason, 1);
        size_t properties = open_length(writer);
        write_text_property(writer, PROPERTY_REASON_STRING, reason_string);
        write_pairs(writer, pairs, pair_count);
        close_length(writer, properties, 0);
    }
    close_length(writer, packet, 0);
}

void picket_mqtt_write_subscribe(struct picket_mqtt_writer *writer, uint16_t id, struct picket_span filter, unsigned qos)
{
    size_t packet = open_packet(writer, PICKET_MQTT_SUBSCRIBE, 2);

    write_number(writer, id, 2);
    if (writer->version == PICKET_MQTT_5)
        write_number(writer, 0, 1);
    write_string(writer, filter);
    write_number(writer, qos, 1);
    close_length(writer, packet, 0);
}

static void write_codes(struct picket_mqtt_writer *writer, enum picket_mqtt_type type, uint16_t id,
                        struct picket_span codes)
{
    size_t packet = open_packet(writer, type, 0);

    write_number(writer, id, 2);
    if (writer->version == PICKET_MQTT_5)
        write_number(writer, 0, 1);
    write_bytes(writer, codes.bytes, codes.count);
    close_length(writer, packet, 0);
}

void picket_mqtt_write_suback(struct picket_mqtt_writer *writer, uint16_t id, const uint8_t *codes, size_t count)
{
    struct picket_span span = {(const char *)codes, count};

    write_codes(writer, PICKET_MQTT_SUBACK, id, span);
}

void picket_mqtt_write_unsuback(struct picket_mqtt_writer *writer, uint16_t id, const uint8_t *codes, size_t count)
{
    struct picket_span span = {(const char *)codes, writer->version == PICKET_MQTT_5 ? count : 0};

    write_codes(writer, PICKET_MQTT_UNSUBACK, id, span);
}

void picket_mqtt_write_ping(struct picket_mqtt_writer *writer, enum picket_mqtt_type type)
{
    assert(type == PICKET_MQTT_PINGREQ || type == PICKET_MQTT_PINGRESP);
    write_number(writer, (uint32_t)type << 4, 1);
    write_number(writer, 0, 1);
}

void picket_mqtt_write_disconnect(struct picket_mqtt_writer *writer, enum picket_mqtt_reason reason,
                                  struct picket_span reason_string)
{
    if (writer->version != PICKET_MQTT_5 && reason)
        return;
    size_t packet = open_packet(writer, PICKET_MQTT_DISCONNECT, 0);
    if (writer->version == PICKET_MQTT_5 && reason) {
        write_number(writer, reason, 1);
        if (reason_string.count) {
            size_t properties = open_length(writer);
            write_text_property(writer, PROPERTY_REASON_STRING, reason_string);
            close_length(writer, properties, 0);
        }
    }
    close_length(writer, packet, 0);
}
