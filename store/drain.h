#ifndef PICKET_STORE_DRAIN_H
#define PICKET_STORE_DRAIN_H

#include "runtime/bus.h"
#include "store/ruleset.h"
#include "store/store.h"

#define STORE_STATEMENT_MS 30000 /* one statement of a batch; a COPY of the largest batch takes a fraction of it */

/* One worker of the role: takes a batch off the bus, writes it in one transaction, and only then says that it is done.
 *
 * A batch that PostgreSQL refuses for its content is halved until the record stands alone, which becomes a dead letter.
 * Whatever else fails is given back to the bus, and the offset is asked for again: the transaction may have been
 * committed. What is wrong with us ends the process with the partitions still marked as held, so that the next one takes
 * the records one by one: see store/fence.h. */
struct drain;

/* Opens the reader; the direct bus wants all of them before the first one runs. The settings, the bus and the rules are borrowed.
 * STATUS_REJECT: a malformed connection string. Otherwise as bus_reader_open(). */
MUST_CHECK enum status drain_open(const struct store_settings *settings, struct bus *bus, struct ruleset *ruleset,
                                  struct drain **out, struct problem *why);
MUST_CHECK enum status drain_start(struct drain *drain, struct problem *why); /* the worker's thread */
void drain_stop(struct drain *drain);   /* asks for the end after the batch at hand; returns at once */
void drain_close(struct drain *take_drain); /* waits for it; NULL is fine */

#endif
