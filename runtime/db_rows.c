#include "runtime/db_rows.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/buf.h"

struct db_rows {
    PGresult *result;
};

static void array_next(struct buf *out);

struct db_rows *db_rows_new(PGresult *take_result)
{
    struct db_rows *rows = malloc(sizeof *rows);

    if (!rows)
        abort();
    rows->result = take_result;
    return rows;
}

void db_rows_free(struct db_rows *take_rows)
{
    if (!take_rows)
        return;
    PQclear(take_rows->result);
    free(take_rows);
}

size_t db_rows_count(const struct db_rows *rows)
{
    return (size_t)PQntuples(rows->result);
}

bool db_is_null(const struct db_rows *rows, size_t row, int column)
{
    assert(row < db_rows_count(rows) && column >= 0 && column < PQnfields(rows->result));

    return PQgetisnull(rows->result, (int)row, column);
}

struct text db_text(const struct db_rows *rows, size_t row, int column)
{
    if (db_is_null(rows, row, column))
        return TEXT_NONE;
    return (struct text){PQgetvalue(rows->result, (int)row, column),
                         (size_t)PQgetlength(rows->result, (int)row, column)};
}

int64_t db_i64(const struct db_rows *rows, size_t row, int column)
{
    struct text value = db_text(rows, row, column);

    return value.bytes ? strtoll(value.bytes, NULL, 10) : 0;
}

bool db_bool(const struct db_rows *rows, size_t row, int column)
{
    struct text value = db_text(rows, row, column);

    return value.count && value.bytes[0] == 't';
}

struct text db_bytea(const struct db_rows *rows, size_t row, int column, struct arena *arena)
{
    struct text hex = db_text(rows, row, column);

    if (!hex.bytes)
        return TEXT_NONE;
    assert(text_starts(hex, TEXT("\\x")) && "not a bytea column, or bytea_output was changed");
    size_t count = (hex.count - 2) / 2;
    uint8_t *bytes = arena_alloc(arena, 1, count + 1);
    bool decoded = text_hex_decode((struct text){hex.bytes + 2, hex.count - 2}, bytes, count);
    assert(decoded);
    (void)decoded;
    return (struct text){(const char *)bytes, count};
}

enum status db_message(struct problem *why, enum status status, const char *message)
{
    char line[PROBLEM_TEXT_MAX];
    size_t count = 0;

    for (; message && *message && count < sizeof line - 1; message++)
        line[count++] = *message == '\n' || *message == '\t' ? ' ' : *message;
    while (count && line[count - 1] == ' ')
        count--;
    line[count] = '\0';
    return problem_set(why, status, "database: %s", count ? line : "no reason given");
}

enum status db_sqlstate_status(const char *sqlstate)
{
    static const struct {
        const char *start; /* a class, or a whole code where it differs from its class */
        enum status status;
    } table[] = {
        {"08", STATUS_RETRY},     /* connection */
        {"40", STATUS_RETRY},     /* deadlock, serialisation */
        {"53", STATUS_RETRY},     /* memory, disk, connections */
        {"57", STATUS_RETRY},     /* shutting down, cancelled */
        {"55P03", STATUS_RETRY},  /* lock timeout */
        {"55006", STATUS_RETRY},  /* object in use */
        {"25P03", STATUS_RETRY},  /* idle too long */
        {"22", STATUS_REJECT},    /* values */
        {"23", STATUS_REJECT},    /* constraints */
        {"54", STATUS_REJECT},    /* a value too large or too deep for an index or a parser: the record is at fault */
        {"P0001", STATUS_REJECT}, /* RAISE in our functions */
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(sqlstate, table[i].start, strlen(table[i].start)) == 0)
            return table[i].status;
    return STATUS_FAULT;
}

void db_notice_ignore(void *context, const char *message)
{
    (void)context;
    (void)message;
}

void db_array_open(struct buf *out)
{
    buf_byte(out, '{');
}

void db_array_text(struct buf *out, struct text element)
{
    size_t from = 0;

    array_next(out);
    if (!element.bytes) {
        buf_string(out, "NULL");
        return;
    }
    buf_byte(out, '"');
    for (size_t i = 0; i < element.count; i++) {
        if (element.bytes[i] != '"' && element.bytes[i] != '\\')
            continue;
        buf_append(out, element.bytes + from, i - from);
        buf_byte(out, '\\');
        from = i;
    }
    buf_append(out, element.bytes + from, element.count - from);
    buf_byte(out, '"');
}

void db_array_i64(struct buf *out, int64_t element)
{
    array_next(out);
    buf_i64(out, element);
}

void db_array_close(struct buf *out)
{
    buf_byte(out, '}');
}

void db_copy_text(struct buf *out, struct text field)
{
    /* The letter after the backslash; 0 where the byte stands for itself. */
    static const char letters[256] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
                                      ['\t'] = 't', ['\v'] = 'v', ['\\'] = '\\'};
    size_t from = 0;

    if (!field.bytes) {
        buf_string(out, "\\N");
        return;
    }
    for (size_t i = 0; i < field.count; i++) {
        char letter = letters[(unsigned char)field.bytes[i]];
        if (!letter)
            continue;
        buf_append(out, field.bytes + from, i - from);
        buf_byte(out, '\\');
        buf_byte(out, letter);
        from = i + 1;
    }
    buf_append(out, field.bytes + from, field.count - from);
}

/* An element never ends with '{' (text is quoted), so the last byte tells whether it is the first. */
static void array_next(struct buf *out)
{
    if (out->count && out->bytes[out->count - 1] != '{')
        buf_byte(out, ',');
}
