#include "runtime/status.h"

#include <string.h>

#include "runtime/text.h"
#include "tests/support/check_main.h"

static struct problem why;

START_TEST(failing_path_is_one_line)
{
    ck_assert_int_eq(problem_set(&why, STATUS_RETRY, "%s is away for %d s", "database", 3), STATUS_RETRY);
    ck_assert_str_eq(why.text, "database is away for 3 s");
}
END_TEST

START_TEST(prefix_stands_in_front_of_the_sentence)
{
    (void)problem_set(&why, STATUS_REJECT, "unexpected end");
    problem_prefix(&why, "line %d", 7);
    ck_assert_str_eq(why.text, "line 7: unexpected end");
}
END_TEST

START_TEST(sentence_may_be_made_of_the_old_one)
{
    (void)problem_set(&why, STATUS_REJECT, "inner");
    (void)problem_set(&why, STATUS_REJECT, "outer (%s)", why.text);
    ck_assert_str_eq(why.text, "outer (inner)");
}
END_TEST

START_TEST(long_sentence_ends_with_an_ellipsis_and_stays_utf8)
{
    char umlauts[2 * PROBLEM_TEXT_MAX + 1];

    for (size_t i = 0; i + 2 < sizeof umlauts; i += 2)
        memcpy(umlauts + i, "\xc3\xa4", 2);
    umlauts[sizeof umlauts - 1] = '\0';
    /* With and without a byte in front, so that the cut falls into a sequence in one of them. */
    for (int i = 0; i < 2; i++) {
        (void)problem_set(&why, STATUS_FAULT, "%s%s", i ? "x" : "", umlauts);
        struct text said = text_of(why.text);
        ck_assert(text_ends(said, TEXT("\xc3\xa4\xe2\x80\xa6")));
        ck_assert(text_utf8_valid(said));
        ck_assert_uint_ge(said.count, PROBLEM_TEXT_MAX - 5);
    }
}
END_TEST

START_TEST(longest_sentence_that_fits_is_whole)
{
    char exact[PROBLEM_TEXT_MAX];

    memset(exact, 'a', sizeof exact - 1);
    exact[sizeof exact - 1] = '\0';
    (void)problem_set(&why, STATUS_FAULT, "%s", exact);
    ck_assert_str_eq(why.text, exact);
}
END_TEST

START_TEST(statuses_have_names_for_metrics)
{
    ck_assert_str_eq(status_name(STATUS_OK), "ok");
    ck_assert_str_eq(status_name(STATUS_REJECT), "reject");
    ck_assert_str_eq(status_name(STATUS_RETRY), "retry");
    ck_assert_str_eq(status_name(STATUS_FAULT), "fault");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        failing_path_is_one_line,
        prefix_stands_in_front_of_the_sentence,
        sentence_may_be_made_of_the_old_one,
        long_sentence_ends_with_an_ellipsis_and_stays_utf8,
        longest_sentence_that_fits_is_whole,
        statuses_have_names_for_metrics,
    };
    return CHECK_MAIN("runtime/status", tests);
}
