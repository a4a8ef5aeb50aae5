#ifndef PICKET_INGEST_MQTT_FRONT_H
#define PICKET_INGEST_MQTT_FRONT_H

#include "ingest/deliveries.h"
#include "ingest/device_auth.h"
#include "ingest/intake.h"
#include "ingest/presence.h"
#include "ingest/registrations.h"
#include "runtime/db_pool.h"
#include "runtime/http.h"

/* MQTT 3.1.1 and 5 for devices, in IoT Hub's dialect: listeners, and connections spread over loops. */
struct mqtt_front;

struct mqtt_front_parts {
    const struct ingest_settings *settings;
    struct device_auth *auth;
    struct intake *intake;
    struct door *door;
    struct presence *presence;
    struct deliveries *deliveries;   /* hears who comes and goes */
    struct db_pool *pool;            /* for what only the database can answer */
    _Atomic size_t *body_bytes_used; /* of settings->body_budget_bytes, with the HTTP front */
    const struct registration_settings *registration;
};

/* `parts` and what they point to are borrowed until mqtt_front_free(). STATUS_REJECT: a port, certificate or key file
 * cannot be used. */
MUST_CHECK enum status mqtt_front_open(const struct mqtt_front_parts *parts, struct mqtt_front **out, struct problem *why);
uint16_t mqtt_front_mqtts_port(const struct mqtt_front *front);
uint16_t mqtt_front_mqtt_port(const struct mqtt_front *front);

/* A connection that came over WebSocket, from a thread of the HTTP server. */
void mqtt_front_take(struct mqtt_front *front, int fd, struct http_tunnel *take_tunnel, const char *peer);

/* How deliveries reach the connections that `presence` knows: before it is opened. */
void mqtt_front_hooks(struct presence *presence, struct deliveries_hooks *out);

/* No new connections; those that are there are told so, once what they sent is answered. */
void mqtt_front_drain(struct mqtt_front *front);
/* Ends them all. No message comes to the intake after this. */
void mqtt_front_stop(struct mqtt_front *front);
/* When intake and pool have nothing under way any more. */
void mqtt_front_free(struct mqtt_front *take_front);

struct mqtt_front_parts *mqtt_front_parts_of(struct mqtt_front *front);

#endif
