#ifndef PICKET_AGENT_COLLECT_SOCKETS_H
#define PICKET_AGENT_COLLECT_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row of /proc/net/tcp, tcp6, udp or udp6. */
#define SOCKET_ADDRESS_SIZE 46

enum socket_table { SOCKET_TCP, SOCKET_TCP6, SOCKET_UDP, SOCKET_UDP6, SOCKET_TABLES };

struct socket_row {
    enum socket_table table;
    char local[SOCKET_ADDRESS_SIZE], remote[SOCKET_ADDRESS_SIZE]; /* IPv4 inside IPv6 is written as IPv4 */
    uint16_t local_port, remote_port;
    unsigned state; /* of the kernel's list: 1 established, 10 listening; udp that waits for anybody is 7 */
    uint32_t user;
    uint64_t inode; /* 0: it belongs to no process any more */
};

/* False for the table's heading and for what is no row. */
bool socket_row_read(enum socket_table table, const char *line, size_t count, struct socket_row *out);
bool socket_listens(const struct socket_row *row);
/* One that waits to be accepted is nobody's yet, and is a connection later. */
bool socket_connected(const struct socket_row *row);

#endif
