#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"nohup", NULL};

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (!text_equal(command->name, TEXT("nohup")))
        return NULL;
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        if (path_is_temporary(word))
            return "what outlives the session lies in a temporary folder";
        if (text_starts(event_base_name(word), TEXT(".")) && word.count > 2 && !text_equal(event_base_name(word), TEXT("..")))
            return "what outlives the session is a hidden file";
    }
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ nohup /tmp/kswapd0 &"},
    {true, "$ sh -c 'nohup sh /dev/shm/.x/run.sh >/dev/null 2>&1 &'"},
    {false, "$ nohup /usr/bin/logger-daemon &"},
    {false, "$ nohup ./server --port 80 > /tmp/server.log &"},
};

const struct rule rule_suspicious_nohup = {
    .id = "IoT_SuspiciousNohup",
    .title = "nohup of a file in a temporary folder",
    .severity = "Medium",
    .tactics = "Persistence, Execution",
    .techniques = "T1059.004, T1564.001",
    .fires = "`nohup` with a program or script in a temporary folder, or with a hidden file.",
    .spares = "Programs of other folders; output that goes to a temporary folder.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the installer that runs so.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
