#include "agent/collector.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/word_list.h"

#define AGGREGATE_BYTES (64 * 1024)

struct collectors {
    struct collector_scope scope;
    struct picket_settings settings;
    struct {
        void *memory; /* NULL: it has none, or watches and is off */
        bool off;
        enum self_check_result works; /* as it was told last */
        int64_t check_at_ms;
        int64_t next_at_ms; /* 0: it never ran */
        struct picket_aggregate aggregate;
        void *aggregate_bytes;
    } rounds[COLLECTORS_MAX];
};

/* What happens is counted, what there is is not. */
static bool counts(const struct collector *collector)
{
    return collector->pace != COLLECT_SNAPSHOT && collector->subject != PICKET_LOGINS;
}

static int socket_of(const struct collectors *collectors, size_t i)
{
    return collector_table[i]->socket && collectors->rounds[i].memory ? collector_table[i]->socket(collectors->rounds[i].memory) : -1;
}

static bool is_off(const struct collectors *collectors, size_t i)
{
    return collectors->rounds[i].off || collectors->settings.subjects[collector_table[i]->subject].disabled;
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

    assert(collector_count <= COLLECTORS_MAX);
    if (!collectors)
        abort();
    collectors->scope.agent = agent;
    collectors->scope.root = root;
    collectors->scope.state_folder = state_folder;
    collectors->settings = *settings;
    for (size_t i = 0; i < collector_count; i++) {
        const struct picket_subject_settings *subject = &settings->subjects[collector_table[i]->subject];
        collectors->rounds[i].memory = collector_table[i]->open ? collector_table[i]->open() : NULL;
        if (!counts(collector_table[i]))
            continue;
        collectors->rounds[i].aggregate_bytes = malloc(AGGREGATE_BYTES);
        if (!collectors->rounds[i].aggregate_bytes)
            abort();
        picket_aggregate_init(&collectors->rounds[i].aggregate, collectors->rounds[i].aggregate_bytes, AGGREGATE_BYTES, COLLECTOR_KEY_MAX, subject->cache_entries,
                              subject->aggregated ? subject->aggregation_s * INT64_C(1000) : 0);
    }
    return collectors;
}

bool collectors_known(const char *list, struct reason *why)
{
    char names[COLLECTOR_NAMES_SIZE];
    const char *name;
    size_t count;

    while ((count = word_list_next(&list, ',', &name))) {
        size_t i = 0;
        while (i < collector_count && (strlen(collector_table[i]->name) != count || strncasecmp(collector_table[i]->name, name, count) != 0))
            i++;
        if (i < collector_count)
            continue;
        collectors_names(names);
        return reason_set(why, "there is no collector %.*s; there are %s", (int)(count < 64 ? count : 64), name, names);
    }
    return true;
}

void collectors_switch_off(struct collectors *collectors, const char *list)
{
    for (size_t i = 0; i < collector_count; i++)
        collectors->rounds[i].off |= word_list_has(list, ',', collector_table[i]->name);
}

void collectors_configure(struct collectors *collectors, const struct picket_settings *settings)
{
    int64_t now_ms = collectors->scope.agent->port->monotonic_ms(collectors->scope.agent->port->context);

    collectors->settings = *settings;
    for (size_t i = 0; i < collector_count; i++) {
        const struct picket_subject_settings *subject = &settings->subjects[collector_table[i]->subject];
        int64_t latest_ms = now_ms + interval_ms(settings, collector_table[i]->pace);
        if (collectors->rounds[i].next_at_ms > latest_ms)
            collectors->rounds[i].next_at_ms = latest_ms;
        if (counts(collector_table[i]))
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

/* What a collector cannot see is told as that, and not by an empty list: at its first round, and then whenever it changes. */
static bool can_see(struct collectors *collectors, size_t i)
{
    const struct picket_port *port = collectors->scope.agent->port;
    const struct collector *collector = collector_table[i];
    int64_t now_ms = port->monotonic_ms(port->context);
    struct reason how = {""};

    if (!collector->check)
        return true;
    if (collectors->rounds[i].check_at_ms <= now_ms) {
        enum self_check_result works = collector->check(collectors->scope.root, &collectors->settings, &how);
        if (works != collectors->rounds[i].works)
            scope_say(&collectors->scope, works == SELF_CHECK_OK ? SEVERITY_INFORMATION : SEVERITY_WARNING, "%s: %s", collector->name, how.text);
        collectors->rounds[i].works = works;
        collectors->rounds[i].check_at_ms = now_ms + interval_ms(&collectors->settings, COLLECT_SNAPSHOT);
    }
    return collectors->rounds[i].works != SELF_CHECK_FAILED || collector->pace != COLLECT_SNAPSHOT;
}

static void collector_run(struct collectors *collectors, size_t i)
{
    scope_begin(collectors);
    if (!can_see(collectors, i))
        return;
    if (collector_table[i]->open && !collectors->rounds[i].memory)
        collectors->rounds[i].memory = collector_table[i]->open();
    collectors->scope.priority = (enum picket_priority)collectors->settings.subjects[collector_table[i]->subject].priority;
    collectors->scope.aggregate = counts(collector_table[i]) ? &collectors->rounds[i].aggregate : NULL;
    collector_table[i]->collect(collectors->rounds[i].memory, &collectors->scope);
}

/* What happens while a collector is off is not heard of later either. */
static void watch_end(struct collectors *collectors, size_t i)
{
    if (!collector_table[i]->socket || !collectors->rounds[i].memory)
        return;
    collector_table[i]->close(collectors->rounds[i].memory);
    collectors->rounds[i].memory = NULL;
    collectors->rounds[i].next_at_ms = 0;
}

static bool has_something(const struct collectors *collectors, size_t i)
{
    struct pollfd readable = {.fd = socket_of(collectors, i), .events = POLLIN};

    return readable.fd >= 0 && poll(&readable, 1, 0) > 0;
}

size_t collectors_sockets(const struct collectors *collectors, struct pollfd out[COLLECTOR_SOCKETS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < collector_count && count < COLLECTOR_SOCKETS_MAX; i++) {
        int socket = is_off(collectors, i) ? -1 : socket_of(collectors, i);
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

    for (size_t i = 0; i < collector_count; i++) {
        if (counts(collector_table[i])) {
            uint32_t left_ms = picket_aggregate_tick(&collectors->rounds[i].aggregate, collectors->scope.agent);
            window_ms = left_ms < window_ms ? left_ms : window_ms;
        }
        if (is_off(collectors, i)) {
            watch_end(collectors, i);
            continue;
        }
        if (!collectors->rounds[i].next_at_ms || collectors->rounds[i].next_at_ms <= now_ms || has_something(collectors, i)) {
            collector_run(collectors, i);
            collectors->rounds[i].next_at_ms = now_ms + interval_ms(&collectors->settings, collector_table[i]->pace);
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

    for (size_t i = 0; i < collector_count; i++) {
        bool named = strcmp(name, collector_table[i]->name) == 0;
        if (named || (all && !is_off(collectors, i)))
            collector_run(collectors, i);
        found = found || named;
    }
    return found;
}

void collectors_names(char out[COLLECTOR_NAMES_SIZE])
{
    size_t count = 0;

    out[0] = '\0';
    for (size_t i = 0; i < collector_count; i++) {
        int added = snprintf(out + count, COLLECTOR_NAMES_SIZE - count, "%s%s", i ? ", " : "", collector_table[i]->name);
        count += added > 0 ? (size_t)added : 0;
        assert(count < COLLECTOR_NAMES_SIZE);
    }
}

void collectors_close(struct collectors *take_collectors)
{
    if (!take_collectors)
        return;
    for (size_t i = 0; i < collector_count; i++) {
        if (!is_off(take_collectors, i) && socket_of(take_collectors, i) >= 0)
            collector_run(take_collectors, i); /* what came since the last look */
        if (counts(collector_table[i]))
            picket_aggregate_flush(&take_collectors->rounds[i].aggregate, take_collectors->scope.agent);
        free(take_collectors->rounds[i].aggregate_bytes);
        if (collector_table[i]->close && take_collectors->rounds[i].memory)
            collector_table[i]->close(take_collectors->rounds[i].memory);
    }
    free(take_collectors);
}
