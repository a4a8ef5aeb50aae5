#include "runtime/bus.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "runtime/bus_driver.h"

#define MIB (1024 * 1024)

const struct setting bus_settings_table[] = {
    SETTING_STRING(struct bus_settings, bus, "direct",
                   "Where records wait between ingest and store: direct (one process, the acknowledgement waits for "
                   "the database) or kafka."),
    SETTING_STRING(struct bus_settings, kafka_brokers, "", "Kafka's brokers as host:port, separated by commas."),
    SETTING_STRING(struct bus_settings, kafka_topic, "picket.messages", "Topic of the records."),
    SETTING_STRING(struct bus_settings, kafka_group, "picket-store", "Consumer group that shares the partitions."),
    SETTING_INT(struct bus_settings, kafka_partitions, 12, 1, 10000,
                "Partitions of the topic when it has to be made."),
    SETTING_INT(struct bus_settings, bus_shards, 4, 1, 64,
                "Shards of the direct bus: as many batches can be committed side by side."),
    SETTING_INT(struct bus_settings, bus_queue_bytes, 64 * MIB, MIB, (int64_t)64 * 1024 * MIB,
                "Memory for records that wait to be acknowledged; when it is full devices are told to come back."),
    SETTING_INT(struct bus_settings, bus_send_timeout_ms, 15000, 10, 3600000,
                "A record that is not on the bus after this long is refused; keep it below answer_timeout_ms."),
    SETTING_INT(struct bus_settings, kafka_min_insync, 0, 0, 100,
                "Refuse to start when the topic's min.insync.replicas is lower than this."),
};
const size_t bus_settings_count = sizeof bus_settings_table / sizeof *bus_settings_table;

void bus_receipt_print(const struct bus_receipt *receipt, char out[BUS_RECEIPT_SIZE])
{
    /* Kafka's topics have at most 249 bytes, so it fits. */
    int length = snprintf(out, BUS_RECEIPT_SIZE, "%s/%" PRId32 "@%" PRId64, receipt->topic, receipt->partition,
                          receipt->offset);
    assert(length < BUS_RECEIPT_SIZE);
    (void)length;
}

enum status bus_open(const struct bus_settings *settings, uint32_t timeout_ms, int mock_brokers, struct bus **out,
                     struct problem *why)
{
    struct text driver = text_of(settings->bus);

    assert(out && why);

    if (text_equal(driver, TEXT("direct")))
        return bus_direct_open(settings, out, why);
    if (text_equal(driver, TEXT("kafka")))
        return bus_kafka_open(settings, timeout_ms, mock_brokers, out, why);
    return problem_set(why, STATUS_REJECT, "bus is \"%s\": it can be direct or kafka", settings->bus);
}

void bus_close(struct bus *take_bus)
{
    if (take_bus)
        take_bus->calls->close(take_bus);
}

const char *bus_topic(const struct bus *bus)
{
    return bus->topic;
}

const char *bus_cluster(const struct bus *bus)
{
    return bus->cluster;
}

const char *bus_durability_note(const struct bus *bus)
{
    return bus->durability_note;
}

bool bus_ready(struct bus *bus)
{
    return bus->calls->ready(bus);
}

int32_t bus_partitions(struct bus *bus)
{
    return bus->partitions;
}

enum status bus_send(struct bus *bus, const struct bus_record *record, bus_sent sent, void *context,
                     struct problem *why)
{
    assert(record->header_count <= BUS_HEADERS_MAX && sent && why);

    return bus->calls->send(bus, record, sent, context, why);
}

bool bus_flush(struct bus *bus, uint32_t timeout_ms)
{
    return bus->calls->flush(bus, timeout_ms);
}

enum status bus_reader_open(struct bus *bus, const struct bus_reader_hooks *hooks, struct bus_reader **out,
                            struct problem *why)
{
    assert(hooks->assigned && hooks->revoked && hooks->gap && out && why);

    return bus->calls->reader_open(bus, hooks, out, why);
}

void bus_reader_close(struct bus_reader *take_reader)
{
    if (take_reader)
        take_reader->bus->calls->reader_close(take_reader);
}

enum status bus_take(struct bus_reader *reader, const struct bus_take_limits *limits, struct bus_batch *out,
                     struct problem *why)
{
    assert(!reader->batch_out && limits->records_max && limits->bytes_max && out && why);

    enum status status = reader->bus->calls->take(reader, limits, out, why);
    reader->batch_out = !status && out->count;
    return status;
}

void bus_done(struct bus_reader *reader, struct bus_batch *batch)
{
    if (!batch->count)
        return;
    assert(reader->batch_out);
    reader->bus->calls->done(reader, batch);
    reader->batch_out = false;
    *batch = (struct bus_batch){0};
}

void bus_failed(struct bus_reader *reader, struct bus_batch *batch, enum status status, const struct problem *why)
{
    assert(status != STATUS_OK && why);

    if (!batch->count)
        return;
    assert(reader->batch_out);
    reader->bus->calls->failed(reader, batch, status, why);
    reader->batch_out = false;
    *batch = (struct bus_batch){0};
}

void bus_drop_partition(struct bus_reader *reader, int32_t partition)
{
    assert(partition >= 0);

    reader->bus->calls->drop_partition(reader, partition);
}

void bus_wake(struct bus_reader *reader)
{
    reader->bus->calls->wake(reader);
}

int64_t bus_lag(struct bus_reader *reader)
{
    return reader->bus->calls->lag(reader);
}
