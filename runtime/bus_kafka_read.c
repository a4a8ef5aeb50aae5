#include "runtime/bus_kafka.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/arena.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#define POLL_SLICE_MS 500   /* a wake-up that librdkafka loses costs no more */
#define WATERMARKS_MS 5000  /* for the broker to tell where a partition begins and ends */
#define DROPPED_MS 2000     /* a dropped partition is asked about again after this, if the group still says it is ours */
#define FIRST_PART_MS 5000  /* longer than a group waits for its first members */
#define COMMIT_EVERY_MS 1000 /* for lag tools only */

/* A partition that the group gave us is read only after assigned() said from where. `fetching` begins there, and ends
 * with each thing that makes the position doubtful: a failed batch, a drop, a gap, a revocation. Then it is asked for
 * and begun anew, from the brokers. So there is one way to start reading, and no seeking, pausing or keeping of failed
 * records beside it. */
struct kafka_partition {
    bool ours;     /* the group says so */
    bool fetching; /* in librdkafka's assignment, from `next` on */
    int64_t next;  /* offset of the record to come */
    int64_t ask_after_ms;
    int64_t done_next; /* -1: nothing done since the last commit to Kafka */
};

struct kafka_reader {
    struct bus_reader reader;
    rd_kafka_t *rk;
    bool heard; /* the group has told us our part at least once */
    rd_kafka_queue_t *queue;
    struct kafka_partition *partitions;
    int32_t partition_count;
    int32_t ask_first; /* where the next round of questions begins */
    rd_kafka_message_t **messages; /* of the batch that is collected or out */
    size_t message_count, message_room, message_bytes;
    bool cut; /* the batch ends here: a gap comes next, and what is in hand has to be stored before it is told */
    struct arena arena; /* records and headers of the batch */
    int64_t commit_after_ms;
    enum status failure; /* of a hook, for the end of bus_take() */
    struct problem failure_reason;
    atomic_bool woken;
    atomic_llong lag;
};

static struct kafka_reader *reader_of(struct bus_reader *reader) { return (struct kafka_reader *)reader; }
static void rebalance_receive(rd_kafka_t *rk, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *list,
                              void *opaque);
static void read_error_receive(rd_kafka_t *rk, int error, const char *reason, void *opaque);
static bool part_await(struct kafka_reader *reader);
static struct kafka_partition *partition_at(struct kafka_reader *reader, int32_t number);
static int64_t partitions_ask(struct kafka_reader *reader);
static void partition_ask(struct kafka_reader *reader, int32_t number);
static enum status partition_oldest(struct kafka_reader *reader, int32_t number, int64_t *oldest, int64_t *end,
                                    struct problem *why);
static void partition_begin(struct kafka_reader *reader, int32_t number, int64_t offset);
static void partition_end(struct kafka_reader *reader, int32_t number, int64_t ask_after_ms);
static void partition_stop(struct kafka_reader *reader, int32_t number, int64_t ask_after_ms);
static void partition_forget(struct kafka_reader *reader, int32_t number);
static bool partition_cut(struct kafka_reader *reader, int32_t number);
static void hook_failed(struct kafka_reader *reader, int32_t number, enum status status, const struct problem *why);
static bool gap_report(struct kafka_reader *reader, int32_t number, int64_t expected, int64_t available);
static void message_receive(struct kafka_reader *reader, rd_kafka_message_t *take_message);
static void message_error(struct kafka_reader *reader, const rd_kafka_message_t *message);
static void partition_out_of_range(struct kafka_reader *reader, int32_t number);
static bool batch_full(const struct kafka_reader *reader, const struct bus_take_limits *limits);
static void batch_print(struct kafka_reader *reader, struct bus_batch *out);
static void batch_drop(struct kafka_reader *reader);
static void offsets_commit(struct kafka_reader *reader);
static void lag_measure(struct kafka_reader *reader);

enum status kafka_reader_open(struct bus *bus, const struct bus_reader_hooks *hooks, struct bus_reader **out,
                              struct problem *why)
{
    struct kafka_bus *kafka = kafka_of(bus);
    char reason[256];
    rd_kafka_conf_t *conf = NULL;
    const struct kafka_option options[] = {
        {"group.id", kafka->settings.kafka_group},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"session.timeout.ms", "10000"}, /* a killed reader's partitions move on; the fence makes being wrong harmless */
        {"fetch.wait.max.ms", "100"},
        {"fetch.message.max.bytes", KAFKA_MESSAGE_BYTES_MAX},
        {"queued.max.messages.kbytes", "65536"}, /* the memory of a reader, mostly */
        {"fetch.error.backoff.ms", "100"},
        {"socket.keepalive.enable", "true"},
    };

    enum status status = kafka_conf(kafka, options, sizeof options / sizeof *options, &conf, why);
    if (status)
        return status;
    struct kafka_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        abort();
    reader->reader = (struct bus_reader){bus, *hooks, false};
    arena_init(&reader->arena);
    rd_kafka_conf_set_opaque(conf, reader);
    rd_kafka_conf_set_rebalance_cb(conf, rebalance_receive);
    rd_kafka_conf_set_error_cb(conf, read_error_receive);
    reader->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (!reader->rk) {
        rd_kafka_conf_destroy(conf);
        kafka_reader_close(&reader->reader);
        return problem_set(why, STATUS_REJECT, "kafka: %s", reason);
    }
    rd_kafka_poll_set_consumer(reader->rk);
    reader->queue = rd_kafka_queue_get_consumer(reader->rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, kafka->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(reader->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (error) {
        kafka_reader_close(&reader->reader);
        return problem_set(why, STATUS_RETRY, "kafka: %s", rd_kafka_err2str(error));
    }
    *out = &reader->reader;
    return STATUS_OK;
}

void kafka_reader_close(struct bus_reader *take_reader)
{
    struct kafka_reader *reader = reader_of(take_reader);

    batch_drop(reader);
    if (reader->rk && !part_await(reader)) {
        log_warn("bus.reader_left", "after_ms=%d", FIRST_PART_MS);
        return; /* the process ends anyway */
    }
    if (reader->rk) {
        offsets_commit(reader);
        rd_kafka_consumer_close(reader->rk); /* revokes what we have, and leaves the group */
        if (reader->queue)
            rd_kafka_queue_destroy(reader->queue);
        rd_kafka_destroy(reader->rk);
    }
    arena_done(&reader->arena);
    free(reader->messages);
    free(reader->partitions);
    free(reader);
}

/* librdkafka (2.0.2 at least) aborts the program when it is destroyed after it joined a group for the first time and
 * before it was told its part: its assignor has no state by then, and insists on one. Nothing tells these moments apart
 * from outside, so the part is waited for, and a handle that never hears of one is not destroyed. */
static bool part_await(struct kafka_reader *reader)
{
    int64_t until_ms = clock_monotonic_ms() + FIRST_PART_MS;

    while (!reader->heard && kafka_left_ms(until_ms) > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->rk, kafka_left_ms(until_ms));
        if (message)
            rd_kafka_message_destroy(message);
    }
    return reader->heard;
}

enum status kafka_take(struct bus_reader *base, const struct bus_take_limits *limits, struct bus_batch *out,
                       struct problem *why)
{
    struct kafka_reader *reader = reader_of(base);
    int64_t until_ms = clock_monotonic_ms() + limits->wait_ms;
    bool lingering = false;

    *out = (struct bus_batch){0};
    while (!batch_full(reader, limits) && !reader->cut && !atomic_load(&reader->woken)) {
        int64_t next_ask_ms = partitions_ask(reader);
        if (reader->failure)
            break;
        if (reader->message_count && !lingering) {
            lingering = true;
            until_ms = clock_monotonic_ms() + limits->linger_ms;
        }
        int wait_ms = kafka_left_ms(until_ms < next_ask_ms ? until_ms : next_ask_ms);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->rk, wait_ms < POLL_SLICE_MS ? wait_ms
                                                                                                 : POLL_SLICE_MS);
        if (message)
            message_receive(reader, message);
        else if (kafka_left_ms(until_ms) == 0)
            break;
    }
    lag_measure(reader);
    bool woken = atomic_exchange(&reader->woken, false);
    enum status status = reader->failure;
    if (status) {
        *why = reader->failure_reason;
        reader->failure = STATUS_OK;
    }
    if (status || woken)
        return status; /* what was collected stays for the next call */
    batch_print(reader, out);
    return STATUS_OK;
}

void kafka_done(struct bus_reader *base, struct bus_batch *batch)
{
    struct kafka_reader *reader = reader_of(base);

    for (size_t i = 0; i < batch->count; i++)
        partition_at(reader, batch->records[i].partition)->done_next = batch->records[i].offset + 1;
    batch_drop(reader);
    if (clock_monotonic_ms() >= reader->commit_after_ms)
        offsets_commit(reader);
}

/* The records are fetched again from where assigned() says: the transaction may have been committed after all. */
void kafka_failed(struct bus_reader *base, struct bus_batch *batch, enum status status, const struct problem *why)
{
    struct kafka_reader *reader = reader_of(base);

    (void)status;
    (void)why; /* its senders were told when Kafka had the records */
    for (size_t i = 0; i < batch->count; i++)
        if (partition_at(reader, batch->records[i].partition)->fetching) /* else it was dropped a moment ago */
            partition_end(reader, batch->records[i].partition, 0);
    batch_drop(reader);
}

void kafka_drop_partition(struct bus_reader *base, int32_t partition)
{
    partition_end(reader_of(base), partition, clock_monotonic_ms() + DROPPED_MS);
}

void kafka_wake(struct bus_reader *base)
{
    struct kafka_reader *reader = reader_of(base);

    atomic_store(&reader->woken, true);
    rd_kafka_queue_yield(reader->queue);
}

int64_t kafka_lag(struct bus_reader *base)
{
    return atomic_load(&reader_of(base)->lag);
}

/* Runs in rd_kafka_consumer_poll() and rd_kafka_consumer_close(). librdkafka is told of the group's decision with an
 * empty list: each partition joins the assignment by itself once its position is known. What goes leaves at once. */
static void rebalance_receive(rd_kafka_t *rk, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *list,
                              void *opaque)
{
    struct kafka_reader *reader = opaque;
    const struct bus_reader_hooks *hooks = &reader->reader.hooks;
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    rd_kafka_topic_partition_list_t *ended = rd_kafka_topic_partition_list_new(list->cnt);
    bool came = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    rd_kafka_error_t *refused = NULL;

    reader->heard = true;
    if (!came)
        offsets_commit(reader);
    for (int i = 0; i < list->cnt; i++) {
        int32_t number = list->elems[i].partition;
        struct kafka_partition *partition = partition_at(reader, number);
        if (partition->fetching)
            rd_kafka_topic_partition_list_add(ended, list->elems[i].topic, number);
        partition_forget(reader, number);
        if (!came && partition->ours)
            hooks->revoked(hooks->context, number);
        *partition = (struct kafka_partition){.ours = came, .done_next = -1};
    }
    refused = came ? rd_kafka_incremental_assign(rk, none) : rd_kafka_incremental_unassign(rk, ended);
    log_info("bus.rebalance", "change=%s partitions=%d", came ? "assigned" : "revoked", list->cnt);
    if (refused) {
        log_error("bus.rebalance_refused", "text=\"%s\"", rd_kafka_error_string(refused));
        rd_kafka_error_destroy(refused);
    }
    rd_kafka_topic_partition_list_destroy(none);
    rd_kafka_topic_partition_list_destroy(ended);
}

static void read_error_receive(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    static struct log_rate rate;

    (void)rk;
    (void)opaque;
    log_rated(&rate, LOG_WARN, "bus.kafka_error", "error=%s text=\"%s\"", rd_kafka_err2name((rd_kafka_resp_err_t)error),
              reason);
}

/* Topics grow, so the table does as well. */
static struct kafka_partition *partition_at(struct kafka_reader *reader, int32_t number)
{
    assert(number >= 0);

    if (number >= reader->partition_count) {
        reader->partitions = realloc(reader->partitions, ((size_t)number + 1) * sizeof *reader->partitions);
        if (!reader->partitions)
            abort();
        for (int32_t i = reader->partition_count; i <= number; i++)
            reader->partitions[i] = (struct kafka_partition){.done_next = -1};
        reader->partition_count = number + 1;
    }
    return &reader->partitions[number];
}

/* Asks about each partition that is due; says when the next one is. Ends with the first refusal, because a hook whose
 * database is away may cost its time limit each time; the next call begins behind that partition. */
static int64_t partitions_ask(struct kafka_reader *reader)
{
    int64_t next_ask_ms = INT64_MAX, now_ms = clock_monotonic_ms();
    bool refused = false;

    for (int32_t i = 0, first = reader->ask_first; i < reader->partition_count; i++) {
        int32_t number = (first + i) % reader->partition_count;
        struct kafka_partition *partition = &reader->partitions[number];
        if (!partition->ours || partition->fetching)
            continue;
        if (refused && partition->ask_after_ms < now_ms + BUS_ASSIGN_RETRY_MS)
            partition->ask_after_ms = now_ms + BUS_ASSIGN_RETRY_MS;
        if (partition->ask_after_ms <= now_ms && !atomic_load(&reader->woken)) {
            partition_ask(reader, number);
            refused = !partition->fetching;
            now_ms = clock_monotonic_ms();
            reader->ask_first = number + 1;
        }
        if (!partition->fetching && partition->ask_after_ms < next_ask_ms)
            next_ask_ms = partition->ask_after_ms;
    }
    return next_ask_ms;
}

static void partition_ask(struct kafka_reader *reader, int32_t number)
{
    const struct bus_reader_hooks *hooks = &reader->reader.hooks;
    struct problem why;
    int64_t offset = -1, end = 0;

    enum status status = hooks->assigned(hooks->context, number, &offset, &why);
    if (!status && offset < 0)
        status = partition_oldest(reader, number, &offset, &end, &why);
    if (status)
        hook_failed(reader, number, status, &why);
    else
        partition_begin(reader, number, offset);
}

static enum status partition_oldest(struct kafka_reader *reader, int32_t number, int64_t *oldest, int64_t *end,
                                    struct problem *why)
{
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(reader->rk, reader->reader.bus->topic, number, oldest,
                                                                 end, WATERMARKS_MS);
    if (error)
        return problem_set(why, STATUS_RETRY, "kafka: where partition %d begins is not known: %s", number,
                           rd_kafka_err2str(error));
    return STATUS_OK;
}

static rd_kafka_topic_partition_list_t *list_of(const struct kafka_reader *reader, int32_t number, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, reader->reader.bus->topic, number)->offset = offset;
    return list;
}

static void partition_begin(struct kafka_reader *reader, int32_t number, int64_t offset)
{
    struct kafka_partition *partition = partition_at(reader, number);
    rd_kafka_topic_partition_list_t *list = list_of(reader, number, offset);

    assert(!partition->fetching);
    rd_kafka_error_t *refused = rd_kafka_incremental_assign(reader->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (refused) { /* a rebalance is under way: its outcome comes first */
        struct problem why;
        problem_set(&why, STATUS_RETRY, "kafka: %s", rd_kafka_error_string(refused));
        rd_kafka_error_destroy(refused);
        hook_failed(reader, number, STATUS_RETRY, &why);
        return;
    }
    partition->fetching = true;
    partition->next = offset;
}

/* Stops reading until the position is asked for again. */
static void partition_end(struct kafka_reader *reader, int32_t number, int64_t ask_after_ms)
{
    bool fetching = partition_at(reader, number)->fetching;

    partition_stop(reader, number, ask_after_ms);
    if (fetching)
        partition_forget(reader, number);
}

/* The same, and what was collected stays in the batch. */
static void partition_stop(struct kafka_reader *reader, int32_t number, int64_t ask_after_ms)
{
    struct kafka_partition *partition = partition_at(reader, number);

    partition->ask_after_ms = ask_after_ms;
    if (!partition->fetching)
        return;
    rd_kafka_topic_partition_list_t *list = list_of(reader, number, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_error_t *refused = rd_kafka_incremental_unassign(reader->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (refused) /* gone already, since the group took everything back */
        rd_kafka_error_destroy(refused);
    partition->fetching = false;
}

/* Also what was collected from it for a batch that is not out yet. */
static void partition_forget(struct kafka_reader *reader, int32_t number)
{
    size_t kept = 0;

    partition_at(reader, number)->fetching = false;
    if (reader->reader.batch_out)
        return; /* its owner may still look at it */
    for (size_t i = 0; i < reader->message_count; i++) {
        rd_kafka_message_t *message = reader->messages[i];
        if (message->partition != number) {
            reader->messages[kept++] = message;
            continue;
        }
        reader->message_bytes -= message->len;
        rd_kafka_message_destroy(message);
    }
    reader->message_count = kept;
}

/* Before a gap is told: true when records of the partition are in hand. They go out as a batch that ends here, and once
 * they are stored the position is asked for again, which leads to the gap anew. Told before, the gap would move the
 * stored offset beyond records that are not stored yet. */
static bool partition_cut(struct kafka_reader *reader, int32_t number)
{
    bool in_hand = false;

    for (size_t i = 0; i < reader->message_count && !in_hand; i++)
        in_hand = reader->messages[i]->partition == number;
    if (in_hand) {
        partition_stop(reader, number, 0);
        reader->cut = true;
    }
    return in_hand;
}

static void hook_failed(struct kafka_reader *reader, int32_t number, enum status status, const struct problem *why)
{
    static struct log_rate rate;

    log_rated(&rate, LOG_WARN, "bus.assign_later", "partition=%d reason=\"%s\"", number, why->text);
    partition_at(reader, number)->ask_after_ms = clock_monotonic_ms() + BUS_ASSIGN_RETRY_MS;
    if (status != STATUS_RETRY && !reader->failure) {
        reader->failure = status;
        reader->failure_reason = *why;
    }
}

/* True when the gap is on record, so that reading may go on behind it. */
static bool gap_report(struct kafka_reader *reader, int32_t number, int64_t expected, int64_t available)
{
    const struct bus_reader_hooks *hooks = &reader->reader.hooks;
    struct problem why;

    log_error("bus.gap", "partition=%d expected=%" PRId64 " available=%" PRId64, number, expected, available);
    enum status status = hooks->gap(hooks->context, number, expected, available, &why);
    if (status)
        hook_failed(reader, number, status, &why);
    return status == STATUS_OK;
}

static void message_receive(struct kafka_reader *reader, rd_kafka_message_t *take_message)
{
    struct kafka_partition *partition = NULL;

    if (take_message->err) {
        message_error(reader, take_message);
        rd_kafka_message_destroy(take_message);
        return;
    }
    partition = partition_at(reader, take_message->partition);
    /* Left over from before the position changed. */
    if (!partition->fetching || take_message->offset < partition->next) {
        rd_kafka_message_destroy(take_message);
        return;
    }
    if (take_message->offset > partition->next) {
        bool cut = partition_cut(reader, take_message->partition);
        bool told = !cut && gap_report(reader, take_message->partition, partition->next, take_message->offset);
        if (!cut && !told)
            partition_end(reader, take_message->partition, clock_monotonic_ms() + BUS_ASSIGN_RETRY_MS);
        if (!told) {
            rd_kafka_message_destroy(take_message);
            return;
        }
    }
    partition->next = take_message->offset + 1;
    if (reader->message_count == reader->message_room) {
        reader->message_room = reader->message_room ? 2 * reader->message_room : 1024;
        reader->messages = realloc(reader->messages, reader->message_room * sizeof *reader->messages);
        if (!reader->messages)
            abort();
    }
    reader->messages[reader->message_count++] = take_message;
    reader->message_bytes += take_message->len;
}

static void message_error(struct kafka_reader *reader, const rd_kafka_message_t *message)
{
    static struct log_rate rate;

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return;
    log_rated(&rate, LOG_WARN, "bus.read_failed", "partition=%d error=%s text=\"%s\"", message->partition,
              rd_kafka_err2name(message->err), rd_kafka_message_errstr(message));
    if ((message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
         message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) &&
        message->partition >= 0)
        partition_out_of_range(reader, message->partition);
    if (message->err == RD_KAFKA_RESP_ERR__FATAL && !reader->failure)
        reader->failure = problem_set(&reader->failure_reason, STATUS_FAULT, "kafka: %s",
                                      rd_kafka_message_errstr(message));
}

/* Kafka does not have the record that comes next for us: retention was faster than we, or the topic is another one. */
static void partition_out_of_range(struct kafka_reader *reader, int32_t number)
{
    struct kafka_partition *partition = partition_at(reader, number);
    int64_t expected = partition->next, oldest = 0, end = 0;
    struct problem why;

    if (!partition->fetching || partition_cut(reader, number))
        return;
    partition_end(reader, number, 0);
    enum status status = partition_oldest(reader, number, &oldest, &end, &why);
    if (status) {
        hook_failed(reader, number, status, &why);
        return;
    }
    /* Within the range after all: leaders changed, and the position is asked for again. */
    if (expected >= oldest && expected <= end) {
        partition->ask_after_ms = clock_monotonic_ms() + BUS_ASSIGN_RETRY_MS;
        return;
    }
    if (gap_report(reader, number, expected, oldest))
        partition_begin(reader, number, oldest);
}

static bool batch_full(const struct kafka_reader *reader, const struct bus_take_limits *limits)
{
    return reader->message_count >= limits->records_max ||
           (reader->message_count && reader->message_bytes >= limits->bytes_max);
}

static int message_order(const void *a, const void *b)
{
    const rd_kafka_message_t *left = *(rd_kafka_message_t *const *)a, *right = *(rd_kafka_message_t *const *)b;

    if (left->partition != right->partition)
        return left->partition < right->partition ? -1 : 1;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

static void record_print(const rd_kafka_message_t *message, struct arena *arena, struct bus_record *out)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name;
    const void *value;
    size_t size;

    *out = (struct bus_record){.key = {message->key, message->key ? message->key_len : 0},
                               .value = {message->payload, message->payload ? message->len : 0},
                               .partition = message->partition,
                               .offset = message->offset};
    if (rd_kafka_message_headers(message, &headers))
        return; /* it has none */
    out->header_count = rd_kafka_header_cnt(headers);
    struct bus_header *copies = ARENA_ARRAY(arena, struct bus_header, out->header_count);
    for (size_t i = 0; i < out->header_count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_header_get_all(headers, i, &name, &value, &size);
        assert(!error);
        (void)error;
        copies[i] = (struct bus_header){text_of(name), {value, value ? size : 0}};
    }
    out->headers = copies;
}

static void batch_print(struct kafka_reader *reader, struct bus_batch *out)
{
    reader->cut = false;
    if (!reader->message_count)
        return;
    qsort(reader->messages, reader->message_count, sizeof *reader->messages, message_order);
    out->count = reader->message_count;
    out->bytes = reader->message_bytes;
    out->records = ARENA_ARRAY(&reader->arena, struct bus_record, out->count);
    for (size_t i = 0; i < out->count; i++)
        record_print(reader->messages[i], &reader->arena, &out->records[i]);
}

static void batch_drop(struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->message_count; i++)
        rd_kafka_message_destroy(reader->messages[i]);
    reader->message_count = reader->message_bytes = 0;
    arena_clear(&reader->arena);
}

static void offsets_commit(struct kafka_reader *reader)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reader->partition_count);

    for (int32_t i = 0; i < reader->partition_count; i++) {
        if (reader->partitions[i].done_next < 0)
            continue;
        rd_kafka_topic_partition_list_add(list, reader->reader.bus->topic, i)->offset =
            reader->partitions[i].done_next;
        reader->partitions[i].done_next = -1;
    }
    if (list->cnt)
        (void)rd_kafka_commit(reader->rk, list, 1); /* nothing depends on it */
    rd_kafka_topic_partition_list_destroy(list);
    reader->commit_after_ms = clock_monotonic_ms() + COMMIT_EVERY_MS;
}

static void lag_measure(struct kafka_reader *reader)
{
    int64_t lag = 0, low = 0, high = 0;

    for (int32_t i = 0; i < reader->partition_count; i++) {
        const struct kafka_partition *partition = &reader->partitions[i];
        if (partition->fetching &&
            !rd_kafka_get_watermark_offsets(reader->rk, reader->reader.bus->topic, i, &low, &high) &&
            high > partition->next)
            lag += high - partition->next;
    }
    atomic_store(&reader->lag, lag);
}
