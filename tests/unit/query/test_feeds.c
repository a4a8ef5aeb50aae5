#include "tests/unit/query/fixture.h"

/* Feeds as people and programs keep them: a generation is begun, filled and put in force, or the server fetches. */

static const char *kept(void)
{
    return sql_text(fixture.owner, "SELECT coalesce(string_agg(i.kind || ' ' || i.value || coalesce(' ' || i.confidence, '') || coalesce(' until ' || extract(year FROM i.valid_until), ''), '; '"
                                   " ORDER BY i.value), '') FROM picket.indicator i JOIN picket.feed f ON f.name = i.feed AND f.generation = i.generation");
}

static int64_t begin(const char *who, const char *feed)
{
    return json_integer_value(json_object_get(ask(who, "POST", arena_format(&fixture.arena, "/v1/feeds/%s/generations", feed), NULL, 200), "generation"));
}

static const json_t *fill(const char *who, const char *feed, int64_t generation, const char *values, unsigned code)
{
    return ask(who, "POST", arena_format(&fixture.arena, "/v1/feeds/%s/generations/%lld", feed, (long long)generation), arena_format(&fixture.arena, "{\"values\":[%s]}", values), code);
}

static const json_t *finish(const char *who, const char *feed, int64_t generation, unsigned code)
{
    return ask(who, "POST", arena_format(&fixture.arena, "/v1/feeds/%s/generations/%lld/finish", feed, (long long)generation), NULL, code);
}

START_TEST(a_generation_counts_when_it_is_finished_and_another_begun_ends_it)
{
    const char *admin = token("admin", "default"), *reader = token("reader", "default");

    ask(reader, "PUT", "/v1/feeds/bad", "{}", 403);
    ask(admin, "PUT", "/v1/feeds/bad", "{\"min_confidence\":50}", 200);
    int64_t first = begin(admin, "bad");
    const json_t *filled = fill(admin, "bad", first, "\"203.0.113.1\",\"no indicator!\",7,{\"value\":\"C2.example\",\"confidence\":180,\"valid_until\":\"2030-01-01T00:00:00Z\"}", 200);
    ck_assert_int_eq(json_integer_value(json_object_get(filled, "added")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(filled, "ignored")), 2);
    ck_assert_str_eq(kept(), "");
    ck_assert_int_eq(json_integer_value(json_object_get(finish(admin, "bad", first, 200), "indicators")), 2);
    ck_assert_str_eq(kept(), "ip 203.0.113.1; domain C2.example 100 until 2030");
    int64_t second = begin(admin, "bad"), third = begin(admin, "bad");
    fill(admin, "bad", second, "\"203.0.113.2\"", 409);
    fill(admin, "bad", third, "\"203.0.113.3\"", 200);
    finish(admin, "bad", second, 409);
    finish(admin, "bad", third, 200);
    ck_assert_str_eq(kept(), "ip 203.0.113.3");
    fill(admin, "bad", third, "\"203.0.113.4\"", 409);
    ask(admin, "POST", "/v1/feeds/bad/generations/4", "{\"values\":1}", 409);
    ask(token("admin", "bravo"), "GET", "/v1/feeds/bad", NULL, 404);
    ask(admin, "POST", "/v1/feeds/bad/pull", NULL, 409); /* it has no URL */
    ask(admin, "DELETE", "/v1/feeds/bad", NULL, 204);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.indicator"), 0);
}
END_TEST

START_TEST(entries_of_warning_lists_are_kept_as_they_are_meant)
{
    static const char values[] = "\"a.example\",{\"value\":\"b.example\",\"type\":\"hostname\"},{\"value\":\"192.0.2.1\",\"type\":\"hostname\"},{\"value\":\"cdn\",\"type\":\"substring\"},"
                                 "{\"value\":\"^ns[0-9]\",\"type\":\"regex\"},{\"value\":\"(\",\"type\":\"regex\"},{\"value\":\"a.example\",\"type\":\"rumour\"}";
    const char *admin = token("admin", "default");

    ck_assert_str_eq(string_in(ask(admin, "PUT", "/v1/feeds/friends", "{\"format\":\"warninglist\"}", 200), "kind"), "warning");
    int64_t generation = begin(admin, "friends");
    ck_assert_int_eq(json_integer_value(json_object_get(fill(admin, "friends", generation, values, 200), "ignored")), 2);
    finish(admin, "friends", generation, 200);
    ck_assert_str_eq(kept(), "ip 192.0.2.1; regex ^ns[0-9]; domain a.example; below b.example; substring cdn");
    ask(admin, "PUT", "/v1/feeds/bad", "{}", 200); /* where patterns would be threats nobody looks for */
    generation = begin(admin, "bad");
    ck_assert_int_eq(json_integer_value(json_object_get(fill(admin, "bad", generation, values, 200), "added")), 3);
}
END_TEST

START_TEST(what_makes_no_sense_of_a_feed_is_refused)
{
    static const char *const wrong[] = {"{\"kind\":\"rumour\"}", "{\"format\":\"parchment\"}", "{\"url\":\"ftp://a.example/\"}", "{\"pull_every_s\":5}", "{\"min_confidence\":101}", "{\"enabled\":1}", "{\"x\":1}"};
    const char *admin = token("admin", "default");

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ask(admin, "PUT", "/v1/feeds/bad", wrong[i], 400);
    ck_assert_uint_eq(count_in(get(admin, "/v1/feeds"), "feeds"), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_generation_counts_when_it_is_finished_and_another_begun_ends_it,
        entries_of_warning_lists_are_kept_as_they_are_meant,
        what_makes_no_sense_of_a_feed_is_refused,
    };

    template_make();
    return FIXTURE_MAIN("query/feeds", tests);
}
