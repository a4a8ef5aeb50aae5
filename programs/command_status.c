#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "programs/client.h"
#include "programs/data_folder.h"
#include "programs/table.h"
#include "runtime/clock.h"
#include "runtime/process.h"

static enum cli_exit run_status(const struct cli *cli);
static bool server_named(const struct cli *cli);
static void local_add(const struct cli *cli, json_t *report);
static void process_add(json_t *processes, const char *name, struct data_process process);
static void local_fill(json_t *report, const char *folder, const struct data_state *state);
static enum status server_add(const struct cli *cli, json_t *report, struct problem *why);
static void report_print(const json_t *report);

const struct cli_verb status_verbs[] = {
    {"status", "", "Say what runs where: addresses, processes, versions, counts.",
     "Exit 1 when the server runs and is not ready, 3 when it cannot be reached.", CLI_NO_FLAGS, CLI_SERVER | CLI_JSON, 0, 0,
     run_status},
};
const size_t status_verb_count = sizeof status_verbs / sizeof status_verbs[0];

static enum cli_exit run_status(const struct cli *cli)
{
    json_t *report = json_pack("{s:s}", "version", PICKET_VERSION);
    struct problem why;

    if (!server_named(cli))
        local_add(cli, report);
    enum status status = server_add(cli, report, &why);
    bool reached = status != STATUS_RETRY && json_object_get(report, "ready") != NULL;
    if (status && !reached)
        json_object_set_new(report, "problem", json_string(why.text));
    if (cli_given(cli, "json"))
        table_json_line(report);
    else
        report_print(report);
    bool ready = json_is_true(json_object_get(report, "ready"));
    json_decref(report);
    if (status)
        return cli_end(status, &why);
    return ready ? CLI_DONE : CLI_NO;
}

/* Then what the local data folder says is about another one. */
static bool server_named(const struct cli *cli)
{
    return cli_given(cli, "server") || (getenv("PICKET_SERVER") && *getenv("PICKET_SERVER"));
}

static void local_add(const struct cli *cli, json_t *report)
{
    const char *given = data_folder_default(cli_value(cli, "data"));
    char folder[DATA_PATH_SIZE];
    struct data_state state;
    struct problem why;

    if (!data_folder_whole(given, folder))
        return;
    json_object_set_new(report, "data", json_string(folder));
    if (data_state_load(folder, &state, &why) == STATUS_OK)
        local_fill(report, folder, &state);
}

static void local_fill(json_t *report, const char *folder, const struct data_state *state)
{
    json_t *addresses = json_object(), *processes = json_object();
    char text[256], path[DATA_PATH_SIZE];

    snprintf(text, sizeof text, "https://localhost:%lld", (long long)state->port_query);
    json_object_set_new(addresses, "query", json_string(text));
    snprintf(text, sizeof text, "https://localhost:%lld", (long long)state->port_https);
    json_object_set_new(addresses, "https", json_string(text));
    snprintf(text, sizeof text, "http://localhost:%lld", (long long)state->port_http);
    if (state->port_http)
        json_object_set_new(addresses, "http", json_string(text));
    snprintf(text, sizeof text, "mqtts://localhost:%lld", (long long)state->port_mqtts);
    json_object_set_new(addresses, "mqtts", json_string(text));
    snprintf(text, sizeof text, "mqtt://localhost:%lld", (long long)state->port_mqtt);
    if (state->port_mqtt)
        json_object_set_new(addresses, "mqtt", json_string(text));
    snprintf(text, sizeof text, "host=%s dbname=picket", state->socket_folder);
    json_object_set_new(addresses, "database", json_string(text));
    data_folder_path(folder, "certificates/ca.pem", path);
    json_object_set_new(report, "ca", json_string(path));
    process_add(processes, "supervisor", state->supervisor);
    process_add(processes, "picketd", state->picketd);
    process_add(processes, "agent", state->agent);
    process_add(processes, "simulation", state->simulation);
    process_add(processes, "postgres", data_postgres_process(folder));
    json_object_set_new(report, "addresses", addresses);
    json_object_set_new(report, "pids", processes);
    json_object_set_new(report, "postgres_version", json_string(state->postgres_version));
    json_object_set_new(report, "host_device", json_string(state->host_device));
    clock_format(state->started_at_us, text);
    if (data_process_alive(state->supervisor))
        json_object_set_new(report, "started_at", json_string(text));
}

/* null: not running. */
static void process_add(json_t *processes, const char *name, struct data_process process)
{
    json_object_set_new(processes, name, data_process_alive(process) ? json_integer(process.pid) : json_null());
}

static enum status server_add(const struct cli *cli, json_t *report, struct problem *why)
{
    json_t *ready = NULL, *counts = NULL;
    struct client *client = NULL;

    enum status status = client_open(cli, &client, why);
    if (status)
        return status;
    status = client_call(client, "GET", "/readyz", NULL, &ready, why);
    if (status == STATUS_RETRY && client_code(client) == 503) {
        json_object_set_new(report, "ready", json_false());
        json_object_set(report, "parts", json_object_get(client_refusal(client), "parts"));
        status = STATUS_OK;
    } else if (!status) {
        json_object_set_new(report, "ready", json_true());
        if (json_object_get(ready, "parts"))
            json_object_set(report, "parts", json_object_get(ready, "parts"));
        status = client_call(client, "GET", "/v1/status", NULL, &counts, why);
        if (!status)
            json_object_set(report, "counts", counts);
    }
    json_decref(ready);
    json_decref(counts);
    client_close(client);
    return status;
}

static void report_print(const json_t *report)
{
    static const char *const nested[] = {"addresses", "pids", "counts"};
    json_t *flat = json_object();
    const char *key;
    json_t *value;

    json_object_update(flat, (json_t *)(uintptr_t)report);
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        json_object_del(flat, nested[i]);
        json_object_foreach(json_object_get(report, nested[i]), key, value)
        {
            char name[128];
            if (json_is_object(value))
                continue; /* readiness, part by part: for --json */
            snprintf(name, sizeof name, "%s %s", i == 1 ? "pid of" : nested[i], key);
            json_object_set(flat, name, value);
        }
    }
    json_object_del(flat, "parts");
    table_print_members(flat);
    json_decref(flat);
}
