#include "agent/self_check.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/root_folder.h"

static enum self_check_result look(const char *subject, struct reason *why)
{
    static const struct agent_config config;
    struct self_check check;

    for (size_t i = 0; self_check_next(i, &config, root, &check); i++)
        if (strcmp(check.subject, subject) == 0) {
            *why = check.how;
            return check.result;
        }
    ck_abort_msg("there is no check of %s", subject);
    return SELF_CHECK_FAILED;
}

START_TEST(logins_are_found_in_wtmp_or_in_the_log_or_not_at_all)
{
    struct reason why;

    root_make();
    ck_assert_int_eq(look("logins", &why), SELF_CHECK_FAILED);
    root_write("/var/log/messages", "");
    ck_assert_int_eq(look("logins", &why), SELF_CHECK_OK);
    ck_assert_ptr_nonnull(strstr(why.text, " in /var/log/messages"));
    root_write("/var/log/wtmp", "");
    ck_assert_int_eq(look("logins", &why), SELF_CHECK_LIMITED);
    ck_assert_ptr_nonnull(strstr(why.text, "/var/log/btmp is not there"));
    root_write("/var/log/btmp", "");
    ck_assert_int_eq(look("logins", &why), SELF_CHECK_OK);
    root_remove();
}
END_TEST

START_TEST(packages_and_users_are_found_by_their_files)
{
    static const char *const lists[] = {"/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/lib/opkg/status"};
    struct reason why;

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        root_make();
        ck_assert_int_ne(look("packages", &why), SELF_CHECK_OK);
        ck_assert_int_eq(look("local users", &why), SELF_CHECK_FAILED);
        root_write(lists[i], "");
        root_write("/etc/passwd", "");
        ck_assert_int_eq(look("packages", &why), SELF_CHECK_OK);
        ck_assert_ptr_nonnull(strstr(why.text, lists[i]));
        ck_assert_int_eq(look("local users", &why), SELF_CHECK_OK);
        root_remove();
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        logins_are_found_in_wtmp_or_in_the_log_or_not_at_all,
        packages_and_users_are_found_by_their_files,
    };
    return CHECK_MAIN("agent/self_check", tests);
}
