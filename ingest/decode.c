#include "ingest/decode.h"

#include <stdlib.h>

#include "wire/json_reader.h"
#include "wire/micro_message.h"

/* Where the pass stands in a message that may bear an identity. Anything else is only checked. */
enum place {
    PLACE_ELSEWHERE,
    PLACE_EVENTS,   /* the value of the top-level Events comes next */
    PLACE_SEQUENCE, /* the value of the top-level Sequence */
    PLACE_EVENT_ID, /* the value of Id of one of the events */
};

static bool says_flatbuffers(struct text indicator);
static enum status decode_flatbuffers(struct text body, struct decoded *out, struct problem *why);
static bool says_json(struct text type);
static bool find_identity(struct picket_json_reader *reader);
static enum place place_of_name(const struct picket_json_reader *reader, const struct picket_json_token *name,
                                bool in_events);

bool decode_claims_json(const struct decode_claim *claim, struct text body)
{
    if (says_json(claim->content_type) || says_json(claim->property_type) || says_json(claim->property_encoding))
        return true;
    struct text type;
    (void)text_cut(claim->content_type, ';', &type);
    type = text_trim(type);
    if (text_trim(claim->property_type).count ||
        (type.count && !text_equal_nocase(type, TEXT("application/octet-stream"))))
        return false;
    for (size_t i = 0; i < body.count; i++) {
        char c = body.bytes[i];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return c == '{' || c == '[';
    }
    return false;
}

enum status decode(const struct decode_claim *claim, struct text body, unsigned depth_max, struct decoded *out,
                   struct problem *why)
{
    struct picket_json_reader reader;

    *out = (struct decoded){0};
    if (says_flatbuffers(claim->indicator))
        return decode_flatbuffers(body, out, why);
    if (!decode_claims_json(claim, body))
        return STATUS_OK;
    out->claims_json = true;
    picket_json_init(&reader, body.bytes, body.count, depth_max);
    out->has_identity = find_identity(&reader);
    if (!reader.error)
        return STATUS_OK;
    out->refusal = "InvalidJson";
    picket_json_position(&reader, reader.error_at, &out->line, &out->column);
    if (!text_trim(body).count)
        return problem_set(why, STATUS_REJECT, "the body says that it is JSON, and it is empty");
    if (reader.too_deep)
        return problem_set(why, STATUS_REJECT, "the body nests deeper than %u levels (line %u, column %u)", depth_max,
                           out->line, out->column);
    return problem_set(why, STATUS_REJECT, "the body says that it is JSON, and it is not: %s (line %u, column %u)",
                       reader.error, out->line, out->column);
}

static bool says_flatbuffers(struct text indicator)
{
    struct picket_micro_indicator read;
    struct picket_span span = {indicator.bytes, indicator.count};

    return indicator.count && picket_micro_indicator_read(span, &read) && picket_micro_readable(&read);
}

static enum status decode_flatbuffers(struct text body, struct decoded *out, struct problem *why)
{
    uint8_t *marks = malloc(PICKET_FLATBUFFER_MARKS(body.count));
    size_t event_count, error_at;

    if (!marks)
        abort();
    const char *error = picket_micro_check(body.bytes, body.count, marks, &event_count, &error_at);
    free(marks);
    out->has_identity = event_count > 0; /* each event bears an id */
    if (!error)
        return STATUS_OK;
    out->has_identity = false;
    out->refusal = "InvalidFlatBuffer";
    return problem_set(why, STATUS_REJECT, "the property mti says that the body is FlatBuffers, and it is not: %s (byte %zu)",
                       error, error_at);
}

static bool says_json(struct text type)
{
    if (!type.count)
        return false;
    (void)text_cut(type, ';', &type);
    type = text_trim(type);
    size_t suffix = sizeof "+json" - 1;
    return text_equal_nocase(type, TEXT("application/json")) ||
           text_equal_nocase(type, TEXT("application/vnd.microsoft.iothub.json")) ||
           (type.count > suffix &&
            text_equal_nocase((struct text){type.bytes + type.count - suffix, suffix}, TEXT("+json")));
}

/* Reads to the end, or to the error, whatever is found on the way. */
static bool find_identity(struct picket_json_reader *reader)
{
    struct picket_json_token token;
    enum picket_json_kind kind;
    enum place place = PLACE_ELSEWHERE;
    bool in_events = false, found = false;

    while ((kind = picket_json_next(reader, &token)) != PICKET_JSON_END && kind != PICKET_JSON_ERROR) {
        if (kind == PICKET_JSON_NAME) {
            place = reader->depth == 1 || in_events ? place_of_name(reader, &token, in_events) : PLACE_ELSEWHERE;
            continue;
        }
        if (reader->depth <= 2) /* an array at depth 2 is Events only when it was opened right after its name */
            in_events = kind == PICKET_JSON_ARRAY_OPEN ? place == PLACE_EVENTS
                                                       : in_events && reader->depth == 2;
        found = found || (place == PLACE_SEQUENCE && kind == PICKET_JSON_OBJECT_OPEN) ||
                (place == PLACE_EVENT_ID && kind == PICKET_JSON_STRING && token.count);
        place = PLACE_ELSEWHERE;
    }
    return found && kind == PICKET_JSON_END;
}

static enum place place_of_name(const struct picket_json_reader *reader, const struct picket_json_token *name,
                                bool in_events)
{
    if (reader->depth == 1) {
        if (PICKET_JSON_IS(name, "Events"))
            return PLACE_EVENTS;
        return PICKET_JSON_IS(name, "Sequence") ? PLACE_SEQUENCE : PLACE_ELSEWHERE;
    }
    return in_events && reader->depth == 3 && PICKET_JSON_IS(name, "Id") ? PLACE_EVENT_ID : PLACE_ELSEWHERE;
}
