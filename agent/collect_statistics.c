#include <stdlib.h>

#include "agent/collector.h"

/* How the agent's messages fare, since the last time, as the classic agents have it. */
#define TEXT_MAX 512

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

static void observe(struct collector_scope *scope, const char *name, const char *payload, size_t count)
{
    const struct picket_event event = {
        .name = name, .category = PICKET_EVENT_PERIODIC, .utc_ms = scope->utc_ms, .payload = payload, .payload_count = count, .priority = scope->priority, .type = PICKET_EVENT_OPERATIONAL};

    if (count)
        (void)picket_agent_observe(scope->agent, &event);
}

static void open_element(struct picket_json_writer *writer, char text[TEXT_MAX])
{
    picket_json_write_init(writer, text, TEXT_MAX);
    picket_json_open_array(writer);
    picket_json_open_object(writer);
}

static size_t close_element(struct picket_json_writer *writer)
{
    picket_json_close_object(writer);
    picket_json_close_array(writer);
    return picket_json_written(writer);
}

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    const struct picket_agent_counts now = scope->agent->counts, *before = &memory->before;
    struct picket_json_writer writer;
    char text[TEXT_MAX];

    open_element(&writer, text);
    member_number(&writer, "MessagesSent", (int64_t)(now.messages - before->messages));
    member_number(&writer, "MessagesUnder4KB", (int64_t)(now.messages_small - before->messages_small));
    member_number(&writer, "TotalFailed", (int64_t)(now.failed - before->failed));
    observe(scope, "MessageStatistics", text, close_element(&writer));
    open_element(&writer, text);
    member_text(&writer, "Queue", "High");
    member_number(&writer, "CollectedEvents", (int64_t)(now.observed - before->observed));
    member_number(&writer, "DroppedEvents", (int64_t)(now.dropped - before->dropped));
    observe(scope, "DroppedEventsStatistics", text, close_element(&writer));
    memory->before = now;
}

const struct collector collector_statistics = {
    .name = "statistics", .subject = PICKET_STATISTICS, .pace = COLLECT_SNAPSHOT, .open = open_memory, .collect = collect, .close = free,
};
