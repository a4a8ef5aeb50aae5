#ifndef PICKET_INGEST_HTTP_PROPERTIES_H
#define PICKET_INGEST_HTTP_PROPERTIES_H

#include "ingest/intake.h"
#include "wire/json_writer.h"

/* Properties of a message as IoT Hub's HTTPS dialect names them ("iothub-messageid", "iothub-app-colour"), gathered as
 * the JSON object that records bear, with the names that MQTT gives them ("$.mid", "colour"). */
struct http_properties {
    struct picket_json_writer json;
    bool any, name_too_long;
};

/* `room` holds the object, of PICKET_PROPERTIES_MAX bytes. */
void http_properties_open(struct http_properties *properties, char *room);
/* What the intake has to know of one is set in `message`, with the text as it is. */
void http_properties_add(struct http_properties *properties, struct intake_message *message, struct text name,
                         struct text value);
/* False: they are too long. */
bool http_properties_close(struct http_properties *properties, struct intake_message *message);

#endif
