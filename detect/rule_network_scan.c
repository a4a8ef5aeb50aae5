#include "detect/rule.h"

#define SPRAY_ADDRESSES_MIN 10     /* on a port that people log in by */
#define SCAN_ADDRESSES_MIN 30      /* on any other port */
#define SCAN_US MINUTES_US(5)

static bool is_login_port(uint32_t port)
{
    return port == 22 || port == 23 || port == 2222 || port == 2323 || port == 3389 || port == 5555 || port == 7547 || port == 37215 || port == 52869;
}

/* A server that answers is scanned by nobody: what goes out is what the device began. */
static void judge_outgoing(struct judging *judging)
{
    const struct event *event = judging->event;

    if (event->direction != EVENT_OUT || !event->remote_address.count || !event->remote_port)
        return;
    struct text key = text_of(arena_format(judging->arena, "port %u", event->remote_port));
    memory_note(judging->memory, judging->rule->id, key, event->remote_address, 1, event->at_us, SCAN_US);
    size_t addresses = memory_sum(judging->memory, judging->rule->id, key, event->at_us, SCAN_US).values;
    if (addresses < (is_login_port(event->remote_port) ? SPRAY_ADDRESSES_MIN : SCAN_ADDRESSES_MIN))
        return;
    struct finding *finding = finding_add(judging, key);
    finding_reason(finding, "RemotePort", text_of(arena_format(judging->arena, "different addresses on one port within five minutes: %zu", addresses)), key);
    finding_reason(finding, "RemoteAddress", TEXT("the newest of them"), event->remote_address);
}

static const struct rule_sample spray_samples[] = {
    {true, "ConnectionCreate {\"RemoteAddress\":\"198.51.100.1\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\nConnectionCreate {\"RemoteAddress\":\"198.51.100.2\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\n"
           "ConnectionCreate {\"RemoteAddress\":\"198.51.100.3\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\nConnectionCreate {\"RemoteAddress\":\"198.51.100.4\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\n"
           "ConnectionCreate {\"RemoteAddress\":\"198.51.100.5\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\nConnectionCreate {\"RemoteAddress\":\"198.51.100.6\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\n"
           "ConnectionCreate {\"RemoteAddress\":\"198.51.100.7\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\nConnectionCreate {\"RemoteAddress\":\"198.51.100.8\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\n"
           "ConnectionCreate {\"RemoteAddress\":\"198.51.100.9\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}\nConnectionCreate {\"RemoteAddress\":\"198.51.100.10\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}"},
    {true, "x10 NetworkActivity {\"LocalAddress\":\"10.0.0.4\",\"LocalPort\":40000,\"RemoteAddress\":\"198.51.100.#\",\"RemotePort\":2323,\"Protocol\":\"TCP\"}"},
    {false, "x40 ConnectionCreate {\"RemoteAddress\":\"198.51.100.7\",\"RemotePort\":\"443\",\"Direction\":\"Out\"}"},
    {false, "x20 ConnectionCreate {\"RemoteAddress\":\"198.51.100.#\",\"RemotePort\":\"40#\",\"LocalPort\":\"22\",\"Direction\":\"In\"}"},
    {false, "x9 ConnectionCreate {\"RemoteAddress\":\"198.51.100.#\",\"RemotePort\":\"23\",\"Direction\":\"Out\"}"},
};

const struct rule rule_network_scan = {
    .id = "Picket_NetworkScan",
    .title = "The device calls many addresses on one port",
    .severity = "High",
    .tactics = "Discovery, LateralMovement",
    .techniques = "T1046, T1595.001, T0846",
    .fires = "Ten different addresses within five minutes on a port that people log in by (telnet, ssh and what bots try), thirty on any other.",
    .spares = "Many connections with one address; what others begin.",
    .needs = "Connections with their direction, or with both ports.",
    .tuning = "An exception for a port that the device does call everywhere (peer to peer, NTP pools).",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_CONNECTION),
    .remembers = true,
    .judge = judge_outgoing,
    RULE_SAMPLES(spray_samples),
};
