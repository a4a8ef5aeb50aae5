/* The smallest firmware that embeds the agent: what docs/embedding.md walks through. It is linked for a Cortex-M to measure what the core
 * takes; nothing runs it. The port's functions would be the board's. */
#include <string.h>

#include "agent/aggregate.h"
#include "agent/agent.h"
#include "agent/twin.h"

#define KEY_MAX 512

static struct picket_agent agent;
static struct picket_aggregate processes;
static struct picket_settings base, settings;
static char high[4096], low[2048], message[PICKET_AGENT_MESSAGE_MIN], counted[8192];

static int64_t board_utc_ms(void *context)
{
    (void)context;
    return 0;
}

static int32_t board_utc_offset_s(void *context, int64_t utc_s)
{
    (void)context, (void)utc_s;
    return 0;
}

static void board_random(void *context, void *out, size_t count)
{
    (void)context;
    memset(out, 0, count);
}

static void board_send(void *context, const struct picket_message *sent, struct picket_send_answer *out)
{
    (void)context, (void)sent;
    out->status = PICKET_SEND_LATER;
}

static const struct picket_port port = {
    .utc_ms = board_utc_ms, .monotonic_ms = board_utc_ms, .utc_offset_s = board_utc_offset_s, .random = board_random, .send = board_send};

/* What the board's MQTT client calls when a twin has come. */
void board_twin_came(const char *json, size_t count);
void board_twin_came(const char *json, size_t count)
{
    static char report[PICKET_TWIN_REPORT_MAX];
    struct picket_twin_result result;
    struct picket_agent_settings intervals = {"1.0", {0, 0, 0}, settings.message_bytes};

    if (!picket_twin_apply(&settings, &base, json, count, &result))
        return;
    for (int i = 0; i < PICKET_PRIORITIES; i++)
        intervals.interval_ms[i] = settings.interval_s[i] * 1000;
    picket_agent_configure(&agent, &intervals);
    (void)picket_twin_report(&settings, &result, report, sizeof report);
}

int main(void)
{
    static const char payload[] = "[{\"Executable\":\"/bin/task\",\"CommandLine\":\"task\",\"UserId\":\"0\",\"ProcessId\":7,\"ParentProcessId\":1}]";
    static const char key[] = "{\"Executable\":\"/bin/task\",\"CommandLine\":\"task\",\"UserId\":\"0\",\"ProcessId\":0,\"ParentProcessId\":0}";
    const struct picket_agent_memory memory = {.queues = {{high, sizeof high}, {NULL, 0}, {low, sizeof low}}, .message = message, .message_size = sizeof message};
    const struct picket_agent_settings intervals = {"1.0", {30000, 30000, 600000}, 0};
    const struct picket_event event = {.name = "ProcessCreate", .payload = payload, .payload_count = sizeof payload - 1};

    picket_settings_default(&base);
    settings = base;
    picket_agent_init(&agent, &port, &intervals, &memory);
    picket_aggregate_init(&processes, counted, sizeof counted, KEY_MAX, 16, 60000);
    for (;;) {
        picket_aggregate_observe(&processes, &agent, &event, key, sizeof key - 1, 1);
        (void)picket_aggregate_tick(&processes, &agent);
        (void)picket_agent_tick(&agent);
    }
}
