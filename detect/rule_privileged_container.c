#include "detect/command_facts.h"
#include "detect/container_facts.h"
#include "detect/rule.h"

static bool starts_container(const struct command *command)
{
    return text_among(command->name, container_engines) && command_word_among(command, container_starts).bytes;
}

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
        if (text_equal(head, TEXT("-v")) || text_equal(head, TEXT("--volume")))
            if (text_contains_nocase(value, "docker.sock:") || text_contains_nocase(value, "containerd.sock:"))
                return "it is given the engine's socket, and so the host";
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
    {true, "$ docker run -v /var/run/docker.sock:/var/run/docker.sock alpine"},
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
    .fires = "A container started with `--privileged`, all capabilities or those that are as good, the host's process ids, its root folder, or the engine's socket.",
    .spares = "Folders and single capabilities given by name.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the command line of the container that needs it.",
    .remediation = drop_privilege,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = container_words,
    .command = gives_privileges,
    RULE_SAMPLES(privilege_samples),
};
