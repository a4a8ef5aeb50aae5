#ifndef PICKET_STORE_DEAD_LETTER_H
#define PICKET_STORE_DEAD_LETTER_H

#include "runtime/bus.h"
#include "runtime/db.h"

/* Records that can never be stored, kept whole and with the reason, so that an operator can read and replay them. */
struct dead_letter {
    const struct bus_record *record;
    int workspace; /* the default one, 1, when the record does not say */
    struct text device, module;
    int64_t received_at_us;
    const char *reason;
};

/* Inside the caller's transaction. Statuses as db_query(). */
MUST_CHECK enum status dead_letter_write(struct db *db, const struct dead_letter *letter, int bus_topic_id,
                                         uint32_t timeout_ms, struct problem *why);

/* One letter that an operator wants replayed, locked until the transaction ends. */
struct dead_letter_replay {
    int64_t id;
    int workspace;
    int bus_topic_id;
    struct text cluster, topic;
    struct bus_record record; /* as it was on the bus, its place included; lives in the arena */
};

/* `*found` says whether there was one. Letters that another process has at hand are passed over. STATUS_REJECT: the
 * letter's headers cannot be read back. Otherwise as db_query(). */
MUST_CHECK enum status dead_letter_take(struct db *db, struct arena *arena, uint32_t timeout_ms,
                                        struct dead_letter_replay *out, bool *found, struct problem *why);

/* `reason` NULL: it is stored now, the letter becomes `replayed`. Otherwise it is dead again, for this reason. */
MUST_CHECK enum status dead_letter_settle(struct db *db, const struct dead_letter_replay *letter, const char *reason,
                                          uint32_t timeout_ms, struct problem *why);

#endif
