#ifndef PICKET_RUNTIME_DB_ROWS_H
#define PICKET_RUNTIME_DB_ROWS_H

#include <libpq-fe.h>

#include "runtime/db.h"

/* Between db.c and db_rows.c: what results and messages of libpq mean. */

/* Never NULL; owns `take_result`. */
struct db_rows *db_rows_new(PGresult *take_result);

/* Writes libpq's own message, which has line ends, as one sentence, and returns `status`. */
enum status db_message(struct problem *why, enum status status, const char *message);

/* What a failure with this code means to the caller of db_query(). */
enum status db_sqlstate_status(const char *sqlstate);

/* libpq would print NOTICEs on stderr, among our log lines. */
void db_notice_ignore(void *context, const char *message);

#endif
