#include "ingest/quota.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/check_main.h"

#define NOW_US 1767348000000000
#define US_PER_S 1000000

static const struct quota_limits none = {0, 0};
static struct quota *quota;
static bool is_workspace;

static void setup(void)
{
    quota = quota_new();
}

static void teardown(void)
{
    quota_free(quota);
}

static struct identity device(const char *id)
{
    return (struct identity){1, text_of(id), TEXT("")};
}

static unsigned take(const char *id, const struct quota_limits *limits, size_t bytes, int64_t at_us)
{
    struct identity identity = device(id);
    return quota_take(quota, &identity, limits, &none, bytes, at_us, &is_workspace);
}

START_TEST(without_limits_everything_passes)
{
    for (int i = 0; i < 100000; i++)
        ck_assert_uint_eq(take("d1", &none, 1 << 20, NOW_US), 0);
}
END_TEST

START_TEST(burst_is_a_few_seconds_of_the_rate)
{
    const struct quota_limits ten = {10, 0};

    for (int i = 0; i < 10 * QUOTA_BURST_S; i++)
        ck_assert_uint_eq(take("d1", &ten, 0, NOW_US), 0);
    ck_assert_uint_eq(take("d1", &ten, 0, NOW_US), 1);
}
END_TEST

START_TEST(steady_rate_passes_for_ever_and_a_tenth_more_does_not)
{
    const struct quota_limits ten = {10, 0};
    int refused = 0;

    for (int i = 0; i < 10000; i++)
        ck_assert_uint_eq(take("steady", &ten, 0, NOW_US + (int64_t)i * US_PER_S / 10), 0);
    for (int i = 0; i < 10000; i++)
        refused += take("faster", &ten, 0, NOW_US + (int64_t)i * US_PER_S / 11) != 0;
    ck_assert_int_gt(refused, 700);
    ck_assert_int_lt(refused, 1000);
}
END_TEST

START_TEST(told_wait_is_enough)
{
    const struct quota_limits slow = {1, 0};

    for (int i = 0; i < QUOTA_BURST_S; i++)
        ck_assert_uint_eq(take("d1", &slow, 0, NOW_US), 0);
    unsigned seconds = take("d1", &slow, 0, NOW_US);
    ck_assert_uint_ge(seconds, 1);
    ck_assert_uint_eq(take("d1", &slow, 0, NOW_US + (int64_t)seconds * US_PER_S), 0);
}
END_TEST

START_TEST(bytes_count_and_a_large_message_is_paid_for_afterwards)
{
    const struct quota_limits narrow = {0, 1000};

    ck_assert_uint_eq(take("d1", &narrow, 100000, NOW_US), 0);
    unsigned seconds = take("d1", &narrow, 1, NOW_US);
    ck_assert_uint_ge(seconds, 95);
    ck_assert_uint_le(seconds, 96);
    ck_assert_uint_eq(take("d1", &narrow, 1, NOW_US + (int64_t)seconds * US_PER_S), 0);
}
END_TEST

START_TEST(charged_bytes_delay_the_next_message)
{
    const struct quota_limits narrow = {0, 1000};
    struct identity identity = device("d1");

    ck_assert_uint_eq(take("d1", &narrow, 10, NOW_US), 0);
    quota_charge(quota, &identity, &narrow, &none, 50000, NOW_US);
    ck_assert_uint_ge(take("d1", &narrow, 1, NOW_US), 45);
}
END_TEST

START_TEST(refused_message_costs_nothing)
{
    const struct quota_limits slow = {1, 0}, wide = {1000, 0};
    struct identity first = device("d1"), second = {1, TEXT("d2"), TEXT("")};

    /* The workspace is exhausted by d1; d2 is refused again and again, and then may still send its whole burst. */
    for (int i = 0; i < QUOTA_BURST_S; i++)
        ck_assert_uint_eq(quota_take(quota, &first, &wide, &slow, 0, NOW_US, &is_workspace), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_ne(quota_take(quota, &second, &slow, &slow, 0, NOW_US, &is_workspace), 0);
    ck_assert(is_workspace);
    for (int i = 0; i < QUOTA_BURST_S; i++)
        ck_assert_uint_eq(quota_take(quota, &second, &slow, &none, 0, NOW_US, &is_workspace), 0);
}
END_TEST

START_TEST(devices_modules_and_workspaces_have_budgets_of_their_own)
{
    const struct quota_limits one = {1, 0};
    const struct identity identities[] = {
        {1, TEXT("d1"), TEXT("")}, {1, TEXT("d1"), TEXT("m")}, {1, TEXT("d2"), TEXT("")}, {2, TEXT("d1"), TEXT("")}};

    for (size_t i = 0; i < sizeof identities / sizeof *identities; i++) {
        for (int n = 0; n < QUOTA_BURST_S; n++)
            ck_assert_uint_eq(quota_take(quota, &identities[i], &one, &none, 0, NOW_US, &is_workspace), 0);
        ck_assert_uint_ne(quota_take(quota, &identities[i], &one, &none, 0, NOW_US, &is_workspace), 0);
        ck_assert(!is_workspace);
    }
}
END_TEST

START_TEST(many_resting_devices_do_not_free_a_busy_one)
{
    const struct quota_limits slow = {1, 0};
    char id[32];

    for (int i = 0; i < QUOTA_BURST_S; i++)
        ck_assert_uint_eq(take("busy", &slow, 0, NOW_US), 0);
    for (int i = 0; i < 20000; i++) {
        snprintf(id, sizeof id, "resting-%d", i);
        ck_assert_uint_eq(take(id, &slow, 0, NOW_US), 0);
    }
    ck_assert_uint_ne(take("busy", &slow, 0, NOW_US), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        without_limits_everything_passes,
        burst_is_a_few_seconds_of_the_rate,
        steady_rate_passes_for_ever_and_a_tenth_more_does_not,
        told_wait_is_enough,
        bytes_count_and_a_large_message_is_paid_for_afterwards,
        charged_bytes_delay_the_next_message,
        refused_message_costs_nothing,
        devices_modules_and_workspaces_have_budgets_of_their_own,
        many_resting_devices_do_not_free_a_busy_one,
    };
    const struct check_suite suite = {.name = "ingest/quota", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};
    return check_main(&suite);
}
