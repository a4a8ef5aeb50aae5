#ifndef PICKET_INGEST_HTTP_FRONT_H
#define PICKET_INGEST_HTTP_FRONT_H

#include "ingest/device_auth.h"
#include "ingest/http_calls.h"
#include "ingest/intake.h"
#include "ingest/mqtt_front.h"

/* POST from devices in IoT Hub's HTTPS dialect: who sends is settled when the headers are in, before the body is read;
 * the answer comes when the bus has the message. Two ports, one behind TLS and a plain one on loopback. */
struct http_front;

struct http_front_parts {
    struct device_auth *auth;
    struct intake *intake;
    struct door *door;
    struct mqtt_front *mqtt;    /* takes those who come over WebSocket; NULL: nobody does */
    struct http_calls calls;    /* for what only the database can answer; without a pool it is not offered */
    _Atomic size_t *body_bytes; /* of all bodies in memory, on all ports; NULL: the front's own */
};

/* Opens the ports that `settings` gives (0: closed). Settings and parts are borrowed until http_front_close().
 * STATUS_REJECT: a port, certificate or key file cannot be used. */
MUST_CHECK enum status http_front_open(const struct ingest_settings *settings, const struct http_front_parts *parts,
                                       struct http_front **out, struct problem *why);
uint16_t http_front_https_port(const struct http_front *front); /* 0: closed */
uint16_t http_front_http_port(const struct http_front *front);
void http_front_drain(struct http_front *front);
/* In two steps, since messages under way still answer to the front: _stop() ends all talk with clients; _free() after
 * intake_idle(). */
void http_front_stop(struct http_front *front);
void http_front_free(struct http_front *take_front);

#endif
