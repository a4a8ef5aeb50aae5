#ifndef PICKET_FORWARD_FORWARD_H
#define PICKET_FORWARD_FORWARD_H

#include "runtime/bus.h"
#include "runtime/settings.h"

/* What leaves by itself. So far: every change of an alert to a topic of Kafka. */
struct forward_settings {
    const char *database;     /* conninfo; without a user it is picket_forward */
    const char *alerts_topic; /* "": none */
};
extern const struct setting forward_settings_table[];
extern const size_t forward_settings_count;

struct forward;

/* Starts the sender's thread; it waits for brokers and database by itself. `bus` says where the brokers are, and is copied; it must be that of
 * Kafka. STATUS_REJECT: a malformed connection string. */
MUST_CHECK enum status forward_open(const struct forward_settings *settings, const struct bus_settings *bus, struct forward **out, struct problem *why);
void forward_close(struct forward *take_forward); /* finishes the round at hand */

#endif
