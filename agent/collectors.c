#include "agent/collector.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/stamp.h"
#include "wire/json_reader.h"

#define ELEMENT_MAX 52000 /* room that an element is begun with: path and arguments of a process, every byte escaped */

static const struct collector *const table[] = {
    &collector_system,      &collector_users,           &collector_logins,
    &collector_processes,   &collector_listening_ports, &collector_connections,
    &collector_peripherals, &collector_files,           &collector_packages,
    &collector_firewall,    &collector_baseline,        &collector_heartbeat,
    &collector_statistics,  &collector_login_lines,     &collector_dns,
    &collector_hardware,
};
#define COLLECTOR_COUNT (sizeof table / sizeof *table)

#define KEY_MAX 8192             /* longer ones are not counted */
#define AGGREGATE_BYTES (128 * 1024)

struct collectors {
    struct collector_scope scope;
    struct picket_settings settings;
    struct {
        void *memory;
        int64_t next_at_ms; /* 0: it never ran */
        struct picket_aggregate aggregate;
        void *aggregate_bytes;
    } rounds[COLLECTOR_COUNT];
};

static void payload_start(struct payload *payload);
static void payload_report(struct payload *payload);
static bool element_count(struct payload *payload);

/* What happens is counted, what there is is not. */
static bool counts(const struct collector *collector)
{
    return collector->pace != COLLECT_SNAPSHOT && collector->subject != PICKET_LOGINS;
}

static int64_t interval_ms(const struct picket_settings *settings, enum collector_pace pace)
{
    switch (pace) {
    case COLLECT_PROCESSES: return settings->process_polling_us < 1000 ? 1 : settings->process_polling_us / 1000;
    case COLLECT_CONNECTIONS: return settings->connection_polling_s * INT64_C(1000);
    case COLLECT_LOGINS: return settings->login_polling_s * INT64_C(1000);
    case COLLECT_SNAPSHOT: break;
    }
    return settings->snapshot_s * INT64_C(1000);
}

struct collectors *collectors_open(struct picket_agent *agent, const struct picket_settings *settings, const char *root,
                                   const char *state_folder)
{
    struct collectors *collectors = calloc(1, sizeof *collectors);

    if (!collectors)
        abort();
    collectors->scope.agent = agent;
    collectors->scope.root = root;
    collectors->scope.state_folder = state_folder;
    collectors->settings = *settings;
    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        const struct picket_subject_settings *subject = &settings->subjects[table[i]->subject];
        collectors->rounds[i].memory = table[i]->open ? table[i]->open() : NULL;
        if (!counts(table[i]))
            continue;
        collectors->rounds[i].aggregate_bytes = malloc(AGGREGATE_BYTES);
        if (!collectors->rounds[i].aggregate_bytes)
            abort();
        picket_aggregate_init(&collectors->rounds[i].aggregate, collectors->rounds[i].aggregate_bytes, AGGREGATE_BYTES, KEY_MAX, subject->cache_entries,
                              subject->aggregated ? subject->aggregation_s * INT64_C(1000) : 0);
    }
    return collectors;
}

void collectors_configure(struct collectors *collectors, const struct picket_settings *settings)
{
    int64_t now_ms = collectors->scope.agent->port->monotonic_ms(collectors->scope.agent->port->context);

    collectors->settings = *settings;
    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        const struct picket_subject_settings *subject = &settings->subjects[table[i]->subject];
        int64_t latest_ms = now_ms + interval_ms(settings, table[i]->pace);
        if (collectors->rounds[i].next_at_ms > latest_ms)
            collectors->rounds[i].next_at_ms = latest_ms;
        if (counts(table[i]))
            picket_aggregate_configure(&collectors->rounds[i].aggregate, collectors->scope.agent, subject->cache_entries,
                                       subject->aggregated ? subject->aggregation_s * INT64_C(1000) : 0);
    }
}

static void scope_begin(struct collectors *collectors)
{
    const struct picket_port *port = collectors->scope.agent->port;

    collectors->scope.utc_ms = port->utc_ms(port->context);
    collectors->scope.settings = &collectors->settings;
}

void collectors_say(struct collectors *collectors, enum severity severity, const char *format, ...)
{
    va_list values;

    scope_begin(collectors);
    va_start(values, format);
    scope_say_with(&collectors->scope, severity, format, values);
    va_end(values);
}

static void collector_run(struct collectors *collectors, size_t i)
{
    scope_begin(collectors);
    collectors->scope.priority = (enum picket_priority)collectors->settings.subjects[table[i]->subject].priority;
    collectors->scope.aggregate = counts(table[i]) ? &collectors->rounds[i].aggregate : NULL;
    table[i]->collect(collectors->rounds[i].memory, &collectors->scope);
}

static bool has_something(const struct collectors *collectors, size_t i)
{
    struct pollfd readable = {.fd = table[i]->socket ? table[i]->socket(collectors->rounds[i].memory) : -1, .events = POLLIN};

    return readable.fd >= 0 && poll(&readable, 1, 0) > 0;
}

size_t collectors_sockets(const struct collectors *collectors, struct pollfd out[COLLECTOR_SOCKETS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < COLLECTOR_COUNT && count < COLLECTOR_SOCKETS_MAX; i++) {
        int socket = table[i]->socket && !collectors->settings.subjects[table[i]->subject].disabled ? table[i]->socket(collectors->rounds[i].memory) : -1;
        if (socket >= 0)
            out[count++] = (struct pollfd){.fd = socket, .events = POLLIN};
    }
    return count;
}

uint32_t collectors_run(struct collectors *collectors)
{
    const struct picket_port *port = collectors->scope.agent->port;
    int64_t now_ms = port->monotonic_ms(port->context), next_at_ms = INT64_MAX;
    uint32_t window_ms = UINT32_MAX;

    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        if (counts(table[i])) {
            uint32_t left_ms = picket_aggregate_tick(&collectors->rounds[i].aggregate, collectors->scope.agent);
            window_ms = left_ms < window_ms ? left_ms : window_ms;
        }
        if (collectors->settings.subjects[table[i]->subject].disabled)
            continue;
        if (!collectors->rounds[i].next_at_ms || collectors->rounds[i].next_at_ms <= now_ms || has_something(collectors, i)) {
            collector_run(collectors, i);
            collectors->rounds[i].next_at_ms = now_ms + interval_ms(&collectors->settings, table[i]->pace);
        }
        if (collectors->rounds[i].next_at_ms < next_at_ms)
            next_at_ms = collectors->rounds[i].next_at_ms;
    }
    int64_t wait_ms = next_at_ms - port->monotonic_ms(port->context);
    wait_ms = wait_ms > window_ms ? window_ms : wait_ms;
    return wait_ms < 0 ? 0 : wait_ms >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)wait_ms;
}

bool collectors_collect(struct collectors *collectors, const char *name)
{
    bool all = strcmp(name, "all") == 0, found = all;

    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        bool named = strcmp(name, table[i]->name) == 0;
        if (named || (all && !collectors->settings.subjects[table[i]->subject].disabled))
            collector_run(collectors, i);
        found = found || named;
    }
    return found;
}

void collectors_names(char out[COLLECTOR_NAMES_SIZE])
{
    size_t count = 0;

    out[0] = '\0';
    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        int added = snprintf(out + count, COLLECTOR_NAMES_SIZE - count, "%s%s", i ? ", " : "", table[i]->name);
        count += added > 0 ? (size_t)added : 0;
        assert(count < COLLECTOR_NAMES_SIZE);
    }
}

void collectors_close(struct collectors *take_collectors)
{
    if (!take_collectors)
        return;
    for (size_t i = 0; i < COLLECTOR_COUNT; i++) {
        bool watches = table[i]->socket && table[i]->socket(take_collectors->rounds[i].memory) >= 0;
        if (watches && !take_collectors->settings.subjects[table[i]->subject].disabled)
            collector_run(take_collectors, i); /* what came since the last look */
        if (counts(table[i]))
            picket_aggregate_flush(&take_collectors->rounds[i].aggregate, take_collectors->scope.agent);
        free(take_collectors->rounds[i].aggregate_bytes);
        if (table[i]->close)
            table[i]->close(take_collectors->rounds[i].memory);
    }
    free(take_collectors);
}

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
    char key[KEY_MAX];
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
