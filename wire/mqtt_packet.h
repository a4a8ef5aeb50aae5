#ifndef PICKET_WIRE_MQTT_PACKET_H
#define PICKET_WIRE_MQTT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

/* MQTT 3.1.1 and 5.0 control packets, both directions: framing, reading that cannot leave the packet, and writing into a
 * fixed buffer. All that the standards (OASIS mqtt-v3.1.1-os, mqtt-v5.0-os) call malformed is refused here; what depends
 * on the state of a connection is the caller's. C99, no heap. */
#define PICKET_MQTT_LENGTH_MAX 268435455 /* of what follows the fixed header */
#define PICKET_MQTT_USER_PROPERTIES_MAX 100 /* of one packet */

enum picket_mqtt_version { PICKET_MQTT_3_1_1 = 4, PICKET_MQTT_5 = 5 };

enum picket_mqtt_type {
    PICKET_MQTT_CONNECT = 1,
    PICKET_MQTT_CONNACK,
    PICKET_MQTT_PUBLISH,
    PICKET_MQTT_PUBACK,
    PICKET_MQTT_PUBREC,
    PICKET_MQTT_PUBREL,
    PICKET_MQTT_PUBCOMP,
    PICKET_MQTT_SUBSCRIBE,
    PICKET_MQTT_SUBACK,
    PICKET_MQTT_UNSUBSCRIBE,
    PICKET_MQTT_UNSUBACK,
    PICKET_MQTT_PINGREQ,
    PICKET_MQTT_PINGRESP,
    PICKET_MQTT_DISCONNECT,
    PICKET_MQTT_AUTH,
};

/* Reason codes of MQTT 5 that we send or tell apart. */
enum picket_mqtt_reason {
    PICKET_MQTT_SUCCESS = 0x00,
    PICKET_MQTT_DISCONNECT_WITH_WILL = 0x04,
    PICKET_MQTT_UNSPECIFIED = 0x80,
    PICKET_MQTT_MALFORMED = 0x81,
    PICKET_MQTT_PROTOCOL_ERROR = 0x82,
    PICKET_MQTT_UNSUPPORTED_VERSION = 0x84,
    PICKET_MQTT_ID_INVALID = 0x85,
    PICKET_MQTT_BAD_CREDENTIALS = 0x86,
    PICKET_MQTT_NOT_AUTHORIZED = 0x87,
    PICKET_MQTT_UNAVAILABLE = 0x88,
    PICKET_MQTT_BUSY = 0x89,
    PICKET_MQTT_BANNED = 0x8a,
    PICKET_MQTT_SHUTTING_DOWN = 0x8b,
    PICKET_MQTT_BAD_METHOD = 0x8c,
    PICKET_MQTT_KEEP_ALIVE_OVER = 0x8d,
    PICKET_MQTT_TAKEN_OVER = 0x8e,
    PICKET_MQTT_FILTER_INVALID = 0x8f,
    PICKET_MQTT_TOPIC_INVALID = 0x90,
    PICKET_MQTT_PACKET_ID_UNKNOWN = 0x92,
    PICKET_MQTT_RECEIVE_MAXIMUM = 0x93,
    PICKET_MQTT_ALIAS_INVALID = 0x94,
    PICKET_MQTT_TOO_LARGE = 0x95,
    PICKET_MQTT_QUOTA = 0x97,
    PICKET_MQTT_ADMINISTRATIVE = 0x98,
    PICKET_MQTT_PAYLOAD_INVALID = 0x99,
    PICKET_MQTT_RETAIN_UNSUPPORTED = 0x9a,
    PICKET_MQTT_QOS_UNSUPPORTED = 0x9b,
    PICKET_MQTT_CONNECT_TIME_OVER = 0xa0,
};

/* What is wrong with a packet: the reason to disconnect with, and a sentence for the log. */
struct picket_mqtt_fault {
    enum picket_mqtt_reason reason;
    const char *sentence;
};

struct picket_mqtt_frame {
    enum picket_mqtt_type type;
    uint8_t flags;
    const char *body;
    size_t body_count;
    size_t total; /* with the fixed header */
};

enum picket_mqtt_step {
    PICKET_MQTT_MORE,  /* bytes are missing; `total` is known when the length is, else 0 */
    PICKET_MQTT_WHOLE, /* the packet is there */
    PICKET_MQTT_BROKEN,
};

/* Looks at the start of a stream. BROKEN: no type, reserved flags, or a length of more than four bytes. */
enum picket_mqtt_step picket_mqtt_frame_read(const char *bytes, size_t count, struct picket_mqtt_frame *out,
                                             struct picket_mqtt_fault *fault);

/* The properties of MQTT 5 that we use; the others were checked and passed over. */
struct picket_mqtt_properties {
    bool has_session_expiry, has_receive_maximum, has_packet_maximum, has_alias;
    uint32_t session_expiry, packet_maximum, message_expiry, will_delay;
    uint16_t receive_maximum, alias;
    uint8_t payload_is_text;   /* Payload Format Indicator */
    bool request_problem;      /* Request Problem Information; true unless the client says 0 */
    struct picket_span content_type, response_topic, correlation, auth_method, reason_string;
    struct picket_span user;   /* all user properties as they stand in the packet: picket_mqtt_user_next() */
    size_t user_count;
    bool has_subscription_id;
};

/* One user property after the other; `*rest` starts as properties.user. False: there are no more. */
bool picket_mqtt_user_next(struct picket_span *rest, struct picket_span *name, struct picket_span *value);

struct picket_mqtt_connect {
    unsigned level; /* 4 or 5; another (3 with MQIsdp too): nothing else was read, and CONNACK says so */
    bool clean, has_will, will_retain, has_user_name, has_password;
    unsigned will_qos;
    uint16_t keep_alive_s;
    struct picket_span client_id, will_topic, will_payload, user_name, password;
    struct picket_mqtt_properties properties, will_properties;
};

struct picket_mqtt_publish {
    bool dup, retain;
    unsigned qos; /* 0 to 2 */
    uint16_t id;  /* 0 with QoS 0 */
    struct picket_span topic, payload;
    struct picket_mqtt_properties properties;
};

struct picket_mqtt_ack { /* PUBACK and its kin */
    uint16_t id;
    uint8_t reason;
    struct picket_mqtt_properties properties;
};

struct picket_mqtt_subscribe { /* and UNSUBSCRIBE */
    uint16_t id;
    size_t count;
    struct picket_span filters; /* picket_mqtt_filter_next() */
    struct picket_mqtt_properties properties;
};

struct picket_mqtt_connack {
    bool session_present;
    uint8_t code;
    struct picket_mqtt_properties properties;
};

struct picket_mqtt_suback {
    uint16_t id;
    struct picket_span codes; /* a byte each */
};

struct picket_mqtt_disconnect { /* and AUTH */
    uint8_t reason;
    struct picket_mqtt_properties properties;
};

/* Each reads the body of a frame of its type. False: `fault` says what is wrong. Spans point into the frame. */
bool picket_mqtt_read_connect(const struct picket_mqtt_frame *frame, struct picket_mqtt_connect *out,
                              struct picket_mqtt_fault *fault);
bool picket_mqtt_read_connack(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                              struct picket_mqtt_connack *out, struct picket_mqtt_fault *fault);
bool picket_mqtt_read_publish(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                              struct picket_mqtt_publish *out, struct picket_mqtt_fault *fault);
bool picket_mqtt_read_ack(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                          struct picket_mqtt_ack *out, struct picket_mqtt_fault *fault);
bool picket_mqtt_read_subscribe(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                                struct picket_mqtt_subscribe *out, struct picket_mqtt_fault *fault);
bool picket_mqtt_read_suback(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                             struct picket_mqtt_suback *out, struct picket_mqtt_fault *fault);
bool picket_mqtt_read_disconnect(const struct picket_mqtt_frame *frame, enum picket_mqtt_version version,
                                 struct picket_mqtt_disconnect *out, struct picket_mqtt_fault *fault);
/* PINGREQ and PINGRESP have no body. */
bool picket_mqtt_read_ping(const struct picket_mqtt_frame *frame, struct picket_mqtt_fault *fault);

/* One filter after the other; `*rest` starts as `filters` of a packet that was read. `with_options` for SUBSCRIBE:
 * `*options` then is its byte (QoS in the two lowest bits). False: there are no more. */
bool picket_mqtt_filter_next(struct picket_span *rest, bool with_options, struct picket_span *filter, uint8_t *options);

/* '#' and '+' only where they may stand, and not empty. */
bool picket_mqtt_filter_valid(struct picket_span filter);

/* Writes packets one behind the other into the caller's buffer, and remembers its first failure (the buffer is full):
 * write freely, then ask picket_mqtt_written() once. */
struct picket_mqtt_writer {
    char *out;
    size_t size, count;
    bool failed;
    enum picket_mqtt_version version;
};

struct picket_mqtt_pair {
    struct picket_span name, value;
};

void picket_mqtt_write_init(struct picket_mqtt_writer *writer, char *out, size_t size, enum picket_mqtt_version version);
size_t picket_mqtt_written(const struct picket_mqtt_writer *writer); /* 0 when anything failed */

struct picket_mqtt_connack_options { /* MQTT 5 only; 0 leaves a property out */
    uint16_t receive_maximum, server_keep_alive;
    uint32_t packet_maximum, session_expiry;
    bool has_session_expiry, has_server_keep_alive;
    struct picket_span reason_string;
};
/* `code` is the one of the writer's version. */
void picket_mqtt_write_connack(struct picket_mqtt_writer *writer, bool session_present, uint8_t code,
                               const struct picket_mqtt_connack_options *options);
void picket_mqtt_write_connect(struct picket_mqtt_writer *writer, const struct picket_mqtt_connect *connect);
/* Fixed header, topic, id and properties (content type and `pairs`, MQTT 5 only) of a PUBLISH; the payload too, unless
 * `payload.bytes` is NULL: then its bytes are to follow in the stream. */
void picket_mqtt_write_publish(struct picket_mqtt_writer *writer, const struct picket_mqtt_publish *publish,
                               const struct picket_mqtt_pair *pairs, size_t pair_count);
/* PUBACK. Reason string and pairs are MQTT 5's, and left out where there is nothing to say. */
void picket_mqtt_write_puback(struct picket_mqtt_writer *writer, uint16_t id, enum picket_mqtt_reason reason,
                              struct picket_span reason_string, const struct picket_mqtt_pair *pairs, size_t pair_count);
void picket_mqtt_write_subscribe(struct picket_mqtt_writer *writer, uint16_t id, struct picket_span filter, unsigned qos);
void picket_mqtt_write_suback(struct picket_mqtt_writer *writer, uint16_t id, const uint8_t *codes, size_t count);
/* 3.1.1 has no codes. */
void picket_mqtt_write_unsuback(struct picket_mqtt_writer *writer, uint16_t id, const uint8_t *codes, size_t count);
void picket_mqtt_write_ping(struct picket_mqtt_writer *writer, enum picket_mqtt_type type);
/* A server sends it in MQTT 5 only; with 3.1.1 nothing is written for a reason other than success. */
void picket_mqtt_write_disconnect(struct picket_mqtt_writer *writer, enum picket_mqtt_reason reason,
                                  struct picket_span reason_string);

#endif
