#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/stamp.h"
#include "wire/json_reader.h"

/* What collectors say: elements of events, and lines of the agent's own log. */
#define ELEMENT_MAX 52000 /* room that an element is begun with: path and arguments of a process, every byte escaped */
#define LINE_SIZE 512
#define DIAGNOSTIC_MAX (6 * LINE_SIZE + 256) /* every byte escaped */

static void payload_start(struct payload *payload);
static void payload_report(struct payload *payload);
static bool element_count(struct payload *payload);

void payload_open_list(struct payload *payload, struct collector_scope *scope, const char *name)
{
    *payload = (struct payload){.scope = scope, .name = name, .category = PICKET_EVENT_PERIODIC, .times = 1};
    payload_start(payload);
}

void payload_open_each(struct payload *payload, struct collector_scope *scope, const char *name)
{
    *payload = (struct payload){.scope = scope, .name = name, .category = PICKET_EVENT_TRIGGERED, .times = 1};
    payload_start(payload);
}

void payload_times(struct payload *payload, uint64_t times)
{
    payload->times = times;
}

struct picket_json_writer *payload_begin(struct payload *payload)
{
    const struct picket_settings *settings = payload->scope->settings;
    bool long_enough = settings && payload->writer.count > settings->message_bytes / 2;

    if (payload->elements && (long_enough || payload->writer.size - payload->writer.count < ELEMENT_MAX))
        payload_report(payload);
    payload->begun = payload->writer;
    picket_json_open_object(&payload->writer);
    return &payload->writer;
}

void payload_end(struct payload *payload)
{
    picket_json_close_object(&payload->writer);
    if (payload->writer.failed) {
        payload->writer = payload->begun;
        return;
    }
    payload->elements++;
    if (payload->category == PICKET_EVENT_TRIGGERED && !element_count(payload))
        payload_report(payload);
    payload->times = 1;
}

void payload_close(struct payload *payload)
{
    if (payload->elements || (payload->category == PICKET_EVENT_PERIODIC && !payload->reported))
        payload_report(payload);
}

void member_text(struct picket_json_writer *writer, const char *name, const char *text)
{
    size_t count = strnlen(text, MEMBER_TEXT_MAX);

    picket_json_write_name(writer, name);
    picket_json_write_string(writer, text, count);
}

void member_number(struct picket_json_writer *writer, const char *name, int64_t number)
{
    picket_json_write_name(writer, name);
    picket_json_write_int(writer, number);
}

void member_number_text(struct picket_json_writer *writer, const char *name, uint64_t number)
{
    char digits[PICKET_NUMBER_SIZE];

    picket_number_print(number, digits);
    member_text(writer, name, digits);
}

void member_snapshot(struct picket_json_writer *writer)
{
    picket_json_write_name(writer, "ExtraDetails");
    picket_json_open_object(writer);
    member_text(writer, "Snapshot", "true");
    picket_json_close_object(writer);
}

/* Whether a member differs each time without making another thing of the event: see the device contract, "Aggregation". */
static bool is_volatile(const struct picket_json_token *name, bool inbound)
{
    return PICKET_JSON_IS(name, "ProcessId") || PICKET_JSON_IS(name, "ParentProcessId") || (inbound && PICKET_JSON_IS(name, "RemotePort"));
}

/* The element without what is volatile; 0: it is too long, or says more than that it happened. */
static size_t key_make(const char *element, size_t count, char *out, size_t size)
{
    struct picket_json_reader reader;
    struct picket_json_writer writer;
    struct picket_json_token name;
    const char *from, *to;
    char text[32];
    bool inbound = memmem(element, count, "\"Direction\":\"In\"", 16) != NULL;

    picket_json_init(&reader, element, count, 8);
    picket_json_write_init(&writer, out, size);
    picket_json_open_object(&writer);
    (void)picket_json_next(&reader, &name);
    while (picket_json_next(&reader, &name) == PICKET_JSON_NAME) {
        if (PICKET_JSON_IS(&name, "ExtraDetails") || name.count >= sizeof text || !picket_json_skip(&reader, &name, &from, &to))
            return 0;
        memcpy(text, name.text, name.count);
        text[name.count] = '\0';
        picket_json_write_name(&writer, text);
        if (!is_volatile(&name, inbound))
            picket_json_write_raw(&writer, from, (size_t)(to - from));
        else if (*from == '"')
            picket_json_write_terminated(&writer, "0");
        else
            picket_json_write_int(&writer, 0);
    }
    picket_json_close_object(&writer);
    return picket_json_written(&writer);
}

/* Hands the one element to the count instead of telling it; false: it is to be told. */
static bool element_count(struct payload *payload)
{
    struct collector_scope *scope = payload->scope;
    char key[COLLECTOR_KEY_MAX];
    size_t count = scope->aggregate ? key_make(scope->text + 1, payload->writer.count - 1, key, sizeof key) : 0;

    if (!count)
        return false;
    picket_json_close_array(&payload->writer);
    const struct picket_event event = {
        .name = payload->name,
        .category = payload->category,
        .utc_ms = payload->utc_ms ? payload->utc_ms : scope->utc_ms,
        .payload = scope->text,
        .payload_count = picket_json_written(&payload->writer),
        .priority = scope->priority,
    };
    picket_aggregate_observe(scope->aggregate, scope->agent, &event, key, count, payload->times);
    payload->reported = true;
    payload_start(payload);
    return true;
}

static void payload_start(struct payload *payload)
{
    picket_json_write_init(&payload->writer, payload->scope->text, sizeof payload->scope->text);
    picket_json_open_array(&payload->writer);
    payload->elements = 0;
}

static void payload_report(struct payload *payload)
{
    struct picket_event event = {
        .name = payload->name,
        .category = payload->category,
        .utc_ms = payload->utc_ms ? payload->utc_ms : payload->scope->utc_ms,
        .payload = payload->scope->text,
        .priority = payload->scope->priority,
    };

    picket_json_close_array(&payload->writer);
    event.payload_count = picket_json_written(&payload->writer);
    for (uint64_t i = 0; event.payload_count && i < payload->times; i++)
        (void)picket_agent_observe(payload->scope->agent, &event); /* what is dropped is counted there */
    payload->reported = true;
    payload_start(payload);
}

void scope_say(struct collector_scope *scope, enum severity severity, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    scope_say_with(scope, severity, format, values);
    va_end(values);
}

void scope_say_with(struct collector_scope *scope, enum severity severity, const char *format, va_list values)
{
    static const char *const words[] = {"Error", "Warning", "Information"};
    const struct picket_subject_settings *logs = scope->settings ? &scope->settings->subjects[PICKET_LOGS] : NULL;
    struct picket_json_writer writer;
    char line[LINE_SIZE], text[DIAGNOSTIC_MAX];

    vsnprintf(line, sizeof line, format, values);
    fprintf(stderr, "picket-agent: %s\n", line);
    if (logs && logs->disabled)
        return;
    picket_json_write_init(&writer, text, sizeof text);
    picket_json_open_array(&writer);
    picket_json_open_object(&writer);
    member_text(&writer, "Severity", words[severity]);
    member_text(&writer, "Message", line);
    member_number(&writer, "ProcessId", getpid());
    member_number(&writer, "ThreadId", getpid());
    picket_json_close_object(&writer);
    picket_json_close_array(&writer);
    const struct picket_event event = {.name = "Diagnostic",
                                       .category = PICKET_EVENT_TRIGGERED,
                                       .utc_ms = scope->utc_ms,
                                       .payload = text,
                                       .payload_count = picket_json_written(&writer),
                                       .priority = logs ? (enum picket_priority)logs->priority : scope->priority,
                                       .type = PICKET_EVENT_DIAGNOSTIC};
    if (event.payload_count)
        (void)picket_agent_observe(scope->agent, &event);
}
