#ifndef PICKET_STORE_COPY_H
#define PICKET_STORE_COPY_H

#include "runtime/db.h"
#include "store/classic.h"

/* COPY of the fresh messages' rows into the day partitions of picket.raw_event, inside the caller's transaction. `*events`
 * becomes how many; STATUS_RETRY when a partition is missing. The text goes out in pieces, so memory does not grow with the batch. Statuses as db_query(): STATUS_REJECT when
 * PostgreSQL refuses a value. */
MUST_CHECK enum status copy_events(struct db *db, const struct device_message *messages, size_t count, int bus_topic_id,
                                   uint32_t timeout_ms, int64_t *events, struct problem *why);

/* A row's event id: BLAKE2b-128 of the message key and the row's number in the message, 32 bits little endian. */
void copy_event_id(const uint8_t message_key[SECRET_DIGEST_BYTES], uint32_t row, uint8_t out[SECRET_DIGEST_BYTES]);

/* One line of COPY text, newline included. For benches and tests; copy_events() uses it. `scratch` is room to reuse. */
void copy_event_line(const struct device_message *message, uint32_t row, int bus_topic_id, struct buf *scratch,
                     struct buf *out);

#endif
