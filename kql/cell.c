#include "kql/cell.h"

static int64_t ticks_of(struct text text)
{
    int64_t ticks = 0;

    (void)text_to_i64(text, &ticks); /* a bigint that PostgreSQL printed */
    return ticks;
}

static void write_time(struct buf *out, enum kql_type type, struct text text)
{
    char time[KQL_TIME_SIZE];

    if (type == TYPE_DATETIME)
        kql_datetime_write(ticks_of(text), time);
    else
        kql_timespan_write(ticks_of(text), time);
    buf_json_string(out, text_of(time));
}

void kql_cell_write(struct buf *out, enum kql_type type, struct text text, enum cell_form form)
{
    if (!text.bytes) {
        buf_string(out, "null");
        return;
    }
    switch (type) {
    case TYPE_BOOL:
        buf_string(out, *text.bytes == 't' ? "true" : "false");
        break;
    case TYPE_INT:
    case TYPE_LONG:
        buf_text(out, text);
        break;
    case TYPE_REAL:
        if (text_equal(text, TEXT("NaN")) || text_ends(text, TEXT("Infinity")))
            buf_json_string(out, text);
        else
            buf_text(out, text);
        break;
    case TYPE_DECIMAL:
        if (form == CELL_PLAIN)
            buf_text(out, text);
        else
            buf_json_string(out, text);
        break;
    case TYPE_DATETIME:
    case TYPE_TIMESPAN:
        write_time(out, type, text);
        break;
    case TYPE_STRING:
    case TYPE_GUID:
        buf_json_string(out, text);
        break;
    case TYPE_DYNAMIC:
        if (form == CELL_LOG_ANALYTICS)
            buf_json_string(out, text);
        else
            buf_text(out, text);
    }
}
