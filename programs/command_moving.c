#include "programs/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/client.h"
#include "programs/device_file.h"
#include "programs/listing.h"
#include "runtime/buf.h"
#include "runtime/clock.h"

#define BATCH_DEVICES 1000
#define BATCH_BYTES (240 * 1024) /* the server takes 256 KiB */
#define REFUSALS_MAX 10000       /* that a report repeats; the others are counted */
#define PROGRESS_MS 500
#define PATH_BYTES_MAX 2048

static enum cli_exit run_import(const struct cli *cli);
static enum cli_exit run_export(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static const struct cli_flag import_flags[] = {
    WORKSPACE_FLAG,
    {"format", "FORMAT", "json or csv (default: told from how a file begins)."},
    {"skip-existing", NULL, "Leave devices that are there as they are (default: make them as the file says)."},
    {"dry-run", NULL, "Say what would become of it, and change nothing."},
};
static const struct cli_flag export_flags[] = {
    WORKSPACE_FLAG,
    {"format", "FORMAT", "iothub: a JSON object a line, as IoT Hub exports its registry (the default); or csv."},
    {"with-keys", NULL, "With the keys: who has the file can speak as every device. Audited."},
    {"output", "FILE", "Write to this file, which only its owner can read (default: standard output)."},
};

const struct cli_verb moving_verbs[] = {
    {"device import", "FILE...", "Take in devices: IoT Hub's registry export, DPS enrolments, or CSV (- is standard input).",
     "JSON has an object for each device, module, enrolment or group, one a line or in a list.\n"
     "CSV has a header: " DEVICE_FILE_CSV_HEADER ", tag.NAME; only id is needed.\n"
     "The same file once more changes nothing. Exit code 1 when an entry was refused.\n",
     CLI_FLAGS(import_flags), CLI_SERVER | CLI_JSON, 1, 1000, run_import},
    {"device export", "", "Write all devices and modules, as import and IoT Hub take them.", NULL, CLI_FLAGS(export_flags),
     CLI_SERVER, 0, 0, run_export},
};
const size_t moving_verb_count = sizeof moving_verbs / sizeof moving_verbs[0];

enum count { COUNT_CREATED, COUNT_UPDATED, COUNT_UNCHANGED, COUNT_SKIPPED, COUNT_KEYS_MADE, COUNTS };
static const char *const count_names[] = {"created", "updated", "unchanged", "skipped", "keys_made"};

struct import {
    const struct cli *cli;
    struct client *client;
    const char *path; /* of POST, with its workspace */
    const char *file; /* that is being read */
    json_t *batch;
    size_t batch_bytes;
    size_t lines[BATCH_DEVICES];
    json_int_t counts[COUNTS];
    json_int_t entries, refused;
    json_t *refusals, *left_out;
    int64_t told_ms; /* when progress was last shown */
    enum status status; /* of the server */
    struct problem why;
};

static void refused(void *context, size_t line, const char *id, const char *sentence)
{
    struct import *import = context;

    import->refused++;
    if (!cli_given(import->cli, "json"))
        fprintf(stderr, "picket: %s:%zu: %s%s%s\n", import->file, line, id, *id ? ": " : "", sentence);
    else if (json_array_size(import->refusals) < REFUSALS_MAX)
        json_array_append_new(import->refusals, json_pack("{s:s, s:I, s:s, s:s}", "file", import->file, "line", (json_int_t)line,
                                                          "id", id, "message", sentence));
}

static void left_out(void *context, const char *what)
{
    struct import *import = context;
    json_int_t before = json_integer_value(json_object_get(import->left_out, what));

    json_object_set_new(import->left_out, what, json_integer(before + 1));
}

static void progress(struct import *import)
{
    int64_t now_ms = clock_monotonic_ms();

    if (now_ms < import->told_ms + PROGRESS_MS || cli_given(import->cli, "json") || !isatty(STDERR_FILENO))
        return;
    import->told_ms = now_ms;
    fprintf(stderr, "\r%s: %lld read, %lld created, %lld updated, %lld refused ", import->file, (long long)import->entries,
            (long long)import->counts[COUNT_CREATED], (long long)import->counts[COUNT_UPDATED], (long long)import->refused);
}

/* What was gathered goes to the server; false: that refused it as a whole, or is away. */
static bool batch_send(struct import *import)
{
    json_t *answer = NULL, *one;
    size_t i;

    if (!json_array_size(import->batch))
        return true;
    json_t *body = json_pack("{s:O, s:b, s:b}", "devices", import->batch, "skip_existing", cli_given(import->cli, "skip-existing"),
                             "dry_run", cli_given(import->cli, "dry-run"));
    import->status = client_call(import->client, "POST", import->path, body, &answer, &import->why);
    for (size_t c = 0; c < COUNTS; c++)
        import->counts[c] += json_integer_value(json_object_get(answer, count_names[c]));
    json_array_foreach(json_object_get(answer, "refused"), i, one)
    {
        size_t position = (size_t)json_integer_value(json_object_get(one, "position"));
        refused(import, position < BATCH_DEVICES ? import->lines[position] : 0, json_string_value(json_object_get(one, "id")),
                json_string_value(json_object_get(one, "message")));
    }
    json_array_clear(import->batch);
    import->batch_bytes = 0;
    json_decref(answer);
    json_decref(body);
    progress(import);
    return !import->status;
}

static bool device_took(struct import *import, size_t line, json_t *take_device)
{
    size_t bytes = json_dumpb(take_device, NULL, 0, JSON_COMPACT) + 1;

    if (bytes > BATCH_BYTES) {
        refused(import, line, json_string_value(json_object_get(take_device, "id")), "it is longer than a device may be");
        json_decref(take_device);
        return true;
    }
    if ((import->batch_bytes + bytes > BATCH_BYTES || json_array_size(import->batch) == BATCH_DEVICES) && !batch_send(import)) {
        json_decref(take_device);
        return false;
    }
    import->lines[json_array_size(import->batch)] = line;
    import->batch_bytes += bytes;
    json_array_append_new(import->batch, take_device);
    return true;
}

/* Enrolments are few: one request each. One that is there stays as it is. */
static bool enrolment_took(struct import *import, bool is_group, size_t line, json_t *take_enrolment)
{
    const char *noun = is_group ? "groups" : "enrollments";
    const char *id = json_string_value(json_object_get(take_enrolment, is_group ? "name" : "registration_id"));
    bool disabled = json_object_get(take_enrolment, "status") != NULL;
    const char *workspace = cli_value(import->cli, "workspace");
    json_t *answer = NULL;
    struct buf path;

    buf_init(&path, PATH_BYTES_MAX);
    buf_format(&path, "/v1/%s", noun);
    json_object_del(take_enrolment, "status");
    if (workspace)
        json_object_set_new(take_enrolment, "workspace", json_string(workspace));
    enum status status = cli_given(import->cli, "dry-run") ? STATUS_OK
                                                           : client_call(import->client, "POST", path.bytes, take_enrolment, &answer,
                                                                         &import->why);
    bool there = status && client_code(import->client) == 409;
    if (!status && disabled && !cli_given(import->cli, "dry-run")) {
        json_decref(answer);
        answer = NULL;
        buf_byte(&path, '/');
        client_escape(&path, id);
        buf_string(&path, "/disable");
        if (workspace) {
            buf_string(&path, "?workspace=");
            client_escape(&path, workspace);
        }
        status = client_call(import->client, "POST", path.bytes, NULL, &answer, &import->why);
    }
    if (!status || there)
        import->counts[there ? COUNT_UNCHANGED : COUNT_CREATED]++;
    else if (status == STATUS_REJECT)
        refused(import, line, id, import->why.text);
    else
        import->status = status;
    json_decref(answer);
    json_decref(take_enrolment);
    buf_done(&path);
    return !import->status;
}

static bool took(void *context, enum device_file_kind kind, size_t line, json_t *take_entry)
{
    struct import *import = context;

    import->entries++;
    if (kind == DEVICE_FILE_DEVICE)
        return device_took(import, line, take_entry);
    return enrolment_took(import, kind == DEVICE_FILE_GROUP, line, take_entry);
}

static enum status file_import(struct import *import, const char *path, enum device_file_format format, struct problem *why)
{
    const struct device_file_sink sink = {import, took, refused, left_out};
    bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(path, "re");

    if (!file)
        return problem_set(why, STATUS_REJECT, "%s cannot be opened: %s", path, strerror(errno));
    import->file = is_input ? "standard input" : path;
    enum status status = device_file_read(file, format, &sink, why);
    if (status)
        problem_prefix(why, "%s", import->file);
    if (!import->status)
        (void)batch_send(import); /* what was read before the file broke off counts */
    if (!is_input)
        fclose(file);
    if (import->status) {
        *why = import->why;
        problem_prefix(why, "stopped; what was done stays, and the same import again goes on from there");
    }
    return import->status ? import->status : status;
}

static void report_print(const struct import *import)
{
    json_t *report = json_pack("{s:b, s:I, s:I, s:O, s:O}", "dry_run", cli_given(import->cli, "dry-run"), "entries", import->entries,
                               "refused", import->refused, "refusals", import->refusals, "left_out", import->left_out);
    const char *what;
    json_t *count;

    if (cli_given(import->cli, "json")) {
        for (size_t c = 0; c < COUNTS; c++)
            json_object_set_new(report, count_names[c], json_integer(import->counts[c]));
        json_dumpf(report, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        if (isatty(STDERR_FILENO) && import->told_ms)
            fputs("\r\033[K", stderr);
        printf("%s%lld created, %lld updated, %lld unchanged, %lld skipped, %lld refused\n",
               cli_given(import->cli, "dry-run") ? "would be: " : "", (long long)import->counts[COUNT_CREATED],
               (long long)import->counts[COUNT_UPDATED], (long long)import->counts[COUNT_UNCHANGED],
               (long long)import->counts[COUNT_SKIPPED], (long long)import->refused);
        if (import->counts[COUNT_KEYS_MADE])
            printf("keys made for %lld that had none: they connect once they are given them (picket device connection-string)\n",
                   (long long)import->counts[COUNT_KEYS_MADE]);
        json_object_foreach(import->left_out, what, count)
            printf("left out: %s (%lld)\n", what, (long long)json_integer_value(count));
    }
    json_decref(report);
}

static enum cli_exit run_import(const struct cli *cli)
{
    static const char *const formats[] = {[DEVICE_FILE_ANY] = "", [DEVICE_FILE_JSON] = "json", [DEVICE_FILE_CSV] = "csv"};
    const char *format_name = cli_value(cli, "format") ? cli_value(cli, "format") : "";
    struct import *import = calloc(1, sizeof *import);
    enum device_file_format format = DEVICE_FILE_ANY;
    const char *workspace = cli_value(cli, "workspace");
    struct problem why;
    struct buf path;

    if (!import)
        abort();
    while (format <= DEVICE_FILE_CSV && strcmp(formats[format], format_name) != 0)
        format++;
    import->cli = cli;
    import->batch = json_array();
    import->refusals = json_array();
    import->left_out = json_object();
    buf_init(&path, PATH_BYTES_MAX);
    buf_string(&path, "/v1/import/devices");
    if (workspace) {
        buf_string(&path, "?workspace=");
        client_escape(&path, workspace);
    }
    import->path = path.bytes;
    enum status status = format > DEVICE_FILE_CSV ? problem_set(&why, STATUS_REJECT, "--format is json or csv") : STATUS_OK;
    if (!status)
        status = client_open(cli, &import->client, &why);
    for (int i = 0; !status && cli_argument(cli, i); i++)
        status = file_import(import, cli_argument(cli, i), format, &why);
    if (import->client)
        report_print(import);
    enum cli_exit end = status ? cli_end(status, &why) : import->refused ? CLI_NO : CLI_DONE;
    client_close(import->client);
    json_decref(import->batch);
    json_decref(import->refusals);
    json_decref(import->left_out);
    buf_done(&path);
    free(import);
    return end;
}

/* ---- out ---- */

struct export {
    FILE *file;
    bool csv;
};

static void element(void *context, const json_t *device)
{
    struct export *export = context;
    char *line = export->csv ? device_file_csv_line(device) : device_file_json_line(device);

    fprintf(export->file, "%s\n", line);
    free(line);
}

static enum cli_exit run_export(const struct cli *cli)
{
    const char *format = cli_value(cli, "format"), *output = cli_value(cli, "output"), *workspace = cli_value(cli, "workspace");
    struct export export = {.file = stdout, .csv = format && strcmp(format, "csv") == 0};
    struct client *client = NULL;
    enum status status = STATUS_OK;
    struct problem why;
    struct buf path;

    if (format && !export.csv && strcmp(format, "iothub") != 0)
        status = problem_set(&why, STATUS_REJECT, "--format is iothub or csv");
    buf_init(&path, PATH_BYTES_MAX);
    buf_format(&path, "/v1/export/devices?limit=1000&keys=%s", cli_given(cli, "with-keys") ? "true" : "false");
    if (workspace) {
        buf_string(&path, "&workspace=");
        client_escape(&path, workspace);
    }
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status && output) {
        int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        export.file = fd < 0 ? NULL : fdopen(fd, "w");
        if (!export.file)
            status = problem_set(&why, STATUS_REJECT, "%s cannot be written: %s", output, strerror(errno));
    }
    if (!status && export.csv)
        fprintf(export.file, "%s\n", DEVICE_FILE_CSV_HEADER);
    if (!status)
        status = client_each(client, path.bytes, "devices", 0, element, &export, &why);
    if (export.file && (fflush(export.file) || ferror(export.file)) && !status)
        status = problem_set(&why, STATUS_REJECT, "%s cannot be written: %s", output ? output : "standard output", strerror(errno));
    if (export.file && export.file != stdout)
        fclose(export.file);
    client_close(client);
    buf_done(&path);
    return cli_end(status, &why);
}
