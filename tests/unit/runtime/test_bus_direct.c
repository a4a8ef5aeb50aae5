#include "runtime/bus.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/clock.h"
#include "tests/support/check_main.h"

#define WAIT_MS 10000
#define OUTCOMES_MAX 4096

struct outcome {
    atomic_int calls;
    enum status status;
    struct bus_receipt receipt;
    char reason[64];
};

static struct bus_settings settings;
static struct bus *bus;
static struct problem why;
static struct outcome outcomes[OUTCOMES_MAX];

/* What the reader's database would say. */
static int64_t stored[64];
static int asked, revoked, refusals;

static enum status on_assigned(void *context, int32_t partition, int64_t *next_offset, struct problem *reason)
{
    (void)context;
    asked++;
    if (refusals > 0 && refusals--)
        return problem_set(reason, STATUS_RETRY, "the database is away");
    *next_offset = stored[partition];
    return STATUS_OK;
}

static void on_revoked(void *context, int32_t partition)
{
    (void)context;
    (void)partition;
    revoked++;
}

static enum status on_gap(void *context, int32_t partition, int64_t expected, int64_t available,
                          struct problem *reason)
{
    (void)context;
    (void)partition;
    (void)expected;
    (void)available;
    return problem_set(reason, STATUS_FAULT, "the direct bus has no gaps");
}

static const struct bus_reader_hooks hooks = {NULL, on_assigned, on_revoked, on_gap};
static const struct bus_take_limits now_all = {1000, 1 << 30, WAIT_MS, 0};
static const struct bus_take_limits glance = {1000, 1 << 30, 20, 0};

static void on_sent(void *context, enum status status, const struct bus_receipt *receipt, const struct problem *reason)
{
    struct outcome *outcome = context;
    outcome->status = status;
    if (receipt)
        outcome->receipt = *receipt;
    if (reason)
        snprintf(outcome->reason, sizeof outcome->reason, "%.60s", reason->text);
    atomic_fetch_add(&outcome->calls, 1);
}

static void open_bus(int64_t shards, int64_t timeout_ms)
{
    settings = (struct bus_settings){.bus = "direct",
                                     .bus_shards = shards,
                                     .bus_queue_bytes = 1 << 20,
                                     .bus_send_timeout_ms = timeout_ms};
    ck_assert_int_eq(bus_open(&settings, WAIT_MS, 0, &bus, &why), STATUS_OK);
}

static struct bus_reader *open_reader(void)
{
    struct bus_reader *reader = NULL;
    ck_assert_int_eq(bus_reader_open(bus, &hooks, &reader, &why), STATUS_OK);
    return reader;
}

static void send_to(struct outcome *outcome, const char *key, struct text value)
{
    struct bus_record record = {.key = text_of(key), .value = value};
    enum status status = bus_send(bus, &record, on_sent, outcome, &why);
    ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

static struct bus_batch take(struct bus_reader *reader, const struct bus_take_limits *limits)
{
    struct bus_batch batch;
    ck_assert_int_eq(bus_take(reader, limits, &batch, &why), STATUS_OK);
    return batch;
}

static bool comes_true(bool (*condition)(void))
{
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (!condition() && clock_monotonic_ms() < deadline_ms)
        sched_yield();
    return condition();
}

START_TEST(unknown_driver_is_rejected)
{
    settings.bus = "carrier-pigeon";
    ck_assert_int_eq(bus_open(&settings, WAIT_MS, 0, &bus, &why), STATUS_REJECT);
}
END_TEST

START_TEST(senders_hear_of_it_only_when_the_reader_is_done)
{
    open_bus(1, WAIT_MS);
    stored[0] = 41;
    send_to(&outcomes[0], "a", TEXT("one")); /* no reader yet: it waits */
    struct bus_reader *reader = open_reader();
    send_to(&outcomes[1], "a", TEXT("two"));
    struct bus_batch batch = take(reader, &now_all);
    ck_assert_uint_eq(batch.count, 2);
    ck_assert_uint_eq(batch.bytes, 6);
    ck_assert_int_eq(batch.records[0].offset, 41);
    ck_assert_int_eq(batch.records[1].offset, 42);
    ck_assert_int_eq(outcomes[0].calls, 0);
    ck_assert(!bus_flush(bus, 1));
    bus_done(reader, &batch);
    ck_assert(bus_flush(bus, 0));
    char receipt[BUS_RECEIPT_SIZE];
    bus_receipt_print(&outcomes[1].receipt, receipt);
    ck_assert_str_eq(receipt, "direct/0@42");
    ck_assert_int_eq(outcomes[0].calls, 1);
    ck_assert_int_eq(outcomes[1].calls, 1);
    ck_assert_int_eq(outcomes[1].status, STATUS_OK);
    send_to(&outcomes[2], "a", TEXT("three"));
    batch = take(reader, &now_all);
    ck_assert_int_eq(batch.records[0].offset, 43);
    bus_done(reader, &batch);
    ck_assert_int_eq(asked, 1);
    bus_reader_close(reader);
    ck_assert_int_eq(revoked, 1);
    bus_close(bus);
}
END_TEST

START_TEST(record_is_copied_with_its_headers)
{
    char key[] = "w/d", value[] = "body", name[] = "kind", header[] = "me\0ssage";
    struct bus_header headers[] = {{text_of(name), {header, 8}}, {TEXT("empty"), TEXT("")}, {TEXT("none"), TEXT_NONE}};
    struct bus_record record = {.key = text_of(key), .value = text_of(value), .headers = headers, .header_count = 3};
    open_bus(1, WAIT_MS);
    struct bus_reader *reader = open_reader();
    ck_assert_int_eq(bus_send(bus, &record, on_sent, &outcomes[0], &why), STATUS_OK);
    key[0] = value[0] = name[0] = header[0] = 'X';
    headers[1].name = TEXT_NONE;
    struct bus_batch batch = take(reader, &now_all);
    const struct bus_record *taken = &batch.records[0];
    ck_assert(text_equal(taken->key, TEXT("w/d")));
    ck_assert(text_equal(taken->value, TEXT("body")));
    ck_assert_uint_eq(taken->header_count, 3);
    ck_assert(text_equal(taken->headers[0].name, TEXT("kind")));
    ck_assert(text_equal(taken->headers[0].value, ((struct text){"me\0ssage", 8})));
    ck_assert(text_equal(taken->headers[1].name, TEXT("empty")) && taken->headers[1].value.bytes);
    ck_assert_ptr_null(taken->headers[2].value.bytes);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(one_key_keeps_its_order_and_its_shard)
{
    char keys[40][16], values[400][16];
    int64_t last[40];
    int32_t shard[40];
    open_bus(8, WAIT_MS);
    struct bus_reader *reader = open_reader();
    for (int k = 0; k < 40; k++) {
        snprintf(keys[k], sizeof keys[k], "1/d%d", k);
        last[k] = shard[k] = -1;
    }
    for (int i = 0; i < 400; i++) {
        snprintf(values[i], sizeof values[i], "%d", i);
        send_to(&outcomes[i], keys[i % 40], text_of(values[i]));
    }
    ck_assert_int_eq(bus_lag(reader), 400);
    struct bus_take_limits few = {37, 1 << 30, WAIT_MS, 0};
    for (int seen = 0; seen < 400;) {
        struct bus_batch batch = take(reader, &few);
        ck_assert_uint_le(batch.count, 37);
        for (size_t i = 0; i < batch.count; i++, seen++) {
            struct bus_record *record = &batch.records[i];
            uint64_t number = 0;
            ck_assert(text_to_u64(record->value, &number));
            uint64_t k = number % 40;
            ck_assert_int_gt((int64_t)number, last[k]);
            ck_assert(shard[k] == -1 || shard[k] == record->partition);
            last[k] = (int64_t)number;
            shard[k] = record->partition;
            if (i && batch.records[i - 1].partition == record->partition)
                ck_assert_int_eq(batch.records[i - 1].offset + 1, record->offset);
        }
        bus_done(reader, &batch);
    }
    ck_assert_int_eq(bus_lag(reader), 0);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(full_queue_asks_for_retry_and_has_room_again_after_done)
{
    static char big[300000];
    struct bus_record record = {.key = TEXT("a"), .value = {big, sizeof big}};
    open_bus(1, WAIT_MS);
    struct bus_reader *reader = open_reader();
    int accepted = 0;
    while (accepted < 10 && bus_send(bus, &record, on_sent, &outcomes[accepted], &why) == STATUS_OK)
        accepted++;
    ck_assert_int_eq(accepted, 3);
    ck_assert_int_eq(bus_send(bus, &record, on_sent, &outcomes[9], &why), STATUS_RETRY);
    struct bus_batch batch = take(reader, &now_all);
    ck_assert_int_eq(bus_send(bus, &record, on_sent, &outcomes[9], &why), STATUS_RETRY); /* taken is not done */
    bus_done(reader, &batch);
    ck_assert_int_eq(outcomes[9].calls, 0);
    ck_assert_int_eq(bus_send(bus, &record, on_sent, &outcomes[9], &why), STATUS_OK);
    bus_reader_close(reader);
    bus_close(bus);
    ck_assert_int_eq(outcomes[9].calls, 1);
}
END_TEST

START_TEST(failed_batch_tells_its_senders_and_the_number_is_asked_again)
{
    struct problem reason;
    open_bus(1, WAIT_MS);
    struct bus_reader *reader = open_reader();
    send_to(&outcomes[0], "a", TEXT("one"));
    struct bus_batch batch = take(reader, &now_all);
    problem_set(&reason, STATUS_RETRY, "no answer to the commit");
    bus_failed(reader, &batch, STATUS_RETRY, &reason);
    ck_assert_int_eq(outcomes[0].status, STATUS_RETRY);
    ck_assert_str_eq(outcomes[0].reason, "no answer to the commit");
    stored[0] = 1; /* it had been committed after all */
    send_to(&outcomes[1], "a", TEXT("one again"));
    batch = take(reader, &now_all);
    ck_assert_int_eq(asked, 2);
    ck_assert_int_eq(batch.records[0].offset, 1);
    bus_done(reader, &batch);
    ck_assert_int_eq(outcomes[1].receipt.offset, 1);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

static bool first_was_told(void) { return atomic_load(&outcomes[0].calls) > 0; }

START_TEST(record_nobody_takes_fails_in_time)
{
    open_bus(2, 30);
    send_to(&outcomes[0], "a", TEXT("one"));
    ck_assert(comes_true(first_was_told));
    ck_assert_int_eq(outcomes[0].status, STATUS_RETRY);
    struct bus_reader *reader = open_reader();
    ck_assert_uint_eq(take(reader, &glance).count, 0);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(record_in_a_batch_is_left_to_the_reader)
{
    open_bus(2, 30);
    struct bus_reader *reader = open_reader();
    send_to(&outcomes[1], "a", TEXT("taken"));
    struct bus_batch batch = take(reader, &now_all);
    ck_assert_uint_eq(batch.count, 1);
    send_to(&outcomes[0], "a", TEXT("left"));
    ck_assert(comes_true(first_was_told));
    ck_assert_int_eq(outcomes[1].calls, 0);
    bus_done(reader, &batch);
    ck_assert_int_eq(outcomes[1].status, STATUS_OK);
    ck_assert_int_eq(outcomes[1].calls, 1);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(closing_fails_what_still_waits)
{
    open_bus(4, WAIT_MS);
    struct bus_reader *reader = open_reader();
    send_to(&outcomes[0], "a", TEXT("taken"));
    struct bus_batch batch = take(reader, &now_all);
    ck_assert_uint_eq(batch.count, 1);
    send_to(&outcomes[1], "b", TEXT("waiting"));
    bus_reader_close(reader);
    bus_close(bus);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(outcomes[i].calls, 1);
        ck_assert_int_eq(outcomes[i].status, STATUS_RETRY);
    }
}
END_TEST

START_TEST(batch_keeps_to_its_byte_limit_but_always_moves)
{
    struct bus_take_limits bytes = {1000, 10, WAIT_MS, 0};
    open_bus(1, WAIT_MS);
    struct bus_reader *reader = open_reader();
    send_to(&outcomes[0], "a", TEXT("12345"));
    send_to(&outcomes[1], "a", TEXT("12345"));
    send_to(&outcomes[2], "a", TEXT("this one is longer than the limit"));
    struct bus_batch batch = take(reader, &bytes);
    ck_assert_uint_eq(batch.count, 2);
    bus_done(reader, &batch);
    batch = take(reader, &bytes);
    ck_assert_uint_eq(batch.count, 1);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

static void *send_one(void *context)
{
    send_to(&outcomes[0], "a", TEXT("first"));
    send_to(&outcomes[1], "a", TEXT("second"));
    return context;
}

START_TEST(lingering_ends_when_the_batch_is_full)
{
    struct bus_take_limits two = {2, 1 << 20, WAIT_MS, 10 * WAIT_MS};
    pthread_t thread;
    open_bus(1, WAIT_MS);
    struct bus_reader *reader = open_reader();
    pthread_create(&thread, NULL, send_one, NULL);
    struct bus_batch batch = take(reader, &two);
    ck_assert_uint_eq(batch.count, 2);
    bus_done(reader, &batch);
    pthread_join(thread, NULL);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

static void *wake(void *reader)
{
    bus_wake(reader);
    return NULL;
}

START_TEST(wake_ends_a_take_with_nothing)
{
    struct bus_take_limits ever = {1, 1, 100 * WAIT_MS, 0};
    pthread_t thread;
    open_bus(1, WAIT_MS);
    struct bus_reader *reader = open_reader();
    pthread_create(&thread, NULL, wake, reader);
    ck_assert_uint_eq(take(reader, &ever).count, 0);
    pthread_join(thread, NULL);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(records_wait_until_the_reader_knows_where_it_stands)
{
    open_bus(1, WAIT_MS);
    refusals = 2;
    stored[0] = 7;
    struct bus_reader *reader = open_reader();
    send_to(&outcomes[0], "a", TEXT("one"));
    ck_assert(!bus_ready(bus));
    ck_assert_uint_eq(take(reader, &glance).count, 0);
    struct bus_batch batch = take(reader, &now_all);
    ck_assert_int_eq(batch.records[0].offset, 7);
    ck_assert_int_eq(asked, 3);
    ck_assert(bus_ready(bus));
    bus_done(reader, &batch);
    bus_drop_partition(reader, 0);
    ck_assert(!bus_ready(bus));
    ck_assert_uint_eq(take(reader, &glance).count, 0);
    ck_assert_int_eq(asked, 4);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

#define SENDERS 3
#define SENDS 1000

static void *send_many(void *first)
{
    struct outcome *mine = first;
    char key[16];
    for (int i = 0; i < SENDS; i++) {
        snprintf(key, sizeof key, "1/d%d", i % 16);
        struct bus_record record = {.key = text_of(key), .value = TEXT("value")};
        while (bus_send(bus, &record, on_sent, &mine[i], &(struct problem){{0}}) == STATUS_RETRY)
            sched_yield();
    }
    return NULL;
}

static atomic_bool reading_ends;

static void *read_until_told(void *context)
{
    struct bus_reader *reader = context;
    struct bus_take_limits limits = {50, 1 << 20, 50, 1};
    struct problem problem;
    struct bus_batch batch;
    while (!atomic_load(&reading_ends)) {
        if (bus_take(reader, &limits, &batch, &problem) != STATUS_OK)
            abort();
        bus_done(reader, &batch);
    }
    return NULL;
}

static enum status always_zero(void *context, int32_t partition, int64_t *next_offset, struct problem *reason)
{
    (void)context;
    (void)partition;
    (void)reason;
    *next_offset = -1;
    return STATUS_OK;
}

static void ignore_revoked(void *context, int32_t partition)
{
    (void)context;
    (void)partition;
}

START_TEST(every_sender_of_many_threads_is_told_exactly_once)
{
    static const struct bus_reader_hooks plain = {NULL, always_zero, ignore_revoked, on_gap};
    struct bus_reader *readers[2] = {NULL};
    pthread_t senders[SENDERS], reading[2];
    int64_t in_all = 0;
    open_bus(5, WAIT_MS);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(bus_reader_open(bus, &plain, &readers[i], &why), STATUS_OK);
    for (int i = 0; i < 2; i++)
        pthread_create(&reading[i], NULL, read_until_told, readers[i]);
    for (int i = 0; i < SENDERS; i++)
        pthread_create(&senders[i], NULL, send_many, &outcomes[i * SENDS]);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    ck_assert(bus_flush(bus, WAIT_MS));
    atomic_store(&reading_ends, true);
    for (int i = 0; i < 2; i++)
        pthread_join(reading[i], NULL);
    for (int i = 0; i < 2; i++)
        bus_reader_close(readers[i]);
    int64_t next[5] = {0};
    for (int i = 0; i < SENDERS * SENDS; i++) {
        ck_assert_int_eq(outcomes[i].calls, 1);
        ck_assert_int_eq(outcomes[i].status, STATUS_OK);
        int32_t shard = outcomes[i].receipt.partition;
        if (outcomes[i].receipt.offset >= next[shard])
            next[shard] = outcomes[i].receipt.offset + 1;
    }
    for (int i = 0; i < 5; i++)
        in_all += next[i];
    ck_assert_int_eq(in_all, SENDERS * SENDS); /* every number was given once */
    bus_close(bus);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        unknown_driver_is_rejected,
        senders_hear_of_it_only_when_the_reader_is_done,
        record_is_copied_with_its_headers,
        one_key_keeps_its_order_and_its_shard,
        full_queue_asks_for_retry_and_has_room_again_after_done,
        failed_batch_tells_its_senders_and_the_number_is_asked_again,
        record_nobody_takes_fails_in_time,
        record_in_a_batch_is_left_to_the_reader,
        closing_fails_what_still_waits,
        batch_keeps_to_its_byte_limit_but_always_moves,
        lingering_ends_when_the_batch_is_full,
        wake_ends_a_take_with_nothing,
        records_wait_until_the_reader_knows_where_it_stands,
        every_sender_of_many_threads_is_told_exactly_once,
    };
    return check_main(&(const struct check_suite){.name = "runtime/bus_direct",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .timeout_seconds = 60});
}
