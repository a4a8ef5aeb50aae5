#ifndef PICKET_STORE_CORRELATIONS_H
#define PICKET_STORE_CORRELATIONS_H

#include "detect/finding.h"
#include "store/columns.h"
#include "store/device_message.h"
#include "store/ruleset.h"

/* Sigma correlations over all devices of a workspace. What counts towards them is written with the events, in the batch's transaction:
 * picket.correlation_hit. One store at a time judges it, group by group, in the order of the events' own time, so that the order in which
 * partitions were stored makes no difference to which groups raise an alert. */
struct correlation_hits {
    size_t count;
    struct columns columns;
};

/* Gathers one hit of a batch; those beyond what a batch may have are counted and left out. */
void correlations_note(struct correlation_hits *hits, const struct device_message *message, const struct finding_hit *hit);
/* Writes what was gathered and frees it, also on failure. Statuses as db_query(). */
MUST_CHECK enum status correlations_write(struct correlation_hits *hits, struct db *db, uint32_t timeout_ms, struct problem *why);
void correlations_done(struct correlation_hits *hits);

/* Judges what waits by the rules in force, in a transaction of its own: alerts of the workspace, with the events that made them. Where another
 * store is at it, nothing is done. Housekeeping only. */
MUST_CHECK enum status correlations_judge(struct ruleset *ruleset, struct db *db, uint32_t timeout_ms, struct problem *why);

#endif
