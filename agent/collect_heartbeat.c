#include "agent/collector.h"

/* That the agent lives. */
static void collect(void *memory, struct collector_scope *scope)
{
    const struct picket_event event = {.name = "Heartbeat", .category = PICKET_EVENT_PERIODIC, .utc_ms = scope->utc_ms, .payload = "[]", .payload_count = 2, .priority = scope->priority};

    (void)memory;
    (void)picket_agent_observe(scope->agent, &event);
}

const struct collector collector_heartbeat = {
    .name = "heartbeat", .subject = PICKET_HEARTBEAT, .pace = COLLECT_SNAPSHOT, .collect = collect,
};
