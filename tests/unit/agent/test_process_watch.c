#include "agent/process_watch.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/check_main.h"

#define WAIT_MS 10000

/* The kernel's own word, on this host: needs root, as the agent does. Without it the agent looks in intervals, which other tests show. */
static struct process_watch *watch;

static void setup(void)
{
    struct reason why;

    watch = process_watch_open(8 << 20, &why);
    ck_assert_msg(watch != NULL || geteuid() != 0, "%s", why.text);
    if (!watch)
        fprintf(stderr, "skipped: without root, %s\n", why.text);
}

static void teardown(void)
{
    process_watch_close(watch);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t begin(const char *path, const char *const *arguments)
{
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (!child) {
        execv(path, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    return child;
}

/* How often programs with that argument began, by what the watch says until there are `wanted`. */
static uint64_t heard(const char *mark, uint64_t wanted, struct process *last)
{
    int64_t until_ms = now_ms() + WAIT_MS;
    uint64_t count = 0, times;
    struct process *process = malloc(sizeof *process);

    ck_assert_ptr_nonnull(process);
    while (count < wanted && now_ms() < until_ms) {
        struct pollfd readable = {.fd = process_watch_socket(watch), .events = POLLIN};
        poll(&readable, 1, 100);
        while (process_watch_next(watch, process, &times))
            if (strstr(process->command_line, mark)) {
                count += times;
                *last = *process;
            }
    }
    free(process);
    return count;
}

/* A program that ends at once may have lost its arguments, or all, before it was looked at; it counts all the same. */
static bool is_of(const struct process *process, const char *mark)
{
    bool ending = !*process->command_line && strstr(process->executable, "true");

    return strstr(process->command_line, mark) || ending || strcmp(process->executable, "(gone)") == 0;
}

START_TEST(a_short_lived_process_is_seen_with_its_arguments)
{
    static struct process seen;
    int64_t pid;

    if (!watch)
        return;
    /* It sleeps ten milliseconds at most: no look in intervals would find it. */
    pid = begin("/bin/sleep", (const char *const[]){"sleep", "0.01001", NULL});
    ck_assert_uint_eq(heard("0.01001", 1, &seen), 1);
    ck_assert_int_eq(seen.pid, pid);
    ck_assert_int_eq(seen.parent, getpid());
    ck_assert_uint_eq(seen.user, getuid());
    ck_assert_ptr_nonnull(strstr(seen.executable, "sleep"));
    pid = begin("/bin/sleep", (const char *const[]){"sl\xc3\xa9" "ep \"x\"", "0.00", "0.010007", NULL});
    ck_assert_uint_eq(heard("0.010007", 1, &seen), 1);
    ck_assert_str_eq(seen.command_line, "sl\xc3\xa9" "ep \"x\" 0.00 0.010007");
}
END_TEST

START_TEST(a_burst_is_counted_exactly)
{
    static struct process gone;
    enum { BURST = 2000 };
    uint64_t all = 0, times;

    if (!watch)
        return;
    for (int i = 0; i < BURST; i++)
        begin("/bin/true", (const char *const[]){"true", "burst-of-the-test", NULL});
    int64_t until_ms = now_ms() + WAIT_MS;
    while (all < BURST && now_ms() < until_ms) {
        struct pollfd readable = {.fd = process_watch_socket(watch), .events = POLLIN};
        poll(&readable, 1, 100);
        while (process_watch_next(watch, &gone, &times))
            if (is_of(&gone, "burst-of-the-test"))
                all += times;
    }
    ck_assert_uint_ge(all, BURST);
    ck_assert_uint_eq(process_watch_lost(watch), 0);
    ck_assert(!process_watch_overran(watch));
}
END_TEST

START_TEST(what_nobody_takes_is_counted_as_lost)
{
    uint64_t times, kept = 0;
    static struct process process;
    char number[600];

    if (!watch)
        return;
    memset(number, 'x', sizeof number);
    for (int i = 0; i < 1000; i++) { /* each another one, so that none is merged; more than there is room for */
        snprintf(number + 500, sizeof number - 500, "lost-of-the-test-%d", i);
        begin("/bin/true", (const char *const[]){"true", number, NULL});
    }
    while (process_watch_next(watch, &process, &times))
        kept += is_of(&process, "lost-of-the-test") ? times : 0;
    ck_assert_uint_gt(kept, 100);
    ck_assert_uint_ge(kept + process_watch_lost(watch), 999); /* the last one may still be on its way */
    ck_assert_uint_eq(process_watch_lost(watch), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_short_lived_process_is_seen_with_its_arguments,
        a_burst_is_counted_exactly,
        what_nobody_takes_is_counted_as_lost,
    };
    const struct check_suite suite = {"agent/process_watch", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
