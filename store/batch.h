#ifndef PICKET_STORE_BATCH_H
#define PICKET_STORE_BATCH_H

#include "runtime/bus.h"
#include "runtime/db.h"
#include "store/activity.h"
#include "store/classic.h"
#include "store/judge.h"

/* Records that are written in one transaction, decoded: the write path that workers and replay share. */
struct batch_dead {
    const struct bus_record *record;
    int workspace;
    struct text device, module;
    int64_t received_at_us;
    const char *reason;
};

struct batch {
    struct device_message *messages;
    const struct json_node **refused; /* of door messages, by message; NULL elsewhere */
    size_t message_count;
    struct activity_note *notes; /* what does not come from a message's own counts */
    size_t note_count;
    struct batch_dead *dead;
    size_t dead_count;
    /* What batch_write() did: */
    int64_t events, duplicates;
};

/* Where the records come from, and what decoding needs. */
struct batch_source {
    struct text cluster, topic;
    int bus_topic_id;
    struct classic_decoder *decoder;
    struct arena *arena; /* everything of the batch lives here */
    struct judge *judge; /* NULL: nothing is judged */
    size_t memory_max;   /* of the arena: what a batch is cut at; 0: never */
};

/* Reads records from the first on and returns how many: at least one, and all that `memory_max` lets in, since a body that
 * was made for it takes hundreds of times its size once it is decoded. Never fails: what cannot be decoded is a dead letter
 * of the batch. The records must stay until the batch is written. */
size_t batch_read(const struct batch_source *source, const struct bus_record *records, size_t count, struct batch *out);
/* One record as a dead letter, whatever it holds. */
void batch_read_dead(const struct batch_source *source, const struct bus_record *record, const char *reason,
                     struct batch *out);

/* Everything but the fence, inside the caller's transaction: messages, events, what detection finds in them, activity,
 * ledger, dead letters.
 * STATUS_REJECT: PostgreSQL refuses something in it. Otherwise as db_query(). */
MUST_CHECK enum status batch_write(struct db *db, const struct batch_source *source, struct batch *batch,
                                   uint32_t timeout_ms, struct problem *why);

#endif
