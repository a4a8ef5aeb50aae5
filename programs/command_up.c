#include "programs/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "programs/up.h"
#include "runtime/clock.h"
#include "runtime/process.h"

#define READY_MS 90000 /* a large database may have to recover first */
#define PORT_HTTPS 8443
#define PORT_MQTTS 8883
#define PORT_QUERY 8440
#define PATHS_KEPT 16

static enum cli_exit run_up(const struct cli *cli);
static enum cli_exit run_detached(struct up *up);
static enum cli_exit parent_wait(pid_t child, int ready);
static enum cli_exit up_here(struct up *up, int ready);
static enum status prepare(struct up *up, struct problem *why);
static enum status ports_read(struct up *up, struct problem *why);
static enum status folder_make(struct up *up, struct problem *why);
static bool folders_make(const char *path);
static void host_name_read(struct up *up);
static enum status start_all(struct up *up, struct problem *why);
static enum status state_save(struct up *up, struct problem *why);
static enum status start_server(struct up *up, struct problem *why);
static enum status start_agent(struct up *up, struct problem *why);
static enum status start_simulation(struct up *up, struct problem *why);
static void leftovers_stop(const struct up *up);
static void stop_all(struct up *up);
static enum cli_exit already_running(struct up *up);
static void addresses_print(const struct up *up, const char *opening);
static void detach_streams(const struct up *up);
static void stop_on_hangup(int signal_number);

static const struct cli_flag up_flags[] = {
    {"detach", NULL, "Return once it is ready, and keep running behind."},
    {"quiet", NULL, "No progress and no live line."},
    {"no-agent", NULL, "Do not enrol this host or start its agent."},
    {"no-simulate", NULL, "No simulated devices: else a handful send, and show attacks in the first minute."},
    {"port-https", "N", "TLS port for devices (default 8443)."},
    {"port-mqtts", "N", "TLS port for devices that speak MQTT (default 8883)."},
    {"port-query", "N", "TLS port of API and console (default 8440)."},
    {"port-http", "N", "Plain port for devices, loopback only (off unless given)."},
    {"port-mqtt", "N", "Plain MQTT port, loopback only (off unless given)."},
};

const struct cli_verb up_verbs[] = {
    {"up", "", "Start a whole Picket on this host: PostgreSQL, picketd and the agent.",
     "Makes what is missing in the data folder: cluster, certificates, keys, a token, a device for this host.\n"
     "Ctrl-C stops everything it started; the data is there on the next start.\n"
     "PICKET_DEVICE_HOST_NAME is what connection strings name (default localhost with the port).",
     CLI_FLAGS(up_flags), CLI_DATA, 0, 0, run_up},
};
const size_t up_verb_count = sizeof up_verbs / sizeof up_verbs[0];

void up_say(const struct up *up, const char *format, ...)
{
    char sentence[PROBLEM_TEXT_MAX];
    va_list arguments;

    if (up->quiet)
        return;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%6.2f s  %s\n", (double)(clock_monotonic_ms() - up->began_ms) / 1000.0, sentence);
}

const char *up_path(const struct up *up, const char *name)
{
    static char paths[PATHS_KEPT][DATA_PATH_SIZE];
    static size_t next;
    char *path = paths[next++ % PATHS_KEPT];

    data_folder_path(up->folder, name, path);
    return path;
}

static enum cli_exit run_up(const struct cli *cli)
{
    struct up *up = calloc(1, sizeof *up);
    struct problem why;

    if (!up)
        abort();
    umask(022); /* picketd, another user, reads some of what is made here; keys have modes of their own */
    up->cli = cli;
    up->quiet = cli_given(cli, "quiet");
    up->began_ms = clock_monotonic_ms();
    enum status status = prepare(up, &why);
    enum cli_exit end = status ? cli_end(status, &why) : cli_given(cli, "detach") ? run_detached(up) : up_here(up, -1);
    client_close(up->client);
    free(up);
    return end;
}

/* The child does it all and stays; its first byte through the pipe says that everything is ready. */
static enum cli_exit run_detached(struct up *up)
{
    struct problem why;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return cli_end(problem_set(&why, STATUS_FAULT, "no pipe can be made: %s", strerror(errno)), &why);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* until all is ready, Ctrl-C on the one who waits is for us as well */
        return up_here(up, ends[1]);
    }
    close(ends[1]);
    enum cli_exit end = CLI_REFUSED;
    if (child > 0)
        end = parent_wait(child, ends[0]);
    close(ends[0]);
    return end;
}

static enum cli_exit parent_wait(pid_t child, int ready)
{
    int outcome = 0;
    ssize_t count;
    char byte;

    while ((count = read(ready, &byte, 1)) < 0 && errno == EINTR)
        ;
    if (count == 1)
        return CLI_DONE;
    while (waitpid(child, &outcome, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(outcome) ? (enum cli_exit)WEXITSTATUS(outcome) : CLI_REFUSED;
}

/* `ready`: the pipe to the process that waits for us; -1 in the foreground. */
static enum cli_exit up_here(struct up *up, int ready)
{
    struct problem why;
    int lock = -1;

    enum status status = data_lock_take(up->folder, &lock, &why);
    if (status == STATUS_RETRY)
        return already_running(up);
    process_catch_stop();
    signal(SIGHUP, stop_on_hangup);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!status)
        status = start_all(up, &why);
    bool stopping = process_stopping();
    if (!status) {
        addresses_print(up, "Picket is ready.");
        if (ready >= 0) {
            detach_streams(up);
            up->quiet = true; /* a live line that nobody sees would only fill the log */
            prctl(PR_SET_PDEATHSIG, 0);
            if (write(ready, "r", 1) != 1)
                process_stop(); /* nobody waits any more: it was Ctrl-C */
            close(ready);
        } else {
            fprintf(stderr, "Ctrl-C stops it all.\n\n");
        }
        up_watch(up);
        up_say(up, "stopping");
    }
    if (lock >= 0)
        stop_all(up);
    if (lock >= 0)
        close(lock);
    if (status && !stopping)
        return cli_end(status == STATUS_RETRY ? STATUS_REJECT : status, &why);
    up_say(up, "stopped; the data stays in %s", up->folder);
    return CLI_DONE;
}

/* What can be said without touching anything that runs. */
static enum status prepare(struct up *up, struct problem *why)
{
    const char *device_host = getenv("PICKET_DEVICE_HOST_NAME");

    enum status status = ports_read(up, why);
    if (!status)
        status = folder_make(up, why);
    if (status)
        return status;
    host_name_read(up);
    if (device_host && *device_host)
        snprintf(up->device_host, sizeof up->device_host, "%s", device_host);
    else
        snprintf(up->device_host, sizeof up->device_host, "localhost:%lld", (long long)up->state.port_https);
    snprintf(up->state.version, sizeof up->state.version, "%s", PICKET_VERSION);
    up->state.started_at_us = clock_utc_us();
    return STATUS_OK;
}

static enum status ports_read(struct up *up, struct problem *why)
{
    struct data_state *state = &up->state;
    const struct {
        const char *flag;
        int64_t *port, otherwise;
    } ports[] = {
        {"port-https", &state->port_https, PORT_HTTPS}, {"port-mqtts", &state->port_mqtts, PORT_MQTTS},
        {"port-query", &state->port_query, PORT_QUERY}, {"port-http", &state->port_http, 0},
        {"port-mqtt", &state->port_mqtt, 0},
    };
    enum status status = STATUS_OK;

    for (size_t i = 0; !status && i < sizeof ports / sizeof ports[0]; i++) {
        *ports[i].port = ports[i].otherwise;
        status = cli_number(up->cli, ports[i].flag, 1, 65535, ports[i].port, why);
    }
    return status;
}

static enum status folder_make(struct up *up, struct problem *why)
{
    const char *given = data_folder_default(cli_value(up->cli, "data"));
    struct stat facts;

    if (!folders_make(given))
        return problem_set(why, STATUS_REJECT, "%s cannot be made (%s): choose another data folder with --data", given,
                           strerror(errno));
    if (!data_folder_whole(given, up->folder) || stat(up->folder, &facts) != 0 || !S_ISDIR(facts.st_mode))
        return problem_set(why, STATUS_REJECT, "%s is not a usable data folder: choose another with --data", given);
    /* PostgreSQL's user has to pass through; what is secret inside has modes of its own. */
    if (geteuid() == 0 && facts.st_uid == 0 && (facts.st_mode & 0011) != 0011 && chmod(up->folder, facts.st_mode | 0011) != 0)
        return problem_set(why, STATUS_REJECT, "%s cannot be opened to PostgreSQL's user: %s", up->folder, strerror(errno));
    if (access(up->folder, W_OK | X_OK) != 0)
        return problem_set(why, STATUS_REJECT, "%s cannot be written (%s): choose another data folder with --data", up->folder,
                           strerror(errno));
    if (mkdir(up_path(up, "log"), 0755) != 0 && errno != EEXIST)
        return problem_set(why, STATUS_REJECT, "%s cannot be written (%s): choose another data folder with --data",
                           up_path(up, "log"), strerror(errno));
    return STATUS_OK;
}

/* With the folders above it. */
static bool folders_make(const char *path)
{
    char part[DATA_PATH_SIZE];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return false;
    }
    return mkdir(path, 0711) == 0 || errno == EEXIST;
}

static void host_name_read(struct up *up)
{
    if (gethostname(up->host_name, sizeof up->host_name) != 0 || !up->host_name[0])
        snprintf(up->host_name, sizeof up->host_name, "localhost");
    up->host_name[sizeof up->host_name - 1] = '\0';
}

/* Everything that can be refused comes before anything is started. */
static enum status start_all(struct up *up, struct problem *why)
{
    static enum status (*const steps[])(struct up *, struct problem *) = {
        up_programs_check, up_users_find,    up_users_check,     up_ports_check,           up_cluster_find,
        up_certificates_make, up_cluster_make, state_save,       up_cluster_start,         up_cluster_migrate,
        up_server_write_settings, start_server, up_enrol,        start_agent,              start_simulation,
        state_save,
    };
    enum status status = STATUS_OK;

    leftovers_stop(up);
    for (size_t i = 0; !status && i < sizeof steps / sizeof steps[0]; i++)
        status = process_stopping() ? problem_set(why, STATUS_RETRY, "stopped") : steps[i](up, why);
    return status;
}

static enum status state_save(struct up *up, struct problem *why)
{
    return data_state_save(up->folder, &up->state, why);
}

static enum status start_server(struct up *up, struct problem *why)
{
    char url[64];

    up->state.supervisor = data_process_of(getpid());
    snprintf(url, sizeof url, "https://localhost:%lld", (long long)up->state.port_query);
    up->client = client_new(url, NULL, up_path(up, "certificates/ca.pem"));
    enum status status = up_server_start(up, why);
    if (!status)
        status = state_save(up, why);
    if (status)
        return status;
    bool stepped_in = up->server_user.uid != up->servant.uid;
    up_say(up, "started picketd as %s%s: ingest, store and query, pid %ld", up->server_user.name,
           stepped_in ? ", since the programs are closed to other users" : "", (long)up->state.picketd.pid);
    status = up_server_wait_ready(up, READY_MS, why);
    if (!status)
        up_say(up, "picketd is ready");
    return status;
}

static enum status start_agent(struct up *up, struct problem *why)
{
    if (cli_given(up->cli, "no-agent"))
        return STATUS_OK;
    enum status status = up_agent_start(up, why);
    if (!status)
        up_say(up, "started the agent as %s, for the device %s", up->self.name, up->state.host_device);
    return status;
}

/* Once it was removed it stays away; and attacks are shown once. */
static enum status start_simulation(struct up *up, struct problem *why)
{
    up->simulates = !cli_given(up->cli, "no-simulate") && access(up_path(up, SIMULATION_REMOVED), F_OK) != 0;
    if (!up->simulates)
        return STATUS_OK;
    up->simulation_ran = access(up_path(up, "log/simulation.log"), F_OK) == 0;
    enum status status = up_simulation_start(up, why);
    if (!status)
        up_say(up, "started a simulation: five devices that do not exist, and attacks on them in the first minute");
    return status;
}

/* An `up` that was killed leaves its children behind. PostgreSQL is taken over; the others are started anew, since we
 * could not notice the end of what is not our child. */
static void leftovers_stop(const struct up *up)
{
    struct data_state before;
    struct problem why;

    if (data_state_load(up->folder, &before, &why) != STATUS_OK)
        return;
    if (data_process_alive(before.agent) || data_process_alive(before.simulation) || data_process_alive(before.picketd))
        up_say(up, "stopping what an earlier start left behind");
    up_stop(before.simulation, UP_CHILD_STOP_MS);
    up_stop(before.agent, UP_CHILD_STOP_MS);
    up_stop(before.picketd, UP_CHILD_STOP_MS);
}

static void stop_all(struct up *up)
{
    struct problem why;

    up_stop(up->state.simulation, UP_CHILD_STOP_MS);
    up_stop(up->state.agent, UP_CHILD_STOP_MS);
    up_stop(up->state.picketd, UP_CHILD_STOP_MS);
    if (up->state.postgres_folder[0] && up->state.socket_folder[0])
        up_cluster_stop(up);
    up->state.simulation = up->state.agent = up->state.picketd = up->state.supervisor = (struct data_process){0};
    if (up->state.socket_folder[0] && data_state_save(up->folder, &up->state, &why))
        fprintf(stderr, "picket: %s\n", why.text);
}

/* Its picketd may have been killed a moment ago, so we return once it answers again. */
static enum cli_exit already_running(struct up *up)
{
    char url[64];
    struct problem why;

    if (data_state_load(up->folder, &up->state, &why))
        return cli_end(problem_set(&why, STATUS_REJECT, "another `picket up` is starting in %s", up->folder), &why);
    snprintf(url, sizeof url, "https://localhost:%lld", (long long)up->state.port_query);
    up->client = client_new(url, NULL, up_path(up, "certificates/ca.pem"));
    up->state.picketd = (struct data_process){0}; /* not our child to wait for */
    process_catch_stop();
    enum status status = up_server_wait_ready(up, READY_MS, &why);
    if (status)
        return cli_end(status, &why);
    up_enrol_recall(up);
    addresses_print(up, "Picket is running already.");
    return CLI_DONE;
}

static void addresses_print(const struct up *up, const char *opening)
{
    json_t *written = NULL;
    struct problem why;

    if (data_json_read(up_path(up, "operator.json"), &written, &why))
        return;
    printf("\n%s\n\n", opening);
    printf("  console and API   %s\n", json_string_value(json_object_get(written, "server")));
    printf("  token             %s\n", json_string_value(json_object_get(written, "token")));
    printf("  devices           https://localhost:%lld, trusting %s\n", (long long)up->state.port_https,
           json_string_value(json_object_get(written, "ca")));
    if (up->state.port_http)
        printf("                    http://localhost:%lld, from this host only\n", (long long)up->state.port_http);
    printf("                    mqtts://localhost:%lld\n", (long long)up->state.port_mqtts);
    if (up->state.port_mqtt)
        printf("                    mqtt://localhost:%lld, from this host only\n", (long long)up->state.port_mqtt);
    printf("  data              %s\n", up->folder);
    json_decref(written);
    if (up->first_connection[0]) {
        printf("\nA first message (then: picket events):\n\n");
        if (up_enrol_print_curl(up, &why))
            printf("%s\n", why.text);
    }
    printf("\n");
    fflush(stdout);
}

/* From here on nobody reads our terminal. */
static void detach_streams(const struct up *up)
{
    up_log_rotate(up_path(up, "log/up.log"), &up->self);
    int log = open(up_path(up, "log/up.log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null >= 0)
        dup2(null, STDIN_FILENO);
    if (log >= 0) {
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
    }
    if (log >= 0)
        close(log);
    if (null >= 0)
        close(null);
}

/* A closed terminal ends us as Ctrl-C does. */
static void stop_on_hangup(int signal_number)
{
    (void)signal_number;
    kill(getpid(), SIGTERM);
}
