#include "detect/peripheral_facts.h"
#include "detect/rule.h"

static void judge_link_up(struct judging *judging)
{
    peripheral_judge(judging, peripheral_arrivals, judging->event->interface, "an Ethernet link came up");
}

static const struct rule_sample link_up_samples[] = {
    {true, "PeripheralEthernet {\"ActionType\":\"UP\",\"InterfaceName\":\"eth0\"}"},
    {true, "Peripheral {\"action_type\":\"add\",\"interface_name\":\"enp3s0\"}"},
    {false, "PeripheralEthernet {\"ActionType\":\"DOWN\",\"InterfaceName\":\"eth0\"}"},
    {false, "PeripheralUsb {\"ActionType\":\"ADD\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
};

const struct rule rule_ethernet_connection = {
    .id = "IoT_EthernetConnection",
    .title = "An Ethernet link came up",
    .severity = "High",
    .tactics = "InitialAccess",
    .techniques = "T1200, T0860",
    .fires = "A cable was plugged into an Ethernet port, or its other end woke.",
    .spares = "Links that went down; USB devices.",
    .needs = "Peripherals (Ethernet).",
    .tuning = "An exception for an interface whose other end is switched off and on.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_ETHERNET),
    .judge = judge_link_up,
    RULE_SAMPLES(link_up_samples),
};
