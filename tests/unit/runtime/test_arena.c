#include "runtime/arena.h"

#include <signal.h>
#include <stdalign.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check_main.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

START_TEST(allocations_are_zeroed_aligned_and_apart)
{
    unsigned char *before = NULL;

    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *bytes = arena_alloc(&arena, size, 1);
        ck_assert_ptr_nonnull(bytes);
        ck_assert_uint_eq((uintptr_t)bytes % alignof(max_align_t), 0);
        ck_assert_ptr_ne(bytes, before);
        for (size_t i = 0; i < size; i++)
            ck_assert_uint_eq(bytes[i], 0);
        memset(bytes, 0xff, size);
        before = bytes;
    }
}
END_TEST

START_TEST(earlier_allocations_outlive_later_blocks)
{
    int *numbers[2000];

    for (int i = 0; i < 2000; i++) {
        numbers[i] = ARENA_ARRAY(&arena, int, 100);
        for (int k = 0; k < 100; k++)
            numbers[i][k] = i;
    }
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(numbers[i][99], i);
}
END_TEST

START_TEST(one_allocation_may_be_larger_than_any_block)
{
    size_t count = (size_t)5 << 20;
    char *large = arena_alloc(&arena, 1, count);
    char *small = arena_alloc(&arena, 1, 1);

    memset(large, 1, count);
    ck_assert_int_eq(*small, 0);
    ck_assert_uint_ge(arena.used_bytes, count);
}
END_TEST

START_TEST(cleared_arena_begins_anew_zeroed_without_growing)
{
    const struct arena_block *kept = NULL;

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 100; i++) {
            char *bytes = arena_alloc(&arena, 1, 20);
            ck_assert_int_eq(bytes[19], 0);
            memset(bytes, 0xff, 20);
        }
        ck_assert_uint_eq(arena.used_bytes, 100 * 32);
        arena_clear(&arena);
        ck_assert_uint_eq(arena.used_bytes, 0);
        if (round > 0)
            ck_assert_ptr_eq(arena.newest, kept);
        kept = arena.newest;
    }
}
END_TEST

START_TEST(huge_block_does_not_stay_after_clear)
{
    (void)arena_alloc(&arena, 1, (size_t)8 << 20);
    arena_clear(&arena);
    ck_assert_ptr_null(arena.newest);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 1, 1));
}
END_TEST

START_TEST(copied_text_is_terminated_and_absent_stays_absent)
{
    char source[] = "abc";
    struct text copy = arena_text(&arena, (struct text){source, 2});

    source[0] = 'x';
    ck_assert_uint_eq(copy.count, 2);
    ck_assert_str_eq(copy.bytes, "ab");
    ck_assert_ptr_null(arena_text(&arena, TEXT_NONE).bytes);
    ck_assert_ptr_nonnull(arena_text(&arena, TEXT("")).bytes);
    ck_assert_str_eq(arena_string(&arena, TEXT_NONE), "");
}
END_TEST

START_TEST(formats_of_any_length_are_whole)
{
    ck_assert_str_eq(arena_format(&arena, "%s:%d", "line", 3), "line:3");
    ck_assert_uint_eq(strlen(arena_format(&arena, "%*s", 10000, "x")), 10000);
}
END_TEST

START_TEST(size_that_overflows_ends_the_process)
{
    int reason = 0;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)arena_alloc(&arena, SIZE_MAX / 2, 3);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &reason, 0), child);
    ck_assert(WIFSIGNALED(reason) && WTERMSIG(reason) == SIGABRT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        allocations_are_zeroed_aligned_and_apart,
        earlier_allocations_outlive_later_blocks,
        one_allocation_may_be_larger_than_any_block,
        cleared_arena_begins_anew_zeroed_without_growing,
        huge_block_does_not_stay_after_clear,
        copied_text_is_terminated_and_absent_stays_absent,
        formats_of_any_length_are_whole,
        size_that_overflows_ends_the_process,
    };
    return check_main(&(const struct check_suite){.name = "runtime/arena",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
