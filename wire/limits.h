#ifndef PICKET_WIRE_LIMITS_H
#define PICKET_WIRE_LIMITS_H

/* Lengths that both ends of a connection agree on. Bytes, without a terminator. */
#define PICKET_ID_MAX 128               /* device and module ids: IoT Hub's rule */
#define PICKET_MESSAGE_ID_MAX 128       /* the sender's message id */
#define PICKET_BODY_MAX (256 * 1024)    /* a device message, decompressed; a setting raises it */
#define PICKET_BODY_HARD_MAX (1024 * 1024)
#define PICKET_JSON_DEPTH_MAX 64        /* nesting of objects and arrays in a body */
#define PICKET_PROPERTIES_MAX (16 * 1024) /* application and system properties of one message, as text */
#define PICKET_KEY_MIN 16               /* decoded bytes of a symmetric key */
#define PICKET_KEY_MAX 64
#define PICKET_TOKEN_MAX 1024           /* a SAS token as text */
#define PICKET_HOST_MAX 253

#endif
