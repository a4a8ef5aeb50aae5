#include "ingest/ingest_metrics.h"

#include <stddef.h>

#define BY_CODE(code)                                                                                        \
    METRIC_LABELLED_INIT("picket_ingest_messages_total", "Messages of devices by the code of their answer.", \
                         "code", code)

#define THROTTLED(limit)                                                                                            \
    METRIC_LABELLED_INIT("picket_ingest_throttled_total",                                                          \
                         "Messages that were put off by a limit, as often as they were: 429, or MQTT not read.", "limit", limit)

struct ingest_metrics ingest_metrics = {
    .messages = {BY_CODE("204"), BY_CODE("400"), BY_CODE("401"), BY_CODE("403"), BY_CODE("413"), BY_CODE("415"),
                 BY_CODE("429"), BY_CODE("500"), BY_CODE("503"), BY_CODE("other")},
    .throttled = {THROTTLED("device"), THROTTLED("workspace")},
    .body_bytes = METRIC_COUNTER_INIT("picket_ingest_body_bytes_total", "Bytes of accepted bodies, decompressed."),
    .messages_in_flight = METRIC_GAUGE_INIT("picket_ingest_messages_in_flight",
                                            "Messages that wait for the bus to say that they are durable."),
    .body_bytes_in_flight = METRIC_GAUGE_INIT("picket_ingest_body_bytes_in_flight", "Bytes of their bodies."),
    .roster_devices = METRIC_GAUGE_INIT("picket_ingest_roster_devices", "Identities in memory."),
    .roster_age_seconds = METRIC_GAUGE_INIT("picket_ingest_roster_age_seconds",
                                            "Time since the database last answered for changes of identities."),
    .roster_unusable_keys = METRIC_COUNTER_INIT("picket_ingest_roster_unusable_keys_total",
                                                "Stored keys that the master key does not open, as often as read."),
    .auth_checks = METRIC_COUNTER_INIT("picket_ingest_auth_checks_total", "Tokens and certificates that were judged."),
    .auth_cache_hits = METRIC_COUNTER_INIT("picket_ingest_auth_cache_hits_total",
                                           "Of these, those that had been judged before."),
    .door_overflow = METRIC_COUNTER_INIT("picket_ingest_door_overflow_total",
                                         "Refusals put down to the workspace, since too many identities were refused."),
    .mqtt_connections = METRIC_GAUGE_INIT("picket_ingest_mqtt_connections", "Connections to the MQTT ports."),
    .mqtt_sessions = METRIC_GAUGE_INIT("picket_ingest_mqtt_sessions", "Of these, devices and modules that were let in."),
    .mqtt_connects = METRIC_COUNTER_INIT("picket_ingest_mqtt_connects_total", "Times that one was let in over MQTT."),
    .mqtt_connects_refused = METRIC_COUNTER_INIT("picket_ingest_mqtt_connects_refused_total",
                                                 "Times that one was turned away with a CONNACK."),
    .mqtt_handshakes_failed = METRIC_COUNTER_INIT("picket_ingest_mqtt_handshakes_failed_total",
                                                  "TLS handshakes of MQTT clients that failed."),
    .mqtt_turned_out = METRIC_COUNTER_INIT("picket_ingest_mqtt_turned_out_total",
                                           "Connections closed since their identity connected again."),
};

const unsigned ingest_metrics_codes[INGEST_METRICS_CODES] = {204, 400, 401, 403, 413, 415, 429, 500, 503, 0};

void ingest_metrics_register(void)
{
    metric_register(ingest_metrics.messages, INGEST_METRICS_CODES);
    metric_register(ingest_metrics.throttled, 2);
    metric_register(&ingest_metrics.body_bytes, 1);
    metric_register(&ingest_metrics.messages_in_flight, 1);
    metric_register(&ingest_metrics.body_bytes_in_flight, 1);
    metric_register(&ingest_metrics.roster_devices, 1);
    metric_register(&ingest_metrics.roster_age_seconds, 1);
    metric_register(&ingest_metrics.roster_unusable_keys, 1);
    metric_register(&ingest_metrics.auth_checks, 1);
    metric_register(&ingest_metrics.auth_cache_hits, 1);
    metric_register(&ingest_metrics.door_overflow, 1);
    metric_register(&ingest_metrics.mqtt_connections, 1);
    metric_register(&ingest_metrics.mqtt_sessions, 1);
    metric_register(&ingest_metrics.mqtt_connects, 1);
    metric_register(&ingest_metrics.mqtt_connects_refused, 1);
    metric_register(&ingest_metrics.mqtt_handshakes_failed, 1);
    metric_register(&ingest_metrics.mqtt_turned_out, 1);
}

void ingest_metrics_count_code(unsigned code)
{
    size_t i = 0;

    while (i < INGEST_METRICS_CODES - 1 && ingest_metrics_codes[i] != code)
        i++;
    metric_add(&ingest_metrics.messages[i], 1);
}
