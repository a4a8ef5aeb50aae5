#include "store/details.h"

#include <jansson.h>

#include "tests/unit/store/fixture.h"

#define DOCUMENTS 2000
#define NUMBERS_AS_REALS (JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES)

/* Stores the values as a row each and gives what picket.json_text() makes of them. */
static struct db_rows *read_back(const struct details *details, size_t count)
{
    static const char statement[] =
        "SELECT picket.json_text(value, key_order) FROM unnest($1::jsonb[], $2::bytea[]) AS t (value, key_order)";
    struct buf values, orders, hex;
    struct db_rows *rows = NULL;

    buf_init(&values, SIZE_MAX - 1);
    buf_init(&orders, SIZE_MAX - 1);
    buf_init(&hex, SIZE_MAX - 1);
    db_array_open(&values);
    db_array_open(&orders);
    for (size_t i = 0; i < count; i++) {
        struct text order = details[i].key_order;
        db_array_text(&values, details[i].text);
        buf_clear(&hex);
        buf_string(&hex, "\\x");
        for (size_t byte = 0; byte < order.count; byte++)
            buf_format(&hex, "%02x", (unsigned char)order.bytes[byte]);
        db_array_text(&orders, order.bytes ? buf_as_text(&hex) : TEXT_NONE);
    }
    db_array_close(&values);
    db_array_close(&orders);
    const char *const parameters[] = {values.bytes, orders.bytes};
    must(db_query(fixture.store, statement, parameters, 2, SQL_MS, &rows, &why));
    buf_done(&hex);
    buf_done(&orders);
    buf_done(&values);
    ck_assert_uint_eq(db_rows_count(rows), count);
    return rows;
}

static struct details details_of(const char *source)
{
    struct details_writer writer;
    struct details details;
    struct json_node *node = NULL;

    must(json_tree_read(text_of(source), PICKET_JSON_DEPTH_LIMIT, &fixture.arena, &node, &why));
    details_writer_init(&writer);
    details_write(&writer, node, &fixture.arena, &details);
    details_writer_done(&writer);
    return details;
}

static const char *round_trip(const char *source)
{
    const struct details details = details_of(source);
    struct db_rows *rows = read_back(&details, 1);
    const char *text = arena_string(&fixture.arena, db_text(rows, 0, 0));

    db_rows_free(rows);
    return text;
}

START_TEST(the_senders_order_comes_back_without_blanks)
{
    static const char *const cases[][2] = {
        {"{ \"b\" : 1 , \"aa\" : 2 , \"a\" : [ 1 , { \"y\" : 1 , \"x\" : { } } ] }",
         "{\"b\":1,\"aa\":2,\"a\":[1,{\"y\":1,\"x\":{}}]}"},
        {"{\"a\":\"  kept \"}", "{\"a\":\"  kept \"}"},
        {"[]", "[]"},
        {"null", "null"},
        {"\"x\"", "\"x\""},
        {"{\"\":1,\" \":2,\"\\\"\":3}", "{\"\":1,\" \":2,\"\\\"\":3}"},
        {"{\"z\":1,\"z\":2,\"a\":3}", "{\"z\":2,\"a\":3}"},
        {"{\"p\":\"\\/usr\\/bin\"}", "{\"p\":\"/usr/bin\"}"},
        {"{\"n\":\"a\\u0000b\"}", "{\"n\":\"a\xef\xbf\xbd" "b\"}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_str_eq(round_trip(cases[i][0]), cases[i][1]);
}
END_TEST

START_TEST(numbers_keep_every_digit)
{
    static const char *const numbers[] = {"0", "-7", "12345678901234567890123", "1.50", "0.1000000000000000055511151231257827",
                                          "9007199254740993", "-0.000001"};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ck_assert_str_eq(round_trip(numbers[i]), numbers[i]);
    ck_assert_str_eq(round_trip("1e2"), "100"); /* the value, not the spelling */
    ck_assert_str_eq(round_trip("[1e400]"), "[\"1e400\"]");
    ck_assert_uint_eq(strlen(round_trip("1e300")), 301);
}
END_TEST

START_TEST(key_order_is_left_out_where_it_is_jsonbs_own)
{
    ck_assert_none(details_of("{\"a\":1,\"b\":{\"c\":1,\"dd\":2}}").key_order);
    ck_assert_none(details_of("[1,2]").key_order);
    struct text order = details_of("{\"b\":1,\"a\":{\"d\":1,\"c\":2,\"e\":{\"only\":1}}}").key_order;
    ck_assert_uint_eq(order.count, 5);
    ck_assert_mem_eq(order.bytes, "\x01\x00\x01\x00\x02", 5);
}
END_TEST

static const char *many_members(unsigned count)
{
    struct buf source;

    buf_init(&source, SIZE_MAX - 1);
    buf_byte(&source, '{');
    for (unsigned i = 0; i < count; i++) /* 7919 is prime: a scattered order */
        buf_format(&source, "%s\"%u\":%u", i ? "," : "", (unsigned)((uint64_t)i * 7919 % count), i % 10);
    buf_byte(&source, '}');
    const char *text = arena_string(&fixture.arena, buf_as_text(&source));
    buf_done(&source);
    return text;
}

START_TEST(order_holds_on_both_sides_of_the_one_byte_rank)
{
    static const unsigned counts[] = {255, 256, 257, 300, 2000};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const char *source = many_members(counts[i]);
        ck_assert_str_eq(round_trip(source), source);
        const char *nested = arena_format(&fixture.arena, "[{\"z\":%s,\"a\":1},{\"y\":2,\"b\":3}]", source);
        ck_assert_str_eq(round_trip(nested), nested);
    }
}
END_TEST

START_TEST(an_object_beyond_all_ranks_keeps_its_values_and_says_that_the_order_is_lost)
{
    struct details details = details_of(many_members(DETAILS_MEMBERS_MAX + 1));

    ck_assert(details.order_lost);
    ck_assert_none(details.key_order);
    ck_assert(!details_of(many_members(1000)).order_lost);
}
END_TEST

/* A random document, in the source's words: blanks, escapes and all. */
static void document_write(struct dice *dice, unsigned depth, struct buf *out);

static void blanks_write(struct dice *dice, struct buf *out)
{
    for (uint32_t i = dice_roll(dice, 6); i > 3; i--)
        buf_byte(out, " \n\t\r"[dice_roll(dice, 4)]);
}

static void string_write(struct dice *dice, struct buf *out)
{
    static const char *const pieces[] = {"a", "B", "key", " ", "\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\u001f", "\\u0008",
                                         "\xc3\xa9", "\xe2\x82\xac", "\\ud83d\\ude00", "\xf0\x9f\x98\x80", "\x7f", "{", "'", "\\t"};

    for (uint32_t i = dice_roll(dice, 6); i > 0; i--)
        buf_string(out, pieces[dice_roll(dice, sizeof pieces / sizeof *pieces)]);
}

static void number_write(struct dice *dice, struct buf *out)
{
    if (dice_roll(dice, 2))
        buf_byte(out, '-');
    buf_format(out, "%u", 1 + dice_roll(dice, 1000000));
    if (dice_roll(dice, 2))
        buf_format(out, ".%u", dice_roll(dice, 1000));
    if (dice_roll(dice, 4) == 0)
        buf_format(out, "%s%u", dice_roll(dice, 2) ? "e-" : "E+", dice_roll(dice, 20));
}

static void members_write(struct dice *dice, unsigned depth, bool object, struct buf *out)
{
    static const uint32_t sizes[] = {0, 1, 2, 3, 5, 8, 17, 40};
    uint32_t count = sizes[dice_roll(dice, depth > 0 ? 4 : sizeof sizes / sizeof *sizes)];

    buf_byte(out, object ? '{' : '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buf_byte(out, ',');
        blanks_write(dice, out);
        if (object) { /* the number makes names of one object differ */
            buf_byte(out, '"');
            string_write(dice, out);
            buf_format(out, "%u\"", (i * 7919 + 13) % 1009);
            blanks_write(dice, out);
            buf_byte(out, ':');
        }
        document_write(dice, depth + 1, out);
        blanks_write(dice, out);
    }
    buf_byte(out, object ? '}' : ']');
}

static void document_write(struct dice *dice, unsigned depth, struct buf *out)
{
    static const char *const words[] = {"true", "false", "null"};
    uint32_t kind = dice_roll(dice, depth > 4 ? 3 : 8);

    blanks_write(dice, out);
    if (kind == 0) {
        buf_byte(out, '"');
        string_write(dice, out);
        buf_byte(out, '"');
    } else if (kind == 1) {
        number_write(dice, out);
    } else if (kind == 2) {
        buf_string(out, words[dice_roll(dice, 3)]);
    } else {
        members_write(dice, depth, kind != 3, out);
    }
}

static bool blank_outside_strings(const char *text)
{
    bool inside = false;

    for (; *text; text++) {
        if (inside && *text == '\\')
            text++;
        else if (*text == '"')
            inside = !inside;
        else if (!inside && strchr(" \n\t\r", *text))
            return true;
    }
    return false;
}

/* What jansson reads, printed in the order of its members. */
static char *oracle_text(const char *source)
{
    json_error_t error;
    json_t *value = json_loads(source, NUMBERS_AS_REALS, &error);

    ck_assert_msg(value != NULL, "%s: %s", error.text, source);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    return text;
}

START_TEST(any_document_comes_back_with_its_order_and_its_values)
{
    struct details *details = ARENA_ARRAY(&fixture.arena, struct details, DOCUMENTS);
    const char **sources = ARENA_ARRAY(&fixture.arena, const char *, DOCUMENTS);
    struct dice dice = {2026};
    struct buf source;
    size_t reordered = 0;

    buf_init(&source, SIZE_MAX - 1);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        buf_clear(&source);
        document_write(&dice, 0, &source);
        sources[i] = arena_string(&fixture.arena, buf_as_text(&source));
        details[i] = details_of(sources[i]);
        reordered += details[i].key_order.bytes != NULL;
    }
    buf_done(&source);
    ck_assert_uint_gt(reordered, DOCUMENTS / 4);
    struct db_rows *rows = read_back(details, DOCUMENTS);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        const char *back = db_text(rows, i, 0).bytes;
        char *expected = oracle_text(sources[i]), *found = oracle_text(back);
        ck_assert_msg(strcmp(expected, found) == 0, "%s\ncame back as\n%s", sources[i], back);
        ck_assert_msg(!blank_outside_strings(back), "%s", back);
        free(found);
        free(expected);
    }
    db_rows_free(rows);
}
END_TEST

START_TEST(chosen_members_are_an_object_of_their_own)
{
    struct details_writer writer;
    struct json_node *node = NULL;

    must(json_tree_read(TEXT("{\"a\":1,\"b\":{\"y\":[2],\"x\":null},\"c\":\"\\n\"}"), 8, &fixture.arena, &node, &why));
    const struct json_node *const members[] = {node->first->next, node->first->next->next};
    details_writer_init(&writer);
    ck_assert_text_eq(details_write_members(&writer, members, 2, &fixture.arena),
                      "{\"b\":{\"y\":[2],\"x\":null},\"c\":\"\\u000a\"}");
    ck_assert_text_eq(details_write_members(&writer, members, 0, &fixture.arena), "{}");
    details_writer_done(&writer);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_senders_order_comes_back_without_blanks,
        numbers_keep_every_digit,
        key_order_is_left_out_where_it_is_jsonbs_own,
        order_holds_on_both_sides_of_the_one_byte_rank,
        an_object_beyond_all_ranks_keeps_its_values_and_says_that_the_order_is_lost,
        any_document_comes_back_with_its_order_and_its_values,
        chosen_members_are_an_object_of_their_own,
    };
    return FIXTURE_MAIN("store/details", tests);
}
