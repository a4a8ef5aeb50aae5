#include "runtime/buf.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "tests/support/check_main.h"

static struct buf buf;

static void teardown(void)
{
    buf_done(&buf);
}

/* What `bytes` become as a JSON string. */
static const char *escaped(struct text bytes)
{
    buf_done(&buf);
    buf_init(&buf, 100000);
    buf_json_string(&buf, bytes);
    return buf.bytes;
}

START_TEST(appended_pieces_stand_in_order_and_are_terminated)
{
    buf_init(&buf, 1000);
    ck_assert_uint_eq(buf_as_text(&buf).count, 0);
    ck_assert_ptr_nonnull(buf_as_text(&buf).bytes);
    buf_string(&buf, "a");
    buf_byte(&buf, 'b');
    buf_text(&buf, TEXT("cd"));
    buf_text(&buf, TEXT_NONE);
    buf_append(&buf, "ef\0", 3);
    buf_format(&buf, "%d-%s", 7, "x");
    ck_assert_uint_eq(buf.count, 10);
    ck_assert_mem_eq(buf.bytes,
                     "abcdef\0"
                     "7-x",
                     11);
    ck_assert(!buf_failed(&buf));
}
END_TEST

START_TEST(everything_up_to_the_maximum_fits_and_one_more_fails)
{
    buf_init(&buf, 300);
    for (int i = 0; i < 300; i++)
        buf_byte(&buf, 'x');
    ck_assert(!buf_failed(&buf));
    ck_assert_uint_eq(buf.count, 300);
    buf_byte(&buf, 'y');
    ck_assert(buf_failed(&buf));
    ck_assert_uint_eq(buf.count, 300);
}
END_TEST

START_TEST(failure_is_remembered_until_cleared)
{
    buf_init(&buf, 4);
    buf_string(&buf, "ab");
    buf_string(&buf, "too long");
    buf_byte(&buf, 'c'); /* would fit, but there is a hole before it */
    ck_assert(buf_failed(&buf));
    ck_assert_str_eq(buf.bytes, "ab");
    buf_clear(&buf);
    buf_string(&buf, "abcd");
    ck_assert(!buf_failed(&buf));
    ck_assert_str_eq(buf.bytes, "abcd");
}
END_TEST

START_TEST(maximum_of_nothing_takes_nothing)
{
    buf_init(&buf, 0);
    buf_text(&buf, TEXT(""));
    ck_assert(!buf_failed(&buf));
    buf_byte(&buf, 'a');
    ck_assert(buf_failed(&buf));
}
END_TEST

START_TEST(long_formats_are_whole)
{
    char *word = malloc(5000);

    memset(word, 'w', 4999);
    word[4999] = '\0';
    buf_init(&buf, 10000);
    buf_format(&buf, "<%s>", word);
    ck_assert_uint_eq(buf.count, 5001);
    ck_assert_int_eq(buf.bytes[5000], '>');
    buf_format(&buf, "<%s>", word);
    ck_assert(buf_failed(&buf));
    ck_assert_uint_eq(buf.count, 5001);
    free(word);
}
END_TEST

START_TEST(numbers_are_written_to_the_last_digit)
{
    static const int64_t numbers[] = {0, 7, -7, 1000000, INT64_MAX, INT64_MIN};
    char expected[32];

    buf_init(&buf, 100);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        buf_clear(&buf);
        buf_i64(&buf, numbers[i]);
        snprintf(expected, sizeof expected, "%" PRId64, numbers[i]);
        ck_assert_str_eq(buf.bytes, expected);
    }
}
END_TEST

START_TEST(room_can_be_filled_in_place)
{
    buf_init(&buf, 1000);
    buf_string(&buf, "head ");
    char *room = buf_room(&buf, 900);
    ck_assert_ptr_nonnull(room);
    memcpy(room, "tail", 4);
    buf_grown(&buf, 4);
    ck_assert_str_eq(buf.bytes, "head tail");
    ck_assert_ptr_null(buf_room(&buf, 992));
    ck_assert(buf_failed(&buf));
}
END_TEST

START_TEST(json_escapes_what_rfc_8259_says)
{
    ck_assert_str_eq(escaped(TEXT("")), "\"\"");
    ck_assert_str_eq(escaped(TEXT_NONE), "\"\"");
    ck_assert_str_eq(escaped(TEXT("a\"b\\c/d")), "\"a\\\"b\\\\c/d\"");
    ck_assert_str_eq(escaped(TEXT("\b\f\n\r\t")), "\"\\b\\f\\n\\r\\t\"");
    ck_assert_str_eq(escaped(TEXT("\0\x01\x1f\x7f")), "\"\\u0000\\u0001\\u001f\x7f\"");
    ck_assert_str_eq(escaped(TEXT("\xc3\xa4\xf0\x9f\x98\x80")), "\"\xc3\xa4\xf0\x9f\x98\x80\"");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_become_replacement_characters)
{
    ck_assert_str_eq(escaped(TEXT("a\xff"
                                  "b\xc3")),
                     "\"a\xef\xbf\xbd"
                     "b\xef\xbf\xbd\"");
    ck_assert_str_eq(escaped(TEXT("\xed\xa0\x80")), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}
END_TEST

START_TEST(every_byte_at_every_position_is_read_back_by_a_json_library)
{
    /* Positions and lengths around the eight bytes looked at together. */
    for (int byte = 0; byte < 0x80; byte++)
        for (size_t at = 0; at < 18; at++) {
            char bytes[18];
            json_error_t error;
            memset(bytes, 'a', sizeof bytes);
            bytes[at] = (char)byte;
            escaped((struct text){bytes, sizeof bytes});
            json_t *read = json_loadb(buf.bytes, buf.count, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
            ck_assert_msg(read != NULL, "byte %d: %s", byte, error.text);
            ck_assert_uint_eq(json_string_length(read), sizeof bytes);
            ck_assert_mem_eq(json_string_value(read), bytes, sizeof bytes);
            json_decref(read);
        }
}
END_TEST

START_TEST(json_that_does_not_fit_fails_the_buffer)
{
    buf_init(&buf, 5);
    buf_json_string(&buf, TEXT("abcd"));
    ck_assert(buf_failed(&buf));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        appended_pieces_stand_in_order_and_are_terminated,
        everything_up_to_the_maximum_fits_and_one_more_fails,
        failure_is_remembered_until_cleared,
        maximum_of_nothing_takes_nothing,
        long_formats_are_whole,
        numbers_are_written_to_the_last_digit,
        room_can_be_filled_in_place,
        json_escapes_what_rfc_8259_says,
        bytes_that_are_not_utf8_become_replacement_characters,
        every_byte_at_every_position_is_read_back_by_a_json_library,
        json_that_does_not_fit_fails_the_buffer,
    };
    return check_main(&(const struct check_suite){.name = "runtime/buf",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
