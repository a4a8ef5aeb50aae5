#ifndef PICKET_AGENT_REMOTE_H
#define PICKET_AGENT_REMOTE_H

#include "agent/collector.h"
#include "agent/linux_port.h"
#include "agent/twin.h"

/* What the server may say to the agent: the module twin, which is applied at once and answered by reported properties, and direct
 * methods.
 *
 *   ping                                     how it is: version, uptime, counts
 *   collect {"collector": "processes"}       runs a collector now; without a name, all that are on
 *   rotateCredential {"key": "BASE64"}       another shared access key from now on */
struct remote {
    struct picket_agent *agent;
    struct collectors *collectors;
    struct linux_port *port;
    struct picket_settings base, settings; /* what the configuration file says, and what holds */
    int64_t started_ms;
    char report[PICKET_TWIN_REPORT_MAX];
    size_t report_count; /* waits to be told; 0: nothing does */
};

/* `remote` lies where the caller wants; the hooks are for linux_port_open(), before which the remote is not begun. */
void remote_hooks(struct remote *remote, struct hub_hooks *out);
void remote_begin(struct remote *remote, struct picket_agent *agent, struct collectors *collectors, struct linux_port *port, const struct picket_settings *base);
/* Tells what waits to be told. */
void remote_serve(struct remote *remote);

#endif
