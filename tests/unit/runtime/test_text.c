#include "runtime/text.h"

#include <stdlib.h>

#include "tests/support/check_main.h"

START_TEST(empty_and_absent_are_equal_in_content)
{
    ck_assert(text_equal(TEXT(""), TEXT_NONE));
    ck_assert_uint_eq(text_of(NULL).count, 0);
    ck_assert_ptr_null(text_of(NULL).bytes);
}
END_TEST

START_TEST(only_ascii_letters_lose_their_case)
{
    ck_assert(text_equal_nocase(TEXT("Content-Type"), TEXT("cONTENT-tYPE")));
    ck_assert(!text_equal_nocase(TEXT("a@"), TEXT("a`")));
    ck_assert(!text_equal_nocase(TEXT("a"), TEXT("ab")));
    ck_assert(!text_equal_nocase(TEXT("\xc3\x84"), TEXT("\xc3\xa4")));
}
END_TEST

START_TEST(starts_ends_and_finds)
{
    ck_assert(text_starts(TEXT("kafka_brokers"), TEXT("kafka_")));
    ck_assert(!text_starts(TEXT("kaf"), TEXT("kafka_")));
    ck_assert(text_ends(TEXT("roster.json"), TEXT(".json")));
    ck_assert(!text_ends(TEXT("json"), TEXT(".json")));
    ck_assert(text_starts(TEXT_NONE, TEXT_NONE));
    ck_assert(text_ends(TEXT_NONE, TEXT("")));
    ck_assert_uint_eq(text_find(TEXT("a=b=c"), '='), 1);
    ck_assert_uint_eq(text_find(TEXT("abc"), '='), 3);
    ck_assert_uint_eq(text_find(TEXT_NONE, '='), 0);
}
END_TEST

START_TEST(cut_tells_nothing_after_from_no_separator)
{
    struct text head, rest = text_cut(TEXT("a;b"), ';', &head);

    ck_assert(text_equal(head, TEXT("a")));
    ck_assert(text_equal(rest, TEXT("b")));
    rest = text_cut(TEXT("a;"), ';', &head);
    ck_assert_ptr_nonnull(rest.bytes);
    ck_assert_uint_eq(rest.count, 0);
    rest = text_cut(TEXT("a"), ';', &head);
    ck_assert(text_equal(head, TEXT("a")));
    ck_assert_ptr_null(rest.bytes);
}
END_TEST

START_TEST(trim_takes_blanks_at_both_ends_only)
{
    ck_assert(text_equal(text_trim(TEXT(" \t a b\r\n")), TEXT("a b")));
    ck_assert_uint_eq(text_trim(TEXT("  ")).count, 0);
    ck_assert_uint_eq(text_trim(TEXT_NONE).count, 0);
}
END_TEST

START_TEST(numbers_are_digits_within_range_or_nothing)
{
    static const char *const wrong[] = {
        "", "-", "+1", " 1", "1 ", "0x1", "1e3", "--1", "99999999999999999999"};
    uint64_t natural = 7;
    int64_t whole = 7;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(!text_to_u64(text_of(wrong[i]), &natural), "%s", wrong[i]);
        ck_assert_msg(!text_to_i64(text_of(wrong[i]), &whole), "%s", wrong[i]);
    }
    ck_assert(!text_to_u64(TEXT("-1"), &natural));
    ck_assert(!text_to_u64(TEXT("18446744073709551616"), &natural));
    ck_assert(!text_to_i64(TEXT("9223372036854775808"), &whole));
    ck_assert(!text_to_i64(TEXT("-9223372036854775809"), &whole));
    ck_assert_uint_eq(natural, 7);
    ck_assert_int_eq(whole, 7);
    ck_assert(text_to_u64(TEXT("18446744073709551615"), &natural) && natural == UINT64_MAX);
    ck_assert(text_to_i64(TEXT("9223372036854775807"), &whole) && whole == INT64_MAX);
    ck_assert(text_to_i64(TEXT("-9223372036854775808"), &whole) && whole == INT64_MIN);
    ck_assert(text_to_i64(TEXT("-0"), &whole) && whole == 0);
}
END_TEST

START_TEST(percent_escapes_are_undone_or_refused)
{
    char out[8];
    size_t count = 0;

    ck_assert(text_percent_decode(TEXT("a%2Fb%2f+%00"), out, sizeof out, &count));
    ck_assert_uint_eq(count, 6);
    ck_assert_mem_eq(out, "a/b/+\0", 6);
    ck_assert(!text_percent_decode(TEXT("%"), out, sizeof out, &count));
    ck_assert(!text_percent_decode(TEXT("%2"), out, sizeof out, &count));
    ck_assert(!text_percent_decode(TEXT("%2g"), out, sizeof out, &count));
    ck_assert(!text_percent_decode(TEXT("123456789"), out, sizeof out, &count));
    ck_assert_uint_eq(count, 6);
}
END_TEST

START_TEST(percent_escapes_can_be_undone_in_place)
{
    char path[] = "%61%62c%64";
    size_t count = 0;

    ck_assert(text_percent_decode(text_of(path), path, strlen(path), &count));
    ck_assert_uint_eq(count, 4);
    ck_assert_mem_eq(path, "abcd", 4);
}
END_TEST

START_TEST(base64_comes_back_for_every_length)
{
    uint8_t bytes[67], back[67];
    char encoded[TEXT_BASE64_SIZE(sizeof bytes)];

    for (size_t count = 0; count <= sizeof bytes; count++) {
        size_t got = 0;
        for (size_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)(i * 37 + count * 11);
        text_base64_encode(bytes, count, encoded);
        ck_assert_uint_eq(strlen(encoded) + 1, TEXT_BASE64_SIZE(count));
        ck_assert(text_base64_decode(text_of(encoded), back, count, &got));
        ck_assert_uint_eq(got, count);
        ck_assert_mem_eq(back, bytes, count);
        if (count)
            ck_assert(!text_base64_decode(text_of(encoded), back, count - 1, &got));
    }
}
END_TEST

START_TEST(base64_of_rfc_4648)
{
    static const char *const pairs[][2] = {
        {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    char encoded[16];

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        text_base64_encode((const uint8_t *)pairs[i][0], strlen(pairs[i][0]), encoded);
        ck_assert_str_eq(encoded, pairs[i][1]);
    }
}
END_TEST

START_TEST(malformed_base64_is_refused)
{
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "====", "=g==", "Zm9=", "Zh==", "Zm 8", "Zm8=\n", "Z-_v"};
    uint8_t out[16];
    size_t count = 99;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!text_base64_decode(text_of(wrong[i]), out, sizeof out, &count), "%s", wrong[i]);
    ck_assert_uint_eq(count, 99);
}
END_TEST

START_TEST(hex_comes_back_and_wrong_lengths_are_refused)
{
    const uint8_t bytes[] = {0x00, 0x0f, 0xa5, 0xff};
    uint8_t back[4] = {1, 2, 3, 4};
    char encoded[9];

    text_hex_encode(bytes, sizeof bytes, encoded);
    ck_assert_str_eq(encoded, "000fa5ff");
    ck_assert(!text_hex_decode(TEXT("000fa5f"), back, 4));
    ck_assert(!text_hex_decode(TEXT("000fa5ff0"), back, 4));
    ck_assert(!text_hex_decode(TEXT("000fa5fg"), back, 4));
    ck_assert_uint_eq(back[0], 1);
    ck_assert(text_hex_decode(TEXT("000Fa5fF"), back, 4));
    ck_assert_mem_eq(back, bytes, 4);
}
END_TEST

static size_t encode(uint32_t point, unsigned char out[4])
{
    if (point < 0x80) {
        out[0] = (unsigned char)point;
        return 1;
    }
    size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, point >>= 6)
        out[i] = (unsigned char)(0x80 | (point & 0x3f));
    out[0] = (unsigned char)(marks[length] | point);
    return length;
}

START_TEST(every_code_point_but_surrogates_is_valid_utf8)
{
    for (uint32_t point = 0; point < 0x110800; point++) {
        unsigned char bytes[4];
        size_t length = encode(point, bytes);
        bool valid = point < 0x110000 && !(point >= 0xd800 && point < 0xe000);
        struct text text = {(const char *)bytes, length};
        if (text_utf8_valid(text) != valid || text_utf8_sequence(text) != (valid ? length : 0))
            ck_abort_msg("U+%04X", point);
    }
}
END_TEST

START_TEST(overlong_cut_and_stray_bytes_are_not_utf8)
{
    static const char *const wrong[] = {
        "\x80",         "\xbf",     "\xc0\xaf",         "\xc1\xbf",     "\xc3",
        "\xe0\x9f\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98", "\xf5\x80\x80\x80",
        "\xff",         "\xc3\xc3", "\xe2\x28\xa1",     "\xe2\x82\x28", "\xf0\x9f\x98\x28"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(!text_utf8_valid(text_of(wrong[i])), "%zu", i);
        ck_assert_uint_eq(text_utf8_sequence(text_of(wrong[i])), 0);
    }
    ck_assert(text_utf8_valid(TEXT_NONE));
}
END_TEST

START_TEST(bad_byte_is_seen_at_every_position)
{
    /* The heap, so that the address sanitizer sees a word read past the end. */
    for (size_t count = 1; count < 40; count++) {
        char *bytes = malloc(count);
        memset(bytes, 'a', count);
        ck_assert(text_utf8_valid((struct text){bytes, count}));
        for (size_t at = 0; at < count; at++) {
            bytes[at] = '\xff';
            ck_assert(!text_utf8_valid((struct text){bytes, count}));
            bytes[at] = 'a';
        }
        free(bytes);
    }
}
END_TEST

START_TEST(a_star_is_like_anything_however_many_there_are)
{
    static const struct {
        const char *whole, *pattern;
        bool like;
    } cases[] = {{"", "", true},          {"", "*", true},        {"a", "", false},       {"abc", "abc", true},   {"abc", "ab", false},
                 {"abc", "a*", true},     {"abc", "*c", true},    {"abc", "*b*", true},   {"abc", "a*c*", true},  {"abcbc", "*bc", true},
                 {"abcb", "*bc", false},  {"aXbXc", "a*b*c", true}, {"ab", "a**b", true}, {"a", "A", false},      {"aaab", "*a*a*a*a*b", false}};
    char many[200], stars[120];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(text_like(text_of(cases[i].whole), text_of(cases[i].pattern)) == cases[i].like, "%s %s", cases[i].whole, cases[i].pattern);
    memset(many, 'a', sizeof many);
    for (size_t i = 0; i < sizeof stars; i++)
        stars[i] = i % 2 ? 'a' : '*';
    stars[sizeof stars - 1] = 'b'; /* in vain, by more ways than can be tried */
    ck_assert(!text_like((struct text){many, sizeof many}, (struct text){stars, sizeof stars}));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        empty_and_absent_are_equal_in_content,
        only_ascii_letters_lose_their_case,
        starts_ends_and_finds,
        a_star_is_like_anything_however_many_there_are,
        cut_tells_nothing_after_from_no_separator,
        trim_takes_blanks_at_both_ends_only,
        numbers_are_digits_within_range_or_nothing,
        percent_escapes_are_undone_or_refused,
        percent_escapes_can_be_undone_in_place,
        base64_comes_back_for_every_length,
        base64_of_rfc_4648,
        malformed_base64_is_refused,
        hex_comes_back_and_wrong_lengths_are_refused,
        every_code_point_but_surrogates_is_valid_utf8,
        overlong_cut_and_stray_bytes_are_not_utf8,
        bad_byte_is_seen_at_every_position,
    };
    return CHECK_MAIN("runtime/text", tests);
}
