#include "ingest/http_properties.h"

#include "wire/device_api.h"
#include "wire/limits.h"
#include "wire/micro_message.h"

#define NAME_SIZE 512

/* Names as IoT Hub gives them in an MQTT topic, so that the same message has the same properties over both. */
static const struct {
    struct text header;
    const char *property;
} system_properties[] = {
    {{PICKET_HEADER_MESSAGE_ID, sizeof PICKET_HEADER_MESSAGE_ID - 1}, "$.mid"},
    {{PICKET_HEADER_CORRELATION_ID, sizeof PICKET_HEADER_CORRELATION_ID - 1}, "$.cid"},
    {{PICKET_HEADER_CONTENT_TYPE, sizeof PICKET_HEADER_CONTENT_TYPE - 1}, "$.ct"},
    {{PICKET_HEADER_CONTENT_ENCODING, sizeof PICKET_HEADER_CONTENT_ENCODING - 1}, "$.ce"},
    {{PICKET_HEADER_INTERFACE_ID, sizeof PICKET_HEADER_INTERFACE_ID - 1}, "$.ifid"},
    {{"iothub-to", 9}, "$.to"},
    {{"iothub-userid", 13}, "$.uid"},
    {{"iothub-creation-time-utc", 24}, "$.ctime"},
};

static void property_write(struct http_properties *properties, struct text name, struct text value);

void http_properties_open(struct http_properties *properties, char *room)
{
    properties->any = properties->name_too_long = false;
    picket_json_write_init(&properties->json, room, PICKET_PROPERTIES_MAX);
    picket_json_open_object(&properties->json);
}

void http_properties_add(struct http_properties *properties, struct intake_message *message, struct text name,
                         struct text value)
{
    property_write(properties, name, value);
    if (text_equal_nocase(name, TEXT(PICKET_HEADER_MESSAGE_ID)))
        message->message_id = value;
    else if (text_equal_nocase(name, TEXT(PICKET_HEADER_CONTENT_TYPE)))
        message->property_type = value;
    else if (text_equal_nocase(name, TEXT(PICKET_HEADER_CONTENT_ENCODING)))
        message->property_encoding = value;
    else if (text_equal_nocase(name, TEXT(PICKET_HEADER_APP_PREFIX PICKET_MICRO_INDICATOR)) ||
             text_equal_nocase(name, TEXT(PICKET_MICRO_INDICATOR)))
        message->indicator = value;
}

bool http_properties_close(struct http_properties *properties, struct intake_message *message)
{
    picket_json_close_object(&properties->json);
    size_t count = picket_json_written(&properties->json);
    message->properties = properties->any && count ? (struct text){properties->json.out, count} : TEXT_NONE;
    return count && !properties->name_too_long;
}

static void property_write(struct http_properties *properties, struct text name, struct text value)
{
    struct text prefix = TEXT(PICKET_HEADER_APP_PREFIX);
    char property[NAME_SIZE];

    properties->any = true;
    for (size_t i = 0; i < sizeof system_properties / sizeof system_properties[0]; i++) {
        if (text_equal_nocase(name, system_properties[i].header)) {
            picket_json_write_name(&properties->json, system_properties[i].property);
            picket_json_write_string(&properties->json, value.bytes, value.count);
            return;
        }
    }
    if (name.count > prefix.count && text_equal_nocase((struct text){name.bytes, prefix.count}, prefix)) {
        name.bytes += prefix.count;
        name.count -= prefix.count;
    }
    if (name.count >= sizeof property || memchr(name.bytes, 0, name.count)) {
        properties->name_too_long = true;
        return;
    }
    memcpy(property, name.bytes, name.count);
    property[name.count] = 0;
    picket_json_write_name(&properties->json, property);
    picket_json_write_string(&properties->json, value.bytes, value.count);
}
