#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/process.h"
#include "tests/unit/query/fixture.h"

/* KQL over HTTP, on the database itself: what may be seen, what is refused, and in whose words. */

static const json_t *ask_kql(const char *bearer, const char *workspace, const char *kql, long code)
{
    json_t *body = json_pack("{s:s}", "query", kql);
    char *text = json_dumps(body, JSON_COMPACT);
    char *path = arena_format(&fixture.arena, "/v1/workspaces/%s/query", workspace);
    const json_t *answer = ask(bearer, "POST", path, text, code);

    free(text);
    json_decref(body);
    return answer;
}

static const json_t *rows_of(const json_t *answer)
{
    return json_object_get(json_array_get(json_object_get(answer, "tables"), 0), "rows");
}

/* The first cell of the first row, as JSON text. */
static const char *cell(const json_t *answer)
{
    char *text = json_dumps(json_array_get(json_array_get(rows_of(answer), 0), 0), JSON_ENCODE_ANY | JSON_COMPACT);
    const char *kept = arena_string(&fixture.arena, text_of(text ? text : "nothing"));

    free(text);
    return kept;
}

static const char *inner_code(const json_t *answer, int depth)
{
    const json_t *error = json_object_get(answer, "error");

    for (; depth; depth--)
        error = json_object_get(error, "innererror");
    return string_in(error, "code");
}

static void two_workspaces(void)
{
    events_put(1, "only-a", 1, 3, "1 minute");
    events_put(2, "only-b", 1, 5, "1 minute");
    sql("INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'only-a'), (2, 'only-b')");
    sql("INSERT INTO picket.saved_function (workspace_id, name, parameters, body) VALUES (2, 'Secret', '()', 'print \"only-b\"'),"
        " (1, 'Counted', '(T:(*))', 'T | count')");
    sql("INSERT INTO picket.custom_table (workspace_id, name, columns) VALUES (2, 'Secret_CL', 'TimeGenerated:datetime,Who:string'),"
        " (1, 'Open_CL', 'TimeGenerated:datetime,Who:string')");
    sql("INSERT INTO picket.custom_row VALUES (2, 'Secret_CL', now(), '{\"Who\":\"only-b\"}'),"
        " (1, 'Open_CL', now(), '{\"Who\":\"me\"}')");
}

START_TEST(a_question_sees_the_rows_of_its_own_workspace)
{
    static const char *const nothing_of_b[] = {
        "SecurityIoTRawEvent | where DeviceId == 'only-b'",
        "union * | where DeviceId == 'only-b'",
        "union withsource=T Sec*, Dev* | where DeviceId has 'only-b'",
        "search 'only-b'",
        "search in (Device, SecurityIoTRawEvent) 'only-b'",
        "let f = () { Device | where DeviceId == 'only-b' }; f",
        "Device | join kind=fullouter (SecurityIoTRawEvent) on DeviceId | where DeviceId == 'only-b' or DeviceId1 == 'only-b'",
        "print x = toscalar(Device | where DeviceId == 'only-b' | project DeviceId) | where x != ''",
        "Device | mv-apply y = dynamic([1]) on (extend z = DeviceId) | where z == 'only-b'",
    };
    two_workspaces();
    const char *a = token("reader", "default"), *b = token("reader", "bravo"), *both = token("reader", NULL);

    for (size_t i = 0; i < sizeof nothing_of_b / sizeof *nothing_of_b; i++) {
        ck_assert_msg(json_array_size(rows_of(ask_kql(a, "default", nothing_of_b[i], 200))) == 0, "%s", nothing_of_b[i]);
        ck_assert_msg(json_array_size(rows_of(ask_kql(both, "default", nothing_of_b[i], 200))) == 0, "%s", nothing_of_b[i]);
    }
    ck_assert_str_eq(cell(ask_kql(a, "default", "SecurityIoTRawEvent | count", 200)), "3");
    ck_assert_str_eq(cell(ask_kql(b, "bravo", "SecurityIoTRawEvent | count", 200)), "5");
    ck_assert_str_eq(cell(ask_kql(both, "bravo", "SecurityIoTRawEvent | count", 200)), "5");
    ck_assert_str_eq(cell(ask_kql(b, "-", "SecurityIoTRawEvent | count", 200)), "5");
}
END_TEST

START_TEST(no_name_and_no_error_tells_of_another_workspace)
{
    two_workspaces();
    const char *a = token("reader", "default");

    ask_kql(a, "bravo", "print 1", 404);
    ask_kql(a, "default", "Secret()", 400);
    ask_kql(a, "default", "Secret_CL", 400);
    ask_kql(a, "default", "workspace('bravo').Device", 400);
    const char *guid = arena_string(&fixture.arena, text_of("00000000-0000-0000-0000-000000000000"));
    ask_kql(a, guid, "print 1", 404);
    const json_t *named = ask(a, "POST", "/v1/workspaces/default/query",
                              "{\"query\":\"Device\",\"workspaces\":[\"bravo\"]}", 404);
    ck_assert_ptr_nonnull(named);
    char *metadata = json_dumps(get(a, "/v1/workspaces/default/metadata"), 0);
    ck_assert_ptr_null(strstr(metadata, "Secret"));
    ck_assert_ptr_null(strstr(metadata, "bravo"));
    ck_assert_ptr_nonnull(strstr(metadata, "Counted"));
    free(metadata);
    ck_assert_str_eq(cell(ask_kql(a, "default", "Open_CL | project Who", 200)), "\"me\"");
    ck_assert_str_eq(cell(ask_kql(a, "default", "Device | invoke Counted()", 200)), "1");
}
END_TEST

START_TEST(workspaces_are_joined_where_the_token_opens_them)
{
    two_workspaces();
    const char *both = token("reader", NULL);

    ck_assert_str_eq(cell(ask_kql(both, "default", "workspace('bravo').SecurityIoTRawEvent | count", 200)), "5");
    /* A name alone still means the workspace that was asked. */
    ck_assert_str_eq(cell(ask_kql(both, "default", "union SecurityIoTRawEvent, workspace('bravo').Device | count", 200)), "4");
    ck_assert_str_eq(cell(ask(both, "POST", "/v1/workspaces/default/query",
                              "{\"query\":\"SecurityIoTRawEvent | count\",\"workspaces\":[\"bravo\"]}", 200)),
                     "8");
    ck_assert_str_eq(cell(get(both, "/v1/workspaces/default/query?query=SecurityIoTRawEvent%20%7C%20count&workspaces=bravo")), "8");
    ck_assert_str_eq(cell(ask_kql(both, "default", "workspace('bravo').Device | project TenantId", 200)),
                     cell(ask_kql(both, "bravo", "Device | project TenantId", 200)));
}
END_TEST

START_TEST(a_time_span_of_either_place_narrows_what_is_seen)
{
    const char *a = token("reader", "default");

    events_put(1, "d", 1, 1, "30 minutes");
    events_put(1, "d", 2, 1, "90 minutes");
    events_put(1, "d", 3, 1, "26 hours");
    ck_assert_str_eq(cell(ask(a, "POST", "/v1/workspaces/default/query",
                              "{\"query\":\"SecurityIoTRawEvent | count\",\"timespan\":\"PT3600.0S\"}", 200)), "1");
    ck_assert_str_eq(cell(ask(a, "POST", "/v1/workspaces/default/query",
                              "{\"query\":\"SecurityIoTRawEvent | count\",\"timespan\":\"P1D\"}", 200)), "2");
    ck_assert_str_eq(cell(ask(a, "POST", "/v1/workspaces/default/query?timespan=PT1H",
                              "{\"query\":\"SecurityIoTRawEvent | count\",\"timespan\":\"P1D\",\"workspaces\":null}", 200)), "1");
    ck_assert_str_eq(cell(ask(a, "POST", "/v1/workspaces/default/query",
                              "{\"query\":\"SecurityIoTRawEvent | count\",\"timespan\":null}", 200)), "3");
    ck_assert_str_eq(cell(ask(a, "POST", "/v1/workspaces/default/query",
                              "{\"query\":\"SecurityIoTRawEvent | count\",\"timespan\":\"2000-01-01/2001-01-01\"}", 200)), "0");
    ask(a, "POST", "/v1/workspaces/default/query", "{\"query\":\"print 1\",\"timespan\":\"yesterday\"}", 400);
}
END_TEST

START_TEST(what_is_wrong_is_said_in_the_words_of_each_api)
{
    const char *a = token("reader", "default");

    ck_assert_str_eq(inner_code(ask_kql(a, "default", "Device | whera x", 400), 1), "SyntaxError");
    ck_assert_str_eq(inner_code(ask_kql(a, "default", "Device | where Nope == 1", 400), 1), "SemanticError");
    ck_assert_str_eq(inner_code(ask_kql(a, "default", "Device | where Nope == 1", 400), 2), "semantic.unknown_column");
    ck_assert_str_eq(inner_code(ask_kql(a, "default", "Nope", 400), 2), "semantic.unknown_table");
    ck_assert_str_eq(inner_code(ask(a, "POST", "/v1/workspaces/default/query", "{", 400), 0), "BadArgumentError");
    ck_assert_str_eq(inner_code(ask(a, "POST", "/v1/workspaces/default/query", "{}", 400), 1), "QueryValidationError");
    ck_assert_str_eq(inner_code(ask(NULL, "POST", "/v1/workspaces/default/query", "{}", 401), 0), "AuthenticationFailed");
    ck_assert_str_eq(inner_code(ask(a, "POST", "/v2/rest/query", "{\"db\":\"default\",\"csl\":\"Nope\"}", 400), 1), "SEM0100");
    ask(a, "POST", "/v2/rest/query", "{\"db\":\"bravo\",\"csl\":\"print 1\"}", 404);
    ask(a, "POST", "/v2/rest/query", "{\"db\":\"default\"}", 400);
    ask(a, "POST", "/v1/rest/query", "{\"db\":\"default\",\"csl\":\".show tables\"}", 400);
    ask(a, "POST", "/v1/rest/mgmt", "{\"db\":\"default\",\"csl\":\".do anything\"}", 400);
    ask(a, "POST", "/v1/rest/mgmt", "{\"db\":\"default\",\"csl\":\".create-or-alter function F() { print 1 }\"}", 403);
    http_send(NULL, "GET", "/v1/rest/auth/metadata", NULL, NULL);
    ck_assert_int_eq(fixture.last.code, 404);
    ck_assert_uint_eq(fixture.last.body.count, 0);
}
END_TEST

START_TEST(more_rows_than_may_be_are_cut_and_the_answer_says_so)
{
    const char *a = token("reader", "default");
    const json_t *cut = ask_kql(a, "default", "range x from 1 to 5000 step 1", 200);

    ck_assert_uint_eq(json_array_size(rows_of(cut)), 1000);
    ck_assert_str_eq(inner_code(cut, 0), "PartialError");
    ck_assert_ptr_null(json_object_get(ask_kql(a, "default", "range x from 1 to 1000 step 1", 200), "error"));
    /* Wide rather than long: of 10,000 bytes, some 250 rows fit. */
    cut = ask_kql(a, "default", "range x from 1 to 900 step 1 | extend y = strrep('0123456789', 1000)", 200);
    ck_assert_str_eq(inner_code(cut, 0), "PartialError");
    ck_assert_uint_lt(json_array_size(rows_of(cut)), 300);
    const json_t *frames = ask(a, "POST", "/v2/rest/query",
                               "{\"db\":\"default\",\"csl\":\"range x from 1 to 5000 step 1\"}", 200);
    ck_assert(json_is_true(json_object_get(json_array_get(frames, json_array_size(frames) - 1), "HasErrors")));
}
END_TEST

START_TEST(a_long_answer_waits_in_a_file_and_arrives_whole)
{
    const char *a = token("reader", "default");
    const json_t *answer = ask_kql(a, "default", "range x from 1 to 1000 step 1 | extend y = strrep('abc\"', 500)", 200);
    const json_t *row;
    size_t i;

    ck_assert_uint_eq(json_array_size(rows_of(answer)), 1000);
    json_array_foreach(rows_of(answer), i, row)
        ck_assert_int_eq(json_integer_value(json_array_get(row, 0)), (int64_t)i + 1);
    ck_assert_ptr_null(json_object_get(answer, "error"));
}
END_TEST

START_TEST(a_question_that_would_cost_too_much_is_refused_before_it_runs)
{
    const char *a = token("reader", "default");

    events_put(1, "d", 1, 1000, "1 minute");
    sql("ANALYZE");
    const json_t *refused = ask_kql(a, "default",
                                    "SecurityIoTRawEvent | extend k = 1 | join kind=inner (SecurityIoTRawEvent | extend k = 1 |"
                                    " join kind=inner (SecurityIoTRawEvent | extend k = 1) on k) on k | count", 400);
    ck_assert_str_eq(inner_code(refused, 2), "execution.cost");
    ask_kql(a, "default", "SecurityIoTRawEvent | count", 200);
}
END_TEST

START_TEST(a_question_past_its_time_is_stopped_in_the_database)
{
    const char *a = token("reader", "default");
    const char *body = "{\"query\":\"range x from 1 to 1000000000 step 1 | summarize sum(x % 7)\"}";

    http_send(a, "POST", "/v1/workspaces/default/query", body, "Prefer: wait=1");
    ck_assert_int_eq(fixture.last.code, 504);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%range_rows%'"
                                               " AND state = 'active' AND pid <> pg_backend_pid()"), 0);
}
END_TEST

static void wait_running(int64_t wanted)
{
    int64_t deadline_ms = clock_monotonic_ms() + 15000, running;

    do
        running = sql_number(fixture.owner, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%range_rows%'"
                                            " AND state = 'active' AND pid <> pg_backend_pid()");
    while (running != wanted && clock_monotonic_ms() < deadline_ms);
    ck_assert_int_eq(running, wanted);
}

/* A connection that has sent a long question and waits for nothing. */
static int question_begin(const char *bearer)
{
    const char *body = "{\"query\":\"range x from 1 to 1000000000 step 1 | summarize sum(x % 7)\"}";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(query_port(fixture.query)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char *request = arena_format(&fixture.arena,
                                 "POST /v1/workspaces/default/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                 bearer, strlen(body), body);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    return fd;
}

START_TEST(a_question_ends_when_its_client_leaves)
{
    int fd = question_begin(token("reader", "default"));

    wait_running(1);
    close(fd);
    wait_running(0);
}
END_TEST

START_TEST(a_running_question_is_listed_and_can_be_stopped)
{
    const char *admin = token("admin", "default");
    int fd = question_begin(admin);
    char answer[64] = "";

    wait_running(1);
    const json_t *list = ask(admin, "POST", "/v1/rest/mgmt", "{\"csl\":\".show queries\"}", 200);
    const json_t *rows = json_object_get(json_array_get(json_object_get(list, "Tables"), 0), "Rows");
    ck_assert_uint_eq(json_array_size(rows), 1);
    const char *id = json_string_value(json_array_get(json_array_get(rows, 0), 0));
    ask(admin, "POST", "/v1/rest/mgmt", arena_format(&fixture.arena, "{\"csl\":\".cancel query \\\"%s\\\"\"}", id), 200);
    wait_running(0);
    ck_assert_int_gt(read(fd, answer, sizeof answer - 1), 0);
    ck_assert_ptr_nonnull(strstr(answer, " 504 "));
    close(fd);
}
END_TEST

START_TEST(one_token_does_not_take_all_workers)
{
    const char *greedy = token("reader", "default"), *other = token("reader", "default");
    int fds[3];

    for (size_t i = 0; i < 3; i++)
        fds[i] = question_begin(greedy);
    wait_running(1); /* of two workers; kql_per_token is 1 in this test */
    ck_assert_str_eq(cell(ask_kql(other, "default", "print 7", 200)), "7");
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    wait_running(0);
}
END_TEST

START_TEST(functions_queries_and_tables_are_kept_and_changed)
{
    const char *analyst = token("analyst", "default"), *admin = token("admin", "default"), *reader = token("reader", "default");

    ask(reader, "PUT", "/v1/functions/F", "{\"body\":\"print 1\"}", 403);
    ask(analyst, "PUT", "/v1/functions/F", "{\"body\":\"print |\"}", 400);
    ask(analyst, "PUT", "/v1/functions/9F", "{\"body\":\"print 1\"}", 400);
    ask(analyst, "PUT", "/v1/functions/F", "{\"body\":\"print x = a + 1\",\"parameters\":\"(a:long=41)\"}", 200);
    ck_assert_str_eq(cell(ask_kql(reader, "default", "F()", 200)), "42");
    ask(analyst, "PUT", "/v1/functions/F", "{\"body\":\"print x = a + 2\",\"parameters\":\"(a:long=41)\"}", 200);
    ck_assert_str_eq(cell(ask_kql(reader, "default", "F()", 200)), "43");
    ask(analyst, "POST", "/v1/rest/mgmt", "{\"csl\":\".create function F() { print 1 }\"}", 400);
    ask(analyst, "POST", "/v1/rest/mgmt", "{\"csl\":\".alter function G() { print 1 }\"}", 400);
    ask(analyst, "POST", "/v1/rest/mgmt", "{\"csl\":\".create-or-alter function F() { print x = 7 }\"}", 200);
    ck_assert_str_eq(cell(ask_kql(reader, "default", "F", 200)), "7");
    ask(analyst, "DELETE", "/v1/functions/F", NULL, 204);
    ask_kql(reader, "default", "F()", 400);
    ask(analyst, "DELETE", "/v1/functions/F", NULL, 404);
    ask(analyst, "PUT", "/v1/queries/daily%20count", "{\"query\":\"Device | count\"}", 200);
    ask(analyst, "PUT", "/v1/queries/x", "{\"query\":\"Device |\"}", 400);
    ck_assert_str_eq(string_in(get(reader, "/v1/queries/daily%20count"), "query"), "Device | count");
    ask(analyst, "DELETE", "/v1/queries/daily%20count", NULL, 204);

    ask(admin, "PUT", "/v1/tables/Visits", "{\"columns\":\"TimeGenerated:datetime\"}", 400);
    ask(admin, "PUT", "/v1/tables/Visits_CL", "{\"columns\":\"Who:string\"}", 400);
    ask(admin, "PUT", "/v1/tables/Visits_CL", "{\"columns\":\"TimeGenerated:datetime,Who:string,a'b:long\"}", 400);
    ask(admin, "PUT", "/v1/tables/Visits_CL", "{\"columns\":\"TimeGenerated:datetime,Who:string\"}", 200);
    ask(admin, "PUT", "/v1/tables/Visits_CL", "{\"columns\":\"TimeGenerated:datetime,Who:long\"}", 400);
    ask(admin, "PUT", "/v1/tables/Visits_CL", "{\"columns\":\"TimeGenerated:datetime,Count:long,More:dynamic\"}", 200);
    ask(admin, "POST", "/v1/tables/Visits_CL/rows",
        "{\"rows\":[{\"TimeGenerated\":\"2026-01-02T03:04:05Z\",\"Who\":\"me\",\"Count\":\"12\",\"More\":{\"a\":1}},{\"Who\":5}]}", 200);
    ck_assert_str_eq(cell(ask_kql(reader, "default", "Visits_CL | where TimeGenerated < datetime(2026-02-01) | project"
                                                     " x = strcat_delim('', Who, Count + 1, More.a)", 200)), "\"me131\"");
    ck_assert_str_eq(cell(ask_kql(reader, "default", "Visits_CL | where Who == '5' | count", 200)), "1");
    ask(admin, "POST", "/v1/tables/Visits_CL/rows", "{\"rows\":[{\"Who\":\"lost\"},7]}", 400);
    ck_assert_str_eq(cell(ask_kql(reader, "default", "Visits_CL | where Who == 'lost' | count", 200)), "0");
    ask(admin, "DELETE", "/v1/tables/Visits_CL", NULL, 204);
    ask_kql(reader, "default", "Visits_CL", 400);
}
END_TEST

START_TEST(no_text_of_a_question_becomes_sql)
{
    static const char *const attempts[] = {
        "print x = \"'; DROP TABLE picket.device; --\"",
        "print ['a\"; DROP TABLE picket.device; --'] = 1",
        "Device | project ['x\"\"; DELETE FROM picket.device; --'] = DeviceId",
        "print x = dynamic({\"a'); DROP TABLE picket.device; --\": 1})",
        "Device | where DeviceId == '\\'; DROP TABLE picket.device; --'",
        "datatable(['a\"b']:string)['$1$'] | project ['a\"b']",
        "Device | extend d = Tags[\"'; DROP TABLE picket.device; --\"]",
        "Device | where DeviceId matches regex \"'; DROP TABLE\"",
        "Device | parse DeviceId with * \"'; DROP\" rest:string",
    };
    const char *a = token("reader", "default");

    sql("INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'kept')");
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        ask_kql(a, "default", attempts[i], 200);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.device"), 1);
}
END_TEST

/* A member of parse_json(EventDetails) is what it would be had the text been read. */
START_TEST(members_of_an_event_are_the_same_by_either_way)
{
    static const char *const payloads[] = {
        "{\"a\":1.50,\"text\":\"x \\\"y\\\" \\u00e9\",\"none\":null,\"yes\":true,\"list\":[1,{\"z\":1,\"b\":2}],\"bag\":{\"zz\":1,\"b\":[2]}}",
        "{\"MessageSource\":\"Windows\",\"text\":\"\"}", "[1,2]", "{}", "7",
    };
    static const char *const members[] = {"a", "text", "none", "yes", "list", "bag", "missing", "MessageSource", "OriginalEventId", "TimestampUTC"};
    const char *a = token("reader", "default");

    events_put(1, "d", 1, 5, "1 minute");
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
        sql(arena_format(&fixture.arena, "UPDATE picket.raw_event SET details = '%s', key_order = %s, sender_event_id = 'e' WHERE bus_offset = %zu",
                         payloads[i], i ? "NULL" : "'\\x05040302010001000100'", i + 1));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *asked = arena_format(&fixture.arena,
                                         "SecurityIoTRawEvent | extend d = parse_json(EventDetails), t = parse_json(strcat_delim('', EventDetails, ''))"
                                         " | where TimeGenerated > ago(1h) | extend x = d.%s, y = t.%s, z = parse_json(EventDetails)['%s']"
                                         " | where tostring(x) == tostring(y) and tostring(z) == tostring(y) and gettype(x) == gettype(y) | count",
                                         members[i], members[i], members[i]);
        ck_assert_str_eq(cell(ask_kql(a, "default", asked, 200)), "5");
    }
    ck_assert_str_eq(cell(ask_kql(a, "default", "SecurityIoTRawEvent | extend d = todynamic(EventDetails) | summarize count() by d2 = tostring(d.text)"
                                                " | where d2 has 'y' | project count_", 200)), "1");
    ck_assert_str_eq(cell(ask_kql(a, "default", "SecurityIoTRawEvent | extend d = todynamic(EventDetails) | join kind=inner (SecurityIoTRawEvent |"
                                                " project IoTRawEventId) on IoTRawEventId | where d.a == 1.5 | count", 200)), "1");
    ck_assert_str_eq(cell(ask_kql(a, "default", "union SecurityIoTRawEvent, Heartbeat | extend d = todynamic(EventDetails) | where d.a == 1.5 | count",
                                  200)), "1");
}
END_TEST

/* A cheap look at what lies in the database must not hide what the text of an event has. */
START_TEST(words_of_an_event_are_found_by_either_way)
{
    const char *words[] = {"linux", "kelvin", "sender7abc", "zzz", "text", "true", "messagesource", "Originaleventid", "windows",
                                        "nothinghere", "event", "d", "41", "Timestamputc", "x_y", "caf\u00e9", "istanbul", "stanbul", "gone",
                                        "nullable", "kept", "null", "orig77x", "sender8abc", "securityiotrawevent", "false", "fal", "ormality",
                                        "deviation", NULL};
    const char *a = token("reader", "default");

    events_put(1, "d", 1, 4, "1 minute");
    sql("UPDATE picket.raw_event SET details = '{\"text\":\"\u212aelvin x_y caf\u00e9\",\"n\":[41,{\"zzz\":true}]}' WHERE bus_offset = 1");
    sql("UPDATE picket.raw_event SET details = '{\"MessageSource\":\"Windows\",\"Text\":\"TRUE event\"}', sender_event_id = 'sender7ABC'"
        " WHERE bus_offset = 2");
    sql("UPDATE picket.raw_event SET details = '{\"OriginalEventId\":\"orig77X\",\"city\":\"\u0130stanbul\",\"gone\":null}', sender_event_id = 'sender8ABC',"
        " departures = '{deviation,ab-normality}' WHERE bus_offset = 3");
    sql("UPDATE picket.raw_event SET details = '{\"kept\":\"nullable one\"}', is_empty = true WHERE bus_offset = 4");
    words[sizeof words / sizeof *words - 1] = sql_text(fixture.owner, "SELECT left(guid::text, 8) FROM picket.workspace WHERE workspace_id = 1");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        static const char *const operators[] = {"has", "has_cs", "hasprefix", "hassuffix"};
        for (size_t k = 0; k < sizeof operators / sizeof *operators; k++)
            ck_assert_str_eq(
                cell(ask_kql(a, "default",
                             arena_format(&fixture.arena,
                                          "SecurityIoTRawEvent | where (EventDetails %s '%s') != (strcat_delim('', EventDetails, '') %s '%s') | count",
                                          operators[k], words[i], operators[k], words[i]),
                             200)),
                "0");
        if (!strcmp(words[i], "null")) /* pack_all() writes it of every column that is one */
            continue;
        const char *searched = cell(ask_kql(a, "default", arena_format(&fixture.arena, "search in (SecurityIoTRawEvent, Heartbeat) '%s' | count", words[i]), 200));
        ck_assert_str_eq(searched, cell(ask_kql(a, "default",
                                                arena_format(&fixture.arena,
                                                             "SecurityIoTRawEvent | extend all = tostring(pack_all()) | where all has '%s' or EventDetails has '%s' | count",
                                                             words[i], words[i]),
                                                200)));
    }
    ck_assert_str_eq(cell(ask_kql(a, "default", "SecurityIoTRawEvent | where EventDetails has 'kelvin' and EventDetails has 'zzz' | count", 200)), "1");
    ck_assert_str_eq(cell(ask_kql(a, "default", "search 'kelvin' | getschema | where ColumnName startswith '$' | count", 200)), "1");
}
END_TEST

/* Two days of events of either workspace, some of them at the first and the last moment of an hour, stored by both ways. */
static void events_by_the_hour(void)
{
    static const char put[] =
        "INSERT INTO picket.%s (workspace_id, device_id, time_generated, time_stamp, event_id, element, type, category, name, hit_count,"
        " details, bus_topic_id, bus_partition, bus_offset)"
        " SELECT 1 + n %% 3 / 2, 'd' || n %% 7, t + CASE n %% 5 WHEN 0 THEN interval '0' WHEN 1 THEN interval '1 hour' - interval '1 microsecond'"
        " ELSE n * interval '0.37 s' END, t, gen_random_uuid(), 0, CASE n %% 4 WHEN 0 THEN 'Operational' ELSE 'Security' END,"
        " CASE n %% 2 WHEN 0 THEN 'Periodic' ELSE 'Triggered' END, CASE n %% 11 WHEN 0 THEN repeat('long', 3000) ELSE 'Name' || n %% 6 END,"
        " CASE n %% 13 WHEN 0 THEN 9223372036854775807 ELSE n %% 3 END, '{}', 1, n %% 4, n"
        " FROM (SELECT n, %s + (n %% %d) * interval '1 hour' AS t FROM generate_series(1, 600) n) g";

    sql(arena_format(&fixture.arena, put, "raw_event", "date_trunc('hour', now(), 'UTC') - interval '2 days'", 48));
    const char *today = sql_text(fixture.owner, "SELECT 'raw_event_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')");
    sql(arena_format(&fixture.arena, put, today, "date_trunc('day', now(), 'UTC')", 24));
}

START_TEST(events_added_up_give_what_the_events_give)
{
    static const char *const questions[] = {
        "T | count",
        "T | distinct RawEventName, RawEventCategory | order by RawEventName asc, RawEventCategory asc",
        "T | summarize count(), sum(HitCount), min(TimeGenerated), max(TimeGenerated) by RawEventType | order by RawEventType asc",
        "T | summarize count() by RawEventName, bin(TimeGenerated, 1h) | order by RawEventName asc, TimeGenerated asc",
        "T | where TimeGenerated > datetime(@) | summarize count() by startofday(TimeGenerated) | order by TimeGenerated asc",
        "T | where TimeGenerated >= datetime(@) | count",
        "T | where TimeGenerated < datetime(@) | count",
        "T | where TimeGenerated <= datetime(@) | count",
        "T | where datetime(@) < TimeGenerated | count",
        "T | where datetime(@) >= TimeGenerated | count",
        "T | where TimeGenerated between (datetime(@) .. 3h) | count",
        "T | where TimeGenerated between (datetime(@) + 29m .. datetime(@) + 7h + 31m) | summarize count() by hourofday(TimeGenerated) | order by Column1 asc",
        "T | where TimeGenerated > datetime(@) + 59m + 59s and TimeGenerated < datetime(@) + 1d | summarize n = countif(RawEventName has 'Name1'),"
        " p = round(100.0 * countif(RawEventCategory == 'Periodic') / count(), 3), d = dcount(RawEventName), x = max(RawEventName), s = sumif(HitCount, RawEventName != 'Name2')",
        "T | where RawEventName == 'none' | summarize count(), sum(HitCount), max(TimeGenerated)",
        "T | extend N = toupper(RawEventName), H = bin(TimeGenerated, 6h) | where N != 'NAME3' | summarize c = count() by H, N | order by H asc, N asc",
    };
    events_by_the_hour();
    const char *reader = token("reader", NULL), *base = sql_text(fixture.owner, "SELECT to_char(date_trunc('hour', now(), 'UTC')"
                                                                                " - interval '1 day 3 hours', 'YYYY-MM-DD\"T\"HH24:MI')");

    for (int workspace = 0; workspace < 2; workspace++) {
        const char *name = workspace ? "bravo" : "default";
        for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
            struct text rest = text_of(questions[i]), part;
            const char *question = "";
            for (bool first = true; rest.bytes; first = false) {
                rest = text_cut(rest, '@', &part);
                question = arena_format(&fixture.arena, "%s%s%.*s", question, first ? "" : base, TEXT_ARGS(part));
            }
            /* What a device's name is takes the rows themselves. */
            const json_t *added = ask_kql(reader, name, arena_format(&fixture.arena, "let T = () { SecurityIoTRawEvent }; %s", question), 200),
                         *raw = ask_kql(reader, name, arena_format(&fixture.arena, "let T = () { SecurityIoTRawEvent | where DeviceId != '' }; %s", question), 200);
            ck_assert_msg(json_array_size(rows_of(raw)) > 0 && json_equal(rows_of(added), rows_of(raw)), "%s in %s: %s and not %s", question,
                          name, cell(added), cell(raw));
        }
    }
}
END_TEST

START_TEST(what_was_added_up_goes_with_the_events)
{
    events_by_the_hour();
    const char *reader = token("reader", "default"), *count = "SecurityIoTRawEvent | count", *raw = "SecurityIoTRawEvent | where DeviceId != '' | count";
    const char *all = cell(ask_kql(reader, "default", count, 200));

    sql("SELECT picket.partitions_drop(date_trunc('day', now(), 'UTC'), now() - interval '99 days')");
    ck_assert_str_eq(cell(ask_kql(reader, "default", count, 200)), cell(ask_kql(reader, "default", raw, 200)));
    ck_assert_str_ne(cell(ask_kql(reader, "default", count, 200)), all);
    /* It is those that are read. */
    sql("DELETE FROM picket.event_hour");
    ck_assert_str_eq(cell(ask_kql(reader, "default", count, 200)), "0");
    ck_assert_str_ne(cell(ask_kql(reader, "default", raw, 200)), "0");
}
END_TEST

/* Groups that are made in two steps, and the same made by other words. */
START_TEST(distinct_values_and_newest_rows_are_the_same_in_two_steps)
{
    static const char *const alike[][2] = {
        {"T | summarize a = dcount(DeviceId), b = count(), c = sum(HitCount), d = round(1.0 * dcount(DeviceId) / count(), 4), e = countif(HitCount > 1),"
         " f = min(TimeGenerated), g = max(RawEventName) by RawEventType | order by RawEventType asc",
         "T | summarize a = array_length(make_set(DeviceId)), b = count(), c = sum(HitCount), s = array_length(make_set(DeviceId)), e = countif(HitCount > 1),"
         " f = min(TimeGenerated), g = max(RawEventName) by RawEventType | project RawEventType, a, b, c, d = round(1.0 * s / b, 4), e, f, g"
         " | order by RawEventType asc"},
        {"T | summarize a = dcount(HitCount), b = count()", "T | summarize a = array_length(make_set(HitCount)), b = count()"},
        {"T | where HitCount < 0 | summarize a = dcount(DeviceId), b = sum(HitCount), c = max(RawEventName)", "print a = 0, b = 0, c = ''"},
        {"T | extend p = iff(HitCount > 1, long(null), HitCount) | summarize dcount(p), count() by DeviceId | order by DeviceId asc",
         "T | extend p = iff(HitCount > 1, long(null), HitCount) | summarize p = array_length(make_set(p)), count() by DeviceId | order by DeviceId asc"},
        {"T | summarize arg_max(TimeGenerated, HitCount, RawEventName) by DeviceId, RawEventType | order by DeviceId asc, RawEventType asc",
         "T | order by IoTRawEventId asc | summarize arg_max(TimeGenerated, HitCount, RawEventName) by DeviceId, RawEventType | order by DeviceId asc, RawEventType asc"},
        {"T | where HitCount == 1 | extend h = bin(TimeGenerated, 1h), n = iff(RawEventName has 'Name1', int(null), 7) | summarize arg_min(TimeGenerated, *) by h, n"
         " | project h, n, TimeGenerated, DeviceId | order by h asc, n asc",
         "T | where HitCount == 1 | extend h = bin(TimeGenerated, 1h), n = iff(RawEventName has 'Name1', int(null), 7) | order by IoTRawEventId asc"
         " | summarize arg_min(TimeGenerated, *) by h, n | project h, n, TimeGenerated, DeviceId | order by h asc, n asc"},
    };
    events_by_the_hour();
    /* Of one time there is one row, so that there is only one answer. */
    sql("UPDATE picket.raw_event SET time_generated = time_generated + bus_offset * interval '1 us' WHERE time_generated <"
        " date_trunc('hour', time_generated, 'UTC') + interval '59 minutes'");
    const char *reader = token("reader", "default");

    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
        const json_t *answers[2];
        for (int k = 0; k < 2; k++)
            answers[k] = rows_of(ask_kql(reader, "default", arena_format(&fixture.arena, "let T = SecurityIoTRawEvent | where DeviceId != 'd3'"
                                                                                        " and TimeGenerated < startofday(now()); %s", alike[i][k]), 200));
        ck_assert_msg(json_array_size(answers[0]) > 0 && json_equal(answers[0], answers[1]), "%s\n%s\n%s", alike[i][0], json_dumps(answers[0], 0),
                      json_dumps(answers[1], 0));
    }
}
END_TEST

/* What is in the database when it learns of adding up is added up by then. */
START_TEST(events_from_before_are_added_up_by_the_migration)
{
    struct buf down, up;
    char path[512];

    events_by_the_hour();
    const char *reader = token("reader", "default"),
               *question = "SecurityIoTRawEvent | summarize count(), sum(HitCount), min(TimeGenerated) by RawEventName | order by RawEventName asc";
    const json_t *all = rows_of(ask_kql(reader, "default", question, 200));
    buf_init(&down, 1 << 20);
    buf_init(&up, 1 << 20);
    snprintf(path, sizeof path, "%s/../migrations/0012_rollups.down.sql", program_build_root());
    ck_assert_int_eq(process_read_file(path, 1 << 20, &down, &why), STATUS_OK);
    snprintf(path, sizeof path, "%s/../migrations/0012_rollups.sql", program_build_root());
    ck_assert_int_eq(process_read_file(path, 1 << 20, &up, &why), STATUS_OK);
    ck_assert_msg(!db_begin(fixture.owner, SQL_MS, &why) && !db_script(fixture.owner, down.bytes, SQL_MS, &why) && !db_commit(fixture.owner, SQL_MS, &why),
                  "%s", why.text);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM pg_trigger WHERE tgname = 'event_hour'"), 0);
    ck_assert_msg(!db_begin(fixture.owner, SQL_MS, &why) && !db_script(fixture.owner, up.bytes, SQL_MS, &why) && !db_commit(fixture.owner, SQL_MS, &why),
                  "%s", why.text);
    ck_assert(json_equal(rows_of(ask_kql(reader, "default", question, 200)), all));
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT (SELECT sum(event_count) FROM picket.event_hour) - (SELECT count(*) FROM picket.raw_event)"), 0);
    buf_done(&down);
    buf_done(&up);
}
END_TEST

/* docs/tables.md says of each column what it is filled from. */
START_TEST(every_column_that_is_filled_is_documented)
{
    struct db_rows *rows = NULL;
    char path[512], line[160];
    struct buf page;

    snprintf(path, sizeof path, "%s/../docs/tables.md", program_build_root());
    buf_init(&page, 1 << 20);
    ck_assert_int_eq(process_read_file(path, 1 << 20, &page, &why), STATUS_OK);
    ck_assert_int_eq(db_query(fixture.owner,
                              "SELECT table_name, column_name FROM information_schema.columns"
                              " WHERE table_schema = 'analytics' AND column_name NOT LIKE '\\_%' AND table_name NOT LIKE '\\_%' ORDER BY 1",
                              NULL, 0, SQL_MS, &rows, &why),
                     STATUS_OK);
    ck_assert_uint_gt(db_rows_count(rows), 250);
    for (size_t i = 0; i < db_rows_count(rows); i++) {
        snprintf(line, sizeof line, "\n## %s\n", db_text(rows, i, 0).bytes);
        const char *section = strstr(page.bytes, line);
        ck_assert_msg(section != NULL, "there is no section %s", db_text(rows, i, 0).bytes);
        const char *end = strstr(section + 1, "\n## ");
        snprintf(line, sizeof line, "\n| `%s` | ", db_text(rows, i, 1).bytes);
        const char *found = strstr(section, line);
        ck_assert_msg(found && (!end || found < end), "%s.%s is not there", db_text(rows, i, 0).bytes, db_text(rows, i, 1).bytes);
    }
    db_rows_free(rows);
    buf_done(&page);
}
END_TEST

/* A function that catches errors cannot run while workers help: PostgreSQL then refuses the whole statement. */
START_TEST(no_helper_that_catches_errors_says_that_it_is_parallel_safe)
{
    ck_assert_int_eq(sql_number(fixture.owner,
                                "SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'kql'::regnamespace AND p.proparallel = 's'"
                                " AND (p.prosrc ~ 'EXCEPTION' OR EXISTS (SELECT 1 FROM pg_proc u WHERE u.pronamespace = p.pronamespace"
                                " AND u.proparallel <> 's' AND p.prosrc ~ ('kql\\.' || u.proname || '\\(')))"),
                     0);
    ck_assert_int_gt(sql_number(fixture.owner, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'kql'::regnamespace"
                                               " AND proparallel = 'u'"),
                     0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        distinct_values_and_newest_rows_are_the_same_in_two_steps, events_added_up_give_what_the_events_give, what_was_added_up_goes_with_the_events,
        events_from_before_are_added_up_by_the_migration,
        no_helper_that_catches_errors_says_that_it_is_parallel_safe,
        every_column_that_is_filled_is_documented, members_of_an_event_are_the_same_by_either_way,
        words_of_an_event_are_found_by_either_way,
        a_question_sees_the_rows_of_its_own_workspace, no_name_and_no_error_tells_of_another_workspace,
        workspaces_are_joined_where_the_token_opens_them, a_time_span_of_either_place_narrows_what_is_seen,
        what_is_wrong_is_said_in_the_words_of_each_api, more_rows_than_may_be_are_cut_and_the_answer_says_so,
        a_long_answer_waits_in_a_file_and_arrives_whole, a_question_that_would_cost_too_much_is_refused_before_it_runs,
        a_question_past_its_time_is_stopped_in_the_database, functions_queries_and_tables_are_kept_and_changed,
        a_question_ends_when_its_client_leaves, a_running_question_is_listed_and_can_be_stopped,
        one_token_does_not_take_all_workers, no_text_of_a_question_becomes_sql,
    };

    template_make();
    return FIXTURE_MAIN("query/questions", tests);
}
