#ifndef PICKET_INGEST_COMMANDS_H
#define PICKET_INGEST_COMMANDS_H

#include "ingest/identity.h"
#include "runtime/db.h"

/* What operators send to devices: queued messages (cloud to device) and calls of direct methods. Both are rows; each
 * call below is a transaction of picket_ingest's, on any thread that has a database connection, and safe to race with
 * other replicas: a message or a call is given to one of them. */

#define CLOUD_LOCK_S 60       /* a message that was handed out and not settled comes again after that: IoT Hub's */
#define CLOUD_DELIVERIES_MAX 10 /* after which it is dead */

struct cloud_message {
    int64_t number;
    struct text lock; /* token of this hand-out: the ETag of HTTPS */
    struct text body;
    struct text message_id, correlation_id, user_id, content_type, content_encoding; /* or TEXT_NONE */
    struct text properties;   /* JSON object of strings: the application's, or TEXT_NONE */
    int64_t enqueued_at_us, expires_at_us;
    unsigned delivery_count;
};

/* Hands out the oldest waiting messages of a device, at most `most`, locked for CLOUD_LOCK_S. `*out` lies in `arena`. */
MUST_CHECK enum status cloud_messages_take(struct db *db, const struct identity *identity, unsigned most,
                                           uint32_t timeout_ms, struct arena *arena, struct cloud_message **out,
                                           size_t *count, struct problem *why);

enum cloud_outcome { CLOUD_COMPLETED, CLOUD_REJECTED, CLOUD_ABANDONED };

/* Settles one that was handed out over `transport`, "https" or "mqtt". STATUS_REJECT: the lock is unknown or was lost: somebody else has the message. */
MUST_CHECK enum status cloud_message_settle(struct db *db, const struct identity *identity, struct text lock,
                                            enum cloud_outcome outcome, const char *transport, uint32_t timeout_ms, struct problem *why);

/* A device's answer to a call that deliveries.h brought. STATUS_REJECT: nobody waits for it any more, or the payload is
 * no JSON; the device is told nothing in either case. */
MUST_CHECK enum status method_answer(struct db *db, const struct identity *identity, int64_t call, int64_t code,
                                     struct text payload, uint32_t timeout_ms, struct problem *why);

#endif
