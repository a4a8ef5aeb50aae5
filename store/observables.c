#include "store/observables.h"

#include <stdlib.h>

#include "detect/command_facts.h"
#include "store/columns.h"

#define DAY_US INT64_C(86400000000)
#define KNOWN_SLOTS 65536    /* sums of what was committed lately; a newer one takes the place of an older */
#define VALUE_BYTES_MAX 1000 /* longer URLs are not kept */
#define BATCH_MAX 50000

struct seen {
    int workspace;
    int64_t received_us;
    struct text device, module, value, event;
    const char *kind;
    uint32_t port;
    uint64_t sum;
};

struct observables {
    uint64_t *known;
    struct arena *arena;
    struct seen *seen;
    size_t count, room;
};

struct observables *observables_new(void)
{
    struct observables *observables = calloc(1, sizeof *observables);

    if (!observables || !(observables->known = calloc(KNOWN_SLOTS, sizeof *observables->known)))
        abort();
    return observables;
}

void observables_free(struct observables *observables)
{
    if (!observables)
        return;
    free(observables->known);
    free(observables);
}

void observables_begin(struct observables *observables, struct arena *arena)
{
    observables->arena = arena;
    observables->seen = NULL;
    observables->count = observables->room = 0;
}

static uint64_t sum_add(uint64_t sum, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < count; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001B3); /* FNV-1a */
    return sum;
}

static uint64_t sum_of(const struct seen *seen)
{
    int64_t day = seen->received_us / DAY_US;
    uint64_t sum = sum_add(UINT64_C(0xCBF29CE484222325), &seen->workspace, sizeof seen->workspace);

    sum = sum_add(sum, &day, sizeof day);
    sum = sum_add(sum, seen->device.bytes, seen->device.count);
    sum = sum_add(sum, seen->kind, strlen(seen->kind) + 1);
    return sum_add(sum, seen->value.bytes, seen->value.count) | 1;
}

static void value_note(struct observables *observables, const struct device_message *message, const struct event *event, const char *kind, struct text value, uint32_t port)
{
    struct seen seen = {
        .workspace = (int)message->record.workspace,
        .received_us = message->record.received_at_us,
        .device = device_message_text(message->record.device),
        .module = device_message_text(message->record.module),
        .value = value,
        .event = event->id,
        .kind = kind,
        .port = port,
    };

    if (!value.count || value.count > VALUE_BYTES_MAX || observables->count == BATCH_MAX)
        return;
    seen.sum = sum_of(&seen);
    if (observables->known[seen.sum / 2 % KNOWN_SLOTS] == seen.sum)
        return;
    if (observables->count == observables->room) {
        size_t room = 2 * observables->room + 64;
        struct seen *grown = ARENA_ARRAY(observables->arena, struct seen, room);
        if (observables->count)
            memcpy(grown, observables->seen, observables->count * sizeof *grown);
        observables->seen = grown;
        observables->room = room;
    }
    observables->seen[observables->count++] = seen;
}

static void downloads_note(struct observables *observables, const struct device_message *message, const struct event *event)
{
    static const char *const words[] = {"wget", "curl", "tftp", "ftpget", "fetch", "aria2c", "axel", NULL};
    struct command_line line;
    bool any = false;

    for (size_t i = 0; words[i] && !any; i++)
        any = text_contains_nocase(event->command_line, words[i]);
    if (!any)
        return;
    command_line_read(event->command_line, observables->arena, &line);
    for (size_t i = 0; i < line.count; i++) {
        struct text source, target;
        if (command_downloads(&line.commands[i], &source, &target))
            value_note(observables, message, event, "url", source, 0);
    }
}

void observables_note(struct observables *observables, const struct device_message *message, const struct event *event)
{
    switch (event->kind) {
    case EVENT_CONNECTION:
        if (!event_address_is_private(event->remote_address))
            value_note(observables, message, event, "ip", event->remote_address, event->direction == EVENT_IN ? 0 : event->remote_port);
        break;
    case EVENT_NAME_QUERY:
        value_note(observables, message, event, "domain", event->domain, 0);
        break;
    case EVENT_PROCESS:
        value_note(observables, message, event, "hash", event->hash, 0);
        downloads_note(observables, message, event);
        break;
    default:
        break;
    }
}

static int seen_compare(const void *left, const void *right)
{
    const struct seen *a = left, *b = right;
    int order = (a->workspace > b->workspace) - (a->workspace < b->workspace);

    order = order ? order : text_compare(a->device, b->device);
    order = order ? order : strcmp(a->kind, b->kind);
    order = order ? order : text_compare(a->value, b->value);
    return order ? order : (a->received_us > b->received_us) - (a->received_us < b->received_us);
}

bool observables_any(const struct observables *observables)
{
    return observables->count > 0;
}

enum status observables_write(struct observables *observables, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    static const char insert[] =
        "INSERT INTO picket.observable (workspace_id, day, kind, value, device_id, module_id, port, event_id, time_generated)"
        " SELECT workspace_id, (at AT TIME ZONE 'UTC')::date, kind, value, device_id, module_id, port, event_id, at FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[],"
        " $6::int[], $7::uuid[], $8::timestamptz[]) AS s (workspace_id, kind, value, device_id, module_id, port, event_id, at) ON CONFLICT DO NOTHING";
    struct columns columns;

    if (!observables->count)
        return STATUS_OK;
    qsort(observables->seen, observables->count, sizeof *observables->seen, seen_compare); /* one order everywhere: see activity.c */
    columns_open(&columns, 8);
    for (size_t i = 0; i < observables->count; i++) {
        const struct seen *seen = &observables->seen[i];
        if (i && observables->seen[i - 1].sum == seen->sum)
            continue;
        columns_i64(&columns, 0, seen->workspace);
        columns_text(&columns, 1, text_of(seen->kind));
        columns_text(&columns, 2, seen->value);
        columns_text(&columns, 3, seen->device);
        columns_text(&columns, 4, seen->module);
        columns_i64(&columns, 5, seen->port);
        columns_text(&columns, 6, seen->event);
        columns_time(&columns, 7, seen->received_us);
    }
    return columns_query(&columns, db, insert, timeout_ms, NULL, why);
}

void observables_committed(struct observables *observables)
{
    for (size_t i = 0; i < observables->count; i++)
        observables->known[observables->seen[i].sum / 2 % KNOWN_SLOTS] = observables->seen[i].sum;
    observables->count = 0;
}
