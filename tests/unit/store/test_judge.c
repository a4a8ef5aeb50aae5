#include "store/judge.h"

#include <pthread.h>
#include <sched.h>

#include "store/alerts.h"
#include "store/store_metrics.h"
#include "tests/unit/store/fixture.h"

static struct ruleset *ruleset;

static void setup(void)
{
    fixture_setup();
    ruleset = ruleset_new();
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

/* A message of one event; `second` counts from now. */
static const char *message(const char *name, int second, const char *payload)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(fixture.now_us - fixture.now_us % 1000000 + second * INT64_C(1000000), at);
    return arena_format(&fixture.arena,
                        "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\",\"MessageSchemaVersion\":\"1.0\",\"Events\":[{\"Category\":\"Triggered\","
                        "\"EventType\":\"Security\",\"Name\":\"%s\",\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"072f3eca-3db0-45ba-8174-fa383bc93caf\",\"TimestampLocal\":\"%s\","
                        "\"TimestampUTC\":\"%s\",\"IsEmpty\":false,\"Payload\":[%s]}]}",
                        name, at, at, payload);
}

#define PROCESS(command) "{\"Executable\":\"/bin/x\",\"CommandLine\":\"" command "\",\"UserId\":\"0\",\"ProcessId\":42,\"ParentProcessId\":1}"
#define FAILED "{\"ProcessId\":1,\"Operation\":\"login\",\"Executable\":\"/usr/sbin/sshd\",\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"
#define SUCCEEDED "{\"ProcessId\":1,\"Operation\":\"login\",\"Executable\":\"/usr/sbin/sshd\",\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"

static void store(const char *device, uint32_t workspace, const char *body)
{
    (void)store_one(&(struct record_wish){.device = device, .workspace = workspace}, body);
}

static const char *alerts(void)
{
    return sql_text("SELECT coalesce(string_agg(concat_ws(' ', workspace_id, device_id, rule_id, cause, repeat_count), '; ' ORDER BY workspace_id, device_id, rule_id, cause), '')"
                    " FROM picket.alert");
}

START_TEST(an_alert_says_what_fired_why_and_by_which_event)
{
    store("pump-1", 1, message("ProcessCreate", 0, PROCESS("iptables -F")));
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_DisableFirewall iptables 1");
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', severity, status, hit_count, reasons -> 0 ->> 'field', reasons -> 0 ->> 'value', entities -> 0 ->> 'CommandLine',"
                              " details ->> 'CommandLine', tactics, techniques) FROM picket.alert"),
                     "High|open|1|CommandLine|iptables -F|iptables -F|iptables -F|DefenseEvasion|T1562.004");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert a JOIN picket.alert_event e USING (workspace_id, alert_id)"
                                " JOIN picket.raw_event r ON r.event_id = e.event_id AND r.time_generated = e.time_generated AND r.device_id = e.device_id"
                                " WHERE a.reasons -> 0 ->> 'event' = r.event_id::text"),
                     1);
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', \"AlertType\", \"AlertSeverity\", \"Status\", \"CompromisedEntity\", \"Entities\"::jsonb -> 1 ->> 'Type',"
                              " \"ExtendedProperties\"::jsonb ->> 'CommandLine', \"RemediationSteps\"::jsonb ->> 0 <> '', \"SubTechniques\") FROM analytics.\"SecurityAlert\""),
                     "IoT_DisableFirewall|High|New|pump-1|process|iptables -F|t|[\"T1562.004\"]");
}
END_TEST

START_TEST(the_same_cause_repeats_and_another_opens)
{
    for (int i = 0; i < 3; i++)
        store("pump-1", 1, message("ProcessCreate", i, PROCESS("iptables -F")));
    store("pump-1", 1, message("ProcessCreate", 3, PROCESS("ufw disable") "," PROCESS("ufw disable")));
    store("pump-2", 1, message("ProcessCreate", 3, PROCESS("ufw disable")));
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_DisableFirewall iptables 3; 1 pump-1 IoT_DisableFirewall ufw 2; 1 pump-2 IoT_DisableFirewall ufw 1");
    ck_assert_str_eq(sql_text("SELECT extract(epoch FROM last_seen_at - first_seen_at)::int FROM picket.alert WHERE cause = 'iptables'"), "2");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert_event"), 6);
    sql("UPDATE picket.alert SET status = 'in_progress' WHERE cause = 'iptables'");
    store("pump-1", 1, message("ProcessCreate", 9, PROCESS("iptables -F")));
    sql("UPDATE picket.alert SET status = 'closed' WHERE cause = 'iptables'");
    store("pump-1", 1, message("ProcessCreate", 10, PROCESS("iptables -F")));
    ck_assert_str_eq(sql_text("SELECT string_agg(status || repeat_count, ' ' ORDER BY status) FROM picket.alert WHERE cause = 'iptables'"), "closed4 open1");
}
END_TEST

START_TEST(what_a_device_did_is_remembered_from_batch_to_batch_by_whoever_stores_it)
{
    for (int i = 0; i < 5; i++) {
        store("pump-1", 1, message("Login", i, FAILED));
        judge_free(fixture.judge); /* as after a restart, or in another process */
        fixture.judge = judge_new(ruleset);
    }
    store("pump-2", 1, message("Login", 6, SUCCEEDED));
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_Bruteforce_Fail 203.0.113.9 1");
    store("pump-1", 1, message("Login", 7, SUCCEEDED));
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_Bruteforce_Fail 203.0.113.9 1; 1 pump-1 IoT_Bruteforce_Success 203.0.113.9 1");
}
END_TEST

START_TEST(a_message_that_is_sent_again_raises_nothing_again)
{
    const struct record_wish wish = {.identity = "m1"};
    const char *body = message("ProcessCreate", 0, PROCESS("iptables -F"));

    (void)store_one(&wish, body);
    (void)store_one(&wish, body);
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_DisableFirewall iptables 1");
}
END_TEST

START_TEST(a_batch_that_was_not_committed_leaves_nothing_and_raises_the_same_when_it_is_stored)
{
    const struct batch_source source = batch_source();
    struct bus_record records[6];
    struct batch batch;

    for (int i = 0; i < 6; i++)
        records[i] = record_make(&(struct record_wish){0}, text_of(message("Login", i, i < 5 ? FAILED : SUCCEEDED)));
    for (int i = 0; i < 3; i++) {
        arena_clear(&fixture.batch);
        must(db_begin(fixture.store, SQL_MS, &why));
        (void)batch_read(&source, records, 6, &batch);
        must(batch_write(fixture.store, &source, &batch, SQL_MS, &why));
        db_rollback(fixture.store);
    }
    ck_assert_str_eq(alerts(), "");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.detect_state"), 0);
    (void)batch_store(records, 2);
    (void)batch_store(records + 2, 4);
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_Bruteforce_Fail 203.0.113.9 1; 1 pump-1 IoT_Bruteforce_Success 203.0.113.9 1");
}
END_TEST

static void *store_failed(void *context)
{
    (void)batch_store(context, 1);
    return NULL;
}

/* As when a dead letter is stored again by the housekeeper while the device goes on. */
START_TEST(what_two_learn_of_a_device_at_once_is_all_remembered)
{
    pthread_t thread;

    store("pump-1", 1, message("Login", 0, FAILED));
    sql("CREATE TABLE kept AS SELECT state FROM picket.detect_state");
    for (int i = 1; i < 4; i++)
        store("pump-1", 1, message("Login", i, FAILED));
    sql("CREATE TABLE later AS SELECT state FROM picket.detect_state");
    sql("UPDATE picket.detect_state SET state = (SELECT state FROM kept)");
    struct bus_record fifth = record_of(message("Login", 4, FAILED));
    sql("BEGIN");
    sql("UPDATE picket.detect_state SET state = (SELECT state FROM later)"); /* what another learnt, not committed yet */
    ck_assert_int_eq(pthread_create(&thread, NULL, store_failed, &fifth), 0);
    while (!sql_number("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        sched_yield();
    sql("COMMIT");
    pthread_join(thread, NULL);
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_Bruteforce_Fail 203.0.113.9 1");
}
END_TEST

START_TEST(a_rule_that_is_switched_off_in_a_workspace_is_asked_in_the_others)
{
    sql("INSERT INTO picket.rule (workspace_id, rule_id, kind, enabled) VALUES (2, 'IoT_DisableFirewall', 'builtin', false)");
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    store("pump-1", 1, message("ProcessCreate", 0, PROCESS("iptables -F")));
    store("pump-1", 2, message("ProcessCreate", 0, PROCESS("iptables -F")));
    store("pump-1", 2, message("ProcessCreate", 0, PROCESS("auditctl -e 0")));
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_DisableFirewall iptables 1; 2 pump-1 IoT_DisableAuditdLogging auditctl 1");
    sql("DELETE FROM picket.rule");
    must(ruleset_refresh(ruleset, fixture.store, SQL_MS, &why));
    store("pump-1", 2, message("ProcessCreate", 0, PROCESS("iptables -F")));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert WHERE workspace_id = 2"), 2);
}
END_TEST

START_TEST(what_the_database_refuses_of_a_judgement_costs_no_event)
{
    int64_t failed = metric_get(&store_metrics.judging_failed);

    sql("ALTER TABLE picket.alert ADD CONSTRAINT broken CHECK (rule_id <> 'IoT_DisableFirewall')");
    store("pump-1", 1, message("ProcessCreate", 0, PROCESS("iptables -F")));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event"), 1);
    ck_assert_str_eq(alerts(), "");
    ck_assert_int_eq(metric_get(&store_metrics.judging_failed), failed + 1);
}
END_TEST

START_TEST(a_hostile_device_neither_grows_its_state_nor_takes_another_devices)
{
    store("pump-2", 1, message("Login", 0, FAILED "," FAILED "," FAILED "," FAILED));
    for (int round = 0; round < 20; round++) {
        struct buf payload;
        buf_init(&payload, 1 << 20);
        for (int i = 0; i < 500; i++)
            buf_format(&payload, "%s{\"ProcessId\":1,\"Operation\":\"login\",\"Executable\":\"/x\",\"Result\":\"Fail\",\"UserName\":\"u%d\",\"RemoteAddress\":\"10.%d.%d.%d\"}", i ? "," : "",
                       i, round, i / 256, i % 256);
        store("pump-1", 1, message("Login", round, arena_string(&fixture.arena, buf_as_text(&payload))));
        buf_done(&payload);
    }
    ck_assert_int_lt(sql_number("SELECT length(state) FROM picket.detect_state WHERE device_id = 'pump-1'"), 20000);
    store("pump-2", 1, message("Login", 30, FAILED));
    ck_assert_str_eq(alerts(), "1 pump-2 IoT_Bruteforce_Fail 203.0.113.9 1");
}
END_TEST

static void device_put(const char *device, const char *tags)
{
    sql(arena_format(&fixture.arena, "INSERT INTO picket.device (workspace_id, device_id, tags) VALUES (1, '%s', '%s')", device, tags));
}

START_TEST(an_exception_hides_what_it_covers_counts_it_and_ends)
{
    device_put("pump-1", "{\"group\":\"lab\"}");
    device_put("pump-2", "{\"SecurityGroup\":\"lab\"}");
    device_put("pump-3", "{}");
    sql("INSERT INTO picket.exception (workspace_id, rule_id, cause, scope, scope_value, reason, owner) VALUES (1, 'IoT_DisableFirewall', 'ip*les', 'group', 'lab', 'r', 'o')");
    sql("INSERT INTO picket.exception (workspace_id, rule_id, scope, scope_value, reason, owner, expires_at) VALUES (1, NULL, 'device', 'pump-3', 'r', 'o', now() - interval '1 h')");
    for (int i = 1; i <= 3; i++)
        store(arena_format(&fixture.arena, "pump-%d", i), 1, message("ProcessCreate", i, PROCESS("iptables -F") "," PROCESS("ufw disable")));
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_DisableFirewall ufw 1; 1 pump-2 IoT_DisableFirewall ufw 1; 1 pump-3 IoT_DisableFirewall iptables 1; 1 pump-3 IoT_DisableFirewall ufw 1");
    ck_assert_str_eq(sql_text("SELECT string_agg(hidden_count::text, ' ' ORDER BY scope DESC) FROM picket.exception"), "2 0");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert_event"), 4);
}
END_TEST

#define CALL_OUT(address) "{\"RemoteAddress\":\"" address "\",\"RemotePort\":\"443\",\"Direction\":\"" "Out" "\",\"Protocol\":\"tcp\"}"
#define CALL_IN(address) "{\"RemoteAddress\":\"" address "\",\"RemotePort\":\"443\",\"Direction\":\"" "In" "\",\"Protocol\":\"tcp\"}"
#define SIGN_IN(user, result) "{\"UserName\":\"" user "\",\"Result\":\"" result "\",\"ProcessId\":1,\"Executable\":\"/x\"}"

START_TEST(custom_alerts_look_values_up_in_the_lists_of_the_devices_group)
{
    sql("INSERT INTO picket.device (workspace_id, device_id, tags) VALUES (1, 'pump-2', '{\"SecurityGroup\": \"lab\"}')");
    sql("INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, denies, list_values) VALUES"
        " (1, 'default', 'ConnectionToIpNotAllowed', false, '{192.0.2.0/24,2001:db8::/32,198.51.100.7}'), (1, 'default', 'LocalUserNotAllowed', false, '{ada}'),"
        " (1, 'lab', 'ProcessNotAllowed', true, '{x}'), (2, 'default', 'ProcessNotAllowed', false, '{}')");
    sql("INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, denies, list_values, enabled) VALUES (1, 'default', 'ProcessNotAllowed', false, '{}', false)");
    store("pump-1", 1, message("ConnectionCreate", 1, CALL_OUT("192.0.2.255") "," CALL_OUT("2001:db8::1") "," CALL_OUT("198.51.100.7") "," CALL_IN("203.0.113.1")));
    store("pump-1", 1, message("Login", 2, SIGN_IN("ada", "Success") "," SIGN_IN("eve", "Fail")));
    store("pump-1", 1, message("ProcessCreate", 3, PROCESS("tcpdump -i eth0")));
    store("pump-2", 1, message("ConnectionCreate", 4, CALL_OUT("203.0.113.1")));
    store("pump-2", 1, message("ProcessCreate", 5, "{\"Executable\":\"/bin/xx\",\"CommandLine\":\"x\",\"UserId\":\"0\",\"ProcessId\":4,\"ParentProcessId\":1}"));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert WHERE rule_id LIKE 'IoT_CA_%'"), 0);

    store("pump-1", 1, message("ConnectionCreate", 6, CALL_OUT("192.0.3.0") "," CALL_OUT("2001:db9::1") "," CALL_OUT("198.51.100.8") "," CALL_OUT("no address")));
    store("pump-1", 1, message("Login", 7, SIGN_IN("ad", "Success") "," SIGN_IN("ad", "Success")));
    store("pump-2", 1, message("ProcessCreate", 8, PROCESS("top")));
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', device_id, substr(rule_id, 8), cause, severity, repeat_count, (SELECT count(*) FROM picket.alert_event e WHERE e.alert_id = a.alert_id)),"
                              " '; ' ORDER BY device_id, rule_id, cause) FROM picket.alert a WHERE rule_id LIKE 'IoT_CA_%'"),
                     "pump-1 ConnectionToIpNotAllowed 192.0.3.0 Low 1 1; pump-1 ConnectionToIpNotAllowed 198.51.100.8 Low 1 1;"
                     " pump-1 ConnectionToIpNotAllowed 2001:db9::1 Low 1 1; pump-1 LocalUserNotAllowed ad Low 2 2; pump-2 ProcessNotAllowed x Low 1 1");
}
END_TEST

START_TEST(one_address_that_fails_on_many_devices_is_found_within_the_hour)
{
    for (int i = 1; i <= 5; i++) {
        store(arena_format(&fixture.arena, "pump-%d", i), 1, message("Login", 10 * i, FAILED));
        store(arena_format(&fixture.arena, "late-%d", i), 2, message("Login", -i * 1000, FAILED)); /* five in 4,000 seconds */
        ck_assert_int_eq(sql_number("SELECT picket.addresses_judge()"), i == 5);
    }
    ck_assert_int_eq(sql_number("SELECT picket.addresses_judge()"), 0);
    ck_assert_str_eq(sql_text("SELECT concat_ws(' ', workspace_id, device_id, cause, repeat_count, details ->> 'Devices', details ->> 'Tries', details -> 'DeviceIds' ->> 4) FROM picket.alert"),
                     "1  203.0.113.9 1 5 5 pump-5");
    store("pump-6", 1, message("Login", 90, FAILED));
    ck_assert_int_eq(sql_number("SELECT picket.addresses_judge()"), 1);
    ck_assert_str_eq(sql_text("SELECT concat_ws(' ', repeat_count, details ->> 'Devices') FROM picket.alert"), "2 6");
}
END_TEST

/* With a fleet under attack there are millions of them. */
START_TEST(only_addresses_that_were_tried_since_are_looked_at_and_old_ones_go)
{
    sql("INSERT INTO picket.address_try SELECT w, '192.0.2.' || a, 'd' || d, now(), now(), 1 FROM generate_series(1, 2) w, generate_series(1, 20) a, generate_series(1, 4) d");
    ck_assert_int_eq(sql_number("SELECT picket.addresses_judge()"), 0);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.address_waiting"), 0);
    for (int i = 1; i <= 2; i++)
        sql("INSERT INTO picket.address_try VALUES (1, '192.0.2.7', 'd5', now(), now(), 1) ON CONFLICT (workspace_id, address, device_id) DO UPDATE SET last_at = now()");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.address_waiting"), 2);
    ck_assert_int_eq(sql_number("SELECT picket.addresses_judge()"), 1);
    ck_assert_str_eq(sql_text("SELECT concat_ws(' ', workspace_id, cause, details ->> 'Devices', details ->> 'DeviceIds') FROM picket.alert"), "1 192.0.2.7 5 [\"d1\", \"d2\", \"d3\", \"d4\", \"d5\"]");
    sql("INSERT INTO picket.address_try VALUES (2, '192.0.2.8', 'd5', now(), now() + interval '3 hours', 1)");
    ck_assert_int_eq(sql_number("SELECT picket.addresses_judge()"), 0); /* the others tried earlier than an hour before */
    ck_assert_str_eq(sql_text("SELECT string_agg(n::text, ' ' ORDER BY workspace_id) FROM (SELECT workspace_id, count(*) AS n FROM picket.address_try GROUP BY 1) o"), "81 1");
}
END_TEST

START_TEST(a_device_that_makes_addresses_up_fills_no_table)
{
    struct buf made;

    for (int round = 0; round < 3; round++) {
        buf_init(&made, 1 << 20);
        for (int i = 0; i < 600; i++)
            buf_format(&made, "%s{\"UserName\":\"u\",\"Result\":\"Fail\",\"RemoteAddress\":\"10.%d.%d.%d\",\"ProcessId\":1,\"Executable\":\"/x\"}", i ? "," : "", round, i / 250, i % 250);
        store("pump-1", 1, message("Login", round, made.bytes));
        buf_done(&made);
    }
    ck_assert_int_le(sql_number("SELECT count(*) FROM picket.address_try"), 1000);
    ck_assert_int_ge(sql_number("SELECT count(*) FROM picket.address_try"), 900);
}
END_TEST

START_TEST(a_device_that_makes_names_up_is_cut_short_and_hides_no_other)
{
    sql("INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, denies, list_values) VALUES (1, 'default', 'LocalUserNotAllowed', false, '{}')");
    struct buf made;
    int64_t dropped = metric_get(&store_metrics.findings_dropped);

    buf_init(&made, 1 << 20);
    for (int i = 0; i < 600; i++)
        buf_format(&made, "%s{\"UserName\":\"u%d\",\"Result\":\"Success\",\"ProcessId\":1,\"Executable\":\"/x\"}", i ? "," : "", i);
    store("pump-1", 1, message("Login", 1, made.bytes));
    store("pump-2", 1, message("Login", 1, SIGN_IN("eve", "Success")));
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', device_id, n), '; ' ORDER BY device_id) FROM"
                              " (SELECT device_id, count(*) AS n FROM picket.alert WHERE rule_id = 'IoT_CA_LocalUserNotAllowed' GROUP BY 1) a"),
                     "pump-1 500; pump-2 1");
    ck_assert_int_eq(metric_get(&store_metrics.findings_dropped) - dropped, 200); /* as many of IoT_SucessfulLocalLogin */
    buf_done(&made);
}
END_TEST

START_TEST(custom_alerts_count_within_windows_and_miss_what_is_too_seldom)
{
    static const char alarms[] = "SELECT coalesce(string_agg(concat_ws(' ', device_id, substr(rule_id, 8), cause, repeat_count, details ->> 'Count'), '; ' ORDER BY device_id, rule_id, cause), '')"
                                 " FROM picket.alert WHERE rule_id LIKE 'IoT_CA_%'";

    int from = -(int)(fixture.now_us / 1000000 % 900) - 900; /* a window begins then */
    sql("INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, min_count, max_count, window_s, changed_at) VALUES"
        " (1, 'default', 'FailedLocalLoginsNotInAllowedRange', 0, 3, 900, '2020-01-01'), (1, 'default', 'ActiveConnectionsNotInAllowedRange', 2, 100, 300, '2020-01-01')");
    store("pump-1", 1, message("Login", from + 1, SIGN_IN("a", "Fail") "," SIGN_IN("b", "Fail") "," SIGN_IN("c", "Fail") "," SIGN_IN("c", "Success")));
    store("pump-2", 1, message("Login", from + 1, SIGN_IN("a", "Fail")));
    ck_assert_str_eq(sql_text(alarms), "");
    store("pump-1", 1, message("Login", from + 2, SIGN_IN("a", "Fail")));
    store("pump-1", 1, message("Login", from + 3, SIGN_IN("a", "Fail"))); /* of the same window: it is told once */
    ck_assert_str_eq(sql_text(alarms), "pump-1 FailedLocalLoginsNotInAllowedRange above 1 4");
    store("pump-1", 1, message("Login", from + 900, SIGN_IN("a", "Fail"))); /* the next window */
    ck_assert_str_eq(sql_text(alarms), "pump-1 FailedLocalLoginsNotInAllowedRange above 1 4");

    sql("INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, min_count, max_count, window_s) VALUES (2, 'default', 'HttpD2CMessagesNotInAllowedRange', 0, 1, 86400),"
        " (2, 'default', 'MqttD2CMessagesNotInAllowedRange', 0, 1, 86400)");
    for (int i = 0; i < 3; i++)
        store("pump-1", 2, message("Login", i, SIGN_IN("a", "Success")));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert WHERE workspace_id = 2 AND cause = 'above'"), 1);

    sql("DELETE FROM picket.alert");
    sql("INSERT INTO picket.device (workspace_id, device_id, created_at, status) VALUES (1, 'pump-1', '2020-01-01', 'enabled'), (1, 'pump-2', '2020-01-01', 'enabled'),"
        " (1, 'pump-3', '2020-01-01', 'disabled'), (1, 'pump-4', now(), 'enabled')");
    sql("UPDATE picket.device_activity SET last_seen_at = '2026-01-02T10:10:01Z'");
    sql("INSERT INTO picket.custom_count SELECT 1, d, 'ActiveConnectionsNotInAllowedRange', '2026-01-02T10:00:00Z', n FROM (VALUES ('pump-1', 2), ('pump-2', 1)) AS v (d, n)");
    ck_assert_int_eq(sql_number("SELECT picket.custom_judge_few()"), 1);
    ck_assert_int_eq(sql_number("SELECT picket.custom_judge_few()"), 0);
    ck_assert_str_eq(sql_text(alarms), "pump-2 ActiveConnectionsNotInAllowedRange below 1 1");
    sql("UPDATE picket.device_activity SET last_seen_at = '2026-01-02T10:15:01Z'"); /* 10:05 is over: nothing was counted in it */
    ck_assert_int_eq(sql_number("SELECT picket.custom_judge_few()"), 2);
    ck_assert_str_eq(sql_text(alarms), "pump-1 ActiveConnectionsNotInAllowedRange below 1 0; pump-2 ActiveConnectionsNotInAllowedRange below 2 0");
}
END_TEST

#define CALLED(address) "{\"RemoteAddress\":\"" address "\",\"RemotePort\":\"2222\",\"Result\":\"Fail\",\"UserName\":\"root\",\"ProcessId\":1,\"Executable\":\"/x\"}"

START_TEST(alerts_of_one_device_and_of_one_address_are_one_incident_with_the_reason)
{
    for (int i = 0; i < 5; i++) {
        store("pump-1", 1, message("Login", i, CALLED("203.0.113.9")));
        store("pump-2", 1, message("Login", i, CALLED("203.0.113.9")));
        store("pump-3", 1, message("Login", i, CALLED("203.0.113.10")));
    }
    store("pump-1", 1, message("ProcessCreate", 9, PROCESS("iptables -F")));
    store("pump-1", 2, message("ProcessCreate", 9, PROCESS("iptables -F")));
    ck_assert_int_eq(sql_number("SELECT picket.incidents_group(100)"), 5);
    ck_assert_int_eq(sql_number("SELECT picket.incidents_group(100)"), 0);
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', workspace_id, severity, title, alert_count, device_count), '; ' ORDER BY workspace_id, alert_count DESC) FROM picket.incident"),
                     "1 High The host's firewall was switched off 3 2; 1 Low Failed brute-force attempt 1 1; 2 High The host's firewall was switched off 1 1");
    ck_assert_str_eq(sql_text("SELECT string_agg(device_id || ': ' || incident_reason, '; ' ORDER BY device_id, first_seen_at) FROM picket.alert WHERE workspace_id = 1"),
                     "pump-1: the first; pump-1: same device within two hours; pump-2: names 203.0.113.9 as well; pump-3: the first");
    sql("UPDATE picket.alert SET status = 'closed' WHERE device_id = 'pump-3'");
    (void)sql_number("SELECT picket.incidents_group(100)");
    ck_assert_str_eq(sql_text("SELECT string_agg(status, ' ' ORDER BY workspace_id, alert_count DESC) FROM picket.incident"), "open closed open");
}
END_TEST

START_TEST(a_silent_device_alerts_once_by_the_newest_receipt_and_not_by_our_clock)
{
    device_put("pump-1", "{}");
    device_put("pump-2", "{}");
    device_put("off", "{}");
    sql("UPDATE picket.device SET status = 'disabled' WHERE device_id = 'off'");
    sql("INSERT INTO picket.device_activity (workspace_id, device_id, first_seen_at, last_seen_at, message_count) VALUES (1, 'pump-1', now() - interval '9 days', now() - interval '9 days', 1),"
        " (1, 'pump-2', now() - interval '9 days', now() - interval '7 days', 1), (1, 'off', now() - interval '20 days', now() - interval '20 days', 1)");
    must(alerts_judge_silence(fixture.store, SQL_MS, &why));
    ck_assert_str_eq(alerts(), ""); /* nothing came at all: that is no device's silence */
    sql("UPDATE picket.device_activity SET last_seen_at = now() - interval '5 days' WHERE device_id = 'pump-2'");
    for (int i = 0; i < 2; i++)
        must(alerts_judge_silence(fixture.store, SQL_MS, &why));
    ck_assert_str_eq(alerts(), "1 pump-1 IoT_DeviceSilent  1");
    sql("UPDATE picket.alert SET status = 'closed'");
    must(alerts_judge_silence(fixture.store, SQL_MS, &why));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert"), 1); /* the same silence */
    sql("UPDATE picket.alert SET status = 'open'");
    sql("UPDATE picket.device_activity SET last_seen_at = now() WHERE device_id = 'pump-1'");
    must(alerts_judge_silence(fixture.store, SQL_MS, &why));
    ck_assert_str_eq(sql_text("SELECT string_agg(device_id || ' ' || status, '; ' ORDER BY device_id) FROM picket.alert"), "pump-1 closed; pump-2 open");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_alert_says_what_fired_why_and_by_which_event,
        the_same_cause_repeats_and_another_opens,
        what_a_device_did_is_remembered_from_batch_to_batch_by_whoever_stores_it,
        a_message_that_is_sent_again_raises_nothing_again,
        a_batch_that_was_not_committed_leaves_nothing_and_raises_the_same_when_it_is_stored,
        what_two_learn_of_a_device_at_once_is_all_remembered,
        a_rule_that_is_switched_off_in_a_workspace_is_asked_in_the_others,
        what_the_database_refuses_of_a_judgement_costs_no_event,
        a_hostile_device_neither_grows_its_state_nor_takes_another_devices,
        an_exception_hides_what_it_covers_counts_it_and_ends,
        alerts_of_one_device_and_of_one_address_are_one_incident_with_the_reason,
        custom_alerts_look_values_up_in_the_lists_of_the_devices_group,
        one_address_that_fails_on_many_devices_is_found_within_the_hour,
        only_addresses_that_were_tried_since_are_looked_at_and_old_ones_go,
        a_device_that_makes_addresses_up_fills_no_table,
        a_device_that_makes_names_up_is_cut_short_and_hides_no_other,
        custom_alerts_count_within_windows_and_miss_what_is_too_seldom,
        a_silent_device_alerts_once_by_the_newest_receipt_and_not_by_our_clock,
    };

    template_make();
    return check_main(&(const struct check_suite){"store/judge", tests, sizeof tests / sizeof *tests, setup, teardown, 120});
}
