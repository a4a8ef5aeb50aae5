#include "agent/collect_system.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/collector.h"
#include "agent/file.h"
#include "agent/stamp.h"

#define FILE_TEXT_MAX 8192

static void collect(void *memory, struct collector_scope *scope);
static size_t read_text(const struct collector_scope *scope, const char *path, char out[FILE_TEXT_MAX]);
static void write_release(struct collector_scope *scope, const struct utsname *kernel,
                          struct picket_json_writer *writer);
static void write_memory(struct collector_scope *scope, struct picket_json_writer *writer);
static const char *find_line(const char *text, size_t count, const char *name, char separator, size_t *length);

const struct collector collector_system = {
    .name = "system information", .subject = PICKET_SYSTEM, .pace = COLLECT_SNAPSHOT, .collect = collect,
};

bool os_release_read(const char *text, size_t count, const char *name, char out[SYSTEM_TEXT_SIZE])
{
    size_t length, used = 0;
    const char *value = find_line(text, count, name, '=', &length);

    if (!value)
        return false;
    char quote = length >= 2 && (*value == '"' || *value == '\'') && value[length - 1] == *value ? *value : '\0';
    for (size_t i = quote ? 1 : 0; i < length - (quote ? 1 : 0) && used + 1 < SYSTEM_TEXT_SIZE; i++) {
        if (quote == '"' && value[i] == '\\' && i + 2 < length)
            i++;
        out[used++] = value[i];
    }
    out[used] = '\0';
    return used > 0;
}

uint64_t memory_amount(const char *text, size_t count, const char *name)
{
    size_t length, digits = 0;
    const char *value = find_line(text, count, name, ':', &length);
    uint64_t number = 0;

    while (value && length && *value == ' ') {
        value++;
        length--;
    }
    while (value && digits < length && isdigit((unsigned char)value[digits]))
        digits++;
    if (value)
        (void)picket_number_read(value, digits, &number);
    return number;
}

static void collect(void *memory, struct collector_scope *scope)
{
    char text[FILE_TEXT_MAX];
    struct payload payload;
    struct utsname kernel;

    (void)memory;
    if (uname(&kernel) != 0)
        return;
    payload_open_list(&payload, scope, "SystemInformation");
    struct picket_json_writer *writer = payload_begin(&payload);
    write_release(scope, &kernel, writer);
    member_text(writer, "OsArchitecture", kernel.machine);
    member_text(writer, "HostName", kernel.nodename);
    size_t count = read_text(scope, "/sys/class/dmi/id/bios_version", text);
    if (count) {
        text[strcspn(text, "\n")] = '\0';
        member_text(writer, "BIOSVersion", text);
    }
    write_memory(scope, writer);
    payload_end(&payload);
    payload_close(&payload);
}

/* Terminated; its length, 0 when it cannot be read. */
static size_t read_text(const struct collector_scope *scope, const char *path, char out[FILE_TEXT_MAX])
{
    char whole[FILE_PATH_SIZE];

    snprintf(whole, sizeof whole, "%s%s", scope->root, path);
    long count = file_read(whole, out, FILE_TEXT_MAX - 1);
    count = count < 0 ? 0 : count;
    out[count] = '\0';
    return (size_t)count;
}

/* The distribution's own names; on a device without them, the kernel's. */
static void write_release(struct collector_scope *scope, const struct utsname *kernel,
                          struct picket_json_writer *writer)
{
    char text[FILE_TEXT_MAX], name[SYSTEM_TEXT_SIZE], version[SYSTEM_TEXT_SIZE], vendor[SYSTEM_TEXT_SIZE];
    char built[sizeof kernel->release + sizeof kernel->version + 1];
    size_t count = read_text(scope, "/etc/os-release", text);

    snprintf(built, sizeof built, "%s %s", kernel->release, kernel->version);
    bool named = os_release_read(text, count, "PRETTY_NAME", name) || os_release_read(text, count, "NAME", name);
    bool versioned = os_release_read(text, count, "VERSION_ID", version);
    member_text(writer, "OSName", named ? name : kernel->sysname);
    member_text(writer, "OSVersion", versioned ? version : built);
    if (os_release_read(text, count, "ID", vendor))
        member_text(writer, "OSVendor", vendor);
    picket_json_write_name(writer, "ExtraDetails");
    picket_json_open_object(writer);
    member_text(writer, "Kernel", built);
    picket_json_close_object(writer);
}

static void write_memory(struct collector_scope *scope, struct picket_json_writer *writer)
{
    char text[FILE_TEXT_MAX];
    size_t count = read_text(scope, "/proc/meminfo", text);
    uint64_t total = memory_amount(text, count, "MemTotal"), spare = memory_amount(text, count, "MemAvailable");
    uint64_t swap = memory_amount(text, count, "SwapTotal"), swap_spare = memory_amount(text, count, "SwapFree");

    if (!total)
        return;
    spare = spare ? spare : memory_amount(text, count, "MemFree");
    member_number(writer, "TotalPhysicalMemoryInKB", (int64_t)total);
    member_number(writer, "FreePhysicalMemoryInKB", (int64_t)spare);
    member_number(writer, "TotalVirtualMemoryInKB", (int64_t)(total + swap));
    member_number(writer, "FreeVirtualMemoryInKB", (int64_t)(spare + swap_spare));
}

/* What follows `name` and the separator on its line. */
static const char *find_line(const char *text, size_t count, const char *name, char separator, size_t *length)
{
    size_t name_count = strlen(name);
    const char *at = text, *end = text + count;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t line = (size_t)((newline ? newline : end) - at);
        if (line > name_count && memcmp(at, name, name_count) == 0 && at[name_count] == separator) {
            *length = line - name_count - 1;
            return at + name_count + 1;
        }
        at += line + 1;
    }
    return NULL;
}
