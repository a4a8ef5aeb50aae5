#include "agent/dns_question.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>

#define DNS_PORT 53
#define DNS_HEAD 12
#define LABEL_MAX 63
#define NAME_WIRE_MAX 255
#define IS_ANSWER 0x80 /* of the third byte of a message */
#define OPCODE 0x78

static uint16_t number_at(const unsigned char *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* Moves past the header of IP. 0: it is neither, a fragment that is not the first, or not udp right behind it. */
static size_t ip_read(const unsigned char *packet, size_t count, struct dns_question *out)
{
    struct ip6_hdr six;
    struct ip four;

    if (count >= sizeof four && packet[0] >> 4 == 4) {
        memcpy(&four, packet, sizeof four);
        socket_address_of_ipv4(&four.ip_src, out->flow.local);
        socket_address_of_ipv4(&four.ip_dst, out->flow.remote);
        out->flow.table = SOCKET_UDP;
        size_t length = (size_t)(packet[0] & 15) * 4;
        return four.ip_p == IPPROTO_UDP && !(ntohs(four.ip_off) & IP_OFFMASK) && length >= sizeof four ? length : 0;
    }
    if (count >= sizeof six && packet[0] >> 4 == 6) {
        memcpy(&six, packet, sizeof six);
        memcpy(out->flow.local, &six.ip6_src, SOCKET_ADDRESS_BYTES);
        memcpy(out->flow.remote, &six.ip6_dst, SOCKET_ADDRESS_BYTES);
        out->flow.table = SOCKET_UDP6;
        return six.ip6_nxt == IPPROTO_UDP ? sizeof six : 0;
    }
    return 0;
}

/* One byte of a label, as in a zone's file. Returns how long it became. */
static size_t byte_print(unsigned char byte, char *out)
{
    if (byte >= 'A' && byte <= 'Z')
        byte |= 0x20;
    if (byte == '.' || byte == '\\')
        return out[0] = '\\', out[1] = (char)byte, 2;
    if (byte > ' ' && byte < 0x7f)
        return out[0] = (char)byte, 1;
    out[0] = '\\';
    out[1] = (char)('0' + byte / 100);
    out[2] = (char)('0' + byte / 10 % 10);
    out[3] = (char)('0' + byte % 10);
    return 4;
}

/* Labels until the empty one. A question is the first name of its message, so nothing is there to point back to. Returns its length; 0: it is none. */
static size_t name_read(const unsigned char *at, size_t count, char out[DNS_NAME_SIZE])
{
    size_t used = 0, length = 0;

    while (used < count && used < NAME_WIRE_MAX) {
        size_t label = at[used++];
        if (label == 0) {
            length -= length > 0; /* the last dot */
            memcpy(out + length, length ? "" : ".", length ? 1 : 2);
            return used;
        }
        if (label > LABEL_MAX || label > count - used || used + label >= NAME_WIRE_MAX)
            return 0;
        for (size_t i = 0; i < label; i++)
            length += byte_print(at[used + i], out + length);
        out[length++] = '.';
        used += label;
    }
    return 0;
}

bool dns_question_read(const unsigned char *packet, size_t count, struct dns_question *out)
{
    memset(out, 0, sizeof *out);
    size_t at = ip_read(packet, count, out);
    if (!at || count < at + sizeof(struct udphdr) + DNS_HEAD)
        return false;
    out->flow.local_port = number_at(packet + at);
    out->flow.remote_port = number_at(packet + at + 2);
    at += sizeof(struct udphdr);
    const unsigned char *head = packet + at;
    at += DNS_HEAD;
    out->id = number_at(head);
    if (out->flow.remote_port != DNS_PORT || head[2] & (IS_ANSWER | OPCODE) || number_at(head + 4) == 0)
        return false;
    size_t length = name_read(packet + at, count - at, out->name);
    if (!length || count - at - length < 4)
        return false;
    out->type = number_at(packet + at + length);
    return true;
}

void dns_type_print(uint16_t type, char out[DNS_TYPE_SIZE])
{
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = {{1, "A"},    {2, "NS"},    {5, "CNAME"}, {6, "SOA"},    {12, "PTR"}, {15, "MX"},    {16, "TXT"},  {28, "AAAA"}, {33, "SRV"},
                 {35, "NAPTR"}, {43, "DS"}, {48, "DNSKEY"}, {64, "SVCB"}, {65, "HTTPS"}, {252, "AXFR"}, {255, "ANY"}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].type == type) {
            snprintf(out, DNS_TYPE_SIZE, "%s", names[i].name);
            return;
        }
    snprintf(out, DNS_TYPE_SIZE, "TYPE%u", type);
}
