#ifndef PICKET_INGEST_INGEST_METRICS_H
#define PICKET_INGEST_INGEST_METRICS_H

#include "runtime/metrics.h"

#define INGEST_METRICS_CODES 10

/* What the role counts, of this process. */
struct ingest_metrics {
    struct metric messages[INGEST_METRICS_CODES]; /* by the code of their answer */
    struct metric throttled[2]; /* by the device's limit, by its workspace's */
    struct metric body_bytes;
    struct metric messages_in_flight, body_bytes_in_flight;
    struct metric roster_devices, roster_age_seconds, roster_unusable_keys;
    struct metric auth_checks, auth_cache_hits;
    struct metric door_overflow;
    struct metric mqtt_connections, mqtt_sessions, mqtt_connects, mqtt_connects_refused;
    struct metric mqtt_handshakes_failed, mqtt_turned_out;
};
extern struct ingest_metrics ingest_metrics;

/* The codes that are told apart, in the order of `messages`; the last stands for all others. */
extern const unsigned ingest_metrics_codes[INGEST_METRICS_CODES];

void ingest_metrics_register(void);
void ingest_metrics_count_code(unsigned code);

#endif
