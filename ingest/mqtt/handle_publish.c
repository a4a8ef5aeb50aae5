#include "ingest/mqtt/session.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/door.h"
#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "ingest/mqtt/call.h"
#include "ingest/mqtt/reply.h"
#include "ingest/mqtt/topic.h"
#include "runtime/clock.h"
#include "wire/micro_message.h"

/* A message from its PUBLISH to its acknowledgement. Answers come from the bus in any order and on any thread;
 * acknowledgements leave in the order of the messages. */

#define BUSY_RETRY_MS 200 /* until the bus may take more: the client waits, as TCP has it */
#define SENTENCE_SIZE 256
#define USER_PROPERTY_NAME_MAX 512

struct publish {
    struct loop_post post;
    struct publish *next; /* of the session */
    struct session *session;
    struct intake_message message;
    uint16_t id;
    bool acknowledged; /* QoS 1 */
    bool answered;     /* what follows is known */
    unsigned code, retry_after_s;
    bool has_receipt;
    struct bus_receipt receipt;
    char sentence[SENTENCE_SIZE];
};

static _Thread_local const struct mqtt_loop *taking; /* the loop whose thread is within intake_take() */

static enum session_verdict events_take(struct session *session, const struct picket_mqtt_publish *packet,
                                        const struct topic *topic);
static bool properties_read(struct publish *publish, const struct picket_mqtt_publish *packet, const struct topic *topic,
                            char *room, struct picket_json_writer *out);
static struct publish *publish_new(struct session *session, const struct picket_mqtt_publish *packet);
static void publish_queue(struct session *session, struct publish *publish);
static void publish_answered(void *context, const struct intake_answer *answer);
static void publish_heard(struct loop_post *post);
static void publishes_acknowledge(struct session *session);
static void publish_acknowledge(struct session *session, const struct publish *publish);
static void publish_free(struct publish *take_publish);

enum session_verdict handle_publish(struct session *session, const struct picket_mqtt_frame *frame)
{
    struct picket_mqtt_publish packet;
    struct picket_mqtt_fault fault;
    struct topic topic;

    if (!picket_mqtt_read_publish(frame, session_version(session), &packet, &fault)) {
        session_close(session, fault.reason, fault.sentence);
        return SESSION_TAKEN;
    }
    if (packet.qos == 2) {
        session_close(session, PICKET_MQTT_QOS_UNSUPPORTED, "a PUBLISH with QoS 2");
        return SESSION_TAKEN;
    }
    if (packet.properties.has_alias) {
        session_close(session, PICKET_MQTT_ALIAS_INVALID, "topic aliases were not offered");
        return SESSION_TAKEN;
    }
    if (packet.properties.has_subscription_id) {
        session_close(session, PICKET_MQTT_PROTOCOL_ERROR, "a client's PUBLISH bears a subscription identifier");
        return SESSION_TAKEN;
    }
    if (packet.qos && session->inflight_acknowledged >= (unsigned)session_parts(session)->settings->mqtt_inflight_max &&
        session->version == PICKET_MQTT_5) {
        session_close(session, PICKET_MQTT_RECEIVE_MAXIMUM, "more messages under way than the receive maximum");
        return SESSION_TAKEN;
    }
    topic_read((struct text){packet.topic.bytes, packet.topic.count}, &session->member.identity, session->enrolling, &topic);
    switch (topic.kind) {
    case TOPIC_EVENTS:
        return events_take(session, &packet, &topic);
    case TOPIC_TWIN_GET:
    case TOPIC_TWIN_REPORTED:
    case TOPIC_METHOD_RESULT:
    case TOPIC_REGISTER:
    case TOPIC_OPERATION:
        return call_take(session, &packet, &topic);
    case TOPIC_FOREIGN:
        break;
    }
    session_close(session, PICKET_MQTT_NOT_AUTHORIZED, "a PUBLISH to a topic that is not the identity's own");
    return SESSION_TAKEN;
}

enum session_verdict handle_puback(struct session *session, const struct picket_mqtt_frame *frame)
{
    struct picket_mqtt_fault fault;
    struct picket_mqtt_ack ack;

    if (!picket_mqtt_read_ack(frame, session_version(session), &ack, &fault))
        session_close(session, fault.reason, fault.sentence);
    else
        (void)call_cloud_settle(session, ack.id, ack.reason < 0x80 ? CLOUD_COMPLETED : CLOUD_REJECTED);
    return SESSION_TAKEN;
}

void handle_will(struct session *session)
{
    struct session_will *will = session->will;
    struct picket_mqtt_publish packet = {.topic = will->topic,
                                         .payload = will->payload,
                                         .retain = will->retain,
                                         .properties = {.content_type = {will->content_type.bytes, will->content_type.count}}};
    struct topic topic;

    session->will = NULL;
    topic_read((struct text){will->topic.bytes, will->topic.count}, &session->member.identity, false, &topic);
    if (events_take(session, &packet, &topic) == SESSION_HELD)
        door_refused(session_parts(session)->door, &session->member.identity, 503, "the will could not be stored");
    free(will);
}

struct publish *publish_open(struct session *session, const struct picket_mqtt_publish *packet)
{
    struct publish *publish = publish_new(session, packet);

    publish->code = 204;
    publish_queue(session, publish);
    return publish;
}

void publish_settle(struct publish *publish)
{
    struct session *session = publish->session;

    publish->answered = true;
    publishes_acknowledge(session);
}

static struct text text_of_span(struct picket_span span)
{
    return (struct text){span.bytes, span.count};
}

static enum session_verdict events_take(struct session *session, const struct picket_mqtt_publish *packet,
                                        const struct topic *topic)
{
    struct mqtt_front_parts *parts = session_parts(session);
    struct publish *publish = publish_new(session, packet);
    char properties[PICKET_PROPERTIES_MAX], *room = malloc(topic->bag.count + 1);
    struct picket_json_writer writer;

    if (!room)
        abort();
    picket_json_write_init(&writer, properties, sizeof properties);
    bool any = properties_read(publish, packet, topic, room, &writer);
    size_t count = picket_json_written(&writer);
    publish->message.properties = any && count ? (struct text){properties, count} : TEXT_NONE;
    if (count) {
        taking = session->loop;
        intake_take(parts->intake, &publish->message);
        taking = NULL;
    } else {
        struct intake_answer answer = {.code = 400, .message = "the properties of the message are longer than 16 KiB"};
        intake_refused(parts->intake, &publish->message, &answer);
        taking = session->loop;
        publish_answered(publish, &answer);
        taking = NULL;
    }
    free(room);
    if (publish->answered && (publish->code == 429 || publish->code == 503)) {
        session_pause(session, publish->code == 429 ? publish->retry_after_s * 1000 : BUSY_RETRY_MS);
        publish_free(publish);
        return SESSION_HELD;
    }
    publish_queue(session, publish);
    publishes_acknowledge(session);
    return SESSION_TAKEN;
}

static void publish_queue(struct session *session, struct publish *publish)
{
    *session->publishes_end = publish;
    session->publishes_end = &publish->next;
    session->inflight++;
    session->inflight_acknowledged += publish->acknowledged;
}

/* Returns whether there are any. */
static bool properties_read(struct publish *publish, const struct picket_mqtt_publish *packet, const struct topic *topic,
                            char *room, struct picket_json_writer *out)
{
    struct intake_message *message = &publish->message;
    struct picket_span rest = packet->properties.user, name, value;
    struct topic_bag bag;

    picket_json_open_object(out);
    topic_bag_read(topic->bag, room, out, &bag);
    while (picket_mqtt_user_next(&rest, &name, &value)) {
        char copy[USER_PROPERTY_NAME_MAX];
        if (name.count >= sizeof copy) {
            out->failed = true;
            break;
        }
        memcpy(copy, name.bytes, name.count);
        copy[name.count] = 0;
        picket_json_write_name(out, copy);
        picket_json_write_string(out, value.bytes, value.count);
        if (text_equal(text_of(copy), TEXT(PICKET_MICRO_INDICATOR)))
            bag.indicator = text_of_span(value);
        bag.any = true;
    }
    if (packet->retain) {
        picket_json_write_name(out, "mqtt-retain");
        picket_json_write_string(out, "true", 4);
        bag.any = true;
    }
    picket_json_close_object(out);
    message->message_id = bag.message_id;
    message->property_type = bag.content_type;
    message->property_encoding = bag.content_encoding;
    message->indicator = bag.indicator;
    message->content_type = text_of_span(packet->properties.content_type);
    return bag.any;
}

static struct publish *publish_new(struct session *session, const struct picket_mqtt_publish *packet)
{
    struct publish *publish = calloc(1, sizeof *publish);

    if (!publish)
        abort();
    session_hold(session);
    publish->post.run = publish_heard;
    publish->session = session;
    publish->id = packet->id;
    publish->acknowledged = packet->qos > 0;
    publish->message = (struct intake_message){
        .identity = session->member.identity,
        .entry = session->entry,
        .workspace = session->workspace,
        .transport = TEXT("mqtt"),
        .body = packet->payload.count ? text_of_span(packet->payload) : TEXT(""),
        .received_at_us = clock_utc_us(),
        .cannot_refuse = session->version != PICKET_MQTT_5 || !packet->qos,
        .answered = publish_answered,
        .context = publish,
    };
    return publish;
}

/* Any thread; on the loop's own within intake_take() only. */
static void publish_answered(void *context, const struct intake_answer *answer)
{
    struct publish *publish = context;
    struct session *session = publish->session;

    publish->code = answer->code;
    publish->retry_after_s = answer->retry_after_s ? answer->retry_after_s : 1;
    if (answer->message)
        memccpy(publish->sentence, answer->message, 0, sizeof publish->sentence - 1);
    if (answer->receipt) {
        publish->receipt = *answer->receipt;
        publish->has_receipt = true;
    }
    if (taking == session->loop)
        publish->answered = true;
    else
        loop_post(session->loop->loop, &publish->post);
}

static void publish_heard(struct loop_post *post)
{
    struct publish *publish = (struct publish *)post;
    struct session *session = publish->session;

    session_hold(session);
    publish->answered = true;
    publishes_acknowledge(session);
    if (session->state != SESSION_CLOSED)
        session_go_on(session);
    session_release(session);
}

static void publishes_acknowledge(struct session *session)
{
    while (session->publishes && session->publishes->answered) {
        struct publish *publish = session->publishes;
        session->publishes = publish->next;
        if (!session->publishes)
            session->publishes_end = &session->publishes;
        session->inflight--;
        session->inflight_acknowledged -= publish->acknowledged;
        if (session->state == SESSION_LIVE)
            publish_acknowledge(session, publish);
        publish_free(publish);
    }
    if (session->loop->stopping && !session->publishes)
        session_close(session, PICKET_MQTT_SHUTTING_DOWN, "the server stops");
}

/* What could not be made durable is not acknowledged: the client is sent away, comes back, and sends it again. */
static void publish_acknowledge(struct session *session, const struct publish *publish)
{
    switch (publish->code) {
    case 204:
        if (publish->acknowledged)
            reply_puback(session, publish->id, PICKET_MQTT_SUCCESS, NULL, publish->has_receipt ? &publish->receipt : NULL);
        break;
    case 429:
    case 503:
        session_close(session, PICKET_MQTT_BUSY, publish->sentence);
        break;
    case 500:
        session_close(session, PICKET_MQTT_UNSPECIFIED, publish->sentence);
        break;
    default:
        if (publish->acknowledged && session->version == PICKET_MQTT_5)
            reply_puback(session, publish->id, PICKET_MQTT_PAYLOAD_INVALID, publish->sentence, NULL);
        else if (publish->acknowledged)
            session_close(session, PICKET_MQTT_PAYLOAD_INVALID, publish->sentence); /* the bus itself would not have it */
        break;
    }
}

static void publish_free(struct publish *take_publish)
{
    struct session *session = take_publish->session;

    free(take_publish);
    session_release(session);
}
