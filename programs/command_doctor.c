#include "programs/commands.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "programs/client.h"
#include "programs/data_folder.h"
#include "programs/table.h"
#include "runtime/bus.h"
#include "runtime/clock.h"

#define DISK_FREE_PERCENT 10
#define DISK_FREE_BYTES (1024LL * 1024 * 1024)
#define CLOCK_OFF_US (60 * 1000000LL)
#define CLOCK_EARLIEST_US 1735689600000000LL /* 2025-01-01: this program is younger */
#define AGENT_SILENT_US (30 * 60 * 1000000LL)
#define KAFKA_MS 15000
#define ENVIRONMENT_MAX 64

enum result { RESULT_OK, RESULT_NOTE, RESULT_FINDING };

struct doctor {
    const struct cli *cli;
    char folder[DATA_PATH_SIZE];
    struct data_state state;
    bool local; /* the data folder is there, and no other server is named */
    size_t findings;
};

static enum cli_exit run_doctor(const struct cli *cli);
static void say(struct doctor *doctor, enum result result, const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static enum status check_server(struct doctor *doctor, struct client *client);
static void check_parts(struct doctor *doctor, const json_t *answer);
static void check_counts(struct doctor *doctor, const json_t *counts);
static void check_clock(struct doctor *doctor, const json_t *counts);
static void check_processes(struct doctor *doctor);
static void check_agent(struct doctor *doctor, struct client *client);
static void check_disk(struct doctor *doctor);
static void check_durability(struct doctor *doctor);
static void check_kafka(struct doctor *doctor);
static const char **kafka_environment(void);

static const struct cli_flag doctor_flags[] = {
    {"kafka", NULL, "Look at the Kafka topic too, with the PICKET_KAFKA_ settings of the environment."},
};

const struct cli_verb doctor_verbs[] = {
    {"doctor", "", "Look for what is wrong or will be: exit 1 when there are findings.", NULL, CLI_FLAGS(doctor_flags),
     CLI_SERVER | CLI_JSON, 0, 0, run_doctor},
};
const size_t doctor_verb_count = sizeof doctor_verbs / sizeof doctor_verbs[0];

static enum cli_exit run_doctor(const struct cli *cli)
{
    struct doctor doctor = {.cli = cli};
    struct client *client = NULL;
    const char *named = cli_value(cli, "server") ? cli_value(cli, "server") : getenv("PICKET_SERVER");
    struct problem why;

    doctor.local = (!named || !*named) && data_folder_whole(data_folder_default(cli_value(cli, "data")), doctor.folder) &&
                   data_state_load(doctor.folder, &doctor.state, &why) == STATUS_OK;
    enum status status = client_open(cli, &client, &why);
    if (status)
        return cli_end(status, &why);
    status = check_server(&doctor, client);
    if (doctor.local)
        check_processes(&doctor);
    if (!status && doctor.local)
        check_agent(&doctor, client);
    if (doctor.local)
        check_disk(&doctor);
    if (doctor.local)
        check_durability(&doctor);
    if (cli_given(cli, "kafka"))
        check_kafka(&doctor);
    client_close(client);
    if (status == STATUS_RETRY)
        return CLI_UNREACHABLE;
    return doctor.findings ? CLI_NO : CLI_DONE;
}

static void say(struct doctor *doctor, enum result result, const char *check, const char *format, ...)
{
    static const char *const names[] = {"ok", "note", "finding"};
    char sentence[PROBLEM_TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    doctor->findings += result == RESULT_FINDING;
    if (cli_given(doctor->cli, "json")) {
        json_t *line = json_pack("{s:s, s:s, s:s}", "check", check, "result", names[result], "sentence", sentence);
        table_json_line(line);
        json_decref(line);
    } else {
        printf("%-8s %-11s %s\n", names[result], check, sentence);
    }
}

/* STATUS_RETRY when nobody answers; a server that is not ready is a finding. */
static enum status check_server(struct doctor *doctor, struct client *client)
{
    json_t *ready = NULL, *counts = NULL;
    struct problem why;

    enum status status = client_call(client, "GET", "/readyz", NULL, &ready, &why);
    if (status == STATUS_RETRY && client_code(client) == 503) {
        check_parts(doctor, client_refusal(client));
        return STATUS_REJECT;
    }
    if (!status)
        status = client_call(client, "GET", "/v1/status", NULL, &counts, &why);
    if (status) {
        say(doctor, RESULT_FINDING, "server", "%s", why.text);
    } else {
        say(doctor, RESULT_OK, "server", "%s answers and is ready", client_server(client));
        check_counts(doctor, counts);
        check_clock(doctor, counts);
    }
    json_decref(ready);
    json_decref(counts);
    return status;
}

static void check_parts(struct doctor *doctor, const json_t *answer)
{
    json_t *part, *parts = json_object_get(answer, "parts");
    const char *name;

    say(doctor, RESULT_FINDING, "server", "it answers and is not ready");
    json_object_foreach(parts, name, part)
    {
        const char *note = json_string_value(json_object_get(part, "note"));
        if (!json_is_true(json_object_get(part, "ready")))
            say(doctor, RESULT_FINDING, name, "not ready: %s", note && *note ? note : "no reason is given");
    }
}

static void check_counts(struct doctor *doctor, const json_t *counts)
{
    long long dead = json_integer_value(json_object_get(counts, "dead_letters"));
    long long gaps = json_integer_value(json_object_get(counts, "bus_gaps"));
    long long missing = json_integer_value(json_object_get(counts, "missing"));

    if (dead)
        say(doctor, RESULT_FINDING, "messages", "%lld could not be stored: see `picket dead-letter list`", dead);
    if (missing)
        say(doctor, RESULT_FINDING, "ledger", "%lld events that devices numbered have not arrived", missing);
    if (gaps)
        say(doctor, RESULT_FINDING, "bus", "%lld times records were gone from the bus before they were stored", gaps);
    if (!dead && !missing && !gaps)
        say(doctor, RESULT_OK, "messages", "none is a dead letter, none is missing from the ledger or the bus");
}

static void check_clock(struct doctor *doctor, const json_t *counts)
{
    const char *text = json_string_value(json_object_get(counts, "time"));
    int64_t now = clock_utc_us(), theirs = now;

    if (text && !clock_parse(text_of(text), &theirs))
        theirs = now;
    if (now < CLOCK_EARLIEST_US)
        say(doctor, RESULT_FINDING, "clock", "this host's clock is years behind: set it, or devices' tokens seem to be valid for long");
    else if (llabs(now - theirs) > CLOCK_OFF_US)
        say(doctor, RESULT_FINDING, "clock", "the server's clock and this host's are %lld s apart",
            (long long)(llabs(now - theirs) / 1000000));
    else
        say(doctor, RESULT_OK, "clock", "plausible%s", text ? ", and the server's agrees" : "");
}

static void check_processes(struct doctor *doctor)
{
    const struct {
        const char *name;
        struct data_process process;
    } processes[] = {{"picket up", doctor->state.supervisor},
                     {"picketd", doctor->state.picketd},
                     {"PostgreSQL", data_postgres_process(doctor->folder)}};

    for (size_t i = 0; i < sizeof processes / sizeof processes[0]; i++) {
        if (!data_process_alive(processes[i].process))
            say(doctor, RESULT_FINDING, "processes", "%s does not run: start it with `picket up`", processes[i].name);
    }
}

static void check_agent(struct doctor *doctor, struct client *client)
{
    const char *id = doctor->state.host_device;
    char path[256];
    json_t *device = NULL;
    struct problem why;
    int64_t seen = 0;

    if (!*id) {
        say(doctor, RESULT_NOTE, "agent", "none was started on this host");
        return;
    }
    if (!data_process_alive(doctor->state.agent))
        say(doctor, RESULT_FINDING, "agent", "it does not run; see %s/log/agent.log", doctor->folder);
    snprintf(path, sizeof path, "/v1/devices/%s", id);
    if (client_call(client, "GET", path, NULL, &device, &why) != STATUS_OK) {
        say(doctor, RESULT_FINDING, "agent", "its device %s: %s", id, why.text);
        return;
    }
    const char *text = json_string_value(json_object_get(device, "last_seen_at"));
    if (!text || !clock_parse(text_of(text), &seen))
        say(doctor, RESULT_NOTE, "agent", "the device %s has sent nothing yet", id);
    else if (clock_utc_us() - seen > AGENT_SILENT_US)
        say(doctor, RESULT_FINDING, "agent", "the device %s has been silent since %s", id, text);
    else
        say(doctor, RESULT_OK, "agent", "the device %s was heard at %s", id, text);
    json_decref(device);
}

static void check_disk(struct doctor *doctor)
{
    struct statvfs facts;

    if (statvfs(doctor->folder, &facts) != 0) {
        say(doctor, RESULT_FINDING, "disk", "%s: %s", doctor->folder, strerror(errno));
        return;
    }
    long long free_bytes = (long long)facts.f_bavail * (long long)facts.f_frsize;
    long long percent = facts.f_blocks ? (long long)(facts.f_bavail * 100 / facts.f_blocks) : 0;
    bool low = free_bytes < DISK_FREE_BYTES || (percent < DISK_FREE_PERCENT && free_bytes < 10 * DISK_FREE_BYTES);
    say(doctor, low ? RESULT_FINDING : RESULT_OK, "disk", "%lld MiB (%lld %%) free under %s%s", free_bytes / (1024 * 1024),
        percent, doctor->folder, low ? ": PostgreSQL stops when it is full" : "");
}

static void check_durability(struct doctor *doctor)
{
    say(doctor, RESULT_NOTE, "durability",
        "what is acknowledged is committed in this host's PostgreSQL: it survives killed processes, not the loss of this host");
}

/* With the settings that picketd has: the environment's. */
static void check_kafka(struct doctor *doctor)
{
    struct bus_settings settings;
    const struct settings_group group = {"bus", bus_settings_table, bus_settings_count, &settings};
    const char **environment = kafka_environment();
    struct bus *bus = NULL;
    struct arena arena;
    struct problem why;

    arena_init(&arena);
    enum status status = settings_load(&group, 1, NULL, environment, &arena, &why);
    settings.bus = "kafka";
    if (!status)
        status = bus_open(&settings, KAFKA_MS, 0, &bus, &why);
    if (status)
        say(doctor, RESULT_FINDING, "kafka", "%s", why.text);
    else if (bus_durability_note(bus))
        say(doctor, RESULT_FINDING, "kafka", "%s", bus_durability_note(bus));
    else
        say(doctor, RESULT_OK, "kafka", "topic %s is kept on more than one machine", bus_topic(bus));
    if (bus)
        bus_close(bus);
    arena_done(&arena);
    free(environment);
}

/* What is not Kafka's would be refused as unknown to the bus. */
static const char **kafka_environment(void)
{
    const char **made = calloc(ENVIRONMENT_MAX + 1, sizeof *made);
    size_t count = 0;

    if (!made)
        abort();
    for (char **at = environ; *at && count < ENVIRONMENT_MAX; at++) {
        if (text_starts(text_of(*at), TEXT("PICKET_KAFKA_")) || text_starts(text_of(*at), TEXT("PICKET_BUS_")))
            made[count++] = *at;
    }
    return made;
}
