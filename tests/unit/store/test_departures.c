#include "store/departures.h"

#include <stdio.h>

#include "runtime/buf.h"
#include "tests/support/check_main.h"
#include "tests/unit/store/message.h"

#define DOCUMENT "docs/departures.md"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

#define EVENT(members, payload) ENVELOPE_OPEN "{" members "\"Payload\":" payload "}" ENVELOPE_CLOSE
#define ID "\"Id\":\"072f3eca-3db0-45ba-8174-fa383bc93caf\","
#define TIMES "\"TimestampLocal\":\"2026-01-02T11:00:00+01:00\",\"TimestampUTC\":\"2026-01-02T10:00:00Z\","
#define TRIGGERED "\"Category\":\"Triggered\",\"Name\":\"ProcessCreate\",\"EventType\":\"Security\","
#define NOT_EMPTY "\"IsEmpty\":false,\"PayloadSchemaVersion\":\"1.0\","
#define PROCESS_MEMBERS "\"Executable\":\"/bin/sh\",\"ParentProcessId\":1,"
#define PORTS(element) \
    ENVELOPE_OPEN EVENT_OPEN("Triggered", "ConnectionCreate", "Security", "false") "[" element "]" EVENT_CLOSE ENVELOPE_CLOSE
#define CONNECTION "\"Direction\":\"In\",\"Protocol\":\"tcp\",\"ProcessId\":1,\"Executable\":\"x\","

/* What is noted on the first row, or on the envelope, whatever there is of either. */
static const struct {
    const char *body, *row, *envelope;
} cases[] = {
    {PROCESS_CREATE(PROCESS_ELEMENT), "", ""},
    {PROCESS_CREATE("{\"Executable\":\"/bin/sh\",\"CommandLine\":\"x\",\"UserId\":\"0\",\"ProcessId\":42,"
                    "\"ParentProcessId\":1,\"ExtraDetails\":{\"Hash\":\"\"}}"),
     "", ""},
    /* The payload element. */
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"UserId\":\"0\",\"ProcessId\":42,\"Hash\":\"\"}"),
     "unknown:Payload.Hash", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"ProcessId\":42}"), "missing:Payload.UserId", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"ProcessId\":\"42\",\"UserId\":0}"),
     "type:Payload.ProcessId type:Payload.UserId", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"ProcessId\":4.2,\"UserId\":\"0\"}"),
     "type:Payload.ProcessId", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"ProcessId\":4e2,\"UserId\":\"0\"}"),
     "type:Payload.ProcessId", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"UserId\":\"0\",\"ProcessId\":42,"
                    "\"ExtraDetails\":{\"HitCount\":3,\"Hash\":\"\"}}"),
     "type:Payload.ExtraDetails.HitCount", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"UserId\":\"0\",\"ProcessId\":42,\"ExtraDetails\":[]}"),
     "type:Payload.ExtraDetails", ""},
    {PROCESS_CREATE("7"), "type:Payload[]", ""},
    {PORTS("{" CONNECTION "\"RemoteAddress\":\"10.0.0.1\",\"RemotePort\":0}"), "type:Payload.RemotePort", ""},
    {PORTS("{" CONNECTION "\"RemoteAddress\":\"::1\",\"RemotePort\":\"1\",\"LocalAddress\":\"nowhere\"}"),
     "format:Payload.LocalAddress", ""},
    {PORTS("{\"Direction\":\"Up\",\"Protocol\":\"tcp\",\"ProcessId\":1,\"Executable\":\"x\",\"RemoteAddress\":\"::1\","
           "\"RemotePort\":\"1\"}"),
     "enum:Payload.Direction=Up", ""},
    {ENVELOPE_OPEN EVENT_OPEN("Triggered", "Login", "Security", "false")
     "[{\"ProcessId\":1,\"Operation\":\"login\",\"Executable\":\"x\",\"Result\":\"Success\"}]" EVENT_CLOSE ENVELOPE_CLOSE,
     "missing:Payload.UserId|UserName", ""},
    /* The event. */
    {EVENT(TRIGGERED TIMES NOT_EMPTY, "[" PROCESS_ELEMENT "]"), "missing:Id", ""},
    {EVENT(ID TRIGGERED TIMES NOT_EMPTY "\"Colour\":1,", "[" PROCESS_ELEMENT "]"), "unknown:Colour", ""},
    {EVENT("\"Id\":7," TRIGGERED TIMES NOT_EMPTY, "[" PROCESS_ELEMENT "]"), "type:Id", ""},
    {EVENT("\"Id\":\"short\"," TRIGGERED TIMES NOT_EMPTY, "[" PROCESS_ELEMENT "]"), "format:Id", ""},
    {EVENT(ID TRIGGERED "\"TimestampLocal\":\"2026-01-02T11:00:00\",\"TimestampUTC\":\"2026-01-02 10:00:00Z\"," NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "format:TimestampLocal format:TimestampUTC", ""},
    {EVENT(ID TRIGGERED "\"TimestampLocal\":\"2026-01-02T11:00:00Z\",\"TimestampUTC\":\"yesterday\"," NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "format:TimestampUTC clock-unreadable:TimestampUTC=yesterday", ""},
    {EVENT(ID TRIGGERED "\"TimestampLocal\":\"2009-12-31T23:59:59Z\",\"TimestampUTC\":\"2009-12-31T23:59:59Z\"," NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "clock-implausible", ""},
    {EVENT(ID TRIGGERED "\"TimestampLocal\":\"2026-01-03T10:00:01Z\",\"TimestampUTC\":\"2026-01-03T10:00:01Z\"," NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "clock-implausible", ""},
    {EVENT(ID TRIGGERED "\"TimestampLocal\":\"2026-01-03T10:00:00Z\",\"TimestampUTC\":\"2026-01-03T10:00:00Z\"," NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "", ""},
    {EVENT(ID "\"Category\":\"Aggregated\",\"Name\":\"ProcessCreate\",\"EventType\":\"Security\"," TIMES NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "enum:Category=Aggregated", ""},
    {EVENT(ID "\"Category\":\"Periodic\",\"Name\":\"ProcessCreate\",\"EventType\":\"Operational\"," TIMES NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "enum:Category=Periodic enum:EventType=Operational", ""},
    {EVENT(ID "\"Category\":\"Triggered\",\"Name\":\"ProcessCreate\",\"IsOperational\":false," TIMES NOT_EMPTY,
           "[" PROCESS_ELEMENT "]"),
     "older:IsOperational", ""},
    {EVENT(ID "\"Category\":\"Triggered\",\"Name\":\"ProcessCreate\"," TIMES NOT_EMPTY, "[" PROCESS_ELEMENT "]"),
     "missing:EventType", ""},
    {EVENT(ID "\"Category\":\"Triggered\",\"Name\":\"Coffee\",\"EventType\":\"Security\"," TIMES NOT_EMPTY, "[{\"a\":1}]"),
     "event-name-unknown", ""},
    {EVENT(ID "\"Category\":\"Triggered\",\"Name\":\"DnsRequest\",\"EventType\":\"Security\"," TIMES NOT_EMPTY, "[{\"Domain\":\"a.example\",\"ProcessId\":7}]"),
     "", ""},
    {EVENT(ID "\"Category\":\"Weekly\",\"Name\":\"Coffee\",\"EventType\":\"Fun\"," TIMES NOT_EMPTY, "[{\"a\":1}]"),
     "event-name-unknown enum:Category=Weekly enum:EventType=Fun", ""},
    {EVENT(ID TRIGGERED TIMES NOT_EMPTY, "[]"), "empty:Payload", ""},
    {EVENT(ID TRIGGERED TIMES "\"IsEmpty\":true,\"PayloadSchemaVersion\":\"1.0\",", "[" PROCESS_ELEMENT "]"),
     "mismatch:IsEmpty", ""},
    {EVENT(ID TRIGGERED TIMES "\"IsEmpty\":\"no\",\"PayloadSchemaVersion\":\"2.0\",", "[" PROCESS_ELEMENT "]"),
     "type:IsEmpty enum:PayloadSchemaVersion=2.0", ""},
    {ENVELOPE_OPEN EVENT_OPEN("Periodic", "ListeningPorts", "Security", "true") "[]" EVENT_CLOSE ENVELOPE_CLOSE, "", ""},
    {ENVELOPE_OPEN EVENT_OPEN("Periodic", "ListeningPorts", "Security", "false") "[]" EVENT_CLOSE ENVELOPE_CLOSE,
     "empty:Payload", ""},
    {ENVELOPE_OPEN "\"an event\"" ENVELOPE_CLOSE, "type:Events[]", ""},
    /* What cannot be stored as it is. */
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"a\\u0000\",\"UserId\":\"0\",\"ProcessId\":42}"),
     "nul:Payload.CommandLine", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"\\udc00\",\"UserId\":\"0\",\"ProcessId\":42}"),
     "surrogate:Payload.CommandLine", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"UserId\":\"0\",\"UserId\":\"1\",\"ProcessId\":42}"),
     "duplicate:Payload.UserId", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"UserId\":\"0\",\"ProcessId\":1e301}"),
     "number-as-text:Payload.ProcessId", ""},
    {PROCESS_CREATE("{" PROCESS_MEMBERS "\"CommandLine\":\"x\",\"UserId\":\"0\",\"ProcessId\":42,"
                    "\"ExtraDetails\":{\"a\":[\"\\u0000\"],\"b\":1e999}}"),
     "type:Payload.ExtraDetails.a type:Payload.ExtraDetails.b nul:Payload.ExtraDetails.a[0]"
     " number-as-text:Payload.ExtraDetails.b",
     ""},
    {EVENT(ID TRIGGERED TIMES NOT_EMPTY "\"Name\":\"ProcessCreate\",", "[" PROCESS_ELEMENT "]"), "duplicate:Name", ""},
    {EVENT(ID TRIGGERED TIMES NOT_EMPTY "\"Payload\":[1],", "[" PROCESS_ELEMENT "]"), "duplicate:Payload", ""},
    {"{\"a\":{\"b\":[0,\"\\u0000\"]}}", "nul:$.a.b[1]", ""},
    {"\"\\ud800\"", "surrogate:$", ""},
    /* The envelope. */
    {"{\"Events\":[]}",
     "missing:AgentVersion missing:AgentId missing:MessageSchemaVersion empty:Events",
     "missing:AgentVersion missing:AgentId missing:MessageSchemaVersion empty:Events"},
    {"{\"AgentVersion\":1,\"AgentId\":\"x\",\"MessageSchemaVersion\":\"2.0\",\"Kind\":\"\\u0000\",\"Events\":"
     "[" EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" PROCESS_ELEMENT "]}]}",
     "", "type:AgentVersion format:AgentId enum:MessageSchemaVersion=2.0 unknown:Kind nul:Kind"},
    {"{\"Events\":7}", "", "type:Events missing:AgentVersion missing:AgentId missing:MessageSchemaVersion"},
    {"{\"AgentVersion\":\"1\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\",\"MessageSchemaVersion\":\"1.0\"}", "",
     "missing:Events"},
    {ENVELOPE_OPEN EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" PROCESS_ELEMENT "]}],\"Sequence\":7}",
     "", "type:Sequence"},
    {ENVELOPE_OPEN EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" PROCESS_ELEMENT "]}],\"Sequence\":"
     "{\"Epoch\":\"11111111-2222-4333-8444-555555555555\",\"Stream\":0,\"First\":1,\"Count\":3}}",
     "", "mismatch:Sequence.Count"},
    {ENVELOPE_OPEN EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" PROCESS_ELEMENT "]}],\"Events\":"
     "[" EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" PROCESS_ELEMENT "]}]}",
     "", "duplicate:Events"},
};
#define CASES (sizeof cases / sizeof *cases)

START_TEST(each_departure_is_noted_where_it_stands)
{
    struct device_message message = message_of(text_of(cases[_i].body));

    message_decode(&message, &arena);
    ck_assert_uint_ge(message.row_count, 1);
    ck_assert_str_eq(departures_text(&message.rows[0].departures, &arena), cases[_i].row);
    ck_assert_str_eq(departures_text(&message.departures, &arena), cases[_i].envelope);
}
END_TEST

/* The table's columns of codes: what stands between the first backticks of a row, and between the last. */
static bool row_read(const char *line, struct text *code, struct text *example)
{
    const char *start = line, *end;

    if (strncmp(start, "| `", 3) != 0)
        return false;
    end = strchr(start + 3, '`');
    *code = (struct text){start + 3, (size_t)(end - start - 3)};
    end = strrchr(line, '`');
    for (start = end - 1; *start != '`'; start--)
        ;
    *example = (struct text){start + 1, (size_t)(end - start - 1)};
    return true;
}

static bool documented(const char *code)
{
    FILE *file = fopen(DOCUMENT, "r");
    char line[1024];
    bool found = false;

    ck_assert_msg(file != NULL, "no " DOCUMENT);
    while (fgets(line, sizeof line, file)) {
        struct text known, example;
        if (!row_read(line, &known, &example))
            continue;
        bool prefix = text_ends(known, TEXT(":"));
        found = found || (prefix ? text_starts(text_of(code), known) : text_equal(text_of(code), known));
    }
    fclose(file);
    return found;
}

START_TEST(every_code_is_documented)
{
    for (size_t i = 0; i < CASES; i++) {
        struct device_message message = message_of(text_of(cases[i].body));
        message_decode(&message, &arena);
        for (const struct departure *at = message.departures.first; at; at = at->next)
            ck_assert_msg(documented(arena_string(&arena, at->code)), "%.*s", TEXT_ARGS(at->code));
        for (size_t row = 0; row < message.row_count; row++)
            for (const struct departure *at = message.rows[row].departures.first; at; at = at->next)
                ck_assert_msg(documented(arena_string(&arena, at->code)), "%.*s", TEXT_ARGS(at->code));
    }
}
END_TEST

static const char *many_unknown_members(void)
{
    struct buf body;

    buf_init(&body, 1 << 20);
    buf_string(&body, ENVELOPE_OPEN EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[{");
    for (int i = 0; i < 100; i++)
        buf_format(&body, "\"m%d\":1,", i);
    buf_string(&body, "\"last\":1}]" EVENT_CLOSE ENVELOPE_CLOSE);
    const char *copy = arena_string(&arena, buf_as_text(&body));
    buf_done(&body);
    return copy;
}

static const char *more_members_than_have_ranks(void)
{
    struct buf body;

    buf_init(&body, 1 << 20);
    buf_string(&body, "{\"b\":1,\"a\":2");
    for (int i = 0; i < DETAILS_MEMBERS_MAX; i++)
        buf_format(&body, ",\"%x\":1", i + 0x1000);
    buf_byte(&body, '}');
    const char *copy = arena_string(&arena, buf_as_text(&body));
    buf_done(&body);
    return copy;
}

static bool occurs_in(struct text code, struct text body, const char *properties)
{
    struct device_message message = message_of(body);

    message.record.properties = message_span(text_of(properties));
    message_decode(&message, &arena);
    return departures_have(&message.departures, arena_string(&arena, code)) ||
           departures_have(&message.rows[0].departures, arena_string(&arena, code));
}

static bool occurs(struct text code, const char *body, const char *properties)
{
    return occurs_in(code, text_of(body), properties);
}

/* The micro agent's sample, with a byte in the name of the program that is no UTF-8. */
static bool occurs_in_flatbuffers(struct text code)
{
    static char bytes[4096];
    FILE *file = fopen("tests/unit/store/samples/micro/process.bin", "rb");

    ck_assert_ptr_nonnull(file);
    struct text body = {bytes, fread(bytes, 1, sizeof bytes, file)};
    fclose(file);
    char *name = memmem(bytes, body.count, "/bin/dash", 9);
    ck_assert_ptr_nonnull(name);
    name[1] = '\xff';
    return occurs_in(code, body, "{\"mti\":\"2.3-1-1-0\"}");
}

START_TEST(every_documented_example_occurs)
{
    FILE *file = fopen(DOCUMENT, "r");
    char line[1024];
    size_t rows = 0;

    ck_assert_msg(file != NULL, "no " DOCUMENT);
    while (fgets(line, sizeof line, file)) {
        struct text code, example;
        if (!row_read(line, &code, &example))
            continue;
        rows++;
        bool found = occurs(example, many_unknown_members(), "") || occurs(example, more_members_than_have_ranks(), "") ||
                     occurs(example, "{}", "{") || occurs_in_flatbuffers(example);
        for (size_t i = 0; i < CASES && !found; i++)
            found = occurs(example, cases[i].body, "");
        ck_assert_msg(found, "%.*s", TEXT_ARGS(example));
        ck_assert_msg(text_starts(example, code), "%.*s", TEXT_ARGS(code));
    }
    fclose(file);
    ck_assert_uint_ge(rows, 15);
}
END_TEST

START_TEST(a_row_keeps_as_many_as_are_allowed_and_says_that_there_were_more)
{
    struct device_message message = message_of(text_of(many_unknown_members()));

    message_decode(&message, &arena);
    const struct departures *list = &message.rows[0].departures;
    ck_assert_uint_eq(list->count, DEPARTURES_MAX);
    ck_assert_text_eq(list->last->code, "more");
    ck_assert(departures_have(list, "unknown:Payload.m30"));
    ck_assert(!departures_have(list, "unknown:Payload.m31"));
}
END_TEST

START_TEST(names_and_values_are_cut_between_characters)
{
    struct departures list;

    departures_init(&list, DEPARTURES_MAX, &arena);
    departures_note(&list, "enum", TEXT("Name"), TEXT_NONE,
                    TEXT("12345678901234567890123456789012345678901234567\xe2\x82\xac!")); /* the euro at 48 */
    ck_assert_text_eq(list.first->code, "enum:Name=12345678901234567890123456789012345678901234567");
}
END_TEST

START_TEST(shared_departures_end_both_lists_and_never_exceed_the_limit)
{
    struct departures event, few, many;
    char *code;

    departures_init(&event, DEPARTURES_MAX, &arena);
    departures_add(&event, TEXT("x"));
    departures_add(&event, TEXT("y"));
    departures_init(&few, DEPARTURES_MAX, &arena);
    departures_share(&few, &event);
    ck_assert_str_eq(departures_text(&few, &arena), "x y");
    departures_init(&few, DEPARTURES_MAX, &arena);
    departures_add(&few, TEXT("own"));
    departures_share(&few, &event);
    ck_assert_str_eq(departures_text(&few, &arena), "own x y");
    ck_assert_uint_eq(few.count, 3);
    departures_init(&many, DEPARTURES_MAX, &arena);
    for (int i = 0; i < DEPARTURES_MAX - 1; i++) {
        code = arena_format(&arena, "c%d", i);
        departures_add(&many, text_of(code));
    }
    departures_share(&many, &event);
    ck_assert_uint_eq(many.count, DEPARTURES_MAX);
    ck_assert_text_eq(many.last->code, "more");
    ck_assert_str_eq(departures_text(&event, &arena), "x y");
}
END_TEST

START_TEST(the_fourteen_event_types_are_known)
{
    static const char *const names[][2] = {
        {"ProcessCreate", "Security"},     {"ProcessTerminate", "Security"},      {"ConnectionCreate", "Security"},
        {"Login", "Security"},             {"ListeningPorts", "Security"},        {"LocalUsers", "Security"},
        {"OSBaseline", "Security"},        {"FirewallConfiguration", "Security"}, {"ConnectedHardware", "Security"},
        {"SystemInformation", "Security"}, {"ConfigurationError", "Operational"}, {"DroppedEventsStatistics", "Operational"},
        {"Diagnostic", "Diagnostic"},      {"MessageStatistics", "Operational"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct event_schema *schema = departures_schema(text_of(names[i][0]));
        ck_assert_msg(schema != NULL, "%s", names[i][0]);
        ck_assert_str_eq(departures_event_type(schema), names[i][1]);
    }
    ck_assert_ptr_null(departures_schema(TEXT("processcreate")));
    ck_assert_ptr_null(departures_schema(TEXT_NONE));
}
END_TEST

START_TEST(addresses_are_told_from_other_text)
{
    static const char *const good[] = {"0.0.0.0", "255.255.255.255", "::", "::1", "fe80::1", "::ffff:10.0.0.1",
                                       "1:2:3:4:5:6:7:8"};
    static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4/32", "::1%eth0", ":", "1::2::3", "host",
                                      " 1.2.3.4", "1:2:3:4:5:6:7:8:9", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(departures_is_address(text_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!departures_is_address(text_of(bad[i])), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store/departures");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);

    suite_add_tcase(suite, all);
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, each_departure_is_noted_where_it_stands, 0, (int)CASES);
    tcase_add_test(all, every_code_is_documented);
    tcase_add_test(all, every_documented_example_occurs);
    tcase_add_test(all, a_row_keeps_as_many_as_are_allowed_and_says_that_there_were_more);
    tcase_add_test(all, names_and_values_are_cut_between_characters);
    tcase_add_test(all, shared_departures_end_both_lists_and_never_exceed_the_limit);
    tcase_add_test(all, the_fourteen_event_types_are_known);
    tcase_add_test(all, addresses_are_told_from_other_text);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
