#include "agent/login_line.h"

#include <stdio.h>

#include "tests/support/check_main.h"
#include "tests/support/program.h"
#include "tests/unit/agent/own_network.h"
#include "tests/unit/agent/watch.h"

/* "program user address port word" of a line; "none". */
static const char *read_as(const char *line)
{
    static char out[300];
    struct login_line login;

    if (!login_line_read(line, &login))
        return "none";
    snprintf(out, sizeof out, "%s %s %s %s %s %d", login.program, login.user, login.address, login.port, login.failed ? "Fail" : "Success", (int)login.pid);
    return out;
}

START_TEST(lines_of_dropbear_openssh_and_busybox_are_read)
{
    static const char *const cases[][2] = {
        {"Nov 28 21:03:11 router authpriv.warn dropbear[123]: Bad password attempt for 'root' from 192.0.2.7:50312\n", "dropbear root 192.0.2.7 50312 Fail 123"},
        {"Nov 28 21:03:11 router dropbear[9]: Password auth succeeded for 'admin' from 2001:db8::5:50312", "dropbear admin 2001:db8::5 50312 Success 9"},
        {"Nov 28 21:03:11 router dropbear[9]: Pubkey auth succeeded for 'root' with ssh-ed25519 key SHA256:x from [2001:db8::5]:22", "dropbear root 2001:db8::5 22 Success 9"},
        {"<38>dropbear[10]: Login attempt for nonexistent user from 198.51.100.4:1", "dropbear (unknown) 198.51.100.4 1 Fail 10"},
        {"2026-11-28T21:03:11.123+00:00 host sshd[77]: Accepted publickey for ada from 192.0.2.9 port 5022 ssh2: ED25519 SHA256:x", "sshd ada 192.0.2.9 5022 Success 77"},
        {"Nov 28 21:03:11 host sshd[77]: Failed password for invalid user o'neil from 2001:db8::9 port 1 ssh2", "sshd o'neil 2001:db8::9 1 Fail 77"},
        {"Nov 28 21:03:11 host sshd[77]: Failed password for root from 192.0.2.9 port 5022 ssh2", "sshd root 192.0.2.9 5022 Fail 77"},
        {"Jan  1 00:00:12 box auth.info login[55]: root login on 'pts/0'", "login root   Success 55"},
        {"Jan  1 00:00:12 box login[55]: invalid password for 'root' on 'pts/0' from '192.0.2.3'", "login root 192.0.2.3  Fail 55"},
        {"Jan  1 00:00:12 box login[55]: invalid password for 'UNKNOWN' on 'ttyS0'", "login UNKNOWN   Fail 55"},
        {"1764369600.000000 h sshd-session[78]: Accepted password for grace from ::1 port 40000 ssh2", "sshd grace ::1 40000 Success 78"},
        {"Nov 28 21:03:11 h login[5]: LOGIN ON tty1 BY ada", "login ada   Success 5"},
        {"Nov 28 21:03:11 h login[5]: LOGIN ON pts/0 BY ada FROM 192.0.2.3", "login ada 192.0.2.3  Success 5"},
        {"Nov 28 21:03:11 h login[5]: ROOT LOGIN ON tty1", "login root   Success 5"},
        {"Nov 28 21:03:11 h login[5]: FAILED LOGIN 1 FROM tty1 FOR ada, Authentication failure", "login ada   Fail 5"},
    };
    static const char *const none[] = {"", "dropbear[9]", "Nov 28 dropbear[9]: Exit (root) from <192.0.2.7:1>", "Nov 28 sshd[1]: Connection closed by 192.0.2.7 port 1", "]: ", "x]: Failed password for root",
                                       "Nov 28 cron[1]: Failed password for root from 192.0.2.7 port 1", "Nov 28 login[1]: somebody said root login on 'tty1'"};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(strcmp(read_as(cases[i][0]), cases[i][1]) == 0, "%s\n%s\n%s", cases[i][0], read_as(cases[i][0]), cases[i][1]);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_msg(strcmp(read_as(none[i]), "none") == 0, "%s: %s", none[i], read_as(none[i]));
}
END_TEST

#define FAILED "Nov 28 21:03:11 r dropbear[1]: Bad password attempt for 'root' from 192.0.2.7:1\n"
#define PASSED "Nov 28 21:03:11 r dropbear[1]: Password auth succeeded for 'ada' from 192.0.2.7:1\n"

START_TEST(where_there_is_no_wtmp_the_log_is_read_each_line_once)
{
    static char state[600];

    watch_open(&collector_login_lines);
    snprintf(state, sizeof state, "%s", root_path("/state"));
    root_write("/state/x", "");
    watch.scope.state_folder = state;
    root_write("/var/log/messages", FAILED);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0); /* what was there before has no year */
    root_write("/var/log/messages", FAILED PASSED "Nov 28 half a li");
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "UserName", "ada");
    assert_text(watch_element(0), "RemoteAddress", "192.0.2.7");
    assert_text(watch_element(0), "Executable", "dropbear");
    watch_restart();
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    root_write("/var/log/messages", FAILED); /* emptied, and begun anew */
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "Result", "Fail");
    root_write("/var/log/wtmp", "");
    root_write("/var/log/messages", FAILED FAILED FAILED);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0); /* that tells it */
    watch_close();
}
END_TEST

/* A journal as systemd writes it, from entries in its export format. */
static void journal_write(const char *name, const char *entries)
{
    char path[600], command[2000];

    root_write("/entries", entries);
    snprintf(path, sizeof path, "%s", root_path(name));
    snprintf(command, sizeof command, "u=%s/unpacked; LD_LIBRARY_PATH=$(echo $u/usr/lib/*/systemd) $u/lib/systemd/systemd-journal-remote -o %s %s/entries 2>/dev/null",
             program_build_root(), path, root);
    ck_assert_int_eq(shell(command), 0);
}

#define ENTRY(us, program, message) \
    "__REALTIME_TIMESTAMP=" us "\n__MONOTONIC_TIMESTAMP=" us "\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=h\nSYSLOG_PID=77\n_PID=77\nSYSLOG_IDENTIFIER=" program "\nMESSAGE=" message "\n\n"
#define OLD ENTRY("1764369600000000", "sshd", "Failed password for root from 192.0.2.9 port 5022 ssh2")
#define NEW ENTRY("1764369700250000", "sshd-session", "Accepted password for grace from ::1 port 40000 ssh2") ENTRY("1764369701000000", "cron", "Accepted password for none from ::1 port 1")
#define NEWER ENTRY("1764369702000000", "dropbear", "Bad password attempt for 'root' from 192.0.2.7:50312")

START_TEST(where_there_is_a_journal_alone_it_is_read_each_line_once)
{
    static char state[600];

    if (access("/usr/bin/journalctl", X_OK) != 0) {
        fprintf(stderr, "skipped: there is no journalctl\n");
        return;
    }
    watch_open(&collector_login_lines);
    snprintf(state, sizeof state, "%s", root_path("/state"));
    root_write("/state/x", "");
    watch.scope.state_folder = state;
    watch.fake.utc_ms = INT64_C(1764369650000);
    journal_write("/var/log/journal/a.journal", OLD);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0); /* it begins with what comes from now on */
    journal_write("/var/log/journal/b.journal", NEW);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "UserName", "grace");
    assert_text(watch_element(0), "RemoteAddress", "::1");
    assert_text(watch_element(0), "Executable", "sshd");
    assert_text(json_array_get(watch.seen, 0), "TimestampUTC", "2025-11-28T22:41:40.250Z");
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    watch_restart(); /* the place is remembered */
    journal_write("/var/log/journal/c.journal", NEWER);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "Result", "Fail");
    root_write("/var/log/wtmp", ""); /* which tells them from now on */
    journal_write("/var/log/journal/d.journal", ENTRY("1764369703000000", "sshd", "Accepted password for ada from ::1 port 1"));
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    watch_close();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        lines_of_dropbear_openssh_and_busybox_are_read,
        where_there_is_no_wtmp_the_log_is_read_each_line_once,
        where_there_is_a_journal_alone_it_is_read_each_line_once,
    };
    return CHECK_MAIN("agent/login_line", tests);
}
