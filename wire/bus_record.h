#ifndef PICKET_WIRE_BUS_RECORD_H
#define PICKET_WIRE_BUS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

/* The versioned record that ingest puts on the bus and store takes off: a set of named headers beside the value.
 *
 * The value of a `message` is the body as the device sent it, decompressed and otherwise unchanged. Headers are small
 * and readable with any Kafka tool; numbers are decimal text. */
#define PICKET_RECORD_VERSION 1

enum picket_record_kind {
    PICKET_RECORD_MESSAGE,
    PICKET_RECORD_DOOR, /* what the front door saw, summed; value is JSON: see docs/bus.md */
};

struct picket_record {
    enum picket_record_kind kind;
    uint32_t workspace;
    struct picket_span device, module;        /* module empty for the device itself */
    int64_t received_at_us;                   /* UTC, stamped once, by ingest */
    struct picket_span transport;             /* "https", "mqtt" */
    struct picket_span content_type;          /* as the device said; empty when it said nothing */
    struct picket_span properties;            /* JSON object text, or empty */
    struct picket_span message_id;            /* the sender's, or empty */
    struct picket_span refused;               /* why ingest would have refused it, had the sender's protocol a way to say
                                                 so: it becomes a dead letter; else empty */
    bool claims_json;                         /* the body was checked to be JSON */
    bool has_identity;                        /* the message bears a message id, event ids or a Sequence */
    uint8_t message_key[16];                  /* BLAKE2b-128; only when has_identity */
};

#define PICKET_RECORD_HEADERS_MAX 14
struct picket_record_header {
    struct picket_span name;
    struct picket_span value;
};

/* Fills `headers` and returns how many; numbers are written into `scratch`, which must live as long as they do. */
#define PICKET_RECORD_SCRATCH 96
size_t picket_record_headers(const struct picket_record *record, char scratch[PICKET_RECORD_SCRATCH],
                             struct picket_record_header headers[PICKET_RECORD_HEADERS_MAX]);

/* Reads them back; spans point into the headers. NULL when all is well, else a sentence: version or kind unknown,
 * a needed header missing or malformed. Unknown headers are ignored. */
const char *picket_record_read(const struct picket_record_header *headers, size_t count, struct picket_record *out);

/* The bus key "workspace/device" into `out`; returns its length. */
#define PICKET_RECORD_KEY_SIZE 140
size_t picket_record_key(uint32_t workspace, struct picket_span device, char out[PICKET_RECORD_KEY_SIZE]);

#endif
