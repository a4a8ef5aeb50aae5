#include "kql/diagnostic.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES_MAX 400 /* of the source that is printed */
#define MARKS_MAX 80

void kql_wrong(struct kql_diagnostic *out, const char *code, struct kql_place place, const char *format, ...)
{
    va_list arguments;

    if (out->code)
        return;
    out->code = code;
    out->place = place;
    va_start(arguments, format);
    vsnprintf(out->message, sizeof out->message, format, arguments);
    va_end(arguments);
}

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

void kql_position(struct text source, uint32_t at, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (uint32_t i = 0; i < at && i < source.count; i++) {
        if (source.bytes[i] == '\n') {
            ++*line;
            *column = 1;
        } else {
            *column += begins_character(source.bytes[i]);
        }
    }
}

void kql_diagnostic_print(const struct kql_diagnostic *diagnostic, struct text source, struct buf *out)
{
    uint32_t at = diagnostic->place.at < source.count ? diagnostic->place.at : (uint32_t)source.count, begin = at, end = at;
    unsigned line, column, marks = 0;

    kql_position(source, at, &line, &column);
    buf_format(out, "line %u, column %u: %s\n", line, column, diagnostic->message);
    while (begin && source.bytes[begin - 1] != '\n' && at - begin < LINE_BYTES_MAX / 2)
        begin--;
    while (begin < at && !begins_character(source.bytes[begin]))
        begin++;
    while (end < source.count && source.bytes[end] != '\n' && source.bytes[end] != '\r' && end - begin < LINE_BYTES_MAX)
        end++;
    while (end > at && end < source.count && !begins_character(source.bytes[end]))
        end--;
    buf_string(out, "  ");
    buf_append(out, source.bytes + begin, end - begin);
    buf_string(out, "\n  ");
    for (uint32_t i = begin; i < at; i++)
        if (begins_character(source.bytes[i]))
            buf_byte(out, source.bytes[i] == '\t' ? '\t' : ' ');
    for (uint32_t i = at; i < end && i < at + diagnostic->place.count && marks < MARKS_MAX; i++)
        if (begins_character(source.bytes[i])) {
            buf_byte(out, '^');
            marks++;
        }
    if (!marks)
        buf_byte(out, '^');
    buf_byte(out, '\n');
}
