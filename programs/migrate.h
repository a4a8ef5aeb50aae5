#ifndef PICKET_PROGRAMS_MIGRATE_H
#define PICKET_PROGRAMS_MIGRATE_H

#include "runtime/status.h"
#include "runtime/text.h"

/* Brings a database to the shape that this build expects: the numbered files of <share>/migrations, in order, each in a
 * transaction of its own that also writes its row into picket.migration. An advisory lock in that transaction lets
 * several of these run at once, as when a compose file starts two. */

#define MIGRATE_NEWEST (-1)

enum migrate_mode { MIGRATE_APPLY, MIGRATE_DRY_RUN };
enum migrate_step { MIGRATE_STEP_UP, MIGRATE_STEP_DOWN };

struct migrate_wishes {
    const char *conninfo; /* as a superuser, or a role that may create roles */
    int64_t to;           /* the last number to apply; lower than what is there runs the down scripts */
    enum migrate_mode mode;
    /* Called after each file that was applied or undone (or, on a dry run, would be). */
    void (*step)(void *context, enum migrate_step step, int64_t number, const char *name);
    void *context;
};

/* STATUS_REJECT: a file that was applied has been edited since, or the data stands against one. STATUS_RETRY: the
 * database is away. STATUS_FAULT: files are missing, or rights. What was applied before stays applied. */
MUST_CHECK enum status migrate(const struct migrate_wishes *wishes, struct problem *why);

/* Sets the password of each role whose PICKET_<ROLE>_PASSWORD (INGEST, STORE, QUERY, ADMIN) is in the environment. They
 * leave this process only as SCRAM verifiers. `*set` counts them. */
MUST_CHECK enum status migrate_passwords(const char *conninfo, size_t *set, struct problem *why);

#endif
