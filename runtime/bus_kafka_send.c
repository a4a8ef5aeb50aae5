#include "runtime/bus_kafka.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/clock.h"
#include "runtime/log.h"

#define POLL_MS 100
#define RECORD_OVERHEAD_BYTES 512 /* what librdkafka needs besides the bytes, roughly; bounds the number of records */

struct kafka_producer {
    struct kafka_bus *kafka;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    pthread_t thread;
    atomic_bool ends;
    atomic_long unreported; /* of this producer */
};

/* Goes with each record as its opaque. */
struct kafka_sent {
    struct kafka_producer *producer;
    bus_sent sent;
    void *context;
};

static void *producer_poll(void *context);
static void delivery_receive(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
static void error_receive(rd_kafka_t *rk, int error, const char *reason, void *opaque);
static void producer_break(struct kafka_bus *kafka);
static void watch_wake(struct kafka_bus *kafka);
static rd_kafka_headers_t *headers_new(const struct bus_record *record);
static rd_kafka_error_t *record_produce(struct kafka_producer *producer, const struct bus_record *record,
                                        struct kafka_sent *opaque);
static enum status error_status(rd_kafka_resp_err_t error);
static enum status send_refused(struct kafka_bus *kafka, rd_kafka_error_t *take_error, struct problem *why);

enum status kafka_producer_open(struct kafka_bus *kafka, struct kafka_producer **out, struct problem *why)
{
    char timeout_ms[24], queue_kbytes[24], queue_records[24], reason[256];
    int64_t records = kafka->settings.bus_queue_bytes / RECORD_OVERHEAD_BYTES;
    int64_t kbytes = kafka->settings.bus_queue_bytes / 1024;
    rd_kafka_conf_t *conf = NULL;

    snprintf(timeout_ms, sizeof timeout_ms, "%" PRId64, kafka->settings.bus_send_timeout_ms);
    snprintf(queue_kbytes, sizeof queue_kbytes, "%" PRId64, kbytes < INT32_MAX ? kbytes : INT32_MAX);
    snprintf(queue_records, sizeof queue_records, "%" PRId64, records < 10000000 ? records : 10000000);
    const struct kafka_option options[] = {
        {"acks", "all"},
        {"enable.idempotence", "true"},
        {"partitioner", "murmur2_random"}, /* as Java's producers have it */
        {"compression.codec", "lz4"},
        {"linger.ms", "5"},
        {"message.timeout.ms", timeout_ms},
        {"message.max.bytes", KAFKA_MESSAGE_BYTES_MAX},
        {"queue.buffering.max.kbytes", queue_kbytes},
        {"queue.buffering.max.messages", queue_records},
        {"socket.nagle.disable", "true"},
        {"socket.keepalive.enable", "true"},
    };
    enum status status = kafka_conf(kafka, options, sizeof options / sizeof *options, &conf, why);
    if (status)
        return status;
    rd_kafka_conf_set_dr_msg_cb(conf, delivery_receive);
    rd_kafka_conf_set_error_cb(conf, error_receive);
    struct kafka_producer *producer = calloc(1, sizeof *producer);
    if (!producer)
        abort();
    producer->kafka = kafka;
    producer->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!producer->rk) {
        rd_kafka_conf_destroy(conf);
        free(producer);
        return problem_set(why, STATUS_REJECT, "kafka: %s", reason);
    }
    producer->topic = rd_kafka_topic_new(producer->rk, kafka->topic, NULL);
    if (!producer->topic || pthread_create(&producer->thread, NULL, producer_poll, producer)) {
        if (producer->topic)
            rd_kafka_topic_destroy(producer->topic);
        rd_kafka_destroy(producer->rk);
        free(producer);
        return problem_set(why, STATUS_FAULT, "kafka: no topic handle or thread");
    }
    pthread_setname_np(producer->thread, "bus-sent");
    *out = producer;
    return STATUS_OK;
}

void kafka_producer_close(struct kafka_producer *take_producer)
{
    if (!take_producer)
        return;
    rd_kafka_purge(take_producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    atomic_store(&take_producer->ends, true); /* the thread leaves when all is reported */
    pthread_join(take_producer->thread, NULL);
    rd_kafka_topic_destroy(take_producer->topic);
    rd_kafka_destroy(take_producer->rk);
    free(take_producer);
}

rd_kafka_t *kafka_producer_handle(struct kafka_producer *producer)
{
    return producer->rk;
}

rd_kafka_topic_t *kafka_producer_topic(struct kafka_producer *producer)
{
    return producer->topic;
}

enum status kafka_send(struct bus *bus, const struct bus_record *record, bus_sent sent, void *context,
                       struct problem *why)
{
    struct kafka_bus *kafka = kafka_of(bus);
    struct kafka_sent *opaque = malloc(sizeof *opaque);

    if (!opaque)
        abort();
    pthread_rwlock_rdlock(&kafka->producer_lock);
    *opaque = (struct kafka_sent){kafka->producer, sent, context};
    /* Counted before, since the report may come before produce returns. */
    atomic_fetch_add(&kafka->unreported, 1);
    atomic_fetch_add(&kafka->producer->unreported, 1);
    rd_kafka_error_t *error = record_produce(kafka->producer, record, opaque);
    if (error) {
        atomic_fetch_sub(&kafka->unreported, 1);
        atomic_fetch_sub(&kafka->producer->unreported, 1);
    }
    pthread_rwlock_unlock(&kafka->producer_lock);
    if (!error)
        return STATUS_OK;
    free(opaque);
    return send_refused(kafka, error, why);
}

/* rd_kafka_flush() would call `sent` on this thread. */
bool kafka_flush(struct bus *bus, uint32_t timeout_ms)
{
    struct kafka_bus *kafka = kafka_of(bus);
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};

    pthread_mutex_lock(&kafka->lock);
    while (atomic_load(&kafka->unreported) && clock_monotonic_ms() < until_ms)
        (void)pthread_cond_timedwait(&kafka->reported, &kafka->lock, &until);
    pthread_mutex_unlock(&kafka->lock);
    return atomic_load(&kafka->unreported) == 0;
}

static void *producer_poll(void *context)
{
    struct kafka_producer *producer = context;

    while (!atomic_load(&producer->ends) || atomic_load(&producer->unreported))
        rd_kafka_poll(producer->rk, POLL_MS);
    return NULL;
}

static void delivery_receive(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    static struct log_rate rate;
    struct kafka_bus *kafka = opaque;
    struct kafka_sent *sent = message->_private;
    struct problem why;

    (void)rk;
    if (!message->err && rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_PERSISTED) {
        /* The offset is -1 when the first answer was lost and the broker knew the record on the second attempt: it is
         * stored, and its place is not told. */
        struct bus_receipt receipt = {kafka->topic, message->partition, message->offset};
        sent->sent(sent->context, STATUS_OK, &receipt, NULL);
    } else {
        enum status status = error_status(message->err);
        problem_set(&why, status, "kafka did not take the record: %s", rd_kafka_err2str(message->err));
        log_rated(&rate, LOG_WARN, "bus.send_failed", "topic=%s partition=%d reason=\"%s\"", kafka->topic,
                  message->partition, rd_kafka_err2str(message->err));
        sent->sent(sent->context, status, NULL, &why);
    }
    atomic_fetch_sub(&sent->producer->unreported, 1);
    free(sent);
    if (atomic_fetch_sub(&kafka->unreported, 1) == 1) {
        pthread_mutex_lock(&kafka->lock);
        pthread_cond_broadcast(&kafka->reported);
        pthread_mutex_unlock(&kafka->lock);
    }
}

static void error_receive(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    static struct log_rate rate;
    struct kafka_bus *kafka = opaque;
    char fatal[256] = "";

    log_rated(&rate, LOG_WARN, "bus.kafka_error", "error=%s text=\"%s\"", rd_kafka_err2name((rd_kafka_resp_err_t)error),
              reason);
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        watch_wake(kafka);
    if (error != RD_KAFKA_RESP_ERR__FATAL)
        return;
    rd_kafka_fatal_error(rk, fatal, sizeof fatal);
    log_error("bus.producer_fatal", "text=\"%s\"", fatal);
    producer_break(kafka);
}

static void producer_break(struct kafka_bus *kafka)
{
    atomic_store(&kafka->producer_broken, true);
    watch_wake(kafka);
}

static void watch_wake(struct kafka_bus *kafka)
{
    pthread_mutex_lock(&kafka->lock);
    pthread_cond_signal(&kafka->watch_wakes);
    pthread_mutex_unlock(&kafka->lock);
}

static rd_kafka_headers_t *headers_new(const struct bus_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);

    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *header = &record->headers[i];
        rd_kafka_resp_err_t error =
            rd_kafka_header_add(headers, header->name.bytes, (ssize_t)header->name.count, header->value.bytes,
                                (ssize_t)header->value.count);
        assert(!error);
        (void)error;
    }
    return headers;
}

/* The union has pointers to what is only read. */
static void *unconst(const char *bytes)
{
    return (void *)(uintptr_t)bytes;
}

static rd_kafka_error_t *record_produce(struct kafka_producer *producer, const struct bus_record *record,
                                        struct kafka_sent *opaque)
{
    rd_kafka_headers_t *headers = headers_new(record);
    const rd_kafka_vu_t values[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = producer->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = RD_KAFKA_PARTITION_UA},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {unconst(record->key.bytes), record->key.count}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {unconst(record->value.bytes), record->value.count}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque},
    };

    rd_kafka_error_t *error = rd_kafka_produceva(producer->rk, values, sizeof values / sizeof *values);
    if (error)
        rd_kafka_headers_destroy(headers); /* the message owns them otherwise */
    return error;
}

static enum status error_status(rd_kafka_resp_err_t error)
{
    bool too_large = error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
                     error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
    return too_large ? STATUS_REJECT : STATUS_RETRY;
}

static enum status send_refused(struct kafka_bus *kafka, rd_kafka_error_t *take_error, struct problem *why)
{
    rd_kafka_resp_err_t error = rd_kafka_error_code(take_error);
    enum status status = STATUS_OK;

    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        status = problem_set(why, STATUS_RETRY, "more is waiting for kafka than bus_queue_bytes allows");
    else
        status = problem_set(why, error_status(error), "kafka: %s", rd_kafka_error_string(take_error));
    if (error == RD_KAFKA_RESP_ERR__FATAL)
        producer_break(kafka);
    rd_kafka_error_destroy(take_error);
    return status;
}
