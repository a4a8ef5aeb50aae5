#include "agent/aggregate.h"

#include <jansson.h>
#include <stdio.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/fake_port.h"

#define WINDOW_MS 60000
#define KEY_MAX 200

static struct fake fake;
static struct picket_agent agent;
static char queue[65536], message[65536], room[4096];
static struct picket_aggregate aggregate;

static void setup(void)
{
    const struct picket_agent_settings settings = {"1.2.3", {0, 0, 0}, 0};
    const struct picket_agent_memory memory = {.queues = {{queue, sizeof queue}}, .message = message, .message_size = sizeof message};

    fake_init(&fake);
    picket_agent_init(&agent, &fake.port, &settings, &memory);
    picket_aggregate_init(&aggregate, room, sizeof room, KEY_MAX, 256, WINDOW_MS);
}

static void teardown(void)
{
    fake_done(&fake);
}

static void happen_as(const char *name, const char *command, int pid, uint64_t hits)
{
    char payload[1024], key[1024];
    int count = snprintf(payload, sizeof payload, "[{\"CommandLine\":\"%s\",\"ProcessId\":%d}]", command, pid);
    int key_count = snprintf(key, sizeof key, "{\"CommandLine\":\"%s\",\"ProcessId\":0}", command);
    const struct picket_event event = {.name = name, .payload = payload, .payload_count = (size_t)count, .priority = PICKET_MEDIUM};

    picket_aggregate_observe(&aggregate, &agent, &event, key, (size_t)key_count, hits);
}

static void happen(const char *command, int pid)
{
    happen_as("ProcessCreate", command, pid, 1);
}

static void wait_ms(int64_t ms)
{
    fake.now_ms += ms;
    fake.utc_ms += ms;
    (void)picket_aggregate_tick(&aggregate, &agent);
}

/* All that was told since: "ls 7; ls 0 x3; " with the process' id and, of counts, the count. */
static const char *told(void)
{
    static char out[65536];
    size_t from = fake.sent_count, used = 0, i;
    json_t *event;

    out[0] = '\0';
    picket_agent_tick(&agent);
    for (; from < fake.sent_count; from++) {
        json_t *json = json_loadb(fake.sent[from].body, fake.sent[from].body_count, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_ptr_nonnull(json);
        json_array_foreach(json_object_get(json, "Events"), i, event) {
            const json_t *element = json_array_get(json_object_get(event, "Payload"), 0), *extra = json_object_get(element, "ExtraDetails");
            ck_assert_str_eq(json_string_value(json_object_get(event, "Category")), "Triggered");
            used += (size_t)snprintf(out + used, sizeof out - used, "%s %d%s%s; ", json_string_value(json_object_get(element, "CommandLine")),
                                     (int)json_integer_value(json_object_get(element, "ProcessId")), extra ? " x" : "",
                                     extra ? json_string_value(json_object_get(extra, "HitCount")) : "");
            ck_assert_uint_lt(used, sizeof out);
        }
        json_decref(json);
    }
    return out;
}

START_TEST(the_first_is_told_at_once_and_repeats_as_one_count_at_the_windows_end)
{
    happen("ls", 7);
    happen("ls", 8);
    happen("top", 9);
    happen("ls", 10);
    happen_as("ConnectionCreate", "ls", 11, 1); /* another name is another thing */
    ck_assert_str_eq(told(), "ls 7; top 9; ls 11; ");
    ck_assert_uint_eq(picket_aggregate_tick(&aggregate, &agent), WINDOW_MS);
    wait_ms(WINDOW_MS - 1);
    ck_assert_str_eq(told(), "");
    wait_ms(1);
    ck_assert_str_eq(told(), "ls 0 x2; ");
    ck_assert_uint_eq(picket_aggregate_tick(&aggregate, &agent), UINT32_MAX);
    happen("ls", 12); /* the next window begins with what happens in it */
    ck_assert_str_eq(told(), "ls 12; ");
}
END_TEST

START_TEST(a_count_has_the_bounds_of_its_window)
{
    happen("ls", 1);
    happen("ls", 2);
    wait_ms(WINDOW_MS);
    picket_agent_tick(&agent);
    ck_assert_ptr_nonnull(strstr(fake.sent[fake.sent_count - 1].body,
                                 "\"ExtraDetails\":{\"HitCount\":\"1\",\"StartTimeLocal\":\"2023-11-14T22:13:20.123+00:00\",\"StartTimeUtc\":\"2023-11-14T22:13:20.123Z\","
                                 "\"EndTimeLocal\":\"2023-11-14T22:14:20.123+00:00\",\"EndTimeUtc\":\"2023-11-14T22:14:20.123Z\"}"));
    happen("ls", 3);
    happen("ls", 4);
    fake.utc_ms -= INT64_C(31536000000); /* a clock that is put back a year */
    fake.now_ms += WINDOW_MS;
    (void)picket_aggregate_tick(&aggregate, &agent);
    picket_agent_tick(&agent);
    ck_assert_ptr_nonnull(strstr(fake.sent[fake.sent_count - 1].body, "\"StartTimeUtc\":\"2022-11-14T22:14:20.123Z\",\"EndTimeLocal\":\"2022-11-14T22:14:20.123+00:00\""));
}
END_TEST

START_TEST(ten_thousand_of_one_kind_are_two_events_and_an_exact_count)
{
    for (int i = 0; i < 10000; i++)
        happen("sh -c true", i + 1);
    wait_ms(WINDOW_MS);
    ck_assert_str_eq(told(), "sh -c true 1; sh -c true 0 x9999; ");
    ck_assert_uint_eq(agent.counts.observed, 2);
}
END_TEST

START_TEST(an_entry_that_makes_room_is_told_early_and_no_count_is_lost)
{
    char command[40];
    int total = 0;

    picket_aggregate_configure(&aggregate, &agent, 3, WINDOW_MS);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 4; i++) {
            snprintf(command, sizeof command, "c%d", i);
            happen_as("ProcessCreate", command, 5, 2);
        }
    picket_aggregate_flush(&aggregate, &agent);
    const char *all = told();
    for (const char *at = all; (at = strchr(at, ';')) != NULL; at++)
        total++;
    ck_assert_int_eq(total, 16); /* eight firsts, and eight counts of one */
    ck_assert_ptr_nonnull(strstr(all, "c3 0 x1; "));

    for (int i = 0; i < 400; i++) { /* by bytes as well as by number */
        snprintf(command, sizeof command, "%039d", i % 100);
        happen(command, 1);
    }
    picket_aggregate_configure(&aggregate, &agent, 1000, WINDOW_MS);
    for (int i = 0; i < 400; i++) {
        snprintf(command, sizeof command, "%039d", i % 100);
        happen(command, 1);
    }
    ck_assert_uint_le(aggregate.used, aggregate.size);
    picket_aggregate_flush(&aggregate, &agent);
    ck_assert_uint_eq(aggregate.used, 0);
}
END_TEST

START_TEST(what_cannot_be_counted_is_sent_each_time)
{
    static char longest[KEY_MAX + 1];

    memset(longest, 'x', KEY_MAX);
    happen(longest, 1);
    happen(longest, 2);
    ck_assert_uint_eq(agent.counts.observed, 2);
    picket_aggregate_configure(&aggregate, &agent, 256, 0);
    happen_as("ProcessCreate", "ls", 1, 3);
    ck_assert_uint_eq(agent.counts.observed, 5);
    ck_assert_uint_eq(aggregate.count, 0);
}
END_TEST

START_TEST(other_settings_end_the_window_first)
{
    happen("ls", 1);
    happen("ls", 2);
    picket_aggregate_configure(&aggregate, &agent, 256, WINDOW_MS); /* the same ones do not */
    ck_assert_str_eq(told(), "ls 1; ");
    picket_aggregate_configure(&aggregate, &agent, 256, 2 * WINDOW_MS);
    ck_assert_str_eq(told(), "ls 0 x1; ");
}
END_TEST

/* Whatever happens, each happening is told of once: as itself or in a count. */
START_TEST(every_happening_is_told_once)
{
    char command[80];
    uint64_t happened = 0, heard = 0;

    for (int i = 0; i < 20000; i++) {
        uint64_t hits = 1 + fake_roll(&fake) % 3;
        int length = (int)(fake_roll(&fake) % 60);
        snprintf(command, sizeof command, "%0*d", length + 1, (int)(fake_roll(&fake) % 40));
        happen_as("ProcessCreate", command, 1, hits);
        happened += hits;
        if (fake_roll(&fake) % 50 == 0)
            wait_ms((int64_t)(fake_roll(&fake) % WINDOW_MS));
        if (fake_roll(&fake) % 500 == 0)
            picket_aggregate_configure(&aggregate, &agent, 1 + (unsigned)(fake_roll(&fake) % 60), (int64_t)(fake_roll(&fake) % 3 * WINDOW_MS));
        if (i % 50 == 49 || i == 19999) {
            if (i == 19999)
                picket_aggregate_flush(&aggregate, &agent);
            const char *at = told();
            for (const char *end; (end = strchr(at, ';')) != NULL; at = end + 1) {
                const char *times = strchr(at, 'x');
                heard += times && times < end ? strtoull(times + 1, NULL, 10) : 1;
            }
        }
    }
    ck_assert_uint_eq(heard, happened);
    ck_assert_uint_eq(agent.counts.dropped, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_first_is_told_at_once_and_repeats_as_one_count_at_the_windows_end,
        a_count_has_the_bounds_of_its_window,
        ten_thousand_of_one_kind_are_two_events_and_an_exact_count,
        an_entry_that_makes_room_is_told_early_and_no_count_is_lost,
        what_cannot_be_counted_is_sent_each_time,
        other_settings_end_the_window_first,
        every_happening_is_told_once,
    };
    const struct check_suite suite = {"agent/aggregate", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
