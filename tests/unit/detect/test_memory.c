#include <stdio.h>

#include "detect/memory.h"
#include "tests/support/check_main.h"

#define SECOND_US INT64_C(1000000)
#define FROM_US INT64_C(1790000000000000)

static struct arena arena, other_arena;
static struct memory *memory;

static void setup(void)
{
    arena_init(&arena);
    arena_init(&other_arena);
    memory = memory_new(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
    arena_done(&other_arena);
}

static void note(const char *rule, const char *key, const char *value, int64_t second)
{
    memory_note(memory, rule, text_of(key), text_of(value), 1, FROM_US + second * SECOND_US, 600 * SECOND_US);
}

static struct memory_sum sum(const char *rule, const char *key, int64_t second, int64_t within)
{
    return memory_sum(memory, rule, text_of(key), FROM_US + second * SECOND_US, within * SECOND_US);
}

static const char *written(const struct memory *from)
{
    struct buf out;

    buf_init(&out, MEMORY_BYTES_MAX);
    memory_write(from, &out);
    ck_assert(!buf_failed(&out));
    const char *copy = arena_string(&arena, buf_as_text(&out));
    buf_done(&out);
    return copy;
}

START_TEST(a_window_holds_what_happened_in_it_and_nothing_else)
{
    note("r", "k", "a", 0);
    note("r", "k", "b", 10);
    note("r", "k", "a", 20);
    note("r", "other", "z", 20);
    note("q", "k", "z", 20);
    ck_assert_uint_eq(sum("r", "k", 20, 60).times, 3);
    ck_assert_uint_eq(sum("r", "k", 20, 60).values, 2);
    ck_assert_uint_eq(sum("r", "k", 20, 20).times, 2); /* what is just as old as the window is out of it */
    ck_assert_uint_eq(sum("r", "k", 15, 60).times, 2); /* what comes later than the event is not yet */
    ck_assert_uint_eq(sum("r", "k", 700, 60).times, 0);
    ck_assert(memory_has(memory, "r", TEXT("k"), TEXT("b"), FROM_US + 20 * SECOND_US, 60 * SECOND_US));
    memory_forget(memory, "r", TEXT("k"));
    ck_assert_uint_eq(sum("r", "k", 20, 60).times, 0);
    ck_assert(memory_knows(memory, "r", TEXT("other")));
}
END_TEST

START_TEST(what_is_written_is_read_again_and_answers_the_same)
{
    note("r", "k\"\\\n", "v\"", 0);
    note("r", "k2", "", 5);
    note("s", "", "x", 7);
    const char *first = written(memory);
    ck_assert(memory_changed(memory));
    struct memory *again = memory_read(text_of(first), &arena);
    ck_assert(!memory_changed(again));
    ck_assert_str_eq(written(again), first);
    memory = again;
    note("r", "k2", "", 6);
    ck_assert(memory_changed(again));
    ck_assert_uint_eq(sum("r", "k2", 6, 60).times, 2);
}
END_TEST

START_TEST(what_cannot_be_read_is_an_empty_memory)
{
    static const char *const broken[] = {"", "{}", "[2]", "[1,[\"r\"]]", "[1,[\"r\",\"k\",[1,2]]]", "[1,[\"r\",\"k\",[1,-2,\"x\"]]]", "[1,[\"r\",\"k\",[\"1\",2,\"x\"]]]", "nonsense"};

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        ck_assert_str_eq(written(memory_read(text_of(broken[i]), &arena)), "[1]");
}
END_TEST

START_TEST(a_million_entities_leave_a_bounded_memory_and_other_rules_alone)
{
    size_t longest = 0;

    note("other", "kept", "v", 0);
    for (int i = 0; i < 1000000; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%d", i);
        note("r", key, key, i / 10000);
        if (i % 20000 == 0) { /* as store does, from batch to batch */
            const char *text = written(memory);
            longest = strlen(text) > longest ? strlen(text) : longest;
            arena_clear(&other_arena);
            struct text copy = arena_text(&other_arena, text_of(text));
            arena_clear(&arena);
            memory = memory_read(arena_text(&arena, copy), &arena);
        }
    }
    ck_assert_uint_le(longest, 4096);
    ck_assert(memory_knows(memory, "other", TEXT("kept")));
    ck_assert(memory_knows(memory, "r", TEXT("k999999")));
    ck_assert(!memory_knows(memory, "r", TEXT("k0")));
}
END_TEST

START_TEST(a_traces_marks_are_bounded_and_counts_stay_true)
{
    for (int i = 0; i < 1000; i++)
        note("r", "k", "", 0 + i % 2);
    for (int i = 0; i < 500; i++)
        note("r", "k", "", 2 + i);
    ck_assert_uint_eq(sum("r", "k", 502, 600).times, 1500);
    for (int i = 0; i < 1000; i++) {
        char value[200];
        memset(value, 'v', sizeof value);
        snprintf(value + 120, 20, "%d", i);
        note("s", "k", value, 3);
    }
    ck_assert_uint_eq(sum("s", "k", 10, 60).values, MEMORY_MARKS_MAX); /* long values differ still */
    ck_assert_uint_le(strlen(written(memory)), (size_t)200 * (MEMORY_MARKS_MAX * 2 + 2));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_window_holds_what_happened_in_it_and_nothing_else,
        what_is_written_is_read_again_and_answers_the_same,
        what_cannot_be_read_is_an_empty_memory,
        a_million_entities_leave_a_bounded_memory_and_other_rules_alone,
        a_traces_marks_are_bounded_and_counts_stay_true,
    };
    const struct check_suite suite = {"detect/memory", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
