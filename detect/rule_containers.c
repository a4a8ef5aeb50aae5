#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"docker", "podman", "nerdctl", "ctr", "crictl", "containerd", NULL};
static const char *const engines[] = {"docker", "podman", "nerdctl", "ctr", "crictl", NULL};
static const char *const starts[] = {"run", "create", "exec", "start", NULL};

static bool starts_container(const struct command *command)
{
    return text_among(command->name, engines) && command_word_among(command, starts).bytes;
}

/* ---- miners ---- */

static const char *mines(const struct judging *judging, const struct command *command)
{
    static const char *const images[] = {"xmrig", "miner", "monero", "cpuminer", "ethminer", "xmr-", "/xmr", "cryptonight", "nicehash", NULL};

    (void)judging;
    if (!text_among(command->name, engines) || (!command_word_among(command, starts).bytes && !command_word(command, "pull").bytes))
        return NULL;
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        if (text_contains_nocase(word, "stratum+"))
            return "the container is given the address of a mining pool";
        for (size_t k = 0; images[k]; k++)
            if (text_contains_nocase(word, images[k]) && word.bytes[0] != '-')
                return "the image bears a miner's name";
    }
    return NULL;
}

static const char *const delete_image[] = {"Delete the container and its image.", "See whether Docker's socket can be reached from elsewhere.",
                                           "Hand over to the security team, with the container's configuration.", NULL};

static const struct rule_sample miner_samples[] = {
    {true, "$ docker run -d minerboy/xmrig"},
    {true, "$ podman pull docker.io/metal3d/xmrig:latest"},
    {true, "$ docker run -d alpine sh -c 'x -o stratum+tcp://198.51.100.7:3333'"},
    {false, "$ docker rmi minerboy/xmrig"},
    {false, "$ docker run -d nginx"},
    {false, "$ docker ps -a"},
};

const struct rule rule_crypto_miner_container = {
    .id = "IoT_CryptoMinerContainer",
    .title = "A container mines cryptocurrency",
    .severity = "Medium",
    .tactics = "Execution, Impact",
    .techniques = "T1496, T1610",
    .fires = "A container is started, or an image fetched, whose name is a miner's, or which is given the address of a mining pool.",
    .spares = "Such images removed or listed.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the image.",
    .remediation = delete_image,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = mines,
    RULE_SAMPLES(miner_samples),
};

/* ---- privileges ---- */

static const char *gives_privileges(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (!starts_container(command))
        return NULL;
    if (command_word(command, "--privileged").bytes || command_word(command, "--privileged=true").bytes)
        return "it has all rights of the host";
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i], next = i + 1 < command->word_count ? command->words[i + 1] : TEXT("");
        struct text head, value = text_cut(word, '=', &head);
        value = value.bytes ? value : next;
        if (text_equal(head, TEXT("--cap-add")) && (text_equal_nocase(value, TEXT("all")) || text_contains_nocase(value, "SYS_ADMIN") || text_contains_nocase(value, "SYS_MODULE")))
            return "it is given rights that are the host's";
        if ((text_equal(head, TEXT("-v")) || text_equal(head, TEXT("--volume"))) && (text_starts(value, TEXT("/:/"))))
            return "the host's whole file system is mounted in it";
        if (text_equal(head, TEXT("--pid")) && text_equal(value, TEXT("host")))
            return "it sees the host's processes";
    }
    return NULL;
}

static const char *const drop_privilege[] = {"If the container does not need it, start it without the privilege.",
                                             "Where it does, give the one capability or device that it needs by name.", NULL};

static const struct rule_sample privilege_samples[] = {
    {true, "$ docker run --privileged -it alpine sh"},
    {true, "$ docker run -v /:/host alpine chroot /host"},
    {true, "$ podman create --cap-add=ALL agent"},
    {false, "$ docker run -v /srv/data:/data app"},
    {false, "$ docker run --cap-add=NET_BIND_SERVICE web"},
    {false, "$ docker inspect --privileged"},
};

const struct rule rule_privileged_container = {
    .id = "IoT_PrivilegedContainer",
    .title = "A container was started with the host's rights",
    .severity = "Medium",
    .tactics = "PrivilegeEscalation, Execution",
    .techniques = "T1611, T1610",
    .fires = "A container started with `--privileged`, all capabilities or those that are as good, the host's process ids, or its root folder.",
    .spares = "Folders and single capabilities given by name.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the command line of the container that needs it.",
    .remediation = drop_privilege,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = gives_privileges,
    RULE_SAMPLES(privilege_samples),
};

/* ---- the daemon ---- */

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
    .words = words,
    .judge = judge_daemon,
    RULE_SAMPLES(daemon_samples),
};
