#include <stdlib.h>

#include "runtime/clock.h"
#include "tests/support/broker.h"
#include "tests/support/check_main.h"
#include "tests/support/classic_message.h"
#include "tests/support/database.h"
#include "tests/support/pipeline.h"
#include "tests/support/senders.h"

/* What devices hear while PostgreSQL or Kafka is away, stopped or silent, and what is stored when it is back. No program
 * of ours is started again in between. $PICKET_TEST_OUTAGE_S is how long PostgreSQL stays away in Kafka mode. */

#define OUTAGE_S 15 /* the promise speaks of a minute; every run of the suite has less time */
#define SILENCE_ACKS 2000
#define ANSWER_MS 2000
#define ANSWER_SLACK_MS 2000 /* for a machine that is busy */
#define REFUSALS 3
#define DEVICES 40
#define CONNECTIONS 8
#define DRAIN_MS 60000

static const char *const quick[] = {"bus_send_timeout_ms: 1500", "answer_timeout_ms: 2000", NULL};
static struct program *ingest, *store, *server;
static struct senders *senders;
static struct program_reply reply;
static struct buf body;

static void open_kafka(void)
{
    pipeline_open(BUS_KAFKA);
    ingest = pipeline_start("ingest", quick);
    store = pipeline_start("store", NULL);
    senders = senders_open(DEVICES, CONNECTIONS, 1);
    buf_init(&body, 65536);
}

static void open_direct(void)
{
    pipeline_open(BUS_DIRECT);
    server = pipeline_start(NULL, quick);
    senders = senders_open(DEVICES, CONNECTIONS, 1);
    buf_init(&body, 65536);
}

static void close_all(void)
{
    program_reply_done(&reply);
    buf_done(&body);
    senders_close(senders);
    pipeline_close();
}

static int64_t outage_ms(void)
{
    const char *given = getenv("PICKET_TEST_OUTAGE_S");
    return 1000 * (given ? strtol(given, NULL, 10) : OUTAGE_S);
}

/* Sends message `number` of device 0, which has to be refused with 503 in time, and to be told when to come again. */
static void expect_refusal(uint64_t number)
{
    int64_t begin_ms = clock_monotonic_ms(), seconds = 0;

    buf_clear(&body);
    classic_message_append(&body, SENDERS_EVENTS, number);
    program_reply_done(&reply);
    pipeline_post(0, NULL, buf_as_text(&body), &reply);
    int64_t took_ms = clock_monotonic_ms() - begin_ms;
    ck_assert_msg(reply.code == 503, "%ld %s", reply.code, reply.reason);
    ck_assert_msg(took_ms < ANSWER_MS + ANSWER_SLACK_MS, "the answer took %lld ms", (long long)took_ms);
    ck_assert(text_to_i64(program_reply_header(&reply, "Retry-After"), &seconds) && seconds > 0);
    ck_assert_ptr_nonnull(strstr(reply.body.bytes, "\"error\""));
}

/* The same message again and again, as a device does, until it is through. */
static void expect_recovery(uint64_t number)
{
    int64_t deadline_ms = clock_monotonic_ms() + PIPELINE_WAIT_MS;

    buf_clear(&body);
    classic_message_append(&body, SENDERS_EVENTS, number);
    do {
        ck_assert_msg(clock_monotonic_ms() < deadline_ms, "%ld %s", reply.code, reply.reason);
        program_reply_done(&reply);
        pipeline_post(0, NULL, buf_as_text(&body), &reply);
        ck_assert_msg(reply.code == 503 || reply.code == 204, "%ld %s", reply.code, reply.reason);
    } while (reply.code != 204);
    ck_assert(program_reply_header(&reply, "Picket-Receipt").count > 0);
}

static void expect_stored_once(uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++)
        ck_assert_int_eq(pipeline_number("SELECT count(*) FROM picket.raw_event WHERE sender_event_id LIKE '%%-%012llx'",
                                         (unsigned long long)number),
                         SENDERS_EVENTS);
}

START_TEST(stopped_database_holds_back_no_acknowledgement_with_kafka)
{
    open_kafka();
    senders_start(senders);
    senders_wait(senders, 100);
    database_stop();
    int64_t until_ms = clock_monotonic_ms() + outage_ms();
    while (clock_monotonic_ms() < until_ms)
        senders_wait(senders, 100);
    ck_assert_uint_eq(senders_refused(senders), 0);
    ck_assert(program_running(ingest) && program_running(store));
    database_restart();
    senders_wait(senders, 100);
    senders_stop(senders);
    senders_settle(senders);
    pipeline_wait_drained(DRAIN_MS);
    senders_check(senders);
    close_all();
}
END_TEST

/* Connections stay, answers do not come: longer than a while only for the connections' own time limits. */
START_TEST(silent_database_holds_back_no_acknowledgement_with_kafka)
{
    open_kafka();
    senders_start(senders);
    senders_wait(senders, 100);
    database_freeze();
    senders_wait(senders, SILENCE_ACKS);
    ck_assert_uint_eq(senders_refused(senders), 0);
    database_thaw();
    senders_stop(senders);
    senders_settle(senders);
    pipeline_wait_drained(DRAIN_MS);
    senders_check(senders);
    close_all();
}
END_TEST

static void kafka_away_and_back(void (*away)(void), void (*back)(void))
{
    open_kafka();
    expect_recovery(1);
    away();
    for (uint64_t number = 2; number < 2 + REFUSALS; number++)
        expect_refusal(number);
    ck_assert(program_running(ingest) && program_running(store));
    back();
    for (uint64_t number = 2; number < 2 + REFUSALS; number++)
        expect_recovery(number);
    pipeline_wait_drained(DRAIN_MS);
    expect_stored_once(1, 1 + REFUSALS);
    close_all();
}

START_TEST(stopped_kafka_is_503_in_time_and_recovers)
{
    kafka_away_and_back(broker_stop, broker_restart);
}
END_TEST

START_TEST(silent_kafka_is_503_in_time_and_recovers)
{
    kafka_away_and_back(broker_freeze, broker_thaw);
}
END_TEST

/* What is refused are messages of the senders' own that they sent before: one that was refused may be stored all the
 * same, and then it has to be one that they know of. */
static void database_away_and_back_directly(void (*away)(void), void (*back)(void))
{
    open_direct();
    senders_start(senders);
    senders_wait(senders, 2 * REFUSALS * DEVICES);
    away();
    for (uint64_t i = 0; i < REFUSALS; i++)
        expect_refusal(i * DEVICES);
    ck_assert_uint_gt(senders_refused(senders), 0);
    ck_assert(program_running(server));
    back();
    senders_wait(senders, 100);
    senders_stop(senders);
    senders_settle(senders);
    for (uint64_t i = 0; i < REFUSALS; i++)
        expect_recovery(i * DEVICES);
    senders_check(senders);
    close_all();
}

START_TEST(stopped_database_is_503_in_time_and_recovers_in_direct_mode)
{
    database_away_and_back_directly(database_stop, database_restart);
}
END_TEST

START_TEST(silent_database_is_503_in_time_and_recovers_in_direct_mode)
{
    database_away_and_back_directly(database_freeze, database_thaw);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        stopped_database_holds_back_no_acknowledgement_with_kafka,
        silent_database_holds_back_no_acknowledgement_with_kafka,
        stopped_kafka_is_503_in_time_and_recovers,
        silent_kafka_is_503_in_time_and_recovers,
        stopped_database_is_503_in_time_and_recovers_in_direct_mode,
        silent_database_is_503_in_time_and_recovers_in_direct_mode,
    };
    const struct check_suite suite = {.name = "pipeline/outages", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .timeout_seconds = 300};

    database_start(DATABASE_DURABLE);
    broker_start();
    pipeline_prepare(DEVICES);
    return check_main(&suite);
}
