#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/clock.h"
#include "tests/support/check_main.h"
#include "tests/support/whole.h"

/* Messages as devices send them, through a whole picketd and back by GET /v1/events.
 *
 * messages/NAME.json is one message, byte for byte; messages/NAME.rows has the events that must be found, one a line, in
 * the sender's order. What the agents' own samples in ../shared must become is worked out here from the samples. */

#define SAMPLES "../shared/samples/defender/"
#define TELEMETRY "../shared/data/telemetry/iot-agent-messages/"
#define OWN "tests/pipeline/messages/"
#define FILE_BYTES_MAX (1 << 20)
#define TIME_LIMIT_S 120

static const char says_json[] = "Content-Type: application/json";

static void file_read(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    char piece[8192];
    size_t count;

    ck_assert_msg(file != NULL, "%s cannot be read", path);
    buf_init(out, FILE_BYTES_MAX);
    while ((count = fread(piece, 1, sizeof piece, file)) > 0)
        buf_append(out, piece, count);
    fclose(file);
    ck_assert(!buf_failed(out));
}

/* The same values with members in the same order. Numbers are the same when they have the same value: 1e2 is 100. */
static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_is_integer(a) && json_is_integer(b) ? json_integer_value(a) == json_integer_value(b)
                                                        : json_number_value(a) == json_number_value(b);
    if (!json_is_object(a) && !json_is_array(a))
        return json_equal(a, b);
    if (json_typeof(a) != json_typeof(b) || json_object_size(a) != json_object_size(b) ||
        json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!same(json_array_get(a, i), json_array_get(b, i)))
            return false;
    json_t *left = json_incref((json_t *)(uintptr_t)a), *right = json_incref((json_t *)(uintptr_t)b);
    void *at = json_object_iter(left), *with = json_object_iter(right);
    bool equal = true;
    for (; equal && at && with; at = json_object_iter_next(left, at), with = json_object_iter_next(right, with))
        equal = strcmp(json_object_iter_key(at), json_object_iter_key(with)) == 0 &&
                same(json_object_iter_value(at), json_object_iter_value(with));
    json_decref(left);
    json_decref(right);
    return equal;
}

/* Text of the document, without blanks, in its own order; the caller's to free(). */
static char *compact(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    ck_assert_ptr_nonnull(text);
    return text;
}

static bool departures_same(const json_t *wanted, const json_t *found)
{
    if (json_array_size(wanted) != json_array_size(found))
        return false;
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        size_t j = 0;
        while (j < json_array_size(found) && !json_equal(json_array_get(wanted, i), json_array_get(found, j)))
            j++;
        if (j == json_array_size(found))
            return false;
    }
    return true;
}

/* `wanted` NULL: the sender gave none, so it is the time of receipt. */
static bool time_same(const json_t *wanted, const json_t *event)
{
    int64_t wanted_us, found_us;

    if (json_is_null(wanted))
        return json_equal(json_object_get(event, "time_stamp"), json_object_get(event, "time_generated"));
    return clock_parse(text_of(json_string_value(wanted)), &wanted_us) &&
           clock_parse(text_of(json_string_value(json_object_get(event, "time_stamp"))), &found_us) && wanted_us == found_us;
}

/* Whether `event`, as the API gave it, is what `row` asks for; a member that the row does not have may be anything. */
static bool row_fits(const json_t *row, const json_t *event)
{
    static const char *const members[] = {"event_id", "element", "type", "category", "name", "hit_count", "details"};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const json_t *wanted = json_object_get(row, members[i]);
        if (wanted && !same(wanted, json_object_get(event, members[i])))
            return false;
    }
    const json_t *time = json_object_get(row, "time_stamp"), *departures = json_object_get(row, "departures");
    return (!time || time_same(time, event)) &&
           (!departures || departures_same(departures, json_object_get(event, "departures")));
}

/* The events of one message; the caller's. */
static json_t *events_of(const json_t *events, const char *receipt)
{
    json_t *found = json_array(), *event;
    size_t i;

    json_array_foreach(events, i, event)
    {
        if (strcmp(json_string_value(json_object_get(event, "message")), receipt) == 0)
            json_array_append(found, event);
    }
    return found;
}

/* Each row is among the events, and there are no others. Senders repeat their ids, so a row takes any event that fits. */
static void expect_rows(const char *name, const json_t *rows, const json_t *events, const char *receipt)
{
    json_t *left = events_of(events, receipt), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        size_t at = 0;
        while (at < json_array_size(left) && !row_fits(row, json_array_get(left, at)))
            at++;
        if (at == json_array_size(left))
            ck_abort_msg("%s: nothing found for\n%s\nin\n%s", name, compact(row), compact(left));
        json_array_remove(left, at);
    }
    ck_assert_msg(json_array_size(left) == 0, "%s: found, but not sent: %s", name, compact(left));
    json_decref(left);
}

/* What was sent and what should come of it. */
struct sent {
    char name[96], receipt[BUS_RECEIPT_SIZE];
    json_t *rows;
};

#define SENT_MAX 256
static struct sent sents[SENT_MAX];
static size_t sent_count;

/* Sends and keeps `take_rows` for later. */
static void send_one(unsigned device, const char *name, const char *content_type, struct text body, json_t *take_rows)
{
    struct sent *sent = &sents[sent_count++];

    ck_assert_uint_le(sent_count, SENT_MAX);
    snprintf(sent->name, sizeof sent->name, "%s", name);
    sent->rows = take_rows;
    whole_send(device, (const char *const[]){content_type, NULL}, body, sent->receipt);
}

/* No waiting: a message that was acknowledged is stored. */
static void expect_all(unsigned device)
{
    char name[32];

    snprintf(name, sizeof name, "device-%u", device);
    json_t *events = whole_events(name, 100);
    for (size_t i = 0; i < sent_count; i++) {
        expect_rows(sents[i].name, sents[i].rows, events, sents[i].receipt);
        json_decref(sents[i].rows);
    }
    json_decref(events);
    sent_count = 0;
}

static json_t *rows_read(const char *path)
{
    json_t *rows = json_array();
    struct buf lines;

    file_read(path, &lines);
    struct text rest = buf_as_text(&lines), line;
    while (rest.count) {
        rest = text_cut(rest, '\n', &line);
        json_t *row = line.count ? json_loadb(line.bytes, line.count, 0, NULL) : NULL;
        ck_assert_msg(row != NULL || !line.count, "%s: %.*s", path, TEXT_ARGS(line));
        if (row)
            json_array_append_new(rows, row);
    }
    buf_done(&lines);
    ck_assert_uint_gt(json_array_size(rows), 0);
    return rows;
}

/* Calls `each` with every file of that pattern, in order of their names; how many there were. */
static size_t files_each(const char *pattern, void (*each)(const char *path, const char *name))
{
    glob_t found;

    if (glob(pattern, 0, NULL, &found))
        return 0;
    size_t count = found.gl_pathc;
    for (size_t i = 0; i < count; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s", strrchr(found.gl_pathv[i], '/') + 1);
        name[strcspn(name, ".")] = '\0';
        each(found.gl_pathv[i], name);
    }
    globfree(&found);
    return count;
}

static void own_send(const char *path, const char *name)
{
    char rows[160];
    struct buf body;

    snprintf(rows, sizeof rows, OWN "%s.rows", name);
    file_read(path, &body);
    send_one(0, name, says_json, buf_as_text(&body), rows_read(rows));
    buf_done(&body);
}

START_TEST(every_event_and_payload_field_is_found_again_with_its_departures)
{
    ck_assert_uint_ge(files_each(OWN "*.json", own_send), 10);
    expect_all(0);
}
END_TEST

static json_t *member_or_null(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return value ? json_incref(value) : json_null();
}

/* What an event of the agents' samples becomes, by interfaces.md: one row a payload element. */
static void sample_event_rows(const json_t *event, json_t *rows)
{
    const json_t *payload = json_object_get(event, "Payload"), *operational = json_object_get(event, "IsOperational");
    json_t *type = operational ? json_string(json_is_true(operational) ? "Operational" : "Security")
                               : member_or_null(event, "EventType");
    size_t count = json_array_size(payload);

    for (size_t i = 0; i < count || i == 0; i++) {
        json_t *element = count ? json_incref(json_array_get(payload, i)) : json_object();
        json_array_append_new(rows, json_pack("{s:o, s:i, s:o, s:O, s:o, s:o, s:o}", "event_id", member_or_null(event, "Id"),
                                              "element", (int)i, "time_stamp", member_or_null(event, "TimestampUTC"), "type",
                                              type, "category", member_or_null(event, "Category"), "name",
                                              member_or_null(event, "Name"), "details", element));
    }
    json_decref(type);
}

/* Anything that is no classic message with events is one raw event whose details are the document. */
static json_t *sample_rows(const json_t *document)
{
    const json_t *events = json_object_get(document, "Events");
    json_t *rows = json_array(), *event;
    size_t i;

    json_array_foreach(events, i, event) sample_event_rows(event, rows);
    if (json_array_size(events) == 0)
        json_array_append_new(rows, json_pack("{s:n, s:i, s:n, s:s, s:O}", "event_id", "element", 0, "time_stamp", "type",
                                              "Custom", "details", document));
    return rows;
}

/* The samples that break the published schema, and how, by the README beside them and section 2a of the reference. All
 * others are as published. */
static const struct {
    const char *name, *departures[12]; /* each on some event of the message */
} departing[] = {
    {"classic-c-agent-osbaseline", {"enum:Payload.Result=FAIL", "enum:Payload.Result=SKIP"}},
    {"classic-c-agent-connectioncreate-aggregated",
     {"enum:Category=Aggregated", "type:Payload.ExtraDetails.HitCount", "type:Payload.RemotePort"}},
    {"classic-c-agent-processcreate-aggregated", {"enum:Category=Aggregated", "type:Payload.ExtraDetails.HitCount"}},
    {"classic-c-agent-test-highpriority",
     {"older:IsOperational", "missing:IsEmpty", "format:TimestampUTC", "format:TimestampLocal", "type:Payload.UserId"}},
    {"classic-c-agent-test-lowpriority",
     {"older:IsOperational", "missing:IsEmpty", "format:TimestampUTC", "format:TimestampLocal", "type:Payload.UserId"}},
    {"classic-c-agent-test-maxmessagesize",
     {"older:IsOperational", "missing:IsEmpty", "format:TimestampUTC", "format:TimestampLocal", "type:Payload.UserId"}},
    {"classic-c-agent-test-two-snapshots",
     {"older:IsOperational", "missing:IsEmpty", "format:TimestampUTC", "format:TimestampLocal", "type:Payload.UserId"}},
    {"classic-cs-agent-aggregated", {"enum:Category=Aggregated", "format:TimestampUTC", "format:TimestampLocal"}},
    {"classic-cs-agent-connectedhardware", {"format:TimestampUTC", "unknown:Payload.ConnectedHardware",
                                            "missing:Payload.HardwareName"}},
    {"classic-diagnostic", {"format:TimestampUTC"}},
    {"classic-osbaseline", {"format:TimestampUTC"}},
    {"classic-osbaseline-empty", {"format:TimestampUTC"}},
    {"classic-systeminformation", {"format:TimestampUTC"}},
    {"classic-docs-processcreate", {"format:TimestampUTC", "missing:Payload.UserId"}},
    {"classic-invalid-events-only", {"empty:Events", "missing:AgentId", "missing:AgentVersion"}},
    {"classic-invalid-extradetails-integer", {"type:Payload.ExtraDetails.SomeKey"}},
    {"classic-invalid-remoteport-integer", {"type:Payload.RemotePort"}},
    {"rtos-preview-heartbeat", {"format:TimestampUTC", "format:TimestampLocal"}},
    {"rtos-preview-listeningports", {"format:TimestampUTC"}},
};

static bool departs(const json_t *events, const char *code)
{
    const json_t *event, *departure;
    size_t i, j;

    json_array_foreach(events, i, event)
    {
        json_array_foreach(json_object_get(event, "departures"), j, departure)
        {
            if (!code || strcmp(json_string_value(departure), code) == 0)
                return true;
        }
    }
    return false;
}

static void expect_departures(const struct sent *sent, const json_t *all)
{
    json_t *events = events_of(all, sent->receipt);
    size_t i = 0;

    while (i < sizeof departing / sizeof departing[0] && strcmp(departing[i].name, sent->name) != 0)
        i++;
    if (i == sizeof departing / sizeof departing[0]) {
        if (departs(events, NULL))
            ck_abort_msg("%s is as published, and yet: %s", sent->name, compact(events));
    } else {
        for (const char *const *code = departing[i].departures; *code; code++)
            if (!departs(events, *code))
                ck_abort_msg("%s: no %s in %s", sent->name, *code, compact(events));
    }
    json_decref(events);
}

static void sample_send(const char *path, const char *name)
{
    json_error_t error;
    struct buf body;

    file_read(path, &body);
    json_t *document = json_loadb(body.bytes, body.count, JSON_DECODE_ANY, &error);
    ck_assert_msg(document != NULL, "%s: %s", path, error.text);
    send_one(1, name, says_json, buf_as_text(&body), sample_rows(document));
    json_decref(document);
    buf_done(&body);
}

START_TEST(every_sample_of_the_agents_is_found_again_and_departs_as_its_readme_says)
{
    struct stat info;

    if (stat(SAMPLES, &info)) {
        printf("skipped: no " SAMPLES " here: the samples of real agents are left out, tests/pipeline/messages stand for them\n");
        return;
    }
    ck_assert_uint_ge(files_each(SAMPLES "*.json", sample_send), 40);
    json_t *events = whole_events("device-1", 1000);
    for (size_t i = 0; i < sent_count; i++)
        expect_departures(&sents[i], events);
    json_decref(events);
    expect_all(1);
}
END_TEST

static void telemetry_send(const char *path, const char *name)
{
    json_t *list = json_load_file(path, 0, NULL), *message;
    char numbered[128];
    size_t i;

    ck_assert_msg(json_is_array(list), "%s", path);
    json_array_foreach(list, i, message)
    {
        char *text = compact(message);
        snprintf(numbered, sizeof numbered, "%.80s[%zu]", name, i);
        /* As the C SDK does: a content type that says nothing, and JSON as the content encoding. */
        send_one(2, numbered, "iothub-contentencoding: application/json", text_of(text), sample_rows(message));
        free(text);
    }
    ck_assert_uint_ge(i, 13);
    json_decref(list);
}

START_TEST(every_message_of_the_agents_schema_repository_is_found_again)
{
    struct stat info;

    if (stat(TELEMETRY, &info)) {
        printf("skipped: no " TELEMETRY " here: its messages are left out, tests/pipeline/messages stand for them\n");
        return;
    }
    ck_assert_uint_ge(files_each(TELEMETRY "samples-*.json", telemetry_send), 1);
    expect_all(2);
}
END_TEST

START_TEST(details_are_one_text_without_blanks_in_the_senders_order)
{
    static const char body[] = "{ \"AgentVersion\":\"1\", \"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\","
                               " \"MessageSchemaVersion\":\"1.0\", \"Events\":[ { \"Id\":\"x\", \"Name\":\"Odd\", \"Payload\":[ {"
                               " \"zebra\" : 1, \"a b\" : { \"y\" : [ 1 , 2 ], \"b\" : null }, \"ab\" : \": , \" } ] } ] }";
    static const char wanted[] = "\"details\":{\"zebra\":1,\"a b\":{\"y\":[1,2],\"b\":null},\"ab\":\": , \"}";
    char receipt[BUS_RECEIPT_SIZE], bearer[320], url[128];
    const char *const headers[] = {bearer, NULL};
    struct program_reply reply;

    whole_send(3, (const char *const[]){says_json, NULL}, text_of(body), receipt);
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", whole_token());
    snprintf(url, sizeof url, "%s/v1/events?device=device-3", whole_query_url());
    program_http("GET", url, headers, TEXT_NONE, &reply);
    ck_assert_int_eq(reply.code, 200);
    ck_assert_msg(strstr(reply.body.bytes, wanted) != NULL, "%s", reply.body.bytes);
    program_reply_done(&reply);
}
END_TEST

START_TEST(bytes_that_do_not_claim_to_be_json_are_kept_as_custom)
{
    static const struct {
        const char *content_type;
        struct text body;
        const char *base64;
    } cases[] = {
        {"Content-Type: application/octet-stream", {"\x00\x01\xff\xfe", 4}, "AAH//g=="},
        {"Content-Type: text/plain", {"{\"looks\":\"like JSON\"", 20}, "eyJsb29rcyI6Imxpa2UgSlNPTiI="},
        {"Content-Type: application/x-protobuf; v=2", {"[\x08\x96\x01", 4}, "WwiWAQ=="},
        {"Content-Type:", {"plain words", 11}, "cGxhaW4gd29yZHM="},
        {"Content-Type: application/octet-stream", {"", 0}, ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *type = strchr(cases[i].content_type, ':') + 1;
        /* HTTP's "nothing is known of it" is kept as it came; a header without a value is none. */
        send_one(4, cases[i].content_type, cases[i].content_type, cases[i].body,
                 json_pack("[{s:n, s:i, s:n, s:s, s:s, s:s, s:i, s:{s:s, s:s, s:s}, s:[]}]", "event_id", "element", 0,
                           "time_stamp", "type", "Custom", "category", "Custom", "name", "Custom", "hit_count", 1, "details",
                           "ContentType", *type ? type + 1 : "", "Encoding", "base64", "Body", cases[i].base64, "departures"));
    }
    expect_all(4);
}
END_TEST

/* A row of the sample; the details end with what every row of the micro agent bears. */
static json_t *process_row(const char *id, const char *time, int hits, const char *executable, int pid,
                           const char *command, const char *action)
{
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:{s:s, s:i, s:i, s:s, s:i, s:s, s:s, s:i, s:s, s:s, s:s, s:s}, s:[]}",
                     "event_id", id, "element", 0, "time_stamp", time, "type", "Security", "category", "Triggered", "name",
                     "Process", "hit_count", hits, "details", "Executable", executable, "ProcessId", pid, "ParentProcessId",
                     2200, "UserName", "admin", "UserId", 1000, "Commandline", command, "EventType", action, "HitCount", hits,
                     "DeviceId", "device-5", "MessageSource", "Linux", "OriginalEventId", id, "TimestampUTC", time,
                     "departures");
}

START_TEST(bodies_of_the_micro_agent_are_events)
{
    struct buf body;

    file_read("tests/unit/store/samples/micro/process.bin", &body);
    json_t *rows = json_array();
    json_array_append_new(rows, process_row("81888f96-9da4-4bb2-b9c0-c7ced5dce3ea", "2022-08-01T08:00:00Z", 7, "/bin/dash",
                                            2211, "/bin/sh -c id", "EXEC"));
    json_array_append_new(rows, process_row("91989fa6-adb4-4bc2-89d0-d7dee5ecf3fa", "2022-08-01T08:00:01Z", 1, "/usr/bin/id",
                                            2212, "id", "FORK"));
    send_one(5, "process.bin", "iothub-app-mti: 2.3-1-1-0", buf_as_text(&body), rows);
    expect_all(5);
    buf_done(&body);
}
END_TEST

START_TEST(pages_of_any_size_give_the_same_events_in_the_same_order)
{
    json_t *whole = whole_events("device-0", 1000);
    json_t *counted = whole_get("/v1/devices/device-0"), *event;
    size_t departing_count = 0, i;

    ck_assert_uint_ge(json_array_size(whole), 50);
    for (unsigned limit = 1; limit <= 50; limit += 7) {
        json_t *paged = whole_events("device-0", limit);
        ck_assert(json_equal(whole, paged));
        json_decref(paged);
    }
    json_array_foreach(whole, i, event) departing_count += json_array_size(json_object_get(event, "departures")) > 0;
    ck_assert_int_eq(json_integer_value(json_object_get(counted, "event_count")), (json_int_t)json_array_size(whole));
    ck_assert_int_eq(json_integer_value(json_object_get(counted, "departure_count")), (json_int_t)departing_count);
    ck_assert_int_eq(json_integer_value(json_object_get(counted, "dead_count")), 0);
    json_decref(counted);
    json_decref(whole);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_event_and_payload_field_is_found_again_with_its_departures,
        every_sample_of_the_agents_is_found_again_and_departs_as_its_readme_says,
        every_message_of_the_agents_schema_repository_is_found_again,
        details_are_one_text_without_blanks_in_the_senders_order,
        bytes_that_do_not_claim_to_be_json_are_kept_as_custom,
        bodies_of_the_micro_agent_are_events,
        pages_of_any_size_give_the_same_events_in_the_same_order,
    };

    whole_start(6, NULL);
    int failed = check_main(&(const struct check_suite){"pipeline/messages", tests, sizeof tests / sizeof tests[0], NULL,
                                                        NULL, TIME_LIMIT_S});
    return whole_stop() || failed;
}
