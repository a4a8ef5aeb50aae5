#ifndef PICKET_STORE_JUDGE_H
#define PICKET_STORE_JUDGE_H

#include "runtime/db.h"
#include "store/device_message.h"
#include "store/ruleset.h"

/* Judges what a batch brings, in its transaction: what devices are remembered by is read, the rules are asked of each event in the
 * order of the bus, and what they found and learnt is written. So alerts stand and fall with the events: a batch that is stored again
 * after a crash finds the memory as it was before it, and raises the same alerts.
 *
 * Detection never holds back storage: what it could not write is rolled back by itself, counted and logged, and the batch goes on. */
struct judge;

/* The rules are borrowed. One thread. */
struct judge *judge_new(struct ruleset *ruleset);
void judge_free(struct judge *take_judge); /* NULL is fine */

/* Judges the fresh messages by the rules in force; none are before they were read once. STATUS_RETRY and STATUS_FAULT as db_query(); never STATUS_REJECT. */
MUST_CHECK enum status judge_messages(struct judge *judge, struct db *db, const struct device_message *messages, size_t count, struct arena *arena, uint32_t timeout_ms,
                                      struct problem *why);
/* The transaction of the last messages was committed. */
void judge_committed(struct judge *judge);

#endif
