#include "tests/support/senders.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/bus.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "tests/support/classic_message.h"
#include "tests/support/crashes.h"
#include "tests/support/device_token.h"
#include "tests/support/http_load.h"
#include "tests/support/mqtt_load.h"
#include "tests/support/pipeline.h"

#define MESSAGES_MAX (1u << 21)
#define NONE UINT64_MAX
#define SLICE_MS 250        /* of one run of the load generator; then it is asked to stop */
#define RECONNECT_MS 10     /* while nobody listens */
#define WAIT_MS 60000
#define LOOK_MS 5
#define RESEND_ONE_IN 3     /* chance of an unanswered message to be the next, so that some wait longer */
#define WAITING_MAX 500     /* then nothing new is sent before they are through */
#define REPEAT_ONE_IN 20    /* chance of one that was acknowledged long ago */

struct message {
    int64_t offset; /* of its first receipt; -1: none, or the bus did not know */
    int32_t partition;
    uint32_t sends;
    bool acknowledged, waiting; /* waiting: in the list of those to be sent again */
};

struct senders {
    unsigned devices, connections;
    uint64_t seed;
    char (*tokens)[DEVICE_TOKEN_SIZE];
    struct message *messages;
    uint64_t count; /* messages that were made so far */
    uint64_t *waiting, waiting_count;
    uint64_t *made; /* per device, over MQTT: how many of its messages there are */
    uint64_t *under_way; /* per connection; NONE: nothing */
    bool settling, mqtt;
    atomic_ullong acknowledged, answers, refused;
    atomic_bool stopping;
    pthread_t thread;
    bool started;
};

static void *senders_run(void *context);
static void slice_run(struct senders *senders, uint64_t requests_max);
static void http_slice_run(struct senders *senders, uint64_t requests_max);
static void mqtt_slice_run(struct senders *senders);
static void connect_build(void *context, unsigned connection, struct picket_mqtt_connect *out);
static bool publish_build(void *context, unsigned connection, struct buf *topic, struct buf *payload);
static void puback_note(void *context, unsigned connection, struct text receipt);
static void loss_note(void *context, unsigned connection);
static uint64_t number_choose_of(struct senders *senders, unsigned device);
static void receipt_read(struct message *message, const char *receipt);
static void request_build(void *context, unsigned connection, uint64_t number, struct buf *out);
static void reply_note(void *context, unsigned connection, unsigned code, struct text head, struct text body);
static void receipt_note(struct message *message, struct text head);
static void unanswered_note(struct senders *senders, unsigned connection);
static uint64_t number_choose(struct senders *senders);
static void rows_check(struct senders *senders, const struct db_rows *rows);
static void sums_check(uint64_t stored);

struct senders *senders_open(unsigned devices, unsigned connections, uint64_t seed)
{
    struct senders *senders = calloc(1, sizeof *senders);

    if (!senders)
        abort();
    senders->devices = devices;
    senders->connections = connections;
    senders->seed = seed;
    senders->tokens = calloc(devices, sizeof *senders->tokens);
    senders->messages = calloc(MESSAGES_MAX, sizeof *senders->messages);
    senders->waiting = calloc(MESSAGES_MAX, sizeof *senders->waiting);
    senders->under_way = calloc(connections, sizeof *senders->under_way);
    senders->made = calloc(devices, sizeof *senders->made);
    if (!senders->tokens || !senders->messages || !senders->waiting || !senders->under_way || !senders->made)
        abort();
    for (unsigned i = 0; i < devices; i++)
        snprintf(senders->tokens[i], DEVICE_TOKEN_SIZE, "%s", pipeline_authorization(i));
    for (unsigned i = 0; i < connections; i++)
        senders->under_way[i] = NONE;
    return senders;
}

struct senders *senders_open_mqtt(unsigned devices, uint64_t seed)
{
    struct senders *senders = senders_open(devices, devices, seed);

    senders->mqtt = true;
    return senders;
}

void senders_start(struct senders *senders)
{
    assert(!senders->started);
    atomic_store(&senders->stopping, false);
    if (pthread_create(&senders->thread, NULL, senders_run, senders))
        pipeline_abort("senders: no thread");
    senders->started = true;
}

void senders_stop(struct senders *senders)
{
    if (!senders->started)
        return;
    atomic_store(&senders->stopping, true);
    pthread_join(senders->thread, NULL);
    senders->started = false;
}

void senders_settle(struct senders *senders)
{
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;

    assert(!senders->started);
    senders->settling = true;
    while (senders->waiting_count) {
        if (clock_monotonic_ms() > deadline_ms)
            pipeline_abort("senders: %" PRIu64 " messages were not acknowledged in time", senders->waiting_count);
        slice_run(senders, senders->waiting_count);
    }
    senders->settling = false;
}

void senders_check(struct senders *senders)
{
    struct db_rows *rows = pipeline_rows(
        "SELECT ('x' || right(sender_event_id, 12))::bit(48)::bigint, count(*), count(DISTINCT sender_event_id),"
        " min(bus_partition), max(bus_partition), min(bus_offset), max(bus_offset), min(device_id), max(device_id)"
        " FROM picket.raw_event WHERE category <> 'Custom' AND type = 'Security' GROUP BY 1 ORDER BY 1");

    assert(!senders->started);
    rows_check(senders, rows);
    sums_check(db_rows_count(rows));
    db_rows_free(rows);
}

void senders_close(struct senders *take_senders)
{
    senders_stop(take_senders);
    free(take_senders->tokens);
    free(take_senders->messages);
    free(take_senders->waiting);
    free(take_senders->under_way);
    free(take_senders->made);
    free(take_senders);
}

uint64_t senders_acknowledged(struct senders *senders)
{
    return atomic_load(&senders->acknowledged);
}

uint64_t senders_refused(struct senders *senders)
{
    return atomic_load(&senders->refused);
}

void senders_wait(struct senders *senders, uint64_t more)
{
    uint64_t until = atomic_load(&senders->answers) + more;
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;

    while (atomic_load(&senders->answers) < until) {
        if (clock_monotonic_ms() > deadline_ms)
            pipeline_abort("senders: %" PRIu64 " more messages were not acknowledged in %d ms", more, WAIT_MS);
        poll(NULL, 0, LOOK_MS);
    }
}

static void *senders_run(void *context)
{
    struct senders *senders = context;

    while (!atomic_load(&senders->stopping))
        slice_run(senders, 0);
    return NULL;
}

/* Nobody listening, and a silence, end a run of the load generator; the book knows what was under way. */
static void slice_run(struct senders *senders, uint64_t requests_max)
{
    if (senders->mqtt)
        mqtt_slice_run(senders);
    else
        http_slice_run(senders, requests_max);
    for (unsigned i = 0; i < senders->connections; i++)
        unanswered_note(senders, i);
}

static void http_slice_run(struct senders *senders, uint64_t requests_max)
{
    const struct http_load_settings load = {
        .port = pipeline_device_port(),
        .connections = senders->connections,
        .duration_ms = SLICE_MS,
        .requests_max = requests_max,
        .context = senders,
        .build = request_build,
        .replied = reply_note,
    };
    struct http_load_result result;
    struct problem why;

    if (http_load_run(&load, &result, &why))
        poll(NULL, 0, RECONNECT_MS);
}

static void mqtt_slice_run(struct senders *senders)
{
    const struct mqtt_load_settings load = {
        .port = pipeline_mqtt_port(),
        .version = PICKET_MQTT_5,
        .connections = senders->connections,
        .window = 1,
        .duration_ms = SLICE_MS,
        .context = senders,
        .connect = connect_build,
        .build = publish_build,
        .acknowledged = puback_note,
        .lost = loss_note,
    };
    struct mqtt_load_result result;
    struct problem why;

    enum status status = mqtt_load_run(&load, &result, &why);
    if (status == STATUS_REJECT)
        pipeline_abort("senders: %s", why.text);
    if (status)
        poll(NULL, 0, RECONNECT_MS);
}

static void connect_build(void *context, unsigned connection, struct picket_mqtt_connect *out)
{
    static char device[32], user[96];
    struct senders *senders = context;

    snprintf(device, sizeof device, "device-%u", connection);
    snprintf(user, sizeof user, "localhost/device-%u/?api-version=2021-04-12", connection);
    out->has_user_name = out->has_password = true;
    out->client_id = (struct picket_span){device, strlen(device)};
    out->user_name = (struct picket_span){user, strlen(user)};
    out->password = (struct picket_span){senders->tokens[connection], strlen(senders->tokens[connection])};
}

static bool publish_build(void *context, unsigned connection, struct buf *topic, struct buf *payload)
{
    struct senders *senders = context;
    uint64_t chosen = number_choose_of(senders, connection);

    if (chosen == NONE)
        return false;
    senders->messages[chosen].sends++;
    senders->under_way[connection] = chosen;
    buf_format(topic, "devices/device-%u/messages/events/%%24.ct=application%%2Fjson", connection);
    if (chosen % 2)
        buf_format(topic, "&%%24.mid=m-%" PRIu64, chosen);
    classic_message_append(payload, SENDERS_EVENTS, chosen);
    return true;
}

static void puback_note(void *context, unsigned connection, struct text receipt)
{
    struct senders *senders = context;
    struct message *message = &senders->messages[senders->under_way[connection]];
    char line[BUS_RECEIPT_SIZE];

    senders->under_way[connection] = NONE;
    atomic_fetch_add(&senders->answers, 1);
    if (message->acknowledged)
        return;
    message->acknowledged = true;
    snprintf(line, sizeof line, "%.*s", TEXT_ARGS(receipt));
    receipt_read(message, line);
    atomic_fetch_add(&senders->acknowledged, 1);
}

static void loss_note(void *context, unsigned connection)
{
    unanswered_note(context, connection);
}

/* Each device has a connection of its own here, so what is chosen has to be one of its messages. */
static uint64_t number_choose_of(struct senders *senders, unsigned device)
{
    for (uint64_t i = 0; i < senders->waiting_count; i++) {
        uint64_t number = senders->waiting[i];
        if (number % senders->devices != device)
            continue;
        senders->waiting[i] = senders->waiting[--senders->waiting_count];
        senders->messages[number].waiting = false;
        return number;
    }
    if (senders->settling)
        return NONE;
    uint64_t made = senders->made[device], again = device + senders->devices * (made ? crashes_draw(&senders->seed, made) : 0);
    if (made && crashes_draw(&senders->seed, REPEAT_ONE_IN) == 0)
        return again;
    uint64_t number = device + senders->devices * senders->made[device]++;
    if (number >= MESSAGES_MAX)
        pipeline_abort("senders: more than %u messages", MESSAGES_MAX);
    if (senders->count <= number)
        senders->count = number + 1;
    return number;
}

static void request_build(void *context, unsigned connection, uint64_t number, struct buf *out)
{
    struct senders *senders = context;
    struct buf body;

    (void)number; /* counts requests; ours counts messages */
    unanswered_note(senders, connection); /* the connection was lost */
    uint64_t chosen = number_choose(senders);
    unsigned device = (unsigned)(chosen % senders->devices);
    senders->messages[chosen].sends++;
    senders->under_way[connection] = chosen;
    buf_init(&body, 65536);
    classic_message_append(&body, SENDERS_EVENTS, chosen);
    buf_format(out,
               "POST /devices/device-%u/messages/events?api-version=2020-09-30 HTTP/1.1\r\nHost: localhost\r\n"
               "Authorization: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
               device, senders->tokens[device], body.count);
    if (chosen % 2) /* either way of a message to say which one it is */
        buf_format(out, "iothub-messageid: m-%" PRIu64 "\r\n", chosen);
    buf_string(out, "\r\n");
    buf_text(out, buf_as_text(&body));
    buf_done(&body);
}

static void reply_note(void *context, unsigned connection, unsigned code, struct text head, struct text body)
{
    struct senders *senders = context;
    struct message *message = &senders->messages[senders->under_way[connection]];

    if (code == 503) {
        if (!memmem(head.bytes, head.count, "\r\nRetry-After: ", 15))
            pipeline_abort("503 without Retry-After: %.*s", TEXT_ARGS(head));
        atomic_fetch_add(&senders->refused, 1);
        unanswered_note(senders, connection);
        return;
    }
    if (code != 204)
        pipeline_abort("%.*s%.*s", TEXT_ARGS(head), TEXT_ARGS(body));
    senders->under_way[connection] = NONE;
    atomic_fetch_add(&senders->answers, 1);
    if (message->acknowledged)
        return;
    message->acknowledged = true;
    receipt_note(message, head);
    atomic_fetch_add(&senders->acknowledged, 1);
}

/* topic/partition@offset */
static void receipt_note(struct message *message, struct text head)
{
    const char *receipt = memmem(head.bytes, head.count, "\r\nPicket-Receipt: ", 18);

    receipt_read(message, receipt ? receipt : "");
}

static void receipt_read(struct message *message, const char *receipt)
{
    const char *slash = strchr(receipt, '/');
    long long partition, offset;

    if (!slash || sscanf(slash, "/%lld@%lld", &partition, &offset) != 2)
        pipeline_abort("acknowledged without a receipt: %.100s", receipt);
    message->partition = (int32_t)partition;
    message->offset = offset;
}

static void unanswered_note(struct senders *senders, unsigned connection)
{
    uint64_t number = senders->under_way[connection];

    senders->under_way[connection] = NONE;
    if (number == NONE || senders->messages[number].acknowledged || senders->messages[number].waiting)
        return;
    senders->messages[number].waiting = true;
    senders->waiting[senders->waiting_count++] = number;
}

static uint64_t number_choose(struct senders *senders)
{
    bool behind = senders->settling || senders->waiting_count >= WAITING_MAX;

    if (senders->waiting_count && (behind || crashes_draw(&senders->seed, RESEND_ONE_IN) == 0)) {
        uint64_t at = crashes_draw(&senders->seed, senders->waiting_count), number = senders->waiting[at];
        senders->waiting[at] = senders->waiting[--senders->waiting_count];
        senders->messages[number].waiting = false;
        return number;
    }
    if (senders->settling || (senders->count && crashes_draw(&senders->seed, REPEAT_ONE_IN) == 0))
        return crashes_draw(&senders->seed, senders->count);
    if (senders->count == MESSAGES_MAX)
        pipeline_abort("senders: more than %u messages", MESSAGES_MAX);
    return senders->count++;
}

static void rows_check(struct senders *senders, const struct db_rows *rows)
{
    uint64_t number = 0, receipts = 0;

    for (size_t row = 0; row < db_rows_count(rows); row++, number++) {
        uint64_t stored = (uint64_t)db_i64(rows, row, 0);
        char device[32];
        if (stored >= senders->count)
            pipeline_abort("message %" PRIu64 " is stored and was never sent", stored);
        for (; number < stored; number++)
            if (senders->messages[number].acknowledged)
                pipeline_abort("message %" PRIu64 " was acknowledged (%d@%" PRId64 ") and is not stored", number,
                             (int)senders->messages[number].partition, senders->messages[number].offset);
        const struct message *message = &senders->messages[number];
        if (db_i64(rows, row, 1) != SENDERS_EVENTS || db_i64(rows, row, 2) != SENDERS_EVENTS)
            pipeline_abort("message %" PRIu64 " has %" PRId64 " rows of %" PRId64 " events", number,
                         db_i64(rows, row, 1), db_i64(rows, row, 2));
        snprintf(device, sizeof device, "device-%u", (unsigned)(number % senders->devices));
        if (!text_equal(db_text(rows, row, 7), text_of(device)) || !text_equal(db_text(rows, row, 8), text_of(device)))
            pipeline_abort("message %" PRIu64 " of %s is stored as another device's", number, device);
        /* Only of a message that was sent once is it certain which copy is stored. */
        if (message->sends != 1 || !message->acknowledged || message->offset < 0)
            continue;
        receipts++;
        if (db_i64(rows, row, 3) != message->partition || db_i64(rows, row, 4) != message->partition ||
            db_i64(rows, row, 5) != message->offset || db_i64(rows, row, 6) != message->offset)
            pipeline_abort("message %" PRIu64 " is stored from %" PRId64 "@%" PRId64 ", its receipt says %d@%" PRId64,
                         number, db_i64(rows, row, 3), db_i64(rows, row, 5), (int)message->partition, message->offset);
    }
    for (; number < senders->count; number++)
        if (senders->messages[number].acknowledged)
            pipeline_abort("message %" PRIu64 " was acknowledged (%d@%" PRId64 ") and is not stored", number,
                         (int)senders->messages[number].partition, senders->messages[number].offset);
    if (senders_acknowledged(senders) && !receipts)
        pipeline_abort("no receipt could be compared");
}

/* What the tables say about each other; all of it was written in the same transactions. Door messages are apart. */
static void sums_check(uint64_t stored)
{
    static const char *const zeros[] = {
        "SELECT count(*) - count(DISTINCT (workspace_id, device_id, module_id, message_key)) FROM picket.message",
        "SELECT count(*) - count(DISTINCT (bus_topic_id, bus_partition, bus_offset)) FROM picket.message",
        "SELECT count(*) - count(DISTINCT event_id) FROM picket.raw_event",
        "SELECT (SELECT coalesce(sum(event_count), 0) FROM picket.message) - (SELECT count(*) FROM picket.raw_event)",
        "SELECT (SELECT coalesce(sum(message_count), 0) FROM picket.device_activity) * 2"
        " - (SELECT count(*) FROM picket.raw_event WHERE type = 'Security')",
        "SELECT (SELECT coalesce(sum(event_count), 0) FROM picket.device_activity)"
        " - (SELECT count(*) FROM picket.raw_event WHERE type = 'Security')",
        "SELECT count(*) FROM picket.dead_letter",
        "SELECT count(*) FROM picket.bus_gap",
    };

    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        int64_t number = pipeline_number("%s", zeros[i]);
        if (number)
            pipeline_abort("%s: %" PRId64 " and not 0", zeros[i], number);
    }
    int64_t events = pipeline_number("SELECT count(*) FROM picket.raw_event WHERE type = 'Security'");
    if ((uint64_t)events != stored * SENDERS_EVENTS)
        pipeline_abort("%" PRId64 " events are stored for %" PRIu64 " messages", events, stored);
}
