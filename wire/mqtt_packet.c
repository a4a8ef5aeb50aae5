#include "wire/mqtt_packet.h"

#include <string.h>

/* A run of bytes being read. It remembers its first failure, so that a packet is read straight through and asked once. */
struct reader {
    const char *at, *end;
    struct picket_mqtt_fault fault; /* sentence NULL while all is well */
};

/* What a property holds. */
enum form { FORM_BYTE, FORM_U16, FORM_U32, FORM_VARIABLE, FORM_STRING, FORM_BINARY, FORM_PAIR };

/* Packets that a property may stand in, as bits by type; the will's properties stand where type 0 would be. */
#define IN(type) (1u << PICKET_MQTT_##type)
#define IN_WILL 1u
#define IN_ACKS (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP))

static const struct {
    uint8_t id, form;
    uint16_t packets;
} property_table[] = {
    {0x01, FORM_BYTE, IN(PUBLISH) | IN_WILL},
    {0x02, FORM_U32, IN(PUBLISH) | IN_WILL},
    {0x03, FORM_STRING, IN(PUBLISH) | IN_WILL},
    {0x08, FORM_STRING, IN(PUBLISH) | IN_WILL},
    {0x09, FORM_BINARY, IN(PUBLISH) | IN_WILL},
    {0x0b, FORM_VARIABLE, IN(PUBLISH) | IN(SUBSCRIBE)},
    {0x11, FORM_U32, IN(CONNECT) | IN(CONNACK) | IN(DISCONNECT)},
    {0x12, FORM_STRING, IN(CONNACK)},
    {0x13, FORM_U16, IN(CONNACK)},
    {0x15, FORM_STRING, IN(CONNECT) | IN(CONNACK) | IN(AUTH)},
    {0x16, FORM_BINARY, IN(CONNECT) | IN(CONNACK) | IN(AUTH)},
    {0x17, FORM_BYTE, IN(CONNECT)},
    {0x18, FORM_U32, IN_WILL},
    {0x19, FORM_BYTE, IN(CONNECT)},
    {0x1a, FORM_STRING, IN(CONNACK)},
    {0x1c, FORM_STRING, IN(CONNACK) | IN(DISCONNECT)},
    {0x1f, FORM_STRING, IN(CONNACK) | IN_ACKS | IN(SUBACK) | IN(UNSUBACK) | IN(DISCONNECT) | IN(AUTH)},
    {0x21, FORM_U16, IN(CONNECT) | IN(CONNACK)},
    {0x22, FORM_U16, IN(CONNECT) | IN(CONNACK)},
    {0x23, FORM_U16, IN(PUBLISH)},
    {0x24, FORM_BYTE, IN(CONNACK)},
    {0x25, FORM_BYTE, IN(CONNACK)},
    {0x26, FORM_PAIR, 0xffff & ~(IN(PINGREQ) | IN(PINGRESP))},
    {0x27, FORM_U32, IN(CONNECT) | IN(CONNACK)},
    {0x28, FORM_BYTE, IN(CONNACK)},
    {0x29, FORM_BYTE, IN(CONNACK)},
    {0x2a, FORM_BYTE, IN(CONNACK)},
};
#define PROPERTIES (sizeof property_table / sizeof property_table[0])
#define USER_PROPERTY 0x26
#define SUBSCRIPTION_ID 0x0b

/* A value of any form. */
struct value {
    uint32_t number;
    struct picket_span text, second;
};

static const struct picket_span nothing = {NULL, 0};

static void fail(struct reader *reader, enum picket_mqtt_reason reason, const char *sentence)
{
    if (!reader->fault.sentence) {
        reader->fault.reason = reason;
        reader->fault.sentence = sentence;
    }
    reader->at = reader->end;
}

static void malformed(struct reader *reader, const char *sentence)
{
    fail(reader, PICKET_MQTT_MALFORMED, sentence);
}

static struct reader reader_of(struct picket_span bytes)
{
    const char *from = bytes.bytes ? bytes.bytes : ""; /* nothing may be added to NULL, not even 0 */
    struct reader reader = {from, from + bytes.count, {PICKET_MQTT_SUCCESS, NULL}};

    return reader;
}

static struct reader body_of(const struct picket_mqtt_frame *frame)
{
    struct picket_span body = {frame->body, frame->body_count};

    return reader_of(body);
}

/* The end of each reading: nothing may be left, and nothing may have failed. */
static bool finish(struct reader *reader, struct picket_mqtt_fault *fault)
{
    if (reader->at != reader->end)
        malformed(reader, "there are bytes behind the end of the packet");
    if (reader->fault.sentence)
        *fault = reader->fault;
    return !reader->fault.sentence;
}

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static struct picket_span read_bytes(struct reader *reader, size_t count)
{
    struct picket_span span = {reader->at, count};

    if (left(reader) < count) {
        malformed(reader, "the packet ends within a field");
        return nothing;
    }
    reader->at += count;
    return span;
}

static uint32_t read_number(struct reader *reader, size_t count)
{
    struct picket_span bytes = read_bytes(reader, count);
    uint32_t number = 0;

    for (size_t i = 0; i < bytes.count; i++)
        number = number << 8 | (uint8_t)bytes.bytes[i];
    return number;
}

static uint8_t read_byte(struct reader *reader)
{
    return (uint8_t)read_number(reader, 1);
}

static uint16_t read_u16(struct reader *reader)
{
    return (uint16_t)read_number(reader, 2);
}

/* MQTT 5 wants the shortest form of a length, and a fifth byte is never one. */
static uint32_t read_variable(struct reader *reader)
{
    uint32_t number = 0;

    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = read_byte(reader);
        number |= (uint32_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (!byte && shift)
            malformed(reader, "a length is not written in its shortest form");
        return number;
    }
    malformed(reader, "a length has more than four bytes");
    return 0;
}

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the well-formed UTF-8 sequence at the start (RFC 3629), 0 when there is none or it stands for U+0000. */
static size_t utf8_sequence(const uint8_t *at, size_t count)
{
    if (at[0] < 0x80)
        return at[0] != 0;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        return count >= 2 && is_tail(at[1]) ? 2 : 0;
    if (at[0] >= 0xe0 && at[0] <= 0xef) {
        if (count < 3 || !is_tail(at[1]) || !is_tail(at[2]))
            return 0;
        bool overlong = at[0] == 0xe0 && at[1] < 0xa0, surrogate = at[0] == 0xed && at[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (at[0] >= 0xf0 && at[0] <= 0xf4) {
        if (count < 4 || !is_tail(at[1]) || !is_tail(at[2]) || !is_tail(at[3]))
            return 0;
        bool overlong = at[0] == 0xf0 && at[1] < 0x90, beyond = at[0] == 0xf4 && at[1] >= 0x90;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

static bool utf8_valid(struct picket_span text)
{
    const uint8_t *at = (const uint8_t *)text.bytes, *end = at + text.count;

    while (at < end) {
        size_t count = utf8_sequence(at, (size_t)(end - at));
        if (!count)
            return false;
        at += count;
    }
    return true;
}

static struct picket_span read_binary(struct reader *reader)
{
    return read_bytes(reader, read_u16(reader));
}

static struct picket_span read_string(struct reader *reader)
{
    struct picket_span text = read_binary(reader);

    if (text.count && !utf8_valid(text)) {
        malformed(reader, "a string is not UTF-8, or has a NUL in it");
        return nothing;
    }
    return text;
}

static void read_value(struct reader *reader, enum form form, struct value *out)
{
    out->number = 0;
    out->text = out->second = nothing;
    switch (form) {
    case FORM_BYTE:
        out->number = read_byte(reader);
        break;
    case FORM_U16:
        out->number = read_u16(reader);
        break;
    case FORM_U32:
        out->number = read_number(reader, 4);
        break;
    case FORM_VARIABLE:
        out->number = read_variable(reader);
        break;
    case FORM_STRING:
        out->text = read_string(reader);
        break;
    case FORM_BINARY:
        out->text = read_binary(reader);
        break;
    case FORM_PAIR:
        out->text = read_string(reader);
        out->second = read_string(reader);
        break;
    }
}

static void demand(struct reader *reader, bool holds, const char *sentence)
{
    if (!holds)
        fail(reader, PICKET_MQTT_PROTOCOL_ERROR, sentence);
}

static void keep_value(struct reader *reader, uint8_t id, const struct value *value, struct picket_mqtt_properties *out)
{
    switch (id) {
    case 0x01:
        demand(reader, value->number <= 1, "the payload format is neither 0 nor 1");
        out->payload_is_text = value->number == 1;
        break;
    case 0x02:
        out->message_expiry = value->number;
        break;
    case 0x03:
        out->content_type = value->text;
        break;
    case 0x08:
        out->response_topic = value->text;
        demand(reader, value->text.count && !memchr(value->text.bytes, '#', value->text.count) &&
                           !memchr(value->text.bytes, '+', value->text.count),
               "the response topic is empty or has wildcards");
        break;
    case 0x09:
        out->correlation = value->text;
        break;
    case SUBSCRIPTION_ID:
        demand(reader, value->number != 0, "a subscription identifier is 0");
        out->has_subscription_id = true;
        break;
    case 0x11:
        out->has_session_expiry = true;
        out->session_expiry = value->number;
        break;
    case 0x15:
        out->auth_method = value->text;
        break;
    case 0x17:
        demand(reader, value->number <= 1, "Request Problem Information is neither 0 nor 1");
        out->request_problem = value->number == 1;
        break;
    case 0x18:
        out->will_delay = value->number;
        break;
    case 0x19:
        demand(reader, value->number <= 1, "Request Response Information is neither 0 nor 1");
        break;
    case 0x1f:
        out->reason_string = value->text;
        break;
    case 0x21:
        demand(reader, value->number != 0, "the receive maximum is 0");
        out->has_receive_maximum = true;
        out->receive_maximum = (uint16_t)value->number;
        break;
    case 0x23:
        out->has_alias = true;
        out->alias = (uint16_t)value->number;
        break;
    case 0x27:
        demand(reader, value->number != 0, "the maximum packet size is 0");
        out->has_packet_maximum = true;
        out->packet_maximum = value->number;
        break;
    default:
        break; /* checked, and of no use to us */
    }
}

/* The properties at the reader, if the version has any. `packet` is a bit of the table. */
static void read_properties(struct reader *reader, unsigned packet, struct picket_mqtt_properties *out)
{
    struct picket_span whole = read_bytes(reader, read_variable(reader));
    struct reader inner = reader_of(whole);
    uint32_t seen = 0;

    memset(out, 0, sizeof *out);
    out->request_problem = true;
    out->user = whole;
    while (left(&inner)) {
        uint32_t id = read_variable(&inner);
        struct value value;
        size_t row = 0;
        while (row < PROPERTIES && property_table[row].id != id)
            row++;
        if (row == PROPERTIES) {
            malformed(&inner, "a property that does not exist");
            break;
        }
        bool repeats = id == USER_PROPERTY || (id == SUBSCRIPTION_ID && packet == IN(PUBLISH));
        demand(&inner, property_table[row].packets & packet, "a property that this packet may not have");
        demand(&inner, repeats || !(seen >> row & 1), "a property stands twice");
        seen |= 1u << row;
        read_value(&inner, (enum form)property_table[row].form, &value);
        if (id == USER_PROPERTY)
            out->user_count++;
        else if (!inner.fault.sentence)
            keep_value(&inner, (uint8_t)id, &value, out);
    }
    if (inner.fault.sentence)
        fail(reader, inner.fault.reason, inner.fault.sentence);
    demand(reader, out->user_count <= PICKET_MQTT_USER_PROPERTIES_MAX, "more user properties than anybody takes");
}

bool picket_mqtt_user_next(struct picket_span *rest, struct picket_span *name, struct picket_span *value)
{
    struct reader reader = reader_of(*rest);
    bool found = false;

    while (!found && left(&reader)) {
        uint32_t id = read_variable(&reader);
        struct value held;
        size_t row = 0;
        while (row < PROPERTIES && property_table[row].id != id)
            row++;
        if (row == PROPERTIES)
            break;
        read_value(&reader, (enum form)property_table[row].form, &held);
        found = id == USER_PROPERTY && !reader.fault.sentence;
        *name = held.text;
        *value = held.second;
    }
    rest->bytes = reader.at;
    rest->count = left(&reader);
    return found;
}

static bool flags_fit(enum picket_mqtt_type type, unsigned flags)
{
    switch (type) {
    case PICKET_MQTT_PUBLISH:
        return true;
    case PICKET_MQTT_PUBREL:
    case PICKET_MQTT_SUBSCRIBE:
    case PICKET_MQTT_UNSUBSCRIBE:
        return flags == 2;
    case PICKET_MQTT_CONNECT:
    case PICKET_MQTT_CONNACK:
    case PICKET_MQTT_PUBACK:
    case PICKET_MQTT_PUBREC:
    case PICKET_MQTT_PUBCOMP:
    case PICKET_MQTT_SUBACK:
    case PICKET_MQTT_UNSUBACK:
    case PICKET_MQTT_PINGREQ:
    case PICKET_MQTT_PINGRESP:
    case PICKET_MQTT_DISCONNECT:
    case PICKET_MQTT_AUTH:
        break;
    }
    return flags == 0;
}

enum picket_mqtt_step picket_mqtt_frame_read(const char *bytes, size_t count, struct picket_mqtt_frame *out,
                                             struct picket_mqtt_fault *fault)
{
    uint32_t length = 0;
    size_t at = 1;

    memset(out, 0, sizeof *out);
    fault->reason = PICKET_MQTT_MALFORMED;
    if (!count)
        return PICKET_MQTT_MORE;
    if (!((uint8_t)bytes[0] >> 4)) {
        fault->sentence = "a packet of a type that does not exist";
        return PICKET_MQTT_BROKEN;
    }
    out->type = (enum picket_mqtt_type)((uint8_t)bytes[0] >> 4);
    out->flags = bytes[0] & 0x0f;
    if (!flags_fit(out->type, out->flags)) {
        fault->sentence = "reserved flags of a packet are set";
        return PICKET_MQTT_BROKEN;
    }
    for (;; at++) {
        if (at > 4) {
            fault->sentence = "the length of a packet has more than four bytes";
            return PICKET_MQTT_BROKEN;
        }
        if (at >= count)
            return PICKET_MQTT_MORE;
        length |= (uint32_t)(bytes[at] & 0x7f) << (7 * (at - 1));
        if (!(bytes[at] & 0x80))
            break;
    }
    at++;
    out->body = bytes + at;
    out->body_count = length;
    out->total = at + length;
    return count < out->total ? PICKET_MQTT_MORE : PICKET_MQTT_WHOLE;
}

static bool span_is(struct picket_span span, const char *word)
{
    return span.count == strlen(word) && memcmp(span.bytes, word, span.count) == 0;
}

static bool topic_valid(struct picket_span topic)
{
    return topic.count && !memchr(topic.bytes, '#', topic.count) && !memchr(topic.bytes, '+', topic.count);
}

static void read_will(struct reader *reader, struct picket_mqtt_connect *out)
{
    if (!out->has_will)
        return;
    if (out->level == PICKET_MQTT_5)
        read_properties(reader, IN_WILL, &out->will_properties);
    out->will_topic = read_string(reader);
    out->will_payload = read_binary(reader);
    if (!reader->fault.sentence && !topic_valid(out->will_topic))
        fail(reader, out->level == PICKET_MQTT_5 ? PICKET_MQTT_TOPIC_INVALID : PICKET_MQTT_PROTOCOL_ERROR,
             "the topic of the will is empty or has wildcards");
}

static void read_connect_flags(struct reader *reader, struct picket_mqtt_connect *out)
{
    uint8_t flags = read_byte(reader);

    out->clean = flags & 0x02;
    out->has_will = flags & 0x04;
    out->will_qos = flags >> 3 & 3;
    out->will_retain = flags & 0x20;
    out->has_password = flags & 0x40;
    out->has_user_name = flags & 0x80;
    if (flags & 0x01)
        malformed(reader, "the reserved flag of CONNECT is set");
    if (out->will_qos == 3 || (!out->has_will && (out->will_qos || out->will_retain)))
        malformed(reader, "the flags of the will contradict each other");
    if (out->level == PICKET_MQTT_3_1_1 && out->has_password && !out->has_user_name)
        malformed(reader, "a password without a user name");
}

bool picket_mqtt_read_connect(const struct picket_mqtt_frame *frame, struct picket_mqtt_connect *out,
                              struct picket_mqtt_fault *fault)
{
    struct reader reader = body_of(frame);

    memset(out, 0, sizeof *out);
    struct picket_span name = read_string(&reader);
    out->level = read_byte(&reader);
    if (!reader.fault.sentence && !span_is(name, "MQTT")) {
        if (span_is(name, "MQIsdp"))
            return true; /* MQTT 3.1: its level is 3 */
        malformed(&reader, "the protocol is not MQTT");
    }
    if (!reader.fault.sentence && out->level != PICKET_MQTT_3_1_1 && out->level != PICKET_MQTT_5)
        return true;
    read_connect_flags(&reader, out);
    out->keep_alive_s = read_u16(&reader);
    out->properties.request_problem = true;
    if (out->level == PICKET_MQTT_5)
        read_properties(&reader, IN(CONNECT), &out->properties);
    out->client_id = read_string(&reader);
    read_will(&reader, out);
    if (out->has_user_name)
        out->user_name = read_string(&reader);
    if (out->has_password)
        out->password = read_binary(&reader);
    return finish(&reader, fault);
}

bool picket_mqtt_read_connack(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                              struct picket_mqtt_connack *out, struct picket_mqtt_fault *fault)
{
    struct reader reader = body_of(frame);

    memset(out, 0, sizeof *out);
    uint8_t flags = read_byte(&reader);
    out->session_present = flags & 1;
    out->code = read_byte(&reader);
    if (flags > 1)
        malformed(&reader, "reserved flags of CONNACK are set");
    if (version == PICKET_MQTT_5 && left(&reader))
        read_properties(&reader, IN(CONNACK), &out->properties);
    return finish(&reader, fault);
}

bool picket_mqtt_read_publish(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                              struct picket_mqtt_publish *out, struct picket_mqtt_fault *fault)
{
    struct reader reader = body_of(frame);

    memset(out, 0, sizeof *out);
    out->retain = frame->flags & 1;
    out->qos = frame->flags >> 1 & 3;
    out->dup = frame->flags & 8;
    out->topic = read_string(&reader);
    if (out->qos)
        out->id = read_u16(&reader);
    if (out->qos == 3)
        malformed(&reader, "a PUBLISH with QoS 3");
    if (out->dup && !out->qos)
        malformed(&reader, "a PUBLISH with DUP and QoS 0");
    if (out->qos && !out->id)
        fail(&reader, PICKET_MQTT_PROTOCOL_ERROR, "a PUBLISH with packet identifier 0");
    if (version == PICKET_MQTT_5) {
        read_properties(&reader, IN(PUBLISH), &out->properties);
        demand(&reader, out->topic.count || out->properties.has_alias, "a PUBLISH without topic and alias");
    } else if (!out->topic.count) {
        malformed(&reader, "a PUBLISH without topic");
    }
    if (!reader.fault.sentence && out->topic.count && !topic_valid(out->topic))
        fail(&reader, PICKET_MQTT_TOPIC_INVALID, "a PUBLISH to a topic with wildcards");
    out->payload = read_bytes(&reader, left(&reader));
    return finish(&reader, fault);
}

static unsigned packet_bit(enum picket_mqtt_type type)
{
    return 1u << type;
}

bool picket_mqtt_read_ack(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                          struct picket_mqtt_ack *out, struct picket_mqtt_fault *fault)
{
    struct reader reader = body_of(frame);

    memset(out, 0, sizeof *out);
    out->id = read_u16(&reader);
    if (!out->id)
        fail(&reader, PICKET_MQTT_PROTOCOL_ERROR, "packet identifier 0");
    if (version == PICKET_MQTT_5 && left(&reader))
        out->reason = read_byte(&reader);
    if (version == PICKET_MQTT_5 && left(&reader))
        read_properties(&reader, packet_bit(frame->type), &out->properties);
    return finish(&reader, fault);
}

static bool options_fit(uint8_t options, enum picket_mqtt_version version)
{
    if ((options & 3) == 3)
        return false;
    return version == PICKET_MQTT_5 ? !(options & 0xc0) && (options & 0x30) != 0x30 : options <= 2;
}

bool picket_mqtt_read_subscribe(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                                struct picket_mqtt_subscribe *out, struct picket_mqtt_fault *fault)
{
    struct reader reader = body_of(frame);
    bool subscribes = frame->type == PICKET_MQTT_SUBSCRIBE;

    memset(out, 0, sizeof *out);
    out->id = read_u16(&reader);
    if (!out->id)
        fail(&reader, PICKET_MQTT_PROTOCOL_ERROR, "packet identifier 0");
    if (version == PICKET_MQTT_5)
        read_properties(&reader, packet_bit(frame->type), &out->properties);
    out->filters.bytes = reader.at;
    out->filters.count = left(&reader);
    while (left(&reader)) {
        struct picket_span filter = read_string(&reader);
        uint8_t options = subscribes ? read_byte(&reader) : 0;
        if (reader.fault.sentence)
            break;
        out->count++;
        if (!picket_mqtt_filter_valid(filter))
            fail(&reader, version == PICKET_MQTT_5 ? PICKET_MQTT_FILTER_INVALID : PICKET_MQTT_MALFORMED,
                 "a filter is empty, or has a wildcard where none may stand");
        if (!options_fit(options, version))
            malformed(&reader, "reserved options of a subscription are set");
    }
    if (!reader.fault.sentence && !out->count)
        fail(&reader, PICKET_MQTT_PROTOCOL_ERROR, "a packet without any filter");
    return finish(&reader, fault);
}

bool picket_mqtt_read_suback(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                             struct picket_mqtt_suback *out, struct picket_mqtt_fault *fault)
{
    struct picket_mqtt_properties properties;
    struct reader reader = body_of(frame);

    memset(out, 0, sizeof *out);
    out->id = read_u16(&reader);
    if (version == PICKET_MQTT_5)
        read_properties(&reader, packet_bit(frame->type), &properties);
    out->codes = read_bytes(&reader, left(&reader));
    return finish(&reader, fault);
}

bool picket_mqtt_read_disconnect(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                                 struct picket_mqtt_disconnect *out, struct picket_mqtt_fault *fault)
{
    struct reader reader = body_of(frame);

    memset(out, 0, sizeof *out);
    if (version == PICKET_MQTT_5 && left(&reader))
        out->reason = read_byte(&reader);
    if (version == PICKET_MQTT_5 && left(&reader))
        read_properties(&reader, packet_bit(frame->type), &out->properties);
    return finish(&reader, fault);
}

bool picket_mqtt_read_ping(const struct picket_mqtt_frame *frame, struct picket_mqtt_fault *fault)
{
    struct reader reader = body_of(frame);

    return finish(&reader, fault);
}

bool picket_mqtt_filter_next(struct picket_span *rest, bool with_options, struct picket_span *filter, uint8_t *options)
{
    struct reader reader = reader_of(*rest);

    if (!left(&reader))
        return false;
    *filter = read_string(&reader);
    *options = with_options ? read_byte(&reader) : 0;
    rest->bytes = reader.at;
    rest->count = left(&reader);
    return !reader.fault.sentence;
}

bool picket_mqtt_filter_valid(struct picket_span filter)
{
    for (size_t i = 0; i < filter.count; i++) {
        bool first = i == 0 || filter.bytes[i - 1] == '/', last = i + 1 == filter.count;
        if (filter.bytes[i] == '#' && (!first || !last))
            return false;
        if (filter.bytes[i] == '+' && (!first || (!last && filter.bytes[i + 1] != '/')))
            return false;
    }
    return filter.count != 0;
}
