#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"rm", NULL};

/* Folders that a device does not live without; what lies one step below those of people and services is meant too. */
static bool is_vital(struct text path)
{
    static const char *const folders[] = {"/", "/bin", "/boot", "/etc", "/home", "/lib", "/lib64", "/opt", "/root", "/sbin", "/srv", "/usr", "/var", "/var/lib",
                                          "/var/www", "/var/www/html", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/data", "/media", "/mnt", "/sys", "/proc", "~", "$HOME", NULL};

    while (path.count > 1 && (path.bytes[path.count - 1] == '/' || path.bytes[path.count - 1] == '*'))
        path.count--;
    return text_among(path, folders);
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (!text_equal(command->name, TEXT("rm")))
        return NULL;
    if (command_word(command, "--no-preserve-root").bytes)
        return "the whole system is deleted";
    if (!command_has_letter(command, 'r') && !command_has_letter(command, 'R') && !command_word(command, "--recursive").bytes)
        return NULL;
    for (size_t i = 1; i < command->word_count; i++)
        if (is_vital(command->words[i]))
            return "a folder that the system needs is deleted with all within";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ rm -rf /var/www"},
    {true, "$ sudo rm -rf --no-preserve-root /"},
    {true, "$ busybox rm -r -f /etc/*"},
    {false, "$ rm -rf /tmp/build"},
    {false, "$ rm -rf /var/cache/apt/archives"},
    {false, "$ rm /etc/motd"},
};

const struct rule rule_fairware = {
    .id = "IoT_FairwareMalware",
    .title = "Folders that the system needs are deleted",
    .severity = "Medium",
    .tactics = "Impact",
    .techniques = "T1485, T0809",
    .fires = "`rm -r` of the root, of a system folder, of all homes or of the web server's pages, as Fairware and wipers for small devices do.",
    .spares = "Folders below temporary, cache and build folders; single files.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the factory reset's command line.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
