#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const arrivals[] = {"add", "added", "connect", "connected", "up", "plugged", "insert", "inserted", "attach", "attached", NULL};
static const char *const departures[] = {"remove", "removed", "disconnect", "disconnected", "down", "unplugged", "detach", "detached", NULL};

static bool action_among(struct text action, const char *const *list)
{
    for (; *list; list++)
        if (text_equal_nocase(action, text_of(*list)))
            return true;
    return false;
}

/* Agents name no device: its bus and number tell one from the other. */
static struct text usb_place(struct judging *judging)
{
    struct text bus = event_field(judging->event, TEXT("BusNumber")), number = event_field(judging->event, TEXT("KernelDeviceNumber"));

    bus = bus.bytes ? bus : event_field(judging->event, TEXT("bus_number"));
    number = number.bytes ? number : event_field(judging->event, TEXT("kernel_device_number"));
    return text_of(arena_format(judging->arena, "bus %.*s device %.*s", TEXT_ARGS(bus.bytes ? bus : TEXT("?")), TEXT_ARGS(number.bytes ? number : TEXT("?"))));
}

static void judge_action(struct judging *judging, const char *const *actions, struct text what, const char *clause)
{
    if (action_among(judging->event->action, actions))
        finding_reason(finding_add(judging, what), "ActionType", text_of(clause), judging->event->action);
}

static void judge_usb_arrival(struct judging *judging)
{
    judge_action(judging, arrivals, usb_place(judging), "a USB device came");
}

static void judge_usb_departure(struct judging *judging)
{
    judge_action(judging, departures, usb_place(judging), "a USB device went");
}

static void judge_link_up(struct judging *judging)
{
    judge_action(judging, arrivals, judging->event->interface, "an Ethernet link came up");
}

static void judge_link_down(struct judging *judging)
{
    judge_action(judging, departures, judging->event->interface, "an Ethernet link went down");
}

static const struct rule_sample usb_arrival_samples[] = {
    {true, "PeripheralUsb {\"ActionType\":\"ADD\",\"BusNumber\":1,\"KernelDeviceNumber\":4,\"DeviceClass\":8}"},
    {true, "Peripheral {\"action_type\":\"connected\",\"bus_number\":2,\"kernel_device_number\":3}"},
    {false, "PeripheralUsb {\"ActionType\":\"REMOVE\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
    {false, "PeripheralEthernet {\"ActionType\":\"ADD\",\"InterfaceName\":\"eth0\"}"},
};
static const struct rule_sample usb_departure_samples[] = {
    {true, "PeripheralUsb {\"ActionType\":\"REMOVE\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
    {true, "Peripheral {\"action_type\":\"disconnected\",\"bus_number\":2,\"kernel_device_number\":3}"},
    {false, "PeripheralUsb {\"ActionType\":\"ADD\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
    {false, "PeripheralUsb {\"ActionType\":\"CHANGE\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
};
static const struct rule_sample link_up_samples[] = {
    {true, "PeripheralEthernet {\"ActionType\":\"UP\",\"InterfaceName\":\"eth0\"}"},
    {true, "Peripheral {\"action_type\":\"add\",\"interface_name\":\"enp3s0\"}"},
    {false, "PeripheralEthernet {\"ActionType\":\"DOWN\",\"InterfaceName\":\"eth0\"}"},
    {false, "PeripheralUsb {\"ActionType\":\"ADD\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
};
static const struct rule_sample link_down_samples[] = {
    {true, "PeripheralEthernet {\"ActionType\":\"DOWN\",\"InterfaceName\":\"eth0\"}"},
    {true, "Peripheral {\"action_type\":\"remove\",\"interface_name\":\"enp3s0\"}"},
    {false, "PeripheralEthernet {\"ActionType\":\"UP\",\"InterfaceName\":\"eth0\"}"},
    {false, "PeripheralEthernet {\"ActionType\":\"CHANGE\",\"InterfaceName\":\"eth0\"}"},
};

const struct rule rule_usb_connection = {
    .id = "IoT_USBConnection",
    .title = "A USB device was plugged in",
    .severity = "High",
    .tactics = "InitialAccess, LateralMovement",
    .techniques = "T1200, T1091, T0847",
    .fires = "A USB device came; one alert for each place it is plugged into.",
    .spares = "Devices that went, and changes of those that are there.",
    .needs = "Peripherals (USB).",
    .tuning = "An exception for the group of devices where people plug things in.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_USB),
    .judge = judge_usb_arrival,
    RULE_SAMPLES(usb_arrival_samples),
};

const struct rule rule_usb_disconnection = {
    .id = "IoT_UsbDisconnection",
    .title = "A USB device was removed",
    .severity = "High",
    .tactics = "Impact",
    .techniques = "T1529, T0814",
    .fires = "A USB device went: a modem, a sensor or a key that the device may need.",
    .spares = "Devices that came, and changes of those that are there.",
    .needs = "Peripherals (USB).",
    .tuning = "An exception for the group of devices where people unplug things.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_USB),
    .judge = judge_usb_departure,
    RULE_SAMPLES(usb_departure_samples),
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
