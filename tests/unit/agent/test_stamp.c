#include "agent/stamp.h"

#include <check.h>
#include <string.h>
#include <time.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/fake_port.h"

static struct fake fake;

START_TEST(a_guid_is_random_and_of_version_four)
{
    char first[PICKET_GUID_SIZE], second[PICKET_GUID_SIZE];

    fake_init(&fake);
    picket_guid_make(&fake.port, first);
    picket_guid_make(&fake.port, second);
    ck_assert(picket_guid_valid(first, strlen(first)));
    ck_assert(picket_guid_valid(second, strlen(second)));
    ck_assert_str_ne(first, second);
    ck_assert_int_eq(first[14], '4');
    ck_assert_ptr_nonnull(strchr("89ab", first[19]));
}
END_TEST

START_TEST(what_is_no_guid_is_told)
{
    static const char *const wrong[] = {"", "d61da809-9e6f-40ef-ba7a-e7a296f832a", "d61da809-9e6f-40ef-ba7a-e7a296f832a80",
                                        "d61da809x9e6f-40ef-ba7a-e7a296f832a8", "D61da809-9e6f-40ef-ba7a-e7a296f832a8",
                                        "d61da809-9e6f-40ef-ba7ae-7a296f832a8"};

    ck_assert(picket_guid_valid("d61da809-9e6f-40ef-ba7a-e7a296f832a8", 36));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!picket_guid_valid(wrong[i], strlen(wrong[i])), "%s", wrong[i]);
}
END_TEST

/* Each day of the first four hundred years, after which the calendar repeats, and some of the later ones. */
START_TEST(days_until_9999_are_as_the_c_library_has_them)
{
    char text[PICKET_TIME_SIZE], expected[PICKET_TIME_SIZE];

    for (int64_t s = 0; s < INT64_C(253402300800); s += s < INT64_C(13569465600) ? 86400 / 2 + 17 : 20 * 86400 + 17) {
        time_t moment = (time_t)s;
        struct tm utc;
        ck_assert_ptr_nonnull(gmtime_r(&moment, &utc));
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.007Z", &utc);
        picket_time_print_utc(s * 1000 + 7, text);
        ck_assert_str_eq(text, expected);
    }
}
END_TEST

START_TEST(local_time_bears_its_offset)
{
    char text[PICKET_TIME_SIZE];

    picket_time_print_local(INT64_C(1533895281000), 7200, text);
    ck_assert_str_eq(text, "2018-08-10T12:01:21.000+02:00");
    picket_time_print_local(INT64_C(1533895281000), -12600, text);
    ck_assert_str_eq(text, "2018-08-10T06:31:21.000-03:30");
    picket_time_print_local(INT64_C(1533895281000), 0, text);
    ck_assert_str_eq(text, "2018-08-10T10:01:21.000+00:00");
}
END_TEST

START_TEST(a_mad_clock_is_shown_at_the_end_of_what_can_be_shown)
{
    char text[PICKET_TIME_SIZE];

    picket_time_print_utc(INT64_MAX, text);
    ck_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
    picket_time_print_utc(INT64_MIN, text);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    picket_time_print_local(INT64_MAX, 50400, text);
    ck_assert_str_eq(text, "9999-12-31T23:59:59.999+14:00");
    picket_time_print_local(INT64_MIN, -50400, text);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000-14:00");
}
END_TEST

START_TEST(numbers_are_printed_and_read_back)
{
    static const uint64_t numbers[] = {0, 1, 9, 10, 99, 100, 4294967296, INT64_MAX, UINT64_MAX};
    char text[PICKET_NUMBER_SIZE];

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t read = 7;
        size_t count = picket_number_print(numbers[i], text);
        ck_assert_uint_eq(count, strlen(text));
        ck_assert(picket_number_read(text, count, &read));
        ck_assert_uint_eq(read, numbers[i]);
    }
}
END_TEST

START_TEST(what_is_no_number_leaves_the_output_alone)
{
    static const char *const wrong[] = {"", "-1", "+1", " 1", "1 ", "1.0", "18446744073709551616", "0x1"};
    uint64_t read = 7;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!picket_number_read(wrong[i], strlen(wrong[i]), &read), "%s", wrong[i]);
    ck_assert_uint_eq(read, 7);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_guid_is_random_and_of_version_four,
        what_is_no_guid_is_told,
        days_until_9999_are_as_the_c_library_has_them,
        local_time_bears_its_offset,
        a_mad_clock_is_shown_at_the_end_of_what_can_be_shown,
        numbers_are_printed_and_read_back,
        what_is_no_number_leaves_the_output_alone,
    };

    return CHECK_MAIN("agent/stamp", tests);
}
