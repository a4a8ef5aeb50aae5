#ifndef PICKET_PROGRAMS_DEVICE_FILE_H
#define PICKET_PROGRAMS_DEVICE_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "runtime/status.h"

/* Files that fleets leave other clouds in, read one entry after the other into what our API takes:
 *  - IoT Hub's registry as ExportDevices and `az iot hub device-identity` write it: JSON, one object a line, or in a list;
 *  - enrolments of its Device Provisioning Service as its REST API and `az iot dps` show them: the same;
 *  - CSV with a header line.
 * Facts: Microsoft's pages "Import and export IoT Hub device identities in bulk" and on the REST APIs of both services. */
enum device_file_format {
    DEVICE_FILE_ANY, /* told from how it begins */
    DEVICE_FILE_JSON,
    DEVICE_FILE_CSV,
};

enum device_file_kind {
    DEVICE_FILE_DEVICE,     /* for POST /v1/import/devices */
    DEVICE_FILE_ENROLLMENT, /* for POST /v1/enrollments */
    DEVICE_FILE_GROUP,      /* for POST /v1/groups */
};

struct device_file_sink {
    void *context;
    /* One entry; false ends the reading. */
    bool (*took)(void *context, enum device_file_kind kind, size_t line, json_t *take_entry);
    /* One that cannot be taken; `id` is "" where it has none. */
    void (*refused)(void *context, size_t line, const char *id, const char *sentence);
    /* Something of an entry that has no place here; literals. */
    void (*left_out)(void *context, const char *what);
};

/* STATUS_REJECT: nothing of the file can be read, as when a CSV has an unknown column. A failing entry is none of that:
 * `sink` hears of it, and the next one is read. */
MUST_CHECK enum status device_file_read(FILE *file, enum device_file_format format, const struct device_file_sink *sink,
                                        struct problem *why);

/* One entry of GET /v1/export/devices as a line of IoT Hub's registry, or of CSV; the caller frees. */
char *device_file_json_line(const json_t *device);
char *device_file_csv_line(const json_t *device);
#define DEVICE_FILE_CSV_HEADER                                                                                     \
    "id,module,status,authentication,primary_key,secondary_key,primary_thumbprint,secondary_thumbprint,tags,desired"

#endif
