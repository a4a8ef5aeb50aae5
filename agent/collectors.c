#include "agent/collector.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/stamp.h"

#define ELEMENT_MAX 52000 /* room that an element is begun with: path and arguments of a process, every byte escaped */

static const struct collector *const table[] = {
    &collector_system,      &collector_users,           &collector_logins,
    &collector_processes,   &collector_listening_ports, &collector_connections,
};
#define COLLECTOR_COUNT (sizeof table / sizeof *table)

struct collectors {
    struct collector_scope scope;
    struct {
        void *memory;
        int64_t interval_ms, next_at_ms;
    } rounds[COLLECTOR_COUNT];
};

static void payload_start(struct payload *payload);
static void payload_report(struct payload *payload);

struct collectors *collectors_open(struct picket_agent *agent, const struct agent_config *config, const char *root,
                                   const char *state_folder)
{
    struct collectors *collectors = calloc(1, sizeof *collectors);

    if (!collectors)
        abort();
    collectors->scope.agent = agent;
    collectors->scope.root = root;
    collectors->scope.state_folder = state_folder;
    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        int64_t interval_s;
        memcpy(&interval_s, (const char *)config + table[i]->interval_offset, sizeof interval_s);
        collectors->rounds[i].interval_ms = interval_s * 1000;
        collectors->rounds[i].memory = table[i]->open ? table[i]->open() : NULL;
    }
    return collectors;
}

uint32_t collectors_run(struct collectors *collectors)
{
    const struct picket_port *port = collectors->scope.agent->port;
    int64_t now_ms = port->monotonic_ms(port->context), next_at_ms = INT64_MAX;

    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        if (!collectors->rounds[i].next_at_ms || collectors->rounds[i].next_at_ms <= now_ms) {
            collectors->scope.utc_ms = port->utc_ms(port->context);
            table[i]->collect(collectors->rounds[i].memory, &collectors->scope);
            collectors->rounds[i].next_at_ms = now_ms + collectors->rounds[i].interval_ms;
        }
        if (collectors->rounds[i].next_at_ms < next_at_ms)
            next_at_ms = collectors->rounds[i].next_at_ms;
    }
    int64_t wait_ms = next_at_ms - port->monotonic_ms(port->context);
    return wait_ms < 0 ? 0 : wait_ms >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)wait_ms;
}

void collectors_close(struct collectors *take_collectors)
{
    if (!take_collectors)
        return;
    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        if (table[i]->close)
            table[i]->close(take_collectors->rounds[i].memory);
    }
    free(take_collectors);
}

void payload_open_list(struct payload *payload, struct collector_scope *scope, const char *name)
{
    *payload = (struct payload){.scope = scope, .name = name, .category = PICKET_EVENT_PERIODIC};
    payload_start(payload);
}

void payload_open_each(struct payload *payload, struct collector_scope *scope, const char *name)
{
    *payload = (struct payload){.scope = scope, .name = name, .category = PICKET_EVENT_TRIGGERED};
    payload_start(payload);
}

struct picket_json_writer *payload_begin(struct payload *payload)
{
    if (payload->elements && payload->writer.size - payload->writer.count < ELEMENT_MAX)
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
    if (payload->category == PICKET_EVENT_TRIGGERED)
        payload_report(payload);
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
    };

    picket_json_close_array(&payload->writer);
    event.payload_count = picket_json_written(&payload->writer);
    if (event.payload_count)
        (void)picket_agent_observe(payload->scope->agent, &event); /* what is dropped is counted there */
    payload->reported = true;
    payload_start(payload);
}
