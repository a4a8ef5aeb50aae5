#ifndef PICKET_AGENT_COLLECT_PERIPHERALS_H
#define PICKET_AGENT_COLLECT_PERIPHERALS_H

#include <stdbool.h>
#include <stddef.h>

/* What the kernel says of a device: "add@/devices/…" and then NAME=VALUE, each terminated by a NUL. Facts: the kernel's
 * lib/kobject_uevent.c and Documentation/ABI/stable/sysfs-bus-usb. */
struct uevent {
    const char *action, *subsystem, *kind; /* "" where it does not say */
    const char *bus_number, *device_number, *product, *type;
};

/* The texts lie in `bytes`, whose last byte has to be a NUL. False: it is none of the kernel's. */
bool uevent_read(const char *bytes, size_t count, struct uevent *out);
/* "8/6/80": the parts of a TYPE or a PRODUCT, which are decimal there and hexadecimal here; -1 where there is none. */
int uevent_part(const char *text, int part, int base);

#endif
