#include "runtime/process.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "tests/support/check_main.h"

#define SOON_MS 10000

static struct problem why;
static struct buf buf;
static char folder[64], path[96];

static void setup(void)
{
    buf_init(&buf, 100000);
    snprintf(folder, sizeof folder, "/tmp/picket-process-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static void teardown(void)
{
    buf_done(&buf);
    unlink(path);
    rmdir(folder);
}

START_TEST(waiting_ends_at_the_deadline_without_a_stop)
{
    int64_t began_ms = clock_monotonic_ms();

    ck_assert(!process_wait_stop(30));
    ck_assert_int_ge(clock_monotonic_ms() - began_ms, 29);
    ck_assert(!process_stopping());
    ck_assert(!process_wait_stop(0));
}
END_TEST

static void *wait_for_stop(void *woken)
{
    *(bool *)woken = process_wait_stop(SOON_MS);
    return NULL;
}

START_TEST(stop_wakes_every_waiting_thread)
{
    pthread_t threads[3];
    bool woken[3] = {false, false, false};
    int64_t began_ms = clock_monotonic_ms();

    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_stop, &woken[i]), 0);
    process_stop();
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(woken[i]);
    }
    ck_assert_int_lt(clock_monotonic_ms() - began_ms, SOON_MS);
    ck_assert(process_wait_stop(0)); /* and stays so */
}
END_TEST

START_TEST(both_signals_stop)
{
    static const int signals[] = {SIGINT, SIGTERM};

    for (size_t i = 0; i < 2; i++) {
        int reason = 0;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            process_catch_stop();
            raise(signals[i]);
            _exit(process_stopping() && process_wait_stop(SOON_MS) ? 7 : 1);
        }
        ck_assert_int_eq(waitpid(child, &reason, 0), child);
        ck_assert(WIFEXITED(reason) && WEXITSTATUS(reason) == 7);
    }
}
END_TEST

START_TEST(second_signal_ends_at_once_whatever_the_first_was)
{
    int reason = 0;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        process_catch_stop();
        raise(SIGINT);
        raise(SIGTERM);
        _exit(7);
    }
    ck_assert_int_eq(waitpid(child, &reason, 0), child);
    ck_assert(WIFSIGNALED(reason) && WTERMSIG(reason) == SIGTERM);
}
END_TEST

START_TEST(first_signal_after_a_stop_from_inside_is_still_the_first)
{
    process_catch_stop();
    process_stop();
    raise(SIGTERM); /* would end us */
    ck_assert(process_stopping());
}
END_TEST

START_TEST(closed_pipe_does_not_end_the_process)
{
    int ends[2];

    process_catch_stop();
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), -1);
    close(ends[1]);
}
END_TEST

START_TEST(share_follows_the_environment)
{
    ck_assert_int_eq(setenv("PICKET_SHARE", "/somewhere/else", 1), 0);
    ck_assert_str_eq(process_share_path(), "/somewhere/else");
}
END_TEST

START_TEST(share_is_the_source_tree_for_a_built_program)
{
    char migrations[4200];

    ck_assert_int_eq(unsetenv("PICKET_SHARE"), 0);
    snprintf(migrations, sizeof migrations, "%s/migrations", process_share_path());
    ck_assert_msg(access(migrations, R_OK) == 0, "%s", migrations);
    ck_assert(text_starts(text_of(process_program_path()), text_of(process_share_path())));
}
END_TEST

START_TEST(process_without_parts_is_ready)
{
    ck_assert(process_print_ready(&buf));
    ck_assert_str_eq(buf.bytes, "{\"ready\":true,\"parts\":{}}");
}
END_TEST

START_TEST(one_part_that_is_not_ready_makes_all_unready)
{
    char note[] = "lost \"it\"";

    process_set_ready("a.database", true, NULL);
    process_set_ready("a.bus", false, note);
    note[0] = 'X'; /* the note was copied */
    ck_assert(!process_print_ready(&buf));
    ck_assert_str_eq(buf.bytes, "{\"ready\":false,\"parts\":{\"a.database\":{\"ready\":true,\"note\":\"\"},"
                                "\"a.bus\":{\"ready\":false,\"note\":\"lost \\\"it\\\"\"}}}");
    buf_clear(&buf);
    process_set_ready("a.bus", true, "");
    ck_assert(process_print_ready(&buf));
}
END_TEST

START_TEST(written_file_is_read_back_with_its_mode)
{
    struct stat info;
    char *large = malloc(50000);

    memset(large, 'x', 50000);
    ck_assert_int_eq(process_write_file(path, TEXT("old"), 0644, &why), STATUS_OK);
    ck_assert_int_eq(process_write_file(path, (struct text){large, 50000}, 0600, &why), STATUS_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    buf_string(&buf, "before ");
    ck_assert_int_eq(process_read_file(path, 50000, &buf, &why), STATUS_OK);
    ck_assert_uint_eq(buf.count, 50007);
    free(large);
}
END_TEST

START_TEST(writing_leaves_nothing_else_in_the_folder)
{
    size_t entries = 0;

    ck_assert_int_eq(process_write_file(path, TEXT("one"), 0600, &why), STATUS_OK);
    char missing[128];
    snprintf(missing, sizeof missing, "%s/missing/file", folder);
    ck_assert_int_eq(process_write_file(missing, TEXT("one"), 0600, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, missing));
    DIR *opened = opendir(folder);
    ck_assert_ptr_nonnull(opened);
    for (struct dirent *entry; (entry = readdir(opened));)
        entries += entry->d_name[0] != '.';
    closedir(opened);
    ck_assert_uint_eq(entries, 1);
}
END_TEST

START_TEST(file_that_cannot_be_replaced_is_left_whole)
{
    size_t entries = 0;
    char inside[128];

    /* A folder that is not empty stands where the file should go, so that rename() fails. */
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(inside, sizeof inside, "%s/x", path);
    ck_assert_int_eq(mkdir(inside, 0700), 0);
    ck_assert_int_eq(process_write_file(path, TEXT("one"), 0600, &why), STATUS_FAULT);
    DIR *opened = opendir(folder);
    for (struct dirent *entry; (entry = readdir(opened));)
        entries += entry->d_name[0] != '.';
    closedir(opened);
    ck_assert_uint_eq(entries, 1);
    rmdir(inside);
    rmdir(path);
}
END_TEST

START_TEST(missing_long_and_strange_files_are_rejected_and_leave_the_buffer)
{
    buf_string(&buf, "kept");
    ck_assert_int_eq(process_read_file(path, 10, &buf, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    ck_assert_int_eq(process_read_file(folder, 10, &buf, &why), STATUS_REJECT);
    ck_assert_int_eq(process_write_file(path, TEXT("12345678901"), 0600, &why), STATUS_OK);
    ck_assert_int_eq(process_read_file(path, 10, &buf, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "longer than 10 bytes"));
    ck_assert_int_eq(process_read_file("/dev/zero", 100000, &buf, &why), STATUS_REJECT);
    ck_assert_str_eq(buf.bytes, "kept");
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(process_read_file(path, 10, &buf, &why), STATUS_OK); /* nothing, and no waiting */
    ck_assert_str_eq(buf.bytes, "kept");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        waiting_ends_at_the_deadline_without_a_stop,
        stop_wakes_every_waiting_thread,
        both_signals_stop,
        second_signal_ends_at_once_whatever_the_first_was,
        first_signal_after_a_stop_from_inside_is_still_the_first,
        closed_pipe_does_not_end_the_process,
        share_follows_the_environment,
        share_is_the_source_tree_for_a_built_program,
        process_without_parts_is_ready,
        one_part_that_is_not_ready_makes_all_unready,
        written_file_is_read_back_with_its_mode,
        writing_leaves_nothing_else_in_the_folder,
        file_that_cannot_be_replaced_is_left_whole,
        missing_long_and_strange_files_are_rejected_and_leave_the_buffer,
    };
    return check_main(&(const struct check_suite){.name = "runtime/process",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
