#include "runtime/bus_kafka.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/clock.h"
#include "runtime/log.h"

#define WATCH_MS 2000
#define WATCH_ANSWER_MS 1000

static enum status mock_start(struct kafka_bus *kafka, int brokers, struct problem *why);
static enum status bus_start(struct kafka_bus *kafka, uint32_t timeout_ms, struct problem *why);
static void bus_free(struct kafka_bus *kafka);
static void *watch_run(void *context);
static void producer_replace(struct kafka_bus *kafka);
static bool topic_answers(struct kafka_bus *kafka);

static void kafka_close(struct bus *take_bus)
{
    struct kafka_bus *kafka = kafka_of(take_bus);

    pthread_mutex_lock(&kafka->lock);
    kafka->closing = true;
    pthread_cond_signal(&kafka->watch_wakes);
    pthread_mutex_unlock(&kafka->lock);
    if (kafka->watch_started)
        pthread_join(kafka->watch, NULL);
    kafka_producer_close(kafka->producer);
    assert(atomic_load(&kafka->unreported) == 0);
    bus_free(kafka);
}

static bool kafka_ready(struct bus *bus)
{
    return atomic_load(&kafka_of(bus)->ready);
}

static const struct bus_calls kafka_calls = {
    .close = kafka_close,
    .ready = kafka_ready,
    .send = kafka_send,
    .flush = kafka_flush,
    .reader_open = kafka_reader_open,
    .reader_close = kafka_reader_close,
    .take = kafka_take,
    .done = kafka_done,
    .failed = kafka_failed,
    .drop_partition = kafka_drop_partition,
    .wake = kafka_wake,
    .lag = kafka_lag,
};

enum status bus_kafka_open(const struct bus_settings *settings, uint32_t timeout_ms, int mock_brokers,
                           struct bus **out, struct problem *why)
{
    pthread_condattr_t attributes;
    pthread_rwlockattr_t rwlock_attributes;

    kafka_threads_known();
    if (!settings->kafka_topic || !*settings->kafka_topic || strlen(settings->kafka_topic) > 249)
        return problem_set(why, STATUS_REJECT, "kafka_topic has to be a name of up to 249 bytes");
    if (mock_brokers <= 0 && (!settings->kafka_brokers || !*settings->kafka_brokers))
        return problem_set(why, STATUS_REJECT, "kafka_brokers is not set: host:port of at least one broker");
    struct kafka_bus *kafka = calloc(1, sizeof *kafka);
    if (!kafka)
        abort();
    kafka->settings = *settings;
    kafka->brokers = settings->kafka_brokers;
    snprintf(kafka->topic, sizeof kafka->topic, "%s", settings->kafka_topic);
    kafka->bus = (struct bus){.calls = &kafka_calls, .topic = kafka->topic, .cluster = kafka->cluster};
    pthread_rwlockattr_init(&rwlock_attributes);
    /* Senders never pause, so a writer that waits for a moment without them might wait for ever. */
    pthread_rwlockattr_setkind_np(&rwlock_attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&kafka->producer_lock, &rwlock_attributes);
    pthread_rwlockattr_destroy(&rwlock_attributes);
    pthread_mutex_init(&kafka->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&kafka->reported, &attributes);
    pthread_cond_init(&kafka->watch_wakes, &attributes);
    pthread_condattr_destroy(&attributes);
    enum status status = kafka_passed_check(why);
    if (!status && mock_brokers > 0)
        status = mock_start(kafka, mock_brokers, why);
    if (!status)
        status = bus_start(kafka, timeout_ms, why);
    if (status) {
        kafka_close(&kafka->bus);
        return status;
    }
    *out = &kafka->bus;
    return STATUS_OK;
}

int kafka_left_ms(int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - clock_monotonic_ms();
    return left_ms < 0 ? 0 : left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

/* The cluster hangs on a handle of its own, so that it outlives producers that are replaced. */
static enum status mock_start(struct kafka_bus *kafka, int brokers, struct problem *why)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    kafka_conf_log(conf);
    kafka->mock_host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!kafka->mock_host) {
        rd_kafka_conf_destroy(conf);
        return problem_set(why, STATUS_FAULT, "kafka: %s", reason);
    }
    kafka->mock = rd_kafka_mock_cluster_new(kafka->mock_host, brokers);
    if (!kafka->mock)
        return problem_set(why, STATUS_FAULT, "kafka: no mock cluster");
    kafka->brokers = rd_kafka_mock_cluster_bootstraps(kafka->mock);
    rd_kafka_mock_topic_create(kafka->mock, kafka->topic, (int)kafka->settings.kafka_partitions,
                               brokers < 3 ? brokers : 3);
    return STATUS_OK;
}

static enum status bus_start(struct kafka_bus *kafka, uint32_t timeout_ms, struct problem *why)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

    enum status status = kafka_producer_open(kafka, &kafka->producer, why);
    if (!status)
        status = kafka_topic_check(kafka, kafka_producer_handle(kafka->producer), deadline_ms, why);
    if (status)
        return status;
    kafka->bus.durability_note = *kafka->note ? kafka->note : NULL;
    atomic_store(&kafka->ready, true);
    if (pthread_create(&kafka->watch, NULL, watch_run, kafka))
        return problem_set(why, STATUS_FAULT, "kafka: no thread");
    kafka->watch_started = true;
    pthread_setname_np(kafka->watch, "bus-watch");
    return STATUS_OK;
}

static void bus_free(struct kafka_bus *kafka)
{
    if (kafka->mock)
        rd_kafka_mock_cluster_destroy(kafka->mock);
    if (kafka->mock_host)
        rd_kafka_destroy(kafka->mock_host);
    pthread_rwlock_destroy(&kafka->producer_lock);
    pthread_cond_destroy(&kafka->reported);
    pthread_cond_destroy(&kafka->watch_wakes);
    pthread_mutex_destroy(&kafka->lock);
    free(kafka);
}

/* Asks for the topic's leaders now and then: readiness should not need a device to send something. It also replaces a
 * producer that met a fatal error, since that one refuses everything from then on. */
static void *watch_run(void *context)
{
    struct kafka_bus *kafka = context;

    pthread_mutex_lock(&kafka->lock);
    while (!kafka->closing) {
        int64_t until_ms = clock_monotonic_ms() + WATCH_MS;
        struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
        if (!atomic_load(&kafka->producer_broken))
            (void)pthread_cond_timedwait(&kafka->watch_wakes, &kafka->lock, &until);
        if (kafka->closing)
            break;
        pthread_mutex_unlock(&kafka->lock);
        if (atomic_load(&kafka->producer_broken))
            producer_replace(kafka);
        bool answers = topic_answers(kafka);
        if (answers != atomic_exchange(&kafka->ready, answers))
            log_line(answers ? LOG_INFO : LOG_WARN, answers ? "bus.answers" : "bus.silent", "topic=%s", kafka->topic);
        pthread_mutex_lock(&kafka->lock);
    }
    pthread_mutex_unlock(&kafka->lock);
    return NULL;
}

/* What the old one had under way is reported as STATUS_RETRY: it may be on the bus or not, and a device that sends it
 * again is stored once. */
static void producer_replace(struct kafka_bus *kafka)
{
    struct kafka_producer *fresh = NULL, *old = kafka->producer;
    struct problem why;

    atomic_store(&kafka->ready, false);
    if (kafka_producer_open(kafka, &fresh, &why)) {
        log_error("bus.producer_lost", "reason=\"%s\"", why.text);
        return;
    }
    pthread_rwlock_wrlock(&kafka->producer_lock);
    kafka->producer = fresh;
    atomic_store(&kafka->producer_broken, false);
    pthread_rwlock_unlock(&kafka->producer_lock);
    log_warn("bus.producer_replaced", "topic=%s", kafka->topic);
    kafka_producer_close(old);
}

static bool topic_answers(struct kafka_bus *kafka)
{
    const struct rd_kafka_metadata *metadata = NULL;

    /* Only this thread replaces the producer, so reading it needs no lock here. */
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(kafka_producer_handle(kafka->producer), 0, kafka_producer_topic(kafka->producer), &metadata,
                          WATCH_ANSWER_MS);
    if (error)
        return false;
    bool answers = metadata->topic_cnt == 1 && !metadata->topics[0].err && metadata->topics[0].partition_cnt > 0;
    for (int i = 0; answers && i < metadata->topics[0].partition_cnt; i++)
        answers = metadata->topics[0].partitions[i].leader >= 0;
    rd_kafka_metadata_destroy(metadata);
    return answers;
}
