#ifndef PICKET_AGENT_DNS_QUESTION_H
#define PICKET_AGENT_DNS_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/socket_table.h"

/* What a datagram to a name server asks: RFC 1035, section 4. */
#define DNS_NAME_SIZE 1024 /* 255 bytes on the wire, each "\ddd" at worst */
struct dns_question {
    struct socket_row flow; /* from whom to which server; over udp */
    uint16_t id;
    uint16_t type;             /* 1 for A */
    char name[DNS_NAME_SIZE];  /* "www.example.com" in lower case, without the dot of the root, which alone is "." */
};

/* `packet` begins with the header of IPv4 or IPv6. False: it is no question to a name server over udp, or it is cut. */
bool dns_question_read(const unsigned char *packet, size_t count, struct dns_question *out);
/* "AAAA"; "TYPE65280" for those without a name (RFC 3597). */
#define DNS_TYPE_SIZE 16
void dns_type_print(uint16_t type, char out[DNS_TYPE_SIZE]);

#endif
