#ifndef PICKET_INGEST_MQTT_WEBSOCKET_H
#define PICKET_INGEST_MQTT_WEBSOCKET_H

#include "runtime/text.h"

/* The server's side of WebSocket frames (RFC 6455) that carry MQTT's stream of bytes. No memory, no sockets. */
#define WEBSOCKET_CONTROL_MAX 125
#define WEBSOCKET_HEADER_MAX 10 /* of frames we write: they are not masked */
#define WEBSOCKET_ACCEPT_SIZE 29

struct websocket {
    uint8_t header[14]; /* of the frame that is being read */
    uint8_t header_count;
    uint8_t control_count, control[WEBSOCKET_CONTROL_MAX];
    bool fragmented; /* a message goes on in the next data frame */
    uint64_t left;   /* payload bytes of the frame still to come */
    uint64_t at;     /* payload bytes seen, for the mask */
};

enum websocket_event {
    WEBSOCKET_MORE,   /* all bytes are used up */
    WEBSOCKET_PING,   /* answer it with control[0..control_count) as pong; then go on */
    WEBSOCKET_CLOSE,  /* the client says good-bye */
    WEBSOCKET_BROKEN, /* not what RFC 6455 lets a client send; text frames included */
};

/* Turns `*count` raw bytes into the payload bytes that they carry, in place: `*payload` of them stand at the start then.
 * After a PING the rest was not looked at: `*used` says how many bytes were, and the caller goes on behind them. */
enum websocket_event websocket_read(struct websocket *websocket, uint8_t *bytes, size_t count, size_t *used,
                                    size_t *payload);

enum websocket_opcode { WEBSOCKET_BINARY = 2, WEBSOCKET_CLOSING = 8, WEBSOCKET_PONG = 10 };
/* The header of a whole frame; returns its length. */
size_t websocket_header(enum websocket_opcode opcode, size_t payload, uint8_t out[WEBSOCKET_HEADER_MAX]);

/* Sec-WebSocket-Accept for a client's Sec-WebSocket-Key, terminated. False: the key is not 16 bytes in base64. */
bool websocket_accept(struct text key, char out[WEBSOCKET_ACCEPT_SIZE]);

#endif
