#include "ingest/mqtt/session.h"

#include "ingest/mqtt/call.h"
#include "ingest/mqtt/reply.h"
#include "ingest/mqtt/topic.h"

#define FILTERS_MAX 64 /* of one packet; there are six that are anybody's own */
#define NOT_SUBSCRIBED 0x11 /* MQTT 5: "No subscription existed" */

/* The code for one filter; changes `wants`. */
static uint8_t subscribe_one(struct session *session, struct text filter, unsigned qos, uint32_t *wants)
{
    uint32_t bit = topic_filter(filter, &session->member.identity, session->enrolling);

    if (!bit)
        return session->version == PICKET_MQTT_5 ? PICKET_MQTT_NOT_AUTHORIZED : 0x80;
    *wants |= bit;
    *wants &= ~(uint32_t)PRESENCE_QOS1(bit);
    if (qos)
        *wants |= PRESENCE_QOS1(bit);
    return qos ? 1 : 0;
}

static uint8_t unsubscribe_one(struct session *session, struct text filter, uint32_t *wants)
{
    uint32_t bit = topic_filter(filter, &session->member.identity, session->enrolling);
    bool had = *wants & bit;

    *wants &= ~(bit | PRESENCE_QOS1(bit));
    return had ? 0 : NOT_SUBSCRIBED;
}

enum session_verdict handle_subscribe(struct session *session, const struct picket_mqtt_frame *frame)
{
    bool subscribes = frame->type == PICKET_MQTT_SUBSCRIBE;
    struct picket_mqtt_subscribe packet;
    struct picket_mqtt_fault fault;
    struct picket_span filter;
    uint8_t codes[FILTERS_MAX], options;
    uint32_t wants = session->member.wants;
    size_t count = 0;

    if (!picket_mqtt_read_subscribe(frame, session_version(session), &packet, &fault)) {
        session_close(session, fault.reason, fault.sentence);
        return SESSION_TAKEN;
    }
    if (packet.properties.has_subscription_id) {
        session_close(session, PICKET_MQTT_PROTOCOL_ERROR, "subscription identifiers were not offered");
        return SESSION_TAKEN;
    }
    if (packet.count > FILTERS_MAX) {
        session_close(session, PICKET_MQTT_QUOTA, "more filters in one packet than there are topics");
        return SESSION_TAKEN;
    }
    for (struct picket_span rest = packet.filters; picket_mqtt_filter_next(&rest, subscribes, &filter, &options);) {
        struct text text = {filter.bytes, filter.count};
        codes[count++] = subscribes ? subscribe_one(session, text, options & 3, &wants)
                                    : unsubscribe_one(session, text, &wants);
    }
    bool cloud = (wants & ~session->member.wants) & PRESENCE_CLOUD_MESSAGES;
    session_wants(session, wants);
    if (subscribes)
        reply_suback(session, packet.id, codes, count);
    else
        reply_unsuback(session, packet.id, codes, count);
    if (cloud)
        call_cloud_take(session);
    return SESSION_TAKEN;
}
