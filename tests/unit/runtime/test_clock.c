#include "runtime/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/check_main.h"

#define SECOND INT64_C(1000000)
#define BASE INT64_C(1533898881000000) /* 2018-08-10T11:01:21Z */

static int64_t parsed(const char *text)
{
    int64_t us = -1;

    ck_assert_msg(clock_parse(text_of(text), &us), "%s", text);
    return us;
}

START_TEST(every_form_that_agents_send_is_one_instant)
{
    static const char *const forms[] = {
        "2018-08-10T11:01:21Z",          "2018-08-10 11:01:21Z",         "2018-08-10T11:01:21",
        "2018-08-10 11:01:21UTC",        "2018-08-10 11:01:21GMT",       "2018-08-10 11:01:21 UTC",
        "2018-08-10T11:01:21.000Z",      "2018-08-10t11:01:21z",         "2018-08-10T12:01:21+01:00",
        "2018-08-10T12:01:21.000+01:00", "2018-08-10T06:31:21-04:30",    "2018-08-10T12:01:21+0100",
        "2018-08-10T12:01:21+01",        "2018-08-10T11:01:21.0000000Z", "2018-08-10T11:01:21,000Z",
        " 2018-08-10T11:01:21Z\n",       "2018-08-10T11:01:21 +00:00",   "2018-08-10T11:01:21.000000000Z",
    };

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        ck_assert_msg(parsed(forms[i]) == BASE, "%s", forms[i]);
}
END_TEST

START_TEST(fractions_count_to_the_microsecond)
{
    ck_assert_int_eq(parsed("2018-08-10T11:01:21.5Z"), BASE + 500000);
    ck_assert_int_eq(parsed("2018-08-10T11:01:21.000001Z"), BASE + 1);
    ck_assert_int_eq(parsed("2018-08-10T11:01:21.1234567Z"), BASE + 123456);
    ck_assert_int_eq(parsed("1969-12-31T23:59:59.999999Z"), -1);
}
END_TEST

START_TEST(dates_alone_and_times_without_seconds_are_understood)
{
    ck_assert_int_eq(parsed("1970-01-01"), 0);
    ck_assert_int_eq(parsed("1970-01-02"), 86400 * SECOND);
    ck_assert_int_eq(parsed("1970-01-01T00:01"), 60 * SECOND);
    ck_assert_int_eq(parsed("2016-12-31T23:59:60Z"), parsed("2017-01-01T00:00:00Z"));
}
END_TEST

START_TEST(anything_else_is_refused_and_leaves_the_output_alone)
{
    static const char *const wrong[] = {
        "",
        "now",
        "2018-08-10T",
        "2018-08-10T11",
        "2018-8-10",
        "2018-02-29",
        "1900-02-29",
        "2018-00-10",
        "2018-13-10",
        "2018-01-32",
        "2018-04-31",
        "0000-01-01",
        "2018-08-10T24:00:00Z",
        "2018-08-10T11:60:00Z",
        "2018-08-10T11:01:61Z",
        "2018-08-10T11:01:21.Z",
        "2018-08-10T11:01:21X",
        "2018-08-10T11:01:21+1",
        "2018-08-10T11:01:21+01:",
        "2018-08-10T11:01:21+01:60",
        "2018-08-10T11:01:21Z ZZ",
        "2018-08-10T11:01:21Z0",
        "2018-08-10  11:01:21Z",
        "-018-08-10",
        "2018--8-10",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "20180810T110121Z",
        "10/08/2018 11:01:21",
        "2018-08-10T11:01:21.1234567890123456789Z",
    };
    int64_t us = 42;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!clock_parse(text_of(wrong[i]), &us), "%s", wrong[i]);
    ck_assert(!clock_parse(TEXT_NONE, &us));
    ck_assert_int_eq(us, 42);
}
END_TEST

START_TEST(half_a_time_is_not_read_past_its_end)
{
    static const char whole[] = "2018-08-10T11:01:21.000+01:00";

    for (size_t count = 0; count < sizeof whole - 1; count++) {
        int64_t us;
        char *half = malloc(count ? count : 1); /* the address sanitizer watches its end */
        memcpy(half, whole, count);
        (void)clock_parse((struct text){half, count}, &us);
        free(half);
    }
}
END_TEST

START_TEST(every_day_is_written_as_libc_writes_it_and_read_back)
{
    char written[CLOCK_TEXT_SIZE], expected[CLOCK_TEXT_SIZE];

    /* Years 1 to 9999 by steps of a prime number of seconds, about 13 days. */
    for (int64_t second = -62135596800; second < 253402300800; second += 1123457) {
        time_t moment = (time_t)second;
        struct tm parts;
        gmtime_r(&moment, &parts);
        clock_format(second * SECOND + 678901, written);
        snprintf(expected, sizeof expected, "%04u-%02u-%02uT%02u:%02u:%02u.678901Z",
                 (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)(parts.tm_mon + 1) % 100,
                 (unsigned)parts.tm_mday % 100, (unsigned)parts.tm_hour % 100, (unsigned)parts.tm_min % 100,
                 (unsigned)parts.tm_sec % 100);
        ck_assert_str_eq(written, expected);
        ck_assert_int_eq(parsed(written), second * SECOND + 678901);
    }
}
END_TEST

START_TEST(moments_before_1970_and_out_of_all_years_are_written)
{
    char written[CLOCK_TEXT_SIZE];

    clock_format(-1, written);
    ck_assert_str_eq(written, "1969-12-31T23:59:59.999999Z");
    clock_format(INT64_MAX, written);
    ck_assert_str_eq(written, "294247-01-10T04:00:54.775807Z");
    clock_format(INT64_MIN, written);
    ck_assert_uint_lt(strlen(written), CLOCK_TEXT_SIZE);
}
END_TEST

START_TEST(durations_of_both_spellings)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"90s", 90},      {"15m", 900},  {"24h", 86400},        {"7d", 604800},    {"2w", 1209600},
        {"0s", 0},        {"PT7M", 420}, {"P1D", 86400},        {"PT1H30M", 5400}, {"P1DT12H", 129600},
        {"P2W", 1209600}, {"PT90S", 90}, {"P1DT1H1M1S", 90061},
    };
    int64_t us = -1;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(clock_parse_duration(text_of(rows[i].text), &us), "%s", rows[i].text);
        ck_assert_msg(us == rows[i].seconds * SECOND, "%s", rows[i].text);
    }
}
END_TEST

START_TEST(malformed_durations_are_refused)
{
    static const char *const wrong[] = {
        "",      "7",   "d",     "-7d",           "7 d",           "7D",  "7dd", "7d2h",   "1.5h",
        "P",     "PT",  "P1",    "P1H",           "PT1D",          "P1Y", "P1M", "PT1M1H", "P1DT",
        "P1D1D", "p1d", "PT1S1", "999999999999w", "9999999999999s"};
    int64_t us = 42;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!clock_parse_duration(text_of(wrong[i]), &us), "%s", wrong[i]);
    ck_assert_int_eq(us, 42);
}
END_TEST

START_TEST(clocks_run_forward)
{
    int64_t monotonic = clock_monotonic_ms(), utc = clock_utc_us();

    ck_assert_int_gt(utc, BASE);
    ck_assert_int_le(llabs(utc / SECOND - (int64_t)time(NULL)), 2);
    while (clock_monotonic_ms() == monotonic)
        ; /* ends within a millisecond */
    ck_assert_int_gt(clock_monotonic_ms(), monotonic);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_form_that_agents_send_is_one_instant,
        fractions_count_to_the_microsecond,
        dates_alone_and_times_without_seconds_are_understood,
        anything_else_is_refused_and_leaves_the_output_alone,
        half_a_time_is_not_read_past_its_end,
        every_day_is_written_as_libc_writes_it_and_read_back,
        moments_before_1970_and_out_of_all_years_are_written,
        durations_of_both_spellings,
        malformed_durations_are_refused,
        clocks_run_forward,
    };
    return CHECK_MAIN("runtime/clock", tests);
}
