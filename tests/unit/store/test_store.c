#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/process.h"
#include "runtime/secret.h"
#include "store/store_metrics.h"
#include "tests/support/broker.h"
#include "tests/support/check_main.h"
#include "tests/support/classic_message.h"
#include "tests/support/database.h"
#include "tests/support/migrate.h"
#include "wire/bus_record.h"
#include "wire/limits.h"

#define WAIT_MS 20000
#define QUERY_MS 10000
#define SENDS_MAX 400
#define POLL_US 5000

/* What the sender of one record heard. */
struct send {
    atomic_bool told;
    enum status status;
    int64_t offset;
    char why[PROBLEM_TEXT_MAX];
};

static struct bus *bus;
static struct store *store;
static struct db *owner;
static struct problem why;
static struct send sends[SENDS_MAX];
static size_t send_count;
static struct store_settings settings;

static void on_sent(void *context, enum status status, const struct bus_receipt *receipt, const struct problem *reason)
{
    struct send *send = context;

    send->status = status;
    send->offset = receipt ? receipt->offset : -1;
    snprintf(send->why, sizeof send->why, "%s", reason && status ? reason->text : "");
    atomic_store(&send->told, true);
}

/* Sends a message with `number` in its event ids, as ingest would. */
static struct send *message_send(const char *device, uint64_t number)
{
    char scratch[PICKET_RECORD_SCRATCH], key[PICKET_RECORD_KEY_SIZE];
    struct picket_record_header from[PICKET_RECORD_HEADERS_MAX];
    struct bus_header headers[PICKET_RECORD_HEADERS_MAX];
    struct picket_record record = {.kind = PICKET_RECORD_MESSAGE,
                                   .workspace = 1,
                                   .device = {device, strlen(device)},
                                   .received_at_us = clock_utc_us(),
                                   .transport = {"https", 5},
                                   .claims_json = true,
                                   .has_identity = true};
    struct send *send = &sends[send_count++];
    struct buf body;

    ck_assert(send_count < SENDS_MAX);
    buf_init(&body, PICKET_BODY_MAX);
    classic_message_append(&body, 2, number);
    const struct text parts[] = {text_of(device), buf_as_text(&body)};
    secret_digest(parts, 2, NULL, record.message_key);
    size_t count = picket_record_headers(&record, scratch, from);
    for (size_t i = 0; i < count; i++)
        headers[i] = (struct bus_header){{from[i].name.bytes, from[i].name.count},
                                         {from[i].value.bytes, from[i].value.count}};
    struct bus_record sent = {.key = {key, picket_record_key(1, record.device, key)},
                              .value = buf_as_text(&body),
                              .headers = headers,
                              .header_count = count};
    atomic_store(&send->told, false);
    enum status status = bus_send(bus, &sent, on_sent, send, &why);
    ck_assert_msg(status == STATUS_OK, "%s", status ? why.text : "");
    buf_done(&body);
    return send;
}

static enum status told(struct send *send)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (!atomic_load(&send->told)) {
        ck_assert_msg(clock_monotonic_ms() < until_ms, "the sender heard nothing");
        usleep(POLL_US);
    }
    return send->status;
}

static void sql(const char *statement)
{
    enum status status = db_script(owner, statement, QUERY_MS, &why);
    ck_assert_msg(status == STATUS_OK, "%s: %s", statement, status ? why.text : "");
}

static int64_t number_of(const char *statement)
{
    struct db_rows *rows = NULL;
    enum status status = db_query(owner, statement, NULL, 0, QUERY_MS, &rows, &why);

    ck_assert_msg(status == STATUS_OK, "%s: %s", statement, status ? why.text : "");
    ck_assert_uint_eq(db_rows_count(rows), 1);
    int64_t number = db_i64(rows, 0, 0);
    db_rows_free(rows);
    return number;
}

static void number_becomes(const char *statement, int64_t wanted)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS, found = 0;

    while ((found = number_of(statement)) != wanted) {
        ck_assert_msg(clock_monotonic_ms() < until_ms, "%s stays at %lld, not %lld", statement, (long long)found,
                      (long long)wanted);
        usleep(POLL_US);
    }
}

static void bus_start(const char *driver)
{
    const struct bus_settings bus_settings = {.bus = driver,
                                              .kafka_brokers = strcmp(driver, "kafka") == 0 ? broker_bootstrap() : "",
                                              .kafka_topic = "picket.messages",
                                              .kafka_group = "picket-store",
                                              .kafka_partitions = 2,
                                              .bus_shards = 2,
                                              .bus_queue_bytes = 32 << 20,
                                              .bus_send_timeout_ms = WAIT_MS};

    ck_assert_msg(bus_open(&bus_settings, WAIT_MS, 0, &bus, &why) == STATUS_OK, "%s", why.text);
}

static void store_start(void)
{
    ck_assert_msg(store_open(&settings, bus, &store, &why) == STATUS_OK, "%s", why.text);
}

static void store_stop(void)
{
    store_close(store);
    store = NULL;
}

static void setup(void)
{
    settings = (struct store_settings){.database = database_conninfo_for(NULL, NULL),
                                       .store_workers = 2,
                                       .batch_records_max = 1000,
                                       .batch_bytes_max = 16 << 20,
                                       .batch_linger_ms = 5,
                                       .event_retention_days = 30,
                                       .resend_window_days = 14,
                                       .partitions_ahead_days = 3,
                                       .json_depth_max = PICKET_JSON_DEPTH_MAX,
                                       .detection = true};
    send_count = 0;
    ck_assert_int_eq(db_open(database_conninfo(), NULL, "test", &owner, &why), STATUS_OK);
    sql("TRUNCATE picket.raw_event, picket.message, picket.dead_letter, picket.bus_offset, picket.device_activity,"
        " picket.ledger, picket.alert, picket.alert_event, picket.alert_comment, picket.detect_state");
}

static void teardown(void)
{
    store_stop();
    bus_close(bus);
    bus = NULL;
    db_close(owner);
}

/* A trigger that refuses the messages of a device with an SQLSTATE of the test's choice. */
static void device_refused_with(const char *device, const char *sqlstate)
{
    char statement[1024];

    snprintf(statement, sizeof statement,
             "CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
             " RAISE EXCEPTION 'not this one' USING ERRCODE = '%s'; END $$;"
             "DROP TRIGGER IF EXISTS refuse ON picket.message;"
             "CREATE TRIGGER refuse BEFORE INSERT ON picket.message FOR EACH ROW WHEN (NEW.device_id = '%s')"
             " EXECUTE FUNCTION public.refuse()",
             sqlstate, device);
    sql(statement);
}

static void device_refused_no_more(void)
{
    sql("DROP TRIGGER IF EXISTS refuse ON picket.message");
}

START_TEST(sender_hears_of_a_message_once_its_rows_are_committed)
{
    bus_start("direct");
    store_start();
    ck_assert_int_eq(told(message_send("pump-1", 1)), STATUS_OK);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.raw_event WHERE device_id = 'pump-1'"), 2);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.message"), 1);
    ck_assert_int_eq(number_of("SELECT event_count FROM picket.device_activity WHERE device_id = 'pump-1'"), 2);
}
END_TEST

START_TEST(receipts_count_on_after_a_restart)
{
    bus_start("direct");
    store_start();
    struct send *first = message_send("pump-1", 1);
    ck_assert_int_eq(told(first), STATUS_OK);
    store_stop();
    bus_close(bus);
    bus_start("direct");
    store_start();
    struct send *second = message_send("pump-1", 2);
    ck_assert_int_eq(told(second), STATUS_OK);
    ck_assert_int_eq(second->offset, first->offset + 1);
}
END_TEST

START_TEST(message_sent_again_is_acknowledged_and_stored_once)
{
    bus_start("direct");
    store_start();
    ck_assert_int_eq(told(message_send("pump-1", 1)), STATUS_OK);
    ck_assert_int_eq(told(message_send("pump-1", 1)), STATUS_OK);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.message"), 1);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.raw_event"), 2);
    ck_assert_int_eq(number_of("SELECT resend_count FROM picket.device_activity"), 1);
}
END_TEST

START_TEST(refused_message_becomes_a_dead_letter_and_its_batch_is_stored)
{
    bus_start("direct");
    device_refused_with("bad", "22023");
    for (unsigned i = 0; i < 100; i++)
        message_send(i == 37 ? "bad" : "pump-1", i);
    store_start();
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(told(&sends[i]), STATUS_OK);
    device_refused_no_more();
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.message WHERE device_id = 'pump-1'"), 99);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.dead_letter WHERE device_id = 'bad'"
                               " AND reason LIKE '%not this one%'"), 1);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.dead_letter"), 1);
}
END_TEST

START_TEST(dead_letter_that_is_replayed_is_stored_once)
{
    bus_start("direct");
    device_refused_with("bad", "22023");
    store_start();
    ck_assert_int_eq(told(message_send("bad", 1)), STATUS_OK);
    device_refused_no_more();
    sql("UPDATE picket.dead_letter SET state = 'replay'");
    number_becomes("SELECT count(*) FROM picket.dead_letter WHERE state = 'replayed'", 1);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.raw_event WHERE device_id = 'bad'"), 2);
    sql("UPDATE picket.dead_letter SET state = 'replay'");
    number_becomes("SELECT count(*) FROM picket.dead_letter WHERE state = 'replayed'", 1);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.raw_event WHERE device_id = 'bad'"), 2);
}
END_TEST

START_TEST(replay_that_is_refused_again_says_why_anew)
{
    bus_start("direct");
    device_refused_with("bad", "22023");
    store_start();
    ck_assert_int_eq(told(message_send("bad", 1)), STATUS_OK);
    sql("UPDATE picket.dead_letter SET state = 'replay', reason = 'old'");
    number_becomes("SELECT count(*) FROM picket.dead_letter WHERE state = 'dead' AND reason LIKE '%not this one%'", 1);
    device_refused_no_more();
}
END_TEST

START_TEST(deadlock_is_tried_again_and_the_sender_hears_nothing_of_it)
{
    bus_start("direct");
    sql("CREATE SEQUENCE IF NOT EXISTS public.tries; ALTER SEQUENCE public.tries RESTART;"
        "GRANT USAGE ON SEQUENCE public.tries TO picket_store;"
        "CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('public.tries') = 1 THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON picket.message FOR EACH ROW EXECUTE FUNCTION public.refuse()");
    store_start();
    ck_assert_int_eq(told(message_send("pump-1", 1)), STATUS_OK);
    ck_assert_int_eq(number_of("SELECT last_value FROM public.tries"), 2);
    device_refused_no_more();
}
END_TEST

START_TEST(fault_of_ours_is_told_to_the_sender_and_direct_goes_on)
{
    bus_start("direct");
    store_start();
    sql("REVOKE INSERT ON picket.message FROM picket_store");
    ck_assert_int_eq(told(message_send("pump-1", 1)), STATUS_FAULT);
    sql("GRANT INSERT ON picket.message TO picket_store");
    ck_assert_int_eq(told(message_send("pump-1", 1)), STATUS_OK);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.message"), 1);
    ck_assert(!process_gave_up());
}
END_TEST

START_TEST(partition_that_another_store_moved_is_written_by_nobody_else)
{
    bus_start("direct");
    store_start();
    struct send *first = message_send("pump-1", 1);
    ck_assert_int_eq(told(first), STATUS_OK);
    sql("UPDATE picket.bus_offset SET next_offset = next_offset + 10");
    ck_assert_int_eq(told(message_send("pump-1", 2)), STATUS_RETRY);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.message"), 1);
    struct send *third = message_send("pump-1", 2);
    ck_assert_int_eq(told(third), STATUS_OK);
    ck_assert_int_ge(third->offset, first->offset + 11);
}
END_TEST

START_TEST(database_that_goes_is_waited_for_without_a_restart)
{
    bus_start("direct");
    store_start();
    ck_assert_int_eq(told(message_send("pump-1", 1)), STATUS_OK);
    database_stop();
    struct send *lost = message_send("pump-1", 2);
    ck_assert_int_eq(told(lost), STATUS_RETRY);
    database_restart();
    struct send *again = message_send("pump-1", 2);
    ck_assert_int_eq(told(again), STATUS_OK);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.message"), 2);
}
END_TEST

START_TEST(database_without_picket_is_waited_for)
{
    struct db *other = NULL;

    sql("DROP DATABASE IF EXISTS later");
    sql("CREATE DATABASE later");
    settings.database = database_conninfo_for(NULL, "later");
    bus_start("direct");
    store_start();
    struct send *send = message_send("pump-1", 1);
    ck_assert_msg(migrate_all(database_conninfo_for("postgres", "later"), &why) == STATUS_OK, "%s", why.text);
    ck_assert_int_eq(told(send), STATUS_OK);
    ck_assert_int_eq(db_open(database_conninfo_for("postgres", "later"), NULL, "test", &other, &why), STATUS_OK);
    db_close(other);
}
END_TEST

START_TEST(partitions_are_made_ahead_and_old_ones_dropped)
{
    bus_start("direct");
    sql("SELECT picket.partitions_make(now() - interval '40 days', now() - interval '39 days')");
    store_start();
    number_becomes("SELECT count(*) FROM pg_class WHERE relname = 'raw_event_' ||"
                   " to_char(timezone('UTC', now()) + interval '3 days', 'YYYYMMDD')", 1);
    number_becomes("SELECT count(*) FROM pg_class WHERE relname = 'raw_event_' ||"
                   " to_char(timezone('UTC', now()) - interval '40 days', 'YYYYMMDD')", 0);
}
END_TEST

/* A record that the program cannot survive, as far as one process can play it: store gives up over a fault of a kind that
 * no record should cause, and is opened again as a supervisor would. */
START_TEST(record_that_ends_store_again_and_again_becomes_a_dead_letter)
{
    broker_start();
    bus_start("kafka");
    device_refused_with("bad", "XX000");
    for (unsigned i = 0; i < 20; i++)
        message_send(i == 7 ? "bad" : "pump-1", i);
    unsigned starts = 0;
    while (number_of("SELECT count(*) FROM picket.dead_letter") == 0) {
        ck_assert_uint_lt(starts, 6);
        store_start();
        starts++;
        int64_t faults = metric_get(&store_metrics.failed), until_ms = clock_monotonic_ms() + WAIT_MS;
        while (metric_get(&store_metrics.failed) == faults &&
               number_of("SELECT count(*) FROM picket.dead_letter") == 0) {
            ck_assert_msg(clock_monotonic_ms() < until_ms, "start %u neither failed nor went on", starts);
            usleep(POLL_US);
        }
        store_stop();
    }
    ck_assert(process_gave_up());
    device_refused_no_more();
    store_start();
    number_becomes("SELECT count(*) FROM picket.message WHERE device_id = 'pump-1'", 19);
    ck_assert_int_eq(number_of("SELECT count(*) FROM picket.dead_letter WHERE device_id = 'bad'"), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        sender_hears_of_a_message_once_its_rows_are_committed,
        receipts_count_on_after_a_restart,
        message_sent_again_is_acknowledged_and_stored_once,
        refused_message_becomes_a_dead_letter_and_its_batch_is_stored,
        dead_letter_that_is_replayed_is_stored_once,
        replay_that_is_refused_again_says_why_anew,
        deadlock_is_tried_again_and_the_sender_hears_nothing_of_it,
        fault_of_ours_is_told_to_the_sender_and_direct_goes_on,
        partition_that_another_store_moved_is_written_by_nobody_else,
        database_that_goes_is_waited_for_without_a_restart,
        database_without_picket_is_waited_for,
        partitions_are_made_ahead_and_old_ones_dropped,
        record_that_ends_store_again_and_again_becomes_a_dead_letter,
    };
    const struct check_suite suite = {.name = "store", .tests = tests, .count = sizeof tests / sizeof *tests,
                                     .setup = setup, .teardown = teardown, .timeout_seconds = 90};

    database_start(DATABASE_FAST);
    if (migrate_all(database_conninfo(), &why) || secret_init(&why)) {
        fprintf(stderr, "%s\n", why.text);
        return EXIT_FAILURE;
    }
    return check_main(&suite);
}
