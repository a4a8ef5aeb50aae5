#include "runtime/settings_file.h"

#include <assert.h>
#include <yaml.h>

#include "runtime/buf.h"
#include "runtime/process.h"

#define LINES_FIRST 32

/* What one reading has come to. `key` is the name whose value is due, NULL between pairs. */
struct reading {
    const char *path;
    struct arena *arena;
    struct settings_line *lines;
    size_t count, room;
    const char *key;
    bool in_mapping;
};

static enum status events_read(struct reading *reading, yaml_parser_t *parser, struct problem *why);
static enum status event_take(struct reading *reading, const yaml_event_t *event, struct problem *why);
static enum status scalar_take(struct reading *reading, const yaml_event_t *event, struct problem *why);
static enum status key_take(struct reading *reading, const char *name, size_t number, struct problem *why);
static void line_add(struct reading *reading, const char *value, size_t number);
static const char *scalar_string(struct reading *reading, const yaml_event_t *event);
static enum status not_flat(const struct reading *reading, size_t number, struct problem *why);

enum status settings_file_read(const char *path, struct arena *arena, struct settings_line **out,
                               size_t *count, struct problem *why)
{
    struct reading reading = {.path = path, .arena = arena};
    yaml_parser_t parser;
    struct buf content;

    assert(path && arena && out && count);

    buf_init(&content, SETTINGS_FILE_BYTES_MAX);
    enum status status = process_read_file(path, SETTINGS_FILE_BYTES_MAX, &content, why);
    if (!status) {
        if (!yaml_parser_initialize(&parser))
            abort();
        yaml_parser_set_input_string(&parser, (const unsigned char *)buf_as_text(&content).bytes,
                                     content.count);
        status = events_read(&reading, &parser, why);
        yaml_parser_delete(&parser);
    }
    if (!status) {
        *out = reading.lines;
        *count = reading.count;
    }
    buf_done(&content);
    return status;
}

static enum status events_read(struct reading *reading, yaml_parser_t *parser, struct problem *why)
{
    enum status status = STATUS_OK;
    bool ended = false;

    while (!status && !ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return problem_set(why, STATUS_REJECT, "%s:%zu: not YAML: %s", reading->path,
                               parser->problem_mark.line + 1,
                               parser->problem ? parser->problem : "out of memory");
        ended = event.type == YAML_STREAM_END_EVENT;
        status = event_take(reading, &event, why);
        yaml_event_delete(&event);
    }
    return status;
}

static enum status event_take(struct reading *reading, const yaml_event_t *event, struct problem *why)
{
    size_t number = event->start_mark.line + 1;

    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return STATUS_OK;
    case YAML_MAPPING_START_EVENT:
        if (reading->in_mapping)
            return not_flat(reading, number, why);
        reading->in_mapping = true;
        return STATUS_OK;
    case YAML_MAPPING_END_EVENT:
        reading->in_mapping = false;
        return STATUS_OK;
    case YAML_SCALAR_EVENT:
        return scalar_take(reading, event, why);
    case YAML_ALIAS_EVENT:
    case YAML_SEQUENCE_START_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return not_flat(reading, number, why);
    }
    return not_flat(reading, number, why);
}

static enum status scalar_take(struct reading *reading, const yaml_event_t *event, struct problem *why)
{
    size_t number = event->start_mark.line + 1;

    if (!reading->in_mapping)
        return not_flat(reading, number, why);
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return problem_set(why, STATUS_REJECT, "%s:%zu: holds a zero byte", reading->path, number);
    if (!reading->key)
        return key_take(reading, scalar_string(reading, event), number, why);
    line_add(reading, scalar_string(reading, event), number);
    reading->key = NULL;
    return STATUS_OK;
}

static enum status key_take(struct reading *reading, const char *name, size_t number, struct problem *why)
{
    for (size_t i = 0; i < reading->count; i++)
        if (strcmp(reading->lines[i].name, name) == 0)
            return problem_set(why, STATUS_REJECT,
                               "%s:%zu: %s stands in line %zu already: remove one of them", reading->path,
                               number, name, reading->lines[i].number);
    reading->key = name;
    return STATUS_OK;
}

static void line_add(struct reading *reading, const char *value, size_t number)
{
    if (reading->count == reading->room) {
        size_t room = reading->room ? reading->room * 2 : LINES_FIRST;
        struct settings_line *lines = ARENA_ARRAY(reading->arena, struct settings_line, room);
        if (reading->count)
            memcpy(lines, reading->lines, reading->count * sizeof *lines);
        reading->lines = lines;
        reading->room = room;
    }
    reading->lines[reading->count++] = (struct settings_line){reading->key, value, number};
}

/* Only unquoted words may mean "nothing". */
static const char *scalar_string(struct reading *reading, const yaml_event_t *event)
{
    struct text text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (plain && (text_equal(text, TEXT("~")) || text_equal_nocase(text, TEXT("null"))))
        return "";
    return arena_string(reading->arena, text);
}

static enum status not_flat(const struct reading *reading, size_t number, struct problem *why)
{
    return problem_set(why, STATUS_REJECT, "%s:%zu: only lines of the form `name: value` are understood",
                       reading->path, number);
}
