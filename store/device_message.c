#include "store/device_message.h"

#include <assert.h>

#include "wire/limits.h"

#define CLOCK_EARLIEST_US INT64_C(1262304000000000) /* 2010-01-01: before any of these agents existed */
#define CLOCK_AHEAD_US INT64_C(86400000000)         /* a day: wrong zones stay within it */
#define CONTENT_TYPE_MAX 1024 /* bytes that a row of bytes repeats: a stranger on the bus may claim any */

static void columns_fill(struct event_row *row, const struct json_node *element);
static struct text element_user(const struct json_node *element);
static int32_t port_read(const struct json_node *node);

void device_message_clear(struct device_message *message, struct arena *arena)
{
    departures_init(&message->departures, DEPARTURES_MAX, arena);
    message->rows = NULL;
    message->row_count = message->row_room = 0;
    message->agent_version = message->agent_id = message->extra = message->properties = TEXT_NONE;
    message->report = NULL;
}

void device_message_room(struct device_message *message, size_t rows, struct arena *arena)
{
    message->rows = ARENA_ARRAY(arena, struct event_row, rows);
    message->row_room = rows;
}

struct event_row *device_message_row(struct device_message *message)
{
    assert(message->row_count < message->row_room);
    return &message->rows[message->row_count++];
}

struct event_row *device_message_custom_row(struct device_message *message, struct arena *arena)
{
    struct event_row *row = device_message_row(message);

    *row = (struct event_row){
        .time_stamp_us = message->record.received_at_us,
        .type = TEXT("Custom"),
        .category = TEXT("Custom"),
        .name = TEXT("Custom"),
        .hit_count = 1,
        .remote_port = EVENT_PORT_NONE,
        .local_port = EVENT_PORT_NONE,
    };
    departures_init(&row->departures, DEPARTURES_MAX, arena);
    return row;
}

void device_message_bytes_row(struct device_message *message, struct arena *arena)
{
    struct text type = device_message_text(message->record.content_type);
    char *encoded = arena_alloc(arena, 1, TEXT_BASE64_SIZE(message->body.count));
    struct event_row *row = device_message_custom_row(message, arena);
    struct buf out;

    text_base64_encode((const uint8_t *)message->body.bytes, message->body.count, encoded);
    buf_init(&out, 4 * (size_t)PICKET_BODY_HARD_MAX);
    buf_string(&out, "{\"ContentType\":");
    if (type.count > CONTENT_TYPE_MAX)
        type.count = CONTENT_TYPE_MAX;
    buf_json_string(&out, memchr(type.bytes, '\0', type.count) ? TEXT("") : type);
    buf_string(&out, ",\"Encoding\":\"base64\",\"Body\":\"");
    buf_string(&out, encoded);
    buf_string(&out, "\"}");
    assert(!buf_failed(&out));
    row->details.text = arena_text(arena, buf_as_text(&out));
    /* jsonb's order is Body, Encoding, ContentType. */
    row->details.key_order = (struct text){"\x02\x01\x00", 3};
    buf_done(&out);
}

void event_row_fill(struct event_row *row, const struct json_node *element, struct details_writer *writer,
                    struct arena *arena)
{
    if (element->replaced)
        departures_of_replacing(element, TEXT("Payload"), &row->departures);
    columns_fill(row, element);
    details_write(writer, element, arena, &row->details);
    if (row->details.order_lost)
        departures_add(&row->departures, TEXT("key-order-lost"));
}

static void columns_fill(struct event_row *row, const struct json_node *element)
{
    const struct json_node *process = node_member(element, "ProcessId");
    struct text address = node_string(node_member(element, "RemoteAddress"));
    int64_t number;

    if (address.bytes && departures_is_address(address))
        row->remote_address = address;
    row->remote_port = port_read(node_member(element, "RemotePort"));
    row->local_port = port_read(node_member(element, "LocalPort"));
    row->executable = node_string(node_member(element, "Executable"));
    row->user_name = element_user(element);
    if (node_integer(process, &number))
        row->process_id = process->text;
    if (node_integer(node_member(node_member(element, "ExtraDetails"), "HitCount"), &number) && number > 0)
        row->hit_count = number;
}

static struct text element_user(const struct json_node *element)
{
    const struct json_node *name = node_member(element, "UserName"), *id = node_member(element, "UserId");

    if (node_string(name).bytes)
        return name->text;
    return node_is(id, PICKET_JSON_NUMBER) ? id->text : node_string(id);
}

static int32_t port_read(const struct json_node *node)
{
    int64_t number;
    return node_integer(node, &number) && number >= 0 && number <= 65535 ? (int32_t)number : EVENT_PORT_NONE;
}

bool device_message_time_plausible(int64_t time_us, int64_t received_at_us)
{
    return time_us >= CLOCK_EARLIEST_US && time_us <= received_at_us + CLOCK_AHEAD_US;
}
