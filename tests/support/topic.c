#include "tests/support/topic.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <librdkafka/rdkafka.h>

#include "runtime/bus_kafka.h"
#include "runtime/clock.h"
#include "tests/support/broker.h"
#include "tests/support/keeper.h"

#define ANSWER_MS 5000
#define PATIENCE_MS 60000
#define LOOK_MS 50

struct topic {
    char name[KAFKA_NAME_SIZE];
    rd_kafka_t *rk;
    int32_t partitions;
    int64_t put_offset; /* of the record under way; -1 until it is there */
};

static void sent_receive(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
static int32_t partitions_find(struct topic *topic);
static void watermarks(struct topic *topic, int32_t partition, int64_t *begin, int64_t *end);
static bool admin_did(struct topic *topic, rd_kafka_queue_t *take_queue);

struct topic *topic_open(const char *name)
{
    char reason[256];
    struct topic *topic = calloc(1, sizeof *topic);

    if (!topic)
        abort();
    snprintf(topic->name, sizeof topic->name, "%s", name);
    kafka_threads_known();
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", broker_bootstrap(), reason, sizeof reason);
    rd_kafka_conf_set(conf, "acks", "all", reason, sizeof reason);
    rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "100", reason, sizeof reason);
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason); /* tests stop the broker */
    rd_kafka_conf_set_opaque(conf, topic);
    rd_kafka_conf_set_dr_msg_cb(conf, sent_receive);
    topic->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!topic->rk)
        keeper_abort(NULL, "librdkafka: %s", reason);
    topic->partitions = partitions_find(topic);
    if (!topic->partitions)
        keeper_abort(NULL, "Kafka has no topic %s", name);
    return topic;
}

void topic_close(struct topic *take_topic)
{
    rd_kafka_destroy(take_topic->rk);
    free(take_topic);
}

int32_t topic_partitions(const struct topic *topic)
{
    return topic->partitions;
}

int64_t topic_begin(struct topic *topic, int32_t partition)
{
    int64_t begin, end;

    watermarks(topic, partition, &begin, &end);
    return begin;
}

int64_t topic_end(struct topic *topic, int32_t partition)
{
    int64_t begin, end;

    watermarks(topic, partition, &begin, &end);
    return end;
}

int64_t topic_put(struct topic *topic, const struct bus_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);

    for (size_t i = 0; i < record->header_count; i++) {
        const struct bus_header *header = &record->headers[i];
        rd_kafka_header_add(headers, header->name.bytes, (ssize_t)header->name.count, header->value.bytes,
                            (ssize_t)header->value.count);
    }
    topic->put_offset = -1;
    rd_kafka_resp_err_t error = rd_kafka_producev(
        topic->rk, RD_KAFKA_V_TOPIC(topic->name), RD_KAFKA_V_PARTITION(record->partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_KEY((void *)(uintptr_t)record->key.bytes, record->key.count),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.bytes, record->value.count), RD_KAFKA_V_END);
    if (!error)
        error = rd_kafka_flush(topic->rk, PATIENCE_MS);
    if (error || topic->put_offset < 0)
        keeper_abort(NULL, "no record for %s: %s", topic->name, rd_kafka_err2str(error));
    return topic->put_offset;
}

void topic_delete_before(struct topic *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(topic->rk);

    rd_kafka_topic_partition_list_add(list, topic->name, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *wish = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(topic->rk, &wish, 1, NULL, queue);
    if (!admin_did(topic, queue) || topic_begin(topic, partition) != offset)
        keeper_abort(NULL, "records of %s were not deleted", topic->name);
    rd_kafka_DeleteRecords_destroy(wish);
    rd_kafka_topic_partition_list_destroy(list);
}

void topic_recreate(struct topic *topic)
{
    char reason[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(topic->rk);
    rd_kafka_DeleteTopic_t *old = rd_kafka_DeleteTopic_new(topic->name);
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    bool made = false;

    rd_kafka_DeleteTopics(topic->rk, &old, 1, NULL, queue);
    if (!admin_did(topic, queue))
        keeper_abort(NULL, "%s was not deleted", topic->name);
    rd_kafka_DeleteTopic_destroy(old);
    while (!made && clock_monotonic_ms() < deadline_ms) { /* until the old one is gone everywhere */
        rd_kafka_NewTopic_t *fresh = rd_kafka_NewTopic_new(topic->name, topic->partitions, 1, reason, sizeof reason);
        queue = rd_kafka_queue_new(topic->rk);
        rd_kafka_CreateTopics(topic->rk, &fresh, 1, NULL, queue);
        made = admin_did(topic, queue);
        rd_kafka_NewTopic_destroy(fresh);
        if (!made)
            poll(NULL, 0, LOOK_MS);
    }
    if (!made)
        keeper_abort(NULL, "%s was not made again", topic->name);
}

static void sent_receive(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct topic *topic = opaque;

    (void)rk;
    if (!message->err)
        topic->put_offset = message->offset;
}

static int32_t partitions_find(struct topic *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    int32_t count = 0;

    while (!count && clock_monotonic_ms() < deadline_ms) {
        if (rd_kafka_metadata(topic->rk, 1, NULL, &metadata, ANSWER_MS))
            continue;
        for (int i = 0; i < metadata->topic_cnt; i++)
            if (strcmp(metadata->topics[i].topic, topic->name) == 0)
                count = metadata->topics[i].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
        if (!count)
            poll(NULL, 0, LOOK_MS);
    }
    return count;
}

static void watermarks(struct topic *topic, int32_t partition, int64_t *begin, int64_t *end)
{
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    rd_kafka_resp_err_t error;

    while ((error = rd_kafka_query_watermark_offsets(topic->rk, topic->name, partition, begin, end, ANSWER_MS))) {
        if (clock_monotonic_ms() > deadline_ms)
            keeper_abort(NULL, "ends of %s: %s", topic->name, rd_kafka_err2str(error));
        poll(NULL, 0, LOOK_MS);
    }
}

/* True when the one thing that was asked for was done. */
static bool admin_did(struct topic *topic, rd_kafka_queue_t *take_queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(take_queue, PATIENCE_MS);
    size_t count = 0;
    bool done = event && !rd_kafka_event_error(event);

    (void)topic;
    if (done && rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        done = count == 1 && !rd_kafka_topic_result_error(results[0]);
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(take_queue);
    return done;
}
