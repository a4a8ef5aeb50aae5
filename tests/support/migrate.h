#ifndef PICKET_TESTS_SUPPORT_MIGRATE_H
#define PICKET_TESTS_SUPPORT_MIGRATE_H

#include "runtime/status.h"

/* Applies every migrations/NNNN_name.sql (not the down scripts) in the order of their names, each in one transaction, as
 * a superuser: for tests that need the schema without the operator's program. The folder is $PICKET_SHARE/migrations,
 * else ./migrations (tests run in the source root). STATUS_FAULT: no folder, no server or a script that fails. */
MUST_CHECK enum status migrate_all(const char *conninfo, struct problem *why);

#endif
