#include "store/feeds.h"

#include "store/feed_fetch.h"
#include "store/judge.h"
#include "store/threats.h"
#include "tests/support/canned.h"
#include "tests/unit/store/fixture.h"

#define WAIT_MS 20000
#define POLL_US 20000

static struct ruleset *ruleset;
static struct feeds *feeds;
static struct canned *canned;
static struct store_settings settings;

static void setup(void)
{
    fixture_setup();
    ruleset = ruleset_new();
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    fixture.judge = judge_new(ruleset);
    settings = (struct store_settings){.database = arena_string(&fixture.arena, text_of(database_conninfo_for(NULL, fixture.database)))};
}

static void teardown(void)
{
    feeds_close(feeds);
    canned_close(canned);
    feeds = NULL;
    canned = NULL;
    judge_free(fixture.judge);
    fixture.judge = NULL;
    ruleset_free(ruleset);
    fixture_teardown();
}

static void feed_put(const char *name, const char *kind, int generation, const char *values)
{
    sql(arena_format(&fixture.arena, "INSERT INTO picket.feed (workspace_id, name, kind, generation, making, loaded_at) VALUES (1, '%s', '%s', %d, %d, now())"
                                     " ON CONFLICT (workspace_id, name) DO UPDATE SET generation = excluded.generation, making = excluded.making",
                     name, kind, generation, generation));
    sql(arena_format(&fixture.arena, "INSERT INTO picket.indicator (workspace_id, feed, generation, value, kind, confidence, valid_until) VALUES %s", values));
}

#define CONNECTION(address, port)                                                                                                                  \
    "{\"RemoteAddress\":\"" address "\",\"RemotePort\":\"" port "\",\"Direction\":\"Out\",\"Protocol\":\"tcp\",\"ProcessId\":1,\"Executable\":\"/x\"}"

static void store_event(const char *name, const char *payload)
{
    (void)store_one(&(struct record_wish){.device = "pump-1"},
                    arena_format(&fixture.arena,
                                 "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\",\"MessageSchemaVersion\":\"1.0\",\"Events\":[{\"Category\":\"Triggered\","
                                 "\"EventType\":\"Security\",\"Name\":\"%s\",\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"072f3eca-3db0-45ba-8174-fa383bc93caf\",\"IsEmpty\":false,"
                                 "\"Payload\":[%s]}]}",
                                 name, payload));
    judge_committed(fixture.judge);
}

static const char *alerts(void)
{
    return sql_text("SELECT coalesce(string_agg(rule_id || ' ' || cause || CASE WHEN found_later THEN ' later' ELSE '' END, '; ' ORDER BY rule_id, cause), '') FROM picket.alert");
}

static void text_becomes(const char *statement, const char *wanted)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    const char *found;

    while (strcmp(found = sql_text(statement), wanted) != 0) {
        ck_assert_msg(clock_monotonic_ms() < until_ms, "%s stays at %s, not %s", statement, found, wanted);
        usleep(POLL_US);
    }
}

START_TEST(what_a_feed_lists_raises_alerts_but_not_its_neighbours_friends_or_what_is_over)
{
    feed_put("bad", "threat", 1,
             "(1,'bad',1,'203.0.113.66','ip',NULL,NULL), (1,'bad',1,'203.0.113.68:8080','ip_port',NULL,NULL), (1,'bad',1,'c2.example','domain',NULL,NULL),"
             " (1,'bad',1,'192.0.2.53','ip',NULL,NULL), (1,'bad',1,'203.0.113.70','ip',20,NULL), (1,'bad',1,'203.0.113.71','ip',NULL,now() - interval '1 s'),"
             " (1,'bad',1,'203.0.113.72','ip',80,now() + interval '1 day'), (1,'bad',1,'cdn.example','domain',NULL,NULL)");
    feed_put("friends", "warning", 1, "(1,'friends',1,'192.0.2.0/24','network',NULL,NULL), (1,'friends',1,'cdn.example','domain',NULL,NULL)");
    sql("UPDATE picket.feed SET min_confidence = 50");
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    store_event("ConnectionCreate", CONNECTION("203.0.113.66", "1") "," CONNECTION("203.0.113.67", "1") "," CONNECTION("203.0.113.68", "8080") "," CONNECTION("203.0.113.68", "8081") ","
                CONNECTION("192.0.2.53", "53") "," CONNECTION("203.0.113.70", "1") "," CONNECTION("203.0.113.71", "1") "," CONNECTION("203.0.113.72", "1"));
    store_event("DnsRequest", "{\"Domain\":\"a.C2.example.\"},{\"Domain\":\"notc2.example\"},{\"Domain\":\"cdn.example\"}");
    ck_assert_str_eq(alerts(), "IoT_MaliciousNameQueriesDetection a.C2.example.; IoT_TiConnection 203.0.113.66; IoT_TiConnection 203.0.113.68; IoT_TiConnection 203.0.113.72");
    sql("UPDATE picket.feed SET enabled = false WHERE name = 'bad'");
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    sql("DELETE FROM picket.alert");
    store_event("ConnectionCreate", CONNECTION("203.0.113.66", "1"));
    ck_assert_str_eq(alerts(), "");
}
END_TEST

START_TEST(what_warning_lists_name_raises_nothing_whatever_feeds_list_around_it)
{
    feed_put("bad", "threat", 1,
             "(1,'bad',1,'198.51.100.0/24','network',NULL,NULL), (1,'bad',1,'evil.example','domain',NULL,NULL), (1,'bad',1,'cdn7.example','domain',NULL,NULL),"
             " (1,'bad',1,'www.fine.example','domain',NULL,NULL), (1,'bad',1,'http://fine.example/x','url',NULL,NULL)");
    feed_put("friends", "warning", 1,
             "(1,'friends',1,'198.51.100.8','ip',NULL,NULL), (1,'friends',1,'good.evil.example','domain',NULL,NULL), (1,'friends',1,'^cdn[0-9]','regex',NULL,NULL),"
             " (1,'friends',1,'fine.example','below',NULL,NULL)");
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    store_event("ConnectionCreate", CONNECTION("198.51.100.8", "53") "," CONNECTION("198.51.100.9", "53"));
    store_event("DnsRequest", "{\"Domain\":\"good.evil.example\"},{\"Domain\":\"x.evil.example\"},{\"Domain\":\"cdn7.example\"},{\"Domain\":\"www.fine.example\"}");
    store_event("ProcessCreate", "{\"Executable\":\"/x\",\"CommandLine\":\"wget http://fine.example/x\",\"UserId\":\"0\",\"ProcessId\":1,\"ParentProcessId\":1}");
    ck_assert_str_eq(alerts(), "IoT_MaliciousNameQueriesDetection x.evil.example; IoT_PossibleMalware fine.example; IoT_TiConnection 198.51.100.9");
}
END_TEST

START_TEST(what_is_listed_later_is_found_in_what_was_stored)
{
    store_event("ConnectionCreate", CONNECTION("203.0.113.66", "4444") "," CONNECTION("203.0.113.66", "4444") "," CONNECTION("10.0.0.7", "1") "," CONNECTION("203.0.113.80", "1"));
    store_event("DnsRequest", "{\"Domain\":\"x.c2.example\"}");
    store_event("ProcessCreate", "{\"Executable\":\"/x\",\"CommandLine\":\"wget http://203.0.113.90/b\",\"UserId\":\"0\",\"ProcessId\":1,\"ParentProcessId\":1,"
                                 "\"ExtraDetails\":{\"Hash\":\"a9993e364706816aba3e25717850c26c9cd0d89d\"}}");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.observable"), 5); /* each once, and none of private addresses */
    feed_put("bad", "threat", 1, "(1,'bad',1,'203.0.113.80','ip',NULL,NULL)");
    sql("UPDATE picket.feed SET retro_done = 1");
    feed_put("bad", "threat", 2,
             "(1,'bad',2,'203.0.113.80','ip',NULL,NULL), (1,'bad',2,'203.0.113.66:4444','ip_port',NULL,NULL), (1,'bad',2,'c2.example','domain',NULL,NULL),"
             " (1,'bad',2,'203.0.113.88/29','network',NULL,NULL), (1,'bad',2,'A9993E364706816ABA3E25717850C26C9CD0D89D','sha1',NULL,NULL)");
    must(feeds_open(&settings, &feeds, &why));
    text_becomes("SELECT retro_done FROM picket.feed", "2");
    ck_assert_str_eq(alerts(), "IoT_MaliciousNameQueriesDetection x.c2.example later; IoT_PossibleMalware 203.0.113.90 later;"
                               " IoT_PossibleMalware a9993e364706816aba3e25717850c26c9cd0d89d later; IoT_TiConnection 203.0.113.66 later");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert a JOIN picket.alert_event e USING (workspace_id, alert_id) JOIN picket.raw_event r ON r.event_id = e.event_id"
                                " AND r.time_generated = e.time_generated"),
                     4);
    text_becomes("SELECT min(generation) FROM picket.indicator", "2"); /* what was before goes once it was compared with */
}
END_TEST

START_TEST(feeds_are_fetched_when_they_are_due_and_keep_what_they_had_when_that_fails)
{
    static const struct canned_answer answers[] = {
        {"/list", 200, "203.0.113.66\nc2.example\nnonsense!\n"},
        {"/objects", 200, "{\"more\":true,\"next\":\"p 2\",\"objects\":[{\"type\":\"indicator\",\"pattern\":\"[ipv4-addr:value = '203.0.113.1']\",\"confidence\":70}]}"},
        {"/objects?next=p%202", 200, "{\"objects\":[{\"type\":\"indicator\",\"pattern\":\"[domain-name:value = 'a.example']\",\"valid_until\":\"2030-01-01T00:00:00Z\"}]}"},
        {"/empty", 200, "# nothing\n"},
        {"/friends", 200, "{\"type\":\"hostname\",\"list\":[\"fine.example\"]}"},
        {NULL, 0, NULL},
    };

    canned = canned_open(answers);
    sql(arena_format(&fixture.arena,
                     "INSERT INTO picket.feed (workspace_id, name, url, format, pull_every, generation, indicator_count) VALUES (1, 'a', 'http://127.0.0.1:%d/list', 'auto', '1 hour', 0, 0),"
                     " (1, 'b', 'http://127.0.0.1:%d/objects', 'taxii', NULL, 0, 0), (1, 'c', 'http://127.0.0.1:%d/gone', 'auto', '1 hour', 1, 7), (1, 'd', 'http://127.0.0.1:%d/empty',"
                     " 'list', '1 hour', 1, 7), (1, 'e', 'http://127.0.0.1:%d/friends', 'auto', '1 hour', 0, 0)",
                     canned_port(canned), canned_port(canned), canned_port(canned), canned_port(canned), canned_port(canned)));
    must(feeds_open(&settings, &feeds, &why));
    text_becomes("SELECT count(*) FROM picket.feed WHERE pulled_at IS NOT NULL AND retro_done = generation AND (loaded_at IS NOT NULL OR problem IS NOT NULL)", "5");
    ck_assert_str_eq(sql_text("SELECT string_agg(value || ' ' || kind || coalesce(' ' || confidence, '') || coalesce(' ' || extract(year FROM valid_until), ''), '; ' ORDER BY feed, value)"
                              " FROM picket.indicator WHERE feed <> 'e'"),
                     "203.0.113.66 ip; c2.example domain; 203.0.113.1 ip 70; a.example domain 2030");
    ck_assert_str_eq(sql_text("SELECT string_agg(name || ' ' || indicator_count, '; ' ORDER BY name) FROM picket.feed"), "a 2; b 2; c 7; d 7; e 0");
    ck_assert(strstr(sql_text("SELECT problem FROM picket.feed WHERE name = 'c'"), "answers 404"));
    ck_assert(strstr(sql_text("SELECT problem FROM picket.feed WHERE name = 'd'"), "no indicators"));
    ck_assert(strstr(sql_text("SELECT problem FROM picket.feed WHERE name = 'e'"), "--kind warning")); /* its names are no threats */
    sql("UPDATE picket.feed SET pulled_at = NULL, kind = 'warning' WHERE name = 'e'");
    text_becomes("SELECT coalesce(string_agg(i.kind || ' ' || i.value, '; '), '') FROM picket.indicator i JOIN picket.feed f USING (workspace_id, generation) WHERE i.feed = 'e' AND f.name = 'e'", "below fine.example");
    sql("UPDATE picket.feed SET pulled_at = NULL WHERE name = 'b'");
    text_becomes("SELECT making FROM picket.feed WHERE name = 'b'", "2");
    text_becomes("SELECT generation FROM picket.feed WHERE name = 'b'", "2");
    ck_assert(strstr(canned_request(canned), "application/taxii+json;version=2.1"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_a_feed_lists_raises_alerts_but_not_its_neighbours_friends_or_what_is_over,
        what_warning_lists_name_raises_nothing_whatever_feeds_list_around_it,
        what_is_listed_later_is_found_in_what_was_stored,
        feeds_are_fetched_when_they_are_due_and_keep_what_they_had_when_that_fails,
    };

    template_make();
    return check_main(&(const struct check_suite){"store/feeds", tests, sizeof tests / sizeof *tests, setup, teardown, 120});
}
