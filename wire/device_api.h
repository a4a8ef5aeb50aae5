#ifndef PICKET_WIRE_DEVICE_API_H
#define PICKET_WIRE_DEVICE_API_H

/* Paths and header names that devices use: IoT Hub's HTTPS dialect. */
#define PICKET_PATH_DEVICE_EVENTS "/devices/:device/messages/events"
#define PICKET_PATH_MODULE_EVENTS "/devices/:device/modules/:module/messages/events"

#define PICKET_HEADER_MESSAGE_ID "iothub-messageid"
#define PICKET_HEADER_CORRELATION_ID "iothub-correlationid"
#define PICKET_HEADER_CONTENT_TYPE "iothub-contenttype"
#define PICKET_HEADER_CONTENT_ENCODING "iothub-contentencoding"
#define PICKET_HEADER_INTERFACE_ID "iothub-interface-id"
#define PICKET_HEADER_APP_PREFIX "iothub-app-"
#define PICKET_HEADER_RECEIPT "Picket-Receipt"

#define PICKET_INTERFACE_ID "urn:azureiot:Security:SecurityAgent:1"

#endif
