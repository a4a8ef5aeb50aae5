#ifndef PICKET_AGENT_SOCKET_TABLE_H
#define PICKET_AGENT_SOCKET_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The sockets of a host as /proc/net/tcp, tcp6, udp and udp6 list them, and whose they are. */
enum socket_table { SOCKET_TCP, SOCKET_TCP6, SOCKET_UDP, SOCKET_UDP6, SOCKET_TABLES };

enum socket_begun { SOCKET_BEGUN_UNKNOWN, SOCKET_BEGUN_THERE, SOCKET_BEGUN_HERE };

#define SOCKET_ADDRESS_BYTES 16 /* in network order; IPv4 is ::ffff:a.b.c.d */
#define SOCKET_ADDRESS_SIZE 46

struct socket_row {
    uint8_t local[SOCKET_ADDRESS_BYTES], remote[SOCKET_ADDRESS_BYTES];
    uint16_t local_port, remote_port;
    uint8_t table; /* enum socket_table */
    uint8_t state; /* of the kernel's list: 1 established, 10 listening; udp that waits for anybody is 7 */
    uint8_t begun; /* enum socket_begun: which side did, where somebody told */
    uint32_t user;
    uint64_t inode; /* 0: it belongs to no process any more */
};

struct socket_rows {
    struct socket_row *rows;
    size_t count, room;
};

/* False for the table's heading and for what is no row. */
bool socket_row_read(enum socket_table table, const char *line, size_t count, struct socket_row *out);
bool socket_listens(const struct socket_row *row);
/* One that waits to be accepted is nobody's yet, and is a connection later. */
bool socket_connected(const struct socket_row *row);
bool socket_is_udp(const struct socket_row *row);
/* By protocol, addresses and ports: what makes two rows the same connection. For qsort and bsearch. */
int socket_compare(const void *a, const void *b);

/* Appends; past `most` rows false, and nothing is. Memory that cannot be had ends the program. */
bool socket_rows_add(struct socket_rows *rows, const struct socket_row *row, size_t most);
void socket_rows_done(struct socket_rows *rows);
/* All that the tables below `root` have and `wanted` likes (NULL: all), at most 65,536. Release with socket_rows_done. */
void socket_rows_read(const char *root, bool (*wanted)(const struct socket_row *), struct socket_rows *out);

/* "tcp6". */
const char *socket_protocol(const struct socket_row *row);
/* "192.0.2.1"; "2001:db8::1". */
void socket_address_print(const uint8_t address[SOCKET_ADDRESS_BYTES], char out[SOCKET_ADDRESS_SIZE]);
/* An IPv4 address in network order, as the tables have it. */
void socket_address_of_ipv4(const void *address, uint8_t out[SOCKET_ADDRESS_BYTES]);

/* Which process has which socket open. Reading that is a walk through all of them; other users' are hidden without the right. */
struct socket_owners {
    struct socket_owner {
        uint64_t inode;
        int64_t pid;
    } *owners; /* by inode */
    size_t count, room;
};
void socket_owners_read(const char *root, struct socket_owners *out);
void socket_owners_done(struct socket_owners *owners);
/* 0 when it is hidden, or gone. */
int64_t socket_owner_of(const struct socket_owners *owners, uint64_t inode);

#endif
