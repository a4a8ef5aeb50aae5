#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/file.h"

#define VALUE_SIZE 128

/* What is connected, as sysfs(5) lists it: each bus or class is a folder with an entry for each device. */
struct device {
    char folder[FILE_PATH_SIZE];
    const char *entry; /* its name in the folder */
};

typedef void report_device(struct payload *payload, const struct device *device);

/* A file of the device without the line's end; false, and empty: there is none. */
static bool value_read(const struct device *device, const char *file, char out[VALUE_SIZE])
{
    char path[FILE_PATH_SIZE + VALUE_SIZE];

    snprintf(path, sizeof path, "%s/%s", device->folder, file);
    long count = file_read(path, out, VALUE_SIZE - 1);
    count = count > 0 ? count : 0;
    while (count && (out[count - 1] == '\n' || out[count - 1] == ' '))
        count--;
    out[count] = '\0';
    return count > 0;
}

static unsigned number_read(const struct device *device, const char *file, int base)
{
    char text[VALUE_SIZE];

    return value_read(device, file, text) ? (unsigned)strtoul(text, NULL, base) : 0;
}

static bool has(const struct device *device, const char *file)
{
    char path[FILE_PATH_SIZE + VALUE_SIZE];

    snprintf(path, sizeof path, "%s/%s", device->folder, file);
    return access(path, F_OK) == 0;
}

/* What a link of the device leads to: "virtio_net" of its driver. */
static bool link_read(const struct device *device, const char *link, char out[VALUE_SIZE])
{
    char path[FILE_PATH_SIZE + VALUE_SIZE], target[FILE_PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", device->folder, link);
    ssize_t count = readlink(path, target, sizeof target - 1);
    target[count > 0 ? count : 0] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(out, VALUE_SIZE, "%.127s", slash ? slash + 1 : target);
    return out[0] != '\0';
}

static struct picket_json_writer *element_begin(struct payload *payload, const char *category, const char *kind, const char *name)
{
    struct picket_json_writer *writer = payload_begin(payload);

    member_text(writer, "HardwareCategory", category);
    member_text(writer, "HardwareSubCategory", kind);
    member_text(writer, "HardwareName", name);
    picket_json_write_name(writer, "ExtraDetails");
    picket_json_open_object(writer);
    return writer;
}

static void element_end(struct payload *payload, struct picket_json_writer *writer)
{
    picket_json_close_object(writer);
    payload_end(payload);
}

static void detail(struct picket_json_writer *writer, const char *name, const char *value)
{
    if (*value)
        member_text(writer, name, value);
}

/* Base classes of PCI. */
static void pci_report(struct payload *payload, const struct device *device)
{
    static const char *const categories[] = {"Other",  "Storage",    "Network", "Display", "Multimedia",   "Memory",   "Bridge",
                                             "Modem",  "Peripheral", "Input",   "Docking", "Processor", "Serial Bus", "Wireless"};
    unsigned class = number_read(device, "class", 16) >> 16;
    char name[32], driver[VALUE_SIZE];

    snprintf(name, sizeof name, "%04x:%04x", number_read(device, "vendor", 16), number_read(device, "device", 16));
    (void)link_read(device, "driver", driver);
    struct picket_json_writer *writer = element_begin(payload, class < sizeof categories / sizeof *categories ? categories[class] : "Other", "PCI", name);
    detail(writer, "Slot", device->entry);
    detail(writer, "Driver", driver);
    element_end(payload, writer);
}

/* Classes of USB; a device may leave its own to its first interface. */
static const char *usb_kind(const struct device *device)
{
    static const struct {
        unsigned class;
        const char *kind;
    } kinds[] = {{0x01, "Audio"},       {0x02, "Communications"}, {0x03, "Human Interface Device"}, {0x06, "Image"}, {0x07, "Printer"},
                 {0x08, "Mass Storage"}, {0x09, "Hub"},           {0x0a, "Data"},                   {0x0b, "Smart Card"}, {0x0e, "Video"},
                 {0xe0, "Wireless"}};
    char file[VALUE_SIZE];
    unsigned class = number_read(device, "bDeviceClass", 16);

    snprintf(file, sizeof file, "%.64s:1.0/bInterfaceClass", device->entry);
    class = class == 0 || class == 0xef ? number_read(device, file, 16) : class;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].class == class)
            return kinds[i].kind;
    return "Other";
}

static void usb_report(struct payload *payload, const struct device *device)
{
    char product[VALUE_SIZE], manufacturer[VALUE_SIZE], serial[VALUE_SIZE], vendor_id[VALUE_SIZE], product_id[VALUE_SIZE], name[2 * VALUE_SIZE];

    if (!value_read(device, "idVendor", vendor_id) || !value_read(device, "idProduct", product_id))
        return; /* an interface */
    bool named = value_read(device, "product", product);
    snprintf(name, sizeof name, "%s:%s", vendor_id, product_id);
    (void)value_read(device, "manufacturer", manufacturer);
    (void)value_read(device, "serial", serial);
    struct picket_json_writer *writer = element_begin(payload, "USB", usb_kind(device), named ? product : name);
    detail(writer, "Manufacturer", manufacturer);
    detail(writer, "VendorId", vendor_id);
    detail(writer, "ProductId", product_id);
    detail(writer, "SerialNumber", serial);
    detail(writer, "Port", device->entry);
    element_end(payload, writer);
}

static void interface_report(struct payload *payload, const struct device *device)
{
    char address[VALUE_SIZE], driver[VALUE_SIZE];

    if (!has(device, "device"))
        return; /* made of software */
    (void)value_read(device, "address", address);
    (void)link_read(device, "device/driver", driver);
    struct picket_json_writer *writer = element_begin(payload, "Network", has(device, "wireless") || has(device, "phy80211") ? "Wireless" : "Adapter", device->entry);
    detail(writer, "Address", address);
    detail(writer, "Driver", driver);
    element_end(payload, writer);
}

static void disk_report(struct payload *payload, const struct device *device)
{
    char name[VALUE_SIZE], sectors[VALUE_SIZE], size[32];

    if (!has(device, "device"))
        return;
    bool named = value_read(device, "device/model", name) || value_read(device, "device/name", name);
    struct picket_json_writer *writer = element_begin(payload, "Disk", number_read(device, "removable", 10) ? "Removable" : "Fixed", named ? name : device->entry);
    detail(writer, "Device", device->entry);
    if (value_read(device, "size", sectors)) {
        snprintf(size, sizeof size, "%llu", strtoull(sectors, NULL, 10) * 512);
        detail(writer, "SizeInBytes", size);
    }
    element_end(payload, writer);
}

static void input_report(struct payload *payload, const struct device *device)
{
    char name[VALUE_SIZE];

    if (value_read(device, "name", name) && strncmp(device->entry, "input", 5) == 0)
        element_end(payload, element_begin(payload, "Input", "Input Device", name));
}

static void sound_report(struct payload *payload, const struct device *device)
{
    char name[VALUE_SIZE];

    if (value_read(device, "id", name) && strncmp(device->entry, "card", 4) == 0)
        element_end(payload, element_begin(payload, "Multimedia", "Sound Card", name));
}

static const struct {
    const char *folder;
    report_device *report;
} classes[] = {
    {"/sys/bus/pci/devices", pci_report}, {"/sys/bus/usb/devices", usb_report}, {"/sys/class/net", interface_report},
    {"/sys/block", disk_report},          {"/sys/class/input", input_report},   {"/sys/class/sound", sound_report},
};

static void collect(void *memory, struct collector_scope *scope)
{
    char path[FILE_PATH_SIZE / 2];
    const struct dirent *entry;
    struct device device;
    struct payload payload;
    bool any = false;

    (void)memory;
    payload_open_list(&payload, scope, "ConnectedHardware");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        snprintf(path, sizeof path, "%s%s", scope->root, classes[i].folder);
        DIR *folder = opendir(path);
        any = any || folder;
        while (folder && (entry = readdir(folder))) {
            device.entry = entry->d_name;
            snprintf(device.folder, sizeof device.folder, "%s/%s", path, entry->d_name);
            if (entry->d_name[0] != '.')
                classes[i].report(&payload, &device);
        }
        if (folder)
            closedir(folder);
    }
    if (any) /* without sysfs nothing is known, which is another thing than an empty list */
        payload_close(&payload);
}

const struct collector collector_hardware = {
    .name = "hardware", .subject = PICKET_PERIPHERALS, .pace = COLLECT_SNAPSHOT, .collect = collect,
};
