#ifndef PICKET_STORE_THREATS_H
#define PICKET_STORE_THREATS_H

#include "detect/indicators.h"
#include "runtime/db.h"

/* What the feeds of a workspace list and its warning lists do not, loaded from the database: shared by whoever holds it. */
struct threats;

/* A number that is another when any feed of the workspace was loaded anew, switched or changed; 0: it has none. As db_query(). */
MUST_CHECK enum status threats_state(struct db *db, int workspace, uint32_t timeout_ms, int64_t *state, struct problem *why);
/* `*out` is held once, by the caller. */
MUST_CHECK enum status threats_load(struct db *db, int workspace, uint32_t timeout_ms, struct threats **out, struct problem *why);
/* Those of a feed's newest generation that the one before did not have, with the warning lists: for a search of the past. */
MUST_CHECK enum status threats_load_new(struct db *db, int workspace, const char *feed, uint32_t timeout_ms, struct threats **out, struct problem *why);

struct threats *threats_hold(struct threats *threats); /* once more; any thread */
void threats_drop(struct threats *take_threats);       /* NULL is fine */

const struct indicators *threats_indicators(const struct threats *threats);
int64_t threats_expires_us(const struct threats *threats); /* when the first of them is over; INT64_MAX: none ever */
/* Whether it was loaded from that state, and none of it is over since. */
bool threats_fresh(const struct threats *threats, int64_t state, int64_t now_us);

#endif
