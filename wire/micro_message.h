#ifndef PICKET_WIRE_MICRO_MESSAGE_H
#define PICKET_WIRE_MICRO_MESSAGE_H

#include "wire/flatbuffer.h"

/* The body of the micro agent and of the security module for Azure RTOS: FlatBuffers of schema 2.0 to 2.3, namespace
 * AzureIoTSecurity, root table Message. What slots and payload types there are beyond those is passed over. C99, no heap. */

#define PICKET_MICRO_INDICATOR "mti"
/* "2.3-1-0-0": schema, encoding, source and type of message; application property `mti`. */
struct picket_micro_indicator {
    unsigned major, minor, encoding, source, type;
};
enum { PICKET_MICRO_JSON = 0, PICKET_MICRO_FLATBUFFERS = 1 };
enum { PICKET_MICRO_RTOS = 0, PICKET_MICRO_LINUX = 1 };
/* False: it is none such. */
bool picket_micro_indicator_read(struct picket_span text, struct picket_micro_indicator *out);
/* Whether it announces what the functions below can read. */
bool picket_micro_readable(const struct picket_micro_indicator *indicator);

enum picket_micro_payload {
    PICKET_MICRO_NETWORK_ACTIVITY = 1,
    PICKET_MICRO_SYSTEM_INFORMATION,
    PICKET_MICRO_LISTENING_PORTS,
    PICKET_MICRO_HEARTBEAT,
    PICKET_MICRO_BASELINE,
    PICKET_MICRO_PROCESS,
    PICKET_MICRO_LOG,
};

struct picket_micro_message {
    struct picket_span module_id;
    uint32_t module_version; /* major << 24 | minor << 16 | patch */
    struct picket_flatbuffer_vector events;
};

struct picket_micro_event {
    uint8_t id[16];
    uint32_t time_s, collection_interval_s;
    unsigned payload_type; /* enum picket_micro_payload, or one that is not known */
    struct picket_flatbuffer_table payload;
};

/* One element of a payload; which fields hold something depends on its type. Absent strings have bytes NULL. */
struct picket_micro_item {
    const uint8_t *local_address, *remote_address; /* of address_bytes; NULL: none */
    unsigned address_bytes;
    uint32_t local_port, remote_port, bytes_in, bytes_out;
    unsigned protocol;             /* 0 TCP, 1 UDP, 2 ICMP */
    uint32_t process_id, parent_process_id, user_id, hit_count, line;
    unsigned kind;                 /* Process: 0 FORK, 1 EXEC, 2 EXIT; BaselineCheck's result; Record's level */
    unsigned severity;
    uint64_t timestamp;
    struct picket_span executable, commandline, user_name;
    struct picket_span id, error, description, remediation; /* of a baseline check */
    struct picket_span os, kernel, hardware;
    struct picket_span message, filename;
};

/* Verifies a whole body; `marks` as picket_flatbuffer_init() has it. NULL when all is well, else a sentence and where.
 * `*event_count` is how many events there are. */
const char *picket_micro_check(const char *bytes, size_t count, uint8_t *marks, size_t *event_count, size_t *error_at);

/* Reading, of a body that was checked; failures show in the buffer. */
void picket_micro_read(struct picket_flatbuffer *buffer, struct picket_micro_message *out);
bool picket_micro_event(struct picket_flatbuffer *buffer, const struct picket_micro_message *message, uint32_t index,
                        struct picket_micro_event *out);
/* The items of an event one after the other; `*cursor` starts as 0. False: there are no more, or the type is unknown. */
bool picket_micro_item(struct picket_flatbuffer *buffer, const struct picket_micro_event *event, uint32_t *cursor,
                       struct picket_micro_item *out);

#endif
