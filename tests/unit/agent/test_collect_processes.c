#include "agent/process_table.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/watch.h"

#define KERNEL_THREAD 0x00200000u

static void setup(void)
{
    watch_open(&collector_processes);
    root_path("/proc/x");
}

/* A folder of /proc. `command` holds NULs; without `executable` the link is hidden. */
static void live(int pid, const char *name, char state, unsigned flags, unsigned started, const char *executable,
                 const void *command, size_t command_count)
{
    char path[64], text[512];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    snprintf(text, sizeof text, "%d (%s) %c 7 1 1 0 -1 %u 1 2 3 4 5 6 -7 8 20 0 1 0 %u 4096 100 184467\n", pid, name, state,
             flags, started);
    root_write(path, text);
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    root_write_bytes(path, command, command_count);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (executable)
        root_link(path, executable);
    else
        (void)unlink(root_path(path));
}

static void run(int pid, unsigned started, const char *executable)
{
    live(pid, "name", 'S', 0, started, executable, "run\0it\0", 7);
}

static void end(int pid)
{
    static const char *const files[] = {"stat", "cmdline", "exe", ""};
    char path[64];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        (void)remove(root_path(path));
    }
}

START_TEST(a_process_is_told_as_the_classic_agents_do)
{
    live(42, "sh", 'S', 0, 100, "/usr/bin/dash", "/bin/sh\0-c\0echo  1\0", 19);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    const json_t *event = json_array_get(watch.seen, 0), *process = watch_element(0);
    assert_text(event, "Name", "ProcessCreate");
    assert_text(event, "Category", "Triggered");
    assert_text(process, "Executable", "/usr/bin/dash");
    assert_text(process, "CommandLine", "/bin/sh -c echo  1");
    assert_number(process, "ProcessId", 42);
    assert_number(process, "ParentProcessId", 7);
    char user[16];
    snprintf(user, sizeof user, "%u", getuid());
    assert_text(process, "UserId", user);
    assert_text(json_object_get(process, "ExtraDetails"), "Snapshot", "true");
}
END_TEST

START_TEST(each_process_is_told_once)
{
    run(42, 100, "/usr/bin/a");
    watch_round();
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    run(43, 200, "/usr/bin/b");
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(watch_element(0), "Executable", "/usr/bin/b");
    ck_assert_ptr_null(json_object_get(watch_element(0), "ExtraDetails"));
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
}
END_TEST

START_TEST(a_process_id_used_again_is_a_new_process)
{
    run(42, 100, "/usr/bin/a");
    watch_round();
    run(42, 101, "/usr/bin/a");
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    end(42);
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    run(42, 101, "/usr/bin/a");
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
}
END_TEST

START_TEST(a_process_that_runs_another_program_is_told_again)
{
    run(42, 100, "/usr/bin/dash");
    watch_round();
    run(42, 100, "/usr/bin/nc");
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(watch_element(0), "Executable", "/usr/bin/nc");
}
END_TEST

START_TEST(a_program_replaced_on_disk_is_not_told_again)
{
    run(42, 100, "/usr/sbin/sshd");
    watch_round();
    run(42, 100, "/usr/sbin/sshd (deleted)");
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    run(43, 100, "/tmp/x (deleted)");
    watch_round();
    assert_text(watch_element(0), "Executable", "/tmp/x (deleted)");
}
END_TEST

START_TEST(a_process_that_ended_and_waits_for_its_parent_is_not_told_again)
{
    run(42, 100, "/usr/bin/a");
    watch_round();
    live(42, "a", 'Z', 0, 100, NULL, "", 0);
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    live(43, "b", 'Z', 0, 200, NULL, "", 0);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(watch_element(0), "Executable", "b");
    assert_text(watch_element(0), "CommandLine", "");
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
}
END_TEST

START_TEST(threads_of_the_kernel_are_no_processes)
{
    live(2, "kthreadd", 'S', KERNEL_THREAD, 1, NULL, "", 0);
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
}
END_TEST

START_TEST(a_name_with_brackets_blanks_and_newlines_hides_nothing)
{
    live(42, ") R 1 (\n 2) S", 'S', 0, 100, NULL, "", 0);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_number(watch_element(0), "ParentProcessId", 7);
    assert_text(watch_element(0), "Executable", ") R 1 (\n 2) S");
}
END_TEST

START_TEST(hostile_arguments_are_legal_json)
{
    static const char command[] = "a\nb\0\xc3\xa9\0\xff\xfe\0\x01\x7f\"\\\0\xed\xa0\x80\0\xf0\x9f\x92\xa5\0";

    live(42, "x", 'S', 0, 100, "/tmp/\xe2\x98\xa0 \n\x80", command, sizeof command - 1);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(watch_element(0), "Executable", "/tmp/\xe2\x98\xa0 \n\xef\xbf\xbd");
    assert_text(watch_element(0), "CommandLine",
                "a\nb \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd \x01\x7f\"\\ \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x92\xa5");
}
END_TEST

START_TEST(the_longest_arguments_are_cut_and_told)
{
    static char command[200000], executable[PROCESS_PATH_SIZE];

    memset(command, '\1', sizeof command); /* each takes six bytes of JSON */
    memset(executable, '\1', sizeof executable - 1);
    executable[0] = '/';
    live(42, "x", 'S', 0, 100, executable, command, sizeof command);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    ck_assert_uint_eq(json_string_length(json_object_get(watch_element(0), "CommandLine")), PROCESS_COMMAND_SIZE - 1);
    assert_text(watch_element(0), "Executable", executable);
}
END_TEST

START_TEST(a_hidden_program_goes_by_what_it_says)
{
    live(42, "sshd", 'S', 0, 100, NULL, "sshd: root@pts/0\0", 17);
    live(43, "quiet", 'S', 0, 100, NULL, "", 0);
    watch_round();
    ck_assert_ptr_nonnull(watch_find("Executable", "sshd:"));
    ck_assert_ptr_nonnull(watch_find("Executable", "quiet"));
}
END_TEST

START_TEST(what_goes_while_it_is_read_is_left_out)
{
    root_path("/proc/42/x");
    root_write("/proc/43/stat", "");
    root_write("/proc/44/stat", "44 (cut");
    root_write("/proc/45x/stat", "45 (x) S 7 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9 4096 100 184467\n");
    root_write("/proc/99999999999/stat", "1 (x) S 7 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9 4096 100 184467\n");
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    run(46, 100, "/usr/bin/a");
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_process_is_told_as_the_classic_agents_do,
        each_process_is_told_once,
        a_process_id_used_again_is_a_new_process,
        a_process_that_runs_another_program_is_told_again,
        a_program_replaced_on_disk_is_not_told_again,
        a_process_that_ended_and_waits_for_its_parent_is_not_told_again,
        threads_of_the_kernel_are_no_processes,
        a_name_with_brackets_blanks_and_newlines_hides_nothing,
        hostile_arguments_are_legal_json,
        the_longest_arguments_are_cut_and_told,
        a_hidden_program_goes_by_what_it_says,
        what_goes_while_it_is_read_is_left_out,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collect_processes",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = watch_close,
        .timeout_seconds = 30,
    });
}
