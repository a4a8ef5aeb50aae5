#ifndef PICKET_WIRE_DEVICE_API_H
#define PICKET_WIRE_DEVICE_API_H

/* Paths and header names that devices use: IoT Hub's HTTPS dialect. */
#define PICKET_PATH_DEVICE_EVENTS "/devices/:device/messages/events"
#define PICKET_PATH_MODULE_EVENTS "/devices/:device/modules/:module/messages/events"
#define PICKET_PATH_MODULE "/devices/:device/modules/:module"
#define PICKET_PATH_CLOUD "/devices/:device/messages/devicebound"
#define PICKET_PATH_CLOUD_LOCK "/devices/:device/messages/devicebound/:lock"
#define PICKET_PATH_CLOUD_ABANDON "/devices/:device/messages/devicebound/:lock/abandon"
#define PICKET_PATH_REGISTRATION "/:scope/registrations/:id"
#define PICKET_PATH_REGISTER "/:scope/registrations/:id/register"
#define PICKET_PATH_OPERATION "/:scope/registrations/:id/operations/:operation"

#define PICKET_HEADER_MESSAGE_ID "iothub-messageid"
#define PICKET_HEADER_CORRELATION_ID "iothub-correlationid"
#define PICKET_HEADER_CONTENT_TYPE "iothub-contenttype"
#define PICKET_HEADER_CONTENT_ENCODING "iothub-contentencoding"
#define PICKET_HEADER_INTERFACE_ID "iothub-interface-id"
#define PICKET_HEADER_APP_PREFIX "iothub-app-"
#define PICKET_HEADER_RECEIPT "Picket-Receipt"

#define PICKET_INTERFACE_ID "urn:azureiot:Security:SecurityAgent:1"

#endif
