#include "store/micro.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>

#include "runtime/clock.h"

#define MINOR_KNOWN 3
#define DETAILS_BYTES_MAX ((size_t)7 * PICKET_FLATBUFFER_TEXT_MAX) /* six bytes for one where everything is escaped */
#define GUID_SIZE 37

/* What the decoding of one message shares. */
struct micro {
    struct details_writer *writer;
    struct device_message *message;
    struct picket_flatbuffer buffer;
    bool is_rtos;
    struct arena *arena;
    struct buf json; /* of one item */
};

/* An event, and what of it each of its rows repeats. */
struct micro_event {
    struct picket_micro_event wire;
    char id[GUID_SIZE], time[CLOCK_TEXT_SIZE];
    struct event_row row;
};

static size_t rows_wanted(struct micro *micro, const struct picket_micro_message *message, bool *all_known);
static void event_rows(struct micro *micro, uint32_t index, const struct picket_micro_message *message);
static void event_begin(struct micro *micro, struct micro_event *event);
static void item_row(struct micro *micro, const struct micro_event *event, const struct picket_micro_item *item,
                     int32_t element);
static void item_write(struct micro *micro, unsigned type, const struct picket_micro_item *item,
                       struct departures *departures);
static void activity_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures);
static void check_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures);
static void process_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures);
static void log_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures);
static void member_text(struct micro *micro, const char *name, struct picket_span value, struct departures *departures);
static void member_number(struct micro *micro, const char *name, uint64_t value);
static void member_address(struct micro *micro, const char *name, const uint8_t *address, unsigned bytes);
static void member_enum(struct micro *micro, const char *name, const char *const *words, size_t count, unsigned value,
                        struct departures *departures);

static const char *const protocols[] = {"TCP", "UDP", "ICMP"};
static const char *const actions[] = {"FORK", "EXEC", "EXIT"};
static const char *const results[] = {"PASS", "FAIL", "ERROR"};
static const char *const severities[] = {"CRITICAL", "IMPORTANT", "WARNING", "INFORMATIONAL"};
static const char *const levels[] = {"NOTSET", "FATAL", "ERROR", "WARN", "INFO", "DEBUG"};
#define MEMBER_ENUM(micro, name, words, value, departures) \
    member_enum(micro, name, words, sizeof(words) / sizeof *(words), value, departures)

/* By payload type; 0 is none. */
static const struct {
    struct text name, category;
} payloads[] = {
    [PICKET_MICRO_NETWORK_ACTIVITY] = {{"NetworkActivity", 15}, {"Triggered", 9}},
    [PICKET_MICRO_SYSTEM_INFORMATION] = {{"SystemInformation", 17}, {"Periodic", 8}},
    [PICKET_MICRO_LISTENING_PORTS] = {{"ListeningPorts", 14}, {"Periodic", 8}},
    [PICKET_MICRO_HEARTBEAT] = {{"Heartbeat", 9}, {"Periodic", 8}},
    [PICKET_MICRO_BASELINE] = {{"Baseline", 8}, {"Periodic", 8}},
    [PICKET_MICRO_PROCESS] = {{"Process", 7}, {"Triggered", 9}},
    [PICKET_MICRO_LOG] = {{"Log", 3}, {"Periodic", 8}},
};

static bool payload_known(unsigned type)
{
    return type > 0 && type < sizeof payloads / sizeof *payloads;
}

bool micro_announced(const struct json_node *properties, struct departures *departures,
                     struct picket_micro_indicator *out)
{
    for (const struct json_node *node = properties ? properties->first : NULL; node; node = node->next) {
        struct text value = node_string(node);
        if (!text_equal_nocase(node->name, TEXT(PICKET_MICRO_INDICATOR)) || !value.bytes)
            continue;
        struct picket_span span = {value.bytes, value.count};
        if (picket_micro_indicator_read(span, out) && picket_micro_readable(out)) {
            if (out->minor > MINOR_KNOWN)
                departures_note(departures, "enum", TEXT(PICKET_MICRO_INDICATOR), TEXT_NONE, value);
            return true;
        }
        departures_note(departures, "enum", TEXT(PICKET_MICRO_INDICATOR), TEXT_NONE, value);
    }
    return false;
}

enum status micro_decode(struct details_writer *writer, struct device_message *message,
                         const struct picket_micro_indicator *indicator, struct arena *arena, struct problem *why)
{
    struct micro micro = {.writer = writer, .message = message, .arena = arena};
    uint8_t *marks = arena_alloc(arena, 1, PICKET_FLATBUFFER_MARKS(message->body.count));
    struct picket_micro_message wire;
    size_t event_count, error_at;
    bool all_known;

    const char *error = picket_micro_check(message->body.bytes, message->body.count, marks, &event_count, &error_at);
    if (error)
        return problem_set(why, STATUS_REJECT, "the body claims to be FlatBuffers and is not: %s (byte %zu)", error, error_at);
    micro.is_rtos = indicator->source == PICKET_MICRO_RTOS;
    picket_flatbuffer_init(&micro.buffer, message->body.bytes, message->body.count, NULL);
    picket_micro_read(&micro.buffer, &wire);
    message->agent_version = text_of(arena_format(arena, "%u.%u.%u", wire.module_version >> 24,
                                                  wire.module_version >> 16 & 255, wire.module_version & 65535));
    device_message_room(message, rows_wanted(&micro, &wire, &all_known), arena);
    buf_init(&micro.json, DETAILS_BYTES_MAX);
    for (uint32_t i = 0; i < wire.events.count; i++)
        event_rows(&micro, i, &wire);
    buf_done(&micro.json);
    if (!all_known || indicator->minor > MINOR_KNOWN || !event_count)
        device_message_bytes_row(message, arena);
    return STATUS_OK;
}

/* One more for the body itself. */
static size_t rows_wanted(struct micro *micro, const struct picket_micro_message *message, bool *all_known)
{
    struct picket_micro_event event;
    struct picket_micro_item item;
    size_t wanted = 1;

    *all_known = true;
    for (uint32_t i = 0; picket_micro_event(&micro->buffer, message, i, &event); i++) {
        uint32_t cursor = 0, items = 0;
        *all_known = *all_known && payload_known(event.payload_type);
        while (picket_micro_item(&micro->buffer, &event, &cursor, &item))
            items++;
        wanted += items ? items : 1;
    }
    return wanted;
}

static void event_rows(struct micro *micro, uint32_t index, const struct picket_micro_message *message)
{
    struct micro_event event;
    struct picket_micro_item item;
    uint32_t cursor = 0;
    int32_t element = 0;

    if (!picket_micro_event(&micro->buffer, message, index, &event.wire))
        return;
    event_begin(micro, &event);
    while (picket_micro_item(&micro->buffer, &event.wire, &cursor, &item))
        item_row(micro, &event, &item, element++);
    if (element)
        return;
    event.row.is_empty = payload_known(event.wire.payload_type);
    item_row(micro, &event, NULL, 0);
}

static void event_begin(struct micro *micro, struct micro_event *event)
{
    const struct picket_micro_event *wire = &event->wire;
    int64_t received = micro->message->record.received_at_us, time_us = (int64_t)wire->time_s * 1000000;
    char hex[2 * sizeof wire->id + 1];

    text_hex_encode(wire->id, sizeof wire->id, hex);
    snprintf(event->id, sizeof event->id, "%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    event->row = (struct event_row){
        .time_stamp_us = wire->time_s ? time_us : received,
        .sender_event_id = arena_text(micro->arena, text_of(event->id)),
        .type = TEXT("Security"),
        .hit_count = 1,
        .remote_port = EVENT_PORT_NONE,
        .local_port = EVENT_PORT_NONE,
    };
    if (payload_known(wire->payload_type)) {
        event->row.name = payloads[wire->payload_type].name;
        event->row.category = payloads[wire->payload_type].category;
    } else {
        event->row.type = event->row.category = TEXT("Custom");
        event->row.name = text_of(arena_format(micro->arena, "Payload%u", wire->payload_type));
    }
    if (wire->collection_interval_s)
        event->row.extra =
            text_of(arena_format(micro->arena, "{\"CollectionInterval\":%u}", (unsigned)wire->collection_interval_s));
    clock_format(event->row.time_stamp_us - event->row.time_stamp_us % 1000000, event->time);
    memcpy(event->time + sizeof "2026-01-02T03:04:05" - 1, "Z", 2); /* as the sender counts: whole seconds */
}

/* `item` NULL: an event without any. */
static void item_row(struct micro *micro, const struct micro_event *event, const struct picket_micro_item *item,
                     int32_t element)
{
    const struct device_message *message = micro->message;
    unsigned type = event->wire.payload_type;
    struct event_row *row = device_message_row(micro->message);
    struct json_node *details = NULL;
    struct problem ignored;

    *row = event->row;
    row->element = element;
    departures_init(&row->departures, DEPARTURES_MAX, micro->arena);
    buf_clear(&micro->json);
    buf_byte(&micro->json, '{');
    if (item)
        item_write(micro, type, item, &row->departures);
    member_text(micro, "DeviceId", message->record.device, NULL);
    member_text(micro, "MessageSource", micro->is_rtos ? (struct picket_span){"AzureRTOS", 9} : (struct picket_span){"Linux", 5},
                NULL);
    member_text(micro, "OriginalEventId", (struct picket_span){event->id, strlen(event->id)}, NULL);
    member_text(micro, "TimestampUTC", (struct picket_span){event->time, strlen(event->time)}, NULL);
    buf_byte(&micro->json, '}');
    enum status status = json_tree_read(arena_text(micro->arena, buf_as_text(&micro->json)), 2, micro->arena, &details, &ignored);
    assert(!status && !buf_failed(&micro->json)); /* written right here, within what a body can hold */
    (void)status;
    event_row_fill(row, details, micro->writer, micro->arena);
    if (item)
        row->hit_count = item->hit_count ? item->hit_count : 1;
    if (!payload_known(type))
        departures_note(&row->departures, "enum", TEXT("payload_type"), TEXT_NONE,
                        text_of(arena_format(micro->arena, "%u", type)));
    if (!event->wire.time_s)
        departures_add(&row->departures, TEXT("missing:time"));
    else if (!device_message_time_plausible(row->time_stamp_us, message->record.received_at_us))
        departures_add(&row->departures, TEXT("clock-implausible"));
}

static void item_write(struct micro *micro, unsigned type, const struct picket_micro_item *item,
                       struct departures *departures)
{
    switch (type) {
    case PICKET_MICRO_NETWORK_ACTIVITY:
        activity_write(micro, item, departures);
        break;
    case PICKET_MICRO_SYSTEM_INFORMATION:
        member_text(micro, "OSInfo", item->os, departures);
        member_text(micro, "KernelInfo", item->kernel, departures);
        member_text(micro, "HardwareInfo", item->hardware, departures);
        break;
    case PICKET_MICRO_LISTENING_PORTS:
        MEMBER_ENUM(micro, "Protocol", protocols, item->protocol, departures);
        member_address(micro, "LocalAddress", item->local_address, item->address_bytes);
        member_number(micro, "LocalPort", item->local_port);
        break;
    case PICKET_MICRO_BASELINE:
        check_write(micro, item, departures);
        break;
    case PICKET_MICRO_PROCESS:
        process_write(micro, item, departures);
        break;
    case PICKET_MICRO_LOG:
        log_write(micro, item, departures);
        break;
    default: /* without items */
        break;
    }
}

static void activity_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures)
{
    if (!item->address_bytes)
        departures_add(departures, TEXT("missing:Payload.addresses"));
    member_address(micro, "LocalAddress", item->local_address, item->address_bytes);
    member_address(micro, "RemoteAddress", item->remote_address, item->address_bytes);
    member_number(micro, "LocalPort", item->local_port);
    member_number(micro, "RemotePort", item->remote_port);
    member_number(micro, "BytesIn", item->bytes_in);
    member_number(micro, "BytesOut", item->bytes_out);
    MEMBER_ENUM(micro, "Protocol", protocols, item->protocol, departures);
    if (!micro->is_rtos || item->process_id || item->user_id) { /* where there are processes */
        member_number(micro, "ProcessId", item->process_id);
        member_number(micro, "UserId", item->user_id);
    }
    member_text(micro, "Executable", item->executable, departures);
    member_text(micro, "Commandline", item->commandline, departures);
}

static void check_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures)
{
    member_text(micro, "BaselineCheckId", item->id, departures);
    MEMBER_ENUM(micro, "BaselineCheckResult", results, item->kind, departures);
    member_text(micro, "BaselineCheckDescription", item->description, departures);
    member_text(micro, "BaselineCheckError", item->error, departures);
    MEMBER_ENUM(micro, "BaselineCheckSeverity", severities, item->severity, departures);
    member_text(micro, "BaselineCheckRemediation", item->remediation, departures);
}

static void process_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures)
{
    member_text(micro, "Executable", item->executable, departures);
    member_number(micro, "ProcessId", item->process_id);
    member_number(micro, "ParentProcessId", item->parent_process_id);
    member_text(micro, "UserName", item->user_name, departures);
    member_number(micro, "UserId", item->user_id);
    member_text(micro, "Commandline", item->commandline, departures);
    MEMBER_ENUM(micro, "EventType", actions, item->kind, departures);
    member_number(micro, "HitCount", item->hit_count);
}

static void log_write(struct micro *micro, const struct picket_micro_item *item, struct departures *departures)
{
    member_text(micro, "Message", item->message, departures);
    MEMBER_ENUM(micro, "Level", levels, item->kind, departures);
    member_number(micro, "Timestamp", item->timestamp);
    member_text(micro, "Filename", item->filename, departures);
    member_number(micro, "Line", item->line);
}

static void member_begin(struct micro *micro, const char *name)
{
    if (micro->json.count > 1)
        buf_byte(&micro->json, ',');
    buf_format(&micro->json, "\"%s\":", name);
}

/* `departures` NULL: the text is our own, or was checked before. */
static void member_text(struct micro *micro, const char *name, struct picket_span value, struct departures *departures)
{
    struct text text = {value.bytes, value.count};

    if (!value.bytes)
        return;
    member_begin(micro, name);
    buf_json_string(&micro->json, text);
    if (departures && !text_utf8_valid(text))
        departures_note(departures, "encoding", TEXT("Payload"), text_of(name), TEXT_NONE);
}

static void member_number(struct micro *micro, const char *name, uint64_t value)
{
    member_begin(micro, name);
    buf_format(&micro->json, "%llu", (unsigned long long)value);
}

static void member_address(struct micro *micro, const char *name, const uint8_t *address, unsigned bytes)
{
    char text[INET6_ADDRSTRLEN];

    if (!bytes || !inet_ntop(bytes == 4 ? AF_INET : AF_INET6, address, text, sizeof text))
        return;
    member_text(micro, name, (struct picket_span){text, strlen(text)}, NULL);
}

/* A value that the schema has no word for stays a number. */
static void member_enum(struct micro *micro, const char *name, const char *const *words, size_t count, unsigned value,
                        struct departures *departures)
{
    if (value < count) {
        member_text(micro, name, (struct picket_span){words[value], strlen(words[value])}, NULL);
        return;
    }
    member_number(micro, name, value);
    departures_note(departures, "enum", TEXT("Payload"), text_of(name), text_of(arena_format(micro->arena, "%u", value)));
}
