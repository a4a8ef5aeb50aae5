#include "agent/connection_watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netlink.h"

#define PACKET_MAX 16384
#define TOLD_MAX 4096 /* of one look */

struct connection_watch {
    int ended, begun; /* netlink sockets; -1: not allowed here */
    int both;         /* an epoll of them */
};

typedef bool read_message(const unsigned char *message, size_t count, struct socket_row *out);

struct taking {
    struct socket_rows *out;
    struct ifaddrs *own;
    uint64_t lost;
};

/* ---- messages ---- */

static bool row_fill(struct socket_row *out, unsigned protocol, bool ipv6)
{
    out->table = protocol == IPPROTO_TCP ? (ipv6 ? SOCKET_TCP6 : SOCKET_TCP) : (ipv6 ? SOCKET_UDP6 : SOCKET_UDP);
    return (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && out->remote_port != 0;
}

static void address_copy(const void *address, bool ipv6, uint8_t out[SOCKET_ADDRESS_BYTES])
{
    if (ipv6)
        memcpy(out, address, SOCKET_ADDRESS_BYTES);
    else
        socket_address_of_ipv4(address, out);
}

bool connection_read_ended(const unsigned char *message, size_t count, struct socket_row *out)
{
    struct inet_diag_msg about;

    memset(out, 0, sizeof *out);
    if (count < sizeof about)
        return false;
    memcpy(&about, message, sizeof about);
    struct attribute protocol = attribute_find(message + sizeof about, count - sizeof about, INET_DIAG_PROTOCOL);
    bool ipv6 = about.idiag_family == AF_INET6;
    if ((!ipv6 && about.idiag_family != AF_INET) || protocol.count != 1)
        return false;
    address_copy(about.id.idiag_src, ipv6, out->local);
    address_copy(about.id.idiag_dst, ipv6, out->remote);
    out->local_port = ntohs(about.id.idiag_sport);
    out->remote_port = ntohs(about.id.idiag_dport);
    return row_fill(out, *protocol.data, ipv6);
}

bool connection_read_begun(const unsigned char *message, size_t count, struct socket_row *out)
{
    size_t head = NLMSG_ALIGN(sizeof(struct nfgenmsg));

    memset(out, 0, sizeof *out);
    if (count < head)
        return false;
    struct attribute tuple = attribute_find(message + head, count - head, CTA_TUPLE_ORIG);
    struct attribute addresses = attribute_find(tuple.data, tuple.count, CTA_TUPLE_IP), ports = attribute_find(tuple.data, tuple.count, CTA_TUPLE_PROTO);
    struct attribute protocol = attribute_find(ports.data, ports.count, CTA_PROTO_NUM);
    bool ipv6 = attribute_find(addresses.data, addresses.count, CTA_IP_V6_SRC).data != NULL;
    struct attribute from = attribute_find(addresses.data, addresses.count, ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC);
    struct attribute to = attribute_find(addresses.data, addresses.count, ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST);
    size_t size = ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    if (from.count != size || to.count != size || protocol.count != 1)
        return false;
    address_copy(from.data, ipv6, out->local);
    address_copy(to.data, ipv6, out->remote);
    out->local_port = attribute_u16(attribute_find(ports.data, ports.count, CTA_PROTO_SRC_PORT));
    out->remote_port = attribute_u16(attribute_find(ports.data, ports.count, CTA_PROTO_DST_PORT));
    out->begun = SOCKET_BEGUN_HERE;
    return row_fill(out, *protocol.data, ipv6);
}

/* ---- taking ---- */

static bool is_own(const struct ifaddrs *own, const uint8_t address[SOCKET_ADDRESS_BYTES])
{
    static const uint8_t loop[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}; /* 127.0.0.0/8 */
    uint8_t mine[SOCKET_ADDRESS_BYTES];

    if (memcmp(address, loop, sizeof loop) == 0)
        return true;
    for (; own; own = own->ifa_next) {
        bool ipv6 = own->ifa_addr && own->ifa_addr->sa_family == AF_INET6;
        if (!ipv6 && (!own->ifa_addr || own->ifa_addr->sa_family != AF_INET))
            continue;
        const void *bytes = ipv6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)own->ifa_addr)->sin6_addr : (const void *)&((const struct sockaddr_in *)(const void *)own->ifa_addr)->sin_addr;
        address_copy(bytes, ipv6, mine);
        if (memcmp(mine, address, sizeof mine) == 0)
            return true;
    }
    return false;
}

static void keep(struct taking *taking, const struct socket_row *row)
{
    taking->lost += !socket_rows_add(taking->out, row, TOLD_MAX);
}

/* A flow within this host is a connection of both its ends. */
static void flow_keep(struct taking *taking, const struct socket_row *flow)
{
    struct socket_row back = *flow;

    memcpy(back.local, flow->remote, sizeof back.local);
    memcpy(back.remote, flow->local, sizeof back.remote);
    back.local_port = flow->remote_port;
    back.remote_port = flow->local_port;
    back.begun = SOCKET_BEGUN_THERE;
    if (is_own(taking->own, flow->local))
        keep(taking, flow);
    if (is_own(taking->own, back.local))
        keep(taking, &back);
}

static void drain(int socket, read_message *read, void (*take)(struct taking *, const struct socket_row *), struct taking *taking)
{
    char packet[PACKET_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct socket_row row;
    ssize_t got;

    while (socket >= 0 && (got = recv(socket, packet, sizeof packet, 0)) != 0) {
        if (got < 0 && errno == ENOBUFS)
            taking->lost++;
        else if (got < 0)
            return;
        size_t left = got > 0 ? (size_t)got : 0;
        for (struct nlmsghdr *head = (struct nlmsghdr *)(void *)packet; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left))
            if (read(NLMSG_DATA(head), NLMSG_PAYLOAD(head, 0), &row))
                take(taking, &row);
    }
}

uint64_t connection_watch_take(struct connection_watch *watch, struct socket_rows *out)
{
    struct taking taking = {.out = out};
    bool addresses = watch->begun >= 0 && getifaddrs(&taking.own) == 0;

    drain(watch->begun, connection_read_begun, flow_keep, &taking);
    drain(watch->ended, connection_read_ended, keep, &taking);
    if (addresses)
        freeifaddrs(taking.own);
    return taking.lost;
}

/* ---- outside ---- */

static void listen_to(struct connection_watch *watch, int socket, size_t buffer_bytes)
{
    struct epoll_event readable = {.events = EPOLLIN};

    if (socket < 0)
        return;
    socket_room(socket, buffer_bytes);
    (void)epoll_ctl(watch->both, EPOLL_CTL_ADD, socket, &readable);
}

struct connection_watch *connection_watch_open(size_t buffer_bytes, struct reason *why)
{
    static const unsigned ended[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET6_UDP_DESTROY};
    static const unsigned begun[] = {NFNLGRP_CONNTRACK_NEW};
    struct connection_watch *watch = calloc(1, sizeof *watch);
    struct reason other;

    if (!watch)
        abort();
    watch->begun = netlink_listen(NETLINK_NETFILTER, begun, sizeof begun / sizeof *begun, &other);
    watch->ended = netlink_listen(NETLINK_SOCK_DIAG, ended, sizeof ended / sizeof *ended, why);
    watch->both = epoll_create1(EPOLL_CLOEXEC);
    listen_to(watch, watch->begun, buffer_bytes);
    listen_to(watch, watch->ended, buffer_bytes);
    if (watch->both >= 0 && (watch->begun >= 0 || watch->ended >= 0))
        return watch;
    connection_watch_close(watch);
    return NULL;
}

void connection_watch_close(struct connection_watch *take_watch)
{
    if (!take_watch)
        return;
    const int sockets[] = {take_watch->ended, take_watch->begun, take_watch->both};
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
    free(take_watch);
}

bool connection_watch_tracks(const struct connection_watch *watch)
{
    return watch->begun >= 0;
}

int connection_watch_socket(const struct connection_watch *watch)
{
    return watch->both;
}
