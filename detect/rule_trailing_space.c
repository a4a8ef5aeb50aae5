#include "detect/rule.h"

static bool ends_in_blank(struct text path)
{
    return path.count > 1 && path.bytes[path.count - 1] == ' ';
}

static void judge(struct judging *judging)
{
    const struct command_line *line = judging->line;

    if (ends_in_blank(judging->event->executable)) {
        finding_reason(finding_add(judging, judging->event->executable), "Executable", TEXT("its name ends in a blank"), judging->event->executable);
        return;
    }
    for (size_t i = 0; i < line->count; i++)
        if (ends_in_blank(line->commands[i].path)) {
            finding_command(judging, &line->commands[i], "the program's name ends in a blank");
            return;
        }
}

static const struct rule_sample samples[] = {
    {true, "ProcessCreate {\"Executable\":\"/tmp/report.txt \",\"CommandLine\":\"./report.txt\",\"ProcessId\":9,\"ParentProcessId\":8}"},
    {true, "$ '/usr/local/bin/ls '"},
    {false, "$ ls "},
    {false, "$ cat '/tmp/a file '"},
};

const struct rule rule_trailing_space = {
    .id = "IoT_ExecuteFileWithTrailingSpace",
    .title = "A program whose name ends in a blank",
    .severity = "Medium",
    .tactics = "DefenseEvasion",
    .techniques = "T1036.006",
    .fires = "A program was run whose file name ends in a blank, so that it looks like another, or like a document.",
    .spares = "Arguments that end in blanks.",
    .needs = "Processes with their executables, or with quoted command lines.",
    .tuning = "None should be needed.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .judge = judge,
    RULE_SAMPLES(samples),
};
