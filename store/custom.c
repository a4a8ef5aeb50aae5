#include "store/custom.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "store/store_metrics.h"

#define ROWS_MAX 50000 /* of one batch; what is beyond is counted and not judged */
#define COLUMNS 9

/* What the event is to the rule: TEXT_NONE where it is none of its business. For lists, what is looked up; else anything. */
static struct text called_address(const struct event *event)
{
    struct in6_addr parsed;
    char address[INET6_ADDRSTRLEN];

    if (event->kind != EVENT_CONNECTION || event->direction == EVENT_IN || !event->remote_address.count || event->remote_address.count >= sizeof address)
        return TEXT_NONE;
    snprintf(address, sizeof address, "%.*s", TEXT_ARGS(event->remote_address));
    return inet_pton(AF_INET, address, &parsed) == 1 || inet_pton(AF_INET6, address, &parsed) == 1 ? event->remote_address : TEXT_NONE;
}

static struct text user_logged_in(const struct event *event)
{
    return event->kind == EVENT_LOGIN && event->outcome != EVENT_FAILED && event->user.count ? event->user : TEXT_NONE;
}

static struct text process_started(const struct event *event)
{
    return event->kind == EVENT_PROCESS && event->executable.count ? event_base_name(event->executable) : TEXT_NONE;
}

static struct text connection_made(const struct event *event)
{
    return event->kind == EVENT_CONNECTION ? TEXT("") : TEXT_NONE;
}

static struct text login_failed(const struct event *event)
{
    return event->kind == EVENT_LOGIN && event->outcome == EVENT_FAILED ? TEXT("") : TEXT_NONE;
}

/* What the front door refused for who it was. */
static uint64_t refused(const struct event *event)
{
    uint64_t unknown = 0, forbidden = 0;

    if (event->kind != EVENT_DOOR)
        return 0;
    (void)text_to_u64(event_field(event, TEXT("Refused.401")), &unknown);
    (void)text_to_u64(event_field(event, TEXT("Refused.403")), &forbidden);
    return unknown + forbidden;
}

static struct text login_failed_from(const struct event *event)
{
    return event->kind == EVENT_LOGIN && event->outcome == EVENT_FAILED && event->remote_address.count ? event->remote_address : TEXT_NONE;
}

static struct text operation_refused(const struct event *event)
{
    return refused(event) ? TEXT("") : TEXT_NONE;
}

static uint64_t hits(const struct event *event)
{
    return event->hits;
}

/* Of events, or of messages that came by a transport. */
static const struct {
    const char *name;
    struct text (*of)(const struct event *event);
    uint64_t (*times)(const struct event *event);
    const char *transport;
} types[] = {
    {"ConnectionToIpNotAllowed", called_address, hits, NULL},
    {"LocalUserNotAllowed", user_logged_in, hits, NULL},
    {"ProcessNotAllowed", process_started, hits, NULL},
    {"ActiveConnectionsNotInAllowedRange", connection_made, hits, NULL},
    {"FailedLocalLoginsNotInAllowedRange", login_failed, hits, NULL},
    {"UnauthorizedOperationsNotInAllowedRange", operation_refused, refused, NULL},
    {"HttpD2CMessagesNotInAllowedRange", NULL, NULL, "https"},
    {"MqttD2CMessagesNotInAllowedRange", NULL, NULL, "mqtt"},
    {"login failed from", login_failed_from, hits, NULL}, /* no rule's, and always gathered: picket.addresses_judge() */
};
#define TYPES (sizeof types / sizeof *types)

enum status custom_open(struct custom_types *custom, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    struct db_rows *rows = NULL;

    *custom = (struct custom_types){.wanted = 1u << (TYPES - 1)};
    enum status status = db_query(db, "SELECT DISTINCT rule_type FROM picket.custom_rule WHERE enabled", NULL, 0, timeout_ms, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++)
        for (size_t k = 0; k < TYPES; k++)
            if (text_equal(db_text(rows, i, 0), text_of(types[k].name)))
                custom->wanted |= 1u << k;
    db_rows_free(rows);
    if (status)
        custom->wanted = 0;
    else
        columns_open(&custom->columns, COLUMNS);
    return status;
}

static void row_put(struct custom_types *custom, const struct device_message *message, size_t type, struct text value, uint64_t times, int64_t at_us, struct text event)
{
    struct columns *columns = &custom->columns;

    if (custom->count == ROWS_MAX) {
        metric_add(&store_metrics.findings_dropped, 1);
        return;
    }
    columns_i64(columns, 0, (int64_t)message->record.workspace);
    columns_text(columns, 1, device_message_text(message->record.device));
    columns_text(columns, 2, device_message_text(message->record.module));
    columns_text(columns, 3, text_of(types[type].name));
    columns_text(columns, 4, value);
    columns_i64(columns, 5, times < INT32_MAX ? (int64_t)times : INT32_MAX);
    columns_time(columns, 6, at_us);
    columns_text(columns, 7, event);
    columns_time(columns, 8, message->record.received_at_us);
    custom->count++;
}

void custom_note_event(struct custom_types *custom, const struct device_message *message, const struct event *event)
{
    for (size_t k = 0; k < TYPES; k++) {
        struct text value = custom->wanted & (1u << k) && types[k].of ? types[k].of(event) : TEXT_NONE;
        if (value.bytes)
            row_put(custom, message, k, value, types[k].times(event), event->at_us, event->id);
    }
}

void custom_note_message(struct custom_types *custom, const struct device_message *message)
{
    for (size_t k = 0; k < TYPES && message->record.kind == PICKET_RECORD_MESSAGE; k++)
        if (custom->wanted & (1u << k) && types[k].transport && text_starts(device_message_text(message->record.transport), text_of(types[k].transport)))
            row_put(custom, message, k, TEXT(""), 1, message->record.received_at_us, TEXT_NONE);
}

enum status custom_judge(struct custom_types *custom, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    static const char judge[] = "SELECT j.* FROM (SELECT array_agg(r::picket.custom_seen) AS seen FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],"
                                " $7::timestamptz[], $8::uuid[], $9::timestamptz[]) AS r) s, picket.custom_judge(s.seen) j";
    struct db_rows *rows = NULL;

    if (!custom->count) {
        custom_done(custom);
        return STATUS_OK;
    }
    custom->wanted = 0;
    enum status status = columns_query(&custom->columns, db, judge, timeout_ms, &rows, why);
    if (!status) {
        metric_add(&store_metrics.alerts_opened, db_i64(rows, 0, 0));
        metric_add(&store_metrics.alerts_repeated, db_i64(rows, 0, 1));
        metric_add(&store_metrics.findings_dropped, db_i64(rows, 0, 2));
    }
    db_rows_free(rows);
    return status;
}

void custom_done(struct custom_types *custom)
{
    if (custom->wanted)
        columns_done(&custom->columns);
    custom->wanted = 0;
}

enum status custom_judge_few(struct db *db, uint32_t timeout_ms, struct problem *why)
{
    return db_query(db, "SELECT picket.custom_judge_few()", NULL, 0, timeout_ms, NULL, why);
}
