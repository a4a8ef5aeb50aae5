#include "wire/micro_message.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check_main.h"

/* Bodies as devices send them, and what strangers make of them. Each is checked in memory of just its size, so that the
 * address sanitizer sees a byte too far. */
#define SAMPLES "tests/unit/store/samples/micro/"
#define BODY_MAX 4096

static const char *const samples[] = {
    "baseline",       "listeningports",   "log",
    "process",        "rtos_heartbeat",   "rtos_multi_event",
    "rtos_networkactivity", "rtos_systeminformation", "another_builder",
};
#define SAMPLE_COUNT (sizeof samples / sizeof *samples)

static size_t event_count, error_at;

static size_t sample_read(const char *name, uint8_t body[BODY_MAX])
{
    char path[256];

    snprintf(path, sizeof path, SAMPLES "%s.bin", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    size_t count = fread(body, 1, BODY_MAX, file);
    fclose(file);
    ck_assert(count > 0 && count < BODY_MAX);
    return count;
}

static const char *check(const uint8_t *body, size_t count)
{
    char *exact = malloc(count ? count : 1);
    uint8_t *marks = malloc(PICKET_FLATBUFFER_MARKS(count));

    if (count)
        memcpy(exact, body, count);
    const char *error = picket_micro_check(exact, count, marks, &event_count, &error_at);
    free(marks);
    free(exact);
    return error;
}

/* Reads all that a checked body holds, as store does. Returns the sum of what it read, so that nothing is left out. */
static uint64_t read_all(const uint8_t *body, size_t count)
{
    struct picket_flatbuffer buffer;
    struct picket_micro_message message;
    struct picket_micro_event event;
    struct picket_micro_item item;
    uint64_t sum = 0;

    char *exact = malloc(count);
    memcpy(exact, body, count);
    picket_flatbuffer_init(&buffer, exact, count, NULL);
    picket_micro_read(&buffer, &message);
    for (uint32_t i = 0; picket_micro_event(&buffer, &message, i, &event); i++) {
        for (uint32_t cursor = 0; picket_micro_item(&buffer, &event, &cursor, &item); sum++) {
            const struct picket_span texts[] = {item.executable, item.commandline, item.user_name, item.id, item.error,
                                                item.description, item.remediation, item.os, item.kernel, item.hardware,
                                                item.message, item.filename};
            for (size_t j = 0; j < sizeof texts / sizeof *texts; j++)
                for (size_t k = 0; k < texts[j].count; k++)
                    sum += (uint8_t)texts[j].bytes[k];
            for (unsigned j = 0; j < item.address_bytes; j++)
                sum += (uint64_t)item.local_address[j] + (item.remote_address ? item.remote_address[j] : 0);
        }
    }
    ck_assert_msg(!buffer.error, "checked, and then: %s at %zu", buffer.error, buffer.error_at);
    free(exact);
    return sum;
}

START_TEST(bodies_of_both_builders_are_whole)
{
    static const size_t events[] = {1, 1, 1, 2, 1, 3, 1, 1, 6};
    uint8_t body[BODY_MAX];

    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        size_t count = sample_read(samples[i], body);
        const char *error = check(body, count);
        ck_assert_msg(!error, "%s: %s at %zu", samples[i], error, error_at);
        ck_assert_uint_eq(event_count, events[i]);
        (void)read_all(body, count);
    }
}
END_TEST

START_TEST(a_body_cut_anywhere_is_refused)
{
    uint8_t body[BODY_MAX];

    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        size_t count = sample_read(samples[i], body);
        for (size_t cut = 0; cut < count; cut++)
            ck_assert_msg(check(body, cut), "%s cut after %zu of %zu bytes", samples[i], cut, count);
    }
}
END_TEST

START_TEST(any_byte_changed_is_refused_or_read_within_bounds)
{
    uint8_t body[BODY_MAX];
    unsigned refused = 0, taken = 0;

    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        size_t count = sample_read(samples[i], body);
        for (size_t at = 0; at < count; at++) {
            uint8_t was = body[at];
            for (unsigned value = 0; value < 256; value++) {
                body[at] = (uint8_t)value;
                if (check(body, count)) {
                    refused++;
                } else {
                    (void)read_all(body, count);
                    taken++;
                }
            }
            body[at] = was;
        }
    }
    ck_assert_uint_gt(refused, 1000);
    ck_assert_uint_gt(taken, 1000);
}
END_TEST

static void put_u32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

/* A message of process events laid out by hand: the root, its vtable, a string, the vector of events; then, per event,
 * its table and the payload's, which all name the one string. */
enum {
    ROOT_AT = 24, ROOT_VTABLE_AT = 4, EVENT_VTABLE_AT = 40, PAYLOAD_VTABLE_AT = 56,
    VECTOR_AT = 64,
};
#define EVENT_BYTES 32
#define PAYLOAD_BYTES 8

static size_t processes_make(uint8_t *body, unsigned events, size_t string_bytes)
{
    size_t tables = VECTOR_AT + 4 + 4 * (size_t)events, string = tables + events * (size_t)(EVENT_BYTES + PAYLOAD_BYTES);
    size_t total = (string + 4 + string_bytes + 1 + 3) / 4 * 4;

    memset(body, 0, total);
    put_u32(body, ROOT_AT);
    static const uint16_t root_vtable[] = {12, 12, 4, 0, 0, 8}, event_vtable[] = {14, EVENT_BYTES, 16, 0, 0, 14, 8},
                          payload_vtable[] = {6, PAYLOAD_BYTES, 4};
    for (unsigned i = 0; i < 7; i++) {
        if (i < 6)
            put_u16(body + ROOT_VTABLE_AT + 2 * i, root_vtable[i]);
        put_u16(body + EVENT_VTABLE_AT + 2 * i, event_vtable[i]);
        if (i < 3)
            put_u16(body + PAYLOAD_VTABLE_AT + 2 * i, payload_vtable[i]);
    }
    put_u32(body + ROOT_AT, ROOT_AT - ROOT_VTABLE_AT);
    put_u32(body + ROOT_AT + 4, (uint32_t)(string - (ROOT_AT + 4)));
    put_u32(body + ROOT_AT + 8, VECTOR_AT - (ROOT_AT + 8));
    put_u32(body + VECTOR_AT, events);
    for (unsigned i = 0; i < events; i++) {
        size_t event = tables + i * (size_t)(EVENT_BYTES + PAYLOAD_BYTES), payload = event + EVENT_BYTES;
        put_u32(body + VECTOR_AT + 4 + 4 * i, (uint32_t)(event - (VECTOR_AT + 4 + 4 * i)));
        put_u32(body + event, (uint32_t)(event - EVENT_VTABLE_AT));
        put_u32(body + event + 8, (uint32_t)(payload - (event + 8)));
        body[event + 14] = PICKET_MICRO_PROCESS;
        put_u32(body + payload, (uint32_t)(payload - PAYLOAD_VTABLE_AT));
        put_u32(body + payload + 4, (uint32_t)(string - (payload + 4)));
    }
    put_u32(body + string, (uint32_t)string_bytes);
    memset(body + string + 4, 'x', string_bytes);
    return total;
}

START_TEST(vtables_and_strings_may_be_shared)
{
    uint8_t body[BODY_MAX];
    size_t count = processes_make(body, 5, 9);

    const char *error = check(body, count);
    ck_assert_msg(!error, "%s at %zu", error, error_at);
    ck_assert_uint_eq(event_count, 5);
}
END_TEST

START_TEST(a_table_in_two_places_is_refused)
{
    uint8_t body[BODY_MAX];
    size_t count = processes_make(body, 2, 9), first = VECTOR_AT + 4 + 8;

    put_u32(body + VECTOR_AT + 8, (uint32_t)(first - (VECTOR_AT + 8))); /* the second event is the first */
    ck_assert_str_eq(check(body, count), "two parts of the buffer overlap");
    ck_assert_uint_eq(error_at, first);
}
END_TEST

START_TEST(a_table_that_holds_itself_is_refused)
{
    uint8_t body[BODY_MAX];
    size_t count = processes_make(body, 1, 9), event = VECTOR_AT + 4 + 4;

    /* Offsets only lead forward, until they wrap around: the payload is to be the event. */
    put_u32(body + event + 8, (uint32_t)-8);
    ck_assert_ptr_nonnull(check(body, count));
    put_u32(body + event + 8, 0);
    ck_assert_ptr_nonnull(check(body, count));
}
END_TEST

START_TEST(parts_that_lie_over_each_other_are_refused)
{
    uint8_t body[BODY_MAX];
    size_t count = processes_make(body, 2, 9), string = VECTOR_AT + 4 + 8 + 2 * (EVENT_BYTES + PAYLOAD_BYTES);

    /* The vector of events reaches into the first event. */
    put_u32(body + VECTOR_AT, 3);
    ck_assert_ptr_nonnull(check(body, count));

    /* A string over a table: the module id is the second event's last payload and what follows. */
    count = processes_make(body, 2, 9);
    put_u32(body + string - PAYLOAD_BYTES, 4);
    put_u32(body + ROOT_AT + 4, (uint32_t)(string - PAYLOAD_BYTES - (ROOT_AT + 4)));
    ck_assert_ptr_nonnull(check(body, count));

    /* One string within another. */
    count = processes_make(body, 2, 40);
    put_u32(body + string + 8, 4);
    body[string + 8 + 4 + 4] = 0;
    put_u32(body + ROOT_AT + 4, (uint32_t)(string + 8 - (ROOT_AT + 4)));
    ck_assert_str_eq(check(body, count), "two parts of the buffer overlap");

    /* A vtable within a table. */
    count = processes_make(body, 2, 9);
    size_t event = VECTOR_AT + 4 + 8;
    memcpy(body + event + 16, body + PAYLOAD_VTABLE_AT, 6);
    put_u32(body + event + EVENT_BYTES, (uint32_t)(EVENT_BYTES - 16));
    ck_assert_str_eq(check(body, count), "two parts of the buffer overlap");
}
END_TEST

START_TEST(a_long_string_may_not_be_shared_by_thousands)
{
    enum { EVENTS = 1000, STRING = 100000 };
    uint8_t *body = malloc(EVENTS * 64 + STRING + 1024);
    size_t count = processes_make(body, EVENTS, STRING);

    ck_assert_str_eq(check(body, count), "a string is shared by so many that they come to too much");
    count = processes_make(body, EVENTS, 100);
    ck_assert_ptr_null(check(body, count));
    free(body);
}
END_TEST

START_TEST(what_has_to_be_there_is_asked_for)
{
    uint8_t body[BODY_MAX];
    static const struct {
        size_t at; /* of a vtable's entry that becomes "absent" */
        const char *error;
    } cases[] = {
        {ROOT_VTABLE_AT + 4, "the message has no module id, or no events"},
        {ROOT_VTABLE_AT + 10, "the message has no module id, or no events"},
        {EVENT_VTABLE_AT + 4, "an event has no id, or no payload"},
        {EVENT_VTABLE_AT + 10, "an event has no id, or no payload"},
        {EVENT_VTABLE_AT + 12, "an event has no id, or no payload"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = processes_make(body, 1, 9);
        put_u16(body + cases[i].at, 0);
        const char *error = check(body, count);
        ck_assert_ptr_nonnull(error);
        ck_assert_str_eq(error, cases[i].error);
    }
}
END_TEST

START_TEST(indicators_are_read_whole_or_not_at_all)
{
    static const struct {
        const char *text;
        bool is_one, is_readable;
    } cases[] = {
        {"2.3-1-0-0", true, true},   {"2.0-1-1-0", true, true},    {"2.17-1-1-0", true, true}, {"3.0-1-1-0", true, false},
        {"2.3-0-1-0", true, false},  {"2.3-1-1-1", true, false},   {"2.3-1-0", false, false},  {"2.3-1-0-0 ", false, false},
        {"2.3-1-0-0-0", false, false}, {"2-3-1-0-0", false, false}, {"", false, false},         {"-2.3-1-0-0", false, false},
        {"99999.3-1-0-0", false, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct picket_micro_indicator indicator = {0, 0, 0, 0, 0};
        struct picket_span text = {cases[i].text, strlen(cases[i].text)};
        bool is_one = picket_micro_indicator_read(text, &indicator);
        ck_assert_msg(is_one == cases[i].is_one, "\"%s\"", cases[i].text);
        ck_assert_msg((is_one && picket_micro_readable(&indicator)) == cases[i].is_readable, "\"%s\"", cases[i].text);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        bodies_of_both_builders_are_whole,
        a_body_cut_anywhere_is_refused,
        any_byte_changed_is_refused_or_read_within_bounds,
        vtables_and_strings_may_be_shared,
        a_table_in_two_places_is_refused,
        a_table_that_holds_itself_is_refused,
        parts_that_lie_over_each_other_are_refused,
        a_long_string_may_not_be_shared_by_thousands,
        what_has_to_be_there_is_asked_for,
        indicators_are_read_whole_or_not_at_all,
    };
    return CHECK_MAIN("wire/micro_message", tests);
}
