#ifndef PICKET_AGENT_HUB_H
#define PICKET_AGENT_HUB_H

#include "agent/port.h"
#include "agent/uplink.h"

/* The server over MQTT 5, in IoT Hub's dialect: messages with QoS 1, of which the acknowledgement is awaited, the twin, and
 * direct methods. The connection is kept; what comes in is taken whenever hub_serve() or hub_send() runs. One thread. */
struct hub_hooks {
    void *context;
    /* A whole twin ({"desired": …, "reported": …}) after each connect, then patches of the desired properties. */
    void (*twin)(void *context, const char *json, size_t count);
    /* A direct method: its answer is written to `answer`, as JSON of at most `size` bytes, and its status returned. It may run as
     * long as it likes, but the caller waits. */
    unsigned (*method)(void *context, const char *name, const char *payload, size_t count, char *answer, size_t size, size_t *answer_count);
};

struct hub;
/* `uplink`, `credential` and `stopping` are borrowed. Where the server does not know the key, the credential's other one is tried next. */
struct hub *hub_new(struct uplink *uplink, struct credential *credential, const struct hub_hooks *hooks, const volatile sig_atomic_t *stopping);
void hub_free(struct hub *take_hub); /* NULL is fine */

/* Connects when need be. `now_s` is UTC, for the token. */
void hub_send(struct hub *hub, const struct picket_message *message, int64_t now_s, struct picket_send_answer *out, struct reason *why);

/* Takes what came in, keeps the connection alive, and makes it when it is time to try. Returns in how many milliseconds there is
 * something to do again; sooner when hub_socket() has something to read. */
uint32_t hub_serve(struct hub *hub, int64_t now_s, struct reason *why);
int hub_socket(const struct hub *hub); /* -1: not connected */

/* The next packet goes over a new connection: another key is to be used. */
void hub_renew(struct hub *hub);

/* Reported properties, merged there. False: not connected, and to be told again later. */
bool hub_report(struct hub *hub, const char *json, size_t count, struct reason *why);

#endif
