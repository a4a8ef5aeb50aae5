#include "agent/aggregate.h"

#include <assert.h>
#include <string.h>

#include "agent/stamp.h"
#include "wire/json_writer.h"

/* In front of each key. Copied in and out, since keys leave it unaligned. */
struct head {
    const char *name;
    uint64_t hits; /* beyond the first event */
    uint32_t hash, key_count;
    uint8_t priority;
};

void picket_aggregate_init(struct picket_aggregate *aggregate, void *memory, size_t size, size_t key_max, unsigned entries_max, int64_t window_ms)
{
    size_t scratch = key_max + PICKET_AGGREGATE_EXTRA_MAX;

    assert(sizeof(struct head) <= PICKET_AGGREGATE_HEAD_MAX);
    assert(size >= scratch + key_max + PICKET_AGGREGATE_HEAD_MAX);

    memset(aggregate, 0, sizeof *aggregate);
    aggregate->scratch = memory;
    aggregate->bytes = aggregate->scratch + scratch;
    aggregate->size = size - scratch;
    aggregate->key_max = key_max;
    aggregate->count_max = entries_max;
    aggregate->window_ms = window_ms;
}

/* FNV-1a. */
static uint32_t hash_of(const char *bytes, size_t count)
{
    uint32_t hash = UINT32_C(0x811C9DC5);

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT32_C(0x01000193);
    return hash;
}

static void head_read(const struct picket_aggregate *aggregate, size_t at, struct head *out)
{
    assert(aggregate->used - at > sizeof *out);
    memcpy(out, aggregate->bytes + at, sizeof *out);
}

/* Where the entry of that key is; `used` when there is none. */
static size_t find(const struct picket_aggregate *aggregate, const char *name, const char *key, size_t key_count, uint32_t hash, struct head *out)
{
    size_t at = 0;

    while (at < aggregate->used) {
        head_read(aggregate, at, out);
        if (out->hash == hash && out->key_count == key_count && strcmp(out->name, name) == 0 &&
            memcmp(aggregate->bytes + at + sizeof *out, key, key_count) == 0)
            return at;
        at += sizeof *out + out->key_count;
    }
    return aggregate->used;
}

static void write_extra(struct picket_json_writer *writer, const struct picket_aggregate *aggregate, const struct picket_port *port, const struct head *head, int64_t end_utc_ms)
{
    char digits[PICKET_NUMBER_SIZE], time[PICKET_TIME_SIZE];
    /* A clock that was put back in between makes no window that ends before it begins. */
    int64_t bounds[] = {aggregate->from_utc_ms < end_utc_ms ? aggregate->from_utc_ms : end_utc_ms, end_utc_ms};
    static const char *const names[][2] = {{"StartTimeLocal", "StartTimeUtc"}, {"EndTimeLocal", "EndTimeUtc"}};

    picket_json_open_object(writer);
    picket_json_write_name(writer, "HitCount");
    picket_number_print(head->hits, digits);
    picket_json_write_terminated(writer, digits);
    for (int i = 0; i < 2; i++) {
        picket_json_write_name(writer, names[i][0]);
        picket_time_print_local(bounds[i], port->utc_offset_s(port->context, bounds[i] / 1000), time);
        picket_json_write_terminated(writer, time);
        picket_json_write_name(writer, names[i][1]);
        picket_time_print_utc(bounds[i], time);
        picket_json_write_terminated(writer, time);
    }
    picket_json_close_object(writer);
}

/* The key's object with the count in it, as the one element of a payload. */
static void send_count(const struct picket_aggregate *aggregate, struct picket_agent *agent, const struct head *head, const char *key)
{
    static const char extra[] = ",\"ExtraDetails\":";
    const struct picket_port *port = agent->port;
    int64_t end_utc_ms = port->utc_ms(port->context);
    struct picket_json_writer writer;
    char *out = aggregate->scratch;
    size_t count = 0;

    out[count++] = '[';
    memcpy(out + count, key, head->key_count - 1);
    count += head->key_count - 1;
    memcpy(out + count, extra, sizeof extra - 1);
    count += sizeof extra - 1;
    picket_json_write_init(&writer, out + count, aggregate->key_max + PICKET_AGGREGATE_EXTRA_MAX - count - 2);
    write_extra(&writer, aggregate, port, head, end_utc_ms);
    assert(picket_json_written(&writer) && "PICKET_AGGREGATE_EXTRA_MAX holds what is added");
    count += picket_json_written(&writer);
    out[count++] = '}';
    out[count++] = ']';
    const struct picket_event event = {.name = head->name, .utc_ms = end_utc_ms, .payload = out, .payload_count = count,
                                       .priority = (enum picket_priority)head->priority};
    (void)picket_agent_observe(agent, &event); /* what is dropped is told by the agent */
}

static void send_oldest(struct picket_aggregate *aggregate, struct picket_agent *agent)
{
    struct head head;

    head_read(aggregate, 0, &head);
    size_t whole = sizeof head + head.key_count;
    if (head.hits)
        send_count(aggregate, agent, &head, aggregate->bytes + sizeof head);
    aggregate->used -= whole;
    memmove(aggregate->bytes, aggregate->bytes + whole, aggregate->used);
    aggregate->count--;
}

static void add(struct picket_aggregate *aggregate, struct picket_agent *agent, const struct picket_event *event, const char *key, size_t key_count, uint32_t hash, uint64_t hits)
{
    const struct picket_port *port = agent->port;
    struct head head;

    while (aggregate->count && (aggregate->count >= aggregate->count_max || aggregate->size - aggregate->used < sizeof head + key_count))
        send_oldest(aggregate, agent);
    if (!aggregate->count) {
        aggregate->from_utc_ms = port->utc_ms(port->context);
        aggregate->due_at_ms = port->monotonic_ms(port->context) + aggregate->window_ms;
    }
    memset(&head, 0, sizeof head);
    head.name = event->name;
    head.hits = hits;
    head.hash = hash;
    head.key_count = (uint32_t)key_count;
    head.priority = (uint8_t)event->priority;
    memcpy(aggregate->bytes + aggregate->used, &head, sizeof head);
    memcpy(aggregate->bytes + aggregate->used + sizeof head, key, key_count);
    aggregate->used += sizeof head + key_count;
    aggregate->count++;
}

void picket_aggregate_observe(struct picket_aggregate *aggregate, struct picket_agent *agent, const struct picket_event *event, const char *key, size_t key_count, uint64_t hits)
{
    uint32_t hash = hash_of(key, key_count);
    struct head head;

    assert(hits && key_count > 2 && key[0] == '{' && key[key_count - 1] == '}');
    if (!aggregate->window_ms || !aggregate->count_max || key_count > aggregate->key_max) {
        for (uint64_t i = 0; i < hits; i++)
            (void)picket_agent_observe(agent, event);
        return;
    }
    size_t at = find(aggregate, event->name, key, key_count, hash, &head);
    if (at == aggregate->used) {
        (void)picket_agent_observe(agent, event);
        add(aggregate, agent, event, key, key_count, hash, hits - 1);
        return;
    }
    head.hits += hits;
    memcpy(aggregate->bytes + at, &head, sizeof head);
}

uint32_t picket_aggregate_tick(struct picket_aggregate *aggregate, struct picket_agent *agent)
{
    int64_t now_ms = agent->port->monotonic_ms(agent->port->context);

    if (aggregate->count && now_ms >= aggregate->due_at_ms)
        picket_aggregate_flush(aggregate, agent);
    if (!aggregate->count)
        return UINT32_MAX;
    return aggregate->due_at_ms - now_ms >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)(aggregate->due_at_ms - now_ms);
}

void picket_aggregate_flush(struct picket_aggregate *aggregate, struct picket_agent *agent)
{
    while (aggregate->count)
        send_oldest(aggregate, agent);
}

void picket_aggregate_configure(struct picket_aggregate *aggregate, struct picket_agent *agent, unsigned entries_max, int64_t window_ms)
{
    if (entries_max == aggregate->count_max && window_ms == aggregate->window_ms)
        return;
    picket_aggregate_flush(aggregate, agent);
    aggregate->count_max = entries_max;
    aggregate->window_ms = window_ms;
}
