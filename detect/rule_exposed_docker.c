#include "detect/command_facts.h"
#include "detect/container_facts.h"
#include "detect/rule.h"

#define DOCKER_PORT 2375 /* without TLS */

/* "-H tcp://0.0.0.0:2375", "--host=tcp://…", where nothing proves who calls. */
static struct text open_socket(const struct command *command)
{
    if (!text_equal(command->name, TEXT("dockerd")) && !(text_equal(command->name, TEXT("docker")) && command_word(command, "daemon").bytes))
        return TEXT_NONE;
    if (command_word_starting(command, "--tlsverify").bytes)
        return TEXT_NONE;
    for (size_t i = 1; i < command->word_count; i++)
        for (size_t at = 0; at + 6 < command->words[i].count; at++) {
            struct text rest = {command->words[i].bytes + at, command->words[i].count - at};
            struct text host = url_host(rest);
            if (text_starts(rest, TEXT("tcp://")))
                return text_starts(host, TEXT("127.")) || text_equal(host, TEXT("localhost")) || text_equal(host, TEXT("::1")) ? TEXT_NONE : rest;
        }
    return TEXT_NONE;
}

static void judge_daemon(struct judging *judging)
{
    const struct event *event = judging->event;

    if (event->kind == EVENT_LISTENER) {
        if (event->local_port == DOCKER_PORT && !text_starts(event->local_address, TEXT("127.")) && !text_equal(event->local_address, TEXT("::1")))
            finding_reason(finding_add(judging, TEXT("port 2375")), "LocalPort", TEXT("Docker's port without TLS is open"), event->local_address);
        return;
    }
    for (size_t i = 0; i < judging->line->count; i++) {
        struct text socket = open_socket(&judging->line->commands[i]);
        if (!socket.bytes)
            continue;
        finding_reason(finding_add(judging, TEXT("dockerd")), "CommandLine", TEXT("it listens beyond the device, and asks nobody who calls"), socket);
        return;
    }
}

static const char *const close_daemon[] = {"Let Docker listen on its local socket alone, or ask for client certificates (`--tlsverify`).",
                                           "See which containers were started meanwhile, and from which images.", NULL};

static const struct rule_sample daemon_samples[] = {
    {true, "$ dockerd -H tcp://0.0.0.0:2375 -H unix:///var/run/docker.sock"},
    {true, "ListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"2375\"}"},
    {false, "$ dockerd -H unix:///var/run/docker.sock"},
    {false, "$ dockerd --tlsverify -H tcp://0.0.0.0:2376"},
    {false, "$ docker -H tcp://192.0.2.10:2375 ps"},
};

const struct rule rule_exposed_docker = {
    .id = "IoT_ExposedDocker",
    .title = "Docker's daemon can be reached from elsewhere",
    .severity = "Medium",
    .tactics = "Execution, PrivilegeEscalation",
    .techniques = "T1610, T1133",
    .fires = "`dockerd` that listens on TCP beyond the device without client certificates; port 2375 open.",
    .spares = "Its local socket; `--tlsverify`; clients that call another host.",
    .needs = "Processes with their command lines, or listening ports.",
    .tuning = "None should be needed.",
    .remediation = close_daemon,
    .kinds = EVENT_BIT(EVENT_PROCESS) | EVENT_BIT(EVENT_LISTENER),
    .words = container_words,
    .judge = judge_daemon,
    RULE_SAMPLES(daemon_samples),
};
