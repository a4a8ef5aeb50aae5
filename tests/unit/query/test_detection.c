#include "tests/unit/query/fixture.h"

/* Alerts as people work on them, and rules as they keep them. */

static const char *rule_text(const char *id, const char *word)
{
    return arena_format(&fixture.arena,
                        "title: A rule\\nid: %s\\nstatus: test\\nlevel: critical\\ntags:\\n  - attack.credential-access\\n  - attack.t1003.008\\nlogsource:\\n  product: linux\\n"
                        "  category: process_creation\\ndetection:\\n  selection:\\n    CommandLine|contains: %s\\n  condition: selection\\n",
                        id, word);
}

static const char *alert_put(const char *cause, const char *status)
{
    return sql_text(fixture.owner, arena_format(&fixture.arena,
                                                "INSERT INTO picket.alert (workspace_id, device_id, rule_id, cause, severity, title, reasons, remediation, status, first_seen_at, last_seen_at)"
                                                " VALUES (1, 'd1', 'IoT_ReverseShell', '%s', 'High', 't', '[{\"field\":\"CommandLine\",\"clause\":\"c\",\"value\":\"v\"}]', '[\"step\"]', '%s',"
                                                " now(), now()) RETURNING alert_id::text",
                                                cause, status));
}

START_TEST(an_alert_is_shown_with_its_reasons_events_and_comments)
{
    const char *analyst = token("analyst", "default"), *reader = token("reader", "default"), *id = alert_put("nc", "open");
    char *path = arena_format(&fixture.arena, "/v1/alerts/%s", id);

    events_put(1, "d1", 1, 1, "1 minute");
    sql("INSERT INTO picket.alert_event SELECT 1, a.alert_id, r.time_generated, r.event_id, 'd1' FROM picket.alert a, picket.raw_event r");
    sql(arena_format(&fixture.arena, "INSERT INTO picket.alert_event VALUES (1, '%s', '2020-01-01', gen_random_uuid(), 'd1')", id));
    ask(analyst, "POST", arena_format(&fixture.arena, "%s/comments", path), "{\"body\":\"looked at it\"}", 200);
    const json_t *alert = get(reader, path);
    ck_assert_str_eq(string_in(json_array_get(json_object_get(alert, "reasons"), 0), "clause"), "c");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(alert, "remediation"), 0)), "step");
    ck_assert_uint_eq(count_in(alert, "events"), 2);
    ck_assert(json_is_null(json_object_get(json_array_get(json_object_get(alert, "events"), 0), "name"))); /* its day is gone */
    ck_assert_str_eq(string_in(json_array_get(json_object_get(alert, "events"), 1), "name"), "Login");
    ck_assert_str_eq(string_in(json_array_get(json_object_get(alert, "comments"), 0), "body"), "looked at it");
    ck_assert(!strncmp(string_in(json_array_get(json_object_get(alert, "comments"), 0), "author"), "token ", 6));
    ask(reader, "POST", arena_format(&fixture.arena, "%s/comments", path), "{\"body\":\"x\"}", 403);
    ask(analyst, "POST", arena_format(&fixture.arena, "%s/comments", path), "{\"body\":\"\"}", 400);
    ask(token("analyst", "bravo"), "GET", path, NULL, 404);
}
END_TEST

START_TEST(an_alert_is_worked_on_closed_as_something_and_opened_again)
{
    const char *analyst = token("analyst", "default"), *id = alert_put("nc", "open");
    char *path = arena_format(&fixture.arena, "/v1/alerts/%s", id);

    const json_t *alert = ask(analyst, "PATCH", path, "{\"status\":\"in_progress\",\"assignee\":\"ada\"}", 200);
    ck_assert_str_eq(string_in(alert, "status"), "in_progress");
    ck_assert_str_eq(string_in(alert, "assignee"), "ada");
    ck_assert_uint_eq(count_in(get(analyst, "/v1/alerts?active=true"), "alerts"), 1);
    alert = ask(analyst, "PATCH", path, "{\"status\":\"closed\",\"closed_as\":\"false_positive\"}", 200);
    ck_assert_str_eq(string_in(alert, "closed_as"), "false_positive");
    ck_assert_str_eq(string_in(alert, "assignee"), "ada");
    ck_assert(json_is_string(json_object_get(alert, "closed_at")));
    ck_assert_uint_eq(count_in(get(analyst, "/v1/alerts?active=true"), "alerts"), 0);
    alert = ask(analyst, "PATCH", path, "{\"status\":\"open\",\"assignee\":\"\"}", 200);
    ck_assert(json_is_null(json_object_get(alert, "closed_as")) && json_is_null(json_object_get(alert, "assignee")));
    ask(analyst, "PATCH", path, "{\"status\":\"closed\"}", 200);
    alert_put("nc", "open"); /* it came back meanwhile */
    ask(analyst, "PATCH", path, "{\"status\":\"open\"}", 409);
    ask(analyst, "PATCH", path, "{\"status\":\"done\"}", 400);
    ask(analyst, "PATCH", path, "{\"state\":\"open\"}", 400);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.audit WHERE action = 'alert.change'"), 4);
}
END_TEST

START_TEST(rules_are_added_explained_switched_and_removed)
{
    const char *analyst = token("analyst", "default"), *reader = token("reader", "default"), *other = token("reader", "bravo");

    ask(reader, "POST", "/v1/rules", arena_format(&fixture.arena, "{\"source\":\"%s\"}", rule_text("r-1", "zebra")), 403);
    const json_t *added = ask(analyst, "POST", "/v1/rules", arena_format(&fixture.arena, "{\"source\":\"%s---\\n%s\"}", rule_text("r-1", "zebra"), rule_text("r-2", "okapi")), 200);
    ck_assert_uint_eq(count_in(added, "rules"), 2);
    ck_assert_str_eq(string_in(json_array_get(json_object_get(added, "rules"), 0), "status"), "added");
    added = ask(analyst, "POST", "/v1/rules", arena_format(&fixture.arena, "{\"source\":\"%s\"}", rule_text("r-1", "tapir")), 200);
    ck_assert_str_eq(string_in(json_array_get(json_object_get(added, "rules"), 0), "status"), "replaced");
    const json_t *rule = get(reader, "/v1/rules/r-1");
    ck_assert_str_eq(string_in(rule, "severity"), "High");
    ck_assert_str_eq(string_in(rule, "tactics"), "CredentialAccess");
    ck_assert_str_eq(string_in(rule, "techniques"), "T1003.008");
    ck_assert(strstr(string_in(rule, "source"), "tapir") && !strstr(string_in(rule, "source"), "okapi"));
    ck_assert_uint_eq(count_in(rule, "warnings"), 0);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(rule, "clauses"), 0)), "CommandLine contains 'tapir'");
    rule = get(reader, "/v1/rules/IoT_ReverseShell");
    ck_assert(*string_in(rule, "description") && *string_in(rule, "tuning") && count_in(rule, "samples") >= 4);
    ck_assert_uint_eq(count_in(get(reader, "/v1/rules?limit=1000"), "rules"), 2 + count_in(get(other, "/v1/rules?limit=1000"), "rules"));
    ask(other, "GET", "/v1/rules/r-1", NULL, 404);
    ask(analyst, "POST", "/v1/rules/IoT_ReverseShell/disable", NULL, 200);
    ck_assert(json_is_false(json_object_get(get(reader, "/v1/rules/IoT_ReverseShell"), "enabled")));
    ck_assert(json_is_true(json_object_get(get(other, "/v1/rules/IoT_ReverseShell"), "enabled")));
    ask(analyst, "POST", "/v1/rules/IoT_ReverseShell/enable", NULL, 200);
    ask(analyst, "POST", "/v1/rules/r-1/disable", NULL, 200);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.rule WHERE NOT enabled AND source IS NOT NULL"), 1);
    ask(analyst, "DELETE", "/v1/rules/IoT_ReverseShell", NULL, 409);
    ask(analyst, "DELETE", "/v1/rules/r-1", NULL, 204);
    ask(analyst, "GET", "/v1/rules/r-1", NULL, 404);
}
END_TEST

START_TEST(rules_that_are_not_understood_are_refused_whole_and_those_that_cannot_match_say_so)
{
    const char *analyst = token("analyst", "default");
    const json_t *refused = ask(analyst, "POST", "/v1/rules",
                                arena_format(&fixture.arena, "{\"source\":\"%s---\\n%s\"}", rule_text("r-1", "zebra"), "title: x\\nid: r-2\\nlogsource: {product: linux}\\ndetection: {condition: a}\\n"), 400);
    ck_assert(strstr(string_in(json_object_get(refused, "error"), "message"), "r-2"));
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.rule"), 0);
    ask(analyst, "POST", "/v1/rules", "{\"source\":\"[\"}", 400);
    ask(analyst, "POST", "/v1/rules", "{\"source\":\"\"}", 400);
    ask(analyst, "POST", "/v1/rules", "{}", 400);
    ask(analyst, "POST", "/v1/rules", arena_format(&fixture.arena, "{\"source\":\"%s\"}", rule_text("IoT_ReverseShell", "zebra")), 400);
    const json_t *added = ask(analyst, "POST", "/v1/rules",
                              "{\"source\":\"title: x\\nid: r-3\\nlogsource: {product: linux, category: process_creation}\\ndetection:\\n  a:\\n    ParentImage|endswith: /sh\\n  condition: a\\n\"}", 200);
    const json_t *warnings = json_object_get(json_array_get(json_object_get(added, "rules"), 0), "warnings");
    ck_assert(strstr(json_string_value(json_array_get(warnings, 0)), "ParentImage"));
}
END_TEST

static void process_put(const char *device, const char *command, const char *ago)
{
    sql(arena_format(&fixture.arena,
                     "INSERT INTO picket.raw_event (workspace_id, device_id, module_id, time_generated, time_stamp, event_id, sender_event_id, element, type, category, name, details,"
                     " bus_topic_id, bus_partition, bus_offset) VALUES (1, '%s', '', now() - interval '%s', now() - interval '%s', gen_random_uuid(), gen_random_uuid()::text, 0, 'Security',"
                     " 'Triggered', 'ProcessCreate', jsonb_build_object('Executable', '/bin/x', 'CommandLine', '%s', 'UserId', '0'), 1, 0, 1)",
                     device, ago, ago, command));
}

static const char *over_all(const char *timespan)
{
    return arena_format(&fixture.arena, "%s---\\ntitle: c\\nid: c-1\\ncorrelation:\\n  type: event_count\\n  rules: [r-1]\\n  timespan: %s\\n  condition: {gte: 3}\\n",
                        rule_text("r-1", "zebra"), timespan);
}

START_TEST(a_backtest_counts_by_device_and_day_what_a_rule_would_have_found)
{
    const char *reader = token("reader", "default");

    process_put("d1", "iptables -F", "50 hours");
    process_put("d1", "iptables -F", "1 minute");
    process_put("d1", "ufw disable", "1 minute");
    process_put("d2", "iptables -L", "1 minute");
    process_put("d2", "run zebra now", "1 minute");
    events_put(1, "d1", 1, 5, "1 minute");
    const json_t *found = ask(reader, "POST", "/v1/rules/backtest", "{\"rule\":\"IoT_DisableFirewall\",\"since\":\"3d\"}", 200);
    ck_assert_int_eq(number_in(found, "findings"), 3);
    ck_assert_int_eq(number_in(found, "events"), 5); /* only those that the rule looks at */
    ck_assert(json_is_true(json_object_get(found, "complete")));
    ck_assert_uint_eq(count_in(found, "days"), 2);
    const json_t *last = json_array_get(json_object_get(found, "days"), 1);
    ck_assert_str_eq(string_in(last, "device"), "d1");
    ck_assert_int_eq(number_in(last, "alerts"), 2);
    found = ask(reader, "POST", "/v1/rules/backtest", "{\"rule\":\"IoT_DisableFirewall\",\"since\":\"1d\"}", 200);
    ck_assert_int_eq(number_in(found, "findings"), 2);
    found = ask(reader, "POST", "/v1/rules/backtest", arena_format(&fixture.arena, "{\"source\":\"%s\"}", rule_text("r-1", "zebra")), 200);
    ck_assert_int_eq(number_in(found, "findings"), 1);
    process_put("d2", "run zebra again", "2 minutes"); /* over all devices, of both days */
    process_put("d3", "run zebra", "25 hours");
    found = ask(reader, "POST", "/v1/rules/backtest", arena_format(&fixture.arena, "{\"source\":\"%s\"}", over_all("26h")), 200);
    ck_assert_int_eq(number_in(found, "findings"), 1);
    ck_assert_str_eq(string_in(json_array_get(json_object_get(found, "days"), 0), "device"), "");
    found = ask(reader, "POST", "/v1/rules/backtest", arena_format(&fixture.arena, "{\"source\":\"%s\"}", over_all("24h")), 200);
    ck_assert_int_eq(number_in(found, "findings"), 0);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.alert"), 0);
    ask(reader, "POST", "/v1/rules/backtest", "{\"rule\":\"nobody\"}", 404);
    ask(reader, "POST", "/v1/rules/backtest", "{}", 400);
    ask(reader, "POST", "/v1/rules/backtest", "{\"rule\":\"IoT_DisableFirewall\",\"since\":\"yesterday\"}", 400);
}
END_TEST

START_TEST(a_round_of_canaries_is_kept_and_a_silent_detection_is_an_alert_until_it_is_heard)
{
    const char *admin = token("admin", "default"), *reader = token("reader", "default");
    static const char alarms[] = "SELECT count(*) FROM picket.alert WHERE rule_id = 'canary.silent' AND workspace_id = 1 AND status <> 'closed'";

    ask(token("analyst", "default"), "POST", "/v1/canary", "{\"tried\":1,\"silent\":[],\"p50_ms\":1,\"p99_ms\":1,\"longest_ms\":1}", 403);
    ask(admin, "POST", "/v1/canary", "{\"tried\":-1,\"silent\":[],\"p50_ms\":1,\"p99_ms\":1,\"longest_ms\":1}", 400);
    ask(admin, "POST", "/v1/canary", "{\"tried\":1,\"silent\":[7],\"p50_ms\":1,\"p99_ms\":1,\"longest_ms\":1}", 400);
    ask(admin, "POST", "/v1/canary", "{\"tried\":1,\"p50_ms\":1,\"p99_ms\":1,\"longest_ms\":1}", 400);
    ck_assert_uint_eq(count_in(get(reader, "/v1/health"), "canaries"), 0);

    alert_put("nc", "open"); /* of a device that is no canary */
    for (int round = 0; round < 2; round++)
        ask(admin, "POST", "/v1/canary", "{\"device\":\"d1\",\"tried\":9,\"silent\":[\"A\",\"B,\\\"{\"],\"p50_ms\":52,\"p99_ms\":62,\"longest_ms\":70}", 204);
    ck_assert_int_eq(sql_number(fixture.owner, alarms), 2);
    const json_t *health = get(reader, "/v1/health"), *canary = json_array_get(json_object_get(health, "canaries"), 0);
    ck_assert_str_eq(string_in(health, "status"), "degraded");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(canary, "silent"), 1)), "B,\"{");
    ck_assert_int_eq(json_integer_value(json_object_get(canary, "latency_p99_ms")), 62);
    ck_assert_uint_eq(count_in(get(token("reader", "bravo"), "/v1/health"), "canaries"), 0);

    ask(admin, "POST", "/v1/canary", "{\"tried\":9,\"silent\":[\"A\"],\"p50_ms\":1,\"p99_ms\":1,\"longest_ms\":1}", 204);
    ck_assert_int_eq(sql_number(fixture.owner, alarms), 1);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.alert WHERE device_id = 'd1' AND status = 'open'"), 1);
    sql("UPDATE picket.alert SET simulated = true WHERE device_id = 'd1'");
    ask(admin, "POST", "/v1/canary", "{\"device\":\"d1\",\"tried\":9,\"silent\":[],\"p50_ms\":1,\"p99_ms\":1,\"longest_ms\":1}", 204);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.alert WHERE status <> 'closed'"), 0);
}
END_TEST

START_TEST(custom_alerts_are_set_by_group_and_type_and_refused_where_they_make_no_sense)
{
    const char *analyst = token("analyst", "default"), *reader = token("reader", "default"), *path = "/v1/custom-rules/default/ConnectionToIpNotAllowed",
               *window = "/v1/custom-rules/lab%201/FailedLocalLoginsNotInAllowedRange";

    ask(reader, "PUT", path, "{\"allow\":[]}", 403);
    const json_t *rule = ask(analyst, "PUT", path, "{\"allow\":[\"192.0.2.0/24\",\"2001:db8::1\"]}", 200);
    ck_assert_uint_eq(count_in(rule, "allow"), 2);
    ck_assert(json_is_null(json_object_get(rule, "deny")) && json_is_true(json_object_get(rule, "enabled")));
    rule = ask(analyst, "PUT", path, "{\"deny\":[\"203.0.113.1\"],\"enabled\":false}", 200);
    ck_assert_uint_eq(count_in(rule, "deny"), 1);
    ck_assert(json_is_null(json_object_get(rule, "allow")) && json_is_false(json_object_get(rule, "enabled")));
    rule = ask(analyst, "PUT", window, "{\"min\":1,\"max\":5,\"window\":\"PT5M\"}", 200);
    ck_assert_str_eq(string_in(rule, "group"), "lab 1");
    ck_assert_int_eq(json_integer_value(json_object_get(rule, "window_s")), 300);
    static const char *const wrong[] = {"{}", "{\"allow\":[],\"deny\":[]}", "{\"allow\":\"192.0.2.1\"}", "{\"allow\":[\"192.0.2.0/33\"]}", "{\"allow\":[\"192.0.2\"]}",
                                        "{\"allow\":[\"192.0.2.1/\"]}", "{\"allow\":[7]}", "{\"allow\":[\"\"]}", "{\"min\":0,\"max\":1}", "{\"allow\":[],\"enabled\":1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ask(analyst, "PUT", path, wrong[i], 400);
    static const char *const ranges[] = {"{}", "{\"min\":2,\"max\":1}", "{\"min\":-1,\"max\":1}", "{\"min\":0,\"max\":1,\"window\":\"PT5S\"}", "{\"min\":0,\"max\":1,\"window\":\"x\"}",
                                         "{\"allow\":[]}"};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        ask(analyst, "PUT", window, ranges[i], 400);
    ask(analyst, "PUT", "/v1/custom-rules/default/AmqpD2CMessagesNotInAllowedRange", "{\"min\":0,\"max\":1}", 400); /* there is no such door */
    ask(analyst, "PUT", "/v1/custom-rules/x/TwinUpdatesNotInAllowedRange", "{\"min\":0,\"max\":1}", 200);
    ask(analyst, "DELETE", "/v1/custom-rules/x/TwinUpdatesNotInAllowedRange", NULL, 204);
    ck_assert_uint_eq(count_in(get(reader, "/v1/custom-rules"), "custom_rules"), 2);
    ck_assert_uint_eq(count_in(get(token("reader", "bravo"), "/v1/custom-rules"), "custom_rules"), 0);
    ask(token("analyst", "bravo"), "DELETE", path, NULL, 404);
    ask(analyst, "DELETE", path, NULL, 204);
    ask(analyst, "DELETE", path, NULL, 404);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.audit WHERE action LIKE 'custom_rule.%'"), 6);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_alert_is_shown_with_its_reasons_events_and_comments,
        an_alert_is_worked_on_closed_as_something_and_opened_again,
        rules_are_added_explained_switched_and_removed,
        rules_that_are_not_understood_are_refused_whole_and_those_that_cannot_match_say_so,
        a_backtest_counts_by_device_and_day_what_a_rule_would_have_found,
        custom_alerts_are_set_by_group_and_type_and_refused_where_they_make_no_sense,
        a_round_of_canaries_is_kept_and_a_silent_detection_is_an_alert_until_it_is_heard,
    };

    template_make();
    return FIXTURE_MAIN("query/detection", tests);
}
