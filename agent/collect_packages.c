#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/collector.h"
#include "agent/file.h"

#define LINE_MAX_BYTES 4096

/* Databases of packages that are text: a stanza for each package, members a line each. Facts: deb-control(5) and dpkg's status file; opkg
 * keeps the same; apk-v2's installed database has one letter for a name. */
struct database {
    const char *path, *manager;
    const char *name, *version, *vendor, *status; /* what the members are called, with what parts them from their value; NULL: none */
};

static const struct database databases[] = {
    {"/var/lib/dpkg/status", "dpkg", "Package: ", "Version: ", "Maintainer: ", "Status: "},
    {"/usr/lib/opkg/status", "opkg", "Package: ", "Version: ", "Maintainer: ", "Status: "},
    {"/var/lib/opkg/status", "opkg", "Package: ", "Version: ", "Maintainer: ", "Status: "},
    {"/lib/apk/db/installed", "apk", "P:", "V:", "m:", NULL},
};

struct package {
    char name[256], version[256], vendor[256];
    bool gone; /* its files are not there any more */
};

static void take(const char *line, const char *prefix, char out[256])
{
    size_t length = prefix ? strlen(prefix) : 0;

    if (length && strncmp(line, prefix, length) == 0)
        snprintf(out, 256, "%.255s", line + length);
}

static void report(struct payload *payload, const struct database *database, struct package *package)
{
    if (package->name[0] && package->version[0] && !package->gone) {
        struct picket_json_writer *writer = payload_begin(payload);
        member_text(writer, "Name", package->name);
        member_text(writer, "Version", package->version);
        member_text(writer, "Vendor", package->vendor);
        member_text(writer, "PackageManager", database->manager);
        payload_end(payload);
    }
    *package = (struct package){.gone = false};
}

static void read_database(const struct database *database, FILE *file, struct payload *payload)
{
    struct package package = {.gone = false};
    char line[LINE_MAX_BYTES];
    bool rest = false; /* of a line that was longer */

    while (fgets(line, sizeof line, file)) {
        size_t length = strcspn(line, "\n");
        bool whole = line[length] == '\n', begins = !rest;
        line[length] = '\0';
        rest = !whole;
        if (!begins)
            continue;
        if (!length)
            report(payload, database, &package);
        take(line, database->name, package.name);
        take(line, database->version, package.version);
        take(line, database->vendor, package.vendor);
        if (database->status && strncmp(line, database->status, strlen(database->status)) == 0)
            package.gone = !strstr(line, " installed");
    }
    report(payload, database, &package);
}

static void collect(void *memory, struct collector_scope *scope)
{
    struct payload payload;
    char path[FILE_PATH_SIZE];
    bool any = false;

    (void)memory;
    payload_open_list(&payload, scope, "SBoM");
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++) {
        snprintf(path, sizeof path, "%s%s", scope->root, databases[i].path);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        any = true;
        read_database(&databases[i], file, &payload);
        fclose(file);
    }
    if (any) /* without any database nothing is known, which is another thing than an empty list */
        payload_close(&payload);
}

const struct collector collector_packages = {
    "packages", PICKET_PACKAGES, COLLECT_SNAPSHOT, NULL, collect, NULL, NULL,
};
