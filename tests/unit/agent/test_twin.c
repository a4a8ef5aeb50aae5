#include "agent/twin.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/check_main.h"

static struct picket_settings base, settings;
static struct picket_twin_result result;

static void setup(void)
{
    picket_settings_default(&base);
    settings = base;
}

static void apply(const char *json)
{
    ck_assert_msg(picket_twin_apply(&settings, &base, json, strlen(json), &result), "%s", json);
}

/* "name name" of what was refused. */
static const char *refused(void)
{
    static char out[2048];

    out[0] = '\0';
    for (unsigned i = 0; i < result.wrong_count; i++) {
        size_t used = strlen(out);
        snprintf(out + used, sizeof out - used, "%s%s", i ? " " : "", result.wrong[i].name);
    }
    return out;
}

START_TEST(the_micro_agents_keys_are_settings)
{
    apply("{\"desired\":{\"$version\":7,\"CollectorsCore_PriorityIntervals\":\"15, 60 ,720\",\"Process_Disabled\":true,\"Process_Mode\":2,\"Process_PollingInterval\":\"250000\","
          "\"NetworkActivity_MessageFrequency\":\"High\",\"NetworkActivity_Devices\":\"eth0,wlan0\",\"FileSystem_Paths\":\"/etc,/usr/bin\",\"FileSystem_Recursive\":\"False\","
          "\"Peripheral_CacheSize\":32,\"Baseline_ChecksDisabled\":\"3.3.5,2.2.1.1\",\"SystemInformation_HardwareVendor\":\"Caf\\u00e9\",\"IothubModule_MessageTimeout\":2880,"
          "\"SBoM_MessageFrequency\":\"medium\",\"Unknown_Key\":{\"a\":[1]},\"other\":null},\"reported\":{\"Login_Disabled\":true}}");
    ck_assert_str_eq(refused(), "");
    ck_assert_int_eq(result.version, 7);
    ck_assert(result.micro && !result.classic && result.changed);
    ck_assert_uint_eq(settings.interval_s[0], 900);
    ck_assert_uint_eq(settings.interval_s[1], 3600);
    ck_assert_uint_eq(settings.interval_s[2], 43200);
    ck_assert(settings.subjects[PICKET_PROCESSES].disabled && !settings.subjects[PICKET_LOGINS].disabled);
    ck_assert_uint_eq(settings.process_mode, PICKET_PROCESS_NETLINK);
    ck_assert_uint_eq(settings.process_polling_us, 250000);
    ck_assert_uint_eq(settings.subjects[PICKET_CONNECTIONS].priority, PICKET_HIGH);
    ck_assert_uint_eq(settings.subjects[PICKET_PACKAGES].priority, PICKET_MEDIUM);
    ck_assert_uint_eq(settings.subjects[PICKET_PERIPHERALS].cache_entries, 32);
    ck_assert_str_eq(settings.network_devices, "eth0,wlan0");
    ck_assert_str_eq(settings.file_paths, "/etc,/usr/bin");
    ck_assert(!settings.files_recursive);
    ck_assert_str_eq(settings.hardware_vendor, "Caf\xc3\xa9");
    ck_assert_uint_eq(settings.message_timeout_s, 172800);
}
END_TEST

START_TEST(the_classic_agents_object_is_the_same_settings)
{
    apply("{\"" PICKET_TWIN_CLASSIC "\":{\"highPriorityMessageFrequency\":{\"value\":\"PT7M\"},\"lowPriorityMessageFrequency\":{\"value\":\"PT5H\"},"
          "\"snapshotFrequency\":{\"value\":\"P1DT1H\"},\"maxLocalCacheSizeInBytes\":{\"value\":2560000},\"maxMessageSizeInBytes\":{\"value\":204800},"
          "\"eventPriorityProcessCreate\":{\"value\":\"off\"},\"eventPriorityLogin\":{\"value\":\"LOW\"},\"eventPriorityOSBaseline\":{\"value\":\"High\"},"
          "\"eventPriorityOperational\":{\"value\":\"high\"},\"aggregationEnabledConnectionCreate\":{\"value\":false},\"aggregationIntervalConnectionCreate\":{\"value\":\"PT1H\"},"
          "\"hubResourceId\":{\"value\":\"x\"},\"later\":{\"value\":1}},\"$version\":3}");
    ck_assert_str_eq(refused(), "");
    ck_assert(result.classic && !result.micro);
    ck_assert_uint_eq(settings.interval_s[PICKET_HIGH], 420);
    ck_assert_uint_eq(settings.interval_s[PICKET_LOW], 18000);
    ck_assert_uint_eq(settings.snapshot_s, 90000);
    ck_assert_uint_eq(settings.cache_bytes, 2560000);
    ck_assert_uint_eq(settings.message_bytes, 204800);
    ck_assert(settings.subjects[PICKET_PROCESSES].disabled);
    ck_assert_uint_eq(settings.subjects[PICKET_LOGINS].priority, PICKET_LOW);
    ck_assert_uint_eq(settings.subjects[PICKET_BASELINE].priority, PICKET_HIGH);
    ck_assert(!settings.subjects[PICKET_CONNECTIONS].aggregated);
    ck_assert_uint_eq(settings.subjects[PICKET_CONNECTIONS].aggregation_s, 3600);
}
END_TEST

START_TEST(a_bad_key_is_refused_alone)
{
    static const char *const bad[][2] = {
        {"CollectorsCore_PriorityIntervals", "\"30,120\""},      {"CollectorsCore_PriorityIntervals", "\"30,120,1440,\""}, {"CollectorsCore_PriorityIntervals", "\"120,30,1440\""},
        {"CollectorsCore_PriorityIntervals", "\"0,30,1440\""},   {"CollectorsCore_PriorityIntervals", "30"},               {"CollectorsCore_PriorityIntervals", "\"30,120,x\""},
        {"Process_Disabled", "\"maybe\""},                       {"Process_Disabled", "1"},                                {"Process_Disabled", "[true]"},
        {"Process_Mode", "4"},                                   {"Process_Mode", "0"},                                    {"Process_Mode", "1.5"},
        {"Process_Mode", "-1"},                                  {"Process_PollingInterval", "99999999999999999999"},      {"Process_CacheSize", "65536"},
        {"Login_MessageFrequency", "\"Off\""},                   {"Login_MessageFrequency", "\"\""},                       {"Login_MessageFrequency", "{}"},
        {"NetworkActivity_Devices", "\"0123456789012345678901234567890123456789012345678901234567890123\""},               {"FileSystem_Paths", "\"a\\u0000b\""},
    };
    char json[2048];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setup();
        snprintf(json, sizeof json, "{\"Baseline_Disabled\":true,\"%s\":%s,\"SBoM_Disabled\":true}", bad[i][0], bad[i][1]);
        apply(json);
        ck_assert_str_eq(refused(), bad[i][0]);
        ck_assert(settings.subjects[PICKET_BASELINE].disabled && settings.subjects[PICKET_PACKAGES].disabled);
        settings.subjects[PICKET_BASELINE].disabled = settings.subjects[PICKET_PACKAGES].disabled = false;
        ck_assert_msg(memcmp(&settings, &base, sizeof base) == 0, "%s", json);
    }
    setup();
    apply("{\"" PICKET_TWIN_CLASSIC "\":{\"snapshotFrequency\":{\"value\":\"1h\"},\"eventPriorityLogin\":\"High\",\"maxMessageSizeInBytes\":{\"value\":8191},"
          "\"highPriorityMessageFrequency\":{\"value\":\"PT9S\"}}}");
    ck_assert_str_eq(refused(), "snapshotFrequency eventPriorityLogin maxMessageSizeInBytes");
    ck_assert_uint_eq(settings.interval_s[PICKET_HIGH], 9);
}
END_TEST

START_TEST(a_patch_keeps_what_it_does_not_name_and_null_is_the_default)
{
    apply("{\"desired\":{\"Process_Disabled\":true,\"Login_MessageFrequency\":\"Low\"}}");
    apply("{\"Login_Disabled\":true,\"$version\":8}");
    ck_assert(settings.subjects[PICKET_PROCESSES].disabled && settings.subjects[PICKET_LOGINS].disabled);
    apply("{\"Process_Disabled\":null,\"Login_MessageFrequency\":null}");
    ck_assert(!settings.subjects[PICKET_PROCESSES].disabled && settings.subjects[PICKET_LOGINS].disabled);
    ck_assert_uint_eq(settings.subjects[PICKET_LOGINS].priority, base.subjects[PICKET_LOGINS].priority);
    apply("{\"" PICKET_TWIN_CLASSIC "\":{\"snapshotFrequency\":{\"value\":\"PT9M\"},\"eventPriorityLocalUsers\":{\"value\":\"Off\"}}}");
    ck_assert(settings.snapshot_s == 540 && settings.subjects[PICKET_USERS].disabled);
    apply("{\"" PICKET_TWIN_CLASSIC "\":{\"snapshotFrequency\":{\"value\":null},\"eventPriorityLocalUsers\":null}}");
    ck_assert(settings.snapshot_s == base.snapshot_s && !settings.subjects[PICKET_USERS].disabled);
    apply("{\"" PICKET_TWIN_CLASSIC "\":{\"maxMessageSizeInBytes\":{\"value\":65536},\"aggregationEnabledProcessCreate\":{\"value\":false}}}");
    apply("{\"" PICKET_TWIN_CLASSIC "\":null}");
    ck_assert(settings.message_bytes == base.message_bytes && settings.subjects[PICKET_PROCESSES].aggregated);
    apply("{\"SBoM_Disabled\":true}");
    apply("{\"desired\":{}}"); /* a whole twin names all */
    ck_assert(memcmp(&settings, &base, sizeof base) == 0);
    ck_assert(result.changed);
    apply("{\"desired\":{}}");
    ck_assert(!result.changed);
}
END_TEST

START_TEST(keys_that_contradict_each_other_are_told)
{
    apply("{\"" PICKET_TWIN_CLASSIC "\":{\"maxLocalCacheSizeInBytes\":{\"value\":8192},\"highPriorityMessageFrequency\":{\"value\":\"PT9H\"},\"maxMessageSizeInBytes\":{\"value\":20000}}}");
    ck_assert_str_eq(refused(), "maxLocalCacheSizeInBytes maxMessageSizeInBytes highPriorityMessageFrequency");
    ck_assert_int_eq(result.wrong[0].error, PICKET_TWIN_CONFLICT);
    ck_assert_int_eq(result.wrong[1].error, PICKET_TWIN_NOT_OPTIMAL);
    ck_assert_uint_eq(settings.cache_bytes, base.cache_bytes);
    ck_assert_uint_eq(settings.message_bytes, 20000);
    ck_assert_uint_eq(settings.interval_s[PICKET_HIGH], base.interval_s[PICKET_HIGH]);
}
END_TEST

START_TEST(what_is_no_json_object_changes_nothing)
{
    static const char *const broken[] = {"", "[]", "7", "{", "{\"desired\":7}", "{\"Process_Disabled\":true", "{\"Process_Disabled\":true}x", "{\"" PICKET_TWIN_CLASSIC "\":{\"a\":}}"};

    apply("{\"SBoM_Disabled\":true}");
    struct picket_settings before = settings;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        ck_assert_msg(!picket_twin_apply(&settings, &base, broken[i], strlen(broken[i]), &result), "%s", broken[i]);
        ck_assert(memcmp(&settings, &before, sizeof before) == 0 && !result.wrong_count);
    }
}
END_TEST

START_TEST(the_report_names_what_was_refused_and_the_classic_configuration)
{
    static char out[PICKET_TWIN_REPORT_MAX];

    apply("{\"Process_Disabled\":7,\"Login_Disabled\":true}");
    size_t count = picket_twin_report(&settings, &result, out, sizeof out);
    ck_assert_uint_gt(count, 0);
    out[count] = '\0';
    ck_assert_str_eq(out, "{\"latest_invalid_fields\":[\"Process_Disabled\"],\"latest_state\":\"failed\"}");

    apply("{\"" PICKET_TWIN_CLASSIC "\":{\"snapshotFrequency\":{\"value\":\"PT90M\"}}}");
    count = picket_twin_report(&settings, &result, out, sizeof out);
    json_t *report = json_loadb(out, count, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(report);
    ck_assert_str_eq(json_string_value(json_object_get(report, "latest_state")), "success");
    json_t *whole = json_object();
    json_object_set_new(whole, "desired", json_pack("{s:O}", PICKET_TWIN_CLASSIC, json_object_get(report, PICKET_TWIN_CLASSIC)));
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(json_object_get(report, PICKET_TWIN_CLASSIC), "snapshotFrequency"), "value")), "PT1H30M");
    /* What is reported, desired again, changes nothing. */
    struct picket_settings before = settings;
    char *text = json_dumps(whole, 0);
    apply(text);
    ck_assert_str_eq(refused(), "");
    settings.subjects[PICKET_LOGINS].disabled = before.subjects[PICKET_LOGINS].disabled;
    ck_assert(memcmp(&settings, &before, sizeof before) == 0);
    free(text);
    json_decref(whole);
    json_decref(report);
    for (size_t size = 0; size < count; size++)
        ck_assert_uint_eq(picket_twin_report(&settings, &result, out, size), 0);
}
END_TEST

START_TEST(durations_are_read_and_printed)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: none */
    } cases[] = {{"PT7M", 420}, {"P1DT2H3M4S", 93784}, {"PT0S", 0}, {"P2D", 172800}, {"PT90S", 90}, {"P", -1}, {"PT", -1}, {"7M", -1}, {"PT7", -1}, {"P7M", -1}, {"PT1D", -1},
                 {"PT1M1H", -1}, {"P1DT", -1}, {"PT-1M", -1}, {"PT1.5M", -1}, {"PTT1M", -1}, {"PT5000000000S", -1}, {"P99999999D", -1}, {"PT1M ", -1}, {"", -1}};
    char text[PICKET_DURATION_SIZE];
    uint32_t seconds;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool read = picket_duration_read(cases[i].text, strlen(cases[i].text), &seconds);
        ck_assert_msg(read == (cases[i].seconds >= 0) && (!read || seconds == cases[i].seconds), "%s", cases[i].text);
    }
    static const struct {
        uint32_t seconds;
        const char *text;
    } printed[] = {{0, "PT0S"}, {60, "PT1M"}, {3661, "PT1H1M1S"}, {86400, "PT24H"}, {UINT32_MAX, "PT1193046H28M15S"}};
    for (size_t i = 0; i < sizeof printed / sizeof *printed; i++) {
        ck_assert_uint_eq(picket_duration_print(printed[i].seconds, text), strlen(printed[i].text));
        ck_assert_str_eq(text, printed[i].text);
        ck_assert(picket_duration_read(text, strlen(text), &seconds) && seconds == printed[i].seconds);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_micro_agents_keys_are_settings,
        the_classic_agents_object_is_the_same_settings,
        a_bad_key_is_refused_alone,
        a_patch_keeps_what_it_does_not_name_and_null_is_the_default,
        keys_that_contradict_each_other_are_told,
        what_is_no_json_object_changes_nothing,
        the_report_names_what_was_refused_and_the_classic_configuration,
        durations_are_read_and_printed,
    };
    const struct check_suite suite = {"agent/twin", tests, sizeof tests / sizeof *tests, setup, NULL, 60};
    return check_main(&suite);
}
