#include "agent/collect_peripherals.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/netlink.h"

#define PACKET_MAX 16384
#define LINKS_MAX 256

/* An interface as it was when it was last heard of. */
struct interface {
    int index;
    bool running;
    char name[IF_NAMESIZE];
};

struct memory {
    int uevents, links, both; /* netlink sockets, and an epoll of them; -1: not allowed here */
    struct interface interfaces[LINKS_MAX];
    size_t count;
    bool begun; /* what runs already was learnt */
};

/* All links there are are asked for, so that a change is told from what was so before. */
static void links_ask(int socket)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg body;
    } ask = {.head = {.nlmsg_len = sizeof ask, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};

    (void)send(socket, &ask, sizeof ask, 0);
}

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);
    struct epoll_event readable = {.events = EPOLLIN};
    const unsigned from_kernel = 1, links = RTNLGRP_LINK;
    struct reason why;

    if (!memory)
        abort();
    memory->uevents = netlink_listen(NETLINK_KOBJECT_UEVENT, &from_kernel, 1, &why);
    memory->links = netlink_listen(NETLINK_ROUTE, &links, 1, &why);
    memory->both = epoll_create1(EPOLL_CLOEXEC);
    if (memory->uevents >= 0)
        (void)epoll_ctl(memory->both, EPOLL_CTL_ADD, memory->uevents, &readable);
    if (memory->links >= 0) {
        (void)epoll_ctl(memory->both, EPOLL_CTL_ADD, memory->links, &readable);
        links_ask(memory->links);
    }
    return memory;
}

static void close_memory(void *take_memory)
{
    struct memory *memory = take_memory;

    if (memory->uevents >= 0)
        close(memory->uevents);
    if (memory->links >= 0)
        close(memory->links);
    if (memory->both >= 0)
        close(memory->both);
    free(memory);
}

static int memory_socket(const void *context)
{
    return ((const struct memory *)context)->both;
}

/* ---- USB ---- */

bool uevent_read(const char *bytes, size_t count, struct uevent *out)
{
    const struct {
        const char *name, **member;
    } members[] = {{"ACTION=", &out->action},        {"SUBSYSTEM=", &out->subsystem}, {"DEVTYPE=", &out->kind}, {"BUSNUM=", &out->bus_number},
                   {"DEVNUM=", &out->device_number}, {"PRODUCT=", &out->product},     {"TYPE=", &out->type}};

    *out = (struct uevent){"", "", "", "", "", "", ""};
    if (!count || bytes[count - 1] != '\0' || !strchr(bytes, '@'))
        return false;
    for (const char *line = bytes + strlen(bytes) + 1; line < bytes + count; line += strlen(line) + 1)
        for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
            size_t length = strlen(members[i].name);
            if (strncmp(line, members[i].name, length) == 0)
                *members[i].member = line + length;
        }
    return *out->action != '\0';
}

int uevent_part(const char *text, int part, int base)
{
    char *end;

    for (; part && (text = strchr(text, '/')); part--)
        text++;
    long number = text ? strtol(text, &end, base) : -1;
    return text && end != text && number >= 0 && number <= 0xffff ? (int)number : -1;
}

static void member_part(struct picket_json_writer *writer, const char *name, const char *text, int part, int base)
{
    int number = uevent_part(text, part, base);

    if (number >= 0)
        member_number(writer, name, number);
}

static void usb_report(struct payload *payload, const struct uevent *event)
{
    bool comes = strcmp(event->action, "add") == 0;

    if (strcmp(event->subsystem, "usb") != 0 || strcmp(event->kind, "usb_device") != 0 || (!comes && strcmp(event->action, "remove") != 0))
        return;
    struct picket_json_writer *writer = payload_begin(payload);
    member_text(writer, "ActionType", comes ? "ADD" : "REMOVE");
    member_part(writer, "BusNumber", event->bus_number, 0, 10);
    member_part(writer, "KernelDeviceNumber", event->device_number, 0, 10);
    member_part(writer, "DeviceClass", event->type, 0, 10);
    member_part(writer, "DeviceSubclass", event->type, 1, 10);
    member_part(writer, "DeviceProtocol", event->type, 2, 10);
    member_part(writer, "VendorId", event->product, 0, 16);
    member_part(writer, "ProductId", event->product, 1, 16);
    payload_end(payload);
}

static void uevents_take(const struct memory *memory, struct collector_scope *scope)
{
    char bytes[PACKET_MAX + 1];
    struct sockaddr_nl from = {.nl_pid = 0};
    struct uevent event;
    struct payload payload;
    ssize_t got;

    payload_open_each(&payload, scope, "PeripheralUsb");
    for (;;) {
        struct iovec part = {bytes, PACKET_MAX};
        struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
        got = recvmsg(memory->uevents, &message, 0);
        if (got < 0 && errno == ENOBUFS) {
            picket_agent_lose(scope->agent, scope->priority, 1, "watch-full");
            continue;
        }
        if (got <= 0)
            break;
        bytes[got] = '\0';
        if (from.nl_pid == 0 && uevent_read(bytes, (size_t)got, &event)) /* of the kernel alone */
            usb_report(&payload, &event);
    }
    payload_close(&payload);
}

/* ---- links ---- */

static struct interface *interface_of(struct memory *memory, int index)
{
    for (size_t i = 0; i < memory->count; i++)
        if (memory->interfaces[i].index == index)
            return &memory->interfaces[i];
    if (memory->count == LINKS_MAX)
        return NULL;
    memory->interfaces[memory->count] = (struct interface){.index = index};
    return &memory->interfaces[memory->count++];
}

static void link_report(struct payload *payload, const struct interface *interface, bool up)
{
    struct picket_json_writer *writer = payload_begin(payload);

    member_text(writer, "ActionType", up ? "UP" : "DOWN");
    member_text(writer, "InterfaceName", interface->name);
    payload_end(payload);
}

/* The attribute IFLA_IFNAME behind the head of a link. */
static void name_read(struct nlmsghdr *head, char out[IF_NAMESIZE])
{
    const char *bytes = (const char *)NLMSG_DATA(head) + NLMSG_ALIGN(sizeof(struct ifinfomsg)), *end = (const char *)head + head->nlmsg_len;
    struct rtattr attribute;

    while (bytes < end && (size_t)(end - bytes) >= sizeof attribute) {
        memcpy(&attribute, bytes, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > end - bytes)
            return;
        if (attribute.rta_type == IFLA_IFNAME) {
            snprintf(out, IF_NAMESIZE, "%.*s", (int)(attribute.rta_len - sizeof attribute), bytes + sizeof attribute);
            return;
        }
        bytes += RTA_ALIGN(attribute.rta_len);
    }
}

static void link_take(struct memory *memory, struct nlmsghdr *head, struct payload *payload)
{
    const struct ifinfomsg *about = NLMSG_DATA(head);
    bool gone = head->nlmsg_type == RTM_DELLINK, running = !gone && (about->ifi_flags & IFF_UP) && (about->ifi_flags & IFF_RUNNING);

    if ((head->nlmsg_type != RTM_NEWLINK && !gone) || (about->ifi_flags & IFF_LOOPBACK))
        return;
    struct interface *interface = interface_of(memory, about->ifi_index);
    if (!interface)
        return;
    name_read(head, interface->name);
    if (interface->running != running && memory->begun)
        link_report(payload, interface, running);
    interface->running = running;
    if (gone)
        *interface = memory->interfaces[--memory->count];
}

static void links_take(struct memory *memory, struct collector_scope *scope)
{
    char bytes[PACKET_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct payload payload;
    ssize_t got;

    payload_open_each(&payload, scope, "PeripheralEthernet");
    while ((got = recv(memory->links, bytes, sizeof bytes, 0)) != 0) {
        if (got < 0 && errno == ENOBUFS) {
            picket_agent_lose(scope->agent, scope->priority, 1, "watch-full");
            links_ask(memory->links);
            continue;
        }
        if (got < 0)
            break;
        size_t left = (size_t)got;
        for (struct nlmsghdr *head = (struct nlmsghdr *)(void *)bytes; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            if (head->nlmsg_type == NLMSG_DONE)
                memory->begun = true;
            else if (NLMSG_PAYLOAD(head, 0) >= sizeof(struct ifinfomsg))
                link_take(memory, head, &payload);
        }
    }
    payload_close(&payload);
}

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;

    if (memory->uevents >= 0)
        uevents_take(memory, scope);
    if (memory->links >= 0)
        links_take(memory, scope);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    struct reason usb_why, links_why;
    bool usb = netlink_allowed(NETLINK_KOBJECT_UEVENT, &usb_why), links = netlink_allowed(NETLINK_ROUTE, &links_why);

    (void)settings, (void)root;
    reason_set(out, "USB: %s; links: %s", usb ? "told by the kernel" : usb_why.text, links ? "told by the kernel" : links_why.text);
    return usb && links ? SELF_CHECK_OK : usb || links ? SELF_CHECK_LIMITED : SELF_CHECK_FAILED;
}

const struct collector collector_peripherals = {
    .name = "peripherals", .subject = PICKET_PERIPHERALS, .pace = COLLECT_CONNECTIONS, .open = open_memory, .collect = collect, .close = close_memory, .socket = memory_socket, .check = check,
};
