#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "tests/support/check_main.h"
#include "tests/support/device_token.h"
#include "tests/support/whole.h"

/* Fleets that move in from elsewhere and out again, through `picket device import` and `export` and a whole picketd. */
#define FILES "tests/pipeline/moving/"
#define OUTPUT_MAX (16 << 20)
#define TIME_LIMIT_S 120
#define WAIT_MS 20000

enum { DONE = 0, NO = 1, REFUSED = 2, USAGE = 64 };

static struct buf out, said;

/* What the test before left: all tests have one server. */
static void remove_all(const char *list, const char *noun, const char *name)
{
    json_t *json = whole_get(list), *one;
    char path[300];
    size_t i;

    json_array_foreach(json_object_get(json, noun), i, one)
    {
        const char *id = json_string_value(json_object_get(one, name));
        if (strchr(id, '/'))
            continue; /* goes with its device */
        snprintf(path, sizeof path, "/v1/%s/%s", noun, id);
        json_decref(whole_ask(whole_token(), "DELETE", path, NULL, 204));
    }
    json_decref(json);
}

static void setup(void)
{
    remove_all("/v1/devices?limit=1000", "devices", "id");
    remove_all("/v1/groups", "groups", "name");
    remove_all("/v1/enrollments", "enrollments", "registration_id");
    buf_init(&out, OUTPUT_MAX);
    buf_init(&said, OUTPUT_MAX);
}

static void teardown(void)
{
    buf_done(&out);
    buf_done(&said);
}

static const char *text(const struct buf *buf)
{
    return buf->count ? buf->bytes : "";
}

#define EXPECT(code_wanted, ...) \
    do { \
        int code_ = whole_picket((const char *const[]){__VA_ARGS__, NULL}, &out, &said); \
        ck_assert_msg(code_ == (code_wanted), "exit %d instead of %d\n%s%s", code_, (int)(code_wanted), text(&out), \
                      text(&said)); \
    } while (0)

/* The report of an import; the caller's. */
static json_t *report(void)
{
    json_t *json = json_loads(text(&out), 0, NULL);

    ck_assert_msg(json_is_object(json), "%s", text(&out));
    return json;
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void expect_counts(json_int_t created, json_int_t updated, json_int_t unchanged, json_int_t refused)
{
    json_t *json = report();

    ck_assert_msg(number(json, "created") == created && number(json, "updated") == updated &&
                      number(json, "unchanged") == unchanged && number(json, "refused") == refused,
                  "%s", text(&out));
    json_decref(json);
}

/* A refusal of that line which says so. */
static void expect_refusal(json_int_t line, const char *id, const char *part)
{
    json_t *json = report();
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(json, "refusals"), i, one)
    {
        if (number(one, "line") != line)
            continue;
        ck_assert_str_eq(json_string_value(json_object_get(one, "id")), id);
        ck_assert_msg(strstr(json_string_value(json_object_get(one, "message")), part) != NULL, "%s",
                      json_string_value(json_object_get(one, "message")));
        json_decref(json);
        return;
    }
    ck_abort_msg("nothing is said of line %d: %s", (int)line, text(&out));
}

static const char *member(const char *path, const char *name)
{
    static char value[512];
    json_t *json = whole_get(path);
    const json_t *found = json_object_get(json, name);
    char *dumped = json_is_string(found) ? NULL : json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

    snprintf(value, sizeof value, "%s", dumped ? dumped : json_is_string(found) ? json_string_value(found) : "(none)");
    free(dumped);
    json_decref(json);
    return value;
}

/* Whether a device may send with that key, once the front door has heard of it. */
static void expect_sends(const char *device, const char *key, long code)
{
    char token[DEVICE_TOKEN_SIZE], resource[256], path[256];
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    struct program_reply reply;
    long found;

    snprintf(resource, sizeof resource, "localhost/devices/%s", device);
    snprintf(path, sizeof path, "/devices/%s/messages/events", device);
    device_token_make(resource, (const uint8_t *)key, strlen(key), clock_utc_us() / 1000000 + 600, token);
    do {
        whole_post(path, token, NULL, TEXT("{}"), &reply);
        found = reply.code;
        program_reply_done(&reply);
    } while (found != code && clock_monotonic_ms() < until_ms);
    ck_assert_int_eq(found, code);
}

START_TEST(a_registry_of_iot_hub_moves_in_with_keys_twins_and_modules)
{
    EXPECT(NO, "device", "import", FILES "registry.jsonl", "--json", "--dry-run");
    expect_counts(6, 0, 0, 7);
    json_decref(whole_ask(whole_token(), "GET", "/v1/devices/gate-1", NULL, 404));
    EXPECT(NO, "device", "import", FILES "registry.jsonl", "--json");
    expect_counts(6, 0, 0, 7);
    expect_refusal(6, "", "it is no JSON");
    expect_refusal(7, "broken-2", "neither enabled nor disabled");
    expect_refusal(8, "broken-3", "primary_key");
    expect_refusal(9, "gate-1", "the same id stands before it");
    expect_refusal(10, "nobody/m1", "no device to have the module");
    expect_refusal(11, "gone-1", "asks to delete");
    expect_refusal(12, "", "neither a device nor an enrolment");
    json_t *json = report();
    ck_assert_int_eq(number(json, "keys_made"), 1); /* listed-1 came without */
    ck_assert_int_eq(number(json_object_get(json, "left_out"), "the IoT Edge capability"), 1);
    ck_assert_int_eq(number(json_object_get(json, "left_out"), "reported properties, which devices report again"), 1);
    json_decref(json);

    ck_assert_str_eq(member("/v1/devices/gate-1/twin", "tags"), "{\"firmware\":\"1.2\",\"site\":\"north\"}");
    ck_assert_str_eq(member("/v1/devices/gate-1/twin", "own_desired"), "{\"speed\":3}");
    ck_assert_str_eq(member("/v1/devices/gate-1", "modules"), "[\"azureiotsecurity\"]");
    ck_assert_str_eq(member("/v1/devices/gate-2", "status"), "disabled");
    ck_assert_str_eq(member("/v1/devices/cam-1", "authentication"), "thumbprint");
    ck_assert_str_eq(member("/v1/devices/cam-1", "secondary_thumbprint"), "76543210FEDCBA9876543210FEDCBA9876543210");
    ck_assert_str_eq(member("/v1/devices/cam-2", "authentication"), "authority");
    expect_sends("gate-1", "gate-1 primary key, 32 bytes!", 204);
    expect_sends("gate-1", "gate-1 second key of 32 bytes", 204);
    expect_sends("gate-2", "gate-2 primary key, 32 bytes!", 403);
    expect_sends("gate-1", "gate-2 primary key, 32 bytes!", 401);
    EXPECT(DONE, "device", "import", FILES "registry.jsonl", "--format", "json", "--json", "--skip-existing", "--help");
}
END_TEST

START_TEST(the_same_import_again_changes_nothing_and_a_changed_one_only_that)
{
    char changed[] = "/tmp/picket-moving-XXXXXX";

    EXPECT(NO, "device", "import", FILES "registry.jsonl", "--json");
    expect_counts(6, 0, 0, 7);
    const char *version = strdup(member("/v1/devices/gate-1/twin", "desired_version"));
    EXPECT(NO, "device", "import", FILES "registry.jsonl", "--json");
    expect_counts(0, 0, 6, 7);
    ck_assert_str_eq(member("/v1/devices/gate-1/twin", "desired_version"), version);
    EXPECT(NO, "device", "import", FILES "registry.jsonl", "--json", "--skip-existing");
    expect_counts(0, 0, 0, 7);
    free((void *)(uintptr_t)version);

    FILE *file = fdopen(mkstemp(changed), "w");
    fputs("{\"id\":\"gate-1\",\"status\":\"disabled\"}\n", file); /* no keys, no tags: they stay */
    fclose(file);
    EXPECT(DONE, "device", "import", changed, "--json");
    expect_counts(0, 1, 0, 0);
    remove(changed);
    expect_sends("gate-1", "gate-1 primary key, 32 bytes!", 403);
    ck_assert_str_eq(member("/v1/devices/gate-1/twin", "tags"), "{\"firmware\":\"1.2\",\"site\":\"north\"}");
    /* A deleted device is made anew, with a key as before. */
    json_decref(whole_ask(whole_token(), "DELETE", "/v1/devices/gate-1", NULL, 204));
    EXPECT(NO, "device", "import", FILES "registry.jsonl", "--json");
    expect_counts(2, 0, 4, 7);
    expect_sends("gate-1", "gate-1 primary key, 32 bytes!", 204);
}
END_TEST

START_TEST(enrolments_of_dps_move_in)
{
    EXPECT(NO, "device", "import", FILES "enrolments.json", "--json");
    expect_counts(3, 0, 0, 4);
    expect_refusal(39, "reg-2", "TPM");
    expect_refusal(40, "line-c", "picket ca add");
    expect_refusal(41, "line-d", "there is no authority no-such-ca");
    expect_refusal(42, "reg-3", "--show-keys");
    ck_assert_str_eq(member("/v1/groups/line-a", "tags"), "{\"group\":\"line-a\"}");
    ck_assert_str_eq(member("/v1/groups/line-b", "status"), "disabled");
    ck_assert_str_eq(member("/v1/enrollments/reg-1", "device"), "press-1");
    ck_assert_str_eq(member("/v1/enrollments/reg-1", "authentication"), "thumbprint");
    EXPECT(NO, "device", "import", FILES "enrolments.json", "--json");
    expect_counts(0, 0, 3, 4);
}
END_TEST

START_TEST(a_table_moves_in)
{
    EXPECT(NO, "device", "import", FILES "fleet.csv", "--json");
    expect_counts(3, 0, 0, 3);
    expect_refusal(6, "valve-3", "another number of fields");
    expect_refusal(7, "", "no JSON object");
    expect_refusal(8, "valve 5", "other characters");
    ck_assert_str_eq(member("/v1/devices/valve-1/twin", "tags"), "{\"site\":\"north, hall 2\"}");
    ck_assert_str_eq(member("/v1/devices/valve-1/twin", "own_desired"), "{\"speed\":5}");
    ck_assert_str_eq(member("/v1/devices/valve-2", "primary_thumbprint"), "AABBCCDDEEFF00112233445566778899AABBCCDD");
    expect_sends("valve-1", "valve-1 primary key, 32 bytes!", 204);
    EXPECT(DONE, "device", "import", FILES "fleet.csv", "--help");
}
END_TEST

START_TEST(what_is_no_fleet_is_refused_with_a_sentence)
{
    char path[] = "/tmp/picket-moving-XXXXXX";
    static const struct {
        const char *content, *part;
    } cases[] = {
        {"", "it is empty"},
        {"hello\n", "the column \"hello\""},
        {"status,module\n", "no column id"},
        {"[1,2]", "line 1 is neither"},
        {"[{\"id\":\"x\"", "ends in the middle of the entry that begins in line 1"},
        {"{\n\"id\": \"y", "ends in the middle"},
    };

    close(mkstemp(path));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *file = fopen(path, "w");
        fputs(cases[i].content, file);
        fclose(file);
        EXPECT(REFUSED, "device", "import", path);
        ck_assert_msg(strstr(text(&said), cases[i].part) != NULL, "%zu: %s", i, text(&said));
    }
    remove(path);
    EXPECT(REFUSED, "device", "import", path);
    EXPECT(REFUSED, "device", "import", FILES "fleet.csv", "--format", "xml");
    EXPECT(REFUSED, "device", "export", "--format", "xml");
}
END_TEST

/* The file, sorted, without what the two workspaces differ in. */
static char *exported(const char *workspace, const char *format, const char *path)
{
    EXPECT(DONE, "device", "export", "--workspace", workspace, "--with-keys", "--format", format, "--output", path);
    FILE *file = fopen(path, "r");
    char *bytes = calloc(1, OUTPUT_MAX);
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(bytes, 1, OUTPUT_MAX - 1, file), 0);
    fclose(file);
    return bytes;
}

START_TEST(what_was_exported_makes_the_same_fleet_elsewhere)
{
    static const char *const formats[] = {"iothub", "csv"};
    static const char *const workspaces[] = {"second", "third"};

    EXPECT(NO, "device", "import", FILES "registry.jsonl", "--json");
    EXPECT(NO, "device", "import", FILES "fleet.csv", "--json");
    EXPECT(DONE, "workspace", "create", "second", "--hosts", "second.test");
    EXPECT(DONE, "workspace", "create", "third", "--hosts", "third.test");
    for (size_t i = 0; i < 2; i++) {
        char *first = exported("default", formats[i], "/tmp/picket-moving-first");
        EXPECT(DONE, "device", "import", "/tmp/picket-moving-first", "--workspace", workspaces[i], "--json");
        char *second = exported(workspaces[i], formats[i], "/tmp/picket-moving-second");
        ck_assert_str_eq(first, second);
        EXPECT(DONE, "device", "import", "/tmp/picket-moving-second", "--workspace", "default", "--json");
        json_t *json = report();
        ck_assert_int_eq(number(json, "created") + number(json, "updated") + number(json, "refused"), 0);
        json_decref(json);
        free(first);
        free(second);
    }
    remove("/tmp/picket-moving-first");
    remove("/tmp/picket-moving-second");
    EXPECT(DONE, "device", "export");
    ck_assert_ptr_null(strstr(text(&out), "Z2F0ZS0x"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_registry_of_iot_hub_moves_in_with_keys_twins_and_modules,
        the_same_import_again_changes_nothing_and_a_changed_one_only_that,
        enrolments_of_dps_move_in,
        a_table_moves_in,
        what_is_no_fleet_is_refused_with_a_sentence,
        what_was_exported_makes_the_same_fleet_elsewhere,
    };
    const struct check_suite suite = {.name = "pipeline/moving",
                                      .tests = tests,
                                      .count = sizeof tests / sizeof *tests,
                                      .setup = setup,
                                      .teardown = teardown,
                                      .timeout_seconds = TIME_LIMIT_S};

    whole_start(1, NULL);
    int failed = check_main(&suite);
    return whole_stop() || failed;
}
