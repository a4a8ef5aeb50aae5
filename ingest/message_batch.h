#ifndef PICKET_INGEST_MESSAGE_BATCH_H
#define PICKET_INGEST_MESSAGE_BATCH_H

#include "ingest/intake.h"

/* IoT Hub's HTTPS batches, "application/vnd.microsoft.iothub.json": a JSON array of {"body", "base64Encoded" (true unless
 * it says false), "properties"}. Each member is a message of its own; the answer comes when all are durable.
 *
 * A member that is not what it claims to be becomes a dead letter, since the answer is one for all: refused as a whole,
 * the batch would be sent again and again. */
#define MESSAGE_BATCH_TYPE "application/vnd.microsoft.iothub.json"
#define MESSAGE_BATCH_MAX 500

bool message_batch_is(struct text content_type);

/* `like` says who sends, and has `answered` and its context, called exactly once: 204 with the receipt of the last
 * member, or the worst of the members' answers. 400, at once: it is no batch, with line and column where it is no JSON.
 * All memory is taken from `arena`, which lives until the answer. */
void message_batch_take(struct intake *intake, const struct intake_message *like, struct arena *arena);

#endif
