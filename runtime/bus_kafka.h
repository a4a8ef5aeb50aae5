#ifndef PICKET_RUNTIME_BUS_KAFKA_H
#define PICKET_RUNTIME_BUS_KAFKA_H

#include <pthread.h>
#include <stdatomic.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "runtime/bus_driver.h"

/* Between the files of the Kafka driver: bus_kafka.c opens and watches, bus_kafka_conf.c speaks librdkafka's
 * configuration, bus_kafka_topic.c checks the topic, bus_kafka_send.c produces, bus_kafka_read.c consumes. */

/* Bodies have up to 1 MiB, and properties come on top; the topic that we make takes as much. */
#define KAFKA_MESSAGE_BYTES_MAX "2097152"
#define KAFKA_NAME_SIZE 256
#define KAFKA_NOTE_SIZE 512

struct kafka_producer;

struct kafka_bus {
    struct bus bus;
    struct bus_settings settings;
    char topic[KAFKA_NAME_SIZE], cluster[KAFKA_NAME_SIZE], note[KAFKA_NOTE_SIZE];
    rd_kafka_t *mock_host; /* NULL but in tests */
    rd_kafka_mock_cluster_t *mock;
    const char *brokers;
    /* Written when a producer met a fatal error and another takes its place; bus_send() only reads. */
    pthread_rwlock_t producer_lock;
    struct kafka_producer *producer;
    atomic_bool producer_broken;
    atomic_long unreported;
    pthread_mutex_t lock; /* for the two conditions and `closing` */
    pthread_cond_t reported, watch_wakes;
    bool closing, watch_started;
    pthread_t watch;
    atomic_bool ready;
};

static inline struct kafka_bus *kafka_of(struct bus *bus) { return (struct kafka_bus *)bus; }
/* Milliseconds until then, as librdkafka wants them; never negative, since -1 would wait for ever. */
int kafka_left_ms(int64_t deadline_ms);

/* bus_kafka_conf.c */
struct kafka_option {
    const char *name, *value;
};
/* STATUS_REJECT when a passed-through setting would break a promise: acks, idempotence, offsets. */
MUST_CHECK enum status kafka_passed_check(struct problem *why);
/* Brokers, `options`, then what the operator passes through, which wins. */
MUST_CHECK enum status kafka_conf(struct kafka_bus *kafka, const struct kafka_option *options, size_t count,
                                  rd_kafka_conf_t **out, struct problem *why);
/* Logs of librdkafka go through ours. */
void kafka_conf_log(rd_kafka_conf_t *conf);

/* bus_kafka_topic.c: makes the topic when it is missing; fills cluster, partitions and note. */
MUST_CHECK enum status kafka_topic_check(struct kafka_bus *kafka, rd_kafka_t *rk, int64_t deadline_ms,
                                         struct problem *why);

/* bus_kafka_threads.c: call before anything of librdkafka, so that the linker takes what ThreadSanitizer needs. */
void kafka_threads_known(void);

/* bus_kafka_send.c */
MUST_CHECK enum status kafka_producer_open(struct kafka_bus *kafka, struct kafka_producer **out, struct problem *why);
/* Fails what it still has. */
void kafka_producer_close(struct kafka_producer *take_producer);
rd_kafka_t *kafka_producer_handle(struct kafka_producer *producer);
rd_kafka_topic_t *kafka_producer_topic(struct kafka_producer *producer);
enum status kafka_send(struct bus *bus, const struct bus_record *record, bus_sent sent, void *context,
                       struct problem *why);
bool kafka_flush(struct bus *bus, uint32_t timeout_ms);

/* bus_kafka_read.c */
enum status kafka_reader_open(struct bus *bus, const struct bus_reader_hooks *hooks, struct bus_reader **out,
                              struct problem *why);
void kafka_reader_close(struct bus_reader *take_reader);
enum status kafka_take(struct bus_reader *reader, const struct bus_take_limits *limits, struct bus_batch *out,
                       struct problem *why);
void kafka_done(struct bus_reader *reader, struct bus_batch *batch);
void kafka_failed(struct bus_reader *reader, struct bus_batch *batch, enum status status, const struct problem *why);
void kafka_drop_partition(struct bus_reader *reader, int32_t partition);
void kafka_wake(struct bus_reader *reader);
int64_t kafka_lag(struct bus_reader *reader);

#endif
