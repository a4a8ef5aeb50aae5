#ifndef PICKET_TESTS_MQTT_LOAD_H
#define PICKET_TESTS_MQTT_LOAD_H

#include "runtime/buf.h"
#include "wire/mqtt_packet.h"

/* A load generator for MQTT on loopback: one thread, many connections, each of which keeps `window` messages of QoS 1
 * under way. Who loses its connection connects again. */
struct mqtt_load_settings {
    uint16_t port;
    enum picket_mqtt_version version;
    unsigned connections, window; /* at most 100 */
    uint32_t duration_ms;   /* stops sending after that, then waits for what is under way, for five seconds at most */
    uint64_t messages_max;  /* stops sending after that many; 0: no limit */
    void *context;          /* for all functions */
    /* Fills what a connection says of itself; its spans stay until the next call. */
    void (*connect)(void *context, unsigned connection, struct picket_mqtt_connect *out);
    /* The next message of a connection. False: it has none. */
    bool (*build)(void *context, unsigned connection, struct buf *topic, struct buf *payload);
    /* The oldest one under way was acknowledged; `receipt` is MQTT 5's user property, or TEXT_NONE. May be NULL. */
    void (*acknowledged)(void *context, unsigned connection, struct text receipt);
    /* The connection went with all that was under way on it. May be NULL. */
    void (*lost)(void *context, unsigned connection);
};

struct mqtt_load_result {
    uint64_t acknowledged, lost; /* lost: connections */
    int64_t elapsed_us;
    double messages_per_second;
    int64_t median_us, p99_us, longest_us; /* from PUBLISH to PUBACK */
};

/* STATUS_RETRY: nobody could be connected to. STATUS_REJECT: a connection was refused by CONNACK, or a PUBACK said no;
 * `why` has the code. Blocks. */
MUST_CHECK enum status mqtt_load_run(const struct mqtt_load_settings *settings, struct mqtt_load_result *out,
                                     struct problem *why);

#endif
