#include "detect/event.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

#include "wire/json_reader.h"

#define DEPTH_MAX 16
#define NAME_BYTES_MAX 256
#define FOLDED_MAX 32

static bool flatten(struct text details, struct arena *arena, struct event *out);
static struct text value_text(const struct picket_json_token *token, struct arena *arena);
static void member_note(struct event *event, struct text name, struct text value);
static enum event_kind kind_of(const struct event *event);
static enum event_outcome outcome_of(const struct event *event);
static enum event_direction direction_of(const struct event *event, struct text said);

/* Members that judging asks for, by their names without case and underscores, sorted. */
static const struct member {
    const char *folded;
    size_t at;
} members[] = {
    {"action", offsetof(struct event, action)},
    {"actiontype", offsetof(struct event, action)},
    {"commandline", offsetof(struct event, command_line)},
    {"dnsquery", offsetof(struct event, domain)},
    {"domain", offsetof(struct event, domain)},
    {"domainname", offsetof(struct event, domain)},
    {"eventtype", offsetof(struct event, action)},
    {"executable", offsetof(struct event, executable)},
    {"extradetails.hash", offsetof(struct event, hash)},
    {"filename", offsetof(struct event, path)},
    {"filepath", offsetof(struct event, path)},
    {"groupnames", offsetof(struct event, groups)},
    {"hash", offsetof(struct event, hash)},
    {"interface", offsetof(struct event, interface)},
    {"interfacename", offsetof(struct event, interface)},
    {"localaddress", offsetof(struct event, local_address)},
    {"mask", offsetof(struct event, action)},
    {"message", offsetof(struct event, message)},
    {"operation", offsetof(struct event, operation)},
    {"parentprocessid", offsetof(struct event, parent_process_id)},
    {"path", offsetof(struct event, path)},
    {"processid", offsetof(struct event, process_id)},
    {"protocol", offsetof(struct event, protocol)},
    {"queryname", offsetof(struct event, domain)},
    {"remoteaddress", offsetof(struct event, remote_address)},
    {"transportprotocol", offsetof(struct event, protocol)},
    {"userid", offsetof(struct event, user_id)},
    {"username", offsetof(struct event, user)},
};

static const struct {
    const char *folded; /* of the event's name */
    enum event_kind kind;
} kinds[] = {
    {"processcreate", EVENT_PROCESS},      {"process", EVENT_PROCESS},
    {"connectioncreate", EVENT_CONNECTION}, {"networkactivity", EVENT_CONNECTION},
    {"dnsrequest", EVENT_NAME_QUERY},      {"dnsquery", EVENT_NAME_QUERY},
    {"dns", EVENT_NAME_QUERY},             {"login", EVENT_LOGIN},
    {"listeningports", EVENT_LISTENER},    {"localusers", EVENT_USER},
    {"filesystem", EVENT_FILE},            {"peripheralusb", EVENT_USB},
    {"usb", EVENT_USB},                    {"peripheralethernet", EVENT_ETHERNET},
    {"ethernet", EVENT_ETHERNET},          {"configurationerror", EVENT_CONFIGURATION},
    {"log", EVENT_LOG},                    {"diagnostic", EVENT_LOG},
    {"syslog", EVENT_LOG},
    {"frontdoor", EVENT_DOOR},             {"clonedidentity", EVENT_CLONE},
};

/* Lower case, without '_' and ' '; "" when it is longer than any name we know. */
static size_t fold(struct text name, char out[FOLDED_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < name.count; i++) {
        char byte = name.bytes[i];
        if (byte == '_' || byte == ' ')
            continue;
        if (count == FOLDED_MAX - 1)
            return out[0] = '\0', 0;
        out[count++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    }
    out[count] = '\0';
    return count;
}

/* Aggregated events say so, each kind of agent in its own place. */
static uint64_t hits_of(const struct event *event)
{
    static const char *const names[] = {"ExtraDetails.HitCount", "HitCount", "hitcount", "hit_count"};
    uint64_t hits;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_to_u64(event_field(event, text_of(names[i])), &hits) && hits > 0)
            return hits;
    return 1;
}

bool event_read(const struct event_source *source, struct arena *arena, struct event *out)
{
    struct text said_direction;

    *out = (struct event){.id = source->id, .group = source->group, .name = source->name, .at_us = source->at_us, .hits = source->hits};
    if (!flatten(source->details, arena, out))
        return false;
    if (!out->hits)
        out->hits = hits_of(out);
    said_direction = event_field(out, TEXT("Direction"));
    out->kind = kind_of(out);
    out->outcome = outcome_of(out);
    out->direction = direction_of(out, said_direction);
    if (!out->user.bytes || !out->user.count)
        out->user = out->user_id;
    return true;
}

size_t event_names(unsigned of_kinds, const char *out[EVENT_NAMES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (of_kinds & EVENT_BIT(kinds[i].kind) || (kinds[i].kind == EVENT_CONNECTION && of_kinds & EVENT_BIT(EVENT_NAME_QUERY)))
            out[count++] = kinds[i].folded;
    if (of_kinds & (EVENT_BIT(EVENT_USB) | EVENT_BIT(EVENT_ETHERNET)))
        out[count++] = "peripheral";
    return count;
}

struct text event_field(const struct event *event, struct text name)
{
    for (size_t i = 0; i < event->field_count; i++)
        if (text_equal(event->fields[i].name, name))
            return event->fields[i].value;
    return TEXT_NONE;
}

struct text event_base_name(struct text path)
{
    size_t at = path.count;

    while (at > 0 && path.bytes[at - 1] != '/')
        at--;
    return path.bytes ? (struct text){path.bytes + at, path.count - at} : TEXT_NONE;
}

bool event_address_is_private(struct text address)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t b[16];

    if (address.count >= sizeof text || !address.count)
        return false;
    memcpy(text, address.bytes, address.count);
    text[address.count] = '\0';
    if (inet_pton(AF_INET, text, b) == 1)
        return b[0] == 10 || b[0] == 127 || b[0] == 0 || (b[0] == 172 && (b[1] & 0xF0) == 16) || (b[0] == 192 && b[1] == 168) ||
               (b[0] == 169 && b[1] == 254) || (b[0] == 100 && (b[1] & 0xC0) == 64) || b[0] >= 224;
    if (inet_pton(AF_INET6, text, b) != 1)
        return false;
    static const uint8_t none[15] = {0}, mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    if (memcmp(b, mapped, sizeof mapped) == 0) {
        snprintf(text, sizeof text, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
        return event_address_is_private(text_of(text));
    }
    return (memcmp(b, none, sizeof none) == 0 && b[15] <= 1) || (b[0] & 0xFE) == 0xFC || (b[0] == 0xFE && (b[1] & 0xC0) == 0x80) ||
           b[0] == 0xFF;
}

/* ---- members ---- */

/* Where a value stands: the names of the objects around it. */
struct place {
    char name[NAME_BYTES_MAX];
    size_t ends[DEPTH_MAX + 1];
    size_t depth;
    struct text plain; /* of the root's member, where it stands in the source as it is */
};

static bool place_name(struct place *place, const struct picket_json_token *token)
{
    size_t at = place->ends[place->depth];

    if (at + 1 + token->count >= NAME_BYTES_MAX)
        return false;
    if (at)
        place->name[at++] = '.';
    at += token->flags & PICKET_JSON_ESCAPED ? picket_json_unescape(token, place->name + at)
                                             : (memcpy(place->name + at, token->text, token->count), token->count);
    place->ends[place->depth + 1] = at;
    if (place->depth == 0)
        place->plain = token->flags & PICKET_JSON_ESCAPED ? TEXT_NONE : (struct text){token->text, token->count};
    return true;
}

static bool flatten(struct text details, struct arena *arena, struct event *out)
{
    struct sigma_field fields[EVENT_FIELDS_MAX];
    struct picket_json_reader reader;
    struct picket_json_token token;
    struct place place;
    enum picket_json_kind kind;

    place.depth = 0;
    place.ends[0] = place.ends[1] = 0;
    place.plain = TEXT_NONE;

    picket_json_init(&reader, details.bytes, details.count, PICKET_JSON_DEPTH_LIMIT);
    if (picket_json_next(&reader, &token) != PICKET_JSON_OBJECT_OPEN)
        return false;
    while ((kind = picket_json_next(&reader, &token)) != PICKET_JSON_END) {
        switch (kind) {
        case PICKET_JSON_ERROR:
            return false;
        case PICKET_JSON_NAME:
            if (!place_name(&place, &token) && !picket_json_skip(&reader, &token, NULL, NULL))
                return false;
            break;
        case PICKET_JSON_OBJECT_OPEN:
        case PICKET_JSON_ARRAY_OPEN:
            if (place.depth == DEPTH_MAX - 1) {
                if (!picket_json_skip(&reader, &token, NULL, NULL))
                    return false;
                break;
            }
            place.depth++;
            place.ends[place.depth + 1] = place.ends[place.depth];
            break;
        case PICKET_JSON_OBJECT_CLOSE:
        case PICKET_JSON_ARRAY_CLOSE:
            if (place.depth)
                place.depth--;
            break;
        default: /* a value */
            if (out->field_count == EVENT_FIELDS_MAX)
                break;
            struct sigma_field *field = &fields[out->field_count++];
            field->name = place.depth == 0 && place.plain.bytes
                              ? place.plain
                              : arena_text(arena, (struct text){place.name, place.ends[place.depth + 1]});
            field->value = value_text(&token, arena);
            member_note(out, field->name, field->value);
            break;
        }
    }
    struct sigma_field *kept = ARENA_ARRAY(arena, struct sigma_field, out->field_count);
    memcpy(kept, fields, out->field_count * sizeof *fields);
    out->fields = kept;
    return true;
}

static struct text value_text(const struct picket_json_token *token, struct arena *arena)
{
    char *copy;

    switch (token->kind) {
    case PICKET_JSON_TRUE:
        return TEXT("true");
    case PICKET_JSON_FALSE:
        return TEXT("false");
    case PICKET_JSON_NULL:
        return TEXT_NONE;
    default:
        break;
    }
    if (!(token->flags & PICKET_JSON_ESCAPED))
        return (struct text){token->text, token->count};
    copy = arena_alloc(arena, 1, token->count + 1);
    return (struct text){copy, picket_json_unescape(token, copy)};
}

static uint32_t port_of(struct text value)
{
    uint64_t port;
    return text_to_u64(value, &port) && port <= 65535 ? (uint32_t)port : EVENT_NO_PORT;
}

/* The first value of a name counts. */
static void member_note(struct event *event, struct text name, struct text value)
{
    char folded[FOLDED_MAX];
    size_t low = 0, high = sizeof members / sizeof *members;

    if (!value.bytes || !fold(name, folded))
        return;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(folded, members[middle].folded);
        if (order == 0) {
            struct text *field = (struct text *)(void *)((char *)event + members[middle].at);
            if (!field->bytes)
                *field = value;
            return;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (strcmp(folded, "remoteport") == 0)
        event->remote_port = port_of(value);
    else if (strcmp(folded, "localport") == 0)
        event->local_port = port_of(value);
}

/* ---- what it is ---- */

static enum event_kind kind_of(const struct event *event)
{
    char folded[FOLDED_MAX];
    enum event_kind kind = EVENT_OTHER;

    fold(event->name, folded);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(folded, kinds[i].folded) == 0)
            kind = kinds[i].kind;
    if (strcmp(folded, "peripheral") == 0)
        kind = event->interface.bytes ? EVENT_ETHERNET : EVENT_USB;
    if (kind == EVENT_PROCESS && text_equal_nocase(event->action, TEXT("exit")))
        kind = EVENT_OTHER;
    if (kind == EVENT_CONNECTION && event->domain.bytes && !event->remote_address.bytes)
        kind = EVENT_NAME_QUERY;
    return kind;
}

/* Classic agents say Result, the micro agent an Operation of its own. */
static enum event_outcome outcome_of(const struct event *event)
{
    struct text result = event_field(event, TEXT("Result"));

    if (text_equal_nocase(result, TEXT("Success")) || (!result.bytes && text_equal_nocase(event->operation, TEXT("Login"))))
        return EVENT_SUCCEEDED;
    if (text_equal_nocase(result, TEXT("Fail")) || text_equal_nocase(result, TEXT("Failed")) || text_equal_nocase(result, TEXT("Failure")) ||
        text_equal_nocase(event->operation, TEXT("LoginFailed")))
        return EVENT_FAILED;
    return EVENT_OUTCOME_NONE;
}

/* Where it is not said, as the public parsers reckon: the side with the lower port is the server. */
static enum event_direction direction_of(const struct event *event, struct text said)
{
    if (text_equal_nocase(said, TEXT("in")) || text_equal_nocase(said, TEXT("inbound")))
        return EVENT_IN;
    if (text_equal_nocase(said, TEXT("out")) || text_equal_nocase(said, TEXT("outbound")))
        return EVENT_OUT;
    if (event->kind != EVENT_CONNECTION || !event->local_port || !event->remote_port)
        return EVENT_DIRECTION_NONE;
    return event->local_port > event->remote_port ? EVENT_OUT : EVENT_IN;
}
