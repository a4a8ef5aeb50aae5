#ifndef PICKET_STORE_REPLAY_H
#define PICKET_STORE_REPLAY_H

#include "runtime/arena.h"
#include "runtime/db.h"
#include "store/classic.h"
#include "store/judge.h"
#include "store/retention.h"

/* What storing a dead letter anew needs; housekeeping's thread. */
struct replay {
    struct db *db;
    struct classic_decoder *decoder;
    struct judge *judge; /* NULL: what is stored is not judged */
    struct retention_days days;
    struct arena arena;
};

/* Stores one letter that an operator wants replayed, exactly as its record would have been, or says anew why that cannot
 * be. `*found` is false when none waits. Statuses as db_query(), but never STATUS_REJECT. */
MUST_CHECK enum status replay_next(struct replay *replay, uint32_t timeout_ms, bool *found, struct problem *why);

#endif
