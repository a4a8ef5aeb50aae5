#ifndef PICKET_STORE_OBSERVABLES_H
#define PICKET_STORE_OBSERVABLES_H

#include "detect/event.h"
#include "runtime/db.h"
#include "store/device_message.h"

/* What devices had to do with, each once a day: public addresses, names, hashes, sources of downloads. A feed that is loaded later is
 * looked for in it. One thread. */
struct observables;

struct observables *observables_new(void);
void observables_free(struct observables *take_observables); /* NULL is fine */

/* A batch: begin, note each event, write in its transaction, and say when it was committed. What was committed lately is not written
 * again. Text is borrowed until it is written. Statuses as db_query(). */
void observables_begin(struct observables *observables, struct arena *arena);
void observables_note(struct observables *observables, const struct device_message *message, const struct event *event);
bool observables_any(const struct observables *observables); /* there is something to write */
MUST_CHECK enum status observables_write(struct observables *observables, struct db *db, uint32_t timeout_ms, struct problem *why);
void observables_committed(struct observables *observables);

#endif
