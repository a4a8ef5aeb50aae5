#ifndef PICKET_AGENT_LINUX_PORT_H
#define PICKET_AGENT_LINUX_PORT_H

#include <signal.h>

#include "agent/agent_config.h"
#include "agent/port.h"

/* The port on Linux: clocks, HTTPS by GnuTLS with a kept-alive connection and SAS tokens, the spool and the saved
 * numbering in files. The server's certificate is always verified against the configured CA and its name. */
struct linux_port;

/* Fills `port`. `config` and `stopping` are borrowed until linux_port_close(); when the flag is set, a call that waits
 * for the network gives up within half a second, but for a name look-up. NULL when the CA or the spool folder cannot be used. */
struct linux_port *linux_port_open(const struct agent_config *config, const volatile sig_atomic_t *stopping,
                                   struct picket_port *port, struct reason *why);

/* A port that sends nothing and remembers nothing: each message is printed to stdout, one a line, also one that would
 * have been kept. */
void linux_port_dry(struct picket_port *port);

/* Why the last send, keep or save failed; empty when nothing has. */
const char *linux_port_trouble(const struct linux_port *port);
size_t linux_port_kept(const struct linux_port *port); /* messages in the spool */

void linux_port_close(struct linux_port *take_port); /* NULL is fine */

#endif
