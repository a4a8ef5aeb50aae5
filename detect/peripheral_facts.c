#include "detect/peripheral_facts.h"

const char *const peripheral_arrivals[] = {"add", "added", "connect", "connected", "up", "plugged", "insert", "inserted", "attach", "attached", NULL};

const char *const peripheral_departures[] = {"remove", "removed", "disconnect", "disconnected", "down", "unplugged", "detach", "detached", NULL};

static bool action_among(struct text action, const char *const *list)
{
    for (; *list; list++)
        if (text_equal_nocase(action, text_of(*list)))
            return true;
    return false;
}

struct text peripheral_usb_place(struct judging *judging)
{
    struct text bus = event_field(judging->event, TEXT("BusNumber")), number = event_field(judging->event, TEXT("KernelDeviceNumber"));

    bus = bus.bytes ? bus : event_field(judging->event, TEXT("bus_number"));
    number = number.bytes ? number : event_field(judging->event, TEXT("kernel_device_number"));
    return text_of(arena_format(judging->arena, "bus %.*s device %.*s", TEXT_ARGS(bus.bytes ? bus : TEXT("?")), TEXT_ARGS(number.bytes ? number : TEXT("?"))));
}

void peripheral_judge(struct judging *judging, const char *const *actions, struct text what, const char *clause)
{
    if (action_among(judging->event->action, actions))
        finding_reason(finding_add(judging, what), "ActionType", text_of(clause), judging->event->action);
}
