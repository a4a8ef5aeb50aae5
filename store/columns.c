#include "store/columns.h"

#include <assert.h>

#include "runtime/clock.h"

void columns_open(struct columns *columns, size_t count)
{
    assert(count <= COLUMNS_MAX);
    columns->count = count;
    for (size_t i = 0; i < count; i++) {
        buf_init(&columns->arrays[i], COLUMN_BYTES_MAX);
        db_array_open(&columns->arrays[i]);
    }
}

void columns_text(struct columns *columns, size_t column, struct text value)
{
    db_array_text(&columns->arrays[column], value);
}

void columns_i64(struct columns *columns, size_t column, int64_t value)
{
    db_array_i64(&columns->arrays[column], value);
}

void columns_time(struct columns *columns, size_t column, int64_t utc_us)
{
    char text[CLOCK_TEXT_SIZE];

    if (utc_us)
        clock_format(utc_us, text);
    db_array_text(&columns->arrays[column], utc_us ? text_of(text) : TEXT_NONE);
}

void columns_key(struct columns *columns, size_t column, const uint8_t key[16])
{
    char text[33];

    text_hex_encode(key, 16, text);
    db_array_text(&columns->arrays[column], text_of(text));
}

enum status columns_query(struct columns *columns, struct db *db, const char *sql, uint32_t timeout_ms,
                          struct db_rows **out, struct problem *why)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < columns->count; i++) {
        db_array_close(&columns->arrays[i]);
        columns->parameters[i] = columns->arrays[i].bytes;
        if (buf_failed(&columns->arrays[i]))
            status = problem_set(why, STATUS_REJECT, "a column of the batch is longer than %zu bytes", COLUMN_BYTES_MAX);
    }
    if (!status)
        status = db_query(db, sql, columns->parameters, columns->count, timeout_ms, out, why);
    columns_done(columns);
    return status;
}

void columns_done(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        buf_done(&columns->arrays[i]);
}
