#include "agent/file.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/root_folder.h"

static struct reason why;
static char text[256];

static bool write_text(const char *first, const char *second)
{
    const struct iovec parts[] = {{(void *)(uintptr_t)first, strlen(first)}, {(void *)(uintptr_t)second, strlen(second)}};

    return file_write(root, "file", parts, 2, &why);
}

START_TEST(parts_are_joined_and_replace_what_was_there)
{
    ck_assert_msg(write_text("a longer text than", " the next"), "%s", why.text);
    ck_assert_msg(write_text("a", "b"), "%s", why.text);
    ck_assert_int_eq(file_read(root_path("/file"), text, sizeof text), 2);
    ck_assert_mem_eq(text, "ab", 2);
    ck_assert_int_ne(access(root_path("/file" FILE_UNFINISHED), F_OK), 0);
}
END_TEST

START_TEST(a_disk_that_is_full_leaves_the_old_file_whole)
{
    static char big[100000];
    const struct rlimit limit = {4096, RLIM_INFINITY};

    memset(big, 'x', sizeof big - 1);
    ck_assert(write_text("old", ""));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert(!write_text(big, "tail"));
    ck_assert_ptr_nonnull(strstr(why.text, "/file cannot be written: "));
    ck_assert_int_eq(file_read(root_path("/file"), text, sizeof text), 3);
    ck_assert_int_ne(access(root_path("/file" FILE_UNFINISHED), F_OK), 0);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_told)
{
    const struct iovec part = {text, 1};

    ck_assert(!file_write(root_path("/none"), "file", &part, 1, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "/none/file"));
    ck_assert_ptr_nonnull(strstr(why.text, strerror(ENOENT)));
}
END_TEST

START_TEST(a_longer_file_is_read_as_far_as_there_is_room)
{
    ck_assert(write_text("12345", "67890"));
    ck_assert_int_eq(file_read(root_path("/file"), text, 4), 4);
    ck_assert_mem_eq(text, "1234", 4);
    ck_assert_int_eq(file_read(root_path("/none"), text, sizeof text), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(file_read(root, text, sizeof text), -1);
    ck_assert_int_eq(errno, EISDIR);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        parts_are_joined_and_replace_what_was_there,
        a_disk_that_is_full_leaves_the_old_file_whole,
        a_folder_that_is_not_there_is_told,
        a_longer_file_is_read_as_far_as_there_is_room,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/file",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = root_make,
        .teardown = root_remove,
        .timeout_seconds = 30,
    });
}
