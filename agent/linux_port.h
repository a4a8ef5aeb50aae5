#ifndef PICKET_AGENT_LINUX_PORT_H
#define PICKET_AGENT_LINUX_PORT_H

#include <signal.h>

#include "agent/agent_config.h"
#include "agent/hub.h"
#include "agent/port.h"

/* The port on Linux: clocks, MQTT or HTTPS (agent/uplink), the spool and the saved numbering in files. */
struct linux_port;

/* Where messages go; the texts stay the configuration's. */
struct uplink_target linux_port_target(const struct agent_config *config);

/* Fills `port`. `hooks` are for MQTT, and may be NULL. `hooks`, `config`, whose credential may be rotated, and `stopping` are borrowed until
 * linux_port_close(); when the flag is set, a call that waits for the network gives up within half a second, but for a name look-up.
 * NULL when the CA or the spool folder cannot be used. */
struct linux_port *linux_port_open(struct agent_config *config, const struct hub_hooks *hooks, const volatile sig_atomic_t *stopping,
                                   struct picket_port *port, struct reason *why);

/* With MQTT: takes what the server has to say, and keeps the connection. Returns in how many milliseconds there is something to do
 * again, UINT32_MAX where nothing ever is; sooner when the socket (-1: none) has something to read. */
uint32_t linux_port_serve(struct linux_port *port);
int linux_port_socket(const struct linux_port *port);
/* Reported properties of the twin. False: they cannot be told now. */
bool linux_port_report(struct linux_port *port, const char *json, size_t count);
/* Uses that key from now on, and after a restart; the old one is tried again should the server not know it. False: it is no key, or
 * cannot be kept. */
bool linux_port_rotate(struct linux_port *port, const char *base64, size_t count);

/* Another identity or another server from now on, as the configuration's credential says by now; a rotated key is forgotten. False: the uplink
 * cannot be made, and it goes on as before. */
bool linux_port_renew(struct linux_port *port, struct reason *why);

/* A port that sends nothing and remembers nothing: each message is printed to stdout, one a line, also one that would
 * have been kept. */
void linux_port_dry(struct picket_port *port);

/* Why the last send, keep or save failed; empty when nothing has. */
const char *linux_port_trouble(const struct linux_port *port);
size_t linux_port_kept(const struct linux_port *port); /* messages in the spool */

/* The most that unsent messages may take from now on; 0: what the configuration says. */
void linux_port_limit(struct linux_port *port, uint64_t bytes);
/* How long a message may wait there, from now on; 0: for good. */
void linux_port_timeout(struct linux_port *port, uint32_t seconds);

void linux_port_close(struct linux_port *take_port); /* NULL is fine */

#endif
