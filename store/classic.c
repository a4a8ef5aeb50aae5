#include "store/classic.h"

#include <assert.h>

#include "runtime/clock.h"
#include "store/micro.h"
#include "wire/limits.h"

#define PAYLOAD_ROWS_MAX 1000000

/* What all rows of one event share. */
struct event {
    const struct event_schema *schema;
    struct event_row row;
    struct departures departures;
};

static struct event_row *door_row(struct classic_decoder *decoder, struct device_message *message,
                                  const struct json_node *details, struct text name, struct arena *arena);
static const struct json_node *properties_read(struct classic_decoder *decoder, struct device_message *message,
                                               struct arena *arena);
static bool claims_json(const struct device_message *message, const struct json_node *properties);
static bool properties_claim_json(const struct json_node *properties);
static bool type_is_json(struct text type);
static bool type_is_silent(struct text type);
static void envelope_rows(struct classic_decoder *decoder, struct device_message *message,
                          const struct json_node *envelope, struct arena *arena);
static void envelope_read(struct classic_decoder *decoder, struct device_message *message,
                          const struct json_node *envelope, struct arena *arena);
static bool envelope_member_kept(const struct json_node *node, const struct device_message *message);
static size_t rows_wanted(const struct json_node *events);
static void event_rows(struct classic_decoder *decoder, struct device_message *message, const struct json_node *event,
                       struct arena *arena);
static void event_read(struct classic_decoder *decoder, const struct device_message *message,
                       const struct json_node *node, struct arena *arena, struct event *out);
static void event_clock(const struct device_message *message, const struct json_node *node, struct event *out);
static struct text event_type(const struct json_node *node, const struct event_schema *schema);
static bool event_member_kept(const struct json_node *event, const struct json_node *node);
static void element_row(struct classic_decoder *decoder, struct device_message *message, const struct event *event,
                        const struct json_node *element, int32_t index, struct arena *arena);
static void custom_row(struct classic_decoder *decoder, struct device_message *message, const struct json_node *document,
                       struct arena *arena);
static bool guid_is_usual(struct text text);

static const struct json_node no_members = {.kind = PICKET_JSON_OBJECT_OPEN, .sorted = true};

void classic_decoder_init(struct classic_decoder *decoder, unsigned depth_max)
{
    details_writer_init(&decoder->writer);
    decoder->depth_max = depth_max;
}

void classic_decoder_done(struct classic_decoder *decoder)
{
    details_writer_done(&decoder->writer);
}

enum status classic_decode(struct classic_decoder *decoder, struct device_message *message, struct arena *arena,
                           struct problem *why)
{
    struct json_node *document = NULL;
    struct picket_micro_indicator indicator;

    device_message_clear(message, arena);
    const struct json_node *properties = properties_read(decoder, message, arena);
    if (micro_announced(properties, &message->departures, &indicator))
        return micro_decode(&decoder->writer, message, &indicator, arena, why);
    if (!claims_json(message, properties)) {
        device_message_room(message, 1, arena);
        device_message_bytes_row(message, arena);
        return STATUS_OK;
    }
    enum status status = json_tree_read(message->body, decoder->depth_max, arena, &document, why);
    if (status) {
        problem_prefix(why, "the body claims to be JSON and is not");
        return status;
    }
    const struct json_node *events = node_member(document, "Events");
    if (node_is(events, PICKET_JSON_ARRAY_OPEN)) {
        device_message_room(message, rows_wanted(events), arena);
        envelope_rows(decoder, message, document, arena);
    } else {
        device_message_room(message, 1, arena);
        custom_row(decoder, message, document, arena);
        if (events || node_member(document, "MessageSchemaVersion"))
            departures_of_envelope(document, &message->departures); /* meant as one, and its sender should hear */
    }
    return STATUS_OK;
}

enum status classic_decode_door(struct classic_decoder *decoder, struct device_message *message, struct arena *arena,
                                const struct json_node **refused, struct problem *why)
{
    struct json_node *value = NULL;
    int64_t number, sum = 0;

    enum status status = json_tree_read(message->body, decoder->depth_max, arena, &value, why);
    if (!status && !node_is(value, PICKET_JSON_OBJECT_OPEN))
        status = problem_set(why, STATUS_REJECT, "not an object");
    if (status) {
        problem_prefix(why, "what the front door saw cannot be read");
        return status;
    }
    device_message_clear(message, arena);
    device_message_room(message, 2, arena);
    const struct json_node *counts = node_member(value, "Refused"), *clones = node_member(value, "Clones");
    *refused = node_is(counts, PICKET_JSON_OBJECT_OPEN) ? counts : NULL;
    for (const struct json_node *node = *refused ? counts->first : NULL; node; node = node->next)
        if (node_integer(node, &number) && number > 0 && number < UINT32_MAX)
            sum += number;
    bool is_clone = node_is(clones, PICKET_JSON_OBJECT_OPEN);
    if (sum || !is_clone)
        door_row(decoder, message, value, TEXT("FrontDoor"), arena)->hit_count = sum > 0 ? sum : 1;
    if (is_clone) {
        struct event_row *row = door_row(decoder, message, clones, TEXT("ClonedIdentity"), arena);
        struct text address = node_string(node_member(clones, "RemoteAddress"));
        if (address.bytes && departures_is_address(address))
            row->remote_address = address;
        if (node_integer(node_member(clones, "Returns"), &number) && number > 0 && number < UINT32_MAX)
            row->hit_count = number;
    }
    bool timed = node_integer(node_member(value, "To"), &number) &&
                 device_message_time_plausible(number, message->record.received_at_us);
    for (size_t i = 0; timed && i < message->row_count; i++)
        message->rows[i].time_stamp_us = number;
    return STATUS_OK;
}

static struct event_row *door_row(struct classic_decoder *decoder, struct device_message *message,
                                  const struct json_node *details, struct text name, struct arena *arena)
{
    custom_row(decoder, message, details, arena);
    struct event_row *row = &message->rows[message->row_count - 1];
    row->type = TEXT("Picket");
    row->category = TEXT("Triggered");
    row->name = name;
    return row;
}

/* They come from headers and topics, so they hold what PostgreSQL does not take as a body may. NULL: there are none. */
static const struct json_node *properties_read(struct classic_decoder *decoder, struct device_message *message,
                                               struct arena *arena)
{
    struct json_node *properties = NULL;
    struct details kept;
    struct problem ignored;

    if (!message->record.properties.count)
        return NULL;
    if (json_tree_read(device_message_text(message->record.properties), decoder->depth_max, arena, &properties, &ignored)) {
        departures_add(&message->departures, TEXT("properties-unreadable"));
        return NULL;
    }
    details_write(&decoder->writer, properties, arena, &kept);
    message->properties = kept.text;
    return properties;
}

/* Ingest marks what it has checked. A body without the mark that claims to be JSON comes from a transport that cannot
 * refuse: it is read here, and is a dead letter when it cannot be. */
static bool claims_json(const struct device_message *message, const struct json_node *properties)
{
    struct text type = device_message_text(message->record.content_type), start = text_trim(message->body);

    if (message->record.claims_json || type_is_json(type) || properties_claim_json(properties))
        return true;
    return type_is_silent(type) && start.count && (*start.bytes == '{' || *start.bytes == '[');
}

/* The C SDK says application/json as the content ENCODING. */
static bool properties_claim_json(const struct json_node *properties)
{
    static const char *const names[] = {"$.ct", "$.ce", "iothub-contenttype", "iothub-contentencoding"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (type_is_json(node_string(node_member(properties, names[i]))))
            return true;
    return false;
}

static bool type_is_json(struct text type)
{
    struct text essence;

    text_cut(type, ';', &essence);
    essence = text_trim(essence);
    if (text_equal_nocase(essence, TEXT("application/json")) ||
        text_equal_nocase(essence, TEXT("application/vnd.microsoft.iothub.json")))
        return true;
    return essence.count > 5 && text_equal_nocase((struct text){essence.bytes + essence.count - 5, 5}, TEXT("+json"));
}

/* The C SDK says application/octet-stream of every body over HTTPS, so that says nothing; as ingest has it. */
static bool type_is_silent(struct text type)
{
    struct text essence;

    text_cut(type, ';', &essence);
    essence = text_trim(essence);
    return essence.count == 0 || text_equal_nocase(essence, TEXT("application/octet-stream"));
}

static void envelope_rows(struct classic_decoder *decoder, struct device_message *message,
                          const struct json_node *envelope, struct arena *arena)
{
    const struct json_node *events = node_member(envelope, "Events");
    bool repeated = events->replaced & JSON_NODE_DUPLICATE;

    envelope_read(decoder, message, envelope, arena);
    for (const struct json_node *event = events->first; event; event = event->next) {
        const struct json_node *payload = node_member(event, "Payload");
        repeated = repeated || (payload && payload->replaced & JSON_NODE_DUPLICATE);
        event_rows(decoder, message, event, arena);
    }
    if (events->count == 0) {
        custom_row(decoder, message, envelope, arena);
        departures_append(&message->rows[0].departures, &message->departures);
    }
    if (repeated) /* of two lists of one name the last was read: the body keeps what stood in the first */
        device_message_bytes_row(message, arena);
}

static void envelope_read(struct classic_decoder *decoder, struct device_message *message,
                          const struct json_node *envelope, struct arena *arena)
{
    const struct json_node *sequence = node_member(envelope, "Sequence");
    struct text agent_id = node_string(node_member(envelope, "AgentId"));
    const struct json_node **extra = NULL;
    size_t extra_count = 0;

    departures_of_envelope(envelope, &message->departures);
    message->agent_version = node_string(node_member(envelope, "AgentVersion"));
    message->agent_id = guid_is_usual(agent_id) ? agent_id : TEXT_NONE;
    if (sequence) {
        struct ledger_report *report = ARENA_NEW(arena, struct ledger_report);
        if (ledger_report_read(sequence, node_member(envelope, "Events")->count, arena, report, &message->departures))
            message->report = report;
    }
    for (const struct json_node *node = envelope->first; node; node = node->next) {
        bool events = text_equal(node->name, TEXT("Events"));
        if (node->replaced && events && node->replaced & JSON_NODE_DUPLICATE)
            departures_add(&message->departures, TEXT("duplicate:Events"));
        else if (node->replaced && !events)
            departures_of_replacing(node, node->name, &message->departures);
        if (envelope_member_kept(node, message))
            continue;
        if (!extra)
            extra = ARENA_ARRAY(arena, const struct json_node *, envelope->count);
        extra[extra_count++] = node;
    }
    if (extra_count)
        message->extra = details_write_members(&decoder->writer, extra, extra_count, arena);
}

static bool envelope_member_kept(const struct json_node *node, const struct device_message *message)
{
    if (text_equal(node->name, TEXT("AgentVersion")))
        return node->kind == PICKET_JSON_STRING;
    if (text_equal(node->name, TEXT("AgentId")))
        return message->agent_id.bytes;
    if (text_equal(node->name, TEXT("MessageSchemaVersion")))
        return text_equal(node_string(node), TEXT("1.0"));
    if (text_equal(node->name, TEXT("Sequence")))
        return message->report;
    return text_equal(node->name, TEXT("Events"));
}

/* One more for the body itself, and one for the envelope where it has no events. */
static size_t rows_wanted(const struct json_node *events)
{
    size_t wanted = 1 + (events->count == 0);

    for (const struct json_node *event = events->first; event; event = event->next) {
        const struct json_node *payload = node_member(event, "Payload");
        wanted += node_is(payload, PICKET_JSON_ARRAY_OPEN) && payload->count ? payload->count : 1;
    }
    assert(wanted <= PAYLOAD_ROWS_MAX);
    return wanted;
}

static void event_rows(struct classic_decoder *decoder, struct device_message *message, const struct json_node *node,
                       struct arena *arena)
{
    struct event event;
    int32_t index = 0;

    if (!node_is(node, PICKET_JSON_OBJECT_OPEN)) {
        custom_row(decoder, message, node, arena);
        departures_add(&message->rows[message->row_count - 1].departures, TEXT("type:Events[]"));
        return;
    }
    event_read(decoder, message, node, arena, &event);
    const struct json_node *payload = node_member(node, "Payload");
    if (node_is(payload, PICKET_JSON_ARRAY_OPEN) && payload->count) {
        for (const struct json_node *element = payload->first; element; element = element->next)
            element_row(decoder, message, &event, element, index++, arena);
    } else if (payload && payload->kind != PICKET_JSON_ARRAY_OPEN) {
        element_row(decoder, message, &event, payload, 0, arena);
    } else {
        event.row.is_empty = true;
        element_row(decoder, message, &event, NULL, 0, arena);
    }
}

static void event_read(struct classic_decoder *decoder, const struct device_message *message,
                       const struct json_node *node, struct arena *arena, struct event *out)
{
    const struct json_node *payload = node_member(node, "Payload");
    const struct json_node *said_empty = node_member(node, "IsEmpty");
    bool empty = !payload || (payload->kind == PICKET_JSON_ARRAY_OPEN && payload->count == 0);
    const struct json_node **extra = NULL;
    size_t extra_count = 0;

    *out = (struct event){.row = {.hit_count = 1, .remote_port = EVENT_PORT_NONE, .local_port = EVENT_PORT_NONE}};
    departures_init(&out->departures, DEPARTURES_EVENT_MAX, arena);
    out->row.name = node_string(node_member(node, "Name"));
    out->row.category = node_string(node_member(node, "Category"));
    out->row.sender_event_id = node_string(node_member(node, "Id"));
    out->row.time_local = node_string(node_member(node, "TimestampLocal"));
    out->schema = departures_schema(out->row.name);
    out->row.type = event_type(node, out->schema);
    departures_of_event(out->schema, node, &out->departures);
    event_clock(message, node, out);
    for (const struct json_node *member = node->first; member; member = member->next) {
        bool is_payload = member == payload;
        bool kept = member == said_empty ? node_is(member, empty ? PICKET_JSON_TRUE : PICKET_JSON_FALSE)
                                         : event_member_kept(node, member);
        if (is_payload && member->replaced & JSON_NODE_DUPLICATE)
            departures_add(&out->departures, TEXT("duplicate:Payload"));
        else if (!is_payload && member->replaced)
            departures_of_replacing(member, member->name, &out->departures);
        if (is_payload || kept)
            continue;
        if (!extra)
            extra = ARENA_ARRAY(arena, const struct json_node *, node->count);
        extra[extra_count++] = member;
    }
    if (extra_count)
        out->row.extra = details_write_members(&decoder->writer, extra, extra_count, arena);
}

static void event_clock(const struct device_message *message, const struct json_node *node, struct event *out)
{
    struct text sent = node_string(node_member(node, "TimestampUTC"));
    int64_t received = message->record.received_at_us;

    out->row.time_stamp_us = received;
    if (!sent.bytes)
        return; /* noted as missing, or as of the wrong type */
    if (!clock_parse(sent, &out->row.time_stamp_us)) {
        out->row.time_stamp_us = received;
        departures_note(&out->departures, "clock-unreadable", TEXT("TimestampUTC"), TEXT_NONE, sent);
    } else if (!device_message_time_plausible(out->row.time_stamp_us, received)) {
        departures_add(&out->departures, TEXT("clock-implausible"));
    }
}

static struct text event_type(const struct json_node *node, const struct event_schema *schema)
{
    const struct json_node *operational = node_member(node, "IsOperational");
    struct text said = node_string(node_member(node, "EventType"));

    if (said.bytes)
        return said;
    if (node_is(operational, PICKET_JSON_TRUE))
        return TEXT("Operational");
    if (node_is(operational, PICKET_JSON_FALSE))
        return TEXT("Security");
    return schema ? text_of(departures_event_type(schema)) : TEXT("");
}

/* Whether a column says all that the member says: what does not goes to `extra`. */
static bool event_member_kept(const struct json_node *event, const struct json_node *node)
{
    static const struct text strings[] = {
        {"Id", 2}, {"Name", 4}, {"Category", 8}, {"EventType", 9}, {"TimestampLocal", 14},
    };
    int64_t ignored;

    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (text_equal(node->name, strings[i]))
            return node->kind == PICKET_JSON_STRING;
    if (text_equal(node->name, TEXT("TimestampUTC")))
        return node->kind == PICKET_JSON_STRING && clock_parse(node->text, &ignored);
    if (text_equal(node->name, TEXT("IsOperational")))
        return (node->kind == PICKET_JSON_TRUE || node->kind == PICKET_JSON_FALSE) &&
               !node_is(node_member(event, "EventType"), PICKET_JSON_STRING); /* which would have the column */
    return text_equal(node->name, TEXT("PayloadSchemaVersion")) && text_equal(node_string(node), TEXT("1.0"));
}

/* `element` NULL: an event without any. */
static void element_row(struct classic_decoder *decoder, struct device_message *message, const struct event *event,
                        const struct json_node *element, int32_t index, struct arena *arena)
{
    struct event_row *row = device_message_row(message);

    *row = event->row;
    row->element = index;
    departures_init(&row->departures, DEPARTURES_MAX, arena);
    if (element)
        departures_of_element(event->schema, element, &row->departures);
    event_row_fill(row, element ? element : &no_members, &decoder->writer, arena);
    departures_share(&row->departures, &event->departures);
}

static void custom_row(struct classic_decoder *decoder, struct device_message *message, const struct json_node *document,
                       struct arena *arena)
{
    struct event_row *row = device_message_custom_row(message, arena);

    details_write(&decoder->writer, document, arena, &row->details);
    if (document->replaced)
        departures_of_replacing(document, TEXT("$"), &row->departures);
    if (row->details.order_lost)
        departures_add(&row->departures, TEXT("key-order-lost"));
}

/* Lower-case hex with hyphens at 8, 13, 18 and 23: as PostgreSQL prints it, so that nothing is lost in a uuid. */
static bool guid_is_usual(struct text text)
{
    if (text.count != 36)
        return false;
    for (size_t i = 0; i < text.count; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        char byte = text.bytes[i];
        if (hyphen ? byte != '-' : !((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f')))
            return false;
    }
    return true;
}
