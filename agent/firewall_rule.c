#include "agent/firewall_rule.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>

#include "agent/netlink.h"

#define REGISTERS 32
#define ADDRESS_MAX 16

/* What a register holds. */
enum held { HELD_NOTHING, HELD_OTHER, HELD_FAMILY, HELD_PROTOCOL, HELD_SOURCE, HELD_DESTINATION, HELD_SOURCE_PORT, HELD_DESTINATION_PORT };

struct register_state {
    enum held held;
    bool ipv6;
    unsigned bits; /* of the mask; 0: no mask */
};

struct reading {
    struct register_state registers[REGISTERS];
    struct firewall_rule *out;
};

static uint32_t number_in(struct attribute in, unsigned type)
{
    return attribute_u32(attribute_find(in.data, in.count, type));
}

/* The registers of 16 bytes are numbered from 1, those of 4 from 8. */
static struct register_state *register_of(struct reading *reading, uint32_t number)
{
    uint32_t place = number >= NFT_REG32_00 ? number - NFT_REG32_00 : (number - NFT_REG_1) * 4;

    return number != NFT_REG_VERDICT && place < REGISTERS ? &reading->registers[place] : NULL;
}

static void load(struct reading *reading, uint32_t number, enum held held, bool ipv6)
{
    struct register_state *to = register_of(reading, number);

    if (to)
        *to = (struct register_state){held, ipv6, 0};
}

/* Which part of a packet it is, by where it lies: RFC 791, RFC 8200, and the ports of TCP and UDP. */
static void read_payload(struct reading *reading, struct attribute data)
{
    uint32_t base = number_in(data, NFTA_PAYLOAD_BASE), offset = number_in(data, NFTA_PAYLOAD_OFFSET), length = number_in(data, NFTA_PAYLOAD_LEN);
    bool network = base == NFT_PAYLOAD_NETWORK_HEADER, transport = base == NFT_PAYLOAD_TRANSPORT_HEADER && length == 2;
    enum held held = HELD_OTHER;

    if (network && ((offset == 12 && length <= 4) || (offset == 8 && length > 4)))
        held = HELD_SOURCE;
    else if (network && ((offset == 16 && length <= 4) || (offset == 24 && length > 4)))
        held = HELD_DESTINATION;
    else if (network && offset == 9 && length == 1)
        held = HELD_PROTOCOL;
    else if (transport)
        held = offset == 0 ? HELD_SOURCE_PORT : offset == 2 ? HELD_DESTINATION_PORT : HELD_OTHER;
    load(reading, number_in(data, NFTA_PAYLOAD_DREG), held, offset == 8 || offset == 24);
}

/* A network that ends within four bytes is loaded with as many; else its mask follows. */
static void read_bitwise(struct reading *reading, struct attribute data)
{
    struct attribute mask = attribute_find(data.data, data.count, NFTA_BITWISE_MASK), bytes = attribute_find(mask.data, mask.count, NFTA_DATA_VALUE);
    const struct register_state *from = register_of(reading, number_in(data, NFTA_BITWISE_SREG));
    struct register_state *to = register_of(reading, number_in(data, NFTA_BITWISE_DREG));
    unsigned bits = 0;

    if (!from || !to)
        return;
    *to = *from;
    while (bits < bytes.count * 8 && bytes.data[bits / 8] & (0x80u >> bits % 8))
        bits++;
    to->bits = bits;
    if (!bits)
        to->held = HELD_OTHER;
}

static void address_print(const struct register_state *state, struct attribute value, bool negated, char out[FIREWALL_TEXT])
{
    unsigned char address[ADDRESS_MAX] = {0};
    char text[INET6_ADDRSTRLEN];
    unsigned whole = state->ipv6 ? 128 : 32, bits = state->bits ? state->bits : (unsigned)value.count * 8;

    if (value.count > ADDRESS_MAX)
        return;
    memcpy(address, value.data, value.count);
    if (!inet_ntop(state->ipv6 ? AF_INET6 : AF_INET, address, text, sizeof text))
        return;
    if (bits < whole)
        snprintf(out, FIREWALL_TEXT, "%s%s/%u", negated ? "!" : "", text, bits);
    else
        snprintf(out, FIREWALL_TEXT, "%s%s", negated ? "!" : "", text);
}

static void protocol_print(unsigned number, bool negated, char out[FIREWALL_TEXT])
{
    const char *name = number == 6 ? "tcp" : number == 17 ? "udp" : number == 1 ? "icmp" : number == 58 ? "icmpv6" : number == 132 ? "sctp" : NULL;

    if (name)
        snprintf(out, FIREWALL_TEXT, "%s%s", negated ? "!" : "", name);
    else
        snprintf(out, FIREWALL_TEXT, "%s%u", negated ? "!" : "", number);
}

/* "22", "!22"; of two comparisons with an order "1024-65535". */
static void port_print(uint32_t operation, struct attribute value, char out[FIREWALL_TEXT])
{
    unsigned port = value.count == 2 ? (unsigned)value.data[0] << 8 | value.data[1] : 0;
    size_t used = strlen(out);

    switch (operation) {
    case NFT_CMP_NEQ: snprintf(out, FIREWALL_TEXT, "!%u", port); break;
    case NFT_CMP_GTE: snprintf(out, FIREWALL_TEXT, "%u-65535", port); break;
    case NFT_CMP_GT: snprintf(out, FIREWALL_TEXT, "%u-65535", port + 1); break;
    case NFT_CMP_LTE:
    case NFT_CMP_LT:
        if (used > 5 && strcmp(out + used - 5, "65535") == 0)
            snprintf(out + used - 5, FIREWALL_TEXT - used + 5, "%u", port - (operation == NFT_CMP_LT));
        else
            snprintf(out, FIREWALL_TEXT, "0-%u", port - (operation == NFT_CMP_LT));
        break;
    default: snprintf(out, FIREWALL_TEXT, "%u", port); break;
    }
}

static void read_cmp(struct reading *reading, struct attribute data)
{
    const struct register_state *from = register_of(reading, number_in(data, NFTA_CMP_SREG));
    struct attribute wrapped = attribute_find(data.data, data.count, NFTA_CMP_DATA), value = attribute_find(wrapped.data, wrapped.count, NFTA_DATA_VALUE);
    uint32_t operation = number_in(data, NFTA_CMP_OP);
    bool negated = operation == NFT_CMP_NEQ, ordered = operation > NFT_CMP_NEQ;
    enum held held = from && value.count ? from->held : HELD_OTHER;

    if (held == HELD_PROTOCOL && !ordered)
        protocol_print(value.data[0], negated, reading->out->protocol);
    else if (held == HELD_SOURCE && !ordered)
        address_print(from, value, negated, reading->out->source);
    else if (held == HELD_DESTINATION && !ordered)
        address_print(from, value, negated, reading->out->destination);
    else if (held == HELD_SOURCE_PORT)
        port_print(operation, value, reading->out->source_port);
    else if (held == HELD_DESTINATION_PORT)
        port_print(operation, value, reading->out->destination_port);
    else if (held != HELD_FAMILY) /* which the address that follows tells by itself */
        reading->out->more = true;
}

static void read_meta(struct reading *reading, struct attribute data)
{
    uint32_t key = number_in(data, NFTA_META_KEY);

    load(reading, number_in(data, NFTA_META_DREG), key == NFT_META_L4PROTO ? HELD_PROTOCOL : key == NFT_META_NFPROTO ? HELD_FAMILY : HELD_OTHER, false);
}

static void read_immediate(struct reading *reading, struct attribute data)
{
    struct attribute wrapped = attribute_find(data.data, data.count, NFTA_IMMEDIATE_DATA), verdict = attribute_find(wrapped.data, wrapped.count, NFTA_DATA_VERDICT);

    if (number_in(data, NFTA_IMMEDIATE_DREG) != NFT_REG_VERDICT || !verdict.count)
        return;
    uint32_t code = number_in(verdict, NFTA_VERDICT_CODE);
    reading->out->action = code == NF_ACCEPT ? FIREWALL_ALLOW : code == NF_DROP ? FIREWALL_DENY : FIREWALL_OTHER;
}

static bool is_named(struct attribute name, const char *wanted)
{
    return name.count == strlen(wanted) + 1 && memcmp(name.data, wanted, name.count) == 0;
}

void firewall_rule_read(const unsigned char *expressions, size_t count, struct firewall_rule *out)
{
    static const char *const silent[] = {"counter", "log", "limit", "notrack"}; /* they choose no packets, or not by what they are */
    const unsigned char *at = expressions, *end = expressions + count;
    struct reading reading = {.out = out};
    struct attribute element;

    memset(out, 0, sizeof *out);
    while (attribute_next(&at, end, &element)) {
        struct attribute name = attribute_find(element.data, element.count, NFTA_EXPR_NAME), data = attribute_find(element.data, element.count, NFTA_EXPR_DATA);
        bool known = false;
        for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
            known = known || is_named(name, silent[i]);
        if (is_named(name, "payload"))
            read_payload(&reading, data);
        else if (is_named(name, "meta"))
            read_meta(&reading, data);
        else if (is_named(name, "bitwise"))
            read_bitwise(&reading, data);
        else if (is_named(name, "cmp"))
            read_cmp(&reading, data);
        else if (is_named(name, "immediate"))
            read_immediate(&reading, data);
        else if (is_named(name, "reject"))
            out->action = FIREWALL_DENY;
        else if (!known)
            out->more = true;
    }
}
