#include "ingest/device_auth.h"
#include "ingest/door.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/ingest_metrics.h"
#include "runtime/clock.h"
#include "tests/support/check_main.h"
#include "tests/support/taker.h"

#define LONG_MS 600000
#define SHORT_MS 50

static struct bus *bus;
static struct taker *taker;
static struct problem why;

static void setup(void)
{
    static const struct bus_settings settings = {
        .bus = "direct", .bus_shards = 1, .bus_queue_bytes = 64 << 20, .bus_send_timeout_ms = 10000};

    ck_assert_int_eq(bus_open(&settings, 1000, 0, &bus, &why), STATUS_OK);
    taker = taker_open(bus);
}

static void teardown(void)
{
    taker_close(taker);
    bus_close(bus);
}

static struct door *opened(uint32_t window_ms)
{
    struct door *door = NULL;

    ck_assert_int_eq(door_open(bus, window_ms, &door, &why), STATUS_OK);
    return door;
}

static json_t *value(size_t record)
{
    struct text text = taker_value(taker, record);
    json_t *json = json_loadb(text.bytes, text.count, 0, NULL);

    ck_assert_ptr_nonnull(json);
    return json;
}

static json_int_t refused(json_t *json, const char *code)
{
    return json_integer_value(json_object_get(json_object_get(json, "Refused"), code));
}

START_TEST(refusals_of_one_identity_are_summed_into_one_record)
{
    struct identity identity = {7, TEXT("d1"), TEXT("m")};
    int64_t before_us = clock_utc_us();
    struct door *door = opened(LONG_MS);

    for (int i = 0; i < 5; i++)
        door_refused(door, &identity, 401, "the token expired");
    door_refused(door, &identity, 429, "too \"fast\"");
    door_close(door);
    ck_assert_uint_eq(taker_count(taker), 1);
    ck_assert(text_equal(taker_header(taker, 0, "kind"), TEXT("door")));
    ck_assert(text_equal(taker_header(taker, 0, "workspace"), TEXT("7")));
    ck_assert(text_equal(taker_header(taker, 0, "device"), TEXT("d1")));
    ck_assert(text_equal(taker_header(taker, 0, "module"), TEXT("m")));
    ck_assert(text_equal(taker_key(taker, 0), TEXT("7/d1")));
    json_t *json = value(0);
    ck_assert_int_eq(refused(json, "401"), 5);
    ck_assert_int_eq(refused(json, "429"), 1);
    ck_assert_uint_eq(json_object_size(json_object_get(json, "Refused")), 2);
    ck_assert_str_eq(json_string_value(json_object_get(json, "Last")), "too \"fast\"");
    ck_assert_int_ge(json_integer_value(json_object_get(json, "From")), before_us);
    ck_assert_int_ge(json_integer_value(json_object_get(json, "To")),
                     json_integer_value(json_object_get(json, "From")));
    json_decref(json);
}
END_TEST

/* Detection goes by these, not by the sentence. */
START_TEST(why_credentials_were_refused_is_told_apart)
{
    struct device_auth_claim claim = {.device = TEXT("d1"), .module = TEXT("")};
    struct device_auth_result result = {.verdict = DEVICE_AUTH_UNFIT, .enrolled = true, .in_workspace = true, .workspace = {.workspace = 7}};
    struct door *door = opened(LONG_MS);

    for (int i = 0; i < 3; i++) {
        result.flaw = i ? DEVICE_AUTH_TOKEN_SIGNATURE : DEVICE_AUTH_CERTIFICATE_EXPIRED;
        door_refused_credential(door, &claim, &result, 401, "192.0.2.1");
    }
    result.flaw = DEVICE_AUTH_OTHER_FLAW;
    door_refused_credential(door, &claim, &result, 401, "192.0.2.1");
    door_close(door);
    json_t *json = value(0), *reasons = json_object_get(json, "Reasons");
    ck_assert_int_eq(refused(json, "401"), 4);
    ck_assert_uint_eq(json_object_size(reasons), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(reasons, "token-signature")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(reasons, "certificate-expired")), 1);
    json_decref(json);
}
END_TEST

START_TEST(an_identity_that_goes_back_and_forth_is_told_with_both_addresses)
{
    struct identity identity = {1, TEXT("d1"), TEXT("")};
    struct door *door = opened(LONG_MS);

    for (int i = 0; i < 20; i++)
        door_passed(door, &identity, i % 2 ? "192.0.2.1" : "2001:db8::7");
    door_close(door);
    ck_assert_uint_eq(taker_count(taker), 1);
    ck_assert(text_equal(taker_header(taker, 0, "device"), TEXT("d1")));
    json_t *json = value(0), *clones = json_object_get(json, "Clones");
    ck_assert_str_eq(json_string_value(json_object_get(clones, "RemoteAddress")), "2001:db8::7");
    ck_assert_str_eq(json_string_value(json_object_get(clones, "OtherAddress")), "192.0.2.1");
    ck_assert_int_eq(json_integer_value(json_object_get(clones, "Returns")), 3);
    ck_assert_uint_eq(json_object_size(json_object_get(json, "Refused")), 0);
    ck_assert_ptr_null(json_object_get(json, "Last"));
    json_decref(json);
}
END_TEST

START_TEST(window_ends_by_itself_and_the_next_counts_anew)
{
    struct identity identity = {1, TEXT("d1"), TEXT("")};
    struct door *door = opened(SHORT_MS);

    door_refused(door, &identity, 400, "broken");
    taker_wait(taker, 1);
    door_refused(door, &identity, 400, "broken");
    taker_wait(taker, 2);
    json_t *json = value(1);
    ck_assert_int_eq(refused(json, "400"), 1);
    json_decref(json);
    door_close(door);
}
END_TEST

START_TEST(records_that_were_not_stored_go_out_with_a_later_window)
{
    struct identity identity = {1, TEXT("d1"), TEXT("")};
    struct door *door = opened(SHORT_MS);

    taker_set(taker, TAKER_FAILED_ONCE);
    door_refused(door, &identity, 401, "the latest");
    taker_wait(taker, 2);
    door_close(door);
    ck_assert_uint_eq(taker_count(taker), 2);
    json_t *json = value(1);
    ck_assert_int_eq(refused(json, "401"), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json, "Last")), "the latest");
    json_decref(json);
}
END_TEST

START_TEST(identities_beyond_the_limit_are_put_down_to_their_workspace)
{
    struct door *door = opened(LONG_MS);
    char id[32];

    for (int i = 0; i < DOOR_IDENTITIES_MAX + 25; i++) {
        snprintf(id, sizeof id, "d%d", i);
        struct identity identity = {3, text_of(id), TEXT("")};
        door_refused(door, &identity, 401, "no");
    }
    door_close(door);
    ck_assert_uint_eq(taker_count(taker), DOOR_IDENTITIES_MAX + 1);
    for (size_t i = 0; i <= DOOR_IDENTITIES_MAX; i++) {
        if (taker_header(taker, i, "device").count)
            continue;
        json_t *json = value(i);
        ck_assert_int_eq(refused(json, "401"), 25);
        json_decref(json);
    }
    ck_assert_int_eq(metric_get(&ingest_metrics.door_overflow), 25);
}
END_TEST

START_TEST(longest_sentence_of_the_worst_bytes_fits)
{
    struct identity identity = {1, TEXT(""), TEXT("")};
    struct door *door = opened(LONG_MS);
    char worst[PROBLEM_TEXT_MAX];

    memset(worst, 1, sizeof worst - 1);
    worst[sizeof worst - 1] = 0;
    for (size_t i = 0; i < INGEST_METRICS_CODES; i++)
        door_refused(door, &identity, ingest_metrics_codes[i], worst);
    door_close(door);
    json_t *json = value(0);
    ck_assert_uint_eq(json_object_size(json_object_get(json, "Refused")), INGEST_METRICS_CODES);
    json_decref(json);
}
END_TEST

START_TEST(door_that_saw_nothing_sends_nothing)
{
    door_close(opened(LONG_MS));
    ck_assert_uint_eq(taker_count(taker), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        refusals_of_one_identity_are_summed_into_one_record,
        why_credentials_were_refused_is_told_apart,
        an_identity_that_goes_back_and_forth_is_told_with_both_addresses,
        window_ends_by_itself_and_the_next_counts_anew,
        records_that_were_not_stored_go_out_with_a_later_window,
        identities_beyond_the_limit_are_put_down_to_their_workspace,
        longest_sentence_of_the_worst_bytes_fits,
        door_that_saw_nothing_sends_nothing,
    };
    const struct check_suite suite = {.name = "ingest/door", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};
    return check_main(&suite);
}
