#include "runtime/bus_kafka.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/clock.h"

#define LOOK_MS 100 /* between two looks for a topic that was just made */

struct topic_facts {
    bool present;
    int partitions;
    int replicas_min;     /* of the partition that has fewest */
    int64_t insync_min;   /* min.insync.replicas; 0: not told */
    bool compacted;
};

static enum status facts_load(rd_kafka_t *rk, const char *topic, int64_t deadline_ms, struct topic_facts *out,
                              struct problem *why);
static enum status topic_make(struct kafka_bus *kafka, rd_kafka_t *rk, int64_t deadline_ms, struct problem *why);
static enum status made_topic_wait(struct kafka_bus *kafka, rd_kafka_t *rk, int64_t deadline_ms,
                                   struct topic_facts *out, struct problem *why);
static void configs_load(rd_kafka_t *rk, const char *topic, int64_t deadline_ms, struct topic_facts *facts);
static enum status facts_judge(struct kafka_bus *kafka, const struct topic_facts *facts, struct problem *why);
static rd_kafka_AdminOptions_t *admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t operation, int64_t deadline_ms);

enum status kafka_topic_check(struct kafka_bus *kafka, rd_kafka_t *rk, int64_t deadline_ms, struct problem *why)
{
    struct topic_facts facts = {0};

    enum status status = facts_load(rk, kafka->topic, deadline_ms, &facts, why);
    if (!status && !facts.present) {
        status = topic_make(kafka, rk, deadline_ms, why);
        if (!status)
            status = made_topic_wait(kafka, rk, deadline_ms, &facts, why);
    }
    if (status)
        return status;
    char *cluster = rd_kafka_clusterid(rk, kafka_left_ms(deadline_ms));
    if (!cluster)
        return problem_set(why, STATUS_RETRY, "kafka: the brokers did not tell their cluster id in time");
    snprintf(kafka->cluster, sizeof kafka->cluster, "%s", cluster);
    rd_kafka_mem_free(rk, cluster);
    kafka->bus.partitions = facts.partitions;
    if (!kafka->mock) /* which has no configuration to ask for */
        configs_load(rk, kafka->topic, deadline_ms, &facts);
    return facts_judge(kafka, &facts, why);
}

/* All topics are listed, because asking for one by name may make it, with the broker's number of partitions. */
static enum status facts_load(rd_kafka_t *rk, const char *topic, int64_t deadline_ms, struct topic_facts *out,
                              struct problem *why)
{
    const struct rd_kafka_metadata *metadata = NULL;
    struct topic_facts facts = {0};

    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 1, NULL, &metadata, kafka_left_ms(deadline_ms));
    if (error)
        return problem_set(why, STATUS_RETRY, "kafka: no broker answered in time: %s", rd_kafka_err2str(error));
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *found = &metadata->topics[i];
        if (strcmp(found->topic, topic) != 0 || found->err)
            continue;
        facts.present = found->partition_cnt > 0;
        facts.partitions = found->partition_cnt;
        for (int p = 0; p < found->partition_cnt; p++)
            if (p == 0 || found->partitions[p].replica_cnt < facts.replicas_min)
                facts.replicas_min = found->partitions[p].replica_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    *out = facts;
    return STATUS_OK;
}

static enum status topic_make(struct kafka_bus *kafka, rd_kafka_t *rk, int64_t deadline_ms, struct problem *why)
{
    char reason[256] = "";
    enum status status = STATUS_OK;
    size_t count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = admin_options(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline_ms);
    /* -1: as many replicas as the brokers are set up for. */
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(kafka->topic, (int)kafka->settings.kafka_partitions, -1, reason,
                                                       sizeof reason);
    if (!topic) {
        status = problem_set(why, STATUS_REJECT, "kafka: topic %s: %s", kafka->topic, reason);
        goto out;
    }
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", KAFKA_MESSAGE_BYTES_MAX);
    rd_kafka_CreateTopics(rk, &topic, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, kafka_left_ms(deadline_ms));
    rd_kafka_resp_err_t error = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_CreateTopics_result_t *result = event ? rd_kafka_event_CreateTopics_result(event) : NULL;
    if (!error && result) {
        const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
        error = count ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__FAIL;
    }
    /* Another process may have been faster. */
    if (error && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        status = problem_set(why, STATUS_RETRY, "kafka: topic %s is missing and cannot be made: %s", kafka->topic,
                             rd_kafka_err2str(error));
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
out:
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

static enum status made_topic_wait(struct kafka_bus *kafka, rd_kafka_t *rk, int64_t deadline_ms,
                                   struct topic_facts *out, struct problem *why)
{
    enum status status = facts_load(rk, kafka->topic, deadline_ms, out, why);

    while (!status && !out->present) {
        if (kafka_left_ms(deadline_ms) == 0)
            return problem_set(why, STATUS_RETRY, "kafka: topic %s was made and is not there yet", kafka->topic);
        poll(NULL, 0, LOOK_MS);
        status = facts_load(rk, kafka->topic, deadline_ms, out, why);
    }
    return status;
}

static void config_read(const rd_kafka_ConfigEntry_t *entry, struct topic_facts *facts)
{
    const char *name = rd_kafka_ConfigEntry_name(entry);
    const char *value = rd_kafka_ConfigEntry_value(entry);

    if (!value)
        return;
    if (strcmp(name, "min.insync.replicas") == 0)
        facts->insync_min = strtol(value, NULL, 10);
    if (strcmp(name, "cleanup.policy") == 0)
        facts->compacted = strstr(value, "compact") != NULL;
}

/* Not every operator lets clients read configuration, so a refusal is not the end: facts_judge() decides. */
static void configs_load(rd_kafka_t *rk, const char *topic, int64_t deadline_ms, struct topic_facts *facts)
{
    size_t count = 0, entry_count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = admin_options(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, deadline_ms);
    rd_kafka_ConfigResource_t *asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);

    rd_kafka_DescribeConfigs(rk, &asked, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, kafka_left_ms(deadline_ms));
    const rd_kafka_DescribeConfigs_result_t *result =
        event && !rd_kafka_event_error(event) ? rd_kafka_event_DescribeConfigs_result(event) : NULL;
    if (result) {
        const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
        const rd_kafka_ConfigEntry_t **entries =
            count ? rd_kafka_ConfigResource_configs(resources[0], &entry_count) : NULL;
        for (size_t i = 0; i < entry_count; i++)
            config_read(entries[i], facts);
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(asked);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
}

static enum status facts_judge(struct kafka_bus *kafka, const struct topic_facts *facts, struct problem *why)
{
    int64_t wanted = kafka->settings.kafka_min_insync;

    if (facts->compacted)
        return problem_set(why, STATUS_REJECT,
                           "kafka: topic %s is compacted, which would lose all but the last record of a device: set "
                           "cleanup.policy=delete",
                           kafka->topic);
    if (wanted && !kafka->mock && facts->insync_min < wanted)
        return problem_set(why, STATUS_REJECT,
                           "kafka: topic %s has min.insync.replicas=%lld%s, and kafka_min_insync asks for %lld",
                           kafka->topic, (long long)facts->insync_min, facts->insync_min ? "" : " (not told)",
                           (long long)wanted);
    if (facts->replicas_min < 2)
        snprintf(kafka->note, sizeof kafka->note,
                 "Topic %s has one replica: acknowledged records are lost when that broker's disk is lost.",
                 kafka->topic);
    else if (facts->insync_min == 1)
        snprintf(kafka->note, sizeof kafka->note,
                 "Topic %s has min.insync.replicas=1: while other replicas are behind, an acknowledged record is on "
                 "one broker only.",
                 kafka->topic);
    return STATUS_OK;
}

static rd_kafka_AdminOptions_t *admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t operation, int64_t deadline_ms)
{
    char ignored[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, operation);

    rd_kafka_AdminOptions_set_request_timeout(options, kafka_left_ms(deadline_ms), ignored, sizeof ignored);
    return options;
}
