#include "detect/peripheral_facts.h"
#include "detect/rule.h"

static void judge_usb_departure(struct judging *judging)
{
    peripheral_judge(judging, peripheral_departures, peripheral_usb_place(judging), "a USB device went");
}

static const struct rule_sample usb_departure_samples[] = {
    {true, "PeripheralUsb {\"ActionType\":\"REMOVE\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
    {true, "Peripheral {\"action_type\":\"disconnected\",\"bus_number\":2,\"kernel_device_number\":3}"},
    {false, "PeripheralUsb {\"ActionType\":\"ADD\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
    {false, "PeripheralUsb {\"ActionType\":\"CHANGE\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
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
