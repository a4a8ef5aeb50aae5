#include "ingest/intake.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/decode.h"
#include "ingest/decompress.h"
#include "ingest/ingest_metrics.h"
#include "ingest/quota.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/secret.h"
#include "wire/bus_record.h"

#define BUSY_SECONDS 5
#define IDLE_LOOK_MS 20

struct intake {
    const struct ingest_settings *settings;
    struct bus *bus;
    struct door *door;
    struct quota *quota;
    _Atomic long under_way;
};

static void quota_limits(const struct intake *intake, const struct intake_message *message,
                         struct quota_limits *device, struct quota_limits *workspace);
static bool quota_passes(struct intake *intake, struct intake_message *message);
static bool body_unwrap(struct intake *intake, struct intake_message *message, enum coding coding,
                        struct buf *unwrapped);
static void body_pass(struct intake *intake, struct intake_message *message, struct text body);
static void body_send(struct intake *intake, struct intake_message *message, struct text body,
                      const struct decoded *decoded);
static void message_key(const struct intake_message *message, struct text body, uint8_t key[SECRET_DIGEST_BYTES]);
static enum status message_send(struct intake *intake, struct intake_message *message, struct text body,
                                const struct decoded *decoded, struct problem *why);
static void message_reported(void *context, enum status status, const struct bus_receipt *receipt,
                             const struct problem *why);
static void message_sent(struct intake_message *message, enum status status, const struct bus_receipt *receipt,
                         const struct problem *why);
static void refuse_status(struct intake *intake, struct intake_message *message, enum status status,
                          const struct problem *why);
static void refuse(struct intake *intake, struct intake_message *message, const struct intake_answer *answer);
static void bury(struct intake *intake, struct intake_message *message, const char *sentence);

struct intake *intake_open(const struct ingest_settings *settings, struct bus *bus, struct door *door)
{
    struct intake *intake = calloc(1, sizeof *intake);

    if (!intake)
        abort();
    intake->settings = settings;
    intake->bus = bus;
    intake->door = door;
    intake->quota = quota_new();
    return intake;
}

bool intake_idle(struct intake *intake, uint32_t timeout_ms)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;

    /* Looked at a few times while the program stops: a condition variable would cost every message a lock. */
    while (atomic_load(&intake->under_way)) {
        struct timespec pause = {0, IDLE_LOOK_MS * 1000000L};
        if (clock_monotonic_ms() >= until_ms)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

void intake_close(struct intake *take_intake)
{
    if (!take_intake)
        return;
    assert(!atomic_load(&take_intake->under_way));
    quota_free(take_intake->quota);
    free(take_intake);
}

void intake_take(struct intake *intake, struct intake_message *message)
{
    enum coding coding;

    message->intake = intake;
    message->refused = TEXT_NONE;
    if (!decompress_coding(message->content_coding, &coding)) {
        struct intake_answer answer = {415, "UnsupportedEncoding",
                                       "Content-Encoding may be gzip, deflate, zstd or identity, and only one of them.",
                                       0, 0, 0, NULL};
        refuse(intake, message, &answer);
        return;
    }
    if (!quota_passes(intake, message))
        return;
    if (coding == CODING_IDENTITY) {
        body_pass(intake, message, message->body);
        return;
    }
    struct buf unwrapped;
    buf_init(&unwrapped, (size_t)intake->settings->body_bytes_max);
    if (body_unwrap(intake, message, coding, &unwrapped))
        body_pass(intake, message, buf_as_text(&unwrapped));
    buf_done(&unwrapped);
}

void intake_refused(struct intake *intake, const struct intake_message *message, const struct intake_answer *answer)
{
    ingest_metrics_count_code(answer->code);
    door_refused(intake->door, &message->identity, answer->code, answer->message);
}

static void quota_limits(const struct intake *intake, const struct intake_message *message,
                         struct quota_limits *device, struct quota_limits *workspace)
{
    const struct ingest_settings *settings = intake->settings;
    const struct roster_entry *entry = &message->entry;
    const struct roster_workspace *whole = &message->workspace;

    device->messages_per_second =
        entry->messages_per_second == ROSTER_LIMIT_DEFAULT ? settings->messages_per_second : entry->messages_per_second;
    device->bytes_per_second =
        entry->bytes_per_second == ROSTER_LIMIT_DEFAULT ? settings->bytes_per_second : entry->bytes_per_second;
    workspace->messages_per_second = whole->messages_per_second == ROSTER_LIMIT_DEFAULT
                                         ? settings->workspace_messages_per_second
                                         : whole->messages_per_second;
    workspace->bytes_per_second = whole->bytes_per_second == ROSTER_LIMIT_DEFAULT
                                      ? settings->workspace_bytes_per_second
                                      : whole->bytes_per_second;
}

/* Not the time of receipt: a wall clock that is set back would close the door until it has caught up. */
static int64_t quota_now_us(void)
{
    return clock_monotonic_ms() * 1000;
}

static bool quota_passes(struct intake *intake, struct intake_message *message)
{
    struct quota_limits device, workspace;
    char sentence[160];
    bool is_workspace;

    quota_limits(intake, message, &device, &workspace);
    unsigned seconds = quota_take(intake->quota, &message->identity, &device, &workspace, message->body.count, quota_now_us(),
                                  &is_workspace);
    if (!seconds)
        return true;
    metric_add(&ingest_metrics.throttled[is_workspace], 1);
    snprintf(sentence, sizeof sentence, "More came than this %s may send; try again in %u seconds.",
             is_workspace ? "device's workspace" : "device", seconds);
    struct intake_answer answer = {429, "Throttled", sentence, 0, 0, seconds, NULL};
    refuse(intake, message, &answer);
    return false;
}

/* False: refused. */
static bool body_unwrap(struct intake *intake, struct intake_message *message, enum coding coding,
                        struct buf *unwrapped)
{
    static const struct intake_answer broken = {
        400, "BrokenEncoding", "The body is not what its Content-Encoding says, or it is cut off.", 0, 0, 0, NULL};
    static const struct intake_answer too_long = {
        413, "BodyTooLarge", "The body is longer than this server takes, once it is decompressed.", 0, 0, 0, NULL};
    struct quota_limits device, workspace;

    switch (decompress(coding, message->body, unwrapped)) {
    case DECOMPRESS_BROKEN:
        refuse(intake, message, &broken);
        return false;
    case DECOMPRESS_TOO_LONG:
        refuse(intake, message, &too_long);
        return false;
    case DECOMPRESS_OK:
        break;
    }
    if (unwrapped->count > message->body.count) {
        quota_limits(intake, message, &device, &workspace);
        quota_charge(intake->quota, &message->identity, &device, &workspace, unwrapped->count - message->body.count,
                     quota_now_us());
    }
    return true;
}

static void body_pass(struct intake *intake, struct intake_message *message, struct text body)
{
    struct decode_claim claim = {message->content_type, message->property_type, message->property_encoding,
                                 message->indicator};
    struct decoded decoded;
    struct problem why;

    if (message->message_id.count > PICKET_MESSAGE_ID_MAX) {
        problem_set(&why, STATUS_REJECT, "the message id is longer than %d bytes", PICKET_MESSAGE_ID_MAX);
        refuse_status(intake, message, STATUS_REJECT, &why);
        return;
    }
    if (decode(&claim, body, (unsigned)intake->settings->json_depth_max, &decoded, &why)) {
        struct intake_answer answer = {400, decoded.refusal, why.text, decoded.line, decoded.column, 0, NULL};
        refuse(intake, message, &answer);
        return;
    }
    body_send(intake, message, body, &decoded);
}

static void body_send(struct intake *intake, struct intake_message *message, struct text body,
                      const struct decoded *decoded)
{
    struct problem why;

    message->charged_bytes = body.count;
    atomic_fetch_add_explicit(&intake->under_way, 1, memory_order_relaxed);
    metric_add(&ingest_metrics.messages_in_flight, 1);
    metric_add(&ingest_metrics.body_bytes_in_flight, (int64_t)body.count);
    /* Once the bus has it, `message` may be answered and gone before the call returns. */
    enum status status = message_send(intake, message, body, decoded, &why);
    if (status)
        message_sent(message, status, NULL, &why);
}

static void message_key(const struct intake_message *message, struct text body, uint8_t key[SECRET_DIGEST_BYTES])
{
    const struct identity *identity = &message->identity;
    char workspace[16];
    int count = snprintf(workspace, sizeof workspace, "%u", (unsigned)identity->workspace);
    struct text parts[] = {{workspace, (size_t)count}, identity->device, identity->module, message->message_id, body};

    secret_digest(parts, sizeof parts / sizeof parts[0], NULL, key);
}

static struct picket_span span(struct text text)
{
    return (struct picket_span){text.bytes, text.count};
}

static enum status message_send(struct intake *intake, struct intake_message *message, struct text body,
                                const struct decoded *decoded, struct problem *why)
{
    char key[PICKET_RECORD_KEY_SIZE], scratch[PICKET_RECORD_SCRATCH];
    struct picket_record_header wire_headers[PICKET_RECORD_HEADERS_MAX];
    struct bus_header headers[PICKET_RECORD_HEADERS_MAX];
    struct picket_record record = {
        .kind = PICKET_RECORD_MESSAGE,
        .workspace = message->identity.workspace,
        .device = span(message->identity.device),
        .module = span(message->identity.module),
        .received_at_us = message->received_at_us,
        .transport = span(message->transport),
        .content_type = span(message->property_type.count ? message->property_type : message->content_type),
        .properties = span(message->properties),
        .message_id = span(message->message_id),
        .refused = span(message->refused),
        .claims_json = decoded->claims_json,
        .has_identity = decoded->has_identity || message->message_id.count > 0,
    };

    if (record.has_identity)
        message_key(message, body, record.message_key);
    size_t header_count = picket_record_headers(&record, scratch, wire_headers);
    for (size_t i = 0; i < header_count; i++)
        headers[i] = (struct bus_header){{wire_headers[i].name.bytes, wire_headers[i].name.count},
                                         {wire_headers[i].value.bytes, wire_headers[i].value.count}};
    struct bus_record sent = {
        .key = {key, picket_record_key(record.workspace, record.device, key)},
        .value = body,
        .headers = headers,
        .header_count = header_count,
    };
    return bus_send(intake->bus, &sent, message_reported, message, why);
}

static void message_reported(void *context, enum status status, const struct bus_receipt *receipt,
                             const struct problem *why)
{
    struct intake_message *message = context;

    message->cannot_refuse = false; /* the body is gone by now, so the front has to break off */
    message_sent(message, status, receipt, why);
}

static void message_sent(struct intake_message *message, enum status status, const struct bus_receipt *receipt,
                         const struct problem *why)
{
    struct intake *intake = message->intake;
    int64_t bytes = (int64_t)message->charged_bytes;

    if (status) {
        refuse_status(intake, message, status, why);
    } else {
        struct intake_answer answer = {204, NULL, NULL, 0, 0, 0, receipt};
        ingest_metrics_count_code(204);
        metric_add(&ingest_metrics.body_bytes, bytes);
        message->answered(message->context, &answer);
    }
    metric_add(&ingest_metrics.body_bytes_in_flight, -bytes);
    metric_add(&ingest_metrics.messages_in_flight, -1);
    atomic_fetch_sub_explicit(&intake->under_way, 1, memory_order_release);
}

static void refuse_status(struct intake *intake, struct intake_message *message, enum status status,
                          const struct problem *why)
{
    static struct log_rate rate;
    struct intake_answer answer = {503, "Unavailable", why->text, 0, 0, BUSY_SECONDS, NULL};

    switch (status) {
    case STATUS_OK:
        assert(0 && "a success is no refusal");
        break;
    case STATUS_REJECT:
        answer = (struct intake_answer){400, "BadRequest", why->text, 0, 0, 0, NULL};
        break;
    case STATUS_RETRY:
        break;
    case STATUS_FAULT:
        log_rated(&rate, LOG_ERROR, "message.failed", "workspace=%u device=%.*s reason=\"%s\"",
                  (unsigned)message->identity.workspace, TEXT_ARGS(message->identity.device), why->text);
        answer = (struct intake_answer){500, "InternalError", "Something is wrong on the server; its log says what.",
                                        0, 0, 0, NULL};
        break;
    }
    refuse(intake, message, &answer);
}

static void refuse(struct intake *intake, struct intake_message *message, const struct intake_answer *answer)
{
    bool message_is_wrong = answer->code < 500 && answer->code != 429;

    intake_refused(intake, message, answer);
    if (message_is_wrong && message->cannot_refuse && !message->refused.bytes)
        bury(intake, message, answer->message);
    else
        message->answered(message->context, answer);
}

/* As it came: a coding may be what is wrong with it. */
static void bury(struct intake *intake, struct intake_message *message, const char *sentence)
{
    struct decoded nothing = {.claims_json = false};

    if (message->message_id.count > PICKET_MESSAGE_ID_MAX)
        message->message_id = TEXT_NONE; /* it stands among the properties as well */
    message->refused = text_of(sentence);
    body_send(intake, message, message->body, &nothing);
}
