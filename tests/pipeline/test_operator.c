#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "tests/support/check_main.h"
#include "tests/support/classic_message.h"
#include "tests/support/device_token.h"
#include "tests/support/whole.h"

/* What an operator types, against a whole picketd: exit codes, what goes to stdout and what to stderr, --json, --help; as
 * interfaces.md has them. */

#define WAIT_MS 20000
#define OUTPUT_MAX (16 << 20)
#define TIME_LIMIT_S 120

enum { DONE = 0, NO = 1, REFUSED = 2, UNREACHED = 3, USAGE = 64 };

static struct buf out, said;

static void setup(void)
{
    buf_init(&out, OUTPUT_MAX);
    buf_init(&said, OUTPUT_MAX);
}

static void teardown(void)
{
    buf_done(&out);
    buf_done(&said);
}

#define picket(...) whole_picket((const char *const[]){__VA_ARGS__, NULL}, &out, &said)

static const char *text(const struct buf *buf)
{
    return buf->count ? buf->bytes : "";
}

#define EXPECT(code_wanted, ...) \
    do { \
        int code_ = picket(__VA_ARGS__); \
        ck_assert_msg(code_ == (code_wanted), "exit %d instead of %d\n%s%s", code_, (int)(code_wanted), text(&out), \
                      text(&said)); \
    } while (0)

/* stdout as one JSON document and nothing else; the caller's. */
static json_t *document(void)
{
    json_error_t error;
    json_t *json = json_loads(text(&out), 0, &error);
    ck_assert_msg(json != NULL, "%s in: %s", error.text, text(&out));
    return json;
}

/* stdout as a document a line; the caller's. */
static json_t *lines(void)
{
    json_t *list = json_array();
    struct text rest = buf_as_text(&out), line;

    while (rest.count) {
        rest = text_cut(rest, '\n', &line);
        if (!line.count)
            continue;
        json_t *json = json_loadb(line.bytes, line.count, 0, NULL);
        ck_assert_msg(json_is_object(json), "not an object: %.*s", TEXT_ARGS(line));
        json_array_append_new(list, json);
    }
    return list;
}

static const char *string_in(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    ck_assert_msg(value != NULL, "no %s", name);
    return value;
}

static const json_t *line_with(const json_t *list, const char *name, const char *value)
{
    const json_t *object;
    size_t i;

    json_array_foreach(list, i, object)
    {
        const char *found = json_string_value(json_object_get(object, name));
        if (found && strcmp(found, value) == 0)
            return object;
    }
    return NULL;
}

static void expect_one_sentence(void)
{
    const char *end = strchr(text(&said), '\n');
    ck_assert_msg(strncmp(text(&said), "picket: ", 8) == 0 && end && !end[1], "stderr: %s", text(&said));
    ck_assert_str_eq(text(&out), "");
}

/* Sends what `picket device sas` signs until it is answered with `code`: the front door hears of changes in a second. */
static void expect_answer(const char *device, const char *key, long code)
{
    char url[160], authorization[DEVICE_TOKEN_SIZE + 32];
    struct program_reply reply;

    EXPECT(DONE, "device", "sas", device, "--key", key);
    snprintf(authorization, sizeof authorization, "Authorization: %.*s", (int)strcspn(text(&out), "\n"), text(&out));
    snprintf(url, sizeof url, "%s/devices/%s/messages/events?api-version=2020-03-13", whole_device_url(), device);
    const char *const headers[] = {authorization, "Content-Type: application/json", NULL};
    ck_assert_msg(program_http_until("POST", url, headers, TEXT("{\"by\":\"operator\"}"), code, WAIT_MS, &reply), "%ld %s",
                  reply.code, reply.body.count ? reply.body.bytes : reply.reason);
    program_reply_done(&reply);
}

START_TEST(a_device_is_created_listed_shown_disabled_and_deleted)
{
    static const char *const members[] = {"id", "workspace", "status", "primary_key", "secondary_key", "connection_string"};
    char wanted[512];

    EXPECT(DONE, "device", "create", "pump-17", "--workspace", "default", "--json");
    json_t *made = document();
    ck_assert_uint_eq(json_object_size(made), 6);
    for (size_t i = 0; i < 6; i++)
        string_in(made, members[i]);
    ck_assert_str_eq(string_in(made, "id"), "pump-17");
    ck_assert_str_eq(string_in(made, "workspace"), "default");
    ck_assert_str_eq(string_in(made, "status"), "enabled");
    snprintf(wanted, sizeof wanted, "HostName=localhost;DeviceId=pump-17;SharedAccessKey=%s", string_in(made, "primary_key"));
    ck_assert_str_eq(string_in(made, "connection_string"), wanted);
    EXPECT(DONE, "device", "connection-string", "pump-17");
    ck_assert(text_equal(text_trim(buf_as_text(&out)), text_of(wanted)) && out.count == strlen(wanted) + 1);
    expect_answer("pump-17", "primary", 204);
    expect_answer("pump-17", "secondary", 204);

    EXPECT(DONE, "device", "list", "--json");
    json_t *list = lines();
    ck_assert_str_eq(string_in(line_with(list, "id", "pump-17"), "status"), "enabled");
    ck_assert_uint_ge(json_array_size(list), 3); /* and those of the fixture */
    json_decref(list);
    EXPECT(DONE, "device", "list", "--search", "pump", "--limit", "1");
    ck_assert(strncmp(text(&out), "ID ", 3) == 0 && strstr(text(&out), "\npump-17 "));
    EXPECT(DONE, "device", "show", "pump-17", "--json");
    json_t *shown = document();
    ck_assert_int_eq(json_integer_value(json_object_get(shown, "message_count")), 2);
    ck_assert(json_is_array(json_object_get(shown, "ledger")) && !json_object_get(shown, "primary_key"));
    json_decref(shown);

    EXPECT(DONE, "device", "change", "pump-17", "--messages-per-second", "7", "--bytes-per-second", "0");
    EXPECT(DONE, "device", "change", "pump-17", "--bytes-per-second", "default", "--json");
    json_t *limits = document();
    ck_assert_int_eq(json_integer_value(json_object_get(limits, "messages_per_second")), 7);
    ck_assert(json_is_null(json_object_get(limits, "bytes_per_second")));
    json_decref(limits);
    EXPECT(REFUSED, "device", "change", "pump-17");
    EXPECT(REFUSED, "device", "change", "pump-17", "--messages-per-second", "many");
    EXPECT(DONE, "device", "disable", "pump-17");
    expect_answer("pump-17", "primary", 403);
    EXPECT(DONE, "device", "list", "--status", "disabled", "--json");
    list = lines();
    ck_assert_uint_eq(json_array_size(list), 1);
    json_decref(list);
    EXPECT(DONE, "device", "enable", "pump-17");
    expect_answer("pump-17", "primary", 204);
    /* The sas of a key that is gone: made before, used after. */
    EXPECT(DONE, "device", "sas", "pump-17", "--json");
    json_t *token = document();
    EXPECT(DONE, "device", "delete", "pump-17");
    ck_assert_str_eq(text(&out), "");
    char url[128], line[DEVICE_TOKEN_SIZE + 32];
    struct program_reply reply;
    snprintf(url, sizeof url, "%s/devices/pump-17/messages/events", whole_device_url());
    snprintf(line, sizeof line, "Authorization: %s", string_in(token, "sas"));
    ck_assert(program_http_until("POST", url, (const char *const[]){line, NULL}, TEXT("{}"), 401, WAIT_MS, &reply));
    program_reply_done(&reply);
    EXPECT(DONE, "device", "list", "--search", "pump", "--json");
    ck_assert_str_eq(text(&out), "");
    EXPECT(DONE, "events", "--device", "pump-17", "--json"); /* its events stay */
    list = lines();
    ck_assert_uint_ge(json_array_size(list), 3);
    json_decref(list);
    json_decref(token);
    json_decref(made);
}
END_TEST

START_TEST(a_rotated_key_is_refused_and_the_other_one_stays)
{
    EXPECT(DONE, "device", "create", "valve", "--workspace", "default", "--json");
    json_t *made = document();
    expect_answer("valve", "primary", 204);
    EXPECT(DONE, "device", "rotate-key", "valve", "--key", "primary", "--json");
    json_t *rotated = document();
    ck_assert_str_ne(string_in(rotated, "primary_key"), string_in(made, "primary_key"));
    ck_assert_str_eq(string_in(rotated, "secondary_key"), string_in(made, "secondary_key"));
    /* The first answer's connection string still signs with the key that is gone. */
    EXPECT(DONE, "device", "sas", "--connection-string", string_in(made, "connection_string"));
    char url[128], line[DEVICE_TOKEN_SIZE + 32];
    struct program_reply reply;
    snprintf(url, sizeof url, "%s/devices/valve/messages/events", whole_device_url());
    snprintf(line, sizeof line, "Authorization: %.*s", (int)strcspn(text(&out), "\n"), text(&out));
    ck_assert(program_http_until("POST", url, (const char *const[]){line, NULL}, TEXT("{}"), 401, WAIT_MS, &reply));
    program_reply_done(&reply);
    expect_answer("valve", "primary", 204);
    expect_answer("valve", "secondary", 204);
    json_decref(rotated);
    json_decref(made);
}
END_TEST

static void file_write(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(content, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(feeds_are_imported_listed_and_removed_and_a_warning_list_is_known_as_one)
{
    char folder[] = "/tmp/picket-feeds-XXXXXX", list[64], friends[64], nothing[64];

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(list, sizeof list, "%s/list.txt", folder);
    snprintf(friends, sizeof friends, "%s/friends.json", folder);
    snprintf(nothing, sizeof nothing, "%s/nothing.txt", folder);
    file_write(list, "# bad\n203.0.113.7\nc2.example\nno indicator!\n");
    file_write(friends, "{\"name\":\"n\",\"type\":\"hostname\",\"list\":[\"fine.example\",\"192.0.2.53\"]}");
    file_write(nothing, "# nothing\n");
    EXPECT(DONE, "feed", "import", "bad", list);
    ck_assert_str_eq(text(&out), "bad: 2 indicators in force\n");
    ck_assert_ptr_nonnull(strstr(text(&said), "1 entries are none of the kinds"));
    EXPECT(DONE, "feed", "import", "friends", friends, "--json");
    json_t *imported = document();
    ck_assert_str_eq(string_in(imported, "kind"), "warning");
    ck_assert_int_eq(json_integer_value(json_object_get(imported, "indicators")), 2);
    EXPECT(REFUSED, "feed", "import", "bad", nothing);
    ck_assert_ptr_nonnull(strstr(text(&said), "keeps what it had"));
    EXPECT(REFUSED, "feed", "import", "bad", list, "--kind", "rumour");
    EXPECT(REFUSED, "feed", "pull", "bad");
    EXPECT(DONE, "feed", "add", "far", "https://feeds.invalid/list", "--every", "1h", "--min-confidence", "50");
    EXPECT(DONE, "feed", "list", "--json");
    json_t *feeds = lines();
    ck_assert_int_eq(json_integer_value(json_object_get(line_with(feeds, "name", "bad"), "indicators")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(line_with(feeds, "name", "far"), "pull_every_s")), 3600);
    EXPECT(DONE, "feed", "remove", "far");
    EXPECT(DONE, "feed", "remove", "friends");
    EXPECT(DONE, "feed", "remove", "bad");
    EXPECT(REFUSED, "feed", "remove", "bad");
    json_decref(feeds);
    json_decref(imported);
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
}
END_TEST

START_TEST(refusals_say_what_and_exit_2_unreached_servers_3_and_usage_64)
{
    EXPECT(REFUSED, "device", "create", "device-0", "--workspace", "default");
    expect_one_sentence();
    EXPECT(REFUSED, "device", "create", "no blanks", "--workspace", "default");
    expect_one_sentence();
    static const char *const verbs[] = {"show", "disable", "enable", "delete", "rotate-key", "connection-string"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        EXPECT(REFUSED, "device", verbs[i], "nobody", "--workspace", "default", "--json");
        expect_one_sentence();
    }
    EXPECT(REFUSED, "device", "rotate-key", "device-0", "--key", "third");
    expect_one_sentence();
    EXPECT(REFUSED, "events", "--since", "the day before");
    expect_one_sentence();
    EXPECT(REFUSED, "events", "--limit", "none");
    expect_one_sentence();
    EXPECT(REFUSED, "events", "--limit", "5", "--all");
    expect_one_sentence();
    EXPECT(REFUSED, "dead-letter", "show", "999999", "--json");
    expect_one_sentence();
    EXPECT(REFUSED, "dead-letter", "show", "first");
    expect_one_sentence();
    EXPECT(REFUSED, "dead-letter", "replay", "999999");
    expect_one_sentence();
    EXPECT(REFUSED, "device", "list", "--token", "pk_not_a_token", "--json");
    expect_one_sentence();
    char nowhere[64];
    snprintf(nowhere, sizeof nowhere, "https://localhost:%u", (unsigned)program_free_port());
    EXPECT(UNREACHED, "device", "list", "--server", nowhere, "--json");
    expect_one_sentence();
    EXPECT(UNREACHED, "events", "--ca", "/nonexistent/ca.pem");
    expect_one_sentence();
    EXPECT(USAGE, "device", "create");
    EXPECT(USAGE, "device", "create", "a", "b");
    EXPECT(USAGE, "device", "list", "--colour");
    EXPECT(USAGE, "device", "list", "--limit");
    EXPECT(USAGE, "device");
    EXPECT(USAGE, "devise", "list");
    EXPECT(USAGE, "dead-letter", "bury");
}
END_TEST

START_TEST(every_verb_has_help_with_its_flags)
{
    static const struct {
        const char *words[3], *flags[10];
    } verbs[] = {
        {{"device", "create"}, {"--json", "--server", "--token", "--ca", "--data", "--workspace"}},
        {{"device", "list"}, {"--json", "--server", "--token", "--ca", "--data", "--status", "--search", "--limit"}},
        {{"device", "show"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"device", "disable"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"device", "enable"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"device", "delete"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"device", "rotate-key"}, {"--json", "--server", "--token", "--ca", "--data", "--key"}},
        {{"device", "connection-string"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"device", "sas"}, {"--json", "--server", "--token", "--ca", "--data", "--ttl", "--key", "--connection-string"}},
        {{"events"}, {"--json", "--server", "--device", "--type", "--name", "--since", "--until", "--text", "--limit", "--all"}},
        {{"dead-letter", "list"}, {"--json", "--server", "--token", "--ca", "--data", "--limit"}},
        {{"dead-letter", "show"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"dead-letter", "replay"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"token", "create"}, {"--json", "--server", "--token", "--ca", "--data", "--role", "--workspace"}},
        {{"token", "list"}, {"--json", "--server", "--token", "--ca", "--data"}},
        {{"workspace", "create"}, {"--json", "--server", "--hosts"}},
        {{"up"}, {"--data", "--detach", "--quiet", "--no-agent", "--port-https", "--port-query", "--port-http"}},
        {{"down"}, {"--data"}},
        {{"status"}, {"--json", "--data"}},
        {{"migrate"}, {"--json", "--data", "--database"}},
    };

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        const char *const words[] = {verbs[i].words[0], verbs[i].words[1] ? verbs[i].words[1] : "--help",
                                     verbs[i].words[1] ? "--help" : NULL, NULL};
        ck_assert_int_eq(whole_picket(words, &out, &said), DONE);
        ck_assert_msg(strncmp(text(&out), "Usage: picket ", 14) == 0, "%s: %s", words[0], text(&out));
        for (const char *const *flag = verbs[i].flags; flag < verbs[i].flags + 10 && *flag; flag++) {
            char word[32];
            snprintf(word, sizeof word, "  %s ", *flag);
            ck_assert_msg(strstr(text(&out), word) != NULL, "%s %s: no %s in %s", words[0], words[1], *flag, text(&out));
        }
        ck_assert_str_eq(text(&said), "");
    }
    EXPECT(DONE, "--help");
    EXPECT(DONE, "device", "--help");
}
END_TEST

START_TEST(events_are_listed_filtered_and_paged)
{
    char receipt[BUS_RECEIPT_SIZE], since[CLOCK_TEXT_SIZE];
    struct buf body;

    buf_init(&body, 4 << 20);
    for (unsigned i = 0; i < 25; i++) {
        buf_clear(&body);
        classic_message_append(&body, 100, i);
        whole_send(1, (const char *const[]){"Content-Type: application/json", NULL}, buf_as_text(&body), receipt);
    }
    clock_format(clock_utc_us(), since);
    whole_send(1, (const char *const[]){"Content-Type:", NULL}, TEXT("{\"needle\":\"in the hay, stack\"}"), receipt);
    buf_done(&body);
    const struct {
        const char *words[10];
        size_t count;
    } cases[] = {
        {{"events", "--device", "device-1", "--json"}, 100},
        {{"events", "--device", "device-1", "--all", "--json"}, 2501},
        {{"events", "--device", "device-1", "--limit", "7", "--json"}, 7},
        {{"events", "--device", "device-1", "--limit", "1205", "--json"}, 1205},
        {{"events", "--device", "device-1", "--type", "Custom", "--json"}, 1},
        {{"events", "--device", "device-1", "--name", "ProcessCreate", "--limit", "2000", "--json"}, 2000},
        {{"events", "--device", "device-1", "--text", "needle", "--json"}, 1},
        {{"events", "--device", "device-1", "--text", "hay, stack", "--json"}, 1},
        {{"events", "--device", "device-1", "--text", "sleep 17", "--all", "--json"}, 25},
        {{"events", "--device", "device-1", "--since", since, "--json"}, 1},
        {{"events", "--device", "device-1", "--until", since, "--all", "--json"}, 2500},
        {{"events", "--device", "device-1", "--since", "1h", "--until", "30m", "--json"}, 0},
        {{"events", "--device", "nobody", "--json"}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(whole_picket(cases[i].words, &out, &said), DONE);
        ck_assert_str_eq(text(&said), "");
        json_t *list = lines();
        ck_assert_msg(json_array_size(list) == cases[i].count, "case %zu: %zu lines", i, json_array_size(list));
        json_decref(list);
    }
    EXPECT(DONE, "events", "--device", "device-1", "--limit", "2");
    ck_assert_msg(strncmp(text(&out), "TIME ", 5) == 0 && strstr(text(&out), "{\"needle\":\"in the hay, stack\"}"), "%s", text(&out));
}
END_TEST

static const char poison[] = "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\","
                             "\"MessageSchemaVersion\":\"1.0\",\"Events\":[{\"Id\":\"00000000-0000-4000-8000-00000000dead\","
                             "\"TimestampLocal\":\"2026-01-02T11:00:00Z\",\"TimestampUTC\":\"2026-01-02T10:00:00Z\","
                             "\"Category\":\"Triggered\",\"Name\":\"ProcessCreate\",\"EventType\":\"Security\","
                             "\"IsEmpty\":false,\"PayloadSchemaVersion\":\"1.0\",\"Payload\":[{\"Executable\":\"poison\","
                             "\"CommandLine\":\"\xe2\x98\xa0\",\"UserId\":\"0\",\"ProcessId\":1,\"ParentProcessId\":1}]}]}";

static void wait_state(const char *id, const char *state)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM picket.dead_letter WHERE dead_letter_id = %s AND state = '%s'", id, state);
    pipeline_wait_number(1, WAIT_MS, sql);
}

/* A database that refuses a value stands for whatever store cannot write. */
START_TEST(a_message_that_cannot_be_stored_is_a_dead_letter_that_is_seen_and_replayed)
{
    static const char *const headers[] = {"Content-Type: application/json", "iothub-app-site: north",
                                          "iothub-messageid: m-1", NULL};
    char receipt[BUS_RECEIPT_SIZE], again[BUS_RECEIPT_SIZE], id[24];
    const char *received;

    pipeline_sql("ALTER TABLE picket.raw_event ADD CONSTRAINT no_poison CHECK (executable IS DISTINCT FROM 'poison')");
    whole_send(2, headers, text_of(poison), receipt);
    whole_send(2, NULL, TEXT("{\"good\":\"beside it\"}"), again);
    EXPECT(DONE, "dead-letter", "list", "--json");
    json_t *list = lines();
    const json_t *letter = json_array_get(list, 0);
    ck_assert_uint_eq(json_array_size(list), 1);
    ck_assert_str_eq(string_in(letter, "device"), "device-2");
    ck_assert_str_eq(string_in(letter, "state"), "dead");
    ck_assert_str_eq(string_in(letter, "message"), receipt);
    ck_assert_msg(strstr(string_in(letter, "reason"), "no_poison") != NULL, "%s", string_in(letter, "reason"));
    ck_assert_int_eq(json_integer_value(json_object_get(letter, "body_bytes")), sizeof poison - 1);
    snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(letter, "id")));
    EXPECT(DONE, "dead-letter", "show", id, "--json");
    json_t *shown = document();
    ck_assert_str_eq(string_in(shown, "body"), poison);
    ck_assert_str_eq(string_in(shown, "body_encoding"), "text");
    ck_assert_msg(strstr(string_in(json_object_get(shown, "headers"), "properties"), "\"site\":\"north\"") != NULL, "%s",
                  text(&out));
    received = string_in(shown, "received_at");
    EXPECT(DONE, "dead-letter", "list");
    ck_assert(strstr(text(&out), "device-2") && strstr(text(&out), "no_poison"));
    EXPECT(DONE, "device", "show", "device-2", "--json");
    json_t *device = document();
    ck_assert_int_eq(json_integer_value(json_object_get(device, "dead_count")), 1);
    json_decref(device);

    /* The cause is still there: it comes back dead. */
    EXPECT(DONE, "dead-letter", "replay", id);
    wait_state(id, "dead");
    EXPECT(DONE, "events", "--device", "device-2", "--json");
    json_t *events = lines();
    ck_assert_uint_eq(json_array_size(events), 1);
    json_decref(events);

    pipeline_sql("ALTER TABLE picket.raw_event DROP CONSTRAINT no_poison");
    EXPECT(DONE, "dead-letter", "replay", id, "--json");
    json_decref(document());
    wait_state(id, "replayed");
    EXPECT(DONE, "events", "--device", "device-2", "--name", "ProcessCreate", "--json");
    events = lines();
    ck_assert_uint_eq(json_array_size(events), 1);
    ck_assert_str_eq(string_in(json_array_get(events, 0), "time_generated"), received);
    ck_assert_str_eq(string_in(json_array_get(events, 0), "message"), receipt);
    json_decref(events);
    EXPECT(REFUSED, "dead-letter", "replay", id);
    expect_one_sentence();
    /* And the device, which sends it again, is told that it is stored; it is not stored twice. */
    whole_send(2, headers, text_of(poison), again);
    EXPECT(DONE, "events", "--device", "device-2", "--name", "ProcessCreate", "--json");
    events = lines();
    ck_assert_uint_eq(json_array_size(events), 1);
    json_decref(events);
    json_decref(shown);
    json_decref(list);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_device_is_created_listed_shown_disabled_and_deleted,
        a_rotated_key_is_refused_and_the_other_one_stays,
        feeds_are_imported_listed_and_removed_and_a_warning_list_is_known_as_one,
        refusals_say_what_and_exit_2_unreached_servers_3_and_usage_64,
        every_verb_has_help_with_its_flags,
        events_are_listed_filtered_and_paged,
        a_message_that_cannot_be_stored_is_a_dead_letter_that_is_seen_and_replayed,
    };

    whole_start(3, NULL);
    int failed = check_main(&(const struct check_suite){"pipeline/operator", tests, sizeof tests / sizeof tests[0], setup,
                                                        teardown, TIME_LIMIT_S});
    return whole_stop() || failed;
}
