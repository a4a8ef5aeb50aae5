#include "ingest/mqtt/session.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/door.h"
#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "ingest/mqtt/call.h"
#include "ingest/mqtt/note.h"
#include "ingest/mqtt/reply.h"
#include "ingest/mqtt/topic.h"
#include "runtime/clock.h"

#define KEEP_DEFAULT_MS INT64_MAX /* MQTT 3.1.1 has no end for it: as long as this process lives */
#define KEEP_MAX_MS INT64_C(604800000)

/* What a user name says: IoT Hub's "{host}/{device}[/{module}]/?api-version=…", or that of enrolment,
 * "{id scope}/registrations/{id}/api-version=…". */
struct user_name {
    bool enrolment;
    struct text host; /* or the id scope */
    struct text device, module;
};

static bool user_name_read(struct text name, struct user_name *out);
static bool ids_agree(const struct user_name *user, struct text client_id);
static void refuse(struct session *session, enum picket_mqtt_reason reason, const char *sentence);
static enum session_verdict connect_device(struct session *session, const struct picket_mqtt_connect *connect,
                                           const struct user_name *user);
static enum session_verdict connect_enrolment(struct session *session, const struct picket_mqtt_connect *connect,
                                              const struct user_name *user);
static void ids_keep(struct session *session, struct text first, struct text second, uint32_t workspace);
static bool will_keep(struct session *session, const struct picket_mqtt_connect *connect);
static void times_keep(struct session *session, const struct picket_mqtt_connect *connect);
static void welcome(struct session *session, const struct picket_mqtt_connect *connect);

static struct text text_of_span(struct picket_span span)
{
    return (struct text){span.bytes ? span.bytes : "", span.count};
}

enum session_verdict handle_connect(struct session *session, const struct picket_mqtt_frame *frame)
{
    struct picket_mqtt_connect connect;
    struct picket_mqtt_fault fault;
    struct user_name user;

    session->version = PICKET_MQTT_3_1_1;
    if (!picket_mqtt_read_connect(frame, &connect, &fault)) {
        /* MQTT 5 lets a server say so, once it is sure that this is MQTT 5. */
        if (connect.level == PICKET_MQTT_5) {
            session->version = PICKET_MQTT_5;
            refuse(session, fault.reason, fault.sentence);
        } else {
            session_drop(session, fault.sentence);
        }
        return SESSION_TAKEN;
    }
    if (connect.level != PICKET_MQTT_3_1_1 && connect.level != PICKET_MQTT_5) {
        refuse(session, PICKET_MQTT_UNSUPPORTED_VERSION, "the version is neither 3.1.1 nor 5.0");
        return SESSION_TAKEN;
    }
    session->version = (uint8_t)connect.level;
    session->explain = connect.properties.request_problem;
    if (connect.properties.auth_method.bytes) {
        refuse(session, PICKET_MQTT_BAD_METHOD, "there is no enhanced authentication here");
        return SESSION_TAKEN;
    }
    if (!user_name_read(text_of_span(connect.user_name), &user)) {
        refuse(session, connect.has_user_name ? PICKET_MQTT_BAD_CREDENTIALS : PICKET_MQTT_NOT_AUTHORIZED,
               "the user name is not {host}/{device}/?api-version=... or {host}/{device}/{module}/?api-version=...");
        return SESSION_TAKEN;
    }
    if (!ids_agree(&user, text_of_span(connect.client_id))) {
        refuse(session, PICKET_MQTT_ID_INVALID, "the client id is not the one that the user name names");
        return SESSION_TAKEN;
    }
    if (connect.will_qos == 2) {
        refuse(session, PICKET_MQTT_QOS_UNSUPPORTED, "the will has QoS 2");
        return SESSION_TAKEN;
    }
    session->receive_maximum = connect.properties.has_receive_maximum ? connect.properties.receive_maximum : UINT16_MAX;
    session->packet_maximum = connect.properties.packet_maximum;
    times_keep(session, &connect);
    return user.enrolment ? connect_enrolment(session, &connect, &user) : connect_device(session, &connect, &user);
}

void handle_connect_judged(struct session *session, unsigned code)
{
    assert(session->state == SESSION_JUDGING);
    if (code == 200) {
        session_enter(session, SESSION_LIVE);
        reply_connack(session, PICKET_MQTT_SUCCESS, false, NULL);
        return;
    }
    session_enter(session, SESSION_CONNECTING);
    refuse(session, code == 503 || code == 429 ? PICKET_MQTT_UNAVAILABLE : PICKET_MQTT_NOT_AUTHORIZED,
           "the credential fits no enrolment");
}

static bool user_name_read(struct text name, struct user_name *out)
{
    struct text rest, segment;

    *out = (struct user_name){.module = TEXT("")};
    rest = text_cut(name, '/', &out->host);
    if (!rest.bytes || !out->host.count)
        return false;
    struct text behind = text_cut(rest, '/', &segment);
    if (text_equal(segment, TEXT("registrations")) && behind.bytes) {
        struct text version = text_cut(behind, '/', &out->device);
        if (text_starts(version, TEXT("api-version="))) {
            out->enrolment = true;
            return out->device.count > 0 && out->device.count <= PICKET_ID_MAX;
        }
    }
    out->device = segment;
    rest = text_cut(behind.bytes ? behind : TEXT(""), '/', &segment);
    if (segment.count && segment.bytes[0] != '?')
        out->module = segment;
    return identity_id_valid(out->device) && (!out->module.count || identity_id_valid(out->module));
}

static bool ids_agree(const struct user_name *user, struct text client_id)
{
    struct text device = client_id, module = TEXT("");

    if (user->module.count)
        module = text_cut(client_id, '/', &device);
    return text_equal(device, user->device) && text_equal(module.bytes ? module : TEXT(""), user->module);
}

static void refuse(struct session *session, enum picket_mqtt_reason reason, const char *sentence)
{
    metric_add(&ingest_metrics.mqtt_connects_refused, 1);
    reply_connack(session, reason, false, sentence);
    session_close(session, reason, sentence);
}

static enum session_verdict connect_device(struct session *session, const struct picket_mqtt_connect *connect,
                                           const struct user_name *user)
{
    struct mqtt_front_parts *parts = session_parts(session);
    struct text chain[TLS_CHAIN_MAX];
    struct device_auth_claim claim = {
        .token = connect->has_password ? text_of_span(connect->password) : TEXT_NONE,
        .host = user->host,
        .device = user->device,
        .module = user->module,
        .connects = true,
        .chain = chain,
        .chain_count = session->channel.tls ? tls_chain(session->channel.tls, chain) : 0,
    };
    struct device_auth_result result;
    int64_t now_us = clock_utc_us();

    device_auth_check(parts->auth, &claim, now_us, &result);
    switch (result.verdict) {
    case DEVICE_AUTH_PASSED:
        break;
    case DEVICE_AUTH_UNREADY:
        refuse(session, PICKET_MQTT_UNAVAILABLE, "the server has not read its list of devices yet; try again");
        return SESSION_TAKEN;
    case DEVICE_AUTH_UNFIT:
        door_refused_credential(parts->door, &claim, &result, 401, session->peer);
        refuse(session, PICKET_MQTT_NOT_AUTHORIZED, "the credential does not fit this identity");
        return SESSION_TAKEN;
    case DEVICE_AUTH_DISABLED:
        door_refused_credential(parts->door, &claim, &result, 403, session->peer);
        refuse(session, PICKET_MQTT_NOT_AUTHORIZED, "this identity is disabled");
        return SESSION_TAKEN;
    }
    ids_keep(session, user->device, user->module, result.workspace.workspace);
    door_passed(parts->door, &session->member.identity, session->peer);
    session->entry = result.entry;
    session->workspace = result.workspace;
    session->mark = result.mark;
    session->expires_at_ms = INT64_MAX;
    if (result.expires_at_s < INT64_MAX / 2000000)
        session->expires_at_ms = clock_monotonic_ms() + (result.expires_at_s * 1000000 - now_us) / 1000;
    if (!will_keep(session, connect)) {
        refuse(session, PICKET_MQTT_TOPIC_INVALID, "the topic of the will is not the identity's own");
        return SESSION_TAKEN;
    }
    welcome(session, connect);
    return SESSION_TAKEN;
}

static void welcome(struct session *session, const struct picket_mqtt_connect *connect)
{
    struct mqtt_front_parts *parts = session_parts(session);
    struct note *turned_out = note_new(NOTE_TURNED_OUT);
    bool turned;

    session->member.connected_at_us = clock_utc_us();
    session->member.hear = note_hear;
    bool resumed = presence_enter(parts->presence, &session->member, !connect->clean, turned_out, &turned);
    if (!turned)
        note_free(turned_out);
    session->present = true;
    deliveries_connected(parts->deliveries, &session->member.identity, session->member.connected_at_us, session->peer,
                         session->transport);
    metric_add(&ingest_metrics.mqtt_sessions, 1);
    metric_add(&ingest_metrics.mqtt_connects, 1);
    session_enter(session, SESSION_LIVE);
    if (session->keep_alive_ms)
        session_due(session, session->read_ms + session->keep_alive_ms);
    session_due(session, session->expires_at_ms);
    reply_connack(session, PICKET_MQTT_SUCCESS, resumed, NULL);
    if (resumed)
        call_cloud_take(session);
}

/* Not a device yet, or not for us: the database knows what it may become. */
static struct session_enrolment *enrolling_new(const struct session *session, struct text password)
{
    struct session_enrolment *enrolling = calloc(1, sizeof *enrolling);
    struct text shown[TLS_CHAIN_MAX];

    if (!enrolling)
        abort();
    arena_init(&enrolling->arena);
    size_t count = session->channel.tls ? tls_chain(session->channel.tls, shown) : 0;
    for (size_t i = 0; i < count; i++)
        enrolling->chain[i] = arena_text(&enrolling->arena, shown[i]);
    enrolling->claim = (struct registration_claim){
        .id_scope = session->member.identity.device,
        .registration_id = session->member.identity.module,
        .token = arena_text(&enrolling->arena, password),
        .chain = enrolling->chain,
        .chain_count = count,
    };
    return enrolling;
}

static enum session_verdict connect_enrolment(struct session *session, const struct picket_mqtt_connect *connect,
                                              const struct user_name *user)
{
    if (connect->has_will) {
        refuse(session, PICKET_MQTT_TOPIC_INVALID, "enrolment has no topic for a will");
        return SESSION_TAKEN;
    }
    ids_keep(session, user->host, user->device, 0);
    session->enrolling = enrolling_new(session, text_of_span(connect->password));
    session->keep = false;
    session->expires_at_ms = INT64_MAX;
    session_enter(session, SESSION_JUDGING);
    call_enrolment_judge(session);
    return SESSION_TAKEN;
}

static void ids_keep(struct session *session, struct text first, struct text second, uint32_t workspace)
{
    session->ids = malloc(first.count + second.count + 1);
    if (!session->ids)
        abort();
    memcpy(session->ids, first.bytes, first.count);
    memcpy(session->ids + first.count, second.bytes, second.count);
    session->member.identity = (struct identity){
        workspace, {session->ids, first.count}, {session->ids + first.count, second.count}};
}

/* False: it is for a topic that the client may not publish to. */
static bool will_keep(struct session *session, const struct picket_mqtt_connect *connect)
{
    const struct picket_mqtt_properties *properties = &connect->will_properties;
    struct topic topic;

    if (!connect->has_will)
        return true;
    topic_read(text_of_span(connect->will_topic), &session->member.identity, false, &topic);
    if (topic.kind != TOPIC_EVENTS)
        return false;
    size_t type_count = properties->content_type.count;
    struct session_will *will =
        malloc(sizeof *will + connect->will_topic.count + connect->will_payload.count + type_count + 1);
    if (!will)
        abort();
    char *at = will->bytes;
    memcpy(at, connect->will_topic.bytes, connect->will_topic.count);
    will->topic = (struct picket_span){at, connect->will_topic.count};
    at += connect->will_topic.count;
    if (connect->will_payload.count)
        memcpy(at, connect->will_payload.bytes, connect->will_payload.count);
    will->payload = (struct picket_span){at, connect->will_payload.count};
    at += connect->will_payload.count;
    if (type_count)
        memcpy(at, properties->content_type.bytes, type_count);
    will->content_type = properties->content_type.bytes ? (struct text){at, type_count} : TEXT_NONE;
    will->qos = connect->will_qos;
    will->retain = connect->will_retain;
    session->will = will;
    return true;
}

static void times_keep(struct session *session, const struct picket_mqtt_connect *connect)
{
    session->keep_alive_ms = connect->keep_alive_s * 1500u;
    if (!session->keep_alive_ms || session->keep_alive_ms > SESSION_KEEP_ALIVE_MAX_MS)
        session->keep_alive_ms = SESSION_KEEP_ALIVE_MAX_MS;
    session->keep_ms = KEEP_DEFAULT_MS;
    session->keep = !connect->clean;
    if (session->version == PICKET_MQTT_5) {
        session->keep_ms = (int64_t)connect->properties.session_expiry * 1000;
        if (session->keep_ms > KEEP_MAX_MS)
            session->keep_ms = KEEP_MAX_MS;
        session->keep = session->keep_ms > 0;
    }
}
