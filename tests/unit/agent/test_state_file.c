#include "agent/state_file.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/own_network.h"
#include "tests/unit/agent/root_folder.h"

#define LATER_PLACE 4096

static char text[8000];

static const char *read_text(const char *folder)
{
    size_t count = state_file_read(folder, "state", text, sizeof text - 1);

    text[count] = '\0';
    return text;
}

static bool write_text(const char *folder, const char *what)
{
    struct reason why;

    return state_file_write(folder, "state", what, strlen(what), &why);
}

/* Changes a byte of the file; the one before, to change it back. */
static char byte_set(long at, char byte)
{
    FILE *file = fopen(root_path("/state"), "r+");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
    char before = (char)fgetc(file);
    ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
    ck_assert_int_ne(fputc(byte, file), EOF);
    ck_assert_int_eq(fclose(file), 0);
    return before;
}

START_TEST(the_last_text_is_read_back)
{
    char longest[STATE_TEXT_MAX + 1];
    struct reason why;

    ck_assert_str_eq(read_text(root), "");
    for (int i = 0; i < 5; i++) {
        char number[32];
        snprintf(number, sizeof number, "text %d", i);
        ck_assert(write_text(root, number));
        ck_assert_str_eq(read_text(root), number);
    }
    memset(longest, 'x', STATE_TEXT_MAX);
    longest[STATE_TEXT_MAX] = '\0';
    ck_assert(write_text(root, longest));
    ck_assert_str_eq(read_text(root), longest);
    ck_assert(write_text(root, ""));
    ck_assert_str_eq(read_text(root), "");
    ck_assert(write_text(root, "short"));
    ck_assert_uint_eq(state_file_read(root, "state", text, 4), 0); /* does not fit */
    ck_assert(!state_file_write("/nowhere", "state", "a", 1, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "/nowhere/state"));
}
END_TEST

/* The place that is written is the one with the older text, so whatever byte of it is wrong, the text before is read. */
START_TEST(a_write_that_was_cut_leaves_the_text_before)
{
    ck_assert(write_text(root, "the first"));
    ck_assert(write_text(root, "the second")); /* in the later place */
    for (long at = 0; at < 58 + 10; at++) {
        char before = byte_set(LATER_PLACE + at, '#');
        if (before == '#')
            continue;
        ck_assert_str_eq(read_text(root), "the first");
        (void)byte_set(LATER_PLACE + at, before);
        ck_assert_str_eq(read_text(root), "the second");
    }
    (void)byte_set(LATER_PLACE + 70, '#'); /* behind the text */
    ck_assert_str_eq(read_text(root), "the second");
    ck_assert_int_eq(truncate(root_path("/state"), LATER_PLACE + 60), 0);
    ck_assert_str_eq(read_text(root), "the first");
    ck_assert(write_text(root, "the third"));
    ck_assert_str_eq(read_text(root), "the third");
    (void)byte_set(3, '#');
    ck_assert_str_eq(read_text(root), "the third");
    (void)byte_set(LATER_PLACE + 3, '#');
    ck_assert_str_eq(read_text(root), "");
    ck_assert(write_text(root, "anew"));
    ck_assert_str_eq(read_text(root), "anew");
}
END_TEST

START_TEST(it_is_written_on_a_full_disk)
{
    char folder[600], command[1500];

    snprintf(folder, sizeof folder, "%s", root_path("/disk"));
    snprintf(command, sizeof command, "mkdir %s && mount -t tmpfs -o size=32k none %s", folder, folder);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 || shell("mount --make-rprivate /") != 0 || shell(command) != 0) {
        fprintf(stderr, "skipped: there is no right to mount\n");
        return;
    }
    ck_assert(write_text(folder, "before"));
    snprintf(command, sizeof command, "cat /dev/zero >%s/filler 2>/dev/null", folder);
    ck_assert_int_ne(shell(command), 0);
    for (int i = 0; i < 4; i++) {
        char number[32];
        snprintf(number, sizeof number, "full %d", i);
        ck_assert(write_text(folder, number));
        ck_assert_str_eq(read_text(folder), number);
    }
    snprintf(command, sizeof command, "umount %s", folder);
    ck_assert_int_eq(shell(command), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_last_text_is_read_back,
        a_write_that_was_cut_leaves_the_text_before,
        it_is_written_on_a_full_disk,
    };
    const struct check_suite suite = {"agent/state_file", tests, sizeof tests / sizeof *tests, root_make, root_remove, 60};
    return check_main(&suite);
}
