#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "tests/support/database.h"
#include "tests/support/whole.h"

/* What the agent costs with all collectors on, beside a real picketd over MQTT and TLS: memory, processor, size; then a burst of short
 * processes, by what it says of them.
 *
 *   bench_agent [seconds]    ten minutes are 600; the default is a minute */

#define RSS_LIMIT_KB 4096
#define CPU_LIMIT_PERCENT 0.5
#define SIZE_LIMIT_KB 400
#define BURST 10000
#define BURST_MS 10000
#define SETTLE_MS 10000 /* the first lists are made at the start, and are not what it costs from then on */

static char folder[] = "/tmp/picket-bench-agent-XXXXXX", config[64];
static const char *mqtts_port;

static long status_kb(int pid, const char *name)
{
    char path[64], line[256];
    long found = 0;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            found = strtol(line + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return found;
}

/* Of user and system, in seconds. */
static double cpu_s(int pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    size_t count = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[count] = '\0';
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static struct program *agent_start(void)
{
    struct buf out, said;
    const char *const create[] = {"device", "create", "bench", NULL}, *const connection[] = {"device", "connection-string", "bench", NULL};

    buf_init(&out, 65536);
    buf_init(&said, 65536);
    if (whole_picket(create, &out, &said) || whole_picket(connection, &out, &said)) {
        fprintf(stderr, "bench_agent: %s\n", said.bytes);
        exit(1);
    }
    const char *string = strstr(out.bytes, "HostName=");
    FILE *file = fopen(config, "we");
    fprintf(file, "connection_string = %.*s\nca_file = %s\nspool_folder = %s/spool\ntransport = mqtt\nmqtt_port = %s\n", (int)strcspn(string, "\n"), string, whole_ca_file(), folder, mqtts_port);
    fclose(file);
    buf_done(&said);
    buf_done(&out);
    return program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL);
}

static void burst(void)
{
    int64_t began_ms = clock_monotonic_ms();

    for (int i = 0; i < BURST; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", "bench-burst", (char *)NULL);
            _exit(127);
        }
        waitpid(child, NULL, 0);
        int64_t due_ms = began_ms + (int64_t)(i + 1) * BURST_MS / BURST, now_ms = clock_monotonic_ms();
        if (now_ms < due_ms)
            poll(NULL, 0, (int)(due_ms - now_ms));
    }
}

int main(int count, char **arguments)
{
    static char port[8], line[40];
    int seconds = count > 1 ? (int)strtol(arguments[1], NULL, 10) : 60;
    char path[600];
    struct stat about;

    snprintf(port, sizeof port, "%u", program_free_port());
    snprintf(line, sizeof line, "mqtts_port: %s", port);
    mqtts_port = port;
    if (!mkdtemp(folder))
        return 1;
    snprintf(config, sizeof config, "%s/agent.conf", folder);
    whole_start(1, (const char *const[]){line, NULL});

    struct program *agent = agent_start();
    int pid = program_pid(agent);
    poll(NULL, 0, SETTLE_MS);
    double before = cpu_s(pid);
    int64_t began_ms = clock_monotonic_ms();
    long most_kb = 0;
    while (clock_monotonic_ms() - began_ms < seconds * INT64_C(1000)) {
        long now_kb = status_kb(pid, "VmRSS:");
        most_kb = now_kb > most_kb ? now_kb : most_kb;
        poll(NULL, 0, 500);
    }
    double percent = (cpu_s(pid) - before) / (double)(clock_monotonic_ms() - began_ms) * 1e5;
    long idle_kb = most_kb;

    before = cpu_s(pid);
    int64_t messages = pipeline_number("SELECT count(*) FROM picket.message WHERE device_id = 'bench'");
    burst();
    double burst_cpu = cpu_s(pid) - before;
    program_stop(agent); /* what it has counted leaves */
    program_close(agent);
    agent = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL);
    pipeline_wait_number(1, 60000, "SELECT (count(*) > 0)::int FROM picket.raw_event WHERE device_id = 'bench' AND details ->> 'CommandLine' = 'true bench-burst' AND hit_count > 100");
    poll(NULL, 0, 3000);
    int64_t told = pipeline_number("SELECT coalesce(sum(hit_count), 0)::bigint FROM picket.raw_event WHERE device_id = 'bench' AND name = 'ProcessCreate' AND (details ->> 'CommandLine' = 'true"
                                   " bench-burst' OR (details ->> 'CommandLine' = '' AND (details ->> 'Executable' ~ 'true$' OR details ->> 'Executable' = '(gone)')))");
    messages = pipeline_number("SELECT count(*) FROM picket.message WHERE device_id = 'bench'") - messages;
    program_stop(agent);
    program_close(agent);

    snprintf(path, sizeof path, "%s/agent", folder);
    char source[600];
    snprintf(source, sizeof source, "%s/picket-agent", program_build_path());
    program_run("/usr/bin/strip", (const char *const[]){"-o", path, source, NULL}, NULL, NULL);
    long size_kb = stat(path, &about) == 0 ? (long)(about.st_size / 1024) : 0;
    bool met = idle_kb <= RSS_LIMIT_KB && percent <= CPU_LIMIT_PERCENT && size_kb && size_kb <= SIZE_LIMIT_KB && told >= BURST;
    printf("agent    seconds=%d rss_kb=%ld of %d, cpu=%.3f%% of %.1f%%, stripped_kb=%ld of %d; burst of %d in 10 s: told=%lld in %lld messages, cpu_s=%.2f; %s\n", seconds, idle_kb, RSS_LIMIT_KB,
           percent, CPU_LIMIT_PERCENT, size_kb, SIZE_LIMIT_KB, BURST, (long long)told, (long long)messages, burst_cpu, met ? "met" : "MISSED");
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
    return whole_stop() || !met;
}
