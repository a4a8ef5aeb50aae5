#include "agent/program_lines.h"

#include <string.h>

#include "tests/support/check_main.h"

static char seen[8192];
static size_t lines, used;

static void take(void *context, const char *line)
{
    size_t count = strlen(line);

    ck_assert_ptr_eq(context, seen);
    ck_assert_uint_lt(used + count + 1, sizeof seen);
    memcpy(seen + used, line, count);
    used += count;
    seen[used++] = ';';
    seen[used] = '\0';
    lines++;
}

static int run(const char *script, struct reason *why)
{
    const char *const arguments[] = {"/bin/sh", "-c", script, NULL};

    lines = used = 0;
    seen[0] = '\0';
    return program_lines(arguments, take, seen, why);
}

START_TEST(each_line_is_given_and_the_code_returned)
{
    struct reason why;

    ck_assert_int_eq(run("printf 'a\\nb c\\n\\nno end'; cat; echo unheard >&2", &why), 0);
    ck_assert_str_eq(seen, "a;b c;;");
    ck_assert_int_eq(run("echo $LC_ALL $HOME $PATH; exit 7", &why), 7);
    ck_assert_str_eq(seen, "C /usr/sbin:/usr/bin:/sbin:/bin;");
    ck_assert_ptr_nonnull(strstr(why.text, "/bin/sh ended with 7"));
}
END_TEST

START_TEST(a_longer_line_is_cut_and_the_next_is_whole)
{
    struct reason why;

    ck_assert_int_eq(run("head -c 10000 /dev/zero | tr '\\0' x; echo; echo next", &why), 0);
    ck_assert_uint_eq(lines, 2);
    ck_assert_uint_eq(used, 4095 + 1 + 5);
    ck_assert_str_eq(seen + 4096, "next;");
}
END_TEST

START_TEST(what_cannot_be_run_or_is_ended_is_told)
{
    static const char *const nowhere[] = {"/nowhere/program", NULL};
    struct reason why;

    ck_assert_int_eq(program_lines(nowhere, take, seen, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "/nowhere/program: No such file"));
    ck_assert_int_eq(run("kill -9 $$", &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "ended by a signal"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_line_is_given_and_the_code_returned,
        a_longer_line_is_cut_and_the_next_is_whole,
        what_cannot_be_run_or_is_ended_is_told,
    };
    return CHECK_MAIN("agent/program_lines", tests);
}
