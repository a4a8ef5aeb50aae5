#ifndef PICKET_INGEST_ROSTER_LOADER_H
#define PICKET_INGEST_ROSTER_LOADER_H

#include "ingest/roster.h"
#include "runtime/secret.h"

/* Keeps a roster, its authorities included, as the database has it: reads everything once, then what changed, woken by
 * LISTEN picket_roster and once a second anyway. While the database is away the roster stays as it was, and the loader tries again. */
struct roster_loader;

#define ROSTER_SCHEMA_NEEDED 9 /* the number of the migration that this build reads */

/* Starts the thread; the first reading is its work too, so this never waits for the database. `roster` is borrowed
 * until roster_loader_close(). STATUS_REJECT: `conninfo` is malformed. Tells readiness as the part "ingest.roster". */
MUST_CHECK enum status roster_loader_open(const char *conninfo, const struct secret_master *master,
                                          struct roster *roster, struct roster_loader **out, struct problem *why);
void roster_loader_close(struct roster_loader *take_loader);

#endif
