#include "ingest/http_front.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/http_properties.h"
#include "ingest/ingest_metrics.h"
#include "ingest/message_batch.h"
#include "ingest/mqtt/websocket.h"
#include "runtime/http.h"
#include "wire/device_api.h"

#define UNREADY_SECONDS 5
#define HEADER_PREFIX "iothub-"

struct http_front {
    const struct ingest_settings *settings;
    struct http_front_parts parts;
    struct http_server *https, *http;
    _Atomic size_t body_bytes; /* of all bodies in memory, on both ports */
};

/* One POST, in its exchange's arena from admission to answer. */
struct post {
    struct http_exchange *exchange;
    struct intake_message message;
};

enum {
    ROUTE_OPEN,
    ROUTE_DEVICE, /* whom the path names */
    ROUTE_PARENT, /* its device, also where the path goes on to a module */
};

static enum status server_open(struct http_front *front, struct problem *why);
static enum status plain_server_open(struct http_front *front, struct problem *why);
static bool front_admit(void *context, struct http_exchange *exchange, const struct http_route *route);
static void health_handle(void *context, struct http_exchange *exchange);
static void module_handle(void *context, struct http_exchange *exchange);
static void cloud_take_handle(void *context, struct http_exchange *exchange);
static void cloud_settle_handle(void *context, struct http_exchange *exchange);
static void cloud_abandon_handle(void *context, struct http_exchange *exchange);
static void register_handle(void *context, struct http_exchange *exchange);
static void operation_handle(void *context, struct http_exchange *exchange);
static void state_handle(void *context, struct http_exchange *exchange);
static void websocket_handle(void *context, struct http_exchange *exchange);
static void websocket_open(void *user, struct http_tunnel *tunnel, int fd, struct text early);
static void post_handle(void *context, struct http_exchange *exchange);
static void post_answered(void *context, const struct intake_answer *answer);
static bool claim_read(struct http_exchange *exchange, const struct http_route *route, struct text chain[TLS_CHAIN_MAX],
                       struct device_auth_claim *out);
static bool length_fits(struct http_front *front, struct http_exchange *exchange, const struct identity *identity);
static void refuse_auth(struct http_front *front, struct http_exchange *exchange, const struct device_auth_claim *claim,
                        const struct device_auth_result *result);
static void header_note(void *context, struct text name, struct text value);

static const struct http_route routes[] = {
    {"POST", PICKET_PATH_DEVICE_EVENTS, ROUTE_DEVICE, post_handle},
    {"POST", PICKET_PATH_MODULE_EVENTS, ROUTE_DEVICE, post_handle},
    {"GET", PICKET_PATH_MODULE, ROUTE_PARENT, module_handle},
    {"GET", PICKET_PATH_CLOUD, ROUTE_DEVICE, cloud_take_handle},
    {"DELETE", PICKET_PATH_CLOUD_LOCK, ROUTE_DEVICE, cloud_settle_handle},
    {"POST", PICKET_PATH_CLOUD_ABANDON, ROUTE_DEVICE, cloud_abandon_handle},
    /* As the REST reference writes it; SDKs write it small. */
    {"GET", "/devices/:device/messages/deviceBound", ROUTE_DEVICE, cloud_take_handle},
    {"DELETE", "/devices/:device/messages/deviceBound/:lock", ROUTE_DEVICE, cloud_settle_handle},
    {"POST", "/devices/:device/messages/deviceBound/:lock/abandon", ROUTE_DEVICE, cloud_abandon_handle},
    {"PUT", PICKET_PATH_REGISTER, ROUTE_OPEN, register_handle},
    {"GET", PICKET_PATH_OPERATION, ROUTE_OPEN, operation_handle},
    {"POST", PICKET_PATH_REGISTRATION, ROUTE_OPEN, state_handle},
    {"GET", "/$iothub/websocket", ROUTE_OPEN, websocket_handle},
    {"GET", "/healthz", ROUTE_OPEN, health_handle},
};

enum status http_front_open(const struct ingest_settings *settings, const struct http_front_parts *parts,
                            struct http_front **out, struct problem *why)
{
    struct http_front *front = calloc(1, sizeof *front);
    enum status status = STATUS_OK;

    if (!front)
        abort();
    front->settings = settings;
    front->parts = *parts;
    if (settings->https_port)
        status = server_open(front, why);
    if (!status && settings->http_port)
        status = plain_server_open(front, why);
    if (status) {
        http_front_stop(front);
        http_front_free(front);
        return status;
    }
    *out = front;
    return STATUS_OK;
}

uint16_t http_front_https_port(const struct http_front *front)
{
    return front->https ? http_server_port(front->https) : 0;
}

uint16_t http_front_http_port(const struct http_front *front)
{
    return front->http ? http_server_port(front->http) : 0;
}

void http_front_drain(struct http_front *front)
{
    if (front->https)
        http_server_drain(front->https);
    if (front->http)
        http_server_drain(front->http);
}

void http_front_stop(struct http_front *front)
{
    struct http_server *https = front->https, *http = front->http;

    front->https = front->http = NULL;
    if (https)
        http_server_close(https);
    if (http)
        http_server_close(http);
}

void http_front_free(struct http_front *take_front)
{
    assert(!take_front || (!take_front->https && !take_front->http));
    free(take_front);
}

static struct http_server_settings server_settings(struct http_front *front)
{
    const struct ingest_settings *settings = front->settings;

    return (struct http_server_settings){
        .threads = (unsigned)settings->ingest_threads,
        .connections_max = (unsigned)settings->connections_max,
        .connections_per_address_max = (unsigned)settings->connections_per_address_max,
        .request_timeout_ms = (uint32_t)settings->request_timeout_ms,
        .answer_timeout_ms = (uint32_t)settings->answer_timeout_ms,
        .body_bytes_max = (size_t)settings->body_bytes_max,
        .body_budget_bytes = (size_t)settings->body_budget_bytes,
        .body_budget_used = front->parts.body_bytes ? front->parts.body_bytes : &front->body_bytes,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
        .context = front,
        .admit = front_admit,
    };
}

static enum status server_open(struct http_front *front, struct problem *why)
{
    const struct ingest_settings *settings = front->settings;
    struct http_server_settings server = server_settings(front);

    if (!settings->tls_certificate_file || !settings->tls_certificate_file[0] || !settings->tls_key_file ||
        !settings->tls_key_file[0])
        return problem_set(why, STATUS_REJECT,
                           "https_port is open, so tls_certificate_file and tls_key_file have to be given");
    server.name = "ingest";
    server.address = settings->ingest_address;
    server.port = (uint16_t)settings->https_port;
    server.tls_certificate_file = settings->tls_certificate_file;
    server.tls_key_file = settings->tls_key_file;
    server.ask_client_certificate = true;
    return http_server_open(&server, &front->https, why);
}

/* Tokens travel in every request, so without TLS they must not leave the host: whatever address is configured. */
static enum status plain_server_open(struct http_front *front, struct problem *why)
{
    struct http_server_settings server = server_settings(front);

    server.name = "ingest-plain";
    server.address = "127.0.0.1";
    server.port = (uint16_t)front->settings->http_port;
    return http_server_open(&server, &front->http, why);
}

static bool front_admit(void *context, struct http_exchange *exchange, const struct http_route *route)
{
    struct http_front *front = context;
    struct text chain[TLS_CHAIN_MAX];
    struct device_auth_claim claim;
    struct device_auth_result result;

    if (route->role == ROUTE_OPEN)
        return true;
    if (!claim_read(exchange, route, chain, &claim))
        return false;
    device_auth_check(front->parts.auth, &claim, http_received_at_us(exchange), &result);
    if (result.verdict != DEVICE_AUTH_PASSED) {
        refuse_auth(front, exchange, &claim, &result);
        return false;
    }
    struct identity identity = {result.workspace.workspace, claim.device, claim.module};
    door_passed(front->parts.door, &identity, http_peer(exchange));
    if (!length_fits(front, exchange, &identity))
        return false;
    struct post *post = ARENA_NEW(http_arena(exchange), struct post);
    post->exchange = exchange;
    post->message.identity = identity;
    post->message.entry = result.entry;
    post->message.workspace = result.workspace;
    http_set_user(exchange, post);
    return true;
}

static void health_handle(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_string(http_reply_body(exchange, "text/plain"), "ok\n");
    http_answer(exchange);
}

static void call_take(struct http_front *front, enum http_call_kind kind, struct http_exchange *exchange)
{
    const struct post *post = http_user(exchange);
    const struct identity nobody = {0, TEXT(""), TEXT("")};

    if (front->parts.calls.pool) {
        http_calls_take(&front->parts.calls, kind, post ? &post->message.identity : &nobody, exchange);
        return;
    }
    http_reply_error(exchange, 503, "Unavailable", "This server has no database to ask.", 0, 0);
    http_answer(exchange);
}

static void module_handle(void *context, struct http_exchange *exchange)
{
    call_take(context, HTTP_CALL_MODULE, exchange);
}

static void cloud_take_handle(void *context, struct http_exchange *exchange)
{
    call_take(context, HTTP_CALL_TAKE, exchange);
}

static void cloud_settle_handle(void *context, struct http_exchange *exchange)
{
    call_take(context, HTTP_CALL_SETTLE, exchange);
}

static void cloud_abandon_handle(void *context, struct http_exchange *exchange)
{
    call_take(context, HTTP_CALL_ABANDON, exchange);
}

static void register_handle(void *context, struct http_exchange *exchange)
{
    call_take(context, HTTP_CALL_REGISTER, exchange);
}

static void operation_handle(void *context, struct http_exchange *exchange)
{
    call_take(context, HTTP_CALL_OPERATION, exchange);
}

/* The classic agent counts the NUL behind its JSON as part of the body. What the body says is not needed. */
static void state_handle(void *context, struct http_exchange *exchange)
{
    call_take(context, HTTP_CALL_STATE, exchange);
}

/* MQTT within WebSocket; who it is will show in the CONNECT. */
struct websocket_guest {
    struct mqtt_front *mqtt;
    const char *peer;
};

/* Whether a header's comma-separated list has the word, in any case. */
static bool header_has(struct http_exchange *exchange, const char *name, struct text word)
{
    struct text rest = http_header(exchange, name), item;

    while (rest.count) {
        rest = text_cut(rest, ',', &item);
        if (text_equal_nocase(text_trim(item), word))
            return true;
    }
    return false;
}

static void websocket_handle(void *context, struct http_exchange *exchange)
{
    struct http_front *front = context;
    char accept[WEBSOCKET_ACCEPT_SIZE];

    if (!header_has(exchange, "Upgrade", TEXT("websocket")) || !header_has(exchange, "Connection", TEXT("upgrade")) ||
        !header_has(exchange, "Sec-WebSocket-Protocol", TEXT("mqtt")) ||
        !text_equal(http_header(exchange, "Sec-WebSocket-Version"), TEXT("13")) || !front->parts.mqtt ||
        !websocket_accept(http_header(exchange, "Sec-WebSocket-Key"), accept)) {
        http_reply_header(exchange, "Sec-WebSocket-Version", "13");
        http_reply_error(exchange, 400, "BadWebSocket",
                         "This path is for WebSocket (version 13) with the subprotocol mqtt, and for nothing else.", 0, 0);
        http_answer(exchange);
        return;
    }
    struct websocket_guest *guest = ARENA_NEW(http_arena(exchange), struct websocket_guest);
    *guest = (struct websocket_guest){front->parts.mqtt, http_peer(exchange)};
    http_reply_header(exchange, "Sec-WebSocket-Accept", accept);
    http_reply_header(exchange, "Sec-WebSocket-Protocol", "mqtt");
    http_upgrade(exchange, "websocket", websocket_open, guest);
}

static void websocket_open(void *user, struct http_tunnel *tunnel, int fd, struct text early)
{
    const struct websocket_guest *guest = user;

    if (early.count)
        http_tunnel_close(tunnel); /* it spoke before it had our answer, which RFC 6455 does not allow */
    else
        mqtt_front_take(guest->mqtt, fd, tunnel, guest->peer);
}

/* What header_note() collects for one message. */
struct headers {
    struct intake_message *message;
    struct http_properties properties;
};

static void post_handle(void *context, struct http_exchange *exchange)
{
    struct http_front *front = context;
    struct post *post = http_user(exchange);
    struct intake_message *message = &post->message;
    char properties[PICKET_PROPERTIES_MAX]; /* on the stack: the bus copies it, and the arena would have to clear it */
    struct headers headers = {.message = message};

    message->transport = TEXT("https");
    message->body = http_body(exchange);
    message->received_at_us = http_received_at_us(exchange);
    message->answered = post_answered;
    message->context = post;
    http_properties_open(&headers.properties, properties);
    http_headers(exchange, header_note, &headers);
    if (!http_properties_close(&headers.properties, message)) {
        struct intake_answer answer = {400, "PropertiesTooLarge",
                                       "The properties of the message are longer than 16 KiB.", 0, 0, 0, NULL};
        intake_refused(front->parts.intake, message, &answer);
        post_answered(post, &answer);
    } else if (message_batch_is(message->content_type)) {
        message_batch_take(front->parts.intake, message, http_arena(exchange));
    } else {
        intake_take(front->parts.intake, message);
    }
}

static void post_answered(void *context, const struct intake_answer *answer)
{
    struct post *post = context;
    struct http_exchange *exchange = post->exchange;
    char receipt[BUS_RECEIPT_SIZE];

    if (answer->code == 204) {
        http_code(exchange, answer->code);
        if (answer->receipt) {
            bus_receipt_print(answer->receipt, receipt);
            http_reply_header(exchange, PICKET_HEADER_RECEIPT, receipt);
        }
    } else {
        http_reply_error(exchange, answer->code, answer->name, answer->message, answer->line, answer->column);
        if (answer->retry_after_s)
            http_retry_after(exchange, answer->retry_after_s);
    }
    http_answer(exchange);
}

/* False: refused, since no identity can have such an id. */
static bool claim_read(struct http_exchange *exchange, const struct http_route *route, struct text chain[TLS_CHAIN_MAX],
                       struct device_auth_claim *out)
{
    struct text module = route->role == ROUTE_PARENT ? TEXT_NONE : http_parameter(exchange, "module");

    *out = (struct device_auth_claim){
        .token = http_header(exchange, "Authorization"),
        .host = http_header(exchange, "Host"),
        .device = http_parameter(exchange, "device"),
        .module = module.bytes ? module : TEXT(""),
        .chain = chain,
        .chain_count = http_client_chain(exchange, chain),
    };
    if (identity_id_valid(out->device) && (!module.bytes || identity_id_valid(module)))
        return true;
    ingest_metrics_count_code(400);
    http_reply_error(exchange, 400, "InvalidId",
                     "An id has 1 to 128 characters: letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ '", 0, 0);
    return false;
}

/* runtime/http would refuse it as well, but could not put it down to the device. */
static bool length_fits(struct http_front *front, struct http_exchange *exchange, const struct identity *identity)
{
    static const char sentence[] = "The body is longer than this server takes.";
    struct text length = http_header(exchange, "Content-Length");
    uint64_t bytes;

    if (!length.count || !text_to_u64(length, &bytes) || bytes <= (uint64_t)front->settings->body_bytes_max)
        return true;
    ingest_metrics_count_code(413);
    door_refused(front->parts.door, identity, 413, sentence);
    http_reply_error(exchange, 413, "BodyTooLarge", sentence, 0, 0);
    return false;
}

static void refuse_auth(struct http_front *front, struct http_exchange *exchange, const struct device_auth_claim *claim,
                        const struct device_auth_result *result)
{
    unsigned code = 0;

    switch (result->verdict) {
    case DEVICE_AUTH_UNREADY:
        ingest_metrics_count_code(503);
        http_reply_error(exchange, 503, "Unavailable", "The server has not read its list of devices yet; try again.", 0,
                         0);
        http_retry_after(exchange, UNREADY_SECONDS);
        return;
    case DEVICE_AUTH_UNFIT:
        code = 401;
        http_reply_error(exchange, code, "Unauthorized", "The credential does not fit this identity.", 0, 0);
        http_reply_header(exchange, "WWW-Authenticate", "SharedAccessSignature");
        break;
    case DEVICE_AUTH_DISABLED:
        code = 403;
        http_reply_error(exchange, code, "DeviceDisabled", "This identity is disabled.", 0, 0);
        break;
    case DEVICE_AUTH_PASSED:
        assert(0 && "nothing to refuse");
        return;
    }
    ingest_metrics_count_code(code);
    door_refused_credential(front->parts.door, claim, result, code, http_peer(exchange));
}

static void header_note(void *context, struct text name, struct text value)
{
    struct headers *headers = context;
    struct intake_message *message = headers->message;

    if (name.count > sizeof HEADER_PREFIX - 1 &&
        text_equal_nocase((struct text){name.bytes, sizeof HEADER_PREFIX - 1}, TEXT(HEADER_PREFIX))) {
        http_properties_add(&headers->properties, message, name, value);
    } else if (text_equal_nocase(name, TEXT("Content-Type"))) {
        message->content_type = value;
    } else if (text_equal_nocase(name, TEXT("Content-Encoding"))) {
        message->content_coding = value;
    }
}
