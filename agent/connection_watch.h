#ifndef PICKET_AGENT_CONNECTION_WATCH_H
#define PICKET_AGENT_CONNECTION_WATCH_H

#include "agent/reason.h"
#include "agent/socket_table.h"

/* Connections as the kernel tells of them, also those that are gone before anybody could look: the sockets that are taken down (netlink's
 * sock_diag), and the flows that connection tracking begins, where a firewall uses it (conntrack; udp, and so DNS, too). Both need
 * CAP_NET_ADMIN, and neither knows the process. */
struct connection_watch;

/* NULL where neither can be had. `buffer_bytes` is the sockets', for what comes in a burst. */
struct connection_watch *connection_watch_open(size_t buffer_bytes, struct reason *why);
void connection_watch_close(struct connection_watch *take_watch); /* NULL is fine */
/* Whether connection tracking can be heard of; that it tells anything takes a rule of the firewall that uses it. */
bool connection_watch_tracks(const struct connection_watch *watch);

/* Appends what was told since the last time, as rows without state, user and inode; of a flow it
 * is known which side began. The same connection may be told several times. Of a flow that
 * is neither from nor to an address of this host there is none. Returns how many are missing at least, since the kernel or `out` had no room. */
uint64_t connection_watch_take(struct connection_watch *watch, struct socket_rows *out);

/* Readable when something was told. */
int connection_watch_socket(const struct connection_watch *watch);

/* One message of each kind, without its netlink head. False: it tells of no connection over tcp or udp with a peer. */
bool connection_read_ended(const unsigned char *message, size_t count, struct socket_row *out);
/* As the side that began sees it. */
bool connection_read_begun(const unsigned char *message, size_t count, struct socket_row *out);

#endif
