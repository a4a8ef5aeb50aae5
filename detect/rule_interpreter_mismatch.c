#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {".sh", ".py", ".pl", ".php", ".rb", ".js", ".lua", ".jpg", ".jpeg", ".png", ".gif", ".pdf", ".mp3", ".mp4", ".ico", NULL};

/* Endings of scripts, and by which interpreters they are meant to be run; NULL: none. */
static const struct {
    const char *ending, *interpreter;
} endings[] = {
    {".sh", "sh"},   {".bash", "sh"}, {".py", "python"}, {".pl", "perl"}, {".php", "php"}, {".rb", "ruby"}, {".js", "node"}, {".lua", "lua"},
    {".jpg", NULL},  {".jpeg", NULL}, {".png", NULL},    {".gif", NULL},  {".pdf", NULL},  {".mp3", NULL},  {".mp4", NULL},  {".ico", NULL},
};

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    struct text script = command_script(command);

    (void)judging;
    for (size_t i = 0; script.bytes && i < sizeof endings / sizeof *endings; i++) {
        if (!text_ends(script, text_of(endings[i].ending)))
            continue;
        if (!endings[i].interpreter)
            return "a script hides behind the ending of a picture or a document";
        bool fits = strcmp(endings[i].interpreter, "sh") == 0 ? command_is_shell(command) : text_starts(command->name, text_of(endings[i].interpreter));
        return fits || (strcmp(endings[i].interpreter, "python") == 0 && text_starts(command->name, TEXT("pypy"))) ? NULL
                                                                                                                     : "the script's ending is another interpreter's";
    }
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ python3 /tmp/update.sh"},
    {true, "$ bash /var/www/logo.png"},
    {true, "$ sh /tmp/x.py"},
    {false, "$ python3 /usr/lib/app/main.py"},
    {false, "$ sh -c '/usr/bin/convert a.png'"},
    {false, "$ php /srv/index.php"},
};

const struct rule rule_interpreter_mismatch = {
    .id = "IoT_ScriptInterpreterMismatch",
    .title = "A script is run by another interpreter than its name says",
    .severity = "Medium",
    .tactics = "DefenseEvasion, Execution",
    .techniques = "T1036.008, T1059",
    .fires = "An interpreter given a script whose ending is another one's, or that of a picture, a sound or a document.",
    .spares = "Scripts without an ending; programs in the command line itself (`-c`, `-e`, `-m`).",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the command line.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
