#ifndef PICKET_STORE_ACTIVITY_H
#define PICKET_STORE_ACTIVITY_H

#include "runtime/db.h"
#include "store/json_tree.h"

/* What store has seen of each identity, added up. One note per record; a batch's notes become one statement. */
struct activity_note {
    int workspace;
    struct text device, module;
    int64_t received_at_us;
    int64_t messages, resends, events, departures, dead;
    struct text agent_version;       /* TEXT_NONE: not told */
    const struct json_node *refused; /* {"400":n,"429":n}, or NULL */
};

#define ACTIVITY_REASONS_MAX 24 /* kinds of refusal told apart per identity and batch; more are summed as "other" */

/* Inside the caller's transaction. `notes` is sorted in place. Statuses as db_query(). */
MUST_CHECK enum status activity_write(struct db *db, struct activity_note *notes, size_t count, uint32_t timeout_ms,
                                      struct problem *why);

#endif
