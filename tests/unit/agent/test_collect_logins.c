#include "agent/collect_logins.h"

#include <arpa/inet.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/watch.h"

#define NOW_S (FAKE_START_UTC_MS / 1000)
#define DAY_S 86400

static char state_folder[512];

static void setup(void)
{
    watch_open(&collector_logins);
    root_path("/var/log/x");
    root_path("/run/x");
    snprintf(state_folder, sizeof state_folder, "%s", root_path("/state"));
    ck_assert_int_eq(mkdir(state_folder, 0700), 0);
    watch.scope.state_folder = state_folder;
}

static struct utmp record(short type, const char *user, const char *line, const char *address, int64_t age_s)
{
    struct utmp made;

    memset(&made, 0, sizeof made);
    made.ut_type = type;
    made.ut_pid = 3105;
    memcpy(made.ut_user, user, strnlen(user, sizeof made.ut_user));
    memcpy(made.ut_line, line, strnlen(line, sizeof made.ut_line));
    made.ut_tv.tv_sec = (int32_t)(NOW_S - age_s);
    made.ut_tv.tv_usec = 250000;
    if (address && !strchr(address, ':'))
        ck_assert_int_eq(inet_pton(AF_INET, address, made.ut_addr_v6), 1);
    else if (address)
        ck_assert_int_eq(inet_pton(AF_INET6, address, made.ut_addr_v6), 1);
    return made;
}

static void append(const char *path, const struct utmp *made, size_t bytes)
{
    FILE *file = fopen(root_path(path), "a");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(made, 1, bytes, file), bytes);
    fclose(file);
}

static void log_in(const char *path, const char *user, int64_t age_s)
{
    const struct utmp made = record(USER_PROCESS, user, "pts/0", "203.0.113.9", age_s);

    append(path, &made, sizeof made);
}

START_TEST(logins_are_told_with_their_own_time)
{
    log_in("/var/log/wtmp", "ann", 60);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    const json_t *event = json_array_get(watch.seen, 0), *login = watch_element(0);
    assert_text(event, "Name", "Login");
    assert_text(event, "Category", "Triggered");
    assert_text(event, "TimestampUTC", "2023-11-14T22:12:20.250Z");
    assert_number(login, "ProcessId", 3105);
    assert_text(login, "Operation", "login");
    assert_text(login, "Executable", "pts/0");
    assert_text(login, "Result", "Success");
    assert_text(login, "UserName", "ann");
    assert_text(login, "RemoteAddress", "203.0.113.9");
}
END_TEST

START_TEST(failures_are_told_with_where_they_came_from)
{
    struct utmp made = record(LOGIN_PROCESS, "admin", "ssh:notty", "2001:db8::7", 60);

    append("/var/log/btmp", &made, sizeof made);
    watch_round();
    assert_text(watch_element(0), "Result", "Fail");
    assert_text(watch_element(0), "UserName", "admin");
    assert_text(watch_element(0), "RemoteAddress", "2001:db8::7");
    made = record(USER_PROCESS, "local", "tty1", NULL, 10);
    append("/var/log/btmp", &made, sizeof made);
    watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    ck_assert_ptr_null(json_object_get(watch_element(0), "RemoteAddress"));
}
END_TEST

START_TEST(each_login_is_told_once_also_after_a_restart)
{
    log_in("/var/log/wtmp", "ann", 60);
    watch_round();
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    log_in("/var/log/wtmp", "bob", 10);
    watch_restart();
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(watch_element(0), "UserName", "bob");
    watch_restart();
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
}
END_TEST

START_TEST(the_first_look_goes_back_a_day_and_tells_who_is_still_here)
{
    log_in("/var/log/wtmp", "old", 3 * DAY_S);
    log_in("/var/log/wtmp", "here", 2 * DAY_S);
    log_in("/var/log/wtmp", "new", 60);
    log_in("/run/utmp", "here", 2 * DAY_S);
    log_in("/run/utmp", "new", 60);
    watch_round();
    ck_assert_uint_eq(watch_count(), 2);
    assert_text(json_object_get(watch_find("UserName", "here"), "ExtraDetails"), "Snapshot", "true");
    ck_assert_ptr_null(json_object_get(watch_find("UserName", "new"), "ExtraDetails"));
}
END_TEST

START_TEST(after_the_first_look_a_clock_that_was_wrong_hides_no_login)
{
    watch_round();
    log_in("/var/log/wtmp", "ann", 40 * 365 * (int64_t)DAY_S);
    watch_round();
    ck_assert_uint_eq(watch_count(), 1);
}
END_TEST

START_TEST(a_record_half_written_is_read_when_it_is_whole)
{
    const struct utmp made = record(USER_PROCESS, "ann", "pts/0", NULL, 5);

    append("/var/log/wtmp", &made, 100);
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    FILE *file = fopen(root_path("/var/log/wtmp"), "a");
    fwrite((const char *)&made + 100, 1, sizeof made - 100, file);
    fclose(file);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
}
END_TEST

START_TEST(a_log_rotated_away_is_read_to_its_end)
{
    char from[512];

    log_in("/var/log/wtmp", "first", 60);
    watch_round();
    log_in("/var/log/wtmp", "last", 50);
    snprintf(from, sizeof from, "%s", root_path("/var/log/wtmp"));
    ck_assert_int_eq(rename(from, root_path("/var/log/wtmp.1")), 0);
    log_in("/var/log/wtmp", "next", 40);
    watch_round();
    ck_assert_uint_eq(watch_count(), 2);
    assert_text(watch_element(0), "UserName", "last");
    assert_text(watch_element(1), "UserName", "next");
}
END_TEST

START_TEST(a_log_emptied_in_place_is_read_from_its_beginning)
{
    log_in("/var/log/wtmp", "first", 60);
    log_in("/var/log/wtmp", "second", 60);
    watch_round();
    root_write("/var/log/wtmp", "");
    log_in("/var/log/wtmp", "third", 40);
    watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "UserName", "third");
}
END_TEST

START_TEST(a_flood_waits_its_turn_and_none_is_lost)
{
    unsigned told = 0, rounds = 0;

    watch_round();
    for (int i = 0; i < 2500; i++)
        log_in("/var/log/btmp", "root", 1);
    while (json_array_size(watch_round())) {
        told += (unsigned)json_array_size(watch.seen);
        rounds++;
        watch_restart();
    }
    ck_assert_uint_eq(told, 2500);
    ck_assert_uint_eq(rounds, 3);
}
END_TEST

START_TEST(a_damaged_state_is_a_first_look)
{
    root_write("/state/logins", "7 x");
    log_in("/var/log/wtmp", "old", 3 * DAY_S);
    log_in("/var/log/wtmp", "new", 60);
    watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "UserName", "new");
}
END_TEST

START_TEST(records_that_are_no_logins_are_left_out)
{
    static const short others[] = {EMPTY, RUN_LVL, BOOT_TIME, INIT_PROCESS, LOGIN_PROCESS, DEAD_PROCESS, ACCOUNTING, 77, -1};
    struct login login;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const struct utmp made = record(others[i], "ann", "pts/0", NULL, 5);
        ck_assert_msg(!login_read(&made, false, &login), "%d", others[i]);
    }
    const struct utmp nameless = record(USER_PROCESS, "", "pts/0", NULL, 5);
    ck_assert(!login_read(&nameless, false, &login));
}
END_TEST

START_TEST(names_that_fill_their_field_are_read_whole)
{
    struct utmp made = record(USER_PROCESS, "", "", NULL, 5);
    struct login login;

    memset(made.ut_user, 'u', sizeof made.ut_user);
    memset(made.ut_line, 'l', sizeof made.ut_line);
    made.ut_pid = -5;
    ck_assert(login_read(&made, false, &login));
    ck_assert_uint_eq(strlen(login.user), UT_NAMESIZE);
    ck_assert_uint_eq(strlen(login.line), UT_LINESIZE);
    ck_assert_int_eq(login.pid, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        logins_are_told_with_their_own_time,
        failures_are_told_with_where_they_came_from,
        each_login_is_told_once_also_after_a_restart,
        the_first_look_goes_back_a_day_and_tells_who_is_still_here,
        after_the_first_look_a_clock_that_was_wrong_hides_no_login,
        a_record_half_written_is_read_when_it_is_whole,
        a_log_rotated_away_is_read_to_its_end,
        a_log_emptied_in_place_is_read_from_its_beginning,
        a_flood_waits_its_turn_and_none_is_lost,
        a_damaged_state_is_a_first_look,
        records_that_are_no_logins_are_left_out,
        names_that_fill_their_field_are_read_whole,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collect_logins",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = watch_close,
        .timeout_seconds = 60,
    });
}
