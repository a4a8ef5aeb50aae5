#include "wire/json_writer.h"

#include <check.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check_main.h"

static char out[4096];
static struct picket_json_writer writer;

static void begin(void)
{
    picket_json_write_init(&writer, out, sizeof out);
}

static void assert_written(const char *expected)
{
    size_t count = picket_json_written(&writer);

    ck_assert_uint_eq(count, strlen(expected));
    ck_assert_mem_eq(out, expected, count);
}

static void write_sample(struct picket_json_writer *to)
{
    picket_json_open_object(to);
    picket_json_write_name(to, "Events");
    picket_json_open_array(to);
    picket_json_write_int(to, -1);
    picket_json_open_object(to);
    picket_json_close_object(to);
    picket_json_write_terminated(to, "a\"b");
    picket_json_close_array(to);
    picket_json_write_name(to, "IsEmpty");
    picket_json_write_bool(to, false);
    picket_json_write_name(to, "Nothing");
    picket_json_write_null(to);
    picket_json_write_name(to, "Raw");
    picket_json_write_raw(to, "[1]", 3);
    picket_json_close_object(to);
}

START_TEST(items_are_separated_and_nothing_is_padded)
{
    begin();
    write_sample(&writer);
    assert_written("{\"Events\":[-1,{},\"a\\\"b\"],\"IsEmpty\":false,\"Nothing\":null,\"Raw\":[1]}");
}
END_TEST

START_TEST(every_byte_becomes_legal_json)
{
    json_error_t error;

    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second += 5) {
            char bytes[3] = {(char)first, (char)second, 'x'};
            begin();
            picket_json_open_array(&writer);
            picket_json_write_string(&writer, bytes, sizeof bytes);
            picket_json_close_array(&writer);
            json_t *read = json_loadb(out, picket_json_written(&writer), JSON_ALLOW_NUL, &error);
            ck_assert_msg(read != NULL, "%02x %02x: %s", first, second, error.text);
            if (first < 0x80 && second < 0x80) {
                json_t *text = json_array_get(read, 0);
                ck_assert_uint_eq(json_string_length(text), sizeof bytes);
                ck_assert_mem_eq(json_string_value(text), bytes, sizeof bytes);
            }
            json_decref(read);
        }
    }
}
END_TEST

START_TEST(text_is_kept_and_broken_text_is_marked)
{
    static const struct {
        const char *bytes, *json;
    } cases[] = {
        {"", "\"\""},
        {"/usr/bin", "\"/usr/bin\""},
        {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"a\xff" "b", "\"a\xef\xbf\xbd" "b\""},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        picket_json_write_terminated(&writer, cases[i].bytes);
        assert_written(cases[i].json);
    }
}
END_TEST

START_TEST(integers_are_exact_to_their_ends)
{
    begin();
    picket_json_open_array(&writer);
    picket_json_write_int(&writer, INT64_MIN);
    picket_json_write_int(&writer, 0);
    picket_json_write_int(&writer, INT64_MAX);
    picket_json_close_array(&writer);
    assert_written("[-9223372036854775808,0,9223372036854775807]");
}
END_TEST

START_TEST(a_buffer_one_byte_short_fails_and_is_never_overrun)
{
    begin();
    write_sample(&writer);
    size_t whole = picket_json_written(&writer);

    for (size_t size = 0; size <= whole; size++) {
        struct picket_json_writer small;
        char *room = malloc(size ? size : 1);
        picket_json_write_init(&small, room, size);
        write_sample(&small);
        ck_assert_uint_eq(picket_json_written(&small), size == whole ? whole : 0);
        free(room);
    }
}
END_TEST

START_TEST(a_document_still_open_is_not_written)
{
    begin();
    picket_json_open_object(&writer);
    ck_assert_uint_eq(picket_json_written(&writer), 0);
    picket_json_close_object(&writer);
    assert_written("{}");
}
END_TEST

static void name_at_the_top(void) { picket_json_write_name(&writer, "a"); }
static void close_at_the_top(void) { picket_json_close_object(&writer); }
static void two_documents(void)
{
    picket_json_write_null(&writer);
    picket_json_write_null(&writer);
}
static void value_without_name(void)
{
    picket_json_open_object(&writer);
    picket_json_write_null(&writer);
    picket_json_close_object(&writer);
}
static void name_in_an_array(void)
{
    picket_json_open_array(&writer);
    picket_json_write_name(&writer, "a");
    picket_json_write_null(&writer);
    picket_json_close_array(&writer);
}
static void name_after_name(void)
{
    picket_json_open_object(&writer);
    picket_json_write_name(&writer, "a");
    picket_json_write_name(&writer, "b");
    picket_json_write_null(&writer);
    picket_json_close_object(&writer);
}
static void name_without_value(void)
{
    picket_json_open_object(&writer);
    picket_json_write_name(&writer, "a");
    picket_json_close_object(&writer);
}
static void wrong_bracket(void)
{
    picket_json_open_object(&writer);
    picket_json_close_array(&writer);
}
static void empty_raw(void) { picket_json_write_raw(&writer, "", 0); }
static void too_deep(void)
{
    for (int i = 0; i <= PICKET_JSON_WRITE_DEPTH_MAX; i++)
        picket_json_open_array(&writer);
    for (int i = 0; i <= PICKET_JSON_WRITE_DEPTH_MAX; i++)
        picket_json_close_array(&writer);
}

START_TEST(calls_out_of_place_are_remembered_as_a_failure)
{
    static void (*const mistakes[])(void) = {name_at_the_top,  close_at_the_top, two_documents,      value_without_name,
                                             name_in_an_array, name_after_name,  name_without_value, wrong_bracket,
                                             empty_raw,        too_deep};

    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        begin();
        mistakes[i]();
        ck_assert_msg(picket_json_written(&writer) == 0, "mistake %zu", i);
    }
}
END_TEST

START_TEST(the_deepest_nesting_allowed_is_written)
{
    json_error_t error;

    begin();
    for (int i = 0; i < PICKET_JSON_WRITE_DEPTH_MAX; i++) {
        if (i % 2) {
            picket_json_open_object(&writer);
            picket_json_write_name(&writer, "n");
        } else {
            picket_json_open_array(&writer);
        }
    }
    picket_json_write_null(&writer);
    for (int i = PICKET_JSON_WRITE_DEPTH_MAX - 1; i >= 0; i--) {
        if (i % 2)
            picket_json_close_object(&writer);
        else
            picket_json_close_array(&writer);
    }
    json_t *read = json_loadb(out, picket_json_written(&writer), 0, &error);
    ck_assert_ptr_nonnull(read);
    json_decref(read);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        items_are_separated_and_nothing_is_padded,
        every_byte_becomes_legal_json,
        text_is_kept_and_broken_text_is_marked,
        integers_are_exact_to_their_ends,
        a_buffer_one_byte_short_fails_and_is_never_overrun,
        a_document_still_open_is_not_written,
        calls_out_of_place_are_remembered_as_a_failure,
        the_deepest_nesting_allowed_is_written,
    };

    return CHECK_MAIN("wire/json_writer", tests);
}
