#ifndef PICKET_RUNTIME_DB_CANCEL_H
#define PICKET_RUNTIME_DB_CANCEL_H

#include <stdbool.h>

#include <libpq-fe.h>

/* What PQcancel() needs of one connection. Counted, because a request may hang longer than its connection lives. */
struct db_canceller;

struct db_canceller *db_canceller_new(PGconn *connection); /* with one reference */
void db_canceller_unref(struct db_canceller *canceller);   /* NULL is fine */

/* Asks the server to cancel what the connection runs. True when the request arrived; false when the server did not take
 * it in time, and then it may still arrive later. Blocks for a second at most. Any thread. */
bool db_canceller_send(struct db_canceller *canceller);

#endif
