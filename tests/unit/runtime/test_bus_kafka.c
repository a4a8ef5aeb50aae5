#include "runtime/bus.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/bus_kafka.h"
#include "runtime/clock.h"
#include "tests/support/broker.h"
#include "tests/support/check_main.h"

#define WAIT_MS 30000
#define PARTITIONS 4
#define OUTCOMES_MAX 4000

struct outcome {
    atomic_int calls;
    enum status status;
    struct bus_receipt receipt;
};

/* A reader with what its database would say. */
struct memory {
    int64_t next[PARTITIONS]; /* -1: nothing stored yet */
    int asked[PARTITIONS], revoked[PARTITIONS];
    int refusals, gaps;
    int64_t gap_expected, gap_available;
};

static struct bus_settings settings;
static struct bus *bus;
static struct problem why;
static struct outcome outcomes[OUTCOMES_MAX];

static const struct bus_take_limits now_all = {1000, 1 << 30, WAIT_MS, 0};
static const struct bus_take_limits glance = {1000, 1 << 30, 300, 0};

static enum status on_assigned(void *context, int32_t partition, int64_t *next_offset, struct problem *reason)
{
    struct memory *memory = context;
    memory->asked[partition]++;
    if (memory->refusals > 0 && memory->refusals--)
        return problem_set(reason, STATUS_RETRY, "the database is away");
    *next_offset = memory->next[partition];
    return STATUS_OK;
}

static void on_revoked(void *context, int32_t partition)
{
    struct memory *memory = context;
    memory->revoked[partition]++;
}

static enum status on_gap(void *context, int32_t partition, int64_t expected, int64_t available,
                          struct problem *reason)
{
    struct memory *memory = context;
    (void)partition;
    (void)reason;
    memory->gaps++;
    memory->gap_expected = expected;
    memory->gap_available = available;
    return STATUS_OK;
}

static void on_sent(void *context, enum status status, const struct bus_receipt *receipt, const struct problem *reason)
{
    struct outcome *outcome = context;
    (void)reason;
    outcome->status = status;
    if (receipt)
        outcome->receipt = *receipt;
    atomic_fetch_add(&outcome->calls, 1);
}

static void settings_fill(const char *topic, int64_t partitions)
{
    settings = (struct bus_settings){.bus = "kafka",
                                     .kafka_brokers = broker_bootstrap(),
                                     .kafka_topic = topic,
                                     .kafka_group = topic,
                                     .kafka_partitions = partitions,
                                     .bus_queue_bytes = 32 << 20,
                                     .bus_send_timeout_ms = WAIT_MS};
}

static void open_mock(void)
{
    settings_fill("mocked", PARTITIONS);
    ck_assert_msg(bus_open(&settings, WAIT_MS, 1, &bus, &why) == STATUS_OK, "%s", why.text);
}

static void open_real(const char *topic, int64_t partitions)
{
    settings_fill(topic, partitions);
    ck_assert_msg(bus_open(&settings, WAIT_MS, 0, &bus, &why) == STATUS_OK, "%s", why.text);
}

static struct memory empty_memory(void)
{
    return (struct memory){.next = {-1, -1, -1, -1}};
}

static struct bus_reader *open_reader(struct memory *memory)
{
    struct bus_reader_hooks hooks = {memory, on_assigned, on_revoked, on_gap};
    struct bus_reader *reader = NULL;
    ck_assert_msg(bus_reader_open(bus, &hooks, &reader, &why) == STATUS_OK, "%s", why.text);
    return reader;
}

static void send_to(struct outcome *outcome, const char *key, struct text value)
{
    struct bus_header headers[] = {{TEXT("kind"), TEXT("message")}, {TEXT("empty"), TEXT("")}};
    struct bus_record record = {.key = text_of(key), .value = value, .headers = headers, .header_count = 2};
    enum status status = bus_send(bus, &record, on_sent, outcome, &why);
    ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

static void send_numbers(int from, int count)
{
    char key[16], value[16];
    for (int i = from; i < from + count; i++) {
        snprintf(key, sizeof key, "1/d%d", i % 16);
        snprintf(value, sizeof value, "%d", i);
        send_to(&outcomes[i], key, text_of(value));
    }
    ck_assert(bus_flush(bus, WAIT_MS));
    for (int i = from; i < from + count; i++)
        ck_assert_int_eq(outcomes[i].status, STATUS_OK);
}

static int number_of(const struct bus_record *record)
{
    uint64_t number = 0;
    ck_assert(text_to_u64(record->value, &number));
    return (int)number;
}

/* Takes and stores until `count` records came; each has to stand where its receipt says. */
static void read_numbers(struct bus_reader *reader, struct memory *memory, int count, bool *seen)
{
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    for (int got = 0; got < count;) {
        struct bus_batch batch;
        ck_assert_msg(clock_monotonic_ms() < deadline_ms, "%d of %d came", got, count);
        ck_assert_int_eq(bus_take(reader, &glance, &batch, &why), STATUS_OK);
        for (size_t i = 0; i < batch.count; i++) {
            const struct bus_record *record = &batch.records[i];
            int number = number_of(record);
            ck_assert(!seen[number]);
            seen[number] = true;
            got++;
            ck_assert_int_eq(record->partition, outcomes[number].receipt.partition);
            if (outcomes[number].receipt.offset >= 0)
                ck_assert_int_eq(record->offset, outcomes[number].receipt.offset);
            if (i && batch.records[i - 1].partition == record->partition)
                ck_assert_int_gt(record->offset, batch.records[i - 1].offset);
            memory->next[record->partition] = record->offset + 1;
        }
        bus_done(reader, &batch);
    }
}

static struct bus_batch take_some(struct bus_reader *reader)
{
    struct bus_batch batch;
    ck_assert_int_eq(bus_take(reader, &now_all, &batch, &why), STATUS_OK);
    ck_assert_uint_gt(batch.count, 0);
    return batch;
}

static void check_records_are_read_where_receipts_say(void)
{
    bool seen[500] = {false};
    struct memory memory = empty_memory();
    struct bus_reader *reader = open_reader(&memory);
    send_numbers(0, 500);
    read_numbers(reader, &memory, 500, seen);
    struct bus_batch batch;
    ck_assert_int_eq(bus_take(reader, &glance, &batch, &why), STATUS_OK);
    ck_assert_uint_eq(batch.count, 0);
    ck_assert_int_eq(bus_lag(reader), 0);
    bus_reader_close(reader);
    for (int i = 0; i < PARTITIONS; i++)
        ck_assert_int_eq(memory.revoked[i], 1);
    bus_close(bus);
}

START_TEST(records_are_read_where_receipts_say_on_a_mock)
{
    open_mock();
    check_records_are_read_where_receipts_say();
}
END_TEST

START_TEST(records_are_read_where_receipts_say_on_kafka)
{
    open_real("receipts", PARTITIONS);
    check_records_are_read_where_receipts_say();
}
END_TEST

START_TEST(record_comes_back_with_key_and_headers)
{
    struct memory memory = empty_memory();
    open_real("headers", PARTITIONS);
    struct bus_reader *reader = open_reader(&memory);
    send_to(&outcomes[0], "1/device", TEXT("a\0b"));
    struct bus_batch batch = take_some(reader);
    const struct bus_record *record = &batch.records[0];
    ck_assert(text_equal(record->key, TEXT("1/device")));
    ck_assert(text_equal(record->value, TEXT("a\0b")));
    ck_assert_uint_eq(record->header_count, 2);
    ck_assert(text_equal(record->headers[0].name, TEXT("kind")));
    ck_assert(text_equal(record->headers[0].value, TEXT("message")));
    ck_assert(text_equal(record->headers[1].name, TEXT("empty")) && record->headers[1].value.count == 0);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(failed_batch_comes_again)
{
    bool seen[200] = {false};
    struct problem reason;
    struct memory memory = empty_memory();
    open_real("failed", PARTITIONS);
    struct bus_reader *reader = open_reader(&memory);
    send_numbers(0, 200);
    for (int round = 0; round < 3; round++) {
        struct bus_batch batch = take_some(reader);
        problem_set(&reason, STATUS_RETRY, "the database is away");
        bus_failed(reader, &batch, STATUS_RETRY, &reason);
    }
    read_numbers(reader, &memory, 200, seen);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(reading_begins_where_the_database_says_and_not_before_it_answers)
{
    struct memory memory = empty_memory();
    open_real("begins", PARTITIONS);
    for (int i = 0; i < 5; i++)
        send_to(&outcomes[i], "one device", TEXT("0"));
    ck_assert(bus_flush(bus, WAIT_MS));
    int32_t partition = outcomes[0].receipt.partition;
    memory.next[partition] = 3;
    memory.refusals = 6;
    struct bus_reader *reader = open_reader(&memory);
    struct bus_batch batch = take_some(reader);
    ck_assert_uint_eq(batch.count, 2);
    ck_assert_int_eq(batch.records[0].offset, 3);
    ck_assert_int_ge(memory.asked[0] + memory.asked[1] + memory.asked[2] + memory.asked[3], PARTITIONS + 6);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(dropped_partition_is_asked_about_before_it_is_read_again)
{
    struct memory memory = empty_memory();
    struct problem reason;
    open_real("dropped", PARTITIONS);
    for (int i = 0; i < 5; i++)
        send_to(&outcomes[i], "one device", TEXT("0"));
    ck_assert(bus_flush(bus, WAIT_MS));
    int32_t partition = outcomes[0].receipt.partition;
    struct bus_reader *reader = open_reader(&memory);
    struct bus_batch batch = take_some(reader);
    ck_assert_int_eq(batch.records[0].offset, 0);
    problem_set(&reason, STATUS_RETRY, "another process moved the offset");
    bus_drop_partition(reader, partition);
    bus_failed(reader, &batch, STATUS_RETRY, &reason);
    memory.next[partition] = 4; /* it stored the first four */
    batch = take_some(reader);
    ck_assert_int_eq(batch.records[0].offset, 4);
    ck_assert_int_eq(memory.asked[partition], 2);
    bus_done(reader, &batch);
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
    struct memory memory = empty_memory();
    struct bus_batch batch;
    pthread_t thread;
    open_real("woken", PARTITIONS);
    struct bus_reader *reader = open_reader(&memory);
    pthread_create(&thread, NULL, wake, reader);
    ck_assert_int_eq(bus_take(reader, &ever, &batch, &why), STATUS_OK);
    ck_assert_uint_eq(batch.count, 0);
    pthread_join(thread, NULL);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(full_queue_asks_for_retry)
{
    static char big[500000];
    struct bus_record record = {.key = TEXT("a"), .value = {big, sizeof big}};
    int accepted = 0;
    open_mock();
    rd_kafka_mock_broker_set_down(kafka_of(bus)->mock, 1);
    while (accepted < 1000 && bus_send(bus, &record, on_sent, &outcomes[accepted], &why) == STATUS_OK)
        accepted++;
    ck_assert_int_gt(accepted, 10);
    ck_assert_int_lt(accepted, 100);
    ck_assert_ptr_nonnull(strstr(why.text, "bus_queue_bytes"));
    bus_close(bus); /* and every accepted one is told */
    for (int i = 0; i < accepted; i++) {
        ck_assert_int_eq(outcomes[i].calls, 1);
        ck_assert_int_eq(outcomes[i].status, STATUS_RETRY);
    }
}
END_TEST

START_TEST(unreachable_broker_fails_records_in_time_and_readiness_tells)
{
    settings_fill("mocked", PARTITIONS);
    settings.bus_send_timeout_ms = 500;
    ck_assert_int_eq(bus_open(&settings, WAIT_MS, 1, &bus, &why), STATUS_OK);
    ck_assert(bus_ready(bus));
    rd_kafka_mock_broker_set_down(kafka_of(bus)->mock, 1);
    send_to(&outcomes[0], "a", TEXT("0"));
    ck_assert(bus_flush(bus, WAIT_MS));
    ck_assert_int_eq(outcomes[0].status, STATUS_RETRY);
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (bus_ready(bus) && clock_monotonic_ms() < deadline_ms)
        sched_yield();
    ck_assert(!bus_ready(bus));
    rd_kafka_mock_broker_set_up(kafka_of(bus)->mock, 1);
    while (!bus_ready(bus) && clock_monotonic_ms() < deadline_ms)
        sched_yield();
    ck_assert(bus_ready(bus));
    bus_close(bus);
}
END_TEST

START_TEST(fatal_producer_error_is_survived)
{
    char reason[8] = "";
    open_mock();
    rd_kafka_test_fatal_error(kafka_producer_handle(kafka_of(bus)->producer), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                              "made up");
    struct bus_record record = {.key = TEXT("a"), .value = {reason, 1}};
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    enum status status = STATUS_RETRY;
    do {
        status = bus_send(bus, &record, on_sent, &outcomes[0], &why);
        if (!status)
            ck_assert(bus_flush(bus, WAIT_MS));
    } while ((status || outcomes[0].status) && clock_monotonic_ms() < deadline_ms);
    ck_assert_int_eq(status, STATUS_OK);
    ck_assert_int_eq(outcomes[0].status, STATUS_OK);
    bus_close(bus);
}
END_TEST

START_TEST(unreachable_brokers_ask_for_retry_at_open)
{
    settings_fill("nowhere", 1);
    settings.kafka_brokers = "127.0.0.1:1";
    ck_assert_int_eq(bus_open(&settings, 300, 0, &bus, &why), STATUS_RETRY);
}
END_TEST

START_TEST(missing_topic_is_made_and_its_durability_told)
{
    open_real("made", 3);
    ck_assert_int_eq(bus_partitions(bus), 3);
    ck_assert_str_eq(bus_topic(bus), "made");
    ck_assert_uint_gt(strlen(bus_cluster(bus)), 0);
    ck_assert_ptr_nonnull(strstr(bus_durability_note(bus), "one replica"));
    bus_close(bus);
    settings.kafka_min_insync = 2;
    ck_assert_int_eq(bus_open(&settings, WAIT_MS, 0, &bus, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "min.insync.replicas=1"));
    settings.kafka_min_insync = 1;
    ck_assert_int_eq(bus_open(&settings, WAIT_MS, 0, &bus, &why), STATUS_OK);
    bus_close(bus);
}
END_TEST

/* The bodies that devices send may have 1 MiB. */
START_TEST(largest_body_passes_through)
{
    char *big = calloc(1, 1 << 20);
    struct memory memory = empty_memory();
    open_real("large", PARTITIONS);
    for (size_t i = 0; i < 1 << 20; i++)
        big[i] = (char)rand(); /* nothing to compress */
    send_to(&outcomes[0], "a", (struct text){big, 1 << 20});
    ck_assert(bus_flush(bus, WAIT_MS));
    ck_assert_int_eq(outcomes[0].status, STATUS_OK);
    struct bus_reader *reader = open_reader(&memory);
    struct bus_batch batch = take_some(reader);
    ck_assert_uint_eq(batch.records[0].value.count, 1 << 20);
    ck_assert_mem_eq(batch.records[0].value.bytes, big, 1 << 20);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
    free(big);
}
END_TEST

static void records_delete(int32_t partition, int64_t before)
{
    rd_kafka_t *rk = kafka_producer_handle(kafka_of(bus)->producer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, bus_topic(bus), partition)->offset = before;
    rd_kafka_DeleteRecords_t *deletion = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteRecords(rk, &deletion, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    ck_assert(event && !rd_kafka_event_error(event));
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(deletion);
    rd_kafka_topic_partition_list_destroy(list);
}

START_TEST(records_that_kafka_no_longer_has_are_a_reported_gap)
{
    struct memory memory = empty_memory();
    open_real("gap", 1);
    send_numbers(0, 10);
    records_delete(0, 6);
    memory.next[0] = 2;
    struct bus_reader *reader = open_reader(&memory);
    struct bus_batch batch = take_some(reader);
    ck_assert_int_eq(memory.gaps, 1);
    ck_assert_int_eq(memory.gap_expected, 2);
    ck_assert_int_eq(memory.gap_available, 6);
    ck_assert_int_eq(batch.records[0].offset, 6);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

/* A transaction's end takes an offset that nobody can read: a hole in the middle of what is fetched. */
static void hole_make(void)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", broker_bootstrap(), reason, sizeof reason);
    rd_kafka_conf_set(conf, "transactional.id", "hole", reason, sizeof reason);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    ck_assert_ptr_nonnull(rk);
    ck_assert_ptr_null(rd_kafka_init_transactions(rk, WAIT_MS));
    ck_assert_ptr_null(rd_kafka_begin_transaction(rk));
    ck_assert_int_eq(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(bus_topic(bus)), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_VALUE("3", 1), RD_KAFKA_V_END), 0);
    ck_assert_ptr_null(rd_kafka_commit_transaction(rk, WAIT_MS));
    int64_t begin, end = 0, deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (end != 5 && clock_monotonic_ms() < deadline_ms) /* the marker comes a moment after the answer */
        ck_assert_int_eq(rd_kafka_query_watermark_offsets(rk, bus_topic(bus), 0, &begin, &end, WAIT_MS), 0);
    ck_assert_int_eq(end, 5);
    rd_kafka_destroy(rk);
}

START_TEST(gap_is_reported_after_what_came_before_it_is_stored)
{
    struct memory memory = empty_memory();
    open_real("hole", 1);
    send_numbers(0, 3);
    hole_make(); /* 3, and 4 */
    send_numbers(5, 2);
    memory.next[0] = 0;
    struct bus_reader *reader = open_reader(&memory);
    struct bus_batch batch = take_some(reader);
    ck_assert_uint_eq(batch.count, 4);
    ck_assert_int_eq(memory.gaps, 0);
    bus_failed(reader, &batch, STATUS_RETRY, &(const struct problem){.text = "the database is away"});
    batch = take_some(reader);
    ck_assert_uint_eq(batch.count, 4);
    ck_assert_int_eq(batch.records[0].offset, 0);
    ck_assert_int_eq(memory.gaps, 0);
    memory.next[0] = 4;
    bus_done(reader, &batch);
    batch = take_some(reader);
    ck_assert_int_eq(memory.gaps, 1);
    ck_assert_int_eq(memory.gap_expected, 4);
    ck_assert_int_eq(memory.gap_available, 5);
    ck_assert_int_eq(batch.records[0].offset, 5);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(position_beyond_the_end_is_a_reported_gap_and_reads_from_the_beginning)
{
    struct memory memory = empty_memory();
    open_real("anew", 1);
    send_numbers(0, 3);
    memory.next[0] = 5000;
    struct bus_reader *reader = open_reader(&memory);
    struct bus_batch batch = take_some(reader);
    ck_assert_int_eq(memory.gap_expected, 5000);
    ck_assert_int_eq(memory.gap_available, 0);
    ck_assert_int_eq(batch.records[0].offset, 0);
    bus_done(reader, &batch);
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

struct second {
    struct memory memory;
    atomic_bool ends;
    atomic_int taken;
};

/* Stores nothing: it is here for the group only. */
static void *second_run(void *context)
{
    struct second *second = context;
    struct bus_reader *reader = open_reader(&second->memory);
    struct bus_batch batch;
    struct problem problem;
    while (!atomic_load(&second->ends)) {
        ck_assert_int_eq(bus_take(reader, &(struct bus_take_limits){100, 1 << 20, 50, 0}, &batch, &problem), STATUS_OK);
        int has = 0;
        for (int i = 0; i < PARTITIONS; i++)
            has += second->memory.asked[i] > second->memory.revoked[i];
        atomic_store(&second->taken, has);
        bus_done(reader, &batch);
    }
    bus_reader_close(reader);
    return NULL;
}

START_TEST(readers_of_a_group_share_and_inherit_partitions)
{
    bool seen[PARTITIONS * 100] = {false};
    struct memory memory = empty_memory();
    struct second second = {.memory = empty_memory()};
    struct bus_batch batch;
    pthread_t thread;
    open_real("shared", PARTITIONS);
    struct bus_reader *reader = open_reader(&memory);
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    pthread_create(&thread, NULL, second_run, &second);
    while (atomic_load(&second.taken) != PARTITIONS / 2 && clock_monotonic_ms() < deadline_ms) {
        ck_assert_int_eq(bus_take(reader, &(struct bus_take_limits){100, 1 << 20, 50, 0}, &batch, &why), STATUS_OK);
        ck_assert_uint_eq(batch.count, 0);
    }
    ck_assert_int_eq(second.taken, PARTITIONS / 2);
    atomic_store(&second.ends, true);
    pthread_join(thread, NULL);
    send_numbers(0, 200);
    read_numbers(reader, &memory, 200, seen); /* all of them, so everything came back here */
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(what_was_acknowledged_survives_a_killed_broker)
{
    static bool seen[OUTCOMES_MAX];
    char key[16], value[16];
    struct memory memory = empty_memory();
    open_real("killed", PARTITIONS);
    int sent = 0;
    for (; sent < OUTCOMES_MAX / 2; sent++) {
        snprintf(key, sizeof key, "1/d%d", sent % 16);
        snprintf(value, sizeof value, "%d", sent);
        send_to(&outcomes[sent], key, text_of(value));
    }
    broker_kill9();
    for (; sent < OUTCOMES_MAX; sent++) {
        snprintf(key, sizeof key, "1/d%d", sent % 16);
        snprintf(value, sizeof value, "%d", sent);
        send_to(&outcomes[sent], key, text_of(value));
    }
    broker_restart();
    ck_assert(bus_flush(bus, 2 * WAIT_MS));
    struct bus_reader *reader = open_reader(&memory);
    for (int i = 0; i < OUTCOMES_MAX; i++)
        ck_assert_int_eq(outcomes[i].status, STATUS_OK);
    read_numbers(reader, &memory, OUTCOMES_MAX, seen); /* each once, in spite of repetitions */
    bus_reader_close(reader);
    bus_close(bus);
}
END_TEST

START_TEST(settings_that_would_weaken_promises_are_refused)
{
    static const char *const wrong[] = {"PICKET_KAFKA_ACKS=1", "PICKET_KAFKA_ENABLE_IDEMPOTENCE=false",
                                        "PICKET_KAFKA_ENABLE_AUTO_COMMIT=true",
                                        "PICKET_KAFKA_AUTO_OFFSET_RESET=latest", "PICKET_KAFKA_NO_SUCH_THING=1"};
    struct arena arena;
    struct settings_group group = {"bus", bus_settings_table, bus_settings_count, &settings};
    arena_init(&arena);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *environment[] = {wrong[i], "PICKET_BUS=kafka", NULL};
        ck_assert_msg(!settings_load(&group, 1, NULL, environment, &arena, &why), "%s", why.text);
        ck_assert_int_eq(bus_open(&settings, WAIT_MS, 1, &bus, &why), STATUS_REJECT);
    }
    const char *environment[] = {"PICKET_KAFKA_ACKS=all", "PICKET_KAFKA_LINGER_MS=1", "PICKET_BUS=kafka", NULL};
    ck_assert_int_eq(settings_load(&group, 1, NULL, environment, &arena, &why), STATUS_OK);
    ck_assert_msg(bus_open(&settings, WAIT_MS, 1, &bus, &why) == STATUS_OK, "%s", why.text);
    bus_close(bus);
    arena_done(&arena);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        records_are_read_where_receipts_say_on_a_mock,
        records_are_read_where_receipts_say_on_kafka,
        record_comes_back_with_key_and_headers,
        failed_batch_comes_again,
        reading_begins_where_the_database_says_and_not_before_it_answers,
        dropped_partition_is_asked_about_before_it_is_read_again,
        wake_ends_a_take_with_nothing,
        full_queue_asks_for_retry,
        unreachable_broker_fails_records_in_time_and_readiness_tells,
        fatal_producer_error_is_survived,
        unreachable_brokers_ask_for_retry_at_open,
        missing_topic_is_made_and_its_durability_told,
        largest_body_passes_through,
        records_that_kafka_no_longer_has_are_a_reported_gap,
        gap_is_reported_after_what_came_before_it_is_stored,
        position_beyond_the_end_is_a_reported_gap_and_reads_from_the_beginning,
        readers_of_a_group_share_and_inherit_partitions,
        what_was_acknowledged_survives_a_killed_broker,
        settings_that_would_weaken_promises_are_refused,
    };
    broker_start();
    return check_main(&(const struct check_suite){.name = "runtime/bus_kafka",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .timeout_seconds = 120});
}
