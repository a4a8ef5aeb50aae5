#ifndef PICKET_RUNTIME_DB_SCHEMA_H
#define PICKET_RUNTIME_DB_SCHEMA_H

#include "runtime/db.h"

/* STATUS_OK once the database is at migration `needed` or later, as `picket migrate` counts them. STATUS_RETRY when it is
 * older, or has no Picket in it: migrations may still come. Otherwise as db_query(). */
MUST_CHECK enum status db_schema_check(struct db *db, int needed, uint32_t timeout_ms, struct problem *why);

#endif
