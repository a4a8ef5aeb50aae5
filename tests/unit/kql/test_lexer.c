#include "kql/lexer.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/check_main.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

/* The tokens as "name:T mark:| …". */
static const char *words_of(const char *source)
{
    static const char *const kinds[] = {"end", "name", "string", "integer", "real", "timespan", "typed", "mark"};
    struct kql_diagnostic wrong = {.code = NULL};
    struct kql_tokens tokens;
    const char *words = "";

    if (kql_lex(text_of(source), &arena, &tokens, &wrong))
        return arena_format(&arena, "%s at %u", wrong.code, (unsigned)wrong.place.at);
    ck_assert_int_eq(tokens.list[tokens.count - 1].kind, KQL_END);
    for (size_t i = 0; i + 1 < tokens.count; i++) {
        struct text text = kql_text(text_of(source), tokens.list[i].place);
        words = arena_format(&arena, "%s%s%s:%.*s", words, i ? " " : "", kinds[tokens.list[i].kind], TEXT_ARGS(text));
    }
    return words;
}

START_TEST(words_marks_and_numbers_are_told_apart)
{
    ck_assert_str_eq(words_of(""), "");
    ck_assert_str_eq(words_of("T|where a==1"), "name:T mark:| name:where name:a mark:== integer:1");
    ck_assert_str_eq(words_of("a=~b !in~ (c..d)"), "name:a mark:=~ name:b mark:! name:in~ mark:( name:c mark:.. name:d mark:)");
    ck_assert_str_eq(words_of("$left.a=>b<|"), "name:$left mark:. name:a mark:=> name:b mark:<|");
    ck_assert_str_eq(words_of("0x1f 12 1.5 2e3 1..2"), "integer:0x1f integer:12 real:1.5 real:2e3 integer:1 mark:.. integer:2");
    ck_assert_str_eq(words_of("1d 1.5h 90min 3ms 4tick 5microseconds"), "timespan:1d timespan:1.5h timespan:90min timespan:3ms timespan:4tick timespan:5microseconds");
    ck_assert_str_eq(words_of("5Minutes 2022_x 1L"), "name:5Minutes name:2022_x name:1L");
    ck_assert_str_eq(words_of("größe"), "name:größe");
}
END_TEST

START_TEST(blanks_and_comments_are_none)
{
    ck_assert_str_eq(words_of("a // b | c\n\t d"), "name:a name:d");
    ck_assert_str_eq(words_of("\xef\xbb\xbf" "a\xc2\xa0|\xe2\x80\xafwhere\xe2\x80\x8b b"), "name:a mark:| name:where name:b");
    ck_assert_str_eq(words_of("// only that"), "");
    ck_assert_str_eq(words_of("a#b"), "syntax.character at 1");
    ck_assert_str_eq(words_of("a ^ b"), "syntax.character at 2");
}
END_TEST

START_TEST(literals_of_a_type_are_one_word)
{
    ck_assert_str_eq(words_of("datetime(2020-01-01 10:00) guid(1-2) long(null) time (1.02:03:04)"),
                     "typed:datetime(2020-01-01 10:00) typed:guid(1-2) typed:long(null) typed:time (1.02:03:04)");
    ck_assert_str_eq(words_of("real(f(1))"), "name:real mark:( name:f mark:( integer:1 mark:) mark:)");
    ck_assert_str_eq(words_of("x:datetime, y"), "name:x mark:: name:datetime mark:, name:y");
    ck_assert_str_eq(words_of("todatetime(x)"), "name:todatetime mark:( name:x mark:)");
}
END_TEST

static const char *says(const char *literal)
{
    struct text value = TEXT_NONE;

    return kql_string_value(text_of(literal), &arena, &value) ? arena_string(&arena, value) : "(none)";
}

START_TEST(strings_say_what_their_escapes_mean)
{
    ck_assert_str_eq(says("\"a\\tb\\\\c\\\"d\\'e\""), "a\tb\\c\"d'e");
    ck_assert_str_eq(says("'\\x41\\u00e4\\U0001F600\\101'"), "Aä😀A");
    ck_assert_str_eq(says("@\"a\\b\"\"c\""), "a\\b\"c");
    ck_assert_str_eq(says("@'a''b\"'"), "a'b\"");
    ck_assert_str_eq(says("h\"secret\""), "secret");
    ck_assert_str_eq(says("H@'c:\\x'"), "c:\\x");
    ck_assert_str_eq(says("```a\n\"b\\n```"), "a\n\"b\\n");
    ck_assert_str_eq(says("\"\""), "");
    ck_assert_str_eq(says("\"\\q\""), "(none)");
    ck_assert_str_eq(says("\"\\ud800\""), "(none)");
    ck_assert_str_eq(says("\"\\x4\""), "(none)");
}
END_TEST

START_TEST(strings_end_where_they_end)
{
    ck_assert_str_eq(words_of("'a' \"b\" @'c\\' h'd'"), "string:'a' string:\"b\" string:@'c\\' string:h'd'");
    ck_assert_str_eq(words_of("@\"a\"\"b\" x"), "string:@\"a\"\"b\" name:x");
    ck_assert_str_eq(words_of("~~~a|b~~~"), "string:~~~a|b~~~");
    ck_assert_str_eq(words_of("x 'abc\n'"), "syntax.string at 2");
    ck_assert_str_eq(words_of("\"abc\\\""), "syntax.string at 0");
    ck_assert_str_eq(words_of("```abc"), "syntax.string at 0");
    ck_assert_str_eq(words_of("@'abc"), "syntax.string at 0");

    struct kql_tokens tokens;
    struct kql_diagnostic wrong = {0};
    ck_assert_int_eq(kql_lex(TEXT("x 'ab\\"), &arena, &tokens, &wrong), STATUS_REJECT);
    ck_assert_uint_eq(wrong.place.at + wrong.place.count, 6); /* not beyond the end */
}
END_TEST

START_TEST(diagnostics_mark_the_place_below_the_line)
{
    struct text source = text_of("T\n| where größe ^ 5\n| count");
    struct kql_diagnostic wrong = {.code = NULL};
    struct kql_tokens tokens;
    struct buf out;
    unsigned line, column;

    ck_assert_int_eq(kql_lex(source, &arena, &tokens, &wrong), STATUS_REJECT);
    kql_position(source, wrong.place.at, &line, &column);
    ck_assert_uint_eq(line, 2);
    ck_assert_uint_eq(column, 15); /* letters count, not bytes */
    buf_init(&out, 1000);
    kql_diagnostic_print(&wrong, source, &out);
    ck_assert_str_eq(out.bytes, "line 2, column 15: nothing begins with this character\n"
                                "  | where größe ^ 5\n"
                                "                ^\n");
    buf_done(&out);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        words_marks_and_numbers_are_told_apart,
        blanks_and_comments_are_none,
        literals_of_a_type_are_one_word,
        strings_say_what_their_escapes_mean,
        strings_end_where_they_end,
        diagnostics_mark_the_place_below_the_line,
    };
    const struct check_suite suite = {"kql/lexer", tests, sizeof tests / sizeof *tests, setup, teardown, 30};
    return check_main(&suite);
}
