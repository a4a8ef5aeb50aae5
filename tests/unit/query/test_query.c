#include <string.h>

#include "tests/unit/query/fixture.h"

START_TEST(without_a_token_that_is_known_nothing_is_answered)
{
    static const char *const wrong[] = {
        NULL, "", "nonsense", "pkt_abcdefgh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ask(wrong[i], "GET", "/v1/devices", NULL, 401);
        ck_assert(text_equal(program_reply_header(&fixture.last, "WWW-Authenticate"), TEXT("Bearer")));
        ask(wrong[i], "POST", "/v1/devices", "{\"id\":\"x\"}", 401);
    }
    /* The right prefix with another secret. */
    char *forged = arena_string(&fixture.arena, text_of(token("admin", NULL)));
    forged[20] = forged[20] == 'A' ? 'B' : 'A';
    ask(forged, "GET", "/v1/devices", NULL, 401);
    http_send(NULL, "GET", "/v1/devices", NULL, "Authorization: Basic YTpi");
    ck_assert_int_eq(fixture.last.code, 401);
    ask(NULL, "GET", "/v2/nothing", NULL, 404);
    ask(NULL, "PUT", "/v1/devices", "{}", 405);
}
END_TEST

START_TEST(a_role_may_do_what_it_may_and_no_more)
{
    const char *reader = token("reader", NULL), *analyst = token("analyst", NULL);

    get(reader, "/v1/devices");
    ask(reader, "POST", "/v1/devices", "{\"id\":\"x\"}", 403);
    ask(analyst, "POST", "/v1/devices", "{\"id\":\"x\"}", 403);
    ask(analyst, "GET", "/v1/tokens", NULL, 403);
    ask(reader, "GET", "/v1/audit", NULL, 403);
    ask(reader, "POST", "/v1/alerts/9e107d9d-0000-4000-8000-000000000000/close", NULL, 403);
    ask(analyst, "POST", "/v1/alerts/9e107d9d-0000-4000-8000-000000000000/close", NULL, 404);
    ask(reader, "GET", "/v1/devices/x/connection-string", NULL, 403);
}
END_TEST

START_TEST(a_created_device_has_keys_that_rest_sealed)
{
    const char *admin = token("admin", "default");
    const json_t *made = ask(admin, "POST", "/v1/devices", "{\"id\":\"pump-17\"}", 201);
    uint8_t key[64], plain[64];
    size_t count;
    struct db_rows *rows = NULL;

    ck_assert_str_eq(string_in(made, "workspace"), "default");
    ck_assert_str_eq(string_in(made, "status"), "enabled");
    ck_assert(text_base64_decode(text_of(string_in(made, "primary_key")), key, sizeof key, &count));
    ck_assert_uint_eq(count, 32);
    ck_assert_str_ne(string_in(made, "primary_key"), string_in(made, "secondary_key"));
    char *wanted = arena_format(&fixture.arena, "HostName=picket.example:8443;DeviceId=pump-17;SharedAccessKey=%s",
                                string_in(made, "primary_key"));
    ck_assert_str_eq(string_in(made, "connection_string"), wanted);
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/pump-17/connection-string"), "connection_string"), wanted);
    ck_assert_int_eq(db_query(fixture.owner, "SELECT sealed_primary FROM picket.credential", NULL, 0, SQL_MS, &rows, &why),
                     STATUS_OK);
    struct text sealed = db_bytea(rows, 0, 0, &fixture.arena);
    ck_assert(secret_open(&fixture.master, (const uint8_t *)sealed.bytes, sealed.count, plain));
    ck_assert_mem_eq(plain, key, count);
    db_rows_free(rows);
    ask(admin, "POST", "/v1/devices", "{\"id\":\"pump-17\"}", 409);
}
END_TEST

START_TEST(a_connection_string_names_a_host_that_leads_to_the_device)
{
    const char *admin = token("admin", "default");

    sql("UPDATE picket.workspace SET host_names = '{plant.example,other.example}' WHERE workspace_id = 1");
    ck_assert(text_starts(text_of(string_in(ask(admin, "POST", "/v1/devices", "{\"id\":\"d\"}", 201), "connection_string")),
                          TEXT("HostName=plant.example:8443;DeviceId=d;")));
    ck_assert(text_starts(text_of(string_in(get(admin, "/v1/devices/d/connection-string"), "connection_string")),
                          TEXT("HostName=plant.example:8443;DeviceId=d;")));
    ck_assert(text_starts(text_of(string_in(ask(admin, "POST", "/v1/devices/d/rotate-key", "{\"key\":\"both\"}", 200),
                                            "connection_string")),
                          TEXT("HostName=plant.example:8443;DeviceId=d;")));
}
END_TEST

START_TEST(a_device_can_bring_its_keys_and_have_modules)
{
    const char *admin = token("admin", "default");

    ask(admin, "POST", "/v1/devices", "{\"id\":\"dev/mod\"}", 400);
    const json_t *made = ask(admin, "POST", "/v1/devices",
                             "{\"id\":\"dev\",\"primary_key\":\"MDEyMzQ1Njc4OWFiY2RlZg==\","
                             "\"secondary_key\":\"MDEyMzQ1Njc4OWFiY2RlZmdo\"}", 201);
    ck_assert_str_eq(string_in(made, "primary_key"), "MDEyMzQ1Njc4OWFiY2RlZg==");
    made = ask(admin, "POST", "/v1/devices", "{\"id\":\"dev/mod\"}", 201);
    ck_assert(text_starts(text_of(string_in(made, "connection_string")),
                          TEXT("HostName=picket.example:8443;DeviceId=dev;ModuleId=mod;SharedAccessKey=")));
    const json_t *shown = get(admin, "/v1/devices/dev");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(shown, "modules"), 0)), "mod");
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/dev/modules/mod"), "id"), "dev/mod");
    ask(admin, "POST", "/v1/devices/dev/modules/mod/disable", NULL, 200);
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/dev/modules/mod"), "status"), "disabled");
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/dev"), "status"), "enabled");
    ask(admin, "POST", "/v1/devices/dev/modules/mod/enable", NULL, 200);
    ask(admin, "POST", "/v1/devices/dev/disable", NULL, 200);
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/dev/modules/mod"), "status"), "disabled");
    ask(admin, "DELETE", "/v1/devices/dev", NULL, 204);
    ask(admin, "GET", "/v1/devices/dev/modules/mod", NULL, 404);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.credential"), 0);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.device WHERE status = 'deleted'"), 2);
}
END_TEST

START_TEST(what_cannot_be_a_device_is_refused_with_a_sentence)
{
    static const char *const bodies[] = {
        "{}", "[]", "{", "\"id\"", "{\"id\":7}", "{\"id\":\"\"}", "{\"id\":\"a b\"}", "{\"id\":\"a/b/c\"}", "{\"id\":\"a/\"}",
        "{\"id\":\"/m\"}", "{\"id\":\"gr\xc3\xbcn\"}", "{\"id\":\"x\",\"colour\":\"red\"}", "{\"id\":\"x\",\"id\":\"y\"}",
        "{\"id\":\"x\",\"primary_key\":\"AAAA\"}", "{\"id\":\"x\",\"primary_key\":\"not base64!!!!!!!!!!!!!!\"}",
        "{\"id\":\"x\",\"workspace\":\"none\"}", "{\"id\":\"a\\u0000b\"}",
    };
    const char *admin = token("admin", "default");
    char long_id[200];

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        ask(admin, "POST", "/v1/devices", bodies[i], 400);
    snprintf(long_id, sizeof long_id, "{\"id\":\"%0129d\"}", 7);
    ask(admin, "POST", "/v1/devices", long_id, 400);
    snprintf(long_id, sizeof long_id, "{\"id\":\"%0128d\"}", 7);
    ask(admin, "POST", "/v1/devices", long_id, 201);
    ask(admin, "POST", "/v1/devices", "{\"id\":\"-:.+%_#*?!(),=@;$'\"}", 201);
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/-%3A.%2B%25_%23*%3F!(),=@;$'"), "id"), "-:.+%_#*?!(),=@;$'");
    ask(admin, "GET", "/v1/devices/a%00b", NULL, 400);
    ask(admin, "GET", "/v1/devices?search=%ff", NULL, 400);
}
END_TEST

START_TEST(a_deleted_device_comes_back_with_new_keys)
{
    const char *admin = token("admin", "default");
    const json_t *first = ask(admin, "POST", "/v1/devices", "{\"id\":\"lamp\"}", 201);

    ask(admin, "DELETE", "/v1/devices/lamp", NULL, 204);
    ask(admin, "GET", "/v1/devices/lamp", NULL, 404);
    ask(admin, "DELETE", "/v1/devices/lamp", NULL, 404);
    ck_assert_uint_eq(count_in(get(admin, "/v1/devices"), "devices"), 0);
    ck_assert_uint_eq(count_in(get(admin, "/v1/devices?status=deleted"), "devices"), 1);
    const json_t *second = ask(admin, "POST", "/v1/devices", "{\"id\":\"lamp\"}", 201);
    ck_assert_str_ne(string_in(first, "primary_key"), string_in(second, "primary_key"));
    ck_assert_uint_eq(count_in(get(admin, "/v1/devices"), "devices"), 1);
}
END_TEST

START_TEST(rotating_one_key_leaves_the_other)
{
    const char *admin = token("admin", "default");
    const json_t *made = ask(admin, "POST", "/v1/devices", "{\"id\":\"d\"}", 201);
    const json_t *turned = ask(admin, "POST", "/v1/devices/d/rotate-key", "{\"key\":\"secondary\"}", 200);

    ck_assert_str_eq(string_in(made, "primary_key"), string_in(turned, "primary_key"));
    ck_assert_str_ne(string_in(made, "secondary_key"), string_in(turned, "secondary_key"));
    const json_t *both = ask(admin, "POST", "/v1/devices/d/rotate-key", "{\"key\":\"both\"}", 200);
    ck_assert_str_ne(string_in(turned, "primary_key"), string_in(both, "primary_key"));
    ask(admin, "POST", "/v1/devices/d/rotate-key", "{\"key\":\"third\"}", 400);
    ask(admin, "POST", "/v1/devices/d/rotate-key", "{}", 400);
    const char *text = string_in(get(admin, "/v1/devices/d/connection-string?key=secondary"), "connection_string");
    ck_assert_ptr_nonnull(strstr(text, string_in(both, "secondary_key")));
}
END_TEST

START_TEST(a_device_shows_what_was_sent_stored_and_lost)
{
    const char *reader = token("reader", "default");

    sql("INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'd')");
    sql("INSERT INTO picket.device_activity (workspace_id, device_id, first_seen_at, last_seen_at, message_count, event_count,"
        " refused_count, refused_reasons) VALUES (1, 'd', now(), now(), 5, 17, 3, '{\"400\":2,\"413\":1}')");
    /* 1..10 settled with 8 stored; 11..15 and 18..20 stored; 16 dropped; 17 and 21..30 missing. */
    sql("INSERT INTO picket.ledger (workspace_id, device_id, epoch, stream, highest, stored, dropped, drop_reasons,"
        " settled_below, settled_stored, settled_lost, gap_from, first_seen_at, last_seen_at) VALUES (1, 'd',"
        " '0b9d9ea0-0000-4000-8000-000000000000', 1, 30, '{[11,16),[18,21)}', '{[16,17)}', '{\"spool-full\":1}', 11, 8, 2,"
        " 17, now(), now())");
    const json_t *shown = get(reader, "/v1/devices/d");
    ck_assert_int_eq(number_in(shown, "message_count"), 5);
    ck_assert_int_eq(number_in(json_object_get(shown, "refused"), "400"), 2);
    const json_t *row = json_array_get(json_object_get(shown, "ledger"), 0);
    ck_assert_int_eq(number_in(row, "sent"), 30);
    ck_assert_int_eq(number_in(row, "stored"), 16);
    ck_assert_int_eq(number_in(row, "dropped"), 1);
    ck_assert_int_eq(number_in(row, "lost"), 13);
    ck_assert_int_eq(number_in(row, "missing_count"), 11);
    char *missing = json_dumps(json_object_get(row, "missing"), JSON_COMPACT);
    ck_assert_str_eq(missing, "[[17,17],[21,30]]");
    free(missing);
    const json_t *status = get(reader, "/v1/status");
    ck_assert_int_eq(number_in(status, "lost"), 13);
    ck_assert_int_eq(number_in(status, "missing"), 11);
    ck_assert_int_eq(number_in(status, "dropped"), 1);
    ck_assert_int_eq(number_in(status, "devices_seen"), 1);
    ck_assert_int_eq(number_in(status, "refused"), 3);
    const json_t *listed = json_array_get(json_object_get(get(reader, "/v1/devices"), "devices"), 0);
    ck_assert_int_eq(number_in(listed, "event_count"), 17);
    ck_assert_int_eq(number_in(listed, "refused_count"), 3);
}
END_TEST

START_TEST(devices_are_paged_in_order_without_loss_while_others_come)
{
    const char *reader = token("reader", "default");
    const char *path = "/v1/devices?limit=7";
    size_t seen = 0, pages = 0;
    char last[160] = "";

    sql("INSERT INTO picket.device (workspace_id, device_id) SELECT 1, 'd' || lpad(n::text, 3, '0') FROM generate_series(1, 50) n");
    sql("INSERT INTO picket.device (workspace_id, device_id, module_id) SELECT 1, 'd010', 'm' || n FROM generate_series(1, 9) n");
    while (path) {
        const json_t *page = get(reader, path), *device;
        size_t i;
        json_array_foreach(json_object_get(page, "devices"), i, device)
        {
            const char *id = string_in(device, "id");
            ck_assert_msg(strcmp(last, id) < 0, "%s after %s", id, last);
            snprintf(last, sizeof last, "%s", id);
            seen += id[0] == 'd';
        }
        sql(arena_format(&fixture.arena, "INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'a%zu'), (1, 'z%zu')",
                         pages, pages));
        const char *next = json_string_value(json_object_get(page, "next"));
        path = next ? arena_format(&fixture.arena, "/v1/devices?limit=7&cursor=%s", next) : NULL;
        ck_assert_uint_lt(++pages, 50);
    }
    ck_assert_uint_eq(seen, 59);
}
END_TEST

START_TEST(devices_are_found_by_status_and_part_of_their_id)
{
    const char *admin = token("admin", "default");

    sql("INSERT INTO picket.device (workspace_id, device_id, status) VALUES (1, 'Pump-1', 'enabled'), (1, 'pump-2', 'disabled'),"
        " (1, 'valve', 'enabled')");
    ck_assert_uint_eq(count_in(get(admin, "/v1/devices?search=pump"), "devices"), 2);
    ck_assert_uint_eq(count_in(get(admin, "/v1/devices?search=PUMP-&status=disabled"), "devices"), 1);
    ck_assert_uint_eq(count_in(get(admin, "/v1/devices?search=%25"), "devices"), 0);
    ask(admin, "GET", "/v1/devices?status=broken", NULL, 400);
    ask(admin, "GET", "/v1/devices?limit=1001", NULL, 400);
    ask(admin, "GET", "/v1/devices?limit=0", NULL, 400);
    ask(admin, "GET", "/v1/devices?cursor=AAAA", NULL, 400);
}
END_TEST

START_TEST(dead_letters_are_listed_shown_and_replayed)
{
    const char *analyst = token("analyst", "default");

    sql("INSERT INTO picket.dead_letter (workspace_id, device_id, received_at, reason, headers, body, bus_topic_id,"
        " bus_partition, bus_offset, state) VALUES (1, 'd', now(), 'not JSON', '{\"v\":\"1\"}', 'gr\xc3\xbcn', 1, 3, 41, 'dead'),"
        " (1, 'd', now(), 'bytes', '{}', '\\xff00fe', 1, 3, 42, 'replayed')");
    const json_t *list = get(analyst, "/v1/dead-letters");
    ck_assert_uint_eq(count_in(list, "dead_letters"), 2);
    ck_assert_str_eq(string_in(json_array_get(json_object_get(list, "dead_letters"), 1), "message"), "direct/3@41");
    ck_assert_uint_eq(count_in(get(analyst, "/v1/dead-letters?state=dead"), "dead_letters"), 1);
    const json_t *first = get(analyst, "/v1/dead-letters?limit=1");
    const char *next = string_in(first, "next");
    const json_t *second = get(analyst, arena_format(&fixture.arena, "/v1/dead-letters?limit=1&cursor=%s", next));
    ck_assert(json_is_null(json_object_get(second, "next")));
    ck_assert_str_eq(string_in(get(analyst, "/v1/dead-letters/1"), "body"), "gr\xc3\xbcn");
    const json_t *shown = get(analyst, "/v1/dead-letters/2");
    ck_assert_str_eq(string_in(shown, "body_encoding"), "base64");
    ck_assert_str_eq(string_in(shown, "body"), "/wD+");
    ask(analyst, "POST", "/v1/dead-letters/1/replay", NULL, 200);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.dead_letter WHERE state = 'replay'"), 1);
    ask(analyst, "POST", "/v1/dead-letters/1/replay", NULL, 200);
    ask(analyst, "POST", "/v1/dead-letters/2/replay", NULL, 409);
    ask(analyst, "POST", "/v1/dead-letters/3/replay", NULL, 404);
    ask(analyst, "GET", "/v1/dead-letters/one", NULL, 400);
    ask(token("reader", "default"), "POST", "/v1/dead-letters/1/replay", NULL, 403);
}
END_TEST

START_TEST(alerts_are_listed_and_closed)
{
    const char *analyst = token("analyst", "default");

    sql("INSERT INTO picket.alert (workspace_id, device_id, rule_id, severity, title, details, first_seen_at, last_seen_at)"
        " SELECT 1, 'd' || n, 'rule', CASE n % 2 WHEN 0 THEN 'High' ELSE 'Low' END, 't', '{\"a\":1}', now() - n * interval '1 h',"
        " now() FROM generate_series(1, 5) n");
    ck_assert_uint_eq(count_in(get(analyst, "/v1/alerts?severity=High"), "alerts"), 2);
    const json_t *page = get(analyst, "/v1/alerts?limit=3");
    const json_t *newest = json_array_get(json_object_get(page, "alerts"), 0);
    ck_assert_str_eq(string_in(newest, "device"), "d1");
    const json_t *rest = get(analyst, arena_format(&fixture.arena, "/v1/alerts?limit=3&cursor=%s", string_in(page, "next")));
    ck_assert_uint_eq(count_in(rest, "alerts"), 2);
    ck_assert_str_eq(string_in(json_array_get(json_object_get(rest, "alerts"), 0), "device"), "d4");
    char *close = arena_format(&fixture.arena, "/v1/alerts/%s/close", string_in(newest, "id"));
    ask(analyst, "POST", close, NULL, 200);
    ask(analyst, "POST", close, NULL, 200);
    ck_assert_uint_eq(count_in(get(analyst, "/v1/alerts?status=open"), "alerts"), 4);
    ck_assert_int_eq(number_in(get(analyst, "/v1/status"), "alerts_open"), 4);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.audit WHERE action = 'alert.close'"), 1);
    ask(analyst, "POST", "/v1/alerts/nonsense/close", NULL, 400);
}
END_TEST

START_TEST(a_token_works_until_it_is_revoked)
{
    const char *admin = token("admin", NULL);
    const json_t *made = ask(admin, "POST", "/v1/tokens", "{\"role\":\"reader\",\"workspace\":\"bravo\"}", 201);
    const char *text = string_in(made, "token");

    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(made, "workspaces"), 0)), "bravo");
    ck_assert_uint_eq(count_in(made, "workspaces"), 1);
    ck_assert_uint_eq(count_in(get(text, "/v1/workspaces"), "workspaces"), 1);
    ask(admin, "DELETE", arena_format(&fixture.arena, "/v1/tokens/%lld", (long long)number_in(made, "id")), NULL, 204);
    ask(text, "GET", "/v1/workspaces", NULL, 401);
    ask(admin, "DELETE", arena_format(&fixture.arena, "/v1/tokens/%lld", (long long)number_in(made, "id")), NULL, 404);
    ask(admin, "POST", "/v1/tokens", "{\"role\":\"king\"}", 400);
    ask(admin, "POST", "/v1/tokens", "{}", 400);
    const json_t *list = get(admin, "/v1/tokens");
    ck_assert_uint_eq(count_in(list, "tokens"), 2);
    http_send(admin, "GET", "/v1/tokens", NULL, NULL);
    ck_assert_ptr_null(strstr(fixture.last.body.bytes, text + 13));
}
END_TEST

START_TEST(a_token_revoked_elsewhere_is_refused_within_seconds)
{
    const char *reader = token("reader", NULL);
    int64_t until_ms = clock_monotonic_ms() + 15000;

    get(reader, "/v1/status");
    sql("UPDATE picket.token SET revoked_at = now()");
    int64_t revoked_ms = clock_monotonic_ms();
    do {
        http_send(reader, "GET", "/healthz", NULL, NULL);
        http_send(reader, "GET", "/v1/status", NULL, NULL);
    } while (fixture.last.code == 200 && clock_monotonic_ms() < until_ms);
    ck_assert_int_eq(fixture.last.code, 401);
    ck_assert_int_le(clock_monotonic_ms() - revoked_ms, 7000);
}
END_TEST

START_TEST(workspaces_are_made_and_changed_by_those_who_may)
{
    const char *admin = token("admin", NULL);

    ask(admin, "POST", "/v1/workspaces", "{\"name\":\"third\",\"host_names\":[\"third.example\"]}", 201);
    ck_assert_uint_eq(count_in(get(admin, "/v1/workspaces"), "workspaces"), 3);
    ask(admin, "POST", "/v1/devices", "{\"id\":\"d\",\"workspace\":\"third\"}", 201);
    ask(admin, "POST", "/v1/workspaces", "{\"name\":\"third\"}", 409);
    ask(admin, "POST", "/v1/workspaces", "{\"name\":\"fourth\",\"host_names\":[\"third.example\"]}", 409);
    ask(admin, "POST", "/v1/workspaces", "{\"name\":\"Upper\"}", 400);
    ask(admin, "POST", "/v1/workspaces", "{\"name\":\"x\",\"host_names\":[\"Upper.example\"]}", 400);
    ask(admin, "PATCH", "/v1/workspaces/bravo", "{\"host_names\":[\"third.example\"]}", 409);
    const json_t *changed = ask(admin, "PATCH", "/v1/workspaces/bravo",
                                "{\"host_names\":[\"b.example\",\"c.example\"],\"messages_per_second\":10}", 200);
    ck_assert_uint_eq(count_in(changed, "host_names"), 2);
    changed = ask(admin, "PATCH", "/v1/workspaces/bravo", "{\"bytes_per_second\":5}", 200);
    ck_assert_uint_eq(count_in(changed, "host_names"), 2);
    ck_assert_int_eq(number_in(changed, "messages_per_second"), 10);
    changed = ask(admin, "PATCH", "/v1/workspaces/bravo", "{\"messages_per_second\":null,\"host_names\":[]}", 200);
    ck_assert(json_is_null(json_object_get(changed, "messages_per_second")));
    ck_assert_uint_eq(count_in(changed, "host_names"), 0);
    ask(admin, "PATCH", "/v1/workspaces/bravo", "{\"messages_per_second\":-1}", 400);
    ask(admin, "PATCH", "/v1/workspaces/none", "{}", 404);
}
END_TEST

START_TEST(every_change_is_in_the_audit_whose_chain_holds)
{
    static const char broken[] =
        "SELECT count(*) FROM (SELECT a.hash, picket.audit_hash(coalesce(lag(a.hash) OVER (ORDER BY a.audit_id), ''), a.audit_id,"
        " a.workspace_id, a.at, a.actor, a.action, a.target, a.details) AS wanted FROM picket.audit a) c WHERE hash <> wanted";
    const char *admin = token("admin", "default");

    ask(admin, "POST", "/v1/devices", "{\"id\":\"d\"}", 201);
    ask(admin, "POST", "/v1/devices", "{\"id\":\"d\"}", 409);
    ask(admin, "GET", "/v1/devices/d/connection-string", NULL, 200);
    ask(admin, "POST", "/v1/devices/d/rotate-key", "{\"key\":\"primary\"}", 200);
    ask(admin, "POST", "/v1/devices/d/disable", NULL, 200);
    ask(admin, "DELETE", "/v1/devices/d", NULL, 204);
    const json_t *list = json_object_get(get(admin, "/v1/audit"), "audit");
    static const char *const wanted[] = {"device.delete", "device.disable", "device.rotate-key", "device.connection-string",
                                         "device.create", "token.create"};
    ck_assert_uint_eq(json_array_size(list), 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_str_eq(string_in(json_array_get(list, i), "action"), wanted[i]);
    ck_assert_str_eq(string_in(json_array_get(list, 0), "actor"), "token 1");
    ck_assert_uint_eq(count_in(get(admin, "/v1/audit?action=device.create"), "audit"), 1);
    ck_assert_int_eq(sql_number(fixture.owner, broken), 0);
    sql("UPDATE picket.audit SET target = 'other' WHERE action = 'device.disable'");
    ck_assert_int_eq(sql_number(fixture.owner, broken), 1);
}
END_TEST

START_TEST(probes_and_documents_need_no_token)
{
    struct program_reply ready;

    ask(NULL, "GET", "/healthz", NULL, 200);
    ck_assert(program_http_until("GET", arena_format(&fixture.arena, "%s/readyz", fixture.url), NULL, TEXT_NONE, 200, 20000,
                                 &ready));
    program_reply_done(&ready);
    const json_t *document = get(NULL, "/openapi.json");
    ck_assert_ptr_nonnull(json_object_get(json_object_get(document, "paths"), "/v1/devices/{id}"));
    http_send(NULL, "GET", "/metrics", NULL, NULL);
    ck_assert_int_eq(fixture.last.code, 200);
    ck_assert_ptr_nonnull(strstr(fixture.last.body.bytes, "picket_query_answers_total{status=\"ok\"}"));
    http_send(NULL, "HEAD", "/healthz", NULL, NULL);
    ck_assert_int_eq(fixture.last.code, 200);
}
END_TEST

START_TEST(without_its_database_it_says_so_and_recovers)
{
    const char *reader = token("reader", NULL);
    struct program_reply reply;
    char *status = arena_format(&fixture.arena, "%s/v1/status", fixture.url);
    char *header = arena_format(&fixture.arena, "Authorization: Bearer %s", reader);
    const char *const headers[] = {header, NULL};

    get(reader, "/v1/status");
    database_stop();
    ask(reader, "GET", "/v1/status", NULL, 503);
    ck_assert(program_reply_header(&fixture.last, "Retry-After").bytes != NULL);
    ck_assert_ptr_null(strstr(fixture.last.body.bytes, "/tmp"));
    ck_assert(program_http_until("GET", arena_format(&fixture.arena, "%s/readyz", fixture.url), NULL, TEXT_NONE, 503, 20000,
                                 &reply));
    program_reply_done(&reply);
    ask(NULL, "GET", "/healthz", NULL, 200);
    database_restart();
    ck_assert(program_http_until("GET", status, headers, TEXT_NONE, 200, 20000, &reply));
    program_reply_done(&reply);
}
END_TEST

START_TEST(a_browser_exchanges_a_token_for_a_session)
{
    const char *admin = token("admin", "default");
    struct text cookie;
    char header[256];

    ask(NULL, "POST", "/session", "{\"token\":\"nonsense\"}", 401);
    ask(NULL, "POST", "/session", "{}", 400);
    ask(NULL, "POST", "/session", arena_format(&fixture.arena, "{\"token\":\"%s\"}", admin), 200);
    text_cut(program_reply_header(&fixture.last, "Set-Cookie"), ';', &cookie);
    struct text whole = program_reply_header(&fixture.last, "Set-Cookie");
    ck_assert_ptr_nonnull(memmem(whole.bytes, whole.count, "; HttpOnly; Secure; SameSite=Strict", 35));
    ck_assert_ptr_null(memmem(whole.bytes, whole.count, admin + 13, strlen(admin + 13)));
    snprintf(header, sizeof header, "Cookie: %.*s", TEXT_ARGS(cookie));
    http_send(NULL, "GET", "/v1/devices", NULL, header);
    ck_assert_int_eq(fixture.last.code, 200);
    /* Another site's page can have the cookie sent, but no header of ours. */
    http_send(NULL, "POST", "/v1/devices", "{\"id\":\"x\"}", header);
    ck_assert_int_eq(fixture.last.code, 403);
    char *with_header = arena_format(&fixture.arena, "%s\r\nPicket-Console: 1", header);
    http_send(NULL, "POST", "/v1/devices", "{\"id\":\"x\"}", with_header);
    ck_assert_int_eq(fixture.last.code, 201);
    /* Its end cannot be moved, and it dies with its token. */
    char *forged = arena_string(&fixture.arena, text_of(header));
    char *expiry = strstr(forged, "pks_") + 13;
    memcpy(expiry, "ffffffffff", 10);
    http_send(NULL, "GET", "/v1/devices", NULL, forged);
    ck_assert_int_eq(fixture.last.code, 401);
    ask(admin, "DELETE", "/v1/tokens/1", NULL, 204);
    http_send(NULL, "GET", "/v1/devices", NULL, header);
    ck_assert_int_eq(fixture.last.code, 401);
    ask(NULL, "DELETE", "/session", NULL, 204);
}
END_TEST

START_TEST(the_console_is_served_and_nothing_beside_it)
{
    static const char *const files[][2] = {{"/", "text/html; charset=utf-8"},
                                           {"/console/index.html", "text/html; charset=utf-8"},
                                           {"/console/app.js", "text/javascript; charset=utf-8"},
                                           {"/console/api.js", "text/javascript; charset=utf-8"},
                                           {"/console/style.css", "text/css; charset=utf-8"}};
    static const char *const wrong[] = {"/console/..%2f..%2fMakefile", "/console/%2e%2e%2fREADME.md", "/console/",
                                        "/console/none.js", "/console/index.html%00.js"};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        http_send(NULL, "GET", files[i][0], NULL, NULL);
        ck_assert_msg(fixture.last.code == 200, "%s: %ld", files[i][0], fixture.last.code);
        ck_assert(text_equal(program_reply_header(&fixture.last, "Content-Type"), text_of(files[i][1])));
        struct text policy = program_reply_header(&fixture.last, "Content-Security-Policy");
        ck_assert(text_starts(policy, TEXT("default-src 'none'; script-src 'self'")));
        ck_assert(!memmem(policy.bytes, policy.count, "unsafe", 6));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        http_send(NULL, "GET", wrong[i], NULL, NULL);
        ck_assert_msg(fixture.last.code == 404 || fixture.last.code == 400, "%s: %ld", wrong[i], fixture.last.code);
    }
}
END_TEST

START_TEST(plain_http_is_only_offered_on_loopback)
{
    struct query_settings settings = fixture_settings();
    struct query *query = NULL;

    settings.query_address = "0.0.0.0";
    ck_assert_int_eq(query_open(&settings, &query, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "tls_certificate_file"));
    settings.query_address = "127.0.0.1";
    settings.query_port = (int64_t)query_port(fixture.query);
    ck_assert_int_eq(query_open(&settings, &query, &why), STATUS_REJECT);
    settings.master_key_file = "/nonexistent";
    ck_assert_int_eq(query_open(&settings, &query, &why), STATUS_REJECT);
    ck_assert_ptr_null(query);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        without_a_token_that_is_known_nothing_is_answered,
        a_role_may_do_what_it_may_and_no_more,
        a_created_device_has_keys_that_rest_sealed,
        a_connection_string_names_a_host_that_leads_to_the_device,
        a_device_can_bring_its_keys_and_have_modules,
        what_cannot_be_a_device_is_refused_with_a_sentence,
        a_deleted_device_comes_back_with_new_keys,
        rotating_one_key_leaves_the_other,
        a_device_shows_what_was_sent_stored_and_lost,
        devices_are_paged_in_order_without_loss_while_others_come,
        devices_are_found_by_status_and_part_of_their_id,
        dead_letters_are_listed_shown_and_replayed,
        alerts_are_listed_and_closed,
        a_token_works_until_it_is_revoked,
        a_token_revoked_elsewhere_is_refused_within_seconds,
        workspaces_are_made_and_changed_by_those_who_may,
        every_change_is_in_the_audit_whose_chain_holds,
        probes_and_documents_need_no_token,
        without_its_database_it_says_so_and_recovers,
        a_browser_exchanges_a_token_for_a_session,
        the_console_is_served_and_nothing_beside_it,
        plain_http_is_only_offered_on_loopback,
    };

    template_make();
    return FIXTURE_MAIN("query/query", tests);
}
