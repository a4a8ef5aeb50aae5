#include "query/reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "runtime/clock.h"

#define MEMORY_BYTES ((size_t)1024 * 1024) /* of an answer; the rest of it waits in a file */

static void member_begin(struct reply *reply, const char *name);

void reply_code(struct reply *reply, unsigned code)
{
    http_code(reply->exchange, code);
}

enum status reply_flush(struct reply *reply, struct problem *why)
{
    return http_reply_spill(reply->exchange, MEMORY_BYTES, why);
}

void reply_open_object(struct reply *reply, const char *name)
{
    member_begin(reply, name);
    buf_byte(reply->body, '{');
}

void reply_close_object(struct reply *reply)
{
    buf_byte(reply->body, '}');
}

void reply_open_array(struct reply *reply, const char *name)
{
    member_begin(reply, name);
    buf_byte(reply->body, '[');
}

void reply_close_array(struct reply *reply)
{
    buf_byte(reply->body, ']');
}

void reply_text(struct reply *reply, const char *name, struct text value)
{
    member_begin(reply, name);
    if (value.bytes)
        buf_json_string(reply->body, value);
    else
        buf_string(reply->body, "null");
}

void reply_string(struct reply *reply, const char *name, const char *value)
{
    reply_text(reply, name, text_of(value));
}

void reply_number(struct reply *reply, const char *name, int64_t value)
{
    member_begin(reply, name);
    buf_i64(reply->body, value);
}

void reply_flag(struct reply *reply, const char *name, bool value)
{
    member_begin(reply, name);
    buf_string(reply->body, value ? "true" : "false");
}

void reply_null(struct reply *reply, const char *name)
{
    reply_text(reply, name, TEXT_NONE);
}

void reply_raw(struct reply *reply, const char *name, struct text json)
{
    member_begin(reply, name);
    buf_text(reply->body, json.bytes ? json : TEXT("null"));
}

void reply_identity(struct reply *reply, const char *name, struct text device, struct text module)
{
    struct arena *arena = http_arena(reply->exchange);

    if (module.count)
        device = text_of(arena_format(arena, "%.*s/%.*s", TEXT_ARGS(device), TEXT_ARGS(module)));
    reply_text(reply, name, device);
}

void reply_column_text(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column)
{
    reply_text(reply, name, db_text(rows, row, column));
}

void reply_column_number(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column)
{
    if (db_is_null(rows, row, column))
        reply_null(reply, name);
    else
        reply_number(reply, name, db_i64(rows, row, column));
}

void reply_column_time(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column)
{
    char text[CLOCK_TEXT_SIZE];

    if (db_is_null(rows, row, column)) {
        reply_null(reply, name);
        return;
    }
    clock_format(db_i64(rows, row, column), text);
    reply_string(reply, name, text);
}

void reply_column_raw(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column)
{
    reply_raw(reply, name, db_text(rows, row, column));
}

void reply_tries(struct reply *reply, int64_t workspace, const char *action, const char *target)
{
    reply->tried_workspace = workspace;
    reply->tried_action = action;
    reply->tried_target = target;
}

enum status reply_refuse(struct reply *reply, struct problem *why, unsigned code, const char *name, const char *format,
                         ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    reply->refused_code = code;
    reply->refused_name = name;
    return STATUS_REJECT;
}

/* A member follows another one unless something was just opened: the last byte tells, since every value ends in a quote,
 * a digit, a letter or a closing bracket, and a name whose value is written by other hands in a colon. */
static void member_begin(struct reply *reply, const char *name)
{
    const struct buf *body = reply->body;
    char last = body->count ? body->bytes[body->count - 1] : '[';

    assert(!name || body->count);
    if (body->count && last != '{' && last != '[' && last != ':')
        buf_byte(reply->body, ',');
    if (!name)
        return;
    buf_json_string(reply->body, text_of(name));
    buf_byte(reply->body, ':');
}
