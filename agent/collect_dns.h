#ifndef PICKET_AGENT_COLLECT_DNS_H
#define PICKET_AGENT_COLLECT_DNS_H

#include <stddef.h>

#include "agent/reason.h"

/* A socket that gets the datagrams to name servers that leave this host, from their IP header on. -1 with the reason: it is not allowed. */
int dns_socket_open(size_t buffer_bytes, struct reason *why);

#endif
