#ifndef PICKET_AGENT_NETLINK_H
#define PICKET_AGENT_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/reason.h"

/* What the kernel says by netlink: netlink(7), and the attributes of rtnetlink(7), which the other families have too. */

/* A socket that hears of these groups (numbers, from 1) and never waits. -1 with the reason: it is not allowed here, or not there. */
int netlink_listen(int protocol, const unsigned *groups, size_t count, struct reason *why);
/* Room for what comes in a burst, also in sockets of other families: as much as that, or, without CAP_NET_ADMIN, as the system allows. */
void socket_room(int socket, size_t bytes);
/* Whether the kernel lets us hear of the first group. */
bool netlink_allowed(int protocol, struct reason *why);

/* Attributes, one behind the other. False: there are no more, or the next one is cut. */
struct attribute {
    unsigned type;
    const unsigned char *data;
    size_t count;
};
bool attribute_next(const unsigned char **at, const unsigned char *end, struct attribute *out);
/* The first of that type; count 0 and data NULL: there is none. */
struct attribute attribute_find(const unsigned char *from, size_t count, unsigned type);
uint32_t attribute_u32(struct attribute attribute); /* big-endian, as netfilter has it; 0 when it is none */
uint16_t attribute_u16(struct attribute attribute);

#endif
