#include "detect/rule_samples.h"

#include "runtime/buf.h"

#define SECOND_US INT64_C(1000000)
#define LINE_BYTES_MAX 8192

const char *const rule_sample_indicators[] = {"203.0.113.66", "c2.malware.example", NULL};

/* "+30 " or "x20 ": the number behind the letter, and what follows. */
static bool prefix_take(struct text *line, char letter, uint64_t *number)
{
    struct text digits, rest;

    if (!line->count || line->bytes[0] != letter)
        return false;
    rest = text_cut((struct text){line->bytes + 1, line->count - 1}, ' ', &digits);
    if (!rest.bytes || !text_to_u64(digits, number))
        return false;
    *line = rest;
    return true;
}

/* '#' stands for which of a line's repetitions it is. */
static struct text numbered(struct text text, uint64_t number, struct arena *arena)
{
    struct buf out;

    buf_init(&out, LINE_BYTES_MAX);
    for (size_t i = 0; i < text.count; i++) {
        if (text.bytes[i] == '#')
            buf_i64(&out, (int64_t)number);
        else
            buf_byte(&out, text.bytes[i]);
    }
    text = arena_text(arena, buf_as_text(&out));
    buf_done(&out);
    return text;
}

static struct text process_details(struct text command, struct arena *arena)
{
    struct command_line line;
    struct buf out;

    command_line_read(command, arena, &line);
    struct text path = line.count ? line.commands[0].path : TEXT("");
    buf_init(&out, LINE_BYTES_MAX);
    buf_string(&out, "{\"Executable\":");
    bool plain = path.count && path.bytes[0] != '/';
    buf_json_string(&out, plain ? text_of(arena_format(arena, "/usr/bin/%.*s", TEXT_ARGS(path))) : path);
    buf_string(&out, ",\"CommandLine\":");
    buf_json_string(&out, command);
    buf_string(&out, ",\"UserName\":\"root\",\"UserId\":\"0\",\"ProcessId\":4242,\"ParentProcessId\":4200}");
    struct text details = arena_text(arena, buf_as_text(&out));
    buf_done(&out);
    return details;
}

static bool line_read(struct text line, int64_t *at_us, bool first, struct arena *arena, rule_sample_each *each, void *context)
{
    uint64_t seconds = 1, times = 1;

    (void)prefix_take(&line, '+', &seconds);
    (void)prefix_take(&line, 'x', &times);
    for (uint64_t i = 1; i <= times; i++) {
        struct event_source event = {.name = TEXT("ProcessCreate")};
        if (!first || i > 1)
            *at_us += (int64_t)(i == 1 ? seconds : 1) * SECOND_US;
        event.at_us = *at_us;
        if (text_starts(line, TEXT("$ "))) {
            event.details = process_details((struct text){line.bytes + 2, line.count - 2}, arena);
        } else {
            event.details = text_cut(line, ' ', &event.name);
            if (!event.details.count || event.details.bytes[0] != '{')
                return false;
            if (times > 1)
                event.details = numbered(event.details, i, arena);
        }
        each(context, &event);
    }
    return true;
}

bool rule_sample_read(const char *events, int64_t from_us, struct arena *arena, rule_sample_each *each, void *context)
{
    struct text rest = text_of(events), line;

    for (bool first = true; rest.bytes; first = false) {
        rest = text_cut(rest, '\n', &line);
        if (!line_read(line, &from_us, first, arena, each, context))
            return false;
    }
    return true;
}
