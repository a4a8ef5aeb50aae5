#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/file.h"
#include "agent/program_lines.h"

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

/* ---- rpm ---- */

/* Its database has had three forms, so rpm itself reads it. */
#define RPM "/usr/bin/rpm"
static const char *const rpm_folders[] = {"/usr/lib/sysimage/rpm", "/var/lib/rpm"};

/* The folder of rpm's database below `root`. False: there is none, or no rpm to read it. */
static bool rpm_database_find(const char *root, char path[FILE_PATH_SIZE])
{
    for (size_t i = 0; i < sizeof rpm_folders / sizeof *rpm_folders; i++) {
        snprintf(path, FILE_PATH_SIZE, "%s%s", root, rpm_folders[i]);
        if (access(path, F_OK) == 0 && access(RPM, X_OK) == 0)
            return true;
    }
    return false;
}

/* "name TAB version TAB vendor"; keys of signers are kept there too, and are no packages. */
static void rpm_take(void *context, const char *line)
{
    static const struct database rpm = {.manager = "rpm"};
    struct package package = {.gone = strncmp(line, "gpg-pubkey\t", 11) == 0};
    const char *version = strchr(line, '\t'), *vendor = version ? strchr(version + 1, '\t') : NULL;

    if (!vendor)
        return;
    snprintf(package.name, sizeof package.name, "%.*s", (int)(version - line), line);
    snprintf(package.version, sizeof package.version, "%.*s", (int)(vendor - version - 1), version + 1);
    if (strcmp(vendor + 1, "(none)") != 0)
        snprintf(package.vendor, sizeof package.vendor, "%.255s", vendor + 1);
    report(context, &rpm, &package);
}

static bool rpm_read(struct payload *payload)
{
    char path[FILE_PATH_SIZE];
    struct reason why;

    if (!rpm_database_find(payload->scope->root, path))
        return false;
    const char *const arguments[] = {RPM, "--dbpath", path, "-qa", "--qf", "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{VENDOR}\n", NULL};
    bool read = program_lines(arguments, rpm_take, payload, &why) == 0;
    if (!read)
        scope_say(payload->scope, SEVERITY_WARNING, "rpm's packages are not known: %s", why.text);
    return read;
}

static void collect(void *memory, struct collector_scope *scope)
{
    struct payload payload;
    char path[FILE_PATH_SIZE];

    (void)memory;
    payload_open_list(&payload, scope, "SBoM");
    bool any = rpm_read(&payload);
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

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    char path[FILE_PATH_SIZE];

    (void)settings;
    if (rpm_database_find(root, path)) {
        reason_set(out, "by rpm, of %s", path);
        return SELF_CHECK_OK;
    }
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++)
        if (file_readable(root, databases[i].path)) {
            reason_set(out, "by %s", databases[i].path);
            return SELF_CHECK_OK;
        }
    reason_set(out, "none of the databases of dpkg, opkg, apk and rpm is there");
    return SELF_CHECK_FAILED;
}

const struct collector collector_packages = {
    .name = "packages", .subject = PICKET_PACKAGES, .pace = COLLECT_SNAPSHOT, .collect = collect, .check = check,
};
