#include "store/correlations.h"

#include "store/judge.h"
#include "tests/unit/store/fixture.h"

/* Sigma correlations over all devices of a workspace, from the event to the alert. */
static struct ruleset *ruleset;

static void rule_add(int workspace, const char *id, const char *yaml)
{
    char number[12];

    snprintf(number, sizeof number, "%d", workspace);
    const char *const parameters[] = {number, id, yaml};
    ck_assert_msg(db_query(fixture.owner, "INSERT INTO picket.rule (workspace_id, rule_id, kind, enabled, source) VALUES ($1::int, $2, 'sigma', true, $3)", parameters, 3, SQL_MS,
                           NULL, &why) == STATUS_OK, "%s", why.text);
}

static void setup(void)
{
    fixture_setup();
    ruleset = ruleset_new();
    rule_add(1, "a", "title: a\nid: a\nname: na\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    CommandLine|contains: zebra\n  condition: s\n");
    rule_add(1, "c", "title: Zebras by one user\nid: c\nlevel: high\ntags: [attack.execution]\ncorrelation:\n  type: event_count\n  rules: [na]\n  group-by: [User]\n"
                     "  timespan: 1m\n  condition: {gte: 3}\n");
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    fixture.judge = judge_new(ruleset);
}

static void teardown(void)
{
    judge_free(fixture.judge);
    fixture.judge = NULL;
    ruleset_free(ruleset);
    fixture_teardown();
}

/* Processes of one message; `second` counts from now. */
static void store(const char *device, uint32_t workspace, int second, const char *user, int count)
{
    char at[CLOCK_TEXT_SIZE];
    struct buf body;

    clock_format(fixture.now_us - fixture.now_us % 1000000 + second * INT64_C(1000000), at);
    buf_init(&body, 1 << 20);
    buf_format(&body,
               "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\",\"MessageSchemaVersion\":\"1.0\",\"Events\":[{\"Category\":\"Triggered\","
               "\"EventType\":\"Security\",\"Name\":\"ProcessCreate\",\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"072f3eca-3db0-45ba-8174-fa383bc93caf\",\"TimestampLocal\":\"%s\","
               "\"TimestampUTC\":\"%s\",\"IsEmpty\":false,\"Payload\":[",
               at, at);
    for (int i = 0; i < count; i++)
        buf_format(&body, "%s{\"Executable\":\"/bin/x\",\"CommandLine\":\"zebra\",\"UserName\":\"%s\",\"UserId\":\"0\",\"ProcessId\":42,\"ParentProcessId\":1}", i ? "," : "",
                   strchr(user, '%') ? arena_format(&fixture.arena, "%.*s%d", (int)(strchr(user, '%') - user), user, i) : user);
    buf_string(&body, "]}]}");
    (void)store_one(&(struct record_wish){.device = device, .workspace = workspace}, body.bytes);
    buf_done(&body);
}

static const char *judge(void)
{
    must(correlations_judge(ruleset, fixture.store, SQL_MS, &why));
    return sql_text("SELECT coalesce(string_agg(concat_ws(' ', workspace_id, device_id, rule_id, cause, repeat_count, details ->> 'Devices', details ->> 'Matches'), '; '"
                    " ORDER BY rule_id, cause), '') FROM picket.alert");
}

START_TEST(matches_on_several_devices_become_one_alert_of_the_workspace)
{
    store("pump-1", 1, 0, "ada", 1);
    store("pump-2", 1, 10, "ada", 1);
    store("pump-3", 1, 20, "eve", 2);
    store("pump-3", 2, 20, "ada", 2); /* another workspace, which has no such rule */
    ck_assert_str_eq(judge(), "");
    store("pump-3", 1, 30, "ada", 1);
    ck_assert_str_eq(judge(), "1  c ada 1 3 3");
    ck_assert_str_eq(judge(), "1  c ada 1 3 3"); /* once */
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', severity, title, tactics, details ->> 'User', details -> 'DeviceIds', reasons -> 0 ->> 'field', reasons -> 0 ->> 'value',"
                              " extract(epoch FROM last_seen_at - first_seen_at)::int) FROM picket.alert"),
                     "High|Zebras by one user|Execution|ada|[\"pump-1\", \"pump-2\", \"pump-3\"]|User|ada|30");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert a JOIN picket.alert_event e USING (workspace_id, alert_id) JOIN picket.raw_event r ON r.event_id = e.event_id"
                                " AND r.time_generated = e.time_generated AND r.device_id = e.device_id"),
                     3);
    store("pump-1", 1, 40, "ada", 2); /* the next round begins with these */
    ck_assert_str_eq(judge(), "1  c ada 1 3 3");
    store("pump-1", 1, 50, "ada", 1);
    ck_assert_str_eq(judge(), "1  c ada 2 1 3");
}
END_TEST

START_TEST(the_order_in_which_devices_were_stored_makes_no_difference)
{
    store("pump-3", 1, 100, "ada", 1);
    ck_assert_str_eq(judge(), "");
    store("pump-1", 1, 0, "ada", 1); /* what the others told late */
    ck_assert_str_eq(judge(), "");
    store("pump-2", 1, 50, "ada", 1); /* within a minute of each of them, which are not of each other */
    ck_assert_str_eq(judge(), "");
    store("pump-4", 1, 59, "ada", 1);
    ck_assert_str_eq(judge(), "1  c ada 1 3 3");
    ck_assert_str_eq(sql_text("SELECT details -> 'DeviceIds' FROM picket.alert"), "[\"pump-1\", \"pump-2\", \"pump-4\"]");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.correlation_hit"), 1); /* the first one still waits for others */
}
END_TEST

START_TEST(a_device_that_makes_groups_up_loses_its_own_alone)
{
    store("pump-1", 1, 0, "ada", 2);
    for (int i = 0; i < 6; i++)
        store("liar", 1, i, arena_format(&fixture.arena, "u%d-%%", i), 600);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.correlation_hit WHERE device_id = 'liar'"), 3000);
    ck_assert_str_eq(judge(), "");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.correlation_hit WHERE device_id = 'liar'"), 2000);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.correlation_hit WHERE NOT judged"), 0);
    store("liar", 1, 7, "eve", 600);
    store("pump-2", 1, 10, "ada", 1);
    ck_assert_str_eq(judge(), "1  c ada 1 2 3; 1  c eve 166 1 3");
}
END_TEST

START_TEST(what_is_hidden_or_gone_raises_nothing_and_goes_when_its_time_is_over)
{
    sql("INSERT INTO picket.exception (workspace_id, scope, rule_id, reason, owner, expires_at) VALUES (1, 'workspace', 'c', 'r', 'o', now() + interval '1 day')");
    store("pump-1", 1, 0, "ada", 3);
    ck_assert_str_eq(judge(), "");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.correlation_hit"), 0);
    sql("DELETE FROM picket.exception");

    store("pump-1", 1, 1, "ada", 2);
    sql("DELETE FROM picket.rule WHERE rule_id = 'c'");
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    ck_assert_str_eq(judge(), "");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.correlation_hit WHERE judged"), 2);
    sql("UPDATE picket.device_activity SET last_seen_at = last_seen_at + interval '62 minutes'");
    ck_assert_str_eq(judge(), "");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.correlation_hit"), 0);
}
END_TEST

START_TEST(alerts_of_devices_that_do_not_exist_say_so)
{
    sql("INSERT INTO picket.device (workspace_id, device_id, tags) VALUES (1, 'simulated-a', '{\"simulated\": \"true\"}'), (1, 'simulated-b', '{\"simulated\": \"true\"}')");
    store("simulated-a", 1, 0, "ada", 1);
    store("simulated-b", 1, 1, "ada", 2);
    store("simulated-b", 1, 1, "eve", 2);
    store("pump-1", 1, 2, "eve", 1);
    (void)judge();
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', cause, simulated, title), '; ' ORDER BY cause) FROM picket.alert"),
                     "ada t [simulated] Zebras by one user; eve f Zebras by one user");
}
END_TEST

START_TEST(commands_and_twins_count_where_a_rule_of_the_group_says_so)
{
    static const char judge_waiting[] = "SELECT picket.custom_waiting_judge()";

    sql("INSERT INTO picket.device (workspace_id, device_id, tags) VALUES (1, 'pump-1', '{\"SecurityGroup\": \"lab\"}'), (1, 'pump-2', '{}')");
    sql("INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, min_count, max_count, window_s) SELECT 1, 'lab', t || 'NotInAllowedRange', 0, 1, 86400"
        " FROM unnest('{DirectMethodInvokes,TwinUpdates,HttpC2DMessages,MqttC2DMessages,HttpC2DRejectedMessages,QueuePurges}'::text[]) t");
    sql("INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, min_count, max_count, window_s, enabled) VALUES"
        " (1, 'default', 'MqttC2DRejectedMessagesNotInAllowedRange', 0, 0, 86400, false)");
    for (int i = 0; i < 2; i++) {
        sql("INSERT INTO picket.method_call (workspace_id, device_id, method, payload, expires_at) SELECT 1, d, 'ping', '{}', now() FROM unnest('{pump-1,pump-2}'::text[]) d");
        sql("INSERT INTO picket.cloud_message (workspace_id, device_id, body, expires_at, state, lock_token) SELECT 1, 'pump-1', 'x', now() + interval '1 hour', 'locked', md5(n::text)::uuid"
            " FROM generate_series(1, 4) n");
        (void)sql_text("SELECT count(picket.cloud_settle(1, 'pump-1', md5(n::text)::uuid, o, t)) FROM (VALUES (1, 'completed', 'https'), (2, 'completed', 'mqtt'),"
                       " (3, 'rejected', 'https'), (4, 'queued', 'mqtt')) v (n, o, t)");
        (void)sql_text("SELECT picket.twin_report(1, 'pump-1', '', '{\"a\": 1}', 1000)");
        sql("DELETE FROM picket.cloud_message");
        ck_assert_int_eq(sql_number(judge_waiting), 6); /* a method of each, two messages, a rejection, a twin */
        ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert"), i ? 5 : 0);
    }
    ck_assert_int_eq(sql_number(judge_waiting), 0);
    ck_assert_str_eq(sql_text("SELECT string_agg(DISTINCT concat_ws(' ', device_id, cause, severity, details ->> 'Count'), '; ') FROM picket.alert"), "pump-1 above Low 2");
    sql("UPDATE picket.device SET tags = tags || '{\"x\": \"y\"}' WHERE device_id = 'pump-1'");
    sql("INSERT INTO picket.twin (workspace_id, device_id, desired) VALUES (1, 'pump-2', '{\"b\": 1}')");
    sql("UPDATE picket.twin SET desired = '{\"b\": 2}' WHERE device_id = 'pump-2'");
    ck_assert_int_eq(sql_number(judge_waiting), 3);
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', device_id, times), '; ' ORDER BY device_id) FROM picket.custom_count WHERE rule_type LIKE 'Twin%'"), "pump-1 3");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        matches_on_several_devices_become_one_alert_of_the_workspace,
        the_order_in_which_devices_were_stored_makes_no_difference,
        a_device_that_makes_groups_up_loses_its_own_alone,
        what_is_hidden_or_gone_raises_nothing_and_goes_when_its_time_is_over,
        alerts_of_devices_that_do_not_exist_say_so,
        commands_and_twins_count_where_a_rule_of_the_group_says_so,
    };
    const struct check_suite suite = {"store/correlations", tests, sizeof tests / sizeof *tests, setup, teardown, 120};

    template_make();
    return check_main(&suite);
}
