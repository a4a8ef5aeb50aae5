#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"history", "HISTFILE", "HISTSIZE", NULL};
static const char *const removers[] = {"rm", "shred", "unlink", "truncate", "wipe", NULL};

static bool is_history(struct text path)
{
    struct text name = event_base_name(path);
    return text_ends(name, TEXT("_history")) && text_starts(name, TEXT("."));
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (text_equal(command->name, TEXT("history")) && (command_has_letter(command, 'c') || command_has_letter(command, 'w')))
        return "the shell forgets what was typed";
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        if (is_history(word) && text_among(command->name, removers))
            return "the shell's history is removed";
        if (is_history(word) && text_equal(command->name, TEXT("cp")) && command_word(command, "/dev/null").bytes)
            return "the shell's history is emptied";
        if (is_history(word) && text_equal(command->name, TEXT("ln")) && command_word(command, "/dev/null").bytes)
            return "the shell's history goes nowhere";
    }
    bool unset = text_equal(command->name, TEXT("unset")) && command_word_starting(command, "HIST").bytes;
    bool set = command_word_starting(command, "HISTFILE=/dev/null").bytes || command_word_starting(command, "HISTSIZE=0").bytes || command_word_starting(command, "HISTFILESIZE=0").bytes;
    if (unset || set || text_equal(command->path, TEXT("HISTFILE=/dev/null")) || text_equal(command->path, TEXT("HISTSIZE=0")) || text_equal(command->path, TEXT("HISTFILESIZE=0")) || text_equal(command->path, TEXT("HISTFILE=")))
        return "the shell writes no history";
    if (text_equal(command->name, TEXT("set")) && command_word(command, "+o").bytes && command_word(command, "history").bytes)
        return "the shell writes no history";
    for (size_t i = 0; i < command->output_count; i++)
        if (is_history(command->outputs[i]))
            return "the shell's history is overwritten";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ rm -f /home/pi/.bash_history"},
    {true, "$ sh -c 'unset HISTFILE; history -c'"},
    {true, "$ ln -sf /dev/null /home/pi/.ash_history"},
    {false, "$ cat /home/pi/.bash_history"},
    {true, "$ cp /dev/null /home/pi/.bash_history"},
    {true, "$ bash -c set +o history"},
    {false, "$ bash -c set -o pipefail; history"},
    {false, "$ history 20"},
};

const struct rule rule_history_cleared = {
    .id = "IoT_ClearHistoryFile",
    .title = "The shell's history was cleared",
    .severity = "Low",
    .tactics = "DefenseEvasion",
    .techniques = "T1070.003, T0872",
    .fires = "A shell's history file removed, emptied or linked to nowhere; `history -c`; the variables set so that none is written.",
    .spares = "Reading it.",
    .needs = "Processes with their command lines; what is typed into a shell itself shows only where the agent sees it.",
    .tuning = "An exception for images that are sealed so.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
