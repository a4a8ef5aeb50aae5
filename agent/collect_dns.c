#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/dns_question.h"
#include "agent/netlink.h"
#include "agent/process_table.h"
#include "agent/rest.h"
#include "agent/word_list.h"

#define PACKET_MAX 1600
#define RECENT_MAX 64
#define DNS_PORT 53

/* Questions to name servers, as they leave this host by any interface (packet(7); needs CAP_NET_RAW). One over tcp, tls or https is not seen. */
struct memory {
    int packets; /* -1: not allowed here, or not wished */
    bool tried;
    char devices[PICKET_SETTING_SHORT];
    struct rest rest;
    struct question_key {
        struct socket_row flow;
        uint16_t id, type;
    } recent[RECENT_MAX]; /* a packet passes every interface that lies over another, and a resolver may ask again */
    size_t next;
};

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory || !rest_open(&memory->rest))
        abort();
    memory->packets = -1;
    return memory;
}

static void close_memory(void *take_memory)
{
    struct memory *memory = take_memory;

    if (memory->packets >= 0)
        close(memory->packets);
    rest_close(&memory->rest);
    free(memory);
}

static int memory_socket(const void *context)
{
    const struct memory *memory = context;

    return memory->packets >= 0 ? rest_socket(&memory->rest, memory->packets) : -1;
}

/* Packets that leave, of udp, to port 53, not a later fragment: the kernel leaves all others out. */
static bool filter_set(int socket)
{
    static const struct sock_filter program[] = {
        /*  0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        /*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 15),
        /*  2 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
        /*  3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 8, 0),
        /*  4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 12),
        /*  5 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* IPv4: the protocol */
        /*  6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 10),
        /*  7 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6), /* where the fragment lies */
        /*  8 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 8, 0),
        /*  9 */ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        /* 10 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
        /* 11 */ BPF_JUMP(BPF_JMP | BPF_JA, 3, 0, 0),
        /* 12 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6), /* IPv6: the next header */
        /* 13 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
        /* 14 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 42),
        /* 15 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, DNS_PORT, 0, 1),
        /* 16 */ BPF_STMT(BPF_RET | BPF_K, PACKET_MAX),
        /* 17 */ BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {sizeof program / sizeof *program, (struct sock_filter *)(uintptr_t)program};

    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

/* It is bound to no protocol until the filter is there, so that nothing else gets in. -1 with the reason: it is not allowed. */
static int packets_open(size_t buffer_bytes, struct reason *why)
{
    const struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int made = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (made >= 0 && filter_set(made) && bind(made, (const struct sockaddr *)&all, sizeof all) == 0) {
        socket_room(made, buffer_bytes);
        return made;
    }
    (void)reason_set(why, "%s", strerror(errno));
    if (made >= 0)
        close(made);
    return -1;
}

static void socket_choose(struct memory *memory, const struct collector_scope *scope)
{
    struct reason ignored; /* the check tells it */

    if (memory->tried || *scope->root || !scope->settings)
        return;
    memory->tried = true;
    memory->packets = packets_open(scope->settings->packet_buffer_bytes, &ignored);
}

/* Whether the packet left by one of the interfaces of the settings ("eth0,wlan0"; "": any). */
static bool device_wanted(const char *devices, int index)
{
    char name[IF_NAMESIZE];

    if (!*devices)
        return true;
    return if_indextoname((unsigned)index, name) && word_list_has(devices, ',', name);
}

static bool asked_before(struct memory *memory, const struct dns_question *question)
{
    struct question_key key;

    memset(&key, 0, sizeof key);
    key.flow = question->flow;
    key.id = question->id;
    key.type = question->type;
    for (size_t i = 0; i < RECENT_MAX; i++)
        if (memory->recent[i].id == key.id && memory->recent[i].type == key.type && socket_compare(&memory->recent[i].flow, &key.flow) == 0)
            return true;
    memory->recent[memory->next++ % RECENT_MAX] = key;
    return false;
}

/* Who asks: the socket of the port, and the process that has it open. Read once for all questions of a round. */
struct askers {
    struct socket_rows rows;
    struct socket_owners owners;
    bool read;
};

static const struct socket_row *asker_find(struct askers *askers, const char *root, const struct socket_row *flow)
{
    if (!askers->read) {
        socket_rows_read(root, socket_is_udp, &askers->rows);
        socket_owners_read(root, &askers->owners);
        askers->read = true;
    }
    for (size_t i = 0; i < askers->rows.count; i++)
        if (askers->rows.rows[i].local_port == flow->local_port)
            return &askers->rows.rows[i];
    return NULL;
}

static void report(struct payload *payload, const struct dns_question *question, const struct socket_row *asker, const struct process *process)
{
    struct picket_json_writer *writer = payload_begin(payload);
    char address[SOCKET_ADDRESS_SIZE], type[DNS_TYPE_SIZE];

    member_text(writer, "Domain", question->name);
    dns_type_print(question->type, type);
    member_text(writer, "QueryType", type);
    member_text(writer, "Protocol", socket_protocol(&question->flow));
    socket_address_print(question->flow.local, address);
    member_text(writer, "LocalAddress", address);
    socket_address_print(question->flow.remote, address);
    member_text(writer, "RemoteAddress", address);
    member_number_text(writer, "RemotePort", question->flow.remote_port);
    member_number(writer, "ProcessId", process ? process->pid : 0);
    member_text(writer, "Executable", process ? process->executable : "");
    if (process)
        member_text(writer, "CommandLine", process->command_line);
    if (asker)
        member_number_text(writer, "UserId", asker->user);
    payload_end(payload);
}

static void question_take(struct askers *askers, struct payload *payload, const struct dns_question *question)
{
    const char *root = payload->scope->root;
    const struct socket_row *asker = asker_find(askers, root, &question->flow);
    int64_t pid = asker ? socket_owner_of(&askers->owners, asker->inode) : 0;
    struct process process;

    report(payload, question, asker, pid && process_read(root, pid, &process) ? &process : NULL);
}

/* What the kernel had no room for. */
static uint64_t dropped(int packets)
{
    struct tpacket_stats counts = {0};
    socklen_t size = sizeof counts;

    return getsockopt(packets, SOL_PACKET, PACKET_STATISTICS, &counts, &size) == 0 ? counts.tp_drops : 0;
}

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    struct askers askers = {.read = false};
    struct dns_question question;
    struct sockaddr_ll by;
    struct payload payload;
    unsigned char packet[PACKET_MAX];
    bool any = false;
    ssize_t got;

    (void)rest_end(&memory->rest);
    socket_choose(memory, scope);
    if (memory->packets < 0)
        return;
    payload_open_each(&payload, scope, "DnsRequest");
    for (;;) {
        socklen_t size = sizeof by;
        got = recvfrom(memory->packets, packet, sizeof packet, 0, (struct sockaddr *)&by, &size);
        if (got <= 0)
            break;
        any = true;
        if (dns_question_read(packet, (size_t)got, &question) && device_wanted(scope->settings->network_devices, by.sll_ifindex) && !asked_before(memory, &question))
            question_take(&askers, &payload, &question);
    }
    payload_close(&payload);
    picket_agent_lose(scope->agent, scope->priority, dropped(memory->packets), "watch-full");
    socket_owners_done(&askers.owners);
    socket_rows_done(&askers.rows);
    if (any)
        rest_begin(&memory->rest);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    struct reason why;
    int packets = packets_open(CHECK_BYTES, &why);

    (void)settings, (void)root;
    if (packets < 0) {
        reason_set(out, "questions are not seen: %s", why.text);
        return SELF_CHECK_LIMITED;
    }
    close(packets);
    reason_set(out, "questions that leave by udp");
    return SELF_CHECK_OK;
}

const struct collector collector_dns = {
    .name = "questions to DNS", .subject = PICKET_CONNECTIONS, .pace = COLLECT_CONNECTIONS, .open = open_memory, .collect = collect, .close = close_memory, .socket = memory_socket, .check = check,
};
