#include "detect/peripheral_facts.h"
#include "detect/rule.h"

static void judge_link_down(struct judging *judging)
{
    peripheral_judge(judging, peripheral_departures, judging->event->interface, "an Ethernet link went down");
}

static const struct rule_sample link_down_samples[] = {
    {true, "PeripheralEthernet {\"ActionType\":\"DOWN\",\"InterfaceName\":\"eth0\"}"},
    {true, "Peripheral {\"action_type\":\"remove\",\"interface_name\":\"enp3s0\"}"},
    {false, "PeripheralEthernet {\"ActionType\":\"UP\",\"InterfaceName\":\"eth0\"}"},
    {false, "PeripheralEthernet {\"ActionType\":\"CHANGE\",\"InterfaceName\":\"eth0\"}"},
};

const struct rule rule_ethernet_disconnection = {
    .id = "IoT_EthernetDisconnection",
    .title = "An Ethernet link went down",
    .severity = "High",
    .tactics = "Impact",
    .techniques = "T1498, T0814",
    .fires = "A cable was pulled from an Ethernet port, or its other end went away.",
    .spares = "Links that came up.",
    .needs = "Peripherals (Ethernet).",
    .tuning = "An exception for an interface whose other end is switched off and on.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_ETHERNET),
    .judge = judge_link_down,
    RULE_SAMPLES(link_down_samples),
};
