#include "runtime/metrics.h"

#include <pthread.h>

#include "tests/support/check_main.h"

#define THREADS 4
#define ADDS 10000

static struct metric answers[] = {
    METRIC_LABELLED_INIT("picket_answers_total", "Answers given.", "status", "204"),
    METRIC_LABELLED_INIT("picket_answers_total", "Answers given.", "status", "a\"\\\n"),
};
static struct metric waiting = METRIC_GAUGE_INIT("picket_waiting", "Now waiting.");
static struct metric lines = METRIC_COUNTER_INIT("picket_lines_total", "Lines read.");
static struct buf printed;

static void setup(void)
{
    buf_init(&printed, 100000);
    metric_register(answers, 2);
    metric_register(&waiting, 1);
    metric_register(&lines, 1);
}

static void teardown(void)
{
    buf_done(&printed);
}

START_TEST(page_is_prometheus_text_with_one_heading_per_name)
{
    metric_add(&answers[0], 3);
    metric_set(&waiting, -2);
    metrics_print(&printed);
    ck_assert_str_eq(printed.bytes, "# HELP picket_answers_total Answers given.\n"
                                    "# TYPE picket_answers_total counter\n"
                                    "picket_answers_total{status=\"204\"} 3\n"
                                    "picket_answers_total{status=\"a\\\"\\\\\\n\"} 0\n"
                                    "# HELP picket_waiting Now waiting.\n"
                                    "# TYPE picket_waiting gauge\n"
                                    "picket_waiting -2\n"
                                    "# HELP picket_lines_total Lines read.\n"
                                    "# TYPE picket_lines_total counter\n"
                                    "picket_lines_total 0\n");
}
END_TEST

START_TEST(registering_twice_is_harmless)
{
    struct buf again;

    metrics_print(&printed);
    metric_register(&lines, 1);
    metric_register(answers, 2);
    buf_init(&again, 100000);
    metrics_print(&again);
    ck_assert_str_eq(printed.bytes, again.bytes);
    buf_done(&again);
}
END_TEST

START_TEST(total_is_the_sum_over_all_labels)
{
    metric_add(&answers[0], 3);
    metric_add(&answers[1], 4);
    ck_assert_int_eq(metric_total("picket_answers_total"), 7);
    ck_assert_int_eq(metric_get(&answers[1]), 4);
    ck_assert_int_eq(metric_total("picket_nothing"), 0);
}
END_TEST

static void *add_many(void *nothing)
{
    for (int i = 0; i < ADDS; i++)
        metric_add(&lines, 1);
    return nothing;
}

START_TEST(no_count_of_many_threads_is_lost)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(metric_total("picket_lines_total"), THREADS * ADDS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        page_is_prometheus_text_with_one_heading_per_name,
        registering_twice_is_harmless,
        total_is_the_sum_over_all_labels,
        no_count_of_many_threads_is_lost,
    };
    return check_main(&(const struct check_suite){.name = "runtime/metrics",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
