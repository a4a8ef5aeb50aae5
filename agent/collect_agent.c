#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/collector.h"

/* What the agent says of itself: that it lives, and how its messages fare, and what it logs. */
#define TEXT_MAX 512
#define LINE_SIZE 512
#define DIAGNOSTIC_MAX (6 * LINE_SIZE + 256) /* every byte escaped */

struct memory {
    struct picket_agent_counts before;
};

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        abort();
    return memory;
}

static void observe(struct collector_scope *scope, const char *name, const char *payload, size_t count, enum picket_event_type type)
{
    const struct picket_event event = {
        .name = name, .category = PICKET_EVENT_PERIODIC, .utc_ms = scope->utc_ms, .payload = payload, .payload_count = count, .priority = scope->priority, .type = type};

    if (count)
        (void)picket_agent_observe(scope->agent, &event);
}

static void heartbeat_collect(void *memory, struct collector_scope *scope)
{
    (void)memory;
    observe(scope, "Heartbeat", "[]", 2, PICKET_EVENT_SECURITY);
}

static void open_element(struct picket_json_writer *writer, char *text, size_t size)
{
    picket_json_write_init(writer, text, size);
    picket_json_open_array(writer);
    picket_json_open_object(writer);
}

static size_t close_element(struct picket_json_writer *writer)
{
    picket_json_close_object(writer);
    picket_json_close_array(writer);
    return picket_json_written(writer);
}

/* Since the last time, as the classic agents have it. */
static void statistics_collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    const struct picket_agent_counts now = scope->agent->counts, *before = &memory->before;
    struct picket_json_writer writer;
    char text[TEXT_MAX];

    open_element(&writer, text, sizeof text);
    member_number(&writer, "MessagesSent", (int64_t)(now.messages - before->messages));
    member_number(&writer, "MessagesUnder4KB", (int64_t)(now.messages_small - before->messages_small));
    member_number(&writer, "TotalFailed", (int64_t)(now.failed - before->failed));
    observe(scope, "MessageStatistics", text, close_element(&writer), PICKET_EVENT_OPERATIONAL);
    open_element(&writer, text, sizeof text);
    member_text(&writer, "Queue", "High");
    member_number(&writer, "CollectedEvents", (int64_t)(now.observed - before->observed));
    member_number(&writer, "DroppedEvents", (int64_t)(now.dropped - before->dropped));
    observe(scope, "DroppedEventsStatistics", text, close_element(&writer), PICKET_EVENT_OPERATIONAL);
    memory->before = now;
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
    open_element(&writer, text, sizeof text);
    member_text(&writer, "Severity", words[severity]);
    member_text(&writer, "Message", line);
    member_number(&writer, "ProcessId", getpid());
    member_number(&writer, "ThreadId", getpid());
    const struct picket_event event = {.name = "Diagnostic",
                                       .category = PICKET_EVENT_TRIGGERED,
                                       .utc_ms = scope->utc_ms,
                                       .payload = text,
                                       .payload_count = close_element(&writer),
                                       .priority = logs ? (enum picket_priority)logs->priority : scope->priority,
                                       .type = PICKET_EVENT_DIAGNOSTIC};
    if (event.payload_count)
        (void)picket_agent_observe(scope->agent, &event);
}

const struct collector collector_heartbeat = {
    "heartbeat", PICKET_HEARTBEAT, COLLECT_SNAPSHOT, NULL, heartbeat_collect, NULL, NULL,
};
const struct collector collector_statistics = {
    "statistics", PICKET_STATISTICS, COLLECT_SNAPSHOT, open_memory, statistics_collect, free, NULL,
};
