#ifndef PICKET_RUNTIME_BUS_H
#define PICKET_RUNTIME_BUS_H

#include "runtime/settings.h"
#include "runtime/status.h"
#include "runtime/text.h"

/* Durable, partitioned, ordered records between roles. Two drivers behind one face:
 *
 *  - `kafka`: librdkafka to a real Apache Kafka, acks=all, idempotent. "Sent" means every in-sync replica has it.
 *  - `direct`: no queue of our own on disk. A record waits in memory until the reader of its shard says
 *    bus_done(), and only then is "sent": what it says about durability is what the reader's commit says.
 *
 * Records with one key keep their order and always land in one partition. */
struct bus;
struct bus_reader;

enum bus_driver { BUS_DIRECT, BUS_KAFKA };

struct bus_settings {
    const char *bus;              /* "direct" or "kafka" */
    const char *kafka_brokers;    /* host:port,host:port */
    const char *kafka_topic;      /* picket.messages */
    const char *kafka_group;      /* consumer group of the readers */
    int64_t kafka_partitions;     /* when the topic has to be made */
    int64_t bus_shards;           /* direct: how many readers can work side by side */
    int64_t bus_queue_bytes;      /* memory for records on their way, per process */
    int64_t bus_send_timeout_ms;  /* after that an unsent record fails with STATUS_RETRY */
    int64_t kafka_min_insync;     /* refuse to start when the topic's min.insync.replicas is lower; 0: any */
};
extern const struct setting bus_settings_table[];
extern const size_t bus_settings_count;

struct bus_header {
    struct text name;
    struct text value; /* any bytes */
};

#define BUS_HEADERS_MAX 24

struct bus_record {
    struct text key;
    struct text value;
    const struct bus_header *headers;
    size_t header_count;
    /* Set by the bus on records that are taken: */
    int32_t partition;
    int64_t offset;
};

#define BUS_RECEIPT_SIZE 320
struct bus_receipt {
    const char *topic; /* the bus's own string: "direct" or the Kafka topic */
    int32_t partition;
    int64_t offset;    /* -1: stored, but Kafka did not say where, since only its answer to a repetition arrived */
};
void bus_receipt_print(const struct bus_receipt *receipt, char out[BUS_RECEIPT_SIZE]); /* topic/partition@offset */

/* Opens the driver and, for Kafka, checks topic, replication and min.insync.replicas (makes the topic when it is
 * missing). STATUS_RETRY: brokers not reached within `timeout_ms`. `mock_brokers` > 0 (tests and benches only) starts
 * librdkafka's mock cluster instead of `kafka_brokers`. */
MUST_CHECK enum status bus_open(const struct bus_settings *settings, uint32_t timeout_ms, int mock_brokers,
                                struct bus **out, struct problem *why);
void bus_close(struct bus *take_bus); /* fails what is still waiting with STATUS_RETRY; readers closed before */

const char *bus_topic(const struct bus *bus);
/* Kafka's cluster id, "direct" otherwise: offsets belong to a cluster and a topic. */
const char *bus_cluster(const struct bus *bus);
/* A sentence for doctor and the log when durability is weaker than two machines, else NULL. */
const char *bus_durability_note(const struct bus *bus);
/* True while brokers (or the reader, when direct) answer: for /readyz. */
bool bus_ready(struct bus *bus);
int32_t bus_partitions(struct bus *bus);

/* `sent` is called exactly once per accepted record, from a thread of the bus or from bus_done()/bus_close():
 * STATUS_OK with a receipt, else the reason. It must be short and must not block. */
typedef void (*bus_sent)(void *context, enum status status, const struct bus_receipt *receipt,
                         const struct problem *why);
/* Key, headers and value are copied. STATUS_RETRY: the queue is full (`sent` will not be called). Any thread. */
MUST_CHECK enum status bus_send(struct bus *bus, const struct bus_record *record, bus_sent sent, void *context,
                                struct problem *why);
/* Blocks until everything accepted so far was reported, or time is up (false). */
bool bus_flush(struct bus *bus, uint32_t timeout_ms);

/* Readers. One reader per thread; readers of one group share the partitions (Kafka's group protocol; direct: shard i
 * belongs to reader i modulo their number, all of which must be opened before the first bus_take()). */
struct bus_reader_hooks {
    void *context;
    /* A partition came to this reader: say from which offset to read; -1 is the oldest record there is. STATUS_RETRY:
     * asked again later; other failures come out of bus_take(). Also asked again after bus_failed() and, unless the
     * partition was revoked meanwhile, some time after bus_drop_partition(): in both cases the commit whose answer was
     * lost may have happened. */
    enum status (*assigned)(void *context, int32_t partition, int64_t *next_offset, struct problem *why);
    void (*revoked)(void *context, int32_t partition);
    /* Records expected..available-1 no longer exist on the bus; reading goes on at `available`. Return STATUS_OK once
     * that is on record; otherwise asked again. When the topic was made anew, or lost its end, `available` lies below
     * `expected`. */
    enum status (*gap)(void *context, int32_t partition, int64_t expected, int64_t available, struct problem *why);
};
MUST_CHECK enum status bus_reader_open(struct bus *bus, const struct bus_reader_hooks *hooks, struct bus_reader **out,
                                       struct problem *why);
void bus_reader_close(struct bus_reader *take_reader);

struct bus_batch {
    struct bus_record *records; /* grouped by partition, each in offset order; borrowed until done or failed */
    size_t count;
    size_t bytes; /* of the values */
};

struct bus_take_limits {
    size_t records_max;
    size_t bytes_max;
    uint32_t wait_ms;   /* for the first record */
    uint32_t linger_ms; /* for more after the first one; records already there are taken anyway */
};
/* Hooks are called from in here. STATUS_OK with count 0: nothing came. One batch at a time per reader. */
MUST_CHECK enum status bus_take(struct bus_reader *reader, const struct bus_take_limits *limits, struct bus_batch *out,
                                struct problem *why);
/* The batch is durable elsewhere now: direct calls every `sent`, Kafka stores the offsets (for lag tools only). */
void bus_done(struct bus_reader *reader, struct bus_batch *batch);
/* It is not: direct fails the senders with `status`; Kafka will hand out the same records again. */
void bus_failed(struct bus_reader *reader, struct bus_batch *batch, enum status status, const struct problem *why);
/* Another process owns this partition (the fence said so): stop reading it until it is assigned again. */
void bus_drop_partition(struct bus_reader *reader, int32_t partition);
/* Wakes a bus_take() of another thread, which then returns with count 0. */
void bus_wake(struct bus_reader *reader);
/* Records that wait for this reader: high watermark minus position, summed. For metrics. */
int64_t bus_lag(struct bus_reader *reader);

#endif
