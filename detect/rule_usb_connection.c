#include "detect/peripheral_facts.h"
#include "detect/rule.h"

static void judge_usb_arrival(struct judging *judging)
{
    peripheral_judge(judging, peripheral_arrivals, peripheral_usb_place(judging), "a USB device came");
}

static const struct rule_sample usb_arrival_samples[] = {
    {true, "PeripheralUsb {\"ActionType\":\"ADD\",\"BusNumber\":1,\"KernelDeviceNumber\":4,\"DeviceClass\":8}"},
    {true, "Peripheral {\"action_type\":\"connected\",\"bus_number\":2,\"kernel_device_number\":3}"},
    {false, "PeripheralUsb {\"ActionType\":\"REMOVE\",\"BusNumber\":1,\"KernelDeviceNumber\":4}"},
    {false, "PeripheralEthernet {\"ActionType\":\"ADD\",\"InterfaceName\":\"eth0\"}"},
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
