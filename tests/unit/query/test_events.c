#include <string.h>

#include "tests/unit/query/fixture.h"

static const json_t *first_of(const json_t *answer)
{
    return json_array_get(json_object_get(answer, "events"), 0);
}

/* Turns pages until there is no next one; counts rows whose "n" is from 1 to `numbers` and insists that none comes twice. */
static size_t pages_walk(const char *reader, const char *path, size_t numbers, void (*between)(size_t page))
{
    const char *at = path;
    bool *seen = arena_alloc(&fixture.arena, sizeof *seen, numbers + 1);
    size_t count = 0;

    for (size_t page = 0; at; page++) {
        const json_t *answer = get(reader, at), *event;
        size_t i;
        ck_assert_uint_lt(page, 1000);
        json_array_foreach(json_object_get(answer, "events"), i, event)
        {
            int64_t n = number_in(json_object_get(event, "details"), "n");
            if (n < 1 || n > (int64_t)numbers)
                continue;
            ck_assert_msg(!seen[n], "event %lld came twice", (long long)n);
            seen[n] = true;
            count++;
        }
        if (between)
            between(page);
        const char *next = json_string_value(json_object_get(answer, "next"));
        at = next ? arena_format(&fixture.arena, "%s&cursor=%s", path, next) : NULL;
    }
    return count;
}

START_TEST(an_event_is_answered_as_it_was_sent)
{
    const char *reader = token("reader", "default");

    /* {"b":1,"a":{"z":[1.50,"x"],"y":null}}: jsonb sorts, the order is kept beside it. */
    sql("INSERT INTO picket.raw_event (workspace_id, device_id, module_id, time_generated, time_stamp, event_id,"
        " sender_event_id, element, type, category, name, hit_count, details, key_order, departures, extra, bus_topic_id,"
        " bus_partition, bus_offset) VALUES (1, 'd', 'm', now(), '2026-01-02 03:04:05.678901+00',"
        " '0b9d9ea0-0000-4000-8000-000000000001', 'theirs', 2, 'Security', 'Triggered', 'Login', 3,"
        " '{\"b\":1,\"a\":{\"z\":[1.50,\"x\"],\"y\":null}}', '\\x01000100', '{late}', '{\"Odd\":1}', 1, 3, 99)");
    http_send(reader, "GET", "/v1/events", NULL, NULL);
    ck_assert_ptr_nonnull(strstr(fixture.last.body.bytes, "\"details\":{\"b\":1,\"a\":{\"z\":[1.50,\"x\"],\"y\":null}}"));
    const json_t *event = first_of(get(reader, "/v1/events"));
    ck_assert_str_eq(string_in(event, "id"), "0b9d9ea0-0000-4000-8000-000000000001");
    ck_assert_str_eq(string_in(event, "event_id"), "theirs");
    ck_assert_str_eq(string_in(event, "message"), "direct/3@99");
    ck_assert_str_eq(string_in(event, "device"), "d");
    ck_assert_str_eq(string_in(event, "module"), "m");
    ck_assert_int_eq(number_in(event, "element"), 2);
    ck_assert_str_eq(string_in(event, "time_stamp"), "2026-01-02T03:04:05.678901Z");
    ck_assert_int_eq(number_in(event, "hit_count"), 3);
    ck_assert_uint_eq(count_in(event, "departures"), 1);
    ck_assert_int_eq(number_in(json_object_get(event, "extra"), "Odd"), 1);
    events_put(1, "plain", 1, 1, "1 minute");
    event = first_of(get(reader, "/v1/events?device=plain"));
    ck_assert_uint_eq(count_in(event, "departures"), 0);
    ck_assert(json_is_null(json_object_get(event, "event_id")));
    ck_assert_ptr_null(json_object_get(event, "extra"));
}
END_TEST

START_TEST(events_are_filtered_by_what_is_asked)
{
    const char *reader = token("reader", "default");

    events_put(1, "d", 1, 10, "1 minute");
    events_put(1, "e", 11, 10, "1 minute");
    sql("UPDATE picket.raw_event SET module_id = 'm' WHERE device_id = 'd' AND element = 0 AND (details ->> 'n')::int <= 4");
    sql("UPDATE picket.raw_event SET name = 'Process', type = 'Operational' WHERE (details ->> 'n')::int = 7");
    ck_assert_uint_eq(count_in(get(reader, "/v1/events"), "events"), 20);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?device=d"), "events"), 10);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?device=d/m"), "events"), 4);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?device=d%2Fm"), "events"), 4);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?name=Process"), "events"), 1);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?type=Operational&device=d"), "events"), 1);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?type=Operational&device=e"), "events"), 0);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?type=security"), "events"), 0);
}
END_TEST

START_TEST(text_is_found_as_it_stands_in_the_details)
{
    const char *reader = token("reader", "default");

    events_put(1, "d", 1, 12, "1 minute");
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?text=event+1"), "events"), 4); /* 1, 10, 11, 12 */
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?text=event+12"), "events"), 1);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?text=%22n%22%3A7"), "events"), 1);    /* "n":7 */
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?text=%22n%22%3A+7"), "events"), 0);   /* "n": 7 is jsonb's form */
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?text=+7"), "events"), 1);             /* in "event 7", not ": 7" */
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?text=%25"), "events"), 0);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?text=Event"), "events"), 0);
}
END_TEST

START_TEST(times_bound_what_is_listed)
{
    const char *reader = token("reader", "default");

    events_put(1, "d", 1, 5, "30 minutes");
    events_put(1, "d", 6, 5, "10 hours");
    events_put(1, "d", 11, 5, "40 hours");
    ck_assert_uint_eq(count_in(get(reader, "/v1/events"), "events"), 10); /* the last day */
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?since=1h"), "events"), 5);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?since=PT1H"), "events"), 5);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?since=3d"), "events"), 15);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?until=1h"), "events"), 5);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?since=3d&until=1d"), "events"), 5);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?since=0001-01-01T00:00:00Z&until=9999-12-31T00:00:00Z"), "events"), 15);
    ck_assert_uint_eq(count_in(get(reader, "/v1/events?since=1h&until=2h"), "events"), 0);
    ask(reader, "GET", "/v1/events?since=yesterday", NULL, 400);
    ask(reader, "GET", "/v1/events?until=1x", NULL, 400);
    ask(reader, "GET", "/v1/events?limit=1001", NULL, 400);
    get(reader, "/v1/events?limit=1000");
    ask(reader, "GET", "/v1/events?cursor=nonsense", NULL, 400);
}
END_TEST

START_TEST(a_next_page_is_only_announced_when_there_is_one)
{
    const char *reader = token("reader", "default");

    events_put(1, "d", 1, 10, "1 minute");
    events_put(1, "d", 11, 10, "20 hours");
    ck_assert(json_is_null(json_object_get(get(reader, "/v1/events?limit=20"), "next")));
    ck_assert(json_is_string(json_object_get(get(reader, "/v1/events?limit=19"), "next")));
    ck_assert(json_is_string(json_object_get(get(reader, "/v1/events?limit=10"), "next")));
    const char *next = string_in(get(reader, "/v1/events?limit=10"), "next");
    const json_t *last = get(reader, arena_format(&fixture.arena, "/v1/events?limit=10&cursor=%s", next));
    ck_assert_uint_eq(count_in(last, "events"), 10);
    ck_assert(json_is_null(json_object_get(last, "next")));
}
END_TEST

START_TEST(pages_are_newest_first_across_windows_and_days)
{
    const char *reader = token("reader", "default");
    static const char *const agos[] = {"0 seconds", "50 seconds", "10 minutes", "3 hours", "20 hours", "50 hours"};
    char last[40] = "9999";

    for (int i = 0; i < 6; i++)
        events_put(1, i % 2 ? "d" : "e", 1 + i * 50, 50, agos[i]);
    const json_t *answer = get(reader, "/v1/events?since=3d&limit=1000"), *event;
    size_t i;
    ck_assert_uint_eq(count_in(answer, "events"), 300);
    json_array_foreach(json_object_get(answer, "events"), i, event)
    {
        ck_assert_str_le(string_in(event, "time_generated"), last);
        snprintf(last, sizeof last, "%s", string_in(event, "time_generated"));
    }
    ck_assert_uint_eq(pages_walk(reader, "/v1/events?since=3d&limit=7", 300, NULL), 300);
    ck_assert_uint_eq(pages_walk(reader, "/v1/events?since=3d&limit=7&device=d", 300, NULL), 150);
}
END_TEST

/* Newer ones, ones between those on the next pages, and the oldest: what was there has to come once all the same. */
static void insert_around(size_t page)
{
    events_put(1, "d", 10000 + (int)page * 10, 3, "0 seconds");
    events_put(1, "d", 20000 + (int)page * 10, 3, "2 hours");
    events_put(1, "d", 30000 + (int)page * 10, 3, "23 hours");
}

START_TEST(pages_lose_and_repeat_nothing_while_rows_are_inserted)
{
    const char *reader = token("reader", "default");

    events_put(1, "d", 1, 200, "1 minute");
    events_put(1, "d", 201, 200, "6 hours");
    ck_assert_uint_eq(pages_walk(reader, "/v1/events?limit=13", 400, insert_around), 400);
}
END_TEST

START_TEST(rows_of_one_moment_are_told_apart_by_their_id)
{
    const char *reader = token("reader", "default");

    events_put(1, "d", 1, 100, "1 minute");
    sql("UPDATE picket.raw_event SET time_generated = date_trunc('day', now()) + interval '1 second'");
    ck_assert_uint_eq(pages_walk(reader, "/v1/events?since=2d&limit=9", 100, NULL), 100);
}
END_TEST

START_TEST(the_window_of_a_cursor_stands_still)
{
    const char *reader = token("reader", "default");

    /* Within the window when the first page is asked, out of it if the window moved on. */
    sql("INSERT INTO picket.raw_event (workspace_id, device_id, time_generated, time_stamp, event_id, element, type, category,"
        " name, details, bus_topic_id, bus_partition, bus_offset) SELECT 1, 'd', now() - interval '59 minutes 58 seconds', now(),"
        " gen_random_uuid(), 0, 'Custom', 'c', 'n', jsonb_build_object('n', n), 1, 0, 0 FROM generate_series(1, 20) n");
    const json_t *page = get(reader, "/v1/events?since=1h&limit=10");
    ck_assert_uint_eq(count_in(page, "events"), 10);
    int64_t until_ms = clock_monotonic_ms() + 20000;
    while (count_in(get(reader, "/v1/events?since=1h"), "events") > 0)
        ck_assert_int_lt(clock_monotonic_ms(), until_ms);
    const json_t *rest = get(reader, arena_format(&fixture.arena, "/v1/events?since=1h&limit=10&cursor=%s",
                                                  string_in(page, "next")));
    ck_assert_uint_eq(count_in(rest, "events"), 10);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_event_is_answered_as_it_was_sent,
        events_are_filtered_by_what_is_asked,
        text_is_found_as_it_stands_in_the_details,
        times_bound_what_is_listed,
        a_next_page_is_only_announced_when_there_is_one,
        pages_are_newest_first_across_windows_and_days,
        pages_lose_and_repeat_nothing_while_rows_are_inserted,
        rows_of_one_moment_are_told_apart_by_their_id,
        the_window_of_a_cursor_stands_still,
    };

    template_make();
    return FIXTURE_MAIN("query/events", tests);
}
