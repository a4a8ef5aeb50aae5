#include "ingest/sightings.h"

#include <stdio.h>

#include "tests/support/check_main.h"

static struct sightings *sightings;
static struct sighting_clone clone;

static void setup(void)
{
    sightings = sightings_new();
}

static void teardown(void)
{
    sightings_free(sightings);
}

static bool seen(const char *device, const char *peer, int64_t now_s)
{
    struct identity identity = {1, text_of(device), TEXT("")};
    return sightings_note(sightings, &identity, peer, now_s, &clone);
}

START_TEST(back_and_forth_three_times_is_a_clone)
{
    ck_assert(!seen("d", "192.0.2.1", 0));
    ck_assert(!seen("d", "192.0.2.2", 1));
    ck_assert(!seen("d", "192.0.2.1", 2)); /* returns once, */
    ck_assert(!seen("d", "192.0.2.1", 3));
    ck_assert(!seen("d", "192.0.2.2", 4)); /* twice, */
    ck_assert(seen("d", "192.0.2.1", 5));  /* and again */
    ck_assert_str_eq(clone.addresses[0], "192.0.2.1");
    ck_assert_str_eq(clone.addresses[1], "192.0.2.2");
    ck_assert_uint_eq(clone.returns, 3);
}
END_TEST

START_TEST(it_is_said_once_in_a_window_with_all_that_came_since)
{
    unsigned told = 0, returns = 0;

    for (int64_t i = 0; i < 3 * SIGHTINGS_WINDOW_S; i++) {
        if (!seen("d", i % 2 ? "2001:db8::1" : "192.0.2.1", i))
            continue;
        told++;
        returns += clone.returns;
    }
    ck_assert_uint_eq(told, 3);
    ck_assert_uint_gt(returns, 2 * SIGHTINGS_WINDOW_S - 5);
}
END_TEST

START_TEST(who_moves_on_is_none)
{
    char peer[32];

    for (int i = 0; i < 200; i++) { /* ever further, or round through many addresses */
        snprintf(peer, sizeof peer, "192.0.2.%d", i % 3);
        ck_assert(!seen("round", peer, i));
        snprintf(peer, sizeof peer, "198.51.100.%d", i);
        ck_assert(!seen("away", peer, i));
    }
}
END_TEST

START_TEST(who_comes_back_after_long_is_none)
{
    for (int64_t i = 0; i < 50; i++)
        ck_assert(!seen("commuter", i % 2 ? "192.0.2.1" : "192.0.2.2", i * (SIGHTINGS_WINDOW_S + 1)));
    for (int64_t i = 0; i < 50; i++) /* at most twice within a window, and then a long time nothing */
        ck_assert(!seen("seldom", i % 2 ? "192.0.2.1" : "192.0.2.2", i / 3 * 5000 + i));
}
END_TEST

START_TEST(identities_are_told_apart)
{
    struct identity other = {2, TEXT("d"), TEXT("")}, module = {1, TEXT("d"), TEXT("m")};

    for (int64_t i = 0; i < 20; i++) {
        ck_assert(!seen("d", "192.0.2.1", i));
        ck_assert(!sightings_note(sightings, &other, "192.0.2.2", i, &clone));
        ck_assert(!sightings_note(sightings, &module, "192.0.2.3", i, &clone));
    }
    ck_assert(!seen("d", "no address", 20));
}
END_TEST

START_TEST(more_than_it_remembers_are_taken_and_the_present_ones_found)
{
    char device[32];

    for (unsigned i = 0; i < SIGHTINGS_MAX + 100000; i++) {
        snprintf(device, sizeof device, "device-%u", i);
        ck_assert(!seen(device, "192.0.2.1", i / 2000));
    }
    bool told = false;
    for (int64_t i = 0; i < 8; i++)
        told = seen("device-5", i % 2 ? "192.0.2.1" : "192.0.2.2", 100000 + i) || told;
    ck_assert(told);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        back_and_forth_three_times_is_a_clone,
        it_is_said_once_in_a_window_with_all_that_came_since,
        who_moves_on_is_none,
        who_comes_back_after_long_is_none,
        identities_are_told_apart,
        more_than_it_remembers_are_taken_and_the_present_ones_found,
    };
    const struct check_suite suite = {"ingest/sightings", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
