#include <string.h>

#include "tests/unit/query/fixture.h"

/* Both workspaces have one of everything, under names that tell whose it is. */
static void both_fill(void)
{
    static const char *const fill[] = {
        "INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'shared'), (1, 'only-a'), (2, 'shared'), (2, 'only-b')",
        "INSERT INTO picket.credential (workspace_id, device_id, sealed_primary, sealed_secondary)"
        " SELECT workspace_id, device_id, '\\x00', '\\x00' FROM picket.device",
        "INSERT INTO picket.device_activity (workspace_id, device_id, first_seen_at, last_seen_at, message_count, event_count)"
        " SELECT workspace_id, device_id, now(), now(), workspace_id * 100, workspace_id * 1000 FROM picket.device",
        "INSERT INTO picket.ledger (workspace_id, device_id, epoch, stream, highest, first_seen_at, last_seen_at)"
        " SELECT workspace_id, device_id, gen_random_uuid(), 0, 5, now(), now() FROM picket.device",
        "INSERT INTO picket.dead_letter (workspace_id, device_id, received_at, reason, headers, body, bus_topic_id,"
        " bus_partition, bus_offset) SELECT workspace_id, device_id, now(), 'r', '{}', 'b', 1, 0, 0 FROM picket.device",
        "INSERT INTO picket.twin (workspace_id, device_id) SELECT workspace_id, device_id FROM picket.device",
        "INSERT INTO picket.configuration (workspace_id, name) SELECT workspace_id, 'all' FROM picket.workspace",
        "INSERT INTO picket.cloud_message (workspace_id, device_id, body, expires_at)"
        " SELECT workspace_id, device_id, 'b', now() FROM picket.device",
        "INSERT INTO picket.method_call (workspace_id, device_id, method, payload, expires_at)"
        " SELECT workspace_id, device_id, 'm', 'null', now() FROM picket.device",
        "INSERT INTO picket.device_connection (workspace_id, device_id, connected, replica, transport, peer, connected_at)"
        " SELECT workspace_id, device_id, true, gen_random_uuid(), 'mqtt', 'p', now() FROM picket.device",
        "INSERT INTO picket.enrollment_group (workspace_id, name, sealed_primary, sealed_secondary)"
        " SELECT workspace_id, 'g', '\\x00', '\\x00' FROM picket.workspace",
        "INSERT INTO picket.enrollment (workspace_id, registration_id, device_id, sealed_primary, sealed_secondary)"
        " SELECT workspace_id, 'r', 'r', '\\x00', '\\x00' FROM picket.workspace",
        "INSERT INTO picket.registration (workspace_id, registration_id, device_id, operation_id, substatus)"
        " SELECT workspace_id, 'r', 'r', 'o', 's' FROM picket.workspace",
        "INSERT INTO picket.certificate_authority (workspace_id, name, certificate, sha256, subject, not_before, not_after,"
        " verification_code) SELECT workspace_id, 'ca', 'c', sha256('c'), 's', now(), now(), 'v' FROM picket.workspace",
        "INSERT INTO picket.alert (workspace_id, device_id, rule_id, severity, title, first_seen_at, last_seen_at)"
        " SELECT workspace_id, device_id, 'rule', 'Low', 'whose: ' || workspace_id, now(), now() FROM picket.device",
        "INSERT INTO picket.alert_event SELECT workspace_id, alert_id, now(), gen_random_uuid(), device_id FROM picket.alert",
        "INSERT INTO picket.alert_comment (workspace_id, alert_id, author, body) SELECT workspace_id, alert_id, 'a', 'b' FROM picket.alert",
        "INSERT INTO picket.feed (workspace_id, name, generation, loaded_at) SELECT workspace_id, 'f', 1, now() FROM picket.workspace",
        "INSERT INTO picket.indicator (workspace_id, feed, generation, value, kind) SELECT workspace_id, 'f', 1, 'a.example', 'domain' FROM picket.workspace",
        "INSERT INTO picket.incident (workspace_id, title, severity, first_seen_at, last_seen_at) SELECT workspace_id, 'i', 'Low', now(), now() FROM picket.workspace",
        "INSERT INTO picket.exception (workspace_id, scope, reason, owner) SELECT workspace_id, 'workspace', 'r', 'o' FROM picket.workspace",
        "INSERT INTO picket.custom_rule (workspace_id, security_group, rule_type, denies, list_values) SELECT workspace_id, 'g', 't', true, '{}' FROM picket.workspace",
        "INSERT INTO picket.canary (workspace_id, tried, silent, p50_ms, p99_ms, longest_ms) SELECT workspace_id, 1, '{}', 1, 1, 1 FROM picket.workspace",
        "INSERT INTO picket.rule (workspace_id, rule_id, kind) SELECT workspace_id, 'r', 'sigma' FROM picket.workspace",
        "INSERT INTO picket.message (workspace_id, device_id, message_key, received_at, bus_topic_id, bus_partition,"
        " bus_offset, event_count) SELECT workspace_id, device_id, gen_random_uuid(), now(), 1, 0, 0, 1 FROM picket.device",
        "INSERT INTO picket.saved_function (workspace_id, name, body) SELECT workspace_id, 'f', 'print 1' FROM picket.workspace",
        "INSERT INTO picket.saved_query (workspace_id, name, query) SELECT workspace_id, 'q', 'print 1' FROM picket.workspace",
        "INSERT INTO picket.custom_table (workspace_id, name, columns) SELECT workspace_id, 'T_CL', 'TimeGenerated:datetime'"
        " FROM picket.workspace",
        "INSERT INTO picket.custom_row SELECT workspace_id, 'T_CL', now(), '{}' FROM picket.workspace",
    };

    for (size_t i = 0; i < sizeof fill / sizeof fill[0]; i++)
        sql(fill[i]);
    events_put(1, "shared", 1, 3, "1 minute");
    events_put(1, "only-a", 1, 3, "1 minute");
    events_put(2, "shared", 1, 3, "1 minute");
    events_put(2, "only-b", 1, 3, "1 minute");
}

static void all_from(const json_t *answer, const char *list, const char *workspace, size_t count)
{
    const json_t *element;
    size_t i;

    ck_assert_uint_eq(count_in(answer, list), count);
    json_array_foreach(json_object_get(answer, list), i, element)
        ck_assert_str_eq(string_in(element, "workspace"), workspace);
}

START_TEST(no_list_shows_another_workspace)
{
    both_fill();
    const char *a = token("admin", "default");

    all_from(get(a, "/v1/devices"), "devices", "default", 2);
    all_from(get(a, "/v1/events"), "events", "default", 6);
    all_from(get(a, "/v1/dead-letters"), "dead_letters", "default", 2);
    all_from(get(a, "/v1/alerts"), "alerts", "default", 2);
    all_from(get(a, "/v1/authorities"), "authorities", "default", 1);
    ck_assert_uint_eq(count_in(get(a, "/v1/workspaces"), "workspaces"), 1);
    all_from(get(a, "/v1/audit"), "audit", "default", 1);
    const json_t *status = get(a, "/v1/status");
    ck_assert_int_eq(number_in(status, "devices"), 2);
    ck_assert_int_eq(number_in(status, "messages"), 200);
    ck_assert_int_eq(number_in(status, "events"), 2000);
    ck_assert_int_eq(number_in(status, "alerts_open"), 2);
    ck_assert_int_eq(number_in(status, "dead_letters"), 2);
}
END_TEST

START_TEST(no_filter_reaches_into_another_workspace)
{
    both_fill();
    const char *a = token("admin", "default");

    ck_assert_uint_eq(count_in(get(a, "/v1/events?device=only-b"), "events"), 0);
    ck_assert_uint_eq(count_in(get(a, "/v1/devices?search=only-b"), "devices"), 0);
    ck_assert_uint_eq(count_in(get(a, "/v1/alerts?device=only-b"), "alerts"), 0);
    ck_assert_uint_eq(count_in(get(a, "/v1/dead-letters?device=only-b"), "dead_letters"), 0);
    all_from(get(a, "/v1/events?device=shared"), "events", "default", 3);
    ask(a, "GET", "/v1/devices?workspace=bravo", NULL, 404);
    ask(a, "GET", "/v1/events?workspace=bravo", NULL, 404);
    ask(a, "GET", "/v1/status?workspace=bravo", NULL, 404);
}
END_TEST

START_TEST(nothing_of_another_workspace_can_be_named_or_changed)
{
    static const char *const posts[] = {"/v1/devices/only-b/disable", "/v1/devices/only-b/enable"};
    char path[128];

    both_fill();
    const char *a = token("admin", "default");
    ask(a, "GET", "/v1/devices/only-b", NULL, 404);
    ask(a, "GET", "/v1/devices/only-b/connection-string", NULL, 404);
    ask(a, "DELETE", "/v1/devices/only-b", NULL, 404);
    ask(a, "POST", "/v1/devices/only-b/rotate-key", "{\"key\":\"both\"}", 404);
    for (size_t i = 0; i < 2; i++)
        ask(a, "POST", posts[i], NULL, 404);
    int64_t letter = sql_number(fixture.owner, "SELECT min(dead_letter_id) FROM picket.dead_letter WHERE workspace_id = 2");
    snprintf(path, sizeof path, "/v1/dead-letters/%lld", (long long)letter);
    ask(a, "GET", path, NULL, 404);
    snprintf(path, sizeof path, "/v1/dead-letters/%lld/replay", (long long)letter);
    ask(a, "POST", path, NULL, 404);
    struct db_rows *rows = NULL;
    ck_assert_int_eq(db_query(fixture.owner, "SELECT alert_id FROM picket.alert WHERE workspace_id = 2 LIMIT 1", NULL, 0,
                              SQL_MS, &rows, &why), STATUS_OK);
    snprintf(path, sizeof path, "/v1/alerts/%s/close", db_text(rows, 0, 0).bytes);
    db_rows_free(rows);
    ask(a, "POST", path, NULL, 404);
    ask(a, "POST", "/v1/devices", "{\"id\":\"x\",\"workspace\":\"bravo\"}", 400);
    ask(a, "POST", "/v1/tokens", "{\"role\":\"reader\",\"workspace\":\"bravo\"}", 400);
    ask(a, "PATCH", "/v1/workspaces/bravo", "{\"messages_per_second\":1}", 404);
    ask(a, "POST", "/v1/workspaces", "{\"name\":\"third\"}", 403);
    token("reader", "bravo");
    int64_t theirs = sql_number(fixture.owner, "SELECT max(token_id) FROM picket.token");
    snprintf(path, sizeof path, "/v1/tokens/%lld", (long long)theirs);
    ask(a, "DELETE", path, NULL, 404);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.device WHERE workspace_id = 2"
                                               " AND status = 'enabled'"), 2);
}
END_TEST

START_TEST(tokens_that_open_more_are_not_shown_nor_revoked)
{
    const char *a = token("admin", "default");
    token("admin", NULL);
    const json_t *list = get(a, "/v1/tokens");

    ck_assert_uint_eq(count_in(list, "tokens"), 1);
    ck_assert_uint_eq(count_in(get(token("admin", NULL), "/v1/tokens"), "tokens"), 3);
}
END_TEST

START_TEST(a_token_for_several_workspaces_sees_all_or_the_one_it_names)
{
    both_fill();
    const char *all = token("admin", NULL);

    ck_assert_uint_eq(count_in(get(all, "/v1/devices"), "devices"), 4);
    all_from(get(all, "/v1/devices?workspace=bravo"), "devices", "bravo", 2);
    all_from(get(all, "/v1/events?workspace=bravo&device=shared"), "events", "bravo", 3);
    ask(all, "GET", "/v1/devices/shared", NULL, 400);
    ck_assert_str_eq(string_in(get(all, "/v1/devices/shared?workspace=bravo"), "workspace"), "bravo");
    ck_assert_str_eq(string_in(get(all, "/v1/devices/only-a"), "workspace"), "default");
    ask(all, "POST", "/v1/devices", "{\"id\":\"new\"}", 400);
    ck_assert_str_eq(string_in(ask(all, "POST", "/v1/devices?workspace=bravo", "{\"id\":\"new\"}", 201), "workspace"), "bravo");
    ck_assert_str_eq(string_in(ask(all, "POST", "/v1/devices", "{\"id\":\"new\",\"workspace\":\"default\"}", 201), "workspace"),
                     "default");
}
END_TEST

/* What picket_query may read, and what keeps a workspace to itself there. A relation that is not in this table fails the
 * test: whoever grants one has to say here why that is safe. */
static const struct {
    const char *relation;
    const char *column; /* of the workspace; NULL: no policy, for the reason */
    const char *reason;
} readable[] = {
    {"alert", "workspace_id", NULL},
    {"alert_comment", "workspace_id", NULL},
    {"alert_event", "workspace_id", NULL},
    {"audit", "workspace_id", NULL},
    {"canary", "workspace_id", NULL},
    {"certificate_authority", "workspace_id", NULL},
    {"cloud_message", "workspace_id", NULL},
    {"configuration", "workspace_id", NULL},
    {"credential", "workspace_id", NULL},
    {"custom_row", "workspace_id", NULL},
    {"custom_rule", "workspace_id", NULL},
    {"custom_table", "workspace_id", NULL},
    {"dead_letter", "workspace_id", NULL},
    {"device", "workspace_id", NULL},
    {"device_activity", "workspace_id", NULL},
    {"device_connection", "workspace_id", NULL},
    {"enrollment", "workspace_id", NULL},
    {"enrollment_group", "workspace_id", NULL},
    {"event_hour", "workspace_id", NULL},
    {"exception", "workspace_id", NULL},
    {"feed", "workspace_id", NULL},
    {"incident", "workspace_id", NULL},
    {"indicator", "workspace_id", NULL},
    {"ledger", "workspace_id", NULL},
    {"message", "workspace_id", NULL},
    {"method_call", "workspace_id", NULL},
    {"raw_event", "workspace_id", NULL},
    {"registration", "workspace_id", NULL},
    {"rule", "workspace_id", NULL},
    {"saved_function", "workspace_id", NULL},
    {"saved_query", "workspace_id", NULL},
    {"token", "workspaces[1]", NULL},
    {"twin", "workspace_id", NULL},
    {"workspace", "workspace_id", NULL},
    {"bus_gap", NULL, "counts of records lost on the bus, which belong to no workspace"},
    {"bus_offset", NULL, "how far the bus was read"},
    {"bus_topic", NULL, "names of bus topics, for receipts"},
    {"helper", NULL, "which helper functions were loaded"},
    {"ingest_replica", NULL, "when each server of devices was last seen"},
    {"migration", NULL, "which migrations were applied"},
};
#define READABLE_COUNT (sizeof readable / sizeof readable[0])

START_TEST(every_relation_that_is_readable_has_a_policy_or_a_reason)
{
    static const char find[] =
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,"
        " (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND (p.polroles = '{0}'"
        "   OR 'picket_query'::regrole = ANY(p.polroles))"
        "   AND pg_get_expr(p.polqual, p.polrelid) LIKE '%workspaces_visible()%') ,"
        " (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND (p.polroles = '{0}'"
        "   OR 'picket_query'::regrole = ANY(p.polroles))), c.relkind"
        " FROM pg_class c WHERE c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        " AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname NOT LIKE 'pg_toast%'"
        " AND c.relnamespace <> 'analytics'::regnamespace"
        " AND has_any_column_privilege('picket_query', c.oid, 'SELECT') ORDER BY 1";
    struct db_rows *rows = NULL;

    /* The tables of KQL are views that read as whoever asks. */
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM pg_class WHERE relnamespace = 'analytics'::regnamespace AND"
                                               " (relkind <> 'v' OR reloptions IS NULL OR NOT 'security_invoker=true' = ANY(reloptions))"),
                     0);
    ck_assert_msg(db_query(fixture.owner, find, NULL, 0, SQL_MS, &rows, &why) == STATUS_OK, "%s", why.text);
    for (size_t i = 0; i < db_rows_count(rows); i++) {
        const char *name = db_text(rows, i, 0).bytes;
        size_t n = 0;
        while (n < READABLE_COUNT && strcmp(readable[n].relation, name) != 0)
            n++;
        ck_assert_msg(n < READABLE_COUNT, "picket_query can read %s, which nobody has thought about", name);
        if (!readable[n].column)
            continue;
        ck_assert_msg(db_bool(rows, i, 1), "%s: row-level security is not enabled and forced", name);
        ck_assert_msg(db_i64(rows, i, 2) == 1 && db_i64(rows, i, 3) == 1, "%s: other policies than the one", name);
    }
    ck_assert_uint_eq(db_rows_count(rows), READABLE_COUNT);
    db_rows_free(rows);
}
END_TEST

START_TEST(statements_without_a_predicate_see_only_what_the_transaction_may)
{
    struct db *reader = NULL;
    char count[256];

    both_fill();
    token("reader", "default");
    token("reader", "bravo");
    sql("SELECT picket.audit_append(w, 'test', 'test', 'test', '{}') FROM unnest(ARRAY[1, 2]) w");
    ck_assert_int_eq(db_open(database_conninfo_for("picket_query", fixture.database), NULL, "test", &reader, &why), STATUS_OK);
    for (size_t i = 0; i < READABLE_COUNT; i++) {
        if (!readable[i].column)
            continue;
        for (int workspace = 0; workspace <= 2; workspace++) {
            ck_assert_int_eq(db_begin(reader, SQL_MS, &why), STATUS_OK);
            if (workspace)
                sql_in(reader, workspace == 1 ? "SET LOCAL picket.workspaces = '{1}'" : "SET LOCAL picket.workspaces = '{2}'");
            /* Only columns that may be read: token's digest is not one of them. */
            snprintf(count, sizeof count, "SELECT count(%s) FROM picket.%s", readable[i].column, readable[i].relation);
            int64_t seen = sql_number(reader, count);
            snprintf(count, sizeof count, "SELECT count(*) FROM picket.%s WHERE %s = %d", readable[i].relation,
                     readable[i].column, workspace);
            int64_t own = sql_number(fixture.owner, count);
            ck_assert_msg(seen == own, "%s under workspace %d: %lld rows, %lld are its own", readable[i].relation, workspace,
                          (long long)seen, (long long)own);
            ck_assert_msg(!workspace || own > 0, "%s has nothing to hide in this test", readable[i].relation);
            db_rollback(reader);
        }
    }
    ck_assert_int_eq(sql_number(reader, "SELECT count(*) FROM picket.raw_event"), 0);
    db_close(reader);
}
END_TEST

START_TEST(the_reading_role_cannot_reach_around_the_policies)
{
    static const char *const refused[] = {
        "SELECT digest FROM picket.token",
        "SELECT * FROM picket.credential",
        "SELECT sealed_primary FROM picket.credential",
        "UPDATE picket.device SET status = 'disabled'",
        "DELETE FROM picket.raw_event",
        "INSERT INTO picket.audit (audit_id, workspace_id, at, actor, action, target, hash)"
        " VALUES (1, 1, now(), 'a', 'b', 'c', '')",
        "SET ROLE picket_owner",
        "SET row_security = off; SELECT count(*) FROM picket.device",
        "SELECT picket.audit_append(1, 'a', 'b', 'c', '{}')",
        "SELECT picket.workspace_create('x', '{}', 1)",
        "CREATE TABLE picket.mine (a int)",
    };
    struct db *reader = NULL;
    struct db_rows *rows = NULL;

    both_fill();
    ck_assert_int_eq(db_open(database_conninfo_for("picket_query", fixture.database), NULL, "test", &reader, &why), STATUS_OK);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        ck_assert_msg(db_script(reader, refused[i], SQL_MS, &why) != STATUS_OK, "%s", refused[i]);
    /* Partitions would have no policy of their own in force, so nobody may read one by its name. */
    ck_assert_int_eq(db_query(fixture.owner, "SELECT 'SELECT 1 FROM ' || inhrelid::regclass FROM pg_inherits i JOIN pg_class c"
                                             " ON c.oid = inhrelid WHERE c.relkind = 'r'",
                              NULL, 0, SQL_MS, &rows, &why), STATUS_OK);
    ck_assert_uint_gt(db_rows_count(rows), 5);
    for (size_t i = 0; i < db_rows_count(rows); i++)
        ck_assert_msg(db_script(reader, db_text(rows, i, 0).bytes, SQL_MS, &why) != STATUS_OK, "%s", db_text(rows, i, 0).bytes);
    db_rows_free(rows);
    db_close(reader);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        no_list_shows_another_workspace,
        no_filter_reaches_into_another_workspace,
        nothing_of_another_workspace_can_be_named_or_changed,
        tokens_that_open_more_are_not_shown_nor_revoked,
        a_token_for_several_workspaces_sees_all_or_the_one_it_names,
        every_relation_that_is_readable_has_a_policy_or_a_reason,
        statements_without_a_predicate_see_only_what_the_transaction_may,
        the_reading_role_cannot_reach_around_the_policies,
    };

    template_make();
    return FIXTURE_MAIN("query/isolation", tests);
}
