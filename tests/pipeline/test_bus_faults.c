#include <stdio.h>

#include "runtime/clock.h"
#include "runtime/db.h"
#include "tests/support/broker.h"
#include "tests/support/check_main.h"
#include "tests/support/classic_message.h"
#include "tests/support/database.h"
#include "tests/support/pipeline.h"
#include "tests/support/topic.h"
#include "wire/bus_record.h"

/* What store makes of a topic that lost records, or that somebody else wrote to. */

#define DEVICES 8
#define MESSAGES 60
#define EVENTS 2
#define DRAIN_MS 60000

static struct program *ingest, *store;
static struct topic *topic;
static struct buf body;

static void setup(void)
{
    pipeline_open(BUS_KAFKA);
    ingest = pipeline_start("ingest", NULL);
    store = pipeline_start("store", NULL);
    topic = topic_open(pipeline_topic());
    buf_init(&body, 65536);
}

static void teardown(void)
{
    buf_done(&body);
    topic_close(topic);
    pipeline_close();
}

/* Messages `from` … `from + count - 1`, each acknowledged. A topic that was just made anew asks for patience. */
static void send(uint64_t from, uint64_t count)
{
    int64_t deadline_ms = clock_monotonic_ms() + PIPELINE_WAIT_MS;

    for (uint64_t number = from; number < from + count;) {
        struct program_reply reply;
        buf_clear(&body);
        classic_message_append(&body, EVENTS, number);
        pipeline_post((unsigned)(number % DEVICES), NULL, buf_as_text(&body), &reply);
        ck_assert_msg(reply.code == 204 || (reply.code == 503 && clock_monotonic_ms() < deadline_ms), "%ld %s", reply.code,
                      reply.reason);
        number += reply.code == 204;
        program_reply_done(&reply);
    }
}

static int64_t stored(void)
{
    return pipeline_number("SELECT count(*) FROM picket.raw_event");
}

/* A partition with records behind `offset`, which says where each begins. */
static int32_t partition_with(const int64_t *offset, int64_t at_least)
{
    for (int32_t i = 0; i < topic_partitions(topic); i++)
        if (topic_end(topic, i) - offset[i] >= at_least)
            return i;
    ck_abort_msg("no partition has %lld records", (long long)at_least);
    return -1;
}

START_TEST(records_lost_before_they_were_read_are_counted_and_alarmed)
{
    int64_t ends[16] = {0};

    send(0, MESSAGES);
    pipeline_wait_drained(DRAIN_MS);
    pipeline_stop(store);
    for (int32_t i = 0; i < topic_partitions(topic); i++)
        ends[i] = topic_end(topic, i);
    send(MESSAGES, MESSAGES);
    int32_t partition = partition_with(ends, 4);
    int64_t available = topic_end(topic, partition) - 2, lost = available - ends[partition];
    topic_delete_before(topic, partition, available);

    store = pipeline_start("store", NULL);
    pipeline_wait_drained(DRAIN_MS);
    ck_assert_int_eq(stored(), (2 * MESSAGES - lost) * EVENTS);
    ck_assert_int_eq(pipeline_number("SELECT count(*) FROM picket.bus_gap"), 1);
    ck_assert_int_eq(pipeline_number("SELECT count(*) FROM picket.bus_gap WHERE partition = %d AND expected = %lld"
                                     " AND available = %lld",
                                     (int)partition, (long long)ends[partition], (long long)available),
                     1);
    ck_assert_int_eq(pipeline_metric(store, "picket_store_bus_gaps_total"), 1);
    ck_assert_str_eq(pipeline_text("SELECT severity || ' ' || status || ' ' || (details->>'Expected') || ' ' ||"
                                   " (details->>'Available') FROM picket.alert WHERE rule_id = 'bus.gap'"),
                     pipeline_text("SELECT 'High open %lld %lld'", (long long)ends[partition], (long long)available));

    send(2 * MESSAGES, MESSAGES);
    pipeline_wait_drained(DRAIN_MS);
    ck_assert_int_eq(stored(), (3 * MESSAGES - lost) * EVENTS);
    pipeline_stop(store);
}
END_TEST

/* The gap comes while store reads: what it has in hand and has not stored yet is no part of it, and not lost by it. */
START_TEST(records_lost_while_the_database_is_away_are_all_told)
{
    int64_t ends[16] = {0}, told = 0;

    send(0, MESSAGES);
    pipeline_wait_drained(DRAIN_MS);
    for (int32_t i = 0; i < topic_partitions(topic); i++)
        ends[i] = topic_end(topic, i);
    database_stop();
    send(MESSAGES, MESSAGES);
    int32_t partition = partition_with(ends, 4);
    topic_delete_before(topic, partition, topic_end(topic, partition) - 1);
    database_restart();
    send(2 * MESSAGES, MESSAGES);
    pipeline_wait_drained(DRAIN_MS);
    told = pipeline_number("SELECT coalesce(sum(available - expected), 0)::bigint FROM picket.bus_gap");
    ck_assert_int_eq(stored(), (3 * MESSAGES - told) * EVENTS);
    ck_assert_int_gt(told, 0);
    ck_assert(program_running(store));
}
END_TEST

START_TEST(topic_that_was_made_anew_is_a_gap_and_read_from_its_beginning)
{
    send(0, MESSAGES);
    pipeline_wait_drained(DRAIN_MS);
    pipeline_stop(ingest);
    pipeline_stop(store);
    topic_recreate(topic);
    ingest = pipeline_start("ingest", NULL);
    store = pipeline_start("store", NULL);
    send(MESSAGES, DEVICES); /* fewer than there were */
    pipeline_wait_drained(DRAIN_MS);
    ck_assert_int_eq(stored(), (MESSAGES + DEVICES) * EVENTS);
    ck_assert_int_gt(pipeline_number("SELECT count(*) FROM picket.bus_gap WHERE available = 0 AND expected > 0"), 0);
    ck_assert_int_gt(pipeline_number("SELECT count(*) FROM picket.alert WHERE rule_id = 'bus.gap' AND status = 'open'"), 0);
}
END_TEST

/* Puts a record of device-0 as ingest writes it, but for one header: with another value, or left out when it is NULL. */
static void put(const char *spoiled, const char *value, const char *text)
{
    struct picket_record record = {
        .kind = PICKET_RECORD_MESSAGE,
        .workspace = 1,
        .device = {"device-0", 8},
        .received_at_us = clock_utc_us(),
        .transport = {"https", 5},
        .claims_json = true,
    };
    struct picket_record_header written[PICKET_RECORD_HEADERS_MAX];
    struct bus_header headers[PICKET_RECORD_HEADERS_MAX];
    char scratch[PICKET_RECORD_SCRATCH];
    size_t kept = 0, count = picket_record_headers(&record, scratch, written);

    for (size_t i = 0; i < count; i++) {
        struct bus_header header = {{written[i].name.bytes, written[i].name.count},
                                    {written[i].value.bytes, written[i].value.count}};
        bool spoil = spoiled && text_equal(header.name, text_of(spoiled));
        if (spoil && value)
            header.value = text_of(value);
        if (!spoil || value)
            headers[kept++] = header;
    }
    topic_put(topic, &(struct bus_record){
                         .key = TEXT("1/device-0"), .value = text_of(text), .headers = headers, .header_count = kept});
}

static const char *state_of(const char *reason_like)
{
    return pipeline_text("SELECT state FROM picket.dead_letter WHERE reason LIKE '%s'", reason_like);
}

static void put_poison(void)
{
    put(NULL, NULL, "{\"good\":1}");
    put("v", "99", "{\"from\":\"the future\"}");
    put("device", NULL, "{\"from\":\"nobody\"}");
    put("kind", "riddle", "{}");
    put("received", "4102444800000000", "{}"); /* 2100 */
    put("workspace", "one", "{}");
    put(NULL, NULL, "{\"broken\":");
    put("v", NULL, "{\"from\":\"the past\"}");
    put(NULL, NULL, "{\"good\":2}");
    pipeline_wait_drained(DRAIN_MS);
}

START_TEST(records_that_cannot_be_read_are_dead_letters_with_a_reason)
{
    put_poison();
    ck_assert_int_eq(stored(), 2);
    ck_assert_int_eq(pipeline_number("SELECT count(*) FROM picket.dead_letter WHERE state = 'dead'"), 7);
    ck_assert_int_eq(pipeline_number("SELECT count(DISTINCT (bus_partition, bus_offset)) FROM picket.dead_letter"), 7);
    ck_assert_int_eq(pipeline_metric(store, "picket_store_dead_letters_total"), 7);
    ck_assert_str_eq(state_of("%version%"), "dead");
    ck_assert_str_eq(state_of("%no header v%"), "dead");
    ck_assert_str_eq(state_of("%no header device%"), "dead");
    ck_assert_str_eq(state_of("%kind%"), "dead");
    ck_assert_str_eq(state_of("%implausible%"), "dead");
    ck_assert_str_eq(state_of("%workspace%"), "dead");
    ck_assert_str_eq(state_of("%line 1, column%"), "dead");
    ck_assert_str_eq(pipeline_text("SELECT convert_from(body, 'UTF8') FROM picket.dead_letter WHERE reason LIKE '%%version%%'"),
                     "{\"from\":\"the future\"}");
    ck_assert_str_eq(pipeline_text("SELECT headers->>'v' FROM picket.dead_letter WHERE reason LIKE '%%version%%'"), "99");
    send(0, DEVICES); /* and on it goes */
    pipeline_wait_drained(DRAIN_MS);
    ck_assert_int_eq(stored(), 2 + DEVICES * EVENTS);
}
END_TEST

START_TEST(replayed_letters_are_stored_once_when_mended_and_say_why_not_otherwise)
{
    put_poison();
    ck_assert_int_eq(stored(), 2);
    pipeline_sql("UPDATE picket.dead_letter SET state = 'replay', headers = headers || '{\"v\":\"1\"}'"
                 " WHERE reason LIKE '%%version%%'");
    pipeline_sql("UPDATE picket.dead_letter SET state = 'replay', reason = 'mark ' || reason WHERE reason LIKE '%%kind%%'");
    pipeline_wait_number(0, PIPELINE_WAIT_MS, "SELECT count(*) FROM picket.dead_letter WHERE state = 'replay'");
    ck_assert_int_eq(stored(), 3);
    ck_assert_str_eq(pipeline_text("SELECT details->>'from' FROM picket.raw_event WHERE details ? 'from'"), "the future");
    ck_assert_str_eq(pipeline_text("SELECT state FROM picket.dead_letter WHERE replayed_at IS NOT NULL"), "replayed");
    ck_assert_str_eq(state_of("mark%"), ""); /* said anew */
    ck_assert_str_eq(state_of("%kind%"), "dead");

    pipeline_sql("UPDATE picket.dead_letter SET state = 'replay' WHERE state = 'replayed'");
    pipeline_wait_number(0, PIPELINE_WAIT_MS, "SELECT count(*) FROM picket.dead_letter WHERE state = 'replay'");
    ck_assert_int_eq(stored(), 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        records_lost_before_they_were_read_are_counted_and_alarmed,
        records_lost_while_the_database_is_away_are_all_told,
        topic_that_was_made_anew_is_a_gap_and_read_from_its_beginning,
        records_that_cannot_be_read_are_dead_letters_with_a_reason,
        replayed_letters_are_stored_once_when_mended_and_say_why_not_otherwise,
    };
    const struct check_suite suite = {.name = "pipeline/bus_faults", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 180};

    database_start(DATABASE_DURABLE);
    broker_start();
    pipeline_prepare(DEVICES);
    return check_main(&suite);
}
