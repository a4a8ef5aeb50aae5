#include "detect/rule.h"

#define PORTS_MIN 15               /* of one address */
#define SCAN_US MINUTES_US(5)

/* One address that knocks at, or is asked for, many ports. */
static void judge_ports(struct judging *judging)
{
    const struct event *event = judging->event;
    bool in = event->direction == EVENT_IN;
    uint32_t port = in ? event->local_port : event->remote_port;

    if (event->direction == EVENT_DIRECTION_NONE || !event->remote_address.count || !port)
        return;
    struct text key = text_of(arena_format(judging->arena, "%s %.*s", in ? "from" : "to", TEXT_ARGS(event->remote_address)));
    memory_note(judging->memory, judging->rule->id, key, text_of(arena_format(judging->arena, "%u", port)), 1, event->at_us, SCAN_US);
    size_t ports = memory_sum(judging->memory, judging->rule->id, key, event->at_us, SCAN_US).values;
    if (ports < PORTS_MIN)
        return;
    struct finding *finding = finding_add(judging, key);
    finding_reason(finding, in ? "LocalPort" : "RemotePort", text_of(arena_format(judging->arena, "different ports of one address within five minutes: %zu", ports)), key);
}

static const struct rule_sample port_samples[] = {
    {true, "x15 ConnectionCreate {\"RemoteAddress\":\"192.168.1.5\",\"RemotePort\":\"1#\",\"Direction\":\"Out\"}"},
    {true, "x15 ConnectionCreate {\"RemoteAddress\":\"203.0.113.9\",\"RemotePort\":\"40000\",\"LocalPort\":\"8#\",\"Direction\":\"In\"}"},
    {false, "x30 ConnectionCreate {\"RemoteAddress\":\"203.0.113.9\",\"RemotePort\":\"40#\",\"LocalPort\":\"443\",\"Direction\":\"In\"}"},
    {false, "x14 ConnectionCreate {\"RemoteAddress\":\"192.168.1.5\",\"RemotePort\":\"1#\",\"Direction\":\"Out\"}"},
};

const struct rule rule_port_scan = {
    .id = "Picket_PortScan",
    .title = "Many ports between the device and one address",
    .severity = "Medium",
    .tactics = "Discovery",
    .techniques = "T1046, T0846",
    .fires = "Fifteen different ports within five minutes, of the device by one address or of one address by the device.",
    .spares = "Many connections with one port; many clients of one server.",
    .needs = "Connections with their direction, or with both ports.",
    .tuning = "An exception for the address of a scanner of one's own.",
    .remediation = rule_block_address,
    .kinds = EVENT_BIT(EVENT_CONNECTION),
    .remembers = true,
    .judge = judge_ports,
    RULE_SAMPLES(port_samples),
};
