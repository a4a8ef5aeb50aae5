#include "agent/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/device_api.h"
#include "wire/mqtt_packet.h"

#define CONNECT_MS 10000
#define EXCHANGE_MS 30000 /* past what the server gives itself to reach its bus */
#define KEEP_ALIVE_S 240
#define TOKEN_LIFE_S 3600
#define TOKEN_RENEW_MS (TOKEN_LIFE_S * 800)
#define RETRY_FIRST_MS 1000
#define RETRY_LAST_MS 300000
#define RETRY_DOUBLINGS 9
#define PACKET_FIRST 4096
#define PACKET_MAX (256 * 1024)
#define TOPIC_MAX (6 * 2 * PICKET_ID_MAX + 256)
#define HEAD_MAX (TOPIC_MAX + CREDENTIAL_TOKEN_SIZE + 1024) /* a packet without its payload */
#define METHOD_NAME_MAX 128
#define METHOD_ANSWER_MAX 65536
#define REQUEST_ID_MAX 64
#define DEFERRED_MAX 16
#define REQUEST_TWIN "1"
#define REQUEST_REPORT "2"

/* What an exchange waits for. */
struct awaited {
    enum picket_mqtt_type type;
    uint16_t id;
    bool came;
    uint8_t code;
};

/* A PUBLISH that came while a message was on its way. */
struct deferred {
    struct deferred *next;
    size_t count;
    char bytes[];
};

struct hub {
    struct uplink *uplink;
    struct credential *credential;
    struct hub_hooks hooks;
    const volatile sig_atomic_t *stopping;
    char token[CREDENTIAL_TOKEN_SIZE];
    char *packet; /* what came in so far */
    size_t packet_size, packet_count;
    uint16_t next_id;
    bool renew;
    int64_t connected_at_ms, spoke_at_ms, heard_at_ms, retry_at_ms;
    unsigned failures;
    bool busy; /* a message is on its way: its sender is not to be called from in there, so what comes in waits */
    struct deferred *deferred, **deferred_end;
    unsigned deferred_count;
};

static bool packets_take(struct hub *hub, int wait_ms, struct awaited *awaited, struct reason *why);
static void deferred_drop(struct hub *hub);

struct hub *hub_new(struct uplink *uplink, struct credential *credential, const struct hub_hooks *hooks, const volatile sig_atomic_t *stopping)
{
    struct hub *hub = calloc(1, sizeof *hub);

    if (!hub)
        abort();
    hub->uplink = uplink;
    hub->credential = credential;
    hub->hooks = *hooks;
    hub->stopping = stopping;
    hub->deferred_end = &hub->deferred;
    return hub;
}

void hub_free(struct hub *take_hub)
{
    if (!take_hub)
        return;
    free(take_hub->packet);
    deferred_drop(take_hub);
    explicit_bzero(take_hub->token, sizeof take_hub->token);
    free(take_hub);
}

/* ---- writing ---- */

static struct picket_span span_of(const char *text)
{
    return (struct picket_span){text, strlen(text)};
}

static bool head_send(struct hub *hub, const struct picket_mqtt_writer *writer, const char *body, size_t body_count, struct reason *why)
{
    int64_t deadline_ms = uplink_now_ms() + EXCHANGE_MS;
    size_t count = picket_mqtt_written(writer);

    hub->spoke_at_ms = uplink_now_ms();
    if (!count)
        return reason_set(why, "a packet is longer than this agent can send");
    return uplink_write(hub->uplink, writer->out, count, deadline_ms, why) && (!body_count || uplink_write(hub->uplink, body, body_count, deadline_ms, why));
}

static bool publish(struct hub *hub, const char *topic, unsigned qos, uint16_t id, const char *body, size_t count, struct reason *why)
{
    static const struct picket_span nothing = {"", 0};
    struct picket_mqtt_publish packet = {.qos = qos, .id = id, .topic = span_of(topic), .payload = {NULL, count}};
    struct picket_mqtt_writer writer;
    char head[HEAD_MAX];

    if (!count)
        packet.payload = nothing;
    picket_mqtt_write_init(&writer, head, sizeof head, PICKET_MQTT_5);
    picket_mqtt_write_publish(&writer, &packet, NULL, 0);
    return head_send(hub, &writer, body, count, why);
}

static uint16_t id_next(struct hub *hub)
{
    hub->next_id = hub->next_id == UINT16_MAX ? 1 : (uint16_t)(hub->next_id + 1);
    return hub->next_id;
}

/* ---- reading ---- */

/* "…/?$rid=7": what stands behind the last "$rid=", to the next '&'. */
static bool request_of(struct picket_span topic, char out[REQUEST_ID_MAX])
{
    static const char mark[] = "$rid=";
    const char *at = memmem(topic.bytes, topic.count, mark, sizeof mark - 1);
    size_t count = 0;

    if (!at)
        return false;
    at += sizeof mark - 1;
    while (at + count < topic.bytes + topic.count && at[count] != '&')
        count++;
    if (!count || count >= REQUEST_ID_MAX)
        return false;
    memcpy(out, at, count);
    out[count] = '\0';
    return true;
}

static bool topic_begins(struct picket_span *topic, const char *with)
{
    size_t count = strlen(with);

    if (topic->count < count || memcmp(topic->bytes, with, count) != 0)
        return false;
    topic->bytes += count;
    topic->count -= count;
    return true;
}

static bool method_run(struct hub *hub, struct picket_span rest, const struct picket_mqtt_publish *packet, struct reason *why)
{
    const char *slash = memchr(rest.bytes, '/', rest.count);
    size_t name_count = slash ? (size_t)(slash - rest.bytes) : 0, answer_count = 0;
    char name[METHOD_NAME_MAX], request[REQUEST_ID_MAX], topic[TOPIC_MAX];
    char *answer = malloc(METHOD_ANSWER_MAX);
    unsigned status = 404;

    if (!answer)
        abort();
    if (!name_count || name_count >= sizeof name || !request_of(rest, request)) {
        free(answer);
        return true; /* nobody could be answered */
    }
    memcpy(name, rest.bytes, name_count);
    name[name_count] = '\0';
    if (hub->hooks.method)
        status = hub->hooks.method(hub->hooks.context, name, packet->payload.bytes, packet->payload.count, answer, METHOD_ANSWER_MAX, &answer_count);
    snprintf(topic, sizeof topic, "$iothub/methods/res/%u/?$rid=%s", status, request);
    bool sent = publish(hub, topic, 0, 0, answer_count ? answer : "null", answer_count ? answer_count : 4, why);
    free(answer);
    return sent;
}

static void deferred_drop(struct hub *hub)
{
    while (hub->deferred) {
        struct deferred *first = hub->deferred;
        hub->deferred = first->next;
        free(first);
    }
    hub->deferred_end = &hub->deferred;
    hub->deferred_count = 0;
}

static bool defer(struct hub *hub, const struct picket_mqtt_frame *frame, struct reason *why)
{
    struct deferred *out = malloc(sizeof *out + frame->total);

    if (!out)
        abort();
    *out = (struct deferred){.next = NULL, .count = frame->total};
    memcpy(out->bytes, frame->body + frame->body_count - frame->total, frame->total);
    *hub->deferred_end = out;
    hub->deferred_end = &out->next;
    return ++hub->deferred_count <= DEFERRED_MAX || reason_set(why, "%s sends more at a time than is taken", hub->credential->host);
}

static bool publish_take(struct hub *hub, const struct picket_mqtt_frame *frame, struct reason *why)
{
    struct picket_mqtt_publish packet;
    struct picket_mqtt_fault fault;
    struct picket_mqtt_writer writer;
    char request[REQUEST_ID_MAX], ack[16];

    if (!picket_mqtt_read_publish(frame, PICKET_MQTT_5, &packet, &fault))
        return reason_set(why, "the server's PUBLISH cannot be read: %s", fault.sentence);
    struct picket_span rest = packet.topic;
    if (packet.qos) {
        picket_mqtt_write_init(&writer, ack, sizeof ack, PICKET_MQTT_5);
        picket_mqtt_write_puback(&writer, packet.id, PICKET_MQTT_SUCCESS, (struct picket_span){NULL, 0}, NULL, 0);
        if (!head_send(hub, &writer, NULL, 0, why))
            return false;
    }
    if (topic_begins(&rest, "$iothub/methods/POST/"))
        return method_run(hub, rest, &packet, why);
    bool whole = topic_begins(&rest, "$iothub/twin/res/200/") && request_of(rest, request) && strcmp(request, REQUEST_TWIN) == 0;
    if ((whole || topic_begins(&rest, "$iothub/twin/PATCH/properties/desired/")) && hub->hooks.twin)
        hub->hooks.twin(hub->hooks.context, packet.payload.bytes, packet.payload.count);
    return true;
}

/* False: the connection is not for further use. */
static bool frame_take(struct hub *hub, const struct picket_mqtt_frame *frame, struct awaited *awaited, struct reason *why)
{
    struct picket_mqtt_fault fault = {0, "it is none that a server sends"};
    struct picket_mqtt_disconnect disconnect;
    struct picket_mqtt_connack connack;
    struct picket_mqtt_suback suback;
    struct picket_mqtt_ack ack;
    bool wanted = awaited && awaited->type == frame->type;

    switch (frame->type) {
    case PICKET_MQTT_PUBLISH:
        return hub->busy ? defer(hub, frame, why) : publish_take(hub, frame, why);
    case PICKET_MQTT_PUBACK:
        if (!picket_mqtt_read_ack(frame, PICKET_MQTT_5, &ack, &fault))
            break;
        if (wanted && ack.id == awaited->id)
            *awaited = (struct awaited){frame->type, ack.id, true, ack.reason};
        return true;
    case PICKET_MQTT_SUBACK:
        if (!picket_mqtt_read_suback(frame, PICKET_MQTT_5, &suback, &fault))
            break;
        if (wanted && suback.id == awaited->id)
            *awaited = (struct awaited){frame->type, suback.id, true, suback.codes.count ? (uint8_t)suback.codes.bytes[0] : PICKET_MQTT_UNSPECIFIED};
        return true;
    case PICKET_MQTT_CONNACK:
        if (!wanted || !picket_mqtt_read_connack(frame, PICKET_MQTT_5, &connack, &fault))
            break;
        *awaited = (struct awaited){frame->type, 0, true, connack.code};
        return true;
    case PICKET_MQTT_PINGRESP:
        return true;
    case PICKET_MQTT_DISCONNECT:
        if (!picket_mqtt_read_disconnect(frame, PICKET_MQTT_5, &disconnect, &fault))
            break;
        if (awaited)
            awaited->code = disconnect.reason;
        return reason_set(why, "%s ends the connection: reason 0x%02x %.*s", hub->credential->host, disconnect.reason, (int)disconnect.properties.reason_string.count,
                          disconnect.properties.reason_string.bytes ? disconnect.properties.reason_string.bytes : "");
    default:
        break;
    }
    return reason_set(why, "a packet of the server cannot be read: %s", fault.sentence);
}

/* Room for what is still to come of the packet at hand. */
static bool packet_room(struct hub *hub, size_t wanted, struct reason *why)
{
    if (wanted > PACKET_MAX)
        return reason_set(why, "a packet of the server is longer than %d bytes", PACKET_MAX);
    if (hub->packet_size < wanted) {
        size_t size = hub->packet_size ? hub->packet_size : PACKET_FIRST;
        while (size < wanted)
            size *= 2;
        hub->packet = realloc(hub->packet, size);
        if (!hub->packet)
            abort();
        hub->packet_size = size;
    }
    return true;
}

/* What there is within that time, packet by packet; with `awaited` only until that has come. */
static bool packets_take(struct hub *hub, int wait_ms, struct awaited *awaited, struct reason *why)
{
    struct picket_mqtt_frame frame;
    struct picket_mqtt_fault fault;

    for (;;) {
        enum picket_mqtt_step step = picket_mqtt_frame_read(hub->packet, hub->packet_count, &frame, &fault);
        if (step == PICKET_MQTT_BROKEN)
            return reason_set(why, "%s does not speak MQTT: %s", hub->credential->host, fault.sentence);
        if (step == PICKET_MQTT_WHOLE) {
            bool fine = frame_take(hub, &frame, awaited, why);
            hub->packet_count -= frame.total;
            memmove(hub->packet, hub->packet + frame.total, hub->packet_count);
            if (!fine)
                return false;
            if (awaited && awaited->came)
                return true;
            continue;
        }
        if (!packet_room(hub, step == PICKET_MQTT_MORE && frame.total > hub->packet_count ? frame.total : hub->packet_count + 1, why))
            return false;
        if (!uplink_readable(hub->uplink, wait_ms))
            return true;
        ssize_t got = uplink_read(hub->uplink, hub->packet + hub->packet_count, hub->packet_size - hub->packet_count, uplink_now_ms() + EXCHANGE_MS, why);
        if (got < 0)
            return false;
        hub->packet_count += (size_t)got;
        hub->heard_at_ms = uplink_now_ms();
        wait_ms = 0;
    }
}

static bool await(struct hub *hub, struct awaited *awaited, const char *what, struct reason *why)
{
    int64_t deadline_ms = uplink_now_ms() + EXCHANGE_MS;

    while (!awaited->came) {
        if (*hub->stopping)
            return reason_set(why, "the agent is stopping");
        if (uplink_now_ms() >= deadline_ms)
            return reason_set(why, "%s takes too long: %s", hub->credential->host, what);
        if (!packets_take(hub, 500, awaited, why))
            return false;
    }
    return true;
}

/* ---- connecting ---- */

static bool connect_write(struct hub *hub, struct reason *why)
{
    const struct credential *credential = hub->credential;
    const char *slash = credential->module[0] ? "/" : "";
    char user[2 * PICKET_ID_MAX + PICKET_HOST_MAX + 64], client[2 * PICKET_ID_MAX + 2], head[HEAD_MAX];
    struct picket_mqtt_writer writer;

    snprintf(client, sizeof client, "%s%s%s", credential->device, slash, credential->module);
    snprintf(user, sizeof user, "%s/%s/?api-version=2021-04-12", credential->host, client);
    const struct picket_mqtt_connect packet = {
        .clean = true,
        .keep_alive_s = KEEP_ALIVE_S,
        .client_id = span_of(client),
        .has_user_name = true,
        .user_name = span_of(user),
        .has_password = !credential->by_certificate,
        .password = span_of(hub->token),
        .properties = {.has_packet_maximum = true, .packet_maximum = PACKET_MAX},
    };
    picket_mqtt_write_init(&writer, head, sizeof head, PICKET_MQTT_5);
    picket_mqtt_write_connect(&writer, &packet);
    bool sent = head_send(hub, &writer, NULL, 0, why);
    explicit_bzero(head, sizeof head);
    return sent;
}

static bool subscribe(struct hub *hub, const char *filter, struct reason *why)
{
    struct awaited awaited = {.type = PICKET_MQTT_SUBACK, .id = id_next(hub)};
    struct picket_mqtt_writer writer;
    char head[256];

    picket_mqtt_write_init(&writer, head, sizeof head, PICKET_MQTT_5);
    picket_mqtt_write_subscribe(&writer, awaited.id, span_of(filter), 0);
    if (!head_send(hub, &writer, NULL, 0, why) || !await(hub, &awaited, "subscribing", why))
        return false;
    return awaited.code < 0x80 || reason_set(why, "%s lets nobody subscribe to %s: 0x%02x", hub->credential->host, filter, awaited.code);
}

static void drop(struct hub *hub)
{
    uplink_close(hub->uplink);
    deferred_drop(hub);
    free(hub->packet);
    hub->packet = NULL;
    hub->packet_size = hub->packet_count = 0;
}

static bool session_begin(struct hub *hub, struct reason *why)
{
    static const char *const filters[] = {"$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#"};
    struct awaited awaited = {.type = PICKET_MQTT_CONNACK};

    if (!connect_write(hub, why) || !await(hub, &awaited, "the greeting", why))
        return false;
    if (awaited.code == PICKET_MQTT_NOT_AUTHORIZED || awaited.code == PICKET_MQTT_BAD_CREDENTIALS)
        credential_refused(hub->credential);
    if (awaited.code)
        return reason_set(why, "%s does not let %s in: 0x%02x", hub->credential->host, hub->credential->device, awaited.code);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (!subscribe(hub, filters[i], why))
            return false;
    return publish(hub, "$iothub/twin/GET/?$rid=" REQUEST_TWIN, 0, 0, NULL, 0, why);
}

static void failed(struct hub *hub)
{
    unsigned doublings = hub->failures < RETRY_DOUBLINGS ? hub->failures : RETRY_DOUBLINGS;
    uint32_t wait_ms = (uint32_t)RETRY_FIRST_MS << doublings, dice;

    wait_ms = wait_ms > RETRY_LAST_MS ? RETRY_LAST_MS : wait_ms;
    uplink_random(&dice, sizeof dice);
    hub->retry_at_ms = uplink_now_ms() + wait_ms / 2 + dice % (wait_ms / 2 + 1);
    hub->failures++;
    drop(hub);
}

static bool hub_connect(struct hub *hub, int64_t now_s, struct reason *why)
{
    if (uplink_is_open(hub->uplink))
        return true;
    if (!hub->credential->by_certificate && !credential_token(hub->credential, now_s + TOKEN_LIFE_S, uplink_hmac_sha256, hub->token))
        return reason_set(why, "the identity is too long for a token");
    hub->busy = true;
    bool fine = uplink_open(hub->uplink, uplink_now_ms() + CONNECT_MS, why) && session_begin(hub, why);
    hub->busy = false;
    if (!fine) {
        failed(hub);
        return false;
    }
    hub->failures = 0;
    hub->credential->refused = 0;
    hub->connected_at_ms = hub->heard_at_ms = uplink_now_ms();
    return true;
}

/* ---- messages ---- */

/* The property bag: "%24.mid=…&%24.ct=application%2Fjson&…". Ids of messages are letters, digits and dashes. */
static bool message_topic(const struct credential *credential, const struct picket_message *message, char out[TOPIC_MAX])
{
    int count = snprintf(out, TOPIC_MAX, "devices/%s%s%s/messages/events/%%24.mid=%s&%%24.ct=application%%2Fjson&%%24.ce=utf-8&%%24.ifid=urn%%3Aazureiot%%3ASecurity%%3ASecurityAgent%%3A1",
                         credential->device, credential->module[0] ? "/modules/" : "", credential->module, message->id);

    return count > 0 && count < TOPIC_MAX;
}

void hub_send(struct hub *hub, const struct picket_message *message, int64_t now_s, struct picket_send_answer *out, struct reason *why)
{
    struct awaited awaited = {.type = PICKET_MQTT_PUBACK};
    char topic[TOPIC_MAX];

    out->status = PICKET_SEND_LATER;
    if (!message_topic(hub->credential, message, topic) || !hub_connect(hub, now_s, why))
        return;
    awaited.id = id_next(hub);
    hub->busy = true;
    bool sent = publish(hub, topic, 1, awaited.id, message->body, message->body_count, why);
    bool acknowledged = sent && await(hub, &awaited, "the acknowledgement", why);
    hub->busy = false;
    if (!acknowledged)
        failed(hub);
    out->code = awaited.code;
    if (acknowledged && awaited.code < 0x80)
        out->status = PICKET_SEND_DONE;
    else if (awaited.code == PICKET_MQTT_PAYLOAD_INVALID || awaited.code == PICKET_MQTT_TOO_LARGE)
        out->status = PICKET_SEND_REFUSED;
    if (out->status != PICKET_SEND_DONE && acknowledged)
        reason_set(why, "%s answers 0x%02x", hub->credential->host, awaited.code);
}

static bool deferred_take(struct hub *hub, struct reason *why)
{
    struct picket_mqtt_frame frame;
    struct picket_mqtt_fault fault;
    bool fine = true;

    while (fine && hub->deferred) {
        struct deferred *first = hub->deferred;
        hub->deferred = first->next;
        hub->deferred_count--;
        fine = picket_mqtt_frame_read(first->bytes, first->count, &frame, &fault) == PICKET_MQTT_WHOLE && publish_take(hub, &frame, why);
        free(first);
    }
    if (!hub->deferred)
        hub->deferred_end = &hub->deferred;
    return fine;
}

uint32_t hub_serve(struct hub *hub, int64_t now_s, struct reason *why)
{
    int64_t now_ms = uplink_now_ms();

    bool old = !hub->credential->by_certificate && now_ms - hub->connected_at_ms > TOKEN_RENEW_MS;
    if (uplink_is_open(hub->uplink) && (old || hub->renew))
        drop(hub); /* before the server does it, in the middle of something */
    hub->renew = false;
    if (!uplink_is_open(hub->uplink) && (now_ms < hub->retry_at_ms || !hub_connect(hub, now_s, why)))
        return hub->retry_at_ms > now_ms ? (uint32_t)(hub->retry_at_ms - now_ms) : 0;
    if (!deferred_take(hub, why) || !packets_take(hub, 0, NULL, why)) {
        failed(hub);
        return 0;
    }
    if (now_ms - hub->heard_at_ms > INT64_C(1500) * KEEP_ALIVE_S) {
        reason_set(why, "%s has not answered for too long", hub->credential->host);
        failed(hub);
        return 0;
    }
    int64_t ping_in_ms = hub->spoke_at_ms + INT64_C(500) * KEEP_ALIVE_S - now_ms;
    if (ping_in_ms <= 0) {
        struct picket_mqtt_writer writer;
        char ping[4];
        picket_mqtt_write_init(&writer, ping, sizeof ping, PICKET_MQTT_5);
        picket_mqtt_write_ping(&writer, PICKET_MQTT_PINGREQ);
        if (!head_send(hub, &writer, NULL, 0, why))
            failed(hub);
        ping_in_ms = INT64_C(500) * KEEP_ALIVE_S;
    }
    return (uint32_t)ping_in_ms;
}

void hub_renew(struct hub *hub)
{
    hub->renew = true;
}

int hub_socket(const struct hub *hub)
{
    return uplink_socket(hub->uplink);
}

bool hub_report(struct hub *hub, const char *json, size_t count, struct reason *why)
{
    if (!uplink_is_open(hub->uplink))
        return false;
    if (publish(hub, "$iothub/twin/PATCH/properties/reported/?$rid=" REQUEST_REPORT, 0, 0, json, count, why))
        return true;
    failed(hub);
    return false;
}
