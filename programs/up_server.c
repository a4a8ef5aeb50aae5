#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/up.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "runtime/secret.h"

#define SETTINGS_BYTES_MAX 8192
#define POLL_MS 50

static void part_missing(const json_t *answer, struct problem *reason);
static enum status port_check(const struct up *up, const char *flag, int64_t port, struct problem *why);
static int port_try(const struct up *up, int64_t port);
static enum status secrets_give(const struct up *up, struct problem *why);
static void setting_string(struct buf *out, const char *name, const char *value);
static enum status program_path(const char *name, const char *mend, char out[DATA_PATH_SIZE], struct problem *why);

enum status up_programs_check(struct up *up, struct problem *why)
{
    char program[DATA_PATH_SIZE];

    enum status status = program_path("picketd", "run `make build`", program, why);
    if (!status && !cli_given(up->cli, "no-agent"))
        status = program_path("picket-agent", "run `make build`, or give --no-agent", program, why);
    return status;
}

enum status up_ports_check(struct up *up, struct problem *why)
{
    const struct {
        const char *flag;
        int64_t port;
    } ports[] = {{"--port-https", up->state.port_https},
                 {"--port-mqtts", up->state.port_mqtts},
                 {"--port-query", up->state.port_query},
                 {"--port-http", up->state.port_http},
                 {"--port-mqtt", up->state.port_mqtt}};
    const size_t count = sizeof ports / sizeof ports[0];
    enum status status = STATUS_OK;

    for (size_t i = 0; !status && i < count; i++) {
        for (size_t j = 0; !status && j < i; j++) {
            if (ports[i].port && ports[i].port == ports[j].port)
                status = problem_set(why, STATUS_REJECT, "%s and %s both say %lld: choose two ports", ports[j].flag,
                                     ports[i].flag, (long long)ports[i].port);
        }
        if (!status && ports[i].port)
            status = port_check(up, ports[i].flag, ports[i].port, why);
    }
    return status;
}

enum status up_server_write_settings(struct up *up, struct problem *why)
{
    char conninfo[sizeof up->state.socket_folder + 32];
    struct secret_master master = {0};
    struct buf out;
    enum status status = STATUS_OK;

    if (access(up_path(up, "master.key"), F_OK) != 0)
        status = secret_master_create(up_path(up, "master.key"), &master, why);
    secret_wipe(&master, sizeof master);
    if (status)
        return status;
    buf_init(&out, SETTINGS_BYTES_MAX);
    snprintf(conninfo, sizeof conninfo, "host=%s dbname=picket", up->state.socket_folder);
    buf_string(&out, "# Written by `picket up` at each start; what else there is to set: picketd --print-settings.\n"
                     "bus: direct\n");
    setting_string(&out, "database", conninfo);
    setting_string(&out, "master_key_file", up_path(up, "master.key"));
    setting_string(&out, "tls_certificate_file", up_path(up, "certificates/server.pem"));
    setting_string(&out, "tls_key_file", up_path(up, "certificates/server.key"));
    setting_string(&out, "device_host_name", up->device_host);
    buf_format(&out, "https_port: %lld\nhttp_port: %lld\nmqtts_port: %lld\nmqtt_port: %lld\nquery_port: %lld\n",
               (long long)up->state.port_https, (long long)up->state.port_http, (long long)up->state.port_mqtts,
               (long long)up->state.port_mqtt, (long long)up->state.port_query);
    status = process_write_file(up_path(up, "picketd.yaml"), buf_as_text(&out), 0644, why);
    buf_done(&out);
    if (!status)
        status = secrets_give(up, why);
    return status;
}

enum status up_server_start(struct up *up, struct problem *why)
{
    char program[DATA_PATH_SIZE];
    const char *const argv[] = {program, "--settings", up_path(up, "picketd.yaml"), NULL};
    const struct up_command command = {argv, &up->server_user, up_path(up, "log/picketd.log"), UP_ENVIRONMENT_SERVER};

    data_folder_path(process_program_path(), "picketd", program);
    up_log_rotate(command.log_file, &up->server_user);
    return up_start(&command, &up->state.picketd, why);
}

enum status up_server_wait_ready(struct up *up, uint32_t timeout_ms, struct problem *why)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    struct problem reason;
    int code;

    for (;;) {
        json_t *answer = NULL;
        enum status status = client_call(up->client, "GET", "/readyz", NULL, &answer, &reason);
        json_decref(answer);
        if (status == STATUS_OK)
            return STATUS_OK;
        if (up_ended(up->state.picketd, &code)) {
            up->state.picketd = (struct data_process){0};
            return problem_set(why, STATUS_FAULT, "picketd ended: %.300s; see %s", up_reason_line(up_path(up, "log/picketd.log")),
                               up_path(up, "log/picketd.log"));
        }
        if (clock_monotonic_ms() > deadline) {
            part_missing(client_refusal(up->client), &reason);
            return problem_set(why, STATUS_RETRY, "picketd is not ready after %u s (%.200s); see %s", timeout_ms / 1000,
                               reason.text, up_path(up, "log/picketd.log"));
        }
        if (process_wait_stop(POLL_MS))
            return problem_set(why, STATUS_RETRY, "stopped");
    }
}

enum status up_agent_start(struct up *up, struct problem *why)
{
    char program[DATA_PATH_SIZE];
    const char *const argv[] = {program, "--config", up_path(up, "agent.conf"), NULL};
    const struct up_command command = {argv, &up->self, up_path(up, "log/agent.log"), UP_ENVIRONMENT_AGENT};

    data_folder_path(process_program_path(), "picket-agent", program);
    up_log_rotate(command.log_file, &up->self);
    return up_start(&command, &up->state.agent, why);
}

enum status up_simulation_start(struct up *up, struct problem *why)
{
    char program[DATA_PATH_SIZE];
    const char *const argv[] = {program, "simulate", "run", "--data", up->folder, "--workspace", "default", up->simulation_ran ? "--ordinary" : NULL, NULL};
    const struct up_command command = {argv, &up->self, up_path(up, "log/simulation.log"), UP_ENVIRONMENT_AGENT};

    data_folder_path(process_program_path(), "picket", program);
    up_log_rotate(command.log_file, &up->self);
    enum status status = up_start(&command, &up->state.simulation, why);
    up->simulation_ran = true;
    return status;
}

/* Says which part is not ready, where the answer of /readyz names one. */
static void part_missing(const json_t *answer, struct problem *reason)
{
    const char *name;
    json_t *part;

    json_object_foreach(json_object_get(answer, "parts"), name, part)
    {
        const char *note = json_string_value(json_object_get(part, "note"));
        if (json_is_true(json_object_get(part, "ready")))
            continue;
        problem_set(reason, STATUS_RETRY, "%s: %s", name, note ? note : "");
        return;
    }
}

static enum status port_check(const struct up *up, const char *flag, int64_t port, struct problem *why)
{
    int error = port_try(up, port);

    if (error == EADDRINUSE)
        return problem_set(why, STATUS_REJECT, "port %lld is in use: stop what listens there, or choose another with %s",
                           (long long)port, flag);
    if (error)
        return problem_set(why, STATUS_REJECT, "port %lld cannot be opened by %s (%s): choose another with %s",
                           (long long)port, up->server_user.name, strerror(error), flag);
    return STATUS_OK;
}

/* As picketd will do it: a low port may be closed to its user. */
static int port_try(const struct up *up, int64_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    uid_t before = geteuid();
    int on = 1, error = 0;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (up->server_user.uid != before && seteuid(up->server_user.uid) != 0)
        error = errno;
    if (!error && (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0))
        error = errno;
    if (geteuid() != before && seteuid(before) != 0)
        abort(); /* nothing after this would be as it should */
    close(fd);
    return error;
}

/* Keys are readable by picketd's user and nobody else. */
static enum status secrets_give(const struct up *up, struct problem *why)
{
    static const char *const names[] = {"master.key", "certificates/server.key"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = up_path(up, names[i]);
        if (chmod(path, 0600) != 0 || (geteuid() == 0 && chown(path, up->server_user.uid, up->server_user.gid) != 0))
            return problem_set(why, STATUS_REJECT, "%s cannot be given to %s: %s", path, up->server_user.name, strerror(errno));
    }
    return STATUS_OK;
}

/* A JSON string is one in YAML as well. */
static void setting_string(struct buf *out, const char *name, const char *value)
{
    buf_format(out, "%s: ", name);
    buf_json_string(out, text_of(value));
    buf_byte(out, '\n');
}

static enum status program_path(const char *name, const char *mend, char out[DATA_PATH_SIZE], struct problem *why)
{
    data_folder_path(process_program_path(), name, out);
    if (access(out, X_OK) != 0)
        return problem_set(why, STATUS_REJECT, "%s is not beside picket in %s: %s", name, process_program_path(), mend);
    return STATUS_OK;
}
