#include "agent/collect_users.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/watch.h"

static void setup(void)
{
    watch_open(&collector_users);
}

START_TEST(users_are_told_with_their_groups)
{
    root_write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n"
                              "lone:x:1001:4242::/:/bin/false");
    root_write("/etc/group", "root:x:0:\nsudo:x:27:bob,ann\nann:x:1000:ann\nannex:x:28:anna,xann\ndocker:x:999:ann\n");
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(json_array_get(watch.seen, 0), "Name", "LocalUsers");
    assert_text(json_array_get(watch.seen, 0), "Category", "Periodic");
    ck_assert_uint_eq(watch_count(), 3);
    const json_t *root_user = watch_find("UserName", "root"), *ann = watch_find("UserName", "ann");
    assert_text(root_user, "UserId", "0");
    assert_text(root_user, "GroupNames", "root");
    assert_text(root_user, "GroupIds", "0");
    assert_text(ann, "UserId", "1000");
    assert_text(ann, "GroupNames", "ann;sudo;docker");
    assert_text(ann, "GroupIds", "1000;27;999");
    assert_text(watch_find("UserName", "lone"), "GroupNames", "4242");
    assert_text(watch_find("UserName", "lone"), "GroupIds", "4242");
}
END_TEST

START_TEST(no_file_is_an_empty_list)
{
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    ck_assert(json_is_true(json_object_get(json_array_get(watch.seen, 0), "IsEmpty")));
    ck_assert_uint_eq(watch_count(), 0);
}
END_TEST

START_TEST(lines_that_are_no_users_are_left_out)
{
    root_write("/etc/passwd", "\n+::::::\n# comment\n:x:1:1::/:\nbad:x:-1:1::/:\nshort:x:5\ngood:x:5:5::/:\n");
    root_write("/etc/group", "\n+\n:x:1:\nbad:x:q:good\ngood:x:5:\n");
    watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "UserName", "good");
    assert_text(watch_element(0), "GroupNames", "good");
}
END_TEST

START_TEST(many_users_are_all_told)
{
    static char passwd[100000];
    size_t used = 0;

    for (int i = 0; i < 2000; i++)
        used += (size_t)snprintf(passwd + used, sizeof passwd - used, "user%d:x:%d:%d::/home/user%d:/bin/sh\n", i, i, i, i);
    root_write("/etc/passwd", passwd);
    ck_assert_uint_gt(json_array_size(watch_round()), 1);
    ck_assert_uint_eq(watch_count(), 2000);
    assert_text(watch_element(1999), "UserName", "user1999");
}
END_TEST

/* Names of which each byte takes six: the longest element there is, among others that must not be lost with it. */
START_TEST(hostile_group_names_take_no_other_user_with_them)
{
    static char passwd[8192], group[65536];
    size_t used = 0, users = 0;

    for (; users < 60; users++)
        used += (size_t)snprintf(passwd + used, sizeof passwd - used, "%suser%zu:x:%zu:%zu::/:/bin/sh\n",
                                 users == 40 ? "\1\2\3\4" : "", users, users, users);
    root_write("/etc/passwd", passwd);
    used = 0;
    for (int i = 0; i < 60; i++) {
        memset(group + used, 1 + i % 8, 120);
        used += 120;
        used += (size_t)snprintf(group + used, sizeof group - used, ":x:%d:\1\2\3\4user40\n", 5000 + i);
    }
    root_write("/etc/group", group);
    watch_round();
    ck_assert_uint_eq(watch_count(), users);
    const json_t *hostile = watch_find("UserName", "\1\2\3\4user40");
    ck_assert_ptr_nonnull(hostile);
    ck_assert_uint_gt(json_string_length(json_object_get(hostile, "GroupNames")), 3900);
    ck_assert_uint_lt(json_string_length(json_object_get(hostile, "GroupNames")), USER_GROUPS_SIZE);
}
END_TEST

START_TEST(long_names_are_read_and_longer_ones_left_out)
{
    static char passwd[1024];
    struct user user;

    memset(passwd, 'u', sizeof passwd);
    memcpy(passwd + USER_NAME_SIZE - 1, ":x:7:8::/:/bin/sh", 18);
    ck_assert(user_read(passwd, strlen(passwd), &user));
    ck_assert_uint_eq(strlen(user.name), USER_NAME_SIZE - 1);
    ck_assert_uint_eq(user.id, 7);
    ck_assert_uint_eq(user.group, 8);
    memset(passwd, 'u', sizeof passwd);
    memcpy(passwd + USER_NAME_SIZE, ":x:7:8::/:/bin/sh", 18);
    ck_assert(!user_read(passwd, strlen(passwd), &user));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        users_are_told_with_their_groups,
        no_file_is_an_empty_list,
        lines_that_are_no_users_are_left_out,
        many_users_are_all_told,
        hostile_group_names_take_no_other_user_with_them,
        long_names_are_read_and_longer_ones_left_out,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collect_users",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = watch_close,
        .timeout_seconds = 30,
    });
}
