#include "detect/command_facts.h"
#include "detect/rule.h"

#define IN_LINE_MIN 3              /* different ones in one line */
#define IN_TIME_MIN 6              /* different ones of one user … */
#define TIME_US MINUTES_US(1)      /* … within this */

static const char *const commands[] = {"uname", "whoami", "id", "w", "who", "last", "lscpu", "free", "df", "ifconfig", "netstat", "ss", "hostname", "lspci", "lsusb", "nproc",
                                       "uptime", "dmidecode", "history", "mount", "lsmod", "arp", "route", "lsb_release", "groups", "getent", "lastlog", "nvidia-smi", "ip", NULL};
static const char *const files[] = {"/proc/cpuinfo", "/proc/meminfo", "/proc/version", "/proc/mounts", "/proc/self/exe", "/etc/passwd", "/etc/issue", "/etc/os-release", "/etc/hosts",
                                    "/etc/resolv.conf", "/etc/group", "/proc/net/tcp", "/proc/net/arp", "/etc/lsb-release", "/etc/redhat-release", "/etc/sudoers", "/etc/crontab", NULL};

/* What the command finds out, or TEXT_NONE. */
static struct text finds_out(const struct command *command)
{
    if (text_among(command->name, commands))
        return command->name;
    if (text_equal(command->name, TEXT("crontab")) && command_has_letter(command, 'l'))
        return TEXT("crontab");
    for (size_t i = 1; i < command->word_count; i++)
        if (command->words[i].count && command->words[i].bytes[0] == '/' && text_among(command->words[i], files))
            return command->words[i];
    return TEXT_NONE;
}

static void judge(struct judging *judging)
{
    const struct command_line *line = judging->line;
    const struct event *event = judging->event;
    struct text found[COMMANDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < line->count; i++) {
        struct text what = finds_out(&line->commands[i]);
        bool again = !what.bytes;
        for (size_t k = 0; k < count && !again; k++)
            again = text_equal(found[k], what);
        if (!again)
            found[count++] = what;
    }
    if (count >= IN_LINE_MIN) {
        finding_reason(finding_add(judging, event->user), "CommandLine", TEXT("one line asks for several facts about the system"), line->text);
        return;
    }
    for (size_t i = 0; i < count; i++)
        memory_note(judging->memory, judging->rule->id, event->user, found[i], 1, event->at_us, TIME_US);
    if (count && memory_sum(judging->memory, judging->rule->id, event->user, event->at_us, TIME_US).values >= IN_TIME_MIN) {
        finding_reason(finding_add(judging, event->user), "CommandLine", TEXT("one of many facts about the system that the user asked for within a minute"), line->text);
        memory_forget(judging->memory, judging->rule->id, event->user); /* the next six are another round */
    }
}

static const struct rule_sample samples[] = {
    {true, "$ sh -c uname -a; id; cat /proc/cpuinfo"},
    {true, "$ uname -a\n$ id\n$ w\n$ cat /proc/cpuinfo\n$ free -m\n$ lscpu"},
    {true, "$ sh -c 'whoami && hostname && ifconfig'"},
    {false, "$ uname -r"},
    {false, "$ df -h\n+90 $ free\n+90 $ uptime\n+90 $ uname -a\n+90 $ id\n+90 $ w\n+90 $ last"},
    {false, "x20 $ ip addr"},
};

const struct rule rule_reconnaissance = {
    .id = "IoT_LinuxReconnaissance",
    .title = "The device is looked over as by a bot",
    .severity = "Medium",
    .tactics = "Discovery",
    .techniques = "T1082, T1033, T1016, T0888",
    .fires = "Three or more different commands in one line that ask who one is, what the system is and what runs on it; six of one user within a minute.",
    .spares = "One or two of them; the same one again and again; those that come slowly, as a monitor's.",
    .needs = "Processes with their command lines; users, to tell them apart.",
    .tuning = "An exception for the user of an inventory script.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = NULL,
    .remembers = true,
    .judge = judge,
    RULE_SAMPLES(samples),
};
