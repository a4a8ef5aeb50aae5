#include "agent/collect_baseline.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/watch.h"

static struct picket_settings settings;

static void setup(void)
{
    picket_settings_default(&settings);
    watch_open(&collector_baseline);
    watch.scope.settings = &settings;
}

static void teardown(void)
{
    watch_close();
}

static void expect(const char *id, enum baseline_result expected, const char *evidence)
{
    char found[BASELINE_EVIDENCE_MAX];

    for (size_t i = 0; i < baseline_check_count; i++) {
        if (strcmp(baseline_checks[i].id, id) != 0)
            continue;
        enum baseline_result result = baseline_look(&baseline_checks[i], root, found);
        ck_assert_msg(result == expected, "%s is %d: %s", id, result, found);
        ck_assert_msg(strstr(found, evidence) != NULL, "%s: %s", id, found);
        return;
    }
    ck_abort_msg("there is no check %s", id);
}

START_TEST(numbers_of_the_kernel)
{
    expect("1.5.2", BASELINE_SKIP, "No such file");
    root_write("/proc/sys/kernel/randomize_va_space", "2\n");
    expect("1.5.2", BASELINE_PASS, "randomize_va_space is 2");
    root_write("/proc/sys/kernel/randomize_va_space", "1\n");
    expect("1.5.2", BASELINE_FAIL, "is 1");
    root_write("/proc/sys/net/ipv4/ip_forward", "1\n");
    expect("3.1.1", BASELINE_FAIL, "is 1");
    root_write("/proc/sys/net/ipv4/ip_forward", "0\n");
    expect("3.1.1", BASELINE_PASS, "is 0");
    root_write("/proc/sys/net/ipv4/ip_forward", "many\n");
    expect("3.1.1", BASELINE_ERROR, "ip_forward");
}
END_TEST

START_TEST(mounts_and_their_options)
{
    root_write("/proc/mounts", "proc /proc proc rw 0 0\ntmpfs /tmp tmpfs rw,nosuid,noexecutive 0 0\n");
    expect("1.1.2", BASELINE_PASS, "/tmp is mounted");
    expect("1.1.3", BASELINE_PASS, "nosuid");
    expect("1.1.4", BASELINE_FAIL, "noexecutive");
    expect("1.1.8", BASELINE_FAIL, "/dev/shm is no mount");
    root_write("/proc/mounts", "tmpfs /tmp tmpfs rw 0 0\ntmpfs /tmp tmpfs rw,noexec 0 0\n"); /* the one on top */
    expect("1.1.4", BASELINE_PASS, "noexec");
}
END_TEST

START_TEST(modes_and_owners)
{
    char path[512];

    expect("6.1.3", BASELINE_SKIP, "No such file");
    root_write("/etc/shadow", "x");
    snprintf(path, sizeof path, "%s", root_path("/etc/shadow"));
    ck_assert_int_eq(chmod(path, 0644), 0);
    expect("6.1.3", BASELINE_FAIL, "mode 0644");
    ck_assert_int_eq(chmod(path, 0600), 0);
    expect("6.1.3", geteuid() ? BASELINE_FAIL : BASELINE_PASS, "mode 0600");
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 1, 0), 0);
        expect("6.1.3", BASELINE_FAIL, "of user 1");
    }
}
END_TEST

START_TEST(what_sshd_is_told)
{
    expect("5.2.10", BASELINE_SKIP, "No such file");
    root_write("/etc/ssh/sshd_config", "# PermitRootLogin yes\n\nPort 22\n");
    expect("5.2.10", BASELINE_PASS, "does not say PermitRootLogin");
    expect("5.2.7", BASELINE_FAIL, "does not say MaxAuthTries"); /* six, where nothing is said */
    root_write("/etc/ssh/sshd_config", "  permitrootlogin\tYES\nPermitRootLogin no\nMaxAuthTries=3\n");
    expect("5.2.10", BASELINE_FAIL, "PermitRootLogin YES"); /* the first one counts */
    expect("5.2.7", BASELINE_PASS, "MaxAuthTries 3");
    root_write("/etc/ssh/sshd_config", "Match User git\nPermitRootLogin yes\n");
    expect("5.2.10", BASELINE_PASS, "does not say");
    root_write("/etc/ssh/sshd_config", "PermitRootLogin prohibit-password\nMaxAuthTries 10\n");
    expect("5.2.10", BASELINE_PASS, "prohibit-password");
    expect("5.2.7", BASELINE_FAIL, "MaxAuthTries 10");
}
END_TEST

START_TEST(services_that_let_anybody_in)
{
    expect("2.2.1", BASELINE_SKIP, "No such file");
    root_write("/proc/net/tcp", "  sl  local_address rem_address\n   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5 1\n");
    expect("2.2.1", BASELINE_PASS, "nobody listens");
    root_write("/proc/net/tcp6", "   0: 00000000000000000000000000000000:0017 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5 1\n");
    expect("2.2.1", BASELINE_FAIL, "port 23");
    root_write("/etc/inetd.conf", "#telnet stream tcp nowait root /usr/sbin/telnetd\nssh stream tcp nowait root /usr/sbin/sshd sshd -i\n");
    expect("2.2.6", BASELINE_PASS, "no such line");
    root_write("/etc/inetd.conf", "telnet stream tcp nowait root /usr/sbin/telnetd telnetd\n");
    expect("2.2.6", BASELINE_FAIL, "telnetd");
    root_write("/etc/inittab", "ttyS0::askfirst:-/bin/sh\n");
    expect("2.2.7", BASELINE_FAIL, "askfirst");
}
END_TEST

START_TEST(users_without_a_password_and_second_roots)
{
    root_write("/etc/shadow", "root:$6$x:1:0:::::\nada:!:1:0:::::\nbin:*:1::::::\n");
    expect("6.2.1", BASELINE_PASS, "no such user");
    root_write("/etc/shadow", "root:$6$x:1:0:::::\nguest::1:0:::::\n");
    expect("6.2.1", BASELINE_FAIL, "guest has an empty password");
    root_write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\nbroken\n");
    expect("6.2.2", BASELINE_PASS, "no such user");
    root_write("/etc/passwd", "root:x:0:0:root:/home:/bin/sh\ntoor:x:0:0::/:/bin/sh\n");
    expect("6.2.2", BASELINE_FAIL, "toor has the number 0");
}
END_TEST

START_TEST(each_check_is_told_with_its_evidence_unless_it_is_switched_off)
{
    root_write("/proc/sys/net/ipv4/ip_forward", "1\n");
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), baseline_check_count);
    const json_t *check = watch_find("CceId", "3.1.1"), *extra = json_object_get(check, "ExtraDetails");
    assert_text(check, "Result", "Fail");
    assert_text(check, "Error", "");
    assert_text(extra, "Result", "FAIL");
    assert_text(extra, "Section", "Network");
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(extra, "Evidence")), "ip_forward is 1"));
    assert_text(watch_find("CceId", "6.2.2"), "Result", "Err");
    assert_text(json_object_get(watch_find("CceId", "6.2.2"), "ExtraDetails"), "Result", "SKIP");
    snprintf(settings.baseline_checks_disabled, sizeof settings.baseline_checks_disabled, "6.2.2,1.1");
    snprintf(settings.baseline_groups_disabled, sizeof settings.baseline_groups_disabled, "Time Synchronization,network");
    (void)watch_round();
    ck_assert_ptr_null(watch_find("CceId", "6.2.2"));
    ck_assert_ptr_null(watch_find("CceId", "3.1.1"));
    ck_assert_ptr_nonnull(watch_find("CceId", "1.1.2"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        numbers_of_the_kernel,
        mounts_and_their_options,
        modes_and_owners,
        what_sshd_is_told,
        services_that_let_anybody_in,
        users_without_a_password_and_second_roots,
        each_check_is_told_with_its_evidence_unless_it_is_switched_off,
    };
    const struct check_suite suite = {"agent/collect_baseline", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
