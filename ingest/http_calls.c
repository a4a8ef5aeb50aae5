#include "ingest/http_calls.h"

#include <stdio.h>

#include "ingest/commands.h"
#include "ingest/ingest_metrics.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "wire/device_api.h"
#include "wire/json_reader.h"

#define CALL_MS 10000
#define BUSY_SECONDS 5
#define HEADER_VALUE_MAX 4096

/* Lies in the exchange's arena. */
struct http_call {
    struct db_pool_job job;
    const struct http_calls *calls;
    enum http_call_kind kind;
    struct identity identity;
    struct http_exchange *exchange;
};

static void call_run(struct db_pool_job *job, struct db *db);
static void registration_run(struct http_call *call, struct db *db);
static void module_run(struct http_call *call, struct db *db);
static void message_take(struct http_call *call, struct db *db);
static void message_settle(struct http_call *call, struct db *db);
static void refuse(struct http_call *call, enum status status, const struct problem *why);

void http_calls_take(const struct http_calls *calls, enum http_call_kind kind, const struct identity *identity,
                     struct http_exchange *take_exchange)
{
    struct http_call *call = ARENA_NEW(http_arena(take_exchange), struct http_call);
    struct problem why;

    *call = (struct http_call){.calls = calls, .kind = kind, .identity = *identity, .exchange = take_exchange};
    call->job.run = call_run;
    call->job.key = kind <= HTTP_CALL_STATE ? identity_hash(&(struct identity){0, http_parameter(take_exchange, "id"), TEXT("")})
                                            : identity_hash(identity);
    if (db_pool_give(calls->pool, &call->job, &why)) {
        refuse(call, STATUS_RETRY, &why);
        http_answer(take_exchange);
    }
}

static void call_run(struct db_pool_job *job, struct db *db)
{
    struct http_call *call = (struct http_call *)job;
    struct http_exchange *exchange = call->exchange;

    if (!db || http_abandoned(exchange)) {
        struct problem why;
        refuse(call, problem_set(&why, STATUS_RETRY, "the server is stopping"), &why);
        http_answer(exchange);
        return;
    }
    switch (call->kind) {
    case HTTP_CALL_REGISTER:
    case HTTP_CALL_OPERATION:
    case HTTP_CALL_STATE:
        registration_run(call, db);
        break;
    case HTTP_CALL_MODULE:
        module_run(call, db);
        break;
    case HTTP_CALL_TAKE:
        message_take(call, db);
        break;
    case HTTP_CALL_SETTLE:
    case HTTP_CALL_ABANDON:
        message_settle(call, db);
        break;
    }
    http_answer(exchange);
}

static void refuse(struct http_call *call, enum status status, const struct problem *why)
{
    static struct log_rate rate;

    if (status == STATUS_FAULT)
        log_rated(&rate, LOG_ERROR, "http.call", "device=%.*s reason=\"%s\"", TEXT_ARGS(call->identity.device), why->text);
    http_reply_status(call->exchange, status, why);
}

static void registration_run(struct http_call *call, struct db *db)
{
    struct http_exchange *exchange = call->exchange;
    const struct registration_settings *settings = call->calls->registration;
    struct text chain[TLS_CHAIN_MAX];
    struct registration_claim claim = {http_parameter(exchange, "scope"), http_parameter(exchange, "id"),
                                       http_header(exchange, "Authorization"), chain, http_client_chain(exchange, chain)};
    struct registration_answer answer;
    int64_t now_us = http_received_at_us(exchange);
    struct arena *arena = http_arena(exchange);

    if (call->kind == HTTP_CALL_REGISTER)
        registration_register(db, settings, &claim, http_body(exchange), now_us, arena, &answer);
    else if (call->kind == HTTP_CALL_OPERATION)
        registration_operation(db, settings, &claim, http_parameter(exchange, "operation"), now_us, arena, &answer);
    else
        registration_show(db, settings, &claim, now_us, arena, &answer);
    http_code(exchange, answer.code);
    if (answer.retry_after_s)
        http_retry_after(exchange, answer.retry_after_s);
    if (answer.operation_id.bytes)
        http_reply_header(exchange, "Location",
                          arena_format(arena, "/%.*s/registrations/%.*s/operations/%.*s", TEXT_ARGS(claim.id_scope),
                                       TEXT_ARGS(claim.registration_id), TEXT_ARGS(answer.operation_id)));
    buf_text(http_reply_body(exchange, "application/json; charset=utf-8"), answer.body);
}

/* In IoT Hub's shape, of which the classic agents read the primary key. It is told only once the audit has it. */
static void module_run(struct http_call *call, struct db *db)
{
    static const char audit[] = "SELECT picket.module_key_audit($1::int, $2, $3, $4)";
    struct http_exchange *exchange = call->exchange;
    struct arena *arena = http_arena(exchange);
    struct text module = http_parameter(exchange, "module");
    struct identity whole = {call->identity.workspace, call->identity.device, module};
    struct roster_keys keys;
    char primary[TEXT_BASE64_SIZE(PICKET_KEY_MAX)], secondary[TEXT_BASE64_SIZE(PICKET_KEY_MAX)];
    struct problem why;

    if (!device_auth_keys(call->calls->auth, &whole, &keys)) {
        ingest_metrics_count_code(404);
        http_reply_error(exchange, 404, "ModuleNotFound", "This device has no such module.", 0, 0);
        return;
    }
    const char *const parameters[] = {arena_format(arena, "%u", (unsigned)whole.workspace), arena_string(arena, whole.device),
                                      arena_string(arena, module), http_peer(exchange)};
    enum status status = db_query(db, audit, parameters, 4, CALL_MS, NULL, &why);
    if (status) {
        refuse(call, status, &why);
    } else {
        text_base64_encode(keys.primary, keys.primary_count, primary);
        text_base64_encode(keys.secondary, keys.secondary_count, secondary);
        buf_format(http_reply_body(exchange, "application/json; charset=utf-8"),
                   "{\"moduleId\":\"%.*s\",\"managedBy\":null,\"deviceId\":\"%.*s\",\"connectionState\":\"Disconnected\","
                   "\"cloudToDeviceMessageCount\":0,\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"%s\","
                   "\"secondaryKey\":\"%s\"},\"x509Thumbprint\":{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},"
                   "\"type\":\"sas\"}}",
                   TEXT_ARGS(module), TEXT_ARGS(whole.device), primary, secondary);
        secret_wipe(primary, sizeof primary);
        secret_wipe(secondary, sizeof secondary);
    }
    secret_wipe(&keys, sizeof keys);
}

static void header_add(struct http_exchange *exchange, const char *name, struct text value)
{
    struct arena *arena = http_arena(exchange);

    /* What would end the header, or is none of ASCII, stays out of it: properties are free text over MQTT. */
    for (size_t i = 0; i < value.count; i++)
        if ((unsigned char)value.bytes[i] < ' ' || (unsigned char)value.bytes[i] > '~')
            return;
    if (value.count && value.count <= HEADER_VALUE_MAX)
        http_reply_header(exchange, name, arena_string(arena, value));
}

static void properties_add(struct http_exchange *exchange, struct text properties)
{
    struct picket_json_reader reader;
    struct picket_json_token token;
    char name[512], value[HEADER_VALUE_MAX];

    picket_json_init(&reader, properties.bytes, properties.count, 2);
    if (!properties.count || picket_json_next(&reader, &token) != PICKET_JSON_OBJECT_OPEN)
        return;
    while (picket_json_next(&reader, &token) == PICKET_JSON_NAME) {
        size_t prefix = sizeof PICKET_HEADER_APP_PREFIX - 1;
        memcpy(name, PICKET_HEADER_APP_PREFIX, prefix);
        bool fits = token.count < sizeof name - prefix;
        size_t count = prefix + (fits ? picket_json_unescape(&token, name + prefix) : 0);
        name[count] = 0;
        if (picket_json_next(&reader, &token) != PICKET_JSON_STRING)
            return;
        bool plain = fits && token.count <= sizeof value && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                                        "0123456789-_.") == count;
        if (plain)
            header_add(exchange, arena_string(http_arena(exchange), (struct text){name, count}),
                       (struct text){value, picket_json_unescape(&token, value)});
    }
}

static void message_take(struct http_call *call, struct db *db)
{
    struct http_exchange *exchange = call->exchange;
    struct arena *arena = http_arena(exchange);
    struct cloud_message *message = NULL;
    char enqueued[CLOCK_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];
    struct problem why;
    size_t count = 0;

    enum status status = cloud_messages_take(db, &call->identity, 1, CALL_MS, arena, &message, &count, &why);
    if (status) {
        refuse(call, status, &why);
        return;
    }
    if (!count) {
        http_code(exchange, 204);
        return;
    }
    clock_format(message->enqueued_at_us, enqueued);
    clock_format(message->expires_at_us, expires);
    http_code(exchange, 200);
    http_reply_header(exchange, "ETag", arena_format(arena, "\"%.*s\"", TEXT_ARGS(message->lock)));
    http_reply_header(exchange, "iothub-enqueuedtime", enqueued);
    http_reply_header(exchange, "iothub-expiry", expires);
    http_reply_header(exchange, "iothub-sequencenumber", arena_format(arena, "%lld", (long long)message->number));
    http_reply_header(exchange, "iothub-deliverycount", arena_format(arena, "%u", message->delivery_count));
    http_reply_header(exchange, "iothub-to",
                      arena_format(arena, "/devices/%.*s/messages/devicebound", TEXT_ARGS(call->identity.device)));
    header_add(exchange, PICKET_HEADER_MESSAGE_ID, message->message_id);
    header_add(exchange, PICKET_HEADER_CORRELATION_ID, message->correlation_id);
    header_add(exchange, PICKET_HEADER_CONTENT_TYPE, message->content_type);
    header_add(exchange, PICKET_HEADER_CONTENT_ENCODING, message->content_encoding);
    properties_add(exchange, message->properties);
    buf_text(http_reply_body(exchange, "application/octet-stream"), message->body);
}

static void message_settle(struct http_call *call, struct db *db)
{
    struct http_exchange *exchange = call->exchange;
    struct text lock = http_parameter(exchange, "lock");
    enum cloud_outcome outcome = call->kind == HTTP_CALL_ABANDON              ? CLOUD_ABANDONED
                                 : http_query(exchange, "reject").bytes ? CLOUD_REJECTED
                                                                             : CLOUD_COMPLETED;
    struct problem why;

    if (lock.count > 2 && lock.bytes[0] == '"' && lock.bytes[lock.count - 1] == '"')
        lock = (struct text){lock.bytes + 1, lock.count - 2};
    enum status status = cloud_message_settle(db, &call->identity, lock, outcome, "https", CALL_MS, &why);
    if (status == STATUS_REJECT)
        http_reply_error(exchange, 412, "PreconditionFailed", why.text, 0, 0);
    else if (status)
        refuse(call, status, &why);
    else
        http_code(exchange, 204);
}
