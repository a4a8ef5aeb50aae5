#include <stdlib.h>
#include <string.h>

#include "ingest/mqtt/topic.h"
#include "ingest/mqtt/websocket.h"
#include "runtime/buf.h"
#include "wire/limits.h"
#include "wire/mqtt_packet.h"

/* The readers beneath the handlers, without a network: packets of either version, topics with their property bags, and
 * WebSocket frames. What is read lies within what came; what was read, written and read again, is the same. The first
 * byte chooses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *begin, *end;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void span_check(struct picket_span span)
{
    must(!span.count || (span.bytes >= begin && span.bytes + span.count <= end));
}

static void properties_check(const struct picket_mqtt_properties *properties)
{
    const struct picket_span spans[] = {properties->content_type, properties->response_topic, properties->correlation,
                                        properties->auth_method,  properties->reason_string,  properties->user};
    struct picket_span rest = properties->user, name, value;
    size_t count = 0;

    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        span_check(spans[i]);
    for (; picket_mqtt_user_next(&rest, &name, &value); count++) {
        span_check(name);
        span_check(value);
    }
    must(count == properties->user_count);
}

static bool same(struct picket_span a, struct picket_span b)
{
    return a.count == b.count && (!a.count || memcmp(a.bytes, b.bytes, a.count) == 0);
}

static void connect_check(const struct picket_mqtt_frame *frame)
{
    struct picket_mqtt_connect connect, again;
    struct picket_mqtt_fault fault;
    struct picket_mqtt_frame written;
    struct picket_mqtt_writer writer;
    char bytes[70000];

    if (!picket_mqtt_read_connect(frame, &connect, &fault)) {
        must(fault.sentence && fault.reason);
        return;
    }
    if (connect.level != PICKET_MQTT_3_1_1 && connect.level != PICKET_MQTT_5)
        return;
    const struct picket_span spans[] = {connect.client_id, connect.will_topic, connect.will_payload, connect.user_name,
                                        connect.password};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        span_check(spans[i]);
    properties_check(&connect.properties);
    properties_check(&connect.will_properties);
    if (connect.has_will) /* which we never send */
        return;
    picket_mqtt_write_init(&writer, bytes, sizeof bytes, (enum picket_mqtt_version)connect.level);
    picket_mqtt_write_connect(&writer, &connect);
    size_t count = picket_mqtt_written(&writer);
    must(count > 0 && picket_mqtt_frame_read(bytes, count, &written, &fault) == PICKET_MQTT_WHOLE);
    must(written.total == count && picket_mqtt_read_connect(&written, &again, &fault));
    must(same(connect.client_id, again.client_id) && same(connect.user_name, again.user_name) &&
         same(connect.password, again.password) && connect.keep_alive_s == again.keep_alive_s && connect.clean == again.clean);
}

static void publish_check(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version)
{
    struct picket_mqtt_publish publish;
    struct picket_mqtt_fault fault;

    if (!picket_mqtt_read_publish(frame, version, &publish, &fault)) {
        must(fault.sentence && fault.reason);
        return;
    }
    span_check(publish.topic);
    span_check(publish.payload);
    properties_check(&publish.properties);
    must(publish.qos <= 2 && (publish.qos > 0) == (publish.id > 0));
}

static void subscribe_check(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version)
{
    struct picket_mqtt_subscribe subscribe;
    struct picket_mqtt_fault fault;
    size_t count = 0;
    uint8_t options;

    if (!picket_mqtt_read_subscribe(frame, version, &subscribe, &fault)) {
        must(fault.sentence && fault.reason);
        return;
    }
    struct picket_span rest = subscribe.filters, filter;
    for (; picket_mqtt_filter_next(&rest, frame->type == PICKET_MQTT_SUBSCRIBE, &filter, &options); count++)
        span_check(filter);
    must(count == subscribe.count && count > 0 && subscribe.id > 0);
    properties_check(&subscribe.properties);
}

static void frame_check(const char *bytes, size_t count, enum picket_mqtt_version version)
{
    struct picket_mqtt_frame frame;
    struct picket_mqtt_fault fault = {0, NULL};
    struct picket_mqtt_ack ack;
    struct picket_mqtt_connack connack;
    struct picket_mqtt_suback suback;
    struct picket_mqtt_disconnect disconnect;

    enum picket_mqtt_step step = picket_mqtt_frame_read(bytes, count, &frame, &fault);
    must(step != PICKET_MQTT_BROKEN || (fault.sentence && fault.reason));
    if (step != PICKET_MQTT_WHOLE)
        return;
    must(frame.total <= count && frame.body_count < frame.total && frame.body + frame.body_count == bytes + frame.total);
    begin = frame.body;
    end = frame.body + frame.body_count;
    switch (frame.type) {
    case PICKET_MQTT_CONNECT:
        connect_check(&frame);
        break;
    case PICKET_MQTT_PUBLISH:
        publish_check(&frame, version);
        break;
    case PICKET_MQTT_SUBSCRIBE:
    case PICKET_MQTT_UNSUBSCRIBE:
        subscribe_check(&frame, version);
        break;
    case PICKET_MQTT_CONNACK:
        if (picket_mqtt_read_connack(&frame, version, &connack, &fault))
            properties_check(&connack.properties);
        break;
    case PICKET_MQTT_SUBACK:
    case PICKET_MQTT_UNSUBACK:
        if (picket_mqtt_read_suback(&frame, version, &suback, &fault))
            span_check(suback.codes);
        break;
    case PICKET_MQTT_DISCONNECT:
    case PICKET_MQTT_AUTH:
        if (picket_mqtt_read_disconnect(&frame, version, &disconnect, &fault))
            properties_check(&disconnect.properties);
        break;
    case PICKET_MQTT_PINGREQ:
    case PICKET_MQTT_PINGRESP:
        (void)picket_mqtt_read_ping(&frame, &fault);
        break;
    default:
        if (picket_mqtt_read_ack(&frame, version, &ack, &fault))
            properties_check(&ack.properties);
        break;
    }
}

static void topic_check(struct text text)
{
    static char room[70000], object[PICKET_PROPERTIES_MAX];
    struct identity device = {1, TEXT("d1"), TEXT("")}, module = {1, TEXT("d1"), TEXT("m")};
    struct picket_json_writer writer;
    struct topic_bag bag;
    struct topic topic;

    for (int i = 0; i < 4; i++) {
        topic_read(text, i & 1 ? &module : &device, i & 2, &topic);
        (void)topic_filter(text, i & 1 ? &module : &device, i & 2);
        begin = text.bytes;
        end = text.bytes + text.count;
        if (topic.kind == TOPIC_EVENTS)
            span_check((struct picket_span){topic.bag.bytes, topic.bag.count});
    }
    picket_json_write_init(&writer, object, sizeof object);
    picket_json_open_object(&writer);
    topic_bag_read(text, room, &writer, &bag);
    picket_json_close_object(&writer);
    begin = room;
    end = room + sizeof room;
    span_check((struct picket_span){bag.message_id.bytes, bag.message_id.count});
    span_check((struct picket_span){bag.content_type.bytes, bag.content_type.count});
}

/* All payload bytes of the stream, fed in pieces of so many; a ping's control bytes count as payload too. */
static size_t websocket_all(const uint8_t *data, size_t size, size_t piece, uint8_t *out, enum websocket_event *last)
{
    static uint8_t bytes[70000];
    struct websocket websocket = {.header_count = 0};
    size_t got = 0;

    *last = WEBSOCKET_MORE;
    for (size_t at = 0; at < size;) {
        size_t count = size - at < piece ? size - at : piece, used = 0, payload = 0, from = 0;
        memcpy(bytes, data + at, count);
        at += count;
        while (from < count) {
            *last = websocket_read(&websocket, bytes + from, count - from, &used, &payload);
            must(used <= count - from && payload <= used);
            memcpy(out + got, bytes + from, payload);
            got += payload;
            if (*last == WEBSOCKET_PING) {
                must(websocket.control_count <= WEBSOCKET_CONTROL_MAX);
            } else if (*last != WEBSOCKET_MORE) {
                return got;
            } else {
                must(used == count - from);
            }
            from += used;
        }
    }
    return got;
}

static void websocket_check(const uint8_t *data, size_t size)
{
    static uint8_t whole[70000], pieces[70000];
    enum websocket_event of_whole, of_pieces;
    size_t count = websocket_all(data, size, size ? size : 1, whole, &of_whole);

    for (size_t piece = 1; piece < 8; piece += 3) {
        size_t again = websocket_all(data, size, piece, pieces, &of_pieces);
        must(again == count && memcmp(whole, pieces, count) == 0);
        must((of_whole == WEBSOCKET_BROKEN) == (of_pieces == WEBSOCKET_BROKEN));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 65536)
        return 0;
    char *exact = malloc(size); /* of just this size, for the address sanitizer */
    memcpy(exact, data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        frame_check(exact, size - 1, PICKET_MQTT_3_1_1);
        break;
    case 1:
        frame_check(exact, size - 1, PICKET_MQTT_5);
        break;
    case 2:
        topic_check((struct text){exact, size - 1});
        break;
    default:
        websocket_check(data + 1, size - 1);
        break;
    }
    free(exact);
    return 0;
}
