#include <poll.h>

#include "tests/support/check_main.h"
#include "tests/support/crashes.h"
#include "tests/support/database.h"
#include "tests/support/pipeline.h"
#include "tests/support/senders.h"

/* Direct mode: picketd and PostgreSQL are killed under load, at random moments. */

#define ROUNDS 5
#define DEVICES 40
#define CONNECTIONS 16
#define ACKS_BETWEEN_MAX 1000 /* how long is waited for the moment, in answers */
#define DOWN_MS_MAX 500

static struct senders *senders;
static struct program *server;
static uint64_t draws;

static void setup(void)
{
    draws = crashes_seed();
    pipeline_open(BUS_DIRECT);
    server = pipeline_start(NULL, NULL);
    senders = senders_open(DEVICES, CONNECTIONS, draws);
}

static void teardown(void)
{
    senders_close(senders);
    pipeline_close();
}

static void moment_wait(void)
{
    senders_wait(senders, 1 + crashes_draw(&draws, ACKS_BETWEEN_MAX));
}

static void stay_down(void)
{
    poll(NULL, 0, (int)crashes_draw(&draws, DOWN_MS_MAX));
}

static void server_crash(void)
{
    pipeline_kill9(server);
    stay_down();
    server = pipeline_launch(NULL, NULL);
}

static void database_crash(void)
{
    database_kill9();
    stay_down();
    database_restart();
}

/* Both at once, as when the host loses power. */
static void both_crash(void)
{
    database_kill9();
    pipeline_kill9(server);
    server = pipeline_launch(NULL, NULL);
    stay_down();
    database_restart();
}

static void crash_all(unsigned rounds)
{
    static void (*const crashes[])(void) = {server_crash, database_crash, both_crash};
    unsigned order[3];

    for (unsigned round = 0; round < rounds; round++) {
        senders_start(senders);
        crashes_shuffle(&draws, order, 3);
        for (unsigned i = 0; i < 3; i++) {
            moment_wait();
            crashes[order[i]]();
        }
        moment_wait();
        senders_stop(senders);
        senders_settle(senders);
        senders_check(senders);
    }
    pipeline_stop(server);
}

START_TEST(acknowledged_messages_are_stored_once_whatever_is_killed)
{
    crash_all(ROUNDS);
}
END_TEST

START_TEST(so_are_those_with_a_puback)
{
    senders_close(senders);
    senders = senders_open_mqtt(DEVICES, draws);
    crash_all(ROUNDS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        acknowledged_messages_are_stored_once_whatever_is_killed,
        so_are_those_with_a_puback,
    };
    const struct check_suite suite = {.name = "pipeline/direct_crashes", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 300};

    database_start(DATABASE_DURABLE);
    pipeline_prepare(DEVICES);
    return check_main(&suite);
}
