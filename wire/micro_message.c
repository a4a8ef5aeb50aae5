#include "wire/micro_message.h"

#include <string.h>

#define V4_BYTES 4
#define V6_BYTES 16
#define PORT_TAIL 4 /* of a listening port: port, protocol and padding behind the address */

static bool read_digits(const char **at, const char *end, char stop, unsigned *out)
{
    unsigned value = 0, digits = 0;

    for (; *at < end && **at >= '0' && **at <= '9' && digits < 4; (*at)++, digits++)
        value = value * 10 + (unsigned)(**at - '0');
    *out = value;
    if (!digits)
        return false;
    if (!stop)
        return *at == end;
    if (*at == end || **at != stop)
        return false;
    (*at)++;
    return true;
}

bool picket_micro_indicator_read(struct picket_span text, struct picket_micro_indicator *out)
{
    const char *at = text.bytes, *end = text.bytes + text.count;

    return text.count && read_digits(&at, end, '.', &out->major) && read_digits(&at, end, '-', &out->minor) &&
           read_digits(&at, end, '-', &out->encoding) && read_digits(&at, end, '-', &out->source) &&
           read_digits(&at, end, 0, &out->type);
}

bool picket_micro_readable(const struct picket_micro_indicator *indicator)
{
    return indicator->major == 2 && indicator->encoding == PICKET_MICRO_FLATBUFFERS && indicator->type == 0;
}

void picket_micro_read(struct picket_flatbuffer *buffer, struct picket_micro_message *out)
{
    struct picket_flatbuffer_table root = picket_flatbuffer_root(buffer);

    memset(out, 0, sizeof *out);
    out->module_id = picket_flatbuffer_string(buffer, &root, 0);
    out->module_version = picket_flatbuffer_number(buffer, &root, 1, 4, 0);
    out->events = picket_flatbuffer_vector(buffer, &root, 3, 4, 4);
    if (!buffer->error && (!out->module_id.bytes || !out->events.at))
        picket_flatbuffer_fail(buffer, root.at, "the message has no module id, or no events");
}

bool picket_micro_event(struct picket_flatbuffer *buffer, const struct picket_micro_message *message, uint32_t index,
                        struct picket_micro_event *out)
{
    struct picket_flatbuffer_table table;

    memset(out, 0, sizeof *out);
    if (buffer->error || index >= message->events.count)
        return false;
    table = picket_flatbuffer_element(buffer, &message->events, index);
    uint32_t id = picket_flatbuffer_field(buffer, &table, 0, sizeof out->id, 1);
    out->time_s = picket_flatbuffer_number(buffer, &table, 1, 4, 0);
    out->collection_interval_s = picket_flatbuffer_number(buffer, &table, 2, 4, 0);
    out->payload_type = picket_flatbuffer_number(buffer, &table, 3, 1, 0);
    out->payload = picket_flatbuffer_child(buffer, &table, 4);
    if (!buffer->error && (!id || !out->payload_type || !out->payload.at))
        picket_flatbuffer_fail(buffer, table.at, "an event has no id, or no payload");
    if (id)
        memcpy(out->id, buffer->bytes + id, sizeof out->id);
    return !buffer->error;
}

/* A connection: the addresses stand in the table itself, all else in another. */
static void activity_read(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_vector *vector, uint32_t index,
                          unsigned address_bytes, struct picket_micro_item *out)
{
    struct picket_flatbuffer_table table = picket_flatbuffer_element(buffer, vector, index);
    uint32_t addresses = picket_flatbuffer_field(buffer, &table, 0, 2 * (size_t)address_bytes, 1);
    struct picket_flatbuffer_table common = picket_flatbuffer_child(buffer, &table, 1);

    if (!buffer->error && !common.at)
        picket_flatbuffer_fail(buffer, table.at, "a connection has no ports");
    if (addresses) {
        out->address_bytes = address_bytes;
        out->local_address = buffer->bytes + addresses;
        out->remote_address = buffer->bytes + addresses + address_bytes;
    }
    out->local_port = picket_flatbuffer_number(buffer, &common, 0, 2, 0);
    out->remote_port = picket_flatbuffer_number(buffer, &common, 1, 2, 0);
    out->bytes_in = picket_flatbuffer_number(buffer, &common, 2, 4, 0);
    out->bytes_out = picket_flatbuffer_number(buffer, &common, 3, 4, 0);
    out->protocol = picket_flatbuffer_number(buffer, &common, 4, 1, 0);
    out->process_id = picket_flatbuffer_number(buffer, &common, 5, 2, 0);
    out->user_id = picket_flatbuffer_number(buffer, &common, 6, 2, 0);
    out->executable = picket_flatbuffer_string(buffer, &common, 7);
    out->commandline = picket_flatbuffer_string(buffer, &common, 8);
}

static void port_read(const struct picket_flatbuffer *buffer, const struct picket_flatbuffer_vector *vector, uint32_t index,
                      unsigned address_bytes, struct picket_micro_item *out)
{
    const uint8_t *at = buffer->bytes + vector->at + (size_t)index * (address_bytes + PORT_TAIL);

    out->address_bytes = address_bytes;
    out->local_address = at;
    out->local_port = (uint32_t)(at[address_bytes] | at[address_bytes + 1] << 8);
    out->protocol = at[address_bytes + 2];
}

static void check_read(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_vector *vector, uint32_t index,
                       struct picket_micro_item *out)
{
    struct picket_flatbuffer_table table = picket_flatbuffer_element(buffer, vector, index);

    out->id = picket_flatbuffer_string(buffer, &table, 0);
    out->kind = picket_flatbuffer_number(buffer, &table, 1, 1, 0);
    out->error = picket_flatbuffer_string(buffer, &table, 2);
    out->description = picket_flatbuffer_string(buffer, &table, 3);
    out->severity = picket_flatbuffer_number(buffer, &table, 4, 1, 0);
    out->remediation = picket_flatbuffer_string(buffer, &table, 5);
    if (!buffer->error && !out->id.bytes)
        picket_flatbuffer_fail(buffer, table.at, "a check has no id");
}

static void record_read(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_vector *vector, uint32_t index,
                        struct picket_micro_item *out)
{
    struct picket_flatbuffer_table table = picket_flatbuffer_element(buffer, vector, index);

    out->message = picket_flatbuffer_string(buffer, &table, 0);
    out->kind = picket_flatbuffer_number(buffer, &table, 1, 1, 0);
    uint32_t timestamp = picket_flatbuffer_field(buffer, &table, 2, 8, 8);
    for (unsigned i = 0; timestamp && i < 8; i++)
        out->timestamp |= (uint64_t)buffer->bytes[timestamp + i] << 8 * i;
    out->line = picket_flatbuffer_number(buffer, &table, 3, 4, 0);
    out->filename = picket_flatbuffer_string(buffer, &table, 4);
    if (!buffer->error && (!out->message.bytes || !out->filename.bytes))
        picket_flatbuffer_fail(buffer, table.at, "a log record has no message, or no file name");
}

static void process_read(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_table *table,
                         struct picket_micro_item *out)
{
    out->executable = picket_flatbuffer_string(buffer, table, 0);
    out->process_id = picket_flatbuffer_number(buffer, table, 1, 4, 0);
    out->parent_process_id = picket_flatbuffer_number(buffer, table, 2, 4, 0);
    out->user_id = picket_flatbuffer_number(buffer, table, 3, 4, 0);
    out->user_name = picket_flatbuffer_string(buffer, table, 4);
    out->commandline = picket_flatbuffer_string(buffer, table, 5);
    out->kind = picket_flatbuffer_number(buffer, table, 6, 1, 0);
    out->hit_count = picket_flatbuffer_number(buffer, table, 7, 4, 1);
}

/* Two vectors, of IPv4 and of IPv6, read as one; the cursor goes through the first and then the second. Each is looked up
 * anew, since marks are only made while `*cursor` is 0. */
static bool both_read(struct picket_flatbuffer *buffer, const struct picket_micro_event *event, uint32_t cursor,
                      bool activity, struct picket_micro_item *out)
{
    uint8_t *marks = buffer->marks;
    size_t tail = activity ? 0 : PORT_TAIL, v4_size = activity ? 4 : V4_BYTES + tail, v6_size = activity ? 4 : V6_BYTES + tail;
    size_t align = activity ? 4 : 2;

    if (cursor)
        buffer->marks = NULL;
    struct picket_flatbuffer_vector v4 = picket_flatbuffer_vector(buffer, &event->payload, 0, v4_size, align);
    struct picket_flatbuffer_vector v6 = picket_flatbuffer_vector(buffer, &event->payload, 1, v6_size, align);
    buffer->marks = marks;
    if (buffer->error || cursor >= (uint64_t)v4.count + v6.count)
        return false;
    bool first = cursor < v4.count;
    const struct picket_flatbuffer_vector *vector = first ? &v4 : &v6;
    uint32_t index = first ? cursor : cursor - v4.count;
    if (activity)
        activity_read(buffer, vector, index, first ? V4_BYTES : V6_BYTES, out);
    else
        port_read(buffer, vector, index, first ? V4_BYTES : V6_BYTES, out);
    return !buffer->error;
}

static bool list_read(struct picket_flatbuffer *buffer, const struct picket_micro_event *event, uint32_t cursor,
                      void (*read)(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_vector *vector,
                                   uint32_t index, struct picket_micro_item *out),
                      struct picket_micro_item *out)
{
    uint8_t *marks = buffer->marks;

    if (cursor)
        buffer->marks = NULL;
    struct picket_flatbuffer_vector vector = picket_flatbuffer_vector(buffer, &event->payload, 0, 4, 4);
    buffer->marks = marks;
    if (buffer->error || cursor >= vector.count)
        return false;
    read(buffer, &vector, cursor, out);
    return !buffer->error;
}

bool picket_micro_item(struct picket_flatbuffer *buffer, const struct picket_micro_event *event, uint32_t *cursor,
                       struct picket_micro_item *out)
{
    uint32_t at = (*cursor)++;

    memset(out, 0, sizeof *out);
    out->hit_count = 1;
    switch (event->payload_type) {
    case PICKET_MICRO_NETWORK_ACTIVITY:
        return both_read(buffer, event, at, true, out);
    case PICKET_MICRO_LISTENING_PORTS:
        return both_read(buffer, event, at, false, out);
    case PICKET_MICRO_BASELINE:
        return list_read(buffer, event, at, check_read, out);
    case PICKET_MICRO_LOG:
        return list_read(buffer, event, at, record_read, out);
    case PICKET_MICRO_PROCESS:
        if (!at)
            process_read(buffer, &event->payload, out);
        return !at && !buffer->error;
    case PICKET_MICRO_SYSTEM_INFORMATION:
        if (!at) {
            out->os = picket_flatbuffer_string(buffer, &event->payload, 0);
            out->kernel = picket_flatbuffer_string(buffer, &event->payload, 1);
            out->hardware = picket_flatbuffer_string(buffer, &event->payload, 2);
        }
        return !at && !buffer->error;
    default: /* a heartbeat has none, and of the others nobody knows */
        return false;
    }
}

const char *picket_micro_check(const char *bytes, size_t count, uint8_t *marks, size_t *event_count, size_t *error_at)
{
    struct picket_flatbuffer buffer;
    struct picket_micro_message message;
    struct picket_micro_event event;
    struct picket_micro_item item;

    picket_flatbuffer_init(&buffer, bytes, count, marks);
    picket_micro_read(&buffer, &message);
    for (uint32_t i = 0; picket_micro_event(&buffer, &message, i, &event); i++)
        for (uint32_t cursor = 0; picket_micro_item(&buffer, &event, &cursor, &item);)
            ;
    *event_count = message.events.count;
    *error_at = buffer.error_at;
    return buffer.error;
}
