#include "agent/process_table.h"

#include <string.h>
#include <unistd.h>

#include "tests/support/check_main.h"

START_TEST(a_stat_cut_before_its_start_time_is_none)
{
    static const char stat[] = "42 (a b) S 7 1 1 0 -1 2097152 1 2 3 4 5 6 -7 8 20 0 1 0 99 4096";
    struct process process;
    size_t count = 0;

    while (count < sizeof stat - 1 && !process_stat_read(stat, count, &process))
        count++;
    ck_assert_int_eq(stat[count - 1], '9');
    ck_assert(process_stat_read(stat, sizeof stat - 1, &process));
    ck_assert_int_eq(process.pid, 42);
    ck_assert_int_eq(process.parent, 7);
    ck_assert_uint_eq(process.started, 99);
    ck_assert(process.kernel);
    ck_assert(!process.ended);
    ck_assert_str_eq(process.name, "a b");
}
END_TEST

START_TEST(this_test_sees_itself_on_this_host)
{
    struct process process;

    ck_assert(process_read("", getpid(), &process));
    ck_assert_int_eq(process.parent, getppid());
    ck_assert_uint_eq(process.user, getuid());
    ck_assert_ptr_nonnull(strstr(process.executable, "test_process_table"));
    ck_assert(!process.kernel);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_stat_cut_before_its_start_time_is_none,
        this_test_sees_itself_on_this_host,
    };
    return CHECK_MAIN("agent/process_table", tests);
}
