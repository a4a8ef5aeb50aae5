#include "kql/print.h"
#include "tests/support/check_main.h"

#include <stdlib.h>

/* How a query is read, as the tree prints itself; and what is refused, and where. */
static struct arena arena;
static struct buf printed;

static void setup(void)
{
    arena_init(&arena);
    buf_init(&printed, 1024 * 1024);
}

static void teardown(void)
{
    buf_done(&printed);
    arena_done(&arena);
}

static const char *read_as(const char *source)
{
    struct kql_statement *statements;
    struct kql_diagnostic wrong;

    buf_clear(&printed);
    if (kql_parse(text_of(source), &arena, &statements, &wrong))
        buf_format(&printed, "%s at %u", wrong.code, wrong.place.at);
    else
        kql_print(statements, &printed);
    return printed.bytes;
}

START_TEST(and_binds_tighter_than_or_and_products_than_sums)
{
    ck_assert_str_eq(read_as("print a or b and c"), "print (or a (and b c))");
    ck_assert_str_eq(read_as("print a + b * c - d"), "print (- (+ a (* b c)) d)");
    ck_assert_str_eq(read_as("print -a.b[0] * 2"), "print (* (- a.b[0]) 2)");
    ck_assert_str_eq(read_as("print a + 1 > b has \"c\""), "print (> (+ a 1) (has b \"c\"))");
    ck_assert_str_eq(read_as("print x !between (1 .. 2)"), "print (!between x 1 2)");
    ck_assert_str_eq(read_as("print x in~ (\"a\", 'b') and not(y)"), "print (and (in~ x \"a\" \"b\") not(y))");
}
END_TEST

START_TEST(comparisons_do_not_chain)
{
    ck_assert_str_eq(read_as("print a == b == c"), "syntax.expected at 13");
    ck_assert_str_eq(read_as("print a < b < c"), "syntax.expected at 12");
}
END_TEST

START_TEST(operators_keep_what_they_hold)
{
    ck_assert_str_eq(read_as("T | where a == 1 | limit 5"), "T | where (== a 1) | limit limit (5)");
    ck_assert_str_eq(read_as("T | summarize n = count(), max(x) by bin(t, 1h), d.y"),
                     "T | summarize (= n count()) max(x) by (bin(t 1h) d.y)");
    ck_assert_str_eq(read_as("T | sort by a asc nulls first, b"), "T | sort by (a asc nulls-first b)");
    ck_assert_str_eq(read_as("T | join kind=leftouter (U | take 1) on a, $left.b == $right.c"),
                     "T | join kind=leftouter {U | take limit (1)} on (a (== $left.b $right.c))");
    ck_assert_str_eq(read_as("union isfuzzy=true A*, (B | count)"), "union isfuzzy=true A* {B | count}");
    ck_assert_str_eq(read_as("T | parse kind=regex x with 'a' b:long * c"), "T | parse kind=regex x \"a\" b:long * c");
    ck_assert_str_eq(read_as("T | mv-expand a = b to typeof(long), c limit 3"), "T | mv-expand limit (3) (= a b to (:long)) c");
    ck_assert_str_eq(read_as("T | make-series n = count() default = 0 on t from 1 to 9 step 2 by k"),
                     "T | make-series (= n count() to 0) by (k) on (t) from (1) to (9) step (2)");
    ck_assert_str_eq(read_as("datatable(a:long, b:string)[1, 'x', -2, 'y']"), "datatable 1 \"x\" (- 2) \"y\"(a:long b:string)");
    ck_assert_str_eq(read_as("range i from 1 to 3 step 1 | project-away a*"), "i from (1) to (3) step (1) | project-away a*");
    ck_assert_str_eq(read_as("T | scan declare (x:long=0) with (step s: true => x = 1;) | count"), "T | scan | count");
}
END_TEST

START_TEST(statements_name_values_tables_and_functions)
{
    ck_assert_str_eq(read_as("let a = 5; let T = U | take a; T"), "let a = 5; let T = U | take limit (a); T");
    ck_assert_str_eq(read_as("let f = (x:long, T:(*), y:string='z') { T | where a == x }; f(1, U)"),
                     "let f = function(x:long T:(*:*) y:string=\"z\"){T | where (== a x)}; f(1 U)");
    ck_assert_str_eq(read_as("declare query_parameters(x:long = 1); print x"), "declare (x:long=1); print x");
    ck_assert_str_eq(read_as("set notruncation; T"), "set notruncation; T");
}
END_TEST

START_TEST(names_with_blanks_and_words_of_the_language_stand_in_brackets)
{
    ck_assert_str_eq(read_as("T | project ['a b'], [\"count\"] = count_"), "T | project a b (= count count_)");
    ck_assert_str_eq(read_as("T | project first"), "syntax.reserved at 12");
}
END_TEST

START_TEST(dynamic_literals_nest)
{
    ck_assert_str_eq(read_as("print dynamic({\"a\": [1, -2.5, null], 'b': \"c\"})"),
                     "print (dynamic (bag \"a\":(list 1 (- 2.5) null) \"b\":\"c\"))");
}
END_TEST

START_TEST(what_is_wrong_is_said_with_its_place)
{
    ck_assert_str_eq(read_as(""), "syntax.empty at 0");
    ck_assert_str_eq(read_as("T | nonsense x"), "syntax.expected at 4");
    ck_assert_str_eq(read_as("T | where (a"), "syntax.expected at 12");
    ck_assert_str_eq(read_as("T | take"), "syntax.expected at 8");
    ck_assert_str_eq(read_as("T where a"), "syntax.expected at 2");
    ck_assert_str_eq(read_as("print x:"), "syntax.expected at 7");
}
END_TEST

/* Stacks are finite: neither parentheses nor strings of operators may use one up. */
START_TEST(nesting_has_an_end)
{
    static char deep[400 * 1024];

    memset(deep, '(', 100000);
    memcpy(deep, "print ", 6);
    deep[100000] = 0;
    ck_assert_ptr_nonnull(strstr(read_as(deep), "syntax.too_deep"));

    size_t at = 6;
    for (int i = 0; i < 100000; i++, at += 2)
        memcpy(deep + at, "1+", 2);
    memcpy(deep + at, "1", 2);
    ck_assert_ptr_nonnull(strstr(read_as(deep), "syntax.too_deep"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        and_binds_tighter_than_or_and_products_than_sums,
        comparisons_do_not_chain,
        operators_keep_what_they_hold,
        statements_name_values_tables_and_functions,
        names_with_blanks_and_words_of_the_language_stand_in_brackets,
        dynamic_literals_nest,
        what_is_wrong_is_said_with_its_place,
        nesting_has_an_end,
    };
    const struct check_suite suite = {"kql/parse", tests, sizeof tests / sizeof *tests, setup, teardown, 30};
    return check_main(&suite);
}
