#include <dirent.h>
#include <jansson.h>

#include "store/copy.h"
#include "tests/unit/store/fixture.h"

/* What agents really send, through the whole write path: every payload element and every member of it is found again, in
 * order, and what breaks the published schema is noted. Our own samples stand beside this file; those of the shared
 * folders are read where they are. */
#define OWN "tests/unit/store/samples"
#define DEFENDER "../shared/samples/defender"
#define TELEMETRY "../shared/data/telemetry/iot-agent-messages/samples-valid.json"

#define FILE_BYTES_MAX (1 << 20)

static bool file_read(const char *path, struct text *out)
{
    FILE *file = fopen(path, "rb");

    if (!file)
        return false;
    char *bytes = arena_alloc(&fixture.arena, 1, FILE_BYTES_MAX);
    *out = (struct text){bytes, fread(bytes, 1, FILE_BYTES_MAX, file)};
    ck_assert(feof(file));
    fclose(file);
    return true;
}

/* The one value that `what` gives for a row of the message just stored. */
static const char *row_value(const struct device_message *message, size_t row, const char *what)
{
    uint8_t id[SECRET_DIGEST_BYTES];
    char hex[2 * SECRET_DIGEST_BYTES + 1];

    copy_event_id(message->key, (uint32_t)row, id);
    text_hex_encode(id, sizeof id, hex);
    return sql_text(arena_format(&fixture.arena, "SELECT %s FROM picket.raw_event WHERE event_id = '%s'", what, hex));
}

static void details_check(const char *path, const json_t *sent, const char *stored)
{
    json_error_t error;
    json_t *found = json_loads(stored, JSON_DECODE_ANY, &error);
    char *a = json_dumps(sent, JSON_COMPACT | JSON_ENCODE_ANY), *b = json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY);

    ck_assert_msg(found && strcmp(a, b) == 0, "%s: sent %s, stored %s", path, a, stored);
    free(b);
    free(a);
    json_decref(found);
}

static void column_check(const char *path, const json_t *event, const char *member, const char *stored)
{
    const char *sent = json_string_value(json_object_get(event, member));

    if (sent)
        ck_assert_msg(strcmp(sent, stored) == 0, "%s: %s was %s, is %s", path, member, sent, stored);
}

static size_t event_check(const char *path, const struct device_message *message, size_t row, const json_t *event)
{
    const json_t *payload = json_object_get(event, "Payload");
    size_t elements = json_array_size(payload);
    json_t *nothing = json_object();

    for (size_t i = 0; i < (elements ? elements : 1); i++) {
        details_check(path, elements ? json_array_get(payload, i) : nothing,
                      row_value(message, row + i, "picket.json_text(details, key_order)"));
        ck_assert_int_eq(atoll(row_value(message, row + i, "element")), (long long)i);
        ck_assert_str_eq(row_value(message, row + i, "is_empty"), elements ? "f" : "t");
        column_check(path, event, "Id", row_value(message, row + i, "sender_event_id"));
        column_check(path, event, "Name", row_value(message, row + i, "name"));
        column_check(path, event, "Category", row_value(message, row + i, "category"));
        column_check(path, event, "EventType", row_value(message, row + i, "type"));
        column_check(path, event, "TimestampLocal", row_value(message, row + i, "time_local"));
    }
    json_decref(nothing);
    return elements ? elements : 1;
}

/* Departures of all the message's rows, sorted, each once. */
static const char *departures_of(const struct device_message *message)
{
    return sql_text(arena_format(&fixture.arena,
                                 "SELECT coalesce(string_agg(DISTINCT d, ' ' ORDER BY d), '') FROM picket.raw_event,"
                                 " unnest(departures) d WHERE bus_offset = %lld",
                                 (long long)message->offset));
}

/* Stores one document and finds it again. Returns its departures. */
static const char *document_check(const char *path, struct text source)
{
    json_error_t error;
    json_t *sent = json_loadb(source.bytes, source.count, JSON_DECODE_ANY, &error);
    const struct bus_record record = record_make(&(struct record_wish){.module = "azureiotsecurity"}, source);

    ck_assert_msg(sent != NULL, "%s: %s", path, error.text);
    struct batch batch = batch_store(&record, 1);
    ck_assert_msg(batch.message_count == 1 && batch.dead_count == 0, "%s", path);
    const struct device_message *message = &batch.messages[0];
    const json_t *events = json_object_get(sent, "Events");
    size_t rows = 0;
    if (json_array_size(events) == 0) {
        details_check(path, sent, row_value(message, 0, "picket.json_text(details, key_order)"));
        ck_assert_str_eq(row_value(message, 0, "type"), "Custom");
        rows = 1;
    }
    for (size_t i = 0; i < json_array_size(events); i++)
        rows += event_check(path, message, rows, json_array_get(events, i));
    ck_assert_msg(batch.events == (int64_t)rows, "%s: %lld rows, not %zu", path, (long long)batch.events, rows);
    const char *departures = departures_of(message);
    json_decref(sent);
    return departures;
}

START_TEST(our_own_samples_are_found_again_with_their_departures)
{
    static const struct {
        const char *file, *departures;
    } cases[] = {
        {"as_published.json", ""},
        {"c_agent_aggregated.json",
         "enum:Category=Aggregated enum:Payload.Result=FAIL enum:Payload.Result=SKIP type:Payload.ExtraDetails.HitCount"
         " type:Payload.RemotePort"},
        {"older_agent.json",
         "format:TimestampLocal format:TimestampUTC missing:EventType missing:IsEmpty"
         " missing:Payload.Operation missing:PayloadSchemaVersion missing:TimestampLocal older:IsOperational"
         " type:Payload.UserId"},
        {"windows_agent.json",
         "enum:Category=Aggregated format:TimestampLocal format:TimestampUTC missing:Payload.HardwareCategory"
         " missing:Payload.HardwareName missing:Payload.HardwareSubCategory unknown:Payload.ConnectedHardware"
         " unknown:Payload.Hash"},
        {"no_message.json", ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = arena_format(&fixture.arena, OWN "/%s", cases[i].file);
        struct text source;
        ck_assert_msg(file_read(path, &source), "%s", path);
        ck_assert_str_eq(document_check(path, source), cases[i].departures);
    }
    ck_assert_str_eq(sql_text("SELECT extra ->> 'AgentId' FROM picket.message WHERE bus_offset = 2"),
                     "3F0C1D2E-5B6A-4788-9A9B-ACBDCEDF0012"); /* not as PostgreSQL would print it */
    ck_assert_int_eq(sql_number("SELECT sum(hit_count) FROM picket.raw_event WHERE bus_offset = 1"), 17);
}
END_TEST

/* Of these the reference says that the published schema refuses them. */
static bool departs(const char *name)
{
    static const char *const known[] = {
        "classic-c-agent-processcreate-aggregated.json", "classic-c-agent-connectioncreate-aggregated.json",
        "classic-c-agent-osbaseline.json", "classic-cs-agent-aggregated.json", "classic-cs-agent-connectedhardware.json",
        "classic-docs-processcreate.json", "classic-invalid-events-only.json", "classic-invalid-extradetails-integer.json",
        "classic-invalid-remoteport-integer.json",
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

START_TEST(every_defender_sample_is_found_again)
{
    DIR *folder = opendir(DEFENDER);
    size_t messages = 0, departing = 0;

    if (!folder) {
        printf("skipped: no " DEFENDER "\n");
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *path = arena_format(&fixture.arena, DEFENDER "/%s", entry->d_name);
        struct text source;
        if (!text_ends(text_of(path), TEXT(".json")))
            continue;
        ck_assert(file_read(path, &source));
        const char *departures = document_check(path, source);
        messages++;
        departing += *departures != '\0';
        if (getenv("PICKET_SHOW_DEPARTURES"))
            printf("%s\t%s\n", entry->d_name, departures);
        if (departs(entry->d_name))
            ck_assert_msg(*departures, "%s departs from the schema, and nothing was noted", path);
    }
    closedir(folder);
    ck_assert_uint_ge(messages, 60);
    ck_assert_uint_ge(departing, 9);
}
END_TEST

START_TEST(binary_samples_are_kept_byte_by_byte)
{
    DIR *folder = opendir(DEFENDER);
    size_t files = 0;

    if (!folder) {
        printf("skipped: no " DEFENDER "\n");
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *path = arena_format(&fixture.arena, DEFENDER "/%s", entry->d_name);
        struct text source;
        if (!text_ends(text_of(path), TEXT(".bin")))
            continue;
        ck_assert(file_read(path, &source));
        const struct bus_record record = record_make(
            &(struct record_wish){.unchecked = true, .content_type = "application/octet-stream"}, source);
        struct batch batch = batch_store(&record, 1);
        char *hex = arena_alloc(&fixture.arena, 2, source.count + 1);
        text_hex_encode((const uint8_t *)source.bytes, source.count, hex);
        ck_assert_str_eq(row_value(&batch.messages[0], 0, "encode(decode(details ->> 'Body', 'base64'), 'hex')"), hex);
        files++;
    }
    closedir(folder);
    ck_assert_uint_ge(files, 8);
}
END_TEST

START_TEST(every_valid_message_of_the_published_tests_is_found_again)
{
    struct text source;
    json_error_t error;

    if (!file_read(TELEMETRY, &source)) {
        printf("skipped: no " TELEMETRY "\n");
        return;
    }
    json_t *list = json_loadb(source.bytes, source.count, 0, &error);
    ck_assert_uint_ge(json_array_size(list), 13);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char *text = json_dumps(json_array_get(list, i), JSON_INDENT(2));
        const char *departures = document_check(TELEMETRY, text_of(text));
        /* Four of them have a blank where RFC 3339 wants a T; nothing else departs. */
        const char *rest = strstr(departures, "format:TimestampLocal format:TimestampUTC") == departures ? "" : departures;
        ck_assert_msg(*rest == '\0', "%zu: %s", i, departures);
        free(text);
    }
    json_decref(list);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        our_own_samples_are_found_again_with_their_departures,
        every_defender_sample_is_found_again,
        binary_samples_are_kept_byte_by_byte,
        every_valid_message_of_the_published_tests_is_found_again,
    };
    return FIXTURE_MAIN("store/samples", tests);
}
