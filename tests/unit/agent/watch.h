#ifndef PICKET_TESTS_UNIT_AGENT_WATCH_H
#define PICKET_TESTS_UNIT_AGENT_WATCH_H

#include <jansson.h>

#include "agent/collector.h"
#include "tests/unit/agent/fake_port.h"
#include "tests/unit/agent/root_folder.h"

/* A collector of one test looks at a root folder; what it sees comes out as the events the server would get. */
static struct {
    struct fake fake;
    struct picket_agent agent;
    char queue[1024 * 1024], message[128 * 1024];
    struct collector_scope scope;
    const struct collector *collector;
    void *memory;
    json_t *seen; /* of the last round */
} watch;

static inline void watch_restart(void)
{
    const struct picket_agent_settings settings = {"1.2.3", {1000, 1000, 1000}, 0};
    const struct picket_agent_memory memory = {.queues = {{watch.queue, sizeof watch.queue}}, .message = watch.message, .message_size = sizeof watch.message};

    picket_agent_init(&watch.agent, &watch.fake.port, &settings, &memory);
    if (watch.memory)
        watch.collector->close(watch.memory);
    watch.memory = watch.collector->open ? watch.collector->open() : NULL;
}

static inline void watch_open(const struct collector *collector)
{
    root_make();
    fake_init(&watch.fake);
    watch.collector = collector;
    watch.scope.agent = &watch.agent;
    watch.scope.root = root;
    watch_restart();
}

static inline void watch_close(void)
{
    json_decref(watch.seen);
    if (watch.memory)
        watch.collector->close(watch.memory);
    fake_done(&watch.fake);
    root_remove();
}

/* The events of one more round, good until the next; each must be JSON and none may be lost. */
static inline const json_t *watch_round(void)
{
    json_error_t error;
    size_t from = watch.fake.sent_count;

    json_decref(watch.seen);
    watch.seen = json_array();
    watch.scope.utc_ms = watch.fake.utc_ms;
    watch.collector->collect(watch.memory, &watch.scope);
    ck_assert(picket_agent_flush(&watch.agent));
    ck_assert_uint_eq(watch.agent.counts.dropped, 0);
    for (size_t i = from; i < watch.fake.sent_count; i++) {
        const struct fake_message *sent = &watch.fake.sent[i];
        json_t *message = json_loadb(sent->body, sent->body_count, JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(message != NULL, "%s: %s", error.text, sent->body);
        json_array_extend(watch.seen, json_object_get(message, "Events"));
        json_decref(message);
    }
    return watch.seen;
}

/* Element `at` of the payloads of a round, through all its events. */
static inline const json_t *watch_element(size_t at)
{
    json_t *event, *element;
    size_t i, j;

    json_array_foreach(watch.seen, i, event) {
        json_array_foreach(json_object_get(event, "Payload"), j, element) {
            if (at-- == 0)
                return element;
        }
    }
    return NULL;
}

static inline size_t watch_count(void)
{
    size_t count = 0;

    while (watch_element(count))
        count++;
    return count;
}

/* The element whose member is so, NULL when there is none. */
static inline const json_t *watch_find(const char *name, const char *text)
{
    const json_t *element;

    for (size_t i = 0; (element = watch_element(i)); i++) {
        const char *value = json_string_value(json_object_get(element, name));
        if (value && strcmp(value, text) == 0)
            return element;
    }
    return NULL;
}

static inline void assert_text(const json_t *element, const char *name, const char *expected)
{
    const json_t *value = json_object_get(element, name);

    ck_assert_msg(json_is_string(value), "%s is no text", name);
    ck_assert_str_eq(json_string_value(value), expected);
}

static inline void assert_number(const json_t *element, const char *name, int64_t expected)
{
    const json_t *value = json_object_get(element, name);

    ck_assert_msg(json_is_integer(value), "%s is no integer", name);
    ck_assert_int_eq(json_integer_value(value), expected);
}

#endif
