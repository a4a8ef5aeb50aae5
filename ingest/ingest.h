#ifndef PICKET_INGEST_INGEST_H
#define PICKET_INGEST_INGEST_H

#include "runtime/bus.h"
#include "runtime/settings.h"

/* The front door: who speaks, may they, is it well-formed, is it safely on the bus. */
struct ingest_settings {
    const char *database;        /* conninfo; without a user it is picket_ingest */
    const char *master_key_file;
    const char *ingest_address;
    const char *device_host_name; /* where devices that register are sent */
    int64_t https_port;          /* 0: closed */
    int64_t http_port;           /* plain, for loopback only; 0: closed */
    int64_t mqtts_port;          /* MQTT over TLS; 0: closed */
    int64_t mqtt_port;           /* plain MQTT, for loopback only; 0: closed */
    const char *tls_certificate_file, *tls_key_file;
    int64_t ingest_threads;
    int64_t connections_max, connections_per_address_max;
    int64_t mqtt_threads;        /* 0: one per processor */
    int64_t mqtt_connections_max, mqtt_inflight_max;
    int64_t request_timeout_ms, answer_timeout_ms;
    int64_t body_bytes_max, body_budget_bytes, json_depth_max;
    int64_t messages_per_second, bytes_per_second;                       /* per device; 0: no limit */
    int64_t workspace_messages_per_second, workspace_bytes_per_second;   /* 0: no limit */
    int64_t roster_max;
};
extern const struct setting ingest_settings_table[];
extern const size_t ingest_settings_count;

struct ingest;

/* Opens roster, quotas and fronts in that order, listening at the end. The database may be away: the role then opens,
 * is not ready, and refuses with 503 until the roster was read once. `bus` is borrowed until ingest_close().
 * STATUS_REJECT: a port, certificate or key file cannot be used. */
MUST_CHECK enum status ingest_open(const struct ingest_settings *settings, struct bus *bus, struct ingest **out,
                                   struct problem *why);
uint16_t ingest_https_port(const struct ingest *ingest);
uint16_t ingest_http_port(const struct ingest *ingest);
uint16_t ingest_mqtts_port(const struct ingest *ingest);
uint16_t ingest_mqtt_port(const struct ingest *ingest);
/* No new requests; those under way get their answers. */
void ingest_drain(struct ingest *ingest);
void ingest_close(struct ingest *take_ingest);

#endif
