#include "wire/json_reader.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/check_main.h"
#include "tests/support/json_oracle.h"

#define SAMPLE_BYTES_MAX (1024 * 1024)
#define GENERATED 20000
#define GENERATED_BYTES 4096

static const char *const accepted[] = {
    "{}", "[]", "0", "-0", "null", " true ", "false", "\"\"", "\t\r\n[ ]\n",
    "{\"a\":1}", "{ \"a\" : [ 1 , 2.5e-3 , -7E+2 ] , \"b\" : { } }", "[[[[]]]]", "[1,[2,{\"a\":[]}],null]",
    "\"plain text that is longer than sixteen bytes and then some\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "\"\\u0000\"",
    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\x7f\"", "\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"",
    "123456789012345678", "9223372036854775807", "-9223372036854775808", "1e308", "0.1", "1E5", "0e0",
    "{\"a\":1,\"a\":2}", "{\"\":0}", "{\"\\u0061\":1,\"a\":2}",
};

static const char *const rejected[] = {
    " ", "{", "[", "}", "]", "{]", "[}", "[1", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\" 1}", "{\"a\",1}",
    "[1 2]", "[1,]", "[,1]", "{,}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{1:2}", "[1]]", "{}{}", "1 2", "nul", "truE",
    "True", "nan", "Infinity", "-", "+1", "01", "-01", ".5", "1.", "1.e3", "1e", "1e+", "0x10", "1_000", "\"", "\"a",
    "\"\\\"", "\"\\", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\U0041\"", "\"a\nb\"", "\"a\tb\"", "\"\x01\"",
    "\"\x80\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf0\x80\x80\x80\"",
    "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xff\"", "\"\xe2\x82\"", "\"\xf0\x9f\x98", "\xef\xbb\xbf{}", "\xc3\xa9",
    "// c\n1", "[1]//", "/**/1", "[1,\v2]", "[1,\xc2\xa0" "2]",
};

static enum picket_json_kind read_all(struct picket_json_reader *reader, const char *source, size_t count,
                                      unsigned depth_max)
{
    struct picket_json_token token;

    picket_json_init(reader, source, count, depth_max);
    while (picket_json_next(reader, &token) != PICKET_JSON_END && token.kind != PICKET_JSON_ERROR)
        ;
    return token.kind;
}

/* An exact copy on the heap, so that the address sanitizer sees a read past the end. */
static const char *disagreement(const char *source, size_t count)
{
    char *copy = malloc(count ? count : 1);

    memcpy(copy, source, count);
    const char *wrong = json_oracle_disagreement(copy, count);
    free(copy);
    return wrong;
}

START_TEST(legal_documents_are_accepted_with_jansson_values)
{
    struct picket_json_reader reader;

    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        const char *source = accepted[i];
        ck_assert_msg(read_all(&reader, source, strlen(source), 64) == PICKET_JSON_END, "%s: %s", source, reader.error);
        const char *wrong = disagreement(source, strlen(source));
        ck_assert_msg(!wrong, "%s: %s", source, wrong);
    }
}
END_TEST

START_TEST(everything_else_is_rejected_as_jansson_does)
{
    struct picket_json_reader reader;

    for (size_t i = 0; i < sizeof rejected / sizeof *rejected; i++) {
        const char *source = rejected[i];
        ck_assert_msg(read_all(&reader, source, strlen(source), 64) == PICKET_JSON_ERROR, "%s", source);
        ck_assert_ptr_nonnull(reader.error);
        const char *wrong = disagreement(source, strlen(source));
        ck_assert_msg(!wrong, "%s: %s", source, wrong);
    }
}
END_TEST

START_TEST(a_string_is_checked_wherever_its_bytes_fall_in_a_block)
{
    static const char *const specials[] = {"\\n", "\\u00e9", "\xc3\xa9", "\xe2\x82\xac", "\x01", "\x80", "\\q", "\x1f", "\x7f"};
    char source[128];

    for (size_t special = 0; special < sizeof specials / sizeof *specials; special++) {
        for (int before = 0; before < 40; before++) {
            for (int after = 0; after < 20; after++) {
                int count = snprintf(source, sizeof source, "\"%.*s%s%.*s\"", before,
                                     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", specials[special], after,
                                     "abcdefghijklmnopqrstuvwxyz");
                const char *wrong = disagreement(source, (size_t)count);
                ck_assert_msg(!wrong, "%s: %s", source, wrong);
                ck_assert_ptr_null(disagreement(source, (size_t)count - 1)); /* the quote is missing */
            }
        }
    }
}
END_TEST

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (unsigned)(dice_state >> 33) % sides;
}

struct draft {
    char bytes[GENERATED_BYTES];
    size_t count;
};

static void draft_add(struct draft *draft, const char *piece)
{
    size_t count = strlen(piece);

    if (count <= sizeof draft->bytes - draft->count) {
        memcpy(draft->bytes + draft->count, piece, count);
        draft->count += count;
    }
}

static void draft_string(struct draft *draft)
{
    static const char *const pieces[] = {"a", "Executable", "/usr/sbin/sshd -D", "\\/", "\\n", "\\u00fc", "\xc3\xbc", "\\\\",
                                         "\\ud83d\\ude00", "\xf0\x9f\x98\x80", "\\u0000", "\\ud800", " ", "\\\"", "C:\\\\x"};

    draft_add(draft, "\"");
    for (unsigned i = dice(5); i > 0; i--)
        draft_add(draft, pieces[dice(sizeof pieces / sizeof *pieces)]);
    draft_add(draft, "\"");
}

static void draft_value(struct draft *draft, unsigned levels)
{
    static const char *const scalars[] = {"0", "-1", "22", "3.25", "1e3", "-0.5E-2", "true", "false", "null",
                                          "99999999999999999999", "1e999", "-0"};
    static const char *const blanks[] = {"", "", "", " ", "\n  ", "\t"};
    unsigned what = dice(levels ? 6 : 3);

    draft_add(draft, blanks[dice(6)]);
    if (what == 0) {
        draft_string(draft);
    } else if (what < 3) {
        draft_add(draft, scalars[dice(sizeof scalars / sizeof *scalars)]);
    } else {
        bool object = what > 3;
        unsigned items = dice(5);
        draft_add(draft, object ? "{" : "[");
        for (unsigned i = 0; i < items; i++) {
            if (i)
                draft_add(draft, ",");
            if (object) {
                draft_string(draft);
                draft_add(draft, ":");
            }
            draft_value(draft, levels - 1);
        }
        draft_add(draft, object ? "}" : "]");
    }
    draft_add(draft, blanks[dice(6)]);
}

START_TEST(generated_documents_and_broken_ones_agree_with_jansson)
{
    static const char noise[] = "{}[]:,\"\\u0dD8ntf-+.eE \n\x00\x1f\x7f\x80\xc3\xed\xf4";
    struct draft draft;

    dice_state = 0x9e3779b97f4a7c15;
    for (int i = 0; i < GENERATED; i++) {
        draft.count = 0;
        draft_value(&draft, 6);
        const char *wrong = disagreement(draft.bytes, draft.count);
        ck_assert_msg(!wrong, "%.*s: %s", (int)draft.count, draft.bytes, wrong);
        for (unsigned cuts = 0; cuts < 3 && draft.count; cuts++) {
            unsigned at = dice((unsigned)draft.count);
            if (dice(4) == 0)
                draft.count = at;
            else
                draft.bytes[at] = noise[dice(sizeof noise - 1)];
            wrong = disagreement(draft.bytes, draft.count);
            ck_assert_msg(!wrong, "%.*s: %s", (int)draft.count, draft.bytes, wrong);
        }
    }
}
END_TEST

static int samples_seen;

static void sample_agrees(const char *path, const char *bytes, size_t count)
{
    const char *wrong = disagreement(bytes, count);

    ck_assert_msg(!wrong, "%s: %s", path, wrong);
    samples_seen++;
}

static int sample_visit(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    const char *dot = strrchr(path, '.');
    static char bytes[SAMPLE_BYTES_MAX];

    (void)where;
    if (kind != FTW_F || !dot || strncmp(dot, ".json", 5) != 0 || about->st_size > (long)sizeof bytes)
        return 0;
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (strcmp(dot, ".json") == 0) {
        sample_agrees(path, bytes, count);
        return 0;
    }
    for (char *line = bytes, *end; line < bytes + count; line = end + 1) {
        end = memchr(line, '\n', (size_t)(bytes + count - line));
        end = end ? end : bytes + count;
        sample_agrees(path, line, (size_t)(end - line));
    }
    return 0;
}

START_TEST(sample_messages_agree_with_jansson)
{
    const char *folder = getenv("PICKET_SAMPLES") ? getenv("PICKET_SAMPLES") : "../shared/samples";

    if (nftw(folder, sample_visit, 16, FTW_PHYS) != 0) {
        printf("skipped: no sample messages at %s (PICKET_SAMPLES names their folder)\n", folder);
        return;
    }
    ck_assert_int_gt(samples_seen, 0);
}
END_TEST

START_TEST(tokens_come_in_the_order_of_the_source)
{
    static const char source[] = "{\"Events\":[{\"Id\":\"x\\/y\",\"n\":-1.5,\"t\":true,\"f\":false,\"z\":null}]}";
    static const struct {
        enum picket_json_kind kind;
        const char *text;
        unsigned flags;
    } expected[] = {
        {PICKET_JSON_OBJECT_OPEN, "{", 0}, {PICKET_JSON_NAME, "Events", 0}, {PICKET_JSON_ARRAY_OPEN, "[", 0},
        {PICKET_JSON_OBJECT_OPEN, "{", 0}, {PICKET_JSON_NAME, "Id", 0},
        {PICKET_JSON_STRING, "x\\/y", PICKET_JSON_ESCAPED}, {PICKET_JSON_NAME, "n", 0},
        {PICKET_JSON_NUMBER, "-1.5", 0}, {PICKET_JSON_NAME, "t", 0}, {PICKET_JSON_TRUE, "true", 0},
        {PICKET_JSON_NAME, "f", 0}, {PICKET_JSON_FALSE, "false", 0}, {PICKET_JSON_NAME, "z", 0},
        {PICKET_JSON_NULL, "null", 0}, {PICKET_JSON_OBJECT_CLOSE, "}", 0}, {PICKET_JSON_ARRAY_CLOSE, "]", 0},
        {PICKET_JSON_OBJECT_CLOSE, "}", 0}, {PICKET_JSON_END, "", 0}, {PICKET_JSON_END, "", 0},
    };
    struct picket_json_reader reader;
    struct picket_json_token token;

    picket_json_init(&reader, source, sizeof source - 1, 64);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ck_assert_int_eq(picket_json_next(&reader, &token), expected[i].kind);
        ck_assert_int_eq(token.kind, expected[i].kind);
        ck_assert_uint_eq(token.count, strlen(expected[i].text));
        ck_assert_mem_eq(token.text, expected[i].text, token.count);
        ck_assert_uint_eq(token.flags, expected[i].flags);
    }
}
END_TEST

START_TEST(errors_name_the_fault_at_its_byte)
{
    static const struct {
        const char *source, *sentence;
        unsigned line, column;
    } faults[] = {
        {"", "empty body where JSON was announced", 1, 1},
        {" \n ", "empty body where JSON was announced", 2, 2},
        {"{\"a\":1\n \"b\":2}", "expected ',' or '}' after a member", 2, 2},
        {"[1 2]", "expected ',' or ']' after an item", 1, 4},
        {"{\"a\" 1}", "expected ':' after a name", 1, 6},
        {"{\"a\":1,}", "expected a name in double quotes", 1, 8},
        {"[1,]", "expected a value", 1, 4},
        {"{\"a\":tru}", "expected a value: words are true, false and null", 1, 6},
        {"\"abc", "body ends inside a string", 1, 5},
        {"{\"a\":1", "body ends inside an object", 1, 7},
        {"[1", "body ends inside an array", 1, 3},
        {"{\"a\":", "body ends where a value is expected", 1, 6},
        {"\"a\tb\"", "control byte 0x09 inside a string: escape it", 1, 3},
        {"\"a\x1f\"", "control byte 0x1f inside a string: escape it", 1, 3},
        {"\"\\x\"", "unknown escape inside a string", 1, 2},
        {"\"\\u00g0\"", "expected four hex digits after \\u", 1, 2},
        {"\"ab\xff\"", "bytes that are not UTF-8 inside a string", 1, 4},
        {"01", "a number cannot begin with 0", 1, 1},
        {"-x", "expected a digit after '-'", 1, 2},
        {"1.x", "expected a digit after '.'", 1, 3},
        {"1ex", "expected a digit in the exponent", 1, 3},
        {"{}\n\n x", "more follows after the end of the document", 3, 2},
        {"\xef\xbb\xbf{}", "byte order mark in front of the document: leave it out", 1, 1},
    };
    struct picket_json_reader reader;
    unsigned line, column;

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ck_assert_int_eq(read_all(&reader, faults[i].source, strlen(faults[i].source), 64), PICKET_JSON_ERROR);
        ck_assert_str_eq(reader.error, faults[i].sentence);
        picket_json_position(&reader, reader.error_at, &line, &column);
        ck_assert_msg(line == faults[i].line && column == faults[i].column, "%s: %u:%u", faults[i].source, line, column);
    }
    ck_assert_int_eq(read_all(&reader, "\"a\0b\"", 5, 64), PICKET_JSON_ERROR);
    ck_assert_str_eq(reader.error, "control byte 0x00 inside a string: escape it");
    ck_assert_int_eq(read_all(&reader, NULL, 0, 64), PICKET_JSON_ERROR);
}
END_TEST

START_TEST(an_error_stays)
{
    struct picket_json_reader reader;
    struct picket_json_token token;

    ck_assert_int_eq(read_all(&reader, "[1,,2]", 6, 64), PICKET_JSON_ERROR);
    const char *error = reader.error, *error_at = reader.error_at;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_ERROR);
        ck_assert_int_eq(token.kind, PICKET_JSON_ERROR);
    }
    ck_assert_ptr_eq(reader.error, error);
    ck_assert_ptr_eq(reader.error_at, error_at);
}
END_TEST

START_TEST(nesting_is_allowed_to_its_limit_and_no_further)
{
    char source[2 * PICKET_JSON_DEPTH_LIMIT + 4];
    struct picket_json_reader reader;

    for (unsigned limit = 0; limit <= PICKET_JSON_DEPTH_LIMIT; limit += 64) {
        memset(source, '[', limit);
        memset(source + limit, ']', limit);
        memcpy(source + 2 * limit, "  ", 2);
        if (limit) {
            ck_assert_int_eq(read_all(&reader, source, 2 * limit, limit), PICKET_JSON_END);
        }
        memset(source, '[', limit + 1);
        memset(source + limit + 1, ']', limit + 1);
        ck_assert_int_eq(read_all(&reader, source, 2 * limit + 2, limit), PICKET_JSON_ERROR);
        ck_assert(reader.too_deep);
        ck_assert_int_eq(reader.error_at - reader.start, limit);
        ck_assert_str_eq(reader.error, limit == 64 ? "nesting is deeper than 64" : "nesting is deeper than the limit");
    }
    ck_assert_int_eq(read_all(&reader, "[1,]", 4, 1), PICKET_JSON_ERROR);
    ck_assert(!reader.too_deep);
}
END_TEST

START_TEST(objects_and_arrays_close_as_they_were_opened_at_any_depth)
{
    char source[1024];
    size_t count = 0;

    for (int i = 0; i < 100; i++) {
        const char *open = i % 3 == 0 ? "[" : "{\"a\":";
        memcpy(source + count, open, strlen(open));
        count += strlen(open);
    }
    source[count++] = '0';
    for (int i = 99; i >= 0; i--)
        source[count++] = i % 3 == 0 ? ']' : '}';
    ck_assert_ptr_null(disagreement(source, count));
    for (size_t i = count - 100; i < count; i++) {
        source[i] = source[i] == ']' ? '}' : ']';
        ck_assert_ptr_null(disagreement(source, count));
        source[i] = source[i] == ']' ? '}' : ']';
    }
}
END_TEST

START_TEST(skip_returns_the_source_of_a_value)
{
    static const char source[] = "{\"a\": {\"b\":[1,{}]} ,\"c\": \"x\\\"y\" , \"d\":-1e5,\"e\":[]}";
    static const char *const values[] = {"{\"b\":[1,{}]}", "\"x\\\"y\"", "-1e5", "[]"};
    struct picket_json_reader reader;
    struct picket_json_token token;
    const char *from, *to;

    picket_json_init(&reader, source, sizeof source - 1, 64);
    ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_OBJECT_OPEN);
    struct picket_json_reader at_root = reader;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_NAME);
        ck_assert(picket_json_skip(&reader, &token, &from, &to));
        ck_assert_uint_eq((size_t)(to - from), strlen(values[i]));
        ck_assert_mem_eq(from, values[i], strlen(values[i]));
    }
    ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_OBJECT_CLOSE);
    ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_END);

    token = (struct picket_json_token){.kind = PICKET_JSON_OBJECT_OPEN, .text = source, .count = 1};
    ck_assert(picket_json_skip(&at_root, &token, &from, &to));
    ck_assert(from == source && to == source + sizeof source - 1);
}
END_TEST

START_TEST(skip_tells_of_an_error_inside)
{
    static const char source[] = "{\"a\":[1,{\"b\" 2}]}";
    struct picket_json_reader reader;
    struct picket_json_token token;
    const char *from = source, *to = source;

    picket_json_init(&reader, source, sizeof source - 1, 64);
    ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_OBJECT_OPEN);
    ck_assert(!picket_json_skip(&reader, &token, &from, &to));
    ck_assert(from == source && to == source);
    ck_assert_str_eq(reader.error, "expected ':' after a name");
}
END_TEST

START_TEST(unescaping_replaces_what_cannot_be_stored_and_flags_it)
{
    static const struct {
        const char *source, *text;
        unsigned flags;
    } cases[] = {
        {"\"plain\"", "plain", 0},
        {"\"a\\/b\\n\\\"\"", "a/b\n\"", PICKET_JSON_ESCAPED},
        {"\"\\u00E9\\u20ac\\uD83D\\uDE00\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", PICKET_JSON_ESCAPED},
        {"\"x\\u0000y\"", "x\xef\xbf\xbdy", PICKET_JSON_ESCAPED | PICKET_JSON_NUL},
        {"\"\\ud800\"", "\xef\xbf\xbd", PICKET_JSON_ESCAPED | PICKET_JSON_LONE_SURROGATE},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd", PICKET_JSON_ESCAPED | PICKET_JSON_LONE_SURROGATE},
        {"\"\\ud800\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80", PICKET_JSON_ESCAPED | PICKET_JSON_LONE_SURROGATE},
        {"\"\\ud800\\u0041\"", "\xef\xbf\xbd" "A", PICKET_JSON_ESCAPED | PICKET_JSON_LONE_SURROGATE},
    };
    struct picket_json_reader reader;
    struct picket_json_token token;
    char out[64];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        picket_json_init(&reader, cases[i].source, strlen(cases[i].source), 1);
        ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_STRING);
        ck_assert_uint_eq(token.flags, cases[i].flags);
        size_t count = picket_json_unescape(&token, out);
        ck_assert_uint_eq(count, strlen(cases[i].text));
        ck_assert_mem_eq(out, cases[i].text, count);
        ck_assert(picket_json_is(&token, cases[i].text, count));
        ck_assert(!picket_json_is(&token, cases[i].text, count - 1));
        ck_assert(!picket_json_is(&token, "other text of some length", 25));
    }
}
END_TEST

START_TEST(a_name_is_known_however_it_is_escaped)
{
    static const char source[] = "{\"\\u0045v\\u0065nts\":0}";
    struct picket_json_reader reader;
    struct picket_json_token token;

    picket_json_init(&reader, source, sizeof source - 1, 1);
    picket_json_next(&reader, &token);
    ck_assert_int_eq(picket_json_next(&reader, &token), PICKET_JSON_NAME);
    ck_assert(PICKET_JSON_IS(&token, "Events"));
    ck_assert(!PICKET_JSON_IS(&token, "Event"));
    ck_assert(!PICKET_JSON_IS(&token, "Eventss"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        legal_documents_are_accepted_with_jansson_values,
        everything_else_is_rejected_as_jansson_does,
        a_string_is_checked_wherever_its_bytes_fall_in_a_block,
        generated_documents_and_broken_ones_agree_with_jansson,
        sample_messages_agree_with_jansson,
        tokens_come_in_the_order_of_the_source,
        errors_name_the_fault_at_its_byte,
        an_error_stays,
        nesting_is_allowed_to_its_limit_and_no_further,
        objects_and_arrays_close_as_they_were_opened_at_any_depth,
        skip_returns_the_source_of_a_value,
        skip_tells_of_an_error_inside,
        unescaping_replaces_what_cannot_be_stored_and_flags_it,
        a_name_is_known_however_it_is_escaped,
    };

    return CHECK_MAIN("wire/json_reader", tests);
}
