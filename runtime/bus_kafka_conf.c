#include "runtime/bus_kafka.h"

#include <stdio.h>

#include "runtime/log.h"
#include "runtime/settings.h"

/* Names that belong to us, and the only value that may be passed through. */
struct guarded {
    const char *name;
    const char *allowed, *also_allowed; /* NULL: none */
    const char *reason;
};

static void log_receive(const rd_kafka_t *rk, int level, const char *facility, const char *line);
static enum status pair_check(const struct settings_pair *pair, struct problem *why);

enum status kafka_passed_check(struct problem *why)
{
    const struct settings_pair *pairs = NULL;
    size_t count = settings_passed_through(&pairs);
    enum status status = STATUS_OK;

    for (size_t i = 0; !status && i < count; i++)
        status = pair_check(&pairs[i], why);
    return status;
}

static enum status option_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct problem *why)
{
    char reason[256];

    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return STATUS_OK;
    return problem_set(why, STATUS_REJECT, "kafka: %s: %s", name, reason);
}

enum status kafka_conf(struct kafka_bus *kafka, const struct kafka_option *options, size_t count,
                       rd_kafka_conf_t **out, struct problem *why)
{
    const struct settings_pair *pairs = NULL;
    size_t pair_count = settings_passed_through(&pairs);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_opaque(conf, kafka);
    kafka_conf_log(conf);
    enum status status = option_set(conf, "bootstrap.servers", kafka->brokers, why);
    if (!status)
        status = option_set(conf, "client.id", "picket", why);
    if (!status) /* devices wait meanwhile, so not the ten seconds of the default */
        status = option_set(conf, "reconnect.backoff.max.ms", "1000", why);
    for (size_t i = 0; !status && i < count; i++)
        status = option_set(conf, options[i].name, options[i].value, why);
    for (size_t i = 0; !status && i < pair_count; i++)
        status = option_set(conf, pairs[i].name, pairs[i].value, why);
    if (status) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    *out = conf;
    return STATUS_OK;
}

void kafka_conf_log(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_log_cb(conf, log_receive);
}

static void log_receive(const rd_kafka_t *rk, int level, const char *facility, const char *line)
{
    static struct log_rate rate;
    enum log_level ours = level <= 3 ? LOG_ERROR : level <= 4 ? LOG_WARN : LOG_DEBUG;

    (void)rk;
    /* A producer is given consumer settings and the other way round, on purpose; lost connections come to the error
     * callback as well. */
    if (strcmp(facility, "CONFWARN") == 0 || strcmp(facility, "FAIL") == 0)
        ours = LOG_DEBUG;
    log_rated(&rate, ours, "bus.kafka", "facility=%s text=\"%s\"", facility, line);
}

static enum status pair_check(const struct settings_pair *pair, struct problem *why)
{
    static const struct guarded rows[] = {
        {"acks", "all", "-1", "an acknowledgement means that every in-sync replica has the record"},
        {"request.required.acks", "all", "-1", "an acknowledgement means that every in-sync replica has the record"},
        {"enable.idempotence", "true", NULL, "retries would store records twice or out of order"},
        {"enable.auto.commit", "false", NULL, "offsets are kept in the database, with the rows"},
        {"auto.commit.enable", "false", NULL, "offsets are kept in the database, with the rows"},
        {"enable.auto.offset.store", "false", NULL, "offsets are kept in the database, with the rows"},
        {"auto.offset.reset", "error", NULL, "a gap in the records has to be noticed"},
        {"partition.assignment.strategy", "cooperative-sticky", NULL, "readers keep what they have in a rebalance"},
        {"partitioner", "murmur2_random", NULL, "a device has to stay in its partition"},
        {"sticky.partitioning.linger.ms", NULL, NULL, "a device has to stay in its partition"},
        {"transactional.id", NULL, NULL, "Kafka transactions are not used"},
        {"message.timeout.ms", NULL, NULL, "it is bus_send_timeout_ms"},
        {"delivery.timeout.ms", NULL, NULL, "it is bus_send_timeout_ms"},
        {"bootstrap.servers", NULL, NULL, "it is kafka_brokers"},
        {"metadata.broker.list", NULL, NULL, "it is kafka_brokers"},
        {"group.id", NULL, NULL, "it is kafka_group"},
        {"test.mock.num.brokers", NULL, NULL, "records would be kept in memory only"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, pair->name) != 0)
            continue;
        if ((rows[i].allowed && strcmp(pair->value, rows[i].allowed) == 0) ||
            (rows[i].also_allowed && strcmp(pair->value, rows[i].also_allowed) == 0))
            return STATUS_OK;
        return problem_set(why, STATUS_REJECT, "Kafka's %s cannot be set to %s: %s", pair->name, pair->value,
                           rows[i].reason);
    }
    return STATUS_OK;
}
