#ifndef PICKET_STORE_COLUMNS_H
#define PICKET_STORE_COLUMNS_H

#include "runtime/buf.h"
#include "runtime/db.h"

/* Rows for one statement as one array parameter per column, to be taken apart by unnest(): a batch costs one round trip
 * whatever its size. Append to every column once per row. */
#define COLUMNS_MAX 20
#define COLUMN_BYTES_MAX ((size_t)256 * 1024 * 1024) /* a batch's text with every byte escaped stays far below */

struct columns {
    struct buf arrays[COLUMNS_MAX];
    const char *parameters[COLUMNS_MAX];
    size_t count;
};

void columns_open(struct columns *columns, size_t count);
void columns_text(struct columns *columns, size_t column, struct text value); /* TEXT_NONE: NULL */
void columns_i64(struct columns *columns, size_t column, int64_t value);
void columns_time(struct columns *columns, size_t column, int64_t utc_us); /* 0: NULL */
void columns_key(struct columns *columns, size_t column, const uint8_t key[16]); /* a uuid */

void columns_done(struct columns *columns); /* frees the arrays of a statement that is not run */

/* Runs `sql` with the arrays as $1… and frees them, also on failure. Statuses as db_query(). */
MUST_CHECK enum status columns_query(struct columns *columns, struct db *db, const char *sql, uint32_t timeout_ms,
                                     struct db_rows **out, struct problem *why);

#endif
