#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "runtime/clock.h"
#include "tests/support/broker.h"
#include "tests/support/check_main.h"
#include "tests/support/crashes.h"
#include "tests/support/database.h"
#include "tests/support/keeper.h"
#include "tests/support/pipeline.h"
#include "tests/support/senders.h"

/* Kafka mode, one process per role and two stores: each part is killed under load, at random moments. */

#define ROUNDS 5
#define MQTT_ROUNDS 2
#define STOPS 3
#define STORES 2
#define DEVICES 40
#define CONNECTIONS 16
#define ACKS_BETWEEN_MAX 1000 /* how long is waited for the moment, in answers */
#define DOWN_MS_MAX 500
#define DRAIN_MS 60000

static struct senders *senders;
static struct program *ingest, *stores[STORES];
static uint64_t draws;

static void setup(void)
{
    draws = crashes_seed();
    pipeline_open(BUS_KAFKA);
    ingest = pipeline_start("ingest", NULL);
    for (size_t i = 0; i < STORES; i++)
        stores[i] = pipeline_start("store", NULL);
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

static void ingest_crash(void)
{
    pipeline_kill9(ingest);
    stay_down();
    ingest = pipeline_launch("ingest", NULL);
}

static void store_crash(void)
{
    size_t which = (size_t)crashes_draw(&draws, STORES);

    pipeline_kill9(stores[which]);
    stay_down();
    stores[which] = pipeline_launch("store", NULL);
}

static void broker_crash(void)
{
    if (crashes_draw(&draws, 2))
        broker_kill9();
    else
        broker_stop();
    broker_restart();
}

static void database_crash(void)
{
    if (crashes_draw(&draws, 2))
        database_kill9();
    else
        database_stop();
    stay_down();
    database_restart();
}

static void everything_check(void)
{
    senders_stop(senders);
    senders_settle(senders);
    pipeline_wait_drained(DRAIN_MS);
    senders_check(senders);
}

static void crash_all(unsigned rounds)
{
    static void (*const crashes[])(void) = {ingest_crash, store_crash, broker_crash, database_crash};
    unsigned order[4];

    for (unsigned round = 0; round < rounds; round++) {
        senders_start(senders);
        crashes_shuffle(&draws, order, 4);
        for (unsigned i = 0; i < 4; i++) {
            moment_wait();
            crashes[order[i]]();
        }
        moment_wait();
        everything_check();
    }
    pipeline_stop(ingest);
    for (size_t i = 0; i < STORES; i++)
        pipeline_stop(stores[i]);
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
    crash_all(MQTT_ROUNDS);
}
END_TEST

/* Stopped at any moment, also inside a transaction. The other one gets the whole topic done meanwhile. */
START_TEST(store_that_was_frozen_past_its_session_writes_nothing_twice)
{
    for (unsigned round = 0; round < STOPS; round++) {
        struct program *frozen = stores[round % STORES];
        senders_start(senders);
        moment_wait();
        program_kill(frozen, SIGSTOP);
        moment_wait();
        senders_stop(senders);
        senders_settle(senders);
        pipeline_wait_drained(DRAIN_MS);
        senders_start(senders);
        program_kill(frozen, SIGCONT);
        moment_wait();
        everything_check();
        ck_assert(program_running(frozen));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        store_that_was_frozen_past_its_session_writes_nothing_twice,
        acknowledged_messages_are_stored_once_whatever_is_killed,
        so_are_those_with_a_puback,
    };
    const struct check_suite suite = {.name = "pipeline/kafka_crashes", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 300};

    database_start(DATABASE_DURABLE);
    broker_start();
    pipeline_prepare(DEVICES);
    return check_main(&suite);
}
