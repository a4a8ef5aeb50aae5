#include "agent/spool.h"

#include <dirent.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/own_network.h"
#include "tests/unit/agent/root_folder.h"

#define EPOCH "d61da809-9e6f-40ef-ba7a-e7a296f832a8"
#define BYTES_MAX 100000

static struct spool *spool;
static struct reason why;
static char buffer[65536];

static void open_spool(uint64_t bytes_max)
{
    spool_close(spool);
    spool = spool_open(root, bytes_max, &why);
    ck_assert_msg(spool != NULL, "%s", why.text);
}

static void setup(void)
{
    root_make();
    open_spool(BYTES_MAX);
}

static void teardown(void)
{
    spool_close(spool);
    spool = NULL;
    root_remove();
}

static struct picket_message message(unsigned first, const char *body)
{
    struct picket_message made = {.count = 3, .body = body, .body_count = strlen(body)};

    snprintf(made.id, sizeof made.id, EPOCH "-%u", first);
    return made;
}

static enum picket_keep_status keep(unsigned first, const char *body)
{
    const struct picket_message kept = message(first, body);

    return spool_keep(spool, &kept, &why);
}

static void assert_oldest(unsigned first, const char *body)
{
    struct picket_message found, expected = message(first, body);

    ck_assert_int_eq(spool_oldest(spool, buffer, sizeof buffer, &found), PICKET_KEPT_FOUND);
    ck_assert_str_eq(found.id, expected.id);
    ck_assert_uint_eq(found.count, 3);
    ck_assert_uint_eq(found.body_count, strlen(body));
    ck_assert_mem_eq(found.body, body, found.body_count);
}

/* The path of the one message in the folder. */
static const char *only_file(void)
{
    static char path[512];
    DIR *folder = opendir(root);
    const struct dirent *file;

    path[0] = '\0';
    while ((file = readdir(folder))) {
        if (strstr(file->d_name, ".message")) {
            ck_assert_msg(!path[0], "more than one message");
            snprintf(path, sizeof path, "%s/%s", root, file->d_name);
        }
    }
    closedir(folder);
    ck_assert_msg(path[0], "no message");
    return path;
}

START_TEST(messages_come_back_oldest_first_also_after_a_restart)
{
    ck_assert_int_eq(keep(1, "{\"a\":1}"), PICKET_KEEP_DONE);
    ck_assert_int_eq(keep(4, "{\"b\":2}"), PICKET_KEEP_DONE);
    ck_assert_int_eq(keep(7, "{\"c\":3}"), PICKET_KEEP_DONE);
    assert_oldest(1, "{\"a\":1}");
    spool_forget(spool);
    open_spool(BYTES_MAX);
    ck_assert_uint_eq(spool_count(spool), 2);
    ck_assert_int_eq(keep(10, "{\"d\":4}"), PICKET_KEEP_DONE);
    assert_oldest(4, "{\"b\":2}");
    spool_forget(spool);
    assert_oldest(7, "{\"c\":3}");
    spool_forget(spool);
    assert_oldest(10, "{\"d\":4}");
    spool_forget(spool);
    struct picket_message none;
    ck_assert_int_eq(spool_oldest(spool, buffer, sizeof buffer, &none), PICKET_KEPT_NONE);
    ck_assert_uint_eq(spool_bytes(spool), 0);
}
END_TEST

START_TEST(the_newest_is_known_without_its_body)
{
    struct picket_message found;

    ck_assert_int_eq(spool_newest(spool, &found), PICKET_KEPT_NONE);
    keep(1, "{}");
    keep(4, "{}");
    open_spool(BYTES_MAX);
    ck_assert_int_eq(spool_newest(spool, &found), PICKET_KEPT_FOUND);
    ck_assert_str_eq(found.id, EPOCH "-4");
    ck_assert_uint_eq(found.count, 3);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_damaged_and_known_by_its_name)
{
    struct picket_message found;

    keep(5, "{\"Events\":[1,2,3]}");
    const char *path = only_file();
    struct stat about;
    ck_assert_int_eq(stat(path, &about), 0);
    for (off_t size = about.st_size - 1; size >= 0; size--) {
        ck_assert_int_eq(truncate(path, size), 0);
        open_spool(BYTES_MAX);
        ck_assert_int_eq(spool_oldest(spool, buffer, sizeof buffer, &found), PICKET_KEPT_DAMAGED);
        ck_assert_str_eq(found.id, EPOCH "-5");
        ck_assert_uint_eq(found.count, 3);
    }
}
END_TEST

START_TEST(a_file_cut_behind_our_back_is_damaged)
{
    struct picket_message found;

    keep(5, "{\"Events\":[1,2,3]}");
    ck_assert_int_eq(truncate(only_file(), 40), 0);
    ck_assert_int_eq(spool_oldest(spool, buffer, sizeof buffer, &found), PICKET_KEPT_DAMAGED);
    ck_assert_int_eq(unlink(only_file()), 0);
    ck_assert_int_eq(spool_oldest(spool, buffer, sizeof buffer, &found), PICKET_KEPT_DAMAGED);
    spool_forget(spool);
    ck_assert_uint_eq(spool_count(spool), 0);
}
END_TEST

START_TEST(a_flipped_bit_is_seen_wherever_it_is)
{
    struct picket_message found;
    char bytes[512];

    keep(5, "{\"Events\":[1,2,3]}");
    const char *path = only_file();
    int count = (int)file_read(path, bytes, sizeof bytes);
    ck_assert_int_gt(count, 0);
    for (int at = 0; at < count; at++) {
        FILE *file = fopen(path, "r+");
        bytes[at] ^= 1;
        ck_assert_uint_eq(fwrite(bytes, 1, (size_t)count, file), (size_t)count);
        fclose(file);
        ck_assert_int_eq(spool_oldest(spool, buffer, sizeof buffer, &found), PICKET_KEPT_DAMAGED);
        bytes[at] ^= 1;
    }
}
END_TEST

START_TEST(a_message_longer_than_the_buffer_is_damaged_not_cut)
{
    struct picket_message found;

    keep(5, "{\"Events\":[1,2,3]}");
    ck_assert_int_eq(spool_oldest(spool, buffer, 17, &found), PICKET_KEPT_DAMAGED);
    ck_assert_int_eq(spool_oldest(spool, buffer, 18, &found), PICKET_KEPT_FOUND);
}
END_TEST

START_TEST(what_a_power_cut_left_half_written_is_removed)
{
    root_write("/00000000000000000009." EPOCH "-9.3.message.tmp", "half");
    root_write("/numbering.tmp", "{");
    open_spool(BYTES_MAX);
    ck_assert_uint_eq(spool_count(spool), 0);
    ck_assert_int_ne(access(root_path("/00000000000000000009." EPOCH "-9.3.message.tmp"), F_OK), 0);
    ck_assert_int_ne(access(root_path("/numbering.tmp"), F_OK), 0);
}
END_TEST

START_TEST(files_that_are_not_ours_are_left_alone)
{
    static const char *const names[] = {
        "/numbering",
        "/x.message",
        "/00000000000000000009.message",
        "/00000000000000000009..3.message",
        "/00000000000000000009." EPOCH "-9.message",
        "/00000000000000000009." EPOCH "-9.0.message",
        "/00000000000000000009." EPOCH "-9.4294967296.message",
        "/0000000000000000009x." EPOCH "-9.3.message",
        "/99999999999999999999." EPOCH "-9.3.message",
        "/00000000000000000009." EPOCH EPOCH ".3.message",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        root_write(names[i], "{}");
    root_link("/00000000000000000009." EPOCH "-9.3.message", "/etc/passwd");
    ck_assert_int_eq(mkdir(root_path("/00000000000000000010." EPOCH "-9.3.message"), 0700), 0);
    open_spool(BYTES_MAX);
    ck_assert_uint_eq(spool_count(spool), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(access(root_path(names[i]), F_OK) == 0, "%s", names[i]);
}
END_TEST

START_TEST(a_full_spool_says_so_until_the_oldest_goes)
{
    char body[30001];
    unsigned kept = 0;

    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    while (keep(1 + 3 * kept, body) == PICKET_KEEP_DONE)
        kept++;
    ck_assert_uint_eq(kept, 3);
    ck_assert_int_eq(keep(100, body), PICKET_KEEP_FULL);
    ck_assert_uint_le(spool_bytes(spool), BYTES_MAX);
    spool_forget(spool);
    ck_assert_int_eq(keep(100, body), PICKET_KEEP_DONE);
    assert_oldest(4, body);
}
END_TEST

START_TEST(a_smaller_limit_after_a_restart_makes_the_old_ones_go)
{
    char body[30001];

    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(keep(1 + 3 * i, body), PICKET_KEEP_DONE);
    open_spool(40000);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(keep(10, body), PICKET_KEEP_FULL);
        spool_forget(spool);
    }
    ck_assert_int_eq(keep(10, body), PICKET_KEEP_DONE);
}
END_TEST

START_TEST(another_limit_holds_at_once)
{
    char body[30001];

    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    ck_assert_int_eq(keep(1, body), PICKET_KEEP_DONE);
    spool_limit(spool, 40000);
    ck_assert_int_eq(keep(4, body), PICKET_KEEP_FULL);
    spool_limit(spool, 80000);
    ck_assert_int_eq(keep(4, body), PICKET_KEEP_DONE);
}
END_TEST

START_TEST(a_message_that_never_fits_fails_instead_of_emptying_the_spool)
{
    open_spool(1000);
    ck_assert_int_eq(keep(1, "{}"), PICKET_KEEP_DONE);
    memset(buffer, 'x', 1000);
    buffer[1000] = '\0';
    ck_assert_int_eq(keep(4, buffer), PICKET_KEEP_FAILED);
    ck_assert_ptr_nonnull(strstr(why.text, "never fits"));
    ck_assert_uint_eq(spool_count(spool), 1);
}
END_TEST

START_TEST(on_a_full_disk_the_oldest_make_room_as_far_as_the_newest_needs_it)
{
    char body[20001], command[600];

    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    spool_close(spool);
    spool = NULL;
    snprintf(command, sizeof command, "mount -t tmpfs -o size=96k none %s", root);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 || shell("mount --make-rprivate /") != 0 || shell(command) != 0) {
        fprintf(stderr, "skipped: there is no right to mount\n");
        return;
    }
    open_spool(10 * BYTES_MAX);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(keep(1 + 3 * i, body), PICKET_KEEP_DONE);
    ck_assert_int_eq(keep(13, body), PICKET_KEEP_FULL);
    ck_assert_int_eq(keep(13, body), PICKET_KEEP_FULL);
    spool_forget(spool);
    ck_assert_int_eq(keep(13, body), PICKET_KEEP_DONE);
    assert_oldest(4, body);
    /* Somebody else fills the disk meanwhile: one message goes for one, and the others stay. */
    ck_assert_int_eq(keep(16, body), PICKET_KEEP_FULL);
    spool_forget(spool);
    snprintf(command, sizeof command, "cat /dev/zero >%s/filler 2>/dev/null", root);
    ck_assert_int_ne(shell(command), 0);
    ck_assert_int_eq(keep(16, body), PICKET_KEEP_FAILED);
    ck_assert_ptr_nonnull(strstr(why.text, "No space left"));
    ck_assert_uint_eq(spool_count(spool), 3);
    snprintf(command, sizeof command, "rm %s/filler", root);
    ck_assert_int_eq(shell(command), 0);
    ck_assert_int_eq(keep(16, body), PICKET_KEEP_DONE);
    spool_close(spool);
    spool = NULL;
    snprintf(command, sizeof command, "umount %s", root);
    ck_assert_int_eq(shell(command), 0);
}
END_TEST

START_TEST(hundreds_of_messages_keep_their_order)
{
    unsigned oldest = 1, next = 1;

    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(keep(next++, "{}"), PICKET_KEEP_DONE);
        for (int i = 0; i < 15 + (round > 20) * 10; i++) {
            if (oldest == next)
                break;
            assert_oldest(oldest++, "{}");
            spool_forget(spool);
        }
    }
    ck_assert_uint_eq(spool_count(spool), next - oldest);
}
END_TEST

START_TEST(one_process_has_the_folder)
{
    ck_assert_ptr_null(spool_open(root, BYTES_MAX, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "in use by another"));
}
END_TEST

START_TEST(the_folder_is_made_with_those_above_it)
{
    char folder[512];

    snprintf(folder, sizeof folder, "%s/var/lib/agent", root);
    struct spool *made = spool_open(folder, BYTES_MAX, &why);
    ck_assert_msg(made != NULL, "%s", why.text);
    struct stat about;
    ck_assert_int_eq(stat(folder, &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0700);
    spool_close(made);
}
END_TEST

START_TEST(a_folder_that_cannot_be_is_told)
{
    char folder[512];

    root_write("/file", "x");
    snprintf(folder, sizeof folder, "%s/file", root);
    ck_assert_ptr_null(spool_open(folder, BYTES_MAX, &why));
    ck_assert_ptr_nonnull(strstr(why.text, folder));
    snprintf(folder, sizeof folder, "%s/file/below", root);
    ck_assert_ptr_null(spool_open(folder, BYTES_MAX, &why));
    ck_assert_ptr_nonnull(strstr(why.text, folder));
}
END_TEST

START_TEST(messages_are_for_their_owner_only)
{
    struct stat about;

    keep(1, "{}");
    ck_assert_int_eq(stat(only_file(), &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0600);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        messages_come_back_oldest_first_also_after_a_restart,
        the_newest_is_known_without_its_body,
        a_file_cut_anywhere_is_damaged_and_known_by_its_name,
        a_file_cut_behind_our_back_is_damaged,
        a_flipped_bit_is_seen_wherever_it_is,
        a_message_longer_than_the_buffer_is_damaged_not_cut,
        what_a_power_cut_left_half_written_is_removed,
        files_that_are_not_ours_are_left_alone,
        a_full_spool_says_so_until_the_oldest_goes,
        another_limit_holds_at_once,
        a_smaller_limit_after_a_restart_makes_the_old_ones_go,
        a_message_that_never_fits_fails_instead_of_emptying_the_spool,
        on_a_full_disk_the_oldest_make_room_as_far_as_the_newest_needs_it,
        hundreds_of_messages_keep_their_order,
        one_process_has_the_folder,
        the_folder_is_made_with_those_above_it,
        a_folder_that_cannot_be_is_told,
        messages_are_for_their_owner_only,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/spool",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = teardown,
        .timeout_seconds = 60,
    });
}
