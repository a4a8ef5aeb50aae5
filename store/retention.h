#ifndef PICKET_STORE_RETENTION_H
#define PICKET_STORE_RETENTION_H

#include "runtime/db.h"

/* Partitions: made before a row needs one, dropped whole when their time is over. */
#define RETENTION_DAYS_KNOWN_MAX 64 /* a batch seldom spans two days; replays may */

/* Days whose partitions this thread has made or found. Zero-initialise. */
struct retention_days {
    int64_t days[RETENTION_DAYS_KNOWN_MAX];
    size_t count;
    int64_t learnt_at_ms; /* forgotten after a while, since retention drops old ones elsewhere */
};
void retention_forget(struct retention_days *known);

/* Makes the partitions for a receipt time unless they are known to exist. Statuses as db_query(). */
MUST_CHECK enum status retention_ensure(struct retention_days *known, struct db *db, int64_t received_at_us,
                                        uint32_t timeout_ms, struct problem *why);

/* Makes them from yesterday to `ahead_days` from now. */
MUST_CHECK enum status retention_make_ahead(struct db *db, int64_t ahead_days, uint32_t timeout_ms, struct problem *why);

/* Drops what is wholly older than the days given; says in the log which. */
MUST_CHECK enum status retention_drop(struct db *db, int64_t event_days, int64_t message_days, uint32_t timeout_ms,
                                      struct problem *why);

#endif
