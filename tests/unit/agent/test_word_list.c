#include "agent/word_list.h"

#include <string.h>

#include "tests/support/check_main.h"

START_TEST(words_are_found_without_the_blanks_around_them)
{
    static const char list[] = " eth0,,  Time Synchronization ,3.3.5";
    const char *at = list, *word;

    ck_assert_uint_eq(word_list_next(&at, ',', &word), 4);
    ck_assert_mem_eq(word, "eth0", 4);
    ck_assert_uint_eq(word_list_next(&at, ',', &word), 20);
    ck_assert_mem_eq(word, "Time Synchronization", 20);
    ck_assert_uint_eq(word_list_next(&at, ',', &word), 5);
    ck_assert_uint_eq(word_list_next(&at, ',', &word), 0);
    ck_assert(word_list_has(list, ',', "time synchronization"));
    ck_assert(word_list_has(list, ',', "3.3.5"));
    ck_assert(!word_list_has(list, ',', "3.3"));
    ck_assert(!word_list_has(list, ',', ""));
    ck_assert(!word_list_has("", ',', "eth0"));
    ck_assert(!word_list_has(" , ,", ',', "eth0"));
    ck_assert(word_list_has("no|prohibit-password", '|', "prohibit-password"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        words_are_found_without_the_blanks_around_them,
    };
    return CHECK_MAIN("agent/word_list", tests);
}
