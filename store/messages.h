#ifndef PICKET_STORE_MESSAGES_H
#define PICKET_STORE_MESSAGES_H

#include "runtime/db.h"
#include "store/classic.h"

/* The memory of the resend window: each message once, whatever number of times its sender needed to hear so. */

/* Fills `key`: the one ingest made where the message bears an identity; otherwise a digest that takes the bus position
 * in, so that the same record read again is the same message and the same body sent twice is two. */
void messages_key(struct device_message *message, struct text cluster, struct text topic);

/* Inserts those that no live partition knows and marks them `fresh`; of two with one key in the batch the first counts.
 * Inside the caller's transaction. Statuses as db_query(). */
MUST_CHECK enum status messages_insert(struct db *db, struct device_message *messages, size_t count, int bus_topic_id,
                                       struct arena *arena, uint32_t timeout_ms, struct problem *why);

#endif
