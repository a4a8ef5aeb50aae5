#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"/var/log", "/var/adm", "journalctl", "wtmp", "btmp", "utmp", "/var/spool/mail", NULL};
static const char *const removers[] = {"rm", "shred", "unlink", "truncate", "wipe", "srm", NULL};

/* What rotation leaves is packed or numbered, and goes by itself. */
static bool is_log(struct text path)
{
    static const char *const names[] = {"/var/log", "/var/log/", "/var/log/*", "/var/adm", "/var/run/utmp", "/run/utmp", NULL};

    if (text_among(path, names))
        return true;
    if (!text_starts(path, TEXT("/var/log/")) && !text_starts(path, TEXT("/var/adm/")))
        return false;
    if (text_ends(path, TEXT(".gz")) || text_ends(path, TEXT(".xz")) || text_ends(path, TEXT(".old")) || text_ends(path, TEXT(".bz2")))
        return false;
    return !(path.count > 2 && path.bytes[path.count - 2] == '.' && path.bytes[path.count - 1] >= '0' && path.bytes[path.count - 1] <= '9');
}

/* find -name "*.gz": what rotation left. */
static bool finds_rotated(const struct command *command)
{
    static const char *const endings[] = {".gz", ".xz", ".bz2", ".zst", ".old", ".1", ".[0-9]", NULL};

    for (size_t i = 1; i + 1 < command->word_count; i++)
        for (size_t k = 0; endings[k] && (text_equal(command->words[i], TEXT("-name")) || text_equal(command->words[i], TEXT("-iname"))); k++)
            if (text_ends(command->words[i + 1], text_of(endings[k])))
                return true;
    return false;
}

/* Moved to where no rotation moves it. */
static bool is_moved_away(const struct command *command)
{
    if (!text_equal(command->name, TEXT("mv")) || command->word_count < 3)
        return false;
    struct text to = command->words[command->word_count - 1];
    if (text_starts(to, TEXT("/var/")) || !text_starts(to, TEXT("/")))
        return false;
    for (size_t i = 1; i + 1 < command->word_count; i++)
        if (is_log(command->words[i]))
            return true;
    return false;
}

/* These are no text that anybody appends to. */
static bool is_of_logins(struct text path)
{
    static const char *const names[] = {"wtmp", "btmp", "utmp", "lastlog", NULL};
    return is_log(path) && text_among(event_base_name(path), names);
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    static const char *const emptied_by[] = {"echo", "printf", ":", "true", "cat", "", NULL};

    (void)judging;
    if (text_among(command->name, removers))
        for (size_t i = 1; i < command->word_count; i++)
            if (is_log(command->words[i]))
                return "a log is removed or emptied";
    if (text_equal(command->name, TEXT("find")) && !finds_rotated(command) && (command_word(command, "-delete").bytes || command_word(command, "rm").bytes))
        for (size_t i = 1; i < command->word_count; i++)
            if (is_log(command->words[i]))
                return "logs that are found are removed";
    if (text_equal(command->name, TEXT("journalctl")) && (command_word_starting(command, "--vacuum-time=1").bytes || command_word_starting(command, "--vacuum-size=1").bytes))
        return "the journal is emptied";
    if (text_equal(command->name, TEXT("dd")))
        for (size_t i = 1; i < command->word_count; i++)
            if (text_starts(command->words[i], TEXT("of=")) && is_log((struct text){command->words[i].bytes + 3, command->words[i].count - 3}))
                return "a log is overwritten";
    if (text_equal(command->name, TEXT("ln")) && command_word(command, "/dev/null").bytes && is_log(command->words[command->word_count - 1]))
        return "a log goes nowhere";
    if (is_moved_away(command))
        return "a log is moved away";
    for (size_t i = 0; i < command->output_count; i++)
        if (is_of_logins(command->outputs[i]))
            return "the record of logins is written over";
    bool nothing = command->word_count <= 1 || (command->word_count == 2 && (text_equal(command->words[1], TEXT("/dev/null")) || !command->words[1].count));
    if (text_equal(command->name, TEXT("cp")) && command->word_count == 3 && text_equal(command->words[1], TEXT("/dev/null")) && is_log(command->words[2]))
        return "a log is emptied";
    for (size_t i = 0; i < command->output_count; i++)
        if (nothing && text_among(command->name, emptied_by) && is_log(command->outputs[i]))
            return "a log is emptied";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ rm -f /var/log/auth.log"},
    {true, "$ sh -c 'cat /dev/null > /var/log/wtmp'"},
    {true, "$ shred -u /var/log/messages"},
    {true, "$ > /var/log/messages"},
    {true, "$ sh -c ': > /var/log/syslog'"},
    {true, "$ ln -sf /dev/null /var/log/wtmp"},
    {true, "$ sh -c utmpdump -r < /tmp/w > /var/log/wtmp"},
    {true, "$ mv /var/log/auth.log /tmp/.a"},
    {false, "$ mv /var/log/messages /var/log/messages.0"},
    {false, "$ rm -f /var/log/syslog.2.gz"},
    {false, "$ sh -c find /var/log -name '*.gz' -mtime +7 -delete"},
    {false, "$ tail -n 50 /var/log/syslog"},
    {false, "$ sh -c 'echo started >> /var/log/app.log'"},
};

const struct rule rule_log_removal = {
    .id = "IoT_RemovelOfSystemLogs", /* spelt as clients know it */
    .title = "System logs were removed",
    .severity = "Medium",
    .tactics = "DefenseEvasion",
    .techniques = "T1070.002, T0872",
    .fires = "Logs below `/var/log` removed, shredded, truncated, overwritten, linked to nowhere or moved away; the journal emptied; records of logins cleared.",
    .spares = "What rotation left (`.gz`, `.1`, `.old`); reading and writing logs.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the job that makes room on small flash.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
