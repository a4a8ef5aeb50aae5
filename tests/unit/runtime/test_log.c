#include "runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/text.h"
#include "tests/support/check_main.h"

#define THREADS 4
#define LINES_EACH 200

static int log_fd;
static char said[1 << 20];

/* Each test has a process of its own, so stderr need not be put back. */
static void setup(void)
{
    log_fd = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(log_fd, 0);
    ck_assert_int_eq(fcntl(log_fd, F_SETFL, O_APPEND), 0); /* or threads would write over each other */
    ck_assert_int_eq(dup2(log_fd, STDERR_FILENO), STDERR_FILENO);
    log_set_level(LOG_INFO);
}

static const char *logged(void)
{
    ssize_t count = pread(log_fd, said, sizeof said - 1, 0);

    ck_assert_int_ge(count, 0);
    said[count] = '\0';
    return said;
}

static size_t line_count(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t compiled;

    ck_assert_int_eq(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&compiled, text, 0, NULL, 0) == 0, "%s", text);
    regfree(&compiled);
}

START_TEST(line_is_time_level_event_fields)
{
    log_info("event.name", "field=%s other=%d", "value", 7);
    assert_matches(logged(),
                   "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z info event\\.name "
                   "field=value other=7\n$");
}
END_TEST

START_TEST(line_without_fields_ends_after_the_event)
{
    log_error("program.stopped", "%s", "");
    assert_matches(logged(), "Z error program\\.stopped\n$");
}
END_TEST

START_TEST(levels_below_the_least_are_silent)
{
    log_debug("a", "x=1");
    ck_assert_str_eq(logged(), "");
    log_set_level(LOG_WARN);
    log_info("b", "x=1");
    ck_assert_str_eq(logged(), "");
    log_warn("c", "x=1");
    log_set_level(LOG_DEBUG);
    log_debug("d", "x=1");
    ck_assert_ptr_nonnull(strstr(logged(), " warn c x=1\n"));
    ck_assert_ptr_nonnull(strstr(said, " debug d x=1\n"));
}
END_TEST

START_TEST(stranger_cannot_forge_a_line)
{
    log_info("door", "who=%s", "x\n2026-01-02 error forged\r\x1b[2J\x7f\xc2\x9b");
    ck_assert_uint_eq(line_count(logged()), 1);
    ck_assert_ptr_nonnull(strstr(said, "who=x\\x0a2026-01-02 error forged\\x0d\\x1b[2J\\x7f\\xc2\\x9b\n"));
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_escaped_and_others_kept)
{
    log_info("door", "who=%s", "\xc3\xa4\xff\xe2\x82");
    ck_assert_ptr_nonnull(strstr(logged(), "who=\xc3\xa4\\xff\\xe2\\x82\n"));
}
END_TEST

START_TEST(longest_fields_are_cut_and_still_one_line)
{
    char *bytes = malloc(100000);

    memset(bytes, 1, 99999); /* each becomes four */
    bytes[99999] = '\0';
    log_info("door", "x=%s", bytes);
    log_info("next", "y=1");
    ck_assert_uint_eq(line_count(logged()), 2);
    free(bytes);
}
END_TEST

START_TEST(errno_survives_a_line)
{
    errno = ENOSPC;
    log_info("a", "x=1");
    ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(rated_lines_are_few_and_tell_how_many_were_left_out)
{
    static struct log_rate rate;
    int sent = 0;
    int64_t deadline_ms = clock_monotonic_ms() + 10000;

    for (; sent < 5000; sent++)
        log_rated(&rate, LOG_WARN, "flood", "n=%d", sent);
    ck_assert_uint_le(line_count(logged()), 5 * LOG_RATE_PER_SECOND);
    while (!strstr(logged(), "left_out=") && clock_monotonic_ms() < deadline_ms) {
        log_rated(&rate, LOG_WARN, "flood", "n=%d", sent++);
        usleep(1000); /* between two looks at the condition */
    }
    const char *left_out = strstr(said, "left_out=");
    ck_assert_ptr_nonnull(left_out);
    size_t before = 0;
    for (const char *at = said; at < left_out; at++)
        before += *at == '\n';
    unsigned long told = strtoul(left_out + strlen("left_out="), NULL, 10);
    ck_assert_uint_eq(told + before + 1, (unsigned long)sent);
}
END_TEST

static void *write_lines(void *number)
{
    for (int i = 0; i < LINES_EACH; i++)
        log_info("thread", "number=%d end", *(int *)number);
    return NULL;
}

START_TEST(lines_of_many_threads_do_not_mix)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    size_t whole = 0;

    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct text line, rest = text_of(logged());
    while (rest.count) {
        rest = text_cut(rest, '\n', &line);
        ck_assert(text_ends(line, TEXT(" end")));
        ck_assert_uint_eq(line.count, strlen("2026-01-02T03:04:05.678Z info thread number=0 end"));
        whole++;
    }
    ck_assert_uint_eq(whole, THREADS * LINES_EACH);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        line_is_time_level_event_fields,
        line_without_fields_ends_after_the_event,
        levels_below_the_least_are_silent,
        stranger_cannot_forge_a_line,
        bytes_that_are_not_utf8_are_escaped_and_others_kept,
        longest_fields_are_cut_and_still_one_line,
        errno_survives_a_line,
        rated_lines_are_few_and_tell_how_many_were_left_out,
        lines_of_many_threads_do_not_mix,
    };
    return check_main(&(const struct check_suite){.name = "runtime/log",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .timeout_seconds = 30});
}
