#ifndef PICKET_RUNTIME_DB_H
#define PICKET_RUNTIME_DB_H

#include "runtime/arena.h"
#include "runtime/status.h"

/* One PostgreSQL connection: statements, COPY, transactions, each with a deadline. One thread at a time.
 *
 * Statements go out unnamed and session state is only ever SET LOCAL, so a pooler in transaction mode
 * works. A connection that was lost is opened again by the next call outside a transaction; inside one the
 * rest of it fails with STATUS_RETRY. Every socket wait is bounded, so a silent server costs a deadline
 * and not a thread. */
struct db;
struct db_rows;

/* `conninfo` is a libpq connection string or URI; when it names no user and `user` is not NULL, `user` is
 * added. Nothing is connected yet: the first statement connects. Never fails but for a malformed `conninfo`
 * (STATUS_REJECT). `application` shows in pg_stat_activity. */
MUST_CHECK enum status db_open(const char *conninfo, const char *user, const char *application, struct db **out,
                               struct problem *why);
void db_close(struct db *take_db);

/* Parameters are text, NULL for SQL NULL; `$1::type` in the statement says what they are. STATUS_OK: `*out` (may
 * be NULL when rows are of no interest) is the caller's to db_rows_free().
 * STATUS_RETRY: away, shutting down, deadlock, serialisation, lock or statement timeout, out of resources.
 * STATUS_REJECT: the data is at fault (SQLSTATE classes 22, 23; P0001 raised by our functions).
 * STATUS_FAULT: anything else (our statement is wrong, rights are missing). */
MUST_CHECK enum status db_query(struct db *db, const char *sql, const char *const *parameters, size_t count,
                                uint32_t timeout_ms, struct db_rows **out, struct problem *why);

/* As db_query(), but hands over one row after another while the server makes them, so that any number fits in memory.
 * `each` may end the statement by a status other than STATUS_OK, which is then returned with its `why`; the server is told
 * to stop. `row` has exactly one row, borrowed for the call. */
typedef enum status db_row_sink(void *context, const struct db_rows *row, struct problem *why);
MUST_CHECK enum status db_each(struct db *db, const char *sql, const char *const *parameters, size_t count,
                               uint32_t timeout_ms, db_row_sink *each, void *context, struct problem *why);

/* Many statements in one text, without parameters: migrations. Statuses as db_query(). Without BEGIN inside it is one
 * transaction, as the simple protocol has it. */
MUST_CHECK enum status db_script(struct db *db, const char *sql, uint32_t timeout_ms, struct problem *why);

size_t db_rows_count(const struct db_rows *rows);
bool db_is_null(const struct db_rows *rows, size_t row, int column);
struct text db_text(const struct db_rows *rows, size_t row, int column); /* TEXT_NONE for NULL; also terminated */
int64_t db_i64(const struct db_rows *rows, size_t row, int column);      /* 0 for NULL */
bool db_bool(const struct db_rows *rows, size_t row, int column);
/* Decodes the hex text form of bytea into `arena`. */
struct text db_bytea(const struct db_rows *rows, size_t row, int column, struct arena *arena);
void db_rows_free(struct db_rows *take_rows);

/* BEGIN, COMMIT, ROLLBACK. A failed commit whose outcome is unknown is STATUS_RETRY: the fence tells later. */
MUST_CHECK enum status db_begin(struct db *db, uint32_t timeout_ms, struct problem *why);
MUST_CHECK enum status db_commit(struct db *db, uint32_t timeout_ms, struct problem *why);
void db_rollback(struct db *db); /* also fine when nothing is open or the connection is gone */

/* COPY … FROM STDIN, text format. Statuses as db_query(); after a failure the transaction must be rolled back. */
MUST_CHECK enum status db_copy_begin(struct db *db, const char *sql, uint32_t timeout_ms, struct problem *why);
MUST_CHECK enum status db_copy_put(struct db *db, struct text bytes, struct problem *why);
MUST_CHECK enum status db_copy_end(struct db *db, uint32_t timeout_ms, struct problem *why);

/* Five characters of the last failure, "" when the connection itself failed. */
const char *db_sqlstate(const struct db *db);

/* LISTEN on a connection kept for that; then waits until a notification came (true) or time is up. Reconnects and
 * listens again by itself, and returns true after a reconnect, since something may have been missed. */
bool db_listen_wait(struct db *db, const char *channel, uint32_t timeout_ms);
/* Asks the server to cancel what `db` runs now. Another thread than the connection's. */
void db_cancel(struct db *db);
/* Wakes db_listen_wait() or a db_query() of another thread for good: the program stops. */
void db_interrupt(struct db *db);

/* `{"a","b"}` array literals: elements quoted, NULL for TEXT_NONE. Open with '{' yourself: these append one element. */
struct buf;
void db_array_open(struct buf *out);
void db_array_text(struct buf *out, struct text element);
void db_array_i64(struct buf *out, int64_t element);
void db_array_close(struct buf *out);
/* One field of COPY text format, escaped; TEXT_NONE becomes \N. The caller writes tabs and newlines. */
void db_copy_text(struct buf *out, struct text field);

#endif
