#ifndef PICKET_RUNTIME_BUS_DRIVER_H
#define PICKET_RUNTIME_BUS_DRIVER_H

#include "runtime/bus.h"

/* Between bus.c and its drivers. A driver's own structs begin with these two, and its calls mean what the functions of
 * the same names in bus.h say. */
struct bus_calls {
    void (*close)(struct bus *take_bus);
    bool (*ready)(struct bus *bus);
    enum status (*send)(struct bus *bus, const struct bus_record *record, bus_sent sent, void *context,
                        struct problem *why);
    bool (*flush)(struct bus *bus, uint32_t timeout_ms);
    enum status (*reader_open)(struct bus *bus, const struct bus_reader_hooks *hooks, struct bus_reader **out,
                               struct problem *why);
    void (*reader_close)(struct bus_reader *take_reader);
    enum status (*take)(struct bus_reader *reader, const struct bus_take_limits *limits, struct bus_batch *out,
                        struct problem *why);
    void (*done)(struct bus_reader *reader, struct bus_batch *batch);
    void (*failed)(struct bus_reader *reader, struct bus_batch *batch, enum status status, const struct problem *why);
    void (*drop_partition)(struct bus_reader *reader, int32_t partition);
    void (*wake)(struct bus_reader *reader);
    int64_t (*lag)(struct bus_reader *reader);
};

struct bus {
    const struct bus_calls *calls;
    const char *topic, *cluster;
    const char *durability_note; /* NULL: none needed */
    int32_t partitions;
};

struct bus_reader {
    struct bus *bus;
    struct bus_reader_hooks hooks;
    bool batch_out; /* taken, neither done nor failed yet */
};

#define BUS_ASSIGN_RETRY_MS 250 /* between two questions to an assigned() or gap() hook that asked for patience */

enum status bus_direct_open(const struct bus_settings *settings, struct bus **out, struct problem *why);
enum status bus_kafka_open(const struct bus_settings *settings, uint32_t timeout_ms, int mock_brokers,
                           struct bus **out, struct problem *why);

#endif
