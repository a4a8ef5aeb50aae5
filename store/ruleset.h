#ifndef PICKET_STORE_RULESET_H
#define PICKET_STORE_RULESET_H

#include "detect/engine.h"
#include "runtime/db.h"

/* The rules that are in force, of every workspace, for all workers of the process. They are read from the database and swapped as a
 * whole: a batch is judged by one view of them from its beginning to its end. Any thread. */
struct ruleset;
struct ruleset_view;

struct ruleset *ruleset_new(void);
void ruleset_free(struct ruleset *take_ruleset); /* no view may be out any more; NULL is fine */

/* Reads the rules again where they were changed since, or never read. Statuses as db_query(); the view in force stays until a new one is
 * whole. A rule that cannot be read any more is left out and told in the log. */
MUST_CHECK enum status ruleset_refresh(struct ruleset *ruleset, struct db *db, uint32_t timeout_ms, struct problem *why);

/* The view in force, which the caller gives back. NULL: none was read yet. */
struct ruleset_view *ruleset_take(struct ruleset *ruleset);
void ruleset_give(struct ruleset *ruleset, struct ruleset_view *take_view);

/* The engine of a workspace; it lives as long as the view is held. */
const struct engine *ruleset_engine(const struct ruleset_view *view, int workspace);

#endif
