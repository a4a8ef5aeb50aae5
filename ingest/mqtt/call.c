#include "ingest/mqtt/call.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/commands.h"
#include "ingest/mqtt/reply.h"
#include "ingest/registrations.h"
#include "ingest/twins.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "wire/json_reader.h"

#define CALLS_MAX 8 /* of a session */
#define BUSY_RETRY_MS 200
#define CALL_MS 10000
#define TOPIC_MAX 4096

enum call_kind {
    CALL_TWIN_READ,
    CALL_TWIN_REPORT,
    CALL_METHOD_ANSWER,
    CALL_CLOUD_TAKE,
    CALL_CLOUD_SETTLE,
    CALL_ENROLMENT_JUDGE,
    CALL_REGISTER,
    CALL_OPERATION,
};

struct call {
    struct db_pool_job job;
    struct loop_post post;
    struct session *session;
    struct publish *publish; /* acknowledged when the answer is there; or NULL */
    enum call_kind kind;
    struct arena arena;
    struct text request, text; /* $rid; payload, lock or token */
    struct text operation;
    int64_t number; /* method call; code of its answer is `status` */
    int64_t status;
    enum cloud_outcome outcome;
    unsigned most;
    /* The answer: */
    enum status came;
    int64_t version;
    struct text body;
    struct cloud_message *messages;
    size_t message_count;
    struct registration_answer registration;
    struct problem why;
};

static struct call *call_new(struct session *session, enum call_kind kind);
static bool call_give(struct call *call);
static void call_free(struct call *take_call);
static void call_run(struct db_pool_job *job, struct db *db);
static void call_ask(struct call *call, struct db *db);
static void call_heard(struct loop_post *post);
static void twin_reply(struct call *call);
static void registration_reply(struct call *call);
static void cloud_send(struct call *call);
static void cloud_settle(struct session *session, struct text lock, enum cloud_outcome outcome);

static struct text copy(struct call *call, struct text text)
{
    return text.bytes ? arena_text(&call->arena, text) : TEXT_NONE;
}

enum session_verdict call_take(struct session *session, const struct picket_mqtt_publish *packet, const struct topic *topic)
{
    static const enum call_kind kinds[] = {
        [TOPIC_TWIN_GET] = CALL_TWIN_READ,      [TOPIC_TWIN_REPORTED] = CALL_TWIN_REPORT,
        [TOPIC_METHOD_RESULT] = CALL_METHOD_ANSWER, [TOPIC_REGISTER] = CALL_REGISTER,
        [TOPIC_OPERATION] = CALL_OPERATION,
    };

    if (session->calls >= CALLS_MAX)
        return SESSION_HELD;
    struct call *call = call_new(session, kinds[topic->kind]);
    call->request = copy(call, topic->request);
    call->operation = copy(call, topic->operation);
    call->text = copy(call, (struct text){packet->payload.bytes ? packet->payload.bytes : "", packet->payload.count});
    call->status = topic->status;
    if (call->kind == CALL_METHOD_ANSWER && !text_to_i64(topic->request, &call->number))
        call->number = -1; /* nobody asked for it */
    if (!call_give(call)) {
        session_pause(session, BUSY_RETRY_MS);
        return SESSION_HELD;
    }
    call->publish = publish_open(session, packet);
    return SESSION_TAKEN;
}

void call_enrolment_judge(struct session *session)
{
    struct call *call = call_new(session, CALL_ENROLMENT_JUDGE);

    if (!call_give(call))
        handle_connect_judged(session, 503);
}

void call_cloud_take(struct session *session)
{
    unsigned taken = 0, most = session->receive_maximum < SESSION_CLOUD_MAX ? session->receive_maximum : SESSION_CLOUD_MAX;

    if (!(session->member.wants & PRESENCE_CLOUD_MESSAGES) || session->enrolling || session->state != SESSION_LIVE)
        return;
    session->cloud_more = true;
    for (size_t i = 0; session->cloud && i < SESSION_CLOUD_MAX; i++)
        taken += session->cloud[i].id != 0;
    if (session->cloud_asking || taken >= most)
        return;
    struct call *call = call_new(session, CALL_CLOUD_TAKE);
    call->most = most - taken;
    session->cloud_asking = true;
    session->cloud_more = false;
    if (!call_give(call)) {
        session->cloud_asking = false;
        session->cloud_more = true; /* with the next acknowledgement, or when the next one comes */
    }
}

bool call_cloud_settle(struct session *session, uint16_t id, enum cloud_outcome outcome)
{
    for (size_t i = 0; session->cloud && i < SESSION_CLOUD_MAX; i++) {
        struct session_cloud *cloud = &session->cloud[i];
        if (cloud->id != id)
            continue;
        cloud->id = 0;
        cloud_settle(session, text_of(cloud->lock), outcome);
        if (session->cloud_more)
            call_cloud_take(session);
        return true;
    }
    return false;
}

void call_cloud_abandon(struct session *session)
{
    for (size_t i = 0; session->cloud && i < SESSION_CLOUD_MAX; i++) {
        if (!session->cloud[i].id)
            continue;
        session->cloud[i].id = 0;
        cloud_settle(session, text_of(session->cloud[i].lock), CLOUD_ABANDONED);
    }
}

/* Nothing is lost when it cannot be given: the lock ends by itself, and the message comes again. */
static void cloud_settle(struct session *session, struct text lock, enum cloud_outcome outcome)
{
    struct call *call = call_new(session, CALL_CLOUD_SETTLE);

    call->text = copy(call, lock);
    call->outcome = outcome;
    (void)call_give(call);
}

static struct call *call_new(struct session *session, enum call_kind kind)
{
    struct call *call = calloc(1, sizeof *call);

    if (!call)
        abort();
    session_hold(session);
    call->session = session;
    call->kind = kind;
    call->job.run = call_run;
    call->job.key = identity_hash(&session->member.identity); /* its own requests keep their order */
    call->post.run = call_heard;
    arena_init(&call->arena);
    session->calls++;
    return call;
}

/* False: the pool is full, and the call is gone. */
static bool call_give(struct call *call)
{
    struct db_pool *pool = session_parts(call->session)->pool;

    if (db_pool_give(pool, &call->job, &call->why) == STATUS_OK)
        return true;
    call_free(call);
    return false;
}

static void call_free(struct call *take_call)
{
    struct session *session = take_call->session;

    session->calls--;
    arena_done(&take_call->arena);
    free(take_call);
    session_release(session);
}

/* On a thread of the pool. */
static void call_run(struct db_pool_job *job, struct db *db)
{
    struct call *call = (struct call *)job;

    if (db)
        call_ask(call, db);
    else
        call->came = problem_set(&call->why, STATUS_RETRY, "the server is stopping");
    if (!db)
        call->registration = (struct registration_answer){.code = 503, .retry_after_s = 5, .body = TEXT("")};
    loop_post(call->session->loop->loop, &call->post);
}

static void call_ask(struct call *call, struct db *db)
{
    const struct identity *identity = &call->session->member.identity;
    const struct registration_settings *settings = session_parts(call->session)->registration;
    const struct session_enrolment *enrolling = call->session->enrolling;
    const struct registration_claim *claim = enrolling ? &enrolling->claim : NULL;
    int64_t now_us = clock_utc_us();

    switch (call->kind) {
    case CALL_TWIN_READ:
        call->came = twin_read(db, identity, CALL_MS, &call->arena, &call->body, &call->version, &call->why);
        break;
    case CALL_TWIN_REPORT:
        call->came = twin_report(db, identity, call->text, CALL_MS, &call->version, &call->why);
        break;
    case CALL_METHOD_ANSWER:
        call->came = method_answer(db, identity, call->number, call->status, call->text, CALL_MS, &call->why);
        break;
    case CALL_CLOUD_TAKE:
        call->came = cloud_messages_take(db, identity, call->most, CALL_MS, &call->arena, &call->messages,
                                         &call->message_count, &call->why);
        break;
    case CALL_CLOUD_SETTLE:
        call->came = cloud_message_settle(db, identity, call->text, call->outcome, "mqtt", CALL_MS, &call->why);
        break;
    case CALL_ENROLMENT_JUDGE:
        registration_authenticate(db, settings, claim, now_us, &call->arena, &call->registration);
        break;
    case CALL_REGISTER:
        registration_register(db, settings, claim, call->text, now_us, &call->arena, &call->registration);
        break;
    case CALL_OPERATION:
        registration_operation(db, settings, claim, call->operation, now_us, &call->arena, &call->registration);
        break;
    }
}

static void call_heard(struct loop_post *post)
{
    struct call *call = (struct call *)((char *)post - offsetof(struct call, post));
    struct session *session = call->session;

    session_hold(session);
    if (session->state == SESSION_JUDGING && call->kind == CALL_ENROLMENT_JUDGE)
        handle_connect_judged(session, call->registration.code);
    if (session->state == SESSION_LIVE) {
        switch (call->kind) {
        case CALL_TWIN_READ:
        case CALL_TWIN_REPORT:
            twin_reply(call);
            break;
        case CALL_REGISTER:
        case CALL_OPERATION:
            registration_reply(call);
            break;
        case CALL_CLOUD_TAKE:
        case CALL_CLOUD_SETTLE:
        case CALL_METHOD_ANSWER:
        case CALL_ENROLMENT_JUDGE:
            break;
        }
    }
    if (call->kind == CALL_CLOUD_TAKE)
        cloud_send(call);
    if (call->publish)
        publish_settle(call->publish);
    call_free(call);
    if (session->state != SESSION_CLOSED)
        session_go_on(session);
    session_release(session);
}

static unsigned code_of(enum status status, unsigned done)
{
    switch (status) {
    case STATUS_OK:
        return done;
    case STATUS_REJECT:
        return 400;
    case STATUS_RETRY:
        return 503;
    case STATUS_FAULT:
        break;
    }
    return 500;
}

/* A refusal's body says why, as the HTTP ports do. */
static void twin_reply(struct call *call)
{
    struct session *session = call->session;
    unsigned code = code_of(call->came, call->kind == CALL_TWIN_READ ? 200 : 204);
    struct buf topic, body;

    if (!(session->member.wants & PRESENCE_TWIN_REPLIES))
        return;
    buf_init(&topic, TOPIC_MAX);
    buf_init(&body, TOPIC_MAX);
    buf_format(&topic, "$iothub/twin/res/%u/?$rid=%.*s", code, TEXT_ARGS(call->request));
    if (call->came == STATUS_OK && call->kind == CALL_TWIN_REPORT)
        buf_format(&topic, "&$version=%lld", (long long)call->version);
    if (call->came == STATUS_OK && call->kind == CALL_TWIN_READ)
        session->desired_told = call->version;
    if (call->came) {
        buf_string(&body, "{\"error\":{\"code\":\"");
        buf_string(&body, call->came == STATUS_REJECT ? "BadRequest" : "Unavailable");
        buf_string(&body, "\",\"message\":");
        buf_json_string(&body, text_of(call->came == STATUS_FAULT ? "something is wrong on the server" : call->why.text));
        buf_string(&body, "}}");
    }
    reply_publish(session, buf_as_text(&topic), 0, call->came ? buf_as_text(&body) : call->body);
    buf_done(&body);
    buf_done(&topic);
}

static void registration_reply(struct call *call)
{
    const struct registration_answer *answer = &call->registration;
    struct session *session = call->session;
    struct buf topic;

    if (!(session->member.wants & PRESENCE_ENROLMENT_REPLIES))
        return;
    buf_init(&topic, TOPIC_MAX);
    buf_format(&topic, "$dps/registrations/res/%u/?$rid=%.*s", answer->code, TEXT_ARGS(call->request));
    if (answer->retry_after_s)
        buf_format(&topic, "&retry-after=%u", answer->retry_after_s);
    reply_publish(session, buf_as_text(&topic), 0, answer->body);
    buf_done(&topic);
}

static void bag_add_members(struct buf *topic, bool *first, struct text properties)
{
    struct picket_json_reader reader;
    struct picket_json_token token;
    char name[512], value[4096];

    if (!properties.count)
        return;
    picket_json_init(&reader, properties.bytes, properties.count, 2);
    if (picket_json_next(&reader, &token) != PICKET_JSON_OBJECT_OPEN)
        return;
    while (picket_json_next(&reader, &token) == PICKET_JSON_NAME) {
        struct text plain = {name, token.count <= sizeof name ? picket_json_unescape(&token, name) : 0};
        if (picket_json_next(&reader, &token) != PICKET_JSON_STRING || token.count > sizeof value)
            return;
        topic_bag_add(topic, first, plain, (struct text){value, picket_json_unescape(&token, value)});
    }
}

static void bag_add_present(struct buf *topic, bool *first, const char *name, struct text value)
{
    if (value.count)
        topic_bag_add(topic, first, text_of(name), value);
}

/* devices/{id}/messages/devicebound/{system and application properties} */
static void cloud_topic(const struct session *session, const struct cloud_message *message, struct buf *topic)
{
    char expiry[CLOCK_TEXT_SIZE];
    bool first = true;

    buf_format(topic, "devices/%.*s/messages/devicebound/", TEXT_ARGS(session->member.identity.device));
    bag_add_present(topic, &first, "$.mid", message->message_id);
    bag_add_present(topic, &first, "$.cid", message->correlation_id);
    bag_add_present(topic, &first, "$.uid", message->user_id);
    char to[sizeof "/devices//messages/devicebound" + PICKET_ID_MAX];
    snprintf(to, sizeof to, "/devices/%.*s/messages/devicebound", TEXT_ARGS(session->member.identity.device));
    bag_add_present(topic, &first, "$.to", text_of(to));
    bag_add_present(topic, &first, "$.ct", message->content_type);
    bag_add_present(topic, &first, "$.ce", message->content_encoding);
    if (message->expires_at_us) {
        clock_format(message->expires_at_us, expiry);
        topic_bag_add(topic, &first, TEXT("$.exp"), text_of(expiry));
    }
    bag_add_members(topic, &first, message->properties);
}

static struct session_cloud *cloud_slot(struct session *session)
{
    if (!session->cloud) {
        session->cloud = calloc(SESSION_CLOUD_MAX, sizeof session->cloud[0]);
        if (!session->cloud)
            abort();
    }
    for (size_t i = 0; i < SESSION_CLOUD_MAX; i++)
        if (!session->cloud[i].id)
            return &session->cloud[i];
    return NULL;
}

static void cloud_send_one(struct session *session, const struct cloud_message *message)
{
    bool acknowledged = session->member.wants & PRESENCE_QOS1(PRESENCE_CLOUD_MESSAGES);
    struct session_cloud *slot = acknowledged ? cloud_slot(session) : NULL;
    struct buf topic;

    if (session->state != SESSION_LIVE || (acknowledged && !slot) || message->lock.count >= sizeof slot->lock) {
        cloud_settle(session, message->lock, CLOUD_ABANDONED);
        return;
    }
    buf_init(&topic, UINT16_MAX);
    cloud_topic(session, message, &topic);
    if (slot) {
        session->next_id = session->next_id == UINT16_MAX ? 1 : session->next_id + 1;
        slot->id = session->next_id;
        memcpy(slot->lock, message->lock.bytes, message->lock.count);
        slot->lock[message->lock.count] = 0;
    }
    if (buf_failed(&topic))
        log_error("mqtt.cloud", "device=%.*s reason=\"the properties of a message do not fit into a topic\"",
                  TEXT_ARGS(session->member.identity.device));
    else
        reply_publish(session, buf_as_text(&topic), slot ? slot->id : 0, message->body);
    buf_done(&topic);
    if (!slot)
        cloud_settle(session, message->lock, CLOUD_COMPLETED);
}

static void cloud_send(struct call *call)
{
    struct session *session = call->session;

    session->cloud_asking = false;
    for (size_t i = 0; call->came == STATUS_OK && i < call->message_count; i++)
        cloud_send_one(session, &call->messages[i]);
    if (call->came == STATUS_OK && (session->cloud_more || call->message_count == call->most))
        call_cloud_take(session);
}
