#include "runtime/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/check_main.h"

struct door_settings {
    int64_t https_port, timeout_ms;
    bool strict;
    const char *address, *key_file, *token, *database;
};

struct shelf_settings {
    const char *database, *kafka_topic;
};

static const struct setting door_table[] = {
    SETTING_PORT(struct door_settings, https_port, 8443, "Port | of the door."),
    SETTING_INT(struct door_settings, timeout_ms, 500, -10, 1000, "How long."),
    SETTING_BOOL(struct door_settings, strict, false, "Whether strict."),
    SETTING_STRING(struct door_settings, address, "0.0.0.0", "Where."),
    SETTING_FILE(struct door_settings, key_file, "", "Key."),
    SETTING_SECRET(struct door_settings, token, "", "Token."),
    SETTING_STRING(struct door_settings, database, "", "Database."),
};
static const struct setting shelf_table[] = {
    SETTING_STRING(struct shelf_settings, database, SETTING_NEEDED, "Database."),
    SETTING_STRING(struct shelf_settings, kafka_topic, "topic", "Topic."),
};

static struct door_settings door;
static struct shelf_settings shelf;
static const struct settings_group door_group = {"door", door_table, 7, &door};
static const struct settings_group both[] = {{"door", door_table, 7, &door},
                                             {"shelf", shelf_table, 2, &shelf}};
static struct arena arena;
static struct problem why;
static struct buf printed;
static char file[64];

static void setup(void)
{
    arena_init(&arena);
    buf_init(&printed, 100000);
    snprintf(file, sizeof file, "/tmp/picket-settings-XXXXXX");
    int fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(file);
    buf_done(&printed);
    arena_done(&arena);
}

static enum status load_file(const char *content)
{
    FILE *opened = fopen(file, "w");

    ck_assert_ptr_nonnull(opened);
    fputs(content, opened);
    fclose(opened);
    return settings_load(&door_group, 1, file, NULL, &arena, &why);
}

static enum status load_variable(const char *variable)
{
    const char *environment[] = {variable, NULL};

    return settings_load(&door_group, 1, NULL, environment, &arena, &why);
}

static void assert_refused(enum status status, const char *part)
{
    ck_assert_int_eq(status, STATUS_REJECT);
    ck_assert_msg(strstr(why.text, part) != NULL, "\"%s\" is not in \"%s\"", part, why.text);
}

START_TEST(nothing_given_is_all_defaults)
{
    ck_assert_int_eq(settings_load(&door_group, 1, NULL, NULL, &arena, &why), STATUS_OK);
    ck_assert_int_eq(door.https_port, 8443);
    ck_assert_int_eq(door.timeout_ms, 500);
    ck_assert(!door.strict);
    ck_assert_str_eq(door.address, "0.0.0.0");
    ck_assert_str_eq(door.key_file, "");
    ck_assert_int_eq(load_file(""), STATUS_OK);
    ck_assert_int_eq(load_file("# nothing\n---\n{}\n"), STATUS_OK);
    ck_assert_int_eq(door.https_port, 8443);
}
END_TEST

START_TEST(file_overrides_defaults)
{
    ck_assert_int_eq(load_file("# the door\nhttps_port: 1234\ntimeout_ms: -10\nstrict: Yes\n"
                               "address: \"a: b\"   # quoted\ntoken:\ndatabase: ~\n"),
                     STATUS_OK);
    ck_assert_int_eq(door.https_port, 1234);
    ck_assert_int_eq(door.timeout_ms, -10);
    ck_assert(door.strict);
    ck_assert_str_eq(door.address, "a: b");
    ck_assert_str_eq(door.token, "");
    ck_assert_str_eq(door.database, "");
}
END_TEST

START_TEST(environment_overrides_the_file)
{
    const char *environment[] = {"HOME=/root", "PICKET_HTTPS_PORT=2", "PICKET_ADDRESS=a=b", "PICKETS=1",
                                 NULL};

    ck_assert_int_eq(load_file("https_port: 1\nstrict: on\n"), STATUS_OK);
    ck_assert_int_eq(settings_load(&door_group, 1, file, environment, &arena, &why), STATUS_OK);
    ck_assert_int_eq(door.https_port, 2);
    ck_assert_str_eq(door.address, "a=b");
    ck_assert(door.strict);
}
END_TEST

START_TEST(strings_outlive_the_environment)
{
    char variable[] = "PICKET_ADDRESS=here";

    ck_assert_int_eq(load_variable(variable), STATUS_OK);
    memset(variable, 'x', sizeof variable - 1);
    ck_assert_str_eq(door.address, "here");
}
END_TEST

START_TEST(groups_that_share_a_name_both_get_it)
{
    const char *environment[] = {"PICKET_DATABASE=host=db", NULL};

    ck_assert_int_eq(settings_load(both, 2, NULL, environment, &arena, &why), STATUS_OK);
    ck_assert_str_eq(door.database, "host=db");
    ck_assert_str_eq(shelf.database, "host=db");
}
END_TEST

START_TEST(unknown_name_stops_the_start_and_the_nearest_is_told)
{
    assert_refused(load_file("strict: true\nhttp_port: 1\n"), ":2: there is no setting \"http_port\"");
    assert_refused(load_file("http_port: 1\n"), "did you mean https_port?");
    assert_refused(load_file("http_port: 1\n"), file);
    assert_refused(load_variable("PICKET_TIMEOUT=1"), "PICKET_TIMEOUT: ");
    assert_refused(load_variable("PICKET_TIMEOUT=1"), "did you mean PICKET_TIMEOUT_MS?");
    assert_refused(load_variable("PICKET_=1"), "no setting");
    assert_refused(load_variable("PICKET_https_port=1"), "did you mean PICKET_HTTPS_PORT?");
    assert_refused(load_file("? {a: b}\n: c\n"), "name: value");
}
END_TEST

START_TEST(very_long_unknown_name_is_refused_too)
{
    char name[5000];

    memset(name, 'A', sizeof name);
    memcpy(name, "PICKET_", 7);
    memcpy(name + sizeof name - 3, "=1", 3);
    assert_refused(load_variable(name), "PICKET_AAA");
}
END_TEST

START_TEST(variables_that_are_no_settings_are_left_alone)
{
    const char *environment[] = {"PICKET_SHARE=/x",
                                 "PICKET_SERVER=https://x",
                                 "PICKET_TOKEN=t",
                                 "PICKET_CA=c",
                                 "PICKET_SETTINGS=s",
                                 "PICKET_TEST_LOGS=1",
                                 NULL};
    struct settings_group shelf_alone = {"shelf", shelf_table + 1, 1, &shelf};

    ck_assert_msg(!settings_load(&shelf_alone, 1, NULL, environment, &arena, &why), "%s", why.text);
}
END_TEST

START_TEST(values_outside_their_kind_say_where_and_what_would_do)
{
    static const char *const numbers[] = {"",   "x",    "1.5", "70000",
                                          "-1", "0x10", "1 ",  "99999999999999999999"};
    char content[64];

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(content, sizeof content, "https_port: \"%s\"\n", numbers[i]);
        assert_refused(load_file(content), "whole number from 0 to 65535");
    }
    assert_refused(load_file("\n\ntimeout_ms: 1001\n"), ":3: timeout_ms is \"1001\"");
    assert_refused(load_variable("PICKET_STRICT=maybe"),
                   "PICKET_STRICT: strict is \"maybe\", but must be true or false");
    assert_refused(load_variable("PICKET_HTTPS_PORT"), "whole number");
}
END_TEST

START_TEST(all_words_for_true_and_false)
{
    static const char *const words[] = {"false", "TRUE", "no", "yes", "Off", "on", "0", "1"};
    char content[32];

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(content, sizeof content, "strict: %s\n", words[i]);
        ck_assert_int_eq(load_file(content), STATUS_OK);
        ck_assert_int_eq(door.strict, (int)(i % 2));
    }
}
END_TEST

START_TEST(file_that_is_not_flat_yaml_is_refused_with_its_line)
{
    assert_refused(load_file("strict: true\nstrict: false\n"), ":2: strict stands in line 1 already");
    assert_refused(load_file("strict: true\naddress: [a, b]\n"), ":2: only lines of the form");
    assert_refused(load_file("strict: true\naddress:\n  a: b\n"), ":3: only lines of the form");
    assert_refused(load_file("- strict\n"), ":1: only lines of the form");
    assert_refused(load_file("strict\n"), ":1: only lines of the form");
    assert_refused(load_file("a: &x b\nc: *x\n"), "only lines of the form");
    assert_refused(load_file("strict: true\n\taddress: x\n"), "not YAML");
    assert_refused(load_file("address: \"open\n"), "not YAML");
    assert_refused(load_file("address: \"a\\0b\"\n"), ":1: holds a zero byte");
    unlink(file);
    assert_refused(settings_load(&door_group, 1, file, NULL, &arena, &why), file);
}
END_TEST

START_TEST(needed_setting_is_asked_for_by_both_its_names)
{
    enum status status = settings_load(both, 2, NULL, NULL, &arena, &why);

    assert_refused(status, "database is needed");
    assert_refused(status, "PICKET_DATABASE");
}
END_TEST

START_TEST(file_setting_must_be_readable_once_all_have_spoken)
{
    char content[160];
    const char *environment[] = {"PICKET_KEY_FILE=", NULL};

    assert_refused(load_file("key_file: /nonexistent/key\n"),
                   "key_file (PICKET_KEY_FILE) names \"/nonexistent/key\"");
    ck_assert_int_eq(settings_load(&door_group, 1, file, environment, &arena, &why), STATUS_OK);
    snprintf(content, sizeof content, "key_file: %s\n", file);
    ck_assert_int_eq(load_file(content), STATUS_OK);
    ck_assert_str_eq(door.key_file, file);
}
END_TEST

START_TEST(kafka_names_of_no_table_pass_through_and_the_environment_wins)
{
    const char *environment[] = {"PICKET_KAFKA_LINGER_MS=2", "PICKET_DATABASE=x", "PICKET_KAFKA_TOPIC=mine",
                                 NULL};
    const struct settings_pair *pairs = NULL;

    (void)load_file("kafka_linger_ms: 1\nkafka_security_protocol: ssl\n");
    ck_assert_int_eq(settings_load(both, 2, file, environment, &arena, &why), STATUS_OK);
    ck_assert_uint_eq(settings_passed_through(&pairs), 2);
    ck_assert_str_eq(pairs[0].name, "linger.ms");
    ck_assert_str_eq(pairs[0].value, "2");
    ck_assert_str_eq(pairs[1].name, "security.protocol");
    ck_assert_str_eq(pairs[1].value, "ssl");
    ck_assert_str_eq(shelf.kafka_topic, "mine");
    ck_assert_int_eq(settings_load(&door_group, 1, NULL, NULL, &arena, &why), STATUS_OK);
    ck_assert_uint_eq(settings_passed_through(&pairs), 0);
    assert_refused(load_variable("PICKET_KAFKA_=1"), "no setting");
}
END_TEST

START_TEST(printed_settings_show_values_and_hide_secrets)
{
    const char *environment[] = {"PICKET_TIMEOUT_MS=7", "PICKET_DATABASE=x",
                                 "PICKET_KAFKA_SASL_PASSWORD=hush", NULL};

    ck_assert_int_eq(load_file("token: hush\n"), STATUS_OK);
    ck_assert_int_eq(settings_load(both, 2, file, environment, &arena, &why), STATUS_OK);
    settings_print(both, 2, &printed);
    ck_assert_ptr_nonnull(strstr(printed.bytes, "timeout_ms = 7   # How long. (default 500, -10 to 1000)\n"));
    ck_assert_ptr_nonnull(strstr(printed.bytes, "strict = false   # Whether strict. (default false)\n"));
    ck_assert_ptr_nonnull(strstr(printed.bytes, "token = (set)   # Token. (default none)\n"));
    ck_assert_ptr_nonnull(strstr(printed.bytes, "database = x   # Database. (needed)\n"));
    ck_assert_ptr_nonnull(strstr(printed.bytes, "sasl.password = (set)\n"));
    ck_assert_ptr_null(strstr(printed.bytes, "hush"));
}
END_TEST

START_TEST(markdown_page_has_a_row_for_each_setting_without_loading_any)
{
    static const char row[] =
        "| `https_port` | `PICKET_HTTPS_PORT` | 8443 | 0 to 65535 | Port \\| of the door. |";

    settings_print_markdown(both, 2, &printed);
    ck_assert_ptr_nonnull(strstr(printed.bytes, row));
    ck_assert_ptr_nonnull(strstr(printed.bytes, "\n## shelf\n"));
    ck_assert_ptr_nonnull(
        strstr(printed.bytes, "| `key_file` | `PICKET_KEY_FILE` | none | path of a file |"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nothing_given_is_all_defaults,
        file_overrides_defaults,
        environment_overrides_the_file,
        strings_outlive_the_environment,
        groups_that_share_a_name_both_get_it,
        unknown_name_stops_the_start_and_the_nearest_is_told,
        very_long_unknown_name_is_refused_too,
        variables_that_are_no_settings_are_left_alone,
        values_outside_their_kind_say_where_and_what_would_do,
        all_words_for_true_and_false,
        file_that_is_not_flat_yaml_is_refused_with_its_line,
        needed_setting_is_asked_for_by_both_its_names,
        file_setting_must_be_readable_once_all_have_spoken,
        kafka_names_of_no_table_pass_through_and_the_environment_wins,
        printed_settings_show_values_and_hide_secrets,
        markdown_page_has_a_row_for_each_setting_without_loading_any,
    };
    return check_main(&(const struct check_suite){.name = "runtime/settings",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
