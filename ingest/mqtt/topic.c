#include "ingest/mqtt/topic.h"

#include "runtime/buf.h"
#include "wire/micro_message.h"

#define PROPERTY_NAME_MAX 512
#define MEMBERS_MAX 256 /* each is compared with those behind it */
#define EVENTS "messages/events"

static bool cut_prefix(struct text *rest, struct text prefix);
static bool cut_id(struct text *rest, struct text id);
static bool cut_identity(struct text *rest, const struct identity *identity);
static struct text parameter(struct text query, struct text name);
static void topic_read_service(struct text rest, struct topic *out);
static void topic_read_enrolment(struct text rest, struct topic *out);
static struct text decoded(struct text escaped, char **room);

void topic_read(struct text topic, const struct identity *identity, bool enrolment, struct topic *out)
{
    struct text rest = topic;

    *out = (struct topic){.kind = TOPIC_FOREIGN, .bag = TEXT("")};
    if (enrolment) {
        if (cut_prefix(&rest, TEXT("$dps/registrations/")))
            topic_read_enrolment(rest, out);
    } else if (cut_prefix(&rest, TEXT("$iothub/"))) {
        topic_read_service(rest, out);
    } else if (cut_identity(&rest, identity) && cut_prefix(&rest, TEXT(EVENTS)) &&
               (!rest.count || cut_prefix(&rest, TEXT("/")))) {
        out->kind = TOPIC_EVENTS;
        out->bag = rest;
    }
}

uint32_t topic_filter(struct text filter, const struct identity *identity, bool enrolment)
{
    struct text rest = filter;

    if (enrolment)
        return text_equal(filter, TEXT("$dps/registrations/res/#")) ? PRESENCE_ENROLMENT_REPLIES : 0;
    if (text_equal(filter, TEXT("$iothub/twin/res/#")))
        return PRESENCE_TWIN_REPLIES;
    if (text_equal(filter, TEXT("$iothub/twin/PATCH/properties/desired/#")))
        return PRESENCE_DESIRED;
    if (text_equal(filter, TEXT("$iothub/methods/POST/#")))
        return PRESENCE_METHODS;
    if (!cut_identity(&rest, identity))
        return 0;
    if (identity->module.count)
        return text_equal(rest, TEXT("#")) || text_equal(rest, TEXT("inputs/#")) ? PRESENCE_MODULE_INPUTS : 0;
    return text_equal(rest, TEXT("messages/devicebound/#")) ? PRESENCE_CLOUD_MESSAGES : 0;
}

static bool cut_prefix(struct text *rest, struct text prefix)
{
    if (!text_starts(*rest, prefix))
        return false;
    rest->bytes += prefix.count;
    rest->count -= prefix.count;
    return true;
}

/* A segment that is the id, as it is or percent-encoded, and the slash behind it. */
static bool cut_id(struct text *rest, struct text id)
{
    char plain[PICKET_ID_MAX];
    size_t count;
    struct text segment, after = text_cut(*rest, '/', &segment);

    if (!after.bytes)
        return false;
    if (!text_equal(segment, id)) {
        if (!text_percent_decode(segment, plain, sizeof plain, &count) || !text_equal((struct text){plain, count}, id))
            return false;
    }
    *rest = after;
    return true;
}

/* "devices/{device}/" and for a module "modules/{module}/". */
static bool cut_identity(struct text *rest, const struct identity *identity)
{
    if (!cut_prefix(rest, TEXT("devices/")) || !cut_id(rest, identity->device))
        return false;
    return !identity->module.count || (cut_prefix(rest, TEXT("modules/")) && cut_id(rest, identity->module));
}

/* Of "?$rid=1&$version=2"; TEXT("") when it is not there. */
static struct text parameter(struct text query, struct text name)
{
    struct text pair, key;

    if (!cut_prefix(&query, TEXT("?")))
        return TEXT("");
    while (query.bytes) {
        query = text_cut(query, '&', &pair);
        struct text value = text_cut(pair, '=', &key);
        if (text_equal(key, name) && value.bytes)
            return value;
    }
    return TEXT("");
}

static void topic_read_service(struct text rest, struct topic *out)
{
    struct text status;

    if (cut_prefix(&rest, TEXT("twin/GET/"))) {
        out->kind = TOPIC_TWIN_GET;
    } else if (cut_prefix(&rest, TEXT("twin/PATCH/properties/reported/"))) {
        out->kind = TOPIC_TWIN_REPORTED;
    } else if (cut_prefix(&rest, TEXT("methods/res/"))) {
        rest = text_cut(rest, '/', &status);
        if (!rest.bytes || !text_to_i64(status, &out->status))
            return;
        out->kind = TOPIC_METHOD_RESULT;
    } else {
        return;
    }
    out->request = parameter(rest, TEXT("$rid"));
}

static void topic_read_enrolment(struct text rest, struct topic *out)
{
    if (cut_prefix(&rest, TEXT("PUT/iotdps-register/")))
        out->kind = TOPIC_REGISTER;
    else if (cut_prefix(&rest, TEXT("GET/iotdps-get-operationstatus/")))
        out->kind = TOPIC_OPERATION;
    else
        return;
    out->request = parameter(rest, TEXT("$rid"));
    out->operation = parameter(rest, TEXT("operationId"));
}

/* Into `*room`, which moves on. What is no escape stays as it is. */
static struct text decoded(struct text escaped, char **room)
{
    struct text out = {*room, 0};
    size_t count;

    for (size_t i = 0; i < escaped.count; i++) {
        struct text triple = {escaped.bytes + i, 3};
        if (escaped.bytes[i] == '%' && escaped.count - i >= 3 && text_percent_decode(triple, *room, 1, &count) &&
            count == 1)
            i += 2;
        else
            **room = escaped.bytes[i];
        (*room)++;
    }
    out.count = (size_t)(*room - out.bytes);
    return out;
}

/* False when a later member has the name as well. */
static bool is_last(struct text rest, struct text name)
{
    char plain[PROPERTY_NAME_MAX];
    struct text pair, key;

    while (rest.bytes) {
        rest = text_cut(rest, '&', &pair);
        (void)text_cut(pair, '=', &key);
        char *at = plain;
        if (key.count <= sizeof plain && text_equal(decoded(key, &at), name))
            return false;
    }
    return true;
}

void topic_bag_read(struct text bag, char *room, struct picket_json_writer *out, struct topic_bag *found)
{
    char name[PROPERTY_NAME_MAX];
    struct text pair, key;
    size_t members = 0;

    *found = (struct topic_bag){.any = false};
    while (bag.count) {
        bag = text_cut(bag, '&', &pair);
        struct text value = text_cut(pair, '=', &key);
        char *at = name;
        if (!pair.count)
            continue;
        if (++members > MEMBERS_MAX || key.count >= sizeof name) {
            out->failed = true;
            return;
        }
        struct text plain = decoded(key, &at);
        *at = 0;
        if (memchr(name, 0, plain.count) || !is_last(bag, plain))
            continue;
        value = decoded(value.bytes ? value : TEXT(""), &room);
        picket_json_write_name(out, name);
        picket_json_write_string(out, value.bytes, value.count);
        found->any = true;
        if (text_equal(plain, TEXT("$.mid")))
            found->message_id = value;
        else if (text_equal(plain, TEXT("$.ct")))
            found->content_type = value;
        else if (text_equal(plain, TEXT("$.ce")))
            found->content_encoding = value;
        else if (text_equal(plain, TEXT(PICKET_MICRO_INDICATOR)))
            found->indicator = value;
    }
}

static void append_encoded(struct buf *out, struct text plain)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < plain.count; i++) {
        char byte = plain.bytes[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
        if (letter || (byte && strchr("-._~", byte))) {
            buf_byte(out, byte);
            continue;
        }
        buf_byte(out, '%');
        buf_byte(out, digits[(unsigned char)byte >> 4]);
        buf_byte(out, digits[(unsigned char)byte & 15]);
    }
}

void topic_bag_add(struct buf *topic, bool *first, struct text name, struct text value)
{
    if (!*first)
        buf_byte(topic, '&');
    *first = false;
    append_encoded(topic, name);
    buf_byte(topic, '=');
    append_encoded(topic, value);
}
