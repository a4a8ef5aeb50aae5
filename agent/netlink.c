#include "agent/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int netlink_listen(int protocol, const unsigned *groups, size_t count, struct reason *why)
{
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int made = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    bool fine = made >= 0 && bind(made, (const struct sockaddr *)&address, sizeof address) == 0;

    for (size_t i = 0; fine && i < count; i++)
        fine = setsockopt(made, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) == 0;
    if (fine)
        return made;
    (void)reason_set(why, "%s", strerror(errno));
    if (made >= 0)
        close(made);
    return -1;
}

void socket_room(int socket, size_t bytes)
{
    const int size = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;

    if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        (void)setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

bool attribute_next(const unsigned char **at, const unsigned char *end, struct attribute *out)
{
    struct nlattr head;

    if ((size_t)(end - *at) < sizeof head)
        return false;
    memcpy(&head, *at, sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > end - *at)
        return false;
    *out = (struct attribute){head.nla_type & (unsigned)NLA_TYPE_MASK, *at + sizeof head, head.nla_len - sizeof head};
    *at += NLA_ALIGN(head.nla_len) < end - *at ? NLA_ALIGN(head.nla_len) : end - *at;
    return true;
}

struct attribute attribute_find(const unsigned char *from, size_t count, unsigned type)
{
    const unsigned char *end = from + count;
    struct attribute found;

    while (from && attribute_next(&from, end, &found))
        if (found.type == type)
            return found;
    return (struct attribute){type, NULL, 0};
}

uint32_t attribute_u32(struct attribute attribute)
{
    uint32_t number = 0;

    if (attribute.count == sizeof number)
        memcpy(&number, attribute.data, sizeof number);
    return ntohl(number);
}

uint16_t attribute_u16(struct attribute attribute)
{
    uint16_t number = 0;

    if (attribute.count == sizeof number)
        memcpy(&number, attribute.data, sizeof number);
    return ntohs(number);
}

bool netlink_allowed(int protocol, struct reason *why)
{
    const unsigned first = 1;
    int made = netlink_listen(protocol, &first, 1, why);

    if (made >= 0)
        close(made);
    return made >= 0;
}
